#pragma once

/* What the files of net share. */

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/un.h>

#include "base/hash.h"
#include "net/link.h"
#include "net/net.h"
#include "vfs/path.h"
#include "vfs/vfs.h"

struct sock;

#define SOCK_READABLE (EPOLLIN | EPOLLRDNORM)
#define SOCK_WRITABLE (EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND)
#define SOCK_ALL (SOCK_READABLE | SOCK_WRITABLE | EPOLLPRI | EPOLLHUP | EPOLLERR | EPOLLRDHUP)

#define SKB_OVERHEAD \
	768U /* what a message costs its sender beside its bytes, about as in Linux \
	      */
#define SKB_INLINE 160U
#define SKB_STREAM_MAX 32768U
#define BUF_DEFAULT 212'992U
#define BUF_MAX 212'992U /* wmem_max, rmem_max: of what setsockopt is given */

/* ---- messages in queues ---- */

/* Who has how many files in messages. */
struct flight_user {
	struct list link; /* [root->lock] */
	u32 uid; /* [I] */
	u32 count; /* [root->lock] */
};

struct file_list {
	struct list link; /* [root->lock] while waiting to be destroyed */
	u32 count;
	struct flight_user *user; /* [root->lock] in whose count it is; null: not in a message */
	struct list flight_link; /* [root->lock] in root->flights */
	struct skb *skb; /* [root->lock] its message, once that is in a queue: */
	struct sock *holder; /* [root->lock] of this socket, alive while it is there */
	struct list gc_link; /* [root->lock] during a collection: in its holder's gc_lists */
	struct file *files[SCM_FILES_MAX]; /* owned */
};

/* An address and port. IPv4 addresses are v4-mapped. */
struct inet_end {
	u8 addr[16];
	u16 port; /* host order */
	u32 scope; /* interface that goes with an IPv6 address, or 0 */
};

struct unix_addr {
	struct refcount refs;
	u32 size; /* of name, in bytes: what the guest sees */
	u32 hash; /* of an abstract name */
	struct sockaddr_un name; /* a path has its NUL within sun_path, or just behind it */
	char nul;
};

/* A message, or a piece of a stream. Between being queued and being taken off it is immutable but
 * for offset and files. */
struct skb {
	struct list link; /* [receiver's lock] */
	struct sock *owner; /* [I] the sender, with a reference; its wmem is charged */
	u32 charge; /* [I] */
	u32 size; /* [I] bytes of data */
	u32 offset; /* [receiver's read_lock] consumed */
	struct scm_cred cred; /* [I] */
	struct file_list *files; /* [receiver's read_lock] owned */
	struct unix_addr *from; /* [I] owned; null: unnamed */
	struct inet_end inet_from, inet_to; /* [I] */
	bool urgent; /* [I] TCP: the byte that MSG_OOB marks */
	u8 ttl, tos; /* [I] inet */
	u32 nl_group; /* [I] netlink: of an event */
	char *data; /* [I] inline_data or an arena array */
	char inline_data[SKB_INLINE];
};

/* ---- sockets ---- */

enum sock_state {
	SOCK_STATE_NEW, /* not connected, or no longer */
	SOCK_STATE_CONNECTING, /* in connect */
	SOCK_STATE_CONNECTED,
	SOCK_STATE_LISTENING,
};

#define RCV_SHUT 1U
#define SEND_SHUT 2U
#define BOTH_SHUT 3U

#define SOCK_OPTS 64U

struct nl_sock {
	u32 port; /* [root->lock] its name; 0: none */
	u32 to_port, to_groups; /* [root->lock] connected to */
	u32 flags; /* [root->lock] bits NETLINK_PKTINFO and so on */
	u64 groups; /* [root->lock] bit n - 1: member of group n */
};

struct sock_ops {
	/* Name it. */
	int (*bind)(struct subject *s, struct sock *sk, const struct sockname *name);
	/* Take a name by itself, before listen. Null: nothing to do. */
	int (*listen_check)(struct subject *s, struct sock *sk);
	int (*connect)(struct subject *s, struct sock *sk, const struct sockname *name,
		       bool nonblock);
	int (*getname)(struct sock *sk, bool peer, struct sockname *ret);
	ssize_t (*send)(struct subject *s, struct sock *sk, struct net_msg *msg);
	ssize_t (*recv)(struct subject *s, struct sock *sk, struct net_msg *msg);
	/* how: RCV_SHUT, SEND_SHUT. */
	int (*shutdown)(struct sock *sk, u32 how);
	u32 (*poll)(struct sock *sk);
	/* The file is gone, or (embryo) the listener is before accept. Everything but the memory
	 * goes. */
	void (*release)(struct sock *sk, bool embryo);
	bool listens; /* stream and seqpacket: listen, accept */
};

struct sock {
	struct refcount refs; /* the file, the peer, queued messages, a pending accept */
	const struct sock_ops *ops; /* [I] */
	u16 family, type; /* [I] */
	u32 protocol; /* [I] */
	struct spin lock; /* class lc_sock */
	struct mutex read_lock; /* class lc_socket: one reader at a time */
	struct waitq waitq;
	struct waitq room_waitq; /* senders, or connecting ones, that wait for room here */
	u8 state; /* [lock] enum sock_state */
	u8 shutdown; /* [lock] RCV_SHUT, SEND_SHUT */
	bool dead; /* [lock] released */
	bool done; /* [lock] TCP: the peer has ended its stream */
	bool connecting; /* [lock] TCP: a connect that said EINPROGRESS has not been asked about */
	int err; /* [lock] SO_ERROR, positive */
	struct list rcvq; /* [lock] struct skb */
	u32 rcv_count; /* [lock] messages in rcvq */
	u64 rcv_bytes; /* [lock] bytes in rcvq */
	_Atomic u32 wmem; /* [a] what its messages in others' queues cost */
	_Atomic bool no_room; /* [a] TCP: somebody has seen that, and is to be told of room */
	_Atomic u32 sndbuf, rcvbuf; /* [a] */
	_Atomic s64 rcvtimeo, sndtimeo; /* [a] ns; 0: none */
	struct linger linger; /* [lock] */
	_Atomic u32 passcred; /* [a] SO_PASSCRED */
	int opts[SOCK_OPTS]; /* [a] stored options (option.c) */

	struct skb *urgent; /* [lock] TCP: in rcvq, the last byte that was sent as urgent data */
	bool urgent_unread; /* [lock] nobody has received it by MSG_OOB */
	bool ended_first; /* [lock] TCP: we ended our stream before the peer did */

	struct sock *peer; /* [lock] owned */
	struct list clients; /* [lock] datagram sockets connected to this one */
	struct list client_link; /* [peer's lock] */
	struct scm_cred cred, peercred; /* cred: [I]; peercred: [lock] */

	struct list accept_queue; /* [lock] connections waiting for accept */
	struct list accept_link; /* [listener's lock] */
	u32 accept_count, backlog; /* [lock] */

	struct list all_link; /* [root->lock] in root->socks */
	struct list name_link; /* [root->lock] in the table of names or ports */
	struct unix_addr *addr; /* [lock] owned; null: no name. Once set it stays */
	struct path path; /* [lock] owned: of a name in the file system */

	struct inet_end local, remote; /* [root->lock for local, lock for remote] port 0: none */
	bool hashed; /* [root->lock] name_link is in a table */
	bool v6only; /* [root->lock] */
	bool addr_given, port_given; /* [root->lock] bind was given an address, a port */
	u32 uid; /* [I] creator, for SO_REUSEPORT */
	u64 cookie; /* [I] SO_COOKIE */
	_Atomic u32 multicast_if; /* [a] UDP: interface for groups, or 0 */
	struct list memberships; /* [root->lock] UDP: of groups */
	const struct cred *peer_cred; /* [lock] owned: who connected or listened, or null */

	struct nl_sock *nl; /* [I] owned: of netlink, else null */

	/* Unix domain: what the collector (gc.c) has to know. */
	struct file *file; /* [I] once it has one; borrowed */
	struct sock *listener; /* [root->lock] in whose queue it waits for accept */
	u32 flight; /* [root->lock] how often its file is in messages */
	struct list flight_link; /* [root->lock] in root->flight_socks while flight is not 0 */
	u32 gc_refs; /* [root->lock] those of them that nothing explains yet */
	bool gc_candidate; /* [root->lock] not known to be reachable; false between collections */
	struct list gc_lists; /* [root->lock] lists of files in its queue */
	struct list gc_link; /* [root->lock] reachable, its queue is to be looked at */
};

static inline void sock_lock(struct sock *sk) ACQUIRE(lc_sock)
{
	spin_lock(&sk->lock, &lc_sock);
}

static inline void sock_unlock(struct sock *sk) RELEASE(lc_sock)
{
	spin_unlock(&sk->lock, &lc_sock);
}

#define NET_BUCKETS 256U
#define FLIGHT_BUCKETS 64U
/* Connections that were accepted have a table of their own: they only matter to bind. */
enum { PORTS_TCP, PORTS_UDP, PORTS_UDPLITE, PORTS_TCP_ACCEPTED, PORT_TABLES };

/* The network namespace; there is one. */
struct net_root {
	struct spin lock; /* class lc_net */
	struct hash_key key; /* [I] */
	struct list unix_names[NET_BUCKETS]; /* [lock] by inode or abstract name */
	struct list ports[PORT_TABLES][NET_BUCKETS]; /* [lock] by protocol and port */
	struct list time_waits; /* [lock] ports that ended connections still hold, oldest first */
	u32 time_wait_count; /* [lock] */
	struct list socks; /* [lock] all */
	u64 cookies; /* [lock] how many there have been */
	struct list netlink; /* [lock] netlink sockets that have a name */
	u64 netlink_ports; /* [lock] how many were chosen at random */
	struct net_link lo; /* [lock] */
	struct list doomed; /* [lock] file lists to be destroyed */
	bool dooming; /* [lock] somebody does */
	u32 in_flight; /* [lock] files in messages */
	struct list flight_users[FLIGHT_BUCKETS]; /* [lock] by uid */
	struct list flights; /* [lock] lists of files in messages */
	struct list flight_socks; /* [lock] unix sockets among those files */
	bool gc_running; /* [lock] the collector's fiber exists; transient */
	bool gc_again; /* [lock] it has to look again; transient */
	s64 gc_not_before; /* [lock] when the next collection may begin; transient */
	u32 autobind; /* [lock] where the search for a free abstract name begins */
};

struct net_root *net_root(void);

static inline void net_lock(void) ACQUIRE(lc_net)
{
	spin_lock(&net_root()->lock, &lc_net);
}

static inline void net_unlock(void) RELEASE(lc_net)
{
	spin_unlock(&net_root()->lock, &lc_net);
}

/* ---- sock.c ---- */

[[nodiscard]] struct sock *sock_alloc(struct subject *s, const struct sock_ops *ops, int family,
				      int type, int protocol);
struct sock *sock_get(struct sock *sk);
void sock_put(struct sock *sk); /* null is fine; no locks */
/* Remember by whose credentials sk's peer acts, in place of who it was. No locks. */
void sock_set_peer_cred(struct sock *sk, const struct cred *cred);
/* A file over sk, whose reference it takes over on success. */
[[nodiscard]] int sock_file(struct subject *s, struct sock *sk, u32 flags, struct file **ret);
u64 sock_inode(const struct sock *sk); /* its file's inode number */
/* The pending error, which is taken: 0 or negative. */
int sock_take_error(struct sock *sk);
int sock_take_error_locked(struct sock *sk) REQUIRES(lc_sock);
/* Set an error and wake everybody. */
void sock_set_error(struct sock *sk, int err);
void sock_wake(struct sock *sk, u32 events);
struct sock *sock_peer_get(struct sock *sk); /* with a reference, or null */
s64 sock_deadline(s64 timeo); /* instant until which to wait */
struct scm_cred scm_cred_of(const struct subject *s);
/* Put child in listener's queue: -EAGAIN if it is full, -ECONNREFUSED if it does not listen. limit:
 * room beyond the backlog. Takes over a reference to child on success. */
[[nodiscard]] int sock_enqueue_child(struct sock *listener, struct sock *child, u32 beyond);
/* sk does not take connections. */
bool sock_refuses(const struct sock *sk) REQUIRES(lc_sock);
/* child waits in listener's queue, or (null) no longer does. */
void sock_set_listener(struct sock *child, struct sock *listener);
/* Wait until the listener has room, or listens no more. */
[[nodiscard]] int sock_wait_accept_room(struct sock *listener, s64 deadline);
/* Release those who wait for accept; the listener is dead. */
void sock_release_children(struct sock *listener);
/* Turn waitq_wait's result into a socket call's. */
static inline int sock_wait_result(int ret)
{
	return ret == -ETIMEDOUT ? -EAGAIN : ret;
}

/* ---- skb.c ---- */

/* A message of size bytes charged to owner. Null when memory is short. */
[[nodiscard]] struct skb *skb_create(struct sock *owner, u32 size);
/* Uncharges the owner and wakes it. May park when it holds files. */
void skb_destroy(struct skb *b);
void skbs_destroy(struct list *skbs);
[[nodiscard]] int skb_fill(struct skb *b, struct uio *from); /* all of its size, or -EFAULT */
/* Append to sk's queue. */
void sock_queue(struct sock *sk, struct skb *b) REQUIRES(lc_sock);
void sock_unqueue(struct sock *sk, struct skb *b) REQUIRES(lc_sock);
/* Take over msg's files (in flight now) and credentials into b. -ETOOMANYREFS. */
[[nodiscard]] int skb_attach_scm(struct subject *s, struct skb *b, struct net_msg *msg);
/* Give b's credentials and files (or with peek copies) to a receiver. */
[[nodiscard]] int skb_detach_scm(struct skb *b, struct net_msg *msg, bool peek);
bool sock_send_room(struct sock *sk);

/* b, which has files, is put into sk's queue or its like. */
void skb_set_holder(struct skb *b, struct sock *sk) REQUIRES(lc_net);

/* Destroy what is on root->doomed, unless somebody is at it. May park. */
void file_lists_drop(void);

/* ---- gc.c ---- */

/* Files of l begin or end to be in messages. -ETOOMANYREFS, -ENOMEM. */
[[nodiscard]] int flight_begin(struct subject *s, struct file_list *l);
void flight_end(struct file_list *l) REQUIRES(lc_net); /* harmless if it is not */
/* Drop sockets that only each other's messages refer to. May park. */
void net_collect(void);
/* A reference to a unix socket is gone: look for garbage soon. */
void gc_request(void);

/* ---- stream.c, dgram.c ---- */

/* TCP: what there is to read at once, of rcvq's bytes; the next byte is urgent. */
u64 stream_readable(struct sock *sk) REQUIRES(lc_sock);
bool stream_at_mark(const struct sock *sk) REQUIRES(lc_sock);
ssize_t stream_recv(struct subject *s, struct sock *sk, struct net_msg *msg);
ssize_t stream_send(struct subject *s, struct sock *sk, struct net_msg *msg);
/* Receive one message. */
ssize_t dgram_recv(struct subject *s, struct sock *sk, struct net_msg *msg);
u32 sock_send_limit(struct sock *sk);

/* ---- unix ---- */

[[nodiscard]] int unix_create(struct subject *s, int type, int protocol, struct sock **ret);
[[nodiscard]] int unix_pair(struct subject *s, struct sock *a, struct sock *b);
void unix_addr_put(struct unix_addr *a); /* null is fine */
struct unix_addr *unix_addr_get(struct unix_addr *a); /* null is fine */
/* The address that sk has, with a reference, or null. */
struct unix_addr *unix_sock_addr(struct sock *sk);
void unix_name(const struct unix_addr *a, struct sockname *ret);
int unix_bind(struct subject *s, struct sock *sk, const struct sockname *name);
[[nodiscard]] int unix_autobind(struct sock *sk);
void unix_unbind(struct sock *sk);
/* Who is bound to name, with a reference. -ECONNREFUSED, -EPROTOTYPE or the walk's error. */
[[nodiscard]] int unix_find(struct subject *s, const struct sockname *name, int type,
			    struct sock **ret);

/* ---- inet ---- */

[[nodiscard]] int inet_create(struct subject *s, int family, int type, int protocol,
			      struct sock **ret);
/* The address in name, for sk's family. -EINVAL (short), -EAFNOSUPPORT. */
[[nodiscard]] int inet_parse(const struct sock *sk, const struct sockname *name,
			     struct inet_end *ret);
void inet_name(const struct sock *sk, const struct inet_end *end, struct sockname *ret);
bool inet_is_any(const struct inet_end *e);
bool inet_is_v4(const struct inet_end *e);
/* One of our own: takes the root's lock. */
bool inet_is_local(const struct inet_end *e);
bool link_is_up(void);
/* An IPv4 address in network order. */
void inet_set_v4(struct inet_end *e, u32 addr);
u32 inet_v4(const struct inet_end *e);
/* Replace the unspecified address by loopback's. */
void inet_any_to_loopback(struct inet_end *e);
int inet_bind(struct subject *s, struct sock *sk, const struct sockname *name);
/* Give sk a free port if it has none. */
[[nodiscard]] int inet_autobind(struct sock *sk);
/* As inet_autobind, and -EADDRINUSE if another one listens there that it cannot share with. */
[[nodiscard]] int inet_listen_check(struct sock *sk);
void inet_unbind(struct sock *sk);
/* sk is not connected any more: the port goes, unless bind was given it. */
void inet_unbind_auto(struct sock *sk);
/* sk is going, having ended its connection first: its port is held for a while. */
void inet_time_wait(struct sock *sk);
/* A child of a listener: the same port. */
void inet_bind_child(struct sock *child, const struct inet_end *local);
int inet_getname(struct sock *sk, bool peer, struct sockname *ret);
/* Who gets what is sent to to: a listener, or a UDP socket. With a reference, or null. */
struct sock *inet_lookup(u32 protocol, const struct inet_end *to, const struct inet_end *from);
/* Where to send: checks the family of a destination, and that it is reached. */
[[nodiscard]] int inet_route(const struct sock *sk, struct inet_end *to);
struct list *inet_port_bucket(u32 protocol, u16 port);

/* ---- multicast.c ---- */

bool inet_is_multicast(const struct inet_end *e);
/* 1: not an option of multicast. */
int multicast_setopt(struct sock *sk, int level, int name, const void *value, u32 size);
void multicast_release(struct sock *sk); /* leave all groups */
/* Does what sk sends to a group go to lo? */
bool multicast_routed(const struct sock *sk, const struct inet_end *to);
/* Members of group to, with a reference each; at most max. */
u32 multicast_receivers(u32 protocol, const struct inet_end *to, struct sock **ret, u32 max);

int netlink_create(struct subject *s, int type, int protocol, struct sock **ret);
void netlink_free(struct sock *sk); /* its own part of sk */
void netlink_name(const struct skb *b, struct sockname *ret); /* who sent b */
void netlink_put_cmsgs(struct sock *sk, const struct skb *b, struct net_msg *msg);
int netlink_setopt(struct subject *s, struct sock *sk, int name, int value);
int netlink_getopt(struct sock *sk, int name, void *value, u32 *size);
/* The control messages about b, which sk has received. */
void inet_put_cmsgs(struct sock *sk, const struct skb *b, struct net_msg *msg);
/* Options that say when a message was received. */
void sock_put_timestamp(struct sock *sk, struct net_msg *msg);
struct tcp_info;
u8 tcp_state(const struct sock *sk) REQUIRES(lc_sock); /* TCP_ESTABLISHED and so on */
void tcp_fill_info(struct sock *sk, struct tcp_info *ret);

/* Append to what msg tells its receiver. */
void net_msg_put(struct net_msg *msg, int level, int type, const void *data, u32 size);

/* ---- option.c ---- */

void sock_opts_init(struct sock *sk);
void sock_opts_copy(struct sock *to, const struct sock *from);
int sock_opt_get(const struct sock *sk, int level, int name); /* a stored one */

DECLARE_OPS(struct sock_ops, unix_stream_ops);
DECLARE_OPS(struct sock_ops, unix_dgram_ops);
DECLARE_OPS(struct sock_ops, unix_seqpacket_ops);
DECLARE_OPS(struct sock_ops, tcp_ops);
DECLARE_OPS(struct sock_ops, udp_ops);
DECLARE_OPS(struct sock_ops, netlink_ops);
