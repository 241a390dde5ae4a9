/*
 * The line discipline: input, from the line to the program. Linux's n_tty.c is the model for what
 * it does, termios(3) for why; differences: echo is processed at once instead of through a queue of
 * operations, and there are no parity errors or breaks, since there is no line that has them.
 */

#include "tty/ldisc.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arena/arena.h"
#include "tty/ldisc_internal.h"

const struct termios2 ldisc_default_termios = {
	.c_iflag = ICRNL | IXON,
	.c_oflag = OPOST | ONLCR,
	.c_cflag = B38400 | CS8 | CREAD,
	.c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
	.c_cc = {
		[VINTR] = 'C' - 0100,	 [VQUIT] = '\\' - 0100, [VERASE] = 0177,
		[VKILL] = 'U' - 0100,	 [VEOF] = 'D' - 0100,	[VMIN] = 1,
		[VSTART] = 'Q' - 0100,	 [VSTOP] = 'S' - 0100,	[VSUSP] = 'Z' - 0100,
		[VREPRINT] = 'R' - 0100, [VDISCARD] = 'O' - 0100, [VWERASE] = 'W' - 0100,
		[VLNEXT] = 'V' - 0100,
	},
	.c_ispeed = 38400,
	.c_ospeed = 38400,
};

int ldisc_init(struct ldisc *l)
{
	*l = (struct ldisc){ .termios = ldisc_default_termios };
	l->input = arena_alloc(LDISC_INPUT_SIZE);
	if (l->input && !ring_init(&l->output, LDISC_OUTPUT_SIZE) &&
	    !ring_init(&l->echo, LDISC_ECHO_SIZE))
		return 0;
	ldisc_fini(l);
	return -ENOMEM;
}

void ldisc_fini(struct ldisc *l)
{
	arena_free(l->input);
	ring_fini(&l->output);
	ring_fini(&l->echo);
	l->input = NULL;
}

void ldisc_reset(struct ldisc *l)
{
	ldisc_flush_input(l);
	l->termios = ldisc_default_termios;
	l->lnext = false;
	echo_discard(l);
	l->column = l->canon_column = 0;
	l->stopped = l->tco_stopped = false;
	l->events |= LDISC_INPUT | LDISC_INPUT_ROOM | LDISC_OUTPUT_ROOM;
}

/* ---- the input queue ---- */

static u32 input_count(const struct ldisc *l)
{
	return l->read_head - l->read_tail;
}

static bool line_end_test(const struct ldisc *l, u32 pos)
{
	pos &= LDISC_INPUT_SIZE - 1;
	return l->line_ends[pos / 64] >> (pos % 64) & 1;
}

static void line_end_set(struct ldisc *l, u32 pos, bool on)
{
	u64 bit;

	pos &= LDISC_INPUT_SIZE - 1;
	bit = 1UL << (pos % 64);
	if (on)
		l->line_ends[pos / 64] |= bit;
	else
		l->line_ends[pos / 64] &= ~bit;
}

static void put(struct ldisc *l, u8 c)
{
	*input_at(l, l->read_head++) = c;
}

/* With PARMRK a byte 0377 is doubled. */
static void put_marked(struct ldisc *l, u8 c)
{
	if (c == 0377 && iflag(l, PARMRK))
		put(l, c);
	put(l, c);
}

static void discard_input(struct ldisc *l)
{
	l->read_head = l->canon_head = l->read_tail = 0;
	l->erasing = false;
	memset(l->line_ends, 0, sizeof(l->line_ends));
	l->events |= LDISC_INPUT_ROOM;
}

void ldisc_flush_input(struct ldisc *l)
{
	discard_input(l);
	ldisc_tell(l, TIOCPKT_FLUSHREAD, 0);
}

/* ---- receiving ---- */

/* c makes a signal: 0 if not. */
static int signal_of(const struct ldisc *l, u8 c)
{
	const u8 *cc = l->termios.c_cc;

	if (!lflag(l, ISIG))
		return 0;
	if (c == cc[VINTR])
		return SIGINT;
	if (c == cc[VQUIT])
		return SIGQUIT;
	return c == cc[VSUSP] ? SIGTSTP : 0;
}

static void receive_signal(struct ldisc *l, u8 c)
{
	if (!lflag(l, NOFLSH)) {
		echo_discard(l);
		ldisc_flush_output(l);
		ldisc_flush_input(l);
	}
	if (iflag(l, IXON))
		ldisc_start(l);
	if (lflag(l, ECHO))
		echo_input(l, c);
	else
		echo_flush(l);
}

/* VSTART and VSTOP: true if c is one. */
static bool receive_flow(struct ldisc *l, u8 c)
{
	if (c == l->termios.c_cc[VSTART]) {
		ldisc_start(l);
		echo_flush(l); /* before a VSTOP that follows */
	} else if (c == l->termios.c_cc[VSTOP]) {
		ldisc_stop(l);
	} else {
		return false;
	}
	return true;
}

static void end_line(struct ldisc *l, u8 c)
{
	line_end_set(l, l->read_head, true);
	put(l, c);
	l->canon_head = l->read_head;
	l->events |= LDISC_INPUT;
}

static void receive_lnext(struct ldisc *l)
{
	l->lnext = true;
	if (!lflag(l, ECHO))
		return;
	edit_finish_erasing(l);
	if (lflag(l, ECHOCTL)) {
		echo_raw(l, '^');
		echo_raw(l, '\b');
	}
}

/* Canonical mode: true if c was an editing character or ended a line. */
static bool receive_canonical(struct ldisc *l, u8 c)
{
	const u8 *cc = l->termios.c_cc;
	bool extended = lflag(l, IEXTEN);

	if (c == cc[VERASE] || c == cc[VKILL] || (c == cc[VWERASE] && extended)) {
		edit_erase(l, c);
	} else if (c == cc[VLNEXT] && extended) {
		receive_lnext(l);
	} else if (c == cc[VREPRINT] && extended && lflag(l, ECHO)) {
		edit_reprint(l, c);
	} else if (c == '\n') {
		if (lflag(l, ECHO | ECHONL))
			echo_raw(l, '\n');
		end_line(l, c);
	} else if (c == cc[VEOF]) {
		end_line(l, DISABLED_CHAR);
	} else if (c == cc[VEOL] || (c == cc[VEOL2] && extended)) {
		if (lflag(l, ECHO)) {
			if (l->canon_head == l->read_head)
				echo_line_begins(l);
			echo_input(l, c);
		}
		if (c == 0377 && iflag(l, PARMRK))
			put(l, c);
		end_line(l, c);
	} else {
		return false;
	}
	return true;
}

/* newline: c is one and is echoed as one, not as ^J. */
static void receive_plain(struct ldisc *l, u8 c, bool newline)
{
	if (lflag(l, ECHO)) {
		edit_finish_erasing(l);
		if (newline) {
			echo_raw(l, c);
		} else {
			if (l->canon_head == l->read_head)
				echo_line_begins(l);
			echo_input(l, c);
		}
	}
	put_marked(l, c);
}

/* Any byte restarts output with IXANY. */
static void restart_any(struct ldisc *l)
{
	if (l->stopped && iflag(l, IXON) && iflag(l, IXANY))
		ldisc_start(l);
}

/* Returns the signal that c makes, or 0. A control character set to 0 is none. */
static int receive_special(struct ldisc *l, u8 c)
{
	bool returned = c == '\r';
	int sig;

	if (iflag(l, IXON) && receive_flow(l, c))
		return 0;
	sig = signal_of(l, c);
	if (sig) {
		receive_signal(l, c);
		return sig;
	}
	restart_any(l);
	if (c == '\r') {
		if (iflag(l, IGNCR))
			return 0;
		if (iflag(l, ICRNL))
			c = '\n';
	} else if (c == '\n' && iflag(l, INLCR)) {
		c = '\r';
	}
	if (!lflag(l, ICANON) || !receive_canonical(l, c))
		receive_plain(l, c, c == '\n' && (returned || iflag(l, INLCR)));
	return 0;
}

static int receive_one(struct ldisc *l, u8 c)
{
	bool literal = l->lnext;

	l->lnext = false;
	if (iflag(l, ISTRIP))
		c &= 0x7f;
	if (iflag(l, IUCLC) && lflag(l, IEXTEN))
		c = to_lower(c);
	if (literal || c == DISABLED_CHAR) {
		if (!literal && lflag(l, EXTPROC)) {
			put(l, c);
			return 0;
		}
		restart_any(l);
		receive_plain(l, c, false);
		return 0;
	}
	if (lflag(l, EXTPROC)) {
		put(l, c);
		return 0;
	}
	return receive_special(l, c);
}

/* How many bytes may be received now. Without a whole line canonical mode takes any number, so that
 * the line can be edited and ended; what is too much replaces the last byte. */
static u32 receive_room(struct ldisc *l)
{
	s32 room = LDISC_INPUT_SIZE - (s32)input_count(l);

	if (iflag(l, PARMRK))
		room = (room + 2) / 3;
	room--;
	if (room > 0)
		return (u32)room;
	if (!lflag(l, ICANON) || l->canon_head != l->read_tail)
		return 0;
	if (room < 0)
		l->read_head--;
	return 1;
}

static bool is_raw(const struct ldisc *l)
{
	return !l->lnext && !iflag(l, ISTRIP | IUCLC | IGNCR | ICRNL | INLCR | IXON | PARMRK) &&
	       !lflag(l, ICANON | ISIG | ECHO);
}

static size_t receive_raw(struct ldisc *l, const u8 *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		u32 at = l->read_head & (LDISC_INPUT_SIZE - 1);
		size_t n = min(size - done, (size_t)(LDISC_INPUT_SIZE - at));

		memcpy(l->input + at, data + done, n);
		l->read_head += (u32)n;
		done += n;
	}
	return done;
}

size_t ldisc_receive(struct ldisc *l, const u8 *data, size_t size, int *ret_signal)
{
	size_t done = 0;
	u32 room;

	*ret_signal = 0;
	while (done < size && !*ret_signal && (room = receive_room(l)) > 0) {
		if (is_raw(l))
			done += receive_raw(l, data + done, min(size - done, (size_t)room));
		else
			*ret_signal = receive_one(l, data[done++]);
	}
	if (done == size || !*ret_signal)
		echo_flush(l);
	if (done > 0 && !ldisc_is_canonical(l) && input_count(l) > 0)
		l->events |= LDISC_INPUT;
	return done;
}

/* ---- reading ---- */

bool ldisc_readable(const struct ldisc *l, bool poll)
{
	const u8 *cc = l->termios.c_cc;
	u32 wanted = 1;

	if (ldisc_is_canonical(l))
		return l->canon_head != l->read_tail;
	if (poll && !cc[VTIME] && cc[VMIN])
		wanted = cc[VMIN];
	return input_count(l) >= wanted;
}

/* A whole line that was cut where the reader's buffer ended is not followed by an end of file of
 * its own. */
static void skip_end_of_file(struct ldisc *l)
{
	if (l->read_tail == l->canon_head || !line_end_test(l, l->read_tail) ||
	    *input_at(l, l->read_tail) != DISABLED_CHAR)
		return;
	line_end_set(l, l->read_tail, false);
	l->read_tail++;
}

static size_t read_line(struct ldisc *l, u8 *buf, size_t size, bool *ret_line)
{
	size_t done = 0;

	while (done < size && !*ret_line && l->read_tail != l->canon_head) {
		u8 c = *input_at(l, l->read_tail);

		if (line_end_test(l, l->read_tail)) {
			line_end_set(l, l->read_tail, false);
			*ret_line = true;
		}
		l->read_tail++;
		if (!*ret_line || c != DISABLED_CHAR)
			buf[done++] = c;
	}
	if (!*ret_line && done > 0)
		skip_end_of_file(l);
	return done;
}

static size_t read_bytes(struct ldisc *l, u8 *buf, size_t size, bool *ret_line)
{
	size_t done = min(size, (size_t)input_count(l));

	for (size_t i = 0; i < done; i++)
		buf[i] = *input_at(l, l->read_tail + (u32)i);
	l->read_tail += (u32)done;
	/* With EXTPROC the other side edits lines, but an end of file alone is still one. */
	if (done == 1 && lflag(l, EXTPROC) && lflag(l, ICANON) && buf[0] == l->termios.c_cc[VEOF] &&
	    input_count(l) == 0) {
		*ret_line = true;
		return 0;
	}
	return done;
}

size_t ldisc_read(struct ldisc *l, void *buf, size_t size, bool *ret_line)
{
	u32 before = l->read_tail;
	size_t n;

	*ret_line = false;
	if (ldisc_is_canonical(l))
		n = read_line(l, buf, size, ret_line);
	else
		n = read_bytes(l, buf, size, ret_line);
	if (l->read_tail != before)
		l->events |= LDISC_INPUT_ROOM;
	return n;
}

u32 ldisc_input_count(const struct ldisc *l)
{
	u32 count = 0;

	if (!ldisc_is_canonical(l))
		return input_count(l);
	for (u32 pos = l->read_tail; pos != l->canon_head; pos++)
		if (!line_end_test(l, pos) || *input_at(l, pos) != DISABLED_CHAR)
			count++;
	return count;
}

/* ---- settings ---- */

static struct termios2 keep_locked(const struct termios2 *new, const struct termios2 *old,
				   const struct termios2 *locked)
{
	struct termios2 t = *new;

	t.c_iflag = (t.c_iflag & ~locked->c_iflag) | (old->c_iflag & locked->c_iflag);
	t.c_oflag = (t.c_oflag & ~locked->c_oflag) | (old->c_oflag & locked->c_oflag);
	t.c_cflag = (t.c_cflag & ~locked->c_cflag) | (old->c_cflag & locked->c_cflag);
	t.c_lflag = (t.c_lflag & ~locked->c_lflag) | (old->c_lflag & locked->c_lflag);
	if (locked->c_line)
		t.c_line = old->c_line;
	for (size_t i = 0; i < sizeof(t.c_cc); i++)
		if (locked->c_cc[i])
			t.c_cc[i] = old->c_cc[i];
	return t;
}

static bool usual_flow(const struct termios2 *t)
{
	return t->c_iflag & IXON && t->c_cc[VSTOP] == 023 && t->c_cc[VSTART] == 021;
}

/* What the other side of a pty in packet mode wants to know of a change. */
static void tell_settings(struct ldisc *l, const struct termios2 *old)
{
	bool flow = usual_flow(&l->termios);

	if (flow != usual_flow(old))
		ldisc_tell(l, flow ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP,
			   TIOCPKT_DOSTOP | TIOCPKT_NOSTOP);
	if ((old->c_lflag | l->termios.c_lflag) & EXTPROC)
		ldisc_tell(l, TIOCPKT_IOCTL, 0);
}

/* Canonical mode has begun or ended: what is in the queue becomes a line, or mere bytes. */
static void convert_input(struct ldisc *l)
{
	bool line = lflag(l, ICANON) && input_count(l) > 0;

	memset(l->line_ends, 0, sizeof(l->line_ends));
	l->canon_head = line ? l->read_head : l->read_tail;
	if (line)
		line_end_set(l, l->read_head - 1, true);
	l->erasing = l->lnext = false;
}

void ldisc_set_termios(struct ldisc *l, const struct termios2 *new)
{
	struct termios2 old = l->termios;

	l->termios = keep_locked(new, &old, &l->locked);
	tell_settings(l, &old);
	l->termios.c_cflag = (l->termios.c_cflag & ~(u32)(CSIZE | PARENB)) | CS8 | CREAD;
	if ((old.c_lflag ^ l->termios.c_lflag) & (ICANON | EXTPROC))
		convert_input(l);
	if (old.c_iflag & IXON && !iflag(l, IXON))
		ldisc_start(l);
	l->events |= LDISC_INPUT | LDISC_INPUT_ROOM | LDISC_OUTPUT_ROOM;
}
