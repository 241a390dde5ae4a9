/*
 * The vDSO as the kernel sees it: one memfd, a page of data and then the ELF image, sealed against
 * every change before anything maps it, so that nobody who has the descriptor can write to it. It
 * is mapped private, as Linux's can be written by a debugger.
 * It is found through the arena's roots.
 */

#include "loader/loader.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "base/ops.h"
#include "base/strbuf.h"
#include "host/file.h"
#include "host/host.h"
#include "loader/internal.h"
#include "loader/vdso/vdso_data.h"

extern const char vdso_image[] __attribute__((visibility("hidden")));
extern const char vdso_image_end[] __attribute__((visibility("hidden")));

struct vdso {
	struct mappable mappable;
	struct host_file *host; /* [I] transient; owned */
	u64 size; /* [I] of the code, whole pages */
};

SLAB_CLASS(vdso, struct vdso, TRANSIENT(struct vdso, host));

static struct vdso *vdso_of(const struct mappable *m)
{
	return container_of(m, struct vdso, mappable);
}

/* It lives as long as the kernel. */
static void vdso_get(struct mappable *m)
{
}

static void vdso_put(struct mappable *m)
{
}

static int vdso_host_fd_get(struct mappable *m, bool shared, int *ret_fd)
{
	int fd = host_file_pin(vdso_of(m)->host);

	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

static void vdso_host_fd_put(struct mappable *m, int fd)
{
	host_file_unpin(vdso_of(m)->host);
}

static u64 vdso_identity(const struct mappable *m)
{
	return (u64)(uintptr_t)m;
}

static void vdso_describe(const struct mappable *m, u32 *ret_dev_major, u32 *ret_dev_minor,
			  u64 *ret_ino, struct strbuf *ret_path)
{
	*ret_dev_major = *ret_dev_minor = 0;
	*ret_ino = 0;
	strbuf_puts(ret_path, "[vdso]");
}

DEFINE_OPS(struct mappable_ops, vdso_mappable_ops) = {
	.get = vdso_get,
	.put = vdso_put,
	.host_fd_get = vdso_host_fd_get,
	.host_fd_put = vdso_host_fd_put,
	.identity = vdso_identity,
	.describe = vdso_describe,
};

static struct vdso *vdso_find(void)
{
	return arena_root_of(ARENA_ROOT_VDSO);
}

static struct vdso_data vdso_make_data(bool cpus_virtual)
{
	const struct pf_host_vdso *host = platform_host_vdso();

	return (struct vdso_data){
		.clock_gettime = host->clock_gettime,
		.gettimeofday = host->gettimeofday,
		.time = host->time,
		.clock_getres = host->clock_getres,
		.getcpu = cpus_virtual ? 0 : host->getcpu,
		.clocks = 1u << CLOCK_REALTIME | 1u << CLOCK_MONOTONIC | 1u << CLOCK_MONOTONIC_RAW |
			  1u << CLOCK_REALTIME_COARSE | 1u << CLOCK_MONOTONIC_COARSE |
			  1u << CLOCK_BOOTTIME | 1u << CLOCK_TAI,
	};
}

static int write_all(int fd, const void *buf, size_t size, s64 offset)
{
	ssize_t n = host_pwrite(fd, buf, size, offset);

	if (n < 0)
		return (int)n;
	return (size_t)n == size ? 0 : -EIO;
}

static int vdso_fill(int fd, u64 size, bool cpus_virtual)
{
	struct vdso_data data = vdso_make_data(cpus_virtual);
	int err;

	err = host_ftruncate(fd, (s64)(PAGE_SIZE + size));
	if (!err)
		err = write_all(fd, &data, sizeof(data), 0);
	if (!err)
		err = write_all(fd, vdso_image, (size_t)(vdso_image_end - vdso_image), PAGE_SIZE);
	if (!err)
		err = host_fcntl(fd, F_ADD_SEALS,
				 F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	return err;
}

int vdso_init(bool cpus_virtual)
{
	struct vdso *v = vdso_find();
	int fd, err;

	if (!v)
		v = slab_alloc(&slab_vdso);
	if (!v)
		return -ENOMEM;
	arena_set_root_of(ARENA_ROOT_VDSO, v);
	v->mappable.ops = OPS(vdso_mappable_ops);
	v->size = page_up((u64)(vdso_image_end - vdso_image));
	fd = host_memfd_create("vdso", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return fd;
	err = vdso_fill(fd, v->size, cpus_virtual);
	if (!err) {
		host_file_put(v->host);
		v->host = host_file_create(fd);
		err = v->host ? 0 : -ENOMEM;
	}
	if (err)
		host_close(fd);
	return err;
}

void vdso_fini(void)
{
	struct vdso *v = vdso_find();

	if (!v)
		return;
	arena_set_root_of(ARENA_ROOT_VDSO, NULL);
	host_file_put(v->host);
	slab_free(&slab_vdso, v);
}

int vdso_map(struct subject *s, u64 *ret_addr)
{
	struct vdso *v = vdso_find();
	struct mmap_args args = {
		.flags = MAP_PRIVATE | MAP_FIXED_NOREPLACE,
		.max_prot = PROT_READ | PROT_WRITE | PROT_EXEC,
	};
	u64 at;
	int err;

	*ret_addr = 0;
	if (!v || !v->host)
		return 0;
	args.file = &v->mappable;
	args.addr = mm_pick_dyn_base(s->mm, false, PAGE_SIZE + v->size, PAGE_SIZE);
	if (!args.addr)
		return -ENOMEM;
	args.name = "[vvar]";
	args.size = PAGE_SIZE;
	args.prot = PROT_READ;
	err = mm_mmap(s, &args, &at);
	if (err)
		return err;
	args.addr += PAGE_SIZE;
	args.name = "[vdso]";
	args.size = v->size;
	args.offset = PAGE_SIZE;
	args.prot = PROT_READ | PROT_EXEC;
	err = mm_mmap(s, &args, &at);
	if (!err)
		*ret_addr = at;
	return err;
}
