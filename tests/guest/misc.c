/*
 * sysinfo, getrandom, scheduling, getcpu, rseq.
 */
#include "tap.h"
#include <linux/rseq.h>
#include <pthread.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/sysinfo.h>

static void test_sysinfo(void)
{
	struct sysinfo info;
	memset(&info, 0xff, sizeof(info));
	is_int(sysinfo(&info), 0, "sysinfo");
	ok(info.totalram > 0 && info.freeram <= info.totalram, "memory");
	ok(info.procs > 0 && info.mem_unit > 0 && info.uptime >= 0, "processes, unit, uptime");
	is_err(syscall(SYS_sysinfo, BAD_PTR), EFAULT, "to a bad address");
}

static void test_random(void)
{
	unsigned char a[256] = {}, b[256] = {};
	is_int(getrandom(a, sizeof(a), 0), 256, "getrandom");
	is_int(getrandom(b, sizeof(b), GRND_NONBLOCK), 256, "GRND_NONBLOCK");
	ok(memcmp(a, b, sizeof(a)) != 0, "gives different bytes");
	is_int(getrandom(a, 16, GRND_RANDOM), 16, "GRND_RANDOM");
	is_int(getrandom(a, 16, GRND_INSECURE), 16, "GRND_INSECURE");
	is_int(getrandom(a, 0, 0), 0, "no bytes");
	static unsigned char large[100000];
	is_int(getrandom(large, sizeof(large), 0), sizeof(large), "100,000 bytes");
	int zeros = 0;
	for (size_t i = 0; i < sizeof(large); i++)
		zeros += large[i] == 0;
	ok(zeros < 2000, "all are filled");
	is_err(getrandom(a, 16, 0x80), EINVAL, "unknown flags");
	is_err(getrandom(a, 16, GRND_RANDOM | GRND_INSECURE), EINVAL,
	       "flags that exclude each other");
	is_err(syscall(SYS_getrandom, BAD_PTR, 16, 0), EFAULT, "to a bad address");
}

static void affinity(void)
{
	cpu_set_t all, one, got;
	unsigned cpu, node;
	long size = syscall(SYS_sched_getaffinity, 0, sizeof(all), &all);
	need(size > 0 && size % 8 == 0);
	CPU_ZERO(&all);
	need(sched_getaffinity(0, sizeof(all), &all) == 0 && CPU_COUNT(&all) >= 1);
	need(sched_getaffinity(getpid(), sizeof(got), &got) == 0);
	need(CPU_EQUAL(&got, &all));
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(i, &one);
		need(sched_setaffinity(0, sizeof(one), &one) == 0);
		need(sched_getaffinity(0, sizeof(got), &got) == 0 && CPU_EQUAL(&got, &one));
	}
	pid_t child = tap_fork();
	if (child == 0) {
		need(sched_getaffinity(0, sizeof(got), &got) == 0 && CPU_EQUAL(&got, &one));
		_exit(0);
	}
	need(tap_wait(child) == 0);
	need(sched_setaffinity(0, sizeof(all), &all) == 0);
	need(syscall(SYS_getcpu, &cpu, &node, NULL) == 0 && CPU_ISSET(cpu, &all));
	need(getcpu(&cpu, NULL) == 0 && CPU_ISSET(cpu, &all));
	need(syscall(SYS_getcpu, NULL, NULL, NULL) == 0);
	CPU_ZERO(&one);
	need_err(sched_setaffinity(0, sizeof(one), &one), EINVAL);
	need_err(sched_setaffinity(1 << 30, sizeof(all), &all), ESRCH);
	need_err(sched_getaffinity(1 << 30, sizeof(all), &all), ESRCH);
	need_err(syscall(SYS_sched_getaffinity, 0, 3, &all), EINVAL);
	need_err(syscall(SYS_sched_getaffinity, 0, 8192, BAD_PTR), EFAULT);
	need_err(syscall(SYS_sched_setaffinity, 0, 128, BAD_PTR), EFAULT);
	need_err(syscall(SYS_getcpu, BAD_PTR, NULL, NULL), EFAULT);
}

static void scheduling(void)
{
	struct sched_param param = {};
	struct timespec t;
	need(sched_yield() == 0);
	need(sched_getscheduler(0) == SCHED_OTHER);
	need(sched_getparam(0, &param) == 0 && param.sched_priority == 0);
	need(sched_setscheduler(0, SCHED_BATCH, &param) == 0);
	need(sched_getscheduler(0) == SCHED_BATCH);
	need(sched_get_priority_max(SCHED_OTHER) == 0 && sched_get_priority_min(SCHED_OTHER) == 0);
	need(sched_get_priority_max(SCHED_FIFO) == 99 && sched_get_priority_min(SCHED_RR) == 1);
	need_err(sched_get_priority_max(77), EINVAL);
	need(sched_rr_get_interval(0, &t) == 0);
	need_err(sched_getscheduler(1 << 30), ESRCH);
	need_err(sched_getscheduler(-1), EINVAL);
	need_err(sched_setscheduler(0, 77, &param), EINVAL);
	param.sched_priority = 1;
	need_err(sched_setscheduler(0, SCHED_OTHER, &param), EINVAL);
}

static struct rseq area __attribute__((aligned(32)));
static long rseq_error;

static void *own_rseq(void *arg)
{
	/* The C library has registered its own, unless told not to. */
	(void)arg;
	area.cpu_id = (uint32_t)RSEQ_CPU_ID_UNINITIALIZED;
	rseq_error = syscall(SYS_rseq, &area, sizeof(area), 0, 0x53053053) ? errno : 0;
	return NULL;
}

static void test_rseq(void)
{
	errno = 0;
	long result = syscall(SYS_rseq, &area, 7, 0x80, 0);
	if (result == -1 && errno == ENOSYS) {
		skip("no rseq", "rseq with unknown flags");
		skip("no rseq", "a second registration");
		skip("no rseq", "its CPU is one of ours");
		return;
	}
	is_int(result == -1 ? errno : 0, EINVAL, "rseq with unknown flags");
	pthread_t thread;
	need(pthread_create(&thread, NULL, own_rseq, NULL) == 0);
	pthread_join(thread, NULL);
	ok(rseq_error == EINVAL || rseq_error == 0 || rseq_error == EBUSY, "a second registration");
	cpu_set_t set;
	need(sched_getaffinity(0, sizeof(set), &set) == 0);
	int cpu = sched_getcpu();
	ok(cpu >= 0 && CPU_ISSET(cpu, &set), "its CPU is one of ours");
}

static void test_membarrier(void)
{
	ok(syscall(SYS_membarrier, 0, 0, 0) & 1, "membarrier: GLOBAL is there");
	is_int(syscall(SYS_membarrier, 1, 0, 0), 0, "GLOBAL");
	is_err(syscall(SYS_membarrier, 1, 1, 0), EINVAL, "with an unknown flag");
	is_err(syscall(SYS_membarrier, 3, 0, 0), EINVAL, "an unknown command");
}

int main(void)
{
	tap_begin();
	test_sysinfo();
	test_random();
	child_ok(affinity, "CPU affinity");
	child_ok(scheduling, "scheduling policies");
	test_rseq();
	test_membarrier();
	return tap_end();
}
