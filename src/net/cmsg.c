/* Control messages of inet sockets, and about time. Sources: ip(7), ipv6(7), RFC 3542, socket(7).
 */

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "net/internal.h"
#include "time/clock.h"

#define NS_PER_SEC 1'000'000'000LL

void net_msg_put(struct net_msg *msg, int level, int type, const void *data, u32 size)
{
	struct net_cmsg *c;

	if (msg->cmsg_count >= NET_CMSGS_MAX || size > sizeof(c->data))
		return;
	c = &msg->cmsgs[msg->cmsg_count++];
	c->level = level;
	c->type = type;
	c->size = size;
	memcpy(c->data, data, size);
}

void sock_put_timestamp(struct sock *sk, struct net_msg *msg)
{
	struct timespec ts;
	struct timeval tv;
	s64 now;

	if (!sock_opt_get(sk, SOL_SOCKET, SO_TIMESTAMP) &&
	    !sock_opt_get(sk, SOL_SOCKET, SO_TIMESTAMPNS))
		return;
	now = guest_clock_now(CLOCK_REALTIME);
	ts = (struct timespec){ .tv_sec = now / NS_PER_SEC, .tv_nsec = now % NS_PER_SEC };
	tv = (struct timeval){ .tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000 };
	if (sock_opt_get(sk, SOL_SOCKET, SO_TIMESTAMPNS))
		net_msg_put(msg, SOL_SOCKET, SO_TIMESTAMPNS, &ts, sizeof(ts));
	else
		net_msg_put(msg, SOL_SOCKET, SO_TIMESTAMP, &tv, sizeof(tv));
}

static void put_cmsgs4(struct sock *sk, const struct skb *b, struct net_msg *msg)
{
	struct in_pktinfo info = { .ipi_ifindex = LO_INDEX };
	int ttl = b->ttl;

	if (sock_opt_get(sk, IPPROTO_IP, IP_PKTINFO)) {
		memcpy(&info.ipi_addr, b->inet_to.addr + 12, 4);
		info.ipi_spec_dst = info.ipi_addr;
		net_msg_put(msg, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	}
	if (sock_opt_get(sk, IPPROTO_IP, IP_RECVTTL))
		net_msg_put(msg, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	if (sock_opt_get(sk, IPPROTO_IP, IP_RECVTOS))
		net_msg_put(msg, IPPROTO_IP, IP_TOS, &b->tos, sizeof(b->tos));
}

static void put_cmsgs6(struct sock *sk, const struct skb *b, struct net_msg *msg)
{
	struct in6_pktinfo info = { .ipi6_ifindex = LO_INDEX };
	int hops = b->ttl, class = b->tos;
	bool v4 = inet_is_v4(&b->inet_to);

	if (sock_opt_get(sk, IPPROTO_IPV6, IPV6_RECVPKTINFO)) {
		memcpy(&info.ipi6_addr, b->inet_to.addr, sizeof(info.ipi6_addr));
		net_msg_put(msg, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
	if (!v4 && sock_opt_get(sk, IPPROTO_IPV6, IPV6_RECVHOPLIMIT))
		net_msg_put(msg, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof(hops));
	if (!v4 && sock_opt_get(sk, IPPROTO_IPV6, IPV6_RECVTCLASS))
		net_msg_put(msg, IPPROTO_IPV6, IPV6_TCLASS, &class, sizeof(class));
}

void inet_put_cmsgs(struct sock *sk, const struct skb *b, struct net_msg *msg)
{
	if (sk->family == AF_INET6)
		put_cmsgs6(sk, b, msg);
	if (inet_is_v4(&b->inet_to))
		put_cmsgs4(sk, b, msg);
}

/* ---- sending ---- */

/* An address to send from, at interface index (0: any). */
static int set_source(struct net_ctl *ctl, const struct inet_end *src, u32 index)
{
	if (index && index != LO_INDEX)
		return -ENODEV;
	if (inet_is_any(src))
		return 0;
	if (!inet_is_local(src))
		return -EINVAL;
	ctl->has_src = true;
	memcpy(ctl->src, src->addr, sizeof(ctl->src));
	return 0;
}

static int send_cmsg4(int type, const void *data, size_t size, struct net_ctl *ctl)
{
	struct in_pktinfo info;
	struct inet_end src;
	int value = 0;

	switch (type) {
	case IP_PKTINFO:
		if (size != sizeof(info))
			return -EINVAL;
		memcpy(&info, data, sizeof(info));
		inet_set_v4(&src, info.ipi_spec_dst.s_addr);
		return set_source(ctl, &src, (u32)info.ipi_ifindex);
	case IP_TTL:
		if (size != sizeof(value))
			return -EINVAL;
		memcpy(&value, data, sizeof(value));
		if (value < 1 || value > 255)
			return -EINVAL;
		ctl->has_ttl = true;
		ctl->ttl = value;
		return 0;
	case IP_TOS:
		if (size != sizeof(value) && size != 1)
			return -EINVAL;
		memcpy(&value, data, size);
		if (value < 0 || value > 255)
			return -EINVAL;
		ctl->has_tos = true;
		ctl->tos = value;
		return 0;
	default:
		return -EINVAL;
	}
}

static int send_cmsg6(int type, const void *data, size_t size, struct net_ctl *ctl)
{
	struct in6_pktinfo info;
	struct inet_end src = {};
	int value;

	switch (type) {
	case IPV6_PKTINFO:
		if (size < sizeof(info))
			return -EINVAL;
		memcpy(&info, data, sizeof(info));
		memcpy(src.addr, &info.ipi6_addr, sizeof(src.addr));
		return set_source(ctl, &src, info.ipi6_ifindex);
	case IPV6_HOPLIMIT:
	case IPV6_TCLASS:
		if (size != sizeof(value))
			return -EINVAL;
		memcpy(&value, data, sizeof(value));
		if (value < -1 || value > 255)
			return -EINVAL;
		*(type == IPV6_TCLASS ? &ctl->has_tos : &ctl->has_ttl) = true;
		*(type == IPV6_TCLASS ? &ctl->tos : &ctl->ttl) = value;
		return 0;
	default:
		return -EINVAL;
	}
}

int sock_send_cmsg(const struct file *f, int level, int type, const void *data, size_t size,
		   struct net_ctl *ctl)
{
	const struct sock *sk = file_is_socket(f) ? f->private : NULL;

	if (!sk || sk->family == AF_UNIX || sk->family == AF_NETLINK || sk->type == SOCK_STREAM)
		return 0;
	if (level == IPPROTO_IP && sk->family == AF_INET)
		return send_cmsg4(type, data, size, ctl);
	if (level == IPPROTO_IPV6 && sk->family == AF_INET6)
		return send_cmsg6(type, data, size, ctl);
	return 0;
}
