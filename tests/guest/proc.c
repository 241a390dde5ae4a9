/*
 * The part of /proc that every program counts on: self/exe, fd, maps, stat, status.
 */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

static char text[65536];

static ssize_t slurp(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t length = 0, n;
	if (fd < 0)
		return -1;
	while ((n = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += n;
	close(fd);
	text[length] = 0;
	return length;
}

static void test_self(void)
{
	char link[256] = "", want[32];
	struct stat a, b;
	snprintf(want, sizeof(want), "%d", getpid());
	ok(readlink("/proc/self", link, sizeof(link) - 1) > 0, "/proc/self is a link");
	is_str(link, want, "to the pid");
	memset(link, 0, sizeof(link));
	ok(readlink("/proc/self/exe", link, sizeof(link) - 1) > 0, "/proc/self/exe is a link");
	const char *name = strrchr(link, '/');
	is_str(name ? name + 1 : "", "proc", "to this program");
	is_int(stat("/proc/self/exe", &a), 0, "stat follows it");
	is_int(stat(link, &b), 0, "and by name");
	ok(a.st_ino == b.st_ino && a.st_dev == b.st_dev && S_ISREG(a.st_mode), "one file");
	snprintf(want, sizeof(want), "/proc/%d/exe", getpid());
	is_int(stat(want, &b), 0, "by pid");
	ok(a.st_ino == b.st_ino, "one file");
	is_err(open("/proc/999999999/stat", O_RDONLY), ENOENT, "a process that is not there");
	is_err(open("/proc/self/no-such", O_RDONLY), ENOENT, "a file that is not there");
	pid_t child = tap_fork();
	if (child == 0) {
		snprintf(want, sizeof(want), "%d", getpid());
		memset(link, 0, sizeof(link));
		_exit(readlink("/proc/self", link, sizeof(link) - 1) > 0 &&
				      strcmp(link, want) == 0 ?
			      0 :
			      1);
	}
	is_exit(tap_wait(child), 0, "a child has its own");
}

static void test_fd(void)
{
	char path[64], link[256] = "", c;
	int fd[2], seen = 0;
	need(pipe(fd) == 0);
	int file = open("/etc/passwd", O_RDONLY);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	ok(readlink(path, link, sizeof(link) - 1) > 0, "a descriptor is a link");
	is_str(link, "/etc/passwd", "to its file");
	lseek(file, 100, SEEK_SET);
	int again = open(path, O_RDONLY);
	is_int(lseek(again, 0, SEEK_CUR), 0, "opening it opens the file anew");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd[1]);
	memset(link, 0, sizeof(link));
	readlink(path, link, sizeof(link) - 1);
	ok(strncmp(link, "pipe:[", 6) == 0, "a pipe has a number for a name");
	int copy = open(path, O_WRONLY);
	ok(copy >= 0 && write(copy, "x", 1) == 1 && read(fd[0], &c, 1) == 1, "and can be opened");
	DIR *stream = opendir("/proc/self/fd");
	struct dirent *entry;
	while ((entry = readdir(stream)) != NULL) {
		int n = (int)strtol(entry->d_name, NULL, 10);
		seen += n && (n == fd[0] || n == fd[1] || n == file || n == again);
	}
	closedir(stream);
	is_int(seen, 4, "the directory lists them");
	close(file);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	is_err(readlink(path, link, sizeof(link)), ENOENT, "a closed one is gone");
	close(fd[0]);
	close(fd[1]);
	close(again);
	close(copy);
}

static void test_stat(void)
{
	int pid = 0, ppid = 0, pgrp = 0, session = 0;
	char comm[64] = "", state = 0;
	ok(slurp("/proc/self/stat") > 0, "stat can be read");
	is_int(sscanf(text, "%d (%63[^)]) %c %d %d %d", &pid, comm, &state, &ppid, &pgrp, &session),
	       6, "its fields");
	is_int(pid, getpid(), "pid");
	is_str(comm, "proc", "name");
	is_int(state, 'R', "state");
	is_int(ppid, getppid(), "parent");
	is_int(pgrp, getpgrp(), "process group");
	is_int(session, getsid(0), "session");
	int fields = 1;
	for (char *p = strrchr(text, ')'); *p; p++)
		fields += *p == ' ';
	is_int(fields, 51, "the number of fields after the pid");
}

/* The value of a field of status; the text up to the end of the line. */
static const char *field(const char *name)
{
	static char value[128];
	char *p = strstr(text, name);
	value[0] = 0;
	if (p && (p == text || p[-1] == '\n'))
		sscanf(p + strlen(name), ":%*[ \t]%127[^\n]", value);
	return value;
}

static void test_status(void)
{
	char want[64];
	ok(slurp("/proc/self/status") > 0, "status can be read");
	is_str(field("Name"), "proc", "Name");
	snprintf(want, sizeof(want), "%d", getpid());
	is_str(field("Pid"), want, "Pid");
	is_str(field("Tgid"), want, "Tgid");
	snprintf(want, sizeof(want), "%d", getppid());
	is_str(field("PPid"), want, "PPid");
	snprintf(want, sizeof(want), "%d\t%d\t%d\t%d", getuid(), getuid(), getuid(), getuid());
	is_str(field("Uid"), want, "Uid");
	is_str(field("Threads"), "1", "Threads");
	is_str(field("State"), "R (running)", "State");
	ok(strtol(field("VmSize"), NULL, 10) > 0, "VmSize");
	ok(strtol(field("VmRSS"), NULL, 10) > 0, "VmRSS");
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGUSR2, SIG_IGN);
	raise(SIGUSR1);
	slurp("/proc/self/status");
	is_str(field("SigBlk"), "0000000000000200", "SigBlk");
	is_str(field("SigPnd"), "0000000000000200", "SigPnd");
	ok(strtoull(field("SigIgn"), NULL, 16) & 0x800, "SigIgn");
	ok(strtoull(field("SigCgt"), NULL, 16) & 0x2000, "SigCgt");
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_DFL);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void test_maps(void)
{
	unsigned long start, end, last = 0, here = (unsigned long)(uintptr_t)&text;
	unsigned long code = (unsigned long)(uintptr_t)test_maps;
	unsigned long stack = (unsigned long)(uintptr_t)__builtin_frame_address(0);
	char permissions[8];
	int found = 0, stack_name = 0;
	bool sorted = true;
	ok(slurp("/proc/self/maps") > 0, "maps can be read");
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (sscanf(line, "%lx-%lx %7s", &start, &end, permissions) != 3)
			continue;
		sorted &= start >= last && end > start;
		last = end;
		found += here >= start && here < end && strcmp(permissions, "rw-p") == 0;
		found += code >= start && code < end && strcmp(permissions, "r-xp") == 0;
		found += stack >= start && stack < end && strcmp(permissions, "rw-p") == 0;
		stack_name += stack >= start && stack < end && strstr(line, "[stack]") != NULL;
	}
	ok(sorted, "it is in order");
	is_int(found, 3, "it has code, data and stack");
	is_int(stack_name, 1, "the stack is named");
}

int main(void)
{
	tap_begin();
	test_self();
	test_fd();
	test_stat();
	test_status();
	test_maps();
	return tap_end();
}
