#pragma once

/* What the tests of the vfs and of file systems share: a subject with credentials, a root,
 * descriptors. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "base/strbuf.h"
#include "cred/cred.h"
#include "cred/rlimit.h"
#include "fs/tmpfs/tmpfs.h"
#include "sched/fiber.h"
#include "sched/sched.h"
#include "vfs/fdtable.h"
#include "vfs/path.h"
#include "vfs/vfs.h"

#define MIB (1UL << 20)

struct world {
	struct subject s;
	struct rlimits rlimits;
	struct mount_ns *ns;
	struct user_ns *user_ns;
	u64 live_before;
};

static inline void world_set_user(struct world *w, u32 uid, u32 gid)
{
	struct cred *c;

	cred_put(w->s.cred);
	assert_int_equal(cred_create(w->user_ns, uid, gid, NULL, 0, &c), 0);
	w->s.cred = c;
}

/* root_sb is taken over. */
static inline void world_begin_on(struct world *w, struct super *root_sb, u64 live_before)
{
	struct cred *c;

	*w = (struct world){ .live_before = live_before };
	rlimits_init(&w->rlimits);
	for (int i = 0; i < RLIMIT_COUNT; i++)
		w->rlimits.limit[i] = (struct rlimit64_pair){ RLIM_INFINITY, RLIM_INFINITY };
	w->rlimits.limit[RLIMIT_NOFILE] = (struct rlimit64_pair){ 1024, 4096 };
	assert_int_equal(user_ns_create_root(&w->user_ns), 0);
	assert_int_equal(cred_create(w->user_ns, 0, 0, NULL, 0, &c), 0);
	w->s = (struct subject){ .fiber = fiber_current(), .cred = c, .rlimits = &w->rlimits };
	assert_int_equal(mount_ns_create(root_sb, "none", 0, &w->ns), 0);
	assert_int_equal(fs_context_create(w->ns, &w->s.fs), 0);
	w->s.fs->umask = 0;
	assert_int_equal(fdtable_create(&w->s.files), 0);
}

static inline void world_begin(struct world *w)
{
	u64 live = slab_count_all();
	struct super *sb;

	assert_int_equal(tmpfs_create(0755, 0, 0, 64 * MIB, &sb), 0);
	world_begin_on(w, sb, live);
}

static inline void print_class(const char *name, u64 count, void *arg)
{
	if (count)
		print_message("  %s: %lu live\n", name, count);
}

/* Everything is given back. */
static inline void world_end(struct world *w)
{
	vfs_end_ahead(&w->s);
	fdtable_put(w->s.files);
	fs_context_put(w->s.fs);
	mount_ns_put(w->ns);
	cred_put(w->s.cred);
	user_ns_put(w->user_ns);
	if (slab_count_all() != w->live_before)
		slab_for_each_class(print_class, NULL)
			;
	assert_int_equal(slab_count_all(), w->live_before);
}

static inline int at_open(struct world *w, const char *path, u32 flags, u32 mode, struct file **ret)
{
	const struct open_how_k how = { .flags = flags, .mode = mode };

	return vfs_open(&w->s, AT_FDCWD, path, &how, ret);
}

static inline struct file *must_open(struct world *w, const char *path, u32 flags, u32 mode)
{
	struct file *f = NULL;

	assert_int_equal(at_open(w, path, flags, mode, &f), 0);
	return f;
}

static inline ssize_t put_at(struct world *w, struct file *f, const void *data, size_t size,
			     s64 *pos)
{
	struct uio u;

	uio_init_kernel(&u, (void *)data, size);
	return file_write(&w->s, f, &u, pos);
}

static inline ssize_t get_at(struct world *w, struct file *f, void *data, size_t size, s64 *pos)
{
	struct uio u;

	uio_init_kernel(&u, data, size);
	return file_read(&w->s, f, &u, pos);
}

static inline void put_file(struct world *w, const char *path, const char *text)
{
	struct file *f = must_open(w, path, O_CREAT | O_WRONLY | O_TRUNC, 0644);

	assert_int_equal(put_at(w, f, text, strlen(text), NULL), strlen(text));
	file_put(f);
}

static inline int at_stat(struct world *w, const char *path, u32 walk, struct kstat *ret)
{
	struct path p;
	int err = path_walk(&w->s, AT_FDCWD, path, walk, &p);

	if (err)
		return err;
	err = vfs_getattr(&w->s, &p, ret);
	path_put(&p);
	return err;
}

static inline int at_walk(struct world *w, const char *path, u32 flags)
{
	struct path p;
	int err = path_walk(&w->s, AT_FDCWD, path, flags, &p);

	if (!err)
		path_put(&p);
	return err;
}

static inline int at_chdir(struct world *w, const char *path)
{
	struct path p;
	int err = path_walk(&w->s, AT_FDCWD, path, WALK_FOLLOW | WALK_DIRECTORY, &p);

	if (err)
		return err;
	fs_context_set_cwd(w->s.fs, &p);
	path_put(&p);
	return 0;
}

/* The name of the working directory. */
static inline const char *cwd_name(struct world *w)
{
	static char name[PATH_MAX_GUEST];
	struct path cwd, root;
	struct strbuf sb;

	fs_context_get_cwd(w->s.fs, &cwd);
	fs_context_get_root(w->s.fs, &root);
	strbuf_init_fixed(&sb, name, sizeof(name));
	assert_int_equal(path_format(&cwd, &root, &sb), 0);
	path_put(&cwd);
	path_put(&root);
	return name;
}

/* A directory listing, sorted, into names; at most max. Reads room entries at a time. */
struct listing {
	struct dir_context ctx;
	char (*names)[NAME_MAX_GUEST + 1];
	u32 count, max, left;
};

static inline bool listing_emit(struct dir_context *ctx, const char *name, size_t len, u64 ino,
				s64 next, u8 type)
{
	struct listing *l = container_of(ctx, struct listing, ctx);

	if (!l->left || l->count == l->max)
		return false;
	l->left--;
	memcpy(l->names[l->count], name, len);
	l->names[l->count++][len] = '\0';
	return true;
}

static inline int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static inline u32 list_dir(struct world *w, const char *path, char (*names)[NAME_MAX_GUEST + 1],
			   u32 max, u32 room)
{
	struct file *f = must_open(w, path, O_RDONLY | O_DIRECTORY, 0);
	struct listing l = { .ctx.emit = listing_emit, .names = names, .max = max };
	u32 before;

	do {
		before = l.count;
		l.left = room;
		assert_int_equal(file_iterate(&w->s, f, &l.ctx), 0);
	} while (l.count > before);
	file_put(f);
	qsort(names, l.count, sizeof(names[0]), compare_names);
	return l.count;
}

struct test_run {
	void (*body)(struct world *w);
	bool own_world;
};

static inline void test_fiber(void *arg)
{
	struct test_run *r = arg;
	struct world w = {};

	if (!r->own_world)
		world_begin(&w);
	r->body(&w);
	if (!r->own_world)
		world_end(&w);
}

#define TEST_(name, own, workers) \
	static void test_##name(void **state) \
	{ \
		struct test_run r = { body_##name, own }; \
		assert_int_equal(sched_run_fiber(workers, test_fiber, &r), 0); \
	}
/* A test over a fresh tmpfs; one that makes its own world; one of several fibers at once. (A failed
 * assertion leaves the fiber by a long jump, which needs a single worker.) */
#define TEST(name) TEST_(name, false, 1)
#define TEST_OWN(name) TEST_(name, true, 1)
#define TEST_PARALLEL(name) TEST_(name, false, 2)
