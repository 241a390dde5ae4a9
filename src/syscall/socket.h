#pragma once

/* What the files of the socket calls share. */

#include "base/types.h"
#include "net/net.h"

struct task;

/* Fetch an address. -EINVAL (size), -EFAULT. */
[[nodiscard]] int fetch_sockname(struct task *t, struct uaddr addr, int size, struct sockname *ret);
/* Store an address where the guest has *usize bytes for it; *usize becomes its true size. */
[[nodiscard]] int store_sockname(struct task *t, struct uaddr addr, struct uaddr usize,
				 const struct sockname *name);
/* As task_restart; a wait with a time limit is not restarted. */
long socket_restart(const struct file *f, long ret, bool write);
