/* All tasks, gathered with references, for who looks at them without the lock. */

#include "kernel/lifecycle.h"

#include <stdlib.h>

#include "mm/mm.h"

#define GATHER_MAX 32768

static bool gather_add(struct gathered *g, struct task *t, const struct mm *mm)
{
	if (g->count == g->room)
		return false;
	task_get(t);
	g->at[g->count++] = (struct gathered_task){ .task = t, .mm = mm };
	return true;
}

static bool gather_group(struct thread_group *tg, u32 pid, void *arg)
{
	struct task *t;

	list_for_each(t, &tg->tasks, tg_link)
		if (!gather_add(arg, t, NULL))
			return false;
	return true;
}

/* The first thread that still has its memory; its leader may have ended before it. */
static bool gather_memory(struct thread_group *tg, u32 pid, void *arg)
{
	struct task *t;

	list_for_each(t, &tg->tasks, tg_link) {
		const struct mm *mm;

		spin_lock(&t->lock, &lc_task);
		mm = t->subject.mm;
		spin_unlock(&t->lock, &lc_task);
		if (mm)
			return gather_add(arg, t, mm);
	}
	return true;
}

static void gather(struct gathered *ret, bool (*fn)(struct thread_group *tg, u32 pid, void *arg))
{
	struct kernel *k = kernel_get();

	*ret = (struct gathered){};
	ret->room = min(__atomic_load_n(&k->task_count, __ATOMIC_RELAXED) + 16, (u32)GATHER_MAX);
	ret->at = calloc(ret->room, sizeof(ret->at[0]));
	if (!ret->at)
		return;
	tasks_lock();
	group_for_each(k->pid_ns, 1, fn, ret);
	tasks_unlock();
}

void gather_tasks(struct gathered *ret)
{
	gather(ret, gather_group);
}

static int by_mm(const void *a, const void *b)
{
	u64 x = (u64)(uintptr_t)((const struct gathered_task *)a)->mm;
	u64 y = (u64)(uintptr_t)((const struct gathered_task *)b)->mm;

	return (x > y) - (x < y);
}

void gather_memories(struct gathered *ret)
{
	u32 kept = 0;

	gather(ret, gather_memory);
	if (ret->count)
		qsort(ret->at, ret->count, sizeof(ret->at[0]), by_mm);
	for (u32 i = 0; i < ret->count; i++) {
		if (kept && ret->at[i].mm == ret->at[kept - 1].mm)
			task_put(ret->at[i].task);
		else
			ret->at[kept++] = ret->at[i];
	}
	ret->count = kept;
}

void gathered_put(struct gathered *g)
{
	for (u32 i = 0; i < g->count; i++)
		task_put(g->at[i].task);
	free(g->at);
}
