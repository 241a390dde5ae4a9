/* Attributes by path or open file: stat, chmod, chown, utimes, truncate, access, readlink, statfs.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/inotify.h>

#include "cred/cred.h"
#include "cred/rlimit.h"
#include "vfs/internal.h"
#include "vfs/notify.h"

/* Of statfs's f_flags, beside those that are as SB_*. */
#define ST_VALID 0x20
#define ST_RELATIME 0x1000
#define ST_NOSYMFOLLOW 0x2000

int vfs_permission(struct subject *s, const struct path *p, int mask)
{
	struct inode *inode = p->dentry->inode;
	u32 mode = inode->mode;
	int err;

	if (mask & X_OK && S_ISREG(mode) && p->mnt &&
	    (p->mnt->flags | p->mnt->sb->flags) & SB_NOEXEC)
		return -EACCES;
	err = inode_permission(s, inode, mask & (R_OK | W_OK | X_OK));
	if (!err && mask & W_OK && !S_ISCHR(mode) && !S_ISBLK(mode) && !S_ISFIFO(mode) &&
	    !S_ISSOCK(mode))
		err = path_want_write(p);
	return err;
}

int vfs_getattr(struct subject *s, const struct path *p, struct kstat *ret)
{
	return inode_getattr(s, p->dentry->inode, ret);
}

/* ---- changing ---- */

static int may_chown(struct subject *s, struct inode *inode, const struct iattr *attr)
{
	const struct cred *c = s ? s->cred : NULL;

	if (!c || subject_capable(s, CAP_CHOWN))
		return 0;
	if (attr->valid & ATTR_UID && (c->fsuid != inode->uid || attr->uid != inode->uid))
		return -EPERM;
	if (attr->valid & ATTR_GID &&
	    (c->fsuid != inode->uid || (attr->gid != inode->gid && !cred_in_group(c, attr->gid))))
		return -EPERM;
	return 0;
}

/* setattr_prepare of Linux; attr's mode is adapted. */
static int setattr_prepare(struct subject *s, struct inode *inode, struct iattr *attr)
{
	int err;

	err = may_chown(s, inode, attr);
	if (err)
		return err;
	if (attr->valid & ATTR_MODE) {
		u32 gid = attr->valid & ATTR_GID ? attr->gid : inode->gid;

		if (!inode_owner_or_capable(s, inode))
			return -EPERM;
		if (s && s->cred && !cred_in_group(s->cred, gid) && !subject_capable(s, CAP_FSETID))
			attr->mode &= ~(u32)S_ISGID;
	}
	if (attr->valid & (ATTR_ATIME | ATTR_MTIME) && !inode_owner_or_capable(s, inode)) {
		if (!(attr->valid & ATTR_TOUCH))
			return -EPERM;
		err = inode_permission(s, inode, W_OK);
	}
	return err;
}

/* A change of owner takes setuid and setgid away, but from directories. */
static void kill_suid(struct inode *inode, struct iattr *attr)
{
	u32 mode = attr->valid & ATTR_MODE ? attr->mode : inode->mode & 07777;
	u32 killed = mode & ~(u32)S_ISUID;

	if (mode & S_IXGRP)
		killed &= ~(u32)S_ISGID;
	if (killed == mode)
		return;
	attr->mode = killed;
	attr->valid |= ATTR_MODE;
}

int vfs_setattr(struct subject *s, const struct path *p, const struct iattr *attr)
{
	struct inode *inode = p->dentry->inode;
	struct iattr a = *attr;
	int err;

	err = path_want_write(p);
	if (err)
		return err;
	if (inode->sb && inode->sb->flags & SB_RDONLY)
		return -EROFS;
	inode_lock(inode);
	err = setattr_prepare(s, inode, &a);
	if (!err && a.valid & (ATTR_UID | ATTR_GID | ATTR_KILL_PRIV) && !S_ISDIR(inode->mode))
		kill_suid(inode, &a);
	if (!err)
		err = inode->ops->setattr ? inode->ops->setattr(s, inode, &a) : -EPERM;
	inode_unlock(inode);
	if (!err)
		notify_change(p->dentry, &a);
	return err;
}

static int check_fsize(struct subject *s, struct inode *inode, u64 size)
{
	u64 limit = s && s->rlimits ? rlimit_get(s->rlimits, RLIMIT_FSIZE) : RLIM_INFINITY;

	return size > inode->size && size > limit ? -EFBIG : 0;
}

int inode_truncate(struct subject *s, struct inode *inode, u64 size)
{
	struct iattr a = { .valid = ATTR_SIZE, .size = size };
	int err;

	inode_lock(inode);
	err = check_fsize(s, inode, size);
	if (!err && inode->mode & (S_ISUID | S_ISGID) && !subject_capable(s, CAP_FSETID)) {
		a.mode = inode->mode & 07777;
		kill_suid(inode, &a);
	}
	if (!err)
		err = inode->ops->setattr ? inode->ops->setattr(s, inode, &a) : -EPERM;
	inode_unlock(inode);
	return err;
}

int vfs_truncate(struct subject *s, const struct path *p, s64 size)
{
	struct inode *inode = p->dentry->inode;
	int err;

	if (size < 0)
		return -EINVAL;
	if (S_ISDIR(inode->mode))
		return -EISDIR;
	if (!S_ISREG(inode->mode))
		return -EINVAL;
	err = path_want_write(p);
	if (!err)
		err = inode_permission(s, inode, W_OK);
	if (!err)
		err = inode_claim(inode, 1);
	if (err)
		return err;
	err = inode_truncate(s, inode, (u64)size);
	inode_unclaim(inode, 1);
	if (!err)
		notify_dentry(p->dentry, IN_MODIFY);
	return err;
}

/* ---- the rest ---- */

ssize_t vfs_readlink(struct subject *s, const struct path *p, char *buf, size_t size)
{
	struct inode *inode = p->dentry->inode;
	char target[PATH_MAX_GUEST];
	ssize_t n;

	if (!S_ISLNK(inode->mode) || !inode->ops->readlink)
		return -EINVAL;
	n = inode->ops->readlink(s, inode, target, sizeof(target));
	if (n < 0)
		return n;
	inode_touch(inode, TOUCH_ATIME);
	n = min(n, (ssize_t)size);
	memcpy(buf, target, (size_t)n);
	return n;
}

int vfs_statfs(struct subject *s, const struct path *p, struct host_statfs *ret)
{
	struct super *sb = p->dentry->sb;
	u32 flags;
	int err = 0;

	*ret = (struct host_statfs){ .namelen = NAME_MAX_GUEST,
				     .bsize = PAGE_SIZE,
				     .frsize = PAGE_SIZE };
	if (!sb) {
		ret->type = 0x09041934; /* ANON_INODE_FS_MAGIC */
		return 0;
	}
	ret->type = sb->magic;
	ret->fsid[0] = (u32)sb->dev;
	if (sb->ops->statfs)
		err = sb->ops->statfs(sb, ret);
	flags = sb->flags | (p->mnt ? p->mnt->flags : 0);
	ret->flags = ST_VALID | (flags & (0xf | SB_NOATIME | SB_NODIRATIME)) |
		     (flags & SB_NOSYMFOLLOW ? ST_NOSYMFOLLOW : 0) |
		     (flags & (SB_NOATIME | SB_STRICTATIME) ? 0 : ST_RELATIME);
	return err;
}
