/*
 * Writes into its lanes while the kernel reads them: other requests, forged results and events,
 * counters that run, from threads that never stop.
 */
#include "stub_region.h"

#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { SCRIBBLE_MS = 1500 };

static void (*g_scribble)(struct lane *lane, u64 *seed);

static void *scribbler(void *arg)
{
	u64 seed = 88172645463325252 + (u64)arg;

	for (;;)
		g_scribble(stub_lane((unsigned int)(u64)arg), &seed);
	return NULL;
}

/* Calls of all kinds from one thread, whose lane another one scribbles on. */
static void victim(void)
{
	struct stat st;
	pthread_t other;
	sigset_t set;
	char path[64] = "/etc/passwd", buf[4096];
	int fd[2];

	if (pthread_create(&other, NULL, scribbler, NULL))
		return;
	for (;;) {
		void *p = mmap(NULL, 65536, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		stat(path, &st);
		sigprocmask(SIG_BLOCK, NULL, &set);
		if (!pipe(fd)) {
			(void)!write(fd[1], buf, sizeof(buf));
			(void)!read(fd[0], buf, sizeof(buf));
			close(fd[0]);
			close(fd[1]);
		}
		munmap(p, 65536);
		if (fork() == 0)
			_exit(0);
		waitpid(-1, NULL, 0);
	}
}

static void scribble_all(struct lane *lane, u64 *seed)
{
	((volatile u64 *)lane)[stub_random(seed) % (1024 / 8)] = stub_random(seed);
}

static void scribble_request(struct lane *lane, u64 *seed)
{
	*(volatile u32 *)&lane->request += (u32)(stub_random(seed) % 3) - 1;
}

static void scribble_response(struct lane *lane, u64 *seed)
{
	*(volatile u32 *)&lane->response += (u32)(stub_random(seed) % 3) - 1;
}

/* Complete what the kernel asks for before it is done. */
static void forge_done(struct lane *lane, u64 *seed)
{
	volatile struct lane *l = lane;
	u32 n = l->response;

	(void)seed;
	l->event.kind = LANE_DONE;
	l->event.result = (s64)l->command.arg[1];
	l->request = n + 1;
}

static void forge_events(struct lane *lane, u64 *seed)
{
	volatile struct lane *l = lane;

	l->event.kind = (u32)(stub_random(seed) % 7);
	l->event.signo = (s32)(stub_random(seed) % 70);
	l->event.result = (s64)stub_random(seed);
	l->event.cpu = (u32)stub_random(seed);
	l->event.guest_tsc = stub_random(seed);
}

static void forge_regs(struct lane *lane, u64 *seed)
{
	((volatile u64 *)&lane->regs)[stub_random(seed) % 27] = stub_random(seed);
}

static void forge_marshal(struct lane *lane, u64 *seed)
{
	volatile struct lane *l = lane;
	u32 i = (u32)(stub_random(seed) % MARSHAL_ITEMS);

	l->inputs.count = (u32)stub_random(seed);
	l->inputs.item[i].size = (u32)stub_random(seed);
	l->inputs.item[i].offset = (u32)stub_random(seed);
	l->outputs.count = (u32)(stub_random(seed) % 20);
	l->outputs.item[i].addr = stub_random(seed) % (1UL << 47);
	l->marshal[stub_random(seed) % MARSHAL_SIZE] = (u8)stub_random(seed);
}

static void sleep_words(struct lane *lane, u64 *seed)
{
	volatile struct lane *l = lane;

	(void)seed;
	l->sleeping = l->response;
	l->request = l->response;
}

/* ---- without a second thread ---- */

static void *flooder(void *arg)
{
	u64 word = (u64)&stub_lane((unsigned int)(u64)arg)->response;

	for (;;)
		stub_call(stub_verified, SYS_futex, word, FUTEX_WAIT, stub_lane(0)->response, 0, 0,
			  0);
	return NULL;
}

static void flood(void)
{
	pthread_t t;

	for (u64 i = 0; i < 8; i++)
		pthread_create(&t, NULL, flooder, (void *)(i % 4));
	for (;;)
		getppid();
}

/* As many events as can be made. */
static void *busy(void *arg)
{
	for (;;)
		syscall(1000);
	return arg;
}

static void flood_events(void)
{
	pthread_t t;

	for (int i = 0; i < 8; i++)
		pthread_create(&t, NULL, busy, NULL);
	busy(NULL);
}

/* Changes of an epoll that nobody asked for: of what it cannot watch, in an order that cannot be.
 */
static void forge_changes(void)
{
	u64 seed = 88172645463325252;
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(0), other = epoll_create1(0), e = eventfd(1, 0);
	volatile struct lane *l = stub_lane(0);

	for (;;) {
		epoll_ctl(ep, EPOLL_CTL_ADD, e, &ev);
		for (int i = 0; i < 8; i++)
			epoll_ctl(ep, EPOLL_CTL_MOD, e, &ev);
		for (u32 i = 0; i < PF_WATCH_CALLS; i++) {
			volatile struct pf_watch_call *c = &l->watch.calls[i];

			c->op = (int)(stub_random(&seed) % 5);
			c->fd = (int)(stub_random(&seed) % 16) - 1;
			c->events = (u32)stub_random(&seed);
			c->data = stub_random(&seed);
		}
		l->watch.count = (u32)(stub_random(&seed) % 40);
		l->watch.fds[stub_random(&seed) % 16] = stub_random(&seed);
		l->quick.done |= PF_QUICK_WATCH;
		getppid();
		epoll_wait(ep, &ev, 1, 0);
		epoll_ctl(other, EPOLL_CTL_ADD, ep, &ev);
		epoll_ctl(other, EPOLL_CTL_DEL, ep, NULL);
		if (stub_random(&seed) % 4 == 0)
			close(epoll_create1(0));
	}
}

/* Reads that were not made, of what was not lent. */
static void forge_reads(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	volatile struct lane *l = stub_lane(0);
	int ep = epoll_create1(0), pair[2];
	u64 seed = 88172645463325252;
	char buf[100] = {};

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) ||
	    epoll_ctl(ep, EPOLL_CTL_ADD, pair[1], &ev))
		_exit(1);
	for (;;) {
		for (int i = 0; i < 8; i++) {
			(void)!write(pair[0], buf, 10);
			epoll_wait(ep, &ev, 1, 0);
			(void)!read(pair[1], buf, sizeof(buf));
		}
		(void)!write(pair[0], buf, 10);
		epoll_wait(ep, &ev, 1, 0);
		l->reads.count = (u32)stub_random(&seed);
		for (u32 i = 0; i < PF_READS; i++) {
			l->reads.item[i].fd = pair[stub_random(&seed) % 2];
			l->reads.item[i].size = (u32)stub_random(&seed);
			l->reads.item[i].offset = (u32)stub_random(&seed);
		}
		l->reads.done = (u32)stub_random(&seed);
		if (stub_random(&seed) % 2)
			l->quick.done |= PF_QUICK_READ;
		(void)!read(pair[1], buf, sizeof(buf));
		getppid();
	}
}

int main(void)
{
	static const struct {
		const char *name;
		void (*fn)(struct lane *lane, u64 *seed);
	} attacks[] = {
		{ "all fields", scribble_all },		{ "the request word", scribble_request },
		{ "response word", scribble_response }, { "forged completions", forge_done },
		{ "forged events", forge_events },	{ "forged registers", forge_regs },
		{ "forged inputs", forge_marshal },	{ "pretended sleep", sleep_words },
	};

	stub_need_region();
	tap_begin();
	for (unsigned int i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		g_scribble = attacks[i].fn;
		stub_attack(attacks[i].name, victim, SCRIBBLE_MS);
		stub_attack(attacks[i].name, victim, 100);
	}
	stub_attack("forged changes of an epoll", forge_changes, SCRIBBLE_MS);
	stub_attack("forged reads", forge_reads, SCRIBBLE_MS);
	stub_attack("a flood of notifications", flood, SCRIBBLE_MS);
	stub_attack("a flood of events", flood_events, SCRIBBLE_MS);
	return tap_end();
}
