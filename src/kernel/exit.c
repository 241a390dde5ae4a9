/*
 * The end of a task: exit, group exit, orphans, and how a parent learns of it.
 *
 * EXIT_MAIN gives back what the task uses (timers, memory, files); EXIT_NOTIFY, in one step under
 * lc_tasks, hands its children to a new parent and makes it a zombie. A thread that is not the
 * leader is reaped at once. The leader stays until its group has no other threads; then the parent
 * is told, by signal and through its wait queue, and unless it ignores SIGCHLD (or there is no
 * parent) a wait reaps the process.
 *
 * Robust lists and clear_child_tid concern memory that others see. When none do, because no other
 * process shares the address space, this one's threads are all going, and nothing in it is mapped
 * shared, they are skipped: the memory is about to vanish.
 *
 * When the last thread of the first process has gone, all others are killed, and reaped without
 * being waited for.
 */

#include "kernel/task.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "cred/user.h"
#include "kernel/ctty.h"
#include "kernel/lifecycle.h"
#include "kernel/pid.h"
#include "kernel/signal.h"
#include "kernel/signalfd.h"
#include "kernel/timers.h"
#include "mm/mm.h"
#include "vfs/fdtable.h"
#include "vfs/path.h"

#define NS_PER_TICK 10'000'000 /* clock ticks of 100 Hz */

/* ---- beginning ---- */

long task_exit(struct task *t, int status)
{
	t->exit_status = status;
	run_state_set(t, RUN_EXIT_MAIN);
	return 0;
}

/* End the space under the feet of the other threads, so that none runs guest code any more. */
static void hurry_threads(struct task *t)
{
	struct mm *mm = t->subject.mm;

	if (mm && task_mm_private(t) && mm_usage(mm).shared == 0)
		pf_space_kill(mm_space(mm));
}

long task_group_exit(struct task *t, int status)
{
	struct thread_group *tg = t->tg;
	struct sighand *h = t->sighand;
	bool others;

	tasks_lock();
	spin_lock(&h->lock, &lc_sighand);
	others = tg->live_count > 1;
	if (tg->exiting) {
		status = tg->exit_status;
	} else if (tg->execing && tg->execing != t) {
		status = 0;
		others = false;
	} else {
		tg->exiting = true;
		tg->exit_status = status;
		signal_zap_others(tg, t);
	}
	spin_unlock(&h->lock, &lc_sighand);
	tasks_unlock();
	if (others)
		hurry_threads(t);
	return task_exit(t, status);
}

/* ---- main ---- */

/* From now on t takes no more signals. */
static void exit_begin(struct task *t)
{
	struct thread_group *tg = t->tg;
	struct sighand *h = t->sighand;
	bool stopped;

	tasks_lock();
	spin_lock(&h->lock, &lc_sighand);
	t->exiting = true;
	if (!tg->exiting)
		signal_retarget(t, ~t->blocked);
	stopped = stop_leave(t);
	t->last_of_group = --tg->live_count == 0;
	if (t->last_of_group && !tg->exiting) {
		/* The thread that exits last gives the process its status. */
		tg->exiting = true;
		tg->exit_status = t->exit_status;
	}
	spin_unlock(&h->lock, &lc_sighand);
	fiber_clear_kill(t->subject.fiber);
	if (stopped)
		stop_notify_parent(tg, CLD_STOPPED);
	tasks_unlock();
}

/* Nobody will see what is in t's memory once t has left it. */
static bool memory_vanishes(struct task *t, bool alone)
{
	bool private = task_mm_private(t) && (alone || t->tg->exiting);

	return private && mm_usage(t->subject.mm).shared == 0;
}

void task_leave_mm(struct task *t, bool exiting)
{
	const struct futex_hooks *hooks = OPS(futex_task_hooks);
	const u32 zero = 0;
	bool alone, seen;

	if (!t->subject.mm)
		return;
	alone = refcount_read(&t->mm_share->users) == 1;
	/* The area may be gone as soon as others learn that the thread is. */
	if (t->rseq_addr && !alone)
		(void)!pf_thread_rseq(t->subject.thread, UADDR(0), 0, 0);
	seen = !memory_vanishes(t, alone);
	if (seen && t->robust_list)
		hooks->exit_robust(t);
	hooks->exit_pi(t, exiting);
	if (seen && t->clear_child_tid && !alone) {
		struct uaddr addr = UADDR(t->clear_child_tid);

		if (!copy_out(&t->subject, addr, &zero, sizeof(zero)))
			hooks->wake_addr(t, addr);
	}
	t->robust_list = 0;
	t->clear_child_tid = 0;
}

static void release_space(struct task *t)
{
	struct old_space old;

	/* The group's count first: it must never be above the other. */
	tasks_lock();
	if (t->mm_share)
		t->tg->mm_users--;
	tasks_unlock();
	old = task_replace_space(t, NULL, NULL, NULL);
	vfork_release(t);
	old_space_release(&old);
}

static void release_files(struct task *t)
{
	struct fdtable *files = t->subject.files;
	struct fs_context *fs = t->subject.fs;

	spin_lock(&t->lock, &lc_task);
	t->subject.files = NULL;
	t->subject.fs = NULL;
	spin_unlock(&t->lock, &lc_task);
	if (files)
		fdtable_put(files);
	fs_context_leave(fs);
}

void exit_main(struct task *t)
{
	exec_build_discard(t);
	exit_begin(t);
	if (t->last_of_group)
		group_timers_end(t, true);
	else
		timers_thread_exit(t);
	task_leave_mm(t, true);
	task_cpu_times_update(t);
	release_space(t);
	vfs_end_ahead(&t->subject);
	release_files(t);
	if (t->last_of_group) {
		tasks_lock();
		ctty_session_exit(t->tg);
		tasks_unlock();
	}
	run_state_set(t, RUN_EXIT_NOTIFY);
}

/* ---- orphans ---- */

static struct task *alive_thread(struct thread_group *tg) REQUIRES(lc_tasks)
{
	struct task *t;

	list_for_each(t, &tg->tasks, tg_link) {
		if (!t->exiting)
			return t;
	}
	return NULL;
}

/* Who becomes the parent of t's children: a sister thread, the nearest subreaper, the namespace's
 * init, or null. */
static struct task *find_reaper(struct task *t) REQUIRES(lc_tasks)
{
	struct pid_ns *ns = task_pid_ns(t);
	struct task *reaper = alive_thread(t->tg), *above;

	if (ns->reaper == t)
		ns->reaper = reaper;
	if (reaper)
		return reaper;
	if (t->tg->has_child_subreaper) {
		for (above = t->tg->parent; above; above = above->tg->parent) {
			if (above->tg->child_subreaper)
				reaper = alive_thread(above->tg);
			if (reaper || above == ns->reaper)
				break;
		}
	}
	if (reaper)
		return reaper;
	return ns->reaper ? alive_thread(ns->reaper->tg) : NULL;
}

static void send_death_signals(struct thread_group *tg) REQUIRES(lc_tasks)
{
	struct task *t;

	list_for_each(t, &tg->tasks, tg_link) {
		siginfo_t info;

		if (!t->parent_death_signal)
			continue;
		siginfo_kernel(&info, t->parent_death_signal);
		(void)signal_post(t, &info, true, NULL);
	}
}

static bool group_is_zombie(const struct thread_group *tg)
{
	const struct task *leader = tg->leader; /* null: the last task is released */

	return leader && tg->task_count == 1 && leader->exit_notified;
}

static void reparent_children(struct task *t) REQUIRES(lc_tasks)
{
	struct task *reaper = list_empty(&t->children) ? NULL : find_reaper(t);
	struct thread_group *tg, *next;

	if (task_pid_ns(t)->reaper == t)
		task_pid_ns(t)->reaper = alive_thread(t->tg);
	list_for_each_safe(tg, next, &t->children, sibling) {
		list_del(&tg->sibling);
		tg->parent = reaper;
		if (reaper)
			list_add_tail(&reaper->children, &tg->sibling);
		send_death_signals(tg);
		if (reaper && reaper->tg == t->tg)
			continue;
		tg->leader->exit_signal = SIGCHLD;
		if (group_is_zombie(tg) && exit_notify_parent(tg)) {
			task_release(tg->leader);
			continue;
		}
		pgrp_check_orphaned(tg, t);
	}
}

/* ---- the parent ---- */

void lifecycle_fill_child_info(struct thread_group *tg, siginfo_t *info)
{
	struct task *leader = tg->leader;
	struct task_cpu_times times = task_cpu_times_seen(leader);

	if (leader->exit_notified)
		times = (struct task_cpu_times){};
	info->si_pid = (pid_t)pid_nr(tg->pid, task_pid_ns(tg->parent));
	spin_lock(&leader->lock, &lc_task);
	info->si_uid = leader->subject.cred->uid;
	spin_unlock(&leader->lock, &lc_task);
	info->si_utime = (clock_t)((times.user_ns + tg->dead_usage.utime) / NS_PER_TICK);
	info->si_stime = (clock_t)((times.sys_ns + tg->dead_usage.stime) / NS_PER_TICK);
}

static void fill_exit_info(struct thread_group *tg, int sig, siginfo_t *info) REQUIRES(lc_tasks)
{
	int status = tg->leader->exit_status;

	memset(info, 0, sizeof(*info));
	info->si_signo = sig;
	lifecycle_fill_child_info(tg, info);
	if (status & 0x7f) {
		info->si_code = status & 0x80 ? CLD_DUMPED : CLD_KILLED;
		info->si_status = status & 0x7f;
	} else {
		info->si_code = CLD_EXITED;
		info->si_status = status >> 8 & 0xff;
	}
}

/* The first process is gone: its status is the sandbox's. */
static void init_ended(struct thread_group *tg) REQUIRES(lc_tasks)
{
	struct kernel *k = kernel_get();

	if (tg != k->init)
		return;
	k->exit_status = tg->exiting ? tg->exit_status : tg->leader->exit_status;
	k->init = NULL;
	atomic_store(&k->exited, 1);
}

bool exit_notify_parent(struct thread_group *tg)
{
	struct task *parent = tg->parent, *leader = tg->leader;
	int sig = (int)leader->exit_signal, note;
	struct sighand *h;
	bool autoreap = false;
	siginfo_t info;

	waitq_wake_all(&tg->pid->waitq, EPOLLIN | EPOLLRDNORM);
	if (!parent) {
		init_ended(tg);
		return true;
	}
	/* A signal of its choice is not for a parent that has become another program. */
	if (sig != SIGCHLD && leader->parent_exec_id != parent->self_exec_id)
		sig = SIGCHLD;
	fill_exit_info(tg, sig, &info);
	h = parent->sighand;
	spin_lock(&h->lock, &lc_sighand);
	if (sig == SIGCHLD) {
		const struct sigaction_k *action = &h->action[SIGCHLD - 1];

		autoreap = action->handler == SIG_IGN_K || (action->flags & SA_NOCLDWAIT);
		if (action->handler == SIG_IGN_K)
			sig = 0;
	}
	if (sig > 0 && sig <= GUEST_NSIG)
		(void)signal_queue(parent, &info, true, NULL, &note);
	spin_unlock(&h->lock, &lc_sighand);
	waitq_wake_all(&parent->tg->child_waitq, ~0u);
	return autoreap;
}

/* ---- notify and release ---- */

/* A thread that execs waits for the others; see whether this was the last. */
static void wake_exec(struct thread_group *tg) REQUIRES(lc_tasks)
{
	struct task *t = tg->execing;
	struct sighand *h;

	if (!t)
		return;
	h = t->sighand;
	spin_lock(&h->lock, &lc_sighand);
	stop_end(t, STOP_EXEC);
	spin_unlock(&h->lock, &lc_sighand);
}

static void flush_signals(struct task *t, bool group) REQUIRES(lc_tasks)
{
	struct sighand *h = t->sighand;

	spin_lock(&h->lock, &lc_sighand);
	sigpending_flush(&t->pending, ~0UL);
	if (group)
		sigpending_flush(&t->tg->pending, ~0UL);
	spin_unlock(&h->lock, &lc_sighand);
}

/* The last task of tg is being released. */
static void group_unlink(struct thread_group *tg) REQUIRES(lc_tasks)
{
	list_del(&tg->sibling);
	signalfd_forget_group(tg);
	ctty_forget(tg);
	pgrp_join(tg, NULL);
	tg->leader = NULL;
	tg->parent = NULL;
	tg->pid->tg = NULL;
	pid_release_unused(tg->pid);
}

void task_release(struct task *t)
{
	struct thread_group *tg = t->tg;
	struct kernel *k = kernel_get();
	/* Both counts are also read without the lock. */
	bool last = __atomic_sub_fetch(&tg->task_count, 1, __ATOMIC_RELAXED) == 0;

	t->released = true;
	flush_signals(t, last);
	list_del(&t->tg_link);
	t->pid->task = NULL;
	pid_release_unused(t->pid);
	atomic_fetch_sub(&t->charged->tasks, 1);
	__atomic_fetch_sub(&k->task_count, 1, __ATOMIC_RELAXED);
	if (last)
		group_unlink(tg);
	else
		wake_exec(tg);
	task_put(t);
}

/* t's use of resources becomes its group's. */
static void account_dead(struct task *t) REQUIRES(lc_tasks)
{
	struct task_cpu_times times = task_cpu_times_seen(t);
	struct rusage_ns *sum = &t->tg->dead_usage;
	struct io_usage io = task_io(t);
	struct kernel *k = kernel_get();

	sum->utime += times.user_ns;
	sum->stime += times.sys_ns;
	sum->min_flt += t->min_flt;
	sum->maj_flt += t->maj_flt;
	sum->nvcsw += t->nvcsw;
	sum->nivcsw += t->nivcsw;
	io_usage_add(&t->tg->dead_io, &io);
	k->dead_user_ns += times.user_ns;
	k->dead_sys_ns += times.sys_ns;
	k->dead_switches += t->nvcsw + t->nivcsw;
}

/* Make t a zombie, or if nobody is to see that, nothing. */
static void become_zombie(struct task *t) REQUIRES(lc_tasks)
{
	struct thread_group *tg = t->tg;
	struct task *leader = tg->leader;

	account_dead(t);
	t->exit_notified = true;
	if (t != leader)
		task_release(t);
	else
		wake_exec(tg);
	if (group_is_zombie(tg) && !tg->execing && exit_notify_parent(tg))
		task_release(leader);
}

void exit_notify(struct task *t)
{
	struct thread_group *tg = t->tg;
	bool init_gone;

	tasks_lock();
	reparent_children(t);
	if (t->last_of_group) {
		pgrp_check_orphaned(tg, NULL);
		if (tg->pgrp->session->leader == tg)
			tg->pgrp->session->leader = NULL;
	}
	init_gone = tg == kernel_get()->init;
	become_zombie(t);
	init_gone = init_gone && !kernel_get()->init;
	tasks_unlock();
	if (init_gone)
		kernel_kill_all();
	run_state_set(t, RUN_DONE);
}

void task_discard(struct task *t)
{
	struct old_space old = { t->subject.mm, t->subject.thread, t->mm_share };

	t->subject.mm = NULL;
	t->subject.thread = NULL;
	t->mm_share = NULL;
	old_space_release(&old);
	release_files(t);
	if (t->pid) {
		tasks_lock();
		pid_release_unused(t->pid);
		tasks_unlock();
	}
	/* A fiber that has been created ends only by being run. */
	if (t->subject.fiber) {
		run_state_set(t, RUN_DONE);
		task_start(t);
	} else {
		task_put(t);
	}
	task_put(t);
}
