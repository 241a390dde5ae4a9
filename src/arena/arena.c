/*
 * The arena: its address range, the vault of ops tables, and untyped memory. Pages are in pages.c,
 * typed objects in slab.c, dumps in dump.c.
 */

#include "arena/arena.h"

#include <errno.h>
#include <string.h>

#include "arena/internal.h"
#include "base/bug.h"
#include "base/ops.h"
#include "host/host.h"
#include "host/sanitize.h"

#ifdef DONJON_TSAN
#define ARENA_BASE_MIN 0x7e80'0000'0000UL /* TSan's other ranges for programs are much smaller */
#define ARENA_BASE_END 0x7ec0'0000'0000UL
#else
#define ARENA_BASE_MIN 0x2000'0000'0000UL
#define ARENA_BASE_END 0x5000'0000'0000UL
#endif
#define ARENA_ALIGN (2UL << 20)
#define ARENA_SIZE (64UL << 30)
#define ARENA_SIZE_MIN (1UL << 30)
#define RESERVE_TRIES 32

struct arena g_arena;

/* ---- address space ---- */

size_t arena_table_room(size_t size)
{
	return align_up(size / PAGE_SIZE * sizeof(struct arena_page), ARENA_ALIGN);
}

void arena_set_layout(void *base, size_t size)
{
	char *p = base;

	g_arena.base = p;
	g_arena.size = size;
	g_arena.header = (struct arena_header *)(void *)(p + VAULT_SIZE);
	g_arena.table = (struct arena_page *)(void *)(p + VAULT_SIZE + HEADER_ROOM);
	g_arena.pages = p + ARENA_ALIGN + arena_table_room(size);
}

void *arena_reserve(void *base, size_t size)
{
	for (int i = 0; i < (base ? 1 : RESERVE_TRIES); i++) {
		u64 slots = (ARENA_BASE_END - ARENA_BASE_MIN - size) / ARENA_ALIGN;
		char *want = base, *p;

		if (!want)
			want = (char *)(ARENA_BASE_MIN + host_random_u64() % slots * ARENA_ALIGN);
		p = host_mmap(want, size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
			      0);
		if (host_is_err(p))
			continue;
		if (p == want) {
			/* A huge page for a small kernel would be most of its memory. May be
			 * unsupported. */
			host_madvise(p, size, MADV_NOHUGEPAGE);
			return p;
		}
		host_munmap(p, size);
	}
	return NULL;
}

/* ---- the vault ---- */

static size_t ops_section_size(void)
{
	return (size_t)(__stop_donjon_ops - __start_donjon_ops);
}

/* Make the original tables useless: whoever stored the address of one finds out at once. */
static void ops_section_set(const void *from)
{
	char *section = (char *)__start_donjon_ops;
	char *start = (char *)page_down((u64)section);
	size_t size = page_up((u64)__stop_donjon_ops) - (u64)start;

	/* The compiler takes the section for constant and would drop stores to it. */
	__asm__("" : "+r"(section));
	if (ops_section_size() == 0 || host_mprotect(start, size, PROT_READ | PROT_WRITE))
		return;
	if (from)
		memcpy(section, from, ops_section_size());
	else
		memset(section, 0xdb, ops_section_size());
}

int arena_fill_vault(void)
{
	size_t size = ops_section_size();
	int ret;

	if (size > VAULT_SIZE)
		return -E2BIG;
	memcpy(g_arena.base, __start_donjon_ops, size);
	ret = host_mprotect(g_arena.base, VAULT_SIZE, PROT_READ);
	if (ret)
		return ret;
	g_vault_ops = g_arena.base;
	ops_section_set(NULL);
	return 0;
}

int arena_create(void)
{
	size_t size = ARENA_SIZE;
	struct arena_header *h;
	char *base = NULL;
	int ret;

	_Static_assert(sizeof(struct arena_header) <= HEADER_ROOM, "");
	_Static_assert(VAULT_SIZE + HEADER_ROOM <= ARENA_ALIGN, "");
	BUG_ON(g_arena.base);
	while (!base && size >= ARENA_SIZE_MIN) {
		base = arena_reserve(NULL, size);
		if (!base)
			size /= 4;
	}
	if (!base)
		return -ENOMEM;
	arena_set_layout(base, size);
	ret = arena_fill_vault();
	if (ret) {
		host_munmap(base, size);
		g_arena.base = NULL;
		return ret;
	}
	h = g_arena.header;
	h->magic = ARENA_MAGIC;
	h->base = (u64)base;
	h->size = size;
	h->ops_size = ops_section_size();
	h->page_limit = (u32)((size_t)(base + size - g_arena.pages) / PAGE_SIZE);
	slab_reset();
	return 0;
}

void arena_set_limit(u64 bytes)
{
	struct arena_header *h = g_arena.header;

	spin_lock(&g_arena.lock, &lc_slab);
	h->page_limit = (u32)min((u64)h->page_limit, bytes / PAGE_SIZE);
	spin_unlock(&g_arena.lock, &lc_slab);
}

void arena_destroy(void)
{
	if (!g_arena.base)
		return;
	ops_section_set(g_vault_ops);
	g_vault_ops = NULL;
	/* Objects that were freed are poisoned, and other mappings may come here. */
	sanitize_unpoison(g_arena.pages, (size_t)g_arena.header->top * PAGE_SIZE);
	host_munmap(g_arena.base, g_arena.size);
	g_arena = (struct arena){};
	slab_reset();
}

bool arena_contains(const void *p)
{
	return (const char *)p >= g_arena.pages && (const char *)p < g_arena.base + g_arena.size;
}

u64 arena_used(void)
{
	u64 used;

	spin_lock(&g_arena.lock, &lc_slab);
	used = (u64)g_arena.header->used * PAGE_SIZE;
	spin_unlock(&g_arena.lock, &lc_slab);
	return used;
}

void *arena_root_of(enum arena_root_id id)
{
	return g_arena.header->roots[id];
}

void arena_set_root_of(enum arena_root_id id, void *root)
{
	g_arena.header->roots[id] = root;
}

void arena_set_fault_hook(bool (*hook)(size_t size))
{
	g_arena.fault_hook = hook;
}

/* ---- untyped memory ---- */

static void *arena_alloc_pages(size_t size)
{
	size_t count = (size + PAGE_SIZE - 1) / PAGE_SIZE;
	page_t page;
	bool dirty, done;

	if (size > g_arena.size || (g_arena.fault_hook && g_arena.fault_hook(size)))
		return NULL;
	spin_lock(&g_arena.lock, &lc_slab);
	done = page_alloc((u32)count, &page, &dirty);
	spin_unlock(&g_arena.lock, &lc_slab);
	if (!done)
		return NULL;
	if (dirty)
		memset(page_address(page), 0, count * PAGE_SIZE);
	return page_address(page);
}

void *arena_alloc(size_t size)
{
	return size <= SLAB_SIZE_MAX ? slab_alloc_size(size) : arena_alloc_pages(size);
}

static void arena_free_pages(void *p)
{
	page_t page = page_of(p);
	bool trim;

	spin_lock(&g_arena.lock, &lc_slab);
	page_free(page, g_arena.table[page].count);
	trim = g_arena.header->dirty > TRIM_START;
	spin_unlock(&g_arena.lock, &lc_slab);
	if (trim)
		page_trim();
}

/* True if p was given out as whole pages. */
static bool arena_is_run(const void *p)
{
	if (!arena_contains(p))
		panic("arena: %p is not in it", p);
	return ((u64)p & ~PAGE_MASK) == 0 && g_arena.table[page_of(p)].kind == PAGE_RUN;
}

void arena_free(void *p)
{
	if (!p)
		return;
	if (arena_is_run(p))
		arena_free_pages(p);
	else
		slab_free_size(p);
}

/* How many bytes there are at p. */
static size_t arena_capacity(const void *p)
{
	return arena_is_run(p) ? g_arena.table[page_of(p)].count * PAGE_SIZE : slab_object_size(p);
}

void *arena_realloc(void *old, size_t old_size, size_t new_size)
{
	void *new;

	if (old && new_size <= arena_capacity(old) && new_size >= old_size / 2) {
		if (new_size > old_size)
			memset((char *)old + old_size, 0, new_size - old_size);
		return old;
	}
	new = arena_alloc(new_size);
	if (!new)
		return NULL;
	if (old)
		memcpy(new, old, min(old_size, new_size));
	arena_free(old);
	return new;
}

char *arena_strdup(const char *s)
{
	return arena_memdup(s, strlen(s) + 1);
}

void *arena_memdup(const void *p, size_t size)
{
	void *new = arena_alloc(size);

	if (new &&size)
		memcpy(new, p, size);
	return new;
}
