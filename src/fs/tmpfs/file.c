/* Open regular files of tmpfs. */

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fs/tmpfs/internal.h"
#include "fs/tmpfs/memfd.h"

#define WINDOW_READ_MIN 32'768U /* below that, another copy costs less than to look */

/* Straight from the file's memory to the guest's. Bytes, or -EAGAIN: by way of a buffer. */
static ssize_t read_window(struct file *f, struct uio *to, s64 pos)
{
	struct tmpfs_window *w;
	const char *at;
	size_t have;
	ssize_t n;

	if (to->left < WINDOW_READ_MIN || !to->iov)
		return -EAGAIN;
	have = tmpfs_window_get(f->inode, (u64)pos, to->left, &w, &at);
	if (!have)
		return -EAGAIN;
	n = uio_copy_mapped(to, at, have);
	tmpfs_window_put(w);
	return n > 0 ? n : -EAGAIN;
}

static ssize_t tmpfs_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	struct bounce b;
	ssize_t n = 0, done = 0;

	if (*pos < 0)
		return -EINVAL;
	if ((u64)*pos >= f->inode->size)
		return 0;
	bounce_init(&b, min(to->left, f->inode->size - (u64)*pos));
	while (to->left > 0) {
		n = read_window(f, to, *pos);
		if (n == -EAGAIN) {
			n = tmpfs_data_read(f->inode, b.buf, (size_t)min(to->left, (u64)b.size),
					    (u64)*pos);
			if (n > 0)
				n = uio_copy_to(to, b.buf, (size_t)n);
		}
		if (n <= 0)
			break;
		*pos += n;
		done += n;
	}
	bounce_fini(&b);
	if (!(f->flags & O_NOATIME))
		inode_touch(f->inode, TOUCH_ATIME);
	return done ? done : n;
}

static ssize_t write_piece(struct file *f, const struct uio *from, const char *buf, size_t size,
			   s64 *pos)
{
	ssize_t n = tmpfs_data_write(f->inode, buf, size, (u64)*pos);

	*pos += max(n, (ssize_t)0);
	return n;
}

static ssize_t tmpfs_write(struct subject *s, struct file *f, struct uio *from, s64 *pos)
{
	u64 want = from->left;
	size_t have = 0;
	struct bounce b;
	ssize_t n = 0;

	if (tmpfs_data_of(f->inode)->huge)
		return -EINVAL;
	if (want == 0)
		return 0;
	bounce_init(&b, want);
	/* What fits is fetched before the lock is taken, so that a slow guest delays only itself.
	 */
	if (want <= b.size) {
		n = uio_copy_from(from, b.buf, (size_t)want);
		if (n <= 0)
			goto out;
		have = (size_t)n;
		want = have;
	}
	mutex_lock(&f->inode->lock, &lc_inode);
	n = file_write_room(s, f, from, pos, want, TMPFS_MAX_SIZE);
	if (n > 0) {
		inode_strip_privileges(s, f->inode);
		n = bounce_write(f, from, &b, have, (size_t)n, pos, write_piece);
	} else if (have) {
		uio_revert(from, have);
	}
	if (n > 0)
		inode_touch(f->inode, TOUCH_MTIME | TOUCH_CTIME);
	mutex_unlock(&f->inode->lock, &lc_inode);
out:
	bounce_fini(&b);
	return n;
}

static s64 tmpfs_lseek(struct subject *s, struct file *f, s64 off, int whence)
{
	if (whence == SEEK_DATA || whence == SEEK_HOLE)
		return tmpfs_data_seek(f->inode, off, whence);
	return generic_lseek(f, off, whence, (s64)f->inode->size);
}

static int tmpfs_host_fd_get(struct file *f, bool shared, int *ret_fd)
{
	/* What is sealed has no mapping that could become writable: the host may refuse one. */
	return tmpfs_data_fd_get(f->inode, shared && (!f->writable || memfd_write_sealed(f)),
				 ret_fd);
}

static void tmpfs_host_fd_put(struct file *f, int fd)
{
	tmpfs_data_fd_put(f->inode, fd);
}

static int tmpfs_fallocate(struct subject *s, struct file *f, int mode, s64 off, s64 len)
{
	int err;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
		return -EOPNOTSUPP;
	if (mode & FALLOC_FL_PUNCH_HOLE && !(mode & FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	mutex_lock(&f->inode->lock, &lc_inode);
	err = tmpfs_data_fallocate(f->inode, mode, (u64)off, (u64)len);
	if (!err)
		inode_touch(f->inode, TOUCH_MTIME | TOUCH_CTIME);
	mutex_unlock(&f->inode->lock, &lc_inode);
	return err;
}

DEFINE_OPS(struct file_ops, tmpfs_file_ops) = {
	.read = tmpfs_read,
	.write = tmpfs_write,
	.lseek = tmpfs_lseek,
	.host_fd_get = tmpfs_host_fd_get,
	.host_fd_put = tmpfs_host_fd_put,
	.fallocate = tmpfs_fallocate,
};
