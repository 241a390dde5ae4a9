#pragma once

/* The path walk, and operations on names. Paths are kernel strings (copied in already). All may
 * park. */

#include "vfs/vfs.h"

struct fs_context {
	struct refcount refs;
	struct spin lock; /* class lc_fs_context */
	struct path root, cwd; /* [lock] owned */
	u32 umask; /* [a] */
	struct mount_ns *mount_ns; /* [I] owned */
	_Atomic u32 users; /* [a] tasks whose it is: others have references too */
};

[[nodiscard]] int fs_context_create(struct mount_ns *ns, struct fs_context **ret);
[[nodiscard]] int fs_context_fork(struct fs_context *fs, struct fs_context **ret);
/* For one more task; undone by fs_context_leave, which drops the reference too. */
void fs_context_join(struct fs_context *fs);
void fs_context_leave(struct fs_context *fs); /* null is fine */
void fs_context_get(struct fs_context *fs);
void fs_context_put(struct fs_context *fs);
void fs_context_get_root(struct fs_context *fs, struct path *ret);
void fs_context_get_cwd(struct fs_context *fs, struct path *ret);
void fs_context_set_cwd(struct fs_context *fs, const struct path *p);
void fs_context_set_root(struct fs_context *fs, const struct path *p);

void path_get(const struct path *p);
void path_put(const struct path *p);
/* A place that is in no file system, called name. The inode's reference is taken over, on failure
 * too. -ENFILE. */
[[nodiscard]] int path_create_anon(const char *name, struct inode *inode, struct path *ret);

enum walk_flags {
	WALK_FOLLOW = 1, /* follow a symbolic link in the last component */
	WALK_EMPTY = 2, /* AT_EMPTY_PATH: "" means the start */
	WALK_DIRECTORY = 4, /* the result must be a directory */
	WALK_NO_SYMLINKS = 8, /* RESOLVE_NO_SYMLINKS, and so on */
	WALK_NO_MAGICLINKS = 16,
	WALK_NO_XDEV = 32,
	WALK_BENEATH = 64,
	WALK_IN_ROOT = 128,
	WALK_OPEN_EXEC = 256, /* vfs_open for execve: wants X_OK instead of R_OK, and a regular file
				 (-EACCES) */
};

/* Where a relative path starts: dirfd as the guest gave it (AT_FDCWD: the cwd). -EBADF, -ENOTDIR.
 */
[[nodiscard]] int path_start(struct subject *s, int dirfd, const char *path, struct path *ret);
/* Walk; *ret is owned by the caller. */
[[nodiscard]] int path_walk(struct subject *s, int dirfd, const char *path, u32 flags,
			    struct path *ret);
/* Walk to the parent; *ret_last (NAME_MAX_GUEST+1 bytes) gets the last component;
 * *ret_trailing_slash if one stood there. "." and ".." as last component are returned as they are;
 * "/" if there is none. */
[[nodiscard]] int path_walk_parent(struct subject *s, int dirfd, const char *path, u32 flags,
				   struct path *ret_dir, char *ret_last, bool *ret_trailing_slash);
/* Absolute path as seen from root (appended; "(unreachable)" and " (deleted)" as Linux). */
[[nodiscard]] int path_format(const struct path *p, const struct path *root, struct strbuf *out);

/* The directory that p stands in, mounts that p is the root of left; p's own place at the top. */
void path_parent(const struct path *p, struct path *ret);
/* What name, one component, leads to in directory dir; what is mounted there counts, links are not
 * followed. -ENOENT, -ENOTDIR. */
[[nodiscard]] int path_lookup_one(struct subject *s, const struct path *dir, const char *name,
				  struct path *ret);

/* access(2) by the subject's fsuid and groups; mask of R_OK, W_OK, X_OK. -EACCES, -EROFS. */
int vfs_permission(struct subject *s, const struct path *p, int mask);
struct open_how_k {
	u32 flags, mode;
	u32 walk; /* WALK_* restrictions of openat2 */
};
[[nodiscard]] int vfs_open(struct subject *s, int dirfd, const char *path,
			   const struct open_how_k *how, struct file **ret);
[[nodiscard]] int vfs_mkdir(struct subject *s, int dirfd, const char *path, u32 mode);
[[nodiscard]] int vfs_mknod(struct subject *s, int dirfd, const char *path, u32 mode, u64 rdev);
[[nodiscard]] int vfs_unlink(struct subject *s, int dirfd, const char *path);
[[nodiscard]] int vfs_rmdir(struct subject *s, int dirfd, const char *path);
[[nodiscard]] int vfs_symlink(struct subject *s, const char *target, int dirfd, const char *path);
[[nodiscard]] int vfs_link(struct subject *s, int old_dirfd, const char *old_path, int new_dirfd,
			   const char *new_path, int flags);
[[nodiscard]] int vfs_rename(struct subject *s, int old_dirfd, const char *old_path, int new_dirfd,
			     const char *new_path, u32 flags);
[[nodiscard]] int vfs_getattr(struct subject *s, const struct path *p, struct kstat *ret);
[[nodiscard]] int vfs_setattr(struct subject *s, const struct path *p,
			      const struct iattr *attr); /* permission too */
[[nodiscard]] ssize_t vfs_readlink(struct subject *s, const struct path *p, char *buf, size_t size);
[[nodiscard]] int vfs_truncate(struct subject *s, const struct path *p, s64 size);
/* getxattr(2) and its like; names and values are in kernel memory. size 0 asks for the size needed.
 */
[[nodiscard]] ssize_t vfs_getxattr(struct subject *s, const struct path *p, const char *name,
				   void *buf, size_t size);
[[nodiscard]] ssize_t vfs_listxattr(struct subject *s, const struct path *p, char *buf,
				    size_t size);
/* Null value: removexattr. */
[[nodiscard]] int vfs_setxattr(struct subject *s, const struct path *p, const char *name,
			       const void *value, size_t size, int flags);
[[nodiscard]] int vfs_statfs(struct subject *s, const struct path *p, struct host_statfs *ret);

/* Open what path names (O_PATH of a magic link's target, and so on); no walk. Permission is
 * checked. */
[[nodiscard]] int vfs_open_path(struct subject *s, const struct path *p, u32 flags,
				struct file **ret);

/* ---- mounts, at boot and for mount(2) ---- */

[[nodiscard]] int mount_ns_create(struct super *root_sb, const char *source, u32 flags,
				  struct mount_ns **ret);
void mount_ns_get(struct mount_ns *ns);
void mount_ns_put(struct mount_ns *ns);
/* The directory on top of all mounts on the namespace's root, with references. */
void mount_ns_root(struct mount_ns *ns, struct path *ret);
/* Mount sb (reference taken over on success) on the directory (or file) that path names. */
[[nodiscard]] int vfs_mount(struct subject *s, struct mount_ns *ns, struct super *sb,
			    const char *source, const char *path, u32 flags);
/* As vfs_mount, on a place already found. */
[[nodiscard]] int mount_attach(struct mount_ns *ns, struct super *sb, const char *source,
			       const struct path *on, u32 flags);
/* Replace a mount's flags (SB_RDONLY, ...). */
void mount_set_flags(struct mount *m, u32 flags);
#define MOUNT_FLAGS_MASK \
	(SB_RDONLY | SB_NOSUID | SB_NODEV | SB_NOEXEC | SB_NOSYMFOLLOW | SB_NOATIME | \
	 SB_NODIRATIME | SB_STRICTATIME)

/*
 * Changes of the subject's mount namespace; the errors are those of mount(2), umount2(2) and
 * pivot_root(2), but for permission, which the caller has checked. All may park.
 */
/* p is the root of a mount. */
bool path_is_mounted(const struct path *p);
/* Show from (a directory or file) at on, too; with the mounts below it if recursive. */
[[nodiscard]] int vfs_bind_mount(struct subject *s, const struct path *from, const struct path *on,
				 bool recursive);
[[nodiscard]] int vfs_move_mount(struct subject *s, const struct path *from, const struct path *on);
/* As mount_attach, but refuses to mount the same super on itself (-EBUSY). sb is taken over on
 * success. */
[[nodiscard]] int vfs_new_mount(struct subject *s, struct super *sb, const char *source,
				const struct path *on, u32 flags);
/* Flags (of MOUNT_FLAGS_MASK) of the mount whose root p is. */
[[nodiscard]] int vfs_remount(struct subject *s, const struct path *p, u32 flags);
/* flags: MNT_DETACH, MNT_FORCE, MNT_EXPIRE. p is the caller's; its references are dropped. */
[[nodiscard]] int vfs_umount(struct subject *s, struct path *p, int flags);
/* The mounts have changed places when this returns; who had old_root (to be put by the caller) as
 * root or working directory gets it by fs_context_replace. */
[[nodiscard]] int vfs_pivot_root(struct subject *s, const struct path *new_root,
				 const struct path *put_old, struct path *ret_old_root);
/* Root and working directory become to where they are from. Takes no lock but lc_fs_context; the
 * references dropped are counted, for the caller to put from so many times. */
unsigned int fs_context_replace(struct fs_context *fs, const struct path *from,
				const struct path *to);
/* /proc/PID/mounts, or mountinfo, as seen from root. */
[[nodiscard]] int mount_ns_format(struct mount_ns *ns, const struct path *root, bool info,
				  struct strbuf *out);
