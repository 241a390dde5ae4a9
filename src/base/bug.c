/*
 * panic: the end of the kernel process after a broken invariant. Must work in any state: on any
 * stack, with any lock held, with a damaged heap. So it allocates nothing and writes through a
 * function that upper layers registered.
 */

#include "base/bug.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

extern const char __ehdr_start[] __attribute__((visibility("hidden")));

static ssize_t (*g_panic_write)(int fd, const void *buf, size_t size);
static int g_panic_fd = 2;
static atomic_flag g_panicking = ATOMIC_FLAG_INIT;

void panic_setup(int fd, ssize_t (*write)(int fd, const void *buf, size_t size))
{
	g_panic_fd = fd;
	g_panic_write = write;
}

static void panic_print(const char *buf, int len, int size)
{
	if (len > 0 && g_panic_write)
		(void)!g_panic_write(g_panic_fd, buf, (size_t)min(len, size - 1));
}

#ifdef DONJON_DEBUG
/* Walk frame pointers (debug builds keep them) while they look sane. */
static void panic_backtrace(void)
{
	const u64 *frame = __builtin_frame_address(0);
	char line[64];

	for (int i = 0; i < 24; i++) {
		const u64 *next = (const u64 *)frame[0];
		u64 pc = frame[1];

		if (!pc)
			break;
		panic_print(line,
			    snprintf(line, sizeof(line), "panic:   #%d +0x%lx\n", i,
				     (unsigned long)(pc - (u64)__ehdr_start)),
			    sizeof(line));
		if (next <= frame || (const char *)next > (const char *)frame + 65536)
			break;
		frame = next;
	}
}
#else
static void panic_backtrace(void)
{
}
#endif

void panic(const char *fmt, ...)
{
	char line[512];
	int n, m;
	va_list ap;

	if (atomic_flag_test_and_set(&g_panicking))
		__builtin_trap();
	n = snprintf(line, sizeof(line), "panic: ");
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	n += min(max(m, 0), (int)sizeof(line) - n - 2);
	line[n++] = '\n';
	panic_print(line, n, sizeof(line) + 1);
	n = snprintf(line, sizeof(line), "panic: at +0x%lx\n",
		     (unsigned long)((const char *)__builtin_return_address(0) - __ehdr_start));
	panic_print(line, n, sizeof(line));
	panic_backtrace();
	abort();
}
