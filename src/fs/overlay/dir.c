/*
 * The overlay: directories.
 *
 * A directory is lower's, or made here, or (merged) lower's with changes. The changes are a table
 * of names: an entry with an inode stands for, or in place of, lower's name; one without hides
 * lower's name (a whiteout). An entry that covers a name of lower becomes a whiteout when it goes.
 * A directory made here has no lower one and so is opaque without a mark. Since an inode knows its
 * lower directory, directories of lower can be renamed like any others.
 *
 * Each entry and each changed lower inode takes one inode of upper's account.
 *
 * readdir shows lower's entries that the table does not have, at lower's own positions, then the
 * table's, at POS_UPPER and up: positions that file systems do not use (the highest hash of ext4 is
 * reserved, but for the very last, its end).
 *
 * Locks: all here is under the directory's lock. rmdir and rename lock what they remove as well,
 * below its parent.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arena/arena.h"
#include "fs/overlay/internal.h"
#include "fs/tmpfs/tmpfs.h"

#define POS_UPPER 0x7fff'ffff'0000'0000L
#define POS_UPPER_END (POS_UPPER + (s64)NAMETAB_COOKIES)

/* ---- the table of a directory ---- */

static struct nametab_entry *find(const struct inode *dir, const char *name)
{
	const struct overlay_node *n = overlay_node_of(dir);

	return n->names ? nametab_find(n->names, name) : NULL;
}

/* Make dir ready for changes of its names. */
static int dir_prepare(struct inode *dir)
{
	struct overlay_node *n = overlay_node_of(dir);
	int err;

	if (n->dead)
		return -ENOENT;
	err = overlay_pin(dir);
	if (err)
		return err;
	if (!n->names) {
		struct nametab *names = arena_alloc(sizeof(*names));

		if (!names)
			return -ENOSPC;
		nametab_init(names, &dir->sb->dcache.key);
		n->names = names;
	}
	return nametab_reserve(n->names);
}

/* An entry for a table that was prepared; paid for. */
static int entry_create(struct inode *dir, const char *name, struct inode *inode,
			struct nametab_entry **ret)
{
	struct super *upper = overlay_of(dir->sb)->upper;
	int err = tmpfs_charge_inodes(upper, 1);

	if (err)
		return err;
	*ret = nametab_entry_create(overlay_node_of(dir)->names, name, inode);
	if (!*ret) {
		tmpfs_uncharge_inodes(upper, 1);
		return -ENOSPC;
	}
	return 0;
}

static void entry_destroy(struct inode *dir, struct nametab_entry *e)
{
	if (!e)
		return;
	tmpfs_uncharge_inodes(overlay_of(dir->sb)->upper, 1);
	nametab_entry_destroy(e);
}

/* Into a prepared table: cannot fail. */
static void entry_insert(struct inode *dir, struct nametab_entry *e)
{
	if (nametab_insert(overlay_node_of(dir)->names, e))
		entry_destroy(dir, e);
}

/* e's name goes; its reference of the inode too. */
static void entry_remove(struct inode *dir, struct nametab_entry *e)
{
	struct inode *inode = e->inode;

	if (e->covers) {
		e->inode = NULL;
		inode_put(inode);
		return;
	}
	nametab_erase(overlay_node_of(dir)->names, e);
	entry_destroy(dir, e);
}

/* Let e (in the table) stand for inode. */
static void entry_set(struct nametab_entry *e, struct inode *inode)
{
	struct inode *old = e->inode;

	inode_get(inode);
	e->inode = inode;
	inode_put(old);
}

/* ---- look-up ---- */

static int overlay_lookup(struct subject *s, struct inode *dir, const char *name,
			  struct inode **ret_inode)
{
	struct overlay_node *n = overlay_node_of(dir);
	struct nametab_entry *e = find(dir, name);
	struct inode *lower = NULL;
	int err;

	if (e) {
		if (e->inode)
			inode_get(e->inode);
		*ret_inode = e->inode;
		return 0;
	}
	if (!n->lower || n->dead)
		return 0;
	mutex_lock(&n->lower->lock, &lc_inode_dir);
	err = n->lower->ops->lookup(s, n->lower, name, &lower);
	mutex_unlock(&n->lower->lock, &lc_inode_dir);
	if (err || !lower)
		return err;
	err = overlay_inode_get(dir->sb, lower, ret_inode);
	if (err)
		inode_put(lower);
	return err;
}

/* ---- making ---- */

/* A directory that counts its subdirectories: not all file systems of the host do. */
static void add_subdir(struct inode *dir, int n)
{
	if (dir->nlink >= 2)
		inode_add_nlink(dir, n);
}

/* name, which is free, becomes inode's. dir is prepared. */
static int add_name(struct inode *dir, const char *name, struct inode *inode)
{
	struct nametab_entry *e = find(dir, name);
	int err;

	if (e) {
		entry_set(e, inode);
	} else {
		err = entry_create(dir, name, inode, &e);
		if (err)
			return err;
		entry_insert(dir, e);
	}
	inode_touch(dir, TOUCH_MTIME | TOUCH_CTIME);
	return 0;
}

static int make(struct subject *s, struct inode *dir, const char *name, u32 mode, u64 rdev,
		const char *target, struct inode **ret)
{
	struct inode *inode;
	u32 uid, gid;
	int err;

	err = dir_prepare(dir);
	if (err)
		return err;
	inode_new_owner(s, dir, &mode, &uid, &gid);
	err = overlay_inode_make(dir, mode, uid, gid, rdev, target, &inode);
	if (err)
		return err;
	err = add_name(dir, name, inode);
	if (err) {
		inode_put(inode);
		return err;
	}
	if (S_ISDIR(mode))
		add_subdir(dir, 1);
	*ret = inode;
	return 0;
}

static int overlay_create_op(struct subject *s, struct inode *dir, const char *name, u32 mode,
			     struct inode **ret)
{
	return make(s, dir, name, S_IFREG | (mode & 07777), 0, NULL, ret);
}

static int overlay_mknod(struct subject *s, struct inode *dir, const char *name, u32 mode, u64 rdev,
			 struct inode **ret)
{
	return make(s, dir, name, mode, rdev, NULL, ret);
}

static int overlay_mkdir(struct subject *s, struct inode *dir, const char *name, u32 mode,
			 struct inode **ret)
{
	return make(s, dir, name, S_IFDIR | (mode & 07777), 0, NULL, ret);
}

static int overlay_symlink(struct subject *s, struct inode *dir, const char *name,
			   const char *target, struct inode **ret)
{
	return make(s, dir, name, S_IFLNK | 0777, 0, target, ret);
}

static int overlay_tmpfile(struct subject *s, struct inode *dir, u32 mode, struct inode **ret)
{
	u32 uid, gid;
	int err;

	inode_new_owner(s, dir, &mode, &uid, &gid);
	err = overlay_inode_make(dir, mode, uid, gid, 0, NULL, ret);
	if (!err)
		(*ret)->nlink = 0;
	return err;
}

static int overlay_link(struct subject *s, struct inode *inode, struct inode *dir, const char *name)
{
	int err;

	err = dir_prepare(dir);
	if (!err)
		err = overlay_pin(inode);
	if (!err)
		err = add_name(dir, name, inode);
	if (!err)
		inode_add_nlink(inode, 1);
	return err;
}

/* ---- removing ---- */

/* What takes the place of name in the table when it goes: an entry that is there (*ret null), or
 * one to be inserted. Fails without a change. */
static int prepare_removal(struct inode *dir, const char *name, struct nametab_entry **ret)
{
	int err;

	*ret = NULL;
	err = dir_prepare(dir);
	if (err || find(dir, name))
		return err;
	err = entry_create(dir, name, NULL, ret);
	if (!err)
		(*ret)->covers = true;
	return err;
}

static void commit_removal(struct inode *dir, const char *name, struct nametab_entry *whiteout)
{
	if (whiteout)
		entry_insert(dir, whiteout);
	else
		entry_remove(dir, find(dir, name));
}

/* inode, which the caller holds, has lost a name. Of a directory: its only one. */
static void drop_link(struct inode *inode)
{
	inode_add_nlink(inode, S_ISDIR(inode->mode) ? -(int)inode->nlink : -1);
	if (inode->nlink == 0)
		overlay_unpin(inode);
}

static int overlay_unlink(struct subject *s, struct inode *dir, const char *name,
			  struct inode *victim)
{
	struct nametab_entry *whiteout;
	int err;

	/* Its other names must see the link count. */
	err = victim->nlink > 1 ? overlay_pin(victim) : 0;
	if (!err)
		err = prepare_removal(dir, name, &whiteout);
	if (err)
		return err;
	commit_removal(dir, name, whiteout);
	drop_link(victim);
	inode_touch(dir, TOUCH_MTIME | TOUCH_CTIME);
	return 0;
}

struct emptiness {
	struct dir_context ctx;
	const struct nametab *names;
	bool found;
};

static bool is_dot(const char *name, size_t len)
{
	return (len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.');
}

static bool look_for_visible(struct dir_context *ctx, const char *name, size_t len, u64 ino,
			     s64 next_pos, u8 type)
{
	struct emptiness *e = container_of(ctx, struct emptiness, ctx);

	if (is_dot(name, len) || (e->names && nametab_find_len(e->names, name, len)))
		return true;
	e->found = true;
	return false;
}

static int iterate_lower(struct subject *s, const struct file *f, struct overlay_node *n,
			 struct dir_context *ctx)
{
	struct inode *lower = n->lower;
	struct file view;
	int err;

	overlay_view_lower(f, lower, NULL, &view);
	err = lower->ops->open(s, lower, &view);
	if (err)
		return err;
	mutex_lock(&lower->lock, &lc_inode_dir);
	err = view.ops->iterate(s, &view, ctx);
	mutex_unlock(&lower->lock, &lc_inode_dir);
	return err;
}

/* Mark dir as removed if it is empty; -ENOTEMPTY. */
static int dir_kill(struct subject *s, struct inode *dir)
{
	struct overlay_node *n = overlay_node_of(dir);
	struct emptiness e = { .ctx.emit = look_for_visible };
	struct nametab_entry *entry;
	struct file none = {};
	int err = 0;

	mutex_lock(&dir->lock, &lc_inode_dir);
	e.names = n->names;
	if (n->names)
		list_for_each(entry, &n->names->entries, order)
			if (entry->inode)
				e.found = true;
	if (n->lower && !e.found)
		err = iterate_lower(s, &none, n, &e.ctx);
	if (!err && e.found)
		err = -ENOTEMPTY;
	if (!err)
		n->dead = true;
	mutex_unlock(&dir->lock, &lc_inode_dir);
	return err;
}

static int overlay_rmdir(struct subject *s, struct inode *dir, const char *name,
			 struct inode *victim)
{
	struct nametab_entry *whiteout;
	int err;

	err = prepare_removal(dir, name, &whiteout);
	if (err)
		return err;
	err = dir_kill(s, victim);
	if (err) {
		entry_destroy(dir, whiteout);
		return err;
	}
	commit_removal(dir, name, whiteout);
	drop_link(victim);
	add_subdir(dir, -1);
	inode_touch(dir, TOUCH_MTIME | TOUCH_CTIME);
	return 0;
}

/* ---- rename ---- */

/* A rename: decided by prepare_*, which may fail without a change; then committed. */
struct overlay_rename {
	struct inode *old_dir, *new_dir, *victim, *target;
	const char *old_name, *new_name;
	struct nametab_entry *whiteout; /* of prepare_removal, for old_name */
	struct nametab_entry *fresh; /* for new_name, if the table has none */
	struct inode *left; /* RENAME_WHITEOUT: what stays at old_name; owned */
};

static int prepare_move(struct subject *s, struct overlay_rename *r, u32 flags)
{
	u32 mode = S_IFCHR, uid, gid;
	int err;

	err = dir_prepare(r->new_dir);
	if (!err)
		err = prepare_removal(r->old_dir, r->old_name, &r->whiteout);
	if (!err && !find(r->new_dir, r->new_name)) {
		err = entry_create(r->new_dir, r->new_name, NULL, &r->fresh);
		if (!err)
			r->fresh->covers = r->target != NULL;
	}
	if (!err && flags & RENAME_WHITEOUT) {
		inode_new_owner(s, r->old_dir, &mode, &uid, &gid);
		err = overlay_inode_make(r->old_dir, mode, uid, gid, 0, NULL, &r->left);
	}
	/* The new name may need room in the table beside that of the old one. */
	if (!err)
		err = nametab_reserve(overlay_node_of(r->new_dir)->names);
	if (!err && r->target && S_ISDIR(r->target->mode))
		err = dir_kill(s, r->target);
	if (err) {
		entry_destroy(r->old_dir, r->whiteout);
		entry_destroy(r->new_dir, r->fresh);
		inode_put(r->left);
	}
	return err;
}

static void commit_move(struct overlay_rename *r)
{
	bool is_dir = S_ISDIR(r->victim->mode);

	if (r->fresh)
		entry_insert(r->new_dir, r->fresh);
	entry_set(find(r->new_dir, r->new_name), r->victim);
	if (r->left && r->whiteout) {
		entry_insert(r->old_dir, r->whiteout);
		entry_set(r->whiteout, r->left);
	} else if (r->left) {
		entry_set(find(r->old_dir, r->old_name), r->left);
	} else {
		commit_removal(r->old_dir, r->old_name, r->whiteout);
	}
	inode_put(r->left);
	if (is_dir) {
		add_subdir(r->old_dir, -1);
		if (!r->target)
			add_subdir(r->new_dir, 1);
	}
	if (r->target)
		drop_link(r->target);
}

/* An entry in the table for a name that is there. */
static int own_entry(struct inode *dir, const char *name, struct inode *inode)
{
	struct nametab_entry *e;
	int err = dir_prepare(dir);

	if (err || find(dir, name))
		return err;
	err = entry_create(dir, name, inode, &e);
	if (err)
		return err;
	e->covers = true;
	entry_insert(dir, e);
	return 0;
}

static int exchange(struct overlay_rename *r)
{
	bool a_dir = S_ISDIR(r->victim->mode), b_dir = S_ISDIR(r->target->mode);
	struct nametab_entry *a, *b;
	int err;

	err = own_entry(r->old_dir, r->old_name, r->victim);
	if (!err)
		err = own_entry(r->new_dir, r->new_name, r->target);
	if (err)
		return err;
	a = find(r->old_dir, r->old_name);
	b = find(r->new_dir, r->new_name);
	entry_set(a, r->target);
	entry_set(b, r->victim);
	if (r->old_dir != r->new_dir && a_dir != b_dir) {
		add_subdir(r->old_dir, a_dir ? -1 : 1);
		add_subdir(r->new_dir, a_dir ? 1 : -1);
	}
	return 0;
}

static int overlay_rename(struct subject *s, struct inode *old_dir, const char *old_name,
			  struct inode *victim, struct inode *new_dir, const char *new_name,
			  struct inode *target, u32 flags)
{
	struct overlay_rename r = { .old_dir = old_dir,
				    .new_dir = new_dir,
				    .victim = victim,
				    .target = target,
				    .old_name = old_name,
				    .new_name = new_name };
	int err;

	err = overlay_pin(victim);
	if (!err && target && (flags & RENAME_EXCHANGE || target->nlink > 1))
		err = overlay_pin(target);
	if (err)
		return err;
	if (flags & RENAME_EXCHANGE) {
		err = target ? exchange(&r) : -ENOENT;
	} else {
		err = prepare_move(s, &r, flags);
		if (!err)
			commit_move(&r);
	}
	if (err)
		return err;
	inode_touch(victim, TOUCH_CTIME);
	inode_touch(old_dir, TOUCH_MTIME | TOUCH_CTIME);
	inode_touch(new_dir, TOUCH_MTIME | TOUCH_CTIME);
	if (target)
		inode_touch(target, TOUCH_CTIME);
	return 0;
}

/* ---- readdir ---- */

struct merge {
	struct dir_context ctx; /* as lower sees it */
	struct dir_context *out;
	const struct nametab *names;
	u64 self_ino, parent_ino;
	bool full; /* the reader has no more room */
};

static bool merge_emit(struct dir_context *ctx, const char *name, size_t len, u64 ino, s64 next_pos,
		       u8 type)
{
	struct merge *m = container_of(ctx, struct merge, ctx);

	if (is_dot(name, len))
		ino = len == 1 ? m->self_ino : m->parent_ino;
	else if (m->names && nametab_find_len(m->names, name, len))
		return true;
	m->full = !m->out->emit(m->out, name, len, ino, next_pos, type);
	return !m->full;
}

/* 1: lower's entries are all shown; 0: the reader has no more room. */
static int emit_lower(struct subject *s, struct file *f, struct dir_context *ctx)
{
	struct overlay_node *n = overlay_node_of(f->inode);
	struct merge m = { .ctx = { .pos = ctx->pos, .emit = merge_emit },
			   .out = ctx,
			   .names = n->names,
			   .self_ino = f->inode->ino,
			   .parent_ino = file_parent_ino(f) };
	int err = iterate_lower(s, f, n, &m.ctx);

	ctx->pos = m.ctx.pos;
	return err ? err : !m.full;
}

/* The table's entries; their positions are base and their cookies. */
static void emit_upper(struct nametab *names, struct dir_context *ctx, s64 base)
{
	struct nametab_entry *e;

	if (!names)
		return;
	e = nametab_from(names, (u64)(ctx->pos - base));
	names->hint = NULL;
	for (; e; e = nametab_after(names, e)) {
		s64 next = base + (s64)e->cookie + 1;

		if (e->inode && !ctx->emit(ctx, e->name, e->len, e->inode->ino, next,
					   (u8)IFTODT(e->inode->mode))) {
			names->hint = e;
			break;
		}
		ctx->pos = next;
	}
}

static int overlay_iterate(struct subject *s, struct file *f, struct dir_context *ctx)
{
	struct overlay_node *n = overlay_node_of(f->inode);
	int ret;

	if (!n->lower) {
		if (dir_emit_dots(f, ctx))
			emit_upper(n->names, ctx, 0);
		return 0;
	}
	if (ctx->pos < POS_UPPER || ctx->pos >= POS_UPPER_END) {
		ret = emit_lower(s, f, ctx);
		if (ret <= 0)
			return ret;
		ctx->pos = POS_UPPER;
	}
	emit_upper(n->names, ctx, POS_UPPER);
	return 0;
}

static s64 overlay_dir_lseek(struct subject *s, struct file *f, s64 off, int whence)
{
	return whence == SEEK_END ? POS_UPPER_END - 1 : dir_lseek(s, f, off, whence);
}

static int overlay_open_dir(struct subject *s, struct inode *inode, struct file *file)
{
	struct inode *lower = overlay_node_of(inode)->lower;
	struct file view;
	int err = 0;

	if (lower) {
		overlay_view_lower(file, lower, NULL, &view);
		err = lower->ops->open(s, lower, &view);
	}
	file->ops = OPS(overlay_dir_file_ops);
	return err;
}

DEFINE_OPS(struct file_ops, overlay_dir_file_ops) = {
	.iterate = overlay_iterate,
	.lseek = overlay_dir_lseek,
};

DEFINE_OPS(struct inode_ops, overlay_dir_ops) = {
	.lookup = overlay_lookup,
	.create = overlay_create_op,
	.mknod = overlay_mknod,
	.mkdir = overlay_mkdir,
	.symlink = overlay_symlink,
	.link = overlay_link,
	.unlink = overlay_unlink,
	.rmdir = overlay_rmdir,
	.tmpfile = overlay_tmpfile,
	.rename = overlay_rename,
	.getattr = overlay_getattr,
	.setattr = overlay_setattr,
	.getxattr = overlay_getxattr,
	.listxattr = overlay_listxattr,
	.setxattr = overlay_setxattr,
	.open = overlay_open_dir,
	.evict = overlay_evict,
};
