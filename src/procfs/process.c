/* Files of /proc/PID but for stat and status. */

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "kernel/task.h"
#include "mm/mm.h"
#include "procfs/internal.h"

#define READ_PIECE 4096

/* Append [start, end) of another process's memory, as much as can be read. */
static int put_memory(struct mm *mm, u64 start, u64 end, struct strbuf *out)
{
	char buf[READ_PIECE];

	while (start < end) {
		ssize_t n = mm_read_other(mm, buf, UADDR(start),
					  (size_t)min(end - start, (u64)sizeof(buf)));

		if (n <= 0)
			return out->length ? 0 : (int)n;
		strbuf_append(out, buf, (size_t)n);
		if (strbuf_error(out))
			return strbuf_error(out);
		start += (u64)n;
	}
	return 0;
}

/* A program that writes a title over its arguments, and on over its environment, leaves no NUL at
 * their end. */
int proc_show_cmdline(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct mm *mm = task_get_mm(ctx->task);
	struct mm_layout l;
	size_t args;
	int err;

	if (!mm)
		return 0;
	l = mm_layout(mm);
	args = (size_t)(l.arg_end - l.arg_start);
	err = put_memory(mm, l.arg_start, l.arg_end, out);
	if (!err && out->length == args && args && out->data[args - 1] &&
	    l.env_start == l.arg_end) {
		err = put_memory(mm, l.env_start, l.env_end, out);
		if (!err)
			out->length = strnlen(out->data, out->length);
	}
	mm_put(mm);
	return err;
}

int proc_show_environ(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct mm *mm = task_get_mm(ctx->task);
	struct mm_layout l;
	int err;

	if (!mm)
		return 0;
	l = mm_layout(mm);
	err = put_memory(mm, l.env_start, l.env_end, out);
	mm_put(mm);
	return err;
}

int proc_show_auxv(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct mm *mm = task_get_mm(ctx->task);
	u64 auxv[2 * MM_AUXV_MAX];
	unsigned int count;

	if (!mm)
		return 0;
	count = mm_get_auxv(mm, auxv);
	strbuf_append(out, auxv, count * 2 * sizeof(u64));
	mm_put(mm);
	return 0;
}

int proc_show_comm(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	char comm[sizeof(ctx->task->comm)];

	spin_lock(&ctx->task->lock, &lc_task);
	memcpy(comm, ctx->task->comm, sizeof(comm));
	spin_unlock(&ctx->task->lock, &lc_task);
	strbuf_printf(out, "%.*s\n", (int)sizeof(comm), comm);
	return 0;
}

/* Threads of a process may name each other. */
int proc_store_comm(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	struct task *t = ctx->task;
	size_t len = strnlen(data, min(size, sizeof(t->comm) - 1));

	if (!ctx->caller || ctx->caller->tg != t->tg)
		return -EINVAL;
	if (len > 0 && data[len - 1] == '\n')
		len--;
	spin_lock(&t->lock, &lc_task);
	memset(t->comm, 0, sizeof(t->comm));
	memcpy(t->comm, data, len);
	spin_unlock(&t->lock, &lc_task);
	return 0;
}

/* ---- memory ---- */

int proc_show_maps(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct mm *mm = task_get_mm(ctx->task);
	int err;

	if (!mm)
		return 0;
	err = mm_format_maps(mm, out);
	mm_put(mm);
	return err;
}

static int show_smaps(struct proc_ctx *ctx, bool rollup, struct strbuf *out)
{
	struct mm *mm = task_get_mm(ctx->task);
	int err;

	if (!mm)
		return rollup ? -ESRCH : 0;
	err = mm_format_smaps(mm, rollup, out);
	mm_put(mm);
	return err;
}

int proc_show_smaps(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return show_smaps(ctx, false, out);
}

int proc_show_smaps_rollup(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return show_smaps(ctx, true, out);
}

int proc_show_numa_maps(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct mm *mm = task_get_mm(ctx->task);
	int err;

	if (!mm)
		return 0;
	err = mm_format_numa_maps(mm, out);
	mm_put(mm);
	return err;
}

/* ---- mounts ---- */

static int show_mounts(struct proc_ctx *ctx, bool info, struct strbuf *out)
{
	struct fs_context *fs = task_get_fs(ctx->task);
	struct path root;
	int err;

	if (!fs)
		return -EINVAL;
	fs_context_get_root(fs, &root);
	err = mount_ns_format(fs->mount_ns, &root, info, out);
	path_put(&root);
	fs_context_put(fs);
	return err;
}

int proc_show_mounts(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return show_mounts(ctx, false, out);
}

/* "device SOURCE mounted on PLACE with fstype TYPE", made of the lines of mounts. */
int proc_show_mountstats(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct strbuf mounts;
	int err;

	strbuf_init(&mounts, 1 << 24);
	err = show_mounts(ctx, false, &mounts);
	for (const char *p = strbuf_str(&mounts); !err && *p;) {
		int len[3];

		for (int i = 0; i < 3; i++) {
			static const char *const before[] = { "device ", " mounted on ",
							      " with fstype " };

			len[i] = (int)strcspn(p, " ");
			strbuf_printf(out, "%s%.*s", before[i], len[i], p);
			p += len[i] + (p[len[i]] == ' ');
		}
		strbuf_putc(out, '\n');
		p += strcspn(p, "\n");
		p += *p == '\n';
	}
	strbuf_fini(&mounts);
	return err;
}

int proc_show_mountinfo(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return show_mounts(ctx, true, out);
}

int proc_show_statm(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct mm *mm = task_get_mm(ctx->task);
	struct mm_resident r = {};
	struct mm_layout l = {};
	struct mm_usage u = {};
	u64 shared;

	if (mm) {
		u = mm_usage(mm);
		r = mm_resident(mm);
		l = mm_layout(mm);
		mm_put(mm);
	}
	shared = r.file + r.shmem;
	strbuf_printf(out, "%lu %lu %lu %lu 0 %lu 0\n", u.total / PAGE_SIZE,
		      (r.anonymous + shared) / PAGE_SIZE, shared / PAGE_SIZE,
		      proc_text_size(&l) / PAGE_SIZE, (u.data + u.stack) / PAGE_SIZE);
	return 0;
}

/* ---- what a process does ---- */

int proc_show_io(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct io_usage io = ctx->whole_group ? group_io(ctx->task->tg) : task_io(ctx->task);

	strbuf_printf(out, "rchar: %lu\nwchar: %lu\nsyscr: %lu\nsyscw: %lu\n", io.rchar, io.wchar,
		      io.syscr, io.syscw);
	strbuf_puts(out, "read_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n");
	return 0;
}

int proc_show_children(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct pid_ns *ns = task_pid_ns(ctx->caller ? ctx->caller : ctx->task);
	struct thread_group *child;

	tasks_lock();
	list_for_each(child, &ctx->task->children, sibling) {
		u32 pid = pid_nr(child->pid, ns);

		if (pid)
			strbuf_printf(out, "%u ", pid);
	}
	tasks_unlock();
	return 0;
}

/* CPU time, time spent waiting for a CPU (not known), and how often it was given one. */
int proc_show_schedstat(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct task_cpu_times cpu = task_cpu_times(ctx->task);

	strbuf_printf(out, "%lu 0 %lu\n", cpu.user_ns + cpu.sys_ns,
		      ctx->task->nvcsw + ctx->task->nivcsw + 1);
	return 0;
}

static void put_sched(struct strbuf *out, const char *name, u64 value)
{
	strbuf_printf(out, "%-45s:%21lu\n", name, value);
}

int proc_show_sched(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct task *t = ctx->task;
	struct task_cpu_times cpu = task_cpu_times(t);
	u64 used = cpu.user_ns + cpu.sys_ns;
	char comm[sizeof(t->comm)];
	u32 threads, policy;
	s32 niceness;

	tasks_lock();
	threads = t->tg->task_count;
	spin_lock(&t->lock, &lc_task);
	memcpy(comm, t->comm, sizeof(comm));
	policy = t->sched_policy;
	niceness = t->niceness;
	spin_unlock(&t->lock, &lc_task);
	tasks_unlock();
	strbuf_printf(out, "%.*s (%u, #threads: %u)\n", (int)sizeof(comm), comm,
		      pid_nr(t->pid, task_pid_ns(ctx->caller ? ctx->caller : t)), threads);
	strbuf_puts(out, "-------------------------------------------------------------------\n");
	strbuf_printf(out, "%-45s:%14lu.%06lu\n", "se.exec_start", (u64)t->start_time / 1'000'000,
		      (u64)t->start_time % 1'000'000);
	strbuf_printf(out, "%-45s:%14lu.%06lu\n", "se.vruntime", used / 1'000'000,
		      used % 1'000'000);
	strbuf_printf(out, "%-45s:%14lu.%06lu\n", "se.sum_exec_runtime", used / 1'000'000,
		      used % 1'000'000);
	put_sched(out, "se.nr_migrations", 0);
	put_sched(out, "nr_switches", t->nvcsw + t->nivcsw);
	put_sched(out, "nr_voluntary_switches", t->nvcsw);
	put_sched(out, "nr_involuntary_switches", t->nivcsw);
	put_sched(out, "policy", policy);
	put_sched(out, "prio", 120 + (u64)niceness);
	return 0;
}

/* What another task is in the middle of is its own affair: it counts as running. */
int proc_show_syscall(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	const struct task *t = ctx->task;

	if (t != ctx->caller) {
		strbuf_puts(out, "running\n");
		return 0;
	}
	strbuf_printf(out, "%d", t->syscall_nr);
	for (int i = 0; i < 6; i++)
		strbuf_printf(out, " 0x%lx", t->syscall_args[i]);
	strbuf_printf(out, " 0x%lx 0x%lx\n", t->regs.rsp, t->regs.rip);
	return 0;
}

int proc_show_timers(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct pid_ns *ns = task_pid_ns(ctx->caller ? ctx->caller : ctx->task);
	static const char *const how[] = { "signal", "none", "thread" };
	struct timer_view v;

	for (s32 id = 0; task_timer_view(ctx->task, id, ns, &v); id = v.id + 1) {
		strbuf_printf(out, "ID: %d\nsignal: %d/%016lx\n", v.id, v.signo, v.value);
		strbuf_printf(out, "notify: %s/%s.%u\nClockID: %d\n",
			      v.notify & 3 ? how[v.notify & 1] : how[0],
			      v.notify & SIGEV_THREAD_ID ? "tid" : "pid", v.pid, v.clock);
	}
	return 0;
}

int proc_show_nothing(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return 0;
}

/* ---- limits ---- */

static const struct {
	const char *name, *unit;
} limit_names[RLIMIT_COUNT] = {
	[RLIMIT_CPU] = { "Max cpu time", "seconds" },
	[RLIMIT_FSIZE] = { "Max file size", "bytes" },
	[RLIMIT_DATA] = { "Max data size", "bytes" },
	[RLIMIT_STACK] = { "Max stack size", "bytes" },
	[RLIMIT_CORE] = { "Max core file size", "bytes" },
	[RLIMIT_RSS] = { "Max resident set", "bytes" },
	[RLIMIT_NPROC] = { "Max processes", "processes" },
	[RLIMIT_NOFILE] = { "Max open files", "files" },
	[RLIMIT_MEMLOCK] = { "Max locked memory", "bytes" },
	[RLIMIT_AS] = { "Max address space", "bytes" },
	[RLIMIT_LOCKS] = { "Max file locks", "locks" },
	[RLIMIT_SIGPENDING] = { "Max pending signals", "signals" },
	[RLIMIT_MSGQUEUE] = { "Max msgqueue size", "bytes" },
	[RLIMIT_NICE] = { "Max nice priority", "" },
	[RLIMIT_RTPRIO] = { "Max realtime priority", "" },
	[RLIMIT_RTTIME] = { "Max realtime timeout", "us" },
};

static void put_limit(struct strbuf *out, u64 value)
{
	if (value == RLIM_INFINITY)
		strbuf_printf(out, "%-20s ", "unlimited");
	else
		strbuf_printf(out, "%-20lu ", value);
}

int proc_show_limits(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit",
		      "Units");
	for (int i = 0; i < RLIMIT_COUNT; i++) {
		struct rlimit64_pair pair = rlimit_read(&ctx->task->tg->rlimits, i);

		strbuf_printf(out, "%-25s ", limit_names[i].name);
		put_limit(out, pair.cur);
		put_limit(out, pair.max);
		strbuf_printf(out, "%-10s\n", limit_names[i].unit);
	}
	return 0;
}
