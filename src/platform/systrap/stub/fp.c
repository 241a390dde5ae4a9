/*
 * The frame's FP state is what the host's signal entry wrote: an FXSAVE area whose reserved bytes
 * say whether and how much XSAVE state follows. On the way in we keep the host's description and
 * make sure that sigreturn takes the rest: unknown features, compaction and reserved bits are
 * cleared.
 */

#include "platform/systrap/stub/fp.h"

#include <ucontext.h>

#define FXSAVE_SIZE 512
#define HEADER_SIZE 64
#define MAGIC1 0x46505853U

struct fxsave {
	u16 fcw, fsw, ftw, fop;
	u64 fip, fdp;
	u32 mxcsr, mxcsr_mask;
	u8 registers[432];
	struct {
		u32 magic1, extended_size;
		u64 xfeatures;
		u32 xstate_size;
		u32 pad[7];
	} sw;
};

struct xsave_header {
	u64 xstate_bv, xcomp_bv, reserved[6];
};

_Static_assert(sizeof(struct fxsave) == FXSAVE_SIZE, "fxsave");
_Static_assert(sizeof(struct xsave_header) == HEADER_SIZE, "xsave header");

static struct fxsave *fp_of(const void *ucontext)
{
	return (struct fxsave *)((const ucontext_t *)ucontext)->uc_mcontext.fpregs;
}

static u64 fp_frame_size(const struct fxsave *fp)
{
	return fp->sw.magic1 == MAGIC1 ? fp->sw.xstate_size : FXSAVE_SIZE;
}

u64 fp_save(const void *ucontext, void *buf, u64 size)
{
	const struct fxsave *fp = fp_of(ucontext);
	u64 n = min(size, fp_frame_size(fp));

	__builtin_memcpy(buf, fp, n);
	return n;
}

static void sanitize(struct fxsave *fp, u64 size)
{
	struct xsave_header *h = (struct xsave_header *)(fp + 1);
	u32 mask = fp->mxcsr_mask ? fp->mxcsr_mask : 0xffbf;

	fp->mxcsr &= mask;
	if (fp->sw.magic1 != MAGIC1)
		return;
	if (size < FXSAVE_SIZE + HEADER_SIZE)
		h->xstate_bv = 3;
	h->xstate_bv &= fp->sw.xfeatures;
	h->xcomp_bv = 0;
	__builtin_memset(h->reserved, 0, sizeof(h->reserved));
}

void fp_load(void *ucontext, const void *buf, u64 size)
{
	struct fxsave *fp = fp_of(ucontext);
	u64 n = min(size, fp_frame_size(fp));
	u64 plain = offsetof(struct fxsave, sw);
	u32 mask = fp->mxcsr_mask;

	if (n < FXSAVE_SIZE)
		return;
	__builtin_memcpy(fp, buf, plain);
	__builtin_memcpy(fp + 1, (const u8 *)buf + FXSAVE_SIZE, n - FXSAVE_SIZE);
	fp->mxcsr_mask = mask;
	sanitize(fp, n);
}

void fp_reset(void *ucontext)
{
	struct fxsave *fp = fp_of(ucontext);
	u64 size = fp_frame_size(fp);
	u32 mask = fp->mxcsr_mask;

	__builtin_memset(fp, 0, offsetof(struct fxsave, sw));
	__builtin_memset(fp + 1, 0, size - FXSAVE_SIZE);
	fp->fcw = 0x37f;
	fp->mxcsr = 0x1f80;
	fp->mxcsr_mask = mask;
}

void fp_copy(void *to_ucontext, const void *from_ucontext)
{
	const struct fxsave *from = fp_of(from_ucontext);

	fp_load(to_ucontext, from, fp_frame_size(from));
}
