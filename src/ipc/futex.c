/*
 * Futexes.
 *
 * Waiters lie on the stacks of their fibers and hang in a table of buckets, hashed by key. Guest
 * memory is never touched with a bucket's lock held, so a waiter cannot compare and enqueue in one
 * step, as Linux does. Instead:
 *
 *	wait:	enqueue (tentatively); load the word; if it differs: dequeue, and EAGAIN;
 *		else: confirm and sleep
 *	wake:	(the guest has changed the word;) take waiters off the queue
 *
 * A waker that comes before the enqueue has changed the word before it is loaded; one that comes
 * after it finds the waiter. A waiter whose compare fails, but who has been woken meanwhile, has
 * taken a wake that was not meant for it, and passes it on.
 *
 * FUTEX_CMP_REQUEUE notes how many waiters the bucket has seen, loads the word, and then moves only
 * those that it had seen: as if all had happened when the word was loaded. A tentative waiter is
 * not moved, but told to load the word again before it confirms: as if it had come later.
 *
 * A waiter's bucket and key are changed only with the locks of its old and new bucket held.
 *
 * Sources: futex(2), and "Futexes are tricky" (Drepper).
 */

#include "ipc/futex.h"

#include <errno.h>
#include <linux/futex.h>

#include "arena/arena.h"
#include "base/hash.h"
#include "ipc/futex_pi.h"
#include "ipc/root.h"
#include "sched/fiber.h"

enum waiter_state {
	WAITER_TENTATIVE, /* the word is being compared */
	WAITER_AGAIN, /* and is to be loaded once more */
	WAITER_CONFIRMED,
};

struct futex_waiter {
	struct list link; /* [bucket] */
	struct futex_bucket *bucket; /* [bucket] read without lock to find the lock */
	struct futex_key key; /* [bucket] */
	u64 stamp; /* [bucket] its number in the bucket */
	u32 bitset; /* [I] */
	bool queued; /* [bucket] */
	u32 state; /* [a] enum waiter_state */
	const struct futex_key *target; /* [I] of FUTEX_WAIT_REQUEUE_PI: the lock; else null */
	bool requeued; /* [bucket] sent there */
	struct fiber *fiber; /* [I] */
};

static struct futex_bucket *bucket_of(struct ipc_root *root, const struct futex_key *key)
{
	u64 hash = hash_combine(hash_u64(key->object), key->offset);

	return &root->futexes[hash % FUTEX_BUCKETS];
}

bool futex_key_equal(const struct futex_key *a, const struct futex_key *b)
{
	return a->object == b->object && a->offset == b->offset && a->shared == b->shared;
}

int futex_find_key(struct subject *s, struct futex_ref word, struct futex_key *ret)
{
	if (!ipc_root())
		return -ENOMEM;
	if (word.addr.v % sizeof(u32))
		return -EINVAL;
	if (!uaddr_ok(word.addr, sizeof(u32)))
		return -EFAULT;
	return mm_futex_key(s, word.addr, word.private_, ret);
}

static int futex_find(struct subject *s, struct futex_ref word, struct futex_key *ret_key,
		      struct futex_bucket **ret_bucket)
{
	int err = futex_find_key(s, word, ret_key);

	if (!err)
		*ret_bucket = bucket_of(ipc_root(), ret_key);
	return err;
}

/* ---- wait ---- */

static void waiter_enqueue(struct futex_waiter *w, struct futex_bucket *b)
{
	spin_lock(&b->lock, &lc_futex);
	__atomic_store_n(&w->bucket, b, __ATOMIC_RELAXED);
	w->stamp = ++b->enqueued;
	w->queued = true;
	list_add_tail(&b->waiters, &w->link);
	spin_unlock(&b->lock, &lc_futex);
}

/* Take w off its queue. False if somebody has woken it; that one is then done with it. */
static bool waiter_dequeue(struct futex_waiter *w)
{
	for (;;) {
		struct futex_bucket *b = __atomic_load_n(&w->bucket, __ATOMIC_RELAXED);
		bool queued;

		spin_lock(&b->lock, &lc_futex);
		if (b != __atomic_load_n(&w->bucket, __ATOMIC_RELAXED)) {
			spin_unlock(&b->lock, &lc_futex);
			continue;
		}
		queued = w->queued;
		if (queued) {
			list_del(&w->link);
			w->queued = false;
		}
		spin_unlock(&b->lock, &lc_futex);
		return queued;
	}
}

/* With the bucket's lock held, which keeps w alive. */
static void waiter_wake(struct futex_waiter *w) REQUIRES(lc_futex)
{
	list_del(&w->link);
	__atomic_store_n(&w->queued, false, __ATOMIC_RELAXED);
	fiber_unpark(w->fiber);
}

static int wake_key(struct futex_bucket *b, const struct futex_key *key, u32 count, u32 bitset)
{
	struct futex_waiter *w, *next;
	u32 woken = 0;
	int err = 0;

	spin_lock(&b->lock, &lc_futex);
	list_for_each_safe(w, next, &b->waiters, link) {
		if (woken == count)
			break;
		if (!futex_key_equal(&w->key, key) || !(w->bitset & bitset))
			continue;
		if (w->target) {
			err = -EINVAL; /* only futex_requeue_pi may */
			break;
		}
		waiter_wake(w);
		woken++;
	}
	spin_unlock(&b->lock, &lc_futex);
	return err ? err : (int)woken;
}

/* Sleep until woken; w is off its queue afterwards. */
static int waiter_sleep(struct futex_waiter *w, const struct clock_deadline *until)
{
	int ret = 0;

	while (__atomic_load_n(&w->queued, __ATOMIC_RELAXED) && !ret)
		ret = clock_deadline_park(until);
	/* Who was woken was woken, whatever else happened. */
	return waiter_dequeue(w) ? ret : 0;
}

static bool waiter_confirm(struct futex_waiter *w)
{
	u32 state = WAITER_TENTATIVE;

	return __atomic_compare_exchange_n(&w->state, &state, WAITER_CONFIRMED, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* Compare the word of an enqueued waiter until it can be confirmed. */
static int waiter_compare(struct subject *s, struct futex_waiter *w, struct uaddr addr, u32 val)
{
	u32 now;
	int ret;

	do {
		__atomic_store_n(&w->state, WAITER_TENTATIVE, __ATOMIC_SEQ_CST);
		ret = load_in32(s, addr, &now);
		if (!ret && now != val)
			ret = -EAGAIN;
	} while (!ret && !waiter_confirm(w));
	return ret;
}

/* Wait as w, whose fields are set but for the key. */
static int waiter_wait(struct subject *s, struct futex_waiter *w, struct futex_ref word, u32 val,
		       const struct clock_deadline *until)
{
	struct futex_bucket *b;
	struct futex_key key;
	int ret;

	if (!w->bitset)
		return -EINVAL;
	ret = futex_find(s, word, &w->key, &b);
	if (ret)
		return ret;
	key = w->key;
	waiter_enqueue(w, b);
	ret = waiter_compare(s, w, word.addr, val);
	if (ret) {
		if (!waiter_dequeue(w))
			wake_key(b, &key, 1, w->bitset);
		return ret;
	}
	return waiter_sleep(w, until);
}

int futex_wait(struct subject *s, struct futex_ref word, u32 val, u32 bitset,
	       const struct clock_deadline *until)
{
	struct futex_waiter w = { .bitset = bitset, .fiber = s->fiber };

	return waiter_wait(s, &w, word, val, until);
}

/* ---- several words ---- */

/* Take the first count of w off their queues. The index of one that was woken, else -1. */
static int waiters_dequeue(struct futex_waiter *w, u32 count)
{
	int woken = -1;

	for (u32 i = 0; i < count; i++)
		if (!waiter_dequeue(&w[i]))
			woken = (int)i;
	return woken;
}

static bool all_queued(const struct futex_waiter *w, u32 count)
{
	for (u32 i = 0; i < count; i++)
		if (!__atomic_load_n(&w[i].queued, __ATOMIC_RELAXED))
			return false;
	return true;
}

static int waiters_wait(struct subject *s, struct futex_waiter *w,
			const struct futex_waitv_word *words, u32 count,
			const struct clock_deadline *until)
{
	struct futex_bucket *b;
	u32 queued = 0;
	int ret = 0, woken;

	for (; queued < count && !ret; queued++) {
		w[queued].bitset = FUTEX_ALL;
		w[queued].fiber = s->fiber;
		ret = futex_find(s, words[queued].word, &w[queued].key, &b);
		if (ret)
			break;
		waiter_enqueue(&w[queued], b);
		ret = waiter_compare(s, &w[queued], words[queued].word.addr, words[queued].val);
	}
	while (!ret && all_queued(w, count))
		ret = clock_deadline_park(until);
	woken = waiters_dequeue(w, queued);
	return woken >= 0 ? woken : ret;
}

int futex_wait_many(struct subject *s, const struct futex_waitv_word *words, u32 count,
		    const struct clock_deadline *until)
{
	struct futex_waiter *w = arena_alloc(count * sizeof(*w));
	int ret;

	if (!w)
		return -ENOMEM;
	ret = waiters_wait(s, w, words, count, until);
	arena_free(w);
	return ret;
}

/* ---- from a futex to a lock with priority inheritance ---- */

int futex_wait_requeue_pi(struct subject *s, struct futex_ref word, u32 val, u32 bitset,
			  struct futex_ref target, const struct clock_deadline *until)
{
	struct futex_waiter w = { .bitset = bitset, .fiber = s->fiber };
	struct futex_key key, target_key;
	int ret = futex_find_key(s, target, &target_key);

	if (!ret)
		ret = futex_find_key(s, word, &key);
	if (!ret && futex_key_equal(&key, &target_key))
		ret = -EINVAL;
	if (ret)
		return ret;
	w.target = &target_key;
	ret = waiter_wait(s, &w, word, val, until);
	if (ret || !w.requeued)
		return ret ? ret : -EAGAIN;
	ret = futex_lock_pi(s, target, false, until);
	return ret == -EINTR ? -EAGAIN : ret;
}

/* Load the word at addr, after noting how many waiters b has seen. */
static int load_after(struct subject *s, struct futex_bucket *b, struct uaddr addr, u64 *ret_seen,
		      u32 *ret)
{
	spin_lock(&b->lock, &lc_futex);
	*ret_seen = b->enqueued;
	spin_unlock(&b->lock, &lc_futex);
	return load_in32(s, addr, ret);
}

/* ---- wake and requeue ---- */

int futex_wake(struct subject *s, struct futex_ref word, u32 count, u32 bitset)
{
	struct futex_key key;
	struct futex_bucket *b;
	int ret;

	if (!bitset)
		return -EINVAL;
	ret = futex_find(s, word, &key, &b);
	return ret ? ret : wake_key(b, &key, count, bitset);
}

/* Unless w is confirmed, let it load the word again. */
static bool waiter_send_back(struct futex_waiter *w)
{
	u32 state = __atomic_load_n(&w->state, __ATOMIC_ACQUIRE);

	while (state != WAITER_CONFIRMED)
		if (__atomic_compare_exchange_n(&w->state, &state, WAITER_AGAIN, false,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return true;
	return false;
}

static void waiter_move(struct futex_waiter *w, const struct futex_key *key,
			struct futex_bucket *to) REQUIRES(lc_futex)
{
	list_del(&w->link);
	w->key = *key;
	w->stamp = ++to->enqueued;
	__atomic_store_n(&w->bucket, to, __ATOMIC_RELAXED);
	list_add_tail(&to->waiters, &w->link);
}

int futex_requeue(struct subject *s, struct futex_ref from, struct futex_ref to, u32 wake, u32 move,
		  const u32 *cmp)
{
	struct futex_key key, key2;
	struct futex_bucket *b, *b2;
	struct futex_waiter *w, *next;
	u32 woken = 0, moved = 0, now;
	u64 seen = UINT64_MAX;
	int ret = futex_find(s, from, &key, &b);

	if (!ret)
		ret = futex_find(s, to, &key2, &b2);
	if (ret)
		return ret;
	if (cmp) {
		ret = load_after(s, b, from.addr, &seen, &now);
		if (ret)
			return ret;
		if (now != *cmp)
			return -EAGAIN;
	}
	spin_lock_two(&b->lock, &b2->lock, &lc_futex);
	list_for_each_safe(w, next, &b->waiters, link) {
		if (woken == wake && moved == move)
			break;
		if (!futex_key_equal(&w->key, &key) || w->stamp > seen)
			continue;
		if (w->target) {
			ret = -EINVAL; /* only futex_requeue_pi may */
			break;
		}
		if (woken < wake) {
			waiter_wake(w);
			woken++;
			continue;
		}
		if (waiter_send_back(w))
			continue;
		if (!futex_key_equal(&key, &key2))
			waiter_move(w, &key2, b2);
		moved++;
	}
	spin_unlock_two(&b->lock, &b2->lock, &lc_futex);
	return ret ? ret : (int)(woken + moved);
}

/* The waiters themselves take the lock, one after the other: nobody can tell that from their having
 * been queued for it. */
int futex_requeue_pi(struct subject *s, struct futex_ref from, struct futex_ref to, u32 move,
		     u32 cmp)
{
	struct futex_key key, key2;
	struct futex_waiter *w, *next;
	struct futex_bucket *b;
	u32 sent = 0, now;
	u64 seen;
	int ret = futex_find(s, from, &key, &b);

	if (!ret)
		ret = futex_find_key(s, to, &key2);
	if (!ret && futex_key_equal(&key, &key2))
		ret = -EINVAL;
	if (!ret)
		ret = load_after(s, b, from.addr, &seen, &now);
	if (ret)
		return ret;
	if (now != cmp)
		return -EAGAIN;
	spin_lock(&b->lock, &lc_futex);
	list_for_each_safe(w, next, &b->waiters, link) {
		if (sent > move)
			break;
		if (!futex_key_equal(&w->key, &key) || w->stamp > seen)
			continue;
		if (!w->target || !futex_key_equal(w->target, &key2)) {
			ret = -EINVAL;
			break;
		}
		if (waiter_send_back(w))
			continue;
		w->requeued = true;
		waiter_wake(w);
		sent++;
	}
	spin_unlock(&b->lock, &lc_futex);
	return ret ? ret : (int)sent;
}

/* Do the operation of FUTEX_WAKE_OP; *ret_old gets what was there. */
static int apply_op(struct subject *s, struct uaddr addr, u32 op, u32 arg, u32 *ret_old)
{
	u32 old, new, seen;
	int ret = load_in32(s, addr, &old);

	while (!ret) {
		switch (op) {
		case FUTEX_OP_SET:
			new = arg;
			break;
		case FUTEX_OP_ADD:
			new = old + arg;
			break;
		case FUTEX_OP_OR:
			new = old | arg;
			break;
		case FUTEX_OP_ANDN:
			new = old & ~arg;
			break;
		case FUTEX_OP_XOR:
			new = old ^ arg;
			break;
		default:
			return -ENOSYS;
		}
		ret = cmpxchg_in32(s, addr, old, new, &seen);
		if (!ret && seen == old) {
			*ret_old = old;
			return 0;
		}
		old = seen;
		if (fiber_killed(s->fiber))
			return -EINTR;
		fiber_yield(); /* somebody may go on changing the word */
	}
	return ret;
}

static int op_compare(u32 op, s32 old, s32 arg)
{
	switch (op) {
	case FUTEX_OP_CMP_EQ:
		return old == arg;
	case FUTEX_OP_CMP_NE:
		return old != arg;
	case FUTEX_OP_CMP_LT:
		return old < arg;
	case FUTEX_OP_CMP_LE:
		return old <= arg;
	case FUTEX_OP_CMP_GT:
		return old > arg;
	case FUTEX_OP_CMP_GE:
		return old >= arg;
	default:
		return -ENOSYS;
	}
}

int futex_wake_op(struct subject *s, struct futex_ref first, struct futex_ref second, u32 wake,
		  u32 wake2, u32 encoded)
{
	u32 op = encoded >> 28 & 7, cmp = encoded >> 24 & 15;
	/* Both arguments are signed and have 12 bits. */
	s32 arg = (s32)(encoded << 8) >> 20, cmp_arg = (s32)(encoded << 20) >> 20;
	struct futex_key key, key2;
	struct futex_bucket *b, *b2;
	u32 old = 0, value = (u32)arg;
	int ret = futex_find(s, first, &key, &b), woken;

	if (!ret)
		ret = futex_find(s, second, &key2, &b2);
	if (ret)
		return ret;
	if (encoded >> 28 & FUTEX_OP_OPARG_SHIFT)
		value = 1U << (arg & 31);
	ret = apply_op(s, second.addr, op, value, &old);
	if (ret)
		return ret;
	ret = op_compare(cmp, (s32)old, cmp_arg);
	if (ret < 0)
		return ret;
	woken = wake_key(b, &key, wake, FUTEX_ALL);
	if (woken < 0 || !ret)
		return woken;
	ret = wake_key(b2, &key2, wake2, FUTEX_ALL);
	return ret < 0 ? ret : woken + ret;
}

/* ---- robust lists ---- */

/* The owner of the word at addr may have died. pending: it may also have been about to take or
 * release it. */
static int robust_release(struct subject *s, struct uaddr addr, u32 tid, bool pi, bool pending)
{
	struct futex_ref word = { .addr = addr };
	u32 old, seen;
	int ret;

	if (addr.v % sizeof(u32))
		return -EINVAL;
	ret = load_in32(s, addr, &old);
	while (!ret) {
		u32 new = (old & FUTEX_WAITERS) | FUTEX_OWNER_DIED;

		if (pending && !pi && !old) {
			/* Released, but the wake may not have come: make up for it. */
			(void)!futex_wake(s, word, 1, FUTEX_ALL);
			return 0;
		}
		if ((old & FUTEX_TID_MASK) != tid)
			return 0;
		ret = cmpxchg_in32(s, addr, old, new, &seen);
		if (ret)
			break;
		if (seen == old) {
			if (!pi && old & FUTEX_WAITERS)
				(void)!futex_wake(s, word, 1, FUTEX_ALL);
			return 0;
		}
		old = seen;
	}
	return ret;
}

/* A pointer of the list; bit 0 says that the entry is a PI futex. */
struct robust_entry {
	u64 addr;
	bool pi;
};

static struct robust_entry to_entry(u64 value)
{
	return (struct robust_entry){ .addr = value & ~1UL, .pi = value & 1 };
}

static int fetch_entry(struct subject *s, struct uaddr at, struct robust_entry *ret)
{
	u64 value;
	int err = copy_in(s, &value, at, sizeof(value));

	if (!err)
		*ret = to_entry(value);
	return err;
}

void futex_exit_robust(struct subject *s, struct uaddr head, u32 tid)
{
	struct robust_entry entry, next, pending;
	u64 h[3], offset; /* struct robust_list_head */
	int err;

	if (copy_in(s, h, head, sizeof(h)))
		return;
	entry = to_entry(h[0]);
	offset = h[1];
	pending = to_entry(h[2]);
	for (unsigned int i = 0; entry.addr != head.v && i < FUTEX_ROBUST_MAX; i++) {
		/* The next one is fetched first: the word may be gone once it is released. */
		err = fetch_entry(s, UADDR(entry.addr), &next);
		if (entry.addr != pending.addr &&
		    robust_release(s, UADDR(entry.addr + offset), tid, entry.pi, false))
			return;
		if (err)
			return;
		entry = next;
	}
	if (pending.addr)
		(void)!robust_release(s, UADDR(pending.addr + offset), tid, pending.pi, true);
}
