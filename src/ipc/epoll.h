#pragma once

/* epoll(7). */

#include "base/types.h"

struct fdtable;
struct file;
struct pf_watch_call;
struct subject;

/* As struct epoll_event of x86-64. */
struct epoll_event_k {
	u32 events;
	u64 data;
} __attribute__((packed));

[[nodiscard]] int epoll_create_file(struct subject *s, struct file **ret);
/* epoll_ctl(2) on file f, known as fd. ev: null for EPOLL_CTL_DEL. -EINVAL if ep is no epoll or f
 * is ep. */
[[nodiscard]] int epoll_ctl_file(struct file *ep, int op, int fd, struct file *f,
				 const struct epoll_event_k *ev);
/*
 * For changes that are made late, all before anybody could see that (kernel/watch.h). Is ep an
 * epoll that only the holders of its file's refs references can use: no other epoll watches it?
 */
bool epoll_is_private(struct file *ep, u32 refs);
/* Changes whenever a descriptor is added or removed. */
u64 epoll_generation(struct file *ep);
/*
 * Which descriptors of files below max it watches, in a bitmap: of ordinary files, and not with
 * EPOLLEXCLUSIVE, so that EPOLL_CTL_MOD and DEL of them succeed, and ADD after that. Returns the
 * generation that this is true of.
 */
u64 epoll_plain_items(struct file *ep, struct fdtable *files, u64 *ret_fds, u32 max);
/*
 * Make count changes one after the other, whatever comes of them. An ADD that follows a DEL cannot
 * lack memory. Returns the first error.
 */
[[nodiscard]] int epoll_ctl_late(struct file *ep, struct fdtable *files,
				 const struct pf_watch_call *calls, u32 count);
/* How many items may be ready now, but if there are most of them no fewer than ep has in all; 0 if
 * ep is no epoll. */
int epoll_ready_count(struct file *ep, int most);
/* The first descriptors that an epoll_wait found readable. */
#define EPOLL_READABLE_MOST 16U
struct epoll_readable {
	u32 count;
	s32 fd[EPOLL_READABLE_MOST];
};
/* Wait until deadline (host monotonic ns; 0: do not wait) for at most max events (>= 1), into ret.
 * Returns how many, 0 at the deadline, or -EINVAL, -EINTR. ret_readable may be null. */
[[nodiscard]] int epoll_wait_file(struct file *ep, struct epoll_event_k *ret, int max, s64 deadline,
				  struct epoll_readable *ret_readable);
