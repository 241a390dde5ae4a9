/*
 * Reading and writing. SIGPIPE and SIGXFSZ come from here: the files below only return -EPIPE and
 * -EFBIG.
 */

#include <fcntl.h>
#include <sys/uio.h>

#include "arena/arena.h"
#include "syscall/util.h"
#include "syscall_protos.h"

#define COPY_CHUNK 65536UL

/* What a handler returns for a write that returned ret. broken: the reader went away, perhaps after
 * some bytes. */
static long write_result(struct task *t, bool broken, long ret)
{
	siginfo_t info;
	int sig = 0;

	if (likely(ret >= 0 && !broken))
		return ret;
	if (ret == -EPIPE || broken)
		sig = SIGPIPE;
	else if (ret == -EFBIG && rlimit_get(t->subject.rlimits, RLIMIT_FSIZE) != RLIM64_INFINITY)
		sig = SIGXFSZ;
	if (sig) {
		siginfo_user(&info, sig, SI_USER, t, t);
		(void)signal_send_task(t, &info);
	}
	return task_restart(ret, ERESTARTSYS);
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
		ret = task_restart(file_read(&t->subject, f, &u, pos), ERESTARTSYS);
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
		ret = write_result(t, u.broken, ret);
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

static long do_vector(struct task *t, int fd, struct uaddr uiov, u64 count, s64 *pos, bool write)
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
		if (write)
			ret = file_write(&t->subject, f, &u, pos);
		else
			ret = file_read(&t->subject, f, &u, pos);
		ret = write ? write_result(t, u.broken, ret) : task_restart(ret, ERESTARTSYS);
		iov_release(&set);
	}
	file_put(f);
	return ret;
}

long sys_readv(struct task *t, int fd, struct uaddr iov, u64 count)
{
	return do_vector(t, fd, iov, count, NULL, false);
}

long sys_writev(struct task *t, int fd, struct uaddr iov, u64 count)
{
	return do_vector(t, fd, iov, count, NULL, true);
}

long sys_preadv(struct task *t, int fd, struct uaddr iov, u64 count, u64 pos_low, u64 pos_high)
{
	s64 pos = (s64)pos_low;

	return pos < 0 ? -EINVAL : do_vector(t, fd, iov, count, &pos, false);
}

long sys_pwritev(struct task *t, int fd, struct uaddr iov, u64 count, u64 pos_low, u64 pos_high)
{
	s64 pos = (s64)pos_low;

	return pos < 0 ? -EINVAL : do_vector(t, fd, iov, count, &pos, true);
}

static long do_vector2(struct task *t, int fd, struct uaddr iov, u64 count, s64 pos, u32 flags,
		       bool write)
{
	if (flags & ~(u32)(RWF_HIPRI | RWF_DSYNC | RWF_SYNC))
		return -EOPNOTSUPP;
	if (pos < -1)
		return -EINVAL;
	return do_vector(t, fd, iov, count, pos == -1 ? NULL : &pos, write);
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

/* ---- copying between files ---- */

/* One end of a copy: its position is the file's own, or one that the guest gave. */
struct copy_end {
	struct file *file;
	struct uaddr upos;
	s64 pos;
	bool own; /* at the file's position */
};

static int copy_end_init(struct task *t, struct copy_end *end, int fd, struct uaddr upos)
{
	int ret;

	end->file = file_lookup(t, fd);
	end->upos = upos;
	end->own = uaddr_is_null(upos);
	if (!end->file)
		return -EBADF;
	if (end->own)
		return 0;
	if (end->file->stream)
		ret = -ESPIPE;
	else
		ret = copy_in(&t->subject, &end->pos, upos, sizeof(s64));
	if (!ret && end->pos < 0)
		ret = -EINVAL;
	/* Nothing is stored there after an error. */
	end->own = ret;
	return ret;
}

static int copy_end_fini(struct task *t, struct copy_end *end)
{
	int ret = 0;

	if (!end->file)
		return 0;
	if (!end->own)
		ret = copy_out(&t->subject, end->upos, &end->pos, sizeof(s64));
	file_put(end->file);
	return ret;
}

/* Move up to size bytes; what was read but could not be written is read again by whoever comes
 * next. */
static long copy_step(struct task *t, struct copy_end *in, struct copy_end *out, char *buf,
		      size_t size, bool *ret_broken)
{
	struct uio u;
	ssize_t got, put;
	s64 back;

	uio_init_kernel(&u, buf, size);
	got = file_read(&t->subject, in->file, &u, in->own ? NULL : &in->pos);
	if (got <= 0)
		return got;
	uio_init_kernel(&u, buf, (size_t)got);
	put = file_write(&t->subject, out->file, &u, out->own ? NULL : &out->pos);
	*ret_broken = u.broken;
	back = got - max(put, (ssize_t)0);
	if (back && !in->own)
		in->pos -= back;
	else if (back && !in->file->stream)
		(void)file_lseek(&t->subject, in->file, -back, SEEK_CUR);
	return put;
}

static long copy_files(struct task *t, struct copy_end *in, struct copy_end *out, u64 count)
{
	char *buf = arena_alloc(COPY_CHUNK);
	bool broken = false;
	u64 done = 0;
	long ret = 0;

	if (!buf)
		return -ENOMEM;
	count = min(count, MAX_RW_COUNT);
	while (done < count) {
		size_t want = min(COPY_CHUNK, count - done);

		ret = copy_step(t, in, out, buf, want, &broken);
		if (ret <= 0)
			break;
		done += (u64)ret;
		if ((size_t)ret < want && out->file->stream)
			break;
		if (fiber_interrupted(t->subject.fiber)) {
			ret = -EINTR;
			break;
		}
	}
	arena_free(buf);
	return write_result(t, broken || ret == -EPIPE, done ? (long)done : ret);
}

long sys_sendfile(struct task *t, int out_fd, int in_fd, struct uaddr offset, u64 count)
{
	struct copy_end in, out = {};
	long ret = copy_end_init(t, &in, in_fd, offset);
	int err;

	if (!ret)
		ret = copy_end_init(t, &out, out_fd, UADDR(0));
	if (!ret && (!in.file->readable || !out.file->writable))
		ret = -EBADF;
	if (!ret && (in.file->stream || out.file->flags & O_APPEND))
		ret = -EINVAL;
	if (!ret)
		ret = copy_files(t, &in, &out, count);
	copy_end_fini(t, &out);
	err = copy_end_fini(t, &in);
	return err && ret >= 0 ? err : ret;
}

long sys_copy_file_range(struct task *t, int in_fd, struct uaddr in_offset, int out_fd,
			 struct uaddr out_offset, u64 size, u32 flags)
{
	struct copy_end in, out = {};
	long ret = copy_end_init(t, &in, in_fd, in_offset);
	int err, err2;

	if (!ret)
		ret = copy_end_init(t, &out, out_fd, out_offset);
	if (!ret && flags)
		ret = -EINVAL;
	if (!ret && (S_ISDIR(in.file->inode->mode) || S_ISDIR(out.file->inode->mode)))
		ret = -EISDIR;
	if (!ret && (!S_ISREG(in.file->inode->mode) || !S_ISREG(out.file->inode->mode)))
		ret = -EINVAL;
	if (!ret && (!in.file->readable || !out.file->writable || out.file->flags & O_APPEND))
		ret = -EBADF;
	if (!ret)
		ret = copy_files(t, &in, &out, size);
	err = copy_end_fini(t, &out);
	err2 = copy_end_fini(t, &in);
	if (ret < 0)
		return ret;
	return err ? err : err2 ? err2 : ret;
}
