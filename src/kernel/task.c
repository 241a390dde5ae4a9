/*
 * Task and thread-group objects: allocation, references, look-ups, and the parts of a task that
 * others may use.
 *
 * A task is held by its fiber until that ends, and by its place in the tables until it is reaped;
 * whoever looks one up and drops lc_tasks takes a reference. The last reference frees the struct
 * and what it owns that can be freed without parking; the address space, files and such are
 * released by the task itself in exit.
 */

#include "kernel/task.h"

#include <linux/capability.h>
#include <string.h>

#include "arena/slab.h"
#include "cred/user.h"
#include "kernel/lifecycle.h"
#include "kernel/pid.h"
#include "kernel/signal.h"
#include "kernel/timers.h"
#include "mm/mm.h"
#include "vfs/fdtable.h"
#include "vfs/path.h"

SLAB_CLASS(task, struct task, TRANSIENT(struct task, subject.fiber),
	   TRANSIENT(struct task, subject.thread), TRANSIENT(struct task, subject.call_tsc),
	   TRANSIENT(struct task, subject.last_call_tsc), TRANSIENT(struct task, subject.call_time),
	   TRANSIENT(struct task, subject.ahead_since));
SLAB_CLASS(thread_group, struct thread_group,
	   TRANSIENT(struct thread_group, itimer_real.timer.slot),
	   TRANSIENT(struct thread_group, cpu_tick.slot));
SLAB_CLASS(mm_share, struct mm_share);

void tasks_lock(void)
{
	spin_lock(&kernel_get()->tasks_lock, &lc_tasks);
}

void tasks_unlock(void)
{
	spin_unlock(&kernel_get()->tasks_lock, &lc_tasks);
}

/* ---- objects ---- */

struct mm_share *mm_share_create(void)
{
	struct mm_share *share = slab_alloc(&slab_mm_share);

	if (share)
		refcount_init(&share->users, 1);
	return share;
}

void mm_share_put(struct mm_share *share)
{
	if (share && refcount_put(&share->users))
		slab_free(&slab_mm_share, share);
}

struct task *task_alloc(void)
{
	struct task *t = slab_alloc(&slab_task);

	if (!t)
		return NULL;
	refcount_init(&t->refs, 2);
	spin_init(&t->lock);
	list_init(&t->tg_link);
	list_init(&t->children);
	futex_pi_task_init(&t->futex_pi);
	sigpending_init(&t->pending);
	t->syscall_nr = -1;
	t->restart.deadline = NO_DEADLINE;
	return t;
}

struct thread_group *thread_group_alloc(void)
{
	struct thread_group *tg = slab_alloc(&slab_thread_group);

	if (!tg)
		return NULL;
	refcount_init(&tg->refs, 1);
	list_init(&tg->signalfds);
	list_init(&tg->tasks);
	list_init(&tg->sibling);
	list_init(&tg->pgrp_link);
	sigpending_init(&tg->pending);
	waitq_init(&tg->child_waitq);
	group_timers_init(tg);
	tg->dumpable = true;
	tg->coredump_filter = 0x33;
	return tg;
}

void thread_group_get(struct thread_group *tg)
{
	refcount_get(&tg->refs);
}

void thread_group_put(struct thread_group *tg)
{
	if (!tg || !refcount_put(&tg->refs))
		return;
	pid_put(tg->pid);
	slab_free(&slab_thread_group, tg);
}

void task_get(struct task *t)
{
	refcount_get(&t->refs);
}

void task_put(struct task *t)
{
	struct user_table *users = kernel_get()->users;

	if (!t || !refcount_put(&t->refs))
		return;
	sighand_put(t->sighand);
	thread_group_put(t->tg);
	pid_put(t->pid);
	cred_put(t->subject.cred);
	uts_ns_put(t->uts_ns);
	user_usage_put(users, t->user);
	user_usage_put(users, t->charged);
	slab_free(&slab_task, t);
}

/* ---- links ---- */

void task_link(struct task *t)
{
	struct kernel *k = kernel_get();

	t->pid->task = t;
	list_add_tail(&t->tg->tasks, &t->tg_link);
	__atomic_fetch_add(&t->tg->task_count, 1, __ATOMIC_RELAXED);
	t->tg->live_count++;
	t->tg->mm_users++;
	__atomic_fetch_add(&k->task_count, 1, __ATOMIC_RELAXED);
	atomic_fetch_add_explicit(&k->forks, 1, memory_order_relaxed);
	t->charged = user_usage_get(t->user);
	atomic_fetch_add(&t->charged->tasks, 1);
}

void group_link(struct thread_group *tg, struct task *leader, struct task *parent)
{
	tg->leader = leader;
	tg->pid->tg = tg;
	tg->parent = parent;
	if (parent) {
		list_add_tail(&parent->children, &tg->sibling);
		tg->has_child_subreaper =
			parent->tg->has_child_subreaper || parent->tg->child_subreaper;
	}
}

/* ---- platform threads of others ---- */

struct pf_thread *task_pin_thread(struct task *t)
{
	struct pf_thread *thread;

	spin_lock(&t->lock, &lc_task);
	thread = t->subject.thread;
	if (thread)
		t->thread_pins++;
	spin_unlock(&t->lock, &lc_task);
	return thread;
}

void task_unpin_thread(struct task *t)
{
	spin_lock(&t->lock, &lc_task);
	if (--t->thread_pins == 0 && t->subject.fiber)
		fiber_unpark(t->subject.fiber);
	spin_unlock(&t->lock, &lc_task);
}

static bool thread_pinned(struct task *t)
{
	bool pinned;

	spin_lock(&t->lock, &lc_task);
	pinned = t->thread_pins > 0;
	spin_unlock(&t->lock, &lc_task);
	return pinned;
}

void task_hurry(struct task *t)
{
	struct pf_thread *thread = task_pin_thread(t);

	if (!thread)
		return;
	pf_interrupt(thread);
	task_unpin_thread(t);
}

struct old_space task_replace_space(struct task *t, struct mm *mm, struct pf_thread *thread,
				    struct mm_share *share)
{
	struct old_space old = { t->subject.mm, t->subject.thread, t->mm_share };

	spin_lock(&t->lock, &lc_task);
	t->subject.mm = mm;
	t->subject.thread = thread;
	t->mm_share = share;
	spin_unlock(&t->lock, &lc_task);
	while (thread_pinned(t))
		fiber_park(NO_DEADLINE);
	return old;
}

void old_space_release(struct old_space *old)
{
	if (old->thread)
		pf_thread_destroy(old->thread);
	if (old->mm)
		mm_put(old->mm);
	mm_share_put(old->share);
}

bool task_mm_private(struct task *t)
{
	bool private;

	tasks_lock();
	private = t->mm_share && refcount_read(&t->mm_share->users) == t->tg->mm_users;
	tasks_unlock();
	return private;
}

/* ---- look-ups ---- */

struct pid_ns *task_pid_ns(const struct task *t)
{
	return t->tg->pid->ns;
}

u32 task_tid(const struct task *t)
{
	return pid_nr(t->pid, t->pid->ns);
}

u32 task_tgid(const struct task *t)
{
	return pid_nr(t->tg->pid, t->tg->pid->ns);
}

struct task *task_lookup_get(struct task *caller, u32 tid)
{
	struct task *t;

	tasks_lock();
	t = task_find(task_pid_ns(caller), tid);
	if (t)
		task_get(t);
	tasks_unlock();
	return t;
}

struct task *process_lookup_get(struct task *caller, u32 pid)
{
	struct thread_group *tg;
	struct task *t = NULL;

	tasks_lock();
	tg = group_find(task_pid_ns(caller), pid);
	if (tg && tg->leader) {
		t = tg->leader;
		task_get(t);
	}
	tasks_unlock();
	return t;
}

struct mm *task_get_mm(struct task *t)
{
	struct mm *mm;

	spin_lock(&t->lock, &lc_task);
	mm = t->subject.mm;
	if (mm)
		mm_get(mm);
	spin_unlock(&t->lock, &lc_task);
	return mm;
}

struct fdtable *task_get_files(struct task *t)
{
	struct fdtable *files;

	spin_lock(&t->lock, &lc_task);
	files = t->subject.files;
	if (files)
		fdtable_get(files);
	spin_unlock(&t->lock, &lc_task);
	return files;
}

struct fs_context *task_get_fs(struct task *t)
{
	struct fs_context *fs;

	spin_lock(&t->lock, &lc_task);
	fs = t->subject.fs;
	if (fs)
		fs_context_get(fs);
	spin_unlock(&t->lock, &lc_task);
	return fs;
}

const struct cred *task_get_cred(struct task *t)
{
	const struct cred *c;

	spin_lock(&t->lock, &lc_task);
	c = cred_get(t->subject.cred);
	spin_unlock(&t->lock, &lc_task);
	return c;
}

char task_state_char(struct task *t)
{
	u32 state = atomic_load_explicit(&t->run_state, memory_order_relaxed);
	char c;

	tasks_lock();
	if (t->released)
		c = 'X';
	else if (t->exit_notified)
		c = 'Z';
	else if (atomic_load(&t->stop) == STOP_GROUP)
		c = 'T';
	else if (atomic_load(&t->stop))
		c = 'D';
	else if (t->subject.fiber != fiber_current() && state == RUN_SYSCALL_INVOKE)
		c = 'S';
	else
		c = 'R';
	tasks_unlock();
	return c;
}

/* ---- access and credentials ---- */

bool task_may_access(struct task *caller, struct task *target, bool attach)
{
	const struct cred *own = caller->subject.cred, *c;
	bool ok;

	if (caller->tg == target->tg)
		return true;
	c = task_get_cred(target);
	ok = own->fsuid == c->uid && own->fsuid == c->euid && own->fsuid == c->suid &&
	     own->fsgid == c->gid && own->fsgid == c->egid && own->fsgid == c->sgid;
	if (attach)
		ok = own->uid == c->uid && own->uid == c->euid && own->uid == c->suid &&
		     own->gid == c->gid && own->gid == c->egid && own->gid == c->sgid;
	/* Besides the ids, the target must be dumpable and have no capability that the caller
	 * lacks. */
	ok = ok && target->tg->dumpable && !(c->cap_permitted & ~own->cap_permitted);
	ok = ok || cred_has_cap(own, c->user_ns, CAP_SYS_PTRACE);
	cred_put(c);
	return ok;
}

/* Count t by its new real uid; without memory for a record the old one is kept. */
static void change_user(struct task *t, u32 uid)
{
	struct user_table *users = kernel_get()->users;
	struct user_usage *user = user_usage_find(users, uid), *old;

	if (!user)
		return;
	tasks_lock();
	spin_lock(&t->lock, &lc_task);
	old = t->user;
	t->user = user_usage_get(user);
	spin_unlock(&t->lock, &lc_task);
	if (t->charged) {
		atomic_fetch_sub(&t->charged->tasks, 1);
		user_usage_put(users, t->charged);
		t->charged = user;
		atomic_fetch_add(&user->tasks, 1);
		user = NULL;
	}
	tasks_unlock();
	user_usage_put(users, user);
	user_usage_put(users, old);
}

void task_commit_cred(struct task *t, struct cred *new)
{
	const struct cred *old = t->subject.cred;

	if (old->euid != new->euid || old->egid != new->egid || old->fsuid != new->fsuid ||
	    old->fsgid != new->fsgid || (new->cap_permitted & ~old->cap_permitted)) {
		t->tg->dumpable = false;
		tasks_lock();
		t->parent_death_signal = 0;
		tasks_unlock();
	}
	if (old->uid != new->uid)
		change_user(t, new->uid);
	spin_lock(&t->lock, &lc_task);
	t->subject.cred = new;
	spin_unlock(&t->lock, &lc_task);
	cred_put(old);
}

/* Every descendant learns that it has a reaper above; whoever is forked later inherits that. */
static void mark_descendants(struct thread_group *top) REQUIRES(lc_tasks)
{
	struct thread_group *tg = top;
	struct kernel *k = kernel_get();

	/* No recursion: each process looks up its own chain. */
	for (u32 nr = 1; nr < k->pid_ns->table_size; nr++) {
		struct task *above;

		tg = group_find(k->pid_ns, nr);
		if (!tg || tg == top)
			continue;
		for (above = tg->parent; above && above->tg != top; above = above->tg->parent)
			if (above->tg->has_child_subreaper)
				break;
		if (above)
			tg->has_child_subreaper = true;
	}
}

void task_set_subreaper(struct task *t, bool on)
{
	tasks_lock();
	t->tg->child_subreaper = on;
	if (on)
		mark_descendants(t->tg);
	tasks_unlock();
}
