#pragma once

/* The life of one sandbox: the command's side and the kernel process. */

#include "sandbox/config.h"

/*
 * Run config's program in a new sandbox and wait for its end: clones the kernel process, relays
 * signals, enforces the timeout, and sees to it that nothing is left. Returns the exit status for
 * the command (the guest's, 128+N, or one of EXIT_*); what went wrong has been printed as one line.
 */
int sandbox_run(struct sandbox_config *config);

/* The kernel process's main function: never returns. control: its end of the control socket; flags:
 * CLONE_NEW* that it was cloned with. */
_Noreturn void kernel_process_main(const struct sandbox_config *config, int control, u64 flags);

/* Can this host run sandboxes: prints a line a facility; 0 if all that is needed is there, else 1.
 */
int sandbox_doctor(void);
