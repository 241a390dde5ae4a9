/* The arena: slabs, untyped memory, the vault, and a dump that another process maps and walks. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "base/list.h"
#include "base/log.h"
#include "base/ops.h"
#include "base/rbtree.h"
#include "base/strbuf.h"
#include "host/host.h"

struct shape;

struct shape_ops {
	int (*area)(const struct shape *s);
};

struct shape {
	const struct shape_ops *ops;
	struct list link;
	int w, h;
	void *host_hint; /* transient */
	char *label;
};

struct big {
	char data[3000];
	u64 last;
};

struct world {
	struct list shapes;
	u64 count;
	char *name;
	u64 *numbers;
	struct big *big;
};

SLAB_CLASS(test_shape, struct shape, TRANSIENT(struct shape, host_hint));
SLAB_CLASS(test_world, struct world);
SLAB_CLASS(test_big, struct big);

static unsigned int check_arena(void)
{
	int fd = host_openat(AT_FDCWD, "/proc/self/maps", O_RDONLY, 0);
	unsigned int found = arena_check(fd);

	host_close(fd);
	return found;
}

static int square_area(const struct shape *s)
{
	return s->w * s->w;
}

static int rect_area(const struct shape *s)
{
	return s->w * s->h;
}

DECLARE_OPS(struct shape_ops, square_ops);
DECLARE_OPS(struct shape_ops, rect_ops);
DEFINE_OPS(struct shape_ops, square_ops) = { .area = square_area };
DEFINE_OPS(struct shape_ops, rect_ops) = { .area = rect_area };

static int setup(void **state)
{
	return arena_create();
}

static int teardown(void **state)
{
	arena_destroy();
	return 0;
}

static void test_slab_basics(void **state)
{
	struct shape *s[1000];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 1000; i++) {
			s[i] = slab_alloc(&slab_test_shape);
			assert_non_null(s[i]);
			assert_true(arena_contains(s[i]));
			assert_int_equal((u64)s[i] % 16, 0);
			for (size_t b = 0; b < sizeof(*s[i]); b++)
				assert_int_equal(((char *)s[i])[b], 0);
			memset(s[i], i, sizeof(*s[i]));
		}
		assert_int_equal(slab_count(&slab_test_shape), 1000);
		for (int i = 0; i < 1000; i += 2)
			slab_free(&slab_test_shape, s[i]);
		assert_int_equal(slab_count(&slab_test_shape), 500);
		for (int i = 1; i < 1000; i += 2) {
			assert_int_equal(((u8 *)s[i])[3], (u8)i);
			slab_free(&slab_test_shape, s[i]);
		}
		assert_int_equal(slab_count_all(), 0);
	}
	slab_free(&slab_test_shape, NULL);
	assert_true(arena_used() <= 3 * PAGE_SIZE);
}

static void sum_last(void *obj, void *arg)
{
	*(u64 *)arg += ((struct big *)obj)->last;
}

static void test_slab_for_each(void **state)
{
	struct big *b[100];
	u64 sum = 0;

	for (u64 i = 0; i < 100; i++) {
		b[i] = slab_alloc(&slab_test_big);
		b[i]->last = i;
	}
	for (int i = 0; i < 50; i++)
		slab_free(&slab_test_big, b[i]);
	slab_for_each(&slab_test_big, sum_last, &sum)
		;
	assert_int_equal(sum, (50 + 99) * 25);
	for (int i = 50; i < 100; i++)
		slab_free(&slab_test_big, b[i]);
	assert_int_equal(slab_count_all(), 0);
}

static bool all_zero(const char *p, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (p[i])
			return false;
	}
	return true;
}

static void test_untyped_random(void **state)
{
	enum { N = 300 };
	char *p[N] = {};
	size_t size[N] = {};
	unsigned int seed = 1;

	for (int step = 0; step < 20000; step++) {
		int i = rand_r(&seed) % N;

		if (p[i]) {
			assert_int_equal(p[i][0], (char)i);
			assert_int_equal(p[i][size[i] - 1], (char)i);
		}
		if (p[i] && rand_r(&seed) % 3 == 0) {
			size_t want = size[i] * (1 + (size_t)rand_r(&seed) % 4) / 2 + 1;
			char *q = arena_realloc(p[i], size[i], want);

			assert_non_null(q);
			if (want > size[i])
				assert_true(all_zero(q + size[i], want - size[i]));
			p[i] = q;
			size[i] = want;
		} else if (p[i]) {
			arena_free(p[i]);
			p[i] = NULL;
			continue;
		} else {
			size[i] = 1 + (size_t)rand_r(&seed) % (1u << (rand_r(&seed) % 16));
			p[i] = arena_alloc(size[i]);
			assert_non_null(p[i]);
			assert_int_equal((u64)p[i] % 16, 0);
			assert_true(all_zero(p[i], size[i]));
		}
		if (size[i] > 200000) {
			arena_free(p[i]);
			p[i] = NULL;
			continue;
		}
		p[i][0] = p[i][size[i] - 1] = (char)i;
	}
	for (int i = 0; i < N; i++)
		arena_free(p[i]);
	assert_int_equal(slab_count_all(), 0);
	/* One empty slab a class may stay. */
	assert_true(arena_used() < 64 * PAGE_SIZE);
}

static void test_large_is_lazy(void **state)
{
	u64 before = arena_used();
	char *p = arena_alloc(1UL << 30);

	assert_non_null(p);
	p[1UL << 29] = 1;
	assert_int_equal(arena_used(), before + (1UL << 30));
	arena_free(p);
	assert_int_equal(arena_used(), before);
	assert_null(arena_alloc(1UL << 40));
	p = arena_alloc(1UL << 30);
	assert_int_equal(p[1UL << 29], 0);
	arena_free(p);
}

static int g_fail_after;

static bool fail_hook(size_t size)
{
	return g_fail_after-- == 0;
}

static void test_fault_hook(void **state)
{
	void *p, *q;

	arena_set_fault_hook(fail_hook);
	g_fail_after = 1;
	p = arena_alloc(10);
	q = slab_alloc(&slab_test_big);
	arena_set_fault_hook(NULL);
	assert_non_null(p);
	assert_null(q);
	arena_free(p);
}

static void test_ops(void **state)
{
	struct shape *s = slab_alloc(&slab_test_shape);

	s->ops = OPS(square_ops);
	s->w = 7;
	assert_int_equal(s->ops->area(s), 49);
	assert_ptr_not_equal(OPS(square_ops), OPS(rect_ops));
	assert_ptr_not_equal(OPS(square_ops), &square_ops);
	/* The original is poisoned. */
	assert_int_equal(*(volatile const u8 *)&square_ops, 0xdb);
	slab_free(&slab_test_shape, s);
}

static void test_check(void **state)
{
	struct shape *s = slab_alloc(&slab_test_shape), *t = slab_alloc(&slab_test_shape);
	char *heap = strdup("heap");

	s->ops = OPS(square_ops);
	s->label = (char *)t;
	s->host_hint = heap; /* declared transient */
	assert_int_equal(check_arena(), 0);
	s->label = heap;
	assert_int_equal(check_arena(), 1);
	s->label = NULL;
	t->ops = &rect_ops;
	assert_int_equal(check_arena(), 1);
	slab_free(&slab_test_shape, s);
	slab_free(&slab_test_shape, t);
	free(heap);
}

/* Expect a child that does fn to die of SIGABRT. */
static void expect_panic(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		close(1);
		close(2);
		signal(SIGABRT, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
		fn();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

static void do_double_free(void)
{
	void *p = slab_alloc(&slab_test_shape);

	slab_free(&slab_test_shape, slab_alloc(&slab_test_shape));
	slab_free(&slab_test_shape, p);
	slab_free(&slab_test_shape, p);
}

static void do_wrong_class(void)
{
	slab_free(&slab_test_world, slab_alloc(&slab_test_shape));
}

static void do_inner_pointer(void)
{
	arena_free((char *)arena_alloc(100) + 16);
}

static void do_write_after_free(void)
{
	struct shape *s = slab_alloc(&slab_test_shape);

	slab_free(&slab_test_shape, s);
	*(volatile u64 *)s = 1;
	(void)!slab_alloc(&slab_test_shape);
}

static void do_write_vault(void)
{
	*(volatile char *)OPS(square_ops) = 1;
}

static void test_panics(void **state)
{
	expect_panic(do_double_free);
	expect_panic(do_wrong_class);
	expect_panic(do_inner_pointer);
	expect_panic(do_write_after_free);
	expect_panic(do_write_vault);
}

/* ---- dump, and walk in another process ---- */

static struct world *world_make(void)
{
	struct world *w = slab_alloc(&slab_test_world);
	void *junk[200];

	list_init(&w->shapes);
	w->name = arena_strdup("flatland");
	w->numbers = arena_alloc(100000 * sizeof(u64));
	for (u64 i = 0; i < 100000; i++)
		w->numbers[i] = i * i;
	for (int i = 0; i < 200; i++)
		junk[i] = arena_alloc(5000);
	for (int i = 0; i < 5000; i++) {
		struct shape *s = slab_alloc(&slab_test_shape);

		s->ops = i % 2 ? OPS(rect_ops) : OPS(square_ops);
		s->w = i;
		s->h = 2;
		s->host_hint = &junk;
		list_add_tail(&w->shapes, &s->link);
		w->count++;
	}
	w->big = slab_alloc(&slab_test_big);
	w->big->last = 42;
	for (int i = 0; i < 200; i++)
		arena_free(junk[i]);
	slab_free(&slab_test_big, slab_alloc(&slab_test_big));
	return w;
}

/* In the new process; returns 0 if all is right. */
static int world_check(int fd)
{
	struct world *w;
	struct shape *s, *n;
	s64 i = 0;

	if (arena_map(fd))
		return 1;
	w = arena_root();
	if (!arena_contains(w) || strcmp(w->name, "flatland") != 0 || w->big->last != 42)
		return 2;
	list_for_each(s, &w->shapes, link) {
		if (s->ops->area(s) != (i % 2 ? i * 2 : i * i) || s->host_hint)
			return 3;
		i++;
	}
	if (i != 5000 || slab_count(&slab_test_shape) != 5000 || check_arena() != 0)
		return 4;
	for (u64 k = 0; k < 100000; k++) {
		if (w->numbers[k] != k * k)
			return 5;
	}
	/* It is a working arena. */
	list_for_each_safe(s, n, &w->shapes, link) {
		list_del(&s->link);
		slab_free(&slab_test_shape, s);
	}
	arena_free(w->numbers);
	for (int k = 0; k < 100; k++) {
		char *p = arena_alloc(8000);

		if (!p || !all_zero(p, 8000))
			return 6;
		s = slab_alloc(&slab_test_shape);
		if (!s || !all_zero((char *)s, sizeof(*s)))
			return 7;
	}
	slab_free(&slab_test_big, w->big);
	arena_free(w->name);
	slab_free(&slab_test_world, w);
	return slab_count(&slab_test_world) == 0 && slab_count(&slab_test_shape) == 100 ? 0 : 8;
}

static char *g_self;

static void test_dump_and_walk(void **state)
{
	char path[] = "/tmp/test-arena-XXXXXX";
	int fd = mkstemp(path), status;
	char number[16];
	pid_t pid;

	unlink(path);
	arena_set_root(world_make());
	assert_int_equal(check_arena(), 0);
	assert_int_equal(arena_dump(fd), 0);
	/* Several times: with other addresses each. */
	for (int i = 0; i < 5; i++) {
		pid = fork();
		if (pid == 0) {
			struct strbuf sb;

			strbuf_init_fixed(&sb, number, sizeof(number));
			strbuf_printf(&sb, "%d", fd);
			execl("/proc/self/exe", g_self, "--walk", number, NULL);
			_exit(99);
		}
		waitpid(pid, &status, 0);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	close(fd);
}

static void test_trim(void **state)
{
	enum { N = 4000 };
	char **p = calloc(N, sizeof(*p));
	u8 present = 1;

	for (int i = 0; i < N; i++) {
		p[i] = arena_alloc(4096);
		p[i][1] = 1;
	}
	for (int i = 0; i < N; i++)
		arena_free(p[i]);
	/* The memory of most is back with the host. */
	assert_int_equal(mincore(p[N / 2], 4096, &present), 0);
	assert_int_equal(present & 1, 0);
	free(p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_slab_basics, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slab_for_each, setup, teardown),
		cmocka_unit_test_setup_teardown(test_untyped_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_is_lazy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fault_hook, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ops, setup, teardown),
		cmocka_unit_test_setup_teardown(test_check, setup, teardown),
		cmocka_unit_test_setup_teardown(test_panics, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dump_and_walk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trim, setup, teardown),
	};

	g_self = argv[0];
	log_setup(2, LOG_ERROR, host_write);
	if (argc == 3 && strcmp(argv[1], "--walk") == 0)
		return world_check((int)strtol(argv[2], NULL, 10));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
