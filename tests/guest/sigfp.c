/*
 * Floating point and vector state: kept across handlers, system calls, forks and switches, present
 * in the signal frame, and taken from it.
 */
#include "tap.h"
#include <cpuid.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ucontext.h>

#define XSTATE_MAGIC1 0x46505853U
#define XSTATE_MAGIC2 0x46505845U

/* The registers that the tests fill: 32 vectors of up to 64 bytes, 8 masks, x87 and MXCSR. */
struct state {
	uint8_t vector[32][64];
	uint64_t mask[8];
	uint32_t mxcsr;
	uint16_t fcw;
	double x87;
} __attribute__((aligned(64)));

static int width; /* of a vector in bytes: 16, 32 or 64 */
static int vector_count;

#define EACH_LOW(X) \
	X(0) \
	X(1) \
	X(2) \
	X(3) \
	X(4) \
	X(5) \
	X(6) \
	X(7) \
	X(8) \
	X(9) \
	X(10) \
	X(11) \
	X(12) \
	X(13) \
	X(14) \
	X(15)
#define EACH_HIGH(X) \
	X(16) \
	X(17) \
	X(18) \
	X(19) \
	X(20) \
	X(21) \
	X(22) \
	X(23) \
	X(24) \
	X(25) \
	X(26) \
	X(27) \
	X(28) \
	X(29) \
	X(30) \
	X(31)
#define EACH_MASK(X) \
	X(0) \
	X(1) \
	X(2) \
	X(3) \
	X(4) \
	X(5) \
	X(6) \
	X(7)

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define LOAD_SSE(n) "movdqu 64*" TEXT(n) "(%0), %%xmm" TEXT(n) "\n\t"
#define SAVE_SSE(n) "movdqu %%xmm" TEXT(n) ", 64*" TEXT(n) "(%0)\n\t"
#define LOAD_AVX(n) "vmovdqu 64*" TEXT(n) "(%0), %%ymm" TEXT(n) "\n\t"
#define SAVE_AVX(n) "vmovdqu %%ymm" TEXT(n) ", 64*" TEXT(n) "(%0)\n\t"
#define LOAD_512(n) "vmovdqu64 64*" TEXT(n) "(%0), %%zmm" TEXT(n) "\n\t"
#define SAVE_512(n) "vmovdqu64 %%zmm" TEXT(n) ", 64*" TEXT(n) "(%0)\n\t"
#define LOAD_MASK(n) "kmovq 8*" TEXT(n) "(%1), %%k" TEXT(n) "\n\t"
#define SAVE_MASK(n) "kmovq %%k" TEXT(n) ", 8*" TEXT(n) "(%1)\n\t"

#define CLOBBER_LOW \
	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
		"xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

/*
 * Load everything, make a system call (or spin for `spins` rounds), save everything, with no
 * compiled code between.
 */
#define THROUGH(LOAD, SAVE, MIDDLE) \
	asm volatile( \
		LOAD MIDDLE SAVE \
		: \
		: "b"(in->vector), "d"(in->mask), "r"(out_vector), \
		  "r"(out_mask), [number] "m"(number), [a] "m"(a), [b] "m"(b), [spins] "m"(spins) \
		: CLOBBER_LOW, "memory", "rax", "rcx", "r11", "rdi", "rsi", "cc")

#define MIDDLE \
	"mov %[number], %%rax\n\tmov %[a], %%rdi\n\tmov %[b], %%rsi\n\tsyscall\n\t" \
	"mov %[spins], %%rcx\n\t1: dec %%rcx\n\tjg 1b\n\t" \
	"mov %2, %%rax\n\txchg %%rax, %%rbx\n\tmov %3, %%rcx\n\txchg %%rcx, %%rdx\n\t"
#define END "xchg %%rax, %%rbx\n\txchg %%rcx, %%rdx\n\t"

__attribute__((noinline)) static void through(const struct state *in, struct state *out,
					      long number, long a, long b, long spins)
{
	uint8_t *out_vector = out->vector[0];
	uint64_t *out_mask = out->mask;
	uint32_t mxcsr;
	uint16_t fcw;
	asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(fcw));
	asm volatile("ldmxcsr %0\n\tfldcw %1\n\tfldl %2" ::"m"(in->mxcsr), "m"(in->fcw),
		     "m"(in->x87));
	if (width == 64)
		THROUGH(EACH_LOW(LOAD_512) EACH_HIGH(LOAD_512) EACH_MASK(LOAD_MASK),
			EACH_LOW(SAVE_512) EACH_HIGH(SAVE_512) EACH_MASK(SAVE_MASK) END, MIDDLE);
	else if (width == 32)
		THROUGH(EACH_LOW(LOAD_AVX), EACH_LOW(SAVE_AVX) END, MIDDLE);
	else
		THROUGH(EACH_LOW(LOAD_SSE), EACH_LOW(SAVE_SSE) END, MIDDLE);
	asm volatile("stmxcsr %0\n\tfnstcw %1\n\tfstpl %2"
		     : "=m"(out->mxcsr), "=m"(out->fcw), "=m"(out->x87));
	asm volatile("ldmxcsr %0\n\tfldcw %1" ::"m"(mxcsr), "m"(fcw));
	if (width > 16)
		asm volatile("vzeroupper");
}

static void fill(struct state *state, int seed)
{
	memset(state, 0, sizeof(*state));
	for (int i = 0; i < vector_count; i++)
		for (int j = 0; j < width; j++)
			state->vector[i][j] = (uint8_t)(seed * 37 + i * 64 + j * 3 + 1);
	for (int i = 0; width == 64 && i < 8; i++)
		state->mask[i] = 0x0101010101010101UL * (unsigned)(seed + i);
	state->mxcsr = 0x1f80 | (seed & 3) << 13;
	state->fcw = 0x37f & ~((seed & 1) << 8);
	state->x87 = seed + 0.5;
}

static void *other_thread(void *arg)
{
	struct state in, out;
	int *done = arg;
	for (int i = 0; !__atomic_load_n(done, __ATOMIC_ACQUIRE); i++) {
		fill(&in, 100 + i % 50);
		memset(&out, 0, sizeof(out));
		through(&in, &out, SYS_sched_yield, 0, 0, 100);
		if (memcmp(&in, &out, sizeof(in)) != 0)
			return (void *)1;
	}
	return NULL;
}

static volatile int handled;

static void on_signal(int signal)
{
	/* Disturb everything there is. */
	struct state in, out;
	(void)signal;
	fill(&in, 200 + handled % 50);
	through(&in, &out, SYS_getpid, 0, 0, 1);
	handled = handled + (memcmp(in.vector, out.vector, sizeof(in.vector)) == 0);
}

static void test_kept(void)
{
	struct state in, out = {};
	fill(&in, 1);
	through(&in, &out, SYS_getppid, 0, 0, 1);
	ok(memcmp(&in, &out, sizeof(in)) == 0, "kept across a system call");

	int good = 0;
	for (int i = 0; i < 100; i++) {
		fill(&in, i);
		memset(&out, 0, sizeof(out));
		through(&in, &out, SYS_sched_yield, 0, 0, 1);
		good += memcmp(&in, &out, sizeof(in)) == 0;
	}
	is_int(good, 100, "kept across sched_yield");

	signal(SIGUSR1, on_signal);
	good = 0;
	for (int i = 0; i < 100; i++) {
		fill(&in, i);
		memset(&out, 0, sizeof(out));
		through(&in, &out, SYS_tkill, syscall(SYS_gettid), SIGUSR1, 1);
		good += memcmp(&in, &out, sizeof(in)) == 0;
	}
	is_int(good, 100, "kept across a handler");
	is_int(handled, 100, "which ran");
}

static void test_fork(void)
{
	struct state in, out = {};
	fill(&in, 7);
	pid_t parent = getpid();
	through(&in, &out, SYS_fork, 0, 0, 1);
	int same = memcmp(&in, &out, sizeof(in)) == 0;
	if (getpid() != parent)
		_exit(same ? 0 : 1);
	int status;
	need(wait(&status) > 0);
	is_exit(status, 0, "kept in the child of a fork");
	ok(same, "kept in its parent");
}

static void test_switches(void)
{
	pthread_t threads[4];
	int done = 0, good = 0;
	void *bad, *all = NULL;
	struct state in, out;
	for (int i = 0; i < 4; i++)
		need(pthread_create(&threads[i], NULL, other_thread, &done) == 0);
	for (int i = 0; i < 200; i++) {
		fill(&in, i);
		memset(&out, 0, sizeof(out));
		if (i % 2)
			through(&in, &out, SYS_sched_yield, 0, 0, 100000);
		else
			through(&in, &out, SYS_tkill, syscall(SYS_gettid), SIGUSR1, 1000);
		good += memcmp(&in, &out, sizeof(in)) == 0;
	}
	__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &bad);
		all = all ? all : bad;
	}
	is_int(good, 200, "kept with four other threads, signals and switches");
	ok(all == NULL, "kept in the other threads");
}

static uint32_t seen_magic1, seen_magic2, seen_size, seen_extended;
static uint64_t seen_features;
static uint8_t seen_xmm[16];

static void on_frame(int signal, siginfo_t *info, void *context)
{
	ucontext_t *frame = context;
	(void)signal;
	(void)info;
	uint8_t *fp = (uint8_t *)frame->uc_mcontext.fpregs;
	memcpy(seen_xmm, fp + 160 + 3 * 16, 16);
	memset(fp + 160 + 3 * 16, 0xab, 16);
	memcpy(&seen_magic1, fp + 464, 4);
	memcpy(&seen_extended, fp + 468, 4);
	memcpy(&seen_features, fp + 472, 8);
	memcpy(&seen_size, fp + 480, 4);
	if (seen_magic1 != XSTATE_MAGIC1)
		return;
	memcpy(&seen_magic2, fp + seen_size, 4);
	/* The upper half of ymm3, in the standard format. */
	if (width >= 32) {
		uint64_t *header = (uint64_t *)(fp + 512);
		header[0] |= 4;
		memset(fp + 576 + 3 * 16, 0xcd, 16);
	}
}

static void on_frame_512(int signal, siginfo_t *info, void *context)
{
	ucontext_t *frame = context;
	unsigned a, b, c, d;
	(void)signal;
	(void)info;
	uint8_t *fp = (uint8_t *)frame->uc_mcontext.fpregs;
	uint64_t *header = (uint64_t *)(fp + 512);
	/* zmm16 to zmm31 are component 7, and ebx tells where. */
	__cpuid_count(13, 7, a, b, c, d);
	header[0] |= 0xe0;
	memset(fp + b + 5 * 64, 0xef, 64);
}

static void test_frame(void)
{
	struct state in, out = {};
	struct sigaction action = { .sa_sigaction = on_frame, .sa_flags = SA_SIGINFO };
	need(sigaction(SIGUSR2, &action, NULL) == 0);
	fill(&in, 3);
	through(&in, &out, SYS_tkill, syscall(SYS_gettid), SIGUSR2, 1);
	ok(memcmp(seen_xmm, in.vector[3], 16) == 0, "the frame holds xmm3");
	memset(in.vector[3], 0xab, 16);
	if (width >= 32)
		memset(in.vector[3] + 16, 0xcd, 16);
	if (width == 64)
		memcpy(in.vector[3] + 32, out.vector[3] + 32, 32);
	ok(memcmp(in.vector[3], out.vector[3], width) == 0, "and a handler can change it");
	ok(memcmp(in.vector[4], out.vector[4], sizeof(in.vector[4]) * 12) == 0,
	   "without changing others");
	if (width == 16) {
		skip("no AVX", "xstate magic");
		skip("no AVX", "xstate size");
		skip("no AVX", "xstate features");
	} else {
		is_int(seen_magic1, XSTATE_MAGIC1, "xstate magic");
		ok(seen_size >= 832 && seen_extended == seen_size + 4 &&
			   seen_magic2 == XSTATE_MAGIC2,
		   "xstate size");
		is_int(seen_features & 7, 7, "xstate features");
	}
	if (width == 64) {
		action.sa_sigaction = on_frame_512;
		need(sigaction(SIGUSR2, &action, NULL) == 0);
		fill(&in, 4);
		memset(&out, 0, sizeof(out));
		through(&in, &out, SYS_tkill, syscall(SYS_gettid), SIGUSR2, 1);
		memset(in.vector[21], 0xef, 64);
		ok(memcmp(&in, &out, sizeof(in)) == 0, "a handler can change zmm21");
	} else {
		skip("no AVX-512", "a handler can change zmm21");
	}
}

static uint32_t handler_mxcsr;
static uint16_t handler_fcw;

static void on_control(int signal)
{
	(void)signal;
	asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(handler_mxcsr), "=m"(handler_fcw));
}

static void test_control_in_handler(void)
{
	/* A handler starts with the initial state; the return restores the former one. */
	uint32_t mxcsr = 0x7f80, clean = 0x1f80;
	uint16_t fcw = 0x27f, clean_fcw = 0x37f;
	signal(SIGUSR2, on_control);
	asm volatile("ldmxcsr %0\n\tfldcw %1" ::"m"(mxcsr), "m"(fcw));
	raise(SIGUSR2);
	uint32_t after_mxcsr;
	uint16_t after_fcw;
	asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(after_mxcsr), "=m"(after_fcw));
	asm volatile("ldmxcsr %0\n\tfldcw %1" ::"m"(clean), "m"(clean_fcw));
	is_int(handler_mxcsr, clean, "a handler starts with the initial MXCSR");
	is_int(handler_fcw, clean_fcw, "and the initial x87 control word");
	ok(after_mxcsr == mxcsr && after_fcw == fcw, "afterwards they are back");
}

/* ---- new threads ---- */

#define ROUND_DOWN 0x2000U /* of MXCSR */
#define ROUND_ZERO 0x6000U

static uint32_t get_mxcsr(void)
{
	uint32_t v;

	__asm__ volatile("stmxcsr %0" : "=m"(v));
	return v;
}

static void set_mxcsr(uint32_t v)
{
	__asm__ volatile("ldmxcsr %0" ::"m"(v));
}

static void *change_rounding(void *arg)
{
	*(uint32_t *)arg = get_mxcsr();
	set_mxcsr(0x1f80 | ROUND_ZERO);
	return NULL;
}

/* A thread starts with its creator's control words, whatever another thread has left. */
static void test_inherited(void)
{
	uint32_t first = 0, next = 0, before = get_mxcsr();
	pthread_t thread;

	set_mxcsr(0x1f80 | ROUND_DOWN);
	need(pthread_create(&thread, NULL, change_rounding, &first) == 0);
	pthread_join(thread, NULL);
	need(pthread_create(&thread, NULL, change_rounding, &next) == 0);
	pthread_join(thread, NULL);
	is_int(first & ROUND_ZERO, ROUND_DOWN, "a thread has its creator's rounding mode");
	is_int(next & ROUND_ZERO, ROUND_DOWN, "so has one after another that changed it");
	set_mxcsr(before);
}

int main(void)
{
	tap_begin();
	__builtin_cpu_init();
	width = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") ? 64 :
		__builtin_cpu_supports("avx")						 ? 32 :
											   16;
	vector_count = width == 64 ? 32 : 16;
	test_kept();
	test_fork();
	test_switches();
	test_frame();
	test_control_in_handler();
	test_inherited();
	return tap_end();
}
