/*
 * Sockets: what all families share.
 *
 * A socket is referred to by its file, its peer, messages that it has sent and that nobody has
 * received yet, and while it waits for accept by the listener's queue. When its file goes it is
 * released: it leaves the tables, lets go of its peer and of what it has not received; so no cycle
 * of references outlives the files. What remains is memory, until the last reference is gone.
 *
 * Locks: read_lock (sleeping) orders receivers, and is the only one held while guest memory is
 * touched; sk->lock (short) protects the rest. No two sockets' locks are held at once. The tables
 * of names and ports have the root's lock, taken before a socket's.
 *
 * Streams of TCP are pipes between two sockets, as those of the unix domain: there are no packets.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "arena/slab.h"
#include "cred/cred.h"
#include "net/internal.h"
#include "sched/fiber.h"
#include "sched/timer.h"

#define SOMAXCONN_GUEST 4096

SLAB_CLASS(sock, struct sock, TRANSIENT(struct sock, read_lock.owner));
DECLARE_OPS(struct file_ops, sock_file_ops);

/* ---- life ---- */

struct scm_cred scm_cred_of(const struct subject *s)
{
	return (struct scm_cred){ .pid = s->tgid, .uid = s->cred->euid, .gid = s->cred->egid };
}

struct sock *sock_alloc(struct subject *s, const struct sock_ops *ops, int family, int type,
			int protocol)
{
	struct sock *sk = slab_alloc(&slab_sock);

	if (!sk)
		return NULL;
	refcount_init(&sk->refs, 1);
	sk->ops = ops;
	sk->family = (u16)family;
	sk->type = (u16)type;
	sk->protocol = (u32)protocol;
	spin_init(&sk->lock);
	mutex_init(&sk->read_lock);
	waitq_init(&sk->waitq);
	waitq_init(&sk->room_waitq);
	list_init(&sk->rcvq);
	list_init(&sk->clients);
	list_init(&sk->client_link);
	list_init(&sk->accept_queue);
	list_init(&sk->accept_link);
	list_init(&sk->name_link);
	list_init(&sk->memberships);
	list_init(&sk->flight_link);
	list_init(&sk->gc_lists);
	list_init(&sk->gc_link);
	sk->sndbuf = sk->rcvbuf = BUF_DEFAULT;
	sk->cred = scm_cred_of(s);
	sk->uid = sk->cred.uid;
	sock_opts_init(sk);
	net_lock();
	list_add_tail(&net_root()->socks, &sk->all_link);
	sk->cookie = ++net_root()->cookies;
	net_unlock();
	return sk;
}

struct sock *sock_get(struct sock *sk)
{
	refcount_get(&sk->refs);
	return sk;
}

void sock_put(struct sock *sk)
{
	if (!sk || !refcount_put(&sk->refs))
		return;
	net_lock();
	list_del(&sk->all_link);
	net_unlock();
	unix_addr_put(sk->addr);
	if (sk->peer_cred)
		cred_put(sk->peer_cred);
	if (sk->nl)
		netlink_free(sk);
	slab_free(&slab_sock, sk);
}

void sock_set_peer_cred(struct sock *sk, const struct cred *cred)
{
	const struct cred *old;

	cred = cred ? cred_get(cred) : NULL;
	sock_lock(sk);
	old = sk->peer_cred;
	sk->peer_cred = cred;
	sock_unlock(sk);
	if (old)
		cred_put(old);
}

u64 sock_inode(const struct sock *sk)
{
	return hash_u64((u64)(uintptr_t)sk) & 0x7fff'ffff;
}

int sock_file(struct subject *s, struct sock *sk, u32 flags, struct file **ret)
{
	u64 ino = sock_inode(sk);
	char name[32];
	int err;

	snprintf(name, sizeof(name), "socket:[%lu]", ino);
	err = file_create_anon(s, name, OPS(sock_file_ops), sk, O_RDWR | flags, ret);
	if (err)
		return err;
	(*ret)->inode->mode = S_IFSOCK | 0777;
	(*ret)->inode->ino = ino;
	sk->file = *ret;
	return 0;
}

static struct sock *file_sock(const struct file *f)
{
	return f && f->ops == OPS(sock_file_ops) ? f->private : NULL;
}

bool file_is_socket(const struct file *f)
{
	return file_sock(f) != NULL;
}

static int sock_new(struct subject *s, int family, int type, int protocol, struct sock **ret)
{
	switch (family) {
	case AF_UNIX:
		return unix_create(s, type, protocol, ret);
	case AF_INET:
	case AF_INET6:
		return inet_create(s, family, type, protocol, ret);
	case AF_NETLINK:
		return netlink_create(s, type, protocol, ret);
	default:
		return -EAFNOSUPPORT;
	}
}

/* Release a socket that has no file, and drop the caller's reference. */
static void sock_discard(struct sock *sk)
{
	sk->ops->release(sk, false);
	sock_put(sk);
}

int sock_create(struct subject *s, int family, int type, int protocol, u32 flags, struct file **ret)
{
	struct sock *sk;
	int err = sock_new(s, family, type, protocol, &sk);

	if (err)
		return err;
	err = sock_file(s, sk, flags, ret);
	if (err)
		sock_discard(sk);
	return err;
}

int sock_create_pair(struct subject *s, int family, int type, int protocol, u32 flags,
		     struct file *ret[2])
{
	struct sock *a, *b;
	int err;

	err = sock_new(s, family, type, protocol, &a);
	if (err)
		return err;
	if (family != AF_UNIX) {
		sock_discard(a);
		return -EOPNOTSUPP;
	}
	err = sock_new(s, family, type, protocol, &b);
	if (err) {
		sock_discard(a);
		return err;
	}
	err = unix_pair(s, a, b);
	if (!err)
		err = sock_file(s, a, flags, &ret[0]);
	if (err) {
		sock_discard(a);
		sock_discard(b);
		return err;
	}
	err = sock_file(s, b, flags, &ret[1]);
	if (err) {
		sock_discard(b);
		file_put(ret[0]);
	}
	return err;
}

static void sock_release(struct file *f)
{
	struct sock *sk = f->private;

	if (sk)
		sock_discard(sk);
}

/* ---- small things ---- */

void sock_wake(struct sock *sk, u32 events)
{
	waitq_wake(&sk->waitq, events);
}

int sock_take_error_locked(struct sock *sk)
{
	int err = sk->err;

	sk->err = 0;
	return -err;
}

int sock_take_error(struct sock *sk)
{
	int err;

	sock_lock(sk);
	err = sock_take_error_locked(sk);
	sock_unlock(sk);
	return err;
}

void sock_set_error(struct sock *sk, int err)
{
	sock_lock(sk);
	sk->err = err;
	sock_unlock(sk);
	sock_wake(sk, SOCK_ALL);
}

struct sock *sock_peer_get(struct sock *sk)
{
	struct sock *peer;

	sock_lock(sk);
	peer = sk->peer ? sock_get(sk->peer) : NULL;
	sock_unlock(sk);
	return peer;
}

s64 sock_deadline(s64 timeo)
{
	s64 deadline;

	if (!timeo || __builtin_add_overflow(sched_now(), timeo, &deadline))
		return NO_DEADLINE;
	return deadline;
}

bool sock_passcred(const struct file *f)
{
	const struct sock *sk = file_sock(f);

	return sk && atomic_load(&sk->passcred);
}

bool sock_takes_scm(const struct file *f)
{
	const struct sock *sk = file_sock(f);

	return sk && (sk->family == AF_UNIX || sk->family == AF_NETLINK);
}

bool sock_pipe_signal(const struct file *f)
{
	const struct sock *sk = file_sock(f);

	return !sk || sk->type == SOCK_STREAM;
}

bool sock_has_timeout(const struct file *f, bool write)
{
	const struct sock *sk = file_sock(f);

	return sk && atomic_load(write ? &sk->sndtimeo : &sk->rcvtimeo) != 0;
}

/* ---- listening ---- */

bool sock_refuses(const struct sock *sk)
{
	return sk->state != SOCK_STATE_LISTENING || sk->dead || sk->shutdown & RCV_SHUT;
}

static bool accept_room(struct sock *listener)
{
	bool ret;

	sock_lock(listener);
	ret = sock_refuses(listener) || listener->accept_count <= listener->backlog;
	sock_unlock(listener);
	return ret;
}

int sock_enqueue_child(struct sock *listener, struct sock *child, u32 beyond)
{
	int ret = 0;

	sock_lock(listener);
	if (sock_refuses(listener)) {
		ret = -ECONNREFUSED;
	} else if (listener->accept_count > listener->backlog + beyond) {
		ret = -EAGAIN;
	} else {
		list_add_tail(&listener->accept_queue, &child->accept_link);
		listener->accept_count++;
	}
	sock_unlock(listener);
	if (!ret)
		sock_wake(listener, SOCK_READABLE);
	return ret;
}

void sock_set_listener(struct sock *child, struct sock *listener)
{
	net_lock();
	child->listener = listener;
	net_unlock();
}

int sock_wait_accept_room(struct sock *listener, s64 deadline)
{
	return sock_wait_result(
		waitq_wait(&listener->room_waitq, EPOLLOUT, deadline, accept_room(listener)));
}

static struct sock *accept_take(struct sock *sk)
{
	struct sock *child = NULL;

	sock_lock(sk);
	if (!list_empty(&sk->accept_queue)) {
		child = list_first(&sk->accept_queue, struct sock, accept_link);
		list_del(&child->accept_link);
		sk->accept_count--;
	}
	sock_unlock(sk);
	if (child)
		waitq_wake(&sk->room_waitq, EPOLLOUT);
	return child;
}

void sock_release_children(struct sock *listener)
{
	struct sock *child;

	while ((child = accept_take(listener))) {
		child->ops->release(child, true);
		sock_put(child);
	}
}

/* One attempt: a connection, -EAGAIN, or why there will be none. */
static int accept_once(struct sock *sk, struct sock **ret)
{
	int err = 0;

	*ret = accept_take(sk);
	if (*ret)
		return 0;
	sock_lock(sk);
	if (sk->state != SOCK_STATE_LISTENING)
		err = -EINVAL;
	else if (sk->shutdown & RCV_SHUT)
		err = -EINVAL;
	sock_unlock(sk);
	return err ? err : -EAGAIN;
}

int sock_accept(struct subject *s, struct file *f, u32 flags, struct file **ret)
{
	struct sock *sk = file_sock(f), *child = NULL;
	s64 deadline;
	int err, waited;

	if (!sk)
		return -ENOTSOCK;
	if (!sk->ops->listens)
		return -EOPNOTSUPP;
	err = accept_once(sk, &child);
	if (err == -EAGAIN && !(f->flags & O_NONBLOCK)) {
		deadline = sock_deadline(sk->rcvtimeo);
		waited = waitq_wait(&sk->waitq, EPOLLIN | EPOLLHUP, deadline,
				    (err = accept_once(sk, &child)) != -EAGAIN);
		err = waited ? sock_wait_result(waited) : err;
	}
	if (err)
		return err;
	err = sock_file(s, child, flags, ret);
	if (err) {
		child->ops->release(child, true);
		sock_put(child);
		return err;
	}
	sock_set_listener(child, NULL);
	return 0;
}

void sock_unaccept(struct file *f, struct file *conn)
{
	struct sock *sk = file_sock(f), *child = file_sock(conn);
	bool back;

	conn->private = NULL;
	child->file = NULL;
	file_put(conn);
	sock_set_listener(child, sk);
	sock_lock(sk);
	back = sk->state == SOCK_STATE_LISTENING && !sk->dead;
	if (back) {
		list_add(&sk->accept_queue, &child->accept_link);
		sk->accept_count++;
	}
	sock_unlock(sk);
	if (back) {
		/* Others may have found the queue empty meanwhile. */
		sock_wake(sk, SOCK_READABLE);
		return;
	}
	child->ops->release(child, true);
	sock_put(child);
}

/* Not while connected, nor after a reset, nor before it is asked how a connect went. */
static bool may_listen(const struct sock *sk) REQUIRES(lc_sock)
{
	return (sk->state == SOCK_STATE_NEW || sk->state == SOCK_STATE_LISTENING) && !sk->peer &&
	       !sk->connecting;
}

int sock_listen(struct subject *s, struct file *f, int backlog)
{
	struct sock *sk = file_sock(f);
	int err;

	if (!sk)
		return -ENOTSOCK;
	if (!sk->ops->listens)
		return -EOPNOTSUPP;
	sock_lock(sk);
	err = may_listen(sk) ? 0 : -EINVAL;
	sock_unlock(sk);
	if (!err && sk->ops->listen_check)
		err = sk->ops->listen_check(s, sk);
	if (err)
		return err;
	sock_lock(sk);
	if (!may_listen(sk)) {
		err = -EINVAL;
	} else {
		sk->state = SOCK_STATE_LISTENING;
		if (sk->family != AF_UNIX)
			sk->shutdown = 0;
		sk->backlog = min((u32)backlog, (u32)SOMAXCONN_GUEST);
		sk->peercred = scm_cred_of(s);
	}
	sock_unlock(sk);
	if (!err && sk->family == AF_UNIX)
		sock_set_peer_cred(sk, s->cred);
	waitq_wake(&sk->room_waitq, EPOLLOUT);
	return err;
}

/* ---- calls that the families answer ---- */

int sock_bind(struct subject *s, struct file *f, const struct sockname *name)
{
	struct sock *sk = file_sock(f);

	return sk ? sk->ops->bind(s, sk, name) : -ENOTSOCK;
}

int sock_connect(struct subject *s, struct file *f, const struct sockname *name)
{
	struct sock *sk = file_sock(f);

	if (!sk)
		return -ENOTSOCK;
	if (name->size < sizeof(sa_family_t))
		return -EINVAL;
	return sk->ops->connect(s, sk, name, f->flags & O_NONBLOCK);
}

int sock_getname(struct file *f, bool peer, struct sockname *ret)
{
	struct sock *sk = file_sock(f);

	return sk ? sk->ops->getname(sk, peer, ret) : -ENOTSOCK;
}

int sock_shutdown(struct file *f, int how)
{
	struct sock *sk = file_sock(f);

	if (!sk)
		return -ENOTSOCK;
	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	return sk->ops->shutdown(sk, (u32)how + 1);
}

ssize_t sock_send(struct subject *s, struct file *f, struct net_msg *msg)
{
	struct sock *sk = file_sock(f);

	if (!sk)
		return -ENOTSOCK;
	if (f->flags & O_NONBLOCK)
		msg->flags |= MSG_DONTWAIT;
	return sk->ops->send(s, sk, msg);
}

ssize_t sock_recv(struct subject *s, struct file *f, struct net_msg *msg)
{
	struct sock *sk = file_sock(f);

	if (!sk)
		return -ENOTSOCK;
	/* There is nothing that could be in a queue of errors. */
	if (msg->flags & MSG_ERRQUEUE && (sk->family == AF_INET || sk->family == AF_INET6))
		return -EAGAIN;
	if (f->flags & O_NONBLOCK)
		msg->flags |= MSG_DONTWAIT;
	return sk->ops->recv(s, sk, msg);
}

u64 sock_cookie(const struct file *f)
{
	struct sock *sk = file_sock(f);

	return sk ? sk->cookie : 0;
}

u64 sock_peer_cookie(const struct file *f)
{
	struct sock *sk = file_sock(f), *peer = sk ? sock_peer_get(sk) : NULL;
	u64 ret = peer ? peer->cookie : 0;

	sock_put(peer);
	return ret;
}

/* Is its sender far from having to wait? It hears late of the room that such reads make. */
static bool sender_has_room(struct sock *sk)
{
	struct sock *peer = sock_peer_get(sk);
	bool ret = !peer || atomic_load(&peer->wmem) <= sock_send_limit(peer) / 8;

	sock_put(peer);
	return ret;
}

ssize_t sock_peek_all(struct subject *s, struct file *f, void *buf, size_t size)
{
	struct net_msg msg = { .flags = MSG_PEEK | MSG_DONTWAIT };
	struct sock *sk = file_sock(f);
	struct uio u;
	ssize_t ret;
	bool fits;

	if (!sk || sk->type != SOCK_STREAM || !f->readable)
		return -EAGAIN;
	sock_lock(sk);
	fits = sk->rcv_bytes <= size && sk->rcv_bytes && !sk->urgent;
	sock_unlock(sk);
	if (!fits || !sender_has_room(sk))
		return -EAGAIN;
	uio_init_kernel(&u, buf, size);
	msg.uio = &u;
	ret = sock_recv(s, f, &msg);
	if (ret < max(sock_opt_get(sk, SOL_SOCKET, SO_RCVLOWAT), 1) || msg.scm.files)
		ret = -EAGAIN;
	file_list_destroy(msg.scm.files);
	return ret;
}

/* ---- file ops ---- */

static ssize_t sock_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	struct net_msg msg = { .uio = to, .flags = to->nowait ? MSG_DONTWAIT : 0 };
	ssize_t ret;

	ret = sock_recv(s, f, &msg);
	file_list_destroy(msg.scm.files);
	return ret;
}

static ssize_t sock_write(struct subject *s, struct file *f, struct uio *from, s64 *pos)
{
	struct net_msg msg = { .uio = from, .flags = from->nowait ? MSG_DONTWAIT : 0 };

	return sock_send(s, f, &msg);
}

static u32 sock_poll(struct file *f)
{
	struct sock *sk = f->private;

	return sk->ops->poll(sk);
}

static struct waitq *sock_waitq(struct file *f)
{
	struct sock *sk = f->private;

	return &sk->waitq;
}

/* FIONREAD: all bytes of a stream, those of the first message else. */
static int sock_unread(struct sock *sk, int *ret)
{
	int err = 0;

	sock_lock(sk);
	if (sk->state == SOCK_STATE_LISTENING)
		err = -EINVAL;
	else if (sk->type == SOCK_STREAM || (sk->type == SOCK_SEQPACKET))
		*ret = (int)min(sk->rcv_bytes, (u64)INT32_MAX);
	else
		*ret = list_empty(&sk->rcvq) ? 0 :
					       (int)list_first(&sk->rcvq, struct skb, link)->size;
	sock_unlock(sk);
	return err;
}

/* TIOCOUTQ: what is in others' queues and costs us; TCP's peer has acknowledged all of it. */
static int sock_unsent(struct sock *sk, int *ret)
{
	int err = 0;

	sock_lock(sk);
	if (sk->protocol == IPPROTO_TCP && sk->state == SOCK_STATE_LISTENING)
		err = -EINVAL;
	else
		*ret = sk->family == AF_UNIX ? (int)min(atomic_load(&sk->wmem), (u32)INT32_MAX) : 0;
	sock_unlock(sk);
	return err;
}

static long sock_ioctl(struct subject *s, struct file *f, u32 cmd, u64 arg)
{
	struct sock *sk = f->private;
	int value = 0, err = 0;

	switch (cmd) {
	case FIONREAD:
		err = sock_unread(sk, &value);
		break;
	case TIOCOUTQ:
		err = sock_unsent(sk, &value);
		break;
	case SIOCOUTQNSD:
		if (sk->protocol != IPPROTO_TCP)
			return -ENOTTY;
		err = sock_unsent(sk, &value);
		break;
	case SIOCATMARK:
		if (sk->protocol != IPPROTO_TCP)
			return -ENOTTY;
		sock_lock(sk);
		value = stream_at_mark(sk);
		sock_unlock(sk);
		break;
	default:
		return link_ioctl(s, sk, cmd, arg);
	}
	return err ? err : copy_out(s, UADDR(arg), &value, sizeof(value));
}

DEFINE_OPS(struct file_ops, sock_file_ops) = {
	.nowait = true,
	.read = sock_read,
	.write = sock_write,
	.poll = sock_poll,
	.waitq = sock_waitq,
	.ioctl = sock_ioctl,
	.release = sock_release,
};
