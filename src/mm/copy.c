/*
 * Guest memory for the rest of the kernel: the platform's copies behind an access check, tried
 * again when a stack can be grown over what was not mapped.
 */

#include "mm/mm.h"

#include <errno.h>

#include "base/bug.h"
#include "mm/impl.h"

bool uaddr_ok(struct uaddr addr, u64 size)
{
	u64 limit = platform_task_size();

	return size <= limit && addr.v <= limit - size;
}

int copy_in(struct subject *s, void *dst, struct uaddr src, size_t size)
{
	int err;

	if (!uaddr_ok(src, size))
		return -EFAULT;
	err = pf_copy_in(s->thread, dst, src, size);
	if (err == -EFAULT && mm_grow_stacks(s, src.v, size))
		err = pf_copy_in(s->thread, dst, src, size);
	return err;
}

int copy_out(struct subject *s, struct uaddr dst, const void *src, size_t size)
{
	int err;

	if (!uaddr_ok(dst, size))
		return -EFAULT;
	err = pf_copy_out(s->thread, dst, src, size);
	if (err == -EFAULT && mm_grow_stacks(s, dst.v, size))
		err = pf_copy_out(s->thread, dst, src, size);
	return err;
}

int copy_out_late(struct subject *s, struct uaddr dst, const void *src, size_t size)
{
	int err;

	if (!uaddr_ok(dst, size))
		return -EFAULT;
	err = pf_copy_out_deferred(s->thread, dst, src, size);
	if (err == -EFAULT && mm_grow_stacks(s, dst.v, size))
		err = pf_copy_out_deferred(s->thread, dst, src, size);
	return err;
}

/* As much of [addr, addr + size) as lies in the guest's range. */
static size_t clip_size(struct uaddr addr, size_t size)
{
	u64 limit = platform_task_size();

	if (addr.v >= limit)
		return 0;
	return min((u64)size, limit - addr.v);
}

ssize_t copy_in_partial(struct subject *s, void *dst, struct uaddr src, size_t size)
{
	ssize_t done, more;

	size = clip_size(src, size);
	if (!size)
		return 0;
	done = pf_copy_in_partial(s->thread, dst, src, size);
	if (done < 0 || (size_t)done >= size)
		return done;
	src = uaddr_add(src, (u64)done);
	if (!mm_grow_stacks(s, src.v, size - (size_t)done))
		return done;
	more = pf_copy_in_partial(s->thread, (char *)dst + done, src, size - (size_t)done);
	return more < 0 ? more : done + more;
}

ssize_t copy_out_partial(struct subject *s, struct uaddr dst, const void *src, size_t size)
{
	ssize_t done, more;

	size = clip_size(dst, size);
	if (!size)
		return 0;
	done = pf_copy_out_partial(s->thread, dst, src, size);
	if (done < 0 || (size_t)done >= size)
		return done;
	dst = uaddr_add(dst, (u64)done);
	if (!mm_grow_stacks(s, dst.v, size - (size_t)done))
		return done;
	more = pf_copy_out_partial(s->thread, dst, (const char *)src + done, size - (size_t)done);
	return more < 0 ? more : done + more;
}

ssize_t copy_out_mapped(struct subject *s, struct uaddr dst, const void *src, size_t size)
{
	return pf_copy_out_mapped(s->thread, dst, src, clip_size(dst, size));
}

ssize_t copy_in_string(struct subject *s, char *dst, struct uaddr src, size_t size)
{
	size_t room = clip_size(src, size);
	ssize_t len;

	if (!room)
		return size ? -EFAULT : -ENAMETOOLONG;
	len = pf_copy_in_string(s->thread, dst, src, room);
	if (len == -EFAULT && mm_grow_stacks(s, src.v, room))
		len = pf_copy_in_string(s->thread, dst, src, room);
	/* A string that the end of the address space cut off. */
	return len == -ENAMETOOLONG && room < size ? -EFAULT : len;
}

int clear_out(struct subject *s, struct uaddr dst, size_t size)
{
	int err;

	if (!uaddr_ok(dst, size))
		return -EFAULT;
	err = pf_clear(s->thread, dst, size);
	if (err == -EFAULT && mm_grow_stacks(s, dst.v, size))
		err = pf_clear(s->thread, dst, size);
	return err;
}

int load_in32(struct subject *s, struct uaddr addr, u32 *ret)
{
	int err;

	DEBUG_BUG_ON(addr.v & 3);
	if (!uaddr_ok(addr, sizeof(u32)))
		return -EFAULT;
	err = pf_load32(s->thread, addr, ret);
	if (err == -EFAULT && mm_grow_stacks(s, addr.v, sizeof(u32)))
		err = pf_load32(s->thread, addr, ret);
	return err;
}

int cmpxchg_in32(struct subject *s, struct uaddr addr, u32 old, u32 new, u32 *ret_old)
{
	int err;

	DEBUG_BUG_ON(addr.v & 3);
	if (!uaddr_ok(addr, sizeof(u32)))
		return -EFAULT;
	err = pf_cmpxchg32(s->thread, addr, old, new, ret_old);
	if (err == -EFAULT && mm_grow_stacks(s, addr.v, sizeof(u32)))
		err = pf_cmpxchg32(s->thread, addr, old, new, ret_old);
	return err;
}

ssize_t mm_read_other(struct mm *mm, void *dst, struct uaddr src, size_t size)
{
	size = clip_size(src, size);
	return size ? pf_space_read(mm->space, dst, src, size) : -EFAULT;
}

ssize_t mm_write_other(struct mm *mm, struct uaddr dst, const void *src, size_t size)
{
	size = clip_size(dst, size);
	return size ? pf_space_write(mm->space, dst, src, size) : -EFAULT;
}
