/*
 * tmpfs, against the host's: the same random operations go to a tmpfs of ours and, chrooted into a
 * fresh directory, to the host's; every result is written down, and the two texts must be equal.
 * Then what only ours can show.
 */

#include "unit/vfs_fixture.h"

#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "host/host.h"

#define OPS_PER_SEED 4000
#define SEEDS 6
#define LOG_MAX (4UL << 20)

/* ---- operations, as both sides do them ---- */

struct sys {
	struct world *w; /* null: the host */
};

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

static void body_sequence(struct world *w)
{
	struct sys y = { w };
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

TEST(sequence)

static void test_against_host(void **state)
{
	for (g_seed = 1; g_seed <= SEEDS; g_seed++)
		test_sequence(state);
}

/* ---- data ---- */

static void body_data(struct world *w)
{
	struct file *f = must_open(w, "/f", O_CREAT | O_RDWR, 0644);
	char *big = malloc(300'000), *back = malloc(300'000);
	struct kstat st;
	int fd, ro;
	s64 pos;

	for (int i = 0; i < 300'000; i++)
		big[i] = (char)(i * 7 + i / 256);
	/* Grows from the arena into a memfd, at odd offsets. */
	for (s64 at = 0; at < 300'000; at += 7001) {
		pos = at;
		assert_int_equal(put_at(w, f, big + at, (size_t)min(7001L, 300'000 - at), &pos),
				 min(7001L, 300'000 - at));
	}
	pos = 0;
	assert_int_equal(get_at(w, f, back, 300'000, &pos), 300'000);
	assert_memory_equal(big, back, 300'000);
	/* Punch, and look for the hole. */
	assert_int_equal(file_fallocate(&w->s, f, FALLOC_FL_PUNCH_HOLE, 0, 4096), -EOPNOTSUPP);
	assert_int_equal(
		file_fallocate(&w->s, f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 65536),
		0);
	memset(big + 8192, 0, 65536);
	pos = 0;
	assert_int_equal(get_at(w, f, back, 300'000, &pos), 300'000);
	assert_memory_equal(big, back, 300'000);
	assert_int_equal(file_lseek(&w->s, f, 0, SEEK_HOLE), 8192);
	assert_int_equal(file_lseek(&w->s, f, 8192, SEEK_DATA), 8192 + 65536);
	assert_int_equal(vfs_getattr(&w->s, &f->path, &st), 0);
	assert_int_equal(st.blocks, (page_up(300'000) - 65536) / 512);
	/* Cut and grow again: zeros, not old data. */
	assert_int_equal(file_truncate(&w->s, f, 10), 0);
	assert_int_equal(file_truncate(&w->s, f, 100), 0);
	pos = 0;
	assert_int_equal(get_at(w, f, back, 200, &pos), 100);
	assert_memory_equal(back, big, 10);
	for (int i = 10; i < 100; i++)
		assert_int_equal(back[i], 0);
	/* Descriptors for mapping: that of a reader cannot write. */
	assert_int_equal(f->ops->host_fd_get(f, true, &fd), 0);
	assert_int_equal(host_fcntl(fd, F_GETFL, 0) & O_ACCMODE, O_RDWR);
	f->ops->host_fd_put(f, fd);
	file_put(f);
	f = must_open(w, "/f", O_RDONLY, 0);
	assert_int_equal(f->ops->host_fd_get(f, true, &ro), 0);
	assert_int_equal(host_fcntl(ro, F_GETFL, 0) & O_ACCMODE, O_RDONLY);
	assert_int_equal(host_pread(ro, back, 10, 0), 10);
	assert_memory_equal(back, big, 10);
	f->ops->host_fd_put(f, ro);
	file_put(f);
	free(big);
	free(back);
}

/* Small files: in the arena, moved when they are mapped. */
static void body_small(struct world *w)
{
	struct file *f = must_open(w, "/f", O_CREAT | O_RDWR, 0644);
	char buf[100] = {};
	s64 pos = 50;
	int fd;

	assert_int_equal(put_at(w, f, "end", 3, &pos), 3);
	assert_int_equal(file_truncate(&w->s, f, 51), 0);
	assert_int_equal(file_truncate(&w->s, f, 60), 0);
	pos = 0;
	assert_int_equal(get_at(w, f, buf, sizeof(buf), &pos), 60);
	assert_int_equal(buf[50], 'e');
	assert_int_equal(buf[51], 0);
	assert_int_equal(file_fallocate(&w->s, f, 0, 0, 5000), 0);
	assert_int_equal(f->inode->size, 5000);
	assert_int_equal(file_fallocate(&w->s, f, FALLOC_FL_KEEP_SIZE, 0, 6000), 0);
	assert_int_equal(f->inode->size, 5000);
	assert_int_equal(f->ops->host_fd_get(f, true, &fd), 0);
	assert_int_equal(host_pread(fd, buf, 3, 50), 3);
	assert_memory_equal(buf, "e\0", 3);
	assert_int_equal(host_pwrite(fd, "mapped", 6, 0), 6);
	f->ops->host_fd_put(f, fd);
	pos = 0;
	assert_int_equal(get_at(w, f, buf, 6, &pos), 6);
	assert_memory_equal(buf, "mapped", 6);
	/* An unlinked file lives while it is open. */
	assert_int_equal(vfs_unlink(&w->s, AT_FDCWD, "/f"), 0);
	pos = 0;
	assert_int_equal(get_at(w, f, buf, 6, &pos), 6);
	file_put(f);
}

/* The size limit holds for data of both forms, and what is freed comes back. */
static void body_limit(struct world *w)
{
	struct host_statfs before, after;
	struct super *sb;
	struct path root;
	char *mib = calloc(1, MIB);
	struct file *f;
	ssize_t n;
	u64 total = 0;

	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/m", 0755), 0);
	assert_int_equal(tmpfs_create(0755, 0, 0, 4 * MIB, &sb), 0);
	assert_int_equal(vfs_mount(&w->s, w->ns, sb, "m", "/m", 0), 0);
	assert_int_equal(path_walk(&w->s, AT_FDCWD, "/m", 0, &root), 0);
	assert_int_equal(vfs_statfs(&w->s, &root, &before), 0);
	assert_int_equal(before.bfree, 4 * MIB / PAGE_SIZE);
	f = must_open(w, "/m/f", O_CREAT | O_RDWR, 0644);
	while ((n = put_at(w, f, mib, MIB, NULL)) > 0)
		total += (u64)n;
	assert_int_equal(n, -ENOSPC);
	assert_in_range(total, 3 * MIB, 4 * MIB);
	/* Writing over what is there costs nothing. */
	for (int i = 0; i < 5; i++)
		assert_int_equal(put_at(w, f, mib, MIB, &(s64){ 0 }), MIB);
	file_put(f);
	assert_int_equal(at_open(w, "/m/g", O_CREAT | O_RDWR, 0644, &f), 0);
	assert_int_equal(file_fallocate(&w->s, f, 0, 0, 2 * (s64)MIB), -ENOSPC);
	assert_int_equal(file_truncate(&w->s, f, (s64)1 << 40), 0);
	file_put(f);
	assert_int_equal(vfs_unlink(&w->s, AT_FDCWD, "/m/f"), 0);
	assert_int_equal(vfs_unlink(&w->s, AT_FDCWD, "/m/g"), 0);
	assert_int_equal(vfs_statfs(&w->s, &root, &after), 0);
	assert_int_equal(after.bfree, before.bfree);
	assert_int_equal(after.ffree, before.ffree);
	path_put(&root);
	free(mib);
}

/* Every entry that stays is seen once, whatever else comes and goes during a readdir. */
static void body_readdir(struct world *w)
{
	static char names[3000][NAME_MAX_GUEST + 1];
	struct listing l = { .ctx.emit = listing_emit, .names = names, .max = ARRAY_SIZE(names) };
	struct file *f;
	char name[32];
	u32 seen = 0, before, n = 0;

	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/d", 0755), 0);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "/d/%s%d", i % 2 ? "stay" : "go", i);
		assert_int_equal(vfs_mknod(&w->s, AT_FDCWD, name, S_IFREG | 0600, 0), 0);
	}
	f = must_open(w, "/d", O_RDONLY, 0);
	do {
		before = l.count;
		l.left = 7;
		assert_int_equal(file_iterate(&w->s, f, &l.ctx), 0);
		for (int i = 0; i < 5 && n < 1000; i++, n += 2) {
			snprintf(name, sizeof(name), "/d/go%d", n);
			assert_int_equal(vfs_unlink(&w->s, AT_FDCWD, name), 0);
			snprintf(name, sizeof(name), "/d/new%d", n);
			assert_int_equal(vfs_mknod(&w->s, AT_FDCWD, name, S_IFREG | 0600, 0), 0);
		}
	} while (l.count > before);
	qsort(names, l.count, sizeof(names[0]), compare_names);
	for (u32 i = 0; i < l.count; i++) {
		seen += strncmp(names[i], "stay", 4) == 0;
		assert_true(i == 0 || strcmp(names[i], names[i - 1]) != 0);
	}
	assert_int_equal(seen, 500);
	/* Rewind, and a removed directory has no entries. */
	assert_int_equal(file_lseek(&w->s, f, 0, SEEK_SET), 0);
	l.left = 1;
	l.count = 0;
	assert_int_equal(file_iterate(&w->s, f, &l.ctx), 0);
	assert_string_equal(names[0], ".");
	file_put(f);
	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/e", 0755), 0);
	f = must_open(w, "/e", O_RDONLY, 0);
	assert_int_equal(vfs_rmdir(&w->s, AT_FDCWD, "/e"), 0);
	assert_int_equal(file_iterate(&w->s, f, &l.ctx), -ENOENT);
	file_put(f);
}

/* As deep as it gets: no recursion takes it down. */
static void body_deep(struct world *w)
{
	for (int i = 0; i < 15'000; i++) {
		assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "d", 0755), 0);
		assert_int_equal(at_chdir(w, "d"), 0);
	}
	assert_int_equal(at_chdir(w, "/"), 0);
}

/* Times: what changes which. */
static void body_times(struct world *w)
{
	const struct timespec old = { .tv_sec = 1000 };
	const struct iattr set = { .valid = ATTR_ATIME | ATTR_MTIME, .atime = old, .mtime = old };
	struct kstat a, b;
	struct path p;
	struct file *f;

	put_file(w, "/f", "data");
	assert_int_equal(path_walk(&w->s, AT_FDCWD, "/f", 0, &p), 0);
	assert_int_equal(vfs_setattr(&w->s, &p, &set), 0);
	assert_int_equal(vfs_getattr(&w->s, &p, &a), 0);
	assert_int_equal(a.mtime.tv_sec, 1000);
	assert_int_equal(a.atime.tv_sec, 1000);
	assert_true(a.ctime.tv_sec > 1000);
	f = must_open(w, "/f", O_RDWR, 0);
	assert_int_equal(get_at(w, f, &(char){ 0 }, 1, NULL), 1);
	assert_int_equal(vfs_getattr(&w->s, &p, &b), 0);
	assert_true(b.atime.tv_sec > 1000);
	assert_int_equal(b.mtime.tv_sec, 1000);
	assert_int_equal(put_at(w, f, "x", 1, NULL), 1);
	assert_int_equal(vfs_getattr(&w->s, &p, &b), 0);
	assert_true(b.mtime.tv_sec > 1000);
	file_put(f);
	path_put(&p);
	assert_int_equal(at_stat(w, "/", 0, &a), 0);
	assert_int_equal(vfs_unlink(&w->s, AT_FDCWD, "/f"), 0);
	assert_int_equal(at_stat(w, "/", 0, &b), 0);
	assert_true(b.mtime.tv_sec > a.mtime.tv_sec || b.mtime.tv_nsec > a.mtime.tv_nsec);
}

/* New files in a setgid directory have its group; a failing allocation or host call leaves no
 * trace. */
static void body_setgid(struct world *w)
{
	const struct iattr own = { .valid = ATTR_GID | ATTR_MODE, .gid = 77, .mode = 02777 };
	struct kstat st;
	struct path p;

	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/d", 0777), 0);
	assert_int_equal(path_walk(&w->s, AT_FDCWD, "/d", 0, &p), 0);
	assert_int_equal(vfs_setattr(&w->s, &p, &own), 0);
	path_put(&p);
	world_set_user(w, 1000, 1000);
	put_file(w, "/d/f", "x");
	assert_int_equal(at_stat(w, "/d/f", 0, &st), 0);
	assert_int_equal(st.gid, 77);
	assert_int_equal(st.uid, 1000);
	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/d/e", 0755), 0);
	assert_int_equal(at_stat(w, "/d/e", 0, &st), 0);
	assert_int_equal(st.gid, 77);
	assert_int_equal(st.mode, S_IFDIR | 02755);
}

/* Four writers append at once; no line is torn or lost. */
struct appender {
	struct world *w;
	char mark;
	_Atomic u32 *left;
	struct fiber *waiter;
};

static void append_fiber(void *arg)
{
	struct appender *a = arg;
	struct subject s = a->w->s;
	char line[100];

	s.fiber = fiber_current();
	memset(line, a->mark, sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	for (int i = 0; i < 500; i++) {
		const struct open_how_k how = { .flags = O_WRONLY | O_APPEND };
		struct file *f;
		struct uio u;

		if (vfs_open(&s, AT_FDCWD, "/log", &how, &f))
			break;
		uio_init_kernel(&u, line, sizeof(line));
		(void)file_write(&s, f, &u, NULL);
		file_put(f);
		fiber_yield();
	}
	(*a->left)--;
	fiber_unpark(a->waiter);
}

static void body_append(struct world *w)
{
	_Atomic u32 left = 4;
	struct appender a[4];
	char line[100];
	struct file *f;

	put_file(w, "/log", "");
	for (u32 i = 0; i < 4; i++) {
		a[i] = (struct appender){ w, (char)('a' + i), &left, fiber_current() };
		fiber_start(fiber_create(append_fiber, &a[i]));
	}
	while (left)
		fiber_park(NO_DEADLINE);
	f = must_open(w, "/log", O_RDONLY, 0);
	assert_int_equal(f->inode->size, 4 * 500 * sizeof(line));
	while (get_at(w, f, line, sizeof(line), NULL) > 0) {
		for (size_t i = 1; i < sizeof(line) - 1; i++)
			assert_int_equal(line[i], line[0]);
		assert_int_equal(line[sizeof(line) - 1], '\n');
	}
	file_put(f);
}

TEST(data)
TEST(small)
TEST(limit)
TEST(readdir)
TEST(deep)
TEST(times)
TEST(setgid)
TEST_PARALLEL(append)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_host), cmocka_unit_test(test_data),
		cmocka_unit_test(test_small),	     cmocka_unit_test(test_limit),
		cmocka_unit_test(test_readdir),	     cmocka_unit_test(test_deep),
		cmocka_unit_test(test_times),	     cmocka_unit_test(test_setgid),
		cmocka_unit_test(test_append),
	};

	if (arena_create())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
