/* Signals: actions, masks, sending, waiting. */

#include <fcntl.h>
#include <string.h>
#include <sys/signalfd.h>

#include "kernel/pidfd.h"
#include "kernel/signalfd.h"
#include "procfs/procfs.h"
#include "syscall/util.h"
#include "syscall_protos.h"

#define UNBLOCKABLE (SIGMASK(SIGKILL) | SIGMASK(SIGSTOP))

static bool signal_valid(int sig)
{
	return sig >= 0 && sig <= GUEST_NSIG;
}

/* ---- actions and masks ---- */

long sys_rt_sigaction(struct task *t, int sig, struct uaddr act, struct uaddr old, u64 sigsetsize)
{
	struct sigaction_k new, prev;
	int ret;

	if (sigsetsize != sizeof(sigset64))
		return -EINVAL;
	if (!uaddr_is_null(act)) {
		ret = copy_in(&t->subject, &new, act, sizeof(new));
		if (ret)
			return ret;
	}
	t->actions_used = true;
	ret = signal_action(t, sig, uaddr_is_null(act) ? NULL : &new, &prev);
	if (ret || uaddr_is_null(old))
		return ret;
	return copy_out_late(&t->subject, old, &prev, sizeof(prev));
}

long sys_rt_sigprocmask(struct task *t, int how, struct uaddr set, struct uaddr old, u64 sigsetsize)
{
	sigset64 before = t->blocked, mask;
	int ret;

	if (sigsetsize != sizeof(sigset64))
		return -EINVAL;
	if (!uaddr_is_null(set)) {
		ret = copy_in(&t->subject, &mask, set, sizeof(mask));
		if (ret)
			return ret;
		mask &= ~UNBLOCKABLE;
		switch (how) {
		case SIG_BLOCK:
			mask |= before;
			break;
		case SIG_UNBLOCK:
			mask = before & ~mask;
			break;
		case SIG_SETMASK:
			break;
		default:
			return -EINVAL;
		}
		if (mask != before)
			signal_set_blocked(t, mask);
	}
	if (uaddr_is_null(old))
		return 0;
	return copy_out_late(&t->subject, old, &before, sizeof(before));
}

long sys_rt_sigpending(struct task *t, struct uaddr set, u64 sigsetsize)
{
	sigset64 pending;

	if (sigsetsize > sizeof(sigset64))
		return -EINVAL;
	pending = signal_pending_set(t) & t->blocked;
	return copy_out_late(&t->subject, set, &pending, sigsetsize);
}

long sys_sigaltstack(struct task *t, struct uaddr ss, struct uaddr old)
{
	return signal_altstack(t, ss, old);
}

long sys_rt_sigreturn(struct task *t)
{
	return signal_return(t);
}

/* ---- waiting ---- */

/* Park until interrupted; the result of a call that only a signal ends. */
static long wait_for_signal(struct task *t)
{
	while (!fiber_interrupted(t->subject.fiber))
		if (fiber_park_interruptible(NO_DEADLINE) == -EINTR)
			break;
	return -ERESTARTNOHAND;
}

long sys_pause(struct task *t)
{
	return wait_for_signal(t);
}

long sys_rt_sigsuspend(struct task *t, struct uaddr set, u64 sigsetsize)
{
	sigset64 mask;
	int ret = fetch_sigset(t, set, sigsetsize, &mask);

	if (ret)
		return ret;
	temporary_mask_begin(t, mask);
	return wait_for_signal(t);
}

long sys_rt_sigtimedwait(struct task *t, struct uaddr set, struct uaddr uinfo, struct uaddr timeout,
			 u64 sigsetsize)
{
	sigset64 wanted;
	siginfo_t info;
	s64 deadline = NO_DEADLINE, ns;
	int ret = fetch_sigset(t, set, sigsetsize, &wanted);

	if (ret)
		return ret;
	if (!uaddr_is_null(timeout)) {
		ret = fetch_timespec(t, timeout, &ns);
		if (ret)
			return ret;
		deadline = deadline_in(ns);
	}
	ret = signal_timedwait(t, wanted & ~UNBLOCKABLE, deadline, &info);
	if (ret > 0 && !uaddr_is_null(uinfo)) {
		int err = copy_out(&t->subject, uinfo, &info, sizeof(info));

		if (err)
			return err;
	}
	return task_restart(ret, ERESTARTNEVER);
}

/* ---- sending ---- */

static long kill_process(struct task *t, u32 pid, const siginfo_t *info)
{
	struct task *target = process_lookup_get(t, pid);
	long ret;

	if (!target)
		return -ESRCH;
	ret = signal_permission(t, target, info->si_signo);
	if (!ret)
		ret = signal_send_group(target->tg, info);
	task_put(target);
	return ret;
}

long sys_kill(struct task *t, int pid, int sig)
{
	siginfo_t info;

	if (!signal_valid(sig))
		return -EINVAL;
	if (pid == INT32_MIN)
		return -ESRCH;
	siginfo_user(&info, sig, SI_USER, t, t);
	if (pid > 0)
		return kill_process(t, (u32)pid, &info);
	return pid == -1 ? signal_kill_all(t, &info) : signal_kill_pgrp(t, (u32)-pid, &info);
}

/* Send to a thread; tgid 0: whatever process it is of. */
static long send_thread(struct task *t, u32 tgid, u32 tid, const siginfo_t *info)
{
	struct task *target = task_lookup_get(t, tid);
	long ret;

	if (!target)
		return -ESRCH;
	if (tgid && pid_nr(target->tg->pid, task_pid_ns(t)) != tgid)
		ret = -ESRCH;
	else
		ret = signal_permission(t, target, info->si_signo);
	if (!ret)
		ret = signal_send_task(target, info);
	task_put(target);
	return ret;
}

static long do_tkill(struct task *t, u32 tgid, int tid, int sig)
{
	siginfo_t info;

	if (!signal_valid(sig))
		return -EINVAL;
	siginfo_user(&info, sig, SI_TKILL, t, t);
	return send_thread(t, tgid, (u32)tid, &info);
}

long sys_tgkill(struct task *t, int tgid, int tid, int sig)
{
	if (tgid <= 0 || tid <= 0)
		return -EINVAL;
	return do_tkill(t, (u32)tgid, tid, sig);
}

long sys_tkill(struct task *t, int tid, int sig)
{
	if (tid <= 0)
		return -EINVAL;
	return do_tkill(t, 0, tid, sig);
}

/* A siginfo of the guest's own making: it may not look as if from the kernel or from kill, but to
 * oneself. */
static int fetch_siginfo(struct task *t, struct uaddr addr, int sig, bool self, siginfo_t *ret)
{
	int err;

	if (!signal_valid(sig))
		return -EINVAL;
	err = copy_in(&t->subject, ret, addr, sizeof(*ret));
	if (err)
		return err;
	ret->si_signo = sig;
	if ((ret->si_code >= 0 || ret->si_code == SI_TKILL) && !self)
		return -EPERM;
	return 0;
}

long sys_rt_sigqueueinfo(struct task *t, int pid, int sig, struct uaddr uinfo)
{
	siginfo_t info;
	int ret = fetch_siginfo(t, uinfo, sig, pid == (int)task_tgid(t), &info);

	if (ret)
		return ret;
	return pid > 0 ? kill_process(t, (u32)pid, &info) : -ESRCH;
}

long sys_rt_tgsigqueueinfo(struct task *t, int tgid, int tid, int sig, struct uaddr uinfo)
{
	siginfo_t info;
	int ret;

	if (tgid <= 0 || tid <= 0)
		return -EINVAL;
	ret = fetch_siginfo(t, uinfo, sig, tid == (int)task_tid(t), &info);
	return ret ? ret : send_thread(t, (u32)tgid, (u32)tid, &info);
}

/* pidfd, or a descriptor of /proc/PID: the siginfo must be that of kill, or what rt_sigqueueinfo
 * would take, for the same signal. */
long sys_pidfd_send_signal(struct task *t, int pidfd, int sig, struct uaddr uinfo, u32 flags)
{
	struct file *f;
	struct task *target;
	struct pid *pid;
	siginfo_t info;
	long ret = 0;

	if (flags)
		return -EINVAL;
	f = file_lookup(t, pidfd);
	if (!f)
		return -EBADF;
	pid = pidfd_pid(f);
	if (!pid)
		pid = procfs_pid(f);
	target = pid_leader_get(pid);
	if (!pid) {
		ret = -EBADF;
	} else if (uaddr_is_null(uinfo)) {
		siginfo_user(&info, sig, SI_USER, t, t);
	} else {
		ret = copy_in(&t->subject, &info, uinfo, sizeof(info));
		if (!ret && info.si_signo != sig)
			ret = -EINVAL;
		if (!ret && pid != t->pid && (info.si_code >= 0 || info.si_code == SI_TKILL))
			ret = -EPERM;
	}
	if (!ret && !target)
		ret = -ESRCH;
	if (!ret && !signal_valid(sig))
		ret = -EINVAL;
	if (!ret)
		ret = signal_permission(t, target, sig);
	if (!ret)
		ret = signal_send_group(target->tg, &info);
	task_put(target);
	file_put(f);
	return ret;
}

/* ---- signalfd ---- */

long sys_signalfd4(struct task *t, int fd, struct uaddr umask, u64 size, int flags)
{
	struct file *f;
	sigset64 mask;
	int err = fetch_sigset(t, umask, size, &mask);

	if (err)
		return err;
	if (flags & ~(SFD_CLOEXEC | SFD_NONBLOCK))
		return -EINVAL;
	if (fd == -1) {
		err = signalfd_create_file(t, mask, (u32)flags & O_NONBLOCK, &f);
		return err ? err : file_install(t, f, flags);
	}
	f = file_lookup(t, fd);
	if (!f)
		return -EBADF;
	err = signalfd_set_mask(f, mask);
	file_put(f);
	return err ? err : fd;
}

long sys_signalfd(struct task *t, int fd, struct uaddr mask, u64 size)
{
	return sys_signalfd4(t, fd, mask, size, 0);
}
