/* futex(2), and what the end of a task does with its futexes. */

#include "ipc/futex.h"

#include <linux/futex.h>

#include "ipc/futex_pi.h"
#include "syscall/util.h"
#include "syscall_protos.h"
#include "time/clock.h"
#include "time/step.h"

/* When a wait ends: relative for FUTEX_WAIT, else absolute on a clock, which may be set meanwhile.
 */
struct wait_end {
	int clock;
	s64 at; /* NO_DEADLINE: never */
};

static int fetch_end(struct task *t, int cmd, int clock, struct uaddr utimeout,
		     struct wait_end *ret)
{
	s64 ns;
	int err;

	*ret = (struct wait_end){ .clock = clock, .at = NO_DEADLINE };
	if (uaddr_is_null(utimeout))
		return 0;
	err = fetch_timespec(t, utimeout, &ns);
	if (!err)
		ret->at = cmd == FUTEX_WAIT ? deadline_in(ns) : ns;
	return err;
}

static long do_wait(struct task *t, struct futex_ref word, u32 val, u32 bitset,
		    const struct wait_end *end)
{
	struct clock_deadline until;
	int ret;

	clock_deadline_begin(&until, end->clock, end->at);
	ret = futex_wait(&t->subject, word, val, bitset, &until);
	clock_deadline_end(&until);
	if (ret != -EINTR)
		return ret;
	if (end->at == NO_DEADLINE)
		return -ERESTARTSYS;
	t->restart = (struct restart_state){
		.kind = RESTART_FUTEX_WAIT,
		.deadline = end->at,
		.arg = { word.addr.v, word.private_, val, bitset, (u64)end->clock },
	};
	return -ERESTART_RESTARTBLOCK;
}

long futex_wait_restart(struct task *t, const struct restart_state *r)
{
	struct futex_ref word = { .addr = UADDR(r->arg[0]), .private_ = r->arg[1] };
	struct wait_end end = { .clock = (int)r->arg[4], .at = r->deadline };

	return do_wait(t, word, (u32)r->arg[2], (u32)r->arg[3], &end);
}

/* ---- priority inheritance ---- */

static long do_lock_pi(struct task *t, struct futex_ref word, bool try, const struct wait_end *end)
{
	struct clock_deadline until;
	int ret;

	clock_deadline_begin(&until, end->clock, end->at);
	ret = futex_lock_pi(&t->subject, word, try, &until);
	clock_deadline_end(&until);
	return task_restart(ret, ERESTARTNOINTR);
}

static long do_wait_requeue_pi(struct task *t, struct futex_ref word, u32 val, u32 bitset,
			       struct futex_ref target, const struct wait_end *end)
{
	struct clock_deadline until;
	int ret;

	clock_deadline_begin(&until, end->clock, end->at);
	ret = futex_wait_requeue_pi(&t->subject, word, val, bitset, target, &until);
	clock_deadline_end(&until);
	return task_restart(ret, ERESTARTNOINTR);
}

static struct futex_pi_task *pi_self(struct subject *s)
{
	return &task_of(s)->futex_pi;
}

static u32 pi_tid(struct subject *s)
{
	return task_tid(task_of(s));
}

static u32 pi_priority(struct subject *s)
{
	struct task *t = task_of(s);
	u32 ret;

	task_lock(t);
	ret = t->sched_priority;
	task_unlock(t);
	return ret;
}

static struct futex_pi_task *pi_find(struct subject *s, u32 tid)
{
	struct task *owner = task_lookup_get(task_of(s), tid);

	return owner ? &owner->futex_pi : NULL;
}

static void pi_put(struct futex_pi_task *p)
{
	task_put(container_of(p, struct task, futex_pi));
}

DEFINE_OPS(struct futex_pi_hooks, futex_pi_task_hooks) = {
	.self = pi_self,
	.tid = pi_tid,
	.priority = pi_priority,
	.find = pi_find,
	.put = pi_put,
};

/* ---- the call ---- */

/* A count as Linux takes it: negative means all. FUTEX_WAKE of none wakes one. */
static u32 count_arg(u32 n)
{
	return (s32)n < 0 ? UINT32_MAX : n;
}

/* The commands that wait, and have a timeout. */
static long futex_waits(struct task *t, int cmd, int op, struct futex_ref word, u32 val,
			struct uaddr timeout, struct futex_ref word2, u32 val3)
{
	int clock = op & FUTEX_CLOCK_REALTIME || cmd == FUTEX_LOCK_PI ? CLOCK_REALTIME :
									CLOCK_MONOTONIC;
	struct wait_end end;
	int err = fetch_end(t, cmd, clock, timeout, &end);

	if (err)
		return err;
	switch (cmd) {
	case FUTEX_WAIT:
		return do_wait(t, word, val, FUTEX_ALL, &end);
	case FUTEX_WAIT_BITSET:
		return do_wait(t, word, val, val3, &end);
	case FUTEX_WAIT_REQUEUE_PI:
		return do_wait_requeue_pi(t, word, val, FUTEX_ALL, word2, &end);
	default:
		return do_lock_pi(t, word, false, &end);
	}
}

static long futex_requeues(struct task *t, int cmd, struct futex_ref word, struct futex_ref word2,
			   u32 val, u32 val2, u32 val3)
{
	if ((s32)val < 0 || (s32)val2 < 0)
		return -EINVAL;
	if (cmd != FUTEX_CMP_REQUEUE_PI)
		return futex_requeue(&t->subject, word, word2, val, val2,
				     cmd == FUTEX_CMP_REQUEUE ? &val3 : NULL);
	return val == 1 ? futex_requeue_pi(&t->subject, word, word2, val2, val3) : -EINVAL;
}

long sys_futex(struct task *t, struct uaddr uaddr, int op, u32 val, u64 timeout,
	       struct uaddr uaddr2, u32 val3)
{
	int cmd = op & FUTEX_CMD_MASK;
	bool private_ = op & FUTEX_PRIVATE_FLAG;
	struct futex_ref word = { .addr = uaddr, .private_ = private_ };
	struct futex_ref word2 = { .addr = uaddr2, .private_ = private_ };
	u32 val2 = (u32)timeout;

	if (op & FUTEX_CLOCK_REALTIME && cmd != FUTEX_WAIT_BITSET && cmd != FUTEX_WAIT_REQUEUE_PI &&
	    cmd != FUTEX_LOCK_PI2)
		return -ENOSYS;
	switch (cmd) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
	case FUTEX_WAIT_REQUEUE_PI:
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		return futex_waits(t, cmd, op, word, val, UADDR(timeout), word2, val3);
	case FUTEX_TRYLOCK_PI:
		return do_lock_pi(t, word, true, &(struct wait_end){ .at = NO_DEADLINE });
	case FUTEX_UNLOCK_PI:
		return task_restart(futex_unlock_pi(&t->subject, word), ERESTARTNOINTR);
	case FUTEX_WAKE:
		val3 = FUTEX_ALL;
		[[fallthrough]];
	case FUTEX_WAKE_BITSET:
		return futex_wake(&t->subject, word, val ? count_arg(val) : 1, val3);
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
	case FUTEX_CMP_REQUEUE_PI:
		return futex_requeues(t, cmd, word, word2, val, val2, val3);
	case FUTEX_WAKE_OP:
		return futex_wake_op(&t->subject, word, word2, val ? count_arg(val) : 1,
				     val2 ? count_arg(val2) : 1, val3);
	default:
		return -ENOSYS;
	}
}

/* ---- several futexes ---- */

static int fetch_waitv(struct task *t, struct uaddr uwaiters, u32 count,
		       struct futex_waitv_word *ret)
{
	UNINIT struct futex_waitv in[FUTEX_WAITV_MAX_WORDS];
	int err = copy_in(&t->subject, in, uwaiters, count * sizeof(in[0]));

	for (u32 i = 0; i < count && !err; i++) {
		if (in[i].flags & ~(u32)(FUTEX_32 | FUTEX_PRIVATE_FLAG) ||
		    !(in[i].flags & FUTEX_32) || in[i].__reserved || in[i].val > UINT32_MAX)
			return -EINVAL;
		ret[i] = (struct futex_waitv_word){
			.word = { .addr = UADDR(in[i].uaddr),
				  .private_ = in[i].flags & FUTEX_PRIVATE_FLAG },
			.val = (u32)in[i].val,
		};
	}
	return err;
}

long sys_futex_waitv(struct task *t, struct uaddr waiters, u32 count, u32 flags,
		     struct uaddr timeout, int clock)
{
	UNINIT struct futex_waitv_word words[FUTEX_WAITV_MAX_WORDS];
	struct clock_deadline until;
	struct wait_end end;
	int ret;

	if (flags || !count || count > FUTEX_WAITV_MAX_WORDS || uaddr_is_null(waiters))
		return -EINVAL;
	if (!uaddr_is_null(timeout) && clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
		return -EINVAL;
	ret = fetch_end(t, FUTEX_WAIT_BITSET, clock, timeout, &end);
	if (!ret)
		ret = fetch_waitv(t, waiters, count, words);
	if (ret)
		return ret;
	clock_deadline_begin(&until, end.clock, end.at);
	ret = futex_wait_many(&t->subject, words, count, &until);
	clock_deadline_end(&until);
	return task_restart(ret, ERESTARTSYS);
}

/* ---- robust lists ---- */

long sys_set_robust_list(struct task *t, struct uaddr head, u64 size)
{
	if (size != sizeof(struct robust_list_head))
		return -EINVAL;
	task_lock(t);
	t->robust_list = head.v;
	t->robust_list_size = size;
	task_unlock(t);
	return 0;
}

long sys_get_robust_list(struct task *t, int pid, struct uaddr uhead, struct uaddr usize)
{
	struct task *target = t;
	u64 head, size = sizeof(struct robust_list_head);
	int err;

	if (pid) {
		target = task_lookup_get(t, (u32)pid);
		if (!target)
			return -ESRCH;
	}
	err = target == t || task_may_access(t, target, false) ? 0 : -EPERM;
	task_lock(target);
	head = target->robust_list;
	task_unlock(target);
	if (target != t)
		task_put(target);
	if (!err)
		err = copy_out(&t->subject, usize, &size, sizeof(size));
	return err ? err : copy_out(&t->subject, uhead, &head, sizeof(head));
}

/* ---- the end of a task ---- */

static void task_exit_robust(struct task *t)
{
	if (t->robust_list)
		futex_exit_robust(&t->subject, UADDR(t->robust_list), task_tid(t));
}

static void task_exit_pi(struct task *t, bool exiting)
{
	futex_pi_release_all(&t->futex_pi, exiting);
}

static void task_wake_addr(struct task *t, struct uaddr addr)
{
	(void)!futex_wake(&t->subject, (struct futex_ref){ .addr = addr }, 1, FUTEX_ALL);
}

DEFINE_OPS(struct futex_hooks, futex_task_hooks) = {
	.exit_robust = task_exit_robust,
	.exit_pi = task_exit_pi,
	.wake_addr = task_wake_addr,
};
