#pragma once

/* Namespaces as files: what /proc/PID/ns/NAME opens. */

#include "base/types.h"

struct file;
struct subject;

/* The CLONE_NEW* flag of the namespace that f is, or 0 if it is none. */
u32 ns_file_type(const struct file *f);
