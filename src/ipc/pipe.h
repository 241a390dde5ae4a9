#pragma once

/* Pipes and fifos. */

#include "base/types.h"

struct file;
struct subject;

/* pipe2(2): both ends as open files, ret[0] to read from. flags: O_NONBLOCK, O_DIRECT (packets). */
[[nodiscard]] int pipe_create(struct subject *s, u32 flags, struct file *ret[2]);
/* F_GETPIPE_SZ and F_SETPIPE_SZ. -EBADF if f is no pipe. */
long pipe_fcntl(struct subject *s, struct file *f, int cmd, u64 arg);
