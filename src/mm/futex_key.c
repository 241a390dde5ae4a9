/* Where a futex word lies, so that it can be named the same in every address space that maps it. */

#include "mm/impl.h"

#include <errno.h>

int mm_futex_key(struct subject *s, struct uaddr addr, bool private_, struct futex_key *ret_key)
{
	struct mm *mm = s->mm;
	const struct vma *v;
	int err = 0;

	if (!uaddr_ok(addr, sizeof(u32)))
		return -EFAULT;
	if (private_) {
		*ret_key = (struct futex_key){ .object = mm_id(mm), .offset = addr.v };
		return 0;
	}
	spin_lock(&mm->vmas_lock, &lc_vmas);
	v = vma_lookup(&mm->tree, addr.v);
	if (!v || !(v->flags & VMA_PROT))
		err = -EFAULT;
	else if (v->flags & VMA_SHARED)
		*ret_key = (struct futex_key){
			.object = v->file->ops->identity(v->file),
			.offset = v->offset + (addr.v - v->start),
			.shared = true,
		};
	else
		*ret_key =
			(struct futex_key){ .object = mm_id(mm), .offset = addr.v, .shared = true };
	spin_unlock(&mm->vmas_lock, &lc_vmas);
	return err;
}
