/* Fuzz what decides about a program file: "#!" lines and ELF headers. What passes must keep the
 * promises of elf.h. */

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/types.h"
#include "loader/elf.h"
#include "loader/script.h"

#define LIMIT 0x7fff'ffff'f000UL

struct buffer_source {
	struct elf_source source;
	const char *data;
	size_t size;
};

static int buffer_read(struct elf_source *src, void *buf, size_t size, u64 offset)
{
	const struct buffer_source *b = container_of(src, struct buffer_source, source);

	if (offset > INT64_MAX)
		abort(); /* no file has that */
	if (offset > b->size || size > b->size - offset)
		return -5;
	memcpy(buf, b->data + offset, size);
	return 0;
}

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_segment(const struct elf_image *image, const struct elf_segment *s)
{
	check(s->filesz <= s->memsz);
	check(s->vaddr <= LIMIT && s->memsz <= LIMIT - s->vaddr);
	check(page_down(s->vaddr) >= image->low && page_up(s->vaddr + s->memsz) <= image->high);
	check(!s->filesz || ((s->vaddr ^ s->offset) & ~PAGE_MASK) == 0);
	check(!s->filesz || s->offset + s->filesz + PAGE_SIZE <= INT64_MAX);
	check(s->prot <= 7);
}

static void fuzz_elf(const char *data, size_t size)
{
	struct buffer_source src = { .source.read = buffer_read, .data = data, .size = size };
	struct elf_image image;
	char interp[PATH_MAX];

	if (elf_parse(&src.source, data, size < 4096 ? size : 4096, LIMIT, &image))
		return;
	check(image.segment_count <= ELF_PHNUM_MAX && image.phnum <= ELF_PHNUM_MAX);
	if (image.interp_size) {
		check(image.interp_size >= 2 && image.interp_size <= PATH_MAX);
		if (!elf_read_interp(&src.source, &image, interp))
			check(strlen(interp) < image.interp_size);
	}
	if (image.late_error)
		return;
	check(image.segment_count && image.low < image.high + PAGE_SIZE && image.high <= LIMIT);
	check(image.align >= PAGE_SIZE && !(image.align & (image.align - 1)));
	check(image.entry < LIMIT);
	for (u32 i = 0; i < image.segment_count; i++)
		check_segment(&image, &image.segment[i]);
}

static void fuzz_script(const char *data, size_t size)
{
	char *line = calloc(1, SCRIPT_LINE_MAX); /* on the heap, so that its bounds are watched */
	struct script_line l;

	check(line);
	memcpy(line, data, size < SCRIPT_LINE_MAX ? size : SCRIPT_LINE_MAX);
	if (!script_parse(line, &l)) {
		check(l.interp_len > 0 && l.interp >= line + 2);
		check(l.interp + l.interp_len <= line + SCRIPT_LINE_MAX);
		check(!memchr(l.interp, '\n', l.interp_len) &&
		      !memchr(l.interp, '\0', l.interp_len));
		check(!l.arg || (l.arg > l.interp && l.arg + l.arg_len <= line + SCRIPT_LINE_MAX));
	}
	free(line);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	fuzz_elf((const char *)data, size);
	fuzz_script((const char *)data, size);
	return 0;
}
