/*
 * mmap, munmap, mprotect and what the mappings then do.
 */
#include "fault.h"
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define PAGE 4096UL
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

static char *map_anon(size_t pages, int prot)
{
	char *p = mmap(NULL, pages * PAGE, prot, ANON, -1, 0);
	need(p != MAP_FAILED);
	return p;
}

/* An unlinked file of `pages` pages; each starts with its number plus 'a'. */
static int temp_file(int pages, const char *flags)
{
	char path[] = "/tmp/guest-mmap.XXXXXX", block[PAGE] = {};
	int fd = mkstemp(path), result = fd;
	need(fd >= 0);
	for (int i = 0; i < pages; i++) {
		block[0] = (char)('a' + i);
		need(write(fd, block, PAGE) == (ssize_t)PAGE);
	}
	if (strcmp(flags, "rw") != 0) {
		result = open(path, strcmp(flags, "r") == 0 ? O_RDONLY : O_WRONLY);
		need(result >= 0);
		close(fd);
	}
	need(unlink(path) == 0);
	return result;
}

static void test_anonymous(void)
{
	char *p = map_anon(4, RW);
	is_int((uintptr_t)p % PAGE, 0, "mmap gives a page");
	int sum = 0;
	for (size_t i = 0; i < 4 * PAGE; i++)
		sum += p[i];
	is_int(sum, 0, "it is zeroed");
	p[4 * PAGE - 1] = 1;
	is_int(munmap(p + PAGE, PAGE), 0, "unmap the second page");
	ok(readable(p) && !readable(p + PAGE) && readable(p + 2 * PAGE), "only that is gone");
	is_int(p[4 * PAGE - 1], 1, "the rest is as it was");
	is_int(munmap(p, 4 * PAGE), 0, "unmap with a hole");
	ok(!readable(p) && !readable(p + 3 * PAGE), "all is gone");
	is_int(munmap(p, 4 * PAGE), 0, "unmap nothing");
	p = mmap(NULL, 100, RW, ANON, -1, 0);
	ok(writable(p + PAGE - 1), "a length is rounded up");
	is_int(munmap(p, 1), 0, "in munmap too");
	ok(!readable(p + PAGE - 1), "and the page is gone");
}

static void test_fixed(void)
{
	char *p = map_anon(4, RW), *q;
	memset(p, 'x', 4 * PAGE);
	q = mmap(p + PAGE, 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
	ok(q == p + PAGE, "MAP_FIXED");
	ok(p[0] == 'x' && p[PAGE] == 0 && p[2 * PAGE] == 0 && p[3 * PAGE] == 'x',
	   "replaces what was there");
	is_err(mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST,
	       "MAP_FIXED_NOREPLACE over a mapping");
	munmap(p + PAGE, PAGE);
	q = mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
	ok(q == p + PAGE, "MAP_FIXED_NOREPLACE in a hole");
	munmap(p + PAGE, PAGE);
	ok(mmap(p + PAGE, PAGE, RW, ANON, -1, 0) == p + PAGE, "a hint in a hole is taken");
	q = mmap(p + PAGE, PAGE, RW, ANON, -1, 0);
	ok(q != p + PAGE && q != MAP_FAILED, "a hint over a mapping is not");
	munmap(q, PAGE);
	munmap(p, 4 * PAGE);
	is_err(mmap(p + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0), EINVAL, "MAP_FIXED unaligned");
	is_err(mmap((void *)0x7fffffffe000, 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM,
	       "MAP_FIXED past the end of the address space");
	is_err(mmap((void *)0xffff800000000000, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM,
	       "MAP_FIXED in the kernel's half");
}

static void test_errors(void)
{
	int fd = temp_file(1, "rw"), fd_read = temp_file(1, "r"), fd_write = temp_file(1, "w");
	int pipe_fd[2];
	char *p = map_anon(2, RW);
	need(pipe(pipe_fd) == 0);
	is_err(mmap(NULL, 0, RW, ANON, -1, 0), EINVAL, "length 0");
	is_err(mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0), EINVAL, "neither private nor shared");
	is_err(mmap(NULL, PAGE, RW, MAP_PRIVATE, -1, 0), EBADF, "a bad descriptor");
	is_err(mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 1), EINVAL, "an unaligned offset");
	is_err(mmap(NULL, PAGE, RW, MAP_PRIVATE, pipe_fd[0], 0), ENODEV, "a pipe");
	is_err(mmap(NULL, PAGE, RW, MAP_SHARED, fd_read, 0), EACCES,
	       "shared and writable, file read-only");
	is_err(mmap(NULL, PAGE, PROT_WRITE, MAP_PRIVATE, fd_write, 0), EACCES,
	       "a file open for writing only");
	is_err(mmap(NULL, ~0UL - PAGE, RW, ANON, -1, 0), ENOMEM, "a huge length");
	is_err(mmap(NULL, 1UL << 47, RW, ANON, -1, 0), ENOMEM, "a length of all addresses");
	is_err(mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, -(off_t)PAGE), EOVERFLOW, "offset -4096");
	is_err(munmap(p + 1, PAGE), EINVAL, "munmap unaligned");
	is_err(munmap(p, 0), EINVAL, "munmap of length 0");
	is_err(munmap(p, 1UL << 47), EINVAL, "munmap of a huge length");
	is_err(mprotect(p + 1, PAGE, RW), EINVAL, "mprotect unaligned");
	is_int(mprotect(p, 0, RW), 0, "mprotect of length 0");
	is_err(mprotect(p, PAGE, 0x70), EINVAL, "mprotect with unknown bits");
	munmap(p + PAGE, PAGE);
	is_err(mprotect(p, 2 * PAGE, PROT_READ), ENOMEM, "mprotect over a hole");
	ok(!writable(p), "which has changed what comes before the hole");
	is_err(mprotect(tap_pointer(0), PAGE, RW), ENOMEM, "mprotect of nothing");
	char *q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd_read, 0);
	is_err(mprotect(q, PAGE, RW), EACCES, "mprotect of a file open for reading only");
	munmap(q, PAGE);
	munmap(p, PAGE);
	close(fd);
	close(fd_read);
	close(fd_write);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

static void test_protect(void)
{
	char *p = map_anon(3, RW);
	memset(p, 'y', 3 * PAGE);
	is_int(mprotect(p + PAGE, PAGE, PROT_NONE), 0, "PROT_NONE for the middle page");
	ok(writable(p + PAGE - 1) && !readable(p + PAGE) && writable(p + 2 * PAGE), "is exact");
	is_int(mprotect(p, 3 * PAGE, PROT_READ), 0, "PROT_READ for all");
	ok(readable(p + PAGE) && !writable(p) && !writable(p + 2 * PAGE), "no more writes");
	is_int(p[PAGE + 5], 'y', "the contents stay");
	struct fault fault = fault_try(p + PAGE + 9, true);
	ok(fault.signal == SIGSEGV && fault.code == SEGV_ACCERR && fault.address == p + PAGE + 9,
	   "a write faults with SEGV_ACCERR there");
	is_int(mprotect(p, 3 * PAGE, RW), 0, "writable again");
	ok(writable(p) && writable(p + PAGE) && writable(p + 2 * PAGE), "all is");
	/* mov $42, %eax; ret */
	memcpy(p, "\xb8\x2a\0\0\0\xc3", 6);
	is_int(mprotect(p, PAGE, PROT_READ | PROT_EXEC), 0, "PROT_EXEC");
	is_int(((int (*)(void))p)(), 42, "the code runs");
	munmap(p, 3 * PAGE);
	is_err(write(1, map_anon(1, PROT_NONE), 1), EFAULT, "a system call cannot read PROT_NONE");
	p = map_anon(1, PROT_READ);
	int fd[2];
	need(pipe(fd) == 0 && write(fd[1], "z", 1) == 1);
	is_err(read(fd[0], p, 1), EFAULT, "a system call cannot write to PROT_READ");
	close(fd[0]);
	close(fd[1]);
	munmap(p, PAGE);
}

static void test_file(void)
{
	int fd = temp_file(3, "rw");
	char c = 0;
	char *a = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);
	char *b = mmap(NULL, PAGE, RW, MAP_SHARED, fd, PAGE);
	char *own = mmap(NULL, 3 * PAGE, RW, MAP_PRIVATE, fd, 0);
	need(a != MAP_FAILED && b != MAP_FAILED && own != MAP_FAILED);
	ok(a[0] == 'a' && a[PAGE] == 'b' && b[0] == 'b' && own[2 * PAGE] == 'c', "contents");
	a[PAGE] = 'B';
	is_int(b[0], 'B', "a shared mapping is shared");
	is_int(pread(fd, &c, 1, PAGE), 1, "pread");
	is_int(c, 'B', "sees what was written to it");
	is_int(pwrite(fd, "C", 1, 2 * PAGE), 1, "pwrite");
	is_int(a[2 * PAGE], 'C', "is seen in it");
	own[0] = 'P';
	is_int(a[0], 'a', "a private mapping is private");
	is_int(msync(a, 3 * PAGE, MS_SYNC), 0, "MS_SYNC");
	is_int(msync(a, 3 * PAGE, MS_ASYNC), 0, "MS_ASYNC");
	is_err(msync(a, PAGE, MS_SYNC | MS_ASYNC), EINVAL, "both");
	is_err(msync(a + 1, PAGE, MS_SYNC), EINVAL, "msync unaligned");
	is_err(msync(a, PAGE, 0x40), EINVAL, "msync with unknown flags");
	need(ftruncate(fd, PAGE + 10) == 0);
	ok(readable(a + PAGE + 10), "the last page of a truncated file is there");
	struct fault fault = fault_try(a + 2 * PAGE, false);
	ok(fault.signal == SIGBUS && fault.code == BUS_ADRERR && fault.address == a + 2 * PAGE,
	   "the next gives SIGBUS");
	is_int(fault_try(own + 2 * PAGE, true).signal, SIGBUS, "in a private mapping too");
	need(ftruncate(fd, 3 * PAGE) == 0);
	is_int(a[2 * PAGE], 0, "after growing, zeros");
	close(fd);
	a[1] = 'q';
	is_int(a[1], 'q', "a mapping outlives its descriptor");
	pid_t child = tap_fork();
	if (child == 0) {
		a[2] = 'f';
		own[0] = 'Q';
		_exit(0);
	}
	tap_wait(child);
	is_int(a[2], 'f', "a shared file mapping stays shared after fork");
	is_int(own[0], 'P', "a private one is copied");
	munmap(b, PAGE);
	munmap(a, 3 * PAGE);
	munmap(own, 3 * PAGE);

	fd = open("/proc/self/exe", O_RDONLY);
	a = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
	ok(a != MAP_FAILED && memcmp(a, "\177ELF", 4) == 0, "a private mapping of the program");
	a[0] = 'x';
	pread(fd, &c, 1, 0);
	is_int(c, 0177, "can be written, without changing it");
	munmap(a, PAGE);
	close(fd);
	fd = open("/dev/zero", O_RDWR);
	a = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
	ok(a != MAP_FAILED && a[5] == 0 && writable(a), "/dev/zero can be mapped");
	munmap(a, PAGE);
	close(fd);
}

static void test_shared_anonymous(void)
{
	int *p = shared_alloc(3 * PAGE);
	pid_t child = tap_fork();
	if (child == 0) {
		p[0] = 5;
		p[1024] = 6;
		p = mremap(p, 3 * PAGE, PAGE, 0);
		_exit(p == MAP_FAILED);
	}
	is_exit(tap_wait(child), 0, "a child with shared memory");
	ok(p[0] == 5 && p[1024] == 6, "its writes are seen");
	munmap(p, 3 * PAGE);
}

static void test_flags(void)
{
	char *p = mmap(NULL, 1UL << 36, RW, ANON | MAP_NORESERVE, -1, 0);
	ok(p != MAP_FAILED && writable(p + (1UL << 35)), "64 GiB with MAP_NORESERVE");
	munmap(p, 1UL << 36);
	p = mmap(NULL, 4 * PAGE, RW, ANON | MAP_POPULATE, -1, 0);
	unsigned char resident[4] = {};
	is_int(mincore(p, 4 * PAGE, resident), 0, "mincore");
	ok((resident[0] & resident[3] & 1) == 1, "MAP_POPULATE makes pages resident");
	munmap(p, 4 * PAGE);
	p = mmap(NULL, PAGE, RW, ANON | MAP_STACK, -1, 0);
	ok(p != MAP_FAILED && writable(p), "MAP_STACK");
	munmap(p, PAGE);
	p = mmap(NULL, PAGE, RW, ANON | MAP_32BIT, -1, 0);
	ok(p != MAP_FAILED && (uintptr_t)p < 1UL << 31, "MAP_32BIT");
	munmap(p, PAGE);
	is_err(mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS | 1 << 28, -1, 0), EINVAL,
	       "MAP_SHARED_VALIDATE needs a file");

	/* A mapping that grows down when the page below it is touched. */
	char *area = map_anon(600, PROT_NONE);
	munmap(area, 600 * PAGE);
	p = mmap(area + 599 * PAGE, PAGE, RW, ANON | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
	ok(p == area + 599 * PAGE && writable(p - 1), "MAP_GROWSDOWN grows");
	ok(writable(p - 3 * PAGE), "several pages at a time");
	munmap(p - 3 * PAGE, 4 * PAGE);
}

static bool maps_has(void *address, const char *permissions, const char *end)
{
	char line[512], start[32];
	bool found = false;
	FILE *file = fopen("/proc/self/maps", "re");
	need(file != NULL);
	snprintf(start, sizeof(start), "%lx-", (unsigned long)(uintptr_t)address);
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, start, strlen(start)) != 0)
			continue;
		line[strcspn(line, "\n")] = 0;
		size_t length = strlen(line);
		found = strstr(line, permissions) != NULL && length >= strlen(end) &&
			strcmp(line + length - strlen(end), end) == 0;
	}
	fclose(file);
	return found;
}

static void test_maps(void)
{
	char *p = map_anon(5, RW);
	mprotect(p, PAGE, PROT_NONE);
	mprotect(p + PAGE, PAGE, PROT_READ);
	mprotect(p + 2 * PAGE, PAGE, PROT_READ | PROT_EXEC);
	mprotect(p + 4 * PAGE, PAGE, PROT_NONE);
	ok(maps_has(p + PAGE, " r--p 00000000 00:00 0", ""), "maps: a read-only page");
	ok(maps_has(p + 2 * PAGE, " r-xp ", ""), "maps: an executable page");
	ok(maps_has(p + 3 * PAGE, " rw-p ", ""), "maps: a writable page");
	munmap(p, 5 * PAGE);
	ok(!maps_has(p + 3 * PAGE, "", ""), "maps: gone");
	int fd = open("/proc/self/exe", O_RDONLY);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
	ok(maps_has(p, " r--s 00001000 ", "mmap"), "maps: a file, with offset and name");
	munmap(p, PAGE);
	close(fd);
}

static void limit_as(void)
{
	struct rlimit limit = { 1UL << 28, 1UL << 28 };
	need(setrlimit(RLIMIT_AS, &limit) == 0);
	need_err(mmap(NULL, 1UL << 28, RW, ANON, -1, 0), ENOMEM);
	need_err(mmap(NULL, 1UL << 28, PROT_NONE, ANON | MAP_NORESERVE, -1, 0), ENOMEM);
	char *p = mmap(NULL, 1UL << 26, RW, ANON, -1, 0);
	need(p != MAP_FAILED);
	need_err(mremap(p, 1UL << 26, 1UL << 28, MREMAP_MAYMOVE), ENOMEM);
	need(munmap(p, 1UL << 26) == 0);
}

static void limit_data(void)
{
	struct rlimit limit = { 1UL << 26, 1UL << 26 };
	need(setrlimit(RLIMIT_DATA, &limit) == 0);
	need_err(mmap(NULL, 1UL << 27, RW, ANON, -1, 0), ENOMEM);
	need(mmap(NULL, 1UL << 27, PROT_READ, ANON, -1, 0) != MAP_FAILED);
	char *brk = (char *)syscall(SYS_brk, 0);
	need((char *)syscall(SYS_brk, brk + (1UL << 27)) == brk);
}

int main(void)
{
	tap_begin();
	test_anonymous();
	test_fixed();
	test_errors();
	test_protect();
	test_file();
	test_shared_anonymous();
	test_flags();
	test_maps();
	child_ok(limit_as, "RLIMIT_AS");
	child_ok(limit_data, "RLIMIT_DATA");
	return tap_end();
}
