/*
 * vfork: the parent waits, the memory is shared, exec and exit end it.
 */
#include "tap.h"
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/stat.h>

#define SELF "/proc/self/exe"

static volatile int value;

static void test_exit(void)
{
	pid_t parent = getpid();
	value = 1;
	pid_t child = vfork();
	if (child == 0) {
		value = getppid() == parent && getpid() != parent ? 2 : 3;
		_exit(11);
	}
	is_int(value, 2, "the parent sees what the child wrote, once it has exited");
	is_exit(tap_wait(child), 11, "its exit status");
}

static void test_exec(void)
{
	static char *argv[] = { "vfork", "exit", NULL };
	value = 1;
	pid_t child = vfork();
	if (child == 0) {
		value = 2;
		execv(SELF, argv);
		_exit(98);
	}
	is_int(value, 2, "the parent sees what the child wrote before exec");
	is_exit(tap_wait(child), 31, "exit status of the new program");

	child = vfork();
	if (child == 0) {
		execv("/no/such/file", argv);
		value = errno;
		_exit(12);
	}
	is_int(value, ENOENT, "a failed exec returns to the child");
	is_exit(tap_wait(child), 12, "which can exit");
}

static void test_killed(void)
{
	pid_t child = vfork();
	if (child == 0) {
		kill(getpid(), SIGKILL);
		_exit(1);
	}
	is_killed(tap_wait(child), SIGKILL, "a killed child frees the parent");
}

static void test_files_not_shared(void)
{
	int fd[2];
	need(pipe(fd) == 0);
	value = umask(022);
	umask(value);
	pid_t child = vfork();
	if (child == 0) {
		close(fd[1]);
		umask(0777);
		_exit(0);
	}
	tap_wait(child);
	is_int(write(fd[1], "x", 1), 1, "closing in the child leaves the parent's files alone");
	int mask = umask(value);
	is_int(mask, value, "and the umask");
	close(fd[0]);
	close(fd[1]);
}

static void test_nested(void)
{
	value = 0;
	pid_t child = vfork();
	if (child == 0) {
		value = value + 1;
		pid_t grandchild = vfork();
		if (grandchild == 0) {
			value = value * 10;
			_exit(0);
		}
		value = value + 5;
		_exit(0);
	}
	tap_wait(child);
	is_int(value, 15, "a vfork within a vfork keeps the order");
}

static void test_spawn(void)
{
	char *argv[] = { "vfork", "exit", NULL }, *cat[] = { "vfork", "hello", NULL };
	pid_t child;
	char text[16] = "";
	int fd[2];
	is_int(posix_spawn(&child, SELF, NULL, NULL, argv, environ), 0, "posix_spawn");
	is_exit(tap_wait(child), 31, "its exit status");
	is_int(posix_spawn(&child, "/no/such/file", NULL, NULL, argv, environ), ENOENT,
	       "posix_spawn of a missing program");

	need(pipe(fd) == 0);
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd[1], 1);
	posix_spawn_file_actions_addclose(&actions, fd[0]);
	is_int(posix_spawn(&child, SELF, &actions, NULL, cat, environ), 0, "with file actions");
	is_exit(tap_wait(child), 32, "its exit status");
	close(fd[1]);
	is_int(read(fd[0], text, sizeof(text)), 5, "its output is in the pipe");
	is_str(text, "hello", "and right");
	close(fd[0]);
	posix_spawn_file_actions_destroy(&actions);
}

static pid_t vfork_exec(void)
{
	static char *argv[] = { "vfork", "exit", NULL };
	pid_t child = vfork();
	if (child == 0) {
		execv(SELF, argv);
		_exit(98);
	}
	return child;
}

static void test_many(void)
{
	int good = 0;
	for (int i = 0; i < 50; i++) {
		int status = tap_wait(vfork_exec());
		good += WIFEXITED(status) && WEXITSTATUS(status) == 31;
	}
	is_int(good, 50, "50 times vfork, exec, wait");
}

static int handled;

static void on_signal(int signal)
{
	(void)signal;
	handled++;
}

static void test_signal_waits(void)
{
	/* A signal sent to a parent in vfork is handled only after the child is done. */
	signal(SIGUSR1, on_signal);
	pid_t parent = getpid();
	value = -1;
	pid_t child = vfork();
	if (child == 0) {
		kill(parent, SIGUSR1);
		for (int i = 0; i < 100; i++)
			sched_yield();
		value = handled;
		_exit(0);
	}
	is_int(value, 0, "no handler runs while the parent waits in vfork");
	is_int(handled, 1, "it runs afterwards");
	tap_wait(child);
	signal(SIGUSR1, SIG_DFL);
}

static int child_handled;

static void on_child_signal(int signal)
{
	(void)signal;
	child_handled = getpid();
}

static void test_handlers_not_shared(void)
{
	signal(SIGUSR2, SIG_IGN);
	pid_t child = vfork();
	if (child == 0) {
		signal(SIGUSR2, on_child_signal);
		raise(SIGUSR2);
		_exit(child_handled == getpid() ? 0 : 1);
	}
	is_exit(tap_wait(child), 0, "a handler runs in the child");
	struct sigaction action;
	sigaction(SIGUSR2, NULL, &action);
	ok(action.sa_handler == SIG_IGN, "and is not installed in the parent");
	signal(SIGUSR2, SIG_DFL);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "exit") == 0)
		return 31;
	if (argc > 1)
		return write(1, argv[1], strlen(argv[1])) == 5 ? 32 : 1;
	tap_begin();
	test_exit();
	test_exec();
	test_killed();
	test_files_not_shared();
	test_nested();
	test_spawn();
	test_many();
	test_signal_waits();
	test_handlers_not_shared();
	return tap_end();
}
