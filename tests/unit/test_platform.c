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

#define CHECK(cond)                                                           \
	do {                                                                  \
		if (!(cond)) {                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			g_failures++;                                         \
		}                                                             \
	} while (0)

struct guest {
	struct pf_space *space;
	struct pf_thread *thread;
	struct guest_regs regs;
	struct pf_fault fault;
};

static void guest_load(struct guest *g, const void *code, size_t size)
{
	CHECK(pf_map_anon(g->thread, CODE, 0x4000, RW, false, false) == 0);
	CHECK(pf_copy_out(g->thread, UADDR(CODE), code, size) == 0);
	CHECK(pf_protect(g->thread, CODE, 0x4000, RX) == 0);
	CHECK(pf_map_anon(g->thread, DATA, 0x10000, RW, false, false) == 0);
	CHECK(pf_map_anon(g->thread, STACK_TOP - 0x10000, 0x10000, RW, false, false) == 0);
	g->regs = (struct guest_regs){.rip = CODE, .rsp = STACK_TOP - 64, .eflags = 0x202};
}

static void guest_start(struct guest *g, const void *code, size_t size)
{
	*g = (struct guest){};
	CHECK(pf_space_create(&g->space, &g->thread) == 0);
	guest_load(g, code, size);
}

static enum pf_event guest_run(struct guest *g)
{
	return pf_run(g->thread, &g->regs, &g->fault);
}

static void guest_end(struct guest *g)
{
	pf_thread_destroy(g->thread);
}

/* 1: syscall; jmp 1b */
static const u8 code_syscalls[] = {0x0f, 0x05, 0xeb, 0xfc};

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
	struct pf_config config = {.spare_spaces = 1};
	unsigned int fds = count_fds();

	g_failures = 0;
	g_body = body;
	assert_int_equal(platform_boot(&config), 0);
	assert_int_equal(sched_run_fiber(2, root, NULL), 0);
	assert_int_equal(g_failures, 0);
	assert_int_equal(count_fds(), fds);
	/* No child is left. */
	assert_int_equal(host_waitid(P_ALL, 0, &(siginfo_t){}, WEXITED | WNOHANG | __WALL), -ECHILD);
}

#define TEST(name)                             \
	static void test_##name(void **state)  \
	{                                      \
		(void)state;                   \
		in_fiber(run_##name);          \
	}

TEST(syscalls)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syscalls),
	};

	if (host_fault_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
