#pragma once

/*
 * struct host_file: an open file of the host that several kernel objects share. It lives outside
 * the arena; an arena object's pointer to one is transient, and a restore makes it anew.
 *
 * The descriptor itself may come and go: a budget may close that of a file that nobody has pinned
 * and that knows how to open itself again. So a descriptor number is valid only between pin and
 * unpin. (Today nothing is closed early.)
 */

#include "base/refcount.h"
#include "base/types.h"

struct host_file;

struct host_file_ops {
	/* Open the file again; returns a new descriptor or a negative errno. May call the host.
	 * Null: it can't be. */
	int (*reopen)(struct host_file *f);
	/* The last reference is gone and the descriptor is closed: free what embeds f. Never null.
	 */
	void (*release)(struct host_file *f);
};

struct host_file {
	const struct host_file_ops *ops; /* [I] */
	struct refcount refs;
	_Atomic u32 pins; /* users of the descriptor's number */
	_Atomic int fd; /* -1: closed, to be reopened at the next pin */
};

/* fd becomes f's own; one reference, the caller's. */
void host_file_init(struct host_file *f, const struct host_file_ops *ops, int fd);
/* As init, of a fresh heap object without reopen. Null when memory or the budget is short (then fd
 * is still the caller's). Charged. */
[[nodiscard]] struct host_file *host_file_create(int fd);
struct host_file *host_file_get(struct host_file *f);
/* Drop a reference; null is fine. Calls the host: no short lock may be held. */
void host_file_put(struct host_file *f);

/* Pin and return the descriptor, or a negative errno (from reopening). Pins nest. May call the
 * host. */
[[nodiscard]] int host_file_pin(struct host_file *f);
void host_file_unpin(struct host_file *f);
/* The descriptor of a file that the caller has pinned. */
int host_file_get_fd(const struct host_file *f);
