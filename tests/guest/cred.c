/*
 * User and group ids, and what they permit. The tests run in children, as they give up root.
 */
#include "tap.h"
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void need_uids(uid_t r, uid_t e, uid_t s)
{
	uid_t real, effective, saved;
	need(getresuid(&real, &effective, &saved) == 0);
	need(real == r && effective == e && saved == s);
	need(getuid() == r && geteuid() == e);
}

static void need_gids(gid_t r, gid_t e, gid_t s)
{
	gid_t real, effective, saved;
	need(getresgid(&real, &effective, &saved) == 0);
	need(real == r && effective == e && saved == s);
	need(getgid() == r && getegid() == e);
}

static void become(uid_t id)
{
	need(setresgid(id, id, id) == 0);
	need(setresuid(id, id, id) == 0);
}

static void root_sets_uids(void)
{
	need(setresuid(1001, 1002, 1003) == 0);
	need_uids(1001, 1002, 1003);
	need(setresuid(1003, -1, 1001) == 0);
	need_uids(1003, 1002, 1001);
	need(seteuid(1001) == 0);
	need_uids(1003, 1001, 1001);
	need_err(setresuid(1004, -1, -1), EPERM);
	need_err(setuid(0), EPERM);
	need_err(seteuid(0), EPERM);
	need(setuid(1003) == 0);
	need_uids(1003, 1003, 1001);
	need(setreuid(-1, 1001) == 0);
	need_uids(1003, 1001, 1001);
	need(setreuid(1001, 1003) == 0);
	need_uids(1001, 1003, 1003);
	need_err(setreuid(1009, -1), EPERM);
}

static void root_setuid(void)
{
	need(seteuid(1000) == 0);
	need_uids(0, 1000, 0);
	need_err(open("/etc/shadow", O_RDONLY), EACCES);
	need(seteuid(0) == 0);
	need(setuid(1000) == 0);
	need_uids(1000, 1000, 1000);
	need_err(seteuid(0), EPERM);
}

static void root_setreuid(void)
{
	need(setreuid(1000, 1001) == 0);
	need_uids(1000, 1001, 1001);
}

static void root_sets_gids(void)
{
	need(setresgid(2001, 2002, 2003) == 0);
	need_gids(2001, 2002, 2003);
	need(setegid(2005) == 0);
	need_gids(2001, 2005, 2003);
	need(setregid(2006, -1) == 0);
	need_gids(2006, 2005, 2005);
	need(setgid(2007) == 0);
	need_gids(2007, 2007, 2007);
	need(setresuid(1000, 1000, 1000) == 0);
	need_err(setgid(2008), EPERM);
	need_err(setregid(2008, -1), EPERM);
	need_err(setresgid(-1, -1, 2008), EPERM);
	need(setgid(2007) == 0);
}

static void root_groups(void)
{
	gid_t groups[] = { 30, 10, 20 }, got[8];
	need(setgroups(3, groups) == 0);
	need(getgroups(0, NULL) == 3);
	need(getgroups(8, got) == 3);
	/* The kernel keeps them sorted. */
	need(got[0] == 10 && got[1] == 20 && got[2] == 30);
	need_err(getgroups(2, got), EINVAL);
	volatile int minus_one = -1;
	need_err(getgroups(minus_one, got), EINVAL);
	need_err(syscall(SYS_getgroups, 8, BAD_PTR), EFAULT);
	need_err(setgroups(65537, groups), EINVAL);
	need_err(setgroups(1, BAD_PTR), EFAULT);
	pid_t child = tap_fork();
	if (child == 0)
		_exit(getgroups(8, got) == 3 ? 0 : 1);
	need(tap_wait(child) == 0);
	need(setgroups(0, NULL) == 0);
	need(getgroups(8, got) == 0);
}

static void root_fsuid(void)
{
	need(setfsuid(1000) == 0);
	need(setfsuid(-1) == 1000);
	need_err(open("/etc/shadow", O_RDONLY), EACCES);
	need(setfsuid(0) == 1000);
	need(setfsgid(1000) == 0);
	need(setfsgid(0) == 1000);
}

static void root_inherited(void)
{
	need(setresuid(1001, 1002, 1003) == 0);
	pid_t child = tap_fork();
	if (child == 0) {
		need_uids(1001, 1002, 1003);
		_exit(0);
	}
	need(tap_wait(child) == 0);
}

static void root_file_groups(void)
{
	/* A supplementary group counts for a file's group permissions. */
	char path[] = "/tmp/guest-cred.XXXXXX";
	gid_t group = 4321;
	int fd = mkstemp(path);
	need(fd >= 0 && fchmod(fd, 0640) == 0 && fchown(fd, 0, group) == 0);
	pid_t child = tap_fork();
	if (child == 0) {
		need(setgroups(1, &group) == 0);
		become(1000);
		int in = open(path, O_RDONLY);
		need(in >= 0);
		need_err(open(path, O_WRONLY), EACCES);
		_exit(0);
	}
	int status = tap_wait(child);
	child = tap_fork();
	if (child == 0) {
		need(setgroups(0, NULL) == 0);
		become(1000);
		need_err(open(path, O_RDONLY), EACCES);
		_exit(0);
	}
	int status2 = tap_wait(child);
	unlink(path);
	need(status == 0 && status2 == 0);
}

static void unprivileged(void)
{
	if (getuid() == 0) {
		need(setgroups(0, NULL) == 0);
		become(65533);
	}
	uid_t uid = getuid();
	gid_t gid = getgid();
	need_err(setuid(0), EPERM);
	need_err(setuid(uid + 1), EPERM);
	need_err(setgid(gid + 1), EPERM);
	need_err(setgroups(0, NULL), EPERM);
	need(setuid(uid) == 0 && setgid(gid) == 0);
	need(setreuid(-1, -1) == 0 && setregid(-1, -1) == 0);
	need(setresuid(uid, -1, uid) == 0 && setresgid(-1, gid, -1) == 0);
	need_uids(uid, uid, uid);
	need_gids(gid, gid, gid);
	need((uid_t)setfsuid(uid + 1) == uid);
	need((uid_t)setfsuid(-1) == uid);
	need_err(syscall(SYS_setuid, -1), EINVAL);
	need_err(syscall(SYS_setgid, -1), EINVAL);
	need_err(chroot("/"), EPERM);
	need_err(sethostname("x", 1), EPERM);
	need_err(mknod("/tmp/guest-node", S_IFCHR | 0600, 0x103), EPERM);
	need_err(chown("/dev/null", uid, gid), EPERM);
	struct rlimit limit;
	need(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_max++;
	need_err(setrlimit(RLIMIT_NOFILE, &limit), EPERM);
}

static void bad_addresses(void)
{
	uid_t id;
	need_err(syscall(SYS_getresuid, BAD_PTR, &id, &id), EFAULT);
	need_err(syscall(SYS_getresuid, &id, &id, BAD_PTR), EFAULT);
	need_err(syscall(SYS_getresgid, &id, BAD_PTR, &id), EFAULT);
}

int main(void)
{
	static const struct {
		void (*run)(void);
		const char *name;
	} root_tests[] = {
		{ root_sets_uids, "setresuid, seteuid, setreuid" },
		{ root_setuid, "setuid as root is for good" },
		{ root_setreuid, "setreuid sets the saved uid" },
		{ root_sets_gids, "setresgid, setegid, setregid" },
		{ root_groups, "setgroups" },
		{ root_fsuid, "setfsuid" },
		{ root_inherited, "fork keeps all" },
		{ root_file_groups, "supplementary groups" },
	};
	tap_begin();
	for (size_t i = 0; i < ARRAY_SIZE(root_tests); i++) {
		if (getuid() == 0)
			child_ok(root_tests[i].run, "%s", root_tests[i].name);
		else
			skip("needs root", "%s", root_tests[i].name);
	}
	child_ok(unprivileged, "what one who is not root cannot do");
	child_ok(bad_addresses, "bad addresses");
	return tap_end();
}
