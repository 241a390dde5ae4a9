#pragma once

/* What the files of the overlay share. */

#include "fs/overlay/overlay.h"
#include "sched/lock_order.h"
#include "vfs/nametab.h"
#include "vfs/vfs.h"

/* Inode numbers of what is made here: above those of usual file systems, and exact as a double. */
#define OVERLAY_FIRST_INO (1ULL << 48)

/* The super's private part. */
struct overlay {
	struct super *lower, *upper; /* [I] owned; upper is a tmpfs: data, and the accounts */
	u64 lower_dev; /* [I] st_dev of lower's root */
	struct spin lock; /* class lc_fs */
	struct list *buckets; /* [lc_fs] arena array: nodes of lower inodes */
	u32 bucket_count, count; /* [lc_fs] */
	struct list made_dirs; /* [lc_fs] directories that are not lower's */
};

/* An inode's private part. */
struct overlay_node {
	struct inode *inode; /* [I] */
	struct inode *lower; /* [I] owned; null: made here */
	struct list link; /* [lc_fs] in the table of nodes, or among the made directories */
	u64 dev; /* [I] of lower; what is made here has that of its directory */
	u64 ino; /* [I] inode->ino, here for look-ups in the table */
	u64 mount; /* [I] of a lower directory: the host's mount (kstat.mount) */
	u64 blocks; /* [I] of lower */
	const struct file_ops *lower_ops; /* [a] of lower files, once one was opened */
	bool made; /* [I] here; pays for itself */
	bool pinned; /* [lc_fs] changed: stays although nobody uses it */
	bool dead; /* [lc_inode_dir] a directory that was removed: takes no more names */
	bool own_xattrs; /* [inode lock] inode->xattrs hold, not lower's */
	union {
		struct inode *_Atomic data; /* [a] of a regular file: what has its contents, in
					       upper; owned. Null: lower. Set under lc_inode */
		struct nametab *names; /* [lc_inode_dir] of a directory: what differs from lower;
					  null: nothing */
		char *target; /* [I] of a symbolic link made here; owned */
	};
};

static inline struct overlay *overlay_of(const struct super *sb)
{
	return sb->private;
}

static inline struct overlay_node *overlay_node_of(const struct inode *inode)
{
	return inode->private;
}

/* ---- node.c ---- */

/* The inode that stands for lower (taken over on success), one for each lower file however it is
 * reached. */
[[nodiscard]] int overlay_inode_get(struct super *sb, struct inode *lower, struct inode **ret);
/* An inode made in dir. target: of a symbolic link. */
[[nodiscard]] int overlay_inode_make(struct inode *dir, u32 mode, u32 uid, u32 gid, u64 rdev,
				     const char *target, struct inode **ret);
struct inode *overlay_evict(struct inode *inode);
/* Before any change to inode: from now on it stays, with its changes. -ENOSPC. */
[[nodiscard]] int overlay_pin(struct inode *inode);
/* The last name of inode is gone. */
void overlay_unpin(struct inode *inode);
/* Drop all changes of a super that nobody uses any more. */
void overlay_drop_all(struct super *sb);

/* ---- dir.c ---- */

DECLARE_OPS(struct file_ops, overlay_dir_file_ops);
DECLARE_OPS(struct inode_ops, overlay_dir_ops);

/* ---- attr.c ---- */

int overlay_getattr(struct subject *s, struct inode *inode, struct kstat *ret);
int overlay_setattr(struct subject *s, struct inode *inode, const struct iattr *attr);
ssize_t overlay_getxattr(struct subject *s, struct inode *inode, const char *name, void *buf,
			 size_t size);
ssize_t overlay_listxattr(struct subject *s, struct inode *inode, char *buf, size_t size);
int overlay_setxattr(struct subject *s, struct inode *inode, const char *name, const void *value,
		     size_t size, int flags);
DECLARE_OPS(struct inode_ops, overlay_regular_ops);
DECLARE_OPS(struct inode_ops, overlay_symlink_ops);
DECLARE_OPS(struct inode_ops, overlay_special_ops);
DECLARE_OPS(struct inode_ops, overlay_lower_device_ops);

/* ---- file.c ---- */

int overlay_open_regular(struct subject *s, struct inode *inode, struct file *file);
/* Bring the contents, at most the first limit bytes, to upper. */
[[nodiscard]] int overlay_copy_up(struct inode *inode, u64 limit) REQUIRES(lc_inode);
/* setattr's ATTR_SIZE. */
[[nodiscard]] int overlay_resize(struct subject *s, struct inode *inode, u64 size)
	REQUIRES(lc_inode);
/* f, a file of ours, as an op of the lower layer sees it. */
void overlay_view_lower(const struct file *f, struct inode *lower, const struct file_ops *ops,
			struct file *ret);
