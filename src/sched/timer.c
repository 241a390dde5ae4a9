/*
 * One-shot timers in a binary heap (an array outside the arena). They are run by the holder of the
 * poller token, one at a time. The timer whose function is being called is remembered here and not
 * in the timer, so that the function may free it.
 *
 * Arming must not allocate under a short lock, and a fiber that parks with a deadline must not
 * fail: so the array grows outside the lock, and each fiber reserves a place when it is created.
 */

#include "sched/timer.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/bug.h"
#include "host/host.h"
#include "sched/internal.h"

#define TIMERS_PER_RUN 64
#define NEVER_SLEEPS INT64_MIN

struct timer_entry {
	s64 expires;
	struct timer *timer;
};

static struct {
	_Atomic s64 sleep_until; /* the poller's deadline while it sleeps, else NEVER_SLEEPS */
	struct spin lock;
	struct timer_entry *heap GUARDED_BY(lc_timer);
	u32 count GUARDED_BY(lc_timer); /* armed */
	u32 count_plain GUARDED_BY(lc_timer); /* of those, the ones without a reservation */
	u32 capacity GUARDED_BY(lc_timer); /* >= reserved + count_plain */
	u32 reserved GUARDED_BY(lc_timer);
	struct timer *running GUARDED_BY(lc_timer);
} g = { .sleep_until = NEVER_SLEEPS };

s64 sched_now(void)
{
	return host_clock(CLOCK_MONOTONIC);
}

/* ---- the heap ---- */

static void heap_set(u32 i, struct timer_entry e) REQUIRES(lc_timer)
{
	g.heap[i] = e;
	e.timer->slot = i + 1;
}

static void heap_up(u32 i, struct timer_entry e) REQUIRES(lc_timer)
{
	while (i > 0 && e.expires < g.heap[(i - 1) / 2].expires) {
		heap_set(i, g.heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_set(i, e);
}

static void heap_down(u32 i, struct timer_entry e) REQUIRES(lc_timer)
{
	for (;;) {
		u32 child = 2 * i + 1;

		if (child + 1 < g.count && g.heap[child + 1].expires < g.heap[child].expires)
			child++;
		if (child >= g.count || g.heap[child].expires >= e.expires)
			break;
		heap_set(i, g.heap[child]);
		i = child;
	}
	heap_set(i, e);
}

static void heap_place(u32 i, struct timer_entry e) REQUIRES(lc_timer)
{
	if (i > 0 && e.expires < g.heap[(i - 1) / 2].expires)
		heap_up(i, e);
	else
		heap_down(i, e);
}

static void heap_insert(struct timer *t, s64 expires) REQUIRES(lc_timer)
{
	struct timer_entry e = { expires, t };

	t->expires = expires;
	if (t->slot) {
		heap_place(t->slot - 1, e);
		return;
	}
	g.count++;
	g.count_plain += t->ops != NULL;
	heap_up(g.count - 1, e);
}

static void heap_remove(struct timer *t) REQUIRES(lc_timer)
{
	u32 i = t->slot - 1;
	struct timer_entry last = g.heap[--g.count];

	g.count_plain -= t->ops != NULL;
	if (i < g.count)
		heap_place(i, last);
	t->slot = 0;
}

/* Grow the array beyond old_capacity, unless another thread just did. */
static int heap_grow(u32 old_capacity)
{
	u32 capacity = max(old_capacity * 2, 32u);
	struct timer_entry *new = malloc(capacity * sizeof(*new)), *old = new;

	if (!new)
		return -ENOMEM;
	spin_lock(&g.lock, &lc_timer);
	if (g.capacity == old_capacity) {
		for (u32 i = 0; i < g.count; i++)
			new[i] = g.heap[i];
		old = g.heap;
		g.heap = new;
		g.capacity = capacity;
	}
	spin_unlock(&g.lock, &lc_timer);
	free(old);
	return 0;
}

/* ---- arming ---- */

void timer_init(struct timer *t, const struct timer_ops *ops)
{
	*t = (struct timer){ .ops = ops };
}

int timer_reserve(void)
{
	for (;;) {
		u32 capacity;
		bool done;
		int ret;

		spin_lock(&g.lock, &lc_timer);
		capacity = g.capacity;
		done = g.reserved + g.count_plain < capacity;
		if (done)
			g.reserved++;
		spin_unlock(&g.lock, &lc_timer);
		if (done)
			return 0;
		ret = heap_grow(capacity);
		if (ret)
			return ret;
	}
}

void timer_unreserve(void)
{
	spin_lock(&g.lock, &lc_timer);
	g.reserved--;
	spin_unlock(&g.lock, &lc_timer);
}

/* The poller sleeps too long if the timer just armed is before its deadline. */
static void timer_kick(s64 deadline)
{
	if (unlikely(deadline < atomic_load_explicit(&g.sleep_until, memory_order_relaxed)))
		sched_kick_poller();
}

void timer_arm_reserved(struct timer *t, s64 deadline)
{
	spin_lock(&g.lock, &lc_timer);
	heap_insert(t, deadline);
	timer_kick(deadline);
	spin_unlock(&g.lock, &lc_timer);
}

int timer_arm(struct timer *t, s64 deadline)
{
	for (;;) {
		u32 capacity;
		bool done;
		int ret;

		spin_lock(&g.lock, &lc_timer);
		capacity = g.capacity;
		done = t->slot || g.reserved + g.count_plain < capacity;
		if (done) {
			heap_insert(t, deadline);
			timer_kick(deadline);
		}
		spin_unlock(&g.lock, &lc_timer);
		if (done)
			return 0;
		if (!spin_none_held())
			return -ENOMEM;
		ret = heap_grow(capacity);
		if (ret)
			return ret;
	}
}

bool timer_cancel(struct timer *t)
{
	bool armed;

	spin_lock(&g.lock, &lc_timer);
	armed = t->slot != 0;
	if (armed)
		heap_remove(t);
	spin_unlock(&g.lock, &lc_timer);
	return armed;
}

void timer_cancel_sync(struct timer *t)
{
	bool running;

	for (;;) {
		spin_lock(&g.lock, &lc_timer);
		if (t->slot)
			heap_remove(t);
		running = g.running == t;
		spin_unlock(&g.lock, &lc_timer);
		if (!running)
			return;
		host_sched_yield(); /* rare and short: the function does not wait */
	}
}

/* ---- running ---- */

s64 timers_sleep(void)
{
	s64 deadline;

	spin_lock(&g.lock, &lc_timer);
	deadline = g.count ? g.heap[0].expires : NO_DEADLINE;
	atomic_store_explicit(&g.sleep_until, deadline, memory_order_relaxed);
	spin_unlock(&g.lock, &lc_timer);
	return deadline;
}

void timers_awake(void)
{
	atomic_store_explicit(&g.sleep_until, NEVER_SLEEPS, memory_order_relaxed);
}

/* Take the first timer out of the heap if it is due. A fiber's own is dealt with at once. */
static bool timer_run_first(s64 now)
{
	struct timer *t = NULL;
	const struct timer_ops *ops = NULL;

	spin_lock(&g.lock, &lc_timer);
	if (g.count && g.heap[0].expires <= now) {
		t = g.heap[0].timer;
		heap_remove(t);
		ops = t->ops;
		if (ops)
			g.running = t;
		else
			fiber_unpark(container_of(t, struct fiber, timer));
	}
	spin_unlock(&g.lock, &lc_timer);
	if (!ops)
		return t;
	ops->expire(t);
	spin_lock(&g.lock, &lc_timer);
	g.running = NULL;
	spin_unlock(&g.lock, &lc_timer);
	return true;
}

void timers_run(void)
{
	bool any;
	s64 now;

	spin_lock(&g.lock, &lc_timer);
	any = g.count;
	spin_unlock(&g.lock, &lc_timer);
	if (!any)
		return;
	now = sched_now();
	for (int i = 0; i < TIMERS_PER_RUN && timer_run_first(now); i++)
		;
}

void timers_fini(void) NO_THREAD_SAFETY_ANALYSIS
{
	free(g.heap);
	g.heap = NULL;
	g.count = g.count_plain = g.capacity = g.reserved = 0;
}
