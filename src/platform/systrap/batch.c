/* See batch.h. */

#include "platform/systrap/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "host/host.h"

#define BATCH_MAX 24

struct batch {
	unsigned int count, fd_count;
	struct lane_call call[BATCH_MAX];
	int fd[BATCH_MAX];
};

static int batch_room(struct pf_thread *t)
{
	if (t->batch && t->batch->count == BATCH_MAX && batch_flush(t))
		return -ESRCH;
	if (!t->batch)
		t->batch = calloc(1, sizeof(*t->batch));
	return t->batch ? 0 : -ENOMEM;
}

int batch_add(struct pf_thread *t, const struct vcall *call, int fd_arg, u64 want)
{
	struct lane_call *c;
	int err, fd;

	if (space_is_dead(t->space))
		return -ESRCH;
	err = batch_room(t);
	if (err)
		return err;
	c = &t->batch->call[t->batch->count];
	*c = (struct lane_call){ .nr = call->nr, .want = want };
	for (unsigned int i = 0; i < ARRAY_SIZE(c->arg); i++)
		c->arg[i] = call->arg[i];
	if (fd_arg >= 0) {
		fd = host_fcntl((int)call->arg[fd_arg], F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return fd;
		t->batch->fd[t->batch->fd_count++] = fd;
		c->arg[fd_arg] = (u64)fd;
	}
	t->batch->count++;
	return 0;
}

int batch_add_clear(struct pf_thread *t, u64 addr, u64 size)
{
	const struct vcall call = { LANE_CALL_CLEAR, { addr, size } };

	return batch_add(t, &call, -1, 0);
}

void batch_drop(struct pf_thread *t)
{
	if (!t->batch)
		return;
	for (unsigned int i = 0; i < t->batch->fd_count; i++)
		host_close(t->batch->fd[i]);
	free(t->batch);
	t->batch = NULL;
}

int batch_flush(struct pf_thread *t)
{
	struct batch *b = t->batch;
	u64 count;
	s64 done = 0;
	int err;

	if (!b)
		return 0;
	t->batch = NULL; /* the command is not to flush again */
	count = b->count;
	err = space_is_dead(t->space) ? -ESRCH : 0;
	if (!err && host_shared_write(t->lane->window, b->call, count * sizeof(b->call[0])))
		err = -ESRCH;
	if (!err)
		err = lane_op(t, LANE_BATCH, &count, 1, &done);
	t->batch = b;
	batch_drop(t);
	if (!err && done != (s64)count) {
		lane_misbehaved(t, "a mapping failed");
		err = -ESRCH;
	}
	return err;
}
