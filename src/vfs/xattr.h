#pragma once

/* Extended attributes: what file systems that keep them in memory share. The calls are in path.h.
 */

#include "base/types.h"

#define XATTR_NAME_MAX_GUEST 255
#define XATTR_SIZE_MAX_GUEST 65'536

struct xattrs;

/*
 * The attributes of one inode; *x is null while there are none. The owner's lock protects them.
 * Sizes are in bytes; a size of 0 given to get and list asks for the size needed.
 */

/* -ENODATA, -ERANGE. */
[[nodiscard]] ssize_t xattrs_get(const struct xattrs *x, const char *name, void *buf, size_t size);
/* Names, each with its NUL. -ERANGE. */
[[nodiscard]] ssize_t xattrs_list(const struct xattrs *x, char *buf, size_t size);
/* flags: XATTR_CREATE (-EEXIST), XATTR_REPLACE (-ENODATA). Null value: remove it. -ENOSPC. */
[[nodiscard]] int xattrs_set(struct xattrs **x, const char *name, const void *value, size_t size,
			     int flags);
void xattrs_destroy(struct xattrs *x); /* null is fine */
/* Memory that an attribute takes, or all of them. */
u64 xattr_cost(const char *name, size_t size);
u64 xattrs_cost(const struct xattrs *x, const char *name); /* 0: there is none of this name */
u64 xattrs_cost_all(const struct xattrs *x);
