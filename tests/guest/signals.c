/*
 * Signals: handlers and their flags, masks, queues, sending and waiting, default actions.
 */
#include "tap.h"
#include <pthread.h>
#include <sys/resource.h>

static volatile int count;
static volatile int order[64];
static volatile siginfo_t last;

static void on_count(int signal)
{
	if (count < (int)ARRAY_SIZE(order))
		order[count] = signal;
	count++;
}

static void on_info(int signal, siginfo_t *info, void *context)
{
	(void)context;
	last = *info;
	on_count(signal);
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };
	need(sigaction(signal, &action, NULL) == 0);
	count = 0;
	last = (siginfo_t){};
}

static sigset_t set_of(int a, int b)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, a);
	if (b)
		sigaddset(&set, b);
	return set;
}

static void block(int a, int b)
{
	sigset_t set = set_of(a, b);
	need(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
}

static void unblock(int a, int b)
{
	sigset_t set = set_of(a, b);
	need(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
}

static bool is_blocked(int signal)
{
	sigset_t set;
	need(sigprocmask(SIG_BLOCK, NULL, &set) == 0);
	return sigismember(&set, signal);
}

static bool is_pending(int signal)
{
	sigset_t set;
	need(sigpending(&set) == 0);
	return sigismember(&set, signal);
}

static void test_info(void)
{
	handle(SIGUSR1, on_info, 0);
	is_int(kill(getpid(), SIGUSR1), 0, "kill");
	is_int(count, 1, "the handler runs before kill returns");
	is_int(last.si_signo, SIGUSR1, "si_signo");
	is_int(last.si_code, SI_USER, "si_code of kill");
	is_int(last.si_pid, getpid(), "si_pid");
	is_int(last.si_uid, getuid(), "si_uid");
	raise(SIGUSR1);
	is_int(last.si_code, SI_TKILL, "si_code of tgkill");
	syscall(SYS_tkill, getpid(), SIGUSR1);
	is_int(last.si_code, SI_TKILL, "si_code of tkill");
	sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_ptr = (void *)0x123456789abcUL });
	is_int(last.si_code, SI_QUEUE, "si_code of sigqueue");
	ok(last.si_value.sival_ptr == (void *)0x123456789abcUL, "its value");
	is_int(last.si_pid, getpid(), "its si_pid");
	is_int(count, 4, "all were handled");
	signal(SIGUSR1, SIG_DFL);
}

static volatile bool blocked_in_handler[3];

static void on_mask(int signal, siginfo_t *info, void *context)
{
	ucontext_t *frame = context;
	(void)info;
	blocked_in_handler[0] = is_blocked(signal);
	blocked_in_handler[1] = is_blocked(SIGUSR2);
	blocked_in_handler[2] = sigismember(&frame->uc_sigmask, SIGWINCH);
	count++;
}

static void test_masks(void)
{
	struct sigaction action = { .sa_sigaction = on_mask, .sa_flags = SA_SIGINFO }, old;
	sigaddset(&action.sa_mask, SIGUSR2);
	need(sigaction(SIGUSR1, &action, NULL) == 0);
	block(SIGWINCH, 0);
	raise(SIGUSR1);
	ok(blocked_in_handler[0], "the signal is blocked in its handler");
	ok(blocked_in_handler[1], "and what sa_mask says");
	ok(blocked_in_handler[2], "the frame holds the former mask");
	ok(!is_blocked(SIGUSR1) && !is_blocked(SIGUSR2) && is_blocked(SIGWINCH),
	   "the mask is restored");
	need(sigaction(SIGUSR1, NULL, &old) == 0);
	ok(sigismember(&old.sa_mask, SIGUSR2) && old.sa_sigaction == on_mask, "sigaction reads");
	ok((old.sa_flags & ~0x04000000) == SA_SIGINFO, "and its flags");
	handle(SIGUSR1, on_mask, SA_NODEFER);
	raise(SIGUSR1);
	ok(!blocked_in_handler[0], "SA_NODEFER");
	handle(SIGUSR1, on_mask, SA_RESETHAND);
	raise(SIGUSR1);
	ok(blocked_in_handler[0], "SA_RESETHAND blocks");
	need(sigaction(SIGUSR1, NULL, &old) == 0);
	ok(old.sa_handler == SIG_DFL, "and resets");
	unblock(SIGWINCH, 0);
	block(SIGKILL, SIGSTOP);
	ok(!is_blocked(SIGKILL) && !is_blocked(SIGSTOP), "SIGKILL and SIGSTOP are never blocked");
}

static void on_change_mask(int signal, siginfo_t *info, void *context)
{
	ucontext_t *frame = context;
	(void)signal;
	(void)info;
	sigaddset(&frame->uc_sigmask, SIGWINCH);
	sigaddset(&frame->uc_sigmask, SIGKILL);
}

static void test_frame_mask(void)
{
	handle(SIGUSR1, on_change_mask, 0);
	raise(SIGUSR1);
	ok(is_blocked(SIGWINCH), "a handler can change the mask in its frame");
	ok(!is_blocked(SIGKILL), "but not block SIGKILL");
	unblock(SIGWINCH, 0);
}

static void test_pending(void)
{
	handle(SIGUSR1, on_info, 0);
	block(SIGUSR1, 0);
	for (int i = 0; i < 5; i++)
		kill(getpid(), SIGUSR1);
	ok(is_pending(SIGUSR1), "a blocked signal is pending");
	ok(!is_pending(SIGUSR2), "another is not");
	is_int(count, 0, "it is not handled");
	unblock(SIGUSR1, 0);
	is_int(count, 1, "a standard signal is queued once");
	ok(!is_pending(SIGUSR1), "and is no longer pending");
	block(SIGUSR1, 0);
	raise(SIGUSR1);
	kill(getpid(), SIGUSR1);
	unblock(SIGUSR1, 0);
	is_int(count, 3, "a thread's and the process's queue are two");
	block(SIGUSR1, 0);
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_IGN);
	ok(!is_pending(SIGUSR1), "ignoring a signal discards it");
	raise(SIGUSR1);
	ok(is_pending(SIGUSR1), "a blocked ignored signal is kept, though");
	signal(SIGUSR1, SIG_IGN);
	unblock(SIGUSR1, 0);
	block(SIGCHLD, 0);
	kill(getpid(), SIGCHLD);
	signal(SIGCHLD, SIG_DFL);
	ok(!is_pending(SIGCHLD), "so does a default action of ignoring");
	unblock(SIGCHLD, 0);
}

static volatile int values[16];

static void on_value(int signal, siginfo_t *info, void *context)
{
	(void)context;
	values[count] = info->si_value.sival_int;
	on_count(signal);
}

static void test_realtime(void)
{
	int rt = SIGRTMIN + 1;
	sigset_t all, old;
	sigfillset(&all);
	struct sigaction action = { .sa_sigaction = on_value,
				    .sa_flags = SA_SIGINFO,
				    .sa_mask = all };
	for (int i = 0; i < 2; i++)
		need(sigaction(rt + i, &action, NULL) == 0);
	need(sigaction(SIGUSR2, &action, NULL) == 0);
	count = 0;
	sigprocmask(SIG_SETMASK, &all, &old);
	for (int i = 0; i < 4; i++) {
		sigqueue(getpid(), rt + 1, (union sigval){ .sival_int = 100 + i });
		sigqueue(getpid(), rt, (union sigval){ .sival_int = i });
	}
	kill(getpid(), SIGUSR2);
	sigprocmask(SIG_SETMASK, &old, NULL);
	is_int(count, 9, "real-time signals are queued one by one");
	/* Frames are stacked in order of number, as the mask is only set on entry of each. */
	int low = 0, high = 0, standard = 0;
	bool sorted = true;
	for (int i = 0; i < count; i++) {
		if (order[i] == rt)
			sorted &= values[i] == low++;
		else if (order[i] == rt + 1)
			sorted &= values[i] == 100 + high++ && low == 4;
		else
			standard += low == 0 && high == 0;
	}
	ok(sorted && low == 4 && high == 4, "lower numbers first, each in the order sent");
	is_int(standard, 1, "standard signals before them");
	for (int i = 0; i < 2; i++)
		signal(rt + i, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
}

static void queue_limit(void)
{
	struct rlimit limit = { 10, 10 };
	union sigval value = {};
	int sent = 0;
	need(setrlimit(RLIMIT_SIGPENDING, &limit) == 0);
	block(SIGRTMIN, SIGUSR1);
	while (sent < 10 && sigqueue(getpid(), SIGRTMIN, value) == 0)
		sent++;
	need_err(sigqueue(getpid(), SIGRTMIN, value), EAGAIN);
	need(kill(getpid(), SIGUSR1) == 0);
	need(is_pending(SIGUSR1));
}

static void test_errors(void)
{
	struct sigaction action = { .sa_handler = on_count };
	sigset_t set = set_of(SIGUSR1, 0);
	siginfo_t info = { .si_code = SI_QUEUE };
	int pid = getpid();
	pid_t child = tap_fork();
	if (child == 0)
		_exit(0);
	tap_wait(child);
	is_err(kill(child, 0), ESRCH, "kill a process that is gone");
	is_err(kill(pid, 65), EINVAL, "kill with signal 65");
	is_err(kill(pid, -1), EINVAL, "kill with signal -1");
	is_err(kill(INT32_MIN, 0), ESRCH, "kill INT_MIN");
	is_err(kill(-(1 << 30), 0), ESRCH, "kill a group that is not there");
	is_int(kill(pid, 0), 0, "kill with signal 0");
	is_err(syscall(SYS_tkill, 0, 0), EINVAL, "tkill 0");
	is_err(syscall(SYS_tkill, child, 0), ESRCH, "tkill of no one");
	is_err(syscall(SYS_tgkill, pid, 0, 0), EINVAL, "tgkill 0");
	is_err(syscall(SYS_tgkill, -1, pid, 0), EINVAL, "tgkill of group -1");
	is_err(syscall(SYS_tgkill, child, pid, 0), ESRCH, "tgkill in the wrong group");
	is_err(syscall(SYS_tgkill, pid, pid, 65), EINVAL, "tgkill with signal 65");
	is_int(syscall(SYS_tgkill, pid, pid, 0), 0, "tgkill with signal 0");
	is_err(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, BAD_PTR), EFAULT,
	       "rt_sigqueueinfo from a bad address");
	is_err(syscall(SYS_rt_sigqueueinfo, pid, 70, &info), EINVAL, "with signal 70");
	is_err(syscall(SYS_rt_sigqueueinfo, child, 0, &info), ESRCH, "to no one");
	is_err(syscall(SYS_rt_tgsigqueueinfo, pid, -1, SIGUSR1, &info), EINVAL,
	       "rt_tgsigqueueinfo to thread -1");
	is_err(sigaction(SIGKILL, &action, NULL), EINVAL, "sigaction of SIGKILL");
	is_err(sigaction(SIGSTOP, &action, NULL), EINVAL, "sigaction of SIGSTOP");
	is_err(syscall(SYS_rt_sigaction, 0, NULL, NULL, 8), EINVAL, "sigaction of signal 0");
	is_err(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), EINVAL, "sigaction of signal 65");
	is_err(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), EINVAL, "with set size 4");
	is_err(syscall(SYS_rt_sigaction, SIGUSR1, BAD_PTR, NULL, 8), EFAULT, "from a bad address");
	is_err(syscall(SYS_rt_sigaction, SIGUSR1, NULL, BAD_PTR, 8), EFAULT, "to a bad address");
	is_int(syscall(SYS_rt_sigaction, SIGKILL, NULL, &action, 8), 0, "SIGKILL can be read");
	is_err(syscall(SYS_rt_sigprocmask, 5, &set, NULL, 8), EINVAL, "sigprocmask with how 5");
	is_int(syscall(SYS_rt_sigprocmask, 5, NULL, NULL, 8), 0, "which is ignored without a set");
	is_err(syscall(SYS_rt_sigprocmask, 0, &set, NULL, 16), EINVAL, "with set size 16");
	is_err(syscall(SYS_rt_sigprocmask, 0, BAD_PTR, NULL, 8), EFAULT, "from a bad address");
	is_err(syscall(SYS_rt_sigprocmask, 0, NULL, BAD_PTR, 8), EFAULT, "to a bad address");
	is_err(syscall(SYS_rt_sigpending, BAD_PTR, 8), EFAULT, "sigpending to a bad address");
	is_err(syscall(SYS_rt_sigpending, &set, 16), EINVAL, "sigpending with set size 16");
	is_err(syscall(SYS_rt_sigsuspend, BAD_PTR, 8), EFAULT, "sigsuspend from a bad address");
	is_err(syscall(SYS_rt_sigsuspend, &set, 4), EINVAL, "sigsuspend with set size 4");
	struct timespec t = { 0, 1000000000 }, zero = {};
	is_err(sigtimedwait(&set, NULL, &t), EINVAL, "sigtimedwait with a bad time");
	is_err(sigtimedwait(&set, NULL, &zero), EAGAIN, "sigtimedwait times out");
	is_err(syscall(SYS_rt_sigtimedwait, BAD_PTR, NULL, &zero, 8), EFAULT, "from a bad address");
	is_err(syscall(SYS_rt_sigtimedwait, &set, NULL, BAD_PTR, 8), EFAULT,
	       "with the time at a bad address");
	is_err(syscall(SYS_rt_sigtimedwait, &set, NULL, &zero, 7), EINVAL, "with set size 7");
}

static void queueinfo_codes(void)
{
	/* Only to itself may a process send a code that the kernel uses. */
	siginfo_t info = { .si_code = SI_USER };
	signal(SIGUSR1, SIG_IGN);
	need_err(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &info), EPERM);
	info.si_code = SI_TKILL;
	need_err(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &info), EPERM);
	need(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info) == 0);
	info.si_code = SI_QUEUE;
	need(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &info) == 0);
	need(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, &info) == 0);
}

static void test_timedwait(void)
{
	struct timespec zero = {}, tenth = { 0, 20000000 }, minute = { 60, 0 };
	sigset_t set = set_of(SIGUSR1, SIGRTMIN);
	siginfo_t info = {};
	block(SIGUSR1, SIGRTMIN);
	sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 77 });
	kill(getpid(), SIGUSR1);
	is_int(sigtimedwait(&set, &info, &zero), SIGUSR1, "the lower number first");
	is_int(info.si_code, SI_USER, "its code");
	is_int(sigtimedwait(&set, &info, &minute), SIGRTMIN, "then the real-time one");
	is_int(info.si_value.sival_int, 77, "its value");
	is_err(sigtimedwait(&set, &info, &tenth), EAGAIN, "then nothing");
	pid_t parent = getpid();
	pid_t child = tap_fork();
	if (child == 0) {
		pause_ms(20);
		kill(parent, SIGUSR1);
		_exit(0);
	}
	is_int(sigtimedwait(&set, &info, NULL), SIGUSR1, "wait for another process");
	is_int(info.si_pid, child, "its si_pid");
	tap_wait(child);
	unblock(SIGUSR1, SIGRTMIN);
}

static void test_suspend(void)
{
	sigset_t none;
	sigemptyset(&none);
	handle(SIGUSR1, on_info, 0);
	block(SIGUSR1, 0);
	kill(getpid(), SIGUSR1);
	is_err(sigsuspend(&none), EINTR, "sigsuspend with a pending signal");
	is_int(count, 1, "it was handled");
	ok(is_blocked(SIGUSR1), "the mask is restored");
	pid_t parent = getpid();
	pid_t child = tap_fork();
	if (child == 0) {
		pause_ms(20);
		kill(parent, SIGUSR1);
		_exit(0);
	}
	is_err(sigsuspend(&none), EINTR, "sigsuspend waits");
	is_int(count, 2, "for a signal");
	tap_wait(child);
	unblock(SIGUSR1, 0);
	signal(SIGUSR1, SIG_DFL);
}

static void test_default_actions(void)
{
	static const int fatal[] = { SIGHUP,  SIGINT,  SIGQUIT, SIGILL,	   SIGTRAP, SIGABRT,
				     SIGBUS,  SIGFPE,  SIGUSR1, SIGSEGV,   SIGUSR2, SIGPIPE,
				     SIGALRM, SIGTERM, SIGXCPU, SIGXFSZ,   SIGSYS,  SIGVTALRM,
				     SIGPROF, SIGIO,   SIGPWR,	SIGSTKFLT, SIGKILL, 40 };
	static const int ignored[] = { SIGCHLD, SIGCONT, SIGURG, SIGWINCH };
	static const int stops[] = { SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU };
	int status;
	setrlimit(RLIMIT_CORE, &(struct rlimit){});
	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++) {
		pid_t child = tap_fork();
		if (child == 0) {
			raise(fatal[i]);
			_exit(0);
		}
		is_killed(tap_wait(child), fatal[i], "signal %d kills", fatal[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++) {
		pid_t child = tap_fork();
		if (child == 0) {
			raise(ignored[i]);
			_exit(0);
		}
		is_exit(tap_wait(child), 0, "signal %d is ignored", ignored[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(stops); i++) {
		pid_t child = tap_fork();
		if (child == 0) {
			raise(stops[i]);
			_exit(0);
		}
		need(waitpid(child, &status, WUNTRACED) == child);
		ok(WIFSTOPPED(status) && WSTOPSIG(status) == stops[i], "signal %d stops", stops[i]);
		kill(child, SIGCONT);
		is_exit(tap_wait(child), 0, "and SIGCONT continues");
	}
}

static void stop_and_continue_discard(void)
{
	block(SIGTSTP, SIGCONT);
	raise(SIGTSTP);
	need(is_pending(SIGTSTP));
	raise(SIGCONT);
	need(!is_pending(SIGTSTP) && is_pending(SIGCONT));
	raise(SIGTSTP);
	need(is_pending(SIGTSTP) && !is_pending(SIGCONT));
}

static pid_t handler_tid;

static void on_thread(int signal)
{
	(void)signal;
	handler_tid = (pid_t)syscall(SYS_gettid);
}

static void *idle(void *arg)
{
	struct event *events = arg;
	unblock(SIGUSR1, 0);
	event_post(&events[0]);
	event_wait(&events[1]);
	return (void *)syscall(SYS_gettid);
}

static void to_unblocked_thread(void)
{
	struct event events[2];
	pthread_t thread;
	void *tid;
	signal(SIGUSR1, on_thread);
	block(SIGUSR1, 0);
	event_init(&events[0]);
	event_init(&events[1]);
	need(pthread_create(&thread, NULL, idle, events) == 0);
	event_wait(&events[0]);
	kill(getpid(), SIGUSR1);
	while (!__atomic_load_n(&handler_tid, __ATOMIC_ACQUIRE))
		pause_ms(1);
	event_post(&events[1]);
	pthread_join(thread, &tid);
	need(handler_tid == (pid_t)(intptr_t)tid);
}

static void permission(void)
{
	pid_t parent = getppid();
	if (getuid() == 0)
		need(setresuid(65533, 65533, 65533) == 0);
	need(kill(getpid(), 0) == 0);
	if (getuid() == 65533) {
		need_err(kill(parent, 0), EPERM);
		need_err(syscall(SYS_tkill, parent, SIGTERM), EPERM);
	}
}

int main(void)
{
	tap_begin();
	test_info();
	test_masks();
	test_frame_mask();
	test_pending();
	test_realtime();
	child_ok(queue_limit, "RLIMIT_SIGPENDING");
	test_errors();
	child_ok(queueinfo_codes, "codes that rt_sigqueueinfo allows");
	test_timedwait();
	test_suspend();
	test_default_actions();
	child_ok(stop_and_continue_discard, "stop signals and SIGCONT discard each other");
	child_ok(to_unblocked_thread, "a thread that does not block the signal gets it");
	child_ok(permission, "permission");
	return tap_end();
}
