/*
 * Files of /proc about the whole system. The sandbox is the system: its tasks are what uses CPUs
 * and memory, and what is not known of it is shown as unused.
 */

#include <stdio.h>
#include <time.h>

#include "kernel/task.h"
#include "procfs/internal.h"
#include "time/clock.h"

#define NS_PER_SEC 1'000'000'000LL
#define NS_PER_TICK 10'000'000LL

static bool has_cpu(u32 cpu)
{
	return kernel_get()->cpu_mask[cpu / 8] >> (cpu % 8) & 1;
}

#define for_each_cpu(cpu) \
	for (u32 cpu = 0; cpu < sizeof(kernel_get()->cpu_mask) * 8; cpu++) \
		if (has_cpu(cpu))

/* ---- time ---- */

/* What all CPUs together had no use for, since the host was started. */
static s64 idle_ns(const struct kernel_usage *u, s64 up)
{
	s64 all = up * kernel_get()->cpu_count, used = (s64)(u->user_ns + u->sys_ns);

	return all > used ? all - used : 0;
}

int proc_show_uptime(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct kernel_usage u = kernel_usage();
	s64 up = guest_clock_now(CLOCK_BOOTTIME), idle = idle_ns(&u, up);

	strbuf_printf(out, "%lld.%02lld %lld.%02lld\n", up / NS_PER_SEC,
		      up % NS_PER_SEC / NS_PER_TICK, idle / NS_PER_SEC,
		      idle % NS_PER_SEC / NS_PER_TICK);
	return 0;
}

int proc_show_loadavg(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct kernel_usage u = kernel_usage();
	struct pid_ns *ns = kernel_get()->pid_ns;
	u64 average[3];
	u32 next;

	kernel_load(average);
	for (int i = 0; i < 3; i++) {
		u64 a = average[i] + LOAD_ONE / 200;

		strbuf_printf(out, "%lu.%02lu ", a >> LOAD_SHIFT,
			      (a & (LOAD_ONE - 1)) * 100 >> LOAD_SHIFT);
	}
	spin_lock(&ns->lock, &lc_pidns);
	next = ns->next;
	spin_unlock(&ns->lock, &lc_pidns);
	strbuf_printf(out, "%u/%u %u\n", u.running, u.tasks, next ? next - 1 : 0);
	return 0;
}

/* Which CPU did what is not known: each did its share. */
static void put_cpu_times(struct strbuf *out, const char *name, u64 user, u64 system, s64 idle)
{
	strbuf_printf(out, "%s %lu 0 %lu %lld 0 0 0 0 0 0\n", name, user / (u64)NS_PER_TICK,
		      system / (u64)NS_PER_TICK, (long long)idle / NS_PER_TICK);
}

int proc_show_system_stat(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct kernel *k = kernel_get();
	struct kernel_usage u = kernel_usage();
	s64 up = guest_clock_now(CLOCK_BOOTTIME), idle = idle_ns(&u, up);
	char name[16];

	put_cpu_times(out, "cpu ", u.user_ns, u.sys_ns, idle);
	for_each_cpu(cpu)
	{
		snprintf(name, sizeof(name), "cpu%u", cpu);
		put_cpu_times(out, name, u.user_ns / k->cpu_count, u.sys_ns / k->cpu_count,
			      idle / k->cpu_count);
	}
	strbuf_printf(out,
		      "intr 0\nctxt %lu\nbtime %lld\nprocesses %lu\nprocs_running %u\n"
		      "procs_blocked 0\n",
		      u.switches, (guest_clock_now(CLOCK_REALTIME) - up) / NS_PER_SEC,
		      atomic_load_explicit(&k->forks, memory_order_relaxed), max(u.running, 1u));
	strbuf_puts(out, "softirq 0 0 0 0 0 0 0 0 0 0 0\n");
	return 0;
}

/* ---- interrupts: there are none ---- */

static void put_cpu_names(struct strbuf *out, const char *indent)
{
	strbuf_puts(out, indent);
	for_each_cpu(cpu) strbuf_printf(out, "CPU%-8u", cpu);
	strbuf_putc(out, '\n');
}

int proc_show_interrupts(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	put_cpu_names(out, "           ");
	strbuf_puts(out, "ERR:          0\nMIS:          0\n");
	return 0;
}

int proc_show_softirqs(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	static const char *const names[] = { "HI",	 "TIMER",   "NET_TX", "NET_RX",	 "BLOCK",
					     "IRQ_POLL", "TASKLET", "SCHED",  "HRTIMER", "RCU" };

	put_cpu_names(out, "                    ");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		strbuf_printf(out, "%12s:", names[i]);
		for_each_cpu(cpu) strbuf_puts(out, "          0");
		strbuf_putc(out, '\n');
	}
	return 0;
}

/* ---- memory ---- */

static void put_kb(struct strbuf *out, const char *name, u64 bytes)
{
	char label[24];

	snprintf(label, sizeof(label), "%s:", name);
	strbuf_printf(out, "%-16s%8lu kB\n", label, bytes / 1024);
}

static void put_zeros(struct strbuf *out, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		put_kb(out, names[i], 0);
}

/* What is in use and is no cache belongs to programs. */
static u64 used_by_programs(const struct kernel_memory *m)
{
	u64 other = m->free + m->buffers + m->cached;

	return m->total > other ? m->total - other : 0;
}

int proc_show_meminfo(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	static const char *const zeros_mid[] = { "Zswap", "Zswapped", "Dirty", "Writeback" };
	static const char *const zeros_late[] = { "KReclaimable",  "Slab",	   "SReclaimable",
						  "SUnreclaim",	   "KernelStack",  "PageTables",
						  "SecPageTables", "NFS_Unstable", "Bounce",
						  "WritebackTmp" };
	static const char *const zeros_huge[] = { "AnonHugePages", "ShmemHugePages",
						  "ShmemPmdMapped", "FileHugePages",
						  "FilePmdMapped" };
	struct kernel_memory m = kernel_memory();
	u64 programs = used_by_programs(&m);

	put_kb(out, "MemTotal", m.total);
	put_kb(out, "MemFree", m.free);
	put_kb(out, "MemAvailable", m.available);
	put_kb(out, "Buffers", m.buffers);
	put_kb(out, "Cached", m.cached);
	put_kb(out, "SwapCached", 0);
	put_kb(out, "Active", programs);
	put_kb(out, "Inactive", m.cached);
	put_kb(out, "Active(anon)", programs);
	put_kb(out, "Inactive(anon)", 0);
	put_kb(out, "Active(file)", 0);
	put_kb(out, "Inactive(file)", m.cached);
	put_kb(out, "Unevictable", 0);
	put_kb(out, "Mlocked", 0);
	put_kb(out, "SwapTotal", m.swap_total);
	put_kb(out, "SwapFree", m.swap_free);
	put_zeros(out, zeros_mid, ARRAY_SIZE(zeros_mid));
	put_kb(out, "AnonPages", programs);
	put_kb(out, "Mapped", 0);
	put_kb(out, "Shmem", m.shared);
	put_zeros(out, zeros_late, ARRAY_SIZE(zeros_late));
	put_kb(out, "CommitLimit", m.total / 2 + m.swap_total);
	put_kb(out, "Committed_AS", programs);
	strbuf_puts(out, "VmallocTotal:   34359738367 kB\n");
	put_kb(out, "VmallocUsed", 0);
	put_kb(out, "VmallocChunk", 0);
	put_kb(out, "Percpu", 0);
	put_zeros(out, zeros_huge, ARRAY_SIZE(zeros_huge));
	strbuf_puts(out, "HugePages_Total:       0\nHugePages_Free:        0\n"
			 "HugePages_Rsvd:        0\nHugePages_Surp:        0\n");
	put_kb(out, "Hugepagesize", 2 << 20);
	put_kb(out, "Hugetlb", 0);
	put_kb(out, "DirectMap4k", m.total);
	return 0;
}

int proc_show_vmstat(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	static const char *const zeros[] = {
		"nr_dirty",
		"nr_writeback",
		"nr_mapped",
		"nr_slab_reclaimable",
		"nr_slab_unreclaimable",
		"pgpgin",
		"pgpgout",
		"pswpin",
		"pswpout",
		"pgalloc_normal",
		"pgfree",
		"pgfault",
		"pgmajfault",
		"pgscan_kswapd",
		"pgscan_direct",
		"pgsteal_kswapd",
		"pgsteal_direct",
		"oom_kill",
	};
	struct kernel_memory m = kernel_memory();

	strbuf_printf(out,
		      "nr_free_pages %lu\nnr_anon_pages %lu\nnr_file_pages %lu\nnr_shmem %lu\n",
		      m.free / PAGE_SIZE, used_by_programs(&m) / PAGE_SIZE,
		      (m.cached + m.buffers) / PAGE_SIZE, m.shared / PAGE_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(zeros); i++)
		strbuf_printf(out, "%s 0\n", zeros[i]);
	return 0;
}

int proc_show_zoneinfo(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct kernel_memory m = kernel_memory();
	u64 pages = m.total / PAGE_SIZE;

	strbuf_printf(out,
		      "Node 0, zone   Normal\n  pages free     %lu\n        min      0\n"
		      "        low      0\n        high     0\n        spanned  %lu\n"
		      "        present  %lu\n        managed  %lu\n",
		      m.free / PAGE_SIZE, pages, pages, pages);
	return 0;
}

/* Free memory as blocks of 2^order pages, as large as can be. */
int proc_show_buddyinfo(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct kernel_memory m = kernel_memory();
	u64 pages = m.free / PAGE_SIZE;

	strbuf_puts(out, "Node 0, zone   Normal ");
	for (int order = 0; order < 10; order++)
		strbuf_printf(out, "%6lu ", pages >> order & 1);
	strbuf_printf(out, "%6lu \n", pages >> 10);
	return 0;
}
