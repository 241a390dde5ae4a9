#pragma once

/* A POSIX timer, and what timers.c (of clocks) and cputimers.c (of CPU time) have of each other. */

#include "kernel/timers.h"
#include "time/step.h"

struct posix_timer {
	struct rb_node node; /* [H] in tg->posix_timers */
	struct list cpu_link; /* [H] in tg->cpu_timers while armed, if of a CPU clock */
	struct thread_group *tg; /* [I] not owned: timers end before their group */
	s32 id; /* [I] */
	int clock; /* [I] */
	bool cpu_clock; /* [I] counts CPU time */
	bool cpu_user_only; /* [I] of that, user time alone (CPUCLOCK_VIRT) */
	struct task *cpu_task; /* [I] owned: the thread whose time it is; null: the group's */
	int notify, signo; /* [I] SIGEV_* */
	union sigval value; /* [I] */
	struct pid *thread; /* [I] owned: of SIGEV_THREAD_ID, else null */
	struct sigqueue *queued; /* [I] owned: the entry for its signal */
	struct timer timer; /* of other clocks */
	s64 expires, interval; /* [H] ns on the host's monotonic clock, or of CPU time; expires 0:
				  not armed */
	s64 at; /* [H] of an absolute timer of a clock that can be set: expires, as that clock shows
		   it; else 0 */
	struct clock_watch watch; /* of a timer of such a clock */
	s64 overrun; /* [H] expiries since the one that is signalled */
	int last_overrun; /* [H] of the signal that was taken last */
};

/* The least period of a timer whose signal is ignored. */
#define IGNORED_PERIOD_NS 1'000'000

/* Send pt's signal, or count an overrun if it still waits. */
void posix_timer_fire(struct posix_timer *pt, int *ret_note) REQUIRES(lc_tasks, lc_sighand);

/* ---- cputimers.c ---- */

void cpu_tick_init(struct thread_group *tg);
/* new null: only read. */
int cpu_itimer_set(struct task *t, int which, const struct itimer_ns *new,
		   struct itimer_ns *ret_old);
/* A CPU clock's id: of the caller, or of a thread of its process. -EINVAL. */
int cpu_clock_decode(struct task *t, int clock, struct posix_timer *pt);
/* What pt's clock shows, as last seen. */
s64 cpu_clock_seen(const struct posix_timer *pt) REQUIRES(lc_tasks);
int cpu_timer_set(struct posix_timer *pt, int flags, s64 value) REQUIRES(lc_tasks, lc_sighand);
/* Bring the times seen of t's group up to date if it has CPU timers. Own fiber; parks. */
void cpu_clocks_refresh(struct task *t);
