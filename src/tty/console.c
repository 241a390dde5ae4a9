/*
 * The console: a pair whose line is a socket to the command, which has the caller's terminal. A
 * fiber of the kernel's own moves bytes both ways; it is the master's only user.
 *
 * Its state is the host's side of the sandbox, not the guest's: it is on the heap. When the line
 * closes (the terminal was hung up, the command is gone) the pair is hung up.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "host/host.h"
#include "sched/fiber.h"
#include "sched/sched.h"
#include "tty/internal.h"
#include "tty/tty.h"

struct console {
	struct spin lock; /* class lc_fs */
	struct tty *tty; /* owned: the master */
	struct poll_source line; /* its descriptor is the socket */
	struct fiber *fiber; /* [lock]: not touched any more once closed is set */
	bool open; /* [fiber] the line is */
	u8 out[4096]; /* [fiber] taken from the pair, not yet sent */
	size_t out_size, out_done; /* [fiber] */
	u8 in[4096]; /* [fiber] */
	_Atomic u64 new_size; /* [a] a struct console_size; to be set if size_changed */
	_Atomic bool size_changed; /* [a] */
	_Atomic u32 flush_wanted, flush_done; /* [a] numbers of flushes */
	_Atomic bool closing, closed; /* [a] */
	struct waitq waitq; /* flush_done or closed has changed */
};

static void line_ready(struct poll_source *source, u32 events)
{
	struct console *c = container_of(source, struct console, line);

	fiber_unpark(c->fiber);
}

static void wake(struct console *c)
{
	spin_lock(&c->lock, &lc_fs);
	if (!atomic_load(&c->closed))
		fiber_unpark(c->fiber);
	spin_unlock(&c->lock, &lc_fs);
}

static void set_size(struct console *c)
{
	u64 packed;
	struct winsize_k size;

	if (!atomic_exchange(&c->size_changed, false))
		return;
	packed = atomic_load(&c->new_size);
	_Static_assert(sizeof(size) == sizeof(packed), "a size fits in a word");
	memcpy(&size, &packed, sizeof(size));
	tty_resize(c->tty, &size);
}

/* Send what the guest has written. True if something moved. */
static bool send_output(struct console *c)
{
	ssize_t n;

	if (c->out_done == c->out_size) {
		tty_lock(c->tty);
		c->out_size = ldisc_take(&c->tty->ldisc, c->out, sizeof(c->out));
		tty_unlock(c->tty);
		c->out_done = 0;
	}
	if (c->out_size == 0)
		return false;
	n = host_write(c->line.fd, c->out + c->out_done, c->out_size - c->out_done);
	if (n > 0)
		c->out_done += (size_t)n;
	else if (n != -EAGAIN && n != -EINTR)
		c->open = false;
	return n > 0;
}

static size_t input_room(struct console *c)
{
	size_t room;

	tty_lock(c->tty);
	tty_pump(c->tty);
	room = ring_room(&c->tty->backlog);
	tty_unlock(c->tty);
	return min(room, sizeof(c->in));
}

static bool receive_input(struct console *c)
{
	size_t room = input_room(c);
	ssize_t n;

	if (room == 0)
		return false;
	n = host_read(c->line.fd, c->in, room);
	if (n > 0) {
		tty_lock(c->tty);
		(void)tty_receive(c->tty, c->in, (size_t)n);
		tty_unlock(c->tty);
	} else if (n != -EAGAIN && n != -EINTR) {
		c->open = false;
	}
	return n > 0;
}

static void relay(struct console *c)
{
	bool busy;
	u32 flush;

	while (c->open) {
		flush = atomic_load(&c->flush_wanted);
		set_size(c);
		busy = send_output(c);
		busy = receive_input(c) || busy;
		if (busy || !c->open)
			continue;
		if (c->out_done == c->out_size && atomic_load(&c->flush_done) != flush) {
			atomic_store(&c->flush_done, flush);
			waitq_wake_all(&c->waitq, ~0u);
		}
		if (atomic_load(&c->closing) && c->out_done == c->out_size)
			break;
		fiber_park(NO_DEADLINE);
	}
}

static void console_main(void *arg)
{
	struct console *c = arg;
	struct waiter w;

	waiter_init_fiber(&w, fiber_current());
	waitq_add(&c->tty->waitq[TTY_MASTER], &w, TTY_WAKE_READER | EPOLLOUT);
	relay(c);
	waitq_remove(&w);
	poller_remove(&c->line);
	host_close(c->line.fd);
	tty_close_master(c->tty);
	tty_put(c->tty);
	spin_lock(&c->lock, &lc_fs);
	atomic_store(&c->closed, true);
	spin_unlock(&c->lock, &lc_fs);
	waitq_wake_all(&c->waitq, ~0u);
}

static int start(struct console *c)
{
	int err;

	c->fiber = fiber_create(console_main, c);
	if (!c->fiber)
		return -ENOMEM;
	err = poller_add(&c->line, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	/* A fiber that has been created ends only by being run. */
	c->open = !err;
	if (!err)
		fiber_start(c->fiber);
	return err;
}

int console_create(struct subject *s, struct super *sb, int host_fd, const void *termios,
		   const struct console_size *size, struct console **ret)
{
	struct console *c = calloc(1, sizeof(*c));
	struct termios2 t;
	int err;

	if (!c)
		return -ENOMEM;
	c->line = (struct poll_source){ .fd = host_fd, .ready = line_ready };
	waitq_init(&c->waitq);
	spin_init(&c->lock);
	err = devpts_new_pty(s, devpts_of(sb), &c->tty);
	if (err) {
		free(c);
		return err;
	}
	memcpy(&t, termios, sizeof(t));
	tty_lock(c->tty);
	c->tty->locked = false;
	memcpy(&c->tty->winsize, size, sizeof(*size));
	ldisc_set_termios(&c->tty->ldisc, &t);
	tty_unlock(c->tty);
	err = start(c);
	if (err)
		return err;
	*ret = c;
	return 0;
}

struct ctty *console_ctty(struct console *c)
{
	return &c->tty->ctty;
}

u32 console_index(const struct console *c)
{
	return c->tty->index;
}

void console_resize(struct console *c, const struct console_size *size)
{
	u64 packed;

	memcpy(&packed, size, sizeof(packed));
	atomic_store(&c->new_size, packed);
	atomic_store(&c->size_changed, true);
	wake(c);
}

static void wait_for(struct console *c, bool (*done)(struct console *c))
{
	struct waiter w;

	waiter_init_fiber(&w, fiber_current());
	waitq_add(&c->waitq, &w, ~0u);
	wake(c);
	while (!atomic_load(&c->closed) && !done(c))
		fiber_park(NO_DEADLINE);
	waitq_remove(&w);
}

static bool is_flushed(struct console *c)
{
	return atomic_load(&c->flush_done) == atomic_load(&c->flush_wanted);
}

static bool is_closed(struct console *c)
{
	return atomic_load(&c->closed);
}

void console_flush(struct console *c)
{
	if (atomic_load(&c->closed))
		return;
	atomic_fetch_add(&c->flush_wanted, 1);
	wait_for(c, is_flushed);
}

void console_close(struct console *c)
{
	if (atomic_load(&c->closed))
		return;
	atomic_store(&c->closing, true);
	wait_for(c, is_closed);
}
