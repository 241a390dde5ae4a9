/*
 * The one way to the host: host_call, its hooks and the table of calls.def. The typed wrappers are
 * in wrappers.c.
 */

#include "host/host.h"

#include <stdatomic.h>
#include <sys/syscall.h>

#include "base/bug.h"

struct host_call_row {
	u16 nr;
	u8 sections;
	const char *name;
};

static const struct host_call_row host_call_rows[] = {
#define HOST_CALL(name, sections, why) { SYS_##name, sections, #name },
#include "host/calls.def"
#undef HOST_CALL
};

static const u8 host_call_section_of[512] = {
#define HOST_CALL(name, sections, why) [SYS_##name] = sections,
#include "host/calls.def"
#undef HOST_CALL
};

static _Atomic(host_fault_hook *) g_host_fault_hook;
static void (*_Atomic g_host_check_hook)(long nr);

static inline long host_raw(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#ifdef DONJON_DEBUG
static void host_call_check(long nr)
{
	void (*check)(long) = atomic_load_explicit(&g_host_check_hook, memory_order_relaxed);

	if (!host_call_sections(nr))
		panic("host call %ld is not in host/calls.def", nr);
	if (check)
		check(nr);
}
#else
static void host_call_check(long nr)
{
}
#endif

long host_call(long nr, long a, long b, long c, long d, long e, long f)
{
	host_fault_hook *hook = atomic_load_explicit(&g_host_fault_hook, memory_order_relaxed);

	host_call_check(nr);
	/* A failed wake-up would hang the kernel, and never happens on a real host. */
	if (unlikely(hook) && nr != SYS_futex) {
		long ret = hook(nr);

		if (ret)
			return ret;
	}
	return host_raw(nr, a, b, c, d, e, f);
}

void host_set_fault_hook(host_fault_hook *hook)
{
	g_host_fault_hook = hook;
}

void host_set_check_hook(void (*hook)(long nr))
{
	g_host_check_hook = hook;
}

void host_calls_for_each(unsigned int sections,
			 void (*fn)(int nr, const char *name, unsigned int row_sections, void *arg),
			 void *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(host_call_rows); i++) {
		const struct host_call_row *row = &host_call_rows[i];

		if (row->sections & sections)
			fn(row->nr, row->name, row->sections, arg);
	}
}

unsigned int host_call_sections(long nr)
{
	return nr >= 0 && nr < (long)ARRAY_SIZE(host_call_section_of) ? host_call_section_of[nr] :
									0;
}

/* For panic: past all hooks and checks. */
static ssize_t host_write_raw(int fd, const void *buf, size_t size)
{
	return host_raw(SYS_write, fd, (long)buf, (long)size, 0, 0, 0);
}

__attribute__((constructor)) static void host_register_panic(void)
{
	panic_setup(2, host_write_raw);
}
