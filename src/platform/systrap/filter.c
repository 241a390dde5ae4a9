/*
 * The two seccomp filters of a stub, assembled by hand.
 *
 * F0 turns every call at verified_syscall into a notification to the kernel. F1 lets
 * verified_syscall through (F0's answer is the stricter one and stands), lets a few harmless calls
 * through at fast_syscall, and traps all the rest; but at gate_syscall it allows everything. That
 * instruction is in a page of its own, which is unmapped before the first guest instruction and
 * cannot be mapped again: nothing at the other two can map above guest memory. So all stubs have
 * one F1, the zygote's: to build one takes 145 µs.
 *
 * A guest may jump to both instructions with any registers. So what F1 allows at fast_syscall must
 * be harmless whatever its arguments: rt_sigreturn, sigaltstack, rseq and getrandom touch only the
 * caller; the memory calls are limited to private anonymous memory below the stub's region, whose
 * base has 32 low zero bits: addr + size <= base can be computed in two halves.
 */

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/mman.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "base/bug.h"
#include "platform/systrap/internal.h"
#include "stub_syms.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define MAX_JUMPS 128

/* Jump targets: a label is the index of its instruction; jumps are forward only and fixed up at the
 * end. */
enum label {
	NEXT,
	ALLOW,
	TRAP,
	NOTIFY,
	FAST,
	MMAP,
	MUNMAP,
	MPROTECT,
	MADVISE,
	ARCH_PRCTL,
	RANGE,
	LABELS
};

struct assembler {
	struct sock_filter *prog;
	unsigned int count, max;
	unsigned int label_at[LABELS];
	struct {
		unsigned int at;
		enum label yes, no;
	} jumps[MAX_JUMPS];
	unsigned int jump_count;
};

static void emit(struct assembler *as, u16 code, u32 k)
{
	BUG_ON(as->count >= as->max);
	as->prog[as->count++] = (struct sock_filter){ code, 0, 0, k };
}

static void load(struct assembler *as, size_t offset)
{
	emit(as, BPF_LD | BPF_W | BPF_ABS, (u32)offset);
}

static void load_low(struct assembler *as, unsigned int arg)
{
	load(as, offsetof(struct seccomp_data, args) + 8 * arg);
}

static void load_high(struct assembler *as, unsigned int arg)
{
	load(as, offsetof(struct seccomp_data, args) + 8 * arg + 4);
}

/* cond: BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET */
static void jump(struct assembler *as, u16 cond, u32 k, enum label yes, enum label no)
{
	BUG_ON(as->jump_count >= MAX_JUMPS);
	as->jumps[as->jump_count].at = as->count;
	as->jumps[as->jump_count].yes = yes;
	as->jumps[as->jump_count++].no = no;
	emit(as, BPF_JMP | cond | BPF_K, k);
}

static void need_equal(struct assembler *as, u32 k)
{
	jump(as, BPF_JEQ, k, NEXT, TRAP);
}

static void place(struct assembler *as, enum label l)
{
	as->label_at[l] = as->count;
}

static void ret(struct assembler *as, enum label l, u32 action)
{
	place(as, l);
	emit(as, BPF_RET | BPF_K, action);
}

static u8 distance(const struct assembler *as, unsigned int at, enum label l)
{
	if (l == NEXT)
		return 0;
	BUG_ON(as->label_at[l] <= at || as->label_at[l] - at - 1 > 255);
	return (u8)(as->label_at[l] - at - 1);
}

static void fix_jumps(struct assembler *as)
{
	for (unsigned int i = 0; i < as->jump_count; i++) {
		unsigned int at = as->jumps[i].at;

		as->prog[at].jt = distance(as, at, as->jumps[i].yes);
		as->prog[at].jf = distance(as, at, as->jumps[i].no);
	}
}

static u32 low(u64 v)
{
	return (u32)v;
}

static u32 high(u64 v)
{
	return (u32)(v >> 32);
}

unsigned int filter_build_f0(struct sock_filter *prog, unsigned int max, u64 base)
{
	struct assembler as = { .prog = prog, .max = max };
	u64 verified = base + (STUB_SYM_verified_syscall - STUB_LINK_BASE);

	load(&as, offsetof(struct seccomp_data, arch));
	jump(&as, BPF_JEQ, AUDIT_ARCH_X86_64, NEXT, ALLOW);
	load(&as, offsetof(struct seccomp_data, instruction_pointer));
	jump(&as, BPF_JEQ, low(verified), NEXT, ALLOW);
	load(&as, offsetof(struct seccomp_data, instruction_pointer) + 4);
	jump(&as, BPF_JEQ, high(verified), NOTIFY, ALLOW);
	ret(&as, NOTIFY, SECCOMP_RET_USER_NOTIF);
	ret(&as, ALLOW, SECCOMP_RET_ALLOW);
	fix_jumps(&as);
	return as.count;
}

/* The argument's high half is zero, and it is one of the values. */
static void one_of(struct assembler *as, unsigned int arg, const u32 *values, unsigned int count,
		   enum label yes)
{
	load_high(as, arg);
	need_equal(as, 0);
	load_low(as, arg);
	for (unsigned int i = 0; i < count; i++)
		jump(as, BPF_JEQ, values[i], yes, i + 1 < count ? NEXT : TRAP);
}

static void check_prot(struct assembler *as)
{
	load_high(as, 2);
	need_equal(as, 0);
	load_low(as, 2);
	jump(as, BPF_JSET, ~(u32)(PROT_READ | PROT_WRITE | PROT_EXEC), TRAP, NEXT);
}

static void check_mmap(struct assembler *as)
{
	static const u32 flags[] = {
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE | MAP_GROWSDOWN,
	};

	place(as, MMAP);
	check_prot(as);
	load_low(as, 4);
	need_equal(as, ~0U);
	load_high(as, 4);
	need_equal(as, ~0U);
	load_low(as, 5);
	need_equal(as, 0);
	load_high(as, 5);
	need_equal(as, 0);
	one_of(as, 3, flags, ARRAY_SIZE(flags), RANGE);
}

static void check_madvise(struct assembler *as)
{
	static const u32 advice[] = {
		MADV_NORMAL,	 MADV_RANDOM,	     MADV_SEQUENTIAL,	  MADV_WILLNEED,
		MADV_DONTNEED,	 MADV_FREE,	     MADV_DONTFORK,	  MADV_HUGEPAGE,
		MADV_NOHUGEPAGE, MADV_WIPEONFORK,    MADV_COLD,		  MADV_PAGEOUT,
		MADV_KEEPONFORK, MADV_POPULATE_READ, MADV_POPULATE_WRITE,
	};

	place(as, MADVISE);
	one_of(as, 2, advice, ARRAY_SIZE(advice), RANGE);
}

/* The gate's page, or guest memory. */
static void check_munmap(struct assembler *as, u64 gate)
{
	place(as, MUNMAP);
	load_low(as, 0);
	jump(as, BPF_JEQ, low(gate), NEXT, RANGE);
	load_high(as, 0);
	jump(as, BPF_JEQ, high(gate), NEXT, RANGE);
	load_high(as, 1);
	jump(as, BPF_JEQ, 0, NEXT, RANGE);
	load_low(as, 1);
	jump(as, BPF_JEQ, PAGE_SIZE, ALLOW, RANGE);
}

/* args[0] + args[1] <= base, by halves; base's low half is zero. */
static void check_range(struct assembler *as, u64 base)
{
	place(as, RANGE);
	load_high(as, 0);
	jump(as, BPF_JGT, high(base), TRAP, NEXT);
	load_high(as, 1);
	jump(as, BPF_JGT, high(base), TRAP, NEXT);
	emit(as, BPF_LD | BPF_IMM, 0);
	emit(as, BPF_ST, 1); /* M[1]: carry */
	load_low(as, 0);
	emit(as, BPF_MISC | BPF_TAX, 0);
	load_low(as, 1);
	emit(as, BPF_ALU | BPF_ADD | BPF_X, 0);
	emit(as, BPF_ST, 0); /* M[0]: low half of the sum */
	/* No carry if the sum is not below the addend. */
	BUG_ON(as->count >= as->max);
	as->prog[as->count++] = (struct sock_filter){ BPF_JMP | BPF_JGE | BPF_X, 2, 0, 0 };
	emit(as, BPF_LD | BPF_IMM, 1);
	emit(as, BPF_ST, 1);
	load_high(as, 0);
	emit(as, BPF_MISC | BPF_TAX, 0);
	load_high(as, 1);
	emit(as, BPF_ALU | BPF_ADD | BPF_X, 0);
	emit(as, BPF_LDX | BPF_MEM, 1);
	emit(as, BPF_ALU | BPF_ADD | BPF_X, 0);
	jump(as, BPF_JGT, high(base), TRAP, NEXT);
	jump(as, BPF_JEQ, high(base), NEXT, ALLOW);
	emit(as, BPF_LD | BPF_MEM, 0);
	jump(as, BPF_JEQ, 0, ALLOW, TRAP);
}

unsigned int filter_build_f1(struct sock_filter *prog, unsigned int max, u64 base, bool fsgsbase)
{
	static const u32 bases[] = { 0x1001, 0x1002, 0x1003, 0x1004 }; /* ARCH_{SET,GET}_{GS,FS} */
	struct assembler as = { .prog = prog, .max = max };
	u64 verified = base + (STUB_SYM_verified_syscall - STUB_LINK_BASE);
	u64 fast = base + (STUB_SYM_fast_syscall - STUB_LINK_BASE);
	u64 gate = base + (STUB_SYM_stub_gate - STUB_LINK_BASE);

	BUG_ON(low(base) != 0);
	load(&as, offsetof(struct seccomp_data, arch));
	need_equal(&as, AUDIT_ARCH_X86_64);
	load(&as, offsetof(struct seccomp_data, instruction_pointer) + 4);
	need_equal(&as, high(base));
	load(&as, offsetof(struct seccomp_data, instruction_pointer));
	jump(&as, BPF_JEQ, low(verified), ALLOW, NEXT);
	jump(&as, BPF_JEQ, low(gate + (STUB_SYM_gate_syscall - STUB_SYM_stub_gate)), ALLOW, NEXT);
	jump(&as, BPF_JEQ, low(fast), FAST, TRAP);
	place(&as, FAST);
	load(&as, offsetof(struct seccomp_data, nr));
	jump(&as, BPF_JEQ, SYS_rt_sigreturn, ALLOW, NEXT);
	jump(&as, BPF_JEQ, SYS_munmap, MUNMAP, NEXT);
	jump(&as, BPF_JEQ, SYS_mmap, MMAP, NEXT);
	jump(&as, BPF_JEQ, SYS_mprotect, MPROTECT, NEXT);
	jump(&as, BPF_JEQ, SYS_madvise, MADVISE, NEXT);
	jump(&as, BPF_JEQ, SYS_rseq, ALLOW, NEXT);
	jump(&as, BPF_JEQ, SYS_getrandom, ALLOW, NEXT);
	jump(&as, BPF_JEQ, SYS_sigaltstack, ALLOW, fsgsbase ? TRAP : NEXT);
	if (!fsgsbase) {
		jump(&as, BPF_JEQ, SYS_arch_prctl, ARCH_PRCTL, TRAP);
		place(&as, ARCH_PRCTL);
		one_of(&as, 0, bases, ARRAY_SIZE(bases), ALLOW);
	}
	check_mmap(&as);
	check_madvise(&as);
	check_munmap(&as, gate);
	place(&as, MPROTECT);
	check_prot(&as);
	check_range(&as, base);
	ret(&as, ALLOW, SECCOMP_RET_ALLOW);
	ret(&as, TRAP, SECCOMP_RET_TRAP);
	fix_jumps(&as);
	return as.count;
}
