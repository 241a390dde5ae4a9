/*
 * Pipes and fifos.
 *
 * A pipe is a list of buffers of at most a page each, as in Linux, and so is its capacity counted:
 * in pages that are in use, not in bytes. A write of up to PIPE_BUF bytes goes into one buffer, and
 * so is atomic.
 *
 * Data are copied between buffers and guest memory only while the buffers belong to the copying
 * fiber alone: a writer fills a buffer and then adds it; a reader takes whole buffers off (or, of
 * the last one, copies what it wants to its stack) and puts back what its memory did not take. So
 * the lock is short and poll can take it.
 *
 * A pipe lives as long as one of its ends is open. The pipe of a fifo hangs on the inode meanwhile;
 * the inode's lock protects that, and the counts of ends.
 */

#include "ipc/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "arena/slab.h"
#include "ipc/pipe_internal.h"
#include "sched/fiber.h"
#include "vfs/vfs.h"

#define PIPE_PAGES 16U /* default capacity */
#define PIPE_PAGES_MAX 256U /* without CAP_SYS_RESOURCE */
#define PIPE_SPARES 2U

SLAB_CLASS(pipe, struct pipe);
SLAB_CLASS(pipe_buf, struct pipe_buf);
SLAB_CLASS(pipe_page, struct pipe_page);

/* ---- buffers ---- */

struct pipe_buf *pipe_buf_create(void)
{
	struct pipe_buf *b = slab_alloc(&slab_pipe_buf);

	if (!b)
		return NULL;
	list_init(&b->link);
	b->page = slab_alloc(&slab_pipe_page);
	if (!b->page) {
		slab_free(&slab_pipe_buf, b);
		return NULL;
	}
	return b;
}

static void buf_destroy(struct pipe_buf *b)
{
	slab_free(&slab_pipe_page, b->page);
	slab_free(&slab_pipe_buf, b);
}

static void bufs_destroy(struct list *bufs)
{
	while (!list_empty(bufs)) {
		struct pipe_buf *b = list_first(bufs, struct pipe_buf, link);

		list_del(&b->link);
		buf_destroy(b);
	}
}

struct pipe_buf *pipe_take_spare(struct pipe *p)
{
	struct pipe_buf *b = NULL;

	spin_lock(&p->lock, &lc_ipc);
	if (p->spare_count) {
		b = list_first(&p->spares, struct pipe_buf, link);
		list_del(&b->link);
		p->spare_count--;
	}
	spin_unlock(&p->lock, &lc_ipc);
	if (!b)
		return pipe_buf_create();
	b->offset = b->size = 0;
	b->packet = false;
	return b;
}

void pipe_give_spares(struct pipe *p, struct list *bufs)
{
	if (list_empty(bufs))
		return;
	spin_lock(&p->lock, &lc_ipc);
	while (!list_empty(bufs) && p->spare_count < PIPE_SPARES) {
		struct pipe_buf *b = list_first(bufs, struct pipe_buf, link);

		list_del(&b->link);
		list_add(&p->spares, &b->link);
		p->spare_count++;
	}
	spin_unlock(&p->lock, &lc_ipc);
	bufs_destroy(bufs);
}

static struct pipe *pipe_new(void)
{
	struct pipe *p = slab_alloc(&slab_pipe);

	if (!p)
		return NULL;
	spin_init(&p->lock);
	list_init(&p->bufs);
	list_init(&p->spares);
	waitq_init(&p->waitq);
	p->pages = PIPE_PAGES;
	return p;
}

static void pipe_destroy(struct pipe *p)
{
	bufs_destroy(&p->bufs);
	bufs_destroy(&p->spares);
	slab_free(&slab_pipe, p);
}

/* ---- reading ---- */

bool pipe_take(struct pipe *p, size_t size, struct pipe_take *take)
{
	take->was_full = pipe_full(p);
	while (!list_empty(&p->bufs) && take->count < take->max_bufs) {
		struct pipe_buf *b = list_first(&p->bufs, struct pipe_buf, link);

		if (b->size > size && !b->packet) {
			take->part_size = (u32)size;
			memcpy(take->part, b->page->data + b->offset, size);
			b->offset += (u32)size;
			b->size -= (u32)size;
			take->count++;
			return true;
		}
		if (take->whole && b->packet)
			return true;
		list_del(&b->link);
		p->used--;
		take->count++;
		list_add_tail(&take->bufs, &b->link);
		b->size = (u32)min((size_t)b->size, size);
		take->whole += b->size;
		size -= b->size;
		if (b->packet || !size)
			return true;
	}
	return take->whole > 0;
}

/* Put back, at the front, what was not used: whole buffers of take, then part (null: none). */
static void pipe_put_back(struct pipe *p, struct pipe_take *take, struct pipe_buf *part)
{
	struct pipe_buf *b;

	spin_lock(&p->lock, &lc_ipc);
	if (part) {
		list_add(&p->bufs, &part->link);
		p->used++;
	}
	while (!list_empty(&take->bufs)) {
		b = list_last(&take->bufs, struct pipe_buf, link);
		list_del(&b->link);
		list_add(&p->bufs, &b->link);
		p->used++;
	}
	spin_unlock(&p->lock, &lc_ipc);
	waitq_wake(&p->waitq, PIPE_READABLE);
}

size_t pipe_take_copy(const struct pipe_take *t, size_t skip, char *buf, size_t size)
{
	const struct pipe_buf *b;
	size_t done = 0;

	list_for_each(b, &t->bufs, link) {
		size_t n = b->size > skip ? min(b->size - skip, size - done) : 0;

		memcpy(buf + done, b->page->data + b->offset + skip, n);
		done += n;
		skip -= min(skip, (size_t)b->size);
	}
	if (t->part_size > skip && done < size) {
		size_t n = min(t->part_size - skip, size - done);

		memcpy(buf + done, t->part + skip, n);
		done += n;
	}
	return done;
}

void pipe_take_finish(struct pipe *p, struct pipe_take *t, size_t used)
{
	struct pipe_buf *b, *next, *part = NULL;
	struct list done;

	list_init(&done);
	list_for_each_safe(b, next, &t->bufs, link) {
		if (used < b->size) {
			b->offset += (u32)used;
			b->size -= (u32)used;
			used = 0;
			break;
		}
		used -= b->size;
		list_del(&b->link);
		list_add(&done, &b->link);
	}
	if (used < t->part_size) {
		part = pipe_buf_create();
		if (part) {
			part->size = t->part_size - (u32)used;
			memcpy(part->page->data, t->part + used, part->size);
		}
	}
	if (part || !list_empty(&t->bufs))
		pipe_put_back(p, t, part);
	pipe_give_spares(p, &done);
}

/* Copy what was taken to the reader: a page in place, more by way of one buffer, since each copy to
 * a guest costs a host call. */
static ssize_t pipe_copy_taken(struct pipe *p, struct pipe_take *take, struct uio *to)
{
	size_t all = take->whole + take->part_size, done = 0;
	bool one = take->count == 1 && !take->part_size;
	struct bounce b;
	ssize_t n = 0;

	bounce_init(&b, one ? 0 : all);
	while (done < all) {
		const struct pipe_buf *first = list_first(&take->bufs, struct pipe_buf, link);
		size_t got = all;

		if (one)
			n = uio_copy_to(to, first->page->data + first->offset, all);
		else
			n = uio_copy_to(to, b.buf, got = pipe_take_copy(take, done, b.buf, b.size));
		if (n <= 0)
			break;
		done += (size_t)n;
		if ((size_t)n < got)
			break;
	}
	bounce_fini(&b);
	pipe_take_finish(p, take, done);
	return done ? (ssize_t)done : n;
}

/* One attempt: bytes, 0 at the end of file, -EAGAIN if a writer may still come. */
static ssize_t pipe_read_once(struct pipe *p, struct uio *to)
{
	char part[PAGE_SIZE] __attribute__((uninitialized));
	struct pipe_take take = { .part = part, .max_bufs = UINT32_MAX };
	bool found, end, wake;
	ssize_t ret;

	list_init(&take.bufs);
	spin_lock(&p->lock, &lc_ipc);
	found = pipe_take(p, to->left, &take);
	end = !p->writers;
	wake = !pipe_full(p) && (take.was_full || p->polled);
	spin_unlock(&p->lock, &lc_ipc);
	if (!found)
		return end ? 0 : -EAGAIN;
	ret = pipe_copy_taken(p, &take, to);
	if (wake)
		waitq_wake(&p->waitq, PIPE_WRITABLE);
	return ret;
}

bool pipe_readable(struct pipe *p)
{
	bool ret;

	spin_lock(&p->lock, &lc_ipc);
	ret = p->used || !p->writers;
	spin_unlock(&p->lock, &lc_ipc);
	return ret;
}

static ssize_t pipe_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	struct pipe *p = f->private;
	ssize_t ret;

	if (!to->left)
		return 0;
	for (;;) {
		ret = pipe_read_once(p, to);
		if (ret != -EAGAIN || f->flags & O_NONBLOCK || to->nowait)
			break;
		ret = waitq_wait(&p->waitq, EPOLLIN | EPOLLHUP, NO_DEADLINE, pipe_readable(p));
		if (ret)
			break;
	}
	if (ret > 0)
		inode_touch(f->inode, TOUCH_ATIME);
	return ret;
}

/* ---- writing ---- */

/* Add b: to the last buffer if there is room in it, else as a new one, and b is null then. -EPIPE,
 * -EAGAIN (full). */
static int pipe_add(struct pipe *p, struct pipe_buf **b, bool *ret_wake)
{
	struct pipe_buf *new = *b, *last;
	int ret = 0;

	spin_lock(&p->lock, &lc_ipc);
	*ret_wake = !p->used || p->polled;
	last = list_last(&p->bufs, struct pipe_buf, link); /* if any is used */
	if (!p->readers) {
		ret = -EPIPE;
	} else if (p->used && !last->packet && !new->packet &&
		   last->offset + last->size + new->size <= PAGE_SIZE) {
		memcpy(last->page->data + last->offset + last->size, new->page->data, new->size);
		last->size += new->size;
	} else if (!pipe_full(p)) {
		list_add_tail(&p->bufs, &new->link);
		p->used++;
		*b = NULL;
	} else {
		ret = -EAGAIN;
	}
	spin_unlock(&p->lock, &lc_ipc);
	return ret;
}

bool pipe_writable(struct pipe *p)
{
	bool ret;

	spin_lock(&p->lock, &lc_ipc);
	ret = !pipe_full(p) || !p->readers;
	spin_unlock(&p->lock, &lc_ipc);
	return ret;
}

/* Write one buffer's worth from b, which is filled; waits for room unless nonblock. */
static int pipe_write_buf(struct pipe *p, struct pipe_buf **b, bool nonblock)
{
	bool wake;
	int ret;

	for (;;) {
		ret = pipe_add(p, b, &wake);
		if (ret != -EAGAIN || nonblock)
			break;
		ret = waitq_wait(&p->waitq, EPOLLOUT | EPOLLERR, NO_DEADLINE, pipe_writable(p));
		if (ret)
			break;
	}
	if (!ret && wake)
		waitq_wake(&p->waitq, PIPE_READABLE);
	return ret;
}

static bool pipe_broken(struct pipe *p)
{
	bool ret;

	spin_lock(&p->lock, &lc_ipc);
	ret = !p->readers;
	spin_unlock(&p->lock, &lc_ipc);
	return ret;
}

/* Write size bytes, each page a buffer. Returns how many; *ret_err: why not all. */
static size_t pipe_write_pages(struct pipe *p, const char *data, size_t size, bool packet,
			       bool nonblock, int *ret_err)
{
	struct pipe_buf *b = NULL;
	struct list spare;
	size_t done = 0;

	*ret_err = 0;
	while (done < size && !*ret_err) {
		if (!b)
			b = pipe_take_spare(p);
		if (!b) {
			*ret_err = -ENOMEM;
			break;
		}
		b->size = (u32)min(size - done, PAGE_SIZE);
		b->packet = packet;
		memcpy(b->page->data, data + done, b->size);
		done += b->size;
		*ret_err = pipe_write_buf(p, &b, nonblock);
		if (*ret_err)
			done -= b->size;
	}
	list_init(&spare);
	if (b)
		list_add(&spare, &b->link);
	pipe_give_spares(p, &spare);
	return done;
}

static ssize_t pipe_write(struct subject *s, struct file *f, struct uio *from, s64 *pos)
{
	bool nonblock = f->flags & O_NONBLOCK || from->nowait;
	struct pipe *p = f->private;
	ssize_t done = 0, n;
	struct bounce b;
	int err = 0;

	if (!from->left)
		return 0;
	if (pipe_broken(p))
		return -EPIPE;
	bounce_init(&b, from->left);
	/* What must not be torn fits, or nothing is written. */
	if (b.size < min(from->left, PAGE_SIZE))
		err = -ENOMEM;
	while (from->left && !err) {
		size_t want = (size_t)min(from->left, (u64)b.size);

		n = uio_copy_from(from, b.buf, want);
		if (n < 0) {
			err = (int)n;
			break;
		}
		/* A fault within a page leaves nothing of it, as in Linux. */
		done += (ssize_t)pipe_write_pages(p, b.buf,
						  (size_t)n < want ? (size_t)n & PAGE_MASK : want,
						  f->flags & O_DIRECT, nonblock, &err);
		if (!err && (size_t)n < want)
			err = -EFAULT;
	}
	bounce_fini(&b);
	if (done)
		inode_touch(f->inode, TOUCH_MTIME | TOUCH_CTIME);
	from->broken = err == -EPIPE;
	return done ? done : err;
}

/* ---- the rest of the file ops ---- */

static u32 pipe_poll(struct file *f)
{
	struct pipe *p = f->private;
	u32 events = 0;

	spin_lock(&p->lock, &lc_ipc);
	p->polled = true;
	if (f->readable) {
		if (p->used)
			events |= PIPE_READABLE;
		if (!p->writers && p->writer_opens)
			events |= EPOLLHUP;
	}
	if (f->writable) {
		if (!pipe_full(p))
			events |= PIPE_WRITABLE;
		if (!p->readers)
			events |= EPOLLERR;
	}
	spin_unlock(&p->lock, &lc_ipc);
	return events;
}

static struct waitq *pipe_waitq(struct file *f)
{
	struct pipe *p = f->private;

	return &p->waitq;
}

static long pipe_ioctl(struct subject *s, struct file *f, u32 cmd, u64 arg)
{
	struct pipe *p = f->private;
	struct pipe_buf *b;
	int size = 0;

	if (cmd != FIONREAD)
		return -ENOTTY;
	spin_lock(&p->lock, &lc_ipc);
	list_for_each(b, &p->bufs, link)
		size += (int)b->size;
	spin_unlock(&p->lock, &lc_ipc);
	return copy_out(s, UADDR(arg), &size, sizeof(size));
}

static long pipe_resize(struct subject *s, struct pipe *p, u64 size)
{
	u32 pages;
	long ret = 0;

	if (!size || size > 1UL << 31)
		return -EINVAL;
	pages = (u32)(page_up(size) / PAGE_SIZE);
	if (pages > 1)
		pages = 1U << (32 - __builtin_clz(pages - 1));
	spin_lock(&p->lock, &lc_ipc);
	if (pages > p->pages && pages > PIPE_PAGES_MAX && !subject_capable(s, CAP_SYS_RESOURCE))
		ret = -EPERM;
	else if (pages < p->used + p->reserved)
		ret = -EBUSY;
	else
		p->pages = pages;
	spin_unlock(&p->lock, &lc_ipc);
	waitq_wake(&p->waitq, PIPE_WRITABLE);
	return ret ? ret : (long)(pages * PAGE_SIZE);
}

long pipe_fcntl(struct subject *s, struct file *f, int cmd, u64 arg)
{
	struct pipe *p;
	u32 pages;

	if (f->ops != OPS(pipe_file_ops))
		return -EBADF;
	p = f->private;
	if (cmd == F_SETPIPE_SZ)
		return pipe_resize(s, p, (u32)arg);
	spin_lock(&p->lock, &lc_ipc);
	pages = p->pages;
	spin_unlock(&p->lock, &lc_ipc);
	return (long)(pages * PAGE_SIZE);
}

/* An end is open, or closed no more. Returns true if it was the last. */
static bool pipe_count_end(struct pipe *p, const struct file *f, bool open)
{
	bool last;
	u32 step = open ? 1 : (u32)-1;

	spin_lock(&p->lock, &lc_ipc);
	if (f->readable)
		p->readers += step;
	if (f->writable)
		p->writers += step;
	if (open && f->readable)
		p->reader_opens++;
	if (open && f->writable)
		p->writer_opens++;
	last = !p->readers && !p->writers;
	/* With the lock held: without it, the other end could be closed, and the pipe be gone,
	 * meanwhile. */
	if (!last)
		waitq_wake_all(&p->waitq, PIPE_READABLE | PIPE_WRITABLE | EPOLLHUP | EPOLLERR);
	spin_unlock(&p->lock, &lc_ipc);
	return last;
}

static void pipe_release(struct file *f)
{
	struct pipe *p = f->private;
	struct inode *inode = f->inode;

	mutex_lock(&inode->lock, &lc_inode);
	if (pipe_count_end(p, f, false)) {
		inode->fifo = NULL;
		pipe_destroy(p);
	}
	mutex_unlock(&inode->lock, &lc_inode);
}

DEFINE_OPS(struct file_ops, pipe_file_ops) = {
	.nowait = true,
	.read = pipe_read,
	.write = pipe_write,
	.poll = pipe_poll,
	.waitq = pipe_waitq,
	.ioctl = pipe_ioctl,
	.release = pipe_release,
};

/* ---- making pipes ---- */

/* The reading end: a fifo without a name. Its inode leads to the pipe, so that it can be opened
 * again through /proc/PID/fd. */
static int pipe_open_reader(struct subject *s, struct pipe *p, u32 flags, struct file **ret)
{
	u64 ino = hash_u64((u64)(uintptr_t)p) & 0x7fff'ffff;
	char name[32];
	int err;

	snprintf(name, sizeof(name), "pipe:[%lu]", ino);
	err = file_create_anon(s, name, OPS(pipe_file_ops), p, O_RDONLY | flags, ret);
	if (err)
		return err;
	(*ret)->inode->mode = S_IFIFO | 0600;
	(*ret)->inode->ino = ino;
	(*ret)->inode->fifo = p;
	return 0;
}

/* The other end, of the same inode. */
static int pipe_open_writer(struct subject *s, struct pipe *p, const struct file *reader, u32 flags,
			    struct file **ret)
{
	int err = file_create(s, &reader->path, O_WRONLY | flags, ret);

	if (err)
		return err;
	(*ret)->ops = OPS(pipe_file_ops);
	(*ret)->private = p;
	(*ret)->stream = true;
	return 0;
}

int pipe_create(struct subject *s, u32 flags, struct file *ret[2])
{
	struct pipe *p = pipe_new();
	int err;

	if (!p)
		return -ENOMEM;
	p->reader_opens = p->writer_opens = 1;
	p->readers = p->writers = 1;
	err = pipe_open_reader(s, p, flags & O_NONBLOCK, &ret[0]);
	if (err) {
		pipe_destroy(p);
		return err;
	}
	err = pipe_open_writer(s, p, ret[0], flags & (O_NONBLOCK | O_DIRECT), &ret[1]);
	if (err) {
		p->writers = 0;
		file_put(ret[0]);
	}
	return err;
}

/* ---- fifos ---- */

/* Find or make the fifo's pipe and count f's end in it, so that it stays. */
static int fifo_attach(struct inode *inode, struct file *f, struct pipe **ret)
{
	struct pipe *p;

	mutex_lock(&inode->lock, &lc_inode);
	p = inode->fifo;
	if (!p)
		p = inode->fifo = pipe_new();
	if (p)
		(void)pipe_count_end(p, f, true);
	mutex_unlock(&inode->lock, &lc_inode);
	*ret = p;
	return p ? 0 : -ENOMEM;
}

/* Has an end of the other kind been opened since (the count was seen), or is one open? */
static bool fifo_partner(struct pipe *p, const struct file *f, u32 seen)
{
	bool ret;

	spin_lock(&p->lock, &lc_ipc);
	if (f->readable)
		ret = p->writers || p->writer_opens != seen;
	else
		ret = p->readers || p->reader_opens != seen;
	spin_unlock(&p->lock, &lc_ipc);
	return ret;
}

static int fifo_open(struct subject *s, struct inode *inode, struct file *f)
{
	const struct file_ops *unopened = f->ops;
	struct pipe *p;
	u32 seen;
	int err = fifo_attach(inode, f, &p);

	if (err)
		return err;
	f->ops = OPS(pipe_file_ops);
	f->private = p;
	f->stream = true;
	/* A pipe opened again, through /proc, waits for nobody. */
	if ((f->readable && f->writable) || !f->path.mnt)
		return 0;
	spin_lock(&p->lock, &lc_ipc);
	seen = f->readable ? p->writer_opens : p->reader_opens;
	spin_unlock(&p->lock, &lc_ipc);
	if (f->flags & O_NONBLOCK)
		err = f->readable || fifo_partner(p, f, seen) ? 0 : -ENXIO;
	else
		err = waitq_wait(&p->waitq, PIPE_READABLE | PIPE_WRITABLE, NO_DEADLINE,
				 fifo_partner(p, f, seen));
	if (err) {
		pipe_release(f);
		f->private = NULL;
		f->ops = unopened;
	}
	return err;
}

DEFINE_OPS(struct vfs_hooks, ipc_vfs_hooks) = {
	.fifo_open = fifo_open,
};
