/*
 * A lane's loop: what a host thread of a stub does between the guest's instructions (see lane.h for
 * the protocol).
 *
 * Every lane lives inside a signal handler, on its own stack, with the guest's registers in the
 * frame that the host built there; the guest runs when the handler returns. A new lane gets its
 * first frame by a fault. Two frames are possible at a time: a copy from guest memory may fault,
 * and its handler only moves the instruction pointer to the fixup.
 */

#include <asm/unistd.h>
#include <linux/futex.h>
#include <linux/rseq.h>
#include <linux/sched.h>
#include <signal.h>
#include <ucontext.h>

#include "platform/systrap/stub/fp.h"
#include "platform/systrap/stub/ops.h"
#include "platform/systrap/stub/quick.h"
#include "platform/systrap/stub/stub.h"

#define SEGMENTS \
	0x002b'0000'0000'0033UL /* cs 0x33, gs 0, fs 0, ss 0x2b: those of 64-bit user code */
#define ARCH_X86_64 0xc000003eU
#define CODE_SECCOMP 1 /* si_code SYS_SECCOMP */
#define TRAP_GP 13

static u64 read_fs_base(void)
{
	u64 v = 0;

	if (stub_config()->fsgsbase)
		__asm__ volatile("rdfsbase %0" : "=r"(v));
	else
		(void)fast_call(__NR_arch_prctl, 0x1003, (u64)&v, 0, 0, 0, 0);
	return v;
}

static u64 read_gs_base(void)
{
	u64 v = 0;

	if (stub_config()->fsgsbase)
		__asm__ volatile("rdgsbase %0" : "=r"(v));
	else
		(void)fast_call(__NR_arch_prctl, 0x1004, (u64)&v, 0, 0, 0, 0);
	return v;
}

void write_fs_base(u64 v)
{
	if (stub_config()->fsgsbase)
		__asm__ volatile("wrfsbase %0" ::"r"(v));
	else
		(void)fast_call(__NR_arch_prctl, 0x1002, v, 0, 0, 0, 0);
}

static void write_gs_base(u64 v)
{
	if (stub_config()->fsgsbase)
		__asm__ volatile("wrgsbase %0" ::"r"(v));
	else
		(void)fast_call(__NR_arch_prctl, 0x1001, v, 0, 0, 0, 0);
}

static void regs_to_lane(struct guest_regs *r, const greg_t *g)
{
	r->r15 = (u64)g[REG_R15];
	r->r14 = (u64)g[REG_R14];
	r->r13 = (u64)g[REG_R13];
	r->r12 = (u64)g[REG_R12];
	r->rbp = (u64)g[REG_RBP];
	r->rbx = (u64)g[REG_RBX];
	r->r11 = (u64)g[REG_R11];
	r->r10 = (u64)g[REG_R10];
	r->r9 = (u64)g[REG_R9];
	r->r8 = (u64)g[REG_R8];
	r->rax = (u64)g[REG_RAX];
	r->rcx = (u64)g[REG_RCX];
	r->rdx = (u64)g[REG_RDX];
	r->rsi = (u64)g[REG_RSI];
	r->rdi = (u64)g[REG_RDI];
	r->orig_rax = (u64)-1;
	r->rip = (u64)g[REG_RIP];
	r->cs = SEGMENTS & 0xffff;
	r->eflags = (u64)g[REG_EFL];
	r->rsp = (u64)g[REG_RSP];
	r->ss = SEGMENTS >> 48;
	r->fs_base = read_fs_base();
	r->gs_base = read_gs_base();
	r->ds = r->es = r->fs = r->gs = 0;
}

static void regs_from_lane(greg_t *g, const struct guest_regs *r)
{
	g[REG_R15] = (greg_t)r->r15;
	g[REG_R14] = (greg_t)r->r14;
	g[REG_R13] = (greg_t)r->r13;
	g[REG_R12] = (greg_t)r->r12;
	g[REG_RBP] = (greg_t)r->rbp;
	g[REG_RBX] = (greg_t)r->rbx;
	g[REG_R11] = (greg_t)r->r11;
	g[REG_R10] = (greg_t)r->r10;
	g[REG_R9] = (greg_t)r->r9;
	g[REG_R8] = (greg_t)r->r8;
	g[REG_RAX] = (greg_t)r->rax;
	g[REG_RCX] = (greg_t)r->rcx;
	g[REG_RDX] = (greg_t)r->rdx;
	g[REG_RSI] = (greg_t)r->rsi;
	g[REG_RDI] = (greg_t)r->rdi;
	g[REG_RIP] = (greg_t)r->rip;
	g[REG_EFL] = (greg_t)r->eflags;
	g[REG_RSP] = (greg_t)r->rsp;
	g[REG_CSGSFS] = (greg_t)SEGMENTS;
	write_fs_base(r->fs_base);
	write_gs_base(r->gs_base);
}

static u32 load_acquire(const u32 *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

/* Publish the request and wait until the kernel has answered it. */
static void request_and_wait(struct lane *lane, struct lane_private *priv)
{
	u32 seq = ++priv->seq;

	lane->event.cpu = current_cpu();
	lane->event.spin_tsc = priv->spin_tsc;
	__atomic_store_n(&lane->request, seq, __ATOMIC_RELEASE);
	if (priv->spin && !(priv->flags & LANE_BARRIER) && priv->cpu != lane->event.cpu) {
		u64 start = rdtsc(), now = start;

		while (load_acquire(&lane->response) != seq && now - start < priv->spin) {
			cpu_pause();
			now = rdtsc();
		}
		priv->spin_tsc += now - start;
	}
	if ((priv->flags & LANE_BARRIER) || load_acquire(&lane->response) != seq) {
		lane->sleeping = seq;
		do {
			(void)verified_call(__NR_futex, (u64)&lane->response, FUTEX_WAIT, seq - 1,
					    0, 0, 0);
		} while (load_acquire(&lane->response) != seq);
	}
}

/* A call that could wait until the kernel had something else to say. False: what must not fail did.
 */
static bool call_first(struct lane *lane, struct lane_private *priv, u32 op)
{
	struct lane_call c = lane->first;
	u64 ret = (u64)fast_call((long)c.nr, c.arg[0], c.arg[1], c.arg[2], c.arg[3], c.arg[4],
				 c.arg[5]);

	if (c.nr == __NR_rseq && !ret) {
		priv->rseq_area = c.arg[0];
		priv->rseq_size = (u32)c.arg[1];
		priv->rseq_signature = (u32)c.arg[3];
	}
	if (ret == c.want)
		return true;
	if (c.nr != __NR_rseq && c.nr != __NR_madvise)
		return false;
	/* The guest made this very call. */
	if (op == LANE_RUN)
		lane->regs.rax = ret;
	return true;
}

/* Run commands until one says that the guest goes on. The caller has written the event. */
static void serve(struct lane *lane, struct lane_private *priv, ucontext_t *uc)
{
	for (;;) {
		struct lane_command cmd;

		request_and_wait(lane, priv);
		cmd = lane->command;
		priv->flags = cmd.flags;
		priv->cpu = cmd.cpu;
		priv->spin = cmd.spin;
		if (cmd.flags & LANE_FP_FIRST)
			fp_load(uc, lane->window, LANE_WINDOW_SIZE);
		if ((cmd.flags & LANE_FIRST) && !call_first(lane, priv, cmd.op)) {
			lane->event.kind = LANE_EV_REFUSED;
			continue;
		}
		if (cmd.op == LANE_RUN)
			break;
		lane->event.result = lane_do_op(&lane, &priv, uc, &cmd);
		if (cmd.op == LANE_FORK && lane->event.kind == LANE_READY)
			priv->flags = LANE_BARRIER; /* the child: its lane is new */
		else
			lane->event.kind = LANE_DONE;
	}
	marshal_outputs(lane);
	regs_from_lane(uc->uc_mcontext.gregs, &lane->regs);
	priv->run_tsc = rdtsc();
}

/* Is the call likely to make a thread? */
static bool makes_thread(const struct lane *lane)
{
	const struct guest_regs *r = &lane->regs;

	if (r->orig_rax == __NR_clone)
		return r->rdi & CLONE_VM;
	/* Its flags come first. */
	return r->orig_rax == __NR_clone3 && lane->inputs.count &&
	       (*(const u64 *)lane->marshal & CLONE_VM);
}

/* The area may be gone as soon as others can see that the thread is. */
static bool forget_rseq(struct lane_private *priv)
{
	u64 area = priv->rseq_area;

	priv->rseq_area = 0;
	return area && fast_call(__NR_rseq, area, priv->rseq_size, RSEQ_FLAG_UNREGISTER,
				 priv->rseq_signature, 0, 0) == 0;
}

static void syscall_event(struct lane *lane, struct lane_private *priv, const siginfo_t *info,
			  const void *uc)
{
	struct guest_regs *r = &lane->regs;

	if (info->si_code != CODE_SECCOMP) {
		lane->event.kind = LANE_EV_INTERRUPT;
	} else if (info->si_arch != ARCH_X86_64) {
		/* int 0x80: as on a host without the 32-bit entry. */
		lane->event.kind = LANE_EV_FAULT;
		lane->event.signo = SIGSEGV;
		lane->event.code = SI_KERNEL;
		lane->event.addr = 0;
		lane->event.trapno = TRAP_GP;
		lane->event.error_code = 0x80 << 3 | 2;
		r->rip -= 2;
	} else {
		lane->event.kind = LANE_EV_SYSCALL;
		r->orig_rax = (u64)(s64)info->si_syscall;
		r->rax = (u64)-38;
		marshal_inputs(lane);
		lane->event.result = 0;
		if (makes_thread(lane)) {
			lane->event.result = LANE_HAS_FP;
			(void)fp_save(uc, lane->window, LANE_WINDOW_SIZE);
		} else if (r->orig_rax == __NR_exit) {
			priv->spin = 0; /* nothing comes soon */
			quick_exit(lane);
			if (forget_rseq(priv))
				lane->event.result = LANE_NO_RSEQ;
		}
	}
}

/* A fault in one of entry.S's accesses to guest memory goes on at its fixup. */
static bool fix_up(greg_t *g)
{
	for (const struct fixup *f = stub_fixups_start; f != stub_fixups_end; f++)
		if ((u64)g[REG_RIP] == (u64)&f->at + (u64)(s64)f->at) {
			g[REG_RIP] = (greg_t)&f->to + f->to;
			return true;
		}
	return false;
}

void lane_signal(int signo, void *info_ptr, void *ucontext)
{
	ucontext_t *uc = ucontext;
	const siginfo_t *info = info_ptr;
	u64 now = rdtsc();
	u32 slot = current_slot();
	struct lane *lane = lane_of_slot(slot);
	struct lane_private *priv = private_of_slot(slot);
	struct lane_event *ev = &lane->event;

	if ((signo == SIGSEGV || signo == SIGBUS) && fix_up(uc->uc_mcontext.gregs))
		return;
	priv->ucontext = uc;
	if (signo == SIGSEGV && !priv->started) {
		priv->started = 1;
		*(u64 *)&uc->uc_sigmask =
			0; /* a new thread inherits the mask of its creator's handler */
		ev->kind = LANE_READY;
		priv->flags = LANE_BARRIER;
		serve(lane, priv, uc);
		return;
	}
	if (signo == SIGSYS && info->si_code == CODE_SECCOMP && info->si_arch == ARCH_X86_64 &&
	    quick_call(lane, priv, info->si_syscall, uc->uc_mcontext.gregs))
		return;
	regs_to_lane(&lane->regs, uc->uc_mcontext.gregs);
	ev->guest_tsc = now - priv->run_tsc;
	if (signo == SIGSYS) {
		syscall_event(lane, priv, info, uc);
	} else if ((u32)signo == stub_config()->interrupt_signo) {
		ev->kind = LANE_EV_INTERRUPT;
	} else {
		ev->kind = LANE_EV_FAULT;
		ev->signo = signo;
		ev->code = info->si_code;
		ev->addr = (u64)info->si_addr;
		ev->trapno = (u64)uc->uc_mcontext.gregs[REG_TRAPNO];
		ev->error_code = (u64)uc->uc_mcontext.gregs[REG_ERR];
	}
	serve(lane, priv, uc);
}

/* A thread that LANE_CLONE made. Its stack and lane are those of its slot. */
void lane_thread_main(void)
{
	u32 slot = current_slot();
	stack_t ss = { .ss_sp = (void *)(stack_top(slot) - STUB_STACK_SIZE),
		       .ss_size = LANE_ALTSTACK_SIZE };

	(void)fast_call(__NR_sigaltstack, (u64)&ss, 0, 0, 0, 0, 0);
	lane_enter();
}
