#pragma once

/* The owner of an open file, and signals to it when the file becomes ready: F_SETOWN, F_SETSIG,
 * O_ASYNC. */

#include "base/types.h"

struct file;
struct task;

/* As struct f_owner_ex of Linux. */
struct file_owner_ex {
	int type; /* F_OWNER_TID, PID, PGRP */
	int pid; /* in the caller's pid namespace; 0: nobody */
};

/* -ESRCH: there is no such; -ENOMEM. */
[[nodiscard]] int fasync_set_owner(struct task *t, struct file *f, const struct file_owner_ex *o);
void fasync_get_owner(struct task *t, struct file *f, struct file_owner_ex *ret);
/* The signal, 0: SIGIO without details. */
[[nodiscard]] int fasync_set_signal(struct file *f, int sig);
int fasync_get_signal(struct file *f);
/*
 * F_NOTIFY of the directory f by way of descriptor fd: mask is DN_*, without events it ends. in: a
 * fresh inotify file, taken over; null if there are none. As fcntl's result.
 */
[[nodiscard]] int fasync_watch_directory(struct task *t, struct file *f, int fd, u32 mask,
					 struct file *in);
/* Do what f's O_ASYNC says now, after a change of flags by way of descriptor fd. -ENOMEM. May
 * park. */
[[nodiscard]] int fasync_update(struct file *f, int fd);
