/* Where I/O data come from or go to. */

#include <errno.h>

#include "vfs/internal.h"

void uio_init_guest(struct uio *u, struct subject *s, const struct guest_iovec *iov,
		    unsigned int count, u64 total)
{
	*u = (struct uio){ .subject = s, .iov = iov, .iov_count = count, .left = total };
}

void uio_init_kernel(struct uio *u, void *buf, size_t size)
{
	*u = (struct uio){ .buf = buf, .left = size };
}

static void uio_advance(struct uio *u, size_t n)
{
	u->left -= n;
	u->iov_offset += n;
	if (!u->iov)
		return;
	while (u->iov_index < u->iov_count && u->iov_offset >= u->iov[u->iov_index].size) {
		u->iov_offset -= u->iov[u->iov_index].size;
		u->iov_index++;
	}
}

void uio_revert(struct uio *u, size_t n)
{
	u->left += n;
	if (!u->iov) {
		u->iov_offset -= n;
		return;
	}
	while (n > u->iov_offset) {
		n -= u->iov_offset;
		u->iov_index--;
		u->iov_offset = u->iov[u->iov_index].size;
	}
	u->iov_offset -= n;
}

/* One step of a copy to or from the current element. Returns bytes copied; short means a fault. */
static ssize_t copy_element(struct uio *u, char *buf, size_t size, bool out)
{
	const struct guest_iovec *v = &u->iov[u->iov_index];
	struct uaddr at = uaddr_add(v->base, u->iov_offset);

	if (out)
		return copy_out_partial(u->subject, at, buf, size);
	return copy_in_partial(u->subject, buf, at, size);
}

static ssize_t copy_guest(struct uio *u, char *buf, size_t size, bool out)
{
	size_t done = 0;
	ssize_t n;

	uio_advance(u, 0); /* past empty elements */
	while (done < size && u->iov_index < u->iov_count) {
		size_t part =
			(size_t)min((u64)(size - done), u->iov[u->iov_index].size - u->iov_offset);

		n = copy_element(u, buf + done, part, out);
		if (n < 0)
			return done ? (ssize_t)done : n;
		uio_advance(u, (size_t)n);
		done += (size_t)n;
		if ((size_t)n < part)
			break;
	}
	return done || !size ? (ssize_t)done : -EFAULT;
}

ssize_t uio_copy_to(struct uio *u, const void *buf, size_t size)
{
	size = (size_t)min((u64)size, u->left);
	if (u->iov)
		return copy_guest(u, (char *)buf, size, true);
	memcpy(u->buf + u->iov_offset, buf, size);
	uio_advance(u, size);
	return (ssize_t)size;
}

ssize_t uio_copy_from(struct uio *u, void *buf, size_t size)
{
	size = (size_t)min((u64)size, u->left);
	if (u->iov)
		return copy_guest(u, buf, size, false);
	memcpy(buf, u->buf + u->iov_offset, size);
	uio_advance(u, size);
	return (ssize_t)size;
}

ssize_t uio_copy_mapped(struct uio *u, const void *at, size_t size)
{
	const struct guest_iovec *v;
	ssize_t n;

	uio_advance(u, 0);
	if (!u->iov || u->iov_index >= u->iov_count)
		return -EAGAIN;
	v = &u->iov[u->iov_index];
	size = (size_t)min(min((u64)size, u->left), v->size - u->iov_offset);
	n = copy_out_mapped(u->subject, uaddr_add(v->base, u->iov_offset), at, size);
	if (n > 0)
		uio_advance(u, (size_t)n);
	return n;
}
