#pragma once

/* A directory of the host, read-only. */

#include "base/types.h"

struct super;

enum {
	/*
	 * The tree may change behind us: look at the host again for each name and for attributes.
	 * Without it, what was once seen is remembered.
	 */
	HOSTFS_REVALIDATE = 0x100,
};

/* root_fd: a directory; taken over (closed on failure too). flags: HOSTFS_*, and SB_* for the
 * super. */
[[nodiscard]] int hostfs_create(int root_fd, u32 flags, struct super **ret);
/*
 * Show an empty directory of this name in the root, if the host has nothing there: a place to mount
 * on. Before the super is used.
 */
[[nodiscard]] int hostfs_add_mountpoint(struct super *sb, const char *name);
