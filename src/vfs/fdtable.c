/*
 * Descriptor tables.
 *
 * A table is changed only by tasks that share it, under its lock. While it has one user, only that
 * user's own fiber changes it, and /proc of others merely reads it (taking a reference first, and
 * the lock); so the owner may read it without the lock then. Files leave the table under the lock
 * and are put after it.
 *
 * Descriptors below next_free are all in use. Arrays grow by doubling and never shrink.
 */

#include "vfs/fdtable.h"

#include <errno.h>
#include <stdatomic.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "base/bitmap.h"
#include "cred/rlimit.h"
#include "vfs/internal.h"
#include "vfs/locks.h"

#define FDS_MIN 64
#define FDS_MAX 1'048'576u
#define CLOSE_BATCH 64

/* One allocation: files, then the bitmaps of open and close-on-exec descriptors. */
struct fdarray {
	u32 size;
	u64 *open;
	u64 *cloexec;
	struct file *files[];
};

struct fdtable {
	struct refcount refs;
	struct spin lock; /* class lc_fdtable */
	struct fdarray *fds; /* [lc_fdtable] owned */
	u32 next_free; /* [lc_fdtable] */
	u32 count; /* [lc_fdtable] open ones */
	_Atomic u64 generation; /* [lc_fdtable to change] */
};

SLAB_CLASS(fdtable, struct fdtable);

static struct fdarray *fdarray_create(u32 size)
{
	size_t words = BITMAP_WORDS(size);
	struct fdarray *a =
		arena_alloc(sizeof(*a) + size * sizeof(struct file *) + 2 * words * sizeof(u64));

	if (!a)
		return NULL;
	a->size = size;
	a->open = (u64 *)(void *)&a->files[size];
	a->cloexec = a->open + words;
	return a;
}

static void fdarray_copy(struct fdarray *to, const struct fdarray *from)
{
	size_t words = BITMAP_WORDS(from->size);

	memcpy(to->files, from->files, from->size * sizeof(struct file *));
	memcpy(to->open, from->open, words * sizeof(u64));
	memcpy(to->cloexec, from->cloexec, words * sizeof(u64));
}

int fdtable_create(struct fdtable **ret)
{
	struct fdtable *t = slab_alloc(&slab_fdtable);

	if (!t)
		return -ENOMEM;
	t->fds = fdarray_create(FDS_MIN);
	if (!t->fds) {
		slab_free(&slab_fdtable, t);
		return -ENOMEM;
	}
	refcount_init(&t->refs, 1);
	spin_init(&t->lock);
	*ret = t;
	return 0;
}

/* What fdtable_fork needs room for. */
static u32 used_size(struct fdtable *t, u32 max_fd) REQUIRES(lc_fdtable)
{
	u32 limit = min(t->fds->size, max_fd), size = FDS_MIN;
	u32 last = 0;

	for (size_t fd = bitmap_find_set(t->fds->open, limit, 0); fd < limit;
	     fd = bitmap_find_set(t->fds->open, limit, fd + 1))
		last = (u32)fd;
	while (size <= last)
		size *= 2;
	return size;
}

static void copy_below(struct fdtable *to, struct fdtable *from, u32 max_fd) REQUIRES(lc_fdtable)
{
	struct fdarray *a = to->fds, *b = from->fds;
	u32 limit = min(min(a->size, b->size), max_fd);
	bool full = true;

	for (u32 fd = 0; fd < limit; fd++) {
		if (!b->files[fd]) {
			full = false;
			continue;
		}
		a->files[fd] = file_get(b->files[fd]);
		bitmap_set(a->open, fd);
		if (bitmap_test(b->cloexec, fd))
			bitmap_set(a->cloexec, fd);
		to->count++;
		if (full)
			to->next_free = fd + 1;
	}
}

int fdtable_fork(struct fdtable *old, u32 max_fd, struct fdtable **ret)
{
	struct fdtable *t = slab_alloc(&slab_fdtable);
	u32 size, need;

	if (!t)
		return -ENOMEM;
	refcount_init(&t->refs, 1);
	spin_init(&t->lock);
	spin_lock(&old->lock, &lc_fdtable);
	need = used_size(old, max_fd);
	do {
		spin_unlock(&old->lock, &lc_fdtable);
		arena_free(t->fds);
		size = need;
		t->fds = fdarray_create(size);
		if (!t->fds) {
			slab_free(&slab_fdtable, t);
			return -ENOMEM;
		}
		spin_lock(&old->lock, &lc_fdtable);
		need = used_size(old, max_fd);
	} while (need > size);
	copy_below(t, old, max_fd);
	spin_unlock(&old->lock, &lc_fdtable);
	*ret = t;
	return 0;
}

void fdtable_get(struct fdtable *t)
{
	refcount_get(&t->refs);
}

static void close_file(struct subject *s, struct fdtable *t, struct file *f)
{
	if (f->ops->flush)
		f->ops->flush(s, f);
	locks_drop_table(t, f);
	vfs_expect(s, f->inode->sb);
	file_put(f);
}

void fdtable_put(struct fdtable *t)
{
	if (!t || !refcount_put(&t->refs))
		return;
	for (u32 fd = 0; fd < t->fds->size; fd++)
		if (t->fds->files[fd])
			close_file(NULL, t, t->fds->files[fd]);
	arena_free(t->fds);
	slab_free(&slab_fdtable, t);
}

u32 fdtable_users(const struct fdtable *t)
{
	return refcount_read(&t->refs);
}

u64 fdtable_generation(const struct fdtable *t)
{
	return atomic_load_explicit(&t->generation, memory_order_relaxed);
}

/* ---- looking ---- */

static struct file *look(const struct fdtable *t, u32 fd, u32 *ret_flags)
{
	const struct fdarray *a = t->fds;
	struct file *f = fd < a->size ? a->files[fd] : NULL;

	if (!f)
		return NULL;
	if (ret_flags)
		*ret_flags = bitmap_test(a->cloexec, fd) ? FD_CLOEXEC_FLAG : 0;
	return file_get(f);
}

struct file *fd_get(struct fdtable *t, int fd, u32 *ret_flags)
{
	struct file *f;

	if (refcount_read(&t->refs) == 1)
		return look(t, (u32)fd, ret_flags);
	spin_lock(&t->lock, &lc_fdtable);
	f = look(t, (u32)fd, ret_flags);
	spin_unlock(&t->lock, &lc_fdtable);
	return f;
}

bool fd_refers_to(struct fdtable *t, int fd, const struct file *f)
{
	bool ret;

	spin_lock(&t->lock, &lc_fdtable);
	ret = (u32)fd < t->fds->size && t->fds->files[fd] == f;
	spin_unlock(&t->lock, &lc_fdtable);
	return ret;
}

int fdtable_next(struct fdtable *t, int fd)
{
	size_t next;
	u32 size;

	if (fd < 0)
		fd = 0;
	spin_lock(&t->lock, &lc_fdtable);
	size = t->fds->size;
	next = bitmap_find_set(t->fds->open, size, (size_t)fd);
	spin_unlock(&t->lock, &lc_fdtable);
	return next < size ? (int)next : -1;
}

/* ---- installing ---- */

static u32 nofile_limit(struct subject *s)
{
	u64 limit = s->rlimits ? rlimit_get(s->rlimits, RLIMIT_NOFILE) : 1024;

	return (u32)min(limit, (u64)FDS_MAX);
}

/* Make room for descriptor fd. The lock is dropped meanwhile when the table must grow: *ret_again.
 */
static int make_room(struct fdtable *t, u32 fd, bool *ret_again) REQUIRES(lc_fdtable)
{
	struct fdarray *bigger, *old = t->fds;
	u32 size = old->size;

	*ret_again = false;
	if (fd < size)
		return 0;
	while (size <= fd)
		size *= 2;
	spin_unlock(&t->lock, &lc_fdtable);
	bigger = fdarray_create(size);
	spin_lock(&t->lock, &lc_fdtable);
	*ret_again = true;
	if (!bigger)
		return -ENOMEM;
	if (t->fds->size >= size) {
		arena_free(bigger);
		return 0;
	}
	old = t->fds;
	fdarray_copy(bigger, old);
	t->fds = bigger;
	arena_free(old);
	return 0;
}

/* The lowest free descriptor from min_fd on, with room for it. */
static int find_free(struct fdtable *t, u32 min_fd, u32 limit, u32 *ret_fd) REQUIRES(lc_fdtable)
{
	bool again;
	size_t fd;
	int err;

	do {
		fd = bitmap_find_clear(t->fds->open, t->fds->size, max(min_fd, t->next_free));
		/* Past the end of the bitmap all are free. */
		fd = max(fd, (size_t)min_fd);
		if (fd >= limit)
			return -EMFILE;
		err = make_room(t, (u32)fd, &again);
		if (err)
			return err == -ENOMEM ? -EMFILE : err;
	} while (again);
	*ret_fd = (u32)fd;
	return 0;
}

static void put_in(struct fdtable *t, u32 fd, struct file *f, u32 flags) REQUIRES(lc_fdtable)
{
	struct fdarray *a = t->fds;

	if (!a->files[fd])
		t->count++;
	a->files[fd] = file_get(f);
	atomic_fetch_add_explicit(&t->generation, 1, memory_order_relaxed);
	bitmap_set(a->open, fd);
	if (flags & FD_CLOEXEC_FLAG)
		bitmap_set(a->cloexec, fd);
	else
		bitmap_clear(a->cloexec, fd);
	if (fd == t->next_free)
		t->next_free = fd + 1;
}

static struct file *take_out(struct fdtable *t, u32 fd) REQUIRES(lc_fdtable)
{
	struct fdarray *a = t->fds;
	struct file *f = fd < a->size ? a->files[fd] : NULL;

	if (!f)
		return NULL;
	a->files[fd] = NULL;
	atomic_fetch_add_explicit(&t->generation, 1, memory_order_relaxed);
	bitmap_clear(a->open, fd);
	bitmap_clear(a->cloexec, fd);
	t->count--;
	if (fd < t->next_free)
		t->next_free = fd;
	return f;
}

int fd_install(struct subject *s, struct file *f, int min_fd, u32 flags)
{
	struct fdtable *t = s->files;
	u32 limit = nofile_limit(s), fd = 0;
	int err;

	if (min_fd < 0 || (u32)min_fd >= limit)
		return min_fd == 0 ? -EMFILE : -EINVAL;
	spin_lock(&t->lock, &lc_fdtable);
	err = find_free(t, (u32)min_fd, limit, &fd);
	if (!err)
		put_in(t, fd, f, flags);
	spin_unlock(&t->lock, &lc_fdtable);
	return err ? err : (int)fd;
}

int fd_install_two(struct subject *s, struct file *const f[2], u32 flags, int ret_fd[2])
{
	struct fdtable *t = s->files;
	u32 limit = nofile_limit(s), fd[2] = {};
	struct file *undone = NULL;
	int err;

	spin_lock(&t->lock, &lc_fdtable);
	err = find_free(t, 0, limit, &fd[0]);
	if (!err) {
		put_in(t, fd[0], f[0], flags);
		err = find_free(t, fd[0] + 1, limit, &fd[1]);
		if (!err)
			put_in(t, fd[1], f[1], flags);
		else
			undone = take_out(t, fd[0]);
	}
	spin_unlock(&t->lock, &lc_fdtable);
	file_put(undone);
	if (err)
		return err;
	ret_fd[0] = (int)fd[0];
	ret_fd[1] = (int)fd[1];
	return 0;
}

int fd_install_at(struct subject *s, struct file *f, int fd, u32 flags)
{
	struct fdtable *t = s->files;
	struct file *old = NULL;
	bool again;
	int err;

	if (fd < 0 || (u32)fd >= nofile_limit(s))
		return -EBADF;
	spin_lock(&t->lock, &lc_fdtable);
	err = make_room(t, (u32)fd, &again);
	if (!err) {
		old = take_out(t, (u32)fd);
		put_in(t, (u32)fd, f, flags);
	}
	spin_unlock(&t->lock, &lc_fdtable);
	if (old)
		close_file(s, t, old);
	return err ? err : fd;
}

/* ---- closing ---- */

int fd_close(struct subject *s, int fd)
{
	struct fdtable *t = s->files;
	struct file *f;

	spin_lock(&t->lock, &lc_fdtable);
	f = take_out(t, (u32)fd);
	spin_unlock(&t->lock, &lc_fdtable);
	if (!f)
		return -EBADF;
	close_file(s, t, f);
	return 0;
}

/* Close descriptors from *at to last whose bit is set in the map of open ones, or in that of
 * close-on-exec; a few at a time. False when there are no more. */
static bool close_some(struct subject *s, u32 *at, u32 last, bool cloexec_only)
{
	struct fdtable *t = s->files;
	struct file *batch[CLOSE_BATCH];
	u32 count = 0, size;

	spin_lock(&t->lock, &lc_fdtable);
	size = t->fds->size;
	while (count < CLOSE_BATCH && *at <= last && *at < size) {
		size_t fd =
			bitmap_find_set(cloexec_only ? t->fds->cloexec : t->fds->open, size, *at);

		if (fd >= size || fd > last) {
			*at = size;
			break;
		}
		batch[count] = take_out(t, (u32)fd);
		if (batch[count])
			count++;
		*at = (u32)fd + 1;
	}
	spin_unlock(&t->lock, &lc_fdtable);
	for (u32 i = 0; i < count; i++)
		close_file(s, t, batch[i]);
	return count == CLOSE_BATCH;
}

/* CLOSE_RANGE_CLOEXEC only: who wants CLOSE_RANGE_UNSHARE gives the task a copy of the table first.
 */
int fd_close_range(struct subject *s, u32 first, u32 last, u32 flags)
{
	struct fdtable *t = s->files;
	size_t fd, size;

	if (flags & ~4u || first > last) /* CLOSE_RANGE_CLOEXEC */
		return -EINVAL;
	if (!flags) {
		while (close_some(s, &first, last, false))
			;
		return 0;
	}
	spin_lock(&t->lock, &lc_fdtable);
	size = t->fds->size;
	for (fd = bitmap_find_set(t->fds->open, size, first); fd < size && fd <= last;
	     fd = bitmap_find_set(t->fds->open, size, fd + 1))
		bitmap_set(t->fds->cloexec, fd);
	spin_unlock(&t->lock, &lc_fdtable);
	return 0;
}

int fd_set_flags(struct fdtable *t, int fd, u32 flags)
{
	int err = -EBADF;

	spin_lock(&t->lock, &lc_fdtable);
	if ((u32)fd < t->fds->size && t->fds->files[fd]) {
		if (flags & FD_CLOEXEC_FLAG)
			bitmap_set(t->fds->cloexec, (size_t)fd);
		else
			bitmap_clear(t->fds->cloexec, (size_t)fd);
		err = 0;
	}
	spin_unlock(&t->lock, &lc_fdtable);
	return err;
}

void fdtable_close_on_exec(struct subject *s)
{
	u32 at = 0;

	while (close_some(s, &at, FDS_MAX, true))
		;
}
