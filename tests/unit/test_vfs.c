/* The walk, mounts, permission, files and descriptor tables, over tmpfs. */

#include "unit/vfs_fixture.h"

#include <sys/epoll.h>
#include <sys/sysmacros.h>

static void make_tree(struct world *w)
{
	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/a", 0755), 0);
	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/a/b", 0755), 0);
	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/a/b/c", 0755), 0);
	put_file(w, "/a/f", "hello");
	assert_int_equal(vfs_symlink(&w->s, "b/c", AT_FDCWD, "/a/l"), 0);
	assert_int_equal(vfs_symlink(&w->s, "/a/f", AT_FDCWD, "/a/abs"), 0);
	assert_int_equal(vfs_symlink(&w->s, "../a/./b//", AT_FDCWD, "/a/up"), 0);
	assert_int_equal(vfs_symlink(&w->s, "loop2", AT_FDCWD, "/loop1"), 0);
	assert_int_equal(vfs_symlink(&w->s, "loop1", AT_FDCWD, "/loop2"), 0);
}

static void body_walk(struct world *w)
{
	char long_name[300], long_path[5000];

	make_tree(w);
	assert_int_equal(at_walk(w, "", 0), -ENOENT);
	assert_int_equal(at_walk(w, "", WALK_EMPTY), 0);
	assert_int_equal(at_walk(w, "/", 0), 0);
	assert_int_equal(at_walk(w, "///", 0), 0);
	assert_int_equal(at_walk(w, "/a/l/../c", 0), 0);
	assert_int_equal(at_walk(w, "/a/up/c", 0), 0);
	assert_int_equal(at_walk(w, "/../../a/./b/../f", 0), 0);
	assert_int_equal(at_walk(w, "/a/f/", 0), -ENOTDIR);
	assert_int_equal(at_walk(w, "/a/f/x", 0), -ENOTDIR);
	assert_int_equal(at_walk(w, "/a/f/..", 0), -ENOTDIR);
	assert_int_equal(at_walk(w, "/a/abs/", 0), -ENOTDIR);
	assert_int_equal(at_walk(w, "/a/none/x", 0), -ENOENT);
	assert_int_equal(at_walk(w, "/loop1", WALK_FOLLOW), -ELOOP);
	assert_int_equal(at_walk(w, "/loop1", 0), 0);
	assert_int_equal(at_walk(w, "/loop1/", 0), -ELOOP);
	assert_int_equal(at_walk(w, "/a/l", WALK_FOLLOW | WALK_DIRECTORY), 0);
	assert_int_equal(at_walk(w, "/a/l", WALK_DIRECTORY), -ENOTDIR);
	assert_int_equal(at_walk(w, "/a/l/", 0), 0);
	memset(long_name, 'x', sizeof(long_name));
	long_name[255] = '\0';
	assert_int_equal(at_walk(w, long_name, 0), -ENOENT);
	long_name[255] = 'x';
	long_name[256] = '\0';
	assert_int_equal(at_walk(w, long_name, 0), -ENAMETOOLONG);
	memset(long_path, '/', sizeof(long_path));
	long_path[4095] = '\0';
	assert_int_equal(at_walk(w, long_path, 0), 0);
	long_path[4095] = '/';
	long_path[4096] = '\0';
	assert_int_equal(at_walk(w, long_path, 0), -ENAMETOOLONG);
}

/* Forty links are followed, the forty-first is too many; deep nesting costs no stack. */
static void body_links(struct world *w)
{
	char name[16], target[24];

	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/d", 0755), 0);
	assert_int_equal(vfs_symlink(&w->s, "d", AT_FDCWD, "/l0"), 0);
	for (int i = 1; i < 42; i++) {
		snprintf(name, sizeof(name), "/l%d", i);
		snprintf(target, sizeof(target), "l%d/.", i - 1);
		assert_int_equal(vfs_symlink(&w->s, target, AT_FDCWD, name), 0);
	}
	assert_int_equal(at_walk(w, "/l39/", WALK_FOLLOW), 0);
	assert_int_equal(at_walk(w, "/l40/", WALK_FOLLOW), -ELOOP);
	assert_int_equal(at_walk(w, "/l41", WALK_FOLLOW), -ELOOP);
}

static void body_restrictions(struct world *w)
{
	make_tree(w);
	assert_int_equal(at_walk(w, "/a/l", WALK_FOLLOW | WALK_NO_SYMLINKS), -ELOOP);
	assert_int_equal(at_walk(w, "/a/l", WALK_NO_SYMLINKS), 0);
	assert_int_equal(at_walk(w, "/a/l/../c", WALK_NO_SYMLINKS), -ELOOP);
	assert_int_equal(at_chdir(w, "/a"), 0);
	assert_int_equal(at_walk(w, "b/c", WALK_BENEATH), 0);
	assert_int_equal(at_walk(w, "b/../b", WALK_BENEATH), 0);
	assert_int_equal(at_walk(w, "..", WALK_BENEATH), -EXDEV);
	assert_int_equal(at_walk(w, "b/../../a", WALK_BENEATH), -EXDEV);
	assert_int_equal(at_walk(w, "/a", WALK_BENEATH), -EXDEV);
	assert_int_equal(at_walk(w, "abs", WALK_BENEATH | WALK_FOLLOW), -EXDEV);
	assert_int_equal(at_walk(w, "up", WALK_BENEATH | WALK_FOLLOW), -EXDEV);
	assert_int_equal(at_walk(w, "../../b", WALK_IN_ROOT), 0);
	assert_int_equal(at_walk(w, "/b", WALK_IN_ROOT), 0);
	assert_int_equal(at_walk(w, "/", WALK_IN_ROOT), 0);
	assert_int_equal(at_walk(w, "abs", WALK_IN_ROOT | WALK_FOLLOW), -ENOENT);
}

static void body_mounts(struct world *w)
{
	struct kstat outer, inner, st;
	struct super *sb, *sb2;
	struct strbuf out;
	struct path root;

	make_tree(w);
	put_file(w, "/a/b/hidden", "x");
	assert_int_equal(at_stat(w, "/a/b", 0, &outer), 0);
	assert_int_equal(tmpfs_create(0700, 0, 0, MIB, &sb), 0);
	assert_int_equal(vfs_mount(&w->s, w->ns, sb, "src", "/a/f", 0), -ENOTDIR);
	assert_int_equal(vfs_mount(&w->s, w->ns, sb, "src", "/none", 0), -ENOENT);
	assert_int_equal(vfs_mount(&w->s, w->ns, sb, "a b", "/a/b", SB_NODEV), 0);
	assert_int_equal(at_stat(w, "/a/b", 0, &inner), 0);
	assert_true(inner.dev != outer.dev);
	assert_int_equal(at_walk(w, "/a/b/hidden", 0), -ENOENT);
	assert_int_equal(at_stat(w, "/a/b/..", 0, &st), 0);
	assert_true(st.dev == outer.dev);
	assert_int_equal(at_walk(w, "/a/b", WALK_NO_XDEV), -EXDEV);
	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/a/b/m", 0755), 0);
	assert_int_equal(at_chdir(w, "/a/b/m"), 0);
	assert_string_equal(cwd_name(w), "/a/b/m");
	assert_int_equal(at_walk(w, "../..", WALK_NO_XDEV), -EXDEV);
	assert_int_equal(at_walk(w, "../../f", 0), 0);
	/* The mount point is busy, and a rename across is refused. */
	assert_int_equal(vfs_rmdir(&w->s, AT_FDCWD, "/a/b"), -EBUSY);
	assert_int_equal(vfs_rename(&w->s, AT_FDCWD, "/a/b", AT_FDCWD, "/a/x", 0), -EBUSY);
	assert_int_equal(vfs_rename(&w->s, AT_FDCWD, "/a/f", AT_FDCWD, "/a/b/f", 0), -EXDEV);
	assert_int_equal(vfs_link(&w->s, AT_FDCWD, "/a/f", AT_FDCWD, "/a/b/f", 0), -EXDEV);
	/* One on the other; a device node on a nodev mount. */
	assert_int_equal(tmpfs_create(0700, 0, 0, MIB, &sb2), 0);
	assert_int_equal(vfs_mount(&w->s, w->ns, sb2, "top", "/a/b", SB_RDONLY), 0);
	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/a/b/no", 0755), -EROFS);
	assert_int_equal(at_walk(w, "/a/b/m", 0), -ENOENT);
	strbuf_init(&out, 4096);
	fs_context_get_root(w->s.fs, &root);
	assert_int_equal(mount_ns_format(w->ns, &root, false, &out), 0);
	assert_string_equal(strbuf_str(&out), "none / tmpfs rw,relatime 0 0\n"
					      "a\\040b /a/b tmpfs rw,nodev,relatime 0 0\n"
					      "top /a/b tmpfs ro,relatime 0 0\n");
	path_put(&root);
	strbuf_fini(&out);
	assert_int_equal(at_chdir(w, "/"), 0);
}

/* After a pivot_root the older mounts are on newer ones: a namespace that ends must not mind. */
static void body_pivot(struct world *w)
{
	struct path new_root, put_old, was;
	struct super *sb, *child;

	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/m", 0755), 0);
	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/new", 0755), 0);
	assert_int_equal(tmpfs_create(0755, 0, 0, MIB, &child), 0);
	assert_int_equal(vfs_mount(&w->s, w->ns, child, "child", "/m", 0), 0);
	assert_int_equal(tmpfs_create(0755, 0, 0, MIB, &sb), 0);
	assert_int_equal(vfs_mount(&w->s, w->ns, sb, "new", "/new", 0), 0);
	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/new/old", 0755), 0);
	assert_int_equal(path_walk(&w->s, AT_FDCWD, "/new", 0, &new_root), 0);
	assert_int_equal(path_walk(&w->s, AT_FDCWD, "/new/old", 0, &put_old), 0);
	assert_int_equal(vfs_pivot_root(&w->s, &new_root, &put_old, &was), 0);
	for (u32 n = fs_context_replace(w->s.fs, &was, &new_root); n > 0; n--)
		path_put(&was);
	assert_int_equal(at_walk(w, "/old/m", 0), 0);
	path_put(&was);
	path_put(&put_old);
	path_put(&new_root);
}

/* A directory whose look-ups of "b" run what is in g_hook once, without a lock held. */
static const struct inode_ops *g_real_ops;
static void (*g_hook)(struct world *w, const char *name);
static struct world *g_world;

static int hooked_lookup(struct subject *s, struct inode *dir, const char *name, struct inode **ret)
{
	return g_real_ops->lookup(s, dir, name, ret);
}

static int hooked_rename(struct subject *s, struct inode *old_dir, const char *old_name,
			 struct inode *victim, struct inode *new_dir, const char *new_name,
			 struct inode *target, u32 flags)
{
	return g_real_ops->rename(s, old_dir, old_name, victim, new_dir, new_name, target, flags);
}

static bool g_answer = true; /* when the hook was run */

static bool hooked_revalidate(struct subject *s, struct inode *dir, const char *name,
			      struct inode *inode)
{
	void (*hook)(struct world * w, const char *name) = g_hook;

	g_hook = NULL;
	if (!hook)
		return true;
	hook(g_world, name);
	return g_answer;
}

static struct inode *hooked_evict(struct inode *inode)
{
	return g_real_ops->evict(inode);
}

DECLARE_OPS(struct inode_ops, hooked_ops);
DEFINE_OPS(struct inode_ops, hooked_ops) = {
	.lookup = hooked_lookup,
	.rename = hooked_rename,
	.revalidate = hooked_revalidate,
	.evict = hooked_evict,
};

static void hook_directory(struct world *w, const char *path,
			   void (*hook)(struct world *w, const char *name))
{
	struct path p;

	assert_int_equal(path_walk(&w->s, AT_FDCWD, path, 0, &p), 0);
	if (p.dentry->inode->ops != OPS(hooked_ops))
		g_real_ops = p.dentry->inode->ops;
	p.dentry->inode->ops = OPS(hooked_ops);
	path_put(&p);
	g_world = w;
	g_hook = hook;
}

static void rename_and_look(struct world *w, const char *name)
{
	assert_int_equal(vfs_rename(&w->s, AT_FDCWD, "/a/b", AT_FDCWD, "/a/other", 0), 0);
	put_file(w, "/fill", "x"); /* takes the memory of the old name */
	assert_string_equal(name, "b");
}

static void move_out(struct world *w, const char *name)
{
	assert_int_equal(vfs_rename(&w->s, AT_FDCWD, "/r/a/b", AT_FDCWD, "/b", 0), 0);
}

/* Names move while a walk has none of the locks. */
static void body_moving(struct world *w)
{
	struct path moved, again;

	make_tree(w);
	hook_directory(w, "/a", rename_and_look);
	assert_int_equal(at_walk(w, "/a/b/c", 0), 0);
	assert_null(g_hook);
	/* What was renamed is not what is not there any more. */
	assert_int_equal(vfs_rename(&w->s, AT_FDCWD, "/a/other", AT_FDCWD, "/a/b", 0), 0);
	assert_int_equal(path_walk(&w->s, AT_FDCWD, "/a/b", 0, &moved), 0);
	g_answer = false;
	hook_directory(w, "/a", rename_and_look);
	assert_int_equal(at_walk(w, "/a/b", 0), -ENOENT);
	g_answer = true;
	assert_int_equal(path_walk(&w->s, AT_FDCWD, "/a/other", 0, &again), 0);
	assert_ptr_equal(again.dentry, moved.dentry);
	path_put(&again);
	path_put(&moved);
	/* ".." of what has been moved out does not lead out of what openat2 was confined to. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/r", 0755), i ? -EEXIST : 0);
		assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, i ? "/r/z" : "/r/a", 0755), 0);
		if (!i)
			assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/r/a/b", 0755), 0);
		else
			assert_int_equal(vfs_rename(&w->s, AT_FDCWD, "/b", AT_FDCWD, "/r/a/b", 0),
					 0);
		assert_int_equal(at_chdir(w, "/r"), 0);
		hook_directory(w, "/r/a", move_out);
		assert_int_equal(at_walk(w, "a/b/../fill", i ? WALK_IN_ROOT : WALK_BENEATH),
				 -EAGAIN);
		assert_null(g_hook);
	}
	assert_int_equal(at_chdir(w, "/"), 0);
}

static void body_names(struct world *w)
{
	struct path cwd, root;
	struct strbuf out;

	make_tree(w);
	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/a/b/c/", 0755), -EEXIST);
	assert_int_equal(at_chdir(w, "/a/b/c"), 0);
	assert_string_equal(cwd_name(w), "/a/b/c");
	assert_int_equal(vfs_rename(&w->s, AT_FDCWD, "/a/b", AT_FDCWD, "/moved", 0), 0);
	assert_string_equal(cwd_name(w), "/moved/c");
	assert_int_equal(vfs_rmdir(&w->s, AT_FDCWD, "."), -EINVAL);
	assert_int_equal(vfs_rmdir(&w->s, AT_FDCWD, "x/.."), -ENOENT);
	assert_int_equal(vfs_rmdir(&w->s, AT_FDCWD, ".."), -ENOTEMPTY);
	assert_int_equal(vfs_rmdir(&w->s, AT_FDCWD, "/"), -EBUSY);
	assert_int_equal(vfs_rmdir(&w->s, AT_FDCWD, "/moved/c"), 0);
	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "x", 0755), -ENOENT);
	assert_int_equal(at_walk(w, "x", 0), -ENOENT);
	assert_int_equal(at_walk(w, "..", 0), 0);
	fs_context_get_cwd(w->s.fs, &cwd);
	fs_context_get_root(w->s.fs, &root);
	strbuf_init(&out, 4096);
	assert_int_equal(path_format(&cwd, &root, &out), 0);
	assert_string_equal(strbuf_str(&out), "/moved/c (deleted)");
	/* As seen from a root below. */
	strbuf_reset(&out);
	path_put(&cwd);
	assert_int_equal(path_walk(&w->s, AT_FDCWD, "/moved", 0, &cwd), 0);
	assert_int_equal(path_format(&root, &cwd, &out), 0);
	assert_string_equal(strbuf_str(&out), "(unreachable)/");
	strbuf_fini(&out);
	path_put(&cwd);
	path_put(&root);
	assert_int_equal(at_chdir(w, "/"), 0);
}

static void body_open(struct world *w)
{
	struct file *f;

	make_tree(w);
	assert_int_equal(at_open(w, "/a/f", O_CREAT | O_EXCL | O_RDWR, 0644, &f), -EEXIST);
	assert_int_equal(at_open(w, "/a/abs", O_RDONLY | O_NOFOLLOW, 0, &f), -ELOOP);
	assert_int_equal(at_open(w, "/a/abs", O_RDONLY | O_NOFOLLOW | O_DIRECTORY, 0, &f),
			 -ENOTDIR);
	assert_int_equal(at_open(w, "/a/abs", O_CREAT | O_EXCL | O_RDWR, 0644, &f), -EEXIST);
	assert_int_equal(at_open(w, "/a", O_RDWR, 0, &f), -EISDIR);
	assert_int_equal(at_open(w, "/a", O_CREAT | O_RDONLY, 0644, &f), -EISDIR);
	assert_int_equal(at_open(w, "/a/new/", O_CREAT | O_RDONLY, 0644, &f), -EISDIR);
	assert_int_equal(at_open(w, "/", O_CREAT | O_RDONLY, 0644, &f), -EISDIR);
	assert_int_equal(at_open(w, "/a/..", O_CREAT | O_RDONLY, 0644, &f), -EISDIR);
	assert_int_equal(at_open(w, "/a/f", O_RDONLY | O_DIRECTORY, 0, &f), -ENOTDIR);
	assert_int_equal(at_open(w, "/a/f/", O_RDONLY, 0, &f), -ENOTDIR);
	assert_int_equal(at_open(w, "/a/none", O_RDONLY, 0, &f), -ENOENT);
	assert_int_equal(at_open(w, "/loop1", O_CREAT | O_RDWR, 0644, &f), -ELOOP);
	file_put(must_open(w, "/a", O_TMPFILE | O_RDWR, 0644));
	/* A dangling link is created through. */
	assert_int_equal(vfs_symlink(&w->s, "b/made", AT_FDCWD, "/a/dangling"), 0);
	file_put(must_open(w, "/a/dangling", O_CREAT | O_WRONLY, 0600));
	assert_int_equal(at_walk(w, "/a/b/made", 0), 0);
	/* O_PATH: no reading, but a place. */
	f = must_open(w, "/a/abs", O_PATH | O_NOFOLLOW, 0);
	assert_true(S_ISLNK(f->inode->mode));
	assert_int_equal(get_at(w, f, &(char){ 0 }, 1, NULL), -EBADF);
	file_put(f);
	f = must_open(w, "/a/f", O_WRONLY, 0);
	assert_int_equal(get_at(w, f, &(char){ 0 }, 1, NULL), -EBADF);
	file_put(f);
	f = must_open(w, "/a", O_RDONLY, 0);
	assert_int_equal(get_at(w, f, &(char){ 0 }, 1, NULL), -EISDIR);
	assert_int_equal(file_poll(f) & EPOLLIN, EPOLLIN);
	file_put(f);
	/* Nodes without a driver, and sockets. */
	assert_int_equal(vfs_mknod(&w->s, AT_FDCWD, "/dev0", S_IFCHR | 0600, makedev(200, 1)), 0);
	assert_int_equal(at_open(w, "/dev0", O_RDONLY, 0, &f), -ENXIO);
	assert_int_equal(vfs_mknod(&w->s, AT_FDCWD, "/blk0", S_IFBLK | 0600, makedev(200, 1)), 0);
	assert_int_equal(at_open(w, "/blk0", O_RDONLY, 0, &f), -ENXIO);
	assert_int_equal(vfs_mknod(&w->s, AT_FDCWD, "/sock", S_IFSOCK | 0600, 0), 0);
	assert_int_equal(at_open(w, "/sock", O_RDONLY, 0, &f), -ENXIO);
	assert_int_equal(vfs_mknod(&w->s, AT_FDCWD, "/dir", S_IFDIR | 0700, 0), -EPERM);
	assert_int_equal(vfs_mknod(&w->s, AT_FDCWD, "/lnk", S_IFLNK | 0700, 0), -EINVAL);
}

static void body_permission(struct world *w)
{
	const struct iattr mode6755 = { .valid = ATTR_MODE, .mode = 06755 };
	const struct iattr own = { .valid = ATTR_UID | ATTR_GID, .uid = 1000, .gid = 1000 };
	struct kstat st;
	struct path p;
	struct file *f;

	make_tree(w);
	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/closed", 0700), 0);
	put_file(w, "/closed/f", "x");
	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/sticky", 01777), 0);
	put_file(w, "/sticky/roots", "x");
	assert_int_equal(vfs_mknod(&w->s, AT_FDCWD, "/sticky/mine", S_IFREG | 0644, 0), 0);
	assert_int_equal(path_walk(&w->s, AT_FDCWD, "/sticky/mine", 0, &p), 0);
	assert_int_equal(vfs_setattr(&w->s, &p, &mode6755), 0);
	assert_int_equal(vfs_setattr(&w->s, &p, &own), 0);
	assert_int_equal(vfs_getattr(&w->s, &p, &st), 0);
	assert_int_equal(st.mode & 07777, 0755);
	assert_int_equal(st.uid, 1000);

	world_set_user(w, 1000, 1000);
	assert_int_equal(at_walk(w, "/closed", 0), 0);
	assert_int_equal(at_walk(w, "/closed/f", 0), -EACCES);
	assert_int_equal(at_walk(w, "/closed/..", 0), -EACCES);
	assert_int_equal(at_open(w, "/a/f", O_RDWR, 0, &f), -EACCES);
	file_put(must_open(w, "/a/f", O_RDONLY, 0));
	assert_int_equal(at_open(w, "/a/new", O_CREAT | O_RDWR, 0644, &f), -EACCES);
	assert_int_equal(vfs_unlink(&w->s, AT_FDCWD, "/a/f"), -EACCES);
	assert_int_equal(vfs_unlink(&w->s, AT_FDCWD, "/sticky/roots"), -EPERM);
	assert_int_equal(vfs_rename(&w->s, AT_FDCWD, "/sticky/mine", AT_FDCWD, "/sticky/roots", 0),
			 -EPERM);
	assert_int_equal(vfs_mknod(&w->s, AT_FDCWD, "/sticky/d", S_IFCHR | 0600, makedev(1, 3)),
			 -EPERM);
	/* Own file, unwritable for its owner: made so, it can still be written by who opened it at
	 * creation. */
	f = must_open(w, "/sticky/ro", O_CREAT | O_RDWR, 0400);
	assert_int_equal(put_at(w, f, "x", 1, NULL), 1);
	file_put(f);
	assert_int_equal(at_open(w, "/sticky/ro", O_RDWR, 0, &f), -EACCES);
	assert_int_equal(vfs_permission(&w->s, &p, R_OK | W_OK | X_OK), 0);
	/* chown away is not ours; chmod is. A write takes setuid away. */
	assert_int_equal(vfs_setattr(&w->s, &p, &(struct iattr){ .valid = ATTR_UID, .uid = 1 }),
			 -EPERM);
	assert_int_equal(vfs_setattr(&w->s, &p, &(struct iattr){ .valid = ATTR_GID, .gid = 1 }),
			 -EPERM);
	assert_int_equal(vfs_setattr(&w->s, &p, &(struct iattr){ .valid = ATTR_GID, .gid = 1000 }),
			 0);
	assert_int_equal(vfs_setattr(&w->s, &p, &mode6755), 0);
	f = must_open(w, "/sticky/mine", O_WRONLY, 0);
	assert_int_equal(put_at(w, f, "x", 1, NULL), 1);
	file_put(f);
	assert_int_equal(vfs_getattr(&w->s, &p, &st), 0);
	assert_int_equal(st.mode & 07777, 0755);
	path_put(&p);
	assert_int_equal(path_walk(&w->s, AT_FDCWD, "/a/f", 0, &p), 0);
	assert_int_equal(vfs_setattr(&w->s, &p, &mode6755), -EPERM);
	assert_int_equal(vfs_setattr(&w->s, &p, &(struct iattr){ .valid = ATTR_ATIME }), -EPERM);
	assert_int_equal(
		vfs_setattr(&w->s, &p, &(struct iattr){ .valid = ATTR_ATIME | ATTR_TOUCH }),
		-EACCES);
	assert_int_equal(vfs_truncate(&w->s, &p, 0), -EACCES);
	path_put(&p);
}

static void body_file(struct world *w)
{
	struct file *f, *g;
	char buf[16] = {};
	s64 pos = 3;

	f = must_open(w, "/f", O_CREAT | O_RDWR, 0644);
	assert_int_equal(put_at(w, f, "0123456789", 10, NULL), 10);
	assert_int_equal(f->pos, 10);
	assert_int_equal(get_at(w, f, buf, 4, &pos), 4);
	assert_memory_equal(buf, "3456", 4);
	assert_int_equal(f->pos, 10);
	assert_int_equal(file_lseek(&w->s, f, -3, SEEK_END), 7);
	assert_int_equal(get_at(w, f, buf, 10, NULL), 3);
	assert_int_equal(get_at(w, f, buf, 10, NULL), 0);
	assert_int_equal(file_lseek(&w->s, f, -1, SEEK_SET), -EINVAL);
	assert_int_equal(file_lseek(&w->s, f, 0, 17), -EINVAL);
	assert_int_equal(file_lseek(&w->s, f, 100, SEEK_DATA), -ENXIO);
	assert_int_equal(file_lseek(&w->s, f, 2, SEEK_HOLE), 10);
	/* Appending goes to the end, whatever the position. */
	g = must_open(w, "/f", O_WRONLY | O_APPEND, 0);
	pos = 0;
	assert_int_equal(put_at(w, g, "ab", 2, &pos), 2);
	assert_int_equal(pos, 12);
	assert_int_equal(put_at(w, g, "cd", 2, NULL), 2);
	assert_int_equal(g->pos, 14);
	assert_int_equal(file_setfl(&w->s, g, O_NONBLOCK), 0);
	pos = 0;
	assert_int_equal(put_at(w, g, "X", 1, &pos), 1);
	assert_int_equal(get_at(w, f, buf, 1, &(s64){ 0 }), 1);
	assert_int_equal(buf[0], 'X');
	/* RLIMIT_FSIZE: short up to the limit, then EFBIG; growth by truncation too. */
	w->rlimits.limit[RLIMIT_FSIZE].cur = 16;
	pos = 14;
	assert_int_equal(put_at(w, f, "zzzz", 4, &pos), 2);
	assert_int_equal(put_at(w, f, "zzzz", 4, &pos), -EFBIG);
	assert_int_equal(file_truncate(&w->s, f, 17), -EFBIG);
	assert_int_equal(file_truncate(&w->s, f, 4), 0);
	w->rlimits.limit[RLIMIT_FSIZE].cur = RLIM_INFINITY;
	pos = INT64_MAX;
	assert_int_equal(put_at(w, f, "z", 1, &pos), -EFBIG);
	assert_int_equal(file_truncate(&w->s, f, -1), -EINVAL);
	file_put(f);
	file_put(g);
}

static void body_fds(struct world *w)
{
	struct file *f = must_open(w, "/f", O_CREAT | O_RDWR, 0644), *two[2] = { f, f }, *g;
	struct fdtable *copy, *own;
	struct subject *s = &w->s;
	int fds[2];
	u32 flags;

	for (int i = 0; i < 200; i++)
		assert_int_equal(fd_install(s, f, 0, i % 2 ? FD_CLOEXEC_FLAG : 0), i);
	assert_int_equal(fd_close(s, 7), 0);
	assert_int_equal(fd_close(s, 7), -EBADF);
	assert_int_equal(fd_close(s, -1), -EBADF);
	assert_int_equal(fd_close(s, 1 << 30), -EBADF);
	assert_null(fd_get(s->files, 7, NULL));
	assert_null(fd_get(s->files, -1, NULL));
	assert_int_equal(fd_install(s, f, 5, 0), 7);
	assert_int_equal(fd_install(s, f, 500, 0), 500);
	assert_int_equal(fdtable_next(s->files, 201), 500);
	assert_int_equal(fdtable_next(s->files, 501), -1);
	assert_int_equal(fd_install(s, f, 1024, 0), -EINVAL);
	assert_int_equal(fd_install_at(s, f, 1024, 0), -EBADF);
	assert_int_equal(fd_install_at(s, f, 1023, FD_CLOEXEC_FLAG), 1023);
	g = fd_get(s->files, 1023, &flags);
	assert_ptr_equal(g, f);
	assert_int_equal(flags, FD_CLOEXEC_FLAG);
	file_put(g);
	/* Full, but for one: two at once fail and leave none. */
	w->rlimits.limit[RLIMIT_NOFILE].cur = 201;
	assert_int_equal(fd_install_two(s, two, 0, fds), -EMFILE);
	assert_int_equal(fd_install(s, f, 0, 0), 200);
	assert_int_equal(fd_install(s, f, 0, 0), -EMFILE);
	w->rlimits.limit[RLIMIT_NOFILE].cur = 4096;
	assert_int_equal(fd_install_two(s, two, 0, fds), 0);
	assert_int_equal(fds[0], 201);
	assert_int_equal(fds[1], 202);
	/* A copy below a bound; close-on-exec; ranges. */
	assert_int_equal(fdtable_fork(s->files, 100, &copy), 0);
	assert_int_equal(fdtable_next(copy, 99), 99);
	assert_int_equal(fdtable_next(copy, 100), -1);
	own = s->files;
	s->files = copy;
	assert_int_equal(fd_install(s, f, 0, 0), 100);
	fdtable_close_on_exec(s);
	assert_int_equal(fdtable_next(copy, 1), 2);
	assert_int_equal(fd_close_range(s, 10, 5, 0), -EINVAL);
	assert_int_equal(fd_close_range(s, 0, 50, 4), 0);
	assert_int_equal(fd_close_range(s, 60, ~0u, 0), 0);
	assert_int_equal(fdtable_next(copy, 59), -1);
	fdtable_close_on_exec(s);
	assert_int_equal(fdtable_next(copy, 0), 52);
	s->files = own;
	fdtable_put(copy);
	file_put(f);
}

/* More names than the cache keeps: the bound holds, and nothing is lost. */
static void body_cache(struct world *w)
{
	struct super *sb = w->ns->root->sb;
	char name[32];

	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/d", 0755), 0);
	for (int i = 0; i < 40'000; i++) {
		snprintf(name, sizeof(name), "/d/n%d", i);
		assert_int_equal(at_walk(w, name, 0), -ENOENT);
		if (i % 10 == 0)
			assert_int_equal(vfs_mknod(&w->s, AT_FDCWD, name, S_IFREG | 0600, 0), 0);
	}
	assert_true(sb->dcache.count <= 16384 + 8);
	for (int i = 0; i < 40'000; i++) {
		snprintf(name, sizeof(name), "/d/n%d", i);
		assert_int_equal(at_walk(w, name, 0), i % 10 ? -ENOENT : 0);
	}
	/* A directory that goes takes its negative names along. */
	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/e", 0755), 0);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "/e/n%d", i);
		assert_int_equal(at_walk(w, name, 0), -ENOENT);
	}
	assert_int_equal(vfs_rmdir(&w->s, AT_FDCWD, "/e"), 0);
}

/* Two threads of a process rename directories into each other while others walk. */
struct race {
	struct world *w;
	u32 seed;
	_Atomic u32 *left;
	struct fiber *waiter;
};

static void race_fiber(void *arg)
{
	static const char *const names[] = { "/p",     "/q",	 "/p/x", "/q/x",
					     "/p/x/y", "/q/x/y", "/p/l", "/q/l/x" };
	struct race *r = arg;
	struct subject s = r->w->s;
	u32 x = r->seed;

	s.fiber = fiber_current();
	for (int i = 0; i < 3000; i++) {
		const char *a, *b;

		x = x * 1'103'515'245 + 12345;
		a = names[x >> 16 & 7];
		b = names[x >> 20 & 7];
		switch (x >> 24 & 7) {
		case 0:
			(void)!vfs_mkdir(&s, AT_FDCWD, a, 0755);
			break;
		case 1:
			(void)!vfs_rmdir(&s, AT_FDCWD, a);
			break;
		case 2:
			(void)!vfs_symlink(&s, b, AT_FDCWD, a);
			break;
		case 3:
			(void)!vfs_unlink(&s, AT_FDCWD, a);
			break;
		case 4:
			(void)!vfs_rename(&s, AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
			break;
		default:
			(void)!vfs_rename(&s, AT_FDCWD, a, AT_FDCWD, b, 0);
		}
	}
	(*r->left)--;
	fiber_unpark(r->waiter);
}

static void body_race(struct world *w)
{
	_Atomic u32 left = 4;
	struct race r[4];

	for (u32 i = 0; i < 4; i++) {
		r[i] = (struct race){ w, i + 1, &left, fiber_current() };
		fiber_start(fiber_create(race_fiber, &r[i]));
	}
	while (left)
		fiber_park(NO_DEADLINE);
}

TEST(walk)
TEST(links)
TEST(restrictions)
TEST(mounts)
TEST(pivot)
TEST(moving)
TEST(names)
TEST(open)
TEST(permission)
TEST(file)
TEST(fds)
TEST(cache)
TEST_PARALLEL(race)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),	     cmocka_unit_test(test_links),
		cmocka_unit_test(test_restrictions), cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_names),	     cmocka_unit_test(test_open),
		cmocka_unit_test(test_permission),   cmocka_unit_test(test_file),
		cmocka_unit_test(test_fds),	     cmocka_unit_test(test_cache),
		cmocka_unit_test(test_race),	     cmocka_unit_test(test_pivot),
		cmocka_unit_test(test_moving),
	};

	if (arena_create())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
