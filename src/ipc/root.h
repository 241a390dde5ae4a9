#pragma once

/* What ipc keeps for the whole kernel: one object. */

#include "base/list.h"
#include "base/types.h"
#include "sched/lock_order.h"

#define FUTEX_BUCKETS 256U

struct futex_bucket {
	struct spin lock; /* class lc_futex */
	struct list waiters; /* [lock] struct futex_waiter */
	u64 enqueued; /* [lock] waiters ever put on the list */
};

struct ipc_root {
	struct futex_bucket *futexes; /* [I] FUTEX_BUCKETS of them, arena array */
	struct spin pi_lock; /* class lc_futex_pi */
	struct list *pi_waiters; /* [pi_lock] FUTEX_BUCKETS lists, arena array */
	u64 pi_stamp; /* [pi_lock] waiters ever queued */
	struct mutex epoll_graph; /* class lc_epoll_graph */
	u64 epoll_visit; /* [lc_epoll_graph] number of the last walk */
};

/* Make it: once, at boot, after arena_create. */
[[nodiscard]] int ipc_init(void);
/* Null before ipc_init. */
struct ipc_root *ipc_root(void);
