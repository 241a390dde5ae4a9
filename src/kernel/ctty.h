#pragma once

/*
 * Controlling terminals: what sessions and job control know of a terminal (credentials(7),
 * ioctl_tty(2)). A terminal embeds a struct ctty; a process (thread group) points to the one that
 * controls it. All fields are protected by lc_tasks, which the functions take themselves unless
 * they say that they require it. None parks; all are called on the task's own fiber if they have a
 * task.
 *
 * The pointers of processes to their terminal are not counted. They are all within ctty->session,
 * and are cleared together with it; a terminal calls ctty_hangup with dead set before it goes.
 */

#include "kernel/task.h"

struct ctty {
	u64 dev; /* [I] device number */
	struct session *session; /* [S] owned: whose controlling terminal this is, or null */
	struct pid *pgrp; /* [S] owned: names the foreground group; null with session */
	bool dead; /* [S] it can control no session any more */
};

void ctty_init(struct ctty *c, u64 dev);
/* t's controlling terminal with a reference taken by get; null: none. */
struct ctty *ctty_current(struct task *t, void (*get)(struct ctty *c));

/*
 * May t, of a background group perhaps, do what needs the foreground? sig: SIGTTIN or SIGTTOU. 0;
 * -EIO: not, and it is not to be told by a signal; -ERESTARTSYS: its group has been sent sig.
 */
[[nodiscard]] int ctty_check(struct task *t, struct ctty *c, int sig);

/* A terminal is opened without O_NOCTTY: it becomes that of a session leader that has none. */
void ctty_open(struct task *t, struct ctty *c);
/* TIOCSCTTY; steal: take it from another session if privileged; readable: the file is. -EPERM,
 * -EIO. */
[[nodiscard]] int ctty_acquire(struct task *t, struct ctty *c, bool steal, bool readable);
/* TIOCNOTTY: -ENOTTY. */
[[nodiscard]] int ctty_release(struct task *t, struct ctty *c);
/* TIOCGPGRP and TIOCGSID: numbers as t sees them; any: c need not be t's own terminal. -ENOTTY. */
[[nodiscard]] int ctty_get_pgrp(struct task *t, struct ctty *c, bool any, u32 *ret);
[[nodiscard]] int ctty_get_session(struct task *t, struct ctty *c, bool any, u32 *ret);
/* The part of TIOCSPGRP after ctty_check. -ENOTTY, -ESRCH, -EPERM. */
[[nodiscard]] int ctty_set_pgrp(struct task *t, struct ctty *c, u32 pgid);

/* Send the foreground group a signal of the kernel's. */
void ctty_signal(struct ctty *c, int sig);
/* Tell the session leader that the line is gone (SIGHUP, SIGCONT), and part terminal and session.
 * dead: for ever. */
void ctty_hangup(struct ctty *c, bool dead);

/* tg's leader-to-be of a first session takes c. */
void ctty_adopt(struct thread_group *tg, struct ctty *c) REQUIRES(lc_tasks);
/* The last thread of tg exits: if it leads a session, that loses its terminal. */
void ctty_session_exit(struct thread_group *tg) REQUIRES(lc_tasks);
/* tg is unlinked: forget what it had. */
void ctty_forget(struct thread_group *tg) REQUIRES(lc_tasks);
/* For /proc/PID/stat: device number (0: none) and foreground group as seen in ns (-1: none). */
void ctty_show(const struct thread_group *tg, const struct pid_ns *ns, u64 *ret_dev, s32 *ret_pgrp)
	REQUIRES(lc_tasks);
