#pragma once

/*
 * The lock order of the whole kernel, outermost first: X(name, nestable). The position in this list
 * is the rank. Sleeping locks come first, then the task set, then short locks. A holder of a short
 * lock never parks, never calls the host, never touches guest memory.
 */
#define LOCK_ORDER(X) \
	/* sleeping locks */ \
	X(lc_file_pos, false) /* a file's position, held during its I/O: /proc's too */ \
	X(lc_cgroup, false) \
	X(lc_exec, false) /* a thread group's exec and credential guard */ \
	X(lc_epoll_graph, false) \
	X(lc_epoll, true) \
	X(lc_mounts, false) \
	X(lc_rename, false) \
	X(lc_inode_dir, true) /* directory inode: ancestor first */ \
	X(lc_inode, true) /* other inodes; an overlay's before its layers' */ \
	X(lc_pipe, true) \
	X(lc_socket, true) \
	X(lc_mm, true) /* address-space operations; fork: parent first */ \
	X(lc_mappable, true) /* a memory object's list of mappings, its host file */ \
	X(lc_tty, false) \
	X(lc_group_timers, false) \
	/* short locks */ \
	X(lc_clocks, false) /* who is told of steps of the clocks */ \
	X(lc_tasks, \
	  false) /* the task set: parents, children, groups, sessions, pids, waits, stops */ \
	X(lc_pidns, false) \
	X(lc_sighand, true) \
	X(lc_task, true) \
	X(lc_cred, false) \
	X(lc_vmas, true) /* VMA tree, readable under it alone; writers also hold lc_mm */ \
	X(lc_fs_context, false) /* root and working directory */ \
	X(lc_fdtable, false) \
	X(lc_dcache, false) /* names of one super */ \
	X(lc_fs, false) /* a file system's own structures */ \
	X(lc_file, true) /* an open file's position, flags, owner */ \
	X(lc_inode_attr, true) \
	X(lc_futex, true) \
	X(lc_futex_pi, false) /* all futexes with priority inheritance */ \
	X(lc_net, false) /* tables of names and ports of sockets */ \
	X(lc_sock, false) /* a socket's state and queue */ \
	X(lc_ipc, false) \
	X(lc_waitq, true) \
	X(lc_ready, true) /* an epoll's ready list */ \
	X(lc_ready_waitq, true) /* the wait queue of an epoll */ \
	X(lc_timer, false) \
	X(lc_hostfile, false) \
	X(lc_platform, false) \
	X(lc_poller, false) /* table of poll sources */ \
	X(lc_pool, false) /* pool for blocking calls */ \
	X(lc_mutex, false) /* inside struct mutex */ \
	X(lc_runq, false) \
	X(lc_stacks, false) /* pool of fiber stacks */ \
	X(lc_slab, false) \
	X(lc_log, false)

#include "sched/lock.h"

#define X(name, nestable) extern const struct lock_class name;
LOCK_ORDER(X)
#undef X
