/* Receiving whole messages: datagrams, and packets of seqpacket sockets. */

#include <errno.h>
#include <sys/epoll.h>

#include "net/internal.h"
#include "sched/fiber.h"

/* The first message, or a reason why there is none: 1: the end. */
static int dgram_next(struct sock *sk, struct skb **ret)
{
	int why = -EAGAIN;

	sock_lock(sk);
	*ret = list_empty(&sk->rcvq) ? NULL : list_first(&sk->rcvq, struct skb, link);
	if (sk->type == SOCK_SEQPACKET && sk->state != SOCK_STATE_CONNECTED)
		why = -ENOTCONN;
	else if (sk->err)
		why = sock_take_error_locked(sk);
	else if (*ret)
		why = 0;
	else if (sk->shutdown & RCV_SHUT)
		why = 1;
	sock_unlock(sk);
	return why;
}

static bool dgram_has_more(struct sock *sk)
{
	bool ret;

	sock_lock(sk);
	ret = !list_empty(&sk->rcvq) || sk->err || sk->shutdown & RCV_SHUT ||
	      (sk->type == SOCK_SEQPACKET && sk->state != SOCK_STATE_CONNECTED);
	sock_unlock(sk);
	return ret;
}

/* A message has left sk's queue: there is room for those who are connected to it. */
static void dgram_announce_room(struct sock *sk)
{
	struct sock *client;

	if (sk->family != AF_UNIX)
		return;
	sock_lock(sk);
	list_for_each(client, &sk->clients, client_link)
		sock_wake(client, SOCK_WRITABLE);
	sock_unlock(sk);
	waitq_wake(&sk->room_waitq, EPOLLOUT);
}

/* Who has sent b, and what else there is to know. */
static void dgram_describe(struct sock *sk, const struct skb *b, struct net_msg *msg)
{
	sock_put_timestamp(sk, msg);
	if (sk->family == AF_UNIX) {
		unix_name(b->from, &msg->from);
	} else if (sk->family == AF_NETLINK) {
		netlink_name(b, &msg->from);
		netlink_put_cmsgs(sk, b, msg);
	} else {
		inet_name(sk, &b->inet_from, &msg->from);
		inet_put_cmsgs(sk, b, msg);
	}
}

static ssize_t dgram_take(struct sock *sk, struct skb *b, struct net_msg *msg)
{
	bool peek = msg->flags & MSG_PEEK;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a pending error is never 0 */
	size_t want = min((u64)b->size, msg->uio->left);
	ssize_t n = want ? uio_copy_to(msg->uio, b->data, want) : 0;
	int err = 0;

	if (n >= 0 && (size_t)n < want)
		n = -EFAULT;
	/* After a fault too: the files are the caller's to drop, without a lock. */
	if (sk->family == AF_UNIX || sk->family == AF_NETLINK)
		err = skb_detach_scm(b, msg, peek);
	if (err && n >= 0)
		n = err;
	if (n >= 0) {
		dgram_describe(sk, b, msg);
		if (want < b->size)
			msg->ret_flags |= MSG_TRUNC;
		if (sk->type == SOCK_SEQPACKET)
			msg->ret_flags |= MSG_EOR;
		if (msg->flags & MSG_TRUNC)
			n = b->size;
	}
	if (peek)
		return n;
	sock_lock(sk);
	sock_unqueue(sk, b);
	sock_unlock(sk);
	skb_destroy(b);
	dgram_announce_room(sk);
	return n;
}

ssize_t dgram_recv(struct subject *s, struct sock *sk, struct net_msg *msg)
{
	s64 deadline = sock_deadline(sk->rcvtimeo);
	struct skb *b;
	ssize_t ret;

	if (msg->flags & MSG_OOB && (sk->family == AF_UNIX || sk->family == AF_NETLINK))
		return -EOPNOTSUPP;
	for (;;) {
		mutex_lock(&sk->read_lock, &lc_socket);
		ret = dgram_next(sk, &b);
		if (!ret)
			ret = dgram_take(sk, b, msg);
		else if (ret == 1)
			ret = sk->type != SOCK_SEQPACKET && msg->flags & MSG_DONTWAIT ? -EAGAIN : 0;
		mutex_unlock(&sk->read_lock, &lc_socket);
		if (ret != -EAGAIN || msg->flags & MSG_DONTWAIT)
			return ret;
		ret = sock_wait_result(waitq_wait(&sk->waitq, EPOLLIN | EPOLLHUP | EPOLLERR,
						  deadline, dgram_has_more(sk)));
		if (ret)
			return ret;
	}
}
