#pragma once

/*
 * Typed slab caches. A class is a constant description in the binary; its state (pages, free lists,
 * counts) is in the arena's header, found by the class's name on restore.
 *
 *	SLAB_CLASS(pipe, struct pipe, TRANSIENT(struct pipe, host_hint));
 *	struct pipe *p = slab_alloc(&slab_pipe);	// zeroed; null when memory is short
 *	slab_free(&slab_pipe, p);			// null is fine
 *
 * Debug builds poison freed objects and check that. Thread-safe; takes only lc_slab, so it may be
 * called with short locks held (it never calls the host then: pages are committed by touching
 * them).
 */

#include "base/types.h"

struct slab_transient {
	u32 offset, size;
};

struct slab_class {
	const char *name;
	u32 size, align;
	u32 transient_count;
	struct slab_transient transient[12];
};

#define TRANSIENT(type, member) \
	{ \
		offsetof(type, member), sizeof(typeof(((type *)0)->member)) \
	}

/* Define the class slab_NAME for objects of a type; the rest are TRANSIENT() entries. */
#define SLAB_CLASS(name_, type, ...) \
	extern const struct slab_class slab_##name_; \
	const struct slab_class slab_##name_ \
		__attribute__((section("donjon_slabs"), aligned(16), used)) = { \
			.name = #name_, \
			.size = sizeof(type), \
			.align = _Alignof(type), \
			.transient_count = sizeof((struct slab_transient[]){ __VA_ARGS__ }) / \
					   sizeof(struct slab_transient), \
			.transient = { __VA_ARGS__ }, \
		}

[[nodiscard]] void *slab_alloc(const struct slab_class *class);
void slab_free(const struct slab_class *class, void *obj);
/* Live objects of a class; and the same of all classes, for leak checks. */
u64 slab_count(const struct slab_class *class);
u64 slab_count_all(void);
/* Call fn for each live object of class; the class must not change meanwhile. */
void slab_for_each(const struct slab_class *class, void (*fn)(void *obj, void *arg), void *arg);
/* Call fn(name, live count) for each class. */
void slab_for_each_class(void (*fn)(const char *name, u64 count, void *arg), void *arg);
