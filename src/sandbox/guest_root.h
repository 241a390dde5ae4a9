#pragma once

/* What the first guest process finds: its mounts, its standard streams, and where its program is.
 */

#include "base/types.h"
#include "cred/rlimit.h"
#include "cred/subject.h"

struct console;
struct cred;
struct fdtable;
struct isolation;
struct mount_ns;
struct sandbox_config;

struct guest_root {
	struct mount_ns *mount_ns; /* owned by the caller */
	struct fdtable *files; /* owned by the caller; 0, 1 and 2 of the caller's that are open */
	struct console *console; /* connected to the caller's terminal; null: none */
};

/*
 * Mount the root under an overlay, a tmpfs on /tmp (with the caller's directory below it bound
 * read-only over it), devfs on /dev, devpts on /dev/pts, procfs on /proc, what the config asks for;
 * open the standard streams. Takes iso->root_fd and the descriptors of binds over. *ret_what: what
 * failed. Call from a fiber; parks.
 */
[[nodiscard]] int guest_root_create(const struct sandbox_config *config, struct isolation *iso,
				    const struct cred *cred, struct guest_root *ret,
				    const char **ret_what);
/*
 * Look name up as execvp would, with the PATH of config's environment and cred's permissions: ret
 * gets a path (size PATH_MAX_GUEST) that execve can be given. -ENOENT, -EACCES.
 */
[[nodiscard]] int guest_root_find_program(const struct sandbox_config *config,
					  const struct guest_root *root, const struct cred *cred,
					  char *ret);
/*
 * Where the first process starts: config's directory, or "/" if that cannot be entered and nobody
 * asked for it. ret has PATH_MAX_GUEST bytes.
 */
[[nodiscard]] int guest_root_find_workdir(const struct sandbox_config *config,
					  const struct guest_root *root, const struct cred *cred,
					  char *ret);
