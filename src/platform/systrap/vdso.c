/* See vdso.h. The vdso is the host's own and well formed; but nothing here trusts it beyond its
 * mapping. */

#include "platform/systrap/vdso.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "host/host.h"
#include "platform/systrap/internal.h"

#define MAPS_SIZE (1U << 20)

/* The first address of a line "START-END PERMS ... [NAME]" if it names a piece of the vdso; or 0.
 */
static bool parse_line(const char *line, struct stub_piece *ret)
{
	char *end;
	u64 start, stop;

	if (!strstr(line, "[vdso]") && !strstr(line, "[vvar"))
		return false;
	start = strtoull(line, &end, 16);
	if (*end != '-')
		return false;
	stop = strtoull(end + 1, &end, 16);
	if (stop <= start)
		return false;
	*ret = (struct stub_piece){ .start = start, .size = stop - start };
	return true;
}

unsigned int vdso_pieces(struct stub_piece *ret, unsigned int max, u64 dest, u64 size)
{
	char *maps = malloc(MAPS_SIZE), *line, *rest;
	unsigned int count = 0;
	bool fits = true;

	if (!maps || proc_read("self/maps", maps, MAPS_SIZE) <= 0) {
		free(maps);
		return 0;
	}
	rest = maps;
	while (count < max && (line = strsep(&rest, "\n")))
		if (parse_line(line, &ret[count]))
			count++;
	free(maps);
	for (unsigned int i = 0; i < count; i++)
		fits = fits && ret[i].start + ret[i].size - ret[0].start <= size;
	for (unsigned int i = 0; i < count; i++)
		ret[i].dest = fits ? dest + (ret[i].start - ret[0].start) : 0;
	return count;
}

u64 vdso_lowest(void)
{
	struct stub_piece pieces[4];

	return vdso_pieces(pieces, ARRAY_SIZE(pieces), 0, 0) ? pieces[0].start : 0;
}

/* ---- symbols ---- */

struct vdso_image {
	u64 start, size; /* the mapping */
	u64 bias; /* address = value + bias */
	const Elf64_Sym *symbols;
	const char *strings;
	u32 symbol_count;
};

static u32 gnu_hash_symbols(const u32 *hash)
{
	u32 buckets = hash[0], first = hash[1], bloom = hash[2], last = 0;
	const u32 *bucket = hash + 4 + bloom * 2, *chain = bucket + buckets;

	for (u32 i = 0; i < buckets; i++)
		last = max(last, bucket[i]);
	if (last < first)
		return first;
	while (!(chain[last - first] & 1))
		last++;
	return last + 1;
}

static bool parse_image(struct vdso_image *v)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)v->start; /* NOLINT */
	const Elf64_Phdr *ph = (const Elf64_Phdr *)(v->start + eh->e_phoff); /* NOLINT */
	const Elf64_Dyn *dyn = NULL;
	u64 load = 0;

	for (int i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD)
			load = ph[i].p_vaddr - ph[i].p_offset;
		else if (ph[i].p_type == PT_DYNAMIC)
			dyn = (const Elf64_Dyn *)(v->start + ph[i].p_offset); /* NOLINT */
	}
	v->bias = v->start - load;
	for (; dyn && dyn->d_tag != DT_NULL; dyn++) {
		u64 at = dyn->d_un.d_ptr + v->bias;

		if (dyn->d_tag == DT_SYMTAB)
			v->symbols = (const Elf64_Sym *)at; /* NOLINT */
		else if (dyn->d_tag == DT_STRTAB)
			v->strings = (const char *)at; /* NOLINT */
		else if (dyn->d_tag == DT_HASH)
			v->symbol_count = ((const u32 *)at)[1]; /* NOLINT */
		else if (dyn->d_tag == DT_GNU_HASH && !v->symbol_count)
			v->symbol_count = gnu_hash_symbols((const u32 *)at); /* NOLINT */
	}
	return v->symbols && v->strings && v->symbol_count;
}

static u64 find_symbol(const struct vdso_image *v, const char *name)
{
	for (u32 i = 0; i < v->symbol_count; i++)
		if (v->symbols[i].st_shndx != SHN_UNDEF &&
		    !strcmp(v->strings + v->symbols[i].st_name, name))
			return v->symbols[i].st_value + v->bias - v->start;
	return 0;
}

static u64 address_in_stub(const struct vdso_image *v, u64 dest, const char *name)
{
	u64 offset = find_symbol(v, name);

	return offset ? dest + offset : 0;
}

void vdso_find(struct pf_host_vdso *ret, const struct stub_piece *pieces, unsigned int count)
{
	struct vdso_image v = { .start = getauxval(AT_SYSINFO_EHDR) };
	u64 dest = 0;

	*ret = (struct pf_host_vdso){};
	for (unsigned int i = 0; i < count; i++)
		if (pieces[i].start == v.start) {
			dest = pieces[i].dest ? pieces[i].dest : pieces[i].start;
			v.size = pieces[i].size;
		}
	if (!dest || !parse_image(&v))
		return;
	ret->clock_gettime = address_in_stub(&v, dest, "__vdso_clock_gettime");
	ret->gettimeofday = address_in_stub(&v, dest, "__vdso_gettimeofday");
	ret->time = address_in_stub(&v, dest, "__vdso_time");
	ret->clock_getres = address_in_stub(&v, dest, "__vdso_clock_getres");
	ret->getcpu = address_in_stub(&v, dest, "__vdso_getcpu");
}
