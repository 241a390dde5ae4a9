/*
 * Extended attributes, on a disk's file system (inside Donjon: the overlay) below /var/tmp.
 */
#include "tap.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static char dir[] = "/var/tmp/guest.XXXXXX";

static bool list_has(const char *list, ssize_t size, const char *name)
{
	for (ssize_t at = 0; at < size; at += strlen(list + at) + 1)
		if (strcmp(list + at, name) == 0)
			return true;
	return false;
}

static void make_file(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
	need(fd >= 0 && close(fd) == 0);
}

static void test_values(void)
{
	char buf[4096];
	struct stat a, b;
	make_file("f");
	stat("f", &a);
	pause_ms(10);
	is_int(setxattr("f", "user.one", "first", 5, 0), 0, "set");
	stat("f", &b);
	ok(b.st_ctim.tv_sec > a.st_ctim.tv_sec || b.st_ctim.tv_nsec > a.st_ctim.tv_nsec,
	   "ctime moves");
	ok(b.st_mtim.tv_nsec == a.st_mtim.tv_nsec, "mtime does not");
	is_int(getxattr("f", "user.one", buf, sizeof(buf)), 5, "get");
	ok(memcmp(buf, "first", 5) == 0, "its value");
	is_int(getxattr("f", "user.one", NULL, 0), 5, "asking for the size");
	is_err(getxattr("f", "user.one", buf, 4), ERANGE, "a short buffer");
	is_int(setxattr("f", "user.one", "other value", 11, 0), 0, "set again");
	is_int(getxattr("f", "user.one", buf, sizeof(buf)), 11, "the new value");
	is_int(setxattr("f", "user.empty", NULL, 0, 0), 0, "an empty value");
	is_int(getxattr("f", "user.empty", buf, sizeof(buf)), 0, "get it");
	is_err(setxattr("f", "user.one", "x", 1, XATTR_CREATE), EEXIST,
	       "XATTR_CREATE of an old one");
	is_err(setxattr("f", "user.two", "x", 1, XATTR_REPLACE), ENODATA, "REPLACE of none");
	is_int(setxattr("f", "user.one", "y", 1, XATTR_REPLACE), 0, "XATTR_REPLACE");
	is_int(setxattr("f", "user.two", "z", 1, XATTR_CREATE), 0, "XATTR_CREATE");
	ssize_t n = listxattr("f", buf, sizeof(buf));
	ok(list_has(buf, n, "user.one") && list_has(buf, n, "user.two") &&
		   list_has(buf, n, "user.empty"),
	   "list");
	is_int(listxattr("f", NULL, 0), n, "asking for the list's size");
	is_err(listxattr("f", buf, n - 1), ERANGE, "a short list");
	is_int(removexattr("f", "user.two"), 0, "remove");
	is_err(removexattr("f", "user.two"), ENODATA, "remove again");
	is_err(getxattr("f", "user.two", buf, sizeof(buf)), ENODATA, "get what is gone");
	memset(buf, 'v', 1000);
	is_int(setxattr("f", "user.long", buf, 1000, 0), 0, "1,000 bytes");
	memset(buf, 0, sizeof(buf));
	is_int(getxattr("f", "user.long", buf, sizeof(buf)), 1000, "get them");
	ok(buf[0] == 'v' && buf[999] == 'v', "all of them");
}

static void test_errors(void)
{
	char buf[64], name[300] = "user.";
	memset(name + 5, 'n', sizeof(name) - 6);
	is_err(setxattr("f", name, "x", 1, 0), ERANGE, "a name too long");
	name[256] = 0;
	is_err(setxattr("f", name, "x", 1, 0), ERANGE, "by one");
	name[255] = 0;
	is_int(setxattr("f", name, "x", 1, 0), 0, "the longest name");
	is_int(getxattr("f", name, buf, sizeof(buf)), 1, "get it");
	is_err(setxattr("f", "", "x", 1, 0), ERANGE, "no name");
	is_err(getxattr("f", "", buf, sizeof(buf)), ERANGE, "get of no name");
	is_err(setxattr("f", "user.x", "x", 65537, 0), E2BIG, "a value too big");
	is_err(setxattr("f", "user.x", "x", 1, 4), EINVAL, "unknown flags");
	is_err(setxattr("f", "nothing", "x", 1, 0), EOPNOTSUPP, "no name space");
	is_err(setxattr("f", "foreign.x", "x", 1, 0), EOPNOTSUPP, "an unknown name space");
	is_err(getxattr("f", "foreign.x", buf, 1), EOPNOTSUPP, "get of that");
	is_err(setxattr("f", "user.", "x", 1, 0), EINVAL, "a name space alone");
	is_err(setxattr("f", BAD_PTR, "x", 1, 0), EFAULT, "a bad name");
	is_err(setxattr("f", "user.x", BAD_PTR, 1, 0), EFAULT, "a bad value");
	is_err(getxattr("f", "user.one", BAD_PTR, 100), EFAULT, "a bad buffer");
	is_err(listxattr("f", BAD_PTR, 1000), EFAULT, "a bad list");
	is_err(setxattr("no", "user.x", "x", 1, 0), ENOENT, "a missing file");
	is_err(getxattr("no", "user.x", buf, 1), ENOENT, "get of that");
	is_err(listxattr("f/x", buf, 1), ENOTDIR, "below a file");
	is_err(fsetxattr(999, "user.x", "x", 1, 0), EBADF, "a bad descriptor");
	is_err(fgetxattr(999, "user.x", buf, 1), EBADF, "get");
	is_err(flistxattr(999, buf, 1), EBADF, "list");
	is_err(fremovexattr(999, "user.x"), EBADF, "remove");
	int fd = open("f", O_PATH);
	is_err(fgetxattr(fd, "user.one", buf, 1), EBADF, "O_PATH");
	close(fd);
}

static void test_kinds(void)
{
	char buf[1024];
	int fd = open("f", O_RDONLY);
	is_int(fsetxattr(fd, "user.by_fd", "abc", 3, 0), 0, "fsetxattr of a file open for reading");
	is_int(fgetxattr(fd, "user.by_fd", buf, sizeof(buf)), 3, "fgetxattr");
	ok(flistxattr(fd, buf, sizeof(buf)) == -1 || list_has(buf, sizeof(buf), "user.by_fd"),
	   "flistxattr");
	is_int(fremovexattr(fd, "user.by_fd"), 0, "fremovexattr");
	close(fd);
	symlink("f", "s");
	is_int(setxattr("s", "user.link", "1", 1, 0), 0, "through a link");
	is_int(getxattr("f", "user.link", buf, 1), 1, "is the file's");
	is_err(lsetxattr("s", "user.link", "1", 1, 0), EPERM, "a link has no user attributes");
	is_err(lgetxattr("s", "user.link", buf, 1), ENODATA, "nor shows any");
	is_int(llistxattr("s", buf, sizeof(buf)), 0, "its list is empty");
	is_err(lremovexattr("s", "user.link"), EPERM, "nor can they be removed");
	mkfifo("p", 0644);
	is_err(setxattr("p", "user.x", "1", 1, 0), EPERM, "nor has a fifo");
	mkdir("d", 0755);
	is_int(setxattr("d", "user.dir", "1", 1, 0), 0, "a directory has");
	is_int(getxattr("d", "user.dir", buf, 1), 1, "get");
	link("f", "g");
	is_int(getxattr("g", "user.one", buf, 1), 1, "a hard link has the file's");
	rename("g", "h");
	is_int(getxattr("h", "user.one", buf, 1), 1, "also when renamed");
	int pipes[2];
	need(pipe(pipes) == 0);
	is_err(fsetxattr(pipes[0], "user.x", "1", 1, 0), EPERM, "a pipe has none");
	close(pipes[0]);
	close(pipes[1]);
}

static void as_nobody(void)
{
	char buf[1024];
	need(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	need(getxattr("f", "user.one", buf, 1) == 1);
	need_err(setxattr("f", "user.one", "2", 1, 0), EACCES);
	need_err(removexattr("f", "user.one"), EACCES);
	need_err(getxattr("secret", "user.one", buf, 1), EACCES);
	need(listxattr("secret", buf, sizeof(buf)) >= 9);
	need_err(setxattr("f", "trusted.x", "1", 1, 0), EPERM);
	need_err(getxattr("f", "trusted.mine", buf, 1), ENODATA);
	need_err(setxattr("f", "security.mine", "1", 1, 0), EPERM);
	need_err(removexattr("f", "trusted.mine"), EPERM);
	ssize_t n = listxattr("f", buf, sizeof(buf));
	need(n > 0 && !list_has(buf, n, "trusted.mine"));
	need_err(setxattr("sticky", "user.x", "1", 1, 0), EPERM);
	need(setxattr("mine", "user.x", "1", 1, 0) == 0);
	need(getxattr("mine", "user.x", buf, 1) == 1);
}

static void test_permission(void)
{
	char buf[1024];
	if (geteuid() != 0) {
		skip("not root", "permission");
		return;
	}
	is_int(setxattr("f", "trusted.mine", "t", 1, 0), 0, "a trusted attribute");
	is_int(getxattr("f", "trusted.mine", buf, 1), 1, "get it");
	ssize_t n = listxattr("f", buf, sizeof(buf));
	ok(n < 0 || list_has(buf, n, "trusted.mine"), "root sees its name");
	is_int(setxattr("f", "security.mine", "s", 1, 0), 0, "a security attribute");
	is_int(lsetxattr("s", "trusted.link", "t", 1, 0), 0, "a trusted one of a link");
	is_int(lgetxattr("s", "trusted.link", buf, 1), 1, "get it");
	make_file("secret");
	need(setxattr("secret", "user.one", "1", 1, 0) == 0 && chmod("secret", 0600) == 0);
	need(mkdir("sticky", 0777) == 0 && chmod("sticky", 01777) == 0);
	make_file("mine");
	need(chown("mine", 65534, 65534) == 0 && chmod(".", 0755) == 0);
	removexattr("f", "user.long");
	child_ok(as_nobody, "another user");
}

/* A file that is there before, of the root's file system. */
static void test_lower(void)
{
	char buf[64];
	is_err(getxattr("/etc/passwd", "user.donjon-none", buf, sizeof(buf)), ENODATA,
	       "a system's file has none");
	ok(listxattr("/etc/passwd", NULL, 0) >= 0, "its list");
}

int main(void)
{
	tap_begin();
	umask(022);
	need(mkdtemp(dir) && chdir(dir) == 0);
	test_values();
	test_errors();
	test_kinds();
	test_permission();
	test_lower();
	need(chdir("/") == 0);
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	need(system(command) == 0);
	return tap_end();
}
