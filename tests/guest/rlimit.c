/*
 * Resource limits: getrlimit, setrlimit, prlimit. Their effects are with what they limit.
 */
#include "tap.h"
#include <fcntl.h>
#include <sys/resource.h>

static void every_limit(void)
{
	struct rlimit limit, other;
	for (int i = 0; i < 16; i++) {
		need(getrlimit(i, &limit) == 0);
		need(limit.rlim_cur <= limit.rlim_max);
		need(prlimit(0, i, NULL, &other) == 0);
		need(other.rlim_cur == limit.rlim_cur && other.rlim_max == limit.rlim_max);
		need(prlimit(getpid(), i, &limit, &other) == 0);
		need(syscall(SYS_getrlimit, i, &other) == 0);
		need(setrlimit(i, &other) == 0);
	}
}

static void lower(void)
{
	struct rlimit limit = { 50, 100 }, got;
	need(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	need(getrlimit(RLIMIT_NOFILE, &got) == 0 && got.rlim_cur == 50 && got.rlim_max == 100);
	limit.rlim_cur = 100;
	need(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = 101;
	need_err(setrlimit(RLIMIT_NOFILE, &limit), EINVAL);
	limit = (struct rlimit){ 10, 10 };
	need(prlimit(0, RLIMIT_NOFILE, &limit, &got) == 0 && got.rlim_cur == 100);
	pid_t child = tap_fork();
	if (child == 0) {
		need(getrlimit(RLIMIT_NOFILE, &got) == 0 && got.rlim_max == 10);
		limit = (struct rlimit){ 5, 5 };
		need(setrlimit(RLIMIT_NOFILE, &limit) == 0);
		_exit(0);
	}
	need(tap_wait(child) == 0);
	need(getrlimit(RLIMIT_NOFILE, &got) == 0 && got.rlim_cur == 10);
}

static void errors(void)
{
	struct rlimit limit = { 1, 1 };
	need_err(syscall(SYS_getrlimit, 16, &limit), EINVAL);
	need_err(syscall(SYS_setrlimit, 99, &limit), EINVAL);
	need_err(syscall(SYS_getrlimit, RLIMIT_NOFILE, BAD_PTR), EFAULT);
	need_err(syscall(SYS_setrlimit, RLIMIT_NOFILE, BAD_PTR), EFAULT);
	need_err(syscall(SYS_prlimit64, 0, 16, NULL, &limit), EINVAL);
	need_err(syscall(SYS_prlimit64, 1 << 30, 0, NULL, &limit), ESRCH);
	need_err(syscall(SYS_prlimit64, 0, 0, NULL, BAD_PTR), EFAULT);
	need_err(syscall(SYS_prlimit64, 0, 0, BAD_PTR, NULL), EFAULT);
	limit = (struct rlimit){ 1UL << 40, 1UL << 40 };
	need_err(setrlimit(RLIMIT_NOFILE, &limit), EPERM);
}

static void of_child(void)
{
	struct rlimit limit = { 7, 9 }, got;
	struct event go;
	event_init(&go);
	pid_t child = tap_fork();
	if (child == 0) {
		event_wait(&go);
		need(getrlimit(RLIMIT_CORE, &got) == 0);
		_exit(got.rlim_cur == 7 ? 0 : 1);
	}
	need(prlimit(child, RLIMIT_CORE, NULL, &got) == 0);
	limit.rlim_max = got.rlim_max;
	if (limit.rlim_max < 7)
		limit.rlim_cur = limit.rlim_max;
	need(prlimit(child, RLIMIT_CORE, &limit, NULL) == 0);
	need(prlimit(child, RLIMIT_CORE, NULL, &got) == 0 && got.rlim_cur == limit.rlim_cur);
	event_post(&go);
	int status = tap_wait(child);
	need(limit.rlim_cur != 7 || status == 0);
}

static void process_count(void)
{
	/* Counted by user, so one that no one else is likely to use. */
	struct rlimit limit = { 5, 5 };
	pid_t children[10];
	int count = 0;
	if (getuid() != 0)
		return;
	uid_t uid = 300000000 + getpid();
	need(setrlimit(RLIMIT_NPROC, &limit) == 0);
	need(setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0);
	while (count < 10) {
		pid_t child = fork();
		if (child == 0)
			for (;;)
				pause();
		if (child < 0)
			break;
		children[count++] = child;
	}
	int error = errno;
	for (int i = 0; i < count; i++) {
		kill(children[i], SIGKILL);
		tap_wait(children[i]);
	}
	need(count == 4 && error == EAGAIN);
}

static void cpu_limit(void)
{
	struct rlimit limit = { 1, 3 };
	need(setrlimit(RLIMIT_CORE, &(struct rlimit){}) == 0);
	need(setrlimit(RLIMIT_CPU, &limit) == 0);
	for (volatile unsigned i = 0;; i++)
		;
}

static void priority(void)
{
	need(setpriority(PRIO_PROCESS, 0, 5) == 0);
	errno = 0;
	need(getpriority(PRIO_PROCESS, 0) == 5);
	need(syscall(SYS_getpriority, PRIO_PROCESS, 0) == 15);
	need(setpriority(PRIO_PROCESS, 0, 100) == 0);
	need(getpriority(PRIO_PROCESS, 0) == 19);
	need_err(setpriority(9, 0, 5), EINVAL);
	need_err(getpriority(9, 0), EINVAL);
	need_err(getpriority(PRIO_PROCESS, 1 << 30), ESRCH);
	if (getuid() != 0)
		need_err(setpriority(PRIO_PROCESS, 0, 10), EACCES);
}

int main(void)
{
	tap_begin();
	child_ok(every_limit, "every limit can be read and set to what it is");
	child_ok(lower, "lowering");
	child_ok(errors, "errors");
	child_ok(of_child, "of a child");
	child_ok(process_count, "RLIMIT_NPROC");
	is_killed(run_child(cpu_limit), SIGXCPU, "RLIMIT_CPU");
	child_ok(priority, "nice values");
	return tap_end();
}
