/*
 * /proc/sys: the kernel's settings.
 *
 * What can be written and means something is passed on where it is used (the host's name); the rest
 * is checked and kept, so that who sets it finds it again. A setting that was never written takes
 * no memory: its row has the first value.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arena/slab.h"
#include "base/strbuf.h"
#include "cred/user.h"
#include "host/host.h"
#include "kernel/task.h"
#include "procfs/internal.h"

#define VALUE_SIZE 128
#define NUMBERS_MAX 8
#define PID_LIMIT 32768

/* What a setting was set to. */
struct sysctl_value {
	struct list link; /* [lc_cred] in the kernel's sysctls */
	u32 row; /* [I] */
	char text[VALUE_SIZE]; /* [lc_cred] with its newline */
};

SLAB_CLASS(sysctl_value, struct sysctl_value);

static proc_show_fn show_value, show_hostname, show_domainname, show_pid_max, show_threads_max,
	show_uuid, show_boot_id, show_file_nr, show_inode_nr, show_last_pid, show_pty_nr,
	show_inotify;
static proc_store_fn store_value, store_hostname, store_domainname, store_trigger, store_inotify;

/* Numbers within [min, max]. */
#define INT(name_, text_, min_, max_) \
	{ \
		.name = name_, .mode = S_IFREG | 0644, .text = text_ "\n", .show = show_value, \
		.store = store_value, .min = min_, .max = max_ \
	}
/* Numbers of 64 bits without a sign. */
#define ULONG(name_, text_) INT(name_, text_, 0, -1)
#define BOOL(name_, text_) INT(name_, text_, 0, 1)
#define STRING(name_, text_) INT(name_, text_, 0, 0)
#define FIXED(name_, text_) FILE_TEXT(name_, text_ "\n")
#define COUNT_MAX INT32_MAX
/* A limit of inotify, told by its name; the most that may be set bounds the kernel's memory. */
#define INOTIFY(name_, max_) \
	{ \
		.name = name_, .mode = S_IFREG | 0644, .show = show_inotify, \
		.store = store_inotify, .max = max_ \
	}
#define INSTANCES_MOST 65536
#define WATCHES_MOST 1048576

static const struct proc_row sys_rows[] = {
	DIR("fs", DIR_SYS_FS),	   DIR("kernel", DIR_SYS_KERNEL), DIR("net", DIR_SYS_NET),
	DIR("user", DIR_SYS_USER), DIR("vm", DIR_SYS_VM),
};

static const struct proc_row fs_rows[] = {
	ULONG("aio-max-nr", "65536"),
	FIXED("aio-nr", "0"),
	FIXED("dentry-state", "0\t0\t45\t0\t0\t0"),
	BOOL("dir-notify-enable", "1"),
	DIR("epoll", DIR_SYS_FS_EPOLL),
	ULONG("file-max", "9223372036854775807"),
	FILE_SHOW("file-nr", 0444, show_file_nr),
	FILE_SHOW("inode-nr", 0444, show_inode_nr),
	DIR("inotify", DIR_SYS_FS_INOTIFY),
	INT("lease-break-time", "45", 0, COUNT_MAX),
	BOOL("leases-enable", "1"),
	INT("mount-max", "100000", 1, COUNT_MAX),
	DIR("mqueue", DIR_SYS_FS_MQUEUE),
	INT("nr_open", "1048576", 64, 2147483584),
	INT("overflowgid", "65534", 0, 65535),
	INT("overflowuid", "65534", 0, 65535),
	INT("pipe-max-size", "1048576", 4096, COUNT_MAX),
	INT("pipe-user-pages-hard", "0", 0, COUNT_MAX),
	INT("pipe-user-pages-soft", "16384", 0, COUNT_MAX),
	INT("protected_fifos", "0", 0, 2),
	BOOL("protected_hardlinks", "0"),
	INT("protected_regular", "0", 0, 2),
	BOOL("protected_symlinks", "0"),
	INT("suid_dumpable", "0", 0, 2),
};

static const struct proc_row epoll_rows[] = { ULONG("max_user_watches", "1048576") };

static const struct proc_row inotify_rows[] = {
	INOTIFY("max_queued_events", COUNT_MAX),
	INOTIFY("max_user_instances", INSTANCES_MOST),
	INOTIFY("max_user_watches", WATCHES_MOST),
};

static const struct proc_row mqueue_rows[] = {
	INT("msg_default", "10", 1, 65536),
	INT("msg_max", "10", 1, 65536),
	INT("msgsize_default", "8192", 128, 16777216),
	INT("msgsize_max", "8192", 128, 16777216),
	INT("queues_max", "256", 0, COUNT_MAX),
};

static const struct proc_row kernel_rows[] = {
	INT("acct", "4\t2\t30", -COUNT_MAX, COUNT_MAX),
	FIXED("arch", "x86_64"),
	FIXED("cap_last_cap", "40"),
	STRING("core_pattern", "core"),
	INT("core_pipe_limit", "0", 0, COUNT_MAX),
	BOOL("core_uses_pid", "0"),
	BOOL("dmesg_restrict", "1"),
	FILE_STORE("domainname", 0644, show_domainname, store_domainname),
	FILE_STORE("hostname", 0644, show_hostname, store_hostname),
	INT("io_uring_disabled", "2", 0, 2),
	DIR("keys", DIR_SYS_KEYS),
	INT("kptr_restrict", "1", 0, 2),
	INT("msgmax", "8192", 0, COUNT_MAX),
	INT("msgmnb", "16384", 0, COUNT_MAX),
	INT("msgmni", "32000", 0, 32768),
	FIXED("ngroups_max", "65536"),
	FILE_SHOW("ns_last_pid", 0444, show_last_pid),
	BOOL("numa_balancing", "0"),
	FIXED("osrelease", KERNEL_RELEASE),
	FIXED("ostype", "Linux"),
	INT("overflowgid", "65534", 0, 65535),
	INT("overflowuid", "65534", 0, 65535),
	INT("panic", "0", -COUNT_MAX, COUNT_MAX),
	BOOL("panic_on_oops", "0"),
	INT("perf_event_max_sample_rate", "100000", 1, COUNT_MAX),
	INT("perf_event_mlock_kb", "516", 0, COUNT_MAX),
	INT("perf_event_paranoid", "4", -1, 4),
	FILE_SHOW("pid_max", 0444, show_pid_max),
	INT("printk", "4\t4\t1\t7", 0, COUNT_MAX),
	STRING("printk_devkmsg", "ratelimit"),
	DIR("pty", DIR_SYS_PTY),
	DIR("random", DIR_SYS_RANDOM),
	INT("randomize_va_space", "2", 0, 2),
	BOOL("sched_autogroup_enabled", "0"),
	INT("sched_cfs_bandwidth_slice_us", "5000", 1, COUNT_MAX),
	BOOL("sched_child_runs_first", "0"),
	INT("sched_deadline_period_max_us", "4194304", 0, COUNT_MAX),
	INT("sched_deadline_period_min_us", "100", 0, COUNT_MAX),
	INT("sched_rr_timeslice_ms", "100", -COUNT_MAX, COUNT_MAX),
	INT("sched_rt_period_us", "1000000", 1, COUNT_MAX),
	INT("sched_rt_runtime_us", "950000", -1, COUNT_MAX),
	BOOL("sched_schedstats", "0"),
	DIR("seccomp", DIR_SYS_SECCOMP),
	INT("sem", "32000\t1024000000\t500\t32000", 0, COUNT_MAX),
	BOOL("shm_rmid_forced", "0"),
	ULONG("shmall", "18446744073692774399"),
	ULONG("shmmax", "18446744073692774399"),
	INT("shmmni", "4096", 0, 32768),
	INT("sysctl_writes_strict", "1", -1, 1),
	FIXED("tainted", "0"),
	FILE_SHOW("threads-max", 0444, show_threads_max),
	BOOL("timer_migration", "1"),
	INT("unprivileged_bpf_disabled", "2", 0, 2),
	FIXED("version", KERNEL_VERSION),
	DIR("yama", DIR_SYS_YAMA),
};

static const struct proc_row keys_rows[] = {
	INT("gc_delay", "300", 0, COUNT_MAX),
	INT("maxbytes", "20000", 0, COUNT_MAX),
	INT("maxkeys", "200", 0, COUNT_MAX),
	INT("root_maxbytes", "25000000", 0, COUNT_MAX),
	INT("root_maxkeys", "1000000", 0, COUNT_MAX),
};

static const struct proc_row pty_rows[] = {
	INT("max", "4096", 0, 1048576),
	FILE_SHOW("nr", 0444, show_pty_nr),
	INT("reserve", "1024", 0, 1048576),
};

static const struct proc_row random_rows[] = {
	FILE_SHOW("boot_id", 0444, show_boot_id),
	FIXED("entropy_avail", "256"),
	FIXED("poolsize", "256"),
	INT("urandom_min_reseed_secs", "60", 0, COUNT_MAX),
	FILE_SHOW("uuid", 0444, show_uuid),
	INT("write_wakeup_threshold", "256", 0, COUNT_MAX),
};

static const struct proc_row seccomp_rows[] = {
	FIXED("actions_avail", "kill_process kill_thread trap errno user_notif trace log allow"),
	STRING("actions_logged", "kill_process kill_thread trap errno user_notif trace log"),
};

static const struct proc_row yama_rows[] = { INT("ptrace_scope", "0", 0, 3) };

static const struct proc_row net_rows[] = {
	DIR("core", DIR_SYS_NET_CORE),
	DIR("ipv4", DIR_SYS_NET_IPV4),
	DIR("ipv6", DIR_SYS_NET_IPV6),
	DIR("unix", DIR_SYS_NET_UNIX),
};

static const struct proc_row net_core_rows[] = {
	STRING("default_qdisc", "pfifo_fast"),
	INT("netdev_max_backlog", "1000", 0, COUNT_MAX),
	INT("optmem_max", "20480", 0, COUNT_MAX),
	INT("rmem_default", "212992", 256, COUNT_MAX),
	INT("rmem_max", "212992", 256, COUNT_MAX),
	INT("somaxconn", "4096", 0, COUNT_MAX),
	INT("wmem_default", "212992", 4608, COUNT_MAX),
	INT("wmem_max", "212992", 4608, COUNT_MAX),
};

static const struct proc_row net_ipv4_rows[] = {
	BOOL("icmp_echo_ignore_all", "0"),
	INT("ip_default_ttl", "64", 1, 255),
	INT("ip_forward", "0", 0, COUNT_MAX),
	INT("ip_local_port_range", "32768\t60999", 1, 65535),
	STRING("ip_local_reserved_ports", ""),
	BOOL("ip_nonlocal_bind", "0"),
	INT("ip_unprivileged_port_start", "1024", 0, 65535),
	INT("ping_group_range", "1\t0", 0, COUNT_MAX),
	FIXED("tcp_allowed_congestion_control", "reno cubic"),
	FIXED("tcp_available_congestion_control", "reno cubic"),
	STRING("tcp_congestion_control", "cubic"),
	INT("tcp_ecn", "2", 0, 2),
	INT("tcp_fastopen", "1", 0, COUNT_MAX),
	INT("tcp_fin_timeout", "60", 0, COUNT_MAX),
	INT("tcp_keepalive_intvl", "75", 0, COUNT_MAX),
	INT("tcp_keepalive_probes", "9", 0, 255),
	INT("tcp_keepalive_time", "7200", 0, COUNT_MAX),
	INT("tcp_max_orphans", "131072", 0, COUNT_MAX),
	INT("tcp_max_syn_backlog", "2048", 0, COUNT_MAX),
	INT("tcp_max_tw_buckets", "131072", 0, COUNT_MAX),
	INT("tcp_mem", "287898\t383867\t575796", 0, COUNT_MAX),
	BOOL("tcp_moderate_rcvbuf", "1"),
	INT("tcp_retries1", "3", 0, 255),
	INT("tcp_retries2", "15", 0, 255),
	INT("tcp_rmem", "4096\t131072\t6291456", 1, COUNT_MAX),
	INT("tcp_sack", "1", 0, 255),
	INT("tcp_syn_retries", "6", 1, 127),
	INT("tcp_synack_retries", "5", 0, 255),
	INT("tcp_syncookies", "1", 0, 2),
	INT("tcp_timestamps", "1", 0, 2),
	INT("tcp_tw_reuse", "2", 0, 2),
	BOOL("tcp_window_scaling", "1"),
	INT("tcp_wmem", "4096\t16384\t4194304", 1, COUNT_MAX),
	INT("udp_mem", "575799\t767734\t1151598", 0, COUNT_MAX),
	INT("udp_rmem_min", "4096", 1, COUNT_MAX),
	INT("udp_wmem_min", "4096", 1, COUNT_MAX),
};

static const struct proc_row net_ipv6_rows[] = {
	BOOL("bindv6only", "0"),
	BOOL("ip_nonlocal_bind", "0"),
};

static const struct proc_row net_unix_rows[] = { INT("max_dgram_qlen", "10", 0, COUNT_MAX) };

static const struct proc_row user_rows[] = {
	INT("max_cgroup_namespaces", "63182", 0, COUNT_MAX),
	INOTIFY("max_inotify_instances", INSTANCES_MOST),
	INOTIFY("max_inotify_watches", WATCHES_MOST),
	INT("max_ipc_namespaces", "63182", 0, COUNT_MAX),
	INT("max_mnt_namespaces", "63182", 0, COUNT_MAX),
	INT("max_net_namespaces", "63182", 0, COUNT_MAX),
	INT("max_pid_namespaces", "63182", 0, COUNT_MAX),
	INT("max_time_namespaces", "63182", 0, COUNT_MAX),
	INT("max_user_namespaces", "63182", 0, COUNT_MAX),
	INT("max_uts_namespaces", "63182", 0, COUNT_MAX),
};

static const struct proc_row vm_rows[] = {
	ULONG("admin_reserve_kbytes", "8192"),
	INT("compaction_proactiveness", "20", 0, 100),
	ULONG("dirty_background_bytes", "0"),
	INT("dirty_background_ratio", "10", 0, 100),
	ULONG("dirty_bytes", "0"),
	INT("dirty_expire_centisecs", "3000", 0, COUNT_MAX),
	INT("dirty_ratio", "20", 0, 100),
	INT("dirty_writeback_centisecs", "500", 0, COUNT_MAX),
	{ .name = "drop_caches",
	  .mode = S_IFREG | 0200,
	  .text = "",
	  .store = store_trigger,
	  .min = 1,
	  .max = 4 },
	INT("hugetlb_shm_group", "0", 0, COUNT_MAX),
	BOOL("laptop_mode", "0"),
	BOOL("legacy_va_layout", "0"),
	INT("max_map_count", "65530", 0, COUNT_MAX),
	INT("min_free_kbytes", "67584", 0, COUNT_MAX),
	ULONG("mmap_min_addr", "65536"),
	INT("mmap_rnd_bits", "28", 28, 32),
	ULONG("nr_hugepages", "0"),
	ULONG("nr_overcommit_hugepages", "0"),
	INT("oom_dump_tasks", "1", 0, COUNT_MAX),
	INT("oom_kill_allocating_task", "0", 0, COUNT_MAX),
	ULONG("overcommit_kbytes", "0"),
	INT("overcommit_memory", "0", 0, 2),
	INT("overcommit_ratio", "50", 0, COUNT_MAX),
	INT("page-cluster", "3", 0, 31),
	INT("panic_on_oom", "0", 0, 2),
	INT("stat_interval", "1", 0, COUNT_MAX),
	INT("swappiness", "60", 0, 200),
	BOOL("unprivileged_userfaultfd", "0"),
	ULONG("user_reserve_kbytes", "131072"),
	INT("vfs_cache_pressure", "100", 0, COUNT_MAX),
	INT("watermark_scale_factor", "10", 1, 3000),
	INT("zone_reclaim_mode", "0", 0, COUNT_MAX),
};

#define AT(kind) [(kind)-DIR_SYS]

const struct proc_dir proc_sys_dirs[DIR_SYSFS - DIR_SYS] = {
	AT(DIR_SYS) = PROC_DIR(sys_rows),
	AT(DIR_SYS_FS) = PROC_DIR(fs_rows),
	AT(DIR_SYS_FS_EPOLL) = PROC_DIR(epoll_rows),
	AT(DIR_SYS_FS_INOTIFY) = PROC_DIR(inotify_rows),
	AT(DIR_SYS_FS_MQUEUE) = PROC_DIR(mqueue_rows),
	AT(DIR_SYS_KERNEL) = PROC_DIR(kernel_rows),
	AT(DIR_SYS_KEYS) = PROC_DIR(keys_rows),
	AT(DIR_SYS_PTY) = PROC_DIR(pty_rows),
	AT(DIR_SYS_RANDOM) = PROC_DIR(random_rows),
	AT(DIR_SYS_SECCOMP) = PROC_DIR(seccomp_rows),
	AT(DIR_SYS_YAMA) = PROC_DIR(yama_rows),
	AT(DIR_SYS_NET) = PROC_DIR(net_rows),
	AT(DIR_SYS_NET_CORE) = PROC_DIR(net_core_rows),
	AT(DIR_SYS_NET_IPV4) = PROC_DIR(net_ipv4_rows),
	AT(DIR_SYS_NET_IPV6) = PROC_DIR(net_ipv6_rows),
	AT(DIR_SYS_NET_UNIX) = PROC_DIR(net_unix_rows),
	AT(DIR_SYS_USER) = PROC_DIR(user_rows),
	AT(DIR_SYS_VM) = PROC_DIR(vm_rows),
};

/* ---- kept values ---- */

static struct sysctl_value *find_value(u32 row) REQUIRES(lc_cred)
{
	struct sysctl_value *v;

	list_for_each(v, &kernel_get()->sysctls.values, link)
		if (v->row == row)
			return v;
	return NULL;
}

static int show_value(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct sysctls *all = &kernel_get()->sysctls;
	char text[VALUE_SIZE] = "";
	struct sysctl_value *v;

	spin_lock(&all->lock, &lc_cred);
	v = find_value(ctx->row_nr);
	if (v)
		memcpy(text, v->text, sizeof(text));
	spin_unlock(&all->lock, &lc_cred);
	strbuf_puts(out, v ? text : ctx->row->text);
	return 0;
}

static int keep_value(u32 row, const char *text)
{
	struct sysctls *all = &kernel_get()->sysctls;
	struct sysctl_value *new = slab_alloc(&slab_sysctl_value), *v;

	if (!new)
		return -ENOMEM;
	new->row = row;
	spin_lock(&all->lock, &lc_cred);
	v = find_value(row);
	if (!v) {
		v = new;
		list_add(&all->values, &v->link);
		new = NULL;
	}
	memset(v->text, 0, sizeof(v->text));
	memcpy(v->text, text, strnlen(text, sizeof(v->text) - 1));
	spin_unlock(&all->lock, &lc_cred);
	slab_free(&slab_sysctl_value, new);
	return 0;
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* One number of a setting, in its row's range. */
static int parse_one(const struct proc_row *row, const char **at, struct strbuf *out)
{
	bool is_unsigned = row->max == -1, negative;
	u64 magnitude;
	s64 value;

	if (!proc_scan_number(at, 0, &negative, &magnitude) || (**at && !is_space(**at)))
		return -EINVAL;
	if (is_unsigned) {
		if (negative)
			return -EINVAL;
		strbuf_printf(out, "%lu", magnitude);
		return 0;
	}
	value = negative ? -(s64)magnitude : (s64)magnitude;
	if (magnitude > INT64_MAX || value < row->min || value > row->max)
		return -EINVAL;
	strbuf_printf(out, "%ld", value);
	return 0;
}

/* How many numbers text has, at most NUMBERS_MAX, and where the one after the first skip begins. */
static u32 count_numbers(const char *text, u32 skip, const char **ret_rest)
{
	u32 count = 0;

	while (count < NUMBERS_MAX) {
		while (is_space(*text))
			text++;
		if (count == skip)
			*ret_rest = text;
		if (!*text)
			break;
		count++;
		while (*text && !is_space(*text))
			text++;
	}
	return count;
}

/* Numbers that are written replace the first ones; the others stay. */
static int parse_numbers(const struct proc_row *row, const char *data, const char *old,
			 struct strbuf *out)
{
	const char *at = data, *rest = "";
	u32 want = count_numbers(old, NUMBERS_MAX, &rest), got = 0;

	for (;;) {
		int err;

		while (is_space(*at))
			at++;
		if (!*at)
			break;
		if (got == want)
			return -EINVAL;
		if (got++)
			strbuf_putc(out, '\t');
		err = parse_one(row, &at, out);
		if (err)
			return err;
	}
	count_numbers(old, got, &rest);
	if (got < want) {
		if (got)
			strbuf_putc(out, '\t');
		strbuf_puts(out, rest);
	} else {
		strbuf_putc(out, '\n');
	}
	return strbuf_error(out) ? -EINVAL : 0;
}

/* What a setting of numbers shows once data was written. */
static int parse_setting(struct subject *s, struct proc_ctx *ctx, const char *data,
			 char new[VALUE_SIZE])
{
	struct strbuf before, out;
	char old[VALUE_SIZE];
	int err;

	strbuf_init_fixed(&before, old, sizeof(old));
	strbuf_init_fixed(&out, new, VALUE_SIZE);
	err = ctx->row->show(s, ctx, &before);
	return err ? err : parse_numbers(ctx->row, data, old, &out);
}

static int store_value(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	char new[VALUE_SIZE];
	struct strbuf out;
	int err;

	if (!ctx->row->min && !ctx->row->max) {
		strbuf_init_fixed(&out, new, sizeof(new));
		strbuf_append(&out, data, min(strcspn(data, "\n"), (size_t)VALUE_SIZE - 2));
		strbuf_putc(&out, '\n');
		return keep_value(ctx->row_nr, new);
	}
	err = parse_setting(s, ctx, data, new);
	return err ? err : keep_value(ctx->row_nr, new);
}

/* Something that is done when it is written, and needs not be done here. */
static int store_trigger(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	s64 value;

	if (proc_parse_number(data, 0, &value) || value < ctx->row->min || value > ctx->row->max)
		return -EINVAL;
	return 0;
}

/* ---- those that are elsewhere ---- */

static _Atomic u32 *inotify_limit(const char *name)
{
	struct user_table *users = kernel_get()->users;

	if (strstr(name, "instances"))
		return &users->inotify_max_instances;
	return strstr(name, "watches") ? &users->inotify_max_watches : &users->inotify_max_events;
}

static int show_inotify(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%u\n", *inotify_limit(ctx->row->name));
	return 0;
}

static int store_inotify(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	char new[VALUE_SIZE];
	int err = parse_setting(s, ctx, data, new);

	if (!err)
		*inotify_limit(ctx->row->name) = (u32)strtoul(new, NULL, 10);
	return err;
}

static struct uts_ns *uts_of(const struct proc_ctx *ctx)
{
	return ctx->caller ? ctx->caller->uts_ns : kernel_get()->uts_ns;
}

static int show_uts(struct proc_ctx *ctx, bool domain, struct strbuf *out)
{
	struct uts_ns *ns = uts_of(ctx);
	char name[sizeof(ns->nodename)];

	spin_lock(&ns->lock, &lc_cred);
	memcpy(name, domain ? ns->domainname : ns->nodename, sizeof(name));
	spin_unlock(&ns->lock, &lc_cred);
	strbuf_printf(out, "%.*s\n", (int)sizeof(name), name);
	return 0;
}

static int store_uts(struct proc_ctx *ctx, bool domain, const char *data)
{
	struct uts_ns *ns = uts_of(ctx);
	size_t len = min(strcspn(data, "\n"), sizeof(ns->nodename) - 1);
	char *field = domain ? ns->domainname : ns->nodename;

	spin_lock(&ns->lock, &lc_cred);
	memset(field, 0, sizeof(ns->nodename));
	memcpy(field, data, len);
	spin_unlock(&ns->lock, &lc_cred);
	return 0;
}

static int show_hostname(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return show_uts(ctx, false, out);
}

static int show_domainname(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return show_uts(ctx, true, out);
}

static int store_hostname(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	return store_uts(ctx, false, data);
}

static int store_domainname(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	return store_uts(ctx, true, data);
}

static int show_pid_max(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%d\n", PID_LIMIT);
	return 0;
}

static int show_threads_max(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%u\n", kernel_get()->task_limit);
	return 0;
}

static int show_last_pid(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct pid_ns *ns = ctx->caller ? task_pid_ns(ctx->caller) : kernel_get()->pid_ns;
	u32 next;

	spin_lock(&ns->lock, &lc_pidns);
	next = ns->next;
	spin_unlock(&ns->lock, &lc_pidns);
	strbuf_printf(out, "%u\n", next ? next - 1 : 0);
	return 0;
}

struct class_count {
	const char *name;
	u64 count;
};

static void add_class(const char *name, u64 count, void *arg)
{
	struct class_count *c = arg;

	if (strcmp(name, c->name) == 0)
		c->count += count;
}

/* How many objects of a slab class there are. */
static u64 count_class(const char *name)
{
	struct class_count c = { .name = name };

	slab_for_each_class(add_class, &c)
		;
	return c.count;
}

static int show_file_nr(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%lu\t0\t9223372036854775807\n", count_class("file"));
	return 0;
}

static int show_inode_nr(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%lu\t0\n", count_class("inode"));
	return 0;
}

static int show_pty_nr(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%u\n", atomic_load(&kernel_get()->pty_count));
	return 0;
}

/* ---- random ---- */

static void put_uuid(struct strbuf *out, u8 b[16])
{
	b[6] = (u8)((b[6] & 0x0f) | 0x40);
	b[8] = (u8)((b[8] & 0x3f) | 0x80);
	for (int i = 0; i < 16; i++)
		strbuf_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			      b[i]);
	strbuf_putc(out, '\n');
}

static int show_uuid(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	u8 b[16];

	host_random(b, sizeof(b));
	put_uuid(out, b);
	return 0;
}

/* The same as long as the sandbox lives. */
static int show_boot_id(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	u64 words[2] = { hash_u64((u64)kernel_get()->boot_time),
			 hash_u64((u64)(uintptr_t)kernel_get()) };
	u8 b[16];

	memcpy(b, words, sizeof(b));
	put_uuid(out, b);
	return 0;
}
