/*
 * The line discipline: what programs read, and what is echoed, for many settings and inputs. The
 * results are in the names of the checks, so that running natively says what is right.
 */
#include "pty.h"

struct setting {
	const char *name;
	unsigned int iflag_on, iflag_off, oflag_on, oflag_off, lflag_on, lflag_off;
	struct {
		unsigned char index, value;
	} cc[4];
};

static const struct setting settings[] = {
	{ .name = "default" },
	{ .name = "noecho", .lflag_off = ECHO },
	{ .name = "echonl", .lflag_on = ECHONL, .lflag_off = ECHO },
	{ .name = "noechoe", .lflag_off = ECHOE },
	{ .name = "noechok", .lflag_off = ECHOK },
	{ .name = "noechoke", .lflag_off = ECHOKE },
	{ .name = "noechoctl", .lflag_off = ECHOCTL },
	{ .name = "echoprt", .lflag_on = ECHOPRT },
	{ .name = "echoprt-noctl", .lflag_on = ECHOPRT, .lflag_off = ECHOCTL },
	{ .name = "noiexten", .lflag_off = IEXTEN },
	{ .name = "noisig", .lflag_off = ISIG },
	{ .name = "noflsh", .lflag_on = NOFLSH },
	{ .name = "noicanon", .lflag_off = ICANON },
	{ .name = "noicanon-noecho", .lflag_off = ICANON | ECHO },
	{ .name = "noicanon-noicrnl", .lflag_off = ICANON, .iflag_off = ICRNL },
	{ .name = "raw", .iflag_off = ~0u, .oflag_off = ~0u, .lflag_off = ~0u },
	{ .name = "raw-echo", .iflag_off = ~0u, .oflag_off = ~0u, .lflag_off = ~(unsigned)ECHO },
	{ .name = "noicrnl", .iflag_off = ICRNL },
	{ .name = "inlcr", .iflag_on = INLCR },
	{ .name = "inlcr-noicrnl", .iflag_on = INLCR, .iflag_off = ICRNL },
	{ .name = "igncr", .iflag_on = IGNCR },
	{ .name = "istrip", .iflag_on = ISTRIP },
	{ .name = "iuclc", .iflag_on = IUCLC },
	{ .name = "iutf8", .iflag_on = IUTF8 },
	{ .name = "iutf8-echoprt", .iflag_on = IUTF8, .lflag_on = ECHOPRT },
	{ .name = "parmrk", .iflag_on = PARMRK },
	{ .name = "parmrk-raw", .iflag_on = PARMRK, .lflag_off = ICANON | ECHO },
	{ .name = "noixon", .iflag_off = IXON },
	{ .name = "ixany", .iflag_on = IXANY },
	{ .name = "noopost", .oflag_off = OPOST },
	{ .name = "noonlcr", .oflag_off = ONLCR },
	{ .name = "xtabs", .oflag_on = XTABS },
	{ .name = "olcuc", .oflag_on = OLCUC },
	{ .name = "ocrnl", .oflag_on = OCRNL },
	{ .name = "onocr", .oflag_on = ONOCR, .oflag_off = ONLCR },
	{ .name = "onlret", .oflag_on = ONLRET, .oflag_off = ONLCR },
	{ .name = "onlret-ocrnl", .oflag_on = ONLRET | OCRNL | XTABS, .oflag_off = ONLCR },
	{ .name = "extproc", .lflag_on = EXTPROC },
	{ .name = "extproc-noicanon", .lflag_on = EXTPROC, .lflag_off = ICANON },
	{ .name = "eol", .cc = { { VEOL, 'x' }, { VEOL2, 'y' } } },
	{ .name = "eol-noiexten", .lflag_off = IEXTEN, .cc = { { VEOL, 'x' }, { VEOL2, 'y' } } },
	{ .name = "eol-ff", .iflag_on = PARMRK, .cc = { { VEOL, 0xff } } },
	{ .name = "disabled", .cc = { { VERASE, 0 }, { VINTR, 0 }, { VEOF, 0 }, { VKILL, 0 } } },
	{ .name = "other-keys",
	  .cc = { { VERASE, 'a' }, { VKILL, 'k' }, { VWERASE, 'w' }, { VLNEXT, 'l' } } },
	{ .name = "same-keys", .cc = { { VERASE, 'a' }, { VKILL, 'a' }, { VEOF, '\r' } } },
};

#define INPUT(text) \
	{ \
		text, sizeof(text) - 1 \
	}

static const struct {
	const char *bytes;
	size_t size;
} inputs[] = {
	INPUT("hello\n"),
	INPUT("a\rb\nc\r\n"),
	INPUT("abc\177\177d\n"),
	INPUT("\177\177x\n"),
	INPUT("some words here\027\027x\n"),
	INPUT("foo-bar_baz  \027\n"),
	INPUT("kill me\025again\n"),
	INPUT("a\025"),
	INPUT("tab\there\177\177\177\177\177\177x\n"),
	INPUT("\t\tq\177\177\177\n"),
	INPUT("\001\002\177\177\003x\n"),
	INPUT("a\001b\t\001c\177\177\177\177\177\177z\n"),
	INPUT("reprint\022 me\n"),
	INPUT("lit\026\003eral\026\n\026\177\026\026\n"),
	INPUT("eof\004more\n\004"),
	INPUT("\004\004"),
	INPUT("nul\0byte\n"),
	INPUT("high\377\200\303\251\n"),
	INPUT("\303\251\342\202\254x\177\177\177y\n"),
	INPUT("a\303\251\177\177\177b\n"),
	INPUT("\342\202\254 \303\251t\303\251\027z\n"),
	INPUT("MixedCase\n"),
	INPUT("xaybz\nxx"),
	INPUT("stop\023held\n"),
	INPUT("stop\023held\021go\n"),
	INPUT("echo\021 stop\177\023held"),
	INPUT("stop\023any\001x\n"),
	INPUT("quit\034\032x\n"),
	INPUT("bell\a\b\f\v\033[A\n"),
	INPUT("unfinished"),
	INPUT("one\ntwo\nthree\n"),
	INPUT("ala wake law\n"),
	INPUT("a\177\177b\025c\027\n"),
};

static struct termios2 make_termios(const struct termios2 *base, const struct setting *s)
{
	struct termios2 t = *base;
	t.c_iflag = (t.c_iflag & ~s->iflag_off) | s->iflag_on;
	t.c_oflag = (t.c_oflag & ~s->oflag_off) | s->oflag_on;
	t.c_lflag = (t.c_lflag & ~s->lflag_off) | s->lflag_on;
	for (int i = 0; i < 4; i++)
		if (s->cc[i].index || s->cc[i].value)
			t.c_cc[s->cc[i].index] = s->cc[i].value;
	return t;
}

static void test_input(const struct setting *s)
{
	for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
		struct pty p = pty_open();
		struct termios2 base = pty_get(p.slave), t = make_termios(&base, s);
		struct text in = {}, out = {};
		pty_set(p.slave, &t);
		pty_feed(&p, inputs[i].bytes, inputs[i].size);
		pty_drain(p.slave, &in);
		pty_drain(p.master, &out);
		ok(true, "%s, input %zu: read %s echo %s", s->name, i, text_short(&in),
		   text_short(&out));
		pty_close(&p);
	}
}

static void test_output(const struct setting *s)
{
	static const char text[] = "ab\tc\nd\re\r\nfG\b\th\303\251\t\001x\033[0m\n\n\r\r";
	struct pty p = pty_open();
	struct termios2 base = pty_get(p.slave), t = make_termios(&base, s);
	struct text out = {};
	pty_set(p.slave, &t);
	need(write(p.slave, text, sizeof(text) - 1) == sizeof(text) - 1);
	pty_drain(p.master, &out);
	/* The discipline remembers the column. */
	need(write(p.slave, "xyz", 3) == 3 && write(p.slave, "\tq\n", 3) == 3);
	pty_drain(p.master, &out);
	pty_feed(&p, "in\tput\177\177\177\177x\n", 13);
	struct text in = {};
	pty_drain(p.slave, &in);
	pty_drain(p.master, &out);
	ok(true, "%s, output: %s", s->name, text_short(&out));
	pty_close(&p);
}

/* A line longer than the queue loses its end, but not its newline. */
static void test_long_lines(void)
{
	static char big[20000];
	static const int sizes[] = { 4090, 4094, 4095, 4096, 4097, 5000, 8191, 8192, 9000 };
	memset(big, 'x', sizeof(big));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct pty p = pty_open();
		struct termios2 t = pty_get(p.slave);
		char buf[10000];
		t.c_lflag &= ~(unsigned)ECHO;
		pty_set(p.slave, &t);
		pty_feed(&p, big, sizes[i]);
		struct pollfd pfd = { .fd = p.slave, .events = POLLIN };
		poll(&pfd, 1, 0);
		pty_feed(&p, "\nnext\n", 6);
		ssize_t n = read(p.slave, buf, sizeof(buf));
		ok(true, "a line of %d bytes: %zd are read, ending in %02x %02x", sizes[i], n,
		   buf[n - 2], buf[n - 1]);
		n = read(p.slave, buf, sizeof(buf));
		ok(n == 5 && memcmp(buf, "next\n", 5) == 0, "then the next line");
		pty_close(&p);
	}
}

/* Reads smaller than a line, and ends of file between. */
static void test_small_reads(void)
{
	static const struct {
		const char *in;
		int size;
	} cases[] = {
		{ "hello\n", 2 },	   { "hello\n", 6 },	  { "hello\n", 5 },
		{ "hello\004", 5 },	   { "hello\004", 4 },	  { "hello\004\004", 5 },
		{ "ab\004cd\004ef\n", 2 }, { "ab\n\004cd\n", 3 }, { "\004ab\n", 1 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pty p = pty_open();
		struct text t = {};
		char buf[64];
		ssize_t n;
		pty_feed(&p, cases[i].in, strlen(cases[i].in));
		set_blocking(p.slave, false);
		while ((n = read(p.slave, buf, cases[i].size)) >= 0) {
			text_add_bytes(&t, buf, n);
			text_add(&t, "|");
		}
		ok(errno == EAGAIN, "case %zu by %d: %s", i, cases[i].size, text_short(&t));
		pty_close(&p);
	}
}

/* Changes of mode while something is in the queue. */
static void test_mode_changes(void)
{
	static const char *const inputs2[] = { "partial", "line\nrest", "a\004b", "" };
	for (size_t i = 0; i < 4; i++) {
		for (int way = 0; way < 6; way++) {
			struct pty p = pty_open();
			struct termios2 canonical = pty_get(p.slave), raw = canonical;
			struct text in = {};
			int count = -1, count2 = -1;
			raw.c_lflag &= ~(unsigned)ICANON;
			pty_set(p.slave, way & 1 ? &raw : &canonical);
			pty_feed(&p, inputs2[i], strlen(inputs2[i]));
			struct pollfd pfd = { .fd = p.slave, .events = POLLIN };
			poll(&pfd, 1, 0);
			poll(&pfd, 1, 100 * (i < 3));
			ioctl(p.slave, FIONREAD, &count);
			const struct termios2 *to = way & 1 ? &canonical : &raw;
			if (way >= 4)
				need(ioctl(p.slave, TCSETSF2, to) == 0);
			else
				pty_set(p.slave, to);
			ioctl(p.slave, FIONREAD, &count2);
			/* Not after what can be read: whether a read gets both is chance. */
			if (way > 2)
				pty_feed(&p, "more\n", 5);
			pty_drain(p.slave, &in);
			ok(true, "mode change %d with input %zu: %d, %d, %s", way, i, count, count2,
			   text_short(&in));
			pty_close(&p);
		}
	}
}

int main(void)
{
	tap_begin();
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		test_input(&settings[i]);
		test_output(&settings[i]);
	}
	test_long_lines();
	test_small_reads();
	test_mode_changes();
	return tap_end();
}
