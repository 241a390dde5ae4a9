#pragma once

/* What the system call layer keeps: one object. */

#include "base/types.h"
#include "syscall/syscall.h"

struct task;

struct syscall_state {
	bool strace; /* [I] */
	int strace_fd; /* [I] transient */
	bool strace_filtered; /* [I] show only the calls of strace_set */
	struct syscall_set strace_set; /* [I] */
	_Atomic u64 logged[8]; /* [a] bit n: the lack of call n has been logged */
};

/* Null before syscall_init. */
struct syscall_state *syscall_state(void);

typedef long syscall_fn(struct task *t, const u64 a[6]);
