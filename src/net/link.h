#pragma once

/* The one network interface, lo, and its addresses. */

#include <linux/if.h>

#include "base/types.h"
#include "sched/lock_order.h"

struct inet_end;
struct sock;
struct subject;

#define LO_INDEX 1U
#define LO_NAME "lo"
#define LO_TYPE 772 /* ARPHRD_LOOPBACK */
#define LINK_ADDRS_MAX 32U

struct link_addr {
	u8 addr[16]; /* IPv4 v4-mapped */
	u8 prefix; /* bits, of IPv4's 32 or IPv6's 128 */
	u8 scope; /* RT_SCOPE_* */
	bool v4;
};

/* Within the network namespace's root; its lock protects all. */
struct net_link {
	bool up;
	u32 mtu, txqlen;
	u32 addr_count;
	struct link_addr addrs[LINK_ADDRS_MAX];
};

/* Is value, of size bytes, which may lack a NUL, this name? */
bool net_is_name(const void *value, u32 size, const char *name);
void link_init(struct net_link *l);
/* A copy of it. */
void link_get(struct net_link *ret);
u32 link_flags(const struct net_link *l); /* IFF_* */
/* IFF_* of flags where mask has them; only IFF_UP has an effect. Tells listeners of changes. */
void link_set_flags(u32 flags, u32 mask);
[[nodiscard]] int link_set_mtu(s64 mtu); /* -EINVAL */
[[nodiscard]] int link_set_txqlen(s64 len); /* -ERANGE */
/* -EEXIST, -ENOSPC, -EINVAL (prefix). */
[[nodiscard]] int link_add_addr(const struct link_addr *a);
/* The one with a's address, and its prefix unless that is 0: -EADDRNOTAVAIL. */
[[nodiscard]] int link_del_addr(const struct link_addr *a);
/* The IPv4 netmask of a prefix, and the first IPv4 address, in network order. */
u32 link_netmask(u32 prefix);
const struct link_addr *link_first_v4(const struct net_link *l); /* or null */
u32 link_addr_v4(const struct link_addr *a);

/* SIOCGIF*, SIOCSIF* on any socket. -ENOTTY if cmd is none of them. */
[[nodiscard]] long link_ioctl(struct subject *s, struct sock *sk, u32 cmd, u64 arg);
