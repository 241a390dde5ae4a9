#pragma once

/*
 * A writable view of a read-only tree: what the guest changes is kept in memory, and the tree below
 * is never written to.
 */

#include "base/types.h"

struct super;

/*
 * An overlay over the root of lower, which must not change (a hostfs without HOSTFS_REVALIDATE).
 * lower is taken over on success. size_limit: bytes of data, and by it the number of inodes, that
 * the changes may take. proc_fd: as for tmpfs_set_proc_fd.
 */
[[nodiscard]] int overlay_create(struct super *lower, u64 size_limit, int proc_fd,
				 struct super **ret);
