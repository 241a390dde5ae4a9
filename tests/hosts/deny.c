/*
 * deny WHAT... -- COMMAND [ARG...]: run it on a host that lacks these things, by a seccomp filter.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ANY (-1)
#define SET_FLAGS 0x40082104U /* SECCOMP_IOCTL_NOTIF_SET_FLAGS */
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const struct rule {
	const char *name;
	int nr, error;
	int arg; /* or ANY; has one of bits, or (bits 0) is value */
	unsigned int bits, value;
} rules[] = {
	{ "process_vm", SYS_process_vm_readv, EPERM, ANY, 0, 0 }, /* Yama */
	{ "process_vm", SYS_process_vm_writev, EPERM, ANY, 0, 0 },
	{ "sync_wake_up", SYS_ioctl, EINVAL, 1, 0, SET_FLAGS }, /* Linux 6.6 */
	{ "guard", SYS_madvise, EINVAL, 2, 0, 102 }, /* MADV_GUARD_INSTALL: Linux 6.13 */
	{ "nowait", SYS_preadv2, EOPNOTSUPP, ANY, 0, 0 },
	{ "affinity", SYS_sched_setaffinity, EPERM, ANY, 0, 0 },
	{ "namespaces", SYS_unshare, EPERM, 0, 0x7e020000, 0 },
	{ "namespaces", SYS_clone, EPERM, 0, 0x7e020000, 0 },
	{ "namespaces", SYS_clone3, ENOSYS, ANY, 0, 0 },
	{ "openat2", SYS_openat2, ENOSYS, ANY, 0, 0 }, /* Linux 5.6 */
	{ "memfd", SYS_memfd_create, ENOSYS, ANY, 0, 0 },
	{ "listener", SYS_seccomp, EINVAL, 1, SECCOMP_FILTER_FLAG_NEW_LISTENER, 0 },
};

static struct sock_filter code[8 * ARRAY_SIZE(rules) + 1];
static unsigned short length;

static void emit(unsigned short op, unsigned int k, unsigned char jt, unsigned char jf)
{
	code[length++] = (struct sock_filter){ op, jt, jf, k };
}

static void emit_rule(const struct rule *r)
{
	unsigned int arg = r->arg == ANY ? 0 : (unsigned int)r->arg;

	emit(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	emit(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)r->nr, 0, r->arg == ANY ? 1 : 3);
	if (r->arg != ANY) {
		emit(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[arg]), 0, 0);
		if (r->bits)
			emit(BPF_JMP | BPF_JSET | BPF_K, r->bits, 0, 1);
		else
			emit(BPF_JMP | BPF_JEQ | BPF_K, r->value, 0, 1);
	}
	emit(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)r->error, 0, 0);
}

int main(int argc, char **argv)
{
	struct sock_fprog prog = { .filter = code };
	int at = 1;

	for (; at < argc && strcmp(argv[at], "--"); at++) {
		unsigned short before = length;

		for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
			if (!strcmp(rules[i].name, argv[at]))
				emit_rule(&rules[i]);
		if (length == before) {
			fprintf(stderr, "deny: what is %s?\n", argv[at]);
			return 2;
		}
	}
	emit(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
	prog.len = length;
	/* Who may do so does without: no_new_privs would be inherited. */
	if (at + 1 >= argc || (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) &&
			       (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
				prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog)))) {
		perror("deny");
		return 2;
	}
	execvp(argv[at + 1], argv + at + 1);
	perror(argv[at + 1]);
	return 127;
}
