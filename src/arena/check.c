/*
 * arena_check: do any arena objects point out of the arena? Every aligned word of every live
 * object, but for transient fields, is compared with this process's own mappings. A word that only
 * looks like an address can be reported too.
 */

#include <stdlib.h>
#include <string.h>

#include "arena/internal.h"
#include "base/bitmap.h"
#include "base/log.h"
#include "host/host.h"

#define REPORTS_MAX 10

struct own_range {
	u64 start, end;
};

struct check {
	struct own_range *ranges; /* ascending */
	size_t count;
	unsigned int found;
};

/* All of a file as a string; null on failure. */
static char *maps_read(int fd)
{
	size_t size = 0, capacity = 1 << 16;
	char *buf = malloc(capacity), *bigger;
	ssize_t n = -1;

	while (buf) {
		n = host_read(fd, buf + size, capacity - size - 1);
		if (n <= 0)
			break;
		size += (size_t)n;
		if (size < capacity - 4096)
			continue;
		capacity *= 2;
		bigger = realloc(buf, capacity);
		if (!bigger)
			break;
		buf = bigger;
	}
	if (!buf || n != 0) {
		free(buf);
		return NULL;
	}
	buf[size] = '\0';
	return buf;
}

/* Sanitizers map shadow, low and large, where no pointer of ours leads; and small numbers are no
 * addresses. */
static bool range_counts(u64 start, u64 end)
{
	u64 arena = (u64)g_arena.base;

	return end - start < (1UL << 36) && start >= (1UL << 32) &&
	       (end <= arena || start >= arena + g_arena.size);
}

static bool check_load_maps(struct check *c, int maps_fd)
{
	char *maps = maps_read(maps_fd), *line = maps;
	size_t lines = 0;

	if (!maps)
		return false;
	for (const char *p = maps; *p; p++)
		lines += *p == '\n';
	c->ranges = calloc(lines + 1, sizeof(*c->ranges));
	while (c->ranges && *line) {
		char *after;
		u64 start = strtoul(line, &after, 16), end = strtoul(after + 1, NULL, 16);

		if (range_counts(start, end))
			c->ranges[c->count++] = (struct own_range){ start, end };
		line = strchr(line, '\n');
		if (!line)
			break;
		line++;
	}
	free(maps);
	return c->ranges;
}

static bool check_is_foreign(const struct check *c, u64 word)
{
	size_t low = 0, high = c->count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (word < c->ranges[mid].start)
			high = mid;
		else if (word >= c->ranges[mid].end)
			low = mid + 1;
		else
			return true;
	}
	return false;
}

static bool offset_is_transient(const struct slab_class *class, size_t off)
{
	for (u32 t = 0; class && t < class->transient_count; t++) {
		if (off + 8 > class->transient[t].offset &&
		    off < class->transient[t].offset + class->transient[t].size)
			return true;
	}
	return false;
}

/* Of untyped memory: a name's last letters look like an address to sanitizer builds. */
static bool is_text(const char *name, u64 word)
{
	if (strncmp(name, "size-", 5) != 0 && strcmp(name, "pages") != 0)
		return false;
	for (; word & 0xff; word >>= 8)
		if ((word & 0xff) < ' ' || (word & 0xff) > '~')
			return false;
	return !word;
}

static void check_object(struct check *c, const char *name, const struct slab_class *class,
			 const char *obj, size_t size)
{
	for (size_t off = 0; off + 8 <= size; off += 8) {
		u64 word;

		memcpy(&word, obj + off, sizeof(word));
		if (!check_is_foreign(c, word) || offset_is_transient(class, off) ||
		    is_text(name, word))
			continue;
		if (c->found++ < REPORTS_MAX)
			log_error("arena: %s at %p, offset %zu: %#lx leads out", name,
				  (const void *)obj, off, word);
	}
}

static void check_slab(struct check *c, page_t page)
{
	const struct slab_state *s = &g_arena.header->states[g_arena.table[page].state];
	const struct slab_class *class = slab_class_by_name(s->name);
	u64 free[BITMAP_WORDS(SLAB_OBJECTS_MAX)];

	slab_free_map(page, free);
	for (u32 i = 0; i < s->per_slab; i++) {
		if (!bitmap_test(free, i))
			check_object(c, s->name, class, page_address(page) + (size_t)i * s->stride,
				     s->size);
	}
}

unsigned int arena_check(int maps_fd)
{
	struct check c = {};

	if (!check_load_maps(&c, maps_fd))
		return 0;
	for (page_t page = 0; page < g_arena.header->top; page += g_arena.table[page].count) {
		const struct arena_page *p = &g_arena.table[page];

		if (p->kind == PAGE_SLAB)
			check_slab(&c, page);
		else if (p->kind == PAGE_RUN)
			check_object(&c, "pages", NULL, page_address(page), p->count * PAGE_SIZE);
	}
	free(c.ranges);
	return c.found;
}
