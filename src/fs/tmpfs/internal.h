#pragma once

/* What the files of tmpfs share. */

#include "fs/tmpfs/tmpfs.h"
#include "sched/lock_order.h"
#include "vfs/nametab.h"
#include "vfs/vfs.h"

struct host_file;

#define TMPFS_MAX_SIZE INT64_MAX
#define TMPFS_SEAL_EXEC 0x20U /* F_SEAL_EXEC: later than Linux 6.1 */
#define TMPFS_INLINE_MAX 65'536 /* from this size on, data are in a memfd */

struct tmpfs {
	struct spin lock; /* class lc_fs: emptiness and death of directories, list of directories */
	struct list dirs; /* [lc_fs] all directories */
	struct inode *root; /* [I] owned */
	_Atomic u64 used; /* [a] bytes charged */
	u64 limit; /* [I] */
	_Atomic u64 inodes; /* [a] */
	u64 inode_limit; /* [I] */
	int proc_fd; /* 1 + the descriptor; transient */
	_Atomic u32 windows; /* [a] transient */
};

static inline struct tmpfs *tmpfs_of(const struct super *sb)
{
	return sb->private;
}

/* ---- dir.c: the names in a directory ---- */

struct tmpfs_dir {
	struct inode *inode; /* [I] */
	struct list all; /* [lc_fs] in tmpfs->dirs */
	/* Changed with both the directory's lock and lc_fs held, and read with either. */
	struct nametab names;
	bool dead; /* [lc_fs] removed: takes no more names */
};

static inline struct tmpfs_dir *tmpfs_dir_of(const struct inode *inode)
{
	return inode->private;
}

[[nodiscard]] int tmpfs_dir_init(struct inode *inode);
void tmpfs_dir_evict(struct inode *inode);
struct nametab_entry *tmpfs_dir_find(struct inode *dir, const char *name);
/* An entry not yet in any directory; takes a reference to inode. */
struct nametab_entry *tmpfs_entry_create(struct inode *dir, const char *name, struct inode *inode);
/* Put e in; -ENOENT if dir is dead. */
[[nodiscard]] int tmpfs_dir_insert(struct inode *dir, struct nametab_entry *e) REQUIRES(lc_fs);
void tmpfs_dir_erase(struct inode *dir, struct nametab_entry *e) REQUIRES(lc_fs);
/* Mark an empty directory dead; -ENOTEMPTY. */
[[nodiscard]] int tmpfs_dir_kill(struct inode *dir) REQUIRES(lc_fs);
/* Empty all directories of a super that nobody uses any more. */
void tmpfs_dirs_destroy(struct super *sb);
DECLARE_OPS(struct file_ops, tmpfs_dir_file_ops);

/* ---- data.c: the contents of a regular file ---- */

struct tmpfs_data {
	struct mutex lock; /* class lc_mappable */
	char *buf; /* [lock] arena: the data, while there is no memfd; zeros from the size on */
	size_t room; /* [lock] bytes at buf */
	bool in_memory_file; /* [lock] data are in mem */
	struct host_file *mem, *mem_readonly; /* [lock] transient; owned; once made they stay */
	u64 charged; /* [lock] bytes charged to the super */
	u64 unsettled; /* [lock] of these, charged since last compared with what the host has */
	u64 dense; /* [lock] transient; before this there is no hole in mem */
	bool lent; /* [lock] mem was given to others, who may punch holes: dense stays 0 */
	_Atomic u32 seals; /* [a] F_SEAL_*; those of mem too */
	struct tmpfs_window *window; /* [lock] transient; owned; made by large reads */
	u32 huge; /* [I] page size of a memfd with MFD_HUGETLB: it cannot be mapped nor written */
};

static inline struct tmpfs_data *tmpfs_data_of(const struct inode *inode)
{
	return inode->private;
}

[[nodiscard]] int tmpfs_data_init(struct inode *inode);
void tmpfs_data_evict(struct inode *inode);
/* At most size bytes at off; 0 at the end. */
ssize_t tmpfs_data_read(struct inode *inode, char *buf, size_t size, u64 off);
/* All size bytes (at most BOUNCE_MAX), or -ENOSPC and the like; grows the file. */
ssize_t tmpfs_data_write(struct inode *inode, const char *buf, size_t size, u64 off);
[[nodiscard]] int tmpfs_data_resize(struct inode *inode, u64 size);
[[nodiscard]] int tmpfs_data_fallocate(struct inode *inode, int mode, u64 off, u64 len);
s64 tmpfs_data_seek(struct inode *inode, s64 off, int whence);
/* The descriptor of the memory, pinned; tmpfs_data_fd_put unpins. */
[[nodiscard]] int tmpfs_data_fd_get(struct inode *inode, bool readonly, int *ret_fd);
void tmpfs_data_fd_put(struct inode *inode, int fd);
u64 tmpfs_data_bytes(struct inode *inode); /* allocated */
/* Of a new inode that nobody else knows: its memory becomes a memfd that can be sealed. */
[[nodiscard]] int tmpfs_data_make_sealable(struct inode *inode, u32 huge);
u32 tmpfs_data_seals(const struct inode *inode);
/* Add seals. -EBUSY. */
[[nodiscard]] int tmpfs_data_seal(struct inode *inode, u32 seals);

/* ---- window.c ---- */

struct tmpfs_window;

/*
 * Up to size bytes at off, mapped for host calls to read; what was cut off meanwhile faults.
 * Returns how many, 0: they cannot be had so. *ret is for tmpfs_window_put (null is fine).
 */
size_t tmpfs_window_get(struct inode *inode, u64 off, u64 size, struct tmpfs_window **ret,
			const char **ret_at);
void tmpfs_window_put(struct tmpfs_window *w);

/* ---- inode.c ---- */

/* An inode of the type in mode, with empty contents. */
[[nodiscard]] int tmpfs_inode_create(struct super *sb, u32 mode, u32 uid, u32 gid, u64 rdev,
				     struct inode **ret);
