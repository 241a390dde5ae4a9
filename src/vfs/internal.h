#pragma once

/* What the files of vfs share and others have no business with. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfs/path.h"
#include "vfs/vfs.h"

#define SYMLINKS_MAX 40

/* ---- dcache.c ---- */

struct qname {
	const char *name;
	u32 len;
	u32 hash;
};

/* Null when memory is short. inode's reference is taken over on success; the name is copied. */
[[nodiscard]] struct dentry *dentry_create(struct super *sb, struct dentry *parent,
					   const struct qname *q, struct inode *inode);
void dentry_get(struct dentry *d);
void dentry_put(struct dentry *d); /* null is fine; may park */
struct dentry *dentry_parent(struct dentry *d); /* with a reference; null for a root */
/* As dentry_parent, and its name there. */
struct dentry *dentry_parent_name(struct dentry *d, char ret_name[NAME_MAX_GUEST + 1]);
void dcache_init(struct dcache *c, struct hash_key key);
struct qname dcache_qname(const struct super *sb, const char *name, size_t len);
struct dentry *dcache_lookup(struct dentry *parent,
			     const struct qname *q); /* with a reference, or null */
/* Let look-ups find d, in the place of what they found before. Parent's lock held. */
void dcache_add(struct dentry *d) REQUIRES(lc_inode_dir);
/* Let look-ups not find d. dead: its name has been deleted. */
void dcache_remove(struct dentry *d, bool dead);
/* The same, if d still is what look-ups of q in parent find: it may have been renamed. */
void dcache_forget(struct dentry *parent, const struct qname *q, struct dentry *d);
/* Drop what is cached and unused below dir (dir stays). */
void dcache_prune(struct dentry *dir);
/* d takes the name q in parent; name is an arena copy of it, taken over. The locks of both
 * directories held. */
void dcache_move(struct dentry *d, struct dentry *parent, const struct qname *q, char *name)
	REQUIRES(lc_inode_dir);
void dcache_exchange(struct dentry *a, struct dentry *b) REQUIRES(lc_inode_dir);
/* a is b, or above it. */
bool dentry_is_ancestor(struct dentry *a, struct dentry *b);
void dcache_destroy(struct dcache *c, struct dentry *root);

static inline bool dentry_is_dir(const struct dentry *d)
{
	return d->inode && S_ISDIR(d->inode->mode);
}

/* ---- namei.c ---- */

enum last_type { LAST_NORM, LAST_DOT, LAST_DOTDOT, LAST_NONE };

/* A walk under way. What is still to go is p, then the rests on the stack (each has at least one
 * component). */
struct walk {
	struct subject *s;
	u32 flags;
	struct path cur, root, start; /* owned */
	const char *p;
	char *body; /* heap: the link body that p points into, or null */
	unsigned int links; /* followed so far */
	unsigned int depth;
	struct walk_saved {
		char *body;
		const char *p;
	} stack[SYMLINKS_MAX];
	char last[NAME_MAX_GUEST + 1];
	u32 last_len;
	enum last_type last_type;
	bool trailing; /* slashes stood after the last component */
};

[[nodiscard]] int walk_init(struct walk *w, struct subject *s, int dirfd, const char *path,
			    u32 flags);
void walk_fini(struct walk *w);
/* Go to the directory of the last component, which is then in w->last. */
[[nodiscard]] int walk_to_last(struct walk *w);
/* Take the step to w->last; a symbolic link is followed (then there is more to walk) if follow is
 * set. */
[[nodiscard]] int walk_step(struct walk *w, bool follow, bool *ret_followed);
/* As walk_step, but to dentry d, which is w->last in w->cur; its reference is taken over. */
[[nodiscard]] int walk_step_to(struct walk *w, struct dentry *d, bool follow, bool *ret_followed);
/* Walk on to the end. */
[[nodiscard]] int walk_to_end(struct walk *w);
/* The dentry (perhaps negative) of a name in dir, with a reference. */
[[nodiscard]] int dir_lookup(struct subject *s, struct dentry *dir, const struct qname *q,
			     struct dentry **ret);
[[nodiscard]] int dir_lookup_locked(struct subject *s, struct dentry *dir, const struct qname *q,
				    struct dentry **ret) REQUIRES(lc_inode_dir);
struct qname walk_qname(const struct walk *w);

/* ---- names.c ---- */

struct make {
	enum make_kind { MAKE_FILE, MAKE_DIR, MAKE_NODE, MAKE_SYMLINK, MAKE_LINK } kind;
	u32 mode;
	u64 rdev;
	const char *target;
	struct inode *inode; /* MAKE_LINK; borrowed */
};
/* Make what m says in the place of negative dentry d in dir; *ret, if not null, gets the new
 * dentry. */
[[nodiscard]] int make_locked(struct subject *s, const struct path *dir, struct dentry *d,
			      const struct make *m, struct dentry **ret) REQUIRES(lc_inode_dir);

/* ---- inode.c, attr.c ---- */

void inode_lock(struct inode *i);
void inode_unlock(struct inode *i);
int path_want_write(const struct path *p);
/* Cut to size as open(O_TRUNC) and truncate(2) do, permission apart. */
[[nodiscard]] int inode_truncate(struct subject *s, struct inode *inode, u64 size);

/* ---- namespace.c ---- */

#define MOUNTS_MAX 4096

void mount_get(struct mount *m);
void mount_put(struct mount *m);
/* A mount of the tree below root, in no place; sb is taken over on success. */
[[nodiscard]] int mount_create(struct super *sb, struct dentry *root, const char *source, u32 flags,
			       struct mount **ret);
/* Whether m can be mounted there: -EINVAL, -ENOENT, -ENOSPC. count: how many mounts there are to
 * be more. */
[[nodiscard]] int mount_check_place(struct mount_ns *ns, const struct path *on, u32 count)
	REQUIRES(lc_mounts);
/* Give m, whose reference is taken over, its place; or take it away again: with a reference for the
 * caller, and references to where it was (nothing, of the root) in *ret_was. */
void mount_link(struct mount_ns *ns, struct mount *m, const struct path *on) REQUIRES(lc_mounts);
void mount_unlink(struct mount *m, struct path *ret_was) REQUIRES(lc_mounts);
/* What is mounted on *p, and on that; *p's references move along. -EXDEV if no_xdev and there is
 * something. */
[[nodiscard]] int path_cross_mounts(struct path *p, bool no_xdev);
/* From a mount's root to the place that it is mounted on. False at the top. */
bool path_leave_mount(struct path *p);

/* The names that lead to d from its super's root (appended). */
[[nodiscard]] int dentry_format(struct dentry *d, struct strbuf *out);

/* ---- chrdev.c ---- */

[[nodiscard]] int chrdev_open(struct subject *s, struct inode *inode, struct file *file);

static inline bool path_equal(const struct path *a, const struct path *b)
{
	return a->mnt == b->mnt && a->dentry == b->dentry;
}
