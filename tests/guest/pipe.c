/*
 * Pipes and the signals and errors of their ends.
 */
#include "tap.h"
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

static char block[1 << 17];

static void test_simple(void)
{
	int fd[2], n = -1;
	char text[32];
	struct stat st;
	is_int(pipe(fd), 0, "pipe");
	is_int(write(fd[1], "abc", 3), 3, "write");
	is_int(write(fd[1], "def", 3), 3, "write again");
	is_int(ioctl(fd[0], FIONREAD, &n), 0, "FIONREAD");
	is_int(n, 6, "6 bytes");
	is_int(read(fd[0], text, 4), 4, "read across writes");
	ok(memcmp(text, "abcd", 4) == 0, "in order");
	is_int(read(fd[0], text, sizeof(text)), 2, "a short read");
	is_int(fstat(fd[0], &st), 0, "fstat");
	ok(S_ISFIFO(st.st_mode) && st.st_uid == geteuid(), "is a fifo of ours");
	is_int(fcntl(fd[0], F_GETFL), O_RDONLY, "flags of the read end");
	is_int(fcntl(fd[1], F_GETFL), O_WRONLY, "flags of the write end");
	write(fd[1], "rest", 4);
	close(fd[1]);
	is_int(read(fd[0], text, sizeof(text)), 4, "what is left after the writer closed");
	is_int(read(fd[0], text, sizeof(text)), 0, "then the end");
	close(fd[0]);
	is_err(pipe2(fd, 0x10), EINVAL, "pipe2 with unknown flags");
	is_err(syscall(SYS_pipe2, BAD_PTR, 0), EFAULT, "pipe2 to a bad address");
	is_int(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0, "pipe2 with flags");
	is_int(fcntl(fd[0], F_GETFD), FD_CLOEXEC, "O_CLOEXEC");
	is_int(fcntl(fd[1], F_GETFL), O_WRONLY | O_NONBLOCK, "O_NONBLOCK");
	is_err(read(fd[0], text, 1), EAGAIN, "read of nothing");
	is_int(read(fd[0], text, 0), 0, "read of no bytes");
	close(fd[0]);
	close(fd[1]);
}

static void test_full(void)
{
	int fd[2], total = 0;
	need(pipe2(fd, O_NONBLOCK) == 0);
	int size = fcntl(fd[0], F_GETPIPE_SZ);
	is_int(size, 65536, "F_GETPIPE_SZ");
	ssize_t n;
	while ((n = write(fd[1], block, 4096)) > 0)
		total += n;
	is_err(write(fd[1], block, 1), EAGAIN, "write to a full pipe");
	is_int(total, size, "it holds as much as it says");
	struct pollfd p = { fd[1], POLLOUT, 0 };
	is_int(poll(&p, 1, 0), 0, "it is not writable");
	is_int(read(fd[0], block, 100), 100, "read 100 bytes");
	is_err(write(fd[1], block, 4096), EAGAIN, "PIPE_BUF bytes go in whole or not at all");
	is_int(read(fd[0], block, 65536), 65436, "read the rest");
	is_int(write(fd[1], block, 100000), 65536, "more than fits: a part");
	is_int(read(fd[0], block, 100000), 65536, "which can be read at once");
	is_int(fcntl(fd[0], F_SETPIPE_SZ, 4096), 4096, "F_SETPIPE_SZ to a page");
	is_int(write(fd[1], block, 65536), 4096, "holds a page");
	is_int(fcntl(fd[0], F_SETPIPE_SZ, 100000), 131072, "F_SETPIPE_SZ rounds up");
	is_int(write(fd[1], block, 65536), 65536, "and there is more room");
	is_err(fcntl(fd[0], F_SETPIPE_SZ, 4096), EBUSY, "it cannot shrink below its contents");
	is_err(fcntl(0, F_GETPIPE_SZ), EBADF, "F_GETPIPE_SZ of something else");
	close(fd[0]);
	close(fd[1]);
}

static volatile int sigpipes;

static void on_pipe(int signal)
{
	(void)signal;
	sigpipes++;
}

static void broken_kills(void)
{
	int fd[2];
	need(pipe(fd) == 0);
	close(fd[0]);
	write(fd[1], "x", 1);
}

static void test_broken(void)
{
	int fd[2];
	need(pipe(fd) == 0);
	close(fd[0]);
	signal(SIGPIPE, on_pipe);
	is_err(write(fd[1], "x", 1), EPIPE, "write without a reader");
	is_int(sigpipes, 1, "SIGPIPE");
	signal(SIGPIPE, SIG_IGN);
	is_err(write(fd[1], "x", 1), EPIPE, "with SIGPIPE ignored");
	struct pollfd p = { fd[1], POLLOUT, 0 };
	is_int(poll(&p, 1, 0), 1, "poll");
	is_int(p.revents, POLLOUT | POLLERR, "POLLERR");
	close(fd[1]);
	signal(SIGPIPE, SIG_DFL);
	is_killed(run_child(broken_kills), SIGPIPE, "SIGPIPE kills");
}

static void broken_midway(void)
{
	int fd[2];
	char c;
	need(pipe(fd) == 0);
	signal(SIGPIPE, on_pipe);
	sigpipes = 0;
	pid_t child = tap_fork();
	if (child == 0) {
		close(fd[1]);
		need(read(fd[0], &c, 1) == 1);
		pause_ms(20);
		_exit(0);
	}
	close(fd[0]);
	need(write(fd[1], block, sizeof(block)) > 0);
	need(sigpipes == 1);
	need(tap_wait(child) == 0);
}

static void blocking(void)
{
	/* A megabyte through a pipe between two processes. */
	enum { TOTAL = 1 << 20 };
	int fd[2];
	need(pipe(fd) == 0);
	pid_t child = tap_fork();
	if (child == 0) {
		close(fd[0]);
		for (int i = 0; i < TOTAL; i += 8192) {
			memset(block, i >> 13, 8192);
			need(write(fd[1], block, 8192) == 8192);
		}
		_exit(0);
	}
	close(fd[1]);
	int total = 0;
	ssize_t n;
	while ((n = read(fd[0], block, 5000)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			need(block[i] == (char)((total + i) >> 13));
		total += n;
	}
	need(n == 0 && total == TOTAL);
	need(tap_wait(child) == 0);
}

static void *writer(void *arg)
{
	int *fd = arg;
	char record[1000];
	static int next;
	memset(record, 'a' + __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED), sizeof(record));
	for (int i = 0; i < 200; i++)
		need(write(*fd, record, sizeof(record)) == sizeof(record));
	return NULL;
}

static void atomic_writes(void)
{
	pthread_t threads[4];
	int fd[2];
	need(pipe(fd) == 0);
	for (int i = 0; i < 4; i++)
		need(pthread_create(&threads[i], NULL, writer, &fd[1]) == 0);
	for (int i = 0; i < 800; i++) {
		for (int have = 0; have < 1000;) {
			ssize_t n = read(fd[0], block + have, 1000 - have);
			need(n > 0);
			have += n;
		}
		for (int j = 1; j < 1000; j++)
			need(block[j] == block[0]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static void packets(void)
{
	char text[16];
	int fd[2];
	need(pipe2(fd, O_DIRECT) == 0);
	need(write(fd[1], "abc", 3) == 3 && write(fd[1], "defg", 4) == 4);
	need(read(fd[0], text, 16) == 3);
	need(read(fd[0], text, 2) == 2);
	need(write(fd[1], "h", 1) == 1);
	need(read(fd[0], text, 16) == 1 && text[0] == 'h');
}

static void vectors(void)
{
	char a[2], b[10];
	struct iovec out[] = { { "ab", 2 }, { "cde", 3 } }, in[] = { { a, 2 }, { b, 10 } };
	int fd[2];
	need(pipe(fd) == 0);
	need(writev(fd[1], out, 2) == 5);
	need(readv(fd[0], in, 2) == 5);
	need(memcmp(a, "ab", 2) == 0 && memcmp(b, "cde", 3) == 0);
}

/* A pipe opened again through /proc waits for nobody, and gives what is in it. */
static void reopened(void)
{
	char path[32], text[8];
	int fd[2];
	need(pipe(fd) == 0 && write(fd[1], "abc", 3) == 3);
	close(fd[1]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd[0]);
	int again = open(path, O_RDONLY);
	need(again >= 0);
	need(read(again, text, sizeof(text)) == 3 && memcmp(text, "abc", 3) == 0);
	need(read(fd[0], text, sizeof(text)) == 0);
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* Opening a fifo that nobody has open at the other end waits, until a signal. */
static void interrupted_open(void)
{
	struct sigaction action = { .sa_handler = on_alarm };
	char path[64];
	char *dir = temp_dir();
	snprintf(path, sizeof(path), "%s/fifo", dir);
	need(mkfifo(path, 0600) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
	pid_t parent = getpid(), child = tap_fork();
	if (!child) {
		for (int i = 0; i < 500 && kill(parent, SIGUSR1) == 0; i++)
			pause_ms(10);
		_exit(0);
	}
	need_err(open(path, O_RDONLY), EINTR);
	need_err(open(path, O_WRONLY), EINTR);
	kill(child, SIGKILL);
	tap_wait(child);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	tap_begin();
	test_simple();
	test_full();
	test_broken();
	child_ok(broken_midway, "a reader that leaves midway: a short write, and SIGPIPE");
	child_ok(blocking, "a megabyte between two processes");
	child_ok(atomic_writes, "writes of up to PIPE_BUF bytes are not mixed");
	child_ok(packets, "O_DIRECT keeps packets apart");
	child_ok(vectors, "readv and writev");
	child_ok(reopened, "a pipe opened again through /proc");
	child_ok(interrupted_open, "a signal ends the wait for a fifo's other end");
	return tap_end();
}
