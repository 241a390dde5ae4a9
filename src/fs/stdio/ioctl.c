/*
 * ioctls of inherited streams. Those that only look at or set up a terminal go to the host, by a
 * table that says which way the data go; the foreground process group is the guest's own affair.
 * All others are unknown here: ENOTTY.
 */

#include <asm/termbits.h>
#include <errno.h>
#include <asm/ioctls.h>
#include <string.h>

#include "fs/stdio/internal.h"
#include "host/host.h"
#include "sched/sched.h"

struct winsize_k {
	u16 row, col, xpixel, ypixel;
};

enum direction { TO_GUEST, FROM_GUEST, IN_REGISTER };

static const struct {
	u32 cmd;
	u8 direction;
	u8 size;
	bool tty_only;
	bool may_block; /* waits for output to drain */
} known[] = {
	{ TCGETS, TO_GUEST, sizeof(struct termios), true, false },
	{ TCSETS, FROM_GUEST, sizeof(struct termios), true, false },
	{ TCSETSW, FROM_GUEST, sizeof(struct termios), true, true },
	{ TCSETSF, FROM_GUEST, sizeof(struct termios), true, true },
	{ TCGETS2, TO_GUEST, sizeof(struct termios2), true, false },
	{ TCSETS2, FROM_GUEST, sizeof(struct termios2), true, false },
	{ TCSETSW2, FROM_GUEST, sizeof(struct termios2), true, true },
	{ TCSETSF2, FROM_GUEST, sizeof(struct termios2), true, true },
	{ TIOCGWINSZ, TO_GUEST, sizeof(struct winsize_k), true, false },
	{ TIOCSWINSZ, FROM_GUEST, sizeof(struct winsize_k), true, false },
	{ TCSBRK, IN_REGISTER, 0, true, true },
	{ TCFLSH, IN_REGISTER, 0, true, false },
	{ TIOCOUTQ, TO_GUEST, sizeof(int), true, false },
	{ FIONREAD, TO_GUEST, sizeof(int), false, false },
};

struct host_ioctl_call {
	int fd;
	u32 cmd;
	void *arg;
};

static long do_ioctl(void *arg)
{
	struct host_ioctl_call *c = arg;

	return host_ioctl(c->fd, c->cmd, c->arg);
}

static long pass_on(struct subject *s, struct stdio *io, size_t row, struct uaddr arg)
{
	char buf[64] = {};
	struct host_ioctl_call c = { .fd = stdio_fd(io), .cmd = known[row].cmd, .arg = buf };
	long ret;

	_Static_assert(sizeof(buf) >= sizeof(struct termios2), "room for every argument");
	if (known[row].direction == IN_REGISTER)
		c.arg = (void *)(uintptr_t)(u32)arg.v; // NOLINT(performance-no-int-to-ptr)
	else if (known[row].direction == FROM_GUEST && copy_in(s, buf, arg, known[row].size))
		return -EFAULT;
	ret = known[row].may_block ? pool_call(do_ioctl, &c) : do_ioctl(&c);
	if (ret >= 0 && known[row].direction == TO_GUEST && copy_out(s, arg, buf, known[row].size))
		return -EFAULT;
	return ret;
}

/* Job control proper comes with the guest's own terminals: here the group is only remembered. */
static long foreground_group(struct subject *s, struct stdio *io, u32 cmd, struct uaddr arg)
{
	u32 pgrp;

	if (io->kind != STDIO_TTY)
		return -ENOTTY;
	if (cmd == TIOCSPGRP) {
		if (load_in32(s, arg, &pgrp))
			return -EFAULT;
		if ((s32)pgrp < 0)
			return -EINVAL;
		spin_lock(&io->lock, &lc_fs);
		io->pgrp = pgrp;
		spin_unlock(&io->lock, &lc_fs);
		return 0;
	}
	spin_lock(&io->lock, &lc_fs);
	pgrp = io->pgrp ? io->pgrp : s->tgid;
	spin_unlock(&io->lock, &lc_fs);
	return copy_out(s, arg, &pgrp, sizeof(pgrp));
}

long stdio_ioctl(struct subject *s, struct stdio *io, u32 cmd, struct uaddr arg)
{
	if (cmd == TIOCGPGRP || cmd == TIOCSPGRP)
		return foreground_group(s, io, cmd, arg);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (known[i].cmd != cmd)
			continue;
		if (known[i].tty_only && io->kind != STDIO_TTY)
			return -ENOTTY;
		return pass_on(s, io, i, arg);
	}
	return -ENOTTY;
}
