#pragma once

/* What a user (a real uid) has in use over all processes: tasks for RLIMIT_NPROC, signals for
 * RLIMIT_SIGPENDING, inotify. */

#include "base/list.h"
#include "base/refcount.h"
#include "base/types.h"
#include "sched/lock_order.h"

struct user_usage {
	struct list link; /* [table's lock] */
	struct refcount refs;
	u32 uid; /* [I] */
	_Atomic u32 tasks, sigpending;
	_Atomic u32 inotify_instances, inotify_watches;
	_Atomic u32 inotify_bytes; /* of events that wait */
};

#define USER_BUCKETS 16
/* Limits of inotify at first, as /proc/sys/fs/inotify shows them. */
#define INOTIFY_INSTANCES 128
#define INOTIFY_WATCHES 65536
#define INOTIFY_EVENTS 16384

struct user_table {
	struct spin lock; /* class lc_cred */
	struct list bucket[USER_BUCKETS];
	/* What each may have of inotify: instances, watches; and events in one instance. */
	_Atomic u32 inotify_max_instances, inotify_max_watches, inotify_max_events;
};

[[nodiscard]] struct user_table *user_table_create(void);
void user_table_destroy(struct user_table *table); /* must be empty; null is fine */
/* Find or make the record of uid, with a reference; null when memory is short. */
[[nodiscard]] struct user_usage *user_usage_find(struct user_table *table, u32 uid);
struct user_usage *user_usage_get(struct user_usage *u);
void user_usage_put(struct user_table *table, struct user_usage *u); /* null is fine */
