#pragma once

/* Which sanitizer this build has, and what it has to be told about memory. Empty in ordinary
 * builds. */

#include "base/types.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DONJON_TSAN 1
#endif
#if __has_feature(address_sanitizer)
#define DONJON_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) && !defined(DONJON_TSAN)
#define DONJON_TSAN 1
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(DONJON_ASAN)
#define DONJON_ASAN 1
#endif

#if defined(DONJON_ASAN)

#include <sanitizer/asan_interface.h>

/* The range must not be touched, or may be again. */
static inline void sanitize_poison(void *p, size_t size)
{
	ASAN_POISON_MEMORY_REGION(p, size);
}

static inline void sanitize_unpoison(void *p, size_t size)
{
	ASAN_UNPOISON_MEMORY_REGION(p, size);
}

#else

static inline void sanitize_poison(void *p, size_t size)
{
}

static inline void sanitize_unpoison(void *p, size_t size)
{
}

#endif
