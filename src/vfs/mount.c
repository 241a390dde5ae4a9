/*
 * Changing the mounts of a namespace: bind, move, remount, unmount, pivot_root
 * (mount_namespaces(7), mount(2), umount2(2), pivot_root(2)).
 *
 * Places change under lc_mounts alone. What is taken out of the tree is put after the lock is
 * dropped, since the last reference to a super may park. A mount's children are found by looking
 * through the namespace's list, newest first.
 *
 * All mounts are private: propagation types are accepted by the system call and change nothing.
 */

#include <errno.h>
#include <sys/mount.h>

#include "vfs/internal.h"

/* ---- the tree ---- */

bool path_is_mounted(const struct path *p)
{
	return p->mnt && p->dentry == p->mnt->root;
}

/* m is root, or mounted somewhere below it. */
static bool is_below(const struct mount *m, const struct mount *root) REQUIRES(lc_mounts)
{
	while (m && m != root)
		m = m->parent;
	return m != NULL;
}

/* p lies in the tree of what is seen from root on. */
static bool is_reachable(struct path p, const struct path *root) REQUIRES(lc_mounts)
{
	while (p.mnt != root->mnt && p.mnt->parent)
		p = (struct path){ .mnt = p.mnt->parent, .dentry = p.mnt->mountpoint };
	return p.mnt == root->mnt && dentry_is_ancestor(root->dentry, p.dentry);
}

static bool has_children(struct mount_ns *ns, const struct mount *parent) REQUIRES(lc_mounts)
{
	struct mount *m;

	list_for_each(m, &ns->mounts, ns_link)
		if (m->parent == parent)
			return true;
	return false;
}

/* Mounts that have lost their place, linked by ns_link: parent and mountpoint, of which they have
 * references now, say where they were. */
static void put_gone(struct list *gone)
{
	struct mount *m, *next;

	list_for_each_safe(m, next, gone, ns_link) {
		struct path was = { .mnt = m->parent, .dentry = m->mountpoint };

		list_del(&m->ns_link);
		m->parent = NULL;
		m->mountpoint = NULL;
		path_put(&was);
		mount_put(m);
	}
}

/* Take m out of the tree, to gone. */
static void detach(struct mount *m, struct list *gone) REQUIRES(lc_mounts)
{
	struct path was;

	mount_unlink(m, &was);
	m->parent = was.mnt;
	m->mountpoint = was.dentry;
	list_add(gone, &m->ns_link);
}

/* Take root, and all that is mounted below it, out of the tree. */
static void detach_tree(struct mount_ns *ns, struct mount *root, struct list *gone)
	REQUIRES(lc_mounts)
{
	struct mount *m, *next;

	struct list found;

	/* First gather, while the parents are still known. */
	list_init(&found);
	list_for_each_safe(m, next, &ns->mounts, ns_link) {
		if (!is_below(m, root))
			continue;
		list_del(&m->ns_link);
		list_add(&found, &m->ns_link);
	}
	list_for_each_safe(m, next, &found, ns_link)
		detach(m, gone);
}

/* ---- new places ---- */

int vfs_new_mount(struct subject *s, struct super *sb, const char *source, const struct path *on,
		  u32 flags)
{
	if (path_is_mounted(on) && on->mnt->sb == sb)
		return -EBUSY;
	return mount_attach(s->fs->mount_ns, sb, source, on, flags & MOUNT_FLAGS_MASK);
}

static int mount_clone(const struct mount *m, struct dentry *root, struct mount **ret)
{
	int err;

	super_get(m->sb);
	err = mount_create(m->sb, root, m->source, m->flags, ret);
	if (err)
		super_put(m->sb);
	return err;
}

/* A copy of a mount, and where it goes in the copied tree. */
struct copy {
	struct mount *old, *new; /* with references */
	size_t parent; /* which copy it is mounted on */
	struct dentry *mountpoint; /* with a reference */
};

struct copies {
	struct copy *copy; /* heap */
	size_t count;
};

static void add_copy(struct copies *c, struct mount *m, size_t parent) REQUIRES(lc_mounts)
{
	mount_get(m);
	if (m->mountpoint)
		dentry_get(m->mountpoint);
	c->copy[c->count++] =
		(struct copy){ .old = m, .parent = parent, .mountpoint = m->mountpoint };
	m->copy = (u32)c->count;
}

/* Note from, and what is mounted in its tree: parents before children. */
static int gather(struct mount_ns *ns, const struct path *from, bool recursive, struct copies *c)
	REQUIRES(lc_mounts)
{
	bool more = recursive;
	struct mount *m;

	c->copy = calloc(ns->count + 1, sizeof(*c->copy));
	if (!c->copy)
		return -ENOMEM;
	list_for_each(m, &ns->mounts, ns_link)
		m->copy = 0;
	add_copy(c, from->mnt, 0);
	while (more) {
		more = false;
		list_for_each(m, &ns->mounts, ns_link) {
			if (m->copy || !m->parent || !m->parent->copy)
				continue;
			if (m->parent == from->mnt &&
			    !dentry_is_ancestor(from->dentry, m->mountpoint))
				continue;
			add_copy(c, m, m->parent->copy - 1);
			more = true;
		}
	}
	return 0;
}

static int copy_mounts(struct copies *c, const struct path *from)
{
	int err = 0;

	for (size_t i = 0; i < c->count && !err; i++) {
		struct mount *old = c->copy[i].old;

		err = mount_clone(old, i ? old->root : from->dentry, &c->copy[i].new);
	}
	return err;
}

static void copies_fini(struct copies *c)
{
	for (size_t i = 0; i < c->count; i++) {
		mount_put(c->copy[i].old);
		mount_put(c->copy[i].new);
		dentry_put(c->copy[i].mountpoint);
	}
	free(c->copy);
}

int vfs_bind_mount(struct subject *s, const struct path *from, const struct path *on,
		   bool recursive)
{
	struct mount_ns *ns = s->fs->mount_ns;
	struct copies c = {};
	int err;

	mutex_lock(&ns->lock, &lc_mounts);
	err = from->mnt && from->mnt->ns == ns ? gather(ns, from, recursive, &c) : -EINVAL;
	mutex_unlock(&ns->lock, &lc_mounts);
	if (!err)
		err = copy_mounts(&c, from);
	if (!err && dentry_is_dir(from->dentry) != dentry_is_dir(on->dentry))
		err = -ENOTDIR;
	if (!err) {
		mutex_lock(&ns->lock, &lc_mounts);
		err = mount_check_place(ns, on, (u32)c.count);
		for (size_t i = 0; i < c.count && !err; i++) {
			struct path at = { .mnt = c.copy[c.copy[i].parent].new,
					   .dentry = c.copy[i].mountpoint };

			mount_get(c.copy[i].new);
			mount_link(ns, c.copy[i].new, i ? &at : on);
		}
		mutex_unlock(&ns->lock, &lc_mounts);
	}
	copies_fini(&c);
	return err;
}

int vfs_move_mount(struct subject *s, const struct path *from, const struct path *on)
{
	struct mount_ns *ns = s->fs->mount_ns;
	struct path was = {};
	int err;

	mutex_lock(&ns->lock, &lc_mounts);
	if (!path_is_mounted(from) || from->mnt->ns != ns || !from->mnt->parent ||
	    dentry_is_dir(from->dentry) != dentry_is_dir(on->dentry))
		err = -EINVAL;
	else
		err = mount_check_place(ns, on, 0);
	if (!err && is_below(on->mnt, from->mnt))
		err = -ELOOP;
	if (!err) {
		mount_unlink(from->mnt, &was);
		mount_link(ns, from->mnt, on);
	}
	mutex_unlock(&ns->lock, &lc_mounts);
	path_put(&was);
	return err;
}

int vfs_remount(struct subject *s, const struct path *p, u32 flags)
{
	if (!path_is_mounted(p) || p->mnt->ns != s->fs->mount_ns)
		return -EINVAL;
	mount_set_flags(p->mnt, flags & MOUNT_FLAGS_MASK);
	return 0;
}

/* ---- unmounting ---- */

/* References to a mount that nobody uses: its place in the tree, and the caller's path. */
#define REFS_UNUSED 2

static int umount_locked(struct mount_ns *ns, struct mount *m, int flags, struct list *gone)
	REQUIRES(lc_mounts)
{
	bool busy = refcount_read(&m->refs) > REFS_UNUSED || has_children(ns, m);

	if (m->ns != ns)
		return -EINVAL;
	if (!m->parent)
		return flags & MNT_DETACH ? -EINVAL : -EBUSY;
	if (flags & MNT_DETACH) {
		detach_tree(ns, m, gone);
		return 0;
	}
	if (busy)
		return -EBUSY;
	if (flags & MNT_EXPIRE && !m->expired) {
		m->expired = true;
		return -EAGAIN;
	}
	detach(m, gone);
	return 0;
}

int vfs_umount(struct subject *s, struct path *p, int flags)
{
	struct mount_ns *ns = s->fs->mount_ns;
	struct path root;
	struct mount *m;
	struct list gone;
	bool is_root;
	int err;

	/* After pivot_root(".", "."), "." means what is mounted on it. */
	err = path_cross_mounts(p, false);
	if (!err && !path_is_mounted(p))
		err = -EINVAL;
	if (err) {
		path_put(p);
		return err;
	}
	m = p->mnt;
	fs_context_get_root(s->fs, &root);
	is_root = root.mnt == m;
	path_put(&root);
	list_init(&gone);
	if (flags & MNT_EXPIRE && (is_root || flags & (MNT_FORCE | MNT_DETACH))) {
		path_put(p);
		return -EINVAL;
	}
	mutex_lock(&ns->lock, &lc_mounts);
	if (is_root && !(flags & MNT_DETACH)) {
		/* Linux makes the caller's root read-only instead. */
		mount_set_flags(m, m->flags | SB_RDONLY);
		err = 0;
	} else {
		err = umount_locked(ns, m, flags, &gone);
	}
	mutex_unlock(&ns->lock, &lc_mounts);
	put_gone(&gone);
	/* Not path_put, which is a use of the mount. */
	dentry_put(p->dentry);
	mount_put(m);
	return err;
}

/* ---- another root ---- */

static int pivot_check(struct mount_ns *ns, const struct path *root, const struct path *new_root,
		       const struct path *put_old) REQUIRES(lc_mounts)
{
	if (root->mnt->ns != ns || new_root->mnt->ns != ns || put_old->mnt->ns != ns)
		return -EINVAL;
	if (new_root->dentry->dead || put_old->dentry->dead)
		return -ENOENT;
	if (new_root->mnt == root->mnt || put_old->mnt == root->mnt)
		return -EBUSY;
	if (!path_is_mounted(root) || !path_is_mounted(new_root) || !new_root->mnt->parent)
		return -EINVAL;
	if (!is_reachable(*put_old, new_root) || !is_reachable(*new_root, root))
		return -EINVAL;
	return 0;
}

/* Put the mount of new_root in the place of root's, and that on put_old. ret_was: two paths to put.
 */
static void pivot_commit(struct mount_ns *ns, const struct path *root, const struct path *new_root,
			 const struct path *put_old, struct path ret_was[2]) REQUIRES(lc_mounts)
{
	struct mount *old = root->mnt, *new = new_root->mnt;

	mount_unlink(new, &ret_was[0]);
	mount_unlink(old, &ret_was[1]);
	if (ret_was[1].mnt) {
		mount_link(ns, new, &ret_was[1]);
	} else {
		/* The top of the namespace: no place, and first in age. */
		new->ns = ns;
		ns->count++;
		list_add_tail(&ns->mounts, &new->ns_link);
		ns->root = new;
	}
	mount_link(ns, old, put_old);
}

int vfs_pivot_root(struct subject *s, const struct path *new_root, const struct path *put_old,
		   struct path *ret_old_root)
{
	struct mount_ns *ns = s->fs->mount_ns;
	struct path was[2] = {}, root;
	int err;

	fs_context_get_root(s->fs, &root);
	mutex_lock(&ns->lock, &lc_mounts);
	err = pivot_check(ns, &root, new_root, put_old);
	if (!err)
		pivot_commit(ns, &root, new_root, put_old, was);
	mutex_unlock(&ns->lock, &lc_mounts);
	path_put(&was[0]);
	path_put(&was[1]);
	if (err)
		path_put(&root);
	else
		*ret_old_root = root;
	return err;
}
