/*
 * poll, ppoll, select, pselect.
 */
#include "tap.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/select.h>

static int a[2], b[2];

static void test_poll(void)
{
	struct pollfd fds[] = { { a[0], POLLIN, 77 },
				{ a[1], POLLOUT, 77 },
				{ -1, POLLIN, 77 },
				{ 12345, POLLIN, 77 },
				{ b[0], POLLIN | POLLRDNORM, 77 } };
	is_int(poll(fds, 5, 0), 2, "poll finds a writable and a bad descriptor");
	is_int(fds[0].revents, 0, "an empty pipe is not readable");
	is_int(fds[1].revents, POLLOUT, "but writable");
	is_int(fds[2].revents, 0, "a negative descriptor is ignored");
	is_int(fds[3].revents, POLLNVAL, "one that is not open: POLLNVAL");
	need(write(b[1], "x", 1) == 1);
	is_int(poll(fds, 5, -1), 3, "poll without a timeout");
	is_int(fds[4].revents, POLLIN | POLLRDNORM, "readable");
	close(b[1]);
	is_int(poll(fds + 4, 1, -1), 1, "after the writer closed");
	is_int(fds[4].revents, POLLIN | POLLRDNORM | POLLHUP, "readable and hung up");
	char c;
	need(read(b[0], &c, 1) == 1);
	is_int(poll(fds + 4, 1, -1), 1, "after all was read");
	is_int(fds[4].revents, POLLHUP, "only hung up");
	close(b[0]);
	struct timespec before, after;
	clock_gettime(CLOCK_MONOTONIC, &before);
	is_int(poll(fds, 1, 30), 0, "poll times out");
	clock_gettime(CLOCK_MONOTONIC, &after);
	ok((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec >= 30000000,
	   "after at least 30 ms");
	is_int(poll(NULL, 0, 1), 0, "poll of nothing");
	int fd = open("/etc/passwd", O_RDONLY);
	struct pollfd file = { fd, POLLIN | POLLOUT, 0 };
	is_int(poll(&file, 1, 0), 1, "a file");
	is_int(file.revents, POLLIN | POLLOUT, "is always ready");
	close(fd);
}

static void too_many(void)
{
	struct pollfd fds[3] = { { -1, 0, 0 }, { -1, 0, 0 }, { -1, 0, 0 } };
	struct timespec bad = { 0, 1000000000 }, zero = {};
	need_err(poll(BAD_PTR, 1, 0), EFAULT);
	need_err(ppoll(fds, 1, &bad, NULL), EINVAL);
	need_err(syscall(SYS_ppoll, fds, 1, BAD_PTR, NULL, 8), EFAULT);
	need_err(syscall(SYS_ppoll, fds, 1, &zero, fds, 4), EINVAL);
	need_err(syscall(SYS_ppoll, fds, 1, &zero, BAD_PTR, 8), EFAULT);
	need(ppoll(fds, 3, &zero, NULL) == 0);
	struct rlimit limit = { 2, 100 };
	need(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	need_err(poll(fds, 3, 0), EINVAL);
}

static void test_wakeup(void)
{
	struct pollfd fds[] = { { a[0], POLLIN, 0 } };
	pid_t child = tap_fork();
	if (child == 0) {
		pause_ms(20);
		need(write(a[1], "y", 1) == 1);
		_exit(0);
	}
	is_int(poll(fds, 1, -1), 1, "poll waits for another process");
	is_int(fds[0].revents, POLLIN, "readable");
	char c;
	read(a[0], &c, 1);
	tap_wait(child);
}

static void test_select(void)
{
	fd_set in, out, error;
	struct timeval zero = {}, t = { 0, 20000 }, bad = { -1, 0 };
	int top = (a[0] > a[1] ? a[0] : a[1]) + 1;
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_ZERO(&error);
	FD_SET(a[0], &in);
	FD_SET(a[1], &out);
	FD_SET(a[0], &error);
	is_int(select(top, &in, &out, &error, &zero), 1, "select");
	ok(!FD_ISSET(a[0], &in) && FD_ISSET(a[1], &out) && !FD_ISSET(a[0], &error), "writable");
	need(write(a[1], "z", 1) == 1);
	FD_SET(a[0], &in);
	is_int(select(top, &in, &out, NULL, NULL), 2, "select without a timeout");
	ok(FD_ISSET(a[0], &in) && FD_ISSET(a[1], &out), "both are ready");
	char c;
	read(a[0], &c, 1);
	is_int(select(top, &in, NULL, NULL, &t), 0, "it times out");
	ok(!FD_ISSET(a[0], &in), "the set is emptied");
	is_int(t.tv_sec * 1000000 + t.tv_usec, 0, "no time is left");
	is_int(select(0, NULL, NULL, NULL, &zero), 0, "select of nothing");
	FD_SET(a[0], &in);
	is_err(select(-1, &in, NULL, NULL, &zero), EINVAL, "-1 descriptors");
	is_err(select(top, &in, NULL, NULL, &bad), EINVAL, "a negative time");
	is_err(syscall(SYS_select, top, BAD_PTR, NULL, NULL, &zero), EFAULT, "a bad address");
	is_err(syscall(SYS_select, top, NULL, NULL, NULL, BAD_PTR), EFAULT, "a bad time address");
	FD_ZERO(&in);
	int closed = dup(a[0]);
	close(closed);
	FD_SET(closed, &in);
	is_err(select(closed + 1, &in, NULL, NULL, &zero), EBADF, "a descriptor that is not open");
}

static void on_signal(int signal)
{
	(void)signal;
}

static void masks(void)
{
	/* The mask holds only during the call, and a pending signal ends it. */
	sigset_t set, none, now;
	struct pollfd fds[] = { { a[0], POLLIN, 0 } };
	struct timespec minute = { 50, 0 };
	fd_set in;
	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	signal(SIGUSR1, on_signal);
	need(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	raise(SIGUSR1);
	need_err(ppoll(fds, 1, &minute, &none), EINTR);
	need(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && sigismember(&now, SIGUSR1));
	FD_ZERO(&in);
	FD_SET(a[0], &in);
	raise(SIGUSR1);
	need_err(pselect(a[0] + 1, &in, NULL, NULL, &minute, &none), EINTR);
	need(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && sigismember(&now, SIGUSR1));
	raise(SIGUSR1);
	minute.tv_sec = 0;
	need(ppoll(fds, 1, &minute, NULL) == 0);
	/* Data beats a signal that the call's mask blocks. */
	need(write(a[1], "d", 1) == 1);
	need(ppoll(fds, 1, NULL, &set) == 1);
}

int main(void)
{
	tap_begin();
	need(pipe(a) == 0 && pipe(b) == 0);
	test_poll();
	child_ok(too_many, "errors");
	test_wakeup();
	test_select();
	child_ok(masks, "signal masks");
	return tap_end();
}
