#pragma once

/* What the tests of mm and the loader share: a subject with an mm over the fake platform, inside a
 * fiber. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "base/ops.h"
#include "base/strbuf.h"
#include "cred/cred.h"
#include "cred/rlimit.h"
#include "mm/impl.h"
#include "sched/fiber.h"
#include "sched/sched.h"
#include "unit/fake_platform.h"

#define PG PAGE_SIZE

/* What cred asks of the kernel above it. */
DEFINE_OPS(struct rlimit_hooks, rlimit_task_hooks) = {};

static struct subject g_subject;
static struct rlimits g_rlimits;
static u64 g_live_before;

static inline void set_limit(int resource, u64 cur)
{
	g_rlimits.limit[resource] = (struct rlimit64_pair){ cur, RLIM_INFINITY };
}

static inline void fixture_begin(u32 uid)
{
	struct user_ns *ns;
	struct cred *cred;

	fake_reset();
	g_live_before = slab_count_all();
	rlimits_init(&g_rlimits);
	for (int i = 0; i < RLIMIT_COUNT; i++)
		set_limit(i, RLIM_INFINITY);
	set_limit(RLIMIT_STACK, 8UL << 20);
	assert_int_equal(user_ns_create_root(&ns), 0);
	assert_int_equal(cred_create(ns, uid, uid, NULL, 0, &cred), 0);
	user_ns_put(ns);
	g_subject =
		(struct subject){ .cred = cred, .rlimits = &g_rlimits, .fiber = fiber_current() };
	assert_int_equal(mm_create(&g_subject.mm, &g_subject.thread), 0);
}

/* The tree is in order, and the counts are those of the VMAs. */
static inline void fixture_check(struct mm *mm)
{
	u64 pages = 0, locked = 0;
	const struct vma *v;

	vma_tree_check(&mm->tree);
	list_for_each(v, &mm->tree.list, link) {
		pages += (v->end - v->start) >> PAGE_SHIFT;
		if (v->flags & VMA_LOCKED)
			locked += (v->end - v->start) >> PAGE_SHIFT;
	}
	assert_int_equal(pages, mm->counts.total);
	assert_int_equal(locked, mm->counts.locked);
}

static inline void fixture_end(void)
{
	fixture_check(g_subject.mm);
	pf_thread_destroy(g_subject.thread);
	mm_put(g_subject.mm);
	cred_put(g_subject.cred);
	assert_int_equal(g_fake.spaces, 0);
	assert_int_equal(slab_count_all(), g_live_before);
}

/* Run body in a fiber, with a fresh subject of this uid. cmocka's failures longjmp, so they must
 * not leave a fiber: each test process ends at the first failure. */
struct fixture_run {
	void (*body)(void);
	u32 uid;
};

static inline void fixture_fiber(void *arg)
{
	const struct fixture_run *r = arg;

	fixture_begin(r->uid);
	r->body();
	fixture_end();
}

static inline void fixture_run(void (*body)(void), u32 uid)
{
	struct fixture_run r = { body, uid };

	assert_int_equal(sched_run_fiber(1, fixture_fiber, &r), 0);
}

/* ---- short forms ---- */

static inline int do_mmap(u64 addr, u64 size, int prot, int flags, u64 *ret_addr)
{
	const struct mmap_args a = { .addr = addr, .size = size, .prot = prot, .flags = flags };

	return mm_mmap(&g_subject, &a, ret_addr);
}

/* Private anonymous read-write memory that must be had. */
static inline u64 map_rw(u64 addr, u64 size)
{
	u64 at = 0;

	assert_int_equal(do_mmap(addr, size, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | (addr ? MAP_FIXED : 0), &at),
			 0);
	return at;
}

/* The text of maps; the caller frees it. */
static inline char *maps_text(struct mm *mm)
{
	struct strbuf sb;
	char *text;

	strbuf_init(&sb, 1 << 24);
	assert_int_equal(mm_format_maps(mm, &sb), 0);
	text = strdup(strbuf_str(&sb));
	strbuf_fini(&sb);
	return text;
}
