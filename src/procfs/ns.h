#pragma once

/* Namespaces as files: what /proc/PID/ns/NAME opens. */

#include "base/types.h"

struct file;
struct task;

/* The CLONE_NEW* flag of the namespace that f is, or 0 if it is none. */
u32 ns_file_type(const struct file *f);
/* setns(2) into the namespace that f is. Own fiber. -EPERM, -EINVAL. */
[[nodiscard]] int ns_file_join(struct task *t, const struct file *f);
