#pragma once

/*
 * The platform: how guest code runs. This interface knows nothing of how (host processes, KVM,
 * ...).
 *
 *   struct pf_space    one guest address space. Holds the mappings that mm decides on.
 *   struct pf_thread   one guest thread of control in a space. Driven by one fiber at a time, its
 * *owner*.
 *
 * Both are transient: they live outside the arena. All operations on a space's mappings and memory
 * are done through one of its threads, by that thread's owner, while the thread is not running
 * guest code (that is, outside pf_run). Every function may park; none may be called with a short
 * lock held. Any function may fail with -ESRCH: the space is dead (its host process died or was
 * killed for misbehaviour); then pf_run returns PF_EVENT_DEAD and the kernel ends the guest process
 * with SIGKILL. -EFAULT means the guest's own fault; -ENOMEM, the host refused.
 *
 * All that comes back from a space (registers, copied bytes) is hostile input; the platform has
 * checked nothing but that indexes and lengths of its own are in range.
 */

#include "base/types.h"

struct pf_space;
struct pf_thread;

/* x86-64 user registers, in the layout of ptrace's user_regs_struct. */
struct guest_regs {
	u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	u64 orig_rax; /* system call number during a call, else -1 */
	u64 rip, cs, eflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
};

struct pf_config {
	unsigned int spare_spaces; /* fresh spaces kept ready for pf_space_create */
	bool virtual_cpus; /* guest CPU numbers are not the host's */
	s64 operation_deadline_ns; /* a space that does not answer for so long is killed; 0: default
				    */
	int proc_fd; /* O_PATH descriptor of a procfs that shows this process and its children; 0 or
			-1: use /proc */
};

/* Boot: once, on the main thread, before workers start and before the kernel's own seccomp filter
 * is installed. */
[[nodiscard]] int platform_boot(const struct pf_config *config);
/* Second part of boot, from the first fiber: needs the poller. Starts filling the reserve of
 * spaces. */
[[nodiscard]] int platform_start(void);
/* Is there a space that was killed and whose host process is not gone yet, with all it has mapped?
 */
bool platform_has_dying(void);
/* Why the host refused the last process that it refused: a negative errno, or 0. */
int platform_refusal(void);
/* Kill all spaces. Call from the last fiber. */
void platform_shutdown(void);

/* Guest virtual addresses are [PF_MMAP_MIN, platform_task_size()). Fixed once booted. */
#define PF_MMAP_MIN 0x10000UL
u64 platform_task_size(void);
/* Largest FP state in bytes (XSAVE area, standard format), and the host's xfeature mask (XCR0); 0
 * if no XSAVE. */
u32 platform_fp_size(void);
u64 platform_xfeatures(void);
/* Where the host's own vdso functions are mapped in every space (0: absent): code that reads the
 * clocks without a kernel entry; if it makes a system call, that is an ordinary guest system call
 * event. */
struct pf_host_vdso {
	u64 clock_gettime, gettimeofday, time, clock_getres, getcpu;
};
const struct pf_host_vdso *platform_host_vdso(void);
/* True if the guest's rseq can be registered with the host (pf_thread_rseq). */
bool platform_has_rseq(void);

/* ---- spaces and threads ---- */

/* A fresh, empty space with one thread, owned by the caller. FP state is the initial one. */
[[nodiscard]] int pf_space_create(struct pf_space **ret_space, struct pf_thread **ret_thread);
/*
 * Copy the caller's thread's space (copy-on-write; shared mappings stay shared). The new thread has
 * the caller's FP state, FS and GS bases. -EAGAIN: too many host processes.
 */
[[nodiscard]] int pf_space_fork(struct pf_thread *t, struct pf_space **ret_space,
				struct pf_thread **ret_thread);
/* One more thread in t's space, with a copy of t's FP state. */
[[nodiscard]] int pf_thread_create(struct pf_thread *t, struct pf_thread **ret_thread);
/*
 * The thread's guest thread is gone. Called by its owner, once. The last thread's end ends the
 * space: its memory is gone at once, and its host process dies and is reaped in the background.
 */
void pf_thread_destroy(struct pf_thread *t);
/* Kill the space at once (group exit): all its threads' functions return -ESRCH, pf_run
 * PF_EVENT_DEAD. Any fiber. Threads still have to be destroyed one by one. */
void pf_space_kill(struct pf_space *s);
/* As pf_space_kill, but its memory stays readable through pf_space_read/write until
 * pf_thread_destroy of its last thread (for robust lists and clear_child_tid in shared memory). */
void pf_space_stop(struct pf_space *s);
struct pf_space *pf_thread_space(const struct pf_thread *t);
/* The thread's space is dead. Any fiber, locks may be held. */
bool pf_thread_is_dead(const struct pf_thread *t);

/* ---- running ---- */

enum pf_event {
	PF_EVENT_SYSCALL, /* regs->orig_rax holds the number; rax holds -ENOSYS; rip is after the
			     instruction */
	PF_EVENT_FAULT, /* a synchronous exception: see struct pf_fault */
	PF_EVENT_INTERRUPT, /* pf_interrupt, or time to look around; no other meaning */
	PF_EVENT_DEAD, /* the space is dead */
};

struct pf_fault {
	int signo; /* SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP as the host reported it */
	int code; /* si_code */
	u64 addr; /* si_addr, or CR2 */
	u64 trapno, error_code; /* as in sigcontext */
};

/*
 * Calls that concern the calling thread alone. The platform may answer them itself, without an
 * event; what they changed comes back with the next event, whatever that is. Until then only the
 * thread itself knows: who has to rely on its mask interrupts it first.
 */
#define PF_QUICK_SIGMASK 1U /* rt_sigprocmask. Only if no signal is pending */
#define PF_QUICK_ROBUST_LIST 2U /* set_robust_list; an empty list is none when the thread exits */
#define PF_QUICK_TID_ADDRESS 4U /* set_tid_address */
#define PF_QUICK_RSEQ 8U /* rseq: a first registration */
#define PF_QUICK_DONTNEED 16U /* madvise(MADV_DONTNEED). Only if no memory is locked */
#define PF_QUICK_BRK 32U /* brk that changes no mapping. Only if no other task has the memory */
#define PF_QUICK_SELF \
	64U /* gettid, getpid, arch_prctl(ARCH_SET_FS), getrandom: nothing to tell \
	     */
#define PF_QUICK_STACK_LIMIT \
	256U /* prlimit64(RLIMIT_STACK), to read it. Only of a single thread \
	      */
#define PF_QUICK_WATCH 128U /* epoll_ctl, as told by pf_watch_lend; then see pf_watch_take */
#define PF_QUICK_ACTIONS 512U /* rt_sigaction, as told by pf_actions_lend. With SIGMASK only */
#define PF_QUICK_READ 1024U /* read, recvfrom: see pf_reads_lend, then pf_reads_take */
struct pf_quick {
	u32 allowed; /* in: PF_QUICK_* */
	u32 done; /* out: PF_QUICK_* that changed something: the rest is valid for these */
	u32 tid, tgid; /* in */
	u32 rseq_size, rseq_signature;
	u64 start_brk; /* in */
	u64 brk; /* in and out */
	u64 blocked; /* in and out: the signal mask */
	u64 stack_limit[2]; /* in: soft, hard */
	u64 robust_list; /* in and out: a guest address, unchecked */
	u64 clear_child_tid, rseq_area; /* out: likewise */
};

/* What the owner has to do while guest code runs on another CPU: a step of a few microseconds;
 * false if there is nothing to do. */
struct pf_idle {
	bool (*step)(void *arg);
	void *arg;
};

/*
 * Run guest code with *regs until an event; *regs then holds the guest's registers (copied in
 * once). regs->fs_base and gs_base are loaded and saved. Sanitizes flags and segments on the way in
 * (as the host would on sigreturn); a non-canonical rip or rsp gives a fault, never trouble.
 * Deferred outputs are written before the guest goes on. idle, if not null, is done while the
 * caller would only spin: not at all if it does not.
 */
enum pf_event pf_run(struct pf_thread *t, struct guest_regs *regs, struct pf_quick *quick,
		     const struct pf_idle *idle, struct pf_fault *ret_fault);
/*
 * An epoll whose epoll_ctl the platform may answer, and make up for later: descriptor epfd, which
 * watches those in fds, in such a way that a change (MOD, DEL, and ADD after DEL) cannot fail.
 */
#define PF_WATCH_FDS 1024U
#define PF_WATCH_CALLS 48U /* most that are made up for at once */
struct pf_watch {
	int epfd;
	u64 fds[PF_WATCH_FDS / 64];
};
struct pf_watch_call {
	int op, fd;
	u32 events, pad;
	u64 data;
};
/* To be used by any pf_run that allows PF_QUICK_WATCH. The platform keeps account of the changes
 * that it takes. 0 or -ESRCH. */
[[nodiscard]] int pf_watch_lend(struct pf_thread *t, const struct pf_watch *w);
/* The changes, in order, after a pf_run with PF_QUICK_WATCH done; unchecked. Returns how many; ret
 * has room for PF_WATCH_CALLS. */
unsigned int pf_watch_take(struct pf_thread *t, struct pf_watch_call *ret);
/* As rt_sigaction has it. */
struct pf_action {
	u64 handler, flags, restorer, mask;
};
#define PF_ACTIONS 64U /* signals, from 1 on */
/* What signals do, to be used by any pf_run that allows PF_QUICK_ACTIONS; the platform keeps
 * account of changes. 0 or -ESRCH. */
[[nodiscard]] int pf_actions_lend(struct pf_thread *t, const struct pf_action lent[PF_ACTIONS]);
/* After a pf_run with PF_QUICK_ACTIONS done: which have changed (a mask of signals), and to what;
 * unchecked. */
u64 pf_actions_take(struct pf_thread *t, struct pf_action ret[PF_ACTIONS]);
/*
 * What the next read of each of some streams gives: the platform may answer one read of each that
 * asks for as much or more.
 */
#define PF_READS 16U
#define PF_READS_SIZE 1024U
struct pf_read {
	s32 fd;
	u32 size, offset; /* in data */
};
struct pf_reads {
	u32 done; /* 0 */
	u32 count;
	struct pf_read item[PF_READS];
	char data[PF_READS_SIZE];
};
/* To be used by any pf_run that allows PF_QUICK_READ. data has size bytes. 0 or -ESRCH. */
[[nodiscard]] int pf_reads_lend(struct pf_thread *t, const struct pf_reads *reads, size_t size);
/* Which items have been read since they were lent, in a bitmap; unchecked. */
u32 pf_reads_take(struct pf_thread *t);
/* Make t's pf_run return soon (at once if it is not running: the next pf_run returns
 * PF_EVENT_INTERRUPT without running guest code). Any thread, short locks may be held; t must not
 * be destroyed meanwhile. */
void pf_interrupt(struct pf_thread *t);
/* The CPU that t last ran on, and its host CPU time in ns less what it spent waiting for the
 * kernel. */
int pf_thread_cpu(const struct pf_thread *t);
u64 pf_thread_cpu_time(struct pf_thread *t);

/* ---- what is in memory; calls the host ---- */

/* In bytes; what the space itself costs is among it. All zero and -ESRCH if the space is dead.
 * Parks not. */
struct pf_residency {
	u64 anonymous, file, shmem; /* in memory */
	u64 swap, page_tables;
	u64 peak; /* the most that was in memory */
};
[[nodiscard]] int pf_space_residency(struct pf_space *s, struct pf_residency *ret);
/* The same by ranges of addresses, in order, which need not be those that were asked to be mapped.
 * Parks; fn is called on another thread, and must not. */
struct pf_range_usage {
	u64 start, end;
	u64 rss, pss, shared_clean, shared_dirty, private_clean, private_dirty;
	u64 referenced, anonymous, anon_huge, swap;
};
typedef void pf_range_fn(const struct pf_range_usage *range, void *arg);
[[nodiscard]] int pf_space_ranges(struct pf_space *s, pf_range_fn *fn, void *arg);

/* ---- floating point ---- */

/* Copy t's FP state (XSAVE area, standard format, platform_fp_size() bytes) to buf; or set it from
 * there. size may be smaller (512: FXSAVE only). Loading sanitizes: reserved bits are cleared,
 * never an error but -ESRCH. */
[[nodiscard]] int pf_fp_save(struct pf_thread *t, void *buf, size_t size);
[[nodiscard]] int pf_fp_load(struct pf_thread *t, const void *buf, size_t size);
[[nodiscard]] int pf_fp_reset(struct pf_thread *t);

/* ---- mappings: addresses and sizes are page-aligned, within the guest's range and not overflowing
 * (the caller, mm, has checked); prot is PROT_*. Fixed: what was there is replaced. ---- */

[[nodiscard]] int pf_map_anon(struct pf_thread *t, u64 addr, u64 size, int prot, bool noreserve,
			      bool growsdown);
/*
 * Map size bytes of a host file at offset. fd is a kernel descriptor, which must stay open during
 * the call; shared: MAP_SHARED (then fd's mode must equal the guest file's), else MAP_PRIVATE.
 */
[[nodiscard]] int pf_map_file(struct pf_thread *t, u64 addr, u64 size, int prot, bool shared,
			      int fd, u64 offset);
[[nodiscard]] int pf_unmap(struct pf_thread *t, u64 addr, u64 size);
[[nodiscard]] int pf_protect(struct pf_thread *t, u64 addr, u64 size, int prot);
/*
 * The space has so many mappings that the host may refuse a change: then none is put off. Otherwise
 * the platform may make a small change only when the guest goes on, and kill the space if the host
 * refuses it then.
 */
void pf_space_set_crowded(struct pf_space *s, bool crowded);
/* Move (mremap MAYMOVE|FIXED [|DONTUNMAP]) one mapping; new_size may be larger or smaller. To
 * where it is: it grows, into space that is free. */
[[nodiscard]] int pf_move(struct pf_thread *t, u64 old_addr, u64 old_size, u64 new_addr,
			  u64 new_size, bool keep_old);
/* advice: one of a fixed harmless set (MADV_DONTNEED, FREE, WILLNEED, NORMAL, RANDOM, SEQUENTIAL,
 * COLD, PAGEOUT, HUGEPAGE, NOHUGEPAGE, DONTFORK, DOFORK, POPULATE_READ, POPULATE_WRITE, WIPEONFORK,
 * KEEPONFORK); else -EINVAL. */
[[nodiscard]] int pf_advise(struct pf_thread *t, u64 addr, u64 size, int advice);
/* mincore of a range: one byte a page, into vec. */
[[nodiscard]] int pf_mincore(struct pf_thread *t, u64 addr, u64 size, u8 *vec);

/* ---- guest memory, through the owner's thread ---- */

/* Copy; returns 0 or -EFAULT (some bytes may have been copied), -ESRCH. Any size (done in pieces).
 */
[[nodiscard]] int pf_copy_in(struct pf_thread *t, void *dst, struct uaddr src, size_t size);
[[nodiscard]] int pf_copy_out(struct pf_thread *t, struct uaddr dst, const void *src, size_t size);
/* As pf_copy_in/out, but return how many bytes were copied before the first fault (may be < size),
 * or -ESRCH. */
[[nodiscard]] ssize_t pf_copy_in_partial(struct pf_thread *t, void *dst, struct uaddr src,
					 size_t size);
[[nodiscard]] ssize_t pf_copy_out_partial(struct pf_thread *t, struct uaddr dst, const void *src,
					  size_t size);
/*
 * As pf_copy_out_partial, from memory that must not be touched here, since it may fault: a mapping
 * of a host file that can shrink. Fewer bytes for a fault on either side; -EAGAIN: copy by way of a
 * buffer instead.
 */
[[nodiscard]] ssize_t pf_copy_out_mapped(struct pf_thread *t, struct uaddr dst, const void *src,
					 size_t size);
[[nodiscard]] int pf_clear(struct pf_thread *t, struct uaddr dst, size_t size);
/* Copy a string of at most size bytes, its NUL included. Returns its length without NUL;
 * -ENAMETOOLONG if no NUL in size bytes; -EFAULT. */
[[nodiscard]] ssize_t pf_copy_in_string(struct pf_thread *t, char *dst, struct uaddr src,
					size_t size);
/* Atomic 32-bit load, and compare-and-swap (*ret_old gets what was there); addr 4-aligned. */
[[nodiscard]] int pf_load32(struct pf_thread *t, struct uaddr addr, u32 *ret);
[[nodiscard]] int pf_cmpxchg32(struct pf_thread *t, struct uaddr addr, u32 old, u32 new,
			       u32 *ret_old);
/*
 * An output that may follow commit: buffered and written just before the guest goes
 * on. The caller accepts that a fault in it goes unreported if the page vanishes meanwhile. Falls
 * back to pf_copy_out.
 */
[[nodiscard]] int pf_copy_out_deferred(struct pf_thread *t, struct uaddr dst, const void *src,
				       size_t size);
/* Write what pf_copy_out_deferred has buffered. Before a stop, signal frame, or ptrace access. */
[[nodiscard]] int pf_flush(struct pf_thread *t);

/* Another space's memory, by any fiber (process_vm_*; may be slow). Bytes copied, or -EFAULT,
 * -ESRCH, -EPERM. */
[[nodiscard]] ssize_t pf_space_read(struct pf_space *s, void *dst, struct uaddr src, size_t size);
[[nodiscard]] ssize_t pf_space_write(struct pf_space *s, struct uaddr dst, const void *src,
				     size_t size);
/* References that keep the struct (not the guest's memory) alive for the two above and for
 * pf_space_kill. */
void pf_space_get(struct pf_space *s);
void pf_space_put(struct pf_space *s);

/* Register, or with size 0 unregister, the guest's rseq area with the host for t. */
[[nodiscard]] int pf_thread_rseq(struct pf_thread *t, struct uaddr area, u32 size, u32 signature);
/* membarrier(2) for all of t's space: one of the host's commands, without flags. -EPERM, -EINVAL as
 * the host. A space inherits what its original has registered. */
[[nodiscard]] int pf_thread_membarrier(struct pf_thread *t, int cmd);
/* Restrict the CPUs that t's guest code runs on. */
[[nodiscard]] int pf_thread_setaffinity(struct pf_thread *t, size_t size, const void *mask);

/* For tests and diagnostics: host process ids of live spaces, at most max; and counters since boot.
 */
unsigned int platform_host_pids(pid_t *ret, unsigned int max);
struct pf_stats {
	u64 events, events_attended, events_unattended, operations, verified, spaces_created,
		spaces_killed;
};
void platform_stats(struct pf_stats *ret);
