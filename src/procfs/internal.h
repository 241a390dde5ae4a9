#pragma once

/*
 * How procfs is cut: a table of rows (table.c) says what is in which kind of directory; tree.c
 * makes inodes of rows; file.c makes files of functions that print. Nothing is cached: a name is
 * looked up afresh each time, so that inodes can hold their task.
 */

#include "base/strbuf.h"
#include "base/types.h"
#include "procfs/procfs.h"
#include "vfs/path.h"
#include "vfs/vfs.h"

struct task;

/* Kinds of directories, as bits: which rows are in them. */
enum proc_dir {
	DIR_ROOT = 1,
	DIR_TGID = 2, /* /proc/PID */
	DIR_TID = 4, /* /proc/PID/task/TID */
	DIR_TASK = 8, /* /proc/PID/task */
	DIR_FD = 16,
	DIR_FDINFO = 32,
	DIR_SYS = 64,
	DIR_SYS_KERNEL = 128,
	DIR_SYS_RANDOM = 256,
	DIR_SYS_VM = 512,
	DIR_SYS_FS = 1024,
};
#define DIR_PROCESS (DIR_TGID | DIR_TID)

/* What a function that prints is about. */
struct proc_ctx {
	struct task *caller; /* null: the kernel itself, at boot */
	struct task
		*task; /* the task whose directory this is in, or null; the caller's reference */
	bool whole_group; /* below /proc/PID, not /proc/PID/task/TID */
	u32 fd; /* below fd and fdinfo */
};

typedef int proc_show_fn(struct subject *s, struct proc_ctx *ctx, struct strbuf *out);
typedef int proc_store_fn(struct subject *s, struct proc_ctx *ctx, char *data, size_t size);
typedef int proc_follow_fn(struct subject *s, struct proc_ctx *ctx, struct path *ret);

struct proc_row {
	const char *name;
	u32 in; /* enum proc_dir bits */
	u32 mode; /* with the type */
	u32 dir; /* of a directory: its kind */
	proc_show_fn *show; /* of a file: its contents; of a plain link: its target */
	proc_store_fn *store; /* of a file that may be written */
	proc_follow_fn *follow; /* of a magic link: what it leads to */
	const char *text; /* instead of show */
	bool guarded; /* who opens it must have ptrace's read access to the task */
};

extern const struct proc_row proc_rows[];
extern const u32 proc_row_count;
/* Rows that are in no directory by name. */
extern const struct proc_row proc_row_root, proc_row_tgid, proc_row_tid, proc_row_fd,
	proc_row_fdinfo;

/* An inode's private part. */
struct proc_node {
	u32 row; /* [I] see proc_row_of */
	struct task *task; /* [I] owned, or null */
	bool whole_group; /* [I] */
	u32 fd; /* [I] */
};

const struct proc_row *proc_row_of(const struct proc_node *n);
/* -ESRCH if its task is gone. */
[[nodiscard]] int proc_ctx_init(struct proc_ctx *ctx, struct subject *s, const struct proc_node *n);
/* The task on whose behalf s is, or null. */
struct task *proc_caller(struct subject *s);
/* -EACCES unless the caller may look into the task. */
[[nodiscard]] int proc_may_look(const struct proc_ctx *ctx);

DECLARE_OPS(struct file_ops, proc_file_ops);
DECLARE_OPS(struct file_ops, proc_dir_file_ops);

/* ---- links.c ---- */

proc_follow_fn proc_follow_exe, proc_follow_cwd, proc_follow_root, proc_follow_fd;
proc_show_fn proc_show_self, proc_show_thread_self, proc_show_fdinfo;

/* ---- process.c, status.c ---- */

proc_show_fn proc_show_cmdline, proc_show_environ, proc_show_auxv, proc_show_comm, proc_show_maps,
	proc_show_mounts, proc_show_mountinfo, proc_show_limits, proc_show_statm, proc_show_stat,
	proc_show_status;
proc_store_fn proc_store_comm, proc_store_nothing;

/* ---- system.c, cpuinfo.c ---- */

proc_show_fn proc_show_cpuinfo, proc_show_meminfo, proc_show_system_stat, proc_show_uptime,
	proc_show_loadavg, proc_show_hostname, proc_show_domainname, proc_show_pid_max,
	proc_show_threads_max, proc_show_uuid, proc_show_boot_id;
