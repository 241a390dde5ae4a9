#pragma once

/* What many handlers need: fetching arguments and looking up descriptors. All are called on the
 * task's own fiber. */

#include "base/types.h"
#include "kernel/task.h"
#include "mm/mm.h"
#include "vfs/fdtable.h"
#include "vfs/path.h"
#include "vfs/vfs.h"

/* The file at fd with a reference; null: EBADF. file_lookup also refuses O_PATH files. */
struct file *file_lookup(struct task *t, int fd);
struct file *file_lookup_any(struct task *t, int fd);

/* Give a new file (reference taken over) the lowest descriptor; flags: O_CLOEXEC counts. */
long file_install(struct task *t, struct file *f, int flags);
/* The same for both of a pair, whose descriptors are stored at ufds. */
long file_install_two(struct task *t, struct file *f[2], int flags, struct uaddr ufds);

/* Fetch a path. -EFAULT, -ENAMETOOLONG. */
[[nodiscard]] int fetch_path(struct task *t, struct uaddr addr, char buf[PATH_MAX_GUEST]);
/*
 * Where a call with dirfd, path and AT_* flags points; walk: WALK_* besides AT_EMPTY_PATH and
 * AT_SYMLINK_NOFOLLOW (follow is the default). A null path counts as empty with AT_EMPTY_PATH. *ret
 * is the caller's to put.
 */
[[nodiscard]] int resolve_at(struct task *t, int dirfd, struct uaddr path, int at_flags, u32 walk,
			     struct path *ret);

/* An iovec array of the guest, fetched once. */
struct iov_set {
	struct guest_iovec *iov;
	unsigned int count;
	u64 total; /* bytes, at most MAX_RW_COUNT */
	struct guest_iovec fast[8];
};
[[nodiscard]] int iov_fetch(struct task *t, struct uaddr addr, u64 count, struct iov_set *ret);
void iov_release(struct iov_set *set);

/* Fetch an extensible struct of size bytes, of which we know the first known: what the guest gives
 * beyond must be zero
 * (-E2BIG), what it lacks is zero. */
[[nodiscard]] int fetch_extensible(struct task *t, void *dst, size_t known, struct uaddr src,
				   u64 size);

/* Fetch a timespec as ns. -EFAULT, -EINVAL. */
[[nodiscard]] int fetch_timespec(struct task *t, struct uaddr addr, s64 *ret_ns);
/* The host instant in ns from now; saturates below NO_DEADLINE. */
s64 deadline_in(s64 ns);
[[nodiscard]] int store_timespec(struct task *t, struct uaddr addr, s64 ns);
struct timeval ns_to_timeval(s64 ns);

/* A signal set argument: size must be 8. */
[[nodiscard]] int fetch_sigset(struct task *t, struct uaddr addr, u64 size, sigset64 *ret);
/* Block mask while the call runs; temporary_mask_end turns the call's result into the handler's,
 * and puts the old mask back unless a signal handler is to run before. */
void temporary_mask_begin(struct task *t, sigset64 mask);
long temporary_mask_end(struct task *t, long ret);

/* capable(2) in the task's own user namespace. */
bool task_capable(const struct task *t, int cap);

/* Take and drop the task's short lock. */
void task_lock(struct task *t) ACQUIRE(lc_task);
void task_unlock(struct task *t) RELEASE(lc_task);

/* ---- shared by families ---- */

/* What a handler returns for a write to f (null: a pipe) that returned ret. broken: the reader went
 * away, perhaps after some bytes. */
long write_result(struct task *t, const struct file *f, bool broken, long ret);
struct rusage rusage_from_ns(const struct rusage_ns *u);
long futex_wait_restart(struct task *t, const struct restart_state *r);
long poll_restart(struct task *t, const struct restart_state *r);
