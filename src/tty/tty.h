#pragma once

/*
 * Terminals: pseudo-terminal pairs, the file system that names them (pty(7), devpts), the
 * controlling terminal as /dev/tty, and the sandbox's console, a pair whose line is the caller's
 * terminal.
 */

#include "base/types.h"

struct console;
struct ctty;
struct file;
struct subject;
struct super;
struct task;

/* Mount options of devpts. */
struct devpts_options {
	bool set_uid, set_gid; /* else the opener's */
	u32 uid, gid;
	u32 mode; /* of slaves */
	u32 max; /* pairs of this instance; not after ptmxmode: both looked like an address */
	u32 ptmxmode; /* of the node ptmx */
};
#define DEVPTS_MAX 4096 /* pairs in all */

/* Parse "uid=0,gid=5,mode=620,ptmxmode=666,max=10,newinstance"; text null or empty: the defaults.
 * -EINVAL. */
[[nodiscard]] int devpts_parse_options(const char *text, struct devpts_options *ret);
[[nodiscard]] int devpts_create(const struct devpts_options *options, struct super **ret);

/* vhangup(2): hang up the caller's controlling terminal. */
long tty_vhangup(struct task *t);

/* ---- the console ---- */

struct console_size {
	u16 row, col, xpixel, ypixel;
};

/*
 * A new pair of the devpts instance sb, whose bytes go to and come from host_fd, a nonblocking
 * stream socket (taken over). termios: a host's struct termios2 to begin with, as its bytes. Call
 * from a fiber; s: whose the slave shall be.
 */
[[nodiscard]] int console_create(struct subject *s, struct super *sb, int host_fd,
				 const void *termios, const struct console_size *size,
				 struct console **ret);
/* As a controlling terminal, for the first process. */
struct ctty *console_ctty(struct console *c);
u32 console_index(const struct console *c);
/* The caller's window has changed. Not on a fiber: the work is done later. */
void console_resize(struct console *c, const struct console_size *size);
/* The command is done with the line; as console_flush, and the pair is hung up. */
void console_close(struct console *c);
/* Park until all output so far has gone out, or nobody takes it any more. */
void console_flush(struct console *c);
