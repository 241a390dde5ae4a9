/*
 * Netlink sockets. Sources: netlink(7), net/netlink/af_netlink.c for errors.
 *
 * A request is answered within the send. Not as in Linux: a dump is made at once, not piece by
 * piece as it is received; what SO_RCVBUF does not hold of it is lost (ENOBUFS), as events are.
 */

#include "net/netlink.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/epoll.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "cred/cred.h"
#include "net/internal.h"
#include "sched/fiber.h"

/* Ports that are given to whoever did not choose one, and whose pid is taken. */
#define PORT_FIRST 0x8000'0000U
#define PORT_COUNT 0x7fff'f000U

SLAB_CLASS(nl_sock, struct nl_sock);

int netlink_create(struct subject *s, int type, int protocol, struct sock **ret)
{
	struct nl_sock *nl;

	if (type != SOCK_RAW && type != SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	if (protocol != NETLINK_ROUTE)
		return -EPROTONOSUPPORT;
	nl = slab_alloc(&slab_nl_sock);
	if (!nl)
		return -ENOMEM;
	*ret = sock_alloc(s, OPS(netlink_ops), AF_NETLINK, type, protocol);
	if (!*ret) {
		slab_free(&slab_nl_sock, nl);
		return -ENOMEM;
	}
	(*ret)->nl = nl;
	return 0;
}

static void netlink_release(struct sock *sk, bool embryo)
{
	struct list unread;

	list_init(&unread);
	net_lock();
	list_del(&sk->name_link);
	sk->hashed = false;
	net_unlock();
	sock_lock(sk);
	sk->dead = true;
	list_splice_tail(&unread, &sk->rcvq);
	sk->rcv_count = 0;
	sk->rcv_bytes = 0;
	sock_unlock(sk);
	skbs_destroy(&unread);
}

void netlink_free(struct sock *sk)
{
	slab_free(&slab_nl_sock, sk->nl);
}

/* ---- names ---- */

static bool port_taken(u32 port) REQUIRES(lc_net)
{
	struct sock *other;

	list_for_each(other, &net_root()->netlink, name_link)
		if (other->nl->port == port)
			return true;
	return false;
}

/* A negative number; at random, so that nobody can have made sure that all we try are taken. */
static u32 random_port(struct net_root *root) REQUIRES(lc_net)
{
	u64 n = ++root->netlink_ports;

	return PORT_FIRST + (u32)(hash_bytes(&root->key, &n, sizeof(n)) % PORT_COUNT);
}

/* Name sk port, or any if that is 0. */
static int bind_port(struct subject *s, struct sock *sk, u32 port)
{
	struct net_root *root = net_root();
	int err = 0;

	net_lock();
	if (sk->hashed) {
		err = port && port != sk->nl->port ? -EINVAL : 0;
	} else if (port && port_taken(port)) {
		err = -EADDRINUSE;
	} else {
		if (!port)
			port = s->tgid;
		while (!port || port_taken(port))
			port = random_port(root);
		sk->nl->port = port;
		sk->hashed = true;
		list_add(&net_root()->netlink, &sk->name_link);
	}
	net_unlock();
	return err;
}

static int parse_name(const struct sockname *name, struct sockaddr_nl *ret)
{
	if (name->size < sizeof(*ret))
		return -EINVAL;
	memcpy(ret, name->raw, sizeof(*ret));
	return ret->nl_family == AF_NETLINK ? 0 : -EINVAL;
}

static int netlink_bind(struct subject *s, struct sock *sk, const struct sockname *name)
{
	struct sockaddr_nl nl;
	int err = parse_name(name, &nl);

	if (!err)
		err = bind_port(s, sk, nl.nl_pid);
	if (err)
		return err;
	net_lock();
	sk->nl->groups = (sk->nl->groups & ~0xffff'ffffULL) | nl.nl_groups;
	net_unlock();
	return 0;
}

static int netlink_connect(struct subject *s, struct sock *sk, const struct sockname *name,
			   bool nonblock)
{
	struct sockaddr_nl nl = {};
	int err = 0;

	if (name->sa.sa_family != AF_UNSPEC) {
		err = parse_name(name, &nl);
		if (!err && (nl.nl_pid || nl.nl_groups) && !subject_capable(s, CAP_NET_ADMIN))
			err = -EPERM;
		if (!err)
			err = bind_port(s, sk, 0);
	}
	if (err)
		return err;
	net_lock();
	sk->nl->to_port = nl.nl_pid;
	sk->nl->to_groups = nl.nl_groups;
	net_unlock();
	return 0;
}

static int netlink_getname(struct sock *sk, bool peer, struct sockname *ret)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK };

	net_lock();
	nl.nl_pid = peer ? sk->nl->to_port : sk->nl->port;
	nl.nl_groups = peer ? sk->nl->to_groups : (u32)sk->nl->groups;
	net_unlock();
	memcpy(ret->raw, &nl, sizeof(nl));
	ret->size = sizeof(nl);
	return 0;
}

void netlink_name(const struct skb *b, struct sockname *ret)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK,
				  .nl_groups = b->nl_group ? 1U << (b->nl_group - 1) : 0 };

	memcpy(ret->raw, &nl, sizeof(nl));
	ret->size = sizeof(nl);
}

void netlink_put_cmsgs(struct sock *sk, const struct skb *b, struct net_msg *msg)
{
	struct nl_pktinfo info = { .group = b->nl_group };

	if (sk->nl->flags & 1U << NETLINK_PKTINFO)
		net_msg_put(msg, SOL_NETLINK, NETLINK_PKTINFO, &info, sizeof(info));
}

/* ---- messages to the guest ---- */

/* A message of the kernel's in sk's queue. */
static void nl_queue(struct sock *sk, const struct nl_reply *r)
{
	struct skb *b = skb_create(sk, r->size);
	bool taken = false;

	if (b) {
		memcpy(b->data, r->data, r->size);
		b->nl_group = r->group;
		sock_lock(sk);
		taken = !sk->dead &&
			sk->rcv_bytes + (u64)sk->rcv_count * SKB_OVERHEAD + b->charge <=
				atomic_load(&sk->rcvbuf);
		if (taken)
			sock_queue(sk, b);
		sock_unlock(sk);
		if (!taken)
			skb_destroy(b);
	}
	if (!taken && !(sk->nl->flags & 1U << NETLINK_NO_ENOBUFS))
		sock_set_error(sk, ENOBUFS);
	else
		sock_wake(sk, SOCK_READABLE);
}

static void nl_multicast(const struct nl_reply *r)
{
	u64 bit = 1ULL << (r->group - 1);
	struct sock *sk;

	net_lock();
	list_for_each(sk, &net_root()->netlink, name_link)
		if (sk->nl->groups & bit)
			nl_queue(sk, r);
	net_unlock();
}

void nl_flush(struct nl_reply *r)
{
	if (r->size && r->sk)
		nl_queue(r->sk, r);
	else if (r->size)
		nl_multicast(r);
	r->size = 0;
}

void *nl_begin(struct nl_reply *r, u16 type, u32 size)
{
	struct nlmsghdr h = { .nlmsg_type = type, .nlmsg_flags = r->multi ? NLM_F_MULTI : 0 };

	if (r->request)
		h.nlmsg_seq = r->request->nlmsg_seq;
	if (r->sk)
		h.nlmsg_pid = r->sk->nl->port;
	if (r->size + NL_MESSAGE_MAX > sizeof(r->data))
		nl_flush(r);
	r->message = r->size;
	memcpy(r->data + r->size, &h, sizeof(h));
	memset(r->data + r->size + sizeof(h), 0, NLMSG_ALIGN(size));
	r->size += (u32)sizeof(h) + NLMSG_ALIGN(size);
	return r->data + r->message + sizeof(h);
}

void nl_attr(struct nl_reply *r, u16 type, const void *data, u32 size)
{
	struct rtattr a = { .rta_len = (u16)RTA_LENGTH(size), .rta_type = type };

	if (r->size + RTA_SPACE(size) > sizeof(r->data))
		return;
	memset(r->data + r->size, 0, RTA_SPACE(size));
	memcpy(r->data + r->size, &a, sizeof(a));
	memcpy(r->data + r->size + RTA_LENGTH(0), data, size);
	r->size += (u32)RTA_SPACE(size);
}

void nl_attr_u32(struct nl_reply *r, u16 type, u32 value)
{
	nl_attr(r, type, &value, sizeof(value));
}

void nl_end(struct nl_reply *r)
{
	u32 size = r->size - r->message;

	memcpy(r->data + r->message, &size, sizeof(size));
}

/* ---- requests ---- */

/* The acknowledgement of r's request, or error. */
static void nl_acknowledge(struct nl_reply *r, int error)
{
	/* Only errors repeat the request, and a request too long for that is not repeated. */
	bool capped = !error || r->sk->nl->flags & 1U << NETLINK_CAP_ACK ||
		      r->request->nlmsg_len > NL_MESSAGE_MAX - sizeof(struct nlmsgerr);
	u32 payload = capped ? 0 : r->request->nlmsg_len - NLMSG_HDRLEN;
	struct nlmsgerr e = { .error = error, .msg = *r->request };
	char *body;

	r->multi = false;
	body = nl_begin(r, NLMSG_ERROR, (u32)sizeof(e) + payload);
	memcpy(body, &e, sizeof(e));
	memcpy(body + sizeof(e), (const char *)r->request + NLMSG_HDRLEN, payload);
	nl_end(r);
	if (capped)
		((struct nlmsghdr *)(r->data + r->message))->nlmsg_flags |= NLM_F_CAPPED;
	nl_flush(r);
}

/* One request: h's nlmsg_len bytes are there. */
static void nl_request(struct subject *s, struct sock *sk, const struct nlmsghdr *h,
		       struct nl_reply *r)
{
	int err = 0;

	*r = (struct nl_reply){ .sk = sk, .request = h };
	if (h->nlmsg_flags & NLM_F_REQUEST && h->nlmsg_type >= NLMSG_MIN_TYPE)
		err = rtnl_request(s, r, sk->nl->flags & 1U << NETLINK_GET_STRICT_CHK);
	nl_flush(r);
	if (err < 0 || (!err && h->nlmsg_flags & NLM_F_ACK))
		nl_acknowledge(r, err);
}

/* All requests in buf, which is a copy of what the guest sent. */
static int nl_requests(struct subject *s, struct sock *sk, const char *buf, size_t size)
{
	struct nl_reply *r = arena_alloc(sizeof(*r));
	const struct nlmsghdr *h;
	size_t at = 0;

	if (!r)
		return -ENOBUFS;
	while (size - at >= NLMSG_HDRLEN) {
		h = (const struct nlmsghdr *)(buf + at);
		if (h->nlmsg_len < NLMSG_HDRLEN || h->nlmsg_len > size - at)
			break;
		nl_request(s, sk, h, r);
		at += min((size_t)NLMSG_ALIGN(h->nlmsg_len), size - at);
		fiber_yield();
	}
	arena_free(r);
	return 0;
}

/* Whom msg is for: 0 if it is the kernel. */
static int send_target(struct subject *s, struct sock *sk, const struct net_msg *msg)
{
	struct sockaddr_nl nl = {};
	int err = 0;

	if (msg->to && msg->to->size) {
		err = parse_name(msg->to, &nl);
		if (!err && (nl.nl_pid || nl.nl_groups) && !subject_capable(s, CAP_NET_ADMIN))
			err = -EPERM;
	} else {
		net_lock();
		nl.nl_pid = sk->nl->to_port;
		net_unlock();
	}
	return err ? err : nl.nl_pid ? -ECONNREFUSED : 0;
}

static ssize_t netlink_send(struct subject *s, struct sock *sk, struct net_msg *msg)
{
	u64 size = msg->uio->left;
	ssize_t got;
	char *buf;
	int err;

	if (msg->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (!size)
		return -ENODATA;
	err = send_target(s, sk, msg);
	if (!err)
		err = bind_port(s, sk, 0);
	if (err)
		return err;
	if (size > atomic_load(&sk->sndbuf) - 32)
		return -EMSGSIZE;
	buf = arena_alloc(size);
	if (!buf)
		return -ENOBUFS;
	got = uio_copy_from(msg->uio, buf, size);
	if (got >= 0 && (u64)got < size)
		got = -EFAULT;
	if (got >= 0) {
		err = nl_requests(s, sk, buf, size);
		got = err ? err : got;
	}
	arena_free(buf);
	return got;
}

static int netlink_shutdown(struct sock *sk, u32 how)
{
	return -EOPNOTSUPP;
}

static u32 netlink_poll(struct sock *sk)
{
	u32 events = SOCK_WRITABLE;

	sock_lock(sk);
	if (sk->err)
		events |= EPOLLERR;
	if (!list_empty(&sk->rcvq))
		events |= SOCK_READABLE;
	sock_unlock(sk);
	return events;
}

/* ---- options ---- */

#define NL_FLAGS \
	(1U << NETLINK_PKTINFO | 1U << NETLINK_BROADCAST_ERROR | 1U << NETLINK_NO_ENOBUFS | \
	 1U << NETLINK_CAP_ACK | 1U << NETLINK_EXT_ACK | 1U << NETLINK_GET_STRICT_CHK)

int netlink_setopt(struct subject *s, struct sock *sk, int name, int value)
{
	int err = 0;

	net_lock();
	if (name == NETLINK_ADD_MEMBERSHIP || name == NETLINK_DROP_MEMBERSHIP) {
		if (value < 1 || value > RTNLGRP_MAX)
			err = -EINVAL;
		else if (name == NETLINK_DROP_MEMBERSHIP)
			sk->nl->groups &= ~(1ULL << (value - 1));
		else
			sk->nl->groups |= 1ULL << (value - 1);
	} else if (name == NETLINK_LISTEN_ALL_NSID && !subject_capable(s, CAP_NET_ADMIN)) {
		err = -EPERM;
	} else if (name < 0 || name > 31 || !(NL_FLAGS & 1U << name)) {
		err = name == NETLINK_LISTEN_ALL_NSID ? 0 : -ENOPROTOOPT;
	} else if (value) {
		sk->nl->flags |= 1U << name;
	} else {
		sk->nl->flags &= ~(1U << name);
	}
	net_unlock();
	if (!err && (name == NETLINK_ADD_MEMBERSHIP || name == NETLINK_DROP_MEMBERSHIP))
		err = bind_port(s, sk, 0);
	return err;
}

int netlink_getopt(struct sock *sk, int name, void *value, u32 *size)
{
	u64 groups;
	int on;

	if (name == NETLINK_LIST_MEMBERSHIPS) {
		net_lock();
		groups = sk->nl->groups;
		net_unlock();
		memcpy(value, &groups, min(*size, (u32)sizeof(groups)));
		*size = sizeof(groups);
		return 0;
	}
	if (name < 0 || name > 31 || !(NL_FLAGS & 1U << name))
		return -ENOPROTOOPT;
	if (*size < sizeof(on))
		return -EINVAL;
	net_lock();
	on = (sk->nl->flags & 1U << name) != 0;
	net_unlock();
	memcpy(value, &on, sizeof(on));
	*size = sizeof(on);
	return 0;
}

DEFINE_OPS(struct sock_ops, netlink_ops) = {
	.bind = netlink_bind,
	.connect = netlink_connect,
	.getname = netlink_getname,
	.send = netlink_send,
	.recv = dgram_recv,
	.shutdown = netlink_shutdown,
	.poll = netlink_poll,
	.release = netlink_release,
};
