/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saving and loading everything KVM holds of a machine, as sections of hv/base/section.h: clock,
 * interrupt controllers, PIT, and each vCPU. docs/state-format.md lists the sections.
 * Must never save while a vCPU runs or owes KVM an access (vcpu_complete_io()).
 * Invariant: sections are first taken, checked and kept, in whatever order they come; only when all
 * are there are they loaded, in the one order that is right. A refused state has changed nothing.
 * Next in the flow: hv/vm/state.c.
 */
#ifndef WATARI_KVM_STATE_H
#define WATARI_KVM_STATE_H

#include <stdint.h>

#include "hv/base/codec.h"
#include "hv/base/err.h"
#include "hv/base/section.h"
#include "hv/kvm/kvm_vm.h"
#include "hv/kvm/vcpu.h"

/*
 * Appends the whole state: kvm_state_save_vm(), then vcpu_state_save() of each vCPU. The guest's
 * clock is read first, within microseconds of the call: elapsed_ns of kvm_state_load() counts from
 * there. Apart from growing @w it allocates nothing. vCPUs stopped; any one thread.
 */
int kvm_state_save(struct kvm_vm *vm, struct wbuf *w, struct err *e);
/* The parts of it. The VM first; then vCPUs in any order, from one thread each if wanted. */
int kvm_state_save_vm(struct kvm_vm *vm, struct wbuf *w, struct err *e);
int vcpu_state_save(struct vcpu *v, struct wbuf *w, struct err *e);
/* Bytes kvm_state_save() will append at most: for wbuf_reserve() before the freeze. */
size_t kvm_state_size(const struct kvm_vm *vm);

/* Forgets what was taken. Before the first kvm_state_take() of a load. */
void kvm_state_begin(struct kvm_vm *vm);
/*
 * Takes section @s: 1 if it is one of these and was kept; 0 if its name is not known here; -EPROTO
 * with a message that names it if it is damaged, newer, there twice, or of a vCPU that is not
 * there. -ENOTSUP if it is a CPUID this host cannot give, naming the features.
 */
int kvm_state_take(struct kvm_vm *vm, struct section *s, struct err *e);
/*
 * Loads what was taken; -EPROTO naming the first section that is missing. The guest's clock and
 * TSCs go on as if @elapsed_ns had passed since they were read (counted up to the moment of this
 * call; what the call itself takes is added). Also tells the guest's watchdogs that it was stopped.
 * vCPUs stopped. Also fine for a machine that has run, to put it back to an earlier state.
 */
int kvm_state_load(struct kvm_vm *vm, uint64_t elapsed_ns, struct err *e);

#endif
