/*
 * The pool: at most POOL_THREADS threads for host calls that may block for long. Threads are made
 * when a job finds none idle, and end after POOL_IDLE_NS without work. The job lies on the stack of
 * its parked fiber.
 *
 * A fiber that is killed meanwhile interrupts its thread's host call by a signal whose handler does
 * nothing. One signal may come just before the call that it should interrupt, so it is repeated. A
 * thread lets no signal meant for one job reach the next. The signal is a standard one: real-time
 * signals can be exhausted by others of the same user.
 */

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/bug.h"
#include "host/host.h"
#include "sched/internal.h"
#include "sched/sched.h"

#define POOL_THREADS 8
#define POOL_IDLE_NS 10'000'000'000LL
#define POOL_SIGNAL SIGURG
#define POOL_REPEAT_NS 5'000'000LL
#define POOL_REPEAT_MAX_NS 1'000'000'000LL
#define POOL_STACK (PTHREAD_STACK_MIN + 128 * 1024)

struct pool_thread {
	pid_t tid; /* [I] */
	bool signalling; /* [lc_pool] somebody is about to signal it */
	bool signalled; /* [lc_pool] since the last job */
};

struct pool_job {
	struct list link; /* [lc_pool] while queued */
	long (*fn)(void *); /* [I] */
	void *arg; /* [I] */
	struct fiber *fiber; /* [I] */
	struct pool_thread *thread; /* [lc_pool] who runs it */
	long ret; /* [lc_pool] */
	bool done; /* [lc_pool] */
};

static struct {
	_Atomic u32 bell; /* futex of idle threads: changes with each job */
	_Atomic u32 ended; /* futex: changes when a thread ends */
	struct spin lock;
	struct list queue GUARDED_BY(lc_pool);
	u32 queued GUARDED_BY(lc_pool);
	u32 threads GUARDED_BY(lc_pool);
	u32 idle GUARDED_BY(lc_pool);
	bool stop GUARDED_BY(lc_pool);
} g;

__attribute__((no_sanitize("thread", "address", "undefined"))) static void pool_signal_handler(
	int sig, siginfo_t *info, void *context)
{
}

/* ---- a thread's side ---- */

/* Wait for a job; null when the thread has to end (and is no longer counted). */
static struct pool_job *pool_next_job(void)
{
	s64 deadline = sched_now() + POOL_IDLE_NS;
	struct pool_job *job = NULL;
	int ret = 0;

	spin_lock(&g.lock, &lc_pool);
	g.idle++;
	while (list_empty(&g.queue) && ret != -ETIMEDOUT && !g.stop) {
		u32 bell = g.bell;

		spin_unlock(&g.lock, &lc_pool);
		ret = host_futex_wait(&g.bell, bell, deadline);
		spin_lock(&g.lock, &lc_pool);
	}
	g.idle--;
	if (!list_empty(&g.queue)) {
		job = list_first(&g.queue, struct pool_job, link);
		list_del(&job->link);
		g.queued--;
	} else {
		g.threads--;
	}
	spin_unlock(&g.lock, &lc_pool);
	return job;
}

static void pool_run_job(struct pool_thread *self, struct pool_job *job)
{
	long ret;
	bool signalling, signalled;

	spin_lock(&g.lock, &lc_pool);
	job->thread = self;
	spin_unlock(&g.lock, &lc_pool);
	ret = job->fn(job->arg);
	spin_lock(&g.lock, &lc_pool);
	job->ret = ret;
	job->thread = NULL;
	job->done = true;
	/* Under the lock: the fiber cannot see done, and end, before this is done with it. */
	fiber_unpark(job->fiber);
	spin_unlock(&g.lock, &lc_pool);
	for (;;) {
		spin_lock(&g.lock, &lc_pool);
		signalling = self->signalling;
		signalled = self->signalled;
		self->signalled = false;
		spin_unlock(&g.lock, &lc_pool);
		if (signalled)
			host_gettid(); /* a pending signal is delivered on the way back from it */
		if (!signalling)
			break;
		host_sched_yield(); /* rare and short: one tgkill */
	}
}

static void *pool_thread_main(void *arg)
{
	struct pool_thread self = { .tid = host_gettid() };
	u64 wanted = 1UL << (POOL_SIGNAL - 1) | 1UL << (SIGSEGV - 1) | 1UL << (SIGBUS - 1) |
		     1UL << (SIGFPE - 1) | 1UL << (SIGILL - 1) | 1UL << (SIGTRAP - 1) |
		     1UL << (SIGABRT - 1);
	struct pool_job *job;

	if (host_sigprocmask(SIG_SETMASK, ~wanted, NULL))
		panic("pool: signal mask");
	while ((job = pool_next_job()))
		pool_run_job(&self, job);
	atomic_fetch_add(&g.ended, 1);
	host_futex_wake(&g.ended, 1, false);
	return NULL;
}

/* ---- a fiber's side ---- */

static void pool_spawn(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
#ifndef DONJON_DEBUG
	pthread_attr_setstacksize(&attr, POOL_STACK);
#endif
	ret = pthread_create(&thread, &attr, pool_thread_main, NULL);
	pthread_attr_destroy(&attr);
	if (!ret)
		return;
	spin_lock(&g.lock, &lc_pool);
	g.threads--;
	spin_unlock(&g.lock, &lc_pool);
}

/* Queue the job. False if no thread can ever run it: then it is not queued. */
static bool pool_submit(struct pool_job *job)
{
	bool spawn, queued = true;

	spin_lock(&g.lock, &lc_pool);
	list_add_tail(&g.queue, &job->link);
	g.queued++;
	atomic_fetch_add(&g.bell, 1);
	spawn = g.idle < g.queued && g.threads < POOL_THREADS;
	g.threads += spawn;
	spin_unlock(&g.lock, &lc_pool);
	if (!spawn) {
		host_futex_wake(&g.bell, 1, false);
		return true;
	}
	pool_spawn();
	spin_lock(&g.lock, &lc_pool);
	if (!g.threads && !list_empty(&job->link)) {
		list_del(&job->link);
		g.queued--;
		queued = false;
	}
	spin_unlock(&g.lock, &lc_pool);
	return queued;
}

static bool pool_job_done(struct pool_job *job)
{
	bool done;

	spin_lock(&g.lock, &lc_pool);
	done = job->done;
	spin_unlock(&g.lock, &lc_pool);
	return done;
}

/* Interrupt the host call of the job, if it is running. */
static void pool_interrupt(struct pool_job *job)
{
	struct pool_thread *t;
	pid_t tid = 0;

	spin_lock(&g.lock, &lc_pool);
	t = job->thread;
	if (t) {
		t->signalling = t->signalled = true;
		tid = t->tid;
	}
	spin_unlock(&g.lock, &lc_pool);
	if (!t)
		return;
	host_tgkill(host_getpid(), tid, POOL_SIGNAL);
	spin_lock(&g.lock, &lc_pool);
	t->signalling = false;
	t->signalled = true;
	spin_unlock(&g.lock, &lc_pool);
}

long pool_call(long (*fn)(void *), void *arg)
{
	struct pool_job job = { .fn = fn, .arg = arg, .fiber = fiber_current() };
	s64 repeat = POOL_REPEAT_NS;

	if (!job.fiber)
		return fn(arg);
	list_init(&job.link);
	if (!pool_submit(&job))
		return fn(arg);
	while (!pool_job_done(&job)) {
		if (!fiber_killed(job.fiber)) {
			fiber_park_killable(NO_DEADLINE);
			continue;
		}
		pool_interrupt(&job);
		fiber_park(sched_now() + repeat);
		repeat = min(repeat * 2, POOL_REPEAT_MAX_NS);
	}
	/* The parks may have used up a permit that was meant for the caller's own wait. */
	fiber_unpark(job.fiber);
	return job.ret;
}

int pool_init(void) NO_THREAD_SAFETY_ANALYSIS
{
	list_init(&g.queue);
	g.stop = false;
	return host_sigaction(POOL_SIGNAL, pool_signal_handler, SA_SIGINFO | SA_ONSTACK, 0);
}

void pool_fini(void)
{
	u32 ended, threads;

	spin_lock(&g.lock, &lc_pool);
	g.stop = true;
	atomic_fetch_add(&g.bell, 1);
	spin_unlock(&g.lock, &lc_pool);
	host_futex_wake(&g.bell, INT_MAX, false);
	for (;;) {
		ended = g.ended;
		spin_lock(&g.lock, &lc_pool);
		threads = g.threads;
		spin_unlock(&g.lock, &lc_pool);
		if (!threads)
			break;
		host_futex_wait(&g.ended, ended, NO_DEADLINE);
	}
}
