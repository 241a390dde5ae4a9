/*
 * Directories of tmpfs: a hash table of names, and a list of them in the order of their cookies,
 * which rise for ever, so that a readdir goes on at the right place whatever came and went
 * meanwhile.
 *
 * Entries change with the directory's own lock (lc_inode_dir) and the super's (lc_fs) held. The
 * latter alone serves rmdir, which holds the parent's lock, to see that the victim is empty and to
 * keep it so.
 */

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "fs/tmpfs/internal.h"

#define BUCKETS_MIN 8
#define BUCKETS_MAX (1u << 20)
#define FIRST_COOKIE 2 /* after "." and ".." */
#define ENTRY_SIZE 20 /* what a name adds to the directory's size, as in Linux */

SLAB_CLASS(tmpfs_dir, struct tmpfs_dir);

int tmpfs_dir_init(struct inode *inode)
{
	struct tmpfs *fs = tmpfs_of(inode->sb);
	struct tmpfs_dir *dir = slab_alloc(&slab_tmpfs_dir);

	if (!dir)
		return -ENOSPC;
	dir->inode = inode;
	list_init(&dir->entries);
	dir->next_cookie = FIRST_COOKIE;
	inode->private = dir;
	inode->nlink = 2;
	inode->size = 2 * ENTRY_SIZE;
	spin_lock(&fs->lock, &lc_fs);
	list_add(&fs->dirs, &dir->all);
	spin_unlock(&fs->lock, &lc_fs);
	return 0;
}

void tmpfs_dir_evict(struct inode *inode)
{
	struct tmpfs *fs = tmpfs_of(inode->sb);
	struct tmpfs_dir *dir = tmpfs_dir_of(inode);

	spin_lock(&fs->lock, &lc_fs);
	list_del(&dir->all);
	spin_unlock(&fs->lock, &lc_fs);
	arena_free(dir->buckets);
	slab_free(&slab_tmpfs_dir, dir);
}

static u32 name_hash(const struct inode *dir, const char *name, size_t len)
{
	return (u32)hash_bytes(&dir->sb->dcache.key, name, len);
}

struct tmpfs_entry *tmpfs_dir_find(struct inode *inode, const char *name)
{
	struct tmpfs_dir *dir = tmpfs_dir_of(inode);
	size_t len = strlen(name);
	u32 hash = name_hash(inode, name, len);
	struct tmpfs_entry *e;
	struct list *bucket;

	if (!dir->bucket_count)
		return NULL;
	bucket = &dir->buckets[hash & (dir->bucket_count - 1)];
	list_for_each(e, bucket, hash_link)
		if (e->hash == hash && e->len == len && memcmp(e->name, name, len) == 0)
			return e;
	return NULL;
}

struct tmpfs_entry *tmpfs_entry_create(struct inode *dir, const char *name, struct inode *inode)
{
	size_t len = strlen(name);
	struct tmpfs_entry *e = arena_alloc(sizeof(*e) + len + 1);

	if (!e)
		return NULL;
	list_init(&e->order);
	list_init(&e->hash_link);
	e->len = (u32)len;
	e->hash = name_hash(dir, name, len);
	memcpy(e->name, name, len);
	inode_get(inode);
	e->inode = inode;
	return e;
}

void tmpfs_entry_destroy(struct tmpfs_entry *e)
{
	if (!e)
		return;
	inode_put(e->inode);
	arena_free(e);
}

/* Room for one more; without memory the chains grow. False if there is no table. */
static bool grow_table(struct tmpfs_dir *dir)
{
	u32 count = dir->bucket_count ? 2 * dir->bucket_count : BUCKETS_MIN;
	struct tmpfs_entry *e;
	struct list *table;

	if (dir->bucket_count && (dir->count < dir->bucket_count || count > BUCKETS_MAX))
		return true;
	table = arena_alloc(count * sizeof(*table));
	if (!table)
		return dir->bucket_count != 0;
	for (u32 i = 0; i < count; i++)
		list_init(&table[i]);
	list_for_each(e, &dir->entries, order) {
		list_del(&e->hash_link);
		list_add(&table[e->hash & (count - 1)], &e->hash_link);
	}
	arena_free(dir->buckets);
	dir->buckets = table;
	dir->bucket_count = count;
	return true;
}

static void resize(struct inode *inode, int by)
{
	spin_lock(&inode->attr_lock, &lc_inode_attr);
	inode->size += (u64)by;
	spin_unlock(&inode->attr_lock, &lc_inode_attr);
}

int tmpfs_dir_insert(struct inode *inode, struct tmpfs_entry *e)
{
	struct tmpfs_dir *dir = tmpfs_dir_of(inode);

	if (dir->dead)
		return -ENOENT;
	if (!grow_table(dir))
		return -ENOSPC;
	e->cookie = dir->next_cookie++;
	list_add_tail(&dir->entries, &e->order);
	list_add(&dir->buckets[e->hash & (dir->bucket_count - 1)], &e->hash_link);
	dir->count++;
	resize(inode, ENTRY_SIZE);
	return 0;
}

void tmpfs_dir_erase(struct inode *inode, struct tmpfs_entry *e)
{
	struct tmpfs_dir *dir = tmpfs_dir_of(inode);

	if (dir->hint == e)
		dir->hint = e->order.next == &dir->entries ? NULL : list_next(e, order);
	list_del(&e->order);
	list_del(&e->hash_link);
	dir->count--;
	resize(inode, -ENTRY_SIZE);
}

int tmpfs_dir_kill(struct inode *inode)
{
	struct tmpfs_dir *dir = tmpfs_dir_of(inode);

	if (dir->count > 0)
		return -ENOTEMPTY;
	dir->dead = true;
	return 0;
}

/* Without recursion, however deep the tree: all directories are held while their entries go. */
void tmpfs_dirs_destroy(struct super *sb)
{
	struct tmpfs *fs = tmpfs_of(sb);
	struct tmpfs_entry *e, *next_e;
	struct tmpfs_dir *dir, *next;
	struct list dirs;

	list_init(&dirs);
	spin_lock(&fs->lock, &lc_fs);
	list_for_each(dir, &fs->dirs, all)
		inode_get(dir->inode);
	list_splice_tail(&dirs, &fs->dirs);
	spin_unlock(&fs->lock, &lc_fs);
	list_for_each(dir, &dirs, all)
		list_for_each_safe(e, next_e, &dir->entries, order)
			tmpfs_entry_destroy(e);
	list_for_each_safe(dir, next, &dirs, all) {
		list_del(&dir->all); /* the root outlives the list */
		inode_put(dir->inode);
	}
}

/* ---- readdir ---- */

static struct tmpfs_entry *entry_from(struct tmpfs_dir *dir, u64 cookie)
{
	struct tmpfs_entry *e = dir->hint;

	/* Mostly a readdir goes on where the last one stopped. */
	if (e && e->cookie >= cookie &&
	    (e->order.prev == &dir->entries ||
	     list_entry(e->order.prev, struct tmpfs_entry, order)->cookie < cookie))
		return e;
	list_for_each(e, &dir->entries, order)
		if (e->cookie >= cookie)
			return e;
	return NULL;
}

static u8 entry_type(const struct tmpfs_entry *e)
{
	return (u8)IFTODT(e->inode->mode);
}

static int tmpfs_iterate(struct subject *s, struct file *f, struct dir_context *ctx)
{
	struct tmpfs_dir *dir = tmpfs_dir_of(f->inode);
	struct tmpfs_entry *e;

	if (!dir_emit_dots(f, ctx))
		return 0;
	e = entry_from(dir, (u64)ctx->pos);
	dir->hint = NULL;
	while (e) {
		s64 next = (s64)e->cookie + 1;

		if (!ctx->emit(ctx, e->name, e->len, e->inode->ino, next, entry_type(e))) {
			dir->hint = e;
			break;
		}
		ctx->pos = next;
		e = e->order.next == &dir->entries ? NULL : list_next(e, order);
	}
	return 0;
}

static s64 tmpfs_dir_lseek(struct subject *s, struct file *f, s64 off, int whence)
{
	if (whence == SEEK_CUR)
		off += f->pos;
	else if (whence != SEEK_SET)
		return -EINVAL;
	return off < 0 ? -EINVAL : off;
}

static ssize_t tmpfs_dir_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	return -EISDIR;
}

DEFINE_OPS(struct file_ops, tmpfs_dir_file_ops) = {
	.read = tmpfs_dir_read,
	.iterate = tmpfs_iterate,
	.lseek = tmpfs_dir_lseek,
};
