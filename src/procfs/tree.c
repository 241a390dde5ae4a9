/*
 * procfs: inodes, look-up and readdir.
 *
 * Positions in a directory: 0 and 1 for the dots, FIRST_ROW + i for row i, FIRST_NUMBER + n for the
 * entry named n (a process, thread or descriptor).
 */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena/slab.h"
#include "cred/cred.h"
#include "kernel/task.h"
#include "procfs/internal.h"
#include "vfs/fdtable.h"

#define PROC_MAGIC 0x9fa0
#define SYSFS_MAGIC 0x6265'6572
#define FIRST_ROW 2
#define FIRST_NUMBER 0x1000
#define THREADS_ROOM 64

SLAB_CLASS(proc_node, struct proc_node);

DECLARE_OPS(struct inode_ops, proc_dir_ops);
DECLARE_OPS(struct inode_ops, proc_regular_ops);
DECLARE_OPS(struct inode_ops, proc_link_ops);
DECLARE_OPS(struct inode_ops, proc_magic_ops);
DECLARE_OPS(struct super_ops, proc_super_ops);

const struct proc_dir *proc_dir_of(u32 kind)
{
	if (kind >= DIR_SYSFS)
		return &sysfs_dirs[kind - DIR_SYSFS];
	return kind >= DIR_SYS ? &proc_sys_dirs[kind - DIR_SYS] : &proc_dirs[kind];
}

const struct proc_row *proc_row_by_nr(u32 nr)
{
	return &proc_dir_of(nr >> 16)->rows[nr & 0xffff];
}

struct task *proc_caller(struct subject *s)
{
	return s && s->tid ? task_of(s) : NULL;
}

static bool task_gone(struct task *t)
{
	bool gone;

	tasks_lock();
	gone = t->released;
	tasks_unlock();
	return gone;
}

int proc_ctx_init(struct proc_ctx *ctx, struct subject *s, const struct proc_node *n)
{
	*ctx = (struct proc_ctx){
		.caller = proc_caller(s),
		.task = n->task,
		.whole_group = n->whole_group,
		.number = n->number,
		.row_nr = n->row,
		.row = proc_row_of(n),
	};
	return n->task && task_gone(n->task) ? -ESRCH : 0;
}

int proc_may_look(const struct proc_ctx *ctx)
{
	if (!ctx->task || !ctx->caller)
		return 0;
	return task_may_access(ctx->caller, ctx->task, false) ? 0 : -EACCES;
}

int proc_check_access(const struct proc_ctx *ctx)
{
	if (!ctx->row->guarded || !ctx->task || !ctx->caller)
		return 0;
	return task_may_access(ctx->caller, ctx->task, ctx->row->attach) ? 0 : -EACCES;
}

/* ---- inodes ---- */

static const struct inode_ops *ops_for(const struct proc_row *row)
{
	if (S_ISDIR(row->mode))
		return OPS(proc_dir_ops);
	if (S_ISREG(row->mode))
		return OPS(proc_regular_ops);
	return row->follow ? OPS(proc_magic_ops) : OPS(proc_link_ops);
}

/* What belongs to a task belongs to its effective ids, if it may be looked into; plain directories
 * do in any case. */
static void owner_of(struct task *t, u32 mode, u32 *ret_uid, u32 *ret_gid)
{
	const struct cred *c;

	*ret_uid = *ret_gid = 0;
	if (!t ||
	    (mode != (S_IFDIR | 0555) && __atomic_load_n(&t->tg->dumpable, __ATOMIC_RELAXED) != 1))
		return;
	c = task_get_cred(t);
	*ret_uid = c->euid;
	*ret_gid = c->egid;
	cred_put(c);
}

static u64 ino_of(u32 row, u32 tid, u32 number)
{
	if (!tid && !number && row >> 16 != DIR_NONE)
		return 0xf000'0000u + row;
	return hash_combine((u64)row << 32 | number, tid) & 0x7fff'ffff;
}

/* An inode of a row; a reference to task is taken. */
static int make_inode(struct super *sb, u32 row, struct task *task, bool whole_group, u32 number,
		      struct inode **ret)
{
	struct proc_node *n = slab_alloc(&slab_proc_node);
	const struct proc_row *r;
	struct inode *inode;
	u32 uid, gid;

	if (!n)
		return -ENOMEM;
	n->row = row;
	n->whole_group = whole_group;
	n->number = number;
	r = proc_row_of(n);
	owner_of(task, r->mode, &uid, &gid);
	inode = inode_create(sb, ops_for(r), ino_of(row, task ? task->subject.tid : 0, number),
			     r->mode, uid, gid);
	if (!inode) {
		slab_free(&slab_proc_node, n);
		return -ENOMEM;
	}
	if (task) {
		task_get(task);
		n->task = task;
	}
	if (S_ISDIR(r->mode))
		inode->nlink = 2;
	inode->private = n;
	*ret = inode;
	return 0;
}

static struct inode *proc_evict(struct inode *inode)
{
	struct proc_node *n = inode->private;

	if (!n)
		return NULL;
	task_put(n->task);
	slab_free(&slab_proc_node, n);
	return NULL;
}

/* ---- look-up ---- */

/* A decimal number as readdir shows it: no sign, no leading zero. */
static bool parse_number(const char *name, u32 *ret)
{
	u64 n = 0;

	if (!*name || (*name == '0' && name[1]))
		return false;
	for (; *name; name++) {
		if (*name < '0' || *name > '9')
			return false;
		n = n * 10 + (u64)(*name - '0');
		if (n > INT32_MAX)
			return false;
	}
	*ret = (u32)n;
	return true;
}

static int look_up_process(struct super *sb, struct proc_ctx *ctx, u32 number, struct inode **ret)
{
	struct task *t = ctx->caller ? process_lookup_get(ctx->caller, number) : NULL;
	int err;

	if (!t)
		return 0;
	err = make_inode(sb, ROW_TGID, t, true, 0, ret);
	task_put(t);
	return err;
}

static int look_up_thread(struct super *sb, struct proc_ctx *ctx, u32 number, struct inode **ret)
{
	struct task *t = ctx->caller ? task_lookup_get(ctx->caller, number) : NULL;
	int err = 0;

	if (t && t->tg == ctx->task->tg)
		err = make_inode(sb, ROW_TID, t, false, 0, ret);
	task_put(t);
	return err;
}

static struct file *file_of(struct task *t, u32 fd)
{
	struct fdtable *files = task_get_files(t);
	struct file *f;

	if (!files)
		return NULL;
	f = fd_get(files, (int)fd, NULL);
	fdtable_put(files);
	return f;
}

static int look_up_fd(struct super *sb, struct proc_ctx *ctx, u32 number, u32 row,
		      struct inode **ret)
{
	struct file *f = file_of(ctx->task, number);
	int err;

	if (!f)
		return 0;
	err = make_inode(sb, row, ctx->task, ctx->whole_group, number, ret);
	if (!err && row == ROW_FD)
		(*ret)->mode = S_IFLNK | (f->readable ? 0500u : 0) | (f->writable ? 0300u : 0);
	file_put(f);
	return err;
}

static int look_up_device(struct super *sb, u32 kind, u32 parent, const char *name,
			  struct inode **ret)
{
	u32 row, number;

	if (!sysfs_find_numbered(kind, parent, name, &row, &number))
		return 0;
	return make_inode(sb, row, NULL, false, number, ret);
}

static bool row_is_there(const struct proc_row *r, const struct proc_node *dir)
{
	return !r->only || r->only == (dir->whole_group ? ONLY_GROUP : ONLY_THREAD);
}

static int proc_lookup(struct subject *s, struct inode *dir, const char *name, struct inode **ret)
{
	const struct proc_node *n = dir->private;
	u32 kind = proc_row_of(n)->dir, number;
	const struct proc_dir *rows;
	struct proc_ctx ctx;
	int err;

	err = proc_ctx_init(&ctx, s, n);
	if (err)
		return -ENOENT;
	rows = proc_dir_of(kind);
	for (u32 i = 0; i < rows->count; i++) {
		const struct proc_row *r = &rows->rows[i];

		if (row_is_there(r, n) && strcmp(r->name, name) == 0)
			return make_inode(dir->sb, ROW_NR(kind, i), n->task, n->whole_group,
					  n->number, ret);
	}
	if (kind >= DIR_SYSFS)
		return look_up_device(dir->sb, kind, n->number, name, ret);
	if (!parse_number(name, &number))
		return 0;
	switch (kind) {
	case DIR_ROOT:
		return look_up_process(dir->sb, &ctx, number, ret);
	case DIR_TASK:
		return look_up_thread(dir->sb, &ctx, number, ret);
	case DIR_FD:
		return look_up_fd(dir->sb, &ctx, number, ROW_FD, ret);
	case DIR_FDINFO:
		return look_up_fd(dir->sb, &ctx, number, ROW_FDINFO, ret);
	default:
		return 0;
	}
}

/* ---- readdir ---- */

static bool emit_number(struct dir_context *ctx, u32 number, u64 ino, u8 type)
{
	char name[12];
	int len = snprintf(name, sizeof(name), "%u", number);
	s64 pos = FIRST_NUMBER + (s64)number;

	if (!ctx->emit(ctx, name, (size_t)len, ino, pos + 1, type))
		return false;
	ctx->pos = pos + 1;
	return true;
}

static bool emit_process(struct thread_group *tg, u32 pid, void *arg)
{
	return emit_number(arg, pid, ino_of(ROW_TGID, pid, 0), DT_DIR);
}

static int compare_u32(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return (x > y) - (x < y);
}

/* The thread ids of t's group, sorted; the array is the caller's to free. */
static u32 *thread_ids(struct task *caller, struct task *t, u32 *ret_count)
{
	u32 room = t->tg->task_count + THREADS_ROOM, count = 0;
	u32 *ids = calloc(room, sizeof(*ids));
	struct pid_ns *ns = task_pid_ns(caller);
	struct task *thread;

	if (!ids)
		return NULL;
	tasks_lock();
	list_for_each(thread, &t->tg->tasks, tg_link)
		if (count < room)
			ids[count++] = pid_nr(thread->pid, ns);
	tasks_unlock();
	qsort(ids, count, sizeof(*ids), compare_u32);
	*ret_count = count;
	return ids;
}

static int emit_threads(struct proc_ctx *p, struct dir_context *ctx, u32 from)
{
	u32 count, *ids = thread_ids(p->caller, p->task, &count);

	if (!ids)
		return -ENOMEM;
	for (u32 i = 0; i < count; i++)
		if (ids[i] && ids[i] >= from &&
		    !emit_number(ctx, ids[i], ino_of(ROW_TID, ids[i], 0), DT_DIR))
			break;
	free(ids);
	return 0;
}

static void emit_fds(struct proc_ctx *p, struct dir_context *ctx, u32 from, u32 row, u8 type)
{
	struct fdtable *files = task_get_files(p->task);

	if (!files)
		return;
	for (int fd = fdtable_next(files, (int)from); fd >= 0; fd = fdtable_next(files, fd + 1))
		if (!emit_number(ctx, (u32)fd, ino_of(row, p->task->subject.tid, (u32)fd), type))
			break;
	fdtable_put(files);
}

static void emit_devices(struct dir_context *ctx, u32 kind, u32 parent, u32 from)
{
	char name[SYSFS_NAME_SIZE];
	u32 row, number;

	for (u32 i = from; sysfs_numbered(kind, parent, i, name, &row, &number); i++) {
		if (*name && !ctx->emit(ctx, name, strlen(name), ino_of(row, 0, number),
					FIRST_NUMBER + (s64)i + 1, DT_DIR))
			return;
		ctx->pos = FIRST_NUMBER + (s64)i + 1;
	}
}

static bool emit_rows(struct dir_context *ctx, u32 kind, const struct proc_node *n)
{
	const struct proc_dir *dir = proc_dir_of(kind);
	u32 tid = n->task ? n->task->subject.tid : 0;

	for (u32 i = (u32)(ctx->pos - FIRST_ROW); i < dir->count; i++) {
		const struct proc_row *r = &dir->rows[i];

		if (row_is_there(r, n) && !ctx->emit(ctx, r->name, strlen(r->name),
						     ino_of(ROW_NR(kind, i), tid, n->number),
						     FIRST_ROW + i + 1, (u8)IFTODT(r->mode)))
			return false;
		ctx->pos = FIRST_ROW + i + 1;
	}
	ctx->pos = FIRST_NUMBER;
	return true;
}

static int proc_iterate(struct subject *s, struct file *f, struct dir_context *ctx)
{
	const struct proc_node *n = f->inode->private;
	u32 kind = proc_row_of(n)->dir, from;
	struct proc_ctx p;
	int err;

	err = proc_ctx_init(&p, s, n);
	if (err)
		return -ENOENT;
	if (!dir_emit_dots(f, ctx))
		return 0;
	if (ctx->pos < FIRST_NUMBER && !emit_rows(ctx, kind, n))
		return 0;
	if (ctx->pos - FIRST_NUMBER > INT32_MAX || !p.caller)
		return 0;
	from = (u32)(ctx->pos - FIRST_NUMBER);
	if (kind >= DIR_SYSFS) {
		emit_devices(ctx, kind, n->number, from);
		return 0;
	}
	if (kind == DIR_ROOT) {
		tasks_lock();
		group_for_each(task_pid_ns(p.caller), from, emit_process, ctx);
		tasks_unlock();
	} else if (kind == DIR_TASK) {
		return emit_threads(&p, ctx, from);
	} else if (kind == DIR_FD) {
		emit_fds(&p, ctx, from, ROW_FD, DT_LNK);
	} else if (kind == DIR_FDINFO) {
		emit_fds(&p, ctx, from, ROW_FDINFO, DT_REG);
	}
	return 0;
}

DEFINE_OPS(struct file_ops, proc_dir_file_ops) = {
	.iterate = proc_iterate,
	.lseek = dir_lseek,
};

struct pid *procfs_pid(const struct file *f)
{
	const struct proc_node *n;

	if (f->ops != OPS(proc_dir_file_ops))
		return NULL;
	n = f->inode->private;
	return n->row == ROW_TGID ? n->task->tg->pid : NULL;
}

/* ---- operations on inodes ---- */

static int proc_open(struct subject *s, struct inode *inode, struct file *f)
{
	const struct proc_node *n = inode->private;
	struct proc_ctx ctx;
	int err;

	err = proc_ctx_init(&ctx, s, n);
	if (err)
		return err;
	if (ctx.row->open)
		err = ctx.row->open(s, &ctx, f);
	else if (S_ISDIR(inode->mode))
		f->ops = OPS(proc_dir_file_ops);
	else
		err = proc_open_text(&ctx, f);
	/* Last: the task may be just now about to run another program, of which f has learnt. */
	return err ? err : proc_check_access(&ctx);
}

/* open(O_TRUNC) is allowed and does nothing. */
static int proc_setattr(struct subject *s, struct inode *inode, const struct iattr *attr)
{
	return attr->valid == ATTR_SIZE ? 0 : -EPERM;
}

static ssize_t proc_readlink(struct subject *s, struct inode *inode, char *buf, size_t size)
{
	const struct proc_node *n = inode->private;
	const struct proc_row *row = proc_row_of(n);
	struct proc_ctx ctx;
	struct strbuf out;
	int err;

	err = proc_ctx_init(&ctx, s, n);
	if (err)
		return -ENOENT;
	strbuf_init_fixed(&out, buf, size);
	if (row->show)
		err = row->show(s, &ctx, &out);
	else
		strbuf_puts(&out, row->text);
	if (!err)
		err = strbuf_error(&out) ? -ENAMETOOLONG : 0;
	return err ? err : (ssize_t)out.length;
}

static int proc_follow(struct subject *s, struct inode *inode, struct path *ret)
{
	const struct proc_node *n = inode->private;
	struct proc_ctx ctx;
	int err;

	err = proc_ctx_init(&ctx, s, n);
	if (err)
		return -ENOENT;
	err = proc_may_look(&ctx);
	return err ? err : proc_row_of(n)->follow(s, &ctx, ret);
}

/* readlink(2) of a magic link: the name of what it leads to, as seen from the caller's root. */
static ssize_t proc_magic_readlink(struct subject *s, struct inode *inode, char *buf, size_t size)
{
	struct path to, root = {};
	struct strbuf out;
	int err;

	err = proc_follow(s, inode, &to);
	if (err)
		return err;
	strbuf_init_fixed(&out, buf, size);
	if (s->fs)
		fs_context_get_root(s->fs, &root);
	err = path_format(&to, s->fs ? &root : NULL, &out);
	path_put(&root);
	path_put(&to);
	return err ? err == -ENOSPC ? -ENAMETOOLONG : err : (ssize_t)out.length;
}

DEFINE_OPS(struct inode_ops, proc_dir_ops) = {
	.lookup = proc_lookup,
	.setattr = proc_setattr,
	.open = proc_open,
	.evict = proc_evict,
};

DEFINE_OPS(struct inode_ops, proc_regular_ops) = {
	.setattr = proc_setattr,
	.open = proc_open,
	.evict = proc_evict,
};

DEFINE_OPS(struct inode_ops, proc_link_ops) = {
	.readlink = proc_readlink,
	.setattr = proc_setattr,
	.evict = proc_evict,
};

DEFINE_OPS(struct inode_ops, proc_magic_ops) = {
	.readlink = proc_magic_readlink,
	.follow = proc_follow,
	.setattr = proc_setattr,
	.evict = proc_evict,
};

DEFINE_OPS(struct super_ops, proc_super_ops) = {};

static int create(const char *type, u64 magic, u32 root_row, struct super **ret)
{
	struct inode *root;
	struct super *sb;
	int err;

	err = super_create(type, OPS(proc_super_ops), magic, SB_NOCACHE, NULL, &sb);
	if (err)
		return err;
	err = make_inode(sb, root_row, NULL, false, 0, &root);
	if (!err)
		err = super_set_root(sb, root);
	if (err) {
		super_put(sb);
		return err;
	}
	*ret = sb;
	return 0;
}

int procfs_create(struct super **ret)
{
	return create("proc", PROC_MAGIC, ROW_ROOT, ret);
}

int sysfs_create(struct super **ret)
{
	return create("sysfs", SYSFS_MAGIC, ROW_SYSFS, ret);
}
