/* From a place to its name: getcwd, /proc/PID/fd, /proc/PID/maps. */

#include <errno.h>

#include "base/strbuf.h"
#include "vfs/internal.h"

/* The name is built from its end in a buffer. */
struct pathbuf {
	char buf[PATH_MAX_GUEST];
	size_t at; /* the name so far is buf[at..] */
};

static bool prepend(struct pathbuf *b, const char *s, size_t len)
{
	if (len > b->at)
		return false;
	b->at -= len;
	memcpy(b->buf + b->at, s, len);
	return true;
}

/* Prepend the names from *d up to stop or the super's root; *d becomes where it ended (a borrowed
 * pointer). */
static bool prepend_names(struct pathbuf *b, struct dentry *from, struct dentry *stop_a,
			  struct dentry *stop_b, struct dentry **ret_end)
{
	struct dcache *c = &from->sb->dcache;
	struct dentry *d = from;
	bool fits = true;

	spin_lock(&c->lock, &lc_dcache);
	while (fits && d != stop_a && d != stop_b && d->parent) {
		fits = prepend(b, d->name, d->name_len) && prepend(b, "/", 1);
		d = d->parent;
	}
	spin_unlock(&c->lock, &lc_dcache);
	*ret_end = d;
	return fits;
}

int dentry_format(struct dentry *d, struct strbuf *out)
{
	struct pathbuf b = { .at = PATH_MAX_GUEST - 1 };
	struct dentry *end;

	if (!prepend_names(&b, d, NULL, NULL, &end))
		return -ENAMETOOLONG;
	if (d == end)
		strbuf_putc(out, '/');
	else
		strbuf_append(out, b.buf + b.at, PATH_MAX_GUEST - 1 - b.at);
	if (d->dead)
		strbuf_puts(out, "//deleted");
	return strbuf_error(out);
}

int path_format(const struct path *p, const struct path *root, struct strbuf *out)
{
	struct path at = *p;
	struct pathbuf b = { .at = PATH_MAX_GUEST - 1 };
	struct dentry *end;
	bool reached = false;

	if (!at.mnt) {
		strbuf_append(out, at.dentry->name, at.dentry->name_len);
		return strbuf_error(out);
	}
	path_get(&at);
	for (;;) {
		struct dentry *stop = root && at.mnt == root->mnt ? root->dentry : NULL;

		if (!prepend_names(&b, at.dentry, stop, at.mnt->root, &end)) {
			path_put(&at);
			return -ENAMETOOLONG;
		}
		reached = stop && end == stop;
		if (reached || end != at.mnt->root || !path_leave_mount(&at))
			break;
	}
	if (!root)
		reached = true;
	path_put(&at);
	if (!reached)
		strbuf_puts(out, "(unreachable)");
	if (b.at == PATH_MAX_GUEST - 1)
		strbuf_putc(out, '/');
	else
		strbuf_append(out, b.buf + b.at, PATH_MAX_GUEST - 1 - b.at);
	if (p->dentry->dead)
		strbuf_puts(out, " (deleted)");
	return strbuf_error(out);
}
