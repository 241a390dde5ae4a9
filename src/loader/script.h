#pragma once

/* The first line of a script: "#! interpreter [one argument]". */

#include "base/types.h"

/* How much of a file Linux looks at. */
#define SCRIPT_LINE_MAX 256

/* Both point into the line; not NUL-terminated. */
struct script_line {
	const char *interp, *arg; /* arg: null if there is none */
	size_t interp_len, arg_len;
};

/*
 * Parse a file's first SCRIPT_LINE_MAX bytes, zeros after its end. -ENOEXEC if it is no script, or
 * its interpreter's name may be cut off.
 */
[[nodiscard]] int script_parse(const char line[SCRIPT_LINE_MAX], struct script_line *ret);
