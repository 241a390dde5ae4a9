/*
 * The path walk, component by component (path_resolution(7), openat2(2)).
 *
 * A walk keeps the place reached (cur, with references), what is still to go, and the rests of the
 * paths that symbolic links interrupted. A rest is kept only if components are left in it, so a
 * component is the last of the whole walk if its own string ends there and nothing is on the stack.
 * Nothing here recurses; a walk follows at most SYMLINKS_MAX links and so holds at most so many
 * link bodies.
 *
 * A look-up hit takes only the cache's lock. A miss asks the file system with the directory's lock
 * held, and remembers the answer, a negative one too.
 */

#include <errno.h>
#include <fcntl.h>

#include "sched/fiber.h"
#include "vfs/fdtable.h"
#include "vfs/internal.h"

/* ---- one name in one directory ---- */

/* Without the directory's lock d may be renamed meanwhile: it was found as q. */
static bool still_valid(struct subject *s, struct dentry *dir, struct dentry *d,
			const struct qname *q)
{
	const struct inode_ops *ops = dir->inode->ops;

	return !ops->revalidate || d->mounts || ops->revalidate(s, dir->inode, q->name, d->inode);
}

static struct dentry *lookup_cached(struct subject *s, struct dentry *dir, const struct qname *q)
{
	struct dentry *d = dcache_lookup(dir, q);

	if (d && !still_valid(s, dir, d, q)) {
		dcache_forget(dir, q, d);
		dentry_put(d);
		d = NULL;
	}
	return d;
}

int dir_lookup_locked(struct subject *s, struct dentry *dir, const struct qname *q,
		      struct dentry **ret)
{
	struct inode *inode = NULL;
	struct dentry *d;
	int err;

	d = lookup_cached(s, dir, q);
	if (d) {
		*ret = d;
		return 0;
	}
	if (dir->dead)
		return -ENOENT;
	if (!dir->inode->ops->lookup)
		return -ENOTDIR;
	err = dir->inode->ops->lookup(s, dir->inode, q->name, &inode);
	if (err)
		return err;
	d = dentry_create(dir->sb, dir, q, inode);
	if (!d) {
		inode_put(inode);
		return -ENOMEM;
	}
	if (!(dir->sb->flags & SB_NOCACHE))
		dcache_add(d);
	*ret = d;
	return 0;
}

int dir_lookup(struct subject *s, struct dentry *dir, const struct qname *q, struct dentry **ret)
{
	struct dentry *d = lookup_cached(s, dir, q);
	int err;

	if (d) {
		*ret = d;
		return 0;
	}
	mutex_lock(&dir->inode->lock, &lc_inode_dir);
	err = dir_lookup_locked(s, dir, q, ret);
	mutex_unlock(&dir->inode->lock, &lc_inode_dir);
	return err;
}

/* ---- starting ---- */

int path_start(struct subject *s, int dirfd, const char *path, struct path *ret)
{
	struct file *f;

	if (*path == '/') {
		fs_context_get_root(s->fs, ret);
		return 0;
	}
	if (dirfd == AT_FDCWD) {
		fs_context_get_cwd(s->fs, ret);
		return 0;
	}
	f = fd_get(s->files, dirfd, NULL);
	if (!f)
		return -EBADF;
	if (*path && !S_ISDIR(f->inode->mode)) {
		file_put(f);
		return -ENOTDIR;
	}
	*ret = f->path;
	path_get(ret);
	file_put(f);
	return 0;
}

int walk_init(struct walk *w, struct subject *s, int dirfd, const char *path, u32 flags)
{
	bool scoped = flags & (WALK_BENEATH | WALK_IN_ROOT);
	int err;

	memset(w, 0, sizeof(*w));
	w->s = s;
	w->flags = flags;
	w->last_type = LAST_NONE;
	if (!*path && !(flags & WALK_EMPTY))
		return -ENOENT;
	if (strnlen(path, PATH_MAX_GUEST) == PATH_MAX_GUEST)
		return -ENAMETOOLONG;
	if (*path == '/' && flags & WALK_BENEATH)
		return -EXDEV;
	while (scoped && *path == '/')
		path++;
	err = path_start(s, dirfd, scoped && !*path ? "." : path, &w->cur);
	if (err) {
		w->cur = (struct path){};
		return err;
	}
	if (scoped) {
		w->root = w->cur;
		path_get(&w->root);
	} else {
		fs_context_get_root(s->fs, &w->root);
	}
	w->start = w->cur;
	path_get(&w->start);
	w->p = path;
	return 0;
}

void walk_fini(struct walk *w)
{
	path_put(&w->cur);
	path_put(&w->root);
	path_put(&w->start);
	free(w->body);
	while (w->depth > 0)
		free(w->stack[--w->depth].body);
}

/* ---- steps ---- */

static void walk_move(struct walk *w, struct path to)
{
	path_put(&w->cur);
	w->cur = to;
}

/* A directory that was renamed out of the part of its file system that is mounted here has no way
 * up to that. */
static bool is_connected(const struct path *p)
{
	struct dentry *root = p->mnt->root;

	return root == p->dentry->sb->root || dentry_is_ancestor(root, p->dentry);
}

/* Of RESOLVE_BENEATH and RESOLVE_IN_ROOT: the place is below the root still. */
static bool is_in_scope(const struct walk *w)
{
	struct path at = w->cur;
	bool ret;

	path_get(&at);
	while (at.mnt != w->root.mnt && path_leave_mount(&at))
		;
	ret = at.mnt == w->root.mnt && dentry_is_ancestor(w->root.dentry, at.dentry);
	path_put(&at);
	return ret;
}

static int walk_up(struct walk *w)
{
	struct dentry *parent;
	int err;

	for (;;) {
		if (path_equal(&w->cur, &w->root)) {
			if (w->flags & WALK_BENEATH)
				return -EXDEV;
			break;
		}
		if (w->cur.dentry != w->cur.mnt->root) {
			parent = dentry_parent(w->cur.dentry);
			if (!parent)
				break;
			dentry_put(w->cur.dentry);
			w->cur.dentry = parent;
			if (!is_connected(&w->cur))
				return -ENOENT;
			break;
		}
		if (!path_leave_mount(&w->cur))
			break;
		if (w->flags & WALK_NO_XDEV)
			return -EXDEV;
	}
	err = path_cross_mounts(&w->cur, w->flags & WALK_NO_XDEV);
	/* A directory may have been moved out while the walk was in it. */
	if (!err && w->flags & (WALK_BENEATH | WALK_IN_ROOT) && !is_in_scope(w))
		err = -EAGAIN;
	return err;
}

/* Walk body next (heap, taken over), then what was to go. */
static int walk_push(struct walk *w, char *body)
{
	if (*w->p) {
		w->stack[w->depth].body = w->body;
		w->stack[w->depth].p = w->p;
		w->depth++;
	} else {
		free(w->body);
	}
	w->body = body;
	w->p = body;
	if (*body != '/')
		return 0;
	if (w->flags & WALK_BENEATH)
		return -EXDEV;
	if (w->flags & WALK_NO_XDEV && w->root.mnt != w->cur.mnt)
		return -EXDEV;
	path_get(&w->root);
	walk_move(w, w->root);
	return 0;
}

static int walk_magic(struct walk *w, struct inode *link)
{
	struct path to;
	int err;

	if (w->flags & WALK_NO_MAGICLINKS)
		return -ELOOP;
	err = link->ops->follow(w->s, link, &to);
	if (err)
		return err;
	if (w->flags & (WALK_BENEATH | WALK_IN_ROOT) ||
	    (w->flags & WALK_NO_XDEV && to.mnt != w->cur.mnt)) {
		path_put(&to);
		return -EXDEV;
	}
	walk_move(w, to);
	return 0;
}

static int walk_link(struct walk *w, struct inode *link)
{
	char buf[PATH_MAX_GUEST];
	char *body;
	ssize_t n;

	if (w->flags & WALK_NO_SYMLINKS || ++w->links > SYMLINKS_MAX)
		return -ELOOP;
	if (link->ops->follow)
		return walk_magic(w, link);
	if (!link->ops->readlink)
		return -EINVAL;
	n = link->ops->readlink(w->s, link, buf, sizeof(buf));
	if (n < 0)
		return (int)n;
	if (n == 0)
		return -ENOENT;
	body = malloc((size_t)n + 1);
	if (!body)
		return -ENOMEM;
	memcpy(body, buf, (size_t)n);
	body[n] = '\0';
	return walk_push(w, body);
}

int walk_step_to(struct walk *w, struct dentry *d, bool follow, bool *ret_followed)
{
	struct path next = { .mnt = w->cur.mnt, .dentry = d };
	int err;

	mount_get(next.mnt);
	*ret_followed = false;
	err = d->inode ? path_cross_mounts(&next, w->flags & WALK_NO_XDEV) : -ENOENT;
	if (err) {
		path_put(&next);
		return err;
	}
	if (follow && S_ISLNK(next.dentry->inode->mode) && next.mnt->flags & SB_NOSYMFOLLOW) {
		path_put(&next);
		return -ELOOP;
	}
	if (follow && S_ISLNK(next.dentry->inode->mode)) {
		*ret_followed = true;
		err = walk_link(w, next.dentry->inode);
		path_put(&next);
		return err;
	}
	walk_move(w, next);
	return 0;
}

struct qname walk_qname(const struct walk *w)
{
	return dcache_qname(w->cur.dentry->sb, w->last, w->last_len);
}

int walk_step(struct walk *w, bool follow, bool *ret_followed)
{
	struct dentry *d;
	struct qname q;
	int err;

	*ret_followed = false;
	if (w->last_type == LAST_DOTDOT)
		return walk_up(w);
	if (w->last_type != LAST_NORM)
		return 0;
	q = walk_qname(w);
	err = dir_lookup(w->s, w->cur.dentry, &q, &d);
	if (err)
		return err;
	return walk_step_to(w, d, follow, ret_followed);
}

static const char *skip_slashes(const char *p)
{
	while (*p == '/')
		p++;
	return p;
}

/* The directory can be searched. */
static int walk_may_search(struct walk *w)
{
	struct inode *dir = w->cur.dentry->inode;

	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	return inode_permission(w->s, dir, X_OK);
}

/* Take the next component from the strings into last. False if there is none. */
static int walk_next(struct walk *w, bool *ret_found)
{
	const char *p = skip_slashes(w->p);
	size_t len;

	while (!*p && w->depth > 0) {
		free(w->body);
		w->depth--;
		w->body = w->stack[w->depth].body;
		p = skip_slashes(w->stack[w->depth].p);
	}
	w->last_type = LAST_NONE;
	w->last_len = 0;
	w->last[0] = '\0';
	w->p = p;
	*ret_found = *p;
	if (!*p)
		return 0;
	len = strcspn(p, "/");
	if (len > NAME_MAX_GUEST)
		return -ENAMETOOLONG;
	memcpy(w->last, p, len);
	w->last[len] = '\0';
	w->last_len = (u32)len;
	w->last_type = strcmp(w->last, ".") == 0  ? LAST_DOT :
		       strcmp(w->last, "..") == 0 ? LAST_DOTDOT :
						    LAST_NORM;
	w->p = skip_slashes(p + len);
	if (!*w->p && w->depth == 0 && p[len] == '/')
		w->trailing = true;
	return 0;
}

int walk_to_last(struct walk *w)
{
	bool found, followed;
	int err;

	for (;;) {
		const char *p = skip_slashes(w->p);

		if (*p || w->depth > 0) {
			err = walk_may_search(w);
			if (err)
				return err;
		}
		err = walk_next(w, &found);
		if (err || !found || (!*w->p && w->depth == 0))
			return err;
		err = walk_step(w, true, &followed);
		if (err)
			return err;
		if (fiber_current() && fiber_killed(fiber_current()))
			return -EINTR;
	}
}

int walk_to_end(struct walk *w)
{
	bool followed = true;
	int err;

	while (followed) {
		err = walk_to_last(w);
		if (!err)
			err = walk_step(w, w->flags & WALK_FOLLOW || w->trailing, &followed);
		if (err)
			return err;
	}
	if ((w->trailing || w->flags & WALK_DIRECTORY) && !dentry_is_dir(w->cur.dentry))
		return -ENOTDIR;
	return 0;
}

/* ---- whole walks ---- */

int path_walk(struct subject *s, int dirfd, const char *path, u32 flags, struct path *ret)
{
	struct walk w;
	int err;

	err = walk_init(&w, s, dirfd, path, flags);
	if (err)
		return err;
	err = walk_to_end(&w);
	if (!err) {
		*ret = w.cur;
		w.cur = (struct path){};
	}
	walk_fini(&w);
	return err;
}

int path_walk_parent(struct subject *s, int dirfd, const char *path, u32 flags,
		     struct path *ret_dir, char *ret_last, bool *ret_trailing_slash)
{
	struct walk w;
	int err;

	err = walk_init(&w, s, dirfd, path, flags);
	if (err)
		return err;
	err = walk_to_last(&w);
	if (!err) {
		*ret_dir = w.cur;
		w.cur = (struct path){};
		if (w.last_type == LAST_NONE)
			memcpy(ret_last, "/", 2);
		else
			memcpy(ret_last, w.last, w.last_len + 1);
		*ret_trailing_slash = w.trailing;
	}
	walk_fini(&w);
	return err;
}

/* ---- steps without a walk ---- */

void path_parent(const struct path *p, struct path *ret)
{
	struct path at = *p;
	struct dentry *up;

	path_get(&at);
	while (at.mnt && at.dentry == at.mnt->root && path_leave_mount(&at))
		;
	up = dentry_parent(at.dentry);
	if (up) {
		dentry_put(at.dentry);
		at.dentry = up;
	}
	*ret = at;
}

int path_lookup_one(struct subject *s, const struct path *dir, const char *name, struct path *ret)
{
	struct path at = { .mnt = dir->mnt };
	struct qname q;
	int err;

	if (!dentry_is_dir(dir->dentry))
		return -ENOTDIR;
	q = dcache_qname(dir->dentry->sb, name, strlen(name));
	err = dir_lookup(s, dir->dentry, &q, &at.dentry);
	if (err)
		return err;
	if (!at.dentry->inode) {
		dentry_put(at.dentry);
		return -ENOENT;
	}
	if (at.mnt)
		mount_get(at.mnt);
	err = path_cross_mounts(&at, false);
	if (err) {
		path_put(&at);
		return err;
	}
	*ret = at;
	return 0;
}
