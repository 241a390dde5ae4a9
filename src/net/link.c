/* The network interface lo, and the ioctls that show and change interfaces. Source: netdevice(7).
 */

#include "net/link.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <string.h>

#include "cred/cred.h"
#include "mm/mm.h"
#include "net/internal.h"
#include "net/netlink.h"

#define MTU_DEFAULT 65536U
#define MTU_MIN 68
#define TXQLEN_DEFAULT 1000U

void link_init(struct net_link *l)
{
	struct inet_end v4;

	l->up = true;
	l->mtu = MTU_DEFAULT;
	l->txqlen = TXQLEN_DEFAULT;
	l->addr_count = 2;
	inet_set_v4(&v4, __builtin_bswap32(0x7f000001));
	l->addrs[0] = (struct link_addr){ .prefix = 8, .scope = RT_SCOPE_HOST, .v4 = true };
	memcpy(l->addrs[0].addr, v4.addr, sizeof(v4.addr));
	l->addrs[1] = (struct link_addr){ .prefix = 128, .scope = RT_SCOPE_HOST };
	l->addrs[1].addr[15] = 1;
}

void link_get(struct net_link *ret)
{
	net_lock();
	*ret = net_root()->lo;
	net_unlock();
}

u32 link_flags(const struct net_link *l)
{
	return IFF_LOOPBACK | (l->up ? IFF_UP | IFF_RUNNING | IFF_LOWER_UP : 0);
}

u32 link_netmask(u32 prefix)
{
	return prefix ? __builtin_bswap32(~0U << (32 - prefix)) : 0;
}

u32 link_addr_v4(const struct link_addr *a)
{
	u32 v4;

	memcpy(&v4, a->addr + 12, sizeof(v4));
	return v4;
}

bool net_is_name(const void *value, u32 size, const char *name)
{
	size_t len = strlen(name);

	return strnlen(value, size) == len && !memcmp(value, name, len);
}

const struct link_addr *link_first_v4(const struct net_link *l)
{
	for (u32 i = 0; i < l->addr_count; i++)
		if (l->addrs[i].v4)
			return &l->addrs[i];
	return NULL;
}

/* Does a make e a local address? Of IPv4, lo has all addresses of its networks. */
static bool addr_covers(const struct link_addr *a, const struct inet_end *e)
{
	struct inet_end end;
	u32 mask;

	memcpy(end.addr, a->addr, sizeof(end.addr));
	if (!a->v4)
		return !memcmp(end.addr, e->addr, sizeof(end.addr));
	if (!inet_is_v4(e))
		return false;
	mask = link_netmask(a->prefix);
	return (link_addr_v4(a) & mask) == (inet_v4(e) & mask);
}

bool inet_is_local(const struct inet_end *e)
{
	const struct net_link *l = &net_root()->lo;
	bool ret = false;

	net_lock();
	for (u32 i = 0; i < l->addr_count && !ret; i++)
		ret = addr_covers(&l->addrs[i], e);
	net_unlock();
	return ret;
}

bool link_is_up(void)
{
	bool ret;

	net_lock();
	ret = net_root()->lo.up;
	net_unlock();
	return ret;
}

/* ---- changes ---- */

void link_set_flags(u32 flags, u32 mask)
{
	bool up = flags & IFF_UP, changed = false;

	if (!(mask & IFF_UP))
		return;
	net_lock();
	changed = net_root()->lo.up != up;
	net_root()->lo.up = up;
	net_unlock();
	if (changed)
		rtnl_notify_link(IFF_UP);
}

int link_set_mtu(s64 mtu)
{
	if (mtu < 0 || mtu > INT32_MAX)
		return -EINVAL;
	net_lock();
	net_root()->lo.mtu = (u32)mtu;
	net_unlock();
	rtnl_notify_link(0);
	return 0;
}

int link_set_txqlen(s64 len)
{
	if (len < 0 || len > INT32_MAX)
		return -ERANGE;
	net_lock();
	net_root()->lo.txqlen = (u32)len;
	net_unlock();
	rtnl_notify_link(0);
	return 0;
}

static struct link_addr *addr_find(const struct link_addr *a, bool any_prefix) REQUIRES(lc_net)
{
	struct net_link *l = &net_root()->lo;

	for (u32 i = 0; i < l->addr_count; i++)
		if (!memcmp(l->addrs[i].addr, a->addr, sizeof(a->addr)) &&
		    (any_prefix || l->addrs[i].prefix == a->prefix))
			return &l->addrs[i];
	return NULL;
}

int link_add_addr(const struct link_addr *a)
{
	struct net_link *l = &net_root()->lo;
	int err = 0;

	if (a->prefix > (a->v4 ? 32 : 128))
		return -EINVAL;
	net_lock();
	if (addr_find(a, !a->v4))
		err = -EEXIST;
	else if (l->addr_count == LINK_ADDRS_MAX)
		err = -ENOSPC;
	else
		l->addrs[l->addr_count++] = *a;
	net_unlock();
	if (!err)
		rtnl_notify_addr(a, true);
	return err;
}

int link_del_addr(const struct link_addr *a)
{
	struct net_link *l = &net_root()->lo;
	struct link_addr *found, gone;

	net_lock();
	found = addr_find(a, !a->prefix);
	if (found) {
		gone = *found;
		l->addr_count--;
		memmove(found, found + 1,
			(size_t)((char *)&l->addrs[l->addr_count] - (char *)found));
	}
	net_unlock();
	if (!found)
		return -EADDRNOTAVAIL;
	rtnl_notify_addr(&gone, false);
	return 0;
}

/* ---- ioctls ---- */

static void ifr_set_addr(struct ifreq *r, u32 addr)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = addr };

	memcpy(&r->ifr_addr, &in, sizeof(in));
}

/* SIOCGIFCONF: the interfaces that have an IPv4 address. */
static long link_conf(struct subject *s, u64 arg)
{
	struct net_link l;
	struct ifconf c;
	struct ifreq r;
	int done = 0, err;

	err = copy_in(s, &c, UADDR(arg), sizeof(c));
	if (err)
		return err;
	link_get(&l);
	for (u32 i = 0; i < l.addr_count; i++) {
		if (!l.addrs[i].v4)
			continue;
		if (!c.ifc_buf) {
			done += (int)sizeof(r);
			continue;
		}
		if (c.ifc_len - done < (int)sizeof(r))
			break;
		memset(&r, 0, sizeof(r));
		memcpy(r.ifr_name, LO_NAME, sizeof(LO_NAME));
		ifr_set_addr(&r, link_addr_v4(&l.addrs[i]));
		err = copy_out(s, uaddr_add(UADDR((u64)(uintptr_t)c.ifc_buf), (u64)done), &r,
			       sizeof(r));
		if (err)
			return err;
		done += (int)sizeof(r);
	}
	c.ifc_len = done;
	return copy_out(s, UADDR(arg), &c, sizeof(c));
}

/* Is this the name of lo, perhaps with a label? */
static bool name_is_lo(const struct ifreq *r)
{
	size_t len = strnlen(r->ifr_name, sizeof(r->ifr_name));
	const char *colon = memchr(r->ifr_name, ':', len);

	len = colon ? (size_t)(colon - r->ifr_name) : len;
	return len == sizeof(LO_NAME) - 1 && !memcmp(r->ifr_name, LO_NAME, len);
}

/* What belongs to the interface alone. 1: cmd is none of these. */
static int link_get_value(const struct net_link *l, u32 cmd, struct ifreq *r)
{
	switch (cmd) {
	case SIOCGIFFLAGS:
		r->ifr_flags = (short)link_flags(l);
		return 0;
	case SIOCGIFMETRIC:
		r->ifr_metric = 0;
		return 0;
	case SIOCGIFMTU:
		r->ifr_mtu = (int)l->mtu;
		return 0;
	case SIOCGIFHWADDR:
		memset(&r->ifr_hwaddr, 0, sizeof(r->ifr_hwaddr));
		r->ifr_hwaddr.sa_family = LO_TYPE;
		return 0;
	case SIOCGIFINDEX:
		r->ifr_ifindex = LO_INDEX;
		return 0;
	case SIOCGIFTXQLEN:
		r->ifr_qlen = (int)l->txqlen;
		return 0;
	case SIOCGIFMAP:
		memset(&r->ifr_map, 0, sizeof(r->ifr_map));
		return 0;
	case SIOCGIFSLAVE:
		return -EINVAL;
	default:
		return 1;
	}
}

/* What belongs to an IPv4 address. 1: cmd is none of these. */
static int link_get_addr(const struct net_link *l, u32 cmd, struct ifreq *r)
{
	const struct link_addr *a = link_first_v4(l);
	u32 mask;

	if (cmd != SIOCGIFADDR && cmd != SIOCGIFDSTADDR && cmd != SIOCGIFBRDADDR &&
	    cmd != SIOCGIFNETMASK)
		return 1;
	if (!a)
		return -EADDRNOTAVAIL;
	mask = link_netmask(a->prefix);
	if (cmd == SIOCGIFNETMASK)
		ifr_set_addr(r, mask);
	else if (cmd == SIOCGIFBRDADDR)
		ifr_set_addr(r, 0);
	else
		ifr_set_addr(r, link_addr_v4(a));
	return 0;
}

/* 1: cmd is none of these. */
static int link_set_value(const struct sock *sk, u32 cmd, const struct ifreq *r)
{
	switch (cmd) {
	case SIOCSIFFLAGS:
		link_set_flags((u32)r->ifr_flags, IFF_UP);
		return 0;
	case SIOCSIFMTU:
		return link_set_mtu(r->ifr_mtu);
	case SIOCSIFTXQLEN:
		return link_set_txqlen(r->ifr_qlen);
	case SIOCSIFADDR:
	case SIOCSIFNETMASK:
		return sk->family == AF_INET ? -EOPNOTSUPP : 1;
	case SIOCSIFDSTADDR:
	case SIOCSIFBRDADDR:
		return sk->family == AF_INET ? -EINVAL : 1;
	case SIOCSIFMETRIC:
	case SIOCSIFMAP:
		return -EOPNOTSUPP;
	case SIOCSIFHWADDR:
	case SIOCSIFNAME:
	case SIOCADDMULTI:
	case SIOCDELMULTI:
		return -EINVAL;
	default:
		return 1;
	}
}

long link_ioctl(struct subject *s, struct sock *sk, u32 cmd, u64 arg)
{
	struct net_link l;
	struct ifreq r;
	int ret;

	if (cmd == SIOCGIFCONF)
		return link_conf(s, arg);
	if (cmd < SIOCGIFNAME || cmd > SIOCSIFTXQLEN)
		return -ENOTTY;
	ret = copy_in(s, &r, UADDR(arg), sizeof(r));
	if (ret)
		return ret;
	link_get(&l);
	if (cmd == SIOCGIFNAME) {
		if (r.ifr_ifindex != LO_INDEX)
			return -ENODEV;
		memset(r.ifr_name, 0, sizeof(r.ifr_name));
		memcpy(r.ifr_name, LO_NAME, sizeof(LO_NAME));
		return copy_out(s, UADDR(arg), &r, sizeof(r));
	}
	if (!name_is_lo(&r))
		return link_set_value(sk, cmd, &r) != 1 && !subject_capable(s, CAP_NET_ADMIN) ?
			       -EPERM :
			       -ENODEV;
	ret = link_get_value(&l, cmd, &r);
	if (ret == 1 && sk->family == AF_INET)
		ret = link_get_addr(&l, cmd, &r);
	if (!ret)
		return copy_out(s, UADDR(arg), &r, sizeof(r));
	if (ret != 1)
		return ret;
	if (!subject_capable(s, CAP_NET_ADMIN))
		return -EPERM;
	ret = link_set_value(sk, cmd, &r);
	return ret == 1 ? -ENOTTY : ret;
}
