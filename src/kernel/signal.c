/*
 * Sending signals.
 *
 * A signal waits in a queue of the thread or of the process until a thread that does not block it
 * takes it on its way back to guest code (sigdeliver.c). All senders hold lc_tasks, so that the
 * threads of a group and the parent can be looked at, and then the lock of the receiver's sighand,
 * which protects masks, queues and stops of all tasks that share the handlers. Telling the parent
 * of a stop or continue needs the parent's lock, so it is done after the receiver's has been
 * dropped, still under lc_tasks.
 *
 * A task is made to look by TASK_WORK_SIGNAL in its work flags, by the interrupt flag of its fiber
 * (which ends interruptible sleeps) and by pf_interrupt of its platform thread (which ends guest
 * code). All three are set and cleared under the sighand's lock. A task that runs guest code may be
 * changing its mask unseen (mask_lent): then it is interrupted, and looks when the mask is known.
 * SIGKILL also sets the fiber's kill flag and ends internal stops.
 *
 * As Linux: signals below 32 do not queue; real-time ones do, within RLIMIT_SIGPENDING of the
 * receiver's user; an ignored signal is dropped when sent unless it is blocked; a signal that
 * kills, and dumps no core, starts the group's exit at once. Unlike Linux, the first process is not
 * immune to signals that it has no handler for: in a sandbox it is an ordinary program.
 */

#include "kernel/signal.h"

#include <linux/capability.h>
#include <string.h>

#include "arena/slab.h"
#include "cred/user.h"
#include "kernel/pid.h"
#include "kernel/signalfd.h"
#include "kernel/timers.h"

SLAB_CLASS(sighand, struct sighand);
SLAB_CLASS(sigqueue, struct sigqueue);

/* ---- handlers ---- */

struct sighand *sighand_create(sigset64 ignored)
{
	struct sighand *h = slab_alloc(&slab_sighand);

	if (!h)
		return NULL;
	refcount_init(&h->refs, 1);
	spin_init(&h->lock);
	for (int i = 0; i < GUEST_NSIG; i++)
		if (ignored & ~SIG_ONLY_KERNEL & SIGMASK(i + 1))
			h->action[i].handler = SIG_IGN_K;
	h->generation = 1;
	return h;
}

struct sighand *sighand_copy(struct sighand *from)
{
	struct sighand *h = sighand_create(0);

	if (!h)
		return NULL;
	spin_lock(&from->lock, &lc_sighand);
	memcpy(h->action, from->action, sizeof(h->action));
	spin_unlock(&from->lock, &lc_sighand);
	return h;
}

void sighand_get(struct sighand *h)
{
	refcount_get(&h->refs);
}

void sighand_put(struct sighand *h)
{
	if (h && refcount_put(&h->refs))
		slab_free(&slab_sighand, h);
}

void sighand_reset(struct sighand *h)
{
	h->generation++;
	for (int i = 0; i < GUEST_NSIG; i++) {
		u64 handler = h->action[i].handler;

		h->action[i] = (struct sigaction_k){};
		if (handler == SIG_IGN_K)
			h->action[i].handler = SIG_IGN_K;
	}
}

/* ---- queues ---- */

void sigpending_init(struct sigpending *p)
{
	p->set = 0;
	list_init(&p->queue);
}

static void sigqueue_free(struct sigqueue *q)
{
	atomic_fetch_sub(&q->user->sigpending, 1);
	user_usage_put(kernel_get()->users, q->user);
	slab_free(&slab_sigqueue, q);
}

void sigqueue_remove(struct sigqueue *q)
{
	list_del(&q->link);
	if (!q->timer)
		sigqueue_free(q);
}

void sigpending_flush(struct sigpending *p, sigset64 mask)
{
	struct sigqueue *q, *next;

	if (!(p->set & mask))
		return;
	p->set &= ~mask;
	list_for_each_safe(q, next, &p->queue, link) {
		if (mask & SIGMASK(q->info.si_signo))
			sigqueue_remove(q);
	}
}

/* An entry charged to t's user, or null when that has too many and the limit counts. */
static struct sigqueue *sigqueue_alloc(struct task *t, bool limited)
{
	struct user_usage *user;
	struct sigqueue *q = NULL;
	u64 count;

	spin_lock(&t->lock, &lc_task);
	user = user_usage_get(t->user);
	spin_unlock(&t->lock, &lc_task);
	count = atomic_fetch_add(&user->sigpending, 1) + 1;
	if (!limited || count <= rlimit_get(&t->tg->rlimits, RLIMIT_SIGPENDING))
		q = slab_alloc(&slab_sigqueue);
	if (!q) {
		atomic_fetch_sub(&user->sigpending, 1);
		user_usage_put(kernel_get()->users, user);
		return NULL;
	}
	list_init(&q->link);
	q->user = user;
	return q;
}

struct sigqueue *sigqueue_preallocate(struct task *t, struct posix_timer *timer)
{
	struct sigqueue *q = sigqueue_alloc(t, true);

	if (q)
		q->timer = timer;
	return q;
}

void sigqueue_abandon(struct sigqueue *q)
{
	q->timer = NULL;
	if (list_empty(&q->link))
		sigqueue_free(q);
}

/* ---- waking ---- */

bool signal_kill_pending(const struct task *t)
{
	return t->pending.set & SIGMASK(SIGKILL);
}

void signal_wake(struct task *t, bool kill)
{
	struct fiber *f;

	/* Nothing interrupts what is left to do. */
	if (t->exiting)
		return;
	atomic_fetch_or(&t->work, TASK_WORK_SIGNAL);
	if (kill)
		atomic_store(&t->stop, STOP_NONE);
	spin_lock(&t->lock, &lc_task);
	f = t->subject.fiber;
	if (f) {
		if (kill)
			fiber_kill(f);
		else
			fiber_interrupt(f);
		if (t->subject.thread && f != fiber_current())
			pf_interrupt(t->subject.thread);
	}
	spin_unlock(&t->lock, &lc_task);
}

void signal_zap_others(struct thread_group *tg, const struct task *except)
{
	struct task *t;

	tg->group_stop_left = 0;
	list_for_each(t, &tg->tasks, tg_link) {
		t->group_stop_pending = t->group_stop_counted = false;
		if (t->exit_notified || (except && t == except))
			continue;
		t->pending.set |= SIGMASK(SIGKILL);
		signal_wake(t, true);
	}
}

/* ---- sending ---- */

bool signal_is_ignored(const struct sighand *h, int sig)
{
	u64 handler = h->action[sig - 1].handler;

	return handler == SIG_IGN_K ||
	       (handler == SIG_DFL_K && (SIGMASK(sig) & SIG_IGNORED_BY_DEFAULT));
}

static bool is_fatal(const struct sighand *h, int sig)
{
	return h->action[sig - 1].handler == SIG_DFL_K &&
	       !(SIGMASK(sig) & (SIG_IGNORED_BY_DEFAULT | SIG_STOPS));
}

/* What a signal does by being sent at all: stops and continues cancel each other. False: drop it.
 */
static bool signal_prepare(struct task *t, int sig, int *ret_note) REQUIRES(lc_tasks, lc_sighand)
{
	struct thread_group *tg = t->tg;
	struct task *other;

	if (tg->exiting)
		return false;
	if (SIGMASK(sig) & SIG_STOPS) {
		sigpending_flush(&tg->pending, SIGMASK(SIGCONT));
		list_for_each(other, &tg->tasks, tg_link)
			sigpending_flush(&other->pending, SIGMASK(SIGCONT));
	} else if (sig == SIGCONT) {
		sigpending_flush(&tg->pending, SIG_STOPS);
		list_for_each(other, &tg->tasks, tg_link)
			sigpending_flush(&other->pending, SIG_STOPS);
		*ret_note = stop_continue(tg);
	}
	/* A signal that is, or may be, blocked is kept even if ignored: the handler may change
	 * before it is unblocked. */
	if ((t->blocked | t->real_blocked) & SIGMASK(sig))
		return true;
	return atomic_load(&t->mask_lent) || !signal_is_ignored(t->sighand, sig);
}

static bool wants(const struct task *t, int sig)
{
	if ((t->blocked & SIGMASK(sig)) || t->exiting)
		return false;
	if (sig == SIGKILL)
		return true;
	return atomic_load(&t->stop) != STOP_GROUP && !(atomic_load(&t->work) & TASK_WORK_SIGNAL);
}

/* The thread to wake for a signal that was queued for t, or its process: null if none need be. */
static struct task *signal_choose(struct task *t, int sig, bool group)
	REQUIRES(lc_tasks, lc_sighand)
{
	struct task *other;

	if (wants(t, sig))
		return t;
	if (!group)
		return NULL;
	list_for_each(other, &t->tg->tasks, tg_link) {
		if (wants(other, sig))
			return other;
	}
	return NULL;
}

/* Nobody is known to take the signal; but who runs guest code may have unblocked it. */
static void signal_ask(struct task *t, bool group) REQUIRES(lc_tasks, lc_sighand)
{
	struct task *other;

	if (atomic_load(&t->mask_lent))
		signal_wake(t, false);
	if (!group)
		return;
	list_for_each(other, &t->tg->tasks, tg_link) {
		if (other != t && atomic_load(&other->mask_lent))
			signal_wake(other, false);
	}
}

/* Wake who is to take the signal, or begin the group's exit if nothing can avert that. */
static void signal_complete(struct task *t, int sig, bool group) REQUIRES(lc_tasks, lc_sighand)
{
	struct task *taker = signal_choose(t, sig, group);
	struct thread_group *tg = t->tg;

	if (!taker) {
		signal_ask(t, group);
		return;
	}
	if (is_fatal(t->sighand, sig) && !tg->exiting && !(taker->real_blocked & SIGMASK(sig)) &&
	    !(SIGMASK(sig) & SIG_DUMPS_CORE) &&
	    (sig == SIGKILL || !atomic_load(&taker->mask_lent))) {
		tg->exiting = true;
		tg->exit_status = sig;
		signal_zap_others(tg, NULL);
		return;
	}
	signal_wake(taker, sig == SIGKILL);
}

/* Put an entry for info on the queue, if one can be had and is needed. -EAGAIN if it must be and
 * cannot. */
static int signal_enqueue(struct task *t, struct sigpending *pending, const siginfo_t *info,
			  struct sigqueue *pre) REQUIRES(lc_sighand)
{
	int sig = info->si_signo;
	bool limited = sig >= SIGRTMIN_K || info->si_code < 0;
	struct sigqueue *q = pre;

	if (sig == SIGKILL)
		return 0;
	if (!q)
		q = sigqueue_alloc(t, limited);
	if (!q)
		return sig >= SIGRTMIN_K && info->si_code != SI_USER ? -EAGAIN : 0;
	q->info = *info;
	list_add_tail(&pending->queue, &q->link);
	return 0;
}

int signal_queue(struct task *t, const siginfo_t *info, bool group, struct sigqueue *pre,
		 int *ret_note)
{
	struct sigpending *pending = group ? &t->tg->pending : &t->pending;
	int sig = info->si_signo;
	int err;

	*ret_note = 0;
	if (!signal_prepare(t, sig, ret_note))
		return 0;
	if (sig < SIGRTMIN_K && (pending->set & SIGMASK(sig)))
		return 0;
	err = signal_enqueue(t, pending, info, pre);
	if (err)
		return err;
	pending->set |= SIGMASK(sig);
	signalfd_notify(t->tg);
	signal_complete(t, sig, group);
	return 0;
}

int signal_post(struct task *t, const siginfo_t *info, bool group, struct sigqueue *pre)
{
	struct sighand *h = t->sighand;
	int note, err;

	if (t->released)
		return -ESRCH;
	if (info->si_signo == 0)
		return 0;
	spin_lock(&h->lock, &lc_sighand);
	err = signal_queue(t, info, group, pre, &note);
	spin_unlock(&h->lock, &lc_sighand);
	if (note)
		stop_notify_parent(t->tg, note);
	return err;
}

int signal_send_task(struct task *t, const siginfo_t *info)
{
	int err;

	tasks_lock();
	err = signal_post(t, info, false, NULL);
	tasks_unlock();
	return err;
}

int signal_send_group(struct thread_group *tg, const siginfo_t *info)
{
	int err = -ESRCH;

	tasks_lock();
	if (tg->leader)
		err = signal_post(tg->leader, info, true, NULL);
	tasks_unlock();
	return err;
}

int signal_send_pgrp(struct process_group *pg, const siginfo_t *info)
{
	struct thread_group *tg, *next;
	int ret = -ESRCH;

	list_for_each_safe(tg, next, &pg->members, pgrp_link) {
		int err = tg->leader ? signal_post(tg->leader, info, true, NULL) : -ESRCH;

		if (ret != 0)
			ret = err;
	}
	return ret;
}

void group_kill(struct thread_group *tg)
{
	siginfo_t info;

	siginfo_kernel(&info, SIGKILL);
	(void)signal_send_group(tg, &info);
}

void signal_retarget(struct task *t, sigset64 which)
{
	sigset64 left = t->tg->pending.set & which;
	struct task *other;

	list_for_each(other, &t->tg->tasks, tg_link) {
		if (!left)
			return;
		if (other == t || other->exiting)
			continue;
		if (!atomic_load(&other->mask_lent)) {
			if (!(left & ~other->blocked))
				continue;
			left &= other->blocked;
		}
		if (!(atomic_load(&other->work) & TASK_WORK_SIGNAL))
			signal_wake(other, false);
	}
}

/* ---- forced signals ---- */

static void signal_force_how(struct task *t, const siginfo_t *info, bool fatal)
{
	struct sighand *h = t->sighand;
	sigset64 bit = SIGMASK(info->si_signo);
	struct sigaction_k *action = &h->action[info->si_signo - 1];
	int note;

	/* What failed was not the guest's doing: its memory is gone. */
	if (t->subject.thread && pf_thread_is_dead(t->subject.thread)) {
		group_kill(t->tg);
		return;
	}
	tasks_lock();
	spin_lock(&h->lock, &lc_sighand);
	if (fatal || action->handler == SIG_IGN_K || (t->blocked & bit)) {
		action->handler = SIG_DFL_K;
		h->generation++;
		t->blocked &= ~bit;
	}
	(void)signal_queue(t, info, false, NULL, &note);
	signal_recalc(t);
	spin_unlock(&h->lock, &lc_sighand);
	tasks_unlock();
}

void signal_force(struct task *t, const siginfo_t *info)
{
	signal_force_how(t, info, false);
}

void signal_force_fatal(struct task *t, int sig)
{
	siginfo_t info;

	siginfo_kernel(&info, sig);
	signal_force_how(t, &info, true);
}

/* ---- senders ---- */

void siginfo_kernel(siginfo_t *info, int sig)
{
	memset(info, 0, sizeof(*info));
	info->si_signo = sig;
	info->si_code = SI_KERNEL;
}

void siginfo_user(siginfo_t *info, int sig, int code, struct task *sender, struct task *receiver)
{
	memset(info, 0, sizeof(*info));
	info->si_signo = sig;
	info->si_code = code;
	info->si_pid = (pid_t)pid_nr(sender->tg->pid, receiver->tg->pid->ns);
	info->si_uid = sender->subject.cred->uid;
}

static bool kill_allowed(const struct cred *from, const struct cred *to)
{
	return from->euid == to->suid || from->euid == to->uid || from->uid == to->suid ||
	       from->uid == to->uid || cred_has_cap(from, to->user_ns, CAP_KILL);
}

/* SIGCONT may be sent within a session whoever the sender is. */
static int permission_locked(struct task *sender, struct task *target, int sig) REQUIRES(lc_tasks)
{
	struct process_group *from = sender->tg->pgrp, *to = target->tg->pgrp;
	const struct cred *cred;
	bool ok;

	if (sender->tg == target->tg)
		return 0;
	if (sig == SIGCONT && from && to && from->session == to->session)
		return 0;
	cred = task_get_cred(target);
	ok = kill_allowed(sender->subject.cred, cred);
	cred_put(cred);
	return ok ? 0 : -EPERM;
}

int signal_permission(struct task *sender, struct task *target, int sig)
{
	int err;

	if (sender->tg == target->tg)
		return 0;
	tasks_lock();
	err = permission_locked(sender, target, sig);
	tasks_unlock();
	return err;
}

/* ---- many ---- */

static int kill_one(struct task *sender, struct thread_group *tg, const siginfo_t *info)
	REQUIRES(lc_tasks)
{
	int err = permission_locked(sender, tg->leader, info->si_signo);

	return err ? err : signal_post(tg->leader, info, true, NULL);
}

long signal_kill_pgrp(struct task *sender, u32 pgid, const siginfo_t *info)
{
	struct thread_group *tg, *next;
	struct process_group *g;
	bool done = false;
	int ret = -ESRCH;

	tasks_lock();
	g = pgid ? pgrp_find(task_pid_ns(sender), pgid) : sender->tg->pgrp;
	if (g) {
		list_for_each_safe(tg, next, &g->members, pgrp_link) {
			int err = kill_one(sender, tg, info);

			done = done || !err;
			ret = err;
		}
	}
	tasks_unlock();
	return done ? 0 : ret;
}

long signal_kill_all(struct task *sender, const siginfo_t *info)
{
	struct pid_ns *ns = task_pid_ns(sender);
	bool any = false;
	int ret = 0;

	tasks_lock();
	/* All but init and the sender itself. */
	for (u32 nr = 2; nr < PID_MAX; nr++) {
		struct thread_group *tg = group_find(ns, nr);
		int err;

		if (!tg || !tg->leader || tg == sender->tg)
			continue;
		any = true;
		err = kill_one(sender, tg, info);
		if (err != -EPERM)
			ret = err;
	}
	tasks_unlock();
	return any ? ret : -ESRCH;
}
