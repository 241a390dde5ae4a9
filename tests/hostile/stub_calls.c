/*
 * Jumps to the stub's two system call instructions with arbitrary registers and numbers, and tries
 * to get hold of what the host would give: other processes, files, the stub's own memory.
 */
#include "stub_region.h"

#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sys/mount.h>

enum { CALLS = 300, SEEDS = 6 };

static u64 g_seed;

static u64 any_value(u64 *seed)
{
	switch (stub_random(seed) % 8) {
	case 0:
		return 0;
	case 1:
		return stub_random(seed) % 64;
	case 2:
		return stub_base + (stub_random(seed) % STUB_REGION_SIZE & ~0xfffUL);
	case 3:
		return ~0UL - stub_random(seed) % 4096;
	case 4:
		return (u64)stub_lane((u32)(stub_random(seed) % 9));
	case 5:
		return 1UL << stub_random(seed) % 64;
	case 6:
		return (u64)&stub_base & ~0xfffUL;
	default:
		return stub_random(seed);
	}
}

static void call_anything(u64 at)
{
	static const int likely[] = { SYS_mmap,	  SYS_munmap, SYS_mprotect,    SYS_madvise,
				      SYS_mremap, SYS_rseq,   SYS_sigaltstack, SYS_futex,
				      SYS_clone,  SYS_prctl };
	u64 seed = g_seed * 0x9e3779b97f4a7c15;

	for (int i = 0; i < CALLS; i++) {
		long nr = stub_random(&seed) % 2 ? likely[stub_random(&seed) % 10] :
						   (long)(stub_random(&seed) % 470);

		if (nr == SYS_rt_sigreturn || nr == SYS_kill || nr == SYS_tkill || nr == SYS_tgkill)
			continue;
		stub_call(at, nr, any_value(&seed), any_value(&seed), any_value(&seed),
			  any_value(&seed), any_value(&seed), any_value(&seed));
	}
}

static void fast_anything(void)
{
	call_anything(stub_fast);
}

static void verified_anything(void)
{
	call_anything(stub_verified);
}

static void unmap_stub(void)
{
	stub_call(stub_fast, SYS_munmap, stub_base, STUB_REGION_SIZE, 0, 0, 0, 0);
	stub_call(stub_fast, SYS_munmap, stub_base - 4096, 8192, 0, 0, 0, 0);
	stub_call(stub_fast, SYS_munmap, 4096, stub_base, 0, 0, 0, 0);
	getpid();
	stub_call(stub_verified, SYS_munmap, stub_base, STUB_REGION_SIZE, 0, 0, 0, 0);
	getpid();
}

static void protect_stub(void)
{
	stub_call(stub_fast, SYS_mprotect, stub_base, STUB_REGION_SIZE, 7, 0, 0, 0);
	stub_call(stub_fast, SYS_mmap, stub_base, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		  ~0UL, 0);
	stub_call(stub_fast, SYS_mmap, ~0xfffUL, 8192, 7, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		  ~0UL, 0);
	*(volatile char *)stub_base = 0;
}

static void unmap_own(void)
{
	/* All of the guest's memory, behind the kernel's back. */
	stub_call(stub_fast, SYS_munmap, 4096, stub_base - 4096, 0, 0, 0, 0);
}

static void bad_sigreturn(void)
{
	char frame[4096];

	memset(frame, 0x41, sizeof(frame));
	__asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tjmp *%1"
			 :
			 : "r"(frame + 1024), "r"(stub_fast)
			 : "rax", "memory");
	__builtin_unreachable();
}

static void no_alternate_stack(void)
{
	stack_t off = { .ss_flags = SS_DISABLE };

	stub_call(stub_fast, SYS_sigaltstack, (u64)&off, 0, 0, 0, 0, 0);
	getpid();
	stub_call(stub_fast, SYS_sigaltstack, 8, 0, 0, 0, 0, 0);
	getpid();
}

static void moved_alternate_stack(void)
{
	stack_t ss = { .ss_sp = malloc(65536), .ss_size = 65536 };

	stub_call(stub_fast, SYS_sigaltstack, (u64)&ss, 0, 0, 0, 0, 0);
	getpid();
}

static void bad_rseq(void)
{
	static _Alignas(32) char area[64];

	stub_call(stub_fast, SYS_rseq, (u64)area, 32, 0, 0x53053053, 0, 0);
	memset(area, 0xff, sizeof(area));
	for (int i = 0; i < 1000; i++)
		sched_yield();
	munmap((void *)((u64)area & ~0xfffUL), 4096);
	for (int i = 0; i < 1000; i++)
		sched_yield();
}

static void own_wait(void)
{
	u64 word = (u64)&stub_lane(0)->response;
	u32 now = stub_lane(0)->response;

	/* The wait that the lane itself would make, and others like it. */
	for (u32 i = 0; i < 3; i++)
		stub_call(stub_verified, SYS_futex, word, FUTEX_WAIT, now - 1 + i, 0, 0, 0);
}

/* The page of the instruction at which all is allowed: the one that is missing in the image. */
static u64 find_gate(int *ret_calls)
{
	u64 gate = 0;

	*ret_calls = 0;
	for (u64 page = stub_base; page < stub_base + STUB_CONFIG_OFFSET; page += 4096) {
		int calls = stub_count_calls(page);

		if (calls < 0 && !gate)
			gate = page;
		*ret_calls += calls > 0 ? calls : 0;
	}
	return gate;
}

static void open_gate(void)
{
	int calls;
	u64 gate = find_gate(&calls);

	stub_call(stub_fast, SYS_mmap, gate, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, ~0UL,
		  0);
	stub_call(stub_fast, SYS_mprotect, gate, 4096, 7, 0, 0, 0);
	stub_call(stub_fast, SYS_mremap, (u64)stub_random & ~0xfffUL, 4096, 4096,
		  MREMAP_MAYMOVE | MREMAP_FIXED, gate, 0);
	stub_call(stub_fast, SYS_munmap, gate, 4096, 0, 0, 0, 0);
	_exit(stub_count_calls(gate) == -1 ? 0 : 1);
}

static void test_gate(void)
{
	int calls;
	u64 gate = find_gate(&calls);
	pid_t pid;

	ok(gate && calls == 2, "two system call instructions, and no gate");
	pid = fork();
	if (pid == 0)
		open_gate();
	ok(tap_wait(pid) == 0, "the gate stays closed");
}

int main(void)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} attacks[] = {
		{ "unmapping the stub", unmap_stub },
		{ "writing the stub's code", protect_stub },
		{ "unmapping all of its own memory", unmap_own },
		{ "a sigreturn of garbage", bad_sigreturn },
		{ "no alternate stack", no_alternate_stack },
		{ "another alternate stack", moved_alternate_stack },
		{ "an rseq area that goes away", bad_rseq },
		{ "the lane's own wait", own_wait },
	};

	stub_need_region();
	tap_begin();
	test_gate();
	for (unsigned int i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
		stub_attack(attacks[i].name, attacks[i].fn, 1000);
	for (g_seed = 1; g_seed <= SEEDS; g_seed++) {
		stub_attack("any call at the fast instruction", fast_anything, 2000);
		stub_attack("any call at the verified instruction", verified_anything, 1000);
	}
	return tap_end();
}
