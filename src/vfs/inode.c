/* Inodes: life, attributes, permission by the guest's credentials. */

#include <errno.h>
#include <linux/capability.h>
#include <stdatomic.h>
#include <sys/sysmacros.h>

#include "arena/slab.h"
#include "cred/cred.h"
#include "time/clock.h"
#include "vfs/internal.h"
#include "vfs/locks.h"
#include "vfs/xattr.h"

SLAB_CLASS(inode, struct inode, TRANSIENT(struct inode, lock.owner));

#define NS_PER_DAY (86'400 * 1'000'000'000LL)

struct timespec vfs_now(void)
{
	return ns_to_timespec(guest_clock_now(CLOCK_REALTIME));
}

struct inode *inode_create(struct super *sb, const struct inode_ops *ops, u64 ino, u32 mode,
			   u32 uid, u32 gid)
{
	struct inode *i = slab_alloc(&slab_inode);

	if (!i)
		return NULL;
	refcount_init(&i->refs, 1);
	i->sb = sb;
	i->ops = ops;
	mutex_init(&i->lock);
	spin_init(&i->attr_lock);
	list_init(&i->watches);
	i->ino = ino;
	i->mode = mode;
	i->uid = uid;
	i->gid = gid;
	i->nlink = 1;
	i->atime = i->mtime = i->ctime = i->btime = vfs_now();
	return i;
}

void inode_get(struct inode *i)
{
	refcount_get(&i->refs);
}

void inode_put(struct inode *i)
{
	while (i && refcount_put(&i->refs)) {
		struct inode *next = i->ops->evict ? i->ops->evict(i) : NULL;

		locks_destroy(i);
		xattrs_destroy(i->xattrs);
		slab_free(&slab_inode, i);
		i = next;
	}
}

int inode_claim(struct inode *i, int claim)
{
	s32 now = i->writers;

	do {
		if ((claim > 0 && now < 0) || (claim < 0 && now > 0))
			return -ETXTBSY;
	} while (!atomic_compare_exchange_weak(&i->writers, &now, now + claim));
	return 0;
}

void inode_unclaim(struct inode *i, int claim)
{
	i->writers -= claim;
}

/* The class depends on the type, which the analysis cannot follow. */
void inode_lock(struct inode *i) NO_THREAD_SAFETY_ANALYSIS
{
	mutex_lock(&i->lock, S_ISDIR(i->mode) ? &lc_inode_dir : &lc_inode);
}

void inode_unlock(struct inode *i) NO_THREAD_SAFETY_ANALYSIS
{
	mutex_unlock(&i->lock, S_ISDIR(i->mode) ? &lc_inode_dir : &lc_inode);
}

/* ---- attributes ---- */

void inode_touch(struct inode *i, u32 which)
{
	struct timespec now = vfs_now();

	spin_lock(&i->attr_lock, &lc_inode_attr);
	if (which == TOUCH_ATIME) {
		s64 at = i->atime.tv_sec, age = now.tv_sec - at;
		bool stale = at < i->mtime.tv_sec || at < i->ctime.tv_sec ||
			     (at == i->mtime.tv_sec && i->atime.tv_nsec <= i->mtime.tv_nsec) ||
			     (at == i->ctime.tv_sec && i->atime.tv_nsec <= i->ctime.tv_nsec);

		if (stale || age >= NS_PER_DAY / 1'000'000'000)
			i->atime = now;
	} else if (which & TOUCH_ATIME) {
		i->atime = now;
	}
	if (which & TOUCH_MTIME)
		i->mtime = now;
	if (which & TOUCH_CTIME)
		i->ctime = now;
	spin_unlock(&i->attr_lock, &lc_inode_attr);
}

void inode_add_nlink(struct inode *i, int n)
{
	struct timespec now = vfs_now();

	spin_lock(&i->attr_lock, &lc_inode_attr);
	i->nlink += (u32)n;
	i->ctime = now;
	spin_unlock(&i->attr_lock, &lc_inode_attr);
}

void inode_set_fields(struct inode *i, const struct iattr *attr)
{
	struct timespec now = vfs_now();

	spin_lock(&i->attr_lock, &lc_inode_attr);
	if (attr->valid & ATTR_MODE)
		i->mode = (i->mode & S_IFMT) | (attr->mode & 07777);
	if (attr->valid & ATTR_UID)
		i->uid = attr->uid;
	if (attr->valid & ATTR_GID)
		i->gid = attr->gid;
	if (attr->valid & ATTR_ATIME)
		i->atime = attr->atime;
	if (attr->valid & ATTR_MTIME)
		i->mtime = attr->mtime;
	i->ctime = now;
	spin_unlock(&i->attr_lock, &lc_inode_attr);
}

void inode_fill_kstat(struct inode *i, struct kstat *ret)
{
	spin_lock(&i->attr_lock, &lc_inode_attr);
	*ret = (struct kstat){
		.mode = i->mode,
		.nlink = i->nlink,
		.uid = i->uid,
		.gid = i->gid,
		.dev = i->sb ? i->sb->dev : makedev(0, 15),
		.rdev = i->rdev,
		.ino = i->ino,
		.size = i->size,
		.blocks = (i->size + 511) / 512,
		.blksize = PAGE_SIZE,
		.atime = i->atime,
		.mtime = i->mtime,
		.ctime = i->ctime,
		.btime = i->btime,
	};
	spin_unlock(&i->attr_lock, &lc_inode_attr);
}

int inode_getattr(struct subject *s, struct inode *i, struct kstat *ret)
{
	vfs_expect(s, i->sb);
	if (i->ops->getattr)
		return i->ops->getattr(s, i, ret);
	inode_fill_kstat(i, ret);
	return 0;
}

void inode_new_owner(struct subject *s, struct inode *dir, u32 *mode, u32 *ret_uid, u32 *ret_gid)
{
	const struct cred *c = s ? s->cred : NULL;

	*ret_uid = c ? c->fsuid : 0;
	*ret_gid = c ? c->fsgid : 0;
	if (!(dir->mode & S_ISGID))
		return;
	*ret_gid = dir->gid;
	if (S_ISDIR(*mode))
		*mode |= S_ISGID;
	else if ((*mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && c &&
		 !cred_in_group(c, dir->gid) && !subject_capable(s, CAP_FSETID))
		*mode &= ~(u32)S_ISGID;
}

void inode_strip_privileges(struct subject *s, struct inode *i)
{
	u32 kill = 0;

	if (i->mode & S_ISUID)
		kill |= S_ISUID;
	if ((i->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		kill |= S_ISGID;
	if (!kill || subject_capable(s, CAP_FSETID))
		return;
	spin_lock(&i->attr_lock, &lc_inode_attr);
	i->mode &= ~kill;
	spin_unlock(&i->attr_lock, &lc_inode_attr);
}

/* ---- permission ---- */

bool subject_capable(struct subject *s, int cap)
{
	const struct user_ns *ns;

	if (!s || !s->cred)
		return true;
	for (ns = s->cred->user_ns; ns->parent; ns = ns->parent)
		;
	return cred_has_cap(s->cred, ns, cap);
}

bool inode_owner_or_capable(struct subject *s, struct inode *i)
{
	return !s || !s->cred || s->cred->fsuid == i->uid || subject_capable(s, CAP_FOWNER);
}

int generic_permission(struct subject *s, struct inode *i, int mask)
{
	const struct cred *c = s ? s->cred : NULL;
	u32 mode, bits, uid, gid;

	if (!c)
		return 0;
	spin_lock(&i->attr_lock, &lc_inode_attr);
	mode = i->mode, uid = i->uid, gid = i->gid;
	spin_unlock(&i->attr_lock, &lc_inode_attr);
	mask &= R_OK | W_OK | X_OK;
	if (c->fsuid == uid)
		bits = mode >> 6;
	else if (cred_in_group(c, gid))
		bits = mode >> 3;
	else
		bits = mode;
	if (!((u32)mask & ~bits))
		return 0;
	if (S_ISDIR(mode)) {
		if (!(mask & W_OK) && subject_capable(s, CAP_DAC_READ_SEARCH))
			return 0;
		return subject_capable(s, CAP_DAC_OVERRIDE) ? 0 : -EACCES;
	}
	if (mask == R_OK && subject_capable(s, CAP_DAC_READ_SEARCH))
		return 0;
	if ((!(mask & X_OK) || mode & 0111) && subject_capable(s, CAP_DAC_OVERRIDE))
		return 0;
	return -EACCES;
}

int inode_permission(struct subject *s, struct inode *i, int mask)
{
	u32 mode = i->mode;

	if (mask & W_OK && i->sb && i->sb->flags & SB_RDONLY &&
	    (S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode)))
		return -EROFS;
	if (i->ops->permission)
		return i->ops->permission(s, i, mask);
	return generic_permission(s, i, mask);
}
