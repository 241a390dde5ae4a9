/*
 * The platform through its interface: guests are a few machine instructions each.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/types.h"
#include "host/host.h"
#include "platform/platform.h"
#include "sched/fiber.h"
#include "sched/sched.h"
#include "sched/timer.h"

#define CODE 0x400000UL
#define DATA 0x500000UL
#define STACK_TOP 0x610000UL
#define RW (PROT_READ | PROT_WRITE)
#define RX (PROT_READ | PROT_EXEC)

/* Failures inside fibers cannot use cmocka's longjmp: count and report them. */
static _Atomic int g_failures;

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			g_failures++; \
		} \
	} while (0)

struct guest {
	struct pf_space *space;
	struct pf_thread *thread;
	struct guest_regs regs;
	struct pf_fault fault;
	struct pf_quick quick;
};

static void guest_load(struct guest *g, const void *code, size_t size)
{
	CHECK(pf_map_anon(g->thread, CODE, 0x4000, RW, false, false) == 0);
	CHECK(pf_copy_out(g->thread, UADDR(CODE), code, size) == 0);
	CHECK(pf_protect(g->thread, CODE, 0x4000, RX) == 0);
	CHECK(pf_map_anon(g->thread, DATA, 0x10000, RW, false, false) == 0);
	CHECK(pf_map_anon(g->thread, STACK_TOP - 0x10000, 0x10000, RW, false, false) == 0);
	g->regs = (struct guest_regs){ .rip = CODE, .rsp = STACK_TOP - 64, .eflags = 0x202 };
}

static void guest_start(struct guest *g, const void *code, size_t size)
{
	*g = (struct guest){};
	CHECK(pf_space_create(&g->space, &g->thread) == 0);
	guest_load(g, code, size);
}

static enum pf_event guest_run(struct guest *g)
{
	return pf_run(g->thread, &g->regs, &g->quick, NULL, &g->fault);
}

static void guest_end(struct guest *g)
{
	pf_thread_destroy(g->thread);
}

/* 1: syscall; jmp 1b */
static const u8 code_syscalls[] = { 0x0f, 0x05, 0xeb, 0xfc };

static void run_syscalls(void)
{
	struct guest g;

	guest_start(&g, code_syscalls, sizeof(code_syscalls));
	g.regs.rax = 39;
	g.regs.rdi = 1;
	g.regs.r12 = 0x1234567890abcdef;
	g.regs.fs_base = 0x123000;
	g.regs.gs_base = 0x456000;
	for (int i = 0; i < 100; i++) {
		CHECK(guest_run(&g) == PF_EVENT_SYSCALL);
		CHECK(g.regs.orig_rax == (u64)(39 + i));
		CHECK((s64)g.regs.rax == -ENOSYS);
		CHECK(g.regs.rip == CODE + 2);
		CHECK(g.regs.r12 == 0x1234567890abcdef);
		CHECK(g.regs.fs_base == 0x123000);
		CHECK(g.regs.gs_base == 0x456000);
		g.regs.rax = (u64)(40 + i);
	}
	guest_end(&g);
}

/* movdqa (%rsi),%xmm0; vmovups (%rsi),%ymm1; 1: syscall; jmp 1b */
static const u8 code_fp[] = {
	0x66, 0x0f, 0x6f, 0x06, 0xc5, 0xfc, 0x10, 0x0e, 0x0f, 0x05, 0xeb, 0xfc
};
/* vmovups %ymm1,(%rdi); 1: syscall; jmp 1b */
static const u8 code_fp_store[] = { 0xc5, 0xfc, 0x11, 0x0f, 0x0f, 0x05, 0xeb, 0xfc };

static void run_faults(void)
{
	static const u8 load[] = { 0x48, 0x8b, 0x07, 0x0f, 0x0b }; /* mov (%rdi),%rax; ud2 */
	static const u8 div[] = { 0x31, 0xc9, 0xf7, 0xf1 }; /* xor %ecx,%ecx; div %ecx */
	static const u8 int3[] = { 0xcc, 0xcd, 0x80 }; /* int3; int $0x80 */
	struct guest g;

	guest_start(&g, load, sizeof(load));
	g.regs.rdi = 0x12345678;
	CHECK(guest_run(&g) == PF_EVENT_FAULT);
	CHECK(g.fault.signo == SIGSEGV && g.fault.code == SEGV_MAPERR &&
	      g.fault.addr == 0x12345678);
	CHECK(g.fault.trapno == 14 && g.fault.error_code == 4);
	CHECK(g.regs.rip == CODE);
	CHECK(pf_map_anon(g.thread, 0x12345000, 0x1000, PROT_READ, false, false) == 0);
	CHECK(guest_run(&g) == PF_EVENT_FAULT);
	CHECK(g.fault.signo == SIGILL && g.regs.rip == CODE + 3);
	g.regs.rip = 0x8000000000000000UL;
	CHECK(guest_run(&g) == PF_EVENT_FAULT);
	CHECK(g.fault.signo == SIGSEGV);
	g.regs.rip = 0x123000;
	CHECK(guest_run(&g) == PF_EVENT_FAULT);
	CHECK(g.fault.signo == SIGSEGV && g.fault.addr == 0x123000 && g.regs.rip == 0x123000);
	guest_end(&g);

	guest_start(&g, div, sizeof(div));
	CHECK(guest_run(&g) == PF_EVENT_FAULT);
	CHECK(g.fault.signo == SIGFPE && g.fault.code == FPE_INTDIV);
	guest_end(&g);

	guest_start(&g, int3, sizeof(int3));
	CHECK(guest_run(&g) == PF_EVENT_FAULT);
	CHECK(g.fault.signo == SIGTRAP && g.regs.rip == CODE + 1);
	CHECK(guest_run(&g) == PF_EVENT_FAULT);
	CHECK(g.fault.signo == SIGSEGV && g.regs.rip == CODE + 1);
	/* Single step. */
	g.regs.rip = CODE;
	guest_end(&g);
	guest_start(&g, code_syscalls, sizeof(code_syscalls));
	g.regs.rip = CODE + 2;
	g.regs.eflags |= 0x100;
	CHECK(guest_run(&g) == PF_EVENT_FAULT);
	CHECK(g.fault.signo == SIGTRAP && g.regs.rip == CODE);
	guest_end(&g);
}

static void run_copies(void)
{
	static u8 buf[200000], back[200000];
	struct guest g;
	u32 v = 0;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (u8)(i * 7 + i / 251);
	guest_start(&g, code_syscalls, sizeof(code_syscalls));
	CHECK(guest_run(&g) == PF_EVENT_SYSCALL);
	CHECK(pf_map_anon(g.thread, 0x1000000, 0x100000, RW, false, false) == 0);
	CHECK(pf_copy_out(g.thread, UADDR(0x1000003), buf, sizeof(buf)) == 0);
	memset(back, 0, sizeof(back));
	CHECK(pf_copy_in(g.thread, back, UADDR(0x1000003), sizeof(buf)) == 0);
	CHECK(!memcmp(buf, back, sizeof(buf)));
	CHECK(pf_space_read(g.space, back, UADDR(0x1000003), 100) == 100);
	CHECK(!memcmp(buf, back, 100));
	CHECK(pf_space_write(g.space, UADDR(0x1000003), "hello", 6) == 6);
	CHECK(pf_copy_in_string(g.thread, (char *)back, UADDR(0x1000003), 100) == 5);
	CHECK(!strcmp((char *)back, "hello"));
	CHECK(pf_copy_in_string(g.thread, (char *)back, UADDR(0x1000003), 5) == -ENAMETOOLONG);
	/* At the end of a mapping. */
	CHECK(pf_copy_in_partial(g.thread, back, UADDR(0x10ffff0), 100) == 16);
	CHECK(pf_copy_out_partial(g.thread, UADDR(0x10ffff0), buf, 100) == 16);
	CHECK(pf_copy_in(g.thread, back, UADDR(0x10ffff0), 100) == -EFAULT);
	CHECK(pf_copy_out(g.thread, UADDR(0x10ffff0), buf, 17) == -EFAULT);
	CHECK(pf_copy_in(g.thread, back, UADDR(platform_task_size() - 8), 16) == -EFAULT);
	CHECK(pf_copy_in(g.thread, back, UADDR(~0UL - 8), 16) == -EFAULT);
	CHECK(pf_copy_out(g.thread, UADDR(0x10ffff0), "0123456789abcde", 16) == 0);
	CHECK(pf_copy_in_string(g.thread, (char *)back, UADDR(0x10ffff0), 4096) == 15);
	CHECK(pf_copy_out(g.thread, UADDR(0x10ffff0), "0123456789abcdef", 16) == 0);
	CHECK(pf_copy_in_string(g.thread, (char *)back, UADDR(0x10ffff0), 4096) == -EFAULT);
	CHECK(pf_clear(g.thread, UADDR(0x1000000), 0x100000) == 0);
	CHECK(pf_clear(g.thread, UADDR(0x10ffff0), 17) == -EFAULT);
	CHECK(pf_copy_in(g.thread, back, UADDR(0x1000003), 100) == 0 && !back[0] && !back[99]);
	/* Atomics. */
	CHECK(pf_cmpxchg32(g.thread, UADDR(0x1000010), 0, 77, &v) == 0 && v == 0);
	CHECK(pf_cmpxchg32(g.thread, UADDR(0x1000010), 0, 78, &v) == 0 && v == 77);
	CHECK(pf_cmpxchg32(g.thread, UADDR(0x1000010), 77, 0xffffffff, &v) == 0 && v == 77);
	CHECK(pf_load32(g.thread, UADDR(0x1000010), &v) == 0 && v == 0xffffffff);
	CHECK(pf_load32(g.thread, UADDR(0x2000010), &v) == -EFAULT);
	CHECK(pf_cmpxchg32(g.thread, UADDR(CODE), 0, 0, &v) == -EFAULT);
	CHECK(pf_load32(g.thread, UADDR(0x1000011), &v) == -EFAULT);
	CHECK(guest_run(&g) == PF_EVENT_SYSCALL);
	guest_end(&g);
}

static void run_maps(void)
{
	int fd = host_memfd_create("test", 0);
	u8 vec[16], c;
	struct guest g;

	CHECK(fd >= 0 && host_ftruncate(fd, 0x4000) == 0);
	CHECK(host_pwrite(fd, "file", 5, 0x1000) == 5);
	guest_start(&g, code_syscalls, sizeof(code_syscalls));
	for (int sealed = 0; sealed < 2; sealed++) {
		char buf[8] = {};

		CHECK(pf_map_file(g.thread, 0x2000000, 0x2000, RW, true, fd, 0x1000) == 0);
		CHECK(pf_copy_in(g.thread, buf, UADDR(0x2000000), 5) == 0 && !strcmp(buf, "file"));
		CHECK(pf_copy_out(g.thread, UADDR(0x2000005), "x", 1) == 0);
		CHECK(host_pread(fd, buf, 1, 0x1005) == 1 && buf[0] == 'x');
		CHECK(pf_map_file(g.thread, 0x2004000, 0x1000, RW, false, fd, 0x1000) == 0);
		CHECK(pf_copy_out(g.thread, UADDR(0x2004000), "priv", 5) == 0);
		CHECK(pf_copy_in(g.thread, buf, UADDR(0x2000000), 5) == 0 && !strcmp(buf, "file"));
		CHECK(pf_move(g.thread, 0x2004000, 0x1000, 0x2008000, 0x1000, false) == 0);
		CHECK(pf_copy_in(g.thread, buf, UADDR(0x2008000), 5) == 0 && !strcmp(buf, "priv"));
		CHECK(pf_copy_in(g.thread, buf, UADDR(0x2004000), 5) == -EFAULT);
		CHECK(pf_map_anon(g.thread, 0x3000000, 0x10000, RW, true, false) == 0);
		CHECK(pf_copy_out(g.thread, UADDR(0x3003000), "a", 1) == 0);
		CHECK(pf_mincore(g.thread, 0x3000000, 0x10000, vec) == 0);
		CHECK(!(vec[0] & 1) && (vec[3] & 1) && !(vec[4] & 1));
		CHECK(pf_advise(g.thread, 0x3000000, 0x10000, MADV_DONTNEED) == 0);
		CHECK(pf_copy_in(g.thread, &c, UADDR(0x3003000), 1) == 0 && c == 0);
		CHECK(pf_advise(g.thread, 0x3000000, 0x10000, MADV_DONTFORK) == 0);
		CHECK(pf_advise(g.thread, 0x3000000, 0x10000, MADV_DOFORK) == 0);
		CHECK(pf_advise(g.thread, 0x3000000, 0x10000, MADV_REMOVE) == -EINVAL);
		CHECK(pf_protect(g.thread, 0x3000000, 0x1000, PROT_READ) == 0);
		CHECK(pf_copy_out(g.thread, UADDR(0x3000000), "a", 1) == -EFAULT);
		CHECK(pf_unmap(g.thread, 0x3000000, 0x10000) == 0);
		CHECK(pf_copy_in(g.thread, &c, UADDR(0x3003000), 1) == -EFAULT);
		CHECK(pf_map_file(g.thread, 0x2000000, 0x2000, RW, true, 19999, 0x1000) == -EBADF);
		CHECK(guest_run(&g) == PF_EVENT_SYSCALL);
	}
	guest_end(&g);
	host_close(fd);
}

static void run_fp(void)
{
	u32 size = platform_fp_size();
	u8 pattern[32], back[32], *area = malloc(size), *area2 = malloc(size);
	struct guest g;

	for (int i = 0; i < 32; i++)
		pattern[i] = (u8)(i + 1);
	guest_start(&g, code_fp, sizeof(code_fp));
	CHECK(pf_copy_out(g.thread, UADDR(CODE + 0x1000), code_fp_store, sizeof(code_fp_store)) ==
	      -EFAULT);
	CHECK(pf_protect(g.thread, CODE, 0x4000, RW) == 0);
	CHECK(pf_copy_out(g.thread, UADDR(CODE + 0x1000), code_fp_store, sizeof(code_fp_store)) ==
	      0);
	CHECK(pf_protect(g.thread, CODE, 0x4000, RX) == 0);
	CHECK(pf_copy_out(g.thread, UADDR(DATA), pattern, 32) == 0);
	g.regs.rsi = DATA;
	g.regs.rdi = DATA + 64;
	CHECK(pf_fp_save(g.thread, area, size) == 0);
	CHECK(area[0] == 0x7f && area[1] == 3);
	CHECK(guest_run(&g) == PF_EVENT_SYSCALL);
	CHECK(pf_fp_save(g.thread, area, size) == 0);
	CHECK(!memcmp(area + 160, pattern, 16)); /* xmm0 */
	CHECK(!memcmp(area + 176, pattern, 16)); /* xmm1 */
	CHECK(!memcmp(area + 576 + 16, pattern + 16, 16)); /* high half of ymm1 */
	/* Change ymm1 and see the guest store it. */
	area[176] = 0xaa;
	area[576 + 16] = 0xbb;
	CHECK(pf_fp_load(g.thread, area, size) == 0);
	g.regs.rip = CODE + 0x1000;
	CHECK(guest_run(&g) == PF_EVENT_SYSCALL);
	CHECK(pf_copy_in(g.thread, back, UADDR(DATA + 64), 32) == 0);
	CHECK(back[0] == 0xaa && back[1] == 2 && back[16] == 0xbb && back[17] == 18);
	/* A hostile header is made harmless. */
	memset(area + 512, 0xff, 64);
	memset(area + 24, 0xff, 4);
	CHECK(pf_fp_load(g.thread, area, size) == 0);
	CHECK(guest_run(&g) == PF_EVENT_SYSCALL);
	CHECK(pf_fp_reset(g.thread) == 0);
	g.regs.rip = CODE + 0x1000;
	CHECK(guest_run(&g) == PF_EVENT_SYSCALL);
	CHECK(pf_copy_in(g.thread, back, UADDR(DATA + 64), 32) == 0);
	for (int i = 0; i < 32; i++)
		CHECK(back[i] == 0);
	CHECK(pf_fp_load(g.thread, area, 512) == 0);
	CHECK(pf_fp_save(g.thread, area2, 512) == 0);
	CHECK(!memcmp(area + 160, area2 + 160, 256));
	guest_end(&g);
	free(area);
	free(area2);
}

static void run_fork(void)
{
	struct guest g, kids[10];
	u64 v = 0;

	guest_start(&g, code_fp, sizeof(code_fp));
	CHECK(pf_copy_out(g.thread, UADDR(DATA), "\1\2\3\4", 4) == 0);
	g.regs.rsi = DATA;
	CHECK(guest_run(&g) == PF_EVENT_SYSCALL);
	for (int i = 0; i < 10; i++) {
		u8 area[512];

		kids[i] = g;
		CHECK(pf_space_fork(g.thread, &kids[i].space, &kids[i].thread) == 0);
		v = (u64)i + 100;
		CHECK(pf_copy_out(kids[i].thread, UADDR(DATA + 8), &v, 8) == 0);
		CHECK(pf_fp_save(kids[i].thread, area, 512) == 0);
		CHECK(area[160] == 1 && area[163] == 4);
		kids[i].regs.rax = 0x77;
		CHECK(guest_run(&kids[i]) == PF_EVENT_SYSCALL);
		CHECK(kids[i].regs.orig_rax == 0x77);
	}
	CHECK(pf_copy_in(g.thread, &v, UADDR(DATA + 8), 8) == 0 && v == 0);
	CHECK(guest_run(&g) == PF_EVENT_SYSCALL);
	guest_end(&g);
	/* A grandchild, after the parent is gone. */
	g = kids[3];
	CHECK(pf_space_fork(kids[3].thread, &g.space, &g.thread) == 0);
	CHECK(guest_run(&g) == PF_EVENT_SYSCALL);
	CHECK(pf_copy_in(g.thread, &v, UADDR(DATA + 8), 8) == 0 && v == 103);
	guest_end(&g);
	for (int i = 0; i < 10; i++) {
		CHECK(pf_copy_in(kids[i].thread, &v, UADDR(DATA + 8), 8) == 0 && v == 100 + (u64)i);
		CHECK(guest_run(&kids[i]) == PF_EVENT_SYSCALL);
		guest_end(&kids[i]);
	}
}

/* A fiber makes a process and a thread for others, and ends before they have run. */
static struct guest g_maker, g_made_process, g_made_thread;
static _Atomic int g_sleepers, g_disturbed;

static void make_and_end(void *arg)
{
	guest_start(&g_maker, code_syscalls, sizeof(code_syscalls));
	CHECK(guest_run(&g_maker) == PF_EVENT_SYSCALL);
	g_made_process = g_made_thread = g_maker;
	CHECK(pf_space_fork(g_maker.thread, &g_made_process.space, &g_made_process.thread) == 0);
	CHECK(pf_thread_create(g_maker.thread, &g_made_thread.thread) == 0);
	guest_end(&g_maker);
	g_sleepers--;
}

static void sleep_undisturbed(void *arg)
{
	if (fiber_park(sched_now() + 200'000'000) != -ETIMEDOUT)
		g_disturbed++;
	g_sleepers--;
}

static void run_orphans(void)
{
	g_sleepers = 1;
	fiber_start(fiber_create(make_and_end, NULL));
	while (g_sleepers)
		fiber_park(sched_now() + 10'000'000);
	fiber_park(sched_now() + 10'000'000);
	/* One of these has the ended fiber's place. What happens to its lanes is no business of
	 * theirs. */
	g_disturbed = 0;
	g_sleepers = 4;
	for (int i = 0; i < 4; i++)
		fiber_start(fiber_create(sleep_undisturbed, NULL));
	fiber_park(sched_now() + 10'000'000);
	pf_interrupt(g_made_process.thread);
	pf_interrupt(g_made_thread.thread);
	pf_space_kill(g_made_process.space);
	pf_space_kill(g_made_thread.space);
	while (g_sleepers)
		fiber_park(sched_now() + 10'000'000);
	CHECK(g_disturbed == 0);
	CHECK(guest_run(&g_made_process) != PF_EVENT_SYSCALL);
	CHECK(guest_run(&g_made_thread) != PF_EVENT_SYSCALL);
	/* Its process is gone: no calling thread of ours may be meant instead. */
	CHECK(pf_thread_setaffinity(g_made_thread.thread, 8, &(u64){ 1 }) == -ESRCH);
	guest_end(&g_made_process);
	guest_end(&g_made_thread);
}

static void run_threads(void)
{
	struct guest g, kids[40];
	struct pf_stats before, after;

	guest_start(&g, code_fp, sizeof(code_fp));
	CHECK(pf_copy_out(g.thread, UADDR(DATA), "\1\2\3\4", 4) == 0);
	g.regs.rsi = DATA;
	CHECK(guest_run(&g) == PF_EVENT_SYSCALL);
	for (int round = 0; round < 2; round++) {
		platform_stats(&before);
		for (int i = 0; i < 40; i++) {
			u8 area[512];

			kids[i] = g;
			CHECK(pf_thread_create(g.thread, &kids[i].thread) == 0);
			CHECK(pf_fp_save(kids[i].thread, area, 512) == 0);
			CHECK(area[160] == 1 && area[163] == 4);
			kids[i].regs.rax = 0x77;
			CHECK(guest_run(&kids[i]) == PF_EVENT_SYSCALL);
			CHECK(kids[i].regs.orig_rax == 0x77);
		}
		platform_stats(&after);
		CHECK(round == 0 || after.verified == before.verified);
		for (int i = 0; i < 40; i++) {
			CHECK(guest_run(&kids[i]) == PF_EVENT_SYSCALL);
			/* One forks from a lane that is not the first. */
			if (i == 20) {
				struct guest f = g, f2 = g;

				CHECK(pf_space_fork(kids[i].thread, &f.space, &f.thread) == 0);
				CHECK(guest_run(&f) == PF_EVENT_SYSCALL);
				CHECK(pf_thread_create(f.thread, &f2.thread) == 0);
				CHECK(guest_run(&f2) == PF_EVENT_SYSCALL);
				guest_end(&f);
				guest_end(&f2);
			}
			guest_end(&kids[i]);
		}
		CHECK(guest_run(&g) == PF_EVENT_SYSCALL);
	}
	guest_end(&g);
}

/* jmp . */
static const u8 code_loop[] = { 0xeb, 0xfe };

static void interrupt_soon(void *arg)
{
	fiber_park(sched_now() + 5'000'000);
	pf_interrupt(arg);
}

static void run_interrupts(void)
{
	struct guest g;
	struct fiber *f;

	guest_start(&g, code_loop, sizeof(code_loop));
	pf_interrupt(g.thread);
	CHECK(guest_run(&g) == PF_EVENT_INTERRUPT);
	CHECK(g.regs.rip == CODE);
	for (int i = 0; i < 20; i++) {
		f = fiber_create(interrupt_soon, g.thread);
		fiber_start(f);
		CHECK(guest_run(&g) == PF_EVENT_INTERRUPT);
		CHECK(g.regs.rip == CODE);
	}
	guest_end(&g);
}

static void kill_soon(void *arg)
{
	pid_t pids[8];
	unsigned int n;

	fiber_park(sched_now() + 5'000'000);
	n = platform_host_pids(pids, 8);
	CHECK(n >= 1);
	host_kill(*(pid_t *)arg, SIGKILL);
}

static void run_death(void)
{
	pid_t before[8], after[8], pid = 0;
	unsigned int n, m;
	struct guest g;
	u64 v;

	guest_start(&g, code_loop, sizeof(code_loop));
	/* Until the spare is there. */
	for (int i = 0; i < 500 && platform_host_pids(before, 8) < 2; i++)
		fiber_park(sched_now() + 10'000'000);
	n = platform_host_pids(before, 8);
	CHECK(n == 2);
	/* Kill both: the spare too. */
	for (unsigned int i = 0; i < n; i++) {
		if (i + 1 < n)
			host_kill(before[i + 1], SIGKILL);
	}
	pid = before[0];
	fiber_start(fiber_create(kill_soon, &pid));
	CHECK(guest_run(&g) == PF_EVENT_DEAD);
	CHECK(pf_copy_in(g.thread, &v, UADDR(DATA), 8) == -ESRCH);
	CHECK(guest_run(&g) == PF_EVENT_DEAD);
	guest_end(&g);
	guest_start(&g, code_syscalls, sizeof(code_syscalls));
	CHECK(guest_run(&g) == PF_EVENT_SYSCALL);
	m = platform_host_pids(after, 8);
	CHECK(m >= 1);
	pf_space_stop(g.space);
	CHECK(guest_run(&g) == PF_EVENT_DEAD);
	CHECK(pf_space_read(g.space, &v, UADDR(DATA), 8) == 8);
	pf_space_kill(g.space);
	guest_end(&g);
}

static void run_many(void)
{
	struct guest g;

	for (int i = 0; i < 1000; i++) {
		struct guest f;

		guest_start(&g, code_syscalls, sizeof(code_syscalls));
		CHECK(guest_run(&g) == PF_EVENT_SYSCALL);
		if (i % 4 == 0) {
			f = g;
			CHECK(pf_space_fork(g.thread, &f.space, &f.thread) == 0);
			CHECK(guest_run(&f) == PF_EVENT_SYSCALL);
			guest_end(&f);
		}
		guest_end(&g);
	}
}

/* Many fibers at once, each with a space of its own. */
static _Atomic int g_running;

static void stress_one(void *arg)
{
	struct guest g, f, t;
	u64 v, seed = (u64)arg;

	guest_start(&g, code_syscalls, sizeof(code_syscalls));
	for (u64 i = 0; i < 100; i++) {
		g.regs.rax = i;
		CHECK(guest_run(&g) == PF_EVENT_SYSCALL);
		CHECK(g.regs.orig_rax == i);
		v = seed << 32 | i;
		CHECK(pf_copy_out(g.thread, UADDR(DATA), &v, 8) == 0);
		if (i % 3 == seed % 3) {
			f = g;
			CHECK(pf_space_fork(g.thread, &f.space, &f.thread) == 0);
			CHECK(guest_run(&f) == PF_EVENT_SYSCALL);
			guest_end(&f);
		}
		if (i % 5 == seed % 5) {
			t = g;
			CHECK(pf_thread_create(g.thread, &t.thread) == 0);
			CHECK(guest_run(&t) == PF_EVENT_SYSCALL);
			CHECK(pf_copy_in(t.thread, &v, UADDR(DATA), 8) == 0);
			guest_end(&t);
		}
		v = 0;
		CHECK(pf_copy_in(g.thread, &v, UADDR(DATA), 8) == 0);
		CHECK(v == (seed << 32 | i));
	}
	guest_end(&g);
	g_running--;
}

static void run_stress(void)
{
	for (u64 i = 0; i < 12; i++) {
		g_running++;
		fiber_start(fiber_create(stress_one, (void *)i)); /* NOLINT */
	}
	while (g_running)
		fiber_park(sched_now() + 10'000'000);
}

static void (*g_body)(void);

static void root(void *arg)
{
	(void)arg;
	CHECK(platform_start() == 0);
	g_body();
	platform_shutdown();
}

static unsigned int count_fds(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 20000; fd++)
		n += host_fcntl(fd, F_GETFD, 0) >= 0;
	return n;
}

static void in_fiber(void (*body)(void))
{
	struct pf_config config = { .spare_spaces = 1 };
	unsigned int fds = count_fds();

	g_failures = 0;
	g_body = body;
	assert_int_equal(platform_boot(&config), 0);
	assert_int_equal(sched_run_fiber(2, root, NULL), 0);
	assert_int_equal(g_failures, 0);
	assert_int_equal(count_fds(), fds);
	/* No child is left. */
	assert_int_equal(host_waitid(P_ALL, 0, &(siginfo_t){}, WEXITED | WNOHANG | __WALL),
			 -ECHILD);
}

#define TEST(name) \
	static void test_##name(void **state) \
	{ \
		(void)state; \
		in_fiber(run_##name); \
	}

TEST(syscalls)
TEST(faults)
TEST(copies)
TEST(maps)
TEST(fp)
TEST(fork)
TEST(orphans)
TEST(threads)
TEST(interrupts)
TEST(death)
TEST(many)
TEST(stress)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syscalls),   cmocka_unit_test(test_faults),
		cmocka_unit_test(test_copies),	   cmocka_unit_test(test_maps),
		cmocka_unit_test(test_fp),	   cmocka_unit_test(test_fork),
		cmocka_unit_test(test_orphans),	   cmocka_unit_test(test_threads),
		cmocka_unit_test(test_interrupts), cmocka_unit_test(test_death),
		cmocka_unit_test(test_many),	   cmocka_unit_test(test_stress),
	};

	log_setup(2, LOG_DEBUG, host_write);
	if (host_fault_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
