#pragma once

/* Telling ASan and TSan of fiber switches; empty in ordinary builds. */

#include "sched/internal.h"

#if defined(DONJON_ASAN)

#include <sanitizer/common_interface_defs.h>

/* Before the switch: the caller leaves its stack (for ever if save is null) for the given one. */
static inline void asan_leave(void **save, const void *bottom, size_t size)
{
	__sanitizer_start_switch_fiber(save, bottom, size);
}

/* After it: the caller is back on its stack; where it came from goes to ret_*, if not null. */
static inline void asan_enter(void *saved, const void **ret_bottom, size_t *ret_size)
{
	__sanitizer_finish_switch_fiber(saved, ret_bottom, ret_size);
}

#else

static inline void asan_leave(void **save, const void *bottom, size_t size)
{
}

static inline void asan_enter(void *saved, const void **ret_bottom, size_t *ret_size)
{
}

#endif

#if defined(DONJON_TSAN)

#include <sanitizer/tsan_interface.h>

static inline void *tsan_create(void)
{
	return __tsan_create_fiber(0);
}

static inline void *tsan_self(void)
{
	return __tsan_get_current_fiber();
}

static inline void tsan_destroy(void *fiber)
{
	__tsan_destroy_fiber(fiber);
}

static inline void tsan_switch(void *fiber)
{
	__tsan_switch_to_fiber(fiber, 0);
}

#else

static inline void *tsan_create(void)
{
	return NULL;
}

static inline void *tsan_self(void)
{
	return NULL;
}

static inline void tsan_destroy(void *fiber)
{
}

static inline void tsan_switch(void *fiber)
{
}

#endif
