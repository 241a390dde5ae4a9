/*
 * Directories and names: on tmpfs, and reading those of the host.
 */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

static char *dir;

static void touch(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	need(fd >= 0 && close(fd) == 0);
}

static bool exists(const char *name)
{
	struct stat st;
	return lstat(name, &st) == 0;
}

static void test_mkdir(void)
{
	struct stat st;
	umask(022);
	is_int(mkdir("a", 0777), 0, "mkdir");
	is_int(stat("a", &st), 0, "stat");
	is_int(st.st_mode, S_IFDIR | 0755, "its mode");
	is_int(st.st_nlink, 2, "two links");
	is_int(mkdir("a/b/", 0700), 0, "mkdir with a slash");
	stat("a", &st);
	is_int(st.st_nlink, 3, "the parent has three");
	is_err(mkdir("a", 0700), EEXIST, "mkdir again");
	is_err(mkdir("no/x", 0700), ENOENT, "in a missing directory");
	is_err(mkdir("", 0700), ENOENT, "mkdir of nothing");
	is_err(mkdir("/", 0700), EEXIST, "mkdir of /");
	is_err(mkdir("a/.", 0700), EEXIST, "mkdir of .");
	is_err(mkdir(BAD_PTR, 0700), EFAULT, "a bad address");
	is_err(rmdir("a"), ENOTEMPTY, "rmdir of a full directory");
	is_err(rmdir("a/b/."), EINVAL, "rmdir of .");
	is_err(rmdir("a/b/.."), ENOTEMPTY, "rmdir of ..");
	is_int(rmdir("a/b"), 0, "rmdir");
	is_err(rmdir("a/b"), ENOENT, "rmdir again");
	touch("f");
	is_err(rmdir("f"), ENOTDIR, "rmdir of a file");
	is_err(mkdir("f/x", 0700), ENOTDIR, "mkdir below a file");
	is_err(rmdir("/"), EBUSY, "rmdir of /");
	is_err(unlink("a"), EISDIR, "unlink of a directory");
	is_err(unlinkat(AT_FDCWD, "f", AT_REMOVEDIR), ENOTDIR, "unlinkat AT_REMOVEDIR of a file");
	is_int(unlinkat(AT_FDCWD, "a", AT_REMOVEDIR), 0, "of a directory");
	is_err(unlinkat(AT_FDCWD, "f", 1), EINVAL, "unlinkat with unknown flags");
	is_int(unlink("f"), 0, "unlink");
	is_err(unlink("f"), ENOENT, "unlink again");
	is_err(unlink(""), ENOENT, "unlink of nothing");
}

static void test_links(void)
{
	struct stat a, b;
	char text[64];
	touch("f");
	is_int(link("f", "g"), 0, "link");
	stat("f", &a);
	stat("g", &b);
	ok(a.st_ino == b.st_ino && a.st_dev == b.st_dev, "one file");
	is_int(a.st_nlink, 2, "with two names");
	is_err(link("f", "g"), EEXIST, "link to an existing name");
	is_err(link("no", "h"), ENOENT, "link of a missing file");
	is_err(link(".", "h"), EPERM, "link of a directory");
	is_err(link("/dev/null", "h"), EXDEV, "link across file systems");
	unlink("f");
	stat("g", &b);
	is_int(b.st_nlink, 1, "one name is left");
	is_int(symlink("somewhere/else", "s"), 0, "symlink");
	is_int(readlink("s", text, sizeof(text)), 14, "readlink");
	ok(memcmp(text, "somewhere/else", 14) == 0, "its target");
	is_int(readlink("s", text, 4), 4, "readlink cuts off");
	is_int(lstat("s", &a), 0, "lstat");
	ok(S_ISLNK(a.st_mode) && a.st_size == 14, "is a link of 14 bytes");
	is_err(stat("s", &a), ENOENT, "stat follows it");
	is_err(symlink("x", "s"), EEXIST, "symlink to an existing name");
	is_err(symlink("", "t"), ENOENT, "an empty symlink");
	is_err(readlink("g", text, sizeof(text)), EINVAL, "readlink of a file");
	volatile size_t none = 0;
	is_err(readlink("s", text, none), EINVAL, "readlink to no bytes");
	is_err(readlink("s", BAD_PTR, 10), EFAULT, "readlink to a bad address");
	unlink("s");
	unlink("g");
}

static void test_seek(void)
{
	static const char *const dirs[] = { ".", "/", "/proc/self", "/dev/shm" };
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		int fd = open(dirs[i], O_RDONLY | O_DIRECTORY);
		need(fd >= 0);
		is_int(lseek(fd, 2, SEEK_SET), 2, "seek in %s", dirs[i]);
		is_err(lseek(fd, INT64_MAX, SEEK_CUR), EINVAL, "not beyond all numbers");
		is_err(lseek(fd, -3, SEEK_CUR), EINVAL, "nor before the start");
		close(fd);
	}
}

static void test_rename(void)
{
	struct stat a, b;
	touch("f");
	touch("g");
	need(mkdir("d", 0700) == 0 && mkdir("e", 0700) == 0 && mkdir("d/sub", 0700) == 0);
	stat("f", &a);
	is_int(rename("f", "h"), 0, "rename");
	ok(!exists("f") && exists("h"), "the name has changed");
	is_int(rename("h", "g"), 0, "rename over a file");
	stat("g", &b);
	ok(a.st_ino == b.st_ino, "the file is the same");
	is_int(rename("g", "d/g"), 0, "into a directory");
	is_int(rename("d/g", "d/g"), 0, "to itself");
	is_err(rename("d", "e/../d/sub/x"), EINVAL, "a directory into itself");
	is_err(rename("d/g", "e"), EISDIR, "a file over a directory");
	is_err(rename("e", "d/g"), ENOTDIR, "a directory over a file");
	is_err(rename("e", "d"), ENOTEMPTY, "over a full directory");
	is_int(rename("d", "e"), 0, "over an empty one");
	ok(exists("e/sub") && !exists("d"), "with all in it");
	is_err(rename("no", "x"), ENOENT, "a missing file");
	is_err(rename("e/.", "x"), EBUSY, "of .");
	is_err(rename("e/g", "/etc/guest-test-none/x"), ENOENT, "to a missing directory");
	touch("f");
	is_err(renameat2(AT_FDCWD, "f", AT_FDCWD, "e/g", RENAME_NOREPLACE), EEXIST,
	       "RENAME_NOREPLACE");
	is_int(renameat2(AT_FDCWD, "f", AT_FDCWD, "e", RENAME_EXCHANGE), 0, "RENAME_EXCHANGE");
	ok(exists("f/sub") && stat("e", &a) == 0 && S_ISREG(a.st_mode), "both have moved");
	is_err(renameat2(AT_FDCWD, "f", AT_FDCWD, "e", 0x80), EINVAL, "unknown flags");
	is_err(renameat2(AT_FDCWD, "f", AT_FDCWD, "e", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL,
	       "flags that exclude each other");
	stat("f", &a);
	stat("f/sub/..", &b);
	ok(a.st_ino == b.st_ino, ".. of a moved directory");
	unlink("e");
	unlink("f/g");
	rmdir("f/sub");
	rmdir("f");
}

static void test_list(void)
{
	enum { COUNT = 500 };
	char name[32];
	static bool seen[COUNT];
	int found = 0, dots = 0, others = 0;
	need(mkdir("list", 0700) == 0);
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "list/file-%d", i);
		touch(name);
	}
	DIR *stream = opendir("list");
	struct dirent *entry;
	while ((entry = readdir(stream)) != NULL) {
		int n;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			dots += entry->d_type == DT_DIR;
		else if (sscanf(entry->d_name, "file-%d", &n) == 1 && n >= 0 && n < COUNT &&
			 !seen[n])
			seen[n] = true, found += entry->d_type == DT_REG;
		else
			others++;
	}
	is_int(found, COUNT, "all 500 names are listed");
	ok(dots == 2 && others == 0, "with . and .., and no others");
	rewinddir(stream);
	found = 0;
	while ((entry = readdir(stream)) != NULL) {
		if (entry->d_name[0] != '.') {
			unlinkat(dirfd(stream), entry->d_name, 0);
			found++;
		}
	}
	is_int(found, COUNT, "all can be removed while listing");
	closedir(stream);
	is_int(rmdir("list"), 0, "then it is empty");

	char buffer[64];
	int fd = open("/etc", O_RDONLY | O_DIRECTORY), file = open("/etc/passwd", O_RDONLY);
	is_err(syscall(SYS_getdents64, fd, buffer, 5), EINVAL, "too small a buffer");
	is_err(syscall(SYS_getdents64, fd, BAD_PTR, 1000), EFAULT, "a bad address");
	is_err(syscall(SYS_getdents64, file, buffer, 64), ENOTDIR, "a file");
	is_err(syscall(SYS_getdents64, -1, buffer, 64), EBADF, "a bad descriptor");
	close(fd);
	close(file);
	stream = opendir("/");
	found = 0;
	while ((entry = readdir(stream)) != NULL)
		found += strcmp(entry->d_name, "etc") == 0 || strcmp(entry->d_name, "tmp") == 0 ||
			 strcmp(entry->d_name, "proc") == 0 || strcmp(entry->d_name, "dev") == 0;
	closedir(stream);
	is_int(found, 4, "/ has etc, tmp, proc and dev, once each");
}

static void test_cwd(void)
{
	char path[256], want[256];
	need(mkdir("d", 0700) == 0);
	is_int(chdir("d"), 0, "chdir");
	snprintf(want, sizeof(want), "%s/d", dir);
	is_str(getcwd(path, sizeof(path)), want, "getcwd");
	is_int(syscall(SYS_getcwd, path, sizeof(path)), strlen(want) + 1, "which gives the length");
	is_err(syscall(SYS_getcwd, path, strlen(want)), ERANGE, "too small a buffer");
	is_err(syscall(SYS_getcwd, BAD_PTR, 100), EFAULT, "a bad address");
	is_int(chdir(".."), 0, "chdir ..");
	is_str(getcwd(path, sizeof(path)), dir, "getcwd");
	int fd = open("d", O_RDONLY | O_DIRECTORY);
	is_int(fchdir(fd), 0, "fchdir");
	is_str(getcwd(path, sizeof(path)), want, "getcwd");
	is_int(rename(want, strcat(strcpy(path, dir), "/moved")), 0, "the directory is renamed");
	is_str(getcwd(want, sizeof(want)), path, "getcwd follows");
	is_int(rmdir(path), 0, "and removed");
	is_err(syscall(SYS_getcwd, path, sizeof(path)), ENOENT, "getcwd fails");
	is_err(open("x", O_WRONLY | O_CREAT, 0600), ENOENT, "nothing can be created there");
	close(fd);
	is_int(chdir(dir), 0, "back");
	is_err(chdir("no"), ENOENT, "chdir to a missing directory");
	is_err(chdir("/etc/passwd"), ENOTDIR, "to a file");
	is_err(chdir(BAD_PTR), EFAULT, "to a bad address");
	is_err(fchdir(-1), EBADF, "fchdir of -1");
	fd = open("/etc/passwd", O_RDONLY);
	is_err(fchdir(fd), ENOTDIR, "fchdir of a file");
	close(fd);
	is_int(chdir("/"), 0, "chdir to /");
	is_str(getcwd(path, sizeof(path)), "/", "getcwd");
	need(chdir(dir) == 0);
}

int main(void)
{
	tap_begin();
	dir = temp_dir();
	need(chdir(dir) == 0);
	test_mkdir();
	test_links();
	test_seek();
	test_rename();
	test_list();
	test_cwd();
	need(chdir("/") == 0);
	is_int(rmdir(dir), 0, "nothing is left");
	return tap_end();
}
