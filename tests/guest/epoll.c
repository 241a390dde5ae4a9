/*
 * epoll and eventfd.
 */
#include "tap.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

static int ep, a[2];

static int add(int epoll, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u64 = 0x1234567800000000UL + fd };
	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int modify(int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u64 = 7 };
	return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &event);
}

static int get(struct epoll_event *event)
{
	*event = (struct epoll_event){};
	return epoll_wait(ep, event, 1, 0);
}

static void put(void)
{
	need(write(a[1], "x", 1) == 1);
}

static void take(void)
{
	char c;
	need(read(a[0], &c, 1) == 1);
}

static void test_level(void)
{
	struct epoll_event event;
	is_int(add(ep, a[0], EPOLLIN), 0, "EPOLL_CTL_ADD");
	is_int(get(&event), 0, "nothing is ready");
	put();
	is_int(get(&event), 1, "level-triggered");
	is_int(event.events, EPOLLIN, "EPOLLIN");
	is_int(event.data.u64, 0x1234567800000000UL + a[0], "its data");
	is_int(get(&event), 1, "it stays ready");
	take();
	is_int(get(&event), 0, "until it is read");
	is_int(modify(a[0], 0), 0, "EPOLL_CTL_MOD");
	put();
	is_int(get(&event), 0, "without EPOLLIN");
	is_int(modify(a[0], EPOLLIN), 0, "with EPOLLIN");
	is_int(get(&event), 1, "at once");
	is_int(event.data.u64, 7, "the new data");
	take();
	is_int(epoll_ctl(ep, EPOLL_CTL_DEL, a[0], NULL), 0, "EPOLL_CTL_DEL");
	put();
	is_int(get(&event), 0, "no longer watched");
	take();
}

static void test_edge(void)
{
	struct epoll_event event;
	need(add(ep, a[0], EPOLLIN | EPOLLET) == 0);
	put();
	is_int(get(&event), 1, "edge-triggered");
	is_int(get(&event), 0, "once");
	put();
	is_int(get(&event), 1, "again after another write");
	take();
	is_int(get(&event), 0, "not after a read");
	take();
	is_int(modify(a[0], EPOLLIN | EPOLLONESHOT), 0, "EPOLLONESHOT");
	put();
	is_int(get(&event), 1, "gives one event");
	put();
	is_int(get(&event), 0, "and no other");
	is_int(modify(a[0], EPOLLIN | EPOLLONESHOT), 0, "until it is armed again");
	is_int(get(&event), 1, "then one more");
	take();
	take();
	need(epoll_ctl(ep, EPOLL_CTL_DEL, a[0], NULL) == 0);
}

static void test_many(void)
{
	struct epoll_event events[4];
	int fds[3];
	for (int i = 0; i < 3; i++) {
		fds[i] = eventfd(1, 0);
		need(add(ep, fds[i], EPOLLIN) == 0);
	}
	is_int(epoll_wait(ep, events, 4, -1), 3, "three are ready");
	is_int(epoll_wait(ep, events, 2, -1), 2, "two at a time");
	uint64_t first = events[0].data.u64 + events[1].data.u64;
	is_int(epoll_wait(ep, events, 1, -1), 1, "the third comes next");
	ok(first + events[0].data.u64 ==
		   3 * 0x1234567800000000UL + (uint64_t)(fds[0] + fds[1] + fds[2]),
	   "no one starves");
	close(fds[0]);
	is_int(epoll_wait(ep, events, 4, 0), 2, "a closed descriptor is gone");
	int copy = dup(fds[1]);
	close(fds[1]);
	is_int(epoll_wait(ep, events, 4, 0), 2, "but not while a copy is open");
	close(copy);
	close(fds[2]);
	is_int(epoll_wait(ep, events, 4, 0), 0, "all are gone");
}

static void test_errors(void)
{
	struct epoll_event event = {};
	int file = open("/etc/passwd", O_RDONLY);
	volatile int minus_one = -1;
	need(add(ep, a[0], EPOLLIN) == 0);
	is_err(add(ep, a[0], EPOLLIN), EEXIST, "add twice");
	is_err(modify(a[1], EPOLLIN), ENOENT, "modify one that is not there");
	is_err(epoll_ctl(ep, EPOLL_CTL_DEL, a[1], NULL), ENOENT, "delete one");
	is_err(add(ep, ep, EPOLLIN), EINVAL, "add itself");
	is_err(add(a[0], a[1], EPOLLIN), EINVAL, "not an epoll");
	is_err(add(ep, file, EPOLLIN), EPERM, "a file");
	is_err(add(ep, 12345, EPOLLIN), EBADF, "a bad descriptor");
	is_err(add(-1, a[0], EPOLLIN), EBADF, "a bad epoll");
	is_err(epoll_ctl(ep, 9, a[0], &event), EINVAL, "unknown operation");
	is_err(epoll_ctl(ep, EPOLL_CTL_ADD, a[1], BAD_PTR), EFAULT, "event at a bad address");
	is_err(epoll_wait(ep, &event, 0, 0), EINVAL, "no events wanted");
	is_err(epoll_wait(ep, &event, minus_one, 0), EINVAL, "-1 events wanted");
	is_err(epoll_wait(a[0], &event, 1, 0), EINVAL, "wait on a pipe");
	is_err(epoll_wait(-1, &event, 1, 0), EBADF, "wait on nothing");
	put();
	is_err(syscall(SYS_epoll_wait, ep, BAD_PTR, 1, 0), EFAULT, "to a bad address");
	take();
	is_err(epoll_create1(0x10), EINVAL, "epoll_create1 with unknown flags");
	is_err(epoll_create(0), EINVAL, "epoll_create of size 0");
	is_err(read(ep, &event, 8), EINVAL, "an epoll cannot be read");
	int fd = epoll_create1(EPOLL_CLOEXEC);
	is_int(fcntl(fd, F_GETFD), FD_CLOEXEC, "EPOLL_CLOEXEC");
	close(fd);
	close(file);
	need(epoll_ctl(ep, EPOLL_CTL_DEL, a[0], NULL) == 0);
}

static void test_nested(void)
{
	struct epoll_event event;
	int inner = epoll_create1(0), chain[6];
	need(add(ep, inner, EPOLLIN) == 0 && add(inner, a[0], EPOLLIN) == 0);
	is_int(get(&event), 0, "an epoll in an epoll is not ready");
	put();
	is_int(get(&event), 1, "now it is");
	struct pollfd p = { ep, POLLIN, 0 };
	is_int(poll(&p, 1, -1), 1, "poll of an epoll");
	take();
	is_int(poll(&p, 1, 0), 0, "not ready");
	is_err(add(inner, ep, EPOLLIN), ELOOP, "a circle");
	close(inner);
	for (int i = 0; i < 6; i++)
		chain[i] = epoll_create1(0);
	for (int i = 1; i < 5; i++)
		need(add(chain[i], chain[i - 1], EPOLLIN) == 0);
	is_err(add(chain[5], chain[4], EPOLLIN), ELOOP, "too deep");
	for (int i = 0; i < 6; i++)
		close(chain[i]);
}

static void test_wakeup(void)
{
	struct epoll_event event;
	need(add(ep, a[0], EPOLLIN) == 0);
	pid_t child = tap_fork();
	if (child == 0) {
		pause_ms(20);
		put();
		_exit(0);
	}
	is_int(epoll_wait(ep, &event, 1, -1), 1, "epoll_wait waits for another process");
	tap_wait(child);
	take();
	is_int(epoll_wait(ep, &event, 1, 20), 0, "it times out");
	close(a[1]);
	is_int(epoll_wait(ep, &event, 1, -1), 1, "the writer closed");
	is_int(event.events, EPOLLHUP, "EPOLLHUP");
}

static void on_signal(int signal)
{
	(void)signal;
}

static void pwait(void)
{
	struct epoll_event event;
	struct timespec zero = {}, bad = { 0, -1 };
	sigset_t set, none;
	int fd = epoll_create1(0);
	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	signal(SIGUSR1, on_signal);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	need_err(epoll_pwait(fd, &event, 1, 50000, &none), EINTR);
	need(epoll_pwait(fd, &event, 1, 0, NULL) == 0);
	need(syscall(SYS_epoll_pwait2, fd, &event, 1, &zero, NULL, 8) == 0);
	need_err(syscall(SYS_epoll_pwait2, fd, &event, 1, &bad, NULL, 8), EINVAL);
	need_err(syscall(SYS_epoll_pwait, fd, &event, 1, 0, &none, 4), EINVAL);
}

static void *post_later(void *arg)
{
	uint64_t one = 1;
	pause_ms(20);
	need(write(*(int *)arg, &one, 8) == 8);
	return NULL;
}

static void test_eventfd(void)
{
	uint64_t value = 5;
	int fd = eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC);
	ok(fd >= 0, "eventfd");
	is_int(fcntl(fd, F_GETFD), FD_CLOEXEC, "EFD_CLOEXEC");
	is_int(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK, "EFD_NONBLOCK");
	is_int(write(fd, &value, 8), 8, "add 5");
	is_int(read(fd, &value, 8), 8, "read");
	is_int(value, 8, "8");
	is_err(read(fd, &value, 8), EAGAIN, "then nothing");
	is_err(read(fd, &value, 7), EINVAL, "a short read");
	is_err(write(fd, &value, 4), EINVAL, "a short write");
	value = ~0UL;
	is_err(write(fd, &value, 8), EINVAL, "the largest number");
	value = ~0UL - 1;
	is_int(write(fd, &value, 8), 8, "the next");
	value = 1;
	is_err(write(fd, &value, 8), EAGAIN, "no room for one more");
	struct pollfd p = { fd, POLLIN | POLLOUT, 0 };
	is_int(poll(&p, 1, 0), 1, "poll");
	is_int(p.revents, POLLIN, "readable, not writable");
	close(fd);
	fd = eventfd(2, EFD_SEMAPHORE);
	is_int(read(fd, &value, 8), 8, "EFD_SEMAPHORE");
	is_int(value, 1, "gives 1");
	is_int(read(fd, &value, 8), 8, "and again");
	pthread_t thread;
	need(pthread_create(&thread, NULL, post_later, &fd) == 0);
	is_int(read(fd, &value, 8), 8, "read waits");
	pthread_join(thread, NULL);
	close(fd);
	is_err(eventfd(0, 0x10), EINVAL, "unknown flags");
}

static int wait_now(int epoll)
{
	struct epoll_event event;
	return epoll_wait(epoll, &event, 1, 0);
}

/* Each write is an edge, at every level, though nobody has looked at the levels between. */
static void test_nested_edges(void)
{
	struct epoll_event level = { .events = EPOLLIN }, edge = { .events = EPOLLIN | EPOLLET };
	int fd[2], low = epoll_create1(0), middle = epoll_create1(0), high = epoll_create1(0);
	need(pipe(fd) == 0);
	need(epoll_ctl(low, EPOLL_CTL_ADD, fd[0], &level) == 0);
	need(epoll_ctl(middle, EPOLL_CTL_ADD, low, &level) == 0);
	need(epoll_ctl(high, EPOLL_CTL_ADD, middle, &edge) == 0);
	is_int(wait_now(high), 0, "three levels: nothing");
	need(write(fd[1], "x", 1) == 1);
	is_int(wait_now(high), 1, "an edge");
	is_int(wait_now(high), 0, "is told once");
	need(write(fd[1], "y", 1) == 1);
	is_int(wait_now(high), 1, "another edge");
	is_int(wait_now(high), 0, "is told once");
	is_int(wait_now(low), 1, "the level below is still ready");
	close(fd[0]);
	close(fd[1]);
	is_int(wait_now(low), 0, "nothing is left");
	close(low);
	close(middle);
	close(high);
}

/* There may be only so many ways from a file up through epolls. */
static void test_many_ways(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd[2], low = epoll_create1(0), count = 0, error = 0, high[600];
	need(pipe(fd) == 0);
	need(epoll_ctl(low, EPOLL_CTL_ADD, fd[0], &event) == 0);
	for (; count < 600 && !error; count++) {
		high[count] = epoll_create1(0);
		if (high[count] < 0 || epoll_ctl(high[count], EPOLL_CTL_ADD, low, &event) != 0)
			error = errno;
	}
	is_int(count, 501, "500 epolls may watch one");
	is_int(error, EINVAL, "and no more");
	is_int(write(fd[1], "x", 1), 1, "all are told");
	is_int(wait_now(high[0]) + wait_now(high[499]), 2, "and ready");
	is_int(wait_now(high[500]), 0, "the one refused is not");
	for (int i = 0; i < count; i++)
		close(high[i]);
	close(low);
	close(fd[0]);
	close(fd[1]);
}

int main(void)
{
	tap_begin();
	ep = epoll_create1(0);
	need(ep >= 0 && pipe(a) == 0);
	test_level();
	test_edge();
	test_many();
	test_errors();
	test_nested();
	test_wakeup();
	child_ok(pwait, "epoll_pwait");
	test_eventfd();
	test_nested_edges();
	test_many_ways();
	return tap_end();
}
