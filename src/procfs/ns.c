/*
 * /proc/PID/ns: magic links to namespaces. There is one namespace of each kind but UTS, with the
 * number that Linux gives the first one. An open link is a file without a name that stands for the
 * namespace and keeps it: setns(2) takes it, and ioctl_ns(2) asks it.
 */

#include "procfs/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "arena/slab.h"
#include "kernel/task.h"
#include "procfs/internal.h"
#include "vfs/fdtable.h"

static const struct ns_kind {
	const char *link, *name;
	u32 flag; /* CLONE_NEW* */
	u32 ino;
} ns_kinds[] = {
	{ "cgroup", "cgroup", CLONE_NEWCGROUP, 0xefff'fffb },
	{ "ipc", "ipc", CLONE_NEWIPC, 0xefff'ffff },
	{ "mnt", "mnt", CLONE_NEWNS, 0xf000'0000 },
	{ "net", "net", CLONE_NEWNET, 0xf000'0001 },
	{ "pid", "pid", CLONE_NEWPID, 0xefff'fffc },
	{ "pid_for_children", "pid", CLONE_NEWPID, 0xefff'fffc },
	{ "time", "time", CLONE_NEWTIME, 0xefff'fffa },
	{ "time_for_children", "time", CLONE_NEWTIME, 0xefff'fffa },
	{ "user", "user", CLONE_NEWUSER, 0xefff'fffd },
	{ "uts", "uts", CLONE_NEWUTS, 0xefff'fffe },
};

DECLARE_OPS(struct inode_ops, ns_inode_ops);
DECLARE_OPS(struct file_ops, ns_file_ops);

/* What an inode stands for. */
struct ns_ref {
	u32 kind; /* [I] index */
	struct uts_ns *uts; /* [I] owned; null but for that kind */
};

SLAB_CLASS(ns_ref, struct ns_ref);

static const struct ns_kind *kind_of(const struct inode *inode)
{
	const struct ns_ref *r = inode->private;

	return &ns_kinds[r->kind];
}

/* uts: of that kind, the namespace; the reference is taken over. */
static int ns_path(const struct ns_kind *k, struct uts_ns *uts, struct path *ret)
{
	struct ns_ref *r = slab_alloc(&slab_ns_ref);
	u32 ino = uts ? uts->ino : k->ino;
	struct inode *inode;
	char name[32];

	inode = r ? inode_create(NULL, OPS(ns_inode_ops), ino, S_IFREG | 0444, 0, 0) : NULL;
	if (!inode) {
		slab_free(&slab_ns_ref, r);
		uts_ns_put(uts);
		return -ENOMEM;
	}
	*r = (struct ns_ref){ .kind = (u32)(k - ns_kinds), .uts = uts };
	inode->private = r;
	snprintf(name, sizeof(name), "%s:[%u]", k->name, ino);
	return path_create_anon(name, inode, ret);
}

static struct inode *ns_evict(struct inode *inode)
{
	struct ns_ref *r = inode->private;

	uts_ns_put(r->uts);
	slab_free(&slab_ns_ref, r);
	return NULL;
}

int proc_follow_ns(struct subject *s, struct proc_ctx *ctx, struct path *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(ns_kinds); i++) {
		struct uts_ns *uts = NULL;

		if (strcmp(ns_kinds[i].link, ctx->row->name) != 0)
			continue;
		if (ns_kinds[i].flag == CLONE_NEWUTS) {
			uts = task_get_uts(ctx->task);
			if (!uts)
				return -ENOENT;
		}
		return ns_path(&ns_kinds[i], uts, ret);
	}
	return -ENOENT;
}

u32 ns_file_type(const struct file *f)
{
	return f->ops == OPS(ns_file_ops) ? kind_of(f->inode)->flag : 0;
}

static int join_mounts(struct task *t)
{
	struct fs_context *fs = t->subject.fs;
	struct path root;

	if (!subject_capable(&t->subject, CAP_SYS_CHROOT))
		return -EPERM;
	/* Those that merely look at it through /proc do not count. */
	if (atomic_load(&fs->users) > 1)
		return -EINVAL;
	mount_ns_root(fs->mount_ns, &root);
	fs_context_set_root(fs, &root);
	fs_context_set_cwd(fs, &root);
	path_put(&root);
	return 0;
}

int ns_file_join(struct task *t, const struct file *f)
{
	const struct ns_ref *r = f->inode->private;
	u32 type = ns_kinds[r->kind].flag;

	/* Everybody is in the first user namespace, and nobody may enter his own. */
	if (type == CLONE_NEWUSER)
		return -EINVAL;
	if (!subject_capable(&t->subject, CAP_SYS_ADMIN))
		return -EPERM;
	if (type == CLONE_NEWNS)
		return join_mounts(t);
	if (type == CLONE_NEWUTS) {
		uts_ns_get(r->uts);
		task_set_uts(t, r->uts);
	}
	return 0;
}

/* ---- files ---- */

static int ns_open(struct subject *s, struct inode *inode, struct file *f)
{
	if (f->writable)
		return -EPERM;
	f->ops = OPS(ns_file_ops);
	return 0;
}

static int ns_setattr(struct subject *s, struct inode *inode, const struct iattr *attr)
{
	return -EPERM;
}

DEFINE_OPS(struct inode_ops, ns_inode_ops) = {
	.open = ns_open,
	.setattr = ns_setattr,
	.evict = ns_evict,
};

/* A descriptor of the user namespace that owns this one. */
static long open_owner(struct subject *s)
{
	struct path path;
	struct file *f;
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(ns_kinds); i++) {
		if (ns_kinds[i].flag != CLONE_NEWUSER)
			continue;
		fd = ns_path(&ns_kinds[i], NULL, &path);
		if (fd)
			return fd;
		fd = vfs_open_path(s, &path, O_RDONLY, &f);
		path_put(&path);
		if (fd)
			return fd;
		fd = fd_install(s, f, 0, FD_CLOEXEC_FLAG);
		file_put(f);
		return fd;
	}
	return -EINVAL;
}

static long ns_ioctl(struct subject *s, struct file *f, u32 cmd, u64 arg)
{
	u32 flag = kind_of(f->inode)->flag, owner = 0;

	switch (cmd) {
	case NS_GET_USERNS:
		/* The first user namespace has none above it. */
		return flag == CLONE_NEWUSER ? -EPERM : open_owner(s);
	case NS_GET_PARENT:
		return flag == CLONE_NEWUSER || flag == CLONE_NEWPID ? -EPERM : -EINVAL;
	case NS_GET_NSTYPE:
		return flag;
	case NS_GET_OWNER_UID:
		if (flag != CLONE_NEWUSER)
			return -EINVAL;
		return copy_out(s, UADDR(arg), &owner, sizeof(owner));
	default:
		return -ENOTTY;
	}
}

DEFINE_OPS(struct file_ops, ns_file_ops) = {
	.ioctl = ns_ioctl,
};
