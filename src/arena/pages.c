/*
 * Runs of pages: boundary tags in the page table, free runs in bins by the logarithm of their
 * length, neighbours coalesced. Freed memory stays with the arena, up to TRIM_RESERVE pages; more
 * is given back to the host, but never under a short lock: page_trim does it for whoever comes by
 * without one.
 */

#include <string.h>

#include "arena/internal.h"
#include "base/bug.h"
#include "host/host.h"

#define TRIM_RESERVE 64u /* pages */
#define BIN_SCAN_MAX 16

static unsigned int bin_of(u32 count)
{
	return 31 - (unsigned int)__builtin_clz(count);
}

static void bin_remove(page_t page) REQUIRES(lc_slab)
{
	struct arena_header *h = g_arena.header;
	struct arena_page *p = &g_arena.table[page];

	if (p->next)
		g_arena.table[p->next - 1].prev = p->prev;
	if (p->prev)
		g_arena.table[p->prev - 1].next = p->next;
	else
		h->bins[bin_of(p->count)] = p->next;
	if (p->dirty)
		h->dirty -= p->count;
}

static void bin_insert(page_t page, u32 count, bool dirty) REQUIRES(lc_slab)
{
	struct arena_header *h = g_arena.header;
	page_t *bin = &h->bins[bin_of(count)];

	g_arena.table[page + count - 1] = (struct arena_page){ .kind = PAGE_FREE, .count = count };
	g_arena.table[page] = (struct arena_page){
		.kind = PAGE_FREE,
		.dirty = dirty,
		.count = count,
		.next = *bin,
	};
	if (*bin)
		g_arena.table[*bin - 1].prev = page + 1;
	*bin = page + 1;
	if (dirty)
		h->dirty += count;
}

/* Coalesce with free neighbours and insert. */
static void bin_insert_merged(page_t page, u32 count, bool dirty) REQUIRES(lc_slab)
{
	struct arena_page *t = g_arena.table;
	page_t end = page + count;

	if (end < g_arena.header->top && t[end].kind == PAGE_FREE) {
		dirty |= t[end].dirty;
		count += t[end].count;
		bin_remove(end);
	}
	if (page > 0 && t[page - 1].kind == PAGE_FREE) {
		page_t before = page - t[page - 1].count;

		dirty |= t[before].dirty;
		count += t[before].count;
		bin_remove(before);
		page = before;
	}
	bin_insert(page, count, dirty);
}

/* The first run in a bin that is long enough; 0 or 1 + page. */
static page_t bin_find(unsigned int bin, u32 count) REQUIRES(lc_slab)
{
	page_t link = g_arena.header->bins[bin];

	for (int i = 0; link && i < BIN_SCAN_MAX; i++) {
		if (g_arena.table[link - 1].count >= count)
			return link;
		link = g_arena.table[link - 1].next;
	}
	return 0;
}

static void run_mark(page_t page, u32 count) REQUIRES(lc_slab)
{
	g_arena.table[page + count - 1] = (struct arena_page){ .kind = PAGE_RUN, .count = count };
	g_arena.table[page] = (struct arena_page){ .kind = PAGE_RUN, .count = count };
}

bool page_alloc(u32 count, page_t *ret_page, bool *ret_dirty)
{
	struct arena_header *h = g_arena.header;
	page_t link = 0, page;
	bool dirty = false;

	for (unsigned int bin = bin_of(count); bin < ARENA_BINS && !link; bin++)
		link = bin_find(bin, count);
	if (link) {
		u32 have;

		page = link - 1;
		have = g_arena.table[page].count;
		dirty = g_arena.table[page].dirty;
		bin_remove(page);
		if (have > count)
			bin_insert(page + count, have - count, dirty);
	} else {
		if (count > h->page_limit - h->top)
			return false;
		page = h->top;
		h->top += count;
	}
	run_mark(page, count);
	h->used += count;
	*ret_page = page;
	*ret_dirty = dirty;
	return true;
}

void page_free(page_t page, u32 count)
{
	g_arena.header->used -= count;
	bin_insert_merged(page, count, true);
}

/* Take a dirty free run out of the bins, as if it were given out, the longest first. */
static bool trim_take(page_t *ret_page, u32 *ret_count) REQUIRES(lc_slab)
{
	for (unsigned int bin = ARENA_BINS; bin-- > 0;) {
		page_t link = g_arena.header->bins[bin];

		while (link && !g_arena.table[link - 1].dirty)
			link = g_arena.table[link - 1].next;
		if (link) {
			*ret_page = link - 1;
			*ret_count = g_arena.table[link - 1].count;
			bin_remove(link - 1);
			run_mark(*ret_page, *ret_count);
			return true;
		}
	}
	return false;
}

/* Give the memory of a run back; what is read there next is zero. */
static bool trim_release(page_t page, u32 count)
{
	char *p = page_address(page);
	size_t size = count * PAGE_SIZE;

	if (!g_arena.restored)
		return host_madvise(p, size, MADV_DONTNEED) == 0;
	return !host_is_err(host_mmap(p, size, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
				      0));
}

void page_trim(void)
{
	bool more = spin_none_held();

	while (more) {
		page_t page;
		u32 count;
		bool clean;

		spin_lock(&g_arena.lock, &lc_slab);
		more = g_arena.header->dirty > TRIM_RESERVE && trim_take(&page, &count);
		spin_unlock(&g_arena.lock, &lc_slab);
		if (!more)
			return;
		clean = trim_release(page, count);
		spin_lock(&g_arena.lock, &lc_slab);
		bin_insert_merged(page, count, !clean);
		spin_unlock(&g_arena.lock, &lc_slab);
		more = clean;
	}
}
