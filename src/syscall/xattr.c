/* Extended attributes of files. */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "syscall/util.h"
#include "syscall_protos.h"
#include "vfs/xattr.h"

#define NAME_SIZE (XATTR_NAME_MAX_GUEST + 1)

/* Whose attributes: by path or, if path is null, descriptor. */
struct target {
	struct uaddr path;
	int fd;
	bool by_fd, nofollow;
};

static int target_resolve(struct task *t, const struct target *at, struct path *ret)
{
	struct file *f;

	if (!at->by_fd)
		return resolve_at(t, AT_FDCWD, at->path, at->nofollow ? AT_SYMLINK_NOFOLLOW : 0, 0,
				  ret);
	f = file_lookup(t, at->fd);
	if (!f)
		return -EBADF;
	*ret = f->path;
	path_get(ret);
	file_put(f);
	return 0;
}

static int fetch_name(struct task *t, struct uaddr addr, char name[NAME_SIZE])
{
	ssize_t len = copy_in_string(&t->subject, name, addr, NAME_SIZE);

	if (len == -ENAMETOOLONG || len == 0)
		return -ERANGE;
	return (int)min(len, (ssize_t)0);
}

/* ---- set ---- */

static int fetch_value(struct task *t, struct uaddr addr, u64 size, void **ret)
{
	int err;

	if (size > XATTR_SIZE_MAX_GUEST)
		return -E2BIG;
	/* An empty value is not a null one. */
	*ret = malloc(size ? size : 1);
	if (!*ret)
		return -ENOMEM;
	err = size ? copy_in(&t->subject, *ret, addr, size) : 0;
	if (err)
		free(*ret);
	return err;
}

static long do_setxattr(struct task *t, const struct target *at, struct uaddr uname,
			struct uaddr uvalue, u64 size, int flags)
{
	UNINIT char name[NAME_SIZE];
	struct path p;
	void *value;
	int err;

	if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	err = fetch_name(t, uname, name);
	if (!err)
		err = fetch_value(t, uvalue, size, &value);
	if (err)
		return err;
	err = target_resolve(t, at, &p);
	if (!err) {
		err = vfs_setxattr(&t->subject, &p, name, value, size, flags);
		path_put(&p);
	}
	free(value);
	return err;
}

long sys_setxattr(struct task *t, struct uaddr path, struct uaddr name, struct uaddr value,
		  u64 size, int flags)
{
	return do_setxattr(t, &(struct target){ .path = path }, name, value, size, flags);
}

long sys_lsetxattr(struct task *t, struct uaddr path, struct uaddr name, struct uaddr value,
		   u64 size, int flags)
{
	return do_setxattr(t, &(struct target){ .path = path, .nofollow = true }, name, value, size,
			   flags);
}

long sys_fsetxattr(struct task *t, int fd, struct uaddr name, struct uaddr value, u64 size,
		   int flags)
{
	return do_setxattr(t, &(struct target){ .fd = fd, .by_fd = true }, name, value, size,
			   flags);
}

static long do_removexattr(struct task *t, const struct target *at, struct uaddr uname)
{
	UNINIT char name[NAME_SIZE];
	struct path p;
	int err;

	err = fetch_name(t, uname, name);
	if (!err)
		err = target_resolve(t, at, &p);
	if (err)
		return err;
	err = vfs_setxattr(&t->subject, &p, name, NULL, 0, 0);
	path_put(&p);
	return err;
}

long sys_removexattr(struct task *t, struct uaddr path, struct uaddr name)
{
	return do_removexattr(t, &(struct target){ .path = path }, name);
}

long sys_lremovexattr(struct task *t, struct uaddr path, struct uaddr name)
{
	return do_removexattr(t, &(struct target){ .path = path, .nofollow = true }, name);
}

long sys_fremovexattr(struct task *t, int fd, struct uaddr name)
{
	return do_removexattr(t, &(struct target){ .fd = fd, .by_fd = true }, name);
}

/* ---- get and list ---- */

/* A null name: the list of names. */
static long read_xattr(struct task *t, const struct target *at, const char *name, struct uaddr out,
		       u64 size)
{
	struct path p;
	void *buf = NULL;
	ssize_t ret;
	int err;

	size = min(size, (u64)XATTR_SIZE_MAX_GUEST);
	err = target_resolve(t, at, &p);
	if (err)
		return err;
	if (size) {
		buf = malloc(size);
		if (!buf) {
			path_put(&p);
			return -ENOMEM;
		}
	}
	ret = name ? vfs_getxattr(&t->subject, &p, name, buf, size) :
		     vfs_listxattr(&t->subject, &p, buf, size);
	path_put(&p);
	if (ret > 0 && size && copy_out(&t->subject, out, buf, (size_t)ret))
		ret = -EFAULT;
	free(buf);
	return ret;
}

static long do_getxattr(struct task *t, const struct target *at, struct uaddr uname,
			struct uaddr value, u64 size)
{
	UNINIT char name[NAME_SIZE];
	int err = fetch_name(t, uname, name);

	return err ? err : read_xattr(t, at, name, value, size);
}

long sys_getxattr(struct task *t, struct uaddr path, struct uaddr name, struct uaddr value,
		  u64 size)
{
	return do_getxattr(t, &(struct target){ .path = path }, name, value, size);
}

long sys_lgetxattr(struct task *t, struct uaddr path, struct uaddr name, struct uaddr value,
		   u64 size)
{
	return do_getxattr(t, &(struct target){ .path = path, .nofollow = true }, name, value,
			   size);
}

long sys_fgetxattr(struct task *t, int fd, struct uaddr name, struct uaddr value, u64 size)
{
	return do_getxattr(t, &(struct target){ .fd = fd, .by_fd = true }, name, value, size);
}

long sys_listxattr(struct task *t, struct uaddr path, struct uaddr list, u64 size)
{
	return read_xattr(t, &(struct target){ .path = path }, NULL, list, size);
}

long sys_llistxattr(struct task *t, struct uaddr path, struct uaddr list, u64 size)
{
	return read_xattr(t, &(struct target){ .path = path, .nofollow = true }, NULL, list, size);
}

long sys_flistxattr(struct task *t, int fd, struct uaddr list, u64 size)
{
	return read_xattr(t, &(struct target){ .fd = fd, .by_fd = true }, NULL, list, size);
}
