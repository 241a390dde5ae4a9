/*
 * The listeners of the stubs' first filter: every verified call of every stub arrives here, in the
 * poller.
 *
 * A notification is attributed by the caller's host tid and by nothing else. From a known lane it
 * is either its wait (futex on its own response word, which is the doorbell) or exactly the call
 * that the pending operation expects. From an unknown tid it may be the first call of a forked
 * child, which proves itself by the nonce that only its parent was told, or the first wait of a new
 * lane, whose tid must belong to the process of the lane's space. Anything else costs the caller
 * its life.
 *
 * RECV blocks when there is nothing (it ignores O_NONBLOCK), so it is called once for each
 * readiness, by the one worker that holds the poller token. ENOENT means that the caller went away
 * in between.
 */

#include <errno.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "base/bug.h"
#include "base/log.h"
#include "host/host.h"
#include "platform/systrap/internal.h"

/* Linux 6.6 */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

#define TID_BUCKETS 1024
#define WAITING_MAX 16 /* lanes held as notifications: the host scans them one by one */
#define REPEATS_MAX 16

enum verdict {
	REPLY, /* the wait is over: return 0 to the lane */
	GO_ON, /* let the host do the call */
	HOLD, /* the lane waits */
	KILL_SPACE,
	KILL_UNKNOWN,
	CHECK_FORK, /* a repeated clone of a process */
};

struct pf_thread *thread_by_tid(pid_t tid)
{
	struct list *bucket = &g_systrap.tid_hash[(u32)tid % TID_BUCKETS];
	struct pf_thread *t;

	list_for_each(t, bucket, tid_link)
		if (t->tid == tid)
			return t;
	return NULL;
}

void thread_set_tid(struct pf_thread *t, pid_t tid)
{
	list_del(&t->tid_link);
	t->tid = tid;
	if (tid)
		list_add(&g_systrap.tid_hash[(u32)tid % TID_BUCKETS], &t->tid_link);
}

void notify_send(struct family *f, u64 id, bool go_on)
{
	struct seccomp_notif_resp resp = {
		.id = id,
		.flags = go_on ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0,
	};

	/* ENOENT: a signal took the lane out of its call; it will call again. */
	(void)host_ioctl(f->source.fd, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

static void set_flags(struct family *f, bool sync)
{
	u64 flags = sync ? SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP : 0;

	(void)host_ioctl(f->source.fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, (void *)flags); /* NOLINT */
}

void notify_answer(struct family *f, u64 id)
{
	/* The lane is better off on its own CPU, with the worker that waits for its events. */
	bool elsewhere =
		atomic_load_explicit(&f->sync, memory_order_relaxed) && !poller_serves(&f->source);

	if (elsewhere)
		set_flags(f, false);
	notify_send(f, id, false);
	if (elsewhere)
		set_flags(f, atomic_load_explicit(&f->sync, memory_order_relaxed));
}

static bool vcall_equal(const struct vcall *want, const struct seccomp_data *got)
{
	if ((u32)got->nr != want->nr)
		return false;
	for (int i = 0; i < 6; i++)
		if (got->args[i] != want->arg[i])
			return false;
	return true;
}

/* futex(response word, FUTEX_WAIT, value, 0, 0, 0); the value is for the caller to judge. */
static bool is_wait(const struct pf_thread *t, const struct seccomp_data *d)
{
	return d->nr == SYS_futex && d->args[0] == t->stub_lane + offsetof(struct lane, response) &&
	       d->args[1] == FUTEX_WAIT && d->args[2] <= UINT32_MAX && !d->args[3] && !d->args[4] &&
	       !d->args[5];
}

static enum verdict judge_wait(struct pf_thread *t, const struct seccomp_notif *n)
	REQUIRES(&lc_platform)
{
	u32 value = (u32)n->data.args[2];

	if (value == t->posted - 1)
		return REPLY; /* the response is there already */
	if (value != t->posted || t->expect_next != t->expect_count)
		return KILL_SPACE;
	/* The same thread's next verified call: what was let go on before is over, and may not come
	 * again. */
	t->expect_count = t->expect_next = 0;
	lane_set_wait(t, WAIT_NOTIF, n->id);
	if (t->fiber)
		fiber_unpark(t->fiber);
	return HOLD;
}

static enum verdict judge_known(struct pf_thread *t, const struct seccomp_notif *n)
	REQUIRES(&lc_platform)
{
	const struct vcall *want;

	if (is_wait(t, &n->data))
		return judge_wait(t, n);
	if (t->expect_next < t->expect_count && vcall_equal(&t->expect[t->expect_next], &n->data)) {
		t->expect_next++;
		t->repeats = 0;
		return GO_ON;
	}
	/* A signal may restart the call that was let go on last, but not for ever. */
	if (t->expect_next == 0)
		return KILL_SPACE;
	want = &t->expect[t->expect_next - 1];
	if (!vcall_equal(want, &n->data) || ++t->repeats > REPEATS_MAX)
		return KILL_SPACE;
	return want->nr == SYS_clone ? CHECK_FORK : GO_ON;
}

static struct fork_txn *find_fork(struct family *f, const struct seccomp_data *d)
	REQUIRES(&lc_platform)
{
	struct fork_txn *txn;

	if (d->nr != SYS_prctl || d->args[0] != PR_SET_PDEATHSIG || d->args[1] != SIGKILL ||
	    d->args[4] || d->args[5])
		return NULL;
	list_for_each(txn, &f->forks, link)
		if (!txn->bound && txn->nonce[0] == d->args[2] && txn->nonce[1] == d->args[3])
			return txn;
	return NULL;
}

/* Is pid a process (not a thread) and a child of ours? Returns a pidfd or a negative errno. */
static int open_child(pid_t pid)
{
	siginfo_t info = {};
	int fd = host_pidfd_open(pid, 0);
	int ret;

	if (fd < 0)
		return fd;
	ret = host_waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG | WNOWAIT | __WALL);
	if (ret < 0) {
		host_close(fd);
		return ret;
	}
	return fd;
}

/* A new lane's first wait. */
static enum verdict judge_newborn(struct family *f, const struct seccomp_notif *n)
{
	enum verdict v = KILL_UNKNOWN;
	struct pf_thread *t;
	pid_t pids[16];
	unsigned int count = 0;

	/* Several spaces of the family may have a lane at that address: which one's process is the
	 * caller in? */
	systrap_lock();
	list_for_each(t, &f->newborn, newborn_link)
		if (is_wait(t, &n->data) && n->data.args[2] == 0 && t->space->pid &&
		    count < ARRAY_SIZE(pids))
			pids[count++] = t->space->pid;
	systrap_unlock();
	for (unsigned int i = 0; i < count && v == KILL_UNKNOWN; i++) {
		if (host_tgkill(pids[i], (pid_t)n->pid, 0))
			continue;
		systrap_lock();
		list_for_each(t, &f->newborn, newborn_link) {
			if (t->space->pid != pids[i] || !is_wait(t, &n->data))
				continue;
			list_del(&t->newborn_link);
			thread_set_tid(t, (pid_t)n->pid);
			v = judge_wait(t, n);
			break;
		}
		systrap_unlock();
	}
	return v;
}

static enum verdict judge_unknown(struct family *f, const struct seccomp_notif *n)
{
	struct fork_txn *txn;
	enum verdict v = KILL_UNKNOWN;
	int fd;

	systrap_lock();
	txn = find_fork(f, &n->data);
	systrap_unlock();
	if (!txn)
		return judge_newborn(f, n);
	fd = open_child((pid_t)n->pid);
	if (fd < 0)
		return KILL_UNKNOWN;
	systrap_lock();
	txn = find_fork(f, &n->data);
	if (txn) {
		struct pf_thread *t = txn->child;

		t->space->pid = (pid_t)n->pid;
		t->space->pidfd = fd;
		t->space->death.fd = fd;
		fd = -1;
		thread_set_tid(t, (pid_t)n->pid);
		txn->bound = true;
		space_bound(t->space);
		v = GO_ON;
	}
	systrap_unlock();
	if (fd >= 0)
		host_close(fd);
	return v;
}

/* Is the caller a thread of a process of the family that is being killed? */
static bool is_dying(struct family *f, pid_t tid)
{
	pid_t pids[16];
	unsigned int count = 0;
	struct pf_space *s;

	systrap_lock();
	list_for_each(s, &g_systrap.spaces, link)
		if (s->family == f && atomic_load(&s->state) == SPACE_DEAD &&
		    count < ARRAY_SIZE(pids))
			pids[count++] = s->pid;
	systrap_unlock();
	for (unsigned int i = 0; i < count; i++)
		if (!host_tgkill(pids[i], tid, 0))
			return true;
	return false;
}

/* A process that nobody asked for: it has run nothing but what its forker left it, and never will.
 */
static void kill_unknown(struct family *f, const struct seccomp_notif *n)
{
	u64 id = n->id;

	if (is_dying(f, (pid_t)n->pid))
		return;
	log_warn("platform: unknown process %u made call %d; killed", n->pid, n->data.nr);
	if (host_ioctl(f->source.fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0)
		(void)host_kill((pid_t)n->pid, SIGKILL);
}

/* Let the longest waiting lanes into the futex, so that the host's list of notifications stays
 * short. */
static void limit_waiting(struct family *f)
{
	for (;;) {
		struct pf_thread *t = NULL;
		u64 id = 0;

		systrap_lock();
		if (f->waiting_count > WAITING_MAX) {
			t = list_first(&f->waiting, struct pf_thread, wait_link);
			id = t->notif_id;
			lane_set_wait(t, WAIT_FUTEX, 0);
		}
		systrap_unlock();
		if (!t)
			return;
		notify_send(f, id, true);
	}
}

static void act(struct family *f, struct pf_space *s, enum verdict v, const struct seccomp_notif *n)
{
	switch (v) {
	case REPLY:
		notify_send(f, n->id, false);
		break;
	case CHECK_FORK:
		if (strangers_count(n->data.args[0] == FORK_FLAGS) > 0) {
			space_kill(s, SPACE_DEAD);
			keeper_wake();
			break;
		}
		[[fallthrough]];
	case GO_ON:
		notify_send(f, n->id, true);
		break;
	case HOLD:
		limit_waiting(f);
		break;
	case KILL_SPACE:
		if (!s) { /* a newborn lane that waits wrongly */
			kill_unknown(f, n);
			break;
		}
		log_warn("platform: process %d, thread %u: unexpected call %d; killed", s->pid,
			 n->pid, n->data.nr);
		space_kill(s, SPACE_DEAD);
		break;
	case KILL_UNKNOWN:
		kill_unknown(f, n);
		break;
	}
}

static int family_receive(struct poll_source *source, struct poll_event *ret_event)
{
	memset(ret_event, 0, sizeof(*ret_event));
	return host_ioctl(source->fd, SECCOMP_IOCTL_NOTIF_RECV, ret_event);
}

static void family_handle(struct poll_source *source, const struct poll_event *event)
{
	struct family *f = container_of(source, struct family, source);
	struct seccomp_notif n;
	struct pf_space *s = NULL;
	struct pf_thread *t;
	enum verdict v;

	_Static_assert(sizeof(n) <= sizeof(event->data), "notification");
	memcpy(&n, event->data, sizeof(n));
	systrap_lock();
	t = thread_by_tid((pid_t)n.pid);
	if (t) {
		s = t->space;
		v = judge_known(t, &n);
		pf_space_get(s);
	}
	systrap_unlock();
	if (!s)
		v = judge_unknown(f, &n);
	act(f, s, v, &n);
	if (s)
		pf_space_put(s);
}

static void family_ready(struct poll_source *source, u32 events)
{
	UNINIT struct poll_event event;

	if (!(events & EPOLLIN)) {
		/* EPOLLHUP: the last process is gone. Its reaper closes the listener, but has to
		 * wait for it first. */
		poller_mute(source);
		return;
	}
	poller_prefer(source);
	if (!family_receive(source, &event))
		family_handle(source, &event);
}

struct family *family_create(int listener)
{
	struct family *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->source.fd = listener;
	f->source.ready = family_ready;
	f->source.receive = family_receive;
	f->source.handle = family_handle;
	list_init(&f->waiting);
	list_init(&f->forks);
	list_init(&f->newborn);
	family_set_sync(f, true);
	return f;
}

void family_set_sync(struct family *f, bool sync)
{
	atomic_store_explicit(&f->sync, sync, memory_order_relaxed);
	set_flags(f, sync);
}

int family_watch(struct family *f)
{
	int err = poller_add(&f->source, EPOLLIN);

	f->watched = !err;
	return err;
}

void family_destroy(struct family *f)
{
	if (f->watched)
		poller_remove(&f->source);
	host_close(f->source.fd);
	free(f);
}
