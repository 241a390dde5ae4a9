/*
 * The first things any program does.
 */
#include "tap.h"
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/utsname.h>

static void test_ids(void)
{
	ok(getpid() > 0, "getpid is positive");
	is_int(syscall(SYS_getpid), getpid(), "getpid by syscall agrees");
	is_int(syscall(SYS_gettid), getpid(), "the main thread's tid is the pid");
	ok(getppid() >= 0, "getppid is not negative");
	ok(getuid() == geteuid(), "uid and euid are equal");
	ok(getgid() == getegid(), "gid and egid are equal");
}

static void test_uname(void)
{
	struct utsname name;
	is_int(uname(&name), 0, "uname");
	is_str(name.sysname, "Linux", "sysname");
	is_str(name.machine, "x86_64", "machine");
	ok(name.release[0] >= '5' || name.release[1] != '.', "release is at least 5");
	ok(memchr(name.nodename, 0, sizeof(name.nodename)) != NULL, "nodename is terminated");
	is_err(syscall(SYS_uname, NULL), EFAULT, "uname(NULL)");
	is_err(syscall(SYS_uname, BAD_PTR_HIGH), EFAULT, "uname of a non-canonical address");
}

static void test_brk(void)
{
	char *start = (char *)syscall(SYS_brk, 0);
	ok(start != NULL, "brk(0) gives the break");
	char *end = (char *)syscall(SYS_brk, start + 100000);
	ok(end == start + 100000, "brk grows");
	memset(start, 0x5a, 100000);
	is_int(start[99999], 0x5a, "the new memory can be written");
	ok((char *)syscall(SYS_brk, 4096) == end, "a break below the start is refused");
	ok((char *)syscall(SYS_brk, start) == start, "brk shrinks");
	ok((char *)syscall(SYS_brk, start + 100000) == end, "brk grows again");
	is_int(start[8192], 0, "pages come back zeroed");
	syscall(SYS_brk, start);
	ok(sbrk(0) != (void *)-1, "sbrk(0)");
}

static void test_write(void)
{
	int fd[2];
	char text[16];
	need(pipe(fd) == 0);
	is_int(write(fd[1], "hello", 5), 5, "write 5 bytes");
	is_int(read(fd[0], text, sizeof(text)), 5, "read 5 bytes");
	ok(memcmp(text, "hello", 5) == 0, "the bytes are the same");
	is_int(write(fd[1], "", 0), 0, "write nothing");
	is_err(write(fd[1], BAD_PTR, 5), EFAULT, "write from a bad address");
	is_err(write(-1, "x", 1), EBADF, "write to -1");
	is_err(write(12345678, "x", 1), EBADF, "write to a descriptor out of range");
	is_err(write(fd[0], "x", 1), EBADF, "write to the read end");
	close(fd[0]);
	close(fd[1]);
	is_err(close(fd[1]), EBADF, "close twice");
}

static void test_exit(void)
{
	static const int codes[] = { 0, 1, 42, 127, 128, 255, 256, 511, -1 };
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		pid_t child = tap_fork();
		if (child == 0)
			_exit(codes[i]);
		is_exit(tap_wait(child), codes[i] & 255, "exit status %d", codes[i]);
	}
	pid_t child = tap_fork();
	if (child == 0) {
		syscall(SYS_exit, 7);
		for (;;)
			;
	}
	is_exit(tap_wait(child), 7, "exit (not exit_group) of the only thread");
	child = tap_fork();
	if (child == 0)
		abort();
	is_killed(tap_wait(child), SIGABRT, "abort");
}

static void test_auxv(void)
{
	is_int(getauxval(AT_PAGESZ), 4096, "AT_PAGESZ");
	is_int(getauxval(AT_UID), getuid(), "AT_UID");
	is_int(getauxval(AT_EUID), geteuid(), "AT_EUID");
	is_int(getauxval(AT_GID), getgid(), "AT_GID");
	is_int(getauxval(AT_SECURE), 0, "AT_SECURE");
	is_int(getauxval(AT_CLKTCK), 100, "AT_CLKTCK");
	ok(getauxval(AT_RANDOM) != 0, "AT_RANDOM");
	ok(getauxval(AT_PHDR) != 0 && getauxval(AT_PHNUM) > 0, "AT_PHDR and AT_PHNUM");
	is_int(getauxval(AT_PHENT), 56, "AT_PHENT");
	ok(getauxval(AT_ENTRY) != 0, "AT_ENTRY");
	ok(getauxval(AT_SYSINFO_EHDR) % 4096 == 0, "AT_SYSINFO_EHDR is a page");
	ok(getauxval(AT_HWCAP) != 0, "AT_HWCAP");
	is_str((const char *)getauxval(AT_PLATFORM), "x86_64", "AT_PLATFORM");
	ok(strstr((const char *)getauxval(AT_EXECFN), "basic") != NULL, "AT_EXECFN");
	ok(getauxval(AT_MINSIGSTKSZ) >= 1000, "AT_MINSIGSTKSZ");
}

static void test_unknown_calls(void)
{
	is_err(syscall(1023), ENOSYS, "an unassigned system call");
	is_err(syscall(-1), ENOSYS, "system call -1");
	is_err(syscall(400), ENOSYS, "a number in the gap before 424");
	is_err(syscall(100000), ENOSYS, "system call 100000");
	is_err(syscall(SYS_getpid | 0x40000000L), ENOSYS, "an x32 system call");
}

static uint64_t asm_flags, asm_r11, asm_rcx, asm_label;

/* A system call keeps all registers but rax, rcx and r11; the flags come back in r11. */
static void test_registers(void)
{
	uint64_t in[9], out[9];
	for (int i = 0; i < 9; i++)
		in[i] = 0x1111111111111111UL * (i + 1);
	register uint64_t r8 asm("r8") = in[0], r9 asm("r9") = in[1], r10 asm("r10") = in[2];
	register uint64_t r12 asm("r12") = in[3], r13 asm("r13") = in[4], r14 asm("r14") = in[5];
	register uint64_t r15 asm("r15") = in[6];
	uint64_t rdi = in[7], rsi = in[8], rdx = 0x123, rax = SYS_getpid;
	asm volatile("sub $128, %%rsp\n\t"
		     "stc\n\t"
		     "pushfq\n\t"
		     "popq %[flags]\n\t"
		     "syscall\n\t"
		     "1: mov %%r11, %[r11]\n\t"
		     "mov %%rcx, %[rcx]\n\t"
		     "lea 1b(%%rip), %%rcx\n\t"
		     "mov %%rcx, %[label]\n\t"
		     "lea 128(%%rsp), %%rsp\n\t"
		     : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r8), "+r"(r9), "+r"(r10),
		       "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15), [flags] "=m"(asm_flags),
		       [r11] "=m"(asm_r11), [rcx] "=m"(asm_rcx), [label] "=m"(asm_label)
		     :
		     : "rcx", "r11", "memory", "cc");
	out[0] = r8, out[1] = r9, out[2] = r10, out[3] = r12, out[4] = r13, out[5] = r14;
	out[6] = r15, out[7] = rdi, out[8] = rsi;
	is_int(rax, getpid(), "result in rax");
	ok(memcmp(in, out, sizeof(in)) == 0 && rdx == 0x123, "other registers are kept");
	is_int(asm_rcx, asm_label, "rcx is the return address");
	is_int(asm_r11 & 0xcd5, asm_flags & 0xcd5, "r11 holds the flags");
}

int main(void)
{
	tap_begin();
	test_ids();
	test_uname();
	test_brk();
	test_write();
	test_exit();
	test_auxv();
	test_unknown_calls();
	test_registers();
	return tap_end();
}
