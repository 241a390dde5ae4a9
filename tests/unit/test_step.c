/* Steps of the clocks: who is told, and deadlines. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arena/arena.h"
#include "base/ops.h"
#include "sched/fiber.h"
#include "sched/sched.h"
#include "sched/timer.h"
#include "time/clock.h"
#include "time/step.h"

struct counter {
	struct clock_watch watch;
	int count;
};

static void count_step(struct clock_watch *w)
{
	container_of(w, struct counter, watch)->count++;
}

DEFINE_OPS(struct clock_watch_ops, counter_ops) = { .stepped = count_step };

static void check_steps(void *arg)
{
	struct counter a = {}, b = {};
	struct clock_deadline d;
	s64 at = guest_clock_now(CLOCK_REALTIME) + 3'600'000'000'000;

	assert_int_equal(clock_steps_init(), 0);
	clock_watch_add(&a.watch, OPS(counter_ops));
	clock_watch_add(&b.watch, OPS(counter_ops));
	assert_int_equal(a.count, 1);
	clock_stepped();
	assert_int_equal(a.count, 2);
	assert_int_equal(b.count, 2);
	clock_watch_remove(&b.watch);
	clock_watch_remove(&b.watch);
	clock_stepped();
	assert_int_equal(a.count, 3);
	assert_int_equal(b.count, 2);
	clock_watch_remove(&a.watch);

	clock_deadline_begin(&d, CLOCK_REALTIME, at);
	assert_true(clock_deadline_host(&d) > sched_now());
	/* As if the clock had been set on to that instant. */
	d.at = guest_clock_now(CLOCK_REALTIME);
	clock_stepped();
	assert_int_equal(fiber_park(NO_DEADLINE), 0);
	assert_true(clock_deadline_host(&d) <= sched_now());
	clock_deadline_end(&d);
	clock_deadline_begin(&d, CLOCK_MONOTONIC, 17);
	assert_int_equal(clock_deadline_host(&d), 17);
	clock_stepped();
	clock_deadline_end(&d);
}

static void test_steps(void **state)
{
	(void)state;
	assert_int_equal(arena_create(), 0);
	assert_int_equal(sched_run_fiber(1, check_steps, NULL), 0);
	arena_destroy();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_steps) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
