/*
 * Which calls --strace shows. A class is what the table says of a call's arguments (%file: one is a
 * path; %desc: one is a descriptor) or a list of words that a call's name begins with.
 */

#include <errno.h>
#include <string.h>

#include "syscall/strace.h"
#include "syscall/syscall.h"

struct syscall_class {
	const char *name;
	const char *words; /* separated by blanks; a word ending in $ is a whole name */
};

static const struct syscall_class classes[] = {
	{ "%process",
	  "clone fork$ vfork$ exec exit wait kill$ tkill$ tgkill$ pidfd_ ptrace$ prctl$ "
	  "arch_prctl$ unshare$ setns$ rt_sigqueueinfo$ rt_tgsigqueueinfo$" },
	{ "%signal",
	  "rt_sig kill$ tkill$ tgkill$ sigaltstack$ signalfd pause$ pidfd_send_signal$ alarm$" },
	{ "%memory",
	  "mmap$ munmap$ mprotect$ mremap$ brk$ madvise$ msync$ mincore$ mlock munlock shm "
	  "mbind$ memfd_ membarrier$ process_madvise$ pkey_ remap_file_pages$" },
	{ "%network",
	  "socket connect$ accept bind$ listen$ shutdown$ send recv getsock setsockopt$ "
	  "getpeername$" },
	{ "%time",
	  "time clock_ nanosleep$ gettimeofday$ settimeofday$ getitimer$ setitimer$ alarm$ "
	  "adjtimex$" },
	{ "%ids", "getuid$ geteuid$ getgid$ getegid$ setuid$ setgid$ setre setres getres setfs "
		  "getgroups$ setgroups$ cap" },
};

static bool has_word(const char *words, const char *name)
{
	for (const char *w = words; *w; w += strspn(w, " ")) {
		size_t len = strcspn(w, " ");
		bool whole = w[len - 1] == '$';

		if (whole ? strlen(name) == len - 1 && !strncmp(name, w, len - 1) :
			    !strncmp(name, w, len))
			return true;
		w += len;
	}
	return false;
}

/* Whether call nr is in the class. False for a class that there is not. */
static bool in_class(int nr, const char *name, const char *class, size_t len)
{
	if (len == 5 && !strncmp(class, "%file", len))
		return strace_takes(nr, true);
	if (len == 5 && !strncmp(class, "%desc", len))
		return strace_takes(nr, false);
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		if (strlen(classes[i].name) == len && !strncmp(classes[i].name, class, len))
			return has_word(classes[i].words, name);
	return false;
}

/* Add what word (of len characters) names to set. False if it names nothing. */
static bool add_word(struct syscall_set *set, const char *word, size_t len)
{
	bool any = false;

	for (int nr = 0; nr < SYSCALL_SET_SIZE; nr++) {
		const struct syscall_info *info = syscall_info(nr);

		if (!info)
			continue;
		if (*word == '%' ? !in_class(nr, info->name, word, len) :
				   strlen(info->name) != len || strncmp(info->name, word, len) != 0)
			continue;
		set->bits[nr / 64] |= 1UL << (nr % 64);
		any = true;
	}
	return any;
}

int syscall_set_parse(const char *text, struct syscall_set *ret, const char **ret_bad)
{
	struct syscall_set set = {};
	bool inverse = *text == '!';
	const char *word = text + inverse;

	for (;;) {
		size_t len = strcspn(word, ",");

		if (!add_word(&set, word, len)) {
			*ret_bad = word;
			return -EINVAL;
		}
		if (!word[len])
			break;
		word += len + 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(set.bits); i++)
		ret->bits[i] = inverse ? ~set.bits[i] : set.bits[i];
	return 0;
}
