/*
 * Many threads change the same few files and directories of the lower tree at once, in all ways
 * there are; then a very deep directory is made, moved and left behind. What readdir and lstat say
 * must agree afterwards.
 *
 *	overlay_race --in-sandbox	(it would do the same to the host)
 */
#include "tap.h"
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>

enum { PROCESSES = 3, THREADS = 3, ROUNDS = 2500, NAMES = 48, DEPTH = 3000 };

static char names[NAMES][300];
static int name_count;

/* Names of what is there, two levels deep, and some that are not. */
static void gather(const char *dir, int depth, int max)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;
	char path[300];
	while (d && name_count < max && (e = readdir(d))) {
		if (e->d_name[0] == '.' || strlen(e->d_name) > 40)
			continue;
		snprintf(path, sizeof(path), "%.200s/%.60s", dir, e->d_name);
		need(name_count < NAMES);
		strcpy(names[name_count++], path);
		if (depth > 0 && lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
			gather(path, depth - 1, name_count + 4 < max ? name_count + 4 : max);
	}
	if (d)
		closedir(d);
}

static const char *pick(unsigned *seed)
{
	return names[rand_r(seed) % name_count];
}

static void touch_file(const char *name, unsigned *seed)
{
	static const int flags[] = { O_RDWR, O_WRONLY | O_APPEND, O_RDWR | O_CREAT,
				     O_WRONLY | O_TRUNC, O_RDONLY };
	char buf[3000];
	int fd = open(name, flags[rand_r(seed) % 5] | O_NONBLOCK, 0644);
	if (fd < 0)
		return;
	memset(buf, 'r', sizeof(buf));
	(void)!read(fd, buf, sizeof(buf));
	(void)!pwrite(fd, buf, rand_r(seed) % sizeof(buf), rand_r(seed) % 200000);
	char *p = mmap(NULL, 4096, PROT_READ, rand_r(seed) % 2 ? MAP_SHARED : MAP_PRIVATE, fd, 0);
	if (p != MAP_FAILED) {
		int pipes[2];
		/* The page may be past the end: let the kernel look. */
		if (pipe(pipes) == 0) {
			(void)!write(pipes[1], p, 1);
			close(pipes[0]);
			close(pipes[1]);
		}
		munmap(p, 4096);
	}
	if (rand_r(seed) % 2)
		(void)!ftruncate(fd, rand_r(seed) % 100000);
	(void)!fsetxattr(fd, "user.race", buf, rand_r(seed) % 100, 0);
	close(fd);
}

static void list(const char *name)
{
	DIR *d = opendir(name);
	if (!d)
		return;
	for (int i = 0; i < 100 && readdir(d); i++)
		;
	rewinddir(d);
	(void)readdir(d);
	closedir(d);
}

static void step(unsigned *seed)
{
	const char *a = pick(seed), *b = pick(seed);
	struct stat st;
	char path[64];
	int fd;
	switch (rand_r(seed) % 14) {
	case 0:
		(void)!unlink(a);
		break;
	case 1:
	case 2:
		(void)!rename(a, b);
		break;
	case 3:
		(void)!renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
		break;
	case 4:
		(void)!mkdir(a, 0755);
		break;
	case 5:
		(void)!rmdir(a);
		break;
	case 6:
		(void)!link(a, b);
		break;
	case 7:
		(void)!symlink(b, a);
		break;
	case 8:
		(void)!chmod(a, rand_r(seed) % 2 ? 0700 : 0755);
		break;
	case 9:
		list(a);
		break;
	case 10:
		(void)!lstat(a, &st);
		(void)!truncate(b, 10);
		break;
	case 11:
		fd = open(".", O_TMPFILE | O_RDWR, 0600);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		(void)!linkat(AT_FDCWD, path, AT_FDCWD, a, AT_SYMLINK_FOLLOW);
		close(fd);
		break;
	default:
		touch_file(a, seed);
	}
}

static void *race(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	for (int i = 0; i < ROUNDS; i++)
		step(&seed);
	return NULL;
}

static void process(int number)
{
	pthread_t threads[THREADS];
	alarm(TAP_TIMEOUT + 30);
	for (int i = 0; i < THREADS; i++)
		need(pthread_create(&threads[i], NULL, race, tap_pointer(number * 100 + i + 1)) ==
		     0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

/* Each listed name is there, once, with its number. */
static bool agrees(const char *dir, int depth)
{
	char seen[512][64], path[400];
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;
	int count = 0;
	bool good = true;
	while (d && good && (e = readdir(d)) && count < 512) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		for (int i = 0; i < count; i++)
			if (strncmp(seen[i], e->d_name, 63) == 0 && strlen(e->d_name) < 63)
				good = false;
		snprintf(seen[count++], 64, "%.63s", e->d_name);
		snprintf(path, sizeof(path), "%.130s/%.255s", dir, e->d_name);
		if (lstat(path, &st) != 0 || st.st_ino != e->d_ino)
			good = false;
		if (!good)
			tap_print("# %s: wrong", path);
		if (good && depth > 0 && S_ISDIR(st.st_mode))
			good = agrees(path, depth - 1);
	}
	if (d)
		closedir(d);
	return good;
}

static void test_race(void)
{
	pid_t children[PROCESSES];
	bool good = true;
	for (int i = 0; i < PROCESSES; i++) {
		children[i] = tap_fork();
		if (children[i] == 0)
			process(i);
	}
	for (int i = 0; i < PROCESSES; i++)
		good = tap_wait(children[i]) == 0 && good;
	ok(good, "the racers end");
	ok(agrees(".", 3), "readdir and lstat agree afterwards");
}

static void test_deep(void)
{
	int made = 0, back = 0;
	need(mkdir("deep", 0755) == 0 && chdir("deep") == 0);
	while (made < DEPTH && mkdir("d", 0755) == 0 && chdir("d") == 0)
		made++;
	is_int(made, DEPTH, "a deep directory");
	char name[4096];
	is_err(syscall(SYS_getcwd, name, sizeof(name)), ENAMETOOLONG, "too deep for a name");
	while (back < DEPTH - 500 && chdir("..") == 0)
		back++;
	is_int(rename("d", "e"), 0, "rename within");
	is_int(chdir("e"), 0, "its new name");
	while (back-- > -500 && chdir("..") == 0)
		;
	need(chdir("/") == 0);
}

int main(int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "--in-sandbox") != 0)
		return 2;
	tap_begin();
	alarm(TAP_TIMEOUT + 30);
	need(chdir("/etc") == 0);
	gather(".", 1, NAMES - 12);
	for (int i = 0; i < 12; i++)
		snprintf(names[name_count++], 300, "./new%d", i);
	test_race();
	test_deep();
	return tap_end();
}
