/*
 * The guest's vDSO. It reads clocks through the host's own vdso, whose place the data page tells,
 * so it is right on any host clock; what that cannot answer is an ordinary system call.
 */

#include <time.h>
#include <sys/time.h>

#include "base/types.h"
#include "loader/vdso/vdso_data.h"

#define NR_gettimeofday 96
#define NR_time 201
#define NR_clock_gettime 228
#define NR_clock_getres 229
#define NR_getcpu 309
#define NS_PER_SEC 1'000'000'000

#define EXPORT(name) __attribute__((weak, alias("__vdso_" #name)))

/* Placed by vdso.lds. Another process writes it: volatile. */
extern const volatile struct vdso_data vdso_data __attribute__((visibility("hidden")));

typedef int clock_fn(clockid_t id, struct timespec *ts);
typedef int gettimeofday_fn(struct timeval *tv, void *tz);
typedef time_t time_fn(time_t *t);
typedef int getcpu_fn(unsigned int *cpu, unsigned int *node, void *unused);

int __vdso_clock_gettime(clockid_t id, struct timespec *ts);
int __vdso_clock_getres(clockid_t id, struct timespec *ts);
int __vdso_gettimeofday(struct timeval *tv, void *tz);
time_t __vdso_time(time_t *t);
int __vdso_getcpu(unsigned int *cpu, unsigned int *node, void *unused);

static long vdso_syscall(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

/* True if the host's functions may be asked about clock id. */
static bool clock_is_fast(clockid_t id)
{
	return (u32)id < VDSO_CLOCKS && vdso_data.clocks >> id & 1;
}

int __vdso_clock_gettime(clockid_t id, struct timespec *ts)
{
	clock_fn *fn = (clock_fn *)vdso_data.clock_gettime;
	s64 offset, sec, nsec;
	int ret;

	if (!fn || !clock_is_fast(id))
		return (int)vdso_syscall(NR_clock_gettime, id, (long)ts, 0);
	ret = fn(id, ts);
	offset = vdso_data.offset[id];
	if (__builtin_expect(ret || !offset, 1))
		return ret;
	sec = ts->tv_sec + offset / NS_PER_SEC;
	nsec = ts->tv_nsec + offset % NS_PER_SEC;
	if (nsec < 0) {
		nsec += NS_PER_SEC;
		sec--;
	} else if (nsec >= NS_PER_SEC) {
		nsec -= NS_PER_SEC;
		sec++;
	}
	ts->tv_sec = sec;
	ts->tv_nsec = nsec;
	return 0;
}

int __vdso_clock_getres(clockid_t id, struct timespec *ts)
{
	clock_fn *fn = (clock_fn *)vdso_data.clock_getres;

	if (!fn || !clock_is_fast(id))
		return (int)vdso_syscall(NR_clock_getres, id, (long)ts, 0);
	return fn(id, ts);
}

int __vdso_gettimeofday(struct timeval *tv, void *tz)
{
	gettimeofday_fn *fn = (gettimeofday_fn *)vdso_data.gettimeofday;

	if (!fn || tz || !clock_is_fast(CLOCK_REALTIME) || vdso_data.offset[CLOCK_REALTIME])
		return (int)vdso_syscall(NR_gettimeofday, (long)tv, (long)tz, 0);
	return fn(tv, tz);
}

time_t __vdso_time(time_t *t)
{
	time_fn *fn = (time_fn *)vdso_data.time;

	if (!fn || !clock_is_fast(CLOCK_REALTIME) || vdso_data.offset[CLOCK_REALTIME])
		return vdso_syscall(NR_time, (long)t, 0, 0);
	return fn(t);
}

int __vdso_getcpu(unsigned int *cpu, unsigned int *node, void *unused)
{
	getcpu_fn *fn = (getcpu_fn *)vdso_data.getcpu;

	if (!fn)
		return (int)vdso_syscall(NR_getcpu, (long)cpu, (long)node, (long)unused);
	return fn(cpu, node, unused);
}

int clock_gettime(clockid_t id, struct timespec *ts) EXPORT(clock_gettime);
int clock_getres(clockid_t id, struct timespec *ts) EXPORT(clock_getres);
int gettimeofday(struct timeval *restrict tv, void *restrict tz) EXPORT(gettimeofday);
time_t time(time_t *t) EXPORT(time);
int getcpu(unsigned int *cpu, unsigned int *node, void *unused);
int getcpu(unsigned int *cpu, unsigned int *node, void *unused) EXPORT(getcpu);
