/*
 * Reading what epoll_wait has found: that each byte is read once, in order, by whoever reads it
 * first and however, when the reader has done nothing but wait, read and write before.
 */
#include "tap.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define MANY 20

struct pair {
	int a, b; /* b is in the epoll */
};

static int g_ep;

static void watch(int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };
	need(epoll_ctl(g_ep, EPOLL_CTL_ADD, fd, &ev) == 0);
}

static struct pair tcp_pair(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(sin);
	struct pair p;
	int l = socket(AF_INET, SOCK_STREAM, 0);
	need(l >= 0 && bind(l, (void *)&sin, sizeof(sin)) == 0 && listen(l, 5) == 0);
	need(getsockname(l, (void *)&sin, &size) == 0);
	need((p.a = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
	need(connect(p.a, (void *)&sin, sizeof(sin)) == 0);
	need((p.b = accept(l, NULL, NULL)) >= 0);
	close(l);
	return p;
}

static struct pair make_pair(bool tcp)
{
	struct pair p;
	if (tcp) {
		p = tcp_pair();
	} else {
		int fd[2];
		need(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
		p = (struct pair){ fd[0], fd[1] };
	}
	need(fcntl(p.a, F_SETFL, O_NONBLOCK) == 0 && fcntl(p.b, F_SETFL, O_NONBLOCK) == 0);
	watch(p.b, EPOLLIN);
	return p;
}

static void close_pair(struct pair p)
{
	close(p.a);
	close(p.b);
}

static int wait_ready(void)
{
	struct epoll_event ev[MANY + 5];
	return epoll_wait(g_ep, ev, MANY + 5, 20000);
}

static void send_text(int fd, const char *text)
{
	need(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* Wait and read often enough for it to be expected. */
static void warm_up(struct pair p)
{
	char buf[100];
	for (int i = 0; i < 8; i++) {
		send_text(p.a, "warm");
		need(wait_ready() == 1);
		need(read(p.b, buf, sizeof(buf)) == 4);
	}
}

/* The same, and then text is there to be read. */
static void ready_with(struct pair p, const char *text)
{
	warm_up(p);
	send_text(p.a, text);
	need(wait_ready() == 1);
}

static bool reads(int fd, const char *text)
{
	char buf[1000];
	ssize_t n = read(fd, buf, sizeof(buf));
	return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

static bool empty(int fd)
{
	char buf[10];
	return read(fd, buf, sizeof(buf)) == -1 && errno == EAGAIN;
}

static void test_plain(bool tcp)
{
	struct pair p = make_pair(tcp);
	char buf[2000], out[2000];
	int left = -1;
	bool all = true;
	for (int size = 1; size < 1200; size += size < 20 ? 1 : 37) {
		memset(out, 'a' + size % 26, sizeof(out));
		need(write(p.a, out, (size_t)size) == size);
		need(wait_ready() == 1);
		all &= read(p.b, buf, sizeof(buf)) == size && !memcmp(buf, out, (size_t)size);
		all &= empty(p.b);
	}
	ok(all, "all sizes");
	ready_with(p, "hello world");
	all = read(p.b, buf, 3) == 3 && read(p.b, buf + 3, 0) == 0 && wait_ready() == 1;
	ok(all && read(p.b, buf + 3, 100) == 8 && !memcmp(buf, "hello world", 11), "in parts");
	ready_with(p, "peek");
	all = recv(p.b, buf, 100, MSG_PEEK) == 4 && ioctl(p.b, FIONREAD, &left) == 0 && left == 4;
	ok(all && reads(p.b, "peek") && empty(p.b), "peeked at first");
	ready_with(p, "gone");
	all = reads(p.b, "gone") && ioctl(p.b, FIONREAD, &left) == 0 && left == 0;
	ok(all && empty(p.b), "once");
	ready_with(p, "flags");
	all = recv(p.b, buf, 100, MSG_DONTWAIT) == 5 && recv(p.b, buf, 100, MSG_DONTWAIT) == -1;
	ok(all && errno == EAGAIN, "by recv");
	ready_with(p, "address");
	is_err(read(p.b, (void *)8, 100), EFAULT, "a bad address");
	ok(reads(p.b, "address"), "loses nothing");
	if (!tcp) {
		ready_with(p, "one");
		send_text(p.a, "two");
		ok(reads(p.b, "onetwo"), "what came meanwhile from the reader itself");
	}
	close_pair(p);
}

static void test_ends(bool tcp)
{
	struct pair p = make_pair(tcp);
	char buf[100];
	ready_with(p, "last");
	close(p.a);
	ok(reads(p.b, "last") && read(p.b, buf, 100) == 0, "the end after the data");
	close(p.b);
	p = make_pair(tcp);
	ready_with(p, "read");
	ok(reads(p.b, "read"), "read before it is closed:");
	close(p.b);
	is_int(read(p.a, buf, 100), 0, "the peer sees the end");
	close(p.a);
	p = make_pair(tcp);
	ready_with(p, "unread");
	close(p.b);
	is_err(read(p.a, buf, 100), ECONNRESET, "unread: a reset");
	close(p.a);
	p = make_pair(tcp);
	ready_with(p, "before");
	need(shutdown(p.b, SHUT_RD) == 0);
	ok(reads(p.b, "before") && read(p.b, buf, 100) == 0, "shut down");
	close_pair(p);
}

static void test_names(bool tcp)
{
	struct pair p = make_pair(tcp), q = make_pair(tcp);
	int d, status = -1;
	pid_t pid;
	ready_with(p, "dup");
	need((d = dup(p.b)) >= 0);
	ok(reads(d, "dup") && empty(p.b), "by another descriptor");
	close(d);
	ready_with(p, "child");
	need((pid = fork()) >= 0);
	if (pid == 0)
		_exit(reads(p.b, "child") ? 0 : 1);
	need(waitpid(pid, &status, 0) == pid);
	ok(status == 0 && empty(p.b), "by a child");
	warm_up(p);
	ready_with(q, "of q");
	send_text(p.a, "of p");
	need(wait_ready() == 2);
	need(dup2(q.b, p.b) == p.b);
	ok(reads(p.b, "of q"), "another socket under that number");
	close_pair(p);
	close_pair(q);
}

static void test_many(bool tcp)
{
	struct pair p[MANY];
	char text[20];
	bool all = true;
	for (int i = 0; i < MANY; i++)
		p[i] = make_pair(tcp);
	warm_up(p[0]);
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < MANY; i++) {
			snprintf(text, sizeof(text), "%d to %d", round, i);
			send_text(p[i].a, text);
		}
		need(wait_ready() == MANY);
		for (int k = 0; k < MANY; k++) {
			int i = round % 2 ? k : MANY - 1 - k;
			snprintf(text, sizeof(text), "%d to %d", round, i);
			all &= reads(p[i].b, text);
			send_text(p[i].b, "answer");
			all &= reads(p[i].a, "answer");
		}
		need(epoll_wait(g_ep, &(struct epoll_event){}, 1, 0) == 0);
	}
	ok(all, "many");
	for (int i = 0; i < MANY; i++)
		close_pair(p[i]);
}

static struct pair g_pair;

static void *read_thread(void *arg)
{
	*(bool *)arg = reads(g_pair.b, "thread");
	return NULL;
}

static void on_signal(int signal)
{
	(void)signal;
	need(reads(g_pair.b, "signal"));
}

static void test_others(bool tcp)
{
	pthread_t thread;
	bool good = false;
	g_pair = make_pair(tcp);
	ready_with(g_pair, "thread");
	need(pthread_create(&thread, NULL, read_thread, &good) == 0);
	need(pthread_join(thread, NULL) == 0);
	ok(good && empty(g_pair.b), "by another thread");
	signal(SIGUSR1, on_signal);
	ready_with(g_pair, "signal");
	raise(SIGUSR1);
	ok(empty(g_pair.b), "by a signal handler");
	close_pair(g_pair);
}

/* Wait, without a system call, until *flag; a minute at most (see tap_begin). */
static void spin_until(const int *flag)
{
	while (!__atomic_load_n(flag, __ATOMIC_SEQ_CST))
		;
}

/* A process takes the socket from one that is about to read, or has just done so. */
static void test_taken(bool tcp, bool read_first)
{
	int *flag = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct pair p = make_pair(tcp);
	int pidfd, got, status = -1;
	pid_t pid;
	need(flag != MAP_FAILED && (pid = fork()) >= 0);
	if (pid == 0) {
		char buf[100];
		close(p.a);
		for (int i = 0; i < 9; i++) {
			need(wait_ready() == 1);
			if (i < 8 || read_first)
				need(read(p.b, buf, 100) == 4);
			__atomic_store_n(&flag[0], i + 1, __ATOMIC_SEQ_CST);
		}
		spin_until(&flag[1]);
		_exit(empty(p.b) ? 0 : 1);
	}
	close(p.b);
	for (int i = 0; i < 9; i++) {
		send_text(p.a, "take");
		while (__atomic_load_n(&flag[0], __ATOMIC_SEQ_CST) <= i)
			;
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	got = (int)syscall(SYS_pidfd_getfd, pidfd, p.b, 0);
	need(pidfd >= 0 && got >= 0);
	if (read_first)
		ok(empty(got), "a socket taken from who has read it");
	else
		ok(reads(got, "take"), "a socket taken from who has not read it yet");
	__atomic_store_n(&flag[1], 1, __ATOMIC_SEQ_CST);
	need(waitpid(pid, &status, 0) == pid);
	is_int(status, 0, "and that finds nothing");
	close(got);
	close(pidfd);
	close(p.a);
	munmap(flag, 4096);
}

/* Files that come with data are not lost. */
static void test_files(void)
{
	struct pair p = make_pair(false);
	char control[CMSG_SPACE(sizeof(int))] = {}, buf[10];
	struct iovec iov = { "file", 4 }, in = { buf, sizeof(buf) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	*c = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(c), &p.a, sizeof(int));
	warm_up(p);
	need(sendmsg(p.a, &m, 0) == 4);
	need(wait_ready() == 1);
	m.msg_iov = &in;
	memset(control, 0, sizeof(control));
	is_int(recvmsg(p.b, &m, 0), 4, "data");
	ok(m.msg_controllen >= CMSG_LEN(sizeof(int)) && CMSG_FIRSTHDR(&m)->cmsg_type == SCM_RIGHTS,
	   "with a file");
	memcpy(&p.a, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	close(p.a);
	close(p.b);
}

static void test_edge(bool tcp)
{
	struct pair p = make_pair(tcp);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.fd = p.b };
	need(epoll_ctl(g_ep, EPOLL_CTL_MOD, p.b, &ev) == 0);
	ready_with(p, "edge");
	is_int(epoll_wait(g_ep, &ev, 1, 0), 0, "an edge, once");
	ok(reads(p.b, "edge") && empty(p.b), "is read");
	send_text(p.a, "next");
	is_int(epoll_wait(g_ep, &ev, 1, 0), 1, "the next one");
	ok(reads(p.b, "next"), "too");
	close_pair(p);
}

int main(void)
{
	tap_begin();
	for (int tcp = 0; tcp < 2; tcp++) {
		need((g_ep = epoll_create1(0)) >= 0);
		test_plain(tcp);
		test_ends(tcp);
		test_names(tcp);
		test_many(tcp);
		test_others(tcp);
		test_taken(tcp, false);
		test_taken(tcp, true);
		test_edge(tcp);
		close(g_ep);
	}
	need((g_ep = epoll_create1(0)) >= 0);
	test_files();
	return tap_end();
}
