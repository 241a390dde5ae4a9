/*
 * Unix-domain sockets. Source: unix(7), net/unix/af_unix.c.
 *
 * Connected sockets hold each other (peer) until one is released. A datagram socket holds whom it
 * is connected to, and is in that one's list of clients, which are told when there is room.
 */

#include <errno.h>
#include <sys/epoll.h>

#include "cred/cred.h"
#include "net/internal.h"
#include "sched/fiber.h"

#define DGRAM_QUEUE_MAX 10U /* net.unix.max_dgram_qlen */

int unix_create(struct subject *s, int type, int protocol, struct sock **ret)
{
	const struct sock_ops *ops;

	if (protocol && protocol != PF_UNIX)
		return -EPROTONOSUPPORT;
	switch (type) {
	case SOCK_STREAM:
		ops = OPS(unix_stream_ops);
		break;
	case SOCK_RAW:
		type = SOCK_DGRAM;
		[[fallthrough]];
	case SOCK_DGRAM:
		ops = OPS(unix_dgram_ops);
		break;
	case SOCK_SEQPACKET:
		ops = OPS(unix_seqpacket_ops);
		break;
	default:
		return -ESOCKTNOSUPPORT;
	}
	*ret = sock_alloc(s, ops, AF_UNIX, type, 0);
	return *ret ? 0 : -ENOMEM;
}

/* ---- peers ---- */

static void set_peer(struct sock *sk, struct sock *peer, struct scm_cred peercred)
{
	sock_lock(sk);
	sk->peer = sock_get(peer);
	sk->state = SOCK_STATE_CONNECTED;
	sk->peercred = peercred;
	sock_unlock(sk);
}

static void client_add(struct sock *sk, struct sock *peer)
{
	sock_lock(peer);
	list_add(&peer->clients, &sk->client_link);
	sock_unlock(peer);
}

static void client_remove(struct sock *sk, struct sock *peer)
{
	sock_lock(peer);
	list_del(&sk->client_link);
	sock_unlock(peer);
}

int unix_pair(struct subject *s, struct sock *a, struct sock *b)
{
	struct scm_cred cred = scm_cred_of(s);

	set_peer(a, b, cred);
	set_peer(b, a, cred);
	sock_set_peer_cred(a, s->cred);
	sock_set_peer_cred(b, s->cred);
	if (a->type == SOCK_DGRAM) {
		client_add(a, b);
		client_add(b, a);
	}
	return 0;
}

/* Take sk's peer away, with its reference. */
static struct sock *take_peer(struct sock *sk)
{
	struct sock *peer;

	sock_lock(sk);
	peer = sk->peer;
	sk->peer = NULL;
	sk->state = SOCK_STATE_NEW;
	sock_unlock(sk);
	return peer;
}

/* The other end of a connection is released. */
static void peer_closed(struct sock *peer, bool reset)
{
	sock_lock(peer);
	peer->shutdown = BOTH_SHUT;
	if (reset)
		peer->err = ECONNRESET;
	sock_unlock(peer);
	sock_wake(peer, SOCK_ALL);
}

static void unix_release(struct sock *sk, bool embryo)
{
	struct sock *peer, *client;
	struct list unread;
	bool reset;

	list_init(&unread);
	sock_lock(sk);
	sk->dead = true;
	sk->shutdown = BOTH_SHUT;
	list_splice_tail(&unread, &sk->rcvq);
	sk->rcv_count = 0;
	sk->rcv_bytes = 0;
	list_for_each(client, &sk->clients, client_link)
		sock_wake(client, SOCK_WRITABLE); /* to be told that it is gone */
	sock_unlock(sk);
	reset = embryo || !list_empty(&unread);
	peer = take_peer(sk);
	if (peer && sk->type == SOCK_DGRAM)
		client_remove(sk, peer);
	else if (peer)
		peer_closed(peer, reset);
	sock_put(peer);
	unix_unbind(sk);
	waitq_wake_all(&sk->room_waitq, EPOLLOUT);
	sock_release_children(sk);
	skbs_destroy(&unread);
	gc_request();
}

/* ---- connecting streams ---- */

static int connect_begin(struct sock *sk)
{
	int err = 0;

	sock_lock(sk);
	if (sk->state == SOCK_STATE_CONNECTED || sk->state == SOCK_STATE_CONNECTING)
		err = -EISCONN;
	else if (sk->state == SOCK_STATE_LISTENING)
		err = -EINVAL;
	else
		sk->state = SOCK_STATE_CONNECTING;
	sock_unlock(sk);
	return err;
}

static void connect_cancel(struct sock *sk)
{
	sock_lock(sk);
	sk->state = SOCK_STATE_NEW;
	sock_unlock(sk);
}

/* A connection for the listener to accept, tied to sk. */
static struct sock *make_child(struct subject *s, struct sock *sk, struct sock *listener)
{
	struct sock *child = sock_alloc(s, sk->ops, AF_UNIX, sk->type, 0);

	if (!child)
		return NULL;
	child->addr = unix_sock_addr(listener);
	child->passcred = atomic_load(&listener->passcred);
	set_peer(child, sk, scm_cred_of(s));
	sock_set_peer_cred(child, s->cred);
	return child;
}

static int connect_to(struct subject *s, struct sock *sk, struct sock *listener, bool nonblock)
{
	s64 deadline = sock_deadline(sk->sndtimeo);
	struct sock *child = make_child(s, sk, listener);
	const struct cred *peer_cred;
	struct scm_cred peercred;
	int err;

	if (!child)
		return -ENOMEM;
	sock_lock(listener);
	peercred = listener->peercred;
	peer_cred = listener->peer_cred ? cred_get(listener->peer_cred) : NULL;
	sock_unlock(listener);
	sock_set_peer_cred(sk, peer_cred);
	if (peer_cred)
		cred_put(peer_cred);
	sock_lock(sk);
	sk->peer = sock_get(child);
	sk->peercred = peercred;
	sock_unlock(sk);
	sock_set_listener(child, listener);
	for (;;) {
		err = sock_enqueue_child(listener, child, 0);
		if (err != -EAGAIN || nonblock)
			break;
		err = sock_wait_accept_room(listener, deadline);
		if (err)
			break;
	}
	if (err) {
		sock_set_listener(child, NULL);
		sock_put(take_peer(sk));
		sock_put(take_peer(child));
		sock_put(child);
		return err;
	}
	sock_lock(sk);
	if (sk->state == SOCK_STATE_CONNECTING)
		sk->state = SOCK_STATE_CONNECTED;
	sock_unlock(sk);
	sock_wake(sk, SOCK_WRITABLE);
	return 0;
}

static int unix_stream_connect(struct subject *s, struct sock *sk, const struct sockname *name,
			       bool nonblock)
{
	struct sock *listener = NULL;
	int err;

	err = unix_find(s, name, sk->type, &listener);
	if (err)
		return err;
	sock_lock(listener);
	err = sock_refuses(listener) ? -ECONNREFUSED : 0;
	sock_unlock(listener);
	if (!err && atomic_load(&sk->passcred) && !sk->addr)
		err = unix_autobind(sk);
	if (!err)
		err = connect_begin(sk);
	if (!err) {
		err = connect_to(s, sk, listener, nonblock);
		if (err)
			connect_cancel(sk);
	}
	sock_put(listener);
	return err;
}

static int unix_listen_check(struct subject *s, struct sock *sk)
{
	int err;

	sock_lock(sk);
	err = sk->addr ? 0 : -EINVAL;
	sock_unlock(sk);
	return err;
}

/* ---- names, shutdown, poll ---- */

static int unix_getname(struct sock *sk, bool peer, struct sockname *ret)
{
	struct sock *other = peer ? sock_peer_get(sk) : sock_get(sk);
	struct unix_addr *a;

	if (!other)
		return -ENOTCONN;
	a = unix_sock_addr(other);
	unix_name(a, ret);
	if (!a) {
		ret->size = sizeof(sa_family_t);
		ret->sa.sa_family = AF_UNIX;
	}
	unix_addr_put(a);
	sock_put(other);
	return 0;
}

static int unix_shutdown(struct sock *sk, u32 how)
{
	struct sock *peer = NULL;

	sock_lock(sk);
	sk->shutdown |= (u8)how;
	if (sk->peer && sk->type != SOCK_DGRAM)
		peer = sock_get(sk->peer);
	sock_unlock(sk);
	if (peer) {
		sock_lock(peer);
		if (how & RCV_SHUT)
			peer->shutdown |= SEND_SHUT;
		if (how & SEND_SHUT)
			peer->shutdown |= RCV_SHUT;
		sock_unlock(peer);
		sock_wake(peer, SOCK_ALL);
		sock_put(peer);
	}
	sock_wake(sk, SOCK_ALL);
	waitq_wake_all(&sk->room_waitq, EPOLLOUT);
	return 0;
}

/* What all of them have in common. */
static u32 poll_common(struct sock *sk, bool *ret_writable) REQUIRES(lc_sock)
{
	u32 events = 0;

	if (sk->err)
		events |= EPOLLERR;
	if (sk->shutdown == BOTH_SHUT)
		events |= EPOLLHUP;
	if (sk->shutdown & RCV_SHUT)
		events |= EPOLLRDHUP | SOCK_READABLE;
	if (!list_empty(&sk->rcvq) || !list_empty(&sk->accept_queue))
		events |= SOCK_READABLE;
	if (sk->type != SOCK_DGRAM && sk->state == SOCK_STATE_NEW)
		events |= EPOLLHUP;
	*ret_writable = sk->state != SOCK_STATE_LISTENING;
	return events;
}

static u32 unix_stream_poll(struct sock *sk)
{
	bool writable;
	u32 events;

	sock_lock(sk);
	events = poll_common(sk, &writable);
	sock_unlock(sk);
	return events | (writable && sock_send_room(sk) ? SOCK_WRITABLE : 0);
}

/* Has the peer, which is not connected back, no room? */
static bool peer_full(struct sock *sk, struct sock *peer)
{
	bool ret;

	sock_lock(peer);
	ret = peer->peer != sk && peer->rcv_count > DGRAM_QUEUE_MAX && !peer->dead;
	sock_unlock(peer);
	return ret;
}

static u32 unix_dgram_poll(struct sock *sk)
{
	struct sock *peer = NULL;
	bool writable;
	u32 events;

	sock_lock(sk);
	events = poll_common(sk, &writable);
	if (writable && sk->peer && sk->type == SOCK_DGRAM)
		peer = sock_get(sk->peer);
	sock_unlock(sk);
	if (peer && peer_full(sk, peer))
		writable = false;
	sock_put(peer);
	return events | (writable && sock_send_room(sk) ? SOCK_WRITABLE : 0);
}

/* ---- datagrams ---- */

static bool may_send(struct sock *sk, struct sock *to)
{
	bool ret;

	sock_lock(to);
	ret = !to->peer || to->peer == sk;
	sock_unlock(to);
	return ret;
}

/* sk is no longer connected to old: what it has not received is moved to unread, and if there was
 * anything old is told. */
static void dgram_disconnected(struct sock *sk, struct sock *old, struct list *unread)
{
	bool told;

	sock_lock(sk);
	if (list_empty(&sk->rcvq)) {
		sock_unlock(sk);
		return;
	}
	list_splice_tail(unread, &sk->rcvq);
	sk->rcv_count = 0;
	sk->rcv_bytes = 0;
	sock_unlock(sk);
	waitq_wake_all(&sk->room_waitq, EPOLLOUT);
	sock_lock(old);
	told = !old->dead && old->peer == sk;
	if (told)
		old->err = ECONNRESET;
	sock_unlock(old);
	if (told)
		sock_wake(old, SOCK_ALL);
}

static int unix_dgram_connect(struct subject *s, struct sock *sk, const struct sockname *name,
			      bool nonblock)
{
	struct sock *to = NULL, *old;
	struct list unread;
	int err;

	list_init(&unread);
	if (name->sa.sa_family != AF_UNSPEC) {
		err = unix_find(s, name, sk->type, &to);
		if (err)
			return err;
		if (!may_send(sk, to)) {
			sock_put(to);
			return -EPERM;
		}
		if (atomic_load(&sk->passcred) && !sk->addr) {
			err = unix_autobind(sk);
			if (err) {
				sock_put(to);
				return err;
			}
		}
	}
	mutex_lock(&sk->read_lock, &lc_socket);
	old = take_peer(sk);
	if (old)
		client_remove(sk, old);
	if (old && old != to)
		dgram_disconnected(sk, old, &unread);
	if (to) {
		set_peer(sk, to, to->cred);
		client_add(sk, to);
	}
	mutex_unlock(&sk->read_lock, &lc_socket);
	skbs_destroy(&unread);
	sock_put(old);
	sock_put(to);
	return 0;
}

/* Whom to send to, with a reference. */
static int dgram_target(struct subject *s, struct sock *sk, const struct net_msg *msg,
			struct sock **ret)
{
	int err = 0;

	if (msg->to && sk->type == SOCK_DGRAM) {
		err = unix_find(s, msg->to, sk->type, ret);
		if (err)
			return err;
	} else {
		*ret = sock_peer_get(sk);
		if (!*ret)
			return -ENOTCONN;
	}
	if (may_send(sk, *ret))
		return 0;
	sock_put(*ret);
	*ret = NULL;
	return -EPERM;
}

/* Wait until sk may have another message on its way. */
static int dgram_wait_own(struct sock *sk, const struct net_msg *msg, s64 deadline)
{
	int err;

	for (;;) {
		err = sock_take_error(sk);
		if (!err && sk->shutdown & SEND_SHUT)
			err = -EPIPE;
		if (err || atomic_load(&sk->wmem) < sock_send_limit(sk))
			return err;
		if (msg->flags & MSG_DONTWAIT)
			return -EAGAIN;
		err = waitq_wait(&sk->waitq, EPOLLOUT | EPOLLERR | EPOLLHUP, deadline,
				 sock_send_room(sk) || sk->shutdown & SEND_SHUT);
		if (err)
			return sock_wait_result(err);
	}
}

static int dgram_put(struct sock *sk, struct sock *to, struct skb *b) REQUIRES(lc_sock)
{
	if (to->dead)
		return sk->type == SOCK_SEQPACKET ? -EPIPE : -ECONNREFUSED;
	if (to->shutdown & RCV_SHUT)
		return -EPIPE;
	if (to != sk && to->peer != sk && to->rcv_count > DGRAM_QUEUE_MAX)
		return -EAGAIN;
	sock_queue(to, b);
	return 0;
}

/* One attempt. */
static int dgram_deliver(struct sock *sk, struct sock *to, struct skb *b)
{
	int err;

	if (b->files) {
		net_lock();
		sock_lock(to);
		err = dgram_put(sk, to, b);
		sock_unlock(to);
		if (!err)
			skb_set_holder(b, to);
		net_unlock();
	} else {
		sock_lock(to);
		err = dgram_put(sk, to, b);
		sock_unlock(to);
	}
	if (!err)
		sock_wake(to, SOCK_READABLE);
	return err;
}

static bool room_at(struct sock *to)
{
	bool ret;

	sock_lock(to);
	ret = to->dead || to->shutdown & RCV_SHUT || to->rcv_count <= DGRAM_QUEUE_MAX;
	sock_unlock(to);
	return ret;
}

static int dgram_send_to(struct sock *sk, struct sock *to, struct skb *b, int flags, s64 deadline)
{
	struct list unread;
	struct sock *old;
	int err;

	list_init(&unread);
	for (;;) {
		err = dgram_deliver(sk, to, b);
		if (err != -EAGAIN || flags & MSG_DONTWAIT)
			break;
		err = waitq_wait(&to->room_waitq, EPOLLOUT, deadline, room_at(to));
		if (err) {
			err = sock_wait_result(err);
			break;
		}
	}
	/* Whoever is connected to nobody any more need not be told twice. */
	if (err == -ECONNREFUSED) {
		mutex_lock(&sk->read_lock, &lc_socket);
		old = sk->peer == to ? take_peer(sk) : NULL;
		if (old) {
			client_remove(sk, old);
			dgram_disconnected(sk, old, &unread);
		}
		mutex_unlock(&sk->read_lock, &lc_socket);
		skbs_destroy(&unread);
		sock_put(old);
	}
	return err;
}

static ssize_t unix_dgram_send(struct subject *s, struct sock *sk, struct net_msg *msg)
{
	s64 deadline = sock_deadline(sk->sndtimeo);
	u64 size = msg->uio->left;
	struct sock *to = NULL;
	struct skb *b = NULL;
	int err;

	if (msg->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (sk->type == SOCK_SEQPACKET && sk->state != SOCK_STATE_CONNECTED)
		return -ENOTCONN;
	err = dgram_target(s, sk, msg, &to);
	if (!err && atomic_load(&sk->passcred) && !sk->addr)
		err = unix_autobind(sk);
	if (!err && size > atomic_load(&sk->sndbuf) - 32)
		err = -EMSGSIZE;
	if (!err)
		err = dgram_wait_own(sk, msg, deadline);
	if (!err) {
		b = skb_create(sk, (u32)size);
		err = b ? skb_fill(b, msg->uio) : -ENOBUFS;
	}
	if (!err)
		err = skb_attach_scm(s, b, msg);
	if (!err) {
		b->from = unix_sock_addr(sk);
		err = dgram_send_to(sk, to, b, msg->flags, deadline);
	}
	if (err && b)
		skb_destroy(b);
	sock_put(to);
	return err ? err : (ssize_t)size;
}

/* ---- streams ---- */

static ssize_t unix_stream_send(struct subject *s, struct sock *sk, struct net_msg *msg)
{
	if (msg->to)
		return sk->state == SOCK_STATE_CONNECTED ? -EISCONN : -EOPNOTSUPP;
	return stream_send(s, sk, msg);
}

static ssize_t unix_stream_recv(struct subject *s, struct sock *sk, struct net_msg *msg)
{
	ssize_t ret = stream_recv(s, sk, msg);
	struct sock *peer = ret > 0 ? sock_peer_get(sk) : NULL;

	if (peer) {
		struct unix_addr *a = unix_sock_addr(peer);

		unix_name(a, &msg->from);
		unix_addr_put(a);
		sock_put(peer);
	}
	return ret;
}

DEFINE_OPS(struct sock_ops, unix_stream_ops) = {
	.bind = unix_bind,
	.listen_check = unix_listen_check,
	.connect = unix_stream_connect,
	.getname = unix_getname,
	.send = unix_stream_send,
	.recv = unix_stream_recv,
	.shutdown = unix_shutdown,
	.poll = unix_stream_poll,
	.release = unix_release,
	.listens = true,
};

DEFINE_OPS(struct sock_ops, unix_dgram_ops) = {
	.bind = unix_bind,
	.connect = unix_dgram_connect,
	.getname = unix_getname,
	.send = unix_dgram_send,
	.recv = dgram_recv,
	.shutdown = unix_shutdown,
	.poll = unix_dgram_poll,
	.release = unix_release,
};

DEFINE_OPS(struct sock_ops, unix_seqpacket_ops) = {
	.bind = unix_bind,
	.listen_check = unix_listen_check,
	.connect = unix_stream_connect,
	.getname = unix_getname,
	.send = unix_dgram_send,
	.recv = dgram_recv,
	.shutdown = unix_shutdown,
	.poll = unix_dgram_poll,
	.release = unix_release,
	.listens = true,
};
