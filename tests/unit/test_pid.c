/* Pid allocation: cyclic, hierarchical, bounded. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "kernel/pid.h"

static void drop(struct pid *p)
{
	tasks_lock();
	pid_release_unused(p);
	tasks_unlock();
	pid_put(p);
}

static struct pid *find(struct pid_ns *ns, u32 nr)
{
	struct pid *p;

	tasks_lock();
	p = pid_find(ns, nr);
	tasks_unlock();
	return p;
}

static void test_cyclic(void **state)
{
	u64 before = slab_count_all();
	struct pid_ns *ns;
	struct pid *p, *first;

	assert_int_equal(pid_ns_create(NULL, &ns), 0);
	assert_int_equal(pid_alloc(ns, NULL, 0, &first), 0);
	assert_int_equal(pid_nr(first, ns), 1);
	/* Numbers are not reused at once, and after the last one go on at 300. */
	for (u32 want = 2; want < PID_MAX; want++) {
		assert_int_equal(pid_alloc(ns, NULL, 0, &p), 0);
		assert_int_equal(pid_nr(p, ns), want);
		assert_ptr_equal(find(ns, want), p);
		drop(p);
		assert_null(find(ns, want));
	}
	assert_int_equal(pid_alloc(ns, NULL, 0, &p), 0);
	assert_int_equal(pid_nr(p, ns), 300);
	assert_null(find(ns, PID_MAX + 5));
	assert_ptr_equal(find(ns, 1), first);
	drop(p);
	drop(first);
	pid_ns_put(ns);
	assert_int_equal(slab_count_all(), before);
}

static void test_exhaustion(void **state)
{
	static struct pid *all[PID_MAX];
	struct pid_ns *ns;
	u32 n = 0;
	int err;

	assert_int_equal(pid_ns_create(NULL, &ns), 0);
	while (!(err = pid_alloc(ns, NULL, 0, &all[n])))
		n++;
	assert_int_equal(err, -EAGAIN);
	assert_int_equal(n, PID_MAX - 1);
	drop(all[500]);
	assert_int_equal(pid_alloc(ns, NULL, 0, &all[500]), 0);
	assert_int_equal(pid_nr(all[500], ns), 501);
	while (n)
		drop(all[--n]);
	pid_ns_put(ns);
}

static void test_levels(void **state)
{
	u64 before = slab_count_all();
	struct pid_ns *ns[4];
	struct pid *p, *q, *r;
	const u32 want[] = { 7, 9 };

	assert_int_equal(pid_ns_create(NULL, &ns[0]), 0);
	for (int i = 1; i < 4; i++)
		assert_int_equal(pid_ns_create(ns[i - 1], &ns[i]), 0);
	assert_int_equal(pid_alloc(ns[0], NULL, 0, &q), 0);
	assert_int_equal(pid_alloc(ns[3], NULL, 0, &p), 0);
	assert_int_equal(pid_nr(p, ns[0]), 2);
	assert_int_equal(pid_nr(p, ns[1]), 1);
	assert_int_equal(pid_nr(p, ns[3]), 1);
	assert_int_equal(pid_nr(q, ns[1]), 0);
	assert_int_equal(pid_alloc(ns[3], want, 2, &r), 0);
	assert_int_equal(pid_nr(r, ns[3]), 7);
	assert_int_equal(pid_nr(r, ns[2]), 9);
	assert_int_equal(pid_nr(r, ns[1]), 2);
	/* A failure leaves nothing behind in the levels that were done. */
	drop(p);
	assert_int_equal(pid_alloc(ns[3], (const u32[]){ 8, 9 }, 2, &p), -EEXIST);
	assert_null(find(ns[3], 8));
	ns[1]->dying = true;
	assert_int_equal(pid_alloc(ns[3], NULL, 0, &p), -ENOMEM);
	assert_null(find(ns[3], 2));
	drop(q);
	drop(r);
	for (int i = 0; i < 4; i++)
		pid_ns_put(ns[i]);
	assert_int_equal(slab_count_all(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cyclic),
		cmocka_unit_test(test_exhaustion),
		cmocka_unit_test(test_levels),
	};
	const struct kernel_args args = {};

	if (arena_create() || kernel_create(&args))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
