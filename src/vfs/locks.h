#pragma once

/*
 * Advisory locks: record locks of processes and of open files (fcntl), and flock. Locks never keep
 * anybody from reading or writing.
 */

#include "base/types.h"

struct fdtable;
struct file;
struct inode;
struct subject;

/* Boot, once: what is needed to find deadlocks. */
[[nodiscard]] int locks_init(void);

/* A record lock as a call names it: bytes start to end, the last included; INT64_MAX is the end of
 * any file. */
struct record_lock {
	s64 start, end;
	int type; /* F_RDLCK, F_WRLCK, F_UNLCK */
	bool open_file; /* it belongs to the open file (F_OFD_*), not to the descriptor table */
	s32 pid; /* found: the process, -1 for an open file's */
};

/*
 * Set or remove a lock; wait: until there is no other in the way. -EAGAIN, -EDEADLK, -EINTR,
 * -ENOLCK.
 */
[[nodiscard]] int lock_record(struct subject *s, struct file *f, const struct record_lock *lock,
			      bool wait);
/* The first lock that is in l's way replaces *l; its type is F_UNLCK if there is none. */
void lock_record_test(struct subject *s, struct file *f, struct record_lock *l);
/* flock(2): type as of a record lock. -EAGAIN, -EINTR, -ENOLCK. */
[[nodiscard]] int lock_whole_file(struct file *f, int type, bool wait);

/* A descriptor of f in table t is closed: the locks of t on that inode go. */
void locks_drop_table(struct fdtable *t, struct file *f);
/* The last reference to f is gone. */
void locks_drop_file(struct file *f);
/* The inode goes; there are no locks on it. */
void locks_destroy(struct inode *inode);
