/*
 * mremap. Anonymous memory grows in place by mapping more behind it; everything else is one move
 * operation of the platform, but for old_size 0, which maps a shared file once more.
 *
 * For that the file's descriptor is had before the mm lock is taken (it may need locks that come
 * first), so the file is looked up twice: if it has changed in between, the call starts over.
 * Source: mremap(2); Linux 6.1, mm/mremap.c.
 */

#include "mm/impl.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

struct remap {
	u64 old_addr, old_size, new_addr, new_size;
	bool may_move, fixed, keep;
	struct mappable *file; /* owns a reference: of what is mapped at old_addr; null: none, or
				  it is not needed */
	int fd; /* of file, to map it once more */
	struct list gone;
};

static int remap_check_target(const struct remap *m)
{
	u64 limit = platform_task_size();

	if (m->new_addr & ~PAGE_MASK)
		return -EINVAL;
	if (m->new_size > limit || m->new_addr > limit - m->new_size)
		return -EINVAL;
	if (m->old_addr + m->old_size > m->new_addr && m->new_addr + m->new_size > m->old_addr)
		return -EINVAL;
	if (m->fixed && m->new_addr < PF_MMAP_MIN)
		return -EPERM;
	return 0;
}

static int remap_check(const struct remap *m, int flags)
{
	if (flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP))
		return -EINVAL;
	if (m->fixed && !m->may_move)
		return -EINVAL;
	if (m->keep && (!m->may_move || m->old_size != m->new_size))
		return -EINVAL;
	if (m->old_addr & ~PAGE_MASK || m->new_size == 0 || m->new_size > platform_task_size())
		return -EINVAL;
	return m->fixed || m->keep ? remap_check_target(m) : 0;
}

/* Linux's vma_to_resize: the mapping to change, and whether it may get this size. */
static int remap_find(struct subject *s, const struct remap *m, struct vma **ret_vma)
	REQUIRES(lc_mm)
{
	struct vma *v = vma_lookup(&s->mm->tree, m->old_addr);
	u64 offset, grow;

	if (!v)
		return -EFAULT;
	if (!m->old_size && !(v->flags & VMA_SHARED))
		return -EINVAL;
	if (m->keep && v->flags & VMA_DONTEXPAND)
		return -EINVAL;
	if (m->old_size > v->end - m->old_addr)
		return -EFAULT;
	*ret_vma = v;
	if (m->new_size == m->old_size)
		return 0;
	offset = v->offset + (m->old_addr - v->start);
	if (offset + m->new_size < offset)
		return -EINVAL;
	if (v->flags & VMA_DONTEXPAND)
		return -EFAULT;
	grow = m->new_size > m->old_size ? m->new_size - m->old_size : 0;
	if (v->flags & VMA_LOCKED && !mm_may_lock(s, grow))
		return -EAGAIN;
	return mm_may_expand(s, v->flags, grow) ? 0 : -ENOMEM;
}

/*
 * More memory behind v. A file's mapping is made longer by the host, so that it goes on showing
 * what it shows: the file may have other contents by now (an overlay's copy).
 */
static int remap_grow(struct subject *s, const struct vma *v, u64 size) REQUIRES(lc_mm)
{
	u64 last = v->end - PAGE_SIZE;
	int err;

	if (v->file)
		err = pf_move(s->thread, last, PAGE_SIZE, last, PAGE_SIZE + size, false);
	else
		err = pf_map_anon(s->thread, v->end, size, (int)(v->flags & VMA_PROT),
				  v->flags & VMA_NORESERVE, false);
	if (!err)
		mm_readvise(s, v->flags, v->end, size);
	return err;
}

/* The file of v, which is shared, once more at new_addr. */
static int remap_again(struct subject *s, const struct remap *m, const struct vma *v, u64 offset)
	REQUIRES(lc_mm)
{
	int err = pf_map_file(s->thread, m->new_addr, m->new_size, (int)(v->flags & VMA_PROT), true,
			      m->fd, offset);

	if (!err)
		mm_readvise(s, v->flags, m->new_addr, m->new_size);
	return err;
}

static bool remap_can_expand(struct mm *mm, const struct vma *v, u64 grow) REQUIRES(lc_mm)
{
	u64 end = v->end + grow;

	return end > v->end && end <= platform_task_size() &&
	       !vma_find_overlap(&mm->tree, v->end, end);
}

static int remap_expand(struct subject *s, struct remap *m, struct vma *v) REQUIRES(lc_mm)
{
	struct mm *mm = s->mm;
	u64 grow = m->new_size - m->old_size;
	struct vma *next;
	int err;

	err = remap_grow(s, v, grow);
	if (err)
		return err;
	spin_lock(&mm->vmas_lock, &lc_vmas);
	mm_resize(mm, v, v->start, v->end + grow);
	next = vma_next(&mm->tree, v);
	if (next && vma_can_merge(v, next)) {
		u64 end = next->end;

		mm_cut(mm, next->start, next->end, NULL, &m->gone);
		mm_resize(mm, v, v->start, end);
	}
	spin_unlock(&mm->vmas_lock, &lc_vmas);
	m->new_addr = m->old_addr;
	return 0;
}

/* The tree after a move: what was there goes, unless it is kept; the new mapping comes. */
static void remap_commit_move(struct mm *mm, struct remap *m, const struct vma *v,
			      struct vma_spares *sp) REQUIRES(lc_mm)
{
	struct vma *n = vma_spares_take(sp);

	n->start = m->new_addr;
	n->end = m->new_addr + m->new_size;
	n->offset = v->offset + (m->old_addr - v->start);
	n->file = v->file;
	n->flags = v->flags;
	n->name = v->name;
	if (n->file)
		n->file->ops->get(n->file);
	spin_lock(&mm->vmas_lock, &lc_vmas);
	mm_cut(mm, n->start, n->end, sp, &m->gone);
	if (!m->keep && m->old_size)
		mm_cut(mm, m->old_addr, m->old_addr + m->old_size, sp, &m->gone);
	else if (m->keep)
		mm_change(mm, m->old_addr, m->old_addr + m->old_size, 0,
			  VMA_LOCKED | VMA_LOCKONFAULT, sp, &m->gone);
	mm_link(mm, n, &m->gone);
	spin_unlock(&mm->vmas_lock, &lc_vmas);
}

/* Move to new_addr, which was checked or found. */
static int remap_move(struct subject *s, struct remap *m, const struct vma *v) REQUIRES(lc_mm)
{
	struct vma_spares sp;
	u64 offset = v->offset + (m->old_addr - v->start);
	int err;

	if (s->mm->tree.count + 3 > VMA_COUNT_MAX)
		return -ENOMEM;
	/* The new mapping; a split where it goes; two where the old one stays, or one where it
	 * goes. */
	err = vma_spares_get(&sp, 4);
	if (err)
		return err;
	if (!m->old_size)
		err = remap_again(s, m, v, offset);
	else
		err = pf_move(s->thread, m->old_addr, m->old_size, m->new_addr, m->new_size,
			      m->keep);
	if (!err)
		remap_commit_move(s->mm, m, v, &sp);
	vma_spares_put(&sp);
	return err;
}

/* Unmap what a smaller size leaves out. */
static int remap_shrink(struct subject *s, struct remap *m) REQUIRES(lc_mm)
{
	u64 limit = platform_task_size(), start = m->old_addr + m->new_size;
	int err;

	if (start > limit || m->old_size - m->new_size > limit - start)
		return -EINVAL;
	err = mm_unmap_locked(s, start, m->old_addr + m->old_size, &m->gone);
	if (!err)
		m->old_size = m->new_size;
	return err;
}

/* MREMAP_FIXED or DONTUNMAP. */
static int remap_to(struct subject *s, struct remap *m, struct vma *v) REQUIRES(lc_mm)
{
	int err;

	if (m->fixed && !m->old_size && v->flags & VMA_SHARED &&
	    m->old_addr - m->new_addr < m->new_size) {
		/* What is there to be mapped again goes first, as in Linux. */
		err = mm_unmap_locked(s, m->new_addr, m->new_addr + m->new_size, &m->gone);
		return err ? err : -EFAULT;
	}
	if (m->old_size > m->new_size) {
		/* Nothing is unmapped if the rest cannot be moved. */
		if (m->new_size > v->end - m->old_addr)
			return -EFAULT;
		err = remap_shrink(s, m);
		if (err)
			return err;
	}
	err = remap_find(s, m, &v);
	if (err)
		return err;
	if (m->keep && !mm_may_expand(s, v->flags, m->old_size))
		return -ENOMEM;
	if (!m->fixed) {
		u64 hint = m->new_addr & PAGE_MASK;

		if (!hint || hint < PF_MMAP_MIN ||
		    vma_find_overlap(&s->mm->tree, hint, hint + m->new_size))
			m->new_addr = mm_find_space(s->mm, m->new_size, PAGE_SIZE);
		if (!m->new_addr)
			return -ENOMEM;
	}
	return remap_move(s, m, v);
}

static int remap_locked(struct subject *s, struct remap *m) REQUIRES(lc_mm)
{
	struct mm *mm = s->mm;
	struct vma *v = vma_lookup(&mm->tree, m->old_addr);
	int err;

	if (!v)
		return -EFAULT;
	if (m->fixed || m->keep)
		return remap_to(s, m, v);
	if (m->old_size >= m->new_size) {
		m->new_addr = m->old_addr;
		return m->old_size == m->new_size ? 0 : remap_shrink(s, m);
	}
	err = remap_find(s, m, &v);
	if (err)
		return err;
	if (m->old_size == v->end - m->old_addr && m->old_size &&
	    remap_can_expand(mm, v, m->new_size - m->old_size))
		return remap_expand(s, m, v);
	if (!m->may_move)
		return -ENOMEM;
	m->new_addr = mm_find_space(mm, m->new_size, PAGE_SIZE);
	return m->new_addr ? remap_move(s, m, v) : -ENOMEM;
}

/* The file of a shared mapping at old_addr with a reference, and its descriptor. */
static int remap_get_file(struct mm *mm, struct remap *m)
{
	const struct vma *v;
	int err = 0;

	m->file = NULL;
	m->fd = -1;
	spin_lock(&mm->vmas_lock, &lc_vmas);
	v = vma_lookup(&mm->tree, m->old_addr);
	if (v && v->file && v->flags & VMA_SHARED) {
		m->file = v->file;
		m->file->ops->get(m->file);
	}
	spin_unlock(&mm->vmas_lock, &lc_vmas);
	if (!m->file)
		return 0;
	err = m->file->ops->host_fd_get(m->file, true, &m->fd);
	if (err) {
		m->file->ops->put(m->file);
		m->file = NULL;
	}
	return err;
}

static void remap_put_file(struct remap *m)
{
	if (!m->file)
		return;
	m->file->ops->host_fd_put(m->file, m->fd);
	m->file->ops->put(m->file);
}

/* One attempt: -EAGAIN with *ret_again if another thread has meanwhile mapped another file there.
 */
static int remap_try(struct subject *s, struct remap *m, bool *ret_again, bool *ret_locked)
{
	struct mm *mm = s->mm;
	const struct vma *v;
	int err;

	*ret_again = false;
	m->file = NULL;
	err = m->old_size ? 0 : remap_get_file(mm, m);
	if (err)
		return err;
	mm_lock(mm);
	v = vma_lookup(&mm->tree, m->old_addr);
	*ret_locked = v && v->flags & VMA_LOCKED;
	if (!m->old_size && v && v->flags & VMA_SHARED && v->file != m->file)
		*ret_again = true;
	else
		err = remap_locked(s, m);
	mm_unlock(mm);
	remap_put_file(m);
	return err;
}

int mm_mremap(struct subject *s, u64 old_addr, u64 old_size, u64 new_size, int flags, u64 new_addr,
	      u64 *ret_addr)
{
	struct remap m = {
		.old_addr = old_addr,
		.old_size = page_up(old_size),
		.new_size = page_up(new_size),
		.new_addr = new_addr,
		.may_move = flags & MREMAP_MAYMOVE,
		.fixed = flags & MREMAP_FIXED,
		.keep = flags & MREMAP_DONTUNMAP,
	};
	u64 grow = m.new_size > m.old_size ? m.new_size - m.old_size : 0;
	bool again, locked;
	int err;

	err = remap_check(&m, flags);
	if (err)
		return err;
	list_init(&m.gone);
	do {
		err = remap_try(s, &m, &again, &locked);
	} while (again);
	vma_free_list(&m.gone);
	if (err)
		return err;
	if (locked && grow)
		mm_populate(s, m.new_addr + m.new_size - grow, grow);
	*ret_addr = m.new_addr;
	return 0;
}
