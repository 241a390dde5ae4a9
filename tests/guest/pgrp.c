/*
 * Process groups and sessions.
 */
#include "tap.h"

static void in_session(void)
{
	need(setsid() == getpid());
	need(getsid(0) == getpid() && getpgid(0) == getpid());
	need(getpgrp() == getpid());
	need_err(setsid(), EPERM);
	need_err(setpgid(0, 0), EPERM);
	pid_t child = tap_fork();
	if (child == 0) {
		need(getsid(0) == getppid() && getpgrp() == getppid());
		need(setpgid(0, 0) == 0);
		need(getpgrp() == getpid());
		need_err(setsid(), EPERM);
		need(setpgid(0, getppid()) == 0);
		need(getpgrp() == getppid());
		need(setsid() == getpid());
		_exit(0);
	}
	need(tap_wait(child) == 0);
}

static void errors(void)
{
	struct event ready, done;
	event_init(&ready);
	event_init(&done);
	need_err(setpgid(-1, 0), EINVAL);
	need_err(setpgid(0, -1), EINVAL);
	need_err(setpgid(1 << 30, 0), ESRCH);
	need_err(setpgid(0, 1 << 30), EPERM);
	need_err(getpgid(1 << 30), ESRCH);
	need_err(getsid(1 << 30), ESRCH);
	need_err(getpgid(-1), ESRCH);
	need_err(setpgid(getppid(), 0), ESRCH);
	pid_t child = tap_fork();
	if (child == 0) {
		need(setsid() > 0);
		event_post(&ready);
		event_wait(&done);
		_exit(0);
	}
	event_wait(&ready);
	need(getsid(child) == child && getpgid(child) == child);
	need_err(setpgid(child, getpgrp()), EPERM);
	need_err(setpgid(0, child), EPERM);
	event_post(&done);
	tap_wait(child);
}

static void after_exec(void)
{
	struct event ready, done;
	char *argv[] = { "pgrp", "exec", NULL };
	event_init(&ready);
	event_init(&done);
	pid_t child = tap_fork();
	if (child == 0) {
		need(dup2(ready.fd[1], 30) == 30 && dup2(done.fd[0], 31) == 31);
		execv("/proc/self/exe", argv);
		_exit(98);
	}
	event_wait(&ready);
	need_err(setpgid(child, child), EACCES);
	event_post(&done);
	tap_wait(child);
}

static volatile int got;

static void on_signal(int signal)
{
	(void)signal;
	got++;
}

static void kill_group(void)
{
	enum { COUNT = 4 };
	pid_t children[COUNT];
	need(setpgid(0, 0) == 0);
	struct event ready;
	event_init(&ready);
	for (int i = 0; i < COUNT; i++) {
		children[i] = tap_fork();
		if (children[i] == 0) {
			if (i == 3)
				setpgid(0, 0);
			event_post(&ready);
			for (;;)
				pause();
		}
		event_wait(&ready);
	}
	signal(SIGTERM, on_signal);
	need(kill(-getpgrp(), SIGTERM) == 0);
	need(got == 1);
	for (int i = 0; i < 3; i++) {
		int status = tap_wait(children[i]);
		need(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	}
	need(waitpid(children[3], NULL, WNOHANG) == 0);
	need(kill(0, SIGTERM) == 0);
	need(got == 2);
	need(killpg(children[3], SIGUSR1) == 0);
	int status = tap_wait(children[3]);
	need(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
	need_err(kill(-children[3], 0), ESRCH);
}

static void zombie_group(void)
{
	/* A zombie still belongs to its group, and counts as a member for kill. */
	siginfo_t info;
	pid_t child = tap_fork();
	if (child == 0) {
		setpgid(0, 0);
		_exit(0);
	}
	need(waitid(P_PID, child, &info, WEXITED | WNOWAIT) == 0);
	need(getpgid(child) == child);
	need(kill(-child, 0) == 0);
	tap_wait(child);
	need_err(kill(-child, 0), ESRCH);
}

/*
 * When a process exits and so orphans a group with a stopped member, the group gets SIGHUP and
 * SIGCONT.
 */
static void orphaned_group(void)
{
	int *state = shared_alloc(4096);
	int status;
	need(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	pid_t child = tap_fork();
	if (child == 0) {
		need(setsid() > 0);
		pid_t grandchild = fork();
		if (grandchild == 0) {
			need(setpgid(0, 0) == 0);
			alarm(30);
			raise(SIGSTOP);
			_exit(1);
		}
		need(waitpid(grandchild, &status, WUNTRACED) == grandchild);
		need(WIFSTOPPED(status));
		state[0] = grandchild;
		_exit(0);
	}
	/* We become its parent, but are in another session. */
	need(tap_wait(child) == 0);
	status = 0;
	need(waitpid(state[0], &status, 0) == state[0]);
	state[1] = status;
	need(WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP);
}

static void orphaned_no_stop(void)
{
	/* SIGTSTP, SIGTTIN and SIGTTOU do not stop a member of an orphaned group; SIGSTOP does. */
	need(setsid() > 0);
	raise(SIGTSTP);
	raise(SIGTTIN);
	raise(SIGTTOU);
}

static void kill_all_own(void)
{
	/* kill(-1) from a process of another user reaches its own processes, but not itself. */
	if (getuid() != 0)
		return;
	/* A uid that no one else on the machine is likely to use. */
	uid_t uid = 200000000 + getpid();
	need(setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	struct event ready;
	event_init(&ready);
	pid_t child = tap_fork();
	if (child == 0) {
		event_post(&ready);
		for (;;)
			pause();
	}
	event_wait(&ready);
	need(kill(-1, SIGTERM) == 0);
	int status = tap_wait(child);
	need(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

int main(int argc, char **argv)
{
	char c;
	(void)argv;
	if (argc > 1) {
		need(write(30, "x", 1) == 1);
		need(read(31, &c, 1) == 1);
		return 0;
	}
	tap_begin();
	ok(getpgid(0) == getpgrp(), "getpgid(0) is getpgrp()");
	ok(getpgid(getpid()) == getpgrp(), "getpgid of the own pid");
	ok(getsid(0) == getsid(getpid()), "getsid of the own pid");
	child_ok(in_session, "setsid and setpgid in a session");
	child_ok(errors, "errors");
	child_ok(after_exec, "setpgid of a child after its exec");
	child_ok(kill_group, "kill to process groups");
	child_ok(zombie_group, "a group of one zombie");
	child_ok(orphaned_group, "an orphaned stopped group gets SIGHUP");
	child_ok(orphaned_no_stop, "an orphaned group is not stopped from the keyboard");
	child_ok(kill_all_own, "kill(-1)");
	return tap_end();
}
