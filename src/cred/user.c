/* Counts by user. Records live while something refers to them; the table is small and hashed by
 * uid. */

#include "cred/user.h"

#include <stdatomic.h>

#include "arena/slab.h"
#include "base/hash.h"

SLAB_CLASS(user_usage, struct user_usage);
SLAB_CLASS(user_table, struct user_table);

struct user_table *user_table_create(void)
{
	struct user_table *table = slab_alloc(&slab_user_table);

	if (!table)
		return NULL;
	spin_init(&table->lock);
	for (u32 i = 0; i < USER_BUCKETS; i++)
		list_init(&table->bucket[i]);
	table->inotify_max_instances = INOTIFY_INSTANCES;
	table->inotify_max_watches = INOTIFY_WATCHES;
	table->inotify_max_events = INOTIFY_EVENTS;
	return table;
}

void user_table_destroy(struct user_table *table)
{
	slab_free(&slab_user_table, table);
}

struct user_usage *user_usage_find(struct user_table *table, u32 uid)
{
	struct list *bucket = &table->bucket[hash_u64(uid) % USER_BUCKETS];
	struct user_usage *u;

	spin_lock(&table->lock, &lc_cred);
	list_for_each(u, bucket, link) {
		if (u->uid == uid) {
			refcount_get(&u->refs);
			goto out;
		}
	}
	u = slab_alloc(&slab_user_usage);
	if (u) {
		refcount_init(&u->refs, 1);
		u->uid = uid;
		list_add(bucket, &u->link);
	}
out:
	spin_unlock(&table->lock, &lc_cred);
	return u;
}

struct user_usage *user_usage_get(struct user_usage *u)
{
	refcount_get(&u->refs);
	return u;
}

void user_usage_put(struct user_table *table, struct user_usage *u)
{
	bool last;

	if (!u)
		return;
	spin_lock(&table->lock, &lc_cred);
	last = refcount_put(&u->refs);
	if (last)
		list_del(&u->link);
	spin_unlock(&table->lock, &lc_cred);
	if (last)
		slab_free(&slab_user_usage, u);
}
