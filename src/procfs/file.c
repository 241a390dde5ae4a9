/*
 * Files whose contents a function prints. A read at the start prints anew; later ones go on in that
 * text, so that a reader in pieces sees one state. The text is kept with the open file.
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "host/budget.h"
#include "kernel/task.h"
#include "procfs/internal.h"

#define TEXT_MAX (32u << 20)
#define STORE_MAX 4096

struct proc_text {
	struct mutex lock; /* class lc_inode */
	char *data; /* [lock] owned */
	size_t size; /* [lock] */
	u32 exec_id; /* [I] of the task when a guarded file was opened */
};

SLAB_CLASS(proc_text, struct proc_text, TRANSIENT(struct proc_text, lock.owner));

static u32 exec_id_of(const struct task *t)
{
	u32 id;

	tasks_lock();
	id = t->self_exec_id;
	tasks_unlock();
	return id;
}

/*
 * What was printed may be of another program than that which the opener might look into. Of the
 * address space that was meant then nothing is left; for other files the right is asked for again.
 */
static int check_exec(const struct proc_ctx *ctx, const struct proc_text *t, struct strbuf *out)
{
	if (!ctx->row->guarded || exec_id_of(ctx->task) == t->exec_id)
		return 0;
	if (!ctx->row->space)
		return proc_check_access(ctx);
	strbuf_reset(out);
	return 0;
}

/* Print anew; no lock is held meanwhile but the position's. */
static int print(struct subject *s, struct file *f, const struct proc_text *t, char **ret_data,
		 size_t *ret_size)
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
	if (!err)
		err = check_exec(&ctx, t, &out);
	if (!err) {
		*ret_data = arena_memdup(strbuf_str(&out), out.length + 1);
		*ret_size = out.length;
		err = *ret_data ? 0 : -ENOMEM;
	}
	strbuf_fini(&out);
	return err;
}

/* The text counts as memory that the guest has: it can keep as many as it has descriptors. */
static int refresh(struct subject *s, struct file *f, struct proc_text *t)
{
	size_t size, old_size;
	char *data, *old;
	int err = print(s, f, t, &data, &size);

	if (err)
		return err;
	if (!host_memory_charge(size)) {
		arena_free(data);
		return -ENOMEM;
	}
	mutex_lock(&t->lock, &lc_inode);
	old = t->data;
	old_size = t->size;
	t->data = data;
	t->size = size;
	mutex_unlock(&t->lock, &lc_inode);
	arena_free(old);
	host_memory_recharge(old_size, 0);
	return 0;
}

/* The text belongs to the file, made at its first read, or when it is opened. */
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

int proc_open_text(struct proc_ctx *ctx, struct file *f)
{
	struct proc_text *t;

	f->ops = OPS(proc_file_ops);
	if (!ctx->row->guarded)
		return 0;
	t = text_of(f);
	if (!t)
		return -ENOMEM;
	t->exec_id = exec_id_of(ctx->task);
	return 0;
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
	host_memory_recharge(t->size, 0);
	slab_free(&slab_proc_text, t);
}

DEFINE_OPS(struct file_ops, proc_file_ops) = {
	.read = proc_read,
	.write = proc_write,
	.lseek = proc_lseek,
	.release = proc_release,
};
