/* /proc/PID/stat and /proc/PID/status (proc(5)). */

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "cred/cred.h"
#include "cred/user.h"
#include "kernel/ctty.h"
#include "kernel/task.h"
#include "mm/mm.h"
#include "procfs/internal.h"
#include "vfs/fdtable.h"

#define NS_PER_TICK 10'000'000UL /* USER_HZ is 100 */

/* What is read at one time under lc_tasks. */
struct identity {
	u32 tid, tgid, ppid, pgrp, session;
	u32 threads, exit_signal;
	char comm[sizeof(((struct task *)0)->comm)];
	sigset64 pending, shared_pending, blocked, ignored, caught;
	s32 niceness;
	u32 policy, priority;
	u8 affinity[128];
	u32 tty_nr; /* device of the controlling terminal */
	s32 tpgid; /* its foreground group */
};

static void read_signals(struct task *t, struct identity *id) REQUIRES(lc_tasks)
{
	struct sighand *h = t->sighand;

	if (!h)
		return;
	spin_lock(&h->lock, &lc_sighand);
	id->pending = t->pending.set;
	id->shared_pending = t->tg->pending.set;
	id->blocked = t->blocked;
	for (int i = 0; i < GUEST_NSIG; i++) {
		if (h->action[i].handler == 1)
			id->ignored |= 1UL << i;
		else if (h->action[i].handler)
			id->caught |= 1UL << i;
	}
	spin_unlock(&h->lock, &lc_sighand);
}

/* As new_encode_dev of Linux. */
static u32 encode_dev(u64 dev)
{
	u32 minor = minor(dev);

	return (minor & 0xff) | major(dev) << 8 | (minor & ~0xffu) << 12;
}

static void read_identity(struct proc_ctx *ctx, struct identity *id)
{
	struct task *t = ctx->task;
	struct thread_group *tg = t->tg;
	struct pid_ns *ns = task_pid_ns(ctx->caller ? ctx->caller : t);
	u64 dev;

	*id = (struct identity){};
	tasks_lock();
	id->tid = pid_nr(t->pid, ns);
	id->tgid = pid_nr(tg->pid, ns);
	id->ppid = tg->parent ? pid_nr(tg->parent->tg->pid, ns) : 0;
	if (tg->pgrp) {
		id->pgrp = pid_nr(tg->pgrp->pid, ns);
		if (tg->pgrp->session)
			id->session = pid_nr(tg->pgrp->session->pid, ns);
	}
	ctty_show(tg, ns, &dev, &id->tpgid);
	id->tty_nr = encode_dev(dev);
	id->threads = tg->task_count;
	id->exit_signal = t->exit_signal;
	read_signals(t, id);
	spin_lock(&t->lock, &lc_task);
	memcpy(id->comm, t->comm, sizeof(id->comm));
	id->niceness = t->niceness;
	id->policy = t->sched_policy;
	id->priority = t->sched_priority;
	memcpy(id->affinity, t->affinity, sizeof(id->affinity));
	spin_unlock(&t->lock, &lc_task);
	tasks_unlock();
}

/* ---- stat ---- */

struct space {
	struct mm_usage usage;
	struct mm_layout layout;
	struct mm_resident resident;
	u64 rss;
};

u64 proc_text_size(const struct mm_layout *l)
{
	u64 end = align_up(l->end_code, PAGE_SIZE), start = l->start_code & PAGE_MASK;

	return end > start ? end - start : 0;
}

/* All zero for a task without an mm. */
static bool read_space(struct task *t, struct space *sp)
{
	struct mm *mm = task_get_mm(t);

	*sp = (struct space){};
	if (!mm)
		return false;
	sp->usage = mm_usage(mm);
	sp->resident = mm_resident(mm);
	sp->rss = sp->resident.anonymous + sp->resident.file + sp->resident.shmem;
	sp->layout = mm_layout(mm);
	mm_put(mm);
	return true;
}

/* What top and ps sort by: a number that grows with niceness, or falls below zero with the priority
 * of a real-time task. */
static s32 stat_priority(const struct identity *id)
{
	bool real_time = id->policy == SCHED_FIFO || id->policy == SCHED_RR;

	return real_time ? -1 - (s32)id->priority : 20 + id->niceness;
}

/* Fields 14 to 22 and memory's. */
static void stat_put_times(struct task *t, const struct identity *id, const struct rusage_ns *own,
			   const struct rusage_ns *children, struct strbuf *out)
{
	strbuf_printf(out, "%lu %lu %lu %lu ", own->min_flt, children->min_flt, own->maj_flt,
		      children->maj_flt);
	strbuf_printf(out, "%lu %lu %lu %lu ", own->utime / NS_PER_TICK, own->stime / NS_PER_TICK,
		      children->utime / NS_PER_TICK, children->stime / NS_PER_TICK);
	strbuf_printf(out, "%d %d %u 0 %lu ", stat_priority(id), id->niceness, id->threads,
		      (u64)t->start_time / NS_PER_TICK);
}

int proc_show_stat(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct task *t = ctx->task;
	struct rusage_ns own = ctx->whole_group ? group_usage(t->tg) : task_usage(t), children;
	bool look = !proc_may_look(ctx);
	struct identity id;
	struct mm_layout l;
	struct space sp;

	read_identity(ctx, &id);
	l = (struct mm_layout){ .start_code = 1, .end_code = 1 };
	if (!read_space(t, &sp) || look)
		l = sp.layout;
	tasks_lock();
	children = t->tg->child_usage;
	tasks_unlock();
	strbuf_printf(out, "%u (%.*s) %c %u %u %u %u %d %u ", id.tid, (int)sizeof(id.comm), id.comm,
		      task_state_char(t), id.ppid, id.pgrp, id.session, id.tty_nr, id.tpgid,
		      0x400000u);
	stat_put_times(t, &id, &own, &children, out);
	strbuf_printf(out, "%lu %lu %lu ", sp.usage.total, sp.rss / PAGE_SIZE,
		      rlimit_get(&t->tg->rlimits, RLIMIT_RSS));
	strbuf_printf(out, "%lu %lu %lu 0 0 ", l.start_code, l.end_code, l.start_stack);
	strbuf_printf(out, "%lu %lu %lu %lu 0 0 0 ", id.pending & 0x7fff'ffff,
		      id.blocked & 0x7fff'ffff, id.ignored & 0x7fff'ffff, id.caught & 0x7fff'ffff);
	strbuf_printf(out, "%u %u %u %u 0 0 0 ", id.exit_signal, task_cpu(t), id.priority,
		      id.policy);
	strbuf_printf(out, "%lu %lu %lu %lu %lu %lu %lu %d\n", l.start_data, l.end_data,
		      l.start_brk, l.arg_start, l.arg_end, l.env_start, l.env_end,
		      look ? t->exit_status : 0);
	return 0;
}

/* ---- status ---- */

static const char *state_name(char c)
{
	static const char *const names[] = {
		"R (running)",	    "S (sleeping)", "D (disk sleep)", "T (stopped)",
		"t (tracing stop)", "Z (zombie)",   "X (dead)",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i][0] == c)
			return names[i];
	return names[0];
}

/* A newline would look like the next field. */
static void put_name(const char *comm, size_t size, struct strbuf *out)
{
	for (; size && *comm; comm++, size--) {
		if (*comm == '\n')
			strbuf_puts(out, "\\n");
		else if (*comm == '\\')
			strbuf_puts(out, "\\\\");
		else
			strbuf_putc(out, *comm);
	}
}

static void put_cred(struct task *t, struct strbuf *out)
{
	const struct cred *c = task_get_cred(t);

	strbuf_printf(out, "Uid:\t%u\t%u\t%u\t%u\n", c->uid, c->euid, c->suid, c->fsuid);
	strbuf_printf(out, "Gid:\t%u\t%u\t%u\t%u\n", c->gid, c->egid, c->sgid, c->fsgid);
	cred_put(c);
}

static void put_groups(struct task *t, struct strbuf *out)
{
	const struct cred *c = task_get_cred(t);

	strbuf_puts(out, "Groups:\t");
	for (u32 i = 0; c->groups && i < c->groups->count; i++)
		strbuf_printf(out, i ? " %u" : "%u", c->groups->gid[i]);
	strbuf_puts(out, " \n");
	cred_put(c);
}

static void put_caps(struct task *t, struct strbuf *out)
{
	const struct cred *c = task_get_cred(t);

	strbuf_printf(
		out,
		"CapInh:\t%016lx\nCapPrm:\t%016lx\nCapEff:\t%016lx\nCapBnd:\t%016lx\nCapAmb:\t%016lx\n",
		c->cap_inheritable, c->cap_permitted, c->cap_effective, c->cap_bounding,
		c->cap_ambient);
	cred_put(c);
}

static void put_size(struct strbuf *out, const char *name, u64 bytes)
{
	strbuf_printf(out, "%s:\t%8lu kB\n", name, bytes / 1024);
}

static void put_memory_sizes(struct task *t, struct strbuf *out)
{
	u64 text, code;
	struct space sp;

	if (!read_space(t, &sp))
		return;
	text = proc_text_size(&sp.layout);
	code = max(sp.usage.text, text);
	put_size(out, "VmPeak", max(sp.usage.peak_total, sp.usage.total));
	put_size(out, "VmSize", sp.usage.total);
	put_size(out, "VmLck", sp.usage.locked);
	put_size(out, "VmPin", 0);
	put_size(out, "VmHWM", sp.resident.peak);
	put_size(out, "VmRSS", sp.rss);
	put_size(out, "RssAnon", sp.resident.anonymous);
	put_size(out, "RssFile", sp.resident.file);
	put_size(out, "RssShmem", sp.resident.shmem);
	put_size(out, "VmData", sp.usage.data);
	put_size(out, "VmStk", sp.usage.stack);
	put_size(out, "VmExe", text);
	put_size(out, "VmLib", code - text);
	put_size(out, "VmPTE", sp.resident.page_tables);
	put_size(out, "VmSwap", sp.resident.swap);
	strbuf_puts(out, "HugetlbPages:\t       0 kB\nCoreDumping:\t0\nTHP_enabled:\t1\n");
}

/* In words of 32 bits, the highest first. */
void proc_put_mask(const u8 *mask, u32 size, struct strbuf *out)
{
	u32 words = size / 4, last;

	for (last = words - 1; last > 0 && !*(const u32 *)(const void *)&mask[4 * last]; last--)
		;
	for (u32 i = last + 1; i-- > 0;)
		strbuf_printf(out, "%0*x%s", i == last ? 1 : 8,
			      *(const u32 *)(const void *)&mask[4 * i], i ? "," : "\n");
}

void proc_put_list(const u8 *mask, u32 size, struct strbuf *out)
{
	for (u32 cpu = 0, n = 0; cpu < size * 8; cpu++) {
		u32 first = cpu;

		while (cpu < size * 8 && mask[cpu / 8] >> (cpu % 8) & 1)
			cpu++;
		if (cpu == first)
			continue;
		strbuf_printf(out, "%s%u", n++ ? "," : "", first);
		if (cpu - 1 > first)
			strbuf_printf(out, "-%u", cpu - 1);
	}
	strbuf_putc(out, '\n');
}

/* The ids in the reader's namespace and in those below it, as far as the process is in them. */
static void put_ids(struct strbuf *out, const char *name, const struct pid *p, u32 level)
{
	strbuf_puts(out, name);
	for (u32 i = level; p && i <= p->level; i++)
		strbuf_printf(out, "\t%u", p->number[i]);
	strbuf_putc(out, '\n');
}

static void put_all_ids(struct proc_ctx *ctx, struct strbuf *out)
{
	struct task *t = ctx->task;
	struct process_group *g;
	u32 level = task_pid_ns(ctx->caller ? ctx->caller : t)->level;

	tasks_lock();
	g = t->tg->pgrp;
	put_ids(out, "NStgid:", t->tg->pid, level);
	put_ids(out, "NSpid:", t->pid, level);
	put_ids(out, "NSpgid:", g ? g->pid : NULL, level);
	put_ids(out, "NSsid:", g && g->session ? g->session->pid : NULL, level);
	tasks_unlock();
}

static u32 queued_signals(struct task *t)
{
	u32 n;

	spin_lock(&t->lock, &lc_task);
	n = t->user ? atomic_load(&t->user->sigpending) : 0;
	spin_unlock(&t->lock, &lc_task);
	return n;
}

static u32 table_size(struct task *t)
{
	struct fdtable *files = task_get_files(t);
	int last = -1;

	if (!files)
		return 0;
	for (int fd = fdtable_next(files, 0); fd >= 0; fd = fdtable_next(files, fd + 1))
		last = fd;
	fdtable_put(files);
	return (u32)align_up((u64)max(last, 0) + 1, 64);
}

static u32 umask_of(struct task *t)
{
	struct fs_context *fs = task_get_fs(t);
	u32 umask = fs ? __atomic_load_n(&fs->umask, __ATOMIC_RELAXED) : 0;

	fs_context_put(fs);
	return umask;
}

int proc_show_status(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct task *t = ctx->task;
	struct identity id;

	(void)task_cpu_times(t); /* and with them the context switches */
	read_identity(ctx, &id);
	strbuf_puts(out, "Name:\t");
	put_name(id.comm, sizeof(id.comm), out);
	strbuf_printf(out, "\nUmask:\t%04o\nState:\t%s\nTgid:\t%u\nNgid:\t0\nPid:\t%u\nPPid:\t%u\n",
		      umask_of(t), state_name(task_state_char(t)), id.tgid, id.tid, id.ppid);
	strbuf_puts(out, "TracerPid:\t0\n");
	put_cred(t, out);
	strbuf_printf(out, "FDSize:\t%u\n", table_size(t));
	put_groups(t, out);
	put_all_ids(ctx, out);
	put_memory_sizes(t, out);
	strbuf_printf(out, "Threads:\t%u\nSigQ:\t%u/%lu\n", id.threads, queued_signals(t),
		      rlimit_get(&t->tg->rlimits, RLIMIT_SIGPENDING));
	strbuf_printf(
		out,
		"SigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%016lx\n",
		id.pending, id.shared_pending, id.blocked, id.ignored, id.caught);
	put_caps(t, out);
	strbuf_printf(out, "NoNewPrivs:\t%d\nSeccomp:\t0\nSeccomp_filters:\t0\n", t->no_new_privs);
	strbuf_puts(out, "Speculation_Store_Bypass:\tvulnerable\n"
			 "SpeculationIndirectBranch:\talways enabled\nCpus_allowed:\t");
	proc_put_mask(id.affinity, sizeof(id.affinity), out);
	strbuf_puts(out, "Cpus_allowed_list:\t");
	proc_put_list(id.affinity, sizeof(id.affinity), out);
	strbuf_puts(out, "Mems_allowed:\t1\nMems_allowed_list:\t0\n");
	strbuf_printf(out, "voluntary_ctxt_switches:\t%lu\nnonvoluntary_ctxt_switches:\t%lu\n",
		      t->nvcsw, t->nivcsw);
	return 0;
}
