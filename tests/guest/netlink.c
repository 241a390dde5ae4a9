/*
 * NETLINK_ROUTE and the ioctls of interfaces, as far as lo goes: what other interfaces the machine
 * has must not matter.
 */
#include "tap.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sched.h>
#include <sys/uio.h>

struct request {
	struct nlmsghdr h;
	char body[256];
};

static int nl_socket(uint32_t groups)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	need(s >= 0 && !bind(s, (void *)&a, sizeof(a)));
	return s;
}

static void fill(struct request *r, int type, int flags, const void *body, size_t size)
{
	static uint32_t seq = 100;

	memset(r, 0, sizeof(*r));
	r->h.nlmsg_len = NLMSG_LENGTH(size);
	r->h.nlmsg_type = type;
	r->h.nlmsg_flags = flags | NLM_F_REQUEST;
	r->h.nlmsg_seq = ++seq;
	memcpy(r->body, body, size);
}

static void add_attr(struct request *r, int type, const void *data, size_t size)
{
	struct rtattr *a = (void *)((char *)r + NLMSG_ALIGN(r->h.nlmsg_len));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(size);
	memcpy(RTA_DATA(a), data, size);
	r->h.nlmsg_len = NLMSG_ALIGN(r->h.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

/* Send and return the error in the answer; 1 if the answer is something else. */
static int ask(int s, struct request *r, char *answer, size_t size)
{
	struct nlmsghdr *h = (void *)answer;

	need(send(s, r, r->h.nlmsg_len, 0) == (ssize_t)r->h.nlmsg_len);
	need(recv(s, answer, size, MSG_DONTWAIT) >= (ssize_t)sizeof(*h));
	need(h->nlmsg_seq == r->h.nlmsg_seq);
	if (h->nlmsg_type != NLMSG_ERROR)
		return 1;
	return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
}

static const void *find_attr(const struct nlmsghdr *h, size_t fixed, int type)
{
	const struct rtattr *a = (void *)((const char *)NLMSG_DATA(h) + NLMSG_ALIGN(fixed));
	int left = (int)(h->nlmsg_len - NLMSG_LENGTH(NLMSG_ALIGN(fixed)));

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == type)
			return RTA_DATA(a);
	return NULL;
}

static void names(void)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK }, b;
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), t = nl_socket(0), value;
	socklen_t len = sizeof(b);

	need(!getsockname(s, (void *)&b, &len));
	ok(len == sizeof(b) && b.nl_family == AF_NETLINK && !b.nl_pid,
	   "a fresh socket has no port");
	is_err(bind(s, (void *)&a, 8), EINVAL, "a short name");
	a.nl_family = AF_INET;
	is_err(bind(s, (void *)&a, sizeof(a)), EINVAL, "a name of another family");
	a.nl_family = AF_NETLINK;
	need(!getsockname(t, (void *)&b, &len));
	ok((pid_t)b.nl_pid == getpid(), "the first port of a process is its pid");
	a.nl_pid = b.nl_pid;
	is_err(bind(s, (void *)&a, sizeof(a)), EADDRINUSE, "a port that is taken");
	a.nl_pid = 0;
	need(!bind(s, (void *)&a, sizeof(a)) && !getsockname(s, (void *)&b, &len));
	ok(b.nl_pid && (pid_t)b.nl_pid != getpid(), "the second is another");
	a.nl_pid = 12345;
	is_err(bind(s, (void *)&a, sizeof(a)), EINVAL, "a port does not change");
	is_err(listen(s, 1), EOPNOTSUPP, "listen");
	is_err(shutdown(s, SHUT_RDWR), EOPNOTSUPP, "shutdown");
	is_err(socket(AF_NETLINK, SOCK_STREAM, 0), ESOCKTNOSUPPORT, "no streams");
	is_err(socket(AF_NETLINK, SOCK_RAW, 31), EPROTONOSUPPORT, "an unknown protocol");
	is_err(socket(AF_NETLINK, SOCK_RAW, 99), EPROTONOSUPPORT, "a protocol out of range");
	is_err(send(s, "", 0, 0), ENODATA, "an empty request");
	is_err(recv(s, &value, sizeof(value), MSG_DONTWAIT), EAGAIN, "nothing to receive");
	len = sizeof(value);
	need(!getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &value, &len));
	is_int(value, NETLINK_ROUTE, "SO_PROTOCOL");
	need(!getsockopt(s, SOL_SOCKET, SO_DOMAIN, &value, &len));
	is_int(value, AF_NETLINK, "SO_DOMAIN");
	value = 1;
	ok(!setsockopt(s, SOL_NETLINK, NETLINK_EXT_ACK, &value, sizeof(value)), "NETLINK_EXT_ACK");
	value = 5000;
	is_err(setsockopt(s, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &value, sizeof(value)), EINVAL,
	       "a group that is not there");
	is_err(setsockopt(s, SOL_NETLINK, 77, &value, sizeof(value)), ENOPROTOOPT,
	       "no such option");
	close(s);
	close(t);
}

static void memberships(void)
{
	unsigned char got[16];
	int s = nl_socket(0), group = RTNLGRP_LINK;
	socklen_t len = 0;

	need(!setsockopt(s, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)));
	memset(got, 0xaa, sizeof(got));
	need(!getsockopt(s, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, got, &len));
	ok(len >= 8 && got[0] == 0xaa, "without room only the size of the list is told");
	len = 4;
	need(!getsockopt(s, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, got, &len));
	ok(len >= 8 && got[0] == 1 << (RTNLGRP_LINK - 1) && got[4] == 0xaa, "as much as fits");
	close(s);
}

static void acknowledgement(void)
{
	struct request r;
	struct nlmsghdr *h;
	char answer[256];
	int s = nl_socket(0);

	fill(&r, NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, NULL, 0);
	need(send(s, &r, r.h.nlmsg_len, 0) == (ssize_t)r.h.nlmsg_len);
	need(recv(s, answer, sizeof(answer), 0) >= (ssize_t)sizeof(*h));
	h = (void *)answer;
	ok(h->nlmsg_type == NLMSG_ERROR && h->nlmsg_flags == NLM_F_CAPPED,
	   "an acknowledgement does not repeat the request");
	close(s);
}

static void dump_links(void)
{
	struct ifinfomsg m = { .ifi_family = AF_UNSPEC };
	int s = nl_socket(0), parts = 0;
	bool lo = false, done = false;
	struct request r;
	char buf[8192];

	fill(&r, RTM_GETLINK, NLM_F_DUMP, &m, sizeof(m));
	need(send(s, &r, r.h.nlmsg_len, 0) > 0);
	while (!done) {
		struct sockaddr_nl from;
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(s, buf, sizeof(buf), 0, (void *)&from, &size);
		struct nlmsghdr *h = (void *)buf;

		need(n > 0 && size == sizeof(from) && from.nl_pid == 0);
		for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			struct ifinfomsg *i = NLMSG_DATA(h);

			need(h->nlmsg_flags & NLM_F_MULTI && h->nlmsg_seq == r.h.nlmsg_seq);
			done |= h->nlmsg_type == NLMSG_DONE;
			if (h->nlmsg_type == RTM_NEWLINK && i->ifi_index == 1)
				lo = i->ifi_flags & IFF_LOOPBACK && i->ifi_type == 772 &&
				     !strcmp(find_attr(h, sizeof(*i), IFLA_IFNAME), "lo");
		}
		parts++;
	}
	ok(lo, "a dump has lo");
	ok(parts > 0, "and ends with NLMSG_DONE");
	is_err(recv(s, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN, "after which there is nothing");
	/* What does not fit is lost, and its true size is told. */
	need(send(s, &r, r.h.nlmsg_len, 0) > 0);
	ok(recv(s, buf, 20, MSG_PEEK | MSG_TRUNC) > 20, "MSG_PEEK|MSG_TRUNC tells the size");
	ok(recv(s, buf, 20, 0) == 20, "a small buffer gets the beginning");
	close(s);
}

static void one_link(void)
{
	struct ifinfomsg m = { .ifi_family = AF_UNSPEC, .ifi_index = 1 };
	int s = nl_socket(0), on = 1;
	struct nlmsghdr *h;
	struct request r;
	char buf[8192];

	h = (void *)buf;
	fill(&r, RTM_GETLINK, 0, &m, sizeof(m));
	is_int(ask(s, &r, buf, sizeof(buf)), 1, "lo by its index");
	ok(h->nlmsg_type == RTM_NEWLINK && !(h->nlmsg_flags & NLM_F_MULTI), "the answer");
	is_str(find_attr(h, sizeof(m), IFLA_IFNAME), "lo", "its name");
	is_err(recv(s, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN,
	       "no acknowledgement unless asked for");
	m.ifi_index = 0;
	fill(&r, RTM_GETLINK, NLM_F_ACK, &m, sizeof(m));
	add_attr(&r, IFLA_IFNAME, "lo", 3);
	is_int(ask(s, &r, buf, sizeof(buf)), 1, "lo by its name");
	is_int(((struct ifinfomsg *)NLMSG_DATA(h))->ifi_index, 1, "its index");
	need(recv(s, buf, sizeof(buf), MSG_DONTWAIT) == NLMSG_LENGTH(sizeof(struct nlmsgerr)));
	ok(h->nlmsg_type == NLMSG_ERROR && !((struct nlmsgerr *)NLMSG_DATA(h))->error,
	   "an acknowledgement");
	fill(&r, RTM_GETLINK, 0, &m, sizeof(m));
	add_attr(&r, IFLA_IFNAME, "nosuch0", 8);
	is_int(ask(s, &r, buf, sizeof(buf)), -ENODEV, "an unknown name");
	is_int(h->nlmsg_len, NLMSG_LENGTH(sizeof(struct nlmsgerr)) + r.h.nlmsg_len - NLMSG_HDRLEN,
	       "an error repeats the request");
	need(!setsockopt(s, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)));
	is_int(ask(s, &r, buf, sizeof(buf)), -ENODEV, "again with NETLINK_CAP_ACK");
	is_int(h->nlmsg_len, NLMSG_LENGTH(sizeof(struct nlmsgerr)), "only the header then");
	ok(h->nlmsg_flags & NLM_F_CAPPED, "and NLM_F_CAPPED");
	m.ifi_index = 99999;
	fill(&r, RTM_GETLINK, 0, &m, sizeof(m));
	is_int(ask(s, &r, buf, sizeof(buf)), -ENODEV, "an unknown index");
	m.ifi_index = 0;
	fill(&r, RTM_GETLINK, 0, &m, sizeof(m));
	is_int(ask(s, &r, buf, sizeof(buf)), -EINVAL, "no link at all");
	fill(&r, RTM_MAX + 20, 0, &m, sizeof(m));
	is_int(ask(s, &r, buf, sizeof(buf)), -EOPNOTSUPP, "an unknown request");
	fill(&r, NLMSG_NOOP, NLM_F_ACK, &m, 0);
	is_int(ask(s, &r, buf, sizeof(buf)), 0, "no operation");
	close(s);
}

static void two_requests(void)
{
	struct ifinfomsg m = { .ifi_family = AF_UNSPEC, .ifi_index = 1 };
	struct iovec iov[2];
	struct request r, q;
	int s = nl_socket(0);
	char buf[8192];

	fill(&r, RTM_GETLINK, 0, &m, sizeof(m));
	fill(&q, NLMSG_NOOP, NLM_F_ACK, &m, 0);
	iov[0] = (struct iovec){ &r, NLMSG_ALIGN(r.h.nlmsg_len) };
	iov[1] = (struct iovec){ &q, q.h.nlmsg_len };
	need(writev(s, iov, 2) > 0);
	ok(recv(s, buf, sizeof(buf), MSG_DONTWAIT) > 0 &&
		   ((struct nlmsghdr *)buf)->nlmsg_type == RTM_NEWLINK,
	   "the first of two requests");
	ok(recv(s, buf, sizeof(buf), MSG_DONTWAIT) > 0 &&
		   ((struct nlmsghdr *)buf)->nlmsg_type == NLMSG_ERROR,
	   "the second");
	/* A length beyond the end, and one too short. */
	r.h.nlmsg_len = 4000;
	need(send(s, &r, 64, 0) == 64);
	r.h.nlmsg_len = 3;
	need(send(s, &r, 64, 0) == 64);
	is_err(recv(s, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN, "malformed requests are ignored");
	close(s);
}

static void addresses(void)
{
	struct ifaddrs *list, *i;
	bool v4 = false, v6 = false;

	need(!getifaddrs(&list));
	for (i = list; i; i = i->ifa_next) {
		if (strcmp(i->ifa_name, "lo") || !i->ifa_addr)
			continue;
		if (i->ifa_addr->sa_family == AF_INET)
			v4 = ((struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr ==
				     htonl(INADDR_LOOPBACK) &&
			     ((struct sockaddr_in *)i->ifa_netmask)->sin_addr.s_addr ==
				     htonl(0xff000000);
		if (i->ifa_addr->sa_family == AF_INET6)
			v6 = IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr);
	}
	freeifaddrs(list);
	ok(v4, "getifaddrs: 127.0.0.1/8");
	ok(v6, "getifaddrs: ::1");
}

static void routes(void)
{
	struct rtmsg m = { .rtm_family = AF_INET, .rtm_dst_len = 32 };
	uint32_t dst = htonl(INADDR_LOOPBACK);
	int s = nl_socket(0);
	struct request r;
	char buf[8192];

	fill(&r, RTM_GETROUTE, 0, &m, sizeof(m));
	add_attr(&r, RTA_DST, &dst, sizeof(dst));
	is_int(ask(s, &r, buf, sizeof(buf)), 1, "the route to 127.0.0.1");
	is_int(*(const int *)find_attr((void *)buf, sizeof(m), RTA_OIF), 1, "goes to lo");
	is_int(((struct rtmsg *)NLMSG_DATA(buf))->rtm_type, RTN_LOCAL, "and is local");
	close(s);
}

/* In a network namespace of its own natively, if that can be had; in the sandbox as it is. */
static void changes(void)
{
	struct ifinfomsg m = { .ifi_family = AF_UNSPEC, .ifi_index = 1 };
	struct ifaddrmsg a = { .ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = 1 };
	uint32_t addr = htonl(0x0a010203), mtu = 9000;
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct pollfd p;
	struct request r;
	int s, events, u;
	char buf[8192];

	s = nl_socket(0);
	events = nl_socket(RTMGRP_LINK | RTMGRP_IPV4_IFADDR);
	m.ifi_flags = m.ifi_change = IFF_UP;
	fill(&r, RTM_NEWLINK, NLM_F_ACK, &m, sizeof(m));
	need(ask(s, &r, buf, sizeof(buf)) == 0);
	while (recv(events, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	m.ifi_flags = m.ifi_change = 0;
	fill(&r, RTM_NEWLINK, NLM_F_ACK, &m, sizeof(m));
	add_attr(&r, IFLA_MTU, &mtu, sizeof(mtu));
	need(ask(s, &r, buf, sizeof(buf)) == 0);
	need(recv(events, buf, sizeof(buf), 0) > 0);
	need(((struct nlmsghdr *)buf)->nlmsg_type == RTM_NEWLINK);
	need(*(const uint32_t *)find_attr((void *)buf, sizeof(m), IFLA_MTU) == 9000);
	while (recv(events, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;

	in.sin_addr.s_addr = addr;
	u = socket(AF_INET, SOCK_DGRAM, 0);
	need_err(bind(u, (void *)&in, sizeof(in)), EADDRNOTAVAIL);
	fill(&r, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, &a, sizeof(a));
	add_attr(&r, IFA_LOCAL, &addr, sizeof(addr));
	need(ask(s, &r, buf, sizeof(buf)) == 0);
	need(ask(s, &r, buf, sizeof(buf)) == -EEXIST);
	p = (struct pollfd){ events, POLLIN, 0 };
	need(poll(&p, 1, 1000) == 1);
	need(recv(events, buf, sizeof(buf), 0) > 0);
	need(((struct nlmsghdr *)buf)->nlmsg_type == RTM_NEWADDR);
	need(*(const uint32_t *)find_attr((void *)buf, sizeof(a), IFA_ADDRESS) == addr);
	need(!bind(u, (void *)&in, sizeof(in)));
	fill(&r, RTM_DELADDR, NLM_F_ACK, &a, sizeof(a));
	add_attr(&r, IFA_LOCAL, &addr, sizeof(addr));
	need(ask(s, &r, buf, sizeof(buf)) == 0);
	need(ask(s, &r, buf, sizeof(buf)) == -EADDRNOTAVAIL);
	need(recv(events, buf, sizeof(buf), 0) > 0);
	need(((struct nlmsghdr *)buf)->nlmsg_type == RTM_DELADDR);

	need(setuid(54321) == 0);
	fill(&r, RTM_NEWADDR, NLM_F_ACK, &a, sizeof(a));
	add_attr(&r, IFA_LOCAL, &addr, sizeof(addr));
	need(ask(s, &r, buf, sizeof(buf)) == -EPERM);
}

static void in_namespace(void)
{
	if (unshare(CLONE_NEWNET) && errno != EPERM && errno != EINVAL && errno != ENOSYS)
		_exit(TAP_NEED_STATUS);
	changes();
}

static void requests_of_interfaces(void)
{
	int families[] = { AF_INET, AF_INET6, AF_UNIX }, s;
	struct ifreq r = { .ifr_name = "lo" };
	struct ifreq list[32];
	struct ifconf c = { .ifc_len = sizeof(list), .ifc_req = list };
	char name[IF_NAMESIZE];
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		s = socket(families[i], SOCK_DGRAM, 0);
		need(s >= 0 && !ioctl(s, SIOCGIFINDEX, &r));
		is_int(r.ifr_ifindex, 1, "SIOCGIFINDEX, family %d", families[i]);
		need(!ioctl(s, SIOCGIFNAME, &r) && !strcmp(r.ifr_name, "lo"));
		need(!ioctl(s, SIOCGIFFLAGS, &r));
		ok(r.ifr_flags & IFF_LOOPBACK, "SIOCGIFFLAGS");
		need(!ioctl(s, SIOCGIFHWADDR, &r));
		is_int(r.ifr_hwaddr.sa_family, 772, "SIOCGIFHWADDR");
		if (families[i] != AF_INET)
			is_err(ioctl(s, SIOCGIFADDR, &r), ENOTTY, "SIOCGIFADDR");
		close(s);
	}
	s = socket(AF_INET, SOCK_STREAM, 0);
	ok(!ioctl(s, SIOCGIFMTU, &r) && r.ifr_mtu > 0, "SIOCGIFMTU");
	need(!ioctl(s, SIOCGIFADDR, &r));
	ok(((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK),
	   "SIOCGIFADDR");
	need(!ioctl(s, SIOCGIFNETMASK, &r));
	ok(((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr == htonl(0xff000000),
	   "SIOCGIFNETMASK");
	need(!ioctl(s, SIOCGIFBRDADDR, &r));
	ok(((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr == 0, "SIOCGIFBRDADDR");
	ok(!ioctl(s, SIOCGIFTXQLEN, &r) && r.ifr_qlen == 1000, "SIOCGIFTXQLEN");
	need(!ioctl(s, SIOCGIFCONF, &c));
	for (int i = 0; i < c.ifc_len / (int)sizeof(*list); i++)
		found |= !strcmp(list[i].ifr_name, "lo");
	ok(found, "SIOCGIFCONF has lo");
	c.ifc_buf = NULL;
	c.ifc_len = 0;
	ok(!ioctl(s, SIOCGIFCONF, &c) && c.ifc_len >= (int)sizeof(*list), "and tells the size");
	strcpy(r.ifr_name, "nosuch0");
	is_err(ioctl(s, SIOCGIFFLAGS, &r), ENODEV, "no such interface");
	is_err(ioctl(s, SIOCGIFFLAGS, BAD_PTR), EFAULT, "a bad address");
	is_err(ioctl(s, 0x5999, &r), ENOTTY, "no such ioctl");
	r.ifr_ifindex = 9999;
	is_err(ioctl(s, SIOCGIFNAME, &r), ENODEV, "no such index");
	is_int(if_nametoindex("lo"), 1, "if_nametoindex");
	ok(if_indextoname(1, name) && !strcmp(name, "lo"), "if_indextoname");
	close(s);
}

int main(void)
{
	tap_begin();
	names();
	memberships();
	acknowledgement();
	dump_links();
	one_link();
	two_requests();
	addresses();
	routes();
	requests_of_interfaces();
	if (getuid() == 0)
		child_ok(in_namespace, "changes and events");
	return tap_end();
}
