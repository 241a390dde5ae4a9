#pragma once

/*
 * Attendance: whether the kernel's worker spins for a lane and the lane for the kernel, or both
 * sleep. An attended lane's round trip costs a tenth of a sleep, but occupies two CPUs; so a lane
 * is attended only while its events come faster than about the price of a sleep, and only where
 * CPUs are to spare.
 */

#include "platform/systrap/internal.h"

/* May t's owner spin for the lane now? */
bool attend_may_spin(const struct pf_thread *t);
/* The longest spin, of either side, in TSC cycles. woken: the lane slept and has to be scheduled
 * first. */
u64 attend_limit(bool woken);
/* A spin ended, with or without success. */
void attend_spun(struct pf_thread *t, bool success);
/* The guest made an event after running for guest_tsc cycles (as the lane says). */
void attend_event(struct pf_thread *t, u64 guest_tsc);
/* No longer: the thread is being parked or has failed too often. */
void attend_stop(struct pf_thread *t);
