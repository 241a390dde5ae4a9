/*
 * Controlling terminals and the foreground group. What Linux does in tty_jobctrl.c: see ctty.h for
 * the model.
 */

#include "kernel/ctty.h"

#include <linux/capability.h>

#include "kernel/pid.h"
#include "kernel/signal.h"

void ctty_init(struct ctty *c, u64 dev)
{
	*c = (struct ctty){ .dev = dev };
}

static bool leads_session(const struct thread_group *tg) REQUIRES(lc_tasks)
{
	return tg->pgrp && tg->pgrp->session->leader == tg;
}

static void send_pgrp(struct pid *pgrp, int sig) REQUIRES(lc_tasks)
{
	siginfo_t info;

	if (!pgrp || !pgrp->pgrp)
		return;
	siginfo_kernel(&info, sig);
	signal_send_pgrp(pgrp->pgrp, &info);
}

static void send_group(struct thread_group *tg, int sig) REQUIRES(lc_tasks)
{
	siginfo_t info;

	siginfo_kernel(&info, sig);
	if (tg->leader)
		(void)signal_post(tg->leader, &info, true, NULL);
}

/* No process of s is controlled by c any more. */
static void session_clear(struct session *s, const struct ctty *c) REQUIRES(lc_tasks)
{
	struct process_group *g;
	struct thread_group *tg;

	list_for_each(g, &s->groups, session_link) {
		list_for_each(tg, &g->members, pgrp_link) {
			if (tg->tty == c)
				tg->tty = NULL;
		}
	}
}

static void ctty_clear(struct ctty *c) REQUIRES(lc_tasks)
{
	session_put(c->session);
	pid_put(c->pgrp);
	c->session = NULL;
	c->pgrp = NULL;
}

static void old_pgrp_set(struct thread_group *tg, struct pid *pgrp) REQUIRES(lc_tasks)
{
	struct pid *old = tg->tty_old_pgrp;

	if (pgrp)
		pid_get(pgrp);
	tg->tty_old_pgrp = pgrp;
	pid_put(old);
}

struct ctty *ctty_current(struct task *t, void (*get)(struct ctty *c))
{
	struct ctty *c;

	tasks_lock();
	c = t->tg->tty;
	if (c)
		get(c);
	tasks_unlock();
	return c;
}

/* ---- foreground and background ---- */

static bool is_ignored(struct task *t, int sig) REQUIRES(lc_tasks)
{
	struct sighand *h = t->sighand;
	bool ignored;

	spin_lock(&h->lock, &lc_sighand);
	ignored = (t->blocked & SIGMASK(sig)) || h->action[sig - 1].handler == SIG_IGN_K;
	spin_unlock(&h->lock, &lc_sighand);
	return ignored;
}

static int check_background(struct task *t, int sig) REQUIRES(lc_tasks)
{
	struct process_group *g = t->tg->pgrp;

	if (is_ignored(t, sig))
		return sig == SIGTTIN ? -EIO : 0;
	if (pgrp_is_orphaned(g, NULL))
		return -EIO;
	send_pgrp(g->pid, sig);
	return -ERESTARTSYS;
}

int ctty_check(struct task *t, struct ctty *c, int sig)
{
	int ret = 0;

	tasks_lock();
	if (t->tg->tty == c && c->pgrp && t->tg->pgrp->pid != c->pgrp)
		ret = check_background(t, sig);
	tasks_unlock();
	return ret;
}

int ctty_get_pgrp(struct task *t, struct ctty *c, bool any, u32 *ret)
{
	int err = -ENOTTY;

	tasks_lock();
	if (any || t->tg->tty == c) {
		*ret = c->pgrp ? pid_nr(c->pgrp, task_pid_ns(t)) : 0;
		err = 0;
	}
	tasks_unlock();
	return err;
}

int ctty_get_session(struct task *t, struct ctty *c, bool any, u32 *ret)
{
	int err = -ENOTTY;

	tasks_lock();
	if ((any || t->tg->tty == c) && c->session) {
		*ret = pid_nr(c->session->pid, task_pid_ns(t));
		err = 0;
	}
	tasks_unlock();
	return err;
}

/* The session of the group, or of the process, that p names. */
static struct session *session_of_pid(const struct pid *p) REQUIRES(lc_tasks)
{
	if (p->pgrp)
		return p->pgrp->session;
	return p->tg && p->tg->pgrp ? p->tg->pgrp->session : NULL;
}

int ctty_set_pgrp(struct task *t, struct ctty *c, u32 pgid)
{
	struct session *own;
	struct pid *p;
	int err = 0;

	tasks_lock();
	own = t->tg->pgrp->session;
	p = pid_find(task_pid_ns(t), pgid);
	if (t->tg->tty != c || c->session != own)
		err = -ENOTTY;
	else if (!p)
		err = -ESRCH;
	else if (session_of_pid(p) != own)
		err = -EPERM;
	if (!err) {
		pid_get(p);
		pid_put(c->pgrp);
		c->pgrp = p;
	}
	tasks_unlock();
	return err;
}

void ctty_signal(struct ctty *c, int sig)
{
	tasks_lock();
	send_pgrp(c->pgrp, sig);
	tasks_unlock();
}

/* ---- taking and giving up ---- */

void ctty_adopt(struct thread_group *tg, struct ctty *c)
{
	struct session *s = tg->pgrp->session;
	struct pid *pgrp = tg->pgrp->pid;

	refcount_get(&s->refs);
	pid_get(pgrp);
	ctty_clear(c);
	c->session = s;
	c->pgrp = pgrp;
	tg->tty = c;
	old_pgrp_set(tg, NULL);
}

void ctty_open(struct task *t, struct ctty *c)
{
	tasks_lock();
	if (leads_session(t->tg) && !t->tg->tty && !c->session && !c->dead)
		ctty_adopt(t->tg, c);
	tasks_unlock();
}

int ctty_acquire(struct task *t, struct ctty *c, bool steal, bool readable)
{
	bool capable = cred_has_cap(t->subject.cred, kernel_get()->user_ns, CAP_SYS_ADMIN);
	int err = 0;

	tasks_lock();
	if (leads_session(t->tg) && t->tg->pgrp->session == c->session)
		goto out;
	if (c->dead)
		err = -EIO;
	else if (!leads_session(t->tg) || t->tg->tty || (c->session && !(steal && capable)) ||
		 (!readable && !capable))
		err = -EPERM;
	if (!err) {
		if (c->session)
			session_clear(c->session, c);
		ctty_adopt(t->tg, c);
	}
out:
	tasks_unlock();
	return err;
}

/* The leader tg gives up its session's terminal, or exits. */
static void disassociate(struct thread_group *tg, bool exits) REQUIRES(lc_tasks)
{
	struct ctty *c = tg->tty;

	if (c) {
		send_pgrp(c->pgrp, SIGHUP);
		if (!exits)
			send_pgrp(c->pgrp, SIGCONT);
		session_clear(tg->pgrp->session, c);
		ctty_clear(c);
	} else if (exits && tg->tty_old_pgrp) {
		/* The terminal was hung up while the leader lived on. */
		send_pgrp(tg->tty_old_pgrp, SIGHUP);
		send_pgrp(tg->tty_old_pgrp, SIGCONT);
	}
	old_pgrp_set(tg, NULL);
}

int ctty_release(struct task *t, struct ctty *c)
{
	int err = 0;

	tasks_lock();
	if (t->tg->tty != c)
		err = -ENOTTY;
	else if (leads_session(t->tg))
		disassociate(t->tg, false);
	else
		t->tg->tty = NULL;
	tasks_unlock();
	return err;
}

void ctty_hangup(struct ctty *c, bool dead)
{
	struct thread_group *leader;

	tasks_lock();
	if (c->session) {
		leader = c->session->leader;
		session_clear(c->session, c);
		if (leader) {
			send_group(leader, SIGHUP);
			send_group(leader, SIGCONT);
			old_pgrp_set(leader, c->pgrp);
		}
		ctty_clear(c);
	}
	c->dead = c->dead || dead;
	tasks_unlock();
}

void ctty_session_exit(struct thread_group *tg)
{
	if (leads_session(tg))
		disassociate(tg, true);
}

void ctty_forget(struct thread_group *tg)
{
	tg->tty = NULL;
	old_pgrp_set(tg, NULL);
}

void ctty_show(const struct thread_group *tg, const struct pid_ns *ns, u64 *ret_dev, s32 *ret_pgrp)
{
	const struct ctty *c = tg->tty;

	*ret_dev = c ? c->dev : 0;
	*ret_pgrp = c ? (s32)(c->pgrp ? pid_nr(c->pgrp, ns) : 0) : -1;
}
