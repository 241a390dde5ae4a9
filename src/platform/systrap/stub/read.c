/*
 * Reads of what the kernel has sent along with an answer of epoll_wait. Nobody else can read it.
 */

#include <sys/socket.h>

#include "platform/systrap/stub/quick.h"

/* What is lent of fd and not read yet: its number, or the count. */
static u32 find_read(const struct pf_reads *r, s32 fd, u32 count)
{
	u32 i = 0;

	while (i < count && (r->item[i].fd != fd || r->done >> i & 1))
		i++;
	return i;
}

/*
 * The kernel answers if it has revoked what it lent, since another process is about to read: it has
 * done so before that can begin. If it does so after we have looked, this read came first.
 */
static bool mark_done(struct lane *lane, u32 i)
{
	lane->reads.done |= 1U << i;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&lane->revoked, __ATOMIC_SEQ_CST)) {
		lane->reads.done &= ~(1U << i);
		return false;
	}
	lane->quick.done |= PF_QUICK_READ;
	return true;
}

bool read_call(struct lane *lane, const greg_t *g, bool is_recvfrom, u64 *ret_size)
{
	const struct pf_reads *r = &lane->reads;
	u32 count = min(r->count, PF_READS), i = find_read(r, (s32)g[REG_RDI], count);
	u64 buf = (u64)g[REG_RSI], size, offset;

	if (i == count ||
	    (is_recvfrom && (g[REG_R10] & ~(MSG_DONTWAIT | MSG_NOSIGNAL) || g[REG_R8])))
		return false;
	size = r->item[i].size;
	offset = r->item[i].offset;
	if (size > (u64)g[REG_RDX] || size > PF_READS_SIZE || offset > PF_READS_SIZE - size ||
	    !in_guest(buf, (u64)g[REG_RDX]) ||
	    guest_copy((void *)buf, lane->reads.data + offset, size) || !mark_done(lane, i))
		return false;
	*ret_size = size;
	return true;
}
