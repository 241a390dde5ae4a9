/*
 * stat and its kin, chmod, chown, utimensat, statfs.
 */
#include "tap.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

static char *dir;

static void test_host(void)
{
	struct stat a, b;
	is_int(stat("/etc/passwd", &a), 0, "stat");
	ok(S_ISREG(a.st_mode) && a.st_size > 0 && a.st_nlink >= 1, "a file");
	is_int(a.st_uid, 0, "of root");
	int fd = open("/etc/passwd", O_RDONLY);
	is_int(fstat(fd, &b), 0, "fstat");
	ok(a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_size == b.st_size &&
		   a.st_mtim.tv_sec == b.st_mtim.tv_sec,
	   "says the same");
	is_int(fstatat(fd, "", &b, AT_EMPTY_PATH), 0, "AT_EMPTY_PATH");
	ok(a.st_ino == b.st_ino, "says the same");
	is_err(fstatat(fd, "x", &b, 0), ENOTDIR, "relative to a file");
	is_err(fstatat(fd, "", &b, 0), ENOENT, "the empty path");
	close(fd);
	is_int(stat("/", &a), 0, "stat of /");
	is_int(stat("/..", &b), 0, "and of /..");
	ok(a.st_ino == b.st_ino && a.st_dev == b.st_dev && S_ISDIR(a.st_mode),
	   "the same directory");
	is_int(lstat("/bin", &a), 0, "lstat of /bin");
	is_int(stat("/usr/../etc/./passwd", &a), 0, "a path with dots");
	is_int(stat("/dev/null", &a), 0, "/dev/null");
	ok(S_ISCHR(a.st_mode) && a.st_rdev == makedev(1, 3), "is device 1:3");
	is_err(stat("/no-such", &a), ENOENT, "a missing file");
	is_err(stat("/etc/passwd/", &a), ENOTDIR, "a file with a slash");
	is_err(stat("", &a), ENOENT, "the empty path");
	is_err(stat(BAD_PTR, &a), EFAULT, "a bad path address");
	is_err(syscall(SYS_stat, "/", BAD_PTR), EFAULT, "a bad buffer address");
	is_err(fstat(-1, &a), EBADF, "fstat of -1");
	is_err(fstatat(-1, "x", &a, 0), EBADF, "fstatat of -1");
	is_err(syscall(SYS_newfstatat, AT_FDCWD, "/", &a, 0x10000), EINVAL, "unknown flags");
}

static void test_statx(void)
{
	struct statx x;
	struct stat st;
	is_int(statx(AT_FDCWD, "/etc/passwd", 0, STATX_BASIC_STATS, &x), 0, "statx");
	stat("/etc/passwd", &st);
	is_int(x.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS, "its mask");
	ok(x.stx_ino == st.st_ino && x.stx_size == (uint64_t)st.st_size &&
		   x.stx_mode == st.st_mode && x.stx_nlink == st.st_nlink,
	   "says what stat does");
	is_err(statx(AT_FDCWD, "/", 0, 0x80000000U, &x), EINVAL, "a reserved mask bit");
	is_err(statx(AT_FDCWD, "/", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, 0, &x), EINVAL,
	       "flags that exclude each other");
	is_err(syscall(SYS_statx, AT_FDCWD, "/", 0, 0, BAD_PTR), EFAULT, "a bad address");
	is_err(statx(AT_FDCWD, "/no-such", 0, 0, &x), ENOENT, "a missing file");
}

static void test_change(void)
{
	struct stat st;
	struct timespec times[2] = { { 1000, 5 }, { 2000, 7 } };
	need(chdir(dir) == 0);
	int fd = open("f", O_RDWR | O_CREAT, 0600);
	need(fd >= 0);
	is_int(chmod("f", 0641), 0, "chmod");
	stat("f", &st);
	is_int(st.st_mode & 07777, 0641, "the mode");
	is_int(fchmod(fd, 04755), 0, "fchmod");
	fstat(fd, &st);
	is_int(st.st_mode & 07777, 04755, "with set-uid");
	is_int(chown("f", -1, -1), 0, "chown that changes nothing");
	need(chmod("f", 06755) == 0 && chown("f", -1, -1) == 0 && stat("f", &st) == 0);
	is_int(st.st_mode & 07777, 0755, "but setuid and setgid");
	need(chmod("f", 04755) == 0);
	is_int(fchown(fd, geteuid(), getegid()), 0, "fchown to oneself");
	fstat(fd, &st);
	is_int(st.st_mode & 07777, 0755, "clears set-uid");
	is_err(chmod("no", 0600), ENOENT, "chmod of a missing file");
	is_err(fchmod(-1, 0600), EBADF, "fchmod of -1");
	is_int(utimensat(AT_FDCWD, "f", times, 0), 0, "utimensat");
	fstat(fd, &st);
	ok(st.st_atim.tv_sec == 1000 && st.st_mtim.tv_sec == 2000 && st.st_mtim.tv_nsec == 7,
	   "the times");
	times[0].tv_nsec = UTIME_OMIT;
	times[1].tv_nsec = UTIME_NOW;
	is_int(futimens(fd, times), 0, "UTIME_OMIT and UTIME_NOW");
	fstat(fd, &st);
	ok(st.st_atim.tv_sec == 1000 && st.st_mtim.tv_sec > 1000000, "the times");
	times[0].tv_nsec = 1000000000;
	is_err(futimens(fd, times), EINVAL, "bad nanoseconds");
	struct stat before = st;
	need(write(fd, "x", 1) == 1);
	fstat(fd, &st);
	ok(st.st_size == 1 && st.st_mtim.tv_sec >= before.st_mtim.tv_sec, "write sets mtime");
	ok(st.st_blksize == 4096 && st.st_blocks >= 1, "block size and count");
	close(fd);
	unlink("f");
}

static void test_statfs(void)
{
	struct statfs fs;
	is_int(statfs("/", &fs), 0, "statfs of /");
	ok(fs.f_bsize > 0 && fs.f_namelen == 255, "block size and name length");
	is_int(statfs("/proc", &fs), 0, "statfs of /proc");
	is_int(fs.f_type, 0x9fa0, "is proc");
	is_err(statfs("/no-such", &fs), ENOENT, "a missing file");
	is_err(fstatfs(-1, &fs), EBADF, "fstatfs of -1");
	is_err(syscall(SYS_statfs, "/", BAD_PTR), EFAULT, "a bad address");
}

int main(void)
{
	tap_begin();
	dir = temp_dir();
	test_host();
	test_statx();
	test_change();
	test_statfs();
	need(chdir("/") == 0);
	is_int(rmdir(dir), 0, "nothing is left");
	return tap_end();
}
