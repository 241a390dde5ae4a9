/*
 * fork, exit, wait4 and waitid, orphans and automatic reaping.
 */
#include "tap.h"
#include <pthread.h>
#include <sys/resource.h>

static void test_fork(void)
{
	int private_value = 1;
	int *shared_value = shared_alloc(4096);
	pid_t parent = getpid();
	pid_t child = tap_fork();
	if (child == 0) {
		need(getppid() == parent);
		need(getpid() != parent);
		need(syscall(SYS_gettid) == getpid());
		private_value = 2;
		*shared_value = getpid();
		_exit(3);
	}
	int status = tap_wait(child);
	is_exit(status, 3, "exit status of a fork");
	is_int(*shared_value, child, "the child saw its own pid");
	is_int(private_value, 1, "memory is copied");
	is_err(waitpid(child, &status, 0), ECHILD, "a child is reaped once");
	is_err(kill(child, 0), ESRCH, "a reaped child is gone");
	munmap(shared_value, 4096);
}

/* Each process of the chain adds one to the exit status of the next. */
static void nested_forks(void)
{
	pid_t child = 0;
	for (int depth = 0; depth < 8 && child == 0; depth++)
		child = tap_fork();
	if (child == 0)
		_exit(10);
	int status = tap_wait(child);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) + 1 : 1);
}

static void test_many(void)
{
	enum { COUNT = 30 };
	pid_t children[COUNT];
	for (int i = 0; i < COUNT; i++) {
		children[i] = tap_fork();
		if (children[i] == 0)
			_exit(i);
	}
	int seen = 0, right = 0, status;
	for (;;) {
		pid_t got = wait(&status);
		if (got == -1)
			break;
		seen++;
		for (int i = 0; i < COUNT; i++)
			right +=
				got == children[i] && WIFEXITED(status) && WEXITSTATUS(status) == i;
	}
	is_int(errno, ECHILD, "wait without children");
	is_int(seen, COUNT, "all children were reaped");
	is_int(right, COUNT, "each with its own status");
}

static void test_wait_errors(void)
{
	int status;
	siginfo_t info;
	struct event event;
	is_err(wait4(-1, &status, 0x100, NULL), EINVAL, "wait4 with unknown options");
	is_err(wait4(-1, &status, WEXITED, NULL), EINVAL, "wait4 with WEXITED");
	is_err(wait4(1 << 30, &status, 0, NULL), ECHILD, "wait4 for a stranger");
	is_err(wait4(INT32_MIN, &status, 0, NULL), ESRCH, "wait4 for pid INT_MIN");
	is_err(waitid(P_ALL, 0, &info, 0), EINVAL, "waitid without a state");
	is_err(waitid(P_ALL, 0, &info, WEXITED | 0x100), EINVAL, "waitid with unknown options");
	is_err(waitid(17, 0, &info, WEXITED), EINVAL, "waitid with a bad id type");
	is_err(waitid(P_PID, 0, &info, WEXITED), EINVAL, "waitid P_PID 0");
	is_err(waitid(P_PID, -5, &info, WEXITED), EINVAL, "waitid P_PID -5");
	is_err(waitid(P_PGID, -5, &info, WEXITED), EINVAL, "waitid P_PGID -5");
	is_err(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), ECHILD, "waitid without children");
	memset(&info, 7, sizeof(info));
	is_err(waitid(P_ALL, 0, &info, WEXITED), ECHILD, "the same");
	ok(info.si_signo == 0 && info.si_pid == 0 && info.si_status == 0, "clears the siginfo");
	is_err(waitid(P_ALL, 0, BAD_PTR, WEXITED), EFAULT, "and needs a place for it");

	event_init(&event);
	pid_t child = tap_fork();
	if (child == 0) {
		event_wait(&event);
		_exit(5);
	}
	is_int(waitpid(child, &status, WNOHANG), 0, "WNOHANG while the child runs");
	memset(&info, 0x77, sizeof(info));
	is_int(waitid(P_PID, child, &info, WEXITED | WNOHANG), 0, "waitid WNOHANG");
	is_int(info.si_pid, 0, "which clears si_pid");
	is_int(info.si_signo, 0, "and si_signo");
	event_post(&event);
	is_int(waitid(P_PID, child, NULL, WEXITED | WNOWAIT), 0, "waitid without siginfo");
	is_err(syscall(SYS_wait4, child, BAD_PTR, 0, NULL), EFAULT, "wait4 to a bad address");
	is_err(waitpid(child, &status, 0), ECHILD, "which reaped the child all the same");
	event_fini(&event);
}

static void test_waitid(void)
{
	siginfo_t info = {};
	pid_t child = tap_fork();
	if (child == 0)
		_exit(77);
	for (int i = 0; i < 2; i++) {
		memset(&info, 0, sizeof(info));
		is_int(waitid(P_PID, child, &info, WEXITED | WNOWAIT), 0, "WNOWAIT, round %d", i);
		is_int(info.si_status, 77, "si_status, round %d", i);
	}
	is_int(info.si_pid, child, "si_pid");
	is_int(info.si_uid, getuid(), "si_uid");
	is_int(info.si_signo, SIGCHLD, "si_signo");
	is_int(info.si_code, CLD_EXITED, "si_code");
	is_int(kill(child, 0), 0, "a zombie can be signalled");
	is_int(waitid(P_ALL, 0, &info, WEXITED), 0, "and reaped");
	is_err(waitid(P_PID, child, &info, WEXITED), ECHILD, "once");

	child = tap_fork();
	if (child == 0) {
		raise(SIGKILL);
		_exit(1);
	}
	is_int(waitid(P_PGID, 0, &info, WEXITED), 0, "waitid for the own group");
	is_int(info.si_code, CLD_KILLED, "si_code of a killed child");
	is_int(info.si_status, SIGKILL, "si_status is the signal");
}

static void test_stop(void)
{
	siginfo_t info;
	int status;
	pid_t child = tap_fork();
	if (child == 0) {
		for (;;)
			pause();
	}
	need(kill(child, SIGSTOP) == 0);
	is_int(waitpid(child, &status, WUNTRACED), child, "WUNTRACED");
	ok(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "stopped by SIGSTOP");
	is_int(waitpid(child, &status, WUNTRACED | WNOHANG), 0, "a stop is reported once");
	need(kill(child, SIGCONT) == 0);
	is_int(waitpid(child, &status, WCONTINUED), child, "WCONTINUED");
	ok(WIFCONTINUED(status), "continued");
	is_int(waitpid(child, &status, WCONTINUED | WNOHANG), 0, "reported once");
	need(kill(child, SIGTSTP) == 0);
	is_int(waitid(P_PID, child, &info, WSTOPPED | WNOWAIT), 0, "waitid WSTOPPED");
	is_int(info.si_code, CLD_STOPPED, "CLD_STOPPED");
	is_int(info.si_status, SIGTSTP, "si_status of a stop");
	is_int(waitid(P_PID, child, &info, WSTOPPED), 0, "again after WNOWAIT");
	need(kill(child, SIGCONT) == 0);
	is_int(waitid(P_PID, child, &info, WCONTINUED), 0, "waitid WCONTINUED");
	is_int(info.si_code, CLD_CONTINUED, "CLD_CONTINUED");
	is_int(info.si_status, SIGCONT, "si_status of a continue");
	need(kill(child, SIGSTOP) == 0);
	need(waitpid(child, &status, WUNTRACED) == child);
	need(kill(child, SIGTERM) == 0);
	is_int(waitpid(child, &status, WNOHANG), 0, "a stopped process does not die of SIGTERM");
	need(kill(child, SIGCONT) == 0);
	is_killed(tap_wait(child), SIGTERM, "but does when continued");
	child = tap_fork();
	if (child == 0) {
		raise(SIGSTOP);
		_exit(1);
	}
	need(waitpid(child, &status, WUNTRACED) == child);
	need(kill(child, SIGKILL) == 0);
	is_killed(tap_wait(child), SIGKILL, "SIGKILL ends a stopped process");
}

static void test_groups(void)
{
	siginfo_t info;
	int status;
	pid_t a = tap_fork();
	if (a == 0) {
		setpgid(0, 0);
		_exit(1);
	}
	setpgid(a, a);
	pid_t b = tap_fork();
	if (b == 0)
		_exit(2);
	is_int(waitpid(-a, &status, 0), a, "wait for a process group");
	is_err(waitpid(-a, &status, 0), ECHILD, "an empty process group");
	is_err(waitid(P_PGID, a, &info, WEXITED), ECHILD, "the same by waitid");
	is_int(waitpid(0, &status, 0), b, "wait for the own process group");
}

static void orphan(void)
{
	/* The grandchild is reparented to us when its parent dies. */
	struct event event;
	int *ids = shared_alloc(4096);
	int status;
	need(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	event_init(&event);
	pid_t child = tap_fork();
	if (child == 0) {
		pid_t grandchild = fork();
		if (grandchild == 0) {
			event_wait(&event);
			ids[1] = getppid();
			_exit(33);
		}
		ids[0] = grandchild;
		_exit(0);
	}
	need(waitpid(child, &status, 0) == child);
	event_post(&event);
	need(waitpid(ids[0], &status, 0) == ids[0]);
	need(WIFEXITED(status) && WEXITSTATUS(status) == 33);
	need(ids[1] == getpid());
}

static void orphan_zombie(void)
{
	/* The grandchild is dead before its parent dies without reaping it. */
	int *ids = shared_alloc(4096);
	siginfo_t info;
	need(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	pid_t child = tap_fork();
	if (child == 0) {
		pid_t grandchild = fork();
		if (grandchild == 0)
			_exit(44);
		ids[0] = grandchild;
		need(waitid(P_PID, ids[0], &info, WEXITED | WNOWAIT) == 0);
		_exit(0);
	}
	need(WEXITSTATUS(tap_wait(child)) == 0);
	need(WEXITSTATUS(tap_wait(ids[0])) == 44);
}

static void autoreap_ignore(void)
{
	int status;
	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < 3; i++) {
		pid_t child = fork();
		if (child == 0)
			_exit(i);
	}
	/* wait() blocks until the last child is gone. */
	need_err(wait(&status), ECHILD);
}

static int chld_count;

static void on_chld(int signal)
{
	(void)signal;
	chld_count++;
}

static void autoreap_nocldwait(void)
{
	int status;
	struct sigaction action = { .sa_handler = on_chld, .sa_flags = SA_NOCLDWAIT | SA_RESTART };
	sigaction(SIGCHLD, &action, NULL);
	pid_t child = fork();
	if (child == 0)
		_exit(0);
	need_err(waitpid(child, &status, 0), ECHILD);
	while (chld_count == 0)
		pause_ms(1);
}

static void sigchld_info(void)
{
	sigset_t set;
	siginfo_t info;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGCHLD, on_chld);
	pid_t child = tap_fork();
	if (child == 0)
		_exit(12);
	need(sigwaitinfo(&set, &info) == SIGCHLD);
	need(info.si_pid == child && info.si_code == CLD_EXITED && info.si_status == 12);
	need(info.si_uid == getuid());
	need(WEXITSTATUS(tap_wait(child)) == 12);
	child = tap_fork();
	if (child == 0)
		for (;;)
			pause();
	kill(child, SIGSTOP);
	need(sigwaitinfo(&set, &info) == SIGCHLD);
	need(info.si_pid == child && info.si_code == CLD_STOPPED && info.si_status == SIGSTOP);
	kill(child, SIGCONT);
	need(sigwaitinfo(&set, &info) == SIGCHLD);
	need(info.si_code == CLD_CONTINUED && info.si_status == SIGCONT);
	struct sigaction action = { .sa_handler = on_chld, .sa_flags = SA_NOCLDSTOP };
	sigaction(SIGCHLD, &action, NULL);
	int status;
	kill(child, SIGSTOP);
	need(waitpid(child, &status, WUNTRACED) == child);
	kill(child, SIGKILL);
	need(sigwaitinfo(&set, &info) == SIGCHLD);
	need(info.si_code == CLD_KILLED && info.si_status == SIGKILL);
	tap_wait(child);
}

static void test_rusage(void)
{
	struct rusage usage;
	int status;
	memset(&usage, 0x77, sizeof(usage));
	pid_t child = tap_fork();
	if (child == 0)
		_exit(0);
	is_int(wait4(child, &status, 0, &usage), child, "wait4 with rusage");
	ok(usage.ru_utime.tv_sec < 60 && usage.ru_stime.tv_sec < 60, "it is filled in");
	child = tap_fork();
	if (child == 0)
		_exit(0);
	siginfo_t info;
	memset(&usage, 0x77, sizeof(usage));
	is_int(syscall(SYS_waitid, P_PID, child, &info, WEXITED, &usage), 0, "waitid with rusage");
	ok(usage.ru_utime.tv_sec < 60, "it is filled in");
}

static void *exit_thread(void *arg)
{
	(void)arg;
	_exit(21);
}

static void exit_from_thread(void)
{
	pthread_t thread;
	need(pthread_create(&thread, NULL, exit_thread, NULL) == 0);
	for (;;)
		pause();
}

int main(void)
{
	tap_begin();
	test_fork();
	is_exit(run_child(nested_forks), 18, "a chain of 8 forks");
	test_many();
	test_wait_errors();
	test_waitid();
	test_stop();
	test_groups();
	test_rusage();
	child_ok(orphan, "an orphan gets the subreaper as parent");
	child_ok(orphan_zombie, "an orphaned zombie too");
	child_ok(autoreap_ignore, "SIGCHLD ignored reaps children");
	child_ok(autoreap_nocldwait, "SA_NOCLDWAIT reaps and still signals");
	child_ok(sigchld_info, "siginfo of SIGCHLD");
	is_exit(run_child(exit_from_thread), 21, "exit_group from another thread");
	return tap_end();
}
