#pragma once

/* Names of the values of arguments: for flags, several of a row may be set; for enums, one is. */

#include "base/types.h"
#include "syscall_protos.h"

struct name_value {
	u64 value;
	const char *name; /* null ends a table */
};

/* Null for a table without names. */
const struct name_value *strace_names(enum name_table table);
/* "EINVAL", "SIGSEGV"; null if there is none. */
const char *strace_errno_name(int error);
const char *strace_signal_name(int sig);
