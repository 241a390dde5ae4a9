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

/* What the lanes of a process, threads of one host process, can do for it by the host's call. */
#define BARRIERS_BY_LANE \
	(MEMBARRIER_CMD_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | \
	 MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED | \
	 MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE | \
	 MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE | \
	 MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ)

static int barriers_known(void)
{
	long host = host_call(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0, 0, 0, 0);
	int known = host > 0 ? (int)host & (MEMBARRIER_CMD_GLOBAL | BARRIERS_BY_LANE) : 0;

	if (!platform_has_rseq())
		known &= ~(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ |
			   MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ);
	return known;
}

/* MEMBARRIER_CMD_FLAG_CPU is for one CPU: a barrier on all does, too. */
long sys_membarrier(struct task *t, int cmd, u32 flags, int cpu)
{
	bool one_cpu = cmd == MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ;
	long ret;

	if (flags && (!one_cpu || flags != MEMBARRIER_CMD_FLAG_CPU))
		return -EINVAL;
	if (cmd == MEMBARRIER_CMD_QUERY)
		return barriers_known();
	if (cmd <= 0 || cmd & (cmd - 1) || !(barriers_known() & cmd))
		return -EINVAL;
	if (cmd != MEMBARRIER_CMD_GLOBAL)
		return pf_thread_membarrier(t->subject.thread, cmd);
	ret = pool_call(host_barrier, NULL);
	return ret == -EINTR ? -ERESTARTNOINTR : ret;
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

#define RESET_ON_FORK 0x4000'0000 /* SCHED_RESET_ON_FORK */
#define POLICY_DEADLINE 6 /* SCHED_DEADLINE */

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
	if (policy == POLICY_DEADLINE)
		return 0;
	return policy_known(policy) ? policy_realtime(policy) ? 99 : 0 : -EINVAL;
}

long sys_sched_get_priority_min(struct task *t, int policy)
{
	if (policy == POLICY_DEADLINE)
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
	ret = target->sched_policy | (target->sched_reset_on_fork ? RESET_ON_FORK : 0);
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

/* What a task is to become. */
struct sched_change {
	int policy; /* < 0: as it is */
	int priority; /* 1 to 99 of real-time policies, else 0 */
	bool reset_on_fork;
	bool set_nice; /* nice counts, for policies that are not real-time */
	bool keep_params; /* priority and nice stay */
	int nice;
};

/* May a task without CAP_SYS_NICE change target so? */
static bool change_unprivileged(struct task *target, const struct sched_change *c) REQUIRES(lc_task)
{
	u64 rt_limit = rlimit_get(&target->tg->rlimits, RLIMIT_RTPRIO);
	u64 nice_limit = rlimit_get(&target->tg->rlimits, RLIMIT_NICE);
	int nice = c->set_nice ? c->nice : target->niceness;

	if (policy_realtime(c->policy)) {
		if ((u32)c->policy != target->sched_policy && !rt_limit)
			return false;
		if ((u32)c->priority > target->sched_priority && (u64)c->priority > rt_limit)
			return false;
	} else if (nice < target->niceness && (u64)(20 - nice) > nice_limit) {
		return false;
	}
	if (target->sched_policy == SCHED_IDLE && c->policy != SCHED_IDLE &&
	    (u64)(20 - target->niceness) > nice_limit)
		return false;
	return !target->sched_reset_on_fork || c->reset_on_fork;
}

static long change_locked(struct task *t, struct task *target, struct sched_change *c, bool owner)
	REQUIRES(lc_task)
{
	if (c->policy < 0) {
		c->policy = (int)target->sched_policy;
		c->reset_on_fork |= target->sched_reset_on_fork;
	}
	if (c->keep_params) {
		c->priority = (int)target->sched_priority;
		c->set_nice = false;
	}
	if (!policy_known(c->policy) || c->priority < 0 || c->priority > 99 ||
	    policy_realtime(c->policy) != (c->priority != 0))
		return -EINVAL;
	if ((!owner || !change_unprivileged(target, c)) && !task_capable(t, CAP_SYS_NICE))
		return -EPERM;
	target->sched_policy = (u32)c->policy;
	target->sched_priority = (u32)c->priority;
	target->sched_reset_on_fork = c->reset_on_fork;
	if (c->set_nice && !policy_realtime(c->policy))
		target->niceness = c->nice;
	return 0;
}

static long sched_change(struct task *t, int pid, struct sched_change *c)
{
	struct task *target = sched_target(t, pid);
	bool owner;
	long ret;

	if (!target)
		return -ESRCH;
	owner = sched_allowed(t, target);
	task_lock(target);
	ret = change_locked(t, target, c, owner);
	task_unlock(target);
	task_put(target);
	return ret;
}

/* policy < 0: leave it. */
static long set_policy(struct task *t, int pid, int policy, struct uaddr param)
{
	struct sched_change c = { .policy = policy };
	long ret;

	if (pid < 0 || uaddr_is_null(param))
		return -EINVAL;
	ret = copy_in(&t->subject, &c.priority, param, sizeof(c.priority));
	if (ret)
		return ret;
	if (policy >= 0) {
		c.policy = policy & ~RESET_ON_FORK;
		c.reset_on_fork = policy & RESET_ON_FORK;
	}
	return sched_change(t, pid, &c);
}

long sys_sched_setscheduler(struct task *t, int pid, int policy, struct uaddr param)
{
	return policy < 0 ? -EINVAL : set_policy(t, pid, policy, param);
}

long sys_sched_setparam(struct task *t, int pid, struct uaddr param)
{
	return set_policy(t, pid, -1, param);
}

/* As struct sched_attr of Linux 5.3. */
struct sched_attr_k {
	u32 size, policy;
	u64 flags;
	s32 nice;
	u32 priority;
	u64 runtime, deadline, period;
	u32 util_min, util_max;
};
#define ATTR_SIZE_FIRST 48U /* without util_min and util_max */
#define ATTR_KEEP_POLICY 8U
#define ATTR_KEEP_PARAMS 16U
#define ATTR_UTIL 0x60U
#define ATTR_FLAGS 0x7fU
#define UTIL_MAX 1024U

static long fetch_attr(struct task *t, struct uaddr uattr, struct sched_attr_k *ret)
{
	const u32 own = sizeof(*ret);
	u32 size;
	long err = copy_in(&t->subject, &size, uattr, sizeof(size));

	if (err)
		return err;
	size = size ? size : ATTR_SIZE_FIRST;
	err = -E2BIG;
	if (size >= ATTR_SIZE_FIRST && size <= PAGE_SIZE)
		err = fetch_extensible(t, ret, sizeof(*ret), uattr, size);
	/* Tell the guest what we know. */
	if (err == -E2BIG)
		(void)!copy_out(&t->subject, uattr, &own, sizeof(own));
	if (!err && ret->flags & ATTR_UTIL && size < sizeof(*ret))
		err = -EINVAL;
	return err;
}

long sys_sched_setattr(struct task *t, int pid, struct uaddr uattr, u32 flags)
{
	struct sched_attr_k attr;
	struct sched_change c;
	long ret;

	if (uaddr_is_null(uattr) || pid < 0 || flags)
		return -EINVAL;
	ret = fetch_attr(t, uattr, &attr);
	if (ret)
		return ret;
	if ((s32)attr.policy < 0 || attr.flags & ~(u64)ATTR_FLAGS || attr.priority > 99 ||
	    (attr.flags & ATTR_UTIL && (attr.util_min > UTIL_MAX || attr.util_max > UTIL_MAX)))
		return -EINVAL;
	/* No bandwidth is to be had for SCHED_DEADLINE. */
	if (attr.policy == POLICY_DEADLINE && !(attr.flags & ATTR_KEEP_POLICY))
		return task_capable(t, CAP_SYS_NICE) ? -EBUSY : -EPERM;
	c = (struct sched_change){
		.policy = attr.flags & ATTR_KEEP_POLICY ? -1 : (int)attr.policy,
		.priority = (int)attr.priority,
		.reset_on_fork = attr.flags & 1,
		.set_nice = true,
		.keep_params = attr.flags & ATTR_KEEP_PARAMS,
	};
	c.nice = max(-20, min(attr.nice, 19));
	return sched_change(t, pid, &c);
}

long sys_sched_getattr(struct task *t, int pid, struct uaddr uattr, u32 size, u32 flags)
{
	struct sched_attr_k attr = { .util_max = UTIL_MAX };
	struct task *target;

	if (uaddr_is_null(uattr) || pid < 0 || size > PAGE_SIZE || size < ATTR_SIZE_FIRST || flags)
		return -EINVAL;
	target = sched_target(t, pid);
	if (!target)
		return -ESRCH;
	task_lock(target);
	attr.policy = target->sched_policy;
	attr.flags = target->sched_reset_on_fork;
	if (policy_realtime((int)attr.policy))
		attr.priority = target->sched_priority;
	else
		attr.nice = target->niceness;
	task_unlock(target);
	task_put(target);
	attr.size = min(size, (u32)sizeof(attr));
	return copy_out(&t->subject, uattr, &attr, attr.size);
}

long sys_sched_rr_get_interval(struct task *t, int pid, struct uaddr interval)
{
	struct timespec ts = {};
	long policy = sys_sched_getscheduler(t, pid);

	if (policy < 0)
		return policy;
	policy &= ~RESET_ON_FORK;
	if (policy == SCHED_RR)
		ts.tv_nsec = 100'000'000;
	else if (policy != SCHED_FIFO)
		ts.tv_nsec = 4'000'000;
	return copy_out_late(&t->subject, interval, &ts, sizeof(ts));
}

/* ---- nice ---- */

/* What get- and setpriority, ioprio_get and ioprio_set do with each thread that they name. */
struct prio_walk {
	struct task *caller;
	void (*apply)(struct prio_walk *w, struct task *t);
	bool set;
	int nice; /* to set; or the I/O priority */
	int best; /* smallest found */
	u32 uid; /* PRIO_USER */
	long error;
	bool found;
};

static void nice_apply(struct prio_walk *w, struct task *t)
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
		w->apply(w, t);
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
			w->apply(w, t);
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
	struct prio_walk w = { .caller = t, .apply = nice_apply, .best = 20 };
	long ret;

	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -EINVAL;
	ret = prio_walk(&w, which, who);
	return ret ? ret : 20 - w.best;
}

long sys_setpriority(struct task *t, int which, int who, int nice)
{
	struct prio_walk w = { .caller = t, .apply = nice_apply, .set = true };

	w.nice = max(-20, min(nice, 19));
	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -EINVAL;
	return prio_walk(&w, which, who);
}

/* ---- I/O priorities: recorded ---- */

#define IOPRIO_CLASS_SHIFT 13
#define IOPRIO_LEVELS 8
enum { IOPRIO_NONE, IOPRIO_RT, IOPRIO_BE, IOPRIO_IDLE };

/* Of two, the one that is served first; 0 is an ordinary best-effort one. */
static int ioprio_best(int a, int b)
{
	const int ordinary = IOPRIO_BE << IOPRIO_CLASS_SHIFT | IOPRIO_LEVELS / 2;

	return min(a ? a : ordinary, b ? b : ordinary);
}

static void ioprio_apply(struct prio_walk *w, struct task *t)
{
	const struct cred *own = w->caller->subject.cred, *c;

	task_lock(t);
	c = t->subject.cred;
	w->best = w->found ? ioprio_best(w->best, t->ioprio) : t->ioprio;
	w->found = true;
	if (!w->set)
		goto out;
	if (t == w->caller || own->euid == c->uid || own->uid == c->uid ||
	    cred_has_cap(own, c->user_ns, CAP_SYS_NICE))
		t->ioprio = (u16)w->nice;
	else
		w->error = -EPERM;
out:
	task_unlock(t);
}

long sys_ioprio_get(struct task *t, int which, int who)
{
	struct prio_walk w = { .caller = t, .apply = ioprio_apply };
	long ret;

	if (which < 1 || which > 3)
		return -EINVAL;
	ret = prio_walk(&w, which - 1, who);
	return ret ? ret : w.best;
}

static long ioprio_check(struct task *t, int ioprio)
{
	int class = ioprio >> IOPRIO_CLASS_SHIFT, data = ioprio & ((1 << IOPRIO_CLASS_SHIFT) - 1);

	switch (class) {
	case IOPRIO_RT:
		if (!task_capable(t, CAP_SYS_ADMIN) && !task_capable(t, CAP_SYS_NICE))
			return -EPERM;
		[[fallthrough]];
	case IOPRIO_BE:
		return data < IOPRIO_LEVELS ? 0 : -EINVAL;
	case IOPRIO_IDLE:
		return 0;
	case IOPRIO_NONE:
		return data ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

long sys_ioprio_set(struct task *t, int which, int who, int ioprio)
{
	struct prio_walk w = { .caller = t, .apply = ioprio_apply, .set = true, .nice = ioprio };
	long ret = ioprio_check(t, ioprio);

	if (ret)
		return ret;
	return which < 1 || which > 3 ? -EINVAL : prio_walk(&w, which - 1, who);
}
