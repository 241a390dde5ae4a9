/*
 * The text of files below /proc and /sys: every line must be of a form that readers of such files
 * expect. What the lines say differs from machine to machine; their forms do not.
 */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <regex.h>
#include <sys/stat.h>

static char text[4 << 20];

static ssize_t slurp(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t length = 0, n;
	if (fd < 0)
		return -1;
	while ((n = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += n;
	close(fd);
	text[length] = 0;
	return n < 0 ? -1 : length;
}

static bool matches(const char *pattern, const char *line)
{
	static char anchored[4096];
	regex_t compiled;
	snprintf(anchored, sizeof(anchored), "^(%s)$", pattern);
	need(regcomp(&compiled, anchored, REG_EXTENDED | REG_NOSUB) == 0);
	bool found = regexec(&compiled, line, 0, NULL, 0) == 0;
	regfree(&compiled);
	return found;
}

#define N "-?[0-9]+"
#define KB " +[0-9]+ kB"
#define MAP_LINE \
	"[0-9a-f]{8,16}-[0-9a-f]{8,16} [r-][w-][x-][ps] [0-9a-f]{8,} [0-9a-f]{2,}:[0-9a-f]{2,} " N \
	"( +.*| ?)"
#define UUID "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
#define LIST "([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)"

/* Each line matches the pattern; with `all`, the whole text does (its newlines as |). */
static const struct {
	const char *path, *pattern;
} lines[] = {
	{ "/proc/self/statm", N "( " N "){6}" },
	{ "/proc/self/maps", MAP_LINE },
	{ "/proc/self/io", "(rchar|wchar|syscr|syscw|read_bytes|write_bytes|"
			   "cancelled_write_bytes): [0-9]+" },
	{ "/proc/self/limits", "Limit +Soft Limit +Hard Limit +Units +|"
			       "Max [a-z ]+  +([0-9]+|unlimited) +([0-9]+|unlimited) +"
			       "(seconds|bytes|processes|files|locks|signals|us|) *" },
	{ "/proc/self/mounts", "[^ ]+ /[^ ]* [^ ]+ (rw|ro)[^ ]* 0 0" },
	{ "/proc/self/mountinfo", N " " N " [0-9]+:[0-9]+ [^ ]+ /[^ ]* (rw|ro)[^ ]* "
				    "([a-z_]+:[0-9]+ )*- [^ ]+ [^ ]+ (rw|ro)[^ ]*" },
	{ "/proc/self/mountstats", "device [^ ]+ mounted on [^ ]+ with fstype [^ ]+.*" },
	{ "/proc/self/cgroup", "[0-9]+:[^:]*:/.*" },
	{ "/proc/self/oom_score", "[0-9]+" },
	{ "/proc/self/oom_score_adj", N },
	{ "/proc/self/oom_adj", N },
	{ "/proc/self/uid_map", " *0 +0 +4294967295" },
	{ "/proc/self/gid_map", " *0 +0 +4294967295" },
	{ "/proc/self/setgroups", "allow" },
	{ "/proc/self/personality", "[0-9a-f]{8}" },
	{ "/proc/self/coredump_filter", "[0-9a-f]{8}" },
	{ "/proc/self/timerslack_ns", "[0-9]+" },
	{ "/proc/self/loginuid", "[0-9]+" },
	{ "/proc/self/sessionid", "[0-9]+" },
	{ "/proc/self/schedstat", "[0-9]+ [0-9]+ [0-9]+" },
	{ "/proc/self/autogroup", "/autogroup-[0-9]+ nice " N },
	{ "/proc/self/syscall", "0 0x[0-9a-f]+( 0x[0-9a-f]+){7}" },
	{ "/proc/self/numa_maps", "[0-9a-f]{8,} default( .*)?" },
	{ "/proc/self/arch_status", "AVX512_elapsed_ms:\t" N },
	{ "/proc/self/timens_offsets", "(monotonic|boottime) +" N " +" N },
	{ "/proc/self/comm", "procformat" },
	{ "/proc/loadavg", "[0-9]+\\.[0-9]{2} [0-9]+\\.[0-9]{2} [0-9]+\\.[0-9]{2} "
			   "[0-9]+/[0-9]+ [0-9]+" },
	{ "/proc/uptime", "[0-9]+\\.[0-9]{2} [0-9]+\\.[0-9]{2}" },
	{ "/proc/meminfo", "[A-Z][A-Za-z0-9_()]+:" KB "|HugePages_[A-Za-z]+: +[0-9]+" },
	{ "/proc/stat", "cpu[0-9]* ( ?[0-9]+){10}|(intr|softirq)( [0-9]+)+|"
			"(ctxt|btime|processes|procs_running|procs_blocked) [0-9]+" },
	{ "/proc/version", "Linux version [^ ]+ .*" },
	{ "/proc/filesystems", "(nodev)?\t[a-z0-9_]+" },
	{ "/proc/swaps", "Filename\t+Type\t+Size\t+Used\t+Priority|/.*" },
	{ "/proc/partitions", "major minor  #blocks  name||( *[0-9]+){3} .*" },
	{ "/proc/diskstats", "( *[0-9]+){2} [^ ]+( [0-9]+){11,}" },
	{ "/proc/cpuinfo", "|[a-zA-Z_ ]+\t*:.*" },
	{ "/proc/vmstat", "[a-z_0-9]+ " N },
	{ "/proc/buddyinfo", "Node [0-9]+, zone +[A-Za-z0-9]+( +[0-9]+)+ *" },
	{ "/proc/softirqs", " +(CPU[0-9]+ +)+| +[A-Z_]+:( +[0-9]+)+" },
	{ "/proc/devices", "|(Character|Block) devices:| *[0-9]+ [^ ]+" },
	{ "/proc/sysvipc/msg", " +key +msqid perms +cbytes.*|( *" N ")+" },
	{ "/proc/sysvipc/sem", " +key +semid perms +nsems.*|( *" N ")+" },
	{ "/proc/sysvipc/shm", " +key +shmid perms +size.*|( *" N ")+" },
	{ "/proc/sys/kernel/hostname", "[^ ]+" },
	{ "/proc/sys/kernel/ostype", "Linux" },
	{ "/proc/sys/kernel/osrelease", "[0-9]+\\.[0-9]+\\.[0-9]+.*" },
	{ "/proc/sys/kernel/pid_max", "[0-9]+" },
	{ "/proc/sys/kernel/threads-max", "[0-9]+" },
	{ "/proc/sys/kernel/random/uuid", UUID },
	{ "/proc/sys/kernel/random/boot_id", UUID },
	{ "/proc/sys/kernel/random/poolsize", "256" },
	{ "/proc/sys/kernel/cap_last_cap", "4[0-9]" },
	{ "/proc/sys/kernel/ngroups_max", "65536" },
	{ "/proc/sys/kernel/sem", N "(\t" N "){3}" },
	{ "/proc/sys/kernel/printk", N "(\t" N "){3}" },
	{ "/proc/sys/kernel/seccomp/actions_avail", "kill_process kill_thread trap errno .*" },
	{ "/proc/sys/vm/overcommit_memory", "[012]" },
	{ "/proc/sys/vm/max_map_count", "[0-9]+" },
	{ "/proc/sys/vm/swappiness", "[0-9]+" },
	{ "/proc/sys/fs/file-nr", "[0-9]+\t[0-9]+\t[0-9]+" },
	{ "/proc/sys/fs/file-max", "[0-9]+" },
	{ "/proc/sys/fs/nr_open", "[0-9]+" },
	{ "/proc/sys/fs/pipe-max-size", "[0-9]+" },
	{ "/proc/sys/fs/inotify/max_user_watches", "[0-9]+" },
	{ "/proc/sys/fs/mqueue/msg_max", "[0-9]+" },
	{ "/proc/sys/fs/epoll/max_user_watches", "[0-9]+" },
	{ "/proc/sys/net/core/somaxconn", "[0-9]+" },
	{ "/proc/sys/net/ipv4/ip_local_port_range", N "\t" N },
	{ "/proc/sys/user/max_user_namespaces", "[0-9]+" },
	{ "/sys/devices/system/cpu/online", LIST },
	{ "/sys/devices/system/cpu/possible", LIST },
	{ "/sys/devices/system/cpu/present", LIST },
	{ "/sys/devices/system/cpu/offline", LIST "?" },
	{ "/sys/devices/system/cpu/kernel_max", "[0-9]+" },
	{ "/sys/devices/system/cpu/cpu0/topology/core_id", "[0-9]+" },
	{ "/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", LIST },
	{ "/sys/devices/system/cpu/cpu0/topology/package_cpus", "[0-9a-f,]+" },
	{ "/sys/devices/system/cpu/cpu0/cache/index0/level", "1" },
	{ "/sys/devices/system/cpu/cpu0/cache/index0/type", "Data|Instruction|Unified" },
	{ "/sys/devices/system/cpu/cpu0/cache/index0/size", "[0-9]+K" },
	{ "/sys/devices/system/cpu/cpu0/cache/index0/coherency_line_size", "[0-9]+" },
	{ "/sys/devices/system/node/online", LIST },
	{ "/sys/devices/system/node/node0/cpulist", LIST },
	{ "/sys/devices/system/node/node0/distance", "[0-9 ]+" },
	{ "/sys/devices/system/node/node0/meminfo", "Node 0 [A-Za-z0-9_()]+: +[0-9]+( kB)?" },
	{ "/sys/kernel/mm/transparent_hugepage/enabled", "(\\[?[a-z]+\\]? ?){3}" },
	{ "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152" },
	{ "/sys/class/net/lo/mtu", "[0-9]+" },
	{ "/sys/class/net/lo/address", "([0-9a-f]{2}:){5}[0-9a-f]{2}" },
};

static void test_lines(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *bad = NULL;
		bool there = slurp(lines[i].path) >= 0;
		for (char *line = text, *next; there && *line && !bad; line = next) {
			size_t length = strcspn(line, "\n");
			next = line + length + (line[length] == '\n');
			line[length] = 0;
			if (!matches(lines[i].pattern, line))
				bad = line;
		}
		ok(there && !bad, "%s", lines[i].path);
		if (bad)
			tap_print("# %.200s", bad);
	}
}

/* One-line files end with a newline, but for a few. */
static const struct {
	const char *path, *keys;
} keyed[] = {
	{ "/proc/self/status",
	  "Name Umask State Tgid Ngid Pid PPid TracerPid Uid Gid FDSize Groups NStgid NSpid NSpgid "
	  "NSsid VmPeak VmSize VmLck VmPin VmHWM VmRSS RssAnon RssFile RssShmem VmData VmStk VmExe "
	  "VmLib VmPTE VmSwap HugetlbPages CoreDumping THP_enabled Threads SigQ SigPnd ShdPnd "
	  "SigBlk SigIgn SigCgt CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp "
	  "Seccomp_filters Speculation_Store_Bypass SpeculationIndirectBranch Cpus_allowed "
	  "Cpus_allowed_list Mems_allowed Mems_allowed_list voluntary_ctxt_switches "
	  "nonvoluntary_ctxt_switches" },
	{ "/proc/self/smaps",
	  "Size KernelPageSize MMUPageSize Rss Pss Pss_Dirty Shared_Clean Shared_Dirty "
	  "Private_Clean Private_Dirty Referenced Anonymous LazyFree AnonHugePages ShmemPmdMapped "
	  "FilePmdMapped Shared_Hugetlb Private_Hugetlb Swap SwapPss Locked THPeligible VmFlags" },
	{ "/proc/self/smaps_rollup",
	  "Rss Pss Pss_Dirty Pss_Anon Pss_File Pss_Shmem Shared_Clean Shared_Dirty Private_Clean "
	  "Private_Dirty Referenced Anonymous LazyFree AnonHugePages Swap SwapPss Locked" },
	{ "/proc/meminfo",
	  "MemTotal MemFree MemAvailable Buffers Cached SwapCached Active Inactive Active(anon) "
	  "Inactive(anon) Active(file) Inactive(file) Unevictable Mlocked SwapTotal SwapFree Dirty "
	  "Writeback AnonPages Mapped Shmem KReclaimable Slab SReclaimable SUnreclaim KernelStack "
	  "PageTables NFS_Unstable Bounce WritebackTmp CommitLimit Committed_AS VmallocTotal "
	  "VmallocUsed VmallocChunk Percpu AnonHugePages ShmemHugePages ShmemPmdMapped "
	  "HugePages_Total HugePages_Free HugePages_Rsvd HugePages_Surp Hugepagesize DirectMap4k" },
};

static void test_keys(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(keyed); i++) {
		char keys[2048], *at, missing[256] = "";
		need(slurp(keyed[i].path) > 0);
		snprintf(keys, sizeof(keys), "%s", keyed[i].keys);
		at = text;
		/* In this order, each at the beginning of a line. */
		for (char *key = strtok(keys, " "); key; key = strtok(NULL, " ")) {
			char want[64];
			snprintf(want, sizeof(want), "\n%s:", key);
			char *found = at == text && strncmp(text, want + 1, strlen(want) - 1) == 0 ?
					      text :
					      strstr(at, want);
			if (!found) {
				snprintf(missing, sizeof(missing), "%s", key);
				break;
			}
			at = found;
		}
		is_str(missing, "", "%s has its fields in order", keyed[i].path);
	}
}

/* What agrees with each other. */
static void test_sums(void)
{
	unsigned long total = 0, available = 0, rollup = 0, sum = 0, value;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), seen = 0;
	slurp("/proc/meminfo");
	sscanf(text, "MemTotal: %lu", &total);
	char *p = strstr(text, "MemAvailable:");
	need(p && sscanf(p, "MemAvailable: %lu", &available) == 1);
	ok(available > 0 && available <= total, "no more memory is available than there is");
	ok((long)(total / 4) == sysconf(_SC_PHYS_PAGES), "sysinfo agrees with meminfo");
	slurp("/proc/stat");
	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		seen += strncmp(line, "cpu", 3) == 0 && line[3] >= '0' && line[3] <= '9';
	}
	is_int(seen, cpus, "stat has a line for each CPU");
	seen = 0;
	slurp("/proc/cpuinfo");
	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		seen += strncmp(line, "processor\t", 10) == 0;
	}
	is_int(seen, cpus, "and cpuinfo");
	seen = 0;
	DIR *stream = opendir("/sys/devices/system/cpu");
	struct dirent *entry;
	while (stream && (entry = readdir(stream)))
		seen += matches("cpu[0-9]+", entry->d_name);
	closedir(stream);
	is_int(seen, sysconf(_SC_NPROCESSORS_CONF), "and sysfs");
	need(slurp("/proc/self/smaps") > 0);
	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "Rss: %lu", &value) == 1)
			sum += value;
	}
	slurp("/proc/self/smaps_rollup");
	p = strstr(text, "\nRss:");
	need(p && sscanf(p, "\nRss: %lu", &rollup) == 1);
	ok(sum > 0 && sum < 2 * rollup && rollup < 2 * sum, "smaps_rollup is about smaps' sum");
}

int main(void)
{
	tap_begin();
	test_lines();
	test_keys();
	test_sums();
	return tap_end();
}
