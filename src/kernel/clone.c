/*
 * fork, vfork, clone and clone3.
 *
 * The new task is built aside, part by part, by its parent's fiber, then linked into the tables in
 * one step under lc_tasks and the sighand's lock, after which nothing can fail, and started.
 * Building may park (the platform copies the address space); a signal that came before it makes the
 * call start over (ERESTARTNOINTR), so that it is delivered once, in the parent, before the fork.
 *
 * Not there yet: namespaces (refused as to a user without privilege), set_tid.
 */

#include "kernel/task.h"

#include <linux/capability.h>
#include <sched.h>
#include <string.h>

#include "cred/user.h"
#include "host/host.h"
#include "kernel/lifecycle.h"
#include "kernel/pid.h"
#include "kernel/pidfd.h"
#include "kernel/signal.h"
#include "kernel/timers.h"
#include "mm/mm.h"
#include "vfs/fdtable.h"
#include "vfs/path.h"
#include "vfs/vfs.h"

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x1'0000'0000UL
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x2'0000'0000UL
#endif

/* What clone gives and clone3 shares; kept as u64, as the flags are. */
#define F_THREAD ((u64)CLONE_THREAD)
#define F_SIGHAND ((u64)CLONE_SIGHAND)
#define F_VM ((u64)CLONE_VM)
#define F_FS ((u64)CLONE_FS)
#define F_FILES ((u64)CLONE_FILES)
#define F_VFORK ((u64)CLONE_VFORK)
#define F_PARENT ((u64)CLONE_PARENT)
#define F_NEWUTS ((u64)CLONE_NEWUTS)
#define F_NEW_NAMESPACES \
	((u64)(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP))

static int check_flags(struct task *t, const struct clone_args_k *a)
{
	u64 f = a->flags;
	const struct cred *c = t->subject.cred;

	if ((f & F_FS) && (f & ((u64)CLONE_NEWNS | CLONE_NEWUSER)))
		return -EINVAL;
	if ((f & F_THREAD) && !(f & F_SIGHAND))
		return -EINVAL;
	if ((f & F_SIGHAND) && (!(f & F_VM) || (f & CLONE_CLEAR_SIGHAND)))
		return -EINVAL;
	if ((f & F_THREAD) && (f & ((u64)CLONE_NEWUSER | CLONE_NEWPID)))
		return -EINVAL;
	if ((f & (u64)CLONE_NEWIPC) && (f & (u64)CLONE_SYSVSEM))
		return -EINVAL;
	if (f & CLONE_INTO_CGROUP)
		return -EINVAL;
	if ((f & (u64)CLONE_PIDFD) &&
	    ((f & (F_THREAD | (u64)CLONE_DETACHED)) ||
	     ((f & (u64)CLONE_PARENT_SETTID) && a->pidfd == a->parent_tid)))
		return -EINVAL;
	if (f & (u64)CLONE_NEWUSER)
		return -EPERM;
	if ((f & (F_NEW_NAMESPACES | F_NEWUTS)) && !cred_has_cap(c, c->user_ns, CAP_SYS_ADMIN))
		return -EPERM;
	if (f & F_NEW_NAMESPACES)
		return -EINVAL;
	/* FS and GS bases that the guest may not have. */
	if ((f & (u64)CLONE_SETTLS) && a->tls >= platform_task_size())
		return -EPERM;
	return 0;
}

static int check_limits(struct task *t)
{
	const struct cred *c = t->subject.cred;
	struct kernel *k = kernel_get();

	if (atomic_load(&t->user->tasks) >= rlimit_get(t->subject.rlimits, RLIMIT_NPROC) &&
	    c->uid != 0 && !cred_has_cap(c, c->user_ns, CAP_SYS_RESOURCE) &&
	    !cred_has_cap(c, c->user_ns, CAP_SYS_ADMIN))
		return -EAGAIN;
	/* A limit of the sandbox, not of Linux: roughly is enough, since it is looked at again when
	 * linking. */
	return __atomic_load_n(&k->task_count, __ATOMIC_RELAXED) >= k->task_limit ? -EAGAIN : 0;
}

/* ---- parts ---- */

static void copy_sched(struct task *n, const struct task *t)
{
	n->ioprio = t->ioprio;
	if (t->sched_reset_on_fork) {
		/* Nothing that others lack; SCHED_BATCH and SCHED_IDLE stay. */
		n->niceness = t->sched_priority ? 0 : max(t->niceness, 0);
		n->sched_policy = t->sched_priority ? 0 : t->sched_policy;
		return;
	}
	n->niceness = t->niceness;
	n->sched_policy = t->sched_policy;
	n->sched_priority = t->sched_priority;
}

static void copy_attributes(struct task *n, const struct task *t, u64 flags)
{
	n->blocked = t->blocked;
	if ((flags & (F_VM | F_VFORK)) != F_VM)
		n->altstack = t->altstack;
	else
		altstack_reset(n);
	memcpy(n->comm, t->comm, sizeof(n->comm));
	copy_sched(n, t);
	memcpy(n->affinity, t->affinity, sizeof(n->affinity));
	n->no_new_privs = t->no_new_privs;
	n->timer_slack = t->timer_slack;
	n->personality = t->personality;
	n->mce_policy = t->mce_policy;
	n->io_flusher = t->io_flusher;
	n->self_exec_id = t->self_exec_id;
	if (!(flags & F_VM)) {
		n->rseq_addr = t->rseq_addr;
		n->rseq_size = t->rseq_size;
		n->rseq_sig = t->rseq_sig;
	}
	n->start_time = host_clock(CLOCK_BOOTTIME);
}

static int copy_group(struct task *n, struct task *t, u64 flags)
{
	struct thread_group *tg;

	if (flags & F_THREAD) {
		thread_group_get(t->tg);
		n->tg = t->tg;
		return 0;
	}
	tg = thread_group_alloc();
	if (!tg)
		return -ENOMEM;
	n->tg = tg;
	rlimits_copy(&tg->rlimits, &t->tg->rlimits);
	tg->dumpable = t->tg->dumpable;
	tg->oom_score_adj = __atomic_load_n(&t->tg->oom_score_adj, __ATOMIC_RELAXED);
	tg->oom_score_adj_min = t->tg->oom_score_adj_min;
	tg->thp_disabled = __atomic_load_n(&t->tg->thp_disabled, __ATOMIC_RELAXED);
	tg->coredump_filter = __atomic_load_n(&t->tg->coredump_filter, __ATOMIC_RELAXED);
	return 0;
}

static int copy_sighand(struct task *n, struct task *t, u64 flags)
{
	if (flags & F_SIGHAND) {
		sighand_get(t->sighand);
		n->sighand = t->sighand;
		return 0;
	}
	n->sighand = sighand_copy(t->sighand);
	if (!n->sighand)
		return -ENOMEM;
	if (flags & CLONE_CLEAR_SIGHAND) {
		spin_lock(&n->sighand->lock, &lc_sighand);
		sighand_reset(n->sighand);
		spin_unlock(&n->sighand->lock, &lc_sighand);
	}
	return 0;
}

static int copy_files(struct task *n, struct task *t, u64 flags)
{
	if (flags & F_FILES) {
		fdtable_get(t->subject.files);
		n->subject.files = t->subject.files;
		return 0;
	}
	return fdtable_fork(t->subject.files, ~0u, &n->subject.files);
}

static int copy_fs(struct task *n, struct task *t, u64 flags)
{
	if (flags & F_FS) {
		fs_context_join(t->subject.fs);
		n->subject.fs = t->subject.fs;
		return 0;
	}
	return fs_context_fork(t->subject.fs, &n->subject.fs);
}

static int copy_mm(struct task *n, struct task *t, u64 flags)
{
	int err;

	if (flags & F_VM) {
		err = pf_thread_create(t->subject.thread, &n->subject.thread);
		if (err)
			return err;
		mm_get(t->subject.mm);
		n->subject.mm = t->subject.mm;
		refcount_get(&t->mm_share->users);
		n->mm_share = t->mm_share;
		return 0;
	}
	n->mm_share = mm_share_create();
	if (!n->mm_share)
		return -ENOMEM;
	return mm_fork(&t->subject, &n->subject.mm, &n->subject.thread);
}

static int copy_uts(struct task *n, struct task *t, u64 flags)
{
	if (flags & F_NEWUTS) {
		n->uts_ns = uts_ns_copy(t->uts_ns);
		return n->uts_ns ? 0 : -ENOMEM;
	}
	uts_ns_get(t->uts_ns);
	n->uts_ns = t->uts_ns;
	return 0;
}

static int copy_pid(struct task *n, struct task *t, u64 flags)
{
	int err = pid_alloc(task_pid_ns(t), NULL, 0, &n->pid);

	if (err)
		return err;
	if (!(flags & F_THREAD)) {
		pid_get(n->pid);
		n->tg->pid = n->pid;
	}
	n->subject.tid = n->pid->number[0];
	n->subject.tgid = n->tg->pid->number[0];
	return 0;
}

static void copy_regs(struct task *n, const struct task *t, const struct clone_args_k *a)
{
	n->regs = t->regs;
	n->regs.rax = 0;
	n->regs.orig_rax = (u64)-1;
	if (a->stack)
		n->regs.rsp = a->stack + (a->clone3 ? a->stack_size : 0);
	if (a->flags & (u64)CLONE_SETTLS)
		n->regs.fs_base = a->tls;
}

/* Everything but the place in the tables. */
static int clone_parts(struct task *n, struct task *t, const struct clone_args_k *a)
{
	u64 f = a->flags;
	int err;

	n->subject.cred = cred_get(t->subject.cred);
	n->user = user_usage_get(t->user);
	copy_attributes(n, t, f);
	copy_regs(n, t, a);
	if (f & (u64)CLONE_CHILD_CLEARTID)
		n->clear_child_tid = a->child_tid;
	if (f & (u64)CLONE_CHILD_SETTID) {
		n->set_child_tid = a->child_tid;
		n->work = TASK_WORK_CHILD_TID;
	}
	err = copy_group(n, t, f);
	if (!err)
		err = copy_sighand(n, t, f);
	if (!err)
		err = copy_files(n, t, f);
	if (!err)
		err = copy_fs(n, t, f);
	if (!err)
		err = copy_uts(n, t, f);
	if (!err)
		err = copy_pid(n, t, f);
	if (!err) {
		n->subject.rlimits = &n->tg->rlimits;
		n->subject.fiber = fiber_create(task_main, n);
		if (!n->subject.fiber)
			err = -EAGAIN;
	}
	return err ? err : copy_mm(n, t, f);
}

/* ---- linking ---- */

/* A thread that is born into a group stop takes part in it. */
static void join_group_stop(struct task *n, const struct task *t) REQUIRES(lc_sighand)
{
	if (!t->group_stop_pending)
		return;
	n->group_stop_pending = true;
	if (t->group_stop_counted) {
		n->group_stop_counted = true;
		t->tg->group_stop_left++;
	}
	atomic_fetch_or(&n->work, TASK_WORK_SIGNAL);
	fiber_interrupt(n->subject.fiber);
}

static int link_check(struct task *t, u64 flags) REQUIRES(lc_tasks, lc_sighand)
{
	struct kernel *k = kernel_get();

	if (k->task_count >= k->task_limit)
		return -EAGAIN;
	if ((flags & F_PARENT) && !(flags & F_THREAD) && !t->tg->parent)
		return -EINVAL;
	if (signal_kill_pending(t) || t->tg->exiting)
		return -EINTR;
	return 0;
}

static void link_process(struct task *n, struct task *t, const struct clone_args_k *a)
	REQUIRES(lc_tasks)
{
	bool sibling = a->flags & F_PARENT;

	n->parent_exec_id = sibling ? t->parent_exec_id : t->self_exec_id;
	n->exit_signal = sibling ? t->tg->leader->exit_signal : (u32)a->exit_signal;
	group_link(n->tg, n, sibling ? t->tg->parent : t);
	pgrp_join(n->tg, t->tg->pgrp);
	n->tg->tty = t->tg->tty;
}

static int clone_link(struct task *n, struct task *t, const struct clone_args_k *a)
{
	struct sighand *h = t->sighand;
	int err;

	tasks_lock();
	spin_lock(&h->lock, &lc_sighand);
	err = link_check(t, a->flags);
	if (err)
		goto out;
	task_link(n);
	if (a->flags & F_THREAD)
		join_group_stop(n, t);
	else
		link_process(n, t, a);
	if (a->flags & F_VFORK)
		vfork_wait_begin(t, n);
out:
	spin_unlock(&h->lock, &lc_sighand);
	tasks_unlock();
	return err;
}

/* ---- the call ---- */

/* The parent's copy of the id must be there before the child can run, if they share memory. */
static void write_parent_tid(struct task *t, const struct clone_args_k *a, u32 tid)
{
	struct uaddr addr = UADDR(a->parent_tid);

	if (!(a->flags & (u64)CLONE_PARENT_SETTID))
		return;
	if (a->flags & F_VM)
		(void)!copy_out(&t->subject, addr, &tid, sizeof(tid));
	else
		(void)!copy_out_late(&t->subject, addr, &tid, sizeof(tid));
}

/* CLONE_PIDFD: a descriptor of the caller's for its child, which does not have it unless they share
 * their tables. Stored at once, so that a bad address is found before there is a child. */
static int make_pidfd(struct task *n, struct task *t, const struct clone_args_k *a, int *ret_fd)
{
	struct file *f;
	int fd, err;

	*ret_fd = -1;
	if (!(a->flags & (u64)CLONE_PIDFD))
		return 0;
	err = pidfd_create_file(t, n->pid, 0, &f);
	if (err)
		return err;
	fd = fd_install(&t->subject, f, 0, FD_CLOEXEC_FLAG);
	file_put(f);
	if (fd < 0)
		return fd;
	err = copy_out(&t->subject, UADDR(a->pidfd), &fd, sizeof(fd));
	if (err)
		(void)!fd_close(&t->subject, fd);
	else
		*ret_fd = fd;
	return err;
}

long task_clone(struct task *t, const struct clone_args_k *args)
{
	struct clone_args_k a = *args;
	struct task *n;
	int err, pidfd = -1;
	u32 tid;

	err = check_flags(t, &a);
	a.flags &= ~(u64)(CLONE_DETACHED | CLONE_PTRACE | CLONE_UNTRACED | CLONE_IO);
	if (err)
		return err;
	if (signal_pending(t))
		return -ERESTARTNOINTR;
	err = check_limits(t);
	if (err)
		return err;
	n = task_alloc();
	if (!n)
		return -ENOMEM;
	err = clone_parts(n, t, &a);
	if (!err)
		err = make_pidfd(n, t, &a, &pidfd);
	if (err)
		goto fail;
	tid = pid_nr(n->pid, task_pid_ns(t));
	err = clone_link(n, t, &a);
	if (err)
		goto fail;
	write_parent_tid(t, &a, tid);
	if (!(a.flags & F_THREAD) && rlimit_get(&n->tg->rlimits, RLIMIT_CPU) != RLIM64_INFINITY)
		cpu_limit_changed(n->tg);
	if (a.flags & F_VFORK) {
		t->regs.rax = tid;
		run_state_set(t, RUN_VFORK_DONE);
	}
	task_start(n);
	return tid;
fail:
	if (pidfd >= 0)
		(void)!fd_close(&t->subject, pidfd);
	task_discard(n);
	return err;
}

/* ---- vfork ---- */

/* t, holding lc_tasks and its sighand's lock, will wait until child has its own memory or is gone.
 * A thread of its own group (CLONE_THREAD | CLONE_VFORK) is waited for too. */
void vfork_wait_begin(struct task *t, struct task *child)
{
	task_get(t);
	child->vfork_parent = t;
	t->vfork_waiting = true;
	stop_begin(t, STOP_VFORK);
}

void vfork_release(struct task *t)
{
	struct task *parent;
	struct sighand *h;

	if (!t->vfork_parent)
		return;
	tasks_lock();
	parent = t->vfork_parent;
	t->vfork_parent = NULL;
	h = parent->sighand;
	spin_lock(&h->lock, &lc_sighand);
	stop_end(parent, STOP_VFORK);
	spin_unlock(&h->lock, &lc_sighand);
	tasks_unlock();
	task_put(parent);
}
