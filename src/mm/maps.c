/*
 * The text of /proc/PID/maps, exactly as Linux prints it. Files are described without locks, so the
 * VMAs are looked at a few at a time; like in Linux, what is mapped meanwhile may or may not be
 * shown.
 */

#include "mm/impl.h"

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

int mm_format_maps(struct mm *mm, struct strbuf *out)
{
	struct vma_view views[MAPS_BATCH];
	struct strbuf name;
	unsigned int n;
	u64 at = 0;

	strbuf_init(&name, 1 << 16);
	while ((n = maps_take(mm, &at, views))) {
		for (unsigned int i = 0; i < n; i++) {
			maps_format_one(&views[i], out, &name);
			if (views[i].file)
				views[i].file->ops->put(views[i].file);
		}
		if (strbuf_error(out))
			break;
	}
	strbuf_fini(&name);
	return strbuf_error(out);
}
