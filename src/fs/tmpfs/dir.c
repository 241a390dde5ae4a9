/*
 * Directories of tmpfs: tables of names.
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

#define ENTRY_SIZE 20 /* what a name adds to the directory's size, as in Linux */

SLAB_CLASS(tmpfs_dir, struct tmpfs_dir);

int tmpfs_dir_init(struct inode *inode)
{
	struct tmpfs *fs = tmpfs_of(inode->sb);
	struct tmpfs_dir *dir = slab_alloc(&slab_tmpfs_dir);

	if (!dir)
		return -ENOSPC;
	dir->inode = inode;
	nametab_init(&dir->names, &inode->sb->dcache.key);
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
	nametab_fini(&dir->names);
	slab_free(&slab_tmpfs_dir, dir);
}

struct nametab_entry *tmpfs_dir_find(struct inode *inode, const char *name)
{
	return nametab_find(&tmpfs_dir_of(inode)->names, name);
}

struct nametab_entry *tmpfs_entry_create(struct inode *dir, const char *name, struct inode *inode)
{
	return nametab_entry_create(&tmpfs_dir_of(dir)->names, name, inode);
}

static void resize(struct inode *inode, int by)
{
	spin_lock(&inode->attr_lock, &lc_inode_attr);
	inode->size += (u64)by;
	spin_unlock(&inode->attr_lock, &lc_inode_attr);
}

int tmpfs_dir_insert(struct inode *inode, struct nametab_entry *e)
{
	struct tmpfs_dir *dir = tmpfs_dir_of(inode);

	int err = dir->dead ? -ENOENT : nametab_insert(&dir->names, e);

	if (!err)
		resize(inode, ENTRY_SIZE);
	return err;
}

void tmpfs_dir_erase(struct inode *inode, struct nametab_entry *e)
{
	nametab_erase(&tmpfs_dir_of(inode)->names, e);
	resize(inode, -ENTRY_SIZE);
}

int tmpfs_dir_kill(struct inode *inode)
{
	struct tmpfs_dir *dir = tmpfs_dir_of(inode);

	if (dir->names.count > 0)
		return -ENOTEMPTY;
	dir->dead = true;
	return 0;
}

/* Without recursion, however deep the tree: all directories are held while their entries go. */
void tmpfs_dirs_destroy(struct super *sb)
{
	struct tmpfs *fs = tmpfs_of(sb);
	struct tmpfs_dir *dir, *next;
	struct list dirs;

	list_init(&dirs);
	spin_lock(&fs->lock, &lc_fs);
	list_for_each(dir, &fs->dirs, all)
		inode_get(dir->inode);
	list_splice_tail(&dirs, &fs->dirs);
	spin_unlock(&fs->lock, &lc_fs);
	list_for_each(dir, &dirs, all)
		nametab_fini(&dir->names);
	list_for_each_safe(dir, next, &dirs, all) {
		list_del(&dir->all); /* the root outlives the list */
		inode_put(dir->inode);
	}
}

/* ---- readdir ---- */

static u8 entry_type(const struct nametab_entry *e)
{
	return (u8)IFTODT(e->inode->mode);
}

static int tmpfs_iterate(struct subject *s, struct file *f, struct dir_context *ctx)
{
	struct tmpfs_dir *dir = tmpfs_dir_of(f->inode);
	struct nametab_entry *e;

	if (!dir_emit_dots(f, ctx))
		return 0;
	e = nametab_from(&dir->names, (u64)ctx->pos);
	dir->names.hint = NULL;
	while (e) {
		s64 next = (s64)e->cookie + 1;

		if (!ctx->emit(ctx, e->name, e->len, e->inode->ino, next, entry_type(e))) {
			dir->names.hint = e;
			break;
		}
		ctx->pos = next;
		e = nametab_after(&dir->names, e);
	}
	return 0;
}

DEFINE_OPS(struct file_ops, tmpfs_dir_file_ops) = {
	.iterate = tmpfs_iterate,
	.lseek = dir_lseek,
};
