/*
 * Unix-domain sockets: pairs, names, connections, messages, passing of files and credentials.
 */
#include "tap.h"
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

static char block[1 << 20];

static socklen_t name_path(struct sockaddr_un *a, const char *path)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	snprintf(a->sun_path, sizeof(a->sun_path), "%s", path);
	return offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
}

static int events_of(int fd)
{
	struct pollfd p = { fd, POLLIN | POLLOUT | POLLRDHUP, 0 };
	need(poll(&p, 1, 0) >= 0);
	return p.revents;
}

static void test_pair(void)
{
	int fd[2], n;
	char text[32];
	struct stat st;
	struct sockaddr_un a;
	socklen_t size = sizeof(a);
	is_int(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0, "socketpair");
	is_int(events_of(fd[0]), POLLOUT, "writable at first");
	is_int(write(fd[0], "abc", 3), 3, "write");
	is_int(send(fd[0], "def", 3, 0), 3, "send");
	is_int(ioctl(fd[1], FIONREAD, &n), 0, "FIONREAD");
	is_int(n, 6, "6 bytes");
	is_int(events_of(fd[1]), POLLIN | POLLOUT, "readable");
	is_int(recv(fd[1], text, 4, MSG_PEEK), 4, "peek");
	is_int(recv(fd[1], text, sizeof(text), MSG_PEEK), 6, "peek across writes");
	is_int(read(fd[1], text, 4), 4, "read across writes");
	ok(!memcmp(text, "abcd", 4), "in order");
	is_int(read(fd[1], text, sizeof(text)), 2, "the rest");
	is_err(recv(fd[1], text, 1, MSG_DONTWAIT), EAGAIN, "nothing left");
	is_int(fstat(fd[0], &st), 0, "fstat");
	ok(S_ISSOCK(st.st_mode), "is a socket");
	is_int(fcntl(fd[0], F_GETFL), O_RDWR, "flags");
	is_int(getsockname(fd[0], (void *)&a, &size), 0, "getsockname");
	is_int(size, 2, "no name");
	is_int(a.sun_family, AF_UNIX, "its family");
	is_int(shutdown(fd[0], SHUT_WR), 0, "shutdown for writing");
	is_int(read(fd[1], text, 1), 0, "the end");
	is_int(events_of(fd[1]), POLLIN | POLLOUT | POLLRDHUP, "poll sees the end");
	is_err(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE, "send after shutdown");
	is_int(write(fd[1], "back", 4), 4, "the other way");
	is_int(read(fd[0], text, sizeof(text)), 4, "still works");
	close(fd[1]);
	is_int(events_of(fd[0]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP, "hung up");
	is_err(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE, "send to nobody");
	close(fd[0]);
	is_err(lseek(fd[0], 0, SEEK_CUR), EBADF, "closed");
	need(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd));
	is_int(fcntl(fd[0], F_GETFD), FD_CLOEXEC, "SOCK_CLOEXEC");
	is_int(fcntl(fd[1], F_GETFL), O_RDWR | O_NONBLOCK, "SOCK_NONBLOCK");
	is_err(read(fd[0], text, 1), EAGAIN, "read of nothing");
	is_err(lseek(fd[0], 0, SEEK_CUR), ESPIPE, "lseek");
	write(fd[0], "unread", 6);
	write(fd[1], "reply", 5);
	close(fd[1]);
	is_err(read(fd[0], text, 0 + 16) == 5 ? read(fd[0], text, 16) : 77, ECONNRESET,
	       "closed with data unread");
	is_int(read(fd[0], text, 16), 0, "then the end");
	close(fd[0]);
}

static void test_pipe_signal(void)
{
	int fd[2];
	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	close(fd[1]);
	write(fd[0], "x", 1);
}

static void test_full(void)
{
	int fd[2];
	ssize_t n, in = 0, out = 0;
	need(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd));
	while ((n = write(fd[0], block, 4096)) > 0)
		in += n;
	is_err(write(fd[0], block, 4096), EAGAIN, "the buffer is full in the end");
	ok(in >= 65536 && in < 4 << 20, "of sensible size");
	ok(!(events_of(fd[0]) & POLLOUT), "not writable");
	while ((n = read(fd[1], block, sizeof(block))) > 0)
		out += n;
	is_int(out, in, "all of it comes out");
	ok(events_of(fd[0]) & POLLOUT, "writable again");
	close(fd[0]);
	close(fd[1]);
}

static void child_writes(void)
{
	int fd[2];
	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	pid_t child = tap_fork();
	if (!child) {
		close(fd[0]);
		for (int i = 0; i < 4; i++)
			need(write(fd[1], block, sizeof(block)) == sizeof(block));
		_exit(0);
	}
	close(fd[1]);
	for (int i = 0; i < 4; i++)
		need(recv(fd[0], block, sizeof(block), MSG_WAITALL) == sizeof(block));
	need(read(fd[0], block, 1) == 0);
	need(tap_wait(child) == 0);
}

static void test_listen(const char *dir)
{
	struct sockaddr_un a, b;
	char path[64], text[16];
	socklen_t size, len;
	struct stat st;
	struct ucred cred;
	int s, c, d, v;
	snprintf(path, sizeof(path), "%s/sock", dir);
	size = name_path(&a, path);
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	need(s >= 0 && c >= 0);
	is_int(events_of(c), POLLOUT | POLLHUP, "poll of a fresh socket");
	is_err(connect(c, (void *)&a, size), ENOENT, "connect to no name");
	is_err(listen(s, 1), EINVAL, "listen without a name");
	is_int(bind(s, (void *)&a, size), 0, "bind");
	is_int(stat(path, &st), 0, "there it is");
	ok(S_ISSOCK(st.st_mode), "a socket");
	is_err(open(path, O_RDWR), ENXIO, "that cannot be opened");
	is_err(bind(c, (void *)&a, size), EADDRINUSE, "bind to it again");
	is_err(bind(s, (void *)&a, size), EADDRINUSE, "bind again");
	is_err(bind(s, (void *)&b, name_path(&b, path) - 1), EADDRINUSE, "and without its NUL");
	is_err(connect(c, (void *)&a, size), ECONNREFUSED, "connect before listen");
	is_err(accept(s, NULL, NULL), EINVAL, "accept before listen");
	is_int(listen(s, 1), 0, "listen");
	len = sizeof(v);
	is_int(getsockopt(s, SOL_SOCKET, SO_ACCEPTCONN, &v, &len), 0, "SO_ACCEPTCONN");
	is_int(v, 1, "is on");
	is_int(events_of(s), 0, "nobody waits");
	is_int(connect(c, (void *)&a, size), 0, "connect");
	is_err(connect(c, (void *)&a, size), EISCONN, "connect again");
	is_int(events_of(s), POLLIN, "somebody waits");
	is_int(write(c, "early", 5), 5, "write before accept");
	len = sizeof(b);
	d = accept4(s, (void *)&b, &len, SOCK_CLOEXEC);
	ok(d >= 0, "accept");
	is_int(len, 2, "the client has no name");
	is_int(read(d, text, sizeof(text)), 5, "what was written early");
	len = sizeof(b);
	is_int(getpeername(c, (void *)&b, &len), 0, "getpeername");
	is_str(b.sun_path, path, "is the server's");
	is_int(len, size, "and of its size");
	len = sizeof(b);
	is_int(getsockname(d, (void *)&b, &len), 0, "getsockname of the accepted");
	is_str(b.sun_path, path, "is that too");
	len = sizeof(cred);
	is_int(getsockopt(d, SOL_SOCKET, SO_PEERCRED, &cred, &len), 0, "SO_PEERCRED");
	is_int(cred.pid, getpid(), "our pid");
	is_int(cred.uid, geteuid(), "our uid");
	is_err(accept4(s, NULL, NULL, 1), EINVAL, "accept4 with unknown flags");
	fcntl(s, F_SETFL, O_NONBLOCK);
	is_err(accept(s, NULL, NULL), EAGAIN, "nobody to accept");
	close(d);
	is_int(read(c, text, 1), 0, "closed");
	close(c);
	c = socket(AF_UNIX, SOCK_DGRAM, 0);
	is_err(connect(c, (void *)&a, size), EPROTOTYPE, "connect of another type");
	close(c);
	int q[4];
	for (int i = 0; i < 3; i++) {
		q[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (i < 2)
			is_int(connect(q[i], (void *)&a, size), 0, "connect %d", i);
		else
			is_err(connect(q[i], (void *)&a, size), EAGAIN, "the backlog is full");
	}
	close(s);
	is_err(read(q[0], text, 1), ECONNRESET, "never accepted");
	for (int i = 0; i < 3; i++)
		close(q[i]);
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	is_err(connect(c, (void *)&a, size), ECONNREFUSED, "nobody listens any more");
	close(c);
	is_int(unlink(path), 0, "unlink");
}

static void test_abstract(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX }, b;
	socklen_t size, len = sizeof(b);
	char text[16];
	int s = socket(AF_UNIX, SOCK_DGRAM, 0), c = socket(AF_UNIX, SOCK_DGRAM, 0);
	is_int(bind(s, (void *)&a, 2), 0, "autobind");
	is_int(getsockname(s, (void *)&b, &len), 0, "getsockname");
	is_int(len, 8, "six bytes of name");
	is_int(b.sun_path[0], 0, "abstract");
	is_err(bind(c, (void *)&b, len), EADDRINUSE, "taken");
	is_int(sendto(c, "one", 3, 0, (void *)&b, len), 3, "sendto");
	is_int(connect(c, (void *)&b, len), 0, "connect");
	is_int(send(c, "two!", 4, 0), 4, "send");
	is_int(send(c, "", 0, 0), 0, "send of nothing");
	size = sizeof(a);
	is_int(recvfrom(s, text, 2, MSG_TRUNC, (void *)&a, &size), 3, "true size");
	is_int(size, 0, "from nobody in particular");
	is_int(recv(s, text, 16, 0), 4, "the second");
	is_int(recv(s, text, 16, 0), 0, "the empty one");
	is_err(recv(s, text, 16, MSG_DONTWAIT), EAGAIN, "no more");
	is_err(send(c, block, sizeof(block), 0), EMSGSIZE, "too large");
	close(s);
	is_err(send(c, "x", 1, 0), ECONNREFUSED, "gone");
	is_err(send(c, "x", 1, 0), ENOTCONN, "and disconnected");
	is_err(sendto(c, "x", 1, 0, (void *)&b, len), ECONNREFUSED, "no such name");
	close(c);
}

static void test_seqpacket(void)
{
	int fd[2];
	char text[16];
	struct iovec v = { text, 2 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	need(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd));
	is_int(send(fd[0], "abcd", 4, 0), 4, "send a packet");
	is_int(send(fd[0], "ef", 2, 0), 2, "and another");
	is_int(recvmsg(fd[1], &m, 0), 2, "receive the start");
	ok(m.msg_flags & MSG_TRUNC, "MSG_TRUNC");
	is_int(recv(fd[1], text, 16, 0), 2, "the next");
	close(fd[0]);
	is_int(recv(fd[1], text, 16, 0), 0, "the end");
	is_err(send(fd[1], "x", 1, MSG_NOSIGNAL), EPIPE, "send to nobody");
	close(fd[1]);
}

static ssize_t send_fds(int to, const int *fds, int count)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(300 * sizeof(int))];
	} c;
	struct iovec v = { "f", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = c.buf };
	m.msg_controllen = CMSG_SPACE(count * sizeof(int));
	memset(&c, 0, sizeof(c));
	c.h.cmsg_level = SOL_SOCKET;
	c.h.cmsg_type = SCM_RIGHTS;
	c.h.cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(&c.h), fds, count * sizeof(int));
	return sendmsg(to, &m, 0);
}

static int named(int type, const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, type, 0);
	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "%s %d", name, getpid());
	if (bind(s, (void *)&a, sizeof(a)) == 0)
		return s;
	close(s);
	return -1;
}

/* Who may do what before there is a connection. */
static void test_unconnected(void)
{
	struct sockaddr_un a;
	socklen_t len = sizeof(a);
	int s = named(SOCK_STREAM, "x"), t = named(SOCK_DGRAM, "x"), u = named(SOCK_SEQPACKET, "x");
	int fd[2];
	char c;
	ok(s >= 0 && t >= 0 && u >= 0, "each type has abstract names of its own");
	is_int(named(SOCK_DGRAM, "x"), -1, "once");
	need(!getsockname(t, (void *)&a, &len));
	close(t);
	is_err(connect(s, (void *)&a, len), ECONNREFUSED, "connect to what does not listen");
	t = socket(AF_UNIX, SOCK_DGRAM, 0);
	is_err(connect(t, (void *)&a, len), ECONNREFUSED, "connect to a name of other types");
	close(t);
	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	is_err(connect(fd[0], (void *)&a, len), ECONNREFUSED, "if it has a connection, too");
	close(fd[0]);
	close(fd[1]);
	need(!shutdown(s, SHUT_RDWR) && !shutdown(u, SHUT_RDWR));
	is_err(recv(s, &c, 1, 0), EINVAL, "receive without a connection: a stream");
	is_err(recv(u, &c, 1, 0), ENOTCONN, "packets");
	need(!listen(s, 1));
	is_int(events_of(s), POLLIN | POLLHUP | POLLRDHUP, "what was shut down stays so");
	close(s);
	close(u);
}

/* What the peer has sent is lost with it. */
static void test_peer_lost(void)
{
	struct sockaddr_un a[2];
	socklen_t len[2] = { sizeof(a[0]), sizeof(a[1]) };
	int s[2] = { named(SOCK_DGRAM, "a"), named(SOCK_DGRAM, "b") };
	char byte;
	for (int i = 0; i < 2; i++)
		need(!getsockname(s[i], (void *)&a[i], &len[i]));
	need(!connect(s[0], (void *)&a[1], len[1]));
	need(sendto(s[1], "x", 1, 0, (void *)&a[0], len[0]) == 1);
	close(s[1]);
	ok(events_of(s[0]) & POLLIN, "a message of a peer that is gone");
	is_err(send(s[0], "x", 1, 0), ECONNREFUSED, "goes when sending disconnects");
	is_err(recv(s[0], &byte, 1, MSG_DONTWAIT), EAGAIN, "and cannot be received");
	close(s[0]);
}

/* A datagram socket that others are connected to. */
static void test_peer_gone(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int s = socket(AF_UNIX, SOCK_DGRAM, 0), c[2], fd[2], error;
	socklen_t len = sizeof(error);
	need(!bind(s, (void *)&a, sizeof(sa_family_t)));
	len = sizeof(a);
	need(!getsockname(s, (void *)&a, &len));
	for (int i = 0; i < 2; i++) {
		c[i] = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		need(!connect(c[i], (void *)&a, len));
	}
	while (send(c[0], "x", 1, 0) == 1)
		;
	ok(!(events_of(c[1]) & POLLOUT), "no room for others either");
	pid_t child = tap_fork();
	if (!child) {
		struct pollfd p = { .fd = c[1], .events = POLLOUT };
		close(s);
		close(c[0]);
		need(poll(&p, 1, -1) == 1 && p.revents == POLLOUT);
		_exit(0);
	}
	usleep(50000);
	close(s);
	is_int(tap_wait(child), 0, "who waits for room hears of the peer's end");
	is_err(send(c[1], "x", 1, 0), ECONNREFUSED, "then it is refused");
	close(c[0]);
	close(c[1]);
	need(!socketpair(AF_UNIX, SOCK_DGRAM, 0, fd));
	need(send(fd[1], "x", 1, 0) == 1);
	need(!connect(fd[0], &none, sizeof(none)));
	is_err(recv(fd[0], &error, 1, MSG_DONTWAIT), EAGAIN,
	       "who disconnects loses what was not received");
	len = sizeof(error);
	need(!getsockopt(fd[1], SOL_SOCKET, SO_ERROR, &error, &len));
	is_int(error, ECONNRESET, "and the peer is told");
	is_int(send(fd[1], "x", 1, 0), 1, "which can go on sending");
	close(fd[0]);
	close(fd[1]);
	need(!socketpair(AF_UNIX, SOCK_DGRAM, 0, fd));
	need(!connect(fd[0], &none, sizeof(none)));
	need(!getsockopt(fd[1], SOL_SOCKET, SO_ERROR, &error, &len));
	is_int(error, 0, "but not if nothing was lost");
	close(fd[0]);
	close(fd[1]);
	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, fd) && send(fd[1], "x", 1, 0) == 1);
	close(fd[0]);
	is_err(send(fd[1], "x", 1, MSG_NOSIGNAL), EPIPE, "a stream whose peer is gone: EPIPE");
	is_err(recv(fd[1], &error, 1, 0), ECONNRESET, "the receiver hears that data were lost");
	close(fd[1]);
}

static void test_rights(void)
{
	int fd[2], p[2], many[300], got[4];
	char buf[CMSG_SPACE(4 * sizeof(int))], text[16];
	struct iovec v = { text, sizeof(text) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = buf };
	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, fd) && !pipe(p));
	is_int(send_fds(fd[0], p, 2), 1, "send two descriptors");
	write(fd[0], "more", 4);
	m.msg_controllen = sizeof(buf);
	is_int(recvmsg(fd[1], &m, MSG_CMSG_CLOEXEC), 1, "receive them, and nothing beyond");
	is_int(m.msg_controllen, CMSG_SPACE(2 * sizeof(int)), "size of control data");
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	need(h && h->cmsg_type == SCM_RIGHTS && h->cmsg_len == CMSG_LEN(2 * sizeof(int)));
	memcpy(got, CMSG_DATA(h), 2 * sizeof(int));
	is_int(fcntl(got[0], F_GETFD), FD_CLOEXEC, "MSG_CMSG_CLOEXEC");
	is_int(write(got[1], "through", 7), 7, "write to a passed one");
	is_int(read(p[0], text, 16), 7, "read from the original");
	close(got[0]);
	close(got[1]);
	is_int(read(fd[1], text, 16), 4, "the data behind");
	is_int(send_fds(fd[0], p, 2), 1, "send again");
	m.msg_controllen = CMSG_LEN(sizeof(int));
	is_int(recvmsg(fd[1], &m, 0), 1, "receive with room for one");
	ok(m.msg_flags & MSG_CTRUNC, "MSG_CTRUNC");
	memcpy(got, CMSG_DATA((struct cmsghdr *)buf), sizeof(int));
	close(got[0]);
	is_int(send_fds(fd[0], p + 1, 1), 1, "send the write end");
	close(p[1]);
	is_int(read(fd[1], text, 16), 1, "drop it by read");
	is_int(read(p[0], text, 1), 0, "so the pipe is at its end");
	for (int i = 0; i < 300; i++)
		many[i] = 0;
	is_err(send_fds(fd[0], many, 254), EINVAL, "too many");
	many[0] = 999;
	is_err(send_fds(fd[0], many, 1), EBADF, "not open");
	close(fd[0]);
	close(fd[1]);
	close(p[0]);
}

static void test_cred(void)
{
	int fd[2], on = 1;
	char buf[CMSG_SPACE(sizeof(struct ucred))], text[16];
	struct iovec v = { text, sizeof(text) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = buf };
	struct ucred c;
	need(!socketpair(AF_UNIX, SOCK_DGRAM, 0, fd));
	is_int(setsockopt(fd[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0, "SO_PASSCRED");
	is_int(write(fd[0], "x", 1), 1, "write");
	m.msg_controllen = sizeof(buf);
	is_int(recvmsg(fd[1], &m, 0), 1, "recvmsg");
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	need(h && h->cmsg_type == SCM_CREDENTIALS);
	memcpy(&c, CMSG_DATA(h), sizeof(c));
	is_int(c.pid, getpid(), "our pid");
	is_int(c.uid, getuid(), "our uid");
	close(fd[0]);
	close(fd[1]);
}

static void test_options(void)
{
	int fd[2], v;
	socklen_t len = sizeof(v);
	struct timeval tv = { 0, 20000 };
	char c;
	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	getsockopt(fd[0], SOL_SOCKET, SO_TYPE, &v, &len);
	is_int(v, SOCK_STREAM, "SO_TYPE");
	getsockopt(fd[0], SOL_SOCKET, SO_DOMAIN, &v, &len);
	is_int(v, AF_UNIX, "SO_DOMAIN");
	is_int(getsockopt(fd[0], SOL_SOCKET, SO_ERROR, &v, &len), 0, "SO_ERROR");
	is_int(v, 0, "none");
	v = 10000;
	is_int(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &v, sizeof(v)), 0, "SO_SNDBUF");
	getsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &v, &len);
	is_int(v, 20000, "is doubled");
	is_int(setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0, "SO_RCVTIMEO");
	is_err(recv(fd[0], &c, 1, 0), EAGAIN, "times out");
	is_err(setsockopt(fd[0], SOL_SOCKET, 999, &v, sizeof(v)), ENOPROTOOPT, "unknown option");
	is_err(setsockopt(fd[0], SOL_SOCKET, SO_KEEPALIVE, &v, 1), EINVAL, "short value");
	is_err(getsockopt(0, SOL_SOCKET, SO_TYPE, &v, &len), ENOTSOCK, "not a socket");
	is_err(setsockopt(fd[0], SOL_SOCKET, SO_KEEPALIVE, BAD_PTR, 4), EFAULT, "bad address");
	close(fd[0]);
	close(fd[1]);
	is_err(socket(AF_UNIX, 77, 0), EINVAL, "unknown type");
	is_err(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT, "unsupported type");
	is_err(socket(99, SOCK_STREAM, 0), EAFNOSUPPORT, "unknown family");
	is_err(socket(AF_UNIX, SOCK_STREAM, 9), EPROTONOSUPPORT, "unknown protocol");
}

int main(void)
{
	tap_begin();
	char *dir = temp_dir();
	test_pair();
	is_killed(run_child(test_pipe_signal), SIGPIPE, "SIGPIPE");
	test_full();
	child_ok(child_writes, "megabytes through a pair");
	test_listen(dir);
	test_abstract();
	test_seqpacket();
	test_unconnected();
	test_peer_lost();
	test_peer_gone();
	test_rights();
	test_cred();
	test_options();
	rmdir(dir);
	return tap_end();
}
