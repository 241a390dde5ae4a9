/* The kernel's side of calls that a lane takes for later: struct pf_watch. */

#include <errno.h>
#include <string.h>

#include "host/host.h"
#include "platform/systrap/internal.h"

int pf_watch_lend(struct pf_thread *t, const struct pf_watch *w)
{
	struct lane_watch new = { .epfd = w->epfd };

	memcpy(new.fds, w->fds, sizeof(new.fds));
	t->watch_lent =
		!host_shared_write(&t->lane->watch, &new, offsetof(struct lane_watch, calls));
	return t->watch_lent ? 0 : -ESRCH;
}

unsigned int pf_watch_take(struct pf_thread *t, struct pf_watch_call *ret)
{
	struct lane_watch *w = &t->lane->watch;
	u32 count;

	if (!t->watch_lent || host_shared_load32(&w->count, &count))
		return 0;
	count = min(count, PF_WATCH_CALLS);
	if (host_shared_read(ret, w->calls, count * sizeof(*ret)) ||
	    host_shared_write(&w->count, &(u32){ 0 }, sizeof(u32)))
		return 0;
	return count;
}
