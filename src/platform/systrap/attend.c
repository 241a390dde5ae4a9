/*
 * See attend.h. Two things have to be right for spinning to pay: events must come quickly, and the
 * lane must run on another CPU. An unattended lane and its worker hand one CPU to each other (the
 * listener's SYNC_WAKE_UP: a wake of an idle other CPU costs several times a switch). So a family
 * with an attended lane does without that flag: its lanes are then woken where the host finds a CPU
 * idle, which is another one while the worker spins.
 *
 * A lane that was promoted in vain (no CPU free, events too slow) needs twice as many quick events
 * for the next time.
 */

#include "platform/systrap/attend.h"

#define SPIN_US 5 /* about the price of a sleep */
#define WAKE_US 60 /* the same, and a wake of another CPU before it */
#define QUICK_US 6 /* a guest's run between events that pays for attendance */
#define PROMOTE_MIN 8 /* so many quick events in a row */
#define PROMOTE_MAX 4096
#define DEMOTE_AFTER 2 /* so many failed spins in a row */
#define SUCCESSES 64 /* so many good spins make a promotion a success */

u64 attend_limit(bool woken)
{
	return (woken ? WAKE_US : SPIN_US) * g_systrap.tsc_per_us;
}

bool attend_may_spin(const struct pf_thread *t)
{
	return t->attended && t->cpu != current_cpu();
}

void attend_start(struct pf_thread *t)
{
	struct family *f = t->space->family;
	bool first;

	if (t->attended || !g_systrap.many_cpus)
		return;
	systrap_lock();
	first = f->attended_count++ == 0;
	systrap_unlock();
	t->attended = true;
	t->failed_spins = 0;
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

void attend_spun(struct pf_thread *t, bool success)
{
	if (success) {
		t->failed_spins = 0;
		if (t->good_spins < SUCCESSES && ++t->good_spins == SUCCESSES)
			t->promote_need = PROMOTE_MIN;
		return;
	}
	if (++t->failed_spins < DEMOTE_AFTER)
		return;
	if (t->good_spins < SUCCESSES)
		t->promote_need = (u16)min(max(t->promote_need, PROMOTE_MIN) * 2, PROMOTE_MAX);
	attend_stop(t);
}

void attend_event(struct pf_thread *t, u64 guest_tsc)
{
	if (t->attended || !g_systrap.many_cpus)
		return;
	if (guest_tsc > QUICK_US * g_systrap.tsc_per_us)
		t->quick_events = 0;
	else if (++t->quick_events >= max(t->promote_need, PROMOTE_MIN))
		attend_start(t);
}
