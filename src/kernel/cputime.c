/*
 * CPU time. A task's user time is that of its platform thread, its system time that of its fiber.
 * Both are read on demand and may cost a call of the host; what was last read is kept in the task,
 * so that a sum over many tasks, or one made where the host cannot be called, is at most somewhat
 * old. An exiting task's last reading is final.
 */

#include "kernel/task.h"

#include "host/host.h"
#include "kernel/lifecycle.h"
#include "kernel/pid.h"
#include "mm/mm.h"

void rusage_add(struct rusage_ns *sum, const struct rusage_ns *more)
{
	sum->utime += more->utime;
	sum->stime += more->stime;
	sum->min_flt += more->min_flt;
	sum->maj_flt += more->maj_flt;
	sum->nvcsw += more->nvcsw;
	sum->nivcsw += more->nivcsw;
	sum->max_rss = max(sum->max_rss, more->max_rss);
}

struct task_cpu_times task_cpu_times_seen(const struct task *t)
{
	return (struct task_cpu_times){
		.user_ns = atomic_load_explicit(&t->user_ns_seen, memory_order_relaxed),
		.sys_ns = atomic_load_explicit(&t->sys_ns_seen, memory_order_relaxed),
	};
}

/* Times never run backwards, whoever reads them. */
static void seen_raise(_Atomic u64 *seen, u64 value)
{
	u64 old = atomic_load_explicit(seen, memory_order_relaxed);

	while (old < value && !atomic_compare_exchange_weak(seen, &old, value))
		;
}

void task_cpu_times_update(struct task *t)
{
	if (t->subject.thread)
		seen_raise(&t->user_ns_seen,
			   pf_thread_cpu_time(t->subject.thread) + t->user_ns_base);
	seen_raise(&t->sys_ns_seen, fiber_cpu_time(t->subject.fiber));
	seen_raise(&t->nvcsw, fiber_waits(t->subject.fiber));
}

struct task_cpu_times task_cpu_times(struct task *t)
{
	struct pf_thread *thread;

	if (t->subject.fiber == fiber_current()) {
		task_cpu_times_update(t);
		return task_cpu_times_seen(t);
	}
	thread = task_pin_thread(t);
	if (thread) {
		seen_raise(&t->user_ns_seen, pf_thread_cpu_time(thread) + t->user_ns_base);
		task_unpin_thread(t);
	}
	spin_lock(&t->lock, &lc_task);
	if (t->subject.fiber) {
		seen_raise(&t->sys_ns_seen, fiber_cpu_time(t->subject.fiber));
		seen_raise(&t->nvcsw, fiber_waits(t->subject.fiber));
	}
	spin_unlock(&t->lock, &lc_task);
	return task_cpu_times_seen(t);
}

u32 task_cpu(struct task *t)
{
	struct pf_thread *thread = task_pin_thread(t);
	int cpu = 0;

	if (thread) {
		cpu = pf_thread_cpu(thread);
		task_unpin_thread(t);
	}
	if (cpu < 0)
		return 0;
	return kernel_get()->virtual_cpus ? (u32)cpu % kernel_get()->cpu_count : (u32)cpu;
}

/* The task of tg after the one numbered last in the tables, with a reference; null at the end. */
static struct task *next_thread_get(struct thread_group *tg, struct task *last)
{
	struct task *t = NULL;

	tasks_lock();
	if (!last) {
		if (!list_empty(&tg->tasks))
			t = list_first(&tg->tasks, struct task, tg_link);
	} else if (!last->released && last->tg_link.next != &tg->tasks) {
		t = list_next(last, tg_link);
	}
	if (t)
		task_get(t);
	tasks_unlock();
	return t;
}

/* Bring every thread up to date; if the list changes under way, some may be left out this time. */
static void update_group(struct thread_group *tg)
{
	struct task *t = next_thread_get(tg, NULL);

	while (t) {
		struct task *next;

		(void)task_cpu_times(t);
		next = next_thread_get(tg, t);
		task_put(t);
		t = next;
	}
}

struct task_cpu_times group_cpu_times(struct thread_group *tg)
{
	struct task_cpu_times sum = {};
	struct task *t;

	update_group(tg);
	tasks_lock();
	sum.user_ns = tg->dead_usage.utime;
	sum.sys_ns = tg->dead_usage.stime;
	list_for_each(t, &tg->tasks, tg_link) {
		struct task_cpu_times times = task_cpu_times_seen(t);

		/* A zombie is counted among the dead. */
		if (t->exit_notified)
			continue;
		sum.user_ns += times.user_ns;
		sum.sys_ns += times.sys_ns;
	}
	tasks_unlock();
	return sum;
}

/* ---- input and output ---- */

struct io_usage task_io(const struct task *t)
{
	const struct io_usage *io = &t->subject.io;

	return (struct io_usage){
		.rchar = __atomic_load_n(&io->rchar, __ATOMIC_RELAXED),
		.wchar = __atomic_load_n(&io->wchar, __ATOMIC_RELAXED),
		.syscr = __atomic_load_n(&io->syscr, __ATOMIC_RELAXED),
		.syscw = __atomic_load_n(&io->syscw, __ATOMIC_RELAXED),
	};
}

void io_usage_add(struct io_usage *sum, const struct io_usage *more)
{
	sum->rchar += more->rchar;
	sum->wchar += more->wchar;
	sum->syscr += more->syscr;
	sum->syscw += more->syscw;
}

struct io_usage group_io(struct thread_group *tg)
{
	struct io_usage sum;
	struct task *t;

	tasks_lock();
	sum = tg->dead_io;
	list_for_each(t, &tg->tasks, tg_link) {
		struct io_usage io = task_io(t);

		if (!t->exit_notified)
			io_usage_add(&sum, &io);
	}
	tasks_unlock();
	return sum;
}

/* ---- both ---- */

struct rusage_ns task_usage(struct task *t)
{
	struct task_cpu_times times = task_cpu_times(t);
	struct rusage_ns u = {
		.utime = times.user_ns,
		.stime = times.sys_ns,
		.min_flt = t->min_flt,
		.maj_flt = t->maj_flt,
		.nvcsw = t->nvcsw,
		.nivcsw = t->nivcsw,
	};
	struct mm *mm = task_get_mm(t);

	if (mm) {
		u.max_rss = mm_rss(mm);
		mm_put(mm);
	}
	return u;
}

struct rusage_ns group_usage(struct thread_group *tg)
{
	struct task_cpu_times times = group_cpu_times(tg);
	struct rusage_ns u;
	struct task *t;
	struct mm *mm = NULL;

	tasks_lock();
	u = tg->dead_usage;
	u.utime = times.user_ns;
	u.stime = times.sys_ns;
	list_for_each(t, &tg->tasks, tg_link) {
		if (t->exit_notified)
			continue;
		u.min_flt += t->min_flt;
		u.maj_flt += t->maj_flt;
		u.nvcsw += t->nvcsw;
		u.nivcsw += t->nivcsw;
		if (!mm)
			mm = task_get_mm(t);
	}
	tasks_unlock();
	if (mm) {
		u.max_rss = max(u.max_rss, mm_rss(mm));
		mm_put(mm);
	}
	return u;
}
