#pragma once

/* System calls that a lane answers itself. */

#include <signal.h>
#include <sys/ucontext.h>

#include "platform/systrap/stub/stub.h"

/*
 * Answer system call nr of the guest's registers g, or return false: the kernel is to answer it,
 * and nothing has been done.
 */
bool quick_call(struct lane *lane, struct lane_private *priv, int nr, greg_t *g);
/* The guest's thread exits: its robust list need not be walked if it is empty. */
void quick_exit(struct lane *lane);
/* epoll_ctl, with PF_QUICK_WATCH. Likewise. */
bool watch_call(struct lane *lane, const greg_t *g);
/* read or recvfrom, with PF_QUICK_READ. Likewise. */
bool read_call(struct lane *lane, const greg_t *g, bool is_recvfrom, u64 *ret_size);

static inline bool in_guest(u64 addr, u64 size)
{
	u64 top = stub_base();

	return addr < top && size <= top - addr;
}
