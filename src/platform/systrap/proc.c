/*
 * What we read from the host's procfs: our own mappings at boot, our children when one is suspected
 * of being nobody's, and lanes' CPU time. Nothing breaks where it cannot be read.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "host/host.h"
#include "platform/systrap/internal.h"

#define CHILDREN_MAX 4096
#define STATS_KEPT_MAX 64

int proc_open(const char *path)
{
	char full[80];

	if (g_systrap.proc_fd > 0)
		return host_openat(g_systrap.proc_fd, path, O_RDONLY, 0);
	snprintf(full, sizeof(full), "/proc/%s", path);
	return host_openat(AT_FDCWD, full, O_RDONLY, 0);
}

ssize_t proc_read(const char *path, char *buf, size_t size)
{
	int fd = proc_open(path);
	size_t done = 0;
	ssize_t n = 0;

	if (fd < 0)
		return fd;
	while (done < size - 1) {
		n = host_read(fd, buf + done, size - 1 - done);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	host_close(fd);
	buf[done] = '\0';
	return n < 0 ? n : (ssize_t)done;
}

unsigned int proc_cpus(void)
{
	char buf[16'384];
	unsigned int count = 0;

	if (proc_read("stat", buf, sizeof(buf)) < 0)
		return 0;
	/* The first line is their sum. */
	for (const char *p = strstr(buf, "\ncpu"); p && !strncmp(p, "\ncpu", 4);
	     p = strchr(p + 1, '\n'))
		count++;
	return count;
}

int proc_children(pid_t *ret, unsigned int max)
{
	size_t size = 8 * (size_t)max + 1;
	char path[48], *buf = malloc(size), *p, *end;
	unsigned int count = 0;

	if (!buf)
		return -1;
	snprintf(path, sizeof(path), "self/task/%d/children", g_systrap.main_tid);
	if (proc_read(path, buf, size) < 0) {
		free(buf);
		return -1;
	}
	for (p = buf; count < max; p = end) {
		long pid = strtol(p, &end, 10);

		if (end == p)
			break;
		ret[count++] = (pid_t)pid;
	}
	free(buf);
	return (int)count;
}

/* Keep fd for the next look at the lane, if not too many are kept. */
static void stat_keep(struct pf_thread *t, int fd)
{
	int none = -1;

	if (atomic_fetch_add(&g_systrap.stats_kept, 1) < STATS_KEPT_MAX &&
	    atomic_compare_exchange_strong(&t->stat_fd, &none, fd))
		return;
	atomic_fetch_sub(&g_systrap.stats_kept, 1);
	host_close(fd);
}

static int stat_take(struct pf_thread *t)
{
	int fd = atomic_load(&t->stat_fd) < 0 ? -1 : atomic_exchange(&t->stat_fd, -1);

	if (fd >= 0)
		atomic_fetch_sub(&g_systrap.stats_kept, 1);
	return fd;
}

void proc_forget(struct pf_thread *t)
{
	int fd = stat_take(t);

	if (fd >= 0)
		host_close(fd);
}

u64 proc_cpu_time(struct pf_thread *t, pid_t pid, pid_t tid)
{
	char path[48], buf[64];
	int fd = stat_take(t);
	ssize_t n;

	if (fd < 0) {
		snprintf(path, sizeof(path), "%d/task/%d/schedstat", pid, tid);
		fd = proc_open(path);
	}
	if (fd < 0)
		return 0;
	n = host_pread(fd, buf, sizeof(buf) - 1, 0);
	if (n <= 0) {
		host_close(fd);
		return 0;
	}
	stat_keep(t, fd);
	buf[n] = '\0';
	return strtoull(buf, NULL, 10);
}

/* ---- children that belong to no space ---- */

static bool is_known(pid_t pid)
{
	bool known;

	systrap_lock();
	known = pid == g_systrap.zygote_pid || pid == g_systrap.embryo_pid || thread_by_tid(pid) ||
		space_by_pid(pid);
	systrap_unlock();
	return known;
}

static unsigned int strangers_list(pid_t *ret, unsigned int max)
{
	int count = proc_children(ret, max);
	unsigned int strangers = 0;

	for (int i = 0; i < count; i++)
		if (!is_known(ret[i]))
			ret[strangers++] = ret[i];
	return strangers;
}

/*
 * How many there are more than forks under way explain; forking: the caller's own is one of those.
 * Also has the keeper look again until the rest is explained, or killed.
 */
unsigned int strangers_count(bool forking)
{
	pid_t *pids = malloc(CHILDREN_MAX * sizeof(*pids));
	unsigned int count, allowed;

	if (!pids)
		return 1;
	count = strangers_list(pids, CHILDREN_MAX);
	free(pids);
	systrap_lock();
	allowed = g_systrap.forks_open - (forking && g_systrap.forks_open ? 1 : 0) +
		  (g_systrap.embryo ? 1 : 0);
	if (count)
		g_systrap.suspicious = true;
	systrap_unlock();
	if (count)
		keeper_wake();
	return count > allowed ? count - allowed : 0;
}

/* The keeper's look: whoever stays a stranger for longer than any fork may take is killed. */
void strangers_kill(void)
{
	static pid_t old[CHILDREN_MAX]; /* [keeper] seen in the last look */
	static unsigned int old_count;
	static s64 next_look;
	pid_t *pids;
	unsigned int count;

	if (sched_now() < next_look)
		return;
	pids = malloc(CHILDREN_MAX * sizeof(*pids));
	if (!pids)
		return;
	next_look = sched_now() + g_systrap.deadline_ns + 1'000'000'000;
	count = strangers_list(pids, CHILDREN_MAX);
	for (unsigned int i = 0; i < count; i++)
		for (unsigned int j = 0; j < old_count; j++)
			if (pids[i] == old[j]) {
				log_warn("platform: process %d belongs to nobody; killed", pids[i]);
				(void)host_kill(pids[i], SIGKILL);
				(void)host_waitid(P_PID, pids[i], &(siginfo_t){},
						  WEXITED | WNOHANG | __WALL);
			}
	for (unsigned int i = 0; i < count; i++)
		old[i] = pids[i];
	old_count = count;
	free(pids);
	if (!count) {
		systrap_lock();
		g_systrap.suspicious = false;
		systrap_unlock();
	}
}
