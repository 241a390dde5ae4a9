/* The kernel's side of what a lane is lent: struct pf_watch, struct pf_action, struct pf_reads. */

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

int pf_actions_lend(struct pf_thread *t, const struct pf_action lent[PF_ACTIONS])
{
	struct lane_actions new = {};

	memcpy(new.at, lent, sizeof(new.at));
	t->actions_lent = !host_shared_write(&t->lane->actions, &new, sizeof(new));
	return t->actions_lent ? 0 : -ESRCH;
}

u64 pf_actions_take(struct pf_thread *t, struct pf_action ret[PF_ACTIONS])
{
	struct lane_actions *a = &t->lane->actions;
	u64 changed;

	if (!t->actions_lent || host_shared_read(&changed, &a->changed, sizeof(changed)) ||
	    host_shared_read(ret, a->at, sizeof(a->at)) ||
	    host_shared_write(&a->changed, &(u64){ 0 }, sizeof(changed)))
		return 0;
	return changed;
}

int pf_reads_lend(struct pf_thread *t, const struct pf_reads *reads, size_t size)
{
	t->reads_lent =
		!host_shared_write(&t->lane->reads, reads, offsetof(struct pf_reads, data) + size);
	return t->reads_lent ? 0 : -ESRCH;
}

u32 pf_reads_take(struct pf_thread *t)
{
	u32 done;

	return t->reads_lent && !host_shared_load32(&t->lane->reads.done, &done) ? done : 0;
}
