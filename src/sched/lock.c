/*
 * Short locks, and the order validator of debug builds.
 *
 * A short lock is the three-state futex mutex of Drepper, "Futexes Are Tricky", with a short spin
 * before: a preempted holder must not make a whole CPU spin.
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
 * An epoll that watches an epoll has its ready list locked under the wait queue of the other, and
 * so on down the graph, which has no cycle. So these two classes share a rank.
 */
#define RANK_OF(name) (RANK_##name == RANK_lc_ready_waitq ? RANK_lc_ready : RANK_##name)

#define X(name_, nestable_) \
	const struct lock_class name_ = { .name = #name_, \
					  .rank = RANK_OF(name_), \
					  .nestable = nestable_ };
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

	if (mutexes->count && mutexes->class[mutexes->count - 1] -> rank > class -> rank)
		panic("lock order: %s taken while %s is held", class->name,
		      mutexes->class[mutexes->count - 1] -> name);
	held_push(&t_sched.spins, class);
}

static void held_pop_spin(const struct lock_class *class)
{
	held_pop(&t_sched.spins, class);
}

void held_push_mutex(const struct lock_class *class)
{
	assert_no_spin();
	held_push(held_mutexes(), class);
}

void held_pop_mutex(const struct lock_class *class)
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
		      t_sched.spins.class[t_sched.spins.count - 1] -> name);
}

#else

static void held_push_spin(const struct lock_class *class)
{
}

static void held_pop_spin(const struct lock_class *class)
{
}

void held_push_mutex(const struct lock_class *class)
{
}

void held_pop_mutex(const struct lock_class *class)
{
}

void assert_held(const struct lock_class *class)
{
}

void assert_no_spin(void)
{
}

#endif

OWN_THREAD bool spin_none_held(void)
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

OWN_THREAD void spin_lock(struct spin *l, const struct lock_class *class) NO_THREAD_SAFETY_ANALYSIS
{
	u32 expected = 0;

	held_push_spin(class);
	t_sched.spin_depth++;
	if (unlikely(!atomic_compare_exchange_strong_explicit(
		    &l->word, &expected, 1, memory_order_acquire, memory_order_relaxed)))
		spin_lock_slow(l);
}

OWN_THREAD void spin_unlock(struct spin *l, const struct lock_class *class)
	NO_THREAD_SAFETY_ANALYSIS
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

void spin_lock_two(struct spin *a, struct spin *b, const struct lock_class *class)
	NO_THREAD_SAFETY_ANALYSIS
{
	spin_lock(min(a, b), class);
	if (a != b)
		spin_lock(max(a, b), class);
}

void spin_unlock_two(struct spin *a, struct spin *b, const struct lock_class *class)
	NO_THREAD_SAFETY_ANALYSIS
{
	spin_unlock(a, class);
	if (a != b)
		spin_unlock(b, class);
}
