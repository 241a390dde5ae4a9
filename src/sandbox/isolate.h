#pragma once

/* How the kernel process leaves the host behind: namespaces, mounts, privileges, system calls. */

#include "base/types.h"
#include "sandbox/config.h"

/* What the kernel process keeps of the host; descriptors, -1 where absent. */
struct isolation {
	int root_fd; /* O_PATH: the host's root, read-only where a mount namespace could be had */
	/* O_PATH: what the config's mounts show, as writable as they ask for; -1 for a tmpfs. */
	int bind_fds[MOUNT_REQUESTS_MAX];
	bool writes; /* a bind is writable */
	int proc_fd; /* O_PATH: a procfs that shows this process and its children */
	bool pid_ns; /* this process is pid 1 of its own pid namespace */
	bool mount_ns; /* it sees an empty root */
};

/* Clone flags that the kernel process needs (CLONE_NEW*), for a caller with or without
 * CAP_SYS_ADMIN. */
u64 isolate_clone_flags(bool privileged);
/* True if this process could make namespaces without a user namespace. */
bool isolate_privileged(void);

/*
 * Run in the kernel process, single-threaded, first thing: session, id maps, mounts, procfs,
 * pivot_root. flags: what it was cloned with. 0 or a negative errno with *ret_what naming the step
 * or the file that could not be had.
 */
[[nodiscard]] int isolate_enter(u64 flags, const struct sandbox_config *config,
				struct isolation *ret, const char **ret_what);
/* Drop every capability for good, set no_new_privs, rlimits, dumpable (needed to reach the stubs'
 * memory). */
[[nodiscard]] int isolate_drop_privileges(void);
/* The kernel's own filter: what host/calls.def lists, nothing else; calls that change names on the
 * host only if writes. Last step; later threads inherit it. */
[[nodiscard]] int isolate_seccomp(bool writes);
