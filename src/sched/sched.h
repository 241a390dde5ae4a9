#pragma once

/* Workers, the poller and the pool for host calls that block for long. */

#include "base/types.h"

struct fiber;
struct poll_source;

/* Called once, before any other function of sched; workers: how many threads run fibers (1..16). */
[[nodiscard]] int sched_init(unsigned int workers);
/*
 * Start the worker threads; the calling thread becomes worker 0 and runs fibers until sched_stop.
 * Returns 0. In tests: sched_run_fiber(fn, arg) is the whole life: init, run one root fiber to its
 * end, stop, fini.
 */
int sched_run(void);
/* Make sched_run return on all workers, soon. Any thread or fiber. */
void sched_stop(void);
void sched_fini(void);
[[nodiscard]] int sched_run_fiber(unsigned int workers, void (*fn)(void *), void *arg);
unsigned int sched_worker_count(void);
/* Index of the worker that runs the caller, -1 elsewhere. May change at any park. */
int sched_worker_index(void);
/*
 * The calling fiber is about to make a host call that may take over 20 µs without the pool: if
 * fibers or events would have to wait for this worker meanwhile, let another take over. Does not
 * park.
 */
void sched_expect_delay(void);

/*
 * The poller: host descriptors watched by epoll. A source lives outside the arena. Its function is
 * called by the worker that holds the poller token, outside any fiber; it must not park or block,
 * and normally unparks fibers.
 */
struct poll_event {
	u64 data[16];
};

struct poll_source {
	int fd;
	void (*ready)(struct poll_source *s, u32 events);
	/*
	 * For sources that call poller_prefer: block until there is an event and take it (0, or a
	 * negative errno; -EINTR after a signal); and deal with an event that was taken.
	 */
	int (*receive)(struct poll_source *s, struct poll_event *ret_event);
	void (*handle)(struct poll_source *s, const struct poll_event *event);
	u64 key; /* the poller's own, and so is what follows: */
	u64 since; /* which event of all this count began with */
	u32 count; /* of its events */
	_Atomic bool mute;
};

/* Watch s->fd for events (EPOLLIN, EPOLLOUT, EPOLLET, ...). s stays the caller's and must outlive
 * the watch. */
[[nodiscard]] int poller_add(struct poll_source *s, u32 events);
[[nodiscard]] int poller_modify(struct poll_source *s, u32 events);
/*
 * From s's ready function: s, watched for EPOLLIN, has an event. The sources that have most
 * of the events are waited for directly, not through epoll: only then does the host heed whoever
 * wakes us by handing over its CPU (SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP).
 */
void poller_prefer(struct poll_source *s);
/* s will have no more events (but may go on to report EPOLLHUP, which has no end). It remains to be
 * removed. Also from s's ready function, which may be running still. */
void poller_mute(struct poll_source *s);
/*
 * Does the calling worker, or if that is not known may it, wait for the next event of s? Then
 * whoever causes that is well off on its CPU. No locks needed.
 */
bool poller_serves(const struct poll_source *s);
/* Stop watching; after it returns, s->ready is not running and will not be called. Not from a ready
 * function of another source. A fiber may call it (it does not park for long). */
void poller_remove(struct poll_source *s);

/*
 * Run fn(arg) on a thread of the blocking pool and park until it is done. For host calls that may
 * block for long (disk, process_vm_*). Killable: when the fiber is killed meanwhile, the thread
 * gets a host signal so that its call returns -EINTR; the function still completes before this
 * returns. Returns fn's value. If the caller is not a fiber, runs fn in place.
 */
long pool_call(long (*fn)(void *), void *arg);
