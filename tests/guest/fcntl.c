/*
 * dup, fcntl, file locks, ioctls of descriptors.
 */
#include "tap.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>

static int temp_file(void)
{
	char path[] = "/tmp/guest-fcntl.XXXXXX";
	int fd = mkstemp(path);
	need(fd >= 0 && unlink(path) == 0);
	return fd;
}

static void test_dup(void)
{
	int fd = temp_file(), copy = dup(fd);
	ok(copy > fd, "dup gives another descriptor");
	need(write(fd, "abc", 3) == 3);
	is_int(lseek(copy, 0, SEEK_CUR), 3, "with the same position");
	is_int(close(fd), 0, "close one");
	is_int(lseek(copy, 0, SEEK_CUR), 3, "the other is open");
	is_int(dup(copy), fd, "dup takes the lowest number");
	is_int(dup2(copy, 50), 50, "dup2");
	is_int(dup2(copy, copy), copy, "dup2 to itself");
	is_err(dup2(99, 99), EBADF, "dup2 of a bad descriptor to itself");
	is_err(dup2(99, copy), EBADF, "to another");
	is_int(lseek(copy, 0, SEEK_CUR), 3, "which stays open");
	is_err(dup2(copy, -1), EBADF, "dup2 to -1");
	is_int(dup3(copy, 51, O_CLOEXEC), 51, "dup3");
	is_int(fcntl(51, F_GETFD), FD_CLOEXEC, "O_CLOEXEC");
	is_err(dup3(copy, copy, 0), EINVAL, "dup3 to itself");
	is_err(dup3(copy, 52, O_APPEND), EINVAL, "dup3 with unknown flags");
	is_err(dup(-1), EBADF, "dup of -1");
	is_int(fcntl(copy, F_DUPFD, 60), 60, "F_DUPFD");
	is_int(fcntl(copy, F_DUPFD, 60), 61, "again");
	is_int(fcntl(copy, F_DUPFD_CLOEXEC, 60), 62, "F_DUPFD_CLOEXEC");
	is_int(fcntl(62, F_GETFD), FD_CLOEXEC, "sets it");
	is_err(fcntl(copy, F_DUPFD, -1), EINVAL, "F_DUPFD from -1");
	is_err(fcntl(copy, F_DUPFD, 1 << 30), EINVAL, "F_DUPFD past the limit");
	is_int(syscall(SYS_close_range, 50, 62, 0), 0, "close_range");
	is_err(fcntl(61, F_GETFD), EBADF, "closes all");
	is_err(syscall(SYS_close_range, 62, 50, 0), EINVAL, "an empty range");
	is_int(syscall(SYS_close_range, 3, ~0U, 4), 0, "CLOSE_RANGE_CLOEXEC");
	is_int(fcntl(copy, F_GETFD), FD_CLOEXEC, "marks all");
	close(copy);
	close(fd);
}

static void test_flags(void)
{
	int fd = temp_file(), other = dup(fd);
	is_int(fcntl(fd, F_GETFD), 0, "no close-on-exec at first");
	is_int(fcntl(fd, F_SETFD, FD_CLOEXEC), 0, "F_SETFD");
	ok(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(other, F_GETFD) == 0,
	   "is the descriptor's own");
	is_int(fcntl(fd, F_GETFL) & ~0100000, O_RDWR, "F_GETFL");
	is_int(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK | O_RDONLY | O_CREAT), 0, "F_SETFL");
	is_int(fcntl(other, F_GETFL) & ~0100000, O_RDWR | O_APPEND | O_NONBLOCK,
	       "changes some flags of the file");
	need(ftruncate(fd, 100) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	need(write(fd, "x", 1) == 1);
	is_int(lseek(fd, 0, SEEK_CUR), 101, "O_APPEND holds");
	int off = 0;
	is_int(ioctl(fd, FIONBIO, &off), 0, "FIONBIO");
	is_int(fcntl(fd, F_GETFL) & O_NONBLOCK, 0, "clears O_NONBLOCK");
	is_int(ioctl(other, FIOCLEX), 0, "FIOCLEX");
	is_int(fcntl(other, F_GETFD), FD_CLOEXEC, "sets close-on-exec");
	is_int(ioctl(other, FIONCLEX), 0, "FIONCLEX");
	is_int(fcntl(other, F_GETFD), 0, "clears it");
	is_err(fcntl(fd, 9999), EINVAL, "an unknown command");
	is_err(fcntl(-1, F_GETFD), EBADF, "of -1");
	is_err(ioctl(fd, 0x12345678, 0), ENOTTY, "an unknown ioctl");
	is_err(ioctl(-1, FIOCLEX), EBADF, "ioctl of -1");
	close(fd);
	close(other);
}

static void test_locks(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10 };
	int fd = temp_file();
	is_int(fcntl(fd, F_SETLK, &lock), 0, "F_SETLK");
	is_int(fcntl(fd, F_GETLK, &lock), 0, "F_GETLK of one's own lock");
	is_int(lock.l_type, F_UNLCK, "sees none");
	pid_t parent = getpid();
	pid_t child = tap_fork();
	if (child == 0) {
		struct flock try = { .l_type = F_RDLCK, .l_start = 15, .l_len = 1 };
		need_err(fcntl(fd, F_SETLK, &try), EAGAIN);
		need(fcntl(fd, F_GETLK, &try) == 0);
		need(try.l_type == F_WRLCK && try.l_start == 10 && try.l_len == 10);
		need(try.l_pid == parent);
		try = (struct flock){ .l_type = F_WRLCK, .l_start = 20, .l_len = 0 };
		need(fcntl(fd, F_SETLK, &try) == 0);
		try = (struct flock){ .l_type = F_WRLCK, .l_start = 0, .l_len = 10 };
		need(fcntl(fd, F_SETLKW, &try) == 0);
		_exit(0);
	}
	is_exit(tap_wait(child), 0, "another process sees it");
	lock.l_type = 99;
	is_err(fcntl(fd, F_SETLK, &lock), EINVAL, "an unknown type");
	is_err(fcntl(fd, F_SETLK, BAD_PTR), EFAULT, "a bad address");
	is_int(flock(fd, LOCK_EX), 0, "flock");
	child = tap_fork();
	if (child == 0) {
		char name[32];
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		int again = open(name, O_RDWR);
		need(again >= 0);
		need_err(flock(again, LOCK_EX | LOCK_NB), EWOULDBLOCK);
		need(flock(fd, LOCK_SH | LOCK_NB) == 0);
		need(flock(again, LOCK_SH | LOCK_NB) == 0);
		_exit(0);
	}
	is_exit(tap_wait(child), 0, "belongs to the open file");
	is_err(flock(fd, 77), EINVAL, "flock with an unknown operation");
	close(fd);
}

int main(void)
{
	tap_begin();
	test_dup();
	test_flags();
	test_locks();
	return tap_end();
}
