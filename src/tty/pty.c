/*
 * Pseudo-terminal pairs: life, locking, hang-up (pty(7)).
 *
 * The pair is one object with one lock (lc_tty). Its slave has the line discipline; the master is
 * the other end of the line: what is written there is received by the discipline, what the
 * discipline puts out is read there. When the discipline has no room, up to PTY_BACKLOG_SIZE bytes
 * wait in a backlog.
 *
 * Every change under the lock leaves its mark in ldisc.events; tty_unlock publishes from the state
 * what poll(2) shall say of each side, which it reads without the lock, and wakes waiters.
 *
 * Hang-up does not touch files: each remembers the side's count of hang-ups when it was opened. The
 * master's close hangs up the slave for ever, and takes its name away; a last close of the slave is
 * seen at the master until the slave is opened again.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/epoll.h>
#include <sys/sysmacros.h>

#include "arena/slab.h"
#include "base/strbuf.h"
#include "tty/internal.h"

SLAB_CLASS(tty, struct tty, TRANSIENT(struct tty, lock.owner));
SLAB_CLASS(tty_file, struct tty_file);

#define READY_IN (EPOLLIN | EPOLLRDNORM)
#define READY_OUT (EPOLLOUT | EPOLLWRNORM)

int tty_create(struct devpts *fs, struct tty **ret)
{
	struct tty *tty = slab_alloc(&slab_tty);

	if (!tty)
		return -ENOMEM;
	if (ldisc_init(&tty->ldisc)) {
		slab_free(&slab_tty, tty);
		return -ENOMEM;
	}
	if (ring_init(&tty->backlog, PTY_BACKLOG_SIZE)) {
		ldisc_fini(&tty->ldisc);
		slab_free(&slab_tty, tty);
		return -ENOMEM;
	}
	refcount_init(&tty->refs, 1);
	mutex_init(&tty->lock);
	waitq_init(&tty->waitq[TTY_MASTER]);
	waitq_init(&tty->waitq[TTY_SLAVE]);
	tty->fs = fs;
	super_get(fs->sb);
	tty->locked = true;
	tty->ready[TTY_MASTER] = tty->ready[TTY_SLAVE] = READY_OUT;
	atomic_fetch_add(&kernel_get()->pty_count, 1);
	*ret = tty;
	return 0;
}

void tty_get(struct tty *tty)
{
	refcount_get(&tty->refs);
}

void tty_put(struct tty *tty)
{
	struct super *sb;

	if (!tty || !refcount_put(&tty->refs))
		return;
	sb = tty->fs->sb;
	ldisc_fini(&tty->ldisc);
	ring_fini(&tty->backlog);
	slab_free(&slab_tty, tty);
	atomic_fetch_sub(&kernel_get()->pty_count, 1);
	super_put(sb);
}

/* ---- locking, and who is to know ---- */

void tty_lock(struct tty *tty)
{
	mutex_lock(&tty->lock, &lc_tty);
}

static u32 master_ready(const struct tty *tty)
{
	const struct ldisc *l = &tty->ldisc;
	u32 ready = 0;

	if (ring_count(&l->output) > 0)
		ready |= READY_IN;
	if (l->packet && l->packet_status)
		ready |= READY_IN | EPOLLPRI;
	if (tty->slave_closed)
		ready |= EPOLLHUP;
	if (!tty->master_stopped && ring_room(&tty->backlog) > 0)
		ready |= READY_OUT;
	return ready;
}

static u32 slave_ready(const struct tty *tty)
{
	u32 ready = 0;

	if (ldisc_readable(&tty->ldisc, true))
		ready |= READY_IN;
	if (tty->master_closed)
		ready |= EPOLLHUP;
	if (ldisc_can_write(&tty->ldisc))
		ready |= READY_OUT;
	return ready;
}

static void publish(struct tty *tty, enum tty_side side, u32 ready, u32 happened)
{
	u32 before = atomic_exchange(&tty->ready[side], ready);
	u32 events = (ready & ~before) | (ready & happened) | (happened & TTY_WAKE_READER);

	if (events)
		waitq_wake_all(&tty->waitq[side], events);
}

void tty_unlock(struct tty *tty)
{
	u32 events = tty->ldisc.events;

	tty->ldisc.events = 0;
	publish(tty, TTY_MASTER, master_ready(tty),
		(events & LDISC_OUTPUT ? TTY_WAKE_READER | READY_IN | EPOLLPRI : 0) |
			(events & LDISC_INPUT_ROOM ? READY_OUT : 0));
	publish(tty, TTY_SLAVE, slave_ready(tty),
		(events & LDISC_INPUT ? TTY_WAKE_READER | READY_IN : 0) |
			(events & LDISC_OUTPUT_ROOM ? READY_OUT : 0));
	mutex_unlock(&tty->lock, &lc_tty);
}

/* ---- bytes from the line ---- */

/* Feed the discipline; between two signals the foreground group may change. */
static size_t feed(struct tty *tty, const u8 *data, size_t size) REQUIRES(lc_tty)
{
	size_t done = 0, n;
	int sig;

	do {
		n = ldisc_receive(&tty->ldisc, data + done, size - done, &sig);
		done += n;
		if (sig)
			ctty_signal(&tty->ctty, sig);
	} while (done < size && n > 0);
	return done;
}

void tty_pump(struct tty *tty)
{
	const u8 *from;
	size_t size, n;

	while ((size = ring_peek(&tty->backlog, &from)) > 0) {
		n = feed(tty, from, size);
		if (n == 0)
			return;
		ring_skip(&tty->backlog, n);
		tty->ldisc.events |= LDISC_INPUT_ROOM;
	}
}

size_t tty_receive(struct tty *tty, const u8 *data, size_t size)
{
	size_t done = 0;

	tty_pump(tty);
	if (ring_count(&tty->backlog) == 0)
		done = feed(tty, data, size);
	return done + ring_put(&tty->backlog, data + done, size - done);
}

/* ---- open files ---- */

bool tty_file_hung_up(const struct tty_file *tf)
{
	return tf->hangups != atomic_load(&tf->tty->hangups[tf->side]);
}

int tty_file_attach(struct tty *tty, enum tty_side side, struct file *f)
{
	struct tty_file *tf = slab_alloc(&slab_tty_file);

	if (!tf)
		return -ENOMEM;
	tty_get(tty);
	tf->tty = tty;
	tf->side = side;
	tf->hangups = atomic_load(&tty->hangups[side]);
	f->private = tf;
	f->ops = OPS(tty_file_ops);
	f->stream = true;
	return 0;
}

int tty_open_slave(struct subject *s, struct tty *tty, struct file *f, bool noctty)
{
	int err = 0;

	tty_lock(tty);
	if (tty->exclusive[TTY_SLAVE] && !subject_capable(s, CAP_SYS_ADMIN))
		err = -EBUSY;
	else if (tty->master_closed || tty->locked)
		err = -EIO;
	else
		err = tty_file_attach(tty, TTY_SLAVE, f);
	if (!err) {
		tty->slave_count++;
		tty->slave_closed = false;
	}
	tty_unlock(tty);
	/* Who may only write shall not have it as controlling terminal. */
	if (!err && !noctty && f->readable && s && s->tid)
		ctty_open(task_of(s), &tty->ctty);
	return err;
}

static void close_slave(struct tty *tty)
{
	tty_lock(tty);
	if (--tty->slave_count == 0) {
		tty->slave_closed = true;
		tty->ldisc.events |= LDISC_OUTPUT;
	}
	tty_unlock(tty);
}

static void tty_release(struct file *f)
{
	struct tty_file *tf = tty_file_of(f);
	struct tty *tty;

	if (!tf)
		return;
	tty = tf->tty;
	if (tf->side == TTY_MASTER)
		tty_close_master(tty);
	else
		close_slave(tty);
	slab_free(&slab_tty_file, tf);
	tty_put(tty);
}

/* ---- hang-up ---- */

void tty_hangup(struct tty *tty, enum tty_side side)
{
	bool dead;

	tty_lock(tty);
	dead = tty->master_closed;
	atomic_fetch_add(&tty->hangups[side], 1);
	if (side == TTY_SLAVE) {
		ldisc_reset(&tty->ldisc);
		tty->backlog.tail = tty->backlog.head;
		tty->ldisc.packet_status = 0;
	}
	tty_unlock(tty);
	if (side == TTY_SLAVE)
		ctty_hangup(&tty->ctty, dead);
	waitq_wake_all(&tty->waitq[side],
		       TTY_WAKE_READER | READY_IN | READY_OUT | EPOLLHUP | EPOLLERR);
}

void tty_close_master(struct tty *tty)
{
	tty_lock(tty);
	tty->master_closed = true;
	tty_unlock(tty);
	devpts_remove(tty);
	tty_hangup(tty, TTY_SLAVE);
}

void tty_resize(struct tty *tty, const struct winsize_k *size)
{
	tty_lock(tty);
	if (memcmp(size, &tty->winsize, sizeof(*size)) != 0) {
		tty->winsize = *size;
		ctty_signal(&tty->ctty, SIGWINCH);
	}
	tty_unlock(tty);
}

/* ---- file ops ---- */

static u32 tty_poll(struct file *f)
{
	struct tty_file *tf = tty_file_of(f);

	if (tty_file_hung_up(tf))
		return READY_IN | READY_OUT | EPOLLHUP | EPOLLERR;
	return atomic_load(&tf->tty->ready[tf->side]);
}

static struct waitq *tty_waitq(struct file *f)
{
	struct tty_file *tf = tty_file_of(f);

	return &tf->tty->waitq[tf->side];
}

static void tty_show_fdinfo(struct file *f, struct strbuf *out)
{
	struct tty_file *tf = tty_file_of(f);

	if (tf->side == TTY_MASTER)
		strbuf_printf(out, "tty-index:\t%u\n", tf->tty->index);
}

DEFINE_OPS(struct file_ops, tty_file_ops) = {
	.read = tty_read,
	.write = tty_write,
	.ioctl = tty_ioctl,
	.poll = tty_poll,
	.waitq = tty_waitq,
	.release = tty_release,
	.show_fdinfo = tty_show_fdinfo,
};
