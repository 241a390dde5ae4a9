/*
 * memfd_create(2) and seals.
 *
 * A memfd is a regular file of a tmpfs of its own that is mounted nowhere, in the memory of one
 * sealable memfd of the host. Its seals are the host's: so they hold for what is written, for the
 * size and for mappings, even those that a hostile guest kept behind our back (EBUSY). The inode
 * remembers them too, for mmap to tell what a mapping may become.
 *
 * Difference from Linux: no huge pages are reserved, so a memfd of them can be made but not mapped.
 */

#include "fs/tmpfs/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <string.h>

#include "arena/arena.h"
#include "cred/cred.h"
#include "fs/tmpfs/internal.h"
#include "host/file.h"
#include "host/host.h"
#include "platform/platform.h"
#include "sched/fiber.h"
#include "sched/timer.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#define MFD_EXEC 16U
#endif

#define ALL_SEALS \
	(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | \
	 TMPFS_SEAL_EXEC)
#define HUGE_SHIFT_DEFAULT 21
#define DYING_TRIES 2000
#define DYING_WAIT_NS 1'000'000

int memfd_init(int proc_fd, u64 size_limit)
{
	struct super *sb;
	int err = tmpfs_create(01777, 0, 0, size_limit, &sb);

	if (err)
		return err;
	tmpfs_set_proc_fd(sb, proc_fd);
	arena_set_root_of(ARENA_ROOT_SHMEM, sb);
	return 0;
}

static int memfd_check(u32 flags, u32 *ret_huge)
{
	u32 shift = flags >> MFD_HUGE_SHIFT & MFD_HUGE_MASK;

	*ret_huge = 0;
	if (flags & MFD_EXEC && flags & MFD_NOEXEC_SEAL)
		return -EINVAL;
	if (!(flags & MFD_HUGETLB))
		return 0;
	if (!shift)
		shift = HUGE_SHIFT_DEFAULT;
	if (shift != HUGE_SHIFT_DEFAULT && shift != 30)
		return -ENODEV;
	*ret_huge = 1U << shift;
	return 0;
}

int memfd_check_flags(u32 flags)
{
	u32 known = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_NOEXEC_SEAL | MFD_EXEC;

	if (flags & MFD_HUGETLB)
		known |= (u32)MFD_HUGE_MASK << MFD_HUGE_SHIFT;
	return flags & ~known ? -EINVAL : 0;
}

int memfd_create_file(struct subject *s, const char *name, u32 flags, struct file **ret)
{
	struct super *sb = arena_root_of(ARENA_ROOT_SHMEM);
	char shown[MEMFD_NAME_MAX + sizeof("/memfd: (deleted)")];
	u32 mode = S_IFREG | (flags & MFD_NOEXEC_SEAL ? 0666 : 0777), huge;
	struct inode *inode;
	int err = memfd_check(flags, &huge);

	if (err)
		return err;
	if (!sb)
		return -ENOSYS;
	err = tmpfs_inode_create(sb, mode, s->cred->fsuid, s->cred->fsgid, 0, &inode);
	if (err)
		return err == -ENOSPC ? -ENOMEM : err;
	inode->nlink = 0;
	err = tmpfs_data_make_sealable(inode, huge);
	if (err == -ENOSPC)
		err = -ENFILE; /* the host's descriptors */
	if (!err && flags & MFD_NOEXEC_SEAL)
		err = tmpfs_data_seal(inode, TMPFS_SEAL_EXEC);
	else if (!err && !(flags & MFD_ALLOW_SEALING))
		err = tmpfs_data_seal(inode, F_SEAL_SEAL);
	snprintf(shown, sizeof(shown), "/memfd:%s (deleted)", name);
	if (!err)
		err = file_create_nameless(s, shown, inode, O_RDWR | O_LARGEFILE_ABI, ret);
	inode_put(inode);
	if (!err)
		(*ret)->ops = OPS(tmpfs_file_ops);
	return err;
}

static bool has_seals(const struct file *f)
{
	return f->ops == OPS(tmpfs_file_ops);
}

static int add_seals(struct inode *inode, u32 seals)
{
	int ret = -EPERM;

	/* Locked, so that no write is under way. */
	mutex_lock(&inode->lock, &lc_inode);
	/* What can be executed and must stay so is not to be written either. */
	if (seals & TMPFS_SEAL_EXEC && inode->mode & 0111)
		seals |= F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
	if (!(tmpfs_data_seals(inode) & F_SEAL_SEAL))
		ret = tmpfs_data_seal(inode, seals);
	mutex_unlock(&inode->lock, &lc_inode);
	return ret;
}

/* A guest process that is dead may still be mapping it on the host, for a moment. */
static int add_seals_after_deaths(struct inode *inode, u32 seals)
{
	int ret;

	for (int i = 0; i < DYING_TRIES; i++) {
		ret = add_seals(inode, seals);
		if (ret != -EBUSY || !platform_has_dying() ||
		    fiber_park_killable(sched_now() + DYING_WAIT_NS) == -EINTR)
			break;
	}
	return ret;
}

long memfd_fcntl(struct file *f, int cmd, u64 arg)
{
	if (cmd == F_GET_SEALS)
		return has_seals(f) ? (long)tmpfs_data_seals(f->inode) : -EINVAL;
	if (arg & ~0xffff'ffffUL)
		return -EINVAL;
	if (!f->writable)
		return -EPERM;
	if (arg & ~(u64)ALL_SEALS || !has_seals(f))
		return -EINVAL;
	return add_seals_after_deaths(f->inode, (u32)arg);
}

bool memfd_write_sealed(const struct file *f)
{
	return has_seals(f) &&
	       tmpfs_data_seals(f->inode) & (u32)(F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
}
