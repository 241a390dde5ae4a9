#pragma once

/* What there is in the network, for those who print it. */

#include <sys/un.h>

#include "base/types.h"

struct sock_info {
	u16 family, type;
	u32 protocol;
	u8 state; /* TCP, UDP: TCP_ESTABLISHED and so on; unix: 1 unconnected, 3 connected */
	bool listening, named;
	u32 uid, refs;
	u64 inode; /* 0: no file */
	u64 receive, send; /* bytes in queues; of a listener: connections, backlog */
	u8 local[16], remote[16]; /* IPv4 v4-mapped */
	u16 local_port, remote_port;
	u32 name_size; /* of name, without the family; unix */
	char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	u32 port, groups; /* netlink */
};

/*
 * All sockets of a family, and of a protocol (0: any): *ret has *ret_count, and is to be given to
 * arena_free. Those without a port or (of netlink) a name are left out. At most max. -ENOMEM.
 */
[[nodiscard]] int net_list_socks(int family, u32 protocol, u32 max, struct sock_info **ret,
				 u32 *ret_count);
