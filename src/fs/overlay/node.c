/*
 * The overlay: inodes.
 *
 * There is one overlay inode for each lower file, found by what identifies that (device, inode
 * number, time of birth; of a directory also the host's mount), so that hard links of the lower
 * tree are one file here too. It has its own copies of the attributes. While nothing is changed it
 * comes and goes like any cached inode; the first change pins it: the table then holds a reference,
 * until its last name is gone. So no copy of parents is needed, and changes of attributes alone
 * copy no data.
 *
 * What is made here is held by the names that lead to it, as in tmpfs.
 */

#include <errno.h>
#include <string.h>

#include "arena/arena.h"
#include "arena/buckets.h"
#include "arena/slab.h"
#include "fs/overlay/internal.h"
#include "fs/tmpfs/tmpfs.h"
#include "vfs/xattr.h"

#define BUCKETS_MIN 64
#define BUCKETS_MAX (1u << 17)

SLAB_CLASS(overlay_node, struct overlay_node);

/* ---- the table ---- */

static struct list *bucket_of(const struct overlay *fs, u64 dev, u64 ino)
{
	return &fs->buckets[hash_combine(ino, dev) & (fs->bucket_count - 1)];
}

static u64 hash_of(const struct list *link)
{
	const struct overlay_node *n = list_entry(link, const struct overlay_node, link);

	return hash_combine(n->ino, n->dev);
}

/* Keep chains short; if memory is short, they grow. False if there is no table at all. */
static bool grow_table(struct overlay *fs) REQUIRES(lc_fs)
{
	if (fs->bucket_count && (fs->count < fs->bucket_count || fs->bucket_count >= BUCKETS_MAX))
		return true;
	return buckets_grow(&fs->buckets, &fs->bucket_count, BUCKETS_MIN, hash_of) ||
	       fs->bucket_count;
}

static bool is_same(const struct overlay_node *n, const struct kstat *st)
{
	const struct inode *i = n->inode;

	return n->ino == st->ino && n->dev == st->dev &&
	       (i->mode & S_IFMT) == (st->mode & S_IFMT) && i->btime.tv_sec == st->btime.tv_sec &&
	       i->btime.tv_nsec == st->btime.tv_nsec &&
	       n->mount == (S_ISDIR(st->mode) ? st->mount : 0);
}

/* With a reference, or null. */
static struct inode *find_node(struct overlay *fs, const struct kstat *st) REQUIRES(lc_fs)
{
	struct overlay_node *n;
	struct list *bucket;

	if (!fs->bucket_count)
		return NULL;
	bucket = bucket_of(fs, st->dev, st->ino);
	list_for_each(n, bucket, link)
		if (is_same(n, st) && refcount_get_unless_zero(&n->inode->refs))
			return n->inode;
	return NULL;
}

/* ---- life ---- */

static const struct inode_ops *ops_for(u32 mode, bool made)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return OPS(overlay_dir_ops);
	case S_IFREG:
		return OPS(overlay_regular_ops);
	case S_IFLNK:
		return OPS(overlay_symlink_ops);
	case S_IFCHR:
	case S_IFBLK:
		return made ? OPS(overlay_special_ops) : OPS(overlay_lower_device_ops);
	default:
		return OPS(overlay_special_ops);
	}
}

static struct inode *node_create(struct super *sb, struct inode *lower, u64 ino, u32 mode, u32 uid,
				 u32 gid)
{
	struct overlay_node *n = slab_alloc(&slab_overlay_node);
	struct inode *inode;

	if (!n)
		return NULL;
	inode = inode_create(sb, ops_for(mode, !lower), ino, mode, uid, gid);
	if (!inode) {
		slab_free(&slab_overlay_node, n);
		return NULL;
	}
	n->inode = inode;
	n->ino = ino;
	list_init(&n->link);
	inode->private = n;
	return inode;
}

/* As node_create, of what st says of lower; lower is not taken over. */
static struct inode *node_of_lower(struct super *sb, struct inode *lower, const struct kstat *st)
{
	struct inode *inode = node_create(sb, lower, st->ino, st->mode, st->uid, st->gid);
	struct overlay_node *n;

	if (!inode)
		return NULL;
	inode->nlink = st->nlink;
	inode->size = st->size;
	inode->rdev = st->rdev;
	inode->atime = st->atime;
	inode->mtime = st->mtime;
	inode->ctime = st->ctime;
	inode->btime = st->btime;
	n = overlay_node_of(inode);
	n->dev = st->dev;
	n->mount = S_ISDIR(st->mode) ? st->mount : 0;
	n->blocks = st->blocks;
	return inode;
}

int overlay_inode_get(struct super *sb, struct inode *lower, struct inode **ret)
{
	struct overlay *fs = overlay_of(sb);
	struct inode *inode, *new;
	struct kstat st = {};
	int err;

	err = inode_getattr(NULL, lower, &st);
	if (err)
		return err;
	/* Made before it is known whether there is one: that is rare, and to look costs, too. */
	new = node_of_lower(sb, lower, &st);
	if (!new)
		return -ENOMEM;
	spin_lock(&fs->lock, &lc_fs);
	inode = find_node(fs, &st);
	if (!inode && grow_table(fs)) {
		inode = new;
		overlay_node_of(new)->lower = lower;
		list_add(bucket_of(fs, st.dev, st.ino), &overlay_node_of(new)->link);
		fs->count++;
	}
	spin_unlock(&fs->lock, &lc_fs);
	if (inode == new) {
		*ret = new;
		return 0;
	}
	inode_put(new);
	if (!inode)
		return -ENOMEM;
	inode_put(lower);
	*ret = inode;
	return 0;
}

static int make_contents(struct overlay *fs, struct inode *inode, const char *target)
{
	struct overlay_node *n = overlay_node_of(inode);
	struct inode *data;
	int err = 0;

	if (S_ISREG(inode->mode)) {
		err = tmpfs_create_data(fs->upper, &data);
		if (!err)
			n->data = data;
	} else if (S_ISLNK(inode->mode)) {
		n->target = arena_strdup(target);
		inode->size = strlen(target);
		err = n->target ? 0 : -ENOSPC;
	} else if (S_ISDIR(inode->mode)) {
		inode->nlink = 2;
		inode->size = PAGE_SIZE;
		spin_lock(&fs->lock, &lc_fs);
		list_add(&fs->made_dirs, &n->link);
		spin_unlock(&fs->lock, &lc_fs);
	}
	return err;
}

int overlay_inode_make(struct inode *dir, u32 mode, u32 uid, u32 gid, u64 rdev, const char *target,
		       struct inode **ret)
{
	struct overlay *fs = overlay_of(dir->sb);
	struct inode *inode;
	int err;

	err = tmpfs_charge_inodes(fs->upper, 1);
	if (err)
		return err;
	inode = node_create(dir->sb, NULL, OVERLAY_FIRST_INO + super_new_ino(dir->sb), mode, uid,
			    gid);
	if (!inode) {
		tmpfs_uncharge_inodes(fs->upper, 1);
		return -ENOSPC;
	}
	inode->rdev = rdev;
	overlay_node_of(inode)->dev = overlay_node_of(dir)->dev;
	overlay_node_of(inode)->made = true;
	/* From here on evict gives back what was charged. */
	err = make_contents(fs, inode, target);
	if (err) {
		inode_put(inode);
		return err;
	}
	*ret = inode;
	return 0;
}

/* Of a directory, the names that are left: none, or marks of hidden ones. */
static void drop_contents(struct overlay *fs, struct overlay_node *n)
{
	u32 mode = n->inode->mode;

	if (S_ISREG(mode)) {
		inode_put(n->data);
	} else if (S_ISLNK(mode)) {
		arena_free(n->target);
	} else if (S_ISDIR(mode) && n->names) {
		tmpfs_uncharge_inodes(fs->upper, n->names->count);
		nametab_fini(n->names);
		arena_free(n->names);
	}
}

struct inode *overlay_evict(struct inode *inode)
{
	struct overlay_node *n = overlay_node_of(inode);
	struct overlay *fs = overlay_of(inode->sb);
	struct inode *lower = n->lower;

	spin_lock(&fs->lock, &lc_fs);
	if (lower)
		fs->count--;
	list_del(&n->link);
	spin_unlock(&fs->lock, &lc_fs);
	if (n->made)
		tmpfs_uncharge_inodes(fs->upper, 1);
	if (inode->xattrs)
		tmpfs_uncharge_bytes(fs->upper, xattrs_cost_all(inode->xattrs));
	drop_contents(fs, n);
	slab_free(&slab_overlay_node, n);
	return lower;
}

/* ---- pins ---- */

int overlay_pin(struct inode *inode)
{
	struct overlay_node *n = overlay_node_of(inode);
	struct overlay *fs = overlay_of(inode->sb);
	bool taken = false;
	int err;

	if (n->made)
		return 0;
	/* Charged before it is known whether that is needed: the account has a lock of its own. */
	err = tmpfs_charge_inodes(fs->upper, 1);
	if (err)
		return n->pinned ? 0 : err;
	spin_lock(&fs->lock, &lc_fs);
	if (!n->pinned && inode->nlink > 0) {
		n->pinned = taken = true;
		inode_get(inode);
	}
	spin_unlock(&fs->lock, &lc_fs);
	if (!taken)
		tmpfs_uncharge_inodes(fs->upper, 1);
	return 0;
}

void overlay_unpin(struct inode *inode)
{
	struct overlay_node *n = overlay_node_of(inode);
	struct overlay *fs = overlay_of(inode->sb);
	bool was;

	spin_lock(&fs->lock, &lc_fs);
	was = n->pinned;
	n->pinned = false;
	spin_unlock(&fs->lock, &lc_fs);
	if (!was)
		return;
	tmpfs_uncharge_inodes(fs->upper, 1);
	inode_put(inode);
}

/* Take all nodes off list, with a reference each. */
static void gather(struct list *list, struct list *all)
{
	struct overlay_node *n;

	list_for_each(n, list, link)
		inode_get(n->inode);
	list_splice_tail(all, list);
}

/* Without recursion, however deep the tree: all that can hold others is held while it lets go. */
void overlay_drop_all(struct super *sb)
{
	struct overlay *fs = overlay_of(sb);
	struct overlay_node *n, *next;
	struct list all;

	list_init(&all);
	spin_lock(&fs->lock, &lc_fs);
	gather(&fs->made_dirs, &all);
	for (u32 i = 0; i < fs->bucket_count; i++)
		gather(&fs->buckets[i], &all);
	spin_unlock(&fs->lock, &lc_fs);
	list_for_each(n, &all, link)
		if (S_ISDIR(n->inode->mode) && n->names)
			nametab_fini(n->names);
	list_for_each_safe(n, next, &all, link) {
		list_del(&n->link);
		overlay_unpin(n->inode);
		inode_put(n->inode);
	}
	arena_free(fs->buckets);
}
