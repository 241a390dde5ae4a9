#pragma once

/*
 * What the files of mm share: struct mm, and the two steps of every change of mappings.
 *
 * Decide: under lc_mm, check, find the VMAs concerned and get the nodes that the change may need
 * (struct vma_spares). Operate: one pf_ call. Commit: under lc_vmas, change the tree, which cannot
 * fail. A failed operation leaves the tree as it was. Files that lost their last VMA are put after
 * the locks are released (struct list gone).
 */

#include "cred/rlimit.h"
#include "mm/mm.h"
#include "mm/vma.h"
#include "sched/lock_order.h"

/* Pages, as Linux counts them. */
struct mm_counts {
	u64 total, data, stack, exec, shared, locked;
	u64 peak_total;
};

struct mm {
	struct refcount refs;
	struct pf_space *space; /* [I] transient; owns a reference */
	struct mutex lock; /* class lc_mm: serializes changes of mappings */
	struct spin vmas_lock; /* class lc_vmas: all that follows; the tree as vma.h says */
	struct vma_tree tree;
	struct mm_counts counts;
	_Atomic bool may_have_locked; /* [a] some memory has been locked; never cleared */
	u32 future_flags; /* VMA_LOCKED and the like for new mappings (mlockall) */
	bool fixed; /* [I] after mm_fix_layout: nothing is placed at random */
	u64 stack_top; /* [I] after exec: end of the initial stack */
	u64 mmap_base; /* [I] after exec: where the search for free space begins, downwards */
	u64 brk;
	struct mm_layout layout;
	u64 auxv[2 * MM_AUXV_MAX];
	u32 auxv_count;
	struct mappable *exe; /* owns a reference, or null */
};

/* ---- decide ---- */

struct vma_spares {
	struct vma *node[4];
	unsigned int count;
};

/* -ENOMEM. */
[[nodiscard]] int vma_spares_get(struct vma_spares *sp, unsigned int count);
void vma_spares_put(struct vma_spares *sp);
struct vma *vma_spares_take(struct vma_spares *sp);

/* How many more VMAs there are when [start, end) is split off its neighbours: 0, 1 or 2. */
unsigned int mm_splits(struct mm *mm, u64 start, u64 end) REQUIRES(lc_mm);
/* True if count more VMAs are too many. */
bool mm_too_many(struct mm *mm, unsigned int count) REQUIRES(lc_mm);
/* True if [start, end) is mapped without a hole. */
bool mm_covered(struct mm *mm, u64 start, u64 end) REQUIRES(lc_mm);
/* Bytes of [start, end) that are mapped; those with a VMA flag of flags set, if flags is not 0. */
u64 mm_mapped_bytes(struct mm *mm, u64 start, u64 end, u32 flags) REQUIRES(lc_mm);
/* RLIMIT_AS and RLIMIT_DATA permit size more bytes with these VMA flags. */
bool mm_may_expand(struct subject *s, u32 flags, u64 size) REQUIRES(lc_mm);
/* The caller may lock memory at all. */
bool mm_can_lock(struct subject *s);
/* RLIMIT_MEMLOCK permits size more locked bytes. */
bool mm_may_lock(struct subject *s, u64 size) REQUIRES(lc_mm);
/* The caller has a capability in the root user namespace. */
bool mm_capable(struct subject *s, int cap);
/* Free space for size bytes below the mmap base; 0: none. align: a power of two. */
u64 mm_find_space(struct mm *mm, u64 size, u64 align) REQUIRES(lc_mm);
/* VMA_ACCOUNT if the host charges memory with these flags. */
u32 vma_account_flag(u32 flags);

/* ---- commit ---- */

/* Remove [start, end) from the tree. Takes at most one spare; removed VMAs go to gone. */
void mm_cut(struct mm *mm, u64 start, u64 end, struct vma_spares *sp, struct list *gone)
	REQUIRES(lc_mm) REQUIRES(lc_vmas);
/* Insert v, whose range is free, or merge it into a neighbour (then it, or the neighbour, goes to
 * gone). */
void mm_link(struct mm *mm, struct vma *v, struct list *gone) REQUIRES(lc_mm) REQUIRES(lc_vmas);
/* Set and clear flags of all that is mapped in [start, end). Takes at most two spares. */
void mm_change(struct mm *mm, u64 start, u64 end, u32 set, u32 clear, struct vma_spares *sp,
	       struct list *gone) REQUIRES(lc_mm) REQUIRES(lc_vmas);
/* Move v's lower or upper bound, into free space or inwards. */
void mm_resize(struct mm *mm, struct vma *v, u64 start, u64 end) REQUIRES(lc_mm) REQUIRES(lc_vmas);
/* Add pages (a negative number takes away) of memory with these flags to the counts. */
void mm_account_pages(struct mm *mm, u32 flags, s64 pages);
/* Free the VMAs of a list and put their files. May park; no lock but sleeping ones before lc_mm. */
void vma_free_list(struct list *gone);

/* ---- whole steps that several calls need ---- */

void mm_lock(struct mm *mm) ACQUIRE(lc_mm);
void mm_unlock(struct mm *mm) RELEASE(lc_mm);
/* Decide, operate and commit an unmapping. The range is valid and page-aligned. */
[[nodiscard]] int mm_unmap_locked(struct subject *s, u64 start, u64 end, struct list *gone)
	REQUIRES(lc_mm);
/* Tell the host again what madvise had said about v, for a new part of it. Errors do not matter. */
void mm_readvise(struct subject *s, u32 flags, u64 addr, u64 size) REQUIRES(lc_mm);
/* Fault in a range that has just been locked or mapped with MAP_POPULATE; best effort. */
void mm_populate(struct subject *s, u64 addr, u64 size);
/* Grow stacks downwards over what is not mapped of [addr, addr + size). True if one grew. */
bool mm_grow_stacks(struct subject *s, u64 addr, u64 size);

/* Random placement. */
void mm_layout_init(struct mm *mm);
void mm_layout_set_stack_limit(struct mm *mm, u64 stack_limit);
u64 mm_random_pages(unsigned int bits);
