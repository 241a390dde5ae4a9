/*
 * What can be done with a process by its files in /proc: memory, settings, descriptors, namespaces;
 * who may; and what becomes of a file whose process ends.
 */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#ifndef NS_GET_NSTYPE
#define NS_GET_NSTYPE 0xb703
#define NS_GET_OWNER_UID 0xb704
#define NS_GET_USERNS 0xb701
#define NS_GET_PARENT 0xb702
#endif

static char text[65536];

static ssize_t slurp(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t length = 0, n;
	if (fd < 0)
		return -1;
	while ((n = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += n;
	int error = errno;
	close(fd);
	errno = error;
	text[length] = 0;
	return n < 0 ? -1 : length;
}

static ssize_t put(const char *path, const char *data)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, data, strlen(data));
	int error = errno;
	close(fd);
	errno = error;
	return n;
}

/* The number in a file; -1 if it has none. */
static long number(const char *path, int base)
{
	return slurp(path) > 0 ? strtol(text, NULL, base) : -1;
}

static void test_stat(void)
{
	need(slurp("/proc/self/stat") > 0);
	char *p = strrchr(text, ')');
	unsigned long field[53] = { 0 };
	int count = 3;
	need(p && p[1] == ' ' && p[3] == ' ');
	for (char *word = strtok(p + 4, " \n"); word && count < 52; word = strtok(NULL, " \n"))
		field[++count] = strtoul(word, NULL, 10);
	is_int(count, 52, "stat has 52 fields");
	is_int(field[4], getppid(), "parent");
	is_int(field[5], getpgrp(), "group");
	is_int(field[6], getsid(0), "session");
	is_int(field[20], 1, "threads");
	is_int(field[18], 20, "priority");
	ok(field[22] > 0, "start time");
	ok(field[23] > field[24] * 4096 / 4, "size");
	ok(field[24] > 0, "resident pages");
	unsigned long code = (unsigned long)(uintptr_t)test_stat;
	ok(field[26] <= code && code < field[27], "code");
	ok(field[28] > (unsigned long)(uintptr_t)&count, "stack");
	is_int(field[38], SIGCHLD, "exit signal");
	is_int(field[41], SCHED_OTHER, "policy");
	extern char **environ;
	ok(field[48] < field[49] && field[50] <= (unsigned long)(uintptr_t)environ[0] &&
		   (unsigned long)(uintptr_t)environ[0] < field[51],
	   "arguments and environment");
	setpriority(PRIO_PROCESS, 0, 5);
	slurp("/proc/self/stat");
	int priority, niceness;
	need(sscanf(strrchr(text, ')'),
		    ") R %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d "
		    "%*d %d %d",
		    &priority, &niceness) == 2);
	is_int(priority, 25, "priority of a nice process");
	is_int(niceness, 5, "niceness");
}

static void test_cpu_time(void)
{
	struct timespec used;
	unsigned long user, system;
	do {
		for (volatile int i = 0; i < 1000000; i++)
			;
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	} while (used.tv_sec * 1000 + used.tv_nsec / 1000000 < 120);
	slurp("/proc/self/stat");
	need(sscanf(strrchr(text, ')'), ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
		    &user, &system) == 2);
	ok(user + system >= 10, "CPU time is counted");
	ok(number("/proc/self/schedstat", 10) >= 100000000, "by schedstat too");
}

static long voluntary_switches(void)
{
	need(slurp("/proc/self/status") > 0);
	char *p = strstr(text, "\nvoluntary_ctxt_switches:");
	return p ? strtol(strchr(p, ':') + 1, NULL, 10) : -1;
}

static void test_switches(void)
{
	struct rusage usage;
	long before = voluntary_switches();
	for (int i = 0; i < 5; i++)
		pause_ms(2);
	ok(voluntary_switches() >= before + 5, "waits are counted");
	getrusage(RUSAGE_SELF, &usage);
	ok(usage.ru_nvcsw >= before + 5, "by getrusage too");
}

static void test_memory(void)
{
	static volatile long word = 1234;
	long seen = 0, page = sysconf(_SC_PAGESIZE);
	int fd = open("/proc/self/mem", O_RDWR);
	ok(fd >= 0, "open mem");
	is_int(pread(fd, &seen, sizeof(seen), (off_t)(uintptr_t)&word), sizeof(seen), "read it");
	is_int(seen, 1234, "a word");
	seen = 4321;
	is_int(pwrite(fd, &seen, sizeof(seen), (off_t)(uintptr_t)&word), sizeof(seen), "write it");
	is_int(word, 4321, "the word");
	is_int(lseek(fd, (off_t)(uintptr_t)&word, SEEK_SET), (off_t)(uintptr_t)&word, "seek");
	is_int(read(fd, &seen, sizeof(seen)), sizeof(seen), "read there");
	is_int(lseek(fd, 0, SEEK_CUR), (off_t)(uintptr_t)&word + 8, "moves on");
	is_err(lseek(fd, 0, SEEK_END), EINVAL, "there is no end");
	char *hole =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(hole != MAP_FAILED);
	munmap(hole + page, page);
	static char buffer[8192];
	is_int(pread(fd, buffer, sizeof(buffer), (off_t)(uintptr_t)hole), page, "up to a hole");
	is_err(pread(fd, buffer, 1, (off_t)(uintptr_t)hole + page), EIO, "in the hole");
	is_err(pread(fd, buffer, 1, 8), EIO, "at nothing");
	is_err(pread(fd, BAD_PTR, 8, (off_t)(uintptr_t)hole), EFAULT, "to a bad address");
	close(fd);
	fd = open("/proc/self/pagemap", O_RDONLY);
	ok(fd >= 0, "open pagemap");
	uint64_t entry[2];
	is_int(pread(fd, entry, 16, (off_t)(uintptr_t)hole / page * 8), 16, "read two pages");
	is_err(pread(fd, entry, 7, 0), EINVAL, "not whole entries");
	is_err(pread(fd, entry, 8, 4), EINVAL, "not at an entry");
	is_int(pread(fd, entry, 0, 0), 0, "nothing");
	close(fd);
	is_err(put("/proc/self/clear_refs", "9"), EINVAL, "clear_refs has five ways");
	is_int(put("/proc/self/clear_refs", "1"), 1, "of which one");
}

static void test_oom(void)
{
	is_int(number("/proc/self/oom_score_adj", 10), 0, "oom_score_adj");
	is_int(put("/proc/self/oom_score_adj", "500\n"), 4, "set it");
	is_int(number("/proc/self/oom_score_adj", 10), 500, "it stays");
	is_int(number("/proc/self/oom_adj", 10), 8, "on the older scale");
	is_err(put("/proc/self/oom_score_adj", "1001"), EINVAL, "too much");
	is_err(put("/proc/self/oom_score_adj", "-1001"), EINVAL, "too little");
	is_err(put("/proc/self/oom_score_adj", "x"), EINVAL, "no number");
	is_int(put("/proc/self/oom_adj", "15"), 2, "the older scale's most");
	is_int(number("/proc/self/oom_score_adj", 10), 1000, "is the newer's");
	is_err(put("/proc/self/oom_adj", "16"), EINVAL, "no more");
	pid_t child = tap_fork();
	if (child == 0)
		_exit(number("/proc/self/oom_score_adj", 10) == 1000 ? 0 : 1);
	is_exit(tap_wait(child), 0, "a child inherits it");
	child = tap_fork();
	if (child == 0) {
		need(setresuid(65534, 65534, 65534) == 0);
		need(prctl(PR_SET_DUMPABLE, 1) == 0);
		need(put("/proc/self/oom_score_adj", "1000") == 4);
		need(number("/proc/self/oom_score", 10) >= 1000);
		need(put("/proc/self/oom_score_adj", "-5") == -1 && errno == EACCES);
		_exit(0);
	}
	is_exit(tap_wait(child), 0, "without privilege it only grows");
	put("/proc/self/oom_score_adj", "0");
}

static void test_settings(void)
{
	is_int(number("/proc/self/coredump_filter", 16), 0x33, "coredump_filter");
	is_int(put("/proc/self/coredump_filter", "0x7f"), 4, "set it");
	is_int(number("/proc/self/coredump_filter", 16), 0x7f, "it stays");
	is_err(put("/proc/self/coredump_filter", "z"), EINVAL, "no number");
	is_int(number("/proc/self/timerslack_ns", 10), prctl(PR_GET_TIMERSLACK), "timer slack");
	is_int(put("/proc/self/timerslack_ns", "70000"), 5, "set it");
	is_int(prctl(PR_GET_TIMERSLACK), 70000, "prctl sees it");
	is_err(put("/proc/self/uid_map", "0 0 1"), EPERM, "uid_map is set");
	is_err(put("/proc/self/gid_map", "0 0 1"), EPERM, "gid_map too");
	is_err(put("/proc/self/setgroups", "maybe"), EINVAL, "setgroups knows two words");
	is_err(put("/proc/self/setgroups", "deny"), EPERM, "of which one comes too late");
	is_err(put("/proc/self/autogroup", "100"), EINVAL, "autogroup is a niceness");
	is_int(put("/proc/self/comm", "renamed"), 7, "comm");
	char name[16];
	prctl(PR_GET_NAME, name);
	is_str(name, "renamed", "prctl sees it");
	is_int(put("/proc/self/comm", "longer than fifteen"), 19, "a long one");
	prctl(PR_GET_NAME, name);
	is_str(name, "longer than fif", "is cut");
	pid_t child = tap_fork();
	if (child == 0) {
		char path[64];
		snprintf(path, sizeof(path), "/proc/%d/comm", getppid());
		need_err(put(path, "other"), EINVAL);
		_exit(0);
	}
	is_exit(tap_wait(child), 0, "a process names itself alone");
	is_int(number("/proc/self/personality", 16), 0, "personality");
}

static void test_io(void)
{
	unsigned long before, after, calls_before, calls_after;
	int fd = open("/dev/zero", O_RDONLY);
	slurp("/proc/self/io");
	need(sscanf(text, "rchar: %lu\nwchar: %*u\nsyscr: %lu", &before, &calls_before) == 2);
	for (int i = 0; i < 10; i++)
		need(read(fd, text, 1000) == 1000);
	close(fd);
	slurp("/proc/self/io");
	need(sscanf(text, "rchar: %lu\nwchar: %*u\nsyscr: %lu", &after, &calls_after) == 2);
	ok(after - before >= 10000 && after - before < 20000, "io counts bytes");
	ok(calls_after - calls_before >= 10 && calls_after - calls_before < 20, "and calls");
}

static void test_children(void)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	is_int(slurp(path), 0, "no children");
	pid_t child = tap_fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	need(slurp(path) > 0);
	is_int(strtol(text, NULL, 10), child, "one child");
	kill(child, SIGKILL);
	tap_wait(child);
	is_err(open("/proc/self/children", O_RDONLY), ENOENT, "only threads have children");
}

static void test_timers(void)
{
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	char want[128];
	is_int(slurp("/proc/self/timers"), 0, "no timers");
	need(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	need(slurp("/proc/self/timers") > 0);
	snprintf(want, sizeof(want),
		 "ID: 0\nsignal: 10/0000000000000000\nnotify: signal/pid.%d\nClockID: 1\n",
		 getpid());
	is_str(text, want, "a timer");
	timer_delete(timer);
}

static const char *target(const char *path)
{
	static char link[4200];
	ssize_t n = readlink(path, link, sizeof(link) - 1);
	link[n < 0 ? 0 : n] = 0;
	return link;
}

static const char *fd_target(int fd)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return target(path);
}

static void test_links(void)
{
	char path[64], name[128];
	char *dir = temp_dir();
	struct stat st, st2;
	snprintf(name, sizeof(name), "%s/file", dir);
	int fd = open(name, O_RDWR | O_CREAT, 0600);
	need(fd >= 0 && write(fd, "hello", 5) == 5);
	is_str(fd_target(fd), name, "a file's name");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	need(lstat(path, &st) == 0);
	is_int(st.st_mode, S_IFLNK | 0700, "the link's mode says how it is open");
	int again = open(path, O_RDONLY);
	ok(again >= 0 && read(again, text, 5) == 5, "opening the link opens the file");
	need(lstat(path, &st) == 0 && fstat(fd, &st2) == 0);
	ok(st.st_ino != st2.st_ino, "the link is not the file");
	need(stat(path, &st) == 0);
	ok(st.st_ino == st2.st_ino && st.st_dev == st2.st_dev, "but leads to it");
	unlink(name);
	char deleted[160];
	snprintf(deleted, sizeof(deleted), "%s (deleted)", name);
	is_str(fd_target(fd), deleted, "a deleted file's name");
	close(again);
	again = open(path, O_RDWR);
	ok(again >= 0 && write(again, "x", 1) == 1, "which can still be opened");
	close(again);
	again = open(path, O_PATH | O_NOFOLLOW);
	ok(again >= 0, "O_PATH of the link itself");
	is_int(readlinkat(again, "", text, sizeof(text)), (long)strlen(deleted), "reads it");
	close(again);
	is_err(open(path, O_RDONLY | O_NOFOLLOW), ELOOP, "O_NOFOLLOW stops at the link");
	close(fd);
	mkdir(name, 0700);
	need(chdir(name) == 0 && rmdir(name) == 0);
	is_str(target("/proc/self/cwd"), deleted, "a deleted directory");
	need(chdir("/") == 0);
	is_str(target("/proc/self/cwd"), "/", "cwd");
	is_str(target("/proc/self/root"), "/", "root");
	rmdir(dir);
	int pair[2];
	need(pipe(pair) == 0 && fstat(pair[0], &st) == 0);
	snprintf(name, sizeof(name), "pipe:[%lu]", (unsigned long)st.st_ino);
	is_str(fd_target(pair[0]), name, "a pipe's name has its inode");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", pair[0]);
	need(lstat(path, &st) == 0);
	is_int(st.st_mode, S_IFLNK | 0500, "its reading end");
	close(pair[0]);
	close(pair[1]);
	is_err(open("/proc/self/fd/99999", O_RDONLY), ENOENT, "no such descriptor");
}

static void test_fdinfo(void)
{
	char path[64];
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC), position = -1, flags = 0;
	need(fd >= 0 && lseek(fd, 17, SEEK_SET) == 17);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	need(slurp(path) > 0);
	need(sscanf(text, "pos:\t%d\nflags:\t%o\nmnt_id:\t%*d\nino:\t%*u\n", &position, &flags) ==
	     2);
	is_int(position, 17, "fdinfo has the position");
	is_int(flags & ~0100000, O_RDONLY | O_CLOEXEC, "and the flags");
	close(fd);
	is_int(slurp(path), -1, "not of a closed one");
}

static void test_namespaces(void)
{
	static const char *const names[] = { "cgroup", "ipc", "mnt", "net", "pid", "user", "uts" };
	static const int types[] = { CLONE_NEWCGROUP, CLONE_NEWIPC,  CLONE_NEWNS, CLONE_NEWNET,
				     CLONE_NEWPID,    CLONE_NEWUSER, CLONE_NEWUTS };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[64], want[64];
		struct stat st;
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		int fd = open(path, O_RDONLY);
		need(fd >= 0 && fstat(fd, &st) == 0);
		snprintf(want, sizeof(want), "%s:[%lu]", names[i], (unsigned long)st.st_ino);
		is_str(target(path), want, "%s is a link to its number", names[i]);
		is_str(fd_target(fd), want, "as is a descriptor");
		is_int(ioctl(fd, NS_GET_NSTYPE), types[i], "its type");
		is_err(ioctl(fd, 0x1234), ENOTTY, "an unknown request");
		close(fd);
	}
	int fd = open("/proc/self/ns/uts", O_RDONLY);
	is_err(ioctl(fd, NS_GET_PARENT), EINVAL, "a UTS namespace has no parent");
	is_err(setns(fd, CLONE_NEWNET), EINVAL, "setns checks the type");
	close(fd);
	fd = open("/proc/self/ns/user", O_RDONLY);
	is_err(setns(fd, 0), EINVAL, "nobody enters his own user namespace");
	close(fd);
	fd = open("/dev/null", O_RDONLY);
	is_err(setns(fd, 0), EINVAL, "setns of no namespace");
	close(fd);
	is_err(setns(fd, 0), EBADF, "setns of nothing");
	is_err(open("/proc/self/ns/nothing", O_RDONLY), ENOENT, "an unknown kind");
}

static void make_uts(void)
{
	char name[65], own[64], theirs[64];
	int old = open("/proc/self/ns/uts", O_RDONLY);
	need(old >= 0);
	snprintf(theirs, sizeof(theirs), "%s", target("/proc/self/ns/uts"));
	need(unshare(CLONE_NEWUTS) == 0);
	snprintf(own, sizeof(own), "%s", target("/proc/self/ns/uts"));
	need(strcmp(own, theirs) != 0);
	need(sethostname("elsewhere", 9) == 0);
	need(gethostname(name, sizeof(name)) == 0 && strcmp(name, "elsewhere") == 0);
	need(slurp("/proc/sys/kernel/hostname") > 0 && strcmp(text, "elsewhere\n") == 0);
	need(put("/proc/sys/kernel/hostname", "third\n") == 6);
	need(gethostname(name, sizeof(name)) == 0 && strcmp(name, "third") == 0);
	pid_t child = tap_fork();
	if (child == 0) {
		need(strcmp(target("/proc/self/ns/uts"), own) == 0);
		need(setns(old, CLONE_NEWUTS) == 0);
		need(strcmp(target("/proc/self/ns/uts"), theirs) == 0);
		_exit(0);
	}
	need(tap_wait(child) == 0);
	need(setns(old, 0) == 0 && strcmp(target("/proc/self/ns/uts"), theirs) == 0);
}

static void no_privilege(void)
{
	int fd = open("/proc/self/ns/uts", O_RDONLY);
	need(setresuid(65534, 65534, 65534) == 0);
	need_err(setns(fd, 0), EPERM);
	need_err(unshare(CLONE_NEWUTS), EPERM);
	need_err(unshare(CLONE_NEWNS), EPERM);
	need_err(sethostname("x", 1), EPERM);
}

static void *unshares(void *arg)
{
	(void)arg;
	return (void *)(long)(unshare(CLONE_FS | CLONE_FILES) == 0 && chdir("/tmp") == 0 &&
			      close(STDIN_FILENO) == 0);
}

static void unshare_parts(void)
{
	pthread_t thread;
	void *result = NULL;
	need(chdir("/") == 0 && fcntl(STDIN_FILENO, F_GETFD) == 0);
	need(pthread_create(&thread, NULL, unshares, NULL) == 0);
	pthread_join(thread, &result);
	need(result != NULL);
	need(strcmp(target("/proc/self/cwd"), "/") == 0);
	need(fcntl(STDIN_FILENO, F_GETFD) == 0);
	need(unshare(0) == 0);
	need_err(unshare(1 << 30 | 1), EINVAL);
	/* A thread that can be joined may not have let go of the signal handlers yet. */
	for (int i = 0; i < 1000 && unshare(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD); i++)
		usleep(1000);
	need(unshare(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD) == 0);
}

/* ---- who may ---- */

static void look_as_other(void)
{
	char path[64];
	pid_t parent = getppid();
	need(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	static const char *const closed[] = { "environ", "maps", "smaps",   "mem",	  "auxv",
					      "io",	 "fd",	 "pagemap", "personality" };
	for (size_t i = 0; i < ARRAY_SIZE(closed); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", parent, closed[i]);
		need_err(open(path, O_RDONLY), EACCES);
	}
	static const char *const links[] = { "exe", "cwd", "root", "ns/uts" };
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", parent, links[i]);
		need_err(readlink(path, text, sizeof(text)), EACCES);
	}
	static const char *const open_to_all[] = { "stat",   "status", "statm", "cmdline",
						   "limits", "mounts", "comm",	"oom_score" };
	for (size_t i = 0; i < ARRAY_SIZE(open_to_all); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", parent, open_to_all[i]);
		need(slurp(path) >= 0);
	}
	snprintf(path, sizeof(path), "/proc/%d/stat", parent);
	unsigned long start_code;
	need(slurp(path) > 0);
	need(sscanf(strrchr(text, ')'),
		    ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
		    "%*u %*u %*d %*u %lu",
		    &start_code) == 1);
	need(start_code == 1);
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", parent);
	need_err(open(path, O_WRONLY), EACCES);
	need_err(open("/proc/sys/vm/swappiness", O_WRONLY), EACCES);
	need_err(open("/proc/sys/kernel/hostname", O_WRONLY), EACCES);
	need_err(open("/proc/sys/kernel/osrelease", O_WRONLY), EACCES);
}

static void hide(void)
{
	struct stat st;
	need(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	need(prctl(PR_SET_DUMPABLE, 1) == 0);
	need(stat("/proc/self/environ", &st) == 0 && st.st_uid == 65534);
	need(prctl(PR_SET_DUMPABLE, 0) == 0);
	need(stat("/proc/self/environ", &st) == 0 && st.st_uid == 0);
	need(stat("/proc/self", &st) == 0 && st.st_uid == 65534);
	need_err(open("/proc/self/environ", O_RDONLY), EACCES);
}

/* ---- those that end ---- */

static void test_death(void)
{
	static const char *const files[] = {
		"stat", "status", "maps", "cmdline", "limits", "statm"
	};
	int fds[ARRAY_SIZE(files)], dir, mem;
	char path[64], c;
	struct event gone;
	event_init(&gone);
	pid_t child = tap_fork();
	if (child == 0) {
		event_wait(&gone);
		_exit(0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", child, files[i]);
		fds[i] = open(path, O_RDONLY);
		need(fds[i] >= 0);
	}
	snprintf(path, sizeof(path), "/proc/%d", child);
	dir = open(path, O_RDONLY | O_DIRECTORY);
	snprintf(path, sizeof(path), "/proc/%d/mem", child);
	mem = open(path, O_RDONLY);
	need(dir >= 0 && mem >= 0);
	is_int(pread(mem, &c, 1, (off_t)(uintptr_t)files), 1, "its memory can be read");
	event_post(&gone);
	siginfo_t info;
	need(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
	snprintf(path, sizeof(path), "/proc/%d/stat", child);
	need(slurp(path) > 0);
	ok(strstr(text, ") Z ") != NULL, "a zombie");
	snprintf(path, sizeof(path), "/proc/%d/cmdline", child);
	is_int(slurp(path), 0, "has no arguments");
	snprintf(path, sizeof(path), "/proc/%d/maps", child);
	is_int(slurp(path), 0, "and no memory");
	snprintf(path, sizeof(path), "/proc/%d/exe", child);
	is_err(readlink(path, text, sizeof(text)), ENOENT, "nor program");
	is_int(pread(mem, &c, 1, (off_t)(uintptr_t)files), 0, "mem is at its end");
	tap_wait(child);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		is_err(pread(fds[i], text, 100, 0), ESRCH, "%s of a process that is gone",
		       files[i]);
	ok(openat(dir, "stat", O_RDONLY) == -1 && (errno == ENOENT || errno == ESRCH),
	   "a name in its directory");
	is_int(syscall(SYS_getdents64, dir, text, sizeof(text)), -1, "or all of them");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		close(fds[i]);
	close(dir);
	close(mem);
	event_fini(&gone);
}

/* What was opened before the process began another program tells nothing of that. */
static void test_exec(void)
{
	static const char *const files[] = { "environ", "maps", "smaps", "io" };
	char *argv[] = { (char *)"procself", (char *)"--wait", NULL };
	char *envp[] = { (char *)"SECRET=1", NULL };
	int fds[ARRAY_SIZE(files)], done[2];
	char path[64], c;
	struct event start;
	event_init(&start);
	need(pipe2(done, O_CLOEXEC) == 0);
	pid_t child = tap_fork();
	if (child == 0) {
		event_wait(&start);
		execve("/proc/self/exe", argv, envp);
		_exit(1);
	}
	close(done[1]);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", child, files[i]);
		fds[i] = open(path, O_RDONLY);
		need(fds[i] >= 0);
	}
	event_post(&start);
	need(read(done[0], &c, 1) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(files) - 1; i++)
		is_int(pread(fds[i], text, 100, 0), 0, "%s after an exec", files[i]);
	ok(pread(fds[ARRAY_SIZE(files) - 1], text, 100, 0) > 0, "but io");
	snprintf(path, sizeof(path), "/proc/%d/environ", child);
	ok(slurp(path) > 0 && !strcmp(text, "SECRET=1"), "opened anew");
	kill(child, SIGKILL);
	tap_wait(child);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		close(fds[i]);
	close(done[0]);
	event_fini(&start);
}

/* What is read in pieces is one text. */
static void test_pieces(void)
{
	static char whole[65536];
	need(slurp("/proc/self/status") > 0);
	strcpy(whole, text);
	int fd = open("/proc/self/status", O_RDONLY);
	size_t length = 0;
	while (read(fd, text + length, 7) > 0)
		length += 7;
	ok(strncmp(text, whole, 200) == 0, "in small pieces");
	is_int(lseek(fd, 5, SEEK_SET), 5, "seek");
	need(read(fd, text, 6) == 6);
	ok(memcmp(text, whole + 5, 6) == 0, "to a place in it");
	need(pread(fd, text, 10, 3) == 10);
	ok(memcmp(text, whole + 3, 10) == 0, "pread");
	is_int(pread(fd, text, 10, 1 << 20), 0, "beyond the end");
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--wait"))
		for (;;)
			pause();
	tap_begin();
	test_stat();
	test_cpu_time();
	test_switches();
	test_memory();
	test_oom();
	test_settings();
	test_io();
	test_children();
	test_timers();
	test_links();
	test_fdinfo();
	test_namespaces();
	child_ok(make_uts, "a UTS namespace of one's own");
	child_ok(no_privilege, "not without privilege");
	child_ok(unshare_parts, "unshare of directory and descriptors");
	child_ok(look_as_other, "what another user may see");
	child_ok(hide, "who is not dumpable is hidden from himself");
	test_death();
	test_exec();
	test_pieces();
	return tap_end();
}
