/* Changing attributes: mode, owner, times, size. */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "syscall/util.h"
#include "syscall_protos.h"

static long setattr_at(struct task *t, int dirfd, struct uaddr path, int flags,
		       const struct iattr *attr)
{
	struct path p;
	int err = resolve_at(t, dirfd, path, flags, 0, &p);

	if (err)
		return err;
	err = p.mnt ? vfs_setattr(&t->subject, &p, attr) : -EPERM;
	path_put(&p);
	return err;
}

static long setattr_fd(struct task *t, int fd, const struct iattr *attr)
{
	struct file *f = file_lookup(t, fd);
	int err;

	if (!f)
		return -EBADF;
	/* Files without a name have attributes too, but not those that only are an anonymous inode.
	 */
	if (f->path.mnt || f->inode->mode & S_IFMT)
		err = vfs_setattr(&t->subject, &f->path, attr);
	else
		err = -EPERM;
	file_put(f);
	return err;
}

/* ---- mode and owner ---- */

long sys_fchmodat2(struct task *t, int dirfd, struct uaddr path, u32 mode, int flags)
{
	struct iattr attr = { .valid = ATTR_MODE, .mode = mode & 07777 };

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return setattr_at(t, dirfd, path, flags, &attr);
}

long sys_fchmodat(struct task *t, int dirfd, struct uaddr path, u32 mode)
{
	return sys_fchmodat2(t, dirfd, path, mode, 0);
}

long sys_chmod(struct task *t, struct uaddr path, u32 mode)
{
	return sys_fchmodat2(t, AT_FDCWD, path, mode, 0);
}

long sys_fchmod(struct task *t, int fd, u32 mode)
{
	struct iattr attr = { .valid = ATTR_MODE, .mode = mode & 07777 };

	return setattr_fd(t, fd, &attr);
}

static struct iattr owner_attr(u32 uid, u32 gid)
{
	struct iattr attr = { .valid = ATTR_KILL_PRIV, .uid = uid, .gid = gid };

	if (uid != (u32)-1)
		attr.valid |= ATTR_UID;
	if (gid != (u32)-1)
		attr.valid |= ATTR_GID;
	return attr;
}

long sys_fchownat(struct task *t, int dirfd, struct uaddr path, u32 uid, u32 gid, int flags)
{
	struct iattr attr = owner_attr(uid, gid);

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return setattr_at(t, dirfd, path, flags, &attr);
}

long sys_chown(struct task *t, struct uaddr path, u32 uid, u32 gid)
{
	return sys_fchownat(t, AT_FDCWD, path, uid, gid, 0);
}

long sys_lchown(struct task *t, struct uaddr path, u32 uid, u32 gid)
{
	return sys_fchownat(t, AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

long sys_fchown(struct task *t, int fd, u32 uid, u32 gid)
{
	struct iattr attr = owner_attr(uid, gid);

	return setattr_fd(t, fd, &attr);
}

/* ---- times ---- */

/* One time of utimensat: UTIME_NOW and UTIME_OMIT resolved. */
static int decode_time(const struct timespec *in, u32 bit, struct iattr *attr, struct timespec *ret)
{
	if (in->tv_nsec == UTIME_OMIT)
		return 0;
	if (in->tv_nsec == UTIME_NOW)
		*ret = vfs_now();
	else if (in->tv_nsec < 0 || in->tv_nsec >= 1'000'000'000)
		return -EINVAL;
	else
		*ret = *in;
	attr->valid |= bit;
	return 0;
}

/* times: null means now, twice. */
static long do_utimens(struct task *t, int dirfd, struct uaddr path, const struct timespec times[2],
		       int flags)
{
	static const struct timespec now[2] = { { .tv_nsec = UTIME_NOW },
						{ .tv_nsec = UTIME_NOW } };
	struct iattr attr = {};

	if (!times)
		times = now;
	if (decode_time(&times[0], ATTR_ATIME, &attr, &attr.atime) ||
	    decode_time(&times[1], ATTR_MTIME, &attr, &attr.mtime))
		return -EINVAL;
	if (times[0].tv_nsec == UTIME_NOW && times[1].tv_nsec == UTIME_NOW)
		attr.valid |= ATTR_TOUCH;
	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (!attr.valid)
		return 0;
	/* Without a path, the descriptor itself. */
	if (uaddr_is_null(path) && dirfd != AT_FDCWD)
		return flags ? -EINVAL : setattr_fd(t, dirfd, &attr);
	return setattr_at(t, dirfd, path, flags, &attr);
}

long sys_utimensat(struct task *t, int dirfd, struct uaddr path, struct uaddr utimes, int flags)
{
	struct timespec times[2];
	int err;

	if (uaddr_is_null(utimes))
		return do_utimens(t, dirfd, path, NULL, flags);
	err = copy_in(&t->subject, times, utimes, sizeof(times));
	return err ? err : do_utimens(t, dirfd, path, times, flags);
}

long sys_futimesat(struct task *t, int dirfd, struct uaddr path, struct uaddr utimes)
{
	struct timeval tv[2];
	struct timespec times[2];
	int err;

	if (uaddr_is_null(utimes))
		return do_utimens(t, dirfd, path, NULL, 0);
	err = copy_in(&t->subject, tv, utimes, sizeof(tv));
	if (err)
		return err;
	for (int i = 0; i < 2; i++) {
		if (tv[i].tv_usec < 0 || tv[i].tv_usec >= 1'000'000)
			return -EINVAL;
		times[i] = (struct timespec){ .tv_sec = tv[i].tv_sec,
					      .tv_nsec = tv[i].tv_usec * 1000 };
	}
	return do_utimens(t, dirfd, path, times, 0);
}

long sys_utimes(struct task *t, struct uaddr path, struct uaddr times)
{
	return sys_futimesat(t, AT_FDCWD, path, times);
}

long sys_utime(struct task *t, struct uaddr path, struct uaddr utimes)
{
	s64 seconds[2];
	int err;

	if (uaddr_is_null(utimes))
		return do_utimens(t, AT_FDCWD, path, NULL, 0);
	err = copy_in(&t->subject, seconds, utimes, sizeof(seconds));
	if (err)
		return err;
	return do_utimens(
		t, AT_FDCWD, path,
		(struct timespec[2]){ { .tv_sec = seconds[0] }, { .tv_sec = seconds[1] } }, 0);
}

/* ---- size ---- */

/* SIGXFSZ of a size beyond the limit. */
static long size_result(struct task *t, long ret, u64 size)
{
	siginfo_t info;

	if (ret == -EFBIG && size > rlimit_get(t->subject.rlimits, RLIMIT_FSIZE)) {
		siginfo_user(&info, SIGXFSZ, SI_USER, t, t);
		(void)signal_send_task(t, &info);
	}
	return ret;
}

long sys_truncate(struct task *t, struct uaddr path, s64 size)
{
	struct path p;
	int err;

	if (size < 0)
		return -EINVAL;
	err = resolve_at(t, AT_FDCWD, path, 0, 0, &p);
	if (err)
		return err;
	err = p.mnt ? vfs_truncate(&t->subject, &p, size) : -EINVAL;
	path_put(&p);
	return size_result(t, err, (u64)size);
}

long sys_ftruncate(struct task *t, int fd, s64 size)
{
	struct file *f;
	int err;

	if (size < 0)
		return -EINVAL;
	f = file_lookup(t, fd);
	if (!f)
		return -EBADF;
	err = file_truncate(&t->subject, f, size);
	file_put(f);
	return size_result(t, err, (u64)size);
}

long sys_fallocate(struct task *t, int fd, int mode, s64 offset, s64 size)
{
	struct file *f = file_lookup(t, fd);
	s64 end;
	long ret;

	if (!f)
		return -EBADF;
	if (offset < 0 || size <= 0)
		ret = -EINVAL;
	else if (!f->writable)
		ret = -EBADF;
	else if (__builtin_add_overflow(offset, size, &end) && S_ISREG(f->inode->mode))
		ret = -EFBIG;
	else
		ret = size_result(t, file_fallocate(&t->subject, f, mode, offset, size), (u64)end);
	file_put(f);
	return ret;
}
