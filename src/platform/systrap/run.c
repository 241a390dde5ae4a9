/* Running guest code, and the guest's state that is not memory. */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "host/host.h"
#include "platform/systrap/attend.h"
#include "platform/systrap/internal.h"

#define RSEQ_FLAG_UNREGISTER 1

static void rseq_registered(struct pf_thread *t, u64 area, u32 size, u32 signature)
{
	t->has_rseq = true;
	t->rseq_area = area;
	t->rseq_size = size;
	t->rseq_signature = signature;
}

static bool take_interrupt(struct pf_thread *t)
{
	return unlikely(atomic_load_explicit(&t->interrupt, memory_order_relaxed)) &&
	       atomic_exchange(&t->interrupt, 0);
}

static void quick_revoke(struct pf_thread *t)
{
	atomic_store(&t->revoked, true);
	/* A lane that cannot be written is found out by its owner. */
	(void)!host_shared_write(&t->lane->revoked, &(u32){ 1 }, sizeof(u32));
}

/* Lend again what the last interrupt revoked; but not if there is another one by now. */
static void quick_lend_again(struct pf_thread *t)
{
	atomic_store(&t->revoked, false);
	(void)!host_shared_write(&t->lane->revoked, &(u32){ 0 }, sizeof(u32));
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&t->interrupt))
		quick_revoke(t);
}

static int resume(struct pf_thread *t, const struct guest_regs *regs, const struct pf_quick *quick)
{
	struct lane *lane = t->lane;

	bool same = memcmp(&t->quick, quick, sizeof(*quick)) == 0;

	if (unlikely(atomic_load_explicit(&t->revoked, memory_order_relaxed)))
		quick_lend_again(t);
	if (marshal_give(t) || host_shared_write(&lane->regs, regs, sizeof(*regs)) ||
	    (!same && host_shared_write(&lane->quick, quick, sizeof(*quick)))) {
		lane_misbehaved(t, "lane unreadable");
		return -ESRCH;
	}
	if (!same)
		t->quick = *quick;
	t->answer_tsc = rdtsc() - t->event_tsc;
	return lane_post(t, LANE_RUN, 0, NULL, 0);
}

static bool known_fault(int signo)
{
	return signo == SIGSEGV || signo == SIGBUS || signo == SIGFPE || signo == SIGILL ||
	       signo == SIGTRAP;
}

static enum pf_event translate(struct pf_thread *t, const struct lane_event *ev,
			       struct pf_fault *ret_fault)
{
	switch (ev->kind) {
	case LANE_EV_SYSCALL:
		marshal_take(t);
		return PF_EVENT_SYSCALL;
	case LANE_EV_INTERRUPT:
		t->signals_out = 0;
		return PF_EVENT_INTERRUPT;
	case LANE_EV_FAULT:
		if (!known_fault(ev->signo))
			break;
		*ret_fault = (struct pf_fault){
			.signo = ev->signo,
			.code = ev->code,
			.addr = ev->addr,
			.trapno = ev->trapno,
			.error_code = ev->error_code,
		};
		return PF_EVENT_FAULT;
	default:
		break;
	}
	lane_misbehaved(t, "bad event");
	return PF_EVENT_DEAD;
}

/* What the lane answered by itself, also if it has died since. */
static void take_quick(struct pf_thread *t, struct pf_quick *quick)
{
	struct pf_quick got = {};
	u32 allowed = quick->allowed;

	quick->done = 0;
	if (!allowed || host_shared_load32(&t->lane->quick.done, &got.done) || likely(!got.done) ||
	    host_shared_read(&got, &t->lane->quick, sizeof(got)))
		return;
	t->quick.done = ~0U; /* not what is there */
	got.done &= allowed;
	if (!got.done)
		return;
	*quick = got;
	if (got.done & PF_QUICK_RSEQ)
		rseq_registered(t, got.rseq_area, got.rseq_size, got.rseq_signature);
}

enum pf_event pf_run(struct pf_thread *t, struct guest_regs *regs, struct pf_quick *quick,
		     const struct pf_idle *idle, struct pf_fault *ret_fault)
{
	enum pf_event what;
	struct lane_event ev;
	int ret;

	quick->done = 0;
	if (!t->watch_lent)
		quick->allowed &= ~PF_QUICK_WATCH;
	if (!t->actions_lent)
		quick->allowed &= ~PF_QUICK_ACTIONS;
	if (!t->reads_lent)
		quick->allowed &= ~PF_QUICK_READ;
	lane_own(t);
	if (space_seal(t))
		return PF_EVENT_DEAD;
	for (;;) {
		if (take_interrupt(t))
			return space_is_dead(t->space) ? PF_EVENT_DEAD : PF_EVENT_INTERRUPT;
		if (resume(t, regs, quick))
			return PF_EVENT_DEAD;
		if (idle)
			lane_idle(t, idle);
		ret = lane_await(t, AWAIT_GUEST, &ev);
		take_quick(t, quick);
		if (ret)
			return PF_EVENT_DEAD;
		if (host_shared_read(regs, &t->lane->regs, sizeof(*regs)))
			return PF_EVENT_DEAD;
		what = translate(t, &ev, ret_fault);
		if (what == PF_EVENT_DEAD)
			return what;
		t->fp_in_window = what == PF_EVENT_SYSCALL && (ev.result & LANE_HAS_FP);
		if (what == PF_EVENT_SYSCALL && (ev.result & LANE_NO_RSEQ))
			t->has_rseq = false;
		attend_event(t, ev.guest_tsc);
		STAT_INC(events);
		/* A signal whose interrupt was delivered otherwise: nobody asked for this event. */
		if (what != PF_EVENT_INTERRUPT || take_interrupt(t) || quick->done)
			return what;
	}
}

void pf_interrupt(struct pf_thread *t)
{
	bool again = atomic_exchange(&t->interrupt, 1);

	/* Also if another has only just interrupted: from when we return nothing is answered. */
	quick_revoke(t);
	if (again)
		return;
	systrap_lock();
	if (t->fiber)
		fiber_unpark(t->fiber);
	systrap_unlock();
}

bool pf_thread_is_dead(const struct pf_thread *t)
{
	return space_is_dead(t->space);
}

int pf_thread_cpu(const struct pf_thread *t)
{
	return __atomic_load_n(&t->cpu, __ATOMIC_RELAXED);
}

u64 pf_thread_cpu_time(struct pf_thread *t)
{
	struct thread_ids ids = thread_ids(t);
	u64 now = 0, ret;

	/* The process's clock costs one call, the lane's three; but it counts all lanes. */
	if (ids.tid && (ids.many_lanes || host_process_time(ids.pid, &now)))
		now = proc_cpu_time(t, ids.pid, ids.tid);
	if (now)
		t->cpu_time = now - min(now, t->spin_tsc * 1000 / g_systrap.tsc_per_us);
	ret = t->cpu_time;
	/* What the lane spun may have been reported after the last thread's end. */
	return ret - min(ret, t->cpu_base);
}

/* ---- floating point ---- */

int pf_fp_save(struct pf_thread *t, void *buf, size_t size)
{
	u64 arg = min(size, (size_t)g_systrap.fp_size);
	s64 n;
	int err;

	err = lane_op(t, LANE_FP_SAVE, &arg, 1, &n);
	if (err)
		return err;
	memset(buf, 0, size);
	if (host_shared_read(buf, t->lane->window, (size_t)arg))
		return -ESRCH;
	return 0;
}

int pf_fp_load(struct pf_thread *t, const void *buf, size_t size)
{
	u64 arg = min(size, (size_t)g_systrap.fp_size);
	s64 ignored;

	if (pf_flush(t) || host_shared_write(t->lane->window, buf, (size_t)arg))
		return -ESRCH;
	return lane_op(t, LANE_FP_LOAD, &arg, 1, &ignored);
}

int pf_fp_reset(struct pf_thread *t)
{
	s64 ignored;

	return lane_op(t, LANE_FP_RESET, NULL, 0, &ignored);
}

/* ---- host registrations ---- */

bool platform_has_rseq(void)
{
	return !g_systrap.virtual_cpus;
}

/* 0 or a negative errno of the host's, whatever the lane says. */
static int plain_result(s64 ret)
{
	return ret <= 0 && ret > -512 ? (int)ret : -EINVAL;
}

/*
 * Allowed at the fast instruction: whatever its arguments, it has the host write a CPU number to
 * the caller's own memory or end the caller. As a verified call it made the creation of a thread
 * cost two notifications more.
 */
int pf_thread_rseq(struct pf_thread *t, struct uaddr area, u32 size, u32 signature)
{
	s64 ret;

	if (!platform_has_rseq())
		return -ENOSYS;
	if (!size) {
		if (!t->has_rseq)
			return -EINVAL;
		t->has_rseq = false;
		ret = lane_syscall(t, false, SYS_rseq, t->rseq_area, t->rseq_size,
				   RSEQ_FLAG_UNREGISTER, t->rseq_signature, 0, 0);
		return plain_result(ret);
	}
	ret = lane_defer(t, &(struct lane_call){ SYS_rseq, { area.v, size, 0, signature }, 0 });
	if (ret == 0)
		rseq_registered(t, area.v, size, signature);
	return plain_result(ret);
}

int pf_thread_membarrier(struct pf_thread *t, int cmd)
{
	return plain_result(lane_syscall(t, true, SYS_membarrier, (u64)cmd, 0, 0, 0, 0, 0));
}

int pf_thread_setaffinity(struct pf_thread *t, size_t size, const void *mask)
{
	pid_t tid = thread_ids(t).tid;
	int ret;

	/* 0 would be the calling worker. */
	if (!tid || space_is_dead(t->space))
		return -ESRCH;
	ret = host_sched_setaffinity(tid, size, mask);
	return ret > 0 ? 0 : ret;
}
