/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that can be talked to, in a few instructions: it says "up" when it starts, echoes what is
 * typed, and powers off when its power button is pressed. Some keys are orders: '!' panics (and
 * goes on), '~' faults three times over, '#' makes it deaf to its button, '*' lets it write the
 * alphabet over and over, a letter each few milliseconds.
 * Next in the flow: console.bats, stop.bats.
 */
#include "pvh.S"

entry:
	xor	%ebx, %ebx		/* bl: deaf, bh: writing, cl: the next letter */
	mov	$'a', %cl
	say	'u'
	say	'p'
	say	'\n'
	mov	$0x602, %dx		/* the button may interrupt; its status is only read */
	mov	$0x0100, %ax
	outw	%ax, %dx
again:
	test	%bh, %bh
	jz	key
	mov	$10000, %esi
1:	dec	%esi
	jnz	1b
	mov	$0x3f8, %dx
	mov	%cl, %al
	outb	%al, %dx
	inc	%cl
	cmp	$'z' + 1, %cl
	jne	key
	mov	$'a', %cl
key:
	mov	$0x3fd, %dx
	inb	%dx, %al
	test	$1, %al
	jz	button
	mov	$0x3f8, %dx
	inb	%dx, %al
	cmp	$'!', %al
	je	panic
	cmp	$'~', %al
	je	fault
	cmp	$'#', %al
	je	deaf
	cmp	$'*', %al
	je	write
	outb	%al, %dx
	jmp	again
button:
	mov	$0x600, %dx
	inw	%dx, %ax
	test	$1, %ah
	jz	again
	test	%bl, %bl
	jnz	again
	say	'b'
	say	'y'
	say	'e'
	mov	$0x604, %dx
	mov	$0x3400, %ax
	outw	%ax, %dx
	hlt
panic:
	mov	$0x505, %dx
	mov	$1, %al
	outb	%al, %dx
	jmp	again
deaf:
	mov	$1, %bl
	jmp	again
write:
	mov	$1, %bh
	jmp	again
fault:
	ud2
	.section .note.GNU-stack, "", @progbits
