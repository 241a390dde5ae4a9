/*
 * Extended attributes (xattr(7)): the calls' permission rules, and attributes kept in memory.
 *
 * Three name spaces are known: user, trusted, security. system.posix_acl_* is EOPNOTSUPP
 * everywhere, as on a file system mounted noacl.
 */

#include "vfs/xattr.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/inotify.h>
#include <sys/xattr.h>

#include "arena/arena.h"
#include "vfs/internal.h"
#include "vfs/notify.h"

/* ---- in memory ---- */

struct xattr {
	struct list link; /* in xattrs->all, oldest first */
	u32 name_size, value_size; /* the name's with its NUL */
	char data[]; /* name, value */
};

struct xattrs {
	struct list all;
	u64 cost;
};

static struct xattr *find(const struct xattrs *x, const char *name)
{
	struct xattr *a;

	if (x)
		list_for_each(a, &x->all, link)
			if (strcmp(a->data, name) == 0)
				return a;
	return NULL;
}

static u64 cost_of(const struct xattr *a)
{
	return sizeof(*a) + a->name_size + a->value_size;
}

u64 xattr_cost(const char *name, size_t size)
{
	return sizeof(struct xattr) + strlen(name) + 1 + size;
}

u64 xattrs_cost(const struct xattrs *x, const char *name)
{
	const struct xattr *a = find(x, name);

	return a ? cost_of(a) : 0;
}

u64 xattrs_cost_all(const struct xattrs *x)
{
	return x ? x->cost : 0;
}

ssize_t xattrs_get(const struct xattrs *x, const char *name, void *buf, size_t size)
{
	const struct xattr *a = find(x, name);

	if (!a)
		return -ENODATA;
	if (size && size < a->value_size)
		return -ERANGE;
	if (size)
		memcpy(buf, a->data + a->name_size, a->value_size);
	return a->value_size;
}

ssize_t xattrs_list(const struct xattrs *x, char *buf, size_t size)
{
	const struct xattr *a;
	size_t used = 0;

	if (!x)
		return 0;
	list_for_each(a, &x->all, link) {
		if (size && a->name_size > size - used)
			return -ERANGE;
		if (size)
			memcpy(buf + used, a->data, a->name_size);
		used += a->name_size;
	}
	return (ssize_t)used;
}

static void drop(struct xattrs *x, struct xattr *a)
{
	list_del(&a->link);
	x->cost -= cost_of(a);
	arena_free(a);
}

static struct xattr *xattr_create(const char *name, const void *value, size_t size)
{
	size_t name_size = strlen(name) + 1;
	struct xattr *a = arena_alloc(sizeof(*a) + name_size + size);

	if (!a)
		return NULL;
	a->name_size = (u32)name_size;
	a->value_size = (u32)size;
	memcpy(a->data, name, name_size);
	if (size)
		memcpy(a->data + name_size, value, size);
	return a;
}

int xattrs_set(struct xattrs **x, const char *name, const void *value, size_t size, int flags)
{
	struct xattr *old = find(*x, name), *new;

	if (old && flags & XATTR_CREATE)
		return -EEXIST;
	if (!old && (!value || flags & XATTR_REPLACE))
		return -ENODATA;
	if (!value) {
		drop(*x, old);
		return 0;
	}
	if (!*x) {
		*x = arena_alloc(sizeof(**x));
		if (!*x)
			return -ENOSPC;
		list_init(&(*x)->all);
	}
	new = xattr_create(name, value, size);
	if (!new)
		return -ENOSPC;
	list_add_tail(&(*x)->all, &new->link);
	(*x)->cost += cost_of(new);
	if (old)
		drop(*x, old);
	return 0;
}

void xattrs_destroy(struct xattrs *x)
{
	struct xattr *a, *next;

	if (!x)
		return;
	list_for_each_safe(a, next, &x->all, link)
		drop(x, a);
	arena_free(x);
}

/* ---- permission ---- */

static bool has_prefix(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* The name spaces that file systems get to see. */
static int check_namespace(const char *name)
{
	static const char *const known[] = { "user.", "trusted.", "security." };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (has_prefix(name, known[i]))
			return name[strlen(known[i])] ? 0 : -EINVAL;
	return -EOPNOTSUPP;
}

/* xattr_permission of Linux, and what its capability module adds for writes. mask: R_OK or W_OK. */
static int xattr_permission(struct subject *s, struct inode *inode, const char *name, int mask)
{
	bool write = mask & W_OK;

	if (has_prefix(name, "security.")) {
		int cap = strcmp(name, "security.capability") == 0 ? CAP_SETFCAP : CAP_SYS_ADMIN;

		return write && !subject_capable(s, cap) ? -EPERM : 0;
	}
	if (has_prefix(name, "system."))
		return 0;
	if (has_prefix(name, "trusted.")) {
		if (!subject_capable(s, CAP_SYS_ADMIN))
			return write ? -EPERM : -ENODATA;
		return 0;
	}
	if (has_prefix(name, "user.")) {
		if (!S_ISREG(inode->mode) && !S_ISDIR(inode->mode))
			return write ? -EPERM : -ENODATA;
		if (S_ISDIR(inode->mode) && inode->mode & S_ISVTX && write &&
		    !inode_owner_or_capable(s, inode))
			return -EPERM;
	}
	return inode_permission(s, inode, mask);
}

/* ---- the calls ---- */

ssize_t vfs_getxattr(struct subject *s, const struct path *p, const char *name, void *buf,
		     size_t size)
{
	struct inode *inode = p->dentry->inode;
	ssize_t ret;

	ret = xattr_permission(s, inode, name, R_OK);
	if (!ret)
		ret = inode->ops->getxattr ? check_namespace(name) : -EOPNOTSUPP;
	if (ret)
		return ret;
	inode_lock(inode);
	ret = inode->ops->getxattr(s, inode, name, buf, size);
	inode_unlock(inode);
	return ret;
}

/* Take the names of trusted attributes out of a list of size bytes. Returns what is left. */
static size_t hide_trusted(char *list, size_t size)
{
	size_t kept = 0;

	for (size_t at = 0; at < size;) {
		size_t len = strnlen(list + at, size - at) + 1;

		if (!has_prefix(list + at, "trusted.")) {
			memmove(list + kept, list + at, len);
			kept += len;
		}
		at += len;
	}
	return kept;
}

ssize_t vfs_listxattr(struct subject *s, const struct path *p, char *buf, size_t size)
{
	struct inode *inode = p->dentry->inode;
	ssize_t ret;
	char *all;

	if (!inode->ops->listxattr)
		return 0;
	all = malloc(XATTR_SIZE_MAX_GUEST + 1);
	if (!all)
		return -ENOMEM;
	inode_lock(inode);
	ret = inode->ops->listxattr(s, inode, all, XATTR_SIZE_MAX_GUEST);
	inode_unlock(inode);
	if (ret > 0) {
		all[ret] = '\0';
		if (!subject_capable(s, CAP_SYS_ADMIN))
			ret = (ssize_t)hide_trusted(all, (size_t)ret);
		if (size && (size_t)ret > size)
			ret = -ERANGE;
		else if (size)
			memcpy(buf, all, (size_t)ret);
	}
	free(all);
	return ret == -ERANGE && size >= XATTR_SIZE_MAX_GUEST ? -E2BIG : ret;
}

int vfs_setxattr(struct subject *s, const struct path *p, const char *name, const void *value,
		 size_t size, int flags)
{
	struct inode *inode = p->dentry->inode;
	int err;

	err = path_want_write(p);
	if (!err)
		err = xattr_permission(s, inode, name, W_OK);
	if (!err)
		err = inode->ops->setxattr ? check_namespace(name) : -EOPNOTSUPP;
	if (err)
		return err;
	if (inode->sb && inode->sb->flags & SB_RDONLY)
		return -EROFS;
	inode_lock(inode);
	err = inode->ops->setxattr(s, inode, name, value, size, flags);
	if (!err)
		inode_touch(inode, TOUCH_CTIME);
	inode_unlock(inode);
	if (!err)
		notify_dentry(p->dentry, IN_ATTRIB);
	return err;
}
