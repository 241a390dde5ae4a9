#pragma once

/*
 * What happens to files, for those who watch (inotify). The vfs reports here; nothing is done, but
 * for looking at one field, while nothing of the file system is watched.
 *
 * Events are IN_*. All functions may be called with sleeping locks held, and park only in so far as
 * the last reference to an inode that is no longer watched goes.
 */

#include <stdatomic.h>

#include "vfs/vfs.h"

struct user_table;
struct user_usage;

/* What the events that wait for a user take at most, whatever the limits in user_table. */
#define INOTIFY_MAX_BYTES (32U << 20)

/* ---- what happens ---- */

void notify_inode_now(struct inode *i, u32 event);
void notify_dentry_now(struct dentry *d, u32 event);
void notify_name_now(struct inode *dir, u32 event, const char *name, struct inode *inode);

static inline bool notify_wanted(const struct inode *i)
{
	return i->sb && atomic_load_explicit(&i->sb->watches, memory_order_relaxed);
}

/* To those who watch the inode itself. */
static inline void notify_inode(struct inode *i, u32 event)
{
	if (notify_wanted(i))
		notify_inode_now(i, event);
}

/* To those, and with its name to those who watch the directory it is in. */
static inline void notify_dentry(struct dentry *d, u32 event)
{
	if (notify_wanted(d->inode))
		notify_dentry_now(d, event);
}

/* inode appeared or vanished as name in dir. */
static inline void notify_name(struct inode *dir, u32 event, const char *name, struct inode *inode)
{
	if (notify_wanted(dir))
		notify_name_now(dir, event, name, inode);
}

/* old_name in old_dir has become new_name in new_dir, in the place of target (or null). */
void notify_move(struct inode *old_dir, const char *old_name, struct inode *new_dir,
		 const char *new_name, struct inode *inode, struct inode *target);
/* Attributes have been changed: attr->valid says which. */
void notify_change(struct dentry *d, const struct iattr *attr);
/* f has been opened; when it is closed that is reported too. */
void notify_open(struct file *f);
void notify_close(struct file *f);
/* Nothing of sb is mounted any more: its watches end. No locks held; may park. */
void notify_unmount(struct super *sb);
/* d's name has been deleted: it is no longer kept for those who watch. */
void notify_unpin(struct dentry *d);
/* The last reference to a deleted name of i has gone: if it was its last name, it is gone too. */
void notify_gone(struct inode *i);

/* ---- inotify ---- */

/* flags: O_NONBLOCK. user (reference taken over on success) pays; -EMFILE: it has too many. */
[[nodiscard]] int inotify_create_file(struct subject *s, struct user_table *users,
				      struct user_usage *user, u32 flags, struct file **ret);
bool inotify_is(const struct file *f);
/* Watch what p names for mask (IN_* with IN_MASK_ADD and so on), or change the watch. Returns the
 * watch's number, -EEXIST (IN_MASK_CREATE), -ENOSPC, -ENOMEM. */
[[nodiscard]] int inotify_add_watch_path(struct file *f, const struct path *p, u32 mask);
[[nodiscard]] int inotify_remove_watch(struct file *f, int wd); /* -EINVAL: none such */
/* Throw away what waits in f. True if there was an event, besides those about watches themselves.
 */
bool inotify_drain(struct file *f);
