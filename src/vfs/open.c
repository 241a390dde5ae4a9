/* open(2), openat2(2): from a path to an open file. */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/inotify.h>

#include "cred/cred.h"
#include "vfs/internal.h"
#include "vfs/notify.h"

#define O_PATH_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW)

struct opening {
	struct subject *s;
	u32 flags;
	u32 mode; /* of a file to be created */
	int access; /* R_OK, W_OK, X_OK to be checked */
	bool exec, tmpfile;
	bool created; /* O_TMPFILE too */
};

static int access_of(u32 flags)
{
	static const int masks[] = {
		[O_RDONLY] = R_OK, [O_WRONLY] = W_OK, [O_RDWR] = R_OK | W_OK, [3] = R_OK | W_OK
	};

	return masks[flags & O_ACCMODE] | (flags & O_TRUNC ? W_OK : 0);
}

/* may_open of Linux. */
static int open_check(struct opening *o, const struct path *p)
{
	struct inode *inode = p->dentry->inode;
	u32 mnt_flags = p->mnt ? p->mnt->flags | p->mnt->sb->flags : 0;
	int err;

	if (o->flags & O_CREAT && !o->created) {
		if (o->flags & O_EXCL)
			return -EEXIST;
		if (S_ISDIR(inode->mode))
			return -EISDIR;
	}
	if (o->flags & O_DIRECTORY && !S_ISDIR(inode->mode))
		return -ENOTDIR;
	switch (inode->mode & S_IFMT) {
	case S_IFLNK:
		return -ELOOP;
	case S_IFDIR:
		if (o->access & W_OK)
			return -EISDIR;
		if (o->exec)
			return -EACCES;
		break;
	case S_IFCHR:
	case S_IFBLK:
		if (mnt_flags & SB_NODEV || o->exec)
			return -EACCES;
		break;
	case S_IFIFO:
	case S_IFSOCK:
		if (o->exec)
			return -EACCES;
		break;
	case S_IFREG:
		if (o->exec && mnt_flags & SB_NOEXEC)
			return -EACCES;
		if (o->access & W_OK && mnt_flags & SB_RDONLY)
			return -EROFS;
		break;
	default:
		break;
	}
	err = o->created ? 0 : inode_permission(o->s, inode, o->access);
	if (!err && o->flags & O_NOATIME && !inode_owner_or_capable(o->s, inode))
		err = -EPERM;
	return err;
}

static int inode_open(struct subject *s, struct inode *inode, struct file *f)
{
	if (inode->ops->open)
		return inode->ops->open(s, inode, f);
	/* Of pipes without a name, those that can be opened again have their pipe there. */
	if (S_ISFIFO(inode->mode) && (f->path.mnt || inode->fifo))
		return OPS(ipc_vfs_hooks)->fifo_open(s, inode, f);
	if (S_ISCHR(inode->mode) && f->path.mnt)
		return chrdev_open(s, inode, f);
	return -ENXIO;
}

/* Count the file among those that write, or that forbid it. */
static int claim_writing(struct opening *o, struct file *f)
{
	if (!S_ISREG(f->inode->mode) || !f->path.mnt)
		return 0;
	if (o->exec)
		return file_claim(f, -1);
	return f->writable ? file_claim(f, 1) : 0;
}

/* For O_TRUNC. */
static int truncate_opened(struct opening *o, struct file *f)
{
	int err;

	if (!(o->flags & O_TRUNC) || o->created || !S_ISREG(f->inode->mode))
		return 0;
	err = inode_claim(f->inode, 1);
	if (err)
		return err;
	err = inode_truncate(o->s, f->inode, 0);
	inode_unclaim(f->inode, 1);
	if (!err)
		notify_dentry(f->path.dentry, IN_MODIFY);
	return err;
}

static int open_place(struct opening *o, const struct path *p, struct file **ret)
{
	struct file *f;
	int err;

	err = open_check(o, p);
	if (err)
		return err;
	err = file_create(
		o->s, p,
		(o->flags & ~(u32)(O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC)) | O_LARGEFILE_ABI, &f);
	if (err)
		return err;
	err = claim_writing(o, f);
	if (!err)
		err = inode_open(o->s, f->inode, f);
	vfs_expect(o->s, f->inode->sb);
	f->flags &= ~(u32)O_NOCTTY; /* only for the op */
	if (!err) {
		notify_open(f);
		err = truncate_opened(o, f);
	}
	if (err) {
		file_put(f);
		return err;
	}
	*ret = f;
	return 0;
}

/* The last component under O_CREAT. *ret_more: a link was followed, walk on. */
static int create_last(struct opening *o, struct walk *w, bool *ret_more)
{
	struct make m = { .kind = MAKE_FILE, .mode = o->mode };
	struct inode *dir = w->cur.dentry->inode;
	struct dentry *d = NULL, *new;
	struct qname q;
	int err;

	*ret_more = false;
	if (w->last_type != LAST_NORM)
		return walk_step(w, false, ret_more);
	if (w->trailing)
		return -EISDIR;
	q = walk_qname(w);
	d = dcache_lookup(w->cur.dentry, &q);
	if (!d || !d->inode || dir->ops->revalidate) {
		dentry_put(d);
		d = NULL;
		mutex_lock(&dir->lock, &lc_inode_dir);
		err = dir_lookup_locked(o->s, w->cur.dentry, &q, &d);
		if (!err && !d->inode) {
			err = make_locked(o->s, &w->cur, d, &m, &new);
			if (!err) {
				dentry_put(d);
				d = new;
				o->created = true;
			}
		}
		mutex_unlock(&dir->lock, &lc_inode_dir);
		if (err) {
			dentry_put(d);
			return err;
		}
	}
	if (o->flags & O_EXCL && !o->created) {
		dentry_put(d);
		return -EEXIST;
	}
	return walk_step_to(w, d, !(o->flags & O_NOFOLLOW), ret_more);
}

static int open_create(struct opening *o, struct walk *w)
{
	bool more = true;
	int err = 0;

	while (!err && more) {
		err = walk_to_last(w);
		if (!err)
			err = create_last(o, w, &more);
	}
	return err;
}

/* An O_PATH file refers to a place, and can do nothing. */
static int open_o_path(struct subject *s, const struct path *p, u32 flags, struct file **ret)
{
	if (flags & O_DIRECTORY && !dentry_is_dir(p->dentry))
		return -ENOTDIR;
	return file_create(s, p, flags & O_PATH_FLAGS, ret);
}

static int opening_init(struct opening *o, struct subject *s, const struct open_how_k *how)
{
	u32 umask = s->fs ? __atomic_load_n(&s->fs->umask, __ATOMIC_RELAXED) : 0;

	*o = (struct opening){ .s = s, .flags = how->flags };
	if (o->flags & O_PATH) {
		o->flags &= O_PATH_FLAGS;
		return 0;
	}
	o->tmpfile = (o->flags & O_TMPFILE) == O_TMPFILE;
	if (o->tmpfile && !(o->flags & O_ACCMODE))
		return -EINVAL;
	if ((o->flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
		return -EINVAL;
	o->mode = S_IFREG | (how->mode & 07777 & ~umask);
	o->access = access_of(o->flags);
	o->exec = how->walk & WALK_OPEN_EXEC;
	if (o->exec)
		o->access = X_OK;
	return 0;
}

/* O_TMPFILE: a file without a name in directory p. */
static int open_tmpfile(struct opening *o, const struct path *p, struct file **ret)
{
	struct path at = { .mnt = p->mnt };
	struct inode *dir = p->dentry->inode, *inode;
	char name[24];
	struct qname q;
	int err;

	err = path_want_write(p);
	if (!err)
		err = inode_permission(o->s, dir, W_OK | X_OK);
	if (err)
		return err;
	if (!dir->ops->tmpfile)
		return -EOPNOTSUPP;
	mutex_lock(&dir->lock, &lc_inode_dir);
	err = dir->ops->tmpfile(o->s, dir, o->mode, &inode);
	mutex_unlock(&dir->lock, &lc_inode_dir);
	if (err)
		return err;
	inode->linkable = !(o->flags & O_EXCL);
	snprintf(name, sizeof(name), "#%lu", inode->ino);
	q = dcache_qname(dir->sb, name, strlen(name));
	at.dentry = dentry_create(dir->sb, p->dentry, &q, inode);
	if (!at.dentry) {
		inode_put(inode);
		return -ENOMEM;
	}
	at.dentry->dead = true;
	o->created = true;
	o->flags &= ~(u32)O_DIRECTORY;
	err = open_place(o, &at, ret);
	if (!err)
		(*ret)->flags |= O_DIRECTORY; /* as F_GETFL shows it */
	dentry_put(at.dentry);
	return err;
}

int vfs_open(struct subject *s, int dirfd, const char *path, const struct open_how_k *how,
	     struct file **ret)
{
	struct opening o;
	struct walk w;
	u32 walk = how->walk & ~(u32)WALK_OPEN_EXEC;
	int err;

	err = opening_init(&o, s, how);
	if (err)
		return err;
	if (o.flags & O_DIRECTORY)
		walk |= WALK_DIRECTORY;
	if (!(o.flags & O_NOFOLLOW))
		walk |= WALK_FOLLOW;
	err = walk_init(&w, s, dirfd, path, walk);
	if (err)
		return err;
	err = o.flags & O_CREAT ? open_create(&o, &w) : walk_to_end(&w);
	if (!err && o.tmpfile)
		err = open_tmpfile(&o, &w.cur, ret);
	else if (!err)
		err = o.flags & O_PATH ? open_o_path(s, &w.cur, o.flags, ret) :
					 open_place(&o, &w.cur, ret);
	walk_fini(&w);
	return err;
}

int vfs_open_path(struct subject *s, const struct path *p, u32 flags, struct file **ret)
{
	struct open_how_k how = { .flags = flags & ~(u32)O_CREAT };
	struct opening o;
	int err;

	err = opening_init(&o, s, &how);
	if (err)
		return err;
	if (o.tmpfile)
		return dentry_is_dir(p->dentry) ? open_tmpfile(&o, p, ret) : -ENOTDIR;
	return o.flags & O_PATH ? open_o_path(s, p, o.flags, ret) : open_place(&o, p, ret);
}
