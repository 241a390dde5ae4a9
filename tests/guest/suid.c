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

static void run(bool unsafe_fs)
{
	char *argv[] = { program, "report", NULL };
	if (unsafe_fs) {
		/* Somebody who shares the working directory could change it under the program. */
		static char stack[16384] __attribute__((aligned(16)));
		(void)stack;
		pid_t child = syscall(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0);
		if (!child) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			pause();
		}
		need(child > 0);
	}
	need(setresgid(CALLER, CALLER, CALLER) == 0);
	need(setresuid(CALLER, CALLER, CALLER) == 0);
	execv(program, argv);
	_exit(90);
}

static int result(bool unsafe_fs, mode_t mode)
{
	need(chmod(program, mode) == 0);
	pid_t child = tap_fork();
	if (!child)
		run(unsafe_fs);
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
	is_int(result(false, 0755), 1 | 2 | 16 | 32, "an ordinary program");
	is_int(result(false, 04755), 1 | 2 | 4 | 8 | 16,
	       "a set-user-ID program: AT_EUID, AT_SECURE");
	is_int(result(true, 04755) & ~4, 1 | 2 | 16 | 32,
	       "its caller shares its working directory: no privilege");
	is_int(result(false, 02755), 1 | 2 | 4 | 16 | 32, "a set-group-ID program");
	unlink(program);
	rmdir(dir);
	return tap_end();
}
