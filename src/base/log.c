/* The kernel's log. A line is built on the stack and written by one call, so lines of several
 * threads don't mix. */

#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/bug.h"

#define LOG_LINE_MAX 1024

static _Atomic int g_log_fd = -1;
static _Atomic int g_log_level = LOG_WARN;
static ssize_t (*_Atomic g_log_write)(int fd, const void *buf, size_t size);

void log_setup(int fd, enum log_level level, ssize_t (*write)(int fd, const void *buf, size_t size))
{
	g_log_write = write;
	g_log_level = (int)level;
	g_log_fd = fd;
	if (fd >= 0 && write)
		panic_setup(fd, write);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&g_log_level, memory_order_relaxed) &&
	       atomic_load_explicit(&g_log_fd, memory_order_relaxed) >= 0;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char letters[] = "EWID";
	char line[LOG_LINE_MAX];
	struct timespec ts;
	va_list ap;
	int n, m;

	if (!log_enabled(level) || !g_log_write)
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	n = snprintf(line, sizeof(line), "donjon: %5lld.%06ld %c ", (long long)ts.tv_sec,
		     ts.tv_nsec / 1000, letters[level]);
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	n += min(max(m, 0), (int)sizeof(line) - n - 2);
	line[n++] = '\n';
	(void)!g_log_write(g_log_fd, line, (size_t)n);
}
