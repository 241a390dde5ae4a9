/*
 * The overlay: whiteouts, merged directories and copy-up, against the host's tmpfs, where the first
 * half of each sequence of operations makes what becomes the lower layer. Then what only ours can
 * show.
 */

#include "unit/fs_model.h"

#include "fs/overlay/overlay.h"
#include "vfs/internal.h"

#define LIMIT (64 * MIB)

/* Put an overlay over w's root; the world goes on in that. */
static void cover(struct world *w)
{
	struct super *lower = w->ns->root->sb, *sb;
	struct fs_context *fs;
	struct mount_ns *ns;

	super_get(lower);
	assert_int_equal(overlay_create(lower, LIMIT, -1, &sb), 0);
	assert_int_equal(mount_ns_create(sb, "overlay", 0, &ns), 0);
	assert_int_equal(fs_context_create(ns, &fs), 0);
	fs->umask = w->s.fs->umask;
	fs_context_put(w->s.fs);
	mount_ns_put(w->ns);
	w->s.fs = fs;
	w->ns = ns;
}

static void body_sequence(struct world *w)
{
	g_dir_sizes = false;
	compare_sequence(w, cover);
}

TEST(sequence)

static void test_against_host(void **state)
{
	for (g_seed = 11; g_seed < 11 + 2 * SEEDS; g_seed++)
		test_sequence(state);
}

/* ---- the lower layer is left alone ---- */

static void body_lower(struct world *w)
{
	struct super *lower = w->ns->root->sb;
	struct fs_context *covered, *bare;
	struct mount_ns *covered_ns, *bare_ns;
	struct kstat before, after;
	char names[8][NAME_MAX_GUEST + 1], buf[32] = {};
	struct file *f;
	s64 pos = 0;

	put_file(w, "/f", "lower");
	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/d", 0755), 0);
	put_file(w, "/d/g", "g");
	assert_int_equal(at_stat(w, "/f", 0, &before), 0);
	super_get(lower);
	cover(w);
	put_file(w, "/f", "changed, and longer");
	assert_int_equal(vfs_unlink(&w->s, AT_FDCWD, "/d/g"), 0);
	assert_int_equal(vfs_rmdir(&w->s, AT_FDCWD, "/d"), 0);
	put_file(w, "/new", "new");
	assert_int_equal(at_stat(w, "/f", 0, &after), 0);
	assert_int_equal(before.ino, after.ino);
	assert_int_equal(list_dir(w, "/", names, 8, 1), 4);
	assert_string_equal(names[2], "f");
	assert_string_equal(names[3], "new");
	/* Look at the lower layer itself. */
	covered = w->s.fs;
	covered_ns = w->ns;
	assert_int_equal(mount_ns_create(lower, "none", 0, &bare_ns), 0);
	assert_int_equal(fs_context_create(bare_ns, &bare), 0);
	w->s.fs = bare;
	assert_int_equal(list_dir(w, "/", names, 8, 8), 4);
	assert_string_equal(names[2], "d");
	f = must_open(w, "/f", O_RDONLY, 0);
	assert_int_equal(get_at(w, f, buf, sizeof(buf), &pos), 5);
	assert_string_equal(buf, "lower");
	file_put(f);
	assert_int_equal(at_walk(w, "/d/g", 0), 0);
	fs_context_put(bare);
	mount_ns_put(bare_ns);
	w->s.fs = covered;
	w->ns = covered_ns;
}

TEST(lower)

/* ---- limits ---- */

static void body_space(struct world *w)
{
	struct host_statfs st;
	struct path root;
	char *block = calloc(1, MIB);
	struct file *f;
	s64 pos = 0;
	ssize_t n;

	f = must_open(w, "/big", O_CREAT | O_WRONLY, 0644);
	for (int i = 0; i < 40; i++)
		assert_int_equal(put_at(w, f, block, MIB / 2, &pos), MIB / 2);
	file_put(f);
	cover(w);
	/* As much as the changes may take, and not more. */
	f = must_open(w, "/new", O_CREAT | O_WRONLY, 0644);
	pos = 0;
	for (n = 1; n > 0 && pos < 2 * (s64)LIMIT;)
		n = put_at(w, f, block, MIB, &pos);
	assert_int_equal(n, -ENOSPC);
	assert_in_range(pos, LIMIT - 2 * MIB, LIMIT);
	file_put(f);
	/* There is no room to copy a file up; but it can be read, cut off and unlinked. */
	f = must_open(w, "/big", O_RDWR, 0);
	pos = 5;
	assert_int_equal(put_at(w, f, block, 1, &pos), -ENOSPC);
	pos = 5;
	assert_int_equal(get_at(w, f, block, 10, &pos), 10);
	assert_int_equal(file_truncate(&w->s, f, 0), 0);
	file_put(f);
	assert_int_equal(vfs_unlink(&w->s, AT_FDCWD, "/new"), 0);
	assert_int_equal(path_walk(&w->s, AT_FDCWD, "/", 0, &root), 0);
	assert_int_equal(vfs_statfs(&w->s, &root, &st), 0);
	assert_in_range(st.bfree, LIMIT / 4096 - 16, LIMIT / 4096);
	path_put(&root);
	free(block);
}

TEST(space)

/* ---- inodes: one for each lower file, and none that nobody needs ---- */

static void body_inodes(struct world *w)
{
	struct kstat a, b;
	char name[32];
	struct file *f;
	u64 before;

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "/f%d", i);
		put_file(w, name, "x");
	}
	assert_int_equal(vfs_link(&w->s, AT_FDCWD, "/f1", AT_FDCWD, "/link", 0), 0);
	cover(w);
	assert_int_equal(at_stat(w, "/f1", 0, &a), 0);
	f = must_open(w, "/link", O_RDONLY, 0);
	assert_int_equal(f->inode->ino, a.ino);
	assert_int_equal(a.nlink, 2);
	assert_int_equal(do_chmod(&(struct sys){ .w = w }, "/f1", 0600), 0);
	assert_int_equal(f->inode->mode, S_IFREG | 0600);
	file_put(f);
	assert_int_equal(vfs_unlink(&w->s, AT_FDCWD, "/f1"), 0);
	/* What was changed is found again by its other name when all caches are empty. */
	before = slab_count_all();
	for (int i = 2; i < 100; i++) {
		snprintf(name, sizeof(name), "/f%d", i);
		assert_int_equal(at_stat(w, name, 0, &b), 0);
	}
	assert_true(slab_count_all() > before);
	dcache_prune(w->ns->root->root);
	assert_true(slab_count_all() <= before);
	assert_int_equal(at_stat(w, "/link", 0, &b), 0);
	assert_true(b.mode == (S_IFREG | 0600) && b.nlink == 1 && b.ino == a.ino);
	assert_int_equal(at_stat(w, "/f1", 0, &b), -ENOENT);
}

TEST(inodes)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_host),
		cmocka_unit_test(test_lower),
		cmocka_unit_test(test_space),
		cmocka_unit_test(test_inodes),
	};

	if (arena_create())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
