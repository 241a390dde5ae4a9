#pragma once

/*
 * The system call layer: dispatch by number, strace, the support table. The handlers are in one
 * file a family; their prototypes are generated (syscall_protos.h) from table.def.
 */

#include "base/types.h"

struct task;

enum syscall_level { SYSCALL_UNKNOWN, SYSCALL_NONE, SYSCALL_PARTIAL, SYSCALL_FULL };

struct syscall_info {
	const char *name; /* null: no such number */
	enum syscall_level level;
	const char *note;
};

/*
 * Boot, once, after arena_create. strace_fd: the host descriptor that --strace writes to (it stays
 * the caller's to keep open), -1: no tracing.
 */
[[nodiscard]] int syscall_init(int strace_fd);

/* Null if there is no such number. */
const struct syscall_info *syscall_info(int nr);
/* The support table as text, a line at a time (without newline), until print returns less than 0,
 * which is returned. */
int syscall_print_table(int (*print)(const char *line, void *arg), void *arg);
