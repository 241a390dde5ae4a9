/* Character devices: a table of constant rows that the linker gathers (DEFINE_CHRDEV). */

#include <errno.h>
#include <sys/sysmacros.h>

#include "vfs/internal.h"

extern const struct chrdev __start_donjon_chrdevs[] __attribute__((weak, visibility("hidden")));
extern const struct chrdev __stop_donjon_chrdevs[] __attribute__((weak, visibility("hidden")));

int chrdev_open(struct subject *s, struct inode *inode, struct file *file)
{
	u32 major = major(inode->rdev), minor = minor(inode->rdev);
	const struct chrdev *dev;

	for (dev = __start_donjon_chrdevs; dev < __stop_donjon_chrdevs; dev++)
		if (dev->major == major && minor >= dev->minor && minor - dev->minor < dev->count)
			return dev->open(s, inode, file);
	return -ENXIO;
}
