/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the short ways between devices and guest: message-signalled interrupts, and kicks that do
 * not leave the kernel as exits (KVM API document, 4.71 and 4.59). Must never defer an interrupt:
 * when kvm_vm_msi() returns it is in the local APIC, so it is saved with it
 * (docs/decisions/0050-pci-and-interrupts.md says why not irqfd).
 * Next in the flow: hv/vm/devices.c.
 */
#include <errno.h>

#include "hv/kvm/internal.h"

void kvm_vm_msi(struct kvm_vm *vm, uint64_t addr, uint32_t data)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)addr,
		.address_hi = (uint32_t)(addr >> 32),
		.data = data,
	};

	/* 0: the guest blocked it; negative: no APIC has that number. Hardware drops it, too. */
	(void)ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);
}

int kvm_vm_kick(struct kvm_vm *vm, uint64_t addr, int fd, bool on)
{
	struct kvm_ioeventfd io = {
		.addr = addr,
		/* Length 0 is any, and spares KVM decoding the instruction; else the driver's. */
		.len = vm->caps.kick_any_length ? 0 : 2,
		.fd = fd,
		.flags = on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	if (!vm->caps.kicks)
		return -ENOTSUP;
	return ioctl(vm->fd, KVM_IOEVENTFD, &io) < 0 ? -errno : 0;
}
