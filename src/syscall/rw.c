/*
 * Reading and writing. SIGPIPE and SIGXFSZ come from here: the files below only return -EPIPE and
 * -EFBIG.
 */

#include <fcntl.h>
#include <sys/uio.h>

#include "kernel/reads.h"
#include "syscall/socket.h"
#include "syscall/util.h"
#include "syscall_protos.h"

long write_result(struct task *t, const struct file *f, bool broken, long ret)
{
	siginfo_t info;
	int sig = 0;

	if (likely(ret >= 0 && !broken))
		return ret;
	if (broken || (ret == -EPIPE && sock_pipe_signal(f)))
		sig = SIGPIPE;
	else if (ret == -EFBIG && rlimit_get(t->subject.rlimits, RLIMIT_FSIZE) != RLIM64_INFINITY)
		sig = SIGXFSZ;
	if (sig) {
		siginfo_user(&info, sig, SI_USER, t, t);
		(void)signal_send_task(t, &info);
	}
	return socket_restart(f, ret, true);
}

static long do_read(struct task *t, int fd, struct uaddr buf, u64 count, s64 *pos)
{
	struct guest_iovec iov = { .base = buf };
	struct file *f = file_lookup(t, fd);
	struct uio u;
	long ret;

	iov.size = min(count, MAX_RW_COUNT);
	if (!f)
		return -EBADF;
	if (pos && f->stream) {
		ret = -ESPIPE;
	} else if (!f->readable) {
		ret = -EBADF;
	} else if (!uaddr_ok(buf, iov.size)) {
		ret = -EFAULT;
	} else {
		uio_init_guest(&u, &t->subject, &iov, 1, iov.size);
		ret = socket_restart(f, file_read(&t->subject, f, &u, pos), false);
		if (f->stream)
			reads_used(t, fd, ret);
	}
	file_put(f);
	return ret;
}

static long do_write(struct task *t, int fd, struct uaddr buf, u64 count, s64 *pos)
{
	struct guest_iovec iov = { .base = buf };
	struct file *f = file_lookup(t, fd);
	struct uio u;
	long ret;

	iov.size = min(count, MAX_RW_COUNT);
	if (!f)
		return -EBADF;
	if (pos && f->stream) {
		ret = -ESPIPE;
	} else if (!f->writable) {
		ret = -EBADF;
	} else if (!uaddr_ok(buf, iov.size)) {
		ret = -EFAULT;
	} else {
		uio_init_guest(&u, &t->subject, &iov, 1, iov.size);
		ret = file_write(&t->subject, f, &u, pos);
		ret = write_result(t, f, u.broken, ret);
	}
	file_put(f);
	return ret;
}

long sys_read(struct task *t, int fd, struct uaddr buf, u64 count)
{
	return do_read(t, fd, buf, count, NULL);
}

long sys_write(struct task *t, int fd, struct uaddr buf, u64 count)
{
	return do_write(t, fd, buf, count, NULL);
}

long sys_pread64(struct task *t, int fd, struct uaddr buf, u64 count, s64 offset)
{
	return offset < 0 ? -EINVAL : do_read(t, fd, buf, count, &offset);
}

long sys_pwrite64(struct task *t, int fd, struct uaddr buf, u64 count, s64 offset)
{
	return offset < 0 ? -EINVAL : do_write(t, fd, buf, count, &offset);
}

/* flags: RWF_* */
static long do_vector(struct task *t, int fd, struct uaddr uiov, u64 count, s64 *pos, u32 flags,
		      bool write)
{
	struct file *f = file_lookup(t, fd);
	UNINIT struct iov_set set;
	struct uio u;
	long ret;

	if (!f)
		return -EBADF;
	if (pos && f->stream)
		ret = -ESPIPE;
	else if (write ? !f->writable : !f->readable)
		ret = -EBADF;
	else
		ret = iov_fetch(t, uiov, count, &set);
	if (!ret) {
		uio_init_guest(&u, &t->subject, set.iov, set.count, set.total);
		u.nowait = flags & RWF_NOWAIT;
		u.append = flags & RWF_APPEND;
		if (flags & RWF_NOWAIT && !f->ops->nowait)
			ret = -EOPNOTSUPP;
		else if (write)
			ret = file_write(&t->subject, f, &u, pos);
		else
			ret = file_read(&t->subject, f, &u, pos);
		ret = write ? write_result(t, f, u.broken, ret) : socket_restart(f, ret, false);
		iov_release(&set);
	}
	file_put(f);
	return ret;
}

long sys_readv(struct task *t, int fd, struct uaddr iov, u64 count)
{
	return do_vector(t, fd, iov, count, NULL, 0, false);
}

long sys_writev(struct task *t, int fd, struct uaddr iov, u64 count)
{
	return do_vector(t, fd, iov, count, NULL, 0, true);
}

long sys_preadv(struct task *t, int fd, struct uaddr iov, u64 count, u64 pos_low, u64 pos_high)
{
	s64 pos = (s64)pos_low;

	return pos < 0 ? -EINVAL : do_vector(t, fd, iov, count, &pos, 0, false);
}

long sys_pwritev(struct task *t, int fd, struct uaddr iov, u64 count, u64 pos_low, u64 pos_high)
{
	s64 pos = (s64)pos_low;

	return pos < 0 ? -EINVAL : do_vector(t, fd, iov, count, &pos, 0, true);
}

static long do_vector2(struct task *t, int fd, struct uaddr iov, u64 count, s64 pos, u32 flags,
		       bool write)
{
	if (flags & ~(u32)(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND))
		return -EOPNOTSUPP;
	if (pos < -1)
		return -EINVAL;
	return do_vector(t, fd, iov, count, pos == -1 ? NULL : &pos, flags, write);
}

long sys_preadv2(struct task *t, int fd, struct uaddr iov, u64 count, u64 pos_low, u64 pos_high,
		 u32 flags)
{
	return do_vector2(t, fd, iov, count, (s64)pos_low, flags, false);
}

long sys_pwritev2(struct task *t, int fd, struct uaddr iov, u64 count, u64 pos_low, u64 pos_high,
		  u32 flags)
{
	return do_vector2(t, fd, iov, count, (s64)pos_low, flags, true);
}

long sys_lseek(struct task *t, int fd, s64 offset, int whence)
{
	struct file *f = file_lookup(t, fd);
	long ret;

	if (!f)
		return -EBADF;
	ret = file_lseek(&t->subject, f, offset, whence);
	file_put(f);
	return ret;
}
