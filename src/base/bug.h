#pragma once

/*
 * Invariants of the kernel itself. Never assert on anything that a guest controls. A failure prints
 * one line and a backtrace to the log and ends the kernel process (and so the sandbox).
 */

#include "base/types.h"

/* (_Noreturn: neither gcc 12 nor clang 14 knows the attribute _Noreturn in C.) */
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Where panic writes (default: descriptor 2), by which function; src/host sets it before main. */
void panic_setup(int fd, ssize_t (*write)(int fd, const void *buf, size_t size));

#define BUG_ON(cond) \
	do { \
		if (unlikely(cond)) \
			panic("%s:%d: BUG_ON(%s)", __FILE__, __LINE__, #cond); \
	} while (0)

#ifdef DONJON_DEBUG
#define DEBUG_BUG_ON(cond) BUG_ON(cond)
#else
#define DEBUG_BUG_ON(cond) ((void)sizeof(cond))
#endif
