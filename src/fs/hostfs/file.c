/* Open files and directories of hostfs. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cred/rlimit.h"
#include "fs/hostfs/internal.h"
#include "host/host.h"
#include "sched/fiber.h"
#include "sched/sched.h"

#define DENTS_SIZE 32'768
/* Positions of the made-up names, after all of the host's. */
#define POS_MADE_UP (INT64_MAX - 16)

/* The host's own last position may be INT64_MAX (ext4). */
static bool is_made_up(s64 pos)
{
	return pos >= POS_MADE_UP && pos <= POS_MADE_UP + MOUNTPOINTS_MAX;
}

/* ---- regular files ---- */

struct pread_call {
	int fd;
	void *buf;
	size_t size;
	s64 pos;
};

static long pread_call(void *arg)
{
	struct pread_call *c = arg;

	return host_pread(c->fd, c->buf, c->size, c->pos);
}

/* What the host has in memory is read here, the rest by the pool: a disk would hold the worker up.
 */
static ssize_t read_piece(struct file *f, void *buf, size_t size, s64 pos, bool nowait)
{
	struct hostfs *fs = hostfs_of(f->inode->sb);
	int fd = hostfs_file_fd_get(f);
	struct pread_call call = { .fd = fd, .buf = buf, .size = size, .pos = pos };
	ssize_t got = -EOPNOTSUPP;

	if (fd < 0)
		return fd;
	if (!fs->no_nowait)
		got = host_pread_nowait(fd, buf, size, pos);
	if (got == -EOPNOTSUPP) {
		fs->no_nowait = true;
		got = host_pread(fd, buf, size, pos);
	} else if (got == -EAGAIN && !nowait) {
		got = pool_call(pread_call, &call);
	}
	hostfs_fd_put(f->inode);
	return got;
}

static ssize_t hostfs_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	ssize_t n = 0, done = 0;
	struct bounce b;

	if (*pos < 0)
		return -EINVAL;
	n = hostfs_ahead_read(s, f, to, *pos);
	if (n != -EAGAIN) {
		*pos += max(n, 0L);
		return n;
	}
	n = 0;
	bounce_init(&b, to->left);
	while (to->left > 0) {
		size_t size = (size_t)min(to->left, (u64)b.size);
		ssize_t got = read_piece(f, b.buf, size, *pos, to->nowait);

		n = got > 0 ? uio_copy_to(to, b.buf, (size_t)got) : got;
		if (n <= 0)
			break;
		*pos += n;
		done += n;
		/* Fewer than asked for: the end, or the rest is on disk. */
		if (((size_t)got < size && (u64)*pos >= f->inode->size) ||
		    (fiber_current() && fiber_killed(fiber_current())))
			break;
	}
	bounce_fini(&b);
	return done ? done : n;
}

static ssize_t write_piece(struct file *f, const struct uio *from, const char *buf, size_t size,
			   s64 *pos)
{
	bool append = file_appends(f, from);
	int fd = hostfs_wfd_get(f->inode, false);
	ssize_t n;

	if (fd < 0)
		return fd;
	sched_expect_delay();
	n = append ? host_append(fd, buf, size) : host_pwrite(fd, buf, size, *pos);
	/* Others may have appended too: the host knows where ours ended. */
	if (n > 0)
		*pos = append ? host_lseek(fd, 0, SEEK_CUR) : *pos + n;
	hostfs_fd_put(f->inode);
	return n;
}

/* The size as the host has it, if what follows depends on it. */
static void refresh_for_write(struct subject *s, struct file *f, const struct uio *from)
{
	u64 limit = s && s->rlimits ? rlimit_get(s->rlimits, RLIMIT_FSIZE) : RLIM_INFINITY;

	if (limit != RLIM_INFINITY || file_appends(f, from))
		hostfs_refresh(f->inode);
}

static ssize_t hostfs_write(struct subject *s, struct file *f, struct uio *from, s64 *pos)
{
	size_t have = 0;
	struct bounce b;
	ssize_t n = 0;

	if (from->left == 0)
		return 0;
	bounce_init(&b, from->left);
	/* What fits is fetched before the lock is taken, so that a slow guest delays only itself.
	 */
	if (from->left <= b.size) {
		n = uio_copy_from(from, b.buf, (size_t)from->left);
		if (n <= 0)
			goto out;
		have = (size_t)n;
	}
	mutex_lock(&f->inode->lock, &lc_inode);
	refresh_for_write(s, f, from);
	n = file_write_room(s, f, from, pos, have ? have : from->left, INT64_MAX);
	if (n > 0) {
		n = bounce_write(f, from, &b, have, (size_t)n, pos, write_piece);
		hostfs_refresh(f->inode);
	} else if (have) {
		uio_revert(from, have);
	}
	mutex_unlock(&f->inode->lock, &lc_inode);
out:
	bounce_fini(&b);
	return n;
}

struct fsync_call {
	int fd;
	bool data_only;
};

static long do_fsync(void *arg)
{
	const struct fsync_call *c = arg;

	return host_fsync(c->fd, c->data_only);
}

static int hostfs_fsync(struct subject *s, struct file *f, bool data_only)
{
	struct fsync_call c = { .data_only = data_only };
	int err;

	if (!(hostfs_of(f->inode->sb)->flags & HOSTFS_WRITABLE) ||
	    hostfs_node_of(f->inode)->state != NODE_PLAIN)
		return 0;
	c.fd = hostfs_file_fd_get(f);
	if (c.fd < 0)
		return c.fd;
	err = (int)pool_call(do_fsync, &c);
	hostfs_fd_put(f->inode);
	return err;
}

static int hostfs_fallocate(struct subject *s, struct file *f, int mode, s64 off, s64 len)
{
	int fd, err;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE |
		     FALLOC_FL_ZERO_RANGE | FALLOC_FL_INSERT_RANGE | FALLOC_FL_UNSHARE_RANGE))
		return -EOPNOTSUPP;
	mutex_lock(&f->inode->lock, &lc_inode);
	fd = hostfs_wfd_get(f->inode, false);
	err = fd;
	if (fd >= 0) {
		sched_expect_delay();
		err = host_fallocate(fd, mode, off, len);
		hostfs_fd_put(f->inode);
		hostfs_refresh(f->inode);
	}
	mutex_unlock(&f->inode->lock, &lc_inode);
	return err;
}

static void hostfs_release(struct file *f)
{
	if (hostfs_changes(f->inode->sb) && hostfs_node_of(f->inode)->state == NODE_PLAIN)
		hostfs_drop(f->inode);
}

static s64 hostfs_lseek(struct subject *s, struct file *f, s64 off, int whence)
{
	struct kstat st;
	s64 ret;
	int fd;

	if (whence == SEEK_DATA || whence == SEEK_HOLE) {
		/* The descriptor is shared, and its position is of use to those who append. */
		mutex_lock(&f->inode->lock, &lc_inode);
		fd = hostfs_file_fd_get(f);
		ret = fd;
		if (fd >= 0) {
			ret = host_lseek(fd, off, whence);
			hostfs_fd_put(f->inode);
		}
		mutex_unlock(&f->inode->lock, &lc_inode);
		return ret;
	}
	ret = inode_getattr(s, f->inode, &st);
	return ret ? ret : generic_lseek(f, off, whence, (s64)st.size);
}

static int hostfs_host_fd_get(struct file *f, bool shared, int *ret_fd)
{
	int fd;

	/* A shared mapping writes what the file may: not what another opening may. */
	fd = shared && f->writable ? hostfs_wfd_get(f->inode, true) : hostfs_fd_get(f->inode);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

static void hostfs_host_fd_put(struct file *f, int fd)
{
	hostfs_fd_put(f->inode);
}

DEFINE_OPS(struct file_ops, hostfs_file_ops) = {
	.nowait = true,
	.read = hostfs_read,
	.write = hostfs_write,
	.fsync = hostfs_fsync,
	.fallocate = hostfs_fallocate,
	.release = hostfs_release,
	.lseek = hostfs_lseek,
	.host_fd_get = hostfs_host_fd_get,
	.host_fd_put = hostfs_host_fd_put,
};

/* ---- directories ---- */

/* Emit what is in buf. False: the reader has no more room. */
static bool emit_batch(struct file *f, struct dir_context *ctx, const char *buf, size_t size)
{
	bool is_root = !hostfs_node_of(f->inode)->parent;
	size_t at;

	for (at = 0; at < size;) {
		const struct host_dirent *e = (const void *)(buf + at);
		u64 ino = e->ino;

		if (is_root && strcmp(e->name, "..") == 0)
			ino = f->inode->ino;
		if (!ctx->emit(ctx, e->name, strlen(e->name), ino, e->next, e->type))
			break;
		ctx->pos = e->next;
		at += e->size;
	}
	hostfs_ahead_list(f->inode, buf, at);
	return at == size;
}

/* The host's entries from ctx->pos on. 1: the end was reached; 0: the reader has no more room. */
static int emit_host(struct file *f, struct dir_context *ctx)
{
	char *buf = malloc(DENTS_SIZE);
	int fd = buf ? hostfs_fd_get(f->inode) : -ENOMEM;
	ssize_t n;
	s64 at;

	if (fd < 0) {
		free(buf);
		return fd;
	}
	/* The descriptor is shared by all who have the directory open; its lock is held. */
	at = host_lseek(fd, ctx->pos, SEEK_SET);
	for (n = at < 0 ? at : 1; n > 0;) {
		n = host_getdents64(fd, buf, DENTS_SIZE);
		if (n > 0 && !emit_batch(f, ctx, buf, (size_t)n))
			break;
	}
	hostfs_fd_put(f->inode);
	free(buf);
	if (n < 0)
		return (int)n;
	return n == 0;
}

/* Whether the host has this name in the root itself. */
static bool host_has(struct inode *root, const char *name)
{
	int fd = hostfs_fd_get(root), err;

	if (fd < 0)
		return false;
	err = host_faccessat2(fd, name, F_OK, AT_SYMLINK_NOFOLLOW);
	hostfs_fd_put(root);
	return err == 0;
}

static int emit_made_up(struct file *f, struct dir_context *ctx)
{
	struct hostfs *fs = hostfs_of(f->inode->sb);
	u32 i = is_made_up(ctx->pos) ? (u32)(ctx->pos - POS_MADE_UP) : 0;

	if (hostfs_node_of(f->inode)->parent)
		return 0;
	for (; i < fs->mountpoint_count; i++) {
		const char *name = fs->mountpoints[i];

		if (!host_has(f->inode, name) &&
		    !ctx->emit(ctx, name, strlen(name), 0x7fff'0000u + i, POS_MADE_UP + i + 1,
			       DT_DIR))
			return 0;
		ctx->pos = POS_MADE_UP + i + 1;
	}
	return 0;
}

static int hostfs_iterate(struct subject *s, struct file *f, struct dir_context *ctx)
{
	int ret;

	if (hostfs_node_of(f->inode)->state != NODE_PLAIN) {
		dir_emit_dots(f, ctx);
		return 0;
	}
	if (!is_made_up(ctx->pos)) {
		ret = emit_host(f, ctx);
		if (ret <= 0)
			return ret;
	}
	return emit_made_up(f, ctx);
}

static s64 hostfs_dir_lseek(struct subject *s, struct file *f, s64 off, int whence)
{
	return whence == SEEK_END ? INT64_MAX : dir_lseek(s, f, off, whence);
}

DEFINE_OPS(struct file_ops, hostfs_dir_file_ops) = {
	.iterate = hostfs_iterate,
	.fsync = hostfs_fsync,
	.release = hostfs_release,
	.lseek = hostfs_dir_lseek,
};
