/*
 * The machine part of the stub: the two system call instructions that the filters know, the signal entry, and the
 * accesses to guest memory that may fault.
 */

#define SYS_rt_sigreturn 15
#define SYS_clone 56
#define SYS_exit 60

#define CLONE_FILES 0x400
#define SIGCHLD 17

#define EFLAGS_AC_BIT 18

	.section .text.entry, "ax"

/* int stub_boot(void *stack_top): called by the kernel in its own address space; clones the zygote. */
	.globl stub_boot
	.type stub_boot, @function
stub_boot:
	mov	%rdi, %rsi
	mov	$(CLONE_FILES | SIGCHLD), %edi
	xor	%edx, %edx
	xor	%r10d, %r10d
	xor	%r8d, %r8d
	mov	$SYS_clone, %eax
	syscall
	test	%rax, %rax
	jz	1f
	ret
1:	xor	%ebp, %ebp
	call	zygote_main
	hlt

/*
 * long fast_call(nr, a, b, c, d, e, f) and verified_call: a system call made at a known instruction. The filters see
 * the address after it.
 */
	.macro CALL_AT label
	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	%rdx, %rsi
	mov	%rcx, %rdx
	mov	%r8, %r10
	mov	%r9, %r8
	mov	8(%rsp), %r9
	syscall
	.globl \label
\label:
	ret
	.endm

	.globl fast_call
	.type fast_call, @function
fast_call:
	CALL_AT fast_syscall

	.globl verified_call
	.type verified_call, @function
verified_call:
	CALL_AT verified_syscall

/*
 * long gate_call(...): any system call, from a page of its own that is unmapped before guest code runs.
 */
	.pushsection .gate, "ax"
	.globl gate_call
	.type gate_call, @function
gate_call:
	CALL_AT gate_syscall
	.popsection

/*
 * The handler of every signal. On entry rdi, rsi, rdx: signal, siginfo, ucontext; rsp: the frame, on the lane's stack.
 * The guest's registers are all in the frame. Returns to the guest by sigreturn at the fast instruction.
 */
	.globl stub_handler
	.type stub_handler, @function
stub_handler:
	pushfq
	btrl	$EFLAGS_AC_BIT, (%rsp)
	jc	1f
	add	$8, %rsp
	jmp	2f
1:	popfq
2:	mov	%rsp, %rbx
	sub	$8, %rsp
	xor	%ebp, %ebp
	call	lane_signal
	lea	8(%rbx), %rsp
	mov	$SYS_rt_sigreturn, %eax
	jmp	fast_syscall - 2

/* Where a new lane's life in its handler begins: a fault (of a signal that is never blocked) makes the host's frame. */
	.globl lane_enter
	.type lane_enter, @function
lane_enter:
	hlt

/* First instructions of a cloned thread, on its own stack. */
	.globl lane_thread_start
	.type lane_thread_start, @function
lane_thread_start:
	xor	%ebp, %ebp
	and	$-16, %rsp
	call	lane_thread_main
	hlt

/* ---- guest memory; faults continue at the fixup ---- */

	.macro FIXUP at, to
	.pushsection .fixups, "a"
	.long	\at - .
	.long	\to - .
	.popsection
	.endm

/* u64 guest_copy(void *dst, const void *src, u64 size): returns how many bytes were not copied. */
	.globl guest_copy
	.type guest_copy, @function
guest_copy:
	mov	%rdx, %rcx
10:	rep movsb
11:	mov	%rcx, %rax
	ret
	FIXUP 10b, 11b

/* u64 guest_clear(void *dst, u64 size): returns how many bytes were not cleared. */
	.globl guest_clear
	.type guest_clear, @function
guest_clear:
	mov	%rsi, %rcx
	xor	%eax, %eax
20:	rep stosb
21:	mov	%rcx, %rax
	ret
	FIXUP 20b, 21b

/*
 * s64 guest_string(char *dst, const char *src, u64 size): copy through the first NUL, at most size bytes. Returns the
 * number copied, or -EFAULT.
 */
	.globl guest_string
	.type guest_string, @function
guest_string:
	xor	%eax, %eax
30:	cmp	%rdx, %rax
	jae	33f
31:	movzbl	(%rsi,%rax), %ecx
32:	mov	%cl, (%rdi,%rax)
	inc	%rax
	test	%ecx, %ecx
	jnz	30b
33:	ret
34:	mov	$-14, %rax
	ret
	FIXUP 31b, 34b
	FIXUP 32b, 34b

/* s64 guest_load32(const u32 *p): the value, or -EFAULT. */
	.globl guest_load32
	.type guest_load32, @function
guest_load32:
40:	mov	(%rdi), %eax
	ret
41:	mov	$-14, %rax
	ret
	FIXUP 40b, 41b

/* s64 guest_cmpxchg32(u32 *p, u32 old, u32 new): what was there, or -EFAULT. */
	.globl guest_cmpxchg32
	.type guest_cmpxchg32, @function
guest_cmpxchg32:
	mov	%esi, %eax
50:	lock cmpxchg %edx, (%rdi)
	mov	%eax, %eax
	ret
51:	mov	$-14, %rax
	ret
	FIXUP 50b, 51b

/* s64 guest_touch(u8 *p): 0 if the byte can be written, or -EFAULT. It keeps its value. */
	.globl guest_touch
	.type guest_touch, @function
guest_touch:
	xor	%eax, %eax
60:	lock orb $0, (%rdi)
	ret
61:	mov	$-14, %rax
	ret
	FIXUP 60b, 61b

/* What the compiler may call. */
	.globl memcpy
	.type memcpy, @function
memcpy:
	mov	%rdi, %rax
	mov	%rdx, %rcx
	rep movsb
	ret

	.globl memset
	.type memset, @function
memset:
	mov	%rdi, %r8
	mov	%esi, %eax
	mov	%rdx, %rcx
	rep stosb
	mov	%r8, %rax
	ret

	.section .note.GNU-stack, "", @progbits
