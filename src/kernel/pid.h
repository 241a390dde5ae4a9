#pragma once

/* Pids, process groups and sessions: what only src/kernel needs. */

#include "kernel/task.h"

#define PID_MAX 32768

[[nodiscard]] int pid_ns_create(struct pid_ns *parent, struct pid_ns **ret);
void pid_ns_get(struct pid_ns *ns);
void pid_ns_put(struct pid_ns *ns);
/*
 * A new pid in ns and its ancestors, with one reference for the caller; it is in the tables at
 * once, but finds nothing. set_tid: numbers wanted, innermost first, for the count innermost
 * levels. -EAGAIN: none is free; -EEXIST; -ENOMEM, also when the namespace is dying.
 */
[[nodiscard]] int pid_alloc(struct pid_ns *ns, const u32 *set_tid, u32 count, struct pid **ret);
void pid_get(struct pid *p);
void pid_put(struct pid *p); /* null is fine */
/* Take p's numbers out of the tables if neither a task, a process, a group nor a session uses it
 * any more. */
void pid_release_unused(struct pid *p) REQUIRES(lc_tasks);
struct pid *pid_find(struct pid_ns *ns, u32 nr) REQUIRES(lc_tasks);

/* Process groups and sessions. A group lives while it has members, a session while it has groups.
 */
[[nodiscard]] struct process_group *pgrp_alloc(void);
[[nodiscard]] struct session *session_alloc(void);
/* Found a group of pid in session; both gain what they need. g is a fresh pgrp_alloc. */
void pgrp_found(struct process_group *g, struct pid *pid, struct session *session)
	REQUIRES(lc_tasks);
void session_found(struct session *s, struct pid *pid) REQUIRES(lc_tasks);
/* Move tg into g (null: into none), leaving the group it was in, which may end with that. */
void pgrp_join(struct thread_group *tg, struct process_group *g) REQUIRES(lc_tasks);
void pgrp_put(struct process_group *g); /* null is fine */
void session_put(struct session *s); /* null is fine */
/* True if no member's parent is in another group of the session. ignored: a group about to be gone,
 * or null. */
bool pgrp_is_orphaned(struct process_group *g, const struct thread_group *ignored)
	REQUIRES(lc_tasks);
/* SIGHUP and SIGCONT to tg's group if it has stopped members and is orphaned by what happens now:
 * tg has just been taken away from parent (its tg->parent is the new one), or, with parent null, tg
 * has exited. */
void pgrp_check_orphaned(struct thread_group *tg, struct task *parent) REQUIRES(lc_tasks);
