/*
 * Timers of CPU time: ITIMER_VIRTUAL, ITIMER_PROF, POSIX timers of CPU clocks, and RLIMIT_CPU.
 *
 * The host gives no notice when a thread has used so much CPU time, so it is looked at from time to
 * time: while something of the group depends on it, a timer (cpu_tick) makes those threads that run
 * guest code come in, each reads its own time, and what is due is sent. A thread that sleeps uses
 * none, and is left alone; when it comes back it looks by itself. The time between two looks
 * follows from what is left, so a timer fires late by some milliseconds at most.
 */

#include <limits.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "kernel/lifecycle.h"
#include "kernel/pid.h"
#include "kernel/posix_timer.h"
#include "kernel/signal.h"

#define TICK_MIN_NS 1'000'000
#define TICK_MAX_NS 50'000'000
#define NS_PER_SEC 1'000'000'000L
#define NS_PER_USEC 1'000

/* CPU clock ids: the complement of a pid above three bits. */
#define CPUCLOCK_PERTHREAD 4
#define CPUCLOCK_VIRT 1
#define CPUCLOCK_SCHED 2

static struct task_cpu_times group_seen(struct thread_group *tg) REQUIRES(lc_tasks)
{
	struct task_cpu_times sum = { tg->dead_usage.utime, tg->dead_usage.stime };
	struct task *t;

	list_for_each(t, &tg->tasks, tg_link) {
		struct task_cpu_times times = task_cpu_times_seen(t);

		if (t->exit_notified)
			continue;
		sum.user_ns += times.user_ns;
		sum.sys_ns += times.sys_ns;
	}
	return sum;
}

/* ---- the tick ---- */

static bool anything_armed(const struct thread_group *tg) REQUIRES(lc_sighand)
{
	return tg->itimer_virtual.expires || tg->itimer_prof.expires ||
	       !list_empty(&tg->cpu_timers) ||
	       rlimit_get(&tg->rlimits, RLIMIT_CPU) != RLIM64_INFINITY;
}

static void tick_expire(struct timer *timer)
{
	struct thread_group *tg = container_of(timer, struct thread_group, cpu_tick);
	struct task *t;

	tasks_lock();
	list_for_each(t, &tg->tasks, tg_link) {
		atomic_fetch_or(&t->work, TASK_WORK_CPU_TIMERS);
		spin_lock(&t->lock, &lc_task);
		if (t->subject.thread &&
		    atomic_load_explicit(&t->run_state, memory_order_relaxed) == RUN_APP)
			pf_interrupt(t->subject.thread);
		spin_unlock(&t->lock, &lc_task);
	}
	tasks_unlock();
}

DEFINE_OPS(struct timer_ops, cpu_tick_ops) = { .expire = tick_expire };

void cpu_tick_init(struct thread_group *tg)
{
	timer_init(&tg->cpu_tick, OPS(cpu_tick_ops));
}

void cpu_timers_arm(struct thread_group *tg)
{
	if (anything_armed(tg) && !tg->exiting)
		(void)!timer_arm(&tg->cpu_tick, sched_now() + TICK_MIN_NS);
}

void cpu_limit_changed(struct thread_group *tg)
{
	struct sighand *h;

	tasks_lock();
	if (tg->leader) {
		h = tg->leader->sighand;
		spin_lock(&h->lock, &lc_sighand);
		tg->cpu_limit_next = 0;
		cpu_timers_arm(tg);
		spin_unlock(&h->lock, &lc_sighand);
	}
	tasks_unlock();
}

static void limit_changed(struct rlimits *r, int resource)
{
	if (resource == RLIMIT_CPU)
		cpu_limit_changed(container_of(r, struct thread_group, rlimits));
}

DEFINE_OPS(struct rlimit_hooks, rlimit_task_hooks) = {
	.changed = limit_changed,
};

/* ---- what is due ---- */

static void send(struct thread_group *tg, int sig) REQUIRES(lc_tasks, lc_sighand)
{
	siginfo_t info;
	int note;

	siginfo_kernel(&info, sig);
	(void)signal_queue(tg->leader, &info, true, NULL, &note);
}

/* Returns how much is left, or the most if nothing is set. */
static u64 check_itimer(struct thread_group *tg, struct cpu_itimer *it, u64 now, int sig)
	REQUIRES(lc_tasks, lc_sighand)
{
	if (!it->expires)
		return TICK_MAX_NS;
	if (it->expires <= now) {
		send(tg, sig);
		it->expires = it->interval ? now + it->interval : 0;
	}
	return it->expires ? it->expires - now : TICK_MAX_NS;
}

static u64 check_limit(struct thread_group *tg, u64 now) REQUIRES(lc_tasks, lc_sighand)
{
	struct rlimit64_pair limit = rlimit_read(&tg->rlimits, RLIMIT_CPU);
	u64 sec = now / NS_PER_SEC;

	if (limit.cur == RLIM64_INFINITY && limit.max == RLIM64_INFINITY)
		return TICK_MAX_NS;
	if (sec >= limit.max) {
		send(tg, SIGKILL);
		return TICK_MAX_NS;
	}
	if (sec >= limit.cur && now >= tg->cpu_limit_next) {
		send(tg, SIGXCPU);
		tg->cpu_limit_next = (sec + 1) * NS_PER_SEC;
	}
	return TICK_MAX_NS;
}

static u64 check_posix(struct thread_group *tg) REQUIRES(lc_tasks, lc_sighand)
{
	struct posix_timer *pt, *next;
	u64 left = TICK_MAX_NS;
	int note;

	list_for_each_safe(pt, next, &tg->cpu_timers, cpu_link) {
		s64 now = cpu_clock_seen(pt), n;

		if (pt->expires <= now) {
			posix_timer_fire(pt, &note);
			if (!pt->interval) {
				pt->expires = 0;
				list_del(&pt->cpu_link);
				continue;
			}
			n = (now - pt->expires) / pt->interval + 1;
			pt->overrun += n - 1;
			pt->expires += n * pt->interval;
		}
		left = min(left, (u64)(pt->expires - now));
	}
	return left;
}

void cpu_timers_check(struct task *t)
{
	struct thread_group *tg = t->tg;
	struct sighand *h = t->sighand;
	struct task_cpu_times now;
	u64 left;

	atomic_fetch_and(&t->work, ~(u32)TASK_WORK_CPU_TIMERS);
	task_cpu_times_update(t);
	tasks_lock();
	now = group_seen(tg);
	spin_lock(&h->lock, &lc_sighand);
	left = check_itimer(tg, &tg->itimer_virtual, now.user_ns, SIGVTALRM);
	left = min(left, check_itimer(tg, &tg->itimer_prof, now.user_ns + now.sys_ns, SIGPROF));
	left = min(left, check_limit(tg, now.user_ns + now.sys_ns));
	left = min(left, check_posix(tg));
	if (anything_armed(tg) && !tg->exiting) {
		left = max(left / tg->live_count, (u64)TICK_MIN_NS);
		(void)!timer_arm(&tg->cpu_tick, sched_now() + (s64)left);
	}
	spin_unlock(&h->lock, &lc_sighand);
	tasks_unlock();
}

void timers_thread_exit(struct task *t)
{
	struct thread_group *tg = t->tg;
	struct sighand *h = t->sighand;
	struct posix_timer *pt, *next;

	spin_lock(&h->lock, &lc_sighand);
	list_for_each_safe(pt, next, &tg->cpu_timers, cpu_link) {
		if (pt->cpu_task != t)
			continue;
		pt->expires = 0;
		list_del(&pt->cpu_link);
	}
	spin_unlock(&h->lock, &lc_sighand);
}

/* ---- setting ---- */

static struct itimer_ns itimer_show(const struct cpu_itimer *it, u64 now)
{
	struct itimer_ns ns = { .interval = (s64)it->interval };

	if (it->expires)
		ns.value = it->expires > now ? (s64)(it->expires - now) : NS_PER_USEC;
	return ns;
}

int cpu_itimer_set(struct task *t, int which, const struct itimer_ns *new,
		   struct itimer_ns *ret_old)
{
	struct thread_group *tg = t->tg;
	struct cpu_itimer *it = which == ITIMER_VIRTUAL ? &tg->itimer_virtual : &tg->itimer_prof;
	struct task_cpu_times times = group_cpu_times(tg);
	u64 now = times.user_ns + (which == ITIMER_PROF ? times.sys_ns : 0);
	struct sighand *h = t->sighand;
	struct itimer_ns old;

	spin_lock(&h->lock, &lc_sighand);
	old = itimer_show(it, now);
	if (new) {
		it->expires = new->value ? now + (u64) new->value : 0;
		it->interval = new->value ? (u64) new->interval : 0;
		cpu_timers_arm(tg);
	}
	spin_unlock(&h->lock, &lc_sighand);
	if (ret_old)
		*ret_old = old;
	return 0;
}

int cpu_clock_decode(struct task *t, int clock, struct posix_timer *pt)
{
	u32 nr = ~(u32)clock >> 3;
	int which = clock & 3;
	struct task *found;

	if (clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID) {
		nr = 0;
		which = CPUCLOCK_SCHED;
	} else if (clock >= 0 || which > CPUCLOCK_SCHED) {
		return -EINVAL;
	}
	pt->cpu_clock = true;
	pt->cpu_user_only = which == CPUCLOCK_VIRT;
	if (clock == CLOCK_PROCESS_CPUTIME_ID || (clock < 0 && !(clock & CPUCLOCK_PERTHREAD)))
		/* A timer on another process's clock is not to be had. */
		return nr == 0 || nr == task_tgid(t) ? 0 : -EINVAL;
	tasks_lock();
	found = nr ? task_find(task_pid_ns(t), nr) : t;
	if (found && found->tg == t->tg) {
		task_get(found);
		pt->cpu_task = found;
	}
	tasks_unlock();
	return pt->cpu_task ? 0 : -EINVAL;
}

s64 cpu_clock_seen(const struct posix_timer *pt)
{
	struct task_cpu_times times =
		pt->cpu_task ? task_cpu_times_seen(pt->cpu_task) : group_seen(pt->tg);

	return (s64)(times.user_ns + (pt->cpu_user_only ? 0 : times.sys_ns));
}

int cpu_timer_set(struct posix_timer *pt, int flags, s64 value)
{
	list_del(&pt->cpu_link);
	if (!value)
		return 0;
	if (!(flags & TIMER_ABSTIME) && __builtin_add_overflow(value, cpu_clock_seen(pt), &value))
		value = NO_DEADLINE - 1;
	pt->expires = value;
	list_add_tail(&pt->tg->cpu_timers, &pt->cpu_link);
	cpu_timers_arm(pt->tg);
	return 0;
}

void cpu_clocks_refresh(struct task *t)
{
	struct rb_node *any = t->tg->posix_timers.node;

	/* Cheap when there is nothing that it would matter to. */
	if (any)
		(void)group_cpu_times(t->tg);
}
