/*
 * mremap, madvise, mincore and the mlock family.
 */
#include "fault.h"
#include <sys/resource.h>

#define PAGE 4096UL
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

/* Pages that start with 'a', 'b', ... */
static char *map_letters(size_t pages)
{
	char *p = mmap(NULL, pages * PAGE, RW, ANON, -1, 0);
	need(p != MAP_FAILED);
	for (size_t i = 0; i < pages; i++)
		p[i * PAGE] = (char)('a' + i);
	return p;
}

static void test_resize(void)
{
	char *p = map_letters(4), *q;
	ok(mremap(p, 4 * PAGE, 2 * PAGE, 0) == p, "shrink");
	ok(readable(p + PAGE) && !readable(p + 2 * PAGE), "the end is gone");
	ok(mremap(p, 2 * PAGE, 3 * PAGE, 0) == p, "grow into free space");
	ok(p[PAGE] == 'b' && p[2 * PAGE] == 0 && writable(p + 2 * PAGE), "new pages are zero");
	char *wall = mmap(p + 3 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0);
	is_err(mremap(p, 3 * PAGE, 4 * PAGE, 0), ENOMEM, "growing into another mapping");
	q = mremap(p, 3 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
	ok(q != MAP_FAILED && q != p, "it moves if it may");
	ok(q[0] == 'a' && q[PAGE] == 'b' && writable(q + 7 * PAGE), "with its contents");
	ok(!readable(p), "from the old place");
	munmap(q, 8 * PAGE);
	munmap(wall, PAGE);
}

static void test_fixed(void)
{
	char *p = map_letters(3), *target = map_letters(5);
	ok(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + PAGE) ==
		   target + PAGE,
	   "MREMAP_FIXED");
	ok(target[0] == 'a' && target[PAGE] == 'a' && target[2 * PAGE] == 'b' &&
		   target[3 * PAGE] == 'd',
	   "replaces exactly the target");
	ok(!readable(p) && !readable(p + PAGE) && p[2 * PAGE] == 'c', "and takes only its part");
	is_err(mremap(target, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + PAGE),
	       EINVAL, "overlapping");
	is_err(mremap(target, PAGE, PAGE, MREMAP_FIXED, p), EINVAL, "without MREMAP_MAYMOVE");
	is_err(mremap(target, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 1), EINVAL,
	       "to an unaligned address");
	munmap(p + 2 * PAGE, PAGE);
	munmap(target, 5 * PAGE);
}

static void test_dontunmap(void)
{
	char *p = map_letters(2);
	char *q = mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	ok(q != MAP_FAILED && q != p, "MREMAP_DONTUNMAP");
	ok(q[0] == 'a' && q[PAGE] == 'b', "moves the contents");
	ok(p[0] == 0 && writable(p + PAGE), "and leaves zeros");
	is_err(mremap(p, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL), EINVAL,
	       "not with another size");
	munmap(p, 2 * PAGE);
	munmap(q, 2 * PAGE);
}

static void test_old_size_zero(void)
{
	/* Size 0 makes a second mapping of the same shared pages. */
	int *p = shared_alloc(PAGE);
	int *q = mremap(p, 0, PAGE, MREMAP_MAYMOVE);
	ok(q != MAP_FAILED && q != p, "old size 0 of a shared mapping");
	p[3] = 33;
	is_int(q[3], 33, "gives a second view");
	munmap(p, PAGE);
	munmap(q, PAGE);
}

static void test_mremap_errors(void)
{
	char *p = map_letters(3);
	munmap(p + PAGE, PAGE);
	is_err(mremap(p + 1, PAGE, PAGE, 0), EINVAL, "unaligned");
	is_err(mremap(p, PAGE, 0, 0), EINVAL, "new size 0");
	is_err(mremap(p, PAGE, PAGE, 0x80), EINVAL, "unknown flags");
	is_err(mremap(p + PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT, "nothing there");
	is_err(mremap(p, 3 * PAGE, 4 * PAGE, MREMAP_MAYMOVE), EFAULT, "over a hole");
	is_err(mremap(p, PAGE, 1UL << 47, MREMAP_MAYMOVE), EINVAL, "a huge size");
	munmap(p, 3 * PAGE);
}

static void test_madvise(void)
{
	char *p = map_letters(4);
	is_int(madvise(p + PAGE, 2 * PAGE, MADV_DONTNEED), 0, "MADV_DONTNEED");
	ok(p[0] == 'a' && p[PAGE] == 0 && p[2 * PAGE] == 0 && p[3 * PAGE] == 'd', "zeroes");
	is_int(madvise(p, 4 * PAGE, MADV_FREE), 0, "MADV_FREE");
	p[0] = 'z';
	is_int(p[0], 'z', "a page written after it stays");
	static const int hints[] = { MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED };
	for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
		is_int(madvise(p, 4 * PAGE, hints[i]), 0, "advice %d", hints[i]);
	is_int(madvise(p, 0, MADV_DONTNEED), 0, "length 0");
	is_err(madvise(p + 1, PAGE, MADV_DONTNEED), EINVAL, "unaligned");
	is_err(madvise(p, PAGE, 9999), EINVAL, "unknown advice");
	is_err(madvise(p, -PAGE, MADV_DONTNEED), EINVAL, "a huge length");
	munmap(p + PAGE, PAGE);
	p[2 * PAGE] = 'w';
	is_err(madvise(p, 4 * PAGE, MADV_DONTNEED), ENOMEM, "over a hole");
	is_int(p[2 * PAGE], 0, "but all that is there was done");
	munmap(p, 4 * PAGE);

	p = shared_alloc(2 * PAGE);
	p[0] = 's';
	is_int(madvise(p, PAGE, MADV_DONTNEED), 0, "MADV_DONTNEED of shared memory");
	is_int(p[0], 's', "keeps it");
	munmap(p, 2 * PAGE);

	p = map_letters(2);
	is_int(madvise(p, PAGE, MADV_DONTFORK), 0, "MADV_DONTFORK");
	is_int(madvise(p + PAGE, PAGE, MADV_WIPEONFORK), 0, "MADV_WIPEONFORK");
	pid_t child = tap_fork();
	if (child == 0)
		_exit(!readable(p) && p[PAGE] == 0 ? 0 : 1);
	is_exit(tap_wait(child), 0, "a child sees neither");
	ok(p[0] == 'a' && p[PAGE] == 'b', "the parent both");
	munmap(p, 2 * PAGE);
}

static void test_mincore(void)
{
	char *p = map_letters(3);
	unsigned char vector[3];
	memset(vector, 0xff, sizeof(vector));
	is_int(mincore(p, 3 * PAGE, vector), 0, "mincore");
	ok(vector[0] & vector[1] & vector[2] & 1, "touched pages are resident");
	is_err(mincore(p + 1, PAGE, vector), EINVAL, "unaligned");
	is_err(mincore(p, PAGE, BAD_PTR), EFAULT, "to a bad address");
	munmap(p + PAGE, PAGE);
	is_err(mincore(p, 3 * PAGE, vector), ENOMEM, "over a hole");
	munmap(p, 3 * PAGE);
}

static void test_lock(void)
{
	char *p = map_letters(3);
	is_int(mlock(p, 2 * PAGE), 0, "mlock");
	is_int(munlock(p, 2 * PAGE), 0, "munlock");
	is_int(mlock(p + 5, 10), 0, "mlock rounds to pages");
	is_int(syscall(SYS_mlock2, p, PAGE, 1), 0, "mlock2 with MLOCK_ONFAULT");
	is_err(syscall(SYS_mlock2, p, PAGE, 2), EINVAL, "mlock2 with unknown flags");
	is_err(madvise(p, PAGE, MADV_DONTNEED), EINVAL, "MADV_DONTNEED of locked pages");
	is_err(mlockall(0), EINVAL, "mlockall without flags");
	is_err(mlockall(8), EINVAL, "mlockall with unknown flags");
	is_err(mlockall(MCL_ONFAULT), EINVAL, "MCL_ONFAULT alone");
	is_int(munlockall(), 0, "munlockall");
	munmap(p + PAGE, PAGE);
	is_err(mlock(p, 3 * PAGE), ENOMEM, "mlock over a hole");
	is_err(munlock(p, 3 * PAGE), ENOMEM, "munlock over a hole");
	munmap(p, 3 * PAGE);
}

static void lock_limit(void)
{
	struct rlimit limit = { 4 * PAGE, 4 * PAGE };
	need(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	if (getuid() == 0)
		need(setresuid(65534, 65534, 65534) == 0);
	char *p = map_letters(8);
	need(mlock(p, 3 * PAGE) == 0);
	need_err(mlock(p + 3 * PAGE, 2 * PAGE), ENOMEM);
	need(mlock(p, 4 * PAGE) == 0);
	need_err(mmap(NULL, PAGE, RW, ANON | MAP_LOCKED, -1, 0), EAGAIN);
	need(munlockall() == 0);
	need(mlock(p + 4 * PAGE, 4 * PAGE) == 0);
	limit.rlim_cur = 0;
	need(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	need_err(mlock(p, PAGE), EPERM);
}

static volatile char sink;

__attribute__((noinline)) static void use_stack(size_t size)
{
	char block[16384];
	memset(block, 1, sizeof(block));
	sink = block[size % sizeof(block)];
	if (size > sizeof(block))
		use_stack(size - sizeof(block));
	sink = block[1];
}

static void big_stack(void)
{
	use_stack(4 << 20);
}

static void small_stack(void)
{
	struct rlimit limit = { 1 << 20, 1 << 20 };
	need(setrlimit(RLIMIT_STACK, &limit) == 0);
	setrlimit(RLIMIT_CORE, &(struct rlimit){});
	use_stack(4 << 20);
}

int main(void)
{
	tap_begin();
	test_resize();
	test_fixed();
	test_dontunmap();
	test_old_size_zero();
	test_mremap_errors();
	test_madvise();
	test_mincore();
	test_lock();
	child_ok(lock_limit, "RLIMIT_MEMLOCK");
	child_ok(big_stack, "the stack grows to 4 MiB");
	is_killed(run_child(small_stack), SIGSEGV, "but not past RLIMIT_STACK");
	return tap_end();
}
