/* Futexes: counting wakes, requeues against waiters that are just coming, keys. */

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "ipc/futex.h"
#include "ipc/futex_pi.h"
#include "ipc/root.h"
#include "sched/timer.h"
#include "unit/mm_fixture.h"

/* Of locks with priority inheritance only this is tested here: who looks for an owner while the
 * word names another one each time lets others run. */
static struct {
	struct futex_pi_task self;
	u32 *word;
	unsigned int changes;
	bool steady;
} g_pi;

static struct futex_pi_task *pi_self(struct subject *s)
{
	return &g_pi.self;
}

static u32 pi_tid(struct subject *s)
{
	return 1;
}

static u32 pi_priority(struct subject *s)
{
	return 0;
}

static struct futex_pi_task *pi_find(struct subject *s, u32 tid)
{
	if (!g_pi.steady && g_pi.changes < 1'000'000) {
		g_pi.changes++;
		++*g_pi.word;
	}
	return NULL;
}

DEFINE_OPS(struct futex_pi_hooks, futex_pi_task_hooks) = {
	.self = pi_self,
	.tid = pi_tid,
	.priority = pi_priority,
	.find = pi_find,
};

#define CHECK(x) \
	do { \
		if (!(x)) { \
			print_error("%s:%d: %s\n", __FILE__, __LINE__, #x); \
			abort(); \
		} \
	} while (0)

static struct futex_ref word_at(u64 addr)
{
	return (struct futex_ref){ .addr = UADDR(addr), .private_ = true };
}

static u32 *value_at(u64 addr)
{
	return fake_at(addr);
}

static int wait_until(struct subject *s, struct futex_ref word, u32 val, u32 bitset, s64 deadline)
{
	struct clock_deadline until;
	int ret;

	clock_deadline_begin(&until, CLOCK_MONOTONIC, deadline);
	ret = futex_wait(s, word, val, bitset, &until);
	clock_deadline_end(&until);
	return ret;
}

/* ---- one at a time ---- */

struct sleeper {
	struct subject s;
	u64 word;
	u32 bitset;
	int ret;
	_Atomic int *done;
};

static void sleeper_fiber(void *arg)
{
	struct sleeper *w = arg;

	w->s = g_subject;
	w->s.fiber = fiber_current();
	w->ret = wait_until(&w->s, word_at(w->word), *value_at(w->word), w->bitset, NO_DEADLINE);
	(*w->done)++;
}

static void sleepers_start(struct sleeper *w, int count, u64 word, _Atomic int *done)
{
	for (int i = 0; i < count; i++) {
		w[i] = (struct sleeper){ .word = word, .bitset = 1U << i, .done = done };
		fiber_start(fiber_create(sleeper_fiber, &w[i]));
	}
	/* One worker: after this they all sleep. */
	for (int i = 0; i < 10; i++)
		fiber_yield();
}

static void await(_Atomic int *done, int count)
{
	while (*done < count)
		fiber_yield();
}

static void locker_fiber(void *arg)
{
	struct sleeper *w = arg;
	struct clock_deadline until;

	w->s = g_subject;
	w->s.fiber = fiber_current();
	clock_deadline_begin(&until, CLOCK_REALTIME, NO_DEADLINE);
	w->ret = futex_lock_pi(&w->s, word_at(w->word), false, &until);
	clock_deadline_end(&until);
	(*w->done)++;
}

static void body_changing(void)
{
	u64 a = map_rw(0, PG);
	_Atomic int done = 0;
	struct sleeper w = { .word = a, .done = &done };

	g_pi.word = value_at(a);
	*g_pi.word = 100;
	fiber_start(fiber_create(locker_fiber, &w));
	for (int i = 0; i < 10; i++)
		fiber_yield();
	g_pi.steady = true;
	await(&done, 1);
	assert_int_equal(w.ret, -ESRCH);
	assert_in_range(g_pi.changes, 1, 999'999);
}

static void body_counts(void)
{
	struct subject *s = &g_subject;
	u64 a = map_rw(0, PG), b = a + 64;
	_Atomic int done = 0;
	struct sleeper w[6];
	u32 cmp = 0;

	assert_int_equal(wait_until(s, word_at(a), 1, FUTEX_ALL, NO_DEADLINE), -EAGAIN);
	assert_int_equal(wait_until(s, word_at(a), 0, 0, NO_DEADLINE), -EINVAL);
	assert_int_equal(wait_until(s, word_at(a + 1), 0, FUTEX_ALL, NO_DEADLINE), -EINVAL);
	assert_int_equal(wait_until(s, word_at(a), 0, FUTEX_ALL, sched_now() + 1000), -ETIMEDOUT);
	assert_int_equal(futex_wake(s, word_at(a), 9, FUTEX_ALL), 0);

	sleepers_start(w, 6, a, &done);
	assert_int_equal(futex_wake(s, word_at(a), 9, 1U << 7), 0);
	assert_int_equal(futex_wake(s, word_at(a), 9, 1U << 3), 1);
	assert_int_equal(futex_wake(s, word_at(b), 9, FUTEX_ALL), 0);
	await(&done, 1);
	assert_int_equal(w[3].ret, 0);
	cmp = 5;
	assert_int_equal(futex_requeue(s, word_at(a), word_at(b), 1, 2, &cmp), -EAGAIN);
	cmp = 0;
	assert_int_equal(futex_requeue(s, word_at(a), word_at(b), 1, 2, &cmp), 3);
	await(&done, 2);
	assert_int_equal(futex_requeue(s, word_at(a), word_at(a), 0, 100, &cmp), 2);
	assert_int_equal(futex_wake(s, word_at(b), 9, FUTEX_ALL), 2);
	*value_at(b) = 5;
	/* Old value 5 > 4: both words' waiters are woken. */
	assert_int_equal(futex_wake_op(s, word_at(a), word_at(b), 1, 1,
				       FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_GT, 4)),
			 1);
	assert_int_equal(*value_at(b), 6);
	assert_int_equal(futex_wake(s, word_at(a), 9, FUTEX_ALL), 1);
	await(&done, 6);
}

/* ---- many at once ---- */

/*
 * Waiters wait on word a for as long as it has the value they read; one fiber changes it, wakes one
 * and moves the others to b, and wakes all of b: as a condition variable is used. Nobody may sleep
 * for ever, and nobody may be moved that has not seen the last value.
 */
enum { STORM_WAITERS = 6, STORM_ROUNDS = 3000 };

struct storm {
	u64 a, b;
	_Atomic bool stop;
	_Atomic int left, failed;
};

static void storm_waiter(void *arg)
{
	struct storm *st = arg;
	struct subject s = g_subject;

	s.fiber = fiber_current();
	while (!st->stop) {
		u32 seen = __atomic_load_n(value_at(st->a), __ATOMIC_SEQ_CST);
		int ret;

		if (st->stop)
			break;
		ret = wait_until(&s, word_at(st->a), seen, FUTEX_ALL, NO_DEADLINE);
		if (ret && ret != -EAGAIN)
			st->failed++;
	}
	st->left--;
}

static void storm_round(struct storm *st, struct subject *s)
{
	u32 now = __atomic_add_fetch(value_at(st->a), 1, __ATOMIC_SEQ_CST);
	int ret = futex_requeue(s, word_at(st->a), word_at(st->b), 1, 100, &now);

	CHECK(ret >= 0 && ret <= STORM_WAITERS);
	ret = futex_wake(s, word_at(st->b), 100, FUTEX_ALL);
	CHECK(ret >= 0 && ret <= STORM_WAITERS);
}

static void body_storm(void)
{
	struct storm st = { .left = STORM_WAITERS };
	struct subject s = g_subject;
	s64 limit = sched_now() + 20'000'000'000;

	s.fiber = fiber_current();
	st.a = map_rw(0, PG);
	st.b = st.a + 128;
	for (int i = 0; i < STORM_WAITERS; i++)
		fiber_start(fiber_create(storm_waiter, &st));
	for (int i = 0; i < STORM_ROUNDS; i++) {
		storm_round(&st, &s);
		if (i % 7 == 0)
			fiber_yield();
	}
	st.stop = true;
	/* After the stop one round is enough for all that sleep by then, and no sleep begins later
	 * that the next one would not end. */
	while (st.left) {
		CHECK(sched_now() < limit);
		storm_round(&st, &s);
		fiber_yield();
	}
	CHECK(!st.failed);
}

/* ---- robust lists ---- */

static void body_robust(void)
{
	u64 at = map_rw(0, PG), offset = 16;
	u64 *head = fake_at(at), *first = fake_at(at + 64), *second = fake_at(at + 128);

	head[0] = at + 64;
	head[1] = offset;
	head[2] = 0;
	first[0] = at + 128;
	second[0] = at;
	*value_at(at + 64 + offset) = 77 | FUTEX_WAITERS;
	*value_at(at + 128 + offset) = 78;
	futex_exit_robust(&g_subject, UADDR(at), 77);
	assert_int_equal(*value_at(at + 64 + offset), FUTEX_WAITERS | FUTEX_OWNER_DIED);
	assert_int_equal(*value_at(at + 128 + offset), 78);
	/* A list without end. */
	second[0] = at + 64;
	futex_exit_robust(&g_subject, UADDR(at), 78);
	assert_int_equal(*value_at(at + 128 + offset), FUTEX_OWNER_DIED);
	/* Pointers to nowhere. */
	head[0] = 8;
	head[2] = ~7UL;
	futex_exit_robust(&g_subject, UADDR(at), 77);
	head[1] = ~0UL;
	head[0] = at + 64;
	futex_exit_robust(&g_subject, UADDR(at), 77);
}

struct run {
	void (*body)(void);
};

static void run_fiber(void *arg)
{
	const struct run *r = arg;

	fixture_begin(0);
	r->body();
	fixture_end();
}

#define TEST(name, workers) \
	static void test_##name(void **state) \
	{ \
		struct run r = { body_##name }; \
		(void)state; \
		assert_int_equal(sched_run_fiber(workers, run_fiber, &r), 0); \
	}

TEST(counts, 1)
TEST(changing, 1)
TEST(robust, 1)
TEST(storm, 2)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_changing),
		cmocka_unit_test(test_robust),
		cmocka_unit_test(test_storm),
	};

	if (arena_create() || ipc_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
