/*
 * /sys: what programs look up there of CPUs, caches, memory nodes and the loopback device. The CPUs
 * are those that the guest was given, one core each, on one package and one node.
 */

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/task.h"
#include "procfs/internal.h"

#define CPUS_MAX (sizeof(kernel_get()->cpu_mask) * 8)

static bool has_cpu(u32 cpu)
{
	return cpu < CPUS_MAX && kernel_get()->cpu_mask[cpu / 8] >> (cpu % 8) & 1;
}

/* ---- CPUs ---- */

static int show_cpu_list(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	proc_put_list(kernel_get()->cpu_mask, CPUS_MAX / 8, out);
	return 0;
}

static int show_cpu_mask(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	proc_put_mask(kernel_get()->cpu_mask, CPUS_MAX / 8, out);
	return 0;
}

/* The CPU alone: it shares its core with no other. */
static void put_one_cpu(u32 cpu, bool list, struct strbuf *out)
{
	u8 mask[CPUS_MAX / 8] = {};

	mask[cpu / 8] = (u8)(1u << cpu % 8);
	if (list)
		proc_put_list(mask, sizeof(mask), out);
	else
		proc_put_mask(mask, sizeof(mask), out);
}

static int show_own_list(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	put_one_cpu(ctx->number & 0xffff, true, out);
	return 0;
}

static int show_own_mask(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	put_one_cpu(ctx->number & 0xffff, false, out);
	return 0;
}

/* Its place among the CPUs that there are. */
static int show_core_id(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	u32 index = 0;

	for (u32 cpu = 0; cpu < ctx->number; cpu++)
		index += has_cpu(cpu);
	strbuf_printf(out, "%u\n", index);
	return 0;
}

static int show_cpu_modalias(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_puts(out, "cpu:type:x86,ven0000fam0006mod0000:feature:\n");
	return 0;
}

/* ---- caches, as CPUID describes them ---- */

struct cache {
	u32 type; /* 1 data, 2 instruction, 3 unified; 0: none */
	u32 level, line, partitions, ways, sets, sharing;
};

#define CACHES_MAX 8

static bool is_amd(void)
{
	u32 a = 0, b = 0, c = 0, d = 0;

	__get_cpuid(0, &a, &b, &c, &d);
	return b == signature_AMD_ebx;
}

static struct cache cache_get(u32 index)
{
	u32 a, b, c, d;

	if (!__get_cpuid_count(is_amd() ? 0x8000'001d : 4, index, &a, &b, &c, &d))
		return (struct cache){};
	return (struct cache){
		.type = a & 31,
		.level = a >> 5 & 7,
		.sharing = (a >> 14 & 0xfff) + 1,
		.line = (b & 0xfff) + 1,
		.partitions = (b >> 12 & 0x3ff) + 1,
		.ways = (b >> 22) + 1,
		.sets = c + 1,
	};
}

/* A cache's directory has its CPU and its index for a number. */
static struct cache cache_of(const struct proc_ctx *ctx)
{
	return cache_get(ctx->number >> 16);
}

static int show_cache_line(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%u\n", cache_of(ctx).line);
	return 0;
}

static int show_cache_level(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%u\n", cache_of(ctx).level);
	return 0;
}

static int show_cache_sets(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%u\n", cache_of(ctx).sets);
	return 0;
}

static int show_cache_partitions(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%u\n", cache_of(ctx).partitions);
	return 0;
}

static int show_cache_ways(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%u\n", cache_of(ctx).ways);
	return 0;
}

static int show_cache_size(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct cache c = cache_of(ctx);

	strbuf_printf(out, "%luK\n", (u64)c.line * c.partitions * c.ways * c.sets / 1024);
	return 0;
}

static int show_cache_type(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	static const char *const names[] = { "", "Data", "Instruction", "Unified" };

	strbuf_printf(out, "%s\n", names[cache_of(ctx).type & 3]);
	return 0;
}

/* The last level is shared by all, the others by nobody. */
static bool cache_is_shared(const struct proc_ctx *ctx)
{
	return cache_of(ctx).level >= 3;
}

static int show_cache_cpus(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return cache_is_shared(ctx) ? show_cpu_mask(s, ctx, out) : show_own_mask(s, ctx, out);
}

static int show_cache_cpu_list(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return cache_is_shared(ctx) ? show_cpu_list(s, ctx, out) : show_own_list(s, ctx, out);
}

static int show_cache_id(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%u\n", cache_is_shared(ctx) ? 0 : ctx->number & 0xffff);
	return 0;
}

/* ---- memory ---- */

static int show_node_meminfo(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct kernel_memory m = kernel_memory();

	strbuf_printf(out,
		      "Node 0 MemTotal:       %8lu kB\nNode 0 MemFree:        %8lu kB\n"
		      "Node 0 MemUsed:        %8lu kB\nNode 0 Shmem:          %8lu kB\n",
		      m.total / 1024, m.free / 1024, (m.total - min(m.free, m.total)) / 1024,
		      m.shared / 1024);
	strbuf_puts(out, "Node 0 HugePages_Total:     0\nNode 0 HugePages_Free:      0\n"
			 "Node 0 HugePages_Surp:      0\n");
	return 0;
}

/* ---- entries with numbers ---- */

bool sysfs_numbered(u32 kind, u32 parent, u32 index, char name[SYSFS_NAME_SIZE], u32 *ret_row,
		    u32 *ret_number)
{
	name[0] = '\0';
	switch (kind) {
	case DIR_SYSFS_CPUS:
	case DIR_SYSFS_NODE:
		if (has_cpu(index))
			snprintf(name, SYSFS_NAME_SIZE, "cpu%u", index);
		*ret_row = ROW_CPU;
		*ret_number = index;
		return index < CPUS_MAX;
	case DIR_SYSFS_CACHES:
		if (index >= CACHES_MAX || !cache_get(index).type)
			return false;
		snprintf(name, SYSFS_NAME_SIZE, "index%u", index);
		*ret_row = ROW_CACHE;
		*ret_number = parent | index << 16;
		return true;
	default:
		return false;
	}
}

bool sysfs_find_numbered(u32 kind, u32 parent, const char *name, u32 *ret_row, u32 *ret_number)
{
	char there[SYSFS_NAME_SIZE];
	size_t prefix = strcspn(name, "0123456789");
	u32 index;

	if (!name[prefix] || strlen(name) >= SYSFS_NAME_SIZE)
		return false;
	index = (u32)strtoul(name + prefix, NULL, 10);
	return sysfs_numbered(kind, parent, index, there, ret_row, ret_number) &&
	       strcmp(there, name) == 0;
}

/* ---- tables ---- */

#define FIXED(name_, text_) FILE_TEXT(name_, text_ "\n")
#define SHOW(name_, fn) FILE_SHOW(name_, 0444, fn)

static const struct proc_row top_rows[] = {
	DIR("block", DIR_EMPTY),	   DIR("bus", DIR_EMPTY),
	DIR("class", DIR_SYSFS_CLASS),	   DIR("dev", DIR_SYSFS_DEV),
	DIR("devices", DIR_SYSFS_DEVICES), DIR("firmware", DIR_EMPTY),
	DIR("fs", DIR_SYSFS_FS),	   DIR("kernel", DIR_SYSFS_KERNEL),
	DIR("module", DIR_EMPTY),	   DIR("power", DIR_EMPTY),
};

static const struct proc_row dev_rows[] = { DIR("block", DIR_EMPTY), DIR("char", DIR_EMPTY) };

static const struct proc_row class_rows[] = {
	DIR("block", DIR_EMPTY),	 DIR("mem", DIR_SYSFS_CLASS_MEM),
	DIR("net", DIR_SYSFS_CLASS_NET), DIR("power_supply", DIR_EMPTY),
	DIR("thermal", DIR_EMPTY),	 DIR("tty", DIR_SYSFS_CLASS_TTY),
};

static const struct proc_row class_mem_rows[] = {
	DIR("full", DIR_EMPTY),	   DIR("null", DIR_EMPTY), DIR("random", DIR_EMPTY),
	DIR("urandom", DIR_EMPTY), DIR("zero", DIR_EMPTY),
};

static const struct proc_row class_net_rows[] = {
	LINK_TEXT("lo", "../../devices/virtual/net/lo"),
};

static const struct proc_row class_tty_rows[] = {
	DIR("console", DIR_EMPTY),
	DIR("ptmx", DIR_EMPTY),
	DIR("tty", DIR_EMPTY),
};

static const struct proc_row devices_rows[] = {
	DIR("system", DIR_SYSFS_SYSTEM),
	DIR("virtual", DIR_SYSFS_VIRTUAL),
};

static const struct proc_row system_rows[] = {
	DIR("cpu", DIR_SYSFS_CPUS),
	DIR("node", DIR_SYSFS_NODES),
};

static const struct proc_row cpus_rows[] = {
	FIXED("isolated", ""),
	FIXED("kernel_max", "1023"),
	SHOW("modalias", show_cpu_modalias),
	FIXED("offline", ""),
	SHOW("online", show_cpu_list),
	SHOW("possible", show_cpu_list),
	SHOW("present", show_cpu_list),
	FILE_TEXT("uevent", ""),
};

static const struct proc_row cpu_rows[] = {
	DIR("cache", DIR_SYSFS_CACHES),
	LINK_TEXT("node0", "../../node/node0"),
	LINK_TEXT("subsystem", "../../../../devices/system/cpu"),
	DIR("topology", DIR_SYSFS_TOPOLOGY),
	FILE_TEXT("uevent", "DRIVER=processor\n"),
};

static const struct proc_row topology_rows[] = {
	SHOW("core_cpus", show_own_mask),
	SHOW("core_cpus_list", show_own_list),
	SHOW("core_id", show_core_id),
	SHOW("core_siblings", show_cpu_mask),
	SHOW("core_siblings_list", show_cpu_list),
	SHOW("die_cpus", show_cpu_mask),
	SHOW("die_cpus_list", show_cpu_list),
	FIXED("die_id", "0"),
	SHOW("package_cpus", show_cpu_mask),
	SHOW("package_cpus_list", show_cpu_list),
	FIXED("physical_package_id", "0"),
	SHOW("thread_siblings", show_own_mask),
	SHOW("thread_siblings_list", show_own_list),
};

static const struct proc_row caches_rows[] = { FILE_TEXT("uevent", "") };

static const struct proc_row cache_rows[] = {
	SHOW("coherency_line_size", show_cache_line),
	SHOW("id", show_cache_id),
	SHOW("level", show_cache_level),
	SHOW("number_of_sets", show_cache_sets),
	SHOW("physical_line_partition", show_cache_partitions),
	SHOW("shared_cpu_list", show_cache_cpu_list),
	SHOW("shared_cpu_map", show_cache_cpus),
	SHOW("size", show_cache_size),
	SHOW("type", show_cache_type),
	SHOW("ways_of_associativity", show_cache_ways),
};

static const struct proc_row nodes_rows[] = {
	FIXED("has_cpu", "0"),	      FIXED("has_memory", "0"), FIXED("has_normal_memory", "0"),
	DIR("node0", DIR_SYSFS_NODE), FIXED("online", "0"),	FIXED("possible", "0"),
};

static const struct proc_row node_rows[] = {
	SHOW("cpulist", show_cpu_list),
	SHOW("cpumap", show_cpu_mask),
	FIXED("distance", "10"),
	SHOW("meminfo", show_node_meminfo),
	FILE_TEXT("numastat", "numa_hit 0\nnuma_miss 0\nnuma_foreign 0\ninterleave_hit 0\n"
			      "local_node 0\nother_node 0\n"),
};

static const struct proc_row virtual_rows[] = { DIR("net", DIR_SYSFS_VIRTUAL_NET) };

static const struct proc_row virtual_net_rows[] = { DIR("lo", DIR_SYSFS_LO) };

static const struct proc_row lo_rows[] = {
	FIXED("addr_assign_type", "0"),
	FIXED("addr_len", "6"),
	FIXED("address", "00:00:00:00:00:00"),
	FIXED("broadcast", "00:00:00:00:00:00"),
	FIXED("carrier", "1"),
	FIXED("dev_id", "0x0"),
	FIXED("dormant", "0"),
	FIXED("flags", "0x9"),
	FIXED("ifalias", ""),
	FIXED("ifindex", "1"),
	FIXED("iflink", "1"),
	FIXED("link_mode", "0"),
	FIXED("mtu", "65536"),
	FIXED("netdev_group", "0"),
	FIXED("operstate", "unknown"),
	DIR("statistics", DIR_SYSFS_LO_STATISTICS),
	LINK_TEXT("subsystem", "../../../../class/net"),
	FIXED("tx_queue_len", "1000"),
	FIXED("type", "772"),
	FILE_TEXT("uevent", "INTERFACE=lo\nIFINDEX=1\n"),
};

static const struct proc_row lo_statistics_rows[] = {
	FIXED("collisions", "0"), FIXED("multicast", "0"),  FIXED("rx_bytes", "0"),
	FIXED("rx_dropped", "0"), FIXED("rx_errors", "0"),  FIXED("rx_packets", "0"),
	FIXED("tx_bytes", "0"),	  FIXED("tx_dropped", "0"), FIXED("tx_errors", "0"),
	FIXED("tx_packets", "0"),
};

static const struct proc_row fs_rows[] = { DIR("cgroup", DIR_EMPTY) };

static const struct proc_row kernel_rows[] = {
	FIXED("address_bits", "64"), FIXED("cpu_byteorder", "little"), FIXED("fscaps", "1"),
	DIR("mm", DIR_SYSFS_MM),     FIXED("profiling", "0"),	       DIR("security", DIR_EMPTY),
	FIXED("uevent_seqnum", "0"),
};

static const struct proc_row mm_rows[] = {
	DIR("hugepages", DIR_SYSFS_HUGEPAGES),
	DIR("transparent_hugepage", DIR_SYSFS_THP),
};

static const struct proc_row hugepages_rows[] = {
	DIR("hugepages-2048kB", DIR_SYSFS_HUGEPAGES_2M),
};

static const struct proc_row hugepages_2m_rows[] = {
	FIXED("free_hugepages", "0"),	      FIXED("nr_hugepages", "0"),
	FIXED("nr_hugepages_mempolicy", "0"), FIXED("nr_overcommit_hugepages", "0"),
	FIXED("resv_hugepages", "0"),	      FIXED("surplus_hugepages", "0"),
};

static const struct proc_row thp_rows[] = {
	FIXED("defrag", "always defer defer+madvise [madvise] never"),
	FIXED("enabled", "always [madvise] never"),
	FIXED("hpage_pmd_size", "2097152"),
	DIR("khugepaged", DIR_SYSFS_THP_KHUGEPAGED),
	FIXED("shmem_enabled", "always within_size advise [never] deny force"),
	FIXED("use_zero_page", "1"),
};

static const struct proc_row khugepaged_rows[] = {
	FIXED("alloc_sleep_millisecs", "60000"),
	FIXED("defrag", "1"),
	FIXED("full_scans", "0"),
	FIXED("max_ptes_none", "511"),
	FIXED("max_ptes_shared", "256"),
	FIXED("max_ptes_swap", "64"),
	FIXED("pages_collapsed", "0"),
	FIXED("pages_to_scan", "4096"),
	FIXED("scan_sleep_millisecs", "10000"),
};

#define AT(kind) [(kind)-DIR_SYSFS]

const struct proc_dir sysfs_dirs[DIR_COUNT - DIR_SYSFS] = {
	AT(DIR_SYSFS) = PROC_DIR(top_rows),
	AT(DIR_SYSFS_DEV) = PROC_DIR(dev_rows),
	AT(DIR_SYSFS_CLASS) = PROC_DIR(class_rows),
	AT(DIR_SYSFS_CLASS_MEM) = PROC_DIR(class_mem_rows),
	AT(DIR_SYSFS_CLASS_NET) = PROC_DIR(class_net_rows),
	AT(DIR_SYSFS_CLASS_TTY) = PROC_DIR(class_tty_rows),
	AT(DIR_SYSFS_DEVICES) = PROC_DIR(devices_rows),
	AT(DIR_SYSFS_SYSTEM) = PROC_DIR(system_rows),
	AT(DIR_SYSFS_CPUS) = PROC_DIR(cpus_rows),
	AT(DIR_SYSFS_CPU) = PROC_DIR(cpu_rows),
	AT(DIR_SYSFS_TOPOLOGY) = PROC_DIR(topology_rows),
	AT(DIR_SYSFS_CACHES) = PROC_DIR(caches_rows),
	AT(DIR_SYSFS_CACHE) = PROC_DIR(cache_rows),
	AT(DIR_SYSFS_NODES) = PROC_DIR(nodes_rows),
	AT(DIR_SYSFS_NODE) = PROC_DIR(node_rows),
	AT(DIR_SYSFS_VIRTUAL) = PROC_DIR(virtual_rows),
	AT(DIR_SYSFS_VIRTUAL_NET) = PROC_DIR(virtual_net_rows),
	AT(DIR_SYSFS_LO) = PROC_DIR(lo_rows),
	AT(DIR_SYSFS_LO_STATISTICS) = PROC_DIR(lo_statistics_rows),
	AT(DIR_SYSFS_FS) = PROC_DIR(fs_rows),
	AT(DIR_SYSFS_KERNEL) = PROC_DIR(kernel_rows),
	AT(DIR_SYSFS_MM) = PROC_DIR(mm_rows),
	AT(DIR_SYSFS_HUGEPAGES) = PROC_DIR(hugepages_rows),
	AT(DIR_SYSFS_HUGEPAGES_2M) = PROC_DIR(hugepages_2m_rows),
	AT(DIR_SYSFS_THP) = PROC_DIR(thp_rows),
	AT(DIR_SYSFS_THP_KHUGEPAGED) = PROC_DIR(khugepaged_rows),
};
