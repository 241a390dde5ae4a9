#pragma once

/* The kernel's own log: one line a call, prefixed with time and level, written to one host
 * descriptor or dropped. */

#include "base/types.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Where lines go, and the most detailed level written. fd < 0: nowhere. write is the host's write.
 */
void log_setup(int fd, enum log_level level,
	       ssize_t (*write)(int fd, const void *buf, size_t size));
bool log_enabled(enum log_level level);
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) \
	do { \
		if (log_enabled(LOG_DEBUG)) \
			log_line(LOG_DEBUG, __VA_ARGS__); \
	} while (0)
