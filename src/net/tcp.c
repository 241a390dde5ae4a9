/*
 * TCP on the loopback, without packets: connecting makes two sockets that hold each other, as in
 * the unix domain, and segments are what stream.c puts into the peer's queue. Source: tcp(7),
 * net/ipv4/tcp.c, tcp_input.c of Linux.
 *
 * Not as in Linux: no simultaneous open; a nonblocking connect to a listener whose queue is full
 * succeeds up to a bound; urgent data raises no SIGURG.
 */

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>

#include "net/internal.h"

#define BEYOND_BACKLOG 128U

/* ---- the end of a connection ---- */

/* sk's peer hears of its end, by a reset or the end of the stream, unless it has another peer now.
 */
static void tcp_tell_end(struct sock *sk, struct sock *peer, bool reset)
{
	sock_lock(peer);
	if (peer->peer != sk) {
		sock_unlock(peer);
		return;
	}
	if (reset) {
		peer->err = peer->shutdown & RCV_SHUT ? EPIPE : ECONNRESET;
		peer->shutdown = BOTH_SHUT;
		peer->state = SOCK_STATE_NEW;
	} else {
		peer->done = true;
		peer->shutdown |= RCV_SHUT;
	}
	sock_unlock(peer);
	sock_wake(peer, SOCK_ALL);
}

static void tcp_release(struct sock *sk, bool embryo)
{
	struct sock *peer;
	struct list unread;
	bool reset, tell, first;

	list_init(&unread);
	sock_lock(sk);
	sk->dead = true;
	sk->shutdown = BOTH_SHUT;
	list_splice_tail(&unread, &sk->rcvq);
	sk->rcv_count = 0;
	sk->rcv_bytes = 0;
	sk->urgent = NULL;
	peer = sk->peer;
	sk->peer = NULL;
	reset = embryo || !list_empty(&unread) || (sk->linger.l_onoff && !sk->linger.l_linger);
	/* Else it is reset already, or was never more than half connected. */
	tell = peer && sk->state == SOCK_STATE_CONNECTED;
	first = tell && !reset && (sk->ended_first || !sk->done);
	sk->state = SOCK_STATE_NEW;
	sock_unlock(sk);
	if (tell)
		tcp_tell_end(sk, peer, reset);
	sock_put(peer);
	if (first)
		inet_time_wait(sk);
	inet_unbind(sk);
	waitq_wake_all(&sk->room_waitq, EPOLLOUT);
	sock_release_children(sk);
	skbs_destroy(&unread);
}

static int tcp_shutdown(struct sock *sk, u32 how)
{
	struct sock *peer = NULL;
	bool stops = false;
	int err = 0;

	sock_lock(sk);
	if (sk->state == SOCK_STATE_LISTENING) {
		stops = how & RCV_SHUT;
		if (stops)
			sk->state = SOCK_STATE_NEW;
	} else if (!sk->peer || sk->state == SOCK_STATE_NEW) {
		/* As in Linux, it has its effect all the same. */
		sk->shutdown |= (u8)how;
		err = -ENOTCONN;
	} else {
		if (how & SEND_SHUT && !(sk->shutdown & SEND_SHUT)) {
			peer = sock_get(sk->peer);
			sk->ended_first = !sk->done;
		}
		sk->shutdown |= (u8)how;
	}
	sock_unlock(sk);
	if (peer)
		tcp_tell_end(sk, peer, false);
	sock_put(peer);
	sock_wake(sk, SOCK_ALL);
	if (stops) {
		inet_unbind_auto(sk);
		sock_release_children(sk);
	}
	return err;
}

/* ---- connecting ---- */

static int tcp_listen_check(struct subject *s, struct sock *sk)
{
	return inet_listen_check(sk);
}

/* What a connect to sk in its state says; 0: it may go on. */
static int tcp_connect_begin(struct sock *sk)
{
	int err = 0;

	sock_lock(sk);
	if (sk->connecting) {
		/* The first to ask again is told how the nonblocking connect went. */
		sk->connecting = false;
		err = sk->state == SOCK_STATE_CONNECTED ? 1 : sock_take_error_locked(sk);
		err = err ? err : -ECONNABORTED;
		if (err < 0 && !sk->peer)
			sk->shutdown = 0;
	} else if (sk->state == SOCK_STATE_CONNECTING) {
		err = -EALREADY;
	} else if (sk->state != SOCK_STATE_NEW || sk->peer) {
		err = -EISCONN; /* after a reset too */
	} else {
		sk->state = SOCK_STATE_CONNECTING;
		sk->done = false;
		sk->ended_first = false;
		sk->err = 0;
	}
	sock_unlock(sk);
	return err;
}

/* The other side of sk's connection to to. */
static struct sock *tcp_child(struct subject *s, struct sock *sk, struct sock *listener,
			      const struct inet_end *to, const struct inet_end *from)
{
	struct sock *child =
		sock_alloc(s, OPS(tcp_ops), listener->family, SOCK_STREAM, IPPROTO_TCP);

	if (!child)
		return NULL;
	sock_opts_copy(child, listener);
	child->remote = *from;
	child->peer = sock_get(sk);
	child->state = SOCK_STATE_CONNECTED;
	inet_bind_child(child, to);
	return child;
}

static int tcp_queue_child(struct sock *listener, struct sock *child, bool nonblock, s64 deadline)
{
	int err;

	for (;;) {
		err = sock_enqueue_child(listener, child, nonblock ? BEYOND_BACKLOG : 0);
		if (err != -EAGAIN || nonblock)
			return err == -EAGAIN ? -ETIMEDOUT : err;
		err = sock_wait_accept_room(listener, deadline);
		if (err)
			return err;
	}
}

/* Take to's reference to from away, if it still has it. */
static void tcp_part(struct sock *from, struct sock *to)
{
	bool had;

	sock_lock(to);
	had = to->peer == from;
	if (had) {
		to->peer = NULL;
		to->remote.port = 0;
		to->state = SOCK_STATE_NEW;
	}
	sock_unlock(to);
	if (had)
		sock_put(from);
}

/* The listener did not take child, whose last reference goes. */
static void tcp_cancel_child(struct sock *sk, struct sock *child)
{
	inet_unbind(child);
	tcp_part(child, sk);
	tcp_part(sk, child);
	sock_put(child);
}

static int tcp_connect_to(struct subject *s, struct sock *sk, const struct inet_end *to,
			  bool nonblock)
{
	struct sock *listener, *child;
	struct inet_end from;
	int err;

	net_lock();
	from = sk->local;
	net_unlock();
	listener = inet_lookup(IPPROTO_TCP, to, &from);
	if (!listener)
		return -ECONNREFUSED;
	net_lock();
	if (inet_is_any(&from))
		memcpy(from.addr, to->addr, sizeof(from.addr));
	sk->local = from;
	net_unlock();
	child = tcp_child(s, sk, listener, to, &from);
	if (!child) {
		sock_put(listener);
		return -ENOBUFS;
	}
	sock_lock(sk);
	sk->remote = *to;
	sk->peer = sock_get(child);
	sock_unlock(sk);
	err = tcp_queue_child(listener, child, nonblock, sock_deadline(sk->sndtimeo));
	sock_put(listener);
	if (err) {
		tcp_cancel_child(sk, child);
		return err;
	}
	sock_lock(sk);
	/* Unless the other side has reset it already. */
	if (sk->state == SOCK_STATE_CONNECTING)
		sk->state = SOCK_STATE_CONNECTED;
	sock_unlock(sk);
	return 0;
}

/* connect with AF_UNSPEC. */
static int tcp_disconnect(struct sock *sk)
{
	struct sock *peer;
	struct list unread;
	bool ends;

	list_init(&unread);
	mutex_lock(&sk->read_lock, &lc_socket);
	sock_lock(sk);
	if (sk->state == SOCK_STATE_CONNECTING) {
		sock_unlock(sk);
		mutex_unlock(&sk->read_lock, &lc_socket);
		return -EALREADY;
	}
	peer = sk->peer;
	sk->peer = NULL;
	ends = peer || sk->state != SOCK_STATE_NEW;
	if (sk->state == SOCK_STATE_CONNECTED && !(sk->done && sk->shutdown & SEND_SHUT))
		sk->err = ECONNRESET; /* as if the peer had done it */
	list_splice_tail(&unread, &sk->rcvq);
	sk->rcv_count = 0;
	sk->rcv_bytes = 0;
	sk->urgent = NULL;
	sk->state = SOCK_STATE_NEW;
	sk->remote = (struct inet_end){};
	sk->shutdown = 0;
	sk->done = false;
	sk->connecting = false;
	sock_unlock(sk);
	mutex_unlock(&sk->read_lock, &lc_socket);
	skbs_destroy(&unread);
	if (peer)
		tcp_tell_end(sk, peer, true);
	sock_put(peer);
	if (ends)
		inet_unbind_auto(sk);
	sock_wake(sk, SOCK_ALL);
	sock_release_children(sk);
	return 0;
}

static int tcp_connect(struct subject *s, struct sock *sk, const struct sockname *name,
		       bool nonblock)
{
	struct inet_end to;
	int err;

	if (name->sa.sa_family == AF_UNSPEC)
		return tcp_disconnect(sk);
	err = tcp_connect_begin(sk);
	if (err)
		return err == 1 ? 0 : err;
	err = inet_parse(sk, name, &to);
	if (!err)
		err = inet_route(sk, &to);
	if (!err)
		err = inet_autobind(sk);
	if (err) {
		sock_lock(sk);
		sk->state = SOCK_STATE_NEW;
		sock_unlock(sk);
		return err;
	}
	err = tcp_connect_to(s, sk, &to, nonblock);
	if (err)
		inet_unbind_auto(sk);
	/* SO_SNDTIMEO has passed, which does not end it in Linux; here its time is over. */
	if (err == -EAGAIN) {
		err = -ETIMEDOUT;
		nonblock = true;
	}
	sock_lock(sk);
	if (err) {
		sk->state = SOCK_STATE_NEW;
		sk->shutdown = nonblock ? BOTH_SHUT : 0; /* until that is told */
		sk->err = nonblock ? -err : 0;
	}
	sk->connecting = nonblock;
	sock_unlock(sk);
	sock_wake(sk, SOCK_ALL);
	return nonblock ? -EINPROGRESS : err;
}

/* ---- the rest ---- */

static u32 tcp_poll(struct sock *sk)
{
	u64 lowat = (u64)max(sock_opt_get(sk, SOL_SOCKET, SO_RCVLOWAT), 1);
	bool room = sock_send_room(sk);
	u32 events = 0;

	if (!room) {
		atomic_store(&sk->no_room, true);
		room = sock_send_room(sk);
	}
	sock_lock(sk);
	if (sk->state == SOCK_STATE_LISTENING) {
		if (!list_empty(&sk->accept_queue))
			events = SOCK_READABLE;
		sock_unlock(sk);
		return events;
	}
	if (sk->err)
		events |= EPOLLERR;
	if (sk->shutdown == BOTH_SHUT || sk->state == SOCK_STATE_NEW)
		events |= EPOLLHUP;
	if (sk->shutdown & RCV_SHUT)
		events |= SOCK_READABLE | EPOLLRDHUP;
	if (sk->urgent && sk->urgent_unread)
		events |= EPOLLPRI;
	if (stream_readable(sk) >= lowat)
		events |= SOCK_READABLE;
	if (sk->shutdown & SEND_SHUT || (room && sk->state != SOCK_STATE_CONNECTING))
		events |= EPOLLOUT | EPOLLWRNORM;
	sock_unlock(sk);
	return events;
}

static ssize_t tcp_send(struct subject *s, struct sock *sk, struct net_msg *msg)
{
	return stream_send(s, sk, msg);
}

u8 tcp_state(const struct sock *sk)
{
	if (sk->state == SOCK_STATE_LISTENING)
		return TCP_LISTEN;
	if (sk->state == SOCK_STATE_NEW)
		return TCP_CLOSE;
	if (sk->state == SOCK_STATE_CONNECTING)
		return TCP_SYN_SENT;
	if (sk->shutdown == BOTH_SHUT)
		return TCP_LAST_ACK;
	if (sk->shutdown & RCV_SHUT)
		return TCP_CLOSE_WAIT;
	return sk->shutdown & SEND_SHUT ? TCP_FIN_WAIT2 : TCP_ESTABLISHED;
}

void tcp_fill_info(struct sock *sk, struct tcp_info *ret)
{
	memset(ret, 0, sizeof(*ret));
	sock_lock(sk);
	ret->tcpi_state = tcp_state(sk);
	if (sk->state == SOCK_STATE_LISTENING) {
		ret->tcpi_unacked = sk->accept_count;
		ret->tcpi_sacked = sk->backlog;
	}
	sock_unlock(sk);
	ret->tcpi_snd_mss = 32741;
	ret->tcpi_rcv_mss = 536;
	ret->tcpi_pmtu = 65535;
	ret->tcpi_snd_cwnd = 10;
	ret->tcpi_rtt = 20;
	ret->tcpi_rto = 201'000;
}

DEFINE_OPS(struct sock_ops, tcp_ops) = {
	.bind = inet_bind,
	.listen_check = tcp_listen_check,
	.connect = tcp_connect,
	.getname = inet_getname,
	.send = tcp_send,
	.recv = stream_recv,
	.shutdown = tcp_shutdown,
	.poll = tcp_poll,
	.release = tcp_release,
	.listens = true,
};
