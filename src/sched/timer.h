#pragma once

/* One-shot timers on the host's CLOCK_MONOTONIC, run by workers. Embedded in arena objects. */

#include "base/ops.h"
#include "base/types.h"

struct timer;

struct timer_ops {
	/* The timer has expired (and is no longer armed). Runs on a worker outside any fiber, no
	 * locks held; must not park; may take short locks, re-arm the timer, or free what embeds
	 * it. One timer expires at a time. */
	void (*expire)(struct timer *t);
};

struct timer {
	const struct timer_ops *ops; /* [I] */
	s64 expires; /* [lc_timer] ns */
	u32 slot; /* [lc_timer] 1 + index in the heap, 0 if not armed; transient */
};

void timer_init(struct timer *t, const struct timer_ops *ops);
/* Arm or re-arm to expire at deadline (ns of CLOCK_MONOTONIC). -ENOMEM if the heap can't grow. */
[[nodiscard]] int timer_arm(struct timer *t, s64 deadline);
/* Disarm. True if it was armed. The callback may still be running elsewhere: see timer_cancel_sync.
 */
bool timer_cancel(struct timer *t);
/* Disarm and wait until the callback is not running. Never call from the callback or with a lock
 * that it takes. */
void timer_cancel_sync(struct timer *t);
/*
 * Have stepped called, by a worker outside any fiber, whenever the host's CLOCK_REALTIME has been
 * set or the host has been suspended. Once, at boot, after sched_init.
 */
[[nodiscard]] int sched_watch_clock(void (*stepped)(void));
/* The host's CLOCK_MONOTONIC, ns. */
s64 sched_now(void);
