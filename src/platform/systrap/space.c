/*
 * Spaces and their threads: making, ending, and who holds what.
 *
 * A space is referenced by its threads, by its host process (until that has been reaped and
 * unwatched) and by whoever called pf_space_get. Everything that needs host calls or the poller to
 * be torn down is done by the keeper, once the last reference is gone; lane files are reused only
 * then, since an owner may still look at its lane.
 */

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "base/bitmap.h"
#include "base/bug.h"
#include "base/log.h"
#include "host/host.h"
#include "platform/systrap/attend.h"
#include "platform/systrap/batch.h"
#include "platform/systrap/internal.h"
#include "stub_syms.h"

/* The host process has been reaped. */
static void bury_process(struct pf_space *s)
{
	struct pf_thread *t;

	systrap_lock();
	atomic_store(&s->state, SPACE_DEAD);
	s->reaped = true;
	list_for_each(t, &s->threads, link) {
		thread_set_tid(t, 0);
		if (t->fiber)
			fiber_unpark(t->fiber);
	}
	list_for_each(t, &s->parked, link)
		thread_set_tid(t, 0);
	list_add_tail(&g_systrap.reap, &s->reap_link);
	systrap_unlock();
	keeper_wake();
}

static void death_ready(struct poll_source *source, u32 events)
{
	struct pf_space *s = container_of(source, struct pf_space, death);
	siginfo_t info = {};

	(void)host_waitid(P_PIDFD, s->pidfd, &info, WEXITED | WNOHANG | __WALL);
	if (atomic_load(&s->state) == SPACE_ALIVE)
		log_debug("platform: process %d ended by itself, status %d", s->pid,
			  info.si_status);
	bury_process(s);
}

void space_join_family(struct pf_space *s, struct family *family)
{
	systrap_lock();
	family->space_count++;
	systrap_unlock();
	s->family = family;
}

struct pf_space *space_alloc(struct family *family)
{
	struct pf_space *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	refcount_init(&s->refs, 1);
	if (family)
		space_join_family(s, family);
	s->pidfd = -1;
	s->death.fd = -1;
	s->death.ready = death_ready;
	list_init(&s->link);
	list_init(&s->reap_link);
	list_init(&s->spare_link);
	list_init(&s->threads);
	list_init(&s->parked);
	waitq_init(&s->structure_wait);
	return s;
}

/* A thread in a slot whose lane file is there. Takes a reference to the space. */
struct pf_thread *thread_alloc(struct pf_space *s, u32 slot)
{
	struct pf_thread *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	pf_space_get(s);
	t->space = s;
	t->slot = slot;
	t->lane = (struct lane *)(s->files[slot / LANES_PER_FILE]->map +
				  slot % LANES_PER_FILE * LANE_SIZE);
	t->stub_lane = g_systrap.base + STUB_LANES_OFFSET + slot * LANE_SIZE;
	t->cpu = -1;
	t->stat_fd = -1;
	list_init(&t->link);
	list_init(&t->tid_link);
	list_init(&t->newborn_link);
	list_init(&t->wait_link);
	return t;
}

struct thread_ids thread_ids(const struct pf_thread *t)
{
	struct thread_ids ids;

	systrap_lock();
	ids = (struct thread_ids){ t->space->pid, t->tid, t->space->many_lanes };
	systrap_unlock();
	return ids;
}

void thread_free(struct pf_thread *t)
{
	struct pf_space *s = t->space;

	systrap_lock();
	lane_set_wait(t, WAIT_NONE, 0);
	thread_set_tid(t, 0);
	list_del(&t->newborn_link);
	list_del(&t->link);
	systrap_unlock();
	proc_forget(t);
	free(t);
	pf_space_put(s);
}

void space_bound(struct pf_space *s)
{
	refcount_get(&s->refs);
	list_add_tail(&g_systrap.spaces, &s->link);
	g_systrap.process_count++;
	STAT_INC(spaces_created);
}

struct pf_space *space_by_pid(pid_t pid)
{
	struct pf_space *s;

	list_for_each(s, &g_systrap.spaces, link)
		if (s->pid == pid)
			return s;
	return NULL;
}

int space_watch(struct pf_space *s)
{
	siginfo_t info = {};
	int err = poller_add(&s->death, EPOLLIN | EPOLLONESHOT);

	if (!err)
		return 0;
	/* Nobody would notice its death: end it here. */
	space_kill(s, SPACE_DEAD);
	(void)host_waitid(P_PIDFD, s->pidfd, &info, WEXITED | __WALL);
	s->unwatched = true;
	bury_process(s);
	return err;
}

void space_kill(struct pf_space *s, enum space_state state)
{
	u32 old = atomic_load(&s->state);
	struct pf_thread *t;

	while (old < state && !atomic_compare_exchange_weak(&s->state, &old, state))
		;
	if (old >= state)
		return;
	if (s->pidfd >= 0)
		(void)host_pidfd_send_signal(s->pidfd, state == SPACE_DEAD ? SIGKILL : SIGSTOP);
	systrap_lock();
	list_for_each(t, &s->threads, link)
		if (t->fiber)
			fiber_unpark(t->fiber);
	systrap_unlock();
	if (state == SPACE_DEAD)
		STAT_INC(spaces_killed);
}

bool platform_has_dying(void)
{
	struct pf_space *s;
	bool found = false;

	systrap_lock();
	list_for_each(s, &g_systrap.spaces, link)
		found |= atomic_load(&s->state) == SPACE_DEAD && !s->reaped;
	systrap_unlock();
	return found;
}

void pf_space_kill(struct pf_space *s)
{
	space_kill(s, SPACE_DEAD);
}

void pf_space_stop(struct pf_space *s)
{
	space_kill(s, SPACE_STOPPED);
}

struct pf_space *pf_thread_space(const struct pf_thread *t)
{
	return t->space;
}

void pf_space_get(struct pf_space *s)
{
	refcount_get(&s->refs);
}

void pf_space_put(struct pf_space *s)
{
	if (!refcount_put(&s->refs))
		return;
	systrap_lock();
	list_add_tail(&g_systrap.garbage, &s->reap_link);
	systrap_unlock();
	keeper_wake();
}

static void forget_rseq(struct pf_thread *t)
{
	bool last;

	systrap_lock();
	last = t->space->thread_count == 1;
	systrap_unlock();
	if (t->has_rseq && !last && !space_is_dead(t->space))
		(void)!pf_thread_rseq(t, UADDR(0), 0, 0);
	t->has_rseq = false;
}

void pf_thread_destroy(struct pf_thread *t)
{
	struct pf_space *s = t->space;
	struct pf_thread *p, *n;
	struct list parked;
	struct family *last_of = NULL;
	bool last;

	forget_rseq(t);
	batch_drop(t);
	t->first.nr = 0;
	t->fp_pending = false;
	t->watch_lent = t->actions_lent = t->reads_lent = false;
	attend_stop(t);
	systrap_lock();
	t->owner = t->fiber = NULL;
	last = --s->thread_count == 0;
	if (!last && !space_is_dead(s)) {
		list_del(&t->link);
		list_add(&s->parked, &t->link);
		atomic_store(&t->interrupt, 0);
		t = NULL;
	} else if (last && s->family && s->family->space_count == 1) {
		last_of = s->family;
	}
	systrap_unlock();
	if (!t)
		return;
	if (!last) {
		thread_free(t);
		return;
	}
	pf_space_get(s);
	/* The poller need not be woken by the listener's end, too. */
	if (last_of && last_of->watched)
		poller_mute(&last_of->source);
	space_kill(s, SPACE_DEAD);
	list_init(&parked);
	systrap_lock();
	list_splice_tail(&parked, &s->parked);
	systrap_unlock();
	list_for_each_safe(p, n, &parked, link)
		thread_free(p);
	thread_free(t);
	pf_space_put(s);
}

int space_seal(struct pf_thread *t)
{
	struct pf_space *s = t->space;
	const struct vcall call = { LANE_CALL_SEAL, {} };
	int err;

	if (likely(s->sealed))
		return 0;
	err = batch_add(t, &call, -1, 0);
	if (!err)
		err = batch_flush(t);
	if (err) {
		if (err != -ESRCH)
			lane_misbehaved(t, "no seal");
		return -ESRCH;
	}
	s->sealed = true;
	return 0;
}

int lane_prepare(struct pf_space *s, u32 slot)
{
	struct lane_file *f = s->files[slot / LANES_PER_FILE];

	if (slot % LANES_PER_FILE == 0 && f->clean)
		return 0;
	return host_fallocate(f->fd, 0, (s64)(slot % LANES_PER_FILE * LANE_SIZE), PAGE_SIZE);
}

unsigned int platform_host_pids(pid_t *ret, unsigned int max)
{
	unsigned int count = 0;
	struct pf_space *s;

	systrap_lock();
	list_for_each(s, &g_systrap.spaces, link)
		if (count < max && !s->reaped)
			ret[count++] = s->pid;
	systrap_unlock();
	return count;
}

void platform_stats(struct pf_stats *ret)
{
	const u64 *from = (const u64 *)&g_systrap.stats;
	u64 *to = (u64 *)ret;

	for (size_t i = 0; i < sizeof(*ret) / sizeof(u64); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}
