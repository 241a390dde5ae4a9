/*
 * Futexes with priority inheritance, futex_waitv, and mutexes made of them.
 */
#include "tap.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#define SEC 1000000000L

static long futex(void *word, int op, uint32_t val, const void *timeout, void *word2, uint32_t val3)
{
	return syscall(SYS_futex, word, op, val, timeout, word2, val3);
}

static long lock_pi(void *word, const struct timespec *until)
{
	return futex(word, FUTEX_LOCK_PI, 0, until, NULL, 0);
}

static long unlock_pi(void *word)
{
	return futex(word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
}

static uint32_t get(uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static struct timespec in_ms(int clock, int ms)
{
	struct timespec t;
	clock_gettime(clock, &t);
	t.tv_nsec += ms * 1000000L;
	t.tv_sec += t.tv_nsec / SEC;
	t.tv_nsec %= SEC;
	return t;
}

static uint32_t word, word2;

static void test_alone(void)
{
	uint32_t tid = gettid();
	is_int(lock_pi(&word, NULL), 0, "FUTEX_LOCK_PI of a free one");
	is_int(word, tid, "the word is its owner");
	is_err(lock_pi(&word, NULL), EDEADLK, "its own");
	is_err(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), EDEADLK, "trying its own");
	is_int(unlock_pi(&word), 0, "FUTEX_UNLOCK_PI");
	is_int(word, 0, "it is free");
	is_err(unlock_pi(&word), EPERM, "not its own");
	is_int(futex(&word, FUTEX_LOCK_PI2, 0, NULL, NULL, 0), 0, "FUTEX_LOCK_PI2");
	is_int(unlock_pi(&word), 0, "unlock");
	is_int(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), 0, "FUTEX_TRYLOCK_PI");
	is_int(unlock_pi(&word), 0, "unlock");
	word = FUTEX_OWNER_DIED;
	is_int(lock_pi(&word, NULL), 0, "of one who died");
	is_int(word, tid | FUTEX_OWNER_DIED, "that stays");
	is_int(unlock_pi(&word), 0, "unlock");
	word = 0x3ffffff0;
	is_err(lock_pi(&word, NULL), ESRCH, "an owner that does not exist");
	is_err(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), ESRCH, "trying that");
	word = tid ^ 1;
	is_err(unlock_pi(&word), EPERM, "unlock another's");
	word = 0;
	is_err(lock_pi((char *)&word + 1, NULL), EINVAL, "unaligned");
	is_err(lock_pi(BAD_PTR, NULL), EFAULT, "a bad address");
	is_err(unlock_pi(BAD_PTR), EFAULT, "unlock there");
	is_err(lock_pi(&word, BAD_PTR), EFAULT, "a bad timeout");
	struct timespec bad = { 0, SEC };
	is_err(lock_pi(&word, &bad), EINVAL, "a timeout that is none");
	is_err(futex(&word, FUTEX_LOCK_PI | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0), ENOSYS,
	       "FUTEX_LOCK_PI with a clock");
	is_int(futex(&word, FUTEX_LOCK_PI2 | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0), 0,
	       "FUTEX_LOCK_PI2 with a clock");
	is_int(unlock_pi(&word), 0, "unlock");
}

/* ---- contention ---- */

static int turns[64], turn_count;
static int started;

static void *locker(void *arg)
{
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	need(lock_pi(&word, NULL) == 0);
	need((get(&word) & FUTEX_TID_MASK) == (uint32_t)gettid());
	turns[turn_count++] = (intptr_t)arg;
	need(unlock_pi(&word) == 0);
	return NULL;
}

static void test_order(void)
{
	pthread_t t[4];
	need(lock_pi(&word, NULL) == 0);
	for (intptr_t i = 0; i < 4; i++) {
		need(pthread_create(&t[i], NULL, locker, (void *)i) == 0);
		await_int(&started, i + 1);
		pause_ms(20);
	}
	is_int(word, gettid() | FUTEX_WAITERS, "those who wait have set their bit");
	is_int(unlock_pi(&word), 0, "unlock");
	ok((get(&word) & FUTEX_TID_MASK) != (uint32_t)gettid(), "it is another's at once");
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 4; i++)
		is_int(turns[i], i, "in order: %d", i);
	is_int(word & FUTEX_TID_MASK, 0, "free in the end");
	word = 0;
}

static void *holder(void *arg)
{
	struct event *go = arg;
	need(lock_pi(&word, NULL) == 0);
	__atomic_store_n(&started, 1, __ATOMIC_SEQ_CST);
	event_wait(go);
	need(unlock_pi(&word) == 0);
	return NULL;
}

static void on_signal(int sig)
{
	(void)sig;
}

static void test_timeout(void)
{
	struct event go;
	pthread_t t;
	struct timespec until;
	event_init(&go);
	started = 0;
	need(pthread_create(&t, NULL, holder, &go) == 0);
	await_int(&started, 1);
	until = in_ms(CLOCK_REALTIME, 20);
	is_err(lock_pi(&word, &until), ETIMEDOUT, "a timeout");
	until = in_ms(CLOCK_MONOTONIC, 20);
	is_err(futex(&word, FUTEX_LOCK_PI2, 0, &until, NULL, 0), ETIMEDOUT, "of FUTEX_LOCK_PI2");
	is_err(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), EAGAIN, "trying");
	/* A signal does not end the wait, though it has no SA_RESTART. */
	struct sigaction act = { .sa_handler = on_signal };
	sigaction(SIGUSR1, &act, NULL);
	pid_t parent = getpid(), me = gettid(), child = tap_fork();
	if (!child) {
		pause_ms(20);
		syscall(SYS_tgkill, parent, me, SIGUSR1);
		pause_ms(20);
		event_post(&go);
		_exit(0);
	}
	is_int(lock_pi(&word, NULL), 0, "a signal does not end the wait");
	tap_wait(child);
	is_int(unlock_pi(&word), 0, "unlock");
	pthread_join(t, NULL);
	event_fini(&go);
	word = 0;
}

/* ---- deadlock ---- */

static void *crossed(void *arg)
{
	need(lock_pi(&word2, NULL) == 0);
	__atomic_store_n(&started, 1, __ATOMIC_SEQ_CST);
	*(long *)arg = lock_pi(&word, NULL);
	need(unlock_pi(&word) == 0);
	need(unlock_pi(&word2) == 0);
	return NULL;
}

static void test_deadlock(void)
{
	pthread_t t;
	long ret = -1;
	need(lock_pi(&word, NULL) == 0);
	started = 0;
	need(pthread_create(&t, NULL, crossed, &ret) == 0);
	await_int(&started, 1);
	while (!(get(&word) & FUTEX_WAITERS))
		pause_ms(1);
	pause_ms(20);
	is_err(lock_pi(&word2, NULL), EDEADLK, "a circle of two");
	need(unlock_pi(&word) == 0);
	pthread_join(t, NULL);
	is_int(ret, 0, "the other goes on");
	word = word2 = 0;
}

/* Locks as the C library takes them, which asks the kernel only where it must. */
static long fast_lock(uint32_t *w)
{
	uint32_t free_word = 0;
	if (__atomic_compare_exchange_n(w, &free_word, gettid(), false, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED))
		return 0;
	return lock_pi(w, NULL);
}

static long fast_unlock(uint32_t *w)
{
	uint32_t mine = gettid();
	if (__atomic_compare_exchange_n(w, &mine, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		return 0;
	return unlock_pi(w);
}

static int wrong;

static void count_wrong(long ret)
{
	if (ret)
		__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
}

/* Always in the order of words: there is no circle, at any moment. */
static void *in_order(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000; i++) {
		count_wrong(fast_lock(&word));
		count_wrong(fast_lock(&word2));
		count_wrong(fast_unlock(&word2));
		count_wrong(fast_unlock(&word));
	}
	return NULL;
}

/* Holds one at a time, the second first. */
static void *one_by_one(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000; i++) {
		count_wrong(fast_lock(&word2));
		count_wrong(fast_unlock(&word2));
		count_wrong(fast_lock(&word));
		count_wrong(fast_unlock(&word));
	}
	return NULL;
}

static void test_no_deadlock(void)
{
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		need(pthread_create(&t[i], NULL, i % 2 ? one_by_one : in_order, NULL) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	is_int(wrong, 0, "locks in order are no circle");
	is_int(word | word2, 0, "all are free");
	word = word2 = 0;
}

#define CHAIN 100
static uint32_t links[CHAIN + 1];
static int chained;

static void *chain_member(void *arg)
{
	intptr_t i = (intptr_t)arg;
	need(lock_pi(&links[i], NULL) == 0);
	__atomic_add_fetch(&chained, 1, __ATOMIC_SEQ_CST);
	need(lock_pi(&links[i - 1], NULL) == 0);
	need(unlock_pi(&links[i - 1]) == 0);
	need(unlock_pi(&links[i]) == 0);
	return NULL;
}

static void test_chain(void)
{
	pthread_t t[CHAIN + 1];
	need(lock_pi(&links[0], NULL) == 0);
	for (intptr_t i = 1; i <= CHAIN; i++) {
		need(pthread_create(&t[i], NULL, chain_member, (void *)i) == 0);
		await_int(&chained, i);
		while (!(get(&links[i - 1]) & FUTEX_WAITERS))
			pause_ms(1);
	}
	pause_ms(50);
	is_err(lock_pi(&links[CHAIN], NULL), EDEADLK, "a circle of %d", CHAIN + 1);
	need(unlock_pi(&links[0]) == 0);
	for (int i = 1; i <= CHAIN; i++)
		pthread_join(t[i], NULL);
	ok(true, "the chain dissolves");
}

/* ---- death ---- */

static void *dies_with_lock(void *arg)
{
	need(lock_pi(&word, NULL) == 0);
	__atomic_store_n(&started, 1, __ATOMIC_SEQ_CST);
	event_wait(arg);
	return NULL;
}

static void *post_soon(void *arg)
{
	pause_ms(30);
	event_post(arg);
	return NULL;
}

static void test_death(void)
{
	struct event go;
	pthread_t t, t2;
	event_init(&go);
	started = 0;
	need(pthread_create(&t, NULL, dies_with_lock, &go) == 0);
	await_int(&started, 1);
	need(pthread_create(&t2, NULL, post_soon, &go) == 0);
	is_int(lock_pi(&word, NULL), 0, "the owner dies: the waiter has the lock");
	is_int(get(&word) & FUTEX_TID_MASK, gettid(), "and its id is there");
	is_int(get(&word) & FUTEX_OWNER_DIED, FUTEX_OWNER_DIED, "FUTEX_OWNER_DIED");
	is_int(unlock_pi(&word), 0, "unlock");
	pthread_join(t, NULL);
	pthread_join(t2, NULL);
	word = 0;
	/* The same in another process, killed. */
	uint32_t *shared = shared_alloc(4096);
	pid_t child = tap_fork();
	if (!child) {
		need(lock_pi(shared, NULL) == 0);
		pause();
	}
	while (!get(shared))
		pause_ms(1);
	pid_t killer = tap_fork();
	if (!killer) {
		pause_ms(30);
		kill(child, SIGKILL);
		_exit(0);
	}
	is_int(lock_pi(shared, NULL), 0, "the owner is killed");
	is_int(get(shared) & (FUTEX_TID_MASK | FUTEX_OWNER_DIED), gettid() | FUTEX_OWNER_DIED,
	       "its lock is inherited");
	tap_wait(killer);
	tap_wait(child);
	*shared = child;
	is_err(lock_pi(shared, NULL), ESRCH, "the dead owns nothing");
	event_fini(&go);
}

/* ---- mutexes ---- */

static pthread_mutex_t mutex;
static int counter;

static void *counting(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2000; i++) {
		need(pthread_mutex_lock(&mutex) == 0);
		int seen = counter;
		if (i % 64 == 0)
			sched_yield();
		counter = seen + 1;
		need(pthread_mutex_unlock(&mutex) == 0);
	}
	return NULL;
}

static void mutex_make(pthread_mutex_t *m, int robust, int shared)
{
	pthread_mutexattr_t attr;
	pthread_mutexattr_init(&attr);
	need(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT) == 0);
	pthread_mutexattr_setrobust(&attr, robust);
	pthread_mutexattr_setpshared(&attr, shared);
	need(pthread_mutex_init(m, &attr) == 0);
}

static void test_mutex(void)
{
	pthread_t t[4];
	mutex_make(&mutex, PTHREAD_MUTEX_STALLED, PTHREAD_PROCESS_PRIVATE);
	for (int i = 0; i < 4; i++)
		need(pthread_create(&t[i], NULL, counting, NULL) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	is_int(counter, 8000, "PTHREAD_PRIO_INHERIT excludes");
	/* A condition variable with it. */
	pthread_mutex_t *m = shared_alloc(4096);
	mutex_make(m, PTHREAD_MUTEX_ROBUST, PTHREAD_PROCESS_SHARED);
	pid_t child = tap_fork();
	if (!child) {
		need(pthread_mutex_lock(m) == 0);
		pause_ms(30);
		_exit(0);
	}
	while (pthread_mutex_trylock(m) == 0) {
		pthread_mutex_unlock(m);
		pause_ms(1);
	}
	is_int(pthread_mutex_lock(m), EOWNERDEAD, "robust: EOWNERDEAD");
	is_int(pthread_mutex_consistent(m), 0, "made consistent");
	is_int(pthread_mutex_unlock(m), 0, "unlock");
	tap_wait(child);
	is_int(pthread_mutex_lock(m), 0, "and on");
	is_int(pthread_mutex_unlock(m), 0, "unlock");
	child = tap_fork();
	if (!child) {
		pthread_mutex_lock(m);
		_exit(0);
	}
	tap_wait(child);
	is_int(pthread_mutex_lock(m), EOWNERDEAD, "nobody waited");
	is_int(pthread_mutex_unlock(m), 0, "not made consistent");
	is_int(pthread_mutex_lock(m), ENOTRECOVERABLE, "is for ever");
}

/* ---- requeue ---- */

static uint32_t cond;
static int got_it;

static void *requeued(void *arg)
{
	(void)arg;
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	need(futex(&cond, FUTEX_WAIT_REQUEUE_PI, 0, NULL, &word, 0) == 0);
	need((get(&word) & FUTEX_TID_MASK) == (uint32_t)gettid());
	got_it++;
	need(unlock_pi(&word) == 0);
	return NULL;
}

static void test_requeue(void)
{
	pthread_t t[3];
	started = 0;
	for (int i = 0; i < 3; i++)
		need(pthread_create(&t[i], NULL, requeued, NULL) == 0);
	await_int(&started, 3);
	pause_ms(50);
	need(lock_pi(&word, NULL) == 0);
	is_err(futex(&cond, FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL, "FUTEX_WAKE of such a waiter");
	is_err(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)10, &word, 7), EAGAIN,
	       "not its value");
	is_err(futex(&cond, FUTEX_CMP_REQUEUE_PI, 2, (void *)10, &word, 0), EINVAL, "wake two");
	is_err(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)10, &word2, 0), EINVAL,
	       "another lock");
	is_err(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)10, &cond, 0), EINVAL, "to itself");
	is_int(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)10, &word, 0), 3,
	       "FUTEX_CMP_REQUEUE_PI");
	pause_ms(20);
	is_int(got_it, 0, "they wait for the lock");
	need(unlock_pi(&word) == 0);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	is_int(got_it, 3, "and get it");
	struct timespec until = in_ms(CLOCK_MONOTONIC, 10);
	is_err(futex(&cond, FUTEX_WAIT_REQUEUE_PI, 0, &until, &word, 0), ETIMEDOUT, "a timeout");
	is_err(futex(&cond, FUTEX_WAIT_REQUEUE_PI, 1, NULL, &word, 0), EAGAIN, "not its value");
	is_err(futex(&cond, FUTEX_WAIT_REQUEUE_PI, 0, NULL, &cond, 0), EINVAL, "to itself");
	word = 0;
}

/* ---- futex_waitv ---- */

struct waitv {
	uint64_t val, uaddr;
	uint32_t flags, reserved;
};

static uint32_t several[4];

static void *wake_third(void *arg)
{
	(void)arg;
	pause_ms(30);
	while (futex(&several[2], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0)
		pause_ms(5);
	return NULL;
}

static void test_waitv(void)
{
	struct waitv w[130] = {};
	struct timespec until;
	pthread_t t;
	for (int i = 0; i < 4; i++)
		w[i] = (struct waitv){ 0, (uintptr_t)&several[i], 2 | FUTEX_PRIVATE_FLAG, 0 };
	need(pthread_create(&t, NULL, wake_third, NULL) == 0);
	is_int(syscall(SYS_futex_waitv, w, 4, 0, NULL, 0), 2, "the third is woken");
	pthread_join(t, NULL);
	until = in_ms(CLOCK_MONOTONIC, 10);
	is_err(syscall(SYS_futex_waitv, w, 4, 0, &until, CLOCK_MONOTONIC), ETIMEDOUT, "a timeout");
	until = in_ms(CLOCK_REALTIME, 10);
	is_err(syscall(SYS_futex_waitv, w, 4, 0, &until, CLOCK_REALTIME), ETIMEDOUT,
	       "of the other clock");
	several[3] = 1;
	is_err(syscall(SYS_futex_waitv, w, 4, 0, NULL, 0), EAGAIN, "the last has another value");
	is_err(syscall(SYS_futex_waitv, w, 0, 0, NULL, 0), EINVAL, "none");
	is_err(syscall(SYS_futex_waitv, w, 129, 0, NULL, 0), EINVAL, "too many");
	is_err(syscall(SYS_futex_waitv, NULL, 1, 0, NULL, 0), EINVAL, "null");
	is_err(syscall(SYS_futex_waitv, BAD_PTR, 1, 0, NULL, 0), EFAULT, "a bad array");
	is_err(syscall(SYS_futex_waitv, w, 1, 1, NULL, 0), EINVAL, "flags");
	is_err(syscall(SYS_futex_waitv, w, 1, 0, &until, CLOCK_BOOTTIME), EINVAL, "another clock");
	w[0].flags = FUTEX_PRIVATE_FLAG;
	is_err(syscall(SYS_futex_waitv, w, 1, 0, NULL, 0), EINVAL, "no size");
	w[0].flags = 2 | 0x40;
	is_err(syscall(SYS_futex_waitv, w, 1, 0, NULL, 0), EINVAL, "an unknown flag");
	w[0].flags = 2;
	w[0].reserved = 1;
	is_err(syscall(SYS_futex_waitv, w, 1, 0, NULL, 0), EINVAL, "reserved");
	w[0] = (struct waitv){ 0, 8, 2, 0 };
	is_err(syscall(SYS_futex_waitv, w, 1, 0, NULL, 0), EFAULT, "a bad word");
	w[0] = (struct waitv){ 1UL << 32, (uintptr_t)&several[0], 2, 0 };
	is_err(syscall(SYS_futex_waitv, w, 1, 0, NULL, 0), EINVAL, "a value of more than 32 bits");
}

int main(void)
{
	tap_begin();
	test_alone();
	test_order();
	test_timeout();
	test_deadlock();
	test_no_deadlock();
	test_chain();
	test_death();
	test_mutex();
	test_requeue();
	test_waitv();
	return tap_end();
}
