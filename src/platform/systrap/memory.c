/*
 * Mappings and guest memory. Anonymous memory is mapped by calls that the filter allows; whatever
 * names a descriptor or is not harmless is a verified call, done when the lane has made its next
 * wait, so that the caller may then close the descriptor. Copies go through the lane's window in
 * pieces.
 */

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "host/host.h"
#include "platform/systrap/attend.h"
#include "platform/systrap/batch.h"
#include "platform/systrap/internal.h"

#define VM_SIZE 12'288 /* from here on the copy itself matters */
#define VM_LONG 262'144 /* longer than another worker takes to wake */
#define DEFER_MAX (64UL << 20) /* far below what a host refuses before it has run out of memory */
#define VM_SMALL 16'384 /* of another space, on the worker */
#define STRING_PIECE 512 /* divides a page */

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

u64 platform_task_size(void)
{
	return g_systrap.base;
}

/* The result of a call that returns nothing else, as far as the guest's lane may be believed. */
static int plain_result(s64 ret)
{
	if (likely(ret == 0))
		return 0;
	return ret < 0 && ret >= -4095 ? (int)ret : -EIO;
}

static int address_result(s64 ret, u64 want)
{
	return ret == (s64)want ? 0 : plain_result(ret ? ret : -EIO);
}

/*
 * A change of mappings can go along with the next command if no other lane can see that it has not
 * happened yet, and if the host has no reason to refuse it: then its refusal ends the space.
 */
static bool may_defer(struct pf_thread *t, u64 size)
{
	bool alone;

	if (size > DEFER_MAX || g_systrap.strict_memory ||
	    atomic_load_explicit(&t->space->crowded, memory_order_relaxed))
		return false;
	systrap_lock();
	alone = t->space->thread_count == 1;
	systrap_unlock();
	return alone;
}

void pf_space_set_crowded(struct pf_space *s, bool crowded)
{
	atomic_store_explicit(&s->crowded, crowded, memory_order_relaxed);
}

/* A call that the filter allows at the fast instruction and that returns want. */
static int map_call(struct pf_thread *t, const struct lane_call *c)
{
	const u64 *a = c->arg;

	if (may_defer(t, a[1]))
		return lane_defer(t, c);
	return address_result(
		lane_syscall(t, false, (u32)c->nr, a[0], a[1], a[2], a[3], a[4], a[5]), c->want);
}

int pf_map_anon(struct pf_thread *t, u64 addr, u64 size, int prot, bool noreserve, bool growsdown)
{
	u64 flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	if (noreserve)
		flags |= MAP_NORESERVE;
	if (growsdown)
		flags |= MAP_GROWSDOWN;
	if (batch_open(t)) {
		const struct vcall call = { SYS_mmap, { addr, size, (u64)prot, flags, ~0UL, 0 } };

		return batch_add(t, &call, -1, addr);
	}
	return map_call(t, &(struct lane_call){
				   SYS_mmap, { addr, size, (u64)prot, flags, ~0UL, 0 }, addr });
}

int pf_map_file(struct pf_thread *t, u64 addr, u64 size, int prot, bool shared, int fd, u64 offset)
{
	u64 flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED;

	if (batch_open(t)) {
		const struct vcall call = { SYS_mmap,
					    { addr, size, (u64)prot, flags, (u64)fd, offset } };

		return batch_add(t, &call, 4, addr);
	}
	return address_result(
		lane_syscall(t, true, SYS_mmap, addr, size, (u64)prot, flags, (u64)fd, offset),
		addr);
}

int pf_unmap(struct pf_thread *t, u64 addr, u64 size)
{
	return map_call(t, &(struct lane_call){ SYS_munmap, { addr, size }, 0 });
}

int pf_protect(struct pf_thread *t, u64 addr, u64 size, int prot)
{
	return map_call(t, &(struct lane_call){ SYS_mprotect, { addr, size, (u64)prot }, 0 });
}

int pf_move(struct pf_thread *t, u64 old_addr, u64 old_size, u64 new_addr, u64 new_size,
	    bool keep_old)
{
	u64 flags = new_addr == old_addr ? 0 : MREMAP_MAYMOVE | MREMAP_FIXED;

	if (keep_old)
		flags |= MREMAP_DONTUNMAP;
	return address_result(
		lane_syscall(t, true, SYS_mremap, old_addr, old_size, new_size, flags, new_addr, 0),
		new_addr);
}

int pf_advise(struct pf_thread *t, u64 addr, u64 size, int advice)
{
	bool verified = false;

	switch (advice) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_DONTNEED:
	case MADV_FREE:
	case MADV_DONTFORK:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
	case MADV_COLD:
	case MADV_PAGEOUT:
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		break;
	case MADV_DOFORK:
		verified = true;
		break;
	default:
		return -EINVAL;
	}
	/* To discard is no more than to have it discarded before the guest looks again. */
	if ((advice == MADV_DONTNEED || advice == MADV_FREE) && t->space->sealed)
		return lane_defer(
			t, &(struct lane_call){ SYS_madvise, { addr, size, (u64)advice }, 0 });
	return plain_result(
		lane_syscall(t, verified, SYS_madvise, addr, size, (u64)advice, 0, 0, 0));
}

int pf_mincore(struct pf_thread *t, u64 addr, u64 size, u8 *vec)
{
	u64 window = t->stub_lane + LANE_WINDOW_OFFSET;
	u64 most = LANE_WINDOW_SIZE * PAGE_SIZE;
	int err;

	for (u64 done = 0; done < size; done += most) {
		u64 n = min(size - done, most);

		err = plain_result(
			lane_syscall(t, true, SYS_mincore, addr + done, n, window, 0, 0, 0));
		if (err)
			return err;
		if (host_shared_read(vec + done / PAGE_SIZE, t->lane->window, n / PAGE_SIZE))
			return -ESRCH;
	}
	return 0;
}

/* ---- another process's memory, from here ---- */

static ssize_t vm_copy(const struct pf_space *s, void *buf, u64 at, size_t size, bool write)
{
	struct iovec local = { buf, size };
	struct iovec remote = { (void *)at, size }; /* NOLINT: the host's address of it */

	if (write)
		return host_process_vm_writev(s->pid, &local, 1, &remote, 1);
	return host_process_vm_readv(s->pid, &local, 1, &remote, 1);
}

/*
 * To wake a lane that sleeps costs several times a host call that copies by itself; and so does a
 * second copy of much. The host may have to fetch a page from disk meanwhile, and this worker with
 * it, as in any kernel.
 */
static bool vm_is_cheaper(const struct pf_thread *t, size_t size)
{
	return (size >= VM_SIZE || !attend_may_spin(t)) &&
	       !atomic_load_explicit(&g_systrap.no_vm, memory_order_relaxed);
}

/* Returns bytes copied, -ESRCH, or -EAGAIN: have the lane do it. */
static ssize_t vm_piece(struct pf_thread *t, void *buf, u64 at, size_t size, bool write)
{
	ssize_t n;

	if (space_is_dead(t->space))
		return -ESRCH;
	n = vm_copy(t->space, buf, at, size, write);
	if (likely(n >= 0))
		return n;
	if (n == -EFAULT)
		return 0;
	if (n == -EPERM || n == -ENOSYS)
		atomic_store(&g_systrap.no_vm, true);
	return -EAGAIN;
}

/* ---- copies ---- */

/* The range lies in guest memory. */
static bool range_ok(struct uaddr a, size_t size)
{
	return a.v <= g_systrap.base && size <= g_systrap.base - a.v;
}

/* Before the guest's memory is looked at or changed otherwise: what was deferred is part of it. */
static int settle(struct pf_thread *t, bool write)
{
	if (write)
		marshal_forget(t);
	/* What follows the mapping of a program is its data. */
	if (unlikely(t->batch) && space_seal(t))
		return -ESRCH;
	return unlikely(t->outputs.count || t->first.nr || t->fp_pending) ? pf_flush(t) : 0;
}

/* One piece of at most a window. Returns bytes copied or -ESRCH. */
static ssize_t piece_in(struct pf_thread *t, void *dst, u64 src, size_t size)
{
	u64 arg[2] = { src, size };
	ssize_t n;
	s64 left;
	int err;

	if (vm_is_cheaper(t, size)) {
		n = vm_piece(t, dst, src, size, false);
		if (n != -EAGAIN)
			return n;
	}
	err = lane_op(t, LANE_COPY_IN, arg, 2, &left);
	if (err)
		return err;
	if (left < 0 || (u64)left > size)
		left = (s64)size;
	size -= (size_t)left;
	if (size && host_shared_read(dst, t->lane->window, size))
		return -ESRCH;
	return (ssize_t)size;
}

static ssize_t piece_out(struct pf_thread *t, u64 dst, const void *src, size_t size)
{
	u64 arg[2] = { dst, size };
	ssize_t n;
	s64 left;
	int err;

	if (vm_is_cheaper(t, size)) {
		n = vm_piece(t, (void *)(unsigned long)src, dst, size, true);
		if (n != -EAGAIN)
			return n;
	}
	if (space_is_dead(t->space) || host_shared_write(t->lane->window, src, size))
		return -ESRCH;
	err = lane_op(t, LANE_COPY_OUT, arg, 2, &left);
	if (err)
		return err;
	if (left < 0 || (u64)left > size)
		left = (s64)size;
	return (ssize_t)(size - (size_t)left);
}

ssize_t pf_copy_in_partial(struct pf_thread *t, void *dst, struct uaddr src, size_t size)
{
	size_t done = 0;

	if (marshal_find(t, dst, src.v, size))
		return (ssize_t)size;
	if (settle(t, false))
		return -ESRCH;
	while (done < size) {
		size_t n = min(size - done, LANE_WINDOW_SIZE);
		ssize_t got;

		if (!range_ok(uaddr_add(src, done), n))
			break;
		got = piece_in(t, (u8 *)dst + done, src.v + done, n);
		if (got < 0)
			return got;
		done += (size_t)got;
		if ((size_t)got < n)
			break;
	}
	return (ssize_t)done;
}

ssize_t pf_copy_out_partial(struct pf_thread *t, struct uaddr dst, const void *src, size_t size)
{
	size_t done = 0;

	if (settle(t, true))
		return -ESRCH;
	while (done < size) {
		size_t n = min(size - done, LANE_WINDOW_SIZE);
		ssize_t got;

		if (!range_ok(uaddr_add(dst, done), n))
			break;
		got = piece_out(t, dst.v + done, (const u8 *)src + done, n);
		if (got < 0)
			return got;
		done += (size_t)got;
		if ((size_t)got < n)
			break;
	}
	return (ssize_t)done;
}

ssize_t pf_copy_out_mapped(struct pf_thread *t, struct uaddr dst, const void *src, size_t size)
{
	if (!size || !range_ok(dst, size) ||
	    atomic_load_explicit(&g_systrap.no_vm, memory_order_relaxed))
		return -EAGAIN;
	if (settle(t, true))
		return -ESRCH;
	if (size >= VM_LONG)
		sched_expect_delay();
	return vm_piece(t, (void *)(unsigned long)src, dst.v, size, true);
}

static int whole(ssize_t got, size_t size)
{
	if (got < 0)
		return (int)got;
	return (size_t)got == size ? 0 : -EFAULT;
}

int pf_copy_in(struct pf_thread *t, void *dst, struct uaddr src, size_t size)
{
	return whole(pf_copy_in_partial(t, dst, src, size), size);
}

int pf_copy_out(struct pf_thread *t, struct uaddr dst, const void *src, size_t size)
{
	return whole(pf_copy_out_partial(t, dst, src, size), size);
}

int pf_clear(struct pf_thread *t, struct uaddr dst, size_t size)
{
	u64 arg[2] = { dst.v, size };
	s64 left;
	int err;

	if (!size)
		return 0;
	if (!range_ok(dst, size))
		return -EFAULT;
	if (batch_open(t))
		return batch_add_clear(t, dst.v, size);
	if (settle(t, true))
		return -ESRCH;
	err = lane_op(t, LANE_CLEAR, arg, 2, &left);
	if (err)
		return err;
	return left ? -EFAULT : 0;
}

/*
 * Some bytes of a string: through its NUL if it is found. Pieces that we copy ourselves end with a
 * page, so that a string which ends before unmapped memory is whole. Bytes copied; 0: a fault.
 */
static ssize_t piece_string(struct pf_thread *t, char *dst, u64 src, size_t size)
{
	u64 arg[2] = { src };
	s64 got;
	int err;

	arg[1] = min(size, LANE_WINDOW_SIZE);
	if (vm_is_cheaper(t, 0)) {
		ssize_t n =
			vm_piece(t, dst, src, min(size, STRING_PIECE - src % STRING_PIECE), false);

		if (n != -EAGAIN)
			return n;
	}
	err = lane_op(t, LANE_STRING, arg, 2, &got);
	if (err)
		return err;
	if (got <= 0 || (u64)got > arg[1])
		return 0;
	if (host_shared_read(dst, t->lane->window, (size_t)got))
		return -ESRCH;
	/* A lane that stops early without a NUL lies. */
	return (u64)got < arg[1] && dst[got - 1] ? 0 : (ssize_t)got;
}

ssize_t pf_copy_in_string(struct pf_thread *t, char *dst, struct uaddr src, size_t size)
{
	ssize_t got = marshal_find_string(t, dst, src.v, size);
	size_t done = 0;

	if (got >= 0)
		return got;
	if (settle(t, false))
		return -ESRCH;
	while (done < size) {
		u64 at = src.v + done;
		size_t length;

		if (!range_ok(UADDR(at), 1))
			return -EFAULT;
		got = piece_string(t, dst + done, at, min(size - done, g_systrap.base - at));
		if (got <= 0)
			return got ? got : -EFAULT;
		length = strnlen(dst + done, (size_t)got);
		done += length;
		if (length < (size_t)got)
			return (ssize_t)done;
	}
	return -ENAMETOOLONG;
}

/*
 * The word out of the aligned eight bytes around it, which the host copies at once. Even if it did
 * not, all would be well: whoever changes a futex meanwhile wakes those that are waiting by then.
 */
static int vm_load32(struct pf_thread *t, u64 addr, u32 *ret)
{
	u32 words[2];
	ssize_t n = vm_piece(t, words, addr & ~7UL, sizeof(words), false);

	if (n < 0)
		return (int)n;
	if (n != sizeof(words))
		return -EFAULT;
	*ret = words[addr >> 2 & 1];
	return 0;
}

int pf_load32(struct pf_thread *t, struct uaddr addr, u32 *ret)
{
	s64 value;
	int err;

	if (!range_ok(addr, sizeof(u32)) || addr.v % sizeof(u32))
		return -EFAULT;
	if (settle(t, false))
		return -ESRCH;
	if (vm_is_cheaper(t, sizeof(u32))) {
		err = vm_load32(t, addr.v, ret);
		if (err != -EAGAIN)
			return err;
	}
	err = lane_op(t, LANE_LOAD32, &addr.v, 1, &value);
	if (err)
		return err;
	if (value < 0)
		return -EFAULT;
	*ret = (u32)value;
	return 0;
}

int pf_cmpxchg32(struct pf_thread *t, struct uaddr addr, u32 old, u32 new, u32 *ret_old)
{
	u64 arg[3] = { addr.v, old, new };
	s64 value;
	int err;

	if (!range_ok(addr, sizeof(u32)) || addr.v % sizeof(u32))
		return -EFAULT;
	if (settle(t, true))
		return -ESRCH;
	err = lane_op(t, LANE_CMPXCHG32, arg, 3, &value);
	if (err)
		return err;
	if (value < 0)
		return -EFAULT;
	*ret_old = (u32)value;
	return 0;
}

int pf_copy_out_deferred(struct pf_thread *t, struct uaddr dst, const void *src, size_t size)
{
	if (marshal_defer(t, dst.v, src, size))
		return 0;
	return pf_copy_out(t, dst, src, size);
}

int pf_flush(struct pf_thread *t)
{
	s64 ignored;

	if (space_is_dead(t->space))
		return -ESRCH;
	marshal_forget(t);
	if (!t->outputs.count && !t->first.nr && !t->fp_pending)
		return 0;
	if (marshal_give(t))
		return -ESRCH;
	return lane_op(t, LANE_FLUSH, NULL, 0, &ignored);
}

/* ---- another space's memory ---- */

struct vm_call {
	const struct pf_space *space;
	void *buf;
	u64 at;
	size_t size;
	bool write;
};

static long vm_call(void *arg)
{
	struct vm_call *c = arg;

	return vm_copy(c->space, c->buf, c->at, c->size, c->write);
}

static ssize_t vm_transfer(struct pf_space *s, void *buf, struct uaddr at, size_t size, bool write)
{
	struct vm_call c = { .space = s, .buf = buf, .at = at.v, .size = size, .write = write };

	if (!size)
		return 0;
	if (!range_ok(at, size))
		return -EFAULT;
	if (atomic_load(&s->state) == SPACE_DEAD || s->reaped)
		return -ESRCH;
	/* Little is copied sooner than handed over. */
	if (size <= VM_SMALL)
		return vm_call(&c);
	return pool_call(vm_call, &c);
}

ssize_t pf_space_read(struct pf_space *s, void *dst, struct uaddr src, size_t size)
{
	return vm_transfer(s, dst, src, size, false);
}

ssize_t pf_space_write(struct pf_space *s, struct uaddr dst, const void *src, size_t size)
{
	return vm_transfer(s, (void *)(unsigned long)src, dst, size, true);
}
