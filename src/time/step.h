#pragma once

/* Who must know when a clock is set: what waits for an instant of a clock that can be. */

#include <stdatomic.h>

#include "base/list.h"
#include "base/ops.h"
#include "base/types.h"

struct clock_watch;
struct fiber;

struct clock_watch_ops {
	/* The clocks have been set. Also called once by clock_watch_add. lc_clocks is held: may
	 * take short locks. */
	void (*stepped)(struct clock_watch *w);
};

struct clock_watch {
	struct list link; /* [lc_clocks] */
	const struct clock_watch_ops *ops; /* [I] */
};

/* Once at boot, after arena_create and sched_init. */
[[nodiscard]] int clock_steps_init(void);
/* Without clock_steps_init nobody hears of anything. No short lock after lc_clocks may be held. */
void clock_watch_add(struct clock_watch *w, const struct clock_watch_ops *ops);
/* When it returns, stepped is not running and will not be called. Also for one never added, if it
 * is zeroed. */
void clock_watch_remove(struct clock_watch *w);
/* Tell everybody. */
void clock_stepped(void);

/* True for a guest clock whose distance from the host's monotonic clock can change. */
bool clock_can_step(int id);

/*
 * A fiber's deadline: an instant of a guest clock, as the host instant that it is at present. While
 * it is begun the fiber is unparked whenever the host instant changes, so that it parks anew.
 */
struct clock_deadline {
	struct clock_watch watch;
	int clock; /* [I] */
	s64 at; /* [I] ns of the clock */
	struct fiber *fiber; /* [I] */
	_Atomic s64 host; /* [a] */
};
/* at: ns of guest clock id, or NO_DEADLINE. Own fiber; the struct may be on its stack. */
void clock_deadline_begin(struct clock_deadline *d, int id, s64 at);
void clock_deadline_end(struct clock_deadline *d);
/* As fiber_park_interruptible until the deadline. */
int clock_deadline_park(const struct clock_deadline *d);
static inline s64 clock_deadline_host(const struct clock_deadline *d)
{
	return atomic_load_explicit(&d->host, memory_order_relaxed);
}
