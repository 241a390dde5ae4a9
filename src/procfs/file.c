/*
 * Files whose contents a function prints. A read at the start prints anew; later ones go on in that
 * text, so that a reader in pieces sees one state. The text is kept with the open file.
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "procfs/internal.h"

#define TEXT_MAX (32u << 20)
#define STORE_MAX 4096

struct proc_text {
	struct mutex lock; /* class lc_inode */
	char *data; /* [lock] owned */
	size_t size; /* [lock] */
};

SLAB_CLASS(proc_text, struct proc_text, TRANSIENT(struct proc_text, lock.owner));

/* Print anew; no lock is held meanwhile but the position's. */
static int print(struct subject *s, struct file *f, char **ret_data, size_t *ret_size)
{
	const struct proc_node *n = f->inode->private;
	const struct proc_row *row = proc_row_of(n);
	struct proc_ctx ctx;
	struct strbuf out;
	int err;

	err = proc_ctx_init(&ctx, s, n);
	if (err)
		return err;
	strbuf_init(&out, TEXT_MAX);
	if (row->show)
		err = row->show(s, &ctx, &out);
	else
		strbuf_puts(&out, row->text);
	if (!err)
		err = strbuf_error(&out);
	if (!err) {
		*ret_data = arena_memdup(strbuf_str(&out), out.length + 1);
		*ret_size = out.length;
		err = *ret_data ? 0 : -ENOMEM;
	}
	strbuf_fini(&out);
	return err;
}

static int refresh(struct subject *s, struct file *f, struct proc_text *t)
{
	char *data, *old;
	size_t size;
	int err = print(s, f, &data, &size);

	if (err)
		return err;
	mutex_lock(&t->lock, &lc_inode);
	old = t->data;
	t->data = data;
	t->size = size;
	mutex_unlock(&t->lock, &lc_inode);
	arena_free(old);
	return 0;
}

/* The text belongs to the file, made at its first read. */
static struct proc_text *text_of(struct file *f)
{
	struct proc_text *t = __atomic_load_n(&f->private, __ATOMIC_ACQUIRE), *new;
	void *none = NULL;

	if (t)
		return t;
	new = slab_alloc(&slab_proc_text);
	if (!new)
		return NULL;
	mutex_init(&new->lock);
	if (__atomic_compare_exchange_n(&f->private, &none, (void *)new, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return new;
	slab_free(&slab_proc_text, new);
	return none;
}

static ssize_t proc_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	struct proc_text *t = text_of(f);
	const struct proc_row *row = proc_row_of(f->inode->private);
	ssize_t n = 0;

	if (!t)
		return -ENOMEM;
	if (*pos < 0 || (!row->show && !row->text))
		return -EINVAL;
	if (*pos == 0 || !__atomic_load_n(&t->data, __ATOMIC_RELAXED))
		n = refresh(s, f, t);
	if (n)
		return n;
	mutex_lock(&t->lock, &lc_inode);
	if ((u64)*pos < t->size)
		n = uio_copy_to(to, t->data + *pos, (size_t)min(to->left, t->size - (u64)*pos));
	mutex_unlock(&t->lock, &lc_inode);
	if (n > 0)
		*pos += n;
	return n;
}

static ssize_t proc_write(struct subject *s, struct file *f, struct uio *from, s64 *pos)
{
	const struct proc_node *n = f->inode->private;
	char data[STORE_MAX + 1];
	struct proc_ctx ctx;
	ssize_t size;
	int err;

	if (!proc_row_of(n)->store)
		return -EIO;
	if (from->left > STORE_MAX)
		return -EINVAL;
	err = proc_ctx_init(&ctx, s, n);
	if (err)
		return err;
	size = uio_copy_from(from, data, (size_t)from->left);
	if (size < 0)
		return size;
	data[size] = '\0';
	err = proc_row_of(n)->store(s, &ctx, data, (size_t)size);
	if (err)
		return err;
	*pos += size;
	return size;
}

static s64 proc_lseek(struct subject *s, struct file *f, s64 off, int whence)
{
	if (whence == SEEK_CUR && __builtin_add_overflow(off, f->pos, &off))
		return -EINVAL;
	if ((whence != SEEK_SET && whence != SEEK_CUR) || off < 0)
		return -EINVAL;
	return off;
}

static void proc_release(struct file *f)
{
	struct proc_text *t = f->private;

	if (!t)
		return;
	arena_free(t->data);
	slab_free(&slab_proc_text, t);
}

DEFINE_OPS(struct file_ops, proc_file_ops) = {
	.read = proc_read,
	.write = proc_write,
	.lseek = proc_lseek,
	.release = proc_release,
};
