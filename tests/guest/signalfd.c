/*
 * signalfd.
 */
#include "tap.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

static sigset_t mask_of(int a, int b)
{
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, a);
	if (b)
		sigaddset(&s, b);
	return s;
}

static void block(int a, int b)
{
	sigset_t s = mask_of(a, b);
	need(sigprocmask(SIG_BLOCK, &s, NULL) == 0);
}

static int ready(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
	return poll(&p, 1, 0) == 1 ? p.revents : 0;
}

static void test_basic(void)
{
	sigset_t s = mask_of(SIGUSR1, SIGRTMIN + 1);
	struct signalfd_siginfo info[4];
	block(SIGUSR1, SIGRTMIN + 1);
	block(SIGUSR2, 0);
	int fd = signalfd(-1, &s, SFD_NONBLOCK | SFD_CLOEXEC);
	ok(fd >= 0, "signalfd");
	is_int(fcntl(fd, F_GETFD), FD_CLOEXEC, "close-on-exec");
	is_err(read(fd, info, sizeof(info)), EAGAIN, "nothing yet");
	is_int(ready(fd), 0, "nothing to poll");
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	is_int(ready(fd), POLLIN, "something to poll");
	is_int(read(fd, info, sizeof(info)), 128, "one signal");
	is_int(info[0].ssi_signo, SIGUSR1, "its number");
	is_int(info[0].ssi_code, SI_USER, "its code");
	is_int(info[0].ssi_pid, getpid(), "its sender");
	is_int(info[0].ssi_uid, getuid(), "its user");
	is_int(ready(fd), 0, "SIGUSR2 is not in the mask");
	for (int i = 0; i < 3; i++)
		need(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 100 + i }) == 0);
	raise(SIGUSR1);
	is_int(read(fd, info, sizeof(info)), 4 * 128, "several at once");
	is_int(info[0].ssi_signo, SIGUSR1, "the lower one first");
	is_int(info[0].ssi_code, SI_TKILL, "SI_TKILL");
	is_int(info[1].ssi_code, SI_QUEUE, "SI_QUEUE");
	is_int(info[1].ssi_int, 100, "value 1");
	is_int(info[2].ssi_int, 101, "value 2");
	is_int(info[3].ssi_int, 102, "value 3");
	is_int(info[3].ssi_ptr & 0xffffffff, 102, "as a pointer");
	is_int(info[3].ssi_pid, getpid(), "the sender");
	need(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 7 }) == 0);
	need(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 8 }) == 0);
	is_int(read(fd, info, 130), 128, "as many as fit");
	is_int(read(fd, info, 600), 128, "then the other");
	s = mask_of(SIGUSR2, 0);
	is_int(signalfd(fd, &s, 0), fd, "a new mask");
	is_int(ready(fd), POLLIN, "SIGUSR2 was waiting");
	is_int(read(fd, info, sizeof(info)), 128, "and is read");
	is_int(info[0].ssi_signo, SIGUSR2, "SIGUSR2");
	close(fd);
}

static void test_child(void)
{
	sigset_t s = mask_of(SIGCHLD, 0);
	struct signalfd_siginfo info;
	block(SIGCHLD, 0);
	int fd = signalfd(-1, &s, 0);
	pid_t child = tap_fork();
	if (!child)
		_exit(7);
	is_int(read(fd, &info, sizeof(info)), 128, "read waits for a child");
	is_int(info.ssi_signo, SIGCHLD, "SIGCHLD");
	is_int(info.ssi_code, CLD_EXITED, "CLD_EXITED");
	is_int(info.ssi_pid, child, "the child");
	is_int(info.ssi_status, 7, "its status");
	tap_wait(child);
	child = tap_fork();
	if (!child) {
		raise(SIGSTOP);
		pause();
	}
	need(read(fd, &info, sizeof(info)) == 128);
	is_int(info.ssi_code, CLD_STOPPED, "CLD_STOPPED");
	is_int(info.ssi_status, SIGSTOP, "SIGSTOP");
	kill(child, SIGKILL);
	need(read(fd, &info, sizeof(info)) == 128);
	is_int(info.ssi_code, CLD_KILLED, "CLD_KILLED");
	is_int(info.ssi_status, SIGKILL, "SIGKILL");
	tap_wait(child);
	close(fd);
}

static void test_timer(void)
{
	sigset_t s = mask_of(SIGRTMIN + 2, 0);
	struct signalfd_siginfo info;
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL,
			       .sigev_signo = SIGRTMIN + 2,
			       .sigev_value.sival_int = 1234 };
	timer_t timer;
	struct itimerspec it = { .it_value.tv_nsec = 1000000, .it_interval.tv_nsec = 1000000 };
	block(SIGRTMIN + 2, 0);
	int fd = signalfd(-1, &s, 0);
	need(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0);
	need(timer_settime(timer, 0, &it, NULL) == 0);
	pause_ms(20);
	is_int(read(fd, &info, sizeof(info)), 128, "of a timer");
	is_int(info.ssi_code, SI_TIMER, "SI_TIMER");
	is_int(info.ssi_int, 1234, "its value");
	ok(info.ssi_overrun >= 10, "its overruns");
	is_int(read(fd, &info, sizeof(info)), 128, "it goes on");
	timer_delete(timer);
	close(fd);
}

static int shared_fd;
static struct signalfd_siginfo thread_info;

static void *reader(void *arg)
{
	(void)arg;
	need(read(shared_fd, &thread_info, sizeof(thread_info)) == 128);
	return NULL;
}

static void test_threads(void)
{
	sigset_t s = mask_of(SIGUSR1, SIGUSR2);
	pthread_t thread;
	shared_fd = signalfd(-1, &s, 0);
	need(pthread_create(&thread, NULL, reader, NULL) == 0);
	pause_ms(10);
	/* A signal for this thread alone is not the other's. */
	pthread_kill(pthread_self(), SIGUSR2);
	is_int(ready(shared_fd), POLLIN, "a thread's own signal");
	pause_ms(10);
	kill(getpid(), SIGUSR1);
	pthread_join(thread, NULL);
	is_int(thread_info.ssi_signo, SIGUSR1, "one of the process");
	need(read(shared_fd, &thread_info, sizeof(thread_info)) == 128);
	is_int(thread_info.ssi_signo, SIGUSR2, "is still there");
	close(shared_fd);
}

/* The child polls what its parent made: for signals of its own. */
static void test_fork(void)
{
	sigset_t s = mask_of(SIGUSR1, 0);
	int fd = signalfd(-1, &s, SFD_NONBLOCK);
	struct signalfd_siginfo info;
	raise(SIGUSR1);
	is_int(ready(fd), POLLIN, "the parent's signal");
	pid_t child = tap_fork();
	if (!child) {
		need(ready(fd) == 0);
		need_err(read(fd, &info, sizeof(info)), EAGAIN);
		struct pollfd p = { .fd = fd, .events = POLLIN };
		need(poll(&p, 1, -1) == 1);
		need(read(fd, &info, sizeof(info)) == 128);
		need(info.ssi_pid == (uint32_t)getppid());
		_exit(0);
	}
	pause_ms(20);
	kill(child, SIGUSR1);
	is_exit(tap_wait(child), 0, "the child's");
	is_int(read(fd, &info, sizeof(info)), 128, "the parent's is still there");
	/* The child that is gone is not woken. */
	raise(SIGUSR1);
	is_int(read(fd, &info, sizeof(info)), 128, "after its end");
	close(fd);
}

static void test_epoll(void)
{
	sigset_t s = mask_of(SIGUSR1, 0);
	int fd = signalfd(-1, &s, SFD_NONBLOCK), ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN };
	struct signalfd_siginfo info;
	need(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	is_int(epoll_wait(ep, &ev, 1, 0), 0, "epoll: nothing");
	pid_t parent = getpid(), child = tap_fork();
	if (!child) {
		pause_ms(20);
		kill(parent, SIGUSR1);
		_exit(0);
	}
	is_int(epoll_wait(ep, &ev, 1, -1), 1, "epoll waits");
	is_int(read(fd, &info, sizeof(info)), 128, "it is read");
	is_int(info.ssi_pid, child, "the sender");
	is_int(epoll_wait(ep, &ev, 1, 0), 0, "then nothing");
	tap_wait(child);
	close(fd);
	raise(SIGUSR1);
	is_int(epoll_wait(ep, &ev, 1, 0), 0, "closed");
	close(ep);
	int sig;
	sigwait(&s, &sig);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void test_errors(void)
{
	sigset_t s = mask_of(SIGUSR1, SIGKILL);
	char buf[256];
	int p[2], fd = signalfd(-1, &s, 0);
	need(pipe(p) == 0);
	is_err(signalfd(-1, &s, 1), EINVAL, "bad flags");
	is_err(syscall(SYS_signalfd4, -1, &s, 4, 0), EINVAL, "bad size");
	is_err(syscall(SYS_signalfd4, -1, BAD_PTR, 8, 0), EFAULT, "bad mask");
	is_err(signalfd(p[0], &s, 0), EINVAL, "a pipe");
	is_err(signalfd(99, &s, 0), EBADF, "no file");
	is_err(read(fd, buf, 127), EINVAL, "a short buffer");
	is_err(write(fd, buf, 128), EINVAL, "write");
	raise(SIGUSR1);
	is_err(read(fd, BAD_PTR, 128), EFAULT, "a bad buffer");
	struct sigaction act = { .sa_handler = on_signal };
	sigaction(SIGTERM, &act, NULL);
	pid_t parent = getpid(), child = tap_fork();
	if (!child) {
		pause_ms(20);
		kill(parent, SIGTERM);
		_exit(0);
	}
	is_err(read(fd, buf, sizeof(buf)), EINTR, "another signal interrupts");
	tap_wait(child);
	char path[64], text[1024] = "";
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	int info = open(path, O_RDONLY);
	need(info >= 0 && read(info, text, sizeof(text) - 1) > 0);
	ok(strstr(text, "sigmask:\t0000000000000200\n"), "fdinfo: without SIGKILL");
	close(info);
	close(fd);
}

int main(void)
{
	tap_begin();
	test_basic();
	test_child();
	test_timer();
	test_threads();
	test_fork();
	test_epoll();
	test_errors();
	return tap_end();
}
