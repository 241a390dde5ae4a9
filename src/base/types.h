#pragma once

/* Integer names, the guest address type, and the few macros that every file uses. */

#include <stdbool.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

/* An address in a guest's address space. A struct, so that it cannot be dereferenced here. */
struct uaddr {
	u64 v;
};

#define UADDR(x) ((struct uaddr){ (u64)(x) })

static inline struct uaddr uaddr_add(struct uaddr a, u64 n)
{
	return UADDR(a.v + n);
}

static inline bool uaddr_is_null(struct uaddr a)
{
	return a.v == 0;
}

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096UL
#define PAGE_MASK (~(PAGE_SIZE - 1))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
/* Each argument is evaluated once; may be nested. */
#define min(a, b) MIN_MAX_(a, <, b, __COUNTER__)
#define max(a, b) MIN_MAX_(a, >, b, __COUNTER__)
#define MIN_MAX_(a, op, b, n) MIN_MAX_1_(a, op, b, n)
#define MIN_MAX_1_(a, op, b, n) \
	({ \
		typeof(a) a_##n = (a); \
		typeof(b) b_##n = (b); \
		a_##n op b_##n ? a_##n : b_##n; \
	})
/* A buffer that is filled in before it is read, and too large to be zeroed in each call. */
#define UNINIT __attribute__((uninitialized))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static inline u64 align_down(u64 x, u64 a)
{
	return x & ~(a - 1);
}

/* Wraps to 0 on overflow: check the result where x is a guest's. */
static inline u64 align_up(u64 x, u64 a)
{
	return (x + a - 1) & ~(a - 1);
}

static inline u64 page_down(u64 x)
{
	return align_down(x, PAGE_SIZE);
}

static inline u64 page_up(u64 x)
{
	return align_up(x, PAGE_SIZE);
}
