#pragma once

/* What the files of the line discipline share. */

#include "tty/ldisc.h"

#define DISABLED_CHAR 0 /* _POSIX_VDISABLE: a control character that is none */

static inline bool is_control(u8 c)
{
	return c < 0x20 || c == 0x7f;
}

/* Latin-1's letters count, and so do the first bytes of UTF-8's. */
static inline bool is_word(u8 c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       c == '_' || (c >= 0xc0 && c != 0xd7 && c != 0xf7);
}

/* The case of ASCII and Latin-1, as OLCUC and IUCLC have it. */
static inline u8 to_upper(u8 c)
{
	bool lower = (c >= 'a' && c <= 'z') || (c >= 0xdf && c != 0xf7);

	return lower ? (u8)(c - 0x20) : c;
}

static inline u8 to_lower(u8 c)
{
	bool upper = (c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7);

	return upper ? (u8)(c + 0x20) : c;
}

static inline bool lflag(const struct ldisc *l, u32 bits)
{
	return l->termios.c_lflag & bits;
}

static inline bool iflag(const struct ldisc *l, u32 bits)
{
	return l->termios.c_iflag & bits;
}

static inline bool oflag(const struct ldisc *l, u32 bits)
{
	return l->termios.c_oflag & bits;
}

/* c continues a UTF-8 sequence, and the terminal knows of those. */
static inline bool is_continuation(const struct ldisc *l, u8 c)
{
	return iflag(l, IUTF8) && (c & 0xc0) == 0x80;
}

static inline u8 *input_at(const struct ldisc *l, u32 pos)
{
	return &l->input[pos & (LDISC_INPUT_SIZE - 1)];
}

/* ---- output.c ---- */

/* Echo bytes as they are: they wait for room if need be, and are lost when too many do. */
void echo_raw(struct ldisc *l, u8 c);
/* Echo a byte of input; control characters as ^X with ECHOCTL. */
void echo_input(struct ldisc *l, u8 c);
/* Move the echoed cursor back over a tab: width as counted from the start of the line or from the
 * tab before. */
void echo_erase_tab(struct ldisc *l, u32 width, bool after_tab);
/* Remember where a line begins. */
void echo_line_begins(struct ldisc *l);
/* Forget what waits; the cursor is where it was before that. */
void echo_discard(struct ldisc *l);
/* Let go what waits, as far as there is room. */
void echo_flush(struct ldisc *l);
void ldisc_start(struct ldisc *l);
void ldisc_stop(struct ldisc *l);
void ldisc_tell(struct ldisc *l, u8 status, u8 instead_of);

/* ---- edit.c ---- */

/* VERASE, VWERASE or VKILL was typed. */
void edit_erase(struct ldisc *l, u8 c);
/* VREPRINT was typed. */
void edit_reprint(struct ldisc *l, u8 c);
/* Close the brackets of ECHOPRT. */
void edit_finish_erasing(struct ldisc *l);
