#pragma once

/*
 * VMAs: the mapped ranges of one address space, in an augmented red-black tree (by address; each
 * subtree knows its largest gap) and a list in the same order.
 *
 * The tree is written with both lc_mm (sleeping) and lc_vmas (short) held, so either alone is
 * enough to read it. Ranges are [start, end), page-aligned, not empty, and do not overlap.
 */

#include "base/list.h"
#include "base/rbtree.h"
#include "base/types.h"

struct mappable;

/* The low bits are PROT_READ, PROT_WRITE and PROT_EXEC; four bits up, what mprotect may give. */
enum vma_flags {
	VMA_READ = 0x1,
	VMA_WRITE = 0x2,
	VMA_EXEC = 0x4,
	VMA_SHARED = 0x8,
	VMA_MAYREAD = 0x10,
	VMA_MAYWRITE = 0x20,
	VMA_MAYEXEC = 0x40,
	VMA_GROWSDOWN = 0x100,
	VMA_LOCKED = 0x200,
	VMA_LOCKONFAULT = 0x400,
	VMA_NORESERVE = 0x800,
	VMA_ACCOUNT = 0x1000, /* the host has charged it: private and at some time writable */
	VMA_DONTEXPAND = 0x2000, /* special mappings */
	VMA_DONTFORK = 0x4000,
	VMA_WIPEONFORK = 0x8000,
	VMA_DONTDUMP = 0x1'0000,
	VMA_SEQUENTIAL = 0x2'0000,
	VMA_RANDOM = 0x4'0000,
	VMA_HUGEPAGE = 0x8'0000,
	VMA_NOHUGEPAGE = 0x10'0000,
	VMA_MERGEABLE = 0x20'0000,
};
#define VMA_PROT 0x7u
#define VMA_MAY_SHIFT 4

enum vma_name {
	VMA_NAME_NONE,
	VMA_NAME_VDSO,
	VMA_NAME_VVAR,
};

#define VMA_COUNT_MAX 65530u
#define STACK_GUARD_GAP (256 * PAGE_SIZE)

/* All fields: written under lc_mm and lc_vmas. */
struct vma {
	u64 start, end;
	u64 offset; /* of start in the file; of anonymous memory, the address it was first mapped at
		     */
	struct mappable *file; /* owns a reference; null: private anonymous */
	u32 flags;
	u32 name; /* enum vma_name */
	struct rb_node rb;
	struct list link; /* in the tree's list; of a removed VMA, its caller's */
	u64 gap; /* free bytes just below, less a stack's guard gap */
	u64 max_gap; /* the largest gap in the subtree */
};

struct vma_tree {
	struct rb_root root;
	struct list list; /* by address */
	u32 count;
	u64 low; /* where the lowest gap begins */
};

void vma_tree_init(struct vma_tree *t, u64 low);
/* The lowest VMA that ends above addr (it may start above addr too), or null. */
struct vma *vma_find(const struct vma_tree *t, u64 addr);
/* The lowest VMA that overlaps [start, end), or null. */
struct vma *vma_find_overlap(const struct vma_tree *t, u64 start, u64 end);
/* The VMA that holds addr, or null. */
struct vma *vma_lookup(const struct vma_tree *t, u64 addr);
struct vma *vma_first(const struct vma_tree *t);
struct vma *vma_next(const struct vma_tree *t, const struct vma *v);
struct vma *vma_prev(const struct vma_tree *t, const struct vma *v);

void vma_insert(struct vma_tree *t, struct vma *v);
void vma_erase(struct vma_tree *t, struct vma *v);
/* Change the bounds of v, which keeps its place in the order; the offset follows start. */
void vma_resize(struct vma_tree *t, struct vma *v, u64 start, u64 end);
/* Recompute v's gap after a change of VMA_GROWSDOWN or of its neighbours. */
void vma_update_gap(struct vma_tree *t, struct vma *v);

/* Where v's guard begins: its start, or below it for a stack. */
u64 vma_guarded_start(const struct vma *v);
/*
 * The highest address in [low, high) with size free bytes, clear of guard gaps; 0 if there is none.
 * size is not 0.
 */
u64 vma_find_gap(const struct vma_tree *t, u64 size, u64 low, u64 high);
/* True if b, which starts where a ends, can be one VMA with it. */
bool vma_can_merge(const struct vma *a, const struct vma *b);

/* For tests: panics if the tree is not in order. */
void vma_tree_check(const struct vma_tree *t);
