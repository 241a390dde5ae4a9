#pragma once

/* timerfd_create(2). */

#include "kernel/task.h"

struct file;

/* A timer's file: flags: O_NONBLOCK. -EINVAL, -EPERM, -ENOMEM, -ENFILE. */
[[nodiscard]] int timerfd_create_file(struct task *t, int clock, u32 flags, struct file **ret);
/* -EINVAL: f is no timer, or new does not make sense. -ECANCELED: it is set, but the clock had been
 * set before. ret_old may be null. */
[[nodiscard]] int timerfd_set(struct task *t, struct file *f, int flags,
			      const struct itimer_ns *new, struct itimer_ns *ret_old);
[[nodiscard]] int timerfd_get(struct file *f, struct itimer_ns *ret);
