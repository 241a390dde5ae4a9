/*
 * Guest clocks: the host's, read through its vdso. A guest's offsets (a time namespace, a restore)
 * will be added here and in the vDSO's data page.
 */

#include "time/clock.h"

#include "host/host.h"
#include "sched/fiber.h"

#define NS_PER_SEC 1'000'000'000

/* The host's clock that shows a guest clock; -1 for an unknown one. The alarm clocks differ in
 * timers only. */
static clockid_t host_clock_of(int id)
{
	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
		return id;
	case CLOCK_REALTIME_ALARM:
		return CLOCK_REALTIME;
	case CLOCK_BOOTTIME_ALARM:
		return CLOCK_BOOTTIME;
	default:
		return -1;
	}
}

bool guest_clock_valid(int id)
{
	return host_clock_of(id) >= 0;
}

s64 guest_clock_now(int id)
{
	return host_clock(host_clock_of(id));
}

void guest_clock_res(int id, struct timespec *ret)
{
	if (host_clock_getres(host_clock_of(id), ret) < 0)
		*ret = (struct timespec){ .tv_nsec = 1 };
}

s64 guest_clock_to_host(int id, s64 ns)
{
	s64 left, at;

	if (ns >= NO_DEADLINE - 1)
		return NO_DEADLINE - 1;
	if (id == CLOCK_MONOTONIC)
		return ns;
	if (__builtin_sub_overflow(ns, guest_clock_now(id), &left))
		return 0; /* only a time before the epoch can be that far */
	if (__builtin_add_overflow(host_clock(CLOCK_MONOTONIC), left, &at))
		return left < 0 ? 0 : NO_DEADLINE - 1;
	return at;
}

bool timespec_to_ns(const struct timespec *ts, s64 *ret)
{
	s64 ns;

	if (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec >= NS_PER_SEC)
		return false;
	if (__builtin_mul_overflow((s64)ts->tv_sec, (s64)NS_PER_SEC, &ns) ||
	    __builtin_add_overflow(ns, (s64)ts->tv_nsec, &ns) || ns > NO_DEADLINE - 1)
		ns = NO_DEADLINE - 1;
	*ret = ns;
	return true;
}

struct timespec ns_to_timespec(s64 ns)
{
	s64 sec = ns / NS_PER_SEC, rest = ns % NS_PER_SEC;

	if (rest < 0) {
		sec--;
		rest += NS_PER_SEC;
	}
	return (struct timespec){ .tv_sec = sec, .tv_nsec = rest };
}
