/*
 * The devices in /dev.
 */
#include "tap.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static void test_nodes(void)
{
	static const struct {
		const char *path;
		unsigned major, minor;
	} nodes[] = { { "/dev/null", 1, 3 },   { "/dev/zero", 1, 5 },	 { "/dev/full", 1, 7 },
		      { "/dev/random", 1, 8 }, { "/dev/urandom", 1, 9 }, { "/dev/tty", 5, 0 } };
	struct stat st;
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		is_int(stat(nodes[i].path, &st), 0, "%s exists", nodes[i].path);
		ok(S_ISCHR(st.st_mode) && st.st_rdev == makedev(nodes[i].major, nodes[i].minor),
		   "is device %u:%u", nodes[i].major, nodes[i].minor);
	}
}

static void test_null(void)
{
	char c = 'x';
	int fd = open("/dev/null", O_RDWR);
	is_int(read(fd, &c, 1), 0, "null: read");
	is_int(write(fd, &c, 1), 1, "null: write");
	is_int(write(fd, BAD_PTR, 100), 100, "null: does not look at the bytes");
	is_int(lseek(fd, 1000, SEEK_SET), 0, "null: lseek");
	struct pollfd p = { fd, POLLIN | POLLOUT, 0 };
	is_int(poll(&p, 1, 0), 1, "null: poll");
	is_int(p.revents, POLLIN | POLLOUT, "null: is always ready");
	is_err(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0), ENODEV, "null: mmap");
	close(fd);
	fd = open("/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0666);
	ok(fd >= 0, "null: O_CREAT and O_TRUNC");
	is_err(read(fd, &c, 1), EBADF, "null: O_WRONLY");
	close(fd);
}

static void test_zero_full(void)
{
	char block[5000];
	int fd = open("/dev/zero", O_RDWR);
	memset(block, 1, sizeof(block));
	is_int(read(fd, block, sizeof(block)), sizeof(block), "zero: read");
	ok(block[0] == 0 && block[4999] == 0, "zero: gives zeros");
	is_int(write(fd, block, 100), 100, "zero: write");
	is_err(read(fd, BAD_PTR, 10), EFAULT, "zero: read to a bad address");
	close(fd);
	fd = open("/dev/full", O_RDWR);
	memset(block, 1, sizeof(block));
	is_int(read(fd, block, 100), 100, "full: read");
	is_int(block[99], 0, "full: gives zeros");
	is_err(write(fd, block, 1), ENOSPC, "full: write");
	close(fd);
}

static void test_random(const char *path)
{
	unsigned char a[64] = {}, b[64] = {};
	int fd = open(path, O_RDONLY);
	is_int(read(fd, a, 64), 64, "%s: read", path);
	is_int(read(fd, b, 64), 64, "%s: read again", path);
	ok(memcmp(a, b, 64) != 0, "%s: gives other bytes", path);
	close(fd);
}

static void no_tty(void)
{
	need(setsid() > 0);
	need_err(open("/dev/tty", O_RDWR), ENXIO);
}

static void std_links(void)
{
	char c;
	int fd[2];
	need(pipe(fd) == 0);
	need(dup2(fd[0], 0) == 0 && dup2(fd[1], 1) == 1 && dup2(fd[1], 2) == 2);
	int out = open("/dev/stdout", O_WRONLY);
	need(out >= 0 && write(out, "o", 1) == 1 && read(0, &c, 1) == 1 && c == 'o');
	int error = open("/dev/stderr", O_WRONLY);
	need(error >= 0 && write(error, "e", 1) == 1);
	int in = open("/dev/stdin", O_RDONLY);
	need(in >= 0 && read(in, &c, 1) == 1 && c == 'e');
	char path[32];
	snprintf(path, sizeof(path), "/dev/fd/%d", fd[1]);
	int by_number = open(path, O_WRONLY);
	need(by_number >= 0 && write(by_number, "n", 1) == 1 && read(0, &c, 1) == 1 && c == 'n');
	need_err(open("/dev/fd/999", O_RDONLY), ENOENT);
}

int main(void)
{
	tap_begin();
	test_nodes();
	test_null();
	test_zero_full();
	test_random("/dev/random");
	test_random("/dev/urandom");
	child_ok(no_tty, "/dev/tty without a terminal");
	child_ok(std_links, "/dev/stdin, stdout, stderr, fd");
	return tap_end();
}
