/*
 * Signal frames of x86-64: what a handler finds on its stack, and the way back by rt_sigreturn(2).
 *
 * From high to low addresses: the FP state (XSAVE area in standard format, 64-byte aligned, with
 * Linux's extension in the bytes that FXSAVE leaves to software and a magic word after it), then
 * struct frame, whose address is 8 modulo 16, as after a call. Everything is written in one copy.
 * On return all of it is the guest's word: flags and selectors are masked here, and again by the
 * platform; FP state that the hardware would refuse is a bad frame.
 *
 * Layout: arch/x86/include/uapi/asm/{ucontext,sigcontext}.h of Linux.
 */

#include "kernel/signal.h"

#include <stdlib.h>
#include <string.h>

#include "mm/mm.h"

#define UC_FP_XSTATE 1UL
#define UC_SIGCONTEXT_SS 2UL
#define UC_STRICT_RESTORE_SS 4UL

#define USER_CS 0x33
#define USER_DS 0x2b
#define RED_ZONE 128
#define SS_AUTODISARM (1u << 31)
#define MINSIGSTKSZ_K 2048
#define SA_RESTORER_K 0x04000000UL

#define FP_MAGIC1 0x4650'5853u
#define FP_MAGIC2 0x4650'5845u
#define FXSAVE_SIZE 512
#define XSAVE_HEADER_SIZE 64
#define XFEATURES_FPSSE 3UL
#define MXCSR_VALID 0xffffu

#define EFLAGS_TF (1UL << 8)
#define EFLAGS_DF (1UL << 10)
#define EFLAGS_RF (1UL << 16)
/* What a return may set: AC RF OF DF TF SF ZF AF PF CF. */
#define EFLAGS_RETURN 0x5'0dd5UL

struct sigcontext_frame {
	u64 r8, r9, r10, r11, r12, r13, r14, r15;
	u64 rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
	u16 cs, gs, fs, ss;
	u64 err, trapno, oldmask, cr2, fpstate;
	u64 reserved[8];
};

struct frame {
	u64 restorer;
	struct {
		u64 flags, link;
		stack_t stack;
		struct sigcontext_frame mcontext;
		sigset64 sigmask;
	} uc;
	siginfo_t info;
};

_Static_assert(sizeof(struct sigcontext_frame) == 256, "sigcontext");
_Static_assert(sizeof(struct frame) == 440, "rt_sigframe");

/* In the last 48 bytes of the FXSAVE area. */
struct fp_sw_bytes {
	u32 magic1, extended_size;
	u64 xfeatures;
	u32 xstate_size, padding[7];
};
#define FP_SW_OFFSET (FXSAVE_SIZE - sizeof(struct fp_sw_bytes))
#define FP_MXCSR_OFFSET 24

struct xsave_header {
	u64 xfeatures, xcomp_bv, reserved[6];
};

/* ---- alternate stacks ---- */

static bool within_altstack(const struct task *t, u64 sp)
{
	return sp > t->altstack.sp && sp - t->altstack.sp <= t->altstack.size;
}

/* A stack that disarms itself is never in use, as far as anybody can tell. */
static bool on_altstack(const struct task *t, u64 sp)
{
	return !(t->altstack.flags & SS_AUTODISARM) && within_altstack(t, sp);
}

stack_t altstack_show(const struct task *t, u64 sp)
{
	stack_t ss = { .ss_sp = (void *)t->altstack.sp, .ss_size = t->altstack.size };

	if (!t->altstack.size)
		ss.ss_flags = SS_DISABLE;
	else if (on_altstack(t, sp))
		ss.ss_flags = SS_ONSTACK;
	ss.ss_flags |= (int)(t->altstack.flags & SS_AUTODISARM);
	return ss;
}

int altstack_set(struct task *t, const stack_t *ss, u64 sp)
{
	u32 mode = (u32)ss->ss_flags & ~SS_AUTODISARM;

	if (on_altstack(t, sp))
		return -EPERM;
	if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
		return -EINVAL;
	if (mode != SS_DISABLE && ss->ss_size < MINSIGSTKSZ_K)
		return -ENOMEM;
	t->altstack = (struct sigaltstack_k){ .flags = (u32)ss->ss_flags };
	if (mode != SS_DISABLE) {
		t->altstack.sp = (u64)ss->ss_sp;
		t->altstack.size = ss->ss_size;
	}
	return 0;
}

void altstack_reset(struct task *t)
{
	t->altstack = (struct sigaltstack_k){ .flags = SS_DISABLE };
}

long signal_altstack(struct task *t, struct uaddr ss, struct uaddr old)
{
	stack_t shown = altstack_show(t, t->regs.rsp), new;
	long err;

	if (!uaddr_is_null(ss)) {
		err = copy_in(&t->subject, &new, ss, sizeof(new));
		if (!err)
			err = altstack_set(t, &new, t->regs.rsp);
		if (err)
			return err;
	}
	if (!uaddr_is_null(old))
		return copy_out(&t->subject, old, &shown, sizeof(shown));
	return 0;
}

/* ---- building ---- */

/* Where the frame goes, and the FP state above it; false if an alternate stack is too small. */
static bool frame_place(const struct task *t, const struct ksignal *k, u64 fp_room, u64 *ret_frame,
			u64 *ret_fp)
{
	u64 sp = t->regs.rsp;
	bool nested = on_altstack(t, sp), entering = false;

	sp -= RED_ZONE;
	if ((k->action.flags & SA_ONSTACK) && t->altstack.size && !on_altstack(t, sp)) {
		sp = t->altstack.sp + t->altstack.size;
		entering = true;
	}
	*ret_fp = align_down(sp - fp_room, 64);
	*ret_frame = align_down(*ret_fp - sizeof(struct frame), 16) - 8;
	return !(nested || entering) || within_altstack(t, *ret_frame);
}

static void frame_fill_regs(const struct task *t, struct sigcontext_frame *sc)
{
	const struct guest_regs *r = &t->regs;

	*sc = (struct sigcontext_frame){
		.r8 = r->r8,
		.r9 = r->r9,
		.r10 = r->r10,
		.r11 = r->r11,
		.r12 = r->r12,
		.r13 = r->r13,
		.r14 = r->r14,
		.r15 = r->r15,
		.rdi = r->rdi,
		.rsi = r->rsi,
		.rbp = r->rbp,
		.rbx = r->rbx,
		.rdx = r->rdx,
		.rax = r->rax,
		.rcx = r->rcx,
		.rsp = r->rsp,
		.rip = r->rip,
		.eflags = r->eflags,
		.cs = (u16)r->cs,
		.ss = (u16)r->ss,
		.err = t->fault_error,
		.trapno = t->fault_trapno,
		.cr2 = t->fault_cr2,
	};
}

static void frame_fill(const struct task *t, const struct ksignal *k, sigset64 saved, u64 fp,
		       struct frame *f)
{
	memset(f, 0, sizeof(*f));
	f->restorer = k->action.restorer;
	f->uc.flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	if (platform_xfeatures())
		f->uc.flags |= UC_FP_XSTATE;
	f->uc.stack.ss_sp = (void *)t->altstack.sp;
	f->uc.stack.ss_size = t->altstack.size;
	f->uc.stack.ss_flags = (int)t->altstack.flags;
	frame_fill_regs(t, &f->uc.mcontext);
	f->uc.mcontext.oldmask = saved;
	f->uc.mcontext.fpstate = fp;
	f->uc.sigmask = saved;
	if (k->action.flags & SA_SIGINFO)
		f->info = k->info;
}

/* Save the FP state of t into buf as it stands in a frame. */
static int fp_save(struct task *t, char *buf, u32 size)
{
	struct fp_sw_bytes sw = { .magic1 = FP_MAGIC1 };
	const u32 magic2 = FP_MAGIC2;
	struct xsave_header header;
	int err = pf_fp_save(t->subject.thread, buf, size);

	if (err || !platform_xfeatures())
		return err;
	sw.extended_size = size + (u32)sizeof(magic2);
	sw.xfeatures = platform_xfeatures();
	sw.xstate_size = size;
	memcpy(buf + FP_SW_OFFSET, &sw, sizeof(sw));
	memcpy(&header, buf + FXSAVE_SIZE, sizeof(header));
	/* Programs that know only FXSAVE change these parts without telling the header. */
	header = (struct xsave_header){ .xfeatures = header.xfeatures | XFEATURES_FPSSE };
	memcpy(buf + FXSAVE_SIZE, &header, sizeof(header));
	memcpy(buf + size, &magic2, sizeof(magic2));
	return 0;
}

static u32 fp_size(void)
{
	return platform_xfeatures() ? platform_fp_size() : FXSAVE_SIZE;
}

static void handler_enter(struct task *t, const struct ksignal *k, u64 frame)
{
	struct guest_regs *r = &t->regs;

	r->rdi = (u64)k->sig;
	r->rax = 0;
	r->rsi = frame + offsetof(struct frame, info);
	r->rdx = frame + offsetof(struct frame, uc);
	r->rip = k->action.handler;
	r->rsp = frame;
	r->cs = USER_CS;
	r->ss = USER_DS;
	r->eflags &= ~(EFLAGS_DF | EFLAGS_RF | EFLAGS_TF);
}

static void cleanup_free(char **p)
{
	free(*p);
}

int sigframe_build(struct task *t, const struct ksignal *k, sigset64 saved_mask)
{
	u32 size = fp_size();
	u64 room = size + (platform_xfeatures() ? sizeof(u32) : 0), frame, fp;
	char *buf __attribute__((cleanup(cleanup_free))) = NULL;
	int err;

	if (!(k->action.flags & SA_RESTORER_K))
		return -EFAULT;
	if (!frame_place(t, k, room, &frame, &fp) || !uaddr_ok(UADDR(frame), fp + room - frame))
		return -EFAULT;
	err = pf_flush(t->subject.thread);
	if (err)
		return err;
	buf = calloc(1, fp + room - frame);
	if (!buf)
		return -ENOMEM;
	frame_fill(t, k, saved_mask, fp, (struct frame *)(void *)buf);
	err = fp_save(t, buf + (fp - frame), size);
	if (err)
		return err;
	err = copy_out(&t->subject, UADDR(frame), buf, fp + room - frame);
	if (err)
		return err;
	err = pf_fp_reset(t->subject.thread);
	if (err)
		return err;
	handler_enter(t, k, frame);
	if (t->altstack.flags & SS_AUTODISARM)
		altstack_reset(t);
	return 0;
}

/* ---- returning ---- */

/*
 * Make buf, of which got bytes are the guest's, an XSAVE area that restores what the guest's frame
 * says: all of it, or if the extension does not check out, x87 and SSE only. False for what the
 * hardware would fault on.
 */
static bool fp_decode(char *buf, size_t got, u32 size)
{
	struct xsave_header header = {};
	struct fp_sw_bytes sw;
	u32 magic2 = 0, mxcsr;

	if (got < FXSAVE_SIZE)
		return false;
	memcpy(&mxcsr, buf + FP_MXCSR_OFFSET, sizeof(mxcsr));
	if (mxcsr & ~MXCSR_VALID)
		return false;
	memcpy(&sw, buf + FP_SW_OFFSET, sizeof(sw));
	if (sw.magic1 == FP_MAGIC1 && sw.xstate_size >= FXSAVE_SIZE + XSAVE_HEADER_SIZE &&
	    sw.xstate_size <= size && sw.xstate_size <= sw.extended_size) {
		if (got < sw.xstate_size + sizeof(magic2))
			return false;
		memcpy(&magic2, buf + sw.xstate_size, sizeof(magic2));
	}
	if (magic2 != FP_MAGIC2) {
		header.xfeatures = XFEATURES_FPSSE;
		memset(buf + FXSAVE_SIZE, 0, size - FXSAVE_SIZE);
		memcpy(buf + FXSAVE_SIZE, &header, sizeof(header));
		return true;
	}
	memcpy(&header, buf + FXSAVE_SIZE, sizeof(header));
	if ((header.xfeatures & ~platform_xfeatures()) || header.xcomp_bv || header.reserved[0])
		return false;
	header.xfeatures &= sw.xfeatures;
	memcpy(buf + FXSAVE_SIZE, &header, sizeof(header));
	return true;
}

static int fp_restore(struct task *t, u64 fpstate)
{
	u32 size = fp_size();
	char *buf __attribute__((cleanup(cleanup_free))) = NULL;
	ssize_t got;

	if (!fpstate)
		return pf_fp_reset(t->subject.thread);
	if (!uaddr_ok(UADDR(fpstate), size))
		return -EFAULT;
	buf = calloc(1, size + sizeof(u32));
	if (!buf)
		return -ENOMEM;
	got = copy_in_partial(&t->subject, buf, UADDR(fpstate), size + sizeof(u32));
	if (got < 0)
		return (int)got;
	if (size == FXSAVE_SIZE) {
		if (got < FXSAVE_SIZE)
			return -EFAULT;
	} else if (!fp_decode(buf, (size_t)got, size)) {
		return -EFAULT;
	}
	return pf_fp_load(t->subject.thread, buf, size);
}

static void frame_take_regs(struct task *t, const struct frame *f)
{
	const struct sigcontext_frame *sc = &f->uc.mcontext;
	struct guest_regs *r = &t->regs;

	r->r8 = sc->r8, r->r9 = sc->r9, r->r10 = sc->r10, r->r11 = sc->r11;
	r->r12 = sc->r12, r->r13 = sc->r13, r->r14 = sc->r14, r->r15 = sc->r15;
	r->rdi = sc->rdi, r->rsi = sc->rsi, r->rbp = sc->rbp, r->rbx = sc->rbx;
	r->rdx = sc->rdx, r->rax = sc->rax, r->rcx = sc->rcx, r->rsp = sc->rsp;
	r->rip = sc->rip;
	r->eflags = (r->eflags & ~EFLAGS_RETURN) | (sc->eflags & EFLAGS_RETURN);
	r->cs = USER_CS;
	r->ss = USER_DS;
	r->orig_rax = (u64)-1;
}

long signal_return(struct task *t)
{
	u64 frame = t->regs.rsp - sizeof(u64);
	struct frame f;
	siginfo_t info;

	if (!uaddr_ok(UADDR(frame), sizeof(f)) || copy_in(&t->subject, &f, UADDR(frame), sizeof(f)))
		goto bad;
	signal_set_blocked(t, f.uc.sigmask);
	if (fp_restore(t, f.uc.mcontext.fpstate))
		goto bad;
	frame_take_regs(t, &f);
	(void)altstack_set(t, &f.uc.stack, t->regs.rsp);
	return (long)t->regs.rax;
bad:
	t->regs.orig_rax = (u64)-1;
	siginfo_kernel(&info, SIGSEGV);
	signal_force(t, &info);
	return 0;
}
