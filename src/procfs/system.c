/* Files of /proc about the whole system: the sandbox where it has figures of its own, else the
 * host's. */

#include <errno.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>

#include "host/host.h"
#include "kernel/task.h"
#include "procfs/internal.h"
#include "time/clock.h"

#define NS_PER_SEC 1'000'000'000LL
#define NS_PER_TICK 10'000'000LL
#define PID_LIMIT 32768

int proc_show_uptime(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	s64 ns = guest_clock_now(CLOCK_BOOTTIME);
	long long sec = ns / NS_PER_SEC, hundredths = ns % NS_PER_SEC / NS_PER_TICK;

	strbuf_printf(out, "%lld.%02lld %lld.%02lld\n", sec, hundredths,
		      sec * kernel_get()->cpu_count, hundredths);
	return 0;
}

int proc_show_meminfo(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct sysinfo si;
	u64 unit;
	int err = host_sysinfo(&si);

	if (err)
		return err;
	unit = si.mem_unit ? si.mem_unit : 1;
	strbuf_printf(out,
		      "MemTotal:       %8lu kB\nMemFree:        %8lu kB\nMemAvailable:   %8lu kB\n",
		      si.totalram * unit / 1024, si.freeram * unit / 1024,
		      (si.freeram + si.bufferram) * unit / 1024);
	strbuf_printf(out,
		      "Buffers:        %8lu kB\nCached:         %8lu kB\nSwapCached:     %8lu kB\n",
		      si.bufferram * unit / 1024, 0UL, 0UL);
	strbuf_printf(
		out, "SwapTotal:      %8lu kB\nSwapFree:       %8lu kB\nShmem:          %8lu kB\n",
		si.totalswap * unit / 1024, si.freeswap * unit / 1024, si.sharedram * unit / 1024);
	strbuf_puts(
		out,
		"HugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n");
	return 0;
}

static u32 count_tasks(void)
{
	u32 n;

	tasks_lock();
	n = kernel_get()->task_count;
	tasks_unlock();
	return n;
}

int proc_show_loadavg(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct sysinfo si;
	int err = host_sysinfo(&si);

	if (err)
		return err;
	for (int i = 0; i < 3; i++)
		strbuf_printf(out, "%lu.%02lu ", si.loads[i] >> 16,
			      (si.loads[i] & 0xffff) * 100 >> 16);
	strbuf_printf(out, "1/%u %u\n", count_tasks(), ctx->caller ? task_tid(ctx->caller) : 1);
	return 0;
}

/* We don't know how the host's CPUs spend their time: all is shown as idle. */
int proc_show_system_stat(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	const struct kernel *k = kernel_get();
	s64 up = guest_clock_now(CLOCK_BOOTTIME);
	long long ticks = up / NS_PER_TICK;

	strbuf_printf(out, "cpu  0 0 0 %lld 0 0 0 0 0 0\n", ticks * k->cpu_count);
	for (u32 cpu = 0; cpu < sizeof(k->cpu_mask) * 8; cpu++)
		if (k->cpu_mask[cpu / 8] >> (cpu % 8) & 1)
			strbuf_printf(out, "cpu%u 0 0 0 %lld 0 0 0 0 0 0\n", cpu, ticks);
	strbuf_printf(
		out, "intr 0\nctxt 0\nbtime %lld\nprocesses %u\nprocs_running 1\nprocs_blocked 0\n",
		(long long)(guest_clock_now(CLOCK_REALTIME) - up) / NS_PER_SEC, count_tasks());
	strbuf_puts(out, "softirq 0 0 0 0 0 0 0 0 0 0 0\n");
	return 0;
}

/* ---- /proc/sys/kernel ---- */

static int show_uts(const char *field, struct strbuf *out)
{
	struct uts_ns *ns = kernel_get()->uts_ns;
	char name[sizeof(ns->nodename)];

	spin_lock(&ns->lock, &lc_cred);
	memcpy(name, field, sizeof(name));
	spin_unlock(&ns->lock, &lc_cred);
	strbuf_printf(out, "%.*s\n", (int)sizeof(name), name);
	return 0;
}

int proc_show_hostname(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return show_uts(kernel_get()->uts_ns->nodename, out);
}

int proc_show_domainname(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return show_uts(kernel_get()->uts_ns->domainname, out);
}

int proc_show_pid_max(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%d\n", PID_LIMIT);
	return 0;
}

int proc_show_threads_max(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%u\n", kernel_get()->task_limit);
	return 0;
}

static void put_uuid(struct strbuf *out, u8 b[16])
{
	b[6] = (u8)((b[6] & 0x0f) | 0x40);
	b[8] = (u8)((b[8] & 0x3f) | 0x80);
	for (int i = 0; i < 16; i++)
		strbuf_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			      b[i]);
	strbuf_putc(out, '\n');
}

int proc_show_uuid(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	u8 b[16];

	if (host_getrandom(b, sizeof(b), 0) != sizeof(b))
		return -EIO;
	put_uuid(out, b);
	return 0;
}

/* The same as long as the sandbox lives. */
int proc_show_boot_id(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	u64 words[2] = { hash_u64((u64)kernel_get()->boot_time),
			 hash_u64((u64)(uintptr_t)kernel_get()) };
	u8 b[16];

	memcpy(b, words, sizeof(b));
	put_uuid(out, b);
	return 0;
}
