/*
 * Steps of the host's realtime clock. A host timer that never expires is cancelled by each step
 * (TFD_TIMER_CANCEL_ON_SET), which makes it readable.
 */

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "host/host.h"
#include "sched/sched.h"
#include "sched/timer.h"

/* An instant that no clock reaches: the year 2242. */
#define FAR_FUTURE_S 8'589'934'592L

static struct {
	struct poll_source source;
	void (*stepped)(void);
} g_watch;

static int arm(int fd)
{
	const struct itimerspec never = { .it_value.tv_sec = FAR_FUTURE_S };

	return host_timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never);
}

static void clock_ready(struct poll_source *s, u32 events)
{
	u64 count;

	/* Both give -ECANCELED if the clock was set meanwhile: then once more. */
	while (host_read(s->fd, &count, sizeof(count)) == -ECANCELED)
		;
	while (arm(s->fd) == -ECANCELED)
		;
	g_watch.stepped();
}

int sched_watch_clock(void (*stepped)(void))
{
	int fd = host_timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK), ret;

	if (fd < 0)
		return fd;
	g_watch.stepped = stepped;
	g_watch.source = (struct poll_source){ .fd = fd, .ready = clock_ready };
	ret = arm(fd);
	if (!ret)
		ret = poller_add(&g_watch.source, EPOLLIN);
	if (ret)
		host_close(fd);
	return ret;
}
