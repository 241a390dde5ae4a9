#pragma once

/*
 * Wait queues with event masks (EPOLLIN and the like, or a subsystem's own bits). Queues lie in
 * arena objects. A waiter is on at most one queue. Its ops are called with the queue's lock held:
 * they may only unpark a fiber or take locks ordered after lc_waitq.
 */

#include "base/list.h"
#include "base/ops.h"
#include "sched/lock.h"
#include "sched/lock_order.h"

struct fiber;
struct waiter;

struct waiter_ops {
	/* An event in w's mask happened. Returns true if the waiter counts as woken (for wake-one).
	 */
	bool (*wake)(struct waiter *w, u32 events);
};

struct waitq {
	struct spin lock;
	struct list waiters; /* GUARDED_BY(lc_waitq) */
	bool inner; /* [I] made by waitq_init_inner */
};

struct waiter {
	struct list link; /* [lc_waitq] */
	struct waitq *queue; /* [owner] null when on none */
	const struct waiter_ops *ops; /* [I] */
	struct fiber *fiber; /* [I] transient; for waiters that wake a fiber */
	u32 mask; /* [I] while queued */
	bool exclusive; /* [I] wake-one waiter: at the tail, and ends a wake when it counts */
};

void waitq_init(struct waitq *q);
/* A queue that is woken while another's lock is held: an epoll's own. Its lock is of class
 * lc_ready_waitq. */
void waitq_init_inner(struct waitq *q);
/* A waiter that unparks fiber f. */
void waiter_init_fiber(struct waiter *w, struct fiber *f);
void waiter_init(struct waiter *w, const struct waiter_ops *ops);
void waitq_add(struct waitq *q, struct waiter *w, u32 mask);
/* As waitq_add, at the tail and exclusive. */
void waitq_add_exclusive(struct waitq *q, struct waiter *w, u32 mask);
/* Unlink w from its queue, if on one; after this its ops are not running and will not be called. */
void waitq_remove(struct waiter *w);
/* Wake all non-exclusive waiters whose mask meets events, and exclusive ones until one counts. */
void waitq_wake(struct waitq *q, u32 events);
/* As waitq_wake, but all exclusive ones too. */
void waitq_wake_all(struct waitq *q, u32 events);
bool waitq_active(const struct waitq *q);

/*
 * Wait interruptibly on q for mask until cond is true or deadline passes; evaluates to 0, -EINTR or
 * -ETIMEDOUT. cond is evaluated with the waiter queued and no lock held.
 */
#define waitq_wait(q, mask_, deadline, cond) \
	({ \
		struct waiter w_; \
		int ret_ = 0; \
		waiter_init_fiber(&w_, fiber_current()); \
		waitq_add((q), &w_, (mask_)); \
		while (!(cond) && ret_ == 0) \
			ret_ = fiber_park_interruptible(deadline); \
		if (ret_ && (cond)) \
			ret_ = 0; \
		waitq_remove(&w_); \
		ret_; \
	})
