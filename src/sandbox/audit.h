#pragma once

/*
 * Debug builds: what a sandbox has left when its last guest process is gone. Logs the objects that
 * nothing should refer to any more, and pointers that leave the arena. proc_fd: a procfs that shows
 * this process. Returns the number of findings; no task may be left.
 */

#ifdef DONJON_DEBUG
[[nodiscard]] unsigned int audit_end(int proc_fd);
#else
[[nodiscard]] static inline unsigned int audit_end(int proc_fd)
{
	return 0;
}
#endif
