#pragma once

/* What the first guest process finds: its mounts and its standard streams. */

#include "base/types.h"

struct cred;
struct fdtable;
struct mount_ns;
struct sandbox_config;

struct guest_root {
	struct mount_ns *mount_ns; /* owned by the caller */
	struct fdtable *files; /* owned by the caller; 0, 1 and 2 of the caller's that are open */
};

/*
 * Mount the host's root read-only, a tmpfs on /tmp (with the caller's directory below it bound read-only over it),
 * devfs on /dev, procfs on /proc; open the standard streams. root_fd is taken over. Call from a fiber; parks.
 */
[[nodiscard]] int guest_root_create(const struct sandbox_config *config, int root_fd, const struct cred *cred,
				    struct guest_root *ret);
