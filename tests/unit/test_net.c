/* Sockets: streams, files in messages and their collector, ports, netlink. */

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/epoll.h>

#include "ipc/root.h"
#include "net/info.h"
#include "net/internal.h"
#include "unit/vfs_fixture.h"

extern const struct slab_class slab_sock, slab_file_list, slab_flight_user;

static ssize_t sock_put_message(struct world *w, struct file *f, const void *data, size_t size,
				struct file_list *files)
{
	struct net_msg msg = { .flags = MSG_DONTWAIT, .scm.files = files };
	struct uio u;
	ssize_t ret;

	uio_init_kernel(&u, (void *)data, size);
	msg.uio = &u;
	ret = sock_send(&w->s, f, &msg);
	file_list_destroy(msg.scm.files);
	return ret;
}

static ssize_t sock_get_message(struct world *w, struct file *f, void *data, size_t size, int flags,
				struct file_list **ret_files)
{
	struct net_msg msg = { .flags = MSG_DONTWAIT | flags };
	struct uio u;
	ssize_t ret;

	uio_init_kernel(&u, data, size);
	msg.uio = &u;
	ret = sock_recv(&w->s, f, &msg);
	if (ret_files)
		*ret_files = msg.scm.files;
	else
		file_list_destroy(msg.scm.files);
	return ret;
}

static void make_pair(struct world *w, int type, struct file *f[2])
{
	assert_int_equal(sock_create_pair(&w->s, AF_UNIX, type, 0, 0, f), 0);
}

static struct file_list *list_of(struct file *a, struct file *b)
{
	struct file_list *l = file_list_create();

	assert_non_null(l);
	assert_int_equal(file_list_add(l, a), 0);
	if (b)
		assert_int_equal(file_list_add(l, b), 0);
	return l;
}

/* ---- streams ---- */

static void body_stream(struct world *w)
{
	static char big[100'000], back[100'000];
	struct file *f[2];
	ssize_t n, total = 0;

	make_pair(w, SOCK_STREAM, f);
	assert_int_equal(sock_get_message(w, f[1], back, 10, 0, NULL), -EAGAIN);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 >> 3);
	n = sock_put_message(w, f[0], big, sizeof(big), NULL);
	assert_int_equal(n, sizeof(big));
	assert_int_equal(sock_get_message(w, f[1], back, 5, MSG_PEEK, NULL), 5);
	while (total < n) {
		ssize_t got = sock_get_message(w, f[1], back + total, 777, 0, NULL);

		assert_true(got > 0);
		total += got;
	}
	assert_memory_equal(big, back, sizeof(big));
	/* What the sender may have out is bounded. */
	total = 0;
	while ((n = sock_put_message(w, f[0], big, 1000, NULL)) > 0)
		total += n;
	assert_int_equal(n, -EAGAIN);
	assert_true(total > 50'000 && total < 250'000);
	assert_int_equal(file_poll(f[0]) & EPOLLOUT, 0);
	file_put(f[1]);
	assert_int_equal(sock_put_message(w, f[0], "x", 1, NULL), -EPIPE);
	assert_int_equal(sock_get_message(w, f[0], back, 1, 0, NULL), -ECONNRESET);
	assert_int_equal(sock_put_message(w, f[0], "x", 1, NULL), -EPIPE);
	file_put(f[0]);
}

/* ---- the collector ---- */

static void body_collect(struct world *w)
{
	u64 socks = slab_count(&slab_sock);
	struct file *f[2], *g[2];
	struct file_list *got;
	char byte;

	/* Itself. */
	make_pair(w, SOCK_STREAM, f);
	assert_int_equal(sock_put_message(w, f[0], "x", 1, list_of(f[0], f[1])), 1);
	file_put(f[0]);
	file_put(f[1]);
	net_quiesce();
	assert_int_equal(slab_count(&slab_sock), socks);

	/* Two that hold each other, one of them open: nothing may go. */
	make_pair(w, SOCK_DGRAM, f);
	make_pair(w, SOCK_DGRAM, g);
	assert_int_equal(sock_put_message(w, f[0], "x", 1, list_of(g[1], NULL)), 1);
	assert_int_equal(sock_put_message(w, g[0], "y", 1, list_of(f[1], NULL)), 1);
	file_put(f[0]);
	file_put(g[0]);
	file_put(g[1]);
	net_quiesce();
	assert_int_equal(slab_count(&slab_file_list), 2);
	assert_int_equal(sock_get_message(w, f[1], &byte, 1, 0, &got), 1);
	assert_int_equal(byte, 'x');
	assert_ptr_equal(file_list_get(got, 0), g[1]);
	net_quiesce();
	/* f[1] is in g[1]'s queue still, which this list holds. */
	assert_int_equal(slab_count(&slab_file_list), 2);
	file_put(f[1]);
	net_quiesce();
	assert_int_equal(slab_count(&slab_file_list), 2);
	file_list_destroy(got);
	net_quiesce();
	assert_int_equal(slab_count(&slab_file_list), 0);
	assert_int_equal(slab_count(&slab_sock), socks);
	assert_int_equal(net_root()->in_flight, 0);
}

/* Random graphs of sockets in each other's queues: what is reachable from the open ones, and only
 * that, is left after a collection. */
#define NODES 12U

static void random_graph(struct world *w, u64 seed)
{
	struct file *end[NODES], *in[NODES];
	bool edge[NODES][NODES] = {}, open[NODES], alive[NODES] = {}, changed = true;
	u64 socks = slab_count(&slab_sock), expected = 0;
	struct file *f[2];

	for (u32 i = 0; i < NODES; i++) {
		make_pair(w, SOCK_STREAM, f);
		in[i] = f[0];
		end[i] = f[1];
	}
	for (u32 i = 0; i < 2 * NODES; i++) {
		u32 from = (u32)((seed = hash_u64(seed)) % NODES);
		u32 to = (u32)((seed = hash_u64(seed)) % NODES);

		edge[from][to] = true;
		assert_int_equal(sock_put_message(w, in[from], "x", 1, list_of(end[to], NULL)), 1);
	}
	for (u32 i = 0; i < NODES; i++) {
		open[i] = (seed = hash_u64(seed)) % 4 == 0;
		alive[i] = open[i];
		file_put(in[i]);
		if (!open[i])
			file_put(end[i]);
	}
	while (changed) {
		changed = false;
		for (u32 i = 0; i < NODES; i++)
			for (u32 k = 0; k < NODES; k++)
				if (alive[i] && edge[i][k] && !alive[k])
					alive[k] = changed = true;
	}
	for (u32 i = 0; i < NODES; i++)
		expected += alive[i];
	net_quiesce();
	/* Their peers are gone. */
	assert_in_range(slab_count(&slab_sock), socks + expected, socks + 2 * expected);
	for (u32 i = 0; i < NODES; i++)
		if (open[i])
			file_put(end[i]);
	net_quiesce();
	assert_int_equal(slab_count(&slab_sock), socks);
	assert_int_equal(slab_count(&slab_file_list), 0);
}

static void body_graphs(struct world *w)
{
	for (u64 seed = 1; seed <= 200; seed++)
		random_graph(w, seed);
	assert_int_equal(net_root()->in_flight, 0);
	assert_true(list_empty(&net_root()->flight_socks));
	assert_true(list_empty(&net_root()->flights));
	assert_int_equal(slab_count(&slab_flight_user), 0);
}

static void body_flight_limit(struct world *w)
{
	struct file *f[2];
	int sent = 0;

	world_set_user(w, 1000, 1000);
	w->rlimits.limit[RLIMIT_NOFILE].cur = 10;
	make_pair(w, SOCK_STREAM, f);
	while (sock_put_message(w, f[0], "x", 1, list_of(f[0], NULL)) == 1)
		sent++;
	assert_int_equal(sent, 11);
	assert_int_equal(sock_put_message(w, f[0], "x", 1, list_of(f[0], NULL)), -ETOOMANYREFS);
	world_set_user(w, 1001, 1001);
	assert_int_equal(sock_put_message(w, f[0], "x", 1, list_of(f[0], NULL)), 1);
	file_put(f[0]);
	file_put(f[1]);
	net_quiesce();
}

/* ---- ports ---- */

static struct sockname in4(u32 addr, u16 port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockname n = { .size = sizeof(in) };

	in.sin_addr.s_addr = htonl(addr);
	memcpy(n.raw, &in, sizeof(in));
	return n;
}

static struct file *inet_sock(struct world *w, int type)
{
	struct file *f;

	assert_int_equal(sock_create(&w->s, AF_INET, type, 0, O_NONBLOCK, &f), 0);
	return f;
}

static void body_ports(struct world *w)
{
	struct file *a = inet_sock(w, SOCK_STREAM), *b = inet_sock(w, SOCK_STREAM), *c;
	struct sockname name = in4(INADDR_LOOPBACK, 7777), any = in4(INADDR_ANY, 7777), got;
	struct linger reset = { 1, 0 };
	struct sock_info *list;
	u32 count;

	assert_int_equal(sock_bind(&w->s, a, &name), 0);
	assert_int_equal(sock_bind(&w->s, b, &name), -EADDRINUSE);
	assert_int_equal(sock_bind(&w->s, b, &any), -EADDRINUSE);
	name = in4(0x7f000002, 7777);
	assert_int_equal(sock_bind(&w->s, b, &name), 0);
	assert_int_equal(sock_bind(&w->s, b, &name), -EINVAL);
	name = in4(0x08080808, 1);
	c = inet_sock(w, SOCK_STREAM);
	assert_int_equal(sock_bind(&w->s, c, &name), -EADDRNOTAVAIL);
	assert_int_equal(sock_connect(&w->s, c, &name), -ENETUNREACH);
	name = in4(INADDR_LOOPBACK, 7777);
	assert_int_equal(sock_connect(&w->s, c, &name), -EINPROGRESS);
	assert_int_equal(sock_connect(&w->s, c, &name), -ECONNREFUSED);
	file_put(c);
	assert_int_equal(sock_listen(&w->s, a, 1), 0);
	c = inet_sock(w, SOCK_STREAM);
	assert_int_equal(sock_connect(&w->s, c, &name), -EINPROGRESS);
	assert_int_equal(sock_connect(&w->s, c, &name), 0);
	assert_int_equal(sock_getname(c, false, &got), 0);
	assert_in_range(ntohs(((struct sockaddr_in *)got.raw)->sin_port), 32768, 60999);
	assert_int_equal(net_list_socks(AF_INET, IPPROTO_TCP, 100, &list, &count), 0);
	assert_int_equal(count, 4);
	arena_free(list);
	assert_int_equal(sock_setopt(&w->s, c, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	file_put(c);
	file_put(b);
	file_put(a);
	/* A connection that was reset holds no port. */
	assert_true(list_empty(&net_root()->time_waits));
	a = inet_sock(w, SOCK_STREAM);
	assert_int_equal(sock_bind(&w->s, a, &name), 0);
	file_put(a);
	world_set_user(w, 5, 5);
	a = inet_sock(w, SOCK_DGRAM);
	name = in4(INADDR_LOOPBACK, 80);
	assert_int_equal(sock_bind(&w->s, a, &name), -EACCES);
	file_put(a);
}

/* ---- netlink ---- */

static struct file *netlink_sock(struct world *w)
{
	struct file *f;

	assert_int_equal(sock_create(&w->s, AF_NETLINK, SOCK_RAW, 0, O_NONBLOCK, &f), 0);
	return f;
}

static void body_netlink(struct world *w)
{
	struct {
		struct nlmsghdr h;
		struct rtgenmsg gen;
	} r = { .h = { .nlmsg_len = sizeof(r), .nlmsg_type = RTM_GETADDR, .nlmsg_seq = 77 } };
	struct file *f = netlink_sock(w);
	char buf[8192];
	struct nlmsghdr *h = (void *)buf;
	ssize_t n;
	int count = 0;

	r.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	assert_int_equal(sock_put_message(w, f, &r, sizeof(r), NULL), sizeof(r));
	n = sock_get_message(w, f, buf, sizeof(buf), 0, NULL);
	for (; n > 0 && NLMSG_OK(h, n); h = NLMSG_NEXT(h, n), count++)
		assert_int_equal(h->nlmsg_seq, 77);
	assert_int_equal(count, 3); /* 127.0.0.1, ::1, the end */
	assert_int_equal(sock_get_message(w, f, buf, sizeof(buf), 0, NULL), -EAGAIN);
	file_put(f);
}

/* Requests of noise, some nearly right: nothing is read beyond their ends (asan looks). */
static void body_netlink_noise(struct world *w)
{
	struct file *f = netlink_sock(w);
	u64 seed = 12345;

	for (u32 round = 0; round < 20'000; round++) {
		u32 size = 1 + (u32)((seed = hash_u64(seed)) % 200);
		char *request = malloc(size), buf[4096];
		struct nlmsghdr h = { .nlmsg_flags = NLM_F_REQUEST };

		assert_non_null(request);
		for (u32 i = 0; i < size; i++)
			request[i] = (char)((seed = hash_u64(seed)) % 3 ? 0 : seed >> 8);
		h.nlmsg_len = seed & 1 ? size : (u32)(seed >> 3) % 300;
		h.nlmsg_type = (u16)(16 + (seed >> 13) % 80);
		if (seed & 2)
			h.nlmsg_flags |= NLM_F_DUMP;
		memcpy(request, &h, min(sizeof(h), (size_t)size));
		assert_int_equal(sock_put_message(w, f, request, size, NULL), size);
		while (sock_get_message(w, f, buf, sizeof(buf), 0, NULL) > 0)
			;
		free(request);
	}
	file_put(f);
	link_init(&net_root()->lo);
}

TEST(stream)
TEST(collect)
TEST(graphs)
TEST(flight_limit)
TEST(ports)
TEST(netlink)
TEST(netlink_noise)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream),	      cmocka_unit_test(test_collect),
		cmocka_unit_test(test_graphs),	      cmocka_unit_test(test_flight_limit),
		cmocka_unit_test(test_ports),	      cmocka_unit_test(test_netlink),
		cmocka_unit_test(test_netlink_noise),
	};

	if (arena_create() || ipc_init() || net_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
