/*
 * User and group ids, and capabilities. There is one user namespace so far, in which ids stand for
 * themselves; -1 is none.
 */

#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdlib.h>

#include "arena/arena.h"
#include "syscall/util.h"
#include "syscall_protos.h"

#define NO_ID ((u32)-1)

static const struct cred *cred_of(const struct task *t)
{
	return t->subject.cred;
}

/* ---- reading ---- */

long sys_getuid(struct task *t)
{
	return cred_of(t)->uid;
}

long sys_geteuid(struct task *t)
{
	return cred_of(t)->euid;
}

long sys_getgid(struct task *t)
{
	return cred_of(t)->gid;
}

long sys_getegid(struct task *t)
{
	return cred_of(t)->egid;
}

static long store_three(struct task *t, const struct uaddr to[3], const u32 ids[3])
{
	for (int i = 0; i < 3; i++) {
		int err = copy_out_late(&t->subject, to[i], &ids[i], sizeof(u32));

		if (err)
			return err;
	}
	return 0;
}

long sys_getresuid(struct task *t, struct uaddr ruid, struct uaddr euid, struct uaddr suid)
{
	const struct cred *c = cred_of(t);

	return store_three(t, (struct uaddr[3]){ ruid, euid, suid },
			   (u32[3]){ c->uid, c->euid, c->suid });
}

long sys_getresgid(struct task *t, struct uaddr rgid, struct uaddr egid, struct uaddr sgid)
{
	const struct cred *c = cred_of(t);

	return store_three(t, (struct uaddr[3]){ rgid, egid, sgid },
			   (u32[3]){ c->gid, c->egid, c->sgid });
}

/* ---- users ---- */

/* Publish new, whose uids have changed from the task's. */
static long commit_uids(struct task *t, struct cred *new)
{
	cred_fix_caps_after_setuid(new, cred_of(t));
	task_commit_cred(t, new);
	return 0;
}

long sys_setuid(struct task *t, u32 uid)
{
	const struct cred *old = cred_of(t);
	struct cred *new;

	if (uid == NO_ID)
		return -EINVAL;
	if (!task_capable(t, CAP_SETUID) && uid != old->uid && uid != old->suid)
		return -EPERM;
	new = cred_dup(old);
	if (!new)
		return -ENOMEM;
	if (task_capable(t, CAP_SETUID))
		new->uid = new->suid = uid;
	new->euid = new->fsuid = uid;
	return commit_uids(t, new);
}

long sys_setreuid(struct task *t, u32 ruid, u32 euid)
{
	const struct cred *old = cred_of(t);
	bool able = task_capable(t, CAP_SETUID);
	struct cred *new;

	if (ruid != NO_ID && ruid != old->uid && ruid != old->euid && !able)
		return -EPERM;
	if (euid != NO_ID && euid != old->uid && euid != old->euid && euid != old->suid && !able)
		return -EPERM;
	new = cred_dup(old);
	if (!new)
		return -ENOMEM;
	if (ruid != NO_ID)
		new->uid = ruid;
	if (euid != NO_ID)
		new->euid = euid;
	if (ruid != NO_ID || (euid != NO_ID && euid != old->uid))
		new->suid = new->euid;
	new->fsuid = new->euid;
	return commit_uids(t, new);
}

static bool uid_is_own(const struct cred *c, u32 uid)
{
	return uid == NO_ID || uid == c->uid || uid == c->euid || uid == c->suid;
}

long sys_setresuid(struct task *t, u32 ruid, u32 euid, u32 suid)
{
	const struct cred *old = cred_of(t);
	struct cred *new;

	if (!(uid_is_own(old, ruid) && uid_is_own(old, euid) && uid_is_own(old, suid)) &&
	    !task_capable(t, CAP_SETUID))
		return -EPERM;
	new = cred_dup(old);
	if (!new)
		return -ENOMEM;
	if (ruid != NO_ID)
		new->uid = ruid;
	if (euid != NO_ID)
		new->euid = euid;
	if (suid != NO_ID)
		new->suid = suid;
	new->fsuid = new->euid;
	return commit_uids(t, new);
}

long sys_setfsuid(struct task *t, u32 uid)
{
	const struct cred *old = cred_of(t);
	u32 before = old->fsuid;
	struct cred *new;

	if (uid == NO_ID || uid == before || !(uid_is_own(old, uid) || task_capable(t, CAP_SETUID)))
		return before;
	new = cred_dup(old);
	if (!new)
		return before;
	new->fsuid = uid;
	commit_uids(t, new);
	return before;
}

/* ---- groups ---- */

long sys_setgid(struct task *t, u32 gid)
{
	const struct cred *old = cred_of(t);
	bool able = task_capable(t, CAP_SETGID);
	struct cred *new;

	if (gid == NO_ID)
		return -EINVAL;
	if (!able && gid != old->gid && gid != old->sgid)
		return -EPERM;
	new = cred_dup(old);
	if (!new)
		return -ENOMEM;
	if (able)
		new->gid = new->sgid = gid;
	new->egid = new->fsgid = gid;
	task_commit_cred(t, new);
	return 0;
}

long sys_setregid(struct task *t, u32 rgid, u32 egid)
{
	const struct cred *old = cred_of(t);
	bool able = task_capable(t, CAP_SETGID);
	struct cred *new;

	if (rgid != NO_ID && rgid != old->gid && rgid != old->egid && !able)
		return -EPERM;
	if (egid != NO_ID && egid != old->gid && egid != old->egid && egid != old->sgid && !able)
		return -EPERM;
	new = cred_dup(old);
	if (!new)
		return -ENOMEM;
	if (rgid != NO_ID)
		new->gid = rgid;
	if (egid != NO_ID)
		new->egid = egid;
	if (rgid != NO_ID || (egid != NO_ID && egid != old->gid))
		new->sgid = new->egid;
	new->fsgid = new->egid;
	task_commit_cred(t, new);
	return 0;
}

static bool gid_is_own(const struct cred *c, u32 gid)
{
	return gid == NO_ID || gid == c->gid || gid == c->egid || gid == c->sgid;
}

long sys_setresgid(struct task *t, u32 rgid, u32 egid, u32 sgid)
{
	const struct cred *old = cred_of(t);
	struct cred *new;

	if (!(gid_is_own(old, rgid) && gid_is_own(old, egid) && gid_is_own(old, sgid)) &&
	    !task_capable(t, CAP_SETGID))
		return -EPERM;
	new = cred_dup(old);
	if (!new)
		return -ENOMEM;
	if (rgid != NO_ID)
		new->gid = rgid;
	if (egid != NO_ID)
		new->egid = egid;
	if (sgid != NO_ID)
		new->sgid = sgid;
	new->fsgid = new->egid;
	task_commit_cred(t, new);
	return 0;
}

long sys_setfsgid(struct task *t, u32 gid)
{
	const struct cred *old = cred_of(t);
	u32 before = old->fsgid;
	struct cred *new;

	if (gid == NO_ID || gid == before || !(gid_is_own(old, gid) || task_capable(t, CAP_SETGID)))
		return before;
	new = cred_dup(old);
	if (!new)
		return before;
	new->fsgid = gid;
	task_commit_cred(t, new);
	return before;
}

long sys_getgroups(struct task *t, int size, struct uaddr list)
{
	const struct group_list *groups = cred_of(t)->groups;
	u32 count = groups ? groups->count : 0;
	int err;

	if (size < 0)
		return -EINVAL;
	if (!size)
		return count;
	if (count > (u32)size)
		return -EINVAL;
	err = count ? copy_out(&t->subject, list, groups->gid, count * sizeof(u32)) : 0;
	return err ? err : (long)count;
}

long sys_setgroups(struct task *t, int size, struct uaddr list)
{
	struct cred *new;
	u32 *gids = NULL;
	long ret = 0;

	if (!task_capable(t, CAP_SETGID))
		return -EPERM;
	if ((u32)size > NGROUPS_MAX_GUEST)
		return -EINVAL;
	if (size) {
		gids = arena_alloc((size_t)size * sizeof(u32));
		if (!gids)
			return -ENOMEM;
		ret = copy_in(&t->subject, gids, list, (size_t)size * sizeof(u32));
	}
	for (int i = 0; i < size && !ret; i++)
		if (gids[i] == NO_ID)
			ret = -EINVAL;
	new = ret ? NULL : cred_dup(cred_of(t));
	if (!ret)
		ret = new ? cred_set_groups(new, gids, (u32)size) : -ENOMEM;
	arena_free(gids);
	if (ret) {
		if (new)
			cred_put(new);
		return ret;
	}
	task_commit_cred(t, new);
	return 0;
}

/* ---- capabilities ---- */

/* How many words of 32 bits a version has, 0: unknown. */
static int capability_words(u32 version)
{
	switch (version) {
	case _LINUX_CAPABILITY_VERSION_1:
		return 1;
	case _LINUX_CAPABILITY_VERSION_2:
	case _LINUX_CAPABILITY_VERSION_3:
		return 2;
	default:
		return 0;
	}
}

/* Fetch and check the header. An unknown version is answered with ours, and EINVAL. */
static long capability_header(struct task *t, struct uaddr uheader,
			      struct __user_cap_header_struct *ret, int *ret_words)
{
	u32 ours = _LINUX_CAPABILITY_VERSION_3;
	long err = copy_in(&t->subject, ret, uheader, sizeof(*ret));

	if (err)
		return err;
	*ret_words = capability_words(ret->version);
	if (*ret_words)
		return ret->pid < 0 ? -EINVAL : 0;
	err = copy_out(&t->subject, uheader, &ours, sizeof(ours));
	return err ? err : -EINVAL;
}

long sys_capget(struct task *t, struct uaddr uheader, struct uaddr udata)
{
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[2];
	const struct cred *c;
	struct task *target;
	int words = 0;
	long ret = capability_header(t, uheader, &header, &words);

	/* A null data pointer asks for the version alone. */
	if (ret)
		return ret == -EINVAL && !words && uaddr_is_null(udata) ? 0 : ret;
	target = header.pid && (u32)header.pid != task_tid(t) ?
			 task_lookup_get(t, (u32)header.pid) :
			 t;
	if (!target)
		return -ESRCH;
	c = target == t ? cred_get(cred_of(t)) : task_get_cred(target);
	if (target != t)
		task_put(target);
	if (!c)
		return -ESRCH;
	for (int i = 0; i < words; i++) {
		data[i].effective = (u32)(c->cap_effective >> 32 * i);
		data[i].permitted = (u32)(c->cap_permitted >> 32 * i);
		data[i].inheritable = (u32)(c->cap_inheritable >> 32 * i);
	}
	cred_put(c);
	return copy_out_late(&t->subject, udata, data, (size_t)words * sizeof(data[0]));
}

/* May these be the next capabilities of old? */
static bool capset_allowed(struct task *t, const struct cred *old, const struct cred *new)
{
	if (!task_capable(t, CAP_SETPCAP) &&
	    new->cap_inheritable & ~(old->cap_inheritable | old->cap_permitted))
		return false;
	if (new->cap_inheritable & ~(old->cap_inheritable | old->cap_bounding))
		return false;
	return !(new->cap_permitted & ~old->cap_permitted) &&
	       !(new->cap_effective & ~new->cap_permitted);
}

long sys_capset(struct task *t, struct uaddr uheader, struct uaddr udata)
{
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[2] = {};
	const u64 valid = (2UL << CAP_LAST_CAP) - 1;
	const struct cred *old = cred_of(t);
	struct cred *new;
	int words;
	long ret = capability_header(t, uheader, &header, &words);

	if (ret)
		return ret;
	if (header.pid && (u32)header.pid != task_tid(t))
		return -EPERM;
	ret = copy_in(&t->subject, data, udata, (size_t)words * sizeof(data[0]));
	if (ret)
		return ret;
	new = cred_dup(old);
	if (!new)
		return -ENOMEM;
	new->cap_effective = (data[0].effective | (u64)data[1].effective << 32) & valid;
	new->cap_permitted = (data[0].permitted | (u64)data[1].permitted << 32) & valid;
	new->cap_inheritable = (data[0].inheritable | (u64)data[1].inheritable << 32) & valid;
	new->cap_ambient &= new->cap_permitted &new->cap_inheritable;
	if (!capset_allowed(t, old, new)) {
		cred_put(new);
		return -EPERM;
	}
	task_commit_cred(t, new);
	return 0;
}
