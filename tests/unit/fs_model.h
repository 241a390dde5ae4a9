#pragma once

/*
 * A file system against the host's: the same random operations go to one of ours and, chrooted into
 * a fresh directory, to the host's; every result is written down, and the two texts must be equal.
 */

#include "unit/vfs_fixture.h"

#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define OPS_PER_SEED 4000
#define SEEDS 6
#define LOG_MAX (4UL << 20)

/* ---- operations, as both sides do them ---- */

struct sys {
	struct world *w; /* null: the host */
	void (*halfway)(struct world *w); /* done in the middle of a sequence; null: nothing */
};

/* Whether sizes of directories are compared. */
static bool g_dir_sizes = true;

static int errno_or(long ret)
{
	return ret < 0 ? -errno : (int)ret;
}

static int do_mkdir(struct sys *y, const char *path, u32 mode)
{
	return y->w ? vfs_mkdir(&y->w->s, AT_FDCWD, path, mode) : errno_or(mkdir(path, mode));
}

static int do_rmdir(struct sys *y, const char *path)
{
	return y->w ? vfs_rmdir(&y->w->s, AT_FDCWD, path) : errno_or(rmdir(path));
}

static int do_unlink(struct sys *y, const char *path)
{
	return y->w ? vfs_unlink(&y->w->s, AT_FDCWD, path) : errno_or(unlink(path));
}

static int do_symlink(struct sys *y, const char *target, const char *path)
{
	return y->w ? vfs_symlink(&y->w->s, target, AT_FDCWD, path) :
		      errno_or(symlink(target, path));
}

static int do_link(struct sys *y, const char *from, const char *to, int flags)
{
	return y->w ? vfs_link(&y->w->s, AT_FDCWD, from, AT_FDCWD, to, flags) :
		      errno_or(linkat(AT_FDCWD, from, AT_FDCWD, to, flags));
}

static int do_rename(struct sys *y, const char *from, const char *to, u32 flags)
{
	return y->w ? vfs_rename(&y->w->s, AT_FDCWD, from, AT_FDCWD, to, flags) :
		      errno_or(renameat2(AT_FDCWD, from, AT_FDCWD, to, flags));
}

static int do_mknod(struct sys *y, const char *path, u32 mode)
{
	return y->w ? vfs_mknod(&y->w->s, AT_FDCWD, path, mode, 0) : errno_or(mknod(path, mode, 0));
}

static int do_truncate(struct sys *y, const char *path, s64 size)
{
	struct path p;
	int err;

	if (!y->w)
		return errno_or(truncate(path, size));
	err = path_walk(&y->w->s, AT_FDCWD, path, WALK_FOLLOW, &p);
	if (err)
		return err;
	err = vfs_truncate(&y->w->s, &p, size);
	path_put(&p);
	return err;
}

static int do_chmod(struct sys *y, const char *path, u32 mode)
{
	const struct iattr attr = { .valid = ATTR_MODE, .mode = mode };
	struct path p;
	int err;

	if (!y->w)
		return errno_or(chmod(path, mode));
	err = path_walk(&y->w->s, AT_FDCWD, path, WALK_FOLLOW, &p);
	if (err)
		return err;
	err = vfs_setattr(&y->w->s, &p, &attr);
	path_put(&p);
	return err;
}

static int do_chdir(struct sys *y, const char *path)
{
	return y->w ? at_chdir(y->w, path) : errno_or(chdir(path));
}

/* Open, and write or read a little; fifos are not opened. */
static void do_open(struct sys *y, const char *path, u32 flags, s64 off, struct strbuf *log)
{
	char buf[32] = {};
	struct file *f;
	long ret;

	if (y->w) {
		ret = at_open(y->w, path, flags, 0640, &f);
		strbuf_printf(log, " %ld", ret);
		if (ret)
			return;
		strbuf_printf(log, " w %zd", put_at(y->w, f, "some data", 9, &off));
		off = 0;
		strbuf_printf(log, " r %zd %s\n", get_at(y->w, f, buf, 20, &off), buf);
		file_put(f);
	} else {
		int fd = open(path, (int)flags, 0640);

		strbuf_printf(log, " %d", fd < 0 ? -errno : 0);
		if (fd < 0)
			return;
		ret = pwrite(fd, "some data", 9, off);
		strbuf_printf(log, " w %ld", ret < 0 ? -errno : ret);
		ret = pread(fd, buf, 20, 0);
		strbuf_printf(log, " r %ld %s\n", ret < 0 ? -errno : ret, buf);
		close(fd);
	}
}

static void put_stat(struct strbuf *log, u32 mode, u64 nlink, u64 size, u64 blocks)
{
	if (S_ISDIR(mode) && !g_dir_sizes)
		size = 0;
	strbuf_printf(log, " %o %lu %lu", mode, nlink, size);
	(void)blocks;
}

static void do_stat(struct sys *y, const char *path, bool follow, struct strbuf *log)
{
	struct kstat k;
	struct stat st;
	int err;

	if (y->w) {
		err = at_stat(y->w, path, follow ? WALK_FOLLOW : 0, &k);
		if (!err)
			put_stat(log, k.mode, k.nlink, k.size, k.blocks);
	} else {
		err = errno_or(follow ? stat(path, &st) : lstat(path, &st));
		if (!err)
			put_stat(log, st.st_mode, st.st_nlink, (u64)st.st_size, (u64)st.st_blocks);
	}
	strbuf_printf(log, " %d\n", err);
}

static void do_readlink(struct sys *y, const char *path, struct strbuf *log)
{
	char buf[100] = {};
	struct path p;
	ssize_t n;

	if (y->w) {
		n = path_walk(&y->w->s, AT_FDCWD, path, 0, &p);
		if (!n) {
			n = vfs_readlink(&y->w->s, &p, buf, sizeof(buf) - 1);
			path_put(&p);
		}
	} else {
		n = readlink(path, buf, sizeof(buf) - 1);
		if (n < 0)
			n = -errno;
	}
	strbuf_printf(log, " %zd %s\n", n, buf);
}

static char g_names[200][NAME_MAX_GUEST + 1];

static void do_readdir(struct sys *y, const char *path, struct strbuf *log)
{
	u32 count = 0;

	if (y->w) {
		struct file *f;
		int err = at_open(y->w, path, O_RDONLY | O_DIRECTORY, 0, &f);

		strbuf_printf(log, " %d", err);
		if (err)
			return;
		file_put(f);
		count = list_dir(y->w, path, g_names, ARRAY_SIZE(g_names), 3);
	} else {
		int fd = open(path, O_RDONLY | O_DIRECTORY);
		struct dirent *e;
		DIR *d;

		strbuf_printf(log, " %d", fd < 0 ? -errno : 0);
		if (fd < 0)
			return;
		d = fdopendir(fd);
		while (d && (e = readdir(d)))
			strcpy(g_names[count++], e->d_name); // NOLINT
		closedir(d);
		qsort(g_names, count, sizeof(g_names[0]), compare_names);
	}
	for (u32 i = 0; i < count; i++)
		strbuf_printf(log, " %s", g_names[i]);
	strbuf_putc(log, '\n');
}

/* ---- random sequences ---- */

static u32 next_random(u32 *x, u32 below)
{
	*x = *x * 1'664'525 + 1'013'904'223;
	return (*x >> 8) % below;
}

static void random_path(u32 *x, char *buf, size_t size)
{
	static const char *const parts[] = { "a", "b", "c", "d", "a", "b", "l", "m", ".", ".." };
	struct strbuf sb;

	strbuf_init_fixed(&sb, buf, size);
	if (next_random(x, 4))
		strbuf_putc(&sb, '/');
	for (u32 n = 1 + next_random(x, 4); n > 0; n--) {
		/* The last component is seldom a dot. */
		strbuf_puts(&sb, parts[next_random(x, n > 1 ? ARRAY_SIZE(parts) : 9)]);
		if (n > 1)
			strbuf_puts(&sb, next_random(x, 8) ? "/" : "//");
	}
	if (next_random(x, 12) == 0)
		strbuf_putc(&sb, '/');
}

static void random_op(struct sys *y, u32 *x, struct strbuf *log)
{
	static const u32 rename_flags[] = { 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, 3 };
	static const u32 open_flags[] = { O_RDWR,
					  O_RDWR | O_CREAT,
					  O_RDWR | O_CREAT | O_EXCL,
					  O_RDWR | O_TRUNC,
					  O_RDWR | O_CREAT | O_TRUNC,
					  O_RDONLY,
					  O_WRONLY | O_APPEND | O_CREAT,
					  O_RDONLY | O_CREAT,
					  O_RDWR | O_NOFOLLOW,
					  O_RDONLY | O_NOFOLLOW | O_CREAT,
					  O_RDONLY | O_DIRECTORY };
	char a[100], b[100];
	u32 op = next_random(x, 20), n = next_random(x, 200'000);

	random_path(x, a, sizeof(a));
	random_path(x, b, sizeof(b));
	strbuf_printf(log, "%u %s %s", op, a, b);
	switch (op) {
	case 0 ... 2:
		strbuf_printf(log, " %d\n", do_mkdir(y, a, n & 01777));
		break;
	case 3:
		strbuf_printf(log, " %d\n", do_rmdir(y, a));
		break;
	case 4:
		strbuf_printf(log, " %d\n", do_unlink(y, a));
		break;
	case 5:
		strbuf_printf(log, " %d\n", do_symlink(y, b, a));
		break;
	case 6:
		strbuf_printf(log, " %d\n", do_link(y, a, b, n & 1 ? AT_SYMLINK_FOLLOW : 0));
		break;
	case 7 ... 9:
		strbuf_printf(log, " %d\n",
			      do_rename(y, a, b, rename_flags[n % ARRAY_SIZE(rename_flags)]));
		break;
	case 10:
		strbuf_printf(log, " %d\n",
			      do_mknod(y, a, n & 1 ? S_IFSOCK | 0600 : S_IFREG | 0755));
		break;
	case 11:
		strbuf_printf(log, " %d\n", do_truncate(y, a, n & 1 ? n : n % 100));
		break;
	case 12:
		strbuf_printf(log, " %d\n", do_chmod(y, a, n & 07777));
		break;
	case 13:
		strbuf_printf(log, " %d\n", n % 4 ? 0 : do_chdir(y, a));
		break;
	case 14:
		do_readlink(y, a, log);
		break;
	case 15:
		do_readdir(y, a, log);
		break;
	case 16:
		do_stat(y, a, n & 1, log);
		break;
	default:
		do_open(y, a, open_flags[n % ARRAY_SIZE(open_flags)], n & 16 ? n : n % 30, log);
		break;
	}
	strbuf_putc(log, '\n');
}

/* Go through a sequence; the log is the caller's to free. */
static void run_sequence(struct sys *y, u32 seed, struct strbuf *log)
{
	strbuf_init(log, LOG_MAX);
	for (int i = 0; i < OPS_PER_SEED; i++) {
		random_op(y, &seed, log);
		if (i % 50 == 0)
			(void)do_chdir(y, "/");
		if (i == OPS_PER_SEED / 2 && y->halfway)
			y->halfway(y->w);
		else if (i == OPS_PER_SEED / 2)
			(void)do_chdir(y, "/");
	}
	assert_int_equal(strbuf_error(log), 0);
}

/* The host's side, in a child: a fresh tmpfs as its root. 77: it can't have one. */
static void host_child(u32 seed, int out)
{
	struct sys y = {};
	struct strbuf log;
	char root[] = "/tmp/test_tmpfs.XXXXXX";

	umask(0);
	if (geteuid() && unshare(CLONE_NEWUSER))
		_exit(77);
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/tmp", "tmpfs", 0, NULL) || !mkdtemp(root) || chmod(root, 0755) ||
	    chroot(root) || chdir("/"))
		_exit(77);
	run_sequence(&y, seed, &log);
	for (size_t done = 0; done < log.length;) {
		ssize_t n = write(out, log.data + done, log.length - done);

		if (n <= 0)
			_exit(1);
		done += (size_t)n;
	}
	_exit(0);
}

static bool host_side(u32 seed, struct strbuf *ret)
{
	int fds[2], status = 0;
	char buf[4096];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		host_child(seed, fds[1]);
	close(fds[1]);
	strbuf_init(ret, LOG_MAX);
	while ((n = read(fds[0], buf, sizeof(buf))) > 0)
		strbuf_append(ret, buf, (size_t)n);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		return false;
	assert_int_equal(status, 0);
	return true;
}

/* The line of text that byte at is in. */
static void print_line(const char *who, const struct strbuf *sb, size_t at)
{
	size_t from = at, to = at;

	while (from > 0 && sb->data[from - 1] != '\n')
		from--;
	while (to < sb->length && sb->data[to] != '\n')
		to++;
	print_message("%s: %.*s\n", who, (int)(to - from), sb->data + from);
}

static u32 g_seed;

static void compare_sequence(struct world *w, void (*halfway)(struct world *w))
{
	struct sys y = { w, halfway };
	struct strbuf ours, theirs;
	size_t at = 0;

	if (!host_side(g_seed, &theirs)) {
		print_message("no tmpfs of the host's to compare with\n");
		strbuf_fini(&theirs);
		return;
	}
	run_sequence(&y, g_seed, &ours);
	while (at < ours.length && at < theirs.length && ours.data[at] == theirs.data[at])
		at++;
	if (at < ours.length || at < theirs.length) {
		print_message("seed %u differs at byte %zu\n", g_seed, at);
		print_line("ours", &ours, at);
		print_line("host", &theirs, at);
	}
	assert_int_equal(ours.length, theirs.length);
	assert_int_equal(at, ours.length);
	strbuf_fini(&ours);
	strbuf_fini(&theirs);
	assert_int_equal(at_chdir(w, "/"), 0);
}
