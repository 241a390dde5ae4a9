#pragma once

/*
 * The command's side of the caller's terminal. When standard input and output are one terminal, the
 * guest gets a terminal of its own; the caller's is set raw and the command carries bytes between
 * the two. See docs/tty.md.
 */

#include <poll.h>

#include "sandbox/config.h"

struct terminal {
	bool present; /* the guest has a terminal of its own */
	bool raw; /* the caller's was set raw by us, and we are in its foreground */
	bool hung_up; /* the caller's is gone */
	int in, out; /* the caller's terminal: one descriptor of our own, or the inherited ones */
	int line; /* our end of the socket */
	bool line_closed; /* nothing more will come from it */
	u32 saved[11]; /* struct termios2 of the caller's terminal */
	struct {
		char data[4096];
		size_t size, done;
	} to_guest, to_caller;
};

enum { TERMINAL_POLLS = 3 }; /* descriptors that terminal_poll_begin fills in */

/*
 * Decide whether the guest gets a terminal, and make what it needs: fills in *config and *t. 0 also
 * if it gets none.
 */
[[nodiscard]] int terminal_init(struct terminal *t, struct terminal_config *config);
/* After the kernel process has been cloned: its end is closed here. */
void terminal_started(struct terminal *t, const struct terminal_config *config);
/* Set the caller's terminal raw, if we are in its foreground. At start, and after a stop. */
void terminal_resume(struct terminal *t);
/* Give the caller's terminal back as it was. Harmless if it was not set. */
void terminal_restore(struct terminal *t);
/* The window's size now; false: there is no terminal. */
bool terminal_size(const struct terminal *t, struct terminal_size *ret);
/* What to poll for (entries with fd -1 are none); returns how many ms to wait at most, -1: for
 * ever. */
int terminal_poll_begin(struct terminal *t, struct pollfd fds[TERMINAL_POLLS]);
/* After poll: carry what can be carried. */
void terminal_poll_end(struct terminal *t, const struct pollfd fds[TERMINAL_POLLS]);
/* Carry to the caller all that the kernel process has sent; end: until it closes the line. */
void terminal_drain(struct terminal *t, bool end);
