/*
 * Accesses to shared mappings that a guest may truncate under us. Each instruction that may fault has an entry in
 * donjon_ex_table (its address, where to go on; both relative to the entry's words), which the handler in fault.c
 * looks up. See host.h for the C prototypes; all return 0 or -EFAULT.
 */

#define EFAULT 14

.macro FUNC name
	.globl	\name
	.type	\name, @function
	.p2align 4
\name:
	endbr64
.endm

.macro EX insn
	.pushsection donjon_ex_table, "a", @progbits
	.long	\insn - .
	.long	.Lfault - . + 4
	.popsection
.endm

	.text

.Lfault:
	mov	$-EFAULT, %eax
	ret

/* int (rdi: to, rsi: from, rdx: size) */
FUNC host_shared_read
	jmp	.Lcopy
	.size	host_shared_read, . - host_shared_read

FUNC host_shared_write
.Lcopy:
	cmp	$256, %rdx
	ja	.Llong
	mov	%edx, %ecx
	shr	$3, %ecx
	jz	.Ltail
1:	mov	(%rsi), %rax
	EX	1b
2:	mov	%rax, (%rdi)
	EX	2b
	add	$8, %rsi
	add	$8, %rdi
	dec	%ecx
	jnz	1b
.Ltail:
	and	$7, %edx
	jz	.Ldone
3:	movzbl	(%rsi), %eax
	EX	3b
4:	mov	%al, (%rdi)
	EX	4b
	inc	%rsi
	inc	%rdi
	dec	%edx
	jnz	3b
.Ldone:
	xor	%eax, %eax
	ret
.Llong:
	mov	%rdx, %rcx
5:	rep movsb
	EX	5b
	xor	%eax, %eax
	ret
	.size	host_shared_write, . - host_shared_write

/* int (rdi: u32 *, rsi: u32 *ret) */
FUNC host_shared_load32
1:	mov	(%rdi), %eax
	EX	1b
	mov	%eax, (%rsi)
	xor	%eax, %eax
	ret
	.size	host_shared_load32, . - host_shared_load32

/* int (rdi: u64 *, rsi: u64 *ret) */
FUNC host_shared_load64
1:	mov	(%rdi), %rax
	EX	1b
	mov	%rax, (%rsi)
	xor	%eax, %eax
	ret
	.size	host_shared_load64, . - host_shared_load64

/* int (rdi: u32 *, esi: old, edx: new, rcx: u32 *ret_old) */
FUNC host_shared_cmpxchg32
	mov	%esi, %eax
1:	lock cmpxchg %edx, (%rdi)
	EX	1b
	mov	%eax, (%rcx)
	xor	%eax, %eax
	ret
	.size	host_shared_cmpxchg32, . - host_shared_cmpxchg32

/* The return from a signal handler that host_sigaction installed. */
	.globl	host_sigreturn
	.type	host_sigreturn, @function
	.p2align 4
host_sigreturn:
	mov	$15, %eax
	syscall
	ud2
	.size	host_sigreturn, . - host_sigreturn

	.section .note.GNU-stack, "", @progbits
