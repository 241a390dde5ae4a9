/*
 * Operations on names: mkdir, mknod, symlink, link, unlink, rmdir, rename.
 *
 * Locks of directories are taken ancestor first, so that a file system may lock a directory that it
 * is about to remove while its parents are locked.
 *
 * Each walks to the parent, takes the directory's lock, looks the name up and checks, in Linux's
 * order, so that the error is Linux's too. A rename between directories also takes its super's
 * rename lock first: while it is held, no directory moves, so that ancestry can be told.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/inotify.h>

#include "arena/arena.h"
#include "cred/cred.h"
#include "vfs/fdtable.h"
#include "vfs/internal.h"
#include "vfs/notify.h"

/* ---- making ---- */

static u32 subject_umask(struct subject *s)
{
	return s->fs ? __atomic_load_n(&s->fs->umask, __ATOMIC_RELAXED) : 0;
}

/* Devices need a capability, but for the mark that an overlay knows as a whiteout. */
static bool may_make_node(struct subject *s, const struct make *m)
{
	if (!S_ISCHR(m->mode) && !S_ISBLK(m->mode))
		return true;
	return (S_ISCHR(m->mode) && m->rdev == 0) || subject_capable(s, CAP_MKNOD);
}

static int make_inode(struct subject *s, struct inode *dir, const char *name, const struct make *m,
		      struct inode **ret)
{
	const struct inode_ops *ops = dir->ops;
	int err;

	switch (m->kind) {
	case MAKE_FILE:
		return ops->create ? ops->create(s, dir, name, m->mode, ret) : -EACCES;
	case MAKE_DIR:
		return ops->mkdir ? ops->mkdir(s, dir, name, m->mode, ret) : -EPERM;
	case MAKE_NODE:
		if (!may_make_node(s, m))
			return -EPERM;
		return ops->mknod ? ops->mknod(s, dir, name, m->mode, m->rdev, ret) : -EPERM;
	case MAKE_SYMLINK:
		return ops->symlink ? ops->symlink(s, dir, name, m->target, ret) : -EPERM;
	case MAKE_LINK:
		if (!ops->link || S_ISDIR(m->inode->mode))
			return -EPERM;
		mutex_lock(&m->inode->lock, &lc_inode);
		err = m->inode->nlink == 0 && !m->inode->linkable ?
			      -ENOENT :
			      ops->link(s, m->inode, dir, name);
		if (!err) {
			m->inode->linkable = false;
			inode_get(m->inode);
			*ret = m->inode;
		}
		mutex_unlock(&m->inode->lock, &lc_inode);
		return err;
	}
	return -EINVAL;
}

int make_locked(struct subject *s, const struct path *dir, struct dentry *d, const struct make *m,
		struct dentry **ret)
{
	struct qname q = { .name = d->name, .len = d->name_len, .hash = d->hash };
	struct inode *inode = NULL;
	struct dentry *new;
	int err;

	err = path_want_write(dir);
	if (err)
		return err;
	if (dir->dentry->dead)
		return -ENOENT;
	err = inode_permission(s, dir->dentry->inode, W_OK | X_OK);
	if (err)
		return err;
	new = dentry_create(d->sb, dir->dentry, &q, NULL);
	if (!new)
		return -ENOMEM;
	err = make_inode(s, dir->dentry->inode, d->name, m, &inode);
	if (err) {
		dentry_put(new);
		return err;
	}
	new->inode = inode;
	dcache_add(new);
	if (m->kind == MAKE_LINK)
		notify_inode(inode, IN_ATTRIB);
	notify_name(dir->dentry->inode, IN_CREATE, d->name, inode);
	if (ret)
		*ret = new;
	else
		dentry_put(new);
	return 0;
}

/* Make what m says at path. */
static int make_at(struct subject *s, int dirfd, const char *path, const struct path *same_mount,
		   const struct make *m)
{
	struct dentry *d = NULL;
	struct inode *dir;
	struct qname q;
	struct walk w;
	int err;

	err = walk_init(&w, s, dirfd, path, 0);
	if (err)
		return err;
	err = walk_to_last(&w);
	if (err)
		goto out;
	if (w.last_type != LAST_NORM) {
		err = -EEXIST;
		goto out;
	}
	dir = w.cur.dentry->inode;
	q = walk_qname(&w);
	mutex_lock(&dir->lock, &lc_inode_dir);
	err = dir_lookup_locked(s, w.cur.dentry, &q, &d);
	if (!err) {
		if (d->inode)
			err = -EEXIST;
		else if (w.trailing && m->kind != MAKE_DIR)
			err = -ENOENT;
		else if (same_mount && same_mount->mnt != w.cur.mnt)
			err = -EXDEV;
		else
			err = make_locked(s, &w.cur, d, m, NULL);
	}
	mutex_unlock(&dir->lock, &lc_inode_dir);
	dentry_put(d);
out:
	walk_fini(&w);
	return err;
}

int vfs_mkdir(struct subject *s, int dirfd, const char *path, u32 mode)
{
	struct make m = { .kind = MAKE_DIR, .mode = S_IFDIR | (mode & 01777 & ~subject_umask(s)) };

	return make_at(s, dirfd, path, NULL, &m);
}

int vfs_mknod(struct subject *s, int dirfd, const char *path, u32 mode, u64 rdev)
{
	struct make m = { .kind = MAKE_NODE,
			  .mode = mode & ~(subject_umask(s) & 07777),
			  .rdev = rdev };

	switch (mode & S_IFMT) {
	case 0:
		m.mode |= S_IFREG;
		[[fallthrough]];
	case S_IFREG:
		m.kind = MAKE_FILE;
		break;
	case S_IFIFO:
	case S_IFSOCK:
		m.rdev = 0;
		break;
	case S_IFCHR:
	case S_IFBLK:
		break;
	case S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
	return make_at(s, dirfd, path, NULL, &m);
}

int vfs_symlink(struct subject *s, const char *target, int dirfd, const char *path)
{
	struct make m = { .kind = MAKE_SYMLINK, .target = target };

	if (!*target)
		return -ENOENT;
	return make_at(s, dirfd, path, NULL, &m);
}

int vfs_link(struct subject *s, int old_dirfd, const char *old_path, int new_dirfd,
	     const char *new_path, int flags)
{
	struct make m = { .kind = MAKE_LINK };
	struct path old;
	u32 walk = 0;
	int err;

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (flags & AT_EMPTY_PATH) {
		if (!subject_capable(s, CAP_DAC_READ_SEARCH))
			return -ENOENT;
		walk |= WALK_EMPTY;
	}
	if (flags & AT_SYMLINK_FOLLOW)
		walk |= WALK_FOLLOW;
	err = path_walk(s, old_dirfd, old_path, walk, &old);
	if (err)
		return err;
	m.inode = old.dentry->inode;
	err = make_at(s, new_dirfd, new_path, &old, &m);
	path_put(&old);
	return err;
}

/* ---- deleting ---- */

static bool sticky_forbids(struct subject *s, struct inode *dir, struct inode *victim)
{
	if (!(dir->mode & S_ISVTX) || !s || !s->cred)
		return false;
	return s->cred->fsuid != victim->uid && s->cred->fsuid != dir->uid &&
	       !subject_capable(s, CAP_FOWNER);
}

static int may_delete(struct subject *s, struct inode *dir, struct dentry *d, bool want_dir)
{
	int err;

	if (!d->inode)
		return -ENOENT;
	err = inode_permission(s, dir, W_OK | X_OK);
	if (err)
		return err;
	if (sticky_forbids(s, dir, d->inode))
		return -EPERM;
	if (want_dir && !dentry_is_dir(d))
		return -ENOTDIR;
	if (!want_dir && dentry_is_dir(d))
		return -EISDIR;
	return 0;
}

static int remove_locked(struct subject *s, struct inode *dir, struct dentry *d, bool want_dir)
	REQUIRES(lc_inode_dir)
{
	int (*op)(struct subject *, struct inode *, const char *, struct inode *);
	int err;

	err = may_delete(s, dir, d, want_dir);
	if (err)
		return err;
	op = want_dir ? dir->ops->rmdir : dir->ops->unlink;
	if (!op)
		return -EPERM;
	if (d->mounts)
		return -EBUSY;
	if (want_dir) {
		err = op(s, dir, d->name, d->inode);
	} else {
		mutex_lock(&d->inode->lock, &lc_inode);
		err = op(s, dir, d->name, d->inode);
		mutex_unlock(&d->inode->lock, &lc_inode);
	}
	if (err)
		return err;
	if (!want_dir)
		notify_inode(d->inode, IN_ATTRIB);
	dcache_remove(d, true);
	return 0;
}

/*
 * d, which was q in dir, has been removed. As in Linux the end of the inode is told first, so if
 * anybody listens d's reference is dropped here. Returns a reference to the inode, to be dropped
 * without the lock, or null.
 */
static struct inode *notify_removed(struct inode *dir, const struct qname *q, struct dentry **d)
	REQUIRES(lc_inode_dir)
{
	struct inode *victim = (*d)->inode;

	if (!notify_wanted(dir))
		return NULL;
	inode_get(victim);
	dentry_put(*d);
	*d = NULL;
	notify_name(dir, IN_DELETE, q->name, victim);
	return victim;
}

static int remove_at(struct subject *s, struct walk *w, bool want_dir)
{
	struct inode *dir = w->cur.dentry->inode, *victim = NULL;
	struct qname q = walk_qname(w);
	struct dentry *d = NULL;
	int err;

	err = path_want_write(&w->cur);
	if (err)
		return err;
	mutex_lock(&dir->lock, &lc_inode_dir);
	err = dir_lookup_locked(s, w->cur.dentry, &q, &d);
	if (!err) {
		if (!want_dir && w->trailing)
			err = !d->inode ? -ENOENT : dentry_is_dir(d) ? -EISDIR : -ENOTDIR;
		else
			err = remove_locked(s, dir, d, want_dir);
	}
	if (!err)
		victim = notify_removed(dir, &q, &d);
	mutex_unlock(&dir->lock, &lc_inode_dir);
	dentry_put(d);
	inode_put(victim);
	return err;
}

int vfs_unlink(struct subject *s, int dirfd, const char *path)
{
	struct walk w;
	int err;

	err = walk_init(&w, s, dirfd, path, 0);
	if (err)
		return err;
	err = walk_to_last(&w);
	if (!err)
		err = w.last_type == LAST_NORM ? remove_at(s, &w, false) : -EISDIR;
	walk_fini(&w);
	return err;
}

int vfs_rmdir(struct subject *s, int dirfd, const char *path)
{
	static const int bad[] = {
		[LAST_DOT] = -EINVAL, [LAST_DOTDOT] = -ENOTEMPTY, [LAST_NONE] = -EBUSY
	};
	struct walk w;
	int err;

	err = walk_init(&w, s, dirfd, path, 0);
	if (err)
		return err;
	err = walk_to_last(&w);
	if (!err)
		err = w.last_type == LAST_NORM ? remove_at(s, &w, true) : bad[w.last_type];
	walk_fini(&w);
	return err;
}

/* ---- renaming ---- */

struct rename {
	struct subject *s;
	u32 flags;
	struct walk from, to; /* the names are their last ones */
	struct dentry *old, *new; /* owned */
};

static void rename_lock(struct rename *r) NO_THREAD_SAFETY_ANALYSIS
{
	struct inode *a = r->from.cur.dentry->inode, *b = r->to.cur.dentry->inode;

	if (a == b) {
		mutex_lock(&a->lock, &lc_inode_dir);
		return;
	}
	mutex_lock(&a->sb->rename_lock, &lc_rename);
	if (dentry_is_ancestor(r->to.cur.dentry, r->from.cur.dentry)) {
		mutex_lock(&b->lock, &lc_inode_dir);
		mutex_lock(&a->lock, &lc_inode_dir);
	} else if (dentry_is_ancestor(r->from.cur.dentry, r->to.cur.dentry)) {
		mutex_lock(&a->lock, &lc_inode_dir);
		mutex_lock(&b->lock, &lc_inode_dir);
	} else {
		mutex_lock_two(&a->lock, &b->lock, &lc_inode_dir);
	}
}

static void rename_unlock(struct rename *r) NO_THREAD_SAFETY_ANALYSIS
{
	struct inode *a = r->from.cur.dentry->inode, *b = r->to.cur.dentry->inode;

	if (a == b) {
		mutex_unlock(&a->lock, &lc_inode_dir);
		return;
	}
	mutex_unlock_two(&a->lock, &b->lock, &lc_inode_dir);
	mutex_unlock(&a->sb->rename_lock, &lc_rename);
}

/* What do_renameat2 checks once both names are known. */
static int rename_check_names(struct rename *r)
{
	struct dentry *old = r->old, *new = r->new;

	if (!old->inode)
		return -ENOENT;
	if (r->flags & RENAME_NOREPLACE && new->inode)
		return -EEXIST;
	if (r->flags & RENAME_EXCHANGE) {
		if (!new->inode)
			return -ENOENT;
		if (!dentry_is_dir(new) && r->to.trailing)
			return -ENOTDIR;
	}
	if (!dentry_is_dir(old)) {
		if (r->from.trailing || (!(r->flags & RENAME_EXCHANGE) && r->to.trailing))
			return -ENOTDIR;
	}
	if (dentry_is_ancestor(old, r->to.cur.dentry))
		return -EINVAL;
	if (new->inode && dentry_is_ancestor(new, r->from.cur.dentry))
		return r->flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	return 0;
}

/* What vfs_rename checks. */
static int rename_check_inodes(struct rename *r)
{
	struct inode *old_dir = r->from.cur.dentry->inode, *new_dir = r->to.cur.dentry->inode;
	bool exchange = r->flags & RENAME_EXCHANGE, is_dir = dentry_is_dir(r->old);
	int err;

	err = may_delete(r->s, old_dir, r->old, is_dir);
	if (err)
		return err;
	if (r->new->inode)
		err = may_delete(r->s, new_dir, r->new, exchange ? dentry_is_dir(r->new) : is_dir);
	else if (r->to.cur.dentry->dead)
		err = -ENOENT;
	else
		err = inode_permission(r->s, new_dir, W_OK | X_OK);
	if (err)
		return err;
	if (!old_dir->ops->rename)
		return -EPERM;
	if (old_dir != new_dir) {
		if (is_dir)
			err = inode_permission(r->s, r->old->inode, W_OK);
		if (!err && exchange && dentry_is_dir(r->new))
			err = inode_permission(r->s, r->new->inode, W_OK);
		if (err)
			return err;
	}
	return r->old->mounts || r->new->mounts ? -EBUSY : 0;
}

static int rename_commit(struct rename *r) REQUIRES(lc_inode_dir)
{
	struct qname q = walk_qname(&r->to);
	char *name = arena_strdup(q.name);
	int err;

	if (!name)
		return -ENOMEM;
	err = r->from.cur.dentry->inode->ops->rename(r->s, r->from.cur.dentry->inode, r->old->name,
						     r->old->inode, r->to.cur.dentry->inode, q.name,
						     r->new->inode, r->flags);
	if (err || r->flags & RENAME_EXCHANGE) {
		arena_free(name);
		if (!err)
			dcache_exchange(r->old, r->new);
		return err;
	}
	dcache_remove(r->new, r->new->inode != NULL);
	dcache_move(r->old, r->to.cur.dentry, &q, name);
	return 0;
}

static void rename_notify(struct rename *r)
{
	struct inode *from = r->from.cur.dentry->inode, *to = r->to.cur.dentry->inode;
	bool exchange = r->flags & RENAME_EXCHANGE;

	notify_move(from, r->from.last, to, r->to.last, r->old->inode,
		    exchange ? NULL : r->new->inode);
	if (exchange)
		notify_move(to, r->to.last, from, r->from.last, r->new->inode, NULL);
}

static int rename_locked(struct rename *r) REQUIRES(lc_inode_dir)
{
	struct qname from = walk_qname(&r->from), to = walk_qname(&r->to);
	int err;

	err = dir_lookup_locked(r->s, r->from.cur.dentry, &from, &r->old);
	if (err)
		return err;
	if (!r->old->inode)
		return -ENOENT;
	err = dir_lookup_locked(r->s, r->to.cur.dentry, &to, &r->new);
	if (err)
		return err;
	err = rename_check_names(r);
	if (err)
		return err;
	if (r->old->inode == r->new->inode)
		return 0;
	err = rename_check_inodes(r);
	if (!err)
		err = rename_commit(r);
	if (!err)
		rename_notify(r);
	return err;
}

static int rename_walked(struct rename *r) NO_THREAD_SAFETY_ANALYSIS
{
	int err;

	if (r->from.cur.mnt != r->to.cur.mnt)
		return -EXDEV;
	if (r->from.last_type != LAST_NORM)
		return -EBUSY;
	if (r->to.last_type != LAST_NORM)
		return r->flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	err = path_want_write(&r->from.cur);
	if (err)
		return err;
	rename_lock(r);
	err = rename_locked(r);
	rename_unlock(r);
	dentry_put(r->old);
	dentry_put(r->new);
	return err;
}

int vfs_rename(struct subject *s, int old_dirfd, const char *old_path, int new_dirfd,
	       const char *new_path, u32 flags)
{
	struct rename *r;
	int err;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	if (flags & RENAME_EXCHANGE && flags & (RENAME_NOREPLACE | RENAME_WHITEOUT))
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->s = s;
	r->flags = flags;
	err = walk_init(&r->from, s, old_dirfd, old_path, 0);
	if (!err) {
		err = walk_to_last(&r->from);
		if (!err) {
			err = walk_init(&r->to, s, new_dirfd, new_path, 0);
			if (!err) {
				err = walk_to_last(&r->to);
				if (!err)
					err = rename_walked(r);
				walk_fini(&r->to);
			}
		}
		walk_fini(&r->from);
	}
	free(r);
	return err;
}
