/* Typed wrappers of the host's calls; see host.h for what is common to all. */

#include "host/host.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/openat2.h>
#include <sys/rseq.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include "base/bug.h"
#include "host/sanitize.h"

#define NS_PER_S 1'000'000'000LL
#define CPU_CLOCK_SCHED 2 /* a process clock id is ~pid << 3 and this */

/* host_call with as many arguments as given, each made a long. */
#define CALL0(nr) host_call(nr, 0, 0, 0, 0, 0, 0)
#define CALL1(nr, a) host_call(nr, (long)(a), 0, 0, 0, 0, 0)
#define CALL2(nr, a, b) host_call(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define CALL3(nr, a, b, c) host_call(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define CALL4(nr, a, b, c, d) host_call(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define CALL5(nr, a, b, c, d, e) \
	host_call(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define CALL6(nr, a, b, c, d, e, f) \
	host_call(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* ---- files ---- */

int host_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	return (int)CALL4(SYS_openat, dirfd, path, flags | O_CLOEXEC, mode);
}

int host_openat2(int dirfd, const char *path, u64 flags, u64 mode, u64 resolve)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve };

	return (int)CALL4(SYS_openat2, dirfd, path, &how, sizeof(how));
}

int host_close(int fd)
{
	return (int)CALL1(SYS_close, fd);
}

ssize_t host_read(int fd, void *buf, size_t size)
{
	return CALL3(SYS_read, fd, buf, size);
}

ssize_t host_write(int fd, const void *buf, size_t size)
{
	return CALL3(SYS_write, fd, buf, size);
}

ssize_t host_pread(int fd, void *buf, size_t size, s64 off)
{
	return CALL4(SYS_pread64, fd, buf, size, off);
}

ssize_t host_pwrite(int fd, const void *buf, size_t size, s64 off)
{
	return CALL4(SYS_pwrite64, fd, buf, size, off);
}

ssize_t host_pread_nowait(int fd, void *buf, size_t size, s64 off)
{
	struct iovec iov = { .iov_base = buf, .iov_len = size };

	return CALL6(SYS_preadv2, fd, &iov, 1, off, 0, RWF_NOWAIT);
}

ssize_t host_readv(int fd, const struct iovec *iov, int count)
{
	return CALL3(SYS_readv, fd, iov, count);
}

ssize_t host_writev(int fd, const struct iovec *iov, int count)
{
	return CALL3(SYS_writev, fd, iov, count);
}

s64 host_lseek(int fd, s64 off, int whence)
{
	return CALL3(SYS_lseek, fd, off, whence);
}

int host_fstat(int fd, struct stat *ret_st)
{
	return (int)CALL2(SYS_fstat, fd, ret_st);
}

int host_statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *ret_stx)
{
	return (int)CALL5(SYS_statx, dirfd, path, flags, mask, ret_stx);
}

int host_fstatfs(int fd, struct statfs *ret)
{
	return (int)CALL2(SYS_fstatfs, fd, ret);
}

ssize_t host_readlinkat(int dirfd, const char *path, char *buf, size_t size)
{
	return CALL4(SYS_readlinkat, dirfd, path, buf, size);
}

int host_faccessat2(int dirfd, const char *path, int mode, int flags)
{
	return (int)CALL4(SYS_faccessat2, dirfd, path, mode, flags);
}

ssize_t host_fgetxattr(int fd, const char *name, void *buf, size_t size)
{
	return CALL4(SYS_fgetxattr, fd, name, buf, size);
}

ssize_t host_flistxattr(int fd, char *buf, size_t size)
{
	return CALL3(SYS_flistxattr, fd, buf, size);
}

int host_fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)
{
	return (int)CALL5(SYS_fsetxattr, fd, name, value, size, flags);
}

int host_fremovexattr(int fd, const char *name)
{
	return (int)CALL2(SYS_fremovexattr, fd, name);
}

ssize_t host_getdents64(int fd, void *buf, size_t size)
{
	return CALL3(SYS_getdents64, fd, buf, size);
}

int host_ftruncate(int fd, s64 size)
{
	return (int)CALL2(SYS_ftruncate, fd, size);
}

int host_fsync(int fd, bool data_only)
{
	return (int)CALL1(data_only ? SYS_fdatasync : SYS_fsync, fd);
}

ssize_t host_append(int fd, const void *buf, size_t size)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = size };

	/* An offset of -1: fd's own position, which the host moves to the end. */
	return CALL6(SYS_pwritev2, fd, &iov, 1, -1, -1, RWF_APPEND);
}

int host_mkdirat(int dirfd, const char *name, mode_t mode)
{
	return (int)CALL3(SYS_mkdirat, dirfd, name, mode);
}

int host_symlinkat(const char *target, int dirfd, const char *name)
{
	return (int)CALL3(SYS_symlinkat, target, dirfd, name);
}

int host_linkat(int old_dirfd, const char *old, int new_dirfd, const char *new)
{
	return (int)CALL5(SYS_linkat, old_dirfd, old, new_dirfd, new, 0);
}

int host_unlinkat(int dirfd, const char *name, int flags)
{
	return (int)CALL3(SYS_unlinkat, dirfd, name, flags);
}

int host_renameat2(int old_dirfd, const char *old, int new_dirfd, const char *new,
		   unsigned int flags)
{
	return (int)CALL5(SYS_renameat2, old_dirfd, old, new_dirfd, new, flags);
}

int host_fchmodat(int dirfd, const char *path, mode_t mode)
{
	return (int)CALL3(SYS_fchmodat, dirfd, path, mode);
}

int host_chown_fd(int fd, u32 uid, u32 gid)
{
	return (int)CALL5(SYS_fchownat, fd, "", uid, gid, AT_EMPTY_PATH);
}

int host_utimens_fd(int fd, const struct timespec times[2])
{
	return (int)CALL4(SYS_utimensat, fd, "", times, AT_EMPTY_PATH);
}

int host_fallocate(int fd, int mode, s64 off, s64 size)
{
	return (int)CALL4(SYS_fallocate, fd, mode, off, size);
}

int host_fcntl(int fd, int cmd, long arg)
{
	return (int)CALL3(SYS_fcntl, fd, cmd, arg);
}

int host_ioctl(int fd, unsigned long cmd, void *arg)
{
	return (int)CALL3(SYS_ioctl, fd, cmd, arg);
}

int host_dup(int fd)
{
	return (int)CALL3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);
}

int host_dup3(int fd, int newfd, int flags)
{
	return (int)CALL3(SYS_dup3, fd, newfd, flags | O_CLOEXEC);
}

int host_pipe2(int fds[2], int flags)
{
	return (int)CALL2(SYS_pipe2, fds, flags | O_CLOEXEC);
}

int host_memfd_create(const char *name, unsigned int flags)
{
	return (int)CALL2(SYS_memfd_create, name, flags | MFD_CLOEXEC);
}

/* ---- events ---- */

int host_eventfd(unsigned int initial, int flags)
{
	return (int)CALL2(SYS_eventfd2, initial, flags | O_CLOEXEC);
}

int host_epoll_create(void)
{
	return (int)CALL1(SYS_epoll_create1, EPOLL_CLOEXEC);
}

int host_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	return (int)CALL4(SYS_epoll_ctl, epfd, op, fd, ev);
}

int host_epoll_wait(int epfd, struct epoll_event *evs, int max, s64 timeout_ns)
{
	struct timespec ts = { timeout_ns / NS_PER_S, timeout_ns % NS_PER_S };
	s64 ms;
	int ret;

	ret = (int)CALL6(SYS_epoll_pwait2, epfd, evs, max, timeout_ns < 0 ? NULL : &ts, 0, 0);
	if (likely(ret != -ENOSYS))
		return ret;
	ms = timeout_ns < 0 ? -1 : min((timeout_ns + 999'999) / 1'000'000, (s64)INT32_MAX);
	return (int)CALL6(SYS_epoll_pwait, epfd, evs, max, ms, 0, 0);
}

int host_ppoll(struct pollfd *fds, unsigned int count, s64 timeout_ns)
{
	struct timespec ts = { timeout_ns / NS_PER_S, timeout_ns % NS_PER_S };

	return (int)CALL5(SYS_ppoll, fds, count, timeout_ns < 0 ? NULL : &ts, 0, 0);
}

int host_poll(struct pollfd *fds, unsigned int count, int timeout_ms)
{
	return (int)CALL3(SYS_poll, fds, count, timeout_ms);
}

/* ---- memory ---- */

#if defined(DONJON_TSAN)
/* TSan must see memory come and go, or it takes a new mapping's first use for a race with an old
 * one's last. */
void *host_mmap(void *addr, size_t size, int prot, int flags, int fd, s64 off)
{
	int saved = errno;
	void *p = mmap(addr, size, prot, flags, fd, off);

	if (p == MAP_FAILED)
		p = (void *)(long)-errno;
	errno = saved;
	return p;
}

int host_munmap(void *addr, size_t size)
{
	int saved = errno, ret = munmap(addr, size) ? -errno : 0;

	errno = saved;
	return ret;
}
#else
void *host_mmap(void *addr, size_t size, int prot, int flags, int fd, s64 off)
{
	return (void *)CALL6(SYS_mmap, addr, size, prot, flags, fd, off);
}

int host_munmap(void *addr, size_t size)
{
	return (int)CALL2(SYS_munmap, addr, size);
}
#endif

int host_mprotect(void *addr, size_t size, int prot)
{
	return (int)CALL3(SYS_mprotect, addr, size, prot);
}

int host_mincore(void *addr, size_t size, u8 *vec)
{
	return (int)CALL3(SYS_mincore, addr, size, vec);
}

int host_madvise(void *addr, size_t size, int advice)
{
	return (int)CALL3(SYS_madvise, addr, size, advice);
}

/* ---- time and futexes ---- */

int host_futex_wait(_Atomic u32 *word, u32 val, s64 deadline_ns)
{
	struct timespec ts = { deadline_ns / NS_PER_S, deadline_ns % NS_PER_S };

	return (int)CALL6(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, val,
			  deadline_ns == INT64_MAX ? NULL : &ts, 0, FUTEX_BITSET_MATCH_ANY);
}

int host_futex_wake(_Atomic u32 *word, int count, bool shared)
{
	return (int)CALL3(SYS_futex, word, FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG), count);
}

s64 host_clock(clockid_t id)
{
	struct timespec ts;

	if (unlikely(clock_gettime(id, &ts)))
		panic("clock_gettime(%d)", id);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int host_process_time(pid_t pid, u64 *ret)
{
	struct timespec ts;
	int err = (int)CALL2(SYS_clock_gettime, (int)(~(u32)pid << 3 | CPU_CLOCK_SCHED), &ts);

	if (!err)
		*ret = (u64)ts.tv_sec * NS_PER_S + (u64)ts.tv_nsec;
	return err;
}

int host_clock_getres(clockid_t id, struct timespec *ret)
{
	return (int)CALL2(SYS_clock_getres, id, ret);
}

int host_nanosleep_until(s64 deadline_ns)
{
	struct timespec ts = { deadline_ns / NS_PER_S, deadline_ns % NS_PER_S };
	int ret;

	do
		ret = (int)CALL4(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, 0);
	while (ret == -EINTR);
	return ret;
}

ssize_t host_getrandom(void *buf, size_t size, unsigned int flags)
{
	return CALL3(SYS_getrandom, buf, size, flags);
}

void host_random(void *buf, size_t size)
{
	char *p = buf;

	while (size) {
		ssize_t n = host_getrandom(p, size, 0);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			panic("getrandom: %zd", n);
		p += n;
		size -= (size_t)n;
	}
}

u64 host_random_u64(void)
{
	u64 x;

	host_random(&x, sizeof(x));
	return x;
}

/* ---- processes, threads, signals ---- */

pid_t host_getpid(void)
{
	return (pid_t)CALL0(SYS_getpid);
}

pid_t host_gettid(void)
{
	return (pid_t)CALL0(SYS_gettid);
}

_Noreturn void host_exit(int status)
{
	for (;;)
		host_call(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

int host_kill(pid_t pid, int sig)
{
	return (int)CALL2(SYS_kill, pid, sig);
}

int host_tgkill(pid_t tgid, pid_t tid, int sig)
{
	return (int)CALL3(SYS_tgkill, tgid, tid, sig);
}

int host_pidfd_open(pid_t pid, unsigned int flags)
{
	return (int)CALL2(SYS_pidfd_open, pid, flags);
}

int host_pidfd_send_signal(int pidfd, int sig)
{
	return (int)CALL4(SYS_pidfd_send_signal, pidfd, sig, 0, 0);
}

int host_waitid(int type, int id, siginfo_t *ret, int options)
{
	return (int)CALL5(SYS_waitid, type, id, ret, options, 0);
}

ssize_t host_process_vm_readv(pid_t pid, const struct iovec *local, unsigned long lcount,
			      const struct iovec *remote, unsigned long rcount)
{
	return CALL6(SYS_process_vm_readv, pid, local, lcount, remote, rcount, 0);
}

ssize_t host_process_vm_writev(pid_t pid, const struct iovec *local, unsigned long lcount,
			       const struct iovec *remote, unsigned long rcount)
{
	return CALL6(SYS_process_vm_writev, pid, local, lcount, remote, rcount, 0);
}

int host_timerfd_create(clockid_t id, int flags)
{
	return (int)CALL2(SYS_timerfd_create, id, flags);
}

int host_timerfd_settime(int fd, int flags, const struct itimerspec *value)
{
	return (int)CALL4(SYS_timerfd_settime, fd, flags, value, 0);
}

int host_sched_yield(void)
{
	return (int)CALL0(SYS_sched_yield);
}

int host_sched_getaffinity(pid_t tid, size_t size, void *mask)
{
	return (int)CALL3(SYS_sched_getaffinity, tid, size, mask);
}

int host_sched_setaffinity(pid_t tid, size_t size, const void *mask)
{
	return (int)CALL3(SYS_sched_setaffinity, tid, size, mask);
}

int host_prctl(int op, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	return (int)CALL5(SYS_prctl, op, a, b, c, d);
}

int host_prlimit(pid_t pid, int resource, const void *new_limit, void *ret_old)
{
	return (int)CALL4(SYS_prlimit64, pid, resource, new_limit, ret_old);
}

int host_sysinfo(void *ret)
{
	return (int)CALL1(SYS_sysinfo, ret);
}

long host_seccomp(unsigned int op, unsigned int flags, void *arg)
{
	return CALL3(SYS_seccomp, op, flags, arg);
}

void host_rseq_unregister(void)
{
	u32 size = sizeof(struct rseq) > 32 ? sizeof(struct rseq) : 32;
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	if (__rseq_size)
		(void)CALL4(SYS_rseq, area, size, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

int host_sigprocmask(int how, u64 mask, u64 *ret_old)
{
	return (int)CALL4(SYS_rt_sigprocmask, how, &mask, ret_old, sizeof(mask));
}
