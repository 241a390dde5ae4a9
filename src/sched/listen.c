/*
 * Listening: the poller blocks in the hot source's own call instead of ppoll, which saves a tenth
 * of an unattended round trip.
 *
 * That call ends only by an event of its source or by a signal. So a thread of its own, the guard,
 * watches epoll and the deadline meanwhile, and kicks the listener when it is wanted. A signal may
 * come just before the listener blocks and be lost; who kicks repeats it until the listener is
 * back. The guard rests once it has kicked, and is woken when the poller listens again: so
 * listening pays only while epoll has little to say (LISTEN_AFTER in poller.c).
 *
 * `listener` is set before the guard's state is looked at, and the guard goes to rest before it
 * looks for a listener: one of the two sees the other.
 */

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "host/host.h"
#include "sched/internal.h"
#include "sched/sched.h"

#define KICK_SIGNAL SIGURG /* the pool's: its handler does nothing */
#define GUARD_STACK (PTHREAD_STACK_MIN + 64 * 1024)

enum { GUARD_RESTS, GUARD_WATCHES };

static struct {
	_Atomic pid_t listener; /* tid of who blocks, or is about to; 0: nobody */
	_Atomic bool kicked; /* the listener is to come back */
	_Atomic u32 guard; /* futex */
	_Atomic bool stop;
	int epfd; /* [I] once the guard runs */
	s64 until; /* when the guard kicks; written by the token's holder while it rests */
	pthread_t thread; /* [token] */
	bool started, failed; /* [token] */
} l;

void listen_kick(void)
{
	if (!atomic_load(&l.listener))
		return;
	atomic_store(&l.kicked, true);
	for (;;) {
		pid_t tid = atomic_load(&l.listener);

		if (!tid || !atomic_load(&l.kicked))
			return;
		host_tgkill(host_getpid(), tid, KICK_SIGNAL);
		host_sched_yield();
	}
}

static void *guard_main(void *arg)
{
	struct pollfd fd = { .fd = l.epfd, .events = POLLIN };

	for (;;) {
		while (atomic_load(&l.guard) == GUARD_RESTS)
			host_futex_wait(&l.guard, GUARD_RESTS, NO_DEADLINE);
		if (atomic_load(&l.stop))
			return NULL;
		host_ppoll(&fd, 1,
			   l.until == NO_DEADLINE ? -1 : max(l.until - sched_now(), (s64)1));
		if (atomic_load(&l.stop))
			return NULL;
		atomic_store(&l.guard, GUARD_RESTS);
		listen_kick();
	}
}

static bool guard_start(int epfd)
{
	pthread_attr_t attr;

	if (l.started || l.failed)
		return l.started;
	l.epfd = epfd;
	pthread_attr_init(&attr);
#ifndef DONJON_DEBUG
	pthread_attr_setstacksize(&attr, GUARD_STACK);
#endif
	l.started = pthread_create(&l.thread, &attr, guard_main, NULL) == 0;
	l.failed = !l.started;
	pthread_attr_destroy(&attr);
	return l.started;
}

/* Have the guard watch until deadline; false if it looks up too late. */
static bool guard_arm(s64 deadline)
{
	if (atomic_load(&l.guard) == GUARD_WATCHES)
		return deadline >= l.until;
	l.until = deadline;
	atomic_store(&l.guard, GUARD_WATCHES);
	host_futex_wake(&l.guard, 1, false);
	return true;
}

int listen_for(struct poll_source *s, struct poll_event *ret_event, int epfd, s64 deadline)
{
	int ret = -EINTR;

	if (!guard_start(epfd))
		return -EAGAIN;
	atomic_store(&l.listener, t_sched.worker->tid);
	if (!guard_arm(deadline))
		ret = -EAGAIN;
	else if (!atomic_load(&l.kicked))
		ret = s->receive(s, ret_event);
	atomic_store(&l.listener, 0);
	atomic_store(&l.kicked, false);
	return ret;
}

void listen_fini(void)
{
	if (l.started) {
		atomic_store(&l.stop, true);
		atomic_store(&l.guard, GUARD_WATCHES);
		host_futex_wake(&l.guard, 1, false);
		poller_ring();
		pthread_join(l.thread, NULL);
	}
	l.started = l.failed = false;
	atomic_store(&l.stop, false);
	atomic_store(&l.guard, GUARD_RESTS);
}
