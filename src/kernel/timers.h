#pragma once

/* Timers of a process: what only src/kernel needs. All state is under the sighand's lock. */

#include "kernel/task.h"

void group_timers_init(struct thread_group *tg);
/* Exec: POSIX timers go, itimers stay. Exit: all go (with_itimers). No lock; may wait for
 * callbacks. Own fiber. */
void group_timers_end(struct task *t, bool with_itimers);
/* A thread exits: the timers that count its CPU time alone stop. */
void timers_thread_exit(struct task *t);
/* The signal of a timer has been dequeued: fill in the overrun, and go on if it is periodic. */
void timer_signal_taken(struct posix_timer *timer, siginfo_t *info) REQUIRES(lc_sighand);
/* SIGALRM has been dequeued: a periodic real itimer goes on. */
void itimer_real_taken(struct thread_group *tg) REQUIRES(lc_sighand);
/* TASK_WORK_CPU_TIMERS: see which CPU-time timers are due. Own fiber; parks. */
void cpu_timers_check(struct task *t);
/* RLIMIT_CPU of the group may have changed, or it is new and has one. */
void cpu_limit_changed(struct thread_group *tg);
/* Something of the group depends on CPU time now: have it looked at. */
void cpu_timers_arm(struct thread_group *tg) REQUIRES(lc_sighand);
