/*
 * Forks again and again while other threads map, touch, protect and unmap memory. Each child checks
 * that its copy of memory is whole, and maps and unmaps itself.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, FORKS = 60, PAGE = 4096, SHARED_PAGES = 64 };

static int stop;
static unsigned long rounds[THREADS];
static unsigned char *steady;

static void fail(const char *what)
{
	printf("failed: %s\n", what);
	fflush(stdout);
	_exit(1);
}

static unsigned next(unsigned *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return *seed >> 16;
}

static void map_once(unsigned *seed)
{
	size_t pages = 1 + next(seed) % 16;
	unsigned char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		fail("mmap");
	for (size_t i = 0; i < pages; i++)
		p[i * PAGE] = (unsigned char)(i + 1);
	if (mprotect(p, PAGE, PROT_READ) != 0)
		fail("mprotect");
	for (size_t i = 0; i < pages; i++)
		if (p[i * PAGE] != (unsigned char)(i + 1) || p[i * PAGE + 1] != 0)
			fail("contents of a new mapping");
	/* A hole may be another thread's at once: what lies beside it is unmapped by itself. */
	if (pages > 2) {
		if (munmap(p + PAGE, PAGE) != 0 || munmap(p, PAGE) != 0)
			fail("munmap of a part");
		p += 2 * PAGE;
		pages -= 2;
	}
	if (munmap(p, pages * PAGE) != 0)
		fail("munmap");
}

static void *mapper(void *arg)
{
	long me = (long)arg;
	unsigned seed = (unsigned)me + 1;
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		map_once(&seed);
		__atomic_add_fetch(&rounds[me], 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void child(int number)
{
	unsigned seed = (unsigned)number;
	for (int i = 0; i < SHARED_PAGES; i++)
		if (steady[i * PAGE] != (unsigned char)(i + number))
			fail("memory copied by fork");
	memset(steady, 0xee, SHARED_PAGES * PAGE);
	for (int i = 0; i < 10; i++)
		map_once(&seed);
	_exit(number % 100);
}

int main(void)
{
	pthread_t threads[THREADS];
	int good = 0;
	alarm(100);
	steady = mmap(NULL, SHARED_PAGES * PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, mapper, (void *)i) != 0)
			fail("pthread_create");
	for (int n = 0; n < FORKS; n++) {
		for (int i = 0; i < SHARED_PAGES; i++)
			steady[i * PAGE] = (unsigned char)(i + n);
		pid_t pid = fork();
		if (pid == 0)
			child(n);
		int status = -1;
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			fail("fork and wait");
		good += WIFEXITED(status) && WEXITSTATUS(status) == n % 100;
	}
	/* All threads have come round since the last fork. */
	for (int i = 0; i < THREADS; i++) {
		unsigned long before = __atomic_load_n(&rounds[i], __ATOMIC_RELAXED);
		while (__atomic_load_n(&rounds[i], __ATOMIC_RELAXED) == before)
			usleep(1000);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("%d of %d children were right\n", good, FORKS);
	return good == FORKS ? 0 : 1;
}
