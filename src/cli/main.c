/*
 * The command: donjon run, syscalls, doctor. Decodes its arguments and nothing else; src/sandbox
 * does the work.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "host/host.h"
#include "sandbox/config.h"
#include "sandbox/sandbox.h"
#include "syscall/syscall.h"

#define DONJON_VERSION "0.1"

extern char **environ;

static const char usage_text[] =
	"usage: donjon run [OPTION...] [--] CMD [ARG...]   run CMD in a sandbox\n"
	"       donjon syscalls                            which system calls a guest may make\n"
	"       donjon doctor                              can this host run sandboxes\n"
	"       donjon --help | --version\n"
	"\n"
	"Options of run:\n"
	"  --env K=V            set an environment variable (or K: take it from the caller)\n"
	"  --clear-env          start from an empty environment\n"
	"  --workdir DIR        start in DIR instead of the caller's directory\n"
	"  --cpus N             show the guest N virtual CPUs\n"
	"  --timeout DURATION   end the guest after this long: 30s, 500ms, 5m, 1h (status 124)\n"
	"  --strace[=FILE]      log the guest's system calls to stderr or FILE\n"
	"  --log LEVEL[:FILE]   error (default), warn, info or debug, to stderr or FILE\n"
	"\n"
	"Exit status: the guest's; 128+N if it died of signal N; 124 timed out; 125 donjon failed;\n"
	"126 CMD cannot be executed; 127 CMD was not found.\n";

/* One clear line, and the status for our own failure. */
__attribute__((format(printf, 1, 2))) static int usage_error(const char *fmt, ...)
{
	va_list ap;

	fputs("donjon: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs(" (see donjon --help)\n", stderr);
	return EXIT_OWN_FAILURE;
}

/* "1.5s", "500ms", "2m", "1h", "10": seconds. False if it is none of these, zero, or over 100
 * years. */
static bool parse_duration(const char *text, s64 *ret_ns)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = { { "", 1e9 },  { "ns", 1 },   { "us", 1e3 },  { "ms", 1e6 },
		      { "s", 1e9 }, { "m", 6e10 }, { "h", 3.6e12 } };
	char *end;
	double value = strtod(text, &end);

	if (end == text || !(value > 0))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		if (value * units[i].ns > 3.2e18 || value * units[i].ns < 1)
			return false;
		*ret_ns = (s64)(value * units[i].ns);
		return true;
	}
	return false;
}

static bool parse_log(const char *text, struct sandbox_config *config)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	const char *colon = strchrnul(text, ':');
	size_t len = (size_t)(colon - text);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strlen(names[i]) != len || strncmp(text, names[i], len) != 0)
			continue;
		config->log_level = (enum log_level)i;
		config->log_file = *colon ? colon + 1 : NULL;
		return true;
	}
	return false;
}

/* The guest's environment, built in an array that grows by one. */
struct env {
	const char **vars; /* null-terminated */
	size_t count;
};

static void env_set(struct env *e, const char *var)
{
	size_t len = (size_t)(strchrnul(var, '=') - var);

	for (size_t i = 0; i < e->count; i++) {
		if (!strncmp(e->vars[i], var, len) && e->vars[i][len] == '=') {
			e->vars[i] = var;
			return;
		}
	}
	e->vars = reallocarray(e->vars, e->count + 2, sizeof(*e->vars));
	if (!e->vars) {
		fputs("donjon: out of memory\n", stderr);
		exit(EXIT_OWN_FAILURE);
	}
	e->vars[e->count++] = var;
	e->vars[e->count] = NULL;
}

/* --env K=V, or --env K for the caller's value. */
static bool env_option(struct env *e, const char *arg)
{
	size_t len = strlen(arg);

	if (!*arg || *arg == '=')
		return false;
	if (strchr(arg, '=')) {
		env_set(e, arg);
		return true;
	}
	for (char **p = environ; *p; p++)
		if (!strncmp(*p, arg, len) && (*p)[len] == '=')
			env_set(e, *p);
	return true;
}

enum {
	OPT_ENV = 256,
	OPT_CLEAR_ENV,
	OPT_WORKDIR,
	OPT_CPUS,
	OPT_TIMEOUT,
	OPT_STRACE,
	OPT_LOG,
	OPT_HELP
};

static const struct option run_options[] = {
	{ "env", required_argument, NULL, OPT_ENV },
	{ "clear-env", no_argument, NULL, OPT_CLEAR_ENV },
	{ "workdir", required_argument, NULL, OPT_WORKDIR },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "strace", optional_argument, NULL, OPT_STRACE },
	{ "log", required_argument, NULL, OPT_LOG },
	{ "help", no_argument, NULL, OPT_HELP },
	{},
};

/* Options that say --env are applied after this loop, so that --clear-env may stand anywhere. */
static int parse_option(int opt, struct sandbox_config *config, bool *clear_env)
{
	char *end;
	unsigned long n;

	switch (opt) {
	case OPT_ENV:
		return 0;
	case OPT_CLEAR_ENV:
		*clear_env = true;
		return 0;
	case OPT_WORKDIR:
		if (*optarg != '/')
			return usage_error("--workdir %s: give an absolute path", optarg);
		config->workdir = optarg;
		config->workdir_given = true;
		return 0;
	case OPT_CPUS:
		n = strtoul(optarg, &end, 10);
		if (*end || end == optarg || n < 1 || n > 1024)
			return usage_error("--cpus %s: give a number from 1 to 1024", optarg);
		config->cpus = (u32)n;
		return 0;
	case OPT_TIMEOUT:
		if (!parse_duration(optarg, &config->timeout_ns))
			return usage_error("--timeout %s: give a duration like 30s, 500ms or 5m",
					   optarg);
		return 0;
	case OPT_STRACE:
		config->strace = true;
		config->strace_file = optarg;
		return 0;
	case OPT_LOG:
		if (!parse_log(optarg, config))
			return usage_error(
				"--log %s: give error, warn, info or debug, and :FILE if wanted",
				optarg);
		return 0;
	default:
		return usage_error("unknown option, or one without its argument: %s", "donjon run");
	}
}

static int build_env(int argc, char **argv, bool clear, struct env *e)
{
	int opt;

	e->vars = calloc(1, sizeof(*e->vars));
	for (char **p = environ; !clear && *p; p++)
		env_set(e, *p);
	optind = 0;
	while ((opt = getopt_long(argc, argv, "+", run_options, NULL)) != -1)
		if (opt == OPT_ENV && !env_option(e, optarg))
			return usage_error("--env %s: give K=V", optarg);
	return 0;
}

static int cmd_run(int argc, char **argv, struct sandbox_config *config)
{
	static char cwd[PATH_MAX];
	struct env env = {};
	bool clear_env = false;
	int opt, ret;

	opterr = 0;
	optind = 0;
	while ((opt = getopt_long(argc, argv, "+", run_options, NULL)) != -1) {
		if (opt == OPT_HELP) {
			fputs(usage_text, stdout);
			return 0;
		}
		if (opt == '?')
			return usage_error("%s: unknown option, or its argument is missing",
					   argv[optind - 1]);
		ret = parse_option(opt, config, &clear_env);
		if (ret)
			return ret;
	}
	if (optind >= argc)
		return usage_error("run: say which command to run");
	config->argv = (const char *const *)(argv + optind);
	ret = build_env(argc, argv, clear_env, &env);
	if (ret) {
		free(env.vars);
		return ret;
	}
	config->envp = env.vars;
	if (!config->workdir) {
		if (host_call(SYS_getcwd, (long)cwd, sizeof(cwd), 0, 0, 0, 0) < 0 || cwd[0] != '/')
			snprintf(cwd, sizeof(cwd), "/");
		config->workdir = cwd;
	}
	ret = sandbox_run(config);
	config->envp = NULL;
	free(env.vars);
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

static int flushed(int status)
{
	if (fflush(stdout) || ferror(stdout)) {
		fputs("donjon: cannot write to standard output\n", stderr);
		return EXIT_OWN_FAILURE;
	}
	return status;
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
		fputs(usage_text, stdout);
		return flushed(0);
	}
	if (!strcmp(verb, "--version")) {
		puts("donjon " DONJON_VERSION);
		return flushed(0);
	}
	return usage_error("%s: no such command", verb);
}
