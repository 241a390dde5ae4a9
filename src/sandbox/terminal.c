/*
 * Carrying bytes between the caller's terminal and the kernel process.
 *
 * The caller's terminal is put in raw mode only while this process is in its foreground group, and
 * is given back as it was whenever it stops or ends. It is opened anew if that can be done, so that
 * it can be nonblocking without any other process noticing. In the background the guest's output is
 * still carried; whether we are in the foreground again is then looked at a few times a second,
 * since a shell's "fg" of a job that runs gives no sign.
 */

#include "sandbox/terminal.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/host.h"

#define BACKGROUND_LOOK_MS 250

_Static_assert(sizeof(struct termios2) == sizeof(((struct terminal *)0)->saved), "termios2");

static bool is_terminal(int fd, struct termios2 *ret)
{
	return host_ioctl(fd, TCGETS2, ret) == 0;
}

/* Stop carrying to the guest: the kernel process then hangs its terminal up. */
static void hang_up(struct terminal *t)
{
	if (!t->hung_up)
		host_call(SYS_shutdown, t->line, SHUT_WR, 0, 0, 0, 0);
	t->to_guest.size = t->to_guest.done = 0;
	t->hung_up = true;
	t->raw = false;
}

static bool same_device(int a, int b)
{
	struct stat st_a, st_b;

	return !host_fstat(a, &st_a) && !host_fstat(b, &st_b) && st_a.st_rdev == st_b.st_rdev;
}

/* Without job control (no controlling terminal) we count as in front. */
static bool in_foreground(const struct terminal *t)
{
	int pgrp;

	if (host_ioctl(t->in, TIOCGPGRP, &pgrp))
		return true;
	return pgrp == (int)host_call(SYS_getpgid, 0, 0, 0, 0, 0, 0);
}

static int make_line(struct terminal *t, struct terminal_config *config)
{
	int fds[2];
	long ret = host_call(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
			     (long)fds, 0, 0);

	if (ret)
		return (int)ret;
	t->line = fds[0];
	config->fd = fds[1];
	config->command_fd = fds[0];
	return 0;
}

int terminal_init(struct terminal *t, struct terminal_config *config)
{
	struct termios2 termios, other;
	int err;

	*t = (struct terminal){ .in = 0, .out = 1, .line = -1 };
	if (!is_terminal(0, &termios) || !is_terminal(1, &other) || !same_device(0, 1))
		return 0;
	err = make_line(t, config);
	if (err)
		return err;
	memcpy(t->saved, &termios, sizeof(termios));
	memcpy(config->termios, &termios, sizeof(termios));
	(void)!host_ioctl(0, TIOCGWINSZ, &config->size);
	config->present = true;
	config->streams[0] = config->streams[1] = true;
	config->streams[2] = is_terminal(2, &other) && same_device(0, 2);
	return 0;
}

void terminal_started(struct terminal *t, const struct terminal_config *config)
{
	int fd;

	if (!config->present)
		return;
	t->present = true;
	host_close(config->fd);
	fd = host_openat(AT_FDCWD, "/proc/self/fd/0", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC,
			 0);
	if (fd >= 0)
		t->in = t->out = fd;
	terminal_resume(t);
}

void terminal_resume(struct terminal *t)
{
	struct termios2 raw;

	if (!t->present || t->raw || t->hung_up)
		return;
	if (!is_terminal(t->in, &raw)) {
		hang_up(t);
		return;
	}
	if (!in_foreground(t))
		return;
	memcpy(t->saved, &raw, sizeof(raw));
	raw.c_iflag &= ~(u32)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON |
			      IXOFF | IXANY);
	raw.c_oflag &= ~(u32)OPOST;
	raw.c_lflag &= ~(u32)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	raw.c_cflag = (raw.c_cflag & ~(u32)(CSIZE | PARENB)) | CS8;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	t->raw = host_ioctl(t->in, TCSETSW2, &raw) == 0;
}

void terminal_restore(struct terminal *t)
{
	if (!t->raw)
		return;
	t->raw = false;
	/* Who has been put in the background has no terminal to give back. */
	if (in_foreground(t))
		(void)!host_ioctl(t->in, TCSETSW2, t->saved);
}

bool terminal_size(const struct terminal *t, struct terminal_size *ret)
{
	return t->present && !host_ioctl(t->in, TIOCGWINSZ, ret);
}

/* ---- carrying ---- */

static bool must_wait(ssize_t n)
{
	return n == -EAGAIN || n == -EINTR;
}

static void from_caller(struct terminal *t)
{
	ssize_t n = host_read(t->in, t->to_guest.data, sizeof(t->to_guest.data));

	if (n > 0) {
		t->to_guest.size = (size_t)n;
		t->to_guest.done = 0;
	} else if (n == -EIO && !in_foreground(t)) {
		t->raw = false;
	} else if (!must_wait(n)) {
		hang_up(t);
	}
}

static void into_guest(struct terminal *t)
{
	ssize_t n = host_write(t->line, t->to_guest.data + t->to_guest.done,
			       t->to_guest.size - t->to_guest.done);

	if (n > 0)
		t->to_guest.done += (size_t)n;
	else if (!must_wait(n))
		hang_up(t);
}

static void from_guest(struct terminal *t)
{
	ssize_t n = host_read(t->line, t->to_caller.data, sizeof(t->to_caller.data));

	if (n > 0) {
		t->to_caller.size = (size_t)n;
		t->to_caller.done = 0;
	} else if (!must_wait(n)) {
		t->line_closed = true;
	}
}

static void into_caller(struct terminal *t)
{
	ssize_t n = host_write(t->out, t->to_caller.data + t->to_caller.done,
			       t->to_caller.size - t->to_caller.done);

	if (n > 0)
		t->to_caller.done += (size_t)n;
	else if (!must_wait(n))
		t->to_caller.done = t->to_caller.size; /* nobody is there to see it */
}

static bool has_for_guest(const struct terminal *t)
{
	return t->to_guest.done < t->to_guest.size;
}

static bool has_for_caller(const struct terminal *t)
{
	return t->to_caller.done < t->to_caller.size;
}

int terminal_poll_begin(struct terminal *t, struct pollfd fds[TERMINAL_POLLS])
{
	for (int i = 0; i < TERMINAL_POLLS; i++)
		fds[i] = (struct pollfd){ .fd = -1 };
	if (!t->present)
		return -1;
	terminal_resume(t);
	if (t->raw && !has_for_guest(t))
		fds[0] = (struct pollfd){ .fd = t->in, .events = POLLIN };
	if (has_for_caller(t))
		fds[1] = (struct pollfd){ .fd = t->out, .events = POLLOUT };
	fds[2].fd = t->line;
	if (!has_for_caller(t) && !t->line_closed)
		fds[2].events |= POLLIN;
	if (has_for_guest(t))
		fds[2].events |= POLLOUT;
	if (!fds[2].events)
		fds[2].fd = -1;
	return t->raw || t->hung_up ? -1 : BACKGROUND_LOOK_MS;
}

void terminal_poll_end(struct terminal *t, const struct pollfd fds[TERMINAL_POLLS])
{
	if (fds[0].fd >= 0 && fds[0].revents)
		from_caller(t);
	if (fds[2].fd >= 0 && fds[2].revents && has_for_guest(t))
		into_guest(t);
	if (fds[2].fd >= 0 && fds[2].revents && !has_for_caller(t) && !t->line_closed)
		from_guest(t);
	if (has_for_caller(t) && (fds[1].fd < 0 || fds[1].revents))
		into_caller(t);
}

void terminal_drain(struct terminal *t, bool end)
{
	if (!t->present)
		return;
	while (has_for_caller(t) || !t->line_closed) {
		struct pollfd fd = { .fd = t->line, .events = POLLIN };

		if (has_for_caller(t))
			fd = (struct pollfd){ .fd = t->out, .events = POLLOUT };
		if (host_poll(&fd, 1, end || has_for_caller(t) ? -1 : 0) == 0)
			return;
		if (has_for_caller(t))
			into_caller(t);
		else
			from_guest(t);
	}
}
