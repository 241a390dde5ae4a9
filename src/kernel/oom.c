/*
 * --memory: the end of processes when all of them together have too much memory.
 *
 * What a process has of its own lies in its stub, and is told by the host; what is in files of
 * memory is charged as it is written (host/budget.h), and fails there with ENOSPC. Nobody tells us
 * of a page that a guest touches, so a fiber looks, the more often the less is left: no guest can
 * touch pages faster than BYTES_PER_NS. It first adds up what processes have in memory; since that
 * counts pages which several share after a fork for each, it looks at shares if that is too much.
 * Then the worst process, as Linux reckons, dies of SIGKILL. Source: mm/oom_kill.c's rules as
 * proc(5) tells them (oom_score_adj).
 */

#include <errno.h>
#include <signal.h>

#include "base/log.h"
#include "host/budget.h"
#include "host/host.h"
#include "kernel/lifecycle.h"
#include "kernel/task.h"
#include "mm/mm.h"
#include "sched/fiber.h"

#define BYTES_PER_NS 8
#define INTERVAL_MIN 1'000'000LL
#define INTERVAL_MAX 200'000'000LL
#define DYING_WAIT 5'000'000LL
#define DYING_TRIES 200
#define ADJ_NEVER (-1000)

/* Bytes that the process of t has of its own. */
static u64 own_bytes(struct task *t)
{
	struct mm *mm = task_get_mm(t);
	struct mm_resident r;

	if (!mm)
		return 0;
	r = mm_resident(mm);
	mm_put(mm);
	return r.anonymous + r.swap + r.page_tables;
}

static u64 total_bytes(const struct gathered *g)
{
	u64 sum = host_memory_charged();

	for (u32 i = 0; i < g->count; i++)
		sum += own_bytes(g->at[i].task);
	return sum;
}

static u64 own_share(struct task *t)
{
	struct mm *mm = task_get_mm(t);
	u64 bytes = mm ? mm_anonymous_share(mm) : 0;

	mm_put(mm);
	return bytes;
}

/* Pages that several share count in part. Nobody's memory goes meanwhile: what it shared would fall
 * to the others, and count time and again. */
static u64 total_shares(const struct gathered *g)
{
	u64 sum = host_memory_charged();

	for (u32 i = 0; i < g->count; i++)
		g->at[i].pinned = task_pin_thread(g->at[i].task) != NULL;
	for (u32 i = 0; i < g->count; i++)
		if (g->at[i].pinned)
			sum += own_share(g->at[i].task);
	for (u32 i = 0; i < g->count; i++)
		if (g->at[i].pinned)
			task_unpin_thread(g->at[i].task);
	return sum;
}

static struct task *pick(const struct gathered *g, u64 limit)
{
	struct task *worst = NULL;
	s64 most = INT64_MIN;

	for (u32 i = 0; i < g->count; i++) {
		struct task *t = g->at[i].task;
		s32 adj = __atomic_load_n(&t->tg->oom_score_adj, __ATOMIC_RELAXED);
		u64 bytes = own_bytes(t);
		s64 points = (s64)bytes + adj * (s64)(limit / 1000);

		if (!bytes || adj == ADJ_NEVER || points <= most)
			continue;
		worst = t;
		most = points;
	}
	return worst;
}

/* False: the watch is over. */
static bool sleep_for(s64 ns)
{
	struct oom_watch *w = &kernel_get()->oom;
	s64 until = host_clock(CLOCK_MONOTONIC) + ns;

	(void)!waitq_wait(&w->waitq, 1, until, w->stop);
	return !w->stop;
}

/* Its memory goes when its host process does. */
static void kill_and_wait(struct task *t)
{
	siginfo_t info;
	struct mm *mm;

	log_warn("out of memory: process %u is killed", task_tid(t));
	siginfo_kernel(&info, SIGKILL);
	if (signal_send_group(t->tg, &info))
		return;
	for (int i = 0; i < DYING_TRIES; i++) {
		mm = task_get_mm(t);
		if (!mm)
			return;
		mm_put(mm);
		if (!sleep_for(DYING_WAIT))
			return;
	}
}

/* Look once; how many bytes are left. */
static u64 oom_look(u64 limit)
{
	struct task *victim = NULL;
	struct gathered g;
	u64 used;

	gather_memories(&g);
	used = total_bytes(&g);
	if (used > limit)
		used = total_shares(&g);
	if (used > limit)
		victim = pick(&g, limit);
	if (victim)
		kill_and_wait(victim);
	gathered_put(&g);
	return used < limit ? limit - used : 0;
}

static void oom_watch(void *arg)
{
	struct oom_watch *w = &kernel_get()->oom;
	u64 limit = kernel_get()->memory;
	s64 interval = INTERVAL_MIN;

	while (sleep_for(interval)) {
		interval = (s64)(oom_look(limit) / BYTES_PER_NS);
		interval = min(max(interval, INTERVAL_MIN), INTERVAL_MAX);
	}
	w->done = true;
	waitq_wake_all(&w->waitq, 1);
}

int oom_start(void)
{
	struct oom_watch *w = &kernel_get()->oom;
	struct fiber *f;

	waitq_init(&w->waitq);
	w->done = !kernel_get()->memory;
	if (w->done)
		return 0;
	f = fiber_create(oom_watch, NULL);
	if (!f)
		return -ENOMEM;
	fiber_start(f);
	return 0;
}

void oom_stop(void)
{
	struct oom_watch *w = &kernel_get()->oom;

	w->stop = true;
	waitq_wake_all(&w->waitq, 1);
	(void)!waitq_wait(&w->waitq, 1, NO_DEADLINE, w->done);
}
