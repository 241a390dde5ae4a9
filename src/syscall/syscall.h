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

/* System calls by number. */
#define SYSCALL_SET_SIZE 512
struct syscall_set {
	u64 bits[SYSCALL_SET_SIZE / 64];
};

/*
 * Read what --strace-filter is given: names of calls and classes (%file, %desc, %process, %signal,
 * %memory, %network, %time, %ids), separated by commas; all others, if a ! stands before them. 0,
 * or -EINVAL with *ret_bad pointing at the name that is none.
 */
[[nodiscard]] int syscall_set_parse(const char *text, struct syscall_set *ret,
				    const char **ret_bad);

/*
 * Boot, once, after arena_create. strace_fd: the host descriptor that --strace writes to (it stays
 * the caller's to keep open), -1: no tracing. filter: which calls are shown (signals
 * always are); null: all.
 */
[[nodiscard]] int syscall_init(int strace_fd, const struct syscall_set *filter);

/* Null if there is no such number. */
const struct syscall_info *syscall_info(int nr);
/* The support table as text, a line at a time (without newline), until print returns less than 0,
 * which is returned. */
int syscall_print_table(int (*print)(const char *line, void *arg), void *arg);
