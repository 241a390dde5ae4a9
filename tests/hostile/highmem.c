/*
 * Attacks on the top of the address space, where a sandbox may keep things of its own: children
 * look for memory there and write to it, unmap it, replace it, protect it, jump into it. A child
 * may die of it. The parent, and a bystander that works all the time, must not notice.
 */
#include "fault.h"
#include <sys/resource.h>

#define LOW 0x700000000000UL
#define HIGH 0x800000000000UL
#define PAGE 4096UL

enum { CHILDREN = 200, TRIES = 100 };

static uint64_t next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* Half of the addresses are near round ones, near which things tend to be put. */
static char *pick(uint64_t *state)
{
	uint64_t r = next(state);
	uint64_t address = LOW + next(state) % (HIGH - LOW);
	if (r % 2)
		address = (address & ~((1UL << (20 + r % 23)) - 1)) + (r >> 32) % 64 * PAGE;
	return (char *)(address & ~(PAGE - 1));
}

static void attack(uint64_t seed)
{
	uint64_t state = seed;
	signal(SIGALRM, SIG_DFL);
	alarm(5);
	for (int i = 0; i < TRIES; i++) {
		char *p = pick(&state);
		uint64_t size = (1 + next(&state) % 64) * PAGE;
		switch (next(&state) % 9) {
		case 0:
			fault_try(p, true);
			break;
		case 1:
			munmap(p, size);
			break;
		case 2:
			mprotect(p, size, PROT_READ | PROT_WRITE | PROT_EXEC);
			break;
		case 3:
			mmap(p, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			break;
		case 4:
			madvise(p, size, MADV_DONTNEED);
			break;
		case 5:
			mremap(p, size, size, MREMAP_MAYMOVE);
			break;
		case 6:
			mmap(p, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
			     -1, 0);
			break;
		case 7:
			fault_try(p + next(&state) % PAGE, false);
			break;
		case 8:
			if (i > TRIES / 2)
				((void (*)(void))p)();
			break;
		}
	}
	_exit(0);
}

/* Everything above LOW goes: stacks, vDSO, and whatever else is there. */
static void sweep(void)
{
	register long number asm("rax") = SYS_munmap;
	asm volatile("mov %[low], %%rdi\n\tmov %[size], %%rsi\n\tsyscall\n\t"
		     "mov $60, %%eax\n\txor %%edi, %%edi\n\tsyscall"
		     :
		     : "r"(number), [low] "r"(LOW), [size] "r"(HIGH - PAGE - LOW)
		     : "rdi", "rsi", "rcx", "r11", "memory");
	_exit(1);
}

/* A system call from an odd place, with odd flags and registers, and no stack. */
static void bare_call(void)
{
	asm volatile("xor %%esp, %%esp\n\tmov $39, %%eax\n\tstd\n\tsyscall\n\tcld\n\t"
		     "mov $60, %%eax\n\tmov $5, %%edi\n\tsyscall" ::
			     : "rax", "rdi", "rcx", "r11", "memory");
	_exit(1);
}

static void alignment_check(void)
{
	/* EFLAGS.AC stays set over system calls and does not hurt the system. */
	uint64_t flags;
	asm volatile("pushfq\n\torq $0x40000, (%%rsp)\n\tpopfq\n\t"
		     "mov $39, %%eax\n\tsyscall\n\t"
		     "pushfq\n\tpop %0\n\tpushfq\n\tandq $~0x40000, (%%rsp)\n\tpopfq"
		     : "=r"(flags)
		     :
		     : "rax", "rcx", "r11", "memory", "cc");
	need(flags & 0x40000);
}

static volatile int *beats;

static void bystander(void)
{
	while (__atomic_load_n(&beats[1], __ATOMIC_ACQUIRE) == 0) {
		char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);
		need(p != MAP_FAILED);
		p[7 * PAGE] = 1;
		need(munmap(p, 8 * PAGE) == 0);
		need(getpid() > 0);
		beats[0]++;
		pause_ms(1);
	}
}

int main(void)
{
	int ended = 0;
	tap_begin();
	setrlimit(RLIMIT_CORE, &(struct rlimit){});
	beats = shared_alloc(PAGE);
	pid_t other = tap_fork();
	if (other == 0) {
		bystander();
		_exit(0);
	}
	for (int i = 0; i < CHILDREN; i++) {
		pid_t child = tap_fork();
		if (child == 0)
			attack((uint64_t)i);
		tap_wait(child);
		ended++;
	}
	is_int(ended, CHILDREN, "all attackers came to an end");
	for (int i = 0; i < 5; i++)
		run_child(sweep);
	ok(getpid() > 0, "unmapping all of the top hurts no one else");
	is_exit(run_child(bare_call), 5, "system calls without a stack");
	child_ok(alignment_check, "system calls with alignment checks on");
	beats[1] = 1;
	is_exit(tap_wait(other), 0, "the bystander lives");
	ok(beats[0] > 0, "and has worked");
	return tap_end();
}
