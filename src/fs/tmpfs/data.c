/*
 * The contents of regular files of tmpfs.
 *
 * Small files that nobody has mapped are in the arena; others in a memfd, which belongs to one
 * inode for ever. The size is the inode's, changed with both the data's lock and
 * lc_inode_attr held.
 *
 * Space. Data in the arena are charged by size. For a memfd, which may be sparse and into which
 * mapped writes go unseen, each write charges the pages it touches, at most; when the account is
 * full, or a MiB has been charged, it is settled: set to what the host says is allocated.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "fs/tmpfs/internal.h"
#include "host/budget.h"
#include "host/file.h"
#include "host/host.h"

#define SETTLE_BYTES (1u << 20)

SLAB_CLASS(tmpfs_data, struct tmpfs_data, TRANSIENT(struct tmpfs_data, lock.owner),
	   TRANSIENT(struct tmpfs_data, mem), TRANSIENT(struct tmpfs_data, mem_readonly),
	   TRANSIENT(struct tmpfs_data, window), TRANSIENT(struct tmpfs_data, dense));

int tmpfs_data_init(struct inode *inode)
{
	struct tmpfs_data *d = slab_alloc(&slab_tmpfs_data);

	if (!d)
		return -ENOSPC;
	mutex_init(&d->lock);
	d->seals = F_SEAL_SEAL;
	inode->private = d;
	return 0;
}

void tmpfs_data_evict(struct inode *inode)
{
	struct tmpfs_data *d = tmpfs_data_of(inode);

	tmpfs_uncharge_bytes(inode->sb, d->charged);
	tmpfs_window_put(d->window);
	host_file_put(d->mem);
	host_file_put(d->mem_readonly);
	arena_free(d->buf);
	slab_free(&slab_tmpfs_data, d);
}

static void set_size(struct inode *inode, u64 size)
{
	spin_lock(&inode->attr_lock, &lc_inode_attr);
	inode->size = size;
	spin_unlock(&inode->attr_lock, &lc_inode_attr);
}

/* The host's word for "no room" may be another. */
static int space_error(long err)
{
	return err == -ENOMEM || err == -EMFILE || err == -ENFILE || err == -EDQUOT ? -ENOSPC :
										      (int)err;
}

/* ---- the account ---- */

static int take_bytes(struct tmpfs *fs, u64 bytes)
{
	u64 used = fs->used;

	do {
		if (bytes > fs->limit || used > fs->limit - bytes)
			return -ENOSPC;
	} while (!atomic_compare_exchange_weak(&fs->used, &used, used + bytes));
	/* The sandbox's memory may be used up before this file system is full. */
	if (host_memory_charge(bytes))
		return 0;
	fs->used -= bytes;
	return -ENOSPC;
}

int tmpfs_charge_bytes(struct super *sb, u64 bytes)
{
	return take_bytes(tmpfs_of(sb), bytes);
}

void tmpfs_uncharge_bytes(struct super *sb, u64 bytes)
{
	tmpfs_of(sb)->used -= bytes;
	host_memory_recharge(bytes, 0);
}

static bool charge(struct tmpfs *fs, struct tmpfs_data *d, u64 bytes)
{
	if (take_bytes(fs, bytes))
		return false;
	d->charged += bytes;
	return true;
}

static void recharge(struct tmpfs *fs, struct tmpfs_data *d, u64 bytes)
{
	fs->used += bytes - d->charged;
	host_memory_recharge(d->charged, bytes);
	d->charged = bytes;
	d->unsettled = 0;
}

/* Make the account of a memfd true. */
static void settle(struct tmpfs *fs, struct tmpfs_data *d) REQUIRES(lc_mappable)
{
	struct stat st = {};
	int fd = host_file_pin(d->mem), err;
	u64 bytes;

	if (fd < 0)
		return;
	err = host_fstat(fd, &st);
	host_file_unpin(d->mem);
	bytes = (u64)st.st_blocks * 512;
	if (!err)
		recharge(fs, d, bytes);
}

/* At most how many bytes of pages [from, to) the memfd has still to allocate. */
static u64 missing_pages(struct tmpfs_data *d, u64 from, u64 to) REQUIRES(lc_mappable)
{
	int fd = host_file_pin(d->mem);
	s64 hole;

	if (fd < 0)
		return to - from;
	hole = host_lseek(fd, (s64)from, SEEK_HOLE);
	host_file_unpin(d->mem);
	if (hole < 0)
		return to - from;
	return page_up((u64)hole) >= to ? 0 : to - page_up((u64)hole);
}

/* Charge for a write of [off, off + size) to the memfd. */
static int charge_memory(struct tmpfs *fs, struct tmpfs_data *d, u64 off, u64 size)
	REQUIRES(lc_mappable)
{
	u64 from = page_down(off), to = page_up(off + size), bytes = to - from;

	if (d->unsettled + bytes > SETTLE_BYTES)
		settle(fs, d);
	if (!charge(fs, d, bytes)) {
		settle(fs, d);
		bytes = missing_pages(d, from, to);
		if (!charge(fs, d, bytes))
			return -ENOSPC;
	}
	d->unsettled += bytes;
	return 0;
}

/* ---- the two forms ---- */

/* Bring the arena buffer to hold size bytes, charged. */
static int buf_grow(struct tmpfs *fs, struct tmpfs_data *d, u64 size) REQUIRES(lc_mappable)
{
	size_t room = d->room ? d->room : 64;
	u64 want = page_up(size);
	char *buf;

	if (want > d->charged && !charge(fs, d, want - d->charged))
		return -ENOSPC;
	if (size <= d->room)
		return 0;
	while (room < size)
		room *= 2;
	buf = arena_realloc(d->buf, d->room, room);
	if (!buf)
		return -ENOSPC;
	d->buf = buf;
	d->room = room;
	return 0;
}

/* Give back what size bytes do not need; what cannot be given back stays charged. */
static void buf_shrink(struct tmpfs *fs, struct tmpfs_data *d, u64 size) REQUIRES(lc_mappable)
{
	size_t room = (size_t)page_up(size);
	char *buf = NULL;

	if (room < d->room && room)
		buf = arena_memdup(d->buf, room);
	if (room < d->room && (buf || !room)) {
		arena_free(d->buf);
		d->buf = buf;
		d->room = room;
	}
	recharge(fs, d, min(d->charged, page_up(max((u64)d->room, size))));
}

static int memory_create(struct tmpfs_data *d, u64 size, u32 flags, struct host_file **ret)
	REQUIRES(lc_mappable)
{
	struct host_file *mem;
	int fd = host_memfd_create("tmpfs", flags);
	long err;

	if (fd < 0)
		return space_error(fd);
	err = host_ftruncate(fd, (s64)size);
	for (u64 done = 0; !err && d->buf && done < min(size, (u64)d->room);) {
		ssize_t n = host_pwrite(fd, d->buf + done, (size_t)(min(size, (u64)d->room) - done),
					(s64)done);

		if (n <= 0)
			err = n ? n : -ENOSPC;
		else
			done += (u64)n;
	}
	mem = err ? NULL : host_file_create(fd);
	if (!mem) {
		host_close(fd);
		return err ? space_error(err) : -ENOSPC;
	}
	*ret = mem;
	return 0;
}

/* Move the data to a memfd. */
static int to_memory(struct inode *inode, struct tmpfs_data *d) REQUIRES(lc_mappable)
{
	int err;

	if (d->in_memory_file)
		return 0;
	err = memory_create(d, inode->size, 0, &d->mem);
	if (err)
		return err;
	d->in_memory_file = true;
	d->dense = min(inode->size, (u64)d->room);
	arena_free(d->buf);
	d->buf = NULL;
	d->room = 0;
	settle(tmpfs_of(inode->sb), d);
	return 0;
}

/* ---- reading and writing ---- */

ssize_t tmpfs_data_read(struct inode *inode, char *buf, size_t size, u64 off)
{
	struct tmpfs_data *d = tmpfs_data_of(inode);
	ssize_t ret = 0;

	mutex_lock(&d->lock, &lc_mappable);
	if (off < inode->size) {
		size = (size_t)min((u64)size, inode->size - off);
		if (d->in_memory_file) {
			int fd = host_file_pin(d->mem);

			ret = fd < 0 ? fd : host_pread(fd, buf, size, (s64)off);
			if (fd >= 0)
				host_file_unpin(d->mem);
		} else {
			size_t have = off < d->room ? min(size, (size_t)(d->room - off)) : 0;

			if (have)
				memcpy(buf, d->buf + off, have);
			memset(buf + have, 0, size - have);
			ret = (ssize_t)size;
		}
	}
	mutex_unlock(&d->lock, &lc_mappable);
	return ret;
}

static ssize_t memory_write(struct inode *inode, struct tmpfs_data *d, const char *buf, size_t size,
			    u64 off) REQUIRES(lc_mappable)
{
	ssize_t ret = charge_memory(tmpfs_of(inode->sb), d, off, size);
	int fd;

	if (ret)
		return ret;
	fd = host_file_pin(d->mem);
	ret = fd < 0 ? fd : host_pwrite(fd, buf, size, (s64)off);
	if (fd >= 0)
		host_file_unpin(d->mem);
	if (ret > 0 && off <= d->dense && !d->lent)
		d->dense = max(d->dense, off + (u64)ret);
	return ret < 0 ? space_error(ret) : ret;
}

ssize_t tmpfs_data_write(struct inode *inode, const char *buf, size_t size, u64 off)
{
	struct tmpfs_data *d = tmpfs_data_of(inode);
	u64 end = off + size;
	ssize_t ret = 0;

	mutex_lock(&d->lock, &lc_mappable);
	if (!d->in_memory_file && end < TMPFS_INLINE_MAX) {
		ret = buf_grow(tmpfs_of(inode->sb), d, end);
		if (!ret) {
			memcpy(d->buf + off, buf, size);
			ret = (ssize_t)size;
		}
	} else {
		ret = to_memory(inode, d);
		if (!ret)
			ret = memory_write(inode, d, buf, size, off);
	}
	if (ret > 0 && off + (u64)ret > inode->size)
		set_size(inode, off + (u64)ret);
	mutex_unlock(&d->lock, &lc_mappable);
	return ret;
}

int tmpfs_data_resize(struct inode *inode, u64 size)
{
	struct tmpfs_data *d = tmpfs_data_of(inode);
	struct tmpfs *fs = tmpfs_of(inode->sb);
	int err = 0;

	if (d->huge && size % d->huge)
		return -EINVAL;
	mutex_lock(&d->lock, &lc_mappable);
	if (!d->in_memory_file && size >= TMPFS_INLINE_MAX)
		err = to_memory(inode, d);
	if (!err && d->in_memory_file) {
		int fd = host_file_pin(d->mem);

		err = fd < 0 ? fd : host_ftruncate(fd, (s64)size);
		if (fd >= 0)
			host_file_unpin(d->mem);
		if (!err && size < inode->size)
			settle(fs, d);
		d->dense = min(d->dense, size);
	} else if (!err && size < inode->size) {
		if (size < d->room)
			memset(d->buf + size, 0, (size_t)(min((u64)d->room, inode->size) - size));
		buf_shrink(fs, d, size);
	}
	if (!err)
		set_size(inode, size);
	mutex_unlock(&d->lock, &lc_mappable);
	return err;
}

/* ---- holes ---- */

static void buf_punch(struct inode *inode, struct tmpfs_data *d, u64 off, u64 len)
	REQUIRES(lc_mappable)
{
	u64 end = min(off + len, (u64)d->room);

	if (off < end)
		memset(d->buf + off, 0, (size_t)(end - off));
}

static int memory_fallocate(struct inode *inode, struct tmpfs_data *d, int mode, u64 off, u64 len)
	REQUIRES(lc_mappable)
{
	struct tmpfs *fs = tmpfs_of(inode->sb);
	u64 bytes = page_up(off + len) - page_down(off);
	int fd, err;

	/* Charge first what it may take; the host could give more than this super may have. */
	if (!(mode & FALLOC_FL_PUNCH_HOLE)) {
		settle(fs, d);
		if (!charge(fs, d, bytes))
			return -ENOSPC;
	}
	if (mode & FALLOC_FL_PUNCH_HOLE)
		d->dense = min(d->dense, off);
	fd = host_file_pin(d->mem);
	err = fd < 0 ? fd : host_fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, (s64)off, (s64)len);
	if (!err && !(mode & FALLOC_FL_KEEP_SIZE) && off + len > inode->size)
		err = host_ftruncate(fd, (s64)(off + len));
	if (fd >= 0)
		host_file_unpin(d->mem);
	settle(fs, d);
	return err ? space_error(err) : 0;
}

int tmpfs_data_fallocate(struct inode *inode, int mode, u64 off, u64 len)
{
	struct tmpfs_data *d = tmpfs_data_of(inode);
	int err = 0;

	mutex_lock(&d->lock, &lc_mappable);
	if (!d->in_memory_file && mode & FALLOC_FL_PUNCH_HOLE) {
		buf_punch(inode, d, off, len);
	} else if (!d->in_memory_file && off + len < TMPFS_INLINE_MAX) {
		err = buf_grow(tmpfs_of(inode->sb), d, off + len);
	} else {
		err = to_memory(inode, d);
		if (!err)
			err = memory_fallocate(inode, d, mode, off, len);
	}
	if (!err && !(mode & FALLOC_FL_KEEP_SIZE) && off + len > inode->size)
		set_size(inode, off + len);
	mutex_unlock(&d->lock, &lc_mappable);
	return err;
}

s64 tmpfs_data_seek(struct inode *inode, s64 off, int whence)
{
	struct tmpfs_data *d = tmpfs_data_of(inode);
	s64 ret = -ENXIO;

	mutex_lock(&d->lock, &lc_mappable);
	if (off >= 0 && (u64)off < inode->size) {
		if (d->in_memory_file) {
			int fd = host_file_pin(d->mem);

			ret = fd < 0 ? fd : host_lseek(fd, off, whence);
			if (fd >= 0)
				host_file_unpin(d->mem);
		} else {
			ret = whence == SEEK_HOLE ? (s64)inode->size : off;
		}
	}
	mutex_unlock(&d->lock, &lc_mappable);
	return ret;
}

u64 tmpfs_data_bytes(struct inode *inode)
{
	struct tmpfs_data *d = tmpfs_data_of(inode);
	u64 bytes;

	mutex_lock(&d->lock, &lc_mappable);
	if (d->in_memory_file)
		settle(tmpfs_of(inode->sb), d);
	bytes = d->charged;
	mutex_unlock(&d->lock, &lc_mappable);
	return bytes;
}

/* ---- descriptors for mapping ---- */

static int readonly_create(struct tmpfs *fs, struct tmpfs_data *d) REQUIRES(lc_mappable)
{
	struct host_file *file;
	char path[40];
	int fd = host_file_pin(d->mem), ro = fd;

	if (fd >= 0) {
		if (fs->proc_fd) {
			snprintf(path, sizeof(path), "self/fd/%d", fd);
			ro = host_openat(fs->proc_fd - 1, path, O_RDONLY, 0);
		} else {
			snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
			ro = host_openat(AT_FDCWD, path, O_RDONLY, 0);
		}
	}
	if (fd >= 0)
		host_file_unpin(d->mem);
	if (ro < 0)
		return -ENODEV;
	file = host_file_create(ro);
	if (!file) {
		host_close(ro);
		return -ENOMEM;
	}
	d->mem_readonly = file;
	return 0;
}

int tmpfs_data_fd_get(struct inode *inode, bool readonly, int *ret_fd)
{
	struct tmpfs_data *d = tmpfs_data_of(inode);
	int ret;

	if (d->huge)
		return -ENOMEM;
	mutex_lock(&d->lock, &lc_mappable);
	ret = to_memory(inode, d);
	d->lent = true;
	d->dense = 0;
	if (!ret && readonly && !d->mem_readonly)
		ret = readonly_create(tmpfs_of(inode->sb), d);
	if (!ret)
		ret = host_file_pin(readonly ? d->mem_readonly : d->mem);
	mutex_unlock(&d->lock, &lc_mappable);
	if (ret < 0)
		return ret == -ENOSPC ? -ENOMEM : ret;
	*ret_fd = ret;
	return 0;
}

static bool is_fd(const struct host_file *f, int fd)
{
	return f && f->fd == fd;
}

bool tmpfs_has_fd(struct inode *inode, int fd)
{
	struct tmpfs_data *d = tmpfs_data_of(inode);
	bool ret;

	mutex_lock(&d->lock, &lc_mappable);
	ret = is_fd(d->mem, fd) || is_fd(d->mem_readonly, fd);
	mutex_unlock(&d->lock, &lc_mappable);
	return ret;
}

void tmpfs_data_fd_put(struct inode *inode, int fd)
{
	struct tmpfs_data *d = tmpfs_data_of(inode);

	mutex_lock(&d->lock, &lc_mappable);
	host_file_unpin(d->mem_readonly && d->mem_readonly->fd == fd ? d->mem_readonly : d->mem);
	mutex_unlock(&d->lock, &lc_mappable);
}

/* ---- seals ---- */

int tmpfs_data_make_sealable(struct inode *inode, u32 huge)
{
	struct tmpfs_data *d = tmpfs_data_of(inode);
	int err;

	mutex_lock(&d->lock, &lc_mappable);
	err = memory_create(d, 0, MFD_ALLOW_SEALING, &d->mem);
	d->in_memory_file = !err;
	d->huge = huge;
	d->seals = 0;
	mutex_unlock(&d->lock, &lc_mappable);
	return err;
}

u32 tmpfs_data_seals(const struct inode *inode)
{
	return tmpfs_data_of(inode)->seals;
}

/* The seal of execution is about the mode, which the host does not know. */
int tmpfs_data_seal(struct inode *inode, u32 seals)
{
	struct tmpfs_data *d = tmpfs_data_of(inode);
	u32 known = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
	int fd, err = 0;

	mutex_lock(&d->lock, &lc_mappable);
	fd = host_file_pin(d->mem);
	if (fd < 0)
		err = fd;
	else if (seals & known & ~d->seals)
		err = host_fcntl(fd, F_ADD_SEALS, (long)(seals & known));
	if (fd >= 0)
		host_file_unpin(d->mem);
	if (!err)
		d->seals |= seals;
	mutex_unlock(&d->lock, &lc_mappable);
	return err;
}
