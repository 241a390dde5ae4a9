/* See watch.h. */

#include "kernel/watch.h"

#include "ipc/epoll.h"
#include "kernel/lifecycle.h"
#include "vfs/fdtable.h"
#include "vfs/vfs.h"

#define LEND_AFTER 4 /* calls in a row that concern one epoll, while no descriptor changes */

void watch_used(struct task *t, int epfd)
{
	struct task_watch *w = &t->watch;
	u64 generation = fdtable_generation(t->subject.files);

	if (w->epfd != epfd || w->files_generation != generation)
		*w = (struct task_watch){ .epfd = epfd, .files_generation = generation };
	w->lent = false;
	if (w->streak < LEND_AFTER)
		w->streak++;
}

/* ep, which is in no other table, is the one. */
static bool lend(struct task *t, struct file *ep)
{
	struct task_watch *w = &t->watch;
	struct pf_watch new = { .epfd = w->epfd };

	if (w->lent && w->epoll_generation == epoll_generation(ep))
		return true;
	w->epoll_generation = epoll_plain_items(ep, t->subject.files, new.fds, PF_WATCH_FDS);
	w->lent = !pf_watch_lend(t->subject.thread, &new);
	return w->lent;
}

bool watch_lend(struct task *t)
{
	struct fdtable *files = t->subject.files;
	struct file *ep;
	bool ret;

	if (likely(t->watch.streak < LEND_AFTER) || fdtable_users(files) != 1)
		return false;
	if (t->watch.files_generation != fdtable_generation(files)) {
		t->watch.streak = 0;
		return false;
	}
	ep = fd_get(files, t->watch.epfd, NULL);
	/* In this table, and held by us. */
	ret = ep && epoll_is_private(ep, 2) && lend(t, ep);
	file_put(ep);
	return ret;
}

void watch_take(struct task *t)
{
	UNINIT struct pf_watch_call calls[PF_WATCH_CALLS];
	struct task_watch *w = &t->watch;
	u32 count = pf_watch_take(t->subject.thread, calls);
	struct file *ep = fd_get(t->subject.files, w->epfd, NULL);

	/* If one failed the lane has not kept to what it was lent. */
	if (ep && !epoll_ctl_late(ep, t->subject.files, calls, count))
		w->epoll_generation = epoll_generation(ep);
	else
		w->lent = false;
	file_put(ep);
}
