/*
 * System calls that the lane answers itself, if the kernel allows it (struct pf_quick): they
 * concern this thread alone, and the kernel hears of them with the next event. Whatever is unusual
 * about a call is left to the kernel, before anything has been changed.
 */

#include "platform/systrap/stub/quick.h"

#include <asm/prctl.h>
#include <asm/resource.h>
#include <asm/unistd.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/random.h>

#define RSEQ_SIZE 32
#define RANDOM_MAX 256
#define SA_RESTORER 0x04000000UL
#define SA_LIKELY (SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | SA_RESETHAND | SA_RESTORER)
#define UNBLOCKABLE (1UL << (SIGKILL - 1) | 1UL << (SIGSTOP - 1))

/*
 * A signal that was sent before the mask changes must be taken before the call returns: then the
 * kernel has set `revoked`. If it does so after we have looked, the call came first.
 */
static bool change_mask(struct lane *lane, u64 mask)
{
	struct pf_quick *q = &lane->quick, before = *q;

	q->blocked = mask;
	q->done |= PF_QUICK_SIGMASK;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&lane->revoked, __ATOMIC_SEQ_CST))
		return true;
	q->blocked = before.blocked;
	q->done = before.done;
	return false;
}

/*
 * The likely flags only. What SIGCHLD does is looked at by children that end, without a look at
 * this thread.
 */
static bool quick_action(struct lane *lane, const greg_t *g)
{
	struct lane_actions *a = &lane->actions;
	u64 from = (u64)g[REG_RSI], to = (u64)g[REG_RDX], bit, changed = a->changed;
	u32 signal = (u32)g[REG_RDI], done = lane->quick.done;
	struct pf_action new = {}, old;

	if (signal < 1 || signal > PF_ACTIONS || signal == SIGCHLD || g[REG_R10] != sizeof(u64))
		return false;
	bit = 1UL << (signal - 1);
	old = a->at[signal - 1];
	/* Should the kernel have to make the call after all, it must find the action as it was. */
	if (from &&
	    ((bit & UNBLOCKABLE) || (to && to - from + sizeof(new) - 1 < 2 * sizeof(new) - 1) ||
	     !in_guest(from, sizeof(new)) || guest_copy(&new, (const void *)from, sizeof(new)) ||
	     (new.flags & ~SA_LIKELY)))
		return false;
	if (to && (!in_guest(to, sizeof(old)) || guest_copy((void *)to, &old, sizeof(old))))
		return false;
	if (!from)
		return true;
	new.mask &= ~UNBLOCKABLE;
	a->at[signal - 1] = new;
	a->changed |= bit;
	lane->quick.done |= PF_QUICK_ACTIONS;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&lane->revoked, __ATOMIC_SEQ_CST)) /* see change_mask */
		return true;
	a->at[signal - 1] = old;
	a->changed = changed;
	lane->quick.done = done;
	return false;
}

static bool quick_sigmask(struct lane *lane, const greg_t *g)
{
	const struct pf_quick *q = &lane->quick;
	u64 set = (u64)g[REG_RSI], old = (u64)g[REG_RDX], before = q->blocked, mask = before;

	if (g[REG_R10] != sizeof(mask))
		return false;
	/* Should the kernel have to make the call after all, it must find the set as it was. */
	if (set && old && old - set + sizeof(mask) - 1 < 2 * sizeof(mask) - 1)
		return false;
	if (set) {
		if (!in_guest(set, sizeof(mask)) ||
		    guest_copy(&mask, (const void *)set, sizeof(mask)))
			return false;
		mask &= ~UNBLOCKABLE;
		switch ((int)g[REG_RDI]) {
		case SIG_BLOCK:
			mask |= before;
			break;
		case SIG_UNBLOCK:
			mask = before & ~mask;
			break;
		case SIG_SETMASK:
			break;
		default:
			return false;
		}
	}
	if (old &&
	    (!in_guest(old, sizeof(before)) || guest_copy((void *)old, &before, sizeof(before))))
		return false;
	return mask == before || change_mask(lane, mask);
}

static bool quick_rseq(struct pf_quick *q, struct lane_private *priv, const greg_t *g)
{
	u64 area = (u64)g[REG_RDI];
	u32 size = (u32)g[REG_RSI], signature = (u32)g[REG_R10];

	if (priv->rseq_area || (int)g[REG_RDX] || size != RSEQ_SIZE || area % RSEQ_SIZE || !area ||
	    !in_guest(area, size) || fast_call(__NR_rseq, area, size, 0, signature, 0, 0))
		return false;
	priv->rseq_area = q->rseq_area = area;
	priv->rseq_size = q->rseq_size = size;
	priv->rseq_signature = q->rseq_signature = signature;
	q->done |= PF_QUICK_RSEQ;
	return true;
}

/* All that stays within the last page. */
static bool quick_brk(struct pf_quick *q, u64 brk)
{
	if (brk < q->start_brk)
		return true;
	if (page_up(brk) != page_up(q->brk))
		return false;
	if (brk != q->brk) {
		q->brk = brk;
		q->done |= PF_QUICK_BRK;
	}
	return true;
}

static bool quick_madvise(const greg_t *g)
{
	u64 addr = (u64)g[REG_RDI], size = (u64)g[REG_RSI];

	return (int)g[REG_RDX] == MADV_DONTNEED && addr % PAGE_SIZE == 0 && size &&
	       in_guest(addr, size) && size % PAGE_SIZE == 0 &&
	       fast_call(__NR_madvise, addr, size, MADV_DONTNEED, 0, 0, 0) == 0;
}

/* No more than the host gives at once. */
static bool quick_random(const greg_t *g)
{
	u64 at = (u64)g[REG_RDI], size = (u64)g[REG_RSI];

	return size <= RANDOM_MAX && !((u32)g[REG_RDX] & ~(u32)GRND_NONBLOCK) &&
	       in_guest(at, size) &&
	       fast_call(__NR_getrandom, at, size, GRND_NONBLOCK, 0, 0, 0) == (long)size;
}

/* Somebody who changes the limit from then on relies on the new one: see change_mask. */
static bool quick_limit(const struct lane *lane, const greg_t *g)
{
	const struct pf_quick *q = &lane->quick;
	u64 to = (u64)g[REG_R10];

	return (!(u32)g[REG_RDI] || (u32)g[REG_RDI] == q->tid) && (u32)g[REG_RSI] == RLIMIT_STACK &&
	       !g[REG_RDX] && in_guest(to, sizeof(q->stack_limit)) &&
	       !__atomic_load_n(&lane->revoked, __ATOMIC_SEQ_CST) &&
	       !guest_copy((void *)to, q->stack_limit, sizeof(q->stack_limit));
}

void quick_exit(struct lane *lane)
{
	struct pf_quick *q = &lane->quick;
	struct robust_list_head head;
	u64 at = q->robust_list;

	if (!at || !(q->allowed & PF_QUICK_ROBUST_LIST) || !in_guest(at, sizeof(head)) ||
	    guest_copy(&head, (const void *)at, sizeof(head)) || (u64)head.list.next != at ||
	    head.list_op_pending)
		return;
	q->robust_list = 0;
	q->done |= PF_QUICK_ROBUST_LIST;
}

bool quick_call(struct lane *lane, struct lane_private *priv, int nr, greg_t *g)
{
	struct pf_quick *q = &lane->quick;
	u32 allowed = q->allowed;
	u64 ret = 0;

	switch (nr) {
	case __NR_rt_sigprocmask:
		if (!(allowed & PF_QUICK_SIGMASK) || !quick_sigmask(lane, g))
			return false;
		break;
	case __NR_rt_sigaction:
		if (!(allowed & PF_QUICK_ACTIONS) || !quick_action(lane, g))
			return false;
		break;
	case __NR_set_robust_list:
		if (!(allowed & PF_QUICK_ROBUST_LIST) ||
		    g[REG_RSI] != sizeof(struct robust_list_head))
			return false;
		q->robust_list = (u64)g[REG_RDI];
		q->done |= PF_QUICK_ROBUST_LIST;
		break;
	case __NR_set_tid_address:
		if (!(allowed & PF_QUICK_TID_ADDRESS))
			return false;
		q->clear_child_tid = (u64)g[REG_RDI];
		q->done |= PF_QUICK_TID_ADDRESS;
		ret = q->tid;
		break;
	case __NR_rseq:
		if (!(allowed & PF_QUICK_RSEQ) || !quick_rseq(q, priv, g))
			return false;
		break;
	case __NR_brk:
		if (!(allowed & PF_QUICK_BRK) || !quick_brk(q, (u64)g[REG_RDI]))
			return false;
		ret = q->brk;
		break;
	case __NR_gettid:
	case __NR_getpid:
		if (!(allowed & PF_QUICK_SELF))
			return false;
		ret = nr == __NR_gettid ? q->tid : q->tgid;
		break;
	case __NR_getrandom:
		if (!(allowed & PF_QUICK_SELF) || !quick_random(g))
			return false;
		ret = (u64)g[REG_RSI];
		break;
	case __NR_prlimit64:
		if (!(allowed & PF_QUICK_STACK_LIMIT) || !quick_limit(lane, g))
			return false;
		break;
	case __NR_arch_prctl:
		if (!(allowed & PF_QUICK_SELF) || (int)g[REG_RDI] != ARCH_SET_FS ||
		    !in_guest((u64)g[REG_RSI], 0))
			return false;
		write_fs_base((u64)g[REG_RSI]);
		break;
	case __NR_epoll_ctl:
		if (!(allowed & PF_QUICK_WATCH) || !watch_call(lane, g))
			return false;
		break;
	case __NR_read:
	case __NR_recvfrom:
		if (!(allowed & PF_QUICK_READ) || !read_call(lane, g, nr == __NR_recvfrom, &ret))
			return false;
		break;
	case __NR_madvise:
		if (!(allowed & PF_QUICK_DONTNEED) || !quick_madvise(g))
			return false;
		break;
	default:
		return false;
	}
	g[REG_RAX] = (greg_t)ret;
	return true;
}
