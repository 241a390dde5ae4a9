/*
 * hostfs: making, deleting and renaming names on the host.
 *
 * The vfs holds the locks of the directories, so that the guest is alone; others on the host are
 * not kept out. What they do between two calls shows as the host's own error, or as ESTALE: a name
 * is only ever used relative to its directory's descriptor, and no last link is followed.
 *
 * What is made has the mode that the guest asked for, less its umask (the kernel's own is 0), and
 * belongs to the user on the host whom the kernel runs as, whoever the guest's user is.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <string.h>

#include "fs/hostfs/internal.h"
#include "host/budget.h"
#include "host/host.h"

/* The descriptor of a directory that may be changed, pinned. */
static int dir_get(struct inode *dir)
{
	if (!(hostfs_of(dir->sb)->flags & HOSTFS_WRITABLE))
		return -EROFS;
	if (hostfs_node_of(dir)->state != NODE_PLAIN)
		return -EACCES;
	return hostfs_fd_get(dir);
}

/* The inode of what has just been made at name, which must be of the type. */
static int look_up_new(struct inode *dir, int dirfd, const char *name, u32 type,
		       struct inode **ret_inode)
{
	enum hostfs_state state;
	struct statx stx;
	int err = hostfs_look(dirfd, hostfs_node_of(dir), name, &stx, &state);

	if (err)
		return err;
	if ((stx.stx_mode & S_IFMT) != type || state != NODE_PLAIN)
		return -ESTALE;
	return hostfs_node_get(dir->sb, dir, name, state, &stx, 0, ret_inode);
}

/* The times and link counts of a directory in which something was done. */
static int dir_put(struct inode *dir, int err)
{
	hostfs_fd_put(dir);
	if (!err)
		hostfs_refresh(dir);
	return err;
}

static int file_from_fd(struct inode *dir, const char *name, int fd, struct inode **ret_inode)
{
	struct statx stx;
	int err = host_statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID,
			     &stx);

	return err ? err : hostfs_node_get(dir->sb, dir, name, NODE_PLAIN, &stx, 0, ret_inode);
}

int hostfs_make_file(struct subject *s, struct inode *dir, const char *name, u32 mode,
		     struct inode **ret_inode)
{
	int dirfd = dir_get(dir), fd, err;

	if (dirfd < 0)
		return dirfd;
	if (!host_fd_charge()) {
		hostfs_fd_put(dir);
		return -ENFILE;
	}
	fd = hostfs_open_one(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOCTTY, mode & 07777,
			     false);
	err = fd < 0 ? fd : file_from_fd(dir, name, fd, ret_inode);
	if (!err) {
		/* Its maker may write to it, whatever its mode says. */
		hostfs_give_wfd(*ret_inode, fd);
	} else {
		if (fd >= 0)
			host_close(fd);
		host_fd_uncharge();
	}
	return dir_put(dir, err);
}

int hostfs_make_dir(struct subject *s, struct inode *dir, const char *name, u32 mode,
		    struct inode **ret_inode)
{
	int dirfd = dir_get(dir), err;

	if (dirfd < 0)
		return dirfd;
	err = host_mkdirat(dirfd, name, mode & 07777);
	if (!err)
		err = look_up_new(dir, dirfd, name, S_IFDIR, ret_inode);
	return dir_put(dir, err);
}

int hostfs_make_symlink(struct subject *s, struct inode *dir, const char *name, const char *target,
			struct inode **ret_inode)
{
	int dirfd = dir_get(dir), err;

	if (dirfd < 0)
		return dirfd;
	err = host_symlinkat(target, dirfd, name);
	if (!err)
		err = look_up_new(dir, dirfd, name, S_IFLNK, ret_inode);
	return dir_put(dir, err);
}

/* The name must be of the very file that the guest has: another may stand there by now. */
static int check_link(struct inode *inode, int dirfd, const char *name)
{
	struct statx stx;
	int err =
		host_statx(dirfd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &stx);

	if (err)
		return err;
	if (hostfs_same_file(inode, &stx))
		return 0;
	err = host_unlinkat(dirfd, name, 0);
	return err ? err : -ESTALE;
}

int hostfs_link(struct subject *s, struct inode *inode, struct inode *dir, const char *name)
{
	char old_name[NAME_MAX_GUEST + 1];
	struct inode *old_dir;
	int dirfd, old_dirfd, err;
	bool crosses;

	dirfd = dir_get(dir);
	if (dirfd < 0)
		return dirfd;
	old_dir = hostfs_place(hostfs_node_of(inode), old_name, &crosses);
	old_dirfd = old_dir ? hostfs_fd_get(old_dir) : -EXDEV;
	err = old_dirfd;
	if (old_dirfd >= 0) {
		err = host_linkat(old_dirfd, old_name, dirfd, name);
		hostfs_fd_put(old_dir);
	}
	if (!err)
		err = check_link(inode, dirfd, name);
	inode_put(old_dir);
	hostfs_refresh(inode);
	return dir_put(dir, err);
}

/* A name of the victim's is gone. */
static void unlinked(struct inode *victim)
{
	struct hostfs_node *n = hostfs_node_of(victim);
	u32 before = victim->nlink;

	if (n->opens)
		hostfs_refresh(victim);
	if (victim->nlink == before && before)
		inode_add_nlink(victim, S_ISDIR(victim->mode) ? -(int)before : -1);
}

static int remove_name(struct inode *dir, const char *name, struct inode *victim, int flags)
{
	int dirfd = dir_get(dir), err;

	if (dirfd < 0)
		return dirfd;
	err = host_unlinkat(dirfd, name, flags);
	if (!err)
		unlinked(victim);
	return dir_put(dir, err);
}

int hostfs_unlink(struct subject *s, struct inode *dir, const char *name, struct inode *victim)
{
	return remove_name(dir, name, victim, 0);
}

int hostfs_rmdir(struct subject *s, struct inode *dir, const char *name, struct inode *victim)
{
	return remove_name(dir, name, victim, AT_REMOVEDIR);
}

int hostfs_rename(struct subject *s, struct inode *old_dir, const char *old_name,
		  struct inode *victim, struct inode *new_dir, const char *new_name,
		  struct inode *target, u32 flags)
{
	int old_fd = dir_get(old_dir), new_fd, err;

	if (old_fd < 0)
		return old_fd;
	new_fd = dir_get(new_dir);
	if (new_fd < 0) {
		hostfs_fd_put(old_dir);
		return new_fd;
	}
	err = host_renameat2(old_fd, old_name, new_fd, new_name, flags);
	if (!err) {
		hostfs_move(hostfs_node_of(victim), new_dir, new_name);
		if (target && flags & RENAME_EXCHANGE)
			hostfs_move(hostfs_node_of(target), old_dir, old_name);
		else if (target)
			unlinked(target);
		hostfs_refresh(victim);
	}
	err = dir_put(new_dir, err);
	return dir_put(old_dir, err);
}
