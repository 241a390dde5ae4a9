/*
 * /proc/PID/mem and pagemap: another process's memory by address. What the opener might see is
 * settled when it opens the file: the address space of that time is kept, and reads as empty once
 * its process has left it.
 */

#include <errno.h>
#include <unistd.h>

#include "kernel/task.h"
#include "mm/mm.h"
#include "procfs/internal.h"

DECLARE_OPS(struct file_ops, proc_mem_file_ops);
DECLARE_OPS(struct file_ops, proc_pagemap_file_ops);

/* The address space hangs on the file; an exited task has none, and the file is empty then. */
static int open_space(struct proc_ctx *ctx, struct file *f, const struct file_ops *ops)
{
	f->private = task_get_mm(ctx->task);
	f->ops = ops;
	return 0;
}

int proc_open_mem(struct subject *s, struct proc_ctx *ctx, struct file *f)
{
	return open_space(ctx, f, OPS(proc_mem_file_ops));
}

int proc_open_pagemap(struct subject *s, struct proc_ctx *ctx, struct file *f)
{
	return open_space(ctx, f, OPS(proc_pagemap_file_ops));
}

static void space_release(struct file *f)
{
	mm_put(f->private);
}

/* Its process has gone, or another program is in it: nobody else has a task in this space. */
static bool space_gone(const struct file *f)
{
	const struct proc_node *n = f->inode->private;
	struct mm *mm = task_get_mm(n->task);
	bool gone = mm != f->private;

	mm_put(mm);
	return gone;
}

static ssize_t mem_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	ssize_t done = 0;
	struct bounce b;

	if (!f->private || space_gone(f))
		return 0;
	bounce_init(&b, to->left);
	while (to->left) {
		ssize_t n = mm_read_other(f->private, b.buf, UADDR((u64)*pos),
					  (size_t)min(to->left, (u64)b.size));

		if (n > 0)
			n = uio_copy_to(to, b.buf, (size_t)n);
		else
			n = -EIO;
		if (n <= 0) {
			done = done ? done : n;
			break;
		}
		*pos += n;
		done += n;
	}
	bounce_fini(&b);
	return done;
}

static ssize_t mem_write(struct subject *s, struct file *f, struct uio *from, s64 *pos)
{
	ssize_t done = 0;
	struct bounce b;

	if (!f->private || space_gone(f))
		return 0;
	bounce_init(&b, from->left);
	while (from->left) {
		ssize_t size = uio_copy_from(from, b.buf, (size_t)min(from->left, (u64)b.size)), n;

		n = size > 0 ? mm_write_other(f->private, UADDR((u64)*pos), b.buf, (size_t)size) :
			       size;
		if (size > 0 && n <= 0)
			n = -EIO;
		if (n <= 0) {
			done = done ? done : n;
			break;
		}
		*pos += n;
		done += n;
		if (n < size)
			break;
	}
	bounce_fini(&b);
	return done;
}

/* Addresses above 2^63 cannot be, so a negative offset is none. */
static s64 mem_lseek(struct subject *s, struct file *f, s64 off, int whence)
{
	if (whence == SEEK_CUR && __builtin_add_overflow(off, f->pos, &off))
		return -EINVAL;
	return whence == SEEK_SET || whence == SEEK_CUR ? (off < 0 ? -EINVAL : off) : -EINVAL;
}

DEFINE_OPS(struct file_ops, proc_mem_file_ops) = {
	.read = mem_read,
	.write = mem_write,
	.lseek = mem_lseek,
	.release = space_release,
};

/* Eight bytes a page. Nothing is told of it, as to anybody without CAP_SYS_ADMIN: no frame, no
 * flag. */
static ssize_t pagemap_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	static const u64 none[64];
	u64 end = platform_task_size() / PAGE_SIZE * sizeof(u64);
	ssize_t done = 0;

	if (*pos % (s64)sizeof(u64) || to->left % sizeof(u64))
		return -EINVAL;
	if (!f->private || space_gone(f))
		return 0;
	while (to->left && (u64)*pos < end) {
		ssize_t n = uio_copy_to(to, none, (size_t)min(to->left, (u64)sizeof(none)));

		if (n <= 0)
			return done ? done : n;
		*pos += n;
		done += n;
	}
	return done;
}

DEFINE_OPS(struct file_ops, proc_pagemap_file_ops) = {
	.read = pagemap_read,
	.lseek = mem_lseek,
	.release = space_release,
};
