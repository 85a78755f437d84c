/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A KVM virtual machine: the descriptor, its memory slots, in-kernel interrupt controllers and PIT,
 * and what this host's KVM can do. Files of hv/kvm are the only ones that include <linux/kvm.h>;
 * its types appear in these headers only as pointers to incomplete structs.
 * Must never run guest code or know a device.
 * Invariant: what kvm_vm_open() returned is complete: memory, irqchip, PIT and dirty ring size are
 * in place before the first vCPU is made, because KVM refuses them later.
 * Next in the flow: hv/kvm/vcpu.h, hv/kvm/state.h, hv/kvm/dirty_track.h.
 */
#ifndef WATARI_KVM_KVM_VM_H
#define WATARI_KVM_KVM_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "hv/mem/gmem.h"

#define KVM_VM_CPUS_MAX 254 /* xAPIC ids 0..253; 255 is broadcast */

struct vcpu;
struct kvm_cpuid2;
struct kvm_msr_list;
struct kvm_vm_staged;

/* How dirty pages are to be found. */
enum dirty_choice {
	DIRTY_CHOICE_AUTO, /* the ring where KVM has it, else the log */
	DIRTY_CHOICE_RING, /* the ring, or an error */
	DIRTY_CHOICE_LOG,
};

/* What this host's KVM offers beyond what is required. Filled once, then constant. */
struct kvm_caps {
	unsigned max_vcpus;
	uint32_t ring_bytes;  /* largest dirty ring, bytes; 0: none */
	bool ring_acq_rel;    /* the ring's acquire/release flavour */
	uint32_t log_manual;  /* flags of KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 */
	uint32_t clock_flags; /* flags KVM_GET_CLOCK may report */
	bool tsc_deadline;    /* TSC-deadline mode of the local APIC timer */
	bool tsc_control;     /* the guest's TSC frequency can be set */
	bool tsc_khz;         /* ... can be read */
	bool sregs2;          /* special registers with PDPTRs */
	uint32_t xsave_size;  /* bytes of the KVM_GET_XSAVE(2) area, 4096 and up */
	bool xsave2;
	bool xcrs, debugregs;
	bool triple_fault_event; /* pending triple faults travel */
	bool exception_payload;
	bool kvmclock_ctrl;
	bool kicks;           /* writes can become an eventfd's count */
	bool kick_any_length; /* ... of whatever length they are */
};

struct kvm_vm {
	int kvm_fd;         /* /dev/kvm */
	int fd;             /* the machine */
	unsigned cpus;      /* vCPUs this machine will have */
	uint32_t run_size;  /* bytes of a vCPU's shared mapping */
	uint32_t ring_size; /* entries of each vCPU's dirty ring; 0: the log is used */
	const struct gmem *mem;
	struct kvm_caps caps;
	struct kvm_cpuid2 *supported;       /* what KVM_GET_SUPPORTED_CPUID said */
	struct kvm_msr_list *msrs;          /* what KVM_GET_MSR_INDEX_LIST said */
	struct vcpu *vcpu[KVM_VM_CPUS_MAX]; /* by number; NULL until vcpu_open() */
	struct kvm_vm_staged *staged; /* state.c: state between take and load, and clock readings */
};

/*
 * Opens /dev/kvm and makes a machine of @cpus vCPUs (1..KVM_VM_CPUS_MAX, and at most what KVM
 * offers) over @m, which must outlive it. No vCPU exists yet. Errors name the device and how to
 * mend it, every capability that is missing, or the figures that do not fit. -ENODEV, -EACCES,
 * -ENOTSUP, -EINVAL. Main thread.
 */
int kvm_vm_open(struct kvm_vm *vm, const struct gmem *m, unsigned cpus, enum dirty_choice tracking,
	struct err *e);
/*
 * As kvm_vm_open(), with dirty rings of @ring_entries (a power of two, 1024..65536; 0: as many as
 * suit the number of vCPUs). Small rings are for tests of what happens when one is full.
 */
int kvm_vm_open_sized(struct kvm_vm *vm, const struct gmem *m, unsigned cpus,
	enum dirty_choice tracking, uint32_t ring_entries, struct err *e);
/* After every vcpu_close(). Fine on a zeroed or a closed one. */
void kvm_vm_close(struct kvm_vm *vm);

/* Raises (1) or lowers (0) line @gsi (0..23) of the PICs and the IOAPIC. Any thread. */
void kvm_vm_irq(struct kvm_vm *vm, unsigned gsi, int level);
/* Sends a message-signalled interrupt (Intel SDM volume 3, 11.11); it is in the APIC on return. Any
 * thread; one that no APIC takes is dropped. */
void kvm_vm_msi(struct kvm_vm *vm, uint64_t addr, uint32_t data);
/* From now on (@on) a guest's write to memory address @addr adds 1 to eventfd @fd instead of being
 * an exit; or no longer. -ENOTSUP, -EEXIST, -ENOENT, -ENOSPC: then it is an exit. Any thread. */
int kvm_vm_kick(struct kvm_vm *vm, uint64_t addr, int fd, bool on);

#endif
