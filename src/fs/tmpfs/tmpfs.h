#pragma once

/* The in-memory file system. */

#include "base/ops.h"
#include "base/types.h"

struct file_ops;
struct inode;
struct super;

/* A new instance whose root has these attributes. size_limit: bytes of data. */
[[nodiscard]] int tmpfs_create(u32 root_mode, u32 uid, u32 gid, u64 size_limit, struct super **ret);
/* As tmpfs_create, under another type's name (devtmpfs). */
[[nodiscard]] int tmpfs_create_type(const char *type, u32 root_mode, u32 uid, u32 gid,
				    u64 size_limit, struct super **ret);
/* As mount(2) makes one: options is what the guest gave, and is cut into pieces; a root that they
 * say nothing of belongs to uid and gid. After memfd_init. -EINVAL. */
[[nodiscard]] int tmpfs_mount(char *options, u32 uid, u32 gid, struct super **ret);
/*
 * The kernel's descriptor of a host /proc, by which tmpfs gets a second, read-only descriptor of a
 * file's memory: only with it can a file that is open for reading be mapped shared. Not taken over.
 * -1: there is none.
 */
void tmpfs_set_proc_fd(struct super *sb, int proc_fd);
/*
 * For a file system that keeps its changes in a tmpfs (an overlay): a regular file without a name,
 * and accounts of what it keeps itself. Its ops take files of the caller's own that have only
 * flags, mode, position and inode.
 */
DECLARE_OPS(struct file_ops, tmpfs_file_ops);
[[nodiscard]] int tmpfs_create_data(struct super *sb, struct inode **ret);
/* Room for count more inodes, or bytes of data; -ENOSPC. */
[[nodiscard]] int tmpfs_charge_inodes(struct super *sb, u64 count);
void tmpfs_uncharge_inodes(struct super *sb, u64 count);
[[nodiscard]] int tmpfs_charge_bytes(struct super *sb, u64 bytes);
void tmpfs_uncharge_bytes(struct super *sb, u64 bytes);
/* As inode_ops.setxattr, for an inode that keeps them in inode->xattrs, paid by sb. */
[[nodiscard]] int tmpfs_set_xattr(struct super *sb, struct inode *inode, const char *name,
				  const void *value, size_t size, int flags);
/* fd, a descriptor that is open, is one of the inode's data. */
bool tmpfs_has_fd(struct inode *inode, int fd);
/* Directories and nodes made by the kernel itself; name is one component below the root. */
[[nodiscard]] int tmpfs_add_dir(struct super *sb, const char *name, u32 mode);
[[nodiscard]] int tmpfs_add_node(struct super *sb, const char *name, u32 mode, u64 rdev);
[[nodiscard]] int tmpfs_add_symlink(struct super *sb, const char *name, const char *target);
