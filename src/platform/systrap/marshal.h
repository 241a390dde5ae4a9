#pragma once

/*
 * What a lane carries along with a system call, by the table generated from
 * table.def: small inputs are copied before the event; where the row says that outputs may follow
 * the call, their places are touched before it, so that the kernel knows that they can be written,
 * and may hand over the contents with the resume.
 *
 * All of it is a hint. The kernel uses an input whose address and length are those that it wants,
 * and else fetches it.
 */

#include "base/types.h"

enum marshal_kind { MARSHAL_KIND_NONE, MARSHAL_KIND_STRING, MARSHAL_KIND_IN, MARSHAL_KIND_OUT };

/* An argument of a row: kind, argument number, number of the argument that counts elements (or
 * MARSHAL_FIXED), size. */
#define MARSHAL_FIXED 15U
#define MARSHAL_CODE(kind, arg, k, size) \
	((u32)(kind) | (u32)(arg) << 4 | (u32)(k) << 8 | (u32)(size) << 12)
#define MARSHAL_NONE 0
#define MARSHAL_STRING(arg) MARSHAL_CODE(MARSHAL_KIND_STRING, arg, MARSHAL_FIXED, 0)
#define MARSHAL_IN(arg, size) MARSHAL_CODE(MARSHAL_KIND_IN, arg, MARSHAL_FIXED, size)
#define MARSHAL_IN_COUNT(arg, k, size) MARSHAL_CODE(MARSHAL_KIND_IN, arg, k, size)
#define MARSHAL_OUT(arg, size) MARSHAL_CODE(MARSHAL_KIND_OUT, arg, MARSHAL_FIXED, size)
#define MARSHAL_OUT_COUNT(arg, k, size) MARSHAL_CODE(MARSHAL_KIND_OUT, arg, k, size)

#define MARSHAL_SIZE 1024UL /* room for the bytes of all items of a call */
#define MARSHAL_ITEMS 4U
#define MARSHAL_OUTPUTS 8U
#define MARSHAL_TOUCHED (~0U) /* an item's offset: the place can be written */

struct marshal_item {
	u64 addr; /* in guest memory */
	u32 size;
	u32 offset; /* in the lane's area */
};
