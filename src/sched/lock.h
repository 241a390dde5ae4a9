#pragma once

/*
 * Locks, their classes and their order.
 *
 * A *short lock* (struct spin) protects a few instructions: the holder never parks and never calls
 * the host. A *sleeping lock* (struct mutex) may be held while its fiber parks; only fibers take
 * it. Every lock belongs to a class, a global capability of clang's thread-safety analysis; the
 * order of classes is written down once, in sched/lock_order.h, and checked at run time in debug
 * builds (per worker for short locks, per fiber for sleeping ones). Two locks of one class are
 * taken only through a *_lock_two function.
 */

#include "base/list.h"
#include "base/types.h"
#include "sched/annotate.h"

struct fiber;

struct CAPABILITY("lock") lock_class {
	const char *name;
	u16 rank; /* order: a lock may be taken only if its rank is above all held ranks */
	bool nestable; /* two locks of the class may be held (by address through *_lock_two, or in a
			  fixed order) */
};

struct spin {
	_Atomic u32 word; /* 0 free, 1 held, 2 held with host waiters */
};

struct mutex {
	struct spin lock; /* protects the rest */
	struct fiber *owner; /* transient: no mutex is held when all tasks are stopped */
	struct list waiters;
};

void spin_init(struct spin *l);
void spin_lock(struct spin *l, const struct lock_class *class) ACQUIRE(class);
void spin_unlock(struct spin *l, const struct lock_class *class) RELEASE(class);
/* Lock two short locks of one nestable class, lower address first; a == b locks once. */
void spin_lock_two(struct spin *a, struct spin *b, const struct lock_class *class) ACQUIRE(class);
void spin_unlock_two(struct spin *a, struct spin *b, const struct lock_class *class) RELEASE(class);

void mutex_init(struct mutex *m);
/* Waits uninterruptibly; parks. Fibers only. Fair enough: handed to the first waiter. */
void mutex_lock(struct mutex *m, const struct lock_class *class) ACQUIRE(class);
[[nodiscard]] bool mutex_trylock(struct mutex *m, const struct lock_class *class)
	TRY_ACQUIRE(true, class);
void mutex_unlock(struct mutex *m, const struct lock_class *class) RELEASE(class);
void mutex_lock_two(struct mutex *a, struct mutex *b, const struct lock_class *class)
	ACQUIRE(class);
void mutex_unlock_two(struct mutex *a, struct mutex *b, const struct lock_class *class)
	RELEASE(class);

/* Debug builds: panic unless the current fiber (or worker) holds a lock of the class. */
void assert_held(const struct lock_class *class) ASSERT_CAPABILITY(class);
/* Debug builds: panic if any short lock is held by this worker (before a park or a host call). */
void assert_no_spin(void);
/* True if this thread holds no short lock. In all builds: for work that is put off while one is
 * held. */
bool spin_none_held(void);
