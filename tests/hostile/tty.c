/*
 * Terminals under attack: many threads read, write, set modes, hang up and close the same pairs;
 * and as many pairs as can be had.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { PAIRS = 4, THREADS = 16, ROUNDS = 300, MANY = 10000 };

static int masters[PAIRS], slaves[PAIRS];

static void open_pair(int i)
{
	int unlock = 0, master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
	char *name = master < 0 || ioctl(master, TIOCSPTLCK, &unlock) ? NULL : ptsname(master);
	int slave = name ? open(name, O_RDWR | O_NOCTTY | O_NONBLOCK) : -1;
	int old = __atomic_exchange_n(&masters[i], master, __ATOMIC_SEQ_CST);
	if (old > 2)
		close(old);
	old = __atomic_exchange_n(&slaves[i], slave, __ATOMIC_SEQ_CST);
	if (old > 2)
		close(old);
}

static void set_modes(int fd, unsigned int random)
{
	struct termios t;
	if (tcgetattr(fd, &t))
		return;
	t.c_iflag = random;
	t.c_oflag = random >> 3;
	t.c_lflag = random >> 7 & ~TOSTOP;
	t.c_cc[VMIN] = random >> 9;
	t.c_cc[VTIME] = 0;
	t.c_cc[VERASE] = random >> 11;
	tcsetattr(fd, (int)(random % 3), &t);
}

static void *attack(void *arg)
{
	unsigned int seed = (unsigned int)(long)arg;
	char buf[5000];
	for (int round = 0; round < ROUNDS; round++) {
		int i = rand_r(&seed) % PAIRS, value = rand_r(&seed);
		int fd = rand_r(&seed) & 1 ? masters[i] : slaves[i];
		struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
		switch (rand_r(&seed) % 12) {
		case 0:
			if (value % 4 == 0)
				open_pair(i);
			break;
		case 1:
		case 2:
			for (size_t n = 0; n < sizeof(buf); n++)
				buf[n] = (char)rand_r(&seed);
			(void)!write(fd, buf, (size_t)rand_r(&seed) % sizeof(buf));
			break;
		case 3:
		case 4:
			(void)!read(fd, buf, (size_t)rand_r(&seed) % sizeof(buf));
			break;
		case 5:
			set_modes(fd, (unsigned int)value);
			break;
		case 6:
			ioctl(fd, TCFLSH, value % 3);
			break;
		case 7:
			ioctl(fd, TCXONC, value % 4);
			break;
		case 8:
			ioctl(fd, TIOCPKT, &value);
			break;
		case 9:
			poll(&p, 1, 0);
			break;
		case 10:
			ioctl(fd, FIONREAD, &value);
			ioctl(fd, TIOCSTI, buf);
			break;
		default:
			if (value % 16 == 0)
				ioctl(slaves[i], 0x5437 /* TIOCVHANGUP */);
			else
				ioctl(fd, TIOCSWINSZ, buf);
		}
	}
	return NULL;
}

static void *block(void *arg)
{
	char c;
	(void)!read((int)(long)arg, &c, 1);
	return NULL;
}

/* Readers that wait when the master is closed. */
static int close_under_readers(void)
{
	for (int round = 0; round < 30; round++) {
		int unlock = 0, master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
		pthread_t threads[4];
		if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock))
			return 1;
		long slave = open(ptsname(master), O_RDWR | O_NOCTTY);
		for (int i = 0; i < 4; i++)
			pthread_create(&threads[i], NULL, block, (void *)slave);
		usleep(1000);
		close(master);
		for (int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
		close((int)slave);
	}
	return 0;
}

/* As many pairs as there are: an error comes in the end, and all is well after it. */
static int take_all(void)
{
	static int fds[MANY];
	int count = 0, error, fd;
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	while (count < MANY && (fd = open("/dev/ptmx", O_RDWR | O_NOCTTY)) >= 0)
		fds[count++] = fd;
	error = errno;
	printf("# %d pairs, then %s\n", count, count < MANY ? strerror(error) : "none wanted");
	while (count > 0)
		close(fds[--count]);
	fd = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	return fd < 0 || (error != ENOSPC && error != EMFILE);
}

int main(void)
{
	pthread_t threads[THREADS];
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	alarm(80);
	for (int i = 0; i < PAIRS; i++)
		open_pair(i);
	for (long i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, attack, (void *)(i + 1));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	int bad = close_under_readers();
	bad |= take_all();
	printf("%sok 1 - terminals under attack\n", bad ? "not " : "");
	return bad;
}
