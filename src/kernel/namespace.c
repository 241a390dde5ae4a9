/*
 * Namespaces of tasks, and unshare(2).
 *
 * There can be several UTS namespaces; of the other kinds there is the first one, and who asks for
 * another gets EINVAL, as from a kernel that was built without.
 */

#include "kernel/task.h"

#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "arena/slab.h"
#include "kernel/lifecycle.h"
#include "vfs/fdtable.h"
#include "vfs/path.h"

SLAB_CLASS(uts_ns, struct uts_ns);

#define FIRST_INO 0xefff'fffeu /* of the first UTS namespace, as in Linux */
#define NEXT_INO 0xf000'0100u

/* What unshare knows at all, and what of it there is. */
#define U_NAMESPACES \
	((u64)(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET | \
	       CLONE_NEWCGROUP | CLONE_NEWTIME))
#define U_KNOWN \
	(U_NAMESPACES | (u64)(CLONE_THREAD | CLONE_FS | CLONE_SIGHAND | CLONE_VM | CLONE_FILES | \
			      CLONE_SYSVSEM | CLONE_NEWUSER))

static struct uts_ns *uts_alloc(u32 ino)
{
	struct uts_ns *ns = slab_alloc(&slab_uts_ns);

	if (!ns)
		return NULL;
	refcount_init(&ns->refs, 1);
	spin_init(&ns->lock);
	ns->ino = ino;
	return ns;
}

struct uts_ns *uts_ns_create(const char *hostname)
{
	struct uts_ns *ns = uts_alloc(FIRST_INO);

	if (!ns)
		return NULL;
	snprintf(ns->nodename, sizeof(ns->nodename), "%s", hostname ? hostname : "donjon");
	snprintf(ns->domainname, sizeof(ns->domainname), "(none)");
	return ns;
}

struct uts_ns *uts_ns_copy(struct uts_ns *from)
{
	struct uts_ns *ns = uts_alloc(NEXT_INO + atomic_fetch_add(&kernel_get()->namespaces, 1));

	if (!ns)
		return NULL;
	spin_lock(&from->lock, &lc_cred);
	memcpy(ns->nodename, from->nodename, sizeof(ns->nodename));
	memcpy(ns->domainname, from->domainname, sizeof(ns->domainname));
	spin_unlock(&from->lock, &lc_cred);
	return ns;
}

void uts_ns_get(struct uts_ns *ns)
{
	refcount_get(&ns->refs);
}

void uts_ns_put(struct uts_ns *ns)
{
	if (ns && refcount_put(&ns->refs))
		slab_free(&slab_uts_ns, ns);
}

struct uts_ns *task_get_uts(struct task *t)
{
	struct uts_ns *ns;

	spin_lock(&t->lock, &lc_task);
	ns = t->subject.mm ? t->uts_ns : NULL;
	if (ns)
		uts_ns_get(ns);
	spin_unlock(&t->lock, &lc_task);
	return ns;
}

void task_set_uts(struct task *t, struct uts_ns *ns)
{
	struct uts_ns *old = t->uts_ns;

	spin_lock(&t->lock, &lc_task);
	t->uts_ns = ns;
	spin_unlock(&t->lock, &lc_task);
	uts_ns_put(old);
}

/* ---- unshare ---- */

static bool alone(struct task *t)
{
	bool ret;

	tasks_lock();
	ret = t->tg->task_count == 1;
	tasks_unlock();
	return ret;
}

static int check_flags(struct task *t, u64 flags)
{
	const struct cred *c = t->subject.cred;

	if (flags & ~U_KNOWN)
		return -EINVAL;
	/* Nobody can leave a process, but who is alone has nothing to leave. */
	if ((flags & (u64)(CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWUSER)) && !alone(t))
		return -EINVAL;
	if (flags & CLONE_NEWUSER)
		return -EINVAL;
	if ((flags & U_NAMESPACES) && !cred_has_cap(c, c->user_ns, CAP_SYS_ADMIN))
		return -EPERM;
	return flags & U_NAMESPACES & ~(u64)CLONE_NEWUTS ? -EINVAL : 0;
}

/* What a task is to have alone from now on; null: it stays as it is. */
struct unshared {
	struct fs_context *fs;
	struct fdtable *files;
	struct uts_ns *uts;
};

static int unshared_make(struct task *t, u64 flags, struct unshared *u)
{
	struct subject *s = &t->subject;
	int err = 0;

	if ((flags & CLONE_FS) && atomic_load(&s->fs->users) > 1)
		err = fs_context_fork(s->fs, &u->fs);
	if (!err && (flags & CLONE_FILES) && fdtable_users(s->files) > 1)
		err = fdtable_fork(s->files, ~0u, &u->files);
	if (!err && (flags & CLONE_NEWUTS)) {
		u->uts = uts_ns_copy(t->uts_ns);
		err = u->uts ? 0 : -ENOMEM;
	}
	return err;
}

/* Exchange what t has for what u has, if anything. */
static void unshared_commit(struct task *t, struct unshared *u)
{
	struct unshared old = {};

	spin_lock(&t->lock, &lc_task);
	if (u->fs) {
		old.fs = t->subject.fs;
		t->subject.fs = u->fs;
	}
	if (u->files) {
		old.files = t->subject.files;
		t->subject.files = u->files;
	}
	if (u->uts) {
		old.uts = t->uts_ns;
		t->uts_ns = u->uts;
	}
	spin_unlock(&t->lock, &lc_task);
	*u = old;
}

long task_unshare(struct task *t, u64 flags)
{
	struct unshared u = {};
	int err = check_flags(t, flags);

	if (err)
		return err;
	err = unshared_make(t, flags, &u);
	if (!err)
		unshared_commit(t, &u);
	fs_context_leave(u.fs);
	if (u.files)
		fdtable_put(u.files);
	uts_ns_put(u.uts);
	return err;
}
