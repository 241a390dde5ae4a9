/* Memory mappings. */

#include <fcntl.h>
#include <sys/mman.h>

#include "fs/tmpfs/memfd.h"
#include "syscall/util.h"
#include "syscall_protos.h"

/* What the mode of f lets a mapping of it do. */
static int file_max_prot(const struct file *f)
{
	int max = f->path.mnt && f->path.mnt->flags & SB_NOEXEC ? 0 : PROT_EXEC;

	if (f->readable)
		max |= PROT_READ;
	if (f->writable)
		max |= PROT_WRITE;
	return max;
}

static long mmap_file(struct task *t, struct mmap_args *args, int fd, u64 *ret_addr)
{
	struct file *f = file_lookup(t, fd);
	int ret;

	if (!f)
		return -EBADF;
	args->max_prot = file_max_prot(f);
	if (args->flags & MAP_SHARED && memfd_write_sealed(f)) {
		if (args->prot & PROT_WRITE && f->writable) {
			file_put(f);
			return -EPERM;
		}
		args->max_prot &= ~PROT_WRITE;
	}
	args->file = &f->mappable;
	if (f->ops->maps_anonymous && f->readable) {
		args->file = NULL;
		args->flags |= MAP_ANONYMOUS;
		args->max_prot = PROT_READ | PROT_WRITE | PROT_EXEC;
	}
	ret = mm_mmap(&t->subject, args, ret_addr);
	file_put(f);
	return ret;
}

long sys_mmap(struct task *t, u64 addr, u64 size, int prot, int flags, int fd, u64 offset)
{
	struct mmap_args args = {
		.addr = addr,
		.size = size,
		.prot = prot,
		.flags = flags,
		.offset = offset,
		.max_prot = PROT_READ | PROT_WRITE | PROT_EXEC,
	};
	u64 result;
	long ret;

	if (offset & ~PAGE_MASK)
		return -EINVAL;
	if (flags & MAP_ANONYMOUS)
		ret = mm_mmap(&t->subject, &args, &result);
	else
		ret = mmap_file(t, &args, fd, &result);
	return ret ? ret : (long)result;
}

long sys_munmap(struct task *t, u64 addr, u64 size)
{
	return mm_munmap(&t->subject, addr, size);
}

long sys_mprotect(struct task *t, u64 addr, u64 size, int prot)
{
	return mm_mprotect(&t->subject, addr, size, prot);
}

long sys_mremap(struct task *t, u64 old_addr, u64 old_size, u64 new_size, int flags, u64 new_addr)
{
	u64 result;
	int ret = mm_mremap(&t->subject, old_addr, old_size, new_size, flags, new_addr, &result);

	return ret ? ret : (long)result;
}

long sys_brk(struct task *t, u64 brk)
{
	return (long)mm_brk(&t->subject, brk);
}

long sys_madvise(struct task *t, u64 addr, u64 size, int advice)
{
	return mm_madvise(&t->subject, addr, size, advice);
}

long sys_msync(struct task *t, u64 addr, u64 size, int flags)
{
	return mm_msync(&t->subject, addr, size, flags);
}

long sys_mincore(struct task *t, u64 addr, u64 size, struct uaddr vec)
{
	return mm_mincore(&t->subject, addr, size, vec);
}

long sys_mlock(struct task *t, u64 addr, u64 size)
{
	return mm_mlock(&t->subject, addr, size, 0);
}

long sys_mlock2(struct task *t, u64 addr, u64 size, int flags)
{
	if (flags & ~MLOCK_ONFAULT)
		return -EINVAL;
	return mm_mlock(&t->subject, addr, size, flags);
}

long sys_munlock(struct task *t, u64 addr, u64 size)
{
	return mm_munlock(&t->subject, addr, size);
}

long sys_mlockall(struct task *t, int flags)
{
	return mm_mlockall(&t->subject, flags);
}

long sys_munlockall(struct task *t)
{
	return mm_munlockall(&t->subject);
}
