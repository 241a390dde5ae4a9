/* Files of /proc/PID that set something of the process: oom_score_adj, timerslack_ns and the like.
 */

#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include "cred/cred.h"
#include "kernel/task.h"
#include "mm/mm.h"
#include "procfs/internal.h"

#define OOM_ADJ_MIN (-1000)
#define OOM_ADJ_MAX 1000
/* The older scale. */
#define OOM_DISABLE (-17)
#define OOM_ADJUST_MAX 15

/* ---- numbers ---- */

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

bool proc_scan_number(const char **at, int base, bool *ret_negative, u64 *ret)
{
	const char *p = *at;
	u64 n = 0;

	*ret_negative = *p == '-';
	if (*p == '-' || *p == '+')
		p++;
	if ((base == 0 || base == 16) && p[0] == '0' && (p[1] | 0x20) == 'x') {
		base = 16;
		p += 2;
	} else if (base == 0) {
		base = *p == '0' ? 8 : 10;
	}
	if (digit_of(*p) >= base)
		return false;
	for (; digit_of(*p) < base; p++)
		if (__builtin_mul_overflow(n, (u64)base, &n) ||
		    __builtin_add_overflow(n, (u64)digit_of(*p), &n))
			return false;
	*at = p;
	*ret = n;
	return true;
}

int proc_parse_number(const char *data, int base, s64 *ret)
{
	bool negative;
	u64 n;

	while (is_space(*data))
		data++;
	if (!proc_scan_number(&data, base, &negative, &n) || n > INT64_MAX)
		return -EINVAL;
	while (is_space(*data))
		data++;
	if (*data)
		return -EINVAL;
	*ret = negative ? -(s64)n : (s64)n;
	return 0;
}

static bool capable(const struct proc_ctx *ctx, int cap)
{
	const struct cred *c = ctx->caller ? ctx->caller->subject.cred : NULL;

	return !c || cred_has_cap(c, kernel_get()->user_ns, cap);
}

/* ---- what the OOM killer would look at ---- */

static s32 oom_score_adj(const struct proc_ctx *ctx)
{
	return __atomic_load_n(&ctx->task->tg->oom_score_adj, __ATOMIC_RELAXED);
}

int proc_show_oom_score_adj(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%d\n", oom_score_adj(ctx));
	return 0;
}

int proc_show_oom_adj(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	s32 adj = oom_score_adj(ctx);

	strbuf_printf(out, "%d\n",
		      adj == OOM_ADJ_MAX ? OOM_ADJUST_MAX : adj * -OOM_DISABLE / OOM_ADJ_MAX);
	return 0;
}

/* Of 2000: all memory and the adjustment; shown as two thirds of 1000 more than that. */
int proc_show_oom_score(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct mm *mm = task_get_mm(ctx->task);
	struct kernel_memory m = kernel_memory();
	s64 points = oom_score_adj(ctx);

	if (mm) {
		points += (s64)(mm_rss(mm) / (m.total / 1000 + 1));
		mm_put(mm);
	}
	if (oom_score_adj(ctx) == OOM_ADJ_MIN)
		points = OOM_ADJ_MIN;
	strbuf_printf(out, "%ld\n", max((1000 + points) * 2 / 3, 0L));
	return 0;
}

/* The floor is what somebody with the capability has set; below it only such a one may go. */
static int set_oom(struct proc_ctx *ctx, s64 adj, bool legacy)
{
	struct thread_group *tg = ctx->task->tg;
	bool able = capable(ctx, CAP_SYS_RESOURCE);
	int err = 0;

	tasks_lock();
	if (adj < (legacy ? tg->oom_score_adj : tg->oom_score_adj_min) && !able)
		err = -EACCES;
	if (!err) {
		__atomic_store_n(&tg->oom_score_adj, (s32)adj, __ATOMIC_RELAXED);
		if (!legacy && able)
			tg->oom_score_adj_min = (s32)adj;
	}
	tasks_unlock();
	return err;
}

int proc_store_oom_score_adj(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	s64 adj;

	if (proc_parse_number(data, 0, &adj) || adj < OOM_ADJ_MIN || adj > OOM_ADJ_MAX)
		return -EINVAL;
	return set_oom(ctx, adj, false);
}

int proc_store_oom_adj(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	s64 adj;

	if (proc_parse_number(data, 0, &adj) ||
	    ((adj < OOM_DISABLE + 1 || adj > OOM_ADJUST_MAX) && adj != OOM_DISABLE))
		return -EINVAL;
	adj = adj == OOM_ADJUST_MAX ? OOM_ADJ_MAX : adj * OOM_ADJ_MAX / -OOM_DISABLE;
	return set_oom(ctx, adj, true);
}

/* ---- ids ---- */

/* The root namespace's mapping is set, and a mapping is set once. */
int proc_store_id_map(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	return -EPERM;
}

int proc_store_setgroups(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	size_t word = strcspn(data, " \t\n"), rest = word + strspn(data + word, " \t\n");

	if (size >= 8 || data[rest])
		return -EINVAL;
	if (word == 5 && !memcmp(data, "allow", 5))
		return 0;
	return word == 4 && !memcmp(data, "deny", 4) ? -EPERM : -EINVAL;
}

/* Nothing is audited, so nobody may claim to have logged in. */
int proc_store_loginuid(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	s64 uid;

	if (!ctx->caller || ctx->caller != ctx->task)
		return -EPERM;
	if (proc_parse_number(data, 10, &uid) || uid < 0 || uid > UINT32_MAX)
		return -EINVAL;
	return uid == UINT32_MAX ? 0 : -EPERM;
}

/* ---- labels ---- */

int proc_show_no_label(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return -EINVAL;
}

int proc_store_no_label(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	return ctx->caller == ctx->task ? -EINVAL : -EACCES;
}

/* ---- others ---- */

int proc_show_personality(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%08x\n", __atomic_load_n(&ctx->task->personality, __ATOMIC_RELAXED));
	return 0;
}

int proc_show_coredump_filter(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "%08x\n",
		      __atomic_load_n(&ctx->task->tg->coredump_filter, __ATOMIC_RELAXED));
	return 0;
}

int proc_store_coredump_filter(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	s64 value;

	if (proc_parse_number(data, 0, &value) || value < 0 || value > UINT32_MAX)
		return -EINVAL;
	__atomic_store_n(&ctx->task->tg->coredump_filter, (u32)value & 0x1ff, __ATOMIC_RELAXED);
	return 0;
}

/* Another's slack takes the capability to change its scheduling. */
static int may_set_slack(const struct proc_ctx *ctx)
{
	if (ctx->caller && ctx->caller->tg != ctx->task->tg && !capable(ctx, CAP_SYS_NICE))
		return -EPERM;
	return 0;
}

int proc_show_timerslack(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct task *t = ctx->task;
	int err = may_set_slack(ctx);

	if (err)
		return err;
	spin_lock(&t->lock, &lc_task);
	strbuf_printf(out, "%lu\n", t->timer_slack);
	spin_unlock(&t->lock, &lc_task);
	return 0;
}

int proc_store_timerslack(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	struct task *t = ctx->task;
	s64 ns;
	int err;

	if (proc_parse_number(data, 10, &ns) || ns < 0)
		return -EINVAL;
	err = may_set_slack(ctx);
	if (err)
		return err;
	spin_lock(&t->lock, &lc_task);
	t->timer_slack = ns ? (u64)ns : 50'000;
	spin_unlock(&t->lock, &lc_task);
	return 0;
}

/* Sessions are scheduled as their tasks are; the number is the session's, as far as can be told. */
int proc_show_autogroup(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct thread_group *tg = ctx->task->tg;
	u32 session = 0;

	tasks_lock();
	if (tg->pgrp && tg->pgrp->session)
		session = tg->pgrp->session->pid->number[0];
	tasks_unlock();
	strbuf_printf(out, "/autogroup-%u nice 0\n", session);
	return 0;
}

int proc_store_autogroup(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	s64 nice;

	if (proc_parse_number(data, 0, &nice) || nice < -20 || nice > 19)
		return -EINVAL;
	return nice < 0 && !capable(ctx, CAP_SYS_NICE) ? -EPERM : 0;
}

int proc_store_clear_refs(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	s64 type;

	return proc_parse_number(data, 10, &type) || type < 1 || type > 5 ? -EINVAL : 0;
}

int proc_store_nothing(struct subject *s, struct proc_ctx *ctx, char *data, size_t size)
{
	return 0;
}
