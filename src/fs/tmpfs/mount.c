/* mount(2) of tmpfs: its options. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arena/arena.h"
#include "fs/tmpfs/internal.h"

struct tmpfs_options {
	u32 mode, uid, gid;
	u64 size, inodes; /* 0: as many as there can be */
};

/* A number with a unit: k, m, g, or % of what the memory is. */
static bool parse_size(const char *text, u64 memory, u64 *ret)
{
	char *end;
	u64 value = strtoull(text, &end, 0);
	unsigned int shift = 0;

	if (end == text)
		return false;
	if (*end == '%') {
		*ret = memory / 100 * min(value, (u64)100'000);
		return !end[1];
	}
	if (*end == 'k' || *end == 'K')
		shift = 10;
	else if (*end == 'm' || *end == 'M')
		shift = 20;
	else if (*end == 'g' || *end == 'G')
		shift = 30;
	if (end[shift != 0] || value > UINT64_MAX >> shift)
		return false;
	*ret = value << shift;
	return true;
}

static bool parse_number(const char *text, int base, u32 *ret)
{
	char *end;
	unsigned long value = strtoul(text, &end, base);

	if (end == text || *end || value >= 0xffff'ffffUL)
		return false;
	*ret = (u32)value;
	return true;
}

/* key and value (null: none stands there) of one option. */
static bool parse_option(const char *key, const char *value, u64 memory, struct tmpfs_options *o)
{
	if (!strcmp(key, "mode"))
		return value && parse_number(value, 8, &o->mode) && !(o->mode & ~07777U);
	if (!strcmp(key, "uid"))
		return value && parse_number(value, 10, &o->uid);
	if (!strcmp(key, "gid"))
		return value && parse_number(value, 10, &o->gid);
	if (!strcmp(key, "size"))
		return value && parse_size(value, memory, &o->size);
	if (!strcmp(key, "nr_inodes"))
		return value && parse_size(value, 0, &o->inodes);
	if (!strcmp(key, "nr_blocks")) {
		if (!value || !parse_size(value, 0, &o->size) || o->size > INT64_MAX / PAGE_SIZE)
			return false;
		o->size *= PAGE_SIZE;
		return true;
	}
	return !strcmp(key, "huge") || !strcmp(key, "mpol") || !strcmp(key, "inode64") ||
	       !strcmp(key, "inode32") || !strcmp(key, "source");
}

int tmpfs_mount(char *options, u32 uid, u32 gid, struct super **ret)
{
	const struct super *shmem = arena_root_of(ARENA_ROOT_SHMEM);
	const struct tmpfs *like = shmem ? tmpfs_of(shmem) : NULL;
	u64 half = like ? like->limit : 1ULL << 30;
	struct tmpfs_options o = { .mode = 01777, .uid = uid, .gid = gid, .size = half };
	char *rest = options, *key, *value;
	int err;

	while ((key = strsep(&rest, ","))) {
		if (!*key)
			continue;
		value = strchr(key, '=');
		if (value)
			*value++ = '\0';
		if (!parse_option(key, value, 2 * half, &o))
			return -EINVAL;
	}
	/* 0 means no limit, which is no more here than what there is. */
	err = tmpfs_create(o.mode, o.uid, o.gid, o.size ? min(o.size, 2 * half) : 2 * half, ret);
	if (err)
		return err;
	if (o.inodes)
		tmpfs_of(*ret)->inode_limit = min(o.inodes, tmpfs_of(*ret)->inode_limit);
	if (like)
		tmpfs_of(*ret)->proc_fd = like->proc_fd;
	return 0;
}
