/* UDP on the loopback. Source: udp(7). A receiver whose buffer is full loses the datagram. */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "net/internal.h"

#define UDP_MAX 65'507U
#define RECEIVERS_MAX 64U /* of what is sent to a group */

static void udp_release(struct sock *sk, bool embryo)
{
	struct list unread;

	list_init(&unread);
	inet_unbind(sk);
	multicast_release(sk);
	sock_lock(sk);
	sk->dead = true;
	sk->shutdown = BOTH_SHUT;
	list_splice_tail(&unread, &sk->rcvq);
	sk->rcv_count = 0;
	sk->rcv_bytes = 0;
	sock_unlock(sk);
	skbs_destroy(&unread);
}

/* A socket of IPv6 takes addresses of IPv4, too. */
static int udp_parse(const struct sock *sk, const struct sockname *name, struct inet_end *ret)
{
	struct sockaddr_in in;

	if (sk->family != AF_INET6 || name->sa.sa_family != AF_INET)
		return inet_parse(sk, name, ret);
	if (name->size < sizeof(in))
		return -EINVAL;
	memcpy(&in, name->raw, sizeof(in));
	inet_set_v4(ret, in.sin_addr.s_addr);
	ret->port = __builtin_bswap16(in.sin_port);
	ret->scope = 0;
	return 0;
}

static int udp_connect(struct subject *s, struct sock *sk, const struct sockname *name,
		       bool nonblock)
{
	struct inet_end to = {};
	int err = 0;

	if (name->sa.sa_family != AF_UNSPEC) {
		err = inet_autobind(sk); /* whatever becomes of it */
		if (!err)
			err = udp_parse(sk, name, &to);
		if (!err)
			err = inet_route(sk, &to);
	}
	if (err)
		return err;
	net_lock();
	if (name->sa.sa_family != AF_UNSPEC && inet_is_any(&sk->local))
		memcpy(sk->local.addr, to.addr, sizeof(to.addr));
	sock_lock(sk);
	sk->remote = to;
	if (name->sa.sa_family == AF_UNSPEC && !sk->addr_given)
		memset(sk->local.addr + (sk->family == AF_INET ? 12 : 0), 0,
		       sk->family == AF_INET ? 4 : 16);
	sk->state = name->sa.sa_family == AF_UNSPEC ? SOCK_STATE_NEW : SOCK_STATE_CONNECTED;
	sock_unlock(sk);
	net_unlock();
	if (name->sa.sa_family == AF_UNSPEC)
		inet_unbind_auto(sk);
	return 0;
}

/* 255.255.255.255, or lo's. */
static bool is_broadcast(const struct inet_end *e)
{
	u32 addr = inet_v4(e);

	return inet_is_v4(e) && (addr == INADDR_BROADCAST || addr == __builtin_bswap32(0x7fffffff));
}

/* Where msg goes. */
static int udp_target(struct sock *sk, const struct net_msg *msg, struct inet_end *ret,
		      bool *ret_connected)
{
	int err = 0;

	*ret_connected = false;
	if (msg->to && msg->to->size) {
		err = udp_parse(sk, msg->to, ret);
		if (!err && !ret->port)
			err = -EINVAL;
		if (!err && is_broadcast(ret) && !sock_opt_get(sk, SOL_SOCKET, SO_BROADCAST))
			err = -EACCES;
		return err ? err : inet_route(sk, ret);
	}
	sock_lock(sk);
	if (sk->state == SOCK_STATE_CONNECTED) {
		*ret = sk->remote;
		*ret_connected = true;
	} else {
		err = -EDESTADDRREQ;
	}
	sock_unlock(sk);
	return err;
}

/* Put b into to's queue, if there is room: the last one may go beyond it. */
static void udp_deliver(struct sock *to, struct skb *b)
{
	bool taken = false;

	sock_lock(to);
	if (!to->dead &&
	    to->rcv_bytes + (u64)to->rcv_count * SKB_OVERHEAD <= atomic_load(&to->rcvbuf)) {
		sock_queue(to, b);
		taken = true;
	}
	sock_unlock(to);
	if (taken)
		sock_wake(to, SOCK_READABLE);
	else
		skb_destroy(b);
}

static int udp_send_checks(struct sock *sk)
{
	int err;

	sock_lock(sk);
	err = sock_take_error_locked(sk);
	if (!err && sk->shutdown & SEND_SHUT)
		err = -EPIPE;
	sock_unlock(sk);
	return err;
}

/* What of IP's header the receiver may ask for. */
static void udp_header(const struct sock *sk, const struct net_msg *msg, struct skb *b)
{
	bool v4 = inet_is_v4(&b->inet_to);
	int ttl = v4 ? sock_opt_get(sk, IPPROTO_IP, IP_TTL) :
		       sock_opt_get(sk, IPPROTO_IPV6, IPV6_UNICAST_HOPS);
	int tos = v4 ? sock_opt_get(sk, IPPROTO_IP, IP_TOS) :
		       sock_opt_get(sk, IPPROTO_IPV6, IPV6_TCLASS);

	if (msg->ctl.has_ttl && msg->ctl.ttl >= 0)
		ttl = msg->ctl.ttl;
	if (msg->ctl.has_tos && msg->ctl.tos >= 0)
		tos = msg->ctl.tos;
	b->ttl = (u8)(ttl < 0 ? 64 : ttl);
	b->tos = (u8)max(tos, 0);
}

/* Send a copy of b to each member of its group. */
static void udp_multicast(struct sock *sk, const struct skb *b)
{
	struct sock *to[RECEIVERS_MAX];
	u32 count = multicast_receivers(sk->protocol, &b->inet_to, to, RECEIVERS_MAX);

	for (u32 i = 0; i < count; i++) {
		struct skb *copy = skb_create(sk, b->size);

		if (copy) {
			memcpy(copy->data, b->data, b->size);
			copy->inet_from = b->inet_from;
			copy->inet_to = b->inet_to;
			copy->ttl = b->ttl;
			copy->tos = b->tos;
			udp_deliver(to[i], copy);
		}
		sock_put(to[i]);
	}
}

/* Send b, which is used up. connected: errors are told. */
static void udp_transmit(struct sock *sk, struct skb *b, bool connected)
{
	struct sock *receiver;

	if (inet_is_multicast(&b->inet_to)) {
		udp_multicast(sk, b);
		skb_destroy(b);
		return;
	}
	receiver = inet_lookup(sk->protocol, &b->inet_to, &b->inet_from);
	if (receiver) {
		udp_deliver(receiver, b);
		sock_put(receiver);
		return;
	}
	skb_destroy(b);
	if (connected)
		sock_set_error(sk, ECONNREFUSED);
}

/* The address that sk sends from when it sends to to. */
static struct inet_end udp_source(struct sock *sk, const struct net_msg *msg,
				  const struct inet_end *to)
{
	struct inet_end from;

	net_lock();
	from = sk->local;
	net_unlock();
	if (msg->ctl.has_src)
		memcpy(from.addr, msg->ctl.src, sizeof(from.addr));
	if (!inet_is_any(&from) && !inet_is_multicast(&from))
		return from;
	memcpy(from.addr, to->addr, sizeof(from.addr));
	if (inet_is_multicast(to)) {
		memset(from.addr + (inet_is_v4(to) ? 12 : 0), 0, inet_is_v4(to) ? 4 : 16);
		inet_any_to_loopback(&from);
	}
	return from;
}

static ssize_t udp_send(struct subject *s, struct sock *sk, struct net_msg *msg)
{
	u64 size = msg->uio->left;
	struct inet_end to;
	bool connected;
	struct skb *b;
	int err = inet_autobind(sk); /* whatever becomes of it */

	if (err)
		return err;
	if (size > UDP_MAX)
		return -EMSGSIZE;
	if (msg->flags & MSG_OOB)
		return -EOPNOTSUPP;
	err = udp_target(sk, msg, &to, &connected);
	if (!err)
		err = udp_send_checks(sk);
	if (err)
		return err;
	b = skb_create(sk, (u32)size);
	if (!b)
		return -ENOBUFS;
	err = skb_fill(b, msg->uio);
	if (err) {
		skb_destroy(b);
		return err;
	}
	b->inet_from = udp_source(sk, msg, &to);
	b->inet_to = to;
	udp_header(sk, msg, b);
	udp_transmit(sk, b, connected);
	return (ssize_t)size;
}

static int udp_shutdown(struct sock *sk, u32 how)
{
	int err = 0;

	sock_lock(sk);
	/* As in Linux, it has its effect all the same. */
	sk->shutdown |= (u8)how;
	if (sk->state != SOCK_STATE_CONNECTED)
		err = -ENOTCONN;
	sock_unlock(sk);
	sock_wake(sk, SOCK_ALL);
	return err;
}

static u32 udp_poll(struct sock *sk)
{
	bool room = sock_send_room(sk);
	u32 events = 0;

	sock_lock(sk);
	if (sk->err)
		events |= EPOLLERR;
	if (sk->shutdown & RCV_SHUT)
		events |= EPOLLRDHUP | SOCK_READABLE;
	if (sk->shutdown == BOTH_SHUT)
		events |= EPOLLHUP;
	if (!list_empty(&sk->rcvq))
		events |= SOCK_READABLE;
	sock_unlock(sk);
	return events | (room ? SOCK_WRITABLE : 0);
}

DEFINE_OPS(struct sock_ops, udp_ops) = {
	.bind = inet_bind,
	.connect = udp_connect,
	.getname = inet_getname,
	.send = udp_send,
	.recv = dgram_recv,
	.shutdown = udp_shutdown,
	.poll = udp_poll,
	.release = udp_release,
};
