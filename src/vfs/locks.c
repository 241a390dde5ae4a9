/*
 * Advisory file locks: fcntl's record locks and flock.
 *
 * The locks of an inode hang on it in a struct file_locks, made with the first of them. Record
 * locks are in one list, those of one owner in order, without overlaps; neighbours of one type are
 * merged. An owner is a descriptor table (F_SETLK; as in Linux all who share the table share the
 * locks, and closing any descriptor of the file drops them) or an open file (F_OFD_SETLK, flock).
 *
 * Who has to wait sleeps on the inode's queue and looks again when a lock goes or shrinks. Those
 * that wait with F_SETLKW are in one global list with what they wait for, so that a wait that would
 * close a circle is found (EDEADLK).
 *
 * Source: fcntl(2), flock(2), fs/locks.c of Linux.
 */

#include "vfs/locks.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "sched/fiber.h"
#include "vfs/vfs.h"

#define LOCKS_MAX 8192U /* on one inode: they are looked through with a short lock held */
#define CHAIN_MAX 16 /* links of a chain of waits that are followed, as in Linux */

struct file_locks {
	struct spin lock; /* class lc_fs */
	struct list records; /* [lock] */
	struct list flocks; /* [lock] */
	u32 count; /* [lock] */
	struct waitq waitq;
};

struct file_lock {
	struct list link; /* [file_locks] */
	const void *owner; /* [I] only compared */
	s64 start, end; /* [file_locks] */
	int type; /* [file_locks] */
	s32 pid; /* [I] */
};

/* One who waits with F_SETLKW; on the fiber's stack. */
struct lock_wait {
	struct list link; /* [lock_root] */
	const void *owner; /* [I] */
	const void *blocker; /* [lock_root] */
};

struct lock_root {
	struct spin lock; /* class lc_file */
	struct list waits; /* [lock] */
};

SLAB_CLASS(file_locks, struct file_locks);
SLAB_CLASS(file_lock, struct file_lock);
SLAB_CLASS(lock_root, struct lock_root);

int locks_init(void)
{
	struct lock_root *root = slab_alloc(&slab_lock_root);

	if (!root)
		return -ENOMEM;
	spin_init(&root->lock);
	list_init(&root->waits);
	arena_set_root_of(ARENA_ROOT_LOCKS, root);
	return 0;
}

static struct file_locks *locks_of(const struct inode *inode)
{
	return __atomic_load_n(&inode->locks, __ATOMIC_ACQUIRE);
}

static struct file_locks *locks_make(struct inode *inode)
{
	struct file_locks *old = locks_of(inode), *new;

	if (old)
		return old;
	new = slab_alloc(&slab_file_locks);
	if (!new)
		return NULL;
	spin_init(&new->lock);
	list_init(&new->records);
	list_init(&new->flocks);
	waitq_init(&new->waitq);
	if (__atomic_compare_exchange_n(&inode->locks, &old, new, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return new;
	slab_free(&slab_file_locks, new);
	return old;
}

void locks_destroy(struct inode *inode)
{
	slab_free(&slab_file_locks, inode->locks);
	inode->locks = NULL;
}

static bool conflict(const struct file_lock *have, const struct file_lock *want)
{
	return have->owner != want->owner && have->start <= want->end && want->start <= have->end &&
	       (have->type == F_WRLCK || want->type == F_WRLCK);
}

static struct file_lock *find_conflict(const struct list *locks, const struct file_lock *want)
{
	struct file_lock *l;

	list_for_each(l, locks, link)
		if (conflict(l, want))
			return l;
	return NULL;
}

static void lock_remove(struct file_locks *locks, struct file_lock *l) REQUIRES(lc_fs)
{
	list_del(&l->link);
	slab_free(&slab_file_lock, l);
	locks->count--;
}

/* ---- deadlocks ---- */

static const void *waits_for(const struct lock_root *root, const void *owner) REQUIRES(lc_file)
{
	struct lock_wait *w;

	list_for_each(w, &root->waits, link)
		if (w->owner == owner)
			return w->blocker;
	return NULL;
}

/* w is about to wait for blocker. -EDEADLK: that one waits, perhaps through others, for w's owner.
 */
static int wait_note(struct lock_wait *w, const void *blocker)
{
	struct lock_root *root = arena_root_of(ARENA_ROOT_LOCKS);
	const void *at = blocker;
	int err = 0;

	if (!root)
		return 0;
	spin_lock(&root->lock, &lc_file);
	for (int i = 0; at && i < CHAIN_MAX && !err; i++) {
		if (at == w->owner)
			err = -EDEADLK;
		at = waits_for(root, at);
	}
	if (!err) {
		w->blocker = blocker;
		list_del(&w->link);
		list_add_tail(&root->waits, &w->link);
	}
	spin_unlock(&root->lock, &lc_file);
	return err;
}

static void wait_forget(struct lock_wait *w)
{
	struct lock_root *root = arena_root_of(ARENA_ROOT_LOCKS);

	if (!root)
		return;
	spin_lock(&root->lock, &lc_file);
	list_del(&w->link);
	spin_unlock(&root->lock, &lc_file);
}

/* ---- record locks ---- */

static bool touches(const struct file_lock *a, const struct file_lock *b)
{
	return (b->end == INT64_MAX || a->start <= b->end + 1) &&
	       (a->end == INT64_MAX || b->start <= a->end + 1);
}

/*
 * Make room for new among its owner's locks: same type is merged into it, other types are cut. rest
 * is taken for the second half of a lock that is cut in two. Returns whether a lock went or shrank.
 */
static bool make_way(struct file_locks *locks, struct file_lock *new, struct file_lock **rest)
	REQUIRES(lc_fs)
{
	struct file_lock *l, *next;
	bool freed = false;

	list_for_each_safe(l, next, &locks->records, link) {
		if (l->owner != new->owner)
			continue;
		if (l->type == new->type) {
			if (!touches(l, new))
				continue;
			new->start = min(new->start, l->start);
			new->end = max(new->end, l->end);
			lock_remove(locks, l);
			continue;
		}
		if (l->end < new->start || new->end < l->start)
			continue;
		freed = true;
		if (l->start < new->start && l->end > new->end) {
			**rest = *l;
			(*rest)->start = new->end + 1;
			list_add(&l->link, &(*rest)->link);
			*rest = NULL;
			locks->count++;
			l->end = new->start - 1;
			break; /* no other lock of the owner's reaches new */
		} else if (l->start < new->start) {
			l->end = new->start - 1;
		} else if (l->end > new->end) {
			l->start = new->end + 1;
		} else {
			lock_remove(locks, l);
		}
	}
	return freed;
}

/* Behind the last lock of its owner that is before it, so that they are in order. */
static void insert_sorted(struct file_locks *locks, struct file_lock *new) REQUIRES(lc_fs)
{
	struct file_lock *l;

	list_for_each(l, &locks->records, link)
		if (l->owner == new->owner && l->start > new->start)
			break;
	list_add_tail(&l->link, &new->link);
	locks->count++;
}

/* One attempt. new and rest are taken if they are used. *ret_blocker: who is in the way. */
static int record_try(struct file_locks *locks, struct file_lock **new, struct file_lock **rest,
		      const void **ret_blocker)
{
	struct file_lock *other;
	bool freed = false;
	int ret = 0;

	spin_lock(&locks->lock, &lc_fs);
	other = (*new)->type == F_UNLCK ? NULL : find_conflict(&locks->records, *new);
	if (other) {
		*ret_blocker = other->owner;
		ret = -EAGAIN;
	} else if (locks->count >= LOCKS_MAX && (*new)->type != F_UNLCK) {
		ret = -ENOLCK;
	} else {
		freed = make_way(locks, *new, rest);
		if ((*new)->type != F_UNLCK) {
			insert_sorted(locks, *new);
			*new = NULL;
		}
	}
	spin_unlock(&locks->lock, &lc_fs);
	if (freed)
		waitq_wake_all(&locks->waitq, EPOLLIN);
	return ret;
}

static bool record_free(struct file_locks *locks, const struct file_lock *want, const void *blocker)
{
	struct file_lock *other;

	spin_lock(&locks->lock, &lc_fs);
	other = find_conflict(&locks->records, want);
	spin_unlock(&locks->lock, &lc_fs);
	/* If another one is in the way, it is to be noted. */
	return !other || other->owner != blocker;
}

static int record_wait(struct file_locks *locks, struct file_lock **new, struct file_lock **rest,
		       bool open_file)
{
	struct lock_wait w = { .owner = (*new)->owner };
	const void *blocker;
	int ret;

	list_init(&w.link);
	while ((ret = record_try(locks, new, rest, &blocker)) == -EAGAIN) {
		/* As in Linux the locks of open files do not count: they have no one owner. */
		if (!open_file) {
			ret = wait_note(&w, blocker);
			if (ret)
				break;
		}
		ret = waitq_wait(&locks->waitq, EPOLLIN, NO_DEADLINE,
				 record_free(locks, *new, blocker));
		if (ret)
			break;
	}
	wait_forget(&w);
	return ret;
}

static const void *record_owner(struct subject *s, const struct file *f, bool open_file)
{
	return open_file ? (const void *)f : s->files;
}

int lock_record(struct subject *s, struct file *f, const struct record_lock *lock, bool wait)
{
	struct file_locks *locks =
		lock->type == F_UNLCK ? locks_of(f->inode) : locks_make(f->inode);
	struct file_lock *new, *rest;
	const void *blocker;
	int ret = -ENOLCK;

	if (!locks)
		return lock->type == F_UNLCK ? 0 : -ENOLCK;
	new = slab_alloc(&slab_file_lock);
	rest = slab_alloc(&slab_file_lock);
	if (new &&rest) {
		*new = (struct file_lock){
			.owner = record_owner(s, f, lock->open_file),
			.start = lock->start,
			.end = lock->end,
			.type = lock->type,
			.pid = lock->open_file ? -1 : (s32)s->tgid,
		};
		list_init(&new->link);
		ret = wait ? record_wait(locks, &new, &rest, lock->open_file) :
			     record_try(locks, &new, &rest, &blocker);
	}
	slab_free(&slab_file_lock, new);
	slab_free(&slab_file_lock, rest);
	return ret;
}

void lock_record_test(struct subject *s, struct file *f, struct record_lock *l)
{
	struct file_locks *locks = locks_of(f->inode);
	struct file_lock *other = NULL, want = {
		.owner = record_owner(s, f, l->open_file),
		.start = l->start,
		.end = l->end,
		.type = l->type,
	};

	l->type = F_UNLCK;
	if (!locks)
		return;
	spin_lock(&locks->lock, &lc_fs);
	other = find_conflict(&locks->records, &want);
	if (other) {
		l->start = other->start;
		l->end = other->end;
		l->type = other->type;
		l->pid = other->pid;
	}
	spin_unlock(&locks->lock, &lc_fs);
}

/* ---- flock ---- */

static bool drop_owner(struct file_locks *locks, struct list *list, const void *owner)
	REQUIRES(lc_fs)
{
	struct file_lock *l, *next;
	bool any = false;

	list_for_each_safe(l, next, list, link) {
		if (l->owner != owner)
			continue;
		lock_remove(locks, l);
		any = true;
	}
	return any;
}

/* One attempt; new is taken if it is used. As in Linux an old lock goes even if the new one cannot
 * be had. */
static int flock_try(struct file_locks *locks, struct file_lock **new)
{
	struct file_lock *l;
	bool dropped = false;
	int ret = 0;

	spin_lock(&locks->lock, &lc_fs);
	list_for_each(l, &locks->flocks, link)
		if (l->owner == (*new)->owner && l->type == (*new)->type)
			goto out;
	dropped = drop_owner(locks, &locks->flocks, (*new)->owner);
	if (find_conflict(&locks->flocks, *new)) {
		ret = -EAGAIN;
	} else if (locks->count >= LOCKS_MAX) {
		ret = -ENOLCK;
	} else {
		list_add_tail(&locks->flocks, &(*new)->link);
		locks->count++;
		*new = NULL;
	}
out:
	spin_unlock(&locks->lock, &lc_fs);
	if (dropped)
		waitq_wake_all(&locks->waitq, EPOLLIN);
	return ret;
}

static bool flock_free(struct file_locks *locks, const struct file_lock *want)
{
	bool ret;

	spin_lock(&locks->lock, &lc_fs);
	ret = !find_conflict(&locks->flocks, want);
	spin_unlock(&locks->lock, &lc_fs);
	return ret;
}

static void flock_drop(struct file_locks *locks, const struct file *f)
{
	bool any;

	spin_lock(&locks->lock, &lc_fs);
	any = drop_owner(locks, &locks->flocks, f);
	spin_unlock(&locks->lock, &lc_fs);
	if (any)
		waitq_wake_all(&locks->waitq, EPOLLIN);
}

int lock_whole_file(struct file *f, int type, bool wait)
{
	struct file_locks *locks = type == F_UNLCK ? locks_of(f->inode) : locks_make(f->inode);
	struct file_lock *new;
	int ret;

	if (type == F_UNLCK) {
		if (locks)
			flock_drop(locks, f);
		return 0;
	}
	new = locks ? slab_alloc(&slab_file_lock) : NULL;
	if (!new)
		return -ENOLCK;
	*new = (struct file_lock){ .owner = f, .end = INT64_MAX, .type = type };
	list_init(&new->link);
	while ((ret = flock_try(locks, &new)) == -EAGAIN && wait) {
		ret = waitq_wait(&locks->waitq, EPOLLIN, NO_DEADLINE, flock_free(locks, new));
		if (ret)
			break;
	}
	slab_free(&slab_file_lock, new);
	return ret;
}

/* ---- the end of owners ---- */

void locks_drop_table(struct fdtable *t, struct file *f)
{
	struct file_locks *locks = locks_of(f->inode);
	bool any;

	if (likely(!locks))
		return;
	spin_lock(&locks->lock, &lc_fs);
	any = drop_owner(locks, &locks->records, t);
	spin_unlock(&locks->lock, &lc_fs);
	if (any)
		waitq_wake_all(&locks->waitq, EPOLLIN);
}

void locks_drop_file(struct file *f)
{
	struct file_locks *locks = locks_of(f->inode);

	if (likely(!locks))
		return;
	locks_drop_table((void *)f, f);
	flock_drop(locks, f);
}
