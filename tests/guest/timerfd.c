/*
 * timerfd.
 */
#include "tap.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>

#define MS 1000000L
#define SEC 1000000000L

static int64_t now_of(int clock)
{
	struct timespec t;
	need(clock_gettime(clock, &t) == 0);
	return t.tv_sec * SEC + t.tv_nsec;
}

static struct timespec to_ts(int64_t ns)
{
	return (struct timespec){ ns / SEC, ns % SEC };
}

static int set(int fd, int flags, int64_t value, int64_t interval)
{
	struct itimerspec it = { to_ts(interval), to_ts(value) };
	return timerfd_settime(fd, flags, &it, NULL);
}

static int64_t left(int fd, int64_t *interval)
{
	struct itimerspec it;
	need(timerfd_gettime(fd, &it) == 0);
	if (interval)
		*interval = it.it_interval.tv_sec * SEC + it.it_interval.tv_nsec;
	return it.it_value.tv_sec * SEC + it.it_value.tv_nsec;
}

static uint64_t ticks(int fd)
{
	uint64_t n = 0;
	need(read(fd, &n, sizeof(n)) == sizeof(n));
	return n;
}

static int ready(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
	return poll(&p, 1, 0) == 1 ? p.revents : 0;
}

static void test_clock(int clock, const char *name)
{
	int fd = timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC);
	int64_t start = now_of(clock), interval;
	ok(fd >= 0, "%s: timerfd_create", name);
	is_int(fcntl(fd, F_GETFD), FD_CLOEXEC, "%s: close-on-exec", name);
	is_int(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR | O_NONBLOCK, "%s: flags",
	       name);
	is_int(left(fd, &interval), 0, "%s: not armed", name);
	is_int(interval, 0, "%s: no interval", name);
	uint64_t n;
	is_err(read(fd, &n, 8), EAGAIN, "%s: nothing to read", name);
	is_int(set(fd, 0, 20 * MS, 0), 0, "%s: relative", name);
	ok(left(fd, NULL) > 0 && left(fd, NULL) <= 20 * MS, "%s: time left", name);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	is_int(poll(&p, 1, -1), 1, "%s: poll waits for it", name);
	is_int(p.revents, POLLIN, "%s: POLLIN", name);
	ok(now_of(clock) - start >= 20 * MS, "%s: not early", name);
	is_int(left(fd, NULL), 0, "%s: expired", name);
	is_int(ticks(fd), 1, "%s: once", name);
	is_int(ready(fd), 0, "%s: then nothing is there", name);
	int64_t at = now_of(clock) + 15 * MS;
	is_int(set(fd, TFD_TIMER_ABSTIME, at, 0), 0, "%s: absolute", name);
	need(poll(&p, 1, -1) == 1);
	ok(now_of(clock) >= at, "%s: not early", name);
	is_int(ticks(fd), 1, "%s: once", name);
	is_int(set(fd, TFD_TIMER_ABSTIME, 1, 0), 0, "%s: long past", name);
	need(poll(&p, 1, -1) == 1);
	is_int(ticks(fd), 1, "%s: expires at once", name);
	/* A period in the past: all that would have been. */
	at = now_of(clock) - 1000 * MS;
	is_int(set(fd, TFD_TIMER_ABSTIME, at, 10 * MS), 0, "%s: periodic", name);
	need(poll(&p, 1, -1) == 1);
	ok(ticks(fd) >= 100, "%s: overruns", name);
	ok(left(fd, &interval) > 0 && interval == 10 * MS, "%s: it goes on", name);
	struct itimerspec new = {}, old;
	is_int(timerfd_settime(fd, 0, &new, &old), 0, "%s: disarm", name);
	is_int(old.it_interval.tv_nsec, 10 * MS, "%s: the old interval", name);
	is_int(left(fd, NULL), 0, "%s: is off", name);
	close(fd);
}

static void test_overrun(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	int64_t start = now_of(CLOCK_MONOTONIC);
	is_int(set(fd, 0, 5 * MS, 5 * MS), 0, "periodic");
	pause_ms(60);
	uint64_t n = ticks(fd);
	ok(n >= 11 && (int64_t)n <= (now_of(CLOCK_MONOTONIC) - start) / (5 * MS),
	   "expiries are counted");
	/* Looking at it counts what has passed. */
	pause_ms(30);
	int64_t l = left(fd, NULL);
	ok(l > 0 && l <= 5 * MS, "gettime shows the next one");
	ok(ready(fd) == POLLIN, "still to be read");
	ok(ticks(fd) >= 5, "nothing is lost by gettime");
	is_int(set(fd, 0, 1000 * SEC, 0), 0, "set anew");
	is_int(ready(fd), 0, "forgets what was not read");
	close(fd);
}

static int block_fd;

static void *reader(void *arg)
{
	*(uint64_t *)arg = ticks(block_fd);
	return NULL;
}

static void on_signal(int sig)
{
	(void)sig;
}

static void test_blocking(void)
{
	pthread_t thread;
	uint64_t got = 0;
	block_fd = timerfd_create(CLOCK_MONOTONIC, 0);
	need(pthread_create(&thread, NULL, reader, &got) == 0);
	pause_ms(10);
	need(set(block_fd, 0, 1, 0) == 0);
	pthread_join(thread, NULL);
	is_int(got, 1, "a blocked reader is woken");
	struct sigaction old, act = { .sa_handler = on_signal };
	uint64_t n;
	sigaction(SIGVTALRM, &act, &old);
	pid_t parent = getpid(), child = tap_fork();
	if (!child) {
		pause_ms(30);
		kill(parent, SIGVTALRM);
		_exit(0);
	}
	is_err(read(block_fd, &n, 8), EINTR, "a signal interrupts");
	tap_wait(child);
	close(block_fd);
}

static void test_epoll(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.fd = fd };
	need(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	need(set(fd, 0, 10 * MS, 0) == 0);
	is_int(epoll_wait(ep, &ev, 1, -1), 1, "epoll");
	is_int(epoll_wait(ep, &ev, 1, 0), 0, "by edge");
	need(set(fd, 0, 1, 0) == 0);
	is_int(epoll_wait(ep, &ev, 1, -1), 1, "another edge");
	is_int(ev.events, EPOLLIN, "EPOLLIN");
	/* Closed while it is armed and watched. */
	need(set(fd, 0, 1 * MS, 1 * MS) == 0);
	close(fd);
	is_int(epoll_wait(ep, &ev, 1, 5), 0, "closed");
	close(ep);
}

static void test_errors(void)
{
	struct itimerspec it = {};
	int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK), p[2];
	uint64_t n;
	need(pipe(p) == 0);
	is_err(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0), EINVAL, "a CPU clock");
	is_err(timerfd_create(CLOCK_MONOTONIC_RAW, 0), EINVAL, "a raw clock");
	is_err(timerfd_create(99, 0), EINVAL, "no clock");
	is_err(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL, "bad flags");
	is_err(timerfd_settime(fd, 8, &it, NULL), EINVAL, "bad flags of settime");
	is_err(timerfd_settime(p[0], 0, &it, NULL), EINVAL, "settime of a pipe");
	is_err(timerfd_settime(-1, 0, &it, NULL), EBADF, "settime of nothing");
	is_err(timerfd_gettime(p[0], &it), EINVAL, "gettime of a pipe");
	is_err(timerfd_gettime(-1, &it), EBADF, "gettime of nothing");
	is_err(timerfd_settime(fd, 0, BAD_PTR, NULL), EFAULT, "bad new value");
	is_err(timerfd_gettime(fd, BAD_PTR), EFAULT, "bad place for the value");
	it.it_value.tv_nsec = SEC;
	is_err(timerfd_settime(fd, 0, &it, NULL), EINVAL, "a second of nanoseconds");
	it.it_value = (struct timespec){ -1, 0 };
	is_err(timerfd_settime(fd, 0, &it, NULL), EINVAL, "negative");
	it = (struct itimerspec){ .it_interval.tv_nsec = -1 };
	is_err(timerfd_settime(fd, 0, &it, NULL), EINVAL, "negative interval");
	it = (struct itimerspec){ .it_value.tv_sec = INT64_MAX };
	is_int(timerfd_settime(fd, 0, &it, NULL), 0, "for ever");
	is_int(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &it, NULL), 0,
	       "cancelled when the clock is set");
	is_err(read(fd, &n, 8), EAGAIN, "which it is not");
	is_err(read(fd, &n, 7), EINVAL, "a short buffer");
	is_err(write(fd, &n, 8), EINVAL, "write");
	is_err(pread(fd, &n, 8, 0), ESPIPE, "pread");
	need(set(fd, 0, 1, 0) == 0);
	while (!ready(fd))
		pause_ms(1);
	is_err(read(fd, BAD_PTR, 8), EFAULT, "a bad buffer");
	close(p[0]);
	close(p[1]);
	close(fd);
}

static void test_fdinfo(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	char path[64], text[1024] = "";
	need(set(fd, TFD_TIMER_ABSTIME, now_of(CLOCK_MONOTONIC) + 5000 * SEC, 7 * SEC) == 0);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	int info = open(path, O_RDONLY);
	need(info >= 0 && read(info, text, sizeof(text) - 1) > 0);
	ok(strstr(text, "clockid: 1\nticks: 0\nsettime flags: 01\nit_value: (4999, "), "fdinfo");
	ok(strstr(text, "it_interval: (7, 0)\n"), "fdinfo: the interval");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(path, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	is_str(text, "anon_inode:[timerfd]", "its name");
	close(info);
	close(fd);
}

int main(void)
{
	tap_begin();
	test_clock(CLOCK_MONOTONIC, "monotonic");
	test_clock(CLOCK_REALTIME, "realtime");
	test_clock(CLOCK_BOOTTIME, "boottime");
	test_overrun();
	test_blocking();
	test_epoll();
	test_errors();
	test_fdinfo();
	return tap_end();
}
