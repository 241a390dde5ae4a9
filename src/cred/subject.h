#pragma once

/*
 * struct subject: on whose behalf kernel code runs. Embedded in struct task; what layers below the
 * task receive. The pointers are owned by the task; only its own fiber changes them, so its own
 * fiber reads them without a lock.
 */

#include "base/types.h"

struct cred;
struct fdtable;
struct fiber;
struct fs_context;
struct mm;
struct pf_thread;
struct rlimits;
struct super;

/* Bytes and calls of read and write. */
struct io_usage {
	u64 rchar, wchar, syscr, syscw; /* relaxed atomics: see io_count */
};

struct subject {
	struct fiber *fiber; /* transient */
	struct pf_thread *thread; /* transient */
	const struct cred *cred;
	struct mm *mm; /* null once exited */
	struct fs_context *fs;
	struct fdtable *files;
	struct rlimits *rlimits;
	u32 tid; /* [I] in the root pid namespace, for logs and lock owners */
	u32 tgid; /* [I] */
	u64 call_tsc; /* transient; the time-stamp counter when its system call began */
	u64 last_call_tsc; /* transient; the same of the call before, if it began just before, else
			      call_tsc */
	s64 call_time; /* transient; when call_tsc was, as sched_now() */
	s64 ahead_since; /* transient; work has been done ahead since then, 0: none was since the
			    last call */
	struct super *ahead; /* what may work ahead while guest code runs (vfs_expect); owned */
	struct io_usage io;
};

/* Add to a count that only its own fiber changes, and others read. */
static inline void io_count(u64 *count, u64 n)
{
	__atomic_store_n(count, *count + n, __ATOMIC_RELAXED);
}
