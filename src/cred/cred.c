/*
 * Credentials. A struct cred is immutable once a task has it; to change some, a task makes a
 * private copy, changes that, and commits it whole (task_commit_cred). Group lists are shared by
 * reference and never changed.
 *
 * Capabilities follow capabilities(7); "kernel ids" are ids of the root user namespace.
 */

#include "cred/cred.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <string.h>

#include "arena/arena.h"
#include "arena/slab.h"

SLAB_CLASS(cred, struct cred);

#define CAP_ALL ((1ULL << (CAP_LAST_CAP + 1)) - 1)
/* What a change of the file system uid alone takes away or gives (CAP_FS_SET of Linux). */
#define CAP_FS_MASK \
	(1ULL << CAP_CHOWN | 1ULL << CAP_MKNOD | 1ULL << CAP_DAC_OVERRIDE | \
	 1ULL << CAP_DAC_READ_SEARCH | 1ULL << CAP_FOWNER | 1ULL << CAP_FSETID | \
	 1ULL << CAP_LINUX_IMMUTABLE | 1ULL << CAP_MAC_OVERRIDE)

static struct group_list *group_list_create(const u32 *groups, u32 count)
{
	struct group_list *g = arena_alloc(sizeof(*g) + count * sizeof(g->gid[0]));

	if (!g)
		return NULL;
	refcount_init(&g->refs, 1);
	g->count = count;
	if (count)
		memcpy(g->gid, groups, count * sizeof(g->gid[0]));
	return g;
}

static void group_list_put(struct group_list *g)
{
	if (g && refcount_put(&g->refs))
		arena_free(g);
}

static int gid_compare(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

int cred_set_groups(struct cred *c, const u32 *groups, u32 count)
{
	struct group_list *g;

	if (count > NGROUPS_MAX_GUEST)
		return -EINVAL;
	g = group_list_create(groups, count);
	if (!g)
		return -ENOMEM;
	qsort(g->gid, count, sizeof(g->gid[0]), gid_compare);
	group_list_put(c->groups);
	c->groups = g;
	return 0;
}

int cred_create(struct user_ns *ns, u32 uid, u32 gid, const u32 *groups, u32 group_count,
		struct cred **ret)
{
	struct cred *c = slab_alloc(&slab_cred);
	int err;

	if (!c)
		return -ENOMEM;
	refcount_init(&c->refs, 1);
	user_ns_get(ns);
	c->user_ns = ns;
	c->uid = c->euid = c->suid = c->fsuid = uid;
	c->gid = c->egid = c->sgid = c->fsgid = gid;
	c->cap_bounding = CAP_ALL;
	if (uid == 0)
		c->cap_permitted = c->cap_effective = CAP_ALL;
	err = cred_set_groups(c, groups, group_count);
	if (err) {
		cred_put(c);
		return err;
	}
	*ret = c;
	return 0;
}

struct cred *cred_dup(const struct cred *c)
{
	struct cred *copy = slab_alloc(&slab_cred);

	if (!copy)
		return NULL;
	/* All but the references, which change meanwhile. */
	memcpy((char *)copy + offsetof(struct cred, uid),
	       (const char *)c + offsetof(struct cred, uid),
	       sizeof(*c) - offsetof(struct cred, uid));
	refcount_init(&copy->refs, 1);
	user_ns_get(copy->user_ns);
	refcount_get(&copy->groups->refs);
	return copy;
}

const struct cred *cred_get(const struct cred *c)
{
	refcount_get((struct refcount *)&c->refs);
	return c;
}

void cred_put(const struct cred *c)
{
	struct cred *dead = (struct cred *)c;

	if (!c || !refcount_put(&dead->refs))
		return;
	group_list_put(dead->groups);
	user_ns_put(dead->user_ns);
	slab_free(&slab_cred, dead);
}

/* The owner of a namespace has all capabilities in it, when it stands in the parent namespace. */
bool cred_has_cap(const struct cred *c, const struct user_ns *ns, int cap)
{
	if (cap < 0 || cap > CAP_LAST_CAP)
		return false;
	for (;;) {
		if (ns == c->user_ns)
			return c->cap_effective >> cap & 1;
		if (ns->level <= c->user_ns->level)
			return false;
		if (ns->parent == c->user_ns && ns->owner_uid == c->euid)
			return true;
		ns = ns->parent;
	}
}

bool cred_in_group(const struct cred *c, u32 gid)
{
	if (c->fsgid == gid)
		return true;
	return bsearch(&gid, c->groups->gid, c->groups->count, sizeof(gid), gid_compare) != NULL;
}

void cred_fix_caps_after_setuid(struct cred *c, const struct cred *old)
{
	bool was_root = old->uid == 0 || old->euid == 0 || old->suid == 0;
	bool is_root = c->uid == 0 || c->euid == 0 || c->suid == 0;

	if (c->securebits & SECBIT_NO_SETUID_FIXUP)
		return;
	if (was_root && !is_root) {
		if (!c->keep_caps) {
			c->cap_permitted = 0;
			c->cap_effective = 0;
		}
		/* Ambient capabilities go even if the permitted ones stay. */
		c->cap_ambient = 0;
	}
	if (old->euid == 0 && c->euid != 0)
		c->cap_effective = 0;
	if (old->euid != 0 && c->euid == 0)
		c->cap_effective = c->cap_permitted;
	if (old->euid == c->euid) {
		if (old->fsuid == 0 && c->fsuid != 0)
			c->cap_effective &= ~CAP_FS_MASK;
		if (old->fsuid != 0 && c->fsuid == 0)
			c->cap_effective |= c->cap_permitted & CAP_FS_MASK;
	}
}
