/* One write a text, so that lines of several processes do not mix. */

#include "sandbox/say.h"

#include <stdarg.h>
#include <stdio.h>

#include "host/host.h"

void say(int fd, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (len >= (int)sizeof(text)) {
		len = sizeof(text) - 1;
		text[len - 1] = '\n';
	}
	(void)!host_write(fd, text, (size_t)len);
}
