/*
 * Terminal ioctls on what is no terminal.
 */
#include "tap.h"
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

static void test_not_a_terminal(int fd, const char *name)
{
	struct termios termios;
	struct winsize size;
	int n = 0;
	is_int(isatty(fd), 0, "%s is no terminal", name);
	is_err(ioctl(fd, TCGETS, &termios), ENOTTY, "%s: TCGETS", name);
	is_err(ioctl(fd, TIOCGWINSZ, &size), ENOTTY, "%s: TIOCGWINSZ", name);
	is_err(ioctl(fd, TIOCGPGRP, &n), ENOTTY, "%s: TIOCGPGRP", name);
	is_err(tcgetpgrp(fd), ENOTTY, "%s: tcgetpgrp", name);
	is_err(tcsetpgrp(fd, getpgrp()), ENOTTY, "%s: tcsetpgrp", name);
}

int main(void)
{
	char path[] = "/tmp/guest-tty.XXXXXX";
	struct termios termios;
	int fd[2];
	tap_begin();
	need(pipe(fd) == 0);
	int file = mkstemp(path), null = open("/dev/null", O_RDWR), host = open("/etc/passwd", 0);
	need(file >= 0 && unlink(path) == 0 && null >= 0 && host >= 0);
	test_not_a_terminal(fd[0], "a pipe");
	test_not_a_terminal(file, "a file on tmpfs");
	test_not_a_terminal(host, "a file of the host");
	test_not_a_terminal(null, "/dev/null");
	is_err(ioctl(-1, TCGETS, &termios), EBADF, "TCGETS of -1");
	return tap_end();
}
