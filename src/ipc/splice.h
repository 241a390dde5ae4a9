#pragma once

/*
 * Moving data between pipes and files: splice(2), tee(2), vmsplice(2). All return bytes, 0 at the
 * end (no writers), -EAGAIN, -EINTR, -EPIPE (nobody reads), or the other file's error. The files
 * are open in the right mode; nonblock: do not wait for the pipes.
 */

#include "base/types.h"

struct file;
struct subject;
struct uio;

/* f is an end of a pipe of ours. */
bool splice_is_pipe(const struct file *f);
/* Both are ends of one pipe. */
bool splice_same_pipe(const struct file *a, const struct file *b);
/* From in, no pipe, at *pos (null: its own position) to the pipe out. */
[[nodiscard]] ssize_t splice_to_pipe(struct subject *s, struct file *in, s64 *pos, struct file *out,
				     u64 size, bool nonblock);
/* From the pipe in to out, no pipe. *ret_broken: SIGPIPE is due though bytes went. */
[[nodiscard]] ssize_t splice_from_pipe(struct subject *s, struct file *in, struct file *out,
				       s64 *pos, u64 size, bool nonblock, bool *ret_broken);
/* Between two pipes. keep: copy (tee), and leave the data where they are. */
[[nodiscard]] ssize_t splice_pipes(struct file *in, struct file *out, u64 size, bool nonblock,
				   bool keep);
/* From guest memory to the pipe f: as much as there is room for when there is some. */
[[nodiscard]] ssize_t splice_from_memory(struct file *f, struct uio *from, bool nonblock);
