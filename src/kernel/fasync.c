/*
 * Files that signal their owner: F_SETOWN, F_SETSIG, O_ASYNC; fcntl(2), fs/fcntl.c of Linux.
 *
 * An open file that was ever told an owner or a signal has a struct fasync. With O_ASYNC it waits
 * on the file's wait queue. A wake comes with short locks held, under which no signal can be sent:
 * it notes the events and arms a timer that has expired already, whose callback sends.
 *
 * Differences from Linux: changes that follow one another at once may be told by one signal (as
 * SIGIO they would be merged anyway); no SIGURG. F_NOTIFY, which is an inotify of its own here,
 * ends with the last descriptor of the open directory, not with the first that is closed.
 */

#include "kernel/fasync.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/inotify.h>

#include "arena/slab.h"
#include "cred/cred.h"
#include "kernel/pid.h"
#include "kernel/signal.h"
#include "kernel/task.h"
#include "sched/timer.h"
#include "sched/waitq.h"
#include "vfs/notify.h"
#include "vfs/vfs.h"

/* A directory that tells what happens in it; it has an inotify file that nobody sees. */
struct dnotify {
	struct waiter waiter; /* [file's pos_lock] on the queue of in */
	struct timer timer;
	struct file *file; /* [I] the directory; not owned */
	struct file *in; /* [I] owned */
	_Atomic int fd; /* [a] by which F_NOTIFY was made */
};

/* Whom to tell, and how. */
struct recipient {
	struct pid *pid; /* owned; null: nobody */
	int type; /* F_OWNER_* */
	u32 uid, euid; /* of who set the owner */
	int sig; /* 0: SIGIO */
	int fd; /* by which O_ASYNC was set */
};

struct fasync {
	struct waiter waiter; /* [file's pos_lock] on the file's queue with O_ASYNC */
	struct timer timer;
	struct file *file; /* [I] not owned */
	_Atomic u32 events; /* [a] not yet told */
	struct dnotify *dnotify; /* [file's pos_lock] owned, or null */
	struct recipient to; /* [file->lock] */
};

SLAB_CLASS(fasync, struct fasync, TRANSIENT(struct fasync, timer.slot));
SLAB_CLASS(dnotify, struct dnotify, TRANSIENT(struct dnotify, timer.slot));

DECLARE_OPS(struct waiter_ops, fasync_waiter_ops);
DECLARE_OPS(struct timer_ops, fasync_timer_ops);
DECLARE_OPS(struct waiter_ops, dnotify_waiter_ops);
DECLARE_OPS(struct timer_ops, dnotify_timer_ops);

static struct fasync *fasync_of(const struct file *f)
{
	return __atomic_load_n(&f->fasync, __ATOMIC_ACQUIRE);
}

/* Make it if it is not there; null when memory is short. */
static struct fasync *fasync_make(struct file *f)
{
	struct fasync *old = fasync_of(f), *new;

	if (old)
		return old;
	new = slab_alloc(&slab_fasync);
	if (!new)
		return NULL;
	waiter_init(&new->waiter, OPS(fasync_waiter_ops));
	timer_init(&new->timer, OPS(fasync_timer_ops));
	new->file = f;
	if (__atomic_compare_exchange_n(&f->fasync, &old, new, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return new;
	slab_free(&slab_fasync, new);
	return old;
}

/* ---- signals ---- */

/* sigio_perm of Linux. */
static bool may_signal(const struct recipient *to, struct task *t)
{
	const struct cred *c = task_get_cred(t);
	bool ret = to->euid == 0 || to->euid == c->suid || to->euid == c->uid ||
		   to->uid == c->suid || to->uid == c->uid;

	cred_put(c);
	return ret;
}

static void send_one(const struct recipient *to, struct task *t, const siginfo_t *info)
	REQUIRES(lc_tasks)
{
	siginfo_t plain;

	if (!t || !may_signal(to, t))
		return;
	if (signal_post(t, info, to->type != F_OWNER_TID, NULL) == -EAGAIN) {
		siginfo_kernel(&plain, SIGIO); /* the queue is full */
		(void)signal_post(t, &plain, to->type != F_OWNER_TID, NULL);
	}
}

/* to: a copy, with its own reference to the pid. */
static void send(const struct recipient *to, int code, u32 band)
{
	struct thread_group *tg, *next;
	siginfo_t info;

	siginfo_kernel(&info, to->sig ? to->sig : SIGIO);
	if (to->sig) {
		info.si_code = code;
		info.si_band = (long)band;
		info.si_fd = to->fd;
	}
	tasks_lock();
	if (to->type == F_OWNER_TID)
		send_one(to, to->pid->task, &info);
	else if (to->type == F_OWNER_PID && to->pid->tg)
		send_one(to, to->pid->tg->leader, &info);
	else if (to->type == F_OWNER_PGRP && to->pid->pgrp)
		list_for_each_safe(tg, next, &to->pid->pgrp->members, pgrp_link)
			send_one(to, tg->leader, &info);
	tasks_unlock();
}

/* A copy of what f has, with its own reference to the pid. False: there is no owner. */
static bool recipient_get(struct file *f, struct recipient *ret)
{
	spin_lock(&f->lock, &lc_file);
	*ret = f->fasync->to;
	if (ret->pid)
		pid_get(ret->pid);
	spin_unlock(&f->lock, &lc_file);
	return ret->pid;
}

static bool has_owner(struct file *f)
{
	struct recipient to;
	bool ret = recipient_get(f, &to);

	if (ret)
		pid_put(to.pid);
	return ret;
}

static void fasync_expire(struct timer *timer)
{
	struct fasync *a = container_of(timer, struct fasync, timer);
	u32 events = atomic_exchange(&a->events, 0);
	struct file *f = a->file;
	struct recipient to;

	if (!recipient_get(f, &to))
		return;
	if (f->readable && events & (EPOLLIN | EPOLLRDNORM | EPOLLHUP | EPOLLRDHUP))
		send(&to, POLL_IN, EPOLLIN | EPOLLRDNORM);
	if (f->writable && events & (EPOLLOUT | EPOLLWRNORM | EPOLLERR))
		send(&to, POLL_OUT, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
	pid_put(to.pid);
}

DEFINE_OPS(struct timer_ops, fasync_timer_ops) = { .expire = fasync_expire };

static bool fasync_wake(struct waiter *w, u32 events)
{
	struct fasync *a = container_of(w, struct fasync, waiter);

	atomic_fetch_or(&a->events, events);
	/* Without memory for the timer the signal is lost. */
	if (timer_arm(&a->timer, 0))
		return false;
	return false;
}

DEFINE_OPS(struct waiter_ops, fasync_waiter_ops) = { .wake = fasync_wake };

int fasync_update(struct file *f, int fd)
{
	struct waitq *q = f->ops->waitq ? f->ops->waitq(f) : NULL;
	struct fasync *a = fasync_of(f);

	if (!q)
		return 0;
	if (!a && !(__atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_ASYNC))
		return 0;
	a = fasync_make(f);
	if (!a)
		return -ENOMEM;
	mutex_lock(&f->pos_lock, &lc_file_pos);
	if (f->flags & O_ASYNC && !a->waiter.queue) {
		spin_lock(&f->lock, &lc_file);
		a->to.fd = fd;
		spin_unlock(&f->lock, &lc_file);
		waitq_add(q, &a->waiter, ~0U);
		(void)file_poll(f); /* from now on every change is announced */
	} else if (!(f->flags & O_ASYNC)) {
		waitq_remove(&a->waiter);
	}
	mutex_unlock(&f->pos_lock, &lc_file_pos);
	return 0;
}

/* ---- directories ---- */

static void dnotify_expire(struct timer *timer)
{
	struct dnotify *d = container_of(timer, struct dnotify, timer);
	struct recipient to;

	if (!inotify_drain(d->in) || !recipient_get(d->file, &to))
		return;
	to.fd = d->fd;
	send(&to, POLL_MSG, EPOLLIN | EPOLLRDNORM | EPOLLMSG);
	pid_put(to.pid);
}

DEFINE_OPS(struct timer_ops, dnotify_timer_ops) = { .expire = dnotify_expire };

static bool dnotify_wake(struct waiter *w, u32 events)
{
	if (timer_arm(&container_of(w, struct dnotify, waiter)->timer, 0))
		return false; /* no memory: the signal is lost */
	return false;
}

DEFINE_OPS(struct waiter_ops, dnotify_waiter_ops) = { .wake = dnotify_wake };

static void dnotify_destroy(struct dnotify *d)
{
	if (!d)
		return;
	waitq_remove(&d->waiter);
	timer_cancel_sync(&d->timer);
	file_put(d->in);
	slab_free(&slab_dnotify, d);
}

static u32 dnotify_mask(u32 mask)
{
	static const u32 events[] = {
		IN_ACCESS,
		IN_MODIFY,
		IN_CREATE | IN_MOVED_TO,
		IN_DELETE | IN_MOVED_FROM,
		IN_MOVED_FROM | IN_MOVED_TO,
		IN_ATTRIB,
	};
	u32 ret = mask & DN_MULTISHOT ? 0 : IN_ONESHOT;

	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (mask & 1U << i)
			ret |= events[i];
	return ret;
}

/* The directory's dnotify, made over in, whose reference goes to it or is dropped. */
static struct dnotify *dnotify_make(struct fasync *a, struct file *in)
{
	struct dnotify *d = a->dnotify;

	if (d || !(d = slab_alloc(&slab_dnotify))) {
		file_put(in);
		return d;
	}
	waiter_init(&d->waiter, OPS(dnotify_waiter_ops));
	timer_init(&d->timer, OPS(dnotify_timer_ops));
	d->file = a->file;
	d->in = in;
	waitq_add(in->ops->waitq(in), &d->waiter, ~0U);
	a->dnotify = d;
	return d;
}

int fasync_watch_directory(struct task *t, struct file *f, int fd, u32 mask, struct file *in)
{
	const struct file_owner_ex self = { .type = F_OWNER_PID, .pid = (int)task_tgid(t) };
	struct fasync *a = fasync_make(f);
	struct dnotify *d;
	int ret = -ENOMEM;

	if (a && mask & ~(u32)DN_MULTISHOT && !has_owner(f))
		ret = fasync_set_owner(t, f, &self);
	else if (a)
		ret = 0;
	if (ret || !(mask & ~(u32)DN_MULTISHOT)) {
		file_put(in);
		if (ret)
			return ret;
		mutex_lock(&f->pos_lock, &lc_file_pos);
		d = a->dnotify;
		a->dnotify = NULL;
		mutex_unlock(&f->pos_lock, &lc_file_pos);
		dnotify_destroy(d);
		return 0;
	}
	mutex_lock(&f->pos_lock, &lc_file_pos);
	d = dnotify_make(a, in);
	ret = d ? inotify_add_watch_path(d->in, &f->path, dnotify_mask(mask) | IN_MASK_ADD) :
		  -ENOMEM;
	if (d)
		d->fd = fd;
	mutex_unlock(&f->pos_lock, &lc_file_pos);
	return min(ret, 0);
}

/* The last reference to f goes. */
static void fasync_release(struct file *f)
{
	struct fasync *a = f->fasync;

	dnotify_destroy(a->dnotify);
	waitq_remove(&a->waiter);
	timer_cancel_sync(&a->timer);
	pid_put(a->to.pid);
	slab_free(&slab_fasync, a);
}

DEFINE_OPS(struct fasync_hooks, kernel_fasync_hooks) = { .release = fasync_release };

/* ---- owner and signal ---- */

static struct pid *find_owner(struct task *t, const struct file_owner_ex *o)
{
	struct pid *pid = NULL;

	tasks_lock();
	pid = pid_find(task_pid_ns(t), (u32)o->pid);
	if (pid)
		pid_get(pid);
	tasks_unlock();
	return pid;
}

int fasync_set_owner(struct task *t, struct file *f, const struct file_owner_ex *o)
{
	struct pid *pid = NULL, *old;
	struct fasync *a;

	if (o->pid) {
		pid = find_owner(t, o);
		if (!pid)
			return -ESRCH;
	}
	a = fasync_make(f);
	if (!a) {
		pid_put(pid);
		return -ENOMEM;
	}
	spin_lock(&f->lock, &lc_file);
	old = a->to.pid;
	a->to.pid = pid;
	a->to.type = o->type;
	a->to.uid = t->subject.cred->uid;
	a->to.euid = t->subject.cred->euid;
	spin_unlock(&f->lock, &lc_file);
	pid_put(old);
	return 0;
}

void fasync_get_owner(struct task *t, struct file *f, struct file_owner_ex *ret)
{
	struct fasync *a = fasync_of(f);
	struct pid *pid = NULL;

	*ret = (struct file_owner_ex){ .type = F_OWNER_TID };
	if (!a)
		return;
	spin_lock(&f->lock, &lc_file);
	ret->type = a->to.type;
	pid = a->to.pid;
	if (pid)
		pid_get(pid);
	spin_unlock(&f->lock, &lc_file);
	if (!pid)
		return;
	tasks_lock();
	if (ret->type == F_OWNER_TID ? (void *)pid->task :
	    ret->type == F_OWNER_PID ? (void *)pid->tg :
				       (void *)pid->pgrp)
		ret->pid = (int)pid_nr(pid, task_pid_ns(t));
	tasks_unlock();
	pid_put(pid);
}

int fasync_set_signal(struct file *f, int sig)
{
	struct fasync *a = fasync_make(f);

	if (!a)
		return -ENOMEM;
	spin_lock(&f->lock, &lc_file);
	a->to.sig = sig;
	spin_unlock(&f->lock, &lc_file);
	return 0;
}

int fasync_get_signal(struct file *f)
{
	struct fasync *a = fasync_of(f);
	int sig = 0;

	if (!a)
		return 0;
	spin_lock(&f->lock, &lc_file);
	sig = a->to.sig;
	spin_unlock(&f->lock, &lc_file);
	return sig;
}
