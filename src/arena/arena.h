#pragma once

/*
 * The arena: one range of the kernel's address space that holds all guest-visible kernel state.
 *
 *	vault | header (root pointer, slab class states) | pages ...
 *
 * An object holds plain data, pointers into the arena and ops pointers (base/ops.h); no heap
 * pointer, FILE*, descriptor number or pthread object, unless the field is declared transient by
 * its slab class: transient fields are zeroed by arena_dump and set again by whoever restores.
 */

#include "base/types.h"

/* Create the arena at a random base and fill the vault. Once a process, before any allocation. */
[[nodiscard]] int arena_create(void);
/* From now on at most so many bytes are in use; more is like memory running short. */
void arena_set_limit(u64 bytes);
/* Write the arena to fd: header and used pages, transient fields zeroed in the copy. All fibers
 * must be stopped. */
[[nodiscard]] int arena_dump(int fd);
/* Map a dumped arena from fd at its base, copy-on-write, and rewrite the vault. Instead of
 * arena_create. */
[[nodiscard]] int arena_map(int fd);
/* Unmap the arena, with all objects; another may be created then. For tests. */
void arena_destroy(void);
bool arena_contains(const void *p);
/* Bytes of the arena that are in use. */
u64 arena_used(void);
/* Debug: scan all live objects for pointers into this process's heap, stacks or binary (but
 * transient fields). maps_fd: its /proc/self/maps, not read yet. Returns the number found; logs
 * the first few. */
unsigned int arena_check(int maps_fd);

/*
 * The roots: one object for each part of the kernel that has state of its own, the only way from a
 * fresh process to the objects. Null until set at boot.
 */
enum arena_root_id {
	ARENA_ROOT_KERNEL,
	ARENA_ROOT_IPC,
	ARENA_ROOT_SYSCALL,
	ARENA_ROOT_VDSO,
	ARENA_ROOT_LOCKS,
	ARENA_ROOT_NET,
	ARENA_ROOT_SHMEM,
	ARENA_ROOT_CLOCKS,
	ARENA_ROOT_COUNT
};
void *arena_root_of(enum arena_root_id id);
void arena_set_root_of(enum arena_root_id id, void *root);

/* The root object proper (struct kernel). */
static inline void *arena_root(void)
{
	return arena_root_of(ARENA_ROOT_KERNEL);
}

static inline void arena_set_root(void *root)
{
	arena_set_root_of(ARENA_ROOT_KERNEL, root);
}

/* Untyped arena memory for arrays and strings; zeroed, 16-byte aligned; null when memory is short.
 */
[[nodiscard]] void *arena_alloc(size_t size);
/* As arena_alloc, and new contents copied; old is freed on success. old may be null. */
[[nodiscard]] void *arena_realloc(void *old, size_t old_size, size_t new_size);
void arena_free(void *p); /* null is fine */
[[nodiscard]] char *arena_strdup(const char *s);
[[nodiscard]] void *arena_memdup(const void *p, size_t size);

/* Tests: if set, called before each allocation, slab objects' too; true makes it fail. */
void arena_set_fault_hook(bool (*hook)(size_t size));
