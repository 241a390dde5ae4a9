#pragma once

/* memfd_create(2) and the seals of its files. */

#include "base/types.h"

struct file;
struct subject;

#define MEMFD_NAME_MAX 249 /* without NUL */

/* Boot, once: the tmpfs that memfds are in; arguments as of tmpfs_set_proc_fd and tmpfs_create. */
[[nodiscard]] int memfd_init(int proc_fd, u64 size_limit);
/* -EINVAL if flags has what memfd_create does not know. */
[[nodiscard]] int memfd_check_flags(u32 flags);
/* A memfd; flags checked by memfd_check_flags. -EINVAL, -ENODEV, -ENOMEM, -ENFILE. */
[[nodiscard]] int memfd_create_file(struct subject *s, const char *name, u32 flags,
				    struct file **ret);
/* F_ADD_SEALS and F_GET_SEALS. -EINVAL for files that have none; -EPERM; -EBUSY: mapped for
 * writing. */
long memfd_fcntl(struct file *f, int cmd, u64 arg);
/* New shared mappings of f may not be written to. */
bool memfd_write_sealed(const struct file *f);
