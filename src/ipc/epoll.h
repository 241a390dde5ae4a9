#pragma once

/* epoll(7). */

#include "base/types.h"

struct file;
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
/* How many items may be ready now, counted up to most; 0 if ep is no epoll. */
int epoll_ready_count(struct file *ep, int most);
/* Wait until deadline (host monotonic ns; 0: do not wait) for at most max events (>= 1), into ret.
 * Returns how many, 0 at the deadline, or -EINVAL, -EINTR. */
[[nodiscard]] int epoll_wait_file(struct file *ep, struct epoll_event_k *ret, int max,
				  s64 deadline);
