/* Clocks, sleeping, timers, CPU times. */

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/times.h>
#include <sys/timerfd.h>
#include <sys/timex.h>

#include "kernel/timerfd.h"
#include "sched/timer.h"
#include "syscall/util.h"
#include "syscall_protos.h"
#include "time/clock.h"
#include "time/step.h"

#define NS_PER_SEC 1'000'000'000L
#define NS_PER_TICK 10'000'000L /* of times(2): USER_HZ is 100 */

/* ---- reading clocks ---- */

/*
 * CPU clocks. A negative clock id is ~pid << 3 with bit 2: a thread's clock, bits 0 and 1: which (0
 * user and system, 1 user, 2 what the scheduler counts).
 */
struct cpu_clock {
	u32 pid; /* 0: the caller */
	bool thread;
	int kind;
};

enum { CPU_PROF, CPU_VIRT, CPU_SCHED };

static bool cpu_clock_decode(int id, struct cpu_clock *ret)
{
	if (id == CLOCK_PROCESS_CPUTIME_ID || id == CLOCK_THREAD_CPUTIME_ID) {
		*ret = (struct cpu_clock){ .thread = id == CLOCK_THREAD_CPUTIME_ID,
					   .kind = CPU_SCHED };
		return true;
	}
	if (id >= 0 || (id & 3) > CPU_SCHED)
		return false;
	*ret = (struct cpu_clock){ .pid = ~(u32)id >> 3, .thread = id & 4, .kind = id & 3 };
	return true;
}

static s64 cpu_time(const struct task_cpu_times *times, int kind)
{
	return (s64)(kind == CPU_VIRT ? times->user_ns : times->user_ns + times->sys_ns);
}

/* The clock's time, or -EINVAL. */
static s64 cpu_clock_now(struct task *t, const struct cpu_clock *clock)
{
	struct task_cpu_times times;
	struct task *target = t;

	if (clock->pid) {
		target = clock->thread ? task_lookup_get(t, clock->pid) :
					 process_lookup_get(t, clock->pid);
		if (!target)
			return -EINVAL;
		if (clock->thread && target->tg != t->tg) {
			task_put(target);
			return -EINVAL;
		}
	}
	times = clock->thread ? task_cpu_times(target) : group_cpu_times(target->tg);
	if (target != t)
		task_put(target);
	return cpu_time(&times, clock->kind);
}

static long clock_read(struct task *t, int id, s64 *ret)
{
	struct cpu_clock cpu;

	if (likely(guest_clock_valid(id))) {
		*ret = guest_clock_now(id);
		return 0;
	}
	if (!cpu_clock_decode(id, &cpu))
		return -EINVAL;
	*ret = cpu_clock_now(t, &cpu);
	return *ret < 0 ? -EINVAL : 0;
}

long sys_clock_gettime(struct task *t, int clock, struct uaddr time)
{
	s64 now;
	long ret = clock_read(t, clock, &now);

	return ret ? ret : store_timespec(t, time, now);
}

long sys_clock_getres(struct task *t, int clock, struct uaddr ures)
{
	struct timespec res = { .tv_nsec = 1 };
	struct cpu_clock cpu;

	if (guest_clock_valid(clock))
		guest_clock_res(clock, &res);
	else if (!cpu_clock_decode(clock, &cpu) || cpu_clock_now(t, &cpu) < 0)
		return -EINVAL;
	if (uaddr_is_null(ures))
		return 0;
	return copy_out_late(&t->subject, ures, &res, sizeof(res));
}

long sys_clock_settime(struct task *t, int clock, struct uaddr time)
{
	s64 ns;
	int err;

	if (clock != CLOCK_REALTIME && clock != CLOCK_TAI)
		return -EINVAL;
	err = fetch_timespec(t, time, &ns);
	return err ? err : -EPERM;
}

long sys_settimeofday(struct task *t, struct uaddr tv, struct uaddr tz)
{
	struct timeval value;
	int err;

	if (!uaddr_is_null(tv)) {
		err = copy_in(&t->subject, &value, tv, sizeof(value));
		if (err)
			return err;
		if (value.tv_usec < 0 || value.tv_usec >= 1'000'000)
			return -EINVAL;
	}
	return -EPERM;
}

long sys_gettimeofday(struct task *t, struct uaddr utv, struct uaddr utz)
{
	struct timeval tv = ns_to_timeval(guest_clock_now(CLOCK_REALTIME));
	struct timezone tz = {};
	int err = 0;

	if (!uaddr_is_null(utv))
		err = copy_out_late(&t->subject, utv, &tv, sizeof(tv));
	if (!err && !uaddr_is_null(utz))
		err = copy_out_late(&t->subject, utz, &tz, sizeof(tz));
	return err;
}

long sys_time(struct task *t, struct uaddr ut)
{
	s64 seconds = guest_clock_now(CLOCK_REALTIME) / NS_PER_SEC;
	int err = 0;

	if (!uaddr_is_null(ut))
		err = copy_out_late(&t->subject, ut, &seconds, sizeof(seconds));
	return err ? err : seconds;
}

/* ---- sleeping ---- */

/* Sleep until deadline. A sleep that is interrupted tells at rem what is left, and goes on
 * if no handler ran (restart block). */
static long do_sleep(struct task *t, s64 deadline, struct uaddr rem)
{
	s64 left;
	int ret = 0, err;

	while (!ret)
		ret = fiber_park_interruptible(deadline);
	if (ret == -ETIMEDOUT)
		return 0;
	left = deadline - sched_now();
	if (left <= 0)
		return 0;
	if (!uaddr_is_null(rem)) {
		err = store_timespec(t, rem, left);
		if (err)
			return err;
	}
	t->restart = (struct restart_state){ .kind = RESTART_NANOSLEEP,
					     .deadline = deadline,
					     .arg = { rem.v } };
	return -ERESTART_RESTARTBLOCK;
}

/* Sleep until a clock shows ns, though it be set meanwhile. */
static long sleep_until(int clock, s64 ns)
{
	struct clock_deadline d;
	int ret;

	clock_deadline_begin(&d, clock, ns);
	do {
		ret = clock_deadline_park(&d);
	} while (!ret);
	clock_deadline_end(&d);
	return ret == -ETIMEDOUT ? 0 : -ERESTARTNOHAND;
}

long sys_nanosleep(struct task *t, struct uaddr req, struct uaddr rem)
{
	s64 ns;
	int err = fetch_timespec(t, req, &ns);

	return err ? err : do_sleep(t, deadline_in(ns), rem);
}

long sys_clock_nanosleep(struct task *t, int clock, int flags, struct uaddr req, struct uaddr rem)
{
	struct cpu_clock cpu;
	s64 ns;
	int err;

	if (!guest_clock_valid(clock))
		return cpu_clock_decode(clock, &cpu) ? -EOPNOTSUPP : -EINVAL;
	if (clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_REALTIME_COARSE ||
	    clock == CLOCK_MONOTONIC_COARSE)
		return -EOPNOTSUPP;
	err = fetch_timespec(t, req, &ns);
	if (err)
		return err;
	if (flags & TIMER_ABSTIME)
		return sleep_until(clock, ns);
	return do_sleep(t, deadline_in(ns), rem);
}

long sys_restart_syscall(struct task *t)
{
	struct restart_state r = t->restart;

	t->restart.kind = RESTART_NONE;
	switch (r.kind) {
	case RESTART_NANOSLEEP:
		return do_sleep(t, r.deadline, UADDR(r.arg[0]));
	case RESTART_FUTEX_WAIT:
		return futex_wait_restart(t, &r);
	case RESTART_POLL:
		return poll_restart(t, &r);
	case RESTART_NONE:
	default:
		return -EINTR;
	}
}

/* ---- interval timers ---- */

static bool timeval_to_ns(const struct timeval *tv, s64 *ret)
{
	struct timespec ts = { .tv_sec = tv->tv_sec };

	if (tv->tv_usec < 0 || tv->tv_usec >= 1'000'000)
		return false;
	ts.tv_nsec = tv->tv_usec * 1000;
	return timespec_to_ns(&ts, ret);
}

static int store_itimerval(struct task *t, struct uaddr addr, const struct itimer_ns *it)
{
	struct itimerval value = { .it_interval = ns_to_timeval(it->interval),
				   .it_value = ns_to_timeval(it->value) };

	/* A running timer never shows zero. */
	if (it->value && !value.it_value.tv_sec && !value.it_value.tv_usec)
		value.it_value.tv_usec = 1;
	return copy_out_late(&t->subject, addr, &value, sizeof(value));
}

long sys_getitimer(struct task *t, int which, struct uaddr value)
{
	struct itimer_ns it;
	int err = task_getitimer(t, which, &it);

	return err ? err : store_itimerval(t, value, &it);
}

long sys_setitimer(struct task *t, int which, struct uaddr uvalue, struct uaddr old)
{
	struct itimerval value = {};
	struct itimer_ns new, prev;
	int err = 0;

	if (!uaddr_is_null(uvalue))
		err = copy_in(&t->subject, &value, uvalue, sizeof(value));
	if (err)
		return err;
	if (!timeval_to_ns(&value.it_value, &new.value) ||
	    !timeval_to_ns(&value.it_interval, &new.interval))
		return -EINVAL;
	err = task_setitimer(t, which, &new, &prev);
	if (err || uaddr_is_null(old))
		return err;
	return store_itimerval(t, old, &prev);
}

long sys_alarm(struct task *t, u32 seconds)
{
	struct itimer_ns new = {}, old;
	s64 left;
	int err;

	/* Linux takes at most INT_MAX seconds. */
	new.value = (s64)min(seconds, (u32)INT_MAX) * NS_PER_SEC;
	err = task_setitimer(t, ITIMER_REAL, &new, &old);
	if (err)
		return err;
	/* Rounded, but never to zero while it runs. */
	left = (old.value + NS_PER_SEC / 2) / NS_PER_SEC;
	return old.value && !left ? 1 : left;
}

/* ---- POSIX timers ---- */

static int fetch_itimerspec(struct task *t, struct uaddr addr, struct itimer_ns *ret)
{
	struct itimerspec value;
	int err = copy_in(&t->subject, &value, addr, sizeof(value));

	if (err)
		return err;
	if (!timespec_to_ns(&value.it_value, &ret->value) ||
	    !timespec_to_ns(&value.it_interval, &ret->interval))
		return -EINVAL;
	return 0;
}

static int store_itimerspec(struct task *t, struct uaddr addr, const struct itimer_ns *it)
{
	struct itimerspec value = { .it_interval = ns_to_timespec(it->interval),
				    .it_value = ns_to_timespec(it->value) };

	return copy_out_late(&t->subject, addr, &value, sizeof(value));
}

long sys_timer_create(struct task *t, int clock, struct uaddr uevent, struct uaddr uid)
{
	struct sigevent event;
	bool has_event = !uaddr_is_null(uevent);
	s32 id;
	int err;

	_Static_assert(sizeof(struct sigevent) == 64, "layout of struct sigevent");
	if (has_event) {
		err = copy_in(&t->subject, &event, uevent, sizeof(event));
		if (err)
			return err;
	}
	err = task_timer_create(t, clock, has_event ? &event : NULL, &id);
	if (err)
		return err;
	err = copy_out(&t->subject, uid, &id, sizeof(id));
	if (err)
		(void)task_timer_delete(t, id);
	return err;
}

long sys_timer_settime(struct task *t, int id, int flags, struct uaddr value, struct uaddr old)
{
	struct itimer_ns new, prev;
	int err;

	if (uaddr_is_null(value))
		return -EINVAL;
	err = fetch_itimerspec(t, value, &new);
	if (!err)
		err = task_timer_settime(t, id, flags, &new, &prev);
	if (err || uaddr_is_null(old))
		return err;
	return store_itimerspec(t, old, &prev);
}

long sys_timer_gettime(struct task *t, int id, struct uaddr value)
{
	struct itimer_ns now;
	int err = task_timer_gettime(t, id, &now);

	return err ? err : store_itimerspec(t, value, &now);
}

long sys_timer_getoverrun(struct task *t, int id)
{
	return task_timer_getoverrun(t, id);
}

long sys_timer_delete(struct task *t, int id)
{
	return task_timer_delete(t, id);
}

/* ---- timerfd ---- */

long sys_timerfd_create(struct task *t, int clock, int flags)
{
	struct file *f;
	int err;

	if (flags & ~(TFD_CLOEXEC | TFD_NONBLOCK))
		return -EINVAL;
	err = timerfd_create_file(t, clock, (u32)flags & O_NONBLOCK, &f);
	return err ? err : file_install(t, f, flags);
}

long sys_timerfd_settime(struct task *t, int fd, int flags, struct uaddr value, struct uaddr old)
{
	struct itimer_ns new, prev;
	int err = fetch_itimerspec(t, value, &new);
	struct file *f;

	if (err)
		return err;
	f = file_lookup(t, fd);
	if (!f)
		return flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) ? -EINVAL : -EBADF;
	err = timerfd_set(t, f, flags, &new, &prev);
	file_put(f);
	if (err || uaddr_is_null(old))
		return err;
	return store_itimerspec(t, old, &prev);
}

long sys_timerfd_gettime(struct task *t, int fd, struct uaddr value)
{
	struct file *f = file_lookup(t, fd);
	struct itimer_ns now;
	int err;

	if (!f)
		return -EBADF;
	err = timerfd_get(f, &now);
	file_put(f);
	return err ? err : store_itimerspec(t, value, &now);
}

/* ---- resource use ---- */

static struct rusage_ns children_usage(struct task *t)
{
	struct rusage_ns ret;

	tasks_lock();
	ret = t->tg->child_usage;
	tasks_unlock();
	return ret;
}

long sys_getrusage(struct task *t, int who, struct uaddr usage)
{
	struct rusage_ns u;
	struct rusage ru;

	switch (who) {
	case RUSAGE_SELF:
		u = group_usage(t->tg);
		break;
	case RUSAGE_THREAD:
		u = task_usage(t);
		break;
	case RUSAGE_CHILDREN:
		u = children_usage(t);
		break;
	default:
		return -EINVAL;
	}
	ru = rusage_from_ns(&u);
	return copy_out_late(&t->subject, usage, &ru, sizeof(ru));
}

long sys_times(struct task *t, struct uaddr buf)
{
	struct task_cpu_times own;
	struct rusage_ns children;
	struct tms tms;
	int err;

	if (!uaddr_is_null(buf)) {
		own = group_cpu_times(t->tg);
		children = children_usage(t);
		tms.tms_utime = (clock_t)own.user_ns / NS_PER_TICK;
		tms.tms_stime = (clock_t)own.sys_ns / NS_PER_TICK;
		tms.tms_cutime = (clock_t)children.utime / NS_PER_TICK;
		tms.tms_cstime = (clock_t)children.stime / NS_PER_TICK;
		err = copy_out_late(&t->subject, buf, &tms, sizeof(tms));
		if (err)
			return err;
	}
	return guest_clock_now(CLOCK_BOOTTIME) / NS_PER_TICK;
}
