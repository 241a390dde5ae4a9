/* hostfs: operations on inodes, and the super. */

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "fs/hostfs/internal.h"
#include "host/budget.h"
#include "host/host.h"

SLAB_CLASS(hostfs, struct hostfs, TRANSIENT(struct hostfs, open),
	   TRANSIENT(struct hostfs, open_count), TRANSIENT(struct hostfs, root_fd),
	   TRANSIENT(struct hostfs, proc_fd), TRANSIENT(struct hostfs, self_fd),
	   TRANSIENT(struct hostfs, ahead.busy), TRANSIENT(struct hostfs, ahead.path_fd),
	   TRANSIENT(struct hostfs, ahead.fd));

DECLARE_OPS(struct inode_ops, hostfs_inode_ops);
DECLARE_OPS(struct inode_ops, hostfs_trusted_ops);
DECLARE_OPS(struct inode_ops, hostfs_special_ops);
DECLARE_OPS(struct super_ops, hostfs_super_ops);

/* ---- look-up ---- */

/* A directory that is not on the host, or whose contents we don't show. */
static void describe_empty_dir(struct super *sb, struct statx *ret)
{
	struct timespec now = vfs_now();

	*ret = (struct statx){
		.stx_mode = S_IFDIR | 0755,
		.stx_nlink = 2,
		.stx_ino = 0x7fff'0000 + super_new_ino(sb),
		.stx_blksize = PAGE_SIZE,
		.stx_mtime = { .tv_sec = now.tv_sec },
		.stx_atime = { .tv_sec = now.tv_sec },
		.stx_ctime = { .tv_sec = now.tv_sec },
		.stx_btime = { .tv_sec = now.tv_sec },
	};
}

static bool is_mountpoint_name(const struct inode *dir, const char *name)
{
	const struct hostfs *fs = hostfs_of(dir->sb);

	if (hostfs_node_of(dir)->parent)
		return false;
	for (u32 i = 0; i < fs->mountpoint_count; i++)
		if (strcmp(fs->mountpoints[i], name) == 0)
			return true;
	return false;
}

/* hostfs_look, by its directory, unless the host was asked ahead. */
static int look(struct subject *s, struct inode *dir, const char *name, struct statx *ret_stx,
		enum hostfs_state *ret_state)
{
	int dirfd, err;

	*ret_state = NODE_PLAIN;
	if (hostfs_ahead_look(s, dir, name, ret_stx))
		return 0;
	dirfd = hostfs_fd_get(dir);
	if (dirfd < 0)
		return dirfd;
	err = hostfs_look(dirfd, hostfs_node_of(dir), name, ret_stx, ret_state);
	hostfs_fd_put(dir);
	return err;
}

static int hostfs_lookup(struct subject *s, struct inode *dir, const char *name,
			 struct inode **ret_inode)
{
	struct hostfs_node *n = hostfs_node_of(dir);
	enum hostfs_state state = NODE_PLAIN;
	u64 asked_tsc = __builtin_ia32_rdtsc();
	struct statx stx;
	int err;

	if (n->state != NODE_PLAIN)
		return 0;
	err = look(s, dir, name, &stx, &state);
	if (err == -ENOENT && is_mountpoint_name(dir, name)) {
		describe_empty_dir(dir->sb, &stx);
		state = NODE_MADE_UP;
		err = 0;
	}
	if (err)
		return err == -ENOENT ? 0 : err;
	return hostfs_node_get(dir->sb, dir, name, state, &stx, asked_tsc, ret_inode);
}

/* Look again; false if another file, or none, is there now. */
static bool hostfs_revalidate(struct subject *s, struct inode *dir, const char *name,
			      struct inode *inode)
{
	struct hostfs_node *d = hostfs_node_of(dir), *n = inode ? hostfs_node_of(inode) : NULL;
	u64 asked_tsc = __builtin_ia32_rdtsc();
	enum hostfs_state state;
	struct statx stx;
	int err;

	if (d->state != NODE_PLAIN || (n && n->state == NODE_MADE_UP))
		return true;
	err = look(s, dir, name, &stx, &state);
	if (err || !n)
		return err == -ENOENT && !n;
	if (state != n->state || !hostfs_same_file(inode, &stx))
		return false;
	/* Of its names this is the one that is known to be there. */
	if (!hostfs_is_at(n, dir, name))
		hostfs_move(n, dir, name);
	hostfs_set_attributes(inode, &stx, asked_tsc);
	return true;
}

/* ---- attributes ---- */

static int hostfs_getattr(struct subject *s, struct inode *inode, struct kstat *ret)
{
	struct hostfs_node *n = hostfs_node_of(inode);

	inode_fill_kstat(inode, ret);
	ret->dev = n->host_dev ? n->host_dev : inode->sb->dev;
	ret->blocks = n->blocks;
	ret->blksize = n->blksize;
	ret->mount = n->mount_id;
	ret->has_btime = ret->btime.tv_sec != 0;
	return 0;
}

void hostfs_refresh(struct inode *inode)
{
	u64 asked_tsc = __builtin_ia32_rdtsc();
	struct statx stx;

	if (hostfs_node_of(inode)->state == NODE_PLAIN && !hostfs_ask(inode, &stx))
		hostfs_set_attributes(inode, &stx, asked_tsc);
}

/*
 * The host was asked since s's system call began: by its look-up of the name. Or since the call
 * before, if that has only just opened the file: s can know of no change in between.
 */
static bool is_fresh(const struct subject *s, struct inode *inode)
{
	struct hostfs_node *n = hostfs_node_of(inode);
	bool fresh, opened;

	if (!s || !s->call_tsc)
		return false;
	spin_lock(&inode->attr_lock, &lc_inode_attr);
	opened = n->opener && n->opener == s->tid;
	fresh = n->asked_tsc >= s->call_tsc || (opened && n->asked_tsc >= s->last_call_tsc);
	n->opener = 0;
	spin_unlock(&inode->attr_lock, &lc_inode_attr);
	if (opened)
		hostfs_ahead_stated(inode);
	return fresh;
}

static int hostfs_getattr_fresh(struct subject *s, struct inode *inode, struct kstat *ret)
{
	if (!is_fresh(s, inode))
		hostfs_refresh(inode);
	return hostfs_getattr(s, inode, ret);
}

static int set_size(struct inode *inode, u64 size)
{
	int fd = hostfs_wfd_get(inode, false), err;

	if (fd < 0)
		return fd;
	err = host_ftruncate(fd, (s64)size);
	hostfs_fd_put(inode);
	return err;
}

static int set_mode(struct inode *inode, int fd, u32 mode)
{
	char path[FD_PATH_SIZE];
	int dirfd;

	hostfs_fd_path(hostfs_of(inode->sb), fd, &dirfd, path);
	return host_fchmodat(dirfd, path, mode & 07777);
}

static int set_times(int fd, const struct iattr *attr)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };

	if (attr->valid & ATTR_ATIME)
		times[0] = attr->atime;
	if (attr->valid & ATTR_MTIME)
		times[1] = attr->mtime;
	/* Now, twice: that needs less of us on the host, too. */
	if (attr->valid & ATTR_TOUCH)
		times[0].tv_nsec = times[1].tv_nsec = UTIME_NOW;
	return host_utimens_fd(fd, times);
}

/* What the host does not let its caller's user do is EPERM here, as there. */
static int hostfs_setattr(struct subject *s, struct inode *inode, const struct iattr *attr)
{
	u32 uid = attr->valid & ATTR_UID ? attr->uid : ~0U;
	u32 gid = attr->valid & ATTR_GID ? attr->gid : ~0U;
	int fd, err = 0;

	if (!(hostfs_of(inode->sb)->flags & HOSTFS_WRITABLE))
		return -EROFS;
	if (attr->valid & ATTR_SIZE)
		err = set_size(inode, attr->size);
	fd = hostfs_attr_fd(inode);
	if (fd < 0)
		return err ? err : fd;
	/* The owner first: that takes setuid away. */
	if (!err && attr->valid & (ATTR_UID | ATTR_GID))
		err = host_chown_fd(fd, uid, gid);
	if (!err && attr->valid & ATTR_MODE)
		err = set_mode(inode, fd, attr->mode);
	if (!err && attr->valid & (ATTR_ATIME | ATTR_MTIME))
		err = set_times(fd, attr);
	host_close(fd);
	hostfs_refresh(inode);
	return err;
}

/* ---- extended attributes: of files and directories ---- */

/* What the host does not support is as if there were none. */
static ssize_t no_xattr(ssize_t err)
{
	return err == -EOPNOTSUPP || err == -EBADF ? -ENODATA : err;
}

static ssize_t hostfs_getxattr(struct subject *s, struct inode *inode, const char *name, void *buf,
			       size_t size)
{
	ssize_t ret;
	int fd;

	if (S_ISLNK(inode->mode) || hostfs_node_of(inode)->state != NODE_PLAIN)
		return -ENODATA;
	fd = hostfs_fd_get(inode);
	if (fd < 0)
		return -ENODATA; /* what the guest may not read was refused before */
	ret = host_fgetxattr(fd, name, buf, size);
	hostfs_fd_put(inode);
	return no_xattr(ret);
}

/* system.* is not shown: we don't heed the host's access lists. */
static ssize_t filter_names(char *list, ssize_t size)
{
	ssize_t kept = 0;

	for (ssize_t at = 0; at < size;) {
		size_t len = strnlen(list + at, (size_t)(size - at)) + 1;

		if (strncmp(list + at, "system.", 7) != 0) {
			memmove(list + kept, list + at, len);
			kept += (ssize_t)len;
		}
		at += (ssize_t)len;
	}
	return kept;
}

static ssize_t hostfs_listxattr(struct subject *s, struct inode *inode, char *buf, size_t size)
{
	ssize_t ret;
	int fd;

	if (S_ISLNK(inode->mode) || hostfs_node_of(inode)->state != NODE_PLAIN)
		return 0;
	fd = hostfs_fd_get(inode);
	if (fd < 0)
		return 0;
	ret = host_flistxattr(fd, buf, size);
	hostfs_fd_put(inode);
	if (ret < 0)
		return no_xattr(ret) == -ENODATA ? 0 : ret;
	return filter_names(buf, ret);
}

static int hostfs_setxattr(struct subject *s, struct inode *inode, const char *name,
			   const void *value, size_t size, int flags)
{
	int fd, err;

	if (S_ISLNK(inode->mode) || hostfs_node_of(inode)->state != NODE_PLAIN)
		return -EOPNOTSUPP;
	fd = hostfs_fd_get(inode);
	if (fd < 0)
		return fd;
	err = value ? host_fsetxattr(fd, name, value, size, flags) : host_fremovexattr(fd, name);
	hostfs_fd_put(inode);
	return err;
}

/* ---- links ---- */

static ssize_t read_target(struct inode *inode, char *buf, size_t size)
{
	char name[NAME_MAX_GUEST + 1];
	bool crosses;
	struct inode *dir = hostfs_place(hostfs_node_of(inode), name, &crosses);
	int dirfd = hostfs_fd_get(dir);
	ssize_t len = dirfd;

	if (dirfd >= 0) {
		len = host_readlinkat(dirfd, name, buf, size);
		hostfs_fd_put(dir);
	}
	inode_put(dir);
	if (len >= (ssize_t)size)
		return -ENAMETOOLONG;
	if (len >= 0)
		buf[len] = '\0';
	return len;
}

/* The trusted root's links are read once. */
static void remember_target(struct inode *inode, const char *target)
{
	struct hostfs_node *n = hostfs_node_of(inode);
	char *copy = arena_strdup(target);

	spin_lock(&inode->attr_lock, &lc_inode_attr);
	if (!n->target) {
		__atomic_store_n(&n->target, copy, __ATOMIC_RELEASE);
		copy = NULL;
	}
	spin_unlock(&inode->attr_lock, &lc_inode_attr);
	arena_free(copy);
}

static ssize_t hostfs_readlink(struct subject *s, struct inode *inode, char *buf, size_t size)
{
	const char *target = __atomic_load_n(&hostfs_node_of(inode)->target, __ATOMIC_ACQUIRE);
	ssize_t len;

	if (target) {
		len = (ssize_t)strlen(target);
		if (len >= (ssize_t)size)
			return -ENAMETOOLONG;
		memcpy(buf, target, (size_t)len + 1);
		return len;
	}
	len = read_target(inode, buf, size);
	if (len > 0 && !hostfs_changes(inode->sb))
		remember_target(inode, buf);
	return len;
}

/* ---- opening ---- */

static void opened_by(const struct subject *s, struct inode *inode)
{
	struct hostfs_node *n = hostfs_node_of(inode);

	spin_lock(&inode->attr_lock, &lc_inode_attr);
	n->opener = s ? s->tid : 0;
	spin_unlock(&inode->attr_lock, &lc_inode_attr);
}

/* The host is asked at once, so that its EACCES is open's. */
static int hostfs_open(struct subject *s, struct inode *inode, struct file *file)
{
	struct hostfs_node *n = hostfs_node_of(inode);
	int fd;

	if (n->state == NODE_PLAIN || S_ISREG(inode->mode)) {
		fd = hostfs_file_fd_get(file);
		if (fd < 0)
			return fd;
		if (n->path_only) {
			hostfs_fd_put(inode);
			return -EACCES;
		}
		if (hostfs_changes(inode->sb))
			hostfs_hold(inode);
		hostfs_fd_put(inode);
		opened_by(s, inode);
		hostfs_ahead_opened(inode);
	}
	file->ops = S_ISDIR(inode->mode) ? OPS(hostfs_dir_file_ops) : OPS(hostfs_file_ops);
	return 0;
}

/* Device nodes, fifos and sockets of the host are never opened, nor taken for ours. */
static int hostfs_open_special(struct subject *s, struct inode *inode, struct file *file)
{
	return S_ISSOCK(inode->mode) ? -ENXIO : -EACCES;
}

DEFINE_OPS(struct inode_ops, hostfs_trusted_ops) = {
	.lookup = hostfs_lookup,
	.readlink = hostfs_readlink,
	.getattr = hostfs_getattr,
	.setattr = hostfs_setattr,
	.getxattr = hostfs_getxattr,
	.listxattr = hostfs_listxattr,
	.setxattr = hostfs_setxattr,
	.open = hostfs_open,
	.evict = hostfs_evict,
};

DEFINE_OPS(struct inode_ops, hostfs_inode_ops) = {
	.create = hostfs_make_file,
	.mkdir = hostfs_make_dir,
	.symlink = hostfs_make_symlink,
	.link = hostfs_link,
	.unlink = hostfs_unlink,
	.rmdir = hostfs_rmdir,
	.rename = hostfs_rename,
	.lookup = hostfs_lookup,
	.revalidate = hostfs_revalidate,
	.readlink = hostfs_readlink,
	.getattr = hostfs_getattr_fresh,
	.setattr = hostfs_setattr,
	.getxattr = hostfs_getxattr,
	.listxattr = hostfs_listxattr,
	.setxattr = hostfs_setxattr,
	.open = hostfs_open,
	.evict = hostfs_evict,
};

DEFINE_OPS(struct inode_ops, hostfs_special_ops) = {
	.getattr = hostfs_getattr,
	.setattr = hostfs_setattr,
	.open = hostfs_open_special,
	.evict = hostfs_evict,
};

/* ---- the super ---- */

static int hostfs_statfs(struct super *sb, struct host_statfs *ret)
{
	struct statfs sf;
	int err = host_fstatfs(hostfs_of(sb)->root_fd - 1, &sf);

	if (err)
		return err;
	ret->bsize = (u64)sf.f_bsize;
	ret->blocks = sf.f_blocks;
	ret->bfree = sf.f_bfree;
	ret->bavail = sf.f_bavail;
	ret->files = sf.f_files;
	ret->ffree = sf.f_ffree;
	ret->namelen = (u64)sf.f_namelen;
	ret->frsize = (u64)sf.f_frsize;
	return 0;
}

static void hostfs_destroy(struct super *sb)
{
	struct hostfs *fs = hostfs_of(sb);

	hostfs_ahead_fini(fs);
	for (u32 i = 0; i < fs->mountpoint_count; i++)
		arena_free(fs->mountpoints[i]);
	arena_free(fs->files);
	if (fs->self_fd)
		host_close(fs->self_fd - 1);
	if (fs->root_fd) {
		host_close(fs->root_fd - 1);
		host_fd_uncharge();
	}
	slab_free(&slab_hostfs, fs);
}

DEFINE_OPS(struct super_ops, hostfs_super_ops) = {
	.statfs = hostfs_statfs,
	.work_ahead = hostfs_work_ahead,
	.destroy = hostfs_destroy,
};

static int create_root(struct super *sb)
{
	int root_fd = hostfs_of(sb)->root_fd - 1;
	enum hostfs_state state = NODE_PLAIN;
	struct inode *root;
	struct statfs sf;
	struct statx stx;
	int err;

	err = host_statx(root_fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID,
			 &stx);
	if (!err && !S_ISDIR(stx.stx_mode) && !(hostfs_changes(sb) && S_ISREG(stx.stx_mode)))
		err = -ENOTDIR;
	if (!err)
		err = host_fstatfs(root_fd, &sf);
	if (err)
		return err;
	if (!hostfs_ordinary((u64)sf.f_type))
		state = NODE_REFUSED;
	sb->magic = (u64)sf.f_type;
	err = hostfs_node_get(sb, NULL, "", state, &stx, 0, &root);
	return err ? err : super_set_root(sb, root);
}

/*
 * A root directory's descriptor is always open: all others are opened by it. To list the directory
 * it must be a real one.
 */
static int open_root(struct super *sb)
{
	struct inode *root = sb->root->inode;
	int fd;

	if (!S_ISDIR(root->mode))
		return 0;
	if (!host_fd_charge())
		return -ENFILE;
	fd = host_openat(hostfs_of(sb)->root_fd - 1, ".", O_RDONLY | O_DIRECTORY, 0);
	if (fd == -EACCES)
		fd = host_dup(hostfs_of(sb)->root_fd - 1);
	if (fd < 0) {
		host_fd_uncharge();
		return fd;
	}
	hostfs_node_of(root)->fd = fd + 1;
	hostfs_hold(root);
	return 0;
}

static int create_table(struct hostfs *fs)
{
	if (!(fs->flags & HOSTFS_REVALIDATE))
		return 0;
	fs->files = arena_alloc(HOSTFS_BUCKETS * sizeof(*fs->files));
	if (!fs->files)
		return -ENOMEM;
	for (u32 i = 0; i < HOSTFS_BUCKETS; i++)
		list_init(&fs->files[i]);
	return 0;
}

/* root_fd is taken over, on failure too. */
static int hostfs_init(struct hostfs *fs, int root_fd, u32 flags)
{
	if (!host_fd_charge()) {
		host_close(root_fd);
		return -ENFILE;
	}
	fs->root_fd = root_fd + 1;
	fs->flags = flags;
	spin_init(&fs->lock);
	list_init(&fs->open);
	return create_table(fs);
}

int hostfs_create(int root_fd, u32 flags, struct super **ret)
{
	struct hostfs *fs = slab_alloc(&slab_hostfs);
	u32 sb_flags = (flags & 0xff) | (flags & HOSTFS_WRITABLE ? 0 : SB_RDONLY);
	struct super *sb;
	int err;

	if (!fs) {
		host_close(root_fd);
		return -ENOMEM;
	}
	err = hostfs_init(fs, root_fd, flags);
	if (!err)
		err = super_create("hostfs", OPS(hostfs_super_ops), 0, sb_flags, fs, &sb);
	if (err) {
		arena_free(fs->files);
		if (fs->root_fd) {
			host_close(root_fd);
			host_fd_uncharge();
		}
		slab_free(&slab_hostfs, fs);
		return err;
	}
	err = create_root(sb);
	if (!err)
		err = open_root(sb);
	if (err) {
		super_put(sb);
		return err;
	}
	*ret = sb;
	return 0;
}

void hostfs_set_proc_fd(struct super *sb, int proc_fd)
{
	struct hostfs *fs = hostfs_of(sb);
	int fd = host_openat(proc_fd < 0 ? AT_FDCWD : proc_fd,
			     proc_fd < 0 ? "/proc/self/fd" : "self/fd", O_PATH | O_DIRECTORY, 0);

	fs->proc_fd = proc_fd + 1;
	fs->self_fd = max(fd, -1) + 1;
}

int hostfs_add_mountpoint(struct super *sb, const char *name)
{
	struct hostfs *fs = hostfs_of(sb);
	char *copy;

	if (fs->mountpoint_count == MOUNTPOINTS_MAX)
		return -ENOSPC;
	copy = arena_strdup(name);
	if (!copy)
		return -ENOMEM;
	fs->mountpoints[fs->mountpoint_count++] = copy;
	return 0;
}
