/*
 * Short and sleeping locks, and the order validator of debug builds.
 *
 * A short lock is the three-state futex mutex of Drepper, "Futexes Are Tricky", with a short spin before: a preempted
 * holder must not make a whole CPU spin. Sleeping locks queue fibers and are handed over to the first of them.
 */

#include "sched/lock.h"

#include <stdatomic.h>
#include <sys/syscall.h>

#include "base/bug.h"
#include "host/host.h"
#include "sched/internal.h"

#define SPIN_TRIES 100

enum {
#define X(name, nestable) RANK_##name,
	LOCK_ORDER(X)
#undef X
};

/*
 * An epoll that watches an epoll has its ready list locked under the wait queue of the other, and so on down the graph,
 * which has no cycle. So these two classes share a rank.
 */
#define RANK_OF(name) (RANK_##name == RANK_lc_ready_waitq ? RANK_lc_ready : RANK_##name)

#define X(name_, nestable_) \
	const struct lock_class name_ = {.name = #name_, .rank = RANK_OF(name_), .nestable = nestable_};
LOCK_ORDER(X)
#undef X

__thread struct sched_thread t_sched;

/* ---- the validator ---- */

#ifdef DONJON_DEBUG

static void held_push(struct held_locks *held, const struct lock_class *class)
{
	for (unsigned int i = 0; i < held->count; i++) {
		const struct lock_class *other = held->class[i];

		if (other->rank > class->rank || (other == class && !class->nestable))
			panic("lock order: %s taken while %s is held", class->name, other->name);
	}
	if (held->count == ARRAY_SIZE(held->class))
		panic("lock order: too many locks held at %s", class->name);
	held->class[held->count++] = class;
}

static bool held_find(const struct held_locks *held, const struct lock_class *class,
		      unsigned int *ret_index)
{
	for (unsigned int i = held->count; i-- > 0;) {
		if (held->class[i] == class) {
			*ret_index = i;
			return true;
		}
	}
	return false;
}

static void held_pop(struct held_locks *held, const struct lock_class *class)
{
	unsigned int i;

	if (!held_find(held, class, &i))
		panic("lock order: %s released but not held", class->name);
	held->count--;
	for (; i < held->count; i++)
		held->class[i] = held->class[i + 1];
}

/* The list of sleeping locks that the caller holds. */
static struct held_locks *held_mutexes(void)
{
	struct fiber *f = fiber_current();

	return f ? &f->held : &t_sched.mutexes;
}

static void held_push_spin(const struct lock_class *class)
{
	struct held_locks *mutexes = held_mutexes();

	if (mutexes->count && mutexes->class[mutexes->count - 1]->rank > class->rank)
		panic("lock order: %s taken while %s is held", class->name,
		      mutexes->class[mutexes->count - 1]->name);
	held_push(&t_sched.spins, class);
}

static void held_pop_spin(const struct lock_class *class)
{
	held_pop(&t_sched.spins, class);
}

static void held_push_mutex(const struct lock_class *class)
{
	assert_no_spin();
	held_push(held_mutexes(), class);
}

static void held_pop_mutex(const struct lock_class *class)
{
	held_pop(held_mutexes(), class);
}

void assert_held(const struct lock_class *class)
{
	unsigned int i;

	if (!held_find(&t_sched.spins, class, &i) && !held_find(held_mutexes(), class, &i))
		panic("%s is not held", class->name);
}

void assert_no_spin(void)
{
	if (t_sched.spins.count)
		panic("%s is held where no short lock may be",
		      t_sched.spins.class[t_sched.spins.count - 1]->name);
}

#else

static void held_push_spin(const struct lock_class *class)
{
}

static void held_pop_spin(const struct lock_class *class)
{
}

static void held_push_mutex(const struct lock_class *class)
{
}

static void held_pop_mutex(const struct lock_class *class)
{
}

void assert_held(const struct lock_class *class)
{
}

void assert_no_spin(void)
{
}

#endif

bool spin_none_held(void)
{
	return t_sched.spin_depth == 0;
}

/* ---- short locks ---- */

void spin_init(struct spin *l)
{
	atomic_store_explicit(&l->word, 0, memory_order_relaxed);
}

static __attribute__((noinline)) void spin_lock_slow(struct spin *l)
{
	u32 word = atomic_load_explicit(&l->word, memory_order_relaxed);

	for (int i = 0; i < SPIN_TRIES && word != 2; i++) {
		if (word == 0 &&
		    atomic_compare_exchange_weak_explicit(&l->word, &word, 1, memory_order_acquire,
							  memory_order_relaxed))
			return;
		__builtin_ia32_pause();
		word = atomic_load_explicit(&l->word, memory_order_relaxed);
	}
	while (atomic_exchange_explicit(&l->word, 2, memory_order_acquire) != 0)
		host_futex_wait(&l->word, 2, NO_DEADLINE);
}

void spin_lock(struct spin *l, const struct lock_class *class) NO_THREAD_SAFETY_ANALYSIS
{
	u32 expected = 0;

	held_push_spin(class);
	t_sched.spin_depth++;
	if (unlikely(!atomic_compare_exchange_strong_explicit(
		    &l->word, &expected, 1, memory_order_acquire, memory_order_relaxed)))
		spin_lock_slow(l);
}

void spin_unlock(struct spin *l, const struct lock_class *class) NO_THREAD_SAFETY_ANALYSIS
{
	struct sched_thread *t = &t_sched;

	held_pop_spin(class);
	if (unlikely(atomic_exchange_explicit(&l->word, 0, memory_order_release) == 2))
		host_futex_wake(&l->word, 1, false);
	if (--t->spin_depth == 0 && unlikely(t->wake)) {
		u32 wakes = t->wake;

		t->wake = 0;
		sched_deliver_wakes(wakes);
	}
}

void spin_lock_two(struct spin *a, struct spin *b,
		   const struct lock_class *class) NO_THREAD_SAFETY_ANALYSIS
{
	spin_lock(min(a, b), class);
	if (a != b)
		spin_lock(max(a, b), class);
}

void spin_unlock_two(struct spin *a, struct spin *b,
		     const struct lock_class *class) NO_THREAD_SAFETY_ANALYSIS
{
	spin_unlock(a, class);
	if (a != b)
		spin_unlock(b, class);
}

/* ---- sleeping locks ---- */

struct mutex_waiter {
	struct list link; /* [lc_mutex] */
	struct fiber *fiber; /* [I] */
	bool granted; /* [lc_mutex] */
};

/* The owner when no fiber runs: boot and tests lock too, but must never have to wait. */
#define MUTEX_OWNER_NONE ((struct fiber *)1) // NOLINT(performance-no-int-to-ptr)

void mutex_init(struct mutex *m)
{
	*m = (struct mutex){};
	list_init(&m->waiters);
}

/* A zeroed mutex is a valid one. */
static bool mutex_has_waiters(const struct mutex *m)
{
	return m->waiters.next && !list_empty(&m->waiters);
}

static bool mutex_lock_common(struct mutex *m, struct mutex_waiter *w)
{
	struct fiber *self = fiber_current();
	bool taken;

	spin_lock(&m->lock, &lc_mutex);
	taken = !m->owner;
	if (taken) {
		m->owner = self ? self : MUTEX_OWNER_NONE;
	} else if (w) {
		BUG_ON(m->owner == self);
		if (!m->waiters.next)
			list_init(&m->waiters);
		w->fiber = self;
		w->granted = false;
		list_add_tail(&m->waiters, &w->link);
	}
	spin_unlock(&m->lock, &lc_mutex);
	return taken;
}

static bool mutex_granted(struct mutex *m, const struct mutex_waiter *w)
{
	bool granted;

	spin_lock(&m->lock, &lc_mutex);
	granted = w->granted;
	spin_unlock(&m->lock, &lc_mutex);
	return granted;
}

void mutex_lock(struct mutex *m, const struct lock_class *class) NO_THREAD_SAFETY_ANALYSIS
{
	struct mutex_waiter w;

	held_push_mutex(class);
	if (likely(mutex_lock_common(m, &w)))
		return;
	if (!w.fiber)
		panic("%s is contended outside any fiber", class->name);
	do
		fiber_park(NO_DEADLINE);
	while (!mutex_granted(m, &w));
	/* The parks may have used up a permit that was meant for the caller's own wait. */
	fiber_unpark(w.fiber);
}

bool mutex_trylock(struct mutex *m, const struct lock_class *class) NO_THREAD_SAFETY_ANALYSIS
{
	if (!mutex_lock_common(m, NULL))
		return false;
	held_push_mutex(class);
	return true;
}

void mutex_unlock(struct mutex *m, const struct lock_class *class) NO_THREAD_SAFETY_ANALYSIS
{
	held_pop_mutex(class);
	spin_lock(&m->lock, &lc_mutex);
	DEBUG_BUG_ON(!m->owner);
	if (mutex_has_waiters(m)) {
		struct mutex_waiter *w = list_first(&m->waiters, struct mutex_waiter, link);

		list_del(&w->link);
		m->owner = w->fiber;
		w->granted = true;
		/* Under the lock: w's fiber cannot see the grant, and end, before this is done with it. */
		fiber_unpark(w->fiber);
	} else {
		m->owner = NULL;
	}
	spin_unlock(&m->lock, &lc_mutex);
}

void mutex_lock_two(struct mutex *a, struct mutex *b,
		    const struct lock_class *class) NO_THREAD_SAFETY_ANALYSIS
{
	mutex_lock(min(a, b), class);
	if (a != b)
		mutex_lock(max(a, b), class);
}

void mutex_unlock_two(struct mutex *a, struct mutex *b,
		      const struct lock_class *class) NO_THREAD_SAFETY_ANALYSIS
{
	mutex_unlock(a, class);
	if (a != b)
		mutex_unlock(b, class);
}
