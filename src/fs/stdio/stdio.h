#pragma once

/* The caller's standard streams, inherited host descriptors of any kind, as files. */

#include "base/types.h"

struct file;
struct subject;

/*
 * A file over host_fd, which is taken over on success. flags: O_RDONLY, O_WRONLY or O_RDWR as the
 * descriptor was opened, perhaps O_APPEND and O_NONBLOCK (the guest's own; the host descriptor's
 * flags are never changed); those of the descriptor itself if flags is STDIO_HOST_FLAGS. -EBADF if
 * host_fd is not open.
 */
#define STDIO_HOST_FLAGS (~0u)
[[nodiscard]] int stdio_file_create(struct subject *s, int host_fd, u32 flags, struct file **ret);
