/*
 * Pids. A struct pid has a number in its namespace and in each ancestor of it, and is entered in
 * the table of each. Numbers are given out cyclically, as Linux does, so that one is not reused
 * soon. Look-ups are made under lc_tasks, which protects what a pid points to; the tables
 * themselves have a lock of their own per namespace, so that a number can be allocated without the
 * task set.
 */

#include "kernel/pid.h"

#include <string.h>

#include "arena/slab.h"

#define PID_RESERVED 300 /* where numbers start again after the end */
#define TABLE_FIRST 64

/* The common case: a pid of the first two levels comes from a slab. */
#define PID_SLAB_LEVELS 2
struct pid_small {
	_Alignas(struct pid) char bytes[sizeof(struct pid) + PID_SLAB_LEVELS * sizeof(u32)];
};

SLAB_CLASS(pid, struct pid_small);
SLAB_CLASS(pid_ns, struct pid_ns);

int pid_ns_create(struct pid_ns *parent, struct pid_ns **ret)
{
	struct pid_ns *ns;

	if (parent && parent->level + 1 >= PID_NS_LEVELS)
		return -ENOSPC;
	ns = slab_alloc(&slab_pid_ns);
	if (!ns)
		return -ENOMEM;
	ns->table = arena_alloc(TABLE_FIRST * sizeof(struct pid *));
	if (!ns->table) {
		slab_free(&slab_pid_ns, ns);
		return -ENOMEM;
	}
	refcount_init(&ns->refs, 1);
	spin_init(&ns->lock);
	ns->table_size = TABLE_FIRST;
	ns->next = 1;
	if (parent) {
		pid_ns_get(parent);
		ns->parent = parent;
		ns->level = parent->level + 1;
	}
	*ret = ns;
	return 0;
}

void pid_ns_get(struct pid_ns *ns)
{
	refcount_get(&ns->refs);
}

void pid_ns_put(struct pid_ns *ns)
{
	while (ns && refcount_put(&ns->refs)) {
		struct pid_ns *parent = ns->parent;

		arena_free(ns->table);
		slab_free(&slab_pid_ns, ns);
		ns = parent;
	}
}

static struct pid *pid_object_alloc(u32 level)
{
	if (level < PID_SLAB_LEVELS)
		return slab_alloc(&slab_pid);
	return arena_alloc(sizeof(struct pid) + (level + 1) * sizeof(u32));
}

static void pid_object_free(struct pid *p, u32 level)
{
	if (level < PID_SLAB_LEVELS)
		slab_free(&slab_pid, p);
	else
		arena_free(p);
}

void pid_get(struct pid *p)
{
	refcount_get(&p->refs);
}

void pid_put(struct pid *p)
{
	struct pid_ns *ns;

	if (!p || !refcount_put(&p->refs))
		return;
	ns = p->ns;
	pid_object_free(p, p->level);
	pid_ns_put(ns);
}

/* Make room in ns's table for number nr. Not under the lock: the new table is made before it is
 * taken. */
static int table_grow(struct pid_ns *ns, u32 nr)
{
	u32 size = TABLE_FIRST;
	struct pid **new, **old = NULL;

	while (size <= nr)
		size *= 2;
	new = arena_alloc(size * sizeof(struct pid *));
	if (!new)
		return -ENOMEM;
	spin_lock(&ns->lock, &lc_pidns);
	if (ns->table_size < size) {
		memcpy(new, ns->table, ns->table_size * sizeof(struct pid *));
		old = ns->table;
		ns->table = new;
		ns->table_size = size;
		new = NULL;
	}
	spin_unlock(&ns->lock, &lc_pidns);
	arena_free(new);
	arena_free(old);
	return 0;
}

/* The next free number of ns from ns->next on, or 0. May lie past the table's end. */
static u32 next_free(struct pid_ns *ns) REQUIRES(lc_pidns)
{
	u32 nr = ns->next;

	for (u32 i = 0; i < PID_MAX; i++, nr++) {
		if (nr >= PID_MAX)
			nr = PID_RESERVED;
		if (nr >= ns->table_size || !ns->table[nr])
			return nr;
	}
	return 0;
}

/* Enter p into ns, as number wanted or (0) the next free one. */
static int table_enter(struct pid_ns *ns, struct pid *p, u32 wanted)
{
	int err = 0;
	u32 nr;

	for (;;) {
		spin_lock(&ns->lock, &lc_pidns);
		nr = wanted ? wanted : next_free(ns);
		if (ns->dying)
			err = -ENOMEM;
		else if (nr == 0)
			err = -EAGAIN;
		else if (nr < ns->table_size && ns->table[nr])
			err = -EEXIST;
		else if (nr < ns->table_size)
			break;
		spin_unlock(&ns->lock, &lc_pidns);
		if (!err)
			err = table_grow(ns, nr);
		if (err)
			return err;
	}
	ns->table[nr] = p;
	ns->count++;
	if (!wanted)
		ns->next = nr + 1;
	spin_unlock(&ns->lock, &lc_pidns);
	p->number[ns->level] = nr;
	return 0;
}

static void table_leave(struct pid_ns *ns, u32 nr)
{
	spin_lock(&ns->lock, &lc_pidns);
	ns->table[nr] = NULL;
	ns->count--;
	spin_unlock(&ns->lock, &lc_pidns);
}

/* Take p out of the tables of ns and its ancestors, and drop their reference. */
static void pid_unhash(struct pid *p, struct pid_ns *ns)
{
	for (; ns; ns = ns->parent)
		table_leave(ns, p->number[ns->level]);
	pid_put(p);
}

int pid_alloc(struct pid_ns *ns, const u32 *set_tid, u32 count, struct pid **ret)
{
	struct pid *p = pid_object_alloc(ns->level);
	struct pid_ns *level;
	int err;

	if (!p)
		return -ENOMEM;
	refcount_init(&p->refs, 2);
	waitq_init(&p->waitq);
	p->level = ns->level;
	pid_ns_get(ns);
	p->ns = ns;
	for (level = ns; level; level = level->parent) {
		u32 depth = ns->level - level->level;

		err = table_enter(level, p, depth < count ? set_tid[depth] : 0);
		if (err)
			goto fail;
	}
	*ret = p;
	return 0;
fail:
	for (; ns != level; ns = ns->parent)
		table_leave(ns, p->number[ns->level]);
	pid_put(p);
	pid_put(p);
	return err;
}

void pid_release_unused(struct pid *p)
{
	if (!p->task && !p->tg && !p->pgrp && !p->session)
		pid_unhash(p, p->ns);
}

struct pid *pid_find(struct pid_ns *ns, u32 nr)
{
	struct pid *p = NULL;

	spin_lock(&ns->lock, &lc_pidns);
	if (nr < ns->table_size)
		p = ns->table[nr];
	spin_unlock(&ns->lock, &lc_pidns);
	return p;
}

u32 pid_nr(const struct pid *p, const struct pid_ns *ns)
{
	const struct pid_ns *own = p->ns;

	if (ns->level > p->level)
		return 0;
	while (own->level > ns->level)
		own = own->parent;
	return own == ns ? p->number[ns->level] : 0;
}

struct task *task_find(struct pid_ns *ns, u32 tid)
{
	struct pid *p;

	assert_held(&lc_tasks);
	p = pid_find(ns, tid);
	return p ? p->task : NULL;
}

struct thread_group *group_find(struct pid_ns *ns, u32 pid)
{
	struct pid *p;

	assert_held(&lc_tasks);
	p = pid_find(ns, pid);
	return p ? p->tg : NULL;
}

struct process_group *pgrp_find(struct pid_ns *ns, u32 pgid)
{
	struct pid *p;

	assert_held(&lc_tasks);
	p = pid_find(ns, pgid);
	return p ? p->pgrp : NULL;
}

void group_for_each(struct pid_ns *ns, u32 first,
		    bool (*fn)(struct thread_group *tg, u32 pid, void *arg), void *arg)
{
	assert_held(&lc_tasks);
	for (u32 nr = max(first, 1u); nr < PID_MAX; nr++) {
		struct pid *p = pid_find(ns, nr);

		if (nr >= ns->table_size)
			return;
		if (p && p->tg && !fn(p->tg, nr, arg))
			return;
	}
}
