/*
 * mlock, munlock, mlockall, munlockall: accounting against RLIMIT_MEMLOCK, and faulting pages in.
 * Nothing is locked on the host, where a guest's memory is the host administrator's business. See
 * mlock(2).
 */

#include "mm/impl.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/mman.h>

/* Set and clear lock flags of a range; -ENOMEM where nothing is mapped (then the part below is
 * changed). */
static int lock_range(struct subject *s, u64 start, u64 end, u32 set, struct list *gone)
	REQUIRES(lc_mm)
{
	struct mm *mm = s->mm;
	const struct vma *v = vma_lookup(&mm->tree, start);
	struct vma_spares sp;
	u64 stop = start;
	int err;

	for (; v && v->start <= stop && stop < end; v = vma_next(&mm->tree, v))
		stop = min(v->end, end);
	if (stop == start)
		return -ENOMEM;
	if (mm_too_many(mm, mm_splits(mm, start, stop)))
		return -ENOMEM;
	err = vma_spares_get(&sp, 2);
	if (err)
		return err;
	spin_lock(&mm->vmas_lock, &lc_vmas);
	mm_change(mm, start, stop, set, (VMA_LOCKED | VMA_LOCKONFAULT) & ~set, &sp, gone);
	spin_unlock(&mm->vmas_lock, &lc_vmas);
	vma_spares_put(&sp);
	return stop < end ? -ENOMEM : 0;
}

/* The whole pages of [addr, addr + size). */
static int lock_pages(u64 addr, u64 size, u64 *ret_start, u64 *ret_end)
{
	u64 start = page_down(addr), len = page_up(size + (addr & ~PAGE_MASK));

	if (start + len < start)
		return -EINVAL;
	*ret_start = start;
	*ret_end = start + len;
	return 0;
}

static int lock_locked(struct subject *s, u64 start, u64 end, u32 set, struct list *gone)
	REQUIRES(lc_mm)
{
	u64 fresh = end - start;

	if (!mm_may_lock(s, fresh)) {
		fresh -= mm_mapped_bytes(s->mm, start, end, VMA_LOCKED);
		if (!mm_may_lock(s, fresh))
			return -ENOMEM;
	}
	return lock_range(s, start, end, set, gone);
}

int mm_mlock(struct subject *s, u64 addr, u64 size, int flags)
{
	u32 set = VMA_LOCKED | (flags & MLOCK_ONFAULT ? VMA_LOCKONFAULT : 0);
	struct list gone;
	u64 start, end;
	int err;

	if (flags & ~MLOCK_ONFAULT)
		return -EINVAL;
	if (!mm_can_lock(s))
		return -EPERM;
	s->mm->may_have_locked = true;
	err = lock_pages(addr, size, &start, &end);
	if (err || start == end)
		return err;
	list_init(&gone);
	mm_lock(s->mm);
	err = lock_locked(s, start, end, set, &gone);
	mm_unlock(s->mm);
	vma_free_list(&gone);
	if (!err && !(set & VMA_LOCKONFAULT))
		mm_populate(s, start, end - start);
	return err;
}

int mm_munlock(struct subject *s, u64 addr, u64 size)
{
	struct list gone;
	u64 start, end;
	int err;

	err = lock_pages(addr, size, &start, &end);
	if (err || start == end)
		return err;
	list_init(&gone);
	mm_lock(s->mm);
	err = lock_range(s, start, end, 0, &gone);
	mm_unlock(s->mm);
	vma_free_list(&gone);
	return err;
}

/* Give every VMA these lock flags; special mappings are left alone. */
static void lock_all(struct mm *mm, u32 set, struct list *gone) REQUIRES(lc_mm)
{
	struct vma_spares none = {};
	struct vma *v;

	spin_lock(&mm->vmas_lock, &lc_vmas);
	for (v = vma_first(&mm->tree); v;) {
		u64 end = v->end;

		if (!(v->flags & VMA_DONTEXPAND))
			mm_change(mm, v->start, end, set, (VMA_LOCKED | VMA_LOCKONFAULT) & ~set,
				  &none, gone);
		v = vma_find(&mm->tree, end);
	}
	spin_unlock(&mm->vmas_lock, &lc_vmas);
}

static void set_future(struct mm *mm, u32 flags) REQUIRES(lc_mm)
{
	spin_lock(&mm->vmas_lock, &lc_vmas);
	mm->future_flags = flags;
	spin_unlock(&mm->vmas_lock, &lc_vmas);
}

int mm_mlockall(struct subject *s, int flags)
{
	u32 set = VMA_LOCKED | (flags & MCL_ONFAULT ? VMA_LOCKONFAULT : 0);
	struct mm *mm = s->mm;
	struct list gone;
	int err = 0;

	if (!flags || flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) || flags == MCL_ONFAULT)
		return -EINVAL;
	if (!mm_can_lock(s))
		return -EPERM;
	s->mm->may_have_locked = true;
	list_init(&gone);
	mm_lock(mm);
	if (flags & MCL_CURRENT &&
	    mm->counts.total > rlimit_get(s->rlimits, RLIMIT_MEMLOCK) >> PAGE_SHIFT &&
	    !mm_capable(s, CAP_IPC_LOCK))
		err = -ENOMEM;
	if (!err) {
		set_future(mm, flags & MCL_FUTURE ? set : 0);
		if (flags & MCL_CURRENT)
			lock_all(mm, set, &gone);
	}
	mm_unlock(mm);
	vma_free_list(&gone);
	if (!err && flags & MCL_CURRENT && !(flags & MCL_ONFAULT))
		mm_populate(s, PF_MMAP_MIN, platform_task_size() - PF_MMAP_MIN);
	return err;
}

int mm_munlockall(struct subject *s)
{
	struct list gone;

	list_init(&gone);
	mm_lock(s->mm);
	set_future(s->mm, 0);
	lock_all(s->mm, 0, &gone);
	mm_unlock(s->mm);
	vma_free_list(&gone);
	return 0;
}
