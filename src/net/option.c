/*
 * Socket options. Most are only kept: a table says which there are, what they are at first and what
 * they may be. The others have a case of their own.
 */

#include <errno.h>
#include <linux/capability.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>

#include "cred/cred.h"
#include "net/internal.h"
#include "time/clock.h"

/* Of x86-64; libc's headers name others for 32-bit time. */
#define SO_RCVTIMEO_NEW 66
#define SO_SNDTIMEO_NEW 67
#define IP_MTU_OF_LO 65535
#define MAXSEG_MIN 88

enum opt_kind {
	OPT_BOOL, /* any int: 0 or 1 */
	OPT_INT, /* lo..hi, else -EINVAL */
	OPT_CLAMP, /* lo..hi, else the nearest */
	OPT_DEFAULT, /* as OPT_INT, and -1: what it was at first */
};

enum {
	OPT_UNIX = 1,
	OPT_INET4 = 2,
	OPT_INET6 = 4,
	OPT_TCP = 8,
	OPT_UDPLITE = 16,
	OPT_ANY = 7,
	OPT_IP = 6
};

struct opt {
	int level, name;
	u32 families; /* OPT_*; with OPT_TCP only those of TCP */
	enum opt_kind kind;
	int initial, lo, hi;
};

/* At most SOCK_OPTS. */
static const struct opt g_opts[] = {
	{ SOL_SOCKET, SO_REUSEADDR, OPT_ANY, OPT_BOOL, 0, 0, 1 },
	{ SOL_SOCKET, SO_REUSEPORT, OPT_IP, OPT_BOOL, 0, 0, 1 },
	{ SOL_SOCKET, SO_KEEPALIVE, OPT_ANY, OPT_BOOL, 0, 0, 1 },
	{ SOL_SOCKET, SO_BROADCAST, OPT_ANY, OPT_BOOL, 0, 0, 1 },
	{ SOL_SOCKET, SO_OOBINLINE, OPT_ANY, OPT_BOOL, 0, 0, 1 },
	{ SOL_SOCKET, SO_DONTROUTE, OPT_ANY, OPT_BOOL, 0, 0, 1 },
	{ SOL_SOCKET, SO_NO_CHECK, OPT_ANY, OPT_BOOL, 0, 0, 1 },
	{ SOL_SOCKET, SO_TIMESTAMP, OPT_ANY, OPT_BOOL, 0, 0, 1 },
	{ SOL_SOCKET, SO_TIMESTAMPNS, OPT_ANY, OPT_BOOL, 0, 0, 1 },
	{ SOL_SOCKET, SO_PRIORITY, OPT_ANY, OPT_CLAMP, 0, INT32_MIN, INT32_MAX },
	{ SOL_SOCKET, SO_MARK, OPT_ANY, OPT_CLAMP, 0, INT32_MIN, INT32_MAX },
	{ SOL_SOCKET, SO_RCVLOWAT, OPT_ANY, OPT_CLAMP, 1, 1, INT32_MAX },
	{ SOL_SOCKET, SO_INCOMING_CPU, OPT_ANY, OPT_CLAMP, -1, INT32_MIN, INT32_MAX },
	{ SOL_SOCKET, SO_BUSY_POLL, OPT_ANY, OPT_CLAMP, 0, 0, 0 },
	{ SOL_SOCKET, SO_RXQ_OVFL, OPT_ANY, OPT_BOOL, 0, 0, 1 },
	{ SOL_SOCKET, SO_MAX_PACING_RATE, OPT_ANY, OPT_CLAMP, -1, INT32_MIN, INT32_MAX },
	{ SOL_SOCKET, SO_BINDTODEVICE, OPT_ANY, OPT_BOOL, 0, 0, 1 }, /* to lo */
	{ IPPROTO_TCP, TCP_CONGESTION, OPT_TCP, OPT_BOOL, 0, 0, 1 }, /* row of g_congestion */
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, OPT_TCP, OPT_CLAMP, 0, INT32_MIN, INT32_MAX },
	{ IPPROTO_TCP, TCP_NODELAY, OPT_TCP, OPT_BOOL, 0, 0, 1 },
	{ IPPROTO_TCP, TCP_MAXSEG, OPT_TCP, OPT_INT, 536, 0, 32767 },
	{ IPPROTO_TCP, TCP_CORK, OPT_TCP, OPT_BOOL, 0, 0, 1 },
	{ IPPROTO_TCP, TCP_KEEPIDLE, OPT_TCP, OPT_INT, 7200, 1, 32767 },
	{ IPPROTO_TCP, TCP_KEEPINTVL, OPT_TCP, OPT_INT, 75, 1, 32767 },
	{ IPPROTO_TCP, TCP_KEEPCNT, OPT_TCP, OPT_INT, 9, 1, 127 },
	{ IPPROTO_TCP, TCP_SYNCNT, OPT_TCP, OPT_INT, 6, 1, 127 },
	{ IPPROTO_TCP, TCP_LINGER2, OPT_TCP, OPT_CLAMP, 60, -1, 60 },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, OPT_TCP, OPT_CLAMP, 0, 0, INT32_MAX },
	{ IPPROTO_TCP, TCP_WINDOW_CLAMP, OPT_TCP, OPT_CLAMP, 0, 0, INT32_MAX },
	{ IPPROTO_TCP, TCP_QUICKACK, OPT_TCP, OPT_BOOL, 1, 0, 1 },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, OPT_TCP, OPT_INT, 0, 0, INT32_MAX },
	{ IPPROTO_TCP, TCP_FASTOPEN, OPT_TCP, OPT_CLAMP, 0, 0, INT32_MAX },
	{ IPPROTO_UDPLITE, 10 /* UDPLITE_SEND_CSCOV */, OPT_UDPLITE, OPT_CLAMP, 0, 0, 65535 },
	{ IPPROTO_UDPLITE, 11 /* UDPLITE_RECV_CSCOV */, OPT_UDPLITE, OPT_CLAMP, 0, 0, 65535 },
	{ IPPROTO_IP, IP_TOS, OPT_IP, OPT_CLAMP, 0, 0, 255 },
	{ IPPROTO_IP, IP_TTL, OPT_IP, OPT_DEFAULT, 64, 1, 255 },
	{ IPPROTO_IP, IP_PKTINFO, OPT_IP, OPT_BOOL, 0, 0, 1 },
	{ IPPROTO_IP, IP_RECVERR, OPT_IP, OPT_BOOL, 0, 0, 1 },
	{ IPPROTO_IP, IP_RECVTTL, OPT_IP, OPT_BOOL, 0, 0, 1 },
	{ IPPROTO_IP, IP_RECVTOS, OPT_IP, OPT_BOOL, 0, 0, 1 },
	{ IPPROTO_IP, IP_FREEBIND, OPT_IP, OPT_BOOL, 0, 0, 1 },
	{ IPPROTO_IP, IP_MTU_DISCOVER, OPT_IP, OPT_INT, 1, 0, 5 },
	{ IPPROTO_IP, IP_MULTICAST_TTL, OPT_IP, OPT_DEFAULT, 1, 0, 255 },
	{ IPPROTO_IP, IP_MULTICAST_ALL, OPT_IP, OPT_INT, 1, 0, 1 },
	{ IPPROTO_IP, IP_RECVOPTS, OPT_IP, OPT_BOOL, 0, 0, 1 },
	{ IPPROTO_IP, IP_RETOPTS, OPT_IP, OPT_BOOL, 0, 0, 1 },
	{ IPPROTO_IP, IP_MINTTL, OPT_IP, OPT_INT, 0, 0, 255 },
	{ IPPROTO_IP, IP_MULTICAST_LOOP, OPT_IP, OPT_BOOL, 1, 0, 1 },
	{ IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, OPT_IP, OPT_BOOL, 0, 0, 1 },
	{ IPPROTO_IPV6, IPV6_V6ONLY, OPT_INET6, OPT_BOOL, 0, 0, 1 },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, OPT_INET6, OPT_DEFAULT, 64, 0, 255 },
	{ IPPROTO_IPV6, IPV6_MULTICAST_HOPS, OPT_INET6, OPT_DEFAULT, 1, 0, 255 },
	{ IPPROTO_IPV6, IPV6_MULTICAST_IF, OPT_INET6, OPT_INT, 0, 0, LO_INDEX },
	{ IPPROTO_IPV6, IPV6_MULTICAST_LOOP, OPT_INET6, OPT_BOOL, 1, 0, 1 },
	{ IPPROTO_IPV6, IPV6_TCLASS, OPT_INET6, OPT_DEFAULT, 0, 0, 255 },
	{ IPPROTO_IPV6, IPV6_RECVTCLASS, OPT_INET6, OPT_BOOL, 0, 0, 1 },
	{ IPPROTO_IPV6, IPV6_RECVHOPLIMIT, OPT_INET6, OPT_BOOL, 0, 0, 1 },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, OPT_INET6, OPT_BOOL, 0, 0, 1 },
	{ IPPROTO_IPV6, IPV6_RECVERR, OPT_INET6, OPT_BOOL, 0, 0, 1 },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, OPT_INET6, OPT_INT, 1, 0, 5 },
};
_Static_assert(ARRAY_SIZE(g_opts) <= SOCK_OPTS, "room for stored options");

static const char *const g_congestion[] = { "cubic", "reno" };

static bool opt_fits(const struct opt *o, const struct sock *sk)
{
	if (o->families & OPT_TCP)
		return sk->protocol == IPPROTO_TCP;
	if (o->families & OPT_UDPLITE)
		return sk->protocol == IPPROTO_UDPLITE;
	if (sk->family == AF_UNIX || sk->family == AF_NETLINK)
		return o->families & OPT_UNIX;
	return o->families & (sk->family == AF_INET ? OPT_INET4 : OPT_INET6);
}

static int opt_index(const struct sock *sk, int level, int name)
{
	for (u32 i = 0; i < ARRAY_SIZE(g_opts); i++)
		if (g_opts[i].level == level && g_opts[i].name == name && opt_fits(&g_opts[i], sk))
			return (int)i;
	return -1;
}

void sock_opts_init(struct sock *sk)
{
	for (u32 i = 0; i < ARRAY_SIZE(g_opts); i++)
		sk->opts[i] = g_opts[i].initial;
}

void sock_opts_copy(struct sock *to, const struct sock *from)
{
	memcpy(to->opts, from->opts, sizeof(to->opts));
	to->linger = from->linger;
	to->sndbuf = atomic_load(&from->sndbuf);
	to->rcvbuf = atomic_load(&from->rcvbuf);
	to->rcvtimeo = atomic_load(&from->rcvtimeo);
	to->sndtimeo = atomic_load(&from->sndtimeo);
}

int sock_opt_get(const struct sock *sk, int level, int name)
{
	int i = opt_index(sk, level, name);

	return i < 0 ? 0 : __atomic_load_n(&sk->opts[i], __ATOMIC_RELAXED);
}

/* TCP_DEFER_ACCEPT is kept as a number of retries, of which each waits twice as long. */
static int defer_accept_seconds(int seconds)
{
	int step = 1, sum = 0;

	while (sum < seconds && sum < 30'000) {
		sum += step;
		step = min(step * 2, 120);
	}
	return sum;
}

static int opt_store(struct sock *sk, int i, int value)
{
	const struct opt *o = &g_opts[i];

	if (o->kind == OPT_BOOL)
		value = value != 0;
	else if (o->kind == OPT_CLAMP)
		value = max(o->lo, min(o->hi, value));
	else if (o->kind == OPT_DEFAULT && value == -1)
		value = o->initial;
	else if (value < o->lo || value > o->hi)
		return -EINVAL;
	else if (o->level == IPPROTO_TCP && o->name == TCP_MAXSEG && value && value < MAXSEG_MIN)
		return -EINVAL;
	if (o->level == IPPROTO_TCP && o->name == TCP_DEFER_ACCEPT)
		value = defer_accept_seconds(value);
	__atomic_store_n(&sk->opts[i], value, __ATOMIC_RELAXED);
	return 0;
}

/* ---- setting ---- */

static int set_timeout(_Atomic s64 *timeo, const void *value, u32 size)
{
	struct timeval tv;

	if (size < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, value, sizeof(tv));
	if (tv.tv_usec < 0 || tv.tv_usec >= 1'000'000)
		return -EDOM;
	if (tv.tv_sec < 0)
		atomic_store(timeo, 1); /* as short as can be */
	else if (tv.tv_sec > INT64_MAX / 1'000'000'000 - 1)
		atomic_store(timeo, 0);
	else
		atomic_store(timeo, tv.tv_sec * 1'000'000'000 + tv.tv_usec * 1000);
	return 0;
}

static int set_linger(struct sock *sk, const void *value, u32 size)
{
	struct linger l;

	if (size < sizeof(l))
		return -EINVAL;
	memcpy(&l, value, sizeof(l));
	sock_lock(sk);
	sk->linger.l_onoff = l.l_onoff != 0;
	if (l.l_onoff)
		sk->linger.l_linger = l.l_linger;
	sock_unlock(sk);
	return 0;
}

static void set_sndbuf(struct sock *sk, u32 value, u32 limit)
{
	atomic_store(&sk->sndbuf, max(min(value, limit) * 2, 4608U));
	sock_wake(sk, SOCK_WRITABLE);
}

static void set_rcvbuf(struct sock *sk, u32 value, u32 limit)
{
	atomic_store(&sk->rcvbuf, max(min(value, limit) * 2, 2304U));
}

/* Options of SOL_SOCKET that are ints and not just kept. 1: not among these. */
static int set_socket(struct subject *s, struct sock *sk, int name, int value)
{
	bool admin = subject_capable(s, CAP_NET_ADMIN);

	switch (name) {
	case SO_SNDBUF:
		set_sndbuf(sk, (u32)value, BUF_MAX);
		return 0;
	case SO_RCVBUF:
		set_rcvbuf(sk, (u32)value, BUF_MAX);
		return 0;
	case SO_SNDBUFFORCE:
		if (!admin)
			return -EPERM;
		set_sndbuf(sk, (u32)max(value, 0), BUF_MAX * 16);
		return 0;
	case SO_RCVBUFFORCE:
		if (!admin)
			return -EPERM;
		set_rcvbuf(sk, (u32)max(value, 0), BUF_MAX * 16);
		return 0;
	case SO_PASSCRED:
		if (sk->family != AF_UNIX && sk->family != AF_NETLINK)
			return 1;
		atomic_store(&sk->passcred, value != 0);
		return 0;
	case SO_MARK:
		return admin ? 1 : -EPERM;
	case SO_PRIORITY:
		return (value >= 0 && value <= 6) || admin ? 1 : -EPERM;
	case SO_TYPE:
	case SO_PROTOCOL:
	case SO_DOMAIN:
	case SO_ERROR:
		return -ENOPROTOOPT;
	default:
		return 1;
	}
}

static int set_v6only(struct sock *sk, int value)
{
	int err = 0;

	net_lock();
	if (sk->hashed)
		err = -EINVAL;
	else
		sk->v6only = value != 0;
	net_unlock();
	return err;
}

static int set_device(struct subject *s, struct sock *sk, const void *value, u32 size)
{
	bool lo = net_is_name(value, size, LO_NAME);

	if (!lo && !net_is_name(value, size, ""))
		return -ENODEV;
	if (sock_opt_get(sk, SOL_SOCKET, SO_BINDTODEVICE) && !subject_capable(s, CAP_NET_RAW))
		return -EPERM;
	return opt_store(sk, opt_index(sk, SOL_SOCKET, SO_BINDTODEVICE), lo);
}

static int set_congestion(struct sock *sk, const void *value, u32 size)
{
	if (!size)
		return -EINVAL;
	for (u32 i = 0; i < ARRAY_SIZE(g_congestion); i++)
		if (net_is_name(value, size, g_congestion[i]))
			return opt_store(sk, opt_index(sk, IPPROTO_TCP, TCP_CONGESTION), (int)i);
	return -ENOENT;
}

static int set_special(struct subject *s, struct sock *sk, int level, int name, const void *value,
		       u32 size)
{
	if (level == SOL_SOCKET) {
		switch (name) {
		case SO_RCVTIMEO:
		case SO_RCVTIMEO_NEW:
			return set_timeout(&sk->rcvtimeo, value, size);
		case SO_SNDTIMEO:
		case SO_SNDTIMEO_NEW:
			return set_timeout(&sk->sndtimeo, value, size);
		case SO_LINGER:
			return set_linger(sk, value, size);
		case SO_BINDTODEVICE:
			return set_device(s, sk, value, size);
		default:
			return 1;
		}
	}
	if (sk->protocol == IPPROTO_TCP && level == IPPROTO_TCP && name == TCP_CONGESTION)
		return set_congestion(sk, value, size);
	return 1;
}

/* Is level one that sk's protocols know? */
static bool level_known(const struct sock *sk, int level)
{
	if (sk->family == AF_UNIX)
		return level == SOL_SOCKET;
	if (sk->family == AF_NETLINK)
		return level == SOL_SOCKET || level == SOL_NETLINK;
	if (level == IPPROTO_TCP)
		return sk->protocol == IPPROTO_TCP;
	return level == SOL_SOCKET || level == IPPROTO_IP || level == (int)sk->protocol ||
	       (level == IPPROTO_IPV6 && sk->family == AF_INET6);
}

/* The byte that goes into IP's header: of a stream's the two bits of ECN are not the caller's. */
static int header_byte(const struct sock *sk, int i, int value)
{
	if (sk->type != SOCK_STREAM)
		return value;
	return (value & ~3) | (__atomic_load_n(&sk->opts[i], __ATOMIC_RELAXED) & 3);
}

int sock_setopt(struct subject *s, struct file *f, int level, int name, const void *value, u32 size)
{
	struct sock *sk = file_is_socket(f) ? f->private : NULL;
	int n, i, ret;

	if (!sk)
		return -ENOTSOCK;
	if (!level_known(sk, level))
		return sk->family == AF_UNIX ? -EOPNOTSUPP : -ENOPROTOOPT;
	ret = set_special(s, sk, level, name, value, size);
	if (ret == 1 && level != SOL_SOCKET && level != SOL_NETLINK)
		ret = multicast_setopt(sk, level, name, value, size);
	if (ret != 1)
		return ret;
	if (size < sizeof(int) && !(level == IPPROTO_IP && size == 1))
		return -EINVAL;
	n = size == 1 ? *(const u8 *)value : 0;
	if (size >= sizeof(int))
		memcpy(&n, value, sizeof(n));
	if (level == SOL_SOCKET) {
		ret = set_socket(s, sk, name, n);
		if (ret != 1)
			return ret;
	}
	if (level == SOL_NETLINK)
		return netlink_setopt(s, sk, name, n);
	i = opt_index(sk, level, name);
	if (i < 0)
		return level == SOL_SOCKET && sk->family == AF_UNIX && name == SO_REUSEPORT ?
			       -EOPNOTSUPP :
			       -ENOPROTOOPT;
	if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY) {
		ret = set_v6only(sk, n);
		if (ret)
			return ret;
	}
	if (level == SOL_SOCKET && name == SO_RCVLOWAT)
		n = n < 0 ? INT32_MAX : n;
	else if (level == IPPROTO_IP && name == IP_TOS)
		n = header_byte(sk, i, n & 0xff);
	else if (level == IPPROTO_IPV6 && name == IPV6_TCLASS && n != -1)
		n = header_byte(sk, i, n);
	return opt_store(sk, i, n);
}

/* ---- getting ---- */

static u32 answer(void *buf, u32 room, const void *value, u32 size)
{
	size = min(size, room);
	memcpy(buf, value, size);
	return size;
}

static u32 answer_timeout(void *buf, u32 room, s64 timeo)
{
	struct timeval tv = { .tv_sec = timeo / 1'000'000'000,
			      .tv_usec = timeo % 1'000'000'000 / 1000 };

	return answer(buf, room, &tv, sizeof(tv));
}

/* Ints of SOL_SOCKET that are not just kept. */
static bool get_socket_int(struct sock *sk, int name, int *ret)
{
	bool tcp = sk->protocol == IPPROTO_TCP;

	switch (name) {
	case SO_TYPE:
		*ret = sk->type;
		return true;
	case SO_DOMAIN:
		*ret = sk->family;
		return true;
	case SO_PROTOCOL:
		*ret = (int)sk->protocol;
		return true;
	case SO_ERROR:
		*ret = -sock_take_error(sk);
		return true;
	case SO_ACCEPTCONN:
		*ret = sk->state == SOCK_STATE_LISTENING;
		return true;
	case SO_SNDBUF:
		*ret = (int)atomic_load(&sk->sndbuf);
		if (tcp && *ret == BUF_DEFAULT)
			*ret = sk->state == SOCK_STATE_CONNECTED ? 2'626'560 : 16'384;
		return true;
	case SO_RCVBUF:
		*ret = (int)atomic_load(&sk->rcvbuf);
		if (tcp && *ret == BUF_DEFAULT)
			*ret = 131'072;
		return true;
	case SO_SNDLOWAT:
		*ret = 1;
		return true;
	case SO_PASSCRED:
		*ret = (int)atomic_load(&sk->passcred);
		return true;
	default:
		return false;
	}
}

static int get_peercred(struct sock *sk, void *buf, u32 *size)
{
	struct scm_cred c = { .pid = 0, .uid = (u32)-1, .gid = (u32)-1 };

	sock_lock(sk);
	if (sk->peercred.pid)
		c = sk->peercred;
	sock_unlock(sk);
	*size = answer(buf, *size, &c, sizeof(c));
	return 0;
}

/* The groups of the peer's credentials. */
static int get_peergroups(struct sock *sk, void *buf, u32 *size)
{
	const struct cred *c;
	u32 count, room = *size;
	int err = 0;

	sock_lock(sk);
	c = sk->peer_cred ? cred_get(sk->peer_cred) : NULL;
	sock_unlock(sk);
	if (!c)
		return -ENODATA;
	count = c->groups ? c->groups->count : 0;
	*size = count * (u32)sizeof(u32);
	if (room < *size)
		err = -ERANGE;
	else if (count)
		memcpy(buf, c->groups->gid, *size);
	cred_put(c);
	return err;
}

static int get_device(struct sock *sk, void *buf, u32 *size)
{
	if (!sock_opt_get(sk, SOL_SOCKET, SO_BINDTODEVICE)) {
		*size = 0;
		return 0;
	}
	if (*size < IFNAMSIZ)
		return -EINVAL;
	*size = answer(buf, *size, LO_NAME, sizeof(LO_NAME));
	return 0;
}

static void get_congestion(struct sock *sk, void *buf, u32 *size)
{
	const char *from = g_congestion[sock_opt_get(sk, IPPROTO_TCP, TCP_CONGESTION)];
	char name[16] = {};

	memcpy(name, from, strnlen(from, sizeof(name) - 1));
	*size = answer(buf, *size, name, sizeof(name));
}

/* The local address for groups. */
static void get_multicast_if(struct sock *sk, void *buf, u32 *size)
{
	struct in_addr addr = {};

	if (atomic_load(&sk->multicast_if))
		addr.s_addr = __builtin_bswap32(INADDR_LOOPBACK);
	*size = answer(buf, *size, &addr, sizeof(addr));
}

static int get_special(struct sock *sk, int level, int name, void *buf, u32 *size)
{
	struct tcp_info info;
	struct linger l;

	if (level == IPPROTO_TCP) {
		if (name == TCP_INFO) {
			tcp_fill_info(sk, &info);
			*size = answer(buf, *size, &info, sizeof(info));
			return 0;
		}
		if (name == TCP_CONGESTION) {
			get_congestion(sk, buf, size);
			return 0;
		}
	}
	if (level == IPPROTO_IP && name == IP_MULTICAST_IF) {
		get_multicast_if(sk, buf, size);
		return 0;
	}
	if (level != SOL_SOCKET)
		return 1;
	switch (name) {
	case SO_COOKIE:
		if (*size < sizeof(sk->cookie))
			return -EINVAL;
		*size = answer(buf, *size, &sk->cookie, sizeof(sk->cookie));
		return 0;
	case SO_PEERGROUPS:
		return sk->family == AF_UNIX ? get_peergroups(sk, buf, size) : -ENODATA;
	case SO_RCVTIMEO:
	case SO_RCVTIMEO_NEW:
		*size = answer_timeout(buf, *size, sk->rcvtimeo);
		return 0;
	case SO_SNDTIMEO:
	case SO_SNDTIMEO_NEW:
		*size = answer_timeout(buf, *size, sk->sndtimeo);
		return 0;
	case SO_LINGER:
		sock_lock(sk);
		l = sk->linger;
		sock_unlock(sk);
		*size = answer(buf, *size, &l, sizeof(l));
		return 0;
	case SO_PEERCRED:
		return get_peercred(sk, buf, size);
	case SO_BINDTODEVICE:
		return get_device(sk, buf, size);
	default:
		return 1;
	}
}

int sock_getopt(struct subject *s, struct file *f, int level, int name, void *value, u32 *size)
{
	struct sock *sk = file_is_socket(f) ? f->private : NULL;
	int n, i, ret;

	if (!sk)
		return -ENOTSOCK;
	if (!level_known(sk, level))
		return -EOPNOTSUPP;
	if (level == SOL_NETLINK)
		return netlink_getopt(sk, name, value, size);
	ret = get_special(sk, level, name, value, size);
	if (ret != 1)
		return ret;
	if (level == SOL_SOCKET && get_socket_int(sk, name, &n)) {
		*size = answer(value, *size, &n, sizeof(n));
		return 0;
	}
	if (level == IPPROTO_IP && name == IP_MTU) {
		if (sk->state != SOCK_STATE_CONNECTED)
			return -ENOTCONN;
		n = IP_MTU_OF_LO;
		*size = answer(value, *size, &n, sizeof(n));
		return 0;
	}
	i = opt_index(sk, level, name);
	if (i < 0)
		return -ENOPROTOOPT;
	n = __atomic_load_n(&sk->opts[i], __ATOMIC_RELAXED);
	if (level == IPPROTO_TCP && name == TCP_MAXSEG && sk->state == SOCK_STATE_CONNECTED)
		n = 32741;
	*size = answer(value, *size, &n, sizeof(n));
	return 0;
}
