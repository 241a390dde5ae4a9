/* Debug builds: what is left at the end of a sandbox. */

#include "sandbox/audit.h"

#ifdef DONJON_DEBUG

#include <fcntl.h>
#include <string.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "base/log.h"
#include "host/host.h"
#include "net/net.h"

/* Classes whose objects all belong to guest processes, or to files that those have open (not to
 * inodes, which stay). */
static const char *const transient_classes[] = {
	"task",	     "thread_group", "sighand",	   "sigqueue",	    "posix_timer", "process_group",
	"session",   "pid",	     "mm",	   "mm_share",	    "vma",	   "exec_build",
	"fdtable",   "file",	     "pipe",	   "pipe_buf",	    "pipe_page",   "epoll",
	"epitem",    "eventfd",	     "sock",	   "skb",	    "file_list",   "flight_user",
	"file_lock", "fasync",	     "dnotify",	   "fs_context",    "proc_text",   "tty",
	"tty_file",  "timerfd",	     "signalfd",   "signalfd_link", "inotify",	   "watch",
	"unix_addr", "nl_sock",	     "membership",
};

static void check_class(const char *name, u64 count, void *arg)
{
	unsigned int *found = arg;

	if (count)
		log_debug("audit: %lu of class %s", count, name);
	for (size_t i = 0; count && i < ARRAY_SIZE(transient_classes); i++) {
		if (strcmp(name, transient_classes[i]) != 0)
			continue;
		log_error("audit: %lu objects of class %s are left", count, name);
		++*found;
	}
}

unsigned int audit_end(int proc_fd)
{
	int fd;
	unsigned int found = 0;

	net_quiesce();
	fd = host_openat(proc_fd, "self/maps", O_RDONLY | O_CLOEXEC, 0);
	slab_for_each_class(check_class, &found)
		;
	if (fd < 0)
		return found;
	found += arena_check(fd);
	host_close(fd);
	return found;
}

#endif
