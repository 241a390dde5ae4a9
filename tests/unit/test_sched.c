/* Fibers, workers, locks, wait queues, timers, the poller and the pool. */

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bug.h"
#include "host/host.h"
#include "sched/fiber.h"
#include "sched/lock.h"
#include "sched/lock_order.h"
#include "sched/sched.h"
#include "sched/timer.h"
#include "sched/waitq.h"

#define MS 1'000'000LL

#if defined(DONJON_DEBUG)
#define SCALE 1
#else
#define SCALE 4
#endif

/* Fibers run off cmocka's stack, where its assertions must not jump from. */
#define CHECK(cond) BUG_ON(!(cond))

static void run(unsigned int workers, void (*fn)(void *), void *arg)
{
	assert_int_equal(sched_run_fiber(workers, fn, arg), 0);
}

/* ---- a group of fibers, to be waited for ---- */

struct group {
	struct spin lock;
	int left; /* GUARDED_BY(lc_ipc) */
	struct fiber *waiter;
};

struct member {
	struct group *group;
	void (*fn)(void *);
	void *arg;
};

/* Unparks under the lock: the waiter can't see zero, and end, before this is done with it. */
static void group_leave(struct group *g)
{
	spin_lock(&g->lock, &lc_ipc);
	if (--g->left == 0)
		fiber_unpark(g->waiter);
	spin_unlock(&g->lock, &lc_ipc);
}

static void member_main(void *arg)
{
	struct member m = *(struct member *)arg;

	free(arg);
	m.fn(m.arg);
	group_leave(m.group);
}

static void group_init(struct group *g)
{
	*g = (struct group){ .left = 1, .waiter = fiber_current() };
}

static struct fiber *group_start(struct group *g, void (*fn)(void *), void *arg)
{
	struct member *m = malloc(sizeof(*m));
	struct fiber *f;

	*m = (struct member){ g, fn, arg };
	f = fiber_create(member_main, m);
	CHECK(f);
	spin_lock(&g->lock, &lc_ipc);
	g->left++;
	spin_unlock(&g->lock, &lc_ipc);
	fiber_start(f);
	return f;
}

static bool group_empty(struct group *g)
{
	bool empty;

	spin_lock(&g->lock, &lc_ipc);
	empty = g->left == 0;
	spin_unlock(&g->lock, &lc_ipc);
	return empty;
}

static void group_wait(struct group *g)
{
	group_leave(g);
	while (!group_empty(g))
		fiber_park(NO_DEADLINE);
}

/* ---- basics ---- */

static void root_basics(void *arg)
{
	struct fiber *self = fiber_current();
	s64 start = sched_now();

	CHECK(self);
	CHECK(fiber_arg(self));
	CHECK(sched_worker_index() == 0);
	fiber_unpark(self);
	fiber_unpark(self);
	CHECK(fiber_park(NO_DEADLINE) == 0);
	CHECK(fiber_park(start) == -ETIMEDOUT);
	CHECK(fiber_park(sched_now() + 5 * MS) == -ETIMEDOUT);
	CHECK(sched_now() >= start + 5 * MS);
	fiber_interrupt(self);
	CHECK(fiber_interrupted(self) && !fiber_killed(self));
	CHECK(fiber_park_interruptible(NO_DEADLINE) == -EINTR);
	CHECK(fiber_park_killable(sched_now() + MS) != -EINTR);
	fiber_clear_interrupt(self);
	CHECK(!fiber_interrupted(self));
	fiber_park(0);
	CHECK(fiber_park_interruptible(sched_now() + MS) == -ETIMEDOUT);
	fiber_kill(self);
	CHECK(fiber_park_killable(NO_DEADLINE) == -EINTR);
	fiber_clear_interrupt(self);
	CHECK(fiber_interrupted(self) && fiber_killed(self));
	fiber_clear_kill(self);
	CHECK(!fiber_interrupted(self) && !fiber_killed(self));
	CHECK(fiber_park_killable(sched_now() + MS) != -EINTR);
	fiber_yield();
	*(int *)arg = 1;
}

static void test_basics(void **state)
{
	for (int i = 0; i < 3; i++) {
		int done = 0;

		assert_null(fiber_current());
		run(1, root_basics, &done);
		assert_int_equal(done, 1);
	}
}

static void spin_a_while(void *arg)
{
	s64 end = sched_now() + 20 * MS;

	while (sched_now() < end)
		;
	*(u64 *)arg = fiber_cpu_time(fiber_current());
}

static void root_cpu_time(void *arg)
{
	struct group g;
	u64 used = 0, before = fiber_cpu_time(fiber_current());

	group_init(&g);
	group_start(&g, spin_a_while, &used);
	group_wait(&g);
	CHECK(used >= 18 * MS && used < 2000 * MS);
	CHECK(fiber_cpu_time(fiber_current()) - before < 20 * MS);
}

static void test_cpu_time(void **state)
{
	run(1, root_cpu_time, NULL);
}

/* ---- many fibers: create and end, park and unpark ---- */

static void count_up(void *arg)
{
	char deep[4096];

	memset(deep, 1, sizeof(deep));
	__asm__ volatile("" : : "r"(deep) : "memory");
	atomic_fetch_add((_Atomic int *)arg, 1);
}

static void root_many(void *arg)
{
	_Atomic int count = 0;

	for (int round = 0; round < 5; round++) {
		struct group g;

		group_init(&g);
		for (int i = 0; i < 500 * SCALE; i++)
			group_start(&g, count_up, &count);
		group_wait(&g);
	}
	CHECK(count == 5 * 500 * SCALE);
}

static void test_many(void **state)
{
	run(1, root_many, NULL);
	run(4, root_many, NULL);
}

struct ring {
	struct waitq q;
	struct spin lock;
	int turn; /* GUARDED_BY(lc_futex) */
	int members;
	int rounds;
};

struct ring_member {
	struct ring *r;
	int index;
};

static int ring_turn(struct ring *r)
{
	int turn;

	spin_lock(&r->lock, &lc_futex);
	turn = r->turn;
	spin_unlock(&r->lock, &lc_futex);
	return turn;
}

static void ring_main(void *arg)
{
	struct ring_member *m = arg;

	for (int i = 0; i < m->r->rounds; i++) {
		int ret = waitq_wait(&m->r->q, 1u << (m->index % 32), NO_DEADLINE,
				     ring_turn(m->r) % m->r->members == m->index);

		CHECK(ret == 0);
		spin_lock(&m->r->lock, &lc_futex);
		m->r->turn++;
		spin_unlock(&m->r->lock, &lc_futex);
		waitq_wake(&m->r->q, 1u << ((m->index + 1) % m->r->members % 32));
	}
}

static void root_rings(void *arg)
{
	enum { RINGS = 20, MEMBERS = 50 };
	static struct ring rings[RINGS];
	static struct ring_member members[RINGS][MEMBERS];
	struct group g;

	group_init(&g);
	for (int r = 0; r < RINGS; r++) {
		rings[r] = (struct ring){ .members = 2 + r * 2, .rounds = 100 * SCALE };
		waitq_init(&rings[r].q);
		for (int m = 0; m < rings[r].members; m++) {
			members[r][m] = (struct ring_member){ &rings[r], m };
			group_start(&g, ring_main, &members[r][m]);
		}
	}
	group_wait(&g);
	for (int r = 0; r < RINGS; r++) {
		CHECK(rings[r].turn == rings[r].members * rings[r].rounds);
		CHECK(!waitq_active(&rings[r].q));
	}
}

static void test_rings(void **state)
{
	run(1, root_rings, NULL);
	run(2, root_rings, NULL);
	run(4, root_rings, NULL);
}

/* ---- locks ---- */

struct locked {
	struct mutex m;
	struct spin s;
	long by_mutex, by_spin;
};

static void lock_main(void *arg)
{
	struct locked *l = arg;

	for (int i = 0; i < 200 * SCALE; i++) {
		mutex_lock(&l->m, &lc_inode);
		l->by_mutex++;
		if (i % 7 == 0)
			fiber_yield();
		if (i % 31 == 0)
			fiber_park(sched_now() + 1000);
		l->by_mutex++;
		mutex_unlock(&l->m, &lc_inode);
		spin_lock(&l->s, &lc_task);
		l->by_spin++;
		spin_unlock(&l->s, &lc_task);
		if (mutex_trylock(&l->m, &lc_inode)) {
			l->by_mutex += 2;
			mutex_unlock(&l->m, &lc_inode);
		} else {
			mutex_lock(&l->m, &lc_inode);
			l->by_mutex += 2;
			mutex_unlock(&l->m, &lc_inode);
		}
	}
}

static void root_locks(void *arg)
{
	struct locked l = {};
	struct group g;

	mutex_init(&l.m);
	spin_init(&l.s);
	group_init(&g);
	for (int i = 0; i < 50; i++)
		group_start(&g, lock_main, &l);
	group_wait(&g);
	CHECK(l.by_mutex == 50L * 200 * SCALE * 4);
	CHECK(l.by_spin == 50L * 200 * SCALE);
}

static void test_locks(void **state)
{
	run(1, root_locks, NULL);
	run(4, root_locks, NULL);
}

static void root_lock_two(void *arg)
{
	struct mutex a, b;
	struct spin x, y;

	mutex_init(&a);
	mutex_init(&b);
	spin_init(&x);
	spin_init(&y);
	mutex_lock_two(&a, &b, &lc_pipe);
	assert_held(&lc_pipe);
	CHECK(!mutex_trylock(&a, &lc_pipe) && !mutex_trylock(&b, &lc_pipe));
	spin_lock_two(&y, &x, &lc_futex);
	spin_unlock_two(&y, &x, &lc_futex);
	mutex_unlock_two(&a, &b, &lc_pipe);
	mutex_lock_two(&a, &a, &lc_pipe);
	mutex_unlock_two(&a, &a, &lc_pipe);
	spin_lock_two(&x, &x, &lc_futex);
	spin_unlock_two(&x, &x, &lc_futex);
	CHECK(mutex_trylock(&a, &lc_pipe));
	mutex_unlock(&a, &lc_pipe);
}

static void test_lock_two(void **state)
{
	run(1, root_lock_two, NULL);
}

/* A wake that comes while the waiter sleeps on a lock inside its condition must not be lost. */
struct permit {
	struct mutex m;
	struct waitq q;
	_Atomic int flag;
};

static bool permit_cond(struct permit *p)
{
	bool early = p->flag;

	mutex_lock(&p->m, &lc_inode);
	mutex_unlock(&p->m, &lc_inode);
	return early;
}

static void permit_waiter(void *arg)
{
	struct permit *p = arg;
	int ret = waitq_wait(&p->q, 1, NO_DEADLINE, permit_cond(p));

	CHECK(ret == 0);
}

static void root_permit(void *arg)
{
	for (int i = 0; i < 100; i++) {
		struct permit p = {};
		struct group g;

		mutex_init(&p.m);
		waitq_init(&p.q);
		group_init(&g);
		mutex_lock(&p.m, &lc_inode);
		group_start(&g, permit_waiter, &p);
		fiber_park(sched_now() + MS / 10);
		p.flag = 1;
		waitq_wake(&p.q, 1);
		fiber_park(sched_now() + MS / 10);
		mutex_unlock(&p.m, &lc_inode);
		group_wait(&g);
	}
}

static void test_permit_kept(void **state)
{
	run(1, root_permit, NULL);
	run(2, root_permit, NULL);
}

/* ---- wait queues ---- */

static bool count_wake(struct waiter *w, u32 events);

struct counter {
	struct waiter w;
	int count;
	bool counts;
};

static const struct waiter_ops counter_ops = { .wake = count_wake };

static bool count_wake(struct waiter *w, u32 events)
{
	struct counter *c = container_of(w, struct counter, w);

	c->count++;
	return c->counts;
}

static void test_waitq_order(void **state)
{
	struct waitq q;
	struct counter c[5] = {};

	waitq_init(&q);
	assert_false(waitq_active(&q));
	for (int i = 0; i < 5; i++) {
		waiter_init(&c[i].w, &counter_ops);
		c[i].counts = i != 2;
		if (i < 2)
			waitq_add(&q, &c[i].w, 1);
		else
			waitq_add_exclusive(&q, &c[i].w, i == 4 ? 3 : 1);
	}
	assert_true(waitq_active(&q));
	/* Both plain ones; exclusive: 2 does not count, 3 does. */
	waitq_wake(&q, 1);
	assert_int_equal(c[0].count + c[1].count, 2);
	assert_int_equal(c[2].count, 1);
	assert_int_equal(c[3].count, 1);
	assert_int_equal(c[4].count, 0);
	/* The next is 4's turn. */
	waitq_wake(&q, 1);
	assert_int_equal(c[3].count, 1);
	assert_int_equal(c[4].count, 1);
	waitq_wake(&q, 2);
	assert_int_equal(c[0].count, 2);
	assert_int_equal(c[4].count, 2);
	waitq_wake_all(&q, 1);
	assert_int_equal(c[3].count, 2);
	assert_int_equal(c[4].count, 3);
	for (int i = 0; i < 5; i++) {
		waitq_remove(&c[i].w);
		waitq_remove(&c[i].w);
	}
	assert_false(waitq_active(&q));
}

static void intr_waiter(void *arg)
{
	struct waitq q;

	waitq_init(&q);
	CHECK(waitq_wait(&q, 1, NO_DEADLINE, false) == -EINTR);
	CHECK(!waitq_active(&q));
	fiber_clear_interrupt(fiber_current());
	CHECK(waitq_wait(&q, 1, sched_now() + MS, false) == -ETIMEDOUT);
}

static void root_interrupt(void *arg)
{
	for (int i = 0; i < 100; i++) {
		struct group g;
		struct fiber *f;

		group_init(&g);
		f = group_start(&g, intr_waiter, NULL);
		if (i % 2)
			fiber_yield();
		fiber_interrupt(f);
		group_wait(&g);
	}
}

static void test_interrupt(void **state)
{
	run(1, root_interrupt, NULL);
	run(4, root_interrupt, NULL);
}

/* ---- timers ---- */

struct tick {
	struct timer t;
	_Atomic int count;
	int again;
	s64 due;
	struct fiber *f;
};

static void tick_expire(struct timer *t)
{
	struct tick *k = container_of(t, struct tick, t);

	CHECK(sched_now() >= k->due);
	k->count++;
	if (k->again-- > 0) {
		k->due = sched_now() + MS / 10;
		CHECK(timer_arm(t, k->due) == 0);
	} else {
		fiber_unpark(k->f);
	}
}

static const struct timer_ops tick_ops = { .expire = tick_expire };

static void sleeper(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	for (int i = 0; i < 20; i++) {
		s64 due = sched_now() + rand_r(&seed) % (2 * MS);

		while (fiber_park(due) != -ETIMEDOUT)
			;
		CHECK(sched_now() >= due);
	}
}

static void root_timers(void *arg)
{
	enum { N = 1000 };
	static struct tick k[N];
	unsigned int seed = 1;
	struct group g;
	s64 now = sched_now();

	group_init(&g);
	for (uintptr_t i = 0; i < 300; i++)
		group_start(&g, sleeper, (void *)i);
	for (int i = 0; i < N; i++) {
		k[i] = (struct tick){ .f = fiber_current(), .again = i % 3 };
		timer_init(&k[i].t, &tick_ops);
		k[i].due = now + rand_r(&seed) % (20 * MS);
		CHECK(timer_arm(&k[i].t, k[i].due) == 0);
	}
	for (int i = 0; i < N; i += 5) {
		timer_cancel_sync(&k[i].t);
		CHECK(!timer_cancel(&k[i].t));
		k[i].again = k[i].count - 1; /* nothing more to come */
	}
	for (int i = 0; i < N; i++) {
		if (i % 5)
			while (k[i].count < i % 3 + 1)
				fiber_park(sched_now() + 100 * MS);
	}
	for (int i = 0; i < N; i++)
		timer_cancel_sync(&k[i].t);
	group_wait(&g);
}

static void test_timers(void **state)
{
	run(1, root_timers, NULL);
	run(4, root_timers, NULL);
}

/* A timer armed by one worker must shorten the sleep of the poller, another. */
static void root_timer_kick(void *arg)
{
	struct tick far = { .due = 0 }, near = { .f = fiber_current() };

	timer_init(&far.t, &tick_ops);
	timer_init(&near.t, &tick_ops);
	CHECK(timer_arm(&far.t, sched_now() + 3600 * 1000 * MS) == 0);
	for (int i = 0; i < 20; i++) {
		s64 start = sched_now();

		near.count = 0;
		near.due = start + 2 * MS;
		fiber_park(start + MS);
		CHECK(timer_arm(&near.t, near.due) == 0);
		while (!near.count)
			fiber_park(NO_DEADLINE);
		CHECK(sched_now() < start + 500 * MS);
	}
	CHECK(timer_cancel(&far.t));
}

static void test_timer_kick(void **state)
{
	run(1, root_timer_kick, NULL);
	run(3, root_timer_kick, NULL);
}

/* ---- poller ---- */

struct pipe_end {
	struct poll_source s;
	struct fiber *f;
	_Atomic u32 events;
};

static void pipe_ready(struct poll_source *s, u32 events)
{
	struct pipe_end *e = container_of(s, struct pipe_end, s);

	atomic_fetch_or(&e->events, events);
	fiber_unpark(e->f);
}

struct pipe_pair {
	int in[2], out[2];
	int rounds;
};

static char pipe_get(struct pipe_end *e)
{
	char c;

	for (;;) {
		ssize_t n = host_read(e->s.fd, &c, 1);

		if (n == 1)
			return c;
		CHECK(n == -EAGAIN);
		while (!(atomic_exchange(&e->events, 0) & EPOLLIN))
			CHECK(fiber_park(NO_DEADLINE) == 0);
	}
}

static void pipe_server(void *arg)
{
	struct pipe_pair *p = arg;
	struct pipe_end e = { { .fd = p->in[0], .ready = pipe_ready }, fiber_current(), 0 };

	CHECK(poller_add(&e.s, EPOLLIN | EPOLLET) == 0);
	for (int i = 0; i < p->rounds; i++) {
		char c = pipe_get(&e);

		CHECK(c == (char)i);
		CHECK(host_write(p->out[1], &c, 1) == 1);
	}
	poller_remove(&e.s);
}

static void pipe_client(void *arg)
{
	struct pipe_pair *p = arg;
	struct pipe_end e = { { .fd = p->out[0], .ready = pipe_ready }, fiber_current(), 0 };

	for (int i = 0; i < p->rounds; i++) {
		char c = (char)i;

		/* Add and remove all the time. */
		CHECK(poller_add(&e.s, EPOLLIN) == 0);
		CHECK(host_write(p->in[1], &c, 1) == 1);
		CHECK(pipe_get(&e) == c);
		poller_remove(&e.s);
		poller_remove(&e.s);
	}
}

static void root_poller(void *arg)
{
	enum { PAIRS = 30 };
	struct pipe_pair p[PAIRS];
	struct group g;

	group_init(&g);
	for (int i = 0; i < PAIRS; i++) {
		CHECK(host_pipe2(p[i].in, O_NONBLOCK) == 0);
		CHECK(host_pipe2(p[i].out, O_NONBLOCK) == 0);
		p[i].rounds = 200 * SCALE;
		group_start(&g, pipe_server, &p[i]);
		group_start(&g, pipe_client, &p[i]);
	}
	group_wait(&g);
	for (int i = 0; i < PAIRS; i++) {
		for (int k = 0; k < 2; k++) {
			host_close(p[i].in[k]);
			host_close(p[i].out[k]);
		}
	}
}

static void mute_ready(struct poll_source *s, u32 events)
{
	struct pipe_end *e = container_of(s, struct pipe_end, s);

	CHECK(events & EPOLLHUP);
	atomic_fetch_add(&e->events, 1);
	poller_mute(s);
	fiber_unpark(e->f);
}

/* What has hung up says so only once, however often others are polled. */
static void root_mute(void *arg)
{
	struct pipe_pair p = { .rounds = 100 };
	struct pipe_end e = { { .ready = mute_ready }, fiber_current(), 0 };
	struct group g;
	int fd[2];

	CHECK(host_pipe2(fd, O_NONBLOCK) == 0);
	e.s.fd = fd[0];
	CHECK(poller_add(&e.s, EPOLLIN) == 0);
	host_close(fd[1]);
	while (!atomic_load(&e.events))
		CHECK(fiber_park(NO_DEADLINE) == 0);
	CHECK(host_pipe2(p.in, O_NONBLOCK) == 0);
	CHECK(host_pipe2(p.out, O_NONBLOCK) == 0);
	group_init(&g);
	group_start(&g, pipe_server, &p);
	group_start(&g, pipe_client, &p);
	group_wait(&g);
	CHECK(atomic_load(&e.events) == 1);
	poller_remove(&e.s);
	host_close(fd[0]);
	for (int k = 0; k < 2; k++) {
		host_close(p.in[k]);
		host_close(p.out[k]);
	}
}

static void test_poller(void **state)
{
	run(1, root_poller, NULL);
	run(4, root_poller, NULL);
	run(2, root_mute, NULL);
}

/* ---- sources that are waited for directly ---- */

/* A thread of the host that asks a fiber, which hears of it by a source that is preferred. */
struct caller {
	struct poll_source s;
	int question[2], answer[2];
	struct fiber *f;
	_Atomic int asked;
	int rounds;
	pthread_t thread;
};

static int caller_receive(struct poll_source *s, struct poll_event *ret_event)
{
	ssize_t n = host_read(s->fd, ret_event->data, 1);

	return n == 1 ? 0 : (int)n;
}

static void caller_handle(struct poll_source *s, const struct poll_event *event)
{
	struct caller *c = container_of(s, struct caller, s);

	atomic_fetch_add(&c->asked, 1);
	fiber_unpark(c->f);
}

static void caller_ready(struct poll_source *s, u32 events)
{
	struct poll_event event;

	poller_prefer(s);
	CHECK(caller_receive(s, &event) == 0);
	caller_handle(s, &event);
}

static void *caller_main(void *arg)
{
	struct caller *c = arg;
	char b = 0;

	for (int i = 0; i < c->rounds; i++) {
		BUG_ON(write(c->question[1], &b, 1) != 1);
		BUG_ON(read(c->answer[0], &b, 1) != 1);
	}
	return NULL;
}

static void caller_serve(void *arg)
{
	struct caller *c = arg;
	char b = 0;

	c->f = fiber_current();
	c->s = (struct poll_source){
		.fd = c->question[0],
		.ready = caller_ready,
		.receive = caller_receive,
		.handle = caller_handle,
	};
	CHECK(poller_add(&c->s, EPOLLIN) == 0);
	CHECK(pthread_create(&c->thread, NULL, caller_main, c) == 0);
	for (int i = 0; i < c->rounds; i++) {
		while (atomic_load(&c->asked) <= i)
			CHECK(fiber_park(NO_DEADLINE) == 0);
		if (i % 1000 == 999)
			sched_expect_delay();
		if (i % 700 == 699)
			fiber_yield();
		CHECK(host_write(c->answer[1], &b, 1) == 1);
	}
	poller_remove(&c->s);
	pthread_join(c->thread, NULL);
}

static void root_callers(void *arg)
{
	enum { CALLERS = 3 };
	static const int rounds[CALLERS] = { 4000, 3000, 100 };
	struct caller c[CALLERS] = {};
	struct group g;

	group_init(&g);
	for (int i = 0; i < CALLERS; i++) {
		CHECK(host_pipe2(c[i].question, 0) == 0);
		CHECK(host_pipe2(c[i].answer, 0) == 0);
		c[i].rounds = rounds[i] * SCALE;
		group_start(&g, caller_serve, &c[i]);
	}
	group_wait(&g);
	for (int i = 0; i < CALLERS; i++) {
		for (int k = 0; k < 2; k++) {
			host_close(c[i].question[k]);
			host_close(c[i].answer[k]);
		}
	}
}

static void test_callers(void **state)
{
	run(1, root_callers, NULL);
	run(2, root_callers, NULL);
	run(4, root_callers, NULL);
}

/* ---- wake-ups from outside ---- */

struct outside {
	struct fiber *f;
	_Atomic int sent, got;
	int count;
};

static void *outside_main(void *arg)
{
	struct outside *o = arg;

	for (int i = 0; i < o->count; i++) {
		atomic_fetch_add(&o->sent, 1);
		fiber_unpark(o->f);
		if (i % 4 == 0) {
			/* Let all workers fall asleep. */
			while (o->got != o->sent)
				sched_yield();
			if (i % 64 == 0)
				usleep(1000);
		}
	}
	return NULL;
}

static void outside_waiter(void *arg)
{
	struct outside *o = arg;

	o->f = fiber_current();
	while (o->got < o->count) {
		fiber_park(NO_DEADLINE);
		o->got = o->sent;
	}
}

static long join_thread(void *arg)
{
	return pthread_join(*(pthread_t *)arg, NULL);
}

static void root_outside(void *arg)
{
	enum { N = 3 };
	struct outside o[N] = {};
	pthread_t t[N];
	struct group g;

	group_init(&g);
	for (int i = 0; i < N; i++) {
		o[i].count = 1000 * SCALE;
		o[i].f = group_start(&g, outside_waiter, &o[i]);
		fiber_yield();
	}
	for (int i = 0; i < N; i++)
		CHECK(!pthread_create(&t[i], NULL, outside_main, &o[i]));
	group_wait(&g);
	for (int i = 0; i < N; i++)
		CHECK(pool_call(join_thread, &t[i]) == 0);
}

static void test_outside(void **state)
{
	run(1, root_outside, NULL);
	run(2, root_outside, NULL);
	run(4, root_outside, NULL);
}

/* ---- pool ---- */

static long add_one(void *arg)
{
	return *(long *)arg + 1;
}

static long block_on_pipe(void *arg)
{
	char c;

	return host_read(*(int *)arg, &c, 1);
}

static void pool_caller(void *arg)
{
	for (long i = 0; i < 50; i++)
		CHECK(pool_call(add_one, &i) == i + 1);
}

static void pool_victim(void *arg)
{
	CHECK(pool_call(block_on_pipe, arg) == -EINTR);
}

static void root_pool(void *arg)
{
	struct fiber *victims[6];
	struct group g, h;
	int fds[2];

	group_init(&g);
	for (int i = 0; i < 100; i++)
		group_start(&g, pool_caller, NULL);
	group_wait(&g);

	CHECK(host_pipe2(fds, 0) == 0);
	group_init(&h);
	for (int i = 0; i < 6; i++)
		victims[i] = group_start(&h, pool_victim, &fds[0]);
	fiber_park(sched_now() + 20 * MS);
	group_init(&g);
	for (int i = 0; i < 10; i++)
		group_start(&g, pool_caller, NULL);
	for (int i = 0; i < 6; i++)
		fiber_kill(victims[i]);
	group_wait(&h);
	group_wait(&g);
	host_close(fds[0]);
	host_close(fds[1]);
}

static void test_pool(void **state)
{
	long n = 1;

	assert_int_equal(pool_call(add_one, &n), 2);
	run(1, root_pool, NULL);
	run(4, root_pool, NULL);
}

/* ---- an idle kernel ---- */

static s64 process_cpu_time(void)
{
	return host_clock(CLOCK_PROCESS_CPUTIME_ID);
}

static void root_idle(void *arg)
{
	s64 before = process_cpu_time();

	CHECK(fiber_park(sched_now() + 300 * MS) == -ETIMEDOUT);
	CHECK(process_cpu_time() - before < 20 * MS);
}

static void test_idle(void **state)
{
	run(4, root_idle, NULL);
}

/* ---- panics ---- */

static void expect_panic(void (*fn)(void *))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		close(1);
		close(2);
		signal(SIGABRT, SIG_DFL);
		_exit(sched_run_fiber(1, fn, NULL));
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

#ifdef DONJON_DEBUG
static struct spin g_a, g_b;
static struct mutex g_m, g_n;

static void panic_order(void *arg) NO_THREAD_SAFETY_ANALYSIS
{
	spin_lock(&g_a, &lc_task);
	spin_lock(&g_b, &lc_tasks);
}

static void panic_same_class(void *arg) NO_THREAD_SAFETY_ANALYSIS
{
	spin_lock(&g_a, &lc_tasks);
	spin_lock(&g_b, &lc_tasks);
}

static void panic_park(void *arg) NO_THREAD_SAFETY_ANALYSIS
{
	spin_lock(&g_a, &lc_task);
	fiber_park(sched_now() + MS);
}

static void panic_host(void *arg) NO_THREAD_SAFETY_ANALYSIS
{
	spin_lock(&g_a, &lc_task);
	host_getpid();
}

static void panic_mutex_order(void *arg) NO_THREAD_SAFETY_ANALYSIS
{
	mutex_lock(&g_m, &lc_mm);
	mutex_lock(&g_n, &lc_mounts);
}

static void panic_mutex_after_spin(void *arg) NO_THREAD_SAFETY_ANALYSIS
{
	spin_lock(&g_a, &lc_task);
	mutex_lock(&g_n, &lc_mounts);
}

static void panic_not_held(void *arg) NO_THREAD_SAFETY_ANALYSIS
{
	assert_held(&lc_task);
}

static void test_validator(void **state)
{
	expect_panic(panic_order);
	expect_panic(panic_same_class);
	expect_panic(panic_park);
	expect_panic(panic_host);
	expect_panic(panic_mutex_order);
	expect_panic(panic_mutex_after_spin);
	expect_panic(panic_not_held);
}
#endif

static int recurse(int n)
{
	volatile char page[2048];

	page[0] = (char)n;
	__asm__ volatile("" : : "r"(page) : "memory"); /* no loop instead */
	return n == 0 ? 0 : recurse(n - 1) + page[0];
}

static void panic_overflow(void *arg)
{
	recurse(1000);
}

static void test_overflow(void **state)
{
	expect_panic(panic_overflow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_basics),	    cmocka_unit_test(test_cpu_time),
		cmocka_unit_test(test_many),	    cmocka_unit_test(test_rings),
		cmocka_unit_test(test_locks),	    cmocka_unit_test(test_lock_two),
		cmocka_unit_test(test_permit_kept), cmocka_unit_test(test_waitq_order),
		cmocka_unit_test(test_interrupt),   cmocka_unit_test(test_timers),
		cmocka_unit_test(test_timer_kick),  cmocka_unit_test(test_poller),
		cmocka_unit_test(test_callers),	    cmocka_unit_test(test_outside),
		cmocka_unit_test(test_pool),	    cmocka_unit_test(test_idle),
#ifdef DONJON_DEBUG
		cmocka_unit_test(test_validator),
#endif
		cmocka_unit_test(test_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
