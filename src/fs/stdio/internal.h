#pragma once

/* An inherited stream: the state behind the anonymous inode. */

#include "sched/waitq.h"
#include "vfs/vfs.h"

struct host_file;
struct stdio_watch;

/* STDIO_REGULAR: never blocks; memory devices (/dev/null) too. */
enum stdio_kind { STDIO_REGULAR, STDIO_PIPE, STDIO_SOCKET, STDIO_TTY, STDIO_OTHER };

struct stdio {
	struct host_file *host; /* [I] transient; owned, pinned */
	enum stdio_kind kind; /* [I] */
	bool stream; /* [I] no position */
	u32 host_flags; /* [I] F_GETFL of the descriptor */
	bool always_ready; /* set once: epoll does not take it */
	struct spin lock; /* class lc_fs */
	bool reading, writing; /* [lock] someone is */
	bool watching; /* [lock] a watch is there, or being made */
	struct stdio_watch *watch; /* transient; owned; set once */
	struct waitq waitq; /* readiness, EPOLL* bits */
	struct waitq turns; /* reading or writing became false */
	u32 pgrp; /* [lock] the foreground group as the guest set it; 0: not set */
};

int stdio_fd(const struct stdio *io);
long stdio_ioctl(struct subject *s, struct stdio *io, u32 cmd, struct uaddr arg);
