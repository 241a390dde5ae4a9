/*
 * splice, tee, vmsplice, sendfile, copy_file_range.
 */
#include "tap.h"
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define PAGE 4096

static int temp_file(const char *text)
{
	char path[] = "/tmp/guest-splice.XXXXXX";
	int file = mkstemp(path);
	need(file >= 0 && unlink(path) == 0);
	need(write(file, text, strlen(text)) == (ssize_t)strlen(text));
	need(lseek(file, 0, SEEK_SET) == 0);
	return file;
}

static void make_pipe(int fds[2])
{
	need(pipe(fds) == 0);
}

static void close_pipe(int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

static int queued(int fd)
{
	int n = -1;
	need(ioctl(fd, FIONREAD, &n) == 0);
	return n;
}

static void is_data(int fd, const char *want, const char *what)
{
	char text[64] = "";
	need(strlen(want) < sizeof(text));
	is_int(read(fd, text, sizeof(text) - 1), (long)strlen(want), "%s: bytes", what);
	is_str(text, want, "%s: contents", what);
}

static void test_file_to_pipe(void)
{
	int file = temp_file("0123456789"), p[2];
	make_pipe(p);
	is_int(splice(file, NULL, p[1], NULL, 4, 0), 4, "file to pipe");
	is_int(lseek(file, 0, SEEK_CUR), 4, "moves the file's position");
	is_data(p[0], "0123", "file to pipe");
	off_t off = 7;
	is_int(splice(file, &off, p[1], NULL, 100, 0), 3, "with an offset, to the end");
	is_int(off, 10, "moves the offset");
	is_int(lseek(file, 0, SEEK_CUR), 4, "not the position");
	is_data(p[0], "789", "with an offset");
	is_int(splice(file, &off, p[1], NULL, 100, 0), 0, "at the end");
	is_int(splice(file, NULL, p[1], NULL, 0, 0xffff), 0, "nothing, flags unseen");
	is_err(splice(file, NULL, p[1], NULL, 1, 0x10), EINVAL, "unknown flags");
	off = -1;
	is_err(splice(file, &off, p[1], NULL, 1, 0), EINVAL, "a negative offset");
	is_err(splice(file, BAD_PTR, p[1], NULL, 1, 0), EFAULT, "a bad offset pointer");
	off = 0;
	is_err(splice(file, NULL, p[1], &off, 1, 0), ESPIPE, "an offset of the pipe");
	is_err(splice(-1, NULL, p[1], NULL, 1, 0), EBADF, "from -1");
	is_err(splice(file, NULL, -1, NULL, 1, 0), EBADF, "to -1");
	is_err(splice(file, NULL, p[0], NULL, 1, 0), EBADF, "to the reading end");
	is_err(splice(file, NULL, file, NULL, 1, 0), EINVAL, "no pipe");
	int dir = open("/tmp", O_RDONLY | O_DIRECTORY);
	is_err(splice(dir, NULL, p[1], NULL, 1, 0), EINVAL, "from a directory");
	close(dir);
	int wronly = open("/dev/null", O_WRONLY);
	is_err(splice(wronly, NULL, p[1], NULL, 1, 0), EBADF, "from a file to write to");
	close(wronly);
	signal(SIGPIPE, SIG_IGN);
	close(p[0]);
	is_err(splice(file, NULL, p[1], NULL, 1, 0), EPIPE, "nobody reads");
	close(p[1]);
	close(file);
}

static void test_full_pipe(void)
{
	static char block[128 * 1024];
	int file = temp_file(""), p[2];
	memset(block, 'f', sizeof(block));
	need(write(file, block, sizeof(block)) == sizeof(block) && lseek(file, 0, SEEK_SET) == 0);
	make_pipe(p);
	is_int(splice(file, NULL, p[1], NULL, sizeof(block), 0), 65536, "as much as has room");
	is_int(lseek(file, 0, SEEK_CUR), 65536, "the position");
	is_err(splice(file, NULL, p[1], NULL, 1, SPLICE_F_NONBLOCK), EAGAIN, "a full pipe");
	is_int(queued(p[0]), 65536, "what is in it");
	is_int(fcntl(p[1], F_SETPIPE_SZ, 128 * 1024), 128 * 1024, "a larger pipe");
	is_int(splice(file, NULL, p[1], NULL, sizeof(block), 0), 65536, "takes the rest");
	pid_t child = tap_fork();
	if (child == 0) {
		pause_ms(20);
		need(read(p[0], block, PAGE) == PAGE);
		_exit(0);
	}
	off_t off = 5;
	is_int(splice(file, &off, p[1], NULL, 10, 0), 10, "waits for room");
	is_exit(tap_wait(child), 0, "that a reader makes");
	need(fcntl(p[1], F_SETFL, O_NONBLOCK) == 0);
	while (write(p[1], block, PAGE) > 0)
		;
	is_err(splice(file, &off, p[1], NULL, 10, 0), EAGAIN, "O_NONBLOCK of the pipe");
	close_pipe(p);
	close(file);
}

static void test_pipe_to_file(void)
{
	int file = temp_file("0123456789"), p[2];
	make_pipe(p);
	need(write(p[1], "abcdef", 6) == 6);
	is_int(splice(p[0], NULL, file, NULL, 2, 0), 2, "pipe to file");
	is_int(lseek(file, 0, SEEK_CUR), 2, "moves the position");
	off_t off = 8;
	is_int(splice(p[0], NULL, file, &off, 100, 0), 4, "with an offset: what is there");
	is_int(off, 12, "moves the offset");
	need(lseek(file, 0, SEEK_SET) == 0);
	is_data(file, "ab234567cdef", "pipe to file");
	is_err(splice(p[0], NULL, file, NULL, 1, SPLICE_F_NONBLOCK), EAGAIN, "an empty pipe");
	is_err(splice(p[0], &off, file, NULL, 1, 0), ESPIPE, "an offset of the pipe");
	need(fcntl(file, F_SETFL, O_APPEND) == 0 && write(p[1], "x", 1) == 1);
	is_err(splice(p[0], NULL, file, NULL, 1, 0), EINVAL, "O_APPEND");
	is_int(queued(p[0]), 1, "the byte is still there");
	close(file);
	file = open("/dev/null", O_RDONLY);
	is_err(splice(p[0], NULL, file, NULL, 1, 0), EBADF, "a file to read from");
	close(file);
	file = open("/dev/null", O_WRONLY);
	is_int(splice(p[0], NULL, file, NULL, 10, 0), 1, "to /dev/null");
	close(p[1]);
	is_int(splice(p[0], NULL, file, NULL, 10, 0), 0, "nobody writes");
	close(file);
	close(p[0]);
}

static void test_sockets(void)
{
	int s[2], p[2];
	make_pipe(p);
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	need(write(p[1], "to a socket", 11) == 11);
	is_int(splice(p[0], NULL, s[0], NULL, 100, 0), 11, "pipe to socket");
	is_data(s[1], "to a socket", "pipe to socket");
	need(write(s[1], "from it", 7) == 7);
	is_int(splice(s[0], NULL, p[1], NULL, 100, 0), 7, "socket to pipe");
	is_data(p[0], "from it", "socket to pipe");
	is_err(splice(s[0], NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK), EAGAIN, "an empty socket");
	off_t off = 0;
	is_err(splice(s[0], &off, p[1], NULL, 1, 0), EINVAL, "an offset of a socket");
	close(s[1]);
	is_int(splice(s[0], NULL, p[1], NULL, 100, 0), 0, "a closed socket");
	close(s[0]);
	close_pipe(p);
}

static void test_pipes(void)
{
	int a[2], b[2];
	make_pipe(a);
	make_pipe(b);
	need(write(a[1], "first ", 6) == 6);
	is_int(splice(a[0], NULL, b[1], NULL, 3, 0), 3, "pipe to pipe, a part");
	is_int(splice(a[0], NULL, b[1], NULL, 100, 0), 3, "the rest");
	is_data(b[0], "first ", "pipe to pipe");
	is_err(splice(a[0], NULL, a[1], NULL, 1, 0), EINVAL, "to itself");
	is_err(splice(a[0], NULL, b[1], NULL, 1, SPLICE_F_NONBLOCK), EAGAIN, "empty");
	need(write(a[1], "tee me", 6) == 6);
	is_int(tee(a[0], b[1], 3, 0), 3, "tee, a part");
	is_int(tee(a[0], b[1], 100, 0), 6, "tee all");
	is_data(b[0], "teetee me", "tee");
	is_data(a[0], "tee me", "and it is still here");
	is_err(tee(a[0], b[1], 1, SPLICE_F_NONBLOCK), EAGAIN, "tee of an empty pipe");
	is_err(tee(a[0], a[1], 1, 0), EINVAL, "tee to itself");
	is_err(tee(a[0], b[1], 1, 0x100), EINVAL, "tee: unknown flags");
	is_int(tee(-1, -1, 0, 0), 0, "tee of nothing");
	is_err(tee(-1, b[1], 1, 0), EBADF, "tee of -1");
	is_err(tee(b[1], a[1], 1, 0), EBADF, "tee of a writing end");
	int file = temp_file("x");
	is_err(tee(file, b[1], 1, 0), EINVAL, "tee of a file");
	close(file);
	static char block[65536];
	need(write(b[1], block, sizeof(block)) == sizeof(block) && write(a[1], "x", 1) == 1);
	is_err(tee(a[0], b[1], 1, SPLICE_F_NONBLOCK), EAGAIN, "tee to a full pipe");
	is_err(splice(a[0], NULL, b[1], NULL, 1, SPLICE_F_NONBLOCK), EAGAIN, "splice to one");
	is_int(queued(a[0]), 1, "the byte is still here");
	close_pipe(b);
	make_pipe(b);
	close(b[0]);
	is_err(tee(a[0], b[1], 1, 0), EPIPE, "tee: nobody reads");
	is_err(splice(a[0], NULL, b[1], NULL, 1, 0), EPIPE, "splice: nobody reads");
	close(a[1]);
	is_data(a[0], "x", "the byte is still here");
	close(a[0]);
	close(b[1]);
}

static void test_many_pages(void)
{
	enum { SIZE = 60000 };
	char *out = malloc(SIZE), *in = calloc(1, SIZE);
	int a[2], b[2], done = 0;
	for (int i = 0; i < SIZE; i++)
		out[i] = (char)(i * 11 + i / 256);
	make_pipe(a);
	make_pipe(b);
	need(write(a[1], out, SIZE) == SIZE);
	need(fcntl(b[1], F_SETPIPE_SZ, 4 * SIZE) > 0);
	is_int(tee(a[0], b[1], SIZE, 0), SIZE, "tee 60,000 bytes");
	is_int(read(b[0], in, SIZE), SIZE, "read them");
	ok(memcmp(in, out, SIZE) == 0, "the same");
	while (done < SIZE) {
		ssize_t n = splice(a[0], NULL, b[1], NULL, 7777, 0);
		need(n > 0);
		done += (int)n;
	}
	memset(in, 0, SIZE);
	is_int(read(b[0], in, SIZE), SIZE, "splice them in odd pieces");
	ok(memcmp(in, out, SIZE) == 0, "the same");
	close_pipe(a);
	close_pipe(b);
	free(out);
	free(in);
}

static void test_vmsplice(void)
{
	char one[] = "one ", two[] = "two", text[32];
	struct iovec iov[2] = { { one, 4 }, { two, 3 } };
	int p[2], file = temp_file("x");
	make_pipe(p);
	is_int(vmsplice(p[1], iov, 2, 0), 7, "vmsplice");
	is_data(p[0], "one two", "vmsplice");
	need(write(p[1], "to memory", 9) == 9);
	iov[0] = (struct iovec){ text, 3 };
	iov[1] = (struct iovec){ text + 3, 20 };
	is_int(vmsplice(p[0], iov, 2, 0), 9, "vmsplice from the pipe");
	ok(memcmp(text, "to memory", 9) == 0, "the bytes");
	is_err(vmsplice(p[0], iov, 2, SPLICE_F_NONBLOCK), EAGAIN, "nothing in the pipe");
	iov[0] = (struct iovec){ one, 4 };
	is_err(vmsplice(file, iov, 1, 0), EBADF, "vmsplice to a file");
	is_err(vmsplice(p[1], iov, 1, 0x20), EINVAL, "unknown flags");
	is_err(vmsplice(p[1], iov, 1025, 0), EINVAL, "too many elements");
	is_int(vmsplice(p[1], iov, 0, 0), 0, "none");
	is_err(vmsplice(p[1], BAD_PTR, 1, 0), EFAULT, "a bad vector");
	iov[0] = (struct iovec){ BAD_PTR, 4 };
	is_err(vmsplice(p[1], iov, 1, 0), EFAULT, "bad memory");
	is_err(vmsplice(-1, iov, 1, 0), EBADF, "vmsplice to -1");
	static char block[65536];
	need(write(p[1], block, sizeof(block)) == sizeof(block));
	iov[0] = (struct iovec){ one, 4 };
	is_err(vmsplice(p[1], iov, 1, SPLICE_F_NONBLOCK), EAGAIN, "a full pipe");
	close(file);
	close_pipe(p);
}

static void test_sendfile(void)
{
	int in = temp_file("0123456789"), out = temp_file(""), p[2], s[2];
	off_t off = 2;
	is_int(sendfile(out, in, &off, 3), 3, "sendfile to a file");
	is_int(off, 5, "moves the offset");
	is_int(lseek(in, 0, SEEK_CUR), 0, "not the position");
	is_int(sendfile(out, in, NULL, 100), 10, "from the position, to the end");
	is_int(lseek(in, 0, SEEK_CUR), 10, "moves it");
	is_int(sendfile(out, in, NULL, 100), 0, "at the end");
	need(lseek(out, 0, SEEK_SET) == 0);
	is_data(out, "2340123456789", "sendfile");
	make_pipe(p);
	off = 0;
	is_int(sendfile(p[1], in, &off, 4), 4, "to a pipe");
	is_data(p[0], "0123", "to a pipe");
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	is_int(sendfile(s[0], in, &off, 4), 4, "to a socket");
	is_data(s[1], "4567", "to a socket");
	is_err(sendfile(out, p[0], NULL, 1), EINVAL, "from a pipe");
	is_err(sendfile(out, p[0], &off, 1), ESPIPE, "with an offset");
	is_err(sendfile(out, -1, NULL, 1), EBADF, "from -1");
	is_err(sendfile(-1, in, NULL, 1), EBADF, "to -1");
	is_err(sendfile(p[0], in, NULL, 1), EBADF, "to the reading end");
	off = -1;
	is_err(sendfile(out, in, &off, 1), EINVAL, "a negative offset");
	is_err(sendfile(out, in, BAD_PTR, 1), EFAULT, "a bad offset");
	need(fcntl(out, F_SETFL, O_APPEND) == 0);
	is_err(sendfile(out, in, NULL, 1), EINVAL, "to a file with O_APPEND");
	int dir = open("/tmp", O_RDONLY | O_DIRECTORY);
	is_err(sendfile(p[1], dir, NULL, 1), EINVAL, "from a directory");
	close(dir);
	close(in);
	close(out);
	close(s[0]);
	close(s[1]);
	close_pipe(p);
}

/* More than the pipe has room for, which does not block. */
static void test_sendfile_nonblock(void)
{
	static char block[200000];
	int in = temp_file(""), p[2];
	need(write(in, block, sizeof(block)) == sizeof(block));
	need(pipe2(p, O_NONBLOCK) == 0);
	off_t off = 0;
	is_int(sendfile(p[1], in, &off, sizeof(block)), 65536, "what has room");
	is_int(off, 65536, "the offset");
	is_err(sendfile(p[1], in, &off, 1), EAGAIN, "then EAGAIN");
	close(in);
	close_pipe(p);
}

static void test_copy_range(void)
{
	int in = temp_file("0123456789"), out = temp_file(""), p[2];
	off_t from = 3, to = 5;
	is_int(copy_file_range(in, &from, out, &to, 4, 0), 4, "copy_file_range");
	is_int(from, 7, "moves the offset in");
	is_int(to, 9, "and that out");
	is_int(copy_file_range(in, NULL, out, NULL, 3, 0), 3, "at the positions");
	is_int(lseek(in, 0, SEEK_CUR), 3, "moves them");
	is_int(lseek(out, 0, SEEK_CUR), 3, "both");
	char text[16];
	is_int(pread(out, text, 16, 0), 9, "size");
	ok(memcmp(text,
		  "012\0\0"
		  "3456",
		  9) == 0,
	   "contents");
	from = 0, to = 5;
	is_int(copy_file_range(in, &from, in, &to, 5, 0), 5, "within a file");
	from = 0, to = 3;
	is_err(copy_file_range(in, &from, in, &to, 5, 0), EINVAL, "overlapping");
	from = 100;
	is_int(copy_file_range(in, &from, out, NULL, 5, 0), 0, "beyond the end");
	is_err(copy_file_range(in, NULL, out, NULL, 1, 1), EINVAL, "flags");
	make_pipe(p);
	is_err(copy_file_range(in, NULL, p[1], NULL, 1, 0), EINVAL, "to a pipe");
	int dir = open("/tmp", O_RDONLY | O_DIRECTORY);
	is_err(copy_file_range(dir, NULL, out, NULL, 1, 0), EISDIR, "from a directory");
	close(dir);
	int memfd = memfd_create("x", 0);
	is_err(copy_file_range(in, NULL, memfd, NULL, 1, 0), EXDEV, "to another file system");
	close(memfd);
	need(fcntl(out, F_SETFL, O_APPEND) == 0);
	is_err(copy_file_range(in, NULL, out, NULL, 1, 0), EBADF, "O_APPEND");
	close(in);
	close(out);
	close_pipe(p);
}

/* A reader and a writer at both ends of a chain of splices. */
static void test_chain(void)
{
	enum { SIZE = 1 << 20 };
	int a[2], b[2];
	make_pipe(a);
	make_pipe(b);
	pid_t writer = tap_fork();
	if (writer == 0) {
		unsigned char block[1000];
		unsigned int seed = 0;
		for (int i = 0; i < SIZE; i += 1000) {
			int n = SIZE - i < 1000 ? SIZE - i : 1000;
			for (int k = 0; k < n; k++)
				block[k] = (unsigned char)(seed++ * 31 >> 3);
			need(write(a[1], block, n) == n);
		}
		_exit(0);
	}
	pid_t middle = tap_fork();
	if (middle == 0) {
		close(a[1]);
		close(b[0]);
		while (splice(a[0], NULL, b[1], NULL, 50000, 0) > 0)
			;
		_exit(0);
	}
	close_pipe(a);
	close(b[1]);
	unsigned char block[3000];
	unsigned int seed = 0;
	bool same = true;
	ssize_t n, total = 0;
	while ((n = read(b[0], block, sizeof(block))) > 0) {
		for (ssize_t k = 0; k < n; k++)
			same &= block[k] == (unsigned char)(seed++ * 31 >> 3);
		total += n;
	}
	is_int(total, SIZE, "all came through a chain");
	ok(same, "unchanged");
	is_exit(tap_wait(writer), 0, "writer");
	is_exit(tap_wait(middle), 0, "splicer");
	close(b[0]);
}

int main(void)
{
	tap_begin();
	test_file_to_pipe();
	test_full_pipe();
	test_pipe_to_file();
	test_sockets();
	test_pipes();
	test_many_pages();
	test_vmsplice();
	test_sendfile();
	test_sendfile_nonblock();
	test_copy_range();
	test_chain();
	return tap_end();
}
