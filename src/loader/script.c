/*
 * "#!" lines, as Linux reads them since 5.1 (execve(2), "Interpreter scripts"): the line ends at a
 * newline; without one within the first 255 bytes, the interpreter's name must be seen to end
 * there, and an argument is cut off. A NUL ends the name or the argument.
 */

#include "loader/script.h"

#include <errno.h>
#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

/* The end of the word at p: a blank, a NUL, or end. */
static const char *find_word_end(const char *p, const char *end)
{
	while (p < end && !is_blank(*p) && *p != '\0')
		p++;
	return p;
}

int script_parse(const char line[SCRIPT_LINE_MAX], struct script_line *ret)
{
	const char *end = memchr(line, '\n', SCRIPT_LINE_MAX), *name, *stop;

	if (line[0] != '#' || line[1] != '!')
		return -ENOEXEC;
	if (!end) {
		end = line + SCRIPT_LINE_MAX - 1;
		name = skip_blanks(line + 2, end);
		if (name == end || find_word_end(name, end) == end)
			return -ENOEXEC;
	}
	while (end > line + 2 && is_blank(end[-1]))
		end--;
	name = skip_blanks(line + 2, end);
	stop = find_word_end(name, end);
	if (stop == name)
		return -ENOEXEC;
	*ret = (struct script_line){ .interp = name, .interp_len = (size_t)(stop - name) };
	if (stop < end && *stop != '\0') {
		const char *arg = skip_blanks(stop, end);

		if (arg < end) {
			ret->arg = arg;
			ret->arg_len = strnlen(arg, (size_t)(end - arg));
		}
	}
	return 0;
}
