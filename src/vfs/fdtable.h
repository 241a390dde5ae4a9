#pragma once

/* Descriptor tables. Reads are lock-free for an unshared table and take lc_fdtable otherwise. */

#include "base/refcount.h"
#include "base/types.h"
#include "sched/lock_order.h"

struct file;
struct fdtable;
struct subject;

#define FD_CLOEXEC_FLAG 1

[[nodiscard]] int fdtable_create(struct fdtable **ret);
/* An independent copy of descriptors below max_fd. */
[[nodiscard]] int fdtable_fork(struct fdtable *t, u32 max_fd, struct fdtable **ret);
void fdtable_get(struct fdtable *t);
void fdtable_put(struct fdtable *t); /* the last put closes all files; may park */
u32 fdtable_users(const struct fdtable *t);
/* Changes whenever a descriptor begins or ceases to refer to a file. */
u64 fdtable_generation(const struct fdtable *t);
/* Only compares. A table that is not the caller's alone may change meanwhile. */
bool fd_refers_to(struct fdtable *t, int fd, const struct file *f);

/* The file at fd with a reference, or null. Flags may be null. */
struct file *fd_get(struct fdtable *t, int fd, u32 *ret_flags);
/* Lowest free descriptor >= min_fd and < RLIMIT_NOFILE of s; takes its own reference to f. -EMFILE.
 */
[[nodiscard]] int fd_install(struct subject *s, struct file *f, int min_fd, u32 flags);
/* Two at once, or none (pipe, socketpair). */
[[nodiscard]] int fd_install_two(struct subject *s, struct file *const f[2], u32 flags,
				 int ret_fd[2]);
/* dup2/dup3: put f at fd, closing what was there. -EBADF if fd is out of range. */
[[nodiscard]] int fd_install_at(struct subject *s, struct file *f, int fd, u32 flags);
[[nodiscard]] int fd_close(struct subject *s, int fd); /* -EBADF */
[[nodiscard]] int fd_close_range(struct subject *s, u32 first, u32 last, u32 flags);
[[nodiscard]] int fd_set_flags(struct fdtable *t, int fd, u32 flags);
void fdtable_close_on_exec(struct subject *s);
/* Next open descriptor >= fd, or -1: for /proc/PID/fd. */
int fdtable_next(struct fdtable *t, int fd);
