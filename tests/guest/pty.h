/*
 * Pseudo-terminals for guest tests.
 *
 * Linux moves bytes between the two sides in the background. A look at a side that has nothing to
 * read waits for what is on its way, so pty_drain reads until there is nothing.
 */
#pragma once

#include "tap.h"
#include <asm/termbits.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

struct pty {
	int master, slave;
	unsigned int number;
};

static inline int pty_open_slave(const struct pty *p, int flags)
{
	char path[32];
	snprintf(path, sizeof(path), "/dev/pts/%u", p->number);
	return open(path, flags);
}

static inline struct pty pty_open(void)
{
	struct pty p;
	int unlock = 0;
	p.master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	need(p.master >= 0);
	need(ioctl(p.master, TIOCSPTLCK, &unlock) == 0);
	need(ioctl(p.master, TIOCGPTN, &p.number) == 0);
	p.slave = pty_open_slave(&p, O_RDWR | O_NOCTTY);
	need(p.slave >= 0);
	return p;
}

static inline void pty_close(struct pty *p)
{
	close(p->slave);
	close(p->master);
}

static inline struct termios2 pty_get(int fd)
{
	struct termios2 t;
	need(ioctl(fd, TCGETS2, &t) == 0);
	return t;
}

static inline void pty_set(int fd, const struct termios2 *t)
{
	need(ioctl(fd, TCSETS2, t) == 0);
}

static inline void pty_raw(int fd)
{
	struct termios2 t = pty_get(fd);
	t.c_iflag = 0;
	t.c_oflag = 0;
	t.c_lflag = 0;
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	pty_set(fd, &t);
}

static inline void set_blocking(int fd, bool blocking)
{
	int flags = fcntl(fd, F_GETFL);
	need(fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) == 0);
}

/* A text that grows and is cut at its end. */
struct text {
	char data[4096];
	size_t size;
};

__attribute__((format(printf, 2, 3))) static inline void text_add(struct text *t,
								  const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(t->data + t->size, sizeof(t->data) - t->size, format, args);
	va_end(args);
	t->size += n;
	if (t->size >= sizeof(t->data))
		t->size = sizeof(t->data) - 1;
}

static inline void text_add_bytes(struct text *t, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = bytes[i];
		if (c > ' ' && c < 0x7f && c != '#')
			text_add(t, "%c", c);
		else
			text_add(t, "<%02x>", c);
	}
}

/* The text, or if it is long its beginning, size and hash. */
static inline const char *text_short(const struct text *t)
{
	static char out[2][128];
	static int turn;
	uint32_t hash = 2166136261u;
	char *buf = out[turn ^= 1];
	if (t->size < 90)
		return t->data;
	for (size_t i = 0; i < t->size; i++)
		hash = (hash ^ (unsigned char)t->data[i]) * 16777619u;
	snprintf(buf, sizeof(out[0]), "%.60s...%zu:%08x", t->data, t->size, hash);
	return buf;
}

/* Read fd until there is nothing. Lines: each read ends in a bar; else where reads end is chance.
 */
static inline void pty_drain(int fd, struct text *t)
{
	struct termios2 termios = pty_get(fd);
	bool lines = (termios.c_lflag & (ICANON | EXTPROC)) == ICANON &&
		     ioctl(fd, TIOCGPTN, &(int){ 0 }) < 0;
	char buf[8192];
	ssize_t n;
	int reads = 0;
	set_blocking(fd, false);
	while (reads++ < 1000 && (n = read(fd, buf, sizeof(buf))) >= 0) {
		text_add_bytes(t, buf, n);
		text_add(t, "%s", lines ? "|" : "");
	}
	if (errno != EAGAIN)
		text_add(t, "errno%d", errno);
	set_blocking(fd, true);
}

static inline void pty_feed(const struct pty *p, const char *bytes, size_t size)
{
	set_blocking(p->master, false);
	for (size_t done = 0; done < size;) {
		ssize_t n = write(p->master, bytes + done, size - done);
		if (n <= 0)
			break;
		done += n;
	}
	set_blocking(p->master, true);
}
