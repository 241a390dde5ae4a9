/* Scheduling: CPUs, policies and priorities. Policies are recorded; the host schedules as it likes.
 */

#include <linux/capability.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "host/host.h"
#include "platform/platform.h"
#include "sched/sched.h"
#include "syscall/util.h"
#include "syscall_protos.h"

long sys_sched_yield(struct task *t)
{
	fiber_yield();
	return 0;
}

/* Waits until every CPU of the host has passed a barrier: milliseconds. */
static long host_barrier(void *arg)
{
	return host_call(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0, 0, 0, 0);
}

long sys_membarrier(struct task *t, int cmd, u32 flags, int cpu)
{
	long ret;

	if (flags)
		return -EINVAL;
	switch (cmd) {
	case MEMBARRIER_CMD_QUERY:
		return MEMBARRIER_CMD_GLOBAL;
	case MEMBARRIER_CMD_GLOBAL:
		ret = pool_call(host_barrier, NULL);
		return ret == -EINTR ? -ERESTARTNOINTR : ret;
	default:
		return -EINVAL;
	}
}

long sys_getcpu(struct task *t, struct uaddr ucpu, struct uaddr unode, struct uaddr cache)
{
	u32 cpu = (u32)pf_thread_cpu(t->subject.thread), node = 0;
	const struct kernel *k = kernel_get();
	int err = 0;

	if (k->virtual_cpus)
		cpu %= k->cpu_count;
	if (!uaddr_is_null(ucpu))
		err = copy_out_late(&t->subject, ucpu, &cpu, sizeof(cpu));
	if (!err && !uaddr_is_null(unode))
		err = copy_out_late(&t->subject, unode, &node, sizeof(node));
	return err;
}

/* A thread by number, 0: the caller, with a reference; null: none. */
static struct task *sched_target(struct task *t, int pid)
{
	if (pid)
		return pid > 0 ? task_lookup_get(t, (u32)pid) : NULL;
	task_get(t);
	return t;
}

/* May t change what the scheduler does with target? */
static bool sched_allowed(struct task *t, struct task *target)
{
	const struct cred *c;
	bool ret;

	if (target == t)
		return true;
	c = task_get_cred(target);
	if (!c)
		return false;
	ret = t->subject.cred->euid == c->euid || t->subject.cred->euid == c->uid ||
	      cred_has_cap(t->subject.cred, c->user_ns, CAP_SYS_NICE);
	cred_put(c);
	return ret;
}

/* ---- affinity ---- */

/* Highest guest CPU number and one, in bytes of a mask, whole longs. */
static u32 mask_size(void)
{
	const struct kernel *k = kernel_get();
	u32 last = 0;

	for (u32 i = 0; i < sizeof(k->cpu_mask); i++)
		if (k->cpu_mask[i])
			last = i;
	return (last / 8 + 1) * 8;
}

long sys_sched_getaffinity(struct task *t, int pid, u32 size, struct uaddr mask)
{
	u8 copy[sizeof(t->affinity)];
	struct task *target;
	int err;

	if (size < mask_size() || size % sizeof(u64))
		return -EINVAL;
	target = pid < 0 ? NULL : sched_target(t, pid);
	if (!target)
		return -ESRCH;
	task_lock(target);
	memcpy(copy, target->affinity, sizeof(copy));
	task_unlock(target);
	task_put(target);
	size = min(size, mask_size());
	err = copy_out(&t->subject, mask, copy, size);
	return err ? err : (long)size;
}

long sys_sched_setaffinity(struct task *t, int pid, u32 size, struct uaddr umask)
{
	const struct kernel *k = kernel_get();
	u8 mask[sizeof(t->affinity)] = {};
	struct task *target;
	bool any = false;
	long ret = copy_in(&t->subject, mask, umask, min((size_t)size, sizeof(mask)));

	if (ret)
		return ret;
	target = sched_target(t, pid);
	if (!target)
		return -ESRCH;
	for (size_t i = 0; i < sizeof(mask); i++) {
		mask[i] &= k->cpu_mask[i];
		any |= mask[i];
	}
	if (!sched_allowed(t, target))
		ret = -EPERM;
	else if (!any)
		ret = -EINVAL;
	if (!ret) {
		task_lock(target);
		memcpy(target->affinity, mask, sizeof(mask));
		task_unlock(target);
	}
	/* Another thread is told where it may run only by itself: its mask is right at once, its
	 * place is not. */
	if (!ret && target == t && !k->virtual_cpus)
		ret = pf_thread_setaffinity(t->subject.thread, sizeof(mask), mask);
	task_put(target);
	return ret;
}

/* ---- policies ---- */

static bool policy_realtime(int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static bool policy_known(int policy)
{
	return policy_realtime(policy) || policy == SCHED_OTHER || policy == SCHED_BATCH ||
	       policy == SCHED_IDLE;
}

long sys_sched_get_priority_max(struct task *t, int policy)
{
	if (policy == 6) /* SCHED_DEADLINE */
		return 0;
	return policy_known(policy) ? policy_realtime(policy) ? 99 : 0 : -EINVAL;
}

long sys_sched_get_priority_min(struct task *t, int policy)
{
	if (policy == 6)
		return 0;
	return policy_known(policy) ? policy_realtime(policy) ? 1 : 0 : -EINVAL;
}

long sys_sched_getscheduler(struct task *t, int pid)
{
	struct task *target;
	long ret;

	if (pid < 0)
		return -EINVAL;
	target = sched_target(t, pid);
	if (!target)
		return -ESRCH;
	task_lock(target);
	ret = target->sched_policy;
	task_unlock(target);
	task_put(target);
	return ret;
}

long sys_sched_getparam(struct task *t, int pid, struct uaddr param)
{
	struct task *target;
	int priority;

	if (pid < 0 || uaddr_is_null(param))
		return -EINVAL;
	target = sched_target(t, pid);
	if (!target)
		return -ESRCH;
	task_lock(target);
	priority = (int)target->sched_priority;
	task_unlock(target);
	task_put(target);
	return copy_out_late(&t->subject, param, &priority, sizeof(priority));
}

/* policy < 0: leave it. */
static long set_policy(struct task *t, int pid, int policy, struct uaddr param)
{
	const u32 reset_on_fork = 0x40000000; /* SCHED_RESET_ON_FORK */
	struct task *target;
	int priority;
	u64 limit;
	long ret;

	if (pid < 0 || uaddr_is_null(param))
		return -EINVAL;
	ret = copy_in(&t->subject, &priority, param, sizeof(priority));
	if (ret)
		return ret;
	target = sched_target(t, pid);
	if (!target)
		return -ESRCH;
	task_lock(target);
	if (policy < 0)
		policy = (int)target->sched_policy;
	task_unlock(target);
	policy &= ~(int)reset_on_fork;
	limit = rlimit_get(&target->tg->rlimits, RLIMIT_RTPRIO);
	if (!policy_known(policy) || priority < 0 || priority > 99 ||
	    policy_realtime(policy) != (priority != 0))
		ret = -EINVAL;
	else if (!sched_allowed(t, target) || (policy_realtime(policy) && (u64)priority > limit &&
					       !task_capable(t, CAP_SYS_NICE)))
		ret = -EPERM;
	if (!ret) {
		task_lock(target);
		target->sched_policy = (u32)policy;
		target->sched_priority = (u32)priority;
		task_unlock(target);
	}
	task_put(target);
	return ret;
}

long sys_sched_setscheduler(struct task *t, int pid, int policy, struct uaddr param)
{
	return policy < 0 ? -EINVAL : set_policy(t, pid, policy, param);
}

long sys_sched_setparam(struct task *t, int pid, struct uaddr param)
{
	return set_policy(t, pid, -1, param);
}

long sys_sched_rr_get_interval(struct task *t, int pid, struct uaddr interval)
{
	struct timespec ts = {};
	long policy = sys_sched_getscheduler(t, pid);

	if (policy < 0)
		return policy;
	if (policy == SCHED_RR)
		ts.tv_nsec = 100'000'000;
	else if (policy != SCHED_FIFO)
		ts.tv_nsec = 4'000'000;
	return copy_out_late(&t->subject, interval, &ts, sizeof(ts));
}

/* ---- nice ---- */

/* What get- and setpriority do with each thread that they name. */
struct prio_walk {
	struct task *caller;
	bool set;
	int nice; /* to set */
	int best; /* smallest found */
	u32 uid; /* PRIO_USER */
	long error;
	bool found;
};

static void prio_apply(struct prio_walk *w, struct task *t) REQUIRES(lc_tasks)
{
	struct task *caller = w->caller;
	const struct cred *own = caller->subject.cred;
	const struct cred *c;
	bool allowed;
	u64 limit;

	w->found = true;
	task_lock(t);
	w->best = min(w->best, t->niceness);
	if (w->set) {
		c = t->subject.cred;
		limit = rlimit_get(&t->tg->rlimits, RLIMIT_NICE);
		allowed = t == caller || own->euid == c->euid || own->euid == c->uid ||
			  cred_has_cap(own, c->user_ns, CAP_SYS_NICE);
		if (!allowed)
			w->error = -EPERM;
		else if (w->nice < t->niceness && (u64)(20 - w->nice) > limit &&
			 !cred_has_cap(own, own->user_ns, CAP_SYS_NICE))
			w->error = -EACCES;
		else
			t->niceness = w->nice;
	}
	task_unlock(t);
}

static void prio_apply_group(struct prio_walk *w, struct thread_group *tg) REQUIRES(lc_tasks)
{
	struct task *t;

	list_for_each(t, &tg->tasks, tg_link)
		prio_apply(w, t);
}

static bool prio_user(struct thread_group *tg, u32 pid, void *arg) NO_THREAD_SAFETY_ANALYSIS
{
	struct prio_walk *w = arg;
	bool match;

	task_lock(tg->leader);
	match = tg->leader->subject.cred && tg->leader->subject.cred->uid == w->uid;
	task_unlock(tg->leader);
	if (match)
		prio_apply_group(w, tg);
	return true;
}

static long prio_walk(struct prio_walk *w, int which, int who)
{
	struct task *caller = w->caller, *t;
	struct process_group *pg;
	struct thread_group *tg;

	w->best = 20;
	if (which == PRIO_USER) {
		w->uid = who ? (u32)who : caller->subject.cred->uid;
		tasks_lock();
		group_for_each(task_pid_ns(caller), 1, prio_user, w);
		tasks_unlock();
		return w->found ? w->error : -ESRCH;
	}
	tasks_lock();
	if (which == PRIO_PROCESS) {
		t = who ? task_find(task_pid_ns(caller), (u32)who) : caller;
		if (t)
			prio_apply(w, t);
	} else {
		pg = who ? pgrp_find(task_pid_ns(caller), (u32)who) : caller->tg->pgrp;
		if (pg)
			list_for_each(tg, &pg->members, pgrp_link)
				prio_apply_group(w, tg);
	}
	tasks_unlock();
	return w->found ? w->error : -ESRCH;
}

long sys_getpriority(struct task *t, int which, int who)
{
	struct prio_walk w = { .caller = t };
	long ret;

	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -EINVAL;
	ret = prio_walk(&w, which, who);
	return ret ? ret : 20 - w.best;
}

long sys_setpriority(struct task *t, int which, int who, int nice)
{
	struct prio_walk w = { .caller = t, .set = true };

	w.nice = max(-20, min(nice, 19));
	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -EINVAL;
	return prio_walk(&w, which, who);
}
