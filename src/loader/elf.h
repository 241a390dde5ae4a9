#pragma once

/*
 * ELF headers, checked. The parser works on a reader and knows neither files nor address spaces, so
 * that it can be fuzzed alone.
 *
 * Linux checks a part of the headers before the point of no return and finds the rest when it maps;
 * a program with a bad segment is killed, not refused. So errors of the first kind are returned by
 * elf_parse, those of the second are kept in late_error for whoever maps.
 */

#include "base/types.h"

/* Linux takes at most a page of program headers. */
#define ELF_PHNUM_MAX 73

struct elf_source {
	/* Read exactly size bytes at offset: 0, -EIO if there are fewer, or another error. */
	int (*read)(struct elf_source *src, void *buf, size_t size, u64 offset);
};

/* A PT_LOAD. memsz >= filesz, vaddr + memsz does not overflow, vaddr and offset are congruent
 * modulo the page size: all unless late_error is set. */
struct elf_segment {
	u64 vaddr, filesz, memsz, offset;
	u32 prot; /* PROT_* */
};

struct elf_image {
	bool dyn; /* ET_DYN: may be placed anywhere */
	bool exec_stack;
	int late_error; /* 0, or why it cannot be mapped */
	u32 phnum;
	u32 segment_count;
	u64 entry;
	u64 phdr; /* where the program headers are mapped; 0 if nowhere */
	u64 low, high; /* page-aligned bounds of all segments */
	u64 align; /* the largest p_align, at least a page; a power of two */
	u64 interp_offset,
		interp_size; /* PT_INTERP, size 0 if there is none; 2 to PATH_MAX bytes */
	struct elf_segment segment[ELF_PHNUM_MAX];
};

/*
 * Check the headers of an ELF file whose first head_size bytes are at head. limit: the end of the
 * address space. -ENOEXEC, or the reader's error.
 */
[[nodiscard]] int elf_parse(struct elf_source *src, const void *head, size_t head_size, u64 limit,
			    struct elf_image *ret);
/* Read the interpreter's name, interp_size bytes, its NUL included. -ENOEXEC if there is none,
 * -EIO. */
[[nodiscard]] int elf_read_interp(struct elf_source *src, const struct elf_image *image, char *buf);
