/*
 * Touches memory and tells what happened, without dying.
 */
#pragma once

#include "tap.h"
#include <setjmp.h>

struct fault {
	int signal; /* 0: no fault */
	int code;
	void *address;
};

static sigjmp_buf fault_jump;
static volatile sig_atomic_t fault_armed;
static struct fault fault_last;

static inline void fault_handler(int signal, siginfo_t *info, void *context)
{
	(void)context;
	if (!fault_armed)
		_exit(96);
	fault_last = (struct fault){ signal, info->si_code, info->si_addr };
	siglongjmp(fault_jump, 1);
}

/* Reads, or reads and writes back, the byte at `address`. */
static inline struct fault fault_try(volatile void *address, bool write)
{
	struct sigaction action = { .sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO };
	struct sigaction old_segv, old_bus;
	sigaction(SIGSEGV, &action, &old_segv);
	sigaction(SIGBUS, &action, &old_bus);
	fault_last = (struct fault){};
	fault_armed = 1;
	if (sigsetjmp(fault_jump, 1) == 0) {
		volatile char *byte = address;
		char value = *byte;
		if (write)
			*byte = value;
	}
	fault_armed = 0;
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGBUS, &old_bus, NULL);
	return fault_last;
}

#define readable(address) (fault_try((address), false).signal == 0)
#define writable(address) (fault_try((address), true).signal == 0)
