/*
 * pidfds. A pidfd holds a struct pid, which outlives the process that it names; so its number may
 * already be another process's. It is readable once all threads of the process have exited.
 */

#include "kernel/pidfd.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include "base/strbuf.h"
#include "kernel/pid.h"
#include "vfs/vfs.h"

DECLARE_OPS(struct file_ops, pidfd_file_ops);

struct pid *pidfd_pid(const struct file *f)
{
	return f->ops == OPS(pidfd_file_ops) ? f->private : NULL;
}

struct task *pid_leader_get(struct pid *p)
{
	struct task *t = NULL;

	tasks_lock();
	if (p && p->tg && p->tg->leader) {
		t = p->tg->leader;
		task_get(t);
	}
	tasks_unlock();
	return t;
}

static u32 pidfd_poll(struct file *f)
{
	struct pid *p = f->private;
	struct thread_group *tg;
	bool gone;

	tasks_lock();
	tg = p->tg;
	gone = !tg || !tg->leader || (tg->leader->exit_notified && tg->task_count == 1);
	tasks_unlock();
	return gone ? EPOLLIN | EPOLLRDNORM : 0;
}

static struct waitq *pidfd_waitq(struct file *f)
{
	struct pid *p = f->private;

	return &p->waitq;
}

static void pidfd_release(struct file *f)
{
	pid_put(f->private);
}

/* The numbers as seen from the first namespace; -1 once the process has been reaped. */
static void pidfd_show(struct file *f, struct strbuf *out)
{
	struct pid *p = f->private;
	bool gone;

	tasks_lock();
	gone = !p->tg;
	tasks_unlock();
	if (gone) {
		strbuf_printf(out, "Pid:\t-1\nNSpid:\t-1\n");
		return;
	}
	strbuf_printf(out, "Pid:\t%u\nNSpid:", p->number[0]);
	for (u32 i = 0; i <= p->level; i++)
		strbuf_printf(out, "\t%u", p->number[i]);
	strbuf_printf(out, "\n");
}

DEFINE_OPS(struct file_ops, pidfd_file_ops) = {
	.poll = pidfd_poll,
	.waitq = pidfd_waitq,
	.release = pidfd_release,
	.show_fdinfo = pidfd_show,
};

int pidfd_create_file(struct task *t, struct pid *p, u32 flags, struct file **ret)
{
	int err;

	pid_get(p);
	err = file_create_anon(&t->subject, "anon_inode:[pidfd]", OPS(pidfd_file_ops), p,
			       O_RDWR | flags, ret);
	if (err)
		pid_put(p);
	return err;
}

int pidfd_open_file(struct task *t, int nr, u32 flags, struct file **ret)
{
	struct pid *p;
	int err = 0;

	if (nr <= 0)
		return -EINVAL;
	tasks_lock();
	p = pid_find(task_pid_ns(t), (u32)nr);
	if (!p || (!p->task && !p->tg))
		err = -ESRCH;
	else if (!p->tg)
		err = -EINVAL; /* a thread */
	else
		pid_get(p);
	tasks_unlock();
	if (err)
		return err;
	err = pidfd_create_file(t, p, flags, ret);
	pid_put(p);
	return err;
}
