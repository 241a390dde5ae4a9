#pragma once

/* The in-memory file system. */

#include "base/types.h"

struct super;

/* A new instance whose root has these attributes. size_limit: bytes of data. */
[[nodiscard]] int tmpfs_create(u32 root_mode, u32 uid, u32 gid, u64 size_limit, struct super **ret);
/* As tmpfs_create, under another type's name (devtmpfs). */
[[nodiscard]] int tmpfs_create_type(const char *type, u32 root_mode, u32 uid, u32 gid,
				    u64 size_limit, struct super **ret);
/*
 * The kernel's descriptor of a host /proc, by which tmpfs gets a second, read-only descriptor of a
 * file's memory: only with it can a file that is open for reading be mapped shared. Not taken over.
 * -1: there is none.
 */
void tmpfs_set_proc_fd(struct super *sb, int proc_fd);
/* Directories and nodes made by the kernel itself; name is one component below the root. */
[[nodiscard]] int tmpfs_add_dir(struct super *sb, const char *name, u32 mode);
[[nodiscard]] int tmpfs_add_node(struct super *sb, const char *name, u32 mode, u64 rdev);
[[nodiscard]] int tmpfs_add_symlink(struct super *sb, const char *name, const char *target);
