/* The operations that a lane does for the kernel while its guest waits. */

#include "platform/systrap/stub/ops.h"

#include <asm/unistd.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <signal.h>

#include "platform/systrap/stub/fp.h"

#define ERR_NOSYS (-38)
#define RW 3 /* PROT_READ | PROT_WRITE */

static void *ptr(u64 v)
{
	return (void *)v;
}

static u64 window_size(u64 size)
{
	return min(size, LANE_WINDOW_SIZE);
}

/* A thread in a slot whose lane file is mapped already. Its first return address is
 * lane_thread_start. */
static s64 clone_thread(u32 slot, u64 flags)
{
	u64 *sp = (u64 *)private_of_slot(slot % STUB_LANES_MAX);

	*private_of_slot(slot % STUB_LANES_MAX) = (struct lane_private){};
	*--sp = (u64)lane_thread_start;
	return verified_call(__NR_clone, flags, (u64)sp, 0, 0, 0, 0);
}

/*
 * The child knows its nonce from its copy of this stack; its parent's lanes are not mapped in it.
 * Nothing can be reported before its own lane is there: what fails shows as a wrong call, for which
 * the kernel kills it.
 */
static s64 fork_space(struct lane **lane, struct lane_private **priv,
		      const struct lane_command *cmd)
{
	u64 nonce0 = cmd->arg[0], nonce1 = cmd->arg[1], fd = cmd->arg[2], flags = cmd->arg[3];
	u32 slot = current_slot();
	u64 file = (u64)lane_of_slot(slot - slot % LANES_PER_FILE);
	s64 ret = verified_call(__NR_clone, flags, 0, 0, 0, 0, 0);

	if (ret)
		return ret;
	(void)verified_call(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, nonce0, nonce1, 0, 0);
	(void)verified_call(__NR_mmap, file, LANE_FILE_SIZE, RW, MAP_SHARED | MAP_FIXED, fd, 0);
	(void)verified_call(__NR_madvise, file, LANE_FILE_SIZE, MADV_DONTFORK, 0, 0, 0);
	(*priv)->seq = 0;
	(*priv)->spin_tsc = 0;
	(*lane)->event.kind = LANE_READY;
	return 0;
}

static s64 do_syscall(const struct lane_private *priv, const struct lane_command *cmd)
{
	const u64 *a = cmd->arg;

	if (cmd->flags & LANE_VERIFIED)
		return verified_call((long)a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
	if (priv->gate_open)
		return gate_call((long)a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
	return fast_call((long)a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
}

/* The gate cannot unmap itself. */
static s64 close_gate(struct lane_private *priv)
{
	priv->gate_open = 0;
	return fast_call(__NR_munmap, (u64)stub_gate, PAGE_SIZE, 0, 0, 0, 0);
}

static s64 do_batch(struct lane_private *priv, const struct lane_call *call, u64 count)
{
	u64 i;

	for (i = 0; i < count && i < LANE_WINDOW_SIZE / sizeof(*call); i++, call++) {
		const u64 *a = call->arg;
		u64 ret;

		if (call->nr == LANE_CALL_CLEAR)
			ret = guest_clear(ptr(a[0]), a[1]);
		else if (call->nr == LANE_CALL_SEAL)
			ret = (u64)close_gate(priv);
		else
			ret = (u64)gate_call((long)call->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		if (ret != call->want)
			break;
	}
	return (s64)i;
}

s64 lane_do_op(struct lane **lane, struct lane_private **priv, void *ucontext,
	       const struct lane_command *cmd)
{
	u8 *window = (*lane)->window;
	const u64 *a = cmd->arg;

	switch (cmd->op) {
	case LANE_SYSCALL:
		return do_syscall(*priv, cmd);
	case LANE_COPY_IN:
		return (s64)guest_copy(window, ptr(a[0]), window_size(a[1]));
	case LANE_COPY_OUT:
		return (s64)guest_copy(ptr(a[0]), window, window_size(a[1]));
	case LANE_CLEAR:
		return (s64)guest_clear(ptr(a[0]), a[1]);
	case LANE_STRING:
		return guest_string((char *)window, ptr(a[0]), window_size(a[1]));
	case LANE_LOAD32:
		return guest_load32(ptr(a[0]));
	case LANE_CMPXCHG32:
		return guest_cmpxchg32(ptr(a[0]), (u32)a[1], (u32)a[2]);
	case LANE_FP_SAVE:
		return (s64)fp_save(ucontext, window, window_size(a[0]));
	case LANE_FP_LOAD:
		fp_load(ucontext, window, window_size(a[0]));
		return 0;
	case LANE_FP_RESET:
		fp_reset(ucontext);
		return 0;
	case LANE_FP_GIVE:
		fp_copy(private_of_slot((u32)a[0] % STUB_LANES_MAX)->ucontext, ucontext);
		return 0;
	case LANE_CLONE:
		return clone_thread((u32)a[0], a[1]);
	case LANE_FLUSH:
		marshal_outputs(*lane);
		return 0;
	case LANE_FORK:
		return fork_space(lane, priv, cmd);
	case LANE_BATCH:
		return do_batch(*priv, (const struct lane_call *)window, a[0]);
	default:
		return ERR_NOSYS;
	}
}
