#pragma once

/*
 * Reads of sockets that need not come to us. A program with one thread reads what its epoll_wait
 * has found to be readable. If nobody else has the socket, what that read will give is known when
 * epoll_wait returns, if it is little: then the platform is lent it (struct pf_reads), answers the
 * read, and tells with the next event, before which nothing else happens. Then it is taken off the
 * socket's queue. What is lent stays so while the task only writes; any other call of its own ends
 * it. A task that gets hold of the socket by pidfd_getfd ends it first.
 */

#include "kernel/task.h"

struct file;

/* epoll_wait of t, on its own fiber, has filled in t->reads.ready. */
void reads_waited(struct task *t);
/* Its own fiber has read ret bytes of a socket at fd. */
void reads_used(struct task *t, int fd, long ret);
/* Before guest code runs: may the platform answer reads? Own fiber. */
bool reads_lend(struct task *t);
/* After it, if so. done: the platform has; nr: the call that is to be made, or negative. */
void reads_back(struct task *t, bool done, int nr);
/* Another task has got hold of a file of t, and has interrupted it: wait until its reads count.
 * Parks. */
void reads_settle(struct task *t);
