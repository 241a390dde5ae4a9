/*
 * Threads that read all of /proc and /sys, and write where nothing comes of it, while processes
 * fork, become other programs and die under them. Only that everything ends is asked for.
 */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>

enum { READERS = 8, BREEDERS = 3, ROUNDS = 2, BYTES_MAX = 1 << 20, DEPTH_MAX = 8 };

static int breeding = 1;

/* ---- what dies ---- */

static void *idle(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void live(unsigned int number)
{
	static char *argv[] = { "readproc", "child", NULL };
	pthread_t thread;
	int fds[2];
	switch (number % 5) {
	case 0:
		_exit(0);
	case 1:
		execv("/proc/self/exe", argv);
		break;
	case 2:
		pthread_create(&thread, NULL, idle, NULL);
		pthread_create(&thread, NULL, idle, NULL);
		usleep(1000);
		break;
	case 3:
		while (pipe(fds) == 0 && fds[1] < 60)
			;
		mmap(NULL, 1 << 24, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		unshare(CLONE_NEWUTS);
		break;
	case 4:
		prctl(PR_SET_NAME, "a\nb (c) \\ d");
		prctl(PR_SET_DUMPABLE, number & 8 ? 0 : 1);
		kill(getpid(), SIGKILL);
	}
	_exit(0);
}

static void *breed(void *arg)
{
	for (unsigned int number = 0; __atomic_load_n(&breeding, __ATOMIC_RELAXED); number++) {
		pid_t child = fork();
		if (child == 0)
			live(number);
		if (child > 0)
			tap_wait(child);
	}
	return arg;
}

/* ---- what reads ---- */

static void read_file(const char *path, unsigned int *random)
{
	char buffer[4096];
	size_t total = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return;
	if (rand_r(random) % 4 == 0)
		lseek(fd, rand_r(random) % 8192, SEEK_SET);
	while ((n = read(fd, buffer, 1 + (size_t)rand_r(random) % sizeof(buffer))) > 0) {
		total += (size_t)n;
		if (total > BYTES_MAX)
			break;
	}
	close(fd);
}

/* Settings of processes that are not ours to lose. */
static void write_file(const char *path, unsigned int *random)
{
	static const char *const values[] = {
		"0", "1", "-1", "x", "4294967296", "0x7", "", "9999"
	};
	const char *name = strrchr(path, '/') + 1, *value = values[rand_r(random) % 8];
	static const char *const ours[] = { "oom_score_adj", "oom_adj",	      "coredump_filter",
					    "clear_refs",    "timerslack_ns", "autogroup",
					    "setgroups",     "uid_map",	      "comm" };
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		if (strcmp(name, ours[i]) != 0)
			continue;
		int fd = open(path, O_WRONLY);
		if (fd < 0)
			return;
		write(fd, value, strlen(value));
		close(fd);
	}
}

static void walk(const char *dir, int depth, unsigned int *random)
{
	char path[512], link[512];
	struct dirent *entry;
	DIR *stream = depth < DEPTH_MAX ? opendir(dir) : NULL;
	if (!stream)
		return;
	while ((entry = readdir(stream))) {
		struct stat st;
		if (entry->d_name[0] == '.' || (size_t)snprintf(path, sizeof(path), "%s/%s", dir,
								entry->d_name) >= sizeof(path))
			continue;
		if (lstat(path, &st) < 0)
			continue;
		if (S_ISLNK(st.st_mode))
			readlink(path, link, sizeof(link));
		else if (S_ISREG(st.st_mode)) {
			read_file(path, random);
			write_file(path, random);
		} else if (S_ISDIR(st.st_mode)) {
			walk(path, depth + 1, random);
		}
	}
	closedir(stream);
}

static void *read_all(void *arg)
{
	unsigned int random = (unsigned int)(uintptr_t)arg;
	for (int round = 0; round < ROUNDS; round++) {
		walk("/proc", 0, &random);
		walk("/sys", 0, &random);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t readers[READERS], breeders[BREEDERS];
	if (argc > 1)
		return 0;
	(void)argv;
	for (uintptr_t i = 0; i < BREEDERS; i++)
		need(pthread_create(&breeders[i], NULL, breed, (void *)i) == 0);
	for (uintptr_t i = 0; i < READERS; i++)
		need(pthread_create(&readers[i], NULL, read_all, (void *)(i + 1)) == 0);
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	__atomic_store_n(&breeding, 0, __ATOMIC_RELAXED);
	for (int i = 0; i < BREEDERS; i++)
		pthread_join(breeders[i], NULL);
	tap_print("ok 1 - all has been read");
	tap_print("1..1");
	return 0;
}
