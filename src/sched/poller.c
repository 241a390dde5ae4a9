/*
 * The poller: epoll, the sources that it watches, and the doorbell by which others end its sleep.
 *
 * epoll's user data is a key (slot and generation) in a table of sources, not an address: an event
 * that was fetched before its source was removed finds no source. The source whose function is
 * being called is known, so that removal can wait for it.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/bug.h"
#include "host/host.h"
#include "sched/internal.h"
#include "sched/sched.h"

#define POLL_BATCH 64
#define KEY_DOORBELL 0
#define HOT_MAX 2 /* as many sources are waited for directly */
#define PREFER_AFTER 2 /* so many of HOT_WINDOW events make a source hot */
#define HOT_WINDOW 32
#define HOT_AGE 16 /* events of others since its last one, and a hot source has to give way */
#define ASIDE_AFTER 256 /* events of two hot sources, and another worker takes one of them */
#define ASIDE_NS 20'000'000 /* without an event, and it gives it back */
#define LISTEN_AFTER 64 /* events in a row make us listen to their source alone (listen.c) */

struct poll_slot {
	struct poll_source *source; /* null: free */
	u32 generation;
	u32 next_free; /* 1 + slot; 0 ends the list */
};

static struct {
	int epfd; /* [I] */
	int doorbell; /* [I] eventfd, edge-triggered: never read */
	struct spin lock;
	struct poll_slot *slots GUARDED_BY(lc_poller);
	u32 slot_count GUARDED_BY(lc_poller);
	u32 free GUARDED_BY(lc_poller); /* 1 + slot */
	struct poll_source *running GUARDED_BY(lc_poller);
	struct worker *runner GUARDED_BY(lc_poller); /* who runs it */
	struct poll_source *hot[HOT_MAX] GUARDED_BY(
		lc_poller); /* waited for directly; mute in epoll */
	struct poll_source *listened GUARDED_BY(lc_poller); /* its receive or handle runs */
	struct worker *listener GUARDED_BY(lc_poller); /* who runs that */
	struct poll_source *pinned GUARDED_BY(lc_poller); /* was hot, gets its voice back */
	struct poll_source *_Atomic aside; /* [lock to change] a worker of its own waits for it */
	struct worker *_Atomic aside_worker; /* [lock to change] that one */
	struct poll_source *aside_used GUARDED_BY(lc_poller); /* that one is at it */
	_Atomic bool aside_wanted; /* two hot sources keep the poller busy */
	int aside_bell; /* [I] eventfd */
	unsigned int pair; /* [token] events in a row during which there were two */
	u64 seq; /* [token] events of sources that want to be preferred */
	u64 hot_seq[HOT_MAX]; /* [token] the last one of each hot source */
	struct poll_source *last; /* [token] whose event was the last; not to be followed */
	unsigned int streak; /* [token] how many events of last in a row */
} p = { .epfd = -1, .doorbell = -1, .aside_bell = -1 };

static u64 poll_key(u32 slot, u32 generation)
{
	return (u64)generation << 32 | (slot + 1);
}

/* ---- the table of sources ---- */

/* Make the table larger than old_count slots. */
static int poll_slots_grow(u32 old_count)
{
	u32 count = max(old_count * 2, 16u);
	struct poll_slot *new = calloc(count, sizeof(*new)), *old = new;

	if (!new)
		return -ENOMEM;
	spin_lock(&p.lock, &lc_poller);
	if (p.slot_count == old_count) {
		for (u32 i = 0; i < old_count; i++)
			new[i] = p.slots[i];
		for (u32 i = old_count; i < count; i++) {
			new[i].next_free = p.free;
			p.free = i + 1;
		}
		old = p.slots;
		p.slots = new;
		p.slot_count = count;
	}
	spin_unlock(&p.lock, &lc_poller);
	free(old);
	return 0;
}

/* Enter s into the table and set its key. */
static int poll_slot_take(struct poll_source *s)
{
	for (;;) {
		u32 count, slot;
		int ret;

		spin_lock(&p.lock, &lc_poller);
		if (p.free) {
			slot = p.free - 1;
			p.free = p.slots[slot].next_free;
			p.slots[slot].source = s;
			s->key = poll_key(slot, ++p.slots[slot].generation);
			spin_unlock(&p.lock, &lc_poller);
			return 0;
		}
		count = p.slot_count;
		spin_unlock(&p.lock, &lc_poller);
		ret = poll_slots_grow(count);
		if (ret)
			return ret;
	}
}

static struct poll_slot *poll_slot_find(u64 key) REQUIRES(lc_poller)
{
	u32 slot = (u32)key - 1;

	if (slot >= p.slot_count || p.slots[slot].generation != key >> 32 || !p.slots[slot].source)
		return NULL;
	return &p.slots[slot];
}

static void poll_slot_release(struct poll_source *s) REQUIRES(lc_poller)
{
	struct poll_slot *slot = poll_slot_find(s->key);

	BUG_ON(!slot || slot->source != s);
	slot->source = NULL;
	slot->next_free = p.free;
	p.free = (u32)s->key;
	s->key = 0;
}

/* ---- sources ---- */

int poller_add(struct poll_source *s, u32 events)
{
	struct epoll_event ev = { .events = events };
	int ret;

	ret = poll_slot_take(s);
	if (ret)
		return ret;
	atomic_store(&s->mute, false);
	ev.data.u64 = s->key;
	ret = host_epoll_ctl(p.epfd, EPOLL_CTL_ADD, s->fd, &ev);
	if (ret) {
		spin_lock(&p.lock, &lc_poller);
		poll_slot_release(s);
		spin_unlock(&p.lock, &lc_poller);
	}
	return ret;
}

int poller_modify(struct poll_source *s, u32 events)
{
	struct epoll_event ev = { .events = events, .data.u64 = s->key };

	return host_epoll_ctl(p.epfd, EPOLL_CTL_MOD, s->fd, &ev);
}

static bool poll_source_is_running(const struct poll_source *s)
{
	bool running;

	spin_lock(&p.lock, &lc_poller);
	running = (p.running == s && p.runner != t_sched.worker) || p.pinned == s ||
		  (p.listened == s && p.listener != t_sched.worker) || p.aside_used == s;
	spin_unlock(&p.lock, &lc_poller);
	return running;
}

/* The source aside is so no more. */
static void aside_clear(void) REQUIRES(lc_poller)
{
	p.aside = NULL;
	p.aside_worker = NULL;
}

static void hot_forget(const struct poll_source *s) REQUIRES(lc_poller)
{
	for (unsigned int i = 0; i < HOT_MAX; i++)
		if (p.hot[i] == s)
			p.hot[i] = NULL;
	if (p.aside == s)
		aside_clear();
}

void poller_mute(struct poll_source *s)
{
	struct epoll_event ev = {};

	if (atomic_exchange(&s->mute, true))
		return;
	host_epoll_ctl(p.epfd, EPOLL_CTL_DEL, s->fd, &ev);
	spin_lock(&p.lock, &lc_poller);
	hot_forget(s);
	spin_unlock(&p.lock, &lc_poller);
}

static void aside_ring(void)
{
	u64 one = 1;

	(void)!host_write(p.aside_bell, &one, sizeof(one));
}

void poller_remove(struct poll_source *s)
{
	struct epoll_event ev = {};

	if (!s->key)
		return;
	if (!atomic_load(&s->mute))
		host_epoll_ctl(p.epfd, EPOLL_CTL_DEL, s->fd, &ev);
	spin_lock(&p.lock, &lc_poller);
	poll_slot_release(s);
	hot_forget(s);
	spin_unlock(&p.lock, &lc_poller);
	/* Rare and short: a ready function does not wait. */
	while (poll_source_is_running(s)) {
		listen_kick();
		aside_ring();
		host_sched_yield();
	}
}

/* Has s had many of the last events? */
static bool poll_source_is_busy(struct poll_source *s)
{
	if (p.seq - s->since > HOT_WINDOW) {
		s->since = p.seq;
		s->count = 0;
	}
	return ++s->count >= PREFER_AFTER;
}

/* The place of s among the hot ones, or HOT_MAX. */
static unsigned int hot_find(const struct poll_source *s)
{
	unsigned int i = 0;

	spin_lock(&p.lock, &lc_poller);
	while (i < HOT_MAX && p.hot[i] != s)
		i++;
	spin_unlock(&p.lock, &lc_poller);
	return i;
}

/* A place for another hot source, or HOT_MAX. */
static unsigned int hot_place(void)
{
	unsigned int i = hot_find(NULL);

	if (i < HOT_MAX)
		return i;
	for (i = 0; i < HOT_MAX && p.seq - p.hot_seq[i] < HOT_AGE; i++)
		;
	return i;
}

/* Have s (null: nothing) in place i. */
static void hot_set(unsigned int i, struct poll_source *s)
{
	struct poll_source *old;

	p.hot_seq[i] = p.seq;
	spin_lock(&p.lock, &lc_poller);
	if (s && atomic_load(&s->mute))
		s = NULL;
	p.pinned = old = p.hot[i];
	p.hot[i] = s;
	spin_unlock(&p.lock, &lc_poller);
	/* Without a voice in epoll the hot one wakes us once, not twice. */
	if (s)
		(void)!poller_modify(s, 0);
	if (old)
		(void)!poller_modify(old, EPOLLIN);
	spin_lock(&p.lock, &lc_poller);
	p.pinned = NULL;
	spin_unlock(&p.lock, &lc_poller);
}

/* Who listens to the source in place hears no others but through epoll. */
static void hot_alone(unsigned int place)
{
	for (unsigned int i = 0; i < HOT_MAX; i++)
		if (i != place)
			hot_set(i, NULL);
}

/* Do two sources keep us busy? Then another worker may have one of them. */
static void note_pair(void)
{
	for (unsigned int i = 0; i < HOT_MAX; i++)
		if (p.seq - p.hot_seq[i] >= HOT_AGE) {
			p.pair = 0;
			return;
		}
	if (++p.pair < ASIDE_AFTER || atomic_load(&p.aside))
		return;
	p.pair = 0;
	atomic_store(&p.aside_wanted, true);
	sched_wake_idle();
}

void poller_prefer(struct poll_source *s)
{
	unsigned int i = hot_find(s);

	p.seq++;
	if (s != p.last) {
		p.last = s;
		p.streak = 0;
	}
	if (i < HOT_MAX) {
		p.hot_seq[i] = p.seq;
		note_pair();
		if (p.streak < LISTEN_AFTER && ++p.streak == LISTEN_AFTER)
			hot_alone(i);
	} else if (poll_source_is_busy(s)) {
		i = hot_place();
		if (i < HOT_MAX)
			hot_set(i, s);
	}
}

/* ---- polling ---- */

static void poll_dispatch(u64 key, u32 events)
{
	struct poll_source *s = NULL;
	struct poll_slot *slot;

	if (key == KEY_DOORBELL)
		return;
	spin_lock(&p.lock, &lc_poller);
	slot = poll_slot_find(key);
	if (slot) {
		s = slot->source == p.aside ? NULL : slot->source;
		p.running = s;
		p.runner = t_sched.worker;
	}
	spin_unlock(&p.lock, &lc_poller);
	if (!s)
		return;
	s->ready(s, events);
	spin_lock(&p.lock, &lc_poller);
	p.running = NULL;
	spin_unlock(&p.lock, &lc_poller);
}

struct hot_fds {
	unsigned int count;
	struct pollfd fd[HOT_MAX + 1]; /* the last one is epoll */
	u64 key[HOT_MAX];
};

static void hot_fds_get(struct hot_fds *ret)
{
	ret->count = 0;
	spin_lock(&p.lock, &lc_poller);
	for (unsigned int i = 0; i < HOT_MAX; i++) {
		if (!p.hot[i])
			continue;
		ret->fd[ret->count] = (struct pollfd){ .fd = p.hot[i]->fd, .events = POLLIN };
		ret->key[ret->count++] = p.hot[i]->key;
	}
	spin_unlock(&p.lock, &lc_poller);
	ret->fd[ret->count] = (struct pollfd){ .fd = p.epfd, .events = POLLIN };
}

/* Wait for the hot sources and epoll. Calls the former's functions; returns what epoll has. */
static int poll_all(struct epoll_event *evs, struct hot_fds *hot, s64 timeout)
{
	const struct pollfd *epoll = &hot->fd[hot->count];
	int n = host_ppoll(hot->fd, hot->count + 1, timeout);

	if (timeout != 0) {
		timers_awake();
		sched_poller_awake();
	}
	if (n <= 0)
		return 0;
	if (epoll->revents)
		p.streak = 0;
	for (unsigned int i = 0; i < hot->count; i++)
		if (hot->fd[i].revents)
			poll_dispatch(hot->key[i], (u32)hot->fd[i].revents);
	return epoll->revents ? host_epoll_wait(p.epfd, evs, POLL_BATCH, 0) : 0;
}

/* Listen to the source that had the last events; false: it does not pay, or cannot be done. */
static bool poll_listen(s64 deadline)
{
	UNINIT struct poll_event event;
	struct poll_source *s = NULL;
	int ret;

	spin_lock(&p.lock, &lc_poller);
	for (unsigned int i = 0; i < HOT_MAX; i++)
		if (p.hot[i] && p.hot[i] == p.last)
			s = p.hot[i];
	if (s && s->receive) {
		p.listened = s;
		p.listener = t_sched.worker;
	}
	spin_unlock(&p.lock, &lc_poller);
	if (!s || !s->receive)
		return false;
	ret = listen_for(s, &event, p.epfd, deadline);
	if (ret != -EAGAIN) {
		timers_awake();
		sched_poller_awake();
	}
	if (ret == 0)
		s->handle(s, &event);
	else if (ret != -EAGAIN)
		p.streak = 0;
	spin_lock(&p.lock, &lc_poller);
	p.listened = NULL;
	spin_unlock(&p.lock, &lc_poller);
	return ret != -EAGAIN;
}

static int poll_wait(struct epoll_event *evs, bool block)
{
	UNINIT struct hot_fds hot;
	s64 deadline = NO_DEADLINE, timeout = 0;
	int n;

	if (block) {
		deadline = timers_sleep();
		if (p.streak >= LISTEN_AFTER && poll_listen(deadline))
			return 0;
	}
	hot_fds_get(&hot);
	if (block && deadline == NO_DEADLINE)
		timeout = -1;
	else if (block)
		timeout = max(deadline - sched_now(), (s64)1);
	if (hot.count)
		return poll_all(evs, &hot, timeout);
	n = host_epoll_wait(p.epfd, evs, POLL_BATCH, timeout);
	if (block) {
		timers_awake();
		sched_poller_awake();
	}
	return n;
}

/* ---- a source aside ---- */

/*
 * Two busy sources that one worker serves have all of their callers on one CPU: an answer wakes its
 * lane where the worker runs. So another worker that has nothing to do takes one of the two aside
 * and waits for it alone, and its callers stay with it. It gives the source back when it is wanted
 * elsewhere, is about to be busy for long, or nothing comes: then epoll has the source again.
 */

bool poller_aside_begin(struct worker *w)
{
	struct poll_source *s = NULL;

	if (poller_aside_is(w))
		return true;
	if (likely(!atomic_load_explicit(&p.aside_wanted, memory_order_relaxed)) ||
	    !atomic_exchange(&p.aside_wanted, false))
		return false;
	spin_lock(&p.lock, &lc_poller);
	if (!p.aside && !p.aside_used && p.hot[0] && p.hot[1])
		for (unsigned int i = 0; i < HOT_MAX && !s; i++) {
			s = p.hot[i];
			if (!s->receive || p.running == s || p.listened == s || p.pinned == s)
				s = NULL;
			else
				p.hot[i] = NULL;
		}
	if (s) {
		p.aside_worker = w;
		p.aside = s;
	}
	spin_unlock(&p.lock, &lc_poller);
	return s;
}

/* Begin to use the source aside, which is then not removed; null: there is none. */
static struct poll_source *aside_use(void)
{
	struct poll_source *s = NULL;

	spin_lock(&p.lock, &lc_poller);
	if (p.aside && p.aside_worker == t_sched.worker)
		p.aside_used = s = p.aside;
	spin_unlock(&p.lock, &lc_poller);
	return s;
}

static void aside_used(void)
{
	spin_lock(&p.lock, &lc_poller);
	p.aside_used = NULL;
	spin_unlock(&p.lock, &lc_poller);
}

void poller_aside_end(struct worker *w)
{
	struct poll_source *s;

	if (likely(!poller_aside_is(w)))
		return;
	s = aside_use();
	spin_lock(&p.lock, &lc_poller);
	if (p.aside_worker == w)
		aside_clear();
	spin_unlock(&p.lock, &lc_poller);
	if (!s)
		return;
	(void)!poller_modify(s, EPOLLIN);
	aside_used();
}

bool poller_aside_is(const struct worker *w)
{
	return atomic_load_explicit(&p.aside_worker, memory_order_relaxed) == w;
}

void poller_aside_wake(const struct worker *w)
{
	if (atomic_load(&p.aside_worker) == w)
		aside_ring();
}

bool poller_aside_wait(bool block)
{
	struct poll_source *s = aside_use();
	UNINIT struct poll_event event;
	struct pollfd fd[2];
	bool ret = false;
	u64 count;

	if (!s)
		return false;
	fd[0] = (struct pollfd){ .fd = s->fd, .events = POLLIN };
	fd[1] = (struct pollfd){ .fd = p.aside_bell, .events = POLLIN };
	if (host_ppoll(fd, 2, block ? ASIDE_NS : 0) > 0) {
		ret = fd[0].revents & POLLIN || fd[1].revents;
		if (fd[1].revents)
			(void)!host_read(p.aside_bell, &count, sizeof(count));
		if (fd[0].revents & POLLIN && !s->receive(s, &event))
			s->handle(s, &event);
	}
	aside_used();
	return ret;
}

OWN_THREAD bool poller_serves(const struct poll_source *s)
{
	struct poll_source *aside = atomic_load_explicit(&p.aside, memory_order_relaxed);

	if (likely(!aside))
		return true;
	return (s == aside) == poller_aside_is(t_sched.worker);
}

void poller_poll(bool block)
{
	UNINIT struct epoll_event evs[POLL_BATCH];
	int n;

	n = poll_wait(evs, block);
	for (int i = 0; i < n; i++)
		poll_dispatch(evs[i].data.u64, evs[i].events);
	timers_run();
}

void poller_ring(void)
{
	u64 one = 1;
	ssize_t ret;

	do /* A wake-up must not be lost, not even to a test that fails host calls. */
		ret = host_write(p.doorbell, &one, sizeof(one));
	while (ret < 0 && ret != -EAGAIN && ret != -EBADF);
	listen_kick();
}

int poller_init(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u64 = KEY_DOORBELL };
	int ret;

	p.epfd = host_epoll_create();
	if (p.epfd < 0)
		return p.epfd;
	p.doorbell = host_eventfd(0, O_NONBLOCK);
	p.aside_bell = host_eventfd(0, O_NONBLOCK);
	ret = p.doorbell < 0 ? p.doorbell : host_epoll_ctl(p.epfd, EPOLL_CTL_ADD, p.doorbell, &ev);
	if (ret)
		poller_fini();
	return ret;
}

void poller_fini(void) NO_THREAD_SAFETY_ANALYSIS
{
	listen_fini();
	if (p.epfd >= 0)
		host_close(p.epfd);
	if (p.doorbell >= 0)
		host_close(p.doorbell);
	if (p.aside_bell >= 0)
		host_close(p.aside_bell);
	p.epfd = p.doorbell = p.aside_bell = -1;
	p.aside = NULL;
	p.aside_worker = NULL;
	p.aside_wanted = false;
	p.pair = 0;
	free(p.slots);
	p.slots = NULL;
	for (unsigned int i = 0; i < HOT_MAX; i++)
		p.hot[i] = NULL;
	p.last = NULL;
	p.streak = 0;
	p.slot_count = p.free = 0;
}
