/* What is in /dev. */

#include "fs/devfs/devfs.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fs/tmpfs/tmpfs.h"
#include "vfs/vfs.h"

#define DEVFS_SIZE_LIMIT (1u << 20)

extern const struct chrdev chrdev_mem;

static const struct {
	const char *name;
	const struct chrdev *driver; /* null: not of this layer */
	u32 major, minor;
} nodes[] = {
	{ "null", &chrdev_mem, 0, 3 },	  { "zero", &chrdev_mem, 0, 5 },
	{ "full", &chrdev_mem, 0, 7 },	  { "random", &chrdev_mem, 0, 8 },
	{ "urandom", &chrdev_mem, 0, 9 }, { "tty", NULL, 5, 0 },
	{ "ptmx", NULL, 5, 2 },
};

static const struct {
	const char *name, *target;
} links[] = {
	{ "fd", "/proc/self/fd" },
	{ "stdin", "/proc/self/fd/0" },
	{ "stdout", "/proc/self/fd/1" },
	{ "stderr", "/proc/self/fd/2" },
};

int devfs_create(struct super **ret)
{
	struct super *sb;
	int err;

	err = tmpfs_create_type("devtmpfs", 0755, 0, 0, DEVFS_SIZE_LIMIT, &sb);
	if (err)
		return err;
	for (size_t i = 0; !err && i < ARRAY_SIZE(nodes); i++) {
		u32 major = nodes[i].driver ? nodes[i].driver->major : nodes[i].major;

		err = tmpfs_add_node(sb, nodes[i].name, S_IFCHR | 0666,
				     makedev(major, nodes[i].minor));
	}
	for (size_t i = 0; !err && i < ARRAY_SIZE(links); i++)
		err = tmpfs_add_symlink(sb, links[i].name, links[i].target);
	if (!err)
		err = tmpfs_add_dir(sb, "shm", 01777);
	if (!err)
		err = tmpfs_add_dir(sb, "pts", 0755);
	if (err) {
		super_put(sb);
		return err;
	}
	*ret = sb;
	return 0;
}
