#pragma once

/* What the files of sched share with each other; nobody else includes this. */

#include "base/list.h"
#include "host/sanitize.h"
#include "sched/fiber.h"
#include "sched/lock.h"
#include "sched/lock_order.h"
#include "sched/timer.h"

struct poll_event;
struct poll_source;

#define SCHED_WORKERS_MAX 16

/* ---- locks (lock.c) ---- */

#ifdef DONJON_DEBUG
struct held_locks {
	unsigned int count;
	const struct lock_class *class[16];
};
#else
struct held_locks {
};
#endif

/* The validator's view of a sleeping lock; nothing in release builds. */
void held_push_mutex(const struct lock_class *class);
void held_pop_mutex(const struct lock_class *class);

/* ---- fibers (fiber.c, stack.c) ---- */

/*
 * The life of a fiber. Only NEW, READY, RUNNING and PARKED can be seen by others; each change is
 * one atomic operation.
 *
 *	NEW --start--> READY --a worker takes it--> RUNNING --parks--> PARKED --unpark--> READY
 *	                 ^------------yields-----------|
 *
 * The change RUNNING -> PARKED is made on the worker's own stack once the fiber's registers are
 * saved: before that, an unpark only sets FIBER_PERMIT, and the worker, who finds it, lets the
 * fiber go on. So a fiber that others can make READY is always entirely switched out.
 */
enum {
	FIBER_NEW,
	FIBER_READY,
	FIBER_RUNNING,
	FIBER_PARKED,
	FIBER_STATE = 7, /* mask */
	FIBER_PERMIT = 8, /* a flag beside the state */
};

enum { /* struct fiber.flags */
       FIBER_INTERRUPT = 1,
       FIBER_KILL = 2,
};

enum switch_reason { SWITCH_PARK, SWITCH_YIELD, SWITCH_EXIT };

struct worker;

/* Lies at the top of its own stack. */
struct fiber {
	void *sp; /* [worker that runs or ran it] */
	_Atomic u32 state;
	_Atomic u32 flags;
	struct worker *worker; /* who runs it; [that worker] */
	bool was_parked; /* [worker] it waits in park, not in yield */
	struct list link; /* [lc_runq] */
	struct timer timer; /* deadline of a park; its ops are null */
	_Atomic u64 cycles; /* time used so far, TSC */
	_Atomic u64 waits; /* see fiber_waits */
	fiber_fn *fn; /* [I] */
	void *arg; /* [I] */
	char *stack; /* [I] lowest byte, the guard page */
	struct held_locks held; /* sleeping locks; [fiber] */
	void *asan_fake_stack;
	void *tsan_fiber;
};

/* A stack of fiber_stack_size() bytes, its lowest page a guard; null when memory is short. */
char *stack_alloc(void);
void stack_free(char *stack);
void stack_fini(void);
#ifdef DONJON_DEBUG
#define FIBER_STACK_SIZE (256 * 1024UL + PAGE_SIZE)
#else
#define FIBER_STACK_SIZE (64 * 1024UL + PAGE_SIZE)
#endif

void fiber_destroy(struct fiber *f);

/* ---- workers (worker.c) ---- */

struct worker {
	unsigned int index; /* [I] */
	struct fiber *current; /* [worker] */
	struct fiber *next; /* [worker] runs before the queue */
	unsigned int next_streak; /* [worker] how often next went before a waiting queue */
	enum switch_reason reason; /* [worker] why current switched out */
	void *sp; /* [worker] its own context while a fiber runs */
	_Atomic u64 started; /* TSC when current was switched in */
	_Atomic u32 wakeup; /* futex; 1: leave the idle sleep */
	u64 aside_polled; /* [worker] TSC when it last looked at the source aside */
	pid_t tid; /* [worker] */
	unsigned long thread; /* [sched_run] pthread_t */
	void *asan_fake_stack;
	const void *asan_bottom;
	size_t asan_size;
	void *tsan_fiber;
};

/*
 * Each host thread's own state. A fiber may go on on another thread after a switch, but compilers
 * believe that the address of a thread-local variable never changes within a function. So only
 * functions that do not switch touch it, and they are never inlined into one that may.
 */
#define OWN_THREAD __attribute__((noinline))

struct sched_thread {
	struct worker *worker; /* null: not a worker */
	u32 spin_depth; /* short locks held */
	u32 wake; /* WAKE_*, to be delivered when spin_depth is 0 */
	struct held_locks spins;
	struct held_locks mutexes; /* of a thread that runs no fiber */
};

extern __thread struct sched_thread t_sched;

#define WAKE_POLLER (1u << 31) /* others: 1 << index of a worker */

/* Wake those that the bits name; no short lock is held. */
void sched_deliver_wakes(u32 wakes);
/* Wake the poller from its sleep soon, to look at the timers. */
void sched_kick_poller(void);
/* The poller has returned from its sleep. */
void sched_poller_awake(void);
/*
 * Block in s's receive, for the token's holder. 0: *ret_event is an event; -EINTR: kicked, epoll
 * has events, or the deadline has come; -EAGAIN: poll instead; else s's error.
 */
int listen_for(struct poll_source *s, struct poll_event *ret_event, int epfd, s64 deadline);
/* Bring the listener back, if there is one. */
void listen_kick(void);
/* End the guard; nobody listens. */
void listen_fini(void);
/* f is READY and the caller's: queue it. */
void sched_enqueue(struct fiber *f);
void sched_enqueue_unhurried(struct fiber *f);
void fiber_switch_out(struct fiber *f, enum switch_reason reason);
void fiber_switch(void **save, void *load);

static inline u64 sched_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

/* ---- poller (poller.c) ---- */

[[nodiscard]] int poller_init(void);
void poller_fini(void);
/* Wait for host events (block: until one comes, a timer is due or the doorbell rings) and call the
 * ready functions. */
void poller_poll(bool block);
void poller_ring(void);
/*
 * A source aside, for a worker w that has nothing else to do and is not the poller: is there one
 * that w waits for alone? Takes one if that is due.
 */
bool poller_aside_begin(struct worker *w);
/* w has something else to do: the poller hears of the source again. Nothing if w has none. */
void poller_aside_end(struct worker *w);
bool poller_aside_is(const struct worker *w);
/* If w waits for a source aside: wake it. */
void poller_aside_wake(const struct worker *w);
/* Wait (block), or look, for an event of the caller's source aside, and deal with it. False: none
 * for long. */
bool poller_aside_wait(bool block);
/* Wake a worker that sleeps and is not the poller, if there is one. */
void sched_wake_idle(void);

/* ---- timers (timer.c) ---- */

/* Make sure that one more fiber can arm its timer without allocation; and the reverse. */
[[nodiscard]] int timer_reserve(void);
void timer_unreserve(void);
/* Arm the timer of a fiber; cannot fail. */
void timer_arm_reserved(struct timer *t, s64 deadline);
/* The poller goes to sleep until the returned deadline: an earlier timer armed from now on rings
 * the doorbell. */
s64 timers_sleep(void);
void timers_awake(void);
/* Call what is due. Only the holder of the poller token. */
void timers_run(void);
void timers_fini(void);

/* ---- pool (pool.c) ---- */

[[nodiscard]] int pool_init(void);
void pool_fini(void);
