/*
 * Holes and allocation; hints; syncing; O_DIRECT and O_DSYNC.
 */
#include "tap.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define PAGE 4096
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

/* On a tmpfs: /dev/shm is one everywhere. */
static int shm_file(void)
{
	char path[] = "/dev/shm/guest-falloc.XXXXXX";
	int file = mkstemp(path);
	need(file >= 0 && unlink(path) == 0);
	return file;
}

static long size_of(int fd)
{
	struct stat st;
	need(fstat(fd, &st) == 0);
	return st.st_size;
}

static long blocks_of(int fd)
{
	struct stat st;
	need(fstat(fd, &st) == 0);
	return st.st_blocks;
}

static void test_allocate(void)
{
	static char block[64 * PAGE];
	int fd = shm_file();
	is_int(fallocate(fd, 0, 0, 100), 0, "fallocate");
	is_int(size_of(fd), 100, "grows the file");
	is_int(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 10 * PAGE), 0, "KEEP_SIZE");
	is_int(size_of(fd), 100, "does not");
	is_int(fallocate(fd, 0, 20 * PAGE, PAGE), 0, "at an offset");
	is_int(size_of(fd), 21 * PAGE, "the new size");
	is_int(fallocate(fd, 0, 0, PAGE), 0, "within");
	is_int(size_of(fd), 21 * PAGE, "the same size");
	memset(block, 'f', sizeof(block));
	need(pwrite(fd, block, sizeof(block), 0) == sizeof(block));
	long before = blocks_of(fd);
	is_int(fallocate(fd, PUNCH, 8 * PAGE, 16 * PAGE), 0, "PUNCH_HOLE");
	is_int(size_of(fd), sizeof(block), "the same size");
	is_int(before - blocks_of(fd), 16 * PAGE / 512, "fewer blocks");
	is_int(pread(fd, block, PAGE, 8 * PAGE), PAGE, "read there");
	is_int(block[0] | block[PAGE - 1], 0, "zeros");
	is_int(fallocate(fd, PUNCH, 100, 50), 0, "a hole within a page");
	is_int(pread(fd, block, 200, 0), 200, "read there");
	ok(block[99] == 'f' && block[100] == 0 && block[149] == 0 && block[150] == 'f', "zeros");
	is_int(fallocate(fd, PUNCH, 60 * PAGE, 100 * PAGE), 0, "a hole beyond the end");
	is_int(size_of(fd), sizeof(block), "the same size");
	close(fd);
}

/* Large reads of what was written without a gap, and then got holes in every way there is. */
static void test_read_holes(void)
{
	static char block[64 * PAGE];
	int fd = shm_file();
	memset(block, 'h', sizeof(block));
	for (int i = 0; i < 4; i++)
		need(write(fd, block, sizeof(block)) == sizeof(block));
	need(pread(fd, block, sizeof(block), 0) == sizeof(block) && block[0] == 'h');
	need(fallocate(fd, PUNCH, 128 * PAGE, 64 * PAGE) == 0);
	long before = blocks_of(fd);
	is_int(pread(fd, block, sizeof(block), 128 * PAGE), sizeof(block), "read a punched hole");
	is_int(block[0] | block[sizeof(block) - 1], 0, "zeros");
	is_int(blocks_of(fd), before, "still a hole");
	need(ftruncate(fd, 64 * PAGE) == 0 && ftruncate(fd, 256 * PAGE) == 0);
	before = blocks_of(fd);
	is_int(pread(fd, block, sizeof(block), 64 * PAGE), sizeof(block), "read what was cut off");
	is_int(block[0] | block[sizeof(block) - 1], 0, "zeros");
	is_int(blocks_of(fd), before, "still a hole");
	memset(block, 'h', sizeof(block));
	need(pwrite(fd, block, sizeof(block), 128 * PAGE) == sizeof(block));
	before = blocks_of(fd);
	is_int(pread(fd, block, sizeof(block), 64 * PAGE), sizeof(block), "read before a write");
	is_int(block[0] | block[sizeof(block) - 1], 0, "zeros");
	is_int(blocks_of(fd), before, "still a hole");
	char *map = mmap(NULL, sizeof(block), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(map != MAP_FAILED && madvise(map, sizeof(block), MADV_REMOVE) == 0);
	before = blocks_of(fd);
	is_int(pread(fd, block, sizeof(block), 0), sizeof(block), "read what was removed");
	is_int(block[0] | block[sizeof(block) - 1], 0, "zeros");
	is_int(blocks_of(fd), before, "still a hole");
	munmap(map, sizeof(block));
	close(fd);
}

static void test_allocate_errors(void)
{
	int fd = shm_file(), p[2], dir = open("/dev/shm", O_RDONLY | O_DIRECTORY), s[2];
	need(pipe(p) == 0 && dir >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	is_err(fallocate(fd, 0, -1, 1), EINVAL, "offset -1");
	is_err(fallocate(fd, 0, 0, 0), EINVAL, "length 0");
	is_err(fallocate(fd, 0, INT64_MAX, 1), EFBIG, "too far");
	is_err(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1), EOPNOTSUPP, "PUNCH_HOLE alone");
	is_err(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE), EOPNOTSUPP, "COLLAPSE_RANGE");
	is_err(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, PAGE), EOPNOTSUPP, "INSERT_RANGE");
	is_err(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, PAGE), EOPNOTSUPP, "ZERO_RANGE");
	is_err(fallocate(fd, 0x8000, 0, 1), EOPNOTSUPP, "an unknown mode");
	is_err(fallocate(p[1], 0, 0, 1), ESPIPE, "a pipe");
	is_err(fallocate(p[0], 0, 0, 1), EBADF, "its reading end");
	is_err(fallocate(s[0], 0, 0, 1), ENODEV, "a socket");
	is_err(fallocate(dir, 0, 0, 1), EBADF, "a directory");
	is_err(fallocate(-1, 0, 0, 1), EBADF, "-1");
	close(fd);
	close(dir);
	close(p[0]);
	close(p[1]);
	close(s[0]);
	close(s[1]);
}

static void test_seek(void)
{
	int fd = shm_file();
	need(ftruncate(fd, 100 * PAGE) == 0);
	need(pwrite(fd, "x", 1, 20 * PAGE + 5) == 1);
	need(pwrite(fd, "x", 1, 50 * PAGE) == 1);
	is_int(lseek(fd, 0, SEEK_DATA), 20 * PAGE, "SEEK_DATA");
	is_int(lseek(fd, 20 * PAGE + 7, SEEK_DATA), 20 * PAGE + 7, "within data");
	is_int(lseek(fd, 20 * PAGE, SEEK_HOLE), 21 * PAGE, "SEEK_HOLE");
	is_int(lseek(fd, 3, SEEK_HOLE), 3, "within a hole");
	is_int(lseek(fd, 0, SEEK_CUR), 3, "moves the position");
	is_int(lseek(fd, 21 * PAGE, SEEK_DATA), 50 * PAGE, "the next data");
	is_err(lseek(fd, 51 * PAGE, SEEK_DATA), ENXIO, "no more data");
	is_int(lseek(fd, 51 * PAGE, SEEK_HOLE), 51 * PAGE, "a hole up to the end");
	is_err(lseek(fd, 100 * PAGE, SEEK_HOLE), ENXIO, "SEEK_HOLE at the end");
	is_err(lseek(fd, -1, SEEK_DATA), ENXIO, "SEEK_DATA from -1");
	close(fd);
	fd = shm_file();
	need(write(fd, "some", 4) == 4);
	is_int(lseek(fd, 0, SEEK_HOLE), 4, "a small file: SEEK_HOLE");
	is_int(lseek(fd, 1, SEEK_DATA), 1, "a small file: SEEK_DATA");
	close(fd);
}

static void test_hints(void)
{
	int fd = shm_file(), p[2];
	need(pipe(p) == 0 && ftruncate(fd, PAGE) == 0);
	is_int(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), 0, "fadvise");
	is_int(posix_fadvise(fd, 0, PAGE, POSIX_FADV_DONTNEED), 0, "DONTNEED");
	is_int(posix_fadvise(fd, 0, -1, 0), EINVAL, "a negative length");
	is_int(posix_fadvise(fd, 0, 0, 77), EINVAL, "unknown advice");
	is_int(posix_fadvise(p[0], 0, 0, 0), ESPIPE, "of a pipe");
	is_int(posix_fadvise(-1, 0, 0, 0), EBADF, "of -1");
	is_err(readahead(p[0], 0, 1), EINVAL, "readahead of a pipe");
	is_err(readahead(-1, 0, 1), EBADF, "readahead of -1");
	is_int(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE), 0, "sync_file_range");
	is_err(sync_file_range(fd, 0, 0, 8), EINVAL, "unknown flags");
	is_err(sync_file_range(fd, -1, 0, 0), EINVAL, "a negative offset");
	is_err(sync_file_range(p[0], 0, 0, 0), ESPIPE, "of a pipe");
	is_int(fsync(fd), 0, "fsync");
	is_int(fdatasync(fd), 0, "fdatasync");
	is_int(syncfs(fd), 0, "syncfs");
	is_err(fsync(p[0]), EINVAL, "fsync of a pipe");
	is_err(fdatasync(p[1]), EINVAL, "fdatasync of a pipe");
	is_err(syncfs(-1), EBADF, "syncfs of -1");
	is_err(ftruncate(p[1], 0), EINVAL, "ftruncate of a pipe");
	close(fd);
	close(p[0]);
	close(p[1]);
}

static void test_open_flags(void)
{
	char path[] = "/tmp/guest-falloc.XXXXXX", *aligned = NULL;
	int fd = mkstemp(path);
	need(fd >= 0 && ftruncate(fd, 2 * PAGE) == 0);
	close(fd);
	need(posix_memalign((void **)&aligned, PAGE, PAGE) == 0);
	fd = open(path, O_RDWR | O_DIRECT);
	ok(fd >= 0, "O_DIRECT");
	is_int(fcntl(fd, F_GETFL) & O_DIRECT, O_DIRECT, "F_GETFL shows it");
	memset(aligned, 'd', PAGE);
	is_int(write(fd, aligned, PAGE), PAGE, "a write");
	is_int(pread(fd, aligned, PAGE, PAGE), PAGE, "a read");
	is_int(aligned[0], 0, "what is there");
	is_int(fcntl(fd, F_SETFL, 0), 0, "F_SETFL takes it away");
	is_int(fcntl(fd, F_GETFL) & O_DIRECT, 0, "it is gone");
	close(fd);
	fd = open(path, O_RDWR | O_DSYNC);
	ok(fd >= 0, "O_DSYNC");
	is_int(write(fd, "x", 1), 1, "a write");
	close(fd);
	fd = open(path, O_RDWR | O_SYNC | O_NOATIME);
	ok(fd >= 0, "O_SYNC and O_NOATIME");
	is_int(fcntl(fd, F_GETFL) & O_SYNC, O_SYNC, "F_GETFL shows it");
	close(fd);
	unlink(path);
	free(aligned);
}

int main(void)
{
	tap_begin();
	test_allocate();
	test_allocate_errors();
	test_read_holes();
	test_seek();
	test_hints();
	test_open_flags();
	return tap_end();
}
