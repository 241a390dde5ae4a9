/* inotify(7). */

#include <fcntl.h>
#include <sys/inotify.h>

#include "cred/user.h"
#include "syscall/util.h"
#include "syscall_protos.h"
#include "vfs/notify.h"

#define WATCH_BITS \
	(IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ONLYDIR | IN_DONT_FOLLOW | \
	 IN_EXCL_UNLINK | IN_MASK_CREATE | IN_MASK_ADD | IN_ISDIR | IN_ONESHOT)

long sys_inotify_init1(struct task *t, int flags)
{
	struct user_table *users = kernel_get()->users;
	struct user_usage *user;
	struct file *f;
	int err;

	if (flags & ~(IN_CLOEXEC | IN_NONBLOCK))
		return -EINVAL;
	user = user_usage_get(t->user);
	err = inotify_create_file(&t->subject, users, user, (u32)flags & O_NONBLOCK, &f);
	if (err) {
		user_usage_put(users, user);
		return err;
	}
	return file_install(t, f, flags);
}

long sys_inotify_init(struct task *t)
{
	return sys_inotify_init1(t, 0);
}

static long add_watch(struct task *t, struct file *f, struct uaddr upath, u32 mask)
{
	UNINIT char name[PATH_MAX_GUEST];
	u32 walk = mask & IN_DONT_FOLLOW ? 0 : WALK_FOLLOW;
	struct path p;
	long ret = fetch_path(t, upath, name);

	if (ret)
		return ret;
	if (mask & IN_ONLYDIR)
		walk |= WALK_DIRECTORY;
	ret = path_walk(&t->subject, AT_FDCWD, name, walk, &p);
	if (ret)
		return ret;
	ret = vfs_permission(&t->subject, &p, R_OK);
	if (!ret)
		ret = inotify_add_watch_path(f, &p, mask);
	path_put(&p);
	return ret;
}

long sys_inotify_add_watch(struct task *t, int fd, struct uaddr path, u32 mask)
{
	struct file *f;
	long ret;

	if (mask & ~(u32)WATCH_BITS || !mask)
		return -EINVAL;
	f = file_lookup(t, fd);
	if (!f)
		return -EBADF;
	if (!inotify_is(f) || (mask & IN_MASK_ADD && mask & IN_MASK_CREATE))
		ret = -EINVAL;
	else
		ret = add_watch(t, f, path, mask);
	file_put(f);
	return ret;
}

long sys_inotify_rm_watch(struct task *t, int fd, int wd)
{
	struct file *f = file_lookup(t, fd);
	long ret;

	if (!f)
		return -EBADF;
	ret = inotify_is(f) ? inotify_remove_watch(f, wd) : -EINVAL;
	file_put(f);
	return ret;
}
