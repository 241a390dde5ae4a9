/*
 * Makes random system calls with random arguments: 4 processes of 2,500 calls each.
 *
 *	randcall SEED --in-sandbox
 *
 * Each worker runs its calls in disposable children, which it replaces when they die and kills when
 * they hang. What call N of worker W does depends on the seed alone. It is for a sandbox only:
 * elsewhere, as root, it could do real harm. Prints TAP; that the workers come to the end, and can
 * still do their work, is the test.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 4, CALLS = 2500, CALLS_PER_CHILD = 50, HANG_MS = 200, LAST_CALL = 470 };

struct progress {
	int next; /* call that the child is about to make */
	char pad[4092]; /* a page for each worker */
};

static struct progress *progress;
static char buffer[1 << 16] __attribute__((aligned(4096)));
static char paths[4][64] = { "/tmp/randcall", "/etc/passwd", "/proc/self/maps", "/tmp" };

static uint64_t mix(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static uint64_t random_argument(uint64_t *state)
{
	static const uint64_t interesting[] = { 0,
						1,
						2,
						3,
						4,
						7,
						8,
						16,
						64,
						4095,
						4096,
						4097,
						65536,
						0x7fffffff,
						0x80000000,
						0xffffffff,
						0x100000000,
						1UL << 46,
						1UL << 47,
						(1UL << 47) - 4096,
						1UL << 63,
						~0UL,
						-4096UL,
						-2UL,
						0x700000000000,
						0x7f0000000000 };
	uint64_t r = mix(state);
	switch (r % 10) {
	case 0:
	case 1:
		return interesting[(r >> 8) % (sizeof(interesting) / sizeof(interesting[0]))];
	case 2:
	case 3:
		return (uintptr_t)buffer + (r >> 8) % sizeof(buffer);
	case 4:
		return (uintptr_t)buffer + ((r >> 8) % 16) * 4096;
	case 5:
		return (uintptr_t)paths[(r >> 8) % 4];
	case 6:
		return (r >> 8) % 16;
	case 7:
		return (r >> 8) % 1024;
	case 8:
		return 1UL << (r >> 8) % 64;
	default:
		return mix(state);
	}
}

/* Calls that would end the child, reach the workers, or only wait. */
static bool is_excluded(long number)
{
	switch (number) {
	case SYS_exit:
	case SYS_exit_group:
	case SYS_pause:
	case SYS_rt_sigreturn:
	case SYS_rt_sigsuspend:
		return true;
	default:
		return false;
	}
}

/* Signals go to the caller only: the workers must live to tell. */
static void restrain(long number, uint64_t *args)
{
	switch (number) {
	case SYS_kill:
	case SYS_tkill:
	case SYS_tgkill:
	case SYS_rt_sigqueueinfo:
	case SYS_rt_tgsigqueueinfo:
	case SYS_ptrace:
	case SYS_process_vm_writev:
	case SYS_prlimit64:
	case SYS_setpgid:
		args[number == SYS_ptrace ? 1 : 0] = (uint64_t)getpid();
		break;
	case SYS_setpriority:
		args[0] = PRIO_PROCESS;
		args[1] = 0;
		break;
	}
}

static void make_call(uint64_t seed, int worker, int index)
{
	uint64_t args[6], state = seed * 1000003 + (uint64_t)worker * CALLS + (uint64_t)index;
	long number = (long)(mix(&state) % LAST_CALL);
	if (mix(&state) % 50 == 0)
		number = (long)mix(&state);
	for (int i = 0; i < 6; i++)
		args[i] = random_argument(&state);
	if (is_excluded(number))
		return;
	restrain(number, args);
	/* System calls can write to the buffer at any place: its contents are part of the dice. */
	for (int i = 0; i < 64; i++)
		((uint64_t *)buffer)[mix(&state) % (sizeof(buffer) / 8)] = random_argument(&state);
	pid_t self = getpid();
	syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
	if (syscall(SYS_getpid) != self)
		_exit(0);
}

static void set_limit(int resource, uint64_t value)
{
	struct rlimit limit = { value, value };
	setrlimit(resource, &limit);
}

static void child(uint64_t seed, int worker, int first)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	set_limit(RLIMIT_CORE, 0);
	set_limit(RLIMIT_AS, 256 << 20);
	set_limit(RLIMIT_CPU, 2);
	set_limit(RLIMIT_FSIZE, 1 << 20);
	set_limit(RLIMIT_NOFILE, 64);
	int null = open("/dev/null", O_RDWR);
	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	for (int i = first; i < CALLS && i < first + CALLS_PER_CHILD; i++) {
		__atomic_store_n(&progress[worker].next, i, __ATOMIC_RELEASE);
		make_call(seed, worker, i);
	}
	_exit(0);
}

static void sleep_ms(int ms)
{
	struct timespec t = { 0, ms * 1000000L };
	nanosleep(&t, NULL);
}

/* Waits until the child is dead; kills it once it has made no progress for HANG_MS. */
static bool watch(pid_t pid, int worker)
{
	int last = -1, idle = 0;
	for (;;) {
		int status;
		pid_t got = waitpid(pid, &status, WNOHANG);
		if (got == pid && (WIFEXITED(status) || WIFSIGNALED(status)))
			return false;
		if (got == -1 && errno == ECHILD)
			return false;
		int next = __atomic_load_n(&progress[worker].next, __ATOMIC_ACQUIRE);
		idle = next == last ? idle + 5 : 0;
		last = next;
		if (idle >= HANG_MS) {
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
			waitpid(pid, NULL, __WALL);
			return true;
		}
		sleep_ms(5);
	}
}

static void work(uint64_t seed, int worker)
{
	int first = 0, children = 0, hung = 0;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	while (first < CALLS) {
		pid_t pid = fork();
		if (pid == 0)
			child(seed, worker, first);
		if (pid < 0) {
			sleep_ms(20);
			continue;
		}
		children++;
		hung += watch(pid, worker);
		int next = __atomic_load_n(&progress[worker].next, __ATOMIC_ACQUIRE);
		/* The child may have scribbled on the page; the call it died in is not repeated. */
		first = next >= first && next < first + CALLS_PER_CHILD ? next + 1 : first + 1;
		while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
			;
	}
	printf("# worker %d: %d children, %d hung\n", worker, children, hung);
	fflush(stdout);
	_exit(17);
}

int main(int argc, char **argv)
{
	pid_t workers[WORKERS];
	int good = 0;
	if (argc != 3 || strcmp(argv[2], "--in-sandbox") != 0) {
		fprintf(stderr, "usage: randcall SEED --in-sandbox (do not run it elsewhere)\n");
		return 2;
	}
	uint64_t seed = strtoull(argv[1], NULL, 0);
	progress = mmap(NULL, WORKERS * sizeof(*progress), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (progress == MAP_FAILED)
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
	printf("1..1\n%sok 1 - %d workers made %d calls each\n", good == WORKERS ? "" : "not ",
	       good, CALLS);
	return good == WORKERS ? 0 : 1;
}
