/*
 * Stacks of fibers. Each is a mapping of its own with a guard page at the low end. The guard is a
 * guard region where the host has them (Linux 6.13), so that stacks side by side stay one mapping
 * of the host; else a PROT_NONE page. Ended fibers leave some stacks for the next, which are warm;
 * the rest go back.
 */

#include <sys/mman.h>

#include "host/host.h"
#include "sched/internal.h"

#define GUARD_INSTALL 102 /* MADV_GUARD_INSTALL */
#define STACKS_KEPT 32

static struct {
	struct spin lock;
	unsigned int count GUARDED_BY(lc_stacks);
	char *kept[STACKS_KEPT] GUARDED_BY(lc_stacks);
} g_stacks;

static char *stack_map(void)
{
	char *p = host_mmap(NULL, FIBER_STACK_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (host_is_err(p))
		return NULL;
	host_madvise(p, FIBER_STACK_SIZE,
		     MADV_NOHUGEPAGE); /* for many side by side; may be unsupported */
	if (host_madvise(p, PAGE_SIZE, GUARD_INSTALL) && host_mprotect(p, PAGE_SIZE, PROT_NONE)) {
		host_munmap(p, FIBER_STACK_SIZE);
		return NULL;
	}
	return p;
}

char *stack_alloc(void)
{
	char *p = NULL;

	spin_lock(&g_stacks.lock, &lc_stacks);
	if (g_stacks.count)
		p = g_stacks.kept[--g_stacks.count];
	spin_unlock(&g_stacks.lock, &lc_stacks);
	return p ? p : stack_map();
}

void stack_free(char *stack)
{
	bool kept;

	/* The last frames never returned: their red zones are still poisoned. */
	sanitize_unpoison(stack + PAGE_SIZE, FIBER_STACK_SIZE - PAGE_SIZE);
	spin_lock(&g_stacks.lock, &lc_stacks);
	kept = g_stacks.count < STACKS_KEPT;
	if (kept)
		g_stacks.kept[g_stacks.count++] = stack;
	spin_unlock(&g_stacks.lock, &lc_stacks);
	if (!kept)
		host_munmap(stack, FIBER_STACK_SIZE);
}

void stack_fini(void)
{
	char *p;

	do {
		p = NULL;
		spin_lock(&g_stacks.lock, &lc_stacks);
		if (g_stacks.count)
			p = g_stacks.kept[--g_stacks.count];
		spin_unlock(&g_stacks.lock, &lc_stacks);
		if (p)
			host_munmap(p, FIBER_STACK_SIZE);
	} while (p);
}
