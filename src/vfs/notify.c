/*
 * inotify, and the reports that feed it.
 *
 * A watch belongs to an instance, where it is found by its number, and to an inode, where events
 * look for it. It holds the inode, and as long as the name by which it was found exists the dentry
 * too, so that the cache does not forget either: another look-up would make another inode. What is
 * deleted is let go (notify_unpin), so that the end of the inode can be seen (notify_gone).
 *
 * Locks: an inode's attr_lock protects its list of watches and what a watch wants; the instance's
 * lock, inside it, its tree of watches and its queue. References are dropped without locks.
 *
 * An instance's queue is bounded in number and, unlike Linux's, which charges a cgroup, by the
 * bytes of all queues of its user; past that IN_Q_OVERFLOW is queued, once.
 *
 * A watch also hangs on its super, to be found when the last mount of that goes (IN_UNMOUNT).
 *
 * Not there: events of pipes and sockets without a name; of procfs, whose inodes are
 * made for each look-up.
 */

#include "vfs/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "base/rbtree.h"
#include "base/strbuf.h"
#include "cred/user.h"
#include "sched/fiber.h"
#include "vfs/internal.h"

/* Of a watch's mask, what is kept. */
#define WATCH_FLAGS (IN_EXCL_UNLINK | IN_ONESHOT)
/* What is told of a file to those who watch its directory. */
#define CHILD_EVENTS (IN_ACCESS | IN_MODIFY | IN_ATTRIB | IN_CLOSE | IN_OPEN)
#define EVENT_ALIGN sizeof(struct inotify_event)

struct inotify {
	struct refcount refs; /* its file, each watch */
	struct spin lock; /* class lc_ipc */
	struct list events; /* [lock] */
	u32 event_count; /* [lock] */
	bool overflow; /* [lock] IN_Q_OVERFLOW is queued */
	bool closed; /* [lock] */
	struct rb_root watches; /* [lock] by number */
	int next_wd; /* [lock] */
	struct waitq waitq;
	struct user_table *users; /* [I] */
	struct user_usage *user; /* [I] owned */
};

struct watch {
	struct refcount refs; /* being linked; whoever removes it */
	struct rb_node node; /* [in->lock] */
	struct list link; /* [attr_lock] in inode->watches */
	struct list sb_link; /* [sb->dcache.lock] in sb->watched, if it is in a super */
	struct inotify *in; /* [I] owned */
	struct inode *inode; /* [I] owned */
	struct super *sb; /* [I] owned; null for what is in none */
	struct dentry *dentry; /* [attr_lock] owned, or null */
	u32 mask; /* [attr_lock] */
	int wd; /* [I] once linked */
	bool linked; /* [attr_lock] */
};

/* An event that waits; arena memory. */
struct event {
	struct list link;
	int wd;
	u32 mask, cookie;
	u32 name_len;
	char name[]; /* NUL-terminated */
};

SLAB_CLASS(inotify, struct inotify);
SLAB_CLASS(watch, struct watch);

DECLARE_OPS(struct file_ops, inotify_file_ops);

/* ---- the queue ---- */

static size_t event_bytes(u32 name_len)
{
	return sizeof(struct event) + name_len + 1;
}

/* The size of an event as the guest reads it. */
static size_t event_size(const struct event *e)
{
	size_t name = e->name_len ? align_up(e->name_len + 1UL, EVENT_ALIGN) : 0;

	return sizeof(struct inotify_event) + name;
}

static void event_free(struct inotify *in, struct event *e)
{
	atomic_fetch_sub(&in->user->inotify_bytes, (u32)event_bytes(e->name_len));
	arena_free(e);
}

static struct event *event_create(struct inotify *in, int wd, u32 mask, u32 cookie,
				  const char *name)
{
	u32 len = name ? (u32)strnlen(name, NAME_MAX_GUEST) : 0, size = (u32)event_bytes(len);
	struct event *e = NULL;

	if (atomic_fetch_add(&in->user->inotify_bytes, size) + size <= INOTIFY_MAX_BYTES)
		e = arena_alloc(size);
	if (!e) {
		atomic_fetch_sub(&in->user->inotify_bytes, size);
		return NULL;
	}
	e->wd = wd;
	e->mask = mask;
	e->cookie = cookie;
	e->name_len = len;
	if (len)
		memcpy(e->name, name, len);
	return e;
}

static bool same_as_last(const struct inotify *in, int wd, u32 mask, const char *name)
	REQUIRES(lc_ipc)
{
	const struct event *e;

	if (list_empty(&in->events) || mask & IN_IGNORED)
		return false;
	e = list_last(&in->events, struct event, link);
	return e->wd == wd && e->mask == mask && strcmp(e->name, name ? name : "") == 0;
}

static void queue_locked(struct inotify *in, int wd, u32 mask, u32 cookie, const char *name)
	REQUIRES(lc_ipc)
{
	struct event *e = NULL;

	if (in->closed || same_as_last(in, wd, mask, name))
		return;
	if (in->event_count < in->users->inotify_max_events)
		e = event_create(in, wd, mask, cookie, name);
	if (!e) {
		if (in->overflow)
			return;
		/* Not charged by chance only: one a queue. */
		e = arena_alloc(event_bytes(0));
		if (!e)
			return;
		atomic_fetch_add(&in->user->inotify_bytes, (u32)event_bytes(0));
		e->wd = -1;
		e->mask = IN_Q_OVERFLOW;
		in->overflow = true;
	}
	list_add_tail(&in->events, &e->link);
	in->event_count++;
	waitq_wake(&in->waitq, EPOLLIN | EPOLLRDNORM);
}

static void inotify_put(struct inotify *in)
{
	if (!refcount_put(&in->refs))
		return;
	user_usage_put(in->users, in->user);
	slab_free(&slab_inotify, in);
}

/* ---- watches ---- */

/* Let its super know w, or forget it. */
static void watch_list(struct watch *w, bool add)
{
	struct super *sb = w->sb;

	if (!sb)
		return;
	spin_lock(&sb->dcache.lock, &lc_dcache);
	list_del(&w->sb_link);
	if (add)
		list_add(&sb->watched, &w->sb_link);
	spin_unlock(&sb->dcache.lock, &lc_dcache);
}

static void watch_put(struct watch *w)
{
	if (!refcount_put(&w->refs))
		return;
	watch_list(w, false);
	dentry_put(w->dentry);
	inode_put(w->inode);
	if (w->sb)
		super_put(w->sb);
	atomic_fetch_sub(&w->in->user->inotify_watches, 1);
	inotify_put(w->in);
	slab_free(&slab_watch, w);
}

/* Take w, which is linked, out of its inode and instance; its reference passes to the caller, by
 * way of the list freed. */
static void watch_unlink(struct watch *w, struct list *freed) REQUIRES(lc_inode_attr)
{
	struct inotify *in = w->in;

	w->linked = false;
	list_del(&w->link);
	list_add_tail(freed, &w->link);
	if (w->sb)
		atomic_fetch_sub(&w->sb->watches, 1);
	spin_lock(&in->lock, &lc_ipc);
	rb_erase(&in->watches, &w->node, NULL);
	queue_locked(in, w->wd, IN_IGNORED, 0, NULL);
	spin_unlock(&in->lock, &lc_ipc);
}

static void watches_put(struct list *freed)
{
	struct watch *w, *next;

	list_for_each_safe(w, next, freed, link) {
		list_del(&w->link);
		watch_put(w);
	}
}

/* False if it has been removed by others. */
static bool watch_remove(struct watch *w)
{
	struct list freed;
	bool linked;

	list_init(&freed);
	spin_lock(&w->inode->attr_lock, &lc_inode_attr);
	linked = w->linked;
	if (linked)
		watch_unlink(w, &freed);
	spin_unlock(&w->inode->attr_lock, &lc_inode_attr);
	watches_put(&freed);
	return linked;
}

static struct watch *watch_find(struct inotify *in, int wd) REQUIRES(lc_ipc)
{
	struct rb_node *n = in->watches.node;

	while (n) {
		struct watch *w = rb_entry(n, struct watch, node);

		if (wd == w->wd)
			return w;
		n = wd < w->wd ? n->left : n->right;
	}
	return NULL;
}

/* Give w a number that no watch of in has. */
static void watch_number(struct inotify *in, struct watch *w) REQUIRES(lc_ipc)
{
	struct rb_node **link = &in->watches.node, *parent = NULL;

	do {
		w->wd = in->next_wd;
		in->next_wd = w->wd == INT_MAX ? 1 : w->wd + 1;
	} while (watch_find(in, w->wd));
	while (*link) {
		parent = *link;
		link = w->wd < rb_entry(parent, struct watch, node)->wd ? &parent->left :
									  &parent->right;
	}
	rb_link(&w->node, parent, link);
	rb_insert(&in->watches, &w->node, NULL);
}

/* ---- delivery ---- */

static void deliver(struct inode *i, u32 event, u32 cookie, const char *name, bool deleted)
{
	struct watch *w, *next;
	struct list freed;

	list_init(&freed);
	spin_lock(&i->attr_lock, &lc_inode_attr);
	list_for_each_safe(w, next, &i->watches, link) {
		if (!(w->mask & event & IN_ALL_EVENTS) || (deleted && w->mask & IN_EXCL_UNLINK))
			continue;
		spin_lock(&w->in->lock, &lc_ipc);
		queue_locked(w->in, w->wd, event, cookie, name);
		spin_unlock(&w->in->lock, &lc_ipc);
		if (w->mask & IN_ONESHOT)
			watch_unlink(w, &freed);
	}
	spin_unlock(&i->attr_lock, &lc_inode_attr);
	watches_put(&freed);
}

/* Without the lock: a watch that is added meanwhile was added later. */
__attribute__((no_sanitize("thread"))) static bool is_watched(const struct inode *i)
{
	return i->watches.next != &i->watches;
}

static u32 dir_bit(const struct inode *i)
{
	return S_ISDIR(i->mode) ? IN_ISDIR : 0;
}

void notify_inode_now(struct inode *i, u32 event)
{
	/* What happens to the watched directory as such is told without IN_ISDIR. */
	if (!(event & (IN_DELETE_SELF | IN_MOVE_SELF)))
		event |= dir_bit(i);
	if (is_watched(i))
		deliver(i, event, 0, NULL, false);
}

void notify_dentry_now(struct dentry *d, u32 event)
{
	struct dentry *parent = NULL;
	char name[NAME_MAX_GUEST + 1];

	if (event & CHILD_EVENTS)
		parent = dentry_parent_name(d, name);
	if (parent && is_watched(parent->inode))
		deliver(parent->inode, event | dir_bit(d->inode), 0, name, d->dead);
	dentry_put(parent);
	if (is_watched(d->inode))
		deliver(d->inode, event | dir_bit(d->inode), 0, NULL, d->dead);
}

void notify_name_now(struct inode *dir, u32 event, const char *name, struct inode *inode)
{
	if (is_watched(dir))
		deliver(dir, event | dir_bit(inode), 0, name, false);
}

void notify_move(struct inode *old_dir, const char *old_name, struct inode *new_dir,
		 const char *new_name, struct inode *inode, struct inode *target)
{
	struct super *sb = inode->sb;
	u32 cookie;

	if (!notify_wanted(inode))
		return;
	/* Two supers' cookies differ, mostly. */
	cookie = atomic_fetch_add(&sb->next_cookie, 1) << 6 | (sb->dev & 63);
	cookie = cookie ? cookie : 1;
	if (is_watched(old_dir))
		deliver(old_dir, IN_MOVED_FROM | dir_bit(inode), cookie, old_name, false);
	if (is_watched(new_dir))
		deliver(new_dir, IN_MOVED_TO | dir_bit(inode), cookie, new_name, false);
	if (target)
		notify_inode_now(target, IN_ATTRIB);
	notify_inode_now(inode, IN_MOVE_SELF);
}

void notify_change(struct dentry *d, const struct iattr *attr)
{
	const u32 times = attr->valid & (ATTR_ATIME | ATTR_MTIME);

	if (!notify_wanted(d->inode))
		return;
	if (attr->valid & ATTR_SIZE)
		notify_dentry_now(d, IN_MODIFY);
	if (attr->valid & (ATTR_MODE | ATTR_UID | ATTR_GID) || times == (ATTR_ATIME | ATTR_MTIME))
		notify_dentry_now(d, IN_ATTRIB);
	else if (times == ATTR_ATIME)
		notify_dentry_now(d, IN_ACCESS);
	else if (times == ATTR_MTIME)
		notify_dentry_now(d, IN_MODIFY);
}

void notify_open(struct file *f)
{
	f->opened = true;
	notify_dentry(f->path.dentry, IN_OPEN);
}

void notify_close(struct file *f)
{
	if (f->opened)
		notify_dentry(f->path.dentry, f->writable ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
}

void notify_unpin(struct dentry *d)
{
	struct inode *i = d->inode;
	u32 count = 0;
	struct watch *w;

	if (!i || !i->sb || !atomic_load(&i->sb->watches))
		return;
	spin_lock(&i->attr_lock, &lc_inode_attr);
	list_for_each(w, &i->watches, link) {
		if (w->dentry == d) {
			w->dentry = NULL;
			count++;
		}
	}
	spin_unlock(&i->attr_lock, &lc_inode_attr);
	/* The caller has a reference: none of these is the last. */
	while (count--)
		dentry_put(d);
}

void notify_gone(struct inode *i)
{
	struct watch *w, *next;
	struct list freed;

	if (!is_watched(i) || (i->nlink && !S_ISDIR(i->mode)))
		return;
	list_init(&freed);
	notify_inode_now(i, IN_DELETE_SELF);
	spin_lock(&i->attr_lock, &lc_inode_attr);
	list_for_each_safe(w, next, &i->watches, link)
		watch_unlink(w, &freed);
	spin_unlock(&i->attr_lock, &lc_inode_attr);
	watches_put(&freed);
}

/* Take a watch off sb's list, with a reference; null: there is none left. */
static struct watch *watch_of_super(struct super *sb)
{
	struct watch *w = NULL;

	spin_lock(&sb->dcache.lock, &lc_dcache);
	while (!w && !list_empty(&sb->watched)) {
		w = list_first(&sb->watched, struct watch, sb_link);
		list_del(&w->sb_link);
		if (!refcount_get_unless_zero(&w->refs))
			w = NULL; /* about to go */
	}
	spin_unlock(&sb->dcache.lock, &lc_dcache);
	return w;
}

void notify_unmount(struct super *sb)
{
	struct list freed;
	struct watch *w;

	while ((w = watch_of_super(sb))) {
		list_init(&freed);
		spin_lock(&w->inode->attr_lock, &lc_inode_attr);
		if (w->linked) {
			spin_lock(&w->in->lock, &lc_ipc);
			queue_locked(w->in, w->wd, IN_UNMOUNT | dir_bit(w->inode), 0, NULL);
			spin_unlock(&w->in->lock, &lc_ipc);
			watch_unlink(w, &freed);
		}
		spin_unlock(&w->inode->attr_lock, &lc_inode_attr);
		watches_put(&freed);
		watch_put(w);
	}
}

/* ---- adding and removing ---- */

static struct watch *watch_create(struct inotify *in, const struct path *p, u32 mask, int *ret_err)
{
	struct watch *w;

	*ret_err = -ENOSPC;
	if (atomic_fetch_add(&in->user->inotify_watches, 1) >= in->users->inotify_max_watches)
		goto fail;
	*ret_err = -ENOMEM;
	w = slab_alloc(&slab_watch);
	if (!w)
		goto fail;
	refcount_init(&w->refs, 1);
	list_init(&w->sb_link);
	refcount_get(&in->refs);
	w->in = in;
	w->inode = p->dentry->inode;
	inode_get(w->inode);
	w->dentry = p->dentry;
	dentry_get(w->dentry);
	w->sb = w->inode->sb;
	if (w->sb)
		super_get(w->sb);
	w->mask = mask & (IN_ALL_EVENTS | WATCH_FLAGS);
	watch_list(w, true);
	return w;
fail:
	atomic_fetch_sub(&in->user->inotify_watches, 1);
	return NULL;
}

/* in's watch of i, if there is one. */
static struct watch *watch_of_inode(struct inotify *in, struct inode *i) REQUIRES(lc_inode_attr)
{
	struct watch *w;

	list_for_each(w, &i->watches, link)
		if (w->in == in)
			return w;
	return NULL;
}

static int watch_change(struct watch *w, u32 mask) REQUIRES(lc_inode_attr)
{
	u32 new = mask &(IN_ALL_EVENTS | WATCH_FLAGS);

	if (mask & IN_MASK_CREATE)
		return -EEXIST;
	w->mask = mask & IN_MASK_ADD ? w->mask | new : new;
	return w->wd;
}

int inotify_add_watch_path(struct file *f, const struct path *p, u32 mask)
{
	struct inode *i = p->dentry->inode;
	struct inotify *in = f->private;
	struct watch *w, *new = NULL;
	bool unpinned = false;
	int ret;

	for (;;) {
		spin_lock(&i->attr_lock, &lc_inode_attr);
		w = watch_of_inode(in, i);
		if (w) {
			ret = watch_change(w, mask);
		} else if (new) {
			new->linked = true;
			list_add_tail(&i->watches, &new->link);
			if (new->sb)
				atomic_fetch_add(&new->sb->watches, 1);
			/* Deleted meanwhile, and before notify_unpin looked at that count: nobody
			 * else would let the name go. */
			unpinned = p->dentry->dead;
			if (unpinned)
				new->dentry = NULL;
			spin_lock(&in->lock, &lc_ipc);
			watch_number(in, new);
			spin_unlock(&in->lock, &lc_ipc);
			ret = new->wd;
			w = new;
		}
		spin_unlock(&i->attr_lock, &lc_inode_attr);
		if (w)
			break;
		new = watch_create(in, p, mask, &ret);
		if (!new)
			return ret;
		list_init(&new->link);
	}
	/* Once it is linked, others who have the instance may have removed it already. */
	if (unpinned)
		dentry_put(p->dentry);
	if (new &&w != new)
		watch_put(new);
	return ret;
}

int inotify_remove_watch(struct file *f, int wd)
{
	struct inotify *in = f->private;
	struct watch *w;
	bool removed;

	spin_lock(&in->lock, &lc_ipc);
	w = watch_find(in, wd);
	if (w)
		refcount_get(&w->refs);
	spin_unlock(&in->lock, &lc_ipc);
	if (!w)
		return -EINVAL;
	removed = watch_remove(w);
	watch_put(w);
	return removed ? 0 : -EINVAL;
}

/* ---- the file ---- */

/* The next event, if it fits in room bytes: *ret_err -EINVAL if it does not. */
static struct event *event_take(struct inotify *in, u64 room, int *ret_err)
{
	struct event *e = NULL;

	*ret_err = 0;
	spin_lock(&in->lock, &lc_ipc);
	if (!list_empty(&in->events)) {
		e = list_first(&in->events, struct event, link);
		if (event_size(e) > room) {
			*ret_err = -EINVAL;
			e = NULL;
		} else {
			list_del(&e->link);
			in->event_count--;
			if (e->mask & IN_Q_OVERFLOW)
				in->overflow = false;
		}
	}
	spin_unlock(&in->lock, &lc_ipc);
	return e;
}

static int event_store(const struct event *e, struct uio *to)
{
	union {
		struct inotify_event head;
		char bytes[sizeof(struct inotify_event) + NAME_MAX_GUEST + 1 + EVENT_ALIGN];
	} out = {};
	size_t size = event_size(e);

	out.head.wd = e->wd;
	out.head.mask = e->mask;
	out.head.cookie = e->cookie;
	out.head.len = (u32)(size - sizeof(out.head));
	memcpy(out.bytes + sizeof(out.head), e->name, e->name_len);
	return uio_copy_to(to, out.bytes, size) == (ssize_t)size ? 0 : -EFAULT;
}

static bool has_events(struct inotify *in)
{
	bool ret;

	spin_lock(&in->lock, &lc_ipc);
	ret = !list_empty(&in->events);
	spin_unlock(&in->lock, &lc_ipc);
	return ret;
}

static ssize_t inotify_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	struct inotify *in = f->private;
	u64 start = to->left;
	int err;

	for (;;) {
		struct event *e = event_take(in, to->left, &err);

		if (e) {
			err = event_store(e, to);
			event_free(in, e);
			if (!err)
				continue;
		}
		/* Something was read, unless it went wrong in the middle. */
		if (err == -EFAULT)
			return err;
		if (to->left != start)
			return (ssize_t)(start - to->left);
		if (err)
			return err;
		if (f->flags & O_NONBLOCK)
			return -EAGAIN;
		err = waitq_wait(&in->waitq, EPOLLIN, NO_DEADLINE, has_events(in));
		if (err)
			return err;
	}
}

static u32 inotify_poll(struct file *f)
{
	return has_events(f->private) ? EPOLLIN | EPOLLRDNORM : 0;
}

static struct waitq *inotify_waitq(struct file *f)
{
	struct inotify *in = f->private;

	return &in->waitq;
}

static long inotify_ioctl(struct subject *s, struct file *f, u32 cmd, u64 arg)
{
	struct inotify *in = f->private;
	const struct event *e;
	int size = 0;

	if (cmd != FIONREAD)
		return -ENOTTY;
	spin_lock(&in->lock, &lc_ipc);
	list_for_each(e, &in->events, link)
		size += (int)event_size(e);
	spin_unlock(&in->lock, &lc_ipc);
	return copy_out(s, UADDR(arg), &size, sizeof(size));
}

/* The first watch, with a reference; null: none is left. */
static struct watch *watch_first(struct inotify *in)
{
	struct watch *w;

	spin_lock(&in->lock, &lc_ipc);
	w = rb_entry_safe(rb_first(&in->watches), struct watch, node);
	if (w)
		refcount_get(&w->refs);
	spin_unlock(&in->lock, &lc_ipc);
	return w;
}

bool inotify_drain(struct file *f)
{
	struct inotify *in = f->private;
	struct event *e, *next;
	bool any = false;

	spin_lock(&in->lock, &lc_ipc);
	list_for_each_safe(e, next, &in->events, link) {
		any |= (e->mask & (IN_ALL_EVENTS | IN_Q_OVERFLOW)) != 0;
		list_del(&e->link);
		event_free(in, e);
	}
	in->event_count = 0;
	in->overflow = false;
	spin_unlock(&in->lock, &lc_ipc);
	return any;
}

static void inotify_release(struct file *f)
{
	struct inotify *in = f->private;
	struct event *e, *next;
	struct watch *w;

	spin_lock(&in->lock, &lc_ipc);
	in->closed = true;
	spin_unlock(&in->lock, &lc_ipc);
	while ((w = watch_first(in))) {
		watch_remove(w);
		watch_put(w);
	}
	list_for_each_safe(e, next, &in->events, link) {
		list_del(&e->link);
		event_free(in, e);
	}
	atomic_fetch_sub(&in->user->inotify_instances, 1);
	inotify_put(in);
}

/* The watch after number wd, with a reference; null: that was the last. */
static struct watch *watch_after(struct inotify *in, int wd)
{
	struct rb_node *n;
	struct watch *w = NULL;

	spin_lock(&in->lock, &lc_ipc);
	for (n = in->watches.node; n;) {
		struct watch *at = rb_entry(n, struct watch, node);

		if (at->wd > wd)
			w = at;
		n = at->wd > wd ? n->left : n->right;
	}
	if (w)
		refcount_get(&w->refs);
	spin_unlock(&in->lock, &lc_ipc);
	return w;
}

static void inotify_show(struct file *f, struct strbuf *out)
{
	struct watch *w;
	int wd = 0;

	while ((w = watch_after(f->private, wd))) {
		wd = w->wd;
		strbuf_printf(out, "inotify wd:%x ino:%lx sdev:%lx mask:%x ignored_mask:0 \n",
			      (u32)wd, w->inode->ino, w->sb ? w->sb->dev : 0UL,
			      w->mask & IN_ALL_EVENTS);
		watch_put(w);
	}
}

DEFINE_OPS(struct file_ops, inotify_file_ops) = {
	.read = inotify_read,
	.poll = inotify_poll,
	.waitq = inotify_waitq,
	.ioctl = inotify_ioctl,
	.release = inotify_release,
	.show_fdinfo = inotify_show,
};

bool inotify_is(const struct file *f)
{
	return f->ops == OPS(inotify_file_ops);
}

int inotify_create_file(struct subject *s, struct user_table *users, struct user_usage *user,
			u32 flags, struct file **ret)
{
	struct inotify *in;
	int err = -EMFILE;

	if (atomic_fetch_add(&user->inotify_instances, 1) >= users->inotify_max_instances)
		goto fail;
	err = -ENOMEM;
	in = slab_alloc(&slab_inotify);
	if (!in)
		goto fail;
	refcount_init(&in->refs, 1);
	spin_init(&in->lock);
	list_init(&in->events);
	waitq_init(&in->waitq);
	in->next_wd = 1;
	in->users = users;
	in->user = user;
	err = file_create_anon(s, "anon_inode:inotify", OPS(inotify_file_ops), in, O_RDONLY | flags,
			       ret);
	if (!err)
		return 0;
	slab_free(&slab_inotify, in);
fail:
	atomic_fetch_sub(&user->inotify_instances, 1);
	return err;
}
