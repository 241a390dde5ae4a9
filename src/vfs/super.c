/* Supers: mounted instances of file systems. */

#include <errno.h>
#include <sys/sysmacros.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "host/host.h"
#include "sched/timer.h"
#include "vfs/internal.h"

SLAB_CLASS(super, struct super, TRANSIENT(struct super, rename_lock.owner));

#define ANON_MAJOR 0

/* Unnamed device numbers need only differ: Linux counts them up, we take them from the super's
 * place in the arena. */
static u64 anon_dev(const struct super *sb)
{
	return makedev(ANON_MAJOR, (u32)(hash_u64((u64)(uintptr_t)sb) % 0xf'ffff + 16));
}

int super_create(const char *type, const struct super_ops *ops, u64 magic, u32 flags, void *private,
		 struct super **ret)
{
	struct super *sb = slab_alloc(&slab_super);
	struct hash_key key;

	if (!sb)
		return -ENOMEM;
	sb->type = arena_strdup(type);
	if (!sb->type || host_getrandom(&key, sizeof(key), 0) != sizeof(key)) {
		arena_free(sb->type);
		slab_free(&slab_super, sb);
		return -ENOMEM;
	}
	refcount_init(&sb->refs, 1);
	sb->ops = ops;
	sb->magic = magic;
	sb->flags = flags;
	sb->private = private;
	sb->dev = anon_dev(sb);
	mutex_init(&sb->rename_lock);
	dcache_init(&sb->dcache, key);
	list_init(&sb->watched);
	*ret = sb;
	return 0;
}

int super_set_root(struct super *sb, struct inode *root)
{
	struct qname q = { .name = "", .len = 0, .hash = 0 };

	sb->root = dentry_create(sb, NULL, &q, root);
	if (sb->root)
		return 0;
	inode_put(root);
	return -ENOMEM;
}

void super_get(struct super *sb)
{
	refcount_get(&sb->refs);
}

void super_put(struct super *sb)
{
	if (!sb || !refcount_put(&sb->refs))
		return;
	dcache_destroy(&sb->dcache, sb->root);
	if (sb->ops->destroy)
		sb->ops->destroy(sb);
	arena_free(sb->type);
	slab_free(&slab_super, sb);
}

u64 super_new_ino(struct super *sb)
{
	return ++sb->next_ino;
}

/* ---- working ahead ---- */

void vfs_expect(struct subject *s, struct super *sb)
{
	if (!s || !s->call_tsc || s->ahead || !sb || !sb->ops->work_ahead)
		return;
	super_get(sb);
	s->ahead = sb;
}

bool vfs_work_ahead(struct subject *s)
{
	if (!s->ahead_since)
		s->ahead_since = sched_now();
	return s->ahead && s->ahead->ops->work_ahead(s, s->ahead);
}

void vfs_end_ahead(struct subject *s)
{
	struct super *sb = s->ahead;

	s->ahead = NULL;
	super_put(sb);
}
