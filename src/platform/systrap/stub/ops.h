#pragma once

#include "platform/systrap/stub/stub.h"

/*
 * Do one command that is not LANE_RUN; returns its result. In the child of a fork *lane and *priv
 * become its own, and the event kind is LANE_READY.
 */
s64 lane_do_op(struct lane **lane, struct lane_private **priv, void *ucontext,
	       const struct lane_command *cmd);
