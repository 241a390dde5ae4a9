#pragma once

/*
 * The only calls that the kernel makes to its host (outside the stub, the vdso and what libc needs
 * for threads and memory). Every call goes through one replaceable table, generated from
 * host/calls.def, so that tests can fail the Nth; the kernel's own seccomp filter is generated from
 * the same file. All return a value or a negative errno; errno is never used. The wrappers are
 * declared here by name: host_openat(...), host_mmap(...).
 */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include "base/types.h"

/* A raw call by number through the table's hook; use the typed wrappers below. */
long host_call(long nr, long a, long b, long c, long d, long e, long f);

/* Tests: if set, called before each host call; a nonzero return is the call's result (say -ENOMEM)
 * instead. */
typedef long host_fault_hook(long nr);
void host_set_fault_hook(host_fault_hook *hook);
/* Debug builds: called before each host call (sched checks there that no short lock is held). */
void host_set_check_hook(void (*hook)(long nr));

/* The rows of calls.def: which part of the program makes a call, and when. */
enum {
	HC_BOOT = 1,
	HC_KERNEL = 2,
	HC_STUB = 4,
	HC_LIBC = 8,
	HC_SAN = 16,
	HC_BIND = 32,
};
/* Call fn for each row of calls.def that is in one of the sections. */
void host_calls_for_each(unsigned int sections,
			 void (*fn)(int nr, const char *name, unsigned int row_sections, void *arg),
			 void *arg);
/* The sections that a call is in; 0 if it is not listed. */
unsigned int host_call_sections(long nr);

/*
 * All wrappers return 0 or a count, or a negative errno. None restarts: a call that a signal
 * interrupts is -EINTR (but for host_nanosleep_until and host_random, which go on). Close-on-exec
 * is implied everywhere that a descriptor is made.
 */
int host_openat(int dirfd, const char *path, int flags, mode_t mode);
/* resolve: RESOLVE_* of openat2. */
int host_openat2(int dirfd, const char *path, u64 flags, u64 mode, u64 resolve);
int host_close(int fd);
ssize_t host_read(int fd, void *buf, size_t size);
ssize_t host_write(int fd, const void *buf, size_t size);
ssize_t host_pread(int fd, void *buf, size_t size, s64 off);
ssize_t host_pwrite(int fd, const void *buf, size_t size, s64 off);
/* As host_pread, of what is in memory only: -EAGAIN if nothing is; -EOPNOTSUPP where that can't be
 * told. */
ssize_t host_pread_nowait(int fd, void *buf, size_t size, s64 off);
ssize_t host_readv(int fd, const struct iovec *iov, int count);
ssize_t host_writev(int fd, const struct iovec *iov, int count);
s64 host_lseek(int fd, s64 off, int whence);
int host_fstat(int fd, struct stat *ret_st);
struct statx;
int host_statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *ret_stx);
struct statfs;
int host_fstatfs(int fd, struct statfs *ret);
ssize_t host_readlinkat(int dirfd, const char *path, char *buf, size_t size);
int host_faccessat2(int dirfd, const char *path, int mode, int flags);
ssize_t host_fgetxattr(int fd, const char *name, void *buf, size_t size);
ssize_t host_flistxattr(int fd, char *buf, size_t size);
int host_fsetxattr(int fd, const char *name, const void *value, size_t size, int flags);
int host_fremovexattr(int fd, const char *name);
ssize_t host_getdents64(int fd, void *buf, size_t size);
int host_ftruncate(int fd, s64 size);
int host_fsync(int fd, bool data_only);
/* Append at the end of fd, whoever else writes there. */
ssize_t host_append(int fd, const void *buf, size_t size);
int host_mkdirat(int dirfd, const char *name, mode_t mode);
int host_symlinkat(const char *target, int dirfd, const char *name);
int host_linkat(int old_dirfd, const char *old, int new_dirfd, const char *new);
int host_unlinkat(int dirfd, const char *name, int flags);
int host_renameat2(int old_dirfd, const char *old, int new_dirfd, const char *new,
		   unsigned int flags);
int host_fchmodat(int dirfd, const char *path, mode_t mode);
/* Of the file that fd (of any kind, O_PATH too) is open on; ~0: unchanged. */
int host_chown_fd(int fd, u32 uid, u32 gid);
int host_utimens_fd(int fd, const struct timespec times[2]);
int host_fallocate(int fd, int mode, s64 off, s64 size);
int host_fcntl(int fd, int cmd, long arg);
int host_ioctl(int fd, unsigned long cmd, void *arg);
int host_dup(int fd);
int host_dup3(int fd, int newfd, int flags);
int host_pipe2(int fds[2], int flags);
int host_memfd_create(const char *name, unsigned int flags);
int host_eventfd(unsigned int initial, int flags);
int host_epoll_create(void);
int host_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev);
int host_epoll_wait(int epfd, struct epoll_event *evs, int max,
		    s64 timeout_ns); /* epoll_pwait2; < 0: for ever */
int host_poll(struct pollfd *fds, unsigned int count, int timeout_ms);
int host_ppoll(struct pollfd *fds, unsigned int count, s64 timeout_ns); /* < 0: for ever */
void *host_mmap(void *addr, size_t size, int prot, int flags, int fd,
		s64 off); /* check with host_is_err */
static inline bool host_is_err(const void *p)
{
	return (unsigned long)p >= (unsigned long)-4095L;
}
int host_munmap(void *addr, size_t size);
int host_mprotect(void *addr, size_t size, int prot);
int host_mincore(void *addr, size_t size, u8 *vec);
int host_madvise(void *addr, size_t size, int advice);
int host_futex_wait(_Atomic u32 *word, u32 val,
		    s64 deadline_ns); /* absolute CLOCK_MONOTONIC, NO_DEADLINE: ever */
int host_futex_wake(_Atomic u32 *word, int count, bool shared);
s64 host_clock(clockid_t id); /* ns; through the vdso, not a call */
/* CPU time in ns that all threads of a process have used, those that have ended too. */
int host_process_time(pid_t pid, u64 *ret);
int host_clock_getres(clockid_t id, struct timespec *ret);
int host_nanosleep_until(s64 deadline_ns);
ssize_t host_getrandom(void *buf, size_t size, unsigned int flags);
/* Fill buf with random bytes of the host; cannot fail. */
void host_random(void *buf, size_t size);
u64 host_random_u64(void);
pid_t host_getpid(void);
pid_t host_gettid(void);
_Noreturn void host_exit(int status); /* exit_group: the whole process, nothing flushed */
int host_kill(pid_t pid, int sig);
int host_tgkill(pid_t tgid, pid_t tid, int sig);
int host_pidfd_open(pid_t pid, unsigned int flags);
int host_pidfd_send_signal(int pidfd, int sig);
int host_waitid(int type, int id, siginfo_t *ret, int options);
ssize_t host_process_vm_readv(pid_t pid, const struct iovec *local, unsigned long lcount,
			      const struct iovec *remote, unsigned long rcount);
ssize_t host_process_vm_writev(pid_t pid, const struct iovec *local, unsigned long lcount,
			       const struct iovec *remote, unsigned long rcount);
int host_timerfd_create(clockid_t id, int flags);
int host_timerfd_settime(int fd, int flags, const struct itimerspec *value);
int host_sched_yield(void);
int host_sched_getaffinity(pid_t tid, size_t size, void *mask);
int host_sched_setaffinity(pid_t tid, size_t size, const void *mask);
int host_prctl(int op, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int host_prlimit(pid_t pid, int resource, const void *new_limit, void *ret_old);
int host_sysinfo(void *ret);
long host_seccomp(unsigned int op, unsigned int flags, void *arg);

/* Copies to and from shared mappings that a guest may truncate: a SIGBUS becomes -EFAULT. 0 or
 * -EFAULT. */
int host_shared_read(void *dst, const void *src, size_t size);
int host_shared_write(void *dst, const void *src, size_t size);
int host_shared_load32(const u32 *p, u32 *ret);
/* *ret_old gets what was there; stores new if it was old. */
int host_shared_cmpxchg32(u32 *p, u32 old, u32 new, u32 *ret_old);
int host_shared_load64(const u64 *p, u64 *ret);
/* Install the SIGBUS/SIGSEGV handler that makes these work, on every worker's alternate stack. Once
 * a process. */
[[nodiscard]] int host_fault_init(void);
/*
 * Give the calling thread an alternate signal stack, unless it has one: the handler then also
 * reports an overflow of a fiber's stack. Every thread that runs fibers calls this; fini before the
 * thread ends.
 */
[[nodiscard]] int host_fault_thread_init(void);
void host_fault_thread_fini(void);

/* Install a handler (null: the default) for a signal by a raw call: flags are SA_*; mask: signals
 * blocked in it, bit n
 * - 1 for signal n. */
[[nodiscard]] int host_sigaction(int sig, void (*handler)(int, siginfo_t *, void *),
				 unsigned long flags, u64 mask);
/* The calling process ignores the signal. */
[[nodiscard]] bool host_signal_ignored(int sig);
/* Undo libc's registration of rseq for the calling thread, which costs at every switch to it. */
void host_rseq_unregister(void);
/* how: SIG_BLOCK, ...; masks as above; ret_old may be null. */
[[nodiscard]] int host_sigprocmask(int how, u64 mask, u64 *ret_old);
