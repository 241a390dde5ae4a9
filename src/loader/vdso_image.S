/* The vDSO's ELF image, embedded. */

	.section .rodata
	.balign 4096
	.globl vdso_image
	.hidden vdso_image
vdso_image:
	.incbin "vdso.so"
	.globl vdso_image_end
	.hidden vdso_image_end
vdso_image_end:

	.section .note.GNU-stack, "", @progbits
