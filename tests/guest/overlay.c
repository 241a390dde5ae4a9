/*
 * Changes of a tree that was there before: inside Donjon, of the overlay's lower layer.
 *
 *	overlay			in a tree that it makes and removes
 *	overlay --make DIR	only makes the tree
 *	overlay --grow FILE	what a mapping shows that grows after the file was changed
 *	overlay DIR		in a tree made before, perhaps outside the sandbox
 */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define FILE_SIZE 100000
#define MANY 60
#define SPARSE_SIZE (64L << 20)

static unsigned char pattern(long at)
{
	return (unsigned char)(at * 7 + (at >> 8));
}

/* ---- the tree ---- */

static void put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	need(fd >= 0);
	need(write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static void put_pattern(const char *name, long size)
{
	static unsigned char buf[FILE_SIZE];
	for (long i = 0; i < size; i++)
		buf[i] = pattern(i);
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
	need(fd >= 0 && write(fd, buf, size) == size && close(fd) == 0);
}

static void copy_self(const char *to)
{
	char buf[65536];
	int in = open("/proc/self/exe", O_RDONLY), out = open(to, O_WRONLY | O_CREAT, 0755);
	ssize_t n;
	need(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		need(write(out, buf, n) == n);
	close(in);
	need(fchmod(out, 0755) == 0 && close(out) == 0);
}

static void make_tree(void)
{
	char name[64];
	umask(022);
	put_pattern("data", FILE_SIZE);
	put_pattern("data2", FILE_SIZE);
	put_pattern("data3", FILE_SIZE);
	put_pattern("cut", FILE_SIZE);
	put("small", "lower\n");
	put("gone", "gone\n");
	put("over", "over\n");
	put("moved", "moved\n");
	put("x", "x\n");
	put("log", "one\n");
	put("link1", "linked\n");
	need(link("link1", "link2") == 0 && link("link1", "link3") == 0);
	need(symlink("small", "symlink") == 0 && symlink("nowhere", "dangling") == 0);
	need(mkdir("dir", 0755) == 0 && mkdir("dir/sub", 0755) == 0);
	put("dir/a", "a\n");
	put("dir/sub/b", "b\n");
	need(mkdir("full", 0755) == 0 && mkdir("empty", 0755) == 0 && mkdir("other", 0755) == 0);
	put("full/1", "1\n");
	put("full/2", "2\n");
	need(mkdir("group", 0755) == 0 && chmod("group", 02775) == 0);
	need(mkdir("many", 0755) == 0);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "many/name%03d", i);
		put(name, "x");
	}
	need(mkfifo("fifo", 0644) == 0);
	put("attrs", "attrs\n");
	need(setxattr("attrs", "user.old", "kept", 4, 0) == 0);
	int fd = open("sparse", O_WRONLY | O_CREAT, 0644);
	need(ftruncate(fd, SPARSE_SIZE) == 0 && pwrite(fd, "mid", 3, SPARSE_SIZE / 2) == 3);
	close(fd);
	copy_self("program");
	strcpy(name, "deep");
	need(mkdir(name, 0755) == 0);
	for (int i = 0; i < 8; i++)
		need(mkdir(strcat(name, "/d"), 0755) == 0);
	put(strcat(name, "/leaf"), "leaf\n");
}

/* ---- helpers ---- */

static bool has_text(const char *name, const char *text)
{
	char buf[256];
	int fd = open(name, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));
	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) && memcmp(buf, text, n) == 0;
}

static bool exists(const char *name)
{
	struct stat st;
	return lstat(name, &st) == 0;
}

static ino_t ino_of(const char *name)
{
	struct stat st;
	return lstat(name, &st) == 0 ? st.st_ino : 0;
}

static ino_t listed_ino(const char *dir, const char *name)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	ino_t ino = 0;
	need(d);
	while ((e = readdir(d)))
		if (strcmp(e->d_name, name) == 0)
			ino = e->d_ino;
	closedir(d);
	return ino;
}

static int count_names(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;
	need(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static int count_name(const char *dir, const char *name)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0;
	need(d);
	while ((e = readdir(d)))
		n += strcmp(e->d_name, name) == 0;
	closedir(d);
	return n;
}

static bool has_pattern(const char *name, long from, long to)
{
	static unsigned char buf[FILE_SIZE];
	int fd = open(name, O_RDONLY);
	ssize_t n = pread(fd, buf, to - from, from);
	close(fd);
	if (n != to - from)
		return false;
	for (long i = 0; i < n; i++)
		if (buf[i] != pattern(from + i))
			return false;
	return true;
}

/* ---- contents ---- */

static void test_write(void)
{
	struct stat a, b;
	char buf[16];
	int old = open("data", O_RDONLY);
	need(old >= 0 && fstat(old, &a) == 0);
	is_int(listed_ino(".", "data"), a.st_ino, "readdir and stat agree");
	int fd = open("data", O_RDWR);
	is_int(pread(fd, buf, 1, 5000), 1, "read before the first write");
	is_int(pwrite(fd, "XYZ", 3, 50000), 3, "a write in the middle");
	is_int(pread(fd, buf, 3, 50000), 3, "read it back");
	ok(memcmp(buf, "XYZ", 3) == 0, "it is what was written");
	is_int(pread(old, buf, 3, 50000), 3, "through a descriptor opened before");
	ok(memcmp(buf, "XYZ", 3) == 0, "the same");
	fstat(fd, &b);
	ok(a.st_dev == b.st_dev && a.st_ino == b.st_ino, "the number stays");
	fstat(old, &b);
	ok(a.st_dev == b.st_dev && a.st_ino == b.st_ino, "that of the old descriptor too");
	ok(b.st_size == FILE_SIZE && b.st_mode == a.st_mode && b.st_uid == a.st_uid,
	   "size, mode, owner");
	ok(has_pattern("data", 0, 50000) && has_pattern("data", 50003, FILE_SIZE), "the rest");
	is_int(listed_ino(".", "data"), a.st_ino, "readdir and stat still agree");
	close(fd);
	close(old);
	fd = open("log", O_WRONLY | O_APPEND);
	is_int(write(fd, "two\n", 4), 4, "append");
	close(fd);
	ok(has_text("log", "one\ntwo\n"), "is appended");
	fd = open("cut", O_WRONLY | O_TRUNC);
	fstat(fd, &a);
	is_int(a.st_size, 0, "O_TRUNC");
	close(fd);
	is_int(truncate("data2", 1000), 0, "truncate to less");
	stat("data2", &a);
	is_int(a.st_size, 1000, "the size");
	ok(has_pattern("data2", 0, 1000), "the beginning is kept");
	is_int(truncate("data2", 3000), 0, "and to more");
	fd = open("data2", O_RDONLY);
	is_int(pread(fd, buf, 4, 2000), 4, "there are");
	ok(memcmp(buf, "\0\0\0\0", 4) == 0, "zeros");
	close(fd);
	stat("sparse", &a);
	fd = open("sparse", O_RDWR);
	is_int(pwrite(fd, "s", 1, 0), 1, "write to a sparse file");
	is_int(pread(fd, buf, 3, SPARSE_SIZE / 2), 3, "its middle");
	ok(memcmp(buf, "mid", 3) == 0, "is kept");
	fstat(fd, &a);
	ok(a.st_size == SPARSE_SIZE && a.st_blocks * 512 < (1 << 20), "and so are the holes");
	close(fd);
}

static void test_mmap(void)
{
	int fd = open("data3", O_RDWR), other = open("data3", O_RDONLY);
	unsigned char *private_ = mmap(NULL, FILE_SIZE, PROT_READ, MAP_PRIVATE, other, 0);
	need(private_ != MAP_FAILED);
	ok(private_[9999] == pattern(9999), "a private mapping");
	unsigned char *p = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	unsigned char *q = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, other, 0);
	need(p != MAP_FAILED && q != MAP_FAILED);
	ok(p[12345] == pattern(12345), "a shared one");
	p[20000] = 200;
	is_int(q[20000], 200, "seen by another");
	unsigned char c = 0;
	is_int(pread(other, &c, 1, 20000), 1, "and by read");
	is_int(c, 200, "the value");
	c = 100;
	is_int(pwrite(fd, &c, 1, 30000), 1, "write");
	is_int(q[30000], 100, "is seen by both mappings");
	is_int(p[30000], 100, "by the writable one");
	munmap(p, FILE_SIZE);
	munmap(q, FILE_SIZE);
	munmap(private_, FILE_SIZE);
	close(fd);
	close(other);
}

static void test_attributes(void)
{
	struct stat a, b;
	char buf[64];
	struct timespec times[2] = { { 1000, 5 }, { 2000, 6 } };
	stat("small", &a);
	int fd = open("small", O_RDONLY);
	is_int(chmod("small", 0640), 0, "chmod");
	fstat(fd, &b);
	ok(b.st_mode == (S_IFREG | 0640) && b.st_ino == a.st_ino, "seen through a descriptor");
	ok(b.st_mtim.tv_sec == a.st_mtim.tv_sec && b.st_mtim.tv_nsec == a.st_mtim.tv_nsec,
	   "mtime stays");
	is_int(futimens(fd, times), 0, "futimens");
	stat("small", &b);
	ok(b.st_atim.tv_sec == 1000 && b.st_mtim.tv_nsec == 6, "times");
	ok(has_text("small", "lower\n"), "the contents stay");
	close(fd);
	if (geteuid() == 0) {
		is_int(chown("dir/a", 1234, 4321), 0, "chown");
		stat("dir/a", &b);
		ok(b.st_uid == 1234 && b.st_gid == 4321, "owner");
		is_int(lchown("dangling", 1, 2), 0, "of a link");
		lstat("dangling", &b);
		ok(b.st_uid == 1 && b.st_gid == 2, "its owner");
	} else {
		skip("not root", "chown");
		skip("not root", "owner");
		skip("not root", "of a link");
		skip("not root", "its owner");
	}
	is_int(chmod("dir", 0711), 0, "chmod of a directory");
	ok(has_text("dir/sub/b", "b\n"), "whose names stay");
	is_int(getxattr("attrs", "user.old", buf, sizeof(buf)), 4, "an extended attribute");
	is_int(setxattr("attrs", "user.new", "n", 1, 0), 0, "another one");
	is_int(getxattr("attrs", "user.old", buf, sizeof(buf)), 4, "the first stays");
	is_int(removexattr("attrs", "user.old"), 0, "remove it");
	is_err(getxattr("attrs", "user.old", buf, sizeof(buf)), ENODATA, "it is gone");
	ok(has_text("attrs", "attrs\n"), "contents are as before");
}

/* ---- names ---- */

static void test_unlink(void)
{
	int fd = open("gone", O_RDONLY);
	char buf[8];
	struct stat st;
	is_int(unlink("gone"), 0, "unlink");
	ok(!exists("gone") && count_name(".", "gone") == 0, "the name is gone");
	is_err(open("gone", O_RDONLY), ENOENT, "and cannot be opened");
	is_int(read(fd, buf, 5), 5, "what was open can be read");
	fstat(fd, &st);
	is_int(st.st_nlink, 0, "without a link");
	is_int(fchmod(fd, 0600), 0, "and changed");
	close(fd);
	fd = open("gone", O_WRONLY | O_CREAT | O_EXCL, 0600);
	ok(fd >= 0, "a new file of that name");
	is_int(write(fd, "new", 3), 3, "with contents");
	close(fd);
	ok(has_text("gone", "new"), "of its own");
	is_int(count_name(".", "gone"), 1, "is there once");
	is_int(unlink("gone"), 0, "unlink that");
	ok(!exists("gone"), "the old one does not come back");
	is_int(mkdir("gone", 0755), 0, "a directory of that name");
	is_int(count_names("gone"), 0, "is empty");
	is_int(rmdir("gone"), 0, "rmdir");
	ok(!exists("gone"), "gone again");
	is_int(symlink("small", "gone"), 0, "a link of that name");
	ok(has_text("gone", "lower\n"), "leads on");
	unlink("gone");
	is_int(unlink("dangling"), 0, "unlink of a link");
	is_int(unlink("symlink"), 0, "of another");
	ok(exists("small"), "not of its target");
}

static void test_rmdir(void)
{
	is_err(rmdir("full"), ENOTEMPTY, "rmdir of a full directory");
	is_int(unlink("full/1"), 0, "unlink one");
	is_err(rmdir("full"), ENOTEMPTY, "still full");
	is_int(unlink("full/2"), 0, "and the other");
	is_int(count_names("full"), 0, "it is empty");
	int fd = open("full", O_RDONLY | O_DIRECTORY);
	is_int(rmdir("full"), 0, "rmdir");
	is_err(openat(fd, "new", O_CREAT | O_WRONLY, 0600), ENOENT, "no names in what is removed");
	close(fd);
	is_int(mkdir("full", 0755), 0, "mkdir of that name");
	is_int(count_names("full"), 0, "is empty");
	ok(!exists("full/1"), "the old names do not come back");
	is_err(open("full/2", O_RDONLY), ENOENT, "the other neither");
	put("full/1", "new\n");
	ok(has_text("full/1", "new\n"), "a new one is new");
	is_int(rmdir("empty"), 0, "rmdir of an empty one");
	ok(!exists("empty"), "is gone");
}

static void test_links(void)
{
	struct stat a, b;
	stat("link1", &a);
	stat("link2", &b);
	ok(a.st_ino == b.st_ino && a.st_nlink == 3, "one file, three names");
	put("link1", "changed\n");
	ok(has_text("link2", "changed\n"), "written by one name, read by another");
	chmod("link3", 0600);
	stat("link1", &b);
	ok(b.st_mode == (S_IFREG | 0600) && b.st_ino == a.st_ino, "attributes too");
	is_int(unlink("link1"), 0, "unlink one");
	stat("link2", &b);
	is_int(b.st_nlink, 2, "two are left");
	is_int(link("link3", "link4"), 0, "a new one");
	stat("link2", &b);
	ok(b.st_nlink == 3 && b.st_ino == ino_of("link4"), "three again");
	is_int(rename("link4", "link5"), 0, "rename it");
	is_int(rename("link5", "link3"), 0, "onto another of the same: nothing happens");
	ok(exists("link5") && exists("link3"), "both are there");
	unlink("link2");
	unlink("link3");
	ok(has_text("link5", "changed\n"), "the last has the contents");
}

static void test_rename(void)
{
	ino_t ino = ino_of("moved"), dir = ino_of("dir");
	is_int(rename("moved", "over"), 0, "rename onto a file");
	ok(has_text("over", "moved\n") && !exists("moved"), "it is there");
	is_int(ino_of("over"), ino, "the same file");
	is_int(listed_ino(".", "over"), ino, "readdir agrees");
	is_int(count_name(".", "over"), 1, "once");
	is_int(unlink("over"), 0, "unlink it");
	ok(!exists("over"), "what it covered does not come back");
	is_int(rename("dir", "other/dir2"), 0, "rename of a directory");
	ok(!exists("dir"), "the old name is gone");
	ok(has_text("other/dir2/sub/b", "b\n"), "what it holds went along");
	is_int(ino_of("other/dir2"), dir, "the same directory");
	is_int(listed_ino("other/dir2", ".."), ino_of("other"), "its parent is the new one");
	put("other/dir2/sub/c", "c\n");
	is_int(count_names("other/dir2/sub"), 2, "a new name beside the old");
	is_int(mkdir("dir", 0755), 0, "a new directory of the old name");
	is_int(count_names("dir"), 0, "is empty");
	is_err(rename("other", "other/dir2/x"), EINVAL, "into itself");
	is_err(rename("dir", "other"), ENOTEMPTY, "onto a full one");
	is_err(rename("x", "dir"), EISDIR, "a file onto a directory");
	is_err(rename("dir", "x"), ENOTDIR, "and the other way");
	is_int(rename("other/dir2", "dir"), 0, "back onto an empty one");
	ok(has_text("dir/sub/b", "b\n") && !exists("other/dir2"), "all is there");
	is_int(rename("deep/d/d/d", "deep/e"), 0, "out of the depth");
	ok(has_text("deep/e/d/d/d/d/d/leaf", "leaf\n"), "the leaf went along");
	is_err(renameat2(AT_FDCWD, "x", AT_FDCWD, "small", RENAME_NOREPLACE), EEXIST, "NOREPLACE");
	is_int(renameat2(AT_FDCWD, "x", AT_FDCWD, "dir", RENAME_EXCHANGE), 0, "EXCHANGE");
	ok(has_text("dir", "x\n") && has_text("x/sub/b", "b\n"), "each is the other");
	is_int(renameat2(AT_FDCWD, "x", AT_FDCWD, "dir", RENAME_EXCHANGE), 0, "and back");
	ok(has_text("x", "x\n") && has_text("dir/sub/b", "b\n"), "as before");
	put("fresh", "fresh\n");
	is_int(renameat2(AT_FDCWD, "fresh", AT_FDCWD, "x", RENAME_EXCHANGE), 0, "with a new file");
	ok(has_text("x", "fresh\n") && has_text("fresh", "x\n"), "each is the other again");
	is_err(renameat2(AT_FDCWD, "x", AT_FDCWD, "y", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL,
	       "flags that exclude each other");
	is_err(renameat2(AT_FDCWD, "x", AT_FDCWD, "missing", RENAME_EXCHANGE), ENOENT,
	       "with nothing");
}

static void test_cwd(void)
{
	char was[4096], now[4096];
	need(chdir("deep") == 0 && getcwd(was, sizeof(was)));
	is_int(rename("../deep", "../depth"), 0, "rename of the working directory");
	ok(getcwd(now, sizeof(now)) && strcmp(was, now) != 0 && strstr(now, "/depth"),
	   "getcwd tells the new name");
	ok(exists("e/d"), "it still has its names");
	need(chdir("..") == 0);
	is_int(rename("depth", "deep"), 0, "rename it back");
}

static void test_readdir(void)
{
	char seen[MANY + 20] = {}, name[64];
	struct dirent *e;
	long where[200];
	int count = 0;
	unlink("many/name003");
	rename("many/name004", "many/renamed");
	put("many/name005", "changed");
	put("many/new", "new");
	DIR *d = opendir("many");
	while ((e = readdir(d))) {
		if (strncmp(e->d_name, "name", 4) == 0)
			seen[atoi(e->d_name + 4)]++;
		need(count < 200);
		where[count++] = telldir(d);
	}
	is_int(count, MANY + 2, "as many entries as there are");
	bool once = !seen[3] && !seen[4] && seen[5] == 1;
	for (int i = 6; i < MANY; i++)
		once = once && seen[i] == 1;
	ok(once, "each once");
	bool same = true;
	for (int i = 0; i + 1 < count; i += 7) {
		seekdir(d, where[i]);
		e = readdir(d);
		need(e);
		snprintf(name, sizeof(name), "%.60s", e->d_name);
		seekdir(d, where[i]);
		e = readdir(d);
		same = same && strcmp(e->d_name, name) == 0;
	}
	ok(same, "seekdir leads to the same entry again");
	rewinddir(d);
	int left = 0;
	while ((e = readdir(d))) {
		snprintf(name, sizeof(name), "many/%.40s", e->d_name);
		if (e->d_name[0] != '.')
			need(unlink(name) == 0);
	}
	rewinddir(d);
	while (readdir(d))
		left++;
	is_int(left, 2, "all can be unlinked while they are read");
	closedir(d);
	is_int(rmdir("many"), 0, "and then the directory");
}

/* ---- files without names, programs, limits ---- */

static void test_tmpfile(void)
{
	char path[64];
	struct stat st;
	int fd = open("dir", O_TMPFILE | O_RDWR, 0644);
	ok(fd >= 0, "O_TMPFILE");
	fstat(fd, &st);
	is_int(st.st_nlink, 0, "no link");
	is_int(write(fd, "tmp\n", 4), 4, "write");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	is_int(linkat(AT_FDCWD, path, AT_FDCWD, "dir/named", AT_SYMLINK_FOLLOW), 0,
	       "give it a name by /proc");
	ok(has_text("dir/named", "tmp\n"), "it has the contents");
	fstat(fd, &st);
	is_int(st.st_nlink, 1, "one link");
	unlink("dir/named");
	is_err(linkat(AT_FDCWD, path, AT_FDCWD, "dir/named", AT_SYMLINK_FOLLOW), ENOENT,
	       "not again once it lost it");
	close(fd);
	if (geteuid() == 0) {
		fd = open("dir", O_TMPFILE | O_WRONLY, 0600);
		is_int(linkat(fd, "", AT_FDCWD, "dir/named", AT_EMPTY_PATH), 0, "AT_EMPTY_PATH");
		is_err(linkat(fd, "", AT_FDCWD, "dir/named", AT_EMPTY_PATH), EEXIST, "again");
		close(fd);
		unlink("dir/named");
	} else {
		skip("not root", "AT_EMPTY_PATH");
		skip("not root", "again");
	}
	fd = open("dir", O_TMPFILE | O_RDWR | O_EXCL, 0600);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	is_err(linkat(AT_FDCWD, path, AT_FDCWD, "dir/named", AT_SYMLINK_FOLLOW), ENOENT,
	       "with O_EXCL never");
	close(fd);
	is_err(open("dir", O_TMPFILE | O_RDONLY, 0600), EINVAL, "it must be writable");
	is_err(open("small", O_TMPFILE | O_RDWR, 0600), ENOTDIR, "in a directory");
	is_err(open("missing", O_TMPFILE | O_RDWR, 0600), ENOENT, "that is there");
}

static int run(const char *program)
{
	pid_t child = tap_fork();
	if (child == 0) {
		execl(program, program, "--true", NULL);
		_exit(errno == ETXTBSY ? 77 : 78);
	}
	return tap_wait(child);
}

static void test_exec(void)
{
	struct event ready;
	is_exit(run("./program"), 0, "a program runs");
	int fd = open("program", O_RDWR);
	ok(fd >= 0, "it can be opened for writing");
	is_exit(run("./program"), 77, "then it is busy");
	close(fd);
	event_init(&ready);
	pid_t child = tap_fork();
	if (child == 0) {
		dup2(ready.fd[1], 1);
		execl("./program", "./program", "--pause", NULL);
		_exit(1);
	}
	event_wait(&ready);
	is_err(open("program", O_WRONLY), ETXTBSY, "a running one cannot be written");
	is_err(open("program", O_WRONLY | O_TRUNC), ETXTBSY, "nor cut off");
	is_err(truncate("program", 0), ETXTBSY, "by truncate neither");
	ok(chmod("program", 0700) == 0, "but its mode can change");
	kill(child, SIGKILL);
	tap_wait(child);
	event_fini(&ready);
	fd = open("program", O_WRONLY | O_APPEND);
	is_int(write(fd, "tail", 4), 4, "now it can be written");
	close(fd);
	is_exit(run("./program"), 0, "and still runs");
	rename("program", "program2");
	is_exit(run("./program2"), 0, "under another name too");
}

static void over_limit(void)
{
	struct rlimit limit = { FILE_SIZE + 10, FILE_SIZE + 10 };
	need(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	int fd = open("data", O_WRONLY | O_APPEND);
	need(write(fd, "0123456789abcdef", 16) == 10);
	signal(SIGXFSZ, SIG_IGN);
	need_err(write(fd, "x", 1), EFBIG);
	need_err(ftruncate(fd, FILE_SIZE + 20), EFBIG);
	signal(SIGXFSZ, SIG_DFL);
	write(fd, "x", 1);
}

static void test_limits(void)
{
	is_killed(run_child(over_limit), SIGXFSZ, "RLIMIT_FSIZE");
}

static void test_special(void)
{
	char c;
	int fd = open("fifo", O_RDWR);
	ok(fd >= 0, "a fifo can be opened");
	is_int(write(fd, "f", 1), 1, "written");
	is_int(read(fd, &c, 1), 1, "and read");
	close(fd);
	struct stat a, b;
	stat("group", &a);
	need(mkdir("group/sub", 0755) == 0);
	put("group/file", "x");
	stat("group/sub", &b);
	ok(b.st_mode == (S_IFDIR | 02755) && b.st_gid == a.st_gid, "setgid is inherited");
	stat("group/file", &b);
	ok(b.st_mode == (S_IFREG | 0644) && b.st_gid == a.st_gid, "by files the group alone");
	stat("data", &a);
	ok(a.st_dev == b.st_dev, "old and new are on one device");
	need(mkfifo("fifo2", 0600) == 0);
	ok(exists("fifo2"), "mkfifo");
	if (geteuid() == 0) {
		is_int(mknod("zero", S_IFCHR | 0666, 0x105), 0, "mknod");
		fd = open("zero", O_RDONLY);
		ok(fd < 0 || (read(fd, &c, 1) == 1 && c == 0), "of a device");
		close(fd);
	} else {
	}
	is_int(renameat2(AT_FDCWD, "fifo2", AT_FDCWD, "fifo3", RENAME_WHITEOUT), 0,
	       "RENAME_WHITEOUT");
	ok(lstat("fifo2", &a) == 0 && S_ISCHR(a.st_mode) && a.st_rdev == 0, "leaves a mark");
	is_int(unlink("fifo2"), 0, "which can be removed");
	is_int(mknod("mark", S_IFCHR | 0600, 0), 0, "and made");
	is_err(mknod("mark", S_IFCHR | 0600, 0x103), EEXIST, "once");
}

static void as_nobody(void)
{
	need(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	need_err(open("data", O_WRONLY), EACCES);
	need_err(open("newfile", O_WRONLY | O_CREAT, 0600), EACCES);
	need_err(chmod("data", 0777), EPERM);
	need_err(unlink("data"), EACCES);
	need_err(rename("data", "datum"), EACCES);
	need_err(mkdir("d", 0700), EACCES);
	need_err(mknod("group/dev", S_IFCHR | 0600, 0x103), EPERM);
	need(mknod("group/mark", S_IFCHR | 0600, 0) == 0);
	int fd = open("small", O_WRONLY | O_APPEND);
	need(fd >= 0 && write(fd, "theirs\n", 7) == 7);
	need(chmod("small", 0600) == 0);
	need_err(unlink("group/theirs"), EPERM);
}

static void test_permission(void)
{
	if (geteuid() != 0) {
		skip("not root", "another user");
		skip("not root", "setuid goes");
		return;
	}
	need(chown("small", 65534, 65534) == 0 && chmod(".", 0755) == 0);
	put("group/theirs", "x");
	need(chmod("group", 01777) == 0);
	child_ok(as_nobody, "another user");
	need(chown("data3", 65534, 65534) == 0 && chmod("data3", 04755) == 0);
	pid_t child = tap_fork();
	if (child == 0) {
		need(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
		int fd = open("data3", O_WRONLY);
		need(fd >= 0 && write(fd, "x", 1) == 1);
		_exit(0);
	}
	need(tap_wait(child) == 0);
	struct stat st;
	stat("data3", &st);
	is_int(st.st_mode, S_IFREG | 0755, "setuid goes");
}

static void test_all(void)
{
	test_write();
	test_mmap();
	test_attributes();
	test_unlink();
	test_rmdir();
	test_links();
	test_rename();
	test_cwd();
	test_readdir();
	test_tmpfile();
	test_exec();
	test_limits();
	test_special();
	test_permission();
}

static void test_in(char *template)
{
	char command[64];
	need(mkdtemp(template) && chdir(template) == 0);
	make_tree();
	test_all();
	need(chdir("/") == 0);
	snprintf(command, sizeof(command), "rm -rf %s", template);
	need(system(command) == 0);
}

/* Prints the first bytes of both pages of a mapping, of which the second came after a write. */
static int grow_mapping(const char *path)
{
	int fd = open(path, O_RDWR);
	char *p = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fd, 0);
	need(fd >= 0 && p != MAP_FAILED && munmap(p + 4096, 4096) == 0);
	need(pwrite(fd, "u", 1, 0) == 1 && pwrite(fd, "u", 1, 4096) == 1);
	need(mremap(p, 4096, 8192, 0) == p);
	printf("%c%c\n", p[0], p[4096]);
	return 0;
}

int main(int argc, char **argv)
{
	char on_disk[] = "/var/tmp/guest.XXXXXX", in_memory[] = "/tmp/guest.XXXXXX";

	if (argc == 2 && strcmp(argv[1], "--true") == 0)
		return 0;
	if (argc == 2 && strcmp(argv[1], "--pause") == 0) {
		need(write(1, "x", 1) == 1);
		for (;;)
			pause();
	}
	if (argc == 3 && strcmp(argv[1], "--grow") == 0)
		return grow_mapping(argv[2]);
	if (argc == 3 && strcmp(argv[1], "--make") == 0) {
		need(chdir(argv[2]) == 0);
		make_tree();
		return 0;
	}
	tap_begin();
	umask(022);
	if (argc == 2) {
		need(chdir(argv[1]) == 0);
		test_all();
		return tap_end();
	}
	/* Inside Donjon: the overlay, then tmpfs. */
	test_in(on_disk);
	test_in(in_memory);
	return tap_end();
}
