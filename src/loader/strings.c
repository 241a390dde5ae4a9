/* Argument and environment strings of an exec. */

#include "loader/loader.h"

#include <errno.h>
#include <string.h>

#include "arena/arena.h"
#include "loader/internal.h"

/* Linux's MAX_ARG_STRLEN; and three quarters of the default stack limit, the most that any limit
 * permits. */
#define STRING_MAX (32 * PAGE_SIZE)

void exec_strings_init(struct exec_strings *x)
{
	*x = (struct exec_strings){};
}

void exec_strings_fini(struct exec_strings *x)
{
	arena_free(x->data);
	exec_strings_init(x);
}

static int exec_strings_reserve(struct exec_strings *x, size_t more)
{
	size_t room = max(x->room, PAGE_SIZE);
	char *data;

	if (more > EXEC_STRINGS_MAX - x->size)
		return -E2BIG;
	if (x->size + more <= x->room)
		return 0;
	while (room < x->size + more)
		room *= 2;
	data = arena_realloc(x->data, x->room, room);
	if (!data)
		return -ENOMEM;
	x->data = data;
	x->room = room;
	return 0;
}

int exec_strings_add(struct exec_strings *x, const char *s, size_t len)
{
	int err;

	if (len >= STRING_MAX)
		return -E2BIG;
	err = exec_strings_reserve(x, len + 1);
	if (err)
		return err;
	memcpy(x->data + x->size, s, len);
	x->data[x->size + len] = '\0';
	x->size += len + 1;
	return 0;
}

int exec_strings_replace_first(struct exec_strings *x, const char *front, size_t front_size,
			       u32 count)
{
	size_t old = x->argc ? strnlen(x->data, x->size) + 1 : 0;
	int err;

	old = min(old, x->size);
	if (front_size > old) {
		err = exec_strings_reserve(x, front_size - old);
		if (err)
			return err;
	}
	memmove(x->data + front_size, x->data + old, x->size - old);
	memcpy(x->data, front, front_size);
	x->size = x->size - old + front_size;
	x->argc = x->argc - (x->argc ? 1 : 0) + count;
	return 0;
}
