/* prctl(2). What a later Linux or another architecture has gives EINVAL. */

#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <string.h>

#include "syscall/util.h"
#include "syscall_protos.h"

#ifndef PR_GET_AUXV
#define PR_GET_AUXV 0x41555856
#endif

/* ---- names and integers ---- */

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

	old |= t->subject.cred->keep_caps ? 1U << SECURE_KEEP_CAPS : 0;
	if ((locked & (old ^ bits)) || (old & SECURE_ALL_LOCKS & ~bits) ||
	    bits & ~(u64)(SECURE_ALL_LOCKS | SECURE_ALL_BITS) || !task_capable(t, CAP_SETPCAP))
		return -EPERM;
	new = cred_dup(t->subject.cred);
	if (!new)
		return -ENOMEM;
	new->securebits = (u32)bits & ~(1U << SECURE_KEEP_CAPS);
	new->keep_caps = bits >> SECURE_KEEP_CAPS & 1;
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
		return c->securebits | (c->keep_caps ? 1U << SECURE_KEEP_CAPS : 0);
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
	case PR_GET_SECCOMP:
		return 0;
	case PR_GET_TID_ADDRESS:
		return copy_out(&t->subject, UADDR(arg2), &t->clear_child_tid, sizeof(u64));
	default:
		return -ENOSYS;
	}
}

/* ---- memory ---- */

static long prctl_thp_disable(struct task *t, bool set, u64 on, bool others)
{
	bool *disabled = &t->tg->thp_disabled;

	if (others || (!set && on))
		return -EINVAL;
	if (!set)
		return __atomic_load_n(disabled, __ATOMIC_RELAXED);
	__atomic_store_n(disabled, on != 0, __ATOMIC_RELAXED);
	return 0;
}

static long prctl_get_auxv(struct task *t, u64 addr, u64 size, bool others)
{
	u64 auxv[2 * MM_AUXV_MAX];
	size_t have = mm_get_auxv(t->subject.mm, auxv) * 2 * sizeof(u64);
	long err;

	if (others)
		return -EINVAL;
	err = copy_out(&t->subject, UADDR(addr), auxv, min(have, (size_t)size));
	return err ? err : (long)have;
}

/* Where an option of PR_SET_MM is kept; null: not in the layout. */
static u64 *layout_field(struct mm_layout *l, u64 option)
{
	switch (option) {
	case PR_SET_MM_START_CODE:
		return &l->start_code;
	case PR_SET_MM_END_CODE:
		return &l->end_code;
	case PR_SET_MM_START_DATA:
		return &l->start_data;
	case PR_SET_MM_END_DATA:
		return &l->end_data;
	case PR_SET_MM_START_STACK:
		return &l->start_stack;
	case PR_SET_MM_ARG_START:
		return &l->arg_start;
	case PR_SET_MM_ARG_END:
		return &l->arg_end;
	case PR_SET_MM_ENV_START:
		return &l->env_start;
	case PR_SET_MM_ENV_END:
		return &l->env_end;
	default:
		return NULL;
	}
}

/* Arguments and environment, which /proc reads, must be where something is mapped. */
static long check_layout(struct task *t, const struct mm_layout *l)
{
	const u64 mapped[] = { l->arg_start, l->arg_end, l->env_start, l->env_end, l->start_stack };

	for (size_t i = 0; i < ARRAY_SIZE(mapped); i++)
		if (!mm_is_mapped(t->subject.mm, mapped[i]))
			return -EINVAL;
	return l->start_code < l->end_code && l->start_data <= l->end_data &&
			       l->arg_start <= l->arg_end && l->env_start <= l->env_end ?
		       0 :
		       -EINVAL;
}

static long set_mm_auxv(struct task *t, u64 addr, u64 size)
{
	u64 auxv[2 * MM_AUXV_MAX] = {};
	long err;

	if (!addr || size > sizeof(auxv))
		return -EINVAL;
	err = copy_in(&t->subject, auxv, UADDR(addr), (size_t)size);
	if (err)
		return err;
	/* The last pair says that there are no more. */
	auxv[2 * MM_AUXV_MAX - 2] = auxv[2 * MM_AUXV_MAX - 1] = 0;
	mm_set_auxv(t->subject.mm, auxv, MM_AUXV_MAX);
	return 0;
}

/* The whole layout at once (struct prctl_mm_map). The heap and the program stay what they are. */
static long set_mm_map(struct task *t, u64 addr, u64 size)
{
	struct prctl_mm_map map = {};
	struct mm_layout l = mm_layout(t->subject.mm);
	long err;

	if (size != sizeof(map))
		return -EINVAL;
	err = copy_in(&t->subject, &map, UADDR(addr), sizeof(map));
	if (err)
		return err;
	if (map.start_brk != l.start_brk || map.exe_fd != (u32)-1)
		return -EINVAL;
	l = (struct mm_layout){
		.start_code = map.start_code,
		.end_code = map.end_code,
		.start_data = map.start_data,
		.end_data = map.end_data,
		.start_brk = map.start_brk,
		.start_stack = map.start_stack,
		.arg_start = map.arg_start,
		.arg_end = map.arg_end,
		.env_start = map.env_start,
		.env_end = map.env_end,
	};
	err = check_layout(t, &l);
	if (!err && map.auxv_size)
		err = set_mm_auxv(t, (u64)(uintptr_t)map.auxv, map.auxv_size);
	if (!err)
		mm_set_layout(t->subject.mm, &l);
	return err;
}

static long prctl_set_mm(struct task *t, u64 option, u64 addr, u64 arg4, u64 arg5)
{
	struct mm_layout l = mm_layout(t->subject.mm);
	const u32 map_size = sizeof(struct prctl_mm_map);
	u64 *field;
	long err;

	if (arg5 || (arg4 && option != PR_SET_MM_AUXV && option != PR_SET_MM_MAP &&
		     option != PR_SET_MM_MAP_SIZE))
		return -EINVAL;
	if (option == PR_SET_MM_MAP_SIZE)
		return copy_out(&t->subject, UADDR(addr), &map_size, sizeof(map_size));
	if (option == PR_SET_MM_MAP)
		return set_mm_map(t, addr, arg4);
	if (!task_capable(t, CAP_SYS_RESOURCE))
		return -EPERM;
	if (option == PR_SET_MM_AUXV)
		return set_mm_auxv(t, addr, arg4);
	field = layout_field(&l, option);
	if (!field || addr >= platform_task_size() || !mm_is_mapped(t->subject.mm, addr))
		return -EINVAL;
	*field = addr;
	err = check_layout(t, &l);
	if (!err)
		mm_set_layout(t->subject.mm, &l);
	return err;
}

/* ---- others ---- */

static long prctl_mce_kill(struct task *t, u64 op, u64 policy, u64 arg4, u64 arg5)
{
	if (arg4 || arg5)
		return -EINVAL;
	if (op == PR_MCE_KILL_CLEAR)
		policy = policy ? PR_MCE_KILL_DEFAULT + 1 : PR_MCE_KILL_DEFAULT;
	else if (op != PR_MCE_KILL_SET)
		return -EINVAL;
	if (policy > PR_MCE_KILL_DEFAULT)
		return -EINVAL;
	t->mce_policy = (u8)policy;
	return 0;
}

/* Whom Yama would let trace us: it restricts nothing, so anybody who is there will do. */
static long prctl_ptracer(struct task *t, u64 pid)
{
	struct task *tracer;

	if (!pid || (s64)pid == -1)
		return 0;
	tracer = pid <= INT32_MAX ? task_lookup_get(t, (u32)pid) : NULL;
	if (!tracer)
		return -EINVAL;
	task_put(tracer);
	return 0;
}

static long prctl_io_flusher(struct task *t, bool set, u64 on, bool others)
{
	if (!task_capable(t, CAP_SYS_RESOURCE))
		return -EPERM;
	if (others || on > (set ? 1 : 0))
		return -EINVAL;
	if (!set)
		return t->io_flusher;
	t->io_flusher = on;
	return 0;
}

/* The host speculates as it will. */
static long prctl_speculation(bool set, u64 which, u64 arg3, u64 arg4, u64 arg5)
{
	if (arg4 || arg5 || (!set && arg3))
		return -EINVAL;
	if (which > PR_SPEC_INDIRECT_BRANCH)
		return -ENODEV;
	return set ? -ENXIO : PR_SPEC_NOT_AFFECTED;
}

static long prctl_other(struct task *t, int option, u64 arg2, u64 arg3, u64 arg4, u64 arg5)
{
	bool others = arg3 || arg4 || arg5;

	switch (option) {
	case PR_SET_THP_DISABLE:
	case PR_GET_THP_DISABLE:
		return prctl_thp_disable(t, option == PR_SET_THP_DISABLE, arg2, others);
	case PR_GET_AUXV:
		return prctl_get_auxv(t, arg2, arg3, arg4 || arg5);
	case PR_SET_MM:
		return prctl_set_mm(t, arg2, arg3, arg4, arg5);
	case PR_MCE_KILL:
		return prctl_mce_kill(t, arg2, arg3, arg4, arg5);
	case PR_MCE_KILL_GET:
		return arg2 || others ? -EINVAL : t->mce_policy;
	case PR_SET_PTRACER:
		return prctl_ptracer(t, arg2);
	case PR_SET_IO_FLUSHER:
	case PR_GET_IO_FLUSHER:
		return prctl_io_flusher(t, option == PR_SET_IO_FLUSHER, arg2, others);
	case PR_SET_SPECULATION_CTRL:
	case PR_GET_SPECULATION_CTRL:
		return prctl_speculation(option == PR_SET_SPECULATION_CTRL, arg2, arg3, arg4, arg5);
	case PR_TASK_PERF_EVENTS_DISABLE:
	case PR_TASK_PERF_EVENTS_ENABLE:
		return 0;
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
		if (ret == -ENOSYS)
			ret = prctl_process(t, option, arg2, arg3, arg4, arg5);
		return ret == -ENOSYS ? prctl_other(t, option, arg2, arg3, arg4, arg5) : ret;
	}
}
