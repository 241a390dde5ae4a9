/*
 * Synchronous signals: what siginfo and the frame say, and how to recover; alternate stacks.
 */
#include "tap.h"
#include <fcntl.h>
#include <setjmp.h>
#include <sys/resource.h>
#include <sys/ucontext.h>

static sigjmp_buf jump;
static siginfo_t last;
static greg_t last_rip, last_trapno, last_err, last_cr2;
static volatile int caught;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	ucontext_t *frame = context;
	caught = signal;
	last = *info;
	last_rip = frame->uc_mcontext.gregs[REG_RIP];
	last_trapno = frame->uc_mcontext.gregs[REG_TRAPNO];
	last_err = frame->uc_mcontext.gregs[REG_ERR];
	last_cr2 = frame->uc_mcontext.gregs[REG_CR2];
	siglongjmp(jump, 1);
}

/* Runs the statement, which faults, and records how. */
#define FAULT(statement) \
	do { \
		caught = 0; \
		memset(&last, 0, sizeof(last)); \
		if (sigsetjmp(jump, 1) == 0) { \
			statement; \
		} \
	} while (0)

static void test_segv(void)
{
	char *page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(page + 4096, 4096);
	FAULT(*(volatile char *)tap_pointer(0x10) = 1);
	is_int(caught, SIGSEGV, "write to an unmapped page");
	is_int(last.si_code, SEGV_MAPERR, "SEGV_MAPERR");
	is_int((intptr_t)last.si_addr, 0x10, "si_addr");
	is_int(last_trapno, 14, "trap number");
	is_int(last_err & 7, 6, "error code: user, write");
	is_int(last_cr2, 0x10, "cr2");
	FAULT((void)*(volatile char *)(page + 4096 + 5));
	is_int(last_err & 7, 4, "error code: user, read");
	ok(last.si_addr == page + 4096 + 5, "si_addr of a read");
	FAULT(*(volatile char *)(page + 7) = 1);
	is_int(last.si_code, SEGV_ACCERR, "SEGV_ACCERR for a read-only page");
	ok(last.si_addr == page + 7, "si_addr");
	FAULT((void)*(volatile char *)BAD_PTR_HIGH);
	is_int(caught, SIGSEGV, "read of a non-canonical address");
	is_int(last.si_code, SI_KERNEL, "SI_KERNEL");
	is_int((intptr_t)last.si_addr, 0, "without an address");
	is_int(last_trapno, 13, "trap number 13");
	FAULT(((void (*)(void))page)());
	is_int(caught, SIGSEGV, "a jump to a page that is not executable");
	is_int(last.si_code, SEGV_ACCERR, "SEGV_ACCERR");
	ok(last_rip == (greg_t)page, "rip is the target");
	FAULT(((void (*)(void))tap_pointer(0))());
	is_int(last_rip, 0, "a jump to 0");
	FAULT(*(volatile char *)tap_pointer(0xffffffffff600000UL) = 1);
	is_int(caught, SIGSEGV, "a write to the vsyscall page");
	FAULT((void)*(volatile char *)tap_pointer(0xffff888000000000UL));
	is_int(caught, SIGSEGV, "a read of kernel memory");
	FAULT(asm volatile("hlt"));
	is_int(caught, SIGSEGV, "a privileged instruction");
	munmap(page, 4096);
}

static void test_bus(void)
{
	char path[] = "/tmp/guest-bus.XXXXXX";
	int fd = mkstemp(path);
	need(fd >= 0 && unlink(path) == 0 && ftruncate(fd, 4096) == 0);
	char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(map != MAP_FAILED);
	map[4095] = 1;
	FAULT(map[4096] = 1);
	is_int(caught, SIGBUS, "beyond the end of a file");
	is_int(last.si_code, BUS_ADRERR, "BUS_ADRERR");
	ok(last.si_addr == map + 4096, "si_addr");
	munmap(map, 8192);
	close(fd);
}

static void test_others(void)
{
	volatile int zero = 0, result = 1;
	greg_t label = 0;
	FAULT(result = result / zero);
	is_int(caught, SIGFPE, "division by zero");
	is_int(last.si_code, FPE_INTDIV, "FPE_INTDIV");
	ok(last.si_addr == (void *)last_rip, "si_addr is rip");
	FAULT(asm volatile("ud2"));
	is_int(caught, SIGILL, "an illegal instruction");
	is_int(last.si_code, ILL_ILLOPN, "ILL_ILLOPN");
	ok(last.si_addr == (void *)last_rip, "si_addr is rip");
	FAULT(asm volatile("lea 1f(%%rip), %0\n\tint3\n1:" : "=r"(label)));
	is_int(caught, SIGTRAP, "int3");
	is_int(last.si_code, SI_KERNEL, "SI_KERNEL");
	FAULT(asm volatile("pushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\tnop\n\tnop" ::: "memory"));
	is_int(caught, SIGTRAP, "a single step");
	is_int(last.si_code, TRAP_TRACE, "TRAP_TRACE");
	asm volatile("pushfq\n\tandl $~0x100, (%%rsp)\n\tpopfq" ::: "memory");
	unsigned csr = 0x1f80 & ~0x200u, clean = 0x1f80;
	volatile double one = 1, nil = 0;
	FAULT(asm volatile("ldmxcsr %0" ::"m"(csr)); one = one / nil);
	asm volatile("ldmxcsr %0" ::"m"(clean));
	is_int(caught, SIGFPE, "SSE division by zero");
	is_int(last.si_code, FPE_FLTDIV, "FPE_FLTDIV");
}

static volatile int steps;

static void on_skip(int signal, siginfo_t *info, void *context)
{
	ucontext_t *frame = context;
	(void)signal;
	(void)info;
	steps++;
	frame->uc_mcontext.gregs[REG_RIP] += 2;
	frame->uc_mcontext.gregs[REG_RBX] = 0x1234567890;
	frame->uc_mcontext.gregs[REG_R15] ^= -1;
}

static void on_mend(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	steps++;
	mprotect((void *)((uintptr_t)info->si_addr & -4096UL), 4096, PROT_READ | PROT_WRITE);
}

static void test_return(void)
{
	uint64_t rbx = 1, r15 = 0x77;
	struct sigaction action = { .sa_sigaction = on_skip, .sa_flags = SA_SIGINFO }, old;
	need(sigaction(SIGILL, &action, &old) == 0);
	register uint64_t reg15 asm("r15") = r15;
	asm volatile("ud2" : "+b"(rbx), "+r"(reg15)::"memory");
	is_int(steps, 1, "a handler can step over an instruction");
	is_int(rbx, 0x1234567890, "and set rbx");
	is_int(reg15, ~r15, "and r15");
	need(sigaction(SIGILL, &old, NULL) == 0);

	action.sa_sigaction = on_mend;
	need(sigaction(SIGSEGV, &action, &old) == 0);
	char *page = mmap(NULL, 40960, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	steps = 0;
	for (int i = 0; i < 10; i++)
		page[i * 4096 + 3] = 1;
	is_int(steps, 10, "10 faults mended by a handler");
	munmap(page, 40960);
	need(sigaction(SIGSEGV, &old, NULL) == 0);
}

static volatile int depth;

__attribute__((noinline)) static int overflow(int n)
{
	volatile char block[4096];
	block[0] = (char)n;
	depth = n;
	return n > 1000000 ? n : overflow(n + 1) + block[0];
}

static void recover_overflow(void)
{
	struct rlimit limit = { 256 << 10, 256 << 10 };
	need(setrlimit(RLIMIT_STACK, &limit) == 0);
	stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };
	need(sigaltstack(&stack, NULL) == 0);
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	need(sigaction(SIGSEGV, &action, NULL) == 0);
	for (int i = 0; i < 3; i++) {
		FAULT(depth = overflow(0));
		need(caught == SIGSEGV);
	}
}

static void overflow_kills(void)
{
	struct rlimit limit = { 256 << 10, 256 << 10 };
	need(setrlimit(RLIMIT_STACK, &limit) == 0);
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	need(sigaction(SIGSEGV, &action, NULL) == 0);
	_exit(overflow(0) & 1);
}

static char alternate[2][65536] __attribute__((aligned(16)));
static char *volatile handler_sp[2];
static stack_t handler_stack;
static volatile int nested_error;

static bool on_alternate(int i, const char *p)
{
	return p >= alternate[i] && p < alternate[i] + sizeof(alternate[i]);
}

static void on_inner(int signal)
{
	(void)signal;
	handler_sp[1] = __builtin_frame_address(0);
}

static void on_outer(int signal)
{
	stack_t stack = { .ss_sp = alternate[1], .ss_size = sizeof(alternate[1]) };
	(void)signal;
	handler_sp[0] = __builtin_frame_address(0);
	sigaltstack(NULL, &handler_stack);
	nested_error = sigaltstack(&stack, NULL) == -1 ? errno : 0;
	raise(SIGUSR2);
}

static void test_altstack(void)
{
	stack_t stack = { .ss_sp = alternate[0], .ss_size = sizeof(alternate[0]) }, old;
	struct sigaction action = { .sa_handler = on_outer, .sa_flags = SA_ONSTACK };
	is_int(sigaltstack(NULL, &old), 0, "sigaltstack reads");
	is_int(old.ss_flags, SS_DISABLE, "there is none at first");
	is_int(sigaltstack(&stack, &old), 0, "sigaltstack sets");
	need(sigaction(SIGUSR1, &action, NULL) == 0);
	action.sa_handler = on_inner;
	need(sigaction(SIGUSR2, &action, NULL) == 0);
	raise(SIGUSR1);
	ok(on_alternate(0, handler_sp[0]), "the handler runs there");
	is_int(handler_stack.ss_flags, SS_ONSTACK, "SS_ONSTACK while it does");
	is_int(nested_error, EPERM, "then it cannot be changed");
	ok(on_alternate(0, handler_sp[1]) && handler_sp[1] < handler_sp[0],
	   "a nested handler continues below");
	is_int(sigaltstack(NULL, &old), 0, "afterwards");
	is_int(old.ss_flags, 0, "it is set, not in use");
	ok(old.ss_sp == alternate[0] && old.ss_size == sizeof(alternate[0]), "and where it was");
	action.sa_handler = on_inner;
	action.sa_flags = 0;
	need(sigaction(SIGUSR2, &action, NULL) == 0);
	raise(SIGUSR2);
	ok(!on_alternate(0, handler_sp[1]), "without SA_ONSTACK it is not used");

	stack.ss_size = 100;
	is_err(sigaltstack(&stack, NULL), ENOMEM, "too small a stack");
	stack.ss_size = sizeof(alternate[0]);
	stack.ss_flags = 0x40;
	is_err(sigaltstack(&stack, NULL), EINVAL, "unknown flags");
	is_err(sigaltstack(BAD_PTR, NULL), EFAULT, "from a bad address");
	is_err(sigaltstack(NULL, BAD_PTR), EFAULT, "to a bad address");

	stack.ss_flags = (int)(1U << 31);
	is_int(sigaltstack(&stack, NULL), 0, "SS_AUTODISARM");
	action.sa_handler = on_outer;
	action.sa_flags = SA_ONSTACK;
	need(sigaction(SIGUSR1, &action, NULL) == 0);
	raise(SIGUSR1);
	ok(on_alternate(0, handler_sp[0]), "the handler runs there");
	is_int(nested_error, 0, "and may set another stack");
	is_int(sigaltstack(NULL, &old), 0, "afterwards");
	ok(old.ss_sp == alternate[0] && old.ss_flags == (int)(1U << 31), "the first one is back");
	stack.ss_flags = SS_DISABLE;
	is_int(sigaltstack(&stack, NULL), 0, "SS_DISABLE");
	sigaltstack(NULL, &old);
	is_int(old.ss_flags, SS_DISABLE, "disables it");
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
}

static void blocked_fault(void)
{
	/* A blocked or ignored synchronous signal kills. */
	sigset_t set;
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	sigaction(SIGSEGV, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigprocmask(SIG_BLOCK, &set, NULL);
	*(volatile char *)tap_pointer(0x10) = 1;
}

static void ignored_fault(void)
{
	signal(SIGSEGV, SIG_IGN);
	*(volatile char *)tap_pointer(0x10) = 1;
}

static void bad_stack(void)
{
	/* There is no stack to put a frame on. */
	signal(SIGUSR1, SIG_DFL);
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	sigaction(SIGUSR1, &action, NULL);
	asm volatile("mov $16, %%esp\n\tsyscall" ::"a"(SYS_tkill), "D"(getpid()), "S"(SIGUSR1)
		     : "memory", "rcx", "r11");
	_exit(0);
}

static void bad_frame(void)
{
	asm volatile("mov $16, %%esp\n\tsyscall" ::"a"(SYS_rt_sigreturn) : "memory");
	_exit(0);
}

int main(void)
{
	tap_begin();
	setrlimit(RLIMIT_CORE, &(struct rlimit){});
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		need(sigaction(signals[i], &action, NULL) == 0);
	test_segv();
	test_bus();
	test_others();
	test_return();
	child_ok(recover_overflow, "a stack overflow is caught on the alternate stack");
	is_killed(run_child(overflow_kills), SIGSEGV, "without one it kills");
	test_altstack();
	is_killed(run_child(blocked_fault), SIGSEGV, "a blocked SIGSEGV kills when it is a fault");
	is_killed(run_child(ignored_fault), SIGSEGV, "an ignored one too");
	is_killed(run_child(bad_stack), SIGSEGV, "a handler without a stack");
	is_killed(run_child(bad_frame), SIGSEGV, "rt_sigreturn without a frame");
	return tap_end();
}
