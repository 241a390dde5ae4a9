/* Small things that file systems share. */

#include <dirent.h>
#include <errno.h>

#include "sched/fiber.h"
#include "vfs/internal.h"

u64 file_parent_ino(const struct file *f)
{
	struct dentry *parent = f->path.dentry ? dentry_parent(f->path.dentry) : NULL;
	u64 ino = parent ? parent->inode->ino : f->inode->ino;

	dentry_put(parent);
	return ino;
}

s64 dir_lseek(struct subject *s, struct file *f, s64 off, int whence)
{
	return whence > SEEK_CUR ? -EINVAL : generic_lseek(f, off, whence, 0);
}

bool dir_emit_dots(struct file *f, struct dir_context *ctx)
{
	if (ctx->pos == 0) {
		if (!ctx->emit(ctx, ".", 1, f->inode->ino, 1, DT_DIR))
			return false;
		ctx->pos = 1;
	}
	if (ctx->pos == 1) {
		if (!ctx->emit(ctx, "..", 2, file_parent_ino(f), 2, DT_DIR))
			return false;
		ctx->pos = 2;
	}
	return true;
}

void bounce_init(struct bounce *b, u64 want)
{
	b->buf = b->small;
	b->size = sizeof(b->small);
	if (want > sizeof(b->small)) {
		size_t size = (size_t)min(want, (u64)BOUNCE_MAX);
		char *buf = malloc(size);

		if (buf) {
			b->buf = buf;
			b->size = size;
		}
	}
}

void bounce_fini(struct bounce *b)
{
	if (b->buf != b->small)
		free(b->buf);
}

ssize_t bounce_write(struct file *f, struct uio *from, struct bounce *b, size_t have, size_t count,
		     s64 *pos, write_piece_op *write)
{
	size_t done = 0;
	ssize_t n = 0;

	while (done < count) {
		size_t size = min(count - done, have ? have : b->size);

		if (!have) {
			n = uio_copy_from(from, b->buf, size);
			if (n <= 0)
				break;
			have = size = (size_t)n;
		}
		n = write(f, from, b->buf, size, pos);
		if (n < (ssize_t)have)
			uio_revert(from, have - (size_t)max(n, (ssize_t)0));
		have = 0;
		if (n <= 0)
			break;
		done += (size_t)n;
		if ((size_t)n < size || (fiber_current() && fiber_killed(fiber_current())))
			break;
	}
	return done ? (ssize_t)done : n;
}
