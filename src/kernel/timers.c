/*
 * Interval timers and POSIX timers, setitimer(2) and timer_create(2).
 *
 * All timers of a process are protected by its sighand's lock. Timers of a clock are timers of
 * sched, whose callbacks run on a worker outside any fiber: they send the signal and stop. A
 * periodic one goes on only when its signal is taken, as in Linux, so that a short period floods
 * nobody; what was missed meanwhile is the overrun. Its expires is then still the instant of the
 * expiry that was signalled.
 *
 * POSIX timers of a CPU clock, and ITIMER_VIRTUAL and ITIMER_PROF, are in cputimers.c.
 *
 * An absolute timer of a clock that can be set also remembers its instant as that clock shows it,
 * and is armed anew when the clock is set.
 */

#include "kernel/timers.h"

#include <limits.h>
#include <string.h>
#include <sys/time.h>

#include "arena/slab.h"
#include "kernel/lifecycle.h"
#include "kernel/pid.h"
#include "kernel/posix_timer.h"
#include "kernel/signal.h"
#include "time/clock.h"

SLAB_CLASS(posix_timer, struct posix_timer, TRANSIENT(struct posix_timer, timer.slot));

/* ---- ITIMER_REAL ---- */

/* now + ns, at most the farthest instant that means anything. */
static s64 instant_after(s64 ns)
{
	s64 now = sched_now();

	return ns >= NO_DEADLINE - 1 - now ? NO_DEADLINE - 1 : now + ns;
}

/* The first instant of the series expires + n * interval, n > 0, after now; *ret_n gets n. */
static s64 forward(s64 expires, s64 interval, s64 *ret_n)
{
	s64 now = sched_now(), n = 1;

	if (now > expires)
		n = (now - expires) / interval + 1;
	*ret_n = n;
	return expires + n * interval;
}

static void itimer_real_expire(struct timer *timer)
{
	struct itimer *it = container_of(timer, struct itimer, timer);
	struct thread_group *tg = container_of(it, struct thread_group, itimer_real);
	struct sighand *h;
	siginfo_t info;
	int note;

	tasks_lock();
	if (!tg->leader)
		goto out;
	h = tg->leader->sighand;
	spin_lock(&h->lock, &lc_sighand);
	if (it->value && it->value <= sched_now()) {
		siginfo_kernel(&info, SIGALRM);
		(void)signal_queue(tg->leader, &info, true, NULL, &note);
		if (!it->interval)
			it->value = 0;
	}
	spin_unlock(&h->lock, &lc_sighand);
out:
	tasks_unlock();
}

DEFINE_OPS(struct timer_ops, itimer_real_ops) = { .expire = itimer_real_expire };

void itimer_real_taken(struct thread_group *tg)
{
	struct itimer *it = &tg->itimer_real;
	s64 n;

	if (!it->value || !it->interval || it->value > sched_now())
		return;
	it->value = forward(it->value, it->interval, &n);
	(void)!timer_arm(&it->timer, it->value);
}

static struct itimer_ns itimer_real_read(const struct itimer *it)
{
	struct itimer_ns ns = { .interval = it->interval };

	if (it->value)
		ns.value = max(it->value - sched_now(), (s64)0);
	return ns;
}

int task_getitimer(struct task *t, int which, struct itimer_ns *ret)
{
	struct sighand *h = t->sighand;

	if (which == ITIMER_VIRTUAL || which == ITIMER_PROF)
		return cpu_itimer_set(t, which, NULL, ret);
	if (which != ITIMER_REAL)
		return -EINVAL;
	spin_lock(&h->lock, &lc_sighand);
	*ret = itimer_real_read(&t->tg->itimer_real);
	spin_unlock(&h->lock, &lc_sighand);
	return 0;
}

int task_setitimer(struct task *t, int which, const struct itimer_ns *new,
		   struct itimer_ns *ret_old)
{
	struct itimer *it = &t->tg->itimer_real;
	struct sighand *h = t->sighand;
	struct itimer_ns old;
	int err = 0;

	if (which == ITIMER_VIRTUAL || which == ITIMER_PROF)
		return cpu_itimer_set(t, which, new, ret_old);
	if (which != ITIMER_REAL)
		return -EINVAL;
	spin_lock(&h->lock, &lc_sighand);
	old = itimer_real_read(it);
	it->interval = new->value ? new->interval : 0;
	it->value = new->value ? instant_after(new->value) : 0;
	if (it->value)
		err = timer_arm(&it->timer, it->value);
	else
		timer_cancel(&it->timer);
	spin_unlock(&h->lock, &lc_sighand);
	if (ret_old)
		*ret_old = old;
	return err;
}

/* ---- POSIX timers: expiry ---- */

/* The task that takes the signal; null if it was one thread and that is gone. */
static struct task *timer_target(struct posix_timer *pt) REQUIRES(lc_tasks)
{
	struct task *target = pt->thread ? pt->thread->task : pt->tg->leader;

	return target && target->tg == pt->tg ? target : NULL;
}

void posix_timer_fire(struct posix_timer *pt, int *ret_note)
{
	struct task *target = timer_target(pt);
	siginfo_t info;

	*ret_note = 0;
	if (pt->notify == SIGEV_NONE || !target)
		return;
	if (!list_empty(&pt->queued->link)) {
		pt->overrun++;
		return;
	}
	memset(&info, 0, sizeof(info));
	info.si_signo = pt->signo;
	info.si_code = SI_TIMER;
	info.si_timerid = pt->id;
	info.si_value = pt->value;
	(void)signal_queue(target, &info, !pt->thread, pt->queued, ret_note);
}

/* Go on to the next instant of the period; returns how many have passed. */
static s64 timer_forward(struct posix_timer *pt) REQUIRES(lc_sighand)
{
	s64 n, next = forward(pt->expires, pt->interval, &n);

	if (pt->at)
		pt->at += next - pt->expires;
	pt->expires = next;
	return n;
}

static void posix_timer_expire(struct timer *timer)
{
	struct posix_timer *pt = container_of(timer, struct posix_timer, timer);
	struct thread_group *tg = pt->tg;
	struct sighand *h;
	int note = 0;

	tasks_lock();
	if (!tg->leader)
		goto out;
	h = tg->leader->sighand;
	spin_lock(&h->lock, &lc_sighand);
	if (pt->expires && pt->expires <= sched_now()) {
		posix_timer_fire(pt, &note);
		if (!pt->interval) {
			pt->expires = 0;
		} else if (list_empty(&pt->queued->link)) {
			/* Ignored: nobody will take it, so it goes on by itself, but not too often.
			 */
			timer_forward(pt);
			(void)!timer_arm(timer, max(pt->expires, instant_after(IGNORED_PERIOD_NS)));
		}
	}
	spin_unlock(&h->lock, &lc_sighand);
	if (note)
		stop_notify_parent(tg, note);
out:
	tasks_unlock();
}

DEFINE_OPS(struct timer_ops, posix_timer_ops) = { .expire = posix_timer_expire };

/* The clock has been set. An expiry that is signalled already stays where it was. */
static void posix_timer_stepped(struct clock_watch *w)
{
	struct posix_timer *pt = container_of(w, struct posix_timer, watch);
	struct thread_group *tg = pt->tg;
	struct sighand *h;

	tasks_lock();
	if (tg->leader) {
		h = tg->leader->sighand;
		spin_lock(&h->lock, &lc_sighand);
		if (pt->at && pt->expires && list_empty(&pt->queued->link)) {
			pt->expires = max(guest_clock_to_host(pt->clock, pt->at), (s64)1);
			if (pt->notify != SIGEV_NONE)
				(void)!timer_arm(&pt->timer, pt->expires);
		}
		spin_unlock(&h->lock, &lc_sighand);
	}
	tasks_unlock();
}

DEFINE_OPS(struct clock_watch_ops, posix_timer_watch_ops) = { .stepped = posix_timer_stepped };

void timer_signal_taken(struct posix_timer *pt, siginfo_t *info)
{
	if (pt->interval && pt->expires && !pt->cpu_clock) {
		pt->overrun += timer_forward(pt) - 1;
		(void)!timer_arm(&pt->timer, pt->expires);
	}
	pt->last_overrun = (int)min(pt->overrun, (s64)INT_MAX);
	pt->overrun = 0;
	info->si_overrun = pt->last_overrun;
}

/* ---- POSIX timers: for /proc ---- */

bool task_timer_view(struct task *t, s32 from, const struct pid_ns *ns, struct timer_view *ret)
{
	struct thread_group *tg = t->tg;
	struct posix_timer *pt = NULL;
	struct sighand *h;
	struct rb_node *n;

	tasks_lock();
	h = t->sighand;
	if (!h) {
		tasks_unlock();
		return false;
	}
	spin_lock(&h->lock, &lc_sighand);
	for (n = tg->posix_timers.node; n;) {
		struct posix_timer *at = rb_entry(n, struct posix_timer, node);

		if (at->id >= from)
			pt = at;
		n = at->id >= from ? n->left : n->right;
	}
	if (pt)
		*ret = (struct timer_view){
			.id = pt->id,
			.signo = pt->signo,
			.notify = pt->notify,
			.clock = pt->clock,
			.pid = pid_nr(pt->thread ? pt->thread : tg->pid, ns),
			.value = (u64)(uintptr_t)pt->value.sival_ptr,
		};
	spin_unlock(&h->lock, &lc_sighand);
	tasks_unlock();
	return pt;
}

/* ---- POSIX timers: the calls ---- */

static struct posix_timer *timer_find(struct thread_group *tg, s32 id) REQUIRES(lc_sighand)
{
	struct rb_node *n = tg->posix_timers.node;

	while (n) {
		struct posix_timer *pt = rb_entry(n, struct posix_timer, node);

		if (id == pt->id)
			return pt;
		n = id < pt->id ? n->left : n->right;
	}
	return NULL;
}

static void timer_insert(struct thread_group *tg, struct posix_timer *pt) REQUIRES(lc_sighand)
{
	struct rb_node **link = &tg->posix_timers.node, *parent = NULL;

	while (timer_find(tg, tg->next_timer_id))
		tg->next_timer_id = tg->next_timer_id == INT_MAX ? 0 : tg->next_timer_id + 1;
	pt->id = tg->next_timer_id;
	tg->next_timer_id = pt->id == INT_MAX ? 0 : pt->id + 1;
	while (*link) {
		parent = *link;
		link = pt->id < rb_entry(parent, struct posix_timer, node)->id ? &parent->left :
										 &parent->right;
	}
	rb_link(&pt->node, parent, link);
	rb_insert(&tg->posix_timers, &pt->node, NULL);
}

/* pt is out of the tree: end it. No lock. */
static void timer_destroy(struct task *t, struct posix_timer *pt)
{
	struct sighand *h = t->sighand;

	clock_watch_remove(&pt->watch);
	timer_cancel_sync(&pt->timer);
	spin_lock(&h->lock, &lc_sighand);
	sigqueue_abandon(pt->queued);
	spin_unlock(&h->lock, &lc_sighand);
	pid_put(pt->thread);
	task_put(pt->cpu_task);
	slab_free(&slab_posix_timer, pt);
}

/* How to tell of an expiry; ev null: the default, SIGALRM. */
static int decode_event(struct task *t, const struct sigevent *ev, struct posix_timer *pt)
{
	struct task *thread;

	if (!ev) {
		pt->notify = SIGEV_SIGNAL;
		pt->signo = SIGALRM;
		return 0;
	}
	pt->notify = ev->sigev_notify;
	pt->signo = ev->sigev_signo;
	pt->value = ev->sigev_value;
	if (pt->notify == SIGEV_NONE)
		return 0;
	if (pt->signo < 1 || pt->signo > GUEST_NSIG)
		return -EINVAL;
	if (pt->notify == SIGEV_SIGNAL || pt->notify == SIGEV_THREAD)
		return 0;
	if (pt->notify != SIGEV_THREAD_ID)
		return -EINVAL;
	tasks_lock();
	thread = task_find(task_pid_ns(t), (u32)ev->_sigev_un._tid);
	if (thread && thread->tg == t->tg) {
		pid_get(thread->pid);
		pt->thread = thread->pid;
	}
	tasks_unlock();
	return pt->thread ? 0 : -EINVAL;
}

static int decode_clock(struct task *t, int clock, struct posix_timer *pt)
{
	pt->clock = clock;
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
		return 0;
	case CLOCK_REALTIME_ALARM:
	case CLOCK_BOOTTIME_ALARM:
		return -EPERM;
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
		return -EOPNOTSUPP;
	default:
		return cpu_clock_decode(t, clock, pt);
	}
}

int task_timer_create(struct task *t, int clock, const struct sigevent *ev, s32 *ret_id)
{
	struct posix_timer *pt = slab_alloc(&slab_posix_timer);
	struct sighand *h = t->sighand;
	int err;

	if (!pt)
		return -EAGAIN;
	pt->tg = t->tg;
	timer_init(&pt->timer, OPS(posix_timer_ops));
	list_init(&pt->cpu_link);
	err = decode_clock(t, clock, pt);
	if (!err)
		err = decode_event(t, ev, pt);
	if (!err) {
		pt->queued = sigqueue_preallocate(t, pt);
		err = pt->queued ? 0 : -EAGAIN;
	}
	if (err) {
		pid_put(pt->thread);
		task_put(pt->cpu_task);
		slab_free(&slab_posix_timer, pt);
		return err;
	}
	if (!pt->cpu_clock && clock_can_step(pt->clock))
		clock_watch_add(&pt->watch, OPS(posix_timer_watch_ops));
	spin_lock(&h->lock, &lc_sighand);
	timer_insert(t->tg, pt);
	if (!ev)
		pt->value.sival_int = pt->id;
	*ret_id = pt->id;
	spin_unlock(&h->lock, &lc_sighand);
	return 0;
}

static struct itimer_ns timer_read(struct posix_timer *pt) REQUIRES(lc_tasks, lc_sighand)
{
	struct itimer_ns ns = { .interval = pt->interval };
	s64 now = pt->cpu_clock ? cpu_clock_seen(pt) : sched_now(), expires = pt->expires, n;

	if (!expires)
		return ns;
	if (pt->interval && expires <= now) {
		n = (now - expires) / pt->interval + 1;
		expires += n * pt->interval;
	}
	/* Expired, and about to be signalled: not yet nothing. */
	ns.value = expires > now ? expires - now : pt->notify != SIGEV_NONE;
	return ns;
}

int task_timer_gettime(struct task *t, s32 id, struct itimer_ns *ret)
{
	struct sighand *h = t->sighand;
	struct posix_timer *pt;

	cpu_clocks_refresh(t);
	tasks_lock();
	spin_lock(&h->lock, &lc_sighand);
	pt = timer_find(t->tg, id);
	if (pt)
		*ret = timer_read(pt);
	spin_unlock(&h->lock, &lc_sighand);
	tasks_unlock();
	return pt ? 0 : -EINVAL;
}

static int timer_set(struct posix_timer *pt, int flags, const struct itimer_ns *new)
	REQUIRES(lc_tasks, lc_sighand)
{
	pt->overrun = 0;
	pt->last_overrun = 0;
	pt->interval = new->value ? new->interval : 0;
	pt->expires = pt->at = 0;
	if (pt->cpu_clock)
		return cpu_timer_set(pt, flags, new->value);
	timer_cancel(&pt->timer);
	if (!new->value)
		return 0;
	pt->expires = flags & TIMER_ABSTIME ? guest_clock_to_host(pt->clock, new->value) :
					      instant_after(new->value);
	pt->expires = max(pt->expires, (s64)1);
	if (flags & TIMER_ABSTIME && clock_can_step(pt->clock))
		pt->at = new->value;
	return pt->notify == SIGEV_NONE ? 0 : timer_arm(&pt->timer, pt->expires);
}

int task_timer_settime(struct task *t, s32 id, int flags, const struct itimer_ns *new,
		       struct itimer_ns *ret_old)
{
	struct sighand *h = t->sighand;
	struct itimer_ns old = {};
	struct posix_timer *pt;
	int err = -EINVAL;

	cpu_clocks_refresh(t);
	tasks_lock();
	spin_lock(&h->lock, &lc_sighand);
	pt = timer_find(t->tg, id);
	if (pt) {
		old = timer_read(pt);
		err = timer_set(pt, flags, new);
	}
	spin_unlock(&h->lock, &lc_sighand);
	tasks_unlock();
	if (!err && ret_old)
		*ret_old = old;
	return err;
}

int task_timer_getoverrun(struct task *t, s32 id)
{
	struct sighand *h = t->sighand;
	struct posix_timer *pt;
	int ret;

	spin_lock(&h->lock, &lc_sighand);
	pt = timer_find(t->tg, id);
	ret = pt ? pt->last_overrun : -EINVAL;
	spin_unlock(&h->lock, &lc_sighand);
	return ret;
}

/* Take the timer (id -1: any) out of the tables: the caller's to destroy. */
static struct posix_timer *timer_take(struct task *t, s32 id)
{
	struct thread_group *tg = t->tg;
	struct sighand *h = t->sighand;
	struct posix_timer *pt;

	spin_lock(&h->lock, &lc_sighand);
	if (id >= 0)
		pt = timer_find(tg, id);
	else
		pt = rb_entry_safe(rb_first(&tg->posix_timers), struct posix_timer, node);
	if (pt) {
		rb_erase(&tg->posix_timers, &pt->node, NULL);
		list_del(&pt->cpu_link);
		pt->expires = 0;
		pt->interval = 0;
	}
	spin_unlock(&h->lock, &lc_sighand);
	return pt;
}

int task_timer_delete(struct task *t, s32 id)
{
	struct posix_timer *pt = id >= 0 ? timer_take(t, id) : NULL;

	if (!pt)
		return -EINVAL;
	timer_destroy(t, pt);
	return 0;
}

/* ---- groups ---- */

void group_timers_init(struct thread_group *tg)
{
	timer_init(&tg->itimer_real.timer, OPS(itimer_real_ops));
	list_init(&tg->cpu_timers);
	cpu_tick_init(tg);
}

void group_timers_end(struct task *t, bool with_itimers)
{
	struct thread_group *tg = t->tg;
	struct sighand *h = t->sighand;
	struct posix_timer *pt;

	if (!rb_empty(&tg->posix_timers)) {
		while ((pt = timer_take(t, -1)))
			timer_destroy(t, pt);
	}
	if (!with_itimers)
		return;
	spin_lock(&h->lock, &lc_sighand);
	tg->itimer_real.value = tg->itimer_real.interval = 0;
	tg->itimer_virtual = tg->itimer_prof = (struct cpu_itimer){};
	spin_unlock(&h->lock, &lc_sighand);
	timer_cancel_sync(&tg->itimer_real.timer);
	timer_cancel_sync(&tg->cpu_tick);
}
