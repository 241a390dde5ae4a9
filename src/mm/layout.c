/*
 * Where things go in a new address space, chosen at random as Linux does (mm/util.c,
 * arch/x86/mm/mmap.c): from the top the stack, below it (by the stack's limit, within bounds) the
 * mmap base, from which mappings grow down; position independent programs at two thirds of the
 * address space; the heap after the program.
 */

#include "mm/impl.h"

#include "base/bug.h"
#include "host/host.h"

#define STACK_RANDOM_BITS 22
#define MMAP_RANDOM_BITS 28
#define BRK_RANDOM_BITS 13
#define STACK_GAP_MIN (128UL << 20)

/* A random number of bytes, whole pages, below 2^bits pages. */
u64 mm_random_pages(unsigned int bits)
{
	u64 r;

	/* The host has entropy long since; if its call is forbidden, nothing here is safe. */
	BUG_ON(host_getrandom(&r, sizeof(r), 0) != sizeof(r));
	return (r & ((1UL << bits) - 1)) << PAGE_SHIFT;
}

static u64 layout_random(const struct mm *mm, unsigned int bits)
{
	return mm->fixed ? 0 : mm_random_pages(bits);
}

/* Bits of randomness that leave most of a small address space usable. */
static unsigned int mmap_random_bits(void)
{
	unsigned int bits = MMAP_RANDOM_BITS;

	while (bits > 8 && PAGE_SIZE << bits > platform_task_size() / 64)
		bits--;
	return bits;
}

void mm_layout_set_stack_limit(struct mm *mm, u64 stack_limit)
{
	u64 size = platform_task_size(), gap = stack_limit, pad = STACK_GUARD_GAP;

	pad += size - mm->stack_top;
	if (gap + pad > gap)
		gap += pad;
	gap = max(gap, STACK_GAP_MIN + pad);
	gap = min(gap, size / 6 * 5);
	mm->mmap_base = page_down(size - gap - layout_random(mm, mmap_random_bits()));
}

void mm_layout_init(struct mm *mm)
{
	unsigned int bits = min((unsigned int)STACK_RANDOM_BITS, mmap_random_bits());

	mm->stack_top = page_down(platform_task_size()) - PAGE_SIZE - layout_random(mm, bits);
	mm_layout_set_stack_limit(mm, 8UL << 20);
}

void mm_fix_layout(struct mm *mm)
{
	mm->fixed = true;
	mm_layout_init(mm);
}

void mm_setup_brk(struct mm *mm, u64 start)
{
	u64 brk = page_up(start) + layout_random(mm, BRK_RANDOM_BITS);

	spin_lock(&mm->vmas_lock, &lc_vmas);
	mm->brk = mm->layout.start_brk = brk;
	spin_unlock(&mm->vmas_lock, &lc_vmas);
}

u64 mm_find_space(struct mm *mm, u64 size, u64 align)
{
	u64 padded = size + align - PAGE_SIZE, addr;

	if (padded < size)
		return 0;
	addr = vma_find_gap(&mm->tree, padded, PF_MMAP_MIN, mm->mmap_base);
	if (!addr)
		addr = vma_find_gap(&mm->tree, padded, PF_MMAP_MIN, platform_task_size());
	return addr ? align_up(addr, align) : 0;
}

u64 mm_pick_dyn_base(struct mm *mm, bool program, u64 size, u64 align)
{
	u64 addr;

	align = max(align, PAGE_SIZE);
	if (program) {
		addr = platform_task_size() / 3 * 2 + layout_random(mm, mmap_random_bits());
		return align_down(addr, align);
	}
	mm_lock(mm);
	addr = mm_find_space(mm, size, align);
	mm_unlock(mm);
	return addr;
}
