/*
 * The line discipline: output processing (OPOST), echo, flow control.
 *
 * Output that is finished goes to l->output, from where the line takes it. A program's byte is
 * taken only if all that becomes of it finds room. Echo cannot wait like that: it is gathered in
 * l->echo, and let go when a piece of input has been received, before anything that programs write.
 * What finds no room, or comes while output is stopped, stays there; when that is full, echo is
 * lost. A signal character discards what has not been let go, as in Linux.
 */

#include <string.h>
#include <sys/ioctl.h>

#include "tty/ldisc_internal.h"

/* Linux hands a pty's output on to the master's input queue, out of reach of a flush, until that is
 * full. */
#define OUTPUT_HANDED_ON 4095U
#define OUTPUT_MAX (OUTPUT_HANDED_ON + 8192U)
#define ECHO_UNPROCESSED 0377 /* the byte that begins commands in Linux's queue of echo */
#define ECHO_MANY 256 /* so much is let go before all of a piece of input has been received */

static u32 output_room(const struct ldisc *l)
{
	u32 used = ring_count(&l->output);

	return l->stopped || used >= OUTPUT_MAX ? 0 : OUTPUT_MAX - used;
}

bool ldisc_can_write(const struct ldisc *l)
{
	return output_room(l) > 0 && ring_count(&l->echo) == 0;
}

static void output_put(struct ldisc *l, const void *data, size_t size)
{
	if (ring_put(&l->output, data, size) > 0)
		l->events |= LDISC_OUTPUT;
}

/* ---- processing ---- */

/* What a byte becomes, and where the cursor is then. */
struct expansion {
	u8 bytes[8];
	u32 count;
	u32 column, canon_column;
};

static void expand_newline(const struct ldisc *l, struct expansion *e)
{
	if (oflag(l, ONLRET))
		e->column = 0;
	if (oflag(l, ONLCR)) {
		e->canon_column = e->column = 0;
		e->bytes[0] = '\r';
		e->bytes[1] = '\n';
		e->count = 2;
		return;
	}
	e->canon_column = e->column;
}

static void expand_return(const struct ldisc *l, struct expansion *e)
{
	if (oflag(l, ONOCR) && e->column == 0) {
		e->count = 0;
		return;
	}
	if (oflag(l, OCRNL)) {
		e->bytes[0] = '\n';
		if (!oflag(l, ONLRET))
			return;
	}
	e->canon_column = e->column = 0;
}

static void expand_tab(const struct ldisc *l, struct expansion *e)
{
	u32 width = 8 - (e->column & 7);

	e->column += width;
	if ((l->termios.c_oflag & TABDLY) != XTABS)
		return;
	memset(e->bytes, ' ', width);
	e->count = width;
}

static struct expansion expand(const struct ldisc *l, u8 c)
{
	struct expansion e = {
		.bytes = { c }, .count = 1, .column = l->column, .canon_column = l->canon_column
	};

	switch (c) {
	case '\n':
		expand_newline(l, &e);
		break;
	case '\r':
		expand_return(l, &e);
		break;
	case '\t':
		expand_tab(l, &e);
		break;
	case '\b':
		if (e.column > 0)
			e.column--;
		break;
	default:
		if (is_control(c))
			break;
		if (oflag(l, OLCUC))
			e.bytes[0] = to_upper(c);
		if (!is_continuation(l, c))
			e.column++;
	}
	return e;
}

/* How many of the next bytes go out as they are, but for the cursor. */
static size_t plain_run(const struct ldisc *l, const u8 *data, size_t size)
{
	size_t n = 0;

	if (oflag(l, OLCUC))
		return 0;
	while (n < size && !is_control(data[n]))
		n++;
	return n;
}

static size_t write_plain(struct ldisc *l, const u8 *data, size_t size)
{
	size = min(size, (size_t)output_room(l));
	for (size_t i = 0; i < size; i++)
		if (!is_continuation(l, data[i]))
			l->column++;
	output_put(l, data, size);
	return size;
}

static bool write_one(struct ldisc *l, u8 c)
{
	struct expansion e = expand(l, c);

	if (output_room(l) < max(e.count, 1u))
		return false;
	l->column = e.column;
	l->canon_column = e.canon_column;
	output_put(l, e.bytes, e.count);
	return true;
}

size_t ldisc_write(struct ldisc *l, const u8 *data, size_t size)
{
	size_t done = 0, run;

	echo_flush(l);
	if (!ldisc_can_write(l))
		return 0;
	if (!oflag(l, OPOST)) {
		done = min(size, (size_t)output_room(l));
		output_put(l, data, done);
		return done;
	}
	while (done < size) {
		run = plain_run(l, data + done, size - done);
		if (run > 0) {
			size_t n = write_plain(l, data + done, run);

			done += n;
			if (n < run)
				break;
		} else if (write_one(l, data[done])) {
			done++;
		} else {
			break;
		}
	}
	return done;
}

size_t ldisc_take(struct ldisc *l, void *buf, size_t size)
{
	size_t n = ring_get(&l->output, buf, size);

	if (n > 0) {
		echo_flush(l);
		l->events |= LDISC_OUTPUT_ROOM;
	}
	return n;
}

void ldisc_flush_output(struct ldisc *l)
{
	u32 count = ring_count(&l->output);

	if (count > OUTPUT_HANDED_ON)
		l->output.head = l->output.tail + OUTPUT_HANDED_ON;
	l->events |= LDISC_OUTPUT_ROOM;
	ldisc_tell(l, TIOCPKT_FLUSHWRITE, 0);
}

void ldisc_send_now(struct ldisc *l, u8 c)
{
	if (!l->tco_stopped)
		output_put(l, &c, 1);
}

/* ---- echo ---- */

static void echo_put(struct ldisc *l, const u8 *data, u32 size)
{
	if (ring_count(&l->echo) >= ECHO_MANY)
		echo_flush(l);
	if (ring_room(&l->echo) >= size)
		(void)!ring_put(&l->echo, data, size);
}

void echo_discard(struct ldisc *l)
{
	if (ring_count(&l->echo) == 0)
		return;
	l->echo.tail = l->echo.head;
	l->column = l->echo_column;
	l->canon_column = l->echo_canon_column;
}

static void echo_column_save(struct ldisc *l)
{
	if (ring_count(&l->echo) > 0)
		return;
	l->echo_column = l->column;
	l->echo_canon_column = l->canon_column;
}

void echo_flush(struct ldisc *l)
{
	const u8 *from;
	size_t n;

	while ((n = min(ring_peek(&l->echo, &from), (size_t)output_room(l))) > 0) {
		output_put(l, from, n);
		ring_skip(&l->echo, n);
	}
}

void echo_raw(struct ldisc *l, u8 c)
{
	struct expansion e;

	echo_column_save(l);
	if (!oflag(l, OPOST) || c == ECHO_UNPROCESSED) {
		echo_put(l, &c, 1);
		l->column += c == ECHO_UNPROCESSED;
		return;
	}
	e = expand(l, c);
	l->column = e.column;
	l->canon_column = e.canon_column;
	echo_put(l, e.bytes, e.count);
}

void echo_input(struct ldisc *l, u8 c)
{
	const u8 pair[2] = { '^', c ^ 0100 };

	if (!lflag(l, ECHOCTL) || !is_control(c) || c == '\t') {
		echo_raw(l, c);
		return;
	}
	echo_column_save(l);
	echo_put(l, pair, sizeof(pair));
	l->column += 2;
}

void echo_erase_tab(struct ldisc *l, u32 width, bool after_tab)
{
	u32 back;

	if (!after_tab)
		width += l->canon_column;
	back = 8 - (width & 7);
	echo_column_save(l);
	for (; back > 0; back--) {
		echo_put(l, (const u8 *)"\b", 1);
		if (l->column > 0)
			l->column--;
	}
}

void echo_line_begins(struct ldisc *l)
{
	echo_column_save(l);
	l->canon_column = l->column;
}

/* ---- flow control ---- */

void ldisc_tell(struct ldisc *l, u8 status, u8 instead_of)
{
	if (!l->packet)
		return;
	l->packet_status = (u8)((l->packet_status & ~instead_of) | status);
	l->events |= LDISC_OUTPUT;
}

void ldisc_stop(struct ldisc *l)
{
	if (l->stopped)
		return;
	l->stopped = true;
	ldisc_tell(l, TIOCPKT_STOP, TIOCPKT_START);
}

void ldisc_start(struct ldisc *l)
{
	if (!l->stopped || l->tco_stopped)
		return;
	l->stopped = false;
	ldisc_tell(l, TIOCPKT_START, TIOCPKT_STOP);
	echo_flush(l);
	l->events |= LDISC_OUTPUT_ROOM;
}

void ldisc_suspend_output(struct ldisc *l, bool on)
{
	if (l->tco_stopped == on)
		return;
	l->tco_stopped = on;
	if (on)
		ldisc_stop(l);
	else
		ldisc_start(l);
}
