/*
 * inotify.
 */
#include "tap.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#ifndef IN_MASK_CREATE
#define IN_MASK_CREATE 0x10000000
#endif

static char *dir, file[64], other[64], sub[64];
static int in, dir_wd, file_wd;
static uint32_t last_cookie;

static const struct {
	uint32_t bit;
	const char *name;
} names[] = {
	{ IN_ACCESS, "access" },
	{ IN_MODIFY, "modify" },
	{ IN_ATTRIB, "attrib" },
	{ IN_CLOSE_WRITE, "close_write" },
	{ IN_CLOSE_NOWRITE, "close" },
	{ IN_OPEN, "open" },
	{ IN_MOVED_FROM, "moved_from" },
	{ IN_MOVED_TO, "moved_to" },
	{ IN_CREATE, "create" },
	{ IN_DELETE, "delete" },
	{ IN_DELETE_SELF, "delete_self" },
	{ IN_MOVE_SELF, "move_self" },
	{ IN_IGNORED, "ignored" },
	{ IN_Q_OVERFLOW, "overflow" },
	{ IN_ISDIR, "dir" },
};

/* Reads all that waits, as "WATCH:EVENT[,dir][(NAME)] ...": d the directory, f the file, else ?. */
static const char *events(void)
{
	static char text[4096];
	char buf[8192] __attribute__((aligned(8)));
	size_t len = 0;
	ssize_t n;
	text[0] = 0;
	while ((n = read(in, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			struct inotify_event *e = (void *)p;
			char who = e->wd == dir_wd ? 'd' : e->wd == file_wd ? 'f' : '?';
			len += snprintf(text + len, sizeof(text) - len, "%s%c:", len ? " " : "",
					who);
			const char *comma = "";
			for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
				if (!(e->mask & names[i].bit))
					continue;
				len += snprintf(text + len, sizeof(text) - len, "%s%s", comma,
						names[i].name);
				comma = ",";
			}
			if (e->len)
				len += snprintf(text + len, sizeof(text) - len, "(%s)", e->name);
			if (e->cookie)
				last_cookie = e->cookie;
			p += sizeof(*e) + e->len;
		}
	}
	return text;
}

static int make(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0644);
	need(fd >= 0);
	return fd;
}

static void test_directory(void)
{
	char c;
	dir_wd = inotify_add_watch(in, dir, IN_ALL_EVENTS);
	is_int(dir_wd, 1, "the first watch");
	file_wd = -2;
	int fd = make(file);
	is_str(events(), "d:create(file) d:open(file)", "create");
	need(write(fd, "hello", 5) == 5);
	need(write(fd, "hello", 5) == 5);
	is_str(events(), "d:modify(file)", "two writes are one event");
	need(pread(fd, &c, 1, 0) == 1);
	need(write(fd, "x", 1) == 1);
	is_str(events(), "d:access(file) d:modify(file)", "read, write");
	need(read(fd, &c, 1) == 0);
	is_str(events(), "", "nothing is read at the end");
	need(ftruncate(fd, 3) == 0);
	is_str(events(), "d:modify(file)", "ftruncate");
	need(fchmod(fd, 0600) == 0);
	is_str(events(), "d:attrib(file)", "fchmod");
	need(futimens(fd, NULL) == 0);
	is_str(events(), "d:attrib(file)", "futimens");
	struct timespec ts[2] = { { 1, 0 }, { 0, UTIME_OMIT } };
	need(futimens(fd, ts) == 0);
	is_str(events(), "d:access(file)", "the time of access alone");
	ts[0].tv_nsec = UTIME_OMIT;
	ts[1] = (struct timespec){ 5, 0 };
	need(futimens(fd, ts) == 0);
	is_str(events(), "d:modify(file)", "the time of modification alone");
	int dupfd = dup(fd);
	close(fd);
	is_str(events(), "", "close of one of two descriptors");
	close(dupfd);
	is_str(events(), "d:close_write(file)", "the last close");
	fd = open(file, O_RDONLY);
	close(fd);
	is_str(events(), "d:open(file) d:close(file)", "read-only");
	fd = open(file, O_PATH);
	close(fd);
	is_str(events(), "", "O_PATH");
	fd = open(file, O_WRONLY | O_TRUNC);
	close(fd);
	is_str(events(), "d:open(file) d:modify(file) d:close_write(file)", "O_TRUNC");
	need(truncate(file, 100) == 0);
	is_str(events(), "d:modify(file)", "truncate");
	need(chmod(file, 0644) == 0);
	is_str(events(), "d:attrib(file)", "chmod");
	need(link(file, other) == 0);
	is_str(events(), "d:create(other)", "link");
	need(unlink(other) == 0);
	is_str(events(), "d:delete(other)", "unlink");
	need(symlink("file", other) == 0);
	is_str(events(), "d:create(other)", "symlink");
	unlink(other);
	need(mkfifo(other, 0600) == 0);
	is_str(events(), "d:delete(other) d:create(other)", "mkfifo");
	unlink(other);
	need(mkdir(sub, 0755) == 0);
	is_str(events(), "d:delete(other) d:create,dir(sub)", "mkdir");
	need(chmod(sub, 0700) == 0);
	is_str(events(), "d:attrib,dir(sub)", "chmod of a directory");
	need(rmdir(sub) == 0);
	is_str(events(), "d:delete,dir(sub)", "rmdir");
	need(open("/nonexistent", O_RDONLY) == -1 && open(file, O_CREAT | O_EXCL) == -1);
	is_str(events(), "", "what fails is not told");
	is_int(inotify_rm_watch(in, dir_wd), 0, "inotify_rm_watch");
	is_str(events(), "d:ignored", "IN_IGNORED");
	is_err(inotify_rm_watch(in, dir_wd), EINVAL, "once");
	unlink(file);
	is_str(events(), "", "no longer watched");
}

static void test_self(void)
{
	int fd = make(file);
	file_wd = inotify_add_watch(in, file, IN_ALL_EVENTS);
	dir_wd = -2;
	ok(file_wd > 1, "numbers are not used again");
	need(write(fd, "x", 1) == 1);
	is_str(events(), "f:modify", "a file as such");
	need(link(file, other) == 0);
	is_str(events(), "f:attrib", "another link");
	int fd2 = open(other, O_RDONLY);
	close(fd2);
	is_str(events(), "f:open f:close", "by that name too");
	unlink(other);
	is_str(events(), "f:attrib", "one less");
	unlink(file);
	is_str(events(), "f:attrib", "the last, but it is open");
	need(write(fd, "x", 1) == 1);
	is_str(events(), "f:modify", "written to");
	close(fd);
	is_str(events(), "f:close_write f:delete_self f:ignored", "the end");
	fd = make(file);
	close(fd);
	file_wd = inotify_add_watch(in, file, IN_ALL_EVENTS);
	dir_wd = inotify_add_watch(in, dir, IN_ALL_EVENTS);
	unlink(file);
	is_str(events(), "f:attrib f:delete_self f:ignored d:delete(file)", "unlink, both watched");
	need(mkdir(sub, 0755) == 0);
	file_wd = inotify_add_watch(in, sub, IN_ALL_EVENTS);
	events();
	need(rmdir(sub) == 0);
	is_str(events(), "f:delete_self f:ignored d:delete,dir(sub)", "rmdir, both watched");
	inotify_rm_watch(in, dir_wd);
	events();
}

static void test_move(void)
{
	char from[80], to[80];
	close(make(file));
	need(mkdir(sub, 0755) == 0);
	dir_wd = inotify_add_watch(in, dir, IN_MOVE | IN_CREATE | IN_DELETE);
	file_wd = inotify_add_watch(in, file, IN_MOVE_SELF | IN_ATTRIB | IN_DELETE_SELF);
	need(rename(file, other) == 0);
	is_str(events(), "d:moved_from(file) d:moved_to(other) f:move_self", "rename");
	ok(last_cookie != 0, "its cookie");
	uint32_t cookie = last_cookie;
	snprintf(to, sizeof(to), "%s/moved", sub);
	need(rename(other, to) == 0);
	is_str(events(), "d:moved_from(other) f:move_self", "out of the directory");
	ok(last_cookie != cookie, "another cookie");
	need(rename(to, file) == 0);
	is_str(events(), "d:moved_to(file) f:move_self", "into it");
	close(make(other));
	need(rename(other, file) == 0);
	is_str(events(),
	       "d:create(other) d:moved_from(other) d:moved_to(file) f:attrib f:delete_self f:ignored",
	       "over a watched file");
	snprintf(from, sizeof(from), "%s/dir", dir);
	need(rename(sub, from) == 0);
	is_str(events(), "d:moved_from,dir(sub) d:moved_to,dir(dir)", "a directory");
	need(syscall(SYS_renameat2, AT_FDCWD, file, AT_FDCWD, from, 2) == 0);
	is_str(events(),
	       "d:moved_from(file) d:moved_to(dir) d:moved_from,dir(dir) d:moved_to,dir(file)",
	       "RENAME_EXCHANGE");
	need(syscall(SYS_renameat2, AT_FDCWD, file, AT_FDCWD, from, 2) == 0);
	need(rename(file, file) == 0);
	events();
	rmdir(from);
	unlink(file);
	inotify_rm_watch(in, dir_wd);
	events();
}

static void test_masks(void)
{
	int fd = make(file);
	dir_wd = -2;
	file_wd = inotify_add_watch(in, file, IN_MODIFY | IN_ONESHOT);
	need(write(fd, "x", 1) == 1);
	is_str(events(), "f:modify f:ignored", "IN_ONESHOT");
	need(write(fd, "x", 1) == 1);
	is_str(events(), "", "once");
	file_wd = inotify_add_watch(in, file, IN_MODIFY);
	is_int(inotify_add_watch(in, file, IN_ATTRIB), file_wd, "the same file");
	need(write(fd, "x", 1) == 1);
	is_str(events(), "", "the mask was replaced");
	is_int(inotify_add_watch(in, file, IN_MODIFY | IN_MASK_ADD), file_wd, "IN_MASK_ADD");
	need(write(fd, "x", 1) == 1 && fchmod(fd, 0600) == 0);
	is_str(events(), "f:modify f:attrib", "both");
	is_err(inotify_add_watch(in, file, IN_MODIFY | IN_MASK_CREATE), EEXIST, "IN_MASK_CREATE");
	is_err(inotify_add_watch(in, file, IN_MODIFY | IN_MASK_CREATE | IN_MASK_ADD), EINVAL,
	       "IN_MASK_CREATE and IN_MASK_ADD");
	inotify_rm_watch(in, file_wd);
	events();
	dir_wd = inotify_add_watch(in, dir, IN_MODIFY | IN_CLOSE | IN_EXCL_UNLINK);
	file_wd = -2;
	need(write(fd, "x", 1) == 1);
	unlink(file);
	need(write(fd, "x", 1) == 1);
	close(fd);
	is_str(events(), "d:modify(file)", "IN_EXCL_UNLINK");
	inotify_rm_watch(in, dir_wd);
	dir_wd = inotify_add_watch(in, dir, IN_MODIFY | IN_CLOSE);
	events();
	fd = make(file);
	unlink(file);
	need(write(fd, "x", 1) == 1);
	close(fd);
	is_str(events(), "d:modify(file) d:close_write(file)", "without it");
	inotify_rm_watch(in, dir_wd);
	events();
	is_err(inotify_add_watch(in, "/dev/null", IN_OPEN | IN_ONLYDIR), ENOTDIR, "IN_ONLYDIR");
	need(symlink("nowhere", file) == 0);
	is_err(inotify_add_watch(in, file, IN_ATTRIB), ENOENT, "a dangling link");
	file_wd = inotify_add_watch(in, file, IN_DELETE_SELF | IN_DONT_FOLLOW);
	ok(file_wd > 0, "IN_DONT_FOLLOW");
	unlink(file);
	is_str(events(), "f:delete_self f:ignored", "the link itself");
}

static void test_errors(void)
{
	int p[2];
	char buf[64];
	need(pipe(p) == 0);
	is_err(inotify_init1(1), EINVAL, "bad flags");
	is_err(inotify_add_watch(in, dir, 0), EINVAL, "no events");
	is_err(inotify_add_watch(in, dir, 0x00100000), EINVAL, "unknown bits");
	is_err(inotify_add_watch(p[0], dir, IN_OPEN), EINVAL, "not an inotify");
	is_err(inotify_add_watch(99, dir, IN_OPEN), EBADF, "nothing");
	is_err(inotify_add_watch(in, "/nonexistent", IN_OPEN), ENOENT, "no such file");
	is_err(inotify_add_watch(in, BAD_PTR, IN_OPEN), EFAULT, "bad path");
	is_err(inotify_rm_watch(p[0], 1), EINVAL, "rm of a pipe");
	is_err(inotify_rm_watch(99, 1), EBADF, "rm of nothing");
	is_err(inotify_rm_watch(in, -1), EINVAL, "rm of -1");
	is_err(read(in, buf, sizeof(buf)), EAGAIN, "nothing to read");
	is_err(write(in, buf, 1), EBADF, "write");
	dir_wd = inotify_add_watch(in, dir, IN_CREATE | IN_DELETE);
	close(make(file));
	int size = 0;
	is_int(ioctl(in, FIONREAD, &size), 0, "FIONREAD");
	is_int(size, 32, "a head and a name");
	is_err(read(in, buf, 31), EINVAL, "a short buffer");
	is_err(read(in, BAD_PTR, 4096), EFAULT, "a bad one");
	unlink(file);
	struct inotify_event *e = (void *)buf;
	is_int(read(in, buf, sizeof(buf)), 32, "read");
	is_int(e->len, 16, "the name's size");
	inotify_rm_watch(in, dir_wd);
	is_int(read(in, buf, 16), 16, "without a name");
	is_int(e->mask, IN_IGNORED, "IN_IGNORED");
	int fd = inotify_init1(IN_CLOEXEC);
	is_int(fcntl(fd, F_GETFD), FD_CLOEXEC, "IN_CLOEXEC");
	close(fd);
	close(p[0]);
	close(p[1]);
}

static void *watcher(void *arg)
{
	char buf[512];
	*(ssize_t *)arg = read(in, buf, sizeof(buf));
	return NULL;
}

static void test_wait(void)
{
	pthread_t t;
	ssize_t got = 0;
	struct pollfd p = { .fd = in, .events = POLLIN };
	dir_wd = inotify_add_watch(in, dir, IN_CREATE);
	is_int(poll(&p, 1, 0), 0, "poll: nothing");
	pid_t child = tap_fork();
	if (!child) {
		pause_ms(20);
		close(make(file));
		_exit(0);
	}
	is_int(poll(&p, 1, -1), 1, "poll waits");
	tap_wait(child);
	events();
	unlink(file);
	need(fcntl(in, F_SETFL, 0) == 0);
	need(pthread_create(&t, NULL, watcher, &got) == 0);
	pause_ms(20);
	close(make(file));
	pthread_join(t, NULL);
	is_int(got, 32, "read waits");
	need(fcntl(in, F_SETFL, O_NONBLOCK) == 0);
	unlink(file);
	inotify_rm_watch(in, dir_wd);
	events();
	/* Closed while somebody reads: the read goes on. */
	int ep = epoll_create1(0), fd = inotify_init1(IN_NONBLOCK);
	struct epoll_event ev = { .events = EPOLLIN };
	need(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	need(inotify_add_watch(fd, dir, IN_CREATE) == 1);
	close(make(file));
	is_int(epoll_wait(ep, &ev, 1, 0), 1, "epoll");
	close(fd);
	unlink(file);
	is_int(epoll_wait(ep, &ev, 1, 0), 0, "closed with its watch");
	close(ep);
}

static void test_overflow(void)
{
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
	int max = 0, count = 0, overflows = 0, after = 0;
	char buf[65536] __attribute__((aligned(8)));
	need(f && fscanf(f, "%d", &max) == 1);
	fclose(f);
	int fd = make(file);
	file_wd = inotify_add_watch(in, file, IN_MODIFY | IN_ATTRIB);
	for (int i = 0; i < max; i++) {
		need(pwrite(fd, "x", 1, 0) == 1);
		need(fchmod(fd, 0600) == 0);
	}
	ssize_t n;
	while ((n = read(in, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + n; p += sizeof(struct inotify_event)) {
			struct inotify_event *e = (void *)p;
			count++;
			after += overflows;
			overflows += e->mask == IN_Q_OVERFLOW && e->wd == -1;
		}
	is_int(overflows, 1, "IN_Q_OVERFLOW");
	is_int(after, 0, "is the last");
	is_int(count, max + 1, "after as many as may wait");
	need(pwrite(fd, "x", 1, 0) == 1);
	is_str(events(), "f:modify", "then it goes on");
	close(fd);
	unlink(file);
	events();
}

static void test_limit(void)
{
	int fds[2000], n = 0;
	while (n < 2000 && (fds[n] = inotify_init1(0)) >= 0)
		n++;
	ok(n > 50 && n < 2000 && errno == EMFILE, "instances are limited");
	while (n--)
		close(fds[n]);
}

static void test_fdinfo(void)
{
	char path[64], text[512] = "", want[80];
	struct stat st;
	dir_wd = inotify_add_watch(in, dir, IN_CREATE);
	need(stat(dir, &st) == 0);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", in);
	int fd = open(path, O_RDONLY);
	need(read(fd, text, sizeof(text) - 1) > 0);
	snprintf(want, sizeof(want), "inotify wd:%x ino:%lx sdev:", dir_wd, (long)st.st_ino);
	ok(strstr(text, want), "fdinfo");
	ok(strstr(text, " mask:100 ignored_mask:0 "), "fdinfo: the mask");
	close(fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", in);
	memset(text, 0, sizeof(text));
	need(readlink(path, text, sizeof(text) - 1) > 0);
	is_str(text, "anon_inode:inotify", "its name");
	inotify_rm_watch(in, dir_wd);
	events();
}

/* Churn while others come and go: nothing is to break. */
static void *churn(void *arg)
{
	char a[64], b[64];
	(void)arg;
	snprintf(a, sizeof(a), "%s/a%d", dir, gettid());
	snprintf(b, sizeof(b), "%s/b", dir);
	for (int i = 0; i < 300; i++) {
		int fd = open(a, O_RDWR | O_CREAT, 0600);
		if (fd >= 0)
			write(fd, "x", 1);
		rename(a, b);
		close(fd);
		unlink(b);
	}
	return NULL;
}

static void *rewatch(void *arg)
{
	char b[64];
	(void)arg;
	snprintf(b, sizeof(b), "%s/b", dir);
	for (int i = 0; i < 300; i++) {
		int fd = inotify_init1(IN_NONBLOCK), wd = inotify_add_watch(fd, dir, IN_ALL_EVENTS);
		inotify_add_watch(fd, b, IN_ALL_EVENTS | (i & 1 ? IN_ONESHOT : 0));
		if (i & 2)
			inotify_rm_watch(fd, wd);
		close(fd);
	}
	return NULL;
}

static void test_churn(void)
{
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		need(pthread_create(&t[i], NULL, i & 1 ? rewatch : churn, NULL) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	ok(true, "four threads");
}

/* How many watches can be had, up to 100, and how many instances, up to 300. */
static int count_all(void)
{
	int instances = 0, watches = 0, fd = inotify_init1(0);
	char path[32];
	for (; watches < 100 && fd >= 0; watches++) {
		snprintf(path, sizeof(path), "/tmp/watch%d", watches);
		close(open(path, O_CREAT | O_WRONLY, 0600));
		if (inotify_add_watch(fd, path, IN_OPEN) < 0)
			break;
	}
	close(fd);
	while (instances < 300 && inotify_init1(0) >= 0)
		instances++;
	printf("%d %d\n", watches, instances);
	return 0;
}

/* An argument: where to make the directory, to try another file system. */
int main(int argc, char **argv)
{
	static char made[48];
	if (argc > 1 && !strcmp(argv[1], "--count"))
		return count_all();
	tap_begin();
	if (argc > 1) {
		snprintf(made, sizeof(made), "%s/guest.XXXXXX", argv[1]);
		need((dir = mkdtemp(made)) != NULL);
	} else {
		dir = temp_dir();
	}
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	snprintf(sub, sizeof(sub), "%s/sub", dir);
	in = inotify_init1(IN_NONBLOCK);
	need(in >= 0);
	test_directory();
	test_self();
	test_move();
	test_masks();
	test_errors();
	test_wait();
	test_overflow();
	test_limit();
	test_fdinfo();
	test_churn();
	rmdir(dir);
	return tap_end();
}
