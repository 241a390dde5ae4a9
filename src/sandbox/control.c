/* The control socket's messages: fixed size, one a packet, so there is nothing to parse. */

#include "sandbox/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/host.h"

static int send_message(int fd, const struct control_message *msg)
{
	ssize_t n;

	do
		n = host_write(fd, msg, sizeof(*msg));
	while (n == -EINTR);
	return n < 0 ? (int)n : 0;
}

int control_send(int fd, enum control_type type, u32 value, const char *text)
{
	struct control_message msg = { .type = type, .value = value };

	if (text)
		snprintf(msg.text, sizeof(msg.text), "%s", text);
	return send_message(fd, &msg);
}

int control_send_size(int fd, const struct terminal_size *size)
{
	struct control_message msg = { .type = CONTROL_SIZE, .size = *size };

	return send_message(fd, &msg);
}

int control_receive(int fd, struct control_message *ret)
{
	struct control_message msg;
	ssize_t n;

	do
		n = host_read(fd, &msg, sizeof(msg));
	while (n == -EINTR);
	if (n <= 0)
		return n == -ECONNRESET ? 0 : (int)n;
	if (n != sizeof(msg))
		return -EPROTO;
	if (msg.type != CONTROL_SIZE)
		msg.text[sizeof(msg.text) - 1] = 0;
	*ret = msg;
	return 1;
}
