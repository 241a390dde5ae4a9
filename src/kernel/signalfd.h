#pragma once

/* signalfd(2). */

#include "kernel/task.h"

struct file;

/* A file from which t, or who else reads it, takes its own pending signals of mask. flags:
 * O_NONBLOCK. */
[[nodiscard]] int signalfd_create_file(struct task *t, sigset64 mask, u32 flags, struct file **ret);
/* Change the mask of f: -EINVAL if it is no signalfd. */
[[nodiscard]] int signalfd_set_mask(struct file *f, sigset64 mask);
/* A signal was queued for tg or one of its threads. */
void signalfd_notify(struct thread_group *tg) REQUIRES(lc_tasks);
/* tg is gone. */
void signalfd_forget_group(struct thread_group *tg) REQUIRES(lc_tasks);
