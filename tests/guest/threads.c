/*
 * Threads, through the C library and below it.
 */
#include "tap.h"
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#define THREADS 8
#define ROUNDS 2000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static long counter;

static void *add(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		counter++;
		if (i % 100 == 0)
			sched_yield();
		pthread_mutex_unlock(&mutex);
	}
	return (char *)arg + 1;
}

static void test_mutex(void)
{
	pthread_t threads[THREADS];
	long results = 0;
	void *result;
	counter = 0;
	for (long i = 0; i < THREADS; i++)
		need(pthread_create(&threads[i], NULL, add, (void *)i) == 0);
	for (int i = 0; i < THREADS; i++) {
		need(pthread_join(threads[i], &result) == 0);
		results += (long)result;
	}
	is_int(counter, THREADS * ROUNDS, "a mutex protects a counter");
	is_int(results, THREADS * (THREADS + 1) / 2, "join gives each result");
}

static int turn;

static void *take_turns(void *arg)
{
	int me = (int)(intptr_t)arg;
	for (int i = 0; i < 500; i++) {
		pthread_mutex_lock(&mutex);
		while (turn % 2 != me)
			pthread_cond_wait(&condition, &mutex);
		turn++;
		pthread_cond_broadcast(&condition);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void test_condition(void)
{
	pthread_t threads[2];
	turn = 0;
	for (long i = 0; i < 2; i++)
		need(pthread_create(&threads[i], NULL, take_turns, (void *)i) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	is_int(turn, 1000, "two threads take 1,000 turns");
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	pthread_mutex_lock(&mutex);
	is_int(pthread_cond_timedwait(&condition, &mutex, &t), ETIMEDOUT, "timedwait times out");
	pthread_mutex_unlock(&mutex);
	pthread_mutex_lock(&mutex);
	is_int(pthread_mutex_timedlock(&mutex, &t), ETIMEDOUT, "timedlock times out");
	is_int(pthread_mutex_trylock(&mutex), EBUSY, "trylock of a locked mutex");
	pthread_mutex_unlock(&mutex);
}

static pthread_barrier_t barrier;
static int phases[THREADS];
static int mismatches, serials;

static void *phased(void *arg)
{
	int me = (int)(intptr_t)arg;
	for (int i = 0; i < 50; i++) {
		__atomic_store_n(&phases[me], i, __ATOMIC_RELEASE);
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			__atomic_add_fetch(&serials, 1, __ATOMIC_RELAXED);
		for (int j = 0; j < THREADS; j++)
			if (__atomic_load_n(&phases[j], __ATOMIC_ACQUIRE) != i)
				__atomic_add_fetch(&mismatches, 1, __ATOMIC_RELAXED);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

static void test_barrier(void)
{
	pthread_t threads[THREADS];
	need(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
	for (long i = 0; i < THREADS; i++)
		need(pthread_create(&threads[i], NULL, phased, (void *)i) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	is_int(mismatches, 0, "a barrier keeps threads in step");
	is_int(serials, 50, "one serial thread a round");
}

static __thread int local = 7;
static __thread char local_block[5000];
static pthread_key_t key;
static int destroyed;

static void destroy(void *value)
{
	__atomic_add_fetch(&destroyed, (int)(intptr_t)value, __ATOMIC_RELAXED);
}

static void *use_local(void *arg)
{
	int me = (int)(intptr_t)arg;
	long good = local == 7 && local_block[4999] == 0;
	local = me;
	memset(local_block, me, sizeof(local_block));
	pthread_setspecific(key, (void *)1L);
	for (int i = 0; i < 20; i++) {
		sched_yield();
		good &= local == me && local_block[i] == (char)me;
	}
	return (void *)good;
}

static void test_local(void)
{
	pthread_t threads[THREADS];
	long good = 0;
	void *result;
	pthread_key_create(&key, destroy);
	for (long i = 0; i < THREADS; i++)
		need(pthread_create(&threads[i], NULL, use_local, (void *)(i + 100)) == 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		good += (long)result;
	}
	is_int(good, THREADS, "thread-local variables");
	is_int(local, 7, "the main thread's is as before");
	is_int(destroyed, THREADS, "destructors of keys run");
}

static sem_t started;
static int cleaned;

static void clean(void *arg)
{
	(void)arg;
	cleaned++;
}

static void *sleeper(void *arg)
{
	pthread_cleanup_push(clean, NULL);
	sem_post(&started);
	for (;;)
		pause();
	pthread_cleanup_pop(0);
	return arg;
}

static void *spinner(void *arg)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	sem_post(&started);
	for (volatile unsigned i = 0;; i++)
		;
	return arg;
}

static void *deferrer(void *arg)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	sem_post(&started);
	for (int i = 0; i < 10; i++)
		pause_ms(1);
	cleaned += 10;
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	pthread_testcancel();
	return arg;
}

static void test_cancel(void)
{
	void *(*const bodies[])(void *) = { sleeper, spinner, deferrer };
	static const char *const names[] = { "in a system call", "asynchronously", "when enabled" };
	sem_init(&started, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		pthread_t thread;
		void *result = NULL;
		need(pthread_create(&thread, NULL, bodies[i], NULL) == 0);
		sem_wait(&started);
		need(pthread_cancel(thread) == 0);
		need(pthread_join(thread, &result) == 0);
		ok(result == PTHREAD_CANCELED, "cancelled %s", names[i]);
	}
	is_int(cleaned, 11, "clean-up handlers ran");
}

static void *quick(void *arg)
{
	return arg;
}

static void test_many(void)
{
	enum { COUNT = 200 };
	static pthread_t threads[COUNT];
	pthread_attr_t attributes;
	int good = 0;
	void *result;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN + 16384);
	sem_init(&started, 0, 0);
	for (long i = 0; i < COUNT; i++)
		good += pthread_create(&threads[i], &attributes, sleeper, NULL) == 0;
	is_int(good, COUNT, "200 threads at the same time");
	for (int i = 0; i < COUNT; i++)
		sem_wait(&started);
	for (int i = 0; i < COUNT; i++) {
		pthread_cancel(threads[i]);
		pthread_join(threads[i], NULL);
	}
	good = 0;
	for (long i = 0; i < 500; i++) {
		need(pthread_create(&threads[0], NULL, quick, (void *)i) == 0);
		need(pthread_join(threads[0], &result) == 0);
		good += (long)result == i;
	}
	is_int(good, 500, "500 threads one after the other");
}

static void *exit_later(void *arg)
{
	(void)arg;
	pause_ms(20);
	_exit(23);
}

static void main_first(void)
{
	pthread_t thread;
	need(pthread_create(&thread, NULL, exit_later, NULL) == 0);
	pthread_exit(NULL);
}

static void *wait_leader(void *arg)
{
	pause_ms(10);
	return arg;
}

static void zombie_leader(void)
{
	/* The last thread ends in exit_group(0), whatever the leader exited with. */
	pthread_t thread;
	need(pthread_create(&thread, NULL, wait_leader, NULL) == 0);
	syscall(SYS_exit, 9);
}

static void *spin(void *arg)
{
	for (volatile unsigned i = 0;; i++)
		;
	return arg;
}

static void group_exit(void)
{
	pthread_t thread;
	for (int i = 0; i < 3; i++)
		need(pthread_create(&thread, NULL, spin, NULL) == 0);
	sem_init(&started, 0, 0);
	for (int i = 0; i < 3; i++)
		need(pthread_create(&thread, NULL, sleeper, NULL) == 0);
	_exit(24);
}

static void killed_by_thread(void)
{
	pthread_t thread;
	sem_init(&started, 0, 0);
	need(pthread_create(&thread, NULL, sleeper, NULL) == 0);
	sem_wait(&started);
	pthread_kill(thread, SIGTERM);
	for (;;)
		pause();
}

static void stopped_together(void)
{
	/* A stop stops all threads: nothing counts on meanwhile. */
	volatile long *count = shared_alloc(4096);
	int status;
	pid_t child = tap_fork();
	if (child == 0) {
		pthread_t thread;
		need(pthread_create(&thread, NULL, spin, NULL) == 0);
		for (;;)
			count[0]++;
	}
	while (count[0] == 0)
		pause_ms(1);
	need(kill(child, SIGSTOP) == 0);
	need(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
	long before = count[0];
	pause_ms(30);
	need(count[0] == before);
	need(kill(child, SIGCONT) == 0);
	while (count[0] == before)
		pause_ms(1);
	kill(child, SIGKILL);
	tap_wait(child);
}

static void *fork_in_thread(void *arg)
{
	pid_t child = fork();
	if (child == 0)
		_exit(syscall(SYS_gettid) == getpid() ? 41 : 42);
	int status = tap_wait(child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 41 ? arg : NULL;
}

static void test_fork_in_thread(void)
{
	pthread_t threads[4];
	int good = 0;
	void *result;
	for (int i = 0; i < 4; i++)
		need(pthread_create(&threads[i], NULL, fork_in_thread, (void *)1L) == 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &result);
		good += result != NULL;
	}
	is_int(good, 4, "fork from four threads, each waits for its child");
}

int main(void)
{
	tap_begin();
	test_mutex();
	test_condition();
	test_barrier();
	test_local();
	test_cancel();
	test_many();
	is_exit(run_child(main_first), 23, "the main thread exits first");
	is_exit(run_child(zombie_leader), 0, "its exit status does not count");
	is_exit(run_child(group_exit), 24, "exit_group ends spinning and sleeping threads");
	is_killed(run_child(killed_by_thread), SIGTERM, "a signal to one thread kills all");
	child_ok(stopped_together, "a stop stops all threads");
	test_fork_in_thread();
	return tap_end();
}
