/* Opening files. */

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>

#include "syscall/util.h"
#include "syscall_protos.h"

#define O_LARGEFILE_K 0100000
#define MODE_MASK 07777
/* What open(2) heeds; it ignores other bits. */
#define OPEN_FLAGS \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_DSYNC | \
	 O_ASYNC | O_DIRECT | O_LARGEFILE_K | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | \
	 O_SYNC | O_PATH | O_TMPFILE)
#define PATH_FLAGS (O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC)

static int open_check(struct open_how_k *how)
{
	u32 flags = how->flags;

	if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE)
		how->mode &= MODE_MASK;
	else
		how->mode = 0;
	if (flags & (O_TMPFILE & ~O_DIRECTORY)) {
		if ((flags & O_TMPFILE) != O_TMPFILE || !(flags & O_ACCMODE))
			return -EINVAL;
		if (flags & O_CREAT)
			return -EINVAL;
	}
	if ((flags & (O_DIRECTORY | O_CREAT)) == (O_DIRECTORY | O_CREAT))
		return -EINVAL;
	if (flags & O_PATH)
		how->flags &= PATH_FLAGS;
	return 0;
}

static long do_open(struct task *t, int dirfd, struct uaddr upath, struct open_how_k *how)
{
	UNINIT char path[PATH_MAX_GUEST];
	struct file *f;
	u32 cloexec = how->flags & O_CLOEXEC ? FD_CLOEXEC_FLAG : 0;
	long ret = open_check(how);

	if (ret)
		return ret;
	ret = fetch_path(t, upath, path);
	if (ret)
		return ret;
	ret = vfs_open(&t->subject, dirfd, path, how, &f);
	if (ret)
		return task_restart(ret, ERESTARTSYS);
	ret = fd_install(&t->subject, f, 0, cloexec);
	file_put(f);
	return ret;
}

long sys_openat(struct task *t, int dirfd, struct uaddr path, int flags, u32 mode)
{
	struct open_how_k how = { .flags = ((u32)flags & OPEN_FLAGS) | O_LARGEFILE_K,
				  .mode = mode };

	return do_open(t, dirfd, path, &how);
}

long sys_open(struct task *t, struct uaddr path, int flags, u32 mode)
{
	return sys_openat(t, AT_FDCWD, path, flags, mode);
}

long sys_creat(struct task *t, struct uaddr path, u32 mode)
{
	return sys_openat(t, AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* openat2's strict checks and its RESOLVE_* flags. */
static int openat2_decode(const struct open_how *in, struct open_how_k *ret)
{
	static const struct {
		u32 resolve, walk;
	} map[] = {
		{ RESOLVE_NO_XDEV, WALK_NO_XDEV },
		{ RESOLVE_NO_MAGICLINKS, WALK_NO_MAGICLINKS },
		{ RESOLVE_NO_SYMLINKS, WALK_NO_SYMLINKS | WALK_NO_MAGICLINKS },
		{ RESOLVE_BENEATH, WALK_BENEATH },
		{ RESOLVE_IN_ROOT, WALK_IN_ROOT },
	};
	u64 resolve = in->resolve;

	if (in->flags & ~(u64)OPEN_FLAGS)
		return -EINVAL;
	if (in->flags & O_PATH && in->flags & ~(u64)(PATH_FLAGS | O_LARGEFILE_K))
		return -EINVAL;
	if (in->flags & O_CREAT || (in->flags & O_TMPFILE) == O_TMPFILE ?
		    in->mode & ~(u64)MODE_MASK :
		    in->mode)
		return -EINVAL;
	if ((resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) == (RESOLVE_BENEATH | RESOLVE_IN_ROOT))
		return -EINVAL;
	*ret = (struct open_how_k){ .flags = (u32)in->flags | O_LARGEFILE_K,
				    .mode = (u32)in->mode };
	for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
		if (resolve & map[i].resolve)
			ret->walk |= map[i].walk;
		resolve &= ~(u64)map[i].resolve;
	}
	/* Nothing is ever known to be cached as a whole: RESOLVE_CACHED may always fail so. */
	if (resolve & RESOLVE_CACHED)
		return -EAGAIN;
	return resolve ? -EINVAL : 0;
}

long sys_openat2(struct task *t, int dirfd, struct uaddr path, struct uaddr uhow, u64 size)
{
	struct open_how in;
	struct open_how_k how;
	int err;

	if (size < sizeof(in))
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	err = fetch_extensible(t, &in, sizeof(in), uhow, size);
	if (!err)
		err = openat2_decode(&in, &how);
	return err ? err : do_open(t, dirfd, path, &how);
}
