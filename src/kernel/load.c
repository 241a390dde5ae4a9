/*
 * Use of the whole machine: CPU time of all tasks, load averages, memory.
 *
 * Nothing is sampled: an idle sandbox must not wake up to count. When somebody asks, the load since
 * the last time is taken to have been even: the CPU time used since then over the time that has
 * passed, or the number of tasks that want a CPU now if all CPUs were busy (then some may have
 * waited). From it the usual exponential averages follow in one step, however long the time was.
 */

#include "kernel/task.h"

#include <sys/sysinfo.h>

#include "host/budget.h"
#include "host/host.h"
#include "kernel/lifecycle.h"
#include "mm/mm.h"

#define TICK_NS 5'000'000'000 /* Linux's interval, in which the factors below are given */

/* ---- CPU time ---- */

static bool wants_cpu(const struct task *t)
{
	u32 state = atomic_load_explicit(&t->run_state, memory_order_relaxed);

	return !t->exit_notified && !atomic_load(&t->stop) &&
	       (state == RUN_APP || t->subject.fiber == fiber_current());
}

/* Bring the times of all tasks up to date. */
static void update_all(void)
{
	struct gathered g;

	gather_tasks(&g);
	for (u32 i = 0; i < g.count; i++)
		(void)task_cpu_times(g.at[i].task);
	gathered_put(&g);
}

static bool sum_group(struct thread_group *tg, u32 pid, void *arg)
{
	struct kernel_usage *u = arg;
	struct task *t;

	list_for_each(t, &tg->tasks, tg_link) {
		struct task_cpu_times times = task_cpu_times_seen(t);

		u->tasks++;
		if (t->exit_notified)
			continue;
		u->user_ns += times.user_ns;
		u->sys_ns += times.sys_ns;
		u->switches += t->nvcsw + t->nivcsw;
		u->running += wants_cpu(t);
	}
	return true;
}

struct kernel_usage kernel_usage(void)
{
	struct kernel *k = kernel_get();
	struct kernel_usage u = {};

	update_all();
	tasks_lock();
	u.user_ns = k->dead_user_ns;
	u.sys_ns = k->dead_sys_ns;
	u.switches = k->dead_switches;
	group_for_each(k->pid_ns, 0, sum_group, &u);
	tasks_unlock();
	return u;
}

/* ---- load ---- */

/* base^n in fixed point. */
static u64 power(u64 base, u64 n)
{
	u64 result = LOAD_ONE;

	for (; n; n >>= 1) {
		if (n & 1)
			result = result * base >> LOAD_SHIFT;
		base = base * base >> LOAD_SHIFT;
	}
	return result;
}

/* What load there was on average since it was last looked at. */
static u64 load_since(const struct load *l, const struct kernel_usage *u, s64 elapsed)
{
	u64 used = u->user_ns + u->sys_ns, cpus = kernel_get()->cpu_count, load;

	used = used > l->used_ns ? used - l->used_ns : 0;
	load = (u64)((unsigned __int128)used * LOAD_ONE / (u64)elapsed);
	if (load >= cpus * LOAD_ONE * 9 / 10)
		load = max(load, (u64)u->running * LOAD_ONE);
	return load;
}

void kernel_load(u64 ret_average[3])
{
	/* What five seconds leave of averages over 1, 5 and 15 minutes. */
	static const u64 factors[3] = { 1884, 2014, 2037 };
	struct load *l = &kernel_get()->load;
	struct kernel_usage u = {};
	s64 now = host_clock(CLOCK_BOOTTIME), ticks;
	u64 load;

	spin_lock(&l->lock, &lc_cred);
	ticks = (now - l->updated) / TICK_NS;
	spin_unlock(&l->lock, &lc_cred);
	if (ticks > 0)
		u = kernel_usage();
	spin_lock(&l->lock, &lc_cred);
	/* Somebody else may have done it meanwhile. */
	ticks = min(ticks, (now - l->updated) / TICK_NS);
	if (ticks > 0) {
		load = load_since(l, &u, now - l->updated);
		for (int i = 0; i < 3; i++) {
			u64 keep = power(factors[i], (u64)ticks);

			l->average[i] =
				(l->average[i] * keep + load * (LOAD_ONE - keep)) >> LOAD_SHIFT;
		}
		l->updated += ticks * TICK_NS;
		l->used_ns = u.user_ns + u.sys_ns;
	}
	for (int i = 0; i < 3; i++)
		ret_average[i] = l->average[i];
	spin_unlock(&l->lock, &lc_cred);
}

/* ---- memory ---- */

static struct kernel_memory host_memory(void)
{
	struct kernel_memory m = {};
	struct sysinfo si = {};
	u64 unit;

	if (host_sysinfo(&si))
		return m;
	unit = si.mem_unit ? si.mem_unit : 1;
	m.total = si.totalram * unit;
	m.free = si.freeram * unit;
	m.shared = si.sharedram * unit;
	m.buffers = si.bufferram * unit;
	m.available = min(m.free + m.buffers, m.total);
	m.swap_total = si.totalswap * unit;
	m.swap_free = si.freeswap * unit;
	return m;
}

/* What processes have in memory that is theirs; pages that several share count for each. */
static struct mm_resident all_resident(void)
{
	struct mm_resident sum = {};
	struct gathered g;

	gather_memories(&g);
	for (u32 i = 0; i < g.count; i++) {
		struct mm *mm = task_get_mm(g.at[i].task);

		if (mm) {
			struct mm_resident r = mm_resident(mm);

			sum.anonymous += r.anonymous;
			sum.file += r.file;
			sum.shmem += r.shmem;
			mm_put(mm);
		}
	}
	gathered_put(&g);
	return sum;
}

struct kernel_memory kernel_memory(void)
{
	struct kernel_memory m = host_memory();
	u64 limit = kernel_get()->memory, left, shared;
	struct mm_resident r;

	if (!limit)
		return m;
	r = all_resident();
	shared = min(host_memory_charged(), limit);
	left = limit - min(r.anonymous + shared, limit);
	left = min(left, m.available);
	return (struct kernel_memory){
		.total = limit, .free = left, .available = left, .shared = shared
	};
}
