/*
 * epoll.
 *
 * An epoll holds items, one for each (file, descriptor) that it watches, in a tree, and a list of
 * those that may be ready. An item waits on its file's wait queue; a wake puts it on the ready
 * list, wakes a sleeper in epoll_wait, and goes on to the epolls that watch this one. epoll_wait
 * takes items off the ready list, asks their files what is ready now, and puts level-triggered ones
 * back.
 *
 * Locks. ep->lock (sleeping) protects the tree, and that an item lives; it is held while files are
 * polled. The ready lists have a short lock each, taken with a file's wait queue locked. An epoll
 * that watches another is not on that one's wait queue, but on its list of parents, which its ready
 * lock protects: a wake goes up from child to parent holding the child's ready lock. There are no
 * cycles (checked under the graph lock when an epoll is added to another), and at most
 * EPOLL_NEST_MAX levels.
 *
 * An item does not hold its file: the file's last put drops the items on it (epoll_release). An
 * item holds its epoll, so that this can find the way from the file's list of items (its short
 * lock) to the epoll's lock.
 */

#include "ipc/epoll.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>

#include "arena/slab.h"
#include "base/bitmap.h"
#include "base/rbtree.h"
#include "base/strbuf.h"
#include "ipc/root.h"
#include "platform/platform.h"
#include "sched/fiber.h"
#include "vfs/fdtable.h"
#include "vfs/vfs.h"

#define EPOLL_NEST_MAX 5
#define EPOLL_PRIVATE (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)
#define EPOLL_EXCLUSIVE_OK \
	(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)

struct epoll {
	struct refcount refs; /* its file, and each item */
	struct mutex lock; /* class lc_epoll */
	struct rb_root items; /* [lock] */
	_Atomic u64 generation; /* [lock to change] bumped when items come and go */
	struct spin ready_lock; /* class lc_ready */
	struct list ready; /* [ready_lock] items */
	struct list parents; /* [ready_lock] items of other epolls that watch this one */
	struct waitq waitq; /* sleepers in epoll_wait and poll */
	u64 visit; /* [lc_epoll_graph] the last walk that came here */
	int depth; /* [lc_epoll_graph] what it found */
};

struct epitem {
	struct waiter waiter; /* on the file's queue */
	struct rb_node node; /* [ep->lock] */
	struct list file_link; /* [file->lock] in file->epitems */
	struct list ready_link; /* [ep->ready_lock] */
	struct list parent_link; /* [child's ready_lock] if the file is an epoll */
	bool ready; /* [ep->ready_lock] on the ready list, or about to be looked at */
	struct epoll *ep; /* [I] owned */
	struct file *file; /* [I] not owned */
	struct epoll *child; /* [I] the file's epoll, or null */
	int fd; /* [I] */
	_Atomic u32 events; /* [ep->lock to change] 0 but private bits: disabled by EPOLLONESHOT */
	u64 data; /* [ep->lock] */
};

SLAB_CLASS(epoll, struct epoll);
SLAB_CLASS(epitem, struct epitem);

DECLARE_OPS(struct file_ops, epoll_file_ops);

static struct epoll *epoll_of(const struct file *f)
{
	return f->ops == OPS(epoll_file_ops) ? f->private : NULL;
}

static void epoll_put(struct epoll *ep)
{
	if (refcount_put(&ep->refs))
		slab_free(&slab_epoll, ep);
}

/* ---- wakes ---- */

static void epoll_wake_up(struct epoll *ep) REQUIRES(lc_ready);

/* Mark item ready. Item's epoll's ready lock held. */
static void item_mark(struct epitem *item) REQUIRES(lc_ready)
{
	if (item->ready)
		return;
	item->ready = true;
	list_add_tail(&item->ep->ready, &item->ready_link);
}

/*
 * Tell ep's sleepers and parents that it became ready, or anew: those above may watch for edges.
 * Goes all ways up, at most EPOLL_NEST_MAX levels, in a graph without cycles; graph_check keeps
 * their number small.
 */
static void epoll_wake_up(struct epoll *ep) NO_THREAD_SAFETY_ANALYSIS
{
	struct epitem *item;

	waitq_wake(&ep->waitq, EPOLLIN | EPOLLRDNORM);
	list_for_each(item, &ep->parents, parent_link) {
		struct epoll *parent = item->ep;

		if (!(atomic_load_explicit(&item->events, memory_order_relaxed) & EPOLLIN))
			continue;
		spin_lock(&parent->ready_lock, &lc_ready);
		item_mark(item);
		epoll_wake_up(parent);
		spin_unlock(&parent->ready_lock, &lc_ready);
	}
}

/* The file announces events. Its wait queue is locked. */
static bool item_wake(struct waiter *w, u32 events)
{
	struct epitem *item = container_of(w, struct epitem, waiter);
	struct epoll *ep = item->ep;

	if (!(atomic_load_explicit(&item->events, memory_order_relaxed) & events))
		return false;
	spin_lock(&ep->ready_lock, &lc_ready);
	item_mark(item);
	epoll_wake_up(ep);
	spin_unlock(&ep->ready_lock, &lc_ready);
	return true;
}

DEFINE_OPS(struct waiter_ops, epitem_waiter_ops) = {
	.wake = item_wake,
};

/* ---- items ---- */

static int item_compare(const struct epitem *item, const struct file *f, int fd)
{
	if (item->file != f)
		return (uintptr_t)f < (uintptr_t)item->file ? -1 : 1;
	return fd < item->fd ? -1 : fd > item->fd;
}

static struct epitem *item_find(struct epoll *ep, const struct file *f, int fd) REQUIRES(lc_epoll)
{
	struct rb_node *n = ep->items.node;

	while (n) {
		struct epitem *item = rb_entry(n, struct epitem, node);
		int cmp = item_compare(item, f, fd);

		if (!cmp)
			return item;
		n = cmp < 0 ? n->left : n->right;
	}
	return NULL;
}

static void item_insert(struct epoll *ep, struct epitem *item) REQUIRES(lc_epoll)
{
	struct rb_node **link = &ep->items.node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = item_compare(rb_entry(parent, struct epitem, node), item->file, item->fd) <
				       0 ?
			       &parent->left :
			       &parent->right;
	}
	rb_link(&item->node, parent, link);
	rb_insert(&ep->items, &item->node, NULL);
	atomic_fetch_add_explicit(&ep->generation, 1, memory_order_relaxed);
}

static u32 item_poll(const struct epitem *item)
{
	return file_poll(item->file) & atomic_load_explicit(&item->events, memory_order_relaxed);
}

/* Start to hear of the file's events. */
static void item_attach(struct epitem *item)
{
	struct file *f = item->file;
	struct waitq *q = NULL;

	if (item->child) {
		spin_lock(&item->child->ready_lock, &lc_ready);
		list_add_tail(&item->child->parents, &item->parent_link);
		spin_unlock(&item->child->ready_lock, &lc_ready);
	} else if (f->ops->waitq) {
		q = f->ops->waitq(f);
	}
	if (q && item->events & EPOLLEXCLUSIVE)
		waitq_add_exclusive(q, &item->waiter, ~0U);
	else if (q)
		waitq_add(q, &item->waiter, ~0U);
	spin_lock(&f->lock, &lc_file);
	list_add_tail(&f->epitems, &item->file_link);
	spin_unlock(&f->lock, &lc_file);
}

/* Unlink item from everything. */
static void item_detach(struct epoll *ep, struct epitem *item) REQUIRES(lc_epoll)
{
	spin_lock(&item->file->lock, &lc_file);
	list_del(&item->file_link);
	spin_unlock(&item->file->lock, &lc_file);
	waitq_remove(&item->waiter);
	if (item->child) {
		spin_lock(&item->child->ready_lock, &lc_ready);
		list_del(&item->parent_link);
		spin_unlock(&item->child->ready_lock, &lc_ready);
	}
	spin_lock(&ep->ready_lock, &lc_ready);
	list_del(&item->ready_link);
	spin_unlock(&ep->ready_lock, &lc_ready);
	rb_erase(&ep->items, &item->node, NULL);
	atomic_fetch_add_explicit(&ep->generation, 1, memory_order_relaxed);
}

/* Unlink item and free it, or with spares keep it there. */
static void item_destroy(struct epoll *ep, struct epitem *item, struct list *spares)
	REQUIRES(lc_epoll)
{
	item_detach(ep, item);
	if (spares)
		list_add(spares, &item->ready_link);
	else
		slab_free(&slab_epitem, item);
	epoll_put(ep);
}

static struct epitem *item_create(struct list *spares)
{
	struct epitem *item;

	if (!spares || list_empty(spares))
		return slab_alloc(&slab_epitem);
	item = list_first(spares, struct epitem, ready_link);
	list_del(&item->ready_link);
	memset(item, 0, sizeof(*item));
	return item;
}

/* If the file is ready now, so is item. */
static void item_check(struct epoll *ep, struct epitem *item) REQUIRES(lc_epoll)
{
	if (!item_poll(item))
		return;
	spin_lock(&ep->ready_lock, &lc_ready);
	item_mark(item);
	epoll_wake_up(ep);
	spin_unlock(&ep->ready_lock, &lc_ready);
}

static int item_add(struct epoll *ep, int fd, struct file *f, const struct epoll_event_k *ev,
		    struct list *spares) REQUIRES(lc_epoll)
{
	struct epitem *item;

	if (item_find(ep, f, fd))
		return -EEXIST;
	item = item_create(spares);
	if (!item)
		return -ENOMEM;
	waiter_init(&item->waiter, OPS(epitem_waiter_ops));
	list_init(&item->file_link);
	list_init(&item->ready_link);
	list_init(&item->parent_link);
	refcount_get(&ep->refs);
	item->ep = ep;
	item->file = f;
	item->child = epoll_of(f);
	item->fd = fd;
	item->events = ev->events | EPOLLERR | EPOLLHUP;
	item->data = ev->data;
	item_insert(ep, item);
	item_attach(item);
	item_check(ep, item);
	return 0;
}

static int item_modify(struct epoll *ep, int fd, struct file *f, const struct epoll_event_k *ev)
	REQUIRES(lc_epoll)
{
	struct epitem *item = item_find(ep, f, fd);

	if (!item)
		return -ENOENT;
	if (ev->events & EPOLLEXCLUSIVE || item->events & EPOLLEXCLUSIVE)
		return -EINVAL;
	item->data = ev->data;
	item->events = ev->events | EPOLLERR | EPOLLHUP;
	item_check(ep, item);
	return 0;
}

static void item_remove(struct epoll *ep, int fd, struct file *f)
{
	struct epitem *item;

	mutex_lock(&ep->lock, &lc_epoll);
	item = item_find(ep, f, fd);
	if (item)
		item_destroy(ep, item, NULL);
	mutex_unlock(&ep->lock, &lc_epoll);
}

/* ---- the graph of epolls ---- */

/*
 * Levels of epolls below ep, itself included; -ELOOP if target is among them, or there are too
 * many. The graph lock keeps edges from being added; those removed meanwhile do no harm.
 */
static int graph_depth(struct epoll *ep, const struct epoll *target, u64 visit, int level)
{
	struct rb_node *n;
	int depth = 0;

	if (ep == target || level > EPOLL_NEST_MAX)
		return -ELOOP;
	if (ep->visit == visit)
		return ep->depth;
	mutex_lock(&ep->lock, &lc_epoll);
	for (n = rb_first(&ep->items); n; n = rb_next(n)) {
		struct epitem *item = rb_entry(n, struct epitem, node);
		int below;

		if (!item->child)
			continue;
		below = graph_depth(item->child, target, visit, level + 1);
		if (below < 0) {
			depth = below;
			break;
		}
		depth = max(depth, below);
	}
	mutex_unlock(&ep->lock, &lc_epoll);
	if (depth < 0)
		return depth;
	ep->visit = visit;
	ep->depth = depth + 1;
	return depth + 1;
}

/* Levels of epolls above ep. */
static int graph_height(struct epoll *ep, int level) NO_THREAD_SAFETY_ANALYSIS
{
	struct epitem *item;
	int height = 0;

	if (level > EPOLL_NEST_MAX)
		return level;
	spin_lock(&ep->ready_lock, &lc_ready);
	list_for_each(item, &ep->parents, parent_link) {
		height = max(height, 1 + graph_height(item->ep, level + 1));
		if (height > EPOLL_NEST_MAX)
			break;
	}
	spin_unlock(&ep->ready_lock, &lc_ready);
	return height;
}

/* How many ways up of each length (from 2 epolls on) there may be, as in Linux. */
static const u32 g_path_limits[EPOLL_NEST_MAX] = { 0, 500, 100, 50, 10 };

/* Count ep's ways up to epolls that none watches. ep is at the given level of a way. */
static int count_paths(struct epoll *ep, int level, u32 counts[EPOLL_NEST_MAX])
	NO_THREAD_SAFETY_ANALYSIS
{
	struct epitem *item;
	int err = 0;

	if (level >= EPOLL_NEST_MAX)
		return -EINVAL;
	spin_lock(&ep->ready_lock, &lc_ready);
	if (level && list_empty(&ep->parents) && ++counts[level] > g_path_limits[level])
		err = -EINVAL;
	list_for_each(item, &ep->parents, parent_link) {
		if (err)
			break;
		err = count_paths(item->ep, level + 1, counts);
	}
	spin_unlock(&ep->ready_lock, &lc_ready);
	return err;
}

/* Are there few enough ways up from ep and from all epolls below it? */
static int graph_check(struct epoll *ep, u64 visit)
{
	u32 counts[EPOLL_NEST_MAX] = {};
	struct rb_node *n;
	int err;

	if (ep->visit == visit)
		return 0;
	ep->visit = visit;
	err = count_paths(ep, 0, counts);
	mutex_lock(&ep->lock, &lc_epoll);
	for (n = rb_first(&ep->items); n && !err; n = rb_next(n)) {
		struct epitem *item = rb_entry(n, struct epitem, node);

		if (item->child)
			err = graph_check(item->child, visit);
	}
	mutex_unlock(&ep->lock, &lc_epoll);
	return err;
}

/* Add one epoll to another. */
static int epoll_add_epoll(struct epoll *ep, int fd, struct file *f, const struct epoll_event_k *ev)
{
	struct ipc_root *root = ipc_root();
	int depth, ret;

	if (!root)
		return -ENOMEM;
	mutex_lock(&root->epoll_graph, &lc_epoll_graph);
	depth = graph_depth(epoll_of(f), ep, ++root->epoll_visit, 1);
	if (depth < 0 || depth + graph_height(ep, 1) >= EPOLL_NEST_MAX) {
		ret = -ELOOP;
	} else {
		mutex_lock(&ep->lock, &lc_epoll);
		ret = item_add(ep, fd, f, ev, NULL);
		mutex_unlock(&ep->lock, &lc_epoll);
		if (!ret) {
			ret = graph_check(epoll_of(f), ++root->epoll_visit);
			if (ret)
				item_remove(ep, fd, f);
		}
	}
	mutex_unlock(&root->epoll_graph, &lc_epoll_graph);
	return ret;
}

static int epoll_ctl_common(struct file *epf, int op, int fd, struct file *f,
			    const struct epoll_event_k *ev, struct list *spares)
{
	struct epoll *ep = epoll_of(epf);
	struct epitem *item;
	int ret = 0;

	if (!f->ops->poll)
		return -EPERM;
	if (!ep || f == epf)
		return -EINVAL;
	if (op != EPOLL_CTL_DEL && ev->events & EPOLLEXCLUSIVE &&
	    (op == EPOLL_CTL_MOD || epoll_of(f) || ev->events & ~EPOLL_EXCLUSIVE_OK))
		return -EINVAL;
	if (op == EPOLL_CTL_ADD && epoll_of(f))
		return epoll_add_epoll(ep, fd, f, ev);
	mutex_lock(&ep->lock, &lc_epoll);
	switch (op) {
	case EPOLL_CTL_ADD:
		ret = item_add(ep, fd, f, ev, spares);
		break;
	case EPOLL_CTL_MOD:
		ret = item_modify(ep, fd, f, ev);
		break;
	case EPOLL_CTL_DEL:
		item = item_find(ep, f, fd);
		if (item)
			item_destroy(ep, item, spares);
		else
			ret = -ENOENT;
		break;
	default:
		ret = -EINVAL;
	}
	mutex_unlock(&ep->lock, &lc_epoll);
	return ret;
}

int epoll_ctl_file(struct file *epf, int op, int fd, struct file *f, const struct epoll_event_k *ev)
{
	return epoll_ctl_common(epf, op, fd, f, ev, NULL);
}

/* ---- changes that come late (kernel/watch.c) ---- */

bool epoll_is_private(struct file *epf, u32 refs)
{
	struct epoll *ep = epoll_of(epf);
	bool ret;

	if (!ep || refcount_read(&epf->refs) != refs)
		return false;
	spin_lock(&ep->ready_lock, &lc_ready);
	ret = list_empty(&ep->parents);
	spin_unlock(&ep->ready_lock, &lc_ready);
	return ret;
}

u64 epoll_generation(struct file *epf)
{
	struct epoll *ep = epoll_of(epf);

	return ep ? atomic_load_explicit(&ep->generation, memory_order_relaxed) : 0;
}

u64 epoll_plain_items(struct file *epf, struct fdtable *files, u64 *ret_fds, u32 max)
{
	struct epoll *ep = epoll_of(epf);
	struct rb_node *n;
	u64 generation;

	memset(ret_fds, 0, BITMAP_WORDS(max) * sizeof(u64));
	if (!ep)
		return 0;
	mutex_lock(&ep->lock, &lc_epoll);
	for (n = rb_first(&ep->items); n; n = rb_next(n)) {
		struct epitem *item = rb_entry(n, struct epitem, node);

		if ((u32)item->fd < max && !item->child && !(item->events & EPOLLEXCLUSIVE) &&
		    fd_refers_to(files, item->fd, item->file))
			bitmap_set(ret_fds, (size_t)item->fd);
	}
	generation = epoll_generation(epf);
	mutex_unlock(&ep->lock, &lc_epoll);
	return generation;
}

int epoll_ctl_late(struct file *epf, struct fdtable *files, const struct pf_watch_call *calls,
		   u32 count)
{
	struct list spares;
	int ret = 0;

	list_init(&spares);
	for (u32 i = 0; i < count; i++) {
		const struct pf_watch_call *c = &calls[i];
		struct epoll_event_k ev = { .events = c->events, .data = c->data };
		struct file *f = fd_get(files, c->fd, NULL);
		int err = f ? epoll_ctl_common(epf, c->op, c->fd, f, &ev, &spares) : -EBADF;

		file_put(f);
		ret = ret ? ret : err;
	}
	while (!list_empty(&spares)) {
		struct epitem *item = list_first(&spares, struct epitem, ready_link);

		list_del(&item->ready_link);
		slab_free(&slab_epitem, item);
	}
	return ret;
}

/* ---- epoll_wait ---- */

static void ready_take_all(struct epoll *ep, struct list *list)
{
	spin_lock(&ep->ready_lock, &lc_ready);
	list_splice_tail(list, &ep->ready);
	spin_unlock(&ep->ready_lock, &lc_ready);
}

/* Take the next item off list, which came from ep's ready list; null at its end. */
static struct epitem *ready_pop(struct epoll *ep, struct list *list)
{
	struct epitem *item = NULL;

	spin_lock(&ep->ready_lock, &lc_ready);
	if (!list_empty(list)) {
		item = list_first(list, struct epitem, ready_link);
		list_del(&item->ready_link);
		item->ready = false;
	}
	spin_unlock(&ep->ready_lock, &lc_ready);
	return item;
}

/* Put what is left of list back in front of ep's ready list. */
static void ready_put_back(struct epoll *ep, struct list *list)
{
	spin_lock(&ep->ready_lock, &lc_ready);
	list_splice_tail(list, &ep->ready);
	list_splice_tail(&ep->ready, list);
	spin_unlock(&ep->ready_lock, &lc_ready);
}

static void ready_again(struct epoll *ep, struct epitem *item)
{
	spin_lock(&ep->ready_lock, &lc_ready);
	item_mark(item);
	spin_unlock(&ep->ready_lock, &lc_ready);
}

/* Gather at most max events. */
static int epoll_gather(struct epoll *ep, struct epoll_event_k *ret, int max,
			struct epoll_readable *readable) REQUIRES(lc_epoll)
{
	struct list list;
	struct epitem *item;
	int count = 0;

	list_init(&list);
	ready_take_all(ep, &list);
	while (count < max && (item = ready_pop(ep, &list))) {
		u32 events = item_poll(item);

		if (!events)
			continue;
		ret[count++] = (struct epoll_event_k){ .events = events, .data = item->data };
		if (readable && events & EPOLLIN && readable->count < EPOLL_READABLE_MOST)
			readable->fd[readable->count++] = item->fd;
		if (item->events & EPOLLONESHOT)
			item->events &= EPOLL_PRIVATE;
		else if (!(item->events & EPOLLET))
			ready_again(ep, item);
	}
	ready_put_back(ep, &list);
	return count;
}

static bool epoll_maybe_ready(struct epoll *ep)
{
	bool ret;

	spin_lock(&ep->ready_lock, &lc_ready);
	ret = !list_empty(&ep->ready);
	spin_unlock(&ep->ready_lock, &lc_ready);
	return ret;
}

/* As waitq_wait, but one sleeper is woken at a time. */
static int epoll_sleep(struct epoll *ep, s64 deadline)
{
	struct waiter w;
	int ret = 0;

	waiter_init_fiber(&w, fiber_current());
	waitq_add_exclusive(&ep->waitq, &w, EPOLLIN);
	while (!epoll_maybe_ready(ep) && !ret)
		ret = fiber_park_interruptible(deadline);
	waitq_remove(&w);
	return ret && !epoll_maybe_ready(ep) ? ret : 0;
}

int epoll_ready_count(struct file *epf, int most)
{
	struct epoll *ep = epoll_of(epf);
	struct epitem *item;
	int n = 0;

	if (!ep)
		return 0;
	spin_lock(&ep->ready_lock, &lc_ready);
	list_for_each(item, &ep->ready, ready_link)
		if (++n >= most)
			break;
	spin_unlock(&ep->ready_lock, &lc_ready);
	/* Each item has a reference. */
	return n < most ? n : (int)min(refcount_read(&ep->refs), (u32)INT32_MAX);
}

int epoll_wait_file(struct file *epf, struct epoll_event_k *events, int max, s64 deadline,
		    struct epoll_readable *ret_readable)
{
	struct epoll *ep = epoll_of(epf);
	int ret;

	if (ret_readable)
		ret_readable->count = 0;
	if (!ep)
		return -EINVAL;
	for (;;) {
		ret = 0;
		if (epoll_maybe_ready(ep)) {
			mutex_lock(&ep->lock, &lc_epoll);
			ret = epoll_gather(ep, events, max, ret_readable);
			mutex_unlock(&ep->lock, &lc_epoll);
		}
		/* What is still there is for the next sleeper. */
		if (ret && epoll_maybe_ready(ep))
			waitq_wake(&ep->waitq, EPOLLIN);
		if (ret || !deadline)
			return ret;
		ret = epoll_sleep(ep, deadline);
		if (ret == -ETIMEDOUT)
			return 0;
		if (ret)
			return ret;
	}
}

/* ---- the epoll's own file ---- */

/* Ready if an item is really: those found not to be are dropped from the list, if the lock is free.
 */
static u32 epoll_poll(struct file *f)
{
	struct epoll *ep = f->private;
	struct epitem *item;
	struct list list;
	bool found = false;

	if (!epoll_maybe_ready(ep))
		return 0;
	if (!mutex_trylock(&ep->lock, &lc_epoll))
		return EPOLLIN | EPOLLRDNORM;
	list_init(&list);
	ready_take_all(ep, &list);
	while (!found && (item = ready_pop(ep, &list))) {
		found = item_poll(item) != 0;
		if (found)
			ready_again(ep, item);
	}
	ready_put_back(ep, &list);
	mutex_unlock(&ep->lock, &lc_epoll);
	return found ? EPOLLIN | EPOLLRDNORM : 0;
}

static struct waitq *epoll_waitq(struct file *f)
{
	struct epoll *ep = f->private;

	return &ep->waitq;
}

static void epoll_file_release(struct file *f)
{
	struct epoll *ep = f->private;

	mutex_lock(&ep->lock, &lc_epoll);
	while (!rb_empty(&ep->items))
		item_destroy(ep, rb_entry(rb_first(&ep->items), struct epitem, node), NULL);
	mutex_unlock(&ep->lock, &lc_epoll);
	epoll_put(ep);
}

static void epoll_show(struct file *f, struct strbuf *out)
{
	struct epoll *ep = f->private;
	struct rb_node *n;

	mutex_lock(&ep->lock, &lc_epoll);
	for (n = rb_first(&ep->items); n; n = rb_next(n)) {
		struct epitem *item = rb_entry(n, struct epitem, node);

		strbuf_printf(out, "tfd: %8d events: %8x data: %16lx  pos:%ld ino:%lx sdev:%lx\n",
			      item->fd, item->events, item->data, item->file->pos,
			      item->file->inode->ino, 0UL);
	}
	mutex_unlock(&ep->lock, &lc_epoll);
}

DEFINE_OPS(struct file_ops, epoll_file_ops) = {
	.poll = epoll_poll,
	.waitq = epoll_waitq,
	.release = epoll_file_release,
	.show_fdinfo = epoll_show,
};

int epoll_create_file(struct subject *s, struct file **ret)
{
	struct epoll *ep = slab_alloc(&slab_epoll);
	int err;

	if (!ep)
		return -ENOMEM;
	refcount_init(&ep->refs, 1);
	mutex_init(&ep->lock);
	spin_init(&ep->ready_lock);
	list_init(&ep->ready);
	list_init(&ep->parents);
	waitq_init_inner(&ep->waitq);
	err = file_create_anon(s, "anon_inode:[eventpoll]", OPS(epoll_file_ops), ep, O_RDWR, ret);
	if (err)
		slab_free(&slab_epoll, ep);
	return err;
}

/* ---- the end of a watched file ---- */

/* An item on f, and its epoll with a reference; null: none is left. */
static struct epoll *file_first_epoll(struct file *f)
{
	struct epoll *ep = NULL;

	spin_lock(&f->lock, &lc_file);
	if (!list_empty(&f->epitems)) {
		ep = list_first(&f->epitems, struct epitem, file_link)->ep;
		refcount_get(&ep->refs);
	}
	spin_unlock(&f->lock, &lc_file);
	return ep;
}

/* An item of ep on f: ep->lock keeps it alive. */
static struct epitem *file_item_of(struct file *f, const struct epoll *ep) REQUIRES(lc_epoll)
{
	struct epitem *item;

	spin_lock(&f->lock, &lc_file);
	list_for_each(item, &f->epitems, file_link) {
		if (item->ep == ep) {
			spin_unlock(&f->lock, &lc_file);
			return item;
		}
	}
	spin_unlock(&f->lock, &lc_file);
	return NULL;
}

static void epoll_release(struct file *f)
{
	struct epoll *ep;
	struct epitem *item;

	while ((ep = file_first_epoll(f))) {
		mutex_lock(&ep->lock, &lc_epoll);
		while ((item = file_item_of(f, ep)))
			item_destroy(ep, item, NULL);
		mutex_unlock(&ep->lock, &lc_epoll);
		epoll_put(ep);
	}
}

DEFINE_OPS(struct file_hooks, epoll_file_hooks) = {
	.epoll_release = epoll_release,
};
