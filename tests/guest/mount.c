/* Mounts made in the guest: mount, umount2, pivot_root, and what /proc says of them. */

#include <fcntl.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "tap.h"

static char dir[64], a[80], b[80], file[96];

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

static const char *at(const char *base, const char *name)
{
	static char buf[4][200];
	static int turn;
	char *p = buf[turn++ % 4];
	snprintf(p, sizeof(buf[0]), "%s/%s", base, name);
	return p;
}

/* The line of mountinfo whose mount point is path; "" if there is none. */
static const char *info_line(const char *path)
{
	static char line[1024];
	FILE *f = fopen("/proc/self/mountinfo", "r");
	char on[512], last[1024] = "";
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %*s %*s %511s", on) == 1 && !strcmp(on, path))
			strcpy(last, line);
	if (f)
		fclose(f);
	strcpy(line, last);
	return line;
}

static void test_tmpfs(void)
{
	struct statfs sf;
	struct stat st;
	is_int(mount("src", a, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=750,uid=3,gid=4"), 0,
	       "mount a tmpfs");
	need(stat(a, &st) == 0 && statfs(a, &sf) == 0);
	ok((st.st_mode & 07777) == 0750 && st.st_uid == 3 && st.st_gid == 4, "mode, uid, gid");
	is_int(sf.f_blocks * sf.f_bsize, 65536, "size");
	ok(sf.f_flags & ST_NOSUID && sf.f_flags & ST_NODEV && !(sf.f_flags & ST_RDONLY), "flags");
	is_int(put(at(a, "f"), "hello"), 0, "a file in it");
	ok(strstr(info_line(a), " - tmpfs src rw") != NULL, "mountinfo: type and source");
	ok(strstr(info_line(a), "rw,nosuid,nodev") != NULL, "mountinfo: flags");
	is_err(rmdir(a), EBUSY, "a mount point cannot be removed");
	is_err(rename(a, at(dir, "z")), EBUSY, "nor renamed");
	int fd = open(at(a, "f"), O_RDONLY);
	is_err(umount2(a, 0), EBUSY, "umount with a file open");
	close(fd);
	is_err(umount2(a, MNT_EXPIRE), EAGAIN, "expire marks");
	need(access(at(a, "f"), F_OK) == 0);
	is_err(umount2(a, MNT_EXPIRE), EAGAIN, "again, if it has been used");
	is_int(umount2(a, MNT_EXPIRE), 0, "and then unmounts");
	is_err(access(at(a, "f"), F_OK), ENOENT, "it is gone");
	is_err(umount2(a, 0), EINVAL, "not mounted any more");
}

static void test_errors(void)
{
	is_err(mount("x", at(dir, "none"), "tmpfs", 0, NULL), ENOENT, "no such place");
	is_err(mount("x", a, "no-such-type", 0, NULL), ENODEV, "no such type");
	is_err(mount("x", a, NULL, 0, NULL), EINVAL, "no type");
	is_err(mount("x", a, "tmpfs", 0, "size=x"), EINVAL, "a bad size");
	is_err(mount("x", a, "tmpfs", 0, "nonsense=1"), EINVAL, "a bad option");
	is_err(mount("x", file, "tmpfs", 0, NULL), ENOTDIR, "on a file");
	is_err(mount((void *)1, a, "tmpfs", 0, NULL), EFAULT, "a bad source");
	is_err(mount("x", (void *)1, "tmpfs", 0, NULL), EFAULT, "a bad target");
	is_err(mount("x", a, (void *)1, 0, NULL), EFAULT, "a bad type");
	is_err(mount(NULL, a, NULL, MS_BIND, NULL), EINVAL, "bind nothing");
	is_err(mount("", a, NULL, MS_BIND, NULL), EINVAL, "bind the empty path");
	is_err(mount(at(dir, "none"), a, NULL, MS_BIND, NULL), ENOENT, "bind what is not there");
	is_err(mount(file, a, NULL, MS_BIND, NULL), ENOTDIR, "bind a file on a directory");
	is_err(mount(a, file, NULL, MS_BIND, NULL), ENOTDIR, "bind a directory on a file");
	is_err(mount(NULL, a, NULL, MS_REMOUNT, NULL), EINVAL, "remount no mount");
	is_err(mount(NULL, a, NULL, MS_PRIVATE, NULL), EINVAL, "make no mount private");
	is_err(mount(NULL, a, NULL, MS_PRIVATE | MS_SHARED, NULL), EINVAL, "two types");
	is_err(mount(a, b, NULL, MS_MOVE, NULL), EINVAL, "move no mount");
	is_err(umount2(a, 0x100), EINVAL, "bad flags of umount2");
	is_err(umount2(at(dir, "none"), 0), ENOENT, "umount what is not there");
	is_err(umount2(a, MNT_EXPIRE | MNT_DETACH), EINVAL, "expire and detach");
}

static void test_tmpfs_limits(void)
{
	struct statfs sf;
	need(mount("t", a, "tmpfs", 0, "nr_inodes=3,nr_blocks=16") == 0 && statfs(a, &sf) == 0);
	is_int(sf.f_files, 3, "nr_inodes");
	is_int(sf.f_blocks, 16, "nr_blocks");
	need(put(at(a, "f"), "x") == 0 && mkdir(at(a, "d"), 0700) == 0);
	is_err(mkdir(at(a, "e"), 0700), ENOSPC, "no more inodes");
	is_err(link(at(a, "f"), at(a, "g")), ENOSPC, "a link takes one, too");
	need(unlink(at(a, "f")) == 0);
	is_int(mkdir(at(a, "e"), 0700), 0, "until one is free");
	need(umount2(a, 0) == 0);
}

static void test_bind(void)
{
	struct statfs sf;
	char buf[16] = "";
	need(mkdir(at(a, "sub"), 0755) == 0 && put(at(a, "sub/f"), "deep") == 0);
	is_int(mount(at(a, "sub"), b, NULL, MS_BIND, NULL), 0, "bind a subdirectory");
	is_int(put(at(b, "g"), "x"), 0, "write there");
	is_int(access(at(a, "sub/g"), F_OK), 0, "and see it where it came from");
	int fd = open(at(b, ".."), O_RDONLY | O_DIRECTORY);
	struct stat up, want;
	need(fd >= 0 && fstat(fd, &up) == 0 && stat(dir, &want) == 0);
	is_int(up.st_ino, want.st_ino, "its .. is where it is mounted");
	close(fd);
	is_err(link(at(b, "g"), at(a, "sub/h")), EXDEV, "a link across mounts of one file system");
	is_err(rename(at(b, "g"), at(a, "sub/h")), EXDEV, "a rename");
	char root[128];
	snprintf(root, sizeof(root), "%s/a/sub %s ", strrchr(dir, '/'), b);
	ok(strstr(info_line(b), root) != NULL, "mountinfo: the root");
	is_int(mount(NULL, b, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOEXEC, NULL), 0,
	       "remount it read-only");
	is_err(put(at(b, "g"), "x"), EROFS, "so it is");
	is_int(put(at(a, "sub/g"), "y"), 0, "but only there");
	need(statfs(b, &sf) == 0);
	ok(sf.f_flags & ST_RDONLY && sf.f_flags & ST_NOEXEC, "statfs says so");
	is_err(access(at(b, "g"), W_OK), EROFS, "so does access");
	need(mount(NULL, b, NULL, MS_REMOUNT | MS_BIND | MS_NOATIME | MS_NODIRATIME, NULL) == 0);
	need(statfs(b, &sf) == 0);
	is_int(sf.f_flags & ~0x20L, ST_NOATIME | ST_NODIRATIME, "statfs of a mount without times");
	is_int(mount(NULL, b, NULL, MS_REMOUNT | MS_BIND, NULL), 0, "and back");
	is_int(put(at(b, "g"), "x"), 0, "writable again");
	is_int(mount(file, at(b, "g"), NULL, MS_BIND, NULL), 0, "bind a file on a file");
	fd = open(at(b, "g"), O_RDONLY);
	is_int(read(fd, buf, 4), 4, "read it");
	ok(!strcmp(buf, "file"), "contents");
	close(fd);
	is_err(unlink(at(b, "g")), EBUSY, "it cannot be removed");
	is_err(umount2(b, 0), EBUSY, "umount below another mount");
	is_int(umount2(at(b, "g"), 0), 0, "umount the file");
	is_int(umount2(b, 0), 0, "and the directory");
}

static void test_tree(void)
{
	need(mount("t", a, "tmpfs", 0, NULL) == 0 && mkdir(at(a, "in"), 0755) == 0 &&
	     mount("t2", at(a, "in"), "tmpfs", 0, NULL) == 0 && put(at(a, "in/f"), "x") == 0);
	is_int(mount(a, b, NULL, MS_BIND, NULL), 0, "bind without what is mounted below");
	is_err(access(at(b, "in/f"), F_OK), ENOENT, "which is not there");
	need(umount2(b, 0) == 0);
	is_int(mount(a, b, NULL, MS_BIND | MS_REC, NULL), 0, "bind with it");
	is_int(access(at(b, "in/f"), F_OK), 0, "there it is");
	is_int(mount("t3", b, "tmpfs", 0, NULL), 0, "mount on a mount");
	is_err(access(at(b, "in"), F_OK), ENOENT, "hides it");
	is_int(umount2(b, 0), 0, "until it goes");
	is_int(access(at(b, "in/f"), F_OK), 0, "then it is back");
	int fd = open(at(b, "in/f"), O_RDONLY);
	is_int(umount2(b, MNT_DETACH), 0, "detach the whole tree");
	is_err(access(at(b, "in"), F_OK), ENOENT, "gone");
	char c;
	is_int(read(fd, &c, 1), 1, "an open file lives on");
	close(fd);
	is_err(mount(a, at(a, "in"), NULL, MS_MOVE, NULL), ELOOP, "move below itself");
	is_int(mount(a, b, NULL, MS_MOVE, NULL), 0, "move a tree");
	is_int(access(at(b, "in/f"), F_OK), 0, "to its new place");
	is_err(access(at(a, "in"), F_OK), ENOENT, "from its old");
	is_int(mount(NULL, b, NULL, MS_PRIVATE | MS_REC, NULL), 0, "make it private");
	is_int(mount(NULL, b, NULL, MS_SLAVE, NULL), 0, "or a slave");
	is_int(umount2(at(b, "in"), 0), 0, "umount inner");
	is_int(umount2(b, 0), 0, "umount outer");
}

/* A directory renamed out of the part that is mounted has no way up. */
static void test_disconnected(void)
{
	need(mkdir(at(a, "p"), 0755) == 0 && mkdir(at(a, "p/q"), 0755) == 0);
	need(mount(at(a, "p"), b, NULL, MS_BIND, NULL) == 0);
	int fd = open(at(b, "q"), O_RDONLY | O_DIRECTORY);
	need(fd >= 0 && rename(at(a, "p/q"), at(a, "q")) == 0);
	is_int(faccessat(fd, ".", F_OK, 0), 0, "a directory that was moved away");
	is_err(faccessat(fd, "..", F_OK, 0), ENOENT, "has no parent here");
	close(fd);
	need(umount2(b, 0) == 0 && rmdir(at(a, "q")) == 0 && rmdir(at(a, "p")) == 0);
}

/* Watches of a file system that is unmounted end. */
static void test_watch(void)
{
	union {
		struct inotify_event e;
		char bytes[512];
	} buf;
	need(mount("t", a, "tmpfs", 0, NULL) == 0 && put(at(a, "f"), "x") == 0);
	need(mount(a, b, NULL, MS_BIND, NULL) == 0);
	int in = inotify_init1(IN_NONBLOCK);
	int top = inotify_add_watch(in, a, IN_OPEN),
	    wd = inotify_add_watch(in, at(a, "f"), IN_OPEN);
	need(in >= 0 && top > 0 && wd > 0);
	is_int(umount2(a, 0), 0, "umount what is watched");
	is_err(read(in, &buf, sizeof(buf)), EAGAIN, "and mounted elsewhere");
	need(umount2(b, 0) == 0);
	unsigned seen[2][2] = { 0 };
	ssize_t n = read(in, &buf, sizeof(buf));
	is_int(n, 4 * sizeof(buf.e), "the last umount: four events");
	for (ssize_t i = 0; i + (ssize_t)sizeof(buf.e) <= n; i += sizeof(buf.e)) {
		struct inotify_event e;
		memcpy(&e, buf.bytes + i, sizeof(e));
		unsigned *mine = seen[e.wd == top];
		mine[mine[0] != 0] = e.mask;
	}
	is_int(seen[1][0], IN_UNMOUNT | IN_ISDIR, "IN_UNMOUNT of a directory");
	is_int(seen[0][0], IN_UNMOUNT, "of a file");
	ok(seen[0][1] == IN_IGNORED && seen[1][1] == IN_IGNORED, "then both are gone");
	is_err(inotify_rm_watch(in, wd), EINVAL, "and cannot be removed");
	close(in);
}

static void test_proc(void)
{
	is_int(mount("proc", a, "proc", MS_NOSUID, NULL), 0, "mount proc");
	is_int(access(at(a, "self/status"), R_OK), 0, "it works");
	is_int(umount2(a, 0), 0, "unmount it");
}

static void child_nobody(void)
{
	need(setgid(65534) == 0 && setuid(65534) == 0);
	need_err(mount("x", "/", "tmpfs", 0, NULL), EPERM);
	need_err(umount2("/", MNT_DETACH), EPERM);
	need_err(syscall(SYS_pivot_root, "/", "/"), EPERM);
	need_err(mount("x", "/nowhere", "tmpfs", 0, NULL), ENOENT);
}

/* A mount namespace of its own; a kernel that has none to give is a sandbox anyway. */
static bool own_mounts(void)
{
	return (unshare(CLONE_NEWNS) == 0 || errno == ENOSYS || errno == EINVAL) &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* A new root; then there is no other. */
static void child_pivot(void)
{
	struct stat st;
	need(own_mounts());
	need(mount("root", a, "tmpfs", 0, NULL) == 0 && mkdir(at(a, "old"), 0755) == 0);
	need(put(at(a, "mark"), "here") == 0);
	need_err(syscall(SYS_pivot_root, a, "/"), EBUSY);
	need_err(syscall(SYS_pivot_root, "/", a), EBUSY);
	need(syscall(SYS_pivot_root, a, at(a, "old")) == 0);
	need(stat("/mark", &st) == 0 && stat(at("/old", file), &st) == 0);
	need(umount2("/old", MNT_DETACH) == 0 && chdir("/") == 0);
	need_err(access(at("/old", file), F_OK), ENOENT);
	need(mkdir("/again", 0755) == 0 && mount("root2", "/again", "tmpfs", 0, NULL) == 0);
	need(chdir("/again") == 0 && syscall(SYS_pivot_root, ".", ".") == 0);
	need(umount2(".", MNT_DETACH) == 0 && chdir("/") == 0);
	need_err(access("/mark", F_OK), ENOENT);
}

int main(void)
{
	tap_begin();
	if (!own_mounts()) {
		puts("1..0");
		return 0;
	}
	strcpy(dir, temp_dir());
	snprintf(a, sizeof(a), "%s/a", dir);
	snprintf(b, sizeof(b), "%s/b", dir);
	snprintf(file, sizeof(file), "%s/file", dir);
	need(mkdir(a, 0755) == 0 && mkdir(b, 0755) == 0 && put(file, "file") == 0);
	test_tmpfs();
	test_errors();
	test_tmpfs_limits();
	test_bind();
	test_tree();
	test_disconnected();
	test_watch();
	test_proc();
	child_ok(child_nobody, "without CAP_SYS_ADMIN: EPERM");
	child_ok(child_pivot, "pivot_root");
	/* Where there are no namespaces the root is another one by now. */
	if (unlink(at(a, "sub/f")) == 0) {
		unlink(at(a, "sub/g"));
		rmdir(at(a, "sub"));
		rmdir(a);
		rmdir(b);
		unlink(file);
		rmdir(dir);
	}
	return tap_end();
}
