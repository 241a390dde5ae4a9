/*
 * Inherited standard streams.
 *
 * The open file description behind such a descriptor belongs to others too (the caller's shell,
 * say), so its flags, O_NONBLOCK above all, are left alone, and any host call on it may block.
 * Before a call we wait until the host says that it would not: the poller watches a duplicate,
 * edge-triggered, and wakes the file's wait queue. Then:
 *
 *   - regular files never block; they are read and written at the host's own position, which the
 * caller shares.
 *   - pipes: after POLLIN a read, after POLLOUT a write of at most PIPE_BUF bytes do not block,
 * unless another host process takes the data or the room in between; then a worker is held up until
 * that process goes on.
 *   - all else (terminals, sockets, devices) goes through the pool, where a block costs only a pool
 * thread.
 *
 * One read and one write at a time a stream: the next waits, interruptibly, for its turn. The state
 * hangs on the anonymous inode, so that opening /proc/self/fd/0 gives another file over it.
 */

#include "fs/stdio/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "arena/slab.h"
#include "cred/rlimit.h"
#include "fs/stdio/internal.h"
#include "host/budget.h"
#include "host/file.h"
#include "host/host.h"
#include "sched/fiber.h"
#include "sched/sched.h"

#define MEM_MAJOR 1
#define POLL_READ (POLLIN | POLLHUP | POLLERR)
#define POLL_WRITE (POLLOUT | POLLHUP | POLLERR)

SLAB_CLASS(stdio, struct stdio, TRANSIENT(struct stdio, host), TRANSIENT(struct stdio, watch));

/* The poller's end: heap, since it is transient. */
struct stdio_watch {
	struct poll_source source;
	struct stdio *stdio;
};

DECLARE_OPS(struct inode_ops, stdio_inode_ops);
DECLARE_OPS(struct file_ops, stdio_file_ops);

static struct stdio *stdio_of(const struct file *f)
{
	return f->inode->private;
}

int stdio_fd(const struct stdio *io)
{
	/* Pinned for its whole life: others cannot give it back. */
	return host_file_get_fd(io->host);
}

/* ---- readiness ---- */

static void watch_ready(struct poll_source *source, u32 events)
{
	struct stdio_watch *w = container_of(source, struct stdio_watch, source);

	waitq_wake(&w->stdio->waitq, events);
}

/* Begin to watch, once. Regular files and the like cannot be watched (EPERM): they are always
 * ready. */
static int stdio_watch(struct stdio *io)
{
	struct stdio_watch *w;
	int fd, err;

	if (__atomic_load_n(&io->watch, __ATOMIC_ACQUIRE) || io->always_ready)
		return 0;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	fd = host_dup(stdio_fd(io));
	if (fd < 0) {
		free(w);
		return fd;
	}
	w->source = (struct poll_source){ .fd = fd, .ready = watch_ready };
	w->stdio = io;
	spin_lock(&io->lock, &lc_fs);
	if (io->watch || io->watching) {
		spin_unlock(&io->lock, &lc_fs);
		host_close(fd);
		free(w);
		return 0;
	}
	io->watching = true;
	spin_unlock(&io->lock, &lc_fs);
	err = poller_add(&w->source, EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET);
	if (err) {
		host_close(fd);
		free(w);
		io->watching = false;
		if (err == -EPERM)
			io->always_ready = true;
		return err == -EPERM ? 0 : err;
	}
	__atomic_store_n(&io->watch, w, __ATOMIC_RELEASE);
	waitq_wake_all(&io->waitq, EPOLLIN | EPOLLOUT);
	return 0;
}

static void stdio_unwatch(struct stdio *io)
{
	if (!io->watch)
		return;
	poller_remove(&io->watch->source);
	host_close(io->watch->source.fd);
	free(io->watch);
	io->watch = NULL;
}

static u32 poll_now(struct stdio *io)
{
	struct pollfd pfd = { .fd = stdio_fd(io),
			      .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP };

	if (host_poll(&pfd, 1, 0) <= 0)
		return 0;
	return (u32)(u16)pfd.revents;
}

/* Wait until one of events is there. -EINTR, -EAGAIN. */
static int wait_ready(struct stdio *io, const struct file *f, u32 events)
{
	int err;

	if (io->kind == STDIO_REGULAR || io->always_ready || poll_now(io) & events)
		return 0;
	if (__atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_NONBLOCK)
		return -EAGAIN;
	err = stdio_watch(io);
	if (err)
		return err;
	return waitq_wait(&io->waitq, EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR | EPOLLRDHUP,
			  NO_DEADLINE, io->always_ready || poll_now(io) & events);
}

/* ---- turns ---- */

static bool try_turn(struct stdio *io, bool *busy)
{
	bool got;

	spin_lock(&io->lock, &lc_fs);
	got = !*busy;
	*busy = true;
	spin_unlock(&io->lock, &lc_fs);
	return got;
}

static int begin_turn(struct stdio *io, bool *busy)
{
	return try_turn(io, busy) ? 0 : waitq_wait(&io->turns, 1, NO_DEADLINE, try_turn(io, busy));
}

static void end_turn(struct stdio *io, bool *busy)
{
	spin_lock(&io->lock, &lc_fs);
	*busy = false;
	spin_unlock(&io->lock, &lc_fs);
	waitq_wake(&io->turns, 1);
}

/* ---- reading and writing ---- */

struct stdio_call {
	int fd;
	void *buf;
	size_t size;
	bool write;
};

static long do_call(void *arg)
{
	struct stdio_call *c = arg;

	return c->write ? host_write(c->fd, c->buf, c->size) : host_read(c->fd, c->buf, c->size);
}

static ssize_t call_host(struct stdio *io, struct stdio_call *c)
{
	if (io->kind == STDIO_REGULAR || io->kind == STDIO_PIPE)
		return do_call(c);
	return pool_call(do_call, c);
}

/* At a position of its own (pread, pwrite), which only regular files have. */
static ssize_t call_at(struct stdio *io, struct stdio_call *c, s64 pos)
{
	return c->write ? host_pwrite(c->fd, c->buf, c->size, pos) :
			  host_pread(c->fd, c->buf, c->size, pos);
}

static ssize_t read_once(struct stdio *io, struct file *f, struct uio *to, struct bounce *b,
			 const s64 *at)
{
	struct stdio_call c = { .fd = stdio_fd(io), .buf = b->buf };
	ssize_t n;

	c.size = (size_t)min(to->left, (u64)b->size);
	if (at)
		n = call_at(io, &c, *at);
	else
		n = call_host(io, &c);
	return n > 0 ? uio_copy_to(to, b->buf, (size_t)n) : n;
}

static ssize_t stdio_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	struct stdio *io = stdio_of(f);
	const s64 *at = pos && pos != &f->pos ? pos : NULL;
	ssize_t n, done = 0;
	s64 here = at ? *at : 0;
	struct bounce b;
	int err;

	err = begin_turn(io, &io->reading);
	if (err)
		return err;
	bounce_init(&b, to->left);
	do {
		err = wait_ready(io, f, POLL_READ);
		n = err ? err : read_once(io, f, to, &b, at ? &here : NULL);
		if (n > 0) {
			done += n;
			here += n;
		}
	} while (io->kind == STDIO_REGULAR && n > 0 && to->left > 0);
	bounce_fini(&b);
	end_turn(io, &io->reading);
	if (pos && done > 0)
		*pos += done;
	return done ? done : n;
}

static size_t write_size(const struct stdio *io, const struct bounce *b)
{
	return io->kind == STDIO_REGULAR ? b->size : min(b->size, (size_t)PIPE_BUF);
}

/* One piece. A partial host write gives the rest back to from. */
static ssize_t write_once(struct stdio *io, struct uio *from, struct bounce *b, const s64 *at)
{
	struct stdio_call c = { .fd = stdio_fd(io), .buf = b->buf, .write = true };
	ssize_t n;

	n = uio_copy_from(from, b->buf, (size_t)min(from->left, (u64)write_size(io, b)));
	if (n <= 0)
		return n;
	c.size = (size_t)n;
	n = at ? call_at(io, &c, *at) : call_host(io, &c);
	if (n < (ssize_t)c.size)
		uio_revert(from, c.size - (size_t)max(n, (ssize_t)0));
	return n;
}

/* RLIMIT_FSIZE of the guest: how much of want may go where the next write goes. */
static ssize_t write_limit(struct subject *s, struct stdio *io, u64 want, const s64 *at)
{
	u64 limit = s && s->rlimits ? rlimit_get(s->rlimits, RLIMIT_FSIZE) : RLIM_INFINITY;
	struct stat st;
	s64 pos;
	int err;

	if (limit == RLIM_INFINITY || io->kind != STDIO_REGULAR)
		return (ssize_t)want;
	err = host_fstat(stdio_fd(io), &st);
	if (err || !S_ISREG(st.st_mode))
		return err ? err : (ssize_t)want;
	if (io->host_flags & O_APPEND)
		pos = st.st_size;
	else
		pos = at ? *at : host_lseek(stdio_fd(io), 0, SEEK_CUR);
	if (pos < 0)
		return pos;
	return (u64)pos < limit ? (ssize_t)min(want, limit - (u64)pos) : -EFBIG;
}

static ssize_t stdio_write(struct subject *s, struct file *f, struct uio *from, s64 *pos)
{
	struct stdio *io = stdio_of(f);
	const s64 *at = pos && pos != &f->pos ? pos : NULL;
	ssize_t n = 0, done = 0;
	s64 here = at ? *at : 0;
	struct bounce b;
	int err;

	if (from->left == 0)
		return 0;
	err = begin_turn(io, &io->writing);
	if (err)
		return err;
	bounce_init(&b, from->left);
	if (from->left > 0) {
		n = write_limit(s, io, from->left, at);
		from->left = (u64)max(n, (ssize_t)0);
	}
	while (from->left > 0) {
		err = wait_ready(io, f, POLL_WRITE);
		n = err ? err : write_once(io, from, &b, at ? &here : NULL);
		if (n <= 0)
			break;
		done += n;
		here += n;
	}
	bounce_fini(&b);
	end_turn(io, &io->writing);
	if (pos && done > 0)
		*pos += done;
	return done ? done : n;
}

static s64 stdio_lseek(struct subject *s, struct file *f, s64 off, int whence)
{
	return host_lseek(stdio_fd(stdio_of(f)), off, whence);
}

static u32 stdio_poll(struct file *f)
{
	struct stdio *io = stdio_of(f);

	if (io->kind == STDIO_REGULAR || io->always_ready)
		return EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM;
	return poll_now(io);
}

static struct waitq *stdio_waitq(struct file *f)
{
	struct stdio *io = stdio_of(f);

	if (io->kind == STDIO_REGULAR)
		return NULL;
	/* Without a watch a waiter would sleep for ever, but then memory is short and it is told at
	 * its next read. */
	if (stdio_watch(io) || io->always_ready)
		return NULL;
	return &io->waitq;
}

static int stdio_fsync(struct subject *s, struct file *f, bool data_only)
{
	return stdio_of(f)->kind == STDIO_REGULAR ? 0 : -EINVAL;
}

static int stdio_truncate(struct subject *s, struct file *f, s64 size)
{
	return host_ftruncate(stdio_fd(stdio_of(f)), size);
}

/* ---- the inode ---- */

static void from_host(struct stdio *io, const struct stat *st, struct kstat *ret)
{
	*ret = (struct kstat){
		.mode = st->st_mode,
		.nlink = (u32)st->st_nlink,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.dev = st->st_dev,
		.rdev = st->st_rdev,
		.ino = st->st_ino,
		.size = (u64)st->st_size,
		.blocks = (u64)st->st_blocks,
		.blksize = (u64)st->st_blksize,
		.atime = st->st_atim,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
	};
}

static int stdio_getattr(struct subject *s, struct inode *inode, struct kstat *ret)
{
	struct stdio *io = inode->private;
	struct stat st;
	int err = host_fstat(stdio_fd(io), &st);

	if (!err)
		from_host(io, &st, ret);
	return err;
}

/* What the caller gave may be read and written as the caller opened it, whatever its mode says. */
static int stdio_permission(struct subject *s, struct inode *inode, int mask)
{
	struct stdio *io = inode->private;
	u32 accmode = io->host_flags & O_ACCMODE;

	if (mask & R_OK && accmode == O_WRONLY)
		return -EACCES;
	if (mask & W_OK && accmode == O_RDONLY)
		return -EACCES;
	return mask & X_OK ? -EACCES : 0;
}

/* open(O_TRUNC) of /proc/self/fd/1 empties the caller's file, as it would natively; other changes
 * are not ours to make. */
static int stdio_setattr(struct subject *s, struct inode *inode, const struct iattr *attr)
{
	struct stdio *io = inode->private;

	if (attr->valid != ATTR_SIZE)
		return -EPERM;
	return host_ftruncate(stdio_fd(io), (s64)attr->size);
}

static int stdio_open(struct subject *s, struct inode *inode, struct file *f)
{
	struct stdio *io = inode->private;

	if (io->kind == STDIO_SOCKET)
		return -ENXIO;
	f->ops = OPS(stdio_file_ops);
	f->stream = io->stream;
	return 0;
}

static struct inode *stdio_evict(struct inode *inode)
{
	struct stdio *io = inode->private;

	if (!io)
		return NULL;
	stdio_unwatch(io);
	host_file_unpin(io->host);
	host_file_put(io->host);
	slab_free(&slab_stdio, io);
	return NULL;
}

DEFINE_OPS(struct inode_ops, stdio_inode_ops) = {
	.getattr = stdio_getattr,
	.permission = stdio_permission,
	.setattr = stdio_setattr,
	.open = stdio_open,
	.evict = stdio_evict,
};

static long stdio_ioctl_op(struct subject *s, struct file *f, u32 cmd, u64 arg)
{
	return stdio_ioctl(s, stdio_of(f), cmd, UADDR(arg));
}

DEFINE_OPS(struct file_ops, stdio_file_ops) = {
	.read = stdio_read,
	.write = stdio_write,
	.lseek = stdio_lseek,
	.ioctl = stdio_ioctl_op,
	.poll = stdio_poll,
	.waitq = stdio_waitq,
	.fsync = stdio_fsync,
	.truncate = stdio_truncate,
};

/* ---- creation ---- */

static void name_of(const struct stat *st, enum stdio_kind kind, char *buf, size_t size)
{
	unsigned long ino = (unsigned long)st->st_ino;

	if (kind == STDIO_PIPE)
		snprintf(buf, size, "pipe:[%lu]", ino);
	else if (kind == STDIO_SOCKET)
		snprintf(buf, size, "socket:[%lu]", ino);
	else if (S_ISCHR(st->st_mode) && major(st->st_rdev) == 1 && minor(st->st_rdev) == 3)
		snprintf(buf, size, "/dev/null");
	else if (S_ISCHR(st->st_mode) && major(st->st_rdev) >= 136 && major(st->st_rdev) <= 143)
		snprintf(buf, size, "/dev/pts/%u",
			 (major(st->st_rdev) - 136) * 256 + minor(st->st_rdev));
	else if (kind == STDIO_TTY)
		snprintf(buf, size, "/dev/tty");
	else
		snprintf(buf, size, "host:[%lu]", ino);
}

static enum stdio_kind kind_of(int fd, const struct stat *st)
{
	struct termios t;

	switch (st->st_mode & S_IFMT) {
	case S_IFREG:
		return STDIO_REGULAR;
	case S_IFIFO:
		return STDIO_PIPE;
	case S_IFSOCK:
		return STDIO_SOCKET;
	case S_IFCHR:
		if (major(st->st_rdev) == MEM_MAJOR)
			return STDIO_REGULAR;
		return host_ioctl(fd, TCGETS, &t) ? STDIO_OTHER : STDIO_TTY;
	default:
		return STDIO_OTHER;
	}
}

static int stdio_create(int fd, struct host_file *host, u32 host_flags, const struct stat *st,
			struct stdio **ret)
{
	struct stdio *io = slab_alloc(&slab_stdio);

	if (!io)
		return -ENOMEM;
	io->host = host;
	io->kind = kind_of(fd, st);
	io->stream = io->kind != STDIO_REGULAR && io->kind != STDIO_OTHER;
	io->host_flags = host_flags;
	spin_init(&io->lock);
	waitq_init(&io->waitq);
	waitq_init(&io->turns);
	*ret = io;
	return 0;
}

int stdio_file_create(struct subject *s, int host_fd, u32 flags, struct file **ret)
{
	struct host_file *host;
	struct stdio *io;
	struct file *f;
	struct stat st;
	char name[64];
	int err, host_flags;

	host_flags = host_fcntl(host_fd, F_GETFL, 0);
	if (host_flags < 0)
		return host_flags;
	if (flags == STDIO_HOST_FLAGS)
		flags = (u32)host_flags & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_LARGEFILE_ABI);
	err = host_fstat(host_fd, &st);
	if (err)
		return err;
	host = host_file_create(host_fd);
	if (!host)
		return -ENOMEM;
	err = host_file_pin(host) < 0 ? -EBADF :
					stdio_create(host_fd, host, (u32)host_flags, &st, &io);
	if (!err) {
		name_of(&st, io->kind, name, sizeof(name));
		err = file_create_anon(s, name, OPS(stdio_file_ops), NULL, flags, &f);
		if (err)
			slab_free(&slab_stdio, io);
	}
	if (err) {
		host_fd_uncharge();
		free(host); /* but not the descriptor, which the caller keeps */
		return err;
	}
	f->inode->ops = OPS(stdio_inode_ops);
	f->inode->private = io;
	f->inode->mode = st.st_mode;
	f->inode->ino = st.st_ino;
	f->inode->rdev = st.st_rdev;
	f->stream = io->stream;
	*ret = f;
	return 0;
}
