/*
 * hostfs: nodes and their descriptors.
 *
 * The host is asked for one name relative to a directory's descriptor, never for a path, and
 * follows no link. Device nodes, fifos and sockets are never opened, and only file systems that
 * hold ordinary files are entered: whether a name leads to another host mount is told by its mount
 * id, and then its f_type is looked at.
 *
 * A node is described by its parent and name; its descriptor is opened when needed and kept while
 * it is among the OPEN_MAX last used ones.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "fs/hostfs/internal.h"
#include "host/host.h"

#define OPEN_MAX 512
#define RESOLVE_ONE (RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS)

SLAB_CLASS(hostfs_node, struct hostfs_node, TRANSIENT(struct hostfs_node, fd),
	   TRANSIENT(struct hostfs_node, pins), TRANSIENT(struct hostfs_node, path_only),
	   TRANSIENT(struct hostfs_node, open_link));

DECLARE_OPS(struct inode_ops, hostfs_inode_ops);
DECLARE_OPS(struct inode_ops, hostfs_trusted_ops);
DECLARE_OPS(struct inode_ops, hostfs_special_ops);

/* ---- which file systems ---- */

/* Magic numbers of file systems of ordinary files: those of disks and networks, overlays, and
 * memory. */
static const u32 ordinary[] = {
	0xef53, /* ext2, 3, 4 */
	0x58465342, /* xfs */
	0x9123683e, /* btrfs */
	0x01021994, /* tmpfs; the host's /dev too, whose nodes we don't open */
	0x858458f6, /* ramfs */
	0x794c7630, /* overlay */
	0x61756673, /* aufs */
	0xf2f52010, /* f2fs */
	0xca451a4e, /* bcachefs */
	0x2fc12fc1, /* zfs */
	0x73717368, /* squashfs */
	0xe0f5e1e2, /* erofs */
	0x28cd3d45, /* cramfs */
	0x9660, /* iso9660 */
	0x15013346, /* udf */
	0x4d44, /* vfat */
	0x2011bab0, /* exfat */
	0x7366746e, /* ntfs3 */
	0x5346544e, /* ntfs */
	0x52654973, /* reiserfs */
	0x3153464a, /* jfs */
	0x482b, /* hfs+ */
	0x3434, /* nilfs */
	0x24051905, /* ubifs */
	0x6969, /* nfs */
	0xff534d42, /* cifs */
	0xfe534d42, /* smb2 */
	0x01021997, /* 9p */
	0x65735546, /* fuse, virtiofs */
	0x00c36400, /* ceph */
	0x5346414f, /* afs */
	0x0bd00bd0, /* lustre */
	0x01161970, /* gfs2 */
	0x7461636f, /* ocfs2 */
	0x47504653, /* gpfs */
	0x20030528, /* orangefs */
	0x786f4256, /* vboxsf */
	0xf15f, /* ecryptfs */
};

bool hostfs_ordinary(u64 f_type)
{
	for (size_t i = 0; i < ARRAY_SIZE(ordinary); i++)
		if (ordinary[i] == (u32)f_type)
			return true;
	return false;
}

/* Open one name. Other mounts are entered only if the node was seen to be on one. */
static int open_one(int dirfd, const char *name, int flags, bool crosses)
{
	u64 resolve = RESOLVE_ONE | (crosses ? 0 : RESOLVE_NO_XDEV);
	int fd = host_openat2(dirfd, name, (u64)(flags | O_NOFOLLOW), 0, resolve);

	if (fd == -ENOSYS)
		fd = host_openat(dirfd, name, flags | O_NOFOLLOW, 0);
	return fd;
}

int hostfs_look(int dirfd, const struct hostfs_node *dir, const char *name, struct statx *stx,
		enum hostfs_state *ret_state)
{
	struct statfs sf;
	bool crosses;
	int err, fd;

	err = host_statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
			 STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, stx);
	if (err)
		return err;
	*ret_state = NODE_PLAIN;
	if (stx->stx_mask & STATX_MNT_ID)
		crosses = stx->stx_mnt_id != dir->mount_id;
	else
		crosses = makedev(stx->stx_dev_major, stx->stx_dev_minor) != dir->host_dev;
	if (!crosses)
		return 0;
	*ret_state = NODE_REFUSED;
	fd = open_one(dirfd, name, O_PATH, true);
	if (fd < 0)
		return fd == -ELOOP || fd == -EACCES ? 0 : fd;
	if (!host_fstatfs(fd, &sf) && hostfs_ordinary((u64)sf.f_type))
		*ret_state = NODE_PLAIN;
	host_close(fd);
	return 0;
}

/* ---- life ---- */

static struct timespec from_statx(const struct statx_timestamp *t)
{
	return (struct timespec){ .tv_sec = t->tv_sec, .tv_nsec = t->tv_nsec };
}

void hostfs_set_attributes(struct inode *inode, const struct statx *stx)
{
	struct hostfs_node *n = hostfs_node_of(inode);

	spin_lock(&inode->attr_lock, &lc_inode_attr);
	inode->mode = (inode->mode & S_IFMT) | (stx->stx_mode & 07777);
	inode->uid = stx->stx_uid;
	inode->gid = stx->stx_gid;
	inode->nlink = stx->stx_nlink;
	inode->size = stx->stx_size;
	inode->atime = from_statx(&stx->stx_atime);
	inode->mtime = from_statx(&stx->stx_mtime);
	inode->ctime = from_statx(&stx->stx_ctime);
	inode->btime = from_statx(&stx->stx_btime);
	n->blocks = stx->stx_blocks;
	spin_unlock(&inode->attr_lock, &lc_inode_attr);
}

static const struct inode_ops *ops_for(const struct super *sb, u32 mode)
{
	if (!S_ISREG(mode) && !S_ISDIR(mode) && !S_ISLNK(mode))
		return OPS(hostfs_special_ops);
	if (hostfs_of(sb)->flags & HOSTFS_REVALIDATE)
		return OPS(hostfs_inode_ops);
	return OPS(hostfs_trusted_ops);
}

int hostfs_node_create(struct super *sb, struct inode *parent, const char *name,
		       enum hostfs_state state, const struct statx *stx, struct inode **ret)
{
	struct hostfs_node *n = slab_alloc(&slab_hostfs_node);
	u32 mode = stx->stx_mode;
	struct inode *inode;

	if (!n)
		return -ENOMEM;
	n->name = arena_strdup(name);
	inode = n->name ? inode_create(sb, ops_for(sb, mode), stx->stx_ino, mode, 0, 0) : NULL;
	if (!inode) {
		arena_free(n->name);
		slab_free(&slab_hostfs_node, n);
		return -ENOMEM;
	}
	inode->private = n;
	inode->rdev = makedev(stx->stx_rdev_major, stx->stx_rdev_minor);
	n->inode = inode;
	n->state = state;
	n->host_dev = makedev(stx->stx_dev_major, stx->stx_dev_minor);
	n->mount_id = stx->stx_mask & STATX_MNT_ID ? stx->stx_mnt_id : 0;
	n->blksize = stx->stx_blksize;
	list_init(&n->open_link);
	if (parent) {
		const struct hostfs_node *p = hostfs_node_of(parent);

		inode_get(parent);
		n->parent = parent;
		n->crosses = n->mount_id != p->mount_id || n->host_dev != p->host_dev;
	}
	hostfs_set_attributes(inode, stx);
	*ret = inode;
	return 0;
}

void hostfs_evict(struct inode *inode)
{
	struct hostfs_node *n = hostfs_node_of(inode);
	struct hostfs *fs = hostfs_of(inode->sb);
	int fd;

	spin_lock(&fs->lock, &lc_hostfile);
	fd = n->fd - 1;
	if (fd >= 0 && n->parent) {
		list_del(&n->open_link);
		fs->open_count--;
	}
	spin_unlock(&fs->lock, &lc_hostfile);
	if (fd >= 0)
		host_close(fd);
	inode_put(n->parent);
	arena_free(n->name);
	arena_free(n->target);
	slab_free(&slab_hostfs_node, n);
}

/* ---- descriptors ---- */

void hostfs_set_root_fd(struct inode *root, int fd)
{
	hostfs_node_of(root)->fd = fd + 1;
}

/* The descriptor, pinned, if it is open; else -1. */
static int pin_open(struct hostfs *fs, struct hostfs_node *n)
{
	int fd;

	spin_lock(&fs->lock, &lc_hostfile);
	fd = n->fd - 1;
	if (fd >= 0) {
		n->pins++;
		if (n->parent) {
			list_del(&n->open_link);
			list_add(&fs->open, &n->open_link);
		}
	}
	spin_unlock(&fs->lock, &lc_hostfile);
	return fd;
}

void hostfs_fd_put(struct inode *inode)
{
	struct hostfs *fs = hostfs_of(inode->sb);

	spin_lock(&fs->lock, &lc_hostfile);
	hostfs_node_of(inode)->pins--;
	spin_unlock(&fs->lock, &lc_hostfile);
}

/* Take the descriptor of the least recently used node that nobody uses; -1 if all are in use. */
static int steal_oldest(struct hostfs *fs) REQUIRES(lc_hostfile)
{
	struct list *at;

	for (at = fs->open.prev; at != &fs->open; at = at->prev) {
		struct hostfs_node *n = list_entry(at, struct hostfs_node, open_link);
		int fd = n->fd - 1;

		if (n->pins)
			continue;
		list_del(&n->open_link);
		n->fd = 0;
		fs->open_count--;
		return fd;
	}
	return -1;
}

/* Give n the descriptor fd, unless it has one by now; pinned. */
static int publish(struct hostfs *fs, struct hostfs_node *n, int fd, bool path_only)
{
	int unused = -1;

	spin_lock(&fs->lock, &lc_hostfile);
	if (!fs->open.next)
		list_init(&fs->open); /* after a restore */
	if (n->fd) {
		unused = fd;
		fd = n->fd - 1;
	} else {
		n->fd = fd + 1;
		n->path_only = path_only;
		list_add(&fs->open, &n->open_link);
		if (++fs->open_count > OPEN_MAX)
			unused = steal_oldest(fs);
	}
	n->pins++;
	spin_unlock(&fs->lock, &lc_hostfile);
	if (unused >= 0)
		host_close(unused);
	return fd;
}

/* It is still the file that was looked at: no device, fifo or other file has taken its place. */
static int check_regular(int fd, const struct inode *inode)
{
	struct stat st;
	int err = host_fstat(fd, &st);

	if (err)
		return err;
	return S_ISREG(st.st_mode) && st.st_ino == inode->ino ? 0 : -ESTALE;
}

static int open_node(const struct hostfs_node *n, int dirfd, bool *ret_path_only)
{
	int fd, err;

	*ret_path_only = false;
	if (S_ISDIR(n->inode->mode)) {
		fd = open_one(dirfd, n->name, O_RDONLY | O_DIRECTORY, n->crosses);
		if (fd == -EACCES) {
			*ret_path_only = true;
			fd = open_one(dirfd, n->name, O_PATH | O_DIRECTORY, n->crosses);
		}
		return fd;
	}
	fd = open_one(dirfd, n->name, O_RDONLY | O_NONBLOCK | O_NOCTTY, n->crosses);
	if (fd < 0)
		return fd == -ENXIO || fd == -ELOOP ? -ESTALE : fd;
	err = check_regular(fd, n->inode);
	if (err) {
		host_close(fd);
		return err;
	}
	return fd;
}

int hostfs_fd_get(struct inode *inode)
{
	struct hostfs *fs = hostfs_of(inode->sb);
	struct hostfs_node *n = hostfs_node_of(inode), *at;
	bool path_only;
	int fd, dirfd;

	if (n->state != NODE_PLAIN || (!S_ISDIR(inode->mode) && !S_ISREG(inode->mode)))
		return -EACCES;
	for (;;) {
		fd = pin_open(fs, n);
		if (fd >= 0)
			return fd;
		/* The highest node that is closed, below the first open ancestor: at last the root
		 * is open. */
		at = n;
		while ((dirfd = pin_open(fs, hostfs_node_of(at->parent))) < 0)
			at = hostfs_node_of(at->parent);
		fd = open_node(at, dirfd, &path_only);
		hostfs_fd_put(at->parent);
		if (fd < 0)
			return fd;
		fd = publish(fs, at, fd, path_only);
		if (at == n)
			return fd;
		hostfs_fd_put(at->inode);
	}
}
