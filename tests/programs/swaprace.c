/*
 * A race for the walls of a bind mount.
 *
 * swaprace host INSIDE OUTSIDE: swaps names in INSIDE with symbolic links to OUTSIDE, with fifos,
 * and moves directories out and in, as fast as it can, until INSIDE/stop is there. Status 3:
 * somebody opened a fifo.
 *
 * swaprace guest INSIDE COUNT: looks up COUNT paths there, and makes and removes some. Status 1: it
 * saw what is outside.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void swap(const char *a, const char *b)
{
	syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
}

static int host(const char *outside)
{
	char moved[300];
	unsigned long rounds = 0;
	int fd;

	snprintf(moved, sizeof(moved), "%s/moved", outside);
	while (access("stop", F_OK) != 0) {
		swap("dir", "link"); /* a directory and a link to outside */
		swap("dir/file", "dir/flink"); /* a file and a link to a secret */
		swap("deep/a", "deep/fifo"); /* a directory and a fifo */
		swap("file", "fifo"); /* a file and a fifo */
		rename("move", moved);
		swap("deep/up", "deep/flat"); /* a link to .. and a directory */
		rename(moved, "move");
		/* Without a reader this fails. */
		fd = open(rounds % 2 ? "fifo" : "file", O_WRONLY | O_NONBLOCK);
		if (fd >= 0) {
			struct stat st;

			if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode))
				return 3;
			close(fd);
		}
		rounds++;
	}
	printf("%lu rounds\n", rounds);
	return 0;
}

static const char *const paths[] = {
	"dir/secret",
	"dir/file",
	"dir/flink",
	"link/secret",
	"link/file",
	"file",
	"fifo",
	"deep/a/f",
	"deep/fifo/f",
	"move/sub/f",
	"move/../secret",
	"move/sub/../../secret",
	"deep/up/secret",
	"deep/up/../secret",
	"deep/flat/secret",
	"dir/../../secret",
};

static int look(const char *path)
{
	char buf[8] = "";
	struct stat st;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && read(fd, buf, sizeof(buf) - 1) > 0 && !strncmp(buf, "OUTSIDE", 7)) {
		printf("saw the outside by %s\n", path);
		return 1;
	}
	if (fd >= 0)
		close(fd);
	if (stat(path, &st) == 0 && st.st_size == 4242) {
		printf("saw the size of what is outside by %s\n", path);
		return 1;
	}
	return 0;
}

/* None of this may happen outside. */
static void change(unsigned long i)
{
	int fd = open(i % 2 ? "dir/made" : "link/made", O_WRONLY | O_CREAT, 0600);

	if (fd >= 0)
		close(fd);
	mkdir("dir/md", 0700);
	symlink("x", "link/ms");
	rename("dir/made", "link/renamed");
	link("file", "dir/linked");
	truncate("dir/flink", 1);
	chmod("dir/secret", 0777);
	unlink("dir/made");
	unlink("link/secret");
	rmdir("dir/md");
	unlink("link/ms");
	unlink("link/renamed");
	unlink("dir/linked");
}

static int guest(unsigned long count)
{
	int found = 0;

	for (unsigned long i = 0; i < count && !found; i++) {
		found = look(paths[i % (sizeof(paths) / sizeof(paths[0]))]);
		if (i % 61 == 0)
			change(i);
	}
	return found;
}

int main(int argc, char **argv)
{
	if (argc != 4 || chdir(argv[2]))
		return 2;
	if (!strcmp(argv[1], "host"))
		return host(argv[3]);
	return guest(strtoul(argv[3], NULL, 10));
}
