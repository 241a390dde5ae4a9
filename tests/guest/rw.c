/*
 * read, write and their kin, on a tmpfs file.
 */
#include "tap.h"
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

static int fd;

static int temp_file(void)
{
	char path[] = "/tmp/guest-rw.XXXXXX";
	int file = mkstemp(path);
	need(file >= 0 && unlink(path) == 0);
	return file;
}

static void test_simple(void)
{
	char text[32] = "";
	is_int(write(fd, "0123456789", 10), 10, "write");
	is_int(read(fd, text, 5), 0, "read at the end");
	is_int(lseek(fd, 2, SEEK_SET), 2, "SEEK_SET");
	is_int(read(fd, text, 4), 4, "read");
	ok(memcmp(text, "2345", 4) == 0, "the right bytes");
	is_int(lseek(fd, 0, SEEK_CUR), 6, "SEEK_CUR");
	is_int(lseek(fd, -3, SEEK_END), 7, "SEEK_END");
	is_int(read(fd, text, sizeof(text)), 3, "a short read at the end");
	is_int(read(fd, text, 0), 0, "read nothing");
	is_int(pread(fd, text, 3, 1), 3, "pread");
	ok(memcmp(text, "123", 3) == 0, "the right bytes");
	is_int(lseek(fd, 0, SEEK_CUR), 10, "the position is as before");
	is_int(pwrite(fd, "ab", 2, 4), 2, "pwrite");
	is_int(pread(fd, text, 10, 0), 10, "pread");
	ok(memcmp(text, "0123ab6789", 10) == 0, "the right bytes");
	is_int(pread(fd, text, 5, 100), 0, "pread beyond the end");
}

static void test_holes(void)
{
	char block[4096];
	struct stat st;
	is_int(lseek(fd, 1 << 20, SEEK_SET), 1 << 20, "seek beyond the end");
	is_int(write(fd, "end", 3), 3, "write there");
	fstat(fd, &st);
	is_int(st.st_size, (1 << 20) + 3, "size");
	is_int(pread(fd, block, 4096, 500000), 4096, "read in the hole");
	int sum = 0;
	for (size_t i = 0; i < sizeof(block); i++)
		sum += block[i];
	is_int(sum, 0, "zeros");
	is_int(ftruncate(fd, 5), 0, "ftruncate");
	fstat(fd, &st);
	is_int(st.st_size, 5, "size");
	is_int(ftruncate(fd, 20), 0, "ftruncate to grow");
	is_int(pread(fd, block, 100, 0), 20, "read all");
	ok(memcmp(block, "0123a\0\0\0", 8) == 0, "zeros after what was there");
	is_err(ftruncate(fd, -1), EINVAL, "ftruncate to -1");
	is_err(ftruncate(-1, 0), EBADF, "ftruncate of -1");
	is_err(truncate("/no-such-file", 0), ENOENT, "truncate of a missing file");
	is_err(truncate("/tmp", 0), EISDIR, "truncate of a directory");
}

static void test_large(void)
{
	enum { SIZE = 3 << 20 };
	char *out = malloc(SIZE), *in = calloc(1, SIZE);
	for (int i = 0; i < SIZE; i++)
		out[i] = (char)(i * 7 + i / 4096);
	is_int(pwrite(fd, out, SIZE, 0), SIZE, "write 3 MiB");
	is_int(pread(fd, in, SIZE, 0), SIZE, "read 3 MiB");
	ok(memcmp(in, out, SIZE) == 0, "the same");
	is_int(pread(fd, in, SIZE, 12345), SIZE - 12345, "read from an odd offset");
	ok(memcmp(in, out + 12345, SIZE - 12345) == 0, "the same");
	ftruncate(fd, 0);
	free(out);
	free(in);
}

/* Reads so large that the kernel may take another way. */
static void test_large_reads(void)
{
	enum { SIZE = 17 << 20, HOLE = 20 << 20 };
	char *out = malloc(SIZE), *in = mmap(NULL, SIZE + 8192, PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(out && in != MAP_FAILED);
	for (int i = 0; i < SIZE; i++)
		out[i] = (char)(i * 13 + i / 4096);
	need(pwrite(fd, out, SIZE, 0) == SIZE);
	is_int(pread(fd, in, SIZE, 0), SIZE, "read 17 MiB");
	ok(memcmp(in, out, SIZE) == 0, "the same");
	is_int(pread(fd, in, 200000, SIZE - 100001), 100001, "read across the end");
	ok(memcmp(in, out + SIZE - 100001, 100001) == 0, "the same");
	need(pwrite(fd, "new", 3, 1 << 20) == 3);
	is_int(pread(fd, in, 100000, (1 << 20) - 50000), 100000, "read what was overwritten");
	ok(memcmp(in + 50000, "new", 3) == 0, "it is there");
	struct iovec iov[] = { { in + 7, 40000 }, { in + 50000, 100000 }, { in + 200000, 5 } };
	is_int(preadv(fd, iov, 3, 12345), 140005, "preadv");
	ok(memcmp(in + 7, out + 12345, 40000) == 0 &&
		   memcmp(in + 50000, out + 52345, 100000) == 0 &&
		   memcmp(in + 200000, out + 152345, 5) == 0,
	   "the right bytes");
	need(munmap(in + 81920, 4096) == 0);
	is_int(pread(fd, in, 200000, 0), 81920, "read to memory with a hole in it");
	is_err(pread(fd, in + 81920, 200000, 0), EFAULT, "read to a hole");
	need(mprotect(in, 8192, PROT_READ) == 0);
	is_err(pread(fd, in, 50000, 0), EFAULT, "read to read-only memory");
	is_int(ftruncate(fd, 50000), 0, "cut");
	is_int(pread(fd, in + 86016, 200000, 0), 50000, "read what is left");
	is_int(pread(fd, in + 86016, 200000, 60000), 0, "read what was cut off");
	struct stat st;
	need(ftruncate(fd, HOLE) == 0);
	memset(in + 86016, 1, 1 << 20);
	is_int(pread(fd, in + 86016, 1 << 20, 1 << 20), 1 << 20, "read a hole");
	ok(in[86016] == 0 && in[86016 + (1 << 20) - 1] == 0, "zeros");
	need(fstat(fd, &st) == 0);
	ok(st.st_blocks <= 65536 / 512, "still a hole");
	ftruncate(fd, 0);
	munmap(in, SIZE + 8192);
	free(out);
}

/* One process cuts the file and another one reads it. */
static void test_read_while_cut(void)
{
	static char block[1 << 20];
	enum { SIZE = 1 << 20 };
	int bad = 0;
	need(pwrite(fd, block, SIZE, 0) == SIZE);
	pid_t child = tap_fork();
	if (child == 0) {
		for (int i = 0; i < 200; i++)
			need(ftruncate(fd, i % 2 ? SIZE : 4096) == 0);
		_exit(0);
	}
	for (int i = 0; i < 300; i++) {
		ssize_t n = pread(fd, block, SIZE, 0);
		bad += n < 4096 || n > SIZE;
	}
	is_int(bad, 0, "reads of a file that is cut again and again");
	is_exit(tap_wait(child), 0, "the other process");
	ftruncate(fd, 0);
}

static void test_vector_flags(void)
{
	char text[8] = "";
	struct iovec out = { "abcd", 4 }, in = { text, 4 };
	int p[2];
	need(pipe(p) == 0 && ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	is_int(pwritev2(fd, &out, 1, 0, RWF_APPEND), 4, "RWF_APPEND");
	is_int(pwritev2(fd, &out, 1, 0, RWF_APPEND), 4, "goes to the end");
	is_int(lseek(fd, 0, SEEK_END), 8, "the size");
	need(lseek(fd, 1, SEEK_SET) == 1);
	is_int(pwritev2(fd, &out, 1, -1, RWF_APPEND), 4, "at the position");
	is_int(lseek(fd, 0, SEEK_CUR), 12, "which moves to the end");
	is_int(preadv2(fd, &in, 1, 0, RWF_HIPRI), 4, "RWF_HIPRI");
	is_int(pwritev2(fd, &out, 1, 0, RWF_DSYNC | RWF_SYNC), 4, "RWF_SYNC and RWF_DSYNC");
	is_err(preadv2(fd, &in, 1, -2, 0), EINVAL, "offset -2");
	is_err(preadv2(p[0], &in, 1, -1, RWF_NOWAIT), EAGAIN, "RWF_NOWAIT of an empty pipe");
	is_int(pwritev2(p[1], &out, 1, -1, RWF_NOWAIT), 4, "RWF_NOWAIT of a write");
	is_int(preadv2(p[0], &in, 1, -1, RWF_NOWAIT), 4, "RWF_NOWAIT of a read");
	is_err(preadv2(p[0], &in, 1, 0, 0), ESPIPE, "preadv2 of a pipe with an offset");
	close(p[0]);
	close(p[1]);
	ftruncate(fd, 0);
}

static void test_vectors(void)
{
	char a[4] = "", b[10] = "";
	struct iovec out[] = { { "abc", 3 }, { NULL, 0 }, { "defgh", 5 } },
		     in[] = { { a, 3 }, { b, 10 } };
	struct iovec bad[] = { { a, 1 }, { BAD_PTR, 5 } }, huge[] = { { a, 1 }, { b, 1UL << 63 } };
	volatile int minus_one = -1, too_many = IOV_MAX + 1;
	lseek(fd, 0, SEEK_SET);
	is_int(writev(fd, out, 3), 8, "writev");
	lseek(fd, 0, SEEK_SET);
	is_int(readv(fd, in, 2), 8, "readv");
	ok(memcmp(a, "abc", 3) == 0 && memcmp(b, "defgh", 5) == 0, "the right bytes");
	is_int(pwritev(fd, out, 3, 100), 8, "pwritev");
	is_int(preadv(fd, in, 1, 103), 3, "preadv");
	ok(memcmp(a, "def", 3) == 0, "the right bytes");
	is_int(preadv2(fd, in, 1, -1, 0), 3, "preadv2 at the position");
	is_int(lseek(fd, 0, SEEK_CUR), 11, "moves it");
	is_err(preadv2(fd, in, 1, 0, 0x4000), EOPNOTSUPP, "preadv2 with unknown flags");
	is_err(readv(fd, in, minus_one), EINVAL, "-1 vectors");
	is_err(readv(fd, in, too_many), EINVAL, "1,025 vectors");
	is_int(readv(fd, in, 0), 0, "no vectors");
	is_err(readv(fd, BAD_PTR, 1), EFAULT, "vectors at a bad address");
	is_err(writev(fd, huge, 2), EINVAL, "a negative length");
	lseek(fd, 0, SEEK_SET);
	is_int(readv(fd, bad, 2), 1, "a bad second vector: what came before counts");
	is_err(preadv(fd, in, 1, -1), EINVAL, "preadv at -1");
}

static void test_errors(void)
{
	char c;
	int pipe_fd[2];
	need(pipe(pipe_fd) == 0);
	is_err(read(-1, &c, 1), EBADF, "read of -1");
	lseek(fd, 0, SEEK_SET);
	is_err(read(fd, BAD_PTR, 1), EFAULT, "read to a bad address");
	is_err(write(fd, BAD_PTR_HIGH, 1), EFAULT, "write from a bad address");
	is_err(pread(fd, &c, 1, -1), EINVAL, "pread at -1");
	is_err(pwrite(fd, &c, 1, -1), EINVAL, "pwrite at -1");
	is_err(pread(pipe_fd[0], &c, 1, 0), ESPIPE, "pread of a pipe");
	is_err(pwrite(pipe_fd[1], &c, 1, 0), ESPIPE, "pwrite of a pipe");
	is_err(lseek(pipe_fd[0], 0, SEEK_SET), ESPIPE, "lseek of a pipe");
	is_err(lseek(fd, -1, SEEK_SET), EINVAL, "lseek to -1");
	is_err(lseek(fd, 0, 99), EINVAL, "lseek from 99");
	is_err(lseek(fd, INT64_MAX, SEEK_END), EINVAL, "lseek that overflows");
	is_err(lseek(-1, 0, SEEK_SET), EBADF, "lseek of -1");
	is_err(fsync(-1), EBADF, "fsync of -1");
	is_int(fsync(fd), 0, "fsync");
	is_int(fdatasync(fd), 0, "fdatasync");
	is_err(fsync(pipe_fd[0]), EINVAL, "fsync of a pipe");
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

static void partial_fault(void)
{
	/* The last page of the buffer is missing: what fits is read. */
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int in = open("/dev/zero", O_RDONLY);
	need(munmap(p + 4096, 4096) == 0);
	int pipe_fd[2];
	need(pipe(pipe_fd) == 0);
	need_err(write(pipe_fd[1], p + 4096, 10), EFAULT);
	need(write(pipe_fd[1], "abcdef", 6) == 6);
	need(read(pipe_fd[0], p + 4090, 6) == 6);
	need(memcmp(p + 4090, "abcdef", 6) == 0);
	need(read(in, p + 4000, 96) == 96);
	need(ftruncate(fd, 0) == 0);
	need(pwrite(fd, p, 4096, 0) == 4096);
	need_err(pwrite(fd, p + 4096, 4096, 0), EFAULT);
}

static void file_size_limit(void)
{
	struct rlimit limit = { 1000, 2000 };
	need(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	signal(SIGXFSZ, SIG_IGN);
	need(ftruncate(fd, 0) == 0);
	static char block[1500];
	need(pwrite(fd, block, 1500, 0) == 1000);
	need_err(pwrite(fd, block, 1, 1000), EFBIG);
	need_err(ftruncate(fd, 1001), EFBIG);
	need(setrlimit(RLIMIT_CORE, &(struct rlimit){}) == 0);
	signal(SIGXFSZ, SIG_DFL);
	pwrite(fd, block, 1, 1000);
}

static void shared_position(void)
{
	char c;
	int copy = dup(fd);
	need(ftruncate(fd, 0) == 0 && pwrite(fd, "abcdef", 6, 0) == 6);
	need(lseek(fd, 0, SEEK_SET) == 0);
	need(read(copy, &c, 1) == 1 && c == 'a');
	need(lseek(fd, 0, SEEK_CUR) == 1);
	pid_t child = tap_fork();
	if (child == 0)
		_exit(read(fd, &c, 1) == 1 && c == 'b' ? 0 : 1);
	need(tap_wait(child) == 0);
	need(read(fd, &c, 1) == 1 && c == 'c');
}

static void test_two_opens(void)
{
	/* Two descriptors of one file, opened apart, have positions of their own. */
	char path[] = "/tmp/guest-rw.XXXXXX", c;
	int a = mkstemp(path), b = open(path, O_RDONLY);
	need(a >= 0 && b >= 0);
	unlink(path);
	is_int(write(a, "xyz", 3), 3, "write through one");
	is_int(read(b, &c, 1), 1, "read through the other");
	is_int(c, 'x', "from its own position");
	close(a);
	is_int(read(b, &c, 1), 1, "an unlinked file can still be read");
	is_int(c, 'y', "the right byte");
	close(b);
}

static atomic_bool seek_stop;

static void *seek_holes(void *arg)
{
	while (!seek_stop) {
		lseek(*(int *)arg, 0, SEEK_DATA);
		lseek(*(int *)arg, 0, SEEK_HOLE);
	}
	return NULL;
}

/* The position after appending is the end, whoever looks for holes by another opening. */
static void test_append_seek(void)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	need(ftruncate(fd, 0) == 0);
	int end = open(path, O_WRONLY | O_APPEND), other = open(path, O_RDWR), wrong = 0;
	pthread_t thread;
	need(end >= 0 && other >= 0);
	need(pthread_create(&thread, NULL, seek_holes, &other) == 0);
	for (int i = 1; i <= 4000; i++) {
		need(write(end, "x", 1) == 1);
		wrong += lseek(end, 0, SEEK_CUR) != i;
	}
	seek_stop = true;
	pthread_join(thread, NULL);
	is_int(wrong, 0, "the position after appending");
	close(end);
	close(other);
}

int main(void)
{
	tap_begin();
	fd = temp_file();
	test_simple();
	test_holes();
	test_large();
	test_large_reads();
	test_read_while_cut();
	test_vector_flags();
	test_vectors();
	test_errors();
	child_ok(partial_fault, "buffers at the edge of a mapping");
	is_killed(run_child(file_size_limit), SIGXFSZ, "RLIMIT_FSIZE");
	child_ok(shared_position, "dup and fork share the position");
	test_two_opens();
	test_append_seek();
	return tap_end();
}
