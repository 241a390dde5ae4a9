/*
 * How long the scheduler's and the arena's primitives take; not a test. By hand:
 *
 *	make
 *	gcc -std=gnu2x -D_GNU_SOURCE -O2 -Isrc tests/unit/bench_sched.c \
 *		build/release/libdonjon.a -lpthread
 */

#include <stdatomic.h>
#include <stdio.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "base/bug.h"
#include "host/host.h"
#include "sched/fiber.h"
#include "sched/lock.h"
#include "sched/lock_order.h"
#include "sched/sched.h"
#include "sched/timer.h"
#include "sched/waitq.h"

struct thing {
	char data[200];
};

SLAB_CLASS(bench_thing, struct thing);

#define N 1'000'000

static s64 g_start;

static void begin(void)
{
	g_start = sched_now();
}

static void report(const char *what, long n)
{
	printf("%-40s %8.1f ns\n", what, (double)(sched_now() - g_start) / (double)n);
}

struct pair {
	struct fiber *a, *b;
	_Atomic int turn;
	_Atomic bool done;
};

static void partner(void *arg)
{
	struct pair *p = arg;

	for (int i = 0; i < N; i++) {
		while (p->turn != 1)
			fiber_park(NO_DEADLINE);
		p->turn = 0;
		fiber_unpark(p->a);
	}
	p->done = true;
}

static void bench_pair(const char *what, s64 deadline)
{
	struct pair p = { .a = fiber_current() };

	p.b = fiber_create(partner, &p);
	BUG_ON(!p.b);
	fiber_start(p.b);
	fiber_yield();
	begin();
	for (int i = 0; i < N; i++) {
		p.turn = 1;
		fiber_unpark(p.b);
		while (p.turn != 0)
			fiber_park(deadline);
	}
	report(what, N);
	while (!p.done)
		fiber_yield();
}

static void yielder(void *arg)
{
	for (int i = 0; i < N; i++)
		fiber_yield();
	*(_Atomic bool *)arg = true;
}

static void bench_yield(void)
{
	_Atomic bool done = false;
	struct fiber *f = fiber_create(yielder, &done);

	BUG_ON(!f);
	begin();
	fiber_start(f);
	while (!done)
		fiber_yield();
	report("yield between two fibers (one switch)", 2 * N);
}

static void nothing(void *arg)
{
}

static long pool_nothing(void *arg)
{
	return 0;
}

static void bench_all(void *arg)
{
	struct spin s;
	struct mutex m;
	void *p[64];

	bench_pair("unpark + park, round trip", NO_DEADLINE);
	bench_pair("unpark + park with deadline, round trip", sched_now() + 3'600'000'000'000LL);
	bench_yield();
	spin_init(&s);
	begin();
	for (int i = 0; i < N; i++) {
		spin_lock(&s, &lc_task);
		spin_unlock(&s, &lc_task);
	}
	report("spin lock + unlock", N);
	mutex_init(&m);
	begin();
	for (int i = 0; i < N; i++) {
		mutex_lock(&m, &lc_mm);
		mutex_unlock(&m, &lc_mm);
	}
	report("mutex lock + unlock", N);
	begin();
	for (int i = 0; i < N / 10; i++) {
		struct fiber *f = fiber_create(nothing, NULL);

		BUG_ON(!f);
		fiber_start(f);
		fiber_yield();
	}
	report("fiber create, run, end", N / 10);
	begin();
	for (int i = 0; i < N / 100; i++)
		pool_call(pool_nothing, NULL);
	report("pool call", N / 100);
	begin();
	for (int i = 0; i < N / 64; i++) {
		for (int k = 0; k < 64; k++)
			p[k] = slab_alloc(&slab_bench_thing);
		for (int k = 0; k < 64; k++)
			slab_free(&slab_bench_thing, p[k]);
	}
	report("slab alloc + free of 200 bytes", N);
	begin();
	for (int i = 0; i < N; i++)
		(void)!sched_should_yield();
	report("sched_should_yield", N);
	begin();
	for (int i = 0; i < N; i++)
		(void)!sched_now();
	report("sched_now", N);
}

int main(void)
{
	BUG_ON(arena_create());
	printf("one worker\n");
	BUG_ON(sched_run_fiber(1, bench_all, NULL));
	printf("two workers\n");
	BUG_ON(sched_run_fiber(2, bench_all, NULL));
	return 0;
}
