/*
 * Storms, each bounded: forks (a deep chain, a broad tree), signals, mappings, threads. Others must
 * be able to work meanwhile, and all must be as before afterwards.
 */
#include "tap.h"
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

static void chain(void)
{
	/* Every process waits for the next one. */
	pid_t child = 0;
	int depth = 0;
	while (depth < 60 && (child = fork()) == 0)
		depth++;
	int status = 0;
	if (child > 0)
		waitpid(child, &status, 0);
	_exit(child < 0 || status != 0);
}

static void tree(void)
{
	/* Seven forks by all: 128 processes. */
	int status, bad = 0;
	for (int i = 0; i < 7; i++)
		if (fork() < 0)
			bad = 1;
	while (wait(&status) > 0)
		bad |= status != 0;
	_exit(bad);
}

static void bomb(void)
{
	/* Children fork until the limit says no, or 200 are there; then all are killed. */
	struct rlimit limit = { 200, 200 };
	static pid_t children[200];
	int count = 0;
	setrlimit(RLIMIT_NPROC, &limit);
	while (count < 200) {
		pid_t child = fork();
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
		if (child < 0)
			break;
		children[count++] = child;
	}
	for (int i = 0; i < count; i++)
		kill(children[i], SIGKILL);
	for (int i = 0; i < count; i++)
		need(WTERMSIG(tap_wait(children[i])) == SIGKILL);
}

static volatile int handled;

static void on_signal(int signal)
{
	(void)signal;
	handled++;
}

static void signals(void)
{
	/* Four processes shower each other. */
	pid_t *pids = shared_alloc(4096);
	int *ready = (int *)(pids + 8), bad = 0;
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_NODEFER };
	for (int i = SIGRTMIN; i < SIGRTMIN + 4; i++)
		sigaction(i, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < 4; i++) {
		pid_t child = tap_fork();
		if (child == 0) {
			await_int(ready, 1);
			for (int j = 0; j < 3000; j++) {
				kill(pids[j % 4], SIGUSR1);
				kill(pids[j % 4], SIGRTMIN + j % 4);
			}
			__atomic_add_fetch(ready, 1, __ATOMIC_RELEASE);
			await_int(ready, 5);
			_exit(handled > 0 ? 0 : 1);
		}
		pids[i] = child;
	}
	__atomic_store_n(ready, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < 4; i++)
		bad |= tap_wait(pids[i]);
	_exit(bad != 0);
}

static void mappings(void)
{
	/* Many small mappings that cannot be merged; then as many holes. */
	enum { PAGES = 8000 };
	char *p = mmap(NULL, PAGES * 4096UL, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	need(p != MAP_FAILED);
	for (int i = 0; i < PAGES; i += 2)
		need(mprotect(p + i * 4096UL, 4096, PROT_READ) == 0);
	for (int i = 1; i < PAGES; i += 2)
		p[i * 4096UL] = (char)i;
	for (int i = 0; i < PAGES; i += 2)
		need(munmap(p + i * 4096UL, 4096) == 0);
	for (int i = 1; i < PAGES; i += 2)
		need(p[i * 4096UL] == (char)i);
	pid_t child = tap_fork();
	if (child == 0) {
		for (int i = 1; i < PAGES; i += 2)
			need(p[i * 4096UL] == (char)i);
		_exit(0);
	}
	need(tap_wait(child) == 0);
	need(munmap(p, PAGES * 4096UL) == 0);
}

static void too_many_mappings(void)
{
	/* Until ENOMEM, or 70,000 are made; then all go at once. */
	unsigned long size = 140000 * 4096UL;
	char *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	need(p != MAP_FAILED);
	for (unsigned long at = 0; at < size; at += 8192) {
		if (mprotect(p + at, 4096, PROT_NONE) != 0) {
			need_err(mprotect(p + at, 4096, PROT_NONE), ENOMEM);
			break;
		}
	}
	need(munmap(p, size) == 0);
	need(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}

static void *mapper(void *arg)
{
	for (int i = 0; i < 500; i++) {
		char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);
		need(p != MAP_FAILED);
		memset(p, 1, 65536);
		need(munmap(p, 65536) == 0);
	}
	return arg;
}

static void threads(void)
{
	pthread_t group[8];
	for (int i = 0; i < 8; i++)
		need(pthread_create(&group[i], NULL, mapper, NULL) == 0);
	for (int i = 0; i < 8; i++)
		pthread_join(group[i], NULL);
}

/* Threads that exec at the same time: one wins. */
static void *exec_thread(void *arg)
{
	char *argv[] = { "storm", "exit", NULL };
	pthread_barrier_wait(arg);
	execv("/proc/self/exe", argv);
	return NULL;
}

static void exec_races(void)
{
	for (int i = 0; i < 20; i++) {
		pid_t child = tap_fork();
		if (child == 0) {
			pthread_barrier_t barrier;
			pthread_t thread;
			pthread_barrier_init(&barrier, NULL, 4);
			for (int j = 0; j < 4; j++)
				need(pthread_create(&thread, NULL, exec_thread, &barrier) == 0);
			for (;;)
				pause();
		}
		int status = tap_wait(child);
		need(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	}
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return 3;
	tap_begin();
	child_ok(chain, "a chain of 60 processes");
	child_ok(tree, "a tree of 128 processes");
	child_ok(bomb, "up to 200 processes at once");
	child_ok(signals, "signals between four processes");
	child_ok(mappings, "8,000 mappings that do not merge");
	child_ok(too_many_mappings, "more mappings than there can be");
	child_ok(threads, "eight threads map and unmap");
	child_ok(exec_races, "four threads exec at once");
	return tap_end();
}
