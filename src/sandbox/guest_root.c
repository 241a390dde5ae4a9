/*
 * The guest's first mounts and files. Made on behalf of a subject that is no task: it has
 * credentials, a root and nothing else.
 */

#include "sandbox/guest_root.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cred/cred.h"
#include "fs/devfs/devfs.h"
#include "fs/hostfs/hostfs.h"
#include "fs/overlay/overlay.h"
#include "fs/stdio/stdio.h"
#include "fs/tmpfs/memfd.h"
#include "fs/tmpfs/tmpfs.h"
#include "host/host.h"
#include "kernel/task.h"
#include "procfs/procfs.h"
#include "sandbox/config.h"
#include "sandbox/isolate.h"
#include "sched/fiber.h"
#include "tty/tty.h"
#include "vfs/fdtable.h"
#include "vfs/path.h"

struct boot_subject {
	struct subject subject;
	struct rlimits rlimits;
};

static int boot_subject_init(struct boot_subject *b, struct mount_ns *ns, const struct cred *cred)
{
	*b = (struct boot_subject){ .subject = { .fiber = fiber_current(), .cred = cred } };
	rlimits_init(&b->rlimits);
	b->subject.rlimits = &b->rlimits;
	return fs_context_create(ns, &b->subject.fs);
}

static void boot_subject_fini(struct boot_subject *b)
{
	fs_context_put(b->subject.fs);
}

/* Mount sb, whose creation returned err; sb is given up on failure. */
static int mount_new(struct subject *s, struct mount_ns *ns, int err, struct super *sb,
		     const char *source, const char *path, u32 flags)
{
	if (err)
		return err;
	err = vfs_mount(s, ns, sb, source, path, flags);
	if (err) {
		log_info("cannot mount %s on %s: %d", source, path, err);
		super_put(sb);
	}
	return err;
}

/* As much as half of the memory, as in Linux. */
static u64 tmpfs_limit(void)
{
	return kernel_memory().total / 2;
}

static int mount_tmpfs(struct subject *s, struct mount_ns *ns, int proc_fd, const char *path,
		       u32 flags)
{
	struct super *sb = NULL;
	int err = tmpfs_create(01777, 0, 0, tmpfs_limit(), &sb);

	if (!err)
		tmpfs_set_proc_fd(sb, proc_fd);
	return mount_new(s, ns, err, sb, "tmpfs", path, SB_NODEV | flags);
}

/* Make the directories that lead to path, as far as they are missing. */
static int make_parents(struct subject *s, const char *path)
{
	char part[PATH_MAX_GUEST];
	size_t len = strlen(path);
	int err = 0;

	if (len >= sizeof(part))
		return -ENAMETOOLONG;
	for (size_t i = 1; i < len && !err; i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		err = vfs_mkdir(s, AT_FDCWD, part, 0755);
		if (err == -EEXIST)
			err = 0;
	}
	return err;
}

/* Make something of sb's kind to mount it on, if there is nothing. */
static int make_target(struct subject *s, const char *path, bool is_dir)
{
	struct open_how_k how = { .flags = O_CREAT | O_EXCL | O_WRONLY, .mode = 0644 };
	struct file *file;
	struct path there;
	int err = path_walk(s, AT_FDCWD, path, WALK_FOLLOW, &there);

	if (!err)
		path_put(&there);
	if (err != -ENOENT)
		return err;
	err = make_parents(s, path);
	if (!err && is_dir)
		return vfs_mkdir(s, AT_FDCWD, path, 0755);
	if (!err)
		err = vfs_open(s, AT_FDCWD, path, &how, &file);
	if (!err)
		file_put(file);
	return err;
}

/* The caller's directory is below /tmp, which the guest's own /tmp hides: show it there, read-only.
 */
static int bind_workdir(struct subject *s, struct mount_ns *ns, int fd, int proc_fd,
			const char *workdir)
{
	struct super *sb = NULL;
	int err = make_target(s, workdir, true);

	if (!err)
		err = hostfs_create(fd, HOSTFS_REVALIDATE, &sb);
	if (!err)
		hostfs_set_proc_fd(sb, proc_fd);
	return mount_new(s, ns, err, sb, workdir, workdir, SB_RDONLY | SB_NODEV | SB_NOSUID);
}

static int mount_bind(struct subject *s, struct mount_ns *ns, const struct isolation *iso,
		      const struct mount_request *m, int fd)
{
	u32 flags = SB_NODEV | SB_NOSUID | (m->readonly ? SB_RDONLY : 0);
	struct super *sb = NULL;
	int err = hostfs_create(fd, HOSTFS_REVALIDATE | (m->readonly ? 0 : HOSTFS_WRITABLE), &sb);

	if (err)
		return err;
	hostfs_set_proc_fd(sb, iso->proc_fd);
	err = make_target(s, m->target, S_ISDIR(sb->root->inode->mode));
	if (err) {
		super_put(sb);
		return err;
	}
	return mount_new(s, ns, 0, sb, m->source, m->target, flags);
}

/* What --bind and --tmpfs ask for. *ret_what: the one that failed. */
static int mount_requests(const struct sandbox_config *config, struct isolation *iso,
			  struct subject *s, struct mount_ns *ns, const char **ret_what)
{
	int err = 0;

	for (u32 i = 0; i < config->mount_count && !err; i++) {
		const struct mount_request *m = &config->mounts[i];

		*ret_what = m->target;
		if (m->source) {
			err = mount_bind(s, ns, iso, m, iso->bind_fds[i]);
			continue;
		}
		err = make_target(s, m->target, true);
		if (!err)
			err = mount_tmpfs(s, ns, iso->proc_fd, m->target, 0);
	}
	return err;
}

/* Names and modes as distributions have them: slaves are of group tty, whose number is 5. */
static int mount_devpts(struct subject *s, struct mount_ns *ns, struct super **ret)
{
	struct devpts_options options;
	int err = devpts_parse_options("gid=5,mode=620,ptmxmode=666", &options);

	*ret = NULL;
	if (!err)
		err = devpts_create(&options, ret);
	return mount_new(s, ns, err, *ret, "devpts", "/dev/pts", SB_NOSUID | SB_NOEXEC);
}

static int mount_all(const struct sandbox_config *config, struct isolation *iso, struct subject *s,
		     struct mount_ns *ns, int workdir_fd, struct super **ret_devpts)
{
	struct super *sb = NULL;
	int err = mount_tmpfs(s, ns, iso->proc_fd, "/tmp", 0);

	if (!err && workdir_fd >= 0)
		err = bind_workdir(s, ns, workdir_fd, iso->proc_fd, config->workdir);
	if (!err) {
		err = devfs_create(&sb);
		err = mount_new(s, ns, err, sb, "devtmpfs", "/dev", SB_NOSUID);
	}
	if (!err)
		err = mount_tmpfs(s, ns, iso->proc_fd, "/dev/shm", SB_NOSUID);
	if (!err)
		err = memfd_init(iso->proc_fd, tmpfs_limit());
	if (!err)
		err = mount_devpts(s, ns, ret_devpts);
	if (!err) {
		err = procfs_create(&sb);
		err = mount_new(s, ns, err, sb, "proc", "/proc", SB_NOSUID | SB_NODEV | SB_NOEXEC);
	}
	if (!err) {
		err = sysfs_create(&sb);
		err = mount_new(s, ns, err, sb, "sysfs", "/sys",
				SB_RDONLY | SB_NOSUID | SB_NODEV | SB_NOEXEC);
	}
	return err;
}

/* A terminal of the guest's whose line is the caller's, and a file of it. */
static int open_console(const struct sandbox_config *config, struct subject *s,
			struct super *devpts, struct console **ret, struct file **ret_file)
{
	const struct open_how_k how = { .flags = O_RDWR | O_NOCTTY };
	const struct terminal_config *t = &config->terminal;
	struct console_size size = { t->size.row, t->size.col, t->size.xpixel, t->size.ypixel };
	char path[32];
	int err;

	err = console_create(s, devpts, t->fd, t->termios, &size, ret);
	if (err)
		return err;
	snprintf(path, sizeof(path), "/dev/pts/%u", console_index(*ret));
	return vfs_open(s, AT_FDCWD, path, &how, ret_file);
}

/* The caller's stream fd as a file. */
static int open_stream(struct subject *s, int fd, struct file **ret)
{
	int host_fd = host_fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return host_fd < 0 ? host_fd : stdio_file_create(s, host_fd, STDIO_HOST_FLAGS, ret);
}

/* The caller's streams as descriptors 0, 1 and 2; those that it had closed stay closed. */
static int open_streams(const struct sandbox_config *config, struct subject *s,
			struct super *devpts, struct console **ret_console)
{
	struct file *terminal = NULL, *file;
	int err = fdtable_create(&s->files);

	if (!err && config->terminal.present)
		err = open_console(config, s, devpts, ret_console, &terminal);
	for (int fd = 0; fd < 3 && !err; fd++) {
		if (config->stdio_closed[fd])
			continue;
		if (terminal && config->terminal.streams[fd])
			file = file_get(terminal);
		else
			err = open_stream(s, fd, &file);
		if (err)
			break;
		err = fd_install_at(s, file, fd, 0);
		file_put(file);
		err = min(err, 0);
	}
	file_put(terminal);
	return err;
}

int guest_root_create(const struct sandbox_config *config, struct isolation *iso,
		      const struct cred *cred, struct guest_root *ret, const char **ret_what)
{
	static const char *const mountpoints[] = { "tmp", "dev", "proc", "sys" };
	struct boot_subject boot;
	struct super *lower, *root, *devpts;
	struct mount_ns *ns;
	struct cred *all;
	int workdir_fd = -1, err;

	*ret_what = "the guest's root";
	if (!config->rootfs && !strncmp(config->workdir, "/tmp/", 5)) {
		workdir_fd =
			host_openat(iso->root_fd, config->workdir + 1, O_PATH | O_DIRECTORY, 0);
		if (workdir_fd < 0)
			log_warn("%s cannot be shown to the guest: error %d", config->workdir,
				 -workdir_fd);
	}
	err = hostfs_create(iso->root_fd, 0, &lower);
	if (err)
		return err;
	for (size_t i = 0; i < ARRAY_SIZE(mountpoints) && !err; i++)
		err = hostfs_add_mountpoint(lower, mountpoints[i]);
	if (!err)
		err = overlay_create(lower, tmpfs_limit(), iso->proc_fd, &root);
	if (!err)
		err = mount_ns_create(root, "overlay", SB_NOSUID, &ns);
	if (err)
		return err;
	err = cred_create(kernel_get()->user_ns, 0, 0, NULL, 0, &all);
	if (!err)
		err = boot_subject_init(&boot, ns, all);
	if (!err)
		err = mount_all(config, iso, &boot.subject, ns, workdir_fd, &devpts);
	ret->console = NULL;
	if (!err) {
		boot.subject.cred = cred;
		err = open_streams(config, &boot.subject, devpts, &ret->console);
		boot.subject.cred = all;
	}
	if (!err)
		err = mount_requests(config, iso, &boot.subject, ns, ret_what);
	/* Only now: to make places to mount on, it had to be writable. */
	if (!err && config->readonly_root)
		mount_set_flags(ns->root, ns->root->flags | SB_RDONLY);
	if (!err)
		boot_subject_fini(&boot);
	cred_put(all);
	if (err)
		return err;
	ret->mount_ns = ns;
	ret->files = boot.subject.files;
	return 0;
}

static const char *env_get(const char *const *envp, const char *name)
{
	size_t len = strlen(name);

	for (; *envp; envp++)
		if (!strncmp(*envp, name, len) && (*envp)[len] == '=')
			return *envp + len + 1;
	return NULL;
}

static int is_program(struct subject *s, const char *path)
{
	struct kstat st;
	struct path p;
	int err = path_walk(s, AT_FDCWD, path, WALK_FOLLOW, &p);

	if (err)
		return err;
	err = vfs_getattr(s, &p, &st);
	if (!err && !S_ISREG(st.mode))
		err = -EACCES;
	if (!err)
		err = vfs_permission(s, &p, 1 /* X_OK */);
	path_put(&p);
	return err;
}

int guest_root_find_program(const struct sandbox_config *config, const struct guest_root *root,
			    const struct cred *cred, char *ret)
{
	const char *name = config->argv[0], *dirs = env_get(config->envp, "PATH");
	struct boot_subject boot;
	int found = -ENOENT, err;

	if (strchr(name, '/'))
		return snprintf(ret, PATH_MAX_GUEST, "%s", name) < PATH_MAX_GUEST ? 0 :
										    -ENAMETOOLONG;
	err = boot_subject_init(&boot, root->mount_ns, cred);
	if (err)
		return err;
	if (!dirs)
		dirs = "/usr/local/bin:/usr/bin:/bin";
	for (const char *next; dirs && found; dirs = next) {
		const char *end = strchrnul(dirs, ':');
		int n = snprintf(ret, PATH_MAX_GUEST, "%.*s%s%s", (int)(end - dirs), dirs,
				 end > dirs ? "/" : "", name);

		next = *end ? end + 1 : NULL;
		if (!*name || n >= PATH_MAX_GUEST)
			continue;
		err = is_program(&boot.subject, ret);
		if (!err || err == -EACCES)
			found = err;
	}
	boot_subject_fini(&boot);
	return found;
}

int guest_root_find_workdir(const struct sandbox_config *config, const struct guest_root *root,
			    const struct cred *cred, char *ret)
{
	struct boot_subject boot;
	struct path p;
	int err;

	if (snprintf(ret, PATH_MAX_GUEST, "%s", config->workdir) >= PATH_MAX_GUEST)
		return -ENAMETOOLONG;
	err = boot_subject_init(&boot, root->mount_ns, cred);
	if (err)
		return err;
	err = path_walk(&boot.subject, AT_FDCWD, ret, WALK_FOLLOW | WALK_DIRECTORY, &p);
	if (!err) {
		err = vfs_permission(&boot.subject, &p, 1 /* X_OK */);
		path_put(&p);
	}
	boot_subject_fini(&boot);
	if (err && !config->workdir_given) {
		log_warn("%s cannot be entered (error %d): the guest starts in /", ret, -err);
		snprintf(ret, PATH_MAX_GUEST, "/");
		err = 0;
	}
	return err;
}
