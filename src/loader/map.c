/* Commit an exec: map program, interpreter and vDSO, build the stack, set the first registers. */

#include "loader/loader.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

#include "cred/cred.h"
#include "host/host.h"
#include "loader/internal.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif
#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#define AT_RSEQ_ALIGN 28
#endif

#define CLOCK_TICKS 100
#define HWCAP2_FSGSBASE 0x2
#define USER_CS 0x33
#define USER_SS 0x2b
#define EFLAGS_IF 0x200
#define EFLAGS_FIXED 0x2
#define STACK_PAD_MAX 8192

/* What a signal frame needs besides the FP state: ucontext, siginfo, return address, magic, red
 * zone, alignment. */
#define SIGNAL_FRAME_SIZE (440 + 4 + 128 + 63 + 15)

static void put(struct stack_args *a, u64 type, u64 value)
{
	if (a->auxv_count == MM_AUXV_MAX)
		return;
	a->auxv[2 * a->auxv_count] = type;
	a->auxv[2 * a->auxv_count + 1] = value;
	a->auxv_count++;
}

static u64 minsigstksz(void)
{
	return align_up(SIGNAL_FRAME_SIZE + max(platform_fp_size(), 512u), 16);
}

/* In Linux's order. Entries with an address on the stack get it when that is built. */
static void fill_auxv(struct subject *s, struct stack_args *a, const struct exec_plan *plan,
		      const struct elf_mapped *program, const struct elf_mapped *interp, u64 vdso,
		      bool secure)
{
	const struct elf_image *image = plan->elf;
	unsigned long rseq = platform_has_rseq() ? getauxval(AT_RSEQ_FEATURE_SIZE) : 0;

	a->auxv_count = 0;
	if (vdso)
		put(a, AT_SYSINFO_EHDR, vdso);
	put(a, AT_MINSIGSTKSZ, minsigstksz());
	put(a, AT_HWCAP, getauxval(AT_HWCAP));
	put(a, AT_PAGESZ, PAGE_SIZE);
	put(a, AT_CLKTCK, CLOCK_TICKS);
	put(a, AT_PHDR, image->phdr + program->bias);
	put(a, AT_PHENT, sizeof(Elf64_Phdr));
	put(a, AT_PHNUM, image->phnum);
	put(a, AT_BASE, interp->bias);
	put(a, AT_FLAGS, 0);
	put(a, AT_ENTRY, program->entry);
	put(a, AT_UID, s->cred->uid);
	put(a, AT_EUID, s->cred->euid);
	put(a, AT_GID, s->cred->gid);
	put(a, AT_EGID, s->cred->egid);
	put(a, AT_SECURE, secure);
	put(a, AT_RANDOM, 0);
	put(a, AT_HWCAP2, getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE);
	put(a, AT_EXECFN, 0);
	put(a, AT_PLATFORM, 0);
	if (rseq) {
		put(a, AT_RSEQ_FEATURE_SIZE, rseq);
		put(a, AT_RSEQ_ALIGN, getauxval(AT_RSEQ_ALIGN));
	}
	put(a, AT_NULL, 0);
}

static void set_brk(struct subject *s, const struct exec_plan *plan,
		    const struct elf_mapped *program)
{
	const struct elf_image *image = plan->elf;

	/* A loader run as a program lies among the mappings, where a heap would soon meet another
	 * one. */
	if (image->dyn && !plan->interp)
		mm_setup_brk(s->mm, platform_task_size() / 3 * 2);
	else
		mm_setup_brk(s->mm, page_up(program->end) + PAGE_SIZE);
}

static int map_images(struct subject *s, const struct exec_plan *plan,
		      struct elf_mapped *ret_program, struct elf_mapped *ret_interp)
{
	int err = elf_map(s, plan->program, plan->elf, plan->interp != NULL, ret_program);

	if (err)
		return err;
	if (!plan->interp) {
		*ret_interp = (struct elf_mapped){ .entry = ret_program->entry };
		return 0;
	}
	return elf_map(s, plan->interp, plan->interp_elf, false, ret_interp);
}

static int random_pad(u64 *ret)
{
	u16 r;

	if (host_getrandom(&r, sizeof(r), 0) != sizeof(r))
		return -EIO;
	*ret = r % STACK_PAD_MAX & ~15UL;
	return 0;
}

int loader_map(struct subject *s, struct exec_plan *plan, const char *filename, bool secure,
	       struct guest_regs *ret_regs)
{
	const struct elf_image *image = plan->elf;
	struct stack_args stack = {
		.strings = plan->strings,
		.filename = filename,
		.auxv_count = MM_AUXV_MAX, /* at most, until it is known */
	};
	struct elf_mapped program, interp;
	struct mm_layout layout;
	u64 top, vdso = 0;
	int err;

	err = random_pad(&stack.random_pad);
	if (!err)
		err = mm_setup_stack(s, image->exec_stack, stack_size(&stack), &top);
	if (!err)
		err = map_images(s, plan, &program, &interp);
	if (!err)
		err = vdso_map(s, &vdso);
	if (err)
		return err;
	set_brk(s, plan, &program);
	layout = mm_layout(s->mm);
	layout.start_code = program.start_code;
	layout.end_code = program.end_code;
	layout.start_data = program.start_data;
	layout.end_data = program.end_data;
	fill_auxv(s, &stack, plan, &program, &interp, vdso, secure);
	err = stack_build(s, &stack, top, &layout);
	if (err)
		return err;
	mm_set_layout(s->mm, &layout);
	mm_set_auxv(s->mm, stack.auxv, stack.auxv_count);
	mm_set_exe(s->mm, &plan->program->mappable);
	*ret_regs = (struct guest_regs){
		.rip = interp.entry,
		.rsp = layout.start_stack,
		.cs = USER_CS,
		.ss = USER_SS,
		.eflags = EFLAGS_IF | EFLAGS_FIXED,
		.orig_rax = UINT64_MAX,
	};
	return 0;
}
