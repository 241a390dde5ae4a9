/*
 * epoll: nesting, loops, exclusive and one-shot items, and what is refused.
 */
#include "tap.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

static int add(int ep, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };
	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static int mod(int ep, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };
	return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
}

static int count(int ep)
{
	struct epoll_event ev[8];
	return epoll_wait(ep, ev, 8, 0);
}

static void test_nesting(void)
{
	int ep[7], e = eventfd(0, 0);
	for (int i = 0; i < 7; i++)
		need((ep[i] = epoll_create1(0)) >= 0);
	is_err(add(ep[0], ep[0], EPOLLIN), EINVAL, "itself");
	is_int(add(ep[0], ep[1], EPOLLIN), 0, "another");
	is_err(add(ep[1], ep[0], EPOLLIN), ELOOP, "a loop of two");
	is_int(add(ep[1], ep[2], EPOLLIN), 0, "three");
	is_err(add(ep[2], ep[0], EPOLLIN), ELOOP, "a loop of three");
	is_int(add(ep[2], ep[3], EPOLLIN), 0, "four");
	is_int(add(ep[3], e, EPOLLIN), 0, "an event at the bottom");
	is_int(count(ep[0]), 0, "nothing yet");
	eventfd_write(e, 1);
	is_int(count(ep[0]), 1, "goes all the way up");
	is_int(count(ep[0]), 1, "by level");
	eventfd_t v;
	eventfd_read(e, &v);
	is_int(count(ep[0]), 0, "and down again");
	need(add(ep[3], ep[4], EPOLLIN) == 0);
	is_err(add(ep[4], ep[5], EPOLLIN), ELOOP, "too deep");
	is_err(add(ep[0], ep[1], EPOLLIN | EPOLLEXCLUSIVE), EINVAL, "an exclusive epoll");
	close(ep[2]);
	eventfd_write(e, 1);
	is_int(count(ep[0]), 0, "one in the middle is gone");
	for (int i = 0; i < 7; i++)
		close(ep[i]);
	close(e);
}

static void test_oneshot(void)
{
	int ep = epoll_create1(0), e = eventfd(1, 0);
	need(add(ep, e, EPOLLIN | EPOLLONESHOT) == 0);
	is_int(count(ep), 1, "one-shot");
	eventfd_write(e, 1);
	is_int(count(ep), 0, "once");
	is_int(mod(ep, e, EPOLLIN | EPOLLONESHOT), 0, "armed again");
	is_int(count(ep), 1, "at once, since it is ready");
	is_int(mod(ep, e, EPOLLIN | EPOLLWAKEUP), 0, "EPOLLWAKEUP");
	is_int(count(ep), 1, "is nothing special");
	close(e);
	close(ep);
}

struct waiting {
	int ep;
	int *woken;
};

static void *exclusive_waiter(void *arg)
{
	struct waiting *w = arg;
	struct epoll_event ev;
	int n = epoll_wait(w->ep, &ev, 1, 10000);
	if (n == 1)
		__atomic_add_fetch(w->woken, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void test_exclusive(void)
{
	int e = eventfd(0, EFD_NONBLOCK), other = eventfd(0, 0), woken = 0;
	struct waiting w[4];
	pthread_t t[4];
	for (int i = 0; i < 4; i++) {
		w[i] = (struct waiting){ epoll_create1(0), &woken };
		is_int(add(w[i].ep, e, EPOLLIN | EPOLLEXCLUSIVE), 0, "exclusive: %d", i);
	}
	is_err(mod(w[0].ep, e, EPOLLIN), EINVAL, "cannot be changed");
	is_err(mod(w[0].ep, e, EPOLLIN | EPOLLEXCLUSIVE), EINVAL, "nor so");
	is_err(add(w[0].ep, other, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT), EINVAL,
	       "exclusive and one-shot");
	for (int i = 0; i < 4; i++)
		need(pthread_create(&t[i], NULL, exclusive_waiter, &w[i]) == 0);
	pause_ms(50);
	eventfd_write(e, 1);
	await_int(&woken, 1);
	pause_ms(30);
	ok(__atomic_load_n(&woken, __ATOMIC_SEQ_CST) >= 1, "some are woken");
	for (int i = 0; i < 4; i++)
		need(eventfd_write(e, 1) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	is_int(woken, 4, "in the end all");
	for (int i = 0; i < 4; i++)
		close(w[i].ep);
	close(e);
}

/* Close it once the first thread sleeps. */
static void *close_later(void *arg)
{
	char path[64], text[512], *state = NULL;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
	do {
		int fd = open(path, O_RDONLY);
		ssize_t n = read(fd, text, sizeof(text) - 1);
		close(fd);
		need(n > 0);
		text[n] = 0;
		need((state = strrchr(text, ')')) != NULL);
	} while (state[2] != 'S');
	close(*(int *)arg);
	return NULL;
}

static void test_pwait2(void)
{
	int ep = epoll_create1(0), e = eventfd(0, 0), other = eventfd(0, 0);
	struct epoll_event ev;
	struct timespec t = { 0, 1000000 }, bad = { 0, 1000000000 };
	need(add(ep, e, EPOLLIN) == 0);
	is_int(syscall(SYS_epoll_pwait2, ep, &ev, 1, &t, NULL, 8), 0, "epoll_pwait2: a timeout");
	is_err(syscall(SYS_epoll_pwait2, ep, &ev, 1, &bad, NULL, 8), EINVAL, "no timeout");
	is_err(syscall(SYS_epoll_pwait2, ep, &ev, 1, BAD_PTR, NULL, 8), EFAULT, "a bad one");
	is_err(syscall(SYS_epoll_pwait2, ep, &ev, 0, NULL, NULL, 8), EINVAL, "no room");
	is_err(syscall(SYS_epoll_pwait2, e, &ev, 1, &t, NULL, 8), EINVAL, "not an epoll");
	eventfd_write(e, 1);
	is_int(syscall(SYS_epoll_pwait2, ep, &ev, 1, NULL, NULL, 8), 1, "for ever");
	is_err(epoll_ctl(ep, 99, e, &ev), EINVAL, "no operation");
	is_err(epoll_ctl(ep, EPOLL_CTL_ADD, 99, &ev), EBADF, "no file");
	is_err(epoll_ctl(e, EPOLL_CTL_ADD, ep, &ev), EINVAL, "to no epoll");
	is_err(mod(ep, other, EPOLLIN), ENOENT, "not there");
	/* Closed by another while somebody waits: the wait goes on to its timeout. */
	pthread_t thread;
	int twice = dup(ep);
	eventfd_t v;
	eventfd_read(e, &v);
	need(pthread_create(&thread, NULL, close_later, &twice) == 0);
	is_int(epoll_wait(twice, &ev, 1, 80), 0, "closed while waiting");
	pthread_join(thread, NULL);
	close(ep);
	close(e);
}

static void test_eventfd(void)
{
	int e = eventfd(0, EFD_NONBLOCK | EFD_SEMAPHORE);
	uint64_t v = UINT64_MAX;
	is_err(write(e, &v, 8), EINVAL, "all ones");
	v = UINT64_MAX - 1;
	is_int(write(e, &v, 8), 8, "the most");
	struct pollfd p = { .fd = e, .events = POLLIN | POLLOUT };
	poll(&p, 1, 0);
	is_int(p.revents, POLLIN, "full: only to read");
	v = 1;
	is_err(write(e, &v, 8), EAGAIN, "one more");
	v = 0;
	is_int(write(e, &v, 8), 8, "nothing more");
	is_int(read(e, &v, 8), 8, "one of a semaphore");
	is_int(v, 1, "is 1");
	is_err(read(e, &v, 4), EINVAL, "a short buffer");
	is_err(write(e, &v, 4), EINVAL, "a short write");
	close(e);
}

/* One call tells all that is ready, however much it is. */
static void test_thousands(void)
{
	enum { COUNT = 9000 };
	static struct epoll_event events[COUNT + 1];
	struct rlimit limit;
	need(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	if (limit.rlim_max < COUNT + 100) {
		ok(true, "thousands of descriptors # SKIP too few are allowed");
		return;
	}
	limit.rlim_cur = limit.rlim_max;
	need(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	int ep = epoll_create1(0), fd = eventfd(1, 0), last = fd;
	long added = 0, sum = 0;
	for (int i = 0; i < COUNT; i++) {
		last = dup(fd);
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = (uint32_t)i };
		added += last >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, last, &event) == 0;
	}
	is_int(added, COUNT, "thousands of descriptors");
	is_int(epoll_wait(ep, events, COUNT + 1, -1), COUNT, "all are ready at once");
	for (int i = 0; i < COUNT; i++)
		sum += events[i].data.u32;
	is_int(sum, (long)COUNT * (COUNT - 1) / 2, "each once");
	is_int(epoll_wait(ep, events, 5000, -1), 5000, "fewer, if fewer are asked for");
	close_range((unsigned)ep, (unsigned)last, 0);
}

int main(void)
{
	tap_begin();
	test_nesting();
	test_oneshot();
	test_exclusive();
	test_pwait2();
	test_eventfd();
	test_thousands();
	return tap_end();
}
