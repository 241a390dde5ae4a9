/*
 * Hostile: locks with priority inheritance whose words others scribble on, with threads that come,
 * wait and die. The kernel must survive and everybody must come to an end.
 */
#include "tap.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>

#define WORDS 4
#define ROUNDS 2000

static uint32_t *words;
static int *stop;

static long futex(void *word, int op, uint32_t val, const void *timeout, void *word2, uint32_t val3)
{
	return syscall(SYS_futex, word, op, val, timeout, word2, val3);
}

static uint32_t next(uint32_t *seed)
{
	return *seed = *seed * 1664525 + 1013904223;
}

/* Any command, any word, with a short timeout: whatever comes of it. */
static void *player(void *arg)
{
	static const int ops[] = { FUTEX_LOCK_PI,
				   FUTEX_UNLOCK_PI,
				   FUTEX_TRYLOCK_PI,
				   FUTEX_LOCK_PI,
				   FUTEX_WAIT_REQUEUE_PI,
				   FUTEX_CMP_REQUEUE_PI,
				   FUTEX_UNLOCK_PI,
				   FUTEX_WAKE,
				   13 };
	uint32_t seed = (uintptr_t)arg * 7919;
	for (int i = 0; i < ROUNDS; i++) {
		int op = ops[next(&seed) >> 8 & 7];
		struct timespec t;
		clock_gettime(op == FUTEX_LOCK_PI ? CLOCK_REALTIME : CLOCK_MONOTONIC, &t);
		t.tv_nsec += next(&seed) % 3000000;
		if (t.tv_nsec >= 1000000000) {
			t.tv_sec++;
			t.tv_nsec -= 1000000000;
		}
		void *timeout = op == FUTEX_CMP_REQUEUE_PI ? (void *)4UL : (void *)&t;
		futex(&words[next(&seed) >> 9 & (WORDS - 1)], op, op == FUTEX_CMP_REQUEUE_PI,
		      timeout, &words[next(&seed) >> 10 & (WORDS - 1)], 0);
	}
	return NULL;
}

static void scribble(void)
{
	uint32_t seed = 1, values[] = {
		0,	   1, getppid(), gettid(), 0xffffffff, 0x80000000, 0x40000000 | getppid(),
		0xc0000000
	};
	while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
		__atomic_store_n(&words[next(&seed) >> 9 & (WORDS - 1)],
				 values[next(&seed) >> 12 & 7], __ATOMIC_RELAXED);
		if ((next(&seed) >> 8 & 15) == 0)
			sched_yield();
	}
}

static void threads(void)
{
	pthread_t t[6];
	for (uintptr_t i = 0; i < 6; i++)
		need(pthread_create(&t[i], NULL, player, (void *)(i + getpid())) == 0);
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
}

int main(void)
{
	tap_begin();
	words = shared_alloc(4096);
	stop = (int *)(words + 64);
	pid_t scribbler = tap_fork();
	if (!scribbler) {
		scribble();
		_exit(0);
	}
	for (int round = 0; round < 3; round++) {
		pid_t good = tap_fork();
		if (!good) {
			threads();
			_exit(0);
		}
		pid_t killed = tap_fork();
		if (!killed) {
			for (;;)
				threads();
		}
		is_exit(tap_wait(good), 0, "threads come to an end");
		kill(killed, SIGKILL);
		is_killed(tap_wait(killed), SIGKILL, "others are killed in the middle");
	}
	__atomic_store_n(stop, 1, __ATOMIC_RELAXED);
	is_exit(tap_wait(scribbler), 0, "the scribbler ends");
	/* All is as before. */
	words[0] = 0;
	is_int(futex(words, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0, "a lock can be taken");
	is_int(futex(words, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0, "and released");
	return tap_end();
}
