/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Micro benchmarks of system calls, memory, processes and threads.
 *
 *	micro NAME...        run these (all without an argument); one JSON line each
 *	micro --list         their names
 *
 * A static program that is the same for every variant of bench/run.py. Each benchmark takes `n`
 * samples; a sample is the time of one call, or, where a call may be shorter than the clock can
 * resolve, of a batch divided by its size. Time is the TSC, calibrated against CLOCK_MONOTONIC: it
 * costs no system call, so it measures only what it is put around, whatever kernel answers.
 *
 * A benchmark that fails prints {"name": ..., "error": ...} and the rest go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MANY 20000
#define WARM_UP(n) ((n) / 20 + 1)

static double g_ns_per_tick;
static const char *g_name;
static uint64_t *g_samples;
static const char *g_self;

/* ---- measuring ---- */

__attribute__((noreturn)) static void fail(const char *what)
{
	const char *why = errno ? strerror(errno) : "wrong result";
	printf("{\"name\": \"%s\", \"error\": \"%s: %s\"}\n", g_name, what, why);
	fflush(stdout);
	_exit(1);
}

static void check(bool ok, const char *what)
{
	if (!ok)
		fail(what);
}

static inline uint64_t ticks(void)
{
	unsigned int cpu;
	_mm_lfence();
	uint64_t now = __rdtscp(&cpu);
	_mm_lfence();
	return now;
}

static uint64_t clock_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Both clocks are read close together; the closest of some readings counts. */
static void read_both(uint64_t *ret_ns, uint64_t *ret_ticks)
{
	uint64_t best = UINT64_MAX;
	for (int i = 0; i < 50; i++) {
		uint64_t before = ticks();
		uint64_t ns = clock_ns();
		uint64_t after = ticks();
		if (after - before < best) {
			best = after - before;
			*ret_ns = ns;
			*ret_ticks = before + (after - before) / 2;
		}
	}
}

static void calibrate(void)
{
	uint64_t ns0, ticks0, ns1, ticks1;
	read_both(&ns0, &ticks0);
	while (clock_ns() - ns0 < 20000000)
		;
	read_both(&ns1, &ticks1);
	g_ns_per_tick = (double)(ns1 - ns0) / (double)(ticks1 - ticks0);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Print what n samples, each of `batch` calls, say. */
static void report(const char *unit, int n, int batch)
{
	qsort(g_samples, (size_t)n, sizeof(*g_samples), compare);
	double scale = g_ns_per_tick / batch;
	printf("{\"name\": \"%s\", \"unit\": \"%s\", \"n\": %d, \"median_ns\": %.1f, "
	       "\"min_ns\": %.1f, \"p99_ns\": %.1f}\n",
	       g_name, unit, n, (double)g_samples[n / 2] * scale, (double)g_samples[0] * scale,
	       (double)g_samples[n - 1 - n / 100] * scale);
	fflush(stdout);
}

typedef void call_fn(void *arg);

/* n samples of `batch` calls each, after a warm-up. */
static void measure(const char *unit, int n, int batch, call_fn *call, void *arg)
{
	for (int i = 0; i < WARM_UP(n); i++)
		for (int j = 0; j < batch; j++)
			call(arg);
	for (int i = 0; i < n; i++) {
		uint64_t start = ticks();
		for (int j = 0; j < batch; j++)
			call(arg);
		g_samples[i] = ticks() - start;
	}
	report(unit, n, batch);
}

/* ---- system calls ---- */

static inline long raw_syscall(long nr)
{
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(nr) : "rcx", "r11", "memory");
	return result;
}

static void call_getppid(void *arg)
{
	getppid();
}

static void call_getppid_inline(void *arg)
{
	raw_syscall(SYS_getppid);
}

static void call_clock_gettime(void *arg)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
}

static void bench_getppid(void)
{
	measure("call", MANY, 1, call_getppid, NULL);
}

static void bench_getppid_inline(void)
{
	measure("call", MANY, 1, call_getppid_inline, NULL);
}

static void bench_clock_gettime(void)
{
	measure("call", MANY, 16, call_clock_gettime, NULL);
}

/* Threads that stand beside the measured one until they are told to go. */
struct beside {
	pthread_t *threads;
	int count;
	_Atomic int ready;
	_Atomic uint32_t stop;
};

static long futex(_Atomic uint32_t *word, int op, uint32_t value)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void *parked_thread(void *arg)
{
	struct beside *b = arg;
	atomic_fetch_add(&b->ready, 1);
	while (!atomic_load(&b->stop))
		futex(&b->stop, FUTEX_WAIT, 0);
	return NULL;
}

static void *busy_thread(void *arg)
{
	struct beside *b = arg;
	atomic_fetch_add(&b->ready, 1);
	while (!atomic_load_explicit(&b->stop, memory_order_relaxed))
		;
	return NULL;
}

static void beside_start(struct beside *b, int count, void *(*body)(void *))
{
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	*b = (struct beside){ .count = count };
	b->threads = calloc((size_t)count, sizeof(*b->threads));
	check(b->threads, "calloc");
	for (int i = 0; i < count; i++) {
		errno = pthread_create(&b->threads[i], &attr, body, b);
		check(errno == 0, "pthread_create");
	}
	while (atomic_load(&b->ready) < count)
		usleep(1000);
	usleep(50000); /* the last ones reach their futex */
}

static void beside_stop(struct beside *b)
{
	atomic_store(&b->stop, 1);
	futex(&b->stop, FUTEX_WAKE, INT32_MAX);
	for (int i = 0; i < b->count; i++)
		pthread_join(b->threads[i], NULL);
	free(b->threads);
}

static int g_threads_parked = 1000;

static void bench_getppid_parked(void)
{
	struct beside b;
	beside_start(&b, g_threads_parked, parked_thread);
	measure("call", MANY, 1, call_getppid, NULL);
	beside_stop(&b);
}

static void bench_getppid_busy(void)
{
	struct beside b;
	beside_start(&b, 2, busy_thread);
	measure("call", MANY, 1, call_getppid, NULL);
	beside_stop(&b);
}

/* ---- files ---- */

struct file_io {
	int fd;
	size_t size;
	char *buf;
};

static char g_path[64];

static void call_pread(void *arg)
{
	struct file_io *io = arg;
	if (pread(io->fd, io->buf, io->size, 0) != (ssize_t)io->size)
		fail("pread");
}

static void call_pwrite(void *arg)
{
	struct file_io *io = arg;
	if (pwrite(io->fd, io->buf, io->size, 0) != (ssize_t)io->size)
		fail("pwrite");
}

static int make_file(size_t size)
{
	static char zeros[65536];
	snprintf(g_path, sizeof(g_path), "/tmp/donjon-bench-%d", (int)getpid());
	int fd = open(g_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	check(fd >= 0, "open in /tmp");
	check(write(fd, zeros, size) == (ssize_t)size, "write");
	return fd;
}

static void bench_file(size_t size, call_fn *call)
{
	struct file_io io = { .fd = make_file(65536), .size = size, .buf = malloc(size) };
	check(io.buf, "malloc");
	memset(io.buf, 1, size);
	measure("call", MANY, 1, call, &io);
	free(io.buf);
	close(io.fd);
	unlink(g_path);
}

static void bench_pread_1(void)
{
	bench_file(1, call_pread);
}

static void bench_pread_4k(void)
{
	bench_file(4096, call_pread);
}

static void bench_pread_64k(void)
{
	bench_file(65536, call_pread);
}

static void bench_pwrite_1(void)
{
	bench_file(1, call_pwrite);
}

static void bench_pwrite_4k(void)
{
	bench_file(4096, call_pwrite);
}

static void bench_pwrite_64k(void)
{
	bench_file(65536, call_pwrite);
}

/* A file of 256 MiB in memory, from its beginning to its end, in pieces of 256 KiB. */
#define BIG_PIECE (256 << 10)
#define BIG_PIECES 1024
#define BIG_RUNS 3

static void call_write_big(void *arg)
{
	struct file_io *io = arg;
	check(ftruncate(io->fd, 0) == 0 && lseek(io->fd, 0, SEEK_SET) == 0, "truncate");
	for (int i = 0; i < BIG_PIECES; i++)
		if (write(io->fd, io->buf, BIG_PIECE) != BIG_PIECE)
			fail("write");
}

static void call_read_big(void *arg)
{
	struct file_io *io = arg;
	check(lseek(io->fd, 0, SEEK_SET) == 0, "lseek");
	for (int i = 0; i < BIG_PIECES; i++)
		if (read(io->fd, io->buf, BIG_PIECE) != BIG_PIECE)
			fail("read");
}

static void bench_big(call_fn *call)
{
	struct file_io io = { .buf = malloc(BIG_PIECE) };
	check(io.buf, "malloc");
	memset(io.buf, 1, BIG_PIECE);
	snprintf(g_path, sizeof(g_path), "/dev/shm/donjon-bench-%d", (int)getpid());
	io.fd = open(g_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	check(io.fd >= 0, "open in /dev/shm");
	unlink(g_path);
	call_write_big(&io);
	measure("256 MiB", BIG_RUNS, 1, call, &io);
	free(io.buf);
	close(io.fd);
}

static void bench_tmpfs_write(void)
{
	bench_big(call_write_big);
}

static void bench_tmpfs_read(void)
{
	bench_big(call_read_big);
}

static void call_stat(void *arg)
{
	struct stat st;
	if (stat(g_path, &st) != 0)
		fail("stat");
}

static void call_open_close(void *arg)
{
	int fd = open(g_path, O_RDONLY);
	if (fd < 0 || close(fd) != 0)
		fail("open+close");
}

static void bench_path(call_fn *call)
{
	int fd = make_file(1);
	measure("call", MANY, 1, call, NULL);
	close(fd);
	unlink(g_path);
}

static void bench_stat(void)
{
	bench_path(call_stat);
}

static void bench_open_close(void)
{
	bench_path(call_open_close);
}

/* ---- pipes ---- */

struct pipe_pair {
	int there[2], back[2];
};

static void call_pipe_self(void *arg)
{
	struct pipe_pair *p = arg;
	char c = 'x';
	if (write(p->there[1], &c, 1) != 1 || read(p->there[0], &c, 1) != 1)
		fail("pipe");
}

static void call_pipe_two(void *arg)
{
	struct pipe_pair *p = arg;
	char c = 'x';
	if (write(p->there[1], &c, 1) != 1 || read(p->back[0], &c, 1) != 1)
		fail("pipe");
}

static void bench_pipe_self(void)
{
	struct pipe_pair p;
	check(pipe(p.there) == 0, "pipe");
	measure("round trip", MANY, 1, call_pipe_self, &p);
}

static void bench_pipe_two(void)
{
	struct pipe_pair p;
	check(pipe(p.there) == 0 && pipe(p.back) == 0, "pipe");
	pid_t pid = fork();
	check(pid >= 0, "fork");
	if (pid == 0) {
		char c;
		close(p.there[1]);
		while (read(p.there[0], &c, 1) == 1)
			if (write(p.back[1], &c, 1) != 1)
				_exit(1);
		_exit(0);
	}
	measure("round trip", MANY, 1, call_pipe_two, &p);
	close(p.there[1]);
	waitpid(pid, NULL, 0);
}

/* ---- memory ---- */

#define MAP_SIZE (64 * 1024)
#define TOUCH_SIZE (64 * 1024 * 1024)

static void touch(char *at, size_t size)
{
	for (size_t i = 0; i < size; i += 4096)
		*(volatile char *)(at + i) = 1;
}

static void call_mmap(void *arg)
{
	char *at = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		fail("mmap");
	touch(at, MAP_SIZE);
	munmap(at, MAP_SIZE);
}

static void bench_mmap_touch_munmap(void)
{
	measure("call", MANY / 2, 1, call_mmap, NULL);
}

/* Small pages, so that it is faults that are counted and not the clearing of huge pages. */
static void bench_page_touch(void)
{
	const int n = 20;
	for (int i = 0; i < n; i++) {
		char *at = mmap(NULL, TOUCH_SIZE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		check(at != MAP_FAILED, "mmap");
		madvise(at, TOUCH_SIZE, MADV_NOHUGEPAGE);
		uint64_t start = ticks();
		touch(at, TOUCH_SIZE);
		g_samples[i] = ticks() - start;
		munmap(at, TOUCH_SIZE);
	}
	report("page", n, TOUCH_SIZE / 4096);
}

/* ---- processes ---- */

static void reap(pid_t pid, const char *what)
{
	int status;
	check(pid > 0, what);
	check(waitpid(pid, &status, 0) == pid, "waitpid");
	errno = 0;
	check(status == 0, "the child's exit status");
}

static void call_fork(void *arg)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	reap(pid, "fork");
}

static void call_vfork_exec(void *arg)
{
	char *argv[] = { (char *)"micro", (char *)"--true", NULL };
	pid_t pid = vfork();
	if (pid == 0) {
		execve(g_self, argv, environ);
		_exit(127);
	}
	reap(pid, "vfork");
}

static void bench_fork(void)
{
	measure("call", 1000, 1, call_fork, NULL);
}

static void bench_vfork_exec(void)
{
	measure("call", 500, 1, call_vfork_exec, NULL);
}

/* ---- threads ---- */

static void *empty_thread(void *arg)
{
	return NULL;
}

static void call_thread(void *arg)
{
	pthread_t thread;
	errno = pthread_create(&thread, NULL, empty_thread, NULL);
	if (errno)
		fail("pthread_create");
	pthread_join(thread, NULL);
}

static void bench_thread(void)
{
	measure("call", 5000, 1, call_thread, NULL);
}

struct ping_pong {
	_Atomic uint32_t turn; /* 0: ours, 1: theirs, 2: over */
};

static void *pong_thread(void *arg)
{
	struct ping_pong *pp = arg;
	for (;;) {
		uint32_t turn = atomic_load(&pp->turn);
		if (turn == 2)
			return NULL;
		if (turn == 0) {
			futex(&pp->turn, FUTEX_WAIT, 0);
			continue;
		}
		atomic_store(&pp->turn, 0);
		futex(&pp->turn, FUTEX_WAKE, 1);
	}
}

static void call_ping(void *arg)
{
	struct ping_pong *pp = arg;
	atomic_store(&pp->turn, 1);
	futex(&pp->turn, FUTEX_WAKE, 1);
	while (atomic_load(&pp->turn) == 1)
		futex(&pp->turn, FUTEX_WAIT, 1);
}

static void bench_futex(void)
{
	struct ping_pong pp = { 0 };
	pthread_t thread;
	errno = pthread_create(&thread, NULL, pong_thread, &pp);
	check(errno == 0, "pthread_create");
	measure("round trip", MANY, 1, call_ping, &pp);
	atomic_store(&pp.turn, 2);
	futex(&pp.turn, FUTEX_WAKE, 1);
	pthread_join(thread, NULL);
}

/* ---- signals ---- */

static volatile sig_atomic_t g_handled;
static sigjmp_buf g_recover;

static void count_signal(int signal)
{
	g_handled++;
}

static void recover(int signal)
{
	g_handled++;
	siglongjmp(g_recover, 1);
}

static void call_signal(void *arg)
{
	kill(*(const pid_t *)arg, SIGUSR1);
}

static void bench_signal(void)
{
	struct sigaction sa = { .sa_handler = count_signal };
	pid_t self = getpid();
	sigaction(SIGUSR1, &sa, NULL);
	g_handled = 0;
	measure("call", MANY, 1, call_signal, &self);
	errno = 0;
	check(g_handled == MANY + WARM_UP(MANY), "lost signals");
}

static void call_segv(void *arg)
{
	if (sigsetjmp(g_recover, 0) == 0)
		*(volatile char *)arg = 1;
}

static void bench_segv(void)
{
	struct sigaction sa = { .sa_handler = recover, .sa_flags = SA_NODEFER };
	sigaction(SIGSEGV, &sa, NULL);
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(page != MAP_FAILED, "mmap");
	g_handled = 0;
	measure("call", MANY, 1, call_segv, page);
	errno = 0;
	check(g_handled == MANY + WARM_UP(MANY), "lost signals");
}

/* ---- CPU ---- */

static inline uint32_t rotate(uint32_t x, int n)
{
	return (x >> n) | (x << (32 - n));
}

/* The round function of SHA-256 without its tables: integer work in registers. */
static uint32_t mix(uint32_t seed, int rounds)
{
	uint32_t a = seed, b = 0xbb67ae85, c = 0x3c6ef372, d = 0xa54ff53a;
	uint32_t e = 0x510e527f, f = 0x9b05688c, g = 0x1f83d9ab, h = 0x5be0cd19;
	for (int i = 0; i < rounds; i++) {
		uint32_t s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
		uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + 0x428a2f98u + (uint32_t)i;
		uint32_t s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
		uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
		h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
	}
	return a ^ e;
}

static void bench_cpu(void)
{
	const int n = 20;
	volatile uint32_t sink = 1;
	for (int i = 0; i < n; i++) {
		uint64_t start = ticks();
		sink = mix(sink, 5000000);
		g_samples[i] = ticks() - start;
	}
	report("loop", n, 1);
}

/* ---- the command line ---- */

static const struct benchmark {
	const char *name;
	void (*run)(void);
} benchmarks[] = {
	{ "getppid", bench_getppid },
	{ "getppid_inline", bench_getppid_inline },
	{ "getppid_parked", bench_getppid_parked },
	{ "getppid_busy", bench_getppid_busy },
	{ "clock_gettime", bench_clock_gettime },
	{ "pread_1", bench_pread_1 },
	{ "pread_4k", bench_pread_4k },
	{ "pread_64k", bench_pread_64k },
	{ "pwrite_1", bench_pwrite_1 },
	{ "pwrite_4k", bench_pwrite_4k },
	{ "pwrite_64k", bench_pwrite_64k },
	{ "tmpfs_write", bench_tmpfs_write },
	{ "tmpfs_read", bench_tmpfs_read },
	{ "stat", bench_stat },
	{ "open_close", bench_open_close },
	{ "pipe_self", bench_pipe_self },
	{ "pipe_two", bench_pipe_two },
	{ "mmap_touch_munmap", bench_mmap_touch_munmap },
	{ "page_touch", bench_page_touch },
	{ "fork_exit_wait", bench_fork },
	{ "vfork_exec_wait", bench_vfork_exec },
	{ "thread_create_join", bench_thread },
	{ "futex_ping_pong", bench_futex },
	{ "signal_self", bench_signal },
	{ "sigsegv", bench_segv },
	{ "cpu", bench_cpu },
};

static void run(const struct benchmark *b)
{
	g_name = b->name;
	b->run();
}

int main(int argc, char **argv)
{
	int at = 1;

	if (argc == 2 && strcmp(argv[1], "--true") == 0)
		return 0;
	if (argc == 2 && strcmp(argv[1], "--sleep") == 0) {
		sleep(3600);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (size_t i = 0; i < ARRAY_SIZE(benchmarks); i++)
			puts(benchmarks[i].name);
		return 0;
	}
	if (argc > 2 && strcmp(argv[1], "--threads-parked") == 0) {
		g_threads_parked = (int)strtol(argv[2], NULL, 10);
		at = 3;
	}

	g_self = argv[0];
	g_samples = calloc(MANY, sizeof(*g_samples));
	g_name = "start";
	check(g_samples, "calloc");
	memset(g_samples, 1, MANY * sizeof(*g_samples));
	calibrate();

	if (at == argc)
		for (size_t i = 0; i < ARRAY_SIZE(benchmarks); i++)
			run(&benchmarks[i]);
	for (; at < argc; at++) {
		size_t i = 0;
		while (i < ARRAY_SIZE(benchmarks) && strcmp(benchmarks[i].name, argv[at]) != 0)
			i++;
		if (i == ARRAY_SIZE(benchmarks)) {
			fprintf(stderr, "micro: no benchmark '%s'\n", argv[at]);
			return 2;
		}
		run(&benchmarks[i]);
	}
	return 0;
}
