/* Pipes, eventfd, epoll, file locks. */

#include <sys/epoll.h>

#include "ipc/epoll.h"
#include "ipc/eventfd.h"
#include "ipc/pipe.h"
#include "ipc/root.h"
#include "sched/timer.h"
#include "unit/vfs_fixture.h"
#include "vfs/locks.h"

/* ---- pipes ---- */

static void body_pipe(struct world *w)
{
	struct file *p[2];
	char buf[PAGE_SIZE];
	size_t total = 0;
	ssize_t n;

	assert_int_equal(pipe_create(&w->s, O_NONBLOCK, p), 0);
	assert_ptr_equal(p[0]->inode, p[1]->inode);
	assert_int_equal(get_at(w, p[0], buf, 10, NULL), -EAGAIN);
	assert_int_equal(put_at(w, p[1], "hello", 5, NULL), 5);
	assert_int_equal(put_at(w, p[1], " you", 4, NULL), 4);
	assert_int_equal(file_poll(p[0]) & EPOLLIN, EPOLLIN);
	assert_int_equal(get_at(w, p[0], buf, 7, NULL), 7);
	assert_memory_equal(buf, "hello y", 7);
	assert_int_equal(get_at(w, p[0], buf, 7, NULL), 2);
	memset(buf, 'x', sizeof(buf));
	while ((n = put_at(w, p[1], buf, 1000, NULL)) > 0)
		total += (size_t)n;
	assert_int_equal(n, -EAGAIN);
	assert_true(total > 60'000 && total <= 65'536);
	assert_int_equal(file_poll(p[1]) & EPOLLOUT, 0);
	while ((n = get_at(w, p[0], buf, 777, NULL)) > 0)
		total -= (size_t)n;
	assert_int_equal(total, 0);
	file_put(p[0]);
	assert_int_equal(put_at(w, p[1], "x", 1, NULL), -EPIPE);
	assert_int_equal(file_poll(p[1]) & EPOLLERR, EPOLLERR);
	file_put(p[1]);

	assert_int_equal(pipe_create(&w->s, O_NONBLOCK | O_DIRECT, p), 0);
	assert_int_equal(put_at(w, p[1], "abc", 3, NULL), 3);
	assert_int_equal(put_at(w, p[1], "defg", 4, NULL), 4);
	assert_int_equal(get_at(w, p[0], buf, 2, NULL), 2);
	assert_int_equal(get_at(w, p[0], buf, 100, NULL), 4);
	file_put(p[1]);
	assert_int_equal(get_at(w, p[0], buf, 100, NULL), 0);
	file_put(p[0]);
}

/* Bytes in order through a pipe, written and read in odd pieces by two fibers. */
struct stream {
	struct world *w;
	struct file *end;
	struct fiber *parent;
	_Atomic bool done;
};

#define STREAM_BYTES 3'000'000UL

static void stream_writer(void *arg)
{
	struct stream *st = arg;
	struct subject s = st->w->s;
	static u8 data[40'000];
	u64 sent = 0, size = 1;
	struct uio u;

	s.fiber = fiber_current();
	while (sent < STREAM_BYTES) {
		size = min(min(size * 5 % 39'989 + 1, sizeof(data)), STREAM_BYTES - sent);
		for (u64 i = 0; i < size; i++)
			data[i] = (u8)((sent + i) * 7 >> 3);
		uio_init_kernel(&u, data, size);
		if (file_write(&s, st->end, &u, NULL) != (ssize_t)size)
			abort();
		sent += size;
	}
	file_put(st->end);
	st->done = true;
	fiber_unpark(st->parent);
}

static void body_stream(struct world *w)
{
	static u8 data[50'000];
	struct stream st = { .w = w, .parent = fiber_current() };
	struct file *p[2];
	u64 got = 0, size = 1;
	ssize_t n;

	assert_int_equal(pipe_create(&w->s, 0, p), 0);
	st.end = p[1];
	fiber_start(fiber_create(stream_writer, &st));
	while ((n = get_at(w, p[0], data, size, NULL)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (data[i] != (u8)((got + (u64)i) * 7 >> 3))
				abort();
		got += (u64)n;
		size = size * 3 % 49'999 + 1;
	}
	while (!st.done)
		fiber_park(NO_DEADLINE);
	if (n != 0 || got != STREAM_BYTES)
		abort();
	file_put(p[0]);
}

/* ---- epoll ---- */

static int add(struct file *ep, int fd, struct file *f, u32 events)
{
	struct epoll_event_k ev = { .events = events, .data = (u64)fd };

	return epoll_ctl_file(ep, EPOLL_CTL_ADD, fd, f, &ev);
}

/* What is ready now: how many; the first one's data or -1. */
static int ready(struct file *ep, s64 *ret_data)
{
	struct epoll_event_k ev[8];
	int n = epoll_wait_file(ep, ev, 8, 0, NULL);

	*ret_data = n > 0 ? (s64)ev[0].data : -1;
	return n;
}

static void body_epoll(struct world *w)
{
	struct file *ep, *p[2];
	char buf[16];
	s64 data;

	assert_int_equal(epoll_create_file(&w->s, &ep), 0);
	assert_int_equal(pipe_create(&w->s, O_NONBLOCK, p), 0);
	assert_int_equal(add(ep, 3, ep, EPOLLIN), -EINVAL);
	assert_int_equal(add(ep, 4, p[0], EPOLLIN), 0);
	assert_int_equal(add(ep, 4, p[0], EPOLLIN), -EEXIST);
	assert_int_equal(add(ep, 5, p[0], EPOLLIN | EPOLLET), 0);
	assert_int_equal(add(ep, 6, p[0], EPOLLIN | EPOLLONESHOT), 0);
	assert_int_equal(ready(ep, &data), 0);
	assert_int_equal(put_at(w, p[1], "x", 1, NULL), 1);
	assert_int_equal(ready(ep, &data), 3);
	/* The edge and the one shot are over. */
	assert_int_equal(ready(ep, &data), 1);
	assert_int_equal(data, 4);
	assert_int_equal(put_at(w, p[1], "y", 1, NULL), 1);
	assert_int_equal(ready(ep, &data), 2);
	assert_int_equal(get_at(w, p[0], buf, 16, NULL), 2);
	assert_int_equal(ready(ep, &data), 0);
	/* The file's end takes its items along. */
	file_put(p[1]);
	assert_int_equal(ready(ep, &data), 2);
	file_put(p[0]);
	assert_int_equal(ready(ep, &data), 0);
	file_put(ep);
}

static void body_nesting(struct world *w)
{
	struct file *ep[7], *p[2];
	s64 data;

	for (int i = 0; i < 7; i++)
		assert_int_equal(epoll_create_file(&w->s, &ep[i]), 0);
	assert_int_equal(pipe_create(&w->s, O_NONBLOCK, p), 0);
	assert_int_equal(add(ep[0], 1, p[0], EPOLLIN), 0);
	assert_int_equal(add(ep[1], 1, ep[0], EPOLLIN | EPOLLET), 0);
	assert_int_equal(add(ep[2], 1, ep[1], EPOLLIN | EPOLLET), 0);
	assert_int_equal(add(ep[0], 2, ep[2], EPOLLIN), -ELOOP);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(put_at(w, p[1], "x", 1, NULL), 1);
		assert_int_equal(ready(ep[2], &data), 1);
		assert_int_equal(ready(ep[2], &data), 0);
	}
	assert_int_equal(add(ep[3], 1, ep[2], EPOLLIN), 0);
	assert_int_equal(add(ep[4], 1, ep[3], EPOLLIN), 0);
	assert_int_equal(add(ep[5], 1, ep[4], EPOLLIN), -ELOOP);
	assert_int_equal(add(ep[6], 1, ep[5], EPOLLIN), 0);
	assert_int_equal(add(ep[5], 1, ep[4], EPOLLIN), -ELOOP);
	/* Closed from the middle. */
	file_put(ep[2]);
	assert_int_equal(add(ep[5], 1, ep[4], EPOLLIN), 0);
	assert_int_equal(ready(ep[3], &data), 0);
	for (int i = 0; i < 7; i++)
		if (i != 2)
			file_put(ep[i]);
	file_put(p[0]);
	file_put(p[1]);
}

/* Fibers that add, remove, wait and wake at once; nested, with files that go meanwhile. */
struct churn {
	struct world *w;
	struct file *ep[3];
	struct fiber *parent;
	u32 seed;
	_Atomic u32 *left;
};

static void churn_step(struct churn *c, struct subject *s, struct file *p[2])
{
	u32 dice = c->seed = c->seed * 1103515245 + 12345;
	struct file *ep = c->ep[dice >> 16 & 1];
	struct epoll_event_k ev[4];
	struct uio u;
	char byte = 0;

	switch (dice >> 20 & 7) {
	case 0:
		(void)!add(ep, (int)(dice >> 24 & 3), p[0],
			   EPOLLIN | (dice >> 30 & 1 ? EPOLLET : 0));
		break;
	case 1:
		(void)!epoll_ctl_file(ep, EPOLL_CTL_DEL, (int)(dice >> 24 & 3), p[0], NULL);
		break;
	case 2:
		(void)!add(c->ep[2], 9, ep, EPOLLIN | EPOLLET);
		break;
	case 3:
		(void)!epoll_ctl_file(c->ep[2], EPOLL_CTL_DEL, 9, ep, NULL);
		break;
	case 4:
		(void)!epoll_wait_file(c->ep[dice >> 24 & 1 ? 2 : 0], ev, 4, sched_now() + 20'000,
				       NULL);
		break;
	case 5:
		file_put(p[0]);
		file_put(p[1]);
		if (pipe_create(s, O_NONBLOCK, p))
			abort();
		break;
	default:
		uio_init_kernel(&u, &byte, 1);
		(void)!(dice >> 29 & 1 ? file_write(s, p[1], &u, NULL) :
					 file_read(s, p[0], &u, NULL));
	}
}

static void churn_fiber(void *arg)
{
	struct churn *c = arg;
	struct subject s = c->w->s;
	struct file *p[2];

	s.fiber = fiber_current();
	if (pipe_create(&s, O_NONBLOCK, p))
		abort();
	for (int i = 0; i < 4000; i++)
		churn_step(c, &s, p);
	file_put(p[0]);
	file_put(p[1]);
	if (--*c->left == 0)
		fiber_unpark(c->parent);
}

static void body_churn(struct world *w)
{
	_Atomic u32 left = 4;
	struct churn c[4];
	struct file *ep[3];

	for (int i = 0; i < 3; i++)
		if (epoll_create_file(&w->s, &ep[i]))
			abort();
	for (u32 i = 0; i < 4; i++) {
		c[i] = (struct churn){
			w, { ep[0], ep[1], ep[2] }, fiber_current(), i * 77 + 1, &left
		};
		fiber_start(fiber_create(churn_fiber, &c[i]));
	}
	while (left)
		fiber_park(NO_DEADLINE);
	for (int i = 0; i < 3; i++)
		file_put(ep[i]);
}

/* ---- locks ---- */

static int lock(struct world *w, struct file *f, int type, s64 start, s64 end, bool open_file)
{
	struct record_lock l = { .start = start, .end = end, .type = type, .open_file = open_file };

	return lock_record(&w->s, f, &l, false);
}

/* Random locks of three owners, compared with an array of bytes. */
static void body_locks(struct world *w)
{
	enum { BYTES = 48, OWNERS = 3 };
	u8 held[OWNERS][BYTES] = {};
	struct file *f[OWNERS];

	for (int i = 0; i < OWNERS; i++)
		f[i] = must_open(w, "/locks", O_CREAT | O_RDWR, 0600);
	srandom(5);
	for (int round = 0; round < 5000; round++) {
		static const int types[] = { F_UNLCK, F_RDLCK, F_WRLCK };
		int owner = (int)(random() % OWNERS), kind = (int)(random() % 3), want = 0;
		s64 start = random() % BYTES, end = start + random() % (BYTES - start);

		for (int o = 0; o < OWNERS; o++)
			for (s64 i = start; i <= end; i++)
				if (kind && o != owner && held[o][i] &&
				    (held[o][i] == 2 || kind == 2))
					want = -EAGAIN;
		assert_int_equal(lock(w, f[owner], types[kind], start, end, true), want);
		if (!want)
			memset(&held[owner][start], kind, (size_t)(end - start + 1));
		for (s64 i = 0; i < BYTES; i++) {
			struct record_lock l = { .start = i, .end = i, .type = F_WRLCK };

			lock_record_test(&w->s, f[0], &l);
			want = held[0][i] || held[1][i] || held[2][i];
			assert_int_equal(l.type != F_UNLCK, want);
			assert_true(!want || (l.start <= i && l.end >= i));
		}
	}
	for (int i = 0; i < OWNERS; i++)
		file_put(f[i]);
}

TEST(pipe)
TEST_PARALLEL(stream)
TEST(epoll)
TEST(nesting)
TEST_PARALLEL(churn)
TEST(locks)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipe),  cmocka_unit_test(test_stream),
		cmocka_unit_test(test_epoll), cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_churn), cmocka_unit_test(test_locks),
	};

	if (arena_create() || ipc_init() || locks_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
