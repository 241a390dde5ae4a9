/*
 * Makes random sequences of plausible system calls: 3 processes, each with children of 3 threads
 * that share descriptors, memory and files, while a timer interrupts them.
 *
 *	randstate SEED --in-sandbox
 *
 * Where randcall's calls are mostly refused, these mostly do something, and race with each other.
 * The calls of a thread depend on the seed alone, their interleaving does not. Prints TAP; that the
 * workers come to the end, and can still do their work, is the test.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 3, CHILDREN = 25, THREADS = 3, CALLS = 400, CHILD_MS = 1500, FDS = 40, AREA = 32 };

struct dice {
	uint64_t state;
};

static char *area; /* AREA pages, which come and go */
static int *shared; /* a page that all processes share */
static char dir[64];

static uint64_t mix(struct dice *d)
{
	uint64_t z = d->state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static unsigned roll(struct dice *d, unsigned sides)
{
	return (unsigned)(mix(d) % sides);
}

static int any_fd(struct dice *d)
{
	return 3 + (int)roll(d, FDS);
}

static size_t any_size(struct dice *d)
{
	static const size_t sizes[] = { 0,    1,    7,	  8,	 100,	4095,
					4096, 4097, 8192, 20000, 70000, 1 << 17 };
	return sizes[roll(d, sizeof(sizes) / sizeof(sizes[0]))];
}

static int64_t any_offset(struct dice *d)
{
	static const int64_t far[] = {
		INT64_MAX, INT64_MIN, INT64_MAX - 4096, -1,	     INT32_MAX,
		1L << 32,  1L << 47,  INT64_MAX - 1,	-(1L << 62), INT64_MIN + 8192
	};
	if (roll(d, 3))
		return (int64_t)any_size(d);
	return far[roll(d, sizeof(far) / sizeof(far[0]))];
}

/* Anywhere in the area; now and then elsewhere. */
static void *any_buffer(struct dice *d)
{
	switch (roll(d, 20)) {
	case 0:
		return NULL;
	case 1:
		return (void *)(0x7fffffffe000 + (uint64_t)roll(d, 8192));
	case 2:
		return (char *)shared + roll(d, 4096);
	case 3:
		return (void *)mix(d);
	default:
		return area + roll(d, AREA) * 4096 + (roll(d, 2) ? roll(d, 4096) : 0);
	}
}

static const char *any_path(struct dice *d)
{
	static const char *const fixed[] = {
		"/proc/self/maps",
		"/proc/self/status",
		"/proc/self/stat",
		"/dev/null",
		"/dev/zero",
		"/dev/full",
		"/dev/tty",
		"/proc",
		"/proc/self/fd/3",
		"/proc/self/exe",
		"/proc/self/fd",
		"/proc/meminfo",
		"/",
		"/proc/1/stat",
		"/proc/self/task",
		"/dev/urandom",
		"/proc/self/fd/9",
	};
	static __thread char path[4][128];
	static __thread unsigned next;
	if (roll(d, 5) == 0)
		return fixed[roll(d, sizeof(fixed) / sizeof(fixed[0]))];
	char *p = path[next++ % 4];
	switch (roll(d, 4)) {
	case 0:
		snprintf(p, 128, "%s/d%u/%u", dir, roll(d, 3), roll(d, 4));
		break;
	case 1:
		snprintf(p, 128, "%s/d%u", dir, roll(d, 3));
		break;
	case 2:
		snprintf(p, 128, "%s/d%u/../d%u/./%u/", dir, roll(d, 3), roll(d, 3), roll(d, 4));
		break;
	default:
		snprintf(p, 128, "%s/%u", dir, roll(d, 8));
	}
	return p;
}

/* Puts a new descriptor at a random place. */
static void keep(struct dice *d, int fd)
{
	if (fd < 0)
		return;
	dup2(fd, any_fd(d));
	if (fd >= 3 + FDS || roll(d, 4))
		close(fd);
}

static void do_open(struct dice *d)
{
	static const int modes[] = { O_RDONLY,
				     O_WRONLY,
				     O_RDWR,
				     O_RDWR | O_CREAT,
				     O_RDWR | O_CREAT | O_TRUNC,
				     O_WRONLY | O_APPEND | O_CREAT,
				     O_PATH,
				     O_DIRECTORY,
				     O_RDWR | O_CREAT | O_EXCL,
				     O_TMPFILE | O_RDWR };
	int flags =
		modes[roll(d, 10)] | (roll(d, 3) ? O_NONBLOCK : 0) | (roll(d, 8) ? 0 : O_NOFOLLOW);
	keep(d, openat(roll(d, 3) ? AT_FDCWD : any_fd(d), any_path(d), flags, 0600));
}

static void do_names(struct dice *d)
{
	struct stat st;
	const char *a = any_path(d), *b = any_path(d);
	switch (roll(d, 12)) {
	case 0:
		mkdir(a, 0700);
		break;
	case 1:
		rmdir(a);
		break;
	case 2:
		unlink(a);
		break;
	case 3:
		rename(a, b);
		break;
	case 4:
		syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, roll(d, 4));
		break;
	case 5:
		symlink(a, b);
		break;
	case 6:
		link(a, b);
		break;
	case 7:
		mkfifo(a, 0600);
		break;
	case 8:
		lstat(a, &st);
		stat(b, &st);
		break;
	case 9:
		truncate(a, any_offset(d));
		break;
	case 10:
		chmod(a, 0700);
		break;
	default:
		if (chdir(a) == 0 && roll(d, 2))
			(void)!getcwd(area, 100);
		readlink(b, any_buffer(d), any_size(d));
	}
}

static void do_io(struct dice *d)
{
	int fd = any_fd(d);
	struct iovec iov[3];
	for (int i = 0; i < 3; i++)
		iov[i] = (struct iovec){ any_buffer(d), any_size(d) };
	switch (roll(d, 14)) {
	case 0:
	case 1:
		(void)!read(fd, any_buffer(d), any_size(d));
		break;
	case 2:
	case 3:
		(void)!write(fd, any_buffer(d), any_size(d));
		break;
	case 4:
		(void)!readv(fd, iov, 3);
		break;
	case 5:
		(void)!writev(fd, iov, 3);
		break;
	case 6:
		(void)!pread(fd, any_buffer(d), any_size(d), any_offset(d));
		break;
	case 7:
		(void)!pwrite(fd, any_buffer(d), any_size(d), any_offset(d));
		break;
	case 8:
		lseek(fd, any_offset(d), (int)roll(d, 5));
		break;
	case 9:
		(void)!ftruncate(fd, any_offset(d));
		break;
	case 10:
		syscall(SYS_getdents64, fd, any_buffer(d), any_size(d));
		break;
	case 11:
		sendfile(fd, any_fd(d), NULL, any_size(d));
		break;
	case 12:
		fallocate(fd, (int)roll(d, 4), any_offset(d), any_offset(d));
		break;
	default:
		syscall(SYS_sync_file_range, fd, any_offset(d), any_offset(d), roll(d, 8));
	}
}

static void do_fds(struct dice *d)
{
	int fd = any_fd(d), two[2];
	struct flock lock = { .l_type = (short)roll(d, 3),
			      .l_whence = (short)roll(d, 3),
			      .l_start = roll(d, 9) ? roll(d, 50) : any_offset(d),
			      .l_len = roll(d, 9) ? roll(d, 20) : any_offset(d) };
	switch (roll(d, 14)) {
	case 0:
	case 1:
		if (pipe2(two, roll(d, 2) ? O_NONBLOCK : roll(d, 3) ? 0 : O_DIRECT) == 0) {
			keep(d, two[0]);
			keep(d, two[1]);
		}
		break;
	case 2:
		keep(d, eventfd(roll(d, 3), (int)roll(d, 2) * EFD_NONBLOCK | (int)roll(d, 2)));
		break;
	case 3:
		keep(d, epoll_create1(0));
		break;
	case 4:
		close(fd);
		break;
	case 5:
		dup2(fd, any_fd(d));
		break;
	case 6:
		fcntl(fd, roll(d, 2) ? F_SETLK : F_OFD_SETLK, &lock);
		break;
	case 7:
		fcntl(fd, roll(d, 2) ? F_SETLKW : F_OFD_SETLKW, &lock);
		break;
	case 8:
		flock(fd, (int[]){ LOCK_SH, LOCK_EX, LOCK_UN }[roll(d, 3)] |
				  (roll(d, 2) ? LOCK_NB : 0));
		break;
	case 9:
		fcntl(fd, F_SETFL, (int)mix(d));
		break;
	case 10:
		fcntl(fd, F_SETPIPE_SZ, (int)any_size(d));
		break;
	case 11:
		ioctl(fd, roll(d, 2) ? FIONREAD : FIONBIO, any_buffer(d));
		break;
	case 12:
		syscall(SYS_close_range, 10 + roll(d, 30), 12 + roll(d, 40), roll(d, 8));
		break;
	default:
		fcntl(fd, (int)roll(d, 17), mix(d));
	}
}

static void do_poll(struct dice *d)
{
	struct epoll_event event = { (uint32_t)(roll(d, 2) ? EPOLLIN | EPOLLOUT : mix(d)), {} },
			   out[4];
	struct pollfd fds[20];
	struct timespec t = { 0, roll(d, 3) * 1000000 };
	fd_set in, wr;
	switch (roll(d, 10)) {
	case 0:
	case 1:
	case 2:
		epoll_ctl(any_fd(d), EPOLL_CTL_ADD, any_fd(d), &event);
		break;
	case 3:
		epoll_ctl(any_fd(d), EPOLL_CTL_MOD, any_fd(d), &event);
		break;
	case 4:
		epoll_ctl(any_fd(d), EPOLL_CTL_DEL, any_fd(d), &event);
		break;
	case 5:
	case 6:
		epoll_wait(any_fd(d), out, 4, (int)roll(d, 4));
		break;
	case 7:
		for (int i = 0; i < 20; i++)
			fds[i] = (struct pollfd){ any_fd(d), (short)mix(d), 0 };
		poll(fds, 1 + roll(d, 20), (int)roll(d, 4));
		break;
	case 8:
		FD_ZERO(&in);
		FD_ZERO(&wr);
		for (int i = 0; i < 5; i++) {
			FD_SET(any_fd(d), &in);
			FD_SET(any_fd(d), &wr);
		}
		pselect(3 + FDS, &in, &wr, roll(d, 2) ? &in : NULL, &t, NULL);
		break;
	default:
		syscall(SYS_ppoll, any_buffer(d), roll(d, 100), &t, NULL, 8);
	}
}

static void do_memory(struct dice *d)
{
	static const int advice[] = { MADV_DONTNEED, MADV_FREE,	  MADV_WILLNEED,
				      MADV_DONTFORK, MADV_DOFORK, MADV_POPULATE_WRITE,
				      MADV_REMOVE,   MADV_COLD };
	size_t at = roll(d, AREA), pages = 1 + roll(d, 4);
	char *p = area + at * 4096;
	if (at + pages > AREA)
		pages = AREA - at;
	switch (roll(d, 10)) {
	case 0:
		munmap(p, pages * 4096);
		break;
	case 1:
	case 2:
	case 3:
		mmap(p, pages * 4096, PROT_READ | PROT_WRITE,
		     MAP_FIXED | MAP_ANONYMOUS | (roll(d, 3) ? MAP_PRIVATE : MAP_SHARED), -1, 0);
		break;
	case 4:
		mmap(p, pages * 4096, (int)roll(d, 4),
		     MAP_FIXED | (roll(d, 2) ? MAP_PRIVATE : MAP_SHARED), any_fd(d),
		     roll(d, 3) ? roll(d, 3) * 4096 : any_offset(d) & ~4095L);
		break;
	case 5:
		mprotect(p, pages * 4096, (int)roll(d, 8));
		break;
	case 6:
		madvise(p, pages * 4096, advice[roll(d, 8)]);
		break;
	case 7:
		mremap(p, pages * 4096, (1 + roll(d, 4)) * 4096, MREMAP_MAYMOVE | MREMAP_FIXED,
		       area + roll(d, AREA - 4) * 4096);
		break;
	case 8:
		msync(p, pages * 4096, MS_SYNC);
		break;
	default:
		syscall(SYS_mincore, p, pages * 4096, any_buffer(d));
	}
}

static void do_futex(struct dice *d)
{
	int *word = roll(d, 2) ? shared + roll(d, 8) : (int *)(void *)(area + roll(d, 8) * 4);
	int *other = roll(d, 2) ? shared + roll(d, 8) : (int *)(void *)(area + roll(d, 8) * 4);
	struct timespec t = { 0, roll(d, 3) * 1000000 };
	int private = roll(d, 2) ? FUTEX_PRIVATE_FLAG : 0;
	switch (roll(d, 6)) {
	case 0:
	case 1:
		syscall(SYS_futex, word, FUTEX_WAIT | private, 0, &t, NULL, 0);
		break;
	case 2:
		syscall(SYS_futex, word, FUTEX_WAKE | private, roll(d, 4), NULL, NULL, 0);
		break;
	case 3:
		syscall(SYS_futex, word, FUTEX_CMP_REQUEUE | private, roll(d, 2), (long)roll(d, 3),
			other, 0);
		break;
	case 4:
		syscall(SYS_futex, word, FUTEX_WAKE_OP | private, 1, 1L, other, (unsigned)mix(d));
		break;
	default:
		syscall(SYS_futex, word, roll(d, 16) | (unsigned)private, roll(d, 2), &t, other,
			mix(d));
	}
}

static void do_processes(struct dice *d)
{
	int status;
	char *const argv[] = { "x", NULL };
	pid_t pid;
	switch (roll(d, 8)) {
	case 0:
	case 1:
		pid = fork();
		if (pid == 0) {
			if (roll(d, 2))
				(void)!write(any_fd(d), any_buffer(d), any_size(d));
			if (roll(d, 3) == 0)
				execve("/proc/self/exe", argv, NULL);
			_exit(0);
		}
		break;
	case 2:
		pid = vfork();
		if (pid == 0) {
			if (d->state & 64)
				execve("/proc/self/exe", argv, NULL);
			_exit(1);
		}
		break;
	case 3:
	case 4:
		waitpid(-1, &status, WNOHANG | WUNTRACED);
		break;
	case 5:
		pid = fork();
		if (pid == 0) {
			pause();
			_exit(0);
		}
		if (pid > 0) {
			kill(pid, roll(d, 2) ? SIGSTOP : SIGTERM);
			if (roll(d, 2))
				kill(pid, SIGCONT);
			kill(pid, SIGKILL);
		}
		break;
	case 6:
		syscall(SYS_waitid, roll(d, 3), roll(d, 10), any_buffer(d),
			WEXITED | WSTOPPED | WNOHANG | (roll(d, 2) ? WNOWAIT : 0), any_buffer(d));
		break;
	default:
		execve(any_path(d), argv, NULL);
	}
}

static void on_signal(int signal)
{
	(void)signal;
}

static void do_signals(struct dice *d)
{
	int signal =
		(int[]){ SIGUSR1, SIGUSR2, SIGURG, SIGALRM, SIGRTMIN, SIGRTMIN + 1 }[roll(d, 6)];
	struct sigaction act = { .sa_handler = on_signal,
				 .sa_flags = (int)roll(d, 2) * SA_RESTART };
	struct timespec t = { 0, 1000000 };
	struct itimerval timer = { { 0, 3000 }, { 0, 1000 + roll(d, 5000) } };
	stack_t stack = { any_buffer(d), 0, 65536 };
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, signal);
	switch (roll(d, 10)) {
	case 0:
		sigaction(signal, &act, NULL);
		break;
	case 1:
		kill(getpid(), signal);
		break;
	case 2:
		pthread_sigmask((int)roll(d, 3), &set, NULL);
		break;
	case 3:
		sigtimedwait(&set, NULL, &t);
		break;
	case 4:
		setitimer((int)roll(d, 3), &timer, NULL);
		break;
	case 5:
		syscall(SYS_tgkill, getpid(), gettid(), signal);
		break;
	case 6:
		syscall(SYS_rt_sigpending, any_buffer(d), 8);
		break;
	case 7:
		if (roll(d, 4) == 0)
			sigaltstack(&stack, NULL);
		break;
	case 8:
		nanosleep(&t, any_buffer(d));
		break;
	default:
		raise(SIGUSR1);
	}
}

static void (*const families[])(struct dice *) = {
	do_open, do_open, do_names,  do_io,	do_io,	  do_io,      do_fds,	    do_fds,
	do_poll, do_poll, do_memory, do_memory, do_futex, do_signals, do_processes,
};

static void *run(void *arg)
{
	struct dice *d = arg;
	for (int i = 0; i < CALLS; i++)
		families[roll(d, sizeof(families) / sizeof(families[0]))](d);
	return NULL;
}

static void child(uint64_t seed)
{
	static struct dice dice[THREADS];
	struct rlimit cpu = { 2, 2 }, core = {}, size = { 1 << 20, 1 << 20 };
	struct rlimit files = { 64, 64 };
	struct sigaction act = { .sa_handler = on_signal };
	struct itimerval timer = { { 0, 4000 }, { 0, 4000 } };
	pthread_t threads[THREADS];
	setrlimit(RLIMIT_CPU, &cpu);
	setrlimit(RLIMIT_CORE, &core);
	setrlimit(RLIMIT_FSIZE, &size);
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	for (int s = 1; s < 65; s++)
		if (s == SIGALRM || s == SIGUSR1 || s == SIGUSR2 || s >= SIGRTMIN)
			sigaction(s, &act, NULL);
	area = mmap(NULL, AREA * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	setitimer(ITIMER_REAL, &timer, NULL);
	for (int i = 0; i < THREADS; i++) {
		dice[i].state = seed * THREADS + (uint64_t)i;
		if (i == 0 || pthread_create(&threads[i], NULL, run, &dice[i]) != 0)
			continue;
	}
	run(&dice[0]);
	_exit(0);
}

static void sleep_ms(int ms)
{
	struct timespec t = { 0, ms * 1000000L };
	nanosleep(&t, NULL);
}

static void work(uint64_t seed, int worker)
{
	int killed = 0;
	for (int i = 0; i < CHILDREN; i++) {
		bool done = false;
		pid_t pid = fork();
		if (pid == 0) {
			setsid();
			child((seed * WORKERS + (uint64_t)worker) * CHILDREN + (uint64_t)i);
		}
		for (int ms = 0; ms < CHILD_MS && !done; ms += 5) {
			done = pid < 0 || waitpid(pid, NULL, WNOHANG) != 0;
			if (!done)
				sleep_ms(5);
		}
		if (pid > 0)
			kill(-pid, SIGKILL);
		if (!done) {
			killed++;
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
	}
	printf("# worker %d: %d children, %d killed\n", worker, CHILDREN, killed);
	fflush(stdout);
	_exit(17);
}

int main(int argc, char **argv)
{
	pid_t workers[WORKERS];
	int good = 0;
	if (argc == 1) /* from execve above */
		return 0;
	if (argc != 3 || strcmp(argv[2], "--in-sandbox") != 0) {
		fprintf(stderr, "usage: randstate SEED --in-sandbox (do not run it elsewhere)\n");
		return 2;
	}
	uint64_t seed = strtoull(argv[1], NULL, 0);
	snprintf(dir, sizeof(dir), "/tmp/randstate.XXXXXX");
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || !mkdtemp(dir))
		return 2;
	for (int i = 0; i < WORKERS; i++) {
		workers[i] = fork();
		if (workers[i] == 0)
			work(seed, i);
	}
	for (int i = 0; i < WORKERS; i++) {
		int status = 0;
		good += waitpid(workers[i], &status, 0) == workers[i] && WIFEXITED(status) &&
			WEXITSTATUS(status) == 17;
	}
	printf("1..1\n%sok 1 - %d workers had %d children each\n", good == WORKERS ? "" : "not ",
	       good, CHILDREN);
	return good == WORKERS ? 0 : 1;
}
