/*
 * Dumping the arena to a file, and mapping it again.
 *
 * The file: a page with struct dump_head; then the contents of the ranges, each at a page's
 * boundary; then the table of ranges. Ranges are the header, the used part of the page table, and
 * runs of used pages; runs that are close to each other make one range, whose free pages are holes
 * in the file. The vault is not in it: a restore fills it from its own binary, at the same address,
 * which is why objects may point there.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arena/internal.h"
#include "base/bitmap.h"
#include "base/bug.h"
#include "base/ops.h"
#include "host/host.h"

#define DUMP_MAGIC 0x31706d75'646a6e64UL
#define RANGE_GAP 16 /* pages */
#define RANGES_MAX 30'000 /* the host allows 65,530 mappings */

struct dump_head {
	u64 magic;
	u64 base, size;
	u64 ops_size;
	u64 range_count;
	u64 table_offset;
};

struct dump_range {
	u64 address, size, offset;
};

struct dump {
	int fd;
	u64 offset; /* where the next range goes */
	struct dump_range *ranges;
	size_t count, capacity;
	char *buffer; /* for one slab */
	size_t buffer_size;
};

/* Copy a slab, whose freed objects are poisoned. */
__attribute__((no_sanitize("address"))) static void dump_copy(void *to, const void *from,
							      size_t size)
{
	const u64 *src = from;
	u64 *dst = to;

	for (size_t i = 0; i < size / sizeof(u64); i++)
		dst[i] = src[i];
}

/* True if debug builds check what freed objects are filled with. */
#ifdef DONJON_DEBUG
#define FREED_KEEP_FILL true
#else
#define FREED_KEEP_FILL false
#endif

static int dump_write(int fd, const void *data, size_t size, u64 offset)
{
	const char *p = data;

	while (size) {
		ssize_t n = host_pwrite(fd, p, size, (s64)offset);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? (int)n : -EIO;
		p += n;
		offset += (u64)n;
		size -= (size_t)n;
	}
	return 0;
}

/* Where the contents of [p, p + size) belong in the file; begins a new range, or continues the last
 * one. */
static int dump_place(struct dump *d, const void *p, size_t size, u64 *ret_offset)
{
	struct dump_range *last = d->count ? &d->ranges[d->count - 1] : NULL;
	u64 address = (u64)p, end = last ? last->address + last->size : 0;

	if (last && address >= end && address - end <= RANGE_GAP * PAGE_SIZE) {
		*ret_offset = last->offset + (address - last->address);
		last->size = address + size - last->address;
		d->offset = last->offset + last->size;
		return 0;
	}
	if (d->count == RANGES_MAX)
		return -E2BIG;
	if (d->count == d->capacity) {
		size_t capacity = max(d->capacity * 2, (size_t)64);
		struct dump_range *new = realloc(d->ranges, capacity * sizeof(*new));

		if (!new)
			return -ENOMEM;
		d->ranges = new;
		d->capacity = capacity;
	}
	*ret_offset = d->offset;
	d->ranges[d->count++] = (struct dump_range){ address, size, d->offset };
	d->offset += size;
	return 0;
}

static int dump_memory(struct dump *d, const void *p, size_t size)
{
	u64 offset;
	int ret;

	size = page_up(size);
	ret = dump_place(d, p, size, &offset);
	return ret ? ret : dump_write(d->fd, p, size, offset);
}

/* Zero what must not leave this process, in the copy of a slab: transient fields, and all of freed
 * objects. */
static void dump_clean_slab(page_t page, char *copy)
{
	const struct slab_state *s = &g_arena.header->states[g_arena.table[page].state];
	const struct slab_class *class = slab_class_by_name(s->name);
	u64 free[BITMAP_WORDS(SLAB_OBJECTS_MAX)];

	slab_free_map(page, free);
	for (u32 i = 0; i < s->per_slab; i++) {
		char *obj = copy + (size_t)i * s->stride;

		if (bitmap_test(free, i)) {
			/* The first word is a link. */
			if (i < g_arena.table[page].fresh && !FREED_KEEP_FILL)
				memset(obj + 8, 0, s->stride - 8);
			continue;
		}
		for (u32 t = 0; class && t < class->transient_count; t++)
			memset(obj + class->transient[t].offset, 0, class->transient[t].size);
	}
}

static int dump_slab(struct dump *d, page_t page)
{
	size_t size = g_arena.table[page].count * PAGE_SIZE;
	u64 offset;
	int ret;

	if (!d->buffer || size > d->buffer_size) {
		char *new = realloc(d->buffer, size);

		if (!new)
			return -ENOMEM;
		d->buffer = new;
		d->buffer_size = size;
	}
	ret = dump_place(d, page_address(page), size, &offset);
	if (ret)
		return ret;
	dump_copy(d->buffer, page_address(page), size);
	dump_clean_slab(page, d->buffer);
	return dump_write(d->fd, d->buffer, size, offset);
}

static int dump_pages(struct dump *d)
{
	int ret = 0;

	for (page_t page = 0; page < g_arena.header->top && !ret;
	     page += g_arena.table[page].count) {
		const struct arena_page *p = &g_arena.table[page];

		if (p->kind == PAGE_SLAB)
			ret = dump_slab(d, page);
		else if (p->kind == PAGE_RUN)
			ret = dump_memory(d, page_address(page), p->count * PAGE_SIZE);
	}
	return ret;
}

int arena_dump(int fd)
{
	const struct arena_header *h = g_arena.header;
	struct dump d = { .fd = fd, .offset = PAGE_SIZE };
	struct dump_head head = { DUMP_MAGIC, h->base, h->size, h->ops_size, 0, 0 };
	int ret;

	ret = dump_memory(&d, h, sizeof(*h));
	if (!ret && h->top)
		ret = dump_memory(&d, g_arena.table, h->top * sizeof(*g_arena.table));
	if (!ret)
		ret = dump_pages(&d);
	if (!ret)
		ret = dump_write(fd, d.ranges, d.count * sizeof(*d.ranges), d.offset);
	if (!ret) {
		head.range_count = d.count;
		head.table_offset = d.offset;
		ret = dump_write(fd, &head, sizeof(head), 0);
	}
	free(d.ranges);
	free(d.buffer);
	return ret;
}

/* ---- mapping ---- */

static int map_read(int fd, void *buf, size_t size, u64 offset)
{
	char *p = buf;

	while (size) {
		ssize_t n = host_pread(fd, p, size, (s64)offset);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? (int)n : -EIO;
		p += n;
		offset += (u64)n;
		size -= (size_t)n;
	}
	return 0;
}

static int map_range(int fd, const struct dump_head *head, const struct dump_range *r)
{
	u64 off = r->address - head->base;
	void *p;

	if (r->address < head->base || off > head->size || r->size > head->size - off ||
	    off % PAGE_SIZE != 0 || r->offset % PAGE_SIZE != 0)
		return -EINVAL;
	p = host_mmap(g_arena.base + off, r->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
		      fd, (s64)r->offset);
	return host_is_err(p) ? (int)(long)p : 0;
}

static int map_ranges(int fd, const struct dump_head *head)
{
	struct dump_range *ranges;
	int ret;

	if (head->range_count == 0 || head->range_count > RANGES_MAX)
		return -EINVAL;
	ranges = calloc(head->range_count, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	ret = map_read(fd, ranges, head->range_count * sizeof(*ranges), head->table_offset);
	for (u64 i = 0; i < head->range_count && !ret; i++)
		ret = map_range(fd, head, &ranges[i]);
	free(ranges);
	return ret;
}

int arena_map(int fd)
{
	struct dump_head head;
	void *base;
	int ret;

	BUG_ON(g_arena.base);
	ret = map_read(fd, &head, sizeof(head), 0);
	if (ret)
		return ret;
	if (head.magic != DUMP_MAGIC || head.base % PAGE_SIZE != 0 ||
	    head.ops_size != (u64)(__stop_donjon_ops - __start_donjon_ops))
		return -EINVAL;
	base = arena_reserve((void *)head.base, head.size);
	if (!base)
		return -ENOMEM;
	arena_set_layout(base, head.size);
	g_arena.restored = true;
	ret = map_ranges(fd, &head);
	if (!ret && g_arena.header->magic != ARENA_MAGIC)
		ret = -EINVAL;
	if (!ret)
		ret = arena_fill_vault();
	if (ret) {
		host_munmap(base, head.size);
		g_arena = (struct arena){};
		return ret;
	}
	slab_reset();
	return 0;
}
