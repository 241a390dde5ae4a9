/* Decide what an exec will run: through "#!" lines to an ELF program and its interpreter. Nothing
 * is changed yet. */

#include "loader/loader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "arena/arena.h"
#include "cred/rlimit.h"
#include "loader/internal.h"
#include "loader/script.h"
#include "vfs/path.h"

/* How many interpreters may follow each other (Linux's exec_binprm). */
#define SCRIPT_DEPTH_MAX 5
#define HEAD_SIZE PAGE_SIZE
#define ARG_SPACE_MIN (128UL << 10)

struct file_source {
	struct elf_source source;
	struct subject *subject;
	struct file *file;
};

static ssize_t read_some(struct subject *s, struct file *f, void *buf, size_t size, u64 offset)
{
	size_t done = 0;

	while (done < size) {
		s64 pos = (s64)(offset + done);
		struct uio to;
		ssize_t n;

		uio_init_kernel(&to, (char *)buf + done, size - done);
		n = file_read(s, f, &to, &pos);
		if (n < 0)
			return n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int file_source_read(struct elf_source *src, void *buf, size_t size, u64 offset)
{
	struct file_source *f = container_of(src, struct file_source, source);
	ssize_t n = read_some(f->subject, f->file, buf, size, offset);

	if (n < 0)
		return (int)n;
	return (size_t)n == size ? 0 : -EIO;
}

static int open_exec(struct subject *s, const char *path, struct file **ret)
{
	const struct open_how_k how = { .flags = O_RDONLY, .walk = WALK_OPEN_EXEC };

	return vfs_open(s, AT_FDCWD, path, &how, ret);
}

static void put_string(char *buf, size_t *len, const char *s, size_t n)
{
	memcpy(buf + *len, s, n);
	buf[*len + n] = '\0';
	*len += n + 1;
}

/* Put the interpreter, its argument and the script's name in front of the arguments, and open the
 * interpreter. */
static int plan_script(struct subject *s, struct exec_plan *plan, const struct script_line *line,
		       char *name, size_t name_size)
{
	size_t name_len = strnlen(name, name_size - 1), len = 0;
	char *front = arena_alloc(name_len + 2 * SCRIPT_LINE_MAX);
	struct file *interp;
	int err;

	if (!front)
		return -ENOMEM;
	put_string(front, &len, line->interp, line->interp_len);
	if (line->arg)
		put_string(front, &len, line->arg, line->arg_len);
	put_string(front, &len, name, name_len);
	err = exec_strings_replace_first(plan->strings, front, len, line->arg ? 3 : 2);
	if (!err)
		err = open_exec(s, front, &interp);
	if (!err) {
		file_put(plan->program);
		plan->program = interp;
		memcpy(name, front, line->interp_len + 1);
	}
	arena_free(front);
	return err;
}

/* Parse the ELF file whose first bytes are at head; *ret is the caller's. */
static int plan_parse(struct subject *s, struct file *file, const void *head, size_t size,
		      void **ret)
{
	struct file_source src = { .source.read = file_source_read, .subject = s, .file = file };
	struct elf_image *image = arena_alloc(sizeof(*image));
	int err;

	if (!image)
		return -ENOMEM;
	*ret = image;
	err = elf_parse(&src.source, head, size, platform_task_size(), image);
	if (!err && !file->ops->host_fd_get)
		err = -ENOEXEC; /* it cannot be mapped */
	return err;
}

/* Open and parse the interpreter that the program names. head: a buffer of HEAD_SIZE. */
static int plan_interp(struct subject *s, struct exec_plan *plan, char *head)
{
	struct file_source src = { .source.read = file_source_read,
				   .subject = s,
				   .file = plan->program };
	const struct elf_image *image = plan->elf;
	ssize_t n;
	int err;

	_Static_assert(HEAD_SIZE >= PATH_MAX_GUEST, "a name fits into the buffer");
	err = elf_read_interp(&src.source, image, head);
	if (!err)
		err = open_exec(s, head, &plan->interp);
	if (err)
		return err;
	n = read_some(s, plan->interp, head, HEAD_SIZE, 0);
	if (n < 0)
		return (int)n;
	if (n < 64)
		return -EIO; /* not even a header, as Linux has it */
	err = plan_parse(s, plan->interp, head, (size_t)n, &plan->interp_elf);
	return err == -ENOEXEC ? -ELIBBAD : err;
}

/* Follow "#!" lines until something else comes. name: PATH_MAX_GUEST bytes, what execve named. */
static int plan_resolve(struct subject *s, struct exec_plan *plan, char *head, char *name)
{
	for (int depth = 0;; depth++) {
		struct script_line line;
		ssize_t n;
		int err;

		if (depth > SCRIPT_DEPTH_MAX)
			return -ELOOP;
		memset(head, 0, SCRIPT_LINE_MAX);
		n = read_some(s, plan->program, head, HEAD_SIZE, 0);
		if (n < 0)
			return (int)n;
		if (head[0] != '#' || head[1] != '!') {
			err = plan_parse(s, plan->program, head, (size_t)n, &plan->elf);
			if (!err && ((struct elf_image *)plan->elf)->interp_size)
				err = plan_interp(s, plan, head);
			return err;
		}
		err = script_parse(head, &line);
		if (!err)
			err = plan_script(s, plan, &line, name, PATH_MAX_GUEST);
		if (err)
			return err;
	}
}

/* Linux: a quarter of the stack limit, at most 6 MiB, at least 128 KiB, pointers included. */
static int plan_check_size(struct subject *s, const struct exec_plan *plan, const char *filename)
{
	const struct exec_strings *x = plan->strings;
	u64 limit = min(rlimit_get(s->rlimits, RLIMIT_STACK) / 4, (u64)EXEC_STRINGS_MAX);
	u64 pointers = ((u64)max(x->argc, 1u) + x->envc) * sizeof(u64);

	limit = max(limit, ARG_SPACE_MIN);
	return pointers + x->size + strlen(filename) + 1 > limit ? -E2BIG : 0;
}

static void plan_set_comm(struct exec_plan *plan, const char *filename)
{
	const char *slash = strrchr(filename, '/'), *base = slash ? slash + 1 : filename;
	size_t len = strnlen(base, sizeof(plan->comm) - 1);

	memcpy(plan->comm, base, len);
}

int loader_plan(struct subject *s, struct file *file, const char *filename,
		struct exec_strings *strings, struct exec_plan *ret_plan)
{
	struct exec_plan plan = { .program = file, .named = file_get(file), .strings = strings };
	char *head = arena_alloc(HEAD_SIZE), *name = arena_alloc(PATH_MAX_GUEST);
	int err = -ENOMEM;

	if (head && name) {
		memcpy(name, filename, strnlen(filename, PATH_MAX_GUEST - 1));
		err = plan_check_size(s, &plan, filename);
		if (!err)
			err = plan_resolve(s, &plan, head, name);
		if (!err)
			err = plan_check_size(s, &plan, filename);
	}
	arena_free(head);
	arena_free(name);
	if (err) {
		exec_plan_fini(&plan);
		return err;
	}
	plan_set_comm(&plan, filename);
	*ret_plan = plan;
	return 0;
}

void exec_plan_fini(struct exec_plan *plan)
{
	if (plan->program)
		file_put(plan->program);
	if (plan->interp) {
		/* Unlike the program, it may be written to once it is mapped. */
		file_unclaim(plan->interp);
		file_put(plan->interp);
	}
	if (plan->named)
		file_put(plan->named);
	arena_free(plan->elf);
	arena_free(plan->interp_elf);
	*plan = (struct exec_plan){};
}
