/*
 * Open files.
 *
 * A file's position has a lock of its own, outermost but for epoll's, held during the I/O that uses
 * it; calls that name their position (pread) don't take it. Flags change under f->lock.
 *
 * A file without a name has a dentry of its own, that is in no super: its path has a null mount.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/sysmacros.h>

#include "arena/slab.h"
#include "base/strbuf.h"
#include "cred/cred.h"
#include "cred/rlimit.h"
#include "vfs/internal.h"
#include "vfs/locks.h"
#include "vfs/notify.h"

SLAB_CLASS(file, struct file, TRANSIENT(struct file, pos_lock.owner));

#define SETFL_MASK (O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME)

DECLARE_OPS(struct mappable_ops, file_mappable_ops);
DECLARE_OPS(struct file_ops, no_file_ops);
DECLARE_OPS(struct inode_ops, anon_inode_ops);

/* Of O_PATH files. */
DEFINE_OPS(struct file_ops, no_file_ops) = {};

static int anon_setattr(struct subject *s, struct inode *inode, const struct iattr *attr)
{
	if (attr->valid & ATTR_SIZE)
		return -EINVAL;
	inode_set_fields(inode, attr);
	return 0;
}

DEFINE_OPS(struct inode_ops, anon_inode_ops) = {
	.setattr = anon_setattr,
};

/* path's references are taken over on success. */
static int file_create_owning(struct subject *s, const struct path *path, u32 flags,
			      struct file **ret)
{
	struct file *f = slab_alloc(&slab_file);
	u32 accmode = flags & O_ACCMODE;

	if (!f)
		return -ENFILE;
	refcount_init(&f->refs, 1);
	f->mappable.ops = OPS(file_mappable_ops);
	f->ops = OPS(no_file_ops);
	f->path = *path;
	f->inode = path->dentry->inode;
	f->flags = flags;
	f->readable = !(flags & O_PATH) && (accmode == O_RDONLY || accmode == O_RDWR);
	f->writable = !(flags & O_PATH) && (accmode == O_WRONLY || accmode == O_RDWR);
	mutex_init(&f->pos_lock);
	spin_init(&f->lock);
	list_init(&f->epitems);
	if (s && s->cred)
		f->cred = cred_get(s->cred);
	*ret = f;
	return 0;
}

int file_create(struct subject *s, const struct path *path, u32 flags, struct file **ret)
{
	int err;

	path_get(path);
	err = file_create_owning(s, path, flags, ret);
	if (err)
		path_put(path);
	return err;
}

int path_create_anon(const char *name, struct inode *inode, struct path *ret)
{
	struct qname q = { .name = name, .len = (u32)strlen(name) };

	*ret = (struct path){ .dentry = dentry_create(NULL, NULL, &q, inode) };
	if (ret->dentry)
		return 0;
	inode_put(inode);
	return -ENFILE;
}

int file_create_nameless(struct subject *s, const char *name, struct inode *inode, u32 flags,
			 struct file **ret)
{
	struct path path;
	int err;

	inode_get(inode);
	err = path_create_anon(name, inode, &path);
	if (err)
		return err;
	err = file_create_owning(s, &path, flags, ret);
	if (err)
		path_put(&path);
	return err;
}

int file_create_anon(struct subject *s, const char *name, const struct file_ops *ops, void *private,
		     u32 flags, struct file **ret)
{
	const struct cred *c = s ? s->cred : NULL;
	struct inode *inode;
	struct file *f;
	int err;

	inode = inode_create(NULL, OPS(anon_inode_ops), 0, 0600, c ? c->fsuid : 0,
			     c ? c->fsgid : 0);
	if (!inode)
		return -ENFILE;
	inode->ino = hash_u64((u64)(uintptr_t)inode) & 0x7fff'ffff;
	err = file_create_nameless(s, name, inode, flags, &f);
	inode_put(inode);
	if (err)
		return err;
	f->ops = ops;
	f->private = private;
	f->stream = true;
	*ret = f;
	return 0;
}

int file_claim(struct file *f, int claim)
{
	int err = inode_claim(f->inode, claim);

	if (!err)
		f->write_claim = claim;
	return err;
}

void file_unclaim(struct file *f)
{
	s32 claim = atomic_exchange(&f->write_claim, 0);

	if (claim)
		inode_unclaim(f->inode, claim);
}

struct file *file_get(struct file *f)
{
	refcount_get(&f->refs);
	return f;
}

void file_put(struct file *f)
{
	if (!f || !refcount_put(&f->refs))
		return;
	notify_close(f);
	if (!list_empty(&f->epitems))
		OPS(epoll_file_hooks)->epoll_release(f);
	if (f->fasync)
		OPS(kernel_fasync_hooks)->release(f);
	locks_drop_file(f);
	if (f->ops->release)
		f->ops->release(f);
	file_unclaim(f);
	path_put(&f->path);
	if (f->cred)
		cred_put(f->cred);
	slab_free(&slab_file, f);
}

u32 file_poll(struct file *f)
{
	if (f->ops->poll)
		return f->ops->poll(f);
	return EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM;
}

/* ---- reading and writing ---- */

typedef ssize_t file_io_op(struct subject *s, struct file *f, struct uio *u, s64 *pos);

static ssize_t file_io(struct subject *s, struct file *f, struct uio *u, s64 *pos, file_io_op *op)
{
	ssize_t ret;

	u->left = min(u->left, (u64)MAX_RW_COUNT);
	if (f->stream)
		return op(s, f, u, NULL);
	if (pos)
		return op(s, f, u, pos);
	mutex_lock(&f->pos_lock, &lc_file_pos);
	ret = op(s, f, u, &f->pos);
	mutex_unlock(&f->pos_lock, &lc_file_pos);
	return ret;
}

ssize_t file_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	ssize_t ret;

	if (!f->readable)
		return -EBADF;
	if (S_ISDIR(f->inode->mode))
		return -EISDIR;
	ret = f->ops->read ? file_io(s, f, to, pos, f->ops->read) : -EINVAL;
	vfs_expect(s, f->inode->sb);
	if (s) {
		io_count(&s->io.syscr, 1);
		io_count(&s->io.rchar, ret > 0 ? (u64)ret : 0);
	}
	if (ret > 0)
		notify_dentry(f->path.dentry, IN_ACCESS);
	return ret;
}

ssize_t file_write(struct subject *s, struct file *f, struct uio *from, s64 *pos)
{
	ssize_t ret;

	if (!f->writable)
		return -EBADF;
	ret = f->ops->write ? file_io(s, f, from, pos, f->ops->write) : -EINVAL;
	if (s) {
		io_count(&s->io.syscw, 1);
		io_count(&s->io.wchar, ret > 0 ? (u64)ret : 0);
	}
	if (ret > 0)
		notify_dentry(f->path.dentry, IN_MODIFY);
	return ret;
}

bool file_appends(const struct file *f, const struct uio *from)
{
	return from->append || __atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_APPEND;
}

ssize_t file_write_room(struct subject *s, struct file *f, const struct uio *from, s64 *pos,
			u64 count, s64 max_size)
{
	u64 limit = s && s->rlimits ? rlimit_get(s->rlimits, RLIMIT_FSIZE) : RLIM_INFINITY;

	if (count == 0)
		return 0;
	if (file_appends(f, from))
		*pos = (s64)f->inode->size;
	limit = min(limit, (u64)max_size);
	if (*pos < 0)
		return -EINVAL;
	if ((u64)*pos >= limit)
		return -EFBIG;
	return (ssize_t)min(count, limit - (u64)*pos);
}

/* ---- position ---- */

s64 generic_lseek(struct file *f, s64 off, int whence, s64 size)
{
	s64 base;

	switch (whence) {
	case SEEK_SET:
		base = 0;
		break;
	case SEEK_CUR:
		base = f->pos;
		break;
	case SEEK_END:
		base = size;
		break;
	case SEEK_DATA:
		return off < 0 || off >= size ? -ENXIO : off;
	case SEEK_HOLE:
		return off < 0 || off >= size ? -ENXIO : size;
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(base, off, &off) || off < 0)
		return -EINVAL;
	return off;
}

s64 file_lseek(struct subject *s, struct file *f, s64 off, int whence)
{
	s64 ret;

	if (f->flags & O_PATH)
		return -EBADF;
	if (whence < SEEK_SET || whence > SEEK_HOLE)
		return -EINVAL;
	if (f->stream || !f->ops->lseek)
		return -ESPIPE;
	mutex_lock(&f->pos_lock, &lc_file_pos);
	ret = f->ops->lseek(s, f, off, whence);
	if (ret >= 0)
		f->pos = ret;
	mutex_unlock(&f->pos_lock, &lc_file_pos);
	return ret;
}

int file_iterate(struct subject *s, struct file *f, struct dir_context *ctx)
{
	int err = -ENOENT;

	if (f->flags & O_PATH)
		return -EBADF;
	if (!f->ops->iterate)
		return -ENOTDIR;
	mutex_lock(&f->pos_lock, &lc_file_pos);
	mutex_lock(&f->inode->lock, &lc_inode_dir);
	if (!f->path.dentry->dead) {
		ctx->pos = f->pos;
		err = f->ops->iterate(s, f, ctx);
		f->pos = ctx->pos;
	}
	mutex_unlock(&f->inode->lock, &lc_inode_dir);
	mutex_unlock(&f->pos_lock, &lc_file_pos);
	if (!err) {
		vfs_expect(s, f->inode->sb);
		inode_touch(f->inode, TOUCH_ATIME);
		notify_dentry(f->path.dentry, IN_ACCESS);
	}
	return err;
}

/* ---- other calls on open files ---- */

int file_truncate(struct subject *s, struct file *f, s64 size)
{
	int err;

	if (f->flags & O_PATH)
		return -EBADF;
	if (size < 0 || !S_ISREG(f->inode->mode) || !f->writable)
		return -EINVAL;
	if (f->ops->truncate)
		err = f->ops->truncate(s, f, size);
	else
		err = inode_truncate(s, f->inode, (u64)size);
	if (!err)
		notify_dentry(f->path.dentry, IN_MODIFY);
	return err;
}

int file_fallocate(struct subject *s, struct file *f, int mode, s64 off, s64 len)
{
	u64 limit = s && s->rlimits ? rlimit_get(s->rlimits, RLIMIT_FSIZE) : RLIM_INFINITY;
	s64 end;
	int err;

	if (off < 0 || len <= 0)
		return -EINVAL;
	if (!f->writable)
		return -EBADF;
	if (S_ISFIFO(f->inode->mode))
		return -ESPIPE;
	if (S_ISDIR(f->inode->mode))
		return -EISDIR;
	if (!S_ISREG(f->inode->mode))
		return -ENODEV;
	if (__builtin_add_overflow(off, len, &end))
		return -EFBIG;
	if (!f->ops->fallocate)
		return -EOPNOTSUPP;
	if (!(mode & FALLOC_FL_KEEP_SIZE) && (u64)end > limit && (u64)end > f->inode->size)
		return -EFBIG;
	err = f->ops->fallocate(s, f, mode, off, len);
	if (!err)
		notify_dentry(f->path.dentry, IN_MODIFY);
	return err;
}

int file_fsync(struct subject *s, struct file *f, bool data_only)
{
	if (f->flags & O_PATH)
		return -EBADF;
	if (f->ops->fsync)
		return f->ops->fsync(s, f, data_only);
	return S_ISREG(f->inode->mode) || S_ISDIR(f->inode->mode) ? 0 : -EINVAL;
}

int file_setfl(struct subject *s, struct file *f, u32 flags)
{
	int err = 0;

	if (flags & O_NOATIME && !(f->flags & O_NOATIME) && !inode_owner_or_capable(s, f->inode))
		return -EPERM;
	/* Of what has no name, only pipes know it: as packets. */
	if (flags & O_DIRECT && !S_ISREG(f->inode->mode) && !S_ISFIFO(f->inode->mode) &&
	    !S_ISDIR(f->inode->mode))
		return -EINVAL;
	if (f->ops->setfl)
		err = f->ops->setfl(s, f, flags);
	if (err)
		return err;
	spin_lock(&f->lock, &lc_file);
	f->flags = (f->flags & ~(u32)SETFL_MASK) | (flags & SETFL_MASK);
	spin_unlock(&f->lock, &lc_file);
	return 0;
}

/* ---- as a mappable ---- */

static struct file *mapped_file(const struct mappable *m)
{
	return container_of(m, struct file, mappable);
}

static void file_mappable_get(struct mappable *m)
{
	file_get(mapped_file(m));
}

static void file_mappable_put(struct mappable *m)
{
	file_put(mapped_file(m));
}

static int file_mappable_fd_get(struct mappable *m, bool shared, int *ret_fd)
{
	struct file *f = mapped_file(m);

	return f->ops->host_fd_get ? f->ops->host_fd_get(f, shared, ret_fd) : -ENODEV;
}

static void file_mappable_fd_put(struct mappable *m, int fd)
{
	struct file *f = mapped_file(m);

	if (f->ops->host_fd_put)
		f->ops->host_fd_put(f, fd);
}

static u64 file_mappable_identity(const struct mappable *m)
{
	return (u64)(uintptr_t)mapped_file(m)->inode;
}

static void file_mappable_describe(const struct mappable *m, u32 *ret_dev_major, u32 *ret_dev_minor,
				   u64 *ret_ino, struct strbuf *ret_path)
{
	struct file *f = mapped_file(m);
	struct kstat st = {};

	inode_fill_kstat(f->inode, &st);
	if (f->inode->ops->getattr && inode_getattr(NULL, f->inode, &st))
		inode_fill_kstat(f->inode, &st);
	*ret_dev_major = major(st.dev);
	*ret_dev_minor = minor(st.dev);
	*ret_ino = st.ino;
	/* A name that does not fit is shown as none. */
	if (path_format(&f->path, NULL, ret_path))
		return;
}

static int file_mappable_sync(struct mappable *m, u64 offset, u64 size)
{
	return file_fsync(NULL, mapped_file(m), true);
}

DEFINE_OPS(struct mappable_ops, file_mappable_ops) = {
	.get = file_mappable_get,
	.put = file_mappable_put,
	.host_fd_get = file_mappable_fd_get,
	.host_fd_put = file_mappable_fd_put,
	.identity = file_mappable_identity,
	.describe = file_mappable_describe,
	.sync = file_mappable_sync,
};
