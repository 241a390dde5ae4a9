#pragma once

/*
 * Futexes with priority inheritance (FUTEX_LOCK_PI and its kin): locks whose word holds the owner's
 * thread id. What is kept of them is the order of the waiters, the hand-over to the first one, the
 * detection of deadlocks, and the death of owners; priorities are not lent, since the host
 * schedules guest code.
 */

#include "base/list.h"
#include "base/ops.h"
#include "ipc/futex.h"

struct pi_waiter;

/* A task as owner of locks and as waiter; embedded in it. */
struct futex_pi_task {
	struct list waiters; /* [lc_futex_pi] those who wait for a lock of this task */
	struct pi_waiter *blocked_on; /* [lc_futex_pi] */
	_Atomic bool exited; /* [lc_futex_pi to change] owns nothing any more */
};
void futex_pi_task_init(struct futex_pi_task *p);
/* The task's locks go to whoever waits for them, marked as its who died. After its robust list was
 * walked. exiting: it can own none from now on. */
void futex_pi_release_all(struct futex_pi_task *p, bool exiting);

/* What the tasks are, for ipc: filled in above. */
struct futex_pi_hooks {
	struct futex_pi_task *(*self)(struct subject *s);
	u32 (*tid)(struct subject *s); /* as words show it */
	u32 (*priority)(struct subject *s); /* higher goes first; 0: not real-time */
	/* The task whose id is tid as s sees it, with a reference; or null. */
	struct futex_pi_task *(*find)(struct subject *s, u32 tid);
	void (*put)(struct futex_pi_task *p);
};
DECLARE_OPS(struct futex_pi_hooks, futex_pi_task_hooks);

/*
 * Take the lock, waiting if try is not set. 0, or -EDEADLK, -ESRCH (there is no such owner),
 * -EAGAIN (try), -ETIMEDOUT, -EINTR, -EFAULT, -EINVAL.
 */
[[nodiscard]] int futex_lock_pi(struct subject *s, struct futex_ref word, bool try,
				const struct clock_deadline *until);
/* Give it to the first waiter, or free it. -EPERM: the caller is not its owner. */
[[nodiscard]] int futex_unlock_pi(struct subject *s, struct futex_ref word);
