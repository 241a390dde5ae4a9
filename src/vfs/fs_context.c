/* Root, working directory and umask of one or more tasks (CLONE_FS). The lock is short: it only
 * guards the paths. */

#include <errno.h>
#include <stdatomic.h>

#include "arena/slab.h"
#include "vfs/internal.h"

SLAB_CLASS(fs_context, struct fs_context);

int fs_context_create(struct mount_ns *ns, struct fs_context **ret)
{
	struct fs_context *fs = slab_alloc(&slab_fs_context);

	if (!fs)
		return -ENOMEM;
	refcount_init(&fs->refs, 1);
	fs->users = 1;
	spin_init(&fs->lock);
	fs->umask = 022;
	mount_ns_get(ns);
	fs->mount_ns = ns;
	fs->root = (struct path){ .mnt = ns->root, .dentry = ns->root->root };
	path_get(&fs->root);
	fs->cwd = fs->root;
	path_get(&fs->cwd);
	*ret = fs;
	return 0;
}

int fs_context_fork(struct fs_context *old, struct fs_context **ret)
{
	struct fs_context *fs = slab_alloc(&slab_fs_context);

	if (!fs)
		return -ENOMEM;
	refcount_init(&fs->refs, 1);
	fs->users = 1;
	spin_init(&fs->lock);
	fs->umask = __atomic_load_n(&old->umask, __ATOMIC_RELAXED);
	mount_ns_get(old->mount_ns);
	fs->mount_ns = old->mount_ns;
	fs_context_get_root(old, &fs->root);
	fs_context_get_cwd(old, &fs->cwd);
	*ret = fs;
	return 0;
}

void fs_context_join(struct fs_context *fs)
{
	fs_context_get(fs);
	atomic_fetch_add(&fs->users, 1);
}

void fs_context_leave(struct fs_context *fs)
{
	if (!fs)
		return;
	atomic_fetch_sub(&fs->users, 1);
	fs_context_put(fs);
}

void fs_context_get(struct fs_context *fs)
{
	refcount_get(&fs->refs);
}

void fs_context_put(struct fs_context *fs)
{
	if (!fs || !refcount_put(&fs->refs))
		return;
	path_put(&fs->root);
	path_put(&fs->cwd);
	mount_ns_put(fs->mount_ns);
	slab_free(&slab_fs_context, fs);
}

static void get_locked(struct fs_context *fs, const struct path *p, struct path *ret)
{
	spin_lock(&fs->lock, &lc_fs_context);
	*ret = *p;
	path_get(ret);
	spin_unlock(&fs->lock, &lc_fs_context);
}

static void set_locked(struct fs_context *fs, struct path *p, const struct path *to)
{
	struct path old;

	path_get(to);
	spin_lock(&fs->lock, &lc_fs_context);
	old = *p;
	*p = *to;
	spin_unlock(&fs->lock, &lc_fs_context);
	path_put(&old);
}

static unsigned int replace(struct path *p, const struct path *from, const struct path *to)
{
	if (!path_equal(p, from))
		return 0;
	path_get(to);
	*p = *to;
	return 1;
}

unsigned int fs_context_replace(struct fs_context *fs, const struct path *from,
				const struct path *to)
{
	unsigned int count;

	spin_lock(&fs->lock, &lc_fs_context);
	count = replace(&fs->root, from, to) + replace(&fs->cwd, from, to);
	spin_unlock(&fs->lock, &lc_fs_context);
	return count;
}

void fs_context_get_root(struct fs_context *fs, struct path *ret)
{
	get_locked(fs, &fs->root, ret);
}

void fs_context_get_cwd(struct fs_context *fs, struct path *ret)
{
	get_locked(fs, &fs->cwd, ret);
}

void fs_context_set_cwd(struct fs_context *fs, const struct path *p)
{
	set_locked(fs, &fs->cwd, p);
}

void fs_context_set_root(struct fs_context *fs, const struct path *p)
{
	set_locked(fs, &fs->root, p);
}
