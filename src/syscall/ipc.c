/* Making pipes, eventfds, epolls and memfds. */

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "fs/tmpfs/memfd.h"
#include "ipc/epoll.h"
#include "ipc/eventfd.h"
#include "ipc/pipe.h"
#include "kernel/watch.h"
#include "syscall/util.h"
#include "syscall_protos.h"

/* ---- pipes ---- */

long sys_pipe2(struct task *t, struct uaddr ufds, int flags)
{
	struct file *f[2];
	int err;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
		return -EINVAL;
	err = pipe_create(&t->subject, (u32)flags, f);
	return err ? err : file_install_two(t, f, flags, ufds);
}

long sys_pipe(struct task *t, struct uaddr fds)
{
	return sys_pipe2(t, fds, 0);
}

/* ---- eventfd ---- */

long sys_eventfd2(struct task *t, u32 initval, int flags)
{
	struct file *f;
	int err;

	_Static_assert(EVENTFD_SEMAPHORE == EFD_SEMAPHORE, "flag of eventfd");
	if (flags & ~(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE))
		return -EINVAL;
	err = eventfd_create(&t->subject, initval, (u32)flags, &f);
	return err ? err : file_install(t, f, flags);
}

long sys_eventfd(struct task *t, u32 initval)
{
	return sys_eventfd2(t, initval, 0);
}

/* ---- epoll ---- */

long sys_epoll_create1(struct task *t, int flags)
{
	struct file *f;
	int err;

	if (flags & ~EPOLL_CLOEXEC)
		return -EINVAL;
	err = epoll_create_file(&t->subject, &f);
	return err ? err : file_install(t, f, flags);
}

long sys_epoll_create(struct task *t, int size)
{
	return size > 0 ? sys_epoll_create1(t, 0) : -EINVAL;
}

long sys_epoll_ctl(struct task *t, int epfd, int op, int fd, struct uaddr uevent)
{
	struct epoll_event_k event = {};
	struct file *ep, *f;
	long ret = -EBADF;

	if (op != EPOLL_CTL_DEL) {
		ret = copy_in(&t->subject, &event, uevent, sizeof(event));
		if (ret)
			return ret;
		ret = -EBADF;
	}
	ep = file_lookup(t, epfd);
	f = file_lookup(t, fd);
	if (ep && f)
		ret = epoll_ctl_file(ep, op, fd, f, &event);
	file_put(f);
	file_put(ep);
	if (!ret)
		watch_used(t, epfd);
	return ret;
}

/* ---- memfd ---- */

long sys_memfd_create(struct task *t, struct uaddr uname, u32 flags)
{
	char name[MEMFD_NAME_MAX + 1];
	struct file *f;
	ssize_t len;
	int err = memfd_check_flags(flags);

	if (err)
		return err;
	len = copy_in_string(&t->subject, name, uname, sizeof(name));
	if (len < 0)
		return len == -ENAMETOOLONG ? -EINVAL : len;
	err = memfd_create_file(&t->subject, name, flags, &f);
	return err ? err : file_install(t, f, flags & MFD_CLOEXEC ? O_CLOEXEC : 0);
}
