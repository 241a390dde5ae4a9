/* Hash tables that grow; see the header. */

#include "arena/buckets.h"

#include "arena/arena.h"

bool buckets_grow(struct list **buckets, u32 *count, u32 first,
		  u64 (*hash)(const struct list *link))
{
	u32 new_count = *count ? 2 * *count : first;
	struct list *table = arena_alloc(new_count * sizeof(*table));

	if (!table)
		return false;
	for (u32 i = 0; i < new_count; i++)
		list_init(&table[i]);
	for (u32 i = 0; i < *count; i++) {
		struct list *old = &(*buckets)[i];

		while (!list_empty(old)) {
			struct list *link = old->next;

			list_del(link);
			list_add(&table[hash(link) & (new_count - 1)], link);
		}
	}
	arena_free(*buckets);
	*buckets = table;
	*count = new_count;
	return true;
}
