#pragma once

/* What pipe.c and splice.c share. */

#include <sys/epoll.h>

#include "base/list.h"
#include "ipc/pipe.h"
#include "sched/lock_order.h"
#include "sched/waitq.h"
#include "vfs/vfs.h"

#define PIPE_READABLE (EPOLLIN | EPOLLRDNORM)
#define PIPE_WRITABLE (EPOLLOUT | EPOLLWRNORM)

struct pipe_page {
	char data[PAGE_SIZE];
};

struct pipe_buf {
	struct list link; /* [pipe] or the one who has taken it */
	u32 offset, size; /* what is in it */
	bool packet; /* O_DIRECT: read as a whole */
	struct pipe_page *page;
};

struct pipe {
	struct spin lock; /* class lc_ipc */
	struct list bufs; /* [lock] in order */
	u32 used, pages; /* [lock] buffers in use, and how many there may be */
	u32 reserved; /* [lock] room for that many is promised to splices */
	struct list spares; /* [lock] empty buffers kept */
	u32 spare_count; /* [lock] */
	u32 readers, writers; /* [lock] open ends */
	u32 reader_opens, writer_opens; /* [lock] opens ever: what a fifo's open waits for */
	bool polled; /* [lock] somebody polls: announce every change, not only those of the state */
	struct waitq waitq;
};

DECLARE_OPS(struct file_ops, pipe_file_ops);

/* True if no more buffers can be added. */
static inline bool pipe_full(const struct pipe *p) REQUIRES(lc_ipc)
{
	return p->used + p->reserved >= p->pages;
}

/* f's pipe, or null. */
static inline struct pipe *pipe_of(const struct file *f)
{
	return f->ops == OPS(pipe_file_ops) ? f->private : NULL;
}

/* Null when memory is short. */
struct pipe_buf *pipe_buf_create(void);
/* An empty buffer for a writer; null when memory is short. */
struct pipe_buf *pipe_take_spare(struct pipe *p);
/* Keep the first few of bufs as spares; the others are destroyed. */
void pipe_give_spares(struct pipe *p, struct list *bufs);

/* What one read takes from a pipe. */
struct pipe_take {
	struct list bufs; /* whole buffers, now ours */
	size_t whole; /* bytes in them that are wanted */
	u32 max_bufs; /* no more than that many, the part included */
	u32 count; /* taken */
	char *part; /* a page: copy of the start of the next one */
	u32 part_size;
	bool was_full;
};

/* Take up to size bytes. Returns false if there are none. */
bool pipe_take(struct pipe *p, size_t size, struct pipe_take *take) REQUIRES(lc_ipc);
/* Copy up to size bytes of what was taken, but for the first skip, to buf. Returns how many. */
size_t pipe_take_copy(const struct pipe_take *t, size_t skip, char *buf, size_t size);
/* Of what was taken, used bytes have gone; the rest is put back, buffers become spares. */
void pipe_take_finish(struct pipe *p, struct pipe_take *t, size_t used);
/* There is something to read, or will never be. */
bool pipe_readable(struct pipe *p);
/* There is room, or nobody to read it. */
bool pipe_writable(struct pipe *p);
