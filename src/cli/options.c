/*
 * The options of `donjon run`: each is decoded and checked as far as that can be done without
 * touching the host; the first wrong one ends it with one line.
 */

#include "cli/options.h"

#include <ctype.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "sandbox/config.h"

#define HOSTNAME_MAX 64
#define MEMORY_MIN (16ULL << 20)

extern char **environ;

const char options_usage[] =
	"usage: donjon run [OPTION...] [--] CMD [ARG...]   run CMD in a sandbox\n"
	"       donjon syscalls                            which system calls a guest may make\n"
	"       donjon doctor                              can this host run sandboxes\n"
	"       donjon --help | --version\n"
	"\n"
	"What CMD sees:\n"
	"  --rootfs DIR         DIR is its root, instead of the host's\n"
	"  --read-only          its root cannot be written\n"
	"  --bind SRC:DST[:ro]  show the host's file or directory SRC at DST; writes go to the host,\n"
	"                       unless :ro\n"
	"  --tmpfs DST          an empty directory in memory at DST\n"
	"  --workdir DIR        start in DIR instead of the caller's directory\n"
	"  --env K=V            set an environment variable (or K: take it from the caller)\n"
	"  --clear-env          start from an empty environment\n"
	"  --user UID[:GID]     run as this user instead of the caller (GID: as UID)\n"
	"  --hostname NAME      name of the machine\n"
	"What it may use:\n"
	"  --cpus N             show it N virtual CPUs\n"
	"  --memory SIZE        at most SIZE bytes of memory: 512M, 2G (16M or more)\n"
	"  --timeout DURATION   end it after this long: 30s, 500ms, 5m, 1h (status 124)\n"
	"What can be watched:\n"
	"  --strace[=FILE]      log its system calls to stderr or FILE\n"
	"  --strace-filter SET  ... but only these: open,close,%file; with ! in front, all others.\n"
	"                       Classes: %file %desc %process %signal %memory %network %time %ids\n"
	"  --log LEVEL[:FILE]   error (default), warn, info or debug, to stderr or FILE\n"
	"\n"
	"Exit status: the guest's; 128+N if it died of signal N; 124 timed out; 125 donjon failed;\n"
	"126 CMD cannot be executed; 127 CMD was not found. See donjon(1).\n";

int usage_error(const char *fmt, ...)
{
	va_list ap;

	fputs("donjon: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs(" (see donjon --help)\n", stderr);
	return EXIT_OWN_FAILURE;
}

/* ---- values ---- */

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

/* "64M", "2G", "1048576K", "100000000". False if it is none of these, or too little or too much. */
static bool parse_size(const char *text, u64 *ret)
{
	static const char units[] = "KMGT";
	const char *unit;
	u64 value, scale = 1;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	value = strtoull(text, &end, 10);
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end[1])
			return false;
		scale = 1ULL << (10 * (unit - units + 1));
	}
	if (__builtin_mul_overflow(value, scale, &value) || value < MEMORY_MIN ||
	    value > 1ULL << 50)
		return false;
	*ret = value;
	return true;
}

/* Digits up to end, which stands there; at most 2^32 - 2, since the last number means "none". */
static bool parse_id(const char *text, char end, u32 *ret, const char **ret_rest)
{
	unsigned long value;
	char *rest;

	if (!isdigit((unsigned char)*text))
		return false;
	value = strtoul(text, &rest, 10);
	if ((*rest && *rest != end) || value >= 0xffff'ffffUL)
		return false;
	*ret = (u32)value;
	*ret_rest = rest;
	return true;
}

static bool parse_user(const char *text, struct sandbox_config *config)
{
	const char *rest;

	if (!parse_id(text, ':', &config->uid, &rest))
		return false;
	config->gid = config->uid;
	if (*rest && !parse_id(rest + 1, '\0', &config->gid, &rest))
		return false;
	config->user_given = true;
	return true;
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

static bool is_hostname(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("-._", name[i]))
			return false;
	return len > 0 && len <= HOSTNAME_MAX;
}

/* An absolute path of the guest's that something can be mounted on: no "." or ".." in it, not "/".
 */
static bool is_target(const char *path)
{
	bool any = false;

	if (*path != '/')
		return false;
	while (*path) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if ((len == 1 && path[0] == '.') || (len == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		any |= len > 0;
		path += len;
	}
	return any;
}

static int add_mount(struct sandbox_config *config, const char *source, const char *target,
		     bool readonly)
{
	if (config->mount_count == MOUNT_REQUESTS_MAX)
		return usage_error("more than %d mounts", MOUNT_REQUESTS_MAX);
	config->mounts[config->mount_count++] = (struct mount_request){ source, target, readonly };
	return 0;
}

/* text is cut into its parts. */
static int parse_bind(char *text, struct sandbox_config *config)
{
	char *colon = strchr(text, ':'), *target, *end;
	bool readonly = false;

	if (!colon || colon == text)
		return usage_error("--bind %s: give SRC:DST or SRC:DST:ro", text);
	target = colon + 1;
	end = strrchr(target, ':');
	if (end && !strcmp(end, ":ro"))
		readonly = true;
	else if (end && strcmp(end, ":rw") != 0)
		return usage_error("--bind %s: give SRC:DST or SRC:DST:ro", text);
	if (end)
		*end = '\0';
	if (!is_target(target))
		return usage_error("--bind %s: DST must be an absolute path below /, without ..",
				   text);
	*colon = '\0';
	return add_mount(config, text, target, readonly);
}

/* ---- the environment ---- */

/* The guest's environment, built in an array that grows by one. */
struct env {
	const char **vars; /* null-terminated */
	size_t count;
};

/* Make room for one more. */
static void env_grow(struct env *e)
{
	e->vars = reallocarray(e->vars, e->count + 2, sizeof(*e->vars));
	if (e->vars)
		return;
	fputs("donjon: out of memory\n", stderr);
	exit(EXIT_OWN_FAILURE);
}

static void env_set(struct env *e, const char *var)
{
	size_t len = (size_t)(strchrnul(var, '=') - var);

	for (size_t i = 0; i < e->count; i++) {
		if (!strncmp(e->vars[i], var, len) && e->vars[i][len] == '=') {
			e->vars[i] = var;
			return;
		}
	}
	env_grow(e);
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

/* ---- the options ---- */

enum {
	OPT_ENV = 256,
	OPT_CLEAR_ENV,
	OPT_WORKDIR,
	OPT_ROOTFS,
	OPT_READ_ONLY,
	OPT_BIND,
	OPT_TMPFS,
	OPT_USER,
	OPT_HOSTNAME,
	OPT_CPUS,
	OPT_MEMORY,
	OPT_TIMEOUT,
	OPT_STRACE,
	OPT_STRACE_FILTER,
	OPT_LOG,
	OPT_HELP
};

static const struct option run_options[] = {
	{ "env", required_argument, NULL, OPT_ENV },
	{ "clear-env", no_argument, NULL, OPT_CLEAR_ENV },
	{ "workdir", required_argument, NULL, OPT_WORKDIR },
	{ "rootfs", required_argument, NULL, OPT_ROOTFS },
	{ "read-only", no_argument, NULL, OPT_READ_ONLY },
	{ "bind", required_argument, NULL, OPT_BIND },
	{ "tmpfs", required_argument, NULL, OPT_TMPFS },
	{ "user", required_argument, NULL, OPT_USER },
	{ "hostname", required_argument, NULL, OPT_HOSTNAME },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "strace", optional_argument, NULL, OPT_STRACE },
	{ "strace-filter", required_argument, NULL, OPT_STRACE_FILTER },
	{ "log", required_argument, NULL, OPT_LOG },
	{ "help", no_argument, NULL, OPT_HELP },
	{},
};

static int parse_filter(const char *text, struct sandbox_config *config)
{
	const char *bad;

	if (syscall_set_parse(text, &config->strace_set, &bad))
		return usage_error(
			"--strace-filter %s: \"%.*s\" is neither a system call nor a class", text,
			(int)strcspn(bad, ","), bad);
	config->strace = true;
	config->strace_filtered = true;
	return 0;
}

/* What CMD sees. */
static int parse_view(int opt, char *arg, struct sandbox_config *config)
{
	switch (opt) {
	case OPT_WORKDIR:
		if (*arg != '/')
			return usage_error("--workdir %s: give an absolute path", arg);
		config->workdir = arg;
		config->workdir_given = true;
		return 0;
	case OPT_ROOTFS:
		if (!*arg)
			return usage_error("--rootfs: give a directory");
		config->rootfs = arg;
		return 0;
	case OPT_READ_ONLY:
		config->readonly_root = true;
		return 0;
	case OPT_BIND:
		return parse_bind(arg, config);
	case OPT_TMPFS:
		if (!is_target(arg))
			return usage_error("--tmpfs %s: give an absolute path below /, without ..",
					   arg);
		return add_mount(config, NULL, arg, false);
	case OPT_USER:
		if (!parse_user(arg, config))
			return usage_error("--user %s: give numbers, UID or UID:GID", arg);
		return 0;
	default:
		if (!is_hostname(arg))
			return usage_error(
				"--hostname %s: give 1 to 64 letters, digits, dots, - and _", arg);
		config->hostname = arg;
		return 0;
	}
}

/* What it may use, and what can be watched. */
static int parse_use(int opt, char *arg, struct sandbox_config *config)
{
	char *end;
	unsigned long n;

	switch (opt) {
	case OPT_CPUS:
		n = strtoul(arg, &end, 10);
		if (*end || end == arg || n < 1 || n > 1024)
			return usage_error("--cpus %s: give a number from 1 to 1024", arg);
		config->cpus = (u32)n;
		return 0;
	case OPT_MEMORY:
		if (!parse_size(arg, &config->memory))
			return usage_error("--memory %s: give a size like 512M or 2G, 16M or more",
					   arg);
		return 0;
	case OPT_TIMEOUT:
		if (!parse_duration(arg, &config->timeout_ns))
			return usage_error("--timeout %s: give a duration like 30s, 500ms or 5m",
					   arg);
		return 0;
	case OPT_STRACE:
		config->strace = true;
		config->strace_file = arg;
		return 0;
	case OPT_STRACE_FILTER:
		return parse_filter(arg, config);
	default:
		if (!parse_log(arg, config))
			return usage_error(
				"--log %s: give error, warn, info or debug, and :FILE if wanted",
				arg);
		return 0;
	}
}

static int build_env(int argc, char **argv, bool clear, struct env *e)
{
	int opt;

	env_grow(e);
	e->vars[0] = NULL;
	for (char **p = environ; !clear && *p; p++)
		env_set(e, *p);
	optind = 0;
	while ((opt = getopt_long(argc, argv, "+", run_options, NULL)) != -1)
		if (opt == OPT_ENV && !env_option(e, optarg))
			return usage_error("--env %s: give K=V", optarg);
	return 0;
}

/* The first pass. --env is for the second one, so that --clear-env may stand anywhere. */
static int parse_all(int argc, char **argv, struct sandbox_config *config, bool *clear_env,
		     bool *ret_help)
{
	int opt, ret = 0;

	opterr = 0;
	optind = 0;
	while (!ret && (opt = getopt_long(argc, argv, "+", run_options, NULL)) != -1) {
		switch (opt) {
		case OPT_HELP:
			*ret_help = true;
			return 0;
		case OPT_ENV:
			break;
		case OPT_CLEAR_ENV:
			*clear_env = true;
			break;
		case '?':
			return usage_error("%s: unknown option, or its argument is missing",
					   argv[optind - 1]);
		default:
			ret = opt <= OPT_HOSTNAME ? parse_view(opt, optarg, config) :
						    parse_use(opt, optarg, config);
		}
	}
	return ret;
}

int options_parse(int argc, char **argv, struct sandbox_config *config, bool *ret_help)
{
	struct env env = {};
	bool clear_env = false;
	int ret;

	*ret_help = false;
	ret = parse_all(argc, argv, config, &clear_env, ret_help);
	if (ret || *ret_help)
		return ret;
	if (optind >= argc)
		return usage_error("run: say which command to run");
	config->argv = (const char *const *)(argv + optind);
	ret = build_env(argc, argv, clear_env, &env);
	config->envp = env.vars;
	if (ret)
		options_free(config);
	return ret;
}

void options_free(struct sandbox_config *config)
{
	free((void *)config->envp);
	config->envp = NULL;
}
