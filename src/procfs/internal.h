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

/* Kinds of directories. Each has the rows of one table: see proc_dirs. */
enum proc_dir_kind {
	DIR_NONE, /* rows that are in no directory by name: see below */
	/* proc */
	DIR_ROOT,
	DIR_PROCESS, /* /proc/PID, /proc/PID/task/TID */
	DIR_TASK, /* /proc/PID/task */
	DIR_FD,
	DIR_FDINFO,
	DIR_NS,
	DIR_ATTR,
	DIR_NET,
	DIR_SYSVIPC,
	DIR_TTY,
	DIR_SYS,
	DIR_SYS_FS,
	DIR_SYS_FS_EPOLL,
	DIR_SYS_FS_INOTIFY,
	DIR_SYS_FS_MQUEUE,
	DIR_SYS_KERNEL,
	DIR_SYS_KEYS,
	DIR_SYS_PTY,
	DIR_SYS_RANDOM,
	DIR_SYS_SECCOMP,
	DIR_SYS_YAMA,
	DIR_SYS_NET,
	DIR_SYS_NET_CORE,
	DIR_SYS_NET_IPV4,
	DIR_SYS_NET_IPV6,
	DIR_SYS_NET_UNIX,
	DIR_SYS_USER,
	DIR_SYS_VM,
	/* sysfs: sysfs.c */
	DIR_SYSFS,
	DIR_SYSFS_DEV,
	DIR_SYSFS_CLASS,
	DIR_SYSFS_CLASS_MEM,
	DIR_SYSFS_CLASS_NET,
	DIR_SYSFS_CLASS_TTY,
	DIR_SYSFS_DEVICES,
	DIR_SYSFS_SYSTEM,
	DIR_SYSFS_CPUS,
	DIR_SYSFS_CPU, /* cpuN */
	DIR_SYSFS_TOPOLOGY,
	DIR_SYSFS_CACHES,
	DIR_SYSFS_CACHE, /* indexN */
	DIR_SYSFS_NODES,
	DIR_SYSFS_NODE,
	DIR_SYSFS_VIRTUAL,
	DIR_SYSFS_VIRTUAL_NET,
	DIR_SYSFS_LO,
	DIR_SYSFS_LO_STATISTICS,
	DIR_SYSFS_FS,
	DIR_SYSFS_KERNEL,
	DIR_SYSFS_MM,
	DIR_SYSFS_HUGEPAGES,
	DIR_SYSFS_HUGEPAGES_2M,
	DIR_SYSFS_THP,
	DIR_SYSFS_THP_KHUGEPAGED,
	DIR_EMPTY,
	DIR_COUNT,
};

/* What a function that prints is about. */
struct proc_ctx {
	struct task *caller; /* null: the kernel itself, at boot */
	struct task
		*task; /* the task whose directory this is in, or null; the caller's reference */
	bool whole_group; /* below /proc/PID, not /proc/PID/task/TID */
	u32 number; /* the descriptor, below fd and fdinfo; the CPU, below cpuN */
	u32 row_nr;
	const struct proc_row *row;
};

typedef int proc_show_fn(struct subject *s, struct proc_ctx *ctx, struct strbuf *out);
typedef int proc_store_fn(struct subject *s, struct proc_ctx *ctx, char *data, size_t size);
typedef int proc_follow_fn(struct subject *s, struct proc_ctx *ctx, struct path *ret);
typedef int proc_open_fn(struct subject *s, struct proc_ctx *ctx, struct file *f);

/* Rows of DIR_PROCESS that are not in both kinds of directories. */
enum proc_only { ONLY_GROUP = 1, ONLY_THREAD = 2 };

struct proc_row {
	const char *name;
	u32 mode; /* with the type */
	u32 dir; /* of a directory: its kind */
	u32 only; /* enum proc_only, or 0 */
	proc_show_fn *show; /* of a file: its contents; of a plain link: its target */
	proc_store_fn *store; /* of a file that may be written */
	proc_follow_fn *follow; /* of a magic link: what it leads to */
	proc_open_fn *open; /* of a file with operations of its own: sets f->ops */
	const char *text; /* instead of show; of a sysctl: what it is at first */
	s64 min, max; /* of a sysctl: what each of its numbers may be; both 0: it is a string */
	bool guarded; /* who opens it must have ptrace's read access to the task */
	bool attach; /* ... the access that attaching takes */
	bool space; /* about the address space that the task had when the file was opened */
};

struct proc_dir {
	const struct proc_row *rows;
	u32 count;
};

/* From DIR_NONE on, from DIR_SYS on, from DIR_SYSFS on. */
extern const struct proc_dir proc_dirs[DIR_SYS];
extern const struct proc_dir proc_sys_dirs[DIR_SYSFS - DIR_SYS];
extern const struct proc_dir sysfs_dirs[DIR_COUNT - DIR_SYSFS];
const struct proc_dir *proc_dir_of(u32 kind);
/* net.c */
#define PROC_NET_ROWS 24
extern const struct proc_row proc_net_rows[PROC_NET_ROWS];
#define PROC_DIR(table) \
	{ \
		.rows = (table), .count = ARRAY_SIZE(table) \
	}

/* A row's number: its directory's kind and its place there. */
#define ROW_NR(dir, index) ((u32)(dir) << 16 | (u32)(index))
/* Rows of DIR_NONE. */
enum {
	ROW_ROOT = ROW_NR(DIR_NONE, 0),
	ROW_TGID = ROW_NR(DIR_NONE, 1),
	ROW_TID = ROW_NR(DIR_NONE, 2),
	ROW_FD = ROW_NR(DIR_NONE, 3),
	ROW_FDINFO = ROW_NR(DIR_NONE, 4),
	ROW_SYSFS = ROW_NR(DIR_NONE, 5),
	ROW_CPU = ROW_NR(DIR_NONE, 6),
	ROW_CACHE = ROW_NR(DIR_NONE, 7),
};
const struct proc_row *proc_row_by_nr(u32 nr);

/* For tables. */
#define DIR(name_, kind) \
	{ \
		.name = name_, .mode = S_IFDIR | 0555, .dir = kind \
	}
#define FILE_SHOW(name_, mode_, fn) \
	{ \
		.name = name_, .mode = S_IFREG | (mode_), .show = fn \
	}
#define FILE_GUARDED(name_, mode_, fn) \
	{ \
		.name = name_, .mode = S_IFREG | (mode_), .show = fn, .guarded = true \
	}
#define FILE_SPACE(name_, mode_, fn) \
	{ \
		.name = name_, .mode = S_IFREG | (mode_), .show = fn, .guarded = true, \
		.space = true \
	}
#define FILE_STORE(name_, mode_, fn, put) \
	{ \
		.name = name_, .mode = S_IFREG | (mode_), .show = fn, .store = put \
	}
#define FILE_TEXT(name_, text_) \
	{ \
		.name = name_, .mode = S_IFREG | 0444, .text = text_ \
	}
#define LINK(name_, fn) \
	{ \
		.name = name_, .mode = S_IFLNK | 0777, .show = fn \
	}
#define LINK_TEXT(name_, text_) \
	{ \
		.name = name_, .mode = S_IFLNK | 0777, .text = text_ \
	}
#define LINK_MAGIC(name_, fn) \
	{ \
		.name = name_, .mode = S_IFLNK | 0777, .follow = fn, .guarded = true \
	}

/* An inode's private part. */
struct proc_node {
	u32 row; /* [I] its number */
	struct task *task; /* [I] owned, or null */
	bool whole_group; /* [I] */
	u32 number; /* [I] */
};

static inline const struct proc_row *proc_row_of(const struct proc_node *n)
{
	return proc_row_by_nr(n->row);
}
/* -ESRCH if its task is gone. */
[[nodiscard]] int proc_ctx_init(struct proc_ctx *ctx, struct subject *s, const struct proc_node *n);
/* The task on whose behalf s is, or null. */
struct task *proc_caller(struct subject *s);
/* -EACCES unless the caller may look into the task. */
[[nodiscard]] int proc_may_look(const struct proc_ctx *ctx);
/* -EACCES unless the caller has the access that the row wants. */
[[nodiscard]] int proc_check_access(const struct proc_ctx *ctx);

/* Of a file whose text a function prints: sets f->ops, and notes which program the task runs. */
[[nodiscard]] int proc_open_text(struct proc_ctx *ctx, struct file *f);
DECLARE_OPS(struct file_ops, proc_file_ops);
DECLARE_OPS(struct file_ops, proc_dir_file_ops);

/* As uname(2) says it. */
#define KERNEL_RELEASE "6.6.0"
#define KERNEL_VERSION "#1 SMP PREEMPT Donjon"

/* A number as a writer gives it: white space around it is allowed. -EINVAL. base as strtoll's. */
[[nodiscard]] int proc_parse_number(const char *data, int base, s64 *ret);
/* The number that *at begins with, and move past it. base 0: 0x and 0 tell. False: there is none.
 */
[[nodiscard]] bool proc_scan_number(const char **at, int base, bool *ret_negative, u64 *ret);

struct mm_layout;
/* Bytes of the program's code, in whole pages. */
u64 proc_text_size(const struct mm_layout *l);
/* A mask of CPUs of size bytes (a multiple of four) as hexadecimal words, and as a list of ranges;
 * each with a newline. */
void proc_put_mask(const u8 *mask, u32 size, struct strbuf *out);
void proc_put_list(const u8 *mask, u32 size, struct strbuf *out);

/* ---- links.c ---- */

proc_follow_fn proc_follow_exe, proc_follow_cwd, proc_follow_root, proc_follow_fd;
proc_show_fn proc_show_self, proc_show_thread_self, proc_show_fdinfo;

/* ---- ns.c ---- */

proc_follow_fn proc_follow_ns;

/* ---- mem.c ---- */

proc_open_fn proc_open_mem, proc_open_pagemap;

/* ---- process.c, status.c, settings.c: of a process ---- */

proc_show_fn proc_show_cmdline, proc_show_environ, proc_show_auxv, proc_show_comm, proc_show_maps,
	proc_show_smaps, proc_show_smaps_rollup, proc_show_numa_maps, proc_show_mounts,
	proc_show_mountinfo, proc_show_mountstats, proc_show_limits, proc_show_statm,
	proc_show_stat, proc_show_status, proc_show_io, proc_show_children, proc_show_schedstat,
	proc_show_sched, proc_show_syscall, proc_show_timers, proc_show_nothing;
proc_show_fn proc_show_autogroup, proc_show_coredump_filter, proc_show_oom_adj, proc_show_oom_score,
	proc_show_oom_score_adj, proc_show_personality, proc_show_no_label, proc_show_timerslack;
proc_store_fn proc_store_comm, proc_store_nothing, proc_store_autogroup, proc_store_clear_refs,
	proc_store_coredump_filter, proc_store_id_map, proc_store_loginuid, proc_store_oom_adj,
	proc_store_oom_score_adj, proc_store_no_label, proc_store_setgroups, proc_store_timerslack;

/* ---- system.c, cpuinfo.c, memory.c: of the system ---- */

proc_show_fn proc_show_cpuinfo, proc_show_meminfo, proc_show_vmstat, proc_show_zoneinfo,
	proc_show_buddyinfo, proc_show_system_stat, proc_show_uptime, proc_show_loadavg,
	proc_show_interrupts, proc_show_softirqs;

/* ---- sysfs.c ---- */

#define SYSFS_NAME_SIZE 16
/*
 * The entries of a directory that have a number in their names (cpu0, index0), the index-th from 0
 * on: false at the end; an empty name where there is a gap. parent: the directory's own number.
 */
bool sysfs_numbered(u32 kind, u32 parent, u32 index, char name[SYSFS_NAME_SIZE], u32 *ret_row,
		    u32 *ret_number);
/* The one called name. */
bool sysfs_find_numbered(u32 kind, u32 parent, const char *name, u32 *ret_row, u32 *ret_number);
