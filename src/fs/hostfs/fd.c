/*
 * hostfs: the descriptors of nodes.
 *
 * They are opened when needed, and kept while the node is among the OPEN_MAX last used ones, or has
 * open files (for these may outlive the name). All are charged to the budget of host descriptors;
 * when it is used up, those that nobody needs just now are closed.
 *
 * Device nodes, fifos and sockets are never opened. In a tree that does not change, the type that
 * was seen is believed; in others the file is taken hold of by an O_PATH descriptor, looked at, and
 * opened by that.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "fs/hostfs/internal.h"
#include "host/budget.h"
#include "host/host.h"

#define OPEN_MAX 480
#define OPEN_SLACK 32 /* more than that, until there is time to close some */
#define RESOLVE_ONE (RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS)

int hostfs_open_one(int dirfd, const char *name, int flags, u32 mode, bool crosses)
{
	u64 resolve = RESOLVE_ONE | (crosses ? 0 : RESOLVE_NO_XDEV);

	return host_openat2(dirfd, name, (u64)(flags | O_NOFOLLOW), mode, resolve);
}

void hostfs_fd_path(const struct hostfs *fs, int fd, int *ret_dirfd, char buf[FD_PATH_SIZE])
{
	if (fs->self_fd) {
		*ret_dirfd = fs->self_fd - 1;
		snprintf(buf, FD_PATH_SIZE, "%d", fd);
		return;
	}
	*ret_dirfd = fs->proc_fd ? fs->proc_fd - 1 : AT_FDCWD;
	snprintf(buf, FD_PATH_SIZE, "%sself/fd/%d", fs->proc_fd ? "" : "/proc/", fd);
}

/* ---- the list of those that may be closed ---- */

/* Put n where it belongs: at the head of the list, or nowhere. */
static void relist(struct hostfs *fs, struct hostfs_node *n) REQUIRES(lc_hostfile)
{
	if (!fs->open.next)
		list_init(&fs->open); /* after a restore */
	if (!list_empty(&n->open_link)) {
		list_del(&n->open_link);
		fs->open_count--;
	}
	if ((n->fd || n->wfd) && !n->opens) {
		list_add(&fs->open, &n->open_link);
		fs->open_count++;
	}
}

struct closing {
	int fds[2];
	unsigned int count;
};

static void take_fds(struct hostfs_node *n, struct closing *c) REQUIRES(lc_hostfile)
{
	if (n->fd)
		c->fds[c->count++] = n->fd - 1;
	if (n->wfd)
		c->fds[c->count++] = n->wfd - 1;
	n->fd = n->wfd = 0;
}

static void close_all(const struct closing *c)
{
	for (unsigned int i = 0; i < c->count; i++) {
		host_close(c->fds[i]);
		host_fd_uncharge();
	}
}

/* Take the descriptors of the least recently used node that nobody uses. */
static void steal_oldest(struct hostfs *fs, struct closing *c) REQUIRES(lc_hostfile)
{
	for (struct list *at = fs->open.prev; at && at != &fs->open; at = at->prev) {
		struct hostfs_node *n = list_entry(at, struct hostfs_node, open_link);

		if (n->pins)
			continue;
		take_fds(n, c);
		relist(fs, n);
		return;
	}
}

/* Room for one more descriptor in the budget. */
static int charge(struct hostfs *fs)
{
	while (!host_fd_charge()) {
		struct closing c = {};

		spin_lock(&fs->lock, &lc_hostfile);
		steal_oldest(fs, &c);
		spin_unlock(&fs->lock, &lc_hostfile);
		if (!c.count)
			return -ENFILE;
		close_all(&c);
	}
	return 0;
}

void hostfs_close(struct hostfs *fs, struct hostfs_node *n)
{
	struct closing c = {};

	spin_lock(&fs->lock, &lc_hostfile);
	take_fds(n, &c);
	n->opens = 0;
	relist(fs, n);
	spin_unlock(&fs->lock, &lc_hostfile);
	close_all(&c);
}

void hostfs_hold(struct inode *inode)
{
	struct hostfs *fs = hostfs_of(inode->sb);
	struct hostfs_node *n = hostfs_node_of(inode);

	spin_lock(&fs->lock, &lc_hostfile);
	n->opens++;
	relist(fs, n);
	spin_unlock(&fs->lock, &lc_hostfile);
}

void hostfs_drop(struct inode *inode)
{
	struct hostfs *fs = hostfs_of(inode->sb);
	struct hostfs_node *n = hostfs_node_of(inode);
	struct closing c = {};

	spin_lock(&fs->lock, &lc_hostfile);
	n->opens--;
	relist(fs, n);
	if (fs->open_count > OPEN_MAX + OPEN_SLACK)
		steal_oldest(fs, &c);
	spin_unlock(&fs->lock, &lc_hostfile);
	close_all(&c);
}

bool hostfs_trim(struct hostfs *fs)
{
	struct closing c = {};

	spin_lock(&fs->lock, &lc_hostfile);
	if (fs->open_count > OPEN_MAX)
		steal_oldest(fs, &c);
	spin_unlock(&fs->lock, &lc_hostfile);
	close_all(&c);
	return c.count;
}

/* ---- pins ---- */

/* The descriptor for reading or, if write, for writing; pinned if it is open, else -1. */
static int pin_open(struct hostfs *fs, struct hostfs_node *n, bool write, bool *ret_reads)
{
	int fd;

	spin_lock(&fs->lock, &lc_hostfile);
	fd = (write ? n->wfd : n->fd) - 1;
	if (fd >= 0) {
		n->pins++;
		relist(fs, n);
	}
	if (ret_reads)
		*ret_reads = n->wfd_reads;
	spin_unlock(&fs->lock, &lc_hostfile);
	return fd;
}

void hostfs_fd_put(struct inode *inode)
{
	struct hostfs *fs = hostfs_of(inode->sb);

	spin_lock(&fs->lock, &lc_hostfile);
	hostfs_node_of(inode)->pins--;
	spin_unlock(&fs->lock, &lc_hostfile);
}

/* Give n the (charged) descriptor fd, unless it has one by now; the one that it has is returned,
 * pinned. */
static int publish(struct hostfs *fs, struct hostfs_node *n, int fd, bool write, bool special)
{
	int *slot = write ? &n->wfd : &n->fd;
	struct closing c = {};

	spin_lock(&fs->lock, &lc_hostfile);
	if (*slot) {
		c.fds[c.count++] = fd;
		fd = *slot - 1;
	} else {
		*slot = fd + 1;
		if (write)
			n->wfd_reads = special;
		else
			n->path_only = special;
	}
	n->pins++;
	relist(fs, n);
	if (!c.count && fs->open_count > OPEN_MAX + OPEN_SLACK)
		steal_oldest(fs, &c);
	spin_unlock(&fs->lock, &lc_hostfile);
	close_all(&c);
	return fd;
}

/* ---- opening ---- */

/* fd is still the file that was looked at: no other has taken its place. */
static int check_same(int fd, const struct inode *inode)
{
	struct statx stx;
	int err = host_statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &stx);

	if (err)
		return err;
	return hostfs_same_file(inode, &stx) ? 0 : -ESTALE;
}

/* Of a file of any kind, an O_PATH descriptor; dirfd is its parent's, -1 for the root. */
static int open_path(const struct hostfs_node *n, int dirfd, const char *name, bool crosses)
{
	int fd, err;

	if (dirfd < 0)
		return host_dup(hostfs_of(n->inode->sb)->root_fd - 1);
	fd = hostfs_open_one(dirfd, name, O_PATH, 0, crosses);
	if (fd < 0)
		return fd == -ELOOP || fd == -ENOENT ? -ESTALE : fd;
	err = check_same(fd, n->inode);
	if (!err)
		return fd;
	host_close(fd);
	return err;
}

int hostfs_reopen(const struct hostfs *fs, int path_fd, int flags)
{
	char path[FD_PATH_SIZE];
	int dirfd;

	hostfs_fd_path(fs, path_fd, &dirfd, path);
	return host_openat(dirfd, path, flags | O_NONBLOCK | O_NOCTTY, 0);
}

static int open_for_writing(const struct hostfs *fs, int path_fd, bool *ret_reads)
{
	int fd = hostfs_reopen(fs, path_fd, O_RDWR);

	*ret_reads = fd >= 0;
	return fd == -EACCES ? hostfs_reopen(fs, path_fd, O_WRONLY) : fd;
}

static int open_directory(int dirfd, const char *name, bool crosses, bool *ret_path_only)
{
	int fd = hostfs_open_one(dirfd, name, O_RDONLY | O_DIRECTORY, 0, crosses);

	*ret_path_only = fd == -EACCES;
	if (fd == -EACCES)
		fd = hostfs_open_one(dirfd, name, O_PATH | O_DIRECTORY, 0, crosses);
	return fd;
}

/* A new descriptor of n, whose parent's is dirfd. */
static int open_node(struct hostfs_node *n, int dirfd, const char *name, bool crosses, bool write,
		     bool *ret_special)
{
	const struct hostfs *fs = hostfs_of(n->inode->sb);
	int fd, path_fd;

	*ret_special = false;
	fd = write ? -1 : hostfs_ahead_take_fd(n->inode);
	if (fd >= 0) {
		host_fd_uncharge(); /* the caller has charged one */
		return fd;
	}
	if (S_ISDIR(n->inode->mode)) {
		fd = open_directory(dirfd, name, crosses, ret_special);
	} else if (!hostfs_changes(n->inode->sb)) {
		fd = hostfs_open_one(dirfd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, crosses);
	} else {
		path_fd = open_path(n, dirfd, name, crosses);
		if (path_fd < 0)
			return path_fd;
		fd = write ? open_for_writing(fs, path_fd, ret_special) :
			     hostfs_reopen(fs, path_fd, O_RDONLY);
		host_close(path_fd);
		return fd;
	}
	if (fd >= 0 && (S_ISREG(n->inode->mode) || hostfs_changes(n->inode->sb)) &&
	    check_same(fd, n->inode)) {
		host_close(fd);
		fd = -ESTALE;
	}
	return fd == -ENXIO || fd == -ELOOP ? -ESTALE : fd;
}

/* The directory of n, with a reference and its descriptor pinned, if that is open. 0, or -ENOENT
 * with *ret_dir the next one to open. */
static int pin_parent(struct hostfs *fs, struct hostfs_node *n, char *name, bool *ret_crosses,
		      struct inode **ret_dir, int *ret_fd)
{
	struct inode *dir = hostfs_place(n, name, ret_crosses);

	*ret_dir = dir;
	*ret_fd = -1;
	if (!dir)
		return 0;
	*ret_fd = pin_open(fs, hostfs_node_of(dir), false, NULL);
	return *ret_fd < 0 ? -ENOENT : 0;
}

/*
 * Open a descriptor of n, or of the highest of its ancestors that is closed below one that is open:
 * at last the root is open. *ret_done: it was n's, which is returned, pinned.
 */
static int open_step(struct hostfs *fs, struct hostfs_node *n, bool write, bool *ret_done)
{
	struct inode *dir, *at = n->inode;
	char name[NAME_MAX_GUEST + 1];
	bool crosses, special;
	int fd = 0, dirfd;

	inode_get(at);
	while (pin_parent(fs, hostfs_node_of(at), name, &crosses, &dir, &dirfd)) {
		inode_put(at);
		at = dir;
	}
	*ret_done = at == n->inode;
	fd = charge(fs);
	if (!fd) {
		fd = open_node(hostfs_node_of(at), dirfd, name, crosses, *ret_done && write,
			       &special);
		if (fd < 0)
			host_fd_uncharge();
		else
			fd = publish(fs, hostfs_node_of(at), fd, *ret_done && write, special);
	}
	if (dir) {
		hostfs_fd_put(dir);
		inode_put(dir);
	}
	if (fd >= 0 && !*ret_done)
		hostfs_fd_put(at);
	inode_put(at);
	return fd;
}

/*
 * Of a regular file that may have lost its name: by its other descriptor, if that is open, which
 * leads to the very file. -ESTALE if it isn't. As open_step.
 */
static int open_other(struct hostfs *fs, struct hostfs_node *n, bool write, bool *ret_done)
{
	bool special = false;
	int other, fd;

	if (!hostfs_changes(n->inode->sb) || !S_ISREG(n->inode->mode))
		return -ESTALE;
	other = pin_open(fs, n, !write, NULL);
	if (other < 0)
		return -ESTALE;
	fd = charge(fs);
	if (!fd) {
		fd = write ? open_for_writing(fs, other, &special) :
			     hostfs_reopen(fs, other, O_RDONLY);
		if (fd < 0)
			host_fd_uncharge();
		else
			fd = publish(fs, n, fd, write, special);
	}
	hostfs_fd_put(n->inode);
	*ret_done = true;
	return fd;
}

static int get_fd(struct inode *inode, bool write, bool *ret_reads)
{
	struct hostfs *fs = hostfs_of(inode->sb);
	struct hostfs_node *n = hostfs_node_of(inode);
	bool done = false;
	int fd;

	if (n->state != NODE_PLAIN || (!S_ISDIR(inode->mode) && !S_ISREG(inode->mode)))
		return -EACCES;
	for (;;) {
		fd = pin_open(fs, n, write, ret_reads);
		if (fd >= 0)
			return fd;
		fd = open_other(fs, n, write, &done);
		if (fd == -ESTALE)
			fd = open_step(fs, n, write, &done);
		if (fd < 0)
			return fd;
		if (done)
			hostfs_fd_put(inode); /* pinned again, with what it can do, above */
	}
}

int hostfs_fd_try(struct inode *inode)
{
	return pin_open(hostfs_of(inode->sb), hostfs_node_of(inode), false, NULL);
}

int hostfs_fd_get(struct inode *inode)
{
	return get_fd(inode, false, NULL);
}

int hostfs_wfd_get(struct inode *inode, bool readable)
{
	bool reads;
	int fd;

	if (!(hostfs_of(inode->sb)->flags & HOSTFS_WRITABLE))
		return -EROFS;
	fd = get_fd(inode, true, &reads);
	if (fd >= 0 && readable && !reads) {
		hostfs_fd_put(inode);
		return -EACCES;
	}
	return fd;
}

int hostfs_file_fd_get(struct file *f)
{
	/* One that is open for writing has a descriptor already. */
	return f->writable ? hostfs_wfd_get(f->inode, f->readable) : hostfs_fd_get(f->inode);
}

/* Either descriptor, pinned, or -1. */
static int pin_any(struct hostfs *fs, struct hostfs_node *n)
{
	int fd = pin_open(fs, n, false, NULL);

	return fd >= 0 ? fd : pin_open(fs, n, true, NULL);
}

/* By its name, which may lead to another file by now. */
static int ask_by_name(struct inode *inode, struct statx *ret_stx)
{
	char name[NAME_MAX_GUEST + 1];
	bool crosses;
	struct inode *dir = hostfs_place(hostfs_node_of(inode), name, &crosses);
	int dirfd, err;

	if (!dir)
		return host_statx(hostfs_of(inode->sb)->root_fd - 1, "", AT_EMPTY_PATH,
				  STATX_BASIC_STATS | STATX_BTIME, ret_stx);
	dirfd = hostfs_fd_get(dir);
	err = dirfd;
	if (dirfd >= 0) {
		err = host_statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
				 STATX_BASIC_STATS | STATX_BTIME, ret_stx);
		hostfs_fd_put(dir);
	}
	inode_put(dir);
	return err || hostfs_same_file(inode, ret_stx) ? err : -ESTALE;
}

int hostfs_ask(struct inode *inode, struct statx *ret_stx)
{
	int fd = pin_any(hostfs_of(inode->sb), hostfs_node_of(inode)), err;

	if (fd < 0)
		return ask_by_name(inode, ret_stx);
	err = host_statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, ret_stx);
	hostfs_fd_put(inode);
	return err;
}

int hostfs_attr_fd(struct inode *inode)
{
	struct hostfs *fs = hostfs_of(inode->sb);
	struct hostfs_node *n = hostfs_node_of(inode);
	char name[NAME_MAX_GUEST + 1];
	int fd, dirfd = -1;
	struct inode *dir;
	bool crosses;

	if (n->state != NODE_PLAIN)
		return -EACCES;
	fd = pin_any(fs, n);
	if (fd >= 0) {
		fd = host_dup(fd);
		hostfs_fd_put(inode);
		return fd;
	}
	dir = hostfs_place(n, name, &crosses);
	if (dir)
		dirfd = hostfs_fd_get(dir);
	fd = dir && dirfd < 0 ? dirfd : open_path(n, dirfd, name, crosses);
	if (dirfd >= 0)
		hostfs_fd_put(dir);
	inode_put(dir);
	return fd;
}

void hostfs_give_wfd(struct inode *inode, int fd)
{
	publish(hostfs_of(inode->sb), hostfs_node_of(inode), fd, true, true);
	hostfs_fd_put(inode);
}
