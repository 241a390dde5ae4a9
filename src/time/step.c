/* Steps of the clocks, and deadlines that follow them. */

#include "time/step.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "sched/fiber.h"
#include "sched/lock_order.h"
#include "sched/timer.h"
#include "time/clock.h"

struct clock_root {
	struct spin lock; /* class lc_clocks */
	struct list watches; /* [lock] */
};

SLAB_CLASS(clock_root, struct clock_root);

static struct clock_root *clock_root(void)
{
	return arena_root_of(ARENA_ROOT_CLOCKS);
}

int clock_steps_init(void)
{
	struct clock_root *root = slab_alloc(&slab_clock_root);

	if (!root)
		return -ENOMEM;
	spin_init(&root->lock);
	list_init(&root->watches);
	arena_set_root_of(ARENA_ROOT_CLOCKS, root);
	return sched_watch_clock(clock_stepped);
}

void clock_watch_add(struct clock_watch *w, const struct clock_watch_ops *ops)
{
	struct clock_root *root = clock_root();

	w->ops = ops;
	list_init(&w->link);
	if (!root) {
		ops->stepped(w);
		return;
	}
	spin_lock(&root->lock, &lc_clocks);
	list_add_tail(&root->watches, &w->link);
	ops->stepped(w);
	spin_unlock(&root->lock, &lc_clocks);
}

void clock_watch_remove(struct clock_watch *w)
{
	struct clock_root *root = clock_root();

	if (!root || !w->ops)
		return;
	spin_lock(&root->lock, &lc_clocks);
	list_del(&w->link);
	spin_unlock(&root->lock, &lc_clocks);
}

void clock_stepped(void)
{
	struct clock_root *root = clock_root();
	struct clock_watch *w;

	if (!root)
		return;
	spin_lock(&root->lock, &lc_clocks);
	list_for_each(w, &root->watches, link)
		w->ops->stepped(w);
	spin_unlock(&root->lock, &lc_clocks);
}

bool clock_can_step(int id)
{
	return id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_RAW && id != CLOCK_MONOTONIC_COARSE;
}

/* ---- deadlines of fibers ---- */

static void deadline_stepped(struct clock_watch *w)
{
	struct clock_deadline *d = container_of(w, struct clock_deadline, watch);

	atomic_store(&d->host, guest_clock_to_host(d->clock, d->at));
	fiber_unpark(d->fiber);
}

DEFINE_OPS(struct clock_watch_ops, clock_deadline_ops) = { .stepped = deadline_stepped };

void clock_deadline_begin(struct clock_deadline *d, int id, s64 at)
{
	*d = (struct clock_deadline){ .clock = id, .at = at, .fiber = fiber_current() };
	if (at == NO_DEADLINE)
		d->host = NO_DEADLINE;
	else if (clock_can_step(id))
		clock_watch_add(&d->watch, OPS(clock_deadline_ops));
	else
		atomic_store(&d->host, guest_clock_to_host(id, at));
}

void clock_deadline_end(struct clock_deadline *d)
{
	clock_watch_remove(&d->watch);
}

int clock_deadline_park(const struct clock_deadline *d)
{
	s64 host = clock_deadline_host(d);
	int ret = fiber_park_interruptible(host);

	return ret == -ETIMEDOUT && host != clock_deadline_host(d) ? 0 : ret;
}
