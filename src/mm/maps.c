/*
 * The text of /proc/PID/maps, exactly as Linux prints it, and of smaps and numa_maps, which say
 * more of each mapping. Files are described without locks, so the VMAs are looked at a few at a
 * time; like in Linux, what is mapped meanwhile may or may not be shown.
 */

#include "mm/impl.h"

#include <errno.h>
#include <stdlib.h>

#include "base/strbuf.h"

#define MAPS_BATCH 16
/* Where names begin: 25 columns and six hexadecimal digits a byte of a pointer. */
#define MAPS_NAME_COLUMN (25 + sizeof(u64) * 6 - 1)

struct vma_view {
	u64 start, end, offset;
	u32 flags;
	u32 name;
	struct mappable *file; /* with a reference */
	bool heap, stack;
};

/* Look at up to MAPS_BATCH VMAs that end above *at, and move *at past them. */
static unsigned int maps_take(struct mm *mm, u64 *at, struct vma_view *views)
{
	const struct mm_layout *l = &mm->layout;
	unsigned int n = 0;
	const struct vma *v;

	spin_lock(&mm->vmas_lock, &lc_vmas);
	for (v = vma_find(&mm->tree, *at); v && n < MAPS_BATCH; v = vma_next(&mm->tree, v)) {
		views[n++] = (struct vma_view){
			.start = v->start,
			.end = v->end,
			.offset = v->file && v->name == VMA_NAME_NONE ? v->offset : 0,
			.flags = v->flags,
			.name = v->name,
			.file = v->file,
			.heap = v->start < mm->brk && v->end > l->start_brk,
			.stack = v->start <= l->start_stack && v->end >= l->start_stack,
		};
		if (v->file)
			v->file->ops->get(v->file);
		*at = v->end;
	}
	spin_unlock(&mm->vmas_lock, &lc_vmas);
	return n;
}

static void maps_describe(const struct vma_view *v, u32 *ret_major, u32 *ret_minor, u64 *ret_ino,
			  struct strbuf *ret_path)
{
	*ret_major = *ret_minor = 0;
	*ret_ino = 0;
	if (v->name == VMA_NAME_VDSO)
		strbuf_puts(ret_path, "[vdso]");
	else if (v->name == VMA_NAME_VVAR)
		strbuf_puts(ret_path, "[vvar]");
	else if (v->file)
		v->file->ops->describe(v->file, ret_major, ret_minor, ret_ino, ret_path);
	else if (v->heap)
		strbuf_puts(ret_path, "[heap]");
	else if (v->stack)
		strbuf_puts(ret_path, "[stack]");
}

/* A newline in a name would look like the end of an entry. */
static void maps_put_name(struct strbuf *out, const struct strbuf *name)
{
	for (size_t i = 0; i < name->length; i++) {
		if (name->data[i] == '\n')
			strbuf_puts(out, "\\012");
		else
			strbuf_putc(out, name->data[i]);
	}
}

static void maps_format_one(const struct vma_view *v, struct strbuf *out, struct strbuf *name)
{
	size_t line = out->length;
	u32 major, minor;
	u64 ino;

	strbuf_reset(name);
	maps_describe(v, &major, &minor, &ino, name);
	strbuf_printf(out, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu ", v->start, v->end,
		      v->flags & VMA_READ ? 'r' : '-', v->flags & VMA_WRITE ? 'w' : '-',
		      v->flags & VMA_EXEC ? 'x' : '-', v->flags & VMA_SHARED ? 's' : 'p', v->offset,
		      major, minor, ino);
	if (name->length) {
		while (out->length - line < MAPS_NAME_COLUMN && !strbuf_error(out))
			strbuf_putc(out, ' ');
		strbuf_putc(out, ' ');
		maps_put_name(out, name);
	}
	strbuf_putc(out, '\n');
}

/* Call fn for each mapping; stops at an error of out. */
typedef void maps_fn(const struct vma_view *v, struct strbuf *out, struct strbuf *name, void *arg);

static int maps_for_each(struct mm *mm, maps_fn *fn, void *arg, struct strbuf *out)
{
	struct vma_view views[MAPS_BATCH];
	struct strbuf name;
	unsigned int n;
	u64 at = 0;

	strbuf_init(&name, 1 << 16);
	while ((n = maps_take(mm, &at, views))) {
		for (unsigned int i = 0; i < n; i++) {
			fn(&views[i], out, &name, arg);
			if (views[i].file)
				views[i].file->ops->put(views[i].file);
		}
		if (strbuf_error(out))
			break;
	}
	strbuf_fini(&name);
	return strbuf_error(out);
}

static void maps_one(const struct vma_view *v, struct strbuf *out, struct strbuf *name, void *arg)
{
	maps_format_one(v, out, name);
}

int mm_format_maps(struct mm *mm, struct strbuf *out)
{
	return maps_for_each(mm, maps_one, NULL, out);
}

/* ---- what is in memory ---- */

#define RANGES_MAX (4 * VMA_COUNT_MAX)

/* The host's ranges, in order of address. */
struct ranges {
	struct pf_range_usage *range;
	size_t count, room;
	size_t at; /* the first that may overlap the next mapping */
	struct pf_range_usage sum; /* of all mappings; start and end: where they lie */
	u64 locked; /* of the sum */
};

static void ranges_add(const struct pf_range_usage *u, void *arg)
{
	struct ranges *r = arg;

	if (r->count == r->room) {
		size_t room = r->room ? 2 * r->room : 64;
		void *bigger =
			room > RANGES_MAX ? NULL : realloc(r->range, room * sizeof(r->range[0]));

		if (!bigger)
			return;
		r->range = bigger;
		r->room = room;
	}
	r->range[r->count++] = *u;
}

static u64 share_of(u64 bytes, u64 part, u64 whole)
{
	return part == whole ? bytes : (u64)((unsigned __int128)bytes * part / whole) & PAGE_MASK;
}

/* Add that share of more which part bytes of it have, in whole pages, to sum. */
static void usage_add(struct pf_range_usage *sum, const struct pf_range_usage *more, u64 part)
{
	u64 whole = more->end - more->start;

	sum->rss += share_of(more->rss, part, whole);
	sum->pss += share_of(more->pss, part, whole);
	sum->shared_clean += share_of(more->shared_clean, part, whole);
	sum->shared_dirty += share_of(more->shared_dirty, part, whole);
	sum->private_clean += share_of(more->private_clean, part, whole);
	sum->private_dirty += share_of(more->private_dirty, part, whole);
	sum->referenced += share_of(more->referenced, part, whole);
	sum->anonymous += share_of(more->anonymous, part, whole);
	sum->anon_huge += share_of(more->anon_huge, part, whole);
	sum->swap += share_of(more->swap, part, whole);
}

/* What of [start, end) is in memory. Ranges are asked for in ascending order. */
static struct pf_range_usage ranges_sum(struct ranges *r, u64 start, u64 end)
{
	struct pf_range_usage sum = { .start = start, .end = end };

	while (r->at < r->count && r->range[r->at].end <= start)
		r->at++;
	for (size_t i = r->at; i < r->count && r->range[i].start < end; i++) {
		const struct pf_range_usage *u = &r->range[i];

		usage_add(&sum, u, min(u->end, end) - max(u->start, start));
	}
	return sum;
}

#define KB(bytes) ((bytes) / 1024)

static void smaps_put_usage(const struct pf_range_usage *u, bool rollup, struct strbuf *out)
{
	u64 dirty = min(u->private_dirty + u->shared_dirty, u->pss);

	strbuf_printf(out, "Rss:            %8lu kB\nPss:            %8lu kB\n", KB(u->rss),
		      KB(u->pss));
	strbuf_printf(out, "Pss_Dirty:      %8lu kB\n", KB(dirty));
	if (rollup)
		strbuf_printf(out,
			      "Pss_Anon:       %8lu kB\nPss_File:       %8lu kB\n"
			      "Pss_Shmem:      %8lu kB\n",
			      KB(min(u->anonymous, u->pss)), KB(u->pss - min(u->anonymous, u->pss)),
			      0UL);
	strbuf_printf(out, "Shared_Clean:   %8lu kB\nShared_Dirty:   %8lu kB\n",
		      KB(u->shared_clean), KB(u->shared_dirty));
	strbuf_printf(out, "Private_Clean:  %8lu kB\nPrivate_Dirty:  %8lu kB\n",
		      KB(u->private_clean), KB(u->private_dirty));
	strbuf_printf(out, "Referenced:     %8lu kB\nAnonymous:      %8lu kB\n", KB(u->referenced),
		      KB(u->anonymous));
	strbuf_printf(out, "LazyFree:       %8lu kB\nAnonHugePages:  %8lu kB\n", 0UL,
		      KB(u->anon_huge));
	strbuf_puts(out, "ShmemPmdMapped:        0 kB\nFilePmdMapped:         0 kB\n"
			 "Shared_Hugetlb:        0 kB\nPrivate_Hugetlb:       0 kB\n");
	strbuf_printf(out, "Swap:           %8lu kB\nSwapPss:        %8lu kB\n", KB(u->swap),
		      KB(u->swap));
}

static void smaps_put_flags(u32 flags, struct strbuf *out)
{
	static const struct {
		u32 flag;
		char name[3];
	} names[] = {
		{ VMA_READ, "rd" },	 { VMA_WRITE, "wr" },	    { VMA_EXEC, "ex" },
		{ VMA_SHARED, "sh" },	 { VMA_MAYREAD, "mr" },	    { VMA_MAYWRITE, "mw" },
		{ VMA_MAYEXEC, "me" },	 { VMA_SHARED, "ms" },	    { VMA_GROWSDOWN, "gd" },
		{ VMA_LOCKED, "lo" },	 { VMA_SEQUENTIAL, "sr" },  { VMA_RANDOM, "rr" },
		{ VMA_DONTFORK, "dc" },	 { VMA_DONTEXPAND, "de" },  { VMA_ACCOUNT, "ac" },
		{ VMA_NORESERVE, "nr" }, { VMA_LOCKONFAULT, "lf" }, { VMA_WIPEONFORK, "wf" },
		{ VMA_DONTDUMP, "dd" },	 { VMA_HUGEPAGE, "hg" },    { VMA_NOHUGEPAGE, "nh" },
		{ VMA_MERGEABLE, "mg" },
	};

	strbuf_puts(out, "VmFlags: ");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (flags & names[i].flag)
			strbuf_printf(out, "%s ", names[i].name);
	strbuf_putc(out, '\n');
}

static void smaps_one(const struct vma_view *v, struct strbuf *out, struct strbuf *name, void *arg)
{
	struct pf_range_usage u = ranges_sum(arg, v->start, v->end);

	maps_format_one(v, out, name);
	strbuf_printf(out, "Size:           %8lu kB\n", KB(v->end - v->start));
	strbuf_puts(out, "KernelPageSize:        4 kB\nMMUPageSize:           4 kB\n");
	smaps_put_usage(&u, false, out);
	strbuf_printf(out, "Locked:         %8lu kB\n", v->flags & VMA_LOCKED ? KB(u.pss) : 0UL);
	strbuf_puts(out, "THPeligible:    0\n");
	smaps_put_flags(v->flags, out);
}

static void rollup_one(const struct vma_view *v, struct strbuf *out, struct strbuf *name, void *arg)
{
	struct ranges *r = arg;
	struct pf_range_usage u = ranges_sum(r, v->start, v->end);

	if (!r->sum.end)
		r->sum.start = v->start;
	usage_add(&r->sum, &u, v->end - v->start);
	r->sum.end = v->end;
	if (v->flags & VMA_LOCKED)
		r->locked += u.pss;
}

int mm_format_smaps(struct mm *mm, bool rollup, struct strbuf *out)
{
	struct ranges r = {};
	int err;

	/* A dead space has nothing in memory. */
	(void)!pf_space_ranges(mm->space, ranges_add, &r);
	err = maps_for_each(mm, rollup ? rollup_one : smaps_one, &r, out);
	if (!err && rollup && r.sum.end) {
		strbuf_printf(out, "%08lx-%08lx ---p 00000000 00:00 0 %*s [rollup]\n", r.sum.start,
			      r.sum.end, 25, "");
		smaps_put_usage(&r.sum, true, out);
		strbuf_printf(out, "Locked:         %8lu kB\n", KB(r.locked));
		err = strbuf_error(out);
	}
	free(r.range);
	return err;
}

/* ---- numa_maps: all is on node 0 ---- */

static void numa_one(const struct vma_view *v, struct strbuf *out, struct strbuf *name, void *arg)
{
	struct pf_range_usage u = ranges_sum(arg, v->start, v->end);
	u64 pages = u.rss >> PAGE_SHIFT, anon = u.anonymous >> PAGE_SHIFT;
	u32 major, minor;
	u64 ino;

	strbuf_reset(name);
	maps_describe(v, &major, &minor, &ino, name);
	strbuf_printf(out, "%08lx default", v->start);
	if (v->file && name->length) {
		strbuf_puts(out, " file=");
		maps_put_name(out, name);
	} else if (v->heap || v->stack) {
		strbuf_puts(out, v->heap ? " heap" : " stack");
	}
	if (anon)
		strbuf_printf(out, " anon=%lu dirty=%lu", anon, anon);
	else if (pages)
		strbuf_printf(out, " mapped=%lu", pages);
	if (pages)
		strbuf_printf(out, " N0=%lu kernelpagesize_kB=4", pages);
	strbuf_putc(out, '\n');
}

int mm_format_numa_maps(struct mm *mm, struct strbuf *out)
{
	struct ranges r = {};
	int err;

	(void)!pf_space_ranges(mm->space, ranges_add, &r);
	err = maps_for_each(mm, numa_one, &r, out);
	free(r.range);
	return err;
}
