/*
 * Leaving the host behind.
 *
 * The command clones the kernel process into a new pid and mount namespace (and a user namespace
 * when it has no privilege for these). The kernel process takes a private read-only copy of the
 * host's mount tree as a descriptor (open_tree), one more of each bind, a procfs of its own pid
 * namespace (fsmount), then pivots into an empty tmpfs: from there no path leads anywhere, and only
 * what lies below those descriptors can be reached. Then it gives up its capabilities. Source:
 * mount_namespaces(7), user_namespaces(7), pivot_root(2), open_tree and fsmount in Linux.
 *
 * Where namespaces cannot be had, root_fd is the host's own root and proc_fd the host's procfs.
 */

#include "sandbox/isolate.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "host/budget.h"
#include "host/host.h"

#define MS_REC_PRIVATE (0x4000 | 0x40000)
#define MNT_DETACH_FLAG 2
/* linux/mount.h of old headers and sys/mount.h of new libcs disagree on who defines these. */
#define OPEN_TREE_CLONE_FLAG 1
#define FSCONFIG_CMD_CREATE_OP 6
#define MOUNT_ATTR_HIDE (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

u64 isolate_clone_flags(bool privileged)
{
	return CLONE_NEWPID | CLONE_NEWNS | (privileged ? 0 : CLONE_NEWUSER);
}

bool isolate_privileged(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	if (host_call(SYS_capget, (long)&header, (long)data, 0, 0, 0, 0))
		return false;
	return data[0].effective & (1u << CAP_SYS_ADMIN);
}

static int write_file(const char *path, const char *text)
{
	int fd = host_openat(AT_FDCWD, path, O_WRONLY, 0);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = host_write(fd, text, strlen(text));
	host_close(fd);
	return n < 0 ? (int)n : 0;
}

/* One id each is all that an unprivileged process may map: its own. */
static int map_ids(u32 uid, u32 gid)
{
	char text[64];
	int ret = write_file("/proc/self/setgroups", "deny");

	if (ret && ret != -ENOENT)
		return ret;
	snprintf(text, sizeof(text), "%u %u 1", uid, uid);
	ret = write_file("/proc/self/uid_map", text);
	if (ret)
		return ret;
	snprintf(text, sizeof(text), "%u %u 1", gid, gid);
	return write_file("/proc/self/gid_map", text);
}

static int set_attr_recursive(int fd, u64 attr_set)
{
	struct mount_attr attr = { .attr_set = attr_set };

	return (int)host_call(SYS_mount_setattr, fd, (long)"", AT_EMPTY_PATH | AT_RECURSIVE,
			      (long)&attr, sizeof(attr), 0);
}

/* A detached mount of a new instance of a file system type: an O_PATH descriptor. */
static int mount_detached(const char *type, u64 attr)
{
	int fs = (int)host_call(SYS_fsopen, (long)type, 1, 0, 0, 0, 0);
	int ret;

	if (fs < 0)
		return fs;
	ret = (int)host_call(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE_OP, 0, 0, 0, 0);
	if (!ret)
		ret = (int)host_call(SYS_fsmount, fs, 1, (long)attr, 0, 0, 0);
	host_close(fs);
	return ret;
}

/* Make an empty read-only tmpfs the root. /proc serves as mount point: it exists wherever we can
 * run. */
static int pivot_to_empty(const char **what)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	int fd, ret;

	*what = "mount an empty tmpfs";
	fd = mount_detached("tmpfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		return fd;
	ret = (int)host_call(SYS_move_mount, fd, (long)"", AT_FDCWD, (long)"/proc",
			     4 /* F_EMPTY_PATH */, 0);
	if (!ret)
		ret = (int)host_call(SYS_fchdir, fd, 0, 0, 0, 0, 0);
	if (!ret) {
		*what = "pivot_root";
		ret = (int)host_call(SYS_pivot_root, (long)".", (long)".", 0, 0, 0, 0);
	}
	if (!ret)
		ret = (int)host_call(SYS_umount2, (long)".", MNT_DETACH_FLAG, 0, 0, 0, 0);
	if (!ret)
		ret = (int)host_call(SYS_chdir, (long)"/", 0, 0, 0, 0, 0);
	if (!ret)
		ret = (int)host_call(SYS_mount_setattr, fd, (long)"", AT_EMPTY_PATH, (long)&attr,
				     sizeof(attr), 0);
	host_close(fd);
	return ret;
}

/* A private copy of the mounts at and below path, as a descriptor of it. */
static int copy_tree(const char *path, u64 attr_set)
{
	int fd = (int)host_call(SYS_open_tree, AT_FDCWD, (long)path,
				OPEN_TREE_CLONE_FLAG | AT_RECURSIVE | O_CLOEXEC, 0, 0, 0);
	int ret = fd < 0 ? fd : set_attr_recursive(fd, attr_set);

	if (ret >= 0)
		return fd;
	if (fd >= 0)
		host_close(fd);
	return ret;
}

static const char *root_of(const struct sandbox_config *config, const char **what)
{
	*what = config->rootfs ? config->rootfs : "copy the mount tree";
	return config->rootfs ? config->rootfs : "/";
}

/* What --bind names, while the caller's paths can still be walked. */
static int open_binds(struct isolation *iso, const struct sandbox_config *config, const char **what)
{
	for (u32 i = 0; i < config->mount_count; i++) {
		const struct mount_request *m = &config->mounts[i];

		iso->bind_fds[i] = -1;
		if (!m->source)
			continue;
		*what = m->source;
		if (iso->mount_ns)
			iso->bind_fds[i] = copy_tree(
				m->source, m->readonly ? MOUNT_ATTR_HIDE :
							 MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
		else
			iso->bind_fds[i] = host_openat(AT_FDCWD, m->source, O_PATH, 0);
		if (iso->bind_fds[i] < 0)
			return iso->bind_fds[i];
		iso->writes |= !m->readonly;
	}
	return 0;
}

static int enter_mounts(struct isolation *iso, const struct sandbox_config *config,
			const char **what)
{
	int ret;

	*what = "make mounts private";
	ret = (int)host_call(SYS_mount, 0, (long)"/", 0, MS_REC_PRIVATE, 0, 0);
	if (ret)
		return ret;
	iso->root_fd = copy_tree(root_of(config, what), MOUNT_ATTR_HIDE);
	if (iso->root_fd < 0)
		return iso->root_fd;
	ret = open_binds(iso, config, what);
	if (ret)
		return ret;
	if (iso->pid_ns) {
		*what = "mount a procfs";
		iso->proc_fd = mount_detached("proc", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
							      MOUNT_ATTR_NOEXEC);
		if (iso->proc_fd < 0)
			return iso->proc_fd;
	}
	return pivot_to_empty(what);
}

static int ignore(int sig)
{
	return host_sigaction(sig, (void (*)(int, siginfo_t *, void *))(void (*)(void))SIG_IGN, 0,
			      0);
}

/* A stream that nobody reads and the caller's limit of file sizes are errors to the guest, and no
 * reason to die. */
static int ignore_signals(void)
{
	int err = ignore(SIGPIPE);

	return err ? err : ignore(SIGXFSZ);
}

/* The caller's limit of file sizes is not for the kernel's own memory files. As far as we may. */
static int lift_file_size(void)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	int err = host_prlimit(0, RLIMIT_FSIZE, &limit, NULL);

	if (err != -EPERM)
		return err;
	err = host_prlimit(0, RLIMIT_FSIZE, NULL, &limit);
	limit.rlim_cur = limit.rlim_max;
	return err ? err : host_prlimit(0, RLIMIT_FSIZE, &limit, NULL);
}

int isolate_enter(u64 flags, const struct sandbox_config *config, struct isolation *ret,
		  const char **ret_what)
{
	struct isolation iso = { .root_fd = -1, .proc_fd = -1 };
	int err;

	iso.pid_ns = flags & CLONE_NEWPID;
	iso.mount_ns = flags & CLONE_NEWNS;
	*ret_what = "start a session";
	/* Away from the terminal's foreground group: its signals are for the command, which relays
	 * them. */
	err = (int)host_call(SYS_setsid, 0, 0, 0, 0, 0, 0);
	if (err < 0)
		return err;
	/* What the guest makes on the host has the mode that the guest's umask leaves. */
	host_call(SYS_umask, 0, 0, 0, 0, 0, 0);
	*ret_what = "ignore signals";
	err = ignore_signals();
	if (!err)
		err = lift_file_size();
	if (err)
		return err;
	if (flags & CLONE_NEWUSER) {
		*ret_what = "map ids";
		err = map_ids(config->caller.uid, config->caller.gid);
		if (err)
			return err;
	}
	if (!iso.pid_ns || !iso.mount_ns) {
		*ret_what = "open /proc";
		iso.proc_fd = host_openat(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY, 0);
		if (iso.proc_fd < 0)
			return iso.proc_fd;
	}
	if (iso.mount_ns) {
		err = enter_mounts(&iso, config, ret_what);
		if (err)
			return err;
	} else {
		iso.root_fd =
			host_openat(AT_FDCWD, root_of(config, ret_what), O_PATH | O_DIRECTORY, 0);
		if (iso.root_fd < 0)
			return iso.root_fd;
		err = open_binds(&iso, config, ret_what);
		if (err)
			return err;
	}
	*ret = iso;
	return 0;
}

int isolate_drop_privileges(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};
	struct rlimit files;
	int ret;

	for (int cap = 0; cap < 64; cap++)
		if (host_prctl(PR_CAPBSET_DROP, (unsigned long)cap, 0, 0, 0) == -EINVAL)
			break;
	host_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	ret = (int)host_call(SYS_capset, (long)&header, (long)data, 0, 0, 0, 0);
	if (ret)
		return ret;
	ret = host_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (ret)
		return ret;
	ret = host_prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (ret)
		return ret;
	ret = host_prlimit(0, RLIMIT_NOFILE, NULL, &files);
	if (ret)
		return ret;
	files.rlim_cur = files.rlim_max;
	/* The other half is for stubs, and whatever else guests have only a say in. */
	host_fd_set_budget((u32)min(files.rlim_max / 2, (rlim_t)1 << 20));
	return host_prlimit(0, RLIMIT_NOFILE, &files, NULL);
}
