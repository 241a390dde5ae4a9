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
#include "host/host.h"

SLAB_CLASS(hostfs, struct hostfs, TRANSIENT(struct hostfs, open),
	   TRANSIENT(struct hostfs, open_count));

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

static int hostfs_lookup(struct subject *s, struct inode *dir, const char *name,
			 struct inode **ret_inode)
{
	struct hostfs_node *n = hostfs_node_of(dir);
	enum hostfs_state state = NODE_PLAIN;
	struct statx stx;
	int dirfd, err;

	if (n->state != NODE_PLAIN)
		return 0;
	dirfd = hostfs_fd_get(dir);
	if (dirfd < 0)
		return dirfd;
	err = hostfs_look(dirfd, n, name, &stx, &state);
	hostfs_fd_put(dir);
	if (err == -ENOENT && is_mountpoint_name(dir, name)) {
		describe_empty_dir(dir->sb, &stx);
		state = NODE_MADE_UP;
		err = 0;
	}
	if (err)
		return err == -ENOENT ? 0 : err;
	return hostfs_node_create(dir->sb, dir, name, state, &stx, ret_inode);
}

/* Look again; false if another file, or none, is there now. */
static bool hostfs_revalidate(struct subject *s, struct inode *dir, const char *name,
			      struct inode *inode)
{
	struct hostfs_node *d = hostfs_node_of(dir), *n = inode ? hostfs_node_of(inode) : NULL;
	enum hostfs_state state;
	struct statx stx;
	int dirfd, err;

	if (d->state != NODE_PLAIN || (n && n->state == NODE_MADE_UP))
		return true;
	dirfd = hostfs_fd_get(dir);
	if (dirfd < 0)
		return false;
	err = hostfs_look(dirfd, d, name, &stx, &state);
	hostfs_fd_put(dir);
	if (err || !n)
		return err == -ENOENT && !n;
	if (stx.stx_ino != inode->ino || (stx.stx_mode & S_IFMT) != (inode->mode & S_IFMT) ||
	    state != n->state || makedev(stx.stx_dev_major, stx.stx_dev_minor) != n->host_dev)
		return false;
	hostfs_set_attributes(inode, &stx);
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

static void refresh(struct inode *inode)
{
	struct hostfs_node *n = hostfs_node_of(inode);
	struct statx stx;
	int fd;

	if (n->state != NODE_PLAIN || (!S_ISREG(inode->mode) && !S_ISDIR(inode->mode)))
		return;
	fd = hostfs_fd_get(inode);
	if (fd < 0)
		return;
	if (!host_statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &stx))
		hostfs_set_attributes(inode, &stx);
	hostfs_fd_put(inode);
}

static int hostfs_getattr_fresh(struct subject *s, struct inode *inode, struct kstat *ret)
{
	refresh(inode);
	return hostfs_getattr(s, inode, ret);
}

static int hostfs_setattr(struct subject *s, struct inode *inode, const struct iattr *attr)
{
	return -EROFS;
}

/* ---- links ---- */

static ssize_t read_target(struct inode *inode, char *buf, size_t size)
{
	struct hostfs_node *n = hostfs_node_of(inode);
	int dirfd = hostfs_fd_get(n->parent);
	ssize_t len;

	if (dirfd < 0)
		return dirfd;
	len = host_readlinkat(dirfd, n->name, buf, size);
	hostfs_fd_put(n->parent);
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
	if (len > 0 && !(hostfs_of(inode->sb)->flags & HOSTFS_REVALIDATE))
		remember_target(inode, buf);
	return len;
}

/* ---- opening ---- */

/* The host is asked at once, so that its EACCES is open's. */
static int hostfs_open(struct subject *s, struct inode *inode, struct file *file)
{
	struct hostfs_node *n = hostfs_node_of(inode);
	int fd;

	if (n->state == NODE_PLAIN || S_ISREG(inode->mode)) {
		fd = hostfs_fd_get(inode);
		if (fd < 0)
			return fd;
		hostfs_fd_put(inode);
		if (n->path_only)
			return -EACCES;
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
	.open = hostfs_open,
	.evict = hostfs_evict,
};

DEFINE_OPS(struct inode_ops, hostfs_inode_ops) = {
	.lookup = hostfs_lookup,
	.revalidate = hostfs_revalidate,
	.readlink = hostfs_readlink,
	.getattr = hostfs_getattr_fresh,
	.setattr = hostfs_setattr,
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
	int fd = hostfs_fd_get(sb->root->inode);
	struct statfs sf;
	int err;

	if (fd < 0)
		return fd;
	err = host_fstatfs(fd, &sf);
	hostfs_fd_put(sb->root->inode);
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

	for (u32 i = 0; i < fs->mountpoint_count; i++)
		arena_free(fs->mountpoints[i]);
	slab_free(&slab_hostfs, fs);
}

DEFINE_OPS(struct super_ops, hostfs_super_ops) = {
	.statfs = hostfs_statfs,
	.destroy = hostfs_destroy,
};

static int create_root(struct super *sb, int root_fd)
{
	enum hostfs_state state = NODE_PLAIN;
	struct inode *root;
	struct statfs sf;
	struct statx stx;
	int err;

	err = host_statx(root_fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID,
			 &stx);
	if (!err && !S_ISDIR(stx.stx_mode))
		err = -ENOTDIR;
	if (!err)
		err = host_fstatfs(root_fd, &sf);
	if (err)
		return err;
	if (!hostfs_ordinary((u64)sf.f_type))
		state = NODE_REFUSED;
	sb->magic = (u64)sf.f_type;
	err = hostfs_node_create(sb, NULL, "", state, &stx, &root);
	return err ? err : super_set_root(sb, root);
}

/* The root's descriptor may be an O_PATH one; to list the directory it must be a real one. */
static int readable_root(int root_fd)
{
	int fd = host_openat(root_fd, ".", O_RDONLY | O_DIRECTORY, 0);

	return fd >= 0 ? fd : host_dup(root_fd);
}

int hostfs_create(int root_fd, u32 flags, struct super **ret)
{
	struct hostfs *fs = slab_alloc(&slab_hostfs);
	struct super *sb = NULL;
	int fd = readable_root(root_fd);
	int err = fd < 0 ? fd : 0;

	host_close(root_fd);
	if (!fs)
		err = -ENOMEM;
	if (!err) {
		fs->flags = flags;
		spin_init(&fs->lock);
		list_init(&fs->open);
		err = super_create("hostfs", OPS(hostfs_super_ops), 0, SB_RDONLY | (flags & 0xff),
				   fs, &sb);
	}
	if (err) {
		slab_free(&slab_hostfs, fs);
		if (fd >= 0)
			host_close(fd);
		return err;
	}
	err = create_root(sb, fd);
	if (err) {
		host_close(fd);
		super_put(sb);
		return err;
	}
	hostfs_set_root_fd(sb->root->inode, fd);
	*ret = sb;
	return 0;
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
