/*
 * From a number to a handler.
 *
 * The array of wrappers comes from table.def. A call without handler is ENOSYS, and logged the
 * first time.
 */

#include "syscall/syscall.h"

#include <errno.h>
#include <stdio.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "base/log.h"
#include "kernel/task.h"
#include "syscall/state.h"
#include "syscall/strace.h"
#include "syscall_protos.h"

#include "syscall_dispatch.inc"

SLAB_CLASS(syscall_state, struct syscall_state, TRANSIENT(struct syscall_state, strace_fd));

struct syscall_state *syscall_state(void)
{
	return arena_root_of(ARENA_ROOT_SYSCALL);
}

int syscall_init(int strace_fd, const struct syscall_set *filter)
{
	struct syscall_state *state = slab_alloc(&slab_syscall_state);

	if (!state)
		return -ENOMEM;
	state->strace = strace_fd >= 0;
	state->strace_fd = strace_fd;
	state->strace_filtered = filter;
	if (filter)
		state->strace_set = *filter;
	kernel_get()->quick_calls = !state->strace;
	arena_set_root_of(ARENA_ROOT_SYSCALL, state);
	return 0;
}

const struct syscall_info *syscall_info(int nr)
{
	if ((unsigned int)nr >= SYSCALL_COUNT || !g_infos[nr].name)
		return NULL;
	return &g_infos[nr];
}

static long syscall_missing(struct task *t, int nr)
{
	struct syscall_state *state = syscall_state();
	const struct syscall_info *info = syscall_info(nr);
	u64 bit;

	if (!state || (unsigned int)nr >= 64 * ARRAY_SIZE(state->logged))
		return -ENOSYS;
	bit = 1UL << (nr % 64);
	if (!(atomic_fetch_or(&state->logged[nr / 64], bit) & bit))
		log_info("system call %d (%s) is not implemented (first made by task %u)", nr,
			 info ? info->name : "unknown", t->subject.tid);
	return -ENOSYS;
}

static long syscall_invoke(struct task *t, int nr, const u64 args[6])
{
	if (likely((unsigned int)nr < SYSCALL_COUNT && g_calls[nr]))
		return g_calls[nr](t, args);
	return syscall_missing(t, nr);
}

static long syscall_restart(struct task *t)
{
	return sys_restart_syscall(t);
}

DEFINE_OPS(struct syscall_ops, syscall_layer_ops) = {
	.invoke = syscall_invoke,
	.restart = syscall_restart,
	.exited = strace_exited,
	.signalled = strace_signalled,
};

int syscall_print_table(int (*print)(const char *line, void *arg), void *arg)
{
	static const char *const levels[] = { "", "-", "partial", "full" };
	char line[160];
	int ret = 0;

	for (int nr = 0; nr < SYSCALL_COUNT && ret >= 0; nr++) {
		const struct syscall_info *info = syscall_info(nr);

		if (!info)
			continue;
		snprintf(line, sizeof(line), "%3d  %-24s %-8s %s", nr, info->name,
			 levels[info->level], info->note);
		ret = print(line, arg);
	}
	return min(ret, 0);
}
