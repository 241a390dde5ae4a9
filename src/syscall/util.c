/* Fetching arguments, looking up descriptors. */

#include "syscall/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>

#include "arena/arena.h"
#include "sched/timer.h"
#include "time/clock.h"

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

struct file *file_lookup_any(struct task *t, int fd)
{
	return fd_get(t->subject.files, fd, NULL);
}

struct file *file_lookup(struct task *t, int fd)
{
	struct file *f = fd_get(t->subject.files, fd, NULL);

	if (f && unlikely(f->flags & O_PATH)) {
		file_put(f);
		return NULL;
	}
	return f;
}

long file_install(struct task *t, struct file *f, int flags)
{
	long ret = fd_install(&t->subject, f, 0, flags & O_CLOEXEC ? FD_CLOEXEC_FLAG : 0);

	file_put(f);
	return ret;
}

long file_install_two(struct task *t, struct file *f[2], int flags, struct uaddr ufds)
{
	int fds[2];
	int err = fd_install_two(&t->subject, f, flags & O_CLOEXEC ? FD_CLOEXEC_FLAG : 0, fds);

	file_put(f[0]);
	file_put(f[1]);
	if (err)
		return err;
	err = copy_out(&t->subject, ufds, fds, sizeof(fds));
	if (err) {
		(void)!fd_close(&t->subject, fds[0]);
		(void)!fd_close(&t->subject, fds[1]);
	}
	return err;
}

int fetch_path(struct task *t, struct uaddr addr, char buf[PATH_MAX_GUEST])
{
	ssize_t ret = copy_in_string(&t->subject, buf, addr, PATH_MAX_GUEST);

	return ret < 0 ? (int)ret : 0;
}

/* AT_EMPTY_PATH with an empty path: the descriptor itself, whatever it is. */
static int resolve_empty(struct task *t, int dirfd, struct path *ret)
{
	struct file *f;

	if (dirfd == AT_FDCWD) {
		fs_context_get_cwd(t->subject.fs, ret);
		return 0;
	}
	f = file_lookup_any(t, dirfd);
	if (!f)
		return -EBADF;
	*ret = f->path;
	path_get(ret);
	file_put(f);
	return 0;
}

int resolve_at(struct task *t, int dirfd, struct uaddr path, int at_flags, u32 walk,
	       struct path *ret)
{
	UNINIT char name[PATH_MAX_GUEST];
	int err;

	if (at_flags & AT_EMPTY_PATH && uaddr_is_null(path))
		return resolve_empty(t, dirfd, ret);
	err = fetch_path(t, path, name);
	if (err)
		return err;
	if (at_flags & AT_EMPTY_PATH && !name[0])
		return resolve_empty(t, dirfd, ret);
	if (!(at_flags & AT_SYMLINK_NOFOLLOW))
		walk |= WALK_FOLLOW;
	return path_walk(&t->subject, dirfd, name, walk, ret);
}

int iov_fetch(struct task *t, struct uaddr addr, u64 count, struct iov_set *ret)
{
	int err = 0;

	_Static_assert(sizeof(struct guest_iovec) == sizeof(struct iovec),
		       "layout of the guest's iovec");
	ret->iov = ret->fast;
	ret->count = (unsigned int)count;
	ret->total = 0;
	if (count > UIO_MAXIOV)
		return -EINVAL;
	if (count > ARRAY_SIZE(ret->fast)) {
		ret->iov = arena_alloc(count * sizeof(struct guest_iovec));
		if (!ret->iov)
			return -ENOMEM;
	}
	if (count)
		err = copy_in(&t->subject, ret->iov, addr, count * sizeof(struct guest_iovec));
	for (unsigned int i = 0; i < count && !err; i++) {
		struct guest_iovec *v = &ret->iov[i];

		if ((s64)v->size < 0) {
			err = -EINVAL;
		} else if (!uaddr_ok(v->base, v->size)) {
			err = -EFAULT;
		} else {
			v->size = min(v->size, MAX_RW_COUNT - ret->total);
			ret->total += v->size;
		}
	}
	if (err)
		iov_release(ret);
	return err;
}

void iov_release(struct iov_set *set)
{
	if (set->iov != set->fast)
		arena_free(set->iov);
	set->iov = set->fast;
}

int fetch_extensible(struct task *t, void *dst, size_t known, struct uaddr src, u64 size)
{
	char tail[64];

	memset(dst, 0, known);
	for (u64 at = known; at < size; at += min(sizeof(tail), size - at)) {
		size_t n = min(sizeof(tail), size - at);
		int err = copy_in(&t->subject, tail, uaddr_add(src, at), n);

		if (err)
			return err;
		for (size_t i = 0; i < n; i++)
			if (tail[i])
				return -E2BIG;
	}
	return copy_in(&t->subject, dst, src, min(known, size));
}

int fetch_timespec(struct task *t, struct uaddr addr, s64 *ret_ns)
{
	struct timespec ts;
	int err = copy_in(&t->subject, &ts, addr, sizeof(ts));

	if (err)
		return err;
	return timespec_to_ns(&ts, ret_ns) ? 0 : -EINVAL;
}

s64 deadline_in(s64 ns)
{
	s64 deadline;

	if (__builtin_add_overflow(sched_now(), ns, &deadline) || deadline == NO_DEADLINE)
		return NO_DEADLINE - 1;
	return deadline;
}

int store_timespec(struct task *t, struct uaddr addr, s64 ns)
{
	struct timespec ts = ns_to_timespec(ns);

	return copy_out_late(&t->subject, addr, &ts, sizeof(ts));
}

struct timeval ns_to_timeval(s64 ns)
{
	return (struct timeval){ .tv_sec = ns / 1'000'000'000,
				 .tv_usec = ns % 1'000'000'000 / 1000 };
}

int fetch_sigset(struct task *t, struct uaddr addr, u64 size, sigset64 *ret)
{
	if (size != sizeof(*ret))
		return -EINVAL;
	return copy_in(&t->subject, ret, addr, sizeof(*ret));
}

void temporary_mask_begin(struct task *t, sigset64 mask)
{
	mask &= ~(SIGMASK(SIGKILL) | SIGMASK(SIGSTOP));
	/* In a reinvoked call the guest's own mask is already saved. */
	if (t->restore_blocked)
		signal_set_blocked(t, mask);
	else
		signal_set_temporary_mask(t, mask);
}

long temporary_mask_end(struct task *t, long ret)
{
	if (ret == -ERESTARTNOHAND || ret == -ERESTARTNEVER || !t->restore_blocked)
		return ret;
	t->restore_blocked = false;
	signal_set_blocked(t, t->saved_blocked);
	return ret;
}

void task_lock(struct task *t)
{
	spin_lock(&t->lock, &lc_task);
}

void task_unlock(struct task *t)
{
	spin_unlock(&t->lock, &lc_task);
}

bool task_capable(const struct task *t, int cap)
{
	return cred_has_cap(t->subject.cred, t->subject.cred->user_ns, cap);
}
