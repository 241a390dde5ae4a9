/* futex(2), and what the end of a task does with its futexes. */

#include "ipc/futex.h"

#include <linux/futex.h>

#include "syscall/util.h"
#include "syscall_protos.h"
#include "time/clock.h"

/* The deadline of a wait: relative for FUTEX_WAIT, else absolute on a clock. utimeout null: none.
 */
static int wait_deadline(struct task *t, int cmd, bool realtime, struct uaddr utimeout, s64 *ret)
{
	s64 ns;
	int err;

	*ret = NO_DEADLINE;
	if (uaddr_is_null(utimeout))
		return 0;
	err = fetch_timespec(t, utimeout, &ns);
	if (err)
		return err;
	if (cmd == FUTEX_WAIT)
		*ret = deadline_in(ns);
	else
		*ret = guest_clock_to_host(realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC, ns);
	return 0;
}

static long do_wait(struct task *t, struct futex_ref word, u32 val, u32 bitset, s64 deadline)
{
	int ret = futex_wait(&t->subject, word, val, bitset, deadline);

	if (ret != -EINTR)
		return ret;
	if (deadline == NO_DEADLINE)
		return -ERESTARTSYS;
	t->restart = (struct restart_state){
		.kind = RESTART_FUTEX_WAIT,
		.deadline = deadline,
		.arg = { word.addr.v, word.private_, val, bitset },
	};
	return -ERESTART_RESTARTBLOCK;
}

long futex_wait_restart(struct task *t, const struct restart_state *r)
{
	struct futex_ref word = { .addr = UADDR(r->arg[0]), .private_ = r->arg[1] };

	return do_wait(t, word, (u32)r->arg[2], (u32)r->arg[3], r->deadline);
}

/* A count as Linux takes it: negative means all. FUTEX_WAKE of none wakes one. */
static u32 count_arg(u32 n)
{
	return (s32)n < 0 ? UINT32_MAX : n;
}

long sys_futex(struct task *t, struct uaddr uaddr, int op, u32 val, u64 timeout,
	       struct uaddr uaddr2, u32 val3)
{
	int cmd = op & FUTEX_CMD_MASK;
	bool realtime = op & FUTEX_CLOCK_REALTIME, private_ = op & FUTEX_PRIVATE_FLAG;
	struct futex_ref word = { .addr = uaddr, .private_ = private_ };
	struct futex_ref word2 = { .addr = uaddr2, .private_ = private_ };
	u32 val2 = (u32)timeout;
	s64 deadline;
	int err;

	if (realtime && cmd != FUTEX_WAIT_BITSET)
		return -ENOSYS;
	switch (cmd) {
	case FUTEX_WAIT:
		val3 = FUTEX_ALL;
		[[fallthrough]];
	case FUTEX_WAIT_BITSET:
		err = wait_deadline(t, cmd, realtime, UADDR(timeout), &deadline);
		return err ? err : do_wait(t, word, val, val3, deadline);
	case FUTEX_WAKE:
		val3 = FUTEX_ALL;
		[[fallthrough]];
	case FUTEX_WAKE_BITSET:
		return futex_wake(&t->subject, word, val ? count_arg(val) : 1, val3);
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		if ((s32)val < 0 || (s32)val2 < 0)
			return -EINVAL;
		return futex_requeue(&t->subject, word, word2, val, val2,
				     cmd == FUTEX_CMP_REQUEUE ? &val3 : NULL);
	case FUTEX_WAKE_OP:
		return futex_wake_op(&t->subject, word, word2, val ? count_arg(val) : 1,
				     val2 ? count_arg(val2) : 1, val3);
	default:
		return -ENOSYS;
	}
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

static void task_wake_addr(struct task *t, struct uaddr addr)
{
	(void)!futex_wake(&t->subject, (struct futex_ref){ .addr = addr }, 1, FUTEX_ALL);
}

DEFINE_OPS(struct futex_hooks, futex_task_hooks) = {
	.exit_robust = task_exit_robust,
	.wake_addr = task_wake_addr,
};
