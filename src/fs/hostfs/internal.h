#pragma once

/* What the files of hostfs share. */

#include <linux/stat.h>

#include "fs/hostfs/hostfs.h"
#include "sched/lock_order.h"
#include "vfs/vfs.h"

#define MOUNTPOINTS_MAX 8
#define HOSTFS_BUCKETS 4096

/* One entry as getdents64 gives it. */
struct host_dirent {
	u64 ino;
	s64 next;
	u16 size;
	u8 type;
	char name[];
};

/* What the host is asked ahead (ahead.c). All [hostfs.lock]. */
#define AHEAD_DATA_MAX 16'384 /* bytes */
struct hostfs_ahead {
	struct inode *dir; /* owned; whose list it is, or null */
	char *list; /* packed entries; arena, owned */
	u32 size, at; /* of the list; the current entry, that of the next file */
	u32 last; /* the entry before it */
	u32 misses; /* look-ups in a row in this directory that were not expected */
	bool opening; /* files are opened, not only looked at */
	bool busy; /* transient; a step is under way */
	/* The current entry. */
	bool seen, opened; /* by the guest */
	bool failed; /* there is nothing to be had */
	bool looked; /* stx is valid */
	struct statx stx;
	s64 asked; /* sched_now() before the host was asked for it */
	u32 tid; /* for which task */
	int path_fd; /* transient; 1 + an O_PATH descriptor, charged; 0: none */
	int fd; /* transient; 1 + a descriptor for reading, charged; 0: none */
	/* The first bytes of the file that was opened last. */
	struct inode *file; /* owned, or null */
	char *data; /* AHEAD_DATA_MAX bytes; arena, owned; null until the first use */
	bool wanted; /* it is time to read them */
	s32 data_size; /* how many there are, -1: they have not been read */
	s64 data_asked; /* as `asked` */
	u32 data_tid;
};

/* The super's private part. */
struct hostfs {
	u32 flags; /* [I] HOSTFS_* */
	struct spin lock; /* class lc_hostfile */
	_Atomic bool no_nowait; /* [a] the host cannot say what is in memory */
	/* [lock] transient; nodes with descriptors that may be closed, the least recently used last
	 */
	struct list open;
	u32 open_count; /* [lock] transient; how many */
	int root_fd; /* [I] transient; 1 + an O_PATH descriptor of the root */
	int proc_fd; /* [I] transient; 1 + the kernel's descriptor of a host /proc, 0: none */
	int self_fd; /* [I] transient; 1 + an O_PATH descriptor of its self/fd, 0: none */
	struct hostfs_ahead ahead;
	struct list *files; /* [lock] HOSTFS_BUCKETS lists of regular files, if they may change */
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

/* An inode's private part. It is described by its name in its parent; the descriptors come and go.
 */
struct hostfs_node {
	struct inode *inode; /* [I] */
	struct inode *parent; /* [hostfs.lock] owned; null for the root */
	char *name; /* [hostfs.lock] owned */
	enum hostfs_state state; /* [I] */
	bool crosses; /* [hostfs.lock] on another host mount than its parent */
	u64 host_dev, mount_id; /* [I] */
	u64 blocks; /* [lc_inode_attr] */
	u64 asked_tsc; /* [lc_inode_attr] transient; when the host was asked for the attributes */
	u32 opener; /* [lc_inode_attr] transient; the task that opened it, until it asks for the
		     * attributes */
	u32 blksize; /* [I] */
	char *target; /* [lc_inode_attr] a symbolic link's, once read; owned */
	int fd; /* [hostfs.lock] transient; 1 + descriptor for reading, 0: none */
	int wfd; /* [hostfs.lock] transient; 1 + descriptor for writing, 0: none */
	bool wfd_reads; /* [hostfs.lock] transient; it can be read, too */
	u32 pins; /* [hostfs.lock] transient; users of the descriptors at this moment */
	u32 opens; /* [hostfs.lock] open files: the descriptors stay, for the name may go */
	bool path_only; /* [hostfs.lock] transient; the host denies reading this directory */
	struct list open_link; /* [hostfs.lock] transient; in hostfs.open */
	struct list file_link; /* [hostfs.lock] in hostfs.files */
};

static inline struct hostfs *hostfs_of(const struct super *sb)
{
	return sb->private;
}

static inline struct hostfs_node *hostfs_node_of(const struct inode *inode)
{
	return inode->private;
}

static inline bool hostfs_changes(const struct super *sb)
{
	return hostfs_of(sb)->flags & HOSTFS_REVALIDATE;
}

/* ---- node.c ---- */

/*
 * An inode for what stx describes and stands at name in parent (null for the root). A regular file
 * of a tree that may change has one inode, whatever its names. asked_tsc: as of
 * hostfs_set_attributes.
 */
[[nodiscard]] int hostfs_node_get(struct super *sb, struct inode *parent, const char *name,
				  enum hostfs_state state, const struct statx *stx, u64 asked_tsc,
				  struct inode **ret);
struct inode *hostfs_evict(struct inode *inode);
/* The host was asked for stx at time-stamp asked_tsc, or later; 0: it is not known when. */
void hostfs_set_attributes(struct inode *inode, const struct statx *stx, u64 asked_tsc);
/* stx describes the very file of inode. */
bool hostfs_same_file(const struct inode *inode, const struct statx *stx);
/* Where a node is: a reference to its parent (null for the root), its name in NAME_MAX_GUEST + 1
 * bytes. */
struct inode *hostfs_place(struct hostfs_node *n, char *ret_name, bool *ret_crosses);
bool hostfs_is_at(struct hostfs_node *n, const struct inode *parent, const char *name);
/* It is at name in parent now. If memory is short, it stays where it was. */
void hostfs_move(struct hostfs_node *n, struct inode *parent, const char *name);
/* Look at name in dirfd: attributes, and whether to use it. */
[[nodiscard]] int hostfs_look(int dirfd, const struct hostfs_node *dir, const char *name,
			      struct statx *ret_stx, enum hostfs_state *ret_state);
bool hostfs_ordinary(u64 f_type);

/* ---- fd.c ---- */

/* The descriptor for reading, pinned, if it is open; else -1. */
int hostfs_fd_try(struct inode *inode);
/* Close one descriptor that nobody uses, if there are more than we want to keep. */
bool hostfs_trim(struct hostfs *fs);
/* Open the regular file that an O_PATH descriptor holds. */
[[nodiscard]] int hostfs_reopen(const struct hostfs *fs, int path_fd, int flags);
/* The descriptor for reading (directories and regular files), opened if need be, pinned. */
[[nodiscard]] int hostfs_fd_get(struct inode *inode);
/* The descriptor of a regular file for writing, pinned; readable if it is to be. */
[[nodiscard]] int hostfs_wfd_get(struct inode *inode, bool readable);
/* The descriptor with which file f is read; pinned. */
[[nodiscard]] int hostfs_file_fd_get(struct file *f);
void hostfs_fd_put(struct inode *inode);
/* Ask the host for the attributes (STATX_BASIC_STATS and the time of birth) of the very file. */
[[nodiscard]] int hostfs_ask(struct inode *inode, struct statx *ret_stx);
/* A new descriptor, perhaps an O_PATH one, of a file of any kind, to change its attributes;
 * uncharged. */
[[nodiscard]] int hostfs_attr_fd(struct inode *inode);
/* Keep the descriptors that the node has: an open file needs them. drop: one less does. */
void hostfs_hold(struct inode *inode);
void hostfs_drop(struct inode *inode);
/* A descriptor (charged) that was got by making the file. */
void hostfs_give_wfd(struct inode *inode, int fd);
/* Close all descriptors of a node that goes. */
void hostfs_close(struct hostfs *fs, struct hostfs_node *n);
/* Open one name relative to dirfd, as openat2 with the restrictions of hostfs. */
[[nodiscard]] int hostfs_open_one(int dirfd, const char *name, int flags, u32 mode, bool crosses);
/* A path to descriptor fd, relative to *ret_dirfd. */
#define FD_PATH_SIZE 40
void hostfs_fd_path(const struct hostfs *fs, int fd, int *ret_dirfd, char buf[FD_PATH_SIZE]);

/* ---- names.c: the inode_ops that change directories ---- */

int hostfs_make_file(struct subject *s, struct inode *dir, const char *name, u32 mode,
		     struct inode **ret_inode);
int hostfs_make_dir(struct subject *s, struct inode *dir, const char *name, u32 mode,
		    struct inode **ret_inode);
int hostfs_make_symlink(struct subject *s, struct inode *dir, const char *name, const char *target,
			struct inode **ret_inode);
int hostfs_link(struct subject *s, struct inode *inode, struct inode *dir, const char *name);
int hostfs_unlink(struct subject *s, struct inode *dir, const char *name, struct inode *victim);
int hostfs_rmdir(struct subject *s, struct inode *dir, const char *name, struct inode *victim);
int hostfs_rename(struct subject *s, struct inode *old_dir, const char *old_name,
		  struct inode *victim, struct inode *new_dir, const char *new_name,
		  struct inode *target, u32 flags);

/* ---- inode.c ---- */

/* Look at the host's attributes again. Of a file that is gone, what was last seen stays. */
void hostfs_refresh(struct inode *inode);

/* ---- ahead.c ---- */

/* The guest was shown the entries in list, size bytes of struct host_dirents, of dir. */
void hostfs_ahead_list(struct inode *dir, const void *list, size_t size);
/* The host's answer for name in dir, if it was asked already and nothing can have changed; on the
 * host mount of dir. */
bool hostfs_ahead_look(struct subject *s, struct inode *dir, const char *name,
		       struct statx *ret_stx);
/* A guest opened it. */
void hostfs_ahead_opened(struct inode *inode);
/* Who opened it now asked for its attributes. */
void hostfs_ahead_stated(struct inode *inode);
/* A read of regular file f at pos, if the host was asked ahead for all that it gives: as
 * file_ops.read. Else -EAGAIN. */
ssize_t hostfs_ahead_read(struct subject *s, struct file *f, struct uio *to, s64 pos);
/* A descriptor of the regular file inode for reading, charged, if there is one, else -1. */
int hostfs_ahead_take_fd(struct inode *inode);
void hostfs_ahead_fini(struct hostfs *fs);
bool hostfs_work_ahead(struct subject *s, struct super *sb); /* super_ops.work_ahead */

/* ---- file.c ---- */

DECLARE_OPS(struct file_ops, hostfs_file_ops);
DECLARE_OPS(struct file_ops, hostfs_dir_file_ops);
