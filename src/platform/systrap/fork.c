/*
 * New processes and new lanes.
 *
 * A fork: the lane gets a random nonce and clones. The child is bound to its parent by its first
 * verified call, which carries the nonce (notify.c); then it maps its own lane and waits. The
 * transaction is over when the child waits and the parent has made its own next wait, which proves
 * that its clone is over. If the parent reports a failure, the host may still have made a child:
 * any child of ours that is no space is killed, and the forker with it.
 */

#include <errno.h>
#include <linux/mman.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "base/bitmap.h"
#include "base/log.h"
#include "host/host.h"
#include "platform/systrap/internal.h"

#define THREAD_FLAGS \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define RW (PROT_READ | PROT_WRITE)

int lane_first_event(struct pf_thread *t)
{
	struct lane_event ev;
	int err = lane_await(t, AWAIT_BARRIER, &ev);

	if (!err && ev.kind != LANE_READY) {
		lane_misbehaved(t, "bad first event");
		err = -ESRCH;
	}
	return err;
}

static u64 lane_file_address(u32 slot)
{
	return g_systrap.base + STUB_LANES_OFFSET + (slot - slot % LANES_PER_FILE) * LANE_SIZE;
}

/* One fork or new lane at a time in a space: a child must not inherit a lane that is not marked
 * DONTFORK yet. */
static void structure_lock(struct pf_space *s)
{
	struct waiter w;
	bool got = false;

	waiter_init_fiber(&w, fiber_current());
	waitq_add(&s->structure_wait, &w, 1);
	while (!got) {
		systrap_lock();
		got = !s->structure_busy;
		s->structure_busy = true;
		systrap_unlock();
		if (!got)
			fiber_park(NO_DEADLINE);
	}
	waitq_remove(&w);
}

static void structure_unlock(struct pf_space *s)
{
	systrap_lock();
	s->structure_busy = false;
	systrap_unlock();
	waitq_wake(&s->structure_wait, 1);
}

/* ---- fork ---- */

static int child_alloc(struct pf_thread *parent, struct pf_thread **ret)
{
	struct pf_space *s = space_alloc(parent->space->family);
	u32 slot = parent->slot;
	struct pf_thread *t = NULL;
	int err;

	if (!s)
		return -ENOMEM;
	s->sealed = true;
	s->mapped[slot / LANES_PER_FILE] = true;
	bitmap_set(s->slots, slot);
	err = lane_file_get(&s->files[slot / LANES_PER_FILE]);
	if (!err)
		err = lane_prepare(s, slot);
	if (!err) {
		t = thread_alloc(s, slot);
		err = t ? 0 : -ENOMEM;
	}
	pf_space_put(s); /* held by its thread */
	if (err)
		return err;
	*ret = t;
	return 0;
}

static void expect_child(struct pf_thread *child)
{
	u64 at = lane_file_address(child->slot);
	u64 fd = (u64)thread_file(child)->fd;

	child->owner = child->fiber = fiber_current();
	child->expect[0] =
		(struct vcall){ SYS_mmap,
				{ at, LANE_FILE_SIZE, RW, MAP_SHARED | MAP_FIXED, fd, 0 } };
	child->expect[1] =
		(struct vcall){ SYS_madvise, { at, LANE_FILE_SIZE, MADV_DONTFORK, 0, 0, 0 } };
	child->expect_count = 2;
}

static void fork_open(struct pf_thread *t, struct fork_txn *txn)
{
	struct pf_space *s = txn->child->space;

	host_random(txn->nonce, sizeof(txn->nonce));
	expect_child(txn->child);
	systrap_lock();
	list_add(&s->threads, &txn->child->link);
	s->thread_count = 1;
	list_add(&t->space->family->forks, &txn->link);
	g_systrap.forks_open++;
	systrap_unlock();
	lane_stage(t, SYS_clone, FORK_FLAGS, 0, 0, 0, 0, 0);
}

/* Returns whether there is a child. */
static bool fork_close(struct fork_txn *txn)
{
	bool bound;

	systrap_lock();
	list_del(&txn->link);
	bound = txn->bound;
	if (!bound)
		g_systrap.forks_open--;
	systrap_unlock();
	return bound;
}

static int fork_run(struct pf_thread *t, struct fork_txn *txn)
{
	u64 arg[4] = { txn->nonce[0], txn->nonce[1], (u64)thread_file(txn->child)->fd, FORK_FLAGS };
	struct lane_event ev;
	int err;

	STAT_INC(verified);
	err = lane_post(t, LANE_FORK, LANE_BARRIER, arg, ARRAY_SIZE(arg));
	if (!err)
		err = lane_await(t, AWAIT_BARRIER, &ev);
	if (!err && ev.result < 0)
		return -EAGAIN;
	if (!err && lane_first_event(txn->child))
		err = -EAGAIN;
	return err;
}

int pf_space_fork(struct pf_thread *t, struct pf_space **ret_space, struct pf_thread **ret_thread)
{
	struct fork_txn txn = {};
	struct pf_thread *child;
	bool bound;
	int err;

	lane_own(t);
	err = space_seal(t);
	if (!err)
		err = pf_flush(t);
	if (!err)
		err = child_alloc(t, &txn.child);
	if (err)
		return err;
	child = txn.child;
	structure_lock(t->space);
	fork_open(t, &txn);
	err = fork_run(t, &txn);
	bound = fork_close(&txn);
	structure_unlock(t->space);
	if (bound) {
		if (space_watch(child->space))
			err = -EAGAIN;
	} else if (strangers_count(false) > 0) {
		lane_misbehaved(t, "fork without a child of ours");
		systrap_lock();
		g_systrap.suspicious = true;
		systrap_unlock();
		keeper_wake();
		err = -ESRCH;
	}
	if (err) {
		pf_thread_destroy(child);
		return err;
	}
	/* The host keeps the registration across a fork. */
	child->has_rseq = t->has_rseq;
	child->rseq_area = t->rseq_area;
	child->rseq_size = t->rseq_size;
	child->rseq_signature = t->rseq_signature;
	lane_disown(child);
	*ret_space = child->space;
	*ret_thread = child;
	return 0;
}

/* ---- threads ---- */

static struct pf_thread *unpark(struct pf_space *s)
{
	struct pf_thread *t = NULL;

	systrap_lock();
	if (!list_empty(&s->parked)) {
		t = list_first(&s->parked, struct pf_thread, link);
		list_del(&t->link);
		list_add(&s->threads, &t->link);
		s->thread_count++;
		t->owner = t->fiber = fiber_current();
		t->cpu_base = t->cpu_time;
	}
	systrap_unlock();
	return t;
}

static int slot_get(struct pf_space *s)
{
	size_t slot;

	systrap_lock();
	slot = bitmap_find_clear(s->slots, STUB_LANES_MAX, 0);
	if (slot < STUB_LANES_MAX)
		bitmap_set(s->slots, slot);
	systrap_unlock();
	return slot < STUB_LANES_MAX ? (int)slot : -EAGAIN;
}

static void slot_put(struct pf_space *s, u32 slot)
{
	systrap_lock();
	bitmap_clear(s->slots, slot);
	systrap_unlock();
}

/* Have the slot's lane file mapped. */
static int slot_map(struct pf_thread *t, u32 slot)
{
	struct pf_space *s = t->space;
	unsigned int index = slot / LANES_PER_FILE;
	u64 at = lane_file_address(slot);
	s64 ret;
	int err;

	if (!s->files[index]) {
		err = lane_file_get(&s->files[index]);
		if (err)
			return err;
	}
	if (!s->mapped[index]) {
		ret = lane_syscall(t, true, SYS_mmap, at, LANE_FILE_SIZE, RW,
				   MAP_SHARED | MAP_FIXED, (u64)s->files[index]->fd, 0);
		if (ret == (s64)at)
			ret = lane_syscall(t, true, SYS_madvise, at, LANE_FILE_SIZE, MADV_DONTFORK,
					   0, 0, 0);
		if (ret)
			return ret == -ESRCH ? -ESRCH : -ENOMEM;
		s->mapped[index] = true;
	}
	return lane_prepare(s, slot);
}

/* The slot's lane comes to life: its first wait binds it. */
static int lane_clone(struct pf_thread *t, struct pf_thread *new)
{
	u64 stack = g_systrap.base + STUB_STACKS_OFFSET + (new->slot + 1) * STUB_STACK_SIZE -
		    LANE_STACK_TOP;
	u64 arg[2] = { new->slot, THREAD_FLAGS };
	struct lane_event ev;
	int err;

	new->owner = new->fiber = fiber_current();
	systrap_lock();
	t->space->many_lanes = true;
	list_add(&t->space->threads, &new->link);
	t->space->thread_count++;
	list_add(&t->space->family->newborn, &new->newborn_link);
	systrap_unlock();
	lane_stage(t, SYS_clone, THREAD_FLAGS, stack, 0, 0, 0, 0);
	STAT_INC(verified);
	err = lane_post(t, LANE_CLONE, LANE_BARRIER, arg, ARRAY_SIZE(arg));
	if (!err)
		err = lane_await(t, AWAIT_BARRIER, &ev);
	if (!err && ev.result < 0)
		return -EAGAIN;
	if (!err)
		err = lane_first_event(new);
	return err;
}

static int lane_new(struct pf_thread *t, struct pf_thread **ret)
{
	struct pf_space *s = t->space;
	int slot = slot_get(s), err;
	struct pf_thread *new;

	if (slot < 0)
		return slot;
	err = slot_map(t, (u32)slot);
	if (err) {
		slot_put(s, (u32)slot);
		return err;
	}
	new = thread_alloc(s, (u32)slot);
	if (!new) {
		slot_put(s, (u32)slot);
		return -ENOMEM;
	}
	err = lane_clone(t, new);
	if (err) {
		/* The slot stays in use: a thread may come to life there yet. */
		systrap_lock();
		s->thread_count--;
		systrap_unlock();
		thread_free(new);
		return err;
	}
	*ret = new;
	return 0;
}

/*
 * The new thread gets t's FP state. With a call that is likely to make a thread the lane has put it
 * in its window; then the new lane takes it from its own with its first command. Else it costs an
 * operation.
 */
static int give_fp(struct pf_thread *t, struct pf_thread *new)
{
	u8 piece[512];
	u64 slot = new->slot;
	s64 ignored;

	if (!t->fp_in_window)
		return lane_op(t, LANE_FP_GIVE, &slot, 1, &ignored);
	for (size_t at = 0; at < g_systrap.fp_size; at += sizeof(piece)) {
		size_t n = min(sizeof(piece), g_systrap.fp_size - at);

		if (host_shared_read(piece, t->lane->window + at, n) ||
		    host_shared_write(new->lane->window + at, piece, n))
			return -ESRCH;
	}
	new->fp_pending = true;
	return 0;
}

int pf_thread_create(struct pf_thread *t, struct pf_thread **ret_thread)
{
	struct pf_thread *new;
	int err;

	lane_own(t);
	err = space_seal(t);
	if (err)
		return err;
	new = unpark(t->space);
	if (!new) {
		structure_lock(t->space);
		err = lane_new(t, &new);
		structure_unlock(t->space);
		if (err)
			return err;
	}
	err = give_fp(t, new);
	if (err) {
		pf_thread_destroy(new);
		return err;
	}
	lane_disown(new);
	*ret_thread = new;
	return 0;
}
