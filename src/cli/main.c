/*
 * The command: donjon run, syscalls, doctor. Decodes its arguments and nothing else; src/sandbox
 * does the work.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "cli/options.h"
#include "host/host.h"
#include "sandbox/config.h"
#include "sandbox/sandbox.h"
#include "syscall/syscall.h"

#define DONJON_VERSION "0.1"

static int flushed(int status)
{
	if (fflush(stdout) || ferror(stdout)) {
		fputs("donjon: cannot write to standard output\n", stderr);
		return EXIT_OWN_FAILURE;
	}
	return status;
}

static int cmd_run(int argc, char **argv, struct sandbox_config *config)
{
	static char cwd[PATH_MAX];
	bool help;
	int ret;

	ret = options_parse(argc, argv, config, &help);
	if (ret)
		return ret;
	if (help) {
		fputs(options_usage, stdout);
		return flushed(0);
	}
	if (!config->workdir) {
		/* The caller's directory means nothing below another root. */
		if (config->rootfs ||
		    host_call(SYS_getcwd, (long)cwd, sizeof(cwd), 0, 0, 0, 0) < 0 || cwd[0] != '/')
			snprintf(cwd, sizeof(cwd), "/");
		config->workdir = cwd;
	}
	ret = sandbox_run(config);
	options_free(config);
	return ret;
}

static int print_line(const char *line, void *arg)
{
	return fprintf(arg, "%s\n", line);
}

/* Descriptors 0, 1 and 2 are open afterwards, and nothing above them is. */
static int tidy_descriptors(struct sandbox_config *config)
{
	for (int fd = 0; fd < 3; fd++) {
		if (host_fcntl(fd, F_GETFD, 0) >= 0)
			continue;
		config->stdio_closed[fd] = true;
		if (host_openat(AT_FDCWD, "/dev/null", O_RDWR, 0) != fd)
			return -EBADF;
	}
	return (int)host_call(SYS_close_range, 3, ~0U, 0, 0, 0, 0);
}

int main(int argc, char **argv)
{
	struct sandbox_config config = { .log_level = LOG_ERROR };
	const char *verb = argc > 1 ? argv[1] : NULL;

	if (tidy_descriptors(&config)) {
		fputs("donjon: cannot open /dev/null for a closed standard stream\n", stderr);
		return EXIT_OWN_FAILURE;
	}
	if (!verb)
		return usage_error("say what to do");
	if (!strcmp(verb, "run"))
		return cmd_run(argc - 1, argv + 1, &config);
	if (!strcmp(verb, "syscalls")) {
		syscall_print_table(print_line, stdout);
		return flushed(0);
	}
	if (!strcmp(verb, "doctor"))
		return flushed(sandbox_doctor());
	if (!strcmp(verb, "--help") || !strcmp(verb, "help") || !strcmp(verb, "-h")) {
		fputs(options_usage, stdout);
		return flushed(0);
	}
	if (!strcmp(verb, "--version")) {
		puts("donjon " DONJON_VERSION);
		return flushed(0);
	}
	return usage_error("%s: no such command", verb);
}
