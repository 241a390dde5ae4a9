/* Sockets: making, naming and connecting them; options. */

#include "syscall/socket.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "net/net.h"
#include "syscall/util.h"
#include "syscall_protos.h"

int fetch_sockname(struct task *t, struct uaddr addr, int size, struct sockname *ret)
{
	if (size < 0 || (u32)size > sizeof(ret->raw))
		return -EINVAL;
	memset(ret->raw, 0, sizeof(ret->raw));
	ret->size = (u32)size;
	return size ? copy_in(&t->subject, ret->raw, addr, (size_t)size) : 0;
}

int store_sockname(struct task *t, struct uaddr addr, struct uaddr usize,
		   const struct sockname *name)
{
	int room, err;

	err = copy_in(&t->subject, &room, usize, sizeof(room));
	if (err)
		return err;
	if (room < 0)
		return -EINVAL;
	room = (int)min((u32)room, min(name->size, (u32)sizeof(name->raw)));
	err = room ? copy_out(&t->subject, addr, name->raw, (size_t)room) : 0;
	return err ? err : copy_out(&t->subject, usize, &name->size, sizeof(name->size));
}

/* type as socket(2) takes it: *ret_flags gets O_NONBLOCK. */
static int split_type(int *type, u32 *ret_flags)
{
	int flags = *type & ~0xf;

	if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	*type &= 0xf;
	*ret_flags = flags & SOCK_NONBLOCK ? O_NONBLOCK : 0;
	return 0;
}

long sys_socket(struct task *t, int family, int type, int protocol)
{
	int flags = type;
	struct file *f;
	u32 status;
	long ret = split_type(&type, &status);

	if (!ret)
		ret = sock_create(&t->subject, family, type, protocol, status, &f);
	if (ret)
		return ret;
	return file_install(t, f, flags);
}

long sys_socketpair(struct task *t, int family, int type, int protocol, struct uaddr ufds)
{
	int flags = type, err;
	struct file *f[2];
	u32 status;

	err = split_type(&type, &status);
	if (!err)
		err = sock_create_pair(&t->subject, family, type, protocol, status, f);
	return err ? err : file_install_two(t, f, flags, ufds);
}

long socket_restart(const struct file *f, long ret, bool write)
{
	return task_restart(ret, sock_has_timeout(f, write) ? ERESTARTNEVER : ERESTARTSYS);
}

long sys_bind(struct task *t, int fd, struct uaddr addr, int size)
{
	struct file *f = file_lookup(t, fd);
	struct sockname name;
	long ret;

	if (!f)
		return -EBADF;
	ret = file_is_socket(f) ? fetch_sockname(t, addr, size, &name) : -ENOTSOCK;
	if (!ret)
		ret = sock_bind(&t->subject, f, &name);
	file_put(f);
	return ret;
}

long sys_connect(struct task *t, int fd, struct uaddr addr, int size)
{
	struct file *f = file_lookup(t, fd);
	struct sockname name;
	long ret;

	if (!f)
		return -EBADF;
	ret = file_is_socket(f) ? fetch_sockname(t, addr, size, &name) : -ENOTSOCK;
	if (!ret)
		ret = socket_restart(f, sock_connect(&t->subject, f, &name), true);
	file_put(f);
	return ret;
}

long sys_listen(struct task *t, int fd, int backlog)
{
	struct file *f = file_lookup(t, fd);
	long ret;

	if (!f)
		return -EBADF;
	ret = sock_listen(&t->subject, f, backlog);
	file_put(f);
	return ret;
}

/* Give the accepted connection a descriptor, and tell who it is. Takes over conn. */
static long accept_finish(struct task *t, struct file *listener, struct file *conn,
			  struct uaddr addr, struct uaddr usize, int flags)
{
	struct sockname name = {};
	long fd;
	int err = 0;

	if (addr.v && sock_getname(conn, true, &name)) {
		file_put(conn);
		return -ECONNABORTED;
	}
	fd = fd_install(&t->subject, conn, 0, flags & SOCK_CLOEXEC ? FD_CLOEXEC_FLAG : 0);
	if (fd < 0) {
		sock_unaccept(listener, conn);
		return fd;
	}
	file_put(conn);
	if (addr.v)
		err = store_sockname(t, addr, usize, &name);
	if (err) {
		(void)!fd_close(&t->subject, (int)fd);
		return err;
	}
	return fd;
}

long sys_accept4(struct task *t, int fd, struct uaddr addr, struct uaddr size, int flags)
{
	struct file *f, *conn;
	long ret;

	if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	f = file_lookup(t, fd);
	if (!f)
		return -EBADF;
	ret = sock_accept(&t->subject, f, flags & SOCK_NONBLOCK ? O_NONBLOCK : 0, &conn);
	if (!ret)
		ret = accept_finish(t, f, conn, addr, size, flags);
	ret = socket_restart(f, ret, false);
	file_put(f);
	return ret;
}

long sys_accept(struct task *t, int fd, struct uaddr addr, struct uaddr size)
{
	return sys_accept4(t, fd, addr, size, 0);
}

static long get_name(struct task *t, int fd, struct uaddr addr, struct uaddr size, bool peer)
{
	struct file *f = file_lookup(t, fd);
	struct sockname name = {};
	long ret;

	if (!f)
		return -EBADF;
	ret = sock_getname(f, peer, &name);
	if (!ret)
		ret = store_sockname(t, addr, size, &name);
	file_put(f);
	return ret;
}

long sys_getsockname(struct task *t, int fd, struct uaddr addr, struct uaddr size)
{
	return get_name(t, fd, addr, size, false);
}

long sys_getpeername(struct task *t, int fd, struct uaddr addr, struct uaddr size)
{
	return get_name(t, fd, addr, size, true);
}

long sys_shutdown(struct task *t, int fd, int how)
{
	struct file *f = file_lookup(t, fd);
	long ret;

	if (!f)
		return -EBADF;
	ret = sock_shutdown(f, how);
	file_put(f);
	return ret;
}

long sys_setsockopt(struct task *t, int fd, int level, int name, struct uaddr value, int size)
{
	UNINIT char buf[256];
	struct file *f = file_lookup(t, fd);
	size_t n = (size_t)min((u32)size, (u32)sizeof(buf));
	long ret = 0;

	if (!f)
		return -EBADF;
	if (!file_is_socket(f))
		ret = -ENOTSOCK;
	else if (size < 0)
		ret = -EINVAL;
	if (!ret && n)
		ret = copy_in(&t->subject, buf, value, n);
	if (!ret)
		ret = sock_setopt(&t->subject, f, level, name, buf, (u32)n);
	file_put(f);
	return ret;
}

long sys_getsockopt(struct task *t, int fd, int level, int name, struct uaddr value,
		    struct uaddr usize)
{
	UNINIT char buf[SOCKOPT_SIZE_MAX];
	struct file *f = file_lookup(t, fd);
	u32 room, size = 0;
	long ret;
	int err = 0;

	if (!f)
		return -EBADF;
	ret = file_is_socket(f) ? copy_in(&t->subject, &size, usize, sizeof(size)) : -ENOTSOCK;
	if (!ret && (int)size < 0)
		ret = -EINVAL;
	room = size = min(size, SOCKOPT_SIZE_MAX);
	if (!ret)
		ret = sock_getopt(&t->subject, f, level, name, buf, &size);
	/* There may be more than there is room for, which some options call an error. */
	if (!ret && min(size, room))
		ret = copy_out(&t->subject, value, buf, min(size, room));
	if (!ret || ret == -ERANGE)
		err = copy_out(&t->subject, usize, &size, sizeof(size));
	file_put(f);
	return err ? err : ret;
}
