/*
 * Sleeping locks: a queue of fibers, handed over to the first of them. Zeroed memory is a valid
 * mutex.
 */

#include "base/bug.h"
#include "sched/internal.h"

struct mutex_waiter {
	struct list link; /* [lc_mutex] */
	struct fiber *fiber; /* [I] */
	bool granted; /* [lc_mutex] */
};

/* The owner when no fiber runs: boot and tests lock too, but must never have to wait. */
#define MUTEX_OWNER_NONE ((struct fiber *)1)

void mutex_init(struct mutex *m)
{
	*m = (struct mutex){};
	list_init(&m->waiters);
}

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
		/* Under the lock: w's fiber cannot see the grant, and end, before this is done with
		 * it. */
		fiber_unpark(w->fiber);
	} else {
		m->owner = NULL;
	}
	spin_unlock(&m->lock, &lc_mutex);
}

void mutex_lock_two(struct mutex *a, struct mutex *b, const struct lock_class *class)
	NO_THREAD_SAFETY_ANALYSIS
{
	mutex_lock(min(a, b), class);
	if (a != b)
		mutex_lock(max(a, b), class);
}

void mutex_unlock_two(struct mutex *a, struct mutex *b, const struct lock_class *class)
	NO_THREAD_SAFETY_ANALYSIS
{
	mutex_unlock(a, class);
	if (a != b)
		mutex_unlock(b, class);
}
