#pragma once

/* /dev: an instance of tmpfs with the usual nodes and links, and empty directories shm and pts to
 * mount on. */

#include "base/types.h"

struct super;

[[nodiscard]] int devfs_create(struct super **ret);
