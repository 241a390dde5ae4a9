#pragma once

/*
 * The data page of the vDSO ([vvar]): written by the kernel, mapped read-only just below the vDSO's
 * code in every guest address space. Freestanding: compiled into the vDSO too.
 */

#include "base/types.h"

#define VDSO_CLOCKS 12 /* ids 0 to CLOCK_TAI */

struct vdso_data {
	/* Where the host's own functions are mapped; 0: absent, make a system call. */
	u64 clock_gettime, gettimeofday, time, clock_getres, getcpu;
	/* Bit n: clock n may be read by the host's function. */
	u64 clocks;
	/* What a guest clock shows more than the host's, ns. */
	s64 offset[VDSO_CLOCKS];
};
