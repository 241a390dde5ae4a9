#pragma once

/* Saturating, checked reference counts. A count that overflows sticks and leaks its object; a get
 * on zero panics. */

#include "base/types.h"

struct refcount {
	_Atomic u32 count;
};

#define REFCOUNT_MAX 0x7fff'ffffu

void refcount_init(struct refcount *r, u32 n);
void refcount_get(struct refcount *r);
/* Take a reference unless the count is zero. For look-ups through weak pointers. */
[[nodiscard]] bool refcount_get_unless_zero(struct refcount *r);
/* Drop a reference. True if it was the last: the caller then destroys the object. */
[[nodiscard]] bool refcount_put(struct refcount *r);
u32 refcount_read(const struct refcount *r);
