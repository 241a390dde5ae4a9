#pragma once

/*
 * Tasks (guest threads), thread groups, process groups and sessions: the structs and what other
 * parts may do to them. One concern a file: run.c (the run loop), clone.c, exec.c, exit.c, wait.c,
 * signal.c, sigframe.c, stop.c, pid.c, session.c, timer.c, ...
 *
 * Protection: [F] owned by the task's fiber, others must not look; [F/t] changed by its fiber under
 * lc_task, read by its fiber without lock or by others under lc_task; [I] immutable; [a] atomic;
 * [S] lc_tasks; [H] the sighand's lock; [T] lc_task.
 */

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/rbtree.h"
#include "base/refcount.h"
#include "base/types.h"
#include "cred/cred.h"
#include "cred/rlimit.h"
#include "cred/subject.h"
#include "ipc/epoll.h"
#include "ipc/futex_pi.h"
#include "platform/platform.h"
#include "sched/fiber.h"
#include "sched/lock_order.h"
#include "sched/timer.h"
#include "sched/waitq.h"

struct ctty;
struct exec_build;
struct mm_share;
struct mount_ns;
struct posix_timer;
struct task;
struct thread_group;
struct user_usage;
struct user_table;

#define GUEST_NSIG 64
typedef u64 sigset64; /* bit n-1: signal n */
#define SIGMASK(n) (1ULL << ((n)-1))

/* Errors inside the kernel that never reach a guest: how an interrupted call goes on. */
#define ERESTARTSYS 512 /* restart if SA_RESTART or no handler */
#define ERESTARTNOINTR 513 /* restart always */
#define ERESTARTNOHAND 514 /* restart only if no handler runs */
#define ERESTART_RESTARTBLOCK \
	516 /* as NOHAND, but through restart_syscall with the task's restart block */
#define ERESTARTNEVER \
	517 /* EINTR if a handler runs or not; reinvoked only after a stop without a signal */

/* Where a task is in its run loop. Between two states it may be stopped: no stack matters then. */
enum run_state {
	RUN_APP, /* run guest code */
	RUN_AFTER_SECCOMP_TRACE,
	RUN_AFTER_SYSCALL_ENTER_STOP,
	RUN_AFTER_SYSEMU_STOP,
	RUN_SYSCALL_INVOKE,
	RUN_SYSCALL_REINVOKE,
	RUN_AFTER_CLONE_EVENT,
	RUN_VFORK_WAIT,
	RUN_VFORK_DONE,
	RUN_EXEC_WAIT_THREADS,
	RUN_EXEC_EVENT,
	RUN_SYSCALL_EXIT,
	RUN_INTERRUPT,
	RUN_SIGNAL_DELIVERY_STOP,
	RUN_GROUP_STOP,
	RUN_EXIT_EVENT,
	RUN_EXIT_MAIN,
	RUN_EXIT_NOTIFY,
	RUN_DONE,
};

/* Why a task is stopped (internal stops; external ones are only counted). */
enum stop_kind { STOP_NONE, STOP_GROUP, STOP_PTRACE, STOP_VFORK, STOP_EXEC, STOP_FREEZER };

/* ---- signals ---- */

/* A queued signal. */
struct sigqueue {
	struct list link; /* [H] in a pending queue */
	siginfo_t info; /* [H] */
	struct posix_timer *timer; /* [H] of a POSIX timer: preallocated there, not freed */
	struct user_usage *user; /* [I] owned: in whose count of queued signals it is */
};

struct sigpending {
	sigset64 set; /* [H] */
	struct list queue; /* [H] sigqueues in order */
};

/* As the guest's struct kernel_sigaction. */
struct sigaction_k {
	u64 handler; /* SIG_DFL 0, SIG_IGN 1 */
	u64 flags;
	u64 restorer;
	sigset64 mask;
};

/* Signal handlers; shared by CLONE_SIGHAND. Its lock also protects the signal state of all its
 * tasks and groups. */
struct sighand {
	struct refcount refs;
	struct spin lock; /* class lc_sighand */
	struct sigaction_k action[GUEST_NSIG]; /* [H] */
	u64 generation; /* [H] of action */
};

struct sigaltstack_k {
	u64 sp, size;
	u32 flags; /* SS_DISABLE, SS_AUTODISARM */
};

/* ---- restart blocks ---- */

enum restart_kind { RESTART_NONE, RESTART_NANOSLEEP, RESTART_FUTEX_WAIT, RESTART_POLL };
struct restart_state {
	enum restart_kind kind;
	s64 deadline; /* host CLOCK_MONOTONIC ns, NO_DEADLINE: none */
	u64 arg[5]; /* as the call needs: addresses, values, clock id */
};

/* ---- the task ---- */

/* An epoll whose changes the platform may take: see watch.h. */
struct task_watch {
	s32 epfd;
	u32 streak; /* of calls that changed it */
	u64 files_generation, epoll_generation; /* what is lent is true of these */
	bool lent;
};

/* Reads that the platform may answer: see reads.h. */
struct task_reads {
	struct epoll_readable ready; /* what the last epoll_wait said */
	bool fresh; /* none of it has been lent yet */
	u8 streak; /* of reads of what such a call said */
	_Atomic bool running; /* [a] guest code runs, or is about to, that may read what is lent */
	u32 lent; /* bitmap of items that have not been read */
	struct {
		s32 fd;
		u32 size;
		u64 cookie; /* the socket's */
	} item[PF_READS];
};

struct task {
	struct subject subject; /* first: a subject's container is its task. Pointers [F/t] */
	struct refcount refs;
	struct spin lock; /* class lc_task */

	/* Execution. */
	struct guest_regs regs; /* [F] the truth while no guest code runs */
	_Atomic u32 run_state; /* [F] enum run_state; read by others for /proc only */
	u64 syscall_args[6]; /* [F] of the current call, fetched once */
	int syscall_nr; /* [F] or -1 */
	struct restart_state restart; /* [F] */
	bool syscall_restarting; /* [F] inside a reinvoked call */
	bool signal_seen; /* [F] a signal or stop was acted upon since the call was invoked: see
			     ERESTARTNEVER */
	struct task_watch watch; /* [F] */
	struct task_reads reads; /* [F] */
	u64 fault_trapno, fault_error, fault_cr2; /* [F] of the last fault, for signal frames */
	struct exec_build *exec; /* [F] half-built image while waiting for threads */
	_Atomic u32 work; /* [a] TASK_WORK_*: something to do on the way back to guest code */

	/* Stops. [H]: internal; the counter of external ones is atomic. */
	_Atomic u32 stop; /* [H to change] enum stop_kind */
	_Atomic u32 external_stops; /* [a] pause, checkpoint */
	struct task
		*vfork_parent; /* [S] to be released when this task execs or exits; a reference */
	bool vfork_waiting; /* [S] this task waits for its vfork child */

	/* Identity and family. */
	struct thread_group *tg; /* [I] owned reference, while linked [S] */
	struct list tg_link; /* [S] in tg->tasks */
	struct pid *pid; /* [S to change, by exec] owned: of this thread */
	struct uts_ns *uts_ns; /* [F/t] owned */
	struct mm_share *mm_share; /* [F/t] owned: counts the tasks that use subject.mm */
	struct user_usage *user; /* [F/t] owned: counts of the real uid */
	struct user_usage *charged; /* [S] owned: the user in whose count of tasks it is */
	u32 thread_pins; /* [T] others that use subject.thread just now: see task_pin_thread */
	u32 parent_exec_id, self_exec_id; /* [S] */
	u64 set_child_tid; /* [F] a new task writes its id there */
	char comm[16]; /* [T] */
	struct list children; /* [S] thread groups whose parent is this task */
	u32 exit_signal; /* [S] */
	int parent_death_signal; /* [S] */
	u64 clear_child_tid; /* [F] */
	u64 robust_list, robust_list_size; /* [F/t] */
	struct futex_pi_task futex_pi;
	u64 rseq_addr; /* [F] 0: none */
	u32 rseq_size, rseq_sig; /* [F] */

	/* Signals. */
	struct sighand *sighand; /* [S to change] owned reference */
	sigset64 blocked; /* [H], changed by its fiber only */
	sigset64 saved_blocked; /* [F] to be put back on return to guest code */
	bool restore_blocked; /* [F] */
	_Atomic bool mask_lent; /* [H to set] guest code may change `blocked` unseen: see run.c */
	u64 actions_lent; /* [F] and `sighand->action`, too, of this generation; 0: not lent */
	bool actions_used; /* [F] this program has called rt_sigaction */
	sigset64 real_blocked; /* [H] while in sigtimedwait: blocked without the awaited ones */
	struct sigpending pending; /* [H] thread-directed */
	struct sigaltstack_k altstack; /* [F] */
	bool group_stop_pending; /* [H] has to take part in a group stop */
	bool group_stop_counted; /* [H] this task is counted in the group stop */
	bool stop_dequeued; /* [H] a stop signal was dequeued, and no SIGCONT since */

	/* Exit. */
	bool exiting; /* [H] */
	bool last_of_group; /* [F] of those that exit */
	bool exit_notified; /* [S] a zombie */
	bool released; /* [S] reaped: unlinked from everything */
	int exit_status; /* [S] wait status */
	siginfo_t fatal_info; /* [H] */

	/* Attributes. */
	s32 niceness; /* [T] */
	u32 sched_policy, sched_priority; /* [T] */
	bool sched_reset_on_fork; /* [T] children begin with the ordinary policy */
	u16 ioprio; /* [T] as ioprio_set(2) */
	u8 affinity[128]; /* [T] mask of guest CPUs (1024) */
	bool no_new_privs; /* [F/t] */
	u64 timer_slack; /* [T] */
	s64 start_time; /* [I] ns of CLOCK_BOOTTIME */
	u64 min_flt, maj_flt; /* [F] approximate */
	_Atomic u64 nvcsw, nivcsw; /* [a] when last looked at; final once exited */
	_Atomic u64 user_ns_seen,
		sys_ns_seen; /* [a] CPU times when last looked at; final once exited */
	u64 user_ns_base; /* [F] user time on platform threads before the present one (exec) */
	u32 personality; /* [F] */
	u8 mce_policy; /* [F] PR_MCE_KILL_* */
	bool io_flusher; /* [F] */
};

enum {
	TASK_WORK_SIGNAL = 1, /* look for signals, stops, kills: also set with fiber_interrupt */
	TASK_WORK_MASK_RESTORE = 2,
	TASK_WORK_RSEQ = 4,
	TASK_WORK_CHILD_TID = 8, /* a new task: write its id to set_child_tid */
	TASK_WORK_CPU_TIMERS = 16, /* look at the CPU-time timers */
};

struct thread_group {
	struct refcount refs;
	struct list tasks; /* [S] */
	u32 task_count; /* [S] */
	u32 live_count; /* [S] tasks that have not begun exit main */
	u32 mm_users; /* [S] tasks of the group that count in an mm_share; never more than count
			 there */
	struct task *leader; /* [S] */
	struct list sibling; /* [S] in parent->children */
	struct task *parent; /* [S] null for the first process and once unlinked */
	struct pid *pid; /* [I] owned */
	struct process_group *pgrp; /* [S] owned */
	struct list pgrp_link; /* [S] */
	struct waitq child_waitq; /* parents waiting for children: woken with WAITEV_* */
	struct rlimits rlimits; /* own lock */

	struct sigpending pending; /* [H] process-directed */
	struct list signalfds; /* [S] links of signalfds that look at its signals */
	bool exiting; /* [H] group exit under way */
	int exit_status; /* [H] of the group exit */
	struct task *execing; /* [S] the one task that execs, others must die */
	/* Group stop. */
	bool group_stop; /* [H] in force */
	int group_stop_signal; /* [H] */
	u32 group_stop_left; /* [H] tasks that have still to stop */
	bool stop_reported, continued_pending; /* [S] for wait: WUNTRACED, WCONTINUED */
	bool stop_waitable; /* [S] */
	bool stop_continued; /* [H] SIGCONT came, and no stop since */

	bool child_subreaper, has_child_subreaper; /* [S] */
	bool execed; /* [S] since fork: for setpgid's EACCES */
	bool dumpable; /* [a] */
	bool thp_disabled; /* [a] */
	s32 oom_score_adj; /* [S to change; a] */
	s32 oom_score_adj_min; /* [S] */
	u32 coredump_filter; /* [a] */
	struct ctty *tty; /* [S] controlling terminal, not counted: see ctty.h */
	struct pid *tty_old_pgrp; /* [S] owned: foreground group of a terminal that was hung up */

	/* Times of waited-for children and of dead threads. */
	struct rusage_ns {
		u64 utime, stime, min_flt, maj_flt, nvcsw, nivcsw, max_rss;
	} child_usage, dead_usage; /* [S] */
	struct io_usage dead_io; /* [S] of dead threads */

	/* Timers: all under the sighand's lock. */
	struct itimer {
		struct timer timer;
		s64 value, interval; /* ns: next expiry on host monotonic (0: off), and period */
	} itimer_real;
	struct cpu_itimer {
		u64 expires, interval; /* ns of the group's CPU time; expires 0: off */
	} itimer_virtual, itimer_prof;
	struct timer cpu_tick; /* armed while a CPU-time timer is */
	u64 cpu_limit_next; /* ns of CPU time at which RLIMIT_CPU is looked at next; 0: not yet
			       known */
	struct rb_root posix_timers; /* [H] by id */
	struct list cpu_timers; /* [H] those that count CPU time and are armed */
	s32 next_timer_id; /* [H] */
	u32 posix_timer_count; /* [H] */
};

/* ---- pids ---- */

struct pid_ns {
	struct refcount refs;
	struct pid_ns *parent; /* [I] */
	u32 level; /* [I] 0: root */
	struct spin lock; /* class lc_pidns */
	struct pid **table; /* [lc_pidns] by number */
	u32 table_size, next, count; /* [lc_pidns] */
	struct task *reaper; /* [S] its init's leader */
	bool dying; /* [lc_pidns] */
};

#define PID_NS_LEVELS 32

/* Names a task, a thread group (by its leader), a process group and a session, in each namespace of
 * a chain. */
struct pid {
	struct refcount refs;
	struct task *task; /* [S] thread with this id */
	struct thread_group *tg; /* [S] */
	struct process_group *pgrp; /* [S] */
	struct session *session; /* [S] */
	struct waitq waitq; /* pidfd pollers */
	struct pid_ns *ns; /* [I] the innermost; owned */
	u32 level; /* [I] */
	u32 number[]; /* [I] level + 1 of them, from the root's on */
};

struct process_group {
	struct refcount refs;
	struct pid *pid; /* [I] owned */
	struct session *session; /* [I] owned */
	struct list members; /* [S] thread groups */
	struct list session_link; /* [S] */
};

struct session {
	struct refcount refs;
	struct pid *pid; /* [I] owned */
	struct list groups; /* [S] process groups */
	struct thread_group *leader; /* [S] null once exited */
};

/* ---- uts: namespace.c ---- */

struct uts_ns {
	struct refcount refs;
	struct spin lock; /* class lc_cred */
	char nodename[65], domainname[65];
	u32 ino; /* [I] its number in /proc/PID/ns */
};
void uts_ns_get(struct uts_ns *ns);
void uts_ns_put(struct uts_ns *ns); /* null is fine */
/* Of another task, with a reference; null: it has exited. */
struct uts_ns *task_get_uts(struct task *t);
/* Join a namespace: takes over the reference. Own fiber. */
void task_set_uts(struct task *t, struct uts_ns *ns);
/* unshare(2). Own fiber; parks. */
long task_unshare(struct task *t, u64 flags);

/* ---- the watch over the limit of memory (oom.c) ---- */

struct oom_watch {
	struct waitq waitq;
	_Atomic bool stop; /* [a] end it */
	_Atomic bool done; /* [a] it has ended, or never begun */
};

/* ---- the kernel root object ---- */

/* What /proc/sys was set to. */
struct sysctls {
	struct spin lock; /* class lc_cred */
	struct list values; /* [lock] */
};

/* Load averages: see kernel/load.c. */
struct load {
	struct spin lock; /* class lc_cred */
	s64 updated; /* [lock] host CLOCK_BOOTTIME ns */
	u64 used_ns; /* [lock] CPU time of all tasks then */
	u64 average[3]; /* [lock] fixed point: LOAD_ONE */
};

struct kernel {
	struct spin tasks_lock; /* class lc_tasks */
	struct pid_ns *pid_ns; /* [I] root */
	struct user_ns *user_ns; /* [I] root */
	struct uts_ns *uts_ns; /* [I] */
	struct mount_ns *mount_ns; /* [I] */
	struct thread_group *init; /* [S] the first process */
	u32 task_count; /* [S] */
	u32 task_limit; /* [I] */
	_Atomic u32 pty_count; /* [a] pairs of pseudo-terminals */
	_Atomic u32 fiber_count; /* [a] tasks whose fiber has not ended */
	_Atomic u64 forks; /* [a] tasks ever made */
	_Atomic u32 namespaces; /* [a] made so far: their numbers */
	u64 dead_user_ns, dead_sys_ns, dead_switches; /* [S] of tasks that have ended */
	struct sysctls sysctls;
	struct load load;
	struct user_table *users; /* [I] */
	s64 boot_time; /* [I] CLOCK_BOOTTIME ns at start */
	bool quick_calls; /* [I] the platform may answer calls unseen (no strace) */
	u32 cpu_count; /* [I] CPUs the guest sees */
	bool virtual_cpus; /* [I] */
	u64 memory; /* [I] bytes that the guest sees; 0: the host's */
	struct oom_watch oom;
	u8 cpu_mask[128]; /* [I] guest CPU numbers */
	_Atomic u32 exited; /* [a] the first process has exited */
	int exit_status; /* [S] its wait status, valid once exited */
	_Atomic u32 init_stop_signal; /* [a] the first process has stopped on it; 0: already told */
	struct fiber *waiter; /* [S] transient: in kernel_wait */
};

static inline struct kernel *kernel_get(void);

static inline struct task *task_of(struct subject *s)
{
	return container_of(s, struct task, subject);
}

/* ---- boot ---- */

struct kernel_args {
	u32 cpus; /* 0: the host's, by their numbers */
	const char *hostname;
	u32 task_limit; /* 0: default */
	u64 memory; /* bytes that the guest sees; 0: the host's */
};
/* Make the root object (arena_set_root). */
[[nodiscard]] int kernel_create(const struct kernel_args *args);

struct process_args {
	const char *file; /* path of the program, looked up as execve does; PATH search is the
			     caller's */
	const char *const *argv, *const *envp; /* null-terminated */
	const char *workdir; /* null: "/" */
	const struct cred *cred; /* borrowed */
	struct mount_ns *mount_ns; /* borrowed */
	struct fdtable *files; /* reference taken over */
	u32 umask;
	sigset64 ignored, blocked; /* signals that it inherits as such */
	struct ctty *tty; /* its controlling terminal; borrowed, null: none */
};
/* Create the first process (pid 1) and start it. Call from a fiber. Errors as execve's. */
[[nodiscard]] int kernel_create_init(const struct process_args *args);
/* End all tasks as by SIGKILL. Any fiber or thread. */
void kernel_kill_all(void);
/* Park the calling fiber until the first process has exited and all tasks are gone; returns its
 * wait status. deadline: host monotonic ns; -ETIMEDOUT. Returns 1 when the first process has
 * stopped, with the wait status that tells so. */
[[nodiscard]] int kernel_wait(s64 deadline, int *ret_status);
/* Send the first process, or its process group, a signal, as from the host's user (relayed). */
[[nodiscard]] int kernel_signal_init(int sig, bool group);

/* ---- look-ups (lc_tasks held unless said; results are borrowed while it is) ---- */

struct task *task_find(struct pid_ns *ns, u32 tid);
struct thread_group *group_find(struct pid_ns *ns, u32 pid);
struct process_group *pgrp_find(struct pid_ns *ns, u32 pgid);
u32 pid_nr(const struct pid *p, const struct pid_ns *ns); /* 0 if not visible there; no lock */
struct pid_ns *task_pid_ns(const struct task *t); /* of its fiber */
u32 task_tid(const struct task *t); /* as the task itself sees them; no lock */
u32 task_tgid(const struct task *t);
void task_get(struct task *t);
void task_put(struct task *t);
/* Take a reference to the task (or leader of the process) with this number in the caller's
 * namespace; null: none. */
struct task *task_lookup_get(struct task *caller, u32 tid);
struct task *process_lookup_get(struct task *caller, u32 pid);
/* Call fn for each thread group visible in ns, in order of pid, from first on; fn gets a borrowed
 * leader; lc_tasks is held: fn must not park. Stops when fn returns false. */
void group_for_each(struct pid_ns *ns, u32 first,
		    bool (*fn)(struct thread_group *tg, u32 pid, void *arg), void *arg);
void tasks_lock(void) ACQUIRE(lc_tasks);
void tasks_unlock(void) RELEASE(lc_tasks);

/* What the platform was lent for t (struct pf_quick) is true no more: from now on it answers no
 * calls by itself, and tells soon which it has. Any fiber. */
void task_hurry(struct task *t);
/* For /proc: references to parts of another task, or null if it has exited. */
struct mm *task_get_mm(struct task *t);
struct fdtable *task_get_files(struct task *t);
struct fs_context *task_get_fs(struct task *t);
const struct cred *task_get_cred(struct task *t);
char task_state_char(struct task *t); /* R S D T t Z X as /proc/PID/stat */
struct task_cpu_times {
	u64 user_ns, sys_ns;
};
struct task_cpu_times task_cpu_times(struct task *t); /* may park */
u32 task_cpu(struct task *t); /* where it last ran */
struct task_cpu_times group_cpu_times(struct thread_group *tg); /* incl. dead threads; may park */
/* The process's resource use, dead threads included (RUSAGE_SELF), and t's own (RUSAGE_THREAD); may
 * park. */
struct rusage_ns group_usage(struct thread_group *tg);
struct rusage_ns task_usage(struct task *t);
/* What t, or all threads of a process, have read and written. */
struct io_usage task_io(const struct task *t);
struct io_usage group_io(struct thread_group *tg);
/* CPU time and context switches of all tasks that ever were; may park. */
struct kernel_usage {
	u64 user_ns, sys_ns, switches;
	u32 running, tasks;
};
struct kernel_usage kernel_usage(void);
/* Load averages over 1, 5 and 15 minutes in LOAD_ONEths, brought up to date; may park. */
#define LOAD_SHIFT 11
#define LOAD_ONE (1u << LOAD_SHIFT)
void kernel_load(u64 ret_average[3]);
/* Memory as the guest sees it, in bytes. */
struct kernel_memory {
	u64 total, free, available, shared, buffers, cached, swap_total, swap_free;
};
/* Begin to watch over the limit of memory, if there is one; once, from a fiber. -ENOMEM. */
[[nodiscard]] int oom_start(void);
/* End the watch, which holds on to tasks; returns when that is done. After oom_start. */
void oom_stop(void);
struct kernel_memory kernel_memory(void); /* may call the host, and park */
/* Permission to look into another task as ptrace(2)'s access modes; attach or only read. */
bool task_may_access(struct task *caller, struct task *target, bool attach);

/* ---- clone, exec, exit, wait: called by the system call layer on the task's own fiber ---- */

struct clone_args_k {
	u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	u64 set_tid, set_tid_size, cgroup;
	bool clone3;
};
long task_clone(struct task *t, const struct clone_args_k *args);
/* execve: pathname and strings are kernel memory; takes strings over. On success the call does not
 * return to the caller's program: returns 0 with t->regs set anew. */
struct exec_strings;
long task_execve(struct task *t, int dirfd, const char *path, struct exec_strings *strings,
		 int flags);
/* For handlers of setuid and the like: make new, a private copy of t's credentials, those of t
 * (taken over), with all that follows: dumpable, parent-death signal, counts by user. Own fiber. */
void task_commit_cred(struct task *t, struct cred *new);
/* prctl(PR_SET_CHILD_SUBREAPER). */
void task_set_subreaper(struct task *t, bool on);
/* Begin to exit; status is a wait status. The run loop does the rest when the call returns. */
long task_exit(struct task *t, int status);
long task_group_exit(struct task *t, int status);
/* End this task's process by SIGKILL (dead space, misbehaviour). */
void group_kill(struct thread_group *tg);
struct wait_args {
	int type; /* P_ALL, P_PID, P_PGID, P_PIDFD */
	u32 id;
	struct pid *pid; /* P_PIDFD; borrowed */
	int options; /* W* */
};
struct wait_result {
	u32 pid, uid;
	int status; /* wait status */
	int code; /* CLD_* */
	struct rusage_ns usage;
};
/* 1 and *ret if there is something, 0 for WNOHANG with nothing, or -ECHILD, -ERESTARTSYS. */
[[nodiscard]] int task_wait(struct task *t, const struct wait_args *args, struct wait_result *ret);
long task_setpgid(struct task *t, u32 pid, u32 pgid);
long task_setsid(struct task *t);

/* ---- signals ---- */

/* Fill in a siginfo as kill, tkill, the kernel would. */
void siginfo_user(siginfo_t *info, int sig, int code, struct task *sender, struct task *receiver);
void siginfo_kernel(siginfo_t *info, int sig);
/* Send; locks taken inside. info->si_signo is the signal (0: only check existence). -EAGAIN when
 * RLIMIT_SIGPENDING is exceeded by a real-time signal. No permission check. */
[[nodiscard]] int signal_send_task(struct task *t, const siginfo_t *info);
[[nodiscard]] int signal_send_group(struct thread_group *tg, const siginfo_t *info);
int signal_send_pgrp(struct process_group *pg, const siginfo_t *info) REQUIRES(lc_tasks);
/* A synchronous fault of t: cannot be blocked or ignored. Own fiber. */
void signal_force(struct task *t, const siginfo_t *info);
/* kill(2) of a process group (0: the sender's own) and of all that the sender may see, permission
 * checked: 0, -ESRCH, -EPERM as kill. info->si_signo may be 0. */
long signal_kill_pgrp(struct task *sender, u32 pgid, const siginfo_t *info);
long signal_kill_all(struct task *sender, const siginfo_t *info);
/* kill(2)'s permission check of t's subject against target; sig for SIGCONT's exception. */
int signal_permission(struct task *sender, struct task *target, int sig);
bool signal_pending(struct task *t); /* an unblocked signal or a stop waits */
sigset64 signal_pending_set(struct task *t); /* thread and process, blocked ones too */
void signal_set_blocked(struct task *t, sigset64 mask); /* own fiber */
/*
 * Before guest code runs: false if the platform must not answer calls that change the mask, as some
 * signal waits. Else senders no longer rely on t's mask but interrupt t, until signal_mask_back
 * tells what it is now. Own fiber.
 */
bool signal_mask_lend(struct task *t);
/* And what its signals do, if no other task shares that: see pf_actions_lend. */
bool signal_actions_lend(struct task *t);
/* After it: make the changes that the platform took. Before the mask is taken back. */
void signal_actions_take(struct task *t);
void signal_mask_back(struct task *t, sigset64 mask);
/* For calls with a temporary mask (ppoll, sigsuspend): restored on return to guest code, after
 * handlers' frames. */
void signal_set_temporary_mask(struct task *t, sigset64 mask);
int signal_action(struct task *t, int sig, const struct sigaction_k *new,
		  struct sigaction_k *ret_old);
long signal_altstack(struct task *t, struct uaddr ss, struct uaddr old);
/* rt_sigreturn: restores registers and mask from the frame; returns the rax to leave. */
long signal_return(struct task *t);
/* sigtimedwait: dequeue one of set, waiting until deadline. The signal, or -EAGAIN, -EINTR. */
int signal_timedwait(struct task *t, sigset64 set, s64 deadline, siginfo_t *ret_info);
/* Dequeue one of set without waiting: 0 if none (signalfd). */
int signal_dequeue(struct task *t, sigset64 set, siginfo_t *ret_info);

/* ---- blocking ---- */

/* Interruptible waits for handlers on t's fiber: fiber_park_interruptible and waitq_wait return
 * -EINTR when a signal or stop is pending; translate it to the restart code that fits: */
static inline long task_restart(long ret, int restart_code)
{
	return ret == -EINTR ? -restart_code : ret;
}

/* ---- the way up: what the system call layer fills in ---- */

struct syscall_ops {
	/* Run system call nr with args for t; returns a value, -errno or a restart code. */
	long (*invoke)(struct task *t, int nr, const u64 args[6]);
	/* restart_syscall for t->restart. */
	long (*restart)(struct task *t);
	/* The call is over with this result (strace). */
	void (*exited)(struct task *t, int nr, const u64 args[6], long result);
	/* For the log of signals in strace. */
	void (*signalled)(struct task *t, const siginfo_t *info);
};
DECLARE_OPS(struct syscall_ops, syscall_layer_ops);

/* What exit and exec need from the futexes (ipc fills it in). Own fiber; the task's mm and thread
 * are there. */
struct futex_hooks {
	/* Walk the robust list at t->robust_list (bounded) and release what it names. */
	void (*exit_robust)(struct task *t);
	/* Hand on its locks with priority inheritance; exiting: for good. */
	void (*exit_pi)(struct task *t, bool exiting);
	/* Wake one waiter on the word at addr (clear_child_tid), which has been cleared. */
	void (*wake_addr)(struct task *t, struct uaddr addr);
};
DECLARE_OPS(struct futex_hooks, futex_task_hooks);

/* ---- timers (timer.c); values as the calls' ---- */

struct itimer_ns {
	s64 interval, value;
};
int task_getitimer(struct task *t, int which, struct itimer_ns *ret);
int task_setitimer(struct task *t, int which, const struct itimer_ns *new,
		   struct itimer_ns *ret_old);
int task_timer_create(struct task *t, int clock, const struct sigevent *ev,
		      s32 *ret_id); /* ev null: default */
int task_timer_settime(struct task *t, s32 id, int flags, const struct itimer_ns *new,
		       struct itimer_ns *ret_old);
int task_timer_gettime(struct task *t, s32 id, struct itimer_ns *ret);
int task_timer_getoverrun(struct task *t, s32 id);
int task_timer_delete(struct task *t, s32 id);

/* The POSIX timer of t's process with the lowest id from on; ids of processes as ns sees them.
 * False: there is none. */
struct timer_view {
	s32 id;
	int signo, notify, clock;
	u32 pid; /* whom it tells */
	u64 value;
};
bool task_timer_view(struct task *t, s32 from, const struct pid_ns *ns, struct timer_view *ret);

#include "arena/arena.h"

static inline struct kernel *kernel_get(void)
{
	return arena_root();
}
