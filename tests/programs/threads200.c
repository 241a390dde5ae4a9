/*
 * 200 threads at work: mutexes, condition variables, barriers, thread-local data, cancellation.
 * The output is the same in every run.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 200, ROUNDS = 20, QUEUE = 16 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER;
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t table_lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_key_t key;
static sem_t waiting;

static int queue[QUEUE], queue_head, queue_count;
static long produced, consumed, phase_sum, table[THREADS], key_sum, cleaned;
static __thread long own;

static void check(int condition, const char *what)
{
	if (condition)
		return;
	printf("failed: %s\n", what);
	fflush(stdout);
	_exit(1);
}

static void queue_put(int value)
{
	pthread_mutex_lock(&lock);
	while (queue_count == QUEUE)
		pthread_cond_wait(&not_full, &lock);
	queue[(queue_head + queue_count++) % QUEUE] = value;
	produced += value;
	pthread_cond_signal(&not_empty);
	pthread_mutex_unlock(&lock);
}

static void queue_take(void)
{
	pthread_mutex_lock(&lock);
	while (queue_count == 0)
		pthread_cond_wait(&not_empty, &lock);
	consumed += queue[queue_head];
	queue_head = (queue_head + 1) % QUEUE;
	queue_count--;
	pthread_cond_signal(&not_full);
	pthread_mutex_unlock(&lock);
}

static void key_destroy(void *value)
{
	__atomic_add_fetch(&key_sum, (long)value, __ATOMIC_RELAXED);
}

/* Half of the threads produce, half consume; then all meet in phases. */
static void *work(void *arg)
{
	long me = (long)arg;
	own = me;
	pthread_setspecific(key, (void *)(me + 1));
	for (int i = 0; i < ROUNDS; i++) {
		if (me % 2)
			queue_put((int)(me * ROUNDS + i));
		else
			queue_take();
	}
	for (int phase = 1; phase <= 5; phase++) {
		pthread_rwlock_wrlock(&table_lock);
		table[me] = phase;
		pthread_rwlock_unlock(&table_lock);
		int serial = pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
		pthread_rwlock_rdlock(&table_lock);
		for (int i = 0; i < THREADS; i++)
			check(table[i] == phase, "a thread is in another phase");
		pthread_rwlock_unlock(&table_lock);
		if (serial)
			phase_sum += phase;
		pthread_barrier_wait(&barrier);
	}
	check(own == me, "thread-local variable");
	return (void *)(me * me);
}

static void clean(void *arg)
{
	(void)arg;
	__atomic_add_fetch(&cleaned, 1, __ATOMIC_RELAXED);
}

static void unlock(void *mutex)
{
	pthread_mutex_unlock(mutex);
}

static void *wait_forever(void *arg)
{
	int fd[2];
	char c;
	long me = (long)arg;
	pthread_cleanup_push(clean, NULL);
	if (me % 3 == 2) {
		pthread_mutex_lock(&lock);
		pthread_cleanup_push(unlock, &lock);
		sem_post(&waiting);
		for (;;)
			pthread_cond_wait(&not_empty, &lock);
		pthread_cleanup_pop(1);
	}
	sem_post(&waiting);
	if (me % 3 == 1 && pipe(fd) == 0) {
		pthread_cleanup_push(clean, NULL);
		(void)!read(fd[0], &c, 1);
		pthread_cleanup_pop(0);
	}
	for (;;)
		sleep(1000);
	pthread_cleanup_pop(0);
	return NULL;
}

static void create(pthread_t *threads, void *(*body)(void *))
{
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 * 1024);
	for (long i = 0; i < THREADS; i++)
		check(pthread_create(&threads[i], &attributes, body, (void *)i) == 0,
		      "pthread_create");
	pthread_attr_destroy(&attributes);
}

int main(void)
{
	static pthread_t threads[THREADS];
	long squares = 0, cancelled = 0;
	void *result;
	alarm(100);
	pthread_barrier_init(&barrier, NULL, THREADS);
	pthread_key_create(&key, key_destroy);
	create(threads, work);
	for (int i = 0; i < THREADS; i++) {
		check(pthread_join(threads[i], &result) == 0, "pthread_join");
		squares += (long)result;
	}
	printf("produced %ld, consumed %ld, left %d\n", produced, consumed, queue_count);
	printf("phases %ld, squares %ld, keys %ld\n", phase_sum, squares, key_sum);

	sem_init(&waiting, 0, 0);
	create(threads, wait_forever);
	for (int i = 0; i < THREADS; i++)
		sem_wait(&waiting);
	for (int i = 0; i < THREADS; i++)
		check(pthread_cancel(threads[i]) == 0, "pthread_cancel");
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		cancelled += result == PTHREAD_CANCELED;
	}
	/* Threads on the pipe have two handlers, unless cancelled before the second. */
	printf("cancelled %ld, cleaned up %s\n", cancelled, cleaned >= THREADS ? "all" : "not all");
	return 0;
}
