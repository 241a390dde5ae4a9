/*
 * Mounts and mount namespaces.
 *
 * A mount that is attached is in its namespace's list, which holds a reference; newer mounts stand
 * before older ones, so that a look-up finds the one on top. The list and the mounts' places in the
 * tree are protected by the namespace's lock (lc_mounts); a dentry's count of mounts is read
 * without it, so that the walk takes the lock only where something is mounted.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/sysmacros.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "base/strbuf.h"
#include "vfs/internal.h"
#include "vfs/notify.h"

SLAB_CLASS(mount, struct mount);
SLAB_CLASS(mount_ns, struct mount_ns, TRANSIENT(struct mount_ns, lock.owner));

void mount_get(struct mount *m)
{
	refcount_get(&m->refs);
}

void mount_put(struct mount *m)
{
	if (!m || !refcount_put(&m->refs))
		return;
	dentry_put(m->root);
	if (atomic_fetch_sub(&m->sb->mounts, 1) == 1)
		notify_unmount(m->sb);
	super_put(m->sb);
	arena_free(m->source);
	slab_free(&slab_mount, m);
}

void path_get(const struct path *p)
{
	if (p->mnt)
		mount_get(p->mnt);
	if (p->dentry)
		dentry_get(p->dentry);
}

void path_put(const struct path *p)
{
	/* The dentry first: its super lives as long as the mount. */
	dentry_put(p->dentry);
	if (p->mnt && atomic_load_explicit(&p->mnt->expired, memory_order_relaxed))
		p->mnt->expired = false;
	mount_put(p->mnt);
}

int mount_create(struct super *sb, struct dentry *root, const char *source, u32 flags,
		 struct mount **ret)
{
	struct mount *m = slab_alloc(&slab_mount);

	if (!m)
		return -ENOMEM;
	m->source = arena_strdup(source);
	if (!m->source) {
		slab_free(&slab_mount, m);
		return -ENOMEM;
	}
	refcount_init(&m->refs, 1);
	m->sb = sb;
	atomic_fetch_add(&sb->mounts, 1);
	m->root = root;
	dentry_get(m->root);
	m->flags = flags;
	list_init(&m->ns_link);
	*ret = m;
	return 0;
}

int mount_ns_create(struct super *root_sb, const char *source, u32 flags, struct mount_ns **ret)
{
	struct mount_ns *ns = slab_alloc(&slab_mount_ns);
	int err;

	if (!ns)
		return -ENOMEM;
	refcount_init(&ns->refs, 1);
	mutex_init(&ns->lock);
	list_init(&ns->mounts);
	ns->next_id = 20;
	err = mount_create(root_sb, root_sb->root, source, flags, &ns->root);
	if (err) {
		slab_free(&slab_mount_ns, ns);
		return err;
	}
	ns->root->ns = ns;
	ns->root->id = ns->next_id++;
	list_add(&ns->mounts, &ns->root->ns_link);
	ns->count = 1;
	*ret = ns;
	return 0;
}

void mount_ns_get(struct mount_ns *ns)
{
	refcount_get(&ns->refs);
}

void mount_ns_put(struct mount_ns *ns)
{
	struct mount *m, *next;

	if (!ns || !refcount_put(&ns->refs))
		return;
	/* All places first, while the supers that they are in are there: after a move or a
	 * pivot_root, what is mounted on a mount may be older than that. */
	list_for_each(m, &ns->mounts, ns_link) {
		if (m->mountpoint) {
			m->mountpoint->mounts--;
			dentry_put(m->mountpoint);
		}
		m->ns = NULL;
		m->parent = NULL;
		m->mountpoint = NULL;
	}
	/* Mounts may live on without a place, in open files. */
	list_for_each_safe(m, next, &ns->mounts, ns_link) {
		list_del(&m->ns_link);
		mount_put(m);
	}
	slab_free(&slab_mount_ns, ns);
}

/* ---- crossing ---- */

static struct mount *find_mount(struct mount_ns *ns, const struct path *on) REQUIRES(lc_mounts)
{
	struct mount *m;

	list_for_each(m, &ns->mounts, ns_link)
		if (m->parent == on->mnt && m->mountpoint == on->dentry)
			return m;
	return NULL;
}

int path_cross_mounts(struct path *p, bool no_xdev)
{
	struct mount_ns *ns;
	struct mount *m;

	while (p->mnt && p->dentry->mounts && (ns = p->mnt->ns)) {
		mutex_lock(&ns->lock, &lc_mounts);
		m = find_mount(ns, p);
		if (m) {
			mount_get(m);
			dentry_get(m->root);
		}
		mutex_unlock(&ns->lock, &lc_mounts);
		if (!m)
			break;
		path_put(p);
		*p = (struct path){ .mnt = m, .dentry = m->root };
		if (no_xdev)
			return -EXDEV;
	}
	return 0;
}

void mount_ns_root(struct mount_ns *ns, struct path *ret)
{
	mutex_lock(&ns->lock, &lc_mounts);
	*ret = (struct path){ .mnt = ns->root, .dentry = ns->root->root };
	path_get(ret);
	mutex_unlock(&ns->lock, &lc_mounts);
	(void)!path_cross_mounts(ret, false);
}

bool path_leave_mount(struct path *p)
{
	struct mount_ns *ns = p->mnt->ns;
	struct path up;

	if (!ns)
		return false;
	mutex_lock(&ns->lock, &lc_mounts);
	up = (struct path){};
	if (p->mnt->ns == ns)
		up = (struct path){ .mnt = p->mnt->parent, .dentry = p->mnt->mountpoint };
	path_get(&up);
	mutex_unlock(&ns->lock, &lc_mounts);
	if (!up.mnt)
		return false;
	path_put(p);
	*p = up;
	return true;
}

/* ---- mounting ---- */

int mount_check_place(struct mount_ns *ns, const struct path *on, u32 count)
{
	if (!on->mnt || on->mnt->ns != ns)
		return -EINVAL;
	if (on->dentry->dead)
		return -ENOENT;
	return count > MOUNTS_MAX - min(ns->count, (u32)MOUNTS_MAX) ? -ENOSPC : 0;
}

void mount_link(struct mount_ns *ns, struct mount *m, const struct path *on)
{
	m->parent = on->mnt;
	m->mountpoint = on->dentry;
	dentry_get(on->dentry);
	on->dentry->mounts++;
	m->ns = ns;
	if (!m->id)
		m->id = ns->next_id++;
	ns->count++;
	list_add(&ns->mounts, &m->ns_link);
}

void mount_unlink(struct mount *m, struct path *ret_was)
{
	*ret_was = (struct path){ .mnt = m->parent, .dentry = m->mountpoint };
	if (m->parent) {
		/* The mount of the dentry too: it could go at once, and take the super along. */
		mount_get(m->parent);
		m->mountpoint->mounts--;
	}
	list_del(&m->ns_link);
	m->ns->count--;
	m->ns = NULL;
	m->parent = NULL;
	m->mountpoint = NULL;
}

int mount_attach(struct mount_ns *ns, struct super *sb, const char *source, const struct path *on,
		 u32 flags)
{
	struct mount *m;
	int err;

	if (!on->mnt || dentry_is_dir(on->dentry) != dentry_is_dir(sb->root))
		return -ENOTDIR;
	err = mount_create(sb, sb->root, source, flags, &m);
	if (err)
		return err;
	mutex_lock(&ns->lock, &lc_mounts);
	err = mount_check_place(ns, on, 1);
	if (!err)
		mount_link(ns, m, on);
	mutex_unlock(&ns->lock, &lc_mounts);
	if (err) {
		super_get(sb); /* the caller's, which it keeps */
		mount_put(m);
	}
	return err;
}

int vfs_mount(struct subject *s, struct mount_ns *ns, struct super *sb, const char *source,
	      const char *path, u32 flags)
{
	struct path on;
	int err;

	err = path_walk(s, AT_FDCWD, path, WALK_FOLLOW, &on);
	if (err)
		return err;
	err = mount_attach(ns, sb, source, &on, flags);
	path_put(&on);
	return err;
}

void mount_set_flags(struct mount *m, u32 flags)
{
	__atomic_store_n(&m->flags, flags, __ATOMIC_RELAXED);
}

int path_want_write(const struct path *p)
{
	if (!p->mnt)
		return 0;
	return (p->mnt->flags | p->mnt->sb->flags) & SB_RDONLY ? -EROFS : 0;
}

/* ---- /proc/PID/mounts ---- */

/* Spaces and the like as octal escapes. */
static void put_escaped(struct strbuf *out, const char *s)
{
	for (; *s; s++) {
		if (strchr(" \t\n\\#", *s))
			strbuf_printf(out, "\\%03o", (unsigned char)*s);
		else
			strbuf_putc(out, *s);
	}
}

static void put_options(struct strbuf *out, u32 flags)
{
	strbuf_printf(out, "%s%s%s%s%s%s%s", flags & SB_RDONLY ? "ro" : "rw",
		      flags & SB_NOSUID ? ",nosuid" : "", flags & SB_NODEV ? ",nodev" : "",
		      flags & SB_NOEXEC ? ",noexec" : "", flags & SB_NOATIME ? ",noatime" : "",
		      flags & SB_NODIRATIME ? ",nodiratime" : "",
		      flags & (SB_NOATIME | SB_STRICTATIME) ? "" : ",relatime");
	if (flags & SB_NOSYMFOLLOW)
		strbuf_puts(out, ",nosymfollow");
}

/* Which part of its file system a mount shows. */
static void put_root(struct strbuf *out, struct dentry *root)
{
	struct strbuf name;

	strbuf_init(&name, 2 * PATH_MAX_GUEST);
	if (dentry_format(root, &name))
		strbuf_puts(&name, "/");
	put_escaped(out, strbuf_str(&name));
	strbuf_fini(&name);
}

/* parent: the id of the parent mount, for mountinfo; 0: a line of mounts. */
static int format_mount(struct mount *m, const struct path *root, u32 parent, struct strbuf *out)
{
	struct path at = { .mnt = m, .dentry = m->root };
	const char *source = *m->source ? m->source : "none";
	struct strbuf where;
	int err;

	strbuf_init(&where, 2 * PATH_MAX_GUEST);
	err = path_format(&at, root, &where);
	if (!err && strbuf_str(&where)[0] == '/') {
		if (parent) {
			strbuf_printf(out, "%u %u %u:%u ", m->id, parent, major(m->sb->dev),
				      minor(m->sb->dev));
			put_root(out, m->root);
		} else
			put_escaped(out, source);
		strbuf_putc(out, ' ');
		put_escaped(out, strbuf_str(&where));
		strbuf_putc(out, ' ');
		if (parent) {
			put_options(out, m->flags);
			strbuf_printf(out, " - %s ", m->sb->type);
			put_escaped(out, source);
			strbuf_printf(out, " %s\n", m->sb->flags & SB_RDONLY ? "ro" : "rw");
		} else {
			strbuf_printf(out, "%s ", m->sb->type);
			put_options(out, m->flags | m->sb->flags);
			strbuf_puts(out, " 0 0\n");
		}
	}
	strbuf_fini(&where);
	return err == -ENAMETOOLONG ? 0 : err;
}

struct mount_ref {
	struct mount *mnt; /* with a reference */
	u32 parent;
};

int mount_ns_format(struct mount_ns *ns, const struct path *root, bool info, struct strbuf *out)
{
	struct mount_ref *all;
	struct mount *m;
	u32 count = 0;
	int err = 0;

	/* path_format takes the lock itself, so collect first. */
	mutex_lock(&ns->lock, &lc_mounts);
	all = calloc(ns->count, sizeof(*all));
	if (all) {
		list_for_each(m, &ns->mounts, ns_link) {
			mount_get(m);
			all[count++] = (struct mount_ref){ m, m->parent ? m->parent->id : 1 };
		}
	}
	mutex_unlock(&ns->lock, &lc_mounts);
	if (!all)
		return -ENOMEM;
	while (count > 0) {
		count--;
		if (!err)
			err = format_mount(all[count].mnt, root, info ? all[count].parent : 0, out);
		mount_put(all[count].mnt);
	}
	free(all);
	return err;
}
