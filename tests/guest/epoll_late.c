/*
 * Changes of an epoll in quick succession, without another system call in between: that they have
 * the right results and are made in order, and are made at once wherever others can see them.
 */
#include "tap.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define MANY 40

static int change(int ep, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };
	return epoll_ctl(ep, op, fd, &ev);
}

/* Change one descriptor so often that all that can be known about the epoll is known. */
static void warm_up(int ep, int fd, uint32_t events)
{
	for (int i = 0; i < 100; i++)
		need(change(ep, EPOLL_CTL_MOD, fd, events, 7) == 0);
}

/* Wait, without a system call, until *flag; a minute at most (see tap_begin). */
static void spin_until(const int *flag)
{
	while (!__atomic_load_n(flag, __ATOMIC_SEQ_CST))
		;
}

static int *shared_flags(void)
{
	int *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(p != MAP_FAILED);
	return p;
}

static void test_results(void)
{
	int ep = epoll_create1(0), e = eventfd(1, 0), other = eventfd(1, 0);
	bool all = true;
	need(change(ep, EPOLL_CTL_ADD, e, EPOLLIN, 1) == 0);
	warm_up(ep, e, EPOLLIN);
	for (int i = 0; i < 100; i++) {
		all &= change(ep, EPOLL_CTL_ADD, e, EPOLLIN, 1) == -1 && errno == EEXIST;
		all &= change(ep, EPOLL_CTL_DEL, e, 0, 0) == 0;
		all &= change(ep, EPOLL_CTL_DEL, e, 0, 0) == -1 && errno == ENOENT;
		all &= change(ep, EPOLL_CTL_MOD, e, EPOLLIN, 2) == -1 && errno == ENOENT;
		all &= change(ep, EPOLL_CTL_MOD, other, EPOLLIN, 2) == -1 && errno == ENOENT;
		all &= change(ep, EPOLL_CTL_ADD, e, EPOLLIN, 3) == 0;
		all &= change(ep, EPOLL_CTL_ADD, e, EPOLLIN, 3) == -1 && errno == EEXIST;
		all &= change(ep, EPOLL_CTL_MOD, e, EPOLLIN, 4) == 0;
		all &= change(ep, 77, e, EPOLLIN, 4) == -1 && errno == EINVAL;
	}
	ok(all, "results are as ever");
	warm_up(ep, e, EPOLLIN);
	is_err(change(ep, EPOLL_CTL_MOD, e, EPOLLIN | EPOLLEXCLUSIVE, 0), EINVAL, "no exclusive");
	warm_up(ep, e, EPOLLIN);
	is_err(epoll_ctl(ep, EPOLL_CTL_MOD, e, (void *)8), EFAULT, "a bad address");
	warm_up(ep, e, EPOLLIN);
	is_int(epoll_ctl(ep, EPOLL_CTL_DEL, e, (void *)8), 0, "that nobody looks at");
	is_err(epoll_ctl(ep, EPOLL_CTL_ADD, e, (void *)8), EFAULT, "or somebody does");
	is_int(change(ep, EPOLL_CTL_ADD, e, EPOLLIN, 0), 0, "a good one");
	warm_up(ep, e, EPOLLIN);
	is_err(change(ep, EPOLL_CTL_MOD, 1000000, EPOLLIN, 0), EBADF, "no such descriptor");
	is_err(change(1000000, EPOLL_CTL_MOD, e, EPOLLIN, 0), EBADF, "nor epoll");
	is_err(change(-1, EPOLL_CTL_MOD, -1, EPOLLIN, 0), EBADF, "-1");
	close(other);
	close(e);
	close(ep);
}

static void test_effects(void)
{
	int ep = epoll_create1(0), e = eventfd(1, 0);
	struct epoll_event ev[2];
	need(change(ep, EPOLL_CTL_ADD, e, EPOLLIN, 1) == 0);
	warm_up(ep, e, EPOLLIN);
	need(change(ep, EPOLL_CTL_MOD, e, EPOLLIN, 99) == 0);
	is_int(epoll_wait(ep, ev, 2, 0), 1, "ready");
	is_int(ev[0].data.u64, 99, "with its last data");
	warm_up(ep, e, EPOLLIN);
	need(change(ep, EPOLL_CTL_DEL, e, 0, 0) == 0);
	is_int(epoll_wait(ep, ev, 2, 0), 0, "removed");
	need(change(ep, EPOLL_CTL_ADD, e, EPOLLIN | EPOLLONESHOT, 5) == 0);
	is_int(epoll_wait(ep, ev, 2, 0), 1, "one-shot");
	is_int(epoll_wait(ep, ev, 2, 0), 0, "once");
	for (int i = 0; i < 20; i++)
		need(change(ep, EPOLL_CTL_MOD, e, EPOLLIN | EPOLLONESHOT, 5) == 0);
	is_int(epoll_wait(ep, ev, 2, 0), 1, "armed again");
	is_int(epoll_wait(ep, ev, 2, 0), 0, "once, however often");
	warm_up(ep, e, EPOLLIN);
	for (int i = 0; i < 3; i++) {
		need(change(ep, EPOLL_CTL_MOD, e, 0, 0) == 0);
		need(change(ep, EPOLL_CTL_DEL, e, 0, 0) == 0);
		need(change(ep, EPOLL_CTL_ADD, e, EPOLLIN | EPOLLET, 8) == 0);
	}
	is_int(epoll_wait(ep, ev, 2, 0), 1, "an edge");
	is_int(epoll_wait(ep, ev, 2, 0), 0, "no other");
	close(e);
	close(ep);
}

static int count_ready(int ep)
{
	struct epoll_event ev[MANY + 1];
	return epoll_wait(ep, ev, MANY + 1, 0);
}

static void test_many(void)
{
	int ep = epoll_create1(0), e[MANY];
	for (int i = 0; i < MANY; i++) {
		need((e[i] = eventfd(1, 0)) >= 0);
		need(change(ep, EPOLL_CTL_ADD, e[i], EPOLLIN, i) == 0);
	}
	warm_up(ep, e[0], EPOLLIN);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < MANY; i++)
			need(change(ep, EPOLL_CTL_DEL, e[i], 0, 0) == 0);
		need(count_ready(ep) == 0);
		for (int i = 0; i < MANY; i++)
			need(change(ep, EPOLL_CTL_ADD, e[i], EPOLLIN, i) == 0);
		need(count_ready(ep) == MANY);
		warm_up(ep, e[0], EPOLLIN);
		for (int i = 0; i < MANY; i++) {
			need(change(ep, EPOLL_CTL_DEL, e[i], 0, 0) == 0);
			need(change(ep, EPOLL_CTL_ADD, e[i], i % 2 ? EPOLLIN : EPOLLOUT, i) == 0);
			need(change(ep, EPOLL_CTL_MOD, e[i], i % 2 ? EPOLLIN : 0, i) == 0);
		}
		need(count_ready(ep) == MANY / 2);
		for (int i = 0; i < MANY; i++)
			need(change(ep, EPOLL_CTL_MOD, e[i], EPOLLIN, i) == 0);
		need(count_ready(ep) == MANY);
	}
	ok(true, "many");
	for (int i = 0; i < MANY; i++)
		close(e[i]);
	is_int(count_ready(ep), 0, "all closed");
	close(ep);
}

static void test_descriptors(void)
{
	int ep = epoll_create1(0), a = eventfd(1, 0), b = eventfd(1, 0), c = eventfd(1, 0), d;
	need(change(ep, EPOLL_CTL_ADD, a, EPOLLIN, 1) == 0);
	need(change(ep, EPOLL_CTL_ADD, b, EPOLLIN, 2) == 0);
	warm_up(ep, a, EPOLLIN);
	close(b);
	is_err(change(ep, EPOLL_CTL_MOD, b, EPOLLIN, 2), EBADF, "closed");
	warm_up(ep, a, EPOLLIN);
	need(dup2(c, b) == b);
	is_err(change(ep, EPOLL_CTL_MOD, b, EPOLLIN, 2), ENOENT, "another file");
	is_err(change(ep, EPOLL_CTL_DEL, b, 0, 2), ENOENT, "is not there");
	is_int(change(ep, EPOLL_CTL_ADD, b, EPOLLIN, 2), 0, "but can be");
	warm_up(ep, b, EPOLLIN);
	need((d = dup(b)) >= 0);
	close(b);
	is_int(count_ready(ep), 2, "a file that another descriptor has stays");
	is_err(change(ep, EPOLL_CTL_MOD, b, EPOLLIN, 2), EBADF, "though it has no name");
	warm_up(ep, a, EPOLLIN);
	need(dup2(ep, b) == b);
	is_err(change(b, EPOLL_CTL_ADD, a, EPOLLIN, 2), EEXIST, "an epoll of two names");
	is_int(change(b, EPOLL_CTL_DEL, a, 0, 0), 0, "is one");
	is_err(change(ep, EPOLL_CTL_MOD, a, EPOLLIN, 1), ENOENT, "whichever is used");
	close(ep);
	need(change(b, EPOLL_CTL_ADD, a, EPOLLIN, 1) == 0);
	warm_up(b, a, EPOLLIN);
	need(dup2(a, ep) == ep);
	is_err(change(ep, EPOLL_CTL_MOD, a, EPOLLIN, 1), EINVAL, "no longer an epoll");
	close(ep);
	close(a);
	close(b);
	close(c);
	close(d);
}

static void *wait_ready(void *arg)
{
	int *flags = arg;
	struct epoll_event ev;
	__atomic_store_n(&flags[1], 1, __ATOMIC_SEQ_CST);
	int n = epoll_wait(flags[2], &ev, 1, 20000);
	__atomic_store_n(&flags[0], n == 1 && ev.data.u64 == 42 ? 1 : 2, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Who waits already hears of a change at once. */
static void test_others_wait(void)
{
	int *flags = shared_flags(), ep = epoll_create1(0), e = eventfd(1, 0);
	pthread_t thread;
	pid_t pid;
	need(change(ep, EPOLL_CTL_ADD, e, 0, 0) == 0);
	warm_up(ep, e, 0);
	flags[2] = ep;
	need(pthread_create(&thread, NULL, wait_ready, flags) == 0);
	spin_until(&flags[1]);
	usleep(10000);
	need(change(ep, EPOLL_CTL_MOD, e, EPOLLIN, 42) == 0);
	spin_until(&flags[0]);
	is_int(flags[0], 1, "another thread waits");
	pthread_join(thread, NULL);
	flags[0] = flags[1] = 0;
	warm_up(ep, e, 0);
	need((pid = fork()) >= 0);
	if (pid == 0) {
		wait_ready(flags);
		_exit(0);
	}
	spin_until(&flags[1]);
	usleep(10000);
	need(change(ep, EPOLL_CTL_MOD, e, EPOLLIN, 42) == 0);
	spin_until(&flags[0]);
	is_int(flags[0], 1, "another process waits");
	need(waitpid(pid, NULL, 0) == pid);
	close(e);
	close(ep);
	munmap(flags, 4096);
}

/* Nor does it matter if the other one comes after the change. */
static void test_taken(void)
{
	int *flags = shared_flags(), got, pidfd;
	struct epoll_event ev = {};
	pid_t pid = fork();
	need(pid >= 0);
	if (pid == 0) {
		int ep = epoll_create1(0), e = eventfd(1, 0);
		need(change(ep, EPOLL_CTL_ADD, e, 0, 0) == 0);
		warm_up(ep, e, 0);
		flags[2] = ep;
		need(change(ep, EPOLL_CTL_MOD, e, EPOLLIN, 42) == 0);
		__atomic_store_n(&flags[1], 1, __ATOMIC_SEQ_CST);
		spin_until(&flags[0]);
		_exit(0);
	}
	spin_until(&flags[1]);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	got = (int)syscall(SYS_pidfd_getfd, pidfd, flags[2], 0);
	need(pidfd >= 0 && got >= 0);
	is_int(epoll_wait(got, &ev, 1, 20000), 1, "an epoll taken from a process that computes");
	is_int(ev.data.u64, 42, "is as that left it");
	__atomic_store_n(&flags[0], 1, __ATOMIC_SEQ_CST);
	need(waitpid(pid, NULL, 0) == pid);
	close(got);
	close(pidfd);
	munmap(flags, 4096);
}

static void test_nested(void)
{
	int *flags = shared_flags(), outer = epoll_create1(0), ep = epoll_create1(0);
	int e = eventfd(1, 0);
	pid_t pid;
	need(change(ep, EPOLL_CTL_ADD, e, 0, 0) == 0);
	need(change(outer, EPOLL_CTL_ADD, ep, EPOLLIN, 42) == 0);
	need((pid = fork()) >= 0);
	if (pid == 0) {
		flags[2] = outer;
		close(ep);
		wait_ready(flags);
		_exit(0);
	}
	spin_until(&flags[1]);
	usleep(10000);
	warm_up(ep, e, 0);
	need(change(ep, EPOLL_CTL_MOD, e, EPOLLIN, 1) == 0);
	spin_until(&flags[0]);
	is_int(flags[0], 1, "who waits for an epoll that waits");
	need(waitpid(pid, NULL, 0) == pid);
	close(e);
	close(ep);
	close(outer);
	munmap(flags, 4096);
}

static int g_ep, g_e;

static void on_signal(int signal)
{
	(void)signal;
	need(change(g_ep, EPOLL_CTL_DEL, g_e, 0, 0) == 0);
	need(change(g_ep, EPOLL_CTL_ADD, g_e, EPOLLIN, 3) == 0);
}

static void test_signals(void)
{
	struct epoll_event ev = {};
	g_ep = epoll_create1(0);
	g_e = eventfd(1, 0);
	need(change(g_ep, EPOLL_CTL_ADD, g_e, 0, 0) == 0);
	signal(SIGUSR1, on_signal);
	for (int i = 0; i < 20; i++) {
		warm_up(g_ep, g_e, 0);
		raise(SIGUSR1);
		need(epoll_wait(g_ep, &ev, 1, 0) == 1 && ev.data.u64 == 3);
	}
	ok(true, "handlers change it too");
	close(g_e);
	close(g_ep);
}

int main(void)
{
	tap_begin();
	test_results();
	test_effects();
	test_many();
	test_descriptors();
	test_others_wait();
	test_taken();
	test_nested();
	test_signals();
	return tap_end();
}
