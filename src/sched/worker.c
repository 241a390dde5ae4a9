/*
 * Workers: the threads that run fibers.
 *
 * A fiber that becomes ready goes to the `next` slot of the worker that made it so, if that is
 * free, else to the one run queue. A worker takes from its slot first, but not for ever while the
 * queue waits. A worker with nothing to run takes the poller token, if it is free, and sleeps in
 * epoll_wait; else it sleeps on its own futex.
 *
 * Who wakes whom. Sleepers are known under lc_runq (idle_mask, poller_sleeping); who queues a fiber
 * claims one of them there and wakes it once the caller holds no short lock (spin_unlock does
 * that). While a claimed worker is on its way (waking) no other is claimed: it will look at the
 * queue, and claim the next if there is more than it takes itself. Because claiming, queueing and
 * going to sleep are all under the one lock, no wake-up is lost. A fiber in a `next` slot needs
 * none: its worker is awake.
 *
 * The poller token: only its holder calls epoll_wait, the sources' ready functions and timers. It
 * is given up before a fiber is run. A worker that never runs dry polls without waiting every
 * POLL_CYCLES.
 */

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "base/bug.h"
#include "host/host.h"
#include "sched/internal.h"
#include "sched/sanitize_fiber.h"
#include "sched/sched.h"

#define POLL_CYCLES 50'000 /* TSC; 15 to 25 µs */
#define NEXT_STREAK_MAX 16
#define WORKER_STACK (PTHREAD_STACK_MIN + 128 * 1024)

static struct {
	unsigned int worker_count; /* [I] */
	struct worker workers[SCHED_WORKERS_MAX];
	u64 tsc_base; /* [I] a pair of readings, to turn TSC into ns */
	s64 ns_base; /* [I] */
	_Atomic bool stop; /* set under lc_runq */
	_Atomic bool token; /* held by somebody; changed under lc_runq */
	_Atomic u32 queued; /* length of queue; changed under lc_runq */
	_Atomic u64 last_poll; /* TSC */

	struct spin lock;
	struct list queue GUARDED_BY(lc_runq);
	u32 idle_mask GUARDED_BY(lc_runq); /* workers asleep on their futex */
	bool poller_sleeping GUARDED_BY(lc_runq);
	bool waking GUARDED_BY(lc_runq);
} g;

/* ---- waking ---- */

/* Choose a sleeper to wake; 0 if there is none or one is on its way. */
static u32 sched_claim_sleeper(void) REQUIRES(lc_runq)
{
	if (g.waking)
		return 0;
	if (g.idle_mask) {
		u32 bit = g.idle_mask & -g.idle_mask;

		g.idle_mask &= ~bit;
		g.waking = true;
		return bit;
	}
	if (g.poller_sleeping) {
		g.poller_sleeping = false;
		g.waking = true;
		return WAKE_POLLER;
	}
	return 0;
}

void sched_deliver_wakes(u32 wakes)
{
	if (wakes & WAKE_POLLER)
		poller_ring();
	wakes &= ~WAKE_POLLER;
	while (wakes) {
		struct worker *w = &g.workers[__builtin_ctz(wakes)];

		wakes &= wakes - 1;
		atomic_store_explicit(&w->wakeup, 1, memory_order_release);
		host_futex_wake(&w->wakeup, 1, false);
		poller_aside_wake(w);
	}
}

OWN_THREAD void sched_kick_poller(void)
{
	if (spin_none_held())
		sched_deliver_wakes(WAKE_POLLER);
	else
		t_sched.wake |= WAKE_POLLER;
}

/* ---- the run queue ---- */

static void sched_push(struct fiber *f, bool wake)
{
	spin_lock(&g.lock, &lc_runq);
	list_add_tail(&g.queue, &f->link);
	atomic_fetch_add_explicit(&g.queued, 1, memory_order_relaxed);
	if (wake)
		t_sched.wake |= sched_claim_sleeper();
	spin_unlock(&g.lock, &lc_runq);
}

OWN_THREAD void sched_enqueue(struct fiber *f)
{
	struct worker *w = t_sched.worker;

	if (w && !w->next)
		w->next = f;
	else
		sched_push(f, true);
}

/* Behind all others, and without waking a worker: this one will look at the queue. */
OWN_THREAD void sched_enqueue_unhurried(struct fiber *f)
{
	sched_push(f, !t_sched.worker);
}

static struct fiber *worker_take(struct worker *w)
{
	struct fiber *f = w->next;
	u32 queued = atomic_load_explicit(&g.queued, memory_order_relaxed);

	if (f && (queued == 0 || w->next_streak++ < NEXT_STREAK_MAX)) {
		w->next = NULL;
		return f;
	}
	w->next_streak = 0;
	if (queued == 0)
		return NULL;
	f = NULL;
	spin_lock(&g.lock, &lc_runq);
	if (!list_empty(&g.queue)) {
		f = list_first(&g.queue, struct fiber, link);
		list_del(&f->link);
		if (atomic_fetch_sub_explicit(&g.queued, 1, memory_order_relaxed) > 1)
			t_sched.wake |= sched_claim_sleeper();
	}
	spin_unlock(&g.lock, &lc_runq);
	if (!f) {
		f = w->next;
		w->next = NULL;
	}
	return f;
}

/* ---- running ---- */

/* Let f run until it switches out. */
static void worker_switch(struct worker *w, struct fiber *f)
{
	u64 start = sched_tsc();
	u32 old;

	old = atomic_exchange_explicit(&f->state, FIBER_RUNNING, memory_order_acq_rel);
	DEBUG_BUG_ON((old & FIBER_STATE) != FIBER_READY);
	/* Unparks between the waking one and now are one with it; others keep their permit. */
	if ((old & FIBER_PERMIT) && !f->was_parked)
		atomic_fetch_or_explicit(&f->state, FIBER_PERMIT, memory_order_relaxed);
	f->worker = w;
	w->current = f;
	atomic_store_explicit(&w->started, start, memory_order_relaxed);
	asan_leave(&w->asan_fake_stack, f->stack, FIBER_STACK_SIZE);
	tsan_switch(f->tsan_fiber);
	fiber_switch(&w->sp, f->sp);
	asan_enter(w->asan_fake_stack, NULL, NULL);
	w->current = NULL;
	atomic_fetch_add_explicit(&f->cycles, sched_tsc() - start, memory_order_relaxed);
}

/* Make f, which has just switched out to park, PARKED. False if there is a permit: it must go on,
 * READY. */
static bool worker_finish_park(struct fiber *f)
{
	u32 state = FIBER_RUNNING;

	f->was_parked = true;
	if (atomic_compare_exchange_strong_explicit(&f->state, &state, FIBER_PARKED,
						    memory_order_acq_rel, memory_order_acquire))
		return true;
	atomic_store_explicit(&f->state, FIBER_READY, memory_order_relaxed);
	return false;
}

static void worker_finish_yield(struct fiber *f)
{
	f->was_parked = false;
	atomic_fetch_sub_explicit(&f->state, FIBER_RUNNING - FIBER_READY, memory_order_release);
	sched_push(f, false);
}

static void worker_run(struct worker *w, struct fiber *f)
{
	for (;;) {
		worker_switch(w, f);
		switch (w->reason) {
		case SWITCH_PARK:
			if (worker_finish_park(f))
				return;
			break;
		case SWITCH_YIELD:
			worker_finish_yield(f);
			return;
		case SWITCH_EXIT:
			fiber_destroy(f);
			return;
		}
	}
}

/* ---- polling and sleeping ---- */

static void worker_poll(bool block)
{
	poller_poll(block);
	atomic_store_explicit(&g.last_poll, sched_tsc(), memory_order_relaxed);
	spin_lock(&g.lock, &lc_runq);
	g.token = false;
	spin_unlock(&g.lock, &lc_runq);
}

static bool worker_poll_due(void)
{
	return sched_tsc() - atomic_load_explicit(&g.last_poll, memory_order_relaxed) >
		       POLL_CYCLES &&
	       !atomic_load_explicit(&g.token, memory_order_relaxed);
}

/* Look at the host's events without waiting, unless another does. */
static void worker_poll_now(void)
{
	bool mine;

	spin_lock(&g.lock, &lc_runq);
	mine = !g.token;
	g.token = true;
	spin_unlock(&g.lock, &lc_runq);
	if (mine)
		worker_poll(false);
}

void sched_poller_awake(void)
{
	spin_lock(&g.lock, &lc_runq);
	g.poller_sleeping = false;
	g.waking = false;
	spin_unlock(&g.lock, &lc_runq);
}

/* Wake a sleeper that is not the poller, if there is one. */
OWN_THREAD void sched_wake_idle(void)
{
	spin_lock(&g.lock, &lc_runq);
	if (g.idle_mask)
		t_sched.wake |= sched_claim_sleeper();
	spin_unlock(&g.lock, &lc_runq);
}

/* Wait for the source aside. False: we were claimed, and whoever did so is about to wake us. */
static bool worker_wait_aside(struct worker *w)
{
	bool claimed, event = poller_aside_wait(true);

	w->aside_polled = sched_tsc();
	spin_lock(&g.lock, &lc_runq);
	claimed = !(g.idle_mask & 1u << w->index);
	g.idle_mask &= ~(1u << w->index);
	spin_unlock(&g.lock, &lc_runq);
	if (claimed || !event)
		poller_aside_end(w);
	return !claimed;
}

/* There is nothing to run: sleep until there may be. False when the worker must end. */
static bool worker_idle(struct worker *w)
{
	bool aside = poller_aside_is(w);

	/* Whoever has the token polls for the others. */
	if (!aside && atomic_load_explicit(&g.token, memory_order_relaxed))
		aside = poller_aside_begin(w);
	spin_lock(&g.lock, &lc_runq);
	if (g.stop || !list_empty(&g.queue)) {
		spin_unlock(&g.lock, &lc_runq);
		return !g.stop;
	}
	if (!g.token && !aside) {
		g.token = true;
		g.poller_sleeping = true;
		spin_unlock(&g.lock, &lc_runq);
		worker_poll(true);
		return true;
	}
	if (aside && !g.token && g.idle_mask)
		t_sched.wake |= sched_claim_sleeper(); /* to poll */
	w->wakeup = 0;
	g.idle_mask |= 1u << w->index;
	spin_unlock(&g.lock, &lc_runq);
	if (aside && worker_wait_aside(w))
		return true;
	while (!atomic_load_explicit(&w->wakeup, memory_order_acquire))
		host_futex_wait(&w->wakeup, 0, NO_DEADLINE);
	spin_lock(&g.lock, &lc_runq);
	g.waking = false;
	spin_unlock(&g.lock, &lc_runq);
	return true;
}

/* It has not run dry for long: look at what it would wait for. */
static void worker_poll_others(struct worker *w)
{
	if (unlikely(poller_aside_is(w))) {
		if (sched_tsc() - w->aside_polled <= POLL_CYCLES)
			return;
		(void)poller_aside_wait(false);
		w->aside_polled = sched_tsc();
	} else if (worker_poll_due()) {
		worker_poll_now();
	}
}

static void worker_main(struct worker *w)
{
	/* Without memory for it, only the report of a stack overflow is lost. */
	(void)!host_fault_thread_init();
	host_rseq_unregister();
	w->tid = host_gettid();
	w->tsan_fiber = tsan_self();
	t_sched.worker = w;
	while (!atomic_load_explicit(&g.stop, memory_order_relaxed)) {
		struct fiber *f;

		f = worker_take(w);
		/* Without a fiber to run it polls anyway, or somebody else does. */
		if (f)
			worker_poll_others(w);
		if (f)
			worker_run(w, f);
		else if (!worker_idle(w))
			break;
	}
	t_sched.worker = NULL;
	host_fault_thread_fini();
}

static void *worker_thread(void *arg)
{
	worker_main(arg);
	return NULL;
}

/* ---- what others see ---- */

OWN_THREAD bool sched_should_yield(void)
{
	struct worker *w = t_sched.worker;

	return w && (w->next || atomic_load_explicit(&g.queued, memory_order_relaxed) ||
		     atomic_load_explicit(&g.stop, memory_order_relaxed) || worker_poll_due());
}

OWN_THREAD void sched_expect_delay(void)
{
	struct worker *w = t_sched.worker;
	struct fiber *f;

	if (!w)
		return;
	f = w->next;
	w->next = NULL;
	poller_aside_end(w);
	spin_lock(&g.lock, &lc_runq);
	if (f) {
		list_add_tail(&g.queue, &f->link);
		atomic_fetch_add_explicit(&g.queued, 1, memory_order_relaxed);
	}
	if (!list_empty(&g.queue) || !g.token)
		t_sched.wake |= sched_claim_sleeper();
	spin_unlock(&g.lock, &lc_runq);
}

u64 fiber_cpu_time(const struct fiber *f)
{
	u64 tsc = sched_tsc(), cycles;
	s64 ns = sched_now();

	cycles = atomic_load_explicit(&f->cycles, memory_order_relaxed);
	if (f == fiber_current())
		cycles += tsc - f->worker->started;
	if (tsc <= g.tsc_base)
		return 0;
	return (u64)((unsigned __int128)cycles * (u64)(ns - g.ns_base) / (tsc - g.tsc_base));
}

unsigned int sched_worker_count(void)
{
	return g.worker_count;
}

OWN_THREAD int sched_worker_index(void)
{
	struct worker *w = t_sched.worker;

	return w ? (int)w->index : -1;
}

/* ---- start and end ---- */

#ifdef DONJON_DEBUG
static void sched_check_host_call(long nr)
{
	if (nr != SYS_futex) /* short locks themselves */
		assert_no_spin();
}
#else
static void sched_check_host_call(long nr)
{
}
#endif

static void sched_reset(unsigned int workers) NO_THREAD_SAFETY_ANALYSIS
{
	g.worker_count = workers;
	g.stop = false;
	g.token = false;
	g.queued = 0;
	list_init(&g.queue);
	g.idle_mask = 0;
	g.poller_sleeping = g.waking = false;
	g.tsc_base = sched_tsc();
	g.ns_base = sched_now();
	for (unsigned int i = 0; i < workers; i++)
		g.workers[i] = (struct worker){ .index = i };
}

int sched_init(unsigned int workers)
{
	int ret;

	if (workers == 0 || workers > SCHED_WORKERS_MAX)
		return -EINVAL;
	host_set_check_hook(sched_check_host_call);
	mallopt(M_ARENA_MAX,
		1); /* heaps for each thread would be most of a small kernel's memory */
	sched_reset(workers);
	ret = host_fault_init();
	if (!ret)
		ret = poller_init();
	if (ret)
		return ret;
	ret = pool_init();
	if (ret)
		poller_fini();
	return ret;
}

int sched_run(void)
{
	pthread_attr_t attr;
	unsigned int started = 1;

	pthread_attr_init(&attr);
#ifndef DONJON_DEBUG
	pthread_attr_setstacksize(&attr, WORKER_STACK);
#endif
	for (; started < g.worker_count; started++) {
		struct worker *w = &g.workers[started];

		/* Fewer workers than asked for do the same work. */
		if (pthread_create(&w->thread, &attr, worker_thread, w))
			break;
	}
	pthread_attr_destroy(&attr);
	worker_main(&g.workers[0]);
	for (unsigned int i = 1; i < started; i++)
		pthread_join(g.workers[i].thread, NULL);
	return 0;
}

OWN_THREAD void sched_stop(void)
{
	spin_lock(&g.lock, &lc_runq);
	g.stop = true;
	t_sched.wake |= g.idle_mask;
	g.idle_mask = 0;
	if (g.poller_sleeping)
		t_sched.wake |= WAKE_POLLER;
	spin_unlock(&g.lock, &lc_runq);
}

void sched_fini(void)
{
	pool_fini();
	poller_fini();
	timers_fini();
	stack_fini();
	host_set_check_hook(NULL);
}

struct root_fiber {
	void (*fn)(void *);
	void *arg;
};

static void sched_root_fiber(void *arg)
{
	struct root_fiber *root = arg;

	root->fn(root->arg);
	sched_stop();
}

int sched_run_fiber(unsigned int workers, void (*fn)(void *), void *arg)
{
	struct root_fiber root = { fn, arg };
	struct fiber *f;
	int ret;

	ret = sched_init(workers);
	if (ret)
		return ret;
	f = fiber_create(sched_root_fiber, &root);
	if (f) {
		fiber_start(f);
		ret = sched_run();
	} else {
		ret = -ENOMEM;
	}
	sched_fini();
	return ret;
}
