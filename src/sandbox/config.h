#pragma once

/* What a sandbox is made from: filled in by the command, read by the kernel process that it clones.
 */

#include "base/log.h"
#include "base/types.h"

/* Whom the sandbox is for: read before any namespace is entered. */
struct caller {
	u32 uid, gid, group_count, groups[1024];
	u32 umask;
};

struct sandbox_config {
	const char *const *argv; /* the guest's first program and its arguments, null-terminated */
	const char *const *envp;
	const char *workdir; /* guest path; the caller's directory by default */
	bool workdir_given; /* it was asked for: fail if it cannot be entered */
	u32 cpus; /* 0: the host's CPUs by their numbers */
	s64 timeout_ns; /* 0: none */
	bool strace; /* log system calls... */
	const char *strace_file; /* ...there; null: stderr */
	enum log_level log_level;
	const char *log_file; /* null: stderr */
	bool stdio_closed[3]; /* the caller had these descriptors closed (now they are /dev/null) */
	struct caller caller; /* filled in by sandbox_run */
};

/* Exit statuses of the command that are not the guest's. */
enum {
	EXIT_TIMEOUT = 124,
	EXIT_OWN_FAILURE = 125,
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127
};
