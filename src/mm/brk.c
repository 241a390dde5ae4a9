/* brk: the heap, from a random place after the program on. See brk(2); Linux 6.1, mm/mmap.c. */

#include "mm/impl.h"

#include <sys/mman.h>

#define BRK_FLAGS (VMA_READ | VMA_WRITE | VMA_MAYREAD | VMA_MAYWRITE | VMA_MAYEXEC | VMA_ACCOUNT)

static bool brk_within_limit(struct subject *s, u64 brk) REQUIRES(lc_mm)
{
	const struct mm_layout *l = &s->mm->layout;
	u64 limit = rlimit_get(s->rlimits, RLIMIT_DATA);

	return limit == RLIM_INFINITY ||
	       brk - l->start_brk + (l->end_data - l->start_data) <= limit;
}

static int brk_grow(struct subject *s, u64 start, u64 end, struct list *gone) REQUIRES(lc_mm)
{
	struct mm *mm = s->mm;
	u32 flags = BRK_FLAGS | mm->future_flags;
	struct vma_spares sp;
	const struct vma *next;
	struct vma *v;
	int err;

	next = vma_find(&mm->tree, start);
	if (start < PF_MMAP_MIN || end > platform_task_size() ||
	    (next && end + PAGE_SIZE > vma_guarded_start(next)))
		return -1;
	if (!mm_may_expand(s, flags, end - start) || mm->tree.count > VMA_COUNT_MAX)
		return -1;
	if (flags & VMA_LOCKED && !mm_may_lock(s, end - start))
		return -1;
	err = vma_spares_get(&sp, 1);
	if (err)
		return err;
	err = pf_map_anon(s->thread, start, end - start, PROT_READ | PROT_WRITE, false, false);
	if (!err) {
		v = vma_spares_take(&sp);
		v->start = v->offset = start;
		v->end = end;
		v->flags = flags;
		spin_lock(&mm->vmas_lock, &lc_vmas);
		mm_link(mm, v, gone);
		spin_unlock(&mm->vmas_lock, &lc_vmas);
	}
	vma_spares_put(&sp);
	return err;
}

static u64 brk_locked(struct subject *s, u64 brk, struct list *gone) REQUIRES(lc_mm)
{
	struct mm *mm = s->mm;
	u64 old_end = page_up(mm->brk), new_end = page_up(brk);
	int err = 0;

	if (brk < mm->layout.start_brk || new_end < brk || !brk_within_limit(s, brk))
		return mm->brk;
	if (new_end < old_end)
		err = mm_unmap_locked(s, new_end, old_end, gone);
	else if (new_end > old_end)
		err = brk_grow(s, old_end, new_end, gone);
	if (err)
		return mm->brk;
	spin_lock(&mm->vmas_lock, &lc_vmas);
	mm->brk = brk;
	spin_unlock(&mm->vmas_lock, &lc_vmas);
	return brk;
}

u64 mm_brk(struct subject *s, u64 brk)
{
	struct mm *mm = s->mm;
	struct list gone;
	u64 old, now;
	bool locked;

	list_init(&gone);
	mm_lock(mm);
	old = mm->brk;
	now = brk_locked(s, brk, &gone);
	locked = mm->future_flags & VMA_LOCKED;
	mm_unlock(mm);
	vma_free_list(&gone);
	if (locked && page_up(now) > page_up(old))
		mm_populate(s, page_up(old), page_up(now) - page_up(old));
	return now;
}

bool mm_brk_lend(struct subject *s, u64 *ret_start, u64 *ret_brk)
{
	struct mm *mm = s->mm;

	if (rlimit_get(s->rlimits, RLIMIT_DATA) != RLIM_INFINITY)
		return false;
	/* Nobody else changes them. */
	*ret_start = mm->layout.start_brk;
	*ret_brk = mm->brk;
	return true;
}

void mm_brk_back(struct mm *mm, u64 brk)
{
	spin_lock(&mm->vmas_lock, &lc_vmas);
	if (brk >= mm->layout.start_brk && page_up(brk) == page_up(mm->brk))
		mm->brk = brk;
	spin_unlock(&mm->vmas_lock, &lc_vmas);
}
