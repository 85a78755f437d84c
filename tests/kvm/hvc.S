/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest with its console on virtio, in a few instructions: it says "early" on its serial port, sets
 * the console in slot 27 up, says "up" there, and gives no room for input until its power button is
 * pressed. From then on it echoes what is typed, up to 64 bytes at a time.
 * Next in the flow: hvc.bats.
 */
#include "pvh.S"

	.set	COMMON, 0xdb000000	/* virtio 1.2, 4.1.4.3 */
	.set	NOTIFY, COMMON + 0x3000
	.set	RX, 0x300000		/* descriptors; available and used rings a page further each */
	.set	TX, 0x304000
	.set	AVAIL, 0x1002		/* from there: the index of the one, of the other */
	.set	USED, 0x2002
	.set	DATA, 0x310000

	.macro	queue n, at
	movw	$\n, COMMON + 22
	movw	$8, COMMON + 24
	movl	$\at, COMMON + 32
	movl	$\at + 0x1000, COMMON + 40
	movl	$\at + 0x2000, COMMON + 48
	movw	$1, COMMON + 28
	.endm
	/* the one descriptor of the queue; its entry in the ring is 0, as all are */
	.macro	request at, n, flags
	movl	$\flags, \at + 12
	incw	\at + AVAIL
	movw	$\n, NOTIFY + 4 * \n
	.endm
	.macro	wait at
1:	mov	\at + USED, %ax
	cmp	\at + AVAIL, %ax
	jne	1b
	.endm
entry:
	say	'e'
	say	'a'
	say	'r'
	say	'l'
	say	'y'
	say	'\n'
	movb	$3, COMMON + 20
	movl	$1, COMMON + 8
	movl	$1, COMMON + 12		/* VERSION_1 */
	movb	$0x0b, COMMON + 20
	queue	0, RX
	queue	1, TX
	movb	$0x0f, COMMON + 20
	movl	$up, TX
	movl	$3, TX + 8
	request	TX, 1, 0
	wait	TX
	mov	$0x602, %dx		/* the button may interrupt; its status is only read */
	mov	$0x0100, %ax
	outw	%ax, %dx
deaf:
	mov	$0x600, %dx
	inw	%dx, %ax
	test	$1, %ah
	jz	deaf
	movl	$DATA, RX
	movl	$64, RX + 8
	movl	$DATA, TX
again:
	request	RX, 0, 2
	wait	RX
	dec	%eax			/* the used entry of the request that has come back */
	and	$7, %eax
	mov	RX + USED + 6(,%eax,8), %ecx
	mov	%ecx, TX + 8
	request	TX, 1, 0
	wait	TX
	jmp	again
up:
	.ascii	"up\n"
	.section .note.GNU-stack, "", @progbits
