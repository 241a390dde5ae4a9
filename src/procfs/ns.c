/*
 * /proc/PID/ns: magic links to namespaces. There is one namespace of each kind, with the number
 * that Linux gives the first one. An open link is a file without a name that stands for the
 * namespace: setns(2) takes it, and ioctl_ns(2) asks it.
 */

#include "procfs/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

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

static const struct ns_kind *kind_of(const struct inode *inode)
{
	for (size_t i = 0; i < ARRAY_SIZE(ns_kinds); i++)
		if (ns_kinds[i].ino == inode->ino)
			return &ns_kinds[i];
	return NULL;
}

static int ns_path(const struct ns_kind *k, struct path *ret)
{
	char name[32];
	struct inode *inode;

	inode = inode_create(NULL, OPS(ns_inode_ops), k->ino, S_IFREG | 0444, 0, 0);
	if (!inode)
		return -ENOMEM;
	snprintf(name, sizeof(name), "%s:[%u]", k->name, k->ino);
	return path_create_anon(name, inode, ret);
}

int proc_follow_ns(struct subject *s, struct proc_ctx *ctx, struct path *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(ns_kinds); i++)
		if (strcmp(ns_kinds[i].link, ctx->row->name) == 0)
			return ns_path(&ns_kinds[i], ret);
	return -ENOENT;
}

u32 ns_file_type(const struct file *f)
{
	return f->ops == OPS(ns_file_ops) ? kind_of(f->inode)->flag : 0;
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
		fd = ns_path(&ns_kinds[i], &path);
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
