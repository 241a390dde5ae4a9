#pragma once

/* How tasks and thread groups are made, become another program, and go: what only src/kernel needs.
 */

#include "kernel/task.h"

/* Counts the tasks that use an mm: others hold references to the mm too (/proc), so its own count
 * does not tell. */
struct mm_share {
	struct refcount users;
};
[[nodiscard]] struct mm_share *mm_share_create(void);
void mm_share_put(struct mm_share *share); /* null is fine */

/*
 * gather.c: references to all tasks, or to one for each address space, which two processes may
 * share; as many as memory permits. gathered_put drops them.
 */
struct gathered {
	struct gathered_task {
		struct task *task;
		const struct mm *mm; /* what it was, to tell it from others; not owned */
		bool pinned; /* for who gathered them */
	} * at;
	u32 count, room;
};
void gather_tasks(struct gathered *ret);
void gather_memories(struct gathered *ret);
void gathered_put(struct gathered *g);

/* namespace.c: a first UTS namespace; a copy of one. Null when memory is short. */
[[nodiscard]] struct uts_ns *uts_ns_create(const char *hostname);
[[nodiscard]] struct uts_ns *uts_ns_copy(struct uts_ns *from);

/* A task with its locks and lists set up and two references: its fiber's and that of being linked.
 */
[[nodiscard]] struct task *task_alloc(void);
[[nodiscard]] struct thread_group *thread_group_alloc(void);
void thread_group_get(struct thread_group *tg);
void thread_group_put(struct thread_group *tg); /* null is fine */
/* Make t, all of whose parts are set, a thread of its group. */
void task_link(struct task *t) REQUIRES(lc_tasks);
/* Make the group a child of parent (or null) with its leader t. */
void group_link(struct thread_group *tg, struct task *leader, struct task *parent)
	REQUIRES(lc_tasks);
/* Make it run. */
void task_start(struct task *t);
/* The function of a task's fiber; arg is the task. */
void task_main(void *arg);
static inline void run_state_set(struct task *t, enum run_state state)
{
	atomic_store_explicit(&t->run_state, state, memory_order_relaxed);
}

/*
 * Use another task's platform thread: null if it has none. Until unpinned the thread is not
 * destroyed; its owner waits for that, so it must be soon.
 */
struct pf_thread *task_pin_thread(struct task *t);
void task_unpin_thread(struct task *t);
/* Replace t's mm and platform thread (exec; null: exit). The old ones are handed back, the thread
 * unpinned. Own fiber; parks. */
struct old_space {
	struct mm *mm;
	struct pf_thread *thread;
	struct mm_share *share;
};
struct old_space task_replace_space(struct task *t, struct mm *mm, struct pf_thread *thread,
				    struct mm_share *share);
void old_space_release(struct old_space *old);
/* True if no task outside t's group uses t's mm. */
bool task_mm_private(struct task *t);

/* Exit and exec: what the old address space is owed (robust list, clear_child_tid, vfork parent).
 * Own fiber. */
void task_leave_mm(struct task *t, bool exiting);
/* Let the parent that waits in vfork go on. */
void vfork_release(struct task *t);
void vfork_wait_begin(struct task *t, struct task *child) REQUIRES(lc_tasks, lc_sighand);

/* Have kernel_wait look whether what it waits for has happened. */
void kernel_wake_waiter(void) REQUIRES(lc_tasks);
/* Unlink a zombie and drop its link reference. */
void task_release(struct task *t) REQUIRES(lc_tasks);
/* Tell the parent that the group is gone. True if nobody will wait for it. */
bool exit_notify_parent(struct thread_group *tg) REQUIRES(lc_tasks);
/* si_pid, si_uid, si_utime, si_stime of a SIGCHLD about tg for its parent. */
void lifecycle_fill_child_info(struct thread_group *tg, siginfo_t *info) REQUIRES(lc_tasks);
/* RUN_EXIT_MAIN, RUN_EXIT_NOTIFY. */
void exit_main(struct task *t);
void exit_notify(struct task *t);
/* Free a task that was never linked; takes what it has. Parks. */
void task_discard(struct task *t);

/* RUN_EXEC_WAIT_THREADS. */
void exec_wait_threads(struct task *t);
/* First program of the first process: as execve, without an old one. t is not linked yet. */
[[nodiscard]] int exec_first(struct task *t, const char *file, struct exec_strings *strings);
void exec_build_discard(struct task *t);

/* CPU times of t as far as it is known without asking the host. */
struct task_cpu_times task_cpu_times_seen(const struct task *t);
/* Own fiber: bring them up to date. */
void task_cpu_times_update(struct task *t);
void rusage_add(struct rusage_ns *sum, const struct rusage_ns *more);
void io_usage_add(struct io_usage *sum, const struct io_usage *more);
