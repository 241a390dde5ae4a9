/* Links of /proc, and what they lead to. */

#include <errno.h>
#include <fcntl.h>

#include "kernel/task.h"
#include "procfs/internal.h"
#include "vfs/fdtable.h"

/* Declared by vfs/file.c: an executable that is mapped is an open file. */
DECLARE_OPS(struct mappable_ops, file_mappable_ops);

int proc_show_self(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	if (!ctx->caller)
		return -ENOENT;
	strbuf_printf(out, "%u", task_tgid(ctx->caller));
	return 0;
}

int proc_show_thread_self(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	if (!ctx->caller)
		return -ENOENT;
	strbuf_printf(out, "%u/task/%u", task_tgid(ctx->caller), task_tid(ctx->caller));
	return 0;
}

int proc_follow_exe(struct subject *s, struct proc_ctx *ctx, struct path *ret)
{
	struct mm *mm = task_get_mm(ctx->task);
	struct mappable *exe = mm ? mm_get_exe(mm) : NULL;
	int err = -ENOENT;

	if (exe && exe->ops == OPS(file_mappable_ops)) {
		*ret = container_of(exe, struct file, mappable)->path;
		path_get(ret);
		err = 0;
	}
	if (exe)
		exe->ops->put(exe);
	if (mm)
		mm_put(mm);
	return err;
}

int proc_follow_cwd(struct subject *s, struct proc_ctx *ctx, struct path *ret)
{
	struct fs_context *fs = task_get_fs(ctx->task);

	if (!fs)
		return -ENOENT;
	fs_context_get_cwd(fs, ret);
	fs_context_put(fs);
	return 0;
}

int proc_follow_root(struct subject *s, struct proc_ctx *ctx, struct path *ret)
{
	struct fs_context *fs = task_get_fs(ctx->task);

	if (!fs)
		return -ENOENT;
	fs_context_get_root(fs, ret);
	fs_context_put(fs);
	return 0;
}

static struct file *ctx_file(struct proc_ctx *ctx, u32 *ret_flags)
{
	struct fdtable *files = task_get_files(ctx->task);
	struct file *f;

	if (!files)
		return NULL;
	f = fd_get(files, (int)ctx->number, ret_flags);
	fdtable_put(files);
	return f;
}

int proc_follow_fd(struct subject *s, struct proc_ctx *ctx, struct path *ret)
{
	struct file *f = ctx_file(ctx, NULL);

	if (!f)
		return -ENOENT;
	*ret = f->path;
	path_get(ret);
	file_put(f);
	return 0;
}

/* As in Linux, without the lock that reads and writes hold: what is shown is the position of some
 * moment. */
__attribute__((no_sanitize("thread"))) static s64 position_of(const struct file *f)
{
	return *(const volatile s64 *)&f->pos;
}

int proc_show_fdinfo(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	u32 fd_flags;
	struct file *f = ctx_file(ctx, &fd_flags);

	if (!f)
		return -ENOENT;
	strbuf_printf(out, "pos:\t%lld\nflags:\t0%o\nmnt_id:\t%u\nino:\t%llu\n",
		      (long long)position_of(f),
		      f->flags | (fd_flags & FD_CLOEXEC_FLAG ? O_CLOEXEC : 0),
		      f->path.mnt ? f->path.mnt->id : 15, (unsigned long long)f->inode->ino);
	if (f->ops->show_fdinfo)
		f->ops->show_fdinfo(f, out);
	file_put(f);
	return 0;
}
