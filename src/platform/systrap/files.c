/*
 * Lane files: memfds shared with stubs. Their first pages are preallocated and their size is
 * sealed, so that a stub can neither truncate them nor make the kernel fault. One is reused only
 * after its stub has been reaped, emptied.
 */

#include <errno.h>
#include <linux/falloc.h>
#include <stdlib.h>

#include "host/host.h"
#include "platform/systrap/internal.h"

#define FREE_FILES_MAX 8

static void lane_file_destroy(struct lane_file *f)
{
	if (f->map)
		host_munmap(f->map, LANE_FILE_SIZE);
	if (f->fd >= 0)
		host_close(f->fd);
	free(f);
}

static int lane_file_open(struct lane_file *f)
{
	int ret;

	f->fd = host_memfd_create("donjon-lanes", MFD_ALLOW_SEALING);
	if (f->fd < 0)
		return f->fd;
	ret = host_ftruncate(f->fd, LANE_FILE_SIZE);
	if (ret < 0)
		return ret;
	ret = host_fcntl(f->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	if (ret < 0)
		return ret;
	f->map = host_mmap(NULL, LANE_FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	if (host_is_err(f->map)) {
		ret = (int)(long)f->map;
		f->map = NULL;
		return ret;
	}
	return 0;
}

int lane_file_get(struct lane_file **ret_file)
{
	struct lane_file *f = NULL;
	int ret;

	systrap_lock();
	if (!list_empty(&g_systrap.free_files)) {
		f = list_first(&g_systrap.free_files, struct lane_file, link);
		list_del(&f->link);
		g_systrap.free_file_count--;
	}
	systrap_unlock();
	if (!f) {
		f = calloc(1, sizeof(*f));
		if (!f)
			return -ENOMEM;
		list_init(&f->link);
		f->fd = -1;
		ret = lane_file_open(f);
		if (ret) {
			lane_file_destroy(f);
			return ret;
		}
	}
	*ret_file = f;
	return 0;
}

void lane_file_put(struct lane_file *f)
{
	static const u8 zeros[PAGE_SIZE];
	bool keep = false;
	int ret;

	/* What a guest left there is nobody else's business. The first page will be needed again at
	 * once. */
	ret = host_fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE_SIZE,
			     LANE_FILE_SIZE - PAGE_SIZE);
	f->clean = !host_shared_write(f->map, zeros, sizeof(zeros));
	if (!ret && f->clean) {
		systrap_lock();
		keep = g_systrap.free_file_count < FREE_FILES_MAX && !g_systrap.stopping;
		if (keep) {
			list_add(&g_systrap.free_files, &f->link);
			g_systrap.free_file_count++;
		}
		systrap_unlock();
	}
	if (!keep)
		lane_file_destroy(f);
}

void lane_files_drop_all(void)
{
	struct lane_file *f, *n;

	list_for_each_safe(f, n, &g_systrap.free_files, link)
		lane_file_destroy(f);
	list_init(&g_systrap.free_files);
	g_systrap.free_file_count = 0;
}
