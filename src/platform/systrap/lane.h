#pragma once

/*
 * The interface between the kernel and its stubs: the one definition, compiled into both. See
 * docs/platform.md.
 *
 * A *lane* is a host thread of a stub. Its control area lies in a memfd that both map. Commands and
 * requests alternate, counted by two sequence words:
 *
 *	lane: write event n, request = n;          wait until response == n; do command n; ...
 *	kernel: wait until request == n, read it;  write command n, response = n;          ...
 *
 * Command LANE_RUN is over with the guest's next event, any other one with its result. While it
 * waits, the lane may spin (as the command told it to) and ends in the verified call
 * futex(&response, FUTEX_WAIT, n - 1, 0, 0, 0), whose notification is the doorbell.
 *
 * All that lies here is writable by the guest at any time: the kernel reads each field once and
 * believes nothing.
 */

#include "base/types.h"
#include "platform/platform.h"
#include "platform/systrap/marshal.h"

/* ---- layout of a stub's address space; offsets from its base, whose low 32 bits are zero ---- */

#define STUB_LINK_BASE \
	0x7ff800000000UL /* where stub.lds links the image; it is position-independent */
#define STUB_IMAGE_MAX 0x10000UL /* code and constants, then struct stub_config */
#define STUB_CONFIG_OFFSET 0xc000UL
#define STUB_VDSO_OFFSET 0x100000UL /* the host's vvar and vdso, as it laid them out */
#define STUB_VDSO_MAX 0x40000UL
#define STUB_MAIL_OFFSET 0x200000UL /* the zygote's mailbox, not inherited */
#define STUB_STACKS_OFFSET 0x1000000UL
#define STUB_STACK_SIZE \
	0x10000UL /* a lane's stack, which is its alternate stack: private, aligned to its size */
#define LANE_PRIVATE_SIZE 64UL /* struct lane_private, at the top of it */
#define LANE_STACK_TOP \
	(LANE_PRIVATE_SIZE + 8) /* below that: a new thread's first stack pointer \
				 */
#define STUB_LANES_OFFSET 0x40000000UL
#define STUB_LANES_MAX 4096U
#define STUB_REGION_SIZE 0x80000000UL

#define LANE_WINDOW_SIZE 0x10000UL
#define LANE_MARSHAL_OFFSET 1024UL
#define LANE_WINDOW_OFFSET \
	(LANE_MARSHAL_OFFSET + MARSHAL_SIZE) /* small copies touch only the lane's first page */
#define LANE_SIZE 0x12000UL
#define LANES_PER_FILE 8U /* a lane file is the control areas of 8 consecutive slots */
#define LANE_FILE_SIZE (LANES_PER_FILE * LANE_SIZE)

enum lane_op {
	LANE_RUN = 1, /* run the guest with lane->regs */
	LANE_SYSCALL, /* arg: number, six arguments. LANE_VERIFIED: at the verified instruction */
	LANE_COPY_IN, /* arg: guest address, size: copy to the window; result: bytes not copied */
	LANE_COPY_OUT, /* arg: guest address, size: copy from the window; result: bytes not copied
			*/
	LANE_CLEAR, /* arg: guest address, size; result: bytes not cleared */
	LANE_STRING, /* arg: guest address, size: copy to the window through a NUL; result: bytes
		      * copied, of which the last is NUL unless the size was reached, or -EFAULT */
	LANE_LOAD32, /* arg: guest address; result: the value or -EFAULT */
	LANE_CMPXCHG32, /* arg: guest address, old, new; result: what was there or -EFAULT */
	LANE_FP_SAVE, /* arg: size; copy the guest's FP state to the window; result: bytes written
		       */
	LANE_FP_LOAD, /* arg: size; set the guest's FP state from the window */
	LANE_FP_RESET,
	LANE_FP_GIVE, /* arg: slot; copy the guest's FP state to another lane of the stub */
	LANE_CLONE, /* arg: slot, flags; start a thread there: verified clone */
	LANE_FLUSH, /* write lane->outputs */
	LANE_FORK, /* arg: nonce (2), lane file descriptor, file index, clone flags: verified clone;
		    * the child's first event is LANE_READY */
	LANE_BATCH, /* arg: count; make the struct lane_calls in the window. A fresh stub only;
		     * result: how many gave what was wanted; stops at the first that did not */
};

#define LANE_CALL_CLEAR (~0U) /* no call: clear guest memory, arg: address, size */
#define LANE_CALL_SEAL (~1U) /* unmap the gate: guest code will run */
struct lane_call {
	u64 nr;
	u64 arg[6];
	u64 want; /* the result that is success */
};

/* Command flags. */
#define LANE_VERIFIED 1U /* LANE_SYSCALL: at the verified instruction */
#define LANE_BARRIER 4U /* the next wait is the proof that this command is over: do not spin */
#define LANE_FP_FIRST 16U /* first set the guest's FP state from the window */
#define LANE_FIRST 8U /* first make the call lane->first */

enum lane_event_kind {
	LANE_READY = 1, /* first event of a lane */
	LANE_DONE, /* result of an operation */
	LANE_EV_SYSCALL,
	LANE_EV_FAULT,
	LANE_EV_INTERRUPT,
	LANE_EV_REFUSED, /* the host refused lane->first, and the kernel does not expect that */
};

struct lane_command {
	u32 op; /* enum lane_op */
	u32 flags;
	u32 cpu; /* where the kernel's worker runs: no use to spin there */
	u32 spin; /* attended: spin so many TSC cycles for the next response, or 0 */
	u64 arg[7];
};

/* What the lane did beside a system call. */
#define LANE_HAS_FP 1 /* the FP state is in the window (see fork.c) */
#define LANE_NO_RSEQ 2 /* rseq is no longer registered: the thread exits */

struct lane_event {
	u32 kind; /* enum lane_event_kind */
	s32 signo, code;
	u32 cpu; /* where the lane runs */
	s64 result; /* LANE_DONE; LANE_EV_SYSCALL: LANE_HAS_FP, LANE_NO_RSEQ */
	u64 addr, trapno, error_code;
	u64 guest_tsc; /* TSC cycles from the last LANE_RUN to this event */
	u64 spin_tsc; /* cycles spent spinning, since the lane was made */
};

struct lane_watch {
	s32 epfd;
	u32 count; /* of calls; the kernel sets it to 0 */
	u64 fds[PF_WATCH_FDS / 64];
	struct pf_watch_call calls[PF_WATCH_CALLS];
};

struct lane_actions {
	struct pf_action at[PF_ACTIONS];
	u64 changed; /* signals; the kernel sets it to 0 */
};

struct lane {
	/* Written by the lane. */
	_Alignas(64) u32 request;
	u32 sleeping; /* = request just before the lane goes into its wait: a hint that spinning is
			 of no use */
	struct lane_event event;
	/* Written by the kernel. */
	_Alignas(64) u32 response;
	u32 pad;
	struct lane_command command;
	struct lane_call first; /* LANE_FIRST */
	/* Both ways: the kernel writes it before a LANE_RUN. */
	struct pf_quick quick;
	u32 revoked; /* kernel: an interrupt is on its way: the mask is no longer lent */
	/* Both ways. */
	_Alignas(64) struct guest_regs regs;
	/* A fresh stub's report to the kernel, before its filter: trusted until the space has run
	 * guest code. */
	struct {
		s32 error; /* negative errno */
		s32 listener; /* descriptor of F0's listener */
		s32 tid; /* nonzero when the rest is valid */
	} hello;
	/* Beside a LANE_EV_SYSCALL. */
	_Alignas(64) struct {
		u32 count;
		struct marshal_item item[MARSHAL_ITEMS];
	} inputs;
	/* Beside a LANE_RUN: what to copy to the guest first. The lane resets the count. */
	struct {
		u32 count;
		struct marshal_item item[MARSHAL_OUTPUTS];
	} outputs;
	_Alignas(LANE_MARSHAL_OFFSET) u8 marshal[MARSHAL_SIZE]; /* the items' bytes */
	u8 window[LANE_WINDOW_SIZE];
	/* Both ways, with PF_QUICK_WATCH: the kernel writes it before a LANE_RUN. */
	struct lane_watch watch;
	/* Likewise, with PF_QUICK_ACTIONS. */
	struct lane_actions actions;
	/* With PF_QUICK_READ: the kernel writes it before a LANE_RUN, the lane what is done. */
	struct pf_reads reads;
};

_Static_assert(offsetof(struct lane, window) == LANE_WINDOW_OFFSET, "window offset");
_Static_assert(sizeof(struct lane) <= LANE_SIZE, "lane size");

/* ---- the zygote's mailbox: one request at a time ---- */

struct mailbox {
	u32 request; /* kernel: bumped to ask for a stub */
	s32 lane_fd; /* lane file of the new stub */
	s32 error; /* zygote: its own boot's result (negative errno), -1 while booting; then clone's
		      failure */
	u32 served; /* zygote: = request once the clone was made or failed */
	s32 pid; /* of the clone, or negative errno */
};

/* ---- what the kernel writes into the image before the zygote starts ---- */

struct stub_piece {
	u64 start, size; /* where a piece of the host's vdso is now */
	u64 dest; /* where it is to be moved, 0: it stays */
};

#define STUB_FILTER_MAX 192U

struct stub_config {
	u64 base; /* address of the region */
	u64 top; /* end of the host's user address space */
	u32 fsgsbase; /* the host lets user code use wrfsbase */
	u32 fp_size;
	/* Boot. */
	s32 mail_fd, doorbell_fd;
	s32 proc_fd; /* of a procfs, or -1: /proc */
	s32 kernel_pid;
	u32 interrupt_signo;
	u32 piece_count;
	u64 rseq_area;
	u32 rseq_size, rseq_signature;
	struct stub_piece pieces[4];
	struct {
		u64 count; /* struct sock_fprog */
		u64 filter;
	} f0_prog, f1_prog;
	u64 f0[STUB_FILTER_MAX / 4]; /* struct sock_filter */
	u64 f1[STUB_FILTER_MAX];
};
