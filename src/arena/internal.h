#pragma once

/* What the files of the arena share with each other; nobody else includes this. */

#include "arena/arena.h"
#include "arena/slab.h"
#include "base/types.h"
#include "sched/lock.h"
#include "sched/lock_order.h"

/*
 * Layout, from the base: vault (VAULT_SIZE), header, page table (struct arena_page for each page),
 * pages. The header and the page table are plain data like everything else and are part of a dump.
 * Untouched parts cost no memory.
 */
#define VAULT_SIZE (256 * 1024UL)
#define HEADER_ROOM (256 * 1024UL)
#define ARENA_MAGIC 0x616e6572'616a6e64UL
#define ARENA_BINS 32
#define SLAB_STATES_MAX 512
#define SLAB_NAME_MAX 32

/* A page's index; lists of pages hold 1 + index, 0 ends them. */
typedef u32 page_t;

enum page_kind {
	PAGE_NONE, /* never used, or inside a run: only the first and last pages of a run say what
		      it is */
	PAGE_FREE,
	PAGE_RUN, /* given out by page_alloc; also first page of a large arena_alloc */
	PAGE_SLAB, /* first page of a slab */
	PAGE_SLAB_TAIL, /* further pages of one */
};

struct arena_page {
	u8 kind;
	bool dirty; /* free run, first page: perhaps not zero */
	u16 state; /* slab: index of its class state */
	u32 count; /* first and last page: length of the run; slab tail: distance to the first page
		    */
	page_t next, prev; /* free list of a bin, or partial slabs of a class */
	u16 fresh; /* slab: objects from this index on were never used */
	u16 used; /* slab: live objects */
	u16 free; /* slab: 1 + index of the first freed object */
	u16 unused;
};

/* State of a slab class, or of a size class of arena_alloc. */
struct slab_state {
	char name[SLAB_NAME_MAX];
	u32 size; /* what the class says */
	u32 stride; /* bytes from one object to the next */
	u16 per_slab; /* objects */
	u16 pages; /* of a slab */
	page_t partial; /* slabs with room */
	u32 empty; /* of those, the ones without a live object */
	u64 live;
};

struct arena_header {
	u64 magic;
	u64 base, size;
	u64 ops_size;
	void *roots[ARENA_ROOT_COUNT];
	u32 page_limit; /* pages that fit, or may be used */
	page_t top; /* pages from here on were never used */
	u32 used; /* pages given out */
	u32 dirty; /* free pages that are perhaps not zero */
	page_t bins[ARENA_BINS]; /* free runs by the logarithm of their length */
	u32 state_count;
	struct slab_state states[SLAB_STATES_MAX];
};

/* The process's own view; set once by arena_create or arena_map. */
struct arena {
	char *base; /* null: no arena */
	size_t size;
	struct arena_header *header;
	struct arena_page *table;
	char *pages; /* address of page 0 */
	bool restored; /* mapped from an image: MADV_DONTNEED would bring old contents back */
	struct spin lock; /* all of header and table: lc_slab */
	bool (*fault_hook)(size_t size);
};

extern struct arena g_arena;

static inline char *page_address(page_t page)
{
	return g_arena.pages + (size_t)page * PAGE_SIZE;
}

static inline page_t page_of(const void *p)
{
	return (page_t)((size_t)((const char *)p - g_arena.pages) / PAGE_SIZE);
}

/* Set g_arena's addresses for an arena of size bytes mapped at base. */
void arena_set_layout(void *base, size_t size);
size_t arena_table_room(size_t size);
/* Reserve address space: at base, or at a random place if that is null. Null on failure. */
void *arena_reserve(void *base, size_t size);
[[nodiscard]] int arena_fill_vault(void);

/* A run of count pages; *ret_dirty: perhaps not zero. False when the arena is full. */
bool page_alloc(u32 count, page_t *ret_page, bool *ret_dirty) REQUIRES(lc_slab);
void page_free(page_t page, u32 count) REQUIRES(lc_slab);
#define TRIM_START 128u /* dirty free pages from which on page_trim is worth a call */
/* Give free memory back to the host, if there is much and no short lock is held. */
void page_trim(void) EXCLUDES(lc_slab);

/* slab.c */
void slab_reset(void); /* forget which class has which state */
const struct slab_class *slab_class_by_name(const char *name);
/* Allocate from a size class; null when memory is short or size is too large for one. Zeroed. */
void *slab_alloc_size(size_t size);
void slab_free_size(void *p);
#define SLAB_SIZE_MAX 2048u
/* The size of the objects of the slab that p lies in. */
size_t slab_object_size(const void *p);
/* Set the bit of each free object of the slab at page. */
#define SLAB_OBJECTS_MAX 256u
void slab_free_map(page_t page, u64 *map);
