/*
 * Taking signals: masks, dequeuing, default actions, handlers, and the calls that look at all this.
 * Everything here but the queries runs on the task's own fiber.
 */

#include "kernel/signal.h"

#include <string.h>

#include "kernel/pid.h"
#include "kernel/timers.h"
#include "mm/mm.h"

#define SA_RESTORER_K 0x04000000UL
#define SA_KNOWN \
	(SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | \
	 SA_RESETHAND | 0x800UL | SA_RESTORER_K) /* 0x800: SA_EXPOSE_TAGBITS */

/* ---- masks ---- */

static bool something_waits(const struct task *t) REQUIRES(lc_sighand)
{
	return ((t->pending.set | t->tg->pending.set) & ~t->blocked) || signal_kill_pending(t) ||
	       t->group_stop_pending || t->tg->exiting || atomic_load(&t->external_stops);
}

void signal_recalc(struct task *t)
{
	if (something_waits(t)) {
		signal_wake(t, false);
	} else {
		atomic_fetch_and(&t->work, ~(u32)TASK_WORK_SIGNAL);
		fiber_clear_interrupt(t->subject.fiber);
	}
}

bool signal_pending(struct task *t)
{
	return atomic_load(&t->work) & TASK_WORK_SIGNAL;
}

sigset64 signal_pending_set(struct task *t)
{
	sigset64 set;

	spin_lock(&t->sighand->lock, &lc_sighand);
	set = t->pending.set | t->tg->pending.set;
	spin_unlock(&t->sighand->lock, &lc_sighand);
	return set;
}

static void set_blocked(struct task *t, sigset64 mask) REQUIRES(lc_sighand)
{
	t->blocked = mask & ~SIG_ONLY_KERNEL;
	signal_recalc(t);
}

/* The slow way, when t may be the one that was to take signals of the process which it now blocks.
 */
static void set_blocked_and_retarget(struct task *t, sigset64 mask)
{
	struct sighand *h = t->sighand;

	tasks_lock();
	spin_lock(&h->lock, &lc_sighand);
	signal_retarget(t, mask & ~t->blocked);
	set_blocked(t, mask);
	spin_unlock(&h->lock, &lc_sighand);
	tasks_unlock();
}

void signal_set_blocked(struct task *t, sigset64 mask)
{
	struct sighand *h = t->sighand;

	if (signal_pending(t) && __atomic_load_n(&t->tg->task_count, __ATOMIC_RELAXED) > 1) {
		set_blocked_and_retarget(t, mask);
		return;
	}
	spin_lock(&h->lock, &lc_sighand);
	set_blocked(t, mask);
	spin_unlock(&h->lock, &lc_sighand);
}

bool signal_mask_lend(struct task *t)
{
	struct sighand *h = t->sighand;
	bool lend;

	spin_lock(&h->lock, &lc_sighand);
	lend = !(t->pending.set | t->tg->pending.set);
	atomic_store_explicit(&t->mask_lent, lend, memory_order_relaxed);
	spin_unlock(&h->lock, &lc_sighand);
	return lend;
}

void signal_set_temporary_mask(struct task *t, sigset64 mask)
{
	t->saved_blocked = t->blocked;
	t->restore_blocked = true;
	atomic_fetch_or(&t->work, TASK_WORK_MASK_RESTORE);
	signal_set_blocked(t, mask);
}

/* ---- dequeuing ---- */

static int next_signal(const struct sigpending *p, sigset64 blocked)
{
	sigset64 ready = p->set & ~blocked;

	if (!ready)
		return 0;
	if (ready & SIG_SYNCHRONOUS)
		ready &= SIG_SYNCHRONOUS;
	return __builtin_ctzll(ready) + 1;
}

/* Take the first entry for sig out of p. */
static void take_signal(struct sigpending *p, int sig, siginfo_t *ret) REQUIRES(lc_sighand)
{
	struct sigqueue *q, *first = NULL;
	bool more = false;

	list_for_each(q, &p->queue, link) {
		if (q->info.si_signo != sig)
			continue;
		if (first) {
			more = true;
			break;
		}
		first = q;
	}
	if (!more)
		p->set &= ~SIGMASK(sig);
	if (!first) {
		/* No entry could be had when it was sent. */
		memset(ret, 0, sizeof(*ret));
		ret->si_signo = sig;
		ret->si_code = SI_USER;
		return;
	}
	*ret = first->info;
	if (first->timer)
		timer_signal_taken(first->timer, ret);
	sigqueue_remove(first);
}

static int dequeue_from(struct sigpending *p, sigset64 blocked, siginfo_t *ret) REQUIRES(lc_sighand)
{
	int sig = next_signal(p, blocked);

	if (sig)
		take_signal(p, sig, ret);
	return sig;
}

/* A fault of this thread comes before all else, so that its handler's frame holds the faulting
 * registers. */
static int dequeue_fault(struct task *t, siginfo_t *ret) REQUIRES(lc_sighand)
{
	struct sigqueue *q;

	if (!(t->pending.set & ~t->blocked & SIG_SYNCHRONOUS))
		return 0;
	list_for_each(q, &t->pending.queue, link) {
		int sig = q->info.si_signo;

		if (q->info.si_code > SI_USER && (SIGMASK(sig) & SIG_SYNCHRONOUS & ~t->blocked)) {
			take_signal(&t->pending, sig, ret);
			return sig;
		}
	}
	return 0;
}

static int dequeue(struct task *t, sigset64 blocked, siginfo_t *ret) REQUIRES(lc_sighand)
{
	int sig = dequeue_from(&t->pending, blocked, ret);

	if (!sig) {
		sig = dequeue_from(&t->tg->pending, blocked, ret);
		if (sig == SIGALRM)
			itimer_real_taken(t->tg);
	}
	if (sig && (SIGMASK(sig) & SIG_STOPS))
		t->stop_dequeued = true;
	return sig;
}

int signal_dequeue(struct task *t, sigset64 set, siginfo_t *ret_info)
{
	int sig;

	spin_lock(&t->sighand->lock, &lc_sighand);
	sig = dequeue(t, ~(set & ~SIG_ONLY_KERNEL), ret_info);
	if (sig)
		signal_recalc(t);
	spin_unlock(&t->sighand->lock, &lc_sighand);
	return sig;
}

int signal_timedwait(struct task *t, sigset64 set, s64 deadline, siginfo_t *ret_info)
{
	struct sighand *h = t->sighand;
	int sig, err = 0;

	set &= ~SIG_ONLY_KERNEL;
	spin_lock(&h->lock, &lc_sighand);
	sig = dequeue(t, ~set, ret_info);
	if (sig || deadline <= sched_now()) {
		signal_recalc(t);
		goto out;
	}
	/* While it waits the task is woken by those it awaits; if one is fatal it must not be so
	 * now. */
	t->real_blocked = t->blocked;
	set_blocked(t, t->blocked & ~set);
	spin_unlock(&h->lock, &lc_sighand);
	while (!err)
		err = fiber_park_interruptible(deadline);
	spin_lock(&h->lock, &lc_sighand);
	t->blocked = t->real_blocked;
	t->real_blocked = 0;
	sig = dequeue(t, ~set, ret_info);
	signal_recalc(t);
out:
	spin_unlock(&h->lock, &lc_sighand);
	if (sig)
		return sig;
	return err == -EINTR ? -EINTR : -EAGAIN;
}

/* Signals were sent while nobody knew t's mask: what it ignores would not have been queued, and
 * what it blocks would not have woken it. */
static void signal_review(struct task *t)
{
	struct sighand *h = t->sighand;
	sigset64 kept;
	siginfo_t info;

	spin_lock(&h->lock, &lc_sighand);
	kept = t->blocked;
	for (int sig = 1; sig <= GUEST_NSIG; sig++)
		if (!signal_is_ignored(h, sig))
			kept |= SIGMASK(sig);
	while (dequeue(t, kept, &info))
		;
	signal_recalc(t);
	spin_unlock(&h->lock, &lc_sighand);
}

void signal_mask_back(struct task *t, sigset64 mask)
{
	struct sighand *h = t->sighand;
	bool sent;

	spin_lock(&h->lock, &lc_sighand);
	atomic_store_explicit(&t->mask_lent, false, memory_order_relaxed);
	sent = signal_pending(t);
	spin_unlock(&h->lock, &lc_sighand);
	if (mask != t->blocked)
		signal_set_blocked(t, mask);
	if (unlikely(sent))
		signal_review(t);
}

/* ---- on the way back to guest code ---- */

/* One look under the lock. Returns a signal to act upon, 0 for none; *ret_stop: a stop is to be
 * joined (sig 0) or begun; *ret_exit: the group exits. */
static int signal_look(struct task *t, struct ksignal *k, bool *ret_stop, bool *ret_exit)
{
	struct sighand *h = t->sighand;
	struct sigaction_k *action;
	int sig;

	*ret_stop = *ret_exit = false;
	spin_lock(&h->lock, &lc_sighand);
	for (;;) {
		if (t->tg->exiting || signal_kill_pending(t)) {
			*ret_exit = true;
			sig = SIGKILL;
			break;
		}
		if (t->group_stop_pending) {
			*ret_stop = true;
			sig = 0;
			break;
		}
		sig = dequeue_fault(t, &k->info);
		if (!sig)
			sig = dequeue(t, t->blocked, &k->info);
		if (!sig)
			break;
		/* It was queued while it was, or might have been, blocked. */
		if (signal_is_ignored(h, sig))
			continue;
		t->signal_seen = true;
		action = &h->action[sig - 1];
		k->action = *action;
		if (action->handler != SIG_DFL_K && (action->flags & SA_RESETHAND)) {
			action->handler = SIG_DFL_K;
			h->generation++;
		}
		break;
	}
	signal_recalc(t);
	spin_unlock(&h->lock, &lc_sighand);
	return sig;
}

int signal_get(struct task *t, struct ksignal *k)
{
	bool stop, leave;
	int sig;

	for (;;) {
		sig = signal_look(t, k, &stop, &leave);
		if (leave) {
			task_group_exit(t, SIGKILL);
			return -1;
		}
		if (!sig && !stop)
			return 0;
		if (sig && OPS(syscall_layer_ops)->signalled)
			OPS(syscall_layer_ops)->signalled(t, &k->info);
		if (sig && k->action.handler != SIG_DFL_K) {
			k->sig = sig;
			return 1;
		}
		if (stop || (SIGMASK(sig) & SIG_STOPS)) {
			if (stop_join(t, sig)) {
				t->signal_seen = true;
				return -1;
			}
			continue;
		}
		task_group_exit(t, sig);
		return -1;
	}
}

/* The mask that the frame keeps: what was there before a call put a temporary one. */
static sigset64 mask_to_save(struct task *t)
{
	return t->restore_blocked ? t->saved_blocked : t->blocked;
}

void signal_deliver(struct task *t, struct ksignal *k)
{
	sigset64 blocked;

	if (sigframe_build(t, k, mask_to_save(t))) {
		if (k->sig == SIGSEGV) {
			signal_force_fatal(t, SIGSEGV);
		} else {
			siginfo_t info;

			siginfo_kernel(&info, SIGSEGV);
			signal_force(t, &info);
		}
		return;
	}
	t->restore_blocked = false;
	atomic_fetch_and(&t->work, ~(u32)TASK_WORK_MASK_RESTORE);
	blocked = t->blocked | k->action.mask;
	if (!(k->action.flags & SA_NODEFER))
		blocked |= SIGMASK(k->sig);
	signal_set_blocked(t, blocked);
}

/* ---- sigaction ---- */

int signal_action(struct task *t, int sig, const struct sigaction_k *new,
		  struct sigaction_k *ret_old)
{
	struct sighand *h = t->sighand;
	struct sigaction_k *action;
	struct task *other;

	if (sig < 1 || sig > GUEST_NSIG || (new && (SIGMASK(sig) & SIG_ONLY_KERNEL)))
		return -EINVAL;
	action = &h->action[sig - 1];
	tasks_lock();
	spin_lock(&h->lock, &lc_sighand);
	if (ret_old)
		*ret_old = *action;
	if (new) {
		*action = *new;
		h->generation++;
		action->flags &= SA_KNOWN;
		action->mask &= ~SIG_ONLY_KERNEL;
		if (new->handler == SIG_IGN_K ||
		    (new->handler == SIG_DFL_K && (SIGMASK(sig) & SIG_IGNORED_BY_DEFAULT))) {
			sigpending_flush(&t->tg->pending, SIGMASK(sig));
			list_for_each(other, &t->tg->tasks, tg_link)
				sigpending_flush(&other->pending, SIGMASK(sig));
		}
	}
	spin_unlock(&h->lock, &lc_sighand);
	tasks_unlock();
	return 0;
}

_Static_assert(sizeof(struct pf_action) == sizeof(struct sigaction_k), "as the guest has it");

bool signal_actions_lend(struct task *t)
{
	UNINIT struct pf_action lent[PF_ACTIONS];
	struct sighand *h = t->sighand;

	if (!t->actions_used || refcount_read(&h->refs) != 1)
		return false;
	if (t->actions_lent == h->generation)
		return true;
	memcpy(lent, h->action, sizeof(lent));
	t->actions_lent = pf_actions_lend(t->subject.thread, lent) ? 0 : h->generation;
	return t->actions_lent;
}

void signal_actions_take(struct task *t)
{
	UNINIT struct pf_action taken[PF_ACTIONS];
	u64 changed = pf_actions_take(t->subject.thread, taken);

	for (int sig = 1; changed; sig++, changed >>= 1) {
		struct sigaction_k new;

		memcpy(&new, &taken[sig - 1], sizeof(new));
		if (changed & 1)
			(void)!signal_action(t, sig, &new, NULL);
	}
	t->actions_lent = t->sighand->generation;
}
