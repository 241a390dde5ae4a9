/* Descriptors: duplicating, closing, fcntl, the ioctls that all files have, syncing. */

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "cred/user.h"
#include "fs/tmpfs/memfd.h"
#include "ipc/pipe.h"
#include "kernel/fasync.h"
#include "syscall/util.h"
#include "syscall_protos.h"
#include "vfs/locks.h"
#include "vfs/notify.h"

/* What F_SETFL may change. */
#define SETFL_FLAGS (O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME)

long sys_close(struct task *t, int fd)
{
	/* The descriptor is gone even if a signal came: never restarted. */
	return fd_close(&t->subject, fd);
}

long sys_close_range(struct task *t, u32 first, u32 last, u32 flags)
{
	if (flags & ~(u32)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last)
		return -EINVAL;
	if (flags & CLOSE_RANGE_UNSHARE && fdtable_users(t->subject.files) > 1) {
		struct fdtable *own, *old = t->subject.files;
		int err = fdtable_fork(old, UINT32_MAX, &own);

		if (err)
			return err;
		task_lock(t);
		t->subject.files = own;
		task_unlock(t);
		fdtable_put(old);
	}
	return fd_close_range(&t->subject, first, last, flags & CLOSE_RANGE_CLOEXEC);
}

/* ---- dup ---- */

static long dup_from(struct task *t, struct file *f, int min_fd, u32 flags)
{
	if (min_fd < 0 || (u64)min_fd >= rlimit_get(t->subject.rlimits, RLIMIT_NOFILE))
		return -EINVAL;
	return fd_install(&t->subject, f, min_fd, flags);
}

long sys_dup(struct task *t, int fd)
{
	struct file *f = file_lookup_any(t, fd);
	long ret;

	if (!f)
		return -EBADF;
	ret = fd_install(&t->subject, f, 0, 0);
	file_put(f);
	return ret;
}

static long dup_to(struct task *t, int old, int new, u32 flags)
{
	struct file *f = file_lookup_any(t, old);
	long ret;

	if (!f)
		return -EBADF;
	if (new < 0 || (u64) new >= rlimit_get(t->subject.rlimits, RLIMIT_NOFILE))
		ret = -EBADF;
	else
		ret = fd_install_at(&t->subject, f, new, flags);
	file_put(f);
	return ret < 0 ? ret : new;
}

long sys_dup2(struct task *t, int old, int new)
{
	if (old == new) {
		struct file *f = file_lookup_any(t, old);

		if (!f)
			return -EBADF;
		file_put(f);
		return new;
	}
	return dup_to(t, old, new, 0);
}

long sys_dup3(struct task *t, int old, int new, int flags)
{
	if (flags & ~O_CLOEXEC || old == new)
		return -EINVAL;
	return dup_to(t, old, new, flags & O_CLOEXEC ? FD_CLOEXEC_FLAG : 0);
}

/* ---- fcntl ---- */

static long fcntl_setfl(struct task *t, struct file *f, int fd, u32 arg)
{
	u32 flags = (f->flags & ~(u32)SETFL_FLAGS) | (arg & SETFL_FLAGS);
	int err = file_setfl(&t->subject, f, flags);

	return err ? err : fasync_update(f, fd);
}

/* F_SETOWN and FIOSETOWN: a process, or with a minus a group. */
static long set_owner(struct task *t, struct file *f, s32 who)
{
	struct file_owner_ex o = { .type = F_OWNER_PID, .pid = who };

	if (who == INT32_MIN)
		return -EINVAL;
	if (who < 0)
		o = (struct file_owner_ex){ .type = F_OWNER_PGRP, .pid = -who };
	return fasync_set_owner(t, f, &o);
}

static s32 get_owner(struct task *t, struct file *f)
{
	struct file_owner_ex o;

	fasync_get_owner(t, f, &o);
	return o.type == F_OWNER_PGRP ? -o.pid : o.pid;
}

static long fcntl_owner_ex(struct task *t, struct file *f, int cmd, u64 arg)
{
	struct file_owner_ex o;
	int err;

	if (cmd == F_GETOWN_EX) {
		fasync_get_owner(t, f, &o);
		return copy_out(&t->subject, UADDR(arg), &o, sizeof(o));
	}
	err = copy_in(&t->subject, &o, UADDR(arg), sizeof(o));
	if (err)
		return err;
	if (o.type < F_OWNER_TID || o.type > F_OWNER_PGRP)
		return -EINVAL;
	if (o.pid < 0)
		return -ESRCH;
	return fasync_set_owner(t, f, &o);
}

/* ---- locks ---- */

/* The bytes that a struct flock names, as flock64_to_posix_lock of Linux. */
static int decode_range(struct task *t, struct file *f, const struct flock *l,
			struct record_lock *ret)
{
	struct kstat k;
	s64 base = 0;
	int err;

	switch (l->l_whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		base = f->pos;
		break;
	case SEEK_END:
		err = inode_getattr(&t->subject, f->inode, &k);
		if (err)
			return err;
		base = (s64)k.size;
		break;
	default:
		return -EINVAL;
	}
	if (l->l_start > INT64_MAX - base)
		return -EOVERFLOW;
	ret->start = base + l->l_start;
	ret->end = INT64_MAX;
	if (ret->start < 0)
		return -EINVAL;
	if (l->l_len > 0) {
		if (l->l_len - 1 > INT64_MAX - ret->start)
			return -EOVERFLOW;
		ret->end = ret->start + (l->l_len - 1);
	} else if (l->l_len < 0) {
		if (ret->start + l->l_len < 0)
			return -EINVAL;
		ret->end = ret->start - 1;
		ret->start += l->l_len;
	}
	return 0;
}

/* Fetch and decode the lock of a command. */
static int fetch_lock(struct task *t, struct file *f, bool open_file, struct uaddr addr,
		      struct flock *ret_raw, struct record_lock *ret)
{
	int err = copy_in(&t->subject, ret_raw, addr, sizeof(*ret_raw));

	if (err)
		return err;
	*ret = (struct record_lock){ .type = ret_raw->l_type, .open_file = open_file };
	err = decode_range(t, f, ret_raw, ret);
	if (err)
		return err;
	if (ret->type != F_RDLCK && ret->type != F_WRLCK && ret->type != F_UNLCK)
		return -EINVAL;
	return open_file && ret_raw->l_pid ? -EINVAL : 0;
}

static long fcntl_getlk(struct task *t, struct file *f, int cmd, struct uaddr addr)
{
	struct record_lock lock;
	struct flock raw;
	int err = fetch_lock(t, f, cmd == F_OFD_GETLK, addr, &raw, &lock);

	if (err)
		return err;
	if (lock.type == F_UNLCK)
		return -EINVAL;
	lock_record_test(&t->subject, f, &lock);
	raw.l_type = (short)lock.type;
	if (lock.type != F_UNLCK) {
		raw.l_whence = SEEK_SET;
		raw.l_start = lock.start;
		raw.l_len = lock.end == INT64_MAX ? 0 : lock.end - lock.start + 1;
		raw.l_pid = lock.pid;
	}
	return copy_out(&t->subject, addr, &raw, sizeof(raw));
}

/* fd is closed, or another file by now: then its close may have come before the lock. */
static bool fd_changed(struct task *t, int fd, const struct file *f)
{
	struct file *now = file_lookup_any(t, fd);

	file_put(now);
	return now != f;
}

static long fcntl_setlk(struct task *t, int fd, struct file *f, int cmd, struct uaddr addr)
{
	bool open_file = cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW;
	struct record_lock lock;
	struct flock raw;
	int err = fetch_lock(t, f, open_file, addr, &raw, &lock);

	if (err)
		return err;
	if ((lock.type == F_RDLCK && !f->readable) || (lock.type == F_WRLCK && !f->writable))
		return -EBADF;
	err = lock_record(&t->subject, f, &lock, cmd == F_SETLKW || cmd == F_OFD_SETLKW);
	if (!err && lock.type != F_UNLCK && fd_changed(t, fd, f)) {
		lock.type = F_UNLCK;
		err = lock_record(&t->subject, f, &lock, false);
		return err ? err : -EBADF;
	}
	return task_restart(err, ERESTARTSYS);
}

long sys_flock(struct task *t, int fd, int op)
{
	static const int types[] = {
		[LOCK_SH] = F_RDLCK, [LOCK_EX] = F_WRLCK, [LOCK_UN] = F_UNLCK
	};
	int kind = op & ~LOCK_NB;
	struct file *f;
	long ret;

	/* LOCK_MAND, which nobody used: Linux says so in its log. */
	if (kind & 32)
		return 0;
	if (kind != LOCK_SH && kind != LOCK_EX && kind != LOCK_UN)
		return -EINVAL;
	f = file_lookup(t, fd);
	if (!f)
		return -EBADF;
	if (kind != LOCK_UN && !f->readable && !f->writable)
		ret = -EBADF;
	else
		ret = lock_whole_file(f, types[kind], !(op & LOCK_NB));
	file_put(f);
	return task_restart(ret, ERESTARTSYS);
}

static long fcntl_notify(struct task *t, struct file *f, int fd, u32 mask)
{
	struct user_table *users = kernel_get()->users;
	struct file *in = NULL;
	int err;

	if (!S_ISDIR(f->inode->mode))
		return -ENOTDIR;
	if (mask & ~(u32)DN_MULTISHOT) {
		struct user_usage *user = user_usage_get(t->user);

		err = inotify_create_file(&t->subject, users, user, 0, &in);
		if (err) {
			user_usage_put(users, user);
			return err == -EMFILE ? -ENOMEM : err;
		}
	}
	return fasync_watch_directory(t, f, fd, mask, in);
}

/* Commands on the file, not only the descriptor. */
static long fcntl_file(struct task *t, struct file *f, int fd, int cmd, u64 arg)
{
	switch (cmd) {
	case F_SETFL:
		return fcntl_setfl(t, f, fd, (u32)arg);
	case F_GETOWN:
		return get_owner(t, f);
	case F_SETOWN:
		return set_owner(t, f, (s32)arg);
	case F_GETOWN_EX:
	case F_SETOWN_EX:
		return fcntl_owner_ex(t, f, cmd, arg);
	case F_GETSIG:
		return fasync_get_signal(f);
	case F_SETSIG:
		return arg > GUEST_NSIG ? -EINVAL : fasync_set_signal(f, (int)arg);
	case F_GETPIPE_SZ:
	case F_SETPIPE_SZ:
		return pipe_fcntl(&t->subject, f, cmd, arg);
	case F_GETLEASE:
		return F_UNLCK; /* nobody has one */
	case F_NOTIFY:
		return fcntl_notify(t, f, fd, (u32)arg);
	case F_ADD_SEALS:
	case F_GET_SEALS:
		return memfd_fcntl(f, cmd, arg);
	case F_GETLK:
	case F_OFD_GETLK:
		return fcntl_getlk(t, f, cmd, UADDR(arg));
	default:
		return -EINVAL;
	}
}

long sys_fcntl(struct task *t, int fd, int cmd, u64 arg)
{
	u32 fd_flags;
	struct file *f = fd_get(t->subject.files, fd, &fd_flags);
	long ret;

	if (!f)
		return -EBADF;
	switch (cmd) {
	case F_DUPFD:
		ret = dup_from(t, f, (int)arg, 0);
		break;
	case F_DUPFD_CLOEXEC:
		ret = dup_from(t, f, (int)arg, FD_CLOEXEC_FLAG);
		break;
	case F_GETFD:
		ret = fd_flags & FD_CLOEXEC_FLAG;
		break;
	case F_SETFD:
		ret = fd_set_flags(t->subject.files, fd, arg & FD_CLOEXEC);
		break;
	case F_GETFL:
		ret = f->flags & ~(u32)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
		break;
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		ret = f->flags & O_PATH ? -EBADF : fcntl_setlk(t, fd, f, cmd, UADDR(arg));
		break;
	default:
		ret = f->flags & O_PATH ? -EBADF : fcntl_file(t, f, fd, cmd, arg);
	}
	file_put(f);
	return ret;
}

/* ---- ioctl ---- */

static long ioctl_set_flag(struct task *t, struct file *f, int fd, u64 arg, u32 flag)
{
	u32 on, flags = f->flags;
	int err = copy_in(&t->subject, &on, UADDR(arg), sizeof(on));

	if (err)
		return err;
	if (flag == O_ASYNC && (!on != !(flags & O_ASYNC)) && !f->ops->waitq)
		return -ENOTTY;
	flags = on ? flags | flag : flags & ~flag;
	err = file_setfl(&t->subject, f, flags);
	return err ? err : fasync_update(f, fd);
}

/* The owner of a socket. */
static long ioctl_owner(struct task *t, struct file *f, u32 cmd, u64 arg)
{
	s32 who;
	int err;

	if (cmd == FIOGETOWN || cmd == SIOCGPGRP) {
		who = get_owner(t, f);
		return copy_out(&t->subject, UADDR(arg), &who, sizeof(who));
	}
	err = copy_in(&t->subject, &who, UADDR(arg), sizeof(who));
	return err ? err : set_owner(t, f, who);
}

static long ioctl_file(struct task *t, struct file *f, u32 cmd, u64 arg)
{
	return f->ops->ioctl ? f->ops->ioctl(&t->subject, f, cmd, arg) : -ENOTTY;
}

/* A regular file or directory: what is left to read, the block size. */
static long ioctl_inode(struct task *t, struct file *f, u32 cmd, u64 arg)
{
	struct kstat k;
	int value, err;

	if (!S_ISREG(f->inode->mode) && !(cmd == FIGETBSZ && S_ISDIR(f->inode->mode)))
		return ioctl_file(t, f, cmd, arg);
	err = inode_getattr(&t->subject, f->inode, &k);
	if (err)
		return err;
	value = cmd == FIGETBSZ ? (int)k.blksize : (int)((s64)k.size - f->pos);
	return copy_out(&t->subject, UADDR(arg), &value, sizeof(value));
}

long sys_ioctl(struct task *t, int fd, u32 cmd, u64 arg)
{
	struct file *f = file_lookup(t, fd);
	long ret;

	if (!f)
		return -EBADF;
	switch (cmd) {
	case FIOCLEX:
		ret = fd_set_flags(t->subject.files, fd, FD_CLOEXEC_FLAG);
		break;
	case FIONCLEX:
		ret = fd_set_flags(t->subject.files, fd, 0);
		break;
	case FIONBIO:
		ret = ioctl_set_flag(t, f, fd, arg, O_NONBLOCK);
		break;
	case FIOASYNC:
		ret = ioctl_set_flag(t, f, fd, arg, O_ASYNC);
		break;
	case FIONREAD:
	case FIGETBSZ:
		ret = ioctl_inode(t, f, cmd, arg);
		break;
	case FIOSETOWN:
	case SIOCSPGRP:
	case FIOGETOWN:
	case SIOCGPGRP:
		ret = S_ISSOCK(f->inode->mode) ? ioctl_owner(t, f, cmd, arg) :
						 ioctl_file(t, f, cmd, arg);
		break;
	default:
		ret = ioctl_file(t, f, cmd, arg);
	}
	file_put(f);
	return task_restart(ret, ERESTARTSYS);
}

/* ---- syncing ---- */

static long do_fsync(struct task *t, int fd, bool data_only)
{
	struct file *f = file_lookup(t, fd);
	long ret;

	if (!f)
		return -EBADF;
	ret = file_fsync(&t->subject, f, data_only);
	file_put(f);
	return ret;
}

long sys_fsync(struct task *t, int fd)
{
	return do_fsync(t, fd, false);
}

long sys_fdatasync(struct task *t, int fd)
{
	return do_fsync(t, fd, true);
}

/* What the guest wrote is in this kernel's memory or the host's: there is nothing to be written
 * back. */
long sys_sync(struct task *t)
{
	return 0;
}

long sys_syncfs(struct task *t, int fd)
{
	struct file *f = file_lookup(t, fd);

	if (!f)
		return -EBADF;
	file_put(f);
	return 0;
}

long sys_sync_file_range(struct task *t, int fd, s64 offset, s64 size, u32 flags)
{
	struct file *f;
	long ret = 0;
	s64 end;

	if (flags & ~7U || offset < 0 || size < 0 || __builtin_add_overflow(offset, size, &end))
		return -EINVAL;
	f = file_lookup(t, fd);
	if (!f)
		return -EBADF;
	if (f->stream)
		ret = -ESPIPE;
	file_put(f);
	return ret;
}

/* Hints about coming reads; the host has its own ideas. */
long sys_fadvise64(struct task *t, int fd, s64 offset, s64 size, int advice)
{
	struct file *f = file_lookup(t, fd);
	long ret = 0;

	if (!f)
		return -EBADF;
	if (S_ISFIFO(f->inode->mode))
		ret = -ESPIPE;
	else if (size < 0 || advice < POSIX_FADV_NORMAL || advice > POSIX_FADV_NOREUSE)
		ret = -EINVAL;
	file_put(f);
	return ret;
}

long sys_readahead(struct task *t, int fd, s64 offset, u64 count)
{
	struct file *f = file_lookup(t, fd);
	long ret = 0;

	if (!f)
		return -EBADF;
	if (!f->readable)
		ret = -EBADF;
	else if (!S_ISREG(f->inode->mode))
		ret = -EINVAL;
	file_put(f);
	return ret;
}
