/*
 * Blocking calls that a signal interrupts: which are restarted, with and without SA_RESTART, and
 * after a stop and a continue.
 *
 * A child makes the call and its parent sends signals again and again, until the call has ended or
 * enough handlers have run; so it does not matter when exactly the child goes to sleep.
 */
#include "tap.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/time.h>

struct shared {
	int ready, handled, done;
	int result, error;
	int futex;
	int extra;
};

static struct shared *shared;
static int pipe_fd[2];
static int event_fd;

static void on_signal(int signal)
{
	(void)signal;
	__atomic_add_fetch(&shared->handled, 1, __ATOMIC_RELEASE);
}

static void set_ready(void)
{
	__atomic_store_n(&shared->ready, 1, __ATOMIC_RELEASE);
}

static long run_read(void)
{
	char c;
	set_ready();
	return read(pipe_fd[0], &c, 1);
}

static long run_write(void)
{
	static char block[4096];
	fcntl(pipe_fd[1], F_SETFL, O_NONBLOCK);
	while (write(pipe_fd[1], block, sizeof(block)) > 0)
		;
	fcntl(pipe_fd[1], F_SETFL, 0);
	set_ready();
	return write(pipe_fd[1], block, 1);
}

static void drain(void)
{
	static char block[65536];
	need(read(pipe_fd[0], block, sizeof(block)) > 0);
}

static void post(void)
{
	need(write(pipe_fd[1], "x", 1) == 1);
}

static long run_eventfd(void)
{
	uint64_t value;
	set_ready();
	return read(event_fd, &value, 8);
}

static void post_eventfd(void)
{
	uint64_t value = 1;
	need(write(event_fd, &value, 8) == 8);
}

static long wait_for(bool by_id)
{
	char c;
	siginfo_t info;
	pid_t child = fork();
	if (child == 0) {
		signal(SIGUSR1, SIG_IGN);
		_exit(read(pipe_fd[0], &c, 1) == 1 ? 0 : 1);
	}
	set_ready();
	long result = by_id ? waitid(P_PID, child, &info, WEXITED) : waitpid(child, NULL, 0);
	if (result == -1) {
		int error = errno;
		kill(child, SIGKILL);
		errno = error;
	}
	return result;
}

static long run_wait(void)
{
	return wait_for(false);
}

static long run_waitid(void)
{
	return wait_for(true);
}

static long futex_wait(const struct timespec *timeout)
{
	set_ready();
	long result = syscall(SYS_futex, &shared->futex, FUTEX_WAIT, 0, timeout, NULL, 0);
	/* Restarted after wake() changed the word. */
	if (result == -1 && errno == EAGAIN)
		return 0;
	return result;
}

static long run_futex(void)
{
	return futex_wait(NULL);
}

static long run_futex_timeout(void)
{
	struct timespec minute = { 60, 0 };
	return futex_wait(&minute);
}

static void wake(void)
{
	/* Changes the word too: a restarted wait must not sleep on the old value. */
	__atomic_store_n(&shared->futex, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &shared->futex, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static long run_poll(void)
{
	struct pollfd fd = { pipe_fd[0], POLLIN, 0 };
	set_ready();
	return poll(&fd, 1, 60000);
}

static long run_ppoll(void)
{
	struct pollfd fd = { pipe_fd[0], POLLIN, 0 };
	struct timespec minute = { 60, 0 };
	set_ready();
	return ppoll(&fd, 1, &minute, NULL);
}

static long run_select(void)
{
	fd_set set;
	struct timeval minute = { 60, 0 };
	FD_ZERO(&set);
	FD_SET(pipe_fd[0], &set);
	set_ready();
	return select(pipe_fd[0] + 1, &set, NULL, NULL, &minute);
}

static long run_epoll(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = epoll_create1(0);
	need(epoll_ctl(fd, EPOLL_CTL_ADD, pipe_fd[0], &event) == 0);
	set_ready();
	return epoll_wait(fd, &event, 1, 60000);
}

static long run_nanosleep(void)
{
	struct timespec time = { 60, 0 }, rest = {};
	set_ready();
	long result = nanosleep(&time, &rest);
	int error = errno;
	shared->extra = rest.tv_sec > 0 && rest.tv_sec <= 60;
	errno = error;
	return result;
}

static long run_short_sleep(void)
{
	struct timespec time = { 0, 200000000 };
	set_ready();
	return nanosleep(&time, NULL);
}

static long run_clock_nanosleep(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	time.tv_sec += 60;
	set_ready();
	errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
	return errno ? -1 : 0;
}

static long run_short_clock_nanosleep(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	time.tv_nsec += 200000000;
	if (time.tv_nsec >= 1000000000) {
		time.tv_nsec -= 1000000000;
		time.tv_sec++;
	}
	set_ready();
	errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
	return errno ? -1 : 0;
}

static long run_pause(void)
{
	set_ready();
	return pause();
}

static long run_sigsuspend(void)
{
	sigset_t none;
	sigemptyset(&none);
	set_ready();
	return sigsuspend(&none);
}

static long run_sigtimedwait(void)
{
	sigset_t set;
	struct timespec minute = { 60, 0 };
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	set_ready();
	return sigtimedwait(&set, NULL, &minute);
}

static void nothing(void)
{
}

static const struct call {
	const char *name;
	long (*run)(void);
	void (*release)(void); /* ends the call; NULL: it cannot be ended so, only interrupted */
	bool restarts; /* with SA_RESTART */
	bool stop_interrupts; /* EINTR even after a stop without a handler */
} calls[] = {
	{ "read", run_read, post, true, false },
	{ "write", run_write, drain, true, false },
	{ "read of an eventfd", run_eventfd, post_eventfd, true, false },
	{ "waitpid", run_wait, post, true, false },
	{ "waitid", run_waitid, post, true, false },
	{ "futex", run_futex, wake, true, false },
	{ "futex with a timeout", run_futex_timeout, wake, false, false },
	{ "poll", run_poll, post, false, false },
	{ "ppoll", run_ppoll, post, false, false },
	{ "select", run_select, post, false, false },
	{ "epoll_wait", run_epoll, post, false, true },
	{ "nanosleep", run_nanosleep, NULL, false, false },
	{ "a short nanosleep", run_short_sleep, nothing, true, false },
	{ "clock_nanosleep", run_clock_nanosleep, NULL, false, false },
	{ "a short clock_nanosleep", run_short_clock_nanosleep, nothing, true, false },
	{ "pause", run_pause, NULL, false, false },
	{ "sigsuspend", run_sigsuspend, NULL, false, false },
	{ "sigtimedwait", run_sigtimedwait, NULL, false, true },
};

/* Starts a child that makes the call and records its result. */
static pid_t start(const struct call *call, int flags)
{
	memset(shared, 0, sizeof(*shared));
	need(pipe(pipe_fd) == 0);
	event_fd = eventfd(0, 0);
	pid_t child = tap_fork();
	if (child == 0) {
		struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };
		sigaction(SIGUSR1, &action, NULL);
		errno = 0;
		shared->result = (int)call->run();
		shared->error = shared->result == -1 ? errno : 0;
		__atomic_store_n(&shared->done, 1, __ATOMIC_RELEASE);
		_exit(0);
	}
	await_int(&shared->ready, 1);
	return child;
}

static bool is_done(void)
{
	return __atomic_load_n(&shared->done, __ATOMIC_ACQUIRE);
}

static void finish(pid_t child)
{
	need(tap_wait(child) == 0);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	close(event_fd);
}

static void interrupt(const struct call *call, int flags)
{
	pid_t child = start(call, flags);
	while (!is_done()) {
		kill(child, SIGUSR1);
		pause_ms(2);
	}
	finish(child);
	is_int(shared->error, EINTR, "%s %s SA_RESTART: interrupted", call->name,
	       flags ? "with" : "without");
	if (call->run == run_nanosleep)
		ok(shared->extra, "nanosleep tells the time that is left");
}

static void restart(const struct call *call)
{
	pid_t child = start(call, SA_RESTART);
	for (int i = 1; i <= 5; i++) {
		kill(child, SIGUSR1);
		await_int(&shared->handled, i);
		pause_ms(2);
	}
	ok(!is_done(), "%s with SA_RESTART: sleeps on", call->name);
	call->release();
	finish(child);
	is_int(shared->error, 0, "%s with SA_RESTART: succeeds", call->name);
}

static void stop(pid_t child)
{
	int status;
	if (kill(child, SIGSTOP) == 0 && waitpid(child, &status, WUNTRACED) == child)
		need(WIFSTOPPED(status));
	need(kill(child, SIGCONT) == 0);
	need(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
}

static void stop_and_continue(const struct call *call)
{
	pid_t child = start(call, 0);
	for (int i = 0; i < 5; i++) {
		pause_ms(2);
		stop(child);
	}
	call->release();
	finish(child);
	is_int(shared->error, 0, "%s after stops: succeeds", call->name);
}

/* The child stays until it is killed: it could otherwise end between our look and our stop. */
static void stop_interrupts(const struct call *call)
{
	memset(shared, 0, sizeof(*shared));
	need(pipe(pipe_fd) == 0);
	pid_t child = tap_fork();
	if (child == 0) {
		shared->error = call->run() == -1 ? errno : 0;
		__atomic_store_n(&shared->done, 1, __ATOMIC_RELEASE);
		for (;;)
			pause();
	}
	await_int(&shared->ready, 1);
	while (!is_done()) {
		pause_ms(2);
		stop(child);
	}
	kill(child, SIGKILL);
	tap_wait(child);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	is_int(shared->error, EINTR, "%s after a stop: interrupted", call->name);
}

static void ignored_signal(void)
{
	/* An ignored signal does not interrupt anything. */
	char c;
	struct event go;
	event_init(&go);
	need(pipe(pipe_fd) == 0);
	signal(SIGUSR1, SIG_IGN);
	pid_t parent = getpid();
	pid_t child = tap_fork();
	if (child == 0) {
		event_wait(&go);
		for (int i = 0; i < 10; i++) {
			kill(parent, SIGUSR1);
			pause_ms(2);
		}
		need(write(pipe_fd[1], "y", 1) == 1);
		_exit(0);
	}
	event_post(&go);
	need(read(pipe_fd[0], &c, 1) == 1 && c == 'y');
	tap_wait(child);
}

static void partial_write(void)
{
	/* A write that has moved something is not restarted: it tells how much. */
	static char block[200000];
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	int *done = shared_alloc(4096);
	ssize_t moved;
	shared->handled = 0;
	need(pipe(pipe_fd) == 0);
	sigaction(SIGUSR1, &action, NULL);
	pid_t parent = getpid();
	pid_t child = tap_fork();
	if (child == 0) {
		while (!__atomic_load_n(done, __ATOMIC_ACQUIRE)) {
			pause_ms(5);
			kill(parent, SIGUSR1);
		}
		_exit(0);
	}
	await_int(&shared->handled, 1);
	do
		moved = write(pipe_fd[1], block, sizeof(block));
	while (moved == -1 && errno == EINTR);
	__atomic_store_n(done, 1, __ATOMIC_RELEASE);
	tap_wait(child);
	need(moved > 0 && moved < (ssize_t)sizeof(block));
}

int main(void)
{
	tap_begin();
	shared = shared_alloc(4096);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		const struct call *call = &calls[i];
		if (call->run != run_short_sleep && call->run != run_short_clock_nanosleep) {
			interrupt(call, 0);
			if (call->restarts)
				restart(call);
			else
				interrupt(call, SA_RESTART);
		}
		if (call->stop_interrupts)
			stop_interrupts(call);
		else if (call->release)
			stop_and_continue(call);
	}
	child_ok(ignored_signal, "an ignored signal interrupts nothing");
	child_ok(partial_write, "an interrupted write gives what it has written");
	return tap_end();
}
