#pragma once

/* Guest clocks that are not per task: realtime, monotonic (raw, coarse), boottime, tai. All in ns.
 */

#include <time.h>

#include "base/types.h"

/* True for a clock id that guest_clock_now knows. */
bool guest_clock_valid(int id);
s64 guest_clock_now(int id);
void guest_clock_res(int id, struct timespec *ret);
/*
 * The host CLOCK_MONOTONIC instant at which guest clock id shows ns, as of now; saturates. (A step
 * of the realtime clock meanwhile is not followed.)
 */
s64 guest_clock_to_host(int id, s64 ns);

/* A guest's timespec/timeval to ns: false if not normalised or negative (-EINVAL); saturates at
 * NO_DEADLINE - 1. */
bool timespec_to_ns(const struct timespec *ts, s64 *ret);
struct timespec ns_to_timespec(s64 ns);
