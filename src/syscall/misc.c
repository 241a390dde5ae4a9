/* What fits nowhere else: prctl, arch_prctl, limits, randomness, system information, rseq. */

#include <asm/prctl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/rseq.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "host/host.h"
#include "platform/platform.h"
#include "syscall/util.h"
#include "syscall_protos.h"
#include "time/clock.h"
#include "tty/tty.h"

#ifndef ARCH_GET_XCOMP_SUPP
#define ARCH_GET_XCOMP_SUPP 0x1021
#define ARCH_GET_XCOMP_PERM 0x1022
#define ARCH_REQ_XCOMP_PERM 0x1023
#endif

/* ---- prctl ---- */

static long prctl_set_name(struct task *t, struct uaddr name)
{
	char comm[16] = {};
	ssize_t len = copy_in_string(&t->subject, comm, name, sizeof(comm));

	if (len < 0 && len != -ENAMETOOLONG)
		return len;
	comm[sizeof(comm) - 1] = '\0';
	task_lock(t);
	memcpy(t->comm, comm, sizeof(comm));
	task_unlock(t);
	return 0;
}

static long prctl_get_name(struct task *t, struct uaddr name)
{
	char comm[16];

	task_lock(t);
	memcpy(comm, t->comm, sizeof(comm));
	task_unlock(t);
	return copy_out(&t->subject, name, comm, sizeof(comm));
}

static long store_int(struct task *t, u64 addr, int value)
{
	return copy_out(&t->subject, UADDR(addr), &value, sizeof(value));
}

static long prctl_pdeathsig(struct task *t, u64 sig)
{
	if (sig > GUEST_NSIG)
		return -EINVAL;
	tasks_lock();
	t->parent_death_signal = (int)sig;
	tasks_unlock();
	return 0;
}

static long prctl_capbset_drop(struct task *t, u64 cap)
{
	struct cred *new;

	if (!task_capable(t, CAP_SETPCAP))
		return -EPERM;
	if (cap > CAP_LAST_CAP)
		return -EINVAL;
	new = cred_dup(t->subject.cred);
	if (!new)
		return -ENOMEM;
	new->cap_bounding &= ~(1UL << cap);
	task_commit_cred(t, new);
	return 0;
}

static long prctl_keepcaps(struct task *t, u64 on)
{
	struct cred *new;

	if (on > 1)
		return -EINVAL;
	if (t->subject.cred->securebits & (1U << SECURE_KEEP_CAPS_LOCKED))
		return -EPERM;
	new = cred_dup(t->subject.cred);
	if (!new)
		return -ENOMEM;
	new->keep_caps = on;
	task_commit_cred(t, new);
	return 0;
}

static long prctl_securebits(struct task *t, u64 bits)
{
	u32 old = t->subject.cred->securebits;
	u32 locked = (old & SECURE_ALL_LOCKS) >> 1;
	struct cred *new;

	if ((locked & (old ^ bits)) || (old & SECURE_ALL_LOCKS & ~bits) ||
	    bits & ~(u64)(SECURE_ALL_LOCKS | SECURE_ALL_BITS) || !task_capable(t, CAP_SETPCAP))
		return -EPERM;
	new = cred_dup(t->subject.cred);
	if (!new)
		return -ENOMEM;
	new->securebits = (u32)bits;
	new->keep_caps = bits &(1U << SECURE_KEEP_CAPS);
	task_commit_cred(t, new);
	return 0;
}

static long prctl_cap_ambient(struct task *t, u64 op, u64 cap, u64 arg4, u64 arg5)
{
	const struct cred *c = t->subject.cred;
	u64 bit = 1UL << (cap & 63);
	struct cred *new;

	if (arg4 || arg5)
		return -EINVAL;
	if (op == PR_CAP_AMBIENT_CLEAR_ALL ? cap : cap > CAP_LAST_CAP)
		return -EINVAL;
	switch (op) {
	case PR_CAP_AMBIENT_IS_SET:
		return !!(c->cap_ambient & bit);
	case PR_CAP_AMBIENT_RAISE:
		if (!(c->cap_permitted & c->cap_inheritable & bit) ||
		    c->securebits & (1U << SECURE_NO_CAP_AMBIENT_RAISE))
			return -EPERM;
		break;
	case PR_CAP_AMBIENT_LOWER:
	case PR_CAP_AMBIENT_CLEAR_ALL:
		break;
	default:
		return -EINVAL;
	}
	new = cred_dup(c);
	if (!new)
		return -ENOMEM;
	if (op == PR_CAP_AMBIENT_CLEAR_ALL)
		new->cap_ambient = 0;
	else if (op == PR_CAP_AMBIENT_RAISE)
		new->cap_ambient |= bit;
	else
		new->cap_ambient &= ~bit;
	task_commit_cred(t, new);
	return 0;
}

static long prctl_dumpable(struct task *t, u64 on)
{
	if (on > 1)
		return -EINVAL;
	__atomic_store_n(&t->tg->dumpable, on, __ATOMIC_RELAXED);
	return 0;
}

static long prctl_no_new_privs(struct task *t, u64 arg2, u64 arg3, u64 arg4, u64 arg5)
{
	if (arg2 != 1 || arg3 || arg4 || arg5)
		return -EINVAL;
	task_lock(t);
	t->no_new_privs = true;
	task_unlock(t);
	return 0;
}

static long prctl_timer_slack(struct task *t, u64 ns)
{
	task_lock(t);
	t->timer_slack = ns ? ns : 50000;
	task_unlock(t);
	return 0;
}

/* Capabilities and securebits. -ENOSYS: not one of these. */
static long prctl_cred(struct task *t, int option, u64 arg2, u64 arg3, u64 arg4, u64 arg5)
{
	const struct cred *c = t->subject.cred;

	switch (option) {
	case PR_GET_KEEPCAPS:
		return c->keep_caps;
	case PR_SET_KEEPCAPS:
		return prctl_keepcaps(t, arg2);
	case PR_CAPBSET_READ:
		return arg2 > CAP_LAST_CAP ? -EINVAL : (long)(c->cap_bounding >> arg2 & 1);
	case PR_CAPBSET_DROP:
		return prctl_capbset_drop(t, arg2);
	case PR_GET_SECUREBITS:
		return c->securebits;
	case PR_SET_SECUREBITS:
		return prctl_securebits(t, arg2);
	case PR_CAP_AMBIENT:
		return prctl_cap_ambient(t, arg2, arg3, arg4, arg5);
	default:
		return -ENOSYS;
	}
}

static long prctl_process(struct task *t, int option, u64 arg2, u64 arg3, u64 arg4, u64 arg5)
{
	switch (option) {
	case PR_GET_DUMPABLE:
		return __atomic_load_n(&t->tg->dumpable, __ATOMIC_RELAXED);
	case PR_SET_DUMPABLE:
		return prctl_dumpable(t, arg2);
	case PR_SET_CHILD_SUBREAPER:
		task_set_subreaper(t, arg2);
		return 0;
	case PR_GET_CHILD_SUBREAPER:
		return store_int(t, arg2, t->tg->child_subreaper);
	case PR_SET_NO_NEW_PRIVS:
		return prctl_no_new_privs(t, arg2, arg3, arg4, arg5);
	case PR_GET_NO_NEW_PRIVS:
		return arg2 || arg3 || arg4 || arg5 ? -EINVAL : t->no_new_privs;
	case PR_SET_TIMERSLACK:
		return prctl_timer_slack(t, arg2);
	case PR_GET_TIMERSLACK:
		return (long)t->timer_slack;
	case PR_GET_TIMING:
		return PR_TIMING_STATISTICAL;
	case PR_SET_TIMING:
		return arg2 == PR_TIMING_STATISTICAL ? 0 : -EINVAL;
	case PR_GET_TSC:
		return store_int(t, arg2, PR_TSC_ENABLE);
	case PR_SET_TSC:
		return arg2 == PR_TSC_ENABLE ? 0 : -EINVAL;
	case PR_GET_THP_DISABLE:
		return arg2 || arg3 || arg4 || arg5 ? -EINVAL : 0;
	case PR_GET_SECCOMP:
		return 0;
	case PR_GET_TID_ADDRESS:
		return copy_out(&t->subject, UADDR(arg2), &t->clear_child_tid, sizeof(u64));
	case PR_MCE_KILL_GET:
		return arg2 || arg3 || arg4 || arg5 ? -EINVAL : PR_MCE_KILL_DEFAULT;
	default:
		return -EINVAL;
	}
}

long sys_prctl(struct task *t, int option, u64 arg2, u64 arg3, u64 arg4, u64 arg5)
{
	long ret;

	switch (option) {
	case PR_SET_NAME:
		return prctl_set_name(t, UADDR(arg2));
	case PR_GET_NAME:
		return prctl_get_name(t, UADDR(arg2));
	case PR_SET_PDEATHSIG:
		return prctl_pdeathsig(t, arg2);
	case PR_GET_PDEATHSIG:
		return store_int(t, arg2, t->parent_death_signal);
	default:
		ret = prctl_cred(t, option, arg2, arg3, arg4, arg5);
		return ret == -ENOSYS ? prctl_process(t, option, arg2, arg3, arg4, arg5) : ret;
	}
}

/* ---- arch_prctl ---- */

static long arch_set_base(u64 *base, u64 addr)
{
	if (addr >= platform_task_size())
		return -EPERM;
	*base = addr;
	return 0;
}

long sys_arch_prctl(struct task *t, u32 option, u64 addr)
{
	const u64 xfeatures = platform_xfeatures();

	switch (option) {
	case ARCH_SET_FS:
		return arch_set_base(&t->regs.fs_base, addr);
	case ARCH_SET_GS:
		return arch_set_base(&t->regs.gs_base, addr);
	case ARCH_GET_FS:
		return copy_out(&t->subject, UADDR(addr), &t->regs.fs_base, sizeof(u64));
	case ARCH_GET_GS:
		return copy_out(&t->subject, UADDR(addr), &t->regs.gs_base, sizeof(u64));
	case ARCH_GET_CPUID:
		return 1;
	case ARCH_SET_CPUID:
		return -ENODEV;
	case ARCH_GET_XCOMP_SUPP:
	case ARCH_GET_XCOMP_PERM:
		return copy_out(&t->subject, UADDR(addr), &xfeatures, sizeof(xfeatures));
	case ARCH_REQ_XCOMP_PERM:
		return addr < 64 && xfeatures >> addr & 1 ? 0 : -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

/* ---- limits ---- */

long sys_getrlimit(struct task *t, int resource, struct uaddr ulimit)
{
	struct rlimit64_pair limit;

	if (resource < 0 || resource >= RLIMIT_COUNT)
		return -EINVAL;
	limit = rlimit_read(t->subject.rlimits, resource);
	return copy_out_late(&t->subject, ulimit, &limit, sizeof(limit));
}

static long set_limit(struct task *t, struct task *target, int resource, struct rlimit64_pair limit)
{
	if (limit.cur > limit.max)
		return -EINVAL;
	return rlimit_set(&target->tg->rlimits, resource, limit, t->subject.cred);
}

long sys_setrlimit(struct task *t, int resource, struct uaddr ulimit)
{
	struct rlimit64_pair limit = {};
	int err;

	if (resource < 0 || resource >= RLIMIT_COUNT)
		return -EINVAL;
	err = copy_in(&t->subject, &limit, ulimit, sizeof(limit));
	return err ? err : set_limit(t, t, resource, limit);
}

/* prlimit of another process: all its user and group ids must be ours. */
static bool may_limit(struct task *t, struct task *target)
{
	const struct cred *own = t->subject.cred, *c = task_get_cred(target);
	bool ret;

	if (!c)
		return false;
	ret = (own->uid == c->uid && own->uid == c->euid && own->uid == c->suid &&
	       own->gid == c->gid && own->gid == c->egid && own->gid == c->sgid) ||
	      cred_has_cap(own, c->user_ns, CAP_SYS_RESOURCE);
	cred_put(c);
	return ret;
}

long sys_prlimit64(struct task *t, int pid, int resource, struct uaddr unew, struct uaddr uold)
{
	struct rlimit64_pair new = {}, old;
	struct task *target = t;
	long ret = 0;

	if (resource < 0 || resource >= RLIMIT_COUNT)
		return -EINVAL;
	if (!uaddr_is_null(unew))
		ret = copy_in(&t->subject, &new, unew, sizeof(new));
	if (ret)
		return ret;
	if (pid && (u32)pid != task_tid(t)) {
		target = task_lookup_get(t, (u32)pid);
		if (!target)
			return -ESRCH;
		if (target->tg != t->tg && !may_limit(t, target))
			ret = -EPERM;
	}
	old = rlimit_read(&target->tg->rlimits, resource);
	if (!ret && !uaddr_is_null(unew))
		ret = set_limit(t, target, resource, new);
	if (target != t)
		task_put(target);
	if (ret || uaddr_is_null(uold))
		return ret;
	return copy_out_late(&t->subject, uold, &old, sizeof(old));
}

/* ---- information ---- */

long sys_sysinfo(struct task *t, struct uaddr uinfo)
{
	struct kernel_memory m = kernel_memory();
	struct sysinfo info = {
		.uptime = guest_clock_now(CLOCK_BOOTTIME) / 1'000'000'000,
		.totalram = m.total,
		.freeram = m.free,
		.sharedram = m.shared,
		.bufferram = m.buffers,
		.totalswap = m.swap_total,
		.freeswap = m.swap_free,
		.mem_unit = 1,
	};
	u64 load[3];
	u32 tasks;

	kernel_load(load);
	for (int i = 0; i < 3; i++)
		info.loads[i] = load[i] << (SI_LOAD_SHIFT - LOAD_SHIFT);
	tasks_lock();
	tasks = kernel_get()->task_count;
	tasks_unlock();
	info.procs = (unsigned short)min(tasks, (u32)USHRT_MAX);
	return copy_out_late(&t->subject, uinfo, &info, sizeof(info));
}

long sys_umask(struct task *t, u32 mask)
{
	return __atomic_exchange_n(&t->subject.fs->umask, mask & 0777, __ATOMIC_RELAXED);
}

long sys_personality(struct task *t, u32 persona)
{
	u32 old = t->personality;

	if (persona != 0xffff'ffffU)
		t->personality = persona;
	return old;
}

long sys_getrandom(struct task *t, struct uaddr buf, u64 size, u32 flags)
{
	char piece[512];
	u64 done = 0;

	if (flags & ~7U || (flags & 6) == 6)
		return -EINVAL;
	size = min(size, (u64)INT_MAX);
	while (done < size) {
		size_t n = min(size - done, sizeof(piece));
		ssize_t got = host_getrandom(piece, n, 0);

		if (got > 0 && copy_out(&t->subject, uaddr_add(buf, done), piece, (size_t)got))
			got = -EFAULT;
		if (got <= 0)
			return done ? (long)done : got;
		done += (u64)got;
		if (fiber_interrupted(t->subject.fiber) && done < size && done >= 4096)
			break;
	}
	return (long)done;
}

/* ---- rseq ---- */

long sys_rseq(struct task *t, struct uaddr area, u32 size, int flags, u32 signature)
{
	int err;

	if (!platform_has_rseq())
		return -ENOSYS;
	if (flags & RSEQ_FLAG_UNREGISTER) {
		if (flags & ~RSEQ_FLAG_UNREGISTER)
			return -EINVAL;
		if (t->rseq_addr != area.v || !t->rseq_addr || t->rseq_size != size)
			return -EINVAL;
		if (t->rseq_sig != signature)
			return -EPERM;
		err = pf_thread_rseq(t->subject.thread, area, 0, signature);
		if (err)
			return err;
		t->rseq_addr = 0;
		t->rseq_size = t->rseq_sig = 0;
		return 0;
	}
	if (flags)
		return -EINVAL;
	if (t->rseq_addr) {
		if (t->rseq_addr != area.v || t->rseq_size != size)
			return -EINVAL;
		return t->rseq_sig == signature ? -EBUSY : -EPERM;
	}
	if (area.v % 32 || size < 32)
		return -EINVAL;
	if (!uaddr_ok(area, size))
		return -EFAULT;
	err = pf_thread_rseq(t->subject.thread, area, size, signature);
	if (err)
		return err;
	t->rseq_addr = area.v;
	t->rseq_size = size;
	t->rseq_sig = signature;
	return 0;
}

long sys_vhangup(struct task *t)
{
	return tty_vhangup(t);
}
