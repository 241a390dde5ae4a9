/* See attend.h. */

#include "platform/systrap/attend.h"

#define SPIN_US 5 /* about the price of a sleep */
#define QUICK_US 6 /* a guest's run between events that pays for attendance */
#define PROMOTE_AFTER 4 /* so many quick events in a row */
#define DEMOTE_AFTER 2 /* so many failed spins in a row */

u64 attend_limit(const struct pf_thread *t)
{
	return SPIN_US * g_systrap.tsc_per_us;
}

bool attend_may_spin(struct pf_thread *t)
{
	return t->attended && t->cpu != current_cpu();
}

void attend_spun(struct pf_thread *t, bool guest, bool success)
{
	if (success) {
		t->failed_spins = 0;
		return;
	}
	if (++t->failed_spins >= DEMOTE_AFTER) {
		t->attended = false;
		t->failed_spins = 0;
		t->quick_events = 0;
	}
}

void attend_event(struct pf_thread *t, u64 guest_tsc)
{
	if (!g_systrap.many_cpus || t->attended)
		return;
	if (guest_tsc > QUICK_US * g_systrap.tsc_per_us) {
		t->quick_events = 0;
		return;
	}
	if (++t->quick_events >= PROMOTE_AFTER) {
		t->attended = true;
		t->failed_spins = 0;
	}
}
