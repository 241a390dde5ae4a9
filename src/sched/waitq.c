/*
 * Wait queues. Non-exclusive waiters stand before exclusive ones. A waiter stays on its queue when
 * it is woken, until its owner takes it off; so that the next wake-one reaches another, an
 * exclusive waiter that counted goes to the end.
 */

#include "sched/waitq.h"

#include "base/bug.h"
#include "sched/fiber.h"

void waitq_init(struct waitq *q)
{
	*q = (struct waitq){};
	list_init(&q->waiters);
}

void waitq_init_inner(struct waitq *q)
{
	waitq_init(q);
	q->inner = true;
}

static void waitq_lock(struct waitq *q) ACQUIRE(lc_waitq) NO_THREAD_SAFETY_ANALYSIS
{
	spin_lock(&q->lock, q->inner ? &lc_ready_waitq : &lc_waitq);
}

static void waitq_unlock(struct waitq *q) RELEASE(lc_waitq) NO_THREAD_SAFETY_ANALYSIS
{
	spin_unlock(&q->lock, q->inner ? &lc_ready_waitq : &lc_waitq);
}

void waiter_init_fiber(struct waiter *w, struct fiber *f)
{
	*w = (struct waiter){ .fiber = f };
	list_init(&w->link);
}

void waiter_init(struct waiter *w, const struct waiter_ops *ops)
{
	*w = (struct waiter){ .ops = ops };
	list_init(&w->link);
}

static void waitq_insert(struct waitq *q, struct waiter *w, u32 mask, bool exclusive)
{
	BUG_ON(w->queue);
	w->mask = mask;
	w->exclusive = exclusive;
	w->queue = q;
	waitq_lock(q);
	if (exclusive)
		list_add_tail(&q->waiters, &w->link);
	else
		list_add(&q->waiters, &w->link);
	waitq_unlock(q);
}

void waitq_add(struct waitq *q, struct waiter *w, u32 mask)
{
	waitq_insert(q, w, mask, false);
}

void waitq_add_exclusive(struct waitq *q, struct waiter *w, u32 mask)
{
	waitq_insert(q, w, mask, true);
}

void waitq_remove(struct waiter *w)
{
	struct waitq *q = w->queue;

	if (!q)
		return;
	waitq_lock(q);
	list_del(&w->link);
	waitq_unlock(q);
	w->queue = NULL;
}

static bool waiter_wake(struct waiter *w, u32 events)
{
	if (w->ops)
		return w->ops->wake(w, events);
	fiber_unpark(w->fiber);
	return true;
}

static void waitq_wake_common(struct waitq *q, u32 events, bool all)
{
	struct waiter *w, *next;

	waitq_lock(q);
	list_for_each_safe(w, next, &q->waiters, link) {
		if (!(w->mask & events) || !waiter_wake(w, events) || !w->exclusive || all)
			continue;
		list_del(&w->link);
		list_add_tail(&q->waiters, &w->link);
		break;
	}
	waitq_unlock(q);
}

void waitq_wake(struct waitq *q, u32 events)
{
	waitq_wake_common(q, events, false);
}

void waitq_wake_all(struct waitq *q, u32 events)
{
	waitq_wake_common(q, events, true);
}

bool waitq_active(const struct waitq *q)
{
	struct waitq *queue = (struct waitq *)q;
	bool active;

	waitq_lock(queue);
	active = !list_empty(&queue->waiters);
	waitq_unlock(queue);
	return active;
}
