/* Resource limits of address spaces: RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK. */

#include "mm/impl.h"

#include <stdatomic.h>

#include <linux/capability.h>

#include "cred/cred.h"
#include "host/budget.h"

bool mm_capable(struct subject *s, int cap)
{
	const struct user_ns *ns = s->cred->user_ns;

	while (ns->parent)
		ns = ns->parent;
	return cred_has_cap(s->cred, ns, cap);
}

bool mm_may_expand(struct subject *s, u32 flags, u64 size)
{
	const struct mm_counts *c = &s->mm->counts;
	struct rlimit64_pair limit;
	u64 pages = size >> PAGE_SHIFT;

	if ((s64)pages <= 0)
		return true;
	if (c->total + pages > rlimit_get(s->rlimits, RLIMIT_AS) >> PAGE_SHIFT)
		return false;
	if ((flags & (VMA_WRITE | VMA_SHARED | VMA_GROWSDOWN)) != VMA_WRITE)
		return true;
	/* As Linux overcommits by default: not what is more than all memory at once. */
	if (!(flags & VMA_NORESERVE) && size > host_memory_budget())
		return false;
	limit = rlimit_read(s->rlimits, RLIMIT_DATA);
	if (c->data + pages <= limit.cur >> PAGE_SHIFT)
		return true;
	/* Programs that set a limit of 0 to forbid brk alone keep working, as in Linux. */
	return limit.cur == 0 && c->data + pages <= limit.max >> PAGE_SHIFT;
}

bool mm_can_lock(struct subject *s)
{
	return rlimit_get(s->rlimits, RLIMIT_MEMLOCK) || mm_capable(s, CAP_IPC_LOCK);
}

bool mm_may_have_locked(const struct mm *mm)
{
	return atomic_load_explicit(&mm->may_have_locked, memory_order_relaxed);
}

bool mm_may_lock(struct subject *s, u64 size)
{
	u64 pages = s->mm->counts.locked + (size >> PAGE_SHIFT);

	return pages <= rlimit_get(s->rlimits, RLIMIT_MEMLOCK) >> PAGE_SHIFT ||
	       mm_capable(s, CAP_IPC_LOCK);
}
