#pragma once

/*
 * A fresh space is filled with a dozen calls of which none is expected to fail, before it has run
 * any guest code: they are gathered and made by one command. What fails then ends the space.
 */

#include "platform/systrap/internal.h"

/* May calls of t wait? Not once the guest's filter is in force. */
static inline bool batch_open(const struct pf_thread *t)
{
	return !t->space->sealed;
}

/* Gather a call that has to return want. A descriptor in it is duplicated, for the caller may close
 * it: fd_arg is its place, or -1. 0 or negative errno. */
[[nodiscard]] int batch_add(struct pf_thread *t, const struct vcall *call, int fd_arg, u64 want);
/* The same for clearing guest memory. */
[[nodiscard]] int batch_add_clear(struct pf_thread *t, u64 addr, u64 size);
/* Make the gathered calls. 0 or -ESRCH. */
[[nodiscard]] int batch_flush(struct pf_thread *t);
/* Forget them. */
void batch_drop(struct pf_thread *t);
