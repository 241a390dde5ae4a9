/*
 * signalfd: signals as something to read.
 *
 * Reading and polling concern the signals of whoever reads or polls, not of whoever made the file.
 * So a signalfd has one wait queue, and a link to each process that has polled or read it: a signal
 * for one of these wakes the queue, and each waiter looks for itself. In an epoll it is as on
 * Linux: the process that added the file is the one whose signals wake; the one that waits is the
 * one whose signals count.
 *
 * Links are made on the first wait and last until the process or the file is gone. They are
 * protected by lc_tasks, which all senders of signals hold.
 */

#include "kernel/signalfd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "arena/slab.h"
#include "base/strbuf.h"
#include "kernel/signal.h"
#include "vfs/vfs.h"

struct signalfd {
	_Atomic u64 mask; /* [a] */
	struct waitq waitq;
	struct list links; /* [S] */
};

struct signalfd_link {
	struct list group_link; /* [S] in tg->signalfds */
	struct list file_link; /* [S] in signalfd->links */
	struct thread_group *tg; /* [I] */
	struct signalfd *file; /* [I] */
};

SLAB_CLASS(signalfd, struct signalfd);
SLAB_CLASS(signalfd_link, struct signalfd_link);

DECLARE_OPS(struct file_ops, signalfd_file_ops);

/* ---- links ---- */

static void link_destroy(struct signalfd_link *link) REQUIRES(lc_tasks)
{
	list_del(&link->group_link);
	list_del(&link->file_link);
	slab_free(&slab_signalfd_link, link);
}

void signalfd_notify(struct thread_group *tg)
{
	struct signalfd_link *link;

	list_for_each(link, &tg->signalfds, group_link)
		waitq_wake(&link->file->waitq, EPOLLIN);
}

void signalfd_forget_group(struct thread_group *tg)
{
	struct signalfd_link *link, *next;

	list_for_each_safe(link, next, &tg->signalfds, group_link)
		link_destroy(link);
}

/* Have sfd woken by signals for tg. */
static int signalfd_join(struct signalfd *sfd, struct thread_group *tg)
{
	struct signalfd_link *link;
	int err = 0;

	tasks_lock();
	list_for_each(link, &sfd->links, file_link) {
		if (link->tg == tg)
			goto out;
	}
	link = slab_alloc(&slab_signalfd_link);
	if (!link) {
		err = -ENOMEM;
		goto out;
	}
	link->tg = tg;
	link->file = sfd;
	list_add_tail(&tg->signalfds, &link->group_link);
	list_add_tail(&sfd->links, &link->file_link);
out:
	tasks_unlock();
	return err;
}

/* ---- struct signalfd_siginfo ---- */

enum layout {
	LAYOUT_KILL,
	LAYOUT_TIMER,
	LAYOUT_POLL,
	LAYOUT_FAULT,
	LAYOUT_CHILD,
	LAYOUT_RT,
	LAYOUT_SYS
};

/* Which members of its union a siginfo uses. */
static enum layout siginfo_layout(const siginfo_t *info)
{
	int code = info->si_code;

	if (code > SI_USER && code < SI_KERNEL) {
		switch (info->si_signo) {
		case SIGILL:
		case SIGFPE:
		case SIGSEGV:
		case SIGBUS:
		case SIGTRAP:
			return LAYOUT_FAULT;
		case SIGCHLD:
			return LAYOUT_CHILD;
		case SIGSYS:
			return LAYOUT_SYS;
		default:
			return LAYOUT_POLL;
		}
	}
	if (code == SI_TIMER)
		return LAYOUT_TIMER;
	if (code == SI_SIGIO)
		return LAYOUT_POLL;
	return code < 0 ? LAYOUT_RT : LAYOUT_KILL;
}

static void fill_siginfo(struct signalfd_siginfo *out, const siginfo_t *info)
{
	memset(out, 0, sizeof(*out));
	out->ssi_signo = (u32)info->si_signo;
	out->ssi_errno = info->si_errno;
	out->ssi_code = info->si_code;
	switch (siginfo_layout(info)) {
	case LAYOUT_TIMER:
		out->ssi_tid = (u32)info->si_timerid;
		out->ssi_overrun = (u32)info->si_overrun;
		out->ssi_ptr = (u64)(uintptr_t)info->si_ptr;
		out->ssi_int = info->si_int;
		break;
	case LAYOUT_POLL:
		out->ssi_band = (u32)info->si_band;
		out->ssi_fd = info->si_fd;
		break;
	case LAYOUT_FAULT:
		out->ssi_addr = (u64)(uintptr_t)info->si_addr;
		break;
	case LAYOUT_CHILD:
		out->ssi_pid = (u32)info->si_pid;
		out->ssi_uid = info->si_uid;
		out->ssi_status = info->si_status;
		out->ssi_utime = (u64)info->si_utime;
		out->ssi_stime = (u64)info->si_stime;
		break;
	case LAYOUT_RT:
		out->ssi_pid = (u32)info->si_pid;
		out->ssi_uid = info->si_uid;
		out->ssi_ptr = (u64)(uintptr_t)info->si_ptr;
		out->ssi_int = info->si_int;
		break;
	case LAYOUT_SYS:
		out->ssi_call_addr = (u64)(uintptr_t)info->si_call_addr;
		out->ssi_syscall = info->si_syscall;
		out->ssi_arch = info->si_arch;
		break;
	default:
		out->ssi_pid = (u32)info->si_pid;
		out->ssi_uid = info->si_uid;
	}
}

/* ---- the file ---- */

static sigset64 signalfd_mask(const struct signalfd *sfd)
{
	return atomic_load_explicit(&sfd->mask, memory_order_relaxed);
}

/* Take a signal of t, waiting for it. The signal, or -EINTR, -ENOMEM. */
static int signalfd_wait(struct signalfd *sfd, struct task *t, siginfo_t *ret)
{
	int sig = 0, err = signalfd_join(sfd, t->tg);

	if (!err)
		err = waitq_wait(&sfd->waitq, EPOLLIN, NO_DEADLINE,
				 (sig = sig ? sig : signal_dequeue(t, signalfd_mask(sfd), ret)));
	return err ? err : sig;
}

static ssize_t signalfd_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	struct signalfd *sfd = f->private;
	struct task *t = task_of(s);
	ssize_t done = 0, n;

	if (to->left < sizeof(struct signalfd_siginfo))
		return -EINVAL;
	while (to->left >= sizeof(struct signalfd_siginfo)) {
		struct signalfd_siginfo out;
		siginfo_t info;
		int sig = signal_dequeue(t, signalfd_mask(sfd), &info);

		if (!sig && (done || f->flags & O_NONBLOCK))
			return done ? done : -EAGAIN;
		if (!sig)
			sig = signalfd_wait(sfd, t, &info);
		if (sig < 0)
			return sig;
		fill_siginfo(&out, &info);
		n = uio_copy_to(to, &out, sizeof(out));
		if (n != sizeof(out))
			return done ? done : -EFAULT;
		done += n;
	}
	return done;
}

/* The task that polls or reads: files of guests are polled by fibers of tasks only. */
static struct task *polling_task(void)
{
	return fiber_arg(fiber_current());
}

static u32 signalfd_poll(struct file *f)
{
	struct signalfd *sfd = f->private;

	return signal_pending_set(polling_task()) & signalfd_mask(sfd) ? EPOLLIN : 0;
}

static struct waitq *signalfd_waitq(struct file *f)
{
	struct signalfd *sfd = f->private;

	/* Without memory for the link this process's waits are not woken by signals. */
	(void)!signalfd_join(sfd, polling_task()->tg);
	return &sfd->waitq;
}

static void signalfd_release(struct file *f)
{
	struct signalfd *sfd = f->private;
	struct signalfd_link *link, *next;

	tasks_lock();
	list_for_each_safe(link, next, &sfd->links, file_link)
		link_destroy(link);
	tasks_unlock();
	slab_free(&slab_signalfd, sfd);
}

static void signalfd_show(struct file *f, struct strbuf *out)
{
	struct signalfd *sfd = f->private;

	strbuf_printf(out, "sigmask:\t%016lx\n", signalfd_mask(sfd));
}

DEFINE_OPS(struct file_ops, signalfd_file_ops) = {
	.read = signalfd_read,
	.poll = signalfd_poll,
	.waitq = signalfd_waitq,
	.release = signalfd_release,
	.show_fdinfo = signalfd_show,
};

int signalfd_create_file(struct task *t, sigset64 mask, u32 flags, struct file **ret)
{
	struct signalfd *sfd = slab_alloc(&slab_signalfd);
	int err;

	if (!sfd)
		return -ENOMEM;
	waitq_init(&sfd->waitq);
	list_init(&sfd->links);
	sfd->mask = mask & ~SIG_ONLY_KERNEL;
	err = file_create_anon(&t->subject, "anon_inode:[signalfd]", OPS(signalfd_file_ops), sfd,
			       O_RDWR | flags, ret);
	if (err)
		slab_free(&slab_signalfd, sfd);
	return err;
}

int signalfd_set_mask(struct file *f, sigset64 mask)
{
	struct signalfd *sfd;

	if (f->ops != OPS(signalfd_file_ops))
		return -EINVAL;
	sfd = f->private;
	atomic_store(&sfd->mask, mask & ~SIG_ONLY_KERNEL);
	/* What waited so far may be what is wanted now. */
	waitq_wake_all(&sfd->waitq, EPOLLIN);
	return 0;
}
