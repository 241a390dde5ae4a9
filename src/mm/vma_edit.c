/*
 * Changes of an address space's VMAs: cutting out a range, inserting, changing flags, and the
 * accounting that goes with them. Everything here is part of a commit: it cannot fail, and runs
 * under lc_mm and lc_vmas.
 */

#include "mm/impl.h"

#include <errno.h>

#include "arena/slab.h"
#include "base/bug.h"

SLAB_CLASS(vma, struct vma);

int vma_spares_get(struct vma_spares *sp, unsigned int count)
{
	*sp = (struct vma_spares){};
	BUG_ON(count > ARRAY_SIZE(sp->node));
	while (sp->count < count) {
		struct vma *v = slab_alloc(&slab_vma);

		if (!v) {
			vma_spares_put(sp);
			return -ENOMEM;
		}
		sp->node[sp->count++] = v;
	}
	return 0;
}

void vma_spares_put(struct vma_spares *sp)
{
	while (sp->count)
		slab_free(&slab_vma, sp->node[--sp->count]);
}

struct vma *vma_spares_take(struct vma_spares *sp)
{
	BUG_ON(!sp->count);
	return sp->node[--sp->count];
}

void vma_free_list(struct list *gone)
{
	struct vma *v, *next;

	list_for_each_safe(v, next, gone, link) {
		list_del(&v->link);
		if (v->file)
			v->file->ops->put(v->file);
		slab_free(&slab_vma, v);
	}
}

u32 vma_account_flag(u32 flags)
{
	u32 mask = VMA_WRITE | VMA_SHARED | VMA_NORESERVE;

	return (flags & mask) == VMA_WRITE ? VMA_ACCOUNT : 0;
}

void mm_account_pages(struct mm *mm, u32 flags, s64 pages)
{
	struct mm_counts *c = &mm->counts;
	u64 n = (u64)pages;

	c->total += n;
	if (flags & VMA_GROWSDOWN)
		c->stack += n;
	else if ((flags & (VMA_EXEC | VMA_WRITE)) == VMA_EXEC)
		c->exec += n;
	else if ((flags & (VMA_WRITE | VMA_SHARED)) == VMA_WRITE)
		c->data += n;
	if (flags & VMA_SHARED)
		c->shared += n;
	if (flags & VMA_LOCKED)
		c->locked += n;
	c->peak_total = max(c->peak_total, c->total);
}

static s64 vma_pages(const struct vma *v)
{
	return (s64)((v->end - v->start) >> PAGE_SHIFT);
}

static void mm_insert(struct mm *mm, struct vma *v)
{
	vma_insert(&mm->tree, v);
	mm_account_pages(mm, v->flags, vma_pages(v));
}

static void mm_erase(struct mm *mm, struct vma *v, struct list *gone)
{
	mm_account_pages(mm, v->flags, -vma_pages(v));
	vma_erase(&mm->tree, v);
	list_add_tail(gone, &v->link);
}

void mm_resize(struct mm *mm, struct vma *v, u64 start, u64 end)
{
	s64 before = vma_pages(v);

	vma_resize(&mm->tree, v, start, end);
	mm_account_pages(mm, v->flags, vma_pages(v) - before);
}

/* Split v at addr, which lies inside it; returns the upper part. */
static struct vma *mm_split(struct mm *mm, struct vma *v, u64 addr, struct vma_spares *sp)
	REQUIRES(lc_mm) REQUIRES(lc_vmas)
{
	struct vma *upper = vma_spares_take(sp);

	upper->start = addr;
	upper->end = v->end;
	upper->offset = v->offset + (addr - v->start);
	upper->file = v->file;
	upper->flags = v->flags;
	upper->name = v->name;
	if (upper->file)
		upper->file->ops->get(upper->file);
	mm_resize(mm, v, v->start, addr);
	mm_insert(mm, upper);
	return upper;
}

void mm_cut(struct mm *mm, u64 start, u64 end, struct vma_spares *sp, struct list *gone)
{
	struct vma *v = vma_find_overlap(&mm->tree, start, end), *next;

	if (v && v->start < start) {
		if (v->end > end) {
			mm_split(mm, v, end, sp);
			mm_resize(mm, v, v->start, start);
			return;
		}
		next = vma_next(&mm->tree, v);
		mm_resize(mm, v, v->start, start);
		v = next;
	}
	for (; v && v->start < end; v = next) {
		next = vma_next(&mm->tree, v);
		if (v->end > end) {
			mm_resize(mm, v, end, v->end);
			return;
		}
		mm_erase(mm, v, gone);
	}
}

/* Merge v into the VMA before it if they fit. Returns the one that has v's memory now. */
static struct vma *mm_merge_prev(struct mm *mm, struct vma *v, struct list *gone) REQUIRES(lc_mm)
	REQUIRES(lc_vmas)
{
	struct vma *prev = vma_prev(&mm->tree, v);
	u64 end = v->end;

	if (!prev || !vma_can_merge(prev, v))
		return v;
	mm_erase(mm, v, gone);
	mm_resize(mm, prev, prev->start, end);
	return prev;
}

static void mm_merge_next(struct mm *mm, struct vma *v, struct list *gone) REQUIRES(lc_mm)
	REQUIRES(lc_vmas)
{
	struct vma *next = vma_next(&mm->tree, v);

	if (next)
		mm_merge_prev(mm, next, gone);
}

void mm_link(struct mm *mm, struct vma *v, struct list *gone)
{
	struct vma *next = vma_find(&mm->tree, v->start), *prev;

	prev = next ? vma_prev(&mm->tree, next) : NULL;
	if (!next && !list_empty(&mm->tree.list))
		prev = list_last(&mm->tree.list, struct vma, link);
	if (prev && vma_can_merge(prev, v)) {
		mm_resize(mm, prev, prev->start, v->end);
		list_add_tail(gone, &v->link);
		mm_merge_next(mm, prev, gone);
	} else if (next && vma_can_merge(v, next)) {
		mm_resize(mm, next, v->start, next->end);
		list_add_tail(gone, &v->link);
	} else {
		mm_insert(mm, v);
	}
}

void mm_change(struct mm *mm, u64 start, u64 end, u32 set, u32 clear, struct vma_spares *sp,
	       struct list *gone)
{
	struct vma *v = vma_find_overlap(&mm->tree, start, end);

	for (; v && v->start < end; v = vma_next(&mm->tree, v)) {
		u32 flags = (v->flags & ~clear) | set;

		if (flags == v->flags) {
			v = mm_merge_prev(mm, v, gone);
			continue;
		}
		if (v->start < start)
			v = mm_split(mm, v, start, sp);
		if (v->end > end)
			mm_split(mm, v, end, sp);
		mm_account_pages(mm, v->flags, -vma_pages(v));
		v->flags = flags;
		mm_account_pages(mm, v->flags, vma_pages(v));
		v = mm_merge_prev(mm, v, gone);
	}
	/* v is the first VMA past the range, if any; the last changed one ends where it starts. */
	if (v)
		mm_merge_prev(mm, v, gone);
}

unsigned int mm_splits(struct mm *mm, u64 start, u64 end)
{
	const struct vma *v = vma_lookup(&mm->tree, start), *w = vma_lookup(&mm->tree, end);

	return (v && v->start < start) + (w && w->start < end);
}

bool mm_too_many(struct mm *mm, unsigned int count)
{
	return count && mm->tree.count + count > VMA_COUNT_MAX;
}

bool mm_covered(struct mm *mm, u64 start, u64 end)
{
	const struct vma *v = vma_find(&mm->tree, start);

	for (; v && v->start <= start; v = vma_next(&mm->tree, v)) {
		if (v->end >= end)
			return true;
		start = v->end;
	}
	return start >= end;
}

u64 mm_mapped_bytes(struct mm *mm, u64 start, u64 end, u32 flags)
{
	const struct vma *v = vma_find_overlap(&mm->tree, start, end);
	u64 bytes = 0;

	for (; v && v->start < end; v = vma_next(&mm->tree, v)) {
		if (!flags || v->flags & flags)
			bytes += min(v->end, end) - max(v->start, start);
	}
	return bytes;
}
