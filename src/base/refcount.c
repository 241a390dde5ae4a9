/*
 * Saturating reference counts. Once a count passes REFCOUNT_MAX it is stuck at REFCOUNT_SATURATED,
 * far from both zero and wrap-around, and its object leaks: an overflow by a guest costs memory,
 * never a use after free.
 */

#include "base/refcount.h"

#include <stdatomic.h>

#include "base/bug.h"

#define REFCOUNT_SATURATED 0xc000'0000u

void refcount_init(struct refcount *r, u32 n)
{
	atomic_store_explicit(&r->count, n, memory_order_relaxed);
}

void refcount_get(struct refcount *r)
{
	u32 old = atomic_fetch_add_explicit(&r->count, 1, memory_order_relaxed);

	if (unlikely(old == 0))
		panic("refcount_get of a dead object");
	if (unlikely(old >= REFCOUNT_MAX))
		atomic_store_explicit(&r->count, REFCOUNT_SATURATED, memory_order_relaxed);
}

bool refcount_get_unless_zero(struct refcount *r)
{
	u32 old = atomic_load_explicit(&r->count, memory_order_relaxed);

	do {
		if (old == 0)
			return false;
		if (unlikely(old >= REFCOUNT_MAX))
			return true;
	} while (!atomic_compare_exchange_weak_explicit(
		&r->count, &old, old + 1, memory_order_acquire, memory_order_relaxed));
	return true;
}

bool refcount_put(struct refcount *r)
{
	u32 old = atomic_fetch_sub_explicit(&r->count, 1, memory_order_acq_rel);

	if (likely(old - 1 < REFCOUNT_MAX))
		return old == 1;
	if (old == 0)
		panic("refcount_put of a dead object");
	atomic_store_explicit(&r->count, REFCOUNT_SATURATED, memory_order_relaxed);
	return false;
}

u32 refcount_read(const struct refcount *r)
{
	return atomic_load_explicit(&r->count, memory_order_relaxed);
}
