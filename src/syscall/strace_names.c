/* Names of flags, enums, errors and signals. */

#include "syscall/strace_names.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/wait.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define N(x) \
	{ \
		(u64)(u32)(x), #x \
	}
#define NL(x) \
	{ \
		(u64)(x), #x \
	}
#define END \
	{ \
		0, NULL \
	}

static const struct name_value names_access[] = { N(R_OK), N(W_OK), N(X_OK), END };
static const struct name_value names_at[] = {
	N(AT_SYMLINK_NOFOLLOW), N(AT_SYMLINK_FOLLOW), N(AT_NO_AUTOMOUNT),
	N(AT_EMPTY_PATH),	N(AT_EACCESS),	      END,
};
static const struct name_value names_unlinkat[] = { N(AT_REMOVEDIR), END };
static const struct name_value names_clock[] = {
	N(CLOCK_REALTIME),	    N(CLOCK_MONOTONIC),	    N(CLOCK_PROCESS_CPUTIME_ID),
	N(CLOCK_THREAD_CPUTIME_ID), N(CLOCK_MONOTONIC_RAW), N(CLOCK_REALTIME_COARSE),
	N(CLOCK_MONOTONIC_COARSE),  N(CLOCK_BOOTTIME),	    END,
};
static const struct name_value names_clone[] = {
	NL(CLONE_VM),
	NL(CLONE_FS),
	NL(CLONE_FILES),
	NL(CLONE_SIGHAND),
	NL(CLONE_PIDFD),
	NL(CLONE_PTRACE),
	NL(CLONE_VFORK),
	NL(CLONE_PARENT),
	NL(CLONE_THREAD),
	NL(CLONE_NEWNS),
	NL(CLONE_SYSVSEM),
	NL(CLONE_SETTLS),
	NL(CLONE_PARENT_SETTID),
	NL(CLONE_CHILD_CLEARTID),
	NL(CLONE_DETACHED),
	NL(CLONE_UNTRACED),
	NL(CLONE_CHILD_SETTID),
	NL(CLONE_NEWUTS),
	NL(CLONE_NEWIPC),
	NL(CLONE_NEWUSER),
	NL(CLONE_NEWPID),
	NL(CLONE_NEWNET),
	NL(CLONE_IO),
	END,
};
static const struct name_value names_epoll_ctl[] = { N(EPOLL_CTL_ADD), N(EPOLL_CTL_DEL),
						     N(EPOLL_CTL_MOD), END };
static const struct name_value names_fcntl[] = {
	N(F_DUPFD),
	N(F_GETFD),
	N(F_SETFD),
	N(F_GETFL),
	N(F_SETFL),
	{ 5, "F_GETLK" },
	{ 6, "F_SETLK" },
	{ 7, "F_SETLKW" },
	N(F_OFD_GETLK),
	N(F_OFD_SETLK),
	N(F_OFD_SETLKW),
	N(F_SETOWN),
	N(F_GETOWN),
	N(F_SETSIG),
	N(F_GETSIG),
	{ 15, "F_SETOWN_EX" },
	{ 16, "F_GETOWN_EX" },
	N(F_DUPFD_CLOEXEC),
	N(F_SETPIPE_SZ),
	N(F_GETPIPE_SZ),
	N(F_ADD_SEALS),
	N(F_GET_SEALS),
	END,
};
static const struct name_value names_flock[] = { N(LOCK_SH), N(LOCK_EX), N(LOCK_UN), N(LOCK_NB),
						 END };
static const struct name_value names_futex[] = {
	{ 0, "FUTEX_WAIT" },
	{ 1, "FUTEX_WAKE" },
	{ 3, "FUTEX_REQUEUE" },
	{ 4, "FUTEX_CMP_REQUEUE" },
	{ 5, "FUTEX_WAKE_OP" },
	{ 6, "FUTEX_LOCK_PI" },
	{ 7, "FUTEX_UNLOCK_PI" },
	{ 9, "FUTEX_WAIT_BITSET" },
	{ 10, "FUTEX_WAKE_BITSET" },
	{ 128, "FUTEX_WAIT_PRIVATE" },
	{ 129, "FUTEX_WAKE_PRIVATE" },
	{ 131, "FUTEX_REQUEUE_PRIVATE" },
	{ 132, "FUTEX_CMP_REQUEUE_PRIVATE" },
	{ 133, "FUTEX_WAKE_OP_PRIVATE" },
	{ 137, "FUTEX_WAIT_BITSET_PRIVATE" },
	{ 138, "FUTEX_WAKE_BITSET_PRIVATE" },
	{ 393, "FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME" },
	END,
};
static const struct name_value names_itimer[] = {
	{ 0, "ITIMER_REAL" },
	{ 1, "ITIMER_VIRTUAL" },
	{ 2, "ITIMER_PROF" },
	END,
};
static const struct name_value names_madvise[] = {
	N(MADV_NORMAL),
	N(MADV_RANDOM),
	N(MADV_SEQUENTIAL),
	N(MADV_WILLNEED),
	N(MADV_DONTNEED),
	N(MADV_FREE),
	N(MADV_REMOVE),
	N(MADV_DONTFORK),
	N(MADV_DOFORK),
	N(MADV_MERGEABLE),
	N(MADV_HUGEPAGE),
	N(MADV_NOHUGEPAGE),
	N(MADV_DONTDUMP),
	N(MADV_DODUMP),
	N(MADV_WIPEONFORK),
	N(MADV_KEEPONFORK),
	N(MADV_COLD),
	N(MADV_PAGEOUT),
	END,
};
static const struct name_value names_mmap[] = {
	N(MAP_SHARED),		N(MAP_PRIVATE),
	N(MAP_FIXED),		N(MAP_ANONYMOUS),
	N(MAP_GROWSDOWN),	N(MAP_DENYWRITE),
	N(MAP_LOCKED),		N(MAP_NORESERVE),
	N(MAP_POPULATE),	N(MAP_NONBLOCK),
	N(MAP_STACK),		N(MAP_HUGETLB),
	N(MAP_FIXED_NOREPLACE), END,
};
static const struct name_value names_mremap[] = { N(MREMAP_MAYMOVE), N(MREMAP_FIXED),
						  N(MREMAP_DONTUNMAP), END };
static const struct name_value names_msync[] = { N(MS_ASYNC), N(MS_INVALIDATE), N(MS_SYNC), END };
static const struct name_value names_open[] = {
	N(O_WRONLY),
	N(O_RDWR),
	N(O_CREAT),
	N(O_EXCL),
	N(O_NOCTTY),
	N(O_TRUNC),
	N(O_APPEND),
	N(O_NONBLOCK),
	N(O_SYNC),
	N(O_DSYNC),
	N(O_ASYNC),
	N(O_DIRECT),
	{ 0100000, "O_LARGEFILE" },
	N(O_TMPFILE),
	N(O_DIRECTORY),
	N(O_NOFOLLOW),
	N(O_NOATIME),
	N(O_CLOEXEC),
	N(O_PATH),
	END,
};
static const struct name_value names_prctl[] = {
	N(PR_SET_PDEATHSIG),
	N(PR_GET_PDEATHSIG),
	N(PR_GET_DUMPABLE),
	N(PR_SET_DUMPABLE),
	N(PR_GET_KEEPCAPS),
	N(PR_SET_KEEPCAPS),
	N(PR_SET_NAME),
	N(PR_GET_NAME),
	N(PR_GET_SECCOMP),
	N(PR_SET_SECCOMP),
	N(PR_CAPBSET_READ),
	N(PR_CAPBSET_DROP),
	N(PR_GET_TSC),
	N(PR_SET_TSC),
	N(PR_GET_SECUREBITS),
	N(PR_SET_SECUREBITS),
	N(PR_SET_TIMERSLACK),
	N(PR_GET_TIMERSLACK),
	N(PR_SET_MM),
	N(PR_SET_CHILD_SUBREAPER),
	N(PR_GET_CHILD_SUBREAPER),
	N(PR_SET_NO_NEW_PRIVS),
	N(PR_GET_NO_NEW_PRIVS),
	N(PR_GET_TID_ADDRESS),
	N(PR_CAP_AMBIENT),
	N(PR_SET_VMA),
	END,
};
static const struct name_value names_prio[] = {
	{ 0, "PRIO_PROCESS" },
	{ 1, "PRIO_PGRP" },
	{ 2, "PRIO_USER" },
	END,
};
static const struct name_value names_prot[] = { N(PROT_READ), N(PROT_WRITE), N(PROT_EXEC), END };
static const struct name_value names_rlimit[] = {
	{ 0, "RLIMIT_CPU" },
	{ 1, "RLIMIT_FSIZE" },
	{ 2, "RLIMIT_DATA" },
	{ 3, "RLIMIT_STACK" },
	{ 4, "RLIMIT_CORE" },
	{ 5, "RLIMIT_RSS" },
	{ 6, "RLIMIT_NPROC" },
	{ 7, "RLIMIT_NOFILE" },
	{ 8, "RLIMIT_MEMLOCK" },
	{ 9, "RLIMIT_AS" },
	{ 10, "RLIMIT_LOCKS" },
	{ 11, "RLIMIT_SIGPENDING" },
	{ 12, "RLIMIT_MSGQUEUE" },
	{ 13, "RLIMIT_NICE" },
	{ 14, "RLIMIT_RTPRIO" },
	{ 15, "RLIMIT_RTTIME" },
	END,
};
static const struct name_value names_rusage[] = {
	{ 0, "RUSAGE_SELF" },
	{ 0xffff'ffffU, "RUSAGE_CHILDREN" },
	{ 1, "RUSAGE_THREAD" },
	END,
};
static const struct name_value names_sched[] = {
	{ 0, "SCHED_OTHER" }, { 1, "SCHED_FIFO" }, { 2, "SCHED_RR" },
	{ 3, "SCHED_BATCH" }, { 5, "SCHED_IDLE" }, END,
};
static const struct name_value names_sigprocmask[] = {
	{ 0, "SIG_BLOCK" },
	{ 1, "SIG_UNBLOCK" },
	{ 2, "SIG_SETMASK" },
	END,
};
static const struct name_value names_wait[] = {
	N(WNOHANG),
	N(WUNTRACED),
	N(WEXITED),
	N(WCONTINUED),
	N(WNOWAIT),
	{ 0x4000'0000, "__WALL" },
	{ 0x8000'0000U, "__WCLONE" },
	END,
};
static const struct name_value names_waitid[] = {
	{ 0, "P_ALL" }, { 1, "P_PID" }, { 2, "P_PGID" }, { 3, "P_PIDFD" }, END,
};
static const struct name_value names_whence[] = {
	{ 0, "SEEK_SET" },  { 1, "SEEK_CUR" },	{ 2, "SEEK_END" },
	{ 3, "SEEK_DATA" }, { 4, "SEEK_HOLE" }, END,
};

static const struct name_value *const g_names[NAMES_COUNT] = {
	[NAMES_access] = names_access,
	[NAMES_at] = names_at,
	[NAMES_clock] = names_clock,
	[NAMES_clone] = names_clone,
	[NAMES_epoll_ctl] = names_epoll_ctl,
	[NAMES_fcntl] = names_fcntl,
	[NAMES_flock] = names_flock,
	[NAMES_futex] = names_futex,
	[NAMES_itimer] = names_itimer,
	[NAMES_madvise] = names_madvise,
	[NAMES_mmap] = names_mmap,
	[NAMES_mremap] = names_mremap,
	[NAMES_msync] = names_msync,
	[NAMES_open] = names_open,
	[NAMES_prctl] = names_prctl,
	[NAMES_prio] = names_prio,
	[NAMES_prot] = names_prot,
	[NAMES_rlimit] = names_rlimit,
	[NAMES_rusage] = names_rusage,
	[NAMES_sched] = names_sched,
	[NAMES_sigprocmask] = names_sigprocmask,
	[NAMES_unlinkat] = names_unlinkat,
	[NAMES_wait] = names_wait,
	[NAMES_waitid] = names_waitid,
	[NAMES_whence] = names_whence,
};

const struct name_value *strace_names(enum name_table table)
{
	return g_names[table];
}

static const char *const g_signals[] = {
	[SIGHUP] = "SIGHUP",	   [SIGINT] = "SIGINT",	      [SIGQUIT] = "SIGQUIT",
	[SIGILL] = "SIGILL",	   [SIGTRAP] = "SIGTRAP",     [SIGABRT] = "SIGABRT",
	[SIGBUS] = "SIGBUS",	   [SIGFPE] = "SIGFPE",	      [SIGKILL] = "SIGKILL",
	[SIGUSR1] = "SIGUSR1",	   [SIGSEGV] = "SIGSEGV",     [SIGUSR2] = "SIGUSR2",
	[SIGPIPE] = "SIGPIPE",	   [SIGALRM] = "SIGALRM",     [SIGTERM] = "SIGTERM",
	[SIGSTKFLT] = "SIGSTKFLT", [SIGCHLD] = "SIGCHLD",     [SIGCONT] = "SIGCONT",
	[SIGSTOP] = "SIGSTOP",	   [SIGTSTP] = "SIGTSTP",     [SIGTTIN] = "SIGTTIN",
	[SIGTTOU] = "SIGTTOU",	   [SIGURG] = "SIGURG",	      [SIGXCPU] = "SIGXCPU",
	[SIGXFSZ] = "SIGXFSZ",	   [SIGVTALRM] = "SIGVTALRM", [SIGPROF] = "SIGPROF",
	[SIGWINCH] = "SIGWINCH",   [SIGIO] = "SIGIO",	      [SIGPWR] = "SIGPWR",
	[SIGSYS] = "SIGSYS",
};

const char *strace_signal_name(int sig)
{
	return sig > 0 && (size_t)sig < ARRAY_SIZE(g_signals) ? g_signals[sig] : NULL;
}

#define E(x) [x] = #x
static const char *const g_errors[] = {
	E(EPERM),
	E(ENOENT),
	E(ESRCH),
	E(EINTR),
	E(EIO),
	E(ENXIO),
	E(E2BIG),
	E(ENOEXEC),
	E(EBADF),
	E(ECHILD),
	E(EAGAIN),
	E(ENOMEM),
	E(EACCES),
	E(EFAULT),
	E(ENOTBLK),
	E(EBUSY),
	E(EEXIST),
	E(EXDEV),
	E(ENODEV),
	E(ENOTDIR),
	E(EISDIR),
	E(EINVAL),
	E(ENFILE),
	E(EMFILE),
	E(ENOTTY),
	E(ETXTBSY),
	E(EFBIG),
	E(ENOSPC),
	E(ESPIPE),
	E(EROFS),
	E(EMLINK),
	E(EPIPE),
	E(EDOM),
	E(ERANGE),
	E(EDEADLK),
	E(ENAMETOOLONG),
	E(ENOLCK),
	E(ENOSYS),
	E(ENOTEMPTY),
	E(ELOOP),
	E(ENODATA),
	E(EOVERFLOW),
	E(ELIBBAD),
	E(ENOTSOCK),
	E(EOPNOTSUPP),
	E(EADDRINUSE),
	E(ECONNREFUSED),
	E(ETIMEDOUT),
	E(EALREADY),
	E(EINPROGRESS),
	E(ESTALE),
	E(EDQUOT),
	E(ECANCELED),
	E(EOWNERDEAD),
	E(ENOTRECOVERABLE),
	[512] = "ERESTARTSYS",
	[513] = "ERESTARTNOINTR",
	[514] = "ERESTARTNOHAND",
	[516] = "ERESTART_RESTARTBLOCK",
	[517] = "EINTR",
};

const char *strace_errno_name(int error)
{
	return error > 0 && (size_t)error < ARRAY_SIZE(g_errors) ? g_errors[error] : NULL;
}
