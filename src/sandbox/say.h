#pragma once

/* What the command says to its user: one formatted text, of at most 500 bytes, in one write. */

/* fd: 1 or 2. Not for the kernel process, which logs (base/log.h). */
void say(int fd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
