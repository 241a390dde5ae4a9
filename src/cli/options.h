#pragma once

/* The options of `donjon run`. */

#include <stdbool.h>

struct sandbox_config;

extern const char options_usage[];

/* Print "donjon: ..." and where to read more on stderr; the exit status of a wrong use. */
__attribute__((format(printf, 1, 2))) int usage_error(const char *fmt, ...);

/*
 * Decode the arguments of run (argv[0] is "run") into config, which then points into argv, the
 * environment and memory of its own. *ret_help: --help was asked for, nothing else is set. 0, or an
 * exit status after one line on stderr.
 */
int options_parse(int argc, char **argv, struct sandbox_config *config, bool *ret_help);
/* Free what options_parse has allocated. */
void options_free(struct sandbox_config *config);
