#pragma once

/*
 * Sockets, as the system call layer sees them: files over struct sock. All data come through
 * kernel memory but for message bodies (struct uio). Functions that take a file fail with -ENOTSOCK
 * if it is none. Those that wait return -EINTR when interrupted.
 */

#include <sys/socket.h>

#include "base/types.h"

struct file;
struct file_list;
struct subject;
struct uio;

/* What Linux calls SCM_MAX_FD. */
#define SCM_FILES_MAX 253U

/* A socket address of the guest. */
struct sockname {
	u32 size; /* bytes that are valid */
	union {
		struct sockaddr sa;
		struct sockaddr_storage storage;
		char raw[128];
	};
};

struct scm_cred {
	u32 pid, uid, gid;
};

/* Files and credentials that travel with a message. */
struct scm {
	struct file_list *files; /* owned; null: none */
	struct scm_cred cred;
	bool has_cred;
};

/* A control message other than those of struct scm. */
struct net_cmsg {
	int level, type;
	u32 size;
	char data[32];
};
#define NET_CMSGS_MAX 8U

/* What control messages ask of one datagram. */
struct net_ctl {
	bool has_ttl, has_tos; /* of IPv6 too: hop limit, traffic class */
	int ttl, tos; /* -1: the default */
	bool has_src;
	u8 src[16]; /* an address; of IPv4 v4-mapped */
};

struct net_msg {
	struct uio *uio;
	int flags; /* MSG_* */
	const struct sockname *to; /* send: null if none was given */
	struct scm scm; /* send: taken over (files becomes null) on success; receive: filled in */
	struct sockname from; /* receive: size 0 if there is none */
	int ret_flags; /* receive: MSG_TRUNC, MSG_EOR */
	struct net_ctl ctl; /* send */
	u32 cmsg_count; /* receive: of cmsgs */
	struct net_cmsg cmsgs[NET_CMSGS_MAX];
};

/* Once at boot, after ipc_init. */
[[nodiscard]] int net_init(void);

/* Drop sockets that only each other's messages refer to, and wait until whoever drops something has
 * done so. This happens by itself soon after a socket is closed; for the end of a sandbox. Parks.
 */
void net_quiesce(void);

/* type: SOCK_* alone; flags: O_NONBLOCK. */
[[nodiscard]] int sock_create(struct subject *s, int family, int type, int protocol, u32 flags,
			      struct file **ret);
[[nodiscard]] int sock_create_pair(struct subject *s, int family, int type, int protocol, u32 flags,
				   struct file *ret[2]);
bool file_is_socket(const struct file *f);
[[nodiscard]] int sock_bind(struct subject *s, struct file *f, const struct sockname *name);
[[nodiscard]] int sock_listen(struct subject *s, struct file *f, int backlog);
[[nodiscard]] int sock_accept(struct subject *s, struct file *f, u32 flags, struct file **ret);
/* The file could not be given a descriptor: the connection goes back to the head of the queue of f.
 * Takes over conn. */
void sock_unaccept(struct file *f, struct file *conn);
[[nodiscard]] int sock_connect(struct subject *s, struct file *f, const struct sockname *name);
[[nodiscard]] int sock_getname(struct file *f, bool peer, struct sockname *ret);
ssize_t sock_send(struct subject *s, struct file *f, struct net_msg *msg);
ssize_t sock_recv(struct subject *s, struct file *f, struct net_msg *msg);
/*
 * Peek at all that a read of a stream f would give now, if that is at most size bytes, into buf.
 * Returns how many, or -EAGAIN: nothing, or more, or f is no stream, or others would be concerned:
 * the sender is short of room, or has sent files along.
 */
ssize_t sock_peek_all(struct subject *s, struct file *f, void *buf, size_t size);
/* SO_COOKIE of f's socket, and of the one that it is connected to; 0: there is none. */
u64 sock_cookie(const struct file *f);
u64 sock_peer_cookie(const struct file *f);
[[nodiscard]] int sock_shutdown(struct file *f, int how);
/* A control message that is to be sent on f, of another level than SOL_SOCKET; *ctl is changed.
 * -EINVAL. */
[[nodiscard]] int sock_send_cmsg(const struct file *f, int level, int type, const void *data,
				 size_t size, struct net_ctl *ctl);
/* f's messages can carry files and credentials. */
bool sock_takes_scm(const struct file *f);
/* Does -EPIPE from writing to f, a socket or not (or null), come with SIGPIPE? */
bool sock_pipe_signal(const struct file *f);
/* The receiver wants SCM_CREDENTIALS. */
bool sock_passcred(const struct file *f);
/* A wait in f for reading (or writing) has a time limit: then it is not restarted after a signal.
 */
bool sock_has_timeout(const struct file *f, bool write);

#define SOCKOPT_SIZE_MAX 4096U
[[nodiscard]] int sock_setopt(struct subject *s, struct file *f, int level, int name,
			      const void *value, u32 size);
/* value has SOCKOPT_SIZE_MAX bytes; *size: what the guest has room for, then what there is, which
 * may be more: then value has what there is room for, or it is -ERANGE. */
[[nodiscard]] int sock_getopt(struct subject *s, struct file *f, int level, int name, void *value,
			      u32 *size);

/* ---- files in messages ---- */

/* An empty list; null when memory is short. */
[[nodiscard]] struct file_list *file_list_create(void);
/* Takes its own reference to f. At most SCM_FILES_MAX: -EINVAL. */
[[nodiscard]] int file_list_add(struct file_list *l, struct file *f);
u32 file_list_count(const struct file_list *l);
struct file *file_list_get(const struct file_list *l, u32 i); /* borrowed */
void file_list_destroy(struct file_list *l); /* null is fine */
