/*
 * Messages on their way: buffers, and the files that travel with them.
 *
 * A message is charged to its sender until it is received, as in Linux, so that the sum of what a
 * socket has in others' queues is bounded by SO_SNDBUF.
 *
 * Files in messages may be sockets that hold messages with files. Destroying such a message must
 * not recurse: lists of files go to one queue, and whoever finds nobody at work there works it off.
 */

#include <errno.h>
#include <sys/epoll.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "net/internal.h"

SLAB_CLASS(skb, struct skb);
SLAB_CLASS(file_list, struct file_list);

/* ---- file lists ---- */

struct file_list *file_list_create(void)
{
	struct file_list *l = slab_alloc(&slab_file_list);

	if (!l)
		return NULL;
	list_init(&l->link);
	list_init(&l->flight_link);
	list_init(&l->gc_link);
	return l;
}

int file_list_add(struct file_list *l, struct file *f)
{
	if (l->count >= SCM_FILES_MAX)
		return -EINVAL;
	l->files[l->count++] = file_get(f);
	return 0;
}

u32 file_list_count(const struct file_list *l)
{
	return l->count;
}

struct file *file_list_get(const struct file_list *l, u32 i)
{
	return l->files[i];
}

static struct file_list *file_list_copy(const struct file_list *l)
{
	struct file_list *copy = file_list_create();

	/* The collector must not find a file as unreferenced as it was before, and the socket that
	 * it was peeked from as closed as it is afterwards. */
	net_lock();
	for (u32 i = 0; copy && i < l->count; i++)
		copy->files[copy->count++] = file_get(l->files[i]);
	net_unlock();
	return copy;
}

/* The next list to destroy; null: none, and we are no longer at it. */
static struct file_list *doomed_next(void)
{
	struct net_root *root = net_root();
	struct file_list *l = NULL;

	net_lock();
	if (list_empty(&root->doomed)) {
		root->dooming = false;
	} else {
		l = list_first(&root->doomed, struct file_list, link);
		list_del(&l->link);
	}
	net_unlock();
	return l;
}

void file_lists_drop(void)
{
	struct net_root *root = net_root();
	struct file_list *l;
	bool others;

	net_lock();
	others = root->dooming;
	root->dooming = true;
	net_unlock();
	if (others)
		return;
	while ((l = doomed_next())) {
		for (u32 i = 0; i < l->count; i++)
			file_put(l->files[i]);
		slab_free(&slab_file_list, l);
	}
}

void file_list_destroy(struct file_list *l)
{
	if (!l)
		return;
	net_lock();
	flight_end(l);
	list_add_tail(&net_root()->doomed, &l->link);
	net_unlock();
	file_lists_drop();
}

/* ---- buffers ---- */

struct skb *skb_create(struct sock *owner, u32 size)
{
	struct skb *b = slab_alloc(&slab_skb);

	if (!b)
		return NULL;
	list_init(&b->link);
	b->data = size <= SKB_INLINE ? b->inline_data : arena_alloc(size);
	if (!b->data) {
		slab_free(&slab_skb, b);
		return NULL;
	}
	b->size = size;
	b->charge = size + SKB_OVERHEAD;
	b->owner = sock_get(owner);
	atomic_fetch_add(&owner->wmem, b->charge);
	return b;
}

/* A quarter of the limit is in use at most: Linux calls such a socket writable. */
bool sock_send_room(struct sock *sk)
{
	return (u64)atomic_load(&sk->wmem) * 4 <= sock_send_limit(sk);
}

void skb_destroy(struct skb *b)
{
	struct sock *owner = b->owner;

	atomic_fetch_sub(&owner->wmem, b->charge);
	/* As on Linux, TCP tells only those who had to wait. */
	if (sock_send_room(owner) &&
	    (owner->protocol != IPPROTO_TCP || atomic_exchange(&owner->no_room, false)))
		sock_wake(owner, SOCK_WRITABLE);
	sock_put(owner);
	file_list_destroy(b->files);
	unix_addr_put(b->from);
	if (b->data != b->inline_data)
		arena_free(b->data);
	slab_free(&slab_skb, b);
}

void skbs_destroy(struct list *skbs)
{
	while (!list_empty(skbs)) {
		struct skb *b = list_first(skbs, struct skb, link);

		list_del(&b->link);
		skb_destroy(b);
	}
}

int skb_fill(struct skb *b, struct uio *from)
{
	ssize_t n = b->size ? uio_copy_from(from, b->data, b->size) : 0;

	if (n < 0)
		return (int)n;
	return (u32)n == b->size ? 0 : -EFAULT;
}

void sock_queue(struct sock *sk, struct skb *b)
{
	list_add_tail(&sk->rcvq, &b->link);
	sk->rcv_count++;
	sk->rcv_bytes += b->size;
}

void skb_set_holder(struct skb *b, struct sock *sk)
{
	b->files->skb = b;
	b->files->holder = sk;
}

void sock_unqueue(struct sock *sk, struct skb *b)
{
	list_del(&b->link);
	sk->rcv_count--;
	sk->rcv_bytes -= b->size - b->offset;
}

/* ---- control data ---- */

int skb_attach_scm(struct subject *s, struct skb *b, struct net_msg *msg)
{
	int err;

	b->cred = msg->scm.has_cred ? msg->scm.cred : scm_cred_of(s);
	if (!msg->scm.files)
		return 0;
	err = flight_begin(s, msg->scm.files);
	if (err)
		return err;
	b->files = msg->scm.files;
	msg->scm.files = NULL;
	return 0;
}

int skb_detach_scm(struct skb *b, struct net_msg *msg, bool peek)
{
	msg->scm.cred = b->cred;
	msg->scm.has_cred = true;
	if (!b->files || msg->scm.files)
		return 0;
	if (peek) {
		msg->scm.files = file_list_copy(b->files);
		return msg->scm.files ? 0 : -ENOMEM;
	}
	net_lock();
	flight_end(b->files);
	net_unlock();
	msg->scm.files = b->files;
	b->files = NULL;
	return 0;
}
