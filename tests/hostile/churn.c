/*
 * A thousand processes, one after the other and a few at a time, that leave in all the ways there
 * are, with files, pipes, mappings and threads open. Nothing may remain of them.
 */
#include "tap.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

enum { PROCESSES = 1000, AT_ONCE = 10 };

static void *idle(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void leave(int number)
{
	static char *argv[] = { "churn", "exit", NULL };
	pthread_t thread;
	int fd[2];
	switch (number % 10) {
	case 0:
		_exit(3);
	case 1:
		kill(getpid(), SIGKILL);
		break;
	case 2:
		abort();
	case 3:
		execv("/proc/self/exe", argv);
		break;
	case 4:
		need(pthread_create(&thread, NULL, idle, NULL) == 0);
		_exit(3);
	case 5:
		need(pipe(fd) == 0 && eventfd(0, 0) >= 0 && epoll_create1(0) >= 0);
		_exit(3);
	case 6:
		memset(mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0),
		       1, 1 << 20);
		_exit(3);
	case 7:
		*(volatile int *)tap_pointer(8) = 1;
		break;
	case 8:
		need(pthread_create(&thread, NULL, idle, NULL) == 0);
		execv("/proc/self/exe", argv);
		break;
	case 9: {
		pid_t child = vfork();
		if (child == 0)
			_exit(4);
		_exit(tap_wait(child) == 4 << 8 ? 3 : 1);
	}
	}
	_exit(1);
}

static bool is_right(int number, int status)
{
	switch (number % 10) {
	case 1:
		return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	case 2:
		return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
	case 7:
		return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
	default:
		return WIFEXITED(status) && WEXITSTATUS(status) == 3;
	}
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return 3;
	tap_begin();
	int right = 0, fd_before = dup(0);
	close(fd_before);
	for (int i = 0; i < PROCESSES; i += AT_ONCE) {
		pid_t children[AT_ONCE];
		for (int j = 0; j < AT_ONCE; j++) {
			children[j] = tap_fork();
			if (children[j] == 0)
				leave(i + j);
		}
		for (int j = 0; j < AT_ONCE; j++)
			right += is_right(i + j, tap_wait(children[j]));
	}
	is_int(right, PROCESSES, "1,000 processes ended as they should");
	is_err(waitpid(-1, NULL, WNOHANG), ECHILD, "no child is left");
	is_int(dup(0), fd_before, "no descriptor is left");
	return tap_end();
}
