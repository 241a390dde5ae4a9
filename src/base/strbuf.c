/* Bounded string builder; see the header. */

#include "base/strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void strbuf_init(struct strbuf *sb, size_t limit)
{
	*sb = (struct strbuf){ .limit = limit };
}

void strbuf_init_fixed(struct strbuf *sb, char *buf, size_t size)
{
	*sb = (struct strbuf){ .data = buf, .capacity = size, .limit = size, .fixed = true };
	buf[0] = '\0';
}

void strbuf_fini(struct strbuf *sb)
{
	if (!sb->fixed)
		free(sb->data);
	*sb = (struct strbuf){};
}

void strbuf_reset(struct strbuf *sb)
{
	sb->length = 0;
	sb->error = 0;
	if (sb->data)
		sb->data[0] = '\0';
}

/* Make room for size more bytes and a NUL. */
static bool strbuf_grow(struct strbuf *sb, size_t size)
{
	size_t need, cap;
	char *data;

	if (sb->error)
		return false;
	if (__builtin_add_overflow(sb->length, size, &need) ||
	    __builtin_add_overflow(need, 1, &need) || need > sb->limit) {
		sb->error = -ENOSPC;
		return false;
	}
	if (need <= sb->capacity)
		return true;
	cap = min(max(max(need, sb->capacity * 2), (size_t)256), sb->limit);
	data = realloc(sb->data, cap);
	if (!data) {
		sb->error = -ENOMEM;
		return false;
	}
	sb->data = data;
	sb->capacity = cap;
	return true;
}

void strbuf_append(struct strbuf *sb, const void *data, size_t size)
{
	if (!strbuf_grow(sb, size))
		return;
	if (size)
		memcpy(sb->data + sb->length, data, size);
	sb->length += size;
	sb->data[sb->length] = '\0';
}

void strbuf_puts(struct strbuf *sb, const char *s)
{
	strbuf_append(sb, s, strlen(s));
}

void strbuf_putc(struct strbuf *sb, char c)
{
	strbuf_append(sb, &c, 1);
}

void strbuf_vprintf(struct strbuf *sb, const char *fmt, va_list ap)
{
	va_list again;
	size_t room;
	int n;

	if (sb->error)
		return;
	va_copy(again, ap);
	room = sb->capacity - sb->length;
	n = vsnprintf(sb->data ? sb->data + sb->length : NULL, room, fmt, ap);
	if (n >= 0 && (size_t)n >= room && strbuf_grow(sb, (size_t)n))
		n = vsnprintf(sb->data + sb->length, sb->capacity - sb->length, fmt, again);
	va_end(again);
	if (n > 0 && !sb->error)
		sb->length += (size_t)n;
	else if (sb->data)
		sb->data[sb->length] = '\0';
}

void strbuf_printf(struct strbuf *sb, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strbuf_vprintf(sb, fmt, ap);
	va_end(ap);
}

int strbuf_error(const struct strbuf *sb)
{
	return sb->error;
}

const char *strbuf_str(const struct strbuf *sb)
{
	return sb->data ? sb->data : "";
}
