/*
 * Futexes with priority inheritance.
 *
 * The word holds the owner's thread id, FUTEX_WAITERS if an unlock must come here, and
 * FUTEX_OWNER_DIED. The guest takes a free lock and frees one without waiters by itself. As guest
 * memory is never touched with a short lock held, the word and the queue cannot be changed in one
 * step; so whoever is in doubt starts over:
 *
 *	lock:	load the word; if it is free, take it; else set FUTEX_WAITERS, enqueue, and load
 *		it again: if it is what it was, look for a deadlock and sleep, else leave the
 *		queue and start over
 *	unlock:	mark the first waiter as being handed the lock, write its id into the word, and
 *		only then take it off the queue and wake it; without a waiter write 0, and tell
 *		those who came meanwhile to start over
 *	death:	those who wait for a lock of the dead start over, and may take a word with his id
 *
 * A waiter that is being handed the lock does not leave before that is decided, unless it is
 * killed; then the one who hands over does not find it, and hands the lock on. Telling somebody to
 * start over is always right. A guest that writes nonsense into a word gets EINVAL, ESRCH or
 * EDEADLK, or waits for the task that it named.
 *
 * One lock protects all queues and the graph of who waits for whom.
 *
 * Sources: futex(2), pthread_mutexattr_setprotocol(3p), Documentation/locking/pi-futex.rst of
 * Linux.
 */

#include "ipc/futex_pi.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "ipc/root.h"
#include "sched/fiber.h"
#include "time/step.h"

#define CHAIN_MAX 1024 /* of waiting tasks, as in Linux */

struct pi_waiter {
	struct list link; /* [pi] in its bucket, first ones first */
	struct list owner_link; /* [pi] in owner->waiters */
	struct futex_pi_task *self; /* [I] */
	struct futex_pi_task *owner; /* [pi] or null once that one has let go */
	struct futex_key key; /* [I] */
	struct fiber *fiber; /* [I] */
	u64 stamp; /* [I] order of arrival */
	u32 priority, tid; /* [I] */
	_Atomic bool queued; /* [pi to change] */
	bool handing; /* [pi] its id is being written into the word */
	bool granted; /* [pi] it owns the lock */
	bool owner_died; /* [pi] told to start over because of that */
};

void futex_pi_task_init(struct futex_pi_task *p)
{
	list_init(&p->waiters);
}

static struct list *pi_bucket(const struct futex_key *key)
{
	u64 hash = hash_combine(hash_u64(key->object), key->offset);

	return &ipc_root()->pi_waiters[hash % FUTEX_BUCKETS];
}

static void pi_lock(void) ACQUIRE(lc_futex_pi)
{
	spin_lock(&ipc_root()->pi_lock, &lc_futex_pi);
}

static void pi_unlock(void) RELEASE(lc_futex_pi)
{
	spin_unlock(&ipc_root()->pi_lock, &lc_futex_pi);
}

/* ---- the queues ---- */

static bool goes_before(const struct pi_waiter *a, const struct pi_waiter *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority;
	return a->stamp < b->stamp;
}

/* The first waiter for key after w in its bucket (null: from the start). */
static struct pi_waiter *pi_next(const struct futex_key *key, struct pi_waiter *w)
	REQUIRES(lc_futex_pi)
{
	struct list *bucket = pi_bucket(key), *at = w ? w->link.next : bucket->next;

	for (; at != bucket; at = at->next) {
		struct pi_waiter *other = list_entry(at, struct pi_waiter, link);

		if (futex_key_equal(&other->key, key))
			return other;
	}
	return NULL;
}

static void pi_set_owner(struct pi_waiter *w, struct futex_pi_task *owner) REQUIRES(lc_futex_pi)
{
	list_del(&w->owner_link);
	w->owner = owner;
	if (owner)
		list_add_tail(&owner->waiters, &w->owner_link);
}

/* Those who wait for key wait for owner now, but for owner itself, which is being handed it. */
static void pi_owned_by(const struct futex_key *key, struct futex_pi_task *owner)
	REQUIRES(lc_futex_pi)
{
	struct pi_waiter *w = NULL;

	while ((w = pi_next(key, w)))
		pi_set_owner(w, w->self == owner ? NULL : owner);
}

static void pi_dequeue(struct pi_waiter *w) REQUIRES(lc_futex_pi)
{
	list_del(&w->link);
	pi_set_owner(w, NULL);
	w->self->blocked_on = NULL;
	w->handing = false;
	atomic_store(&w->queued, false);
}

/* w may be gone as soon as the lock is dropped. */
static void pi_wake(struct pi_waiter *w) REQUIRES(lc_futex_pi)
{
	struct fiber *f = w->fiber;

	pi_dequeue(w);
	fiber_unpark(f);
}

/* Would waiting for owner close a circle? */
static bool pi_deadlock(const struct futex_pi_task *self, const struct futex_pi_task *owner)
	REQUIRES(lc_futex_pi)
{
	for (unsigned int depth = 0; owner; depth++) {
		if (owner == self || depth == CHAIN_MAX)
			return true;
		owner = owner->blocked_on ? owner->blocked_on->owner : NULL;
	}
	return false;
}

/* Queue for a lock of owner. -ESRCH: owner owns nothing any more. */
static int pi_enqueue(struct pi_waiter *w, struct futex_pi_task *owner)
{
	struct list *bucket = pi_bucket(&w->key), *at;
	int err = 0;

	pi_lock();
	if (atomic_load(&owner->exited)) {
		err = -ESRCH;
	} else {
		if (!w->stamp)
			w->stamp = ++ipc_root()->pi_stamp;
		for (at = bucket->prev; at != bucket; at = at->prev)
			if (!goes_before(w, list_entry(at, struct pi_waiter, link)))
				break;
		list_add(at, &w->link);
		pi_set_owner(w, owner);
		pi_owned_by(&w->key, owner);
		w->owner_died = false;
		atomic_store(&w->queued, true);
	}
	pi_unlock();
	return err;
}

/*
 * The word still names the owner that w has queued for: from now on w waits for it. Whoever has
 * only queued may be about to start over, and must not close a circle in the eyes of others.
 * -EDEADLK.
 */
static int pi_block(struct pi_waiter *w)
{
	int err = 0;

	pi_lock();
	if (w->queued) {
		if (pi_deadlock(w->self, w->owner))
			err = -EDEADLK;
		else
			w->self->blocked_on = w;
	}
	pi_unlock();
	return err;
}

/* Get off the queue, once it is decided whether w gets the lock: true if it does. */
static bool pi_leave(struct pi_waiter *w)
{
	bool killed = false, granted;

	pi_lock();
	while (w->queued && w->handing && !killed) {
		pi_unlock();
		killed = fiber_park_killable(NO_DEADLINE) == -EINTR;
		pi_lock();
	}
	if (w->queued)
		pi_dequeue(w);
	granted = w->granted;
	pi_unlock();
	return granted;
}

/* ---- lock ---- */

/* The word is val, and free for the taking. 1: taken; 0: it has changed. */
static int pi_take(struct subject *s, struct pi_waiter *w, struct uaddr addr, u32 val, bool died)
{
	u32 new = w->tid | (val & FUTEX_OWNER_DIED) | (died ? FUTEX_OWNER_DIED : 0), seen;
	int err;

	pi_lock();
	if (pi_next(&w->key, NULL))
		new |= FUTEX_WAITERS;
	pi_unlock();
	err = cmpxchg_in32(s, addr, val, new, &seen);
	if (err || seen != val)
		return err;
	pi_lock();
	pi_owned_by(&w->key, w->self);
	pi_unlock();
	return 1;
}

/* val names a task that is not there: 0 if the word has changed meanwhile. */
static int pi_no_owner(struct subject *s, struct uaddr addr, u32 val)
{
	u32 now;
	int err = load_in32(s, addr, &now);

	return err ? err : now == val ? -ESRCH : 0;
}

/* Queue for the lock of the task that val names, and see whether val still stands. 1: it does. */
static int pi_join(struct subject *s, struct pi_waiter *w, struct uaddr addr, u32 val, bool try)
{
	const struct futex_pi_hooks *hooks = OPS(futex_pi_task_hooks);
	struct futex_pi_task *owner;
	u32 seen, want = val | FUTEX_WAITERS;
	int err;

	if (val != want) {
		err = cmpxchg_in32(s, addr, val, want, &seen);
		if (err || seen != val)
			return err;
	}
	owner = hooks->find(s, val & FUTEX_TID_MASK);
	if (!owner)
		return pi_no_owner(s, addr, want);
	if (try) {
		hooks->put(owner);
		return -EAGAIN;
	}
	err = pi_enqueue(w, owner);
	hooks->put(owner);
	if (err)
		return err == -ESRCH ? pi_no_owner(s, addr, want) : err;
	err = load_in32(s, addr, &seen);
	if (!err && seen == want) {
		err = pi_block(w);
		if (!err)
			return 1;
	}
	return pi_leave(w) ? 1 : err;
}

/* The owner tid that w waited for has died and left its id behind. */
static bool pi_owner_dead(struct subject *s, const struct pi_waiter *w, u32 tid, u32 waited_for)
{
	const struct futex_pi_hooks *hooks = OPS(futex_pi_task_hooks);
	struct futex_pi_task *owner;
	bool dead;

	if (!w->owner_died || tid != waited_for)
		return false;
	owner = hooks->find(s, tid);
	dead = !owner || atomic_load(&owner->exited);
	if (owner)
		hooks->put(owner);
	return dead;
}

/* Sleep until taken off the queue. */
static int pi_sleep(struct pi_waiter *w, const struct clock_deadline *until)
{
	int ret = 0;

	while (atomic_load(&w->queued) && !ret)
		ret = clock_deadline_park(until);
	/* Who was granted the lock has it, whatever else happened. */
	return pi_leave(w) ? 0 : ret;
}

int futex_lock_pi(struct subject *s, struct futex_ref word, bool try,
		  const struct clock_deadline *until)
{
	const struct futex_pi_hooks *hooks = OPS(futex_pi_task_hooks);
	struct pi_waiter w = { .self = hooks->self(s), .fiber = s->fiber };
	u32 val, owner, waited_for = 0;
	int ret;

	list_init(&w.link);
	list_init(&w.owner_link);
	w.tid = hooks->tid(s);
	w.priority = hooks->priority(s);
	ret = futex_find_key(s, word, &w.key);
	for (bool again = false; !ret; again = true) {
		/* Somebody may go on changing the word. */
		if (again && fiber_interrupted(s->fiber))
			return -EINTR;
		if (again)
			fiber_yield();
		ret = load_in32(s, word.addr, &val);
		if (ret)
			break;
		owner = val & FUTEX_TID_MASK;
		if (owner == w.tid)
			return -EDEADLK;
		if (!owner || pi_owner_dead(s, &w, owner, waited_for)) {
			ret = pi_take(s, &w, word.addr, val, owner != 0);
			if (ret)
				return min(ret, 0);
			continue;
		}
		ret = pi_join(s, &w, word.addr, val, try);
		if (ret != 1)
			continue;
		waited_for = owner;
		ret = pi_sleep(&w, until);
		if (w.granted)
			return 0;
	}
	return ret;
}

/* ---- unlock ---- */

/* Choose who is to have the lock: its stamp, or 0; *ret_tid. */
static u64 pi_choose(const struct futex_key *key, u32 *ret_tid)
{
	struct pi_waiter *w;
	u64 stamp = 0;

	pi_lock();
	w = pi_next(key, NULL);
	if (w) {
		w->handing = true;
		stamp = w->stamp;
		*ret_tid = w->tid;
	}
	pi_unlock();
	return stamp;
}

/* The word names the chosen one, or (not done) could not be made to. False: it has left. */
static bool pi_hand_over(const struct futex_key *key, u64 stamp, bool done)
{
	struct pi_waiter *w = NULL;

	pi_lock();
	while ((w = pi_next(key, w)) && w->stamp != stamp)
		;
	if (w && done) {
		pi_owned_by(key, w->self);
		w->granted = true;
		pi_wake(w);
	} else if (w) {
		w->handing = false;
		fiber_unpark(w->fiber);
	}
	pi_unlock();
	return w != NULL;
}

/* The lock is free: whoever has queued for it meanwhile is to take it. */
static void pi_retry_all(const struct futex_key *key)
{
	struct pi_waiter *w;

	pi_lock();
	while ((w = pi_next(key, NULL)))
		pi_wake(w);
	pi_unlock();
}

int futex_unlock_pi(struct subject *s, struct futex_ref word)
{
	u32 val, new, seen, tid = 0;
	struct futex_key key;
	u64 stamp;
	int ret = futex_find_key(s, word, &key);

	if (!ret)
		ret = load_in32(s, word.addr, &val);
	if (ret)
		return ret;
	if ((val & FUTEX_TID_MASK) != OPS(futex_pi_task_hooks)->tid(s))
		return -EPERM;
	for (;;) {
		stamp = pi_choose(&key, &tid);
		new = stamp ? tid | FUTEX_WAITERS : 0;
		ret = cmpxchg_in32(s, word.addr, val, new, &seen);
		if (ret || seen != val) {
			if (stamp)
				pi_hand_over(&key, stamp, false);
			if (ret)
				return ret;
			/* Only a waiter's bit may have come. */
			if ((seen ^ val) & FUTEX_TID_MASK)
				return -EINVAL;
			val = seen;
		} else if (!stamp) {
			pi_retry_all(&key);
			return 0;
		} else if (pi_hand_over(&key, stamp, true)) {
			return 0;
		} else {
			val = new;
		}
		if (fiber_killed(s->fiber))
			return -EINTR;
		fiber_yield();
	}
}

/* ---- death ---- */

void futex_pi_release_all(struct futex_pi_task *p, bool exiting)
{
	struct pi_waiter *w;

	if (!ipc_root())
		return;
	pi_lock();
	atomic_store(&p->exited, exiting);
	while (!list_empty(&p->waiters)) {
		w = list_first(&p->waiters, struct pi_waiter, owner_link);
		w->owner_died = true;
		pi_wake(w);
	}
	pi_unlock();
}
