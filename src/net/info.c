/* What there is in the network, for those who print it. */

#include "net/info.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "arena/arena.h"
#include "net/internal.h"

static bool listed(const struct sock *sk, int family, u32 protocol)
{
	if (sk->family != family || (protocol && sk->protocol != protocol))
		return false;
	return family == AF_UNIX || sk->hashed;
}

static u32 count_socks(int family, u32 protocol) REQUIRES(lc_net)
{
	struct sock *sk;
	u32 n = 0;

	list_for_each(sk, &net_root()->socks, all_link)
		n += listed(sk, family, protocol);
	return n;
}

static void describe_queues(const struct sock *sk, struct sock_info *ret) REQUIRES(lc_sock)
{
	ret->listening = sk->state == SOCK_STATE_LISTENING;
	ret->receive = ret->listening ? sk->accept_count : sk->rcv_bytes;
	ret->send = ret->listening ? sk->backlog : 0;
}

static void describe_unix(const struct sock *sk, struct sock_info *ret) REQUIRES(lc_sock)
{
	ret->state = sk->peer ? 3 : 1;
	ret->named = sk->addr;
	if (!sk->addr)
		return;
	ret->name_size = sk->addr->size - (u32)offsetof(struct sockaddr_un, sun_path);
	memcpy(ret->name, sk->addr->name.sun_path,
	       min((size_t)ret->name_size, sizeof(sk->addr->name.sun_path)));
}

static void describe_inet(const struct sock *sk, struct sock_info *ret) REQUIRES(lc_net, lc_sock)
{
	memcpy(ret->local, sk->local.addr, sizeof(ret->local));
	memcpy(ret->remote, sk->remote.addr, sizeof(ret->remote));
	ret->local_port = sk->local.port;
	ret->remote_port = sk->remote.port;
	if (sk->type == SOCK_STREAM)
		ret->state = tcp_state(sk);
	else
		ret->state = sk->state == SOCK_STATE_CONNECTED ? TCP_ESTABLISHED : TCP_CLOSE;
}

static void describe(struct sock *sk, struct sock_info *ret) REQUIRES(lc_net)
{
	memset(ret, 0, sizeof(*ret));
	ret->family = sk->family;
	ret->type = sk->type;
	ret->protocol = sk->protocol;
	ret->uid = sk->uid;
	ret->refs = refcount_read(&sk->refs);
	sock_lock(sk);
	ret->inode = sk->file && !sk->dead ? sock_inode(sk) : 0;
	describe_queues(sk, ret);
	if (sk->family == AF_UNIX)
		describe_unix(sk, ret);
	else if (sk->family != AF_NETLINK)
		describe_inet(sk, ret);
	sock_unlock(sk);
	if (sk->nl) {
		ret->port = sk->nl->port;
		ret->groups = (u32)sk->nl->groups;
	}
}

int net_list_socks(int family, u32 protocol, u32 max, struct sock_info **ret, u32 *ret_count)
{
	struct sock_info *list;
	struct sock *sk;
	u32 room, n = 0;

	net_lock();
	room = count_socks(family, protocol);
	net_unlock();
	room = min(room, max);
	list = arena_alloc(max(room, 1U) * sizeof(*list));
	if (!list)
		return -ENOMEM;
	net_lock();
	list_for_each(sk, &net_root()->socks, all_link) {
		if (n == room)
			break;
		if (listed(sk, family, protocol))
			describe(sk, &list[n++]);
	}
	net_unlock();
	*ret = list;
	*ret_count = n;
	return 0;
}
