/*
 * Scheduling: policies, priorities, I/O priorities, membarrier.
 */
#include "tap.h"
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
	uint64_t more;
};

static int set_attr(struct attr *a)
{
	return syscall(SYS_sched_setattr, 0, a, 0);
}

static int get_attr(struct attr *a, unsigned size)
{
	memset(a, 0xff, sizeof(*a));
	return syscall(SYS_sched_getattr, 0, a, size, 0);
}

static int barrier(int cmd, unsigned flags)
{
	return syscall(SYS_membarrier, cmd, flags, 0);
}

static void test_attr(void)
{
	struct attr a;
	is_int(get_attr(&a, 48), 0, "sched_getattr");
	is_int(a.size, 48, "as much as there is room");
	is_int(a.policy, SCHED_OTHER, "SCHED_OTHER");
	is_int(a.nice, 0, "nice 0");
	is_int(a.util_min, 0xffffffff, "not more");
	a = (struct attr){ .size = 48, .policy = SCHED_BATCH, .nice = 5 };
	is_int(set_attr(&a), 0, "sched_setattr");
	is_int(sched_getscheduler(0), SCHED_BATCH, "its policy");
	is_int(getpriority(PRIO_PROCESS, 0), 5, "its nice");
	a = (struct attr){ .size = 48, .policy = SCHED_OTHER, .nice = 0 };
	is_int(set_attr(&a), 0, "back");
	a = (struct attr){ .size = 0, .policy = SCHED_OTHER };
	is_int(set_attr(&a), 0, "size 0 is the first one");
	a = (struct attr){ .size = 40 };
	is_err(set_attr(&a), E2BIG, "too small");
	ok(a.size >= 48, "tells the right one");
	a = (struct attr){ .size = sizeof(a), .more = 1 };
	is_err(set_attr(&a), E2BIG, "too large");
	a = (struct attr){ .size = 48, .policy = 9 };
	is_err(set_attr(&a), EINVAL, "no policy");
	a = (struct attr){ .size = 48, .flags = 0x1000 };
	is_err(set_attr(&a), EINVAL, "no flag");
	a = (struct attr){ .size = 48, .policy = SCHED_FIFO };
	is_err(set_attr(&a), EINVAL, "SCHED_FIFO without a priority");
	a = (struct attr){ .size = 48, .policy = SCHED_OTHER, .priority = 3 };
	is_err(set_attr(&a), EINVAL, "SCHED_OTHER with one");
	is_err(syscall(SYS_sched_setattr, -1, &a, 0), EINVAL, "pid -1");
	is_err(syscall(SYS_sched_setattr, 0, &a, 1), EINVAL, "flags");
	is_err(syscall(SYS_sched_setattr, 0, NULL, 0), EINVAL, "null");
	is_err(syscall(SYS_sched_setattr, 0, BAD_PTR, 0), EFAULT, "a bad address");
	is_err(syscall(SYS_sched_getattr, 0, &a, 47, 0), EINVAL, "getattr: too small");
	is_err(syscall(SYS_sched_getattr, 0, &a, 8192, 0), EINVAL, "getattr: too large");
	is_err(syscall(SYS_sched_getattr, 4000000, &a, 48, 0), ESRCH, "getattr: no such task");
}

/* Without privilege: only downwards. In a child. */
static void unprivileged(void)
{
	struct sched_param p = { 5 };
	struct rlimit none = {};
	struct attr a;
	need(setrlimit(RLIMIT_RTPRIO, &none) == 0 && setrlimit(RLIMIT_NICE, &none) == 0);
	if (getuid() == 0)
		need(setresuid(12345, 12345, 12345) == 0);
	need_err(sched_setscheduler(0, SCHED_FIFO, &p), EPERM);
	need(setpriority(PRIO_PROCESS, 0, 3) == 0);
	need_err(setpriority(PRIO_PROCESS, 0, 2), EACCES);
	a = (struct attr){ .size = 48, .policy = SCHED_OTHER, .nice = 1 };
	need_err(set_attr(&a), EPERM);
	p.sched_priority = 0;
	need(sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &p) == 0);
	need_err(sched_setscheduler(0, SCHED_BATCH, &p), EPERM);
	need(sched_setscheduler(0, SCHED_IDLE | SCHED_RESET_ON_FORK, &p) == 0);
	need_err(sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &p), EPERM);
	need_err(setpriority(PRIO_PROCESS, getppid(), 5), EPERM);
	need_err(syscall(SYS_ioprio_set, 1, 0, 1 << 13), EPERM);
}

static void test_reset_on_fork(void)
{
	struct sched_param p = {};
	pid_t child = tap_fork();
	if (!child) {
		need(sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &p) == 0);
		need(sched_getscheduler(0) == (SCHED_BATCH | SCHED_RESET_ON_FORK));
		pid_t grandchild = tap_fork();
		if (!grandchild)
			_exit(sched_getscheduler(0) == SCHED_BATCH ? 0 : 1);
		int status = tap_wait(grandchild);
		need(status == 0);
		_exit(0);
	}
	is_exit(tap_wait(child), 0, "SCHED_RESET_ON_FORK");
}

static void test_ioprio(void)
{
	int be3 = 2 << 13 | 3;
	is_int(syscall(SYS_ioprio_set, 1, 0, be3), 0, "ioprio_set");
	is_int(syscall(SYS_ioprio_get, 1, 0), be3, "ioprio_get");
	pid_t child = tap_fork();
	if (!child)
		_exit(syscall(SYS_ioprio_get, 1, 0) == be3 ? 0 : 1);
	is_exit(tap_wait(child), 0, "is inherited");
	is_err(syscall(SYS_ioprio_set, 1, 0, 7 << 13), EINVAL, "no class");
	is_err(syscall(SYS_ioprio_set, 1, 0, 1), EINVAL, "no class, but a level");
	is_err(syscall(SYS_ioprio_set, 9, 0, be3), EINVAL, "set: of what");
	is_err(syscall(SYS_ioprio_get, 9, 0), EINVAL, "get: of what");
	is_err(syscall(SYS_ioprio_get, 1, 4000000), ESRCH, "of whom");
	is_int(syscall(SYS_ioprio_set, 1, 0, 3 << 13), 0, "idle");
	is_int(syscall(SYS_ioprio_set, 1, 0, 0), 0, "none");
}

static int flag_a, flag_b, stop;

/* The fast side of an asymmetric fence: it only orders its compiler. */
static void *fast(void *arg)
{
	int *seen = arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		__atomic_store_n(&flag_a, 1, __ATOMIC_RELAXED);
		asm volatile("" ::: "memory");
		*seen = __atomic_load_n(&flag_b, __ATOMIC_RELAXED);
		__atomic_store_n(&flag_a, 0, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void test_barrier(void)
{
	int known = barrier(MEMBARRIER_CMD_QUERY, 0), seen = 0;
	pthread_t t;
	ok(known > 0 && known & MEMBARRIER_CMD_GLOBAL, "membarrier: query");
	ok(known & MEMBARRIER_CMD_PRIVATE_EXPEDITED, "private expedited");
	ok(known & MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, "with SYNC_CORE");
	is_int(barrier(MEMBARRIER_CMD_GLOBAL, 0), 0, "global");
	is_err(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0), EPERM, "not registered");
	is_err(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0), EPERM, "nor with SYNC_CORE");
	is_int(barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0), 0, "register");
	is_int(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0), 0, "then it works");
	is_int(barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0), 0, "SYNC_CORE");
	is_int(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0), 0, "works");
	is_int(barrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0), 0, "global expedited");
	is_int(barrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0), 0, "works");
	is_err(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 2), EINVAL, "flags");
	is_err(barrier(3, 0), EINVAL, "two commands");
	is_err(barrier(1 << 20, 0), EINVAL, "no command");
	pid_t child = tap_fork();
	if (!child)
		_exit(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0) == 0 ? 0 : 1);
	is_exit(tap_wait(child), 0, "a child has it registered");
	need(pthread_create(&t, NULL, fast, &seen) == 0);
	for (int i = 0; i < 2000; i++) {
		__atomic_store_n(&flag_b, 1, __ATOMIC_RELAXED);
		need(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0) == 0);
		__atomic_store_n(&flag_b, 0, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	ok(true, "with a thread that runs");
}

int main(void)
{
	tap_begin();
	test_attr();
	child_ok(unprivileged, "without privilege");
	test_reset_on_fork();
	test_ioprio();
	test_barrier();
	return tap_end();
}
