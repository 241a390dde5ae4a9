/*
 * hostfs: nodes, which file systems of the host are entered, and what is where.
 *
 * The host is asked for one name relative to a directory's descriptor, never for a path, and
 * follows no link. Only file systems that hold ordinary files are entered: whether a name leads to
 * another host mount is told by its mount id, and then its f_type is looked at.
 *
 * A node is described by its parent and name. In a tree that may change, regular files are also in
 * a table by device and number, so that a file has one inode whatever its names: locks and mappings
 * of it meet. Its place is then the last one where it was seen.
 */

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

SLAB_CLASS(hostfs_node, struct hostfs_node, TRANSIENT(struct hostfs_node, fd),
	   TRANSIENT(struct hostfs_node, wfd), TRANSIENT(struct hostfs_node, wfd_reads),
	   TRANSIENT(struct hostfs_node, pins), TRANSIENT(struct hostfs_node, path_only),
	   TRANSIENT(struct hostfs_node, open_link), TRANSIENT(struct hostfs_node, asked_tsc),
	   TRANSIENT(struct hostfs_node, opener));

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
	fd = hostfs_open_one(dirfd, name, O_PATH, 0, true);
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

void hostfs_set_attributes(struct inode *inode, const struct statx *stx, u64 asked_tsc)
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
	n->blocks = stx->stx_blocks;
	n->asked_tsc = asked_tsc;
	spin_unlock(&inode->attr_lock, &lc_inode_attr);
}

static const struct inode_ops *ops_for(const struct super *sb, u32 mode)
{
	if (!S_ISREG(mode) && !S_ISDIR(mode) && !S_ISLNK(mode))
		return OPS(hostfs_special_ops);
	if (hostfs_changes(sb))
		return OPS(hostfs_inode_ops);
	return OPS(hostfs_trusted_ops);
}

static u32 bucket_of(u64 dev, u64 ino)
{
	return (u32)hash_u64(dev ^ hash_u64(ino)) % HOSTFS_BUCKETS;
}

static bool in_table(const struct super *sb, const struct statx *stx)
{
	return hostfs_of(sb)->files && S_ISREG(stx->stx_mode);
}

bool hostfs_same_file(const struct inode *inode, const struct statx *stx)
{
	const struct hostfs_node *n = hostfs_node_of(inode);

	/* A number may be used again, for a file that is born later. */
	return stx->stx_ino == inode->ino && (stx->stx_mode & S_IFMT) == (inode->mode & S_IFMT) &&
	       makedev(stx->stx_dev_major, stx->stx_dev_minor) == n->host_dev &&
	       stx->stx_btime.tv_sec == inode->btime.tv_sec &&
	       stx->stx_btime.tv_nsec == inode->btime.tv_nsec;
}

/* The inode that is known for this file, with a reference, or null. */
static struct inode *find_file(struct hostfs *fs, const struct statx *stx) REQUIRES(lc_hostfile)
{
	u64 dev = makedev(stx->stx_dev_major, stx->stx_dev_minor);
	struct hostfs_node *n;

	list_for_each(n, &fs->files[bucket_of(dev, stx->stx_ino)], file_link)
		if (hostfs_same_file(n->inode, stx) && refcount_get_unless_zero(&n->inode->refs))
			return n->inode;
	return NULL;
}

static int node_create(struct super *sb, struct inode *parent, const char *name,
		       enum hostfs_state state, const struct statx *stx, u64 asked_tsc,
		       struct inode **ret)
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
	inode->btime = from_statx(&stx->stx_btime);
	n->inode = inode;
	n->state = state;
	n->host_dev = makedev(stx->stx_dev_major, stx->stx_dev_minor);
	n->mount_id = stx->stx_mask & STATX_MNT_ID ? stx->stx_mnt_id : 0;
	n->blksize = stx->stx_blksize;
	list_init(&n->open_link);
	list_init(&n->file_link);
	if (parent) {
		const struct hostfs_node *p = hostfs_node_of(parent);

		inode_get(parent);
		n->parent = parent;
		n->crosses = n->mount_id != p->mount_id || n->host_dev != p->host_dev;
	}
	hostfs_set_attributes(inode, stx, asked_tsc);
	*ret = inode;
	return 0;
}

int hostfs_node_get(struct super *sb, struct inode *parent, const char *name,
		    enum hostfs_state state, const struct statx *stx, u64 asked_tsc,
		    struct inode **ret)
{
	struct hostfs *fs = hostfs_of(sb);
	struct inode *known = NULL, *new;
	int err;

	err = node_create(sb, parent, name, state, stx, asked_tsc, &new);
	if (err)
		return err;
	if (in_table(sb, stx) && state == NODE_PLAIN) {
		struct hostfs_node *n = hostfs_node_of(new);

		spin_lock(&fs->lock, &lc_hostfile);
		known = find_file(fs, stx);
		if (!known)
			list_add(&fs->files[bucket_of(n->host_dev, new->ino)], &n->file_link);
		spin_unlock(&fs->lock, &lc_hostfile);
	}
	if (known) {
		inode_put(new);
		hostfs_set_attributes(known, stx, asked_tsc);
		if (parent)
			hostfs_move(hostfs_node_of(known), parent, name);
	}
	*ret = known ? known : new;
	return 0;
}

struct inode *hostfs_evict(struct inode *inode)
{
	struct hostfs_node *n = hostfs_node_of(inode);
	struct hostfs *fs = hostfs_of(inode->sb);
	struct inode *parent = n->parent;

	spin_lock(&fs->lock, &lc_hostfile);
	list_del(&n->file_link);
	spin_unlock(&fs->lock, &lc_hostfile);
	hostfs_close(fs, n);
	arena_free(n->name);
	arena_free(n->target);
	slab_free(&slab_hostfs_node, n);
	return parent;
}

/* ---- places ---- */

struct inode *hostfs_place(struct hostfs_node *n, char *ret_name, bool *ret_crosses)
{
	struct hostfs *fs = hostfs_of(n->inode->sb);
	struct inode *parent;

	spin_lock(&fs->lock, &lc_hostfile);
	parent = n->parent;
	if (parent)
		inode_get(parent);
	memcpy(ret_name, n->name, strlen(n->name) + 1);
	*ret_crosses = n->crosses;
	spin_unlock(&fs->lock, &lc_hostfile);
	return parent;
}

bool hostfs_is_at(struct hostfs_node *n, const struct inode *parent, const char *name)
{
	struct hostfs *fs = hostfs_of(n->inode->sb);
	bool same;

	spin_lock(&fs->lock, &lc_hostfile);
	same = n->parent == parent && !strcmp(n->name, name);
	spin_unlock(&fs->lock, &lc_hostfile);
	return same;
}

void hostfs_move(struct hostfs_node *n, struct inode *parent, const char *name)
{
	struct hostfs *fs = hostfs_of(n->inode->sb);
	const struct hostfs_node *p = hostfs_node_of(parent);
	char *copy = arena_strdup(name), *old_name;
	struct inode *old_parent;

	if (!copy)
		return;
	inode_get(parent);
	spin_lock(&fs->lock, &lc_hostfile);
	old_name = n->name;
	old_parent = n->parent;
	n->name = copy;
	n->parent = parent;
	n->crosses = n->mount_id != p->mount_id || n->host_dev != p->host_dev;
	spin_unlock(&fs->lock, &lc_hostfile);
	arena_free(old_name);
	inode_put(old_parent);
}
