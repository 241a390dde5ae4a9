/* The accounts of budget.h: counters of the process, which no snapshot holds. */

#include "host/budget.h"

#include <stdatomic.h>

#include "base/bug.h"

static _Atomic u32 g_host_fds_charged;
static u32 g_host_fd_budget = UINT32_MAX;
static _Atomic u64 g_host_memory_charged;
static u64 g_host_memory_budget = UINT64_MAX;

void host_fd_set_budget(u32 count)
{
	g_host_fd_budget = count;
}

bool host_fd_charge(void)
{
	if (atomic_fetch_add(&g_host_fds_charged, 1) < g_host_fd_budget)
		return true;
	atomic_fetch_sub(&g_host_fds_charged, 1);
	return false;
}

void host_fd_uncharge(void)
{
	u32 old = atomic_fetch_sub(&g_host_fds_charged, 1);

	BUG_ON(old == 0);
}

void host_memory_set_budget(u64 bytes)
{
	g_host_memory_budget = bytes;
}

u64 host_memory_budget(void)
{
	return g_host_memory_budget;
}

bool host_memory_charge(u64 bytes)
{
	u64 used = g_host_memory_charged, limit = g_host_memory_budget - g_host_memory_budget / 4;

	do {
		if (bytes > limit || used > limit - bytes)
			return false;
	} while (!atomic_compare_exchange_weak(&g_host_memory_charged, &used, used + bytes));
	return true;
}

void host_memory_recharge(u64 was, u64 is)
{
	atomic_fetch_add(&g_host_memory_charged, is - was);
}

u64 host_memory_charged(void)
{
	return g_host_memory_charged;
}
