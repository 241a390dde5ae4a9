/*
 * The root object, the first process, and the end.
 *
 * The first process is pid 1 of the root namespace. When it has exited, all other tasks are killed;
 * when the last of them is gone, and its fiber has ended, kernel_wait returns the first one's
 * status.
 */

#include "kernel/task.h"

#include <linux/prctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "arena/slab.h"
#include "cred/user.h"
#include "host/host.h"
#include "kernel/ctty.h"
#include "kernel/lifecycle.h"
#include "kernel/pid.h"
#include "kernel/signal.h"
#include "loader/loader.h"
#include "mm/mm.h"
#include "vfs/fdtable.h"
#include "vfs/path.h"

#define TASK_LIMIT_DEFAULT (PID_MAX - 512)
#define TIMER_SLACK_DEFAULT 50'000

SLAB_CLASS(kernel, struct kernel, TRANSIENT(struct kernel, waiter));

/* ---- boot ---- */

/* Which CPUs the guest sees: the host's by their numbers, or count virtual ones. */
static void cpus_init(struct kernel *k, u32 count)
{
	k->virtual_cpus = count != 0;
	if (!count && host_sched_getaffinity(0, sizeof(k->cpu_mask), k->cpu_mask) > 0) {
		for (u32 i = 0; i < sizeof(k->cpu_mask); i++)
			k->cpu_count += (u32)__builtin_popcount(k->cpu_mask[i]);
		return;
	}
	k->cpu_count = min(max(count, 1u), (u32)sizeof(k->cpu_mask) * 8);
	for (u32 i = 0; i < k->cpu_count; i++)
		k->cpu_mask[i / 8] |= (u8)(1u << (i % 8));
}

int kernel_create(const struct kernel_args *args)
{
	struct kernel *k = slab_alloc(&slab_kernel);
	int err;

	if (!k)
		return -ENOMEM;
	spin_init(&k->tasks_lock);
	spin_init(&k->sysctls.lock);
	list_init(&k->sysctls.values);
	spin_init(&k->load.lock);
	k->load.updated = host_clock(CLOCK_BOOTTIME);
	k->task_limit = args->task_limit ? args->task_limit : TASK_LIMIT_DEFAULT;
	k->memory = args->memory;
	k->boot_time = host_clock(CLOCK_BOOTTIME);
	cpus_init(k, args->cpus);
	k->users = user_table_create();
	k->uts_ns = uts_ns_create(args->hostname);
	err = k->users && k->uts_ns ? user_ns_create_root(&k->user_ns) : -ENOMEM;
	if (!err)
		err = pid_ns_create(NULL, &k->pid_ns);
	if (err) {
		user_ns_put(k->user_ns);
		uts_ns_put(k->uts_ns);
		user_table_destroy(k->users);
		slab_free(&slab_kernel, k);
		return err;
	}
	arena_set_root(k);
	return 0;
}

/* ---- the first process ---- */

static int strings_fill(struct exec_strings *x, const char *const *argv, const char *const *envp)
{
	int err = 0;

	exec_strings_init(x);
	for (; !err && *argv; argv++, x->argc++)
		err = exec_strings_add(x, *argv, strlen(*argv));
	for (; !err && *envp; envp++, x->envc++)
		err = exec_strings_add(x, *envp, strlen(*envp));
	return err;
}

/* The parts of the first task that need nothing of each other. */
static int init_parts(struct task *t, const struct process_args *args)
{
	struct kernel *k = kernel_get();
	struct subject *s = &t->subject;
	int err;

	s->cred = cred_get(args->cred);
	t->user = user_usage_find(k->users, args->cred->uid);
	t->uts_ns = k->uts_ns;
	uts_ns_get(t->uts_ns);
	t->sighand = sighand_create(args->ignored);
	t->blocked = args->blocked & ~SIG_ONLY_KERNEL;
	t->tg = thread_group_alloc();
	if (!t->user || !t->sighand || !t->tg)
		return -ENOMEM;
	rlimits_init(&t->tg->rlimits);
	s->rlimits = &t->tg->rlimits;
	err = pid_alloc(k->pid_ns, NULL, 0, &t->pid);
	if (err)
		return err;
	pid_get(t->pid);
	t->tg->pid = t->pid;
	s->tid = s->tgid = t->pid->number[0];
	err = fs_context_create(args->mount_ns, &s->fs);
	if (err)
		return err;
	s->fs->umask = args->umask;
	memcpy(t->affinity, k->cpu_mask, sizeof(t->affinity));
	t->timer_slack = TIMER_SLACK_DEFAULT;
	t->mce_policy = PR_MCE_KILL_DEFAULT;
	t->start_time = host_clock(CLOCK_BOOTTIME);
	t->exit_signal = SIGCHLD;
	s->fiber = fiber_create(task_main, t);
	return s->fiber ? 0 : -ENOMEM;
}

static int init_workdir(struct task *t, const char *workdir)
{
	struct path path;
	int err;

	if (!workdir)
		return 0;
	err = path_walk(&t->subject, AT_FDCWD, workdir, WALK_FOLLOW | WALK_DIRECTORY, &path);
	if (err)
		return err;
	fs_context_set_cwd(t->subject.fs, &path);
	path_put(&path);
	return 0;
}

/* Enter the first task into the tables, as leader of its own process group and session. */
static void init_link(struct task *t, struct process_group *g, struct session *s, struct ctty *tty)
{
	struct kernel *k = kernel_get();
	struct thread_group *tg = t->tg;

	tasks_lock();
	task_link(t);
	group_link(tg, t, NULL);
	session_found(s, tg->pid);
	s->leader = tg;
	pgrp_found(g, tg->pid, s);
	pgrp_join(tg, g);
	if (tty)
		ctty_adopt(tg, tty);
	k->init = tg;
	k->pid_ns->reaper = t;
	tasks_unlock();
}

static int init_create(struct task *t, const struct process_args *args)
{
	struct process_group *g = pgrp_alloc();
	struct session *s = session_alloc();
	struct exec_strings strings;
	int err = g && s ? 0 : -ENOMEM;

	if (!err)
		err = init_parts(t, args);
	if (!err)
		err = init_workdir(t, args->workdir);
	if (!err) {
		err = strings_fill(&strings, args->argv, args->envp);
		if (!err)
			err = exec_first(t, args->file, &strings);
		exec_strings_fini(&strings);
	}
	if (!err)
		init_link(t, g, s, args->tty);
	pgrp_put(g);
	session_put(s);
	return err;
}

int kernel_create_init(const struct process_args *args)
{
	struct kernel *k = kernel_get();
	struct task *t = task_alloc();
	int err;

	if (!t)
		return -ENOMEM;
	k->mount_ns = args->mount_ns;
	/* Descriptors are not needed before, and are the caller's until all else has succeeded. */
	err = init_create(t, args);
	if (err) {
		task_discard(t);
		return err;
	}
	t->subject.files = args->files;
	task_start(t);
	return 0;
}

/* ---- the end ---- */

void kernel_kill_all(void)
{
	struct pid_ns *ns = kernel_get()->pid_ns;
	siginfo_t info;

	siginfo_kernel(&info, SIGKILL);
	tasks_lock();
	spin_lock(&ns->lock, &lc_pidns);
	ns->dying = true;
	spin_unlock(&ns->lock, &lc_pidns);
	for (u32 nr = 1; nr < PID_MAX; nr++) {
		struct thread_group *tg = group_find(ns, nr);

		if (tg && tg->leader)
			(void)signal_post(tg->leader, &info, true, NULL);
	}
	tasks_unlock();
}

static bool all_gone(struct kernel *k)
{
	return atomic_load(&k->exited) && !atomic_load(&k->fiber_count);
}

/* Not a waiter on a queue: this fiber is no task's, and is still there when all those have
 * stopped, so nothing in the arena may point to its stack. */
static void set_waiter(struct kernel *k, struct fiber *f)
{
	tasks_lock();
	k->waiter = f;
	tasks_unlock();
}

void kernel_wake_waiter(void)
{
	struct kernel *k = kernel_get();

	if (k->waiter)
		fiber_unpark(k->waiter);
}

int kernel_wait(s64 deadline, int *ret_status)
{
	struct kernel *k = kernel_get();
	u32 stopped = 0;
	int err = 0;

	set_waiter(k, fiber_current());
	while (!all_gone(k) && !err && !(stopped = atomic_exchange(&k->init_stop_signal, 0)))
		err = fiber_park(deadline);
	set_waiter(k, NULL);
	if (!all_gone(k) && stopped) {
		*ret_status = W_STOPCODE((int)stopped);
		return 1;
	}
	if (!all_gone(k))
		return err;
	*ret_status = k->exit_status;
	return 0;
}

int kernel_signal_init(int sig, bool group)
{
	struct kernel *k = kernel_get();
	siginfo_t info = { .si_signo = sig, .si_code = SI_USER };
	int err = -ESRCH;

	if (sig < 1 || sig > GUEST_NSIG)
		return -EINVAL;
	tasks_lock();
	if (group && k->init && k->init->pgrp)
		err = signal_send_pgrp(k->init->pgrp, &info);
	else if (k->init && k->init->leader)
		err = signal_post(k->init->leader, &info, true, NULL);
	tasks_unlock();
	return err;
}
