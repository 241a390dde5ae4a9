/*
 * See attend.h. Three things have to be right for spinning to pay: events must come quickly, a CPU
 * must be idle, and the lane must run on another one than the worker. An unattended lane and its
 * worker hand one CPU to each other (the listener's SYNC_WAKE_UP: a wake of an idle other CPU costs
 * several times a switch). So a family with an attended lane does without that flag, and who
 * attends moves to another CPU first: the host alone would often go on to wake the lane where the
 * worker spins.
 *
 * Each good spin earns a lane a credit, each failed one costs many, and without credit it is
 * demoted. A lane that was promoted in vain (no CPU free, events too slow) needs twice as many
 * quick events for the next time.
 */

#include "platform/systrap/attend.h"

#include <stdio.h>
#include <string.h>

#include "host/host.h"

#define SPIN_US 30 /* about the price of a sleep and of a wake of another CPU after it */
#define WAKE_US 60 /* a sleep, and a wake of another CPU before it */
#define QUICK_US 20 /* a guest's run between events, and an answer, that pay for attendance */
#define PROMOTE_MIN 8 /* so many quick events; each slow one takes SLOW back */
#define PROMOTE_MAX 4096
#define SLOW 2
/* In what a good spin saves, some 7 µs. */
#define CREDIT_START 24
#define CREDIT_MAX 64
#define PRICE_FAILED 6
#define PRICE_LATE 3 /* the lane had gone to sleep before our answer came */
#define SUCCESSES 64 /* so many good spins make a promotion a success */

u64 attend_limit(bool woken)
{
	return (woken ? WAKE_US : SPIN_US) * g_systrap.tsc_per_us;
}

bool attend_may_spin(const struct pf_thread *t)
{
	return t->attended && t->cpu != current_cpu();
}

/* Are fewer threads runnable on the host than it has CPUs, ourselves included? */
static bool cpu_idle(void)
{
	unsigned int running;
	char buf[64];
	ssize_t n;

	if (g_systrap.load_fd < 0)
		return true;
	n = host_pread(g_systrap.load_fd, buf, sizeof(buf) - 1, 0);
	buf[max(n, (ssize_t)0)] = '\0';
	/* "0.20 0.18 0.12 1/80 11206": runnable of all */
	return sscanf(buf, "%*s %*s %*s %u", &running) != 1 || running < g_systrap.online_cpus;
}

/* Have this worker run on another CPU, if it may. */
static void move_away(void)
{
	u64 all[CPU_WORDS] = {}, others[CPU_WORDS];
	int cpu = current_cpu(), n = host_sched_getaffinity(0, sizeof(all), all);

	if (n <= 0 || cpu < 0 || cpu >= 8 * n)
		return;
	memcpy(others, all, sizeof(all));
	others[cpu / 64] &= ~(1UL << cpu % 64);
	if (host_sched_setaffinity(0, (size_t)n, others) >= 0)
		(void)!host_sched_setaffinity(0, (size_t)n, all);
}

static void attend_start(struct pf_thread *t)
{
	struct family *f = t->space->family;
	bool first;

	systrap_lock();
	first = f->attended_count++ == 0;
	systrap_unlock();
	t->attended = true;
	t->credit = CREDIT_START;
	t->good_spins = 0;
	t->cpu = -1; /* to be seen */
	if (first)
		family_set_sync(f, false);
}

void attend_stop(struct pf_thread *t)
{
	struct family *f = t->space->family;
	bool last;

	if (!t->attended)
		return;
	systrap_lock();
	last = --f->attended_count == 0;
	systrap_unlock();
	t->attended = false;
	t->quick_events = 0;
	if (last)
		family_set_sync(f, true);
}

static void in_vain(struct pf_thread *t)
{
	t->promote_need = (u16)min(max(t->promote_need, PROMOTE_MIN) * 2, PROMOTE_MAX);
	t->quick_events = 0;
}

void attend_spun(struct pf_thread *t, bool success)
{
	int price = success ? -1 : PRICE_FAILED;

	if (success && t->woken)
		price = PRICE_LATE;
	t->credit = min(t->credit - price, CREDIT_MAX);
	if (success && t->good_spins < SUCCESSES && ++t->good_spins == SUCCESSES)
		t->promote_need = PROMOTE_MIN;
	if (t->credit <= 0) {
		if (t->good_spins < SUCCESSES)
			in_vain(t);
		attend_stop(t);
	}
}

void attend_event(struct pf_thread *t, u64 guest_tsc)
{
	u64 quick = QUICK_US * g_systrap.tsc_per_us;

	t->event_tsc = rdtsc();
	if (t->attended || !g_systrap.many_cpus)
		return;
	if (guest_tsc > quick || t->answer_tsc > quick) {
		t->quick_events -= min(t->quick_events, SLOW);
		return;
	}
	if (++t->quick_events < max(t->promote_need, PROMOTE_MIN))
		return;
	if (!cpu_idle()) {
		in_vain(t);
		return;
	}
	if (t->cpu == current_cpu())
		move_away();
	attend_start(t);
}
