/* Tables of names; see the header. */

#include "vfs/nametab.h"

#include <errno.h>
#include <string.h>

#include "arena/arena.h"
#include "arena/buckets.h"
#include "vfs/vfs.h"

#define BUCKETS_MIN 8
#define BUCKETS_MAX (1u << 20)

void nametab_init(struct nametab *t, const struct hash_key *key)
{
	*t = (struct nametab){ .key = key, .next_cookie = NAMETAB_FIRST };
	list_init(&t->entries);
}

void nametab_fini(struct nametab *t)
{
	struct nametab_entry *e, *next;

	list_for_each_safe(e, next, &t->entries, order) {
		nametab_erase(t, e);
		nametab_entry_destroy(e);
	}
	arena_free(t->buckets);
	t->buckets = NULL;
	t->bucket_count = 0;
}

struct nametab_entry *nametab_find_len(const struct nametab *t, const char *name, size_t len)
{
	u32 hash = (u32)hash_bytes(t->key, name, len);
	struct nametab_entry *e;
	struct list *bucket;

	if (!t->bucket_count)
		return NULL;
	bucket = &t->buckets[hash & (t->bucket_count - 1)];
	list_for_each(e, bucket, hash_link)
		if (e->hash == hash && e->len == len && memcmp(e->name, name, len) == 0)
			return e;
	return NULL;
}

struct nametab_entry *nametab_find(const struct nametab *t, const char *name)
{
	return nametab_find_len(t, name, strlen(name));
}

struct nametab_entry *nametab_entry_create(const struct nametab *t, const char *name,
					   struct inode *inode)
{
	size_t len = strnlen(name, NAME_MAX_GUEST);
	struct nametab_entry *e = arena_alloc(sizeof(*e) + len + 1);

	if (!e)
		return NULL;
	list_init(&e->order);
	list_init(&e->hash_link);
	e->len = (u16)len;
	e->hash = (u32)hash_bytes(t->key, name, len);
	memcpy(e->name, name, len);
	if (inode)
		inode_get(inode);
	e->inode = inode;
	return e;
}

void nametab_entry_destroy(struct nametab_entry *e)
{
	if (!e)
		return;
	inode_put(e->inode);
	arena_free(e);
}

static u64 hash_of(const struct list *link)
{
	return list_entry(link, const struct nametab_entry, hash_link)->hash;
}

/* Without memory the chains grow; it fails only if there is no table at all. */
int nametab_reserve(struct nametab *t)
{
	if (t->bucket_count && (t->count < t->bucket_count || t->bucket_count >= BUCKETS_MAX))
		return 0;
	if (!buckets_grow(&t->buckets, &t->bucket_count, BUCKETS_MIN, hash_of) && !t->bucket_count)
		return -ENOSPC;
	return 0;
}

static void renumber(struct nametab *t)
{
	struct nametab_entry *e;

	t->next_cookie = NAMETAB_FIRST;
	list_for_each(e, &t->entries, order)
		e->cookie = t->next_cookie++;
}

int nametab_insert(struct nametab *t, struct nametab_entry *e)
{
	int err = nametab_reserve(t);

	if (err)
		return err;
	if (t->next_cookie >= NAMETAB_COOKIES)
		renumber(t);
	e->cookie = t->next_cookie++;
	list_add_tail(&t->entries, &e->order);
	list_add(&t->buckets[e->hash & (t->bucket_count - 1)], &e->hash_link);
	t->count++;
	return 0;
}

void nametab_erase(struct nametab *t, struct nametab_entry *e)
{
	if (t->hint == e)
		t->hint = nametab_after(t, e);
	list_del(&e->order);
	list_del(&e->hash_link);
	t->count--;
}

struct nametab_entry *nametab_after(const struct nametab *t, struct nametab_entry *e)
{
	return e->order.next == &t->entries ? NULL : list_next(e, order);
}

struct nametab_entry *nametab_from(const struct nametab *t, u64 cookie)
{
	struct nametab_entry *e = t->hint;

	/* Mostly a readdir goes on where the last one stopped. */
	if (e && e->cookie >= cookie &&
	    (e->order.prev == &t->entries ||
	     list_entry(e->order.prev, struct nametab_entry, order)->cookie < cookie))
		return e;
	list_for_each(e, &t->entries, order)
		if (e->cookie >= cookie)
			return e;
	return NULL;
}
