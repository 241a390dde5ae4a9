#pragma once

/* /proc and /sys. */

struct file;
struct pid;
struct super;

[[nodiscard]] int procfs_create(struct super **ret);
[[nodiscard]] int sysfs_create(struct super **ret);
/* The process that f, an open /proc/PID, is about; null if f is anything else. Lives as long as f.
 */
struct pid *procfs_pid(const struct file *f);
