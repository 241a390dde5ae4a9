/*
 * wait4(2) and waitid(2).
 *
 * Children belong to the thread that forked them, but unless __WNOTHREAD is given a thread waits
 * for those of its whole group. One pass under lc_tasks finds a child with something to tell, notes
 * what, and reaps it; else the caller sleeps on its group's queue and looks again.
 */

#include "kernel/task.h"

#include <string.h>
#include <sys/wait.h>

#include "kernel/lifecycle.h"
#include "kernel/pid.h"
#include "kernel/signal.h"

/* A pass: what it looks for, and what it has found so far. */
struct wait_pass {
	struct task *self;
	const struct wait_args *args;
	struct wait_result *ret;
	bool any; /* a child that may have something to tell later */
};

static bool matches(const struct wait_pass *w, const struct thread_group *tg) REQUIRES(lc_tasks)
{
	const struct wait_args *a = w->args;
	struct pid_ns *ns = task_pid_ns(w->self);

	if (a->type == P_PID && pid_nr(tg->pid, ns) != a->id)
		return false;
	if (a->type == P_PIDFD && tg->pid != a->pid)
		return false;
	if (a->type == P_PGID) {
		if (a->id == 0 ? tg->pgrp != w->self->tg->pgrp : pid_nr(tg->pgrp->pid, ns) != a->id)
			return false;
	}
	if (a->options & __WALL)
		return true;
	return (tg->leader->exit_signal != SIGCHLD) == !!(a->options & (int)__WCLONE);
}

static void fill_result(struct wait_pass *w, struct thread_group *tg, int code, int status)
	REQUIRES(lc_tasks)
{
	struct wait_result *r = w->ret;

	memset(r, 0, sizeof(*r));
	r->pid = pid_nr(tg->pid, task_pid_ns(w->self));
	spin_lock(&tg->leader->lock, &lc_task);
	r->uid = tg->leader->subject.cred->uid;
	spin_unlock(&tg->leader->lock, &lc_task);
	r->code = code;
	r->status = status;
	r->usage = tg->dead_usage;
	rusage_add(&r->usage, &tg->child_usage);
}

static bool wait_exited(struct wait_pass *w, struct thread_group *tg) REQUIRES(lc_tasks)
{
	struct task *leader = tg->leader;
	int status;

	if (!(w->args->options & WEXITED) || tg->task_count > 1 || !leader->exit_notified)
		return false;
	status = tg->exiting ? tg->exit_status : leader->exit_status;
	if (!(status & 0x7f))
		fill_result(w, tg, CLD_EXITED, status);
	else
		fill_result(w, tg, status & 0x80 ? CLD_DUMPED : CLD_KILLED, status);
	if (!(w->args->options & WNOWAIT)) {
		rusage_add(&w->self->tg->child_usage, &w->ret->usage);
		task_release(leader);
	}
	return true;
}

static bool wait_stopped(struct wait_pass *w, struct thread_group *tg) REQUIRES(lc_tasks)
{
	struct sighand *h = tg->leader->sighand;
	bool found;
	int sig;

	if (!(w->args->options & WUNTRACED))
		return false;
	spin_lock(&h->lock, &lc_sighand);
	found = tg->stop_waitable;
	sig = tg->group_stop_signal;
	if (found && !(w->args->options & WNOWAIT))
		tg->stop_waitable = false;
	spin_unlock(&h->lock, &lc_sighand);
	if (found)
		fill_result(w, tg, CLD_STOPPED, sig << 8 | 0x7f);
	return found;
}

static bool wait_continued(struct wait_pass *w, struct thread_group *tg) REQUIRES(lc_tasks)
{
	struct sighand *h = tg->leader->sighand;
	bool found;

	if (!(w->args->options & WCONTINUED))
		return false;
	spin_lock(&h->lock, &lc_sighand);
	found = tg->stop_continued;
	if (found && !(w->args->options & WNOWAIT))
		tg->stop_continued = false;
	spin_unlock(&h->lock, &lc_sighand);
	if (found)
		fill_result(w, tg, CLD_CONTINUED, 0xffff);
	return found;
}

static bool wait_one(struct wait_pass *w, struct thread_group *tg) REQUIRES(lc_tasks)
{
	if (!matches(w, tg))
		return false;
	w->any = true;
	return wait_exited(w, tg) || wait_stopped(w, tg) || wait_continued(w, tg);
}

static bool wait_task_children(struct wait_pass *w, struct task *t) REQUIRES(lc_tasks)
{
	struct thread_group *tg;

	list_for_each(tg, &t->children, sibling) {
		if (wait_one(w, tg))
			return true;
	}
	return false;
}

/* A child named by its number need not be searched for. */
static bool wait_by_pid(struct wait_pass *w) REQUIRES(lc_tasks)
{
	struct thread_group *tg = w->args->type == P_PIDFD ?
					  w->args->pid->tg :
					  group_find(task_pid_ns(w->self), w->args->id);

	if (!tg || !tg->parent || tg->parent->tg != w->self->tg)
		return false;
	if ((w->args->options & __WNOTHREAD) && tg->parent != w->self)
		return false;
	return wait_one(w, tg);
}

/* 1: found; 0: nothing yet; -ECHILD. */
static int wait_look(struct wait_pass *w)
{
	struct task *t;
	bool found = false;

	w->any = false;
	tasks_lock();
	if (w->args->type == P_PID || w->args->type == P_PIDFD) {
		found = wait_by_pid(w);
	} else if (w->args->options & __WNOTHREAD) {
		found = wait_task_children(w, w->self);
	} else {
		list_for_each(t, &w->self->tg->tasks, tg_link) {
			found = wait_task_children(w, t);
			if (found)
				break;
		}
	}
	tasks_unlock();
	if (found)
		return 1;
	return w->any ? 0 : -ECHILD;
}

int task_wait(struct task *t, const struct wait_args *args, struct wait_result *ret)
{
	struct wait_pass w = { .self = t, .args = args, .ret = ret };
	int found = wait_look(&w), err = 0;
	struct waiter waiter;

	if (found || (args->options & WNOHANG))
		return found;
	waiter_init_fiber(&waiter, t->subject.fiber);
	waitq_add(&t->tg->child_waitq, &waiter, ~0u);
	for (;;) {
		found = wait_look(&w);
		if (found || err)
			break;
		err = fiber_park_interruptible(NO_DEADLINE);
	}
	waitq_remove(&waiter);
	return found ? found : (int)task_restart(err, ERESTARTSYS);
}
