#pragma once

/*
 * The line discipline (N_TTY of Linux, termios(3)): what becomes of the bytes between the two ends
 * of a terminal. Pure: no locks, no waiting, no signals; the caller serializes, and does what the
 * results ask for.
 *
 *	from the line -> ldisc_receive -> input (edited lines) -> ldisc_read -> the program
 *	                      | echo
 *	the program -> ldisc_write -> output -> ldisc_take -> to the line
 */

#include <asm/termbits.h>

#include "base/types.h"

#define LDISC_INPUT_SIZE 4096 /* Linux's N_TTY_BUF_SIZE; a power of two */
#define LDISC_OUTPUT_SIZE 16384 /* a power of two */
#define LDISC_ECHO_SIZE 4096 /* a power of two */

/* A queue of bytes; head - tail bytes are in it. Its size is a power of two. */
struct byte_ring {
	u8 *data; /* owned: arena */
	u32 size, head, tail;
};

enum ldisc_event {
	LDISC_INPUT = 1, /* there is more for the program to read, or news for it */
	LDISC_OUTPUT = 2, /* there is more to take for the line */
	LDISC_INPUT_ROOM = 4, /* more may be received */
	LDISC_OUTPUT_ROOM = 8, /* more may be written */
};

struct ldisc {
	struct termios2 termios;
	struct termios2 locked; /* bits that may not be changed (TIOCSLCKTRMIOS) */
	/* Input. Positions only grow; a byte's place is its position modulo the size. */
	u8 *input; /* owned: arena, LDISC_INPUT_SIZE */
	u64 line_ends[LDISC_INPUT_SIZE / 64]; /* bit: a line ends with this byte */
	u32 read_head; /* where the next byte goes */
	u32 canon_head; /* end of the last whole line */
	u32 read_tail; /* next to be read */
	bool lnext; /* the next byte is taken literally */
	bool erasing; /* within \.../ of ECHOPRT */
	/* Output. */
	u32 column, canon_column; /* of the cursor; where the line being edited begins */
	struct byte_ring output; /* finished bytes */
	struct byte_ring echo; /* finished bytes of echo that have not been let go */
	u32 echo_column, echo_canon_column; /* as they were before what is in echo */
	bool stopped, tco_stopped; /* by VSTOP; by TCOOFF */
	/* What the other side of a pty in packet mode is to be told (TIOCPKT_*). */
	bool packet;
	u8 packet_status;
	u8 events; /* enum ldisc_event: what happened since the caller last cleared it */
};

/* The settings that a new terminal has. */
extern const struct termios2 ldisc_default_termios;

/* -ENOMEM. */
[[nodiscard]] int ldisc_init(struct ldisc *l);
void ldisc_fini(struct ldisc *l);
/* Back to the state after ldisc_init, output excepted. */
void ldisc_reset(struct ldisc *l);

/*
 * Bytes from the line. Returns how many were taken: fewer than size when there is no room, or when
 * the last one taken makes a signal, which is then in *ret_signal (else 0): send it to the
 * foreground group and go on.
 */
[[nodiscard]] size_t ldisc_receive(struct ldisc *l, const u8 *data, size_t size, int *ret_signal);
/* Bytes from the program, processed as c_oflag says. Returns how many were taken. */
[[nodiscard]] size_t ldisc_write(struct ldisc *l, const u8 *data, size_t size);
/* Take output for the line. */
[[nodiscard]] size_t ldisc_take(struct ldisc *l, void *buf, size_t size);

/* There is something to read: as read(2) sees it, or as poll(2) does (VMIN counts then). */
bool ldisc_readable(const struct ldisc *l, bool poll);
/*
 * Take input for the program: at most the rest of one line in canonical mode. *ret_line: a line, or
 * an end of file, was completed by it (then a return of 0 means end of file).
 */
[[nodiscard]] size_t ldisc_read(struct ldisc *l, void *buf, size_t size, bool *ret_line);
/* What FIONREAD tells. */
u32 ldisc_input_count(const struct ldisc *l);
bool ldisc_can_write(const struct ldisc *l);

static inline bool ldisc_is_canonical(const struct ldisc *l)
{
	return (l->termios.c_lflag & (ICANON | EXTPROC)) == ICANON;
}

/* Set the termios; locked bits stay. */
void ldisc_set_termios(struct ldisc *l, const struct termios2 *new);
void ldisc_flush_input(struct ldisc *l);
/* Discard output that Linux would not yet have handed to a pty's master. */
void ldisc_flush_output(struct ldisc *l);
/* TCOOFF, TCOON. */
void ldisc_suspend_output(struct ldisc *l, bool on);
/* Put a byte before all processing into the output, though VSTOP may have stopped that (TCIOFF,
 * TCION). */
void ldisc_send_now(struct ldisc *l, u8 c);

u32 ring_count(const struct byte_ring *r);
u32 ring_room(const struct byte_ring *r);
/* As many as there is room for, or are there. */
[[nodiscard]] size_t ring_put(struct byte_ring *r, const void *data, size_t size);
[[nodiscard]] size_t ring_get(struct byte_ring *r, void *buf, size_t size);
/* The first piece without taking it; ring_skip takes it. */
[[nodiscard]] size_t ring_peek(const struct byte_ring *r, const u8 **ret);
void ring_skip(struct byte_ring *r, size_t size);
[[nodiscard]] int ring_init(struct byte_ring *r, u32 size);
void ring_fini(struct byte_ring *r);
