/* Sending and receiving on sockets; control messages. */

#include <linux/capability.h>
#include <string.h>
#include <sys/socket.h>

#include "arena/arena.h"
#include "cred/cred.h"
#include "kernel/reads.h"
#include "sched/timer.h"
#include "syscall/socket.h"
#include "syscall/util.h"
#include "syscall_protos.h"

#define CONTROL_MAX 20480U /* net.core.optmem_max, about */
#define MMSG_MAX 1024U

/* As struct msghdr of x86-64. */
struct guest_msghdr {
	struct uaddr name;
	int name_size;
	u32 pad;
	struct uaddr iov;
	u64 iov_count;
	struct uaddr control;
	u64 control_size;
	u32 flags;
	u32 pad2;
};
_Static_assert(sizeof(struct guest_msghdr) == sizeof(struct msghdr), "layout of msghdr");

struct guest_cmsghdr {
	u64 size;
	int level, type;
};
_Static_assert(sizeof(struct guest_cmsghdr) == sizeof(struct cmsghdr), "layout of cmsghdr");

/* What a send on f that gave ret returns to the guest. */
static long send_result(struct task *t, const struct file *f, long ret, int flags)
{
	siginfo_t info;

	if (ret == -EPIPE && !(flags & MSG_NOSIGNAL) && sock_pipe_signal(f)) {
		siginfo_user(&info, SIGPIPE, SI_USER, t, t);
		(void)signal_send_task(t, &info);
	}
	return socket_restart(f, ret, true);
}

/* ---- control messages that are sent ---- */

static int scm_add_files(struct task *t, struct scm *scm, const int *fds, size_t count)
{
	int err = 0;

	if (!count)
		return 0;
	if (!scm->files)
		scm->files = file_list_create();
	if (!scm->files)
		return -ENOMEM;
	for (size_t i = 0; i < count && !err; i++) {
		struct file *f = fd_get(t->subject.files, fds[i], NULL);

		err = f ? file_list_add(scm->files, f) : -EBADF;
		file_put(f);
	}
	return err;
}

static int scm_set_cred(struct task *t, struct scm *scm, const struct scm_cred *c)
{
	const struct cred *own = t->subject.cred;
	bool uid_ok = c->uid == own->uid || c->uid == own->euid || c->uid == own->suid;
	bool gid_ok = c->gid == own->gid || c->gid == own->egid || c->gid == own->sgid;

	if ((c->pid != t->subject.tgid && !task_capable(t, CAP_SYS_ADMIN)) ||
	    (!uid_ok && !task_capable(t, CAP_SETUID)) || (!gid_ok && !task_capable(t, CAP_SETGID)))
		return -EPERM;
	scm->cred = *c;
	scm->has_cred = true;
	return 0;
}

static int scm_add(struct task *t, const struct file *f, struct net_msg *msg,
		   const struct guest_cmsghdr *h, const char *data, size_t size)
{
	struct scm *scm = &msg->scm;
	struct scm_cred c;
	int fds[SCM_FILES_MAX];

	if (h->level != SOL_SOCKET)
		return sock_send_cmsg(f, h->level, h->type, data, size, &msg->ctl);
	if (!sock_takes_scm(f))
		return h->type == SCM_RIGHTS || h->type == SCM_CREDENTIALS ? 0 : -EINVAL;
	switch (h->type) {
	case SCM_RIGHTS:
		if (size / sizeof(int) > SCM_FILES_MAX)
			return -EINVAL;
		memcpy(fds, data, size / sizeof(int) * sizeof(int));
		return scm_add_files(t, scm, fds, size / sizeof(int));
	case SCM_CREDENTIALS:
		if (size != sizeof(c))
			return -EINVAL;
		memcpy(&c, data, sizeof(c));
		return scm_set_cred(t, scm, &c);
	default:
		return -EINVAL;
	}
}

static int scm_parse(struct task *t, const struct file *f, struct net_msg *msg, const char *buf,
		     size_t size)
{
	struct guest_cmsghdr h;
	int err = 0;

	for (size_t at = 0; !err && size - at >= sizeof(h);) {
		memcpy(&h, buf + at, sizeof(h));
		if (h.size < sizeof(h) || h.size > size - at)
			return -EINVAL;
		err = scm_add(t, f, msg, &h, buf + at + sizeof(h), h.size - sizeof(h));
		at += min(align_up(h.size, sizeof(u64)), (u64)(size - at));
	}
	return err;
}

/* msg's scm is to be given back whatever this returns. */
static int scm_fetch(struct task *t, const struct file *f, const struct guest_msghdr *m,
		     struct net_msg *msg)
{
	char *buf;
	int err;

	if (!m->control_size)
		return 0;
	if (m->control_size > CONTROL_MAX)
		return -ENOBUFS;
	buf = arena_alloc(m->control_size);
	if (!buf)
		return -ENOBUFS;
	err = copy_in(&t->subject, buf, m->control, m->control_size);
	if (!err)
		err = scm_parse(t, f, msg, buf, m->control_size);
	arena_free(buf);
	return err;
}

/* ---- control messages that are received ---- */

struct control {
	struct task *task;
	struct uaddr at;
	u64 left;
	u64 done;
	u32 flags; /* MSG_CTRUNC */
};

/* Store a header whose data, size bytes of which have been stored, follow it. */
static int control_end(struct control *c, int level, int type, size_t size)
{
	struct guest_cmsghdr h = { .size = sizeof(h) + size, .level = level, .type = type };
	u64 step = min(align_up(h.size, sizeof(u64)), c->left);
	int err = copy_out(&c->task->subject, c->at, &h, sizeof(h));

	if (err)
		return err;
	c->at = uaddr_add(c->at, step);
	c->left -= step;
	c->done += step;
	return 0;
}

static void control_put(struct control *c, int level, int type, const void *data, size_t size)
{
	size_t head = sizeof(struct guest_cmsghdr);

	if (c->left < head + size)
		c->flags |= MSG_CTRUNC;
	if (c->left < head)
		return;
	size = min((u64)size, c->left - head);
	if (!copy_out(&c->task->subject, uaddr_add(c->at, head), data, size))
		(void)!control_end(c, level, type, size);
}

static void control_put_files(struct control *c, const struct file_list *files, bool cloexec)
{
	struct subject *s = &c->task->subject;
	size_t head = sizeof(struct guest_cmsghdr);
	u32 count = file_list_count(files), i;
	u64 room = c->left < head ? 0 : (c->left - head) / sizeof(int);

	for (i = 0; i < min((u64)count, room); i++) {
		struct uaddr at = uaddr_add(c->at, head + i * sizeof(int));
		int fd = fd_install(s, file_list_get(files, i), 0, cloexec ? FD_CLOEXEC_FLAG : 0);

		if (fd < 0)
			break;
		if (copy_out(s, at, &fd, sizeof(fd))) {
			(void)!fd_close(s, fd);
			break;
		}
	}
	if (i)
		(void)!control_end(c, SOL_SOCKET, SCM_RIGHTS, i * sizeof(int));
	if (i < count)
		c->flags |= MSG_CTRUNC;
}

/* ---- one message ---- */

static int fetch_msghdr(struct task *t, struct uaddr addr, struct guest_msghdr *ret)
{
	int err = copy_in(&t->subject, ret, addr, sizeof(*ret));

	if (err)
		return err;
	if (uaddr_is_null(ret->name))
		ret->name_size = 0;
	if (ret->name_size < 0)
		return -EINVAL;
	ret->name_size = min(ret->name_size, (int)sizeof(struct sockaddr_storage));
	return ret->iov_count > 1024 ? -EMSGSIZE : 0;
}

static long do_sendmsg(struct task *t, struct file *f, struct uaddr umsg, int flags)
{
	UNINIT struct iov_set set;
	struct net_msg msg = { .flags = flags };
	struct guest_msghdr m;
	struct sockname name;
	struct uio u;
	long ret;

	ret = fetch_msghdr(t, umsg, &m);
	if (!ret && m.name_size) {
		ret = fetch_sockname(t, m.name, m.name_size, &name);
		msg.to = &name;
	}
	if (ret)
		return ret;
	ret = iov_fetch(t, m.iov, m.iov_count, &set);
	if (ret)
		return ret;
	ret = scm_fetch(t, f, &m, &msg);
	if (!ret) {
		uio_init_guest(&u, &t->subject, set.iov, set.count, set.total);
		msg.uio = &u;
		ret = sock_send(&t->subject, f, &msg);
	}
	file_list_destroy(msg.scm.files);
	iov_release(&set);
	return ret;
}

/* What recvmsg tells beside the data: the name, control messages, flags. */
static int recv_finish(struct task *t, const struct file *f, struct uaddr umsg,
		       const struct guest_msghdr *m, const struct net_msg *msg)
{
	struct control c = { .task = t, .at = m->control, .left = m->control_size };
	struct uaddr name_size = uaddr_add(umsg, offsetof(struct guest_msghdr, name_size));
	u32 flags;
	int err = 0;

	if (m->name.v) {
		u32 size = min(msg->from.size, (u32)m->name_size);

		err = size ? copy_out(&t->subject, m->name, msg->from.raw, size) : 0;
		if (!err)
			err = copy_out(&t->subject, name_size, &msg->from.size, sizeof(u32));
	}
	if (err)
		return err;
	for (u32 i = 0; i < msg->cmsg_count; i++)
		control_put(&c, msg->cmsgs[i].level, msg->cmsgs[i].type, msg->cmsgs[i].data,
			    msg->cmsgs[i].size);
	if (msg->scm.has_cred && sock_passcred(f))
		control_put(&c, SOL_SOCKET, SCM_CREDENTIALS, &msg->scm.cred, sizeof(msg->scm.cred));
	if (msg->scm.files)
		control_put_files(&c, msg->scm.files, msg->flags & MSG_CMSG_CLOEXEC);
	flags = (u32)msg->ret_flags | c.flags | ((u32)msg->flags & MSG_CMSG_CLOEXEC);
	err = copy_out(&t->subject, uaddr_add(umsg, offsetof(struct guest_msghdr, flags)), &flags,
		       sizeof(flags));
	if (!err)
		err = copy_out(&t->subject,
			       uaddr_add(umsg, offsetof(struct guest_msghdr, control_size)),
			       &c.done, sizeof(c.done));
	return err;
}

static long do_recvmsg(struct task *t, struct file *f, struct uaddr umsg, int flags)
{
	UNINIT struct iov_set set;
	struct net_msg msg = { .flags = flags };
	struct guest_msghdr m;
	struct uio u;
	long ret;
	int err;

	ret = fetch_msghdr(t, umsg, &m);
	if (!ret)
		ret = iov_fetch(t, m.iov, m.iov_count, &set);
	if (ret)
		return ret;
	uio_init_guest(&u, &t->subject, set.iov, set.count, set.total);
	msg.uio = &u;
	ret = sock_recv(&t->subject, f, &msg);
	if (ret >= 0) {
		err = recv_finish(t, f, umsg, &m, &msg);
		ret = err ? err : ret;
	}
	file_list_destroy(msg.scm.files);
	iov_release(&set);
	return ret;
}

long sys_sendmsg(struct task *t, int fd, struct uaddr msg, int flags)
{
	struct file *f = file_lookup(t, fd);
	long ret;

	if (!f)
		return -EBADF;
	ret = file_is_socket(f) ? send_result(t, f, do_sendmsg(t, f, msg, flags), flags) :
				  -ENOTSOCK;
	file_put(f);
	return ret;
}

long sys_recvmsg(struct task *t, int fd, struct uaddr msg, int flags)
{
	struct file *f = file_lookup(t, fd);
	long ret;

	if (!f)
		return -EBADF;
	ret = file_is_socket(f) ? socket_restart(f, do_recvmsg(t, f, msg, flags), false) :
				  -ENOTSOCK;
	file_put(f);
	return ret;
}

/* ---- several messages ---- */

/* Where the count of element i of an array of struct mmsghdr is. */
static struct uaddr mmsg_at(struct uaddr vec, u32 i)
{
	return uaddr_add(vec, i * sizeof(struct mmsghdr));
}

static int mmsg_store(struct task *t, struct uaddr at, long count)
{
	u32 n = (u32)count;

	return copy_out(&t->subject, uaddr_add(at, offsetof(struct mmsghdr, msg_len)), &n,
			sizeof(n));
}

long sys_sendmmsg(struct task *t, int fd, struct uaddr vec, u32 count, int flags)
{
	struct file *f = file_lookup(t, fd);
	long ret = 0;
	u32 i;

	if (!f)
		return -EBADF;
	if (!file_is_socket(f)) {
		file_put(f);
		return -ENOTSOCK;
	}
	for (i = 0; i < min(count, MMSG_MAX); i++) {
		ret = do_sendmsg(t, f, mmsg_at(vec, i), flags);
		if (ret >= 0)
			ret = mmsg_store(t, mmsg_at(vec, i), ret);
		if (ret < 0)
			break;
	}
	ret = i ? (long)i : send_result(t, f, ret, flags);
	file_put(f);
	return ret;
}

static long recv_several(struct task *t, struct file *f, struct uaddr vec, u32 count, int flags,
			 s64 deadline)
{
	long ret = 0;
	u32 i;

	for (i = 0; i < min(count, MMSG_MAX); i++) {
		ret = do_recvmsg(t, f, mmsg_at(vec, i), flags & ~MSG_WAITFORONE);
		if (ret >= 0)
			ret = mmsg_store(t, mmsg_at(vec, i), ret);
		if (ret < 0)
			break;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (sched_now() >= deadline) {
			i++;
			break;
		}
	}
	return i ? (long)i : ret;
}

long sys_recvmmsg(struct task *t, int fd, struct uaddr vec, u32 count, int flags,
		  struct uaddr timeout)
{
	s64 deadline = NO_DEADLINE, ns;
	struct file *f;
	long ret;
	int err;

	if (timeout.v) {
		err = fetch_timespec(t, timeout, &ns);
		if (err)
			return err;
		deadline = deadline_in(ns);
	}
	f = file_lookup(t, fd);
	if (!f)
		return -EBADF;
	ret = file_is_socket(f) ?
		      socket_restart(f, recv_several(t, f, vec, count, flags, deadline), false) :
		      -ENOTSOCK;
	file_put(f);
	if (timeout.v && ret >= 0) {
		err = store_timespec(t, timeout, max(deadline - sched_now(), 0L));
		if (err)
			return err;
	}
	return ret;
}

/* ---- send and recv ---- */

long sys_sendto(struct task *t, int fd, struct uaddr buf, u64 size, int flags, struct uaddr addr,
		int addr_size)
{
	struct guest_iovec iov = { .base = buf };
	struct file *f = file_lookup(t, fd);
	struct net_msg msg = { .flags = flags };
	struct sockname name;
	struct uio u;
	long ret = 0;

	iov.size = min(size, MAX_RW_COUNT);
	if (!f)
		return -EBADF;
	if (!file_is_socket(f))
		ret = -ENOTSOCK;
	else if (!uaddr_ok(buf, iov.size))
		ret = -EFAULT;
	if (!ret && addr.v) {
		ret = fetch_sockname(t, addr, addr_size, &name);
		msg.to = &name;
	}
	if (!ret) {
		uio_init_guest(&u, &t->subject, &iov, 1, iov.size);
		msg.uio = &u;
		ret = send_result(t, f, sock_send(&t->subject, f, &msg), flags);
	}
	file_put(f);
	return ret;
}

long sys_recvfrom(struct task *t, int fd, struct uaddr buf, u64 size, int flags, struct uaddr addr,
		  struct uaddr addr_size)
{
	struct guest_iovec iov = { .base = buf };
	struct file *f = file_lookup(t, fd);
	struct net_msg msg = { .flags = flags };
	struct uio u;
	long ret = 0;
	int err = 0;

	iov.size = min(size, MAX_RW_COUNT);
	if (!f)
		return -EBADF;
	if (!file_is_socket(f))
		ret = -ENOTSOCK;
	else if (!uaddr_ok(buf, iov.size))
		ret = -EFAULT;
	if (!ret) {
		uio_init_guest(&u, &t->subject, &iov, 1, iov.size);
		msg.uio = &u;
		ret = socket_restart(f, sock_recv(&t->subject, f, &msg), false);
		if (!flags && !addr.v)
			reads_used(t, fd, ret);
		if (ret >= 0 && addr.v)
			err = store_sockname(t, addr, addr_size, &msg.from);
		file_list_destroy(msg.scm.files);
	}
	file_put(f);
	return err ? err : ret;
}
