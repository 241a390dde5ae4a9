/*
 * The kernel process's own seccomp filter, made from host/calls.def: a call that is not listed
 * there, for the running kernel or for libc, kills the process. It is no defence for the guest's
 * calls (the stubs have filters of their own) but for the day when a guest has found a bug in the
 * kernel.
 */

#include <errno.h>
#include <seccomp.h>

#include "base/log.h"
#include "host/host.h"
#include "sandbox/isolate.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZER_BUILD 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZER_BUILD 1
#endif
#endif
#ifndef SANITIZER_BUILD
#define SANITIZER_BUILD 0
#endif

struct filter_build {
	scmp_filter_ctx ctx;
	int error;
};

static void allow(int nr, const char *name, unsigned int sections, void *arg)
{
	struct filter_build *b = arg;
	int ret = seccomp_rule_add(b->ctx, SCMP_ACT_ALLOW, nr, 0);

	(void)sections;
	if (ret && !b->error) {
		log_error("seccomp: cannot allow %s", name);
		b->error = ret;
	}
}

int isolate_seccomp(bool writes)
{
	unsigned int sections = HC_KERNEL | HC_STUB | HC_LIBC | (SANITIZER_BUILD ? HC_SAN : 0) |
				(writes ? HC_BIND : 0);
	struct filter_build b = { .ctx = seccomp_init(SCMP_ACT_KILL_PROCESS) };
	int ret;

	if (!b.ctx)
		return -ENOMEM;
	/* A balanced tree of comparisons instead of a linear list: every host call of the kernel
	 * runs through it. */
	ret = seccomp_attr_set(b.ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!ret)
		ret = seccomp_attr_set(b.ctx, SCMP_FLTATR_CTL_NNP, 0);
	if (!ret)
		host_calls_for_each(sections, allow, &b);
	if (!ret)
		ret = b.error;
	if (!ret)
		ret = seccomp_load(b.ctx);
	seccomp_release(b.ctx);
	return ret;
}
