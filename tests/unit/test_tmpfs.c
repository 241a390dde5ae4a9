/*
 * tmpfs, against the host's; then what only ours can show.
 */

#include "unit/fs_model.h"

#include "host/host.h"

static void body_sequence(struct world *w)
{
	compare_sequence(w, NULL);
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

/* What is cut off a small file is given back, not only uncharged. */
static void body_shrink(struct world *w)
{
	char *data = calloc(1, 40'000), name[16];
	u64 before, after;

	before = arena_used();
	for (int i = 0; i < 400; i++) {
		struct file *f;

		snprintf(name, sizeof(name), "/f%d", i);
		f = must_open(w, name, O_CREAT | O_RDWR, 0644);
		assert_int_equal(put_at(w, f, data, 40'000, NULL), 40'000);
		assert_int_equal(file_truncate(&w->s, f, 10), 0);
		file_put(f);
	}
	after = arena_used();
	assert_true(after - before < 400 * 8192);
	free(data);
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
TEST(shrink)
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
		cmocka_unit_test(test_shrink),	     cmocka_unit_test(test_readdir),
		cmocka_unit_test(test_deep),	     cmocka_unit_test(test_times),
		cmocka_unit_test(test_setgid),	     cmocka_unit_test(test_append),
	};

	if (arena_create())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
