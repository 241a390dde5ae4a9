#pragma once

/*
 * Fibers: the kernel-side threads of control of tasks, run by a few worker threads.
 *
 * A fiber is transient: it lives outside the arena, and an arena object that points to one declares
 * that field transient. To block is to park. Parking uses a permit, as LockSupport does:
 * fiber_unpark sets it (once), fiber_park consumes it, waiting if it is not set; spurious returns
 * are allowed, so every wait is a loop around its condition:
 *
 *	struct waiter w;
 *	waiter_init_fiber(&w, fiber_current());
 *	waitq_add(&pipe->readers, &w, POLLIN);
 *	while (!readable(pipe) && ret == 0)
 *		ret = fiber_park_interruptible(deadline);
 *	waitq_remove(&w);
 *
 * Thread-local storage and errno do not survive a park. Never park with a short lock held.
 */

#include "base/types.h"

struct fiber;

#define NO_DEADLINE INT64_MAX

typedef void fiber_fn(void *arg);

/*
 * Create a fiber that will run fn(arg) on a stack of its own (64 KiB and a guard page) once
 * started. It ends when fn returns; its memory is then reused. Null when memory is short. Call from
 * anywhere.
 */
[[nodiscard]] struct fiber *fiber_create(fiber_fn *fn, void *arg);
/* Make a new fiber runnable. */
void fiber_start(struct fiber *f);
/* The running fiber, or null on a thread that runs none. Not inlined: valid across parks. */
struct fiber *fiber_current(void);
/* The argument that f was created with. */
void *fiber_arg(const struct fiber *f);

/*
 * Wait for the permit or until CLOCK_MONOTONIC reaches deadline (ns; NO_DEADLINE: for ever).
 * Returns 0 (perhaps spuriously) or -ETIMEDOUT.
 */
int fiber_park(s64 deadline);
/* As fiber_park, but also returns -EINTR, at once or when it happens, while an interrupt is pending
 * on the fiber. */
int fiber_park_interruptible(s64 deadline);
/* As fiber_park, but returns -EINTR only while a kill is pending. */
int fiber_park_killable(s64 deadline);
/* Set the permit. Any thread, short locks may be held; never touches f after waking it. */
void fiber_unpark(struct fiber *f);
/* The same for a fiber whose work is not urgent: it waits until a worker that is awake has nothing
 * else to do. */
void fiber_unpark_unhurried(struct fiber *f);

/*
 * The interrupt and kill flags of a fiber, set by others (signals, stops) and cleared by its owner
 * when it looks for what happened. Setting one also unparks. A kill implies an interrupt. Any
 * thread; short locks may be held.
 */
void fiber_interrupt(struct fiber *f);
void fiber_kill(struct fiber *f);
bool fiber_interrupted(const struct fiber *f);
/* What f still has to do before it ends is not to be cut short by its having been killed. */
void fiber_clear_kill(struct fiber *f);
bool fiber_killed(const struct fiber *f);
void fiber_clear_interrupt(struct fiber *f);

/* Let other ready fibers run, then go on. */
void fiber_yield(void);
/* True if other fibers are ready to run on this worker, timers are due or the poller wants
 * attention: a fiber that spins in the platform calls this every 20 µs and yields. */
bool sched_should_yield(void);

/* How often f has waited so that it could be interrupted: for others, not for locks or the
 * platform. Any thread while f lives. */
u64 fiber_waits(const struct fiber *f);
/* CPU time that this fiber has used on its workers, ns. */
u64 fiber_cpu_time(const struct fiber *f);
