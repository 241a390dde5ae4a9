/*
 * prctl and arch_prctl.
 */
#include "tap.h"
#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <pthread.h>
#include <sys/prctl.h>

static void *thread_name(void *arg)
{
	char name[16] = "";
	(void)arg;
	bool inherited = prctl(PR_GET_NAME, name) == 0 && strcmp(name, "fifteen-bytes-a") == 0;
	prctl(PR_SET_NAME, "thread");
	return (void *)(long)inherited;
}

static void test_name(void)
{
	char name[17] = "";
	is_int(prctl(PR_GET_NAME, name), 0, "PR_GET_NAME");
	is_str(name, "prctl", "the program's name");
	is_int(prctl(PR_SET_NAME, "fifteen-bytes-at-most"), 0, "PR_SET_NAME");
	prctl(PR_GET_NAME, name);
	is_str(name, "fifteen-bytes-a", "cuts off");
	pthread_t thread;
	void *result;
	need(pthread_create(&thread, NULL, thread_name, NULL) == 0);
	pthread_join(thread, &result);
	ok(result != NULL, "a thread inherits it");
	prctl(PR_GET_NAME, name);
	is_str(name, "fifteen-bytes-a", "and has its own");
	is_err(prctl(PR_SET_NAME, BAD_PTR), EFAULT, "from a bad address");
	is_err(prctl(PR_GET_NAME, BAD_PTR), EFAULT, "to a bad address");
	is_err(prctl(99999, 0, 0, 0, 0), EINVAL, "an unknown option");
}

static void parent_death(void)
{
	int *state = shared_alloc(4096), signal = -1;
	need(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
	need(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0);
	need(prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == SIGUSR1);
	need_err(prctl(PR_SET_PDEATHSIG, 65), EINVAL);
	need_err(prctl(PR_GET_PDEATHSIG, BAD_PTR), EFAULT);
	pid_t child = fork();
	if (child == 0) {
		need(prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == 0);
		struct event ready;
		event_init(&ready);
		pid_t grandchild = fork();
		if (grandchild == 0) {
			need(prctl(PR_SET_PDEATHSIG, SIGTERM) == 0);
			alarm(30);
			event_post(&ready);
			for (;;)
				pause();
		}
		state[0] = grandchild;
		event_wait(&ready);
		_exit(0);
	}
	need(tap_wait(child) == 0);
	int status = tap_wait(state[0]);
	need(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void no_new_privs(void)
{
	int before = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	need(before == 0 || before == 1);
	need_err(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
	need_err(prctl(PR_SET_NO_NEW_PRIVS, 2, 0, 0, 0), EINVAL);
	need_err(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0), EINVAL);
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	need(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	pid_t child = tap_fork();
	if (child == 0)
		_exit(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 1);
	need(tap_wait(child) == 0);
}

static void switches(void)
{
	int value = -1;
	need(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
	need(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	need(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
	need(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1);
	need_err(prctl(PR_SET_DUMPABLE, 2, 0, 0, 0), EINVAL);
	need(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
	need(prctl(PR_GET_CHILD_SUBREAPER, &value, 0, 0, 0) == 0 && value == 1);
	pid_t child = tap_fork();
	if (child == 0) {
		/* Not inherited. */
		need(prctl(PR_GET_CHILD_SUBREAPER, &value, 0, 0, 0) == 0 && value == 0);
		_exit(0);
	}
	need(tap_wait(child) == 0);
	need(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
	need(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) == 1);
	need_err(prctl(PR_SET_KEEPCAPS, 2, 0, 0, 0), EINVAL);
	need(prctl(PR_SET_TIMERSLACK, 12345, 0, 0, 0) == 0);
	need(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == 12345);
	need(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 0);
}

/* FS is the C library's: the base is changed and restored without using it between. */
static void arch(void)
{
	unsigned long fs = 0, other = 0, gs = 77;
	static unsigned long block[8];
	need(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs) == 0 && fs != 0);
	asm volatile("mov %%fs:0, %0" : "=r"(other));
	need(other == fs);
	need(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs) == 0 && gs == 0);
	block[0] = 0x1122334455667788;
	need(syscall(SYS_arch_prctl, ARCH_SET_GS, block) == 0);
	need(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs) == 0 && gs == (uintptr_t)block);
	asm volatile("mov %%gs:0, %0" : "=r"(other));
	need(other == block[0]);
	pid_t child = tap_fork();
	if (child == 0) {
		asm volatile("mov %%gs:0, %0" : "=r"(other));
		_exit(other == block[0] ? 0 : 1);
	}
	need(tap_wait(child) == 0);
	need(kill(getpid(), 0) == 0);
	asm volatile("mov %%gs:0, %0" : "=r"(other));
	need(other == block[0]);
	need(syscall(SYS_arch_prctl, ARCH_SET_GS, 0) == 0);
	need_err(syscall(SYS_arch_prctl, ARCH_SET_GS, 0xffff800000000000), EPERM);
	need_err(syscall(SYS_arch_prctl, ARCH_SET_FS, 0xffff800000000000), EPERM);
	need_err(syscall(SYS_arch_prctl, ARCH_GET_FS, BAD_PTR), EFAULT);
	need_err(syscall(SYS_arch_prctl, 0x9999, 0), EINVAL);
	uint64_t result;
	asm volatile("mov $158, %%eax\n\tmov %[set], %%edi\n\tmov %[block], %%rsi\n\tsyscall\n\t"
		     "mov %%fs:0, %%r8\n\t"
		     "mov $158, %%eax\n\tmov %[set], %%edi\n\tmov %[fs], %%rsi\n\tsyscall\n\t"
		     "mov %%r8, %[result]"
		     : [result] "=r"(result)
		     : [set] "i"(ARCH_SET_FS), [block] "r"(block), [fs] "r"(fs)
		     : "rax", "rdi", "rsi", "rcx", "r11", "r8", "memory");
	need(result == block[0]);
}

/* CAP_SYS_RESOURCE, which a container's root may lack. */
static bool is_able(void)
{
	return prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) != -1;
}

static void test_memory_options(void)
{
	is_int(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0, "huge pages are not disabled");
	is_int(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0, "disable them");
	is_int(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1, "they are");
	pid_t child = tap_fork();
	if (child == 0)
		_exit(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1 ? 0 : 1);
	is_exit(tap_wait(child), 0, "in a child too");
	is_int(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), 0, "enable them");
	is_err(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0), EINVAL, "an argument too many");
	is_err(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 1), EINVAL, "or here");
	unsigned int size = 0;
	is_int(prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0), 0, "the size of a memory map");
	is_int(size, sizeof(struct prctl_mm_map), "which is known");
	is_err(prctl(PR_SET_MM, PR_SET_MM_MAP, 8, 3, 0), EINVAL, "a map of another size");
	is_err(prctl(PR_SET_MM, PR_SET_MM_ARG_START, 8, 0, 0), is_able() ? EINVAL : EPERM,
	       "arguments at nothing");
	is_err(prctl(PR_SET_MM, PR_SET_MM_ARG_START, 8, 1, 0), EINVAL, "an argument too many");
	is_err(prctl(PR_SET_MM, 99, &size, 0, 0), is_able() ? EINVAL : EPERM, "an unknown part");
}

static void set_arguments(void)
{
	static char title[] = "another title";
	char text[64];
	if (!is_able())
		return;
	/* The end may not come before the start at any time. */
	need(prctl(PR_SET_MM, PR_SET_MM_ARG_START, title, 0, 0) == 0);
	need(prctl(PR_SET_MM, PR_SET_MM_ARG_END, title + sizeof(title), 0, 0) == 0);
	int fd = open("/proc/self/cmdline", O_RDONLY);
	need(read(fd, text, sizeof(text)) == (ssize_t)sizeof(title) && strcmp(text, title) == 0);
}

static void no_set_arguments(void)
{
	need(setresuid(65534, 65534, 65534) == 0);
	need_err(prctl(PR_SET_MM, PR_SET_MM_ARG_START, &errno, 0, 0), EPERM);
	need_err(prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0), EPERM);
}

static void test_others(void)
{
	is_int(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_DEFAULT, "PR_MCE_KILL_GET");
	is_int(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0), 0, "PR_MCE_KILL_SET");
	is_int(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_EARLY, "is kept");
	is_int(prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0), 0, "PR_MCE_KILL_CLEAR");
	is_int(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_DEFAULT, "as it was");
	is_err(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, 3, 0, 0), EINVAL, "an unknown policy");
	is_err(prctl(PR_MCE_KILL, 7, 0, 0, 0), EINVAL, "an unknown command");
	ok(!is_able() || prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 0, "PR_GET_IO_FLUSHER");
	ok(!is_able() || prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0, "PR_SET_IO_FLUSHER");
	ok(!is_able() || prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 1, "is kept");
	ok(!is_able() || prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0) == 0, "and cleared");
	is_err(prctl(PR_SET_IO_FLUSHER, 2, 0, 0, 0), is_able() ? EINVAL : EPERM, "is zero or one");
	is_err(prctl(PR_GET_SPECULATION_CTRL, 99, 0, 0, 0), ENODEV, "an unknown misfeature");
	is_err(prctl(PR_GET_SPECULATION_CTRL, 0, 1, 0, 0), EINVAL, "an argument too many");
	is_int(prctl(PR_TASK_PERF_EVENTS_DISABLE, 0, 0, 0, 0), 0, "PR_TASK_PERF_EVENTS_DISABLE");
	is_err(prctl(PR_SET_SECCOMP, 99, 0, 0, 0), EINVAL, "an unknown seccomp mode");
	is_int(prctl(PR_SET_KEEPCAPS, 1), 0, "PR_SET_KEEPCAPS");
	is_int(prctl(PR_GET_SECUREBITS), 0x10, "is one of the secure bits");
	is_int(prctl(PR_SET_KEEPCAPS, 0), 0, "and back");
	is_int(prctl(PR_GET_SECUREBITS), 0, "it is not");
}

int main(void)
{
	tap_begin();
	test_name();
	child_ok(parent_death, "PR_SET_PDEATHSIG");
	child_ok(no_new_privs, "PR_SET_NO_NEW_PRIVS");
	child_ok(switches, "other switches");
	child_ok(arch, "arch_prctl");
	test_memory_options();
	test_others();
	child_ok(set_arguments, "PR_SET_MM moves the arguments");
	child_ok(no_set_arguments, "not without privilege");
	return tap_end();
}
