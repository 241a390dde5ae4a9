/*
 * Multicast on lo: which sockets are members of which groups, and who gets what is sent to a group.
 * Sources: ip(7), ipv6(7), net/ipv4/igmp.c for errors.
 *
 * Not as in Linux: only members get what is sent to a group (as if IP_MULTICAST_ALL were 0), and
 * the sender's IP_MULTICAST_LOOP does not matter. Membership by source is not there.
 */

#include <errno.h>
#include <string.h>

#include "arena/slab.h"
#include "net/internal.h"

#define MEMBERSHIPS_MAX 20U /* net.ipv4.igmp_max_memberships */

struct membership {
	struct list link; /* [root->lock] in its socket's */
	u8 group[16]; /* [I] */
};

SLAB_CLASS(membership, struct membership);

bool inet_is_multicast(const struct inet_end *e)
{
	return inet_is_v4(e) ? (e->addr[12] & 0xf0) == 0xe0 : e->addr[0] == 0xff;
}

static struct membership *find(const struct sock *sk, const struct inet_end *group, u32 *ret_count)
	REQUIRES(lc_net)
{
	struct membership *m, *found = NULL;

	*ret_count = 0;
	list_for_each(m, &sk->memberships, link) {
		++*ret_count;
		if (!memcmp(m->group, group->addr, sizeof(m->group)))
			found = m;
	}
	return found;
}

static int join(struct sock *sk, const struct inet_end *group)
{
	struct membership *m = slab_alloc(&slab_membership);
	int err = 0;
	u32 count;

	if (!m)
		return -ENOBUFS;
	memcpy(m->group, group->addr, sizeof(m->group));
	net_lock();
	if (find(sk, group, &count))
		err = -EADDRINUSE;
	else if (count >= MEMBERSHIPS_MAX)
		err = -ENOBUFS;
	else
		list_add_tail(&sk->memberships, &m->link);
	net_unlock();
	if (err)
		slab_free(&slab_membership, m);
	return err;
}

static int leave(struct sock *sk, const struct inet_end *group)
{
	struct membership *m;
	u32 count;

	net_lock();
	m = find(sk, group, &count);
	if (m)
		list_del(&m->link);
	net_unlock();
	slab_free(&slab_membership, m);
	return m ? 0 : -EADDRNOTAVAIL;
}

void multicast_release(struct sock *sk)
{
	struct membership *m, *next;

	net_lock();
	list_for_each_safe(m, next, &sk->memberships, link) {
		list_del(&m->link);
		slab_free(&slab_membership, m);
	}
	net_unlock();
}

/* ---- options ---- */

static int change(struct sock *sk, const struct inet_end *group, u32 index, bool add)
{
	if (!inet_is_multicast(group) || (sk->family == AF_INET && !inet_is_v4(group)))
		return -EINVAL;
	if (add && index != LO_INDEX)
		return -ENODEV;
	return add ? join(sk, group) : leave(sk, group);
}

/* The interface that index (if not 0) or addr names: 0 if none. */
static u32 interface_of(u32 index, u32 addr)
{
	struct inet_end e;

	if (index)
		return index;
	inet_set_v4(&e, addr);
	return addr && inet_is_local(&e) ? LO_INDEX : 0;
}

/* struct ip_mreqn or the shorter ip_mreq. */
static int option4(struct sock *sk, int name, const void *value, u32 size)
{
	struct ip_mreqn m = {};
	struct inet_end group;

	if (size < sizeof(struct ip_mreq))
		return -EINVAL;
	memcpy(&m, value, min((size_t)size, sizeof(m)));
	inet_set_v4(&group, m.imr_multiaddr.s_addr);
	return change(sk, &group, interface_of((u32)m.imr_ifindex, m.imr_address.s_addr),
		      name == IP_ADD_MEMBERSHIP);
}

static int option6(struct sock *sk, int name, const void *value, u32 size)
{
	struct inet_end group = {};
	struct ipv6_mreq m;

	if (size < sizeof(m))
		return -EINVAL;
	memcpy(&m, value, sizeof(m));
	memcpy(group.addr, &m.ipv6mr_multiaddr, sizeof(group.addr));
	return change(sk, &group, m.ipv6mr_interface ? m.ipv6mr_interface : LO_INDEX,
		      name == IPV6_JOIN_GROUP);
}

static int option_generic(struct sock *sk, int name, const void *value, u32 size)
{
	struct inet_end group;
	struct sockname to = {};
	struct group_req g;
	int err;

	if (size < sizeof(g))
		return -EINVAL;
	memcpy(&g, value, sizeof(g));
	memcpy(&to.storage, &g.gr_group, sizeof(to.storage));
	to.size = sizeof(to.storage);
	err = inet_parse(sk, &to, &group);
	return err ? err : change(sk, &group, g.gr_interface, name == MCAST_JOIN_GROUP);
}

static int set_interface(struct sock *sk, const void *value, u32 size)
{
	struct ip_mreqn m = {};
	u32 index;

	if (size < sizeof(struct in_addr))
		return -EINVAL;
	if (size < sizeof(struct ip_mreq))
		memcpy(&m.imr_address, value, sizeof(m.imr_address));
	else
		memcpy(&m, value, min((size_t)size, sizeof(m)));
	index = interface_of((u32)m.imr_ifindex, m.imr_address.s_addr);
	if (index > LO_INDEX || (!index && m.imr_address.s_addr))
		return -EADDRNOTAVAIL;
	sk->multicast_if = index;
	return 0;
}

int multicast_setopt(struct sock *sk, int level, int name, const void *value, u32 size)
{
	bool v6 = sk->family == AF_INET6;

	if (level == IPPROTO_IP && (name == IP_ADD_MEMBERSHIP || name == IP_DROP_MEMBERSHIP))
		return sk->type == SOCK_STREAM ? -EPROTO : option4(sk, name, value, size);
	if (level == IPPROTO_IP && name == IP_MULTICAST_IF)
		return sk->type == SOCK_STREAM ? -EINVAL : set_interface(sk, value, size);
	if (level == IPPROTO_IPV6 && v6 && (name == IPV6_JOIN_GROUP || name == IPV6_LEAVE_GROUP))
		return sk->type == SOCK_STREAM ? -EPROTO : option6(sk, name, value, size);
	if ((level == IPPROTO_IP || (level == IPPROTO_IPV6 && v6)) &&
	    (name == MCAST_JOIN_GROUP || name == MCAST_LEAVE_GROUP))
		return sk->type == SOCK_STREAM ? -EPROTO : option_generic(sk, name, value, size);
	return 1;
}

/* ---- sending ---- */

bool multicast_routed(const struct sock *sk, const struct inet_end *to)
{
	if (inet_is_v4(to))
		return sk->multicast_if == LO_INDEX;
	return to->scope == LO_INDEX ||
	       sock_opt_get(sk, IPPROTO_IPV6, IPV6_MULTICAST_IF) == LO_INDEX;
}

u32 multicast_receivers(u32 protocol, const struct inet_end *to, struct sock **ret, u32 max)
{
	struct sock *sk;
	u32 n = 0, count;

	net_lock();
	list_for_each(sk, inet_port_bucket(protocol, to->port), name_link) {
		if (n == max)
			break;
		if (sk->local.port == to->port && find(sk, to, &count) &&
		    (inet_is_any(&sk->local) ||
		     !memcmp(sk->local.addr, to->addr, sizeof(to->addr))))
			ret[n++] = sock_get(sk);
	}
	net_unlock();
	return n;
}
