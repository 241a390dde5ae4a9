/* The overlay: attributes and extended attributes of inodes of all types. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/overlay/internal.h"
#include "fs/tmpfs/tmpfs.h"
#include "vfs/xattr.h"

int overlay_getattr(struct subject *s, struct inode *inode, struct kstat *ret)
{
	struct overlay_node *n = overlay_node_of(inode);
	struct inode *data = S_ISREG(inode->mode) ? n->data : NULL;
	struct kstat st;

	inode_fill_kstat(inode, ret);
	/* What lies on other host devices keeps their numbers, so that inode numbers are unique. */
	ret->dev = n->dev == overlay_of(inode->sb)->lower_dev ? inode->sb->dev : n->dev;
	ret->blocks = n->blocks;
	ret->blksize = PAGE_SIZE;
	ret->has_btime = ret->btime.tv_sec != 0;
	if (data && !inode_getattr(s, data, &st)) {
		ret->size = st.size;
		ret->blocks = st.blocks;
	}
	return 0;
}

int overlay_setattr(struct subject *s, struct inode *inode, const struct iattr *attr)
	NO_THREAD_SAFETY_ANALYSIS
{
	struct iattr a = *attr;
	u64 old_size = inode->size;
	int err;

	if (a.valid & ATTR_SIZE && !S_ISREG(inode->mode))
		return -EINVAL;
	err = overlay_pin(inode);
	if (err)
		return err;
	if (a.valid & ATTR_SIZE) {
		err = overlay_resize(s, inode, a.size);
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

/* Where they are still lower's; null: they are inode's own. */
static struct inode *xattr_source(const struct inode *inode)
{
	const struct overlay_node *n = overlay_node_of(inode);

	return n->own_xattrs ? NULL : n->lower;
}

ssize_t overlay_getxattr(struct subject *s, struct inode *inode, const char *name, void *buf,
			 size_t size)
{
	struct inode *lower = xattr_source(inode);

	if (!lower)
		return xattrs_get(inode->xattrs, name, buf, size);
	return lower->ops->getxattr ? lower->ops->getxattr(s, lower, name, buf, size) : -ENODATA;
}

ssize_t overlay_listxattr(struct subject *s, struct inode *inode, char *buf, size_t size)
{
	struct inode *lower = xattr_source(inode);

	if (!lower)
		return xattrs_list(inode->xattrs, buf, size);
	return lower->ops->listxattr ? lower->ops->listxattr(s, lower, buf, size) : 0;
}

static int copy_one(struct subject *s, struct inode *inode, const char *name, char *value)
{
	struct inode *lower = overlay_node_of(inode)->lower;
	ssize_t n = lower->ops->getxattr(s, lower, name, value, XATTR_SIZE_MAX_GUEST);

	/* One that cannot be read is left behind. */
	if (n < 0)
		return 0;
	return tmpfs_set_xattr(overlay_of(inode->sb)->upper, inode, name, value, (size_t)n, 0);
}

/* Make lower's attributes the inode's own. */
static int copy_up_xattrs(struct subject *s, struct inode *inode)
{
	struct inode *lower = xattr_source(inode);
	char *names, *value;
	ssize_t size = 0;
	int err = 0;

	if (!lower)
		return 0;
	names = malloc(XATTR_SIZE_MAX_GUEST + 1);
	value = malloc(XATTR_SIZE_MAX_GUEST);
	if (!names || !value)
		err = -ENOMEM;
	else if (lower->ops->listxattr && lower->ops->getxattr)
		size = lower->ops->listxattr(s, lower, names, XATTR_SIZE_MAX_GUEST);
	if (size > 0) {
		names[size] = '\0';
		for (ssize_t at = 0; at < size && !err; at += (ssize_t)strlen(names + at) + 1)
			err = copy_one(s, inode, names + at, value);
	}
	free(names);
	free(value);
	if (!err)
		overlay_node_of(inode)->own_xattrs = true;
	return err;
}

int overlay_setxattr(struct subject *s, struct inode *inode, const char *name, const void *value,
		     size_t size, int flags)
{
	int err;

	err = overlay_pin(inode);
	if (!err)
		err = copy_up_xattrs(s, inode);
	if (err)
		return err;
	return tmpfs_set_xattr(overlay_of(inode->sb)->upper, inode, name, value, size, flags);
}

/* ---- types with few operations ---- */

static ssize_t overlay_readlink(struct subject *s, struct inode *inode, char *buf, size_t size)
{
	struct overlay_node *n = overlay_node_of(inode);
	size_t len;

	if (n->lower)
		return n->lower->ops->readlink(s, n->lower, buf, size);
	len = strlen(n->target);
	if (len >= size)
		return -ENAMETOOLONG;
	memcpy(buf, n->target, len + 1);
	return (ssize_t)len;
}

/* Devices of the lower tree are never opened, nor taken for ours. */
static int open_lower_device(struct subject *s, struct inode *inode, struct file *file)
{
	return -EACCES;
}

DEFINE_OPS(struct inode_ops, overlay_regular_ops) = {
	.getattr = overlay_getattr,
	.setattr = overlay_setattr,
	.getxattr = overlay_getxattr,
	.listxattr = overlay_listxattr,
	.setxattr = overlay_setxattr,
	.open = overlay_open_regular,
	.evict = overlay_evict,
};

DEFINE_OPS(struct inode_ops, overlay_symlink_ops) = {
	.readlink = overlay_readlink,
	.getattr = overlay_getattr,
	.setattr = overlay_setattr,
	.getxattr = overlay_getxattr,
	.listxattr = overlay_listxattr,
	.setxattr = overlay_setxattr,
	.evict = overlay_evict,
};

DEFINE_OPS(struct inode_ops, overlay_special_ops) = {
	.getattr = overlay_getattr,
	.setattr = overlay_setattr,
	.getxattr = overlay_getxattr,
	.listxattr = overlay_listxattr,
	.setxattr = overlay_setxattr,
	.evict = overlay_evict,
};

DEFINE_OPS(struct inode_ops, overlay_lower_device_ops) = {
	.getattr = overlay_getattr,
	.setattr = overlay_setattr,
	.getxattr = overlay_getxattr,
	.listxattr = overlay_listxattr,
	.setxattr = overlay_setxattr,
	.open = open_lower_device,
	.evict = overlay_evict,
};
