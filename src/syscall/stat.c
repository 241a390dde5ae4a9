/* Attributes of files: the stat family, access, statfs. */

#include <fcntl.h>
#include <string.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <linux/stat.h>
#include <sys/sysmacros.h>

#include "syscall/util.h"
#include "syscall_protos.h"

/* struct stat of x86-64. */
struct stat_k {
	u64 dev, ino, nlink;
	u32 mode, uid, gid, pad;
	u64 rdev;
	s64 size, blksize, blocks;
	u64 atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
	s64 unused[3];
};

static int store_stat(struct task *t, struct uaddr addr, const struct kstat *k)
{
	struct stat_k st = {
		.dev = k->dev,
		.ino = k->ino,
		.nlink = k->nlink,
		.mode = k->mode,
		.uid = k->uid,
		.gid = k->gid,
		.rdev = k->rdev,
		.size = (s64)k->size,
		.blksize = (s64)k->blksize,
		.blocks = (s64)k->blocks,
		.atime = (u64)k->atime.tv_sec,
		.atime_nsec = (u64)k->atime.tv_nsec,
		.mtime = (u64)k->mtime.tv_sec,
		.mtime_nsec = (u64)k->mtime.tv_nsec,
		.ctime = (u64)k->ctime.tv_sec,
		.ctime_nsec = (u64)k->ctime.tv_nsec,
	};

	_Static_assert(sizeof(struct stat_k) == 144, "layout of struct stat");
	return copy_out_late(&t->subject, addr, &st, sizeof(st));
}

/* An open file's attributes: of its inode, whatever became of its name. */
static int file_getattr(struct task *t, struct file *f, struct kstat *ret)
{
	if (f->path.mnt)
		return vfs_getattr(&t->subject, &f->path, ret);
	return inode_getattr(&t->subject, f->inode, ret);
}

static int fd_getattr(struct task *t, int fd, struct kstat *ret)
{
	struct file *f = file_lookup_any(t, fd);
	int err;

	if (!f)
		return -EBADF;
	err = file_getattr(t, f, ret);
	file_put(f);
	return err;
}

/* fstatat's look-up. flags are checked. */
static int getattr_at(struct task *t, int dirfd, struct uaddr upath, int flags, struct kstat *ret)
{
	UNINIT char name[PATH_MAX_GUEST];
	u32 walk = flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW;
	struct path p;
	int err = 0;

	if (flags & AT_EMPTY_PATH && uaddr_is_null(upath))
		name[0] = '\0';
	else
		err = fetch_path(t, upath, name);
	if (err)
		return err;
	if (flags & AT_EMPTY_PATH && !name[0]) {
		if (dirfd != AT_FDCWD)
			return fd_getattr(t, dirfd, ret);
		fs_context_get_cwd(t->subject.fs, &p);
	} else {
		err = path_walk(&t->subject, dirfd, name, walk, &p);
		if (err)
			return err;
	}
	err = vfs_getattr(&t->subject, &p, ret);
	path_put(&p);
	return err;
}

static long do_stat(struct task *t, int dirfd, struct uaddr path, struct uaddr st, int flags)
{
	struct kstat k;
	int err = getattr_at(t, dirfd, path, flags, &k);

	return err ? err : store_stat(t, st, &k);
}

long sys_stat(struct task *t, struct uaddr path, struct uaddr st)
{
	return do_stat(t, AT_FDCWD, path, st, 0);
}

long sys_lstat(struct task *t, struct uaddr path, struct uaddr st)
{
	return do_stat(t, AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

long sys_fstat(struct task *t, int fd, struct uaddr st)
{
	struct kstat k;
	int err = fd_getattr(t, fd, &k);

	return err ? err : store_stat(t, st, &k);
}

long sys_newfstatat(struct task *t, int dirfd, struct uaddr path, struct uaddr st, int flags)
{
	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH))
		return -EINVAL;
	return do_stat(t, dirfd, path, st, flags);
}

static struct statx_timestamp statx_time(const struct timespec *ts)
{
	return (struct statx_timestamp){ .tv_sec = ts->tv_sec, .tv_nsec = (u32)ts->tv_nsec };
}

long sys_statx(struct task *t, int dirfd, struct uaddr path, int flags, u32 mask, struct uaddr ustx)
{
	struct kstat k;
	struct statx stx = {};
	int err;

	if (mask & STATX__RESERVED)
		return -EINVAL;
	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE) ||
	    (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
		return -EINVAL;
	err = getattr_at(t, dirfd, path, flags, &k);
	if (err)
		return err;
	stx.stx_mask = STATX_BASIC_STATS | (k.has_btime ? STATX_BTIME : 0);
	stx.stx_blksize = (u32)k.blksize;
	stx.stx_nlink = k.nlink;
	stx.stx_uid = k.uid;
	stx.stx_gid = k.gid;
	stx.stx_mode = (u16)k.mode;
	stx.stx_ino = k.ino;
	stx.stx_size = k.size;
	stx.stx_blocks = k.blocks;
	stx.stx_atime = statx_time(&k.atime);
	stx.stx_mtime = statx_time(&k.mtime);
	stx.stx_ctime = statx_time(&k.ctime);
	if (k.has_btime)
		stx.stx_btime = statx_time(&k.btime);
	stx.stx_dev_major = major(k.dev);
	stx.stx_dev_minor = minor(k.dev);
	stx.stx_rdev_major = major(k.rdev);
	stx.stx_rdev_minor = minor(k.rdev);
	return copy_out_late(&t->subject, ustx, &stx, sizeof(stx));
}

/* ---- access ---- */

/* Credentials that decide by the real ids, as access(2) wants; null: the task's own do, or memory
 * is short (*err). */
static struct cred *real_cred(struct task *t, int *err)
{
	const struct cred *c = t->subject.cred;
	u64 caps = c->uid ? 0 : c->cap_permitted;
	struct cred *real;

	if (c->securebits & (1U << SECURE_NO_SETUID_FIXUP))
		caps = c->cap_effective;
	if (c->fsuid == c->uid && c->fsgid == c->gid && caps == c->cap_effective)
		return NULL;
	real = cred_dup(c);
	if (!real) {
		*err = -ENOMEM;
		return NULL;
	}
	real->fsuid = c->uid;
	real->fsgid = c->gid;
	real->cap_effective = caps;
	return real;
}

static const struct cred *swap_cred(struct task *t, const struct cred *new)
{
	const struct cred *old = t->subject.cred;

	task_lock(t);
	t->subject.cred = new;
	task_unlock(t);
	return old;
}

static long do_access(struct task *t, int dirfd, struct uaddr path, int mode, int flags)
{
	const struct cred *own = NULL;
	struct cred *real = NULL;
	struct path p;
	int err = 0;

	if (mode & ~(R_OK | W_OK | X_OK) ||
	    flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (!(flags & AT_EACCESS))
		real = real_cred(t, &err);
	if (err)
		return err;
	if (real)
		own = swap_cred(t, real);
	err = resolve_at(t, dirfd, path, flags, 0, &p);
	if (!err) {
		if (mode)
			err = vfs_permission(&t->subject, &p, mode);
		path_put(&p);
	}
	if (real) {
		swap_cred(t, own);
		cred_put(real);
	}
	return err;
}

long sys_access(struct task *t, struct uaddr path, int mode)
{
	return do_access(t, AT_FDCWD, path, mode, 0);
}

long sys_faccessat(struct task *t, int dirfd, struct uaddr path, int mode)
{
	return do_access(t, dirfd, path, mode, 0);
}

long sys_faccessat2(struct task *t, int dirfd, struct uaddr path, int mode, int flags)
{
	return do_access(t, dirfd, path, mode, flags);
}

/* ---- statfs ---- */

static long store_statfs(struct task *t, const struct path *p, struct uaddr buf)
{
	struct host_statfs st;
	int err;

	_Static_assert(sizeof(struct host_statfs) == 120, "layout of struct statfs");
	err = vfs_statfs(&t->subject, p, &st);
	return err ? err : copy_out_late(&t->subject, buf, &st, sizeof(st));
}

long sys_statfs(struct task *t, struct uaddr path, struct uaddr buf)
{
	struct path p;
	long ret = resolve_at(t, AT_FDCWD, path, 0, 0, &p);

	if (ret)
		return ret;
	ret = store_statfs(t, &p, buf);
	path_put(&p);
	return ret;
}

long sys_fstatfs(struct task *t, int fd, struct uaddr buf)
{
	struct file *f = file_lookup_any(t, fd);
	long ret;

	if (!f)
		return -EBADF;
	ret = store_statfs(t, &f->path, buf);
	file_put(f);
	return ret;
}
