/*
 * The command's side of a sandbox. It stays single-threaded and holds no guest state: it clones the
 * kernel process, waits for messages, signals and the timeout, and turns what happened into an exit
 * status.
 *
 * Nothing may be left when any process dies by SIGKILL. The kernel process is pid 1 of its pid
 * namespace, so its death ends every stub; it asks for SIGKILL at the command's death
 * (PR_SET_PDEATHSIG). Where no pid namespace can be had the command is a child subreaper and kills
 * what it inherits.
 */

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/host.h"
#include "sandbox/control.h"
#include "sandbox/isolate.h"
#include "sandbox/sandbox.h"
#include "sandbox/say.h"
#include "sandbox/terminal.h"

/* How long guest processes have to be ended in, and then the kernel, after the timeout. */
#define KILL_GRACE_NS 2'000'000'000LL

struct command {
	struct terminal terminal;
	const struct sandbox_config *config;
	pid_t kernel;
	int control;
	int signals; /* signalfd */
	u64 flags; /* CLONE_NEW* of the kernel process */
	s64 deadline; /* of the current stage; INT64_MAX: none */
	bool timed_out, killed; /* stages of the timeout */
	bool have_status;
	int exit_status;
};

static const int relayed_signals[] = { SIGHUP,	SIGINT,	  SIGQUIT, SIGTERM, SIGUSR1,
				       SIGUSR2, SIGWINCH, SIGCONT, SIGALRM, SIGTSTP };

static void complain(const char *what, int error)
{
	say(2, "donjon: %s: %s\n", what, strerror(-error));
}

static u64 watched_mask(void)
{
	/* SIGPIPE comes when the other end of a socket is gone, which the call itself tells too. */
	u64 mask = 1ULL << (SIGCHLD - 1) | 1ULL << (SIGPIPE - 1);

	for (size_t i = 0; i < ARRAY_SIZE(relayed_signals); i++)
		mask |= 1ULL << (relayed_signals[i] - 1);
	return mask;
}

/* Clone the kernel process, with fewer namespaces if the host grants no more. */
static int start_kernel(struct command *c)
{
	int fds[2], null_flags = 0;
	long pid;

	if (host_call(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, (long)fds, 0, 0))
		return -ENFILE;
	c->flags = isolate_clone_flags(isolate_privileged());
	pid = host_call(SYS_clone, (long)c->flags | SIGCHLD, 0, 0, 0, 0, 0);
	if (pid == -EPERM || pid == -ENOSPC || pid == -EINVAL || pid == -EUSERS) {
		say(2,
		    "donjon: warning: this host grants no namespaces (%s): isolation is reduced; see donjon doctor\n",
		    strerror((int)-pid));
		c->flags = (u64)null_flags;
		host_prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
		pid = host_call(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
	}
	if (pid == 0) {
		host_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		host_close(fds[0]);
		kernel_process_main(c->config, fds[1], c->flags);
	}
	host_close(fds[1]);
	c->control = fds[0];
	c->kernel = (pid_t)pid;
	return pid < 0 ? (int)pid : 0;
}

static int status_of_wait(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void send_size(struct command *c)
{
	struct terminal_size size;

	if (terminal_size(&c->terminal, &size))
		(void)!control_send_size(c->control, &size);
}

/*
 * The first process has stopped on a signal of job control: so does the command, for whoever
 * started it; SIGCONT is then relayed. Not with a timeout to watch. A shell that suspends itself
 * stops by SIGSTOP.
 */
static void stop_too(struct command *c, int sig)
{
	bool suspended = sig == SIGSTOP && c->terminal.present;

	if (c->deadline != INT64_MAX ||
	    (sig != SIGTSTP && sig != SIGTTIN && sig != SIGTTOU && !suspended))
		return;
	terminal_drain(&c->terminal, false);
	terminal_restore(&c->terminal);
	host_kill(host_getpid(), SIGSTOP);
	terminal_resume(&c->terminal);
	send_size(c);
}

/* A message from the kernel process. False when it is gone. */
static bool handle_message(struct command *c)
{
	struct control_message msg;
	int ret = control_receive(c->control, &msg);

	if (ret <= 0)
		return false;
	switch (msg.type) {
	case CONTROL_EXITED:
		c->exit_status = status_of_wait((int)msg.value);
		c->have_status = true;
		break;
	case CONTROL_STOPPED:
		stop_too(c, (int)msg.value);
		break;
	case CONTROL_FAILED:
		terminal_restore(&c->terminal);
		say(2, "donjon: %s\n", msg.text);
		c->exit_status = (int)msg.value;
		c->have_status = true;
		break;
	default:
		break;
	}
	return true;
}

/*
 * What the caller's terminal sends goes to a whole group natively, and so does a shell's SIGCONT:
 * they are for the first process's group.
 */
static void handle_signal(struct command *c, const struct signalfd_siginfo *info)
{
	bool group = info->ssi_code == SI_KERNEL || info->ssi_signo == SIGCONT;

	if (info->ssi_signo == SIGCHLD || info->ssi_signo == SIGPIPE)
		return;
	if (c->terminal.present && info->ssi_signo == SIGWINCH) {
		send_size(c);
		return;
	}
	(void)!control_send(c->control, group ? CONTROL_SIGNAL_GROUP : CONTROL_SIGNAL,
			    info->ssi_signo, NULL);
}

static void handle_signals(struct command *c)
{
	struct signalfd_siginfo info;

	while (host_read(c->signals, &info, sizeof(info)) == sizeof(info))
		handle_signal(c, &info);
}

/* The deadline has passed: first ask the kernel to end its guests, then end the kernel. */
static void handle_deadline(struct command *c)
{
	if (!c->timed_out) {
		c->timed_out = true;
		terminal_restore(&c->terminal);
		say(2, "donjon: timed out\n");
		(void)!control_send(c->control, CONTROL_KILL, 0, NULL);
		c->deadline = host_clock(CLOCK_MONOTONIC) + KILL_GRACE_NS;
	} else {
		c->killed = true;
		c->deadline = INT64_MAX;
		host_kill(c->kernel, SIGKILL);
	}
}

/* How long to sleep at most, ms, -1: for ever. */
static int sleep_ms(const struct command *c, s64 now, int terminal_ms)
{
	s64 ms;

	if (c->deadline == INT64_MAX)
		return terminal_ms;
	ms = min((c->deadline - now) / 1'000'000 + 1, 1'000'000LL);
	return (int)(terminal_ms < 0 ? ms : min(ms, (s64)terminal_ms));
}

/* Until the kernel process closes its end: messages, signals, the terminal, the timeout. */
static void relay(struct command *c)
{
	for (;;) {
		struct pollfd fds[2 + TERMINAL_POLLS] = {
			{ .fd = c->control, .events = POLLIN },
			{ .fd = c->signals, .events = POLLIN },
		};
		s64 now = host_clock(CLOCK_MONOTONIC);
		int ms;

		if (now >= c->deadline) {
			handle_deadline(c);
			continue;
		}
		ms = terminal_poll_begin(&c->terminal, fds + 2);
		if (host_poll(fds, ARRAY_SIZE(fds), sleep_ms(c, now, ms)) < 0)
			continue;
		terminal_poll_end(&c->terminal, fds + 2);
		if (fds[1].revents)
			handle_signals(c);
		if (fds[0].revents && !handle_message(c))
			return;
	}
}

/* Without a pid namespace: kill and reap what was left to us. */
static void reap_strays(void)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)host_gettid());
	for (int round = 0; round < 100; round++) {
		int fd = host_openat(AT_FDCWD, path, O_RDONLY, 0);
		ssize_t n = fd < 0 ? 0 : host_read(fd, text, sizeof(text) - 1);
		char *p = text, *end;

		if (fd >= 0)
			host_close(fd);
		if (n <= 0)
			return;
		text[n] = 0;
		for (long pid; (pid = strtol(p, &end, 10)) > 0; p = end) {
			host_kill((pid_t)pid, SIGKILL);
			host_waitid(P_PID, (int)pid, &(siginfo_t){}, WEXITED);
		}
	}
}

/* Wait for the kernel process and say how the sandbox ended. */
static int finish(struct command *c)
{
	siginfo_t info = {};
	int ret;

	terminal_drain(&c->terminal, true);
	terminal_restore(&c->terminal);
	do
		ret = host_waitid(P_PID, c->kernel, &info, WEXITED);
	while (ret == -EINTR);
	if (!(c->flags & CLONE_NEWPID))
		reap_strays();
	if (c->timed_out)
		return EXIT_TIMEOUT;
	if (c->have_status)
		return c->exit_status;
	if (info.si_code == CLD_EXITED)
		say(2, "donjon: the kernel process ended with status %d before the guest did\n",
		    info.si_status);
	else
		say(2, "donjon: the kernel process died of signal %d\n", info.si_status);
	return EXIT_OWN_FAILURE;
}

static void read_caller(struct caller *c)
{
	long n = host_call(SYS_getgroups, ARRAY_SIZE(c->groups), (long)c->groups, 0, 0, 0, 0);

	c->uid = (u32)host_call(SYS_geteuid, 0, 0, 0, 0, 0, 0);
	c->gid = (u32)host_call(SYS_getegid, 0, 0, 0, 0, 0, 0);
	c->group_count = n > 0 ? (u32)n : 0;
	c->umask = (u32)host_call(SYS_umask, 022, 0, 0, 0, 0, 0);
	host_call(SYS_umask, c->umask, 0, 0, 0, 0, 0);
	for (int sig = 1; sig <= 64; sig++)
		if (host_signal_ignored(sig))
			c->ignored |= 1ULL << (sig - 1);
	(void)!host_sigprocmask(SIG_BLOCK, 0, &c->blocked);
}

int sandbox_run(struct sandbox_config *config)
{
	struct command c = { .config = config, .deadline = INT64_MAX };
	u64 mask = watched_mask();
	int ret;

	read_caller(&config->caller);
	/* Or nobody could be waited for. */
	(void)!host_sigaction(SIGCHLD, NULL, 0, 0);
	ret = terminal_init(&c.terminal, &config->terminal);
	if (ret) {
		complain("cannot connect the terminal", ret);
		return EXIT_OWN_FAILURE;
	}
	ret = host_sigprocmask(SIG_BLOCK, mask, NULL);
	if (ret) {
		complain("cannot block signals", ret);
		return EXIT_OWN_FAILURE;
	}
	if (config->timeout_ns)
		c.deadline = host_clock(CLOCK_MONOTONIC) + config->timeout_ns;
	ret = start_kernel(&c);
	if (ret) {
		complain("cannot start the kernel process", ret);
		return EXIT_OWN_FAILURE;
	}
	c.signals = (int)host_call(SYS_signalfd4, -1, (long)&mask, sizeof(mask),
				   SFD_NONBLOCK | SFD_CLOEXEC, 0, 0);
	if (c.signals < 0) {
		complain("cannot watch signals", c.signals);
		host_kill(c.kernel, SIGKILL);
	} else {
		terminal_started(&c.terminal, &config->terminal);
		relay(&c);
	}
	return finish(&c);
}
