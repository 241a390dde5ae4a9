/* Processes and threads: creation, exec, exit, wait, ids, and the host's name. */

#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "arena/arena.h"
#include "kernel/pidfd.h"
#include "kernel/reads.h"
#include "loader/loader.h"
#include "procfs/ns.h"
#include "syscall/strace.h"
#include "syscall/util.h"
#include "syscall_protos.h"

#include <linux/capability.h>

#define CLONE_ARGS_MIN 64 /* struct clone_args as of Linux 5.3 */
#define ARG_STRING_MAX 131072 /* one argument of execve, NUL included */
#define SIGNAL_OF_CLONE 0xffUL /* CSIGNAL */

/* ---- creation ---- */

long sys_fork(struct task *t)
{
	return task_clone(t, &(struct clone_args_k){ .exit_signal = SIGCHLD });
}

long sys_vfork(struct task *t)
{
	return task_clone(t, &(struct clone_args_k){ .flags = CLONE_VFORK | CLONE_VM,
						     .exit_signal = SIGCHLD });
}

long sys_clone(struct task *t, u64 flags, u64 stack, struct uaddr ptid, struct uaddr ctid, u64 tls)
{
	struct clone_args_k args = {
		.flags = flags & 0xffff'ffffUL & ~SIGNAL_OF_CLONE,
		.exit_signal = flags & SIGNAL_OF_CLONE,
		.parent_tid = ptid.v,
		.child_tid = ctid.v,
		.stack = stack,
		.tls = tls,
	};

	if (flags & CLONE_PIDFD) {
		if (flags & CLONE_PARENT_SETTID)
			return -EINVAL;
		args.pidfd = ptid.v;
	}
	return task_clone(t, &args);
}

static long clone3_decode(const struct clone_args *in, struct clone_args_k *ret)
{
	if (in->set_tid_size)
		return in->set_tid ? -EPERM : -EINVAL;
	if (in->set_tid)
		return -EINVAL;
	if (in->exit_signal & ~SIGNAL_OF_CLONE || in->exit_signal > GUEST_NSIG)
		return -EINVAL;
	if (in->flags & (CLONE_DETACHED | (SIGNAL_OF_CLONE & ~(u64)CLONE_NEWTIME)))
		return -EINVAL;
	if (in->flags & ~(0xffff'ffffUL | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP))
		return -EINVAL;
	if (in->flags & (CLONE_THREAD | CLONE_PARENT) && in->exit_signal)
		return -EINVAL;
	if (!in->stack != !in->stack_size || !uaddr_ok(UADDR(in->stack), in->stack_size))
		return -EINVAL;
	*ret = (struct clone_args_k){
		.flags = in->flags,
		.pidfd = in->pidfd,
		.child_tid = in->child_tid,
		.parent_tid = in->parent_tid,
		.exit_signal = in->exit_signal,
		.stack = in->stack,
		.stack_size = in->stack_size,
		.tls = in->tls,
		.cgroup = in->cgroup,
		.clone3 = true,
	};
	return 0;
}

long sys_clone3(struct task *t, struct uaddr uargs, u64 size)
{
	struct clone_args in;
	struct clone_args_k args;
	long ret;

	if (size > PAGE_SIZE)
		return -E2BIG;
	if (size < CLONE_ARGS_MIN)
		return -EINVAL;
	ret = fetch_extensible(t, &in, sizeof(in), uargs, size);
	if (ret)
		return ret;
	ret = clone3_decode(&in, &args);
	return ret ? ret : task_clone(t, &args);
}

/* ---- exec ---- */

/* Pages of guest memory that have been fetched: an environment's strings mostly lie in few of them,
 * but in no order. */
struct string_pages {
	unsigned int next; /* to be replaced */
	u64 start[8]; /* of what is there of a page; 0: nothing */
	size_t size[8];
	char data[8][PAGE_SIZE];
};

static unsigned int string_page(struct task *t, struct string_pages *p, u64 addr)
{
	u64 start = page_down(addr);
	unsigned int i = 0;
	ssize_t got;

	while (i < ARRAY_SIZE(p->start) && (p->start[i] > addr || addr - p->start[i] >= p->size[i]))
		i++;
	if (i < ARRAY_SIZE(p->start))
		return i;
	i = p->next++ % ARRAY_SIZE(p->start);
	got = copy_in_partial(&t->subject, p->data[i], UADDR(start), PAGE_SIZE);
	p->start[i] = start;
	p->size[i] = got > 0 ? (size_t)got : 0;
	return i;
}

/* The string at addr if it ends in the same page, else null. */
static const char *string_in_page(struct task *t, struct string_pages *p, u64 addr, size_t *ret_len)
{
	unsigned int i = string_page(t, p, addr);
	size_t skip = addr - p->start[i], room;

	if (skip >= p->size[i])
		return NULL;
	room = p->size[i] - skip;
	*ret_len = strnlen(p->data[i] + skip, room);
	return *ret_len < room ? p->data[i] + skip : NULL;
}

/* Append the string at addr. */
static int exec_add(struct task *t, struct exec_strings *x, struct string_pages *p,
		    struct uaddr addr)
{
	size_t size;
	const char *string = string_in_page(t, p, addr.v, &size);
	ssize_t len;
	char *large;
	int ret;

	if (string)
		return exec_strings_add(x, string, size);
	large = arena_alloc(ARG_STRING_MAX);
	if (!large)
		return -ENOMEM;
	len = copy_in_string(&t->subject, large, addr, ARG_STRING_MAX);
	if (len >= 0)
		ret = exec_strings_add(x, large, (size_t)len);
	else
		ret = len == -ENAMETOOLONG ? -E2BIG : (int)len;
	arena_free(large);
	return ret;
}

/* Append all strings of a null-terminated array of the guest, and count them. */
static int exec_add_all(struct task *t, struct exec_strings *x, struct string_pages *pages,
			struct uaddr array, u32 *ret_count)
{
	UNINIT u64 ptrs[64];
	u32 count = 0;

	for (;;) {
		ssize_t got;

		if (uaddr_is_null(array))
			return 0;
		got = copy_in_partial(&t->subject, ptrs, uaddr_add(array, count * 8UL),
				      sizeof(ptrs));
		if (got < 8)
			return got < 0 ? (int)got : -EFAULT;
		for (size_t i = 0; i < (size_t)got / 8; i++) {
			int err;

			if (!ptrs[i]) {
				*ret_count = count;
				return 0;
			}
			err = exec_add(t, x, pages, UADDR(ptrs[i]));
			if (err)
				return err;
			count++;
		}
		if (fiber_killed(t->subject.fiber))
			return -EINTR;
	}
}

static int fetch_strings(struct task *t, struct exec_strings *x, struct uaddr argv,
			 struct uaddr envp)
{
	struct string_pages *pages = malloc(sizeof(*pages));
	int err;

	if (!pages)
		return -ENOMEM;
	pages->next = 0;
	memset(pages->start, 0, sizeof(pages->start));
	memset(pages->size, 0, sizeof(pages->size));
	err = exec_add_all(t, x, pages, argv, &x->argc);
	if (!err && !x->argc) {
		/* A program never sees an empty argv (Linux 5.18). */
		err = exec_strings_add(x, "", 0);
		x->argc = 1;
	}
	if (!err)
		err = exec_add_all(t, x, pages, envp, &x->envc);
	free(pages);
	return err;
}

static long do_execve(struct task *t, int dirfd, struct uaddr upath, struct uaddr argv,
		      struct uaddr envp, int flags)
{
	UNINIT char path[PATH_MAX_GUEST];
	struct exec_strings strings;
	int err;

	if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	err = fetch_path(t, upath, path);
	if (err)
		return err;
	strace_entered(t, t->syscall_nr);
	exec_strings_init(&strings);
	err = fetch_strings(t, &strings, argv, envp);
	if (err) {
		exec_strings_fini(&strings);
		return task_restart(err, ERESTARTNOINTR);
	}
	return task_execve(t, dirfd, path, &strings, flags);
}

long sys_execve(struct task *t, struct uaddr path, struct uaddr argv, struct uaddr envp)
{
	return do_execve(t, AT_FDCWD, path, argv, envp, 0);
}

long sys_execveat(struct task *t, int dirfd, struct uaddr path, struct uaddr argv,
		  struct uaddr envp, int flags)
{
	return do_execve(t, dirfd, path, argv, envp, flags);
}

/* ---- exit and wait ---- */

long sys_exit(struct task *t, int status)
{
	strace_entered(t, t->syscall_nr);
	return task_exit(t, (status & 0xff) << 8);
}

long sys_exit_group(struct task *t, int status)
{
	strace_entered(t, t->syscall_nr);
	return task_group_exit(t, (status & 0xff) << 8);
}

struct rusage rusage_from_ns(const struct rusage_ns *u)
{
	return (struct rusage){
		.ru_utime = ns_to_timeval((s64)u->utime),
		.ru_stime = ns_to_timeval((s64)u->stime),
		.ru_maxrss = (long)(u->max_rss / 1024),
		.ru_minflt = (long)u->min_flt,
		.ru_majflt = (long)u->maj_flt,
		.ru_nvcsw = (long)u->nvcsw,
		.ru_nivcsw = (long)u->nivcsw,
	};
}

static u32 own_pgid(struct task *t)
{
	u32 ret;

	tasks_lock();
	ret = pid_nr(t->tg->pgrp->pid, task_pid_ns(t));
	tasks_unlock();
	return ret;
}

long sys_wait4(struct task *t, int pid, struct uaddr status, int options, struct uaddr usage)
{
	struct wait_args args = { .options = options | WEXITED };
	struct wait_result res;
	int ret;

	if (options & ~(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | (int)__WCLONE | __WALL))
		return -EINVAL;
	if (pid == INT_MIN)
		return -ESRCH;
	if (pid == -1) {
		args.type = P_ALL;
	} else if (pid > 0) {
		args.type = P_PID;
		args.id = (u32)pid;
	} else {
		args.type = P_PGID;
		args.id = pid ? (u32)-pid : own_pgid(t);
	}
	ret = task_wait(t, &args, &res);
	if (ret <= 0)
		return ret;
	if (!uaddr_is_null(status)) {
		ret = copy_out(&t->subject, status, &res.status, sizeof(int));
		if (ret)
			return ret;
	}
	if (!uaddr_is_null(usage)) {
		struct rusage ru = rusage_from_ns(&res.usage);

		ret = copy_out(&t->subject, usage, &ru, sizeof(ru));
		if (ret)
			return ret;
	}
	return res.pid;
}

/* si_status from a wait status. */
static int siginfo_status(const struct wait_result *res)
{
	switch (res->code) {
	case CLD_EXITED:
		return WEXITSTATUS(res->status);
	case CLD_KILLED:
	case CLD_DUMPED:
		return WTERMSIG(res->status);
	case CLD_CONTINUED:
		return SIGCONT;
	default:
		return res->status >> 8;
	}
}

static long waitid_decode(struct task *t, int type, int id, int options, struct wait_args *ret)
{
	if (options & ~(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD |
			(int)__WCLONE | __WALL))
		return -EINVAL;
	if (!(options & (WEXITED | WSTOPPED | WCONTINUED)))
		return -EINVAL;
	*ret = (struct wait_args){ .type = type, .id = (u32)id, .options = options };
	switch (type) {
	case P_ALL:
		return 0;
	case P_PID:
		return id > 0 ? 0 : -EINVAL;
	case P_PGID:
		if (id < 0)
			return -EINVAL;
		if (!id)
			ret->id = own_pgid(t);
		return 0;
	case P_PIDFD:
		return id < 0 ? -EINVAL : 0; /* sys_waitid looks it up */
	default:
		return -EINVAL;
	}
}

/* task_wait, with a pidfd in args->id for P_PIDFD. */
static long waitid_wait(struct task *t, struct wait_args *args, struct wait_result *ret_result)
{
	int options = args->options;
	struct file *f;
	long ret;

	if (args->type != P_PIDFD)
		return task_wait(t, args, ret_result);
	f = file_lookup(t, (int)args->id);
	if (!f)
		return -EBADF;
	args->pid = pidfd_pid(f);
	if (!args->pid) {
		ret = -EBADF;
	} else {
		if (f->flags & O_NONBLOCK)
			args->options |= WNOHANG;
		ret = task_wait(t, args, ret_result);
		if (!ret && !(options & WNOHANG))
			ret = -EAGAIN;
	}
	file_put(f);
	return ret;
}

long sys_waitid(struct task *t, int type, int id, struct uaddr uinfo, int options,
		struct uaddr usage)
{
	struct wait_args args;
	struct wait_result res = {};
	struct {
		int signo, error, code, pad, pid;
		u32 uid;
		int status, pad2;
	} info = {};
	long ret = waitid_decode(t, type, id, options, &args);
	int err;

	if (!ret)
		ret = waitid_wait(t, &args, &res);
	if (ret > 0) {
		ret = 0;
		info.signo = SIGCHLD;
		info.code = res.code;
		info.pid = (int)res.pid;
		info.uid = res.uid;
		info.status = siginfo_status(&res);
		if (!uaddr_is_null(usage)) {
			struct rusage ru = rusage_from_ns(&res.usage);

			err = copy_out(&t->subject, usage, &ru, sizeof(ru));
			if (err)
				return err;
		}
	}
	/* Even if it failed, as Linux does. */
	err = uaddr_is_null(uinfo) ? 0 : copy_out(&t->subject, uinfo, &info, sizeof(info));
	return err ? err : ret;
}

/* ---- pidfds ---- */

long sys_pidfd_open(struct task *t, int pid, u32 flags)
{
	struct file *f;
	int err;

	if (flags & ~(u32)O_NONBLOCK)
		return -EINVAL;
	err = pidfd_open_file(t, pid, flags, &f);
	return err ? err : file_install(t, f, O_CLOEXEC);
}

/* The file at fd of another process. */
static int other_file(struct task *t, struct task *target, int fd, struct file **ret)
{
	struct fdtable *files;

	if (target != t && !task_may_access(t, target, true))
		return -EPERM;
	files = task_get_files(target);
	if (!files)
		return -ESRCH;
	*ret = fd_get(files, fd, NULL);
	fdtable_put(files);
	if (*ret && target != t) {
		task_hurry(target);
		reads_settle(target);
	}
	return *ret ? 0 : -EBADF;
}

long sys_pidfd_getfd(struct task *t, int pidfd, int fd, u32 flags)
{
	struct file *f, *got = NULL;
	struct task *target;
	int err;

	if (flags)
		return -EINVAL;
	f = file_lookup(t, pidfd);
	if (!f)
		return -EBADF;
	target = pid_leader_get(pidfd_pid(f));
	if (!pidfd_pid(f))
		err = -EBADF;
	else
		err = target ? other_file(t, target, fd, &got) : -ESRCH;
	task_put(target);
	file_put(f);
	return err ? err : file_install(t, got, O_CLOEXEC);
}

/* ---- ids ---- */

long sys_getpid(struct task *t)
{
	return task_tgid(t);
}

long sys_gettid(struct task *t)
{
	return task_tid(t);
}

long sys_getppid(struct task *t)
{
	struct task *parent;
	u32 ret = 0;

	tasks_lock();
	parent = t->tg->parent;
	if (parent)
		ret = pid_nr(parent->tg->pid, task_pid_ns(t));
	tasks_unlock();
	return ret;
}

long sys_setpgid(struct task *t, int pid, int pgid)
{
	return task_setpgid(t, (u32)pid, (u32)pgid);
}

/* The process group, or session, of a process; 0: the caller. */
static long get_group_id(struct task *t, int pid, bool session)
{
	struct pid_ns *ns = task_pid_ns(t);
	struct task *target;
	long ret = -ESRCH;

	tasks_lock();
	target = pid ? task_find(ns, (u32)pid) : t;
	if (target && target->tg->pgrp) {
		struct process_group *pg = target->tg->pgrp;

		ret = pid_nr(session ? pg->session->pid : pg->pid, ns);
	}
	tasks_unlock();
	return ret;
}

long sys_getpgid(struct task *t, int pid)
{
	return get_group_id(t, pid, false);
}

long sys_getpgrp(struct task *t)
{
	return get_group_id(t, 0, false);
}

long sys_getsid(struct task *t, int pid)
{
	return get_group_id(t, pid, true);
}

long sys_setsid(struct task *t)
{
	return task_setsid(t);
}

long sys_set_tid_address(struct task *t, struct uaddr tidptr)
{
	t->clear_child_tid = tidptr.v;
	return task_tid(t);
}

/* ---- the system's name ---- */

/* Fill in the parts of struct utsname that never change. */
static void utsname_init(struct utsname *u)
{
	static const char sysname[] = "Linux", release[] = "6.6.0",
			  version[] = "#1 SMP PREEMPT Donjon";
	static const char machine[] = "x86_64";

	memset(u, 0, sizeof(*u));
	memcpy(u->sysname, sysname, sizeof(sysname));
	memcpy(u->release, release, sizeof(release));
	memcpy(u->version, version, sizeof(version));
	memcpy(u->machine, machine, sizeof(machine));
}

long sys_uname(struct task *t, struct uaddr name)
{
	struct uts_ns *ns = t->uts_ns;
	UNINIT struct utsname u;

	utsname_init(&u);
	if ((t->personality & PER_MASK) == PER_LINUX32)
		memcpy(u.machine, "i686", sizeof("i686"));
	spin_lock(&ns->lock, &lc_cred);
	memcpy(u.nodename, ns->nodename, sizeof(u.nodename));
	memcpy(u.domainname, ns->domainname, sizeof(u.domainname));
	spin_unlock(&ns->lock, &lc_cred);
	return copy_out_late(&t->subject, name, &u, sizeof(u));
}

static long set_uts_name(struct task *t, struct uaddr name, int size, bool domain)
{
	struct uts_ns *ns = t->uts_ns;
	char buf[65] = {};
	int err;

	if (!task_capable(t, CAP_SYS_ADMIN))
		return -EPERM;
	if (size < 0 || size > 64)
		return -EINVAL;
	err = copy_in(&t->subject, buf, name, (size_t)size);
	if (err)
		return err;
	spin_lock(&ns->lock, &lc_cred);
	memcpy(domain ? ns->domainname : ns->nodename, buf, sizeof(buf));
	spin_unlock(&ns->lock, &lc_cred);
	return 0;
}

long sys_sethostname(struct task *t, struct uaddr name, int size)
{
	return set_uts_name(t, name, size, false);
}

long sys_setdomainname(struct task *t, struct uaddr name, int size)
{
	return set_uts_name(t, name, size, true);
}

/* ---- namespaces ---- */

long sys_unshare(struct task *t, int flags)
{
	return task_unshare(t, (u32)flags);
}

long sys_setns(struct task *t, int fd, int flags)
{
	struct file *f = file_lookup(t, fd);
	u32 type;
	long ret;

	if (!f)
		return -EBADF;
	type = ns_file_type(f);
	if (!type || (flags && (u32)flags != type))
		ret = -EINVAL;
	else
		ret = ns_file_join(t, f);
	file_put(f);
	return ret;
}
