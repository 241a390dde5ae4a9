/*
 * The zygote: a copy of the kernel process that throws away all of the kernel's memory and then
 * makes fresh stubs, one a request. It never runs guest code, so the kernel trusts it, as it trusts
 * a stub until the gate is closed.
 *
 * It starts in a copy of the kernel's address space, in this image (mapped by the kernel
 * beforehand), and touches no code of the kernel's binary: that may be instrumented, and is about
 * to vanish.
 */

#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/resource.h>
#include <ucontext.h>

#include "platform/systrap/stub/stub.h"

#define RSEQ_UNREGISTER 1
#define ARCH_SHSTK_DISABLE 0x5002
#define ARCH_SHSTK_SHSTK 1
#define RW 3 /* PROT_READ | PROT_WRITE */
#define ALL_SIGNALS (~0UL)
#define SIGNAL_BIT(n) (1UL << ((n)-1))
#define SA_RESTORER_FLAG 0x04000000UL
#define SIGNALS 64

struct kernel_sigaction {
	void (*handler)(void);
	unsigned long flags;
	void (*restorer)(void);
	u64 mask;
};

static long call(long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	return gate_call(nr, a, b, c, d, e, f);
}

#define CALL(nr, a, b, c, d, e) call(__NR_##nr, (u64)(a), (u64)(b), (u64)(c), (u64)(d), (u64)(e), 0)

static _Noreturn void quit(int status)
{
	for (;;)
		CALL(exit_group, status, 0, 0, 0, 0);
}

static void unmap(u64 from, u64 to)
{
	if (from < to)
		CALL(munmap, from, to - from, 0, 0, 0);
}

/* Unmap from..to but for the pieces of the host's vdso that could not be moved. They are sorted. */
static void unmap_around(const struct stub_config *cfg, const u64 *kept, u64 from, u64 to)
{
	for (u32 i = 0; i < cfg->piece_count; i++) {
		const struct stub_piece *p = &cfg->pieces[i];

		if (!kept[i] || p->start < from || p->start + p->size > to)
			continue;
		unmap(from, p->start);
		from = p->start + p->size;
	}
	unmap(from, to);
}

/* Move the vdso and unmap all but our region. Returns 0, or -EPERM if a piece of the vdso is sealed
 * in guest space. */
static int clear_address_space(const struct stub_config *cfg)
{
	u64 kept[4] = {};
	int ret = 0;

	for (u32 i = 0; i < cfg->piece_count; i++) {
		const struct stub_piece *p = &cfg->pieces[i];
		long to = -1;

		if (p->dest)
			to = CALL(mremap, p->start, p->size, p->size, MREMAP_MAYMOVE | MREMAP_FIXED,
				  p->dest);
		kept[i] = to < 0;
		if (to < 0 && p->start < cfg->base)
			ret = -1;
	}
	unmap_around(cfg, kept, 0, cfg->base);
	unmap_around(cfg, kept, cfg->base + STUB_REGION_SIZE, cfg->top);
	return ret;
}

static void set_limit(int resource, u64 soft, u64 hard)
{
	u64 lim[2];

	lim[0] = soft;
	lim[1] = hard;
	CALL(prlimit64, 0, resource, lim, 0, 0);
}

static void raise_limit(int resource)
{
	u64 lim[2] = {};

	CALL(prlimit64, 0, resource, 0, lim, 0);
	set_limit(resource, lim[1], lim[1]);
}

static void set_signals(const struct stub_config *cfg)
{
	u64 faults = SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS);
	u64 ours = faults | SIGNAL_BIT(SIGSYS) | SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGILL) |
		   SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(cfg->interrupt_signo);
	stack_t ss = { .ss_sp = (void *)(stack_top(0) - STUB_STACK_SIZE),
		       .ss_size = LANE_ALTSTACK_SIZE };
	u64 none = 0;

	for (int sig = 1; sig <= SIGNALS; sig++) {
		struct kernel_sigaction sa = {};

		if (ours & SIGNAL_BIT(sig)) {
			sa.handler = stub_handler;
			sa.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTORER_FLAG;
			sa.restorer = stub_handler; /* never used */
			sa.mask = ALL_SIGNALS & ~faults;
		} else {
			sa.handler = (void (*)(void))SIG_IGN;
		}
		CALL(rt_sigaction, sig, &sa, 0, sizeof(sa.mask), 0);
	}
	CALL(sigaltstack, &ss, 0, 0, 0, 0);
	CALL(rt_sigprocmask, SIG_SETMASK, &none, 0, sizeof(none), 0);
}

static void drop_privileges(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	CALL(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	CALL(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	CALL(capset, &header, data, 0, 0, 0);
	CALL(prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
}

/* When memory is short the host is to end a guest, not the kernel. */
static void volunteer_for_oom(const struct stub_config *cfg)
{
	int fd = cfg->proc_fd;
	long file;

	if (fd >= 0)
		file = CALL(openat, fd, "self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0, 0);
	else
		file = CALL(openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0,
			    0);
	if (file < 0)
		return;
	CALL(write, file, "500", 3, 0, 0);
	CALL(close, file, 0, 0, 0, 0);
}

static void die_with_kernel(const struct stub_config *cfg)
{
	CALL(prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (CALL(getppid, 0, 0, 0, 0, 0) != cfg->kernel_pid)
		quit(1);
}

/* A fresh stub, cloned from the zygote: make it ready for its first event. */
static _Noreturn void fresh_stub(const struct stub_config *cfg, int lane_fd)
{
	struct lane *lane = lane_of_slot(0);
	u64 one = 1;
	long ret;

	die_with_kernel(cfg);
	ret = call(__NR_mmap, (u64)lane, LANE_FILE_SIZE, RW, MAP_SHARED | MAP_FIXED, (u64)lane_fd,
		   0);
	if (ret < 0)
		quit(2);
	ret = CALL(madvise, lane, LANE_FILE_SIZE, MADV_DONTFORK, 0, 0);
	if (ret < 0)
		quit(2);
	*private_of_slot(0) = (struct lane_private){ .gate_open = 1 };
	ret = CALL(seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
		   &cfg->f0_prog, 0, 0);
	lane->hello.listener = (s32)ret;
	lane->hello.error = ret < 0 ? (s32)ret : 0;
	__atomic_store_n(&lane->hello.tid, (s32)CALL(gettid, 0, 0, 0, 0, 0), __ATOMIC_RELEASE);
	CALL(write, cfg->doorbell_fd, &one, sizeof(one), 0, 0);
	if (ret < 0)
		quit(3);
	lane_enter();
}

static _Noreturn void serve_mailbox(const struct stub_config *cfg, struct mailbox *mail)
{
	u32 done = 0;
	u64 one = 1;

	for (;;) {
		u32 request = __atomic_load_n(&mail->request, __ATOMIC_ACQUIRE);
		int lane_fd = mail->lane_fd;
		long pid;

		if (request == done) {
			CALL(futex, &mail->request, FUTEX_WAIT, done, 0, 0);
			continue;
		}
		pid = CALL(clone, CLONE_FILES | CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
		if (pid == 0)
			fresh_stub(cfg, lane_fd);
		mail->pid = (s32)pid;
		done = request;
		__atomic_store_n(&mail->served, done, __ATOMIC_RELEASE);
		if (pid < 0)
			CALL(write, cfg->doorbell_fd, &one, sizeof(one), 0, 0);
	}
}

void zygote_main(void)
{
	const struct stub_config *cfg = stub_config();
	struct mailbox *mail = (struct mailbox *)(stub_base() + STUB_MAIL_OFFSET);
	u64 all = ALL_SIGNALS, one = 1;
	long ret;
	int err;

	CALL(rt_sigprocmask, SIG_SETMASK, &all, 0, sizeof(all), 0);
	if (cfg->rseq_area)
		CALL(rseq, cfg->rseq_area, cfg->rseq_size, RSEQ_UNREGISTER, cfg->rseq_signature, 0);
	CALL(set_robust_list, 0, 24, 0, 0, 0);
	CALL(arch_prctl, ARCH_SHSTK_DISABLE, ARCH_SHSTK_SHSTK, 0, 0, 0);
	die_with_kernel(cfg);
	err = clear_address_space(cfg);
	CALL(setsid, 0, 0, 0, 0, 0);
	set_limit(RLIMIT_CORE, 1, 1);
	raise_limit(RLIMIT_STACK);
	raise_limit(RLIMIT_DATA);
	raise_limit(RLIMIT_AS);
	drop_privileges();
	set_signals(cfg);
	volunteer_for_oom(cfg);
	ret = call(__NR_mmap, (u64)mail, PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, (u64)cfg->mail_fd,
		   0);
	if (ret < 0)
		quit(4);
	CALL(madvise, mail, PAGE_SIZE, MADV_DONTFORK, 0, 0);
	/* Before the second filter, which each stub adds: building this one takes longer than all
	 * the rest of a stub. */
	if (!err)
		err = (int)CALL(seccomp, SECCOMP_SET_MODE_FILTER, 0, &cfg->f1_prog, 0, 0);
	mail->error = err;
	CALL(write, cfg->doorbell_fd, &one, sizeof(one), 0, 0);
	if (err)
		quit(5);
	serve_mailbox(cfg, mail);
}
