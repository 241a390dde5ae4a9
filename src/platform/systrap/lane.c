/*
 * The kernel's end of a lane: commands out, events in. See lane.h for the protocol,
 * docs/platform.md for the reasons.
 *
 * A thread's owner alternates lane_post (command n, response word = n) and lane_await (request word
 * = n + 1). A lane that waits is in one of three places: still spinning or on its way (WAIT_NONE),
 * held by us as a seccomp notification (WAIT_NOTIF), or let into the host's futex (WAIT_FUTEX). The
 * wait state changes under the lock, together with `posted`, so that a notification that arrives
 * while a response is posted is answered: by the poller if it sees the new `posted`, else by the
 * owner, who sees the wait state.
 *
 * While it waits for a lane the owner may spin (attended) and else parks; the poller unparks it
 * when the lane's notification arrives. Whatever else unparks it only makes it look again.
 */

#include "platform/systrap/lane.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/bug.h"
#include "base/log.h"
#include "host/host.h"
#include "platform/systrap/attend.h"
#include "platform/systrap/batch.h"
#include "platform/systrap/internal.h"

#define YIELD_US 100 /* how long a spinning owner may keep other fibers waiting */

void lane_own(struct pf_thread *t)
{
	struct fiber *self = fiber_current();

	if (likely(t->owner == self))
		return;
	systrap_lock();
	t->fiber = self;
	systrap_unlock();
	t->owner = self;
}

void lane_disown(struct pf_thread *t)
{
	systrap_lock();
	t->fiber = NULL;
	t->owner = NULL;
	systrap_unlock();
}

void lane_misbehaved(struct pf_thread *t, const char *what)
{
	if (!space_is_dead(t->space))
		log_warn("platform: process %d lane %u: %s; killed", t->space->pid, t->slot, what);
	space_kill(t->space, SPACE_DEAD);
}

void lane_set_wait(struct pf_thread *t, enum lane_wait w, u64 id)
{
	struct family *f = t->space->family;

	if (t->wait == WAIT_NOTIF) {
		list_del(&t->wait_link);
		f->waiting_count--;
	}
	t->wait = w;
	t->notif_id = id;
	if (w == WAIT_NOTIF) {
		list_add_tail(&f->waiting, &t->wait_link);
		f->waiting_count++;
	}
}

void lane_wake(struct pf_thread *t, enum lane_wait w, u64 id)
{
	if (w == WAIT_NOTIF)
		notify_answer(t->space->family, id);
	else if (w == WAIT_FUTEX)
		host_futex_wake((_Atomic u32 *)&t->lane->response, 1, true);
}

/*
 * Publish response n = posted + 1. `posted` moves first: a wait for n - 1 that arrives in between
 * is sent back to look again, and does not meet what is expected from now on. The lane may have
 * scribbled on the word: then it is no lane of ours any more.
 */
static int publish(struct pf_thread *t)
{
	u32 next = t->posted + 1, old = 0;
	enum lane_wait w;
	u64 id;

	systrap_lock();
	t->posted = next;
	t->expect[0] = t->staged;
	t->expect_count = t->staged.nr != 0;
	t->expect_next = 0;
	w = t->wait;
	id = t->notif_id;
	lane_set_wait(t, WAIT_NONE, 0);
	systrap_unlock();
	t->staged.nr = 0;
	t->woken = w != WAIT_NONE;
	if (host_shared_cmpxchg32(&t->lane->response, next - 1, next, &old) || old != next - 1) {
		lane_misbehaved(t, "response word changed");
		return -ESRCH;
	}
	lane_wake(t, w, id);
	return 0;
}

static void post_first(struct pf_thread *t, struct lane_command *cmd)
{
	/* If that fails, so will what follows. */
	(void)!host_shared_write(&t->lane->first, &t->first, sizeof(t->first));
	cmd->flags |= LANE_FIRST;
	t->first.nr = 0;
}

int lane_post(struct pf_thread *t, u32 op, u32 flags, const u64 *arg, unsigned int count)
{
	struct lane_command cmd = { .op = op, .flags = flags, .cpu = (u32)current_cpu() };

	if (space_is_dead(t->space))
		return -ESRCH;
	if (t->attended) {
		cmd.spin = (u32)attend_limit(false);
		t->spin_most += cmd.spin;
	}
	for (unsigned int i = 0; i < count; i++)
		cmd.arg[i] = arg[i];
	if (t->first.nr)
		post_first(t, &cmd);
	if (t->fp_pending)
		cmd.flags |= LANE_FP_FIRST;
	t->fp_in_window = t->fp_pending = false;
	if (host_shared_write(&t->lane->command, &cmd,
			      offsetof(struct lane_command, arg) + count * sizeof(*arg))) {
		lane_misbehaved(t, "lane unreadable");
		return -ESRCH;
	}
	return publish(t);
}

static bool request_made(struct pf_thread *t)
{
	u32 request = 0;

	return !host_shared_load32(&t->lane->request, &request) && request == t->posted + 1;
}

static bool lane_going_to_sleep(struct pf_thread *t)
{
	u32 seq = 0;

	/* It went to wait for the response that is there already: only the poller can tell it. */
	return !t->woken && !host_shared_load32(&t->lane->sleeping, &seq) && seq == t->posted;
}

static bool lane_waits(struct pf_thread *t)
{
	bool waits;

	systrap_lock();
	waits = t->wait != WAIT_NONE;
	systrap_unlock();
	return waits;
}

/* Pass an interrupt on to the running guest. Returns true if the lane has to answer it. */
static bool send_interrupt(struct pf_thread *t)
{
	if (!atomic_load_explicit(&t->interrupt, memory_order_acquire))
		return t->signals_out > 0;
	if (t->signals_out == 0) {
		struct thread_ids ids = thread_ids(t);

		t->signals_out = 1;
		if (ids.tid)
			(void)host_tgkill(ids.pid, ids.tid, INTERRUPT_SIGNO);
	}
	return true;
}

/*
 * Has the event come? 1: yes; 0: not yet; -ESRCH. With a barrier, only the lane's next wait proves
 * it. A lane that waits for a command without having made its request will never make it.
 */
static int look(struct pf_thread *t, enum await_mode mode)
{
	if (space_is_dead(t->space))
		return -ESRCH;
	if (mode != AWAIT_BARRIER && request_made(t))
		return 1;
	if (!lane_waits(t))
		return 0;
	if (request_made(t))
		return 1;
	lane_misbehaved(t, "wait without a request");
	return -ESRCH;
}

/* Poll the request word for a while. Now and then other fibers may run. */
static bool spin(struct pf_thread *t, enum await_mode mode)
{
	u64 start = rdtsc(), now = start, limit = attend_limit(t->woken);

	while (now - start < limit) {
		for (int i = 0; i < 8; i++) {
			if (request_made(t))
				return true;
			__builtin_ia32_pause();
		}
		if (space_is_dead(t->space) || lane_going_to_sleep(t) ||
		    (mode == AWAIT_GUEST &&
		     atomic_load_explicit(&t->interrupt, memory_order_relaxed)))
			break;
		now = rdtsc();
		if (now - t->yield_tsc > YIELD_US * g_systrap.tsc_per_us) {
			fiber_yield();
			t->yield_tsc = now;
		}
	}
	return request_made(t);
}

void lane_idle(struct pf_thread *t, const struct pf_idle *idle)
{
	if (!t->attended || !attend_may_spin(t))
		return;
	while (!request_made(t) && !atomic_load_explicit(&t->interrupt, memory_order_relaxed) &&
	       idle->step(idle->arg))
		;
}

int lane_await(struct pf_thread *t, enum await_mode mode, struct lane_event *ret_event)
{
	s64 deadline = mode == AWAIT_GUEST ? NO_DEADLINE : sched_now() + g_systrap.deadline_ns;
	bool spun = false;
	int ret;

	if (mode != AWAIT_BARRIER && t->attended) {
		spun = attend_may_spin(t) && spin(t, mode);
		attend_spun(t, spun);
	}
	if (spun)
		STAT_INC(events_attended);
	else
		STAT_INC(events_unattended);
	while (!spun) {
		ret = look(t, mode);
		if (ret < 0)
			return ret;
		if (ret)
			break;
		if (mode == AWAIT_GUEST && send_interrupt(t) && deadline == NO_DEADLINE)
			deadline = sched_now() + g_systrap.deadline_ns;
		if (fiber_park(deadline) == -ETIMEDOUT && look(t, mode) == 0) {
			lane_misbehaved(t, "no answer in time");
			return -ESRCH;
		}
	}
	if (host_shared_read(ret_event, &t->lane->event, sizeof(*ret_event))) {
		lane_misbehaved(t, "lane unreadable");
		return -ESRCH;
	}
	if (unlikely(ret_event->kind == LANE_EV_REFUSED)) {
		lane_misbehaved(t, "the host has no memory for a mapping");
		return -ESRCH;
	}
	__atomic_store_n(&t->cpu, (int)(ret_event->cpu & 0xfff), __ATOMIC_RELAXED);
	atomic_store_explicit(&t->spin_tsc, min(ret_event->spin_tsc, t->spin_most),
			      memory_order_relaxed);
	return 0;
}

int lane_op(struct pf_thread *t, u32 op, const u64 *arg, unsigned int count, s64 *ret_result)
{
	struct lane_event ev;
	u64 start;
	int ret;

	lane_own(t);
	if (unlikely(t->batch) && batch_flush(t))
		return -ESRCH;
	STAT_INC(operations);
	start = rdtsc();
	ret = lane_post(t, op, 0, arg, count);
	if (!ret)
		ret = lane_await(t, AWAIT_REQUEST, &ev);
	t->event_tsc += rdtsc() - start;
	if (!ret)
		*ret_result = ev.result;
	return ret;
}

int lane_defer(struct pf_thread *t, const struct lane_call *call)
{
	lane_own(t);
	if (pf_flush(t))
		return -ESRCH;
	t->first = *call;
	return 0;
}

s64 lane_syscall(struct pf_thread *t, bool verified, u32 nr, u64 a, u64 b, u64 c, u64 d, u64 e,
		 u64 f)
{
	u64 arg[7] = { nr, a, b, c, d, e, f };
	struct lane_event ev;
	s64 result;
	int ret;

	lane_own(t);
	if (!verified || !t->space->sealed) {
		ret = lane_op(t, LANE_SYSCALL, arg, 7, &result);
		return ret ? ret : result;
	}
	STAT_INC(verified);
	lane_stage(t, nr, a, b, c, d, e, f);
	ret = lane_post(t, LANE_SYSCALL, LANE_VERIFIED | LANE_BARRIER, arg, 7);
	if (!ret)
		ret = lane_await(t, AWAIT_BARRIER, &ev);
	return ret ? ret : ev.result;
}
