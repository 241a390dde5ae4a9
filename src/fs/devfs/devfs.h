#pragma once

/* /dev: an instance of tmpfs with the usual nodes and links, and an empty directory shm to mount
 * on. */

#include "base/types.h"

struct super;

[[nodiscard]] int devfs_create(struct super **ret);
