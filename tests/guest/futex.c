/*
 * futex operations and robust lists.
 */
#include "tap.h"
#include <linux/futex.h>
#include <pthread.h>
#include <stddef.h>

static long futex(void *word, int op, unsigned value, const struct timespec *timeout, void *word2,
		  unsigned value3)
{
	return syscall(SYS_futex, word, op, value, timeout, word2, value3);
}

static int words[4];

static void test_errors(void)
{
	struct timespec bad = { 0, 1000000000 }, negative = { -1, 0 }, zero = {};
	is_err(futex(words, FUTEX_WAIT, 1, NULL, NULL, 0), EAGAIN, "WAIT for another value");
	is_err(futex(words, FUTEX_WAIT, 0, &zero, NULL, 0), ETIMEDOUT, "WAIT with no time");
	is_err(futex(words, FUTEX_WAIT, 0, &bad, NULL, 0), EINVAL, "WAIT with bad nanoseconds");
	is_err(futex(words, FUTEX_WAIT, 0, &negative, NULL, 0), EINVAL, "WAIT for -1 s");
	is_err(futex(words, FUTEX_WAIT, 0, BAD_PTR, NULL, 0), EFAULT, "WAIT with bad timeout");
	is_err(futex((char *)words + 1, FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL, "unaligned WAIT");
	is_err(futex((char *)words + 2, FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL, "unaligned WAKE");
	is_err(futex(NULL, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT, "WAIT at 0");
	is_err(futex(BAD_PTR_HIGH, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT, "WAIT far away");
	is_err(futex(BAD_PTR_HIGH, FUTEX_WAKE, 1, NULL, NULL, 0), EFAULT, "WAKE far away");
	is_err(futex(tap_pointer(4096), FUTEX_WAKE, 1, NULL, NULL, 0), EFAULT,
	       "WAKE of shared unmapped memory");
	is_int(futex(tap_pointer(4096), FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0,
	       "WAKE of private unmapped memory");
	is_err(futex(words, 100, 0, NULL, NULL, 0), ENOSYS, "unknown operation");
	is_err(futex(words, FUTEX_WAIT_BITSET, 0, &zero, NULL, 0), EINVAL, "WAIT_BITSET of none");
	is_err(futex(words, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), EINVAL, "WAKE_BITSET of none");
	is_err(futex(words, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0), ENOSYS,
	       "WAKE with CLOCK_REALTIME");
	is_int(futex(words, FUTEX_WAKE, 1, NULL, NULL, 0), 0, "WAKE without waiters");
	is_err(futex(words, FUTEX_CMP_REQUEUE, 1, (void *)1L, words + 1, 5), EAGAIN,
	       "CMP_REQUEUE with another value");
	is_err(futex(words, FUTEX_REQUEUE, 1, (void *)-1L, words + 1, 0), EINVAL,
	       "REQUEUE of a negative number");
	is_err(futex(words, FUTEX_REQUEUE, 1, (void *)1L, (char *)words + 1, 0), EINVAL,
	       "REQUEUE to an unaligned word");
	is_err(futex(words, FUTEX_WAKE_OP, 1, (void *)1L, BAD_PTR_HIGH, 0), EFAULT,
	       "WAKE_OP on a bad address");
}

static void test_timeouts(void)
{
	struct timespec t = { 0, 20000000 }, before, after;
	clock_gettime(CLOCK_MONOTONIC, &before);
	is_err(futex(words, FUTEX_WAIT, 0, &t, NULL, 0), ETIMEDOUT, "relative timeout");
	clock_gettime(CLOCK_MONOTONIC, &after);
	long ns = (after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec;
	ok(ns >= 20000000, "it has passed");
	t = after;
	t.tv_sec -= 1;
	is_err(futex(words, FUTEX_WAIT_BITSET, 0, &t, NULL, ~0U), ETIMEDOUT,
	       "absolute timeout in the past");
	t = after;
	t.tv_nsec += 20000000;
	if (t.tv_nsec >= 1000000000)
		t.tv_sec++, t.tv_nsec -= 1000000000;
	is_err(futex(words, FUTEX_WAIT_BITSET, 0, &t, NULL, ~0U), ETIMEDOUT, "and in the future");
	clock_gettime(CLOCK_MONOTONIC, &after);
	ok(after.tv_sec > t.tv_sec || (after.tv_sec == t.tv_sec && after.tv_nsec >= t.tv_nsec),
	   "it has passed");
	clock_gettime(CLOCK_REALTIME, &t);
	is_err(futex(words, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &t, NULL, ~0U), ETIMEDOUT,
	       "by the real-time clock");
}

struct waiter {
	pthread_t thread;
	int *word;
	unsigned bits;
	long result;
	int error;
};

static int woken;

static void *waiter_run(void *arg)
{
	struct waiter *waiter = arg;
	waiter->result =
		futex(waiter->word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, waiter->bits);
	waiter->error = errno;
	__atomic_add_fetch(&woken, 1, __ATOMIC_RELEASE);
	return NULL;
}

/*
 * Starts a waiter and returns once it sleeps: moving the sleepers of a word onto the same word
 * counts them and changes nothing.
 */
static void waiter_start(struct waiter *waiter, int *word, unsigned bits, int sleepers)
{
	*waiter = (struct waiter){ .word = word, .bits = bits };
	need(pthread_create(&waiter->thread, NULL, waiter_run, waiter) == 0);
	while (futex(word, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)1000L, word, 0) < sleepers)
		pause_ms(1);
}

static void join(struct waiter *waiters, int count)
{
	int good = 0;
	for (int i = 0; i < count; i++) {
		pthread_join(waiters[i].thread, NULL);
		good += waiters[i].result == 0;
	}
	is_int(good, count, "waiters return 0");
	woken = 0;
}

static void test_wake(void)
{
	struct waiter waiters[5];
	for (int i = 0; i < 5; i++)
		waiter_start(&waiters[i], words, ~0U, i + 1);
	is_int(futex(words, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0), 2, "WAKE 2 of 5");
	await_int(&woken, 2);
	is_int(futex(words + 1, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0), 0, "WAKE of another word");
	is_int(futex(words, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0), 3, "WAKE the rest");
	join(waiters, 5);
}

static void test_bitset(void)
{
	struct waiter waiters[3];
	waiter_start(&waiters[0], words, 1, 1);
	waiter_start(&waiters[1], words, 2, 2);
	waiter_start(&waiters[2], words, 4, 3);
	is_int(futex(words, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 8), 0, "no bit in common");
	is_int(futex(words, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 2), 1, "one bit in common");
	is_int(futex(words, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 5), 2, "two waiters");
	join(waiters, 3);
}

static void test_requeue(void)
{
	struct waiter waiters[5];
	for (int i = 0; i < 5; i++)
		waiter_start(&waiters[i], words, ~0U, i + 1);
	is_int(futex(words, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2L, words + 1, 0), 3,
	       "CMP_REQUEUE: one woken, two moved");
	await_int(&woken, 1);
	is_int(futex(words, FUTEX_REQUEUE_PRIVATE, 0, (void *)1L, words + 1, 0), 1,
	       "REQUEUE counts those moved too");
	is_int(futex(words + 1, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0), 3, "three on the second");
	is_int(futex(words, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0), 1, "one on the first");
	join(waiters, 5);
}

static void test_wake_op(void)
{
	struct waiter waiters[4];
	waiter_start(&waiters[0], words, ~0U, 1);
	waiter_start(&waiters[1], words, ~0U, 2);
	waiter_start(&waiters[2], words + 1, ~0U, 1);
	waiter_start(&waiters[3], words + 1, ~0U, 2);
	/* words[1] = 5; it was 0, so the comparison with 1 fails. */
	is_int(futex(words, FUTEX_WAKE_OP_PRIVATE, 1, (void *)5L, words + 1,
		     FUTEX_OP(FUTEX_OP_SET, 5, FUTEX_OP_CMP_EQ, 1)),
	       1, "WAKE_OP: comparison false");
	is_int(words[1], 5, "the operation is done");
	is_int(futex(words, FUTEX_WAKE_OP_PRIVATE, 5, (void *)1L, words + 1,
		     FUTEX_OP(FUTEX_OP_ADD, 2, FUTEX_OP_CMP_GT, 4)),
	       2, "comparison true");
	is_int(words[1], 7, "ADD");
	futex(words, FUTEX_WAKE_OP_PRIVATE, 0, NULL, words + 1,
	      FUTEX_OP(FUTEX_OP_ANDN, 3, FUTEX_OP_CMP_NE, 7));
	is_int(words[1], 4, "ANDN");
	futex(words, FUTEX_WAKE_OP_PRIVATE, 0, NULL, words + 1,
	      FUTEX_OP(FUTEX_OP_OR, 3, FUTEX_OP_CMP_NE, 4));
	is_int(words[1], 7, "OR");
	futex(words, FUTEX_WAKE_OP_PRIVATE, 0, NULL, words + 1,
	      FUTEX_OP(FUTEX_OP_XOR, 2, FUTEX_OP_CMP_NE, 7));
	is_int(words[1], 5, "XOR");
	futex(words, FUTEX_WAKE_OP_PRIVATE, 0, NULL, words + 1,
	      FUTEX_OP((FUTEX_OP_OPARG_SHIFT | FUTEX_OP_SET), 4, FUTEX_OP_CMP_NE, 5));
	is_int(words[1], 16, "SET of a shifted argument");
	is_err(futex(words, FUTEX_WAKE_OP_PRIVATE, 0, NULL, words + 1, FUTEX_OP(7, 4, 0, 0)),
	       ENOSYS, "an unknown operation");
	is_int(futex(words + 1, FUTEX_WAKE_PRIVATE, 5, NULL, NULL, 0), 1, "the last waiter");
	words[1] = 0;
	join(waiters, 4);
}

static void test_shared(void)
{
	/* One futex at two addresses in two processes. */
	int *a = shared_alloc(4096);
	pid_t child = tap_fork();
	if (child == 0) {
		int *b = mremap(a, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED,
				mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		need(b != MAP_FAILED && b != a);
		__atomic_store_n(&b[1], 1, __ATOMIC_RELEASE);
		while (__atomic_load_n(&b[0], __ATOMIC_ACQUIRE) == 0)
			futex(b, FUTEX_WAIT, 0, NULL, NULL, 0);
		_exit(0);
	}
	await_int(&a[1], 1);
	while (futex(a, FUTEX_CMP_REQUEUE, 0, (void *)1000L, a, 0) < 1)
		pause_ms(1);
	is_int(futex(a, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0, "a private wake misses it");
	__atomic_store_n(&a[0], 1, __ATOMIC_RELEASE);
	is_int(futex(a, FUTEX_WAKE, 1, NULL, NULL, 0), 1, "a shared wake reaches it");
	is_exit(tap_wait(child), 0, "the other process went on");
	munmap(a, 4096);
}

struct robust {
	struct robust_list list;
	int word;
};

static void die_with_locks(struct robust *locks, bool exec)
{
	struct robust_list_head head = { .list.next = &locks[0].list,
					 .futex_offset = offsetof(struct robust, word) };
	char *argv[] = { "futex", "exit", NULL };
	locks[0].list.next = &locks[1].list;
	locks[1].list.next = &head.list;
	head.list_op_pending = &locks[2].list;
	need(syscall(SYS_set_robust_list, &head, sizeof(head)) == 0);
	locks[0].word = (int)syscall(SYS_gettid);
	locks[1].word = 12345;
	locks[2].word = (int)(syscall(SYS_gettid) | FUTEX_WAITERS);
	if (exec)
		execv("/proc/self/exe", argv);
	_exit(0);
}

static void test_robust(void)
{
	struct robust *locks = shared_alloc(4096);
	struct robust_list_head *head;
	size_t size = 0;
	for (int exec = 0; exec < 2; exec++) {
		pid_t child = tap_fork();
		if (child == 0)
			die_with_locks(locks, exec);
		is_exit(tap_wait(child), 0, "a process with a robust list %s",
			exec ? "execs" : "exits");
		is_int(locks[0].word, FUTEX_OWNER_DIED, "FUTEX_OWNER_DIED is set");
		is_int(locks[1].word, 12345, "another's lock is left alone");
		is_int((unsigned)locks[2].word, FUTEX_OWNER_DIED | FUTEX_WAITERS,
		       "the pending lock is marked");
	}
	is_err(syscall(SYS_set_robust_list, locks, 10), EINVAL, "set_robust_list of a wrong size");
	is_int(syscall(SYS_get_robust_list, 0, &head, &size), 0, "get_robust_list");
	is_int(size, sizeof(*head), "its size");
	is_err(syscall(SYS_get_robust_list, 1 << 30, &head, &size), ESRCH, "of no one");
	is_err(syscall(SYS_get_robust_list, 0, BAD_PTR, &size), EFAULT, "to a bad address");
	munmap(locks, 4096);
}

static void test_robust_mutex(void)
{
	pthread_mutex_t *mutex = shared_alloc(4096);
	pthread_mutexattr_t attributes;
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	need(pthread_mutex_init(mutex, &attributes) == 0);
	struct event locked;
	event_init(&locked);
	pid_t child = tap_fork();
	if (child == 0) {
		need(pthread_mutex_lock(mutex) == 0);
		event_post(&locked);
		pause_ms(20);
		kill(getpid(), SIGKILL);
	}
	event_wait(&locked);
	is_int(pthread_mutex_lock(mutex), EOWNERDEAD, "a robust mutex whose owner was killed");
	is_int(pthread_mutex_consistent(mutex), 0, "is mended");
	is_int(pthread_mutex_unlock(mutex), 0, "and released");
	is_killed(tap_wait(child), SIGKILL, "the owner is dead");
	event_fini(&locked);
	munmap(mutex, 4096);
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return 0;
	tap_begin();
	test_errors();
	test_timeouts();
	test_wake();
	test_bitset();
	test_requeue();
	test_wake_op();
	test_shared();
	test_robust();
	test_robust_mutex();
	return tap_end();
}
