/*
 * The overlay: contents of regular files.
 *
 * A file's contents are lower's until the first write, change of size or shared mapping of one that
 * is open for writing; then they are copied to a file of upper, which has them for ever. An open
 * descriptor always reads what is current. As on Linux, a mapping that was made before keeps
 * showing the lower file.
 *
 * A layer's ops get a file that stands for ours for the time of the call (a view): layers'
 * regular files keep nothing in an open file. Locks: our inode's, then the layer's.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "fs/overlay/internal.h"
#include "fs/tmpfs/tmpfs.h"
#include "sched/fiber.h"

DECLARE_OPS(struct file_ops, overlay_file_ops);

static void make_view(const struct file *f, struct inode *layer, const struct file_ops *ops,
		      struct file *ret)
{
	*ret = (struct file){
		.ops = ops,
		.inode = layer,
		.path = f->path, /* borrowed */
		.flags = __atomic_load_n(&f->flags, __ATOMIC_RELAXED),
		.readable = f->readable,
		.writable = f->writable,
		.pos = f->pos,
	};
}

static void view_upper(const struct file *f, struct inode *data, struct file *ret)
{
	make_view(f, data, OPS(tmpfs_file_ops), ret);
}

/* Of lower nothing is wanted but to read. */
void overlay_view_lower(const struct file *f, struct inode *lower, const struct file_ops *ops,
			struct file *ret)
{
	make_view(f, lower, ops, ret);
	ret->flags &= ~(u32)O_ACCMODE;
	ret->readable = true;
	ret->writable = false;
}

static struct inode *data_of(const struct inode *inode)
{
	return atomic_load_explicit(&overlay_node_of(inode)->data, memory_order_acquire);
}

/* Take over what a change of the contents has done to the size. */
static void sync_size(struct inode *inode)
{
	struct inode *data = data_of(inode);

	spin_lock(&inode->attr_lock, &lc_inode_attr);
	inode->size = data->size;
	spin_unlock(&inode->attr_lock, &lc_inode_attr);
}

/* ---- copy-up ---- */

/* Learn the lower file's ops, by opening it: the host may deny that. */
static int open_lower(struct subject *s, struct inode *inode)
{
	struct overlay_node *n = overlay_node_of(inode);
	struct file view = { .inode = n->lower, .flags = O_RDONLY, .readable = true };
	int err = n->lower->ops->open(s, n->lower, &view);

	if (!err)
		__atomic_store_n(&n->lower_ops, view.ops, __ATOMIC_RELEASE);
	return err;
}

/* f as the layer sees it that has the contents now. */
static int view_current(struct subject *s, const struct file *f, struct file *ret)
{
	struct overlay_node *n = overlay_node_of(f->inode);
	const struct file_ops *lower_ops = __atomic_load_n(&n->lower_ops, __ATOMIC_ACQUIRE);
	struct inode *data = data_of(f->inode);
	int err;

	if (data) {
		view_upper(f, data, ret);
		return 0;
	}
	if (!lower_ops) {
		err = open_lower(s, f->inode);
		if (err)
			return err;
		lower_ops = n->lower_ops;
	}
	overlay_view_lower(f, n->lower, lower_ops, ret);
	return 0;
}

/* Copy [from, to) of the lower file; the positions within are those of both. */
static int copy_range(struct file *lower, struct file *upper, struct bounce *b, s64 from, s64 to)
{
	while (from < to) {
		s64 at = from;
		struct uio u;
		ssize_t n;

		if (fiber_current() && fiber_killed(fiber_current()))
			return -EINTR;
		uio_init_kernel(&u, b->buf, min(b->size, (size_t)(to - from)));
		n = lower->ops->read(NULL, lower, &u, &at);
		if (n <= 0)
			return (int)n; /* it is shorter than it was: zeros follow */
		at = from;
		uio_init_kernel(&u, b->buf, (size_t)n);
		n = upper->ops->write(NULL, upper, &u, &at);
		if (n <= 0)
			return n ? (int)n : -EIO;
		from += n;
	}
	return 0;
}

/* The next stretch of data at or after at, both within size. Without support for holes: all. */
static s64 next_data(struct file *lower, s64 at, s64 size, s64 *ret_end)
{
	s64 start = lower->ops->lseek(NULL, lower, at, SEEK_DATA), end;

	*ret_end = size;
	if (start == -ENXIO)
		return size;
	if (start < 0)
		return at;
	end = lower->ops->lseek(NULL, lower, start, SEEK_HOLE);
	if (end > start)
		*ret_end = min(end, size);
	return min(start, size);
}

static int copy_contents(struct inode *inode, struct inode *data, s64 size)
{
	struct overlay_node *n = overlay_node_of(inode);
	struct file lower = { .inode = n->lower, .ops = n->lower_ops, .readable = true };
	struct file upper = { .inode = data, .ops = OPS(tmpfs_file_ops), .writable = true };
	s64 at = 0, end;
	struct bounce b = {};
	int err = 0;

	bounce_init(&b, (u64)size);
	while (at < size && !err) {
		at = next_data(&lower, at, size, &end);
		err = copy_range(&lower, &upper, &b, at, end);
		at = end;
	}
	bounce_fini(&b);
	return err;
}

static int resize_data(struct subject *s, struct inode *data, u64 size)
{
	struct iattr a = { .valid = ATTR_SIZE, .size = size };
	int err;

	mutex_lock(&data->lock, &lc_inode);
	err = data->ops->setattr(s, data, &a);
	mutex_unlock(&data->lock, &lc_inode);
	return err;
}

int overlay_copy_up(struct inode *inode, u64 limit)
{
	struct overlay *fs = overlay_of(inode->sb);
	u64 size = min(inode->size, limit);
	struct inode *data;
	int err;

	if (data_of(inode))
		return 0;
	err = overlay_pin(inode);
	if (!err && size)
		err = open_lower(NULL, inode);
	if (!err)
		err = tmpfs_create_data(fs->upper, &data);
	if (err)
		return err;
	if (size) {
		err = copy_contents(inode, data, (s64)size);
		if (!err)
			err = resize_data(NULL, data, size);
	}
	if (err) {
		inode_put(data);
		return err;
	}
	atomic_store_explicit(&overlay_node_of(inode)->data, data, memory_order_release);
	sync_size(inode);
	return 0;
}

static int copy_up(struct inode *inode)
{
	int err;

	if (data_of(inode))
		return 0;
	mutex_lock(&inode->lock, &lc_inode);
	err = overlay_copy_up(inode, UINT64_MAX);
	mutex_unlock(&inode->lock, &lc_inode);
	return err;
}

int overlay_resize(struct subject *s, struct inode *inode, u64 size)
{
	int err;

	err = overlay_copy_up(inode, size);
	if (err)
		return err;
	err = resize_data(s, data_of(inode), size);
	sync_size(inode);
	return err;
}

/* ---- open files ---- */

int overlay_open_regular(struct subject *s, struct inode *inode, struct file *file)
{
	int err = 0;

	/* What is about to be cut off need not be readable. */
	if (!data_of(inode) && !(file->flags & O_TRUNC) && !overlay_node_of(inode)->lower_ops)
		err = open_lower(s, inode);
	file->ops = OPS(overlay_file_ops);
	return err;
}

static ssize_t overlay_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	struct overlay_node *n = overlay_node_of(f->inode);
	struct file view;
	ssize_t ret;

	ret = view_current(s, f, &view);
	if (ret)
		return ret;
	ret = view.ops->read(s, &view, to, pos);
	/* As on Linux, reading alone does not change a lower file's times. */
	if ((n->made || n->pinned) && !(view.flags & O_NOATIME))
		inode_touch(f->inode, TOUCH_ATIME);
	return ret;
}

static ssize_t overlay_write(struct subject *s, struct file *f, struct uio *from, s64 *pos)
{
	struct file view;
	ssize_t ret;

	if (!from->left)
		return 0;
	ret = copy_up(f->inode);
	if (!ret)
		ret = view_current(s, f, &view);
	if (ret)
		return ret;
	inode_strip_privileges(s, f->inode);
	ret = view.ops->write(s, &view, from, pos);
	sync_size(f->inode);
	if (ret > 0)
		inode_touch(f->inode, TOUCH_MTIME | TOUCH_CTIME);
	return ret;
}

static s64 overlay_lseek(struct subject *s, struct file *f, s64 off, int whence)
{
	struct file view;
	int err = view_current(s, f, &view);

	return err ? err : view.ops->lseek(s, &view, off, whence);
}

static int overlay_fallocate(struct subject *s, struct file *f, int mode, s64 off, s64 len)
{
	struct file view;
	int err;

	err = copy_up(f->inode);
	if (!err)
		err = view_current(s, f, &view);
	if (err)
		return err;
	err = view.ops->fallocate(s, &view, mode, off, len);
	sync_size(f->inode);
	if (!err)
		inode_touch(f->inode, TOUCH_MTIME | TOUCH_CTIME);
	return err;
}

/* A shared mapping shows what is written through files that are open for writing now. */
static int overlay_host_fd_get(struct file *f, bool shared, int *ret_fd)
{
	struct file view;
	int err = 0;

	if (shared && (f->writable || f->inode->writers > 0))
		err = copy_up(f->inode);
	if (!err)
		err = view_current(NULL, f, &view);
	return err ? err : view.ops->host_fd_get(&view, shared, ret_fd);
}

/* The contents may have been copied up since fd was got. */
static void overlay_host_fd_put(struct file *f, int fd)
{
	struct overlay_node *n = overlay_node_of(f->inode);
	struct inode *data = data_of(f->inode);
	struct file view;

	if (data && tmpfs_has_fd(data, fd))
		view_upper(f, data, &view);
	else
		overlay_view_lower(f, n->lower, n->lower_ops, &view);
	view.ops->host_fd_put(&view, fd);
}

DEFINE_OPS(struct file_ops, overlay_file_ops) = {
	.nowait = true,
	.read = overlay_read,
	.write = overlay_write,
	.lseek = overlay_lseek,
	.fallocate = overlay_fallocate,
	.host_fd_get = overlay_host_fd_get,
	.host_fd_put = overlay_host_fd_put,
};
