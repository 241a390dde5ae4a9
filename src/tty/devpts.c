/*
 * devpts: the file system that names the slaves of pseudo-terminals, and the devices that lead to
 * terminals: /dev/ptmx (a new pair of the instance mounted on "pts" beside it), /dev/tty (the
 * caller's controlling terminal).
 *
 * A name lives as long as its pair's master is open. Names are looked up afresh each time
 * (SB_NOCACHE), so that none outlives its pair.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "cred/cred.h"
#include "tty/internal.h"
#include "tty/tty.h"
#include "vfs/path.h"

#define DEVPTS_MAGIC 0x1cd1
#define INO_ROOT 1
#define INO_PTMX 2
#define INO_FIRST 3
#define POS_PTMX 2
#define POS_FIRST 3

SLAB_CLASS(devpts, struct devpts);
SLAB_CLASS(devpts_options, struct devpts_options);

DECLARE_OPS(struct inode_ops, devpts_dir_ops);
DECLARE_OPS(struct inode_ops, devpts_slave_ops);
DECLARE_OPS(struct inode_ops, devpts_ptmx_ops);
DECLARE_OPS(struct file_ops, devpts_dir_file_ops);

struct devpts *devpts_of(const struct super *sb)
{
	return sb && sb->ops == OPS(devpts_super_ops) ? sb->private : NULL;
}

/* ---- options ---- */

static bool parse_number(const char *text, int base, u32 *ret)
{
	char *end;
	unsigned long value = strtoul(text, &end, base);

	if (*text < '0' || *text > '9' || *end || value > INT32_MAX)
		return false;
	*ret = (u32)value;
	return true;
}

static bool parse_option(const char *name, const char *value, struct devpts_options *o)
{
	if (!strcmp(name, "uid"))
		return o->set_uid = parse_number(value, 10, &o->uid);
	if (!strcmp(name, "gid"))
		return o->set_gid = parse_number(value, 10, &o->gid);
	if (!strcmp(name, "mode"))
		return parse_number(value, 8, &o->mode);
	if (!strcmp(name, "ptmxmode"))
		return parse_number(value, 8, &o->ptmxmode);
	if (!strcmp(name, "max"))
		return parse_number(value, 10, &o->max) && o->max <= 1 << 20;
	return !strcmp(name, "newinstance") && !*value;
}

int devpts_parse_options(const char *text, struct devpts_options *ret)
{
	struct devpts_options o = { .mode = 0600, .ptmxmode = 0, .max = DEVPTS_MAX };
	char buf[256], *next = buf, *name;

	if (text && strlen(text) >= sizeof(buf))
		return -EINVAL;
	snprintf(buf, sizeof(buf), "%s", text ? text : "");
	while ((name = strsep(&next, ","))) {
		char *value = strchr(name, '=');

		if (value)
			*value++ = '\0';
		if (*name && !parse_option(name, value ? value : "", &o))
			return -EINVAL;
	}
	o.mode &= 07777;
	o.ptmxmode &= 07777;
	o.max = min(o.max, (u32)DEVPTS_MAX);
	*ret = o;
	return 0;
}

/* ---- pairs ---- */

/* Enter tty under the lowest free index. */
static int enter(struct devpts *fs, struct tty *tty)
{
	int err = -ENOSPC;

	spin_lock(&fs->lock, &lc_fs);
	for (u32 i = 0; i < fs->max && err; i++) {
		if (fs->ptys[i])
			continue;
		fs->ptys[i] = tty;
		tty->index = i;
		err = 0;
	}
	spin_unlock(&fs->lock, &lc_fs);
	return err;
}

static struct inode *slave_inode(struct subject *s, struct devpts *fs, struct tty *tty)
{
	const struct devpts_options *o = fs->options;
	const struct cred *c = s ? s->cred : NULL;
	struct inode *inode;

	inode = inode_create(fs->sb, OPS(devpts_slave_ops), INO_FIRST + tty->index,
			     S_IFCHR | o->mode, o->set_uid || !c ? o->uid : c->fsuid,
			     o->set_gid || !c ? o->gid : c->fsgid);
	if (!inode)
		return NULL;
	inode->rdev = tty->ctty.dev;
	tty_get(tty);
	inode->private = tty;
	return inode;
}

int devpts_new_pty(struct subject *s, struct devpts *fs, struct tty **ret)
{
	struct tty *tty;
	struct inode *inode;
	int err;

	if (atomic_load(&kernel_get()->pty_count) >= DEVPTS_MAX)
		return -ENOSPC;
	err = tty_create(fs, &tty);
	if (err)
		return err;
	err = enter(fs, tty);
	if (err) {
		tty_put(tty);
		return err;
	}
	ctty_init(&tty->ctty, makedev(PTY_SLAVE_MAJOR, tty->index));
	inode = slave_inode(s, fs, tty);
	spin_lock(&fs->lock, &lc_fs);
	tty->inode = inode;
	if (!inode)
		fs->ptys[tty->index] = NULL;
	spin_unlock(&fs->lock, &lc_fs);
	if (!inode) {
		tty_put(tty);
		return -ENOMEM;
	}
	*ret = tty;
	return 0;
}

void devpts_remove(struct tty *tty)
{
	struct devpts *fs = tty->fs;
	struct inode *inode;

	spin_lock(&fs->lock, &lc_fs);
	inode = tty->inode;
	tty->inode = NULL;
	if (fs->ptys[tty->index] == tty)
		fs->ptys[tty->index] = NULL;
	spin_unlock(&fs->lock, &lc_fs);
	inode_put(inode);
}

int devpts_open_ptmx(struct subject *s, struct devpts *fs, struct file *f)
{
	struct tty *tty;
	int err;

	err = devpts_new_pty(s, fs, &tty);
	if (err)
		return err;
	err = tty_file_attach(tty, TTY_MASTER, f);
	if (err)
		tty_close_master(tty);
	tty_put(tty);
	return err;
}

/* ---- inodes ---- */

static struct inode *slave_get(struct devpts *fs, u32 index)
{
	struct inode *inode = NULL;

	spin_lock(&fs->lock, &lc_fs);
	if (index < fs->max && fs->ptys[index])
		inode = fs->ptys[index]->inode;
	if (inode)
		inode_get(inode);
	spin_unlock(&fs->lock, &lc_fs);
	return inode;
}

static int devpts_lookup(struct subject *s, struct inode *dir, const char *name, struct inode **ret)
{
	struct devpts *fs = dir->sb->private;
	u32 index;

	if (!strcmp(name, "ptmx")) {
		inode_get(fs->ptmx);
		*ret = fs->ptmx;
	} else if (parse_number(name, 10, &index) && (name[0] != '0' || !name[1])) {
		*ret = slave_get(fs, index);
	}
	return 0;
}

static bool emit(struct dir_context *ctx, const char *name, u64 ino, s64 pos)
{
	if (!ctx->emit(ctx, name, strlen(name), ino, pos + 1, DT_CHR))
		return false;
	ctx->pos = pos + 1;
	return true;
}

static int devpts_iterate(struct subject *s, struct file *f, struct dir_context *ctx)
{
	struct devpts *fs = f->inode->sb->private;
	char name[12];

	if (!dir_emit_dots(f, ctx))
		return 0;
	if (ctx->pos == POS_PTMX && !emit(ctx, "ptmx", INO_PTMX, POS_PTMX))
		return 0;
	for (s64 i = ctx->pos - POS_FIRST; i >= 0 && i < fs->max; i++) {
		struct inode *inode = slave_get(fs, (u32)i);
		bool more;

		if (!inode)
			continue;
		inode_put(inode);
		snprintf(name, sizeof(name), "%u", (u32)i);
		more = emit(ctx, name, INO_FIRST + (u64)i, POS_FIRST + i);
		if (!more)
			break;
	}
	return 0;
}

DEFINE_OPS(struct file_ops, devpts_dir_file_ops) = {
	.iterate = devpts_iterate,
	.lseek = dir_lseek,
};

static int devpts_dir_open(struct subject *s, struct inode *inode, struct file *f)
{
	f->ops = OPS(devpts_dir_file_ops);
	return 0;
}

static int devpts_setattr(struct subject *s, struct inode *inode, const struct iattr *attr)
{
	if (attr->valid & ATTR_SIZE)
		return -EINVAL;
	inode_set_fields(inode, attr);
	return 0;
}

static int slave_open(struct subject *s, struct inode *inode, struct file *f)
{
	return tty_open_slave(s, inode->private, f, f->flags & O_NOCTTY);
}

static struct inode *slave_evict(struct inode *inode)
{
	tty_put(inode->private);
	return NULL;
}

static int ptmx_open(struct subject *s, struct inode *inode, struct file *f)
{
	return devpts_open_ptmx(s, inode->sb->private, f);
}

DEFINE_OPS(struct inode_ops, devpts_dir_ops) = {
	.lookup = devpts_lookup,
	.setattr = devpts_setattr,
	.open = devpts_dir_open,
};

DEFINE_OPS(struct inode_ops, devpts_slave_ops) = {
	.setattr = devpts_setattr,
	.open = slave_open,
	.evict = slave_evict,
};

DEFINE_OPS(struct inode_ops, devpts_ptmx_ops) = {
	.setattr = devpts_setattr,
	.open = ptmx_open,
};

/* ---- the instance ---- */

static void devpts_free(struct devpts *fs)
{
	if (fs->ptmx)
		inode_put(fs->ptmx);
	slab_free(&slab_devpts_options, fs->options);
	arena_free(fs->ptys);
	slab_free(&slab_devpts, fs);
}

static void devpts_destroy(struct super *sb)
{
	devpts_free(sb->private);
}

DEFINE_OPS(struct super_ops, devpts_super_ops) = {
	.destroy = devpts_destroy,
};

static int set_up_inodes(struct devpts *fs, struct super *sb)
{
	struct inode *root;

	fs->ptmx = inode_create(sb, OPS(devpts_ptmx_ops), INO_PTMX, S_IFCHR | fs->options->ptmxmode,
				0, 0);
	if (!fs->ptmx)
		return -ENOMEM;
	fs->ptmx->rdev = makedev(TTYAUX_MAJOR, 2);
	root = inode_create(sb, OPS(devpts_dir_ops), INO_ROOT, S_IFDIR | 0755, 0, 0);
	if (!root)
		return -ENOMEM;
	root->nlink = 2;
	return super_set_root(sb, root);
}

int devpts_create(const struct devpts_options *options, struct super **ret)
{
	struct devpts *fs = slab_alloc(&slab_devpts);
	struct super *sb;
	int err;

	if (!fs)
		return -ENOMEM;
	spin_init(&fs->lock);
	fs->max = options->max;
	fs->options = slab_alloc(&slab_devpts_options);
	fs->ptys = arena_alloc((fs->max + 1) * sizeof(struct tty *));
	if (!fs->options || !fs->ptys) {
		devpts_free(fs);
		return -ENOMEM;
	}
	*fs->options = *options;
	err = super_create("devpts", OPS(devpts_super_ops), DEVPTS_MAGIC, SB_NOCACHE, fs, &sb);
	if (err) {
		devpts_free(fs);
		return err;
	}
	fs->sb = sb;
	err = set_up_inodes(fs, sb);
	if (err) {
		super_put(sb);
		return err;
	}
	*ret = sb;
	return 0;
}

/* ---- /dev/ptmx and /dev/tty ---- */

/* The instance is that on "pts" in the node's directory. */
static int dev_ptmx_open(struct subject *s, struct file *f)
{
	struct path dir, pts;
	struct devpts *fs;
	int err;

	path_parent(&f->path, &dir);
	err = path_lookup_one(s, &dir, "pts", &pts);
	path_put(&dir);
	if (err)
		return err == -ENOENT ? -ENODEV : err;
	fs = devpts_of(pts.mnt ? pts.mnt->sb : NULL);
	err = fs ? devpts_open_ptmx(s, fs, f) : -ENODEV;
	path_put(&pts);
	return err;
}

static void current_get(struct ctty *c)
{
	tty_get(container_of(c, struct tty, ctty));
}

static int dev_tty_open(struct subject *s, struct file *f)
{
	struct ctty *c = s->tid ? ctty_current(task_of(s), current_get) : NULL;
	struct tty *tty;
	int err;

	if (!c)
		return -ENXIO;
	tty = container_of(c, struct tty, ctty);
	err = tty_open_slave(s, tty, f, true);
	tty_put(tty);
	return err;
}

static int aux_open(struct subject *s, struct inode *inode, struct file *f)
{
	switch (minor(inode->rdev)) {
	case 0:
		return dev_tty_open(s, f);
	case 2:
		return dev_ptmx_open(s, f);
	default:
		return -ENXIO;
	}
}

DEFINE_CHRDEV(tty_aux, .major = TTYAUX_MAJOR, .minor = 0, .count = 3, .open = aux_open);

long tty_vhangup(struct task *t)
{
	struct ctty *c;
	struct tty *tty;

	if (!subject_capable(&t->subject, CAP_SYS_TTY_CONFIG))
		return -EPERM;
	c = ctty_current(t, current_get);
	if (!c)
		return 0;
	tty = container_of(c, struct tty, ctty);
	tty_hangup(tty, TTY_SLAVE);
	tty_put(tty);
	return 0;
}
