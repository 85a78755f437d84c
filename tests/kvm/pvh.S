/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the guests of a few instructions begin: entered by PVH, that is in 32 bits, with flat segments, no
 * paging, no stack and no IDT; and how they speak. Next in the flow: teller.S, hvc.S.
 */
	.section .note.Xen, "a", @note
	.long	4, 4, 18
	.asciz	"Xen"
	.long	entry

	.text
	.code32
	.globl	entry
	.macro	say c
	mov	$0x3f8, %dx
	mov	$\c, %al
	outb	%al, %dx
	.endm
