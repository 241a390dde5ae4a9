/*
 * open, openat and access: flags and errors, on the host's root and on tmpfs.
 */
#include "tap.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

static char *dir;

static void test_read_only_root(void)
{
	char text[64] = "";
	struct stat st;
	int fd = open("/etc/passwd", O_RDONLY);
	ok(fd >= 0, "open /etc/passwd");
	ok(read(fd, text, sizeof(text) - 1) > 0, "read it");
	is_err(write(fd, "x", 1), EBADF, "it cannot be written");
	is_int(close(fd), 0, "close");
	is_err(open("/etc/no-such-file", O_RDONLY), ENOENT, "a missing file");
	is_err(open("/no-such-dir/file", O_RDONLY), ENOENT, "in a missing directory");
	is_err(open("/etc/passwd/x", O_RDONLY), ENOTDIR, "below a file");
	is_err(open("/etc/passwd/", O_RDONLY), ENOTDIR, "a file with a slash");
	is_err(open("/etc", O_WRONLY), EISDIR, "write a directory");
	is_err(open("/etc", O_RDWR), EISDIR, "read and write a directory");
	is_err(open("/etc/passwd", O_RDONLY | O_DIRECTORY), ENOTDIR, "O_DIRECTORY of a file");
	is_err(open("/etc/passwd", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST, "O_EXCL of a file");
	is_err(open("", O_RDONLY), ENOENT, "the empty path");
	is_err(open(BAD_PTR, O_RDONLY), EFAULT, "a bad address");
	is_err(open(BAD_PTR_HIGH, O_RDONLY), EFAULT, "a non-canonical address");
	fd = open("/etc", O_RDONLY | O_DIRECTORY);
	ok(fd >= 0, "a directory");
	is_err(read(fd, text, 1), EISDIR, "cannot be read");
	int file = openat(fd, "passwd", O_RDONLY);
	ok(file >= 0, "openat");
	is_err(openat(file, "x", O_RDONLY), ENOTDIR, "openat relative to a file");
	is_err(openat(-1, "x", O_RDONLY), EBADF, "openat relative to nothing");
	int same = openat(-1, "/etc/passwd", O_RDONLY);
	ok(same >= 0, "but an absolute path does not care");
	int up = openat(fd, "../../../etc/./passwd", O_RDONLY);
	ok(up >= 0, ".. does not leave the root");
	close(same);
	close(up);
	close(file);
	close(fd);
	fd = open("//etc///passwd", O_RDONLY);
	ok(fd >= 0, "many slashes");
	close(fd);
	fd = open("/bin/busybox", O_RDONLY);
	ok(fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode), "through the symlink /bin");
	close(fd);
}

static void test_long_names(void)
{
	static char name[5000];
	memset(name, 'a', sizeof(name) - 1);
	is_err(open(name, O_RDONLY), ENAMETOOLONG, "a path of 4,999 bytes");
	name[PATH_MAX - 1] = 0;
	is_err(open(name, O_RDONLY), ENAMETOOLONG, "a component of 4,095 bytes");
	name[256] = 0;
	is_err(open(name, O_RDONLY), ENAMETOOLONG, "a component of 256 bytes");
	need(chdir(dir) == 0);
	is_err(open(name, O_RDONLY), ENAMETOOLONG, "the same on tmpfs");
	name[255] = 0;
	is_err(open(name, O_RDONLY), ENOENT, "a component of 255 bytes");
	int fd = open(name, O_RDONLY | O_CREAT, 0600);
	ok(fd >= 0, "which can be created");
	close(fd);
	is_int(unlink(name), 0, "and removed");
	memset(name, '/', sizeof(name));
	memcpy(name + PATH_MAX - 5, "etc", 4);
	fd = open(name, O_RDONLY);
	ok(fd >= 0, "a path of 4,094 bytes");
	close(fd);
}

static void test_create(void)
{
	struct stat st;
	char c;
	need(chdir(dir) == 0);
	umask(022);
	int fd = open("file", O_RDWR | O_CREAT | O_EXCL, 0666);
	ok(fd >= 0, "create");
	is_int(fstat(fd, &st), 0, "fstat");
	is_int(st.st_mode, S_IFREG | 0644, "mode without the umask's bits");
	ok(st.st_uid == geteuid(), "its owner");
	ok(st.st_size == 0 && st.st_nlink == 1, "size 0, one link");
	is_int(write(fd, "hello", 5), 5, "write");
	close(fd);
	is_err(open("file", O_RDWR | O_CREAT | O_EXCL, 0666), EEXIST, "O_EXCL again");
	fd = open("file", O_WRONLY | O_APPEND | O_CREAT, 0);
	is_int(lseek(fd, 0, SEEK_SET), 0, "O_APPEND: seek to the start");
	is_int(write(fd, " you", 4), 4, "write");
	is_int(lseek(fd, 0, SEEK_CUR), 9, "the end has been written");
	is_err(read(fd, &c, 1), EBADF, "O_WRONLY cannot be read");
	close(fd);
	fd = open("file", O_RDWR | O_TRUNC);
	is_int(fstat(fd, &st), 0, "O_TRUNC");
	is_int(st.st_size, 0, "empties");
	close(fd);
	fd = open("file", O_RDONLY | O_CREAT | O_TRUNC, 0600);
	ok(fd >= 0, "O_CREAT of an existing file");
	close(fd);
	is_err(open("new/", O_RDWR | O_CREAT, 0600), EISDIR, "O_CREAT with a slash at the end");
	is_err(open(".", O_RDONLY | O_CREAT, 0600), EISDIR, "O_CREAT of a directory");
	is_err(open("new", O_RDONLY | O_CREAT | O_DIRECTORY, 0600), EINVAL,
	       "O_CREAT with O_DIRECTORY");
	fd = open("secret", O_RDWR | O_CREAT, 0);
	ok(fd >= 0, "mode 0 does not hinder the creator");
	is_int(write(fd, "x", 1), 1, "from writing");
	close(fd);
	unlink("secret");
	umask(0);
	fd = open("wide", O_RDWR | O_CREAT, 07777);
	fstat(fd, &st);
	is_int(st.st_mode, S_IFREG | 07777, "all mode bits");
	close(fd);
	unlink("wide");
	unlink("file");
}

static void test_links(void)
{
	need(chdir(dir) == 0);
	need(symlink("target", "link") == 0);
	need(symlink("loop2", "loop1") == 0 && symlink("loop1", "loop2") == 0);
	need(symlink("/etc/passwd", "out") == 0);
	is_err(open("link", O_RDONLY), ENOENT, "a dangling link");
	is_err(open("link", O_RDONLY | O_NOFOLLOW), ELOOP, "O_NOFOLLOW");
	is_err(open("link", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST, "O_EXCL does not follow");
	int fd = open("link", O_RDWR | O_CREAT, 0600);
	ok(fd >= 0, "O_CREAT creates the target");
	close(fd);
	is_int(access("target", F_OK), 0, "it is there");
	is_err(open("loop1", O_RDONLY), ELOOP, "links in a circle");
	is_err(open("loop1/x", O_RDONLY), ELOOP, "also in the middle");
	fd = open("out", O_RDONLY);
	ok(fd >= 0, "a link to another file system");
	close(fd);
	fd = open("link", O_PATH | O_NOFOLLOW);
	struct stat st;
	ok(fd >= 0 && fstat(fd, &st) == 0 && S_ISLNK(st.st_mode), "O_PATH of a link");
	close(fd);
	unlink("link");
	unlink("loop1");
	unlink("loop2");
	unlink("out");
	unlink("target");
}

static void test_path_fd(void)
{
	char c;
	struct stat st;
	int fd = open("/etc/passwd", O_PATH);
	ok(fd >= 0, "O_PATH");
	is_err(read(fd, &c, 1), EBADF, "cannot be read");
	is_err(lseek(fd, 0, SEEK_SET), EBADF, "or seeked");
	is_int(fstat(fd, &st), 0, "but fstat works");
	is_int(fcntl(fd, F_GETFL), O_PATH, "F_GETFL");
	close(fd);
}

static void test_access(void)
{
	is_int(access("/etc/passwd", R_OK), 0, "R_OK");
	is_int(access("/", X_OK), 0, "X_OK of a directory");
	is_err(access("/etc/passwd", X_OK), EACCES, "X_OK of a file that is not executable");
	is_err(access("/etc/passwd", 8), EINVAL, "an unknown mode");
	is_err(access("/no-such", F_OK), ENOENT, "F_OK of a missing file");
	is_err(access(BAD_PTR, F_OK), EFAULT, "a bad address");
	is_int(faccessat(AT_FDCWD, "/etc/passwd", R_OK, AT_EACCESS), 0, "AT_EACCESS");
	is_err(syscall(SYS_faccessat2, AT_FDCWD, "/etc/passwd", R_OK, 1), EINVAL,
	       "faccessat2 with unknown flags");
	is_err(faccessat(-1, "x", F_OK, 0), EBADF, "a bad descriptor");
}

static void permissions(void)
{
	need(chdir(dir) == 0);
	int fd = open("private", O_RDWR | O_CREAT, 0600);
	need(fd >= 0 && close(fd) == 0);
	need(mkdir("closed", 0700) == 0);
	if (getuid() == 0) {
		need(chmod(dir, 0755) == 0);
		need(setresgid(65533, 65533, 65533) == 0 && setresuid(65533, 65533, 65533) == 0);
		need_err(open("private", O_RDONLY), EACCES);
		need_err(open("closed/x", O_RDONLY), EACCES);
		need_err(open("new", O_RDWR | O_CREAT, 0600), EACCES);
		need_err(unlink("private"), EACCES);
		need_err(mkdir("d", 0700), EACCES);
		need_err(chmod("private", 0777), EPERM);
		need_err(access("private", R_OK), EACCES);
	} else {
		need(chmod("private", 0) == 0 && chmod("closed", 0) == 0);
		need_err(open("private", O_RDONLY), EACCES);
		need_err(open("closed/x", O_RDONLY), EACCES);
		need_err(open("/etc/shadow", O_RDONLY), EACCES);
		need_err(access("private", R_OK), EACCES);
		need(access("private", F_OK) == 0);
	}
}

static void descriptor_limit(void)
{
	struct rlimit {
		unsigned long cur, max;
	} limit = { 20, 20 };
	need(syscall(SYS_setrlimit, 7, &limit) == 0);
	int fd = 0;
	while (fd >= 0 && fd < 100)
		fd = open("/dev/null", O_RDONLY);
	need(fd == -1 && fcntl(19, F_GETFD) == 0);
	need_err(open("/dev/null", O_RDONLY), EMFILE);
	need_err(dup(0), EMFILE);
	need_err(dup2(0, 20), EBADF);
	need_err(pipe((int[2]){}), EMFILE);
	need(close(7) == 0);
	need(open("/dev/null", O_RDONLY) == 7);
}

int main(void)
{
	char path[128];
	tap_begin();
	dir = temp_dir();
	test_read_only_root();
	test_long_names();
	test_create();
	test_links();
	test_path_fd();
	test_access();
	child_ok(permissions, "permissions");
	child_ok(descriptor_limit, "RLIMIT_NOFILE");
	snprintf(path, sizeof(path), "%s/private", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/closed", dir);
	rmdir(path);
	is_int(rmdir(dir), 0, "nothing is left");
	return tap_end();
}
