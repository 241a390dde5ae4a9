/*
 * The harness of the guest tests: TAP output, and children that check things.
 *
 * A guest test is a static program that must pass on Linux and, unchanged, inside Donjon; so the
 * harness itself leans on as little as it can: each line is one write(2) (nothing is buffered that
 * a fork would duplicate), and only the process that called tap_begin() prints results. Children
 * report through their exit status: need() ends a child with status 99 and a diagnostic.
 *
 * Include this before anything else.
 */
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TAP_TIMEOUT 60
#define TAP_NEED_STATUS 99

static int tap_count;
static int tap_failures;
static pid_t tap_pid;

/* Writes one line (a newline is added) to standard output with a single write. */
__attribute__((format(printf, 1, 2))) static inline void tap_print(const char *format, ...)
{
	char line[512];
	va_list args;
	va_start(args, format);
	int length = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (length > (int)sizeof(line) - 2)
		length = sizeof(line) - 2;
	line[length] = '\n';
	if (write(STDOUT_FILENO, line, length + 1) < 0)
		_exit(98);
}

static inline void tap_timed_out(int signal)
{
	static const char text[] = "Bail out! timed out\n";
	(void)signal;
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(97);
	_exit(124);
}

/* Starts the guard clock. Call it first in main(). */
static inline void tap_begin(void)
{
	tap_pid = getpid();
	signal(SIGALRM, tap_timed_out);
	alarm(TAP_TIMEOUT);
}

/* Prints the plan; main() returns its result. */
[[nodiscard]] static inline int tap_end(void)
{
	tap_print("1..%d", tap_count);
	if (tap_failures)
		tap_print("# %d of %d failed", tap_failures, tap_count);
	return tap_failures ? 1 : 0;
}

static inline void tap_vresult(bool passed, const char *format, va_list args)
{
	char name[200];
	vsnprintf(name, sizeof(name), format, args);
	tap_print("%sok %d - %s", passed ? "" : "not ", ++tap_count, name);
	if (!passed)
		tap_failures++;
}

__attribute__((format(printf, 5, 6))) static inline bool tap_ok(bool passed, const char *text,
								const char *file, int line,
								const char *format, ...)
{
	int error = errno;
	va_list args;
	va_start(args, format);
	tap_vresult(passed, format, args);
	va_end(args);
	if (!passed)
		tap_print("# %s:%d: false: %s (errno %d)", file, line, text, error);
	return passed;
}

__attribute__((format(printf, 5, 6))) static inline bool tap_is_int(long long got, long long want,
								    const char *file, int line,
								    const char *format, ...)
{
	int error = errno;
	va_list args;
	va_start(args, format);
	tap_vresult(got == want, format, args);
	va_end(args);
	if (got != want)
		tap_print("# %s:%d: expected %lld (%#llx), got %lld (%#llx), errno %d (%s)", file,
			  line, want, want, got, got, error, strerror(error));
	return got == want;
}

__attribute__((format(printf, 5, 6))) static inline bool tap_is_str(const char *got,
								    const char *want,
								    const char *file, int line,
								    const char *format, ...)
{
	va_list args;
	va_start(args, format);
	bool same = got && strcmp(got, want) == 0;
	tap_vresult(same, format, args);
	va_end(args);
	if (!same)
		tap_print("# %s:%d: expected \"%s\", got \"%s\"", file, line, want,
			  got ? got : "(null)");
	return same;
}

__attribute__((format(printf, 6, 7))) static inline bool tap_is_err(long result, int error,
								    int want, const char *file,
								    int line, const char *format,
								    ...)
{
	bool same = result == -1 && error == want;
	va_list args;
	va_start(args, format);
	tap_vresult(same, format, args);
	va_end(args);
	if (!same)
		tap_print("# %s:%d: expected -1 with errno %d (%s), got %ld with errno %d (%s)",
			  file, line, want, strerror(want), result, error, strerror(error));
	return same;
}

__attribute__((format(printf, 6, 7))) static inline bool tap_is_status(int status, bool by_signal,
								       int want, const char *file,
								       int line, const char *format,
								       ...)
{
	bool same = by_signal ? WIFSIGNALED(status) && WTERMSIG(status) == want :
				WIFEXITED(status) && WEXITSTATUS(status) == want;
	va_list args;
	va_start(args, format);
	tap_vresult(same, format, args);
	va_end(args);
	if (!same)
		tap_print("# %s:%d: expected %s %d, got wait status %#x", file, line,
			  by_signal ? "death by signal" : "exit status", want, status);
	return same;
}

/* The checks. Each is one TAP line; the last arguments are its name, as for printf. */
#define ok(condition, ...) tap_ok((condition), #condition, __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want, ...) \
	tap_is_int((long long)(got), (long long)(want), __FILE__, __LINE__, __VA_ARGS__)
#define is_str(got, want, ...) tap_is_str((got), (want), __FILE__, __LINE__, __VA_ARGS__)
/* The call must return -1 (or MAP_FAILED) and set errno to `want`. */
#define is_err(call, want, ...) \
	({ \
		errno = 0; \
		long tap_result_ = (long)(call); \
		tap_is_err(tap_result_, errno, (want), __FILE__, __LINE__, __VA_ARGS__); \
	})
/* `status` is what wait() gave. */
#define is_exit(status, code, ...) \
	tap_is_status((status), false, (code), __FILE__, __LINE__, __VA_ARGS__)
#define is_killed(status, signal, ...) \
	tap_is_status((status), true, (signal), __FILE__, __LINE__, __VA_ARGS__)

/* Counts as one passed check. */
#define skip(reason, ...) \
	do { \
		char tap_name_[200]; \
		snprintf(tap_name_, sizeof(tap_name_), __VA_ARGS__); \
		tap_print("ok %d - %s # SKIP %s", ++tap_count, tap_name_, reason); \
	} while (0)

/* Ends this process, and in the main one the whole test, unless the condition holds. */
#define need(condition) \
	do { \
		errno = 0; \
		if (!(condition)) { \
			tap_print("%s %s:%d: needed: %s (errno %d)", \
				  getpid() == tap_pid ? "Bail out!" : "#", __FILE__, __LINE__, \
				  #condition, errno); \
			_exit(TAP_NEED_STATUS); \
		} \
	} while (0)

/* In a child: `call` must fail with `error`. */
#define need_err(call, error) \
	do { \
		errno = 0; \
		long tap_result_ = (long)(call); \
		if (tap_result_ != -1 || errno != (error)) { \
			tap_print("# %s:%d: expected errno %d, got %ld, errno %d: %s", __FILE__, \
				  __LINE__, (error), tap_result_, errno, #call); \
			_exit(TAP_NEED_STATUS); \
		} \
	} while (0)

/* fork() whose child dies with its parent and has a guard clock of its own. */
static inline pid_t tap_fork(void)
{
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGALRM, SIG_DFL);
		alarm(TAP_TIMEOUT);
	}
	need(child >= 0);
	return child;
}

/* Waits for `child`, and gives its wait status. */
static inline int tap_wait(pid_t child)
{
	int status = -1;
	pid_t got;
	do
		got = waitpid(child, &status, 0);
	while (got == -1 && errno == EINTR);
	need(got == child);
	return status;
}

/* Runs `function` in a child that exits with 0 when it returns. Gives the wait status. */
static inline int run_child(void (*function)(void))
{
	pid_t child = tap_fork();
	if (child == 0) {
		function();
		_exit(0);
	}
	return tap_wait(child);
}

/* One check: `function` runs to its end in a child. */
#define child_ok(function, ...) is_exit(run_child(function), 0, __VA_ARGS__)

/* Zeroed memory shared with all later children. */
static inline void *shared_alloc(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(p != MAP_FAILED);
	return p;
}

/* Never the measure of a test: only gives others time to get somewhere. */
static inline void pause_ms(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };
	while (nanosleep(&t, &t) == -1 && errno == EINTR)
		;
}

/* Waits until *word, which another task changes, is at least `value`. */
static inline void await_int(const int *word, int value)
{
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) < value)
		pause_ms(1);
}

/* Pipes as events between processes: event_wait() returns once event_post() was called. */
struct event {
	int fd[2];
};

static inline void event_init(struct event *event)
{
	need(pipe(event->fd) == 0);
}

static inline void event_fini(struct event *event)
{
	close(event->fd[0]);
	close(event->fd[1]);
}

static inline void event_post(struct event *event)
{
	need(write(event->fd[1], "x", 1) == 1);
}

static inline void event_wait(struct event *event)
{
	char c;
	ssize_t got;
	do
		got = read(event->fd[0], &c, 1);
	while (got == -1 && errno == EINTR);
	need(got == 1);
}

/* A fresh directory below /tmp; the caller removes it. */
static inline char *temp_dir(void)
{
	static char path[32];
	snprintf(path, sizeof(path), "/tmp/guest.XXXXXX");
	need(mkdtemp(path) != NULL);
	return path;
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
/* An address that is never mapped, and a non-canonical one. */
#define BAD_PTR tap_pointer(8)
#define BAD_PTR_HIGH tap_pointer(0x800000000000UL)

/* Hides from the compiler where a pointer comes from. */
static inline void *tap_pointer(uint64_t address)
{
	asm("" : "+r"(address));
	return (void *)address;
}
