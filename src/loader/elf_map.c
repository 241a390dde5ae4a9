/*
 * Map the segments of an ELF file. Each takes one map operation for what the file has, and if there
 * is more memory than file (.bss), one to clear the rest of the last page and one for whole pages.
 */

#include <errno.h>
#include <sys/mman.h>

#include "loader/internal.h"

static int map_fixed(struct subject *s, struct file *file, u64 addr, u64 size, int prot, int flags,
		     u64 offset)
{
	const struct mmap_args args = {
		.addr = addr,
		.size = size,
		.prot = prot,
		.flags = flags | MAP_PRIVATE | (file ? 0 : MAP_ANONYMOUS),
		.file = file ? &file->mappable : NULL,
		.offset = offset,
		.max_prot = PROT_READ | PROT_EXEC,
	};
	u64 at;

	return mm_mmap(s, &args, &at);
}

/* Memory beyond the file's part: [start, end), of which the rest of start's page is mapped if the
 * file has a part. */
static int map_bss(struct subject *s, u64 start, u64 end, u32 prot, bool has_file)
{
	u64 first = page_up(start), last = page_up(end);
	int err;

	if (has_file && first != start) {
		/* As in Linux, a segment that cannot be written keeps what the file has there. */
		err = prot & PROT_WRITE ? clear_out(s, UADDR(start), first - start) : 0;
		if (err)
			return err;
	}
	if (last <= first)
		return 0;
	return map_fixed(s, NULL, first, last - first,
			 PROT_READ | PROT_WRITE | (int)(prot & PROT_EXEC), MAP_FIXED, 0);
}

static int map_segment(struct subject *s, struct file *file, const struct elf_segment *seg,
		       u64 bias, int flags)
{
	u64 vaddr = seg->vaddr + bias, in_page = vaddr & ~PAGE_MASK;
	int err = 0;

	if (seg->filesz)
		err = map_fixed(s, file, vaddr - in_page, page_up(seg->filesz + in_page),
				(int)seg->prot, flags, seg->offset - in_page);
	if (!err && seg->memsz > seg->filesz)
		err = map_bss(s, vaddr + seg->filesz, vaddr + seg->memsz, seg->prot, seg->filesz);
	return err;
}

/* Note what /proc shows of it. */
static void note_bounds(struct elf_mapped *m, const struct elf_segment *seg)
{
	u64 start = seg->vaddr + m->bias;

	if (seg->prot & PROT_EXEC) {
		m->start_code = min(m->start_code, start);
		m->end_code = max(m->end_code, start + seg->filesz);
	}
	m->start_data = max(m->start_data, start);
	m->end_data = max(m->end_data, start + seg->filesz);
	m->end = max(m->end, start + seg->memsz);
}

/* Choose what to add to the addresses of an ET_DYN object. */
static int pick_bias(struct subject *s, const struct elf_image *image, bool low_program, u64 *ret)
{
	u64 low = align_down(image->low, image->align), base;

	base = mm_pick_dyn_base(s->mm, low_program, image->high - low, image->align);
	if (!base)
		return -ENOMEM;
	*ret = base - low;
	return 0;
}

int elf_map(struct subject *s, struct file *file, const struct elf_image *image, bool low_program,
	    struct elf_mapped *ret)
{
	struct elf_mapped m = { .start_code = UINT64_MAX };
	int err = image->late_error, flags = MAP_FIXED_NOREPLACE;

	if (!err && image->dyn)
		err = pick_bias(s, image, low_program, &m.bias);
	for (u32 i = 0; i < image->segment_count && !err; i++) {
		err = map_segment(s, file, &image->segment[i], m.bias, flags);
		note_bounds(&m, &image->segment[i]);
		/* Later segments may share a page with earlier ones. */
		flags = MAP_FIXED;
	}
	if (err)
		return err;
	m.entry = image->entry + m.bias;
	*ret = m;
	return 0;
}
