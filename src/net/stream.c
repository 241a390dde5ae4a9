/*
 * Byte streams between two sockets, of the unix domain and TCP. Source: net/unix/af_unix.c and
 * net/ipv4/tcp.c of Linux for what is said when.
 *
 * A sender puts pieces of at most 32 KiB straight into its peer's queue. It waits while what it has
 * there costs more than its limit.
 */

#include <errno.h>
#include <sys/epoll.h>

#include "net/internal.h"
#include "sched/fiber.h"

#define TCP_SEND_LIMIT 2'626'560U /* what loopback TCP grows to */

static bool is_tcp(const struct sock *sk)
{
	return sk->family != AF_UNIX;
}

u32 sock_send_limit(struct sock *sk)
{
	u32 limit = atomic_load(&sk->sndbuf);

	/* A TCP buffer that was not set adapts itself; what was set is beside the receiver's. */
	if (!is_tcp(sk) || sk->type != SOCK_STREAM)
		return limit;
	return limit == BUF_DEFAULT ? TCP_SEND_LIMIT : limit + BUF_DEFAULT;
}

/* ---- urgent data ---- */

/*
 * The last byte of what is sent with MSG_OOB is a message of its own in the receiver's queue. A
 * read stops before it (the mark), and the next one skips it, or begins with it if SO_OOBINLINE is
 * set. recv with MSG_OOB gives a copy of it. Only the latest one counts: others are ordinary bytes.
 */

static bool is_inline(const struct sock *sk)
{
	return sock_opt_get(sk, SOL_SOCKET, SO_OOBINLINE);
}

bool stream_at_mark(const struct sock *sk)
{
	return sk->urgent && sk->rcvq.next == &sk->urgent->link;
}

u64 stream_readable(struct sock *sk)
{
	return sk->rcv_bytes - (sk->urgent && !is_inline(sk));
}

static ssize_t stream_recv_urgent(struct sock *sk, struct net_msg *msg)
{
	ssize_t ret = 1;
	char byte = 0;

	sock_lock(sk);
	if (sk->state == SOCK_STATE_LISTENING) {
		ret = -ENOTCONN;
	} else if (is_inline(sk) || !sk->urgent || !sk->urgent_unread) {
		ret = -EINVAL;
	} else if (sk->state == SOCK_STATE_NEW || sk->shutdown & RCV_SHUT) {
		ret = 0;
	} else {
		byte = sk->urgent->data[0];
		if (!(msg->flags & MSG_PEEK))
			sk->urgent_unread = false;
	}
	sock_unlock(sk);
	if (ret != 1)
		return ret;
	msg->ret_flags |= MSG_OOB;
	if (msg->uio->left)
		return uio_copy_to(msg->uio, &byte, 1);
	msg->ret_flags |= MSG_TRUNC;
	return 0;
}

/* Is b the mark? It ends a read that has something, and (ret_skip) is skipped unless inline. */
static bool stream_mark(struct sock *sk, const struct skb *b, bool *ret_skip)
{
	bool mark;

	sock_lock(sk);
	mark = sk->urgent == b;
	sock_unlock(sk);
	*ret_skip = mark && !is_inline(sk);
	return mark;
}

/* ---- receiving ---- */

/* Or another thread is just connecting it. */
static bool is_connected(const struct sock *sk) REQUIRES(lc_sock)
{
	return sk->state == SOCK_STATE_CONNECTED || sk->state == SOCK_STATE_CONNECTING;
}

/* What a receiver finds after *after (null: at the head) of the queue: *ret, or a reason why there
 * is nothing: 1: the end, -EAGAIN, or an error. have: it has enough, so errors are for the next. */
static int stream_next(struct sock *sk, const struct skb *after, bool have, struct skb **ret)
{
	const struct list *at;
	int why = -EAGAIN;

	sock_lock(sk);
	at = after ? after->link.next : sk->rcvq.next;
	*ret = at == &sk->rcvq ? NULL : list_entry(at, struct skb, link);
	if (!is_tcp(sk) && !is_connected(sk))
		why = -EINVAL;
	else if (*ret)
		why = 0;
	else if (have)
		why = -EAGAIN;
	else if (is_tcp(sk) && sk->done)
		why = 1;
	else if (sk->err)
		why = sock_take_error_locked(sk);
	else if (sk->shutdown & RCV_SHUT)
		why = 1;
	else if (!is_connected(sk))
		why = -ENOTCONN;
	sock_unlock(sk);
	return why;
}

/* Is there news for a receiver that has found nothing? A mark that it would skip is none. */
static bool stream_has_more(struct sock *sk)
{
	const struct list *at;
	bool ret;

	sock_lock(sk);
	at = sk->rcvq.next;
	if (stream_at_mark(sk) && !is_inline(sk))
		at = at->next;
	ret = at != &sk->rcvq || sk->err || sk->shutdown & RCV_SHUT || !is_connected(sk);
	sock_unlock(sk);
	return ret;
}

/* b is used up. */
static void stream_consume(struct sock *sk, struct skb *b)
{
	sock_lock(sk);
	sock_unqueue(sk, b);
	if (sk->urgent == b)
		sk->urgent = NULL;
	sock_unlock(sk);
	skb_destroy(b);
}

struct stream_read {
	struct net_msg *msg;
	size_t done, target;
	bool passcred, started;
	bool stop; /* what follows must not be part of this read */
	const struct skb *peeked;
};

static bool cred_equal(const struct scm_cred *a, const struct scm_cred *b)
{
	return a->pid == b->pid && a->uid == b->uid && a->gid == b->gid;
}

/* Credentials and files of b, which is about to be read. 1: b belongs to another read. */
static int stream_scm(struct stream_read *r, struct skb *b)
{
	if (r->started && r->passcred && !cred_equal(&b->cred, &r->msg->scm.cred))
		return 1;
	if (r->started && b->files && r->msg->scm.files)
		return 1;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a pending error is never 0 */
	if (b->files)
		r->stop = true;
	if (r->started && !b->files)
		return 0;
	r->started = true;
	return skb_detach_scm(b, r->msg, r->msg->flags & MSG_PEEK);
}

/* Read from b. Returns bytes, or an error; a short count is a fault. */
static ssize_t stream_read_skb(struct sock *sk, struct stream_read *r, struct skb *b)
{
	struct uio *u = r->msg->uio;
	size_t want = min((u64)(b->size - b->offset), u->left);
	ssize_t n;

	if (r->msg->flags & MSG_TRUNC && is_tcp(sk)) {
		n = (ssize_t)want; /* TCP throws away what is not asked for */
		u->left -= want;
	} else {
		n = uio_copy_to(u, b->data + b->offset, want);
	}
	if (n < 0)
		return n;
	r->done += (size_t)n;
	if (r->msg->flags & MSG_PEEK) {
		r->peeked = b;
	} else {
		sock_lock(sk);
		b->offset += (u32)n;
		sk->rcv_bytes -= (u64)n;
		sock_unlock(sk);
		if (b->offset == b->size)
			stream_consume(sk, b);
	}
	return (size_t)n == want ? n : -EFAULT;
}

/* With read_lock held. 0: enough, or an error. -EAGAIN: wait for more. */
static ssize_t stream_read_available(struct sock *sk, struct stream_read *r)
{
	struct skb *b;
	ssize_t ret;
	bool skip;

	while (r->msg->uio->left && !r->stop) {
		ret = stream_next(sk, r->peeked, r->done && r->done >= r->target, &b);
		if (ret == 1)
			return 1;
		if (ret)
			return ret;
		if (is_tcp(sk) && stream_mark(sk, b, &skip)) {
			if (r->done)
				return 1;
			if (skip && r->msg->flags & MSG_PEEK)
				r->peeked = b;
			else if (skip)
				stream_consume(sk, b);
			if (skip)
				continue;
		}
		if (!is_tcp(sk)) {
			ret = stream_scm(r, b);
			if (ret)
				return ret;
		}
		ret = stream_read_skb(sk, r, b);
		if (ret < 0)
			return ret;
	}
	return 1;
}

static int stream_wait(struct sock *sk, s64 deadline)
{
	return sock_wait_result(waitq_wait(&sk->waitq, EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP,
					   deadline, stream_has_more(sk)));
}

ssize_t stream_recv(struct subject *s, struct sock *sk, struct net_msg *msg)
{
	struct stream_read r = { .msg = msg, .passcred = atomic_load(&sk->passcred) };
	int lowat = sock_opt_get(sk, SOL_SOCKET, SO_RCVLOWAT);
	s64 deadline = sock_deadline(sk->rcvtimeo);
	ssize_t ret;

	if (msg->flags & MSG_OOB)
		return is_tcp(sk) ? stream_recv_urgent(sk, msg) : -EOPNOTSUPP;
	r.target = msg->flags & MSG_WAITALL ? msg->uio->left :
					      min((size_t)max(lowat, 1), msg->uio->left);
	for (;;) {
		mutex_lock(&sk->read_lock, &lc_socket);
		ret = stream_read_available(sk, &r);
		mutex_unlock(&sk->read_lock, &lc_socket);
		if (ret != -EAGAIN || r.stop || (r.done && r.done >= r.target))
			break;
		if (msg->flags & MSG_DONTWAIT)
			break;
		/* What was peeked at may be gone when we look again: begin anew. */
		r.peeked = NULL;
		ret = stream_wait(sk, deadline);
		if (ret || (msg->flags & MSG_PEEK && r.done))
			break;
	}
	if (r.done)
		return (ssize_t)r.done;
	return ret > 0 ? 0 : ret;
}

/* ---- sending ---- */

static bool stream_can_send(struct sock *sk)
{
	bool ret;

	sock_lock(sk);
	ret = sk->err || sk->shutdown & SEND_SHUT || sk->state != SOCK_STATE_CONNECTED;
	sock_unlock(sk);
	atomic_store(&sk->no_room, true);
	return ret || atomic_load(&sk->wmem) < sock_send_limit(sk);
}

/* May sk send? 0, or why not; -EAGAIN: another thread's connect has not ended yet. */
static int stream_send_check(struct sock *sk)
{
	int err = 0;

	sock_lock(sk);
	if (is_tcp(sk) && sk->state == SOCK_STATE_CONNECTING && !(sk->shutdown & SEND_SHUT)) {
		err = -EAGAIN;
	} else if (!is_tcp(sk) && sk->state != SOCK_STATE_CONNECTED) {
		err = -ENOTCONN;
	} else if (!is_tcp(sk) && sk->shutdown & SEND_SHUT) {
		err = -EPIPE; /* a pending error is for the receiver */
	} else if (sk->shutdown & SEND_SHUT || (is_tcp(sk) && sk->state != SOCK_STATE_CONNECTED)) {
		err = sock_take_error_locked(sk);
		err = err ? err : -EPIPE;
	} else if (sk->err) {
		err = sock_take_error_locked(sk);
	}
	sock_unlock(sk);
	return err;
}

static bool is_connecting(struct sock *sk)
{
	bool ret;

	sock_lock(sk);
	ret = sk->state == SOCK_STATE_CONNECTING && !(sk->shutdown & SEND_SHUT);
	sock_unlock(sk);
	return ret;
}

/* As stream_send_check, but wait for the end of a connect. */
static int stream_send_begin(struct sock *sk, const struct net_msg *msg, s64 deadline)
{
	int err = stream_send_check(sk);

	while (err == -EAGAIN && !(msg->flags & MSG_DONTWAIT)) {
		err = waitq_wait(&sk->waitq, EPOLLOUT | EPOLLERR | EPOLLHUP, deadline,
				 !is_connecting(sk));
		if (err)
			return sock_wait_result(err);
		err = stream_send_check(sk);
	}
	return err;
}

static int stream_wait_room(struct sock *sk, const struct net_msg *msg, s64 deadline)
{
	int err;

	for (;;) {
		err = stream_send_check(sk);
		if (err || atomic_load(&sk->wmem) < sock_send_limit(sk))
			return err;
		if (msg->flags & MSG_DONTWAIT) {
			/* Room may have come before it was said that it is waited for. */
			if (stream_can_send(sk))
				continue;
			return -EAGAIN;
		}
		err = waitq_wait(&sk->waitq, EPOLLOUT | EPOLLERR | EPOLLHUP, deadline,
				 stream_can_send(sk));
		if (err)
			return sock_wait_result(err);
	}
}

/* The peer is gone without having told us: that is what the answer to this segment says. */
static void tcp_reset_by_answer(struct sock *sk)
{
	sock_lock(sk);
	sk->err = sk->shutdown & RCV_SHUT ? EPIPE : ECONNRESET;
	sk->shutdown = BOTH_SHUT;
	sk->state = SOCK_STATE_NEW;
	sock_unlock(sk);
	sock_wake(sk, SOCK_ALL);
}

static bool stream_put(struct sock *sk, struct sock *peer, struct skb *b) REQUIRES(lc_sock)
{
	/* A peer that has disconnected may have another connection by now. */
	if (peer->dead || peer->peer != sk || (peer->shutdown & RCV_SHUT && !is_tcp(sk)))
		return false;
	sock_queue(peer, b);
	if (b->urgent) {
		peer->urgent = b;
		peer->urgent_unread = true;
	}
	return true;
}

/* Hand b to peer. -EPIPE if it takes no more. */
static int stream_deliver(struct sock *sk, struct sock *peer, struct skb *b)
{
	bool taken, urgent = b->urgent;

	if (b->files) {
		net_lock();
		sock_lock(peer);
		taken = stream_put(sk, peer, b);
		sock_unlock(peer);
		if (taken)
			skb_set_holder(b, peer);
		net_unlock();
	} else {
		sock_lock(peer);
		taken = stream_put(sk, peer, b);
		sock_unlock(peer);
	}
	if (taken) {
		sock_wake(peer, SOCK_READABLE | (urgent ? EPOLLPRI : 0));
		return 0;
	}
	skb_destroy(b);
	if (!is_tcp(sk))
		return -EPIPE;
	tcp_reset_by_answer(sk);
	return 0;
}

/* Send one piece. */
static ssize_t stream_send_piece(struct subject *s, struct sock *sk, struct sock *peer,
				 struct net_msg *msg)
{
	bool urgent = msg->flags & MSG_OOB && msg->uio->left == 1;
	/* The last byte of urgent data stands alone. */
	u64 left = msg->uio->left - (msg->flags & MSG_OOB && !urgent);
	u32 size = (u32)min(left, (u64)SKB_STREAM_MAX);
	struct skb *b;
	int err;

	if (!is_tcp(sk))
		size = min(size, max((u32)atomic_load(&sk->sndbuf) / 2, 2048U) - 64);
	b = skb_create(sk, size);
	if (!b)
		return -ENOBUFS;
	b->urgent = urgent;
	err = skb_fill(b, msg->uio);
	if (!err && !is_tcp(sk))
		err = skb_attach_scm(s, b, msg);
	if (err) {
		skb_destroy(b);
		return err;
	}
	err = stream_deliver(sk, peer, b);
	return err ? err : (ssize_t)size;
}

ssize_t stream_send(struct subject *s, struct sock *sk, struct net_msg *msg)
{
	s64 deadline = sock_deadline(sk->sndtimeo);
	struct sock *peer;
	ssize_t ret, done = 0;

	if (msg->flags & MSG_OOB && !is_tcp(sk))
		return -EOPNOTSUPP;
	ret = stream_send_begin(sk, msg, deadline);
	if (ret)
		return ret;
	peer = sock_peer_get(sk);
	if (!peer)
		return -ENOTCONN;
	while (msg->uio->left && !ret) {
		ret = stream_wait_room(sk, msg, deadline);
		if (ret)
			break;
		ret = stream_send_piece(s, sk, peer, msg);
		if (ret > 0) {
			done += ret;
			ret = 0;
		}
	}
	sock_put(peer);
	return done ? done : ret;
}
