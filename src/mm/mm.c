/* Address spaces: life, and what is neither mapping nor memory. */

#include "mm/mm.h"

#include <errno.h>
#include <string.h>

#include "arena/slab.h"
#include "mm/impl.h"

SLAB_CLASS(mm, struct mm, TRANSIENT(struct mm, space), TRANSIENT(struct mm, lock.owner));

static struct mm *mm_alloc(void)
{
	struct mm *mm = slab_alloc(&slab_mm);

	if (!mm)
		return NULL;
	refcount_init(&mm->refs, 1);
	mutex_init(&mm->lock);
	spin_init(&mm->vmas_lock);
	vma_tree_init(&mm->tree, PF_MMAP_MIN);
	return mm;
}

int mm_create(struct mm **ret_mm, struct pf_thread **ret_thread)
{
	struct mm *mm = mm_alloc();
	int err;

	if (!mm)
		return -ENOMEM;
	err = pf_space_create(&mm->space, ret_thread);
	if (err) {
		slab_free(&slab_mm, mm);
		return err;
	}
	pf_space_get(mm->space);
	mm_layout_init(mm);
	*ret_mm = mm;
	return 0;
}

/* Copy the VMAs that a child inherits. */
static int mm_copy_vmas(struct mm *from, struct mm *to) REQUIRES(lc_mm)
{
	const struct vma *v;

	list_for_each(v, &from->tree.list, link) {
		struct vma_spares sp;
		struct vma *copy;

		if (v->flags & VMA_DONTFORK)
			continue;
		if (vma_spares_get(&sp, 1))
			return -ENOMEM;
		copy = vma_spares_take(&sp);
		copy->start = v->start;
		copy->end = v->end;
		copy->offset = v->offset;
		copy->file = v->file;
		copy->flags = v->flags & ~(u32)(VMA_LOCKED | VMA_LOCKONFAULT);
		copy->name = v->name;
		if (copy->file)
			copy->file->ops->get(copy->file);
		vma_insert(&to->tree, copy);
	}
	return 0;
}

/* The counts of a child, whose parent's were from's. */
static void mm_copy_counts(struct mm *from, struct mm *to) REQUIRES(lc_mm)
{
	const struct vma *v;

	to->counts = from->counts;
	to->counts.locked = 0;
	list_for_each(v, &from->tree.list, link) {
		if (v->flags & VMA_DONTFORK)
			mm_account_pages(to, v->flags & ~(u32)VMA_LOCKED,
					 -(s64)((v->end - v->start) >> PAGE_SHIFT));
	}
	to->counts.peak_total = to->counts.total;
}

static int mm_fork_locked(struct subject *s, struct mm *child, struct pf_thread **ret_thread)
	REQUIRES(lc_mm)
{
	struct mm *mm = s->mm;
	int err = mm_copy_vmas(mm, child);

	if (err)
		return err;
	mm_copy_counts(mm, child);
	child->stack_top = mm->stack_top;
	child->mmap_base = mm->mmap_base;
	child->brk = mm->brk;
	child->layout = mm->layout;
	memcpy(child->auxv, mm->auxv, sizeof(child->auxv));
	child->auxv_count = mm->auxv_count;
	return pf_space_fork(s->thread, &child->space, ret_thread);
}

int mm_fork(struct subject *s, struct mm **ret_mm, struct pf_thread **ret_thread)
{
	struct mm *child = mm_alloc();
	int err;

	if (!child)
		return -ENOMEM;
	child->exe = mm_get_exe(s->mm);
	mm_lock(s->mm);
	err = mm_fork_locked(s, child, ret_thread);
	mm_unlock(s->mm);
	if (err) {
		mm_put(child);
		return err;
	}
	pf_space_get(child->space);
	*ret_mm = child;
	return 0;
}

void mm_get(struct mm *mm)
{
	refcount_get(&mm->refs);
}

void mm_put(struct mm *mm)
{
	if (!mm || !refcount_put(&mm->refs))
		return;
	/* Nobody else knows it, so no lock is needed; and links of the list are all that
	 * vma_free_list looks at. */
	vma_free_list(&mm->tree.list);
	if (mm->exe)
		mm->exe->ops->put(mm->exe);
	if (mm->space)
		pf_space_put(mm->space);
	slab_free(&slab_mm, mm);
}

struct pf_space *mm_space(struct mm *mm)
{
	return mm->space;
}

/* Its address: no two live at a time, it is the same after a restore, and no task outlives its mm
 * in a futex. */
u64 mm_id(const struct mm *mm)
{
	return (u64)(uintptr_t)mm;
}

/* So many that the host, which merges less and has mappings of its own, may refuse one more. */
#define CROWD 16384

void mm_lock(struct mm *mm)
{
	mutex_lock(&mm->lock, &lc_mm);
	pf_space_set_crowded(mm->space, mm->tree.count > CROWD);
}

void mm_unlock(struct mm *mm)
{
	mutex_unlock(&mm->lock, &lc_mm);
}

void mm_set_layout(struct mm *mm, const struct mm_layout *layout)
{
	spin_lock(&mm->vmas_lock, &lc_vmas);
	mm->layout = *layout;
	spin_unlock(&mm->vmas_lock, &lc_vmas);
}

struct mm_layout mm_layout(struct mm *mm)
{
	struct mm_layout layout;

	spin_lock(&mm->vmas_lock, &lc_vmas);
	layout = mm->layout;
	spin_unlock(&mm->vmas_lock, &lc_vmas);
	return layout;
}

void mm_set_auxv(struct mm *mm, const u64 *auxv, unsigned int count)
{
	count = min(count, (unsigned int)MM_AUXV_MAX);
	spin_lock(&mm->vmas_lock, &lc_vmas);
	memcpy(mm->auxv, auxv, count * 2 * sizeof(u64));
	mm->auxv_count = count;
	spin_unlock(&mm->vmas_lock, &lc_vmas);
}

unsigned int mm_get_auxv(struct mm *mm, u64 ret_auxv[2 * MM_AUXV_MAX])
{
	unsigned int count;

	spin_lock(&mm->vmas_lock, &lc_vmas);
	count = mm->auxv_count;
	memcpy(ret_auxv, mm->auxv, count * 2 * sizeof(u64));
	spin_unlock(&mm->vmas_lock, &lc_vmas);
	return count;
}

void mm_set_exe(struct mm *mm, struct mappable *exe)
{
	struct mappable *old;

	if (exe)
		exe->ops->get(exe);
	spin_lock(&mm->vmas_lock, &lc_vmas);
	old = mm->exe;
	mm->exe = exe;
	spin_unlock(&mm->vmas_lock, &lc_vmas);
	if (old)
		old->ops->put(old);
}

struct mappable *mm_get_exe(struct mm *mm)
{
	struct mappable *exe;

	spin_lock(&mm->vmas_lock, &lc_vmas);
	exe = mm->exe;
	if (exe)
		exe->ops->get(exe);
	spin_unlock(&mm->vmas_lock, &lc_vmas);
	return exe;
}

bool mm_is_mapped(struct mm *mm, u64 addr)
{
	bool mapped;

	spin_lock(&mm->vmas_lock, &lc_vmas);
	mapped = vma_lookup(&mm->tree, addr);
	spin_unlock(&mm->vmas_lock, &lc_vmas);
	return mapped;
}

struct mm_usage mm_usage(struct mm *mm)
{
	struct mm_counts c;

	spin_lock(&mm->vmas_lock, &lc_vmas);
	c = mm->counts;
	spin_unlock(&mm->vmas_lock, &lc_vmas);
	return (struct mm_usage){
		.total = c.total << PAGE_SHIFT,
		.data = c.data << PAGE_SHIFT,
		.stack = c.stack << PAGE_SHIFT,
		.text = c.exec << PAGE_SHIFT,
		.shared = c.shared << PAGE_SHIFT,
		.locked = c.locked << PAGE_SHIFT,
		.peak_total = c.peak_total << PAGE_SHIFT,
	};
}

/* What is mapped and can hold data is as near as can be without asking the host. */
u64 mm_rss(struct mm *mm)
{
	struct mm_usage u = mm_usage(mm);

	return min(u.total, u.data + u.stack + u.text + u.shared);
}

struct mm_resident mm_resident(struct mm *mm)
{
	struct pf_residency r;
	u64 peak;

	if (pf_space_residency(mm->space, &r))
		return (struct mm_resident){ .anonymous = mm_rss(mm), .peak = mm_rss(mm) };
	peak = max(r.peak, r.anonymous + r.file + r.shmem);
	return (struct mm_resident){
		.anonymous = r.anonymous,
		.file = r.file,
		.shmem = r.shmem,
		.swap = r.swap,
		.page_tables = r.page_tables,
		.peak = peak,
	};
}

static void add_share(const struct pf_range_usage *r, void *arg)
{
	u64 *sum = arg;

	if (r->rss)
		*sum += (u64)((unsigned __int128)r->pss * min(r->anonymous, r->rss) / r->rss);
	*sum += r->swap;
}

u64 mm_anonymous_share(struct mm *mm)
{
	u64 sum = 0;

	return pf_space_ranges(mm->space, add_share, &sum) ? mm_resident(mm).anonymous : sum;
}
