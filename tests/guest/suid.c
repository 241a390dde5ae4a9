/*
 * Set-user-ID programs: what the auxiliary vector says, and when privilege is withheld. Needs root
 * to make such a file.
 */
#include "tap.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#define OTHER 12345
#define CALLER 23456

static char program[64];

/* In the program: its ids as it sees them, in one number. */
static int report(void)
{
	int secure = getauxval(AT_SECURE) != 0;
	int agree = getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid() &&
		    getauxval(AT_GID) == getgid() && getauxval(AT_EGID) == getegid();
	return 1 | agree << 1 | secure << 2 | (geteuid() == OTHER) << 3 |
	       (getuid() == CALLER) << 4 | (geteuid() == CALLER) << 5;
}

/* Who shares the working directory with the caller of a program could change it under that. */
enum fs { ALONE, SHARED, NO_LONGER_SHARED };

static void share_fs(bool no_longer)
{
	struct event ready;
	int alive[2];
	char c;
	event_init(&ready);
	need(pipe(alive) == 0);
	pid_t child = syscall(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0);
	if (!child) {
		close(alive[1]);
		if (no_longer)
			need(unshare(CLONE_FS) == 0);
		event_post(&ready);
		/* The program that the parent becomes may not end us by a signal. */
		_exit(read(alive[0], &c, 1) != 0);
	}
	need(child > 0);
	event_wait(&ready);
	event_fini(&ready);
}

static void run(enum fs fs)
{
	char *argv[] = { program, "report", NULL };
	if (fs != ALONE)
		share_fs(fs == NO_LONGER_SHARED);
	need(setresgid(CALLER, CALLER, CALLER) == 0);
	need(setresuid(CALLER, CALLER, CALLER) == 0);
	execv(program, argv);
	_exit(90);
}

static int result(enum fs fs, mode_t mode)
{
	need(chmod(program, mode) == 0);
	pid_t child = tap_fork();
	if (!child)
		run(fs);
	int status = tap_wait(child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void copy_self(void)
{
	char buf[65536];
	int in = open("/proc/self/exe", O_RDONLY), out;
	ssize_t n;
	need(in >= 0);
	out = open(program, O_WRONLY | O_CREAT | O_EXCL, 0755);
	need(out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		need(write(out, buf, n) == n);
	close(in);
	close(out);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "report") == 0)
		return report();
	tap_begin();
	if (geteuid() != 0) {
		skip("needs root", "set-user-ID");
		return tap_end();
	}
	char *dir = temp_dir();
	need(chmod(dir, 0755) == 0);
	snprintf(program, sizeof(program), "%s/suid", dir);
	copy_self();
	need(chown(program, OTHER, OTHER) == 0);
	is_int(result(ALONE, 0755), 1 | 2 | 16 | 32, "an ordinary program");
	is_int(result(ALONE, 04755), 1 | 2 | 4 | 8 | 16,
	       "a set-user-ID program: AT_EUID, AT_SECURE");
	is_int(result(SHARED, 04755) & ~4, 1 | 2 | 16 | 32,
	       "its caller shares its working directory: no privilege");
	is_int(result(NO_LONGER_SHARED, 04755), 1 | 2 | 4 | 8 | 16, "its caller does so no longer");
	is_int(result(ALONE, 02755), 1 | 2 | 4 | 16 | 32, "a set-group-ID program");
	unlink(program);
	rmdir(dir);
	return tap_end();
}
