/* Memory devices: null, zero, full, random, urandom (mem(4), random(4)). */

#include <errno.h>
#include <sys/sysmacros.h>

#include "host/host.h"
#include "sched/fiber.h"
#include "vfs/vfs.h"

DECLARE_OPS(struct file_ops, null_file_ops);
DECLARE_OPS(struct file_ops, zero_file_ops);
DECLARE_OPS(struct file_ops, full_file_ops);
DECLARE_OPS(struct file_ops, random_file_ops);

static ssize_t null_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	return 0;
}

/* Takes everything without looking at it. */
static ssize_t null_write(struct subject *s, struct file *f, struct uio *from, s64 *pos)
{
	ssize_t n = (ssize_t)from->left;

	from->left = 0;
	return n;
}

static s64 null_lseek(struct subject *s, struct file *f, s64 off, int whence)
{
	return 0;
}

/* Fill the reader's buffer from b, refilled by fill (if not null) for each piece. */
static ssize_t read_filled(struct uio *to, ssize_t (*fill)(char *buf, size_t size))
{
	struct bounce b;
	ssize_t n = 0, done = 0;

	bounce_init(&b, to->left);
	if (!fill)
		__builtin_memset(b.buf, 0, b.size);
	while (to->left > 0) {
		size_t size = (size_t)min(to->left, (u64)b.size);

		n = fill ? fill(b.buf, size) : (ssize_t)size;
		if (n <= 0)
			break;
		n = uio_copy_to(to, b.buf, (size_t)n);
		if (n <= 0)
			break;
		done += n;
		if (fiber_current() && fiber_interrupted(fiber_current()))
			break;
	}
	bounce_fini(&b);
	return done ? done : n;
}

static ssize_t zero_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	return read_filled(to, NULL);
}

static ssize_t full_write(struct subject *s, struct file *f, struct uio *from, s64 *pos)
{
	return -ENOSPC;
}

static ssize_t random_fill(char *buf, size_t size)
{
	return host_getrandom(buf, size, 0);
}

static ssize_t random_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	return read_filled(to, random_fill);
}

static s64 random_lseek(struct subject *s, struct file *f, s64 off, int whence)
{
	return f->pos;
}

DEFINE_OPS(struct file_ops, null_file_ops) = {
	.nowait = true,
	.read = null_read,
	.write = null_write,
	.lseek = null_lseek,
};

DEFINE_OPS(struct file_ops, zero_file_ops) = {
	.nowait = true,
	.read = zero_read,
	.write = null_write,
	.lseek = null_lseek,
	.maps_anonymous = true,
};

DEFINE_OPS(struct file_ops, full_file_ops) = {
	.nowait = true,
	.read = zero_read,
	.write = full_write,
	.lseek = null_lseek,
};

/* What is written would stir the host's pool; it does not matter. */
DEFINE_OPS(struct file_ops, random_file_ops) = {
	.read = random_read,
	.write = null_write,
	.lseek = random_lseek,
};

static int mem_open(struct subject *s, struct inode *inode, struct file *f)
{
	switch (minor(inode->rdev)) {
	case 3:
		f->ops = OPS(null_file_ops);
		return 0;
	case 5:
		f->ops = OPS(zero_file_ops);
		return 0;
	case 7:
		f->ops = OPS(full_file_ops);
		return 0;
	case 8:
	case 9:
		f->ops = OPS(random_file_ops);
		return 0;
	default:
		return -ENXIO;
	}
}

DEFINE_CHRDEV(mem, .major = 1, .minor = 3, .count = 7, .open = mem_open);
