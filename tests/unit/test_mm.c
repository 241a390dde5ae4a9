/* Address spaces over the fake platform: the calls one by one. test_mm_linux.c compares them with
 * Linux. */

#include "unit/mm_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "mm/mm.h"

#define BASE 0x1000'0000UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static void body_tree(void)
{
	static struct vma v[200];
	static bool used[1024]; /* pages above low */
	const u64 low = 0x10000;
	struct vma_tree t;
	unsigned int n = 0;

	vma_tree_init(&t, low);
	srandom(7);
	while (n < 200) {
		u64 first = (u64)random() % 1000, pages = 1 + (u64)random() % 4;
		bool free_ = true;

		for (u64 i = first; i < first + pages; i++)
			free_ = free_ && !used[i];
		if (!free_)
			break;
		for (u64 i = first; i < first + pages; i++)
			used[i] = true;
		v[n].start = low + first * PG;
		v[n].end = v[n].start + pages * PG;
		vma_insert(&t, &v[n++]);
		vma_tree_check(&t);
	}
	assert_true(n > 10);
	for (u64 size = 1; size < 200; size++) {
		u64 a = (u64)random() % 500, b = a + (u64)random() % 500, want = 0, run = 0;

		/* The highest place, by trying them all. */
		for (u64 i = b; i-- > a;) {
			run = used[i] ? 0 : run + 1;
			if (run == size) {
				want = low + i * PG;
				break;
			}
		}
		assert_int_equal(vma_find_gap(&t, size * PG, low + a * PG, low + b * PG), want);
	}
	while (n) {
		unsigned int i = (unsigned int)random() % n;

		/* v[i] goes; the last one takes its place in the array, by value. */
		vma_erase(&t, &v[i]);
		n--;
		if (i != n) {
			vma_erase(&t, &v[n]);
			v[i] = v[n];
			vma_insert(&t, &v[i]);
		}
		vma_tree_check(&t);
	}
}

static void body_mmap_place(void)
{
	u64 a = map_rw(0, 4 * PG), b = map_rw(0, 4 * PG), at;

	/* Top down, and merged. */
	assert_int_equal(b, a - 4 * PG);
	assert_int_equal(g_subject.mm->tree.count, 1);
	assert_int_equal(mm_munmap(&g_subject, b + PG, PG), 0);
	assert_int_equal(g_subject.mm->tree.count, 2);
	assert_int_equal(map_rw(0, PG), b + PG);
	assert_int_equal(g_subject.mm->tree.count, 1);
	/* A hint is taken if it is free, and not otherwise. */
	assert_int_equal(do_mmap(BASE + 1, PG, RW, ANON, &at), 0);
	assert_int_equal(at, BASE);
	assert_int_equal(do_mmap(BASE, PG, RW, ANON, &at), 0);
	assert_int_not_equal(at, BASE);
	assert_int_equal(do_mmap(BASE, PG, RW, ANON | MAP_FIXED_NOREPLACE, &at), -EEXIST);
	/* Huge mappings are aligned so that the host can use huge pages. */
	assert_int_equal(map_rw(0, 4UL << 20) & ((2UL << 20) - 1), 0);
	assert_int_equal(do_mmap(0, FAKE_TASK_SIZE, RW, ANON, &at), -ENOMEM);
	assert_int_equal(do_mmap(0, FAKE_TASK_SIZE + 1, RW, ANON, &at), -ENOMEM);
	assert_int_equal(do_mmap(FAKE_TASK_SIZE, PG, RW, ANON | MAP_FIXED, &at), -ENOMEM);
	assert_int_equal(do_mmap(0, PG, RW, ANON | MAP_FIXED, &at), -EPERM);
	assert_int_equal(do_mmap(0, PG, RW, ANON | MAP_HUGETLB, &at), -ENOMEM);
	assert_int_equal(do_mmap(PG, PG, RW, ANON, &at), 0);
	assert_int_equal(at, PF_MMAP_MIN);
}

static void body_one_operation(void)
{
	unsigned int before = g_fake.operations;
	u64 a = map_rw(0, 16 * PG);

	assert_int_equal(g_fake.operations, before + 1);
	assert_int_equal(mm_mprotect(&g_subject, a, 4 * PG, PROT_READ), 0);
	assert_int_equal(mm_mprotect(&g_subject, a, 16 * PG, RW), 0);
	assert_int_equal(g_fake.operations, before + 3);
	assert_int_equal(mm_munmap(&g_subject, a, 16 * PG), 0);
	assert_int_equal(mm_munmap(&g_subject, a, 16 * PG), 0); /* nothing there: nothing done */
	assert_int_equal(g_fake.operations, before + 4);
	mm_setup_brk(g_subject.mm, BASE);
	a = mm_brk(&g_subject, 0);
	assert_int_equal(mm_brk(&g_subject, a + 5 * PG), a + 5 * PG);
	assert_int_equal(mm_brk(&g_subject, a + 5 * PG + 1), a + 5 * PG + 1);
	assert_int_equal(mm_brk(&g_subject, a), a);
	assert_int_equal(g_fake.operations, before + 7);
}

/* A failed operation leaves everything as it was. */
static void body_failed_operation(void)
{
	struct mm *mm = g_subject.mm, *child;
	struct pf_thread *thread;
	char *before, *after;
	u64 a, at;

	mm_setup_brk(mm, BASE);
	a = map_rw(BASE / 2, 16 * PG);
	assert_int_equal(mm_mprotect(&g_subject, a + 4 * PG, 4 * PG, PROT_READ), 0);
	before = maps_text(mm);
	for (int which = 0; which < 7; which++) {
		struct mm_counts counts = mm->counts;
		int err = 0;

		g_fake.fail_in = 1;
		switch (which) {
		case 0:
			err = do_mmap(a + 2 * PG, 8 * PG, RW, ANON | MAP_FIXED, &at);
			break;
		case 1:
			err = mm_munmap(&g_subject, a + PG, 6 * PG);
			break;
		case 2:
			err = mm_mprotect(&g_subject, a + PG, 6 * PG, PROT_NONE);
			break;
		case 3:
			err = mm_mremap(&g_subject, a, 4 * PG, 8 * PG, MREMAP_MAYMOVE, 0, &at);
			break;
		case 4:
			err = mm_brk(&g_subject, mm->brk + PG) == mm->brk ? -ENOMEM : 0;
			break;
		case 5:
			err = mm_madvise(&g_subject, a + PG, 6 * PG, MADV_DONTFORK);
			break;
		default:
			err = mm_fork(&g_subject, &child, &thread) == -EAGAIN ? -ENOMEM : 0;
			break;
		}
		assert_int_equal(err, -ENOMEM);
		assert_int_equal(g_fake.fail_in, 0);
		after = maps_text(mm);
		assert_string_equal(before, after);
		assert_memory_equal(&counts, &mm->counts, sizeof(counts));
		fixture_check(mm);
		free(after);
	}
	free(before);
}

static void body_limits(void)
{
	u64 at, a = map_rw(0, 8 * PG);

	set_limit(RLIMIT_AS, 10 * PG);
	assert_int_equal(do_mmap(0, 3 * PG, PROT_READ, ANON, &at), -ENOMEM);
	assert_int_equal(do_mmap(a, 8 * PG, PROT_READ, ANON | MAP_FIXED, &at), 0); /* replaces */
	assert_int_equal(do_mmap(0, 2 * PG, PROT_READ, ANON, &at), 0);
	assert_int_equal(mm_mremap(&g_subject, a, 8 * PG, 9 * PG, MREMAP_MAYMOVE, 0, &at), -ENOMEM);
	set_limit(RLIMIT_AS, RLIM_INFINITY);
	set_limit(RLIMIT_DATA, 4 * PG);
	assert_int_equal(do_mmap(0, 5 * PG, RW, ANON, &at), -ENOMEM);
	assert_int_equal(do_mmap(0, 5 * PG, RW, MAP_SHARED | MAP_ANONYMOUS, &at), 0);
	assert_int_equal(mm_mprotect(&g_subject, a, 5 * PG, RW), -ENOMEM);
	assert_int_equal(mm_mprotect(&g_subject, a, 4 * PG, RW), 0);
	mm_setup_brk(g_subject.mm, BASE);
	at = mm_brk(&g_subject, 0);
	assert_int_equal(mm_brk(&g_subject, at + 5 * PG), at);
}

static void body_mlock(void)
{
	u64 a = map_rw(0, 8 * PG), at;
	struct mm *mm = g_subject.mm;

	set_limit(RLIMIT_MEMLOCK, 4 * PG);
	assert_int_equal(mm_mlock(&g_subject, a, 4 * PG, 0), 0);
	assert_int_equal(mm->counts.locked, 4);
	assert_int_equal(mm_mlock(&g_subject, a + 1, 3 * PG, 0), 0); /* locked already */
	assert_int_equal(mm_mlock(&g_subject, a + 4 * PG, PG, 0), -ENOMEM);
	assert_int_equal(do_mmap(0, PG, RW, ANON | MAP_LOCKED, &at), -EAGAIN);
	assert_int_equal(mm_madvise(&g_subject, a, PG, MADV_DONTNEED), -EINVAL);
	assert_int_equal(mm_msync(&g_subject, a, PG, MS_INVALIDATE), -EBUSY);
	assert_int_equal(mm_munlock(&g_subject, a + PG, PG), 0);
	assert_int_equal(mm->counts.locked, 3);
	assert_int_equal(mm->tree.count, 4);
	assert_int_equal(mm_munlockall(&g_subject), 0);
	assert_int_equal(mm->counts.locked, 0);
	assert_int_equal(mm->tree.count, 1);
	assert_int_equal(mm_mlockall(&g_subject, MCL_CURRENT), -ENOMEM);
	assert_int_equal(mm_mlockall(&g_subject, MCL_FUTURE), 0);
	assert_int_equal(do_mmap(0, 5 * PG, RW, ANON, &at), -EAGAIN);
	assert_int_equal(do_mmap(0, 3 * PG, RW, ANON, &at), 0);
	assert_int_equal(mm->counts.locked, 3);
	assert_int_equal(mm_mlockall(&g_subject, 0), -EINVAL);
	set_limit(RLIMIT_MEMLOCK, 0);
	assert_int_equal(mm_mlock(&g_subject, a, PG, 0), -EPERM);
}

static int touch(u64 addr, u64 error_code)
{
	const struct pf_fault f = {
		.signo = SIGSEGV,
		.code = SEGV_MAPERR,
		.addr = addr,
		.trapno = 14,
		.error_code = error_code,
	};
	int signo, code;

	return mm_handle_fault(&g_subject, &f, addr, &signo, &code) ? code : 0;
}

static void body_stack(void)
{
	u64 top, at;
	char buf[16] = "on the stack";

	assert_int_equal(mm_setup_stack(&g_subject, false, 3000, &top), 0);
	assert_int_equal(touch(top - PG, 6), 0);
	assert_int_equal(touch(top - (200UL << 10), 6), 0); /* grows */
	assert_true(g_subject.mm->counts.stack >= 50);
	assert_int_equal(touch(top - (8UL << 20), 6), 0); /* to the limit */
	assert_int_equal(touch(top - (8UL << 20) - 1, 6), SEGV_MAPERR);
	assert_int_equal(g_subject.mm->counts.stack, 2048);
	assert_int_equal(touch(top - PG, 0x14), SEGV_ACCERR); /* not executable */
	assert_int_equal(touch(top, 4), SEGV_MAPERR);
	assert_int_equal(touch(FAKE_TASK_SIZE + PG, 4), SEGV_MAPERR);
	/* The kernel's own copies grow it too, and stop at its guard gap. */
	assert_int_equal(do_mmap(BASE, PG, RW, ANON | MAP_GROWSDOWN | MAP_FIXED, &at), 0);
	assert_int_equal(copy_out(&g_subject, UADDR(BASE - 5000), buf, sizeof(buf)), 0);
	assert_int_equal(copy_in(&g_subject, buf, UADDR(BASE - 5000), sizeof(buf)), 0);
	assert_string_equal(buf, "on the stack");
	map_rw(BASE - (4UL << 20), PG);
	at = BASE - (4UL << 20) + PG + STACK_GUARD_GAP;
	assert_int_equal(copy_out(&g_subject, UADDR(at - 1), buf, 1), -EFAULT);
	assert_int_equal(copy_out_partial(&g_subject, UADDR(at), buf, 16), 16);
	assert_int_equal(clear_out(&g_subject, UADDR(at - 8), 16), -EFAULT);
	/* New mappings keep off the gap; fixed ones need not. */
	assert_int_equal(do_mmap(at - PG, PG, RW, ANON, &top), 0);
	assert_int_not_equal(top, at - PG);
}

static void body_copy(void)
{
	u64 a = map_rw(BASE, 2 * PG);
	char buf[2 * PG];
	u32 old;

	memset(buf, 'x', sizeof(buf));
	assert_int_equal(copy_out_partial(&g_subject, UADDR(a + PG), buf, 2 * PG), PG);
	assert_int_equal(copy_in_partial(&g_subject, buf, UADDR(a + 2 * PG), 8), 0);
	assert_int_equal(copy_in_string(&g_subject, buf, UADDR(a + PG), 10), -ENAMETOOLONG);
	assert_int_equal(copy_in_string(&g_subject, buf, UADDR(a + PG), 2 * PG), -EFAULT);
	assert_int_equal(clear_out(&g_subject, UADDR(a + PG + 5), 1), 0);
	assert_int_equal(copy_in_string(&g_subject, buf, UADDR(a + PG), 10), 5);
	assert_int_equal(copy_in(&g_subject, buf, UADDR(UINT64_MAX - 1), 4), -EFAULT);
	assert_int_equal(copy_in(&g_subject, buf, UADDR(FAKE_TASK_SIZE), 0), 0);
	assert_false(uaddr_ok(UADDR(FAKE_TASK_SIZE), 1));
	assert_false(uaddr_ok(UADDR(8), UINT64_MAX));
	assert_int_equal(cmpxchg_in32(&g_subject, UADDR(a), 0, 7, &old), 0);
	assert_int_equal(load_in32(&g_subject, UADDR(a), &old), 0);
	assert_int_equal(old, 7);
	assert_int_equal(mm_mprotect(&g_subject, a, PG, PROT_READ), 0);
	assert_int_equal(copy_out(&g_subject, UADDR(a), buf, 1), -EFAULT);
	assert_int_equal(mm_read_other(g_subject.mm, buf, UADDR(a), 4), 4);
	assert_int_equal(buf[0], 7);
}

static void body_shared(void)
{
	struct futex_key k1, k2, k3;
	u64 a, b;
	u32 word = 0;

	assert_int_equal(do_mmap(0, 4 * PG, RW, MAP_SHARED | MAP_ANONYMOUS, &a), 0);
	/* An old size of 0 maps the same object again. */
	assert_int_equal(mm_mremap(&g_subject, a, 0, 4 * PG, MREMAP_MAYMOVE, 0, &b), 0);
	assert_int_not_equal(a, b);
	assert_int_equal(copy_out(&g_subject, UADDR(a + PG), "same", 4), 0);
	assert_int_equal(load_in32(&g_subject, UADDR(b + PG), &word), 0);
	assert_memory_equal(&word, "same", 4);
	assert_int_equal(mm_futex_key(&g_subject, UADDR(a + PG), false, &k1), 0);
	assert_int_equal(mm_futex_key(&g_subject, UADDR(b + PG), false, &k2), 0);
	assert_int_equal(mm_futex_key(&g_subject, UADDR(a + PG), true, &k3), 0);
	assert_true(k1.object == k2.object && k1.offset == k2.offset && k1.offset == PG);
	assert_true(k1.shared && k2.shared && !k3.shared);
	assert_int_equal(k3.offset, a + PG);
	assert_int_equal(mm_futex_key(&g_subject, UADDR(PF_MMAP_MIN), false, &k1), -EFAULT);
	/* Growing in place shows more of the object, which has no more. */
	assert_int_equal(mm_munmap(&g_subject, b, 4 * PG), 0);
	assert_int_equal(mm_madvise(&g_subject, a, 4 * PG, MADV_REMOVE), 0);
	assert_int_equal(load_in32(&g_subject, UADDR(a + PG), &word), 0);
	assert_int_equal(word, 0);
	assert_int_equal(mm_madvise(&g_subject, a, PG, MADV_WIPEONFORK), -EINVAL);
	assert_int_equal(mm_madvise(&g_subject, a, PG, MADV_FREE), -EINVAL);
}

static void body_fork(void)
{
	struct mm *child;
	struct pf_thread *thread;
	u64 a = map_rw(BASE, 8 * PG), shared;

	assert_int_equal(do_mmap(0, PG, RW, MAP_SHARED | MAP_ANONYMOUS, &shared), 0);
	assert_int_equal(mm_madvise(&g_subject, a + 2 * PG, PG, MADV_DONTFORK), 0);
	assert_int_equal(g_fake.last_advice, MADV_DONTFORK);
	assert_int_equal(mm_mlock(&g_subject, a, PG, 0), 0);
	assert_int_equal(mm_fork(&g_subject, &child, &thread), 0);
	fixture_check(child);
	assert_int_equal(child->counts.total, 8);
	assert_int_equal(child->counts.data, 7);
	assert_int_equal(child->counts.locked, 0);
	assert_null(vma_lookup(&child->tree, a + 2 * PG));
	assert_int_not_equal(mm_id(child), mm_id(g_subject.mm));
	pf_thread_destroy(thread);
	mm_put(child);
	assert_int_equal(mm_madvise(&g_subject, a, 8 * PG, MADV_DOFORK), 0);
	assert_int_equal(mm_munlockall(&g_subject), 0);
	assert_int_equal(g_subject.mm->tree.count, 2);
}

/* One mapping of the host's is two here: each has its share of what is in memory. */
static void body_smaps(void)
{
	u64 a = map_rw(0, 4 * PG);
	struct strbuf sb;
	const char *rss;

	assert_int_equal(mm_madvise(&g_subject, a, 2 * PG, MADV_DONTFORK), 0);
	g_fake.range = (struct pf_range_usage){ .start = a, .end = a + 4 * PG, .rss = 3 * PG };
	strbuf_init(&sb, 1 << 24);
	assert_int_equal(mm_format_smaps(g_subject.mm, false, &sb), 0);
	rss = strstr(strbuf_str(&sb), "Rss:                   4 kB\n");
	assert_non_null(rss);
	assert_non_null(strstr(rss + 1, "Rss:                   4 kB\n"));
	strbuf_reset(&sb);
	assert_int_equal(mm_format_smaps(g_subject.mm, true, &sb), 0);
	assert_non_null(strstr(strbuf_str(&sb), "Rss:                   8 kB\n"));
	strbuf_fini(&sb);
}

static void body_maps(void)
{
	struct mm_layout l = {};
	char *text, want[512];
	u64 top, shared, brk;
	const struct vma *v;

	mm_setup_brk(g_subject.mm, BASE);
	brk = mm_brk(&g_subject, 0);
	assert_int_equal(mm_brk(&g_subject, brk + PG), brk + PG);
	assert_int_equal(mm_setup_stack(&g_subject, false, 0, &top), 0);
	l = mm_layout(g_subject.mm);
	l.start_stack = top - 64;
	mm_set_layout(g_subject.mm, &l);
	map_rw(0x20000, PG);
	assert_int_equal(do_mmap(0, PG, RW, MAP_SHARED | MAP_ANONYMOUS, &shared), 0);
	v = vma_lookup(&g_subject.mm->tree, shared);
	text = maps_text(g_subject.mm);
	snprintf(want, sizeof(want),
		 "00020000-00021000 rw-p 00000000 00:00 0 \n"
		 "%08lx-%08lx rw-p 00000000 00:00 0                                  [heap]\n"
		 "%08lx-%08lx rw-s 00000000 00:01 %-26lu /dev/zero (deleted)\n"
		 "%08lx-%08lx rw-p 00000000 00:00 0                                  [stack]\n",
		 brk, brk + PG, shared, shared + PG, ((u64)(uintptr_t)v->file >> 4) & 0xffff'ffff,
		 top - (128UL << 10), top);
	/* Addresses of nine digits and up move the names' column by nothing: it is counted from the
	 * line's start. */
	for (char *p = want, *q = text; *q; p++, q++) {
		while (*p == ' ' && *q != ' ')
			p++;
		while (*q == ' ' && *p != ' ')
			q++;
		assert_int_equal(*p, *q);
	}
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		char *name = strpbrk(line, "[/");

		assert_true(!name || name - line == 73);
	}
	free(text);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Thousands of mappings cost no more each, and their number is bounded. */
static void body_many(void)
{
	double start = now(), first, second;
	u64 at;
	unsigned int n;
	int err = 0;

	for (n = 0; n < 4000; n++)
		assert_int_equal(do_mmap(0, PG, n & 1 ? RW : PROT_READ, ANON, &at), 0);
	first = now() - start;
	start = now();
	for (; n < 8000; n++)
		assert_int_equal(do_mmap(0, PG, n & 1 ? RW : PROT_READ, ANON, &at), 0);
	second = now() - start;
	assert_int_equal(g_subject.mm->tree.count, 8000);
	assert_true(second < 20 * first + 0.5);
	fixture_check(g_subject.mm);
	g_fake.dry = true; /* this host has no more mappings than a guest */
	for (; n < 70000 && !err; n++)
		err = do_mmap(0, PG, n & 1 ? RW : PROT_READ, ANON, &at);
	assert_int_equal(err, -ENOMEM);
	assert_int_equal(g_subject.mm->tree.count, VMA_COUNT_MAX + 1);
	assert_int_equal(mm_munmap(&g_subject, PF_MMAP_MIN, FAKE_TASK_SIZE - PF_MMAP_MIN), 0);
	assert_int_equal(g_subject.mm->tree.count, 0);
}

/* A move that keeps the old mapping splits the most. */
static void body_mremap_keep(void)
{
	u64 a = map_rw(BASE, 16 * PG), b = map_rw(2 * BASE, 16 * PG), at;
	u32 word = 77;

	assert_int_equal(mm_mlock(&g_subject, a, 16 * PG, 0), 0);
	assert_int_equal(copy_out(&g_subject, UADDR(a + 4 * PG), &word, 4), 0);
	/* Locked memory is not counted twice: what stays is unlocked. */
	assert_int_equal(mm_mremap(&g_subject, a + 4 * PG, 4 * PG, 4 * PG,
				   MREMAP_MAYMOVE | MREMAP_FIXED | 4, b + 4 * PG, &at),
			 0);
	assert_int_equal(at, b + 4 * PG);
	assert_int_equal(g_subject.mm->tree.count, 6);
	assert_int_equal(g_subject.mm->counts.locked, 16);
	assert_int_equal(load_in32(&g_subject, UADDR(b + 4 * PG), &word), 0);
	assert_int_equal(word, 77);
	assert_int_equal(load_in32(&g_subject, UADDR(a + 4 * PG), &word), 0);
	assert_int_equal(word, 0);
	/* Grown in place where there is room, moved where there is none. */
	assert_int_equal(mm_mremap(&g_subject, b + 15 * PG, PG, 2 * PG, 0, 0, &at), 0);
	assert_int_equal(at, b + 15 * PG);
	assert_int_equal(mm_mremap(&g_subject, b, PG, 2 * PG, 0, 0, &at), -ENOMEM);
	assert_int_equal(mm_mremap(&g_subject, b, PG, 2 * PG, MREMAP_MAYMOVE, 0, &at), 0);
	assert_int_not_equal(at, b);
	assert_int_equal(copy_out(&g_subject, UADDR(at + PG), &word, 4), 0);
	assert_int_equal(copy_out(&g_subject, UADDR(b), &word, 4), -EFAULT);
}

static void body_madvise(void)
{
	u64 a = map_rw(BASE, 4 * PG);
	u32 word = 5;

	assert_int_equal(mm_madvise(&g_subject, a, PG, 77), -EINVAL);
	assert_int_equal(mm_madvise(&g_subject, a + 1, PG, MADV_NORMAL), -EINVAL);
	assert_int_equal(mm_madvise(&g_subject, a, 0, MADV_NORMAL), 0);
	assert_int_equal(mm_madvise(&g_subject, a, UINT64_MAX, MADV_NORMAL), -EINVAL);
	assert_int_equal(mm_madvise(&g_subject, a, PG, MADV_HWPOISON), -EPERM);
	assert_int_equal(copy_out(&g_subject, UADDR(a), &word, 4), 0);
	assert_int_equal(mm_munmap(&g_subject, a + 2 * PG, PG), 0);
	/* A hole is reported when all the rest is done. */
	assert_int_equal(mm_madvise(&g_subject, a, 4 * PG, MADV_DONTNEED), -ENOMEM);
	assert_int_equal(g_fake.last_addr, a + 3 * PG);
	assert_int_equal(load_in32(&g_subject, UADDR(a), &word), 0);
	assert_int_equal(word, 0);
	assert_int_equal(mm_madvise(&g_subject, a, PG, MADV_POPULATE_WRITE), 0);
	assert_int_equal(mm_madvise(&g_subject, a, 4 * PG, MADV_POPULATE_WRITE), -ENOMEM);
	assert_int_equal(mm_mprotect(&g_subject, a, PG, PROT_READ), 0);
	assert_int_equal(mm_madvise(&g_subject, a, PG, MADV_POPULATE_WRITE), -EINVAL);
	assert_int_equal(mm_madvise(&g_subject, a, PG, MADV_REMOVE), -EINVAL);
	assert_int_equal(mm_mincore(&g_subject, a, PG, UADDR(a + PG)), 0);
	assert_int_equal(mm_mincore(&g_subject, a, 3 * PG, UADDR(a + PG)), -ENOMEM);
	assert_int_equal(mm_mincore(&g_subject, a + 1, PG, UADDR(a + PG)), -EINVAL);
	assert_int_equal(mm_mincore(&g_subject, a, PG, UADDR(a)), -EFAULT);
	assert_int_equal(mm_mincore(&g_subject, a, PG, UADDR(UINT64_MAX)), -EFAULT);
	assert_int_equal(mm_msync(&g_subject, a, 4 * PG, MS_SYNC), -ENOMEM);
	assert_int_equal(mm_msync(&g_subject, a, PG, MS_SYNC | MS_ASYNC), -EINVAL);
}

#define TEST(name, uid) \
	static void test_##name(void **state) \
	{ \
		(void)state; \
		fixture_run(body_##name, uid); \
	}

TEST(tree, 0)
TEST(mmap_place, 1000)
TEST(one_operation, 1000)
TEST(failed_operation, 1000)
TEST(limits, 1000)
TEST(mlock, 1000)
TEST(stack, 1000)
TEST(copy, 1000)
TEST(shared, 1000)
TEST(fork, 0)
TEST(maps, 1000)
TEST(smaps, 1000)
TEST(many, 1000)
TEST(mremap_keep, 0)
TEST(madvise, 1000)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),	      cmocka_unit_test(test_mmap_place),
		cmocka_unit_test(test_one_operation), cmocka_unit_test(test_failed_operation),
		cmocka_unit_test(test_limits),	      cmocka_unit_test(test_mlock),
		cmocka_unit_test(test_stack),	      cmocka_unit_test(test_copy),
		cmocka_unit_test(test_shared),	      cmocka_unit_test(test_fork),
		cmocka_unit_test(test_maps),	      cmocka_unit_test(test_smaps),
		cmocka_unit_test(test_many),	      cmocka_unit_test(test_mremap_keep),
		cmocka_unit_test(test_madvise),
	};

	if (arena_create())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
