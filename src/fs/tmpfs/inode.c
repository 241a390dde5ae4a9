/*
 * tmpfs: inodes and the operations on them. A name holds a reference of its inode, so an inode
 * lives while it has a name, is open, or is cached. Linux's shmem is the model: directory sizes,
 * link counts, what changes which time.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "cred/cred.h"
#include "fs/tmpfs/internal.h"
#include "vfs/xattr.h"

#define TMPFS_MAGIC 0x01021994
#define INODES_MIN 1024

SLAB_CLASS(tmpfs, struct tmpfs, TRANSIENT(struct tmpfs, proc_fd), TRANSIENT(struct tmpfs, windows));

DECLARE_OPS(struct inode_ops, tmpfs_dir_ops);
DECLARE_OPS(struct inode_ops, tmpfs_regular_ops);
DECLARE_OPS(struct inode_ops, tmpfs_symlink_ops);
DECLARE_OPS(struct inode_ops, tmpfs_special_ops);
DECLARE_OPS(struct super_ops, tmpfs_super_ops);

/* ---- inodes ---- */

static const struct inode_ops *ops_for(u32 mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return OPS(tmpfs_dir_ops);
	case S_IFREG:
		return OPS(tmpfs_regular_ops);
	case S_IFLNK:
		return OPS(tmpfs_symlink_ops);
	default:
		return OPS(tmpfs_special_ops);
	}
}

int tmpfs_charge_inodes(struct super *sb, u64 count)
{
	struct tmpfs *fs = tmpfs_of(sb);
	u64 used = fs->inodes;

	do {
		if (count > fs->inode_limit || used > fs->inode_limit - count)
			return -ENOSPC;
	} while (!atomic_compare_exchange_weak(&fs->inodes, &used, used + count));
	return 0;
}

void tmpfs_uncharge_inodes(struct super *sb, u64 count)
{
	tmpfs_of(sb)->inodes -= count;
}

int tmpfs_inode_create(struct super *sb, u32 mode, u32 uid, u32 gid, u64 rdev, struct inode **ret)
{
	struct inode *inode;
	int err = tmpfs_charge_inodes(sb, 1);

	if (err)
		return err;
	inode = inode_create(sb, ops_for(mode), super_new_ino(sb), mode, uid, gid);
	if (!inode) {
		tmpfs_uncharge_inodes(sb, 1);
		return -ENOSPC;
	}
	inode->rdev = rdev;
	if (S_ISDIR(mode))
		err = tmpfs_dir_init(inode);
	else if (S_ISREG(mode))
		err = tmpfs_data_init(inode);
	if (err) {
		inode_put(inode);
		return err;
	}
	*ret = inode;
	return 0;
}

static struct inode *tmpfs_evict(struct inode *inode)
{
	tmpfs_uncharge_inodes(inode->sb, 1);
	tmpfs_uncharge_bytes(inode->sb, xattrs_cost_all(inode->xattrs));
	if (!inode->private)
		return NULL;
	if (S_ISDIR(inode->mode))
		tmpfs_dir_evict(inode);
	else if (S_ISREG(inode->mode))
		tmpfs_data_evict(inode);
	else
		arena_free(inode->private);
	return NULL;
}

static int tmpfs_getattr(struct subject *s, struct inode *inode, struct kstat *ret)
{
	inode_fill_kstat(inode, ret);
	ret->has_btime = true;
	ret->blocks = S_ISREG(inode->mode) ? tmpfs_data_bytes(inode) / 512 : 0;
	if (S_ISREG(inode->mode) && tmpfs_data_of(inode)->huge)
		ret->blksize = tmpfs_data_of(inode)->huge;
	return 0;
}

static int tmpfs_setattr(struct subject *s, struct inode *inode, const struct iattr *attr)
{
	struct iattr a = *attr;
	u64 old_size = inode->size;
	int err;

	if (a.valid & ATTR_MODE && S_ISREG(inode->mode) &&
	    tmpfs_data_seals(inode) & TMPFS_SEAL_EXEC && (a.mode ^ inode->mode) & 0111)
		return -EPERM;
	if (a.valid & ATTR_SIZE) {
		if (!S_ISREG(inode->mode))
			return -EINVAL;
		err = tmpfs_data_resize(inode, a.size);
		if (err)
			return err;
		if (!(a.valid & ATTR_MTIME) && (a.size != old_size || a.size == 0)) {
			a.mtime = vfs_now();
			a.valid |= ATTR_MTIME;
		}
	}
	inode_set_fields(inode, &a);
	return 0;
}

/* ---- extended attributes ---- */

int tmpfs_set_xattr(struct super *sb, struct inode *inode, const char *name, const void *value,
		    size_t size, int flags)
{
	u64 old = xattrs_cost(inode->xattrs, name), new = value ? xattr_cost(name, size) : 0;
	int err;

	err = tmpfs_charge_bytes(sb, new);
	if (err)
		return err;
	err = xattrs_set(&inode->xattrs, name, value, size, flags);
	tmpfs_uncharge_bytes(sb, err ? new : old);
	return err;
}

static int tmpfs_setxattr(struct subject *s, struct inode *inode, const char *name,
			  const void *value, size_t size, int flags)
{
	return tmpfs_set_xattr(inode->sb, inode, name, value, size, flags);
}

static ssize_t tmpfs_getxattr(struct subject *s, struct inode *inode, const char *name, void *buf,
			      size_t size)
{
	return xattrs_get(inode->xattrs, name, buf, size);
}

static ssize_t tmpfs_listxattr(struct subject *s, struct inode *inode, char *buf, size_t size)
{
	return xattrs_list(inode->xattrs, buf, size);
}

/* ---- names ---- */

static int tmpfs_lookup(struct subject *s, struct inode *dir, const char *name,
			struct inode **ret_inode)
{
	struct nametab_entry *e = tmpfs_dir_find(dir, name);

	if (e) {
		inode_get(e->inode);
		*ret_inode = e->inode;
	}
	return 0;
}

static int add_name(struct inode *dir, const char *name, struct inode *inode)
{
	struct tmpfs *fs = tmpfs_of(dir->sb);
	struct nametab_entry *e = tmpfs_entry_create(dir, name, inode);
	int err;

	if (!e)
		return -ENOSPC;
	spin_lock(&fs->lock, &lc_fs);
	err = tmpfs_dir_insert(dir, e);
	spin_unlock(&fs->lock, &lc_fs);
	if (err) {
		nametab_entry_destroy(e);
		return err;
	}
	inode_touch(dir, TOUCH_MTIME | TOUCH_CTIME);
	return 0;
}

static int make(struct subject *s, struct inode *dir, const char *name, u32 mode, u64 rdev,
		struct inode **ret)
{
	struct inode *inode;
	u32 uid, gid;
	int err;

	inode_new_owner(s, dir, &mode, &uid, &gid);
	err = tmpfs_inode_create(dir->sb, mode, uid, gid, rdev, &inode);
	if (err)
		return err;
	err = add_name(dir, name, inode);
	if (err) {
		inode_put(inode);
		return err;
	}
	if (S_ISDIR(mode))
		inode_add_nlink(dir, 1);
	*ret = inode;
	return 0;
}

static int tmpfs_create_op(struct subject *s, struct inode *dir, const char *name, u32 mode,
			   struct inode **ret)
{
	return make(s, dir, name, S_IFREG | (mode & 07777), 0, ret);
}

static int tmpfs_mknod(struct subject *s, struct inode *dir, const char *name, u32 mode, u64 rdev,
		       struct inode **ret)
{
	return make(s, dir, name, mode, rdev, ret);
}

static int tmpfs_mkdir(struct subject *s, struct inode *dir, const char *name, u32 mode,
		       struct inode **ret)
{
	return make(s, dir, name, S_IFDIR | (mode & 07777), 0, ret);
}

static int tmpfs_symlink(struct subject *s, struct inode *dir, const char *name, const char *target,
			 struct inode **ret)
{
	u32 mode = S_IFLNK | 0777, uid, gid;
	struct inode *inode;
	int err;

	inode_new_owner(s, dir, &mode, &uid, &gid);
	err = tmpfs_inode_create(dir->sb, mode, uid, gid, 0, &inode);
	if (err)
		return err;
	inode->private = arena_strdup(target);
	inode->size = strlen(target);
	err = inode->private ? add_name(dir, name, inode) : -ENOSPC;
	if (err) {
		inode_put(inode);
		return err;
	}
	*ret = inode;
	return 0;
}

static int tmpfs_tmpfile(struct subject *s, struct inode *dir, u32 mode, struct inode **ret)
{
	u32 uid, gid;
	int err;

	inode_new_owner(s, dir, &mode, &uid, &gid);
	err = tmpfs_inode_create(dir->sb, mode, uid, gid, 0, ret);
	if (!err)
		(*ret)->nlink = 0;
	return err;
}

int tmpfs_create_data(struct super *sb, struct inode **ret)
{
	return tmpfs_inode_create(sb, S_IFREG | 0600, 0, 0, 0, ret);
}

/* A link takes as much of the account as a file does, or a guest could make them without end. */
static int tmpfs_link(struct subject *s, struct inode *inode, struct inode *dir, const char *name)
{
	u64 charge = inode->nlink ? 1 : 0; /* an O_TMPFILE has paid for its first name */
	int err = tmpfs_charge_inodes(dir->sb, charge);

	if (err)
		return err;
	err = add_name(dir, name, inode);
	if (err)
		tmpfs_uncharge_inodes(dir->sb, charge);
	else
		inode_add_nlink(inode, 1);
	return err;
}

static void drop_link(struct inode *inode)
{
	if (inode->nlink > 1)
		tmpfs_uncharge_inodes(inode->sb, 1);
	inode_add_nlink(inode, -1);
}

/* The caller holds the victim, so that it is not destroyed here. */
static int tmpfs_unlink(struct subject *s, struct inode *dir, const char *name,
			struct inode *victim)
{
	struct tmpfs *fs = tmpfs_of(dir->sb);
	struct nametab_entry *e = tmpfs_dir_find(dir, name);

	if (!e)
		return -ENOENT;
	spin_lock(&fs->lock, &lc_fs);
	tmpfs_dir_erase(dir, e);
	spin_unlock(&fs->lock, &lc_fs);
	nametab_entry_destroy(e);
	drop_link(victim);
	inode_touch(dir, TOUCH_MTIME | TOUCH_CTIME);
	return 0;
}

static int tmpfs_rmdir(struct subject *s, struct inode *dir, const char *name, struct inode *victim)
{
	struct tmpfs *fs = tmpfs_of(dir->sb);
	struct nametab_entry *e = tmpfs_dir_find(dir, name);
	int err;

	if (!e)
		return -ENOENT;
	spin_lock(&fs->lock, &lc_fs);
	err = tmpfs_dir_kill(victim);
	if (!err)
		tmpfs_dir_erase(dir, e);
	spin_unlock(&fs->lock, &lc_fs);
	if (err)
		return err;
	nametab_entry_destroy(e);
	inode_add_nlink(victim, -2);
	inode_add_nlink(dir, -1);
	inode_touch(dir, TOUCH_MTIME | TOUCH_CTIME);
	return 0;
}

/* ---- rename ---- */

static int exchange(struct inode *old_dir, struct nametab_entry *a, struct inode *new_dir,
		    struct nametab_entry *b)
{
	struct tmpfs *fs = tmpfs_of(old_dir->sb);
	bool a_dir = S_ISDIR(a->inode->mode), b_dir = S_ISDIR(b->inode->mode);
	struct inode *inode;

	spin_lock(&fs->lock, &lc_fs);
	inode = a->inode;
	a->inode = b->inode;
	b->inode = inode;
	spin_unlock(&fs->lock, &lc_fs);
	if (old_dir != new_dir && a_dir != b_dir) {
		inode_add_nlink(old_dir, a_dir ? -1 : 1);
		inode_add_nlink(new_dir, a_dir ? 1 : -1);
	}
	return 0;
}

/* Put the inode of old in the place of new, an entry that exists. */
static int replace(struct inode *old_dir, struct nametab_entry *old, struct inode *new_dir,
		   struct nametab_entry *new)
{
	struct tmpfs *fs = tmpfs_of(old_dir->sb);
	struct inode *target = new->inode;
	bool is_dir = S_ISDIR(target->mode);
	int err = 0;

	spin_lock(&fs->lock, &lc_fs);
	if (is_dir)
		err = tmpfs_dir_kill(target);
	if (!err) {
		new->inode = old->inode;
		old->inode = target;
		tmpfs_dir_erase(old_dir, old);
	}
	spin_unlock(&fs->lock, &lc_fs);
	if (err)
		return err;
	nametab_entry_destroy(old); /* with the target's reference */
	if (!is_dir) {
		drop_link(target);
		return 0;
	}
	inode_add_nlink(target, -2);
	inode_add_nlink(old_dir, -1); /* one came to new_dir, but one went */
	return 0;
}

static int move(struct inode *old_dir, struct nametab_entry *old, struct inode *new_dir,
		const char *new_name)
{
	struct tmpfs *fs = tmpfs_of(old_dir->sb);
	struct nametab_entry *new = tmpfs_entry_create(new_dir, new_name, old->inode);
	bool is_dir = S_ISDIR(old->inode->mode);
	int err;

	if (!new)
		return -ENOSPC;
	spin_lock(&fs->lock, &lc_fs);
	err = tmpfs_dir_insert(new_dir, new);
	if (!err)
		tmpfs_dir_erase(old_dir, old);
	spin_unlock(&fs->lock, &lc_fs);
	nametab_entry_destroy(err ? new : old);
	if (!err && is_dir && old_dir != new_dir) {
		inode_add_nlink(old_dir, -1);
		inode_add_nlink(new_dir, 1);
	}
	return err;
}

/* RENAME_WHITEOUT: what name in dir becomes, not there yet. */
static int whiteout_create(struct subject *s, struct inode *dir, const char *name,
			   struct nametab_entry **ret)
{
	u32 mode = S_IFCHR, uid, gid;
	struct inode *inode;
	int err;

	inode_new_owner(s, dir, &mode, &uid, &gid);
	err = tmpfs_inode_create(dir->sb, mode, uid, gid, 0, &inode);
	if (err)
		return err;
	*ret = tmpfs_entry_create(dir, name, inode);
	inode_put(inode);
	return *ret ? 0 : -ENOSPC;
}

/* Unless dir, which may have lost its last name just now, has been removed meanwhile. */
static void whiteout_insert(struct inode *dir, struct nametab_entry *e)
{
	struct tmpfs *fs = tmpfs_of(dir->sb);
	int err;

	spin_lock(&fs->lock, &lc_fs);
	err = tmpfs_dir_insert(dir, e);
	spin_unlock(&fs->lock, &lc_fs);
	if (err)
		nametab_entry_destroy(e);
}

static int tmpfs_rename(struct subject *s, struct inode *old_dir, const char *old_name,
			struct inode *victim, struct inode *new_dir, const char *new_name,
			struct inode *target, u32 flags)
{
	struct nametab_entry *old = tmpfs_dir_find(old_dir, old_name),
			     *new = tmpfs_dir_find(new_dir, new_name), *whiteout = NULL;
	int err = 0;

	if (!old || (target && !new))
		return -ENOENT;
	if (flags & RENAME_WHITEOUT)
		err = whiteout_create(s, old_dir, old_name, &whiteout);
	if (err)
		return err;
	if (flags & RENAME_EXCHANGE)
		err = new ? exchange(old_dir, old, new_dir, new) : -ENOENT;
	else if (new)
		err = replace(old_dir, old, new_dir, new);
	else
		err = move(old_dir, old, new_dir, new_name);
	if (err) {
		nametab_entry_destroy(whiteout);
		return err;
	}
	if (whiteout)
		whiteout_insert(old_dir, whiteout);
	inode_touch(victim, TOUCH_CTIME);
	inode_touch(old_dir, TOUCH_MTIME | TOUCH_CTIME);
	inode_touch(new_dir, TOUCH_MTIME | TOUCH_CTIME);
	if (target)
		inode_touch(target, TOUCH_CTIME);
	return 0;
}

/* ---- the rest of the inode operations ---- */

static ssize_t tmpfs_readlink(struct subject *s, struct inode *inode, char *buf, size_t size)
{
	const char *target = inode->private;
	size_t len = strlen(target);

	if (len >= size)
		return -ENAMETOOLONG;
	memcpy(buf, target, len + 1);
	return (ssize_t)len;
}

static int tmpfs_open_dir(struct subject *s, struct inode *inode, struct file *file)
{
	file->ops = OPS(tmpfs_dir_file_ops);
	return 0;
}

static int tmpfs_open_regular(struct subject *s, struct inode *inode, struct file *file)
{
	file->ops = OPS(tmpfs_file_ops);
	return 0;
}

DEFINE_OPS(struct inode_ops, tmpfs_dir_ops) = {
	.lookup = tmpfs_lookup,
	.create = tmpfs_create_op,
	.mknod = tmpfs_mknod,
	.mkdir = tmpfs_mkdir,
	.symlink = tmpfs_symlink,
	.link = tmpfs_link,
	.unlink = tmpfs_unlink,
	.rmdir = tmpfs_rmdir,
	.tmpfile = tmpfs_tmpfile,
	.rename = tmpfs_rename,
	.getxattr = tmpfs_getxattr,
	.listxattr = tmpfs_listxattr,
	.setxattr = tmpfs_setxattr,
	.getattr = tmpfs_getattr,
	.setattr = tmpfs_setattr,
	.open = tmpfs_open_dir,
	.evict = tmpfs_evict,
};

DEFINE_OPS(struct inode_ops, tmpfs_regular_ops) = {
	.getattr = tmpfs_getattr,
	.setattr = tmpfs_setattr,
	.getxattr = tmpfs_getxattr,
	.listxattr = tmpfs_listxattr,
	.setxattr = tmpfs_setxattr,
	.open = tmpfs_open_regular,
	.evict = tmpfs_evict,
};

DEFINE_OPS(struct inode_ops, tmpfs_symlink_ops) = {
	.readlink = tmpfs_readlink,
	.getattr = tmpfs_getattr,
	.setattr = tmpfs_setattr,
	.getxattr = tmpfs_getxattr,
	.listxattr = tmpfs_listxattr,
	.setxattr = tmpfs_setxattr,
	.evict = tmpfs_evict,
};

DEFINE_OPS(struct inode_ops, tmpfs_special_ops) = {
	.getattr = tmpfs_getattr,
	.setattr = tmpfs_setattr,
	.getxattr = tmpfs_getxattr,
	.listxattr = tmpfs_listxattr,
	.setxattr = tmpfs_setxattr,
	.evict = tmpfs_evict,
};

/* ---- the super ---- */

static int tmpfs_statfs(struct super *sb, struct host_statfs *ret)
{
	struct tmpfs *fs = tmpfs_of(sb);
	u64 used = min((u64)fs->used, fs->limit), inodes = min((u64)fs->inodes, fs->inode_limit);

	ret->blocks = fs->limit / PAGE_SIZE;
	ret->bfree = ret->bavail = (fs->limit - used) / PAGE_SIZE;
	ret->files = fs->inode_limit;
	ret->ffree = fs->inode_limit - inodes;
	return 0;
}

static void tmpfs_destroy(struct super *sb)
{
	tmpfs_dirs_destroy(sb);
	inode_put(tmpfs_of(sb)->root);
	slab_free(&slab_tmpfs, sb->private);
}

DEFINE_OPS(struct super_ops, tmpfs_super_ops) = {
	.statfs = tmpfs_statfs,
	.destroy = tmpfs_destroy,
};

int tmpfs_create_type(const char *type, u32 root_mode, u32 uid, u32 gid, u64 size_limit,
		      struct super **ret)
{
	struct tmpfs *fs = slab_alloc(&slab_tmpfs);
	struct inode *root;
	struct super *sb;
	int err;

	if (!fs)
		return -ENOMEM;
	spin_init(&fs->lock);
	list_init(&fs->dirs);
	fs->limit = page_down(size_limit);
	fs->inode_limit = max(size_limit / PAGE_SIZE, (u64)INODES_MIN);
	err = super_create(type, OPS(tmpfs_super_ops), TMPFS_MAGIC, 0, fs, &sb);
	if (err) {
		slab_free(&slab_tmpfs, fs);
		return err;
	}
	err = tmpfs_inode_create(sb, S_IFDIR | root_mode, uid, gid, 0, &root);
	if (!err) {
		inode_get(root);
		fs->root = root;
		err = super_set_root(sb, root);
	}
	if (err) {
		super_put(sb);
		return err;
	}
	*ret = sb;
	return 0;
}

int tmpfs_create(u32 root_mode, u32 uid, u32 gid, u64 size_limit, struct super **ret)
{
	return tmpfs_create_type("tmpfs", root_mode, uid, gid, size_limit, ret);
}

void tmpfs_set_proc_fd(struct super *sb, int proc_fd)
{
	tmpfs_of(sb)->proc_fd = proc_fd + 1;
}

/* ---- made by the kernel ---- */

static int add(struct super *sb, const char *name, u32 mode, u64 rdev, const char *target)
{
	struct inode *dir = sb->root->inode, *inode = NULL;
	int err;

	mutex_lock(&dir->lock, &lc_inode_dir);
	err = target ? tmpfs_symlink(NULL, dir, name, target, &inode) :
		       make(NULL, dir, name, mode, rdev, &inode);
	mutex_unlock(&dir->lock, &lc_inode_dir);
	inode_put(inode);
	return err;
}

int tmpfs_add_dir(struct super *sb, const char *name, u32 mode)
{
	return add(sb, name, S_IFDIR | mode, 0, NULL);
}

int tmpfs_add_node(struct super *sb, const char *name, u32 mode, u64 rdev)
{
	return add(sb, name, mode, rdev, NULL);
}

int tmpfs_add_symlink(struct super *sb, const char *name, const char *target)
{
	return add(sb, name, 0, 0, target);
}
