/*
 * Anonymous shared memory: a host memfd of its own for each object, for ever. The object lies in
 * the arena, its descriptor is transient. Every guest mapping of it may be made writable, so the
 * one descriptor is read-write.
 */

#include "mm/mm.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "arena/slab.h"
#include "base/ops.h"
#include "base/strbuf.h"
#include "host/budget.h"
#include "host/file.h"
#include "host/host.h"

struct shm_object {
	struct mappable mappable;
	struct refcount refs;
	struct host_file *host; /* [I] transient; owned */
	u64 size; /* [I] */
};

SLAB_CLASS(shm_object, struct shm_object, TRANSIENT(struct shm_object, host));

static struct shm_object *shm_of(const struct mappable *m)
{
	return container_of(m, struct shm_object, mappable);
}

static void shm_get(struct mappable *m)
{
	refcount_get(&shm_of(m)->refs);
}

static void shm_put(struct mappable *m)
{
	struct shm_object *o = shm_of(m);

	if (!refcount_put(&o->refs))
		return;
	host_file_put(o->host);
	host_memory_recharge(o->size, 0);
	slab_free(&slab_shm_object, o);
}

static int shm_host_fd_get(struct mappable *m, bool shared, int *ret_fd)
{
	int fd = host_file_pin(shm_of(m)->host);

	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

static void shm_host_fd_put(struct mappable *m, int fd)
{
	host_file_unpin(shm_of(m)->host);
}

static u64 shm_identity(const struct mappable *m)
{
	return (u64)(uintptr_t)m;
}

/* As Linux, where it is an unlinked file of an internal tmpfs, device 0:1. */
static void shm_describe(const struct mappable *m, u32 *ret_dev_major, u32 *ret_dev_minor,
			 u64 *ret_ino, struct strbuf *ret_path)
{
	*ret_dev_major = 0;
	*ret_dev_minor = 1;
	*ret_ino = (shm_identity(m) >> 4) & 0xffff'ffff;
	strbuf_puts(ret_path, "/dev/zero (deleted)");
}

DEFINE_OPS(struct mappable_ops, shm_mappable_ops) = {
	.get = shm_get,
	.put = shm_put,
	.host_fd_get = shm_host_fd_get,
	.host_fd_put = shm_host_fd_put,
	.identity = shm_identity,
	.describe = shm_describe,
};

int shm_object_create(u64 size, struct mappable **ret)
{
	struct shm_object *o = slab_alloc(&slab_shm_object);
	int fd, err;

	if (!o || !host_memory_charge(size)) {
		slab_free(&slab_shm_object, o);
		return -ENOMEM;
	}
	fd = host_memfd_create("shm", MFD_CLOEXEC);
	if (fd < 0) {
		host_memory_recharge(size, 0);
		slab_free(&slab_shm_object, o);
		return fd;
	}
	err = host_ftruncate(fd, (s64)size);
	if (!err) {
		o->host = host_file_create(fd);
		err = o->host ? 0 : -ENOMEM;
	}
	if (err) {
		host_close(fd);
		host_memory_recharge(size, 0);
		slab_free(&slab_shm_object, o);
		return err == -EINVAL || err == -EFBIG ? -ENOMEM : err;
	}
	refcount_init(&o->refs, 1);
	o->mappable.ops = OPS(shm_mappable_ops);
	o->size = size;
	*ret = &o->mappable;
	return 0;
}
