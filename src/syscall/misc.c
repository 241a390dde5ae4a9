/* What fits nowhere else: arch_prctl, limits, randomness, system information, rseq. */

#include <asm/prctl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/rseq.h>
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
	int err;

	if (limit.cur > limit.max)
		return -EINVAL;
	err = rlimit_set(&target->tg->rlimits, resource, limit, t->subject.cred);
	if (!err && target != t)
		task_hurry(target); /* what it was lent: see run.c */
	return err;
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
