#pragma once

/*
 * Strings built piece by piece, bounded. Errors stick: after the first failed append the rest is
 * dropped, and strbuf_error tells once at the end. The contents are always NUL-terminated once
 * anything was appended; they may hold NULs themselves (length counts).
 *
 *	struct strbuf sb;
 *	strbuf_init(&sb, 1 << 20);
 *	strbuf_printf(&sb, "Pid:\t%d\n", pid);
 *	ret = strbuf_error(&sb);
 *	strbuf_fini(&sb);
 */

#include <stdarg.h>

#include "base/types.h"

struct strbuf {
	char *data; /* never null after an append, or with a fixed buffer */
	size_t length; /* bytes, without the NUL */
	size_t capacity; /* bytes at data */
	size_t limit; /* largest capacity */
	bool fixed; /* data is the caller's */
	int error; /* 0, -ENOMEM, or -ENOSPC when the limit was met */
};

/* A buffer that grows on the heap up to limit bytes, NUL included. Cannot fail. */
void strbuf_init(struct strbuf *sb, size_t limit);
/* Use the caller's buffer of size bytes (at least 1). */
void strbuf_init_fixed(struct strbuf *sb, char *buf, size_t size);
/* Free the heap buffer. */
void strbuf_fini(struct strbuf *sb);
/* Forget the contents and the error. */
void strbuf_reset(struct strbuf *sb);

void strbuf_append(struct strbuf *sb, const void *data, size_t size);
void strbuf_puts(struct strbuf *sb, const char *s);
void strbuf_putc(struct strbuf *sb, char c);
void strbuf_printf(struct strbuf *sb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_vprintf(struct strbuf *sb, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

/* 0 or the first error. What was appended before it is kept. */
[[nodiscard]] int strbuf_error(const struct strbuf *sb);
/* The contents as a string; never null. */
const char *strbuf_str(const struct strbuf *sb);
