#pragma once

/* AF_NETLINK, of which only NETLINK_ROUTE exists. */

#include <linux/netlink.h>

#include "base/types.h"

struct link_addr;
struct sock;
struct subject;

/* One datagram of replies holds this many bytes at most, so that small buffers receive it whole. */
#define NL_PART 3776U
/* No message of ours is longer. */
#define NL_MESSAGE_MAX 1024U

/* Replies to a request, or an event, being built. */
struct nl_reply {
	struct sock *sk; /* to whom; null: to a group's members */
	const struct nlmsghdr *request; /* null: an event */
	u32 group; /* of an event */
	u32 size; /* bytes of data */
	u32 message; /* where the message that is being built begins */
	bool multi; /* a dump */
	_Alignas(8) char data[NL_PART];
};

/* Begin a message with a body of size bytes: where it is to be written. The part is sent before if
 * it is full. */
void *nl_begin(struct nl_reply *r, u16 type, u32 size);
void nl_attr(struct nl_reply *r, u16 type, const void *data, u32 size);
void nl_attr_u32(struct nl_reply *r, u16 type, u32 value);
void nl_end(struct nl_reply *r);
/* Send what there is. */
void nl_flush(struct nl_reply *r);

/* Answer a request of NETLINK_ROUTE, whose nlmsg_len bytes are there. Returns 0 or an error for the
 * answer; 1: it was a dump and is answered. */
[[nodiscard]] int rtnl_request(struct subject *s, struct nl_reply *r, bool strict);
/* Tell who listens that lo (change: IFF_*) or one of its addresses has changed. No locks. */
void rtnl_notify_link(u32 change);
void rtnl_notify_addr(const struct link_addr *a, bool added);
