/*
 * setjmp, alternate stacks, nested signals, recovery from SIGSEGV, and vector registers across
 * signals and context switches, all at once in several threads.
 */
#define _GNU_SOURCE 1
#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 300, ALT_SIZE = 64 * 1024 };

static __thread sigjmp_buf jump;
static __thread char *alternate;
static __thread volatile int nested, recovered;
static int has_avx;

static void fail(const char *what)
{
	printf("failed: %s\n", what);
	fflush(stdout);
	_exit(1);
}

static int on_alternate(void)
{
	char *here = __builtin_frame_address(0);
	return here >= alternate && here < alternate + ALT_SIZE;
}

/* Fills ymm0 to ymm15 with junk. */
__attribute__((target("avx"))) static void disturb_avx(void)
{
	__m256i junk = _mm256_set1_epi32(0x5aa5);
	asm volatile("vmovdqa %0, %%ymm0\n\tvmovdqa %%ymm0, %%ymm3\n\tvmovdqa %%ymm0, %%ymm7\n\t"
		     "vmovdqa %%ymm0, %%ymm12\n\tvmovdqa %%ymm0, %%ymm15"
		     :
		     : "m"(junk)
		     : "xmm0", "xmm3", "xmm7", "xmm12", "xmm15");
}

static void on_inner(int number)
{
	(void)number;
	if (!on_alternate())
		fail("the nested handler is not on the alternate stack");
	if (has_avx)
		disturb_avx();
	nested++;
}

static void on_outer(int number)
{
	(void)number;
	if (!on_alternate())
		fail("the handler is not on the alternate stack");
	int before = nested;
	if (has_avx)
		disturb_avx();
	raise(SIGUSR2);
	if (nested != before + 1)
		fail("the nested signal was not handled at once");
}

static void on_segv(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	if (info->si_code != SEGV_ACCERR || !on_alternate())
		fail("SIGSEGV");
	recovered++;
	siglongjmp(jump, 1);
}

/* Keeps ymm registers through a signal to this thread and a yield; compiled code is kept out. */
__attribute__((target("avx"), noinline)) static void check_avx(long tid, uint32_t seed)
{
	uint32_t in[4][8], out[4][8];
	long tgid = getpid();
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 8; j++)
			in[i][j] = seed * 16777619 + i * 8 + j;
	asm volatile("vmovdqu (%[in]), %%ymm0\n\tvmovdqu 32(%[in]), %%ymm3\n\t"
		     "vmovdqu 64(%[in]), %%ymm7\n\tvmovdqu 96(%[in]), %%ymm15\n\t"
		     "mov %[tgkill], %%eax\n\tsyscall\n\t"
		     "mov %[yield], %%eax\n\tsyscall\n\t"
		     "mov $20000, %%ecx\n\t1: dec %%ecx\n\tjnz 1b\n\t"
		     "vmovdqu %%ymm0, (%[out])\n\tvmovdqu %%ymm3, 32(%[out])\n\t"
		     "vmovdqu %%ymm7, 64(%[out])\n\tvmovdqu %%ymm15, 96(%[out])"
		     :
		     : [in] "r"(in), [out] "r"(out), [tgkill] "i"(SYS_tgkill),
		       [yield] "i"(SYS_sched_yield), "D"(tgid), "S"(tid), "d"((long)SIGUSR1)
		     : "rax", "rcx", "r11", "memory", "xmm0", "xmm3", "xmm7", "xmm15", "cc");
	if (memcmp(in, out, sizeof(in)) != 0)
		fail("vector registers changed");
}

static void *work(void *arg)
{
	long me = (long)arg, tid = syscall(SYS_gettid);
	alternate = malloc(ALT_SIZE);
	stack_t stack = { .ss_sp = alternate, .ss_size = ALT_SIZE };
	char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sigaltstack(&stack, NULL) != 0 || page == MAP_FAILED)
		fail("sigaltstack");
	for (int i = 0; i < ROUNDS; i++) {
		if (has_avx)
			check_avx(tid, (uint32_t)(me * ROUNDS + i));
		else
			raise(SIGUSR1);
		if (sigsetjmp(jump, 1) == 0) {
			page[i] = 1;
			fail("a write to a read-only page");
		}
		stack_t now;
		sigaltstack(NULL, &now);
		if (now.ss_flags != 0)
			fail("still on the alternate stack after siglongjmp");
	}
	if (nested != ROUNDS || recovered != ROUNDS)
		fail("number of signals");
	stack.ss_flags = SS_DISABLE;
	sigaltstack(&stack, NULL);
	free(alternate);
	munmap(page, 4096);
	return (void *)(long)(nested + recovered);
}

int main(void)
{
	pthread_t threads[THREADS];
	struct sigaction action = { .sa_flags = SA_ONSTACK };
	long sum = 0;
	void *result;
	alarm(100);
	has_avx = __builtin_cpu_supports("avx");
	action.sa_handler = on_outer;
	sigaction(SIGUSR1, &action, NULL);
	action.sa_handler = on_inner;
	sigaction(SIGUSR2, &action, NULL);
	action.sa_sigaction = on_segv;
	action.sa_flags |= SA_SIGINFO;
	sigaction(SIGSEGV, &action, NULL);
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)i) != 0)
			fail("pthread_create");
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		sum += (long)result;
	}
	printf("%ld signals handled in %d threads\n", sum, THREADS);
	return 0;
}
