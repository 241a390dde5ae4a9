/*
 * Files in messages: how many there may be, and the collection of sockets that only each other's
 * messages refer to. Source: unix(7), the algorithm of Linux's net/unix/garbage.c before 6.10.
 *
 * A unix socket whose file is referred to only by messages is a candidate. It is garbage unless a
 * message in a queue that is no candidate's, or not in a queue yet, holds it, or a socket that is
 * not garbage does. The files in the messages of garbage are dropped; the sockets go with them.
 *
 * Marking happens in one go under the root's lock. That is sound: a candidate can only be reached
 * by receiving (or peeking at) a message, which takes that lock, from a socket that somebody has
 * open and that so was no candidate; what becomes garbage meanwhile is found the next time. It
 * takes time in proportion to the number of files in messages, which is bounded, and pauses ten
 * times as long between two collections.
 *
 * A connection that waits for accept belongs to its listener: messages to it are in the listener's
 * queue, so to say.
 */

#include <errno.h>
#include <linux/capability.h>
#include <sys/epoll.h>

#include "arena/slab.h"
#include "cred/cred.h"
#include "cred/rlimit.h"
#include "net/internal.h"
#include "sched/fiber.h"
#include "sched/timer.h"

#define IN_FLIGHT_MAX 65'536U
#define GC_PAUSE 10 /* times what a collection takes */
#define GC_PAUSE_MIN 1'000'000 /* ns */

SLAB_CLASS(flight_user, struct flight_user);

/* ---- counting ---- */

static struct flight_user *flight_user_get(u32 uid) REQUIRES(lc_net)
{
	struct list *bucket = &net_root()->flight_users[uid % FLIGHT_BUCKETS];
	struct flight_user *u;

	list_for_each(u, bucket, link)
		if (u->uid == uid)
			return u;
	u = slab_alloc(&slab_flight_user);
	if (!u)
		return NULL;
	u->uid = uid;
	list_add(bucket, &u->link);
	return u;
}

static void flight_user_put(struct flight_user *u) REQUIRES(lc_net)
{
	if (u->count)
		return;
	list_del(&u->link);
	slab_free(&slab_flight_user, u);
}

/* The unix socket that f is, or null. */
static struct sock *file_unix_sock(const struct file *f)
{
	struct sock *sk = file_is_socket(f) ? f->private : NULL;

	return sk && sk->family == AF_UNIX ? sk : NULL;
}

static void flight_mark(struct file_list *l, bool begin) REQUIRES(lc_net)
{
	for (u32 i = 0; i < l->count; i++) {
		struct sock *sk = file_unix_sock(l->files[i]);

		if (!sk)
			continue;
		if (begin && !sk->flight++)
			list_add(&net_root()->flight_socks, &sk->flight_link);
		else if (!begin && !--sk->flight)
			list_del(&sk->flight_link);
	}
}

static int flight_try(struct subject *s, struct file_list *l)
{
	bool capable = subject_capable(s, CAP_SYS_RESOURCE) || subject_capable(s, CAP_SYS_ADMIN);
	u64 limit = s->rlimits && !capable ? rlimit_get(s->rlimits, RLIMIT_NOFILE) : IN_FLIGHT_MAX;
	struct net_root *root = net_root();
	struct flight_user *u;
	int err = 0;

	net_lock();
	u = flight_user_get(s->cred->uid);
	if (!u) {
		err = -ENOMEM;
	} else if (u->count > limit || root->in_flight > IN_FLIGHT_MAX) {
		err = -ETOOMANYREFS;
		flight_user_put(u);
	} else {
		l->user = u;
		u->count += l->count;
		root->in_flight += l->count;
		list_add_tail(&root->flights, &l->flight_link);
		flight_mark(l, true);
	}
	net_unlock();
	return err;
}

/* Collect at once, if it is not too soon after the last time. */
static bool gc_now(void)
{
	s64 now = sched_now();
	bool due;

	net_lock();
	due = now >= net_root()->gc_not_before && !list_empty(&net_root()->flight_socks);
	net_unlock();
	if (due)
		net_collect();
	return due;
}

int flight_begin(struct subject *s, struct file_list *l)
{
	int err = flight_try(s, l);

	if (err == -ETOOMANYREFS && gc_now())
		err = flight_try(s, l);
	return err;
}

void flight_end(struct file_list *l)
{
	if (!l->user)
		return;
	l->user->count -= l->count;
	flight_user_put(l->user);
	l->user = NULL;
	net_root()->in_flight -= l->count;
	list_del(&l->flight_link);
	l->skb = NULL;
	l->holder = NULL;
	flight_mark(l, false);
}

/* ---- marking ---- */

/* Choose the candidates. False if there is none. */
static bool gc_choose(void) REQUIRES(lc_net)
{
	struct sock *sk;
	bool any = false;

	list_for_each(sk, &net_root()->flight_socks, flight_link) {
		sk->gc_refs = sk->flight;
		sk->gc_candidate = refcount_read(&sk->file->refs) == sk->flight;
		any |= sk->gc_candidate;
	}
	return any;
}

/* Subtract the references that candidates' queues hold. */
static void gc_subtract(void) REQUIRES(lc_net)
{
	struct file_list *l;

	list_for_each(l, &net_root()->flights, flight_link) {
		struct sock *holder = l->holder;

		if (holder && holder->listener)
			holder = holder->listener;
		if (!holder || !holder->gc_candidate)
			continue;
		list_add(&holder->gc_lists, &l->gc_link);
		for (u32 i = 0; i < l->count; i++) {
			struct sock *sk = file_unix_sock(l->files[i]);

			if (sk && sk->gc_candidate)
				sk->gc_refs--;
		}
	}
}

static void gc_reached(struct sock *sk, struct list *work) REQUIRES(lc_net)
{
	sk->gc_candidate = false;
	list_add_tail(work, &sk->gc_link);
}

/* What is left of the candidates is garbage. */
static void gc_spread(void) REQUIRES(lc_net)
{
	struct list work;
	struct sock *sk;

	list_init(&work);
	list_for_each(sk, &net_root()->flight_socks, flight_link)
		if (sk->gc_candidate && sk->gc_refs)
			gc_reached(sk, &work);
	while (!list_empty(&work)) {
		struct file_list *l;

		sk = list_first(&work, struct sock, gc_link);
		list_del(&sk->gc_link);
		list_for_each(l, &sk->gc_lists, gc_link) {
			for (u32 i = 0; i < l->count; i++) {
				struct sock *to = file_unix_sock(l->files[i]);

				if (to && to->gc_candidate)
					gc_reached(to, &work);
			}
		}
	}
}

/* Doom what is in the queues of garbage, and leave no marks. */
static bool gc_sweep(void) REQUIRES(lc_net)
{
	struct net_root *root = net_root();
	struct list dropped;
	struct file_list *l;
	struct sock *sk;
	bool any;

	list_init(&dropped);
	list_for_each(sk, &root->flight_socks, flight_link) {
		while (!list_empty(&sk->gc_lists)) {
			l = list_first(&sk->gc_lists, struct file_list, gc_link);
			list_del(&l->gc_link);
			if (sk->gc_candidate)
				list_add_tail(&dropped, &l->gc_link);
		}
		sk->gc_candidate = false;
	}
	any = !list_empty(&dropped);
	while (!list_empty(&dropped)) {
		l = list_first(&dropped, struct file_list, gc_link);
		list_del(&l->gc_link);
		l->skb->files = NULL;
		flight_end(l);
		list_add_tail(&root->doomed, &l->link);
	}
	return any;
}

void net_collect(void)
{
	s64 begin = sched_now(), end;
	bool found = false;

	net_lock();
	if (gc_choose()) {
		gc_subtract();
		gc_spread();
		found = gc_sweep();
	}
	net_unlock();
	end = sched_now();
	net_lock();
	net_root()->gc_not_before = end + max((end - begin) * GC_PAUSE, (s64)GC_PAUSE_MIN);
	net_unlock();
	if (found)
		file_lists_drop();
}

/* ---- when ---- */

static void gc_pause(void)
{
	s64 until;

	net_lock();
	until = net_root()->gc_not_before;
	net_unlock();
	while (sched_now() < until)
		fiber_park(until);
}

static void gc_fiber(void *arg)
{
	struct net_root *root = net_root();
	bool again;

	do {
		gc_pause();
		net_collect();
		net_lock();
		again = root->gc_again;
		root->gc_again = false;
		root->gc_running = again;
		net_unlock();
	} while (again);
}

void gc_request(void)
{
	struct net_root *root = net_root();
	struct fiber *f;
	bool start;

	net_lock();
	start = !list_empty(&root->flight_socks);
	if (start && root->gc_running) {
		root->gc_again = true;
		start = false;
	}
	if (start)
		root->gc_running = true;
	net_unlock();
	if (!start)
		return;
	f = fiber_create(gc_fiber, NULL);
	if (f) {
		fiber_start(f);
		return;
	}
	/* The next one may have more luck. */
	net_lock();
	root->gc_running = false;
	net_unlock();
}

void net_quiesce(void)
{
	struct net_root *root = net_root();
	bool busy;

	net_collect();
	do {
		net_lock();
		busy = root->gc_running || root->dooming;
		net_unlock();
		if (busy)
			fiber_park(sched_now() + GC_PAUSE_MIN);
	} while (busy);
}
