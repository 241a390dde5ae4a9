/* Guest clocks and time conversions. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sched/fiber.h"
#include "time/clock.h"

#define SEC 1'000'000'000L

static void test_valid(void **state)
{
	(void)state;
	assert_true(guest_clock_valid(CLOCK_REALTIME));
	assert_true(guest_clock_valid(CLOCK_TAI));
	assert_true(guest_clock_valid(CLOCK_BOOTTIME_ALARM));
	assert_false(guest_clock_valid(CLOCK_PROCESS_CPUTIME_ID));
	assert_false(guest_clock_valid(CLOCK_THREAD_CPUTIME_ID));
	assert_false(guest_clock_valid(10));
	assert_false(guest_clock_valid(-1));
	assert_false(guest_clock_valid(12));
}

static void test_now(void **state)
{
	static const int ids[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW,
				   CLOCK_BOOTTIME, CLOCK_TAI };
	struct timespec ts;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		s64 before, now, after;

		clock_gettime(ids[i], &ts);
		before = ts.tv_sec * SEC + ts.tv_nsec;
		now = guest_clock_now(ids[i]);
		clock_gettime(ids[i], &ts);
		after = ts.tv_sec * SEC + ts.tv_nsec;
		assert_true(before <= now && now <= after);
		guest_clock_res(ids[i], &ts);
		assert_true(ts.tv_sec == 0 && ts.tv_nsec > 0);
	}
}

static void test_to_host(void **state)
{
	s64 now = guest_clock_now(CLOCK_REALTIME),
	    at = guest_clock_to_host(CLOCK_REALTIME, now + SEC);
	s64 host = guest_clock_now(CLOCK_MONOTONIC);

	(void)state;
	assert_true(at > host && at <= host + SEC);
	assert_int_equal(guest_clock_to_host(CLOCK_MONOTONIC, 17), 17);
	/* Far away is far away, on either side. */
	assert_int_equal(guest_clock_to_host(CLOCK_BOOTTIME, NO_DEADLINE - 1), NO_DEADLINE - 1);
	assert_int_equal(guest_clock_to_host(CLOCK_REALTIME, NO_DEADLINE), NO_DEADLINE - 1);
	assert_true(guest_clock_to_host(CLOCK_REALTIME, INT64_MIN) <= 0);
	assert_true(guest_clock_to_host(CLOCK_REALTIME, 0) < host);
}

static void test_convert(void **state)
{
	struct timespec ts = { .tv_sec = 1, .tv_nsec = 5 };
	s64 ns;

	(void)state;
	assert_true(timespec_to_ns(&ts, &ns));
	assert_int_equal(ns, SEC + 5);
	ts = (struct timespec){ .tv_sec = INT64_MAX, .tv_nsec = 999'999'999 };
	assert_true(timespec_to_ns(&ts, &ns));
	assert_int_equal(ns, NO_DEADLINE - 1);
	ts = (struct timespec){ .tv_sec = INT64_MAX / SEC, .tv_nsec = 999'999'999 };
	assert_true(timespec_to_ns(&ts, &ns));
	assert_int_equal(ns, NO_DEADLINE - 1);
	ts = (struct timespec){ .tv_sec = -1 };
	assert_false(timespec_to_ns(&ts, &ns));
	ts = (struct timespec){ .tv_nsec = SEC };
	assert_false(timespec_to_ns(&ts, &ns));
	ts = (struct timespec){ .tv_nsec = -1 };
	assert_false(timespec_to_ns(&ts, &ns));
	ts = ns_to_timespec(-1);
	assert_int_equal(ts.tv_sec, -1);
	assert_int_equal(ts.tv_nsec, 999'999'999);
	ts = ns_to_timespec(3 * SEC + 7);
	assert_true(ts.tv_sec == 3 && ts.tv_nsec == 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_now),
		cmocka_unit_test(test_to_host),
		cmocka_unit_test(test_convert),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
