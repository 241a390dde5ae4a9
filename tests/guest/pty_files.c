/*
 * Pseudo-terminals as files: devpts, ioctls and their errors, reading and writing, hang-up, poll.
 */
#include "pty.h"
#include <dirent.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

static int revents(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI };
	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

static void test_devpts(void)
{
	struct pty p = pty_open();
	struct stat st, st2;
	struct statfs fs;
	char path[32], link[64];
	bool seen = false;
	snprintf(path, sizeof(path), "/dev/pts/%u", p.number);
	need(stat(path, &st) == 0 && fstat(p.slave, &st2) == 0);
	ok(S_ISCHR(st.st_mode) && st.st_rdev == makedev(136, p.number), "the slave's device");
	ok(st.st_ino == st2.st_ino && st.st_dev == st2.st_dev, "its inode");
	ok(st.st_uid == getuid() && st.st_nlink == 1, "its owner is who opened the master");
	need(statfs("/dev/pts", &fs) == 0);
	is_int(fs.f_type, 0x1cd1, "the type of /dev/pts");
	DIR *dir = opendir("/dev/pts");
	struct dirent *e;
	need(dir);
	while ((e = readdir(dir)))
		if (strcmp(e->d_name, path + 9) == 0)
			seen = e->d_type == DT_CHR && e->d_ino == st.st_ino;
	closedir(dir);
	ok(seen, "readdir shows it");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p.slave);
	ssize_t n = readlink(path, link, sizeof(link) - 1);
	link[n < 0 ? 0 : n] = '\0';
	is_int(atoi(link + 9), p.number, "its name by /proc");
	ok(stat("/dev/ptmx", &st) == 0 && st.st_rdev == makedev(5, 2), "the device of /dev/ptmx");
	ok(stat("/dev/tty", &st) == 0 && st.st_rdev == makedev(5, 0), "the device of /dev/tty");
	is_err(open("/dev/pts/01", O_RDWR), ENOENT, "a name with a leading zero");
	is_err(open("/dev/pts/99999", O_RDWR), ENOENT, "a pair that is not there");
	is_err(open("/dev/pts/x", O_RDWR | O_CREAT, 0600), EACCES, "nothing can be created there");
	ok(fchmod(p.slave, 0644) == 0 && fstat(p.slave, &st) == 0 && (st.st_mode & 07777) == 0644,
	   "its mode can be changed");
	is_err(lseek(p.slave, 0, SEEK_SET), ESPIPE, "lseek");
	is_err(pread(p.slave, link, 1, 0), ESPIPE, "pread");
	is_err(ftruncate(p.slave, 0), EINVAL, "ftruncate");
	is_err((long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, p.slave, 0), ENODEV, "mmap");
	is_err(fsync(p.slave), EINVAL, "fsync");
	pty_close(&p);
	snprintf(path, sizeof(path), "/dev/pts/%u", p.number);
	is_err(stat(path, &st), ENOENT, "its name goes with the master");
}

static void test_lock(void)
{
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY), on = 0;
	unsigned int number, locked = 7;
	char path[32];
	need(master >= 0 && ioctl(master, TIOCGPTN, &number) == 0);
	snprintf(path, sizeof(path), "/dev/pts/%u", number);
	need(ioctl(master, TIOCGPTLCK, &locked) == 0);
	is_int(locked, 1, "a new pair is locked");
	is_err(open(path, O_RDWR | O_NOCTTY), EIO, "and cannot be opened");
	is_int(revents(master), POLLOUT, "poll of a master whose slave was never open");
	is_int(write(master, "early\n", 6), 6, "it can be written");
	need(ioctl(master, TIOCSPTLCK, &on) == 0);
	int slave = open(path, O_RDWR | O_NOCTTY);
	char buf[16];
	ok(slave >= 0 && read(slave, buf, sizeof(buf)) == 6, "and read once the slave is open");
	on = 1;
	need(ioctl(master, TIOCSPTLCK, &on) == 0);
	is_err(open(path, O_RDWR | O_NOCTTY), EIO, "locked again");
	is_err(ioctl(slave, TIOCSPTLCK, &on), ENOTTY, "the slave cannot be told to lock");
	is_err(ioctl(master, TIOCSPTLCK, NULL), EFAULT, "TIOCSPTLCK of no address");
	close(slave);
	close(master);
}

static void test_termios(void)
{
	struct pty p = pty_open();
	struct termios2 t = pty_get(p.slave), m = pty_get(p.master), u;
	struct text text = {};
	ok(memcmp(&t, &m, sizeof(t)) == 0, "the master shows the slave's termios");
	text_add_bytes(&text, (char *)t.c_cc, sizeof(t.c_cc));
	ok(true, "defaults: %x %x %x %x %d %u %u", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag,
	   t.c_line, t.c_ispeed, t.c_ospeed);
	ok(true, "default keys: %s", text_short(&text));
	static const unsigned int cflags[] = { 0,
					       B9600,
					       B4000000,
					       CS5 | PARENB | B50,
					       BOTHER,
					       B1200 << IBSHIFT | B300,
					       BOTHER << IBSHIFT | B300,
					       CLOCAL | HUPCL | CSTOPB | B38400,
					       0x1fff };
	for (size_t i = 0; i < sizeof(cflags) / sizeof(cflags[0]); i++) {
		u = t;
		u.c_cflag = cflags[i];
		u.c_ispeed = 1234;
		u.c_ospeed = 5678;
		int ret = ioctl(p.slave, TCSETS2, &u);
		u = pty_get(p.slave);
		ok(ret == 0, "c_cflag %x: %x %u %u", cflags[i], u.c_cflag, u.c_ispeed, u.c_ospeed);
	}
	pty_set(p.master, &t);
	u = t;
	u.c_iflag = u.c_oflag = u.c_lflag = ~0u;
	u.c_line = 3;
	need(ioctl(p.slave, TCSETS, &u) == 0);
	u = pty_get(p.slave);
	ok(true, "all bits: %x %x %x %d", u.c_iflag, u.c_oflag, u.c_lflag, u.c_line);
	struct {
		unsigned short iflag, oflag, cflag, lflag;
		unsigned char line, cc[8], pad[8];
	} old = { 0 };
	need(ioctl(p.slave, TCGETA, &old) == 0);
	ok(true, "TCGETA: %x %x %x %x %d %d", old.iflag, old.oflag, old.cflag, old.lflag, old.line,
	   old.cc[VERASE]);
	old.lflag = ISIG;
	old.line = 0;
	need(ioctl(p.slave, TCSETA, &old) == 0);
	u = pty_get(p.slave);
	ok(true, "TCSETA: %x %x", u.c_lflag, u.c_line);
	static const unsigned int commands[] = {
		TCGETS,	  TCGETS2,  TCGETA,    TCSETS,	     TCSETSW,	   TCSETSF,	   TCSETS2,
		TCSETSW2, TCSETSF2, TCSETA,    TIOCGWINSZ,   TIOCSWINSZ,   TIOCOUTQ,	   FIONREAD,
		TIOCGETD, TIOCSETD, TIOCGEXCL, TIOCGSOFTCAR, TIOCSSOFTCAR, TIOCGLCKTRMIOS, TIOCSTI,
		TIOCPKT,  TIOCGPKT, TIOCGPTN,  TIOCGPTLCK
	};
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		errno = 0;
		int slave = ioctl(p.slave, commands[i], 1), e = errno;
		errno = 0;
		int master = ioctl(p.master, commands[i], 1);
		ok(slave == -1 && master == -1, "command %x of a bad address: %d, %d", commands[i],
		   e, errno);
	}
	pty_close(&p);
}

static void test_errors(void)
{
	static const struct {
		unsigned int cmd;
		long arg;
	} calls[] = {
		{ TCFLSH, 0 },
		{ TCFLSH, 1 },
		{ TCFLSH, 2 },
		{ TCFLSH, 3 },
		{ TCFLSH, -1 },
		{ TCXONC, 0 },
		{ TCXONC, 1 },
		{ TCXONC, 4 },
		{ TCSBRK, 0 },
		{ TCSBRK, 1 },
		{ TCSBRKP, 0 },
		{ TIOCSBRK, 0 },
		{ TIOCCBRK, 0 },
		{ TIOCMGET, 0 },
		{ TIOCGICOUNT, 0 },
		{ TIOCGSERIAL, 0 },
		{ TIOCSIG, SIGKILL },
		{ TIOCSIG, SIGINT },
		{ TIOCSIG, 0 },
		{ TIOCEXCL, 0 },
		{ TIOCNXCL, 0 },
		{ TIOCNOTTY, 0 },
		{ TIOCGPTPEER, O_NOCTTY },
		{ TIOCSERGETLSR, 0 },
		{ TIOCLINUX, 0 },
		{ 0x5499, 0 },
		{ 0, 0 },
		{ TCXONC, 2 },
		{ TCXONC, 3 },
	};
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct pty p = pty_open();
		struct text in = {}, out = {};
		errno = 0;
		int slave = ioctl(p.slave, calls[i].cmd, calls[i].arg), e = errno;
		errno = 0;
		int master = ioctl(p.master, calls[i].cmd, calls[i].arg), e2 = errno;
		pty_drain(p.slave, &in);
		pty_drain(p.master, &out);
		ok(true, "command %x %ld: %d %d, %d %d, %s, %s", calls[i].cmd, calls[i].arg,
		   slave < 0 ? slave : 0, e, master < 0 ? master : 0, e2, text_short(&in),
		   text_short(&out));
		pty_close(&p);
	}
	struct pty p = pty_open();
	int value = 0;
	need(ioctl(p.slave, TIOCSETD, &value) == 0);
	value = 29;
	is_err(ioctl(p.slave, TIOCSETD, &value), EINVAL, "an unknown discipline");
	value = -1;
	ok(ioctl(p.slave, TIOCGETD, &value) == 0 && value == 0, "TIOCGETD");
	unsigned int dev = 0;
	ok(ioctl(p.master, TIOCGDEV, &dev) == 0 && dev == (136u << 8 | p.number), "TIOCGDEV");
	pty_close(&p);
}

static void test_queues(void)
{
	struct pty p = pty_open();
	int count;
	pty_feed(&p, "two\nlines\nand", 13);
	need(revents(p.slave) & POLLIN);
	char buf[32];
	need(read(p.slave, buf, sizeof(buf)) == 4);
	need(ioctl(p.slave, FIONREAD, &count) == 0);
	is_int(count, 6, "FIONREAD counts whole lines");
	need(ioctl(p.slave, TCFLSH, TCIFLUSH) == 0);
	is_int(revents(p.slave), POLLOUT, "nothing is left after a flush");
	struct text echo = {};
	pty_drain(p.master, &echo);
	ok(true, "echo: %s", text_short(&echo));
	need(write(p.slave, "out\n", 4) == 4);
	need(revents(p.master) == (POLLIN | POLLOUT));
	need(ioctl(p.master, FIONREAD, &count) == 0);
	is_int(count, 5, "FIONREAD of the master");
	need(ioctl(p.slave, TIOCOUTQ, &count) == 0);
	is_int(count, 0, "TIOCOUTQ");
	need(ioctl(p.slave, TCFLSH, TCOFLUSH) == 0);
	is_int(read(p.master, buf, sizeof(buf)), 5, "what the master has is not flushed");
	need(ioctl(p.slave, TCXONC, TCOOFF) == 0);
	is_int(revents(p.slave), 0, "suspended output is not writable");
	set_blocking(p.slave, false);
	is_err(write(p.slave, "x", 1), EAGAIN, "write to suspended output");
	pty_feed(&p, "\021", 1);
	is_int(revents(p.slave), 0, "the start character does not resume it");
	need(ioctl(p.slave, TCXONC, TCOON) == 0);
	is_int(write(p.slave, "x", 1), 1, "it is resumed");
	is_int(write(p.slave, "", 0), 0, "a write of nothing");
	is_int(read(p.slave, buf, 0), 0, "a read of nothing");
	is_err(read(p.slave, buf, 1), EAGAIN, "a nonblocking read");
	is_err(write(p.slave, (void *)1, 5), EFAULT, "a write from a bad address");
	pty_close(&p);
}

/* How much can be written when nobody reads; then all of it arrives. */
static void *read_all(void *arg)
{
	long *total = arg;
	char buf[4096];
	ssize_t n;
	while ((n = read((int)total[0], buf, sizeof(buf))) > 0)
		total[1] += n;
	return NULL;
}

static void test_flood(void)
{
	enum { SIZE = 1 << 20 };
	char *data = malloc(SIZE);
	memset(data, 'x', SIZE);
	for (int side = 0; side < 2; side++) {
		struct pty p = pty_open();
		int from = side ? p.master : p.slave, to = side ? p.slave : p.master;
		long total[2] = { to, 0 };
		pthread_t thread;
		ssize_t n, before = 0;
		pty_raw(p.slave);
		set_blocking(from, false);
		while ((n = write(from, data, SIZE)) > 0)
			before += n;
		ok(n == -1 && errno == EAGAIN && before >= 4095 && before < 100000,
		   "a side that nobody reads fills up, side %d", side);
		set_blocking(from, true);
		need(pthread_create(&thread, NULL, read_all, total) == 0);
		is_int(write(from, data, SIZE), SIZE, "then a blocking write is taken whole");
		if (!side) {
			close(p.slave);
			pthread_join(thread, NULL);
			close(p.master);
			is_int(total[1], before + SIZE, "and all of it is read");
		} else {
			while (__atomic_load_n(&total[1], __ATOMIC_RELAXED) < before + SIZE)
				usleep(1000);
			close(p.master);
			pthread_join(thread, NULL);
			close(p.slave);
			ok(true, "and all of it is read");
		}
	}
	free(data);
}

static void test_slave_closed(void)
{
	struct pty p = pty_open();
	char buf[16];
	need(write(p.slave, "last", 4) == 4);
	close(p.slave);
	is_int(revents(p.master), POLLIN | POLLOUT | POLLHUP, "poll after the slave's close");
	is_int(read(p.master, buf, sizeof(buf)), 4, "what it wrote is read");
	is_int(revents(p.master), POLLOUT | POLLHUP, "poll when that is gone");
	is_err(read(p.master, buf, sizeof(buf)), EIO, "then reads fail");
	is_int(write(p.master, "x\n", 2), 2, "writes do not");
	p.slave = pty_open_slave(&p, O_RDWR | O_NOCTTY);
	need(p.slave >= 0);
	is_int(read(p.slave, buf, sizeof(buf)), 2, "the slave can be opened again");
	is_int(revents(p.master) & POLLHUP, 0, "and the hang-up is over");
	pty_close(&p);
}

static void test_master_closed(void)
{
	struct pty p = pty_open();
	struct termios2 t;
	int second = pty_open_slave(&p, O_RDWR | O_NOCTTY), n = 0;
	char buf[16];
	need(second >= 0);
	pty_feed(&p, "line\n", 5);
	need(revents(p.slave) & POLLIN);
	close(p.master);
	is_int(revents(p.slave), POLLIN | POLLOUT | POLLERR | POLLHUP,
	       "poll after the master's close");
	is_int(read(p.slave, buf, sizeof(buf)), 0, "reads see an end of file");
	is_err(write(p.slave, "x", 1), EIO, "writes fail");
	is_err(write(second, "x", 1), EIO, "also by another open file");
	is_err(ioctl(p.slave, TCGETS2, &t), EIO, "ioctls fail");
	is_err(ioctl(p.slave, TIOCSPGRP, &n), ENOTTY, "TIOCSPGRP in its own way");
	is_err(ioctl(p.slave, FIONREAD, &n), EIO, "FIONREAD");
	is_int(isatty(p.slave), 0, "it is no terminal any more");
	struct stat st;
	ok(fstat(p.slave, &st) == 0 && S_ISCHR(st.st_mode), "fstat works");
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p.slave);
	is_err(open(path, O_RDWR | O_NOCTTY), EIO, "and cannot be opened again");
	close(p.slave);
	close(second);
}

/* Those who wait are woken by a hang-up. */
static struct pty waiting;

static void *close_master_soon(void *arg)
{
	(void)arg;
	usleep(50000);
	close(waiting.master);
	return NULL;
}

static void *close_slave_soon(void *arg)
{
	(void)arg;
	usleep(50000);
	close(waiting.slave);
	return NULL;
}

static void test_woken(void)
{
	static char big[65536];
	pthread_t thread;
	char buf[16];
	for (int i = 0; i < 3; i++) {
		waiting = pty_open();
		need(pthread_create(&thread, NULL, close_master_soon, NULL) == 0);
		struct pollfd p = { .fd = waiting.slave, .events = POLLIN };
		if (i == 0)
			is_err(read(waiting.slave, buf, 1), EIO, "a reader of the slave is woken");
		else if (i == 1)
			ok(poll(&p, 1, -1) == 1 && p.revents & POLLHUP, "a poller is woken");
		else
			ok(write(waiting.slave, big, sizeof(big)) > 0 &&
				   write(waiting.slave, big, 1) == -1 && errno == EIO,
			   "a writer is woken");
		pthread_join(thread, NULL);
		close(waiting.slave);
	}
	waiting = pty_open();
	need(pthread_create(&thread, NULL, close_slave_soon, NULL) == 0);
	is_err(read(waiting.master, buf, 1), EIO, "a reader of the master is woken");
	pthread_join(thread, NULL);
	close(waiting.master);
}

static long ms_since(const struct timespec *from)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - from->tv_sec) * 1000 + (now.tv_nsec - from->tv_nsec) / 1000000;
}

static void test_min_time(void)
{
	struct pty p = pty_open();
	struct termios2 t;
	struct timespec start;
	char buf[16];
	int count;
	pty_raw(p.slave);
	t = pty_get(p.slave);
	t.c_cc[VMIN] = 0;
	pty_set(p.slave, &t);
	is_int(read(p.slave, buf, 8), 0, "MIN 0, TIME 0: no wait");
	set_blocking(p.slave, false);
	is_int(read(p.slave, buf, 8), 0, "nonblocking too");
	set_blocking(p.slave, true);
	pty_feed(&p, "abc", 3);
	need(revents(p.slave) & POLLIN);
	is_int(read(p.slave, buf, 8), 3, "what is there is read");
	t.c_cc[VTIME] = 2;
	pty_set(p.slave, &t);
	clock_gettime(CLOCK_MONOTONIC, &start);
	is_int(read(p.slave, buf, 8), 0, "MIN 0, TIME 2: an end of file");
	ok(ms_since(&start) >= 190, "after 0.2 s");
	set_blocking(p.slave, false);
	is_err(read(p.slave, buf, 8), EAGAIN, "nonblocking: no end of file");
	set_blocking(p.slave, true);
	t.c_cc[VMIN] = 4;
	t.c_cc[VTIME] = 0;
	pty_set(p.slave, &t);
	pty_feed(&p, "abc", 3);
	is_int(revents(p.slave), POLLOUT, "MIN 4: three bytes are not readable");
	need(ioctl(p.slave, FIONREAD, &count) == 0);
	is_int(count, 3, "but counted");
	pty_feed(&p, "de", 2);
	is_int(revents(p.slave), POLLIN | POLLOUT, "five are");
	is_int(read(p.slave, buf, 8), 5, "and are read");
	pty_feed(&p, "xyz", 3);
	is_int(read(p.slave, buf, 2), 2, "a small read does not wait for MIN");
	t.c_cc[VTIME] = 1;
	pty_set(p.slave, &t);
	clock_gettime(CLOCK_MONOTONIC, &start);
	is_int(read(p.slave, buf, 8), 1, "MIN 4, TIME 1: what came in time");
	ok(ms_since(&start) >= 90, "after 0.1 s");
	pty_close(&p);
}

static void test_packet(void)
{
	struct pty p = pty_open();
	struct termios2 t = pty_get(p.slave);
	int on = 1, value = 0;
	char buf[16];
	need(ioctl(p.master, TIOCPKT, &on) == 0);
	ok(ioctl(p.master, TIOCGPKT, &value) == 0 && value == 1, "packet mode is on");
	need(write(p.slave, "ab\n", 3) == 3);
	is_int(read(p.master, buf, sizeof(buf)), 5, "data have a byte before them");
	is_int(buf[0], TIOCPKT_DATA, "which says so");
	need(ioctl(p.slave, TCFLSH, TCIOFLUSH) == 0);
	is_int(revents(p.master), POLLIN | POLLOUT | POLLPRI, "a flush can be polled for");
	is_int(read(p.master, buf, sizeof(buf)), 1, "and read");
	is_int(buf[0], TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE, "as both flushes");
	pty_feed(&p, "\023", 1);
	need(revents(p.slave) >= 0);
	ok(read(p.master, buf, sizeof(buf)) == 1 && buf[0] == TIOCPKT_STOP, "output is stopped");
	pty_feed(&p, "\021", 1);
	need(revents(p.slave) >= 0);
	ok(read(p.master, buf, sizeof(buf)) == 1 && buf[0] == TIOCPKT_START, "and started");
	t.c_iflag &= ~(unsigned)IXON;
	pty_set(p.slave, &t);
	ok(read(p.master, buf, sizeof(buf)) == 1 && buf[0] == TIOCPKT_NOSTOP, "no flow control");
	t.c_iflag |= IXON;
	pty_set(p.slave, &t);
	ok(read(p.master, buf, sizeof(buf)) == 1 && buf[0] == TIOCPKT_DOSTOP, "flow control");
	t.c_lflag |= EXTPROC;
	pty_set(p.slave, &t);
	ok(read(p.master, buf, sizeof(buf)) == 1 && buf[0] == TIOCPKT_IOCTL, "EXTPROC tells");
	on = 0;
	need(ioctl(p.master, TIOCPKT, &on) == 0);
	need(write(p.slave, "z", 1) == 1);
	is_int(read(p.master, buf, sizeof(buf)), 1, "packet mode is off");
	pty_close(&p);
}

static void test_window(void)
{
	struct pty p = pty_open();
	struct {
		unsigned short row, col, x, y;
	} size = { 1, 2, 3, 4 }, got = { 9, 9, 9, 9 };
	need(ioctl(p.slave, TIOCGWINSZ, &got) == 0);
	ok(got.row == 0 && got.col == 0 && got.x == 0 && got.y == 0, "no size at first");
	need(ioctl(p.master, TIOCSWINSZ, &size) == 0 && ioctl(p.slave, TIOCGWINSZ, &got) == 0);
	ok(memcmp(&size, &got, sizeof(size)) == 0, "set by the master, got by the slave");
	size.row = 50;
	need(ioctl(p.slave, TIOCSWINSZ, &size) == 0 && ioctl(p.master, TIOCGWINSZ, &got) == 0);
	ok(memcmp(&size, &got, sizeof(size)) == 0, "and the other way");
	pty_close(&p);
}

static void test_exclusive(void)
{
	struct pty p = pty_open();
	int value = 0;
	need(ioctl(p.slave, TIOCEXCL) == 0);
	ok(ioctl(p.slave, TIOCGEXCL, &value) == 0 && value == 1, "the slave is exclusive");
	pid_t child = tap_fork();
	if (child == 0) {
		if (getuid() == 0)
			need(setresuid(12345, 12345, 12345) == 0);
		char path[32];
		snprintf(path, sizeof(path), "/proc/self/fd/%d", p.slave);
		int fd = open(path, O_RDWR | O_NOCTTY);
		_exit(fd == -1 && (errno == EBUSY || errno == EACCES) ? 0 : 1);
	}
	is_exit(tap_wait(child), 0, "others cannot open it");
	if (getuid() == 0) {
		int fd = pty_open_slave(&p, O_RDWR | O_NOCTTY);
		ok(fd >= 0, "root can");
		close(fd);
	} else {
		ok(true, "root can");
	}
	pty_close(&p);
}

static void test_peer(void)
{
	struct pty p = pty_open();
	int fd = ioctl(p.master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct stat a, b;
	ok(fd >= 0 && fstat(fd, &a) == 0 && fstat(p.slave, &b) == 0 && a.st_rdev == b.st_rdev,
	   "TIOCGPTPEER opens the slave");
	is_int(fcntl(fd, F_GETFD), FD_CLOEXEC, "closed by exec");
	is_int(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NOCTTY), O_RDWR, "for reading and writing");
	is_err(ioctl(p.slave, TIOCGPTPEER, O_RDWR), EIO, "not by the slave");
	close(fd);
	pty_close(&p);
}

static void test_epoll(void)
{
	struct pty p = pty_open();
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET }, got;
	int ep = epoll_create1(0);
	char buf[32];
	need(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, p.slave, &ev) == 0);
	is_int(epoll_wait(ep, &got, 1, 0), 0, "epoll: nothing yet");
	pty_feed(&p, "half", 4);
	is_int(epoll_wait(ep, &got, 1, 50), 0, "nor for half a line");
	pty_feed(&p, "\n", 1);
	is_int(epoll_wait(ep, &got, 1, 1000), 1, "a line");
	is_int(epoll_wait(ep, &got, 1, 0), 0, "once");
	pty_feed(&p, "another\n", 8);
	is_int(epoll_wait(ep, &got, 1, 1000), 1, "another line");
	need(read(p.slave, buf, sizeof(buf)) == 5);
	close(p.master);
	ok(epoll_wait(ep, &got, 1, 1000) == 1 && got.events & EPOLLHUP, "the hang-up");
	close(ep);
	close(p.slave);
}

static void test_readonly(void)
{
	struct pty p = pty_open();
	int r = pty_open_slave(&p, O_RDONLY | O_NOCTTY),
	    w = pty_open_slave(&p, O_WRONLY | O_NOCTTY);
	char buf[4];
	need(r >= 0 && w >= 0);
	is_err(write(r, "x", 1), EBADF, "a file for reading is not written");
	is_err(read(w, buf, 1), EBADF, "nor one for writing read");
	is_int(write(w, "x", 1), 1, "but written");
	struct termios2 t;
	ok(ioctl(w, TCGETS2, &t) == 0, "and asked");
	close(r);
	close(w);
	pty_close(&p);
}

/* As many as there are descriptors or pairs, then an error, and all can be had again. */
static void test_many(void)
{
	enum { MANY = 300 };
	int fds[MANY], count = 0;
	while (count < MANY && (fds[count] = open("/dev/ptmx", O_RDWR | O_NOCTTY)) >= 0)
		count++;
	ok(count == MANY, "%d pairs", MANY);
	unsigned int low, again;
	need(ioctl(fds[7], TIOCGPTN, &low) == 0);
	close(fds[7]);
	fds[7] = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	ok(fds[7] >= 0 && ioctl(fds[7], TIOCGPTN, &again) == 0 && again <= low,
	   "a free number is used again");
	for (int i = 0; i < count; i++)
		close(fds[i]);
}

int main(void)
{
	tap_begin();
	test_devpts();
	test_lock();
	test_termios();
	test_errors();
	test_queues();
	test_flood();
	test_slave_closed();
	test_master_closed();
	test_woken();
	test_min_time();
	test_packet();
	test_window();
	test_exclusive();
	test_peer();
	test_epoll();
	test_readonly();
	test_many();
	return tap_end();
}
