/*
 * mmap and munmap.
 *
 * Deviations from Linux: there are no huge pages to be had (MAP_HUGETLB fails with ENOMEM, as where
 * none are reserved); nobody can map below PF_MMAP_MIN, CAP_SYS_RAWIO or not. Sources: mmap(2);
 * Linux 6.1, mm/mmap.c.
 */

#include "mm/impl.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/mman.h>

#define MAP_TYPE_MASK 0x0f
#define HUGE_ALIGN (2UL << 20)

/* Flags that MAP_SHARED_VALIDATE knows of: those of old, MAP_SYNC being no file's here. */
#define MAP_KNOWN \
	(MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE | \
	 MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | \
	 MAP_HUGETLB | MAP_32BIT | MAP_FIXED_NOREPLACE | 0x0400'0000 /* MAP_UNINITIALIZED */)

/* A checked request. */
struct map_request {
	u64 addr, size, offset;
	u32 flags; /* VMA_* */
	u32 name;
	struct mappable *file; /* borrowed; null: private anonymous */
	int fd; /* the host's, if there is a file */
	bool fixed, noreplace, low, populate;
};

static u32 map_name(const char *name)
{
	if (!name)
		return VMA_NAME_NONE;
	return strcmp(name, "[vdso]") == 0 ? VMA_NAME_VDSO : VMA_NAME_VVAR;
}

/* What the file's mode permits. */
static int map_check_file(const struct mmap_args *a, struct map_request *r)
{
	bool readable = a->max_prot & PROT_READ, writable = a->max_prot & PROT_WRITE;
	int type = a->flags & MAP_TYPE_MASK;

	if (type == MAP_SHARED_VALIDATE && a->flags & ~MAP_KNOWN & ~MAP_SHARED_VALIDATE)
		return -EOPNOTSUPP;
	if (type == MAP_SHARED || type == MAP_SHARED_VALIDATE) {
		if (a->prot & PROT_WRITE && !writable)
			return -EACCES;
		r->flags |= VMA_SHARED;
		if (!writable)
			r->flags &= ~(u32)VMA_MAYWRITE;
	} else if (type != MAP_PRIVATE) {
		return -EINVAL;
	}
	if (!readable)
		return -EACCES;
	if (!(a->max_prot & PROT_EXEC)) {
		if (a->prot & PROT_EXEC)
			return -EPERM;
		r->flags &= ~(u32)VMA_MAYEXEC;
	}
	if (a->flags & MAP_GROWSDOWN)
		return -EINVAL;
	r->offset = a->offset;
	return 0;
}

static int map_check_anon(const struct mmap_args *a, struct map_request *r)
{
	int type = a->flags & MAP_TYPE_MASK;

	if (type == MAP_SHARED) {
		if (a->flags & MAP_GROWSDOWN)
			return -EINVAL;
		r->flags |= VMA_SHARED;
	} else if (type != MAP_PRIVATE) {
		return -EINVAL;
	} else if (a->flags & MAP_GROWSDOWN) {
		r->flags |= VMA_GROWSDOWN;
	}
	return 0;
}

/* All that can be told without a lock. */
static int map_check(const struct mmap_args *a, struct map_request *r)
{
	if (a->offset & ~PAGE_MASK)
		return -EINVAL;
	if (a->flags & MAP_HUGETLB)
		return a->file ? -EINVAL : -ENOMEM;
	if (a->size == 0)
		return -EINVAL;
	r->size = page_up(a->size);
	if (r->size == 0 || r->size > platform_task_size())
		return -ENOMEM;
	if (a->offset + r->size < a->offset || (a->file && a->offset + r->size > INT64_MAX))
		return -EOVERFLOW;
	r->fixed = a->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
	r->noreplace = a->flags & MAP_FIXED_NOREPLACE;
	r->low = a->flags & MAP_32BIT;
	r->addr = a->addr;
	if (!r->fixed) {
		r->addr &= PAGE_MASK;
		if (r->addr && r->addr < PF_MMAP_MIN)
			r->addr = PF_MMAP_MIN;
	}
	r->file = a->file;
	r->name = map_name(a->name);
	r->flags = (u32)(a->prot & (PROT_READ | PROT_WRITE | PROT_EXEC));
	r->flags |= VMA_MAYREAD | VMA_MAYWRITE | VMA_MAYEXEC;
	if (r->name != VMA_NAME_NONE)
		r->flags |= VMA_DONTEXPAND;
	if (a->flags & MAP_NORESERVE)
		r->flags |= VMA_NORESERVE;
	if (a->flags & MAP_LOCKED)
		r->flags |= VMA_LOCKED;
	r->populate = a->flags & MAP_POPULATE && !(a->flags & MAP_NONBLOCK);
	return a->file ? map_check_file(a, r) : map_check_anon(a, r);
}

/* Where MAP_32BIT goes: the second gigabyte, as Linux has it. */
static u64 map_find_low(struct mm *mm, u64 size) REQUIRES(lc_mm)
{
	return vma_find_gap(&mm->tree, size, 0x4000'0000, 0x8000'0000);
}

/* Choose or check the address. */
static int map_place(struct mm *mm, struct map_request *r) REQUIRES(lc_mm)
{
	u64 limit = platform_task_size();
	const struct vma *v;

	if (r->fixed) {
		if (r->addr > limit - r->size)
			return -ENOMEM;
		if (r->addr & ~PAGE_MASK)
			return -EINVAL;
		if (r->addr < PF_MMAP_MIN)
			return -EPERM;
		if (r->noreplace && vma_find_overlap(&mm->tree, r->addr, r->addr + r->size))
			return -EEXIST;
		return 0;
	}
	if (r->addr && r->addr <= limit - r->size) {
		v = vma_find(&mm->tree, r->addr);
		if (!v || r->addr + r->size <= vma_guarded_start(v))
			return 0;
	}
	r->addr = 0;
	if (r->low)
		r->addr = map_find_low(mm, r->size);
	else if (!r->file && r->size >= HUGE_ALIGN && !(r->size & (HUGE_ALIGN - 1)))
		r->addr = mm_find_space(mm, r->size, HUGE_ALIGN);
	if (!r->addr && !r->low)
		r->addr = mm_find_space(mm, r->size, PAGE_SIZE);
	return r->addr ? 0 : -ENOMEM;
}

static int map_check_limits(struct subject *s, struct map_request *r) REQUIRES(lc_mm)
{
	struct mm *mm = s->mm;
	u64 replaced = 0;

	if (r->flags & VMA_LOCKED && !mm_can_lock(s))
		return -EPERM;
	r->flags |= mm->future_flags;
	if (r->flags & VMA_LOCKED && !mm_may_lock(s, r->size))
		return -EAGAIN;
	if (r->flags & VMA_LOCKED)
		mm->may_have_locked = true;
	if (r->name != VMA_NAME_NONE)
		r->flags &= ~(u32)(VMA_LOCKED | VMA_LOCKONFAULT);
	if (r->fixed)
		replaced = mm_mapped_bytes(mm, r->addr, r->addr + r->size, 0);
	if (!mm_may_expand(s, r->flags, r->size - replaced))
		return -ENOMEM;
	if (mm->tree.count > VMA_COUNT_MAX)
		return -ENOMEM;
	return 0;
}

static int map_operate(struct subject *s, const struct map_request *r) REQUIRES(lc_mm)
{
	int prot = (int)(r->flags & VMA_PROT);

	if (r->file)
		return pf_map_file(s->thread, r->addr, r->size, prot, r->flags & VMA_SHARED, r->fd,
				   r->offset);
	return pf_map_anon(s->thread, r->addr, r->size, prot, r->flags & VMA_NORESERVE, false);
}

static void map_commit(struct mm *mm, const struct map_request *r, struct vma_spares *sp,
		       struct list *gone) REQUIRES(lc_mm)
{
	struct vma *v = vma_spares_take(sp);

	v->start = r->addr;
	v->end = r->addr + r->size;
	v->offset = r->file ? r->offset : r->addr;
	v->file = r->file;
	v->flags = r->flags | vma_account_flag(r->flags);
	v->name = r->name;
	if (v->file)
		v->file->ops->get(v->file);
	spin_lock(&mm->vmas_lock, &lc_vmas);
	if (r->fixed)
		mm_cut(mm, v->start, v->end, sp, gone);
	mm_link(mm, v, gone);
	spin_unlock(&mm->vmas_lock, &lc_vmas);
}

static int map_locked(struct subject *s, struct map_request *r, struct list *gone) REQUIRES(lc_mm)
{
	struct vma_spares sp;
	int err;

	err = map_place(s->mm, r);
	if (!err)
		err = map_check_limits(s, r);
	if (!err)
		err = vma_spares_get(&sp, r->fixed ? 2 : 1);
	if (err)
		return err;
	err = map_operate(s, r);
	if (!err)
		map_commit(s->mm, r, &sp, gone);
	vma_spares_put(&sp);
	return err;
}

/* With the file's descriptor (of shared anonymous memory: the new object's) at hand. */
static int map_file(struct subject *s, struct map_request *r, struct list *gone)
{
	struct mappable *shm = NULL, *file;
	int err;

	if (!r->file) {
		err = shm_object_create(r->size, &shm);
		if (err)
			return err;
		r->file = shm;
	}
	file = r->file;
	err = file->ops->host_fd_get(file, r->flags & VMA_SHARED, &r->fd);
	if (!err) {
		mm_lock(s->mm);
		err = map_locked(s, r, gone);
		mm_unlock(s->mm);
		file->ops->host_fd_put(file, r->fd);
	}
	if (shm)
		shm->ops->put(shm);
	return err;
}

int mm_mmap(struct subject *s, const struct mmap_args *args, u64 *ret_addr)
{
	struct map_request r = {};
	struct list gone;
	int err;

	list_init(&gone);
	err = map_check(args, &r);
	if (err)
		return err;
	if (r.file || r.flags & VMA_SHARED) {
		err = map_file(s, &r, &gone);
	} else {
		mm_lock(s->mm);
		err = map_locked(s, &r, &gone);
		mm_unlock(s->mm);
	}
	vma_free_list(&gone);
	if (err)
		return err;
	if (r.populate || (r.flags & (VMA_LOCKED | VMA_LOCKONFAULT)) == VMA_LOCKED)
		mm_populate(s, r.addr, r.size);
	*ret_addr = r.addr;
	return 0;
}

int mm_unmap_locked(struct subject *s, u64 start, u64 end, struct list *gone)
{
	struct mm *mm = s->mm;
	const struct vma *first = vma_find_overlap(&mm->tree, start, end);
	struct vma_spares sp;
	int err;

	if (!first)
		return 0;
	if (first->start < start && first->end > end && mm_too_many(mm, 1))
		return -ENOMEM;
	err = vma_spares_get(&sp, first->start < start && first->end > end);
	if (err)
		return err;
	err = pf_unmap(s->thread, start, end - start);
	if (!err) {
		spin_lock(&mm->vmas_lock, &lc_vmas);
		mm_cut(mm, start, end, &sp, gone);
		spin_unlock(&mm->vmas_lock, &lc_vmas);
	}
	vma_spares_put(&sp);
	return err;
}

int mm_munmap(struct subject *s, u64 addr, u64 size)
{
	u64 limit = platform_task_size();
	struct list gone;
	int err;

	if (addr & ~PAGE_MASK || addr > limit || size > limit - addr)
		return -EINVAL;
	size = page_up(size);
	if (size == 0)
		return -EINVAL;
	if (addr + size <= PF_MMAP_MIN)
		return 0;
	list_init(&gone);
	mm_lock(s->mm);
	err = mm_unmap_locked(s, max(addr, PF_MMAP_MIN), addr + size, &gone);
	mm_unlock(s->mm);
	vma_free_list(&gone);
	return err;
}
