#pragma once

/* The --strace log: one line a call, signal or exit. On the task's own fiber. Cheap when off. */

#include <signal.h>

#include "base/types.h"

struct task;

/* The call is over. */
void strace_exited(struct task *t, int nr, const u64 args[6], long result);
/* The call may not come back as it was entered (exec, exit): shown now. */
void strace_entered(struct task *t, int nr);
void strace_signalled(struct task *t, const siginfo_t *info);
/* An argument of call nr is a path; or, if not path, a descriptor. */
bool strace_takes(int nr, bool path);
