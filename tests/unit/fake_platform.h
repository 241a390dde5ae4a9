#pragma once

/*
 * A platform for unit tests: the guest's memory is a window of this process's own address space, at
 * a fixed distance from guest addresses. Operations are carried out there, counted, and can be made
 * to fail. One space at a time has memory; a forked one has none.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "platform/platform.h"

#define FAKE_TASK_SIZE (64UL << 30)

struct pf_space {
	int refs;
};

struct pf_thread {
	struct pf_space *space;
};

static struct {
	char *window; /* where guest address 0 is */
	unsigned int operations; /* map operations so far */
	unsigned int copies;
	bool dry; /* operations do nothing */
	int fail_in; /* the operation in so many fails with -ENOMEM; 0: none */
	u64 last_addr, last_size;
	int last_advice;
	int spaces; /* structs alive */
	struct pf_host_vdso vdso;
	struct pf_range_usage range; /* all that is in memory; end 0: not told */
} g_fake;

static inline void *fake_at(u64 addr)
{
	return g_fake.window + addr;
}

/* Count an operation; an error if it is to fail. */
static inline int fake_begin(u64 addr, u64 size)
{
	g_fake.operations++;
	g_fake.last_addr = addr;
	g_fake.last_size = size;
	if ((addr | size) & ~PAGE_MASK || size == 0 || addr < PF_MMAP_MIN ||
	    addr + size > FAKE_TASK_SIZE)
		abort(); /* mm has broken its contract */
	if (g_fake.fail_in && --g_fake.fail_in == 0)
		return -ENOMEM;
	return 0;
}

static inline int fake_result(const void *p)
{
	return p == MAP_FAILED ? -errno : 0;
}

static inline void fake_unmap(u64 addr, u64 size)
{
	if (!g_fake.dry &&
	    mmap(fake_at(addr), size, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		abort();
}

/* Before each test: an empty window. */
static inline void fake_reset(void)
{
	if (g_fake.window && munmap(g_fake.window, FAKE_TASK_SIZE))
		abort();
	memset(&g_fake, 0, sizeof(g_fake));
	g_fake.window = mmap(NULL, FAKE_TASK_SIZE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (g_fake.window == MAP_FAILED)
		abort();
}

u64 platform_task_size(void)
{
	return FAKE_TASK_SIZE;
}

u32 platform_fp_size(void)
{
	return 2696;
}

const struct pf_host_vdso *platform_host_vdso(void)
{
	return &g_fake.vdso;
}

bool platform_has_rseq(void)
{
	return false;
}

static inline void fake_space_new(struct pf_space **ret_space, struct pf_thread **ret_thread)
{
	struct pf_space *s = calloc(1, sizeof(*s));
	struct pf_thread *t = calloc(1, sizeof(*t));

	s->refs = 1;
	t->space = s;
	g_fake.spaces++;
	*ret_space = s;
	*ret_thread = t;
}

int pf_space_create(struct pf_space **ret_space, struct pf_thread **ret_thread)
{
	fake_space_new(ret_space, ret_thread);
	return 0;
}

int pf_space_fork(struct pf_thread *t, struct pf_space **ret_space, struct pf_thread **ret_thread)
{
	g_fake.operations++;
	if (g_fake.fail_in && --g_fake.fail_in == 0)
		return -EAGAIN;
	fake_space_new(ret_space, ret_thread);
	return 0;
}

void pf_space_get(struct pf_space *s)
{
	s->refs++;
}

bool pf_thread_is_dead(const struct pf_thread *t)
{
	return false;
}

void pf_space_set_crowded(struct pf_space *s, bool crowded)
{
}

void pf_space_put(struct pf_space *s)
{
	if (--s->refs == 0) {
		g_fake.spaces--;
		free(s);
	}
}

void pf_thread_destroy(struct pf_thread *t)
{
	pf_space_put(t->space);
	free(t);
}

int pf_map_anon(struct pf_thread *t, u64 addr, u64 size, int prot, bool noreserve, bool growsdown)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (noreserve ? MAP_NORESERVE : 0);
	int err = fake_begin(addr, size);

	if (g_fake.dry)
		return err;
	return err ? err : fake_result(mmap(fake_at(addr), size, prot, flags, -1, 0));
}

int pf_map_file(struct pf_thread *t, u64 addr, u64 size, int prot, bool shared, int fd, u64 offset)
{
	int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED;
	int err = fake_begin(addr, size);

	return err ? err : fake_result(mmap(fake_at(addr), size, prot, flags, fd, (off_t)offset));
}

int pf_unmap(struct pf_thread *t, u64 addr, u64 size)
{
	int err = fake_begin(addr, size);

	if (!err)
		fake_unmap(addr, size);
	return err;
}

int pf_protect(struct pf_thread *t, u64 addr, u64 size, int prot)
{
	int err = fake_begin(addr, size);

	return err ? err : (mprotect(fake_at(addr), size, prot) ? -errno : 0);
}

int pf_move(struct pf_thread *t, u64 old_addr, u64 old_size, u64 new_addr, u64 new_size,
	    bool keep_old)
{
	int err = fake_begin(old_addr, old_size);

	if (!err && new_addr == old_addr) {
		munmap(fake_at(old_addr + old_size), new_size - old_size);
		return fake_result(mremap(fake_at(old_addr), old_size, new_size, 0));
	}
	if (!err)
		err = fake_result(mremap(fake_at(old_addr), old_size, new_size,
					 MREMAP_MAYMOVE | MREMAP_FIXED | (keep_old ? 4 : 0),
					 fake_at(new_addr)));
	if (!err && !keep_old)
		fake_unmap(old_addr, old_size);
	return err;
}

int pf_advise(struct pf_thread *t, u64 addr, u64 size, int advice)
{
	int err = fake_begin(addr, size);

	g_fake.last_advice = advice;
	return err ? err : (madvise(fake_at(addr), size, advice) ? -errno : 0);
}

int pf_mincore(struct pf_thread *t, u64 addr, u64 size, u8 *vec)
{
	int err = fake_begin(addr, size);

	return err ? err : (mincore(fake_at(addr), size, vec) ? -errno : 0);
}

static inline ssize_t fake_copy(bool out, u64 addr, void *buf, size_t size)
{
	struct iovec local = { buf, size }, remote = { fake_at(addr), size };
	ssize_t n;

	__atomic_fetch_add(&g_fake.copies, 1, __ATOMIC_RELAXED);
	n = out ? process_vm_writev(getpid(), &local, 1, &remote, 1, 0) :
		  process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
	return n < 0 ? 0 : n;
}

int pf_copy_in(struct pf_thread *t, void *dst, struct uaddr src, size_t size)
{
	return (size_t)fake_copy(false, src.v, dst, size) == size ? 0 : -EFAULT;
}

int pf_copy_out(struct pf_thread *t, struct uaddr dst, const void *src, size_t size)
{
	return (size_t)fake_copy(true, dst.v, (void *)(uintptr_t)src, size) == size ? 0 : -EFAULT;
}

int pf_copy_out_deferred(struct pf_thread *t, struct uaddr dst, const void *src, size_t size)
{
	return pf_copy_out(t, dst, src, size);
}

ssize_t pf_copy_in_partial(struct pf_thread *t, void *dst, struct uaddr src, size_t size)
{
	return fake_copy(false, src.v, dst, size);
}

ssize_t pf_copy_out_mapped(struct pf_thread *t, struct uaddr dst, const void *src, size_t size)
{
	return -EAGAIN;
}

ssize_t pf_copy_out_partial(struct pf_thread *t, struct uaddr dst, const void *src, size_t size)
{
	return fake_copy(true, dst.v, (void *)(uintptr_t)src, size);
}

ssize_t pf_copy_in_string(struct pf_thread *t, char *dst, struct uaddr src, size_t size)
{
	ssize_t n = fake_copy(false, src.v, dst, size);
	size_t len = strnlen(dst, (size_t)n);

	if (len < (size_t)n)
		return (ssize_t)len;
	return (size_t)n < size ? -EFAULT : -ENAMETOOLONG;
}

int pf_clear(struct pf_thread *t, struct uaddr dst, size_t size)
{
	void *zeros = calloc(1, size);
	int err = pf_copy_out(t, dst, zeros, size);

	free(zeros);
	return err;
}

int pf_load32(struct pf_thread *t, struct uaddr addr, u32 *ret)
{
	return pf_copy_in(t, ret, addr, sizeof(*ret));
}

int pf_cmpxchg32(struct pf_thread *t, struct uaddr addr, u32 old, u32 new, u32 *ret_old)
{
	int err = pf_copy_in(t, ret_old, addr, sizeof(old));

	if (!err && *ret_old == old)
		err = pf_copy_out(t, addr, &new, sizeof(new));
	return err;
}

int pf_space_residency(struct pf_space *s, struct pf_residency *ret)
{
	*ret = (struct pf_residency){};
	return -ESRCH;
}

int pf_space_ranges(struct pf_space *s, pf_range_fn *fn, void *arg)
{
	if (!g_fake.range.end)
		return -ESRCH;
	fn(&g_fake.range, arg);
	return 0;
}

ssize_t pf_space_read(struct pf_space *s, void *dst, struct uaddr src, size_t size)
{
	ssize_t n = fake_copy(false, src.v, dst, size);

	return n ? n : -EFAULT;
}

ssize_t pf_space_write(struct pf_space *s, struct uaddr dst, const void *src, size_t size)
{
	ssize_t n = fake_copy(true, dst.v, (void *)(uintptr_t)src, size);

	return n ? n : -EFAULT;
}
