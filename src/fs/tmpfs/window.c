/*
 * Windows: pieces of memfds mapped by the kernel, so that large reads copy once.
 *
 * A window is private and read-only: it shows the file's own pages, and does not count among those
 * who may write, so that the file can be sealed. It is never touched by our own code: only given to
 * host calls, to which a page that was cut off is an error, not a signal. A hole would be allocated
 * by looking at it; so only what has none, or is in memory already, is read through a window.
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fs/tmpfs/internal.h"
#include "host/file.h"
#include "host/host.h"

#define WINDOW_SIZE (256UL << 20)
#define WINDOWS_MAX 64U /* of one super */
#define PIECE_MAX (1UL << 20)

struct tmpfs_window {
	struct refcount refs; /* the file, and each read under way */
	struct tmpfs *fs; /* [I] */
	u64 off; /* [I] */
	char *base; /* [I] */
};

void tmpfs_window_put(struct tmpfs_window *w)
{
	if (!w || !refcount_put(&w->refs))
		return;
	host_munmap(w->base, WINDOW_SIZE);
	w->fs->windows--;
	free(w);
}

static struct tmpfs_window *window_create(struct tmpfs *fs, struct tmpfs_data *d, u64 off)
	REQUIRES(lc_mappable)
{
	struct tmpfs_window *w;
	int fd;

	if (fs->windows++ >= WINDOWS_MAX)
		goto fail;
	w = malloc(sizeof(*w));
	if (!w)
		goto fail;
	fd = host_file_pin(d->mem);
	w->base = fd < 0 ? MAP_FAILED :
			   host_mmap(NULL, WINDOW_SIZE, PROT_READ, MAP_PRIVATE, fd, (s64)off);
	if (fd >= 0)
		host_file_unpin(d->mem);
	if (host_is_err(w->base)) {
		free(w);
		goto fail;
	}
	refcount_init(&w->refs, 1);
	w->fs = fs;
	w->off = off;
	return w;
fail:
	fs->windows--;
	return NULL;
}

/* All of [at, at + size) is in memory. */
static bool resident(char *at, size_t size)
{
	u8 vec[PIECE_MAX / PAGE_SIZE + 1];
	size_t lead = (uintptr_t)at & ~PAGE_MASK, pages = page_up(size + lead) / PAGE_SIZE;
	u8 all = 1;

	if (host_mincore(at - lead, pages * PAGE_SIZE, vec))
		return false;
	for (size_t i = 0; i < pages; i++)
		all &= vec[i];
	return all & 1;
}

size_t tmpfs_window_get(struct inode *inode, u64 off, u64 size, struct tmpfs_window **ret,
			const char **ret_at)
{
	u64 start = off & ~(WINDOW_SIZE - 1);
	struct tmpfs_data *d = tmpfs_data_of(inode);
	struct tmpfs_window *w = NULL, *old = NULL;
	size_t have = 0;

	mutex_lock(&d->lock, &lc_mappable);
	if (d->in_memory_file && off < inode->size) {
		have = min(min(size, inode->size - off), min(start + WINDOW_SIZE - off, PIECE_MAX));
		w = d->window;
		if (!w || w->off != start) {
			old = w;
			w = d->window = window_create(tmpfs_of(inode->sb), d, start);
		}
		if (w && (off + have <= d->dense || resident(w->base + (off - start), have)))
			refcount_get(&w->refs);
		else
			w = NULL;
	}
	mutex_unlock(&d->lock, &lc_mappable);
	tmpfs_window_put(old);
	if (!w)
		return 0;
	*ret = w;
	*ret_at = w->base + (off - start);
	return have;
}
