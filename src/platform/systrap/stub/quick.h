#pragma once

/* System calls that a lane answers itself. */

#include <signal.h>
#include <sys/ucontext.h>

#include "platform/systrap/stub/stub.h"

/*
 * Answer system call nr of the guest's registers g, or return false: the kernel is to answer it,
 * and nothing has been done.
 */
bool quick_call(struct lane *lane, struct lane_private *priv, int nr, greg_t *g);
