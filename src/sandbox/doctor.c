/*
 * donjon doctor: what a sandbox needs of its host, tried out rather than guessed from version
 * numbers.
 */

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "host/host.h"
#include "sandbox/isolate.h"
#include "sandbox/sandbox.h"
#include "sandbox/say.h"

#ifndef HWCAP2_FSGSBASE
#define HWCAP2_FSGSBASE 2
#endif

enum need { NEEDED, WANTED };

struct report {
	bool missing; /* something needed is */
};

static void line(struct report *r, enum need need, bool ok, const char *what, const char *if_not)
{
	say(1, "%-8s %s%s%s\n",
	    ok		   ? "ok" :
	    need == NEEDED ? "MISSING" :
			     "absent",
	    what, ok ? "" : ": ", ok ? "" : if_not);
	if (!ok && need == NEEDED)
		r->missing = true;
}

/* Fork a child that tries fn and says by its exit status whether it worked. */
static bool in_child(u64 flags, int (*fn)(void))
{
	siginfo_t info = {};
	long pid = host_call(SYS_clone, (long)flags | SIGCHLD, 0, 0, 0, 0, 0);

	if (pid < 0)
		return false;
	if (pid == 0)
		host_exit(fn() ? 1 : 0);
	return !host_waitid(P_PID, (int)pid, &info, WEXITED) && info.si_code == CLD_EXITED &&
	       !info.si_status;
}

static int nothing(void)
{
	return 0;
}

static int try_isolation(void)
{
	static const struct sandbox_config config;
	struct isolation iso;
	const char *what;

	return isolate_enter(CLONE_NEWPID | CLONE_NEWNS, &config, &iso, &what);
}

static int try_own_memory(void)
{
	u64 from = 42, to = 0;
	struct iovec local = { &to, sizeof(to) }, remote = { &from, sizeof(from) };

	return host_process_vm_readv(host_getpid(), &local, 1, &remote, 1) == sizeof(to) ? 0 : -1;
}

/* One thread can have one listener: a sandbox around us may have taken the place. */
static int try_listener(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &allow };

	return host_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	       host_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog) < 0;
}

static bool has_openat2(void)
{
	int fd = host_openat2(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0, 0);

	if (fd >= 0)
		host_close(fd);
	return fd >= 0;
}

static bool has_memfd(void)
{
	int fd = host_memfd_create("doctor", 2 /* MFD_ALLOW_SEALING */);

	if (fd >= 0)
		host_close(fd);
	return fd >= 0;
}

int sandbox_doctor(void)
{
	struct report r = {};
	struct utsname name;
	bool privileged = isolate_privileged();
	u64 flags = isolate_clone_flags(privileged);

	/* Or no child could be waited for. */
	(void)!host_sigaction(SIGCHLD, NULL, 0, 0);
	host_call(SYS_uname, (long)&name, 0, 0, 0, 0, 0);
	say(1, "host: Linux %s, %s, %s\n", name.release, name.machine,
	    privileged ? "privileged" : "unprivileged");
	line(&r, NEEDED, !strcmp(name.machine, "x86_64"), "x86-64",
	     "Donjon runs on x86-64 hosts only");
	line(&r, NEEDED, in_child(0, try_listener), "seccomp user notification",
	     "needs Linux 5.5 with CONFIG_SECCOMP_FILTER, and no other listener around us");
	line(&r, NEEDED, has_openat2(), "openat2", "needs Linux 5.6");
	line(&r, NEEDED, has_memfd(), "memfd", "needs CONFIG_MEMFD_CREATE");
	line(&r, NEEDED, getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE, "FSGSBASE",
	     "needs Linux 5.9 and a CPU with FSGSBASE");
	line(&r, WANTED, in_child(flags, nothing), "pid and mount namespaces",
	     "kill -9 of the kernel process may leave stubs behind; allow user namespaces (user.max_user_namespaces)");
	if (privileged)
		line(&r, WANTED, in_child(flags, try_isolation), "own root and procfs",
		     "the host's root stays in reach");
	line(&r, WANTED, in_child(0, try_own_memory), "process_vm_readv",
	     "other tasks' memory is read more slowly");
	say(1, "This host can%s run sandboxes.\n", r.missing ? "not" : "");
	return r.missing ? 1 : 0;
}
