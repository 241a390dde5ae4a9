#pragma once

/* Hash tables: an array of lists in the arena, a power of two long. The owner's lock protects it.
 */

#include "base/list.h"
#include "base/types.h"

/*
 * Make the array twice as long (first, if there is none yet) and put all entries where they belong
 * now; hash is told their links. False when memory is short: then nothing has changed.
 */
[[nodiscard]] bool buckets_grow(struct list **buckets, u32 *count, u32 first,
				u64 (*hash)(const struct list *link));
