/* Inherited streams of each kind: regular, append, pipe, terminal, device, closed. */

#include "unit/vfs_fixture.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "fs/devfs/devfs.h"
#include "fs/stdio/stdio.h"
#include "sched/timer.h"

static struct file *stream(struct world *w, int fd)
{
	struct file *f;

	assert_int_equal(stdio_file_create(&w->s, fd, STDIO_HOST_FLAGS, &f), 0);
	return f;
}

static void body_regular(struct world *w)
{
	char path[] = "/tmp/test_stdio.XXXXXX", buf[16] = {};
	int fd = mkstemp(path), own = dup(fd);
	struct kstat st;
	struct file *f;
	s64 pos = 1;

	unlink(path);
	assert_int_equal(write(own, "0123456789", 10), 10);
	assert_int_equal(lseek(own, 4, SEEK_SET), 4);
	f = stream(w, fd);
	/* At the caller's position, which moves along. */
	assert_int_equal(get_at(w, f, buf, 3, NULL), 3);
	assert_memory_equal(buf, "456", 3);
	assert_int_equal(lseek(own, 0, SEEK_CUR), 7);
	assert_int_equal(get_at(w, f, buf, 3, &pos), 3);
	assert_memory_equal(buf, "123", 3);
	assert_int_equal(lseek(own, 0, SEEK_CUR), 7);
	assert_int_equal(put_at(w, f, "XY", 2, NULL), 2);
	assert_int_equal(lseek(own, 0, SEEK_CUR), 9);
	assert_int_equal(file_lseek(&w->s, f, 0, SEEK_SET), 0);
	assert_int_equal(lseek(own, 0, SEEK_CUR), 0);
	assert_int_equal(vfs_getattr(&w->s, &f->path, &st), 0);
	assert_true(S_ISREG(st.mode));
	assert_int_equal(st.size, 10);
	w->rlimits.limit[RLIMIT_FSIZE].cur = 12;
	assert_int_equal(file_lseek(&w->s, f, 10, SEEK_SET), 10);
	assert_int_equal(put_at(w, f, "abcd", 4, NULL), 2);
	assert_int_equal(put_at(w, f, "abcd", 4, NULL), -EFBIG);
	assert_int_equal(file_truncate(&w->s, f, 3), 0);
	assert_null(f->ops->waitq(f));
	assert_int_equal(file_poll(f) & EPOLLIN, EPOLLIN);
	file_put(f);
	close(own);
}

struct writer {
	int fd;
	s64 delay;
	const char *text;
};

static void writer_fiber(void *arg)
{
	struct writer *wr = arg;

	(void)fiber_park(sched_now() + wr->delay);
	if (wr->text)
		(void)!write(wr->fd, wr->text, strlen(wr->text));
	close(wr->fd);
}

static void body_pipe(struct world *w)
{
	struct writer wr = { .delay = 20'000'000, .text = "late" };
	static char big[300'000], back[300'000];
	struct file *in, *out;
	int fds[2];
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	in = stream(w, fds[0]);
	wr.fd = fds[1];
	assert_true(in->stream);
	assert_int_equal(file_lseek(&w->s, in, 0, SEEK_SET), -ESPIPE);
	assert_int_equal(file_poll(in) & EPOLLIN, 0);
	assert_int_equal(file_setfl(&w->s, in, O_NONBLOCK), 0);
	assert_int_equal(get_at(w, in, back, 10, NULL), -EAGAIN);
	assert_int_equal(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(file_setfl(&w->s, in, 0), 0);
	/* A blocked read lets other fibers run, and wakes when data come; then the end. */
	fiber_start(fiber_create(writer_fiber, &wr));
	assert_int_equal(get_at(w, in, back, 10, NULL), 4);
	assert_memory_equal(back, "late", 4);
	assert_int_equal(get_at(w, in, back, 10, NULL), 0);
	file_put(in);
	/* A write larger than the pipe: in pieces, while a reader drains it. */
	assert_int_equal(pipe(fds), 0);
	out = stream(w, fds[1]);
	assert_int_equal(file_setfl(&w->s, out, O_NONBLOCK), 0);
	n = put_at(w, out, big, sizeof(big), NULL);
	assert_in_range(n, 4096, 65536);
	assert_int_equal(put_at(w, out, big, 1, NULL), -EAGAIN);
	assert_int_equal(read(fds[0], back, (size_t)n), n);
	close(fds[0]);
	assert_int_equal(put_at(w, out, big, 1, NULL), -EPIPE);
	file_put(out);
	assert_int_equal(stdio_file_create(&w->s, 4095, STDIO_HOST_FLAGS, &out), -EBADF);
}

struct waker {
	struct fiber *who;
};

static void interrupt_fiber(void *arg)
{
	struct waker *k = arg;

	(void)fiber_park(sched_now() + 10'000'000);
	fiber_interrupt(k->who);
}

static void body_interrupt(struct world *w)
{
	struct waker k = { fiber_current() };
	struct file *f;
	int fds[2];
	char c;

	assert_int_equal(pipe(fds), 0);
	f = stream(w, fds[0]);
	fiber_start(fiber_create(interrupt_fiber, &k));
	assert_int_equal(get_at(w, f, &c, 1, NULL), -EINTR);
	fiber_clear_interrupt(fiber_current());
	file_put(f);
	close(fds[1]);
}

static void body_terminal(struct world *w)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave;
	struct file *f;
	char buf[16] = {}, *name;

	if (master < 0) {
		print_message("no terminals here\n");
		return;
	}
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	name = ptsname(master);
	slave = open(name, O_RDWR | O_NOCTTY);
	assert_true(slave >= 0);
	f = stream(w, slave);
	assert_true(S_ISCHR(f->inode->mode));
	assert_int_equal(put_at(w, f, "out", 3, NULL), 3);
	assert_int_equal(read(master, buf, sizeof(buf)), 3);
	assert_int_equal(file_poll(f) & EPOLLIN, 0);
	assert_int_equal(write(master, "in\n", 3), 3);
	assert_int_equal(get_at(w, f, buf, sizeof(buf), NULL), 3);
	assert_memory_equal(buf, "in\n", 3);
	file_put(f);
	close(master);
}

static void body_devices(struct world *w)
{
	struct super *sb;
	struct file *f;
	char buf[5000];
	struct kstat st;

	assert_int_equal(vfs_mkdir(&w->s, AT_FDCWD, "/dev", 0755), 0);
	assert_int_equal(devfs_create(&sb), 0);
	assert_int_equal(vfs_mount(&w->s, w->ns, sb, "dev", "/dev", 0), 0);
	f = must_open(w, "/dev/null", O_RDWR, 0);
	assert_int_equal(get_at(w, f, buf, 10, NULL), 0);
	assert_int_equal(put_at(w, f, buf, sizeof(buf), NULL), sizeof(buf));
	file_put(f);
	memset(buf, 1, sizeof(buf));
	f = must_open(w, "/dev/zero", O_RDWR, 0);
	assert_int_equal(get_at(w, f, buf, sizeof(buf), NULL), sizeof(buf));
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0);
	assert_true(f->ops->maps_anonymous);
	file_put(f);
	f = must_open(w, "/dev/full", O_RDWR, 0);
	assert_int_equal(put_at(w, f, buf, 1, NULL), -ENOSPC);
	file_put(f);
	f = must_open(w, "/dev/urandom", O_RDONLY, 0);
	assert_int_equal(get_at(w, f, buf, sizeof(buf), NULL), sizeof(buf));
	file_put(f);
	assert_int_equal(at_open(w, "/dev/tty", O_RDWR, 0, &f), -ENXIO);
	assert_int_equal(at_stat(w, "/dev/shm", 0, &st), 0);
	assert_int_equal(st.mode, S_IFDIR | 01777);
	/* A stream that is the host's /dev/null. */
	f = stream(w, open("/dev/null", O_RDWR));
	assert_int_equal(get_at(w, f, buf, 10, NULL), 0);
	assert_int_equal(put_at(w, f, buf, sizeof(buf), NULL), sizeof(buf));
	file_put(f);
}

TEST(regular)
TEST(pipe)
TEST(interrupt)
TEST(terminal)
TEST(devices)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_regular),	  cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_interrupt), cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_devices),
	};

	signal(SIGPIPE, SIG_IGN);
	if (arena_create())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
