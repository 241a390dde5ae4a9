#pragma once

/* Signals and stops: what only src/kernel needs. Locks: lc_tasks before a sighand's before a
 * task's. */

#include "kernel/task.h"

#define SIG_DFL_K 0UL
#define SIG_IGN_K 1UL
#define SIGRTMIN_K 32

#define SIG_ONLY_KERNEL (SIGMASK(SIGKILL) | SIGMASK(SIGSTOP))
#define SIG_STOPS (SIGMASK(SIGSTOP) | SIGMASK(SIGTSTP) | SIGMASK(SIGTTIN) | SIGMASK(SIGTTOU))
#define SIG_IGNORED_BY_DEFAULT \
	(SIGMASK(SIGCONT) | SIGMASK(SIGCHLD) | SIGMASK(SIGWINCH) | SIGMASK(SIGURG))
#define SIG_DUMPS_CORE \
	(SIGMASK(SIGQUIT) | SIGMASK(SIGILL) | SIGMASK(SIGTRAP) | SIGMASK(SIGABRT) | \
	 SIGMASK(SIGFPE) | SIGMASK(SIGSEGV) | SIGMASK(SIGBUS) | SIGMASK(SIGSYS) | \
	 SIGMASK(SIGXCPU) | SIGMASK(SIGXFSZ))
#define SIG_SYNCHRONOUS \
	(SIGMASK(SIGSEGV) | SIGMASK(SIGBUS) | SIGMASK(SIGILL) | SIGMASK(SIGTRAP) | \
	 SIGMASK(SIGFPE) | SIGMASK(SIGSYS))

/* ---- handlers and queues ---- */

[[nodiscard]] struct sighand *sighand_create(sigset64 ignored); /* others default */
[[nodiscard]] struct sighand *sighand_copy(struct sighand *from);
void sighand_get(struct sighand *h);
void sighand_put(struct sighand *h); /* null is fine */
/* All handled signals to the default (exec, CLONE_CLEAR_SIGHAND); ignored ones stay ignored. */
void sighand_reset(struct sighand *h) REQUIRES(lc_sighand);
void sigpending_init(struct sigpending *p);
void sigpending_flush(struct sigpending *p, sigset64 mask) REQUIRES(lc_sighand);
/* Take q out of its queue and free it, unless it belongs to a timer. */
void sigqueue_remove(struct sigqueue *q) REQUIRES(lc_sighand);
/* A queue entry for a POSIX timer; or null. */
[[nodiscard]] struct sigqueue *sigqueue_preallocate(struct task *t, struct posix_timer *timer);
/* The timer is gone: free q, or leave it to whoever takes the signal if it is pending. */
void sigqueue_abandon(struct sigqueue *q) REQUIRES(lc_sighand);

/* ---- sending ---- */

/* Send with the task set held: to the process (group) or t alone. pre: queue entry to use, or null.
 */
int signal_post(struct task *t, const siginfo_t *info, bool group, struct sigqueue *pre)
	REQUIRES(lc_tasks);
/* The part that needs t's sighand; *ret_note gets CLD_CONTINUED or CLD_STOPPED if the parent must
 * then be told. */
int signal_queue(struct task *t, const siginfo_t *info, bool group, struct sigqueue *pre,
		 int *ret_note) REQUIRES(lc_tasks, lc_sighand);
/* The handlers say that sig is to be ignored. */
bool signal_is_ignored(const struct sighand *h, int sig) REQUIRES(lc_sighand);
/* Make t look for signals; kill: end its sleep and stops whatever they are. */
void signal_wake(struct task *t, bool kill) REQUIRES(lc_sighand);
/* Give every thread of the group but except SIGKILL. */
void signal_zap_others(struct thread_group *tg, const struct task *except)
	REQUIRES(lc_tasks, lc_sighand);
/* Set t's flags and its fiber's by whether something waits. */
void signal_recalc(struct task *t) REQUIRES(lc_sighand);
/* SIGKILL waits for t. */
bool signal_kill_pending(const struct task *t) REQUIRES(lc_sighand);
/* Signals of the process that t was to take and no longer can: wake others for them. */
void signal_retarget(struct task *t, sigset64 which) REQUIRES(lc_tasks, lc_sighand);
/* Own fiber: as signal_force, but the process dies of it whatever it has set up. */
void signal_force_fatal(struct task *t, int sig);

/* ---- delivery (own fiber) ---- */

struct ksignal {
	int sig;
	siginfo_t info;
	struct sigaction_k action;
};
/* Take the next signal that has a handler into *ret: 1. 0: nothing is left. -1: the run state has
 * changed, or a stop has begun. */
int signal_get(struct task *t, struct ksignal *ret);
/* Build the handler's frame and set the registers, or send SIGSEGV. */
void signal_deliver(struct task *t, struct ksignal *k);
/* Make the frame: 0 or -EFAULT. sigframe.c */
int sigframe_build(struct task *t, const struct ksignal *k, sigset64 saved_mask);
int altstack_set(struct task *t, const stack_t *ss, u64 sp);
stack_t altstack_show(const struct task *t, u64 sp);
void altstack_reset(struct task *t);

/* ---- stops ---- */

/* Begin, or take part in, a group stop; sig: the stop signal that was dequeued, 0: one is under
 * way. True if t has to stop now. Own fiber. */
bool stop_join(struct task *t, int sig);
/* t will not stop any more (exits): true if with that all others have. */
bool stop_leave(struct task *t) REQUIRES(lc_sighand);
/* End the group stop (SIGCONT): returns the CLD_ code to tell the parent, or 0. */
int stop_continue(struct thread_group *tg) REQUIRES(lc_tasks, lc_sighand);
/* Tell the parent that tg has stopped or continued. */
void stop_notify_parent(struct thread_group *tg, int code) REQUIRES(lc_tasks);
/* Park while t is stopped. Own fiber, between two states. */
void stop_wait(struct task *t);
/* Put t (own fiber) into an internal stop, or end one of that kind. */
void stop_begin(struct task *t, enum stop_kind kind) REQUIRES(lc_sighand);
void stop_end(struct task *t, enum stop_kind kind) REQUIRES(lc_sighand);
/* Unpark t's fiber, if it has one. */
void task_unpark(struct task *t);
/* External stops (pause, checkpoint): counted. */
void task_external_stop_begin(struct task *t);
void task_external_stop_end(struct task *t);
