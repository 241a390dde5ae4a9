/*
 * execve.
 *
 * In three steps. *Decide*: find the file, let the loader resolve scripts and check headers
 * (loader_plan), work out the credentials. Any error up to here leaves the caller as it was.
 * *Build*: a fresh address space with the image in it, next to the old one. An error here is fatal,
 * as in Linux: the process dies of SIGSEGV; only want of a space is still returned. *Commit*: once
 * this thread is the only one of its group, the old space goes and the process becomes the new
 * program.
 *
 * Between build and commit the other threads are killed and waited for, in the state
 * RUN_EXEC_WAIT_THREADS; what has been built hangs on the task meanwhile. If the group exits first,
 * it is thrown away. A thread that is not the leader takes over the leader's place: the pid, the
 * position among the parent's children.
 *
 * Linux kills the other threads before it builds; nobody can tell the difference, but for the
 * lesser use of memory.
 */

#include "kernel/task.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>

#include "arena/slab.h"
#include "kernel/lifecycle.h"
#include "kernel/pid.h"
#include "kernel/signal.h"
#include "kernel/timers.h"
#include "loader/loader.h"
#include "mm/mm.h"
#include "vfs/fdtable.h"
#include "vfs/path.h"

#define FILENAME_ROOM (PATH_MAX_GUEST + 32)

/* An image that waits to become the task's. */
struct exec_build {
	struct mm *mm; /* owned */
	struct pf_thread *thread; /* owned; transient */
	struct mm_share *share; /* owned */
	struct cred *cred; /* owned */
	struct guest_regs regs;
	char comm[16];
	bool secure; /* gained privilege: AT_SECURE */
	bool unreadable; /* the file may not be read: so neither may the memory */
};

SLAB_CLASS(exec_build, struct exec_build, TRANSIENT(struct exec_build, thread));

static void exec_build_free(struct exec_build *b)
{
	struct old_space space;

	if (!b)
		return;
	space = (struct old_space){ b->mm, b->thread, b->share };
	old_space_release(&space);
	cred_put(b->cred);
	slab_free(&slab_exec_build, b);
}

void exec_build_discard(struct task *t)
{
	exec_build_free(t->exec);
	t->exec = NULL;
}

/* ---- credentials ---- */

/* The ids that a set-user-ID or set-group-ID file gives, if nothing forbids that. */
static void apply_suid(struct task *t, const struct file *file, struct cred *c)
{
	const struct inode *inode = file->inode;
	const struct mount *mnt = file->path.mnt;
	u32 mode = inode->mode;

	/* A file that is mounted nowhere, a memfd, gives nobody anything. */
	if (t->no_new_privs || !mnt || ((mnt->flags | inode->sb->flags) & SB_NOSUID))
		return;
	if (mode & S_ISUID)
		c->euid = inode->uid;
	if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		c->egid = inode->gid;
}

/* Capabilities across exec, capabilities(7), for files without capabilities of their own. */
static void apply_caps(struct cred *c, const struct cred *old, bool ids_changed)
{
	u64 inheritable = 0, permitted = 0;
	bool effective = false;

	if (ids_changed)
		c->cap_ambient = 0;
	if (!(c->securebits & SECBIT_NOROOT) && (c->euid == 0 || c->uid == 0)) {
		inheritable = permitted = ~0UL;
		effective = c->euid == 0;
	}
	c->cap_permitted = (old->cap_inheritable & inheritable) | (c->cap_bounding & permitted) |
			   c->cap_ambient;
	c->cap_effective = effective ? c->cap_permitted : c->cap_ambient;
	c->keep_caps = false;
	c->securebits &= ~(u32)SECBIT_KEEP_CAPS;
}

/* Does a task of another process share t's root and working directory? It could change them under a
 * program that has gained privilege. */
static bool shares_fs(struct task *t)
{
	struct fs_context *fs = t->subject.fs;
	struct task *other;
	u32 own = 0;
	bool ret;

	tasks_lock();
	list_for_each(other, &t->tg->tasks, tg_link) {
		spin_lock(&other->lock, &lc_task);
		own += other->subject.fs == fs;
		spin_unlock(&other->lock, &lc_task);
	}
	ret = atomic_load(&fs->users) > own;
	tasks_unlock();
	return ret;
}

/* What was gained is given up if that would not be safe. */
static void withhold_gains(struct task *t, struct cred *c, const struct cred *old)
{
	bool set_id = c->euid != old->euid || c->egid != old->egid;

	if ((!set_id && !(c->cap_permitted & ~old->cap_permitted)) || !shares_fs(t))
		return;
	if (!cred_has_cap(old, old->user_ns, CAP_SETUID)) {
		c->euid = c->uid;
		c->egid = c->gid;
	}
	c->cap_permitted &= old->cap_permitted;
	c->cap_effective &= c->cap_permitted;
}

static int decide_creds(struct task *t, const struct file *file, struct exec_build *b)
{
	const struct cred *old = t->subject.cred;
	struct cred *c = cred_dup(old);
	bool ids_changed;

	if (!c)
		return -ENOMEM;
	apply_suid(t, file, c);
	ids_changed = c->euid != old->euid || c->egid != old->egid;
	apply_caps(c, old, ids_changed);
	withhold_gains(t, c, old);
	c->suid = c->fsuid = c->euid;
	c->sgid = c->fsgid = c->egid;
	b->secure = ids_changed || c->euid != c->uid || c->egid != c->gid ||
		    (c->uid != 0 && (c->cap_effective & ~c->cap_ambient));
	b->cred = c;
	return 0;
}

/* ---- decide and build ---- */

static int open_program(struct subject *s, int dirfd, const char *path, int flags,
			struct file **ret)
{
	struct open_how_k how = { .flags = O_RDONLY | O_LARGEFILE, .walk = WALK_OPEN_EXEC };

	if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	if (flags & AT_EMPTY_PATH)
		how.walk |= WALK_EMPTY;
	if (flags & AT_SYMLINK_NOFOLLOW)
		how.flags |= O_NOFOLLOW;
	return vfs_open(s, dirfd, path, &how, ret);
}

/* The name that the program sees as its own (AT_EXECFN). */
static void make_filename(char buf[FILENAME_ROOM], int dirfd, const char *path)
{
	if (dirfd == AT_FDCWD || path[0] == '/')
		snprintf(buf, FILENAME_ROOM, "%s", path);
	else if (path[0])
		snprintf(buf, FILENAME_ROOM, "/dev/fd/%d/%s", dirfd, path);
	else
		snprintf(buf, FILENAME_ROOM, "/dev/fd/%d", dirfd);
}

/* Map the image into a new space, on behalf of a subject that is t's but for the space. */
static int build_image(struct task *t, struct exec_plan *plan, const char *filename,
		       struct exec_build *b, bool *ret_fatal)
{
	struct subject s = t->subject;
	int err;

	b->share = mm_share_create();
	if (!b->share)
		return -ENOMEM;
	err = mm_create(&b->mm, &b->thread);
	if (err)
		return err == -ESRCH ? -EAGAIN : err;
	if (t->personality & ADDR_NO_RANDOMIZE && !b->secure)
		mm_fix_layout(b->mm);
	s.mm = b->mm;
	s.thread = b->thread;
	s.cred = b->cred;
	memcpy(b->comm, plan->comm, sizeof(b->comm));
	b->unreadable = vfs_permission(&t->subject, &plan->named->path, R_OK) != 0;
	*ret_fatal = true;
	return loader_map(&s, plan, filename, b->secure, &b->regs);
}

/* Steps one and two. *ret_fatal: the error is one that the caller does not survive. */
static int exec_build(struct task *t, int dirfd, const char *path, struct exec_strings *strings,
		      int flags, struct exec_build **ret, bool *ret_fatal)
{
	char filename[FILENAME_ROOM];
	struct exec_plan plan;
	struct exec_build *b;
	struct file *file;
	int err;

	*ret_fatal = false;
	err = open_program(&t->subject, dirfd, path, flags, &file);
	if (err)
		return err;
	make_filename(filename, dirfd, path);
	err = loader_plan(&t->subject, file, filename, strings, &plan);
	if (err)
		return err;
	b = slab_alloc(&slab_exec_build);
	if (!b) {
		exec_plan_fini(&plan);
		return -ENOMEM;
	}
	err = decide_creds(t, plan.program, b);
	if (!err)
		err = build_image(t, &plan, filename, b, ret_fatal);
	exec_plan_fini(&plan);
	if (err) {
		exec_build_free(b);
		return err;
	}
	*ret = b;
	return 0;
}

/* ---- the other threads ---- */

/* Have all other threads die. -EAGAIN if the group is already exiting or execing. */
static int exec_kill_others(struct task *t)
{
	struct thread_group *tg = t->tg;
	struct sighand *h = t->sighand;
	int err = 0;

	tasks_lock();
	spin_lock(&h->lock, &lc_sighand);
	if (tg->exiting || tg->execing) {
		err = -EAGAIN;
	} else if (tg->task_count > 1) {
		tg->execing = t;
		signal_zap_others(tg, t);
	}
	spin_unlock(&h->lock, &lc_sighand);
	tasks_unlock();
	return err;
}

/* The threads are gone but t, and the leader if that is another: it must be a zombie by now. */
static bool others_gone(struct task *t) REQUIRES(lc_tasks)
{
	struct thread_group *tg = t->tg;

	if (tg->leader == t)
		return tg->task_count == 1;
	return tg->task_count == 2 && tg->leader->exit_notified;
}

/* Become the leader: t gets the pid of the process, the old leader t's, with which it is released.
 */
static void take_over_leader(struct task *t) REQUIRES(lc_tasks)
{
	struct thread_group *tg = t->tg;
	struct task *leader = tg->leader;
	struct pid *own = t->pid;

	t->start_time = leader->start_time;
	t->pid = leader->pid;
	t->pid->task = t;
	leader->pid = own;
	own->task = leader;
	t->subject.tid = t->subject.tgid;
	t->parent_exec_id = leader->parent_exec_id;
	tg->leader = t;
	if (tg->pid->ns->reaper == leader)
		tg->pid->ns->reaper = t;
	task_release(leader);
}

/* ---- commit ---- */

/* Handlers of its own, all reset: other processes may have shared them. */
static int private_sighand(struct task *t, struct sighand **ret_old)
{
	struct sighand *old = t->sighand, *new = NULL;

	*ret_old = NULL;
	if (refcount_read(&old->refs) == 1)
		return 0;
	new = sighand_copy(old);
	if (!new)
		return -ENOMEM;
	tasks_lock();
	spin_lock_two(&old->lock, &new->lock, &lc_sighand);
	t->sighand = new;
	spin_unlock_two(&old->lock, &new->lock, &lc_sighand);
	tasks_unlock();
	*ret_old = old;
	return 0;
}

static int private_files(struct task *t)
{
	struct fdtable *old = t->subject.files, *new;
	int err;

	if (fdtable_users(old) == 1)
		return 0;
	err = fdtable_fork(old, ~0u, &new);
	if (err)
		return err;
	spin_lock(&t->lock, &lc_task);
	t->subject.files = new;
	spin_unlock(&t->lock, &lc_task);
	fdtable_put(old);
	return 0;
}

static void commit_space(struct task *t, struct exec_build *b)
{
	struct old_space old;

	task_leave_mm(t, false);
	task_cpu_times_update(t);
	old = task_replace_space(t, b->mm, b->thread, b->share);
	t->user_ns_base = task_cpu_times_seen(t).user_ns;
	b->mm = NULL;
	b->thread = NULL;
	b->share = NULL;
	vfork_release(t);
	old_space_release(&old);
}

/* What a new program starts with afresh. */
static void reset_attributes(struct task *t)
{
	struct sighand *h = t->sighand;

	spin_lock(&h->lock, &lc_sighand);
	sighand_reset(h);
	spin_unlock(&h->lock, &lc_sighand);
	t->actions_used = false;
	t->actions_lent = 0;
	altstack_reset(t);
	t->altstack.flags = 0;
	t->robust_list = t->robust_list_size = 0;
	t->rseq_addr = 0;
	t->rseq_size = t->rseq_sig = 0;
	t->restart.kind = RESTART_NONE;
	t->restore_blocked = false;
	t->fault_trapno = t->fault_error = t->fault_cr2 = 0;
}

static void commit_identity(struct task *t, struct exec_build *b)
{
	struct thread_group *tg = t->tg;
	bool plain = b->cred->euid == b->cred->uid && b->cred->egid == b->cred->gid;

	task_commit_cred(t, b->cred);
	tg->dumpable = plain && !b->unreadable;
	b->cred = NULL;
	spin_lock(&t->lock, &lc_task);
	memcpy(t->comm, b->comm, sizeof(t->comm));
	spin_unlock(&t->lock, &lc_task);
	tasks_lock();
	if (b->secure) {
		t->parent_death_signal = 0;
		t->personality &= ~(u32)(READ_IMPLIES_EXEC | ADDR_NO_RANDOMIZE |
					 ADDR_COMPAT_LAYOUT | MMAP_PAGE_ZERO);
	}
	t->exit_signal = SIGCHLD;
	t->self_exec_id++;
	tg->execed = true;
	tg->execing = NULL;
	tasks_unlock();
}

static void cleanup_sighand_put(struct sighand **h)
{
	sighand_put(*h);
}

/* t is the only thread of its group. Returns an error that is fatal, or 0. */
static int exec_commit(struct task *t, struct exec_build *b)
{
	struct sighand *old __attribute__((cleanup(cleanup_sighand_put))) = NULL;
	int err;

	group_timers_end(t, false);
	err = private_files(t);
	if (!err)
		err = private_sighand(t, &old);
	if (err)
		return err;
	fdtable_close_on_exec(&t->subject);
	/* First whose it is, then the space, so that nobody finds the new one with the old rights.
	 */
	commit_identity(t, b);
	commit_space(t, b);
	reset_attributes(t);
	t->regs = b->regs;
	t->regs.orig_rax = (u64)-1;
	return 0;
}

/* The process cannot go on as it was; err: -ESRCH if its new space has died. */
static long exec_die(struct task *t, int err)
{
	if (err == -ESRCH)
		group_kill(t->tg);
	else
		signal_force_fatal(t, SIGSEGV);
	return -ENOMEM;
}

/* ---- the call ---- */

long task_execve(struct task *t, int dirfd, const char *path, struct exec_strings *strings,
		 int flags)
{
	struct exec_build *b;
	bool fatal, alone;
	int err;

	err = exec_build(t, dirfd, path, strings, flags, &b, &fatal);
	exec_strings_fini(strings);
	if (err)
		return fatal ? exec_die(t, err) : err;
	err = exec_kill_others(t);
	if (err) {
		exec_build_free(b);
		return err;
	}
	tasks_lock();
	alone = t->tg->leader == t && t->tg->task_count == 1;
	tasks_unlock();
	t->exec = b;
	if (!alone) {
		run_state_set(t, RUN_EXEC_WAIT_THREADS);
		return 0;
	}
	err = exec_commit(t, b);
	exec_build_discard(t);
	return err ? exec_die(t, err) : 0;
}

/* True if t may commit now; else it has been put to rest, or is to die. */
static bool exec_others_gone(struct task *t, bool *ret_killed)
{
	struct thread_group *tg = t->tg;
	struct sighand *h = t->sighand;
	bool gone = false;

	tasks_lock();
	spin_lock(&h->lock, &lc_sighand);
	*ret_killed = tg->exiting || signal_kill_pending(t);
	if (*ret_killed)
		tg->execing = NULL;
	else
		gone = others_gone(t);
	if (!*ret_killed && !gone)
		stop_begin(t, STOP_EXEC);
	spin_unlock(&h->lock, &lc_sighand);
	if (gone && tg->leader != t)
		take_over_leader(t);
	tasks_unlock();
	return gone;
}

void exec_wait_threads(struct task *t)
{
	bool killed;

	if (exec_others_gone(t, &killed)) {
		int err = exec_commit(t, t->exec);

		exec_build_discard(t);
		t->regs.rax = err ? (u64)exec_die(t, err) : 0;
		run_state_set(t, RUN_SYSCALL_EXIT);
	} else if (killed) {
		exec_build_discard(t);
		t->regs.rax = (u64)-EAGAIN;
		run_state_set(t, RUN_INTERRUPT);
	}
}

/* ---- the first program ---- */

int exec_first(struct task *t, const char *file, struct exec_strings *strings)
{
	struct exec_build *b;
	bool fatal;
	int err;

	err = exec_build(t, AT_FDCWD, file, strings, 0, &b, &fatal);
	if (err)
		return err;
	t->subject.mm = b->mm;
	t->subject.thread = b->thread;
	t->mm_share = b->share;
	t->regs = b->regs;
	t->regs.orig_rax = (u64)-1;
	memcpy(t->comm, b->comm, sizeof(t->comm));
	b->mm = NULL;
	b->thread = NULL;
	b->share = NULL;
	exec_build_free(b);
	return 0;
}
