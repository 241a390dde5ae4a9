/*
 * hostfs: working ahead.
 *
 * Who lists a directory then looks at its files, or opens and reads them, mostly in the order of
 * the list. While guest code runs on a CPU of its own and its worker would only spin, the host is
 * asked for the next name of the last list: what it is, and, if the one before was opened, for a
 * descriptor of it. That is only a hint and the guest sees none of it: a look-up that comes takes
 * the answer for that of a host call of its own, and so checks it like one.
 *
 * In a tree that does not change an answer holds for ever. In others one is taken only by the task
 * in whose name the host was asked, between the end of its last system call and this one, and for
 * AGE_MAX: it can know of no change in between, but by memory that it shares. A descriptor stays of
 * use, since it is that of the very file (by number, type and time of birth) or not used. Where
 * guests may change the tree, answers are not believed at all.
 *
 * A step is one host call or two. While one is under way, `busy` keeps all others away.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "arena/arena.h"
#include "fs/hostfs/internal.h"
#include "host/budget.h"
#include "host/host.h"
#include "sched/timer.h"

#define AGE_MAX 10'000 /* ns */
#define STEP_MAX 200'000 /* ns: a host that takes longer is not asked ahead */
#define SKIP_MAX 8 /* names that may be left out */
#define MISSES_MAX 8 /* in a row, then the list is given up */
#define LOOK_MASK (STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID)

/* ---- the list ---- */

/*
 * An entry is a letter for its type, its name and a NUL; they follow each other. So the list is
 * text (arena/check.c takes nothing in it for an address).
 */
#define ENTRY_FILE 'f'
#define ENTRY_OTHER 'o'

/* The entry at offset at; null at the end. */
static const char *entry_at(const struct hostfs_ahead *a, u32 at) REQUIRES(lc_hostfile)
{
	return at < a->size ? a->list + at : NULL;
}

static const char *entry_after(const struct hostfs_ahead *a, const char *e) REQUIRES(lc_hostfile)
{
	return entry_at(a, (u32)(e - a->list + (ptrdiff_t)strlen(e) + 1));
}

static const char *name_of(const char *entry)
{
	return entry + 1;
}

/* Write the entries of list, size bytes of struct host_dirents, but for "." and "..". Returns how
 * many bytes: fewer. */
static u32 pack_list(char *to, const char *list, size_t size)
{
	char *start = to;

	for (size_t at = 0; at < size;) {
		const struct host_dirent *e = (const void *)(list + at);
		size_t len = strlen(e->name);

		at += e->size;
		if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
			continue;
		*to++ = e->type == DT_REG ? ENTRY_FILE : ENTRY_OTHER;
		memcpy(to, e->name, len + 1);
		to += len + 1;
	}
	return (u32)(to - start);
}

struct dropped {
	int fds[2];
	u32 count;
	struct inode *dir, *file;
	char *list;
};

static void drop_file(struct hostfs_ahead *a, struct dropped *d) REQUIRES(lc_hostfile)
{
	if (a->path_fd)
		d->fds[d->count++] = a->path_fd - 1;
	if (a->fd)
		d->fds[d->count++] = a->fd - 1;
	a->path_fd = a->fd = 0;
	a->looked = a->seen = a->opened = a->failed = false;
}

static void drop_data(struct hostfs_ahead *a, struct dropped *d) REQUIRES(lc_hostfile)
{
	d->file = a->file;
	a->file = NULL;
	a->wanted = false;
	a->data_size = -1;
}

static void drop_list(struct hostfs_ahead *a, struct dropped *d) REQUIRES(lc_hostfile)
{
	drop_file(a, d);
	d->dir = a->dir;
	d->list = a->list;
	a->dir = NULL;
	a->list = NULL;
	a->size = a->at = a->last = a->misses = 0;
}

static void drop_end(struct dropped *d)
{
	for (u32 i = 0; i < d->count; i++) {
		host_close(d->fds[i]);
		host_fd_uncharge();
	}
	arena_free(d->list);
	inode_put(d->dir);
	inode_put(d->file);
}

void hostfs_ahead_list(struct inode *dir, const void *list, size_t size)
{
	struct hostfs *fs = hostfs_of(dir->sb);
	struct hostfs_ahead *a = &fs->ahead;
	struct dropped d = {};
	char *copy;
	u32 packed;

	if (!size || hostfs_node_of(dir)->state != NODE_PLAIN)
		return;
	copy = arena_alloc(size);
	if (!copy)
		return;
	packed = pack_list(copy, list, size);
	inode_get(dir);
	spin_lock(&fs->lock, &lc_hostfile);
	if (a->busy) {
		d = (struct dropped){ .dir = dir, .list = copy };
	} else {
		drop_list(a, &d);
		a->dir = dir;
		a->list = copy;
		a->size = packed;
	}
	spin_unlock(&fs->lock, &lc_hostfile);
	drop_end(&d);
}

void hostfs_ahead_fini(struct hostfs *fs)
{
	struct dropped d = {};

	spin_lock(&fs->lock, &lc_hostfile);
	drop_list(&fs->ahead, &d);
	drop_data(&fs->ahead, &d);
	spin_unlock(&fs->lock, &lc_hostfile);
	drop_end(&d);
	arena_free(fs->ahead.data);
}

/* ---- what has come true ---- */

/* Go on to entry e. */
static void move_to(struct hostfs_ahead *a, const char *e, struct dropped *d) REQUIRES(lc_hostfile)
{
	if (a->seen && !a->opened && *entry_at(a, a->at) == ENTRY_FILE)
		a->opening = false;
	drop_file(a, d);
	a->last = a->at;
	a->at = e ? (u32)(e - a->list) : a->size;
}

static bool is_entry(const struct hostfs_ahead *a, u32 at, const char *name) REQUIRES(lc_hostfile)
{
	const char *e = entry_at(a, at);

	return e && !strcmp(name_of(e), name);
}

/* Make name, in the listed directory, the current entry. False if it is not expected. */
static bool find_name(struct hostfs_ahead *a, const char *name, struct dropped *d)
	REQUIRES(lc_hostfile)
{
	const char *e = entry_at(a, a->at);

	for (u32 i = 0; e && i < SKIP_MAX; i++, e = entry_after(a, e)) {
		if (strcmp(name_of(e), name) != 0)
			continue;
		if (i)
			move_to(a, e, d);
		a->misses = 0;
		return true;
	}
	if (!is_entry(a, a->last, name) && ++a->misses >= MISSES_MAX)
		drop_list(a, d);
	return false;
}

/* What the host said when it was asked then for task tid is true for s now. */
static bool is_fresh(const struct hostfs *fs, const struct subject *s, s64 asked, u32 tid)
{
	if (!(fs->flags & HOSTFS_REVALIDATE))
		return true;
	return !(fs->flags & HOSTFS_WRITABLE) && tid == s->tid && s->ahead_since &&
	       asked >= s->ahead_since && sched_now() - asked < AGE_MAX;
}

bool hostfs_ahead_look(struct subject *s, struct inode *dir, const char *name,
		       struct statx *ret_stx)
{
	struct hostfs *fs = hostfs_of(dir->sb);
	struct hostfs_ahead *a = &fs->ahead;
	struct dropped d = {};
	bool ret = false;

	/* Read without the lock: a hint. */
	if (!s || !s->call_tsc || __atomic_load_n(&a->dir, __ATOMIC_RELAXED) != dir)
		return false;
	spin_lock(&fs->lock, &lc_hostfile);
	if (a->dir == dir && !a->busy && find_name(a, name, &d)) {
		a->seen = true;
		ret = a->looked && is_fresh(fs, s, a->asked, a->tid);
		if (ret)
			*ret_stx = a->stx;
	}
	spin_unlock(&fs->lock, &lc_hostfile);
	drop_end(&d);
	return ret;
}

void hostfs_ahead_opened(struct inode *inode)
{
	struct hostfs *fs = hostfs_of(inode->sb);
	struct hostfs_node *n = hostfs_node_of(inode);
	struct hostfs_ahead *a = &fs->ahead;
	bool expected = false;
	struct dropped d = {};

	if (!S_ISREG(inode->mode))
		return;
	spin_lock(&fs->lock, &lc_hostfile);
	if (a->dir && a->dir == n->parent && !a->busy) {
		if (a->seen && is_entry(a, a->at, n->name))
			a->opened = expected = true;
		else if (is_entry(a, a->last, n->name))
			expected = true;
	}
	if (expected) {
		a->opening = true;
		drop_data(a, &d);
		if (!(fs->flags & HOSTFS_WRITABLE)) {
			inode_get(inode);
			a->file = inode;
			a->wanted = !(fs->flags & HOSTFS_REVALIDATE);
		}
	}
	spin_unlock(&fs->lock, &lc_hostfile);
	drop_end(&d);
}

void hostfs_ahead_stated(struct inode *inode)
{
	struct hostfs *fs = hostfs_of(inode->sb);

	if (__atomic_load_n(&fs->ahead.file, __ATOMIC_RELAXED) != inode)
		return;
	spin_lock(&fs->lock, &lc_hostfile);
	if (fs->ahead.file == inode)
		fs->ahead.wanted = true;
	spin_unlock(&fs->lock, &lc_hostfile);
}

/* How many bytes at pos there are for a read of size; -EAGAIN: that is not known. */
static ssize_t data_at(const struct hostfs_ahead *a, s64 pos, u64 size) REQUIRES(lc_hostfile)
{
	s64 left = max(a->data_size - pos, (s64)0);

	if (a->data_size < 0 || ((u64)left < size && a->data_size == AHEAD_DATA_MAX))
		return -EAGAIN;
	return (ssize_t)min((u64)left, size);
}

ssize_t hostfs_ahead_read(struct subject *s, struct file *f, struct uio *to, s64 pos)
{
	struct hostfs *fs = hostfs_of(f->inode->sb);
	struct hostfs_ahead *a = &fs->ahead;
	ssize_t n = -EAGAIN;

	if (!s || __atomic_load_n(&a->file, __ATOMIC_RELAXED) != f->inode)
		return -EAGAIN;
	spin_lock(&fs->lock, &lc_hostfile);
	if (a->file == f->inode && !a->busy && is_fresh(fs, s, a->data_asked, a->data_tid))
		n = data_at(a, pos, to->left);
	if (n > 0)
		a->busy = true;
	spin_unlock(&fs->lock, &lc_hostfile);
	if (n <= 0)
		return n;
	n = uio_copy_to(to, a->data + pos, (size_t)n);
	spin_lock(&fs->lock, &lc_hostfile);
	a->busy = false;
	spin_unlock(&fs->lock, &lc_hostfile);
	return n;
}

int hostfs_ahead_take_fd(struct inode *inode)
{
	struct hostfs *fs = hostfs_of(inode->sb);
	struct hostfs_ahead *a = &fs->ahead;
	int fd = -1;

	spin_lock(&fs->lock, &lc_hostfile);
	if (a->fd && !a->busy && hostfs_same_file(inode, &a->stx)) {
		fd = a->fd - 1;
		a->fd = 0;
	}
	spin_unlock(&fs->lock, &lc_hostfile);
	return fd;
}

/* ---- steps ---- */

/* What to do next, with copies of what it needs. */
enum ahead_step { STEP_NONE, STEP_READ, STEP_LOOK, STEP_TAKE, STEP_OPEN, STEP_CLOSE };
struct job {
	enum ahead_step step;
	struct inode *dir; /* of STEP_READ the file */
	char name[NAME_MAX_GUEST + 1];
	bool trusted;
	int path_fd; /* or -1 */
	/* What came of it. */
	int fd, new_path_fd; /* or -1 */
	struct statx stx;
	bool looked, failed;
	ssize_t got; /* bytes read */
};

/* The current entry has been dealt with: on to the next. */
static void advance(struct hostfs_ahead *a, struct dropped *d) REQUIRES(lc_hostfile)
{
	const char *e = entry_at(a, a->at);

	if (e && a->seen && (a->opened || !a->opening || *e != ENTRY_FILE))
		move_to(a, entry_after(a, e), d);
}

static enum ahead_step choose(const struct hostfs *fs, const char *e, const struct subject *s)
	REQUIRES(lc_hostfile)
{
	const struct hostfs_ahead *a = &fs->ahead;
	bool open = a->opening && !a->opened && *e == ENTRY_FILE;

	if (a->failed)
		return STEP_NONE;
	if (a->path_fd && a->fd)
		return STEP_CLOSE;
	if (a->path_fd)
		return STEP_OPEN;
	if (open && !a->fd)
		return STEP_TAKE;
	/* Once more, if what was seen would not be fresh when guest code comes for it. */
	if ((open || !a->seen) &&
	    (!a->looked || (!is_fresh(fs, s, a->asked, a->tid) && !(fs->flags & HOSTFS_WRITABLE))))
		return STEP_LOOK;
	return STEP_NONE;
}

static bool job_begin(struct hostfs *fs, const struct subject *s, struct job *j, struct dropped *d)
{
	struct hostfs_ahead *a = &fs->ahead;
	const char *e;

	j->step = STEP_NONE;
	spin_lock(&fs->lock, &lc_hostfile);
	if (a->wanted && !a->busy) {
		a->wanted = false;
		a->busy = true;
		j->step = STEP_READ;
		inode_get(a->file);
		j->dir = a->file;
	} else if (a->dir && !a->busy) {
		advance(a, d);
		e = entry_at(a, a->at);
		if (e)
			j->step = choose(fs, e, s);
		if (j->step) {
			a->busy = true;
			inode_get(a->dir);
			j->dir = a->dir;
			memcpy(j->name, name_of(e), strlen(name_of(e)) + 1);
			j->path_fd = a->path_fd - 1;
		}
	}
	spin_unlock(&fs->lock, &lc_hostfile);
	j->trusted = !(fs->flags & HOSTFS_REVALIDATE);
	j->fd = j->new_path_fd = -1;
	return j->step;
}

/* What was got is kept, or closed. */
static void job_end(struct hostfs *fs, const struct subject *s, struct job *j, s64 began)
{
	struct hostfs_ahead *a = &fs->ahead;
	struct dropped d = {};

	spin_lock(&fs->lock, &lc_hostfile);
	a->busy = false;
	if (j->step == STEP_CLOSE)
		a->path_fd = 0;
	if (j->new_path_fd >= 0)
		a->path_fd = j->new_path_fd + 1;
	if (j->fd >= 0)
		a->fd = j->fd + 1;
	if (j->looked) {
		/* A descriptor of another file is of no use. */
		if (j->step == STEP_LOOK && a->fd && j->stx.stx_ino != a->stx.stx_ino)
			drop_file(a, &d);
		a->looked = true;
		a->stx = j->stx;
		a->asked = began;
		a->tid = s->tid;
	}
	if (j->step == STEP_READ) {
		a->data_size = (s32)max(j->got, (ssize_t)-1);
		a->data_asked = began;
		a->data_tid = s->tid;
	} else if (j->failed) {
		drop_file(a, &d);
		a->failed = true;
	}
	if (sched_now() - began > STEP_MAX)
		drop_list(a, &d);
	spin_unlock(&fs->lock, &lc_hostfile);
	drop_end(&d);
}

/* On the very file system of its directory, and of the type that the list said, if it is to be
 * opened. */
static bool is_usable(const struct job *j, const struct statx *stx)
{
	const struct hostfs_node *d = hostfs_node_of(j->dir);

	if (!(stx->stx_mask & STATX_MNT_ID) || stx->stx_mnt_id != d->mount_id)
		return false;
	return j->step == STEP_LOOK || S_ISREG(stx->stx_mode);
}

/* Look at the file, and take hold of it in the way that fd.c says. */
static void job_look(struct job *j, int dirfd)
{
	int flags = j->trusted ? O_RDONLY | O_NONBLOCK | O_NOCTTY : O_PATH, fd, err;

	if (j->step == STEP_LOOK) {
		err = host_statx(dirfd, j->name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, LOOK_MASK,
				 &j->stx);
		j->looked = !err && is_usable(j, &j->stx);
		j->failed = !j->looked;
		return;
	}
	j->failed = true;
	if (!host_fd_charge())
		return;
	fd = hostfs_open_one(dirfd, j->name, flags, 0, false);
	err = fd < 0 ? fd : host_statx(fd, "", AT_EMPTY_PATH, LOOK_MASK, &j->stx);
	if (err || !is_usable(j, &j->stx)) {
		if (fd >= 0)
			host_close(fd);
		host_fd_uncharge();
		return;
	}
	j->failed = false;
	j->looked = true;
	if (j->trusted)
		j->fd = fd;
	else
		j->new_path_fd = fd;
}

static void job_open(const struct hostfs *fs, struct job *j)
{
	int fd;

	j->failed = true;
	if (!host_fd_charge())
		return;
	fd = hostfs_reopen(fs, j->path_fd, O_RDONLY);
	if (fd < 0) {
		host_fd_uncharge();
		return;
	}
	j->failed = false;
	j->fd = fd;
}

/* What the host has in memory of the file's first bytes. While we are busy the buffer is ours. */
static void job_read(struct hostfs *fs, struct job *j)
{
	struct hostfs_ahead *a = &fs->ahead;
	int fd;

	j->got = -EAGAIN;
	if (!a->data)
		a->data = arena_alloc(AHEAD_DATA_MAX);
	fd = a->data && !fs->no_nowait ? hostfs_fd_try(j->dir) : -1;
	if (fd < 0)
		return;
	j->got = host_pread_nowait(fd, a->data, AHEAD_DATA_MAX, 0);
	hostfs_fd_put(j->dir);
}

static void job_run(struct hostfs *fs, struct job *j)
{
	int dirfd;

	switch (j->step) {
	case STEP_NONE:
		break;
	case STEP_READ:
		job_read(fs, j);
		break;
	case STEP_LOOK:
	case STEP_TAKE:
		dirfd = hostfs_fd_try(j->dir);
		j->failed = dirfd < 0;
		if (dirfd >= 0) {
			job_look(j, dirfd);
			hostfs_fd_put(j->dir);
		}
		break;
	case STEP_OPEN:
		job_open(fs, j);
		break;
	case STEP_CLOSE:
		host_close(j->path_fd);
		host_fd_uncharge();
		break;
	}
}

bool hostfs_work_ahead(struct subject *s, struct super *sb)
{
	struct hostfs *fs = hostfs_of(sb);
	s64 began = sched_now();
	struct dropped d = {};
	struct job j = {};

	if (!job_begin(fs, s, &j, &d)) {
		drop_end(&d);
		return hostfs_trim(fs);
	}
	drop_end(&d);
	job_run(fs, &j);
	job_end(fs, s, &j, began);
	inode_put(j.dir);
	return true;
}
