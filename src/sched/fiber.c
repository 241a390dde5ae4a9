/*
 * Fibers: creation, end, parking and interrupts. How a fiber changes its state is told in
 * internal.h; which worker runs it, in worker.c.
 */

#include "sched/fiber.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/bug.h"
#include "host/host.h"
#include "sched/internal.h"
#include "sched/sanitize_fiber.h"
#include "sched/sched.h"

#define MXCSR_DEFAULT 0x1f80UL
#define FPU_CW_DEFAULT 0x037fUL

/* The first code of a fiber, on its stack. */
static void fiber_main(void)
{
	struct fiber *f = fiber_current();

	asan_enter(NULL, &f->worker->asan_bottom, &f->worker->asan_size);
	f->fn(f->arg);
	assert_no_spin();
	fiber_switch_out(f, SWITCH_EXIT);
	__builtin_unreachable();
}

struct fiber *fiber_create(fiber_fn *fn, void *arg)
{
	char *stack;
	struct fiber *f;
	u64 *sp;

	if (timer_reserve())
		return NULL;
	stack = stack_alloc();
	if (!stack) {
		timer_unreserve();
		return NULL;
	}
	f = (struct fiber *)(void *)(stack + FIBER_STACK_SIZE - align_up(sizeof(struct fiber), 64));
	*f = (struct fiber){
		.fn = fn,
		.arg = arg,
		.stack = stack,
		.tsan_fiber = tsan_create(),
	};
	list_init(&f->link);
	/* What fiber_switch pops; after its ret the stack pointer is as on entry to a function. */
	sp = (u64 *)(void *)f;
	*--sp = 0;
	*--sp = (u64)fiber_main;
	for (int i = 0; i < 6; i++)
		*--sp = 0;
	*--sp = MXCSR_DEFAULT | FPU_CW_DEFAULT << 32;
	f->sp = sp;
	return f;
}

void fiber_destroy(struct fiber *f)
{
	tsan_destroy(f->tsan_fiber);
	stack_free(f->stack);
	timer_unreserve();
}

void fiber_start(struct fiber *f)
{
	u32 old = atomic_fetch_add(&f->state, FIBER_READY - FIBER_NEW);

	BUG_ON((old & FIBER_STATE) != FIBER_NEW);
	sched_enqueue(f);
}

void *fiber_arg(const struct fiber *f)
{
	return f->arg;
}

OWN_THREAD struct fiber *fiber_current(void)
{
	struct worker *w = t_sched.worker;

	__asm__ volatile("");
	return w ? w->current : NULL;
}

void fiber_switch_out(struct fiber *f, enum switch_reason reason)
{
	struct worker *w = f->worker;

	w->reason = reason;
	asan_leave(reason == SWITCH_EXIT ? NULL : &f->asan_fake_stack, w->asan_bottom,
		   w->asan_size);
	tsan_switch(w->tsan_fiber);
	fiber_switch(&f->sp, w->sp);
	/* Perhaps another worker's now. */
	asan_enter(f->asan_fake_stack, &f->worker->asan_bottom, &f->worker->asan_size);
}

static bool fiber_take_permit(struct fiber *f)
{
	if (!(atomic_load_explicit(&f->state, memory_order_relaxed) & FIBER_PERMIT))
		return false;
	atomic_fetch_and_explicit(&f->state, ~(u32)FIBER_PERMIT, memory_order_acquire);
	return true;
}

int fiber_park(s64 deadline)
{
	struct fiber *f = fiber_current();

	assert_no_spin();
	BUG_ON(!f);
	if (fiber_take_permit(f))
		return 0;
	if (deadline == NO_DEADLINE) {
		fiber_switch_out(f, SWITCH_PARK);
		return 0;
	}
	if (deadline <= sched_now())
		return -ETIMEDOUT;
	timer_arm_reserved(&f->timer, deadline);
	fiber_switch_out(f, SWITCH_PARK);
	return timer_cancel(&f->timer) ? 0 : -ETIMEDOUT;
}

static int fiber_park_flags(s64 deadline, u32 mask)
{
	struct fiber *f = fiber_current();
	int ret;

	BUG_ON(!f);
	if (atomic_load(&f->flags) & mask)
		return -EINTR;
	atomic_fetch_add_explicit(&f->waits, 1, memory_order_relaxed);
	ret = fiber_park(deadline);
	return atomic_load(&f->flags) & mask ? -EINTR : ret;
}

u64 fiber_waits(const struct fiber *f)
{
	return atomic_load_explicit(&f->waits, memory_order_relaxed);
}

int fiber_park_interruptible(s64 deadline)
{
	return fiber_park_flags(deadline, FIBER_INTERRUPT | FIBER_KILL);
}

int fiber_park_killable(s64 deadline)
{
	return fiber_park_flags(deadline, FIBER_KILL);
}

/* True if f has become ready. */
static bool fiber_make_ready(struct fiber *f)
{
	u32 state = atomic_load_explicit(&f->state, memory_order_relaxed);
	u32 new;

	/*
	 * Even a permit that is already set is set again, by an atomic operation: what the caller
	 * wrote before must be seen by the fiber when it takes the permit.
	 */
	do {
		new = (state & FIBER_STATE) == FIBER_PARKED ? FIBER_READY : state | FIBER_PERMIT;
	} while (!atomic_compare_exchange_weak_explicit(
		&f->state, &state, new, memory_order_acq_rel, memory_order_relaxed));
	return new == FIBER_READY;
}

void fiber_unpark(struct fiber *f)
{
	if (fiber_make_ready(f))
		sched_enqueue(f);
}

void fiber_unpark_unhurried(struct fiber *f)
{
	if (fiber_make_ready(f))
		sched_enqueue_unhurried(f);
}

void fiber_interrupt(struct fiber *f)
{
	atomic_fetch_or(&f->flags, FIBER_INTERRUPT);
	fiber_unpark(f);
}

void fiber_kill(struct fiber *f)
{
	atomic_fetch_or(&f->flags, FIBER_KILL | FIBER_INTERRUPT);
	fiber_unpark(f);
}

bool fiber_interrupted(const struct fiber *f)
{
	return atomic_load(&f->flags) != 0;
}

bool fiber_killed(const struct fiber *f)
{
	return atomic_load(&f->flags) & FIBER_KILL;
}

void fiber_clear_kill(struct fiber *f)
{
	atomic_fetch_and(&f->flags, ~(u32)(FIBER_INTERRUPT | FIBER_KILL));
}

void fiber_clear_interrupt(struct fiber *f)
{
	atomic_fetch_and(&f->flags, ~(u32)FIBER_INTERRUPT);
}

void fiber_yield(void)
{
	struct fiber *f = fiber_current();

	assert_no_spin();
	BUG_ON(!f);
	if (sched_should_yield())
		fiber_switch_out(f, SWITCH_YIELD);
}
