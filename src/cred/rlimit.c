/*
 * Resource limits of a process, getrlimit(2). Soft limits are read without the lock: each is one
 * word, and nothing depends on two of them being of one moment.
 */

#include "cred/rlimit.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include "cred/cred.h"

#define INF (~0ULL)
#define MAX_OPEN_FILES 1048576 /* fs.nr_open */

/* What a login gets on an ordinary Linux system. */
static const struct rlimit64_pair default_limits[RLIMIT_COUNT] = {
	[RLIMIT_CPU] = { INF, INF },
	[RLIMIT_FSIZE] = { INF, INF },
	[RLIMIT_DATA] = { INF, INF },
	[RLIMIT_STACK] = { 8 << 20, INF },
	[RLIMIT_CORE] = { 0, INF },
	[RLIMIT_RSS] = { INF, INF },
	[RLIMIT_NPROC] = { 30000, 30000 },
	[RLIMIT_NOFILE] = { 1024, MAX_OPEN_FILES },
	[RLIMIT_MEMLOCK] = { 8 << 20, 8 << 20 },
	[RLIMIT_AS] = { INF, INF },
	[RLIMIT_LOCKS] = { INF, INF },
	[RLIMIT_SIGPENDING] = { 30000, 30000 },
	[RLIMIT_MSGQUEUE] = { 819200, 819200 },
	[RLIMIT_NICE] = { 0, 0 },
	[RLIMIT_RTPRIO] = { 0, 0 },
	[RLIMIT_RTTIME] = { INF, INF },
};

void rlimits_init(struct rlimits *r)
{
	spin_init(&r->lock);
	memcpy(r->limit, default_limits, sizeof(r->limit));
}

void rlimits_copy(struct rlimits *dst, const struct rlimits *src)
{
	struct rlimits *from = (struct rlimits *)src;

	spin_init(&dst->lock);
	spin_lock(&from->lock, &lc_cred);
	memcpy(dst->limit, from->limit, sizeof(dst->limit));
	spin_unlock(&from->lock, &lc_cred);
}

u64 rlimit_get(const struct rlimits *r, int resource)
{
	return __atomic_load_n(&r->limit[resource].cur, __ATOMIC_RELAXED);
}

struct rlimit64_pair rlimit_read(const struct rlimits *r, int resource)
{
	struct rlimits *from = (struct rlimits *)r;
	struct rlimit64_pair pair;

	spin_lock(&from->lock, &lc_cred);
	pair = from->limit[resource];
	spin_unlock(&from->lock, &lc_cred);
	return pair;
}

int rlimit_set(struct rlimits *r, int resource, struct rlimit64_pair value, const struct cred *c)
{
	int err = 0;

	if (resource < 0 || resource >= RLIMIT_COUNT || value.cur > value.max)
		return -EINVAL;
	if (resource == RLIMIT_NOFILE && value.max > MAX_OPEN_FILES)
		return -EPERM;
	spin_lock(&r->lock, &lc_cred);
	if (value.max > r->limit[resource].max && !cred_has_cap(c, c->user_ns, CAP_SYS_RESOURCE)) {
		err = -EPERM;
	} else {
		r->limit[resource].max = value.max;
		__atomic_store_n(&r->limit[resource].cur, value.cur, __ATOMIC_RELAXED);
	}
	spin_unlock(&r->lock, &lc_cred);
	if (!err)
		OPS(rlimit_task_hooks)->changed(r, resource);
	return err;
}
