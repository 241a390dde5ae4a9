/* Names: directories, links, renames, the working directory and the root. */

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>

#include "arena/arena.h"
#include "base/strbuf.h"
#include "syscall/util.h"
#include "syscall_protos.h"

/* ---- reading directories ---- */

#define DIRENT_BUFFER 32768UL

struct dirent_head {
	u64 ino, next;
	u16 size;
} __attribute__((packed));

/* Entries are gathered in buf. Old: struct linux_dirent, whose type stands in the last byte. */
struct dir_gather {
	struct dir_context ctx;
	char *buf;
	size_t size, used, last; /* last: where the last entry starts */
	bool old;
	bool full; /* an entry did not fit */
};

static bool gather_emit(struct dir_context *ctx, const char *name, size_t len, u64 ino,
			s64 next_pos, u8 type)
{
	struct dir_gather *g = container_of(ctx, struct dir_gather, ctx);
	size_t head = sizeof(struct dirent_head);
	/* New: type, name, NUL. Old: name, NUL, type. The same number of bytes. */
	size_t size = align_up(head + len + 2, 8);
	struct dirent_head d = { .ino = ino, .next = (u64)next_pos, .size = (u16)size };
	char *p = g->buf + g->used;

	if (size > g->size - g->used) {
		g->full = true;
		return false;
	}
	memset(p, 0, size);
	memcpy(p, &d, head);
	memcpy(p + head + (g->old ? 0 : 1), name, len);
	if (g->old)
		p[size - 1] = (char)type;
	else
		p[head] = (char)type;
	g->last = g->used;
	g->used += size;
	return true;
}

static long do_getdents(struct task *t, int fd, struct uaddr buf, u32 size, bool old)
{
	struct dir_gather g = { .ctx.emit = gather_emit, .old = old };
	struct file *f = file_lookup(t, fd);
	long ret;

	g.size = min((u64)size, DIRENT_BUFFER);
	if (!f)
		return -EBADF;
	g.buf = arena_alloc(max(g.size, (size_t)1));
	if (!g.buf) {
		file_put(f);
		return -ENOMEM;
	}
	ret = file_iterate(&t->subject, f, &g.ctx);
	if (g.used)
		ret = copy_out(&t->subject, buf, g.buf, g.used) ? -EFAULT : (long)g.used;
	else if (!ret && g.full)
		ret = -EINVAL;
	arena_free(g.buf);
	file_put(f);
	return ret;
}

long sys_getdents(struct task *t, int fd, struct uaddr buf, u32 size)
{
	return do_getdents(t, fd, buf, size, true);
}

long sys_getdents64(struct task *t, int fd, struct uaddr buf, u32 size)
{
	return do_getdents(t, fd, buf, size, false);
}

/* ---- the working directory and the root ---- */

/* p as the new working directory or root: a directory that may be searched. */
static int check_enter(struct task *t, const struct path *p)
{
	if (!p->mnt || !S_ISDIR(p->dentry->inode->mode))
		return -ENOTDIR;
	return inode_permission(&t->subject, p->dentry->inode, X_OK);
}

long sys_chdir(struct task *t, struct uaddr path)
{
	struct path p;
	int err = resolve_at(t, AT_FDCWD, path, 0, WALK_DIRECTORY, &p);

	if (err)
		return err;
	err = check_enter(t, &p);
	if (!err)
		fs_context_set_cwd(t->subject.fs, &p);
	path_put(&p);
	return err;
}

long sys_fchdir(struct task *t, int fd)
{
	struct file *f = file_lookup_any(t, fd);
	int err;

	if (!f)
		return -EBADF;
	err = check_enter(t, &f->path);
	if (!err)
		fs_context_set_cwd(t->subject.fs, &f->path);
	file_put(f);
	return err;
}

long sys_chroot(struct task *t, struct uaddr path)
{
	struct path p;
	int err = resolve_at(t, AT_FDCWD, path, 0, WALK_DIRECTORY, &p);

	if (err)
		return err;
	err = check_enter(t, &p);
	if (!err && !task_capable(t, CAP_SYS_CHROOT))
		err = -EPERM;
	if (!err)
		fs_context_set_root(t->subject.fs, &p);
	path_put(&p);
	return err;
}

long sys_getcwd(struct task *t, struct uaddr buf, u64 size)
{
	UNINIT char text[PATH_MAX_GUEST + 16];
	struct path cwd, root;
	struct strbuf sb;
	long ret;

	strbuf_init_fixed(&sb, text, sizeof(text));
	fs_context_get_root(t->subject.fs, &root);
	fs_context_get_cwd(t->subject.fs, &cwd);
	/* A deleted directory has no name. */
	ret = cwd.dentry->dead ? -ENOENT : path_format(&cwd, &root, &sb);
	path_put(&cwd);
	path_put(&root);
	if (!ret)
		ret = strbuf_error(&sb) || sb.length >= PATH_MAX_GUEST ? -ENAMETOOLONG : 0;
	if (ret)
		return ret;
	if (sb.length + 1 > size)
		return -ERANGE;
	ret = copy_out_late(&t->subject, buf, text, sb.length + 1);
	return ret ? ret : (long)sb.length + 1;
}

/* ---- making and removing names ---- */

long sys_mkdirat(struct task *t, int dirfd, struct uaddr upath, u32 mode)
{
	UNINIT char path[PATH_MAX_GUEST];
	int err = fetch_path(t, upath, path);

	return err ? err : vfs_mkdir(&t->subject, dirfd, path, mode & 07777);
}

long sys_mkdir(struct task *t, struct uaddr path, u32 mode)
{
	return sys_mkdirat(t, AT_FDCWD, path, mode);
}

/* The kernel's encoding of a device number, as mknod gets it, to the one of stat. */
static u64 device_decode(u32 dev)
{
	u64 major = (dev & 0xfff00) >> 8, minor = (dev & 0xff) | (dev >> 12 & 0xfff00);

	return (minor & 0xff) | (major & 0xfff) << 8 | (minor & ~0xffUL) << 12;
}

long sys_mknodat(struct task *t, int dirfd, struct uaddr upath, u32 mode, u32 dev)
{
	UNINIT char path[PATH_MAX_GUEST];
	int err;

	switch (mode & S_IFMT) {
	case 0:
		mode |= S_IFREG;
		[[fallthrough]];
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		dev = 0;
		break;
	case S_IFCHR:
	case S_IFBLK:
		break;
	case S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
	err = fetch_path(t, upath, path);
	return err ? err : vfs_mknod(&t->subject, dirfd, path, mode, device_decode(dev));
}

long sys_mknod(struct task *t, struct uaddr path, u32 mode, u32 dev)
{
	return sys_mknodat(t, AT_FDCWD, path, mode, dev);
}

long sys_unlinkat(struct task *t, int dirfd, struct uaddr upath, int flags)
{
	UNINIT char path[PATH_MAX_GUEST];
	int err;

	if (flags & ~AT_REMOVEDIR)
		return -EINVAL;
	err = fetch_path(t, upath, path);
	if (err)
		return err;
	if (flags & AT_REMOVEDIR)
		return vfs_rmdir(&t->subject, dirfd, path);
	return vfs_unlink(&t->subject, dirfd, path);
}

long sys_unlink(struct task *t, struct uaddr path)
{
	return sys_unlinkat(t, AT_FDCWD, path, 0);
}

long sys_rmdir(struct task *t, struct uaddr path)
{
	return sys_unlinkat(t, AT_FDCWD, path, AT_REMOVEDIR);
}

long sys_renameat2(struct task *t, int old_dirfd, struct uaddr uold, int new_dirfd,
		   struct uaddr unew, u32 flags)
{
	UNINIT char old[PATH_MAX_GUEST], new[PATH_MAX_GUEST];
	int err;

	if (flags & ~(u32)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	if (flags & RENAME_EXCHANGE && flags & (RENAME_NOREPLACE | RENAME_WHITEOUT))
		return -EINVAL;
	err = fetch_path(t, uold, old);
	if (!err)
		err = fetch_path(t, unew, new);
	return err ? err : vfs_rename(&t->subject, old_dirfd, old, new_dirfd, new, flags);
}

long sys_renameat(struct task *t, int old_dirfd, struct uaddr old, int new_dirfd, struct uaddr new)
{
	return sys_renameat2(t, old_dirfd, old, new_dirfd, new, 0);
}

long sys_rename(struct task *t, struct uaddr old, struct uaddr new)
{
	return sys_renameat2(t, AT_FDCWD, old, AT_FDCWD, new, 0);
}

long sys_linkat(struct task *t, int old_dirfd, struct uaddr uold, int new_dirfd, struct uaddr unew,
		int flags)
{
	UNINIT char old[PATH_MAX_GUEST], new[PATH_MAX_GUEST];
	int err;

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (flags & AT_EMPTY_PATH && !subject_capable(&t->subject, CAP_DAC_READ_SEARCH))
		return -ENOENT;
	err = fetch_path(t, uold, old);
	if (!err)
		err = fetch_path(t, unew, new);
	return err ? err : vfs_link(&t->subject, old_dirfd, old, new_dirfd, new, flags);
}

long sys_link(struct task *t, struct uaddr old, struct uaddr new)
{
	return sys_linkat(t, AT_FDCWD, old, AT_FDCWD, new, 0);
}

long sys_symlinkat(struct task *t, struct uaddr utarget, int dirfd, struct uaddr upath)
{
	UNINIT char target[PATH_MAX_GUEST], path[PATH_MAX_GUEST];
	int err = fetch_path(t, utarget, target);

	if (err)
		return err;
	if (!target[0])
		return -ENOENT;
	err = fetch_path(t, upath, path);
	return err ? err : vfs_symlink(&t->subject, target, dirfd, path);
}

long sys_symlink(struct task *t, struct uaddr target, struct uaddr path)
{
	return sys_symlinkat(t, target, AT_FDCWD, path);
}

long sys_readlinkat(struct task *t, int dirfd, struct uaddr path, struct uaddr buf, int size)
{
	UNINIT char target[PATH_MAX_GUEST];
	struct path p;
	ssize_t len;
	int err;

	if (size <= 0)
		return -EINVAL;
	/* An empty path is the (O_PATH) descriptor of a link; of something else, ENOENT. */
	err = resolve_at(t, dirfd, path, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, 0, &p);
	if (err)
		return err;
	len = vfs_readlink(&t->subject, &p, target, sizeof(target));
	path_put(&p);
	if (len < 0)
		return len;
	len = min(len, (ssize_t)size);
	err = copy_out_late(&t->subject, buf, target, (size_t)len);
	return err ? err : len;
}

long sys_readlink(struct task *t, struct uaddr path, struct uaddr buf, int size)
{
	return sys_readlinkat(t, AT_FDCWD, path, buf, size);
}
