/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of hv/kvm share and nobody else sees: KVM's own structs between take and load, and
 * the calls between state.c and the files that know one kind of state each.
 * Next in the flow: state.c.
 */
#ifndef WATARI_KVM_INTERNAL_H
#define WATARI_KVM_INTERNAL_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "hv/base/codec.h"
#include "hv/base/err.h"
#include "hv/base/section.h"
#include "hv/kvm/kvm_vm.h"
#include "hv/kvm/vcpu.h"

#define KVM_CPUID_MAX 256 /* CPUID entries KVM takes */
#define KVM_MSRS_MAX  512 /* MSRs of one vCPU in saved state */

/* kvm_caps.c: what KVM offers. */
int kvm_caps_require(int kvm_fd, struct err *e);
int kvm_caps_read(struct kvm_vm *vm, struct err *e);
/* Switches on, on the VM, what makes the state complete. Before vCPUs. */
int kvm_caps_enable(struct kvm_vm *vm, struct err *e);

/* A bounded list KVM fills: room for KVM_MSRS_MAX. */
struct kvm_msr_buf {
	uint32_t n;
	struct kvm_msr_entry entry[KVM_MSRS_MAX];
};

/*
 * State of the machine between take and load. `have` has a bit per section, as in the table of the
 * file that knows it.
 */
struct kvm_vm_staged {
	uint32_t have;
	struct kvm_irqchip chip[3]; /* PIC master, PIC slave, IOAPIC */
	struct kvm_pit_state2 pit;
	uint64_t clock; /* ns: the guest's clock when saved */
	/* Readings of this host, by state_clock.c. */
	uint64_t read_clock;    /* ns: the guest's clock ... */
	uint64_t read_tsc;      /* ... and the host's TSC ... */
	uint64_t read_mono;     /* ... and its monotonic time at that moment */
	uint64_t origin_mono;   /* loading: monotonic time here at which `clock` was true */
	uint32_t host_khz;      /* TSC frequency vCPUs get without being asked; 0: unknown */
	bool tsc_attr;          /* the TSC offset can be read and set */
	uint64_t tsc0, offset0; /* vCPU 0's TSC at the reading, and its offset */
	struct kvm_msrs *one;   /* a list of one MSR */
};

struct vcpu_staged {
	uint32_t have;
	struct kvm_cpuid2 *cpuid; /* KVM_CPUID_MAX entries */
	uint32_t tsc_khz;
	uint64_t tsc; /* at the moment of kvm_vm_staged.clock */
	struct kvm_regs regs;
	struct kvm_sregs2 sregs;
	struct kvm_debugregs debugregs;
	struct kvm_xcrs xcrs;
	bool has_debugregs;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_lapic_state lapic;
	uint8_t *xsave;        /* vm->caps.xsave_size bytes */
	uint32_t nsave;        /* MSRs to save, filtered when the vCPU was made ... */
	uint32_t *save_index;  /* ... and their numbers */
	struct kvm_msrs *msrs; /* room for KVM_MSRS_MAX: saving, and loading */
	struct kvm_msr_buf taken;
};

/* Buffers, made and freed with the machine and the vCPU. vcpu_staged_new() also probes MSRs. */
int kvm_vm_staged_new(struct kvm_vm *vm, struct err *e);
void kvm_vm_staged_free(struct kvm_vm *vm);
int vcpu_staged_new(struct vcpu *v, struct err *e);
void vcpu_staged_free(struct vcpu *v);

/* state_clock.c: guest clock and TSCs. */
int kvm_clock_read(struct kvm_vm *vm, struct err *e);
int kvm_clock_load(struct kvm_vm *vm, struct err *e);
int vcpu_tsc_read(struct vcpu *v, uint64_t *tsc, struct err *e);
int vcpu_tsc_load(struct vcpu *v, struct err *e);
int vcpu_tsc_khz_load(struct vcpu *v, struct err *e);

/* state_msr.c. The MSRs named here are left to others: TSC (state_clock.c). */
int vcpu_msrs_probe(struct vcpu *v, struct err *e);
int vcpu_msrs_save(struct vcpu *v, struct wbuf *w, struct err *e);
int vcpu_msrs_take(struct vcpu *v, struct rbuf *r, struct err *e);
int vcpu_msrs_load(struct vcpu *v, struct err *e);
int vcpu_msrs_load_late(struct vcpu *v, struct err *e);

/* state_vcpu.c, state_irq.c: one section each way; take returns 1, 0 or -errno as kvm_state_take.
 */
int vcpu_state_take(struct vcpu *v, struct section *s, struct err *e);
int vcpu_state_missing(const struct vcpu *v, struct err *e);
int vcpu_state_load(struct vcpu *v, struct err *e);
bool vcpu_state_knows(const char *name);
int kvm_irq_save(struct kvm_vm *vm, struct wbuf *w, struct err *e);
int kvm_irq_take(struct kvm_vm *vm, struct section *s, struct err *e);
int kvm_irq_missing(const struct kvm_vm *vm, struct err *e);
int kvm_irq_load(struct kvm_vm *vm, struct err *e);

/* dirty_ring.c, dirty_log.c. */
struct dirty_tracker_ops;
extern const struct dirty_tracker_ops dirty_ring_ops, dirty_log_ops;
void *dirty_ring_new(struct kvm_vm *vm, struct err *e);
void dirty_ring_free(void *self);
int dirty_ring_drain(void *self, struct err *e);
void *dirty_log_new(struct kvm_vm *vm, struct err *e);
void dirty_log_free(void *self);
/* Sets (or clears) dirty logging on all memory slots. */
int kvm_slots_log(struct kvm_vm *vm, bool on, struct err *e);

#endif
