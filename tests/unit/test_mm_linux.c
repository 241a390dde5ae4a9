/*
 * The oracle is Linux: random sequences of calls, valid and not, are made by a child process on a
 * window of its own address space and by mm on a window of a guest's; after each step, error and
 * mappings must be the same.
 */

#include "unit/mm_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>

#include "mm/mm.h"

#define WINDOW_PAGES 24
#define WINDOW_SIZE (WINDOW_PAGES * PG)
#define GUEST_BASE 0x2000'0000UL
#define STEPS 300
#define ROUNDS 100
#define RANGES 32

enum call {
	CALL_MMAP,
	CALL_MUNMAP,
	CALL_MPROTECT,
	CALL_MREMAP,
	CALL_MADVISE,
	CALL_MSYNC,
	CALL_COUNT
};

struct step {
	enum call call;
	u64 a, b, c; /* offsets from the window, or sizes */
	int x, y;
};

/* A mapping, relative to the window. Linux does not say more, and more is not compared. */
struct range {
	u64 start, end, offset;
	char perms[5];
};

struct outcome {
	int err;
	unsigned int count;
	struct range range[RANGES];
};

static u64 pick_addr(void)
{
	u64 a = (u64)(random() % WINDOW_PAGES) * PG;

	return random() % 50 == 0 ? a + 8 : a;
}

static u64 pick_size(u64 addr)
{
	u64 room = WINDOW_SIZE - page_down(addr), size = (1 + (u64)random() % 10) * PG;

	switch (random() % 40) {
	case 0:
		return 0;
	case 1:
		return min(size, room) - 100;
	case 2:
		return UINT64_MAX - (u64)(random() % 5000);
	default:
		return min(size, room);
	}
}

static int pick_prot(void)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
				     PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC };

	return prots[random() % 5];
}

static int pick(const int *values, size_t count)
{
	return values[(size_t)random() % count];
}

static void pick_step(struct step *s)
{
	static const int map_flags[] = {
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
		MAP_SHARED_VALIDATE | MAP_ANONYMOUS | MAP_FIXED,
		MAP_ANONYMOUS | MAP_FIXED,
	};
	static const int remap_flags[] = { 0,
					   0,
					   MREMAP_MAYMOVE | MREMAP_FIXED,
					   MREMAP_MAYMOVE | MREMAP_FIXED,
					   MREMAP_FIXED,
					   8,
					   MREMAP_MAYMOVE | MREMAP_FIXED | 4 };
	static const int advices[] = { MADV_NORMAL,
				       MADV_RANDOM,
				       MADV_SEQUENTIAL,
				       MADV_DONTFORK,
				       MADV_DOFORK,
				       MADV_DONTDUMP,
				       MADV_DODUMP,
				       MADV_WIPEONFORK,
				       MADV_KEEPONFORK,
				       MADV_WILLNEED,
				       MADV_DONTNEED,
				       MADV_FREE,
				       MADV_COLD,
				       21,
				       22,
				       23,
				       77,
				       -1 };
	static const int sync_flags[] = { MS_SYNC, MS_ASYNC, MS_INVALIDATE, MS_SYNC | MS_ASYNC,
					  0,	   64 };

	*s = (struct step){ .call = (enum call)(random() % CALL_COUNT), .a = pick_addr() };
	s->b = pick_size(s->a);
	if (random() % 3 == 0)
		s->call = CALL_MMAP;
	s->x = pick_prot();
	switch (s->call) {
	case CALL_MMAP:
		s->y = pick(map_flags, ARRAY_SIZE(map_flags));
		break;
	case CALL_MREMAP:
		s->c = pick_addr();
		s->x = (int)pick_size(max(s->a, s->c)) & ~(int)0x8000'0000;
		s->y = pick(remap_flags, ARRAY_SIZE(remap_flags));
		/* Linux empties the target before it finds that the old size is absurd. */
		if (s->y & MREMAP_FIXED && s->b > WINDOW_SIZE)
			s->b = 2 * PG;
		/* Since Linux 6.17 a move without a change of size may take several VMAs along;
		 * ours may not. */
		if (s->y & MREMAP_FIXED && page_up((u64)s->x) == page_up(s->b))
			s->x = (int)(s->b = PG);
		/* An object grown in place would leave the window. */
		if ((u64)s->x > WINDOW_SIZE - page_down(max(s->a, s->c)))
			s->x = (int)PG;
		break;
	case CALL_MADVISE:
		s->y = pick(advices, ARRAY_SIZE(advices));
		break;
	case CALL_MSYNC:
		s->y = pick(sync_flags, ARRAY_SIZE(sync_flags));
		break;
	case CALL_MPROTECT:
		if (random() % 30 == 0)
			s->x |= random() % 2 ? 0x100 : PROT_GROWSDOWN;
		break;
	default:
		break;
	}
}

/* ---- the oracle; in a child, without allocating ---- */

static int native_call(char *base, const struct step *s)
{
	long ret;

	switch (s->call) {
	case CALL_MMAP:
		ret = (long)mmap(base + s->a, s->b, s->x, s->y, -1, 0);
		break;
	case CALL_MUNMAP:
		ret = munmap(base + s->a, s->b);
		break;
	case CALL_MPROTECT:
		ret = mprotect(base + s->a, s->b, s->x);
		break;
	case CALL_MREMAP:
		ret = (long)mremap(base + s->a, s->b, (size_t)s->x, s->y, base + s->c);
		break;
	case CALL_MADVISE:
		ret = madvise(base + s->a, s->b, s->y);
		break;
	default:
		ret = msync(base + s->a, s->b, s->y);
		break;
	}
	return ret == -1 ? -errno : 0;
}

/* Parse the lines of maps that lie in the window. */
static void collect(const char *text, u64 base, struct outcome *out)
{
	out->count = 0;
	for (const char *line = text; line && *line;
	     line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		struct range r;

		if (sscanf(line, "%lx-%lx %4s %lx", &r.start, &r.end, r.perms, &r.offset) != 4)
			break;
		if (r.start < base || r.end > base + WINDOW_SIZE)
			continue;
		if (r.perms[3] == 'p')
			r.offset = 0;
		r.start -= base;
		r.end -= base;
		if (out->count < RANGES)
			out->range[out->count++] = r;
	}
}

static void native_run(const struct step *steps, struct outcome *outcomes)
{
	static char text[1 << 20];
	char *border =
		mmap(NULL, WINDOW_SIZE + 2 * PG, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *base = border + PG;

	/* The borders are of another kind than anything that comes next to them. */
	mprotect(border, PG, PROT_READ | PROT_WRITE | PROT_EXEC);
	munmap(base, WINDOW_SIZE);
	for (int i = 0; i < STEPS; i++) {
		size_t size = 0;
		ssize_t n;
		int fd;

		outcomes[i].err = native_call(base, &steps[i]);
		fd = open("/proc/self/maps", O_RDONLY);
		while ((n = read(fd, text + size, sizeof(text) - 1 - size)) > 0)
			size += (size_t)n;
		close(fd);
		text[size] = '\0';
		collect(text, (u64)(uintptr_t)base, &outcomes[i]);
	}
}

/* ---- mm ---- */

static int mm_call(const struct step *s)
{
	struct subject *subject = &g_subject;
	u64 addr = GUEST_BASE + s->a, ret;

	switch (s->call) {
	case CALL_MMAP:
		return do_mmap(addr, s->b, s->x, s->y, &ret);
	case CALL_MUNMAP:
		return mm_munmap(subject, addr, s->b);
	case CALL_MPROTECT:
		return mm_mprotect(subject, addr, s->b, s->x);
	case CALL_MREMAP:
		return mm_mremap(subject, addr, s->b, (u64)s->x, s->y, GUEST_BASE + s->c, &ret);
	case CALL_MADVISE:
		return mm_madvise(subject, addr, s->b, s->y);
	default:
		return mm_msync(subject, addr, s->b, s->y);
	}
}

static void print_ranges(const char *who, const struct outcome *o)
{
	print_error("%s: %d\n", who, o->err);
	for (unsigned int i = 0; i < o->count; i++)
		print_error("  %5lx-%5lx %s %lx\n", o->range[i].start, o->range[i].end,
			    o->range[i].perms, o->range[i].offset);
}

/* Join neighbours that look the same. */
static struct outcome joined(const struct outcome *o)
{
	struct outcome j = { .err = o->err };

	for (unsigned int i = 0; i < o->count; i++) {
		const struct range *r = &o->range[i];
		struct range *last = j.count ? &j.range[j.count - 1] : NULL;

		if (last && last->end == r->start && strcmp(last->perms, r->perms) == 0 &&
		    (r->perms[3] == 'p' || last->offset + (last->end - last->start) == r->offset))
			last->end = r->end;
		else
			j.range[j.count++] = *r;
	}
	return j;
}

static bool has_boundary(const struct outcome *o, u64 start)
{
	for (unsigned int i = 0; i < o->count; i++) {
		if (o->range[i].start == start)
			return true;
	}
	return false;
}

/* True if a VMA of mine is two of Linux's. */
static bool is_coarser(const struct outcome *mine, const struct outcome *linux_)
{
	for (unsigned int i = 0; i < linux_->count; i++) {
		if (!has_boundary(mine, linux_->range[i].start))
			return true;
	}
	return false;
}

/*
 * The same error, the same memory. Bounds may differ: memory that was writable once is not merged
 * with memory that never was, which in Linux depends on its version and on what was touched.
 */
static bool same(const struct outcome *mine, const struct outcome *linux_)
{
	struct outcome a = joined(mine), b = joined(linux_);

	if (a.err != b.err || a.count != b.count)
		return false;
	for (unsigned int i = 0; i < a.count; i++) {
		const struct range *r = &a.range[i], *q = &b.range[i];

		if (r->start != q->start || r->end != q->end || strcmp(r->perms, q->perms) != 0 ||
		    (r->perms[3] == 's' && r->offset != q->offset))
			return false;
	}
	return true;
}

static struct step g_steps[STEPS];
static struct outcome *g_outcomes;
static int g_failed;
static unsigned int g_coarser; /* rounds */

static void body_compare(void)
{
	/* The same borders. */
	struct outcome mine = {};
	u64 at;

	assert_int_equal(do_mmap(GUEST_BASE - PG, PG, PROT_READ | PROT_WRITE | PROT_EXEC,
				 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, &at),
			 0);
	assert_int_equal(do_mmap(GUEST_BASE + WINDOW_SIZE, PG, PROT_NONE,
				 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, &at),
			 0);
	for (int i = 0; i < STEPS && !g_failed; i++) {
		const struct step *s = &g_steps[i];
		char *text;

		/* What mremap may do depends on the bounds of VMAs: go no further where they
		 * differ. */
		if (s->call == CALL_MREMAP && i && mine.count != g_outcomes[i - 1].count)
			break;
		mine.err = mm_call(s);
		text = maps_text(g_subject.mm);
		collect(text, GUEST_BASE, &mine);
		free(text);
		fixture_check(g_subject.mm);
		if (same(&mine, &g_outcomes[i])) {
			/* Linux sometimes leaves out a merge; where it does, mremap's limits
			 * differ. */
			if (!is_coarser(&mine, &g_outcomes[i]))
				continue;
			g_coarser++;
			break;
		}
		for (int j = max(0, i - 8); j < i; j++)
			print_error("step %d: call %d a=%lx b=%lx c=%lx x=%x y=%x: %d\n", j,
				    g_steps[j].call, g_steps[j].a, g_steps[j].b, g_steps[j].c,
				    g_steps[j].x, g_steps[j].y, g_outcomes[j].err);
		print_error("step %d: call %d a=%lx b=%lx c=%lx x=%x y=%x\n", i, s->call, s->a,
			    s->b, s->c, s->x, s->y);
		if (i)
			print_ranges("before", &g_outcomes[i - 1]);
		print_ranges("Linux", &g_outcomes[i]);
		print_ranges("mm", &mine);
		g_failed = 1;
	}
}

static void test_compare(void **state)
{
	size_t size = STEPS * sizeof(struct outcome);

	(void)state;
	g_outcomes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(g_outcomes != MAP_FAILED);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		pid_t pid;
		int status;

		srandom(round + 1);
		for (int i = 0; i < STEPS; i++)
			pick_step(&g_steps[i]);
		pid = fork();
		if (pid == 0) {
			native_run(g_steps, g_outcomes);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		fixture_run(body_compare, 1000);
		if (g_failed)
			print_error("round %u\n", round);
		assert_int_equal(g_failed, 0);
	}
	assert_true(g_coarser <= ROUNDS / 20);
	munmap(g_outcomes, size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),
	};

	if (arena_create())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
