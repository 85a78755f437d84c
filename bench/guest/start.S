/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's way from the loader to ring 3: 32-bit PVH entry, long mode, boot_main() in ring 0,
 * then iretq to work_main() in ring 3; the other vCPUs come the same way from a real-mode
 * trampoline. There is no IDT: from ring 3 nothing may fault, and nothing leads back.
 * Invariant: user code and data are GDT slots 6 and 5 (CS 0x33, SS 0x2b); interrupts stay off.
 * Next in the flow: bench/guest/boot.c.
 */
#define KERNEL32_CS 0x08
#define KERNEL_CS   0x10
#define KERNEL_DS   0x18
#define USER_DS	    0x2b
#define USER_CS	    0x33
#define GUEST_STACKS 0 /* offsets in struct guest, asserted in boot.c */
#define GUEST_CPUS   8
#define STACK_SHIFT 12

#define MSR_EFER 0xc0000080

/* Xen's ELF note 18, XEN_ELFNOTE_PHYS32_ENTRY: where a PVH loader jumps to. */
	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18
	.asciz "Xen"
	.long pvh_entry

	.text
	.code32
	.global pvh_entry
/* In: 32-bit protected mode, flat segments, no paging, EBX = start_info. */
pvh_entry:
	cli
	cld
	lgdt gdt_pointer
	ljmp $KERNEL32_CS, $1f
1:	mov $KERNEL_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs

	/* Identity map of the first GiB by 2 MiB pages; boot_main() maps the rest. 0x27: P, RW, US, A. */
	movl $boot_pdpt + 0x27, boot_pml4
	movl $0, boot_pml4 + 4
	movl $boot_pd + 0x27, boot_pdpt
	movl $0, boot_pdpt + 4
	xor %ecx, %ecx
	mov $0xe7, %eax		/* and D, PS */
2:	mov %eax, boot_pd(, %ecx, 8)
	movl $0, boot_pd + 4(, %ecx, 8)
	add $0x200000, %eax
	inc %ecx
	cmp $512, %ecx
	jne 2b

	mov %ebx, %edi
	mov $boot64, %esi
	jmp long_mode

/* The other vCPUs, from the trampoline, with the GDT loaded. */
ap32:
	mov $KERNEL_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $ap64, %esi
	jmp long_mode

/* To 64-bit code at ESI, on the tables at boot_pml4. Keeps EDI. */
long_mode:
	mov %cr4, %eax
	or $0x20, %eax		/* PAE */
	mov %eax, %cr4
	mov $boot_pml4, %eax
	mov %eax, %cr3
	mov $MSR_EFER, %ecx
	rdmsr
	or $0x100, %eax		/* LME */
	wrmsr
	mov %cr0, %eax
	and $0x9fffffff, %eax	/* caches on: a reset vCPU has CD and NW set */
	or $0x80000001, %eax	/* PG, PE */
	mov %eax, %cr0
	ljmp $KERNEL_CS, $1f
	.code64
1:	mov %esi, %esi
	jmp *%rsi

boot64:
	mov %edi, %edi
	mov $boot_stack_end, %rsp
	call boot_main
	xor %edi, %edi
	jmp enter_user

ap64:
	mov $1, %edi
	lock xadd %rdi, guest_tickets
	cmp guest + GUEST_CPUS, %rdi
	jae halt
/* RDI: the vCPU's number. */
enter_user:
	mov guest + GUEST_STACKS, %rax
	lea 1(%rdi), %rcx
	shl $STACK_SHIFT, %rcx
	add %rcx, %rax
	sub $8, %rax		/* as if called: RSP is 8 off a multiple of 16 */
	mov %rax, %rcx
	mov %rcx, %rsp		/* the frame below is popped before ring 3 uses the stack */
	pushq $USER_DS
	push %rcx
	pushq $2		/* RFLAGS: interrupts off, IOPL 0 */
	pushq $USER_CS
	pushq $work_main
	mov $USER_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	iretq
halt:	hlt
	jmp halt

/* memset and memcpy, which the compiler may call. */
	.global memset, memcpy
memset:
	mov %rdi, %r8
	mov %esi, %eax
	mov %rdx, %rcx
	rep stosb
	mov %r8, %rax
	ret
memcpy:
	mov %rdi, %rax
	mov %rdx, %rcx
	rep movsb
	ret

/* Copied to AP_TRAMPOLINE, where a SIPI starts a vCPU in real mode with IP 0. */
	.section .rodata
	.global ap_start, ap_end
	.code16
ap_start:
	cli
	mov %cs, %ax
	mov %ax, %ds
	lgdtl ap_gdt_pointer - ap_start
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $KERNEL32_CS, $ap32
	.balign 4
ap_gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt
ap_end:
	.code64

	.balign 16
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff	/* 0x08 32-bit code */
	.quad 0x00af9b000000ffff	/* 0x10 64-bit code */
	.quad 0x00cf93000000ffff	/* 0x18 data */
	.quad 0x00cffb000000ffff	/* 0x20 32-bit user code */
	.quad 0x00cff3000000ffff	/* 0x28 user data */
	.quad 0x00affb000000ffff	/* 0x30 64-bit user code */
gdt_end:
	.balign 4
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt

	.data
	.balign 8
	.global guest_tickets
guest_tickets:
	.quad 1

	.bss
	.balign 4096
	.global boot_pml4, boot_pdpt, boot_pd
boot_pml4:	.skip 4096
boot_pdpt:	.skip 4096
boot_pd:	.skip 4096
boot_stack:	.skip 4096
boot_stack_end:

	.section .note.GNU-stack, "", @progbits
