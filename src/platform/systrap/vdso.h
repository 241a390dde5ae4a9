#pragma once

/* The host's own vdso: where its pieces are, where they go in a stub, and its functions' addresses
 * there. */

#include "platform/platform.h"
#include "platform/systrap/lane.h"

/*
 * The mappings of the host's vdso and its data in this process, at most max, sorted by address,
 * each with a place from dest on that keeps their distances (0 if they do not fit in size).
 */
unsigned int vdso_pieces(struct stub_piece *ret, unsigned int max, u64 dest, u64 size);
/* Functions as they lie at the pieces' new places. */
void vdso_find(struct pf_host_vdso *ret, const struct stub_piece *pieces, unsigned int count);
/* Lowest address of them. */
u64 vdso_lowest(void);
