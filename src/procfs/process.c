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

int proc_store_nothing(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	return 0;
}

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

int proc_show_mountinfo(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return show_mounts(ctx, true, out);
}

int proc_show_statm(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct mm *mm = task_get_mm(ctx->task);
	struct mm_usage u = {};
	u64 rss = 0;

	if (mm) {
		u = mm_usage(mm);
		rss = mm_rss(mm);
		mm_put(mm);
	}
	strbuf_printf(out, "%lu %lu %lu %lu 0 %lu 0\n", u.total / PAGE_SIZE, rss / PAGE_SIZE, 0UL,
		      u.text / PAGE_SIZE, (u.data + u.stack) / PAGE_SIZE);
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
