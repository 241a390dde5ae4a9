/*
 * Calls that concern their thread alone, and changes of mappings: what they did must be seen by all
 * others at once, also by those who learn of it without a call.
 */
#include "tap.h"
#include <asm/prctl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/resource.h>

#define PAGE 4096

/* Shared with the children; who waits for a step makes no call. */
static struct {
	_Atomic int step;
	_Atomic int result;
} * shared;

static volatile sig_atomic_t caught;

static void on_signal(int signal)
{
	(void)signal;
	caught++;
}

static void reach(int step)
{
	shared->step = step;
}

static void await_step(int step)
{
	while (shared->step < step)
		__builtin_ia32_pause();
}

static void mask(int how, int signal)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, signal);
	need(sigprocmask(how, &set, NULL) == 0);
}

static bool pends(int signal)
{
	sigset_t set;
	need(sigpending(&set) == 0);
	return sigismember(&set, signal);
}

static pid_t start(void (*child)(void))
{
	pid_t pid;

	shared->step = 0;
	pid = fork();
	if (pid == 0) {
		child();
		_exit(0);
	}
	need(pid > 0);
	return pid;
}

static int finish(pid_t pid)
{
	int status;
	need(waitpid(pid, &status, 0) == pid);
	return status;
}

static void blocks_fatal(void)
{
	mask(SIG_BLOCK, SIGTERM);
	reach(1);
	await_step(2);
	need(pends(SIGTERM));
}

static void test_blocks_fatal(void)
{
	pid_t pid = start(blocks_fatal);
	await_step(1);
	need(kill(pid, SIGTERM) == 0);
	reach(2);
	ok(finish(pid) == 0, "a blocked signal does not kill who makes no other call");
}

static void unblocks(void)
{
	signal(SIGUSR1, on_signal);
	mask(SIG_BLOCK, SIGUSR1);
	getppid();
	mask(SIG_UNBLOCK, SIGUSR1);
	reach(1);
	while (!caught)
		__builtin_ia32_pause();
}

static void test_unblocks(void)
{
	pid_t pid = start(unblocks);
	await_step(1);
	need(kill(pid, SIGUSR1) == 0);
	ok(finish(pid) == 0, "an unblocked signal reaches who makes no other call");
}

static void handles_at_once(void)
{
	signal(SIGUSR1, on_signal);
	mask(SIG_BLOCK, SIGUSR1);
	reach(1);
	await_step(2);
	need(caught == 0);
	mask(SIG_UNBLOCK, SIGUSR1);
	need(caught == 1);
}

static void test_handles_at_once(void)
{
	pid_t pid = start(handles_at_once);
	await_step(1);
	need(kill(pid, SIGUSR1) == 0);
	reach(2);
	ok(finish(pid) == 0, "a waiting signal is taken when it is unblocked");
}

static void keeps_ignored(void)
{
	signal(SIGUSR1, SIG_IGN);
	mask(SIG_BLOCK, SIGUSR1);
	reach(1);
	await_step(2);
	need(pends(SIGUSR1));
	signal(SIGUSR1, on_signal);
	mask(SIG_UNBLOCK, SIGUSR1);
}

static void test_keeps_ignored(void)
{
	pid_t pid = start(keeps_ignored);
	await_step(1);
	need(kill(pid, SIGUSR1) == 0);
	reach(2);
	ok(finish(pid) == 0, "an ignored signal that is blocked waits");
}

static void *taker(void *arg)
{
	(void)arg;
	mask(SIG_UNBLOCK, SIGUSR1);
	reach(1);
	while (!caught)
		__builtin_ia32_pause();
	return NULL;
}

static void other_thread_takes(void)
{
	pthread_t thread;
	signal(SIGUSR1, on_signal);
	mask(SIG_BLOCK, SIGUSR1);
	need(pthread_create(&thread, NULL, taker, NULL) == 0);
	need(pthread_join(thread, NULL) == 0);
}

static void test_other_thread_takes(void)
{
	pid_t pid = start(other_thread_takes);
	await_step(1);
	need(kill(pid, SIGUSR1) == 0);
	ok(finish(pid) == 0, "a process's signal finds the thread that has unblocked it");
}

static void test_masks(void)
{
	sigset_t set, old;
	uint64_t *bad = (uint64_t *)8;

	sigfillset(&set);
	need(sigprocmask(SIG_SETMASK, &set, &old) == 0);
	need(sigprocmask(SIG_SETMASK, &old, &set) == 0);
	ok(!sigismember(&set, SIGKILL) && !sigismember(&set, SIGSTOP) && sigismember(&set, SIGUSR1),
	   "KILL and STOP are never blocked");
	ok(syscall(SYS_rt_sigprocmask, SIG_BLOCK, bad, NULL, 8) == -1 && errno == EFAULT,
	   "a bad set: EFAULT");
	ok(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, bad, 8) == -1 && errno == EFAULT,
	   "a bad old set: EFAULT");
	ok(syscall(SYS_rt_sigprocmask, 7, &set, NULL, 8) == -1 && errno == EINVAL, "a bad how");
	ok(syscall(SYS_rt_sigprocmask, 7, NULL, NULL, 8) == 0, "a bad how without a set");
	ok(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 4) == -1 && errno == EINVAL,
	   "a bad size");
	ok(syscall(SYS_rt_sigprocmask, SIG_BLOCK, (void *)-8UL, NULL, 8) == -1 && errno == EFAULT,
	   "an address above all");
}

static void on_signal_step(int signal)
{
	(void)signal;
	shared->step++;
}

/* Have signals come at any time, but not before the last one was handled, if it is. */
static pid_t send_often(int signal, bool handled)
{
	pid_t parent = getpid(), pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (unsigned i = 0, sent = shared->step; kill(parent, signal) == 0; i++) {
			if (handled)
				await_step(++sent);
			for (unsigned wait = i * 7919 % 1000; wait > 0; wait--)
				__builtin_ia32_pause();
		}
		_exit(0);
	}
	need(pid > 0);
	return pid;
}

static void test_one_set(void)
{
	sigset_t none, one, set;
	bool swapped = true;
	pid_t pid;

	sigemptyset(&none);
	sigemptyset(&one);
	sigaddset(&one, SIGUSR2);
	need(sigprocmask(SIG_SETMASK, &none, NULL) == 0);
	signal(SIGUSR1, on_signal_step);
	pid = send_often(SIGUSR1, true);
	for (int i = 0; i < 20000 && swapped; i++) {
		set = i % 2 ? none : one;
		need(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, &set, 8) == 0);
		swapped = sigismember(&set, SIGUSR2) == i % 2;
	}
	ok(swapped, "the old set takes the place of the new one");
	need(kill(pid, SIGKILL) == 0);
	finish(pid);
	need(sigprocmask(SIG_SETMASK, &none, NULL) == 0);
}

/* A signal that is ignored when it is sent interrupts nothing. */
static void test_ignored(void)
{
	static char buf[256 * 1024];
	int fd[2], whole = 0, rounds = 1000;
	pid_t reader, sender;

	need(pipe(fd) == 0);
	reader = fork();
	if (reader == 0) {
		close(fd[1]);
		while (read(fd[0], buf, sizeof(buf)) > 0)
			;
		_exit(0);
	}
	need(reader > 0);
	sender = send_often(SIGURG, false);
	for (int i = 0; i < rounds; i++)
		whole += write(fd[1], buf, sizeof(buf)) == sizeof(buf);
	is_int(whole, rounds, "ignored signals interrupt no call");
	need(kill(sender, SIGKILL) == 0);
	finish(sender);
	close(fd[0]);
	close(fd[1]);
	finish(reader);
}

static void *ids(void *arg)
{
	int *id = arg;
	id[0] = getpid();
	id[1] = gettid();
	return NULL;
}

static void test_ids(void)
{
	int id[2] = {};
	pthread_t thread;
	pid_t pid, parent = getpid();

	need(pthread_create(&thread, NULL, ids, id) == 0 && pthread_join(thread, NULL) == 0);
	ok(id[0] == parent && id[1] != parent, "a thread's ids");
	pid = fork();
	if (pid == 0)
		_exit(getpid() == gettid() && getpid() != parent ? 0 : 1);
	ok(finish(pid) == 0, "a child's ids");
	ok(syscall(SYS_set_tid_address, &id[0]) == gettid(), "set_tid_address gives the id");
	need(syscall(SYS_set_tid_address, NULL) == gettid());
}

static void test_brk(void)
{
	char *start = sbrk(0), *end = (char *)(((uintptr_t)start + PAGE - 1) & -PAGE);

	need(brk(end + 100) == 0);
	end[99] = 1;
	ok(sbrk(0) == end + 100, "brk grows");
	ok(brk(end + 200) == 0 && sbrk(0) == end + 200, "brk grows within its page");
	end[199] = 1;
	ok(brk(end + PAGE) == 0 && brk(end + PAGE + 1) == 0 && sbrk(0) == end + PAGE + 1,
	   "brk grows over the page's end");
	end[PAGE] = 1;
	ok(brk(end) == 0 && sbrk(0) == end, "brk shrinks");
	ok(syscall(SYS_brk, 1) == (long)end, "brk below its start changes nothing");
	pid_t pid = fork();
	if (pid == 0) {
		end[0] = 1;
		_exit(0);
	}
	int status = finish(pid);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "what brk gave back is gone");
	need(brk(start) == 0);
}

static void test_fs_base(void)
{
	unsigned long base, old;
	long set;

	need(syscall(SYS_arch_prctl, ARCH_GET_FS, &old) == 0);
	/* Nothing that uses thread-local storage may run in between. */
	__asm__ volatile("syscall"
			 : "=a"(set)
			 : "0"(SYS_arch_prctl), "D"(ARCH_SET_FS), "S"(-1L)
			 : "rcx", "r11", "memory");
	need(syscall(SYS_arch_prctl, ARCH_GET_FS, &base) == 0);
	ok(set == -EPERM && base == old, "an FS base above user space is refused");
	__asm__ volatile("syscall"
			 : "=a"(set)
			 : "0"(SYS_arch_prctl), "D"(ARCH_SET_FS), "S"(old)
			 : "rcx", "r11", "memory");
	ok(set == 0 && errno >= 0, "the FS base can be set");
}

static void test_mappings(void)
{
	int fd[2];
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(pipe(fd) == 0 && p != MAP_FAILED);
	need(write(fd[1], "abc", 3) == 3);
	ok(read(fd[0], p, 3) == 3 && memcmp(p, "abc", 3) == 0, "a call writes to a new mapping");
	need(mprotect(p, PAGE, PROT_READ) == 0);
	need(write(fd[1], "d", 1) == 1);
	ok(read(fd[0], p, 1) == -1 && errno == EFAULT, "a call does not write to protected memory");
	ok(p[2] == 'c', "protected memory keeps its contents");
	need(munmap(p, PAGE) == 0);
	ok(write(fd[1], p, 1) == -1 && errno == EFAULT, "a call does not read unmapped memory");
	need(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
	ok(write(fd[1], p + 2, 1) == 1 && p[2] == 0, "memory mapped anew is clear");
	need(munmap(p, 2 * PAGE) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		p[0] = 1;
		_exit(0);
	}
	int status = finish(pid);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV,
	   "unmapped memory is gone in a child");
	close(fd[0]);
	close(fd[1]);
}

static void test_discard(void)
{
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(p != MAP_FAILED);
	p[0] = p[PAGE] = 1;
	ok(madvise(p, PAGE, MADV_DONTNEED) == 0 && p[0] == 0 && p[PAGE] == 1,
	   "memory is discarded");
	ok(madvise(p + 1, PAGE, MADV_DONTNEED) == -1 && errno == EINVAL, "a misaligned address");
	need(munmap(p + PAGE, PAGE) == 0);
	ok(madvise(p, 2 * PAGE, MADV_DONTNEED) == -1 && errno == ENOMEM, "a hole");
	ok(mlock(p, PAGE) == 0 && madvise(p, PAGE, MADV_DONTNEED) == -1 && errno == EINVAL,
	   "locked memory is not discarded");
	need(munmap(p, PAGE) == 0);
}

/* After a first change and another call, changes of actions are this process's own business. */
static void own_actions(void)
{
	need(signal(SIGUSR2, SIG_DFL) != SIG_ERR);
	getppid();
}

static void ignores_fatal(void)
{
	own_actions();
	signal(SIGTERM, SIG_IGN);
	reach(1);
	await_step(2);
	signal(SIGTERM, SIG_DFL);
}

static void catches(void)
{
	own_actions();
	signal(SIGTERM, on_signal);
	reach(1);
	while (!caught)
		__builtin_ia32_pause();
}

static void dies(void)
{
	own_actions();
	signal(SIGTERM, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	reach(1);
	for (;;)
		__builtin_ia32_pause();
}

static void test_actions_seen(void)
{
	pid_t pid = start(ignores_fatal);
	await_step(1);
	need(kill(pid, SIGTERM) == 0);
	reach(2);
	ok(finish(pid) == 0, "a signal is ignored as soon as it is to be, and until it is not");
	pid = start(catches);
	await_step(1);
	need(kill(pid, SIGTERM) == 0);
	ok(finish(pid) == 0, "a handler is called as soon as it is set");
	pid = start(dies);
	await_step(1);
	need(kill(pid, SIGTERM) == 0);
	ok(finish(pid) == SIGTERM, "or the default taken");
}

static void test_actions(void)
{
	struct sigaction new = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, old;
	struct kernel_action {
		unsigned long handler, flags, restorer, mask;
	} raw = { 1, 0, 0, ~0UL };

	own_actions();
	sigfillset(&new.sa_mask);
	need(sigaction(SIGUSR1, &new, NULL) == 0 && sigaction(SIGUSR1, NULL, &old) == 0);
	ok(old.sa_handler == on_signal && (old.sa_flags & SA_RESTART) &&
		   sigismember(&old.sa_mask, SIGTERM) && !sigismember(&old.sa_mask, SIGKILL),
	   "an action can be read back");
	need(syscall(SYS_rt_sigaction, SIGUSR1, &raw, &raw, 8) == 0);
	ok(raw.handler == (unsigned long)on_signal, "also to where the new one lies");
	need(sigaction(SIGUSR1, NULL, &old) == 0);
	ok(old.sa_handler == SIG_IGN, "which is used");
	pid_t pid = fork();
	if (pid == 0)
		_exit(sigaction(SIGUSR1, NULL, &old) || old.sa_handler != SIG_IGN);
	ok(finish(pid) == 0, "a child inherits it");
	new.sa_flags = (int)SA_RESETHAND;
	caught = 0;
	need(sigaction(SIGUSR1, &new, NULL) == 0 && raise(SIGUSR1) == 0 && caught == 1);
	need(sigaction(SIGUSR1, NULL, &old) == 0);
	ok(old.sa_handler == SIG_DFL, "SA_RESETHAND");
	new.sa_flags = SA_NOCLDWAIT;
	need(sigaction(SIGCHLD, &new, NULL) == 0 && sigaction(SIGCHLD, NULL, &old) == 0);
	ok(old.sa_flags & SA_NOCLDWAIT, "SIGCHLD");
	need(signal(SIGCHLD, SIG_DFL) != SIG_ERR && signal(SIGUSR1, SIG_IGN) != SIG_ERR);
	raw.flags = ~0UL;
	need(syscall(SYS_rt_sigaction, SIGUSR1, &raw, NULL, 8) == 0);
	need(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &raw, 8) == 0);
	ok(syscall(SYS_rt_sigaction, SIGKILL, &raw, NULL, 8) == -1 && errno == EINVAL, "SIGKILL");
	ok(syscall(SYS_rt_sigaction, SIGKILL, NULL, &raw, 8) == 0, "but to look at it");
	ok(syscall(SYS_rt_sigaction, 0, NULL, &raw, 8) == -1 && errno == EINVAL &&
		   syscall(SYS_rt_sigaction, 65, NULL, &raw, 8) == -1 && errno == EINVAL,
	   "no signal");
	ok(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &raw, 4) == -1 && errno == EINVAL, "size");
	ok(syscall(SYS_rt_sigaction, SIGUSR1, 8, NULL, 8) == -1 && errno == EFAULT &&
		   syscall(SYS_rt_sigaction, SIGUSR1, NULL, 8, 8) == -1 && errno == EFAULT,
	   "bad addresses");
	need(signal(SIGUSR1, SIG_DFL) != SIG_ERR);
}

/* Learns of its new limit without a call. */
static void has_limit(void)
{
	struct rlimit limit;

	reach(1);
	await_step(2);
	need(getrlimit(RLIMIT_STACK, &limit) == 0);
	shared->result = limit.rlim_cur == 1234 * PAGE;
}

static void test_limit(void)
{
	struct rlimit limit, own, *bad = (struct rlimit *)8;
	pid_t pid = start(has_limit);

	need(getrlimit(RLIMIT_STACK, &own) == 0);
	limit = own;
	limit.rlim_cur = 1234 * PAGE;
	await_step(1);
	need(prlimit(pid, RLIMIT_STACK, &limit, NULL) == 0);
	reach(2);
	need(finish(pid) == 0);
	ok(shared->result, "a limit that another process has set");
	need(setrlimit(RLIMIT_STACK, &limit) == 0 && getrlimit(RLIMIT_STACK, &limit) == 0);
	ok(limit.rlim_cur == 1234 * PAGE && limit.rlim_max == own.rlim_max, "its own limit");
	need(setrlimit(RLIMIT_STACK, &own) == 0);
	ok(prlimit(0, RLIMIT_STACK, NULL, bad) == -1 && errno == EFAULT, "a bad address");
	ok(prlimit(0, RLIMIT_STACK, NULL, NULL) == 0, "no address");
}

int main(void)
{
	tap_begin();
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(shared != MAP_FAILED);
	test_blocks_fatal();
	test_unblocks();
	test_handles_at_once();
	test_keeps_ignored();
	test_other_thread_takes();
	test_masks();
	test_one_set();
	test_ignored();
	test_ids();
	test_brk();
	test_fs_base();
	test_mappings();
	test_discard();
	test_limit();
	test_actions_seen();
	test_actions();
	return tap_end();
}
