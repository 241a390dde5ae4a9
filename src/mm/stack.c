/*
 * Stacks: the initial one, and growth of mappings with MAP_GROWSDOWN. The host knows nothing of
 * growth: when a guest faults below a stack, or the kernel copies there, mm maps more, at least
 * STACK_STEP at a time.
 */

#include "mm/impl.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#define STACK_STEP (128UL << 10)
#define STACK_ROOM (128UL << 10)
#define STACK_FLAGS \
	(VMA_READ | VMA_WRITE | VMA_MAYREAD | VMA_MAYWRITE | VMA_MAYEXEC | VMA_GROWSDOWN | \
	 VMA_ACCOUNT)

/* Bits of a page fault's error code. */
#define FAULT_WRITE 0x2
#define FAULT_FETCH 0x10
#define TRAP_PAGE_FAULT 14

int mm_setup_stack(struct subject *s, bool executable, u64 size, u64 *ret_top)
{
	struct mm *mm = s->mm;
	u64 limit = rlimit_get(s->rlimits, RLIMIT_STACK);
	u32 flags = STACK_FLAGS | (executable ? VMA_EXEC : 0);
	struct vma_spares sp;
	struct list gone;
	struct vma *v;
	int err;

	size = page_up(size);
	if (size > max(limit, STACK_ROOM))
		return -ENOMEM;
	size = min(size + STACK_ROOM, max(page_down(limit), size));
	err = vma_spares_get(&sp, 1);
	if (err)
		return err;
	list_init(&gone);
	mm_lock(mm);
	mm_layout_set_stack_limit(mm, limit);
	if (mm_may_expand(s, flags, size))
		err = pf_map_anon(s->thread, mm->stack_top - size, size, (int)(flags & VMA_PROT),
				  false, false);
	else
		err = -ENOMEM;
	if (!err) {
		v = vma_spares_take(&sp);
		v->start = v->offset = mm->stack_top - size;
		v->end = mm->stack_top;
		v->flags = flags;
		spin_lock(&mm->vmas_lock, &lc_vmas);
		mm_link(mm, v, &gone);
		spin_unlock(&mm->vmas_lock, &lc_vmas);
		*ret_top = mm->stack_top;
	}
	mm_unlock(mm);
	vma_spares_put(&sp);
	vma_free_list(&gone);
	return err;
}

/* The lowest address that v may grow to: above what is mapped below it, with the guard gap; and its
 * limits. */
static u64 stack_floor(struct subject *s, const struct vma *v) REQUIRES(lc_mm)
{
	const struct vma *prev = vma_prev(&s->mm->tree, v);
	u64 limit = page_down(rlimit_get(s->rlimits, RLIMIT_STACK)), floor = PF_MMAP_MIN;

	if (prev) {
		floor = prev->end;
		if (!(prev->flags & VMA_GROWSDOWN) && prev->flags & VMA_PROT)
			floor += STACK_GUARD_GAP;
	}
	if (v->end > limit)
		floor = max(floor, v->end - limit);
	return floor;
}

/* Grow v so that it holds addr. */
static int stack_grow(struct subject *s, struct vma *v, u64 addr) REQUIRES(lc_mm)
{
	struct mm *mm = s->mm;
	u64 floor = stack_floor(s, v), start = page_down(addr), size;
	int err;

	if (start < floor)
		return -ENOMEM;
	if (v->start - start < STACK_STEP)
		start = v->start - floor > STACK_STEP ? v->start - STACK_STEP : floor;
	size = v->start - start;
	if (!mm_may_expand(s, v->flags, size))
		return -ENOMEM;
	if (v->flags & VMA_LOCKED && !mm_may_lock(s, size))
		return -ENOMEM;
	err = pf_map_anon(s->thread, start, size, (int)(v->flags & VMA_PROT),
			  v->flags & VMA_NORESERVE, false);
	if (err)
		return err;
	mm_readvise(s, v->flags, start, size);
	spin_lock(&mm->vmas_lock, &lc_vmas);
	mm_resize(mm, v, start, v->end);
	spin_unlock(&mm->vmas_lock, &lc_vmas);
	return 0;
}

bool mm_grow_stacks(struct subject *s, u64 addr, u64 size)
{
	struct mm *mm = s->mm;
	bool grew = false;
	struct vma *v;
	u64 end;

	if (!uaddr_ok(UADDR(addr), size) || size == 0)
		return false;
	end = addr + size;
	mm_lock(mm);
	for (v = vma_find(&mm->tree, addr); v && addr < end; v = vma_next(&mm->tree, v)) {
		if (v->start > addr) {
			if (!(v->flags & VMA_GROWSDOWN) || stack_grow(s, v, addr))
				break;
			grew = true;
		}
		addr = v->end;
	}
	mm_unlock(mm);
	return grew;
}

/* Linux's access_error: what v's protection forbids. */
static bool fault_forbidden(const struct vma *v, u64 error_code)
{
	if (error_code & FAULT_WRITE)
		return !(v->flags & VMA_WRITE);
	if (error_code & FAULT_FETCH)
		return !(v->flags & VMA_EXEC);
	return !(v->flags & VMA_PROT);
}

int mm_handle_fault(struct subject *s, const struct pf_fault *fault, u64 rsp, int *ret_signo,
		    int *ret_code)
{
	struct mm *mm = s->mm;
	struct vma *v;
	int code = 0;

	*ret_signo = fault->signo;
	*ret_code = fault->code;
	if (fault->signo != SIGSEGV || fault->trapno != TRAP_PAGE_FAULT ||
	    (fault->code != SEGV_MAPERR && fault->code != SEGV_ACCERR))
		return -EFAULT;
	if (fault->addr >= platform_task_size()) {
		*ret_code = SEGV_MAPERR;
		return -EFAULT;
	}
	mm_lock(mm);
	v = vma_find(&mm->tree, fault->addr);
	if (!v)
		code = SEGV_MAPERR;
	else if (v->start > fault->addr &&
		 (!(v->flags & VMA_GROWSDOWN) || stack_grow(s, v, fault->addr)))
		code = SEGV_MAPERR;
	else if (fault_forbidden(v, fault->error_code))
		code = SEGV_ACCERR;
	mm_unlock(mm);
	if (!code)
		return 0; /* it grew; or another thread has just mapped it: try again */
	*ret_code = code;
	return -EFAULT;
}
