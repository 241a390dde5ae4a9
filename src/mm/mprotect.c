/*
 * mprotect. As in Linux, what lies below the first VMA that refuses is changed before the error is
 * returned; unlike there, it is one operation and one commit.
 */

#include "mm/impl.h"

#include <errno.h>
#include <sys/mman.h>

#define PROT_SEM 0x8

/* The flags that v gets with new protection. */
static u32 protect_flags(const struct vma *v, u32 prot)
{
	return (v->flags & ~VMA_PROT) | prot;
}

/* Why v cannot have it. */
static int protect_check_vma(struct subject *s, const struct vma *v, u32 prot, u64 size)
	REQUIRES(lc_mm)
{
	if (prot & ~(v->flags >> VMA_MAY_SHIFT) & VMA_PROT)
		return -EACCES;
	/* Where it becomes data, RLIMIT_DATA has a say; RLIMIT_AS has not. */
	if (prot & VMA_WRITE && !mm_may_expand(s, protect_flags(v, prot), size) &&
	    mm_may_expand(s, v->flags, size))
		return -ENOMEM;
	return 0;
}

/* The first address of [start, end) that cannot be changed, and the error there. */
static u64 protect_find_limit(struct subject *s, u64 start, u64 end, u32 prot, int *ret_err)
	REQUIRES(lc_mm)
{
	struct mm *mm = s->mm;
	const struct vma *v;
	u64 at = start;

	for (v = vma_find(&mm->tree, start); at < end; v = vma_next(&mm->tree, v)) {
		if (!v || v->start > at) {
			*ret_err = -ENOMEM;
			return at;
		}
		*ret_err = protect_check_vma(s, v, prot, min(v->end, end) - at);
		if (*ret_err)
			return at;
		at = v->end;
	}
	return end;
}

static u32 protect_charge(struct mm *mm, u64 start, u32 prot) REQUIRES(lc_mm)
{
	const struct vma *v = vma_lookup(&mm->tree, start);

	return v ? vma_account_flag(protect_flags(v, prot)) : 0;
}

static int protect_range(struct subject *s, u64 start, u64 end, u32 prot, struct list *gone)
	REQUIRES(lc_mm)
{
	struct mm *mm = s->mm;
	struct vma_spares sp;
	int err;

	if (mm_too_many(mm, mm_splits(mm, start, end)))
		return -ENOMEM;
	err = vma_spares_get(&sp, 2);
	if (err)
		return err;
	err = pf_protect(s->thread, start, end - start, (int)prot);
	if (!err) {
		struct vma *v;
		u64 at;

		spin_lock(&mm->vmas_lock, &lc_vmas);
		/* The charge depends on each VMA: one at a time. */
		for (at = start; at < end;) {
			u64 stop;

			v = vma_lookup(&mm->tree, at);
			stop = min(v->end, end);
			mm_change(mm, at, stop, prot | protect_charge(mm, at, prot),
				  VMA_PROT & ~prot, &sp, gone);
			at = stop;
		}
		spin_unlock(&mm->vmas_lock, &lc_vmas);
	}
	vma_spares_put(&sp);
	return err;
}

/* PROT_GROWSDOWN: from the start of the stack that holds start. */
static int protect_grow_start(struct mm *mm, u64 *start, u64 end) REQUIRES(lc_mm)
{
	const struct vma *v = vma_find(&mm->tree, *start);

	if (!v || v->start >= end)
		return -ENOMEM;
	if (!(v->flags & VMA_GROWSDOWN))
		return -EINVAL;
	*start = v->start;
	return 0;
}

static int protect_locked(struct subject *s, u64 start, u64 end, int prot, struct list *gone)
	REQUIRES(lc_mm)
{
	u32 bits = (u32)prot & VMA_PROT;
	const struct vma *v = vma_find(&s->mm->tree, start);
	int err = 0, err2 = 0;
	u64 limit;

	if (!v)
		return -ENOMEM;
	if (prot & PROT_GROWSDOWN)
		err = protect_grow_start(s->mm, &start, end);
	else if (prot & PROT_GROWSUP)
		err = v->start > start ? -ENOMEM : -EINVAL;
	if (err)
		return err;
	limit = protect_find_limit(s, start, end, bits, &err);
	if (limit > start)
		err2 = protect_range(s, start, limit, bits, gone);
	return err2 ? err2 : err;
}

int mm_mprotect(struct subject *s, u64 addr, u64 size, int prot)
{
	int known = PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM | PROT_GROWSDOWN | PROT_GROWSUP;
	struct list gone;
	u64 end;
	int err;

	if ((prot & (PROT_GROWSDOWN | PROT_GROWSUP)) == (PROT_GROWSDOWN | PROT_GROWSUP))
		return -EINVAL;
	if (addr & ~PAGE_MASK)
		return -EINVAL;
	if (size == 0)
		return 0;
	end = addr + page_up(size);
	if (end <= addr)
		return -ENOMEM;
	if (prot & ~known)
		return -EINVAL;
	list_init(&gone);
	mm_lock(s->mm);
	err = protect_locked(s, addr, end, prot, &gone);
	mm_unlock(s->mm);
	vma_free_list(&gone);
	return err;
}
