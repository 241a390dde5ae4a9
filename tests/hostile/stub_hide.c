/*
 * Tries to have processes and threads that the kernel does not know, to be deaf to it, and never to
 * answer it.
 */
#include "stub_region.h"

#include <linux/futex.h>
#include <linux/sched.h>
#include <ucontext.h>

static void clone_process(void)
{
	for (;;)
		if (stub_call(stub_verified, SYS_clone, CLONE_FILES | CLONE_PARENT, 0, 0, 0, 0,
			      0) == 0)
			for (;;)
				;
}

static void clone_plain(void)
{
	stub_call(stub_verified, SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
	stub_call(stub_verified, SYS_fork, 0, 0, 0, 0, 0, 0);
	stub_call(stub_verified, SYS_clone3, 0, 0, 0, 0, 0, 0);
	for (;;)
		;
}

static void *cloner(void *arg)
{
	(void)arg;
	clone_process();
	return NULL;
}

/* While its own forks are under way. */
static void clone_beside_fork(void)
{
	pthread_t t;

	pthread_create(&t, NULL, cloner, NULL);
	for (;;) {
		if (fork() == 0)
			_exit(0);
		waitpid(-1, NULL, 0);
	}
}

/* In the name of a lane that is being asked to fork: the kernel expects such a call just then. */
static void *thief(void *arg)
{
	volatile struct lane *l = stub_lane(0);

	for (;;)
		if (l->command.op == LANE_FORK)
			stub_call(stub_verified, SYS_prctl, PR_SET_PDEATHSIG, SIGKILL,
				  l->command.arg[0], l->command.arg[1], 0, 0);
	return arg;
}

static void steal_nonce(void)
{
	pthread_t t;

	pthread_create(&t, NULL, thief, NULL);
	for (;;) {
		if (fork() == 0)
			_exit(0);
		waitpid(-1, NULL, 0);
	}
}

/* Return to a loop with all signals blocked, by a frame that the host takes for its own. */
static void deaf(bool answer)
{
	static struct {
		u64 restorer;
		ucontext_t uc;
		char pad[4096];
	} frame __attribute__((aligned(64)));
	static char stack[65536];
	greg_t *g = frame.uc.uc_mcontext.gregs;

	memset(&frame.uc.uc_sigmask, 0xff, sizeof(frame.uc.uc_sigmask));
	g[REG_CSGSFS] = 0x002b000000000033;
	g[REG_RSP] = (greg_t)(stack + 60000);
	g[REG_EFL] = 0x202;
	g[REG_RIP] = (greg_t) && loop;
	if (answer)
		g[REG_RIP] = (greg_t) && calls;
	__asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tjmp *%1"
			 :
			 : "r"(&frame.uc), "r"(stub_fast)
			 : "rax", "memory");
loop:
	for (;;)
		;
calls:
	for (;;)
		__asm__ volatile("syscall" ::"a"(SYS_getppid) : "rcx", "r11");
}

static void deaf_loop(void)
{
	deaf(false);
}

static void deaf_calls(void)
{
	deaf(true);
}

/* The kernel wants this one to notice a signal that can be handled. */
static void on_signal(int signo)
{
	(void)signo;
}

static void deaf_to_signals(void)
{
	pid_t parent = getpid();

	signal(SIGUSR1, on_signal);
	if (fork() == 0)
		for (;;) {
			kill(parent, SIGUSR1);
			usleep(1000);
		}
	deaf(false);
}

/* The thread group goes, but one of it does not listen. */
static void *deaf_thread(void *arg)
{
	deaf(false);
	return arg;
}

static void deaf_exit(void)
{
	pthread_t t;

	for (int i = 0; i < 4; i++)
		pthread_create(&t, NULL, deaf_thread, NULL);
	usleep(100'000);
	_exit(0);
}

static void deaf_exec(void)
{
	pthread_t t;

	pthread_create(&t, NULL, deaf_thread, NULL);
	usleep(100'000);
	execl("/bin/busybox", "busybox", "true", NULL);
	execl("/bin/true", "true", NULL);
}

static void wait_for_ever(void)
{
	static u32 word;

	for (;;)
		stub_call(stub_verified, SYS_futex, (u64)&word, FUTEX_WAIT, 0, 0, 0, 0);
}

static void fork_bomb_of_victims(void)
{
	for (int i = 0; i < 50; i++)
		if (fork() == 0)
			clone_process();
	for (;;)
		;
}

int main(void)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} attacks[] = {
		{ "hidden children", clone_process },
		{ "hidden children of other kinds", clone_plain },
		{ "hidden children beside forks", clone_beside_fork },
		{ "a stolen nonce", steal_nonce },
		{ "many with hidden children", fork_bomb_of_victims },
		{ "deaf in a loop", deaf_loop },
		{ "deaf in calls", deaf_calls },
		{ "deaf threads at exit", deaf_exit },
		{ "a deaf thread at exec", deaf_exec },
		{ "deaf to signals", deaf_to_signals },
		{ "a wait on another word", wait_for_ever },
	};

	stub_need_region();
	tap_begin();
	for (unsigned int i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
		stub_attack(attacks[i].name, attacks[i].fn, 1000);
	return tap_end();
}
