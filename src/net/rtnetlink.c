/*
 * NETLINK_ROUTE: links, addresses, routes and neighbours of a network that has only lo. Sources:
 * rtnetlink(7), net/core/rtnetlink.c, net/ipv4/devinet.c, fib_frontend.c for errors.
 *
 * lo can be set up and down, its MTU and queue length changed, addresses added and removed. Routes
 * follow from the addresses; other changes are EOPNOTSUPP.
 */

#include <errno.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "cred/cred.h"
#include "net/internal.h"
#include "net/netlink.h"

#define FOREVER 0xffff'ffffU

/* ---- reading requests ---- */

/* Attribute type of a request whose fixed part has fixed bytes: its data, or null. */
static const void *request_attr(const struct nlmsghdr *h, u32 fixed, u16 type, u32 *ret_size)
{
	const char *data = (const char *)h;
	u32 at = NLMSG_HDRLEN + NLMSG_ALIGN(fixed);
	struct rtattr a;

	while (at < h->nlmsg_len && h->nlmsg_len - at >= sizeof(a)) {
		memcpy(&a, data + at, sizeof(a));
		if (a.rta_len < sizeof(a) || a.rta_len > h->nlmsg_len - at)
			return NULL;
		if ((a.rta_type & NLA_TYPE_MASK) == type) {
			*ret_size = a.rta_len - (u32)RTA_LENGTH(0);
			return data + at + RTA_LENGTH(0);
		}
		at += min((u32)RTA_ALIGN(a.rta_len), h->nlmsg_len - at);
	}
	return NULL;
}

static bool request_u32(const struct nlmsghdr *h, u32 fixed, u16 type, u32 *ret)
{
	u32 size;
	const void *data = request_attr(h, fixed, type, &size);

	if (!data || size < sizeof(*ret))
		return false;
	memcpy(ret, data, sizeof(*ret));
	return true;
}

/* The fixed part: size bytes, or fewer (the rest is zero). */
static void request_body(const struct nlmsghdr *h, void *ret, u32 size)
{
	memset(ret, 0, size);
	memcpy(ret, (const char *)h + NLMSG_HDRLEN, min(size, h->nlmsg_len - NLMSG_HDRLEN));
}

static bool request_has(const struct nlmsghdr *h, u32 size)
{
	return h->nlmsg_len >= NLMSG_HDRLEN + size;
}

/* ---- links ---- */

static void put_link_attrs(struct nl_reply *r, const struct net_link *l)
{
	struct rtnl_link_ifmap map = {};
	struct rtnl_link_stats64 stats64 = {};
	struct rtnl_link_stats stats = {};
	u8 mac[6] = {}, zero = 0, one = 1;

	nl_attr(r, IFLA_IFNAME, LO_NAME, sizeof(LO_NAME));
	nl_attr_u32(r, IFLA_TXQLEN, l->txqlen);
	nl_attr(r, IFLA_OPERSTATE, &zero, sizeof(zero));
	nl_attr(r, IFLA_LINKMODE, &zero, sizeof(zero));
	nl_attr_u32(r, IFLA_MTU, l->mtu);
	nl_attr_u32(r, IFLA_MIN_MTU, 0);
	nl_attr_u32(r, IFLA_MAX_MTU, 0);
	nl_attr_u32(r, IFLA_GROUP, 0);
	nl_attr_u32(r, IFLA_PROMISCUITY, 0);
	nl_attr_u32(r, IFLA_NUM_TX_QUEUES, 1);
	nl_attr_u32(r, IFLA_GSO_MAX_SEGS, 65535);
	nl_attr_u32(r, IFLA_GSO_MAX_SIZE, 65536);
	nl_attr_u32(r, IFLA_NUM_RX_QUEUES, 1);
	nl_attr(r, IFLA_CARRIER, &one, sizeof(one));
	nl_attr(r, IFLA_QDISC, "noqueue", sizeof("noqueue"));
	nl_attr_u32(r, IFLA_CARRIER_CHANGES, 0);
	nl_attr(r, IFLA_PROTO_DOWN, &zero, sizeof(zero));
	nl_attr(r, IFLA_MAP, &map, sizeof(map));
	nl_attr(r, IFLA_ADDRESS, mac, sizeof(mac));
	nl_attr(r, IFLA_BROADCAST, mac, sizeof(mac));
	nl_attr(r, IFLA_STATS64, &stats64, sizeof(stats64));
	nl_attr(r, IFLA_STATS, &stats, sizeof(stats));
}

static void put_link(struct nl_reply *r, u32 change)
{
	struct net_link l;
	struct ifinfomsg *m;

	link_get(&l);
	m = nl_begin(r, RTM_NEWLINK, sizeof(*m));
	m->ifi_type = LO_TYPE;
	m->ifi_index = LO_INDEX;
	m->ifi_flags = link_flags(&l);
	m->ifi_change = change;
	put_link_attrs(r, &l);
	nl_end(r);
}

/* Which link a request means. -ENODEV, -EINVAL (none is named). */
static int request_link(const struct nlmsghdr *h, struct ifinfomsg *ret)
{
	const char *name;
	u32 size;

	if (!request_has(h, sizeof(*ret)))
		return -EINVAL;
	request_body(h, ret, sizeof(*ret));
	if (ret->ifi_index)
		return ret->ifi_index == LO_INDEX ? 0 : ret->ifi_index < 0 ? -EINVAL : -ENODEV;
	name = request_attr(h, sizeof(*ret), IFLA_IFNAME, &size);
	if (!name)
		name = request_attr(h, sizeof(*ret), IFLA_ALT_IFNAME, &size);
	if (!name)
		return -EINVAL;
	if (!size || size > IFNAMSIZ)
		return -ERANGE;
	return net_is_name(name, size, LO_NAME) ? 0 : -ENODEV;
}

static int get_link(struct nl_reply *r)
{
	struct ifinfomsg m;
	int err = request_link(r->request, &m);

	if (!err)
		put_link(r, 0);
	return err;
}

/* RTM_NEWLINK, RTM_SETLINK of a link that is there. */
static int set_link(struct nl_reply *r)
{
	const struct nlmsghdr *h = r->request;
	struct ifinfomsg m;
	u32 value;
	int err = request_link(h, &m);

	if (err == -ENODEV && h->nlmsg_flags & NLM_F_CREATE)
		return -EOPNOTSUPP;
	if (err)
		return err;
	if (h->nlmsg_type == RTM_NEWLINK && h->nlmsg_flags & NLM_F_EXCL)
		return -EEXIST;
	if (request_u32(h, sizeof(m), IFLA_MTU, &value))
		err = link_set_mtu(value);
	if (!err && request_u32(h, sizeof(m), IFLA_TXQLEN, &value))
		err = link_set_txqlen(value);
	if (!err)
		link_set_flags(m.ifi_flags, m.ifi_change ? m.ifi_change : m.ifi_flags);
	return err;
}

/* ---- addresses ---- */

static void put_addr_bytes(struct nl_reply *r, u16 type, const struct link_addr *a)
{
	nl_attr(r, type, a->v4 ? a->addr + 12 : a->addr, a->v4 ? 4 : 16);
}

static void put_addr(struct nl_reply *r, u16 type, const struct link_addr *a)
{
	struct ifa_cacheinfo info = { .ifa_prefered = FOREVER, .ifa_valid = FOREVER };
	struct ifaddrmsg *m = nl_begin(r, type, sizeof(*m));

	m->ifa_family = a->v4 ? AF_INET : AF_INET6;
	m->ifa_prefixlen = a->prefix;
	m->ifa_flags = IFA_F_PERMANENT;
	m->ifa_scope = a->scope;
	m->ifa_index = LO_INDEX;
	put_addr_bytes(r, IFA_ADDRESS, a);
	if (a->v4) {
		put_addr_bytes(r, IFA_LOCAL, a);
		nl_attr(r, IFA_LABEL, LO_NAME, sizeof(LO_NAME));
	}
	nl_attr_u32(r, IFA_FLAGS, IFA_F_PERMANENT);
	nl_attr(r, IFA_CACHEINFO, &info, sizeof(info));
	nl_end(r);
}

static void dump_addrs(struct nl_reply *r, u8 family, u32 index)
{
	struct net_link l;

	link_get(&l);
	for (int v4 = 1; v4 >= 0; v4--)
		for (u32 i = 0; i < l.addr_count; i++)
			if (l.addrs[i].v4 == v4 && (!index || index == LO_INDEX) &&
			    (family == AF_UNSPEC || family == (v4 ? AF_INET : AF_INET6)))
				put_addr(r, RTM_NEWADDR, &l.addrs[i]);
}

static int change_addr(struct nl_reply *r)
{
	const struct nlmsghdr *h = r->request;
	bool add = h->nlmsg_type == RTM_NEWADDR;
	struct link_addr a = {};
	struct ifaddrmsg m;
	struct inet_end v4;
	const void *data;
	u32 size;

	if (!request_has(h, sizeof(m)))
		return -EINVAL;
	request_body(h, &m, sizeof(m));
	if (m.ifa_family != AF_INET && m.ifa_family != AF_INET6)
		return -EAFNOSUPPORT;
	if (m.ifa_index != LO_INDEX)
		return -ENODEV;
	data = request_attr(h, sizeof(m), IFA_LOCAL, &size);
	if (!data)
		data = request_attr(h, sizeof(m), IFA_ADDRESS, &size);
	a.v4 = m.ifa_family == AF_INET;
	if (!data || size != (a.v4 ? 4 : 16))
		return -EINVAL;
	a.prefix = m.ifa_prefixlen;
	a.scope = m.ifa_scope;
	if (a.v4) {
		u32 bytes;

		memcpy(&bytes, data, sizeof(bytes));
		inet_set_v4(&v4, bytes);
		memcpy(a.addr, v4.addr, sizeof(a.addr));
	} else {
		memcpy(a.addr, data, sizeof(a.addr));
	}
	return add ? link_add_addr(&a) : link_del_addr(&a);
}

/* ---- routes ---- */

struct route {
	u8 family, dst_size; /* dst_size in bits */
	u8 table, scope, type;
	const void *dst; /* null: none */
	const struct link_addr *src; /* null: none */
	u32 metric;
	bool has_metric;
};

static void put_route(struct nl_reply *r, const struct route *route)
{
	u32 size = route->family == AF_INET ? 4 : 16;
	struct rtmsg *m = nl_begin(r, RTM_NEWROUTE, sizeof(*m));

	m->rtm_family = route->family;
	m->rtm_dst_len = route->dst_size;
	m->rtm_table = route->table;
	m->rtm_protocol = RTPROT_KERNEL;
	m->rtm_scope = route->scope;
	m->rtm_type = route->type;
	nl_attr_u32(r, RTA_TABLE, route->table);
	if (route->dst)
		nl_attr(r, RTA_DST, route->dst, size);
	if (route->has_metric)
		nl_attr_u32(r, RTA_PRIORITY, route->metric);
	if (route->src)
		put_addr_bytes(r, RTA_PREFSRC, route->src);
	nl_attr_u32(r, RTA_OIF, LO_INDEX);
	nl_end(r);
}

static void dump_routes_of4(struct nl_reply *r, const struct link_addr *a)
{
	u32 addr = link_addr_v4(a), mask = link_netmask(a->prefix);
	u32 net = addr & mask, broadcast = addr | ~mask;
	struct route route = { .family = AF_INET,
			       .table = RT_TABLE_LOCAL,
			       .scope = RT_SCOPE_HOST,
			       .type = RTN_LOCAL,
			       .src = a };

	if (a->prefix < 32) {
		route.dst = &net;
		route.dst_size = a->prefix;
		put_route(r, &route);
	}
	route.dst = &addr;
	route.dst_size = 32;
	put_route(r, &route);
	if (a->prefix < 31) {
		route.dst = &broadcast;
		route.type = RTN_BROADCAST;
		route.scope = RT_SCOPE_LINK;
		put_route(r, &route);
	}
}

static void dump_routes_of6(struct nl_reply *r, const struct link_addr *a)
{
	struct route route = { .family = AF_INET6,
			       .dst = a->addr,
			       .dst_size = 128,
			       .table = RT_TABLE_LOCAL,
			       .type = RTN_LOCAL,
			       .has_metric = true };

	put_route(r, &route);
}

static void dump_routes(struct nl_reply *r, u8 family, u32 table)
{
	struct net_link l;

	link_get(&l);
	if (!l.up || (table && table != RT_TABLE_LOCAL))
		return;
	for (int v4 = 1; v4 >= 0; v4--) {
		for (u32 i = 0; i < l.addr_count; i++) {
			if (l.addrs[i].v4 != v4 ||
			    (family != AF_UNSPEC && family != (v4 ? AF_INET : AF_INET6)))
				continue;
			if (v4)
				dump_routes_of4(r, &l.addrs[i]);
			else
				dump_routes_of6(r, &l.addrs[i]);
		}
	}
}

/* The route to one address. */
static int get_route(struct nl_reply *r)
{
	struct route route = { .table = RT_TABLE_LOCAL, .type = RTN_LOCAL };
	struct inet_end to = {};
	struct link_addr src = {};
	struct rtmsg m;
	const void *dst;
	u32 size = 0;

	if (!request_has(r->request, sizeof(m)))
		return -EINVAL;
	request_body(r->request, &m, sizeof(m));
	if (m.rtm_family != AF_INET && m.rtm_family != AF_INET6)
		return -EOPNOTSUPP;
	dst = request_attr(r->request, sizeof(m), RTA_DST, &size);
	if (dst && size != (m.rtm_family == AF_INET ? 4 : 16))
		return -EINVAL;
	if (m.rtm_family == AF_INET) {
		u32 v4 = 0;

		if (dst)
			memcpy(&v4, dst, sizeof(v4));
		inet_set_v4(&to, v4);
	} else if (dst) {
		memcpy(to.addr, dst, sizeof(to.addr));
	}
	inet_any_to_loopback(&to);
	if (!link_is_up() || !inet_is_local(&to))
		return -ENETUNREACH;
	memcpy(src.addr, to.addr, sizeof(src.addr));
	src.v4 = m.rtm_family == AF_INET;
	route.family = m.rtm_family;
	route.dst = src.v4 ? to.addr + 12 : to.addr;
	route.dst_size = src.v4 ? 32 : 128;
	route.src = &src;
	put_route(r, &route);
	return 0;
}

/* ---- requests ---- */

static int rtnl_dump(struct nl_reply *r, bool strict)
{
	const struct nlmsghdr *h = r->request;
	struct rtgenmsg gen;
	struct ifaddrmsg ifa;
	struct rtmsg rtm;
	int *error;

	request_body(h, &gen, sizeof(gen));
	request_body(h, &ifa, sizeof(ifa));
	request_body(h, &rtm, sizeof(rtm));
	r->multi = true;
	switch (h->nlmsg_type) {
	case RTM_GETLINK:
		put_link(r, 0);
		break;
	case RTM_GETADDR:
		dump_addrs(r, gen.rtgen_family, strict ? ifa.ifa_index : 0);
		break;
	case RTM_GETROUTE:
		dump_routes(r, gen.rtgen_family, strict ? rtm.rtm_table : 0);
		break;
	case RTM_GETNEIGH:
		break;
	default:
		return -EOPNOTSUPP;
	}
	error = nl_begin(r, NLMSG_DONE, sizeof(*error));
	*error = 0;
	nl_end(r);
	nl_flush(r);
	return 1;
}

int rtnl_request(struct subject *s, struct nl_reply *r, bool strict)
{
	const struct nlmsghdr *h = r->request;
	bool get = ((h->nlmsg_type - RTM_BASE) & 3) == 2;

	if (h->nlmsg_type > RTM_MAX)
		return -EOPNOTSUPP;
	if (!request_has(h, sizeof(struct rtgenmsg)))
		return 0;
	if (!get && !subject_capable(s, CAP_NET_ADMIN))
		return -EPERM;
	if (get && h->nlmsg_flags & NLM_F_DUMP)
		return rtnl_dump(r, strict);
	switch (h->nlmsg_type) {
	case RTM_GETLINK:
		return get_link(r);
	case RTM_NEWLINK:
	case RTM_SETLINK:
		return set_link(r);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return change_addr(r);
	case RTM_GETROUTE:
		return get_route(r);
	case RTM_GETNEIGH:
		return -ENOENT;
	default:
		return -EOPNOTSUPP;
	}
}

/* ---- events ---- */

void rtnl_notify_link(u32 change)
{
	struct nl_reply r = { .group = RTNLGRP_LINK };

	put_link(&r, change);
	nl_flush(&r);
}

void rtnl_notify_addr(const struct link_addr *a, bool added)
{
	struct nl_reply r = { .group = a->v4 ? RTNLGRP_IPV4_IFADDR : RTNLGRP_IPV6_IFADDR };

	put_addr(&r, added ? RTM_NEWADDR : RTM_DELADDR, a);
	nl_flush(&r);
}
