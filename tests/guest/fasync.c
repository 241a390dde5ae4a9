/*
 * Signals of open files: F_SETOWN, F_SETSIG, O_ASYNC.
 */
#include "tap.h"
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#ifndef F_SETSIG
#define F_SETSIG 10
#define F_GETSIG 11
#define F_SETOWN_EX 15
#define F_GETOWN_EX 16
#endif

static sigset_t io_set;

/* Takes a SIGIO or SIGRTMIN that is pending or soon will be; 0 after two seconds without. */
static int take(siginfo_t *info)
{
	struct timespec limit = { 2, 0 };
	int sig;
	do
		sig = sigtimedwait(&io_set, info, &limit);
	while (sig == -1 && errno == EINTR);
	return sig < 0 ? 0 : sig;
}

static bool none_pending(void)
{
	struct timespec now = { 0, 30000000 };
	return sigtimedwait(&io_set, NULL, &now) == -1;
}

static void drain(void)
{
	struct timespec now = { 0, 0 };
	while (sigtimedwait(&io_set, NULL, &now) > 0)
		;
}

static void test_owner(void)
{
	struct f_owner_ex ex;
	int p[2];
	need(pipe(p) == 0);
	is_int(fcntl(p[0], F_GETOWN), 0, "nobody owns it");
	is_int(fcntl(p[0], F_SETOWN, getpid()), 0, "F_SETOWN");
	is_int(fcntl(p[0], F_GETOWN), getpid(), "F_GETOWN");
	need(fcntl(p[0], F_GETOWN_EX, &ex) == 0);
	is_int(ex.type, F_OWNER_PID, "F_GETOWN_EX: type");
	is_int(ex.pid, getpid(), "F_GETOWN_EX: pid");
	is_int(fcntl(p[0], F_SETOWN, -getpgrp()), 0, "F_SETOWN of a group");
	need(fcntl(p[0], F_GETOWN_EX, &ex) == 0);
	is_int(ex.type, F_OWNER_PGRP, "F_GETOWN_EX: type");
	is_int(ex.pid, getpgrp(), "F_GETOWN_EX: pid");
	ex = (struct f_owner_ex){ F_OWNER_TID, gettid() };
	is_int(fcntl(p[0], F_SETOWN_EX, &ex), 0, "F_SETOWN_EX of a thread");
	is_int(fcntl(p[0], F_GETOWN), getpid(), "F_GETOWN");
	ex.type = 3;
	is_err(fcntl(p[0], F_SETOWN_EX, &ex), EINVAL, "an unknown type");
	ex = (struct f_owner_ex){ F_OWNER_PID, 99999999 };
	is_err(fcntl(p[0], F_SETOWN_EX, &ex), ESRCH, "an unknown process");
	is_err(fcntl(p[0], F_SETOWN, 99999999), ESRCH, "F_SETOWN of one");
	is_err(fcntl(p[0], F_SETOWN_EX, BAD_PTR), EFAULT, "a bad pointer");
	is_int(fcntl(p[0], F_SETOWN, 0), 0, "F_SETOWN of nobody");
	is_int(fcntl(p[0], F_GETOWN), 0, "again");
	is_int(fcntl(p[0], F_GETSIG), 0, "F_GETSIG");
	is_int(fcntl(p[0], F_SETSIG, SIGRTMIN), 0, "F_SETSIG");
	is_int(fcntl(p[0], F_GETSIG), SIGRTMIN, "F_GETSIG");
	is_err(fcntl(p[0], F_SETSIG, 65), EINVAL, "signal 65");
	is_err(fcntl(p[0], F_SETSIG, -1), EINVAL, "signal -1");
	pid_t child = tap_fork();
	if (child == 0)
		_exit(0);
	need(fcntl(p[0], F_SETOWN, child) == 0);
	tap_wait(child);
	is_int(fcntl(p[0], F_GETOWN), 0, "the owner is gone");
	close(p[0]);
	close(p[1]);
}

static void test_pipe(void)
{
	siginfo_t info;
	char c;
	int p[2];
	need(pipe(p) == 0);
	need(fcntl(p[0], F_SETOWN, getpid()) == 0);
	need(fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK) == 0);
	is_int(fcntl(p[0], F_GETFL) & O_ASYNC, O_ASYNC, "O_ASYNC shows");
	need(write(p[1], "x", 1) == 1);
	is_int(take(&info), SIGIO, "a write raises SIGIO");
	is_int(info.si_code, SI_KERNEL, "its code");
	need(write(p[1], "x", 1) == 1);
	is_int(take(&info), SIGIO, "and so does the next");
	need(read(p[0], &c, 1) == 1);
	drain();
	need(fcntl(p[0], F_SETSIG, SIGRTMIN) == 0);
	need(write(p[1], "x", 1) == 1);
	is_int(take(&info), SIGRTMIN, "F_SETSIG chooses the signal");
	is_int(info.si_code, POLL_IN, "si_code");
	is_int(info.si_fd, p[0], "si_fd");
	is_int(info.si_band, 0x41, "si_band");
	need(fcntl(p[0], F_SETFL, O_NONBLOCK) == 0);
	need(write(p[1], "x", 1) == 1);
	ok(none_pending(), "nothing without O_ASYNC");
	int on = 1;
	is_int(ioctl(p[0], FIOASYNC, &on), 0, "FIOASYNC");
	need(write(p[1], "x", 1) == 1);
	is_int(take(&info), SIGRTMIN, "sets it too");
	need(fcntl(p[0], F_SETOWN, 0) == 0);
	need(write(p[1], "x", 1) == 1);
	ok(none_pending(), "nothing without an owner");
	need(fcntl(p[0], F_SETOWN, getpid()) == 0);
	close(p[1]);
	is_int(take(&info), SIGRTMIN, "the last writer goes");
	close(p[0]);
}

static void test_pipe_writer(void)
{
	static char block[65536];
	siginfo_t info;
	int p[2];
	need(pipe2(p, O_NONBLOCK) == 0);
	need(write(p[1], block, sizeof(block)) == sizeof(block));
	need(fcntl(p[1], F_SETOWN, getpid()) == 0 && fcntl(p[1], F_SETSIG, SIGRTMIN) == 0);
	need(fcntl(p[1], F_SETFL, O_ASYNC | O_NONBLOCK) == 0);
	drain();
	need(read(p[0], block, 4096) == 4096);
	is_int(take(&info), SIGRTMIN, "a read makes room");
	is_int(info.si_code, POLL_OUT, "si_code");
	close(p[0]);
	close(p[1]);
	drain();
}

static void test_socket(void)
{
	siginfo_t info;
	int s[2], who = getpid();
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	is_int(ioctl(s[0], FIOSETOWN, &who), 0, "FIOSETOWN");
	who = 0;
	is_int(ioctl(s[0], FIOGETOWN, &who), 0, "FIOGETOWN");
	is_int(who, getpid(), "the owner");
	need(fcntl(s[0], F_SETFL, O_ASYNC) == 0);
	need(write(s[1], "x", 1) == 1);
	is_int(take(&info), SIGIO, "data on a socket");
	close(s[0]);
	close(s[1]);
	drain();
}

/* The owner is another process, or a group of them. */
static void test_others(void)
{
	struct event ready;
	int p[2], owners[] = { 0, 0 };
	need(pipe(p) == 0);
	event_init(&ready);
	pid_t child = tap_fork();
	if (child == 0) {
		need(setpgid(0, 0) == 0);
		event_post(&ready);
		for (int i = 0; i < 2; i++) {
			need(take(NULL) == SIGIO);
			event_post(&ready);
		}
		_exit(0);
	}
	event_wait(&ready);
	owners[0] = child;
	owners[1] = -child;
	need(fcntl(p[0], F_SETFL, O_ASYNC) == 0);
	for (int i = 0; i < 2; i++) {
		need(fcntl(p[0], F_SETOWN, owners[i]) == 0);
		need(write(p[1], "x", 1) == 1);
		event_wait(&ready);
	}
	is_exit(tap_wait(child), 0, "another process, and a group, get SIGIO");
	ok(none_pending(), "this one does not");
	event_fini(&ready);
	close(p[0]);
	close(p[1]);
}

static void touch(const char *dir, const char *name)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	need(fd >= 0);
	close(fd);
}

static void test_directory(void)
{
	siginfo_t info;
	char *path = temp_dir(), name[128];
	int dir = open(path, O_RDONLY | O_DIRECTORY);
	need(dir >= 0);
	is_int(fcntl(dir, F_SETSIG, SIGRTMIN), 0, "F_SETSIG of a directory");
	is_int(fcntl(dir, F_NOTIFY, DN_CREATE), 0, "F_NOTIFY");
	is_int(fcntl(dir, F_GETOWN), getpid(), "its owner is the caller");
	touch(path, "a");
	is_int(take(&info), SIGRTMIN, "a new name");
	is_int(info.si_fd, dir, "si_fd");
	is_int(info.si_code, POLL_MSG, "si_code");
	touch(path, "b");
	ok(none_pending(), "told once");
	is_int(fcntl(dir, F_NOTIFY, DN_DELETE | DN_MULTISHOT), 0, "DN_MULTISHOT");
	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%s/%c", path, 'a' + i);
		need(unlink(name) == 0);
		is_int(take(&info), SIGRTMIN, "a name is gone");
	}
	is_int(fcntl(dir, F_NOTIFY, 0), 0, "no more");
	touch(path, "c");
	snprintf(name, sizeof(name), "%s/c", path);
	need(unlink(name) == 0);
	ok(none_pending(), "nothing is told");
	close(dir);
	need(rmdir(path) == 0);
}

static void test_errors(void)
{
	int event = eventfd(0, 0), null = open("/dev/null", O_RDWR), on = 1;
	is_err(fcntl(event, F_SETFL, O_DIRECT), EINVAL, "O_DIRECT of an eventfd");
	is_int(fcntl(null, F_SETFL, O_ASYNC), 0, "O_ASYNC where nothing happens");
	char path[] = "/tmp/guest-fasync.XXXXXX";
	int fd = mkstemp(path);
	need(fd >= 0 && unlink(path) == 0);
	is_err(ioctl(fd, FIOASYNC, &on), ENOTTY, "FIOASYNC of a regular file");
	is_int(fcntl(fd, F_GETLEASE), F_UNLCK, "F_GETLEASE without a lease");
	is_err(fcntl(fd, F_NOTIFY, DN_MODIFY), ENOTDIR, "F_NOTIFY of a regular file");
	is_err(fcntl(-1, F_SETOWN, 0), EBADF, "F_SETOWN of -1");
	close(fd);
	close(event);
	close(null);
}

int main(void)
{
	tap_begin();
	sigemptyset(&io_set);
	sigaddset(&io_set, SIGIO);
	sigaddset(&io_set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &io_set, NULL);
	test_owner();
	test_pipe();
	test_pipe_writer();
	test_socket();
	test_others();
	test_directory();
	test_errors();
	return tap_end();
}
