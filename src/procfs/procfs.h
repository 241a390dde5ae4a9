#pragma once

/* /proc. */

struct super;

[[nodiscard]] int procfs_create(struct super **ret);
