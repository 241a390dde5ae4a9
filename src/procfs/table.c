/* What is where in /proc. The order is that of readdir. */

#include "procfs/internal.h"

#define DIR(name_, in_, kind) \
	{ \
		.name = name_, .in = in_, .mode = S_IFDIR | 0555, .dir = kind \
	}
#define FILE_SHOW(name_, in_, mode_, fn) \
	{ \
		.name = name_, .in = in_, .mode = S_IFREG | (mode_), .show = fn \
	}
#define FILE_GUARDED(name_, in_, mode_, fn) \
	{ \
		.name = name_, .in = in_, .mode = S_IFREG | (mode_), .show = fn, .guarded = true \
	}
#define FILE_STORE(name_, in_, fn, put) \
	{ \
		.name = name_, .in = in_, .mode = S_IFREG | 0644, .show = fn, .store = put \
	}
#define FILE_TEXT(name_, in_, text_) \
	{ \
		.name = name_, .in = in_, .mode = S_IFREG | 0444, .text = text_ \
	}
#define LINK(name_, in_, fn) \
	{ \
		.name = name_, .in = in_, .mode = S_IFLNK | 0777, .show = fn \
	}
#define LINK_TEXT(name_, in_, text_) \
	{ \
		.name = name_, .in = in_, .mode = S_IFLNK | 0777, .text = text_ \
	}
#define LINK_MAGIC(name_, in_, fn) \
	{ \
		.name = name_, .in = in_, .mode = S_IFLNK | 0777, .follow = fn, .guarded = true \
	}

/* As uname(2) says it. */
#define KERNEL_RELEASE "6.6.0"
#define KERNEL_VERSION "#1 SMP PREEMPT Donjon"

const struct proc_row proc_row_root = { .name = "", .mode = S_IFDIR | 0555, .dir = DIR_ROOT };
const struct proc_row proc_row_tgid = { .name = "", .mode = S_IFDIR | 0555, .dir = DIR_TGID };
const struct proc_row proc_row_tid = { .name = "", .mode = S_IFDIR | 0555, .dir = DIR_TID };
const struct proc_row proc_row_fd = { .name = "",
				      .mode = S_IFLNK | 0700,
				      .follow = proc_follow_fd,
				      .guarded = true };
const struct proc_row proc_row_fdinfo = { .name = "",
					  .mode = S_IFREG | 0444,
					  .show = proc_show_fdinfo,
					  .guarded = true };

const struct proc_row proc_rows[] = {
	/* /proc */
	LINK("self", DIR_ROOT, proc_show_self),
	LINK("thread-self", DIR_ROOT, proc_show_thread_self),
	FILE_TEXT("cmdline", DIR_ROOT, "\n"),
	FILE_SHOW("cpuinfo", DIR_ROOT, 0444, proc_show_cpuinfo),
	FILE_TEXT("filesystems", DIR_ROOT,
		  "nodev\ttmpfs\nnodev\tdevtmpfs\nnodev\tproc\n\thostfs\n"),
	FILE_SHOW("loadavg", DIR_ROOT, 0444, proc_show_loadavg),
	FILE_SHOW("meminfo", DIR_ROOT, 0444, proc_show_meminfo),
	LINK_TEXT("mounts", DIR_ROOT, "self/mounts"),
	FILE_SHOW("stat", DIR_ROOT, 0444, proc_show_system_stat),
	DIR("sys", DIR_ROOT, DIR_SYS),
	FILE_SHOW("uptime", DIR_ROOT, 0444, proc_show_uptime),
	FILE_TEXT("version", DIR_ROOT,
		  "Linux version " KERNEL_RELEASE " (donjon@localhost) (gcc) " KERNEL_VERSION "\n"),

	/* /proc/PID */
	FILE_GUARDED("auxv", DIR_PROCESS, 0400, proc_show_auxv),
	FILE_TEXT("cgroup", DIR_PROCESS, "0::/\n"),
	FILE_SHOW("cmdline", DIR_PROCESS, 0444, proc_show_cmdline),
	FILE_STORE("comm", DIR_PROCESS, proc_show_comm, proc_store_comm),
	LINK_MAGIC("cwd", DIR_PROCESS, proc_follow_cwd),
	FILE_GUARDED("environ", DIR_PROCESS, 0400, proc_show_environ),
	LINK_MAGIC("exe", DIR_PROCESS, proc_follow_exe),
	{ .name = "fd", .in = DIR_PROCESS, .mode = S_IFDIR | 0500, .dir = DIR_FD, .guarded = true },
	{ .name = "fdinfo",
	  .in = DIR_PROCESS,
	  .mode = S_IFDIR | 0555,
	  .dir = DIR_FDINFO,
	  .guarded = true },
	FILE_SHOW("limits", DIR_PROCESS, 0444, proc_show_limits),
	FILE_GUARDED("maps", DIR_PROCESS, 0444, proc_show_maps),
	FILE_SHOW("mountinfo", DIR_PROCESS, 0444, proc_show_mountinfo),
	FILE_SHOW("mounts", DIR_PROCESS, 0444, proc_show_mounts),
	FILE_TEXT("oom_score", DIR_PROCESS, "0\n"),
	{ .name = "oom_score_adj",
	  .in = DIR_PROCESS,
	  .mode = S_IFREG | 0644,
	  .text = "0\n",
	  .store = proc_store_nothing },
	LINK_MAGIC("root", DIR_PROCESS, proc_follow_root),
	FILE_SHOW("stat", DIR_PROCESS, 0444, proc_show_stat),
	FILE_SHOW("statm", DIR_PROCESS, 0444, proc_show_statm),
	FILE_SHOW("status", DIR_PROCESS, 0444, proc_show_status),
	DIR("task", DIR_TGID, DIR_TASK),
	FILE_TEXT("wchan", DIR_PROCESS, "0"),

	/* /proc/sys */
	DIR("fs", DIR_SYS, DIR_SYS_FS),
	DIR("kernel", DIR_SYS, DIR_SYS_KERNEL),
	DIR("vm", DIR_SYS, DIR_SYS_VM),

	FILE_TEXT("file-max", DIR_SYS_FS, "9223372036854775807\n"),
	FILE_TEXT("nr_open", DIR_SYS_FS, "1048576\n"),
	FILE_TEXT("pipe-max-size", DIR_SYS_FS, "1048576\n"),
	FILE_TEXT("protected_hardlinks", DIR_SYS_FS, "0\n"),
	FILE_TEXT("protected_symlinks", DIR_SYS_FS, "0\n"),

	FILE_TEXT("cap_last_cap", DIR_SYS_KERNEL, "40\n"),
	FILE_TEXT("core_pattern", DIR_SYS_KERNEL, "core\n"),
	FILE_SHOW("domainname", DIR_SYS_KERNEL, 0444, proc_show_domainname),
	FILE_SHOW("hostname", DIR_SYS_KERNEL, 0444, proc_show_hostname),
	FILE_TEXT("ngroups_max", DIR_SYS_KERNEL, "65536\n"),
	FILE_TEXT("osrelease", DIR_SYS_KERNEL, KERNEL_RELEASE "\n"),
	FILE_TEXT("ostype", DIR_SYS_KERNEL, "Linux\n"),
	FILE_TEXT("overflowgid", DIR_SYS_KERNEL, "65534\n"),
	FILE_TEXT("overflowuid", DIR_SYS_KERNEL, "65534\n"),
	FILE_SHOW("pid_max", DIR_SYS_KERNEL, 0444, proc_show_pid_max),
	DIR("random", DIR_SYS_KERNEL, DIR_SYS_RANDOM),
	FILE_TEXT("randomize_va_space", DIR_SYS_KERNEL, "2\n"),
	FILE_TEXT("tainted", DIR_SYS_KERNEL, "0\n"),
	FILE_SHOW("threads-max", DIR_SYS_KERNEL, 0444, proc_show_threads_max),
	FILE_TEXT("version", DIR_SYS_KERNEL, KERNEL_VERSION "\n"),

	FILE_SHOW("boot_id", DIR_SYS_RANDOM, 0444, proc_show_boot_id),
	FILE_TEXT("entropy_avail", DIR_SYS_RANDOM, "256\n"),
	FILE_TEXT("poolsize", DIR_SYS_RANDOM, "256\n"),
	FILE_SHOW("uuid", DIR_SYS_RANDOM, 0444, proc_show_uuid),

	FILE_TEXT("max_map_count", DIR_SYS_VM, "65530\n"),
	FILE_TEXT("mmap_min_addr", DIR_SYS_VM, "65536\n"),
	FILE_TEXT("overcommit_memory", DIR_SYS_VM, "0\n"),
	FILE_TEXT("overcommit_ratio", DIR_SYS_VM, "50\n"),
	FILE_TEXT("swappiness", DIR_SYS_VM, "60\n"),
};

const u32 proc_row_count = ARRAY_SIZE(proc_rows);
