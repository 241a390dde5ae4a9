/* The kernel's side of marshal.h. Bytes are read from the lane when they are asked for: each once,
 * like guest memory. */

#include "platform/systrap/marshal.h"

#include <errno.h>
#include <string.h>

#include "host/host.h"
#include "platform/systrap/internal.h"

void marshal_take(struct pf_thread *t)
{
	u32 count;

	if (host_shared_read(&t->inputs, &t->lane->inputs, sizeof(t->inputs)))
		t->inputs.count = 0;
	count = min(t->inputs.count, MARSHAL_ITEMS);
	t->inputs.count = 0;
	for (u32 i = 0; i < count; i++) {
		struct marshal_item m = t->inputs.item[i];

		if (m.offset != MARSHAL_TOUCHED) {
			if (m.offset >= MARSHAL_SIZE || m.size > MARSHAL_SIZE - m.offset)
				continue;
			t->marshal_used = max(t->marshal_used, align_up(m.offset + m.size, 8U));
		}
		t->inputs.item[t->inputs.count++] = m;
	}
}

void marshal_forget(struct pf_thread *t)
{
	t->inputs.count = 0;
}

/* The item that covers the range. */
static const struct marshal_item *find_item(const struct pf_thread *t, u64 addr, size_t size,
					    bool touched)
{
	for (u32 i = 0; i < t->inputs.count; i++) {
		const struct marshal_item *m = &t->inputs.item[i];

		if ((m->offset == MARSHAL_TOUCHED) == touched && addr >= m->addr &&
		    size <= m->size && addr - m->addr <= m->size - size)
			return m;
	}
	return NULL;
}

bool marshal_find(struct pf_thread *t, void *dst, u64 src, size_t size)
{
	const struct marshal_item *m = find_item(t, src, size, false);

	return m && !host_shared_read(dst, t->lane->marshal + m->offset + (src - m->addr), size);
}

ssize_t marshal_find_string(struct pf_thread *t, char *dst, u64 src, size_t size)
{
	const struct marshal_item *m = find_item(t, src, 1, false);
	size_t n, length;

	if (!m || m->addr != src)
		return -ENOENT;
	n = min(size, (size_t)m->size);
	if (host_shared_read(dst, t->lane->marshal + m->offset, n))
		return -ENOENT;
	length = strnlen(dst, n);
	return length < n ? (ssize_t)length : -ENOENT;
}

bool marshal_defer(struct pf_thread *t, u64 dst, const void *src, size_t size)
{
	u32 at = t->marshal_used;

	if (t->outputs.count >= MARSHAL_OUTPUTS || at > MARSHAL_SIZE || size > MARSHAL_SIZE - at ||
	    !find_item(t, dst, size, true))
		return false;
	if (host_shared_write(t->lane->marshal + at, src, size))
		return false;
	t->outputs.item[t->outputs.count++] = (struct marshal_item){ dst, (u32)size, at };
	t->marshal_used = align_up(at + (u32)size, 8U);
	return true;
}

int marshal_give(struct pf_thread *t)
{
	t->inputs.count = 0;
	t->marshal_used = 0;
	if (likely(!t->outputs.count))
		return 0;
	if (host_shared_write(&t->lane->outputs, &t->outputs,
			      offsetof(typeof(t->outputs), item) +
				      t->outputs.count * sizeof(struct marshal_item)))
		return -ESRCH;
	t->outputs.count = 0;
	return 0;
}
