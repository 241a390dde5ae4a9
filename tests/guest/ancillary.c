/*
 * Control messages of inet sockets, UDP-Lite, what EPIPE comes with, and waits with time limits.
 */
#include "tap.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

static int udp(int family, int protocol)
{
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in a4 = { .sin_family = AF_INET };
	int s = socket(family, SOCK_DGRAM, protocol);

	need(s >= 0);
	a4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (family == AF_INET)
		need(!bind(s, (void *)&a4, sizeof(a4)));
	else
		need(!bind(s, (void *)&a6, sizeof(a6)));
	return s;
}

static void set(int s, int level, int name, int value)
{
	need(!setsockopt(s, level, name, &value, sizeof(value)));
}

static void connect_to(int s, int to)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	need(!getsockname(to, (void *)&a, &len) && !connect(s, (void *)&a, len));
}

static char control[256];

static struct msghdr receive(int s, size_t room)
{
	static char byte[16];
	static struct iovec iov = { byte, sizeof(byte) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	memset(control, 0, sizeof(control));
	m.msg_control = room ? control : NULL;
	m.msg_controllen = room;
	need(recvmsg(s, &m, MSG_DONTWAIT) >= 0);
	return m;
}

static const void *find(struct msghdr *m, int level, int type)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == level && c->cmsg_type == type)
			return CMSG_DATA(c);
	return NULL;
}

static int send_with(int s, int level, int type, const void *data, size_t size)
{
	struct iovec iov = { "x", 1 };
	char buf[128] = {};
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = buf };
	struct cmsghdr *c = (void *)buf;

	m.msg_controllen = CMSG_SPACE(size);
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(c), data, size);
	return sendmsg(s, &m, 0);
}

static void ipv4(void)
{
	int a = udp(AF_INET, 0), b = udp(AF_INET, 0), value;
	struct in_pktinfo info = {};
	const struct in_pktinfo *got;
	const struct timeval *tv;
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	struct msghdr m;

	connect_to(a, b);
	set(b, IPPROTO_IP, IP_PKTINFO, 1);
	set(b, IPPROTO_IP, IP_RECVTTL, 1);
	set(b, IPPROTO_IP, IP_RECVTOS, 1);
	set(b, SOL_SOCKET, SO_TIMESTAMP, 1);
	set(a, IPPROTO_IP, IP_TTL, 33);
	set(a, IPPROTO_IP, IP_TOS, 0x10);
	need(send(a, "x", 1, 0) == 1);
	m = receive(b, sizeof(control));
	got = find(&m, IPPROTO_IP, IP_PKTINFO);
	ok(got && got->ipi_ifindex == 1 && got->ipi_addr.s_addr == htonl(INADDR_LOOPBACK),
	   "IP_PKTINFO");
	is_int(*(const int *)find(&m, IPPROTO_IP, IP_TTL), 33, "IP_RECVTTL");
	is_int(*(const uint8_t *)find(&m, IPPROTO_IP, IP_TOS), 0x10, "IP_RECVTOS");
	tv = find(&m, SOL_SOCKET, SO_TIMESTAMP);
	ok(tv && tv->tv_sec >= time(NULL) - 100, "SO_TIMESTAMP");
	ok(!(m.msg_flags & MSG_CTRUNC), "all fit");
	need(send(a, "x", 1, 0) == 1);
	m = receive(b, 0);
	ok(m.msg_flags & MSG_CTRUNC, "without room: MSG_CTRUNC");

	value = 7;
	need(send_with(a, IPPROTO_IP, IP_TTL, &value, sizeof(value)) == 1);
	m = receive(b, sizeof(control));
	is_int(*(const int *)find(&m, IPPROTO_IP, IP_TTL), 7, "IP_TTL of one message");
	value = 0;
	is_err(send_with(a, IPPROTO_IP, IP_TTL, &value, sizeof(value)), EINVAL, "a TTL of 0");
	value = 256;
	is_err(send_with(a, IPPROTO_IP, IP_TTL, &value, sizeof(value)), EINVAL, "a TTL of 256");
	is_err(send_with(a, IPPROTO_IP, 99, &value, sizeof(value)), EINVAL, "an unknown type");
	ok(send_with(a, IPPROTO_TCP, 99, &value, sizeof(value)) == 1, "another level is ignored");
	close(a);
	a = socket(AF_INET, SOCK_DGRAM, 0);
	connect_to(a, b);
	close(a);
	a = socket(AF_INET, SOCK_DGRAM, 0);
	{
		struct sockaddr_in any = { .sin_family = AF_INET };

		need(!bind(a, (void *)&any, sizeof(any)));
	}
	len = sizeof(from);
	need(!getsockname(b, (void *)&from, &len));
	while (recv(b, control, 1, MSG_DONTWAIT) >= 0)
		;
	info.ipi_spec_dst.s_addr = htonl(0x7f000009);
	{
		struct iovec iov = { "x", 1 };
		char buf[CMSG_SPACE(sizeof(info))] = {};
		struct msghdr h = { &from, len, &iov, 1, buf, sizeof(buf), 0 };
		struct cmsghdr *c = (void *)buf;

		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		need(sendmsg(a, &h, 0) == 1);
		need(recvfrom(b, control, 1, MSG_DONTWAIT, (void *)&from, &len) == 1);
		is_int(ntohl(from.sin_addr.s_addr), 0x7f000009, "IP_PKTINFO chooses the source");
	}
	close(a);
	close(b);
}

static void ipv6(void)
{
	int a = udp(AF_INET6, 0), b = udp(AF_INET6, 0), value;
	const struct in6_pktinfo *got;
	struct msghdr m;

	connect_to(a, b);
	set(b, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	set(b, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	set(b, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	set(a, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 44);
	need(send(a, "x", 1, 0) == 1);
	m = receive(b, sizeof(control));
	got = find(&m, IPPROTO_IPV6, IPV6_PKTINFO);
	ok(got && got->ipi6_ifindex == 1 && IN6_IS_ADDR_LOOPBACK(&got->ipi6_addr), "IPV6_PKTINFO");
	is_int(*(const int *)find(&m, IPPROTO_IPV6, IPV6_HOPLIMIT), 44, "IPV6_HOPLIMIT");
	is_int(*(const int *)find(&m, IPPROTO_IPV6, IPV6_TCLASS), 0, "IPV6_TCLASS");
	value = 9;
	need(send_with(a, IPPROTO_IPV6, IPV6_HOPLIMIT, &value, sizeof(value)) == 1);
	m = receive(b, sizeof(control));
	is_int(*(const int *)find(&m, IPPROTO_IPV6, IPV6_HOPLIMIT), 9, "of one message");
	value = 256;
	is_err(send_with(a, IPPROTO_IPV6, IPV6_HOPLIMIT, &value, sizeof(value)), EINVAL, "256");
	is_err(send_with(a, IPPROTO_IPV6, IPV6_TCLASS, &value, 2), EINVAL, "a short class");
	close(a);
	close(b);
}

static void udplite(void)
{
	int a = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE), b, c, value;
	socklen_t len = sizeof(value);
	struct sockaddr_storage name;

	/* Newer kernels have none. */
	if (a < 0 && errno == EPROTONOSUPPORT) {
		skip("no UDP-Lite", "UDP-Lite");
		return;
	}
	close(a);
	a = udp(AF_INET, IPPROTO_UDPLITE);
	b = udp(AF_INET, IPPROTO_UDPLITE);
	connect_to(a, b);
	need(send(a, "x", 1, 0) == 1 && recv(b, &value, sizeof(value), 0) == 1);
	need(!getsockopt(a, SOL_SOCKET, SO_PROTOCOL, &value, &len));
	need(value == IPPROTO_UDPLITE);
	len = sizeof(name);
	need(!getsockname(b, (void *)&name, &len));
	c = socket(AF_INET, SOCK_DGRAM, 0);
	ok(!bind(c, (void *)&name, len), "UDP-Lite has ports of its own");
	close(a);
	close(b);
	close(c);
}

/* ---- EPIPE ---- */

static volatile int signals;

static void count_signal(int sig)
{
	signals++;
}

static void epipe_of(const char *what, int s, int want)
{
	signals = 0;
	need_err(write(s, "x", 1), EPIPE);
	is_int(signals, want, "SIGPIPE after write to %s", what);
	signals = 0;
	need_err(send(s, "x", 1, 0), EPIPE);
	is_int(signals, want, "after send");
	signals = 0;
	need_err(send(s, "x", 1, MSG_NOSIGNAL), EPIPE);
	is_int(signals, 0, "not with MSG_NOSIGNAL");
	signals = 0;
	need_err(writev(s, &(struct iovec){ "x", 1 }, 1), EPIPE);
	is_int(signals, want, "after writev");
	close(s);
}

static void epipe(void)
{
	int s[2], u = udp(AF_INET, 0);

	signal(SIGPIPE, count_signal);
	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	close(s[1]);
	epipe_of("a stream", s[0], 1);
	need(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
	close(s[1]);
	epipe_of("a seqpacket socket", s[0], 0);
	need(!socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	need(!shutdown(s[0], SHUT_WR));
	epipe_of("a datagram socket", s[0], 0);
	close(s[1]);
	connect_to(u, u);
	need(!shutdown(u, SHUT_WR));
	epipe_of("a UDP socket", u, 0);
}

/* ---- time limits ---- */

static void interrupted(const char *what, int s, bool writing)
{
	struct timeval tv = { .tv_sec = 20 };
	struct sigaction sa = { .sa_handler = count_signal, .sa_flags = SA_RESTART };
	char buf[4096] = {};
	pid_t child;
	ssize_t n;

	need(!setsockopt(s, SOL_SOCKET, writing ? SO_SNDTIMEO : SO_RCVTIMEO, &tv, sizeof(tv)));
	need(!sigaction(SIGUSR1, &sa, NULL));
	child = fork();
	need(child >= 0);
	if (!child) {
		/* The test is over when the parent's call is: it must return at a signal. */
		for (int i = 0; i < 2000; i++) {
			kill(getppid(), SIGUSR1);
			usleep(20000);
		}
		_exit(0);
	}
	do {
		n = writing ? write(s, buf, sizeof(buf)) : read(s, buf, sizeof(buf));
	} while (n > 0);
	ok(n < 0 && errno == EINTR, "a %s with a time limit is not restarted after a signal", what);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(s);
}

static void limits(void)
{
	int s[2];

	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	interrupted("read", s[0], false);
	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	interrupted("write", s[0], true);
}

int main(void)
{
	tap_begin();
	ipv4();
	ipv6();
	udplite();
	epipe();
	limits();
	return tap_end();
}
