/*
 * pidfds.
 */
#include "tap.h"
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef PIDFD_NONBLOCK
#define PIDFD_NONBLOCK O_NONBLOCK
#endif

static int pidfd_open_(pid_t pid, unsigned flags)
{
	return syscall(SYS_pidfd_open, pid, flags);
}

static int send_signal(int fd, int sig, siginfo_t *info, unsigned flags)
{
	return syscall(SYS_pidfd_send_signal, fd, sig, info, flags);
}

static int getfd(int pidfd, int fd, unsigned flags)
{
	return syscall(SYS_pidfd_getfd, pidfd, fd, flags);
}

static int ready(int fd, int timeout)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return poll(&p, 1, timeout) == 1 ? p.revents : 0;
}

static void *thread_tid(void *arg)
{
	*(pid_t *)arg = gettid();
	pause();
	return NULL;
}

static void test_open(void)
{
	int fd = pidfd_open_(getpid(), 0);
	ok(fd >= 0, "pidfd_open of oneself");
	is_int(fcntl(fd, F_GETFD), FD_CLOEXEC, "close-on-exec");
	is_int(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR, "flags");
	is_int(ready(fd, 0), 0, "not readable while alive");
	char c;
	is_err(read(fd, &c, 1), EINVAL, "read");
	char path[64], text[1024] = "", line[64];
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	int info = open(path, O_RDONLY);
	need(info >= 0 && read(info, text, sizeof(text) - 1) > 0);
	snprintf(line, sizeof(line), "Pid:\t%d\n", getpid());
	ok(strstr(text, line), "fdinfo: Pid");
	snprintf(line, sizeof(line), "NSpid:\t%d", getpid());
	ok(strstr(text, line), "fdinfo: NSpid");
	close(info);
	close(fd);
	fd = pidfd_open_(getpid(), PIDFD_NONBLOCK);
	is_int(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK, "PIDFD_NONBLOCK");
	close(fd);
	is_err(pidfd_open_(0, 0), EINVAL, "pid 0");
	is_err(pidfd_open_(-1, 0), EINVAL, "pid -1");
	is_err(pidfd_open_(getpid(), 1), EINVAL, "bad flags");
	is_err(pidfd_open_(4000000, 0), ESRCH, "no such process");
}

static void test_exit(void)
{
	struct event go;
	event_init(&go);
	pid_t child = tap_fork();
	if (!child) {
		event_wait(&go);
		_exit(3);
	}
	int fd = pidfd_open_(child, 0), nonblock = pidfd_open_(child, PIDFD_NONBLOCK);
	int ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN };
	siginfo_t info;
	need(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	is_int(send_signal(fd, 0, NULL, 0), 0, "signal 0");
	memset(&info, 7, sizeof(info));
	is_int(waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG), 0, "WNOHANG");
	is_int(info.si_pid, 0, "nothing yet");
	is_err(waitid(P_PIDFD, nonblock, &info, WEXITED), EAGAIN, "PIDFD_NONBLOCK");
	is_int(waitid(P_PIDFD, nonblock, &info, WEXITED | WNOHANG), 0, "and WNOHANG");
	event_post(&go);
	is_int(ready(fd, -1) & POLLIN, POLLIN, "poll waits for the end");
	is_int(epoll_wait(ep, &ev, 1, -1), 1, "epoll too");
	is_int(send_signal(fd, 0, NULL, 0), 0, "a zombie can be signalled");
	is_int(waitid(P_PIDFD, fd, &info, WEXITED | WNOWAIT), 0, "waitid, WNOWAIT");
	is_int(info.si_pid, child, "si_pid");
	is_int(info.si_code, CLD_EXITED, "si_code");
	is_int(waitid(P_PIDFD, fd, &info, WEXITED), 0, "waitid");
	is_int(info.si_status, 3, "si_status");
	is_err(waitid(P_PIDFD, fd, &info, WEXITED), ECHILD, "once");
	is_int(ready(fd, 0) & POLLIN, POLLIN, "still readable");
	is_err(send_signal(fd, 0, NULL, 0), ESRCH, "reaped");
	is_err(getfd(fd, 0, 0), ESRCH, "getfd of the dead");
	is_err(waitid(P_PIDFD, 0, &info, WEXITED), EBADF, "waitid of no pidfd");
	is_err(waitid(P_PIDFD, -1, &info, WEXITED), EINVAL, "waitid of -1");
	is_err(waitid(P_PIDFD, 99, &info, WEXITED), EBADF, "waitid of nothing");
	int own = pidfd_open_(getpid(), 0);
	is_err(waitid(P_PIDFD, own, &info, WEXITED), ECHILD, "not a child");
	close(own);
	close(fd);
	close(nonblock);
	close(ep);
	event_fini(&go);
}

static volatile sig_atomic_t handled;
static siginfo_t handled_info;

static void handler(int sig, siginfo_t *info, void *context)
{
	(void)context;
	handled = sig;
	handled_info = *info;
}

static void test_signal(void)
{
	struct sigaction act = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	sigaction(SIGUSR1, &act, NULL);
	int own = pidfd_open_(getpid(), 0), p[2];
	need(pipe(p) == 0);
	is_int(send_signal(own, SIGUSR1, NULL, 0), 0, "to oneself");
	is_int(handled, SIGUSR1, "arrives");
	is_int(handled_info.si_code, SI_USER, "SI_USER");
	is_int(handled_info.si_pid, getpid(), "si_pid");
	siginfo_t info = { .si_signo = SIGUSR1, .si_code = SI_QUEUE };
	info.si_value.sival_int = 55;
	is_int(send_signal(own, SIGUSR1, &info, 0), 0, "with a siginfo");
	is_int(handled_info.si_value.sival_int, 55, "its value");
	is_err(send_signal(own, SIGUSR2, &info, 0), EINVAL, "of another signal");
	is_err(send_signal(own, 99, NULL, 0), EINVAL, "no signal");
	is_err(send_signal(own, SIGUSR1, NULL, 0x8000), EINVAL, "bad flags");
	is_err(send_signal(p[0], SIGUSR1, NULL, 0), EBADF, "a pipe");
	is_err(send_signal(99, SIGUSR1, NULL, 0), EBADF, "nothing");
	is_err(send_signal(own, SIGUSR1, BAD_PTR, 0), EFAULT, "a bad siginfo");
	pid_t child = tap_fork();
	if (!child) {
		pause();
		_exit(1);
	}
	int fd = pidfd_open_(child, 0);
	info.si_code = SI_USER;
	is_err(send_signal(fd, SIGUSR1, &info, 0), EPERM, "as if by kill");
	is_int(send_signal(fd, SIGKILL, NULL, 0), 0, "SIGKILL");
	is_killed(tap_wait(child), SIGKILL, "kills");
	close(fd);
	close(own);
	close(p[0]);
	close(p[1]);
}

static int open_proc(const char *format, pid_t pid, int flags)
{
	char path[64];
	snprintf(path, sizeof(path), format, pid, pid);
	int fd = open(path, flags);
	need(fd >= 0);
	return fd;
}

/* A descriptor of /proc/PID will do for pidfd_send_signal, and for nothing else. */
static void test_proc_directory(void)
{
	pid_t child = tap_fork();
	if (!child) {
		pause();
		_exit(1);
	}
	int fd = open_proc("/proc/%d", child, O_DIRECTORY);
	siginfo_t info = { .si_signo = SIGUSR1, .si_code = SI_USER };
	is_int(send_signal(fd, 0, NULL, 0), 0, "signal 0 by /proc/PID");
	is_err(send_signal(fd, 99, NULL, 0), EINVAL, "no signal");
	is_err(send_signal(fd, SIGUSR1, &info, 0), EPERM, "as if by kill");
	is_err(getfd(fd, 0, 0), EBADF, "pidfd_getfd of /proc/PID");
	is_err(waitid(P_PIDFD, fd, &info, WEXITED), EBADF, "waitid of /proc/PID");
	static const char *const others[] = { "/proc/%d/task/%d", "/proc/%d/task",
					      "/proc/%d/status", "/proc" };
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		int other = open_proc(others[i], child, O_RDONLY);
		is_err(send_signal(other, 0, NULL, 0), EBADF, "by %s", others[i]);
		close(other);
	}
	int path = open_proc("/proc/%d", child, O_PATH);
	is_err(send_signal(path, 0, NULL, 0), EBADF, "by an O_PATH descriptor");
	is_int(send_signal(fd, SIGKILL, NULL, 0), 0, "SIGKILL by /proc/PID");
	is_killed(tap_wait(child), SIGKILL, "kills");
	is_err(send_signal(fd, 0, NULL, 0), ESRCH, "reaped");
	close(path);
	close(fd);
	handled = 0;
	fd = open_proc("/proc/self", 0, O_DIRECTORY);
	info = (siginfo_t){ .si_signo = SIGUSR1, .si_code = SI_USER };
	is_int(send_signal(fd, SIGUSR1, &info, 0), 0, "to oneself, as if by kill");
	is_int(handled, SIGUSR1, "arrives");
	close(fd);
}

static void test_getfd(void)
{
	struct event go;
	int p[2], *number = shared_alloc(4096);
	event_init(&go);
	pid_t child = tap_fork();
	if (!child) {
		need(pipe(p) == 0);
		need(write(p[1], "hello", 5) == 5);
		__atomic_store_n(number, p[0], __ATOMIC_RELEASE);
		event_wait(&go);
		_exit(0);
	}
	await_int(number, 1);
	int fd = pidfd_open_(child, 0);
	int got = getfd(fd, *number, 0);
	ok(got >= 0, "pidfd_getfd");
	is_int(fcntl(got, F_GETFD), FD_CLOEXEC, "close-on-exec");
	char buf[8] = "";
	is_int(read(got, buf, 8), 5, "the same pipe");
	is_str(buf, "hello", "its data");
	is_err(getfd(fd, 999, 0), EBADF, "not open there");
	is_err(getfd(fd, 0, 1), EINVAL, "bad flags");
	is_err(getfd(got, 0, 0), EBADF, "not a pidfd");
	is_err(getfd(99, 0, 0), EBADF, "nothing");
	event_post(&go);
	tap_wait(child);
	close(got);
	close(fd);
	event_fini(&go);
}

static void test_clone(void)
{
	int fd = -1, status, lowest = open("/", O_PATH);
	close(lowest);
	pid_t pid = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &fd, 0, 0);
	if (!pid)
		_exit(fcntl(lowest, F_GETFD) == -1 ? 5 : 6);
	ok(pid > 0 && fd >= 0, "clone with CLONE_PIDFD");
	is_int(fcntl(fd, F_GETFD), FD_CLOEXEC, "close-on-exec");
	siginfo_t info;
	is_int(waitid(P_PIDFD, fd, &info, WEXITED), 0, "its child");
	is_int(info.si_pid, pid, "is the one");
	is_int(info.si_status, 5, "which lacks the descriptor");
	close(fd);
	struct clone_args args = { .flags = CLONE_PIDFD,
				   .exit_signal = SIGCHLD,
				   .pidfd = (uintptr_t)&fd };
	fd = -1;
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (!pid)
		_exit(8);
	ok(pid > 0 && fd >= 0, "clone3");
	is_int(waitid(P_PIDFD, fd, &info, WEXITED), 0, "its child");
	is_int(info.si_status, 8, "its status");
	close(fd);
	int next = dup(0);
	close(next);
	args.pidfd = 8;
	is_err(syscall(SYS_clone3, &args, sizeof(args)), EFAULT, "a bad place");
	int again = dup(0);
	is_int(again, next, "leaves no descriptor");
	close(again);
	is_err(waitpid(-1, &status, WNOHANG), ECHILD, "nor a child");
	args.pidfd = args.parent_tid = (uintptr_t)&fd;
	args.flags = CLONE_PIDFD | CLONE_PARENT_SETTID;
	is_err(syscall(SYS_clone3, &args, sizeof(args)), EINVAL, "one place for both");
	is_err(syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, 0, &fd, 0, 0),
	       EINVAL, "and with clone");
	is_err(syscall(SYS_clone, CLONE_PIDFD | CLONE_DETACHED | SIGCHLD, 0, &fd, 0, 0), EINVAL,
	       "CLONE_DETACHED");
}

/* The leader's exit alone is not the end of the process. */
static void *late_thread(void *arg)
{
	event_wait(arg);
	_exit(4);
}

static struct event late;

static void leader_goes(void)
{
	pthread_t t;
	need(pthread_create(&t, NULL, late_thread, &late) == 0);
	syscall(SYS_exit, 9);
}

static void test_leader(void)
{
	event_init(&late);
	pid_t child = tap_fork();
	if (!child)
		leader_goes();
	int fd = pidfd_open_(child, 0);
	is_int(ready(fd, 30), 0, "the leader has gone, a thread is left");
	event_post(&late);
	is_int(ready(fd, -1) & POLLIN, POLLIN, "the last thread has gone");
	is_exit(tap_wait(child), 4, "its status");
	close(fd);
	event_fini(&late);
}

static void test_thread(void)
{
	static pid_t tid;
	pthread_t t;
	need(pthread_create(&t, NULL, thread_tid, &tid) == 0);
	await_int(&tid, 1);
	ok(pidfd_open_(tid, 0) == -1, "not of a thread");
}

int main(void)
{
	tap_begin();
	test_open();
	test_exit();
	test_signal();
	test_proc_directory();
	test_getfd();
	test_clone();
	test_leader();
	test_thread();
	return tap_end();
}
