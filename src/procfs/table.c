/* What is where in /proc. The order is that of readdir. */

#include "procfs/internal.h"

#define GUARDED_DIR(name_, mode_, kind) \
	{ \
		.name = name_, .mode = S_IFDIR | (mode_), .dir = kind, .guarded = true \
	}
#define FILE_ATTACH(name_, mode_, fn) \
	{ \
		.name = name_, .mode = S_IFREG | (mode_), .show = fn, .guarded = true, \
		.attach = true \
	}
#define FILE_OPEN(name_, mode_, fn, attach_) \
	{ \
		.name = name_, .mode = S_IFREG | (mode_), .open = fn, .guarded = true, \
		.attach = attach_ \
	}
/* A file of an id mapping, which is that of the root user namespace and cannot be set. */
#define FILE_ID_MAP(name_) \
	{ \
		.name = name_, .mode = S_IFREG | 0644, \
		.text = "         0          0 4294967295\n", .store = proc_store_id_map \
	}
/* A label: there is no security module to ask. */
#define FILE_LABEL(name_, mode_) \
	{ \
		.name = name_, .mode = S_IFREG | (mode_), .show = proc_show_no_label, \
		.store = proc_store_no_label \
	}

static const struct proc_row special_rows[] = {
	[ROW_ROOT] = { .name = "", .mode = S_IFDIR | 0555, .dir = DIR_ROOT },
	[ROW_TGID] = { .name = "", .mode = S_IFDIR | 0555, .dir = DIR_PROCESS },
	[ROW_TID] = { .name = "", .mode = S_IFDIR | 0555, .dir = DIR_PROCESS },
	[ROW_FD] = { .name = "",
		     .mode = S_IFLNK | 0700,
		     .follow = proc_follow_fd,
		     .guarded = true },
	[ROW_FDINFO] = { .name = "",
			 .mode = S_IFREG | 0444,
			 .show = proc_show_fdinfo,
			 .guarded = true },
	[ROW_SYSFS] = { .name = "", .mode = S_IFDIR | 0555, .dir = DIR_SYSFS },
	[ROW_CPU] = { .name = "", .mode = S_IFDIR | 0755, .dir = DIR_SYSFS_CPU },
	[ROW_CACHE] = { .name = "", .mode = S_IFDIR | 0755, .dir = DIR_SYSFS_CACHE },
};

static const struct proc_row root_rows[] = {
	LINK("self", proc_show_self),
	LINK("thread-self", proc_show_thread_self),
	FILE_SHOW("buddyinfo", 0444, proc_show_buddyinfo),
	FILE_TEXT("cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"),
	FILE_TEXT("cmdline", "\n"),
	FILE_TEXT("consoles", ""),
	FILE_SHOW("cpuinfo", 0444, proc_show_cpuinfo),
	FILE_TEXT("crypto", ""),
	FILE_TEXT("devices", "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n"
			     "  5 /dev/ptmx\n 10 misc\n136 pts\n\nBlock devices:\n"),
	FILE_TEXT("diskstats", ""),
	FILE_TEXT("execdomains", "0-0\tLinux           \t[kernel]\n"),
	FILE_TEXT("filesystems", "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tcgroup2\n"
				 "nodev\tdevtmpfs\nnodev\tsockfs\nnodev\tpipefs\nnodev\tdevpts\n"
				 "nodev\tmqueue\nnodev\toverlay\n\thostfs\n"),
	FILE_SHOW("interrupts", 0444, proc_show_interrupts),
	FILE_TEXT("iomem", ""),
	FILE_TEXT("ioports", ""),
	FILE_TEXT("key-users", ""),
	FILE_TEXT("keys", ""),
	FILE_SHOW("loadavg", 0444, proc_show_loadavg),
	FILE_TEXT("locks", ""),
	FILE_SHOW("meminfo", 0444, proc_show_meminfo),
	FILE_TEXT("misc", ""),
	FILE_TEXT("modules", ""),
	LINK_TEXT("mounts", "self/mounts"),
	LINK_TEXT("net", "self/net"),
	FILE_TEXT("partitions", "major minor  #blocks  name\n\n"),
	FILE_SHOW("softirqs", 0444, proc_show_softirqs),
	FILE_SHOW("stat", 0444, proc_show_system_stat),
	FILE_TEXT("swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
	DIR("sys", DIR_SYS),
	DIR("sysvipc", DIR_SYSVIPC),
	DIR("tty", DIR_TTY),
	FILE_SHOW("uptime", 0444, proc_show_uptime),
	FILE_TEXT("version",
		  "Linux version " KERNEL_RELEASE " (donjon@localhost) (gcc) " KERNEL_VERSION "\n"),
	FILE_SHOW("vmstat", 0444, proc_show_vmstat),
	FILE_SHOW("zoneinfo", 0444, proc_show_zoneinfo),
};

static const struct proc_row process_rows[] = {
	FILE_TEXT("arch_status", "AVX512_elapsed_ms:\t-1\n"),
	DIR("attr", DIR_ATTR),
	{ .name = "autogroup",
	  .mode = S_IFREG | 0644,
	  .only = ONLY_GROUP,
	  .show = proc_show_autogroup,
	  .store = proc_store_autogroup },
	FILE_SPACE("auxv", 0400, proc_show_auxv),
	FILE_TEXT("cgroup", "0::/\n"),
	{ .name = "children",
	  .mode = S_IFREG | 0444,
	  .only = ONLY_THREAD,
	  .show = proc_show_children },
	{ .name = "clear_refs", .mode = S_IFREG | 0200, .store = proc_store_clear_refs },
	FILE_SHOW("cmdline", 0444, proc_show_cmdline),
	FILE_STORE("comm", 0644, proc_show_comm, proc_store_comm),
	{ .name = "coredump_filter",
	  .mode = S_IFREG | 0644,
	  .only = ONLY_GROUP,
	  .show = proc_show_coredump_filter,
	  .store = proc_store_coredump_filter },
	FILE_TEXT("cpuset", "/\n"),
	LINK_MAGIC("cwd", proc_follow_cwd),
	FILE_SPACE("environ", 0400, proc_show_environ),
	LINK_MAGIC("exe", proc_follow_exe),
	GUARDED_DIR("fd", 0500, DIR_FD),
	GUARDED_DIR("fdinfo", 0555, DIR_FDINFO),
	FILE_ID_MAP("gid_map"),
	FILE_GUARDED("io", 0400, proc_show_io),
	FILE_SHOW("limits", 0444, proc_show_limits),
	{ .name = "loginuid",
	  .mode = S_IFREG | 0644,
	  .text = "4294967295",
	  .store = proc_store_loginuid },
	FILE_SPACE("maps", 0444, proc_show_maps),
	FILE_OPEN("mem", 0600, proc_open_mem, true),
	FILE_SHOW("mountinfo", 0444, proc_show_mountinfo),
	FILE_SHOW("mounts", 0444, proc_show_mounts),
	{ .name = "mountstats",
	  .mode = S_IFREG | 0400,
	  .only = ONLY_GROUP,
	  .show = proc_show_mountstats },
	DIR("net", DIR_NET),
	{ .name = "ns", .mode = S_IFDIR | 0511, .dir = DIR_NS },
	FILE_SPACE("numa_maps", 0444, proc_show_numa_maps),
	FILE_STORE("oom_adj", 0644, proc_show_oom_adj, proc_store_oom_adj),
	FILE_SHOW("oom_score", 0444, proc_show_oom_score),
	FILE_STORE("oom_score_adj", 0644, proc_show_oom_score_adj, proc_store_oom_score_adj),
	FILE_OPEN("pagemap", 0400, proc_open_pagemap, false),
	FILE_ATTACH("personality", 0400, proc_show_personality),
	FILE_ID_MAP("projid_map"),
	LINK_MAGIC("root", proc_follow_root),
	FILE_STORE("sched", 0644, proc_show_sched, proc_store_nothing),
	FILE_SHOW("schedstat", 0444, proc_show_schedstat),
	FILE_TEXT("sessionid", "4294967295"),
	{ .name = "setgroups",
	  .mode = S_IFREG | 0644,
	  .text = "allow\n",
	  .store = proc_store_setgroups },
	FILE_SPACE("smaps", 0444, proc_show_smaps),
	FILE_SPACE("smaps_rollup", 0444, proc_show_smaps_rollup),
	FILE_ATTACH("stack", 0400, proc_show_nothing),
	FILE_SHOW("stat", 0444, proc_show_stat),
	FILE_SHOW("statm", 0444, proc_show_statm),
	FILE_SHOW("status", 0444, proc_show_status),
	FILE_ATTACH("syscall", 0400, proc_show_syscall),
	{ .name = "task", .mode = S_IFDIR | 0555, .dir = DIR_TASK, .only = ONLY_GROUP },
	{ .name = "timens_offsets",
	  .mode = S_IFREG | 0644,
	  .only = ONLY_GROUP,
	  .text = "monotonic           0         0\nboottime            0         0\n",
	  .store = proc_store_id_map },
	{ .name = "timers", .mode = S_IFREG | 0444, .only = ONLY_GROUP, .show = proc_show_timers },
	{ .name = "timerslack_ns",
	  .mode = S_IFREG | 0666,
	  .only = ONLY_GROUP,
	  .show = proc_show_timerslack,
	  .store = proc_store_timerslack },
	FILE_ID_MAP("uid_map"),
	FILE_TEXT("wchan", "0"),
};

static const struct proc_row attr_rows[] = {
	FILE_LABEL("current", 0666),   FILE_LABEL("exec", 0666), FILE_LABEL("fscreate", 0666),
	FILE_LABEL("keycreate", 0666), FILE_LABEL("prev", 0444), FILE_LABEL("sockcreate", 0666),
};

static const struct proc_row ns_rows[] = {
	LINK_MAGIC("cgroup", proc_follow_ns), LINK_MAGIC("ipc", proc_follow_ns),
	LINK_MAGIC("mnt", proc_follow_ns),    LINK_MAGIC("net", proc_follow_ns),
	LINK_MAGIC("pid", proc_follow_ns),    LINK_MAGIC("pid_for_children", proc_follow_ns),
	LINK_MAGIC("time", proc_follow_ns),   LINK_MAGIC("time_for_children", proc_follow_ns),
	LINK_MAGIC("user", proc_follow_ns),   LINK_MAGIC("uts", proc_follow_ns),
};

static const struct proc_row sysvipc_rows[] = {
	FILE_TEXT("msg", "       key      msqid perms      cbytes       qnum lspid lrpid   uid   "
			 "gid  cuid  cgid      stime      rtime      ctime\n"),
	FILE_TEXT("sem", "       key      semid perms      nsems   uid   gid  cuid  cgid      otime"
			 "      ctime\n"),
	FILE_TEXT("shm",
		  "       key      shmid perms                  size  cpid  lpid nattch   uid"
		  "   gid  cuid  cgid      atime      dtime      ctime                   "
		  "rss                  swap\n"),
};

static const struct proc_row tty_rows[] = {
	FILE_TEXT("drivers", "/dev/tty             /dev/tty        5       0 system:/dev/tty\n"
			     "/dev/ptmx            /dev/ptmx       5       2 system\n"
			     "pty_slave            /dev/pts      136 0-1048575 pty:slave\n"
			     "pty_master           /dev/ptm      128 0-1048575 pty:master\n"),
	FILE_TEXT("ldiscs", "n_tty       0\n"),
};

const struct proc_dir proc_dirs[DIR_SYS] = {
	[DIR_NONE] = PROC_DIR(special_rows),	[DIR_ROOT] = PROC_DIR(root_rows),
	[DIR_PROCESS] = PROC_DIR(process_rows), [DIR_ATTR] = PROC_DIR(attr_rows),
	[DIR_TTY] = PROC_DIR(tty_rows),		[DIR_NS] = PROC_DIR(ns_rows),
	[DIR_SYSVIPC] = PROC_DIR(sysvipc_rows), [DIR_NET] = PROC_DIR(proc_net_rows),
};
