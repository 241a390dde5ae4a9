/*
 * SIGSEGV and SIGBUS of the kernel process. A fault at an instruction listed in donjon_ex_table
 * goes on at its fix-up. Any other is a bug of ours: it goes to whoever handled the signal before
 * (a sanitizer), or ends the process with a line in the log.
 *
 * Signals are set by raw calls, so that no sanitizer's interceptor stands between; the handler runs
 * uninstrumented.
 */

#include "host/host.h"

#include <errno.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "base/bug.h"

#define ALT_STACK_ROOM 16384

#define SA_RESTORER_FLAG 0x0400'0000UL

/* The host's own struct sigaction. */
struct host_sigaction {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	u64 mask;
};

struct ex_entry {
	s32 insn, fixup; /* relative to the field; fixup: to the entry */
};

extern const struct ex_entry __start_donjon_ex_table[] __attribute__((visibility("hidden")));
extern const struct ex_entry __stop_donjon_ex_table[] __attribute__((visibility("hidden")));
extern const char __ehdr_start[] __attribute__((visibility("hidden")));

void host_sigreturn(void);

static struct host_sigaction g_old_segv, g_old_bus;
static __thread void *t_alt_stack;

static size_t alt_stack_size(void)
{
	return page_up(max(getauxval(AT_MINSIGSTKSZ), (unsigned long)2048) + ALT_STACK_ROOM);
}

int host_sigaction(int sig, void (*handler)(int, siginfo_t *, void *), unsigned long flags,
		   u64 mask)
{
	struct host_sigaction sa = { handler, flags | SA_RESTORER_FLAG, host_sigreturn, mask };

	return (int)host_call(SYS_rt_sigaction, sig, (long)&sa, 0, sizeof(sa.mask), 0, 0);
}

bool host_signal_ignored(int sig)
{
	struct host_sigaction sa = {};

	return host_call(SYS_rt_sigaction, sig, 0, (long)&sa, sizeof(sa.mask), 0, 0) == 0 &&
	       (uintptr_t)sa.handler == (uintptr_t)SIG_IGN;
}

__attribute__((no_sanitize("thread", "address", "undefined"))) static u64 fault_fixup(u64 pc)
{
	for (const struct ex_entry *e = __start_donjon_ex_table; e < __stop_donjon_ex_table; e++) {
		if ((u64)&e->insn + (u64)(s64)e->insn == pc)
			return (u64)&e->insn + (u64)(s64)e->fixup;
	}
	return 0;
}

__attribute__((no_sanitize("thread", "address", "undefined"))) static void fault_handler(
	int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	u64 pc = (u64)uc->uc_mcontext.gregs[REG_RIP];
	u64 fixup = info->si_code > 0 ? fault_fixup(pc) : 0;
	struct host_sigaction *old = sig == SIGSEGV ? &g_old_segv : &g_old_bus;

	if (fixup) {
		uc->uc_mcontext.gregs[REG_RIP] = (greg_t)fixup;
		return;
	}
	if (!old->handler)
		panic("signal %d, address %p, at +0x%lx, stack %p", sig, info->si_addr,
		      (unsigned long)(pc - (u64)__ehdr_start),
		      (void *)uc->uc_mcontext.gregs[REG_RSP]);
	/* The faulting instruction runs again under the old handler. */
	host_call(SYS_rt_sigaction, sig, (long)old, 0, sizeof(old->mask), 0, 0);
}

static int fault_install(int sig, struct host_sigaction *ret_old)
{
	struct host_sigaction sa = {
		.handler = fault_handler,
		.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTORER_FLAG,
		.restorer = host_sigreturn,
	};
	struct host_sigaction old = {};
	int ret;

	ret = (int)host_call(SYS_rt_sigaction, sig, (long)&sa, (long)&old, sizeof(sa.mask), 0, 0);
	if (!ret && old.handler != fault_handler)
		*ret_old = old;
	return ret;
}

int host_fault_init(void)
{
	int ret;

	ret = fault_install(SIGSEGV, &g_old_segv);
	if (!ret)
		ret = fault_install(SIGBUS, &g_old_bus);
	return ret;
}

int host_fault_thread_init(void)
{
	size_t size = alt_stack_size();
	stack_t old = {}, ss = { .ss_size = size };
	void *p;
	int ret;

	ret = (int)host_call(SYS_sigaltstack, 0, (long)&old, 0, 0, 0, 0);
	if (ret || !(old.ss_flags & SS_DISABLE))
		return ret;
	p = host_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (host_is_err(p))
		return -ENOMEM;
	ss.ss_sp = p;
	ret = (int)host_call(SYS_sigaltstack, (long)&ss, 0, 0, 0, 0, 0);
	if (ret) {
		host_munmap(p, size);
		return ret;
	}
	t_alt_stack = p;
	return 0;
}

void host_fault_thread_fini(void)
{
	stack_t ss = { .ss_flags = SS_DISABLE };

	if (!t_alt_stack)
		return;
	host_call(SYS_sigaltstack, (long)&ss, 0, 0, 0, 0, 0);
	host_munmap(t_alt_stack, alt_stack_size());
	t_alt_stack = NULL;
}
