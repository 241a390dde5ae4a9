/*
 * Stops: when a task rests between two states of its run loop.
 *
 * Internal stops are kept in the task: a group stop (a job-control signal), the wait for a vfork
 * child, the wait for the other threads in exec. SIGKILL ends each of them. External stops (pause,
 * checkpoint) are counted.
 *
 * A group stop begins when a thread takes a stop signal: it marks all threads (group_stop_pending)
 * and counts them; each one stops on its way back to guest code and counts down; the last tells the
 * parent. SIGCONT, when it is sent and whatever becomes of it, ends the stop, or cancels one that
 * is not complete.
 */

#include "kernel/signal.h"

#include <string.h>
#include <sys/wait.h>

#include "kernel/lifecycle.h"
#include "kernel/pid.h"

void task_unpark(struct task *t)
{
	spin_lock(&t->lock, &lc_task);
	if (t->subject.fiber)
		fiber_unpark(t->subject.fiber);
	spin_unlock(&t->lock, &lc_task);
}

void stop_begin(struct task *t, enum stop_kind kind)
{
	atomic_store(&t->stop, kind);
}

void stop_end(struct task *t, enum stop_kind kind)
{
	u32 expected = kind;

	if (atomic_compare_exchange_strong(&t->stop, &expected, STOP_NONE))
		task_unpark(t);
}

void stop_wait(struct task *t)
{
	if (!atomic_load(&t->stop) && !atomic_load(&t->external_stops))
		return;
	if (t->subject.thread)
		(void)pf_flush(t->subject.thread);
	while (atomic_load(&t->stop) || atomic_load(&t->external_stops))
		fiber_park(NO_DEADLINE);
}

void task_external_stop_begin(struct task *t)
{
	struct sighand *h;

	tasks_lock();
	h = t->sighand;
	spin_lock(&h->lock, &lc_sighand);
	atomic_fetch_add(&t->external_stops, 1);
	signal_wake(t, false);
	spin_unlock(&h->lock, &lc_sighand);
	tasks_unlock();
}

void task_external_stop_end(struct task *t)
{
	if (atomic_fetch_sub(&t->external_stops, 1) == 1)
		task_unpark(t);
}

/* Mark t for the group stop that begins: true if it has to be counted. */
static bool stop_mark(struct task *t) REQUIRES(lc_sighand)
{
	if (t->exiting || t->exit_notified || signal_kill_pending(t))
		return false;
	t->group_stop_pending = t->group_stop_counted = true;
	return true;
}

/* t, having taken sig, begins a group stop. False if it has been overtaken by SIGCONT or an exit.
 */
static bool stop_initiate(struct task *t, int sig) REQUIRES(lc_tasks, lc_sighand)
{
	struct thread_group *tg = t->tg;
	struct task *other;

	if (!t->stop_dequeued || tg->exiting || tg->execing)
		return false;
	if (!tg->group_stop)
		tg->group_stop_signal = sig;
	tg->group_stop_left = 0;
	if (stop_mark(t))
		tg->group_stop_left++;
	list_for_each(other, &tg->tasks, tg_link) {
		if (other == t || atomic_load(&other->stop) == STOP_GROUP || !stop_mark(other))
			continue;
		tg->group_stop_left++;
		signal_wake(other, false);
	}
	return true;
}

bool stop_leave(struct task *t)
{
	struct thread_group *tg = t->tg;
	bool counted = t->group_stop_counted;

	t->group_stop_pending = t->group_stop_counted = t->stop_dequeued = false;
	if (!counted)
		return false;
	if (tg->group_stop_left)
		tg->group_stop_left--;
	if (tg->group_stop_left || tg->group_stop)
		return false;
	tg->group_stop = true;
	tg->stop_waitable = true;
	tg->stop_continued = false;
	return true;
}

bool stop_join(struct task *t, int sig)
{
	struct thread_group *tg = t->tg;
	struct sighand *h = t->sighand;
	bool stopped = false, last = false;

	tasks_lock();
	if (sig && sig != SIGSTOP && pgrp_is_orphaned(tg->pgrp, NULL))
		goto out;
	spin_lock(&h->lock, &lc_sighand);
	if (t->group_stop_pending || (sig && stop_initiate(t, sig))) {
		last = stop_leave(t);
		stop_begin(t, STOP_GROUP);
		signal_recalc(t);
		stopped = true;
	}
	spin_unlock(&h->lock, &lc_sighand);
	if (last)
		stop_notify_parent(tg, CLD_STOPPED);
out:
	tasks_unlock();
	return stopped;
}

int stop_continue(struct thread_group *tg)
{
	int note = 0;
	struct task *t;

	list_for_each(t, &tg->tasks, tg_link) {
		t->group_stop_pending = t->group_stop_counted = t->stop_dequeued = false;
		stop_end(t, STOP_GROUP);
	}
	if (tg->group_stop)
		note = CLD_CONTINUED;
	else if (tg->group_stop_left)
		note = CLD_STOPPED;
	if (note) {
		tg->group_stop = tg->stop_waitable = false;
		tg->group_stop_left = 0;
		tg->stop_continued = true;
	}
	return note;
}

/* The first process's parent is outside: see kernel_wait. */
static void init_stopped(struct thread_group *tg, int code) REQUIRES(lc_tasks)
{
	struct kernel *k = kernel_get();

	if (tg != k->init || code != CLD_STOPPED)
		return;
	atomic_store(&k->init_stop_signal, (u32)tg->group_stop_signal);
	kernel_wake_waiter();
}

void stop_notify_parent(struct thread_group *tg, int code)
{
	struct task *parent = tg->parent;
	struct sighand *h;
	siginfo_t info;
	int note;

	if (!parent) {
		init_stopped(tg, code);
		return;
	}
	memset(&info, 0, sizeof(info));
	info.si_signo = SIGCHLD;
	info.si_code = code;
	info.si_status = code == CLD_CONTINUED ? SIGCONT : tg->group_stop_signal;
	lifecycle_fill_child_info(tg, &info);
	h = parent->sighand;
	spin_lock(&h->lock, &lc_sighand);
	if (h->action[SIGCHLD - 1].handler != SIG_IGN_K &&
	    !(h->action[SIGCHLD - 1].flags & SA_NOCLDSTOP))
		(void)signal_queue(parent, &info, true, NULL, &note);
	spin_unlock(&h->lock, &lc_sighand);
	waitq_wake_all(&parent->tg->child_waitq, ~0u);
}
