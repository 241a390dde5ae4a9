/* Memory that madvise has discarded is empty for whoever looks next: the program, the kernel on its
 * behalf, a child, another thread, a signal handler. */

#include "tap.h"

#include <pthread.h>

#define SIZE 4096

static unsigned char *g_page;
static volatile int g_seen = -1;

static void fill_and_discard(void)
{
	memset(g_page, 'x', SIZE);
	if (madvise(g_page, SIZE, MADV_DONTNEED))
		g_page = NULL;
}

static void handler(int sig)
{
	g_seen = g_page[17];
}

static void *look(void *arg)
{
	g_seen = g_page[18];
	return arg;
}

static void test_kernel(void)
{
	unsigned char copy[8] = "12345678";
	int fds[2];

	need(pipe(fds) == 0);
	fill_and_discard();
	is_int(write(fds[1], g_page, sizeof(copy)), sizeof(copy), "write from it");
	need(read(fds[0], copy, sizeof(copy)) == sizeof(copy));
	is_int(copy[0] | copy[7], 0, "write gave zeros");
	fill_and_discard();
	need(write(fds[1], "data", 4) == 4);
	is_int(read(fds[0], g_page, 4), 4, "read into it");
	is_int(g_page[0], 'd', "what was read stays");
	close(fds[0]);
	close(fds[1]);
}

static void test_others(void)
{
	pthread_t thread;
	int status;
	pid_t pid;

	fill_and_discard();
	pid = fork();
	if (pid == 0)
		_exit(g_page[16] ? 1 : 0);
	need(waitpid(pid, &status, 0) == pid);
	is_exit(status, 0, "a child sees zeros");
	signal(SIGUSR1, handler);
	fill_and_discard();
	raise(SIGUSR1);
	is_int(g_seen, 0, "a handler sees zeros");
	g_seen = -1;
	fill_and_discard();
	need(pthread_create(&thread, NULL, look, NULL) == 0);
	pthread_join(thread, NULL);
	is_int(g_seen, 0, "a thread sees zeros");
}

int main(void)
{
	tap_begin();
	g_page = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(g_page != MAP_FAILED);
	fill_and_discard();
	is_int(g_page[0] | g_page[SIZE - 1], 0, "the program sees zeros");
	test_kernel();
	test_others();
	return tap_end();
}
