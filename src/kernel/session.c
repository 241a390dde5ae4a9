/*
 * Process groups and sessions, setpgid(2) and setsid(2), and orphaned groups.
 *
 * A process holds its group, a group its session; the pid of each points back to it while it lives.
 * All of it is protected by lc_tasks.
 */

#include "kernel/pid.h"

#include "arena/slab.h"
#include "kernel/signal.h"

SLAB_CLASS(process_group, struct process_group);
SLAB_CLASS(session, struct session);

struct process_group *pgrp_alloc(void)
{
	struct process_group *g = slab_alloc(&slab_process_group);

	if (!g)
		return NULL;
	refcount_init(&g->refs, 1);
	list_init(&g->members);
	list_init(&g->session_link);
	return g;
}

struct session *session_alloc(void)
{
	struct session *s = slab_alloc(&slab_session);

	if (!s)
		return NULL;
	refcount_init(&s->refs, 1);
	list_init(&s->groups);
	return s;
}

void pgrp_found(struct process_group *g, struct pid *pid, struct session *session)
{
	pid_get(pid);
	g->pid = pid;
	pid->pgrp = g;
	refcount_get(&session->refs);
	g->session = session;
	list_add_tail(&session->groups, &g->session_link);
}

void session_found(struct session *s, struct pid *pid)
{
	pid_get(pid);
	s->pid = pid;
	pid->session = s;
}

void session_put(struct session *s)
{
	if (!s || !refcount_put(&s->refs))
		return;
	pid_put(s->pid);
	slab_free(&slab_session, s);
}

void pgrp_put(struct process_group *g)
{
	if (!g || !refcount_put(&g->refs))
		return;
	session_put(g->session);
	pid_put(g->pid);
	slab_free(&slab_process_group, g);
}

/* The last member has left g: its number is free, and its session's too if that has no other group.
 */
static void pgrp_end(struct process_group *g) REQUIRES(lc_tasks)
{
	struct session *s = g->session;

	list_del(&g->session_link);
	g->pid->pgrp = NULL;
	pid_release_unused(g->pid);
	if (list_empty(&s->groups)) {
		s->pid->session = NULL;
		pid_release_unused(s->pid);
	}
}

void pgrp_join(struct thread_group *tg, struct process_group *g)
{
	struct process_group *old = tg->pgrp;

	if (old == g)
		return;
	list_del(&tg->pgrp_link);
	if (g) {
		refcount_get(&g->refs);
		list_add_tail(&g->members, &tg->pgrp_link);
	}
	tg->pgrp = g;
	if (old && list_empty(&old->members))
		pgrp_end(old);
	pgrp_put(old);
}

/*
 * A process that keeps its group from being orphaned: its parent is in another group of the same
 * session. The first process counts as one that a shell has started: whoever runs the sandbox is
 * its parent and can continue it.
 */
static bool is_anchor(const struct thread_group *tg, const struct task *parent)
{
	const struct process_group *above = parent ? parent->tg->pgrp : NULL;

	if (tg == kernel_get()->init)
		return true;
	return above && above != tg->pgrp && above->session == tg->pgrp->session;
}

bool pgrp_is_orphaned(struct process_group *g, const struct thread_group *ignored)
{
	struct thread_group *tg;

	list_for_each(tg, &g->members, pgrp_link) {
		if (tg->live_count == 0 || tg == ignored)
			continue;
		if (is_anchor(tg, tg->parent))
			return false;
	}
	return true;
}

static bool pgrp_has_stopped(struct process_group *g) REQUIRES(lc_tasks)
{
	struct thread_group *tg;

	list_for_each(tg, &g->members, pgrp_link) {
		if (__atomic_load_n(&tg->group_stop, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

void pgrp_check_orphaned(struct thread_group *tg, struct task *parent)
{
	struct process_group *g = tg->pgrp;
	const struct thread_group *ignored = parent ? NULL : tg;
	siginfo_t info;

	if (!g || !is_anchor(tg, parent ? parent : tg->parent))
		return;
	if (!pgrp_is_orphaned(g, ignored) || !pgrp_has_stopped(g))
		return;
	siginfo_kernel(&info, SIGHUP);
	signal_send_pgrp(g, &info);
	siginfo_kernel(&info, SIGCONT);
	signal_send_pgrp(g, &info);
}

/* Which process setpgid means, and whether t may move it. */
static int setpgid_decode(struct task *t, u32 pid, struct thread_group **ret) REQUIRES(lc_tasks)
{
	struct thread_group *self = t->tg, *tg;
	struct task *found = pid ? task_find(task_pid_ns(t), pid) : self->leader;

	if (!found)
		return -ESRCH;
	tg = found->tg;
	if (found != tg->leader)
		return -EINVAL;
	if (tg->parent && tg->parent->tg == self) {
		if (tg->pgrp->session != self->pgrp->session)
			return -EPERM;
		if (tg->execed)
			return -EACCES;
	} else if (tg != self) {
		return -ESRCH;
	}
	if (tg->pgrp->session->leader == tg)
		return -EPERM;
	*ret = tg;
	return 0;
}

long task_setpgid(struct task *t, u32 pid, u32 pgid)
{
	struct process_group *fresh, *g;
	struct thread_group *tg;
	int err;

	if ((s32)pgid < 0 || (!pgid && (s32)pid < 0))
		return -EINVAL;
	fresh = pgrp_alloc();
	if (!fresh)
		return -ENOMEM;
	tasks_lock();
	err = setpgid_decode(t, pid, &tg);
	if (err)
		goto out;
	if (pgid == 0 || pgid == pid_nr(tg->pid, task_pid_ns(t))) {
		g = tg->pid->pgrp;
		if (!g) {
			g = fresh;
			pgrp_found(g, tg->pid, tg->pgrp->session);
		}
	} else {
		g = pgrp_find(task_pid_ns(t), pgid);
		if (!g || g->session != t->tg->pgrp->session) {
			err = -EPERM;
			goto out;
		}
	}
	pgrp_join(tg, g);
out:
	tasks_unlock();
	pgrp_put(fresh);
	return err;
}

long task_setsid(struct task *t)
{
	struct process_group *g = pgrp_alloc();
	struct session *s = session_alloc();
	struct thread_group *tg = t->tg;
	long ret = -ENOMEM;

	if (!g || !s)
		goto out;
	tasks_lock();
	if (tg->pid->pgrp || tg->pgrp->session->leader == tg) {
		ret = -EPERM;
	} else {
		session_found(s, tg->pid);
		s->leader = tg;
		pgrp_found(g, tg->pid, s);
		pgrp_join(tg, g);
		tg->tty = NULL;
		ret = pid_nr(tg->pid, task_pid_ns(t));
	}
	tasks_unlock();
out:
	pgrp_put(g);
	session_put(s);
	return ret;
}
