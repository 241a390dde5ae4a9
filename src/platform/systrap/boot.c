/*
 * Boot: the layout of the stub's region, the image with its filters, and the zygote.
 *
 * The region lies above all guest addresses, at an address whose low 32 bits are zero, where the
 * kernel itself happens to have nothing. The kernel maps the image and the stacks there, has the
 * image's own code clone the zygote (so that the child never runs our binary's code, which may be
 * instrumented), and unmaps them again. If the host's vdso is sealed and lies below, the zygote
 * says so, and we start over with a region below the vdso.
 */

#include <errno.h>
#include <linux/filter.h>
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/rseq.h>

#include "base/bug.h"
#include "base/log.h"
#include "host/host.h"
#include "platform/systrap/internal.h"
#include "platform/systrap/vdso.h"
#include "stub_syms.h"

#define BASE_FIRST 0x7ff800000000UL
#define BASE_LAST 0x7e0000000000UL
#define BASE_STEP 0x200000000UL
#define USER_TOP 0x7ffffffff000UL
#define DEFAULT_DEADLINE_NS 10'000'000'000LL
#define DESCRIPTORS_MAX 16384
#define TID_BUCKETS 1024
#define HWCAP2_FSGSBASE_BIT 2

struct systrap g_systrap;

extern const char systrap_image_start[], systrap_image_end[];

static long stub_symbol(u64 base, u64 linked)
{
	return (long)(base + (linked - STUB_LINK_BASE));
}

/* ---- what the CPU is like ---- */

static void probe_fp(void)
{
	u32 a, b, c, d, lo, hi, size = 576;

	g_systrap.fp_size = 512;
	if (!__get_cpuid_count(1, 0, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	/* AMX state (17, 18) needs a permission that guests never get. */
	g_systrap.xfeatures = ((u64)hi << 32 | lo) & ~(3UL << 17);
	for (u32 i = 2; i < 63; i++) {
		if (!(g_systrap.xfeatures >> i & 1))
			continue;
		__cpuid_count(0xd, i, a, b, c, d);
		size = max(size, a + b);
	}
	g_systrap.fp_size = size;
}

static void probe_tsc(void)
{
	s64 t0 = host_clock(CLOCK_MONOTONIC), t1;
	u64 c0 = rdtsc(), c1;

	do {
		t1 = host_clock(CLOCK_MONOTONIC);
		c1 = rdtsc();
	} while (t1 - t0 < 200'000);
	g_systrap.tsc_per_us = max((c1 - c0) * 1000 / (u64)(t1 - t0), (u64)1);
}

static void probe_cpus(void)
{
	u64 mask[CPU_WORDS] = {};
	int n = host_sched_getaffinity(0, sizeof(mask), mask);
	unsigned int cpus = 0;

	for (int i = 0; i < n / 8; i++)
		cpus += (unsigned int)__builtin_popcountl(mask[i]);
	g_systrap.many_cpus = cpus >= 2;
	g_systrap.online_cpus = max(proc_cpus(), cpus);
	g_systrap.load_fd = proc_open("loadavg");
}

static void probe_memory(void)
{
	char mode[4] = "";

	g_systrap.strict_memory =
		proc_read("sys/vm/overcommit_memory", mode, sizeof(mode)) <= 0 || mode[0] == '2';
}

/* Growing a shared descriptor table costs milliseconds: have it large from the start. */
static void presize_descriptors(void)
{
	struct rlimit lim = {};
	int fd, ret;

	if (host_prlimit(0, RLIMIT_NOFILE, NULL, &lim))
		return;
	fd = host_fcntl(g_systrap.doorbell_fd, F_DUPFD_CLOEXEC,
			(long)min(lim.rlim_cur, (rlim_t)DESCRIPTORS_MAX) - 1);
	if (fd >= 0) {
		ret = host_close(fd);
		(void)ret;
	}
}

/* ---- the region ---- */

static int map_fixed(u64 addr, u64 size, int prot, int flags)
{
	void *p = host_mmap((void *)addr, size, prot, /* NOLINT */
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | flags, -1, 0);

	if (host_is_err(p))
		return (int)(long)p;
	if ((u64)p != addr) {
		host_munmap(p, size);
		return -EEXIST;
	}
	return 0;
}

static void unmap_region(u64 base)
{
	host_munmap((void *)base, STUB_IMAGE_MAX); /* NOLINT */
	host_munmap((void *)(base + STUB_STACKS_OFFSET),
		    STUB_LANES_MAX * STUB_STACK_SIZE); /* NOLINT */
}

static int map_region(u64 base)
{
	void *stacks = (void *)(base + STUB_STACKS_OFFSET); /* NOLINT */
	int err;

	/* Is all of it free? */
	err = map_fixed(base, STUB_REGION_SIZE, PROT_NONE, MAP_NORESERVE);
	if (err)
		return err;
	host_munmap((void *)base, STUB_REGION_SIZE); /* NOLINT */
	err = map_fixed(base, STUB_IMAGE_MAX, PROT_READ | PROT_WRITE, 0);
	if (!err)
		err = map_fixed((u64)stacks, STUB_LANES_MAX * STUB_STACK_SIZE,
				PROT_READ | PROT_WRITE, MAP_NORESERVE);
	if (!err)
		(void)host_madvise(stacks, STUB_LANES_MAX * STUB_STACK_SIZE, MADV_NOHUGEPAGE);
	else
		unmap_region(base);
	return err;
}

/* ---- the zygote ---- */

static void fill_config(struct stub_config *cfg, u64 base)
{
	cfg->base = base;
	cfg->top = USER_TOP;
	cfg->fsgsbase = g_systrap.fsgsbase;
	cfg->fp_size = g_systrap.fp_size;
	cfg->mail_fd = g_systrap.mail_fd;
	cfg->doorbell_fd = g_systrap.doorbell_fd;
	cfg->proc_fd = g_systrap.proc_fd;
	cfg->kernel_pid = host_getpid();
	cfg->interrupt_signo = INTERRUPT_SIGNO;
	if (__rseq_size) {
		cfg->rseq_area = (u64)__builtin_thread_pointer() + (u64)__rseq_offset;
		cfg->rseq_size = sizeof(struct rseq) > 32 ? (u32)sizeof(struct rseq) : 32;
		cfg->rseq_signature = RSEQ_SIG;
	}
	cfg->piece_count = vdso_pieces(cfg->pieces, ARRAY_SIZE(cfg->pieces),
				       base + STUB_VDSO_OFFSET, STUB_VDSO_MAX);
	cfg->f0_prog.filter = base + STUB_CONFIG_OFFSET + offsetof(struct stub_config, f0);
	cfg->f0_prog.count =
		filter_build_f0((struct sock_filter *)cfg->f0, ARRAY_SIZE(cfg->f0), base);
	cfg->f1_prog.filter = base + STUB_CONFIG_OFFSET + offsetof(struct stub_config, f1);
	cfg->f1_prog.count = filter_build_f1((struct sock_filter *)cfg->f1, ARRAY_SIZE(cfg->f1),
					     base, g_systrap.fsgsbase);
}

static int await_zygote(void)
{
	struct pollfd p = { .fd = g_systrap.doorbell_fd, .events = POLLIN };
	u64 count;
	int err;

	err = host_poll(&p, 1, 10'000);
	if (err <= 0)
		return err ? err : -ETIMEDOUT;
	(void)!host_read(g_systrap.doorbell_fd, &count, sizeof(count));
	err = __atomic_load_n(&g_systrap.mail->error, __ATOMIC_ACQUIRE);
	return err;
}

static int start_zygote(u64 base)
{
	typedef long boot_fn(u64 stack_top);
	size_t size = (size_t)(systrap_image_end - systrap_image_start);
	struct stub_config *cfg = (struct stub_config *)(base + STUB_CONFIG_OFFSET); /* NOLINT */
	boot_fn *boot = (boot_fn *)stub_symbol(base, STUB_SYM_stub_boot); /* NOLINT */
	u64 stack = base + STUB_STACKS_OFFSET + STUB_STACK_SIZE - 256;
	long pid;
	int err;

	err = map_region(base);
	if (err)
		return err;
	memcpy((void *)base, systrap_image_start, size); /* NOLINT */
	fill_config(cfg, base);
	vdso_find(&g_systrap.vdso, cfg->pieces, cfg->piece_count);
	err = host_mprotect((void *)base, STUB_IMAGE_MAX, PROT_READ | PROT_EXEC); /* NOLINT */
	pid = err ? err : boot(stack);
	unmap_region(base);
	if (pid < 0)
		return (int)pid;
	g_systrap.base = base;
	g_systrap.zygote_pid = (pid_t)pid;
	err = await_zygote();
	if (err) {
		(void)host_kill((pid_t)pid, SIGKILL);
		(void)host_waitid(P_PID, (int)pid, &(siginfo_t){}, WEXITED | __WALL);
	}
	return err;
}

static int find_layout(void)
{
	int err = -EEXIST;

	for (u64 base = BASE_FIRST; base >= BASE_LAST; base -= BASE_STEP) {
		err = start_zygote(base);
		/* EEXIST: something of ours is there. EPERM: the vdso is sealed, below the base. */
		if (err != -EEXIST && err != -EPERM)
			break;
		if (err == -EPERM)
			base = min(base, align_down(vdso_lowest(), 1UL << 32));
	}
	return err;
}

static int open_mail(void)
{
	void *p;
	int err;

	g_systrap.mail_fd = host_memfd_create("donjon-zygote", 0);
	if (g_systrap.mail_fd < 0)
		return g_systrap.mail_fd;
	err = host_ftruncate(g_systrap.mail_fd, PAGE_SIZE);
	if (err)
		return err;
	p = host_mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, g_systrap.mail_fd, 0);
	if (host_is_err(p))
		return (int)(long)p;
	g_systrap.mail = p;
	g_systrap.mail->error = -1;
	g_systrap.doorbell_fd = host_eventfd(0, O_NONBLOCK);
	return g_systrap.doorbell_fd < 0 ? g_systrap.doorbell_fd : 0;
}

static void doorbell_ready(struct poll_source *source, u32 events)
{
	u64 count;

	(void)!host_read(source->fd, &count, sizeof(count));
	keeper_wake();
}

/* From now on there are no fresh spaces; those that there are go on, and fork. */
static void zygote_died(struct poll_source *source, u32 events)
{
	if (atomic_exchange(&g_systrap.zygote_dead, true))
		return;
	(void)host_waitid(P_PIDFD, source->fd, &(siginfo_t){}, WEXITED | WNOHANG | __WALL);
	if (!atomic_load(&g_systrap.stopping))
		log_warn("platform: the zygote died");
	keeper_wake();
}

static int watch_zygote(void)
{
	struct poll_source *s = &g_systrap.zygote;

	s->fd = host_pidfd_open(g_systrap.zygote_pid, 0);
	s->ready = zygote_died;
	return s->fd < 0 ? s->fd : poller_add(s, EPOLLIN | EPOLLONESHOT);
}

static void end_zygote(void)
{
	struct systrap *g = &g_systrap;

	poller_remove(&g->zygote);
	if (!atomic_load(&g->zygote_dead)) {
		(void)host_kill(g->zygote_pid, SIGKILL);
		(void)host_waitid(P_PID, g->zygote_pid, &(siginfo_t){}, WEXITED | __WALL);
	}
	host_close(g->zygote.fd);
}

int platform_boot(const struct pf_config *config)
{
	struct systrap *g = &g_systrap;
	int err;

	*g = (struct systrap){
		.deadline_ns = config->operation_deadline_ns > 0 ? config->operation_deadline_ns :
								   DEFAULT_DEADLINE_NS,
		.virtual_cpus = config->virtual_cpus,
		.spare_target = config->spare_spaces,
		.proc_fd = config->proc_fd > 0 ? config->proc_fd : -1,
		.main_tid = host_gettid(),
	};
	spin_init(&g->lock);
	list_init(&g->spaces);
	list_init(&g->spares);
	list_init(&g->reap);
	list_init(&g->garbage);
	list_init(&g->free_files);
	waitq_init(&g->spare_wait);
	g->tid_hash = calloc(TID_BUCKETS, sizeof(*g->tid_hash));
	if (!g->tid_hash)
		return -ENOMEM;
	for (int i = 0; i < TID_BUCKETS; i++)
		list_init(&g->tid_hash[i]);
	if (2 * getauxval(AT_MINSIGSTKSZ) + 8192 > STUB_STACK_SIZE)
		return -ENOTSUP;
	g->fsgsbase = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT;
	probe_fp();
	probe_tsc();
	probe_cpus();
	probe_memory();
	err = open_mail();
	if (err)
		return err;
	presize_descriptors();
	return find_layout();
}

int platform_start(void)
{
	struct systrap *g = &g_systrap;
	struct fiber *keeper = fiber_create(keeper_main, NULL);
	int err;

	if (!keeper)
		return -ENOMEM;
	g->doorbell.fd = g->doorbell_fd;
	g->doorbell.ready = doorbell_ready;
	err = poller_add(&g->doorbell, EPOLLIN);
	if (!err)
		err = watch_zygote();
	if (err)
		return err;
	systrap_lock();
	g->keeper = keeper;
	systrap_unlock();
	fiber_start(keeper);
	return 0;
}

static void kill_all(void)
{
	struct pf_space *s, *found;

	for (;;) {
		found = NULL;
		systrap_lock();
		list_for_each(s, &g_systrap.spaces, link)
			if (atomic_load(&s->state) != SPACE_DEAD) {
				found = s;
				pf_space_get(s);
				break;
			}
		systrap_unlock();
		if (!found)
			return;
		space_kill(found, SPACE_DEAD);
		pf_space_put(found);
	}
}

static void drop_spares(void)
{
	for (;;) {
		struct pf_space *s = NULL;

		systrap_lock();
		if (!list_empty(&g_systrap.spares)) {
			s = list_first(&g_systrap.spares, struct pf_space, spare_link);
			list_del(&s->spare_link);
			g_systrap.spare_count--;
		}
		systrap_unlock();
		if (!s)
			return;
		pf_thread_destroy(list_first(&s->threads, struct pf_thread, link));
	}
}

void platform_shutdown(void)
{
	struct systrap *g = &g_systrap;

	atomic_store(&g->stopping, true);
	keeper_wake();
	while (!atomic_load(&g->keeper_done)) {
		kill_all();
		drop_spares();
		fiber_park(sched_now() + 1'000'000);
		keeper_wake();
	}
	keeper_bury(); /* what we held ourselves while the keeper ended */
	log_debug(
		"platform: %lu events; waits: %lu attended, %lu not; %lu operations, %lu verified; spaces: %lu made, %lu killed",
		g->stats.events, g->stats.events_attended, g->stats.events_unattended,
		g->stats.operations, g->stats.verified, g->stats.spaces_created,
		g->stats.spaces_killed);
	end_zygote();
	poller_remove(&g->doorbell);
	host_close(g->doorbell_fd);
	host_munmap(g->mail, PAGE_SIZE);
	host_close(g->mail_fd);
	if (g->load_fd >= 0)
		host_close(g->load_fd);
	lane_files_drop_all();
	free(g->tid_hash);
	g->tid_hash = NULL;
}

u32 platform_fp_size(void)
{
	return g_systrap.fp_size;
}

u64 platform_xfeatures(void)
{
	return g_systrap.xfeatures;
}

const struct pf_host_vdso *platform_host_vdso(void)
{
	return &g_systrap.vdso;
}
