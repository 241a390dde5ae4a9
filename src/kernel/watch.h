#pragma once

/*
 * epoll_ctl that need not come to us at once. Programs with one thread change what they wait for
 * several times between any two other calls. While an epoll is in one descriptor table only, which
 * only one task has, and no other epoll watches it, nobody can tell when such a change is made; and
 * whether it succeeds depends on nothing but which descriptors the epoll watches. So the platform
 * is lent that (struct pf_watch): it answers the call, and tells with the next event, before which
 * nothing else happens. A task that gets hold of the epoll by pidfd_getfd interrupts its owner.
 */

#include "kernel/task.h"

/* t, on its own fiber, has changed the epoll at epfd by a call of its own. */
void watch_used(struct task *t, int epfd);
/* Before guest code runs: may the platform take such calls? Own fiber. */
bool watch_lend(struct task *t);
/* After it, if the platform says that it has. */
void watch_take(struct task *t);
