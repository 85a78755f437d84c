/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the registers with which a kernel is entered: 32-bit flat protected mode without paging for
 * PVH (Xen, "x86/HVM direct boot ABI"), long mode on given page tables for Linux (kernel
 * documentation, arch/x86/boot.rst, "64-bit boot protocol"). Touches no guest memory.
 * Next in the flow: hv/vm/boot.c.
 */
#include "hv/kvm/vcpu.h"

#include <errno.h>
#include <string.h>

#include "hv/kvm/internal.h"

#define CR0_PE   (1ull << 0)
#define CR0_ET   (1ull << 4)
#define CR0_NE   (1ull << 5)
#define CR0_PG   (1ull << 31)
#define CR4_PAE  (1ull << 5)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)

#define SEL_CODE 0x10
#define SEL_DATA 0x18

static const struct kvm_segment boot_code32 = {
	.limit = 0xffffffff,
	.selector = SEL_CODE,
	.type = 0xb, /* code, readable, accessed */
	.present = 1,
	.db = 1,
	.s = 1,
	.g = 1,
};
static const struct kvm_segment boot_code64 = {
	.limit = 0xffffffff,
	.selector = SEL_CODE,
	.type = 0xb,
	.present = 1,
	.s = 1,
	.l = 1,
	.g = 1,
};
static const struct kvm_segment boot_data = {
	.limit = 0xffffffff,
	.selector = SEL_DATA,
	.type = 0x3, /* data, writable, accessed */
	.present = 1,
	.db = 1,
	.s = 1,
	.g = 1,
};
/* The processor insists on a task register; the PVH ABI asks for base 0, limit 0x67. */
static const struct kvm_segment boot_task = { .limit = 0x67, .type = 0xb, .present = 1 };

static int boot_sregs(struct vcpu *v, const struct vcpu_boot *b, struct err *e)
{
	bool long_mode = b->mode == VCPU_BOOT_LINUX64;
	struct kvm_sregs s;

	/* Read first: the APIC base must stay as it is. */
	if (ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
		return err_errno(e, "cannot read the special registers of vCPU %u", v->id);
	s.cs = long_mode ? boot_code64 : boot_code32;
	s.ds = s.es = s.fs = s.gs = s.ss = boot_data;
	s.tr = boot_task;
	s.gdt.base = b->gdt;
	s.gdt.limit = b->gdt_limit;
	s.idt.base = 0;
	s.idt.limit = 0; /* an exception before the kernel has its own table is a triple fault */
	s.cr0 = CR0_PE | CR0_ET | CR0_NE;
	s.cr2 = s.cr3 = s.cr4 = s.cr8 = s.efer = 0;
	memset(s.interrupt_bitmap, 0, sizeof(s.interrupt_bitmap));
	if (long_mode) {
		s.cr0 |= CR0_PG;
		s.cr3 = b->cr3;
		s.cr4 = CR4_PAE;
		s.efer = EFER_LME | EFER_LMA;
	}
	if (ioctl(v->fd, KVM_SET_SREGS, &s) < 0)
		return err_errno(e, "cannot set the special registers of vCPU %u", v->id);
	return 0;
}

int vcpu_setup_boot(struct vcpu *v, const struct vcpu_boot *b, struct err *e)
{
	struct kvm_regs regs = { .rip = b->ip, .rflags = 2 };
	int r = boot_sregs(v, b, e);

	if (r)
		return r;
	if (b->mode == VCPU_BOOT_LINUX64)
		regs.rsi = b->info;
	else
		regs.rbx = b->info;
	if (ioctl(v->fd, KVM_SET_REGS, &regs) < 0)
		return err_errno(e, "cannot set the registers of vCPU %u", v->id);
	return 0;
}
