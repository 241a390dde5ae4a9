/*
 * Slab caches. A slab is a run of pages with objects of one class; its bookkeeping is in the page
 * table, so a page of objects holds nothing else. Freed objects are linked through their first
 * word; never-used ones are not linked at all, so a new slab's pages are touched one by one. One
 * empty slab a class is kept.
 *
 * Debug builds fill freed objects and check the fill when they are given out again; ASan builds
 * poison them.
 */

#include "arena/slab.h"

#include <stdatomic.h>
#include <string.h>

#include "arena/internal.h"
#include "base/bitmap.h"
#include "base/bug.h"
#include "host/sanitize.h"

#define SLAB_PAGES_MAX 8
#define SLAB_FREE_MAGIC 0x6b6b'6b6b'6b6bUL
#define CLASS_STRIDE align_up(sizeof(struct slab_class), 16)
#define CLASSES_MAX (SLAB_STATES_MAX - ARRAY_SIZE(size_classes))

extern const char __start_donjon_slabs[] __attribute__((weak, visibility("hidden")));
extern const char __stop_donjon_slabs[] __attribute__((weak, visibility("hidden")));

static const u16 size_classes[] = { 16,	 32,  48,  64,	96,   128,	    192,
				    256, 384, 512, 768, 1024, SLAB_SIZE_MAX };

/* 1 + index of the state of each class of the binary (and, behind them, of each size class); 0: not
 * known yet. */
static u16 g_state_of[SLAB_STATES_MAX];

/* ---- classes ---- */

static size_t class_count(void)
{
	return (size_t)(__stop_donjon_slabs - __start_donjon_slabs + CLASS_STRIDE - 1) /
	       CLASS_STRIDE;
}

static const struct slab_class *class_at(size_t i)
{
	return (const struct slab_class *)(const void *)(__start_donjon_slabs + i * CLASS_STRIDE);
}

const struct slab_class *slab_class_by_name(const char *name)
{
	for (size_t i = 0; i < class_count(); i++) {
		if (!strcmp(class_at(i)->name, name))
			return class_at(i);
	}
	return NULL;
}

void slab_reset(void)
{
	memset(g_state_of, 0, sizeof(g_state_of));
}

/* Choose the pages of a slab: as few as waste at most an eighth. */
static void state_set_shape(struct slab_state *s)
{
	u32 pages = (u32)(page_up(s->stride) / PAGE_SIZE);
	u32 best = pages, best_waste = UINT32_MAX;

	for (; pages <= SLAB_PAGES_MAX; pages++) {
		u32 size = pages * (u32)PAGE_SIZE;
		u32 waste = size % s->stride * 64 / size;

		if (waste < best_waste) {
			best = pages;
			best_waste = waste;
		}
		if (waste <= 8)
			break;
	}
	s->pages = (u16)best;
	s->per_slab = (u16)min(best * (u32)PAGE_SIZE / s->stride, SLAB_OBJECTS_MAX);
}

/* Find the state called name in the header, or make it. */
static u16 state_find(const char *name, u32 size, u32 align) REQUIRES(lc_slab)
{
	struct arena_header *h = g_arena.header;
	struct slab_state *s;

	for (u32 i = 0; i < h->state_count; i++) {
		if (strcmp(h->states[i].name, name) != 0)
			continue;
		if (h->states[i].size != size)
			panic("slab class %s: size %u, was %u", name, size, h->states[i].size);
		return (u16)i;
	}
	if (h->state_count == SLAB_STATES_MAX || strlen(name) >= SLAB_NAME_MAX)
		panic("slab class %s: too many classes, or name too long", name);
	s = &h->states[h->state_count];
	memcpy(s->name, name, strlen(name) + 1);
	s->size = size;
	s->stride = (u32)align_up(max(size, 16u), max(align, 16u));
	state_set_shape(s);
	return (u16)h->state_count++;
}

static struct slab_state *state_of(const struct slab_class *class) REQUIRES(lc_slab)
{
	size_t i = (size_t)((const char *)class - __start_donjon_slabs) / CLASS_STRIDE;

	BUG_ON(i >= CLASSES_MAX);
	if (unlikely(!g_state_of[i]))
		g_state_of[i] = state_find(class->name, class->size, class->align) + 1;
	return &g_arena.header->states[g_state_of[i] - 1];
}

static struct slab_state *state_of_size(size_t size) REQUIRES(lc_slab)
{
	size_t i = 0;
	u16 *known;

	while (size_classes[i] < size)
		i++;
	known = &g_state_of[CLASSES_MAX + i];
	if (unlikely(!*known)) {
		char name[] = "size-0000";

		for (u32 n = size_classes[i], at = 8; n; n /= 10)
			name[at--] = (char)('0' + n % 10);
		*known = state_find(name, size_classes[i], 16) + 1;
	}
	return &g_arena.header->states[*known - 1];
}

/* ---- slabs ---- */

static void partial_add(struct slab_state *s, page_t page) REQUIRES(lc_slab)
{
	struct arena_page *p = &g_arena.table[page];

	p->prev = 0;
	p->next = s->partial;
	if (s->partial)
		g_arena.table[s->partial - 1].prev = page + 1;
	s->partial = page + 1;
}

static void partial_remove(struct slab_state *s, page_t page) REQUIRES(lc_slab)
{
	struct arena_page *p = &g_arena.table[page];

	if (p->next)
		g_arena.table[p->next - 1].prev = p->prev;
	if (p->prev)
		g_arena.table[p->prev - 1].next = p->next;
	else
		s->partial = p->next;
	p->next = p->prev = 0;
}

static bool slab_grow(struct slab_state *s) REQUIRES(lc_slab)
{
	page_t page;
	bool dirty;

	if (!page_alloc(s->pages, &page, &dirty))
		return false;
	for (u32 i = 1; i < s->pages; i++)
		g_arena.table[page + i] = (struct arena_page){ .kind = PAGE_SLAB_TAIL, .count = i };
	g_arena.table[page] = (struct arena_page){
		.kind = PAGE_SLAB,
		.state = (u16)(s - g_arena.header->states),
		.count = s->pages,
	};
	s->empty++;
	partial_add(s, page);
	return true;
}

static char *slab_object(const struct slab_state *s, page_t page, u32 index)
{
	return page_address(page) + (size_t)index * s->stride;
}

/* The first page of the slab that p lies in, and p's index there. Panics unless p is an object. */
static page_t slab_locate(const void *p, u32 *ret_index)
{
	const struct arena_page *t = g_arena.table;
	const struct slab_state *s;
	page_t page;
	size_t off;

	if (!arena_contains(p))
		panic("slab: %p is not in the arena", p);
	page = page_of(p);
	if (t[page].kind == PAGE_SLAB_TAIL)
		page -= t[page].count;
	if (t[page].kind != PAGE_SLAB)
		panic("slab: %p is not an object", p);
	s = &g_arena.header->states[t[page].state];
	off = (size_t)((const char *)p - page_address(page));
	if (off % s->stride != 0 || off / s->stride >= t[page].fresh)
		panic("slab %s: %p is not an object", s->name, p);
	*ret_index = (u32)(off / s->stride);
	return page;
}

/* What a free object holds in its first word: its successor, and a mark. */
static void free_word_set(char *obj, u16 next)
{
	u64 word = SLAB_FREE_MAGIC << 16 | next;

	memcpy(obj, &word, sizeof(word));
}

static u64 free_word(const char *obj)
{
	u64 word;

	memcpy(&word, obj, sizeof(word));
	return word;
}

static u16 free_word_next(const struct slab_state *s, const char *obj)
{
	u64 word = free_word(obj);

	if (unlikely(word >> 16 != SLAB_FREE_MAGIC || (u16)word > s->per_slab))
		panic("slab %s: freed object %p was written to", s->name, (const void *)obj);
	return (u16)word;
}

#ifdef DONJON_DEBUG
static void slab_fill(const struct slab_state *s, char *obj)
{
	memset(obj + 8, 0x6b, s->stride - 8);
}

static void slab_check_fill(const struct slab_state *s, const char *obj)
{
	for (u32 i = 8; i < s->stride; i++) {
		if (obj[i] != 0x6b)
			panic("slab %s: freed object %p was written to at %u", s->name,
			      (const void *)obj, i);
	}
}
#else
static void slab_fill(const struct slab_state *s, char *obj)
{
}

static void slab_check_fill(const struct slab_state *s, const char *obj)
{
}
#endif

static void *slab_take(struct slab_state *s) REQUIRES(lc_slab)
{
	struct arena_page *p;
	page_t page;
	char *obj;

	if (!s->partial && !slab_grow(s))
		return NULL;
	page = s->partial - 1;
	p = &g_arena.table[page];
	if (p->free) {
		obj = slab_object(s, page, p->free - 1u);
		p->free = free_word_next(s, obj);
		sanitize_unpoison(obj, s->stride);
		slab_check_fill(s, obj);
	} else {
		obj = slab_object(s, page, p->fresh++);
		sanitize_unpoison(obj, s->stride);
	}
	if (p->used++ == 0)
		s->empty--;
	if (p->used == s->per_slab)
		partial_remove(s, page);
	s->live++;
	return obj;
}

static bool slab_index_is_free(const struct slab_state *s, page_t page, u32 index)
{
	for (u32 link = g_arena.table[page].free; link;
	     link = free_word_next(s, slab_object(s, page, link - 1))) {
		if (link - 1 == index)
			return true;
	}
	return false;
}

static void slab_give(struct slab_state *s, page_t page, u32 index) REQUIRES(lc_slab)
{
	struct arena_page *p = &g_arena.table[page];
	char *obj = slab_object(s, page, index);

	if (unlikely(free_word(obj) >> 16 == SLAB_FREE_MAGIC) && slab_index_is_free(s, page, index))
		panic("slab %s: %p freed twice", s->name, (void *)obj);
	slab_fill(s, obj);
	free_word_set(obj, p->free);
	sanitize_poison(obj + 8, s->stride - 8);
	p->free = (u16)(index + 1);
	if (p->used-- == s->per_slab)
		partial_add(s, page);
	s->live--;
	if (p->used > 0)
		return;
	if (s->empty == 0) {
		s->empty++;
		return;
	}
	partial_remove(s, page);
	sanitize_unpoison(page_address(page), s->pages * PAGE_SIZE);
	for (u32 i = 0; i < s->pages; i++)
		g_arena.table[page + i] = (struct arena_page){};
	page_free(page, s->pages);
}

/* ---- the interface ---- */

static bool slab_fault(size_t size)
{
	return unlikely(g_arena.fault_hook) && g_arena.fault_hook(size);
}

void *slab_alloc(const struct slab_class *class)
{
	void *obj;

	if (slab_fault(class->size))
		return NULL;
	spin_lock(&g_arena.lock, &lc_slab);
	obj = slab_take(state_of(class));
	spin_unlock(&g_arena.lock, &lc_slab);
	if (obj)
		memset(obj, 0, class->size);
	return obj;
}

void *slab_alloc_size(size_t size)
{
	struct slab_state *s;
	void *obj;

	if (slab_fault(size))
		return NULL;
	spin_lock(&g_arena.lock, &lc_slab);
	s = state_of_size(size);
	obj = slab_take(s);
	spin_unlock(&g_arena.lock, &lc_slab);
	if (obj)
		memset(obj, 0, s->size);
	return obj;
}

static void slab_free_common(const struct slab_class *class, void *obj)
{
	struct slab_state *s;
	page_t page;
	u32 index;
	bool trim;

	spin_lock(&g_arena.lock, &lc_slab);
	page = slab_locate(obj, &index);
	s = &g_arena.header->states[g_arena.table[page].state];
	if (class && s != state_of(class))
		panic("slab %s: %p is of class %s", class->name, obj, s->name);
	slab_give(s, page, index);
	trim = g_arena.header->dirty > TRIM_START;
	spin_unlock(&g_arena.lock, &lc_slab);
	if (unlikely(trim))
		page_trim();
}

void slab_free(const struct slab_class *class, void *obj)
{
	if (obj)
		slab_free_common(class, obj);
}

void slab_free_size(void *p)
{
	slab_free_common(NULL, p);
}

size_t slab_object_size(const void *p)
{
	const struct arena_page *t = g_arena.table;
	page_t page = page_of(p);

	if (t[page].kind == PAGE_SLAB_TAIL)
		page -= t[page].count;
	return g_arena.header->states[t[page].state].size;
}

u64 slab_count(const struct slab_class *class)
{
	u64 live;

	spin_lock(&g_arena.lock, &lc_slab);
	live = state_of(class)->live;
	spin_unlock(&g_arena.lock, &lc_slab);
	return live;
}

u64 slab_count_all(void)
{
	u64 live = 0;

	spin_lock(&g_arena.lock, &lc_slab);
	for (u32 i = 0; i < g_arena.header->state_count; i++)
		live += g_arena.header->states[i].live;
	spin_unlock(&g_arena.lock, &lc_slab);
	return live;
}

void slab_for_each_class(void (*fn)(const char *name, u64 count, void *arg), void *arg)
{
	for (u32 i = 0; i < g_arena.header->state_count; i++)
		fn(g_arena.header->states[i].name, g_arena.header->states[i].live, arg);
}

void slab_free_map(page_t page, u64 *map)
{
	const struct arena_page *p = &g_arena.table[page];
	const struct slab_state *s = &g_arena.header->states[p->state];

	memset(map, 0, BITMAP_WORDS(SLAB_OBJECTS_MAX) * sizeof(*map));
	for (u32 i = p->fresh; i < s->per_slab; i++)
		bitmap_set(map, i);
	for (u32 link = p->free; link; link = free_word_next(s, slab_object(s, page, link - 1)))
		bitmap_set(map, link - 1);
}

void slab_for_each(const struct slab_class *class, void (*fn)(void *obj, void *arg), void *arg)
{
	u64 map[BITMAP_WORDS(SLAB_OBJECTS_MAX)];
	const struct slab_state *s;
	const struct arena_page *p;

	spin_lock(&g_arena.lock, &lc_slab);
	s = state_of(class);
	spin_unlock(&g_arena.lock, &lc_slab);
	for (page_t page = 0; page < g_arena.header->top; page += p->count) {
		p = &g_arena.table[page];
		if (p->kind != PAGE_SLAB || &g_arena.header->states[p->state] != s)
			continue;
		slab_free_map(page, map);
		for (u32 i = 0; i < s->per_slab; i++) {
			if (!bitmap_test(map, i))
				fn(slab_object(s, page, i), arg);
		}
	}
}
