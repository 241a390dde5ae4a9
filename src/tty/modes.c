/* ioctls that look at or set the termios (ioctl_tty(2)): those of termios, termios2 and termio. */

#include <asm/termios.h>
#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include "tty/internal.h"

/* Speeds by the bits of c_cflag. */
static const struct {
	u32 bits, speed;
} bauds[] = {
	{ B0, 0 },
	{ B50, 50 },
	{ B75, 75 },
	{ B110, 110 },
	{ B134, 134 },
	{ B150, 150 },
	{ B200, 200 },
	{ B300, 300 },
	{ B600, 600 },
	{ B1200, 1200 },
	{ B1800, 1800 },
	{ B2400, 2400 },
	{ B4800, 4800 },
	{ B9600, 9600 },
	{ B19200, 19200 },
	{ B38400, 38400 },
	{ B57600, 57600 },
	{ B115200, 115200 },
	{ B230400, 230400 },
	{ B460800, 460800 },
	{ B500000, 500000 },
	{ B576000, 576000 },
	{ B921600, 921600 },
	{ B1000000, 1000000 },
	{ B1152000, 1152000 },
	{ B1500000, 1500000 },
	{ B2000000, 2000000 },
	{ B2500000, 2500000 },
	{ B3000000, 3000000 },
	{ B3500000, 3500000 },
	{ B4000000, 4000000 },
};

static u32 baud_of(u32 bits, u32 other)
{
	if (bits == BOTHER)
		return other;
	for (size_t i = 0; i < ARRAY_SIZE(bauds); i++)
		if (bauds[i].bits == bits)
			return bauds[i].speed;
	return 0;
}

void termios_fill_speeds(struct termios2 *t)
{
	u32 in = t->c_cflag >> IBSHIFT & CBAUD, out = t->c_cflag & CBAUD;

	t->c_ospeed = baud_of(out, t->c_ospeed);
	t->c_ispeed = in == B0 ? t->c_ospeed : baud_of(in, t->c_ispeed);
}

/* ---- the three layouts ---- */

enum layout { TERMIO, TERMIOS, TERMIOS2 };

static const struct {
	u32 cmd;
	enum layout layout;
	bool drain, flush; /* wait for output first; discard input */
} setters[] = {
	{ TCSETS, TERMIOS, false, false },   { TCSETSW, TERMIOS, true, false },
	{ TCSETSF, TERMIOS, true, true },    { TCSETS2, TERMIOS2, false, false },
	{ TCSETSW2, TERMIOS2, true, false }, { TCSETSF2, TERMIOS2, true, true },
	{ TCSETA, TERMIO, false, false },    { TCSETAW, TERMIO, true, false },
	{ TCSETAF, TERMIO, true, true },
};

/* struct termios is the beginning of struct termios2. */
static int fetch_termio(struct subject *s, struct uaddr arg, struct termios2 *t)
{
	struct termio old;

	if (copy_in(s, &old, arg, sizeof(old)))
		return -EFAULT;
	t->c_iflag = (t->c_iflag & 0xffff'0000) | old.c_iflag;
	t->c_oflag = (t->c_oflag & 0xffff'0000) | old.c_oflag;
	t->c_cflag = (t->c_cflag & 0xffff'0000) | old.c_cflag;
	t->c_lflag = (t->c_lflag & 0xffff'0000) | old.c_lflag;
	t->c_line = old.c_line;
	memcpy(t->c_cc, old.c_cc, sizeof(old.c_cc));
	return 0;
}

static int store_termio(struct subject *s, struct uaddr arg, const struct termios2 *t)
{
	struct termio old = {
		.c_iflag = (u16)t->c_iflag,
		.c_oflag = (u16)t->c_oflag,
		.c_cflag = (u16)t->c_cflag,
		.c_lflag = (u16)t->c_lflag,
		.c_line = t->c_line,
	};

	memcpy(old.c_cc, t->c_cc, sizeof(old.c_cc));
	return copy_out(s, arg, &old, sizeof(old));
}

static struct termios2 current_termios(struct tty *tty, bool locked)
{
	struct termios2 t;

	tty_lock(tty);
	t = locked ? tty->ldisc.locked : tty->ldisc.termios;
	tty_unlock(tty);
	return t;
}

/* A pty has no output of its own that could still be on its way, so there is nothing to wait for.
 */
static long set_termios(struct subject *s, struct tty *tty, size_t row, struct uaddr arg)
{
	struct termios2 t;
	int err = ctty_check(task_of(s), &tty->ctty, SIGTTOU);

	if (err)
		return err;
	t = current_termios(tty, false);
	if (setters[row].layout == TERMIO)
		err = fetch_termio(s, arg, &t);
	else
		err = copy_in(s, &t, arg,
			      setters[row].layout == TERMIOS2 ? sizeof(t) : sizeof(struct termios));
	if (err)
		return err;
	termios_fill_speeds(&t);
	tty_lock(tty);
	if (setters[row].flush)
		ldisc_flush_input(&tty->ldisc);
	ldisc_set_termios(&tty->ldisc, &t);
	tty_pump(tty);
	tty_unlock(tty);
	return 0;
}

static long set_locked(struct subject *s, struct tty *tty, struct uaddr arg)
{
	struct termios2 t = current_termios(tty, true);

	if (!subject_capable(s, CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_in(s, &t, arg, sizeof(struct termios)))
		return -EFAULT;
	tty_lock(tty);
	tty->ldisc.locked = t;
	tty_unlock(tty);
	return 0;
}

static long set_soft_carrier(struct subject *s, struct tty *tty, struct uaddr arg)
{
	struct termios2 t;
	u32 on;

	if (copy_in(s, &on, arg, sizeof(on)))
		return -EFAULT;
	tty_lock(tty);
	t = tty->ldisc.termios;
	t.c_cflag = on ? t.c_cflag | CLOCAL : t.c_cflag & ~(u32)CLOCAL;
	ldisc_set_termios(&tty->ldisc, &t);
	tty_unlock(tty);
	return 0;
}

long tty_mode_ioctl(struct subject *s, struct tty *tty, u32 cmd, struct uaddr arg)
{
	struct termios2 t;
	u32 value;

	for (size_t i = 0; i < ARRAY_SIZE(setters); i++)
		if (setters[i].cmd == cmd)
			return set_termios(s, tty, i, arg);
	switch (cmd) {
	case TCGETS:
	case TCGETS2:
		t = current_termios(tty, false);
		return copy_out(s, arg, &t, cmd == TCGETS2 ? sizeof(t) : sizeof(struct termios));
	case TCGETA:
		t = current_termios(tty, false);
		return store_termio(s, arg, &t);
	case TIOCGLCKTRMIOS:
		t = current_termios(tty, true);
		return copy_out(s, arg, &t, sizeof(struct termios));
	case TIOCSLCKTRMIOS:
		return set_locked(s, tty, arg);
	case TIOCGSOFTCAR:
		t = current_termios(tty, false);
		value = t.c_cflag & CLOCAL ? 1 : 0;
		return copy_out(s, arg, &value, sizeof(value));
	case TIOCSSOFTCAR:
		return set_soft_carrier(s, tty, arg);
	default:
		return -ENOTTY;
	}
}
