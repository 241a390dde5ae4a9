/*
 * The VMA tree. See vma.h.
 *
 * A VMA's gap is the free space just below it, so inserting, removing or resizing one changes the
 * gap of at most one other, its successor. The search for free space walks from high to low and
 * skips subtrees whose largest gap is too small; only VMAs above the upper limit are walked in
 * vain, and those are few (the stack).
 */

#include "mm/vma.h"

#include "base/bug.h"

static struct vma *rb_vma(struct rb_node *n)
{
	return rb_entry_safe(n, struct vma, rb);
}

/* What rb_* calls whenever the children of n have changed. */
static void vma_update_max_gap(struct rb_node *n)
{
	struct vma *v = rb_vma(n), *left = rb_vma(n->left), *right = rb_vma(n->right);
	u64 gap = v->gap;

	if (left)
		gap = max(gap, left->max_gap);
	if (right)
		gap = max(gap, right->max_gap);
	v->max_gap = gap;
}

void vma_tree_init(struct vma_tree *t, u64 low)
{
	t->root = RB_ROOT;
	list_init(&t->list);
	t->count = 0;
	t->low = low;
}

struct vma *vma_find(const struct vma_tree *t, u64 addr)
{
	struct vma *v = rb_vma(t->root.node), *found = NULL;

	while (v) {
		if (v->end > addr) {
			found = v;
			if (v->start <= addr)
				break;
			v = rb_vma(v->rb.left);
		} else {
			v = rb_vma(v->rb.right);
		}
	}
	return found;
}

struct vma *vma_find_overlap(const struct vma_tree *t, u64 start, u64 end)
{
	struct vma *v = vma_find(t, start);

	return v && v->start < end ? v : NULL;
}

struct vma *vma_lookup(const struct vma_tree *t, u64 addr)
{
	struct vma *v = vma_find(t, addr);

	return v && v->start <= addr ? v : NULL;
}

struct vma *vma_first(const struct vma_tree *t)
{
	return list_empty(&t->list) ? NULL : list_first(&t->list, struct vma, link);
}

struct vma *vma_next(const struct vma_tree *t, const struct vma *v)
{
	return v->link.next == &t->list ? NULL : list_entry(v->link.next, struct vma, link);
}

struct vma *vma_prev(const struct vma_tree *t, const struct vma *v)
{
	return v->link.prev == &t->list ? NULL : list_entry(v->link.prev, struct vma, link);
}

u64 vma_guarded_start(const struct vma *v)
{
	if (!(v->flags & VMA_GROWSDOWN))
		return v->start;
	return v->start > STACK_GUARD_GAP ? v->start - STACK_GUARD_GAP : 0;
}

static u64 vma_gap_bottom(const struct vma_tree *t, const struct vma *v)
{
	const struct vma *prev = vma_prev(t, v);

	return prev ? prev->end : t->low;
}

static u64 vma_compute_gap(const struct vma_tree *t, const struct vma *v)
{
	u64 top = vma_guarded_start(v), bottom = vma_gap_bottom(t, v);

	return top > bottom ? top - bottom : 0;
}

void vma_update_gap(struct vma_tree *t, struct vma *v)
{
	if (!v)
		return;
	v->gap = vma_compute_gap(t, v);
	rb_propagate(&v->rb, vma_update_max_gap);
}

void vma_insert(struct vma_tree *t, struct vma *v)
{
	struct rb_node **link = &t->root.node, *parent = NULL;
	struct vma *prev = NULL;

	while (*link) {
		parent = *link;
		if (v->start < rb_vma(parent)->start) {
			link = &parent->left;
		} else {
			prev = rb_vma(parent);
			link = &parent->right;
		}
	}
	list_add(prev ? &prev->link : &t->list, &v->link);
	v->gap = v->max_gap = vma_compute_gap(t, v);
	rb_link(&v->rb, parent, link);
	rb_insert(&t->root, &v->rb, vma_update_max_gap);
	t->count++;
	vma_update_gap(t, vma_next(t, v));
}

void vma_erase(struct vma_tree *t, struct vma *v)
{
	struct vma *next = vma_next(t, v);

	rb_erase(&t->root, &v->rb, vma_update_max_gap);
	list_del(&v->link);
	t->count--;
	vma_update_gap(t, next);
}

void vma_resize(struct vma_tree *t, struct vma *v, u64 start, u64 end)
{
	v->offset += start - v->start;
	v->start = start;
	v->end = end;
	vma_update_gap(t, v);
	vma_update_gap(t, vma_next(t, v));
}

static bool vma_gap_fits(u64 bottom, u64 top, u64 size, u64 low, u64 high, u64 *ret_addr)
{
	bottom = max(bottom, low);
	top = min(top, high);
	if (top < bottom || top - bottom < size)
		return false;
	*ret_addr = top - size;
	return true;
}

u64 vma_find_gap(const struct vma_tree *t, u64 size, u64 low, u64 high)
{
	/* A red-black tree of 2^16 nodes is at most 2 * 17 deep. */
	const struct vma *stack[48], *v = rb_vma(t->root.node);
	unsigned int depth = 0;
	u64 last_end = t->low, addr;

	if (!list_empty(&t->list))
		last_end = list_last(&t->list, struct vma, link)->end;
	if (vma_gap_fits(last_end, high, size, low, high, &addr))
		return addr;
	while (v || depth) {
		for (; v && v->max_gap >= size; v = v->end < high ? rb_vma(v->rb.right) : NULL) {
			BUG_ON(depth == ARRAY_SIZE(stack));
			stack[depth++] = v;
		}
		if (!depth)
			break;
		v = stack[--depth];
		if (vma_gap_fits(vma_gap_bottom(t, v), vma_guarded_start(v), size, low, high,
				 &addr))
			return addr;
		if (v->start <= low)
			break;
		v = rb_vma(v->rb.left);
	}
	return 0;
}

bool vma_can_merge(const struct vma *a, const struct vma *b)
{
	return a->end == b->start && a->flags == b->flags && a->file == b->file &&
	       a->name == b->name && !(a->flags & VMA_DONTEXPAND) &&
	       a->offset + (a->end - a->start) == b->offset;
}

void vma_tree_check(const struct vma_tree *t)
{
	const struct vma *v, *prev = NULL;
	u32 count = 0;
	u64 max_gap = 0;

	list_for_each(v, &t->list, link) {
		BUG_ON(v->start >= v->end || (v->start | v->end) & ~PAGE_MASK);
		BUG_ON(prev && prev->end > v->start);
		BUG_ON(v->gap != vma_compute_gap(t, v));
		BUG_ON(rb_vma(rb_prev(&v->rb)) != prev);
		max_gap = max(max_gap, v->gap);
		prev = v;
		count++;
	}
	BUG_ON(count != t->count);
	BUG_ON(t->root.node && rb_vma(t->root.node)->max_gap != max_gap);
}
