/*
 * splice, tee, vmsplice.
 *
 * What goes into a pipe is gathered in buffers for which room has been reserved; so nothing that
 * was taken from elsewhere can find the pipe full. What comes out of a pipe belongs to the splicing
 * fiber until the other file has taken it; the rest is put back in front.
 *
 * Difference from Linux: data are copied, pages are never moved or shared; so SPLICE_F_MOVE and
 * SPLICE_F_GIFT do nothing, and what is changed after a vmsplice is not seen by the reader. One tee
 * copies at most 64 KiB.
 */

#include "ipc/splice.h"

#include <errno.h>
#include <string.h>

#include "ipc/pipe_internal.h"
#include "sched/fiber.h"

#define TEE_BUFS 16U /* copied with the pipe's short lock held */

/* Buffers on their way into a pipe. */
struct filling {
	struct pipe *pipe;
	u32 reserved; /* room */
	u32 count; /* buffers */
	size_t bytes;
	struct list bufs;
};

bool splice_is_pipe(const struct file *f)
{
	return pipe_of(f);
}

bool splice_same_pipe(const struct file *a, const struct file *b)
{
	return pipe_of(a) == pipe_of(b);
}

/* ---- into a pipe ---- */

/* Reserve room for size bytes, or less, but for some. -EPIPE, -EAGAIN, -EINTR. */
static int filling_init(struct filling *f, struct pipe *p, u64 size, bool nonblock)
{
	u64 want = (size + PAGE_SIZE - 1) / PAGE_SIZE;
	int ret;

	*f = (struct filling){ .pipe = p };
	list_init(&f->bufs);
	for (;;) {
		ret = -EAGAIN;
		spin_lock(&p->lock, &lc_ipc);
		if (!p->readers) {
			ret = -EPIPE;
		} else if (!pipe_full(p)) {
			f->reserved = (u32)min(want, (u64)(p->pages - p->used - p->reserved));
			p->reserved += f->reserved;
			ret = 0;
		}
		spin_unlock(&p->lock, &lc_ipc);
		if (ret != -EAGAIN || nonblock)
			return ret;
		ret = waitq_wait(&p->waitq, EPOLLOUT | EPOLLERR, NO_DEADLINE, pipe_writable(p));
		if (ret)
			return ret;
	}
}

/* One more buffer, or null. */
static struct pipe_buf *filling_buf(struct filling *f)
{
	struct pipe_buf *b = f->count < f->reserved ? pipe_take_spare(f->pipe) : NULL;

	if (b) {
		list_add_tail(&f->bufs, &b->link);
		f->count++;
	}
	return b;
}

/* Add size bytes; returns how many there was memory for. */
static size_t filling_add(struct filling *f, const char *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		struct pipe_buf *b = filling_buf(f);

		if (!b)
			break;
		b->size = (u32)min(size - done, PAGE_SIZE);
		memcpy(b->page->data, data + done, b->size);
		done += b->size;
	}
	f->bytes += done;
	return done;
}

/* Hand the buffers over and give back the room. Returns bytes, -EPIPE, or err if there are none. */
static ssize_t filling_fini(struct filling *f, ssize_t err)
{
	struct pipe *p = f->pipe;
	ssize_t ret = f->bytes ? (ssize_t)f->bytes : err;
	struct list rest;

	list_init(&rest);
	spin_lock(&p->lock, &lc_ipc);
	p->reserved -= f->reserved;
	if (f->bytes && !p->readers)
		ret = -EPIPE;
	while (ret > 0 && !list_empty(&f->bufs)) {
		struct pipe_buf *b = list_first(&f->bufs, struct pipe_buf, link);

		list_del(&b->link);
		list_add_tail(b->size ? &p->bufs : &rest, &b->link);
		p->used += b->size > 0;
	}
	spin_unlock(&p->lock, &lc_ipc);
	pipe_give_spares(p, &rest);
	pipe_give_spares(p, &f->bufs);
	waitq_wake(&p->waitq, PIPE_READABLE);
	if (f->count < f->reserved)
		waitq_wake(&p->waitq, PIPE_WRITABLE);
	return ret;
}

static bool may_read_now(struct file *f)
{
	return !f->stream || file_poll(f) & (EPOLLIN | EPOLLHUP | EPOLLERR);
}

ssize_t splice_to_pipe(struct subject *s, struct file *in, s64 *pos, struct file *out, u64 size,
		       bool nonblock)
{
	struct filling f;
	struct bounce b;
	ssize_t n = filling_init(&f, pipe_of(out), size, nonblock);

	if (n)
		return n;
	size = min(size, (u64)f.reserved * PAGE_SIZE);
	bounce_init(&b, size);
	do {
		size_t want = (size_t)min(size - f.bytes, (u64)b.size);
		struct uio u;

		/* Pages are filled, so that what was reserved is enough. */
		if (want > PAGE_SIZE)
			want &= PAGE_MASK;
		if ((nonblock || f.bytes) && !may_read_now(in)) {
			n = -EAGAIN;
			break;
		}
		uio_init_kernel(&u, b.buf, want);
		n = file_read(s, in, &u, pos);
		if (n <= 0)
			break;
		if (filling_add(&f, b.buf, (size_t)n) < (size_t)n || (size_t)n % PAGE_SIZE) {
			n = -ENOMEM;
			break;
		}
	} while (f.bytes < size);
	bounce_fini(&b);
	return filling_fini(&f, n);
}

ssize_t splice_from_memory(struct file *file, struct uio *from, bool nonblock)
{
	struct filling f;
	ssize_t n = filling_init(&f, pipe_of(file), from->left, nonblock);

	if (n)
		return n;
	while (from->left) {
		struct pipe_buf *b = filling_buf(&f);

		if (!b) {
			n = -ENOMEM;
			break;
		}
		n = uio_copy_from(from, b->page->data, min(from->left, PAGE_SIZE));
		if (n <= 0)
			break;
		b->size = (u32)n;
		f.bytes += (size_t)n;
	}
	return filling_fini(&f, n);
}

/* ---- out of a pipe ---- */

static void take_init(struct pipe_take *t, char *part, u32 max_bufs)
{
	*t = (struct pipe_take){ .part = part, .max_bufs = max_bufs };
	list_init(&t->bufs);
}

/* Take up to size bytes; waits for some. 1, or 0 at the end; -EAGAIN, -EINTR. */
static int take_wait(struct pipe *p, u64 size, bool nonblock, struct pipe_take *t)
{
	int ret;

	for (;;) {
		bool found, end, wake;

		spin_lock(&p->lock, &lc_ipc);
		found = pipe_take(p, size, t);
		end = !p->writers;
		wake = found && !pipe_full(p) && (t->was_full || p->polled);
		spin_unlock(&p->lock, &lc_ipc);
		if (wake)
			waitq_wake(&p->waitq, PIPE_WRITABLE);
		if (found || end)
			return found;
		if (nonblock)
			return -EAGAIN;
		ret = waitq_wait(&p->waitq, EPOLLIN | EPOLLHUP, NO_DEADLINE, pipe_readable(p));
		if (ret)
			return ret;
	}
}

/* One step; bytes written, 0 at the end. */
static ssize_t write_taken(struct subject *s, struct pipe *p, struct file *out, s64 *pos,
			   struct bounce *b, u64 size, bool nonblock, bool *ret_broken)
{
	char part[PAGE_SIZE] __attribute__((uninitialized));
	struct pipe_take t;
	struct uio u;
	ssize_t n;

	take_init(&t, part, UINT32_MAX);
	n = take_wait(p, min(size, (u64)b->size), nonblock, &t);
	if (n <= 0)
		return n;
	uio_init_kernel(&u, b->buf, pipe_take_copy(&t, 0, b->buf, b->size));
	n = file_write(s, out, &u, pos);
	*ret_broken = u.broken;
	pipe_take_finish(p, &t, n > 0 ? (size_t)n : 0);
	return n;
}

ssize_t splice_from_pipe(struct subject *s, struct file *in, struct file *out, s64 *pos, u64 size,
			 bool nonblock, bool *ret_broken)
{
	ssize_t done = 0, n = 0;
	struct bounce b;

	bounce_init(&b, size);
	while ((u64)done < size && !*ret_broken) {
		n = write_taken(s, pipe_of(in), out, pos, &b, size - (u64)done, nonblock || done,
				ret_broken);
		if (n <= 0)
			break;
		done += n;
	}
	bounce_fini(&b);
	return done ? done : n;
}

/* ---- between pipes ---- */

/* Copy up to size bytes of what is in p, which keeps it, into buffers that f has already. */
static void copy_bufs(struct pipe *p, struct filling *f, u64 size)
{
	struct pipe_buf *from, *to;
	bool more = true;

	spin_lock(&p->lock, &lc_ipc);
	from = list_first(&p->bufs, struct pipe_buf, link);
	more = !list_empty(&p->bufs);
	list_for_each(to, &f->bufs, link) {
		if (!more || !size)
			break;
		to->size = (u32)min((u64)from->size, size);
		to->packet = from->packet;
		memcpy(to->page->data, from->page->data + from->offset, to->size);
		f->bytes += to->size;
		size -= to->size;
		more = from->link.next != &p->bufs;
		from = list_first(&from->link, struct pipe_buf, link);
	}
	spin_unlock(&p->lock, &lc_ipc);
}

/* Wait until there is something in p: 1, or 0 at the end; -EAGAIN, -EINTR. */
static int wait_data(struct pipe *p, bool nonblock)
{
	for (;;) {
		bool data, end;
		int ret;

		spin_lock(&p->lock, &lc_ipc);
		data = p->used;
		end = !p->writers;
		spin_unlock(&p->lock, &lc_ipc);
		if (data || end)
			return data;
		if (nonblock)
			return -EAGAIN;
		ret = waitq_wait(&p->waitq, EPOLLIN | EPOLLHUP, NO_DEADLINE, pipe_readable(p));
		if (ret)
			return ret;
	}
}

static ssize_t tee_once(struct pipe *in, struct filling *f, u64 size)
{
	while (f->count < min(f->reserved, TEE_BUFS) && filling_buf(f))
		;
	copy_bufs(in, f, size);
	return filling_fini(f, f->count ? 0 : -ENOMEM);
}

/* Move buffers; 0: another reader was faster. */
static ssize_t move_once(struct pipe *in, struct filling *f, u64 size)
{
	struct pipe_buf *part = pipe_buf_create();
	struct pipe_take t;
	ssize_t n;

	if (!part)
		return filling_fini(f, -ENOMEM);
	take_init(&t, part->page->data, f->reserved);
	n = take_wait(in, size, true, &t);
	while (!list_empty(&t.bufs)) {
		struct pipe_buf *b = list_first(&t.bufs, struct pipe_buf, link);

		list_del(&b->link);
		list_add_tail(&f->bufs, &b->link);
		f->count++;
	}
	part->size = t.part_size;
	if (part->size)
		f->count++;
	f->bytes = t.whole + t.part_size;
	list_add_tail(&f->bufs, &part->link);
	return filling_fini(f, n == -EAGAIN ? 0 : n);
}

ssize_t splice_pipes(struct file *fin, struct file *fout, u64 size, bool nonblock, bool keep)
{
	struct pipe *in = pipe_of(fin), *out = pipe_of(fout);
	struct filling f;
	ssize_t n;

	do {
		n = wait_data(in, nonblock);
		if (n <= 0)
			return n;
		/* A buffer may hold less than a page. */
		n = filling_init(&f, out, in->pages * PAGE_SIZE, nonblock);
		if (n)
			return n;
		n = keep ? tee_once(in, &f, size) : move_once(in, &f, size);
	} while (n == 0);
	return n;
}
