/* hostfs over a directory made for the purpose. */

#include "unit/vfs_fixture.h"

#include <sys/stat.h>
#include <sys/syscall.h>

#include "fs/hostfs/hostfs.h"
#include "host/budget.h"
#include "host/host.h"

static char g_dir[64];

static void host_path(char *buf, size_t size, const char *name)
{
	assert_true((size_t)snprintf(buf, size, "%s/%s", g_dir, name) < size);
}

static void host_put(const char *name, const char *text)
{
	char path[200];
	int fd;

	host_path(path, sizeof(path), name);
	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void host_mkdir(const char *name, u32 mode)
{
	char path[200];

	host_path(path, sizeof(path), name);
	assert_int_equal(mkdir(path, mode), 0);
}

static u32 open_descriptors(void)
{
	u32 n = 0;

	for (int fd = 0; fd < 4096; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* A world over g_dir, or another directory. */
static void begin(struct world *w, const char *dir, u32 flags)
{
	u64 live = slab_count_all();
	struct super *sb;

	assert_int_equal(hostfs_create(open(dir, O_PATH | O_DIRECTORY), flags, &sb), 0);
	assert_int_equal(hostfs_add_mountpoint(sb, "dev"), 0);
	assert_int_equal(hostfs_add_mountpoint(sb, "d"), 0);
	world_begin_on(w, sb, live);
}

static void make_tree(void)
{
	char path[200];

	snprintf(g_dir, sizeof(g_dir), "/tmp/test_hostfs.XXXXXX");
	assert_non_null(mkdtemp(g_dir));
	host_mkdir("d", 0755);
	host_mkdir("d/e", 0755);
	host_mkdir("many", 0755);
	host_put("f", "hello, world");
	host_put("d/g", "deep");
	host_path(path, sizeof(path), "l");
	assert_int_equal(symlink("d/g", path), 0);
	host_path(path, sizeof(path), "abs");
	assert_int_equal(symlink("/d/g", path), 0);
	host_path(path, sizeof(path), "out");
	assert_int_equal(symlink("/etc/passwd", path), 0);
	host_path(path, sizeof(path), "fifo");
	assert_int_equal(mkfifo(path, 0666), 0);
	for (int i = 0; i < 700; i++) {
		snprintf(path, sizeof(path), "many/d%d", i);
		host_mkdir(path, 0755);
		snprintf(path, sizeof(path), "many/d%d/f", i);
		host_put(path, "x");
	}
}

static void remove_tree(void)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf %s", g_dir);
	assert_int_equal(system(command), 0); // NOLINT
}

static void body_read(struct world *w)
{
	char buf[32] = {};
	struct kstat st;
	struct stat host;
	struct file *f;
	struct path p;
	char path[200];
	s64 pos = 7;
	int fd;

	begin(w, g_dir, 0);
	f = must_open(w, "/f", O_RDONLY, 0);
	assert_int_equal(get_at(w, f, buf, 5, NULL), 5);
	assert_string_equal(buf, "hello");
	assert_int_equal(get_at(w, f, buf, sizeof(buf), &pos), 5);
	assert_memory_equal(buf, "world", 5);
	assert_int_equal(file_lseek(&w->s, f, 0, SEEK_END), 12);
	assert_int_equal(get_at(w, f, buf, 5, NULL), 0);
	assert_int_equal(f->ops->host_fd_get(f, false, &fd), 0);
	assert_int_equal(host_fcntl(fd, F_GETFL, 0) & O_ACCMODE, O_RDONLY);
	f->ops->host_fd_put(f, fd);
	file_put(f);
	/* stat agrees with the host's. */
	host_path(path, sizeof(path), "f");
	assert_int_equal(stat(path, &host), 0);
	assert_int_equal(at_stat(w, "/f", 0, &st), 0);
	assert_int_equal(st.ino, host.st_ino);
	assert_int_equal(st.dev, host.st_dev);
	assert_int_equal(st.size, host.st_size);
	assert_int_equal(st.mode, host.st_mode);
	assert_int_equal(st.mtime.tv_nsec, host.st_mtim.tv_nsec);
	/* Links are the guest's: they stay in its tree. */
	f = must_open(w, "/abs", O_RDONLY, 0);
	assert_int_equal(get_at(w, f, buf, 4, NULL), 4);
	assert_memory_equal(buf, "deep", 4);
	file_put(f);
	assert_int_equal(at_walk(w, "/out", WALK_FOLLOW), -ENOENT);
	assert_int_equal(path_walk(&w->s, AT_FDCWD, "/l", 0, &p), 0);
	assert_int_equal(vfs_readlink(&w->s, &p, buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "d/g", 3);
	assert_int_equal(vfs_readlink(&w->s, &p, buf, 2), 2);
	path_put(&p);
	assert_int_equal(at_walk(w, "/../../d/../f", 0), 0);
	world_end(w);
}

static void body_readonly(struct world *w)
{
	struct file *f;
	struct path p;

	begin(w, g_dir, 0);
	assert_int_equal(at_open(w, "/f", O_RDWR, 0, &f), -EROFS);
	assert_int_equal(at_open(w, "/f", O_RDONLY | O_TRUNC, 0, &f), -EROFS);
	assert_int_equal(at_open(w, "/new", O_CREAT | O_RDWR, 0644, &f), -EROFS);
	file_put(must_open(w, "/f", O_CREAT | O_RDONLY, 0644));
	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/new", 0755), -EROFS);
	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/d", 0755), -EEXIST);
	assert_int_equal(vfs_unlink(&w->s, AT_FDCWD, "/f"), -EROFS);
	assert_int_equal(vfs_rmdir(&w->s, AT_FDCWD, "/d"), -EROFS);
	assert_int_equal(vfs_rename(&w->s, AT_FDCWD, "/f", AT_FDCWD, "/g", 0), -EROFS);
	assert_int_equal(vfs_link(&w->s, AT_FDCWD, "/f", AT_FDCWD, "/g", 0), -EROFS);
	assert_int_equal(vfs_symlink(&w->s, "x", AT_FDCWD, "/g"), -EROFS);
	assert_int_equal(path_walk(&w->s, AT_FDCWD, "/f", 0, &p), 0);
	assert_int_equal(vfs_setattr(&w->s, &p, &(struct iattr){ .valid = ATTR_MODE, .mode = 0 }),
			 -EROFS);
	assert_int_equal(vfs_truncate(&w->s, &p, 0), -EROFS);
	assert_int_equal(vfs_permission(&w->s, &p, W_OK), -EROFS);
	assert_int_equal(vfs_permission(&w->s, &p, R_OK), 0);
	path_put(&p);
	/* A fifo of the host's is seen, and never opened. */
	assert_int_equal(at_open(w, "/fifo", O_RDONLY, 0, &f), -EACCES);
	world_end(w);
}

static void body_readdir(struct world *w)
{
	static char names[800][NAME_MAX_GUEST + 1];
	u32 n;

	begin(w, g_dir, 0);
	n = list_dir(w, "/", names, ARRAY_SIZE(names), 2);
	/* . .. abs d dev f fifo l many out: dev is made up, d is the host's. */
	assert_int_equal(n, 10);
	assert_string_equal(names[3], "d");
	assert_string_equal(names[4], "dev");
	assert_int_equal(list_dir(w, "/dev", names, ARRAY_SIZE(names), 10), 2);
	assert_int_equal(at_walk(w, "/dev/null", 0), -ENOENT);
	assert_int_equal(at_walk(w, "/d/e", 0), 0);
	assert_int_equal(list_dir(w, "/many", names, ARRAY_SIZE(names), 13), 702);
	for (u32 i = 1; i < 702; i++)
		assert_true(strcmp(names[i], names[i - 1]) > 0);
	world_end(w);
}

/* More directories and files than descriptors are kept. */
static void body_budget(struct world *w)
{
	u32 before = open_descriptors(), peak;
	struct file *held[700];
	char name[40], c;

	begin(w, g_dir, 0);
	for (int i = 0; i < 700; i++) {
		snprintf(name, sizeof(name), "/many/d%d/f", i);
		held[i] = must_open(w, name, O_RDONLY, 0);
	}
	peak = open_descriptors();
	assert_true(peak < before + 530);
	for (int i = 0; i < 700; i++) {
		assert_int_equal(get_at(w, held[i], &c, 1, NULL), 1);
		assert_int_equal(c, 'x');
		file_put(held[i]);
	}
	assert_true(open_descriptors() < before + 530);
	world_end(w);
	assert_int_equal(open_descriptors(), before);
}

/* With HOSTFS_REVALIDATE what changes on the host is seen; without it, it need not be. */
static void body_revalidate(struct world *w)
{
	struct kstat st;
	struct file *f;
	char path[200], buf[16] = {};

	begin(w, g_dir, HOSTFS_REVALIDATE);
	assert_int_equal(at_walk(w, "/fresh", 0), -ENOENT);
	host_put("fresh", "one");
	f = must_open(w, "/fresh", O_RDONLY, 0);
	host_put("fresh", "longer");
	assert_int_equal(at_stat(w, "/fresh", 0, &st), 0);
	assert_int_equal(st.size, 6);
	assert_int_equal(get_at(w, f, buf, sizeof(buf), NULL), 6);
	host_path(path, sizeof(path), "fresh");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(at_walk(w, "/fresh", 0), -ENOENT);
	host_mkdir("fresh", 0755);
	assert_int_equal(at_walk(w, "/fresh", WALK_DIRECTORY), 0);
	assert_int_equal(rmdir(path), 0);
	/* A file replaced by a link is not followed by the host. */
	host_put("fresh", "two");
	assert_int_equal(at_walk(w, "/fresh", 0), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(at_walk(w, "/fresh", WALK_FOLLOW), -ENOENT);
	assert_int_equal(at_walk(w, "/fresh", 0), 0);
	assert_int_equal(unlink(path), 0);
	file_put(f);
	world_end(w);
}

static u32 g_host_calls;

static long count_call(long nr)
{
	g_host_calls++;
	return 0;
}

/* As a system call: stat of path, in so many host calls. */
static void stat_in_calls(struct world *w, const char *path, struct kstat *ret, u32 calls)
{
	w->s.call_tsc = __builtin_ia32_rdtsc();
	g_host_calls = 0;
	host_set_fault_hook(count_call);
	assert_int_equal(at_stat(w, path, 0, ret), 0);
	host_set_fault_hook(NULL);
	assert_int_equal(g_host_calls, calls);
}

/* The look-up of a name tells its attributes too; an open file's are asked for by its descriptor,
 * others' by the name. */
static void body_attributes(struct world *w)
{
	struct kstat st;
	struct file *f;

	begin(w, g_dir, HOSTFS_REVALIDATE);
	for (int i = 0; i < 2; i++) {
		host_put("attr", i ? "longer" : "one");
		stat_in_calls(w, "/attr", &st, 1);
		assert_int_equal(st.size, i ? 6 : 3);
	}
	/* It is not known when the call began. */
	host_put("attr", "two");
	w->s.call_tsc = 0;
	assert_int_equal(at_stat(w, "/attr", 0, &st), 0);
	assert_int_equal(st.size, 3);
	f = must_open(w, "/attr", O_RDONLY, 0);
	for (int i = 0; i < 2; i++) {
		host_put("attr", i ? "longer" : "one");
		w->s.call_tsc = __builtin_ia32_rdtsc();
		g_host_calls = 0;
		host_set_fault_hook(count_call);
		assert_int_equal(vfs_getattr(&w->s, &f->path, &st), 0);
		host_set_fault_hook(NULL);
		assert_int_equal(g_host_calls, 1);
		assert_int_equal(st.size, i ? 6 : 3);
	}
	file_put(f);
	world_end(w);
}

/* ---- working ahead ---- */

/* The next system call begins; what it gives is fresh however long it takes. */
static void next_call(struct world *w)
{
	vfs_end_ahead(&w->s);
	w->s.tid = 7;
	w->s.call_tsc = w->s.last_call_tsc = __builtin_ia32_rdtsc();
	w->s.ahead_since = 0;
}

static void work_ahead(struct world *w)
{
	for (int i = 0; i < 100 && vfs_work_ahead(&w->s); i++)
		;
}

/* Open a file of /seq and read it; in so many host calls, if not -1. */
static void open_seq(struct world *w, const char *name, const char *text, int calls)
{
	char path[300], buf[32] = {};
	struct file *f;

	snprintf(path, sizeof(path), "/seq/%s", name);
	next_call(w);
	g_host_calls = 0;
	host_set_fault_hook(count_call);
	f = must_open(w, path, O_RDONLY, 0);
	host_set_fault_hook(NULL);
	if (calls >= 0)
		assert_int_equal(g_host_calls, calls);
	work_ahead(w);
	next_call(w);
	assert_int_equal(get_at(w, f, buf, sizeof(buf), NULL), strlen(text));
	assert_string_equal(buf, text);
	assert_int_equal(get_at(w, f, buf, sizeof(buf), NULL), 0);
	file_put(f);
	work_ahead(w);
}

#define SEQ 6

/* The names in /seq, as they are listed, each with itself as its contents. */
static void list_seq(struct world *w, char names[SEQ][NAME_MAX_GUEST + 1])
{
	char all[SEQ + 2][NAME_MAX_GUEST + 1];
	struct listing l = { .ctx.emit = listing_emit, .names = all, .max = SEQ + 2, .left = 100 };
	struct file *f = must_open(w, "/seq", O_RDONLY | O_DIRECTORY, 0);
	u32 n = 0;

	next_call(w);
	assert_int_equal(file_iterate(&w->s, f, &l.ctx), 0);
	file_put(f);
	assert_int_equal(l.count, SEQ + 2);
	for (u32 i = 0; i < l.count; i++)
		if (all[i][0] != '.')
			memcpy(names[n++], all[i], sizeof(all[i]));
	assert_int_equal(n, SEQ);
}

static void make_seq(void)
{
	char name[32];

	host_mkdir("seq", 0755);
	for (int i = 0; i < SEQ; i++) {
		snprintf(name, sizeof(name), "seq/s%d", i);
		host_put(name, name + 4);
	}
}

static void remove_seq(void)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf %s/seq", g_dir);
	assert_int_equal(system(command), 0); // NOLINT
}

/* In a tree that does not change, all that was got ahead is of use. */
static void body_ahead(struct world *w)
{
	char names[SEQ][NAME_MAX_GUEST + 1];
	char path[400];
	struct kstat st;

	make_seq();
	begin(w, g_dir, 0);
	list_seq(w, names);
	open_seq(w, names[0], names[0], -1);
	open_seq(w, names[1], names[1], 0);
	/* One may be left out. */
	open_seq(w, names[3], names[3], -1);
	open_seq(w, names[4], names[4], 0);
	snprintf(path, sizeof(path), "/seq/%s", names[5]);
	stat_in_calls(w, path, &st, 0);
	world_end(w);
	remove_seq();
}

/* In others, nothing is that has changed; and no fifo is opened. */
static void body_ahead_changes(struct world *w)
{
	u32 before = open_descriptors();
	char names[SEQ][NAME_MAX_GUEST + 1];
	char path[400], other[400];
	struct kstat st;
	struct file *f;
	int fd;

	make_seq();
	begin(w, g_dir, HOSTFS_REVALIDATE);
	list_seq(w, names);
	open_seq(w, names[0], names[0], -1);
	/* Another file is there. */
	host_put("other", "another");
	host_path(other, sizeof(other), "other");
	snprintf(path, sizeof(path), "%s/seq/%s", g_dir, names[1]);
	assert_int_equal(rename(other, path), 0);
	open_seq(w, names[1], "another", -1);
	/* It has grown. */
	snprintf(path, sizeof(path), "seq/%s", names[2]);
	host_put(path, "longer than it was");
	open_seq(w, names[2], "longer than it was", -1);
	/* A fifo is there. */
	snprintf(path, sizeof(path), "%s/seq/%s", g_dir, names[3]);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0666), 0);
	work_ahead(w);
	next_call(w);
	snprintf(other, sizeof(other), "/seq/%s", names[3]);
	assert_int_equal(at_open(w, other, O_RDONLY, 0, &f), -EACCES);
	fd = open(path, O_WRONLY | O_NONBLOCK);
	assert_int_equal(fd, -1);
	assert_int_equal(errno, ENXIO);
	work_ahead(w);
	/* Nothing is there. */
	snprintf(path, sizeof(path), "%s/seq/%s", g_dir, names[4]);
	assert_int_equal(unlink(path), 0);
	next_call(w);
	snprintf(other, sizeof(other), "/seq/%s", names[4]);
	assert_int_equal(at_stat(w, other, 0, &st), -ENOENT);
	/* What was asked for one task is not believed for another. */
	next_call(w);
	snprintf(other, sizeof(other), "/seq/%s", names[5]);
	assert_int_equal(at_stat(w, other, 0, &st), 0);
	work_ahead(w);
	snprintf(path, sizeof(path), "seq/%s", names[5]);
	host_put(path, "more");
	w->s.tid = 8;
	assert_int_equal(at_stat(w, other, 0, &st), 0);
	assert_int_equal(st.size, 4);
	world_end(w);
	remove_seq();
	assert_int_equal(open_descriptors(), before);
}

/* The host's /proc and /sys are empty directories here. */
static void body_refused(struct world *w)
{
	char names[8][NAME_MAX_GUEST + 1];
	struct super *sb;

	begin(w, "/", 0);
	if (access("/proc/self", F_OK) == 0) {
		assert_int_equal(at_walk(w, "/proc", WALK_DIRECTORY), 0);
		assert_int_equal(at_walk(w, "/proc/self", 0), -ENOENT);
		assert_int_equal(list_dir(w, "/proc", names, 8, 8), 2);
	}
	if (access("/sys/kernel", F_OK) == 0)
		assert_int_equal(at_walk(w, "/sys/kernel", 0), -ENOENT);
	assert_int_equal(at_walk(w, "/usr/bin", WALK_FOLLOW | WALK_DIRECTORY), 0);
	world_end(w);
	assert_int_equal(hostfs_create(open("/dev/null", O_RDONLY), 0, &sb), -ENOTDIR);
}

/* Every host call fails once: no crash, no leak. */
static u32 g_countdown;

static long fail_nth(long nr)
{
	if (g_countdown && --g_countdown == 0)
		return -EIO;
	return 0;
}

static void body_faults(struct world *w)
{
	u32 before = open_descriptors();

	for (u32 n = 1; n < 40; n++) {
		struct file *f;
		char buf[4];

		begin(w, g_dir, 0);
		g_countdown = n;
		host_set_fault_hook(fail_nth);
		if (!at_open(w, "/d/g", O_RDONLY, 0, &f)) {
			(void)get_at(w, f, buf, 4, NULL);
			file_put(f);
		}
		(void)at_walk(w, "/l", WALK_FOLLOW);
		if (!at_open(w, "/many", O_RDONLY, 0, &f)) {
			struct listing l = { .ctx.emit = listing_emit };

			(void)!file_iterate(&w->s, f, &l.ctx);
			file_put(f);
		}
		host_set_fault_hook(NULL);
		world_end(w);
	}
	assert_int_equal(open_descriptors(), before);
}

/* A close that fails on a real host has closed its descriptor. */
static long fail_nth_open(long nr)
{
	return nr == SYS_close ? 0 : fail_nth(nr);
}

/* Some of everything that changes names and contents; errors do not matter. */
static void change_all(struct world *w)
{
	struct iattr attr = { .valid = ATTR_MODE, .mode = 0600 };
	struct file *f;
	struct path p;

	if (!at_open(w, "/w/new", O_RDWR | O_CREAT, 0644, &f)) {
		(void)!put_at(w, f, "text", 4, NULL);
		(void)!file_truncate(&w->s, f, 2);
		file_put(f);
	}
	(void)!vfs_mkdir(&w->s, AT_FDCWD, "/w/dir", 0755);
	(void)!vfs_symlink(&w->s, "x", AT_FDCWD, "/w/sym");
	(void)!vfs_link(&w->s, AT_FDCWD, "/w/new", AT_FDCWD, "/w/dir/two", 0);
	(void)!vfs_rename(&w->s, AT_FDCWD, "/w/new", AT_FDCWD, "/w/dir/three", 0);
	if (!path_walk(&w->s, AT_FDCWD, "/w/dir/three", 0, &p)) {
		(void)!vfs_setattr(&w->s, &p, &attr);
		path_put(&p);
	}
	(void)!vfs_unlink(&w->s, AT_FDCWD, "/w/dir/three");
	(void)!vfs_unlink(&w->s, AT_FDCWD, "/w/dir/two");
	(void)!vfs_unlink(&w->s, AT_FDCWD, "/w/new");
	(void)!vfs_unlink(&w->s, AT_FDCWD, "/w/sym");
	(void)!vfs_rmdir(&w->s, AT_FDCWD, "/w/dir");
}

static void body_writable(struct world *w)
{
	u32 before = open_descriptors();
	char path[200];
	struct file *f;
	struct path p;

	host_mkdir("w", 0755);
	begin(w, g_dir, HOSTFS_REVALIDATE | HOSTFS_WRITABLE);
	/* A file that has lost its name can be read, written and linked nowhere. */
	f = must_open(w, "/w/a", O_RDWR | O_CREAT, 0444);
	assert_int_equal(put_at(w, f, "hello", 5, NULL), 5);
	host_path(path, sizeof(path), "w/a");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(at_walk(w, "/w/a", 0), -ENOENT);
	assert_int_equal(put_at(w, f, "!", 1, NULL), 1);
	assert_int_equal(file_truncate(&w->s, f, 3), 0);
	file_put(f);
	/* Two names of one file are one inode. */
	host_put("w/one", "x");
	host_path(path, sizeof(path), "w/one");
	assert_int_equal(path_walk(&w->s, AT_FDCWD, "/w/one", 0, &p), 0);
	assert_int_equal(vfs_link(&w->s, AT_FDCWD, "/w/one", AT_FDCWD, "/w/two", 0), 0);
	assert_int_equal(unlink(path), 0);
	f = must_open(w, "/w/two", O_RDONLY, 0);
	assert_ptr_equal(f->inode, p.dentry->inode);
	file_put(f);
	path_put(&p);
	assert_int_equal(vfs_unlink(&w->s, AT_FDCWD, "/w/two"), 0);
	world_end(w);
	for (u32 n = 0; n < 120; n++) {
		begin(w, g_dir, HOSTFS_REVALIDATE | HOSTFS_WRITABLE);
		g_countdown = n;
		host_set_fault_hook(fail_nth_open);
		change_all(w);
		g_countdown = 0;
		host_set_fault_hook(NULL);
		change_all(w);
		world_end(w);
	}
	assert_int_equal(open_descriptors(), before);
	host_path(path, sizeof(path), "w");
	assert_int_equal(rmdir(path), 0);
}

/*
 * Inodes that only hold each other, as deep as a guest made the tree, go without recursion: the
 * place of a file is in the deepest directory, and the dentries that lead there go before its own.
 */
static void body_deep(struct world *w)
{
	host_mkdir("deep", 0755);
	begin(w, g_dir, HOSTFS_REVALIDATE | HOSTFS_WRITABLE);
	put_file(w, "/deep/f", "x");
	assert_int_equal(at_chdir(w, "/deep"), 0);
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "d", 0755), 0);
		assert_int_equal(at_chdir(w, "d"), 0);
	}
	assert_int_equal(vfs_link(&w->s, AT_FDCWD, "/deep/f", AT_FDCWD, "g", 0), 0);
	assert_int_equal(at_chdir(w, "/deep"), 0);
	for (int i = 0; i < 2000; i++)
		assert_int_equal(at_chdir(w, "d"), 0);
	assert_int_equal(at_walk(w, "g", 0), 0);
	assert_int_equal(vfs_unlink(&w->s, AT_FDCWD, "g"), 0);
	assert_int_equal(at_chdir(w, "/"), 0);
	world_end(w);
}

/* At the budget's end descriptors that nobody needs are closed; those of open files stay. */
static void body_few_descriptors(struct world *w)
{
	struct file *open[4], *more;
	char path[40], buf[4];

	begin(w, g_dir, HOSTFS_REVALIDATE);
	host_fd_set_budget(20);
	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "/many/d%d/f", i);
		open[i] = must_open(w, path, O_RDONLY, 0);
	}
	for (int i = 4; i < 60; i++) {
		snprintf(path, sizeof(path), "/many/d%d/f", i);
		file_put(must_open(w, path, O_RDONLY, 0));
	}
	for (int i = 0; i < 4; i++) {
		assert_int_equal(get_at(w, open[i], buf, 4, NULL), 1);
		file_put(open[i]);
	}
	host_fd_set_budget(1);
	assert_int_equal(at_open(w, "/many/d60/f", O_RDONLY, 0, &more), -ENFILE);
	host_fd_set_budget(UINT32_MAX);
	world_end(w);
}

TEST_OWN(read)
TEST_OWN(readonly)
TEST_OWN(readdir)
TEST_OWN(budget)
TEST_OWN(revalidate)
TEST_OWN(attributes)
TEST_OWN(ahead)
TEST_OWN(ahead_changes)
TEST_OWN(refused)
TEST_OWN(faults)
TEST_OWN(writable)
TEST_OWN(deep)
TEST_OWN(few_descriptors)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),	      cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_readdir),	      cmocka_unit_test(test_budget),
		cmocka_unit_test(test_revalidate),    cmocka_unit_test(test_refused),
		cmocka_unit_test(test_faults),	      cmocka_unit_test(test_writable),
		cmocka_unit_test(test_deep),	      cmocka_unit_test(test_few_descriptors),
		cmocka_unit_test(test_attributes),    cmocka_unit_test(test_ahead),
		cmocka_unit_test(test_ahead_changes),
	};
	int failed;

	if (arena_create())
		return 1;
	make_tree();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	remove_tree();
	return failed;
}
