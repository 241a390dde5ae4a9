/*
 * Copying between files within the kernel: sendfile, copy_file_range, splice, tee, vmsplice.
 */

#include <fcntl.h>
#include <sys/uio.h>

#include "arena/arena.h"
#include "ipc/splice.h"
#include "net/net.h"
#include "syscall/util.h"
#include "syscall_protos.h"

#define COPY_CHUNK 65536UL
#define SPLICE_F_ALL (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

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
	broken |= ret == -EPIPE && sock_pipe_signal(out->file);
	return write_result(t, out->file, broken, done ? (long)done : ret);
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
	if (!ret && (in.file->stream || !in.file->ops->read || S_ISDIR(in.file->inode->mode) ||
		     out.file->flags & O_APPEND))
		ret = -EINVAL;
	if (!ret)
		ret = copy_files(t, &in, &out, count);
	copy_end_fini(t, &out);
	err = copy_end_fini(t, &in);
	return err && ret >= 0 ? err : ret;
}

static bool ranges_overlap(const struct copy_end *in, const struct copy_end *out, u64 size)
{
	u64 from = (u64)(in->own ? in->file->pos : in->pos);
	u64 to = (u64)(out->own ? out->file->pos : out->pos);

	size = min(size, MAX_RW_COUNT);
	return in->file->inode == out->file->inode && from < to + size && to < from + size;
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
	if (!ret && in.file->inode->sb != out.file->inode->sb)
		ret = -EXDEV;
	if (!ret && ranges_overlap(&in, &out, size))
		ret = -EINVAL;
	if (!ret)
		ret = copy_files(t, &in, &out, size);
	err = copy_end_fini(t, &out);
	err2 = copy_end_fini(t, &in);
	if (ret < 0)
		return ret;
	return err ? err : err2 ? err2 : ret;
}

/* ---- splice ---- */

/* What can be spliced with a pipe, besides pipes. */
static bool spliceable(const struct file *f)
{
	return !S_ISDIR(f->inode->mode) && f->inode->mode & S_IFMT;
}

static long splice_files(struct task *t, struct copy_end *in, struct copy_end *out, u64 size,
			 bool nonblock)
{
	bool from_pipe = splice_is_pipe(in->file), to_pipe = splice_is_pipe(out->file);
	bool broken = false;
	long ret = -EINVAL;

	if (from_pipe && to_pipe) {
		if (splice_same_pipe(in->file, out->file))
			return -EINVAL;
		nonblock |= ((in->file->flags | out->file->flags) & O_NONBLOCK) != 0;
		ret = splice_pipes(in->file, out->file, size, nonblock, false);
	} else if (from_pipe) {
		if (!spliceable(out->file) || !out->file->ops->write || out->file->flags & O_APPEND)
			return -EINVAL;
		ret = splice_from_pipe(&t->subject, in->file, out->file,
				       out->own ? NULL : &out->pos, size,
				       nonblock || in->file->flags & O_NONBLOCK, &broken);
	} else if (to_pipe) {
		if (!spliceable(in->file) || !in->file->ops->read)
			return -EINVAL;
		ret = splice_to_pipe(&t->subject, in->file, in->own ? NULL : &in->pos, out->file,
				     size, nonblock || out->file->flags & O_NONBLOCK);
	}
	return write_result(t, out->file, broken, ret);
}

/* As copy_end_init, with the errors of splice; those of offsets come before those of modes. */
static int splice_end_init(struct task *t, struct copy_end *end, int fd, struct uaddr upos)
{
	int ret = copy_end_init(t, end, fd, upos);

	return ret == -ESPIPE && !splice_is_pipe(end->file) ? -EINVAL : ret;
}

long sys_splice(struct task *t, int in_fd, struct uaddr in_offset, int out_fd,
		struct uaddr out_offset, u64 size, u32 flags)
{
	struct copy_end in, out = {};
	int err, err2;
	long ret;

	if (!size)
		return 0;
	if (flags & ~(u32)SPLICE_F_ALL)
		return -EINVAL;
	ret = splice_end_init(t, &in, in_fd, in_offset);
	if (in.file) {
		int other = splice_end_init(t, &out, out_fd, out_offset);

		ret = other == -EBADF || !ret ? other : ret;
	}
	if (!ret && (!in.file || !out.file || !in.file->readable || !out.file->writable))
		ret = -EBADF;
	if (!ret)
		ret = splice_files(t, &in, &out, min(size, MAX_RW_COUNT),
				   flags & SPLICE_F_NONBLOCK);
	err = copy_end_fini(t, &out);
	err2 = copy_end_fini(t, &in);
	if (ret < 0)
		return ret;
	return err ? err : err2 ? err2 : ret;
}

long sys_tee(struct task *t, int in_fd, int out_fd, u64 size, u32 flags)
{
	struct file *in, *out;
	long ret = -EBADF;

	if (flags & ~(u32)SPLICE_F_ALL)
		return -EINVAL;
	if (!size)
		return 0;
	in = file_lookup(t, in_fd);
	out = file_lookup(t, out_fd);
	if (in && out && in->readable && out->writable) {
		bool nonblock = flags & SPLICE_F_NONBLOCK || (in->flags | out->flags) & O_NONBLOCK;

		ret = -EINVAL;
		if (splice_is_pipe(in) && splice_is_pipe(out) && !splice_same_pipe(in, out))
			ret = splice_pipes(in, out, min(size, MAX_RW_COUNT), nonblock, true);
	}
	file_put(out);
	file_put(in);
	return write_result(t, NULL, false, ret);
}

long sys_vmsplice(struct task *t, int fd, struct uaddr uiov, u64 count, u32 flags)
{
	UNINIT struct iov_set set;
	struct file *f;
	struct uio u;
	long ret;

	if (flags & ~(u32)SPLICE_F_ALL)
		return -EINVAL;
	f = file_lookup(t, fd);
	if (!f)
		return -EBADF;
	ret = iov_fetch(t, uiov, count, &set);
	if (!ret) {
		uio_init_guest(&u, &t->subject, set.iov, set.count, set.total);
		u.nowait = flags & SPLICE_F_NONBLOCK;
		if (!set.total)
			ret = 0;
		else if (!splice_is_pipe(f))
			ret = -EBADF;
		else if (f->writable)
			ret = splice_from_memory(f, &u, flags & SPLICE_F_NONBLOCK);
		else
			ret = file_read(&t->subject, f, &u, NULL);
		iov_release(&set);
	}
	file_put(f);
	return write_result(t, NULL, false, ret);
}
