#pragma once

/* /proc and /sys. */

struct super;

[[nodiscard]] int procfs_create(struct super **ret);
[[nodiscard]] int sysfs_create(struct super **ret);
