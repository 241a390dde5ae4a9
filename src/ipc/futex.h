#pragma once

/* Futexes, but for those with priority inheritance (futex_pi.h). Addresses are checked here; own
 * fiber of the subject. */

#include "base/types.h"
#include "mm/mm.h"
#include "time/step.h"

#define FUTEX_ALL 0xffff'ffffU /* FUTEX_BITSET_MATCH_ANY */
#define FUTEX_ROBUST_MAX 2048 /* entries of a robust list that are looked at */

/* A futex word as a call names it. */
struct futex_ref {
	struct uaddr addr;
	bool private_; /* FUTEX_PRIVATE_FLAG */
};

/*
 * Wait until woken, if the word is val. Returns 0 (perhaps spuriously), or -EAGAIN, -ETIMEDOUT,
 * -EINTR, -EFAULT, -EINVAL.
 */
[[nodiscard]] int futex_wait(struct subject *s, struct futex_ref word, u32 val, u32 bitset,
			     const struct clock_deadline *until);
/* futex_waitv(2): wait until one of count words is woken, if all are what they should be; its
 * index, or as futex_wait. */
#define FUTEX_WAITV_MAX_WORDS 128U
struct futex_waitv_word {
	struct futex_ref word;
	u32 val;
};
[[nodiscard]] int futex_wait_many(struct subject *s, const struct futex_waitv_word *words,
				  u32 count, const struct clock_deadline *until);
/* FUTEX_WAIT_REQUEUE_PI: wait at word until futex_requeue_pi, and then for the lock at target.
 * -EAGAIN also if interrupted in the second part. */
[[nodiscard]] int futex_wait_requeue_pi(struct subject *s, struct futex_ref word, u32 val,
					u32 bitset, struct futex_ref target,
					const struct clock_deadline *until);
/* FUTEX_CMP_REQUEUE_PI: send at most 1 + move waiters on to the lock that they named, which must be
 * to. Returns how many. */
[[nodiscard]] int futex_requeue_pi(struct subject *s, struct futex_ref from, struct futex_ref to,
				   u32 move, u32 cmp);
/* Wake at most count waiters whose bitset meets bitset. Returns how many. */
[[nodiscard]] int futex_wake(struct subject *s, struct futex_ref word, u32 count, u32 bitset);
/* Wake at most wake waiters, and move at most move others to the second word. cmp: null, or what
 * the first word must be (else -EAGAIN). Returns how many were woken or moved (without cmp: woken).
 */
[[nodiscard]] int futex_requeue(struct subject *s, struct futex_ref from, struct futex_ref to,
				u32 wake, u32 move, const u32 *cmp);
/* FUTEX_WAKE_OP. */
[[nodiscard]] int futex_wake_op(struct subject *s, struct futex_ref first, struct futex_ref second,
				u32 wake, u32 wake2, u32 op);
/* The owner tid has died: release what its robust list names. */
void futex_exit_robust(struct subject *s, struct uaddr head, u32 tid);

/* For futex_pi.c. */
[[nodiscard]] int futex_find_key(struct subject *s, struct futex_ref word, struct futex_key *ret);
bool futex_key_equal(const struct futex_key *a, const struct futex_key *b);
