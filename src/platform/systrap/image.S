/* The stub image, as linked and copied by the build. */

	.section .rodata, "a", @progbits
	.globl	systrap_image_start, systrap_image_end
	.balign	16
systrap_image_start:
	.incbin	"stub.bin"
systrap_image_end:

	.section .note.GNU-stack, "", @progbits
