/*
 * ioctls of both sides of a pseudo-terminal (ioctl_tty(2)): those of the pair, of job control, and
 * the rest; those of the termios are in modes.c. On the master most concern the slave.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/tty.h>
#include <signal.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "cred/cred.h"
#include "tty/internal.h"
#include "vfs/fdtable.h"
#include "vfs/path.h"

#define FD_FLAGS_OF_OPEN(flags) ((flags)&O_CLOEXEC ? FD_CLOEXEC_FLAG : 0)

struct call {
	struct subject *s;
	struct file *f;
	struct tty_file *tf;
	struct tty *tty;
	u64 arg;
};

static long give_int(struct call *c, u32 value)
{
	return copy_out(c->s, UADDR(c->arg), &value, sizeof(value));
}

static long take_int(struct call *c, u32 *ret)
{
	return copy_in(c->s, ret, UADDR(c->arg), sizeof(*ret));
}

/* The background may not. The master is nobody's controlling terminal. */
static int check_change(struct call *c)
{
	if (c->tf->side == TTY_MASTER)
		return 0;
	return ctty_check(task_of(c->s), &c->tty->ctty, SIGTTOU);
}

/* ---- the pair, from the master ---- */

/* TIOCSPTLCK, TIOCPKT. */
static long set_switch(struct call *c, u32 cmd)
{
	struct ldisc *l = &c->tty->ldisc;
	u32 on;

	if (take_int(c, &on))
		return -EFAULT;
	tty_lock(c->tty);
	if (cmd == TIOCSPTLCK) {
		c->tty->locked = on;
	} else {
		if (on && !l->packet)
			l->packet_status = 0;
		l->packet = on;
	}
	tty_unlock(c->tty);
	return 0;
}

static long send_signal(struct call *c)
{
	int sig = (int)c->arg;

	if (sig != SIGINT && sig != SIGQUIT && sig != SIGTSTP)
		return -EINVAL;
	ctty_signal(&c->tty->ctty, sig);
	return 0;
}

/* The directory of the instance that the master was opened in. */
static int devpts_dir(struct call *c, struct path *ret)
{
	struct path dir;
	int err = 0;

	path_parent(&c->f->path, &dir);
	if (devpts_of(dir.mnt ? dir.mnt->sb : NULL) != c->tty->fs) {
		err = path_lookup_one(c->s, &dir, "pts", ret);
		path_put(&dir);
		if (!err && devpts_of(ret->mnt->sb) != c->tty->fs) {
			path_put(ret);
			err = -ENODEV;
		}
		return err;
	}
	*ret = dir;
	return 0;
}

/* TIOCGPTPEER: a descriptor of the slave, whatever is mounted where. */
static long open_peer(struct call *c)
{
	u32 flags = (u32)c->arg;
	struct path dir, slave;
	struct file *f;
	char name[12];
	long ret;

	ret = devpts_dir(c, &dir);
	if (ret)
		return ret;
	snprintf(name, sizeof(name), "%u", c->tty->index);
	ret = path_lookup_one(c->s, &dir, name, &slave);
	path_put(&dir);
	if (ret)
		return ret;
	ret = vfs_open_path(c->s, &slave, flags, &f);
	path_put(&slave);
	if (ret)
		return ret;
	ret = fd_install(c->s, f, 0, FD_FLAGS_OF_OPEN(flags));
	file_put(f);
	return ret;
}

static long master_ioctl(struct call *c, u32 cmd)
{
	switch (cmd) {
	case TIOCSPTLCK:
	case TIOCPKT:
		return set_switch(c, cmd);
	case TIOCGPTLCK:
		return give_int(c, c->tty->locked);
	case TIOCGPKT:
		return give_int(c, c->tty->ldisc.packet);
	case TIOCGPTN:
		return give_int(c, c->tty->index);
	case TIOCSIG:
		return send_signal(c);
	default:
		return -ENOTTY;
	}
}

/* ---- job control ---- */

static long get_group(struct call *c)
{
	u32 pgid;
	int err = ctty_get_pgrp(task_of(c->s), &c->tty->ctty, c->tf->side == TTY_MASTER, &pgid);

	return err ? err : give_int(c, pgid);
}

static long get_session(struct call *c)
{
	u32 sid;
	int err = ctty_get_session(task_of(c->s), &c->tty->ctty, c->tf->side == TTY_MASTER, &sid);

	return err ? err : give_int(c, sid);
}

static long set_group(struct call *c)
{
	int err = ctty_check(task_of(c->s), &c->tty->ctty, SIGTTOU);
	u32 pgid;

	if (err)
		return err == -EIO ? -ENOTTY : err;
	if (take_int(c, &pgid))
		return -EFAULT;
	if ((s32)pgid < 0)
		return -EINVAL;
	return ctty_set_pgrp(task_of(c->s), &c->tty->ctty, pgid);
}

static long job_ioctl(struct call *c, u32 cmd)
{
	struct task *t = task_of(c->s);

	switch (cmd) {
	case TIOCNOTTY:
		return c->tf->side == TTY_MASTER ? -ENOTTY : ctty_release(t, &c->tty->ctty);
	case TIOCSCTTY:
		return ctty_acquire(t, &c->tty->ctty, c->arg == 1, c->f->readable);
	case TIOCGPGRP:
		return get_group(c);
	case TIOCSPGRP:
		return set_group(c);
	case TIOCGSID:
		return get_session(c);
	default:
		return -ENOTTY;
	}
}

/* ---- flow and flushing ---- */

static long flow(struct call *c)
{
	struct tty *tty = c->tty;
	const u8 *cc = tty->ldisc.termios.c_cc;
	bool master = c->tf->side == TTY_MASTER;
	u8 key;
	int err = check_change(c);

	if (err)
		return err;
	if (c->arg > TCION)
		return -EINVAL;
	tty_lock(tty);
	if (c->arg == TCOOFF || c->arg == TCOON) {
		if (master)
			tty->master_stopped = c->arg == TCOOFF;
		else
			ldisc_suspend_output(&tty->ldisc, c->arg == TCOOFF);
	} else {
		if (master)
			cc = ldisc_default_termios.c_cc;
		key = cc[c->arg == TCIOFF ? VSTOP : VSTART];
		if (key && master)
			(void)tty_receive(tty, &key, 1);
		else if (key)
			ldisc_send_now(&tty->ldisc, key);
	}
	tty_unlock(tty);
	return 0;
}

/* What a side has to read; and what it has written that the other has not taken. */
static void flush(struct call *c, bool input, bool output)
{
	bool master = c->tf->side == TTY_MASTER;
	struct tty *tty = c->tty;
	struct ldisc *l = &tty->ldisc;

	tty_lock(tty);
	if (input && master) {
		ring_skip(&l->output, ring_count(&l->output));
		l->events |= LDISC_OUTPUT_ROOM;
	} else if (input) {
		ldisc_flush_input(l);
	}
	if (output && !master)
		ldisc_flush_output(l);
	if (master ? output : input) {
		ring_skip(&tty->backlog, ring_count(&tty->backlog));
		l->events |= LDISC_INPUT_ROOM;
	}
	tty_unlock(tty);
}

static long flush_queues(struct call *c)
{
	int err = check_change(c);

	if (err)
		return err;
	if (c->arg > TCIOFLUSH)
		return -EINVAL;
	flush(c, c->arg != TCOFLUSH, c->arg != TCIFLUSH);
	return 0;
}

static long input_count(struct call *c)
{
	u32 count;

	tty_lock(c->tty);
	if (c->tf->side == TTY_MASTER)
		count = ring_count(&c->tty->ldisc.output);
	else
		count = ldisc_input_count(&c->tty->ldisc);
	tty_unlock(c->tty);
	return give_int(c, count);
}

/* ---- the rest ---- */

static long push_byte(struct call *c)
{
	bool own;
	u8 byte;
	int sig;

	tasks_lock();
	own = c->tf->side == TTY_SLAVE && task_of(c->s)->tg->tty == &c->tty->ctty;
	tasks_unlock();
	if (!own && !subject_capable(c->s, CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_in(c->s, &byte, UADDR(c->arg), 1))
		return -EFAULT;
	tty_lock(c->tty);
	if (c->tf->side == TTY_MASTER) {
		ldisc_send_now(&c->tty->ldisc, byte);
	} else {
		(void)!ldisc_receive(&c->tty->ldisc, &byte, 1, &sig);
		if (sig)
			ctty_signal(&c->tty->ctty, sig);
	}
	tty_unlock(c->tty);
	return 0;
}

static long window_size(struct call *c, bool set)
{
	struct winsize_k size;

	if (set) {
		if (copy_in(c->s, &size, UADDR(c->arg), sizeof(size)))
			return -EFAULT;
		tty_resize(c->tty, &size);
		return 0;
	}
	tty_lock(c->tty);
	size = c->tty->winsize;
	tty_unlock(c->tty);
	return copy_out(c->s, UADDR(c->arg), &size, sizeof(size));
}

static long set_exclusive(struct call *c, bool on)
{
	tty_lock(c->tty);
	c->tty->exclusive[c->tf->side] = on;
	tty_unlock(c->tty);
	return 0;
}

static long hang_up(struct call *c)
{
	if (!subject_capable(c->s, CAP_SYS_ADMIN))
		return -EPERM;
	tty_hangup(c->tty, c->tf->side);
	return 0;
}

/* There is one discipline. */
static long set_discipline(struct call *c)
{
	int err = check_change(c);
	u32 number;

	if (err)
		return err;
	if (take_int(c, &number))
		return -EFAULT;
	return number == N_TTY ? 0 : -EINVAL;
}

/* Kernel messages would go there; this kernel has none to tell its guest. */
static long take_console(struct call *c)
{
	if (c->tf->side == TTY_MASTER)
		return -EINVAL;
	return subject_capable(c->s, CAP_SYS_ADMIN) ? 0 : -EPERM;
}

static u32 encode_dev(u64 dev)
{
	u32 minor = minor(dev);

	return (minor & 0xff) | major(dev) << 8 | (minor & ~0xffu) << 12;
}

static long misc_ioctl(struct call *c, u32 cmd)
{
	switch (cmd) {
	case TCXONC:
		return flow(c);
	case TCFLSH:
		return flush_queues(c);
	case TCSBRK:
	case TCSBRKP:
	case TIOCSBRK:
	case TIOCCBRK:
		return check_change(c);
	case TIOCOUTQ:
		return give_int(c, 0);
	case FIONREAD:
		return input_count(c);
	case TIOCSTI:
		return push_byte(c);
	case TIOCGWINSZ:
	case TIOCSWINSZ:
		return window_size(c, cmd == TIOCSWINSZ);
	case TIOCEXCL:
	case TIOCNXCL:
		return set_exclusive(c, cmd == TIOCEXCL);
	case TIOCGEXCL:
		return give_int(c, c->tty->exclusive[c->tf->side]);
	case TIOCVHANGUP:
		return hang_up(c);
	case TIOCGETD:
		return give_int(c, N_TTY);
	case TIOCSETD:
		return set_discipline(c);
	case TIOCCONS:
		return take_console(c);
	case TIOCGDEV:
		return give_int(c, encode_dev(c->tty->ctty.dev));
	case TIOCGPTPEER:
		return c->tf->side == TTY_MASTER ? open_peer(c) : -EIO;
	default:
		return -ENOTTY;
	}
}

long tty_ioctl(struct subject *s, struct file *f, u32 cmd, u64 arg)
{
	struct tty_file *tf = tty_file_of(f);
	struct call c = { .s = s, .f = f, .tf = tf, .tty = tf->tty, .arg = arg };
	long ret = -ENOTTY;

	if (tty_file_hung_up(tf))
		return cmd == TIOCSPGRP ? -ENOTTY : -EIO;
	if (tf->side == TTY_MASTER)
		ret = master_ioctl(&c, cmd);
	if (ret == -ENOTTY)
		ret = tty_mode_ioctl(s, c.tty, cmd, UADDR(arg));
	if (ret == -ENOTTY)
		ret = misc_ioctl(&c, cmd);
	if (ret == -ENOTTY)
		ret = job_ioctl(&c, cmd);
	return ret;
}
