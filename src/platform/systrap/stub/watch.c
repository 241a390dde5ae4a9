/*
 * epoll_ctl that the kernel hears of with the next event. The kernel has lent an epoll that nobody
 * else can use, and which descriptors it watches; so what such a call returns is known, and when
 * the epoll changes cannot be seen.
 */

#include "platform/systrap/stub/quick.h"

#include <linux/eventpoll.h>

struct guest_event {
	u32 events;
	u64 data;
} __attribute__((packed));

static bool is_watched(const struct lane_watch *w, u32 fd)
{
	return w->fds[fd / 64] >> fd % 64 & 1;
}

/* It can be watched: it was, when the kernel last heard. */
static bool was_watched(const struct lane_watch *w, u32 fd)
{
	for (u32 i = 0; i < w->count; i++)
		if ((u32)w->calls[i].fd == fd && w->calls[i].op == EPOLL_CTL_DEL)
			return true;
	return false;
}

static bool may_take(const struct lane_watch *w, int op, u32 fd)
{
	switch (op) {
	case EPOLL_CTL_ADD:
		return !is_watched(w, fd) && was_watched(w, fd);
	case EPOLL_CTL_DEL:
	case EPOLL_CTL_MOD:
		return is_watched(w, fd);
	default:
		return false;
	}
}

bool watch_call(struct lane *lane, const greg_t *g)
{
	struct lane_watch *w = &lane->watch;
	int op = (int)g[REG_RSI];
	u32 fd = (u32)g[REG_RDX];
	u64 at = (u64)g[REG_R10];
	struct guest_event ev = {};

	if ((int)g[REG_RDI] != w->epfd || fd >= PF_WATCH_FDS || w->count >= PF_WATCH_CALLS ||
	    !may_take(w, op, fd))
		return false;
	if (op != EPOLL_CTL_DEL &&
	    (!in_guest(at, sizeof(ev)) || guest_copy(&ev, (const void *)at, sizeof(ev)) ||
	     ev.events & EPOLLEXCLUSIVE))
		return false;
	if (op == EPOLL_CTL_ADD)
		w->fds[fd / 64] |= 1UL << fd % 64;
	else if (op == EPOLL_CTL_DEL)
		w->fds[fd / 64] &= ~(1UL << fd % 64);
	w->calls[w->count++] = (struct pf_watch_call){ op, (int)fd, ev.events, 0, ev.data };
	lane->quick.done |= PF_QUICK_WATCH;
	return true;
}
