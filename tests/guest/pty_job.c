/*
 * Controlling terminals: sessions, foreground and background, signals from the keyboard, hang-up.
 */
#include "pty.h"
#include <sys/sysmacros.h>

/* <termios.h> has it, but cannot be included beside the kernel's structs. */
static pid_t tcgetsid(int fd)
{
	int sid;
	return ioctl(fd, TIOCGSID, &sid) ? -1 : sid;
}

/* Signals that processes got, in memory that all share. */
static int *got;
enum { LEADER = 0, CHILD = 64, OTHER = 128 };
static int got_base;

static void on_signal(int signal)
{
	__atomic_add_fetch(&got[got_base + signal], 1, __ATOMIC_SEQ_CST);
}

static void count_signals(int base)
{
	static const int signals[] = { SIGHUP,	SIGINT,	 SIGQUIT,  SIGCONT,
				       SIGTTIN, SIGTTOU, SIGWINCH, SIGTSTP };
	got_base = base;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct sigaction sa = { .sa_handler = on_signal };
		sigaction(signals[i], &sa, NULL);
	}
}

static int count_of(int base, int signal)
{
	return __atomic_load_n(&got[base + signal], __ATOMIC_SEQ_CST);
}

/* Wait until it was got. */
static bool gets(int base, int signal)
{
	for (int i = 0; i < 5000; i++) {
		if (count_of(base, signal))
			return true;
		usleep(1000);
	}
	return false;
}

/* The slave as the controlling terminal of this process, a new session's leader. */
static struct pty lead(void)
{
	struct pty p = pty_open();
	need(setsid() == getpid());
	need(ioctl(p.slave, TIOCSCTTY, 0) == 0);
	return p;
}

static void stat_fields(int *ret_tty, int *ret_tpgid)
{
	char buf[1024];
	int fd = open("/proc/self/stat", O_RDONLY);
	ssize_t n = read(fd, buf, sizeof(buf) - 1);
	need(n > 0);
	buf[n] = '\0';
	close(fd);
	need(sscanf(strrchr(buf, ')') + 2, "%*c %*d %*d %*d %d %d", ret_tty, ret_tpgid) == 2);
}

static void by_open(void)
{
	struct pty p = pty_open();
	int number, tpgid, fd;
	need(setsid() == getpid());
	need_err(open("/dev/tty", O_RDWR), ENXIO);
	stat_fields(&number, &tpgid);
	need(number == 0 && tpgid == -1);
	close(pty_open_slave(&p, O_RDWR | O_NOCTTY));
	need_err(open("/dev/tty", O_RDWR), ENXIO);
	close(pty_open_slave(&p, O_WRONLY));
	need_err(open("/dev/tty", O_RDWR), ENXIO);
	close(pty_open_slave(&p, O_RDONLY));
	fd = open("/dev/tty", O_RDWR);
	need(fd >= 0);
	need(tcgetpgrp(fd) == getpgrp() && tcgetsid(fd) == getsid(0));
	need(tcgetpgrp(p.slave) == getpgrp() && tcgetpgrp(p.master) == getpgrp());
	stat_fields(&number, &tpgid);
	need(number == (int)(136 << 8 | p.number) && tpgid == getpgrp());
	need(write(fd, "x", 1) == 1);
	char c;
	need(read(p.master, &c, 1) == 1 && c == 'x');
	/* Another one is not taken besides. */
	struct pty q = pty_open();
	close(pty_open_slave(&q, O_RDWR));
	need_err(tcgetpgrp(q.slave), ENOTTY);
	need(tcgetpgrp(q.master) == 0);
	need_err(tcgetsid(q.master), ENOTTY);
}

static void by_ioctl(void)
{
	struct pty p = pty_open(), q = pty_open();
	need_err(ioctl(p.slave, TIOCSCTTY, 0), EPERM);
	need(setsid() == getpid());
	int w = pty_open_slave(&p, O_WRONLY | O_NOCTTY);
	if (getuid() != 0)
		need_err(ioctl(w, TIOCSCTTY, 0), EPERM);
	need(ioctl(p.slave, TIOCSCTTY, 0) == 0);
	need(ioctl(p.slave, TIOCSCTTY, 0) == 0);
	need_err(ioctl(q.slave, TIOCSCTTY, 0), EPERM);
	pid_t child = tap_fork();
	if (child == 0) {
		need(tcgetpgrp(p.slave) == getppid());
		need(setsid() == getpid());
		need_err(tcgetpgrp(p.slave), ENOTTY);
		need_err(open("/dev/tty", O_RDWR), ENXIO);
		need_err(ioctl(p.slave, TIOCSCTTY, 0), EPERM);
		if (getuid() == 0) {
			need(ioctl(p.slave, TIOCSCTTY, 1) == 0);
			need(tcgetpgrp(p.slave) == getpid());
		} else {
			need_err(ioctl(p.slave, TIOCSCTTY, 1), EPERM);
		}
		_exit(0);
	}
	need(tap_wait(child) == 0);
	if (getuid() == 0)
		need_err(tcgetpgrp(p.slave), ENOTTY);
	need_err(ioctl(p.slave, TIOCNOTTY), getuid() == 0 ? ENOTTY : 0);
}

static void give_up(void)
{
	struct pty p = lead();
	struct event ready, done;
	event_init(&ready);
	event_init(&done);
	pid_t child = tap_fork();
	if (child == 0) {
		count_signals(CHILD);
		need(setpgid(0, 0) == 0);
		event_post(&ready);
		event_wait(&done);
		need(ioctl(p.slave, TIOCNOTTY) == 0);
		need_err(ioctl(p.slave, TIOCNOTTY), ENOTTY);
		need_err(open("/dev/tty", O_RDWR), ENXIO);
		event_post(&ready);
		for (;;)
			pause();
	}
	event_wait(&ready);
	count_signals(LEADER);
	need(tcsetpgrp(p.slave, child) == 0);
	event_post(&done);
	event_wait(&ready);
	need(tcgetpgrp(p.master) == child);
	signal(SIGTTOU, SIG_IGN);
	need_err(ioctl(p.master, TIOCNOTTY), ENOTTY);
	need(ioctl(p.slave, TIOCNOTTY) == 0);
	need(gets(CHILD, SIGHUP) && gets(CHILD, SIGCONT));
	need(count_of(LEADER, SIGHUP) == 0);
	need(tcgetpgrp(p.master) == 0);
	need_err(tcgetpgrp(p.slave), ENOTTY);
}

/* What a background process gets when it does what `way` says: 1000 + signal if that stops it, else
 * the errno, 0 if it works. */
static int in_background(struct pty *p, int way, int disposition)
{
	pid_t child = tap_fork();
	char c;
	if (child == 0) {
		struct termios2 t = pty_get(p->slave);
		sigset_t set;
		int ret = 0;
		need(setpgid(0, 0) == 0);
		sigemptyset(&set);
		sigaddset(&set, SIGTTIN);
		sigaddset(&set, SIGTTOU);
		if (disposition == 1) {
			signal(SIGTTIN, SIG_IGN);
			signal(SIGTTOU, SIG_IGN);
		} else if (disposition == 2) {
			sigprocmask(SIG_BLOCK, &set, NULL);
		}
		errno = 0;
		switch (way) {
		case 0:
			ret = read(p->slave, &c, 1);
			break;
		case 1:
			ret = write(p->slave, "w", 1);
			break;
		case 2:
			ret = ioctl(p->slave, TCSETS2, &t);
			break;
		case 3:
			ret = tcsetpgrp(p->slave, getpgrp());
			break;
		case 4:
			ret = ioctl(p->slave, TCFLSH, TCIFLUSH);
			break;
		case 5:
			ret = ioctl(p->slave, TCSBRK, 1);
			break;
		case 6:
			ret = ioctl(p->slave, TCGETS2, &t);
			break;
		case 7:
			ret = ioctl(p->slave, TCXONC, TCOON);
			break;
		case 8:
			ret = read(p->slave, &c, 0);
			break;
		case 9:
			ret = ioctl(p->slave, TIOCSWINSZ, "12345678");
			break;
		}
		_exit(ret < 0 ? errno : 0);
	}
	int status = -1;
	need(waitpid(child, &status, WUNTRACED) == child);
	if (WIFSTOPPED(status)) {
		kill(child, SIGKILL);
		need(waitpid(child, NULL, 0) == child);
		need(tcsetpgrp(p->slave, getpgrp()) == 0);
		return 1000 + WSTOPSIG(status);
	}
	signal(SIGTTOU, SIG_IGN);
	need(tcsetpgrp(p->slave, getpgrp()) == 0);
	signal(SIGTTOU, SIG_DFL);
	return WEXITSTATUS(status);
}

static int *table;

static void background(void)
{
	struct pty p = lead();
	for (int tostop = 0; tostop < 2; tostop++) {
		struct termios2 t = pty_get(p.slave);
		t.c_lflag = tostop ? t.c_lflag | TOSTOP : t.c_lflag;
		pty_set(p.slave, &t);
		for (int way = 0; way < 10; way++)
			for (int disposition = 0; disposition < 3; disposition++)
				table[tostop * 30 + way * 3 + disposition] =
					in_background(&p, way, disposition);
	}
}

static void test_background(void)
{
	child_ok(background, "a background process");
	for (int i = 0; i < 60; i++)
		ok(true, "background%s, way %d, disposition %d: %d", i < 30 ? "" : " with TOSTOP",
		   i % 30 / 3, i % 3, table[i]);
}

/* The same in an orphaned group. */
static void orphaned(void)
{
	struct pty p = lead();
	struct event done;
	event_init(&done);
	struct termios2 t = pty_get(p.slave);
	t.c_lflag |= TOSTOP;
	pty_set(p.slave, &t);
	need(prctl(PR_SET_CHILD_SUBREAPER, 0) == 0);
	pid_t child = tap_fork();
	if (child == 0) {
		need(setpgid(0, 0) == 0);
		pid_t grandchild = fork();
		if (grandchild == 0) {
			char c;
			while (getppid() == child || kill(getppid(), 0) < 0)
				usleep(1000);
			usleep(20000);
			need_err(read(p.slave, &c, 1), EIO);
			need_err(write(p.slave, "x", 1), EIO);
			need_err(ioctl(p.slave, TCSETS2, &t), EIO);
			need_err(tcsetpgrp(p.slave, getpgrp()), ENOTTY);
			event_post(&done);
			_exit(0);
		}
		_exit(0);
	}
	need(tap_wait(child) == 0);
	event_wait(&done);
}

static void set_group_errors(void)
{
	struct pty p = lead();
	int value = -1;
	need_err(ioctl(p.slave, TIOCSPGRP, &value), EINVAL);
	value = 1 << 29;
	need_err(ioctl(p.slave, TIOCSPGRP, &value), ESRCH);
	need_err(ioctl(p.slave, TIOCSPGRP, NULL), EFAULT);
	value = getppid();
	need_err(ioctl(p.slave, TIOCSPGRP, &value), EPERM);
	pid_t child = tap_fork();
	if (child == 0) {
		need(setsid() == getpid());
		value = getpid();
		need_err(ioctl(p.slave, TIOCSPGRP, &value), ENOTTY);
		need_err(ioctl(p.slave, TIOCGPGRP, &value), ENOTTY);
		need_err(ioctl(p.slave, TIOCGSID, &value), ENOTTY);
		need(ioctl(p.master, TIOCGPGRP, &value) == 0 && value == getppid());
		need(ioctl(p.master, TIOCGSID, &value) == 0 && value == getppid());
		_exit(0);
	}
	need(tap_wait(child) == 0);
}

static void keyboard(void)
{
	struct pty p = lead();
	struct event ready;
	event_init(&ready);
	count_signals(LEADER);
	pid_t child = tap_fork();
	if (child == 0) {
		count_signals(CHILD);
		need(setpgid(0, 0) == 0);
		event_post(&ready);
		for (;;)
			pause();
	}
	event_wait(&ready);
	need(tcsetpgrp(p.slave, child) == 0);
	pty_feed(&p, "\003", 1);
	need(gets(CHILD, SIGINT));
	pty_feed(&p, "\034", 1);
	need(gets(CHILD, SIGQUIT));
	pty_feed(&p, "\032", 1);
	need(gets(CHILD, SIGTSTP));
	need(ioctl(p.master, TIOCSWINSZ, "\1\0\2\0\0\0\0\0") == 0);
	need(gets(CHILD, SIGWINCH));
	need(ioctl(p.master, TIOCSWINSZ, "\1\0\2\0\0\0\0\0") == 0);
	need(ioctl(p.master, TIOCSIG, SIGINT) == 0);
	while (count_of(CHILD, SIGINT) < 2)
		usleep(1000);
	need(count_of(CHILD, SIGWINCH) == 1);
	need(count_of(LEADER, SIGINT) == 0 && count_of(LEADER, SIGWINCH) == 0);
	signal(SIGTTOU, SIG_IGN);
	struct termios2 t = pty_get(p.slave);
	t.c_lflag &= ~(unsigned)ISIG;
	pty_set(p.slave, &t);
	pty_feed(&p, "\003\n", 2);
	char buf[8];
	need(tcsetpgrp(p.slave, getpgrp()) == 0);
	need(read(p.slave, buf, sizeof(buf)) == 2 && buf[0] == 3);
	need(count_of(CHILD, SIGINT) == 2);
}

/* A stopped job, as a shell sees it. */
static void shell(void)
{
	struct pty p = lead();
	int status;
	pid_t child = tap_fork();
	if (child == 0) {
		char c;
		need(setpgid(0, 0) == 0);
		signal(SIGTTOU, SIG_IGN);
		need(tcsetpgrp(p.slave, getpgrp()) == 0);
		signal(SIGTTOU, SIG_DFL);
		need(write(p.slave, "R", 1) == 1);
		need(read(p.slave, &c, 1) == 1 && c == 'y');
		_exit(3);
	}
	char c;
	need(read(p.master, &c, 1) == 1 && c == 'R');
	pty_feed(&p, "\032", 1);
	need(waitpid(child, &status, WUNTRACED) == child);
	need(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
	signal(SIGTTOU, SIG_IGN);
	need(tcsetpgrp(p.slave, getpgrp()) == 0);
	/* Continued in the background it stops at once. */
	kill(-child, SIGCONT);
	need(waitpid(child, &status, WUNTRACED) == child);
	need(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTIN);
	need(tcsetpgrp(p.slave, child) == 0);
	kill(-child, SIGCONT);
	pty_feed(&p, "y\n", 2);
	need(waitpid(child, &status, 0) == child);
	need(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	need(tcgetpgrp(p.slave) == child);
	need(tcsetpgrp(p.slave, getpgrp()) == 0);
}

static void hang_up(void)
{
	struct pty p = lead();
	struct event ready;
	event_init(&ready);
	count_signals(LEADER);
	pid_t child = tap_fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, 0);
		count_signals(CHILD);
		need(setpgid(0, 0) == 0);
		close(p.master);
		event_post(&ready);
		gets(CHILD, SIGHUP);
		_exit(0);
	}
	event_wait(&ready);
	need(tcsetpgrp(p.slave, child) == 0);
	close(p.master);
	need(gets(LEADER, SIGHUP) && gets(LEADER, SIGCONT));
	need_err(open("/dev/tty", O_RDWR), ENXIO);
	usleep(20000);
	need(count_of(CHILD, SIGHUP) == 0);
	/* What was the foreground is told when the leader exits. */
}

static void test_hang_up(void)
{
	memset(got, 0, 4096);
	child_ok(hang_up, "a hang-up is told to the session leader");
	ok(gets(CHILD, SIGHUP) && gets(CHILD, SIGCONT), "to the foreground when that exits");
}

static struct pty shared;
static struct event leader_ready;

static void leader_exits(void)
{
	need(setsid() == getpid());
	need(ioctl(shared.slave, TIOCSCTTY, 0) == 0);
	close(shared.master);
	pid_t child = tap_fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, 0);
		count_signals(CHILD);
		event_post(&leader_ready);
		need(gets(CHILD, SIGHUP));
		need_err(open("/dev/tty", O_RDWR), ENXIO);
		/* Its open file of the slave still works. */
		need(write(shared.slave, "alive", 5) == 5);
		_exit(0);
	}
	event_wait(&leader_ready);
	/* The leader's group is in front, and the child in it. */
}

static void test_leader_exits(void)
{
	char buf[8];
	memset(got, 0, 4096);
	shared = pty_open();
	event_init(&leader_ready);
	child_ok(leader_exits, "a session leader with a terminal exits");
	is_int(read(shared.master, buf, sizeof(buf)), 5,
	       "its children lose it, but not their files");
	need(ioctl(shared.master, TIOCGPGRP, &(int){ 0 }) == 0);
	is_err(tcgetsid(shared.master), ENOTTY, "it is free for another session");
	pty_close(&shared);
}

static void push_input(void)
{
	struct pty p = lead();
	char buf[8];
	if (getuid() != 0) {
		int ret = ioctl(p.slave, TIOCSTI, "a"), error = errno;
		need(ret == 0 || error == EIO || error == EPERM);
		return;
	}
	need(ioctl(p.slave, TIOCSTI, "a") == 0 && ioctl(p.slave, TIOCSTI, "\n") == 0);
	need(read(p.slave, buf, sizeof(buf)) == 2);
	struct pty q = pty_open();
	need(ioctl(q.slave, TIOCSTI, "a") == 0);
	pid_t child = tap_fork();
	if (child == 0) {
		need(setresuid(12345, 12345, 12345) == 0);
		int ret = ioctl(q.slave, TIOCSTI, "a"), error = errno;
		need(ret == -1 && (error == EPERM || error == EIO));
		_exit(0);
	}
	need(tap_wait(child) == 0);
}

static void vhangup_own(void)
{
	if (getuid() != 0) {
		need_err(vhangup(), EPERM);
		return;
	}
	struct pty p = lead();
	struct termios2 t = pty_get(p.slave);
	char c;
	count_signals(LEADER);
	t.c_lflag &= ~(unsigned)ECHO;
	pty_set(p.slave, &t);
	need(vhangup() == 0);
	need(gets(LEADER, SIGHUP));
	need(read(p.slave, &c, 1) == 0);
	need_err(write(p.slave, "x", 1), EIO);
	need_err(open("/dev/tty", O_RDWR), ENXIO);
	/* It can be opened anew, with its first settings. */
	int fd = pty_open_slave(&p, O_RDWR);
	need(fd >= 0 && tcgetpgrp(fd) == getpgrp());
	t = pty_get(fd);
	need(t.c_lflag & ECHO);
	need(write(fd, "x", 1) == 1 && read(p.master, &c, 1) == 1);
}

static void group_gone(void)
{
	struct pty p = lead();
	pid_t child = tap_fork();
	if (child == 0) {
		need(setpgid(0, 0) == 0);
		signal(SIGTTOU, SIG_IGN);
		need(tcsetpgrp(p.slave, getpgrp()) == 0);
		_exit(0);
	}
	need(tap_wait(child) == 0);
	need(tcgetpgrp(p.slave) == child);
	pty_feed(&p, "\003", 1);
	signal(SIGTTOU, SIG_IGN);
	need(tcsetpgrp(p.slave, getpgrp()) == 0);
}

int main(void)
{
	tap_begin();
	got = shared_alloc(4096);
	table = shared_alloc(4096);
	child_ok(by_open, "a session leader gets a terminal by opening it");
	child_ok(by_ioctl, "and by TIOCSCTTY");
	child_ok(give_up, "TIOCNOTTY");
	test_background();
	child_ok(orphaned, "an orphaned background group gets errors");
	child_ok(set_group_errors, "errors of TIOCSPGRP");
	memset(got, 0, 4096);
	child_ok(keyboard, "signals from the keyboard and the window");
	child_ok(shell, "a shell's job");
	test_hang_up();
	test_leader_exits();
	child_ok(push_input, "TIOCSTI");
	memset(got, 0, 4096);
	child_ok(vhangup_own, "vhangup");
	child_ok(group_gone, "a foreground group that is gone");
	return tap_end();
}
