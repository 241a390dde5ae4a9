#pragma once

/* What the files of hostfs share. */

#include "fs/hostfs/hostfs.h"
#include "sched/lock_order.h"
#include "vfs/vfs.h"

struct statx;

#define MOUNTPOINTS_MAX 8

/* The super's private part. */
struct hostfs {
	u32 flags; /* [I] HOSTFS_* */
	struct spin lock; /* class lc_hostfile */
	struct list
		open; /* [lock] transient; nodes with a descriptor, the least recently used last */
	u32 open_count; /* [lock] transient */
	u32 mountpoint_count; /* [I] once mounted */
	char *mountpoints[MOUNTPOINTS_MAX]; /* [I] arena strings */
};

/* How a node may be used. */
enum hostfs_state {
	NODE_PLAIN,
	NODE_REFUSED, /* on a file system that we don't enter: an empty directory, a file that can't
			 be opened */
	NODE_MADE_UP, /* not on the host: an empty directory to mount on */
};

/* An inode's private part. It is described by its name in its parent; the descriptor comes and
 * goes. */
struct hostfs_node {
	struct inode *inode; /* [I] */
	struct inode *parent; /* [I] owned; null for the root */
	char *name; /* [I] owned */
	enum hostfs_state state; /* [I] */
	bool crosses; /* [I] on another host mount than its parent */
	u64 host_dev, mount_id; /* [I] */
	u64 blocks; /* [lc_inode_attr] */
	u32 blksize; /* [I] */
	char *target; /* [lc_inode_attr] a symbolic link's, once read; owned */
	int fd; /* [hostfs.lock] transient; 1 + descriptor, 0: none */
	u32 pins; /* [hostfs.lock] transient; users of the descriptor */
	bool path_only; /* [hostfs.lock] transient; the host denies reading this directory */
	struct list open_link; /* [hostfs.lock] transient */
};

static inline struct hostfs *hostfs_of(const struct super *sb)
{
	return sb->private;
}

static inline struct hostfs_node *hostfs_node_of(const struct inode *inode)
{
	return inode->private;
}

/* ---- node.c ---- */

/* A node, and its inode, for what stx describes. */
[[nodiscard]] int hostfs_node_create(struct super *sb, struct inode *parent, const char *name,
				     enum hostfs_state state, const struct statx *stx,
				     struct inode **ret);
void hostfs_evict(struct inode *inode);
void hostfs_set_attributes(struct inode *inode, const struct statx *stx);
/* The descriptor (directories and regular files), opened if need be, pinned. */
[[nodiscard]] int hostfs_fd_get(struct inode *inode);
void hostfs_fd_put(struct inode *inode);
/* Give the root its descriptor. */
void hostfs_set_root_fd(struct inode *root, int fd);
/* Look at name in dirfd: attributes, and whether to use it; *ret_crosses if it is on another mount
 * than dir. */
[[nodiscard]] int hostfs_look(int dirfd, const struct hostfs_node *dir, const char *name,
			      struct statx *ret_stx, enum hostfs_state *ret_state);
bool hostfs_ordinary(u64 f_type);

/* ---- file.c, dir.c ---- */

DECLARE_OPS(struct file_ops, hostfs_file_ops);
DECLARE_OPS(struct file_ops, hostfs_dir_file_ops);
