#pragma once

/* The program loader: ELF (static, static-PIE, dynamic with an interpreter) and #! scripts. */

#include "base/types.h"

struct file;
struct guest_regs;
struct path;
struct subject;

/* Argument and environment strings, each NUL-terminated, args first, then the environment. Owned by
 * the caller; the buffer is arena memory that may be regrown by loader_load (a script's interpreter
 * and name are put in front). */
struct exec_strings {
	char *data;
	size_t size; /* bytes used */
	size_t room; /* bytes allocated */
	u32 argc, envc;
};

void exec_strings_init(struct exec_strings *x);
void exec_strings_fini(struct exec_strings *x);
/* Append one string; the caller appends args before env and counts argc and envc itself. -E2BIG,
 * -ENOMEM. */
[[nodiscard]] int exec_strings_add(struct exec_strings *x, const char *s, size_t len);

/* What was decided before the point of no return. */
struct exec_plan {
	struct file *program; /* owned: the ELF file to run (a script's interpreter) */
	struct file *interp; /* owned or null: PT_INTERP */
	struct file *named; /* owned: the file that execve named (a script itself), for setuid and
			       comm */
	char comm[16];
	struct exec_strings *strings; /* borrowed */
	bool execfd; /* named through a descriptor */
	void *elf, *interp_elf; /* parsed headers: arena memory of the loader */
};

/*
 * Decide: resolve file (reference taken over, also on failure; opened for execution, permission
 * checked) through #! lines (at most 5 deep), read and check ELF headers. filename is what
 * AT_EXECFN shows. Errors as Linux: ENOEXEC, ELIBBAD, EACCES, ENOENT, E2BIG, ELOOP, EINVAL...
 * Nothing has been changed on failure.
 */
[[nodiscard]] int loader_plan(struct subject *s, struct file *file, const char *filename,
			      struct exec_strings *strings, struct exec_plan *ret_plan);
/* Commit: map it into s->mm (a fresh one), build stack, auxv, vdso; fills in the first registers
 * (FS, GS 0). */
[[nodiscard]] int loader_map(struct subject *s, struct exec_plan *plan, const char *filename,
			     bool secure, struct guest_regs *ret_regs);
void exec_plan_fini(struct exec_plan *plan);

/* vDSO: once at boot; builds the image and data page as read-only host files. Address of the signal
 * trampoline is not needed on x86-64 (SA_RESTORER). cpus_virtual: getcpu goes to the kernel. After
 * platform_boot. Without it programs run, but have no vDSO. */
[[nodiscard]] int vdso_init(bool cpus_virtual);
/* At shutdown, when no address space is left. */
void vdso_fini(void);
