/* Mounts: mount, umount2, pivot_root. */

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "cred/cred.h"
#include "fs/devfs/devfs.h"
#include "fs/tmpfs/tmpfs.h"
#include "kernel/pid.h"
#include "procfs/procfs.h"
#include "syscall/util.h"
#include "syscall_protos.h"

#define MS_MAGIC 0xc0ed'0000UL
#define MS_MAGIC_MASK 0xffff'0000UL
#define MS_NOUSER_FLAG (1UL << 31)
#define MS_NOSYMFOLLOW_FLAG 256UL
#define PROPAGATION (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE)
#define UMOUNT_FLAGS (MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW)

/* CAP_SYS_ADMIN in the user namespace that owns the mount namespace: the first one. */
static bool may_mount(struct task *t)
{
	return subject_capable(&t->subject, CAP_SYS_ADMIN);
}

/* ---- file systems that can be mounted ---- */

static int mount_procfs(struct task *t, char *options, struct super **ret)
{
	return procfs_create(ret);
}

static int mount_devfs(struct task *t, char *options, struct super **ret)
{
	return devfs_create(ret);
}

static int mount_tmpfs(struct task *t, char *options, struct super **ret)
{
	return tmpfs_mount(options, t->subject.cred->fsuid, t->subject.cred->fsgid, ret);
}

static const struct fs_type {
	const char *name;
	int (*mount)(struct task *t, char *options, struct super **ret);
} fs_types[] = {
	{ "tmpfs", mount_tmpfs },
	{ "ramfs", mount_tmpfs },
	{ "proc", mount_procfs },
	{ "devtmpfs", mount_devfs },
};

static const struct fs_type *find_type(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(fs_types); i++)
		if (strcmp(fs_types[i].name, name) == 0)
			return &fs_types[i];
	return NULL;
}

/* ---- mount ---- */

struct mount_call {
	char *source, *type, *options; /* heap; null if the guest gave none */
	struct path on; /* owned */
	u64 flags;
};

static void mount_call_fini(struct mount_call *c)
{
	free(c->source);
	free(c->type);
	free(c->options);
	path_put(&c->on);
}

/* A string of the guest's of at most a page, on the heap; null for a null pointer. */
static int fetch_string(struct task *t, struct uaddr addr, char **ret)
{
	char *s;
	ssize_t len;

	if (!addr.v)
		return 0;
	s = malloc(PAGE_SIZE);
	if (!s)
		return -ENOMEM;
	len = copy_in_string(&t->subject, s, addr, PAGE_SIZE);
	if (len < 0) {
		free(s);
		return len == -ENAMETOOLONG ? -EINVAL : (int)len;
	}
	*ret = s;
	return 0;
}

/* Options are a page of any bytes, of which as much as can be read is taken. */
static int fetch_options(struct task *t, struct uaddr addr, char **ret)
{
	char *page;
	ssize_t n;

	if (!addr.v)
		return 0;
	page = calloc(1, PAGE_SIZE + 1);
	if (!page)
		return -ENOMEM;
	n = copy_in_partial(&t->subject, page, addr, PAGE_SIZE);
	if (n <= 0) {
		free(page);
		return -EFAULT;
	}
	*ret = page;
	return 0;
}

/* What is kept of each mount. */
static u32 mount_flags(u64 flags)
{
	u32 kept = (u32)flags & (SB_RDONLY | SB_NOSUID | SB_NODEV | SB_NOEXEC | SB_NOATIME |
				 SB_NODIRATIME | SB_STRICTATIME);

	if (flags & MS_NOSYMFOLLOW_FLAG)
		kept |= SB_NOSYMFOLLOW;
	return kept & SB_STRICTATIME ? kept & ~(u32)SB_NOATIME : kept;
}

static int from_path(struct task *t, const struct mount_call *c, struct path *ret)
{
	if (!c->source || !*c->source)
		return -EINVAL;
	return path_walk(&t->subject, AT_FDCWD, c->source, WALK_FOLLOW, ret);
}

static int do_bind(struct task *t, const struct mount_call *c)
{
	struct path from;
	int err = from_path(t, c, &from);

	if (err)
		return err;
	err = vfs_bind_mount(&t->subject, &from, &c->on, c->flags & MS_REC);
	path_put(&from);
	return err;
}

static int do_move(struct task *t, const struct mount_call *c)
{
	struct path from;
	int err = from_path(t, c, &from);

	if (err)
		return err;
	err = vfs_move_mount(&t->subject, &from, &c->on);
	path_put(&from);
	return err;
}

static int do_propagation(const struct mount_call *c)
{
	u64 type = c->flags & PROPAGATION;

	if (c->flags & ~(u64)(PROPAGATION | MS_REC | MS_SILENT) || type & (type - 1))
		return -EINVAL;
	return path_is_mounted(&c->on) ? 0 : -EINVAL;
}

static int do_remount(struct task *t, const struct mount_call *c)
{
	return vfs_remount(&t->subject, &c->on, mount_flags(c->flags));
}

static int do_new(struct task *t, struct mount_call *c)
{
	char none[1] = "";
	const struct fs_type *type;
	struct super *sb = NULL;
	int err;

	if (!c->type)
		return -EINVAL;
	type = find_type(c->type);
	if (!type)
		return -ENODEV;
	err = type->mount(t, c->options ? c->options : none, &sb);
	if (err)
		return err;
	err = vfs_new_mount(&t->subject, sb, c->source ? c->source : "none", &c->on,
			    mount_flags(c->flags));
	if (err)
		super_put(sb);
	return err;
}

static int mount_decoded(struct task *t, struct mount_call *c)
{
	if ((c->flags & MS_MAGIC_MASK) == MS_MAGIC)
		c->flags &= ~MS_MAGIC_MASK;
	if (c->flags & MS_NOUSER_FLAG)
		return -EINVAL;
	if (!may_mount(t))
		return -EPERM;
	if (c->flags & MS_REMOUNT)
		return do_remount(t, c);
	if (c->flags & MS_BIND)
		return do_bind(t, c);
	if (c->flags & PROPAGATION)
		return do_propagation(c);
	return c->flags & MS_MOVE ? do_move(t, c) : do_new(t, c);
}

long sys_mount(struct task *t, struct uaddr source, struct uaddr target, struct uaddr type,
	       u64 flags, struct uaddr data)
{
	struct mount_call c = { .flags = flags };
	int err = fetch_string(t, type, &c.type);

	if (!err)
		err = fetch_string(t, source, &c.source);
	if (!err)
		err = fetch_options(t, data, &c.options);
	if (!err)
		err = resolve_at(t, AT_FDCWD, target, 0, 0, &c.on);
	if (!err && !c.on.mnt)
		err = -EINVAL;
	if (!err)
		err = mount_decoded(t, &c);
	mount_call_fini(&c);
	return err;
}

long sys_umount2(struct task *t, struct uaddr target, int flags)
{
	struct path p;
	int err;

	if (flags & ~UMOUNT_FLAGS)
		return -EINVAL;
	err = resolve_at(t, AT_FDCWD, target, flags & UMOUNT_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0, 0,
			 &p);
	if (err)
		return err;
	if (!may_mount(t)) {
		path_put(&p);
		return -EPERM;
	}
	return vfs_umount(&t->subject, &p, flags);
}

/* ---- pivot_root ---- */

struct replacement {
	struct path from, to;
	unsigned int puts;
};

static bool replace_in_group(struct thread_group *tg, u32 pid, void *arg)
{
	struct replacement *r = arg;
	struct task *t;

	list_for_each(t, &tg->tasks, tg_link) {
		spin_lock(&t->lock, &lc_task);
		if (t->subject.fs)
			r->puts += fs_context_replace(t->subject.fs, &r->from, &r->to);
		spin_unlock(&t->lock, &lc_task);
	}
	return true;
}

/* Whoever was at the old root goes along to the new one. */
static void replace_roots(const struct path *from, const struct path *to)
{
	struct replacement r = { .from = *from, .to = *to };

	tasks_lock();
	group_for_each(kernel_get()->pid_ns, 1, replace_in_group, &r);
	tasks_unlock();
	while (r.puts-- > 0)
		path_put(from);
}

long sys_pivot_root(struct task *t, struct uaddr new_root, struct uaddr put_old)
{
	struct path new_path, old_path, old_root;
	int err;

	if (!may_mount(t))
		return -EPERM;
	err = resolve_at(t, AT_FDCWD, new_root, 0, WALK_DIRECTORY, &new_path);
	if (err)
		return err;
	err = resolve_at(t, AT_FDCWD, put_old, 0, WALK_DIRECTORY, &old_path);
	if (!err) {
		err = new_path.mnt && old_path.mnt ?
			      vfs_pivot_root(&t->subject, &new_path, &old_path, &old_root) :
			      -EINVAL;
		if (!err) {
			replace_roots(&old_root, &new_path);
			path_put(&old_root);
		}
		path_put(&old_path);
	}
	path_put(&new_path);
	return err;
}
