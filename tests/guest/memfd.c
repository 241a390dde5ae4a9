/*
 * memfd_create and seals, shared mappings of memfds and of files in /dev/shm.
 */
#include "tap.h"
#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <sys/stat.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#define MFD_EXEC 16U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif
#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif
#define PAGE 4096
#define RW (PROT_READ | PROT_WRITE)

static int sealable(const char *name)
{
	int fd = memfd_create(name, MFD_ALLOW_SEALING | MFD_CLOEXEC);
	need(fd >= 0);
	return fd;
}

static int add(int fd, int seals)
{
	return fcntl(fd, F_ADD_SEALS, seals);
}

static void test_create(void)
{
	char name[260], path[64], text[300];
	struct stat st;
	int fd = memfd_create("some name", MFD_CLOEXEC);
	ok(fd >= 0, "memfd_create");
	is_int(fcntl(fd, F_GETFD), FD_CLOEXEC, "MFD_CLOEXEC");
	is_int(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR, "open for reading and writing");
	is_int(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL, "not sealable without MFD_ALLOW_SEALING");
	is_err(add(fd, F_SEAL_WRITE), EPERM, "F_ADD_SEALS there");
	need(fstat(fd, &st) == 0);
	ok(S_ISREG(st.st_mode), "a regular file");
	is_int(st.st_mode & 07777, 0777, "its mode");
	is_int(st.st_nlink, 0, "no link");
	is_int(st.st_size, 0, "empty");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(path, text, sizeof(text) - 1);
	need(n > 0);
	text[n] = 0;
	is_str(text, "/memfd:some name (deleted)", "its name in /proc");
	is_int(write(fd, "hello", 5), 5, "write");
	int again = open(path, O_RDONLY);
	ok(again >= 0, "open it again through /proc");
	is_int(pread(again, text, 10, 0), 5, "read there");
	ok(memcmp(text, "hello", 5) == 0, "the same bytes");
	is_err(write(again, "x", 1), EBADF, "not to be written there");
	close(again);
	close(fd);

	memset(name, 'n', sizeof(name));
	name[249] = 0;
	fd = memfd_create(name, 0);
	ok(fd >= 0, "a name of 249 bytes");
	close(fd);
	name[249] = 'n';
	name[250] = 0;
	is_err(memfd_create(name, 0), EINVAL, "a name of 250 bytes");
	is_err(memfd_create("x", 0x4000), EINVAL, "unknown flags");
	is_err(memfd_create("x", 21U << MFD_HUGE_SHIFT), EINVAL, "a huge page size alone");
	is_err(memfd_create(BAD_PTR, 0), EFAULT, "a bad name");
	fd = memfd_create("", 0);
	ok(fd >= 0, "an empty name");
	close(fd);
}

static void test_exec_flags(void)
{
	struct stat st;
	int fd = memfd_create("x", MFD_NOEXEC_SEAL);
	if (fd < 0) {
		skip("this kernel has no MFD_NOEXEC_SEAL", "MFD_NOEXEC_SEAL");
		return;
	}
	need(fstat(fd, &st) == 0);
	is_int(st.st_mode & 0777, 0666, "mode with MFD_NOEXEC_SEAL");
	is_int(fcntl(fd, F_GET_SEALS), F_SEAL_EXEC, "and its seal");
	is_err(fchmod(fd, 0777), EPERM, "cannot be made executable");
	is_int(fchmod(fd, 0600), 0, "other modes can be had");
	close(fd);
	is_err(memfd_create("x", MFD_NOEXEC_SEAL | MFD_EXEC), EINVAL, "both flags");
	fd = memfd_create("x", MFD_EXEC | MFD_ALLOW_SEALING);
	ok(fd >= 0, "MFD_EXEC");
	is_int(add(fd, F_SEAL_EXEC), 0, "F_SEAL_EXEC of what is executable");
	is_int(fcntl(fd, F_GET_SEALS),
	       F_SEAL_EXEC | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE,
	       "implies the others");
	close(fd);
}

static void test_size_seals(void)
{
	int fd = sealable("size");
	need(ftruncate(fd, 2 * PAGE) == 0);
	is_int(fcntl(fd, F_GET_SEALS), 0, "no seals");
	is_int(add(fd, 0), 0, "add none");
	is_int(add(fd, F_SEAL_SHRINK), 0, "F_SEAL_SHRINK");
	is_err(ftruncate(fd, PAGE), EPERM, "cannot shrink");
	is_int(ftruncate(fd, 2 * PAGE), 0, "the same size");
	is_int(ftruncate(fd, 3 * PAGE), 0, "can grow");
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	is_err(open(path, O_RDWR | O_TRUNC), EPERM, "O_TRUNC");
	is_int(add(fd, F_SEAL_GROW), 0, "F_SEAL_GROW");
	is_int(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW, "both");
	is_err(ftruncate(fd, 4 * PAGE), EPERM, "cannot grow");
	is_err(pwrite(fd, "x", 1, 3 * PAGE), EPERM, "nor by a write");
	is_err(fallocate(fd, 0, 0, 4 * PAGE), EPERM, "nor by fallocate");
	is_int(pwrite(fd, "xy", 1, 3 * PAGE - 1), 1, "a write within");
	static char block[2 * PAGE];
	is_int(pwrite(fd, block, sizeof(block), 2 * PAGE), PAGE, "a write across the end");
	is_int(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), 0, "a hole");
	is_int(add(fd, F_SEAL_SEAL), 0, "F_SEAL_SEAL");
	is_err(add(fd, F_SEAL_WRITE), EPERM, "no more seals");
	is_err(add(fd, F_SEAL_SEAL), EPERM, "not even the same");
	close(fd);
}

static void test_write_seal(void)
{
	char text[16];
	int fd = sealable("write");
	need(write(fd, "sealed", 6) == 6 && ftruncate(fd, PAGE) == 0);
	char *p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	need(p != MAP_FAILED);
	is_err(add(fd, F_SEAL_WRITE), EBUSY, "F_SEAL_WRITE while mapped to be written");
	is_int(fcntl(fd, F_GET_SEALS), 0, "nothing was added");
	need(mprotect(p, PAGE, PROT_READ) == 0);
	is_err(add(fd, F_SEAL_WRITE), EBUSY, "while the mapping may become writable");
	need(munmap(p, PAGE) == 0);
	char *private = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
	need(private != MAP_FAILED);
	is_int(add(fd, F_SEAL_WRITE), 0, "F_SEAL_WRITE with a private mapping");
	private[0] = 'S';
	ok(private[0] == 'S', "which can be written");
	munmap(private, PAGE);
	is_err(write(fd, "x", 1), EPERM, "write");
	is_int(write(fd, "x", 0), 0, "write nothing");
	is_err(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), EPERM, "a hole");
	is_int(pread(fd, text, 6, 0), 6, "read");
	ok(memcmp(text, "sealed", 6) == 0, "as it was");
	is_err((long)mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), EPERM, "a writable shared mapping");
	p = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
	ok(p != MAP_FAILED, "a private one");
	munmap(p, PAGE);
	is_int(ftruncate(fd, 2 * PAGE), 0, "the size can change");
	close(fd);
}

static void test_future_write(void)
{
	int fd = sealable("future");
	need(ftruncate(fd, PAGE) == 0);
	char *p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	need(p != MAP_FAILED);
	is_int(add(fd, F_SEAL_FUTURE_WRITE), 0, "F_SEAL_FUTURE_WRITE while mapped");
	p[0] = 'a';
	char c;
	is_int(pread(fd, &c, 1, 0), 1, "read");
	is_int(c, 'a', "what was written through the old mapping");
	is_err(write(fd, "x", 1), EPERM, "write");
	is_err((long)mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), EPERM, "a new writable mapping");
	char *q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ok(q != MAP_FAILED, "a new readable one");
	p[0] = 'b';
	is_int(q[0], 'b', "shows the same");
	is_err(mprotect(q, PAGE, RW), EACCES, "cannot be made writable");
	munmap(p, PAGE);
	munmap(q, PAGE);
	close(fd);
}

static void test_seal_errors(void)
{
	char path[64];
	int fd = sealable("errors"), pipes[2];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int reader = open(path, O_RDONLY);
	need(reader >= 0 && pipe(pipes) == 0);
	is_err(add(reader, F_SEAL_WRITE), EPERM, "F_ADD_SEALS on a descriptor to read");
	is_int(fcntl(reader, F_GET_SEALS), 0, "F_GET_SEALS there");
	is_err(add(fd, 0x100), EINVAL, "an unknown seal");
	is_err(fcntl(pipes[0], F_GET_SEALS), EINVAL, "F_GET_SEALS of a pipe");
	is_err(add(pipes[1], F_SEAL_WRITE), EINVAL, "F_ADD_SEALS of a pipe");
	is_err(fcntl(-1, F_GET_SEALS), EBADF, "F_GET_SEALS of -1");
	close(reader);
	close(fd);
	char name[] = "/dev/shm/guest-memfd.XXXXXX";
	fd = mkstemp(name);
	need(fd >= 0 && unlink(name) == 0);
	is_int(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL, "seals of a file of tmpfs");
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}

#define MUCH (64 << 20)

/* Seals of a memfd that another process has mapped. */
static void test_seal_across(void)
{
	struct event mapped, sealed;
	int fd = sealable("across");
	need(ftruncate(fd, PAGE) == 0);
	event_init(&mapped);
	event_init(&sealed);
	pid_t child = tap_fork();
	if (child == 0) {
		char *much = mmap(NULL, MUCH, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		need(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0) != MAP_FAILED);
		need(much != MAP_FAILED);
		/* So that its end takes long. */
		memset(much, 1, MUCH);
		event_post(&mapped);
		event_wait(&sealed);
		_exit(0);
	}
	event_wait(&mapped);
	is_err(add(fd, F_SEAL_WRITE), EBUSY, "another process has it mapped");
	event_post(&sealed);
	is_exit(tap_wait(child), 0, "the child ends");
	is_int(add(fd, F_SEAL_WRITE), 0, "then it can be sealed");
	event_fini(&mapped);
	event_fini(&sealed);
	close(fd);
}

static void test_huge(void)
{
	int fd = memfd_create("huge", MFD_HUGETLB);
	struct stat st;
	if (fd < 0) {
		skip("no huge pages here", "MFD_HUGETLB");
		return;
	}
	need(fstat(fd, &st) == 0);
	is_int(st.st_blksize, 2 << 20, "block size of huge pages");
	is_err(write(fd, "x", 1), EINVAL, "they cannot be written");
	is_err(ftruncate(fd, PAGE), EINVAL, "nor cut to a small page");
	is_int(ftruncate(fd, 2 << 20), 0, "a whole page");
	close(fd);
	is_err(memfd_create("x", MFD_HUGETLB | 22U << MFD_HUGE_SHIFT), ENODEV, "an odd page size");
}

/* ---- shared mappings ---- */

static sigjmp_buf bus_jump;

static void on_bus(int sig)
{
	siglongjmp(bus_jump, sig);
}

static bool touch_faults(volatile char *p)
{
	signal(SIGBUS, on_bus);
	bool faults = sigsetjmp(bus_jump, 1) != 0;
	if (!faults)
		(void)*p;
	signal(SIGBUS, SIG_DFL);
	return faults;
}

static void check_mapping(int fd, const char *what)
{
	char text[8];
	need(ftruncate(fd, 3 * PAGE + 100) == 0);
	char *p = mmap(NULL, 8 * PAGE, RW, MAP_SHARED, fd, 0);
	ok(p != MAP_FAILED, "%s: map it", what);
	memcpy(p + PAGE, "mapped", 6);
	is_int(pread(fd, text, 6, PAGE), 6, "%s: read", what);
	ok(memcmp(text, "mapped", 6) == 0, "%s: a read sees what was stored", what);
	is_int(pwrite(fd, "written", 7, 2 * PAGE), 7, "%s: write", what);
	ok(memcmp(p + 2 * PAGE, "written", 7) == 0, "%s: a load sees what was written", what);
	is_int(p[3 * PAGE + 200], 0, "%s: zeros after the end, in its page", what);
	ok(touch_faults(p + 4 * PAGE), "%s: SIGBUS beyond that page", what);
	is_int(ftruncate(fd, PAGE), 0, "%s: cut", what);
	ok(touch_faults(p + PAGE), "%s: SIGBUS where it was cut", what);
	is_int(ftruncate(fd, 6 * PAGE), 0, "%s: grow", what);
	ok(!touch_faults(p + PAGE), "%s: no SIGBUS there now", what);
	is_int(p[PAGE], 0, "%s: the old bytes are gone", what);
	is_int(write(fd, p + 7 * PAGE, 1), -1, "%s: write from beyond the end", what);
	is_int(errno, EFAULT, "%s: is EFAULT", what);
	is_int(msync(p, 6 * PAGE, MS_SYNC), 0, "%s: msync", what);
	is_err(msync(p, PAGE, MS_SYNC | MS_ASYNC), EINVAL, "%s: msync with both", what);
	char *q = mremap(p, 8 * PAGE, 12 * PAGE, MREMAP_MAYMOVE);
	ok(q != MAP_FAILED, "%s: mremap", what);
	is_int(ftruncate(fd, 12 * PAGE), 0, "%s: grow again", what);
	q[11 * PAGE] = 'e';
	is_int(pread(fd, text, 1, 11 * PAGE), 1, "%s: read there", what);
	is_int(text[0], 'e', "%s: what was stored", what);
	pid_t child = tap_fork();
	if (child == 0) {
		q[5] = 'c';
		_exit(0);
	}
	is_exit(tap_wait(child), 0, "%s: a child stores", what);
	is_int(q[5], 'c', "%s: the parent sees it", what);
	munmap(q, 12 * PAGE);
}

static void test_mappings(void)
{
	int fd = sealable("mapped");
	check_mapping(fd, "memfd");
	close(fd);
	fd = shm_open("/guest-memfd-test", O_RDWR | O_CREAT | O_EXCL, 0600);
	ok(fd >= 0, "shm_open");
	is_int(shm_unlink("/guest-memfd-test"), 0, "shm_unlink");
	check_mapping(fd, "shm");
	close(fd);
	char path[] = "/tmp/guest-memfd.XXXXXX";
	fd = mkstemp(path);
	need(fd >= 0 && unlink(path) == 0);
	check_mapping(fd, "/tmp");
	close(fd);
}

static void test_maps_line(void)
{
	char line[512];
	int fd = sealable("in maps"), found = 0;
	need(ftruncate(fd, PAGE) == 0);
	void *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	need(p != MAP_FAILED);
	FILE *maps = fopen("/proc/self/maps", "re");
	need(maps);
	while (fgets(line, sizeof(line), maps))
		found += strstr(line, "/memfd:in maps (deleted)\n") && strstr(line, " r--s ");
	fclose(maps);
	is_int(found, 1, "/proc/self/maps shows it");
	munmap(p, PAGE);
	close(fd);
}

static void test_semaphore(void)
{
	sem_t *sem = sem_open("/guest-memfd-sem", O_CREAT | O_EXCL, 0600, 0);
	ok(sem != SEM_FAILED, "sem_open");
	pid_t child = tap_fork();
	if (child == 0) {
		sem_t *same = sem_open("/guest-memfd-sem", 0);
		need(same != SEM_FAILED && sem_post(same) == 0);
		_exit(0);
	}
	is_int(sem_wait(sem), 0, "sem_wait for the child's sem_post");
	is_exit(tap_wait(child), 0, "the child ends");
	is_int(sem_unlink("/guest-memfd-sem"), 0, "sem_unlink");
	sem_close(sem);
}

/* A program in a memfd. */
static void test_exec(void)
{
	static char block[65536];
	ssize_t n;
	int self = open("/proc/self/exe", O_RDONLY), fd = memfd_create("program", MFD_CLOEXEC);
	need(self >= 0 && fd >= 0);
	while ((n = read(self, block, sizeof(block))) > 0)
		need(write(fd, block, n) == n);
	close(self);
	pid_t child = tap_fork();
	if (child == 0) {
		char *argv[] = { "memfd", "child", NULL }, *envp[] = { NULL };
		fexecve(fd, argv, envp);
		_exit(1);
	}
	is_exit(tap_wait(child), 42, "fexecve of a memfd");
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "child") == 0)
		return 42;
	tap_begin();
	test_create();
	test_exec_flags();
	test_size_seals();
	test_write_seal();
	test_future_write();
	test_seal_errors();
	test_seal_across();
	test_huge();
	test_mappings();
	test_maps_line();
	test_semaphore();
	test_exec();
	return tap_end();
}
