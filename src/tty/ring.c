/* Queues of bytes. */

#include <errno.h>
#include <string.h>

#include "arena/arena.h"
#include "tty/ldisc.h"

int ring_init(struct byte_ring *r, u32 size)
{
	*r = (struct byte_ring){ .data = arena_alloc(size), .size = size };
	return r->data ? 0 : -ENOMEM;
}

void ring_fini(struct byte_ring *r)
{
	arena_free(r->data);
	r->data = NULL;
}

u32 ring_count(const struct byte_ring *r)
{
	return r->head - r->tail;
}

u32 ring_room(const struct byte_ring *r)
{
	return r->size - ring_count(r);
}

size_t ring_put(struct byte_ring *r, const void *data, size_t size)
{
	u32 at = r->head & (r->size - 1), first;

	size = min(size, (size_t)ring_room(r));
	first = (u32)min(size, (size_t)(r->size - at));
	memcpy(r->data + at, data, first);
	memcpy(r->data, (const u8 *)data + first, size - first);
	r->head += (u32)size;
	return size;
}

size_t ring_peek(const struct byte_ring *r, const u8 **ret)
{
	u32 at = r->tail & (r->size - 1);

	*ret = r->data + at;
	return min(ring_count(r), r->size - at);
}

void ring_skip(struct byte_ring *r, size_t size)
{
	r->tail += (u32)min(size, (size_t)ring_count(r));
}

size_t ring_get(struct byte_ring *r, void *buf, size_t size)
{
	size_t done = 0, n;
	const u8 *from;

	while (done < size && (n = min(ring_peek(r, &from), size - done)) > 0) {
		memcpy((u8 *)buf + done, from, n);
		ring_skip(r, n);
		done += n;
	}
	return done;
}
