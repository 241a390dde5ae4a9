#pragma once

/* What the files of the loader share. */

#include "loader/elf.h"
#include "loader/loader.h"
#include "vfs/vfs.h"

#define EXEC_STRINGS_MAX (6UL << 20)

/* Replace the first argument, if any, by count strings that lie at front, each with its NUL.
 * -E2BIG, -ENOMEM. */
[[nodiscard]] int exec_strings_replace_first(struct exec_strings *x, const char *front,
					     size_t front_size, u32 count);

/* A mapped ELF file. */
struct elf_mapped {
	u64 bias; /* added to its addresses */
	u64 entry;
	u64 start_code, end_code, start_data, end_data, end;
};

/* Map all segments of a checked image; program or interpreter. An error means that the image is
 * half mapped. */
[[nodiscard]] int elf_map(struct subject *s, struct file *file, const struct elf_image *image,
			  bool low_program, struct elf_mapped *ret);

/* What the initial stack is made of. */
struct stack_args {
	const struct exec_strings *strings;
	const char *filename;
	u64 auxv[2 * MM_AUXV_MAX]; /* filled in by the caller, but for addresses on the stack */
	u32 auxv_count; /* pairs, AT_NULL included */
	u64 random_pad; /* bytes left free, at random */
};

/* Bytes of stack that stack_build will use. */
u64 stack_size(const struct stack_args *a);
/*
 * Write the initial stack below top (page-aligned, mapped). The layout's stack, argument and
 * environment bounds are filled in; auxv entries AT_RANDOM, AT_EXECFN and AT_PLATFORM get their
 * addresses.
 */
[[nodiscard]] int stack_build(struct subject *s, struct stack_args *a, u64 top,
			      struct mm_layout *layout);

/* Map the vDSO and its data page; *ret_addr: the vDSO's address, 0 if there is none. */
[[nodiscard]] int vdso_map(struct subject *s, u64 *ret_addr);
