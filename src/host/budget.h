#pragma once

/*
 * What guests may have of the host through the kernel process: descriptors that it opens for them,
 * and memory in files (tmpfs, shared memory). What is charged is uncharged when it is given back.
 */

#include "base/types.h"

/* How many descriptors, so that the kernel never runs out of those that it needs itself; before any
 * is charged. */
void host_fd_set_budget(u32 count);
/* One more; false: there are too many, close one of your own or fail with -ENFILE. */
[[nodiscard]] bool host_fd_charge(void);
void host_fd_uncharge(void);

/* How many bytes of memory the guest may have in all; before any is charged. No limit at first. */
void host_memory_set_budget(u64 bytes);
u64 host_memory_budget(void);
/* False: that would be more than three quarters of all, since processes must have something, too;
 * what they have of their own is not counted here. */
[[nodiscard]] bool host_memory_charge(u64 bytes);
/* Set a part of the account right: what had been charged as was is found to be is. */
void host_memory_recharge(u64 was, u64 is);
u64 host_memory_charged(void);
