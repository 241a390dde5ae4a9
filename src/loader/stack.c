/*
 * The initial stack, as the System V ABI and Linux lay it out. From low to high:
 *
 *	argc, argv[], 0, envp[], 0, auxv[]	at the stack pointer, 16-aligned
 *	16 random bytes, "x86_64"
 *	a random gap
 *	argument strings, environment strings, file name, 8 zero bytes	up to the top
 *
 * It is put together in kernel memory and copied out at once.
 */

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "arena/arena.h"
#include "host/host.h"
#include "loader/internal.h"

static const char platform_name[] = "x86_64";

#define RANDOM_SIZE 16
#define TOP_ZEROS 8

static u64 tables_size(const struct stack_args *a)
{
	const struct exec_strings *x = a->strings;

	return (3 + (u64)x->argc + x->envc + 2 * a->auxv_count) * sizeof(u64);
}

static u64 strings_size(const struct stack_args *a)
{
	return a->strings->size + strlen(a->filename) + 1 + TOP_ZEROS;
}

u64 stack_size(const struct stack_args *a)
{
	u64 size = tables_size(a) + RANDOM_SIZE + sizeof(platform_name) + a->random_pad +
		   strings_size(a);

	return align_up(size, 16);
}

/* Write addresses of count strings that lie at data, whose guest address is addr; returns the end,
 * or null. */
static const char *put_pointers(u64 **out, const char *data, const char *end, u64 addr, u32 count)
{
	const char *start = data;

	for (u32 i = 0; i < count; i++) {
		const char *nul = data < end ? memchr(data, '\0', (size_t)(end - data)) : NULL;

		if (!nul)
			return NULL;
		*(*out)++ = addr + (u64)(data - start);
		data = nul + 1;
	}
	*(*out)++ = 0;
	return data;
}

static void put_auxv(struct stack_args *a, u64 *out, u64 random, u64 platform, u64 filename)
{
	for (u32 i = 0; i < a->auxv_count; i++) {
		u64 *pair = &a->auxv[2 * i];

		if (pair[0] == AT_RANDOM)
			pair[1] = random;
		else if (pair[0] == AT_PLATFORM)
			pair[1] = platform;
		else if (pair[0] == AT_EXECFN)
			pair[1] = filename;
	}
	memcpy(out, a->auxv, a->auxv_count * 2 * sizeof(u64));
}

/* Fill in the image of size bytes, which will lie just below top. */
static int stack_fill(struct stack_args *a, char *image, u64 size, u64 top,
		      struct mm_layout *layout)
{
	const struct exec_strings *x = a->strings;
	u64 base = top - size, strings = top - strings_size(a), filename = strings + x->size;
	u64 random = base + tables_size(a), platform = random + RANDOM_SIZE;
	char *data = image + (strings - base);
	const char *env, *end;
	u64 *out = (u64 *)(void *)image;

	memcpy(data, x->data, x->size);
	memcpy(data + x->size, a->filename, strlen(a->filename) + 1);
	memcpy(image + (platform - base), platform_name, sizeof(platform_name));
	if (host_getrandom(image + (random - base), RANDOM_SIZE, 0) != RANDOM_SIZE)
		return -EIO;
	*out++ = x->argc;
	env = put_pointers(&out, data, data + x->size, strings, x->argc);
	if (!env)
		return -EINVAL;
	end = put_pointers(&out, env, data + x->size, strings + (u64)(env - data), x->envc);
	if (!end)
		return -EINVAL;
	put_auxv(a, out, random, platform, filename);
	layout->start_stack = base;
	layout->arg_start = strings;
	layout->arg_end = layout->env_start = strings + (u64)(env - data);
	layout->env_end = strings + (u64)(end - data);
	return 0;
}

int stack_build(struct subject *s, struct stack_args *a, u64 top, struct mm_layout *layout)
{
	u64 size = stack_size(a);
	char *image = arena_alloc(size);
	int err;

	if (!image)
		return -ENOMEM;
	err = stack_fill(a, image, size, top, layout);
	if (!err)
		err = copy_out(s, UADDR(top - size), image, size);
	arena_free(image);
	return err;
}
