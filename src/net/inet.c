/*
 * Addresses and ports of inet sockets. The only network is the loopback: 127.0.0.0/8, ::1 and what
 * lo was given else.
 *
 * IPv4 addresses are kept v4-mapped, whatever the socket's family, so that an IPv6 socket without
 * IPV6_V6ONLY meets those of IPv4. One table for each protocol finds the sockets of a port; another
 * has accepted connections, since they count in bind's conflicts.
 */

#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include "arena/slab.h"
#include "host/host.h"
#include "net/internal.h"
#include "sched/timer.h"

#define PORT_FIRST 32768U /* net.ipv4.ip_local_port_range */
#define PORT_LAST 60999U
#define PORT_PRIVILEGED 1024U

static const u8 g_v4_prefix[12] = { [10] = 0xff, [11] = 0xff };

int inet_create(struct subject *s, int family, int type, int protocol, struct sock **ret)
{
	const struct sock_ops *ops;

	if (protocol < 0 || protocol > 255)
		return -EINVAL;
	switch (type) {
	case SOCK_STREAM:
		if (protocol && protocol != IPPROTO_TCP)
			return -EPROTONOSUPPORT;
		protocol = IPPROTO_TCP;
		ops = OPS(tcp_ops);
		break;
	case SOCK_DGRAM:
		/* As net.ipv4.ping_group_range says. */
		if (protocol == (family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6))
			return -EACCES;
		if (protocol && protocol != IPPROTO_UDP && protocol != IPPROTO_UDPLITE)
			return -EPROTONOSUPPORT;
		protocol = protocol ? protocol : IPPROTO_UDP;
		ops = OPS(udp_ops);
		break;
	case SOCK_RAW:
		return protocol ? -EPERM : -EPROTONOSUPPORT;
	default:
		return -ESOCKTNOSUPPORT;
	}
	*ret = sock_alloc(s, ops, family, type, protocol);
	if (!*ret)
		return -ENOMEM;
	if (family == AF_INET)
		memcpy((*ret)->local.addr, g_v4_prefix, sizeof(g_v4_prefix));
	return 0;
}

static bool is_udp(const struct sock *sk)
{
	return sk->type == SOCK_DGRAM;
}

/* ---- addresses ---- */

bool inet_is_v4(const struct inet_end *e)
{
	return !memcmp(e->addr, g_v4_prefix, sizeof(g_v4_prefix));
}

bool inet_is_any(const struct inet_end *e)
{
	static const u8 zero[16];

	return inet_is_v4(e) ? !memcmp(e->addr + 12, zero, 4) : !memcmp(e->addr, zero, 16);
}

void inet_set_v4(struct inet_end *e, u32 addr)
{
	memcpy(e->addr, g_v4_prefix, sizeof(g_v4_prefix));
	memcpy(e->addr + 12, &addr, sizeof(addr));
}

u32 inet_v4(const struct inet_end *e)
{
	u32 addr;

	memcpy(&addr, e->addr + 12, sizeof(addr));
	return addr;
}

void inet_any_to_loopback(struct inet_end *e)
{
	if (!inet_is_any(e))
		return;
	if (inet_is_v4(e)) {
		e->addr[12] = 127;
		e->addr[15] = 1;
	} else {
		e->addr[15] = 1;
	}
}

int inet_parse(const struct sock *sk, const struct sockname *name, struct inet_end *ret)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (sk->family == AF_INET) {
		if (name->size < sizeof(in))
			return -EINVAL;
		memcpy(&in, name->raw, sizeof(in));
		if (in.sin_family != AF_INET &&
		    (in.sin_family != AF_UNSPEC || in.sin_addr.s_addr != 0))
			return -EAFNOSUPPORT;
		memcpy(ret->addr, g_v4_prefix, sizeof(g_v4_prefix));
		memcpy(ret->addr + 12, &in.sin_addr, 4);
		ret->port = __builtin_bswap16(in.sin_port);
		ret->scope = 0;
		return 0;
	}
	if (name->size < 24) /* without sin6_scope_id */
		return -EINVAL;
	memset(&in6, 0, sizeof(in6));
	memcpy(&in6, name->raw, min((size_t)name->size, sizeof(in6)));
	if (in6.sin6_family != AF_INET6)
		return -EAFNOSUPPORT;
	memcpy(ret->addr, &in6.sin6_addr, sizeof(ret->addr));
	ret->port = __builtin_bswap16(in6.sin6_port);
	ret->scope = in6.sin6_scope_id;
	return 0;
}

void inet_name(const struct sock *sk, const struct inet_end *end, struct sockname *ret)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	if (sk->family == AF_INET) {
		in.sin_port = __builtin_bswap16(end->port);
		memcpy(&in.sin_addr, end->addr + 12, 4);
		memcpy(ret->raw, &in, sizeof(in));
		ret->size = sizeof(in);
		return;
	}
	in6.sin6_port = __builtin_bswap16(end->port);
	memcpy(&in6.sin6_addr, end->addr, sizeof(end->addr));
	memcpy(ret->raw, &in6, sizeof(in6));
	ret->size = sizeof(in6);
}

int inet_route(const struct sock *sk, struct inet_end *to)
{
	/* An IPv6 socket that is bound to an address talks only to its kind. */
	if (sk->family == AF_INET6 && inet_is_v4(to) && sk->v6only)
		return -ENETUNREACH;
	if (sk->family == AF_INET6 && sk->hashed && !inet_is_any(&sk->local) &&
	    inet_is_v4(&sk->local) != inet_is_v4(to) && !inet_is_any(to))
		return inet_is_v4(to) ? -ENETUNREACH : -EINVAL;
	inet_any_to_loopback(to);
	if (inet_is_multicast(to))
		return link_is_up() && is_udp(sk) && multicast_routed(sk, to) ? 0 : -ENETUNREACH;
	return link_is_up() && inet_is_local(to) ? 0 : -ENETUNREACH;
}

int inet_getname(struct sock *sk, bool peer, struct sockname *ret)
{
	struct inet_end end;
	bool have;

	net_lock();
	sock_lock(sk);
	end = peer ? sk->remote : sk->local;
	have = !peer || (sk->remote.port && sk->state == SOCK_STATE_CONNECTED);
	sock_unlock(sk);
	net_unlock();
	if (!have)
		return -ENOTCONN;
	inet_name(sk, &end, ret);
	return 0;
}

/* ---- ports ---- */

struct list *inet_port_bucket(u32 protocol, u16 port)
{
	u32 table = protocol == IPPROTO_TCP ? PORTS_TCP :
		    protocol == IPPROTO_UDP ? PORTS_UDP :
					      PORTS_UDPLITE;

	return &net_root()->ports[table][port % NET_BUCKETS];
}

static struct list *accepted_bucket(u16 port)
{
	return &net_root()->ports[PORTS_TCP_ACCEPTED][port % NET_BUCKETS];
}

/* Does sk's unspecified address stand for e's kind too? */
static bool covers(const struct sock *sk, const struct inet_end *e)
{
	if (sk->family == AF_INET)
		return inet_is_v4(e);
	return inet_is_v4(&sk->local) == inet_is_v4(e) || (!inet_is_v4(e) ? true : !sk->v6only);
}

static bool overlap(const struct sock *a, const struct sock *b, const struct inet_end *b_local)
{
	bool a_any = inet_is_any(&a->local), b_any = inet_is_any(b_local);

	if (!a_any && !b_any)
		return !memcmp(a->local.addr, b_local->addr, 16);
	if (a_any && b_any)
		return inet_is_v4(&a->local) == inet_is_v4(b_local) ||
		       (inet_is_v4(&a->local) ? !b->v6only : !a->v6only);
	if (a_any)
		return covers(a, b_local);
	return inet_is_v4(b_local) == inet_is_v4(&a->local) ||
	       (!inet_is_v4(b_local) && !b->v6only && inet_is_v4(&a->local));
}

static bool is_listening(struct sock *sk)
{
	bool ret;

	sock_lock(sk);
	ret = sk->state == SOCK_STATE_LISTENING;
	sock_unlock(sk);
	return ret;
}

/* May sk be bound to local beside other? */
static bool conflicts(struct sock *other, const struct sock *sk, const struct inet_end *local)
{
	bool reuse = sock_opt_get(sk, SOL_SOCKET, SO_REUSEADDR) &&
		     sock_opt_get(other, SOL_SOCKET, SO_REUSEADDR);
	bool share = sock_opt_get(sk, SOL_SOCKET, SO_REUSEPORT) &&
		     sock_opt_get(other, SOL_SOCKET, SO_REUSEPORT) && other->uid == sk->uid;

	if (other == sk || !overlap(other, sk, local))
		return false;
	if (share)
		return false;
	return !reuse || (!is_udp(sk) && is_listening(other));
}

/* ---- ports of connections that have ended ---- */

#define TIME_WAIT 60'000'000'000LL /* ns */
#define TIME_WAITS_MAX 4096U

/* What is left of a socket that ended its connection first. */
struct time_wait {
	struct list link; /* [root->lock] */
	struct inet_end local; /* [I] */
	s64 expires; /* [I] */
	bool reuse; /* [I] it had SO_REUSEADDR */
};

SLAB_CLASS(time_wait, struct time_wait);

static void time_wait_drop(struct time_wait *w) REQUIRES(lc_net)
{
	list_del(&w->link);
	net_root()->time_wait_count--;
	slab_free(&slab_time_wait, w);
}

void inet_time_wait(struct sock *sk)
{
	struct net_root *root = net_root();
	s64 now = sched_now();
	struct time_wait *w;

	net_lock();
	while (!list_empty(&root->time_waits)) {
		w = list_first(&root->time_waits, struct time_wait, link);
		if (w->expires > now && root->time_wait_count < TIME_WAITS_MAX)
			break;
		time_wait_drop(w);
	}
	w = sk->hashed ? slab_alloc(&slab_time_wait) : NULL;
	if (w) {
		w->local = sk->local;
		w->expires = now + TIME_WAIT;
		w->reuse = sock_opt_get(sk, SOL_SOCKET, SO_REUSEADDR);
		list_add_tail(&root->time_waits, &w->link);
		root->time_wait_count++;
	}
	net_unlock();
}

/* Does the end of an earlier connection forbid that sk is bound to local? */
static bool time_wait_conflicts(const struct sock *sk, const struct inet_end *local, s64 now)
	REQUIRES(lc_net)
{
	bool reuse = sock_opt_get(sk, SOL_SOCKET, SO_REUSEADDR);
	const struct time_wait *w;

	if (is_udp(sk))
		return false;
	list_for_each(w, &net_root()->time_waits, link)
		if (w->local.port == local->port && w->expires > now && !(reuse && w->reuse) &&
		    (inet_is_any(local) || !memcmp(w->local.addr, local->addr, 16)))
			return true;
	return false;
}

static bool port_free_in(const struct list *bucket, const struct sock *sk,
			 const struct inet_end *local, bool alone) REQUIRES(lc_net)
{
	struct sock *other;

	list_for_each(other, bucket, name_link)
		if (other->local.port == local->port && (alone || conflicts(other, sk, local)))
			return false;
	return true;
}

static bool port_free(const struct sock *sk, const struct inet_end *local, bool alone)
	REQUIRES(lc_net)
{
	return port_free_in(inet_port_bucket(sk->protocol, local->port), sk, local, alone) &&
	       (is_udp(sk) || port_free_in(accepted_bucket(local->port), sk, local, alone));
}

/* A port that nobody has, or 0. */
static u16 port_pick(const struct sock *sk, const struct inet_end *local, u64 random)
	REQUIRES(lc_net)
{
	struct inet_end try = *local;
	u32 count = PORT_LAST - PORT_FIRST + 1;

	for (u32 i = 0; i < count; i++) {
		try.port = (u16)(PORT_FIRST + (random + i) % count);
		if (port_free(sk, &try, true))
			return try.port;
	}
	return 0;
}

static void port_take(struct sock *sk, const struct inet_end *local, struct list *bucket)
	REQUIRES(lc_net)
{
	if (sk->hashed)
		list_del(&sk->name_link);
	sk->local = *local;
	sk->hashed = true;
	list_add(bucket, &sk->name_link);
}

/* Bind to *local; port 0: any. */
static int bind_to(struct sock *sk, struct inet_end *local)
{
	u64 random = host_random_u64();
	s64 now = sched_now();
	int err = 0;

	net_lock();
	if (sk->hashed)
		err = -EINVAL;
	else if (local->port &&
		 (!port_free(sk, local, false) || time_wait_conflicts(sk, local, now)))
		err = -EADDRINUSE;
	else if (!local->port)
		local->port = port_pick(sk, local, random);
	if (!err && !local->port)
		err = -EADDRINUSE;
	if (!err)
		port_take(sk, local, inet_port_bucket(sk->protocol, local->port));
	net_unlock();
	return err;
}

int inet_bind(struct subject *s, struct sock *sk, const struct sockname *name)
{
	struct inet_end local;
	int err = inet_parse(sk, name, &local);
	bool port_given;

	if (err)
		return err;
	port_given = local.port != 0;
	if (!inet_is_any(&local) && !inet_is_local(&local) &&
	    !(is_udp(sk) && inet_is_multicast(&local)) &&
	    !sock_opt_get(sk, IPPROTO_IP, IP_FREEBIND))
		return -EADDRNOTAVAIL;
	if (sk->family == AF_INET6 && inet_is_v4(&local) && sk->v6only)
		return -EINVAL;
	if (local.port && local.port < PORT_PRIVILEGED && !subject_capable(s, CAP_NET_BIND_SERVICE))
		return -EACCES;
	sock_lock(sk);
	err = sk->state == SOCK_STATE_NEW ? 0 : -EINVAL;
	sock_unlock(sk);
	if (!err)
		err = bind_to(sk, &local);
	if (err)
		return err;
	net_lock();
	sk->addr_given = !inet_is_any(&local);
	sk->port_given = port_given;
	net_unlock();
	return 0;
}

int inet_autobind(struct sock *sk)
{
	struct inet_end local;
	int err;

	net_lock();
	local = sk->local;
	err = sk->hashed ? -EALREADY : 0;
	net_unlock();
	if (err)
		return 0;
	local.port = 0;
	err = bind_to(sk, &local);
	return err == -EADDRINUSE ? -EAGAIN : err == -EINVAL ? 0 : err;
}

int inet_listen_check(struct sock *sk)
{
	int err = inet_autobind(sk);
	struct sock *other;

	if (err)
		return err;
	net_lock();
	list_for_each(other, inet_port_bucket(sk->protocol, sk->local.port), name_link)
		if (other->local.port == sk->local.port && is_listening(other) &&
		    conflicts(other, sk, &sk->local))
			err = -EADDRINUSE;
	net_unlock();
	return err;
}

void inet_unbind(struct sock *sk)
{
	net_lock();
	if (sk->hashed) {
		list_del(&sk->name_link);
		sk->hashed = false;
	}
	net_unlock();
}

void inet_unbind_auto(struct sock *sk)
{
	net_lock();
	if (sk->hashed && !sk->port_given) {
		list_del(&sk->name_link);
		sk->hashed = false;
		if (is_udp(sk))
			sk->local.port = 0; /* TCP still tells it */
	}
	net_unlock();
}

void inet_bind_child(struct sock *child, const struct inet_end *local)
{
	net_lock();
	port_take(child, local, accepted_bucket(local->port));
	net_unlock();
}

/* ---- finding ---- */

static bool ends_equal(const struct inet_end *a, const struct inet_end *b)
{
	return a->port == b->port && !memcmp(a->addr, b->addr, sizeof(a->addr));
}

/* How well sk fits what goes from from to to; 0: not at all. */
static int score(struct sock *sk, const struct inet_end *to, const struct inet_end *from)
{
	int points = 1;

	if (sk->local.port != to->port)
		return 0;
	if (!inet_is_any(&sk->local)) {
		if (memcmp(sk->local.addr, to->addr, sizeof(to->addr)) != 0)
			return 0;
		points += 2;
	} else if (!covers(sk, to)) {
		return 0;
	} else if (inet_is_v4(&sk->local) == inet_is_v4(to)) {
		points += 1;
	}
	sock_lock(sk);
	if (sk->dead || (!is_udp(sk) && sk->state != SOCK_STATE_LISTENING))
		points = 0;
	else if (is_udp(sk) && sk->remote.port)
		points = ends_equal(&sk->remote, from) ? points + 4 : 0;
	sock_unlock(sk);
	return points;
}

struct sock *inet_lookup(u32 protocol, const struct inet_end *to, const struct inet_end *from)
{
	const struct list *bucket = inet_port_bucket(protocol, to->port);
	struct sock *sk, *best = NULL;
	u32 equal = 0, choice;
	int most = 0;

	net_lock();
	list_for_each(sk, bucket, name_link) {
		int points = score(sk, to, from);

		if (points > most) {
			most = points;
			best = sk;
			equal = 1;
		} else if (most && points == most) {
			equal++;
		}
	}
	/* Those that share a port by SO_REUSEPORT share the peers too. */
	choice = equal > 1 ? (u32)(hash_u64(from->port) % equal) : 0;
	if (choice) {
		list_for_each(sk, bucket, name_link) {
			if (score(sk, to, from) == most && !choice--) {
				best = sk;
				break;
			}
		}
	}
	if (best)
		sock_get(best);
	net_unlock();
	return best;
}
