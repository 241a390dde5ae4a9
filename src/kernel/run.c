/*
 * The run loop of a task: a state machine, so that a task at rest is its state and nothing on a
 * stack.
 *
 * Each turn first waits while the task is stopped, then advances run_state by one. The normal way
 * is
 *
 *	APP -> SYSCALL_INVOKE -> SYSCALL_EXIT -> APP
 *
 * and by INTERRUPT back to APP whenever the work flags say that there is something to do before
 * guest code runs on. A handler of a call may itself set the next state (vfork, exec, exit); its
 * value is then not looked at.
 *
 * A call that was interrupted returns a restart code. INTERRUPT first takes signals. If one has a
 * handler, the code decides between EINTR and making the call again after the handler: the
 * instruction pointer goes back over the two-byte syscall instruction, as in Linux. If none has,
 * the call is made again at once, in SYSCALL_REINVOKE, without going through guest code.
 * ERESTARTNEVER, for calls that Linux never restarts, gives EINTR if a signal was taken or the task
 * was stopped by one, else the interruption was none of the guest's business and the call is made
 * again.
 */

#include "kernel/task.h"

#include <string.h>
#include <sys/syscall.h>

#include "kernel/lifecycle.h"
#include "kernel/reads.h"
#include "kernel/signal.h"
#include "kernel/timers.h"
#include "kernel/watch.h"
#include "mm/mm.h"
#include "sched/timer.h"
#include "vfs/vfs.h"

#define SYSCALL_INSN_SIZE 2
#define NO_SYSCALL ((u64)-1)
#define TRAP_PAGE_FAULT 14
#define ROBUST_LIST_HEAD_SIZE 24

static bool is_restart(long ret)
{
	return ret <= -ERESTARTSYS && ret >= -ERESTARTNEVER;
}

/* ---- guest code ---- */

static void fault_signal(struct task *t, const struct pf_fault *fault)
{
	siginfo_t info;
	int sig = fault->signo, code = fault->code;

	if (sig < 1 || sig > GUEST_NSIG)
		sig = SIGSEGV;
	if ((sig == SIGSEGV || sig == SIGBUS) &&
	    !mm_handle_fault(&t->subject, fault, t->regs.rsp, &sig, &code))
		return;
	t->fault_trapno = fault->trapno;
	t->fault_error = fault->error_code;
	if (fault->trapno == TRAP_PAGE_FAULT)
		t->fault_cr2 = fault->addr;
	siginfo_kernel(&info, sig);
	info.si_code = code;
	info.si_addr = (void *)fault->addr;
	signal_force(t, &info);
}

/* A process of one thread: whoever changes its limits has that thread look again. */
static void limit_lend(struct task *t, struct pf_quick *q)
{
	struct rlimit64_pair limit;

	if (task_tid(t) != task_tgid(t))
		return;
	limit = rlimit_read(t->subject.rlimits, RLIMIT_STACK);
	q->stack_limit[0] = limit.cur;
	q->stack_limit[1] = limit.max;
	q->allowed |= PF_QUICK_STACK_LIMIT;
}

/*
 * What the platform may answer by itself: the calls of struct pf_quick concern t alone. Nobody sees
 * its robust list or its tid address before it ends, and its mask is lent.
 */
static void quick_lend(struct task *t, struct pf_quick *q)
{
	*q = (struct pf_quick){};
	if (!kernel_get()->quick_calls)
		return;
	q->allowed = PF_QUICK_SELF | PF_QUICK_ROBUST_LIST | PF_QUICK_TID_ADDRESS;
	q->tid = task_tid(t);
	q->tgid = task_tgid(t);
	q->blocked = t->blocked;
	q->robust_list = t->robust_list;
	if (signal_mask_lend(t)) {
		q->allowed |= PF_QUICK_SIGMASK;
		if (signal_actions_lend(t))
			q->allowed |= PF_QUICK_ACTIONS;
	}
	if (!t->rseq_addr && platform_has_rseq())
		q->allowed |= PF_QUICK_RSEQ;
	if (!mm_may_have_locked(t->subject.mm))
		q->allowed |= PF_QUICK_DONTNEED;
	if (refcount_read(&t->mm_share->users) == 1) {
		if (mm_brk_lend(&t->subject, &q->start_brk, &q->brk))
			q->allowed |= PF_QUICK_BRK;
		limit_lend(t, q);
	}
	if (watch_lend(t))
		q->allowed |= PF_QUICK_WATCH;
	if (reads_lend(t))
		q->allowed |= PF_QUICK_READ;
}

/* nr: the call that is to be made, or negative. */
static void quick_take(struct task *t, const struct pf_quick *q, int nr)
{
	if (q->done & PF_QUICK_ACTIONS)
		signal_actions_take(t);
	if (q->allowed & PF_QUICK_SIGMASK)
		signal_mask_back(t, q->done & PF_QUICK_SIGMASK ? q->blocked : t->blocked);
	if (q->allowed & PF_QUICK_READ)
		reads_back(t, q->done & PF_QUICK_READ, nr);
	if (likely(!q->done))
		return;
	if (q->done & PF_QUICK_ROBUST_LIST) {
		spin_lock(&t->lock, &lc_task);
		t->robust_list = q->robust_list;
		t->robust_list_size = ROBUST_LIST_HEAD_SIZE;
		spin_unlock(&t->lock, &lc_task);
	}
	if (q->done & PF_QUICK_WATCH)
		watch_take(t);
	if (q->done & PF_QUICK_BRK)
		mm_brk_back(t->subject.mm, q->brk);
	if (q->done & PF_QUICK_TID_ADDRESS)
		t->clear_child_tid = q->clear_child_tid;
	if (q->done & PF_QUICK_RSEQ) {
		t->rseq_addr = q->rseq_area;
		t->rseq_size = q->rseq_size;
		t->rseq_sig = q->rseq_signature;
	}
}

/* A second look within this time finds what the first one found. */
#define SAME_LOOK_NS 20'000

/* A system call begins. */
static void stamp_call(struct subject *s)
{
	s64 now = sched_now();
	u64 last = s->call_tsc;

	s->call_tsc = __builtin_ia32_rdtsc();
	s->last_call_tsc = now - s->call_time < SAME_LOOK_NS ? last : s->call_tsc;
	s->call_time = now;
}

static bool work_ahead(void *arg)
{
	return vfs_work_ahead(arg);
}

static void run_app(struct task *t)
{
	const struct pf_idle idle = { work_ahead, &t->subject };
	enum pf_event event;
	struct pf_quick quick;
	struct pf_fault fault;

	if (unlikely(atomic_load(&t->work))) {
		run_state_set(t, RUN_INTERRUPT);
		return;
	}
	quick_lend(t, &quick);
	t->subject.ahead_since = 0;
	event = pf_run(t->subject.thread, &t->regs, &quick, t->subject.ahead ? &idle : NULL,
		       &fault);
	vfs_end_ahead(&t->subject);
	quick_take(t, &quick, event == PF_EVENT_SYSCALL ? (int)t->regs.orig_rax : -1);
	switch (event) {
	case PF_EVENT_SYSCALL:
		stamp_call(&t->subject);
		t->syscall_nr = (int)t->regs.orig_rax;
		t->syscall_args[0] = t->regs.rdi;
		t->syscall_args[1] = t->regs.rsi;
		t->syscall_args[2] = t->regs.rdx;
		t->syscall_args[3] = t->regs.r10;
		t->syscall_args[4] = t->regs.r8;
		t->syscall_args[5] = t->regs.r9;
		t->signal_seen = false;
		run_state_set(t, RUN_SYSCALL_INVOKE);
		break;
	case PF_EVENT_FAULT:
		t->regs.orig_rax = NO_SYSCALL;
		fault_signal(t, &fault);
		run_state_set(t, RUN_INTERRUPT);
		break;
	case PF_EVENT_INTERRUPT:
		t->regs.orig_rax = NO_SYSCALL;
		run_state_set(t, RUN_INTERRUPT);
		break;
	case PF_EVENT_DEAD:
		task_group_exit(t, SIGKILL);
		break;
	}
}

/* ---- system calls ---- */

static void run_invoke(struct task *t)
{
	long ret = OPS(syscall_layer_ops)->invoke(t, t->syscall_nr, t->syscall_args);

	if (atomic_load_explicit(&t->run_state, memory_order_relaxed) != RUN_SYSCALL_INVOKE)
		return;
	t->regs.rax = (u64)ret;
	run_state_set(t, RUN_SYSCALL_EXIT);
}

static void run_reinvoke(struct task *t)
{
	long ret;

	t->signal_seen = false;
	if (t->syscall_nr != SYS_restart_syscall) {
		run_state_set(t, RUN_SYSCALL_INVOKE);
		return;
	}
	t->syscall_restarting = true;
	ret = OPS(syscall_layer_ops)->restart(t);
	t->syscall_restarting = false;
	if (atomic_load_explicit(&t->run_state, memory_order_relaxed) != RUN_SYSCALL_REINVOKE)
		return;
	t->regs.rax = (u64)ret;
	run_state_set(t, RUN_SYSCALL_EXIT);
}

static void run_syscall_exit(struct task *t)
{
	long ret = (long)t->regs.rax;

	OPS(syscall_layer_ops)->exited(t, t->syscall_nr, t->syscall_args, ret);
	run_state_set(t, unlikely(is_restart(ret)) ? RUN_INTERRUPT : RUN_APP);
}

/* A handler is about to run: the interrupted call fails or is to be made again when the handler
 * returns. */
static void restart_for_handler(struct task *t, const struct sigaction_k *action)
{
	long ret = (long)t->regs.rax;

	if (t->regs.orig_rax == NO_SYSCALL || !is_restart(ret))
		return;
	if (ret == -ERESTARTNOINTR || (ret == -ERESTARTSYS && (action->flags & SA_RESTART))) {
		t->regs.rax = t->regs.orig_rax;
		t->regs.rip -= SYSCALL_INSN_SIZE;
	} else {
		t->regs.rax = (u64)-EINTR;
	}
}

/* No handler runs. Returns the state to go on in. */
static enum run_state restart_without_handler(struct task *t)
{
	long ret = (long)t->regs.rax;

	if (t->regs.orig_rax == NO_SYSCALL || !is_restart(ret))
		return RUN_APP;
	if (ret == -ERESTARTNEVER && t->signal_seen) {
		t->regs.rax = (u64)-EINTR;
		return RUN_APP;
	}
	if (ret == -ERESTART_RESTARTBLOCK) {
		t->syscall_nr = SYS_restart_syscall;
		t->regs.orig_rax = SYS_restart_syscall;
	}
	t->regs.rax = (u64)-ENOSYS;
	return RUN_SYSCALL_REINVOKE;
}

/* ---- on the way back ---- */

/* A new task's id is written in its own memory, so by itself. As in Linux a bad address is nobody's
 * concern. */
static void write_child_tid(struct task *t)
{
	u32 tid = task_tid(t);

	atomic_fetch_and(&t->work, ~(u32)TASK_WORK_CHILD_TID);
	(void)!copy_out_late(&t->subject, UADDR(t->set_child_tid), &tid, sizeof(tid));
}

static void restore_mask(struct task *t)
{
	atomic_fetch_and(&t->work, ~(u32)TASK_WORK_MASK_RESTORE);
	if (!t->restore_blocked)
		return;
	t->restore_blocked = false;
	signal_set_blocked(t, t->saved_blocked);
}

static void run_interrupt(struct task *t)
{
	u32 work = atomic_load(&t->work);
	enum run_state next;
	struct ksignal k;
	int got;

	if (work & TASK_WORK_CHILD_TID)
		write_child_tid(t);
	if (work & TASK_WORK_CPU_TIMERS)
		cpu_timers_check(t);
	atomic_fetch_and(&t->work, ~(u32)TASK_WORK_RSEQ);
	while ((got = signal_get(t, &k)) > 0) {
		restart_for_handler(t, &k.action);
		signal_deliver(t, &k);
	}
	if (got < 0)
		return;
	next = restart_without_handler(t);
	restore_mask(t);
	if (next == RUN_SYSCALL_REINVOKE && signal_pending(t)) {
		/* The temporary mask held a signal back: its handler runs first, and returns to the
		 * call. */
		t->regs.rax = t->regs.orig_rax;
		t->regs.rip -= SYSCALL_INSN_SIZE;
		t->regs.orig_rax = NO_SYSCALL;
		next = RUN_INTERRUPT;
	}
	run_state_set(t, next);
}

static void run_vfork_done(struct task *t)
{
	tasks_lock();
	t->vfork_waiting = false;
	tasks_unlock();
	run_state_set(t, RUN_SYSCALL_EXIT);
}

static void run_one(struct task *t)
{
	switch (atomic_load_explicit(&t->run_state, memory_order_relaxed)) {
	case RUN_APP:
		run_app(t);
		break;
	case RUN_AFTER_SECCOMP_TRACE:
	case RUN_AFTER_SYSCALL_ENTER_STOP:
	case RUN_AFTER_SYSEMU_STOP:
	case RUN_SYSCALL_INVOKE:
		run_invoke(t);
		break;
	case RUN_SYSCALL_REINVOKE:
		run_reinvoke(t);
		break;
	case RUN_AFTER_CLONE_EVENT:
	case RUN_VFORK_WAIT:
	case RUN_VFORK_DONE:
		run_vfork_done(t);
		break;
	case RUN_EXEC_WAIT_THREADS:
		exec_wait_threads(t);
		break;
	case RUN_EXEC_EVENT:
	case RUN_SYSCALL_EXIT:
		run_syscall_exit(t);
		break;
	case RUN_INTERRUPT:
	case RUN_SIGNAL_DELIVERY_STOP:
	case RUN_GROUP_STOP:
		run_interrupt(t);
		break;
	case RUN_EXIT_EVENT:
	case RUN_EXIT_MAIN:
		exit_main(t);
		break;
	default:
		exit_notify(t);
		break;
	}
}

void task_main(void *arg)
{
	struct kernel *k = kernel_get();
	struct task *t = arg;

	while (atomic_load_explicit(&t->run_state, memory_order_relaxed) != RUN_DONE) {
		stop_wait(t);
		run_one(t);
	}
	/* From here on nobody may find the fiber in the task. */
	spin_lock(&t->lock, &lc_task);
	t->subject.fiber = NULL;
	spin_unlock(&t->lock, &lc_task);
	task_put(t);
	/* Whoever sees the count take the lock, too, before k goes. */
	tasks_lock();
	if (atomic_fetch_sub(&k->fiber_count, 1) == 1)
		kernel_wake_waiter();
	tasks_unlock();
}

void task_start(struct task *t)
{
	atomic_fetch_add(&kernel_get()->fiber_count, 1);
	fiber_start(t->subject.fiber);
}
