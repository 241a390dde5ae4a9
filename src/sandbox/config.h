#pragma once

/* What a sandbox is made from: filled in by the command, read by the kernel process that it clones.
 */

#include "base/log.h"
#include "base/types.h"
#include "syscall/syscall.h"

/* Whom the sandbox is for: read before any namespace is entered. */
struct caller {
	u32 uid, gid, group_count, groups[1024];
	u32 umask;
	u64 ignored, blocked; /* signals: bit n - 1 for signal n */
};

/* --bind and --tmpfs, in the order in which they were given: later ones may lie in earlier ones. */
#define MOUNT_REQUESTS_MAX 64
struct mount_request {
	const char *source; /* a file or directory of the host; null: a tmpfs */
	const char *target; /* guest path, absolute */
	bool readonly;
};

/* The caller's terminal, when the guest gets one of its own that is connected to it. */
struct terminal_config {
	bool present; /* else the guest's streams are the caller's, whatever they are */
	bool streams[3]; /* these are the terminal */
	int fd, command_fd; /* ends of a stream socket, the terminal's line: the kernel process's,
			       the command's */
	struct terminal_size {
		u16 row, col, xpixel, ypixel;
	} size; /* at start */
	u32 termios[11]; /* at start: a struct termios2 */
};

struct sandbox_config {
	const char *const *argv; /* the guest's first program and its arguments, null-terminated */
	const char *const *envp;
	const char *workdir; /* guest path; the caller's directory by default */
	bool workdir_given; /* it was asked for: fail if it cannot be entered */
	const char *rootfs; /* the directory of the host that is the guest's root; null: / */
	bool readonly_root; /* nothing can be written but in binds and tmpfs mounts */
	u32 mount_count;
	struct mount_request mounts[MOUNT_REQUESTS_MAX];
	const char *hostname; /* null: the default */
	u64 memory; /* bytes that the guest may use; 0: what the host has */
	u32 cpus; /* 0: the host's CPUs by their numbers */
	s64 timeout_ns; /* 0: none */
	bool strace; /* log system calls... */
	const char *strace_file; /* ...there; null: stderr */
	bool strace_filtered; /* ...but only those of strace_set */
	struct syscall_set strace_set;
	enum log_level log_level;
	const char *log_file; /* null: stderr */
	bool stdio_closed[3]; /* the caller had these descriptors closed (now they are /dev/null) */
	struct caller caller; /* filled in by sandbox_run */
	bool user_given; /* the first process has these ids and no other groups, not the caller's */
	u32 uid, gid;
	struct terminal_config terminal; /* filled in by sandbox_run */
};

/* Exit statuses of the command that are not the guest's. */
enum {
	EXIT_TIMEOUT = 124,
	EXIT_OWN_FAILURE = 125,
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127
};
