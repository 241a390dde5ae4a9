/* msync and mincore: what the pages of a range are like. */

#include "mm/impl.h"

#include <errno.h>
#include <sys/mman.h>

#define MINCORE_CHUNK 1024

/* One step of msync: the VMA at or above start, below end. *ret_file has a reference if it is to be
 * synced. */
struct sync_step {
	u64 next; /* where to go on */
	bool hole; /* start was not mapped */
	struct mappable *file;
	u64 offset, size;
};

static int sync_step(struct mm *mm, u64 start, u64 end, int flags, struct sync_step *ret)
{
	const struct vma *v;
	int err = 0;

	*ret = (struct sync_step){ .next = end, .hole = true };
	spin_lock(&mm->vmas_lock, &lc_vmas);
	v = vma_find_overlap(&mm->tree, start, end);
	if (v) {
		ret->hole = v->start > start;
		start = max(start, v->start);
		ret->next = min(v->end, end);
		if (flags & MS_INVALIDATE && v->flags & VMA_LOCKED)
			err = -EBUSY;
		else if (flags & MS_SYNC && v->file && v->flags & VMA_SHARED &&
			 v->file->ops->sync) {
			ret->file = v->file;
			ret->file->ops->get(ret->file);
			ret->offset = v->offset + (start - v->start);
			ret->size = ret->next - start;
		}
	}
	spin_unlock(&mm->vmas_lock, &lc_vmas);
	return err;
}

int mm_msync(struct subject *s, u64 addr, u64 size, int flags)
{
	u64 end = addr + page_up(size);
	int hole = 0;

	if (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) || addr & ~PAGE_MASK)
		return -EINVAL;
	if (flags & MS_ASYNC && flags & MS_SYNC)
		return -EINVAL;
	if (end < addr)
		return -ENOMEM;
	while (addr < end) {
		struct sync_step step;
		int err = sync_step(s->mm, addr, end, flags, &step);

		if (!err && step.file) {
			err = step.file->ops->sync(step.file, step.offset, step.size);
			step.file->ops->put(step.file);
		}
		if (err)
			return err;
		if (step.hole)
			hole = -ENOMEM;
		addr = step.next;
	}
	return hole;
}

static int mincore_chunk(struct subject *s, u64 addr, u64 size, u8 *vec)
{
	bool covered;
	int err = -ENOMEM;

	mm_lock(s->mm);
	covered = mm_covered(s->mm, addr, addr + size);
	if (covered)
		err = pf_mincore(s->thread, addr, size, vec);
	mm_unlock(s->mm);
	return err;
}

int mm_mincore(struct subject *s, u64 addr, u64 size, struct uaddr vec)
{
	u64 pages = page_up(size) >> PAGE_SHIFT;
	u8 buf[MINCORE_CHUNK];

	if (addr & ~PAGE_MASK)
		return -EINVAL;
	if (!uaddr_ok(UADDR(addr), size))
		return -ENOMEM;
	if (!uaddr_ok(vec, pages))
		return -EFAULT;
	while (pages) {
		u64 count = min(pages, (u64)MINCORE_CHUNK);
		int err = mincore_chunk(s, addr, count << PAGE_SHIFT, buf);

		if (!err)
			err = copy_out(s, vec, buf, count);
		if (err)
			return err;
		pages -= count;
		addr += count << PAGE_SHIFT;
		vec = uaddr_add(vec, count);
	}
	return 0;
}
