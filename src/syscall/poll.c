/*
 * poll, select, epoll_wait.
 *
 * poll and select build a list of (file, events), queue a waiter on each file's wait queue, and
 * look at the files until one is ready. Small lists are on the stack.
 */

#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/poll.h>
#include <sys/select.h>

#include "arena/arena.h"
#include "ipc/epoll.h"
#include "kernel/reads.h"
#include "sched/timer.h"
#include "syscall/util.h"
#include "syscall_protos.h"
#include "time/clock.h"

#define POLL_FAST 16U /* entries on the stack */
#define POLL_ALWAYS (EPOLLERR | EPOLLHUP)

struct poll_entry {
	struct file *file; /* owned; null: not open, or to be left out */
	u32 events; /* wanted, with POLL_ALWAYS */
	u32 revents; /* found */
	struct waiter waiter;
};

/* ---- the core ---- */

/* Look at all files; those found ready are counted. */
static int poll_scan(struct poll_entry *e, u32 count)
{
	int ready = 0;

	for (u32 i = 0; i < count; i++) {
		if (e[i].file)
			e[i].revents = file_poll(e[i].file) & e[i].events;
		ready += e[i].revents != 0;
	}
	return ready;
}

static void poll_queue(struct poll_entry *e, u32 count)
{
	struct fiber *self = fiber_current();

	for (u32 i = 0; i < count; i++) {
		struct file *f = e[i].file;
		struct waitq *q = f && f->ops->waitq ? f->ops->waitq(f) : NULL;

		waiter_init_fiber(&e[i].waiter, self);
		if (q)
			waitq_add(q, &e[i].waiter, e[i].events);
	}
}

static void poll_unqueue(struct poll_entry *e, u32 count)
{
	for (u32 i = 0; i < count; i++)
		waitq_remove(&e[i].waiter);
}

static void poll_put(struct poll_entry *e, u32 count)
{
	for (u32 i = 0; i < count; i++)
		file_put(e[i].file);
}

/* Wait until an entry is ready or deadline (0: do not wait) has passed. The number of ready ones,
 * or -EINTR. */
static int poll_wait(struct poll_entry *e, u32 count, s64 deadline)
{
	int ready = poll_scan(e, count), ret = 0;

	if (ready || !deadline)
		return ready;
	poll_queue(e, count);
	for (;;) {
		ready = poll_scan(e, count);
		if (ready || ret)
			break;
		ret = fiber_park_interruptible(deadline);
	}
	poll_unqueue(e, count);
	if (ready)
		return ready;
	return ret == -ETIMEDOUT ? 0 : ret;
}

/* ---- timeouts ---- */

/* 0 ns: do not wait, which poll_wait knows as deadline 0. */
static s64 poll_deadline(s64 ns)
{
	return ns ? deadline_in(ns) : 0;
}

static s64 poll_deadline_ms(int timeout)
{
	return timeout < 0 ? NO_DEADLINE : poll_deadline(timeout * 1'000'000L);
}

static s64 time_left(s64 deadline)
{
	return deadline ? max(deadline - sched_now(), 0L) : 0;
}

/* ppoll and pselect6: the deadline from a timespec; null: none. */
static int fetch_timeout(struct task *t, struct uaddr timeout, s64 *ret_deadline)
{
	s64 ns;
	int err;

	*ret_deadline = NO_DEADLINE;
	if (uaddr_is_null(timeout))
		return 0;
	err = fetch_timespec(t, timeout, &ns);
	if (!err)
		*ret_deadline = poll_deadline(ns);
	return err;
}

/* Linux tells what was left, and if it cannot, does not restart the call (with a full timeout). */
static long store_timeout(struct task *t, struct uaddr timeout, s64 deadline, bool micro, long ret)
{
	s64 left;
	int err;

	if (uaddr_is_null(timeout))
		return ret;
	left = time_left(deadline);
	if (micro) {
		struct timeval tv = ns_to_timeval(left);

		err = copy_out(&t->subject, timeout, &tv, sizeof(tv));
	} else {
		struct timespec ts = ns_to_timespec(left);

		err = copy_out(&t->subject, timeout, &ts, sizeof(ts));
	}
	return err && ret == -ERESTARTNOHAND ? -EINTR : ret;
}

/* ---- poll ---- */

static void poll_open(struct task *t, const struct pollfd *fds, struct poll_entry *e, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		e[i].file = NULL;
		e[i].revents = 0;
		e[i].events = (u16)fds[i].events | POLL_ALWAYS;
		waiter_init_fiber(&e[i].waiter, NULL);
		if (fds[i].fd < 0)
			continue;
		e[i].file = file_lookup(t, fds[i].fd);
		if (!e[i].file)
			e[i].revents = POLLNVAL;
	}
}

/* -EINTR or the number of ready descriptors; results are stored. */
static long poll_run(struct task *t, struct uaddr ufds, u32 count, struct pollfd *fds,
		     struct poll_entry *e, s64 deadline)
{
	long ret = 0;

	if (count)
		ret = copy_in(&t->subject, fds, ufds, count * sizeof(*fds));
	if (ret)
		return ret;
	poll_open(t, fds, e, count);
	ret = poll_wait(e, count, deadline);
	for (u32 i = 0; i < count; i++)
		fds[i].revents = (short)e[i].revents;
	poll_put(e, count);
	/* Stored as a whole: a poll that writes fewer bytes would need as many copies. */
	if (ret >= 0 && count && copy_out(&t->subject, ufds, fds, count * sizeof(*fds)))
		return -EFAULT;
	return ret;
}

static long do_poll(struct task *t, struct uaddr ufds, u32 count, s64 deadline)
{
	UNINIT struct pollfd fast[POLL_FAST];
	UNINIT struct poll_entry fast_entries[POLL_FAST];
	struct pollfd *fds;
	struct poll_entry *e;
	long ret = -ENOMEM;

	if (count > rlimit_get(t->subject.rlimits, RLIMIT_NOFILE))
		return -EINVAL;
	if (count <= POLL_FAST)
		return poll_run(t, ufds, count, fast, fast_entries, deadline);
	fds = arena_alloc(count * sizeof(*fds));
	e = arena_alloc(count * sizeof(*e));
	if (fds && e)
		ret = poll_run(t, ufds, count, fds, e, deadline);
	arena_free(e);
	arena_free(fds);
	return ret;
}

static long poll_result(struct task *t, struct uaddr fds, u32 count, s64 deadline, long ret)
{
	if (ret != -EINTR)
		return ret;
	t->restart = (struct restart_state){
		.kind = RESTART_POLL,
		.deadline = deadline,
		.arg = { fds.v, count },
	};
	return -ERESTART_RESTARTBLOCK;
}

long sys_poll(struct task *t, struct uaddr fds, u32 nfds, int timeout)
{
	s64 deadline = poll_deadline_ms(timeout);

	return poll_result(t, fds, nfds, deadline, do_poll(t, fds, nfds, deadline));
}

long poll_restart(struct task *t, const struct restart_state *r)
{
	struct uaddr fds = UADDR(r->arg[0]);
	u32 count = (u32)r->arg[1];

	return poll_result(t, fds, count, r->deadline, do_poll(t, fds, count, r->deadline));
}

long sys_ppoll(struct task *t, struct uaddr fds, u32 nfds, struct uaddr timeout, struct uaddr uset,
	       u64 sigsetsize)
{
	sigset64 set = 0;
	s64 deadline;
	long ret = fetch_timeout(t, timeout, &deadline);

	if (!ret && !uaddr_is_null(uset))
		ret = fetch_sigset(t, uset, sigsetsize, &set);
	if (ret)
		return ret;
	if (!uaddr_is_null(uset))
		temporary_mask_begin(t, set);
	ret = task_restart(do_poll(t, fds, nfds, deadline), ERESTARTNOHAND);
	ret = temporary_mask_end(t, ret);
	return store_timeout(t, timeout, deadline, false, ret);
}

/* ---- select ---- */

#define SELECT_IN (EPOLLRDNORM | EPOLLRDBAND | EPOLLIN | EPOLLHUP | EPOLLERR)
#define SELECT_OUT (EPOLLWRBAND | EPOLLWRNORM | EPOLLOUT | EPOLLERR)
#define SELECT_EX EPOLLPRI
#define SELECT_MAX 65536 /* descriptors beyond are not looked at */

/* The three sets as the guest gave them, then the three to give back; words of 64 bits. */
struct select_sets {
	struct uaddr user[3];
	u64 *bits; /* 6 * words */
	u32 words;
	u32 count; /* descriptors that are in any set */
};

static u64 *select_set(const struct select_sets *s, unsigned int which)
{
	return s->bits + (size_t)which * s->words;
}

static u64 select_word(const struct select_sets *s, u32 word)
{
	return select_set(s, 0)[word] | select_set(s, 1)[word] | select_set(s, 2)[word];
}

static int select_fetch(struct task *t, struct select_sets *s, int nfds)
{
	for (unsigned int i = 0; i < 3; i++) {
		u64 *set = select_set(s, i);
		int err;

		if (uaddr_is_null(s->user[i]))
			continue;
		err = copy_in(&t->subject, set, s->user[i], s->words * sizeof(u64));
		if (err)
			return err;
		if (nfds % 64)
			set[s->words - 1] &= (1UL << (nfds % 64)) - 1;
	}
	for (u32 w = 0; w < s->words; w++)
		s->count += (u32)__builtin_popcountl(select_word(s, w));
	return 0;
}

static int select_store(struct task *t, const struct select_sets *s)
{
	for (unsigned int i = 0; i < 3; i++) {
		int err;

		if (uaddr_is_null(s->user[i]))
			continue;
		err = copy_out(&t->subject, s->user[i], select_set(s, 3 + i),
			       s->words * sizeof(u64));
		if (err)
			return err;
	}
	return 0;
}

/* Call fn(entry index, descriptor) for each descriptor; while it returns 0. */
static int select_open(struct task *t, const struct select_sets *s, struct poll_entry *e)
{
	u32 at = 0;
	int ret = 0;

	for (u32 w = 0; w < s->words; w++) {
		for (u64 left = select_word(s, w); left; left &= left - 1, at++) {
			int bit = __builtin_ctzl(left);

			e[at] = (struct poll_entry){ .file = file_lookup(t, (int)w * 64 + bit) };
			if (!e[at].file)
				ret = -EBADF;
			if (select_set(s, 0)[w] >> bit & 1)
				e[at].events |= SELECT_IN;
			if (select_set(s, 1)[w] >> bit & 1)
				e[at].events |= SELECT_OUT;
			if (select_set(s, 2)[w] >> bit & 1)
				e[at].events |= SELECT_EX;
		}
	}
	return ret;
}

/* Fill in the sets to give back; the number of bits in them. */
static int select_results(const struct select_sets *s, const struct poll_entry *e)
{
	static const u32 events[3] = { SELECT_IN, SELECT_OUT, SELECT_EX };
	u32 at = 0;
	int ready = 0;

	for (u32 w = 0; w < s->words; w++) {
		for (u64 left = select_word(s, w); left; left &= left - 1, at++) {
			u64 bit = left & -left;

			for (unsigned int i = 0; i < 3; i++) {
				if (!(select_set(s, i)[w] & bit) || !(e[at].revents & events[i]))
					continue;
				select_set(s, 3 + i)[w] |= bit;
				ready++;
			}
		}
	}
	return ready;
}

static long select_run(struct task *t, struct select_sets *s, int nfds, s64 deadline)
{
	struct poll_entry fast[POLL_FAST] = {};
	struct poll_entry *e = fast;
	long ret = select_fetch(t, s, nfds);

	if (ret)
		return ret;
	if (s->count > POLL_FAST) {
		e = arena_alloc(s->count * sizeof(*e));
		if (!e)
			return -ENOMEM;
	}
	ret = select_open(t, s, e);
	if (!ret)
		ret = poll_wait(e, s->count, deadline);
	if (ret >= 0)
		ret = select_results(s, e);
	poll_put(e, s->count);
	if (e != fast)
		arena_free(e);
	if (ret >= 0 && select_store(t, s))
		return -EFAULT;
	return ret;
}

static long do_select(struct task *t, int nfds, struct uaddr in, struct uaddr out, struct uaddr ex,
		      s64 deadline)
{
	UNINIT u64 fast[6 * FD_SETSIZE / 64];
	struct select_sets s = { .user = { in, out, ex }, .bits = fast };
	long ret;

	if (nfds < 0)
		return -EINVAL;
	nfds = min(nfds, SELECT_MAX);
	s.words = ((u32)nfds + 63) / 64;
	if (s.words > FD_SETSIZE / 64) {
		s.bits = arena_alloc(6UL * s.words * sizeof(u64));
		if (!s.bits)
			return -ENOMEM;
	} else {
		memset(fast, 0, 6UL * s.words * sizeof(u64));
	}
	ret = select_run(t, &s, nfds, deadline);
	if (s.bits != fast)
		arena_free(s.bits);
	return task_restart(ret, ERESTARTNOHAND);
}

long sys_select(struct task *t, int nfds, struct uaddr in, struct uaddr out, struct uaddr ex,
		struct uaddr timeout)
{
	s64 deadline = NO_DEADLINE, ns;
	struct timeval tv;
	struct timespec ts;
	long ret;

	if (!uaddr_is_null(timeout)) {
		ret = copy_in(&t->subject, &tv, timeout, sizeof(tv));
		if (ret)
			return ret;
		/* Microseconds of a second or more are taken. */
		if (tv.tv_usec < 0 || tv.tv_sec < 0)
			return -EINVAL;
		if (__builtin_add_overflow(tv.tv_sec, tv.tv_usec / 1'000'000, &ts.tv_sec))
			ts.tv_sec = LONG_MAX;
		ts.tv_nsec = tv.tv_usec % 1'000'000 * 1000;
		if (!timespec_to_ns(&ts, &ns))
			return -EINVAL;
		deadline = poll_deadline(ns);
	}
	ret = do_select(t, nfds, in, out, ex, deadline);
	return store_timeout(t, timeout, deadline, true, ret);
}

long sys_pselect6(struct task *t, int nfds, struct uaddr in, struct uaddr out, struct uaddr ex,
		  struct uaddr timeout, struct uaddr usig)
{
	struct {
		u64 set, size;
	} sig = {};
	sigset64 set;
	s64 deadline;
	long ret = 0;

	if (!uaddr_is_null(usig))
		ret = copy_in(&t->subject, &sig, usig, sizeof(sig));
	if (!ret)
		ret = fetch_timeout(t, timeout, &deadline);
	if (!ret && sig.set)
		ret = fetch_sigset(t, UADDR(sig.set), sig.size, &set);
	if (ret)
		return ret;
	if (sig.set)
		temporary_mask_begin(t, set);
	ret = do_select(t, nfds, in, out, ex, deadline);
	ret = temporary_mask_end(t, ret);
	return store_timeout(t, timeout, deadline, false, ret);
}

/* ---- epoll_wait ---- */

#define EPOLL_FAST 64
#define EPOLL_MANY 4096

static long epoll_run(struct task *t, struct file *ep, struct uaddr uevents, int max, s64 deadline)
{
	UNINIT struct epoll_event_k fast[EPOLL_FAST];
	struct epoll_event_k *events = fast;
	long ret;

	/* Who asks for thousands gets few as a rule. What becomes ready while it sleeps, and is
	 * more than that, is for the next call. */
	max = min(max, max(epoll_ready_count(ep, EPOLL_MANY), EPOLL_FAST));
	if (max > EPOLL_FAST) {
		events = arena_alloc((size_t)max * sizeof(*events));
		if (!events)
			return -ENOMEM;
	}
	ret = epoll_wait_file(ep, events, max, deadline, &t->reads.ready);
	if (ret > 0 && copy_out(&t->subject, uevents, events, (size_t)ret * sizeof(*events)))
		ret = -EFAULT;
	reads_waited(t);
	if (events != fast)
		arena_free(events);
	return ret;
}

static long do_epoll_wait(struct task *t, int epfd, struct uaddr events, int max, s64 deadline)
{
	struct file *ep;
	long ret;

	if (max <= 0 || max > INT_MAX / (int)sizeof(struct epoll_event_k))
		return -EINVAL;
	if (!uaddr_ok(events, (u64)max * sizeof(struct epoll_event_k)))
		return -EFAULT;
	ep = file_lookup(t, epfd);
	if (!ep)
		return -EBADF;
	ret = epoll_run(t, ep, events, max, deadline);
	file_put(ep);
	return task_restart(ret, ERESTARTNEVER);
}

long sys_epoll_wait(struct task *t, int epfd, struct uaddr events, int max, int timeout)
{
	return do_epoll_wait(t, epfd, events, max, poll_deadline_ms(timeout));
}

static long epoll_pwait_masked(struct task *t, int epfd, struct uaddr events, int max, s64 deadline,
			       struct uaddr uset, u64 sigsetsize)
{
	sigset64 set;
	long ret;

	if (uaddr_is_null(uset))
		return do_epoll_wait(t, epfd, events, max, deadline);
	ret = fetch_sigset(t, uset, sigsetsize, &set);
	if (ret)
		return ret;
	temporary_mask_begin(t, set);
	ret = do_epoll_wait(t, epfd, events, max, deadline);
	return temporary_mask_end(t, ret);
}

long sys_epoll_pwait(struct task *t, int epfd, struct uaddr events, int max, int timeout,
		     struct uaddr set, u64 sigsetsize)
{
	return epoll_pwait_masked(t, epfd, events, max, poll_deadline_ms(timeout), set, sigsetsize);
}

long sys_epoll_pwait2(struct task *t, int epfd, struct uaddr events, int max, struct uaddr timeout,
		      struct uaddr set, u64 sigsetsize)
{
	s64 deadline;
	int err = fetch_timeout(t, timeout, &deadline);

	return err ? err : epoll_pwait_masked(t, epfd, events, max, deadline, set, sigsetsize);
}
