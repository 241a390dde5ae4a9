/*
 * madvise. What changes memory goes to the host through the platform, runs of neighbouring VMAs at
 * a time; what only describes a VMA is remembered in its flags too, so that the VMA is split and
 * merged as Linux would.
 *
 * Deviations from Linux: KSM advice is remembered and does nothing; MADV_COLLAPSE is unknown;
 * hardware poisoning is nobody's privilege. Sources: madvise(2); Linux 6.1, mm/madvise.c.
 */

#include "mm/impl.h"

#include <errno.h>
#include <sys/mman.h>

#include "host/host.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#define MADV_SOFT_OFFLINE_NR 101

/* What an advice does. */
struct advice {
	u8 number;
	bool host; /* the host is told */
	u32 set, clear; /* flags */
};

static const struct advice advices[] = {
	{ MADV_NORMAL, true, 0, VMA_SEQUENTIAL | VMA_RANDOM },
	{ MADV_RANDOM, true, VMA_RANDOM, VMA_SEQUENTIAL },
	{ MADV_SEQUENTIAL, true, VMA_SEQUENTIAL, VMA_RANDOM },
	{ MADV_WILLNEED, true, 0, 0 },
	{ MADV_DONTNEED, true, 0, 0 },
	{ MADV_DONTNEED_LOCKED, true, 0, 0 },
	{ MADV_FREE, true, 0, 0 },
	{ MADV_REMOVE, false, 0, 0 },
	{ MADV_DONTFORK, true, VMA_DONTFORK, 0 },
	{ MADV_DOFORK, true, 0, VMA_DONTFORK },
	{ MADV_MERGEABLE, false, VMA_MERGEABLE, 0 },
	{ MADV_UNMERGEABLE, false, 0, VMA_MERGEABLE },
	{ MADV_HUGEPAGE, true, VMA_HUGEPAGE, VMA_NOHUGEPAGE },
	{ MADV_NOHUGEPAGE, true, VMA_NOHUGEPAGE, VMA_HUGEPAGE },
	{ MADV_DONTDUMP, false, VMA_DONTDUMP, 0 },
	{ MADV_DODUMP, false, 0, VMA_DONTDUMP },
	{ MADV_WIPEONFORK, true, VMA_WIPEONFORK, 0 },
	{ MADV_KEEPONFORK, true, 0, VMA_WIPEONFORK },
	{ MADV_COLD, true, 0, 0 },
	{ MADV_PAGEOUT, true, 0, 0 },
	{ MADV_POPULATE_READ, true, 0, 0 },
	{ MADV_POPULATE_WRITE, true, 0, 0 },
	{ MADV_HWPOISON, false, 0, 0 },
	{ MADV_SOFT_OFFLINE_NR, false, 0, 0 },
};

static const struct advice *advice_find(int number)
{
	for (size_t i = 0; i < ARRAY_SIZE(advices); i++) {
		if (advices[i].number == number)
			return &advices[i];
	}
	return NULL;
}

/* Whether v can take the advice. */
static int advice_check(const struct vma *v, int number)
{
	switch (number) {
	case MADV_DONTNEED:
	case MADV_COLD:
	case MADV_PAGEOUT:
		return v->flags & VMA_LOCKED ? -EINVAL : 0;
	case MADV_FREE:
		return v->file || v->flags & VMA_LOCKED ? -EINVAL : 0;
	case MADV_WIPEONFORK:
		return v->file ? -EINVAL : 0;
	case MADV_DODUMP:
	case MADV_DOFORK:
		return v->flags & VMA_DONTEXPAND ? -EINVAL : 0;
	case MADV_HUGEPAGE:
		return v->flags & VMA_DONTEXPAND ? -EINVAL : 0;
	default:
		return 0;
	}
}

/* Tell the host about a run and note it in the tree. */
static int advise_run(struct subject *s, u64 start, u64 end, const struct advice *a,
		      struct list *gone) REQUIRES(lc_mm)
{
	struct mm *mm = s->mm;
	struct vma_spares sp = {};
	int err = 0, number = a->number;

	if (a->set | a->clear) {
		if (mm_too_many(mm, mm_splits(mm, start, end)))
			return -EAGAIN;
		if (vma_spares_get(&sp, 2))
			return -EAGAIN;
	}
	if (number == MADV_DONTNEED_LOCKED)
		number = MADV_DONTNEED; /* to the host nothing is locked */
	if (a->host)
		err = pf_advise(s->thread, start, end - start, number);
	if (!err && a->set | a->clear) {
		spin_lock(&mm->vmas_lock, &lc_vmas);
		mm_change(mm, start, end, a->set, a->clear, &sp, gone);
		spin_unlock(&mm->vmas_lock, &lc_vmas);
	}
	vma_spares_put(&sp);
	return err;
}

/* Advise all that is mapped of a range, in runs without holes. A hole gives -ENOMEM, at the end. */
static int advise_locked(struct subject *s, u64 start, u64 end, const struct advice *a,
			 struct list *gone) REQUIRES(lc_mm)
{
	int hole = 0, err = 0, check = 0;

	while (start < end && !err && !check) {
		const struct vma *v = vma_find(&s->mm->tree, start);
		u64 stop;

		if (!v || v->start >= end)
			return -ENOMEM;
		if (v->start > start)
			hole = -ENOMEM;
		start = stop = max(start, v->start);
		for (; v && v->start <= stop && stop < end; v = vma_next(&s->mm->tree, v)) {
			check = advice_check(v, a->number);
			if (check)
				break;
			stop = min(v->end, end);
		}
		if (stop > start)
			err = advise_run(s, start, stop, a, gone);
		start = stop;
	}
	if (err || check)
		return err ? err : check;
	return hole;
}

/* MADV_POPULATE_*: as advise_locked, but a hole ends it, and no lock is held while pages are
 * faulted in. */
static int advise_populate(struct subject *s, u64 start, u64 end, int number)
{
	u32 need = number == MADV_POPULATE_WRITE ? VMA_WRITE : VMA_PROT;
	struct mm *mm = s->mm;

	while (start < end) {
		const struct vma *v;
		u64 stop = 0;
		int err;

		spin_lock(&mm->vmas_lock, &lc_vmas);
		v = vma_lookup(&mm->tree, start);
		if (v)
			stop = v->flags & need ? min(v->end, end) : start;
		spin_unlock(&mm->vmas_lock, &lc_vmas);
		if (stop <= start)
			return stop ? -EINVAL : -ENOMEM;
		err = pf_advise(s->thread, start, stop - start, number);
		if (err)
			return err;
		start = stop;
	}
	return 0;
}

/* MADV_REMOVE on the part of [start, end) that lies in one VMA: punch a hole into its file. */
static int advise_remove_one(struct subject *s, u64 start, u64 end, u64 *ret_next)
{
	struct mm *mm = s->mm;
	struct mappable *file = NULL;
	const struct vma *v;
	u64 offset = 0, stop = 0;
	int err = 0, fd;

	spin_lock(&mm->vmas_lock, &lc_vmas);
	v = vma_find_overlap(&mm->tree, start, end);
	if (!v)
		err = -ENOMEM;
	else if (v->flags & VMA_LOCKED || !v->file)
		err = -EINVAL;
	else if ((v->flags & (VMA_SHARED | VMA_WRITE)) != (VMA_SHARED | VMA_WRITE))
		err = -EACCES;
	if (!err) {
		file = v->file;
		file->ops->get(file);
		start = max(start, v->start);
		stop = min(end, v->end);
		offset = v->offset + (start - v->start);
	}
	spin_unlock(&mm->vmas_lock, &lc_vmas);
	if (err)
		return err;
	err = file->ops->host_fd_get(file, true, &fd);
	if (!err) {
		err = host_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (s64)offset,
				     (s64)(stop - start));
		file->ops->host_fd_put(file, fd);
	}
	file->ops->put(file);
	*ret_next = stop;
	return err;
}

static int advise_remove(struct subject *s, u64 start, u64 end)
{
	while (start < end) {
		int err = advise_remove_one(s, start, end, &start);

		if (err)
			return err;
	}
	return 0;
}

int mm_madvise(struct subject *s, u64 addr, u64 size, int number)
{
	const struct advice *a = advice_find(number);
	struct list gone;
	u64 end;
	int err;

	if (!a || addr & ~PAGE_MASK)
		return -EINVAL;
	end = addr + page_up(size);
	if ((size && page_up(size) == 0) || end < addr)
		return -EINVAL;
	if (end == addr)
		return 0;
	switch (number) {
	case MADV_HWPOISON:
	case MADV_SOFT_OFFLINE_NR:
		return -EPERM;
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		return advise_populate(s, addr, end, number);
	case MADV_REMOVE:
		return advise_remove(s, addr, end);
	default:
		break;
	}
	list_init(&gone);
	mm_lock(s->mm);
	err = advise_locked(s, addr, end, a, &gone);
	mm_unlock(s->mm);
	vma_free_list(&gone);
	return err;
}

void mm_readvise(struct subject *s, u32 flags, u64 addr, u64 size)
{
	u32 told = VMA_SEQUENTIAL | VMA_RANDOM | VMA_DONTFORK | VMA_WIPEONFORK | VMA_HUGEPAGE |
		   VMA_NOHUGEPAGE;

	if (likely(!(flags & told)))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(advices); i++) {
		/* If the host refuses, the memory is only less well described. */
		if (advices[i].host && advices[i].set & flags)
			(void)!pf_advise(s->thread, addr, size, advices[i].number);
	}
}

void mm_populate(struct subject *s, u64 addr, u64 size)
{
	u64 end = addr + size;

	while (addr < end) {
		struct mm *mm = s->mm;
		const struct vma *v;
		u64 stop = end;
		u32 flags = 0;

		spin_lock(&mm->vmas_lock, &lc_vmas);
		v = vma_find_overlap(&mm->tree, addr, end);
		if (v) {
			addr = max(addr, v->start);
			stop = min(end, v->end);
			flags = v->flags;
		}
		spin_unlock(&mm->vmas_lock, &lc_vmas);
		/* Best effort, as in Linux: the mapping is there, and pages come when they are
		 * touched. */
		if ((flags & (VMA_WRITE | VMA_SHARED)) == VMA_WRITE)
			(void)!pf_advise(s->thread, addr, stop - addr, MADV_POPULATE_WRITE);
		else if (flags & VMA_PROT)
			(void)!pf_advise(s->thread, addr, stop - addr, MADV_POPULATE_READ);
		addr = stop;
	}
}
