/*
 * Reading and writing of both sides of a pseudo-terminal.
 *
 * One reader and one writer a side at a time: the next waits for its turn. Data go through a buffer
 * of the kernel's, since guest memory is not touched with the pair locked.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

#include "sched/fiber.h"
#include "sched/timer.h"
#include "tty/internal.h"

#define NS_PER_VTIME 100'000'000LL
#define PACKET_DATA 0 /* TIOCPKT_DATA */

enum turn { TURN_READ, TURN_WRITE };

static bool try_turn(struct tty *tty, enum tty_side side, enum turn turn)
{
	bool got;

	tty_lock(tty);
	got = !tty->turn[side][turn];
	tty->turn[side][turn] = true;
	tty_unlock(tty);
	return got;
}

static int begin_turn(struct tty *tty, enum tty_side side, enum turn turn, bool wait)
{
	if (try_turn(tty, side, turn))
		return 0;
	if (!wait)
		return -EAGAIN;
	return waitq_wait(&tty->waitq[side], TTY_WAKE_TURN, NO_DEADLINE, try_turn(tty, side, turn));
}

static void end_turn(struct tty *tty, enum tty_side side, enum turn turn)
{
	tty_lock(tty);
	tty->turn[side][turn] = false;
	tty_unlock(tty);
	waitq_wake(&tty->waitq[side], TTY_WAKE_TURN);
}

static bool may_block(const struct file *f)
{
	return !(__atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_NONBLOCK);
}

/* ---- reading ---- */

/* What one look at the pair gave a reader. */
struct taken {
	size_t count;
	bool complete; /* return what there is, be it nothing: a line, an end of file, a status */
};

/* A hang-up is an end of file, but who waits for input when the master is closed gets an error, as
 * in Linux. */
static struct taken take_slave(struct tty_file *tf, u8 *buf, size_t size, int *ret_err)
{
	struct tty *tty = tf->tty;
	struct taken t = {};

	tty_lock(tty);
	if (tty_file_hung_up(tf)) {
		t.complete = true;
		*ret_err = tty->master_closed ? -EIO : 0;
	} else {
		t.count = ldisc_read(&tty->ldisc, buf, size, &t.complete);
		tty_pump(tty);
	}
	tty_unlock(tty);
	return t;
}

/* In packet mode each read begins with a byte that says what it is: data, or a change of state. */
static struct taken take_master(struct tty_file *tf, u8 *buf, size_t size, int *ret_err)
{
	struct tty *tty = tf->tty;
	struct ldisc *l = &tty->ldisc;
	struct taken t = {};

	tty_lock(tty);
	if (tty_file_hung_up(tf)) {
		t.complete = true;
	} else if (l->packet && l->packet_status) {
		buf[0] = l->packet_status;
		l->packet_status = 0;
		t = (struct taken){ .count = 1, .complete = true };
	} else if (ring_count(&l->output) == 0) {
		*ret_err = tty->slave_closed ? -EIO : 0;
	} else if (l->packet) {
		buf[0] = PACKET_DATA;
		t.count = 1 + ldisc_take(l, buf + 1, size - 1);
	} else {
		t.count = ldisc_take(l, buf, size);
	}
	tty_unlock(tty);
	return t;
}

static bool may_take(struct tty_file *tf)
{
	struct tty *tty = tf->tty;
	bool ready;

	tty_lock(tty);
	if (tf->side == TTY_SLAVE)
		ready = ldisc_readable(&tty->ldisc, false);
	else
		ready = ring_count(&tty->ldisc.output) > 0 || tty->slave_closed ||
			(tty->ldisc.packet && tty->ldisc.packet_status);
	tty_unlock(tty);
	return ready || tty_file_hung_up(tf);
}

/* How long a read waits, for how much (termios(3), noncanonical mode). */
struct patience {
	size_t minimum; /* bytes; canonical mode: 0 */
	s64 between; /* ns that may pass between two bytes; 0: any time */
	s64 deadline;
	bool no_wait;
};

static struct patience patience_of(struct tty_file *tf)
{
	struct patience p = { .minimum = 1, .deadline = NO_DEADLINE };
	struct tty *tty = tf->tty;
	const u8 *cc = tty->ldisc.termios.c_cc;
	s64 time;

	if (tf->side == TTY_MASTER)
		return p;
	tty_lock(tty);
	time = cc[VTIME] * NS_PER_VTIME;
	if (tty->ldisc.termios.c_lflag & ICANON) {
		p.minimum = 0;
	} else if (cc[VMIN]) {
		p.minimum = cc[VMIN];
		p.between = time;
	} else {
		p.no_wait = time == 0;
		p.deadline = sched_now() + time;
	}
	tty_unlock(tty);
	return p;
}

/* Fill buf as the patience says. Bytes, or an error if there are none. */
static ssize_t read_patiently(struct tty_file *tf, const struct file *f, u8 *buf, size_t size)
{
	struct patience p = patience_of(tf);
	size_t done = 0;
	int err = 0;

	while (done < size && !err) {
		struct taken t = tf->side == TTY_SLAVE ?
					 take_slave(tf, buf + done, size - done, &err) :
					 take_master(tf, buf + done, size - done, &err);

		done += t.count;
		if (t.complete || err || (t.count && done >= p.minimum))
			break;
		if (t.count && p.between)
			p.deadline = sched_now() + p.between;
		if (t.count)
			continue;
		if (p.no_wait)
			break;
		if (!may_block(f))
			err = -EAGAIN;
		else
			err = waitq_wait(&tf->tty->waitq[tf->side], TTY_WAKE_READER, p.deadline,
					 may_take(tf));
	}
	if (err == -ETIMEDOUT)
		err = 0;
	return done ? (ssize_t)done : err;
}

ssize_t tty_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	struct tty_file *tf = tty_file_of(f);
	struct bounce b;
	ssize_t n;
	int err = 0;

	if (tty_file_hung_up(tf))
		return 0;
	if (tf->side == TTY_SLAVE && s && s->tid)
		err = ctty_check(task_of(s), &tf->tty->ctty, SIGTTIN);
	if (!err && to->left > 0)
		err = begin_turn(tf->tty, tf->side, TURN_READ, may_block(f));
	if (err || to->left == 0)
		return err;
	bounce_init(&b, to->left);
	n = read_patiently(tf, f, (u8 *)b.buf, (size_t)min(to->left, (u64)b.size));
	end_turn(tf->tty, tf->side, TURN_READ);
	if (n > 0)
		n = uio_copy_to(to, b.buf, (size_t)n);
	bounce_fini(&b);
	return n;
}

/* ---- writing ---- */

/* As much of buf as there is room for. -EIO: hung up. */
static ssize_t give(struct tty_file *tf, const u8 *buf, size_t size)
{
	struct tty *tty = tf->tty;
	ssize_t n = 0;

	tty_lock(tty);
	if (tty_file_hung_up(tf))
		n = -EIO;
	else if (tf->side == TTY_SLAVE)
		n = (ssize_t)ldisc_write(&tty->ldisc, buf, size);
	else if (!tty->master_stopped)
		n = (ssize_t)tty_receive(tty, buf, size);
	tty_unlock(tty);
	return n;
}

/*
 * As give, but wait for room. What is tried is the writing itself, each time that something has
 * changed: there may be room for a byte and not for what it becomes.
 */
static ssize_t give_waiting(struct tty_file *tf, const u8 *buf, size_t size)
{
	ssize_t n = 0;
	int err;

	err = waitq_wait(&tf->tty->waitq[tf->side], EPOLLOUT | EPOLLHUP, NO_DEADLINE,
			 n != 0 || (n = give(tf, buf, size)) != 0);
	return n ? n : err;
}

/* All of buf. *ret_done: how much was taken. */
static int give_all(struct tty_file *tf, const struct file *f, const u8 *buf, size_t size,
		    size_t *ret_done)
{
	ssize_t n;

	while (*ret_done < size) {
		n = give(tf, buf + *ret_done, size - *ret_done);
		if (n == 0 && !may_block(f))
			n = -EAGAIN;
		else if (n == 0)
			n = give_waiting(tf, buf + *ret_done, size - *ret_done);
		if (n < 0)
			return (int)n;
		*ret_done += (size_t)n;
	}
	return 0;
}

static ssize_t write_pieces(struct tty_file *tf, const struct file *f, struct uio *from)
{
	ssize_t n = 0, done = 0;
	struct bounce b;
	size_t given;
	int err = 0;

	bounce_init(&b, from->left);
	while (from->left > 0 && !err) {
		n = uio_copy_from(from, b.buf, (size_t)min(from->left, (u64)b.size));
		if (n <= 0)
			break;
		given = 0;
		err = give_all(tf, f, (const u8 *)b.buf, (size_t)n, &given);
		done += (ssize_t)given;
		if (given < (size_t)n)
			uio_revert(from, (size_t)n - given);
		if (!err && from->left > 0 && fiber_interrupted(fiber_current()))
			err = -EINTR;
	}
	bounce_fini(&b);
	if (!err && n < 0)
		err = (int)n;
	return done ? done : err;
}

ssize_t tty_write(struct subject *s, struct file *f, struct uio *from, s64 *pos)
{
	struct tty_file *tf = tty_file_of(f);
	struct tty *tty = tf->tty;
	ssize_t n;
	int err = 0;

	if (tty_file_hung_up(tf))
		return -EIO;
	if (tf->side == TTY_SLAVE && tty->ldisc.termios.c_lflag & TOSTOP && s && s->tid)
		err = ctty_check(task_of(s), &tty->ctty, SIGTTOU);
	if (!err)
		err = begin_turn(tty, tf->side, TURN_WRITE, may_block(f));
	if (err)
		return err;
	n = write_pieces(tf, f, from);
	end_turn(tty, tf->side, TURN_WRITE);
	return n;
}
