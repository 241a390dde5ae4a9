#pragma once

/* eventfd(2). */

#include "base/types.h"

struct file;
struct subject;

#define EVENTFD_SEMAPHORE 1U

/* flags: O_NONBLOCK, EVENTFD_SEMAPHORE. */
[[nodiscard]] int eventfd_create(struct subject *s, u32 initval, u32 flags, struct file **ret);
