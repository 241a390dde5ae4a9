/*
 * Random socket calls from several processes that share names and pass each other their sockets:
 * sockets in messages in sockets, closed in any order; requests of netlink that are nearly right.
 * Then cycles without end, more than may be in messages at once. Afterwards all must be as before.
 *
 *	sockets [SEED]
 */
#include "tap.h"
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PROCESSES 6
#define CALLS 6000
#define SLOTS 24

static uint64_t state;
static int slots[SLOTS];
static char data[70000];

static uint32_t below(uint32_t n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(state >> 33) % n;
}

static int any(void)
{
	return slots[below(SLOTS)];
}

static void put(int fd)
{
	int i = below(SLOTS);

	if (fd < 0)
		return;
	close(slots[i]);
	slots[i] = fd;
}

static int a_type(void)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };

	return types[below(3)] | SOCK_NONBLOCK;
}

/* A name that others have too. */
static socklen_t name(struct sockaddr_storage *a)
{
	struct sockaddr_un *un = (void *)a;
	struct sockaddr_in *in = (void *)a;
	struct sockaddr_in6 *in6 = (void *)a;

	memset(a, 0, sizeof(*a));
	switch (below(6)) {
	case 0:
		in->sin_family = AF_INET;
		in->sin_port = htons(20000 + below(8));
		in->sin_addr.s_addr = htonl(below(2) ? INADDR_LOOPBACK : INADDR_ANY);
		return sizeof(*in);
	case 1:
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(20000 + below(8));
		in6->sin6_addr.s6_addr[15] = 1;
		return sizeof(*in6);
	case 2:
		a->ss_family = AF_UNSPEC;
		return below(sizeof(*a) + 1);
	case 3:
		a->ss_family = below(20);
		/* No path: it would stay. */
		for (int i = 3; i < 40; i++)
			((char *)a)[i] = below(256);
		return below(sizeof(*a) + 1);
	default:
		un->sun_family = AF_UNIX;
		un->sun_path[1] = 'a' + below(8);
		return sizeof(sa_family_t) + 2 + below(2);
	}
}

/* Control messages: files, and what is none. */
static size_t fill_control(char *control, size_t room)
{
	struct cmsghdr *c = (void *)control;
	int count = 1 + below(6), *fds = (void *)CMSG_DATA(c);

	memset(control, 0, room);
	c->cmsg_level = below(8) ? SOL_SOCKET : below(60);
	c->cmsg_type = below(8) ? SCM_RIGHTS : below(60);
	c->cmsg_len = CMSG_LEN(count * sizeof(int)) + (below(16) ? 0 : below(64));
	for (int i = 0; i < count; i++)
		fds[i] = any();
	return below(8) ? CMSG_SPACE(count * sizeof(int)) : below(room);
}

static void send_something(void)
{
	struct sockaddr_storage to;
	char control[256];
	struct iovec iov = { data, below(4) ? below(200) : below(sizeof(data)) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (below(16) ? 0 : 1 << below(20));

	if (below(3) == 0) {
		m.msg_name = &to;
		m.msg_namelen = name(&to);
	}
	if (below(2)) {
		m.msg_control = control;
		m.msg_controllen = fill_control(control, sizeof(control));
	}
	sendmsg(any(), &m, flags);
}

static void receive_something(void)
{
	struct sockaddr_storage from;
	char control[256];
	struct iovec iov = { data, below(4) ? below(200) : below(sizeof(data)) };
	struct msghdr m = { &from, sizeof(from), &iov, 1, control, below(sizeof(control) + 1), 0 };
	int flags = MSG_DONTWAIT | (below(4) ? 0 : MSG_PEEK) | (below(16) ? 0 : 1 << below(20));

	if (recvmsg(any(), &m, flags & ~MSG_WAITALL) < 0)
		return;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		int *fds = (void *)CMSG_DATA(c), count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (int i = 0; i < count; i++)
			put(fds[i]);
	}
}

static void netlink_something(void)
{
	struct {
		struct nlmsghdr h;
		char body[300];
	} r;
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, below(8) ? 0 : below(40));

	for (size_t i = 0; i < sizeof(r.body); i++)
		r.body[i] = below(2) ? 0 : below(256);
	r.h.nlmsg_len = below(8) ? 16 + below(sizeof(r.body)) : below(100000);
	r.h.nlmsg_type = below(4) ? 16 + below(24) : below(200);
	r.h.nlmsg_flags = below(2) ? NLM_F_REQUEST | NLM_F_DUMP : below(65536);
	r.body[4] = below(4) ? 1 : r.body[4];
	send(s, &r, sizeof(r.h) + below(sizeof(r.body)), MSG_DONTWAIT);
	recv(s, data, below(sizeof(data)), MSG_DONTWAIT);
	put(s);
}

static void option_something(void)
{
	static const int levels[] = { SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP, IPPROTO_IPV6,
				      SOL_NETLINK };
	socklen_t len = below(4) ? 4 : below(200);
	int level = levels[below(5)], option = below(80);
	char value[256];

	memset(value, 0, sizeof(value));
	for (int i = 0; i < 4; i++)
		value[i] = below(3) ? 0 : below(256);
	/* Waits would make the test wait. */
	if (below(2) && !(level == SOL_SOCKET && option == SO_LINGER))
		setsockopt(any(), level, option, value, len);
	else
		getsockopt(any(), level, option, value, &len);
}

static void step(void)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	char arg[64] = "lo";
	int s[2];

	switch (below(16)) {
	case 0:
		put(socket(AF_UNIX, a_type(), 0));
		break;
	case 1:
		put(socket(below(2) ? AF_INET : AF_INET6, a_type(), below(8) ? 0 : below(140)));
		break;
	case 2:
		if (!socketpair(AF_UNIX, a_type(), 0, s)) {
			put(s[0]);
			put(s[1]);
		}
		break;
	case 3:
		len = name(&a);
		bind(any(), (void *)&a, len);
		break;
	case 4:
		listen(any(), below(8));
		break;
	case 5:
		len = name(&a);
		connect(any(), (void *)&a, len);
		break;
	case 6:
		put(accept4(any(), below(2) ? (void *)&a : NULL, &len, SOCK_NONBLOCK));
		break;
	case 7:
		shutdown(any(), below(4));
		break;
	case 8:
		close(any());
		break;
	case 9:
		put(dup(any()));
		break;
	case 10:
		option_something();
		break;
	case 11:
		netlink_something();
		break;
	case 12:
		ioctl(any(), below(4) ? 0x8900 + below(0x60) : FIONREAD, arg);
		break;
	case 13:
		receive_something();
		break;
	default:
		send_something();
	}
}

static void random_calls(uint64_t seed)
{
	signal(SIGPIPE, SIG_IGN);
	state = seed;
	for (int i = 0; i < SLOTS; i++)
		slots[i] = -1;
	for (int i = 0; i < CALLS; i++) {
		step();
		/* Whatever became blocking or was not a socket of ours must not stop us. */
		if (i % 64 == 0)
			for (int k = 0; k < SLOTS; k++)
				fcntl(slots[k], F_SETFL, O_NONBLOCK);
	}
	_exit(0);
}

/* ---- cycles ---- */

#define IN_MESSAGE 50
#define ROUNDS 3000

static int send_fds(int s, const int *fds, int count)
{
	char control[CMSG_SPACE(IN_MESSAGE * sizeof(int))] = {};
	struct iovec iov = { "x", 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control };
	struct cmsghdr *c = (void *)control;

	m.msg_controllen = CMSG_SPACE(count * sizeof(int));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	return sendmsg(s, &m, MSG_DONTWAIT) == 1 ? 0 : -errno;
}

/* A pair that only its own message refers to. The collector may be behind: then wait a little. */
static int cycle(int end)
{
	int s[2], fds[IN_MESSAGE], err;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s))
		return -errno;
	for (int i = 0; i < IN_MESSAGE; i++)
		fds[i] = s[i % 2];
	fds[0] = end < 0 ? s[0] : end;
	for (int i = 0; i < 200; i++) {
		err = send_fds(s[0], fds, IN_MESSAGE);
		if (err != -ETOOMANYREFS)
			break;
		pause_ms(20);
		close(socket(AF_UNIX, SOCK_DGRAM, 0));
	}
	close(s[0]);
	close(s[1]);
	return err;
}

static void storm_of_cycles(void)
{
	for (int i = 0; i < ROUNDS; i++)
		need(cycle(-1) == 0);
}

/* A chain: each socket is in the next one's queue. */
static void long_chain(void)
{
	int s[2], next[2];

	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	for (int i = 0; i < 2000; i++) {
		need(!socketpair(AF_UNIX, SOCK_STREAM, 0, next));
		need(!send_fds(next[0], s, 2));
		close(s[0]);
		close(s[1]);
		s[0] = next[0];
		s[1] = next[1];
	}
	close(s[0]);
	close(s[1]);
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	struct pollfd p = { .events = 0 };
	int fd[2], bad = 0;
	pid_t child;

	tap_begin();
	for (int i = 0; i < PROCESSES; i++) {
		child = fork();
		need(child >= 0);
		if (!child)
			random_calls(seed * 1000 + i);
	}
	for (int i = 0, status; i < PROCESSES; i++)
		bad |= wait(&status) < 0 || status != 0;
	ok(!bad, "random calls end");
	child_ok(storm_of_cycles, "more cycles than may be at once");
	child_ok(long_chain, "a long chain");
	need(!pipe(fd));
	ok(cycle(fd[1]) == 0, "files can be sent afterwards");
	close(fd[1]);
	close(socket(AF_UNIX, SOCK_DGRAM, 0));
	p.fd = fd[0];
	ok(poll(&p, 1, 20000) == 1 && p.revents & POLLHUP, "and are dropped with their cycle");
	return tap_end();
}
