#pragma once

/*
 * What the files of systrap share. See docs/platform.md for the model.
 *
 * One short lock, g_systrap.lock (class lc_platform), guards all lists and the hand-over state of
 * lanes; it is held for a few instructions. The rest of a thread belongs to its owner, the fiber
 * that calls the platform for it. The poller (notify.c) never blocks and takes only that lock.
 */

#include <linux/sched.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "base/list.h"
#include "base/refcount.h"
#include "base/types.h"
#include "platform/platform.h"
#include "platform/systrap/lane.h"
#include "sched/fiber.h"
#include "sched/lock.h"
#include "sched/lock_order.h"
#include "sched/sched.h"
#include "sched/timer.h"
#include "sched/waitq.h"

struct batch;
struct fiber;
struct sock_filter;

#define LANE_FILES_MAX (STUB_LANES_MAX / LANES_PER_FILE)
/* Flags of the clones that we ask for. */
#define FORK_FLAGS (CLONE_FILES | CLONE_PARENT)
#define INTERRUPT_SIGNO 12 /* SIGUSR2 */
#define EXPECT_MAX 3

/* A memfd that holds the control areas of LANES_PER_FILE lanes of one stub; reused once that stub
 * is reaped. */
struct lane_file {
	struct list link; /* [lock] the free list */
	int fd; /* [I] */
	u8 *map; /* [I] */
	bool clean; /* the first page is there and empty */
};

/* A system call as a seccomp notification shows it. */
struct vcall {
	u32 nr;
	u64 arg[6];
};

/* The processes that share a listener: a fresh stub and all that were forked from it. */
struct family {
	struct poll_source source; /* [I] fd: the listener */
	bool watched; /* [I] */
	_Atomic bool sync; /* wakes hand over the CPU (SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) */
	unsigned int space_count; /* [lock] */
	unsigned int waiting_count; /* [lock] */
	struct list waiting; /* [lock] threads in WAIT_NOTIF, longest waiting first */
	struct list forks; /* [lock] struct fork_txn */
	struct list newborn; /* [lock] threads that wait for their first notification */
	unsigned int attended_count; /* [lock] */
};

enum space_state {
	SPACE_ALIVE,
	SPACE_STOPPED, /* stopped for good: to its threads as dead, but memory can be read */
	SPACE_DEAD, /* killed or died */
};

struct pf_space {
	struct refcount refs; /* its threads, its host process, pf_space_get */
	struct family *family; /* [I] */
	pid_t pid; /* [lock] 0: not bound yet */
	int pidfd; /* [I] once bound */
	struct poll_source death; /* [I] */
	_Atomic u32 state; /* enum space_state; only increases */
	bool reaped; /* [lock] the host process is gone */
	bool sealed; /* [owner] F1 is in force; a fresh space has one owner */
	_Atomic bool crowded; /* has many mappings */
	bool many_lanes; /* [lock] has had more than one lane */
	bool unwatched; /* [creator] death could not be put in the poller */
	unsigned int thread_count; /* [lock] */
	struct list link; /* [lock] all spaces that have a process */
	struct list spare_link; /* [lock] fresh and unused */
	struct list reap_link; /* [lock] on the keeper's list: to be unwatched, or freed */
	struct list threads; /* [lock] live threads */
	struct list parked; /* [lock] lanes without a thread */
	struct lane_file *files[LANE_FILES_MAX]; /* [structure] */
	u64 slots[STUB_LANES_MAX / 64]; /* [lock] slots in use */
	bool mapped[LANE_FILES_MAX]; /* [structure] the file is mapped in the stub */
	bool structure_busy; /* [lock] a fork or a new lane is under way */
	struct waitq structure_wait;
};

enum lane_wait {
	WAIT_NONE, /* running, or about to wait */
	WAIT_NOTIF, /* its wait is held as a notification */
	WAIT_FUTEX, /* its wait was let into the host's futex */
};

/* A lane, and the guest thread that it runs if it is not parked. */
struct pf_thread {
	struct pf_space *space; /* [I] */
	struct list link; /* [lock] space->threads or ->parked */
	struct list tid_link; /* [lock] hash by tid */
	struct list newborn_link; /* [lock] family->newborn */
	struct lane *lane; /* [I] the control area; hostile */
	u64 stub_lane; /* [I] its address in the stub */
	u32 slot; /* [I] */
	pid_t tid; /* [lock] 0: not bound yet */
	struct fiber *fiber; /* [lock] the owner; null when parked */
	struct fiber *owner; /* [owner] the same */

	/* Hand-over. */
	u32 posted; /* [lock; written by the owner] last response */
	enum lane_wait wait; /* [lock] */
	u64 notif_id; /* [lock] of WAIT_NOTIF */
	struct list wait_link; /* [lock] family->waiting */
	struct vcall
		expect[EXPECT_MAX]; /* [lock] verified calls of the pending operation, in order */
	unsigned int expect_count, expect_next; /* [lock] how many there are, and were let go on */
	struct vcall staged; /* [owner] what the next command will have the lane call; nr 0 (read):
				nothing */
	unsigned int repeats; /* [lock] of the last one let go on */

	/* What goes along with events and resumes (marshal.c). */
	struct {
		u32 count;
		struct marshal_item item[MARSHAL_ITEMS];
	} inputs; /* [owner] of the call that is being answered; checked */
	struct {
		u32 count;
		struct marshal_item item[MARSHAL_OUTPUTS];
	} outputs; /* [owner] to go along with the next resume */
	u32 marshal_used; /* [owner] bytes of lane->marshal that either occupies */

	_Atomic bool revoked; /* lane->revoked is set */
	struct pf_quick quick; /* [owner] what the lane was last told */
	bool watch_lent; /* [owner] lane->watch is valid */
	bool actions_lent; /* [owner] lane->actions is */
	bool reads_lent; /* [owner] lane->reads is valid */
	struct lane_call first; /* [owner] goes before the next command; nr 0 (read): nothing */
	bool fp_in_window; /* [owner] since the last event: see fork.c */
	bool fp_pending; /* [owner] goes before the next command: it is in the window */
	struct batch *batch; /* [owner] calls that wait, or null (batch.c) */

	/* Attendance (attend.c). */
	bool attended; /* [owner] */
	s8 credit; /* [owner] for failed spins */
	u8 good_spins; /* [owner] since the promotion, up to a limit */
	u16 quick_events, promote_need; /* [owner] less slow ones; how many promote */
	bool woken; /* [owner] the last response found it asleep */
	int cpu; /* [owner] as the lane last reported */
	u64 yield_tsc; /* [owner] when other fibers could run last */
	u64 event_tsc; /* [owner] when the last event came; later by what operations took */
	u64 answer_tsc; /* [owner] how long its answer took, but for these */

	/* Interrupts. */
	_Atomic u32 interrupt; /* asked for and not yet delivered by pf_run */
	u32 signals_out; /* [owner] signals sent and not yet seen as an event */

	bool dead_lane; /* [owner] saw the space dead */
	_Atomic int stat_fd; /* of proc_cpu_time, or -1; who uses it takes it out */
	bool has_rseq; /* [owner] */
	u64 rseq_area; /* [owner] */
	u32 rseq_size, rseq_signature; /* [owner] */
	_Atomic u64 spin_tsc; /* written by the owner: spent waiting for us, as the lane last
				 reported */
	u64 spin_most; /* [owner] what that can be at most */
	_Atomic u64 cpu_time; /* ns that the lane has used, when last looked at */
	u64 cpu_base; /* [creator] of which this is other threads', which had the lane before */
};

/* A fork under way: lives on the forking fiber's stack. */
struct fork_txn {
	struct list link; /* [lock] family->forks */
	u64 nonce[2]; /* [I] */
	struct pf_thread *child; /* [I] */
	bool bound; /* [lock] */
};

#define CPU_WORDS 128 /* of an affinity mask */

struct systrap {
	struct spin lock;
	u64 base; /* [I] of the stub's region; also the end of guest addresses */
	s64 deadline_ns; /* [I] for whatever a lane must answer */
	u64 tsc_per_us; /* [I] */
	u32 fp_size; /* [I] */
	u64 xfeatures; /* [I] */
	bool fsgsbase; /* [I] */
	bool virtual_cpus; /* [I] */
	bool many_cpus; /* [I] */
	unsigned int online_cpus; /* [I] of the host */
	int load_fd; /* [I] the host's loadavg, or -1 */
	bool strict_memory; /* [I] the host may refuse memory that it has (overcommit_memory 2) */
	_Atomic bool no_vm; /* the host does not let us at our stubs' memory by process_vm_readv */
	int proc_fd; /* [I] or -1 */
	pid_t main_tid; /* [I] the parent of all stubs */
	struct pf_host_vdso vdso; /* [I] */
	struct mailbox *mail; /* [keeper] shared with the zygote */
	int mail_fd, doorbell_fd; /* [I] */
	struct poll_source doorbell; /* [I] */
	pid_t zygote_pid; /* [I] */
	struct poll_source zygote; /* [I] fd: its pidfd */
	_Atomic bool zygote_dead;
	_Atomic u32 stats_kept; /* threads with a stat_fd */
	struct stub_config *config; /* [boot] */

	struct list spaces; /* [lock] */
	struct list spares; /* [lock] by spare_link */
	struct list reap; /* [lock] by reap_link: their processes have been reaped */
	struct list garbage; /* [lock] by reap_link: without references */
	unsigned int process_count; /* [lock] spaces whose process has not been unwatched */
	unsigned int forks_open; /* [lock] approved clones of processes that are not bound yet */
	bool suspicious; /* [lock] there may be processes that belong to no space */
	struct pf_space *embryo; /* [keeper] being made by the zygote */
	s64 embryo_deadline; /* [keeper] */
	pid_t embryo_pid; /* [lock] its process, when the zygote has told */
	struct list free_files; /* [lock] */
	unsigned int free_file_count; /* [lock] */
	unsigned int spare_count, spare_target, spare_waiters; /* [lock] */
	int create_error; /* [lock] why the last creation failed; taken by a waiter */
	_Atomic int refusal; /* the last create_error that was taken */
	struct waitq spare_wait;
	struct fiber *keeper; /* [lock] */
	_Atomic bool stopping;
	_Atomic bool keeper_done;
	struct list *tid_hash; /* [lock] */
	struct pf_stats stats; /* relaxed atomics */
};

extern struct systrap g_systrap;

#define STAT_INC(field) __atomic_fetch_add(&g_systrap.stats.field, 1, __ATOMIC_RELAXED)

static inline void systrap_lock(void) ACQUIRE(&lc_platform)
{
	spin_lock(&g_systrap.lock, &lc_platform);
}

static inline void systrap_unlock(void) RELEASE(&lc_platform)
{
	spin_unlock(&g_systrap.lock, &lc_platform);
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

/* The CPU that this runs on, without a call. */
static inline int current_cpu(void)
{
	u32 limit = 0;

	__asm__ volatile("lsl %1, %0" : "+r"(limit) : "r"(0x7bU) : "cc");
	return (int)(limit & 0xfff);
}

static inline bool space_is_dead(const struct pf_space *s)
{
	return atomic_load_explicit(&s->state, memory_order_acquire) != SPACE_ALIVE;
}

static inline struct lane_file *thread_file(const struct pf_thread *t)
{
	return t->space->files[t->slot / LANES_PER_FILE];
}

/* ---- filter.c: both write at most max instructions and return their number ---- */
unsigned int filter_build_f0(struct sock_filter *prog, unsigned int max, u64 base);
unsigned int filter_build_f1(struct sock_filter *prog, unsigned int max, u64 base, bool fsgsbase);

/* ---- files.c: lane files ---- */
[[nodiscard]] int lane_file_get(struct lane_file **ret);
/* The stub that had it has been reaped. */
void lane_file_put(struct lane_file *f);
void lane_files_drop_all(void);

/* ---- lane.c: talking to one lane ---- */
/* The next command has the lane make this verified call. */
static inline void lane_stage(struct pf_thread *t, u32 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	t->staged = (struct vcall){ nr, { a, b, c, d, e, f } };
}
/*
 * Make a call, which F1 allows and which is not expected to fail, with the next command. For the
 * guest it must not matter that it is made only when it goes on. If it fails nevertheless, the
 * guest sees that if it made the same call (rseq, madvise), else the space ends. 0 or -ESRCH.
 */
[[nodiscard]] int lane_defer(struct pf_thread *t, const struct lane_call *call);
/* How lane_await ends, besides with an event. */
enum await_mode {
	AWAIT_REQUEST, /* the request word is enough */
	AWAIT_BARRIER, /* the lane must make its wait: what it did before is over */
	AWAIT_GUEST, /* guest code runs: no deadline but for interrupts */
};

/*
 * Give t's lane its next command. arg: count words. 0 or -ESRCH.
 */
[[nodiscard]] int lane_post(struct pf_thread *t, u32 op, u32 flags, const u64 *arg,
			    unsigned int count);
/* If t's owner is about to spin for the lane, have it do something useful until the event is there.
 */
void lane_idle(struct pf_thread *t, const struct pf_idle *idle);
/* Wait for the lane's next event and read it (without its registers). 0 or -ESRCH. */
[[nodiscard]] int lane_await(struct pf_thread *t, enum await_mode mode,
			     struct lane_event *ret_event);
/* Post and await; *ret_result gets the lane's word for the result. 0 or -ESRCH. */
[[nodiscard]] int lane_op(struct pf_thread *t, u32 op, const u64 *arg, unsigned int count,
			  s64 *ret_result);
/*
 * A system call by the lane. verified: it is a call that only the kernel may allow; done when this
 * returns. Returns the host's result (as the lane tells it: a hint) or -ESRCH.
 */
[[nodiscard]] s64 lane_syscall(struct pf_thread *t, bool verified, u32 nr, u64 a, u64 b, u64 c,
			       u64 d, u64 e, u64 f);
/* The lane did what it must not: end its space. */
void lane_misbehaved(struct pf_thread *t, const char *what);
/* Wait for a new lane's LANE_READY. 0 or -ESRCH. */
[[nodiscard]] int lane_first_event(struct pf_thread *t);
/* Let a lane go whose wait state was taken under the lock (w, id). */
void lane_wake(struct pf_thread *t, enum lane_wait w, u64 id);
/* To be called with the lock held whenever a wait ends or begins. */
void lane_set_wait(struct pf_thread *t, enum lane_wait w, u64 id) REQUIRES(&lc_platform);
/* Before any use of the lane by its owner. */
void lane_own(struct pf_thread *t);
/* The owner leaves it to another fiber, which may own it much later: what happens to the lane until
 * then wakes nobody, and the caller may end. */
void lane_disown(struct pf_thread *t);

/* ---- marshal.c: what goes along with events and resumes ---- */
/* The lane has made a LANE_EV_SYSCALL: see what came with it. */
void marshal_take(struct pf_thread *t);
/* Copy [src, src + size) if it came along. */
bool marshal_find(struct pf_thread *t, void *dst, u64 src, size_t size);
/* A string, of at most size bytes with its NUL; its length, or -ENOENT. */
ssize_t marshal_find_string(struct pf_thread *t, char *dst, u64 src, size_t size);
/* What has come along may be out of date. */
void marshal_forget(struct pf_thread *t);
/* Have it written with the next resume. False if it cannot go along. */
bool marshal_defer(struct pf_thread *t, u64 dst, const void *src, size_t size);
/* Before LANE_RUN or LANE_FLUSH: hand over what was deferred. 0 or -ESRCH. */
[[nodiscard]] int marshal_give(struct pf_thread *t);

/* ---- notify.c: the listeners ---- */
/* Takes over the listener; null when memory is short. */
struct family *family_create(int listener);
/* Whether its wakes hand the CPU over (see attend.c). */
void family_set_sync(struct family *f, bool sync);
/* Answer its notifications from now on: its first process is known. */
[[nodiscard]] int family_watch(struct family *f);
void family_destroy(struct family *f);
void notify_send(struct family *f, u64 id, bool go_on);
/* Answer lane's wait, id. */
void notify_answer(struct family *f, u64 id);
struct pf_thread *thread_by_tid(pid_t tid) REQUIRES(&lc_platform);
struct pf_space *space_by_pid(pid_t pid) REQUIRES(&lc_platform);
void thread_set_tid(struct pf_thread *t, pid_t tid) REQUIRES(&lc_platform);

/* Our children on the host that belong to no space; kill: end them. */
unsigned int strangers_count(bool forking);
void strangers_kill(void);

/* ---- space.c, keeper.c ---- */
struct pf_space *space_alloc(struct family *family);
void space_join_family(struct pf_space *s, struct family *family);
struct pf_thread *thread_alloc(struct pf_space *s, u32 slot);
struct thread_ids {
	pid_t pid, tid; /* tid 0: not bound yet, or reaped */
	bool many_lanes;
};
/* Whom to name to the host. */
struct thread_ids thread_ids(const struct pf_thread *t);
/* Free a thread that never ran, or whose space is dead. */
void thread_free(struct pf_thread *t);
void space_free_unbound(struct pf_space *s);
/* Watch the death of a bound process; if that cannot be, it is dead when this returns. */
[[nodiscard]] int space_watch(struct pf_space *s);
void space_kill(struct pf_space *s, enum space_state state);
/* The host process of s is known: s->pid, pidfd. */
void space_bound(struct pf_space *s) REQUIRES(&lc_platform);
void keeper_main(void *arg);
void keeper_wake(void);
/* Free what is dead and nobody refers to. The keeper's; or after its end. */
void keeper_bury(void);
/* Make sure that the guest's filter is in force before guest code runs. 0 or -ESRCH. */
[[nodiscard]] int space_seal(struct pf_thread *t);
/* Allocate what a slot's lane needs in the kernel: its header page. */
[[nodiscard]] int lane_prepare(struct pf_space *s, u32 slot);

/* ---- boot.c, proc.c ---- */
/* How many CPUs the host has, 0 if that cannot be read; of very many only the first ones. */
unsigned int proc_cpus(void);
/* The kernel's children on the host (at most max); -1 if the host does not tell. */
int proc_children(pid_t *ret, unsigned int max);
/* CPU time of a lane in ns; 0 if the host does not tell. */
u64 proc_cpu_time(struct pf_thread *t, pid_t pid, pid_t tid);
/* t is about to be freed. */
void proc_forget(struct pf_thread *t);
/* Open a file of the host's procfs. */
[[nodiscard]] int proc_open(const char *path);
[[nodiscard]] ssize_t proc_read(const char *path, char *buf, size_t size);
