/*
 * Record locks of processes and of open files, flock, and waiting for them.
 */
#include "tap.h"
#include <signal.h>
#include <sys/file.h>

static int fd;

static int temp_file(void)
{
	char path[] = "/tmp/guest-locks.XXXXXX";
	int file = mkstemp(path);
	need(file >= 0 && unlink(path) == 0);
	return file;
}

static struct flock range(int type, long start, long len)
{
	return (struct flock){ .l_type = (short)type, .l_start = start, .l_len = len };
}

static int set(int file, int cmd, int type, long start, long len)
{
	struct flock l = range(type, start, len);
	return fcntl(file, cmd, &l);
}

/* What another process sees in its way from start on: "type start len" or "free". */
static const char *seen(long start, long len)
{
	static char text[64];
	int out[2];
	need(pipe(out) == 0);
	pid_t child = tap_fork();
	if (child == 0) {
		struct flock l = range(F_WRLCK, start, len);
		need(fcntl(fd, F_GETLK, &l) == 0);
		if (l.l_type == F_UNLCK)
			dprintf(out[1], "free");
		else
			dprintf(out[1], "%c %ld %ld", l.l_type == F_RDLCK ? 'r' : 'w',
				(long)l.l_start, (long)l.l_len);
		_exit(0);
	}
	tap_wait(child);
	ssize_t n = read(out[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	close(out[0]);
	close(out[1]);
	return text;
}

static void test_ranges(void)
{
	need(set(fd, F_SETLK, F_WRLCK, 100, 100) == 0);
	is_str(seen(0, 0), "w 100 100", "a lock");
	is_str(seen(0, 100), "free", "before it");
	is_str(seen(200, 0), "free", "behind it");
	need(set(fd, F_SETLK, F_UNLCK, 140, 20) == 0);
	is_str(seen(0, 0), "w 100 40", "a hole: before it");
	is_str(seen(140, 0), "w 160 40", "a hole: behind it");
	need(set(fd, F_SETLK, F_WRLCK, 140, 20) == 0);
	is_str(seen(150, 1), "w 100 100", "filled again, they are one");
	need(set(fd, F_SETLK, F_RDLCK, 150, 100) == 0);
	is_str(seen(0, 0), "w 100 50", "part of it turned into a read lock");
	is_str(seen(150, 0), "r 150 100", "which reaches further");
	need(set(fd, F_SETLK, F_RDLCK, 250, 0) == 0);
	is_str(seen(200, 0), "r 150 0", "merged with its neighbour, up to the end");
	need(set(fd, F_SETLK, F_UNLCK, 0, 0) == 0);
	is_str(seen(0, 0), "free", "all gone");
	need(lseek(fd, 50, SEEK_SET) == 50 && ftruncate(fd, 1000) == 0);
	struct flock l = range(F_WRLCK, 10, -5);
	l.l_whence = SEEK_CUR;
	need(fcntl(fd, F_SETLK, &l) == 0);
	is_str(seen(0, 0), "w 55 5", "SEEK_CUR and a negative length");
	l = range(F_WRLCK, -10, 5);
	l.l_whence = SEEK_END;
	need(fcntl(fd, F_SETLK, &l) == 0);
	is_str(seen(60, 0), "w 990 5", "SEEK_END");
	need(set(fd, F_SETLK, F_UNLCK, 0, 0) == 0);
}

static void test_errors(void)
{
	struct flock l = range(F_WRLCK, 0, 0);
	l.l_whence = 7;
	is_err(fcntl(fd, F_SETLK, &l), EINVAL, "bad whence");
	is_err(set(fd, F_SETLK, F_WRLCK, -1, 0), EINVAL, "starts before the file");
	is_err(set(fd, F_SETLK, F_WRLCK, 5, -6), EINVAL, "a negative length too long");
	is_err(set(fd, F_SETLK, F_WRLCK, 5, INT64_MAX), EOVERFLOW, "ends too far away");
	is_err(set(fd, F_GETLK, F_UNLCK, 0, 0), EINVAL, "GETLK of F_UNLCK");
	l = range(F_WRLCK, 0, 0);
	l.l_pid = 1;
	is_err(fcntl(fd, F_OFD_SETLK, &l), EINVAL, "OFD_SETLK with a pid");
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int in = open(path, O_RDONLY), out = open(path, O_WRONLY);
	is_err(set(in, F_SETLK, F_WRLCK, 0, 0), EBADF, "a write lock needs a writable file");
	is_err(set(out, F_SETLK, F_RDLCK, 0, 0), EBADF, "a read lock a readable one");
	int place = open(path, O_PATH);
	is_err(set(place, F_SETLK, F_RDLCK, 0, 0), EBADF, "O_PATH");
	is_err(flock(place, LOCK_SH), EBADF, "flock of O_PATH");
	is_err(flock(-1, LOCK_SH), EBADF, "flock of -1");
	close(place);
	close(in);
	close(out);
}

static void test_close(void)
{
	need(set(fd, F_SETLK, F_WRLCK, 0, 10) == 0);
	int copy = dup(fd);
	is_str(seen(0, 0), "w 0 10", "before a close");
	close(copy);
	is_str(seen(0, 0), "free", "closing any descriptor of the file drops the locks");
}

static void test_open_file(void)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int other = open(path, O_RDWR);
	is_int(set(fd, F_OFD_SETLK, F_WRLCK, 0, 10), 0, "OFD_SETLK");
	is_err(set(other, F_OFD_SETLK, F_RDLCK, 5, 1), EAGAIN, "another open file");
	is_err(set(fd, F_SETLK, F_RDLCK, 5, 1), EAGAIN, "the process itself is another owner");
	struct flock l = range(F_WRLCK, 0, 0);
	is_int(fcntl(other, F_OFD_GETLK, &l), 0, "OFD_GETLK");
	is_int(l.l_pid, -1, "an open file has no pid");
	int copy = dup(fd);
	close(copy);
	is_err(set(other, F_OFD_SETLK, F_RDLCK, 5, 1), EAGAIN, "closing a copy keeps it");
	need(set(other, F_OFD_SETLK, F_WRLCK, 20, 10) == 0);
	is_err(set(fd, F_OFD_SETLK, F_WRLCK, 25, 1), EAGAIN, "and the other way around");
	close(other);
	is_int(set(fd, F_OFD_SETLK, F_WRLCK, 25, 1), 0, "the last close drops it");
	need(set(fd, F_OFD_SETLK, F_UNLCK, 0, 0) == 0);
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void test_waiting(void)
{
	int go[2];
	char c;
	need(pipe(go) == 0);
	pid_t child = tap_fork();
	if (child == 0) {
		need(set(fd, F_SETLK, F_WRLCK, 0, 10) == 0 && write(go[1], "x", 1) == 1);
		pause_ms(30);
		_exit(set(fd, F_SETLK, F_UNLCK, 0, 10));
	}
	need(read(go[0], &c, 1) == 1);
	is_err(set(fd, F_SETLK, F_RDLCK, 0, 1), EAGAIN, "SETLK does not wait");
	is_int(set(fd, F_SETLKW, F_RDLCK, 0, 1), 0, "SETLKW does");
	is_exit(tap_wait(child), 0, "the other one let go");
	need(set(fd, F_SETLK, F_UNLCK, 0, 0) == 0);

	child = tap_fork();
	if (child == 0) {
		need(set(fd, F_SETLK, F_WRLCK, 0, 10) == 0 && write(go[1], "x", 1) == 1);
		pause_ms(30);
		_exit(0);
	}
	need(read(go[0], &c, 1) == 1);
	is_int(set(fd, F_SETLKW, F_WRLCK, 0, 1), 0, "SETLKW until the other one exits");
	is_exit(tap_wait(child), 0, "which it did");

	child = tap_fork();
	if (child == 0) {
		struct sigaction act = { .sa_handler = on_alarm };
		need(sigaction(SIGALRM, &act, NULL) == 0);
		ualarm(20000, 0);
		need_err(set(fd, F_SETLKW, F_WRLCK, 0, 1), EINTR);
		_exit(0);
	}
	is_exit(tap_wait(child), 0, "a signal ends the wait");
	need(set(fd, F_SETLK, F_UNLCK, 0, 0) == 0);
	close(go[0]);
	close(go[1]);
}

static void test_deadlock(void)
{
	int go[2];
	char c;
	need(pipe(go) == 0);
	need(set(fd, F_SETLK, F_WRLCK, 0, 1) == 0);
	pid_t child = tap_fork();
	if (child == 0) {
		need(set(fd, F_SETLK, F_WRLCK, 1, 1) == 0 && write(go[1], "x", 1) == 1);
		/* One of the two is told, whoever comes last. */
		_exit(set(fd, F_SETLKW, F_WRLCK, 0, 1) == 0 ? 0 : errno);
	}
	need(read(go[0], &c, 1) == 1);
	pause_ms(20);
	int ret = set(fd, F_SETLKW, F_WRLCK, 1, 1), error = errno;
	need(set(fd, F_SETLK, F_UNLCK, 0, 0) == 0);
	int status = tap_wait(child);
	ok((ret == -1 && error == EDEADLK) != (status == EDEADLK << 8), "a circle is found");
	close(go[0]);
	close(go[1]);
}

static void test_flock(void)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int other = open(path, O_RDONLY);
	is_int(flock(fd, LOCK_SH), 0, "shared");
	is_int(flock(other, LOCK_SH | LOCK_NB), 0, "by two");
	is_err(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK, "exclusive");
	is_int(flock(fd, LOCK_EX | LOCK_NB), 0, "the failed attempt dropped the shared lock");
	is_int(set(fd, F_SETLK, F_WRLCK, 0, 0), 0, "record locks are apart");
	pid_t child = tap_fork();
	if (child == 0) {
		close(fd);
		pause_ms(20);
		_exit(flock(other, LOCK_UN));
	}
	is_exit(tap_wait(child), 0, "a child shares the open file");
	is_err(flock(other, LOCK_SH | LOCK_NB), EWOULDBLOCK, "its close did not unlock");
	child = tap_fork();
	if (child == 0) {
		pause_ms(30);
		_exit(flock(fd, LOCK_UN));
	}
	is_int(flock(other, LOCK_SH), 0, "a wait, until a child unlocks the shared open file");
	tap_wait(child);
	close(other);
	is_int(flock(fd, LOCK_EX | LOCK_NB), 0, "the last close unlocks");
}

int main(void)
{
	tap_begin();
	fd = temp_file();
	test_ranges();
	test_errors();
	test_close();
	test_open_file();
	test_waiting();
	test_deadlock();
	test_flock();
	return tap_end();
}
