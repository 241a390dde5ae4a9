/*
 * clone and clone3 by their flags.
 */
#include "tap.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/stat.h>

#define STACK_SIZE 65536

static char stack[STACK_SIZE] __attribute__((aligned(16)));
static volatile int shared_int;
static volatile pid_t seen_pid, seen_tid, seen_ppid;
static pid_t parent_tid, child_tid;

static long clone3(struct clone_args *args, size_t size)
{
	return syscall(SYS_clone3, args, size);
}

static long raw_clone(unsigned long flags, void *sp, pid_t *ptid, pid_t *ctid, unsigned long tls)
{
	return syscall(SYS_clone, flags, sp, ptid, ctid, tls);
}

static int child_ids(void *arg)
{
	shared_int = (int)(intptr_t)arg;
	seen_pid = getpid();
	seen_tid = (pid_t)syscall(SYS_gettid);
	seen_ppid = getppid();
	return 17;
}

static void test_vm(void)
{
	shared_int = 1;
	int pid = clone(child_ids, stack + STACK_SIZE, CLONE_VM | SIGCHLD, (void *)2);
	ok(pid > 0, "CLONE_VM");
	is_exit(tap_wait(pid), 17, "its exit status");
	is_int(shared_int, 2, "memory is shared");
	is_int(seen_pid, pid, "it is a process of its own");

	shared_int = 1;
	pid = clone(child_ids, stack + STACK_SIZE, SIGCHLD, (void *)2);
	is_exit(tap_wait(pid), 17, "clone without flags");
	is_int(shared_int, 1, "memory is not shared");

	shared_int = 1;
	pid = clone(child_ids, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)3);
	is_int(shared_int, 3, "CLONE_VFORK returns after the child is done");
	is_exit(tap_wait(pid), 17, "its exit status");
}

static int child_exits(void *arg)
{
	return (int)(intptr_t)arg;
}

static void test_exit_signal(void)
{
	int status;
	int pid = clone(child_exits, stack + STACK_SIZE, 0, (void *)5);
	is_err(waitpid(pid, &status, 0), ECHILD, "a child without an exit signal is not waited");
	is_int(waitpid(pid, &status, __WCLONE), pid, "but with __WCLONE");
	pid = clone(child_exits, stack + STACK_SIZE, 0, (void *)6);
	is_int(waitpid(pid, &status, __WALL), pid, "or __WALL");
	is_exit(status, 6, "its exit status");
	signal(SIGUSR1, SIG_IGN);
	pid = clone(child_exits, stack + STACK_SIZE, SIGUSR1, (void *)7);
	is_int(waitpid(pid, &status, __WALL), pid, "exit signal SIGUSR1");
	signal(SIGUSR1, SIG_DFL);
}

static void test_tids(void)
{
	parent_tid = child_tid = -1;
	long pid = raw_clone(CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, NULL, &parent_tid,
			     &child_tid, 0);
	if (pid == 0)
		_exit(child_tid == getpid() && parent_tid == -1 ? 0 : 1);
	is_int(parent_tid, pid, "CLONE_PARENT_SETTID");
	is_int(child_tid, -1, "CLONE_CHILD_SETTID leaves the parent's memory alone");
	is_exit(tap_wait(pid), 0, "in the child it is the other way round");
	pid = raw_clone(CLONE_CHILD_SETTID | SIGCHLD, NULL, NULL, BAD_PTR, 0);
	if (pid == 0)
		_exit(5);
	is_exit(tap_wait(pid), 5, "a bad CLONE_CHILD_SETTID address is ignored");
}

static void test_thread(void)
{
	int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
		    CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	int status;
	child_tid = -1;
	shared_int = 0;
	/* The new thread shares our TLS: it must not touch errno at the same time as we. */
	int tid = clone(child_ids, stack + STACK_SIZE, flags, (void *)9, &parent_tid, NULL,
			&child_tid);
	ok(tid > 0, "a thread");
	pid_t old;
	while ((old = __atomic_load_n(&child_tid, __ATOMIC_ACQUIRE)) != 0)
		syscall(SYS_futex, &child_tid, FUTEX_WAIT, old, NULL, NULL, 0);
	is_int(child_tid, 0, "CLONE_CHILD_CLEARTID clears and wakes");
	is_int(parent_tid, tid, "CLONE_PARENT_SETTID");
	is_int(shared_int, 9, "it shares the memory");
	is_int(seen_pid, getpid(), "it has our pid");
	is_int(seen_tid, tid, "it has its own tid");
	is_int(seen_ppid, getppid(), "it has our parent");
	is_err(waitpid(tid, &status, __WALL), ECHILD, "a thread cannot be waited for");
}

static int change_all(void *arg)
{
	int *fd = arg;
	close(*fd);
	umask(0111);
	if (chdir("/tmp") != 0)
		return 1;
	signal(SIGUSR2, SIG_IGN);
	return 0;
}

static void shares(int flags)
{
	char cwd[64];
	struct sigaction action;
	int fd = open("/dev/null", O_RDONLY);
	need(fd >= 0 && chdir("/") == 0);
	umask(022);
	int pid = clone(change_all, stack + STACK_SIZE, flags | SIGCHLD, &fd);
	need(pid > 0);
	need(tap_wait(pid) == 0);
	need((fcntl(fd, F_GETFD) == -1) == !!(flags & CLONE_FILES));
	need(getcwd(cwd, sizeof(cwd)) != NULL);
	need(strcmp(cwd, flags & CLONE_FS ? "/tmp" : "/") == 0);
	need(umask(022) == (flags & CLONE_FS ? 0111 : 022));
	need(sigaction(SIGUSR2, NULL, &action) == 0);
	need(action.sa_handler == (flags & CLONE_SIGHAND ? SIG_IGN : SIG_DFL));
}

static void shares_nothing(void)
{
	shares(0);
}

static void shares_files(void)
{
	shares(CLONE_FILES);
}

static void shares_fs(void)
{
	shares(CLONE_FS);
}

static void shares_sighand(void)
{
	shares(CLONE_SIGHAND | CLONE_VM);
}

static void clears_sighand(void)
{
	struct clone_args args = { .flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD };
	struct sigaction action;
	signal(SIGUSR1, tap_timed_out);
	signal(SIGUSR2, SIG_IGN);
	long pid = clone3(&args, sizeof(args));
	if (pid == 0) {
		need(sigaction(SIGUSR1, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
		need(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
		_exit(0);
	}
	need(tap_wait(pid) == 0);
}

static int child_of_parent(void *arg)
{
	(void)arg;
	_exit(getppid() == parent_tid ? 61 : 62);
}

static void clone_parent(void)
{
	parent_tid = getpid();
	pid_t *sibling = shared_alloc(4096);
	pid_t child = tap_fork();
	if (child == 0) {
		*sibling = clone(child_of_parent, stack + STACK_SIZE, CLONE_PARENT, NULL);
		_exit(*sibling > 0 ? 0 : 1);
	}
	need(tap_wait(child) == 0);
	int status = 0;
	need(waitpid(*sibling, &status, __WALL) == *sibling);
	need(WEXITSTATUS(status) == 61);
}

static void test_clone3(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	pid_t tid = -1;
	long pid = clone3(&args, sizeof(args));
	if (pid == 0)
		_exit(3);
	is_exit(tap_wait(pid), 3, "clone3 as fork");

	args = (struct clone_args){ .flags = CLONE_PARENT_SETTID,
				    .parent_tid = (uintptr_t)&tid,
				    .exit_signal = SIGCHLD };
	pid = clone3(&args, CLONE_ARGS_SIZE_VER0);
	if (pid == 0)
		_exit(4);
	is_int(tid, pid, "clone3 with CLONE_PARENT_SETTID");
	is_exit(tap_wait(pid), 4, "the first version of the structure");

	struct {
		struct clone_args args;
		uint64_t more;
	} big = { .args.exit_signal = SIGCHLD };
	pid = clone3(&big.args, sizeof(big));
	if (pid == 0)
		_exit(5);
	is_exit(tap_wait(pid), 5, "a larger structure with zeros at the end");
	big.more = 1;
	is_err(clone3(&big.args, sizeof(big)), E2BIG, "a larger structure with more in it");
	is_err(clone3(&args, 63), EINVAL, "too small a structure");
	is_err(clone3(&args, 5000), E2BIG, "a structure larger than a page");
	is_err(clone3(BAD_PTR, sizeof(args)), EFAULT, "clone3 from a bad address");
	args = (struct clone_args){ .exit_signal = 65 };
	is_err(clone3(&args, sizeof(args)), EINVAL, "exit signal 65");
	args = (struct clone_args){ .exit_signal = SIGCHLD, .stack = (uintptr_t)stack };
	is_err(clone3(&args, sizeof(args)), EINVAL, "a stack without a size");
	args = (struct clone_args){ .exit_signal = SIGCHLD, .stack_size = 4096 };
	is_err(clone3(&args, sizeof(args)), EINVAL, "a size without a stack");
	args = (struct clone_args){ .flags = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM,
				    .exit_signal = SIGCHLD };
	is_err(clone3(&args, sizeof(args)), EINVAL, "a thread with an exit signal");
	args = (struct clone_args){ .flags = CLONE_DETACHED, .exit_signal = SIGCHLD };
	is_err(clone3(&args, sizeof(args)), EINVAL, "CLONE_DETACHED");
	args = (struct clone_args){ .flags = 1UL << 50, .exit_signal = SIGCHLD };
	is_err(clone3(&args, sizeof(args)), EINVAL, "an unknown flag");
	args = (struct clone_args){ .flags = CLONE_CLEAR_SIGHAND | CLONE_SIGHAND | CLONE_VM,
				    .exit_signal = SIGCHLD };
	is_err(clone3(&args, sizeof(args)), EINVAL, "CLONE_CLEAR_SIGHAND with CLONE_SIGHAND");
	args = (struct clone_args){ .set_tid_size = 1, .exit_signal = SIGCHLD };
	is_err(clone3(&args, sizeof(args)), EINVAL, "a set_tid size without an array");
}

static void test_errors(void)
{
	is_err(raw_clone(CLONE_THREAD | SIGCHLD, NULL, NULL, NULL, 0), EINVAL,
	       "CLONE_THREAD without CLONE_SIGHAND");
	is_err(raw_clone(CLONE_SIGHAND | SIGCHLD, NULL, NULL, NULL, 0), EINVAL,
	       "CLONE_SIGHAND without CLONE_VM");
	is_err(raw_clone(CLONE_NEWNS | CLONE_FS | SIGCHLD, NULL, NULL, NULL, 0), EINVAL,
	       "CLONE_NEWNS with CLONE_FS");
	is_err(raw_clone(CLONE_NEWUSER | CLONE_FS | SIGCHLD, NULL, NULL, NULL, 0), EINVAL,
	       "CLONE_NEWUSER with CLONE_FS");
	is_err(raw_clone(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWPID, NULL, NULL, NULL,
			 0),
	       EINVAL, "CLONE_THREAD with CLONE_NEWPID");
}

static void set_tid_address(void)
{
	/* Without another user of the memory the word is left alone; the call gives the tid. */
	need(syscall(SYS_set_tid_address, &child_tid) == syscall(SYS_gettid));
	need(syscall(SYS_set_tid_address, NULL) == syscall(SYS_gettid));
	need(syscall(SYS_set_tid_address, BAD_PTR) == syscall(SYS_gettid));
}

int main(void)
{
	tap_begin();
	test_vm();
	test_exit_signal();
	test_tids();
	test_thread();
	child_ok(shares_nothing, "nothing is shared without flags");
	child_ok(shares_files, "CLONE_FILES");
	child_ok(shares_fs, "CLONE_FS");
	child_ok(shares_sighand, "CLONE_SIGHAND");
	child_ok(clears_sighand, "CLONE_CLEAR_SIGHAND");
	child_ok(clone_parent, "CLONE_PARENT");
	test_clone3();
	test_errors();
	child_ok(set_tid_address, "set_tid_address");
	return tap_end();
}
