#pragma once

/* Inside the stub image: what its files share. Everything here runs in the guest's process, without
 * libc. */

#include "platform/systrap/lane.h"

/* No global offset table: the image has no writable data. */
#pragma GCC visibility push(hidden)

/* System calls at the two known instructions (entry.S); the result is as the host returns it. */
long fast_call(long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f);
long verified_call(long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f);
/* Any system call, in the zygote and in a stub that has not run guest code: then the page of this
 * function, stub_gate, is unmapped. */
long gate_call(long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f);
extern const u8 stub_gate[];

u64 guest_copy(void *dst, const void *src, u64 size);
u64 guest_clear(void *dst, u64 size);
s64 guest_string(char *dst, const char *src, u64 size);
s64 guest_load32(const u32 *p);
s64 guest_cmpxchg32(u32 *p, u32 old, u32 new);
s64 guest_touch(u8 *p);

/* Carry along what goes with the system call in lane->regs. */
void marshal_inputs(struct lane *lane);
/* Write what the kernel sent along with the resume. */
void marshal_outputs(struct lane *lane);

void write_fs_base(u64 v);
void stub_handler(void);
_Noreturn void lane_enter(void);
void lane_thread_start(void);
_Noreturn void zygote_main(void);
_Noreturn void lane_thread_main(void);
void lane_signal(int signo, void *info, void *ucontext);

struct fixup {
	s32 at, to; /* instruction addresses, each relative to its field */
};
extern const struct fixup stub_fixups_start[], stub_fixups_end[];

/* At the top of each lane's stack: what the lane must remember while the guest runs. The guest may
 * write it. */
struct lane_private {
	void *ucontext; /* of the frame that the guest's registers are in */
	u32 seq; /* last request made */
	u32 started; /* has gone through its first event */
	u64 run_tsc; /* when the guest was let go */
	u64 spin_tsc;
	u32 flags, cpu; /* of the last command */
	u64 rseq_area; /* registered with the host; 0: none */
	u32 rseq_size, rseq_signature;
	u32 spin; /* of the last command */
	u32 gate_open; /* no guest code has run: gate_call is there */
};

_Static_assert(sizeof(struct lane_private) == LANE_PRIVATE_SIZE, "lane_private");

#define LANE_ALTSTACK_SIZE (STUB_STACK_SIZE - sizeof(struct lane_private))

/* The image is linked at STUB_LINK_BASE but may lie elsewhere. */

static inline u64 stub_base(void)
{
	u64 here;

	__asm__("lea stub_handler(%%rip), %0" : "=r"(here));
	return here & ~0xffffffffUL;
}

static inline const struct stub_config *stub_config(void)
{
	return (const struct stub_config *)(stub_base() + STUB_CONFIG_OFFSET);
}

static inline struct lane *lane_of_slot(u32 slot)
{
	return (struct lane *)(stub_base() + STUB_LANES_OFFSET + slot * LANE_SIZE);
}

static inline u64 stack_top(u32 slot)
{
	return stub_base() + STUB_STACKS_OFFSET + (slot + 1) * STUB_STACK_SIZE;
}

static inline struct lane_private *private_of_slot(u32 slot)
{
	return (struct lane_private *)(stack_top(slot) - sizeof(struct lane_private));
}

/* The caller's slot, by its stack pointer. */
static inline u32 current_slot(void)
{
	u64 sp;

	__asm__("mov %%rsp, %0" : "=r"(sp));
	return (u32)((sp - stub_base() - STUB_STACKS_OFFSET) / STUB_STACK_SIZE);
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

/* CPU number, from the limit of a segment that Linux keeps for its vdso. */
static inline u32 current_cpu(void)
{
	u32 limit = 0;

	__asm__ volatile("lsl %1, %0" : "+r"(limit) : "r"(0x7bU) : "cc");
	return limit & 0xfff;
}

static inline void cpu_pause(void)
{
	__asm__ volatile("pause" ::: "memory");
}

#pragma GCC visibility pop
