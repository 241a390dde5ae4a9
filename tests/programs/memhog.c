/* Uses memory: memhog touch|map|shared|texts|sockets|vfork|thread MIB, or memhog fork MIB CHILDREN,
 * or memhog forks MIB CHILDREN, whose children end one after the other, time and again. Exits with
 * 0, or with 3 if there was none to be had. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

static void *get(size_t size, int flags)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);
	if (p == MAP_FAILED)
		exit(3);
	return p;
}

/* Texts of /proc that the kernel keeps for open files. */
static int keep_texts(size_t size)
{
	static char text[4 << 20];

	for (int i = 0; i < 8192; i++)
		mprotect(get(4096, MAP_PRIVATE), 4096, i % 2 ? PROT_READ : PROT_NONE);
	for (size_t done = 0; done < size;) {
		int fd = open("/proc/self/maps", O_RDONLY);
		ssize_t n = fd < 0 ? -1 : pread(fd, text, 1, 0), length = 0;

		while (n > 0 && (n = pread(fd, text, sizeof(text), length + 1)) > 0)
			length += n;
		if (n < 0)
			return 3;
		done += (size_t)length;
	}
	return 0;
}

/* Have size bytes in sockets. When there are no more descriptors a child goes on. */
static int fill_sockets(size_t size)
{
	static char data[32768];
	int s[2], status;
	pid_t child;
	ssize_t n;

	while (size > 0) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s)) {
			if (errno != EMFILE || (child = fork()) < 0)
				return 3;
			if (child && waitpid(child, &status, 0) == child)
				return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
			close_range(3, ~0U, 0);
			continue;
		}
		for (int i = 0; i < 2; i++) {
			while ((n = write(s[i], data, sizeof(data))) > 0 && size > (size_t)n)
				size -= n;
			if (n > 0)
				return 0;
			if (errno != EAGAIN)
				return 3;
		}
	}
	return 0;
}

static void touch(size_t size)
{
	const size_t piece = 1 << 20;

	/* Piece by piece, since one mapping that is too large is refused. */
	for (size_t done = 0; done < size; done += piece)
		memset(get(piece, MAP_PRIVATE), 1, piece);
}

/* Share the memory with a child for a while. */
static int run_vfork(void)
{
	if (vfork() == 0) {
		sleep(1);
		_exit(0);
	}
	return 0;
}

/* In a process whose first thread has ended. */
static void *touch_alone(void *arg)
{
	touch((size_t)arg);
	exit(0);
}

static int wait_for_all(void)
{
	int status, bad = 0;

	while (wait(&status) > 0)
		bad |= status;
	return bad != 0;
}

static int run_forks(int children)
{
	int bad = 0;

	for (int round = 0; round < 40; round++) {
		for (int i = 0; i < children; i++) {
			if (fork() == 0) {
				usleep(4000U * (unsigned int)(i + 1));
				_exit(0);
			}
		}
		bad |= wait_for_all();
	}
	return bad;
}

int main(int argc, char **argv)
{
	size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) << 20 : 0;
	int children = argc > 3 ? atoi(argv[3]) : 0;
	struct sysinfo si;

	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "sysinfo")) {
		sysinfo(&si);
		printf("%lu kB\n", si.totalram * si.mem_unit / 1024);
		return 0;
	}
	if (!strcmp(argv[1], "map"))
		return get(size, MAP_PRIVATE) == NULL;
	if (!strcmp(argv[1], "sockets"))
		return fill_sockets(size);
	if (!strcmp(argv[1], "shared")) {
		memset(get(size, MAP_SHARED), 1, size);
		return 0;
	}
	if (!strcmp(argv[1], "texts"))
		return keep_texts(size);
	if (!strcmp(argv[1], "thread")) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, touch_alone, (void *)size))
			return 2;
		pthread_exit(NULL);
	}
	touch(size);
	if (!strcmp(argv[1], "vfork"))
		return run_vfork();
	if (!strcmp(argv[1], "forks"))
		return run_forks(children);
	for (int i = 0; i < children; i++) {
		if (fork() == 0) {
			sleep(1);
			_exit(0);
		}
	}
	return wait_for_all();
}
