/* ELF headers of hostile files. Sources: elf(5); the System V ABI; Linux 6.1, fs/binfmt_elf.c, for
 * what is refused. */

#include "loader/elf.h"

#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>

static int elf_check_header(const Elf64_Ehdr *h)
{
	if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return -ENOEXEC;
	if (h->e_machine != EM_X86_64)
		return -ENOEXEC;
	if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0 || h->e_phnum > ELF_PHNUM_MAX)
		return -ENOEXEC;
	return 0;
}

/* Get the program headers, from the part that was read already if they lie there. */
static int elf_read_phdrs(struct elf_source *src, const void *head, size_t head_size,
			  const Elf64_Ehdr *h, Elf64_Phdr *ret)
{
	size_t size = h->e_phnum * sizeof(*ret);

	if (h->e_phoff <= head_size && size <= head_size - h->e_phoff) {
		memcpy(ret, (const char *)head + h->e_phoff, size);
		return 0;
	}
	if (h->e_phoff > (u64)INT64_MAX - size)
		return -ENOEXEC;
	return src->read(src, ret, size, h->e_phoff) ? -ENOEXEC : 0;
}

static u32 elf_prot(u32 flags)
{
	return (flags & PF_R ? PROT_READ : 0u) | (flags & PF_W ? PROT_WRITE : 0u) |
	       (flags & PF_X ? PROT_EXEC : 0u);
}

/* What Linux finds out when it maps the segment. */
static bool elf_segment_bad(const Elf64_Phdr *p, u64 limit)
{
	if (p->p_vaddr >= limit || p->p_filesz > p->p_memsz || p->p_memsz > limit ||
	    p->p_vaddr > limit - p->p_memsz || page_up(p->p_vaddr + p->p_memsz) > limit)
		return true;
	if (p->p_filesz && (p->p_vaddr ^ p->p_offset) & ~PAGE_MASK)
		return true;
	return p->p_offset > INT64_MAX || p->p_filesz > INT64_MAX - PAGE_SIZE - p->p_offset;
}

static void elf_add_segment(struct elf_image *image, const Elf64_Ehdr *h, const Elf64_Phdr *p,
			    u64 limit)
{
	struct elf_segment *seg = &image->segment[image->segment_count++];

	if (elf_segment_bad(p, limit)) {
		image->late_error = -EINVAL;
		return;
	}
	*seg = (struct elf_segment){
		.vaddr = p->p_vaddr,
		.filesz = p->p_filesz,
		.memsz = p->p_memsz,
		.offset = p->p_offset,
		.prot = elf_prot(p->p_flags),
	};
	image->low = min(image->low, page_down(seg->vaddr));
	image->high = max(image->high, page_up(seg->vaddr + seg->memsz));
	if (h->e_phoff >= seg->offset && h->e_phoff - seg->offset < seg->filesz)
		image->phdr = seg->vaddr + (h->e_phoff - seg->offset);
	/* Those that are no power of two are ignored; those that nothing can satisfy too. */
	if (p->p_align > image->align && !(p->p_align & (p->p_align - 1)) && p->p_align < limit)
		image->align = p->p_align;
}

static int elf_note_interp(struct elf_image *image, const Elf64_Phdr *p)
{
	if (image->interp_size)
		return 0; /* the first one counts */
	if (p->p_filesz < 2 || p->p_filesz > PATH_MAX || p->p_offset > INT64_MAX - PATH_MAX)
		return -ENOEXEC;
	image->interp_offset = p->p_offset;
	image->interp_size = p->p_filesz;
	return 0;
}

int elf_parse(struct elf_source *src, const void *head, size_t head_size, u64 limit,
	      struct elf_image *ret)
{
	Elf64_Phdr phdr[ELF_PHNUM_MAX];
	Elf64_Ehdr h = {};
	int err;

	memcpy(&h, head, min(head_size, sizeof(h)));
	err = elf_check_header(&h);
	if (!err)
		err = elf_read_phdrs(src, head, head_size, &h, phdr);
	if (err)
		return err;
	*ret = (struct elf_image){
		.dyn = h.e_type == ET_DYN,
		.phnum = h.e_phnum,
		.entry = h.e_entry,
		.low = UINT64_MAX,
		.align = PAGE_SIZE,
	};
	for (unsigned int i = 0; i < h.e_phnum && !err; i++) {
		if (phdr[i].p_type == PT_LOAD)
			elf_add_segment(ret, &h, &phdr[i], limit);
		else if (phdr[i].p_type == PT_INTERP)
			err = elf_note_interp(ret, &phdr[i]);
		else if (phdr[i].p_type == PT_GNU_STACK)
			ret->exec_stack = phdr[i].p_flags & PF_X;
	}
	if (!ret->segment_count || ret->entry >= limit)
		ret->late_error = -EINVAL;
	return err;
}

int elf_read_interp(struct elf_source *src, const struct elf_image *image, char *buf)
{
	int err = src->read(src, buf, image->interp_size, image->interp_offset);

	if (err)
		return err;
	return buf[image->interp_size - 1] == '\0' ? 0 : -ENOEXEC;
}
