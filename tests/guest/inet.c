/*
 * Inet sockets on the loopback: TCP and UDP, IPv4 and IPv6.
 */
#include "tap.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static char block[1 << 20];

static struct sockaddr_in v4(uint32_t addr, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	a.sin_addr.s_addr = htonl(addr);
	return a;
}

static int port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	need(getsockname(fd, (void *)&a, &len) == 0);
	return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

static int listener(int backlog)
{
	struct sockaddr_in a = v4(INADDR_LOOPBACK, 0);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	need(s >= 0 && !bind(s, (void *)&a, sizeof(a)) && !listen(s, backlog));
	return s;
}

static int connect_port(int port)
{
	struct sockaddr_in a = v4(INADDR_LOOPBACK, port);
	int c = socket(AF_INET, SOCK_STREAM, 0);
	need(c >= 0 && !connect(c, (void *)&a, sizeof(a)));
	return c;
}

static void tcp_pair(int fd[2])
{
	int s = listener(1);
	fd[0] = connect_port(port_of(s));
	fd[1] = accept(s, NULL, NULL);
	need(fd[1] >= 0);
	close(s);
}

static int events_of(int fd)
{
	struct pollfd p = { fd, POLLIN | POLLOUT | POLLRDHUP, 0 };
	need(poll(&p, 1, 0) >= 0);
	return p.revents;
}

/* Events may need a moment to arrive. */
static int await_events(int fd, int events)
{
	for (int i = 0; i < 200 && (events_of(fd) & events) != events; i++)
		pause_ms(5);
	return events_of(fd);
}

static void test_tcp(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	char text[32];
	int n, c, d, s = listener(5);
	is_int(events_of(s), 0, "nobody waits");
	c = socket(AF_INET, SOCK_STREAM, 0);
	is_int(events_of(c), POLLOUT | POLLHUP, "poll of a fresh socket");
	is_err(send(c, "x", 1, MSG_NOSIGNAL), EPIPE, "send before connect");
	is_err(recv(c, text, 1, 0), ENOTCONN, "recv before connect");
	is_err(getpeername(c, (void *)&a, &len), ENOTCONN, "getpeername before connect");
	is_err(shutdown(c, SHUT_WR), ENOTCONN, "shutdown before connect");
	is_err(send(c, "x", 1, MSG_NOSIGNAL), EPIPE, "which has its effect");
	is_err(accept(c, NULL, NULL), EINVAL, "accept before listen");
	close(c);
	c = socket(AF_INET, SOCK_STREAM, 0);
	a = v4(INADDR_LOOPBACK, port_of(s));
	is_int(connect(c, (void *)&a, sizeof(a)), 0, "connect");
	is_err(connect(c, (void *)&a, sizeof(a)), EISCONN, "connect again");
	is_int(await_events(s, POLLIN), POLLIN, "somebody waits");
	len = sizeof(a);
	d = accept(s, (void *)&a, &len);
	ok(d >= 0, "accept");
	is_int(len, sizeof(a), "size of the address");
	is_int(ntohs(a.sin_port), port_of(c), "the client's port");
	is_int(ntohl(a.sin_addr.s_addr), INADDR_LOOPBACK, "and address");
	len = sizeof(a);
	is_int(getpeername(c, (void *)&a, &len), 0, "getpeername");
	is_int(ntohs(a.sin_port), port_of(s), "the server's port");
	is_int(port_of(d), port_of(s), "which the connection has too");
	is_int(write(c, "hello", 5), 5, "write");
	is_int(await_events(d, POLLIN), POLLIN | POLLOUT, "readable");
	is_int(ioctl(d, FIONREAD, &n), 0, "FIONREAD");
	is_int(n, 5, "5 bytes");
	is_int(recv(d, text, 2, MSG_PEEK), 2, "peek");
	len = sizeof(a);
	is_int(recvfrom(d, text, sizeof(text), 0, (void *)&a, &len), 5, "recvfrom");
	is_int(len, 0, "gives no address");
	is_int(shutdown(c, SHUT_WR), 0, "half-close");
	is_int(await_events(d, POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP, "poll sees it");
	is_int(read(d, text, 1), 0, "the end");
	is_err(send(c, "x", 1, MSG_NOSIGNAL), EPIPE, "send after shutdown");
	is_int(write(d, "back", 4), 4, "the other way");
	is_int(read(c, text, sizeof(text)), 4, "still works");
	close(d);
	is_int(await_events(c, POLLHUP), POLLIN | POLLOUT | POLLRDHUP | POLLHUP, "both closed");
	is_int(read(c, text, 1), 0, "the end here");
	close(c);
	close(s);
}

static void test_reset(void)
{
	int fd[2], v;
	socklen_t len = sizeof(v);
	char text[8];
	struct linger l = { 1, 0 };
	tcp_pair(fd);
	write(fd[0], "unread", 6);
	await_events(fd[1], POLLIN);
	close(fd[1]);
	ok(await_events(fd[0], POLLERR) & POLLERR, "closed with data unread");
	is_err(read(fd[0], text, 1), ECONNRESET, "is a reset");
	is_int(read(fd[0], text, 1), 0, "told once");
	is_err(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE, "send after it");
	close(fd[0]);
	tcp_pair(fd);
	is_int(setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0, "SO_LINGER");
	close(fd[1]);
	await_events(fd[0], POLLERR);
	is_int(getsockopt(fd[0], SOL_SOCKET, SO_ERROR, &v, &len), 0, "SO_ERROR");
	is_int(v, ECONNRESET, "is a reset too");
	close(fd[0]);
	tcp_pair(fd);
	close(fd[1]);
	await_events(fd[0], POLLRDHUP);
	is_int(send(fd[0], "x", 1, MSG_NOSIGNAL), 1, "send to a closed one");
	await_events(fd[0], POLLHUP);
	is_err(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE, "again");
	is_int(read(fd[0], text, 1), 0, "read");
	close(fd[0]);
}

static void test_refused(void)
{
	int s = listener(1), port = port_of(s), v;
	struct sockaddr_in a = v4(INADDR_LOOPBACK, port);
	socklen_t len = sizeof(v);
	close(s);
	s = socket(AF_INET, SOCK_STREAM, 0);
	is_err(connect(s, (void *)&a, sizeof(a)), ECONNREFUSED, "connect to nobody");
	is_err(connect(s, (void *)&a, 4), EINVAL, "short address");
	a.sin_family = AF_UNIX;
	is_err(connect(s, (void *)&a, sizeof(a)), EAFNOSUPPORT, "wrong family");
	close(s);
	a.sin_family = AF_INET;
	s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	is_err(connect(s, (void *)&a, sizeof(a)), EINPROGRESS, "the same, nonblocking");
	ok(await_events(s, POLLERR) & POLLERR, "fails later");
	getsockopt(s, SOL_SOCKET, SO_ERROR, &v, &len);
	is_int(v, ECONNREFUSED, "SO_ERROR says why");
	close(s);
}

static void test_nonblocking(void)
{
	int s = listener(1), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), v;
	struct sockaddr_in a = v4(INADDR_LOOPBACK, port_of(s));
	socklen_t len = sizeof(v);
	is_err(connect(c, (void *)&a, sizeof(a)), EINPROGRESS, "connect");
	is_int(await_events(c, POLLOUT), POLLOUT, "becomes writable");
	getsockopt(c, SOL_SOCKET, SO_ERROR, &v, &len);
	is_int(v, 0, "without error");
	is_int(connect(c, (void *)&a, sizeof(a)), 0, "asked once more");
	is_err(connect(c, (void *)&a, sizeof(a)), EISCONN, "and again");
	fcntl(s, F_SETFL, O_NONBLOCK);
	v = accept(s, NULL, NULL);
	ok(v >= 0, "accept");
	is_int(fcntl(v, F_GETFL), O_RDWR, "O_NONBLOCK is not inherited");
	is_err(accept(s, NULL, NULL), EAGAIN, "no more");
	is_err(recv(c, block, 1, 0), EAGAIN, "nothing to read");
	close(v);
	close(c);
	close(s);
}

static void test_bind(void)
{
	int s = listener(1), port = port_of(s), t = socket(AF_INET, SOCK_STREAM, 0), on = 1, u;
	struct sockaddr_in a = v4(INADDR_LOOPBACK, port);
	ok(port >= 1024, "a port was chosen");
	is_err(bind(t, (void *)&a, sizeof(a)), EADDRINUSE, "taken");
	a = v4(INADDR_ANY, port);
	is_err(bind(t, (void *)&a, sizeof(a)), EADDRINUSE, "for any address too");
	setsockopt(t, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	is_err(bind(t, (void *)&a, sizeof(a)), EADDRINUSE, "SO_REUSEADDR against a listener");
	a = v4(INADDR_LOOPBACK + 1, port);
	is_int(bind(t, (void *)&a, sizeof(a)), 0, "another loopback address");
	is_err(bind(t, (void *)&a, sizeof(a)), EINVAL, "bind again");
	close(t);
	t = socket(AF_INET, SOCK_STREAM, 0);
	a = v4(0xcb007105, 0);
	is_err(bind(t, (void *)&a, sizeof(a)), EADDRNOTAVAIL, "not our address");
	is_err(bind(t, (void *)&a, 8), EINVAL, "short");
	close(t);
	t = socket(AF_INET, SOCK_STREAM, 0);
	u = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(t, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	setsockopt(u, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	a = v4(INADDR_LOOPBACK, 0);
	need(!bind(t, (void *)&a, sizeof(a)) && !listen(t, 1));
	a = v4(INADDR_LOOPBACK, port_of(t));
	is_int(bind(u, (void *)&a, sizeof(a)), 0, "SO_REUSEPORT");
	is_int(listen(u, 1), 0, "listen too");
	close(t);
	close(u);
	close(s);
	t = socket(AF_INET, SOCK_STREAM, 0);
	is_int(listen(t, 1), 0, "listen without bind");
	ok(port_of(t) > 0, "chooses a port");
	close(t);
}

static void transfer(void)
{
	int fd[2];
	tcp_pair(fd);
	pid_t child = tap_fork();
	if (!child) {
		close(fd[0]);
		for (int i = 0; i < 16; i++)
			need(send(fd[1], block, sizeof(block), 0) == sizeof(block));
		_exit(0);
	}
	close(fd[1]);
	for (int i = 0; i < 16; i++)
		need(recv(fd[0], block, sizeof(block), MSG_WAITALL) == sizeof(block));
	need(read(fd[0], block, 1) == 0);
	need(tap_wait(child) == 0);
}

static void test_udp(void)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = v4(INADDR_LOOPBACK, 0), b;
	socklen_t len = sizeof(b);
	char text[16];
	need(!bind(s, (void *)&a, sizeof(a)));
	a = v4(INADDR_LOOPBACK, port_of(s));
	is_int(events_of(s), POLLOUT, "writable");
	is_err(send(c, "x", 1, 0), EDESTADDRREQ, "send to nobody");
	is_int(sendto(c, "first", 5, 0, (void *)&a, sizeof(a)), 5, "sendto");
	is_int(sendto(c, "", 0, 0, (void *)&a, sizeof(a)), 0, "of nothing");
	is_int(recvfrom(s, text, 2, MSG_TRUNC, (void *)&b, &len), 5, "true size");
	is_int(ntohs(b.sin_port), port_of(c), "from the client");
	is_int(recv(s, text, 16, 0), 0, "the empty one");
	is_err(recv(s, text, 1, MSG_DONTWAIT), EAGAIN, "no more");
	is_int(sendto(s, "reply", 5, 0, (void *)&b, sizeof(b)), 5, "reply");
	is_int(recv(c, text, 16, 0), 5, "arrives");
	is_int(connect(c, (void *)&a, sizeof(a)), 0, "connect");
	is_int(send(c, "second", 6, 0), 6, "send");
	is_int(recv(s, text, 16, 0), 6, "arrives too");
	is_err(send(c, block, 66000, 0), EMSGSIZE, "too large");
	close(s);
	is_int(send(c, "x", 1, 0), 1, "send to a closed port");
	is_err(recv(c, text, 1, 0), ECONNREFUSED, "is refused");
	a.sin_family = AF_UNSPEC;
	is_int(connect(c, (void *)&a, sizeof(a)), 0, "disconnect");
	is_err(send(c, "x", 1, 0), EDESTADDRREQ, "send after that");
	close(c);
}

static void test_v6(void)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT }, b;
	struct sockaddr_in d;
	int s = socket(AF_INET6, SOCK_STREAM, 0), c, e, v = 0;
	socklen_t len = sizeof(b);
	char text[INET6_ADDRSTRLEN];
	if (s < 0) {
		skip("no IPv6", "IPv6");
		return;
	}
	need(!setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof(v)));
	is_int(bind(s, (void *)&a, sizeof(a)), 0, "bind to ::");
	need(!listen(s, 5));
	d = v4(INADDR_LOOPBACK, port_of(s));
	c = socket(AF_INET, SOCK_STREAM, 0);
	is_int(connect(c, (void *)&d, sizeof(d)), 0, "connect by IPv4");
	e = accept(s, (void *)&b, &len);
	is_int(len, sizeof(b), "size of the address");
	is_str(inet_ntop(AF_INET6, &b.sin6_addr, text, sizeof(text)), "::ffff:127.0.0.1",
	       "the client is v4-mapped");
	close(c);
	close(e);
	c = socket(AF_INET, SOCK_STREAM, 0);
	d = v4(INADDR_ANY, port_of(s));
	is_err(bind(c, (void *)&d, sizeof(d)), EADDRINUSE, "the port is taken for IPv4 too");
	close(c);
	close(s);
	s = socket(AF_INET6, SOCK_STREAM, 0);
	v = 1;
	is_int(setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof(v)), 0, "IPV6_V6ONLY");
	need(!bind(s, (void *)&a, sizeof(a)) && !listen(s, 5));
	d = v4(INADDR_LOOPBACK, port_of(s));
	c = socket(AF_INET, SOCK_STREAM, 0);
	is_err(connect(c, (void *)&d, sizeof(d)), ECONNREFUSED, "no IPv4 then");
	close(c);
	close(s);
}

static void test_options(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), v = 1;
	struct tcp_info info;
	socklen_t len = sizeof(v);
	is_int(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, sizeof(v)), 0, "TCP_NODELAY");
	v = 0;
	getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, &len);
	is_int(v, 1, "is kept");
	v = 7;
	is_int(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof(v)), 0, "SO_KEEPALIVE");
	getsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &v, &len);
	is_int(v, 1, "is a boolean");
	getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &v, &len);
	is_int(v, IPPROTO_TCP, "SO_PROTOCOL");
	v = 0;
	is_err(setsockopt(s, IPPROTO_TCP, TCP_KEEPIDLE, &v, sizeof(v)), EINVAL, "TCP_KEEPIDLE");
	len = sizeof(info);
	is_int(getsockopt(s, IPPROTO_TCP, TCP_INFO, &info, &len), 0, "TCP_INFO");
	is_int(info.tcpi_state, TCP_CLOSE, "state");
	close(s);
	is_err(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT, "UDP streams");
	is_err(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT, "inet seqpackets");
	int fd[2];
	is_err(socketpair(AF_INET, SOCK_STREAM, 0, fd), EOPNOTSUPP, "inet pairs");
}

/* As getaddrinfo asks which address would be used. */
static void test_source(void)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in four = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	socklen_t size = sizeof(six);
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	need(fd >= 0 && connect(fd, (struct sockaddr *)&six, sizeof(six)) == 0);
	need(getsockname(fd, (struct sockaddr *)&six, &size) == 0);
	ok(IN6_IS_ADDR_LOOPBACK(&six.sin6_addr), "a socket connected to port 0 has an address");
	need(connect(fd, &none, sizeof(none)) == 0);
	need(connect(fd, (struct sockaddr *)&four, sizeof(four)) == 0);
	need(getsockname(fd, (struct sockaddr *)&six, &size) == 0);
	ok(IN6_IS_ADDR_V4MAPPED(&six.sin6_addr), "one of IPv4, too");
	close(fd);
}

int main(void)
{
	tap_begin();
	test_source();
	test_tcp();
	test_reset();
	test_refused();
	test_nonblocking();
	test_bind();
	child_ok(transfer, "megabytes over TCP");
	test_udp();
	test_v6();
	test_options();
	return tap_end();
}
