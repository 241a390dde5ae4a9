#pragma once

/*
 * Ops tables and the vault.
 *
 * An arena object must survive being mapped into another kernel process, where the binary lies
 * elsewhere. So objects never hold the address of a const table in the binary: every ops table is
 * placed in the section donjon_ops, boot copies that section into the vault (read-only pages at the
 * arena's base) and objects hold addresses in the vault.
 *
 *	DEFINE_OPS(struct file_ops, pipe_file_ops) = { .read = pipe_read, ... };
 *	file->ops = OPS(pipe_file_ops);
 *	if (file->ops == OPS(pipe_file_ops)) ...
 */

#include "base/types.h"

#define DECLARE_OPS(type, name) extern const type name
#define DEFINE_OPS(type, name) \
	extern const type name; \
	const type name __attribute__((section("donjon_ops"), aligned(16), used))

extern const char __start_donjon_ops[] __attribute__((weak, visibility("hidden")));
extern const char __stop_donjon_ops[] __attribute__((weak, visibility("hidden")));

/* Address of the vault's copy of the section: the one mutable global of base; set once by
 * arena_create/arena_map. */
extern const char *g_vault_ops;

#define OPS(name) \
	((const typeof(name) *)(const void *)(g_vault_ops + \
					      ((const char *)&(name)-__start_donjon_ops)))
