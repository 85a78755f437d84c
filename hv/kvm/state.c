/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the order in which KVM's state is saved and loaded (see state.h). Which fields there are,
 * state_irq.c, state_clock.c, state_vcpu.c and state_msr.c know.
 * Next in the flow: state_irq.c.
 */
#include "hv/kvm/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/clock.h"
#include "hv/kvm/internal.h"

#define STATE_VM_BYTES   1024u /* clock, PICs, IOAPIC, PIT with their headers */
#define STATE_VCPU_BYTES 4096u /* all of a vCPU but xsave, CPUID and MSRs */

int kvm_vm_staged_new(struct kvm_vm *vm, struct err *e)
{
	vm->staged = calloc(1, sizeof(*vm->staged));
	return vm->staged ? 0 : err_set(e, -ENOMEM, "no memory for the machine's state");
}

void kvm_vm_staged_free(struct kvm_vm *vm)
{
	free(vm->staged);
	vm->staged = NULL;
}

size_t kvm_state_size(const struct kvm_vm *vm)
{
	size_t n = STATE_VCPU_BYTES + vm->caps.xsave_size;

	n += KVM_CPUID_MAX * 7 * sizeof(uint32_t);
	n += vm->msrs->nmsrs * (sizeof(uint32_t) + sizeof(uint64_t));
	return STATE_VM_BYTES + n * vm->cpus;
}

int kvm_state_save_vm(struct kvm_vm *vm, struct wbuf *w, struct err *e)
{
	/* First, so that the instant of the reading is the instant of the call. */
	int r = kvm_clock_read(vm, e);

	return r ? r : kvm_irq_save(vm, w, e);
}

int kvm_state_save(struct kvm_vm *vm, struct wbuf *w, struct err *e)
{
	int r = kvm_state_save_vm(vm, w, e);

	for (unsigned i = 0; r == 0 && i < vm->cpus; i++)
		r = vm->vcpu[i] ? vcpu_state_save(vm->vcpu[i], w, e)
				: err_set(e, -EINVAL, "vCPU %u was never made", i);
	if (r == 0 && w->failed)
		r = err_set(e, -ENOMEM, "no memory for the saved state");
	return r;
}

void kvm_state_begin(struct kvm_vm *vm)
{
	vm->staged->have = 0;
	for (unsigned i = 0; i < vm->cpus; i++) {
		if (vm->vcpu[i])
			vm->vcpu[i]->staged->have = 0;
	}
}

int kvm_state_take(struct kvm_vm *vm, struct section *s, struct err *e)
{
	if (!vcpu_state_knows(s->name))
		return kvm_irq_take(vm, s, e);
	if (s->instance >= vm->cpus || !vm->vcpu[s->instance])
		return err_set(e, -EPROTO,
			"state section '%s' is of vCPU %u, this machine has %u vCPUs", s->name,
			s->instance, vm->cpus);
	return vcpu_state_take(vm->vcpu[s->instance], s, e);
}

static int state_missing(const struct kvm_vm *vm, struct err *e)
{
	int r = kvm_irq_missing(vm, e);

	for (unsigned i = 0; r == 0 && i < vm->cpus; i++)
		r = vm->vcpu[i] ? vcpu_state_missing(vm->vcpu[i], e)
				: err_set(e, -EINVAL, "vCPU %u was never made", i);
	return r;
}

/*
 * Tells the guest's soft-lockup watchdog that it was stopped by its host (KVM API document, 4.84).
 * EINVAL: the guest uses no kvmclock, so there is nobody to tell.
 */
static int state_tell_guest(struct kvm_vm *vm, struct err *e)
{
	for (unsigned i = 0; vm->caps.kvmclock_ctrl && i < vm->cpus; i++) {
		if (ioctl(vm->vcpu[i]->fd, KVM_KVMCLOCK_CTRL, 0) < 0 && errno != EINVAL)
			return err_errno(e, "cannot tell vCPU %u that it was stopped", i);
	}
	return 0;
}

/*
 * The order:
 * 1. The clock, because the vCPUs' TSCs are set against it, and kvmclock MSRs start from it.
 * 2. The vCPUs, each as the table in state_vcpu.c says; they do not depend on each other, except
 *    that TSCs are set relative to that of vCPU 0, which goes first.
 * 3. PICs and IOAPIC, after the local APICs: a pending line of the IOAPIC is delivered when it is
 *    set, and delivered into an APIC that is loaded afterwards it would be lost.
 * 4. The PIT, whose timer starts at once.
 */
int kvm_state_load(struct kvm_vm *vm, uint64_t elapsed_ns, struct err *e)
{
	uint64_t origin = clock_mono_ns() - elapsed_ns;
	int r = state_missing(vm, e);

	if (r)
		return r;
	vm->staged->origin_mono = origin;
	r = kvm_clock_load(vm, e);
	for (unsigned i = 0; r == 0 && i < vm->cpus; i++)
		r = vcpu_state_load(vm->vcpu[i], e);
	if (r == 0)
		r = kvm_irq_load(vm, e);
	if (r == 0)
		r = state_tell_guest(vm, e);
	return r;
}
