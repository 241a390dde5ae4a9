/*
 * The keeper: a fiber that keeps the reserve of fresh spaces filled and buries the dead ones. It
 * alone talks to the zygote, one request at a time, and alone unwatches descriptors, which no
 * poller function may do.
 */

#include <errno.h>
#include <stdlib.h>

#include "base/bitmap.h"
#include "base/bug.h"
#include "base/log.h"
#include "host/host.h"
#include "platform/systrap/internal.h"

#define BIRTH_DEADLINE_NS 10'000'000'000LL
#define LAST_BIRTH_NS 500'000'000LL

void keeper_wake(void)
{
	systrap_lock();
	if (g_systrap.keeper)
		fiber_unpark_unhurried(g_systrap.keeper);
	systrap_unlock();
}

/* ---- the dead ---- */

static void free_space(struct pf_space *s)
{
	struct family *dead_family = NULL;

	for (unsigned int i = 0; i < LANE_FILES_MAX; i++)
		if (s->files[i])
			lane_file_put(s->files[i]);
	systrap_lock();
	if (s->family && --s->family->space_count == 0)
		dead_family = s->family;
	systrap_unlock();
	if (s->pidfd >= 0)
		host_close(s->pidfd);
	if (dead_family)
		family_destroy(dead_family);
	free(s);
}

void keeper_bury(void)
{
	for (;;) {
		struct pf_space *reaped = NULL, *garbage = NULL;

		systrap_lock();
		if (!list_empty(&g_systrap.reap)) {
			reaped = list_first(&g_systrap.reap, struct pf_space, reap_link);
			list_del(&reaped->reap_link);
			list_del(&reaped->link);
			g_systrap.process_count--;
		} else if (!list_empty(&g_systrap.garbage)) {
			garbage = list_first(&g_systrap.garbage, struct pf_space, reap_link);
			list_del(&garbage->reap_link);
		}
		systrap_unlock();
		if (reaped) {
			if (!reaped->unwatched)
				poller_remove(&reaped->death);
			pf_space_put(reaped);
		} else if (garbage) {
			free_space(garbage);
		} else {
			return;
		}
	}
}

/* ---- fresh stubs ---- */

static void birth_failed(int error)
{
	struct pf_space *s = g_systrap.embryo;

	log_warn("platform: no new process: error %d", error);
	g_systrap.embryo = NULL;
	systrap_lock();
	g_systrap.create_error = error;
	systrap_unlock();
	waitq_wake_all(&g_systrap.spare_wait, 1);
	if (!list_empty(&s->threads))
		thread_free(list_first(&s->threads, struct pf_thread, link));
	pf_space_put(s);
}

static int conceive(struct pf_space **ret)
{
	struct pf_space *s = space_alloc(NULL);
	struct pf_thread *t;
	int err;

	if (!s)
		return -ENOMEM;
	err = lane_file_get(&s->files[0]);
	if (!err)
		err = lane_prepare(s, 0);
	if (!err) {
		t = thread_alloc(s, 0);
		if (t) {
			list_add(&s->threads, &t->link);
			bitmap_set(s->slots, 0);
			s->mapped[0] = true;
			*ret = s;
			return 0;
		}
		err = -ENOMEM;
	}
	pf_space_put(s);
	return err;
}

static void ask_zygote(void)
{
	struct mailbox *mail = g_systrap.mail;
	struct pf_space *s = NULL;
	int err = atomic_load(&g_systrap.zygote_dead) ? -EAGAIN : conceive(&s);

	if (err) {
		systrap_lock();
		g_systrap.create_error = err;
		systrap_unlock();
		waitq_wake_all(&g_systrap.spare_wait, 1);
		return;
	}
	g_systrap.embryo = s;
	g_systrap.embryo_deadline = sched_now() + BIRTH_DEADLINE_NS;
	mail->lane_fd = s->files[0]->fd;
	__atomic_store_n(&mail->request, mail->request + 1, __ATOMIC_RELEASE);
	host_futex_wake((_Atomic u32 *)&mail->request, 1, true);
}

/* The zygote's child has reported: it is trusted, it has run no guest code. */
static int deliver(struct pf_space *s, pid_t pid, int listener)
{
	struct pf_thread *t = list_first(&s->threads, struct pf_thread, link);
	struct family *family = family_create(listener);
	int err;

	if (!family) {
		host_close(listener);
		return -ENOMEM;
	}
	space_join_family(s, family);
	err = host_pidfd_open(pid, 0);
	if (err < 0)
		return err;
	s->pidfd = s->death.fd = err;
	s->pid = pid;
	s->thread_count = 1;
	systrap_lock();
	thread_set_tid(t, pid);
	space_bound(s);
	systrap_unlock();
	err = space_watch(s);
	return err ? err : family_watch(family);
}

static void check_birth(void)
{
	struct pf_space *s = g_systrap.embryo;
	struct mailbox *mail = g_systrap.mail;
	struct lane *lane = (struct lane *)s->files[0]->map;
	pid_t tid = __atomic_load_n(&lane->hello.tid, __ATOMIC_ACQUIRE);
	int err;

	if (!tid) {
		if (__atomic_load_n(&mail->served, __ATOMIC_ACQUIRE) == mail->request &&
		    mail->pid < 0)
			birth_failed(mail->pid);
		else if (sched_now() > g_systrap.embryo_deadline)
			birth_failed(-ETIMEDOUT);
		else if (atomic_load(&g_systrap.zygote_dead)) /* its last child may be on its way */
			g_systrap.embryo_deadline =
				min(g_systrap.embryo_deadline, sched_now() + LAST_BIRTH_NS);
		return;
	}
	err = lane->hello.error;
	if (!err)
		err = deliver(s, tid, lane->hello.listener);
	if (err) {
		space_kill(s, SPACE_DEAD);
		(void)host_kill(tid, SIGKILL);
		birth_failed(err);
		return;
	}
	systrap_lock();
	g_systrap.embryo = NULL;
	g_systrap.embryo_pid = 0;
	list_add_tail(&g_systrap.spares, &s->spare_link);
	g_systrap.spare_count++;
	systrap_unlock();
	pf_space_put(s); /* its thread and its process hold it */
	waitq_wake(&g_systrap.spare_wait, 1);
}

static bool want_spare(void)
{
	bool want;

	systrap_lock();
	want = !g_systrap.stopping && !g_systrap.create_error &&
	       g_systrap.spare_count < g_systrap.spare_target + g_systrap.spare_waiters;
	systrap_unlock();
	return want;
}

void keeper_main(void *arg)
{
	for (;;) {
		bool done;

		keeper_bury();
		if (g_systrap.embryo)
			check_birth();
		if (!g_systrap.embryo && want_spare())
			ask_zygote();
		if (g_systrap.suspicious)
			strangers_kill();
		systrap_lock();
		done = g_systrap.stopping && !g_systrap.embryo && !g_systrap.process_count &&
		       list_empty(&g_systrap.garbage) && list_empty(&g_systrap.reap);
		systrap_unlock();
		if (done)
			break;
		fiber_park(g_systrap.embryo || g_systrap.suspicious ? sched_now() + 1'000'000'000 :
								      NO_DEADLINE);
	}
	systrap_lock();
	g_systrap.keeper = NULL;
	systrap_unlock();
	atomic_store(&g_systrap.keeper_done, true);
	waitq_wake_all(&g_systrap.spare_wait, 1);
}

static struct pf_space *take_spare(int *ret_error)
{
	struct pf_space *s = NULL;

	systrap_lock();
	if (g_systrap.spare_count) {
		s = list_first(&g_systrap.spares, struct pf_space, spare_link);
		list_del(&s->spare_link);
		g_systrap.spare_count--;
	} else if (g_systrap.create_error) {
		*ret_error = g_systrap.create_error;
		g_systrap.create_error = 0;
	}
	systrap_unlock();
	return s;
}

int platform_refusal(void)
{
	return atomic_load(&g_systrap.refusal);
}

int pf_space_create(struct pf_space **ret_space, struct pf_thread **ret_thread)
{
	struct pf_thread *t;
	struct pf_space *s;
	struct waiter w;
	int err = 0;

	waiter_init_fiber(&w, fiber_current());
	waitq_add(&g_systrap.spare_wait, &w, 1);
	systrap_lock();
	g_systrap.spare_waiters++;
	systrap_unlock();
	keeper_wake();
	for (;;) {
		s = take_spare(&err);
		if (s && space_is_dead(s)) {
			t = list_first(&s->threads, struct pf_thread, link);
			pf_thread_destroy(t);
			continue;
		}
		if (s || err)
			break;
		if (g_systrap.stopping) {
			err = -EAGAIN;
			break;
		}
		fiber_park(NO_DEADLINE);
	}
	systrap_lock();
	g_systrap.spare_waiters--;
	systrap_unlock();
	waitq_remove(&w);
	if (!s) {
		atomic_store(&g_systrap.refusal, err);
		return err == -ENOMEM ? err : -EAGAIN;
	}
	t = list_first(&s->threads, struct pf_thread, link);
	keeper_wake();
	lane_own(t);
	err = lane_first_event(t);
	if (err) {
		pf_thread_destroy(t);
		return -EAGAIN;
	}
	*ret_space = s;
	*ret_thread = t;
	return 0;
}
