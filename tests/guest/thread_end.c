/* What is left of a thread when others learn that it has ended: nothing that the next may meet. */

#include "tap.h"

#include <pthread.h>
#include <sys/resource.h>

#define STACK (256 * 1024)
#define ROUNDS 2000

static void *nothing(void *arg)
{
	return arg;
}

/* The stack holds all that belongs to the thread, its rseq area too. */
static bool use_and_unmap(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	void *ret = NULL, *stack;

	stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack == MAP_FAILED)
		return false;
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stack, STACK);
	if (pthread_create(&thread, &attr, nothing, stack))
		return false;
	pthread_attr_destroy(&attr);
	pthread_join(thread, &ret);
	return munmap(stack, STACK) == 0 && ret == stack;
}

static void *use_and_unmap_many(void *arg)
{
	for (int i = 0; i < ROUNDS; i++)
		if (!use_and_unmap())
			return NULL;
	return arg;
}

static void test_unmapped_stacks(void)
{
	pthread_t threads[3];
	void *ret;
	int good = 0;

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, use_and_unmap_many, &good);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &ret);
		good += ret == &good;
	}
	is_int(good, 3, "stacks that are unmapped as soon as their threads have been joined");
}

static int64_t clock_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void *burn(void *arg)
{
	while (clock_ms(CLOCK_THREAD_CPUTIME_ID) < 300)
		;
	return NULL;
}

static void *look(void *arg)
{
	*(int64_t *)arg = clock_ms(CLOCK_THREAD_CPUTIME_ID);
	return NULL;
}

static int64_t used_ms(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000 +
	       (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1000;
}

static void test_cpu_time(void)
{
	int64_t before = used_ms(), first, next = -1, clock;
	pthread_t thread;

	pthread_create(&thread, NULL, burn, NULL);
	pthread_join(thread, NULL);
	first = used_ms() - before;
	for (int i = 0; i < 3; i++) {
		pthread_create(&thread, NULL, look, &next);
		pthread_join(thread, NULL);
	}
	ok(first >= 290 && first < 900, "the process has used what its dead thread used");
	ok(next >= 0 && next < 150, "a new thread has used nothing yet");
	ok(used_ms() - before < first + 250, "the dead one's time is counted once");
	clock = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
	ok(clock >= before + 290 && clock < before + first + 400, "the process's clock agrees");
}

int main(void)
{
	tap_begin();
	test_unmapped_stacks();
	test_cpu_time();
	return tap_end();
}
