/*
 * For guests that know how Donjon's stubs are made: finds the stub's region in their own address
 * space, and the two system call instructions in it. On a plain Linux there is none.
 */
#pragma once

#include "tap.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/wait.h>

#include "platform/systrap/lane.h"

#define WITNESS_ROUNDS 20

static u64 stub_base, stub_fast, stub_verified; /* addresses of the syscall instructions */
static sigjmp_buf stub_fault;

static inline void stub_on_fault(int signo)
{
	(void)signo;
	siglongjmp(stub_fault, 1);
}

/* The instructions stand at the end of "mov 8(%rsp), %r9; syscall; ret". */
static const unsigned char stub_pattern[] = { 0x4c, 0x8b, 0x4c, 0x24, 0x08, 0x0f, 0x05, 0xc3 };

static inline bool stub_look(u64 base)
{
	const unsigned char *image = (const unsigned char *)base;
	volatile int found = 0;

	if (sigsetjmp(stub_fault, 1))
		return false;
	for (u64 i = 0; i < 4096 && found < 2; i++)
		if (!memcmp(image + i, stub_pattern, sizeof(stub_pattern))) {
			*(found++ ? &stub_verified : &stub_fast) = base + i + 5;
			stub_base = base;
		}
	return found == 2;
}

static inline bool stub_find(void)
{
	struct sigaction sa = { .sa_handler = stub_on_fault, .sa_flags = SA_NODEFER }, segv, bus;
	bool found = false;

	sigaction(SIGSEGV, &sa, &segv);
	sigaction(SIGBUS, &sa, &bus);
	for (u64 base = 0x7ff800000000; base >= 0x7e0000000000 && !found; base -= 1UL << 32)
		found = stub_look(base);
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return found;
}

/* How many system call instructions a page of the stub's image has; -1: it cannot be read. */
static inline int stub_count_calls(const volatile u64 page)
{
	struct sigaction sa = { .sa_handler = stub_on_fault, .sa_flags = SA_NODEFER }, segv;
	volatile int count = 0;

	sigaction(SIGSEGV, &sa, &segv);
	if (sigsetjmp(stub_fault, 1))
		count = -1;
	else
		for (u64 i = 0; i + sizeof(stub_pattern) <= 4096; i++)
			count +=
				!memcmp((const char *)page + i, stub_pattern, sizeof(stub_pattern));
	sigaction(SIGSEGV, &segv, NULL);
	return count;
}

/* On a plain Linux there is nothing to attack. */
static inline void stub_need_region(void)
{
	if (stub_find())
		return;
	tap_print("1..0 # SKIP no stub in this address space");
	exit(0);
}

static inline long stub_call(u64 at, long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	register u64 r10 __asm__("r10") = d;
	register u64 r8 __asm__("r8") = e;
	register u64 r9 __asm__("r9") = f;
	long ret = nr;

	__asm__ volatile("sub $256, %%rsp\n\tcall *%[at]\n\tadd $256, %%rsp"
			 : "+a"(ret)
			 : [at] "b"(at), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline struct lane *stub_lane(unsigned int slot)
{
	return (struct lane *)(stub_base + STUB_LANES_OFFSET + slot * LANE_SIZE);
}

static inline u64 stub_random(u64 *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Another process in the same sandbox goes on: it forks, waits, and talks through a pipe. */
static inline bool stub_witness(void)
{
	for (int i = 0; i < WITNESS_ROUNDS; i++) {
		int fd[2], status = -1;
		char c = 0;
		pid_t pid;

		if (pipe(fd))
			return false;
		pid = fork();
		if (pid == 0) {
			c = 'w';
			_exit(write(fd[1], &c, 1) == 1 ? 7 : 8);
		}
		close(fd[1]);
		if (pid < 0 || read(fd[0], &c, 1) != 1 || c != 'w' ||
		    waitpid(pid, &status, 0) != pid || status != 7 << 8)
			return false;
		close(fd[0]);
	}
	return true;
}

/* Run an attack in a process of its own for at most some time; then that process is gone, and the
 * witness works. */
static inline void stub_attack(const char *name, void (*attack)(void), int milliseconds)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		attack();
		_exit(0);
	}
	for (int i = 0; i < milliseconds && waitpid(pid, &status, WNOHANG) == 0; i++)
		usleep(1000);
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	ok(stub_witness(), "%s", name);
}
