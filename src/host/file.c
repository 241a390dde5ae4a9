/* Shared host descriptors; see file.h. */

#include "host/file.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/bug.h"
#include "host/budget.h"
#include "host/host.h"

static void host_file_free(struct host_file *f)
{
	host_fd_uncharge();
	free(f);
}

static const struct host_file_ops host_file_plain_ops = { .release = host_file_free };

void host_file_init(struct host_file *f, const struct host_file_ops *ops, int fd)
{
	f->ops = ops;
	refcount_init(&f->refs, 1);
	f->pins = 0;
	f->fd = fd;
}

struct host_file *host_file_create(int fd)
{
	struct host_file *f;

	if (!host_fd_charge())
		return NULL;
	f = malloc(sizeof(*f));
	if (f)
		host_file_init(f, &host_file_plain_ops, fd);
	else
		host_fd_uncharge();
	return f;
}

struct host_file *host_file_get(struct host_file *f)
{
	refcount_get(&f->refs);
	return f;
}

void host_file_put(struct host_file *f)
{
	int fd;

	if (!f || !refcount_put(&f->refs))
		return;
	DEBUG_BUG_ON(f->pins);
	fd = atomic_exchange(&f->fd, -1);
	if (fd >= 0)
		host_close(fd);
	f->ops->release(f);
}

int host_file_pin(struct host_file *f)
{
	int fd, expected = -1;

	atomic_fetch_add(&f->pins, 1);
	fd = atomic_load(&f->fd);
	if (likely(fd >= 0))
		return fd;
	fd = f->ops->reopen ? f->ops->reopen(f) : -EBADF;
	if (fd < 0) {
		host_file_unpin(f);
		return fd;
	}
	if (!atomic_compare_exchange_strong(&f->fd, &expected, fd)) {
		host_close(fd); /* another reopened it meanwhile */
		fd = expected;
	}
	return fd;
}

void host_file_unpin(struct host_file *f)
{
	u32 old = atomic_fetch_sub(&f->pins, 1);

	BUG_ON(old == 0);
}

int host_file_get_fd(const struct host_file *f)
{
	DEBUG_BUG_ON(!f->pins);
	return f->fd;
}
