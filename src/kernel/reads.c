/* See reads.h. */

#include "kernel/reads.h"

#include <sys/syscall.h>

#include "net/net.h"
#include "vfs/fdtable.h"
#include "vfs/vfs.h"

#define LEND_AFTER 4 /* reads that would have been answered */
#define READ_MOST 256U /* bytes: more is not worth being copied twice */
#define SETTLE_NS 50'000

void reads_waited(struct task *t)
{
	struct task_reads *r = &t->reads;

	r->fresh = r->ready.count > 0;
}

void reads_used(struct task *t, int fd, long ret)
{
	struct task_reads *r = &t->reads;

	if (ret <= 0 || ret > READ_MOST || r->streak >= LEND_AFTER)
		return;
	for (u32 i = 0; i < r->ready.count; i++)
		if (r->ready.fd[i] == fd) {
			r->streak++;
			return;
		}
}

/* What is to be read from fd, if only t can. Returns its size, or a negative errno. */
static ssize_t peek(struct task *t, int fd, char *buf, size_t size, u64 *ret_cookie)
{
	struct file *f = fd_get(t->subject.files, fd, NULL);
	ssize_t ret = -EAGAIN;

	/* In this table, and held by us. */
	if (f && refcount_read(&f->refs) == 2)
		ret = sock_peek_all(&t->subject, f, buf, size);
	if (ret > 0)
		*ret_cookie = sock_cookie(f);
	file_put(f);
	return ret;
}

static void lend_ready(struct task *t)
{
	struct task_reads *r = &t->reads;
	UNINIT struct pf_reads reads;
	size_t used = 0;

	reads.done = reads.count = 0;
	for (u32 i = 0; i < r->ready.count; i++) {
		int fd = r->ready.fd[i];
		ssize_t n = peek(t, fd, reads.data + used, min(READ_MOST, PF_READS_SIZE - used),
				 &r->item[reads.count].cookie);

		if (n <= 0)
			continue;
		r->item[reads.count].fd = fd;
		r->item[reads.count].size = (u32)n;
		reads.item[reads.count++] = (struct pf_read){ fd, (u32)n, (u32)used };
		used += (size_t)n;
	}
	if (reads.count && !pf_reads_lend(t->subject.thread, &reads, used))
		r->lent = (1U << reads.count) - 1;
}

bool reads_lend(struct task *t)
{
	struct task_reads *r = &t->reads;

	if (likely(!r->fresh && !r->lent))
		return false;
	/* Before the files' references are looked at: see reads_settle. */
	atomic_store(&r->running, true);
	if (r->fresh && r->streak >= LEND_AFTER && fdtable_users(t->subject.files) == 1)
		lend_ready(t);
	r->fresh = false;
	if (!r->lent)
		atomic_store(&r->running, false);
	return r->lent;
}

/* Take off the queue what has been read. */
static void consume(struct task *t, int fd, u32 size)
{
	struct file *f = fd_get(t->subject.files, fd, NULL);
	char buf[READ_MOST];
	struct uio u;

	if (!f)
		return;
	uio_init_kernel(&u, buf, size);
	u.nowait = true;
	(void)file_read(&t->subject, f, &u, NULL);
	file_put(f);
}

/* What t may do without ending what it is lent: nothing of this reads, or gives files to others. */
static bool is_harmless(int nr)
{
	return nr == SYS_write || nr == SYS_sendto || nr == SYS_epoll_ctl;
}

/* It will be told anew what is ready. */
static bool is_wait(int nr)
{
	return nr == SYS_epoll_wait || nr == SYS_epoll_pwait || nr == SYS_epoll_pwait2;
}

/* Is t about to send to a socket that it is lent reads of? The next read gives that too. */
static bool feeds(struct task *t, int nr)
{
	struct task_reads *r = &t->reads;
	struct file *f;
	bool ret = false;
	u64 peer;

	if (nr == SYS_epoll_ctl || !r->lent)
		return false;
	f = fd_get(t->subject.files, (int)t->regs.rdi, NULL);
	peer = f ? sock_peer_cookie(f) : 0;
	for (u32 i = 0; peer && i < PF_READS; i++)
		ret |= r->lent >> i & 1 && r->item[i].cookie == peer;
	file_put(f);
	return ret;
}

void reads_back(struct task *t, bool done, int nr)
{
	struct task_reads *r = &t->reads;
	u32 read = done ? pf_reads_take(t->subject.thread) & r->lent : 0;

	r->lent &= ~read;
	for (; read; read &= read - 1) {
		u32 i = (u32)__builtin_ctz(read);

		consume(t, r->item[i].fd, r->item[i].size);
	}
	atomic_store(&r->running, false);
	if (is_wait(nr) && r->lent) {
		/* It did not want what it was given. */
		r->streak = 0;
		r->lent = 0;
	} else if (!is_harmless(nr) || feeds(t, nr)) {
		r->lent = 0;
	}
}

void reads_settle(struct task *t)
{
	/* Rare. Guest code that is interrupted answers soon, or is ended. */
	while (atomic_load(&t->reads.running))
		(void)fiber_park(sched_now() + SETTLE_NS);
}
