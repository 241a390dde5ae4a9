#pragma once

/*
 * The virtual file system: mounts, dentries, inodes, open files, as in Linux. This header holds the
 * structs and the ops that file systems fill in; path.h the walk and the namespace operations;
 * fdtable.h descriptor tables.
 *
 * References: an open file holds its path (mount + dentry); a dentry holds its inode and its
 * parent; a mount holds its root dentry. Ops may park unless said otherwise; they are called
 * without short locks, with the sleeping locks named.
 */

#include <sys/stat.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/ops.h"
#include "base/refcount.h"
#include "base/types.h"
#include "cred/subject.h"
#include "mm/mm.h"
#include "sched/lock_order.h"
#include "sched/waitq.h"

struct dentry;
struct dir_context;
struct epitem;
struct file;
struct file_locks;
struct inode;
struct mount;
struct strbuf;
struct super;
struct uio;
struct xattrs;

#define NAME_MAX_GUEST 255
#define PATH_MAX_GUEST 4096
#define O_LARGEFILE_ABI \
	0100000 /* what O_LARGEFILE is to a guest, and F_GETFL shows; libc says 0 \
		 */
#define MAX_RW_COUNT (0x7fff'ffffUL & PAGE_MASK)

struct path {
	struct mount *mnt; /* null: a file without a name (pipe, eventfd, inherited stdio) */
	struct dentry *dentry;
};

/* Attributes to change: bits of valid, as notify_change in Linux. */
struct iattr {
	u32 valid; /* ATTR_* */
	u32 mode, uid, gid;
	u64 size;
	struct timespec atime, mtime; /* tv_nsec UTIME_NOW already resolved */
};
enum {
	ATTR_MODE = 1,
	ATTR_UID = 2,
	ATTR_GID = 4,
	ATTR_SIZE = 8,
	ATTR_ATIME = 16,
	ATTR_MTIME = 32,
	/* The times are both "now" (utimensat with null, or UTIME_NOW twice): write permission is
	   enough. */
	ATTR_TOUCH = 64,
	/* chown, even if it leaves both ids: setuid and setgid go. */
	ATTR_KILL_PRIV = 128,
};

/* Attributes as stat shows them. */
struct kstat {
	u32 mode, nlink, uid, gid;
	u64 dev, rdev, ino, size, blocks, blksize;
	u64 mount; /* of a host file: the number of its mount on the host; else 0 */
	struct timespec atime, mtime, ctime, btime;
	bool has_btime;
};

/* As struct statfs of x86-64, so that it can be copied out as it is. */
struct host_statfs {
	u64 type, bsize, blocks, bfree, bavail, files, ffree;
	u32 fsid[2];
	u64 namelen, frsize, flags;
	u64 spare[4];
};

/* All with the inode's lock (lc_inode_dir for directories) held for change, but for getattr,
 * permission, readlink and lookup (dir lock held). Null ops give: lookup -ENOTDIR, others -EPERM.
 */
struct inode_ops {
	/* Find name; *ret_inode gets a reference, or null if there is no such name (a negative
	 * dentry). */
	int (*lookup)(struct subject *s, struct inode *dir, const char *name,
		      struct inode **ret_inode);
	int (*create)(struct subject *s, struct inode *dir, const char *name, u32 mode,
		      struct inode **ret_inode);
	int (*mknod)(struct subject *s, struct inode *dir, const char *name, u32 mode, u64 rdev,
		     struct inode **ret_inode);
	int (*mkdir)(struct subject *s, struct inode *dir, const char *name, u32 mode,
		     struct inode **ret_inode);
	int (*symlink)(struct subject *s, struct inode *dir, const char *name, const char *target,
		       struct inode **ret_inode);
	int (*link)(struct subject *s, struct inode *inode, struct inode *dir, const char *name);
	int (*unlink)(struct subject *s, struct inode *dir, const char *name, struct inode *victim);
	int (*rmdir)(struct subject *s, struct inode *dir, const char *name, struct inode *victim);
	/* An inode without a name (O_TMPFILE), nlink 0. Null: -EOPNOTSUPP. */
	int (*tmpfile)(struct subject *s, struct inode *dir, u32 mode, struct inode **ret_inode);
	/* flags: RENAME_NOREPLACE (checked by the caller), RENAME_EXCHANGE, RENAME_WHITEOUT. target
	 * is null if new_name is free. */
	int (*rename)(struct subject *s, struct inode *old_dir, const char *old_name,
		      struct inode *victim, struct inode *new_dir, const char *new_name,
		      struct inode *target, u32 flags);
	/* The target of a symbolic link, NUL-terminated; -ENAMETOOLONG if size is short. Returns
	 * its length. */
	ssize_t (*readlink)(struct subject *s, struct inode *inode, char *buf, size_t size);
	/* Magic links (/proc/self/exe, fd): the path itself, with references. Null: use readlink.
	 */
	int (*follow)(struct subject *s, struct inode *inode, struct path *ret_path);
	/* Null: from the inode's fields. */
	int (*getattr)(struct subject *s, struct inode *inode, struct kstat *ret);
	int (*setattr)(struct subject *s, struct inode *inode, const struct iattr *attr);
	/* mask: R_OK|W_OK|X_OK. Null: generic_permission (mode bits and capabilities). */
	int (*permission)(struct subject *s, struct inode *inode, int mask);
	/*
	 * Extended attributes; of the name, its name space has been checked (user, trusted,
	 * security), and permission. The inode's lock held for reading too. size 0: how much is
	 * needed. Names of the list end with a NUL. -ENODATA, -ERANGE. Null: -EOPNOTSUPP, but an
	 * empty list.
	 */
	ssize_t (*getxattr)(struct subject *s, struct inode *inode, const char *name, void *buf,
			    size_t size);
	ssize_t (*listxattr)(struct subject *s, struct inode *inode, char *buf, size_t size);
	/* flags: XATTR_CREATE, XATTR_REPLACE. Null value: remove it. */
	int (*setxattr)(struct subject *s, struct inode *inode, const char *name, const void *value,
			size_t size, int flags);
	/* Fill in file->ops and private data of a file being opened (file->inode, flags are set).
	 */
	int (*open)(struct subject *s, struct inode *inode, struct file *file);
	/* True if a cached dentry (positive or negative) for name in dir may still be used. Null:
	 * always. */
	bool (*revalidate)(struct subject *s, struct inode *dir, const char *name,
			   struct inode *inode);
	/*
	 * Last reference is gone (nlink may be 0: then the contents go too). Returns an inode that
	 * this one held, whose reference the caller drops next, or null: inodes that hold each
	 * other in a chain, as deep as a guest likes, then go without recursion.
	 */
	struct inode *(*evict)(struct inode *inode);
};

/* Ops of an open file. Null ops: read/write -EINVAL, lseek -ESPIPE, ioctl -ENOTTY, poll always
 * ready, mmap -ENODEV. */
struct file_ops {
	/* At *pos, which the op advances; for streams pos is null. Returns bytes, 0 at end, or an
	 * error (restart codes included). Data go through uio, which remembers how far it got.
	 * Nonblocking: file->flags & O_NONBLOCK. */
	ssize_t (*read)(struct subject *s, struct file *f, struct uio *to, s64 *pos);
	ssize_t (*write)(struct subject *s, struct file *f, struct uio *from, s64 *pos);
	/* Emit entries from ctx->pos on, through ctx->emit, until it returns false. Directory lock
	 * held. */
	int (*iterate)(struct subject *s, struct file *f, struct dir_context *ctx);
	/* The new position. file->pos is the caller's to set. */
	s64 (*lseek)(struct subject *s, struct file *f, s64 off, int whence);
	long (*ioctl)(struct subject *s, struct file *f, u32 cmd, u64 arg);
	/* Events now ready (EPOLL* bits). Must not park. */
	u32 (*poll)(struct file *f);
	/* The queue on which changes of poll are announced; null if it never changes. */
	struct waitq *(*waitq)(struct file *f);
	/* Mapping: see mappable_ops. */
	int (*host_fd_get)(struct file *f, bool shared, int *ret_fd);
	void (*host_fd_put)(struct file *f, int fd);
	int (*fsync)(struct subject *s, struct file *f, bool data_only);
	int (*truncate)(struct subject *s, struct file *f, s64 size);
	int (*fallocate)(struct subject *s, struct file *f, int mode, s64 off, s64 len);
	int (*setfl)(struct subject *s, struct file *f, u32 flags); /* F_SETFL; null: generic */
	void (*flush)(struct subject *s,
		      struct file *f); /* each close of a descriptor; s may be null */
	void (*release)(struct file *f); /* the last reference is gone */
	/* /proc/PID/fdinfo lines after pos, flags, mnt_id. */
	void (*show_fdinfo)(struct file *f, struct strbuf *out);
	/* /dev/zero: mmap of it means anonymous memory. mmap(2) then passes no file. */
	bool maps_anonymous;
	bool nowait; /* read and write heed uio.nowait, or never wait */
};

struct super_ops {
	int (*statfs)(struct super *sb, struct host_statfs *ret);
	void (*destroy)(struct super *sb);
	/*
	 * Optional. While guest code of s runs on a CPU of its own: do a step, of a few
	 * microseconds, of what s will probably ask for next. False if there is nothing to do.
	 */
	bool (*work_ahead)(struct subject *s, struct super *sb);
};

/* The names of a super that are remembered. A name in the cache holds one reference of its dentry.
 */
struct dcache {
	struct spin lock; /* class lc_dcache */
	struct hash_key key; /* [I] */
	struct list lru; /* [lc_dcache] least recently looked up last */
	struct list *buckets; /* [lc_dcache] arena array */
	u32 bucket_count; /* [lc_dcache] a power of two */
	u32 count; /* [lc_dcache] dentries in the cache */
};

/* A mounted instance of a file system. */
struct super {
	struct refcount refs;
	const struct super_ops *ops; /* [I] */
	char *type; /* [I] owned: "tmpfs" */
	u64 dev; /* [I] device number */
	u64 magic; /* [I] f_type */
	struct dentry *root; /* [I] owned */
	void *private; /* [I] arena object */
	u32 flags; /* [I] SB_RDONLY, ... */
	_Atomic u32 mounts; /* [a] that show it, or a part of it */
	_Atomic u32 watches; /* [a] of inodes of this super (notify.h) */
	struct list watched; /* [dcache.lock] these watches */
	_Atomic u32 next_cookie; /* [a] for pairs of IN_MOVED_FROM and IN_MOVED_TO */
	_Atomic u64 next_ino; /* [a] for inode numbers made up */
	struct mutex rename_lock; /* class lc_rename: renames between directories */
	struct dcache dcache;
};
enum {
	SB_RDONLY = 1,
	SB_NOSUID = 2,
	SB_NODEV = 4,
	SB_NOEXEC = 8,
	/* Of mounts only, as MS_* and ST_*. */
	SB_NOSYMFOLLOW = 0x100,
	SB_NOATIME = 0x400,
	SB_NODIRATIME = 0x800,
	SB_STRICTATIME = 0x100'0000,
	SB_NOCACHE = 0x1'0000, /* names are looked up afresh each time (procfs) */
};

struct inode {
	struct refcount refs;
	struct super *sb; /* [I] not owned: an inode does not outlive its super */
	const struct inode_ops *ops; /* [I] */
	struct mutex lock; /* class lc_inode, or lc_inode_dir for directories */
	/* Class lc_inode_attr: to write the attributes below, and to read those that are not atomic
	 * or several that belong together. */
	struct spin attr_lock;
	u64 ino; /* [I] */
	_Atomic u32 mode; /* type bits are [I] */
	_Atomic u32 uid, gid, nlink;
	_Atomic u64 size; /* where the file system uses it */
	u64 rdev; /* [I] */
	struct timespec atime, mtime, ctime, btime; /* [lc_inode_attr] */
	void *private; /* [file system] arena object */
	struct list watches; /* [lc_inode_attr] who watches it (notify.c) */
	struct file_locks *locks; /* [a] made with the first lock (locks.c) */
	void *fifo; /* [lc_inode] struct pipe of a fifo */
	struct xattrs *xattrs; /* [inode lock] where the file system keeps them here; owned */
	_Atomic s32 writers; /* [a] files open for writing; negative: programs being run */
	_Atomic bool linkable; /* [a] of O_TMPFILE: may get its first name */
};

/* A name in a directory. The tree and the hash are protected by lc_dcache. */
struct dentry {
	struct refcount refs;
	struct super *sb; /* [I] */
	struct dentry *parent; /* [lc_dcache] owned; null for a root */
	struct inode *inode; /* [I] owned; null if negative */
	char *name; /* [lc_dcache] arena string */
	u32 name_len;
	u32 hash;
	struct list hash_link; /* [lc_dcache] beside what look-ups compare */
	struct list siblings; /* [lc_dcache] in parent->children while cached */
	struct list children; /* [lc_dcache] cached ones */
	struct list lru; /* [lc_dcache] */
	_Atomic u32 mounts; /* [a] how many mounts are on it; changed under lc_mounts */
	bool cached; /* [lc_dcache] to be found by look-ups */
	_Atomic bool dead; /* [a] the name was deleted; no new names below it */
};

struct mount {
	struct refcount refs;
	struct super *sb; /* [I] owned */
	struct dentry *root; /* [I] owned */
	struct mount *parent; /* [lc_mounts] null for the namespace's root */
	struct dentry *mountpoint; /* [lc_mounts] in parent; owned */
	struct mount_ns *ns; /* [lc_mounts] */
	struct list ns_link; /* [lc_mounts] */
	u32 flags; /* [a] MNT_RDONLY, ... as SB_* */
	u32 id; /* [I] */
	u32 copy; /* [lc_mounts] while a tree is copied: 1 + its index among the copies */
	_Atomic bool expired; /* [a] marked by umount2(MNT_EXPIRE), and not used since */
	char *source; /* [I] arena string */
};

struct mount_ns {
	struct refcount refs;
	struct mutex lock; /* class lc_mounts */
	u32 next_id, count; /* [lc_mounts] */
	struct mount *root; /* [lc_mounts] owned */
	struct list mounts; /* [lc_mounts] */
};

struct file {
	struct refcount refs;
	struct mappable mappable; /* [I] for mmap; ops OPS(file_mappable_ops) */
	const struct file_ops *ops; /* [I] after open */
	struct path path; /* [I] owned */
	struct inode *inode; /* [I] owned through path.dentry */
	u32 flags; /* [lc_file] O_* status flags; access mode is [I] */
	bool readable, writable; /* [I] */
	bool opened; /* [I] its opening was reported to those who watch, and its end will be */
	bool stream; /* [I] no position (pipe, tty, eventfd) */
	struct mutex pos_lock; /* class lc_file_pos */
	s64 pos; /* [pos_lock] */
	void *private; /* [I] the op's: arena object */
	const struct cred *cred; /* [I] opener; owned */
	_Atomic s32 write_claim; /* [a] its part of inode->writers: 1, 0 or -1 */
	struct spin lock; /* class lc_file */
	struct list epitems; /* [lc_file] epoll registrations on this file */
	struct fasync *fasync; /* [a] owned; made by F_SETOWN, F_SETSIG, O_ASYNC */
};

/* ---- files ---- */

/* A file over a path (takes its own references); ops are filled in by the inode's open. */
[[nodiscard]] int file_create(struct subject *s, const struct path *path, u32 flags,
			      struct file **ret);
/* A file without a name: anonymous inode (eventfd, epoll, pipe ends), shown in /proc as name, like
 * "pipe:[17]". */
[[nodiscard]] int file_create_anon(struct subject *s, const char *name, const struct file_ops *ops,
				   void *private, u32 flags, struct file **ret);
/* A file without a name over inode (takes its own reference), whose super, if any, stays for ever;
 * ops are the caller's to fill in. */
[[nodiscard]] int file_create_nameless(struct subject *s, const char *name, struct inode *inode,
				       u32 flags, struct file **ret);
struct file *file_get(struct file *f);
/* May park (release). Dropping the last reference to a file is deferred to system call exit by the
 * fd table. */
void file_put(struct file *f);
u32 file_poll(struct file *f);
/*
 * f's part in who may write to its inode: claim 1 counts it as a writer, -1 forbids writing while f
 * is open (a program that is run). Undone by file_put or file_unclaim. -ETXTBSY.
 */
[[nodiscard]] int file_claim(struct file *f, int claim);
void file_unclaim(struct file *f);
ssize_t file_read(struct subject *s, struct file *f, struct uio *to,
		  s64 *pos); /* checks mode; pos null: file->pos */
ssize_t file_write(struct subject *s, struct file *f, struct uio *from, s64 *pos);
/* lseek(2): moves f->pos. */
s64 file_lseek(struct subject *s, struct file *f, s64 off, int whence);
/* getdents: runs f's iterate from f->pos on and moves it. emit must not park nor touch guest memory
 * (fill a kernel buffer, copy it out afterwards). -ENOTDIR, -ENOENT (the directory is deleted), or
 * the op's error. */
[[nodiscard]] int file_iterate(struct subject *s, struct file *f, struct dir_context *ctx);
/* ftruncate(2), fallocate(2), fsync(2); f as opened by the guest. */
[[nodiscard]] int file_truncate(struct subject *s, struct file *f, s64 size);
[[nodiscard]] int file_fallocate(struct subject *s, struct file *f, int mode, s64 off, s64 len);
[[nodiscard]] int file_fsync(struct subject *s, struct file *f, bool data_only);
[[nodiscard]] int file_setfl(struct subject *s, struct file *f, u32 flags); /* F_SETFL */
/* Writes of from go to f's end. */
bool file_appends(const struct file *f, const struct uio *from);
/* For writes to files with a size limit: resolves O_APPEND, RLIMIT_FSIZE and max_size. Inode lock
 * held. Returns how many of count bytes of from may be written at *pos, or -EFBIG. */
[[nodiscard]] ssize_t file_write_room(struct subject *s, struct file *f, const struct uio *from,
				      s64 *pos, u64 count, s64 max_size);
/* lseek for a file of a known size; SEEK_DATA and SEEK_HOLE as for a file without holes. */
s64 generic_lseek(struct file *f, s64 off, int whence, s64 size);
void inode_get(struct inode *i);
void inode_put(struct inode *i);
/* A zeroed inode with one reference and given fields; times now. */
[[nodiscard]] struct inode *inode_create(struct super *sb, const struct inode_ops *ops, u64 ino,
					 u32 mode, u32 uid, u32 gid);
int generic_permission(struct subject *s, struct inode *inode, int mask);
/* The inode's own check (ops->permission) and that of a read-only super. */
int inode_permission(struct subject *s, struct inode *inode, int mask);
/* ops->getattr, or from the fields. */
int inode_getattr(struct subject *s, struct inode *inode, struct kstat *ret);
/* Fill in *ret from the fields. */
void inode_fill_kstat(struct inode *inode, struct kstat *ret);
/* Apply mode, uid, gid, atime, mtime of attr to the fields (not the size); ctime becomes now. */
void inode_set_fields(struct inode *inode, const struct iattr *attr);
/* Count one more writer (claim 1) or forbidder (-1) of writing: -ETXTBSY if there are others of the
 * other kind. inode_unclaim takes it back. */
[[nodiscard]] int inode_claim(struct inode *inode, int claim);
void inode_unclaim(struct inode *inode, int claim);
/* A write by others than the mighty takes setuid and setgid away. */
void inode_strip_privileges(struct subject *s, struct inode *inode);
/* Owner, group and mode of a new inode in dir (setgid directories). */
void inode_new_owner(struct subject *s, struct inode *dir, u32 *mode, u32 *ret_uid, u32 *ret_gid);
enum { TOUCH_ATIME = 1, TOUCH_MTIME = 2, TOUCH_CTIME = 4 };
void inode_touch(struct inode *inode,
		 u32 which); /* set to now; TOUCH_ATIME alone as relatime does */
void inode_add_nlink(struct inode *inode, int n); /* and ctime */
u64 super_new_ino(struct super *sb);
struct timespec vfs_now(void);
/* As capable() in Linux: cap in the root user namespace. A null subject or one without credentials
 * may all. */
bool subject_capable(struct subject *s, int cap);
bool inode_owner_or_capable(struct subject *s, struct inode *inode);
/* Drops all epoll registrations of f: a hook that ipc fills in. */
struct file_hooks {
	void (*epoll_release)(struct file *f);
};
DECLARE_OPS(struct file_hooks, epoll_file_hooks);
/* What src/kernel fills in: f->fasync goes. */
struct fasync_hooks {
	void (*release)(struct file *f);
};
DECLARE_OPS(struct fasync_hooks, kernel_fasync_hooks);

/* What ipc and net fill in. */
struct vfs_hooks {
	/* As inode_ops.open, for a fifo; its pipe hangs on inode->fifo while it is open (inode
	 * lock, lc_inode). */
	int (*fifo_open)(struct subject *s, struct inode *inode, struct file *file);
};
DECLARE_OPS(struct vfs_hooks, ipc_vfs_hooks);

/* ---- file systems ---- */

/*
 * A super without a root; private is destroyed by ops->destroy with the last reference. The caller
 * then makes the root inode and hands it to super_set_root (reference taken over, on failure too).
 */
[[nodiscard]] int super_create(const char *type, const struct super_ops *ops, u64 magic, u32 flags,
			       void *private, struct super **ret);
[[nodiscard]] int super_set_root(struct super *sb, struct inode *root);
void super_get(struct super *sb);
void super_put(struct super *sb); /* may park */

/* A system call of s has to do with sb, which may have an idea of what comes next. */
void vfs_expect(struct subject *s, struct super *sb);
/* A step of work ahead for s, whose guest code runs. False if there is nothing to do. */
bool vfs_work_ahead(struct subject *s);
/* The time for that is over. May park. */
void vfs_end_ahead(struct subject *s);

/*
 * Character devices: constant rows, found by device number when a node is opened.
 *
 *	DEFINE_CHRDEV(mem, .major = 1, .minor = 3, .count = 7, .open = mem_open);
 *
 * What makes the nodes refers to chrdev_mem, so that the linker takes it in.
 */
struct chrdev {
	u32 major, minor, count;
	int (*open)(struct subject *s, struct inode *inode, struct file *file);
};
#define DEFINE_CHRDEV(name, ...) \
	extern const struct chrdev chrdev_##name; \
	const struct chrdev chrdev_##name \
		__attribute__((section("donjon_chrdevs"), aligned(8), used)) = { __VA_ARGS__ }

/* ---- directories ---- */

struct dir_context {
	s64 pos; /* where to go on; the op advances it past what was emitted */
	/* False: no room, stop (the entry was not taken). */
	bool (*emit)(struct dir_context *ctx, const char *name, size_t len, u64 ino, s64 next_pos,
		     u8 type);
};

/* For iterate: "." and ".." at positions 0 and 1; entries proper start at 2. False: no room. */
bool dir_emit_dots(struct file *f, struct dir_context *ctx);
/* As file_ops.lseek: to any position that is not negative; SEEK_END is -EINVAL. */
s64 dir_lseek(struct subject *s, struct file *f, s64 off, int whence);
/* The inode number of ".." of an open directory. */
u64 file_parent_ino(const struct file *f);

/* ---- data ---- */

struct guest_iovec {
	struct uaddr base;
	u64 size;
};

/*
 * Where I/O data come from or go to: guest memory (an iovec of it) or a kernel buffer. Copies
 * advance it.
 */
struct uio {
	struct subject *subject;
	const struct guest_iovec *iov; /* guest memory; null for a kernel buffer */
	unsigned int iov_count, iov_index;
	u64 iov_offset; /* within the current element */
	char *buf; /* kernel buffer */
	u64 left; /* bytes to go */
	bool broken; /* a write ended early for -EPIPE, after some bytes: SIGPIPE is due */
	bool nowait; /* RWF_NOWAIT: -EAGAIN rather than wait; for files whose ops have it */
	bool append; /* RWF_APPEND: as with O_APPEND */
};
void uio_init_guest(struct uio *u, struct subject *s, const struct guest_iovec *iov,
		    unsigned int count, u64 total);
void uio_init_kernel(struct uio *u, void *buf, size_t size);
/* Copy at most size bytes between u and buf; returns bytes copied (short at a fault), -EFAULT if
 * none could be. No locks but sleeping ones that a fault cannot need; never under a short lock. */
ssize_t uio_copy_to(struct uio *u, const void *buf, size_t size); /* kernel data to the reader */
ssize_t uio_copy_from(struct uio *u, void *buf, size_t size); /* the writer's data to kernel */
/* Copy at most size bytes of a mapped file to a reader's guest memory, without touching them here.
 * Returns bytes copied, which may be fewer for a fault on either side; -EAGAIN: it can't be done.
 */
ssize_t uio_copy_mapped(struct uio *u, const void *at, size_t size);
/* Go back n bytes (a copy that the consumer did not take). */
void uio_revert(struct uio *u, size_t n);

/* A kernel buffer between uio and wherever the data are: small ones on the stack, else on the heap,
 * at most 64 KiB. */
#define BOUNCE_MAX 65'536
struct bounce {
	char *buf;
	size_t size; /* at least 1, perhaps less than wanted */
	char small[1024];
};
void bounce_init(struct bounce *b, u64 want);
void bounce_fini(struct bounce *b);
/* Writes size bytes of buf, or fewer, at *pos, which it advances. from: whose data they are. */
typedef ssize_t write_piece_op(struct file *f, const struct uio *from, const char *buf, size_t size,
			       s64 *pos);
/*
 * Write count bytes of from piece by piece, of which the first have (0: none) are in b already;
 * what was fetched and not written goes back to from. The file's locks that write needs are held:
 * guest memory is touched under them. Returns bytes written, or the error of the first piece.
 */
ssize_t bounce_write(struct file *f, struct uio *from, struct bounce *b, size_t have, size_t count,
		     s64 *pos, write_piece_op *write);
