/*
 * Clocks, sleeping and timers.
 */
#include "tap.h"
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>

static int64_t ns_of(struct timespec t)
{
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int64_t now(clockid_t clock)
{
	struct timespec t;
	need(clock_gettime(clock, &t) == 0);
	return ns_of(t);
}

static int64_t raw_now(clockid_t clock)
{
	struct timespec t;
	need(syscall(SYS_clock_gettime, clock, &t) == 0);
	return ns_of(t);
}

static void test_clocks(void)
{
	static const struct {
		clockid_t clock;
		const char *name;
		int64_t slack; /* a coarse clock may lag behind a fine one */
	} clocks[] = {
		{ CLOCK_REALTIME, "CLOCK_REALTIME", 0 },
		{ CLOCK_MONOTONIC, "CLOCK_MONOTONIC", 0 },
		{ CLOCK_PROCESS_CPUTIME_ID, "CLOCK_PROCESS_CPUTIME_ID", 0 },
		{ CLOCK_THREAD_CPUTIME_ID, "CLOCK_THREAD_CPUTIME_ID", 0 },
		{ CLOCK_MONOTONIC_RAW, "CLOCK_MONOTONIC_RAW", 0 },
		{ CLOCK_REALTIME_COARSE, "CLOCK_REALTIME_COARSE", 20000000 },
		{ CLOCK_MONOTONIC_COARSE, "CLOCK_MONOTONIC_COARSE", 20000000 },
		{ CLOCK_BOOTTIME, "CLOCK_BOOTTIME", 0 },
		{ CLOCK_TAI, "CLOCK_TAI", 0 },
	};
	struct timespec resolution;
	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++) {
		clockid_t clock = clocks[i].clock;
		int64_t slack = clocks[i].slack, last = 0;
		bool grows = true;
		for (int j = 0; j < 1000; j++) {
			int64_t t = j % 2 ? raw_now(clock) : now(clock);
			grows &= t + slack >= last;
			last = t;
		}
		ok(grows, "%s does not go back, by vDSO and by system call", clocks[i].name);
		is_int(clock_getres(clock, &resolution), 0, "%s has a resolution", clocks[i].name);
		ok(resolution.tv_sec == 0 && resolution.tv_nsec >= 1 &&
			   resolution.tv_nsec <= 10000000,
		   "of at most 10 ms");
		is_int(clock_getres(clock, NULL), 0, "clock_getres to NULL");
	}
	is_err(clock_gettime(99, &resolution), EINVAL, "clock 99");
	is_err(syscall(SYS_clock_gettime, 99, &resolution), EINVAL, "the same by system call");
	is_err(clock_getres(99, &resolution), EINVAL, "its resolution");
	is_err(syscall(SYS_clock_gettime, CLOCK_REALTIME, BAD_PTR), EFAULT, "to a bad address");
	is_err(syscall(SYS_clock_getres, CLOCK_REALTIME, BAD_PTR), EFAULT, "the same of getres");
}

static void test_agreement(void)
{
	struct timeval tv, raw;
	time_t seconds;
	int64_t before = now(CLOCK_REALTIME_COARSE) / 1000000000;
	is_int(gettimeofday(&tv, NULL), 0, "gettimeofday");
	is_int(syscall(SYS_gettimeofday, &raw, NULL), 0, "by system call");
	seconds = time(NULL);
	time_t raw_seconds = syscall(SYS_time, NULL);
	int64_t after = now(CLOCK_REALTIME) / 1000000000;
	ok(tv.tv_sec >= before && tv.tv_sec <= after, "gettimeofday is CLOCK_REALTIME");
	ok(raw.tv_sec >= before && raw.tv_sec <= after, "by system call, too");
	ok(seconds >= before && seconds <= after, "time is");
	ok(raw_seconds >= before && raw_seconds <= after, "by system call, too");
	ok(tv.tv_usec < 1000000, "microseconds");
	is_err(syscall(SYS_gettimeofday, BAD_PTR, NULL), EFAULT, "gettimeofday to a bad address");
	is_err(syscall(SYS_time, BAD_PTR), EFAULT, "time to a bad address");
	int64_t monotonic = now(CLOCK_MONOTONIC), boot = now(CLOCK_BOOTTIME);
	ok(boot >= monotonic, "CLOCK_BOOTTIME is not behind CLOCK_MONOTONIC");
}

static void test_sleep(void)
{
	struct timespec t = { 0, 30000000 }, bad = { 0, 1000000000 }, negative = { -1, 0 },
			zero = {};
	int64_t start = now(CLOCK_MONOTONIC);
	is_int(nanosleep(&t, NULL), 0, "nanosleep");
	ok(now(CLOCK_MONOTONIC) - start >= 30000000, "sleeps at least 30 ms");
	is_int(nanosleep(&zero, NULL), 0, "nanosleep for no time");
	is_err(nanosleep(&bad, NULL), EINVAL, "bad nanoseconds");
	is_err(nanosleep(&negative, NULL), EINVAL, "negative");
	is_err(syscall(SYS_nanosleep, BAD_PTR, NULL), EFAULT, "nanosleep from a bad address");
	start = now(CLOCK_MONOTONIC);
	t.tv_sec = (start + 30000000) / 1000000000;
	t.tv_nsec = (start + 30000000) % 1000000000;
	is_int(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0, "TIMER_ABSTIME");
	ok(now(CLOCK_MONOTONIC) >= start + 30000000, "sleeps until then");
	is_int(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0, "a time in the past");
	t = (struct timespec){ 0, 1000000 };
	is_int(clock_nanosleep(CLOCK_REALTIME, 0, &t, NULL), 0, "CLOCK_REALTIME");
	is_int(clock_nanosleep(CLOCK_BOOTTIME, 0, &t, NULL), 0, "CLOCK_BOOTTIME");
	is_int(clock_nanosleep(99, 0, &t, NULL), EINVAL, "clock 99");
	is_int(clock_nanosleep(CLOCK_MONOTONIC, 0, &bad, NULL), EINVAL, "bad nanoseconds");
	is_err(syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL), EOPNOTSUPP,
	       "CLOCK_THREAD_CPUTIME_ID");
}

static volatile int ticks;
static volatile siginfo_t last;

static void on_tick(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	last = *info;
	ticks++;
}

static void catch (int signal)
{
	struct sigaction action = { .sa_sigaction = on_tick, .sa_flags = SA_SIGINFO };
	need(sigaction(signal, &action, NULL) == 0);
	ticks = 0;
}

static void await_ticks(int count)
{
	while (ticks < count)
		pause_ms(1);
}

static void itimers(void)
{
	struct itimerval value = { { 0, 5000 }, { 0, 5000 } }, old, off = {};
	catch (SIGALRM);
	alarm(0);
	need(setitimer(ITIMER_REAL, &value, NULL) == 0);
	await_ticks(3);
	need(last.si_code == SI_KERNEL);
	need(getitimer(ITIMER_REAL, &old) == 0);
	need(old.it_interval.tv_usec == 5000 && old.it_value.tv_usec <= 5000);
	need(setitimer(ITIMER_REAL, &off, &old) == 0);
	need(old.it_interval.tv_usec == 5000);
	need(getitimer(ITIMER_REAL, &old) == 0 && old.it_value.tv_usec == 0);

	need(alarm(100) == 0);
	unsigned left = alarm(50);
	need(left == 100 || left == 99);
	need(getitimer(ITIMER_REAL, &old) == 0 && old.it_value.tv_sec >= 48);
	need(alarm(0) >= 49);

	catch (SIGVTALRM);
	need(setitimer(ITIMER_VIRTUAL, &value, NULL) == 0);
	while (ticks < 2)
		;
	need(setitimer(ITIMER_VIRTUAL, &off, NULL) == 0);
	catch (SIGPROF);
	need(setitimer(ITIMER_PROF, &value, NULL) == 0);
	while (ticks < 2)
		;
	need(setitimer(ITIMER_PROF, &off, NULL) == 0);

	need_err(setitimer(9, &value, NULL), EINVAL);
	need_err(getitimer(9, &value), EINVAL);
	need_err(syscall(SYS_getitimer, ITIMER_REAL, BAD_PTR), EFAULT);
	need_err(syscall(SYS_setitimer, ITIMER_REAL, BAD_PTR, NULL), EFAULT);
	value.it_value.tv_usec = 1000000;
	need_err(setitimer(ITIMER_REAL, &value, NULL), EINVAL);
	value.it_value.tv_usec = -1;
	need_err(setitimer(ITIMER_REAL, &value, NULL), EINVAL);
}

static void not_inherited(void)
{
	struct itimerval value = { {}, { 50, 0 } };
	need(setitimer(ITIMER_REAL, &value, NULL) == 0);
	pid_t child = fork();
	if (child == 0) {
		need(getitimer(ITIMER_REAL, &value) == 0);
		_exit(value.it_value.tv_sec == 0 && value.it_value.tv_usec == 0 ? 0 : 1);
	}
	need(tap_wait(child) == 0);
}

static void posix_timers(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2 };
	struct itimerspec value = { { 0, 5000000 }, { 0, 5000000 } }, got;
	timer_t timer;
	event.sigev_value.sival_int = 4711;
	catch (SIGRTMIN + 2);
	need(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	need(timer_gettime(timer, &got) == 0 && ns_of(got.it_value) == 0);
	need(timer_settime(timer, 0, &value, NULL) == 0);
	await_ticks(3);
	need(last.si_code == SI_TIMER && last.si_value.sival_int == 4711);
	need(timer_gettime(timer, &got) == 0);
	need(ns_of(got.it_interval) == 5000000 && ns_of(got.it_value) > 0);

	/* Blocked, it is queued once and counts overruns. */
	sigset_t set;
	siginfo_t info;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	need(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	need(sigwaitinfo(&set, &info) == SIGRTMIN + 2);
	pause_ms(40);
	need(sigwaitinfo(&set, &info) == SIGRTMIN + 2);
	need(info.si_overrun >= 5 && timer_getoverrun(timer) == info.si_overrun);
	value = (struct itimerspec){};
	need(timer_settime(timer, 0, &value, &got) == 0);
	need(ns_of(got.it_interval) == 5000000);
	need(timer_delete(timer) == 0);
	need_err(timer_gettime(timer, &got), EINVAL);
	need_err(timer_delete(timer), EINVAL);

	/* An absolute time. */
	need(timer_create(CLOCK_REALTIME, &event, &timer) == 0);
	need(clock_gettime(CLOCK_REALTIME, &value.it_value) == 0);
	need(timer_settime(timer, TIMER_ABSTIME, &value, NULL) == 0);
	need(sigwaitinfo(&set, &info) == SIGRTMIN + 2);
	need(timer_delete(timer) == 0);
}

static void posix_timer_kinds(void)
{
	struct itimerspec value = { {}, { 0, 1000000 } }, got;
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	timer_t timer;
	need(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	need(timer_settime(timer, 0, &value, NULL) == 0);
	do
		need(timer_gettime(timer, &got) == 0);
	while (ns_of(got.it_value) > 0);
	need(timer_delete(timer) == 0);

	event.sigev_notify = SIGEV_THREAD_ID;
	event.sigev_signo = SIGUSR1;
	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	catch (SIGUSR1);
	need(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	need(timer_settime(timer, 0, &value, NULL) == 0);
	await_ticks(1);
	need(timer_delete(timer) == 0);

	/* By default SIGALRM with the timer's id. */
	catch (SIGALRM);
	need(timer_create(CLOCK_BOOTTIME, NULL, &timer) == 0);
	need(timer_settime(timer, 0, &value, NULL) == 0);
	await_ticks(1);
	need(last.si_code == SI_TIMER);
	need(timer_delete(timer) == 0);

	catch (SIGUSR1);
	event.sigev_notify = SIGEV_SIGNAL;
	need(timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) == 0);
	need(timer_settime(timer, 0, &value, NULL) == 0);
	while (ticks < 1)
		;
	need(timer_delete(timer) == 0);
}

static void posix_timer_errors(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = 99 };
	struct itimerspec value = { {}, { 0, 1000000000 } };
	timer_t timer;
	int id;
	need_err(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id), EINVAL);
	event.sigev_signo = SIGUSR1;
	need_err(syscall(SYS_timer_create, 99, &event, &id), EINVAL);
	need_err(syscall(SYS_timer_create, CLOCK_MONOTONIC, BAD_PTR, &id), EFAULT);
	need_err(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, BAD_PTR), EFAULT);
	event.sigev_notify = 77;
	need_err(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id), EINVAL);
	event.sigev_notify = SIGEV_THREAD_ID;
	event._sigev_un._tid = 1 << 30;
	need_err(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id), EINVAL);
	need(timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0);
	need_err(timer_settime(timer, 0, &value, NULL), EINVAL);
	need_err(syscall(SYS_timer_settime, 0, 0, NULL, NULL), EINVAL);
	need_err(syscall(SYS_timer_settime, 12345, 0, &(struct itimerspec){}, NULL), EINVAL);
	need_err(syscall(SYS_timer_getoverrun, 12345), EINVAL);
	need(timer_delete(timer) == 0);
}

static void test_cpu_time(void)
{
	struct rusage usage;
	struct tms tms;
	int64_t start = now(CLOCK_PROCESS_CPUTIME_ID), thread = now(CLOCK_THREAD_CPUTIME_ID);
	while (now(CLOCK_PROCESS_CPUTIME_ID) - start < 60000000)
		;
	ok(now(CLOCK_THREAD_CPUTIME_ID) > thread, "the thread's clock runs too");
	is_int(getrusage(RUSAGE_SELF, &usage), 0, "getrusage");
	ok(usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec +
			   usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec >=
		   20000,
	   "it shows the time used");
	is_int(getrusage(RUSAGE_CHILDREN, &usage), 0, "RUSAGE_CHILDREN");
	is_int(getrusage(RUSAGE_THREAD, &usage), 0, "RUSAGE_THREAD");
	is_err(getrusage(77, &usage), EINVAL, "getrusage of 77");
	is_err(syscall(SYS_getrusage, RUSAGE_SELF, BAD_PTR), EFAULT, "to a bad address");
	ok(times(&tms) != (clock_t)-1, "times");
	ok(tms.tms_utime + tms.tms_stime >= 1, "shows ticks");
	is_err(syscall(SYS_times, BAD_PTR), EFAULT, "times to a bad address");
	ok(syscall(SYS_times, NULL) > 0, "times without a buffer");
	clockid_t clock;
	is_int(clock_getcpuclockid(0, &clock), 0, "clock_getcpuclockid");
	ok(now(clock) >= start, "it is the process's");
}

int main(void)
{
	tap_begin();
	test_clocks();
	test_agreement();
	test_sleep();
	child_ok(itimers, "interval timers");
	child_ok(not_inherited, "which a child does not inherit");
	child_ok(posix_timers, "POSIX timers");
	child_ok(posix_timer_kinds, "their notifications");
	child_ok(posix_timer_errors, "their errors");
	test_cpu_time();
	return tap_end();
}
