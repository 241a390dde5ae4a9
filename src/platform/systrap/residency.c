/* What of a space is in memory, as the host's procfs tells of its stub. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/host.h"
#include "platform/systrap/internal.h"

#define LINE_MAX_SIZE 8192 /* more than any line but for the name at its end */

static pid_t space_pid(struct pf_space *s)
{
	pid_t pid;

	systrap_lock();
	pid = s->reaped || space_is_dead(s) ? 0 : s->pid;
	systrap_unlock();
	return pid;
}

/* "Key:  N kB" -> N * 1024 in *ret, if the line has that key. */
static bool take_size(const char *line, const char *key, u64 *ret)
{
	size_t len = strlen(key);

	if (strncmp(line, key, len) != 0 || line[len] != ':')
		return false;
	*ret = strtoull(line + len + 1, NULL, 10) * 1024;
	return true;
}

int pf_space_residency(struct pf_space *s, struct pf_residency *ret)
{
	char path[32], buf[8192];
	pid_t pid = space_pid(s);
	ssize_t n;

	*ret = (struct pf_residency){};
	if (!pid)
		return -ESRCH;
	snprintf(path, sizeof(path), "%d/status", pid);
	n = proc_read(path, buf, sizeof(buf));
	if (n <= 0)
		return n < 0 ? (int)n : -ESRCH;
	for (const char *line = buf; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		(void)(take_size(line, "RssAnon", &ret->anonymous) ||
		       take_size(line, "RssFile", &ret->file) ||
		       take_size(line, "RssShmem", &ret->shmem) ||
		       take_size(line, "VmHWM", &ret->peak) ||
		       take_size(line, "VmPTE", &ret->page_tables) ||
		       take_size(line, "VmSwap", &ret->swap));
	}
	return 0;
}

/* ---- by range ---- */

struct smaps_reader {
	struct pf_range_usage range; /* the one whose lines come */
	bool in_range;
	pf_range_fn *fn;
	void *arg;
	int fd;
};

static void range_end(struct smaps_reader *r)
{
	if (r->in_range && r->range.start < g_systrap.base)
		r->fn(&r->range, r->arg);
	r->in_range = false;
}

static void smaps_line(struct smaps_reader *r, const char *line)
{
	struct pf_range_usage *u = &r->range;
	u64 start, end;
	char *p;

	start = strtoull(line, &p, 16);
	if (p != line && *p == '-') {
		end = strtoull(p + 1, &p, 16);
		if (*p == ' ' && end > start) {
			range_end(r);
			*u = (struct pf_range_usage){ .start = start, .end = end };
			r->in_range = true;
			return;
		}
	}
	(void)(take_size(line, "Rss", &u->rss) || take_size(line, "Pss", &u->pss) ||
	       take_size(line, "Shared_Clean", &u->shared_clean) ||
	       take_size(line, "Shared_Dirty", &u->shared_dirty) ||
	       take_size(line, "Private_Clean", &u->private_clean) ||
	       take_size(line, "Private_Dirty", &u->private_dirty) ||
	       take_size(line, "Referenced", &u->referenced) ||
	       take_size(line, "Anonymous", &u->anonymous) ||
	       take_size(line, "AnonHugePages", &u->anon_huge) ||
	       take_size(line, "Swap", &u->swap));
}

/* Hand over the whole lines of buf[0..len); the rest is moved to its start. A line that is too long
 * (its name is) loses its end. */
static size_t take_lines(struct smaps_reader *r, char *buf, size_t len, bool *skipping)
{
	size_t at = 0;
	char *end;

	while ((end = memchr(buf + at, '\n', len - at))) {
		*end = '\0';
		if (!*skipping)
			smaps_line(r, buf + at);
		*skipping = false;
		at = (size_t)(end - buf) + 1;
	}
	if (at == 0 && len == LINE_MAX_SIZE) {
		buf[len - 1] = '\0';
		if (!*skipping)
			smaps_line(r, buf);
		*skipping = true;
		return 0;
	}
	memmove(buf, buf + at, len - at);
	return len - at;
}

static long read_smaps(void *arg)
{
	struct smaps_reader *r = arg;
	char buf[LINE_MAX_SIZE];
	bool skipping = false;
	size_t len = 0;
	ssize_t n;

	while ((n = host_read(r->fd, buf + len, sizeof(buf) - len)) > 0)
		len = take_lines(r, buf, len + (size_t)n, &skipping);
	range_end(r);
	return n;
}

int pf_space_ranges(struct pf_space *s, pf_range_fn *fn, void *arg)
{
	struct smaps_reader r = { .fn = fn, .arg = arg };
	char path[32];
	pid_t pid = space_pid(s);
	long ret;

	if (!pid)
		return -ESRCH;
	snprintf(path, sizeof(path), "%d/smaps", pid);
	r.fd = proc_open(path);
	if (r.fd < 0)
		return r.fd;
	/* The host walks all page tables: for many mappings that takes milliseconds. */
	ret = pool_call(read_smaps, &r);
	host_close(r.fd);
	return (int)min(ret, 0L);
}
