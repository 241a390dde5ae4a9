/* The line discipline alone, and the options of devpts. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>

#include "arena/arena.h"
#include "tty/ldisc.h"
#include "tty/tty.h"

static int begin(void **state)
{
	struct ldisc *l = calloc(1, sizeof(*l));

	*state = l;
	return ldisc_init(l);
}

static int end(void **state)
{
	ldisc_fini(*state);
	free(*state);
	return 0;
}

/* Receive text; the signal that it made, if any, must be its last. */
static void receive(struct ldisc *l, const char *text, int want_signal)
{
	size_t size = strlen(text), done = 0;
	int sig = 0;

	while (done < size) {
		size_t n = ldisc_receive(l, (const u8 *)text + done, size - done, &sig);

		assert_true(n > 0);
		done += n;
	}
	assert_int_equal(sig, want_signal);
}

static void expect_read(struct ldisc *l, const char *want, bool want_line)
{
	char buf[8192];
	bool line;
	size_t n = ldisc_read(l, buf, sizeof(buf), &line);

	assert_int_equal(n, strlen(want));
	assert_memory_equal(buf, want, n);
	assert_int_equal(line, want_line);
}

static void expect_output(struct ldisc *l, const char *want)
{
	char buf[LDISC_OUTPUT_SIZE];
	size_t n = ldisc_take(l, buf, sizeof(buf));

	assert_int_equal(n, strlen(want));
	assert_memory_equal(buf, want, n);
}

static void set_flags(struct ldisc *l, u32 iflag, u32 oflag, u32 lflag)
{
	struct termios2 t = l->termios;

	t.c_iflag = iflag;
	t.c_oflag = oflag;
	t.c_lflag = lflag;
	ldisc_set_termios(l, &t);
}

static void test_canonical(void **state)
{
	struct ldisc *l = *state;

	receive(l, "hel", 0);
	assert_false(ldisc_readable(l, false));
	assert_int_equal(ldisc_input_count(l), 0);
	receive(l, "x\177lo\rnext", 0);
	assert_true(ldisc_readable(l, true));
	assert_int_equal(ldisc_input_count(l), 6);
	assert_true(l->events & LDISC_INPUT);
	expect_read(l, "hello\n", true);
	assert_false(ldisc_readable(l, false));
	expect_output(l, "helx\b \blo\r\nnext");
	receive(l, "\025\004", 0);
	expect_output(l, "\b \b\b \b\b \b\b \b");
	expect_read(l, "", true);
}

static void test_signals(void **state)
{
	struct ldisc *l = *state;

	receive(l, "lost\003", SIGINT);
	expect_output(l, "^C");
	receive(l, "x\n\032", SIGTSTP);
	assert_false(ldisc_readable(l, false));
	expect_output(l, "^Z");
	set_flags(l, l->termios.c_iflag, l->termios.c_oflag, l->termios.c_lflag | NOFLSH);
	receive(l, "kept\n\034", SIGQUIT);
	expect_read(l, "kept\n", true);
	set_flags(l, l->termios.c_iflag, l->termios.c_oflag, l->termios.c_lflag & ~(u32)ISIG);
	receive(l, "\003\n", 0);
	expect_read(l, "\003\n", true);
}

/* What is received after a signal is the caller's to give again. */
static void test_signal_stops(void **state)
{
	struct ldisc *l = *state;
	int sig;

	assert_int_equal(ldisc_receive(l, (const u8 *)"a\003b\n", 4, &sig), 2);
	assert_int_equal(sig, SIGINT);
	assert_int_equal(ldisc_receive(l, (const u8 *)"b\n", 2, &sig), 2);
	expect_read(l, "b\n", true);
}

static void test_flow(void **state)
{
	struct ldisc *l = *state;

	receive(l, "\023", 0);
	assert_false(ldisc_can_write(l));
	assert_int_equal(ldisc_write(l, (const u8 *)"x", 1), 0);
	receive(l, "echo", 0);
	expect_output(l, "");
	receive(l, "\021", 0);
	assert_true(l->events & LDISC_OUTPUT_ROOM);
	expect_output(l, "echo");
	ldisc_suspend_output(l, true);
	receive(l, "\021", 0);
	assert_false(ldisc_can_write(l));
	ldisc_send_now(l, 'N');
	expect_output(l, "");
	ldisc_suspend_output(l, false);
	assert_true(ldisc_can_write(l));
	receive(l, "\023", 0);
	ldisc_send_now(l, 'N');
	expect_output(l, "N");
	receive(l, "\021ab\021cd\023", 0);
	expect_output(l, "ab");
}

/* Whole expansions or nothing, up to what there is room for. */
static void test_output_room(void **state)
{
	struct ldisc *l = *state;
	char big[LDISC_OUTPUT_SIZE];
	size_t n;

	memset(big, '\n', sizeof(big));
	n = ldisc_write(l, (const u8 *)big, sizeof(big));
	assert_true(n > 4000 && n < sizeof(big) / 2);
	assert_int_equal(ring_count(&l->output), 2 * n);
	ldisc_flush_output(l);
	assert_int_equal(ring_count(&l->output), 4095);
	/* Echo that finds no room waits, then is lost, and comes before what programs write. */
	set_flags(l, 0, 0, ECHO);
	while (ldisc_write(l, (const u8 *)big, sizeof(big)) > 0)
		;
	for (int i = 0; i < 3 * LDISC_ECHO_SIZE / 16; i++) {
		receive(l, "0123456789abcdef", 0);
		ldisc_flush_input(l);
	}
	assert_int_equal(ring_count(&l->echo), LDISC_ECHO_SIZE);
	assert_false(ldisc_can_write(l));
	assert_int_equal(ldisc_take(l, big, sizeof(big)), 4095 + 8192);
	assert_int_equal(ring_count(&l->echo), 0);
	assert_int_equal(ldisc_write(l, (const u8 *)"end", 3), 3);
	assert_int_equal(ldisc_take(l, big, sizeof(big)), LDISC_ECHO_SIZE + 3);
	assert_memory_equal(big, "0123", 4);
}

/* A line without an end: only its last byte changes, and it can still be ended and erased. */
static void test_long_line(void **state)
{
	struct ldisc *l = *state;
	char buf[8192];
	bool line;

	set_flags(l, ICRNL, 0, ICANON);
	memset(buf, 'x', sizeof(buf));
	buf[sizeof(buf) - 1] = '\0';
	receive(l, buf, 0);
	receive(l, "\n", 0);
	assert_int_equal(ldisc_read(l, buf, sizeof(buf), &line), LDISC_INPUT_SIZE);
	assert_true(line);
	assert_int_equal(buf[LDISC_INPUT_SIZE - 1], '\n');
	/* With a whole line there, there is room for no more than the queue. */
	receive(l, "first\n", 0);
	for (int sig = 0, n = 1; n;)
		n = (int)ldisc_receive(l, (const u8 *)"yyyy", 4, &sig);
	assert_int_equal(l->read_head - l->read_tail, LDISC_INPUT_SIZE - 1);
}

static void test_raw(void **state)
{
	struct ldisc *l = *state;

	set_flags(l, 0, 0, 0);
	l->termios.c_cc[VMIN] = 3;
	receive(l, "\003\r", 0);
	assert_true(ldisc_readable(l, false));
	assert_false(ldisc_readable(l, true));
	receive(l, "\n\004", 0);
	assert_true(ldisc_readable(l, true));
	expect_read(l, "\003\r\n\004", false);
	expect_output(l, "");
}

static void test_packet(void **state)
{
	struct ldisc *l = *state;

	ldisc_flush_input(l);
	assert_int_equal(l->packet_status, 0);
	l->packet = true;
	ldisc_flush_input(l);
	assert_int_equal(l->packet_status, TIOCPKT_FLUSHREAD);
	receive(l, "\023", 0);
	assert_int_equal(l->packet_status, TIOCPKT_FLUSHREAD | TIOCPKT_STOP);
	receive(l, "\021", 0);
	assert_int_equal(l->packet_status, TIOCPKT_FLUSHREAD | TIOCPKT_START);
	l->packet_status = 0;
	set_flags(l, 0, 0, EXTPROC);
	assert_int_equal(l->packet_status, TIOCPKT_NOSTOP | TIOCPKT_IOCTL);
}

static void test_locked(void **state)
{
	struct ldisc *l = *state;

	l->locked.c_lflag = ECHO;
	l->locked.c_cc[VINTR] = 1;
	set_flags(l, 0, 0, 0);
	assert_int_equal(l->termios.c_lflag, ECHO);
	l->termios.c_cc[VINTR] = 3;
	struct termios2 t = l->termios;
	t.c_cc[VINTR] = 9;
	ldisc_set_termios(l, &t);
	assert_int_equal(l->termios.c_cc[VINTR], 3);
}

/* Random bytes, settings and sizes: the queues keep within their bounds. */
static void test_random(void **state)
{
	struct ldisc *l = *state;
	u64 seed = 12345;
	u8 buf[512];
	bool line;
	int sig;

	for (int round = 0; round < 20'000; round++) {
		struct termios2 t = l->termios;
		size_t size;

		for (size_t i = 0; i < sizeof(buf); i++) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			buf[i] = (u8)(seed >> 33);
			if (seed >> 60)
				buf[i] &= 0x1f;
		}
		size = (size_t)(seed >> 40) % sizeof(buf);
		switch (seed >> 61) {
		case 0:
			memcpy(&t, buf, sizeof(t));
			if (round % 16 == 0)
				ldisc_set_termios(l, &t);
			break;
		case 1:
			(void)!ldisc_write(l, buf, size);
			break;
		case 2:
			(void)!ldisc_take(l, buf, size);
			break;
		case 3:
			(void)!ldisc_read(l, buf, size, &line);
			break;
		default:
			(void)!ldisc_receive(l, buf, size, &sig);
		}
		assert_true(l->read_head - l->read_tail <= LDISC_INPUT_SIZE);
		assert_true(ring_count(&l->output) <= LDISC_OUTPUT_SIZE);
		assert_true(ring_count(&l->echo) <= LDISC_ECHO_SIZE);
		(void)ldisc_input_count(l);
	}
}

static void test_options(void **state)
{
	struct devpts_options o;

	assert_int_equal(devpts_parse_options(NULL, &o), 0);
	assert_true(!o.set_uid && !o.set_gid && o.mode == 0600 && o.ptmxmode == 0);
	assert_int_equal(o.max, DEVPTS_MAX);
	assert_int_equal(devpts_parse_options(",gid=5,mode=620,ptmxmode=666,newinstance,max=3", &o),
			 0);
	assert_true(o.set_gid && o.gid == 5 && o.mode == 0620 && o.ptmxmode == 0666 && o.max == 3);
	assert_true(devpts_parse_options("gid=", &o) && devpts_parse_options("gid=x", &o));
	assert_true(devpts_parse_options("mode=9", &o) && devpts_parse_options("what", &o));
	assert_true(devpts_parse_options("max=-1", &o) &&
		    devpts_parse_options("newinstance=1", &o));
	assert_int_equal(o.gid, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(canonical),
		TEST(signals),
		TEST(signal_stops),
		TEST(flow),
		TEST(output_room),
		TEST(long_line),
		TEST(raw),
		TEST(packet),
		TEST(locked),
		TEST(random),
		cmocka_unit_test(test_options),
	};

	if (arena_create())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
