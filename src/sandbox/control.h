#pragma once

/* Messages between the command and its kernel process, over a socket pair of type SEQPACKET. */

#include "base/types.h"
#include "sandbox/config.h"

enum control_type {
	CONTROL_SIGNAL, /* to the kernel: send the first process signal value */
	CONTROL_SIGNAL_GROUP, /* to the kernel: the same for the first process's group */
	CONTROL_SIZE, /* to the kernel: the terminal's window has this size */
	CONTROL_KILL, /* to the kernel: end all guest processes */
	CONTROL_EXITED, /* to the command: the first process ended with wait status value */
	CONTROL_STOPPED, /* to the command: the first process stopped on signal value */
	CONTROL_FAILED, /* to the command: no guest ran; exit with value and print text */
};

struct control_message {
	u32 type;
	u32 value;
	union {
		char text[248];
		struct terminal_size size;
	};
};

/* Send, waiting for room. 0 or a negative errno (-EPIPE: the other side is gone). Source: unix(7).
 */
[[nodiscard]] int control_send(int fd, enum control_type type, u32 value, const char *text);
[[nodiscard]] int control_send_size(int fd, const struct terminal_size *size);
/* Receive one message: 1, 0 when the other side is gone, or a negative errno. Blocks unless fd is
 * nonblocking. */
[[nodiscard]] int control_receive(int fd, struct control_message *ret);
