#pragma once

/* Resource limits of a thread group. Shared by its tasks; short lock inside. */

#include <sys/resource.h>

#include "base/ops.h"
#include "base/types.h"
#include "sched/lock_order.h"

#define RLIMIT_COUNT 16

struct rlimit64_pair {
	u64 cur, max;
};

struct rlimits {
	struct spin lock; /* class lc_cred */
	struct rlimit64_pair limit[RLIMIT_COUNT];
};

void rlimits_init(struct rlimits *r);
void rlimits_copy(struct rlimits *dst, const struct rlimits *src);
u64 rlimit_get(const struct rlimits *r, int resource); /* the soft limit, one atomic read */
struct rlimit64_pair rlimit_read(const struct rlimits *r, int resource);
/* Linux's rules (EPERM for raising the hard limit without CAP_SYS_RESOURCE, EINVAL). */
struct cred;
/* What depends on a limit upwards. */
struct rlimit_hooks {
	/* A limit of r has been set. No lock; must not park. */
	void (*changed)(struct rlimits *r, int resource);
};
DECLARE_OPS(struct rlimit_hooks, rlimit_task_hooks);
[[nodiscard]] int rlimit_set(struct rlimits *r, int resource, struct rlimit64_pair value,
			     const struct cred *c);
