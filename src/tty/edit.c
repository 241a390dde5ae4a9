/*
 * The line discipline: editing the line that is being typed. It lies between canon_head and
 * read_head.
 */

#include "tty/ldisc_internal.h"

void edit_finish_erasing(struct ldisc *l)
{
	if (!l->erasing)
		return;
	echo_raw(l, '/');
	l->erasing = false;
}

static void kill_line(struct ldisc *l)
{
	l->read_head = l->canon_head;
	if (!lflag(l, ECHO))
		return;
	edit_finish_erasing(l);
	echo_input(l, l->termios.c_cc[VKILL]);
	if (lflag(l, ECHOK))
		echo_raw(l, '\n');
}

/* How far a tab that ended at pos had to go: the columns of what stands before it. */
static void erase_tab(struct ldisc *l, u32 pos)
{
	bool after_tab = false;
	u32 width = 0;

	while (pos != l->canon_head && !after_tab) {
		u8 c = *input_at(l, --pos);

		if (c == '\t')
			after_tab = true;
		else if (is_control(c))
			width += lflag(l, ECHOCTL) ? 2 : 0;
		else if (!is_continuation(l, c))
			width++;
	}
	echo_erase_tab(l, width, after_tab);
}

static void rub_out(struct ldisc *l)
{
	echo_raw(l, '\b');
	echo_raw(l, ' ');
	echo_raw(l, '\b');
}

/* Echo that the character of size bytes at pos, whose first byte is c, is gone. */
static void echo_erased(struct ldisc *l, u8 c, u32 pos, u32 size, bool erase)
{
	if (lflag(l, ECHOPRT)) {
		if (!l->erasing) {
			echo_raw(l, '\\');
			l->erasing = true;
		}
		echo_input(l, c);
		for (u32 i = 1; i < size; i++) {
			echo_raw(l, *input_at(l, pos + i));
			if (l->column > 0)
				l->column--;
		}
	} else if (erase && !lflag(l, ECHOE)) {
		echo_input(l, l->termios.c_cc[VERASE]);
	} else if (c == '\t') {
		erase_tab(l, pos);
	} else {
		if (is_control(c) && lflag(l, ECHOCTL))
			rub_out(l);
		if (!is_control(c) || lflag(l, ECHOCTL))
			rub_out(l);
	}
}

/* Where the last character of the line begins; read_head if the line is none. */
static u32 last_character(const struct ldisc *l)
{
	u32 pos = l->read_head;
	u8 c;

	do
		c = *input_at(l, --pos);
	while (is_continuation(l, c) && pos != l->canon_head);
	return is_continuation(l, c) ? l->read_head : pos;
}

void edit_erase(struct ldisc *l, u8 c)
{
	const u8 *cc = l->termios.c_cc;
	bool erase = c == cc[VERASE], word = !erase && c == cc[VWERASE];
	bool in_word = false;

	if (l->read_head == l->canon_head)
		return;
	if (!erase && !word &&
	    (!lflag(l, ECHO) || !lflag(l, ECHOK) || !lflag(l, ECHOKE) || !lflag(l, ECHOE))) {
		kill_line(l);
		return;
	}
	while (l->read_head != l->canon_head) {
		u32 pos = last_character(l), size = l->read_head - pos;
		u8 first;

		if (size == 0)
			break;
		first = *input_at(l, pos);
		if (word) {
			if (is_word(first))
				in_word = true;
			else if (in_word)
				break;
		}
		l->read_head = pos;
		if (lflag(l, ECHO))
			echo_erased(l, first, pos, size, erase);
		if (erase)
			break;
	}
	if (l->read_head == l->canon_head && lflag(l, ECHO))
		edit_finish_erasing(l);
}

void edit_reprint(struct ldisc *l, u8 c)
{
	edit_finish_erasing(l);
	echo_input(l, c);
	echo_raw(l, '\n');
	for (u32 pos = l->canon_head; pos != l->read_head; pos++)
		echo_input(l, *input_at(l, pos));
}
