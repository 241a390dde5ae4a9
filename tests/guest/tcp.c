/*
 * TCP beyond sending and receiving: how connections begin and end, urgent data, addresses in use,
 * options; and what datagram sockets of IP have besides.
 */
#include "tap.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

static struct sockaddr_in loopback(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static int port_of(int s)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	need(!getsockname(s, (void *)&a, &len));
	return ntohs(a.sin_port);
}

static int listener(int backlog)
{
	struct sockaddr_in a = loopback(0);
	int s = socket(AF_INET, SOCK_STREAM, 0);

	need(s >= 0 && !bind(s, (void *)&a, sizeof(a)) && !listen(s, backlog));
	return s;
}

static int connect_port(int port)
{
	struct sockaddr_in a = loopback(port);
	int c = socket(AF_INET, SOCK_STREAM, 0);

	need(c >= 0 && !connect(c, (void *)&a, sizeof(a)));
	return c;
}

static void tcp_pair(int fd[2])
{
	int l = listener(1);

	fd[0] = connect_port(port_of(l));
	fd[1] = accept(l, NULL, NULL);
	need(fd[1] >= 0);
	close(l);
}

static int get(int s, int level, int name)
{
	int value = -12345;
	socklen_t len = sizeof(value);

	return getsockopt(s, level, name, &value, &len) ? -errno : value;
}

static int set(int s, int level, int name, int value)
{
	return setsockopt(s, level, name, &value, sizeof(value)) ? -errno : 0;
}

static int events_of(int s, int events, int ms)
{
	struct pollfd p = { s, events, 0 };

	need(poll(&p, 1, ms) >= 0);
	return p.revents;
}

/* A port that nobody listens at. */
static int closed_port(void)
{
	int s = listener(1), port = port_of(s);

	close(s);
	return port;
}

static void refused(void)
{
	struct sockaddr_in a = loopback(closed_port());
	int s = socket(AF_INET, SOCK_STREAM, 0);

	is_err(connect(s, (void *)&a, sizeof(a)), ECONNREFUSED, "connect to a closed port");
	is_int(get(s, SOL_SOCKET, SO_ERROR), 0, "the error has been told");
	is_int(events_of(s, POLLIN | POLLOUT, 0), POLLOUT | POLLHUP, "and all is as before");
	close(s);
	s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	is_err(connect(s, (void *)&a, sizeof(a)), EINPROGRESS, "nonblocking");
	is_int(events_of(s, POLLIN | POLLOUT, 1000), POLLIN | POLLOUT | POLLERR | POLLHUP,
	       "its events");
	is_err(listen(s, 1), EINVAL, "it cannot listen");
	is_int(get(s, SOL_SOCKET, SO_ERROR), ECONNREFUSED, "SO_ERROR");
	is_int(get(s, SOL_SOCKET, SO_ERROR), 0, "once");
	is_err(connect(s, (void *)&a, sizeof(a)), ECONNABORTED, "connect tells it, too");
	is_int(events_of(s, POLLIN | POLLOUT, 0), POLLOUT | POLLHUP, "and then all is as before");
	a.sin_port = 0;
	is_int(bind(s, (void *)&a, sizeof(a)), 0, "it has no port");
	need(!listen(s, 1));
	is_err(recv(s, &a, 1, MSG_OOB), ENOTCONN, "MSG_OOB of a listener");
	close(s);
}

/* What was shut down before a connection stays so. */
static void shut_first(void)
{
	int l = listener(2), s = socket(AF_INET, SOCK_STREAM, 0),
	    t = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = loopback(port_of(l));
	char c;

	is_err(shutdown(s, SHUT_WR), ENOTCONN, "shutdown before connect");
	need(!connect(s, (void *)&a, sizeof(a)));
	is_err(send(s, "x", 1, MSG_NOSIGNAL), EPIPE, "nothing can be sent");
	is_err(shutdown(t, SHUT_RD), ENOTCONN, "the other way");
	need(!connect(t, (void *)&a, sizeof(a)));
	is_int(recv(t, &c, 1, MSG_DONTWAIT), 0, "nothing is received");
	close(s);
	close(t);
	close(l);
}

static int disconnect(int s)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	return connect(s, &none, sizeof(none));
}

static void *accept_blocked(void *arg)
{
	return (void *)(intptr_t)(accept(*(int *)arg, NULL, NULL) < 0 ? errno : 0);
}

/* connect with AF_UNSPEC. */
static void disconnected(void)
{
	int l = listener(2), other = listener(2), s = connect_port(port_of(l)), a, b;
	struct sockaddr_in to = loopback(port_of(other));
	pthread_t thread;
	void *error;
	char buf[8];

	a = accept(l, NULL, NULL);
	need(send(a, "old", 3, 0) == 3 && events_of(s, POLLIN, 1000) == POLLIN);
	is_int(disconnect(s), 0, "disconnect");
	is_int(get(s, SOL_SOCKET, SO_ERROR), ECONNRESET, "as if it had been reset");
	is_err(recv(s, buf, sizeof(buf), 0), ENOTCONN, "what was not received is gone");
	is_int(events_of(a, POLLIN, 1000), POLLIN | POLLERR | POLLHUP, "the peer is told");
	is_err(listen(a, 1), EINVAL, "and cannot listen");
	need(!connect(s, (void *)&to, sizeof(to)) && (b = accept(other, NULL, NULL)) >= 0);
	is_err(recv(s, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN, "a connection with another");
	is_int(disconnect(a), 0, "the old peer disconnects");
	is_int(send(s, "new", 3, 0), 3, "that is nothing to the new connection");
	is_int(recv(b, buf, sizeof(buf), 0), 3, "on which the data come");
	need(!shutdown(b, SHUT_WR) && events_of(s, POLLIN, 1000) && !shutdown(s, SHUT_WR));
	is_int(disconnect(s), 0, "after both have shut down");
	is_int(get(s, SOL_SOCKET, SO_ERROR), 0, "nothing is reset");
	need(!pthread_create(&thread, NULL, accept_blocked, &l));
	pause_ms(20);
	is_int(disconnect(l), 0, "disconnect a listener");
	need(!pthread_join(thread, &error));
	is_int((int)(intptr_t)error, EINVAL, "accept ends");
	to.sin_port = 0;
	is_int(bind(l, (void *)&to, sizeof(to)), 0, "the port that it chose is free again");
	is_err(bind(l, (void *)&to, sizeof(to)), EINVAL, "once");
	is_int(disconnect(l), 0, "nothing to disconnect");
	is_err(bind(l, (void *)&to, sizeof(to)), EINVAL, "changes nothing");
	need(!listen(l, 1) && !shutdown(l, SHUT_RD));
	is_int(bind(l, (void *)&to, sizeof(to)), 0, "shutdown of a listener: as disconnecting");
	close(s);
	close(a);
	close(b);
	close(l);
	close(other);
}

static void reset_by_linger(void)
{
	struct linger l = { 1, 0 };
	char buf[8];
	int fd[2];

	tcp_pair(fd);
	need(!setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	need(write(fd[0], "abc", 3) == 3);
	close(fd[0]);
	is_int(events_of(fd[1], POLLIN | POLLRDHUP, 1000), POLLIN | POLLRDHUP | POLLERR | POLLHUP,
	       "events after a reset");
	is_int(read(fd[1], buf, sizeof(buf)), 3, "what came before a reset");
	is_err(read(fd[1], buf, sizeof(buf)), ECONNRESET, "the reset");
	is_int(read(fd[1], buf, sizeof(buf)), 0, "then the end");
	close(fd[1]);
	tcp_pair(fd);
	need(!setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 5 }, sizeof(l)));
	need(write(fd[0], "abc", 3) == 3);
	close(fd[0]);
	is_int(read(fd[1], buf, sizeof(buf)), 3, "lingering does not");
	close(fd[1]);
	tcp_pair(fd);
	need(write(fd[1], "abc", 3) == 3);
	is_int(read(fd[0], buf, 1), 1, "a part is read");
	close(fd[0]);
	is_err(read(fd[1], buf, sizeof(buf)), ECONNRESET, "closing with data unread resets");
	close(fd[1]);
}

static void half_closed(void)
{
	char buf[8];
	int fd[2];

	tcp_pair(fd);
	need(!shutdown(fd[0], SHUT_WR));
	is_int(read(fd[1], buf, 1), 0, "the end of one direction");
	is_int(events_of(fd[1], POLLIN | POLLOUT | POLLRDHUP, 0), POLLIN | POLLOUT | POLLRDHUP,
	       "its events");
	is_int(write(fd[1], "xyz", 3), 3, "the other is open");
	is_int(read(fd[0], buf, 8), 3, "and works");
	need(!shutdown(fd[1], SHUT_WR));
	need(read(fd[0], buf, 8) == 0);
	is_int(events_of(fd[0], POLLIN | POLLOUT | POLLRDHUP, 0),
	       POLLIN | POLLOUT | POLLRDHUP | POLLHUP, "both closed");
	is_err(shutdown(fd[0], 3), EINVAL, "shutdown in no direction");
	close(fd[0]);
	close(fd[1]);
}

/* ---- urgent data ---- */

static void urgent(void)
{
	char buf[16];
	int fd[2], mark;

	tcp_pair(fd);
	is_err(recv(fd[1], buf, 1, MSG_OOB), EINVAL, "no urgent data");
	need(write(fd[0], "ab", 2) == 2);
	is_int(send(fd[0], "cd", 2, MSG_OOB), 2, "send urgent data");
	need(write(fd[0], "ef", 2) == 2);
	is_int(events_of(fd[1], POLLPRI | POLLIN, 1000) & POLLPRI, POLLPRI, "POLLPRI");
	need(!ioctl(fd[1], SIOCATMARK, &mark));
	is_int(mark, 0, "not at the mark yet");
	is_int(recv(fd[1], buf, 1, MSG_OOB | MSG_PEEK), 1, "peek at the urgent byte");
	is_int(recv(fd[1], buf, sizeof(buf), MSG_OOB), 1, "receive it");
	is_int(buf[0], 'd', "it is the last one");
	is_err(recv(fd[1], buf, 1, MSG_OOB), EINVAL, "once");
	is_int(events_of(fd[1], POLLPRI, 0), 0, "no POLLPRI any more");
	is_int(recv(fd[1], buf, sizeof(buf), 0), 3, "a read stops at the mark");
	need(!ioctl(fd[1], SIOCATMARK, &mark));
	is_int(mark, 1, "at the mark");
	is_int(recv(fd[1], buf, sizeof(buf), 0), 2, "and goes on behind it");
	ok(buf[0] == 'e' && buf[1] == 'f', "without the urgent byte");
	need(!ioctl(fd[1], SIOCATMARK, &mark));
	is_int(mark, 0, "past the mark");
	need(!set(fd[1], SOL_SOCKET, SO_OOBINLINE, 1));
	need(write(fd[0], "12", 2) == 2 && send(fd[0], "3", 1, MSG_OOB) == 1);
	need(write(fd[0], "45", 2) == 2);
	is_int(recv(fd[1], buf, sizeof(buf), 0), 2, "inline: up to the mark");
	is_err(recv(fd[1], buf, 1, MSG_OOB), EINVAL, "inline: not with MSG_OOB");
	need(!ioctl(fd[1], SIOCATMARK, &mark));
	is_int(mark, 1, "inline: at the mark");
	is_int(recv(fd[1], buf, sizeof(buf), 0), 3, "inline: the byte is among the others");
	ok(!memcmp(buf, "345", 3), "in its place");
	close(fd[0]);
	close(fd[1]);
}

static void urgent_peek(void)
{
	struct timeval soon = { .tv_usec = 50000 };
	char buf[8];
	int fd[2];

	tcp_pair(fd);
	need(!setsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)));
	need(send(fd[0], "x", 1, MSG_OOB) == 1);
	need(events_of(fd[1], POLLPRI, 1000) == POLLPRI);
	is_err(recv(fd[1], buf, sizeof(buf), MSG_PEEK), EAGAIN, "peeking waits behind the mark");
	is_int(recv(fd[1], buf, 1, MSG_OOB), 1, "the urgent byte is there");
	need(write(fd[0], "abc", 3) == 3);
	need(events_of(fd[1], POLLIN, 1000) == POLLIN);
	is_int(recv(fd[1], buf, sizeof(buf), MSG_PEEK), 3, "peek behind the mark");
	is_int(recv(fd[1], buf, sizeof(buf), 0), 3, "receive it");
	close(fd[0]);
	close(fd[1]);
}

/* ---- while another thread connects ---- */

struct connecting {
	int s, port, result;
};

static void *connect_blocked(void *arg)
{
	struct connecting *c = arg;
	struct sockaddr_in a = loopback(c->port);

	c->result = connect(c->s, (void *)&a, sizeof(a)) ? -errno : 0;
	return NULL;
}

static void interrupt(int signo)
{
	(void)signo;
}

static void connecting(void)
{
	struct timeval soon = { .tv_usec = 50000 };
	struct sigaction sa = { .sa_handler = interrupt };
	struct connecting c = { .s = socket(AF_INET, SOCK_STREAM, 0) };
	struct sockaddr_in a;
	struct tcp_info info = {};
	socklen_t len = sizeof(info);
	int l = listener(0), full[2];
	pthread_t thread;

	c.port = port_of(l);
	a = loopback(c.port);
	for (int i = 0; i < 2; i++) {
		full[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(full[i], (void *)&a, sizeof(a));
	}
	need(!sigaction(SIGUSR1, &sa, NULL));
	need(!pthread_create(&thread, NULL, connect_blocked, &c));
	do {
		usleep(1000);
		need(!getsockopt(c.s, IPPROTO_TCP, TCP_INFO, &info, &len));
	} while (info.tcpi_state != TCP_SYN_SENT);
	is_int(events_of(c.s, POLLIN | POLLOUT, 0), 0, "it is not writable while it connects");
	is_err(send(c.s, "x", 1, MSG_DONTWAIT), EAGAIN, "nothing can be sent");
	is_err(recv(c.s, &len, 1, MSG_DONTWAIT), EAGAIN, "nor received");
	len = sizeof(a);
	is_err(getpeername(c.s, (void *)&a, &len), ENOTCONN, "it has no peer yet");
	need(!pthread_kill(thread, SIGUSR1) && !pthread_join(thread, NULL));
	is_int(c.result, -EINTR, "a signal ends the wait");
	close(c.s);
	c.s = socket(AF_INET, SOCK_STREAM, 0);
	need(!setsockopt(c.s, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon)));
	connect_blocked(&c);
	is_int(c.result, -EINPROGRESS, "so does SO_SNDTIMEO");
	close(c.s);
	close(l);
	close(full[0]);
	close(full[1]);
}

/* ---- addresses in use ---- */

static int bind_port(int port, int reuse)
{
	struct sockaddr_in a = loopback(port);
	int s = socket(AF_INET, SOCK_STREAM, 0), err;

	need(!set(s, SOL_SOCKET, SO_REUSEADDR, reuse));
	err = bind(s, (void *)&a, sizeof(a)) ? -errno : 0;
	close(s);
	return err;
}

static void time_wait(void)
{
	int l = listener(4), port = port_of(l), c = connect_port(port), a = accept(l, NULL, NULL);
	char byte;

	need(a >= 0);
	close(a);
	need(read(c, &byte, 1) == 0);
	close(c);
	close(l);
	is_int(bind_port(port, 0), -EADDRINUSE, "a connection that we ended holds its port");
	is_int(bind_port(port, 1), -EADDRINUSE, "if it had no SO_REUSEADDR, for all");

	l = socket(AF_INET, SOCK_STREAM, 0);
	need(!set(l, SOL_SOCKET, SO_REUSEADDR, 1));
	{
		struct sockaddr_in any = loopback(0);

		need(!bind(l, (void *)&any, sizeof(any)) && !listen(l, 4));
	}
	port = port_of(l);
	c = connect_port(port);
	a = accept(l, NULL, NULL);
	close(a);
	need(read(c, &byte, 1) == 0);
	close(c);
	close(l);
	is_int(bind_port(port, 0), -EADDRINUSE, "with it, for those without");
	is_int(bind_port(port, 1), 0, "but not for those with");

	l = listener(4);
	port = port_of(l);
	c = connect_port(port);
	a = accept(l, NULL, NULL);
	close(c);
	need(read(a, &byte, 1) == 0);
	close(a);
	close(l);
	is_int(bind_port(port, 0), 0, "one that the peer ended does not");

	l = listener(4);
	port = port_of(l);
	c = connect_port(port);
	a = accept(l, NULL, NULL);
	need(!setsockopt(a, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 },
			 sizeof(struct linger)));
	close(a);
	close(c);
	close(l);
	is_int(bind_port(port, 0), 0, "nor one that was reset");
}

static void listen_twice(void)
{
	struct sockaddr_in a = loopback(0);
	int l[2];

	for (int i = 0; i < 2; i++) {
		l[i] = socket(AF_INET, SOCK_STREAM, 0);
		need(!set(l[i], SOL_SOCKET, SO_REUSEADDR, 1));
		need(!bind(l[i], (void *)&a, sizeof(a)));
		a = loopback(port_of(l[i]));
	}
	is_int(listen(l[0], 1), 0, "the first of two at an address listens");
	is_err(listen(l[1], 1), EADDRINUSE, "the second does not");
	is_int(listen(l[0], 5), 0, "the first may again");
	close(l[0]);
	is_int(listen(l[1], 1), 0, "the second when the first is gone");
	close(l[1]);
}

static void shared_port(void)
{
	struct sockaddr_in a = loopback(0);
	int l[2], counts[2] = { 0, 0 }, port = 0, s;

	for (int i = 0; i < 2; i++) {
		l[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		need(!set(l[i], SOL_SOCKET, SO_REUSEPORT, 1));
		need(!bind(l[i], (void *)&a, sizeof(a)) && !listen(l[i], 100));
		port = port_of(l[i]);
		a = loopback(port);
	}
	for (int i = 0; i < 64; i++)
		close(connect_port(port));
	for (int i = 0; i < 2; i++)
		while ((s = accept(l[i], NULL, NULL)) >= 0) {
			counts[i]++;
			close(s);
		}
	is_int(counts[0] + counts[1], 64, "SO_REUSEPORT: all connections are accepted");
	ok(counts[0] && counts[1], "by both listeners");
	close(l[0]);
	close(l[1]);
}

static void families(void)
{
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in a4 = { .sin_family = AF_INET };
	int s6 = socket(AF_INET6, SOCK_STREAM, 0), s4 = socket(AF_INET, SOCK_STREAM, 0), port, c;
	struct sockaddr_in6 from;
	socklen_t len = sizeof(from);

	need(!set(s6, IPPROTO_IPV6, IPV6_V6ONLY, 0));
	need(!bind(s6, (void *)&a6, sizeof(a6)) && !listen(s6, 3));
	port = port_of(s6);
	a4.sin_port = htons(port);
	is_err(bind(s4, (void *)&a4, sizeof(a4)), EADDRINUSE, "a dual socket has IPv4's port too");
	c = connect_port(port);
	need(getsockname(c, (void *)&from, &len) == 0);
	len = sizeof(from);
	c = accept(s6, (void *)&from, &len);
	ok(c >= 0 && IN6_IS_ADDR_V4MAPPED(&from.sin6_addr), "it accepts IPv4");
	is_int(set(s6, IPPROTO_IPV6, IPV6_V6ONLY, 1), -EINVAL, "IPV6_V6ONLY comes before bind");
	close(s6);
	close(c);
	s6 = socket(AF_INET6, SOCK_STREAM, 0);
	need(!set(s6, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	a6.sin6_port = 0;
	need(!bind(s6, (void *)&a6, sizeof(a6)) && !listen(s6, 3));
	a4.sin_port = htons(port_of(s6));
	ok(!bind(s4, (void *)&a4, sizeof(a4)), "one for IPv6 only has not");
	ok(port_of(s6) >= 32768 && port_of(s6) <= 60999, "a port is from the usual range");
	close(s6);
	close(s4);
}

/* ---- options ---- */

static void tcp_options(void)
{
	static const struct {
		int level, name, initial, set, then;
		const char *text;
	} rows[] = {
		{ SOL_SOCKET, SO_KEEPALIVE, 0, 5, 1, "SO_KEEPALIVE" },
		{ SOL_SOCKET, SO_REUSEADDR, 0, 1, 1, "SO_REUSEADDR" },
		{ SOL_SOCKET, SO_OOBINLINE, 0, 1, 1, "SO_OOBINLINE" },
		{ SOL_SOCKET, SO_BROADCAST, 0, 1, 1, "SO_BROADCAST" },
		{ SOL_SOCKET, SO_PRIORITY, 0, 3, 3, "SO_PRIORITY" },
		{ SOL_SOCKET, SO_RCVLOWAT, 1, 17, 17, "SO_RCVLOWAT" },
		{ SOL_SOCKET, SO_SNDBUF, 16384, 20000, 40000, "SO_SNDBUF" },
		{ SOL_SOCKET, SO_BUSY_POLL, 0, 0, 0, "SO_BUSY_POLL" },
		{ SOL_SOCKET, SO_MAX_PACING_RATE, -1, 1000000, 1000000, "SO_MAX_PACING_RATE" },
		{ IPPROTO_TCP, TCP_NODELAY, 0, 7, 1, "TCP_NODELAY" },
		{ IPPROTO_TCP, TCP_CORK, 0, 1, 1, "TCP_CORK" },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 7200, 100, 100, "TCP_KEEPIDLE" },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 75, 10, 10, "TCP_KEEPINTVL" },
		{ IPPROTO_TCP, TCP_KEEPCNT, 9, 3, 3, "TCP_KEEPCNT" },
		{ IPPROTO_TCP, TCP_SYNCNT, 6, 2, 2, "TCP_SYNCNT" },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, 0, 5000, 5000, "TCP_USER_TIMEOUT" },
		{ IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, 1, 1, "TCP_DEFER_ACCEPT" },
		{ IPPROTO_TCP, TCP_DEFER_ACCEPT, 1, 5, 7, "TCP_DEFER_ACCEPT in whole retries" },
		{ IPPROTO_TCP, TCP_LINGER2, 60, 30, 30, "TCP_LINGER2" },
		{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0, 16384, 16384, "TCP_NOTSENT_LOWAT" },
		{ IPPROTO_IP, IP_TTL, 64, 7, 7, "IP_TTL" },
		{ IPPROTO_IP, IP_TOS, 0, 0x10, 0x10, "IP_TOS" },
		{ IPPROTO_IP, IP_MTU_DISCOVER, 1, 2, 2, "IP_MTU_DISCOVER" },
		{ IPPROTO_IP, IP_RECVERR, 0, 1, 1, "IP_RECVERR" },
	};
	int s = socket(AF_INET, SOCK_STREAM, 0);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		is_int(get(s, rows[i].level, rows[i].name), rows[i].initial, "%s at first",
		       rows[i].text);
		is_int(set(s, rows[i].level, rows[i].name, rows[i].set), 0, "set");
		is_int(get(s, rows[i].level, rows[i].name), rows[i].then, "and then");
	}
	is_int(set(s, IPPROTO_TCP, TCP_KEEPIDLE, 0), -EINVAL, "TCP_KEEPIDLE 0");
	is_int(set(s, IPPROTO_TCP, TCP_KEEPCNT, 128), -EINVAL, "TCP_KEEPCNT 128");
	is_int(set(s, IPPROTO_IP, IP_TTL, 256), -EINVAL, "IP_TTL 256");
	is_int(set(s, IPPROTO_IP, IP_TTL, -1), 0, "IP_TTL -1: the default");
	is_int(get(s, IPPROTO_IP, IP_TTL), 64, "IP_TTL again");
	is_int(set(s, SOL_SOCKET, SO_TYPE, 1), -ENOPROTOOPT, "SO_TYPE cannot be set");
	is_int(set(s, SOL_SOCKET, 9999, 1), -ENOPROTOOPT, "no such option of sockets");
	is_int(get(s, SOL_SOCKET, 9999), -ENOPROTOOPT, "to get");
	is_int(set(s, IPPROTO_TCP, 9999, 1), -ENOPROTOOPT, "no such option of TCP");
	is_int(get(s, IPPROTO_TCP, 9999), -ENOPROTOOPT, "to get");
	is_int(set(s, IPPROTO_UDP, 1, 1), -ENOPROTOOPT, "UDP's options");
	is_int(set(s, 9999, 1, 1), -ENOPROTOOPT, "no such level");
	is_int(get(s, 9999, 1), -EOPNOTSUPP, "to get");
	is_err(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, "x", 1), EINVAL, "a short value");
	is_err(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, BAD_PTR, 4), EFAULT, "a bad address");
	is_int(get(s, SOL_SOCKET, SO_ACCEPTCONN), 0, "SO_ACCEPTCONN");
	is_int(get(s, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP, "SO_PROTOCOL");
	is_int(get(s, SOL_SOCKET, SO_DOMAIN), AF_INET, "SO_DOMAIN");
	is_int(get(s, SOL_SOCKET, SO_TYPE), SOCK_STREAM, "SO_TYPE");
	is_int(get(s, SOL_SOCKET, SO_COOKIE), -EINVAL, "SO_COOKIE wants 8 bytes");
	close(s);
}

static void tcp_infos(void)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int fd[2], l = listener(7);
	uint64_t cookie[2] = { 0 };

	need(!getsockopt(l, IPPROTO_TCP, TCP_INFO, &info, &len));
	is_int(info.tcpi_state, TCP_LISTEN, "TCP_INFO of a listener");
	is_int(info.tcpi_sacked, 7, "its backlog");
	close(l);
	tcp_pair(fd);
	len = sizeof(info);
	need(!getsockopt(fd[0], IPPROTO_TCP, TCP_INFO, &info, &len));
	is_int(info.tcpi_state, TCP_ESTABLISHED, "of a connection");
	ok(info.tcpi_snd_mss > 0 && info.tcpi_rtt > 0, "its MSS and round trip");
	len = sizeof(cookie[0]);
	ok(!getsockopt(fd[0], SOL_SOCKET, SO_COOKIE, &cookie[0], &len) && cookie[0], "SO_COOKIE");
	need(!getsockopt(fd[1], SOL_SOCKET, SO_COOKIE, &cookie[1], &len));
	ok(cookie[0] != cookie[1], "it differs");
	is_int(get(fd[0], SOL_SOCKET, SO_PEERCRED), 0, "SO_PEERCRED of TCP: pid 0");
	is_int(get(fd[0], SOL_SOCKET, SO_INCOMING_CPU) >= -1, 1, "SO_INCOMING_CPU");
	close(fd[0]);
	close(fd[1]);
}

static void accepting(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int l = listener(4), c = connect_port(port_of(l)), s;

	is_err(accept4(l, NULL, NULL, 1), EINVAL, "accept4 with unknown flags");
	s = accept4(l, (void *)&a, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
	ok(s >= 0 && fcntl(s, F_GETFD) == FD_CLOEXEC && fcntl(s, F_GETFL) & O_NONBLOCK,
	   "accept4's flags");
	is_int(ntohs(a.sin_port), port_of(c), "the peer's port");
	len = sizeof(a);
	need(!getpeername(s, (void *)&a, &len));
	is_int(ntohs(a.sin_port), port_of(c), "getpeername");
	is_err(accept(s, NULL, NULL), EINVAL, "accept on a connection");
	fcntl(l, F_SETFL, O_NONBLOCK);
	is_err(accept(l, NULL, NULL), EAGAIN, "nobody waits");
	is_err(connect(c, (void *)&a, sizeof(a)), EISCONN, "connect twice");
	is_err(listen(c, 1), EINVAL, "listen on a connection");
	is_err(bind(c, (void *)&a, sizeof(a)), EINVAL, "bind a connection");
	shutdown(l, SHUT_RD);
	is_err(accept(l, NULL, NULL), EINVAL, "accept after shutdown");
	close(l);
	close(c);
	close(s);
}

static void queues(void)
{
	char buf[100] = {};
	int fd[2], n;

	tcp_pair(fd);
	need(write(fd[0], buf, 70) == 70);
	need(!ioctl(fd[1], FIONREAD, &n));
	is_int(n, 70, "FIONREAD");
	is_int(recv(fd[1], buf, 10, MSG_PEEK), 10, "MSG_PEEK");
	is_int(recv(fd[1], NULL, 20, MSG_TRUNC), 20, "MSG_TRUNC throws away");
	need(!ioctl(fd[1], FIONREAD, &n));
	is_int(n, 50, "FIONREAD then");
	is_int(recv(fd[1], buf, 100, 0), 50, "the rest");
	need(!ioctl(fd[0], TIOCOUTQ, &n));
	is_int(n, 0, "SIOCOUTQ");
	need(!set(fd[1], SOL_SOCKET, SO_RCVLOWAT, 4));
	need(write(fd[0], "ab", 2) == 2);
	is_int(events_of(fd[1], POLLIN, 0), 0, "below SO_RCVLOWAT it is not readable");
	need(write(fd[0], "cd", 2) == 2);
	is_int(events_of(fd[1], POLLIN, 1000), POLLIN, "at it, it is");
	if (!fork()) {
		usleep(50000);
		write(fd[0], "efgh", 4);
		_exit(0);
	}
	is_int(recv(fd[1], buf, 8, MSG_WAITALL), 8, "MSG_WAITALL");
	wait(NULL);
	close(fd[0]);
	close(fd[1]);
}

static void odd_values(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), fd[2];

	is_int(set(s, IPPROTO_TCP, TCP_MAXSEG, 10), -EINVAL, "TCP_MAXSEG: too little");
	is_int(set(s, IPPROTO_TCP, TCP_MAXSEG, 0), 0, "none");
	is_int(set(s, IPPROTO_IP, IP_TOS, 0x12c), 0, "IP_TOS: more than a byte");
	is_int(get(s, IPPROTO_IP, IP_TOS), 0x2c, "of which a byte counts");
	need(!set(s, IPPROTO_IP, IP_TOS, 0xff));
	is_int(get(s, IPPROTO_IP, IP_TOS), 0xfc, "without the bits of ECN");
	is_int(set(s, IPPROTO_IP, IP_MULTICAST_ALL, 2), -EINVAL, "IP_MULTICAST_ALL: 0 or 1");
	is_int(set(s, IPPROTO_IP, IP_MINTTL, 5), 0, "IP_MINTTL");
	is_int(get(s, IPPROTO_IP, IP_MINTTL), 5, "is kept");
	close(s);
	s = socket(AF_INET, SOCK_DGRAM, 0);
	need(!set(s, IPPROTO_IP, IP_TOS, 0xff));
	is_int(get(s, IPPROTO_IP, IP_TOS), 0xff, "which UDP can set");
	is_err(shutdown(s, SHUT_RD), ENOTCONN, "shutdown of an unconnected UDP socket");
	is_int(events_of(s, POLLIN | POLLRDHUP, 0), POLLIN | POLLRDHUP, "has its effect");
	is_int(recv(s, &fd, 1, MSG_OOB), 0, "UDP does not mind MSG_OOB");
	close(s);
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	need(!shutdown(s, SHUT_WR));
	is_err(send(s, "x", 1, 0), ENOTCONN, "a unix socket without a peer has no pipe to break");
	close(s);
	s = socket(AF_INET6, SOCK_STREAM, 0);
	need(!set(s, IPPROTO_IPV6, IPV6_TCLASS, 0xff));
	is_int(get(s, IPPROTO_IPV6, IPV6_TCLASS), 0xfc, "IPV6_TCLASS: without the bits of ECN");
	is_int(set(s, IPPROTO_IPV6, IPV6_TCLASS, 256), -EINVAL, "no byte");
	close(s);
	s = listener(1);
	is_err(ioctl(s, SIOCOUTQ, fd), EINVAL, "SIOCOUTQ of a listener");
	is_err(ioctl(s, SIOCOUTQNSD, fd), EINVAL, "SIOCOUTQNSD");
	close(s);
}

static void bind_device_again(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0);

	if (getuid() == 0)
		need(setresuid(12345, 12345, 12345) == 0);
	need(!setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
	need_err(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "", 0), EPERM);
	need_err(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "nothing", 7), ENODEV);
}

/* Options that are names. */
static void named_options(void)
{
	char name[16] = {};
	socklen_t len = sizeof(name);
	int s = socket(AF_INET, SOCK_STREAM, 0);

	is_err(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "c", 1), ENOENT,
	       "TCP_CONGESTION: the beginning of a name is none");
	is_err(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "", 0), EINVAL, "no name");
	need(!setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	need(!getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	ok(len == 16 && !strcmp(name, "reno"), "the name that was set");
	need(!getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	is_int(len, 0, "SO_BINDTODEVICE: none at first");
	is_err(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "l", 1), ENODEV, "no such device");
	need(!setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
	len = sizeof(name);
	need(!getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	ok(len == 3 && !strcmp(name, "lo"), "the device that was set");
	len = 4;
	is_err(getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, name, &len), EINVAL, "too little room");
	if (getuid() == 0)
		is_int(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "", 0), 0, "none again");
	child_ok(bind_device_again, "who has no privilege can bind a socket once");
	is_err(recv(s, name, 1, MSG_ERRQUEUE), EAGAIN, "the queue of errors is empty");
	close(s);
}

/* ---- datagrams ---- */

/* When a datagram socket gets a port, and loses it. */
static void datagram_ports(void)
{
	struct sockaddr_in a = loopback(0), any = { .sin_family = AF_INET };
	struct sockaddr_in6 six;
	int s = socket(AF_INET, SOCK_DGRAM, 0), t = socket(AF_INET6, SOCK_DGRAM, 0);
	socklen_t len = sizeof(six);
	char c;

	is_err(send(s, "x", 1, 0), EDESTADDRREQ, "send to nobody");
	ok(port_of(s) != 0, "gives a port");
	is_err(bind(s, (void *)&any, sizeof(any)), EINVAL, "so bind is too late");
	need(!disconnect(s));
	is_int(port_of(s), 0, "disconnecting takes it away");
	is_int(bind(s, (void *)&a, sizeof(a)), 0, "bind");
	a = loopback(port_of(s));
	is_int(sendto(t, "x", 1, 0, (void *)&a, sizeof(a)), 1, "IPv6 sends to an IPv4 address");
	is_int(recv(s, &c, 1, 0), 1, "where it comes");
	is_int(connect(t, (void *)&a, sizeof(a)), 0, "connects to it");
	need(!getpeername(t, (void *)&six, &len));
	ok(IN6_IS_ADDR_V4MAPPED(&six.sin6_addr) && six.sin6_port == a.sin_port, "mapped");
	need(!disconnect(t) && !set(t, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	is_err(sendto(t, "x", 1, 0, (void *)&a, sizeof(a)), ENETUNREACH, "not if IPV6_V6ONLY");
	close(t);
	close(s);
}

static void small_buffer(void)
{
	static char data[20000];
	struct sockaddr_in a = loopback(0);
	int r = socket(AF_INET, SOCK_DGRAM, 0), s = socket(AF_INET, SOCK_DGRAM, 0);

	need(!bind(r, (void *)&a, sizeof(a)) && !set(r, SOL_SOCKET, SO_RCVBUF, 1));
	a = loopback(port_of(r));
	for (int i = 0; i < 2; i++)
		need(sendto(s, data, sizeof(data), 0, (void *)&a, sizeof(a)) == sizeof(data));
	is_int(recv(r, data, sizeof(data), MSG_DONTWAIT), sizeof(data),
	       "a datagram is taken if the queue is not full before");
	is_err(recv(r, data, 1, MSG_DONTWAIT), EAGAIN, "the next one was lost");
	close(r);
	close(s);
}

static void datagrams(void)
{
	struct sockaddr_in a = loopback(0), got;
	struct sockaddr unspec = { .sa_family = AF_UNSPEC };
	struct mmsghdr m[3] = {};
	struct iovec iov[3];
	socklen_t len = sizeof(got);
	int r = socket(AF_INET, SOCK_DGRAM, 0), s = socket(AF_INET, SOCK_DGRAM, 0), n;
	char buf[3][16];

	need(!bind(r, (void *)&a, sizeof(a)));
	a = loopback(port_of(r));
	is_err(send(s, "x", 1, 0), EDESTADDRREQ, "send without a destination");
	need(!connect(s, (void *)&a, sizeof(a)));
	need(!getsockname(s, (void *)&got, &len));
	ok(got.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && got.sin_port, "connect names it");
	ok(get(s, IPPROTO_IP, IP_MTU) >= 65535, "IP_MTU");
	for (int i = 0; i < 3; i++) {
		iov[i] = (struct iovec){ buf[i], i + 1 };
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	is_int(sendmmsg(s, m, 3, 0), 3, "sendmmsg");
	is_int(m[2].msg_len, 3, "its lengths");
	is_int(recvmmsg(r, m, 2, 0, NULL), 2, "recvmmsg");
	is_int(recvmmsg(r, m, 3, MSG_WAITFORONE, NULL), 1, "MSG_WAITFORONE");
	ok(m[0].msg_hdr.msg_flags & MSG_TRUNC && m[0].msg_len == 1, "the third is cut");
	is_err(recvmmsg(r, m, 3, MSG_DONTWAIT, NULL), EAGAIN, "nothing is left");
	need(send(s, "abc", 3, 0) == 3 && send(s, "defg", 4, 0) == 4);
	need(!ioctl(r, FIONREAD, &n));
	is_int(n, 3, "FIONREAD is of the first");
	is_int(recv(r, buf[0], 1, MSG_TRUNC), 3, "MSG_TRUNC");
	is_int(recv(r, buf[0], 16, 0), 4, "the second");
	need(!connect(s, &unspec, sizeof(unspec)));
	is_err(getpeername(s, (void *)&got, &len), ENOTCONN, "disconnected");
	is_err(send(s, "x", 1, 0), EDESTADDRREQ, "no destination again");
	len = sizeof(got);
	need(!getsockname(s, (void *)&got, &len));
	is_int(got.sin_addr.s_addr, 0, "its address is gone");
	a = loopback(closed_port());
	need(!connect(s, (void *)&a, sizeof(a)));
	need(send(s, "x", 1, 0) == 1);
	is_int(events_of(s, POLLIN | POLLOUT, 1000) & POLLERR, POLLERR, "nobody is there");
	is_err(recv(s, buf[0], 1, 0), ECONNREFUSED, "recv tells");
	a.sin_addr.s_addr = htonl(INADDR_BROADCAST);
	is_err(sendto(r, "x", 1, 0, (void *)&a, sizeof(a)), EACCES, "broadcast is not allowed");
	is_err(send(r, buf, 70000, 0), EMSGSIZE, "too long and nowhere");
	a = loopback(9);
	{
		static char large[70000];

		is_err(sendto(r, large, sizeof(large), 0, (void *)&a, sizeof(a)), EMSGSIZE,
		       "too long");
	}
	is_err(listen(r, 1), EOPNOTSUPP, "listen");
	is_err(accept(r, NULL, NULL), EOPNOTSUPP, "accept");
	is_err(send(r, "x", 1, MSG_OOB), EOPNOTSUPP, "MSG_OOB");
	close(r);
	close(s);
}

static void multicast(void)
{
	struct ip_mreqn mreq = { .imr_ifindex = 1 };
	struct sockaddr_in a = { .sin_family = AF_INET };
	int r = socket(AF_INET, SOCK_DGRAM, 0), s = socket(AF_INET, SOCK_DGRAM, 0);
	struct ipv6_mreq mreq6 = { .ipv6mr_interface = 1 };
	char buf[8];

	need(!bind(r, (void *)&a, sizeof(a)));
	mreq.imr_multiaddr.s_addr = inet_addr("239.1.2.3");
	ok(!setsockopt(r, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)), "join a group");
	is_err(setsockopt(r, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)), EADDRINUSE,
	       "twice");
	ok(!setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &mreq, sizeof(mreq)), "IP_MULTICAST_IF");
	a.sin_addr = mreq.imr_multiaddr;
	a.sin_port = htons(port_of(r));
	is_int(sendto(s, "mc", 2, 0, (void *)&a, sizeof(a)), 2, "send to it");
	is_int(events_of(r, POLLIN, 1000), POLLIN, "it arrives");
	is_int(recv(r, buf, sizeof(buf), MSG_DONTWAIT), 2, "whole");
	ok(!setsockopt(r, IPPROTO_IP, IP_DROP_MEMBERSHIP, &mreq, sizeof(mreq)), "leave it");
	is_err(setsockopt(r, IPPROTO_IP, IP_DROP_MEMBERSHIP, &mreq, sizeof(mreq)), EADDRNOTAVAIL,
	       "twice");
	mreq.imr_multiaddr.s_addr = htonl(INADDR_LOOPBACK);
	is_err(setsockopt(r, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)), EINVAL,
	       "no group");
	close(r);
	r = socket(AF_INET6, SOCK_DGRAM, 0);
	inet_pton(AF_INET6, "ff02::1234", &mreq6.ipv6mr_multiaddr);
	ok(!setsockopt(r, IPPROTO_IPV6, IPV6_JOIN_GROUP, &mreq6, sizeof(mreq6)),
	   "join one of IPv6");
	ok(!setsockopt(r, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &mreq6, sizeof(mreq6)), "leave it");
	close(r);
	close(s);
}

/* ---- whom a unix socket talks to ---- */

static void peers(void)
{
	gid_t groups[64], mine[64];
	socklen_t len = sizeof(groups);
	int s[2], n = getgroups(64, mine);

	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	need(!getsockopt(s[0], SOL_SOCKET, SO_PEERGROUPS, groups, &len));
	ok((int)(len / sizeof(gid_t)) == n && !memcmp(groups, mine, len), "SO_PEERGROUPS");
	is_err(setsockopt(s[0], SOL_SOCKET, SO_PEERCRED, groups, 4), ENOPROTOOPT,
	       "SO_PEERCRED cannot be set");
	is_int(set(s[0], SOL_SOCKET, SO_PASSCRED, 1), 0, "SO_PASSCRED");
	is_int(get(s[0], SOL_SOCKET, SO_PASSCRED), 1, "it is set");
	close(s[0]);
	close(s[1]);
	is_err(socket(AF_VSOCK + 5, SOCK_STREAM, 0), EAFNOSUPPORT, "an unknown family");
	is_err(socket(9999, SOCK_STREAM, 0), EAFNOSUPPORT, "a family out of range");
	is_err(socket(AF_INET, 9, 0), ESOCKTNOSUPPORT, "an unknown type");
	is_err(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT, "a protocol of others");
	is_err(socket(AF_INET, SOCK_STREAM | 0x100, 0), EINVAL, "unknown flags");
	is_err(socketpair(AF_INET, SOCK_STREAM, 0, s), EOPNOTSUPP, "a pair of TCP");
}

int main(void)
{
	tap_begin();
	signal(SIGPIPE, SIG_IGN);
	refused();
	reset_by_linger();
	half_closed();
	urgent();
	urgent_peek();
	connecting();
	shut_first();
	disconnected();
	time_wait();
	listen_twice();
	shared_port();
	families();
	tcp_options();
	named_options();
	odd_values();
	tcp_infos();
	accepting();
	queues();
	datagram_ports();
	small_buffer();
	datagrams();
	multicast();
	peers();
	return tap_end();
}
