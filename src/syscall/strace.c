/*
 * strace: one line a call, written when it is over:
 *
 *	[pid comm] openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3
 *
 * Calls that may not come back as they were entered (exec, exit) are shown when they begin. What is
 * shown of guest memory is what it holds then.
 */

#include "syscall/strace.h"

#include <fcntl.h>
#include <string.h>

#include "base/strbuf.h"
#include "host/host.h"
#include "syscall/state.h"
#include "syscall/strace_names.h"
#include "syscall/syscall.h"
#include "syscall/util.h"

struct strace_arg {
	u8 kind; /* enum arg_kind */
	u8 names; /* enum name_table */
	u8 type; /* enum arg_struct */
	u8 count; /* 1 + the argument that counts, or 0 */
};

struct strace_call {
	u8 count;
	struct strace_arg arg[6];
};

#include "syscall_strace.inc"

#define LINE_MAX_SIZE 1024
#define STRING_SHOWN 48 /* bytes of data */
#define PATH_SHOWN 200
#define ITEMS_SHOWN 4 /* of an array of structs */

/* ---- pieces ---- */

static void put_escaped(struct strbuf *sb, const char *s, size_t len)
{
	strbuf_putc(sb, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '\n')
			strbuf_puts(sb, "\\n");
		else if (c == '\t')
			strbuf_puts(sb, "\\t");
		else if (c == '"' || c == '\\')
			strbuf_printf(sb, "\\%c", c);
		else if (c >= ' ' && c < 0x7f)
			strbuf_putc(sb, (char)c);
		else
			strbuf_printf(sb, "\\x%02x", c);
	}
	strbuf_putc(sb, '"');
}

static void put_string(struct strbuf *sb, struct task *t, u64 addr)
{
	char s[PATH_SHOWN + 1] = {};
	ssize_t len;

	if (!addr) {
		strbuf_puts(sb, "NULL");
		return;
	}
	len = copy_in_string(&t->subject, s, UADDR(addr), sizeof(s));
	if (len == -ENAMETOOLONG) {
		put_escaped(sb, s, PATH_SHOWN);
		strbuf_puts(sb, "...");
	} else if (len < 0) {
		strbuf_printf(sb, "0x%lx", addr);
	} else {
		put_escaped(sb, s, (size_t)len);
	}
}

static void put_data(struct strbuf *sb, struct task *t, u64 addr, u64 size)
{
	char s[STRING_SHOWN] = {};
	size_t shown = min(size, (u64)sizeof(s));

	if (!addr || (shown && copy_in(&t->subject, s, UADDR(addr), shown))) {
		strbuf_printf(sb, addr ? "0x%lx" : "NULL", addr);
		return;
	}
	put_escaped(sb, s, shown);
	if (shown < size)
		strbuf_puts(sb, "...");
}

static void put_flags(struct strbuf *sb, enum name_table table, u64 value)
{
	const struct name_value *n = strace_names(table);
	bool any = false;

	if (table == NAMES_open && !(value & O_ACCMODE)) {
		strbuf_puts(sb, "O_RDONLY");
		any = true;
	}
	for (; n && n->name; n++) {
		if (!n->value || (value & n->value) != n->value)
			continue;
		strbuf_printf(sb, "%s%s", any ? "|" : "", n->name);
		value &= ~n->value;
		any = true;
	}
	if (value || !any)
		strbuf_printf(sb, value ? "%s0x%lx" : "%s0", any ? "|" : "", value);
}

static void put_enum(struct strbuf *sb, enum name_table table, u64 value)
{
	const struct name_value *n = strace_names(table);

	for (; n && n->name; n++) {
		if (n->value == (u32)value) {
			strbuf_puts(sb, n->name);
			return;
		}
	}
	strbuf_printf(sb, "%d", (int)value);
}

static void put_signal(struct strbuf *sb, int sig)
{
	const char *name = strace_signal_name(sig);

	if (name)
		strbuf_puts(sb, name);
	else
		strbuf_printf(sb, "%d", sig);
}

/* ---- structs ---- */

static u32 get32(const char *p, size_t at)
{
	u32 v;

	memcpy(&v, p + at, sizeof(v));
	return v;
}

static u64 get64(const char *p, size_t at)
{
	u64 v;

	memcpy(&v, p + at, sizeof(v));
	return v;
}

/* Signals of a set, few or all. */
static void put_sigset(struct strbuf *sb, u64 set)
{
	bool inverse = __builtin_popcountl(set) > 40, first = true;

	strbuf_puts(sb, inverse ? "~[" : "[");
	for (u64 left = inverse ? ~set : set; left; left &= left - 1) {
		int sig = __builtin_ctzl(left) + 1;
		const char *name = strace_signal_name(sig);

		if (!first)
			strbuf_putc(sb, ' ');
		if (name)
			strbuf_puts(sb, name + 3);
		else
			strbuf_printf(sb, "%d", sig);
		first = false;
	}
	strbuf_putc(sb, ']');
}

/* A struct that is shown in a way of its own. Others: false. */
static bool put_known(struct strbuf *sb, enum arg_struct type, const char *p)
{
	switch (type) {
	case STRUCT_int:
		strbuf_printf(sb, "[%d]", (int)get32(p, 0));
		return true;
	case STRUCT_off:
		strbuf_printf(sb, "[%ld]", (long)get64(p, 0));
		return true;
	case STRUCT_intpair:
		strbuf_printf(sb, "[%d, %d]", (int)get32(p, 0), (int)get32(p, 4));
		return true;
	case STRUCT_sigset:
		put_sigset(sb, get64(p, 0));
		return true;
	case STRUCT_timespec:
	case STRUCT_timeval:
		strbuf_printf(sb, "{%ld, %ld}", (long)get64(p, 0), (long)get64(p, 8));
		return true;
	case STRUCT_itimerspec:
	case STRUCT_itimerval:
	case STRUCT_timespecpair:
	case STRUCT_timevalpair:
		strbuf_printf(sb, "{{%ld, %ld}, {%ld, %ld}}", (long)get64(p, 0), (long)get64(p, 8),
			      (long)get64(p, 16), (long)get64(p, 24));
		return true;
	case STRUCT_rlimit:
		strbuf_printf(sb, "{cur=%ld, max=%ld}", (long)get64(p, 0), (long)get64(p, 8));
		return true;
	case STRUCT_pollfd:
		strbuf_printf(sb, "{fd=%d, events=0x%x, revents=0x%x}", (int)get32(p, 0),
			      get32(p, 4) & 0xffff, get32(p, 4) >> 16);
		return true;
	case STRUCT_epoll_event:
		strbuf_printf(sb, "{events=0x%x, data=0x%lx}", get32(p, 0), get64(p, 4));
		return true;
	case STRUCT_sigaction:
		strbuf_printf(sb, "{handler=0x%lx, flags=0x%lx, mask=", get64(p, 0), get64(p, 8));
		put_sigset(sb, get64(p, 24));
		strbuf_putc(sb, '}');
		return true;
	case STRUCT_stat:
		strbuf_printf(sb, "{mode=0%o, size=%ld}", get32(p, 24), (long)get64(p, 48));
		return true;
	case STRUCT_iovec:
		strbuf_printf(sb, "{0x%lx, %lu}", get64(p, 0), get64(p, 8));
		return true;
	default:
		return false;
	}
}

static void put_struct(struct strbuf *sb, struct task *t, enum arg_struct type, u64 addr)
{
	char p[64];

	/* Of the larger ones, only the start is shown. */
	if (!addr)
		strbuf_puts(sb, "NULL");
	else if (copy_in(&t->subject, p, UADDR(addr),
			 min((size_t)g_struct_sizes[type], sizeof(p))) ||
		 !put_known(sb, type, p))
		strbuf_printf(sb, "0x%lx", addr);
}

static void put_array(struct strbuf *sb, struct task *t, enum arg_struct type, u64 addr, u64 count)
{
	strbuf_putc(sb, '[');
	for (u64 i = 0; i < count; i++) {
		if (i)
			strbuf_puts(sb, ", ");
		if (i == ITEMS_SHOWN) {
			strbuf_puts(sb, "...");
			break;
		}
		put_struct(sb, t, type, addr + i * g_struct_sizes[type]);
	}
	strbuf_putc(sb, ']');
}

/* ---- calls ---- */

bool strace_takes(int nr, bool path)
{
	const struct strace_call *call;

	if ((unsigned int)nr >= ARRAY_SIZE(g_strace_calls))
		return false;
	call = &g_strace_calls[nr];
	for (int i = 0; i < call->count; i++) {
		u8 kind = call->arg[i].kind;

		if (path ? kind == ARG_PATH : kind == ARG_FD || kind == ARG_DIRFD)
			return true;
	}
	return false;
}

/* "[pid comm] "; the name is the guest's choice, so what is not printable is not printed. */
static void put_task(struct strbuf *sb, struct task *t)
{
	char comm[sizeof(t->comm)];

	spin_lock(&t->lock, &lc_task);
	memcpy(comm, t->comm, sizeof(comm));
	spin_unlock(&t->lock, &lc_task);
	for (size_t i = 0; i < sizeof(comm); i++)
		if (comm[i] && (comm[i] < ' ' || comm[i] > '~'))
			comm[i] = '?';
	strbuf_printf(sb, "[%u %.*s] ", task_tid(t), (int)sizeof(comm), comm);
}

static void put_pointer(struct strbuf *sb, struct task *t, const struct strace_arg *a,
			const u64 args[6], u64 value, long result)
{
	u64 count = a->count ? args[a->count - 1] : 1;
	bool out = a->kind == ARG_OUT || a->kind == ARG_RDATA;

	/* Outputs of a call that failed mean nothing. */
	if (out && result < 0)
		strbuf_printf(sb, value ? "0x%lx" : "NULL", value);
	else if (a->kind == ARG_RDATA)
		put_data(sb, t, value, min(count, (u64)result));
	else if (a->kind == ARG_DATA)
		put_data(sb, t, value, count);
	else if (a->count)
		put_array(sb, t, a->type, value, count);
	else
		put_struct(sb, t, a->type, value);
}

static void put_arg(struct strbuf *sb, struct task *t, const struct strace_arg *a,
		    const u64 args[6], u64 value, long result)
{
	switch ((enum arg_kind)a->kind) {
	case ARG_FD:
	case ARG_INT:
		strbuf_printf(sb, "%d", (int)value);
		break;
	case ARG_DIRFD:
		if ((int)value == AT_FDCWD)
			strbuf_puts(sb, "AT_FDCWD");
		else
			strbuf_printf(sb, "%d", (int)value);
		break;
	case ARG_UINT:
		strbuf_printf(sb, "%u", (u32)value);
		break;
	case ARG_LONG:
		strbuf_printf(sb, "%ld", (long)value);
		break;
	case ARG_ULONG:
		strbuf_printf(sb, "%lu", value);
		break;
	case ARG_MODE:
		strbuf_printf(sb, "0%o", (u32)value);
		break;
	case ARG_SIG:
		put_signal(sb, (int)value);
		break;
	case ARG_ENUM:
		put_enum(sb, a->names, value);
		break;
	case ARG_FLAGS:
		put_flags(sb, a->names, a->names == NAMES_clone ? value : (u32)value);
		break;
	case ARG_PATH:
	case ARG_STR:
		put_string(sb, t, value);
		break;
	case ARG_HEX32:
		strbuf_printf(sb, "0x%x", (u32)value);
		break;
	case ARG_HEX:
	case ARG_PTR:
		strbuf_printf(sb, value ? "0x%lx" : "0", value);
		break;
	default:
		put_pointer(sb, t, a, args, value, result);
	}
}

static void put_call(struct strbuf *sb, struct task *t, int nr, const u64 args[6], long result)
{
	const struct syscall_info *info = syscall_info(nr);
	const struct strace_call *call = info ? &g_strace_calls[nr] : NULL;

	put_task(sb, t);
	if (!info) {
		strbuf_printf(sb, "syscall_%d(0x%lx, 0x%lx, 0x%lx, 0x%lx, 0x%lx, 0x%lx)", nr,
			      args[0], args[1], args[2], args[3], args[4], args[5]);
		return;
	}
	strbuf_printf(sb, "%s(", info->name);
	for (int i = 0; i < call->count; i++) {
		if (i)
			strbuf_puts(sb, ", ");
		put_arg(sb, t, &call->arg[i], args, args[i], result);
	}
	strbuf_putc(sb, ')');
}

static void put_result(struct strbuf *sb, long result)
{
	const char *name = result < 0 ? strace_errno_name((int)-result) : NULL;

	if (name)
		strbuf_printf(sb, " = -1 %s", name);
	else if (result > 0xffff'ffffL)
		strbuf_printf(sb, " = 0x%lx", (u64)result);
	else
		strbuf_printf(sb, " = %ld", result);
}

static void write_line(const struct syscall_state *state, struct strbuf *sb)
{
	size_t size = min(sb->length, (size_t)LINE_MAX_SIZE - 2);

	sb->data[size] = '\n';
	(void)!host_write(state->strace_fd, sb->data, size + 1);
}

static const struct syscall_state *strace_on(void)
{
	const struct syscall_state *state = syscall_state();

	return unlikely(state && state->strace) ? state : NULL;
}

static bool is_shown(const struct syscall_state *state, int nr)
{
	if (!state->strace_filtered || (unsigned int)nr >= SYSCALL_SET_SIZE)
		return true;
	return state->strace_set.bits[nr / 64] >> (nr % 64) & 1;
}

void strace_exited(struct task *t, int nr, const u64 args[6], long result)
{
	const struct syscall_state *state = strace_on();
	char line[LINE_MAX_SIZE] __attribute__((uninitialized));
	struct strbuf sb;

	if (likely(!state) || !is_shown(state, nr))
		return;
	strbuf_init_fixed(&sb, line, sizeof(line));
	put_call(&sb, t, nr, args, result);
	put_result(&sb, result);
	write_line(state, &sb);
}

void strace_entered(struct task *t, int nr)
{
	const struct syscall_state *state = strace_on();
	char line[LINE_MAX_SIZE] __attribute__((uninitialized));
	struct strbuf sb;

	if (likely(!state) || !is_shown(state, nr))
		return;
	strbuf_init_fixed(&sb, line, sizeof(line));
	put_call(&sb, t, nr, t->syscall_args, 0);
	strbuf_puts(&sb, " ...");
	write_line(state, &sb);
}

void strace_signalled(struct task *t, const siginfo_t *info)
{
	const struct syscall_state *state = strace_on();
	char line[128];
	struct strbuf sb;

	if (likely(!state))
		return;
	strbuf_init_fixed(&sb, line, sizeof(line));
	put_task(&sb, t);
	strbuf_puts(&sb, "--- ");
	put_signal(&sb, info->si_signo);
	strbuf_printf(&sb, " {code=%d, ", info->si_code);
	if (info->si_code > 0 &&
	    (info->si_signo == SIGSEGV || info->si_signo == SIGBUS || info->si_signo == SIGILL ||
	     info->si_signo == SIGFPE || info->si_signo == SIGTRAP))
		strbuf_printf(&sb, "addr=%p} ---", info->si_addr);
	else
		strbuf_printf(&sb, "pid=%d, uid=%u} ---", info->si_pid, info->si_uid);
	write_line(state, &sb);
}
