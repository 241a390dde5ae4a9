#pragma once

/* A directory or file of the host. */

#include "base/types.h"

struct super;

enum {
	/*
	 * The tree may change behind us: look at the host again for each name and for attributes.
	 * Without it, what was once seen is remembered.
	 */
	HOSTFS_REVALIDATE = 0x100,
	/* It may be changed. With HOSTFS_REVALIDATE only. */
	HOSTFS_WRITABLE = 0x200,
};

/* root_fd: a directory, or with HOSTFS_REVALIDATE a regular file; taken over (closed on failure
 * too). flags: HOSTFS_*, and SB_* for the super. */
[[nodiscard]] int hostfs_create(int root_fd, u32 flags, struct super **ret);
/*
 * The kernel's descriptor of a host /proc, by which hostfs opens a file that it holds by an O_PATH
 * descriptor. Not taken over. -1: there is none (then /proc is used).
 */
void hostfs_set_proc_fd(struct super *sb, int proc_fd);
/*
 * Show an empty directory of this name in the root, if the host has nothing there: a place to mount
 * on. Before the super is used.
 */
[[nodiscard]] int hostfs_add_mountpoint(struct super *sb, const char *name);
