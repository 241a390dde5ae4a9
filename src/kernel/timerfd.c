/*
 * timerfd: a timer whose expiries are counted, and read.
 *
 * A periodic timer's callback does not arm it again: the period goes on when the count is read or
 * the timer looked at, as in Linux, so that a short period costs nothing while nobody reads. An
 * absolute timer of a clock that can be set follows that clock; with TFD_TIMER_CANCEL_ON_SET its
 * next read fails with ECANCELED instead.
 *
 * Unlike Linux, the alarm clocks do not wake a suspended machine.
 */

#include "kernel/timerfd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>

#include "arena/slab.h"
#include "base/strbuf.h"
#include "time/clock.h"
#include "time/step.h"
#include "vfs/vfs.h"

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, u64)
#endif

struct timerfd {
	struct spin lock; /* class lc_ipc */
	struct waitq waitq;
	struct timer timer;
	struct clock_watch watch;
	int clock; /* [I] */
	int flags; /* [lock] of the last settime */
	s64 expires; /* [lock] host instant of the next expiry, or of the last one counted; 0: off
		      */
	s64 at; /* [lock] of an absolute timer of a clock that can be set: expires there; else 0 */
	s64 interval; /* [lock] */
	u64 ticks; /* [lock] expiries to be read */
	bool expired; /* [lock] expires has passed and is counted; the timer is not armed */
	bool cancelled; /* [lock] the clock was set */
	bool watching; /* [lock] the first call of the watch is over */
};

SLAB_CLASS(timerfd, struct timerfd, TRANSIENT(struct timerfd, timer.slot));

DECLARE_OPS(struct file_ops, timerfd_file_ops);

static struct timerfd *timerfd_of(const struct file *f)
{
	return f->ops == OPS(timerfd_file_ops) ? f->private : NULL;
}

/* ---- expiry ---- */

static void timerfd_expire(struct timer *timer)
{
	struct timerfd *tf = container_of(timer, struct timerfd, timer);

	spin_lock(&tf->lock, &lc_ipc);
	if (tf->expires && !tf->expired && tf->expires <= sched_now()) {
		tf->expired = true;
		tf->ticks++;
		waitq_wake(&tf->waitq, EPOLLIN);
	}
	spin_unlock(&tf->lock, &lc_ipc);
}

DEFINE_OPS(struct timer_ops, timerfd_timer_ops) = { .expire = timerfd_expire };

/* The clock has been set, or the host was suspended. */
static void timerfd_stepped(struct clock_watch *w)
{
	struct timerfd *tf = container_of(w, struct timerfd, watch);

	spin_lock(&tf->lock, &lc_ipc);
	if (!tf->watching) {
		tf->watching = true;
	} else if (tf->flags & TFD_TIMER_CANCEL_ON_SET) {
		tf->cancelled = true;
		tf->ticks++;
		waitq_wake(&tf->waitq, EPOLLIN);
	}
	if (tf->at && tf->expires && !tf->expired) {
		tf->expires = max(guest_clock_to_host(tf->clock, tf->at), (s64)1);
		(void)!timer_arm(&tf->timer, tf->expires);
	}
	spin_unlock(&tf->lock, &lc_ipc);
}

DEFINE_OPS(struct clock_watch_ops, timerfd_watch_ops) = { .stepped = timerfd_stepped };

/* Count what an expired periodic timer has missed, and let it go on; tf->lock held. */
static void timerfd_catch_up(struct timerfd *tf) REQUIRES(lc_ipc)
{
	s64 now = sched_now(), n = 1, step;

	if (!tf->expired || !tf->interval)
		return;
	if (now > tf->expires)
		n = (now - tf->expires) / tf->interval + 1;
	tf->ticks += (u64)n - 1;
	step = n * tf->interval;
	if (__builtin_add_overflow(tf->expires, step, &tf->expires))
		tf->expires = NO_DEADLINE - 1;
	if (tf->at && __builtin_add_overflow(tf->at, step, &tf->at))
		tf->at = NO_DEADLINE - 1;
	tf->expired = false;
	(void)!timer_arm(&tf->timer, tf->expires);
}

static struct itimer_ns timerfd_left(const struct timerfd *tf) REQUIRES(lc_ipc)
{
	struct itimer_ns left = { .interval = tf->interval };

	if (tf->expires && !tf->expired)
		left.value = max(tf->expires - sched_now(), (s64)1);
	return left;
}

/* ---- the calls ---- */

static bool is_alarm(int clock)
{
	return clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM;
}

static bool may_alarm(const struct task *t, int clock)
{
	const struct cred *c = t->subject.cred;

	return !is_alarm(clock) || cred_has_cap(c, c->user_ns, CAP_WAKE_ALARM);
}

int timerfd_create_file(struct task *t, int clock, u32 flags, struct file **ret)
{
	struct timerfd *tf;
	int err;

	if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME && clock != CLOCK_BOOTTIME &&
	    !is_alarm(clock))
		return -EINVAL;
	if (!may_alarm(t, clock))
		return -EPERM;
	tf = slab_alloc(&slab_timerfd);
	if (!tf)
		return -ENOMEM;
	spin_init(&tf->lock);
	waitq_init(&tf->waitq);
	timer_init(&tf->timer, OPS(timerfd_timer_ops));
	tf->clock = clock;
	err = file_create_anon(&t->subject, "anon_inode:[timerfd]", OPS(timerfd_file_ops), tf,
			       O_RDWR | flags, ret);
	if (err) {
		slab_free(&slab_timerfd, tf);
		return err;
	}
	if (clock_can_step(clock))
		clock_watch_add(&tf->watch, OPS(timerfd_watch_ops));
	return 0;
}

static int timerfd_arm(struct timerfd *tf, const struct itimer_ns *new) REQUIRES(lc_ipc)
{
	bool absolute = tf->flags & TFD_TIMER_ABSTIME;
	s64 now = sched_now();

	tf->interval = new->interval;
	tf->expires = tf->at = 0;
	tf->ticks = 0;
	tf->expired = false;
	timer_cancel(&tf->timer);
	if (!new->value)
		return 0;
	if (absolute)
		tf->expires = guest_clock_to_host(tf->clock, new->value);
	else
		tf->expires =
			new->value >= NO_DEADLINE - 1 - now ? NO_DEADLINE - 1 : now + new->value;
	tf->expires = max(tf->expires, (s64)1);
	if (absolute && clock_can_step(tf->clock))
		tf->at = new->value;
	return timer_arm(&tf->timer, tf->expires);
}

int timerfd_set(struct task *t, struct file *f, int flags, const struct itimer_ns *new,
		struct itimer_ns *ret_old)
{
	const int cancel_flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
	struct timerfd *tf = timerfd_of(f);
	int err;

	if (!tf || flags & ~cancel_flags)
		return -EINVAL;
	if (!may_alarm(t, tf->clock))
		return -EPERM;
	/* Other clocks cannot be set, and are not cancelled. */
	if ((flags & cancel_flags) != cancel_flags ||
	    (tf->clock != CLOCK_REALTIME && tf->clock != CLOCK_REALTIME_ALARM))
		flags &= ~TFD_TIMER_CANCEL_ON_SET;
	spin_lock(&tf->lock, &lc_ipc);
	timerfd_catch_up(tf);
	if (ret_old)
		*ret_old = timerfd_left(tf);
	tf->flags = flags;
	err = timerfd_arm(tf, new);
	if (!err && tf->cancelled && flags & TFD_TIMER_CANCEL_ON_SET)
		err = -ECANCELED;
	tf->cancelled = false;
	spin_unlock(&tf->lock, &lc_ipc);
	return err;
}

int timerfd_get(struct file *f, struct itimer_ns *ret)
{
	struct timerfd *tf = timerfd_of(f);

	if (!tf)
		return -EINVAL;
	spin_lock(&tf->lock, &lc_ipc);
	timerfd_catch_up(tf);
	*ret = timerfd_left(tf);
	spin_unlock(&tf->lock, &lc_ipc);
	return 0;
}

/* ---- the file ---- */

/* Take the count. False: there is none. */
static bool timerfd_take(struct timerfd *tf, u64 *ret_ticks, int *ret_err)
{
	bool got = false;

	spin_lock(&tf->lock, &lc_ipc);
	if (tf->cancelled) {
		tf->cancelled = false;
		tf->ticks = 0;
		*ret_err = -ECANCELED;
		got = true;
	} else if (tf->ticks) {
		timerfd_catch_up(tf);
		*ret_ticks = tf->ticks;
		tf->ticks = 0;
		got = true;
	}
	spin_unlock(&tf->lock, &lc_ipc);
	return got;
}

static ssize_t timerfd_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	struct timerfd *tf = f->private;
	u64 ticks = 0;
	int err = 0, ret = 0;
	bool got;

	if (to->left < sizeof(ticks))
		return -EINVAL;
	got = timerfd_take(tf, &ticks, &err);
	if (!got && f->flags & O_NONBLOCK)
		return -EAGAIN;
	if (!got)
		ret = waitq_wait(&tf->waitq, EPOLLIN, NO_DEADLINE,
				 (got = got || timerfd_take(tf, &ticks, &err)));
	if (ret || err)
		return ret ? ret : err;
	return uio_copy_to(to, &ticks, sizeof(ticks));
}

static u32 timerfd_poll(struct file *f)
{
	struct timerfd *tf = f->private;
	u64 ticks;

	spin_lock(&tf->lock, &lc_ipc);
	ticks = tf->ticks;
	spin_unlock(&tf->lock, &lc_ipc);
	return ticks ? EPOLLIN : 0;
}

static struct waitq *timerfd_waitq(struct file *f)
{
	struct timerfd *tf = f->private;

	return &tf->waitq;
}

/* TFD_IOC_SET_TICKS: what checkpoint tools restore. */
static long timerfd_ioctl(struct subject *s, struct file *f, u32 cmd, u64 arg)
{
	struct timerfd *tf = f->private;
	u64 ticks;
	int err;

	if (cmd != TFD_IOC_SET_TICKS)
		return -ENOTTY;
	err = copy_in(s, &ticks, UADDR(arg), sizeof(ticks));
	if (err)
		return err;
	if (!ticks)
		return -EINVAL;
	spin_lock(&tf->lock, &lc_ipc);
	if (tf->cancelled) {
		tf->cancelled = false;
		err = -ECANCELED;
	} else {
		tf->ticks = ticks;
		waitq_wake(&tf->waitq, EPOLLIN);
	}
	spin_unlock(&tf->lock, &lc_ipc);
	return err;
}

static void timerfd_release(struct file *f)
{
	struct timerfd *tf = f->private;

	clock_watch_remove(&tf->watch);
	timer_cancel_sync(&tf->timer);
	slab_free(&slab_timerfd, tf);
}

static void timerfd_show(struct file *f, struct strbuf *out)
{
	struct timerfd *tf = f->private;
	struct timespec value, interval;
	struct itimer_ns left;
	u64 ticks;
	int flags;

	spin_lock(&tf->lock, &lc_ipc);
	ticks = tf->ticks;
	flags = tf->flags;
	left = timerfd_left(tf);
	spin_unlock(&tf->lock, &lc_ipc);
	value = ns_to_timespec(left.value);
	interval = ns_to_timespec(left.interval);
	strbuf_printf(out,
		      "clockid: %d\nticks: %lu\nsettime flags: 0%o\n"
		      "it_value: (%ld, %ld)\nit_interval: (%ld, %ld)\n",
		      tf->clock, ticks, (u32)flags, value.tv_sec, value.tv_nsec, interval.tv_sec,
		      interval.tv_nsec);
}

DEFINE_OPS(struct file_ops, timerfd_file_ops) = {
	.read = timerfd_read,
	.poll = timerfd_poll,
	.waitq = timerfd_waitq,
	.ioctl = timerfd_ioctl,
	.release = timerfd_release,
	.show_fdinfo = timerfd_show,
};
