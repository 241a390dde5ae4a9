/*
 * execve and execveat. The program runs itself again with a mode as its first argument.
 */
#include "tap.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define SELF "/proc/self/exe"

static char *dir;

static void exec_mode(const char *mode, const char *arg)
{
	char *argv[] = { "exec", (char *)mode, (char *)arg, NULL };
	execv(SELF, argv);
	_exit(98);
}

/* Runs "SELF mode" in a child. */
static int run_mode(const char *mode, const char *arg)
{
	pid_t child = tap_fork();
	if (child == 0)
		exec_mode(mode, arg);
	return tap_wait(child);
}

static const char *make_file(const char *name, const char *text, mode_t mode)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	need(fd >= 0);
	need(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	need(fchmod(fd, mode) == 0);
	close(fd);
	return path;
}

static void copy_self(const char *path)
{
	static char buffer[65536];
	ssize_t got;
	int in = open(SELF, O_RDONLY), out = open(path, O_WRONLY | O_CREAT | O_EXCL, 0700);
	need(in >= 0 && out >= 0);
	while ((got = read(in, buffer, sizeof(buffer))) > 0)
		need(write(out, buffer, got) == got);
	close(in);
	close(out);
}

static void test_arguments(void)
{
	char *argv[] = { "zero", "args", "", "two words", "\xff\n", NULL };
	char *envp[] = { "A=1", "EMPTY=", "NOEQUALS", NULL };
	pid_t child = tap_fork();
	if (child == 0) {
		execve(SELF, argv, envp);
		_exit(98);
	}
	is_exit(tap_wait(child), 0, "argv and envp arrive unchanged");

	enum { COUNT = 5000 };
	static char *many[COUNT + 1];
	many[0] = "exec";
	many[1] = "count";
	for (int i = 2; i < COUNT; i++)
		many[i] = "argument";
	child = tap_fork();
	if (child == 0) {
		execve(SELF, many, envp);
		_exit(98);
	}
	is_exit(tap_wait(child), COUNT % 251, "5,000 arguments");

	static char big[131072];
	memset(big, 'b', sizeof(big));
	big[sizeof(big) - 1] = 0;
	is_exit(run_mode("big", big), 0, "one argument of 131,071 bytes");
}

static void mode_args(int argc, char **argv, char **envp)
{
	need(argc == 5 && argv[5] == NULL);
	need(strcmp(argv[0], "zero") == 0);
	need(strcmp(argv[2], "") == 0);
	need(strcmp(argv[3], "two words") == 0);
	need(strcmp(argv[4], "\xff\n") == 0);
	need(strcmp(envp[0], "A=1") == 0 && strcmp(envp[1], "EMPTY=") == 0);
	need(strcmp(envp[2], "NOEQUALS") == 0 && envp[3] == NULL);
	need(strcmp((char *)getauxval(AT_EXECFN), SELF) == 0);
}

static void no_such(void)
{
	char path[128];
	char *argv[] = { "x", NULL };
	static char big[131073];
	snprintf(path, sizeof(path), "%s/missing", dir);
	need_err(execv(path, argv), ENOENT);
	need_err(execv("", argv), ENOENT);
	need_err(execv("/", argv), EACCES);
	need_err(execv("/proc/self/exe/x", argv), ENOTDIR);
	need_err(execv(make_file("noexec", "#!" SELF "\n", 0600), argv), EACCES);
	need_err(execv(make_file("text", "not a program\n", 0700), argv), ENOEXEC);
	need_err(execv(make_file("empty", "", 0700), argv), ENOEXEC);
	need_err(execv(make_file("elf", "\177ELF", 0700), argv), ENOEXEC);
	need_err(execv(make_file("nointerp", "#!/no/such/file\n", 0700), argv), ENOENT);
	need_err(execv(make_file("noname", "#!\n", 0700), argv), ENOEXEC);
	need_err(execv(make_file("blank", "#!   \n", 0700), argv), ENOEXEC);
	memset(big, 'n', 5000);
	need_err(execv(big, argv), ENAMETOOLONG);
	memset(big, 'n', sizeof(big) - 1);
	argv[0] = big;
	need_err(execv(SELF, argv), E2BIG);
	argv[0] = "x";
	need_err(execve(BAD_PTR, argv, NULL), EFAULT);
	need_err(execve(SELF, BAD_PTR, NULL), EFAULT);
	need_err(execve(SELF, argv, BAD_PTR), EFAULT);
	argv[0] = BAD_PTR;
	need_err(execve(SELF, argv, NULL), EFAULT);
	argv[0] = "x";
	need_err(execveat(-1, "x", argv, NULL, 0), EBADF);
	need_err(execveat(AT_FDCWD, SELF, argv, NULL, 0x10000000), EINVAL);
	need_err(execveat(AT_FDCWD, SELF, argv, NULL, AT_SYMLINK_NOFOLLOW), ELOOP);
	need_err(execveat(AT_FDCWD, "", argv, NULL, 0), ENOENT);
	need_err(execveat(0, "x", argv, NULL, 0), ENOTDIR);
}

static void too_much(void)
{
	/* Together the strings may take a quarter of the stack limit. */
	static char piece[100000];
	static char *argv[50];
	struct rlimit limit;
	need(getrlimit(RLIMIT_STACK, &limit) == 0);
	limit.rlim_cur = 1 << 20;
	need(setrlimit(RLIMIT_STACK, &limit) == 0);
	memset(piece, 'p', sizeof(piece) - 1);
	for (int i = 0; i < 3; i++)
		argv[i] = piece;
	need_err(execv(SELF, argv), E2BIG);
}

static void busy(void)
{
	char path[128];
	char *argv[] = { "exec", "exit", "9", NULL };
	snprintf(path, sizeof(path), "%s/copy", dir);
	int fd = open(path, O_WRONLY);
	need(fd >= 0);
	need_err(execv(path, argv), ETXTBSY);
	close(fd);
	execv(path, argv);
}

static void test_scripts(void)
{
	char *argv[] = { "ignored", "tail", NULL };
	pid_t child;
	const char *path = make_file("script", "#! " SELF "  script one arg \nrest\n", 0700);
	child = tap_fork();
	if (child == 0) {
		need(setenv("SCRIPT", path, 1) == 0);
		execv(path, argv);
		_exit(98);
	}
	/* The interpreter sees one argument, "script one arg": see main(). */
	is_exit(tap_wait(child), 0, "#! with an argument");

	char text[128];
	snprintf(text, sizeof(text), "#!%s/script\n", dir);
	path = make_file("script2", text, 0700);
	child = tap_fork();
	if (child == 0) {
		execv(path, argv);
		_exit(98);
	}
	is_exit(tap_wait(child), 55, "a script run by a script");

	snprintf(text, sizeof(text), "#!%s/loop\n", dir);
	path = make_file("loop", text, 0700);
	is_err(execv(path, argv), ELOOP, "a script that is its own interpreter");
}

static int mode_script(int argc, char **argv)
{
	const char *script = getenv("SCRIPT");
	if (!script)
		return 55;
	need(argc == 4);
	need(strcmp(argv[0], SELF) == 0);
	need(strcmp(argv[2], script) == 0);
	need(strcmp(argv[3], "tail") == 0);
	return 0;
}

static void execveat_empty(void)
{
	char *argv[] = { "exec", "exit", "14", NULL };
	int fd = open(SELF, O_RDONLY | O_CLOEXEC);
	need(fd >= 0);
	execveat(fd, "", argv, environ, AT_EMPTY_PATH);
}

static void execveat_path(void)
{
	char *argv[] = { "exec", "exit", "15", NULL };
	int fd = open(dir, O_RDONLY | O_DIRECTORY);
	need(fd >= 0);
	execveat(fd, "copy", argv, environ, 0);
}

static void exec_opath(void)
{
	char *argv[] = { "exec", "exit", "16", NULL };
	int fd = open(SELF, O_PATH);
	need(fd >= 0);
	fexecve(fd, argv, environ);
}

static void cloexec(void)
{
	char text[32];
	int keep = open("/dev/null", O_RDONLY), gone = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int set = dup(keep), cleared = fcntl(keep, F_DUPFD_CLOEXEC, 0);
	need(fcntl(set, F_SETFD, FD_CLOEXEC) == 0);
	need(fcntl(cleared, F_SETFD, 0) == 0);
	snprintf(text, sizeof(text), "%d %d %d %d", keep, gone, set, cleared);
	exec_mode("fds", text);
}

static void mode_fds(const char *text)
{
	int keep, gone, set, cleared;
	need(sscanf(text, "%d %d %d %d", &keep, &gone, &set, &cleared) == 4);
	need(fcntl(keep, F_GETFD) == 0);
	need_err(fcntl(gone, F_GETFD), EBADF);
	need_err(fcntl(set, F_GETFD), EBADF);
	need(fcntl(cleared, F_GETFD) == 0);
}

static void handler(int signal)
{
	(void)signal;
	_exit(90);
}

static void signals(void)
{
	sigset_t set;
	stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };
	signal(SIGUSR1, handler);
	signal(SIGUSR2, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGTERM, handler);
	need(sigaltstack(&stack, NULL) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 3);
	need(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
	raise(SIGUSR1);
	sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_int = 345 });
	exec_mode("signals", NULL);
}

static void mode_signals(void)
{
	struct sigaction action;
	sigset_t set, want;
	stack_t stack;
	siginfo_t info;
	struct timespec zero = {};
	need(sigaction(SIGUSR1, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
	need(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
	need(sigaction(SIGTERM, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
	need(action.sa_flags == 0 || action.sa_flags == 0x04000000);
	sigemptyset(&want);
	sigaddset(&want, SIGUSR1);
	sigaddset(&want, SIGRTMIN + 3);
	need(sigprocmask(SIG_BLOCK, NULL, &set) == 0);
	need(memcmp(&set, &want, 8) == 0);
	need(sigpending(&set) == 0 && memcmp(&set, &want, 8) == 0);
	need(sigaltstack(NULL, &stack) == 0 && stack.ss_flags == SS_DISABLE);
	need(sigtimedwait(&want, &info, &zero) == SIGUSR1);
	need(sigtimedwait(&want, &info, &zero) == SIGRTMIN + 3);
	need(info.si_value.sival_int == 345);
}

static char pid_text[32];

static void *exec_thread(void *arg)
{
	(void)arg;
	exec_mode("pid", pid_text);
	return NULL;
}

static void *idle_thread(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static void *spinning_thread(void *arg)
{
	for (volatile unsigned i = 0;; i++)
		(void)arg;
	return NULL;
}

static void from_thread(void)
{
	pthread_t thread;
	snprintf(pid_text, sizeof(pid_text), "%d", getpid());
	for (int i = 0; i < 4; i++)
		need(pthread_create(&thread, NULL, i < 3 ? idle_thread : spinning_thread, NULL) ==
		     0);
	need(pthread_create(&thread, NULL, exec_thread, NULL) == 0);
	for (;;)
		pause();
}

static void from_leader(void)
{
	pthread_t thread;
	snprintf(pid_text, sizeof(pid_text), "%d", getpid());
	for (int i = 0; i < 4; i++)
		need(pthread_create(&thread, NULL, i < 3 ? idle_thread : spinning_thread, NULL) ==
		     0);
	exec_mode("pid", pid_text);
}

static void *exec_copy_thread(void *arg)
{
	char path[128];
	char *argv[] = { "exec", "pid", pid_text, NULL };
	snprintf(path, sizeof(path), "%s/copy", (char *)arg);
	execv(path, argv);
	_exit(98);
}

static void after_leader_exit(void)
{
	/* Not SELF: a leader that has exited has no /proc/self/exe. */
	pthread_t thread;
	snprintf(pid_text, sizeof(pid_text), "%d", getpid());
	need(pthread_create(&thread, NULL, exec_copy_thread, dir) == 0);
	syscall(SYS_exit, 0);
}

static void mode_pid(const char *text)
{
	char want[32];
	snprintf(want, sizeof(want), "%d", getpid());
	need(strcmp(text, want) == 0);
	need(syscall(SYS_gettid) == getpid());
}

static void kept(void)
{
	struct rlimit limit = { 99, 100 };
	need(chdir(dir) == 0);
	umask(0123);
	need(setrlimit(RLIMIT_CORE, &(struct rlimit){}) == 0);
	need(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	prctl(PR_SET_NAME, "other");
	exec_mode("kept", dir);
}

static void mode_kept(const char *where)
{
	char cwd[128], name[17] = "";
	struct rlimit limit;
	need(getcwd(cwd, sizeof(cwd)) != NULL && strcmp(cwd, where) == 0);
	need(umask(0) == 0123);
	need(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	need(limit.rlim_cur == 99 && limit.rlim_max == 100);
	need(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	need(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "exe") == 0);
	need(alarm(0) > 0);
}

static int run_as_mode(int argc, char **argv, char **envp)
{
	const char *mode = argv[1], *arg = argv[2];
	tap_pid = 0;
	if (strcmp(mode, "args") == 0)
		mode_args(argc, argv, envp);
	else if (strcmp(mode, "count") == 0)
		return argc % 251;
	else if (strcmp(mode, "big") == 0)
		need(strlen(arg) == 131071);
	else if (strcmp(mode, "script one arg") == 0)
		return mode_script(argc, argv);
	else if (strcmp(mode, "exit") == 0)
		return (int)strtol(arg, NULL, 10);
	else if (strcmp(mode, "fds") == 0)
		mode_fds(arg);
	else if (strcmp(mode, "signals") == 0)
		mode_signals();
	else if (strcmp(mode, "pid") == 0)
		mode_pid(arg);
	else if (strcmp(mode, "kept") == 0)
		mode_kept(arg);
	else
		return 97;
	return 0;
}

static void clean_up(void)
{
	static const char *const names[] = { "noexec",	 "text",   "empty", "elf",
					     "nointerp", "noname", "blank", "script",
					     "script2",	 "loop",   "copy" };
	char path[128];
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

int main(int argc, char **argv, char **envp)
{
	char path[128];
	if (argc > 1)
		return run_as_mode(argc, argv, envp);
	tap_begin();
	dir = temp_dir();
	snprintf(path, sizeof(path), "%s/copy", dir);
	copy_self(path);
	test_arguments();
	child_ok(no_such, "errors");
	child_ok(too_much, "E2BIG for all strings together");
	is_exit(run_child(busy), 9, "ETXTBSY while open for writing, then a program on tmpfs");
	test_scripts();
	is_exit(run_child(execveat_empty), 14, "execveat with AT_EMPTY_PATH");
	is_exit(run_child(execveat_path), 15, "execveat relative to a directory");
	is_exit(run_child(exec_opath), 16, "fexecve of an O_PATH descriptor");
	child_ok(cloexec, "close-on-exec");
	child_ok(signals, "signal state");
	child_ok(from_thread, "from another thread than the leader");
	child_ok(from_leader, "from the leader, with other threads");
	child_ok(after_leader_exit, "after the leader has exited");
	child_ok(kept, "what is kept");
	clean_up();
	return tap_end();
}
