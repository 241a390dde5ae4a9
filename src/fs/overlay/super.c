/* The overlay: the super. */

#include <errno.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "fs/overlay/internal.h"
#include "fs/tmpfs/tmpfs.h"

#define OVERLAYFS_MAGIC 0x794c7630

SLAB_CLASS(overlay, struct overlay);

DECLARE_OPS(struct super_ops, overlay_super_ops);

static int overlay_statfs(struct super *sb, struct host_statfs *ret)
{
	struct super *upper = overlay_of(sb)->upper;

	return upper->ops->statfs(upper, ret);
}

static void overlay_free(struct overlay *fs)
{
	super_put(fs->lower);
	super_put(fs->upper);
	slab_free(&slab_overlay, fs);
}

static void overlay_destroy(struct super *sb)
{
	overlay_drop_all(sb);
	overlay_free(overlay_of(sb));
}

static bool overlay_work_ahead(struct subject *s, struct super *sb)
{
	struct super *lower = overlay_of(sb)->lower;

	return lower->ops->work_ahead && lower->ops->work_ahead(s, lower);
}

DEFINE_OPS(struct super_ops, overlay_super_ops) = {
	.work_ahead = overlay_work_ahead,
	.statfs = overlay_statfs,
	.destroy = overlay_destroy,
};

static int create_root(struct super *sb, struct super *lower_sb)
{
	struct inode *lower = lower_sb->root->inode, *root;
	struct kstat st;
	int err = inode_getattr(NULL, lower, &st);

	if (err)
		return err;
	overlay_of(sb)->lower_dev = st.dev;
	inode_get(lower);
	err = overlay_inode_get(sb, lower, &root);
	if (err) {
		inode_put(lower);
		return err;
	}
	return super_set_root(sb, root);
}

int overlay_create(struct super *lower, u64 size_limit, int proc_fd, struct super **ret)
{
	struct overlay *fs = slab_alloc(&slab_overlay);
	struct super *sb;
	int err;

	if (!fs)
		return -ENOMEM;
	spin_init(&fs->lock);
	list_init(&fs->made_dirs);
	err = tmpfs_create(0700, 0, 0, size_limit, &fs->upper);
	if (!err) {
		tmpfs_set_proc_fd(fs->upper, proc_fd);
		err = super_create("overlay", OPS(overlay_super_ops), OVERLAYFS_MAGIC, 0, fs, &sb);
	}
	if (err) {
		overlay_free(fs);
		return err;
	}
	err = create_root(sb, lower);
	if (err) {
		super_put(sb);
		return err;
	}
	fs->lower = lower;
	*ret = sb;
	return 0;
}
