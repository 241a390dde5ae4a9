#pragma once

/* The guest's FP state in a signal frame. */

#include "base/types.h"

/* Copy at most size bytes of the frame's FP state to buf. Returns the number copied. */
u64 fp_save(const void *ucontext, void *buf, u64 size);
/* Set the frame's FP state from buf (an FXSAVE area, or an XSAVE area in standard format of size
 * bytes). */
void fp_load(void *ucontext, const void *buf, u64 size);
/* Set it to the initial state. */
void fp_reset(void *ucontext);
/* Copy it to another frame. */
void fp_copy(void *to_ucontext, const void *from_ucontext);
