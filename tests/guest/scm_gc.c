/*
 * Unix sockets that only each other's messages refer to are collected; those that somebody can
 * still reach are not. What tells is the other end of a pipe in the same message.
 */
#include "tap.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static int send_fds(int s, const int *fds, int count)
{
	char control[CMSG_SPACE(253 * sizeof(int))] = {}, byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c = (void *)control;

	m.msg_control = control;
	m.msg_controllen = CMSG_SPACE(count * sizeof(int));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	return sendmsg(s, &m, MSG_DONTWAIT) == 1 ? 0 : -errno;
}

static int send_fd(int s, int fd)
{
	return send_fds(s, &fd, 1);
}

static int recv_fd(int s, int flags)
{
	char control[CMSG_SPACE(8 * sizeof(int))] = {}, byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fd;

	m.msg_control = control;
	m.msg_controllen = sizeof(control);
	if (recvmsg(s, &m, flags | MSG_DONTWAIT) != 1 || m.msg_controllen < CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

/* Does the other end of pipe read end r go away within ms? */
static bool hangs_up(int r, int ms)
{
	struct pollfd p = { r, 0, 0 };

	/* Closing a socket makes the collector look; those in messages are not closed. */
	close(socket(AF_UNIX, SOCK_DGRAM, 0));
	need(poll(&p, 1, ms) >= 0);
	return p.revents & POLLHUP;
}

#define SOON 10000
#define NEVER 200

static void pair(int type, int s[2])
{
	need(socketpair(AF_UNIX, type, 0, s) == 0);
}

static void self_cycle(int type, const char *what)
{
	int s[2], p[2], fds[3];

	pair(type, s);
	need(pipe(p) == 0);
	fds[0] = s[0];
	fds[1] = s[1];
	fds[2] = p[1];
	need(!send_fds(s[0], fds, 3));
	close(s[0]);
	close(s[1]);
	close(p[1]);
	ok(hangs_up(p[0], SOON), "a pair that holds itself is collected: %s", what);
	close(p[0]);
}

static void long_cycle(void)
{
	int s[16][2], p[2];

	need(pipe(p) == 0);
	for (int i = 0; i < 16; i++)
		pair(SOCK_STREAM, s[i]);
	for (int i = 0; i < 16; i++)
		need(!send_fd(s[i][0], s[(i + 1) % 16][1]));
	need(!send_fd(s[7][0], p[1]));
	close(p[1]);
	for (int i = 0; i < 16; i++) {
		close(s[i][0]);
		if (i)
			close(s[i][1]);
	}
	ok(!hangs_up(p[0], NEVER), "a cycle with one open socket stays");
	close(s[0][1]);
	ok(hangs_up(p[0], SOON), "a cycle of 16 is collected when that is closed");
	close(p[0]);
}

static void hanging_off(void)
{
	int cycle[2], tail[2], p[2];

	/* The pipe is in the queue of a socket that the cycle holds. */
	need(pipe(p) == 0);
	pair(SOCK_STREAM, cycle);
	pair(SOCK_DGRAM, tail);
	need(!send_fd(tail[0], p[1]) && !send_fd(cycle[0], tail[1]) &&
	     !send_fd(cycle[0], cycle[1]));
	close(p[1]);
	close(tail[1]);
	close(cycle[0]);
	ok(!hangs_up(p[0], NEVER), "what an open socket's cycle holds stays");
	close(cycle[1]);
	ok(hangs_up(p[0], SOON), "what a cycle holds goes with it");
	close(tail[0]);
	close(p[0]);
}

static void reachable(void)
{
	int a[2], b[2], p[2], got, got2;

	/* b's end is only in a's queue, and has a cycle on itself; a is open. */
	need(pipe(p) == 0);
	pair(SOCK_STREAM, a);
	pair(SOCK_STREAM, b);
	need(!send_fd(b[0], b[1]) && !send_fd(b[0], p[1]) && !send_fd(a[0], b[1]));
	close(p[1]);
	close(b[0]);
	close(b[1]);
	ok(!hangs_up(p[0], NEVER), "a cycle that an open queue leads to stays");
	got = recv_fd(a[1], 0);
	need(got >= 0);
	ok(!hangs_up(p[0], NEVER), "and when it has been received");
	got2 = recv_fd(got, MSG_PEEK);
	ok(got2 >= 0, "its own queue can be peeked at");
	close(got);
	ok(!hangs_up(p[0], NEVER), "what was peeked at keeps it");
	got = recv_fd(got2, 0);
	ok(got >= 0, "and can be received from");
	close(got);
	close(got2);
	ok(hangs_up(p[0], SOON), "then all goes");
	close(a[0]);
	close(a[1]);
	close(p[0]);
}

static void embryo(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), p[2];
	socklen_t len = sizeof(addr);

	/* A listener in the queue of a connection that waits for it. */
	need(pipe(p) == 0 && !bind(l, (void *)&addr, sizeof(sa_family_t)) && !listen(l, 4));
	need(!getsockname(l, (void *)&addr, &len) && !connect(c, (void *)&addr, len));
	need(!send_fd(c, l) && !send_fd(c, p[1]));
	close(p[1]);
	close(c);
	ok(!hangs_up(p[0], NEVER), "an open listener's connection stays");
	close(l);
	ok(hangs_up(p[0], SOON), "a listener in its own connection's queue is collected");
	close(p[0]);
}

static void epoll_does_not_hold(void)
{
	int s[2], p[2];

	need(pipe(p) == 0);
	pair(SOCK_SEQPACKET, s);
	need(!send_fd(s[0], s[1]) && !send_fd(s[0], p[1]) && !send_fd(s[1], s[0]));
	close(p[1]);
	close(s[0]);
	close(s[1]);
	ok(hangs_up(p[0], SOON), "two sockets that hold each other are collected");
	close(p[0]);
}

/* Without capabilities, RLIMIT_NOFILE bounds what a user has in messages. */
static void limited(void)
{
	struct rlimit r = { 64, 64 };
	int s[2], sent = 0, err = 0, fds[16];

	pair(SOCK_DGRAM, s);
	for (int i = 0; i < 16; i++)
		fds[i] = s[0];
	need(setgid(54321) == 0 && setuid(54321) == 0 && !setrlimit(RLIMIT_NOFILE, &r));
	while (!err && sent < 100) {
		err = send_fds(s[0], fds, 16);
		sent += err ? 0 : 16;
	}
	need(err == -ETOOMANYREFS && sent == 80);
	while (recv(s[1], fds, 1, MSG_DONTWAIT) == 1)
		;
	need(send_fd(s[0], s[0]) == 0);
}

int main(void)
{
	tap_begin();
	self_cycle(SOCK_STREAM, "stream");
	self_cycle(SOCK_DGRAM, "datagram");
	self_cycle(SOCK_SEQPACKET, "seqpacket");
	long_cycle();
	hanging_off();
	reachable();
	embryo();
	epoll_does_not_hold();
	if (getuid() == 0)
		child_ok(limited, "RLIMIT_NOFILE bounds what a user has in messages");
	return tap_end();
}
