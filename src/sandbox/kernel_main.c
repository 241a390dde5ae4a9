/*
 * The kernel process: boot, the sandbox's life, the end.
 *
 * Boot order matters: namespaces and the empty root, no privileges, then the arena and the platform
 * (whose zygote is cloned from here and must come before any thread), the kernel's own filter last,
 * and only then the workers. All after that runs in fibers: a root fiber creates the first guest
 * process and waits for it.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "arena/arena.h"
#include "base/log.h"
#include "cred/cred.h"
#include "host/budget.h"
#include "host/host.h"
#include "ipc/root.h"
#include "net/net.h"
#include "kernel/task.h"
#include "loader/loader.h"
#include "platform/platform.h"
#include "sandbox/audit.h"
#include "sandbox/control.h"
#include "sandbox/guest_root.h"
#include "sandbox/isolate.h"
#include "sandbox/sandbox.h"
#include "sched/fiber.h"
#include "sched/sched.h"
#include "syscall/syscall.h"
#include "tty/tty.h"
#include "vfs/locks.h"
#include "vfs/path.h"
#include "time/step.h"

/* With --memory the kernel's objects, among them small files and what is in pipes and sockets, may
 * have as much again as the guest, and this. */
#define ARENA_EXTRA (16ULL << 20)

struct kernel_process {
	const struct sandbox_config *config;
	struct isolation iso;
	struct poll_source control; /* its descriptor is the control socket */
	struct fiber *root_fiber;
	_Atomic u64
		early_signals; /* [a] relayed before there was a process: bit n - 1 for signal n */
	struct console *_Atomic console; /* [a] null: the guest's streams are the caller's */
	int strace_fd; /* -1: no tracing */
	int exit_code; /* of this process; the command reads the guest's from the control socket */
};

static void set_size(struct kernel_process *k, const struct terminal_size *size)
{
	const struct console_size s = { size->row, size->col, size->xpixel, size->ypixel };
	struct console *console = atomic_load(&k->console);

	if (console)
		console_resize(console, &s);
}

/* The control socket has something: signals to relay, or the command is gone. Runs on the poller.
 */
static void control_ready(struct poll_source *s, u32 events)
{
	struct control_message msg;
	bool group;

	(void)events;
	if (control_receive(s->fd, &msg) <= 0) {
		/* Nobody waits for us: end as SIGKILL would. */
		host_exit(EXIT_OWN_FAILURE);
	}
	if (msg.type == CONTROL_SIZE) {
		set_size(container_of(s, struct kernel_process, control), &msg.size);
		return;
	}
	if (msg.type == CONTROL_KILL)
		msg = (struct control_message){ .type = CONTROL_SIGNAL, .value = SIGKILL };
	group = msg.type == CONTROL_SIGNAL_GROUP;
	if ((msg.type != CONTROL_SIGNAL && !group) || msg.value < 1 || msg.value > GUEST_NSIG)
		return;
	/* The death of the first process ends all others. */
	if (kernel_signal_init((int)msg.value, group) == -ESRCH)
		atomic_fetch_or(&container_of(s, struct kernel_process, control)->early_signals,
				SIGMASK(msg.value));
}

static void fail(struct kernel_process *k, int exit_status, const char *what, int error)
{
	char text[248];

	snprintf(text, sizeof(text), "%s: %s%s", what, strerror(-error),
		 error == -ENOSYS ? "; donjon doctor tells what this host lacks" : "");
	(void)!control_send(k->control.fd, CONTROL_FAILED, (u32)exit_status, text);
	k->exit_code = EXIT_OWN_FAILURE;
}

static int exit_status_of_exec_error(int error)
{
	switch (error) {
	case -ENOENT:
	case -ENOTDIR:
		return EXIT_NOT_FOUND;
	case -EACCES:
	case -ENOEXEC:
	case -EPERM:
	case -EISDIR:
	case -ELIBBAD:
	case -ETXTBSY:
	case -ELOOP:
	case -EINVAL:
	case -ENAMETOOLONG:
	case -E2BIG:
		return EXIT_NOT_EXECUTABLE;
	default:
		return EXIT_OWN_FAILURE;
	}
}

/* The first process runs: give it the signals that came too early, and wait for the end. */
static void see_through(struct kernel_process *k)
{
	struct console *console = atomic_load(&k->console);
	u64 early = atomic_exchange(&k->early_signals, 0);
	int status, ret;

	for (int sig = 1; sig <= GUEST_NSIG; sig++)
		if (early & SIGMASK(sig))
			(void)!kernel_signal_init(sig, false);
	while ((ret = kernel_wait(NO_DEADLINE, &status)) > 0) {
		if (console)
			console_flush(console);
		(void)!control_send(k->control.fd, CONTROL_STOPPED, (u32)WSTOPSIG(status), NULL);
	}
	if (console)
		console_close(console);
	oom_stop();
	if (ret)
		fail(k, EXIT_OWN_FAILURE, "cannot wait for the guest", ret);
	else if (audit_end(k->iso.proc_fd))
		fail(k, EXIT_OWN_FAILURE, "objects of the kernel at its end", -EUCLEAN);
	else
		(void)!control_send(k->control.fd, CONTROL_EXITED, (u32)status, NULL);
}

static void run_guest(struct kernel_process *k, const struct cred *cred)
{
	const struct sandbox_config *config = k->config;
	char program[PATH_MAX_GUEST], workdir[PATH_MAX_GUEST];
	struct guest_root root;
	struct process_args args = { .file = program,
				     .argv = config->argv,
				     .envp = config->envp,
				     .workdir = workdir,
				     .cred = cred,
				     .umask = config->caller.umask,
				     .ignored = config->caller.ignored,
				     .blocked = config->caller.blocked };
	const char *what;
	int ret = guest_root_create(config, &k->iso, cred, &root, &what);

	if (ret) {
		fail(k, EXIT_OWN_FAILURE, what, ret);
		return;
	}
	ret = guest_root_find_workdir(config, &root, cred, workdir);
	if (ret) {
		fail(k, EXIT_OWN_FAILURE, config->workdir, ret);
		return;
	}
	args.mount_ns = root.mount_ns;
	args.files = root.files;
	if (root.console)
		args.tty = console_ctty(root.console);
	atomic_store(&k->console, root.console);
	ret = guest_root_find_program(config, &root, cred, program);
	if (!ret)
		ret = oom_start();
	if (!ret)
		ret = kernel_create_init(&args);
	if (ret && platform_refusal())
		fail(k, EXIT_OWN_FAILURE, "the host refuses a process; try donjon doctor",
		     platform_refusal());
	else if (ret)
		fail(k, exit_status_of_exec_error(ret), config->argv[0], ret);
	else
		see_through(k);
}

static void create_guest(struct kernel_process *k)
{
	const struct sandbox_config *config = k->config;
	const struct caller *caller = &config->caller;
	struct user_ns *ns = kernel_get()->user_ns;
	struct cred *cred;
	int ret;

	if (config->user_given)
		ret = cred_create(ns, config->uid, config->gid, NULL, 0, &cred);
	else
		ret = cred_create(ns, caller->uid, caller->gid, caller->groups, caller->group_count,
				  &cred);

	if (ret) {
		fail(k, EXIT_OWN_FAILURE, "cannot make credentials", ret);
		return;
	}
	run_guest(k, cred);
	cred_put(cred);
}

static void root_fiber(void *arg)
{
	struct kernel_process *k = arg;
	int ret = platform_start();

	if (!ret)
		ret = poller_add(&k->control, EPOLLIN);
	if (ret)
		fail(k, EXIT_OWN_FAILURE, "cannot start the platform", ret);
	else
		create_guest(k);
	/* The whole process goes, and with it its pid namespace: no need to take anything down one
	 * by one. */
	platform_shutdown();
	host_exit(k->exit_code);
}

static unsigned int worker_count(void)
{
	u8 mask[128] = {};
	unsigned int cpus = 0;
	int n = host_sched_getaffinity(0, sizeof(mask), mask);

	for (int i = 0; i < n; i++)
		cpus += (unsigned int)__builtin_popcount(mask[i]);
	return max(1u, min(cpus, 4u));
}

/* Everything up to the first fiber. 0, or an error and the step that failed. */
static int boot(struct kernel_process *k, u64 flags, const char **what)
{
	const struct sandbox_config *config = k->config;
	struct pf_config pf = { .spare_spaces = 1, .virtual_cpus = config->cpus != 0 };
	struct kernel_args args = { .cpus = config->cpus,
				    .hostname = config->hostname,
				    .memory = config->memory };
	int ret;

	ret = isolate_enter(flags, config, &k->iso, what);
	if (ret)
		return ret;
	*what = "drop privileges";
	ret = isolate_drop_privileges();
	if (ret)
		return ret;
	*what = "ask to die with the command";
	ret = host_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (ret)
		return ret;
	if (config->memory)
		host_memory_set_budget(config->memory);
	*what = "create the arena";
	ret = arena_create();
	if (!ret && config->memory)
		arena_set_limit(config->memory + ARENA_EXTRA);
	if (!ret)
		ret = host_fault_init();
	if (!ret)
		ret = kernel_create(&args);
	if (ret)
		return ret;
	*what = "start the scheduler";
	ret = sched_init(worker_count());
	if (ret)
		return ret;
	*what = "boot the platform";
	pf.proc_fd = k->iso.proc_fd;
	ret = platform_boot(&pf);
	if (ret)
		return ret;
	*what = "build the vdso";
	ret = vdso_init(config->cpus != 0);
	if (ret)
		return ret;
	*what = "start tracing";
	ret = syscall_init(k->strace_fd, config->strace_filtered ? &config->strace_set : NULL);
	if (!ret)
		ret = clock_steps_init();
	if (!ret)
		ret = ipc_init();
	if (!ret)
		ret = net_init();
	if (!ret)
		ret = locks_init();
	if (ret)
		return ret;
	*what = "install the kernel's own filter";
	return isolate_seccomp(k->iso.writes);
}

/* Opened while the host's root can still be reached. */
static int open_log(const char *file, int flags)
{
	return file ? host_openat(AT_FDCWD, file, O_WRONLY | O_CREAT | flags, 0644) :
		      host_fcntl(2, F_DUPFD_CLOEXEC, 3);
}

static int set_up_logs(struct kernel_process *k, const char **what)
{
	const struct sandbox_config *config = k->config;
	int fd;

	*what = config->log_file ? config->log_file : "open the log";
	fd = open_log(config->log_file, O_APPEND);
	if (fd < 0)
		return fd;
	log_setup(fd, config->log_level, host_write);
	k->strace_fd = -1;
	if (!config->strace)
		return 0;
	*what = config->strace_file ? config->strace_file : "open the trace";
	k->strace_fd = open_log(config->strace_file, O_TRUNC);
	return min(k->strace_fd, 0);
}

_Noreturn void kernel_process_main(const struct sandbox_config *config, int control, u64 flags)
{
	struct kernel_process process = {}, *k = &process; /* this frame is never left */
	const char *what = "start";
	int ret;

	k->config = config;
	k->control.fd = control;
	if (config->terminal.present)
		host_close(config->terminal.command_fd);
	k->control.ready = control_ready;
	host_prctl(PR_SET_NAME, (unsigned long)"donjon-kernel", 0, 0, 0);
	ret = set_up_logs(k, &what);
	if (!ret)
		ret = boot(k, flags, &what);
	if (!ret) {
		k->root_fiber = fiber_create(root_fiber, k);
		ret = k->root_fiber ? 0 : -ENOMEM;
	}
	if (ret) {
		fail(k, EXIT_OWN_FAILURE, what, ret);
		host_exit(EXIT_OWN_FAILURE);
	}
	fiber_start(k->root_fiber);
	sched_run();
	host_exit(EXIT_OWN_FAILURE);
}
