#pragma once

/* Credentials: immutable once shared, replaced whole, as in Linux. */

#include "base/refcount.h"
#include "base/types.h"

struct cred;
struct user_ns;

#define NGROUPS_MAX_GUEST 65536

struct user_ns {
	struct refcount refs;
	struct user_ns *parent; /* [I] null for the root */
	u32 level; /* [I] */
	u32 owner_uid, owner_gid; /* [I] kernel ids of the creator */
};

struct group_list {
	struct refcount refs;
	u32 count;
	u32 gid[]; /* sorted */
};

/* All ids are kernel ids (of the root user namespace). [I] once published by cred_commit or task
 * creation. */
struct cred {
	struct refcount refs;
	u32 uid, euid, suid, fsuid;
	u32 gid, egid, sgid, fsgid;
	u64 cap_inheritable, cap_permitted, cap_effective, cap_bounding, cap_ambient;
	u32 securebits;
	bool keep_caps;
	struct user_ns *user_ns; /* owns a reference */
	struct group_list *groups; /* owns a reference */
};

/* A new root user namespace, and first credentials in it: all capabilities if uid is 0, none else.
 */
[[nodiscard]] int user_ns_create_root(struct user_ns **ret);
void user_ns_get(struct user_ns *ns);
void user_ns_put(struct user_ns *ns);
[[nodiscard]] int cred_create(struct user_ns *ns, u32 uid, u32 gid, const u32 *groups,
			      u32 group_count, struct cred **ret);
/* A private copy to be changed and then published. Null when memory is short. */
[[nodiscard]] struct cred *cred_dup(const struct cred *c);
const struct cred *cred_get(const struct cred *c);
void cred_put(const struct cred *c);
bool cred_has_cap(const struct cred *c, const struct user_ns *ns, int cap);
bool cred_in_group(const struct cred *c, u32 gid); /* fsgid or a supplementary group */
/* Replace the groups of a private copy. */
[[nodiscard]] int cred_set_groups(struct cred *c, const u32 *groups, u32 count);
/* Capability changes that follow from a change of uids (setuid family; Linux cap_emulate_setxuid).
 */
void cred_fix_caps_after_setuid(struct cred *c, const struct cred *old);
