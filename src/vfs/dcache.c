/*
 * Dentries and the cache of names.
 *
 * A cached dentry is in its super's hash table, its parent's list of children and the LRU list; the
 * cache then holds one reference. So "unused" means cached with a count of one, under lc_dcache: no
 * one else can get a reference but through the cache or from another reference. A dentry's inode
 * never changes: when a name is created, its negative dentry is replaced. Only directory locks
 * (lc_inode_dir) permit changes of what a name means; the cache's own lock protects its structure,
 * and names and parents against rename.
 *
 * The cache is bounded by CACHED_MAX dentries a super: each addition past it throws out a few
 * unused ones.
 */

#include "arena/arena.h"
#include "arena/buckets.h"
#include "arena/slab.h"
#include "base/bug.h"
#include "vfs/internal.h"
#include "vfs/notify.h"

#define CACHED_MAX 16384
#define SHRINK_SCAN 32 /* dentries looked at, and */
#define SHRINK_FREE 3 /* thrown out at most, for each one added */
#define BUCKETS_MIN 64
#define BUCKETS_MAX 16384

SLAB_CLASS(dentry, struct dentry);

void dcache_init(struct dcache *c, struct hash_key key)
{
	spin_init(&c->lock);
	c->key = key;
	list_init(&c->lru);
}

struct qname dcache_qname(const struct super *sb, const char *name, size_t len)
{
	u64 h = sb ? hash_bytes(&sb->dcache.key, name, len) : 0;

	return (struct qname){ .name = name, .len = (u32)len, .hash = (u32)h };
}

struct dentry *dentry_create(struct super *sb, struct dentry *parent, const struct qname *q,
			     struct inode *inode)
{
	struct dentry *d = slab_alloc(&slab_dentry);

	if (!d)
		return NULL;
	d->name = arena_alloc(q->len + 1);
	if (!d->name) {
		slab_free(&slab_dentry, d);
		return NULL;
	}
	memcpy(d->name, q->name, q->len);
	refcount_init(&d->refs, 1);
	d->sb = sb;
	d->name_len = q->len;
	d->hash = q->hash;
	d->inode = inode;
	list_init(&d->siblings);
	list_init(&d->children);
	list_init(&d->hash_link);
	list_init(&d->lru);
	if (parent) {
		dentry_get(parent);
		d->parent = parent;
	}
	return d;
}

void dentry_get(struct dentry *d)
{
	refcount_get(&d->refs);
}

void dentry_put(struct dentry *d)
{
	while (d && refcount_put(&d->refs)) {
		struct dentry *parent = d->parent;

		DEBUG_BUG_ON(d->cached);
		if (d->inode) {
			if (d->dead)
				notify_gone(d->inode);
			inode_put(d->inode);
		}
		arena_free(d->name);
		slab_free(&slab_dentry, d);
		d = parent;
	}
}

struct dentry *dentry_parent(struct dentry *d)
{
	struct dentry *parent;

	if (!d->sb)
		return NULL;
	spin_lock(&d->sb->dcache.lock, &lc_dcache);
	parent = d->parent;
	if (parent)
		dentry_get(parent);
	spin_unlock(&d->sb->dcache.lock, &lc_dcache);
	return parent;
}

struct dentry *dentry_parent_name(struct dentry *d, char ret_name[NAME_MAX_GUEST + 1])
{
	struct dentry *parent;
	u32 len;

	if (!d->sb)
		return NULL;
	spin_lock(&d->sb->dcache.lock, &lc_dcache);
	len = min(d->name_len, (u32)NAME_MAX_GUEST);
	memcpy(ret_name, d->name, len);
	ret_name[len] = '\0';
	parent = d->parent;
	if (parent)
		dentry_get(parent);
	spin_unlock(&d->sb->dcache.lock, &lc_dcache);
	return parent;
}

static struct list *bucket_of(struct dcache *c, const struct dentry *parent, u32 hash)
{
	u64 h = hash_combine(hash, (u64)(uintptr_t)parent);

	return &c->buckets[h & (c->bucket_count - 1)];
}

static struct dentry *find_cached(struct dcache *c, struct dentry *parent, const struct qname *q)
	REQUIRES(lc_dcache)
{
	struct list *bucket;
	struct dentry *d;

	if (!c->bucket_count)
		return NULL;
	bucket = bucket_of(c, parent, q->hash);
	list_for_each(d, bucket, hash_link)
		if (d->hash == q->hash && d->parent == parent && d->name_len == q->len &&
		    memcmp(d->name, q->name, q->len) == 0)
			return d;
	return NULL;
}

struct dentry *dcache_lookup(struct dentry *parent, const struct qname *q)
{
	struct dcache *c = &parent->sb->dcache;
	struct dentry *d;

	spin_lock(&c->lock, &lc_dcache);
	d = find_cached(c, parent, q);
	if (d) {
		dentry_get(d);
		list_del(&d->lru);
		list_add(&c->lru, &d->lru);
	}
	spin_unlock(&c->lock, &lc_dcache);
	return d;
}

static u64 hash_of(const struct list *link) REQUIRES(lc_dcache)
{
	const struct dentry *d = list_entry(link, const struct dentry, hash_link);

	return hash_combine(d->hash, (u64)(uintptr_t)d->parent);
}

/* Keep chains short; if memory is short, they grow. False if there is no table at all. */
static bool grow_table(struct dcache *c) REQUIRES(lc_dcache)
{
	if (c->bucket_count && (c->count < c->bucket_count || c->bucket_count >= BUCKETS_MAX))
		return true;
	return buckets_grow(&c->buckets, &c->bucket_count, BUCKETS_MIN, hash_of) || c->bucket_count;
}

/* Unlink d from the cache; the cache's reference passes to the caller, by way of the list freed
 * (linked by lru). */
static void uncache(struct dcache *c, struct dentry *d, struct list *freed) REQUIRES(lc_dcache)
{
	list_del(&d->hash_link);
	list_del(&d->siblings);
	list_del(&d->lru);
	d->cached = false;
	c->count--;
	list_add_tail(freed, &d->lru);
}

static void put_freed(struct list *freed)
{
	struct dentry *d, *next;

	list_for_each_safe(d, next, freed, lru) {
		list_del(&d->lru);
		dentry_put(d);
	}
}

static void shrink(struct dcache *c, struct list *freed) REQUIRES(lc_dcache)
{
	struct list *at = c->lru.prev;
	unsigned int done = 0;

	for (unsigned int i = 0; i < SHRINK_SCAN && done < SHRINK_FREE && at != &c->lru; i++) {
		struct dentry *d = list_entry(at, struct dentry, lru);

		at = at->prev;
		if (refcount_read(&d->refs) == 1) {
			uncache(c, d, freed);
			done++;
		} else {
			list_del(&d->lru);
			list_add(&c->lru, &d->lru);
		}
	}
}

void dcache_add(struct dentry *d)
{
	struct dcache *c = &d->sb->dcache;
	struct qname q = { .name = d->name, .len = d->name_len, .hash = d->hash };
	struct list freed;
	struct dentry *old;

	list_init(&freed);
	spin_lock(&c->lock, &lc_dcache);
	old = find_cached(c, d->parent, &q);
	if (old)
		uncache(c, old, &freed);
	if (!d->parent->dead && grow_table(c)) {
		dentry_get(d);
		d->cached = true;
		list_add(bucket_of(c, d->parent, d->hash), &d->hash_link);
		list_add(&d->parent->children, &d->siblings);
		list_add(&c->lru, &d->lru);
		if (++c->count > CACHED_MAX)
			shrink(c, &freed);
	}
	spin_unlock(&c->lock, &lc_dcache);
	put_freed(&freed);
}

void dcache_remove(struct dentry *d, bool dead)
{
	struct dcache *c = &d->sb->dcache;
	struct list freed;

	list_init(&freed);
	spin_lock(&c->lock, &lc_dcache);
	if (dead)
		d->dead = true;
	if (d->cached)
		uncache(c, d, &freed);
	spin_unlock(&c->lock, &lc_dcache);
	put_freed(&freed);
	if (dead)
		notify_unpin(d);
	if (dead && dentry_is_dir(d))
		dcache_prune(d);
}

void dcache_forget(struct dentry *parent, const struct qname *q, struct dentry *d)
{
	struct dcache *c = &d->sb->dcache;
	struct list freed;

	list_init(&freed);
	spin_lock(&c->lock, &lc_dcache);
	if (find_cached(c, parent, q) == d)
		uncache(c, d, &freed);
	spin_unlock(&c->lock, &lc_dcache);
	put_freed(&freed);
}

/* Go down from d to a leaf and uncache it if it is unused. False if that changed nothing. */
static bool prune_leaf(struct dcache *c, struct list *children, struct list *freed)
	REQUIRES(lc_dcache)
{
	struct dentry *d;

	list_for_each(d, children, siblings) {
		if (refcount_read(&d->refs) != 1)
			continue;
		uncache(c, d, freed);
		return true;
	}
	return false;
}

void dcache_prune(struct dentry *dir)
{
	struct dcache *c = &dir->sb->dcache;
	struct list freed;
	bool more;

	/* A directory that is being deleted is empty: what is cached below it are negative
	 * dentries. */
	do {
		list_init(&freed);
		spin_lock(&c->lock, &lc_dcache);
		more = prune_leaf(c, &dir->children, &freed);
		spin_unlock(&c->lock, &lc_dcache);
		put_freed(&freed);
	} while (more);
}

static void rehash(struct dcache *c, struct dentry *d) REQUIRES(lc_dcache)
{
	if (!d->cached)
		return;
	list_del(&d->hash_link);
	list_del(&d->siblings);
	list_add(bucket_of(c, d->parent, d->hash), &d->hash_link);
	list_add(&d->parent->children, &d->siblings);
}

void dcache_move(struct dentry *d, struct dentry *parent, const struct qname *q, char *name)
{
	struct dcache *c = &d->sb->dcache;
	struct dentry *old_parent;
	char *old_name;

	dentry_get(parent);
	spin_lock(&c->lock, &lc_dcache);
	old_parent = d->parent;
	old_name = d->name;
	d->parent = parent;
	d->name = name;
	d->name_len = q->len;
	d->hash = q->hash;
	rehash(c, d);
	spin_unlock(&c->lock, &lc_dcache);
	arena_free(old_name);
	dentry_put(old_parent);
}

void dcache_exchange(struct dentry *a, struct dentry *b)
{
	struct dcache *c = &a->sb->dcache;
	struct dentry *parent;
	u32 len, hash;
	char *name;

	spin_lock(&c->lock, &lc_dcache);
	parent = a->parent, name = a->name, len = a->name_len, hash = a->hash;
	a->parent = b->parent, a->name = b->name, a->name_len = b->name_len, a->hash = b->hash;
	b->parent = parent, b->name = name, b->name_len = len, b->hash = hash;
	rehash(c, a);
	rehash(c, b);
	spin_unlock(&c->lock, &lc_dcache);
}

bool dentry_is_ancestor(struct dentry *a, struct dentry *b)
{
	struct dcache *c = &a->sb->dcache;

	spin_lock(&c->lock, &lc_dcache);
	while (b && b != a)
		b = b->parent;
	spin_unlock(&c->lock, &lc_dcache);
	return b != NULL;
}

void dcache_destroy(struct dcache *c, struct dentry *root)
{
	struct list freed;
	struct dentry *d, *next;

	list_init(&freed);
	spin_lock(&c->lock, &lc_dcache);
	list_for_each_safe(d, next, &c->lru, lru)
		uncache(c, d, &freed);
	spin_unlock(&c->lock, &lc_dcache);
	put_freed(&freed);
	dentry_put(root);
	arena_free(c->buckets);
	c->buckets = NULL;
	c->bucket_count = 0;
}
