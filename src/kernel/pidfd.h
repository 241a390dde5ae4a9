#pragma once

/* Descriptors that refer to processes, pidfd_open(2). */

#include "kernel/task.h"

struct file;

/* A file that refers to the process of p (borrowed). flags: O_NONBLOCK. */
[[nodiscard]] int pidfd_create_file(struct task *t, struct pid *p, u32 flags, struct file **ret);
/* pidfd_open(2): by number as t sees it. -EINVAL, -ESRCH. */
[[nodiscard]] int pidfd_open_file(struct task *t, int nr, u32 flags, struct file **ret);
/* What f refers to, or null if it is no pidfd. Lives as long as f. */
struct pid *pidfd_pid(const struct file *f);
/* A reference to the leader (perhaps a zombie) of p's process, or null: p is null or the process
 * has been reaped. */
struct task *pid_leader_get(struct pid *p);
