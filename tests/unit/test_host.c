/* Host calls: errors, faults on purpose, shared memory that goes away, host files. */

#include <errno.h>
#include <linux/stat.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/file.h"
#include "host/host.h"

static void test_errors(void **state)
{
	char c;

	errno = 123;
	assert_int_equal(host_openat(AT_FDCWD, "/does/not/exist", O_RDONLY, 0), -ENOENT);
	assert_int_equal(host_read(-1, &c, 1), -EBADF);
	assert_true(host_is_err(host_mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
	assert_int_equal(errno, 123);
	assert_int_equal(host_getpid(), getpid());
	assert_int_equal(host_gettid(), gettid());
}

static void test_files(void **state)
{
	char buf[16] = {};
	struct stat st;
	int fd = host_memfd_create("test", 0), dup;

	assert_true(fd >= 0);
	assert_int_equal(host_fcntl(fd, F_GETFD, 0), FD_CLOEXEC);
	assert_int_equal(host_write(fd, "hello", 5), 5);
	assert_int_equal(host_pwrite(fd, "J", 1, 0), 1);
	assert_int_equal(host_pread(fd, buf, 16, 0), 5);
	assert_string_equal(buf, "Jello");
	assert_int_equal(host_lseek(fd, 0, SEEK_END), 5);
	assert_int_equal(host_fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 5);
	dup = host_dup(fd);
	assert_int_equal(host_fcntl(dup, F_GETFD, 0), FD_CLOEXEC);
	assert_int_equal(host_close(dup), 0);
	assert_int_equal(host_close(fd), 0);
	assert_int_equal(host_close(fd), -EBADF);
}

static void test_times(void **state)
{
	_Atomic u32 word = 1;
	s64 now = host_clock(CLOCK_MONOTONIC);
	struct epoll_event ev;
	int ep = host_epoll_create();

	assert_int_equal(host_futex_wait(&word, 0, INT64_MAX), -EAGAIN);
	assert_int_equal(host_futex_wait(&word, 1, now + 1'000'000), -ETIMEDOUT);
	assert_true(host_clock(CLOCK_MONOTONIC) >= now + 1'000'000);
	assert_int_equal(host_futex_wake(&word, 1, false), 0);
	assert_int_equal(host_epoll_wait(ep, &ev, 1, 1'000'000), 0);
	assert_true(host_clock(CLOCK_MONOTONIC) >= now + 2'000'000);
	assert_int_equal(host_nanosleep_until(now + 3'000'000), 0);
	assert_true(host_clock(CLOCK_MONOTONIC) >= now + 3'000'000);
	host_close(ep);
	assert_int_not_equal(host_random_u64(), host_random_u64());
}

/* ---- the table ---- */

static int g_seen;

static void see_row(int nr, const char *name, unsigned int sections, void *arg)
{
	assert_true(sections & HC_KERNEL);
	assert_int_equal(host_call_sections(nr), sections);
	if (nr == SYS_futex)
		assert_string_equal(name, "futex");
	g_seen++;
}

static long fail_getpid(long nr)
{
	return nr == SYS_getpid ? -ENOMEM : 0;
}

static void test_table(void **state)
{
	host_calls_for_each(HC_KERNEL, see_row, NULL);
	assert_true(g_seen > 40);
	assert_int_equal(host_call_sections(SYS_execve) & HC_KERNEL, 0);
	assert_int_equal(host_call_sections(SYS_reboot), 0);
	assert_int_equal(host_call_sections(-1), 0);
	assert_int_equal(host_call_sections(100000), 0);
	host_set_fault_hook(fail_getpid);
	assert_int_equal(host_getpid(), -ENOMEM);
	assert_int_equal(host_gettid(), gettid());
	host_set_fault_hook(NULL);
	assert_int_equal(host_getpid(), getpid());
}

/* ---- shared memory ---- */

static void *shared_map(int fd, size_t size)
{
	void *p = host_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_false(host_is_err(p));
	return p;
}

static void test_shared_copy(void **state)
{
	int fd = host_memfd_create("test", 0);
	char *p, from[1024], to[1024];

	assert_int_equal(host_ftruncate(fd, 8192), 0);
	p = shared_map(fd, 8192);
	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (char)(i * 7);
	for (size_t size = 0; size <= sizeof(from); size += size < 300 ? 1 : 13) {
		memset(to, 0, sizeof(to));
		assert_int_equal(host_shared_write(p + 3, from, size), 0);
		assert_int_equal(host_shared_read(to, p + 3, size), 0);
		assert_memory_equal(to, from, size);
		if (size < sizeof(to))
			assert_int_equal(to[size], 0);
	}
	host_munmap(p, 8192);
	host_close(fd);
}

static void fault_all(char *gone)
{
	char buf[5000];
	u32 v32 = 0;
	u64 v64 = 0;

	for (int i = 0; i < 100; i++) {
		assert_int_equal(host_shared_read(buf, gone, 1), -EFAULT);
		assert_int_equal(host_shared_read(buf, gone, 8), -EFAULT);
		assert_int_equal(host_shared_read(buf, gone, 5000), -EFAULT);
		assert_int_equal(host_shared_write(gone, buf, 1), -EFAULT);
		assert_int_equal(host_shared_write(gone, buf, 200), -EFAULT);
		assert_int_equal(host_shared_write(gone, buf, 5000), -EFAULT);
		assert_int_equal(host_shared_load32((u32 *)(void *)gone, &v32), -EFAULT);
		assert_int_equal(host_shared_load64((u64 *)(void *)gone, &v64), -EFAULT);
		assert_int_equal(host_shared_cmpxchg32((u32 *)(void *)gone, 0, 1, &v32), -EFAULT);
	}
}

static void *fault_thread(void *arg)
{
	assert_int_equal(host_fault_thread_init(), 0);
	fault_all(arg);
	host_fault_thread_fini();
	return NULL;
}

static void test_shared_fault(void **state)
{
	int fd = host_memfd_create("test", 0);
	pthread_t t[4];
	u32 old = 0;
	u64 wide = 0;
	char *p;

	assert_int_equal(host_fault_init(), 0);
	assert_int_equal(host_fault_init(), 0);
	assert_int_equal(host_ftruncate(fd, 8192), 0);
	p = shared_map(fd, 8192);
	p[4096] = 5;
	assert_int_equal(host_shared_load32((u32 *)(void *)(p + 4096), &old), 0);
	assert_int_equal(old, 5);
	assert_int_equal(host_shared_cmpxchg32((u32 *)(void *)(p + 4096), 5, 9, &old), 0);
	assert_int_equal(old, 5);
	assert_int_equal(host_shared_cmpxchg32((u32 *)(void *)(p + 4096), 5, 10, &old), 0);
	assert_int_equal(old, 9);
	assert_int_equal(host_shared_load64((u64 *)(void *)(p + 4096), &wide), 0);
	assert_int_equal(wide, 9);
	/* A SIGBUS each. */
	assert_int_equal(host_ftruncate(fd, 4096), 0);
	fault_all(p + 4096);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, fault_thread, p + 4096), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	/* A SIGSEGV each. */
	assert_int_equal(host_mprotect(p, 8192, PROT_NONE), 0);
	fault_all(p);
	host_munmap(p, 8192);
	host_close(fd);
}

static void test_real_crash(void **state)
{
	volatile int *volatile nowhere = NULL;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		close(1);
		close(2);
		signal(SIGABRT, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
		if (!host_fault_init())
			*nowhere = 1;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

/* ---- host files ---- */

struct named_file {
	struct host_file f;
	int reopens, releases;
};

static int named_reopen(struct host_file *f)
{
	((struct named_file *)(void *)f)->reopens++;
	return host_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0);
}

static void named_release(struct host_file *f)
{
	((struct named_file *)(void *)f)->releases++;
}

static const struct host_file_ops named_ops = { named_reopen, named_release };

static void test_host_file(void **state)
{
	struct named_file n = {};
	struct host_file *f;
	int fd;

	host_file_init(&n.f, &named_ops, -1);
	fd = host_file_pin(&n.f);
	assert_true(fd >= 0);
	assert_int_equal(n.reopens, 1);
	assert_int_equal(host_file_pin(&n.f), fd);
	assert_int_equal(n.reopens, 1);
	assert_int_equal(host_file_get_fd(&n.f), fd);
	host_file_unpin(&n.f);
	host_file_unpin(&n.f);
	host_file_get(&n.f);
	host_file_put(&n.f);
	assert_int_equal(n.releases, 0);
	host_file_put(&n.f);
	assert_int_equal(n.releases, 1);
	assert_int_equal(host_close(fd), -EBADF);
	host_file_put(NULL);

	f = host_file_create(host_memfd_create("test", 0));
	fd = host_file_pin(f);
	assert_int_equal(host_write(fd, "x", 1), 1);
	host_file_unpin(f);
	host_file_put(f);
	f = host_file_create(-1);
	assert_int_equal(host_file_pin(f), -EBADF);
	host_file_put(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),	    cmocka_unit_test(test_files),
		cmocka_unit_test(test_times),	    cmocka_unit_test(test_table),
		cmocka_unit_test(test_shared_copy), cmocka_unit_test(test_shared_fault),
		cmocka_unit_test(test_real_crash),  cmocka_unit_test(test_host_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
