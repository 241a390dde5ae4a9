/* eventfd(2): a 64-bit counter that can be waited for. */

#include "ipc/eventfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

#include "arena/slab.h"
#include "base/strbuf.h"
#include "sched/fiber.h"
#include "vfs/vfs.h"

struct eventfd {
	struct spin lock; /* class lc_ipc */
	u64 count; /* [lock] */
	bool semaphore; /* [I] */
	struct waitq waitq;
};

SLAB_CLASS(eventfd, struct eventfd);

/* Take the count, or 1 of it; 0: nothing there. */
static u64 eventfd_take(struct eventfd *e)
{
	u64 value;

	spin_lock(&e->lock, &lc_ipc);
	value = e->semaphore && e->count ? 1 : e->count;
	e->count -= value;
	spin_unlock(&e->lock, &lc_ipc);
	return value;
}

static ssize_t eventfd_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	struct eventfd *e = f->private;
	u64 value = 0;
	int ret = 0;

	if (to->left < sizeof(value))
		return -EINVAL;
	value = eventfd_take(e);
	if (!value && f->flags & O_NONBLOCK)
		return -EAGAIN;
	if (!value)
		ret = waitq_wait(&e->waitq, EPOLLIN, NO_DEADLINE,
				 (value = value ? value : eventfd_take(e)));
	if (ret)
		return ret;
	waitq_wake(&e->waitq, EPOLLOUT);
	return uio_copy_to(to, &value, sizeof(value));
}

/* Add value if it fits. */
static bool eventfd_add(struct eventfd *e, u64 value)
{
	bool fits;

	spin_lock(&e->lock, &lc_ipc);
	fits = value < UINT64_MAX - e->count;
	if (fits)
		e->count += value;
	spin_unlock(&e->lock, &lc_ipc);
	return fits;
}

static ssize_t eventfd_write(struct subject *s, struct file *f, struct uio *from, s64 *pos)
{
	struct eventfd *e = f->private;
	u64 value;
	bool added;
	ssize_t n;
	int ret = 0;

	if (from->left < sizeof(value))
		return -EINVAL;
	n = uio_copy_from(from, &value, sizeof(value));
	if (n != sizeof(value))
		return -EFAULT;
	if (value == UINT64_MAX)
		return -EINVAL;
	added = eventfd_add(e, value);
	if (!added && f->flags & O_NONBLOCK)
		return -EAGAIN;
	if (!added)
		ret = waitq_wait(&e->waitq, EPOLLOUT, NO_DEADLINE,
				 (added = added || eventfd_add(e, value)));
	if (ret)
		return ret;
	waitq_wake(&e->waitq, EPOLLIN);
	return sizeof(value);
}

static u32 eventfd_poll(struct file *f)
{
	struct eventfd *e = f->private;
	u32 events = 0;
	u64 count;

	spin_lock(&e->lock, &lc_ipc);
	count = e->count;
	spin_unlock(&e->lock, &lc_ipc);
	if (count > 0)
		events |= EPOLLIN;
	if (count == UINT64_MAX)
		events |= EPOLLERR;
	if (count < UINT64_MAX - 1)
		events |= EPOLLOUT;
	return events;
}

static struct waitq *eventfd_waitq(struct file *f)
{
	struct eventfd *e = f->private;

	return &e->waitq;
}

static void eventfd_release(struct file *f)
{
	slab_free(&slab_eventfd, f->private);
}

static void eventfd_show(struct file *f, struct strbuf *out)
{
	struct eventfd *e = f->private;
	u64 count;

	spin_lock(&e->lock, &lc_ipc);
	count = e->count;
	spin_unlock(&e->lock, &lc_ipc);
	strbuf_printf(out, "eventfd-count: %16lx\n", count);
}

DEFINE_OPS(struct file_ops, eventfd_file_ops) = {
	.read = eventfd_read,
	.write = eventfd_write,
	.poll = eventfd_poll,
	.waitq = eventfd_waitq,
	.release = eventfd_release,
	.show_fdinfo = eventfd_show,
};

int eventfd_create(struct subject *s, u32 initval, u32 flags, struct file **ret)
{
	struct eventfd *e = slab_alloc(&slab_eventfd);
	int err;

	if (!e)
		return -ENOMEM;
	spin_init(&e->lock);
	waitq_init(&e->waitq);
	e->count = initval;
	e->semaphore = flags & EVENTFD_SEMAPHORE;
	err = file_create_anon(s, "anon_inode:[eventfd]", OPS(eventfd_file_ops), e,
			       O_RDWR | (flags & O_NONBLOCK), ret);
	if (err)
		slab_free(&slab_eventfd, e);
	return err;
}
