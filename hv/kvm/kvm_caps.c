/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what this host's KVM must offer, may offer, and is asked to switch on. Must never guess:
 * a capability is what KVM_CHECK_EXTENSION says (KVM API document, section 8 and 4.4).
 * Next in the flow: kvm_vm.c.
 */
#include "hv/kvm/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Without these there is no machine, or none that can be saved. */
static const struct {
	int cap;
	const char *name;
} kvm_required[] = {
	{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
	{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
	{ KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR" },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR" },
	{ KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
	{ KVM_CAP_PIT2, "KVM_CAP_PIT2" },
	{ KVM_CAP_PIT_STATE2, "KVM_CAP_PIT_STATE2" },
	{ KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE" },
	{ KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS" },
	{ KVM_CAP_ADJUST_CLOCK, "KVM_CAP_ADJUST_CLOCK" },
	{ KVM_CAP_XSAVE, "KVM_CAP_XSAVE" },
	{ KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
};

int kvm_caps_require(int kvm_fd, struct err *e)
{
	char missing[384] = "";
	size_t n = 0;

	for (size_t i = 0; i < sizeof(kvm_required) / sizeof(kvm_required[0]); i++) {
		if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, kvm_required[i].cap) > 0)
			continue;
		n += (size_t)snprintf(missing + n, sizeof(missing) - n, "%s%s", n ? ", " : "",
			kvm_required[i].name);
	}
	if (n == 0)
		return 0;
	return err_set(e, -ENOTSUP,
		"this host's KVM lacks %s; a kernel of 4.11 or newer with its own x86 KVM has them",
		missing);
}

static uint32_t kvm_caps_get(int fd, int cap)
{
	int r = ioctl(fd, KVM_CHECK_EXTENSION, cap);

	return r > 0 ? (uint32_t)r : 0;
}

int kvm_caps_read(struct kvm_vm *vm, struct err *e)
{
	struct kvm_caps *c = &vm->caps;
	uint32_t n, acq_rel, ring;

	/* Asked of the machine, not of the device: some answers depend on its kind. */
	acq_rel = kvm_caps_get(vm->fd, KVM_CAP_DIRTY_LOG_RING_ACQ_REL);
	ring = kvm_caps_get(vm->fd, KVM_CAP_DIRTY_LOG_RING);
	n = kvm_caps_get(vm->fd, KVM_CAP_MAX_VCPUS);
	*c = (struct kvm_caps){
		.max_vcpus = n ? n : kvm_caps_get(vm->fd, KVM_CAP_NR_VCPUS),
		.ring_bytes = acq_rel ? acq_rel : ring,
		.ring_acq_rel = acq_rel != 0,
		.log_manual = kvm_caps_get(vm->fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2),
		.clock_flags = kvm_caps_get(vm->fd, KVM_CAP_ADJUST_CLOCK),
		.tsc_deadline = kvm_caps_get(vm->fd, KVM_CAP_TSC_DEADLINE_TIMER) != 0,
		.tsc_control = kvm_caps_get(vm->fd, KVM_CAP_TSC_CONTROL) != 0,
		.tsc_khz = kvm_caps_get(vm->fd, KVM_CAP_GET_TSC_KHZ) != 0,
		.sregs2 = kvm_caps_get(vm->fd, KVM_CAP_SREGS2) != 0,
		.xsave_size = kvm_caps_get(vm->fd, KVM_CAP_XSAVE2),
		.xcrs = kvm_caps_get(vm->fd, KVM_CAP_XCRS) != 0,
		.debugregs = kvm_caps_get(vm->fd, KVM_CAP_DEBUGREGS) != 0,
		.triple_fault_event = kvm_caps_get(vm->fd, KVM_CAP_X86_TRIPLE_FAULT_EVENT) != 0,
		.exception_payload = kvm_caps_get(vm->fd, KVM_CAP_EXCEPTION_PAYLOAD) != 0,
		.kicks = kvm_caps_get(vm->fd, KVM_CAP_IOEVENTFD) != 0,
		.kick_any_length = kvm_caps_get(vm->fd, KVM_CAP_IOEVENTFD_ANY_LENGTH) != 0,
		.kvmclock_ctrl = kvm_caps_get(vm->fd, KVM_CAP_KVMCLOCK_CTRL) != 0,
	};
	c->xsave2 = c->xsave_size >= sizeof(struct kvm_xsave);
	if (!c->xsave2)
		c->xsave_size = sizeof(struct kvm_xsave);
	if (vm->cpus > c->max_vcpus)
		return err_set(e, -EINVAL, "%u vCPUs are more than the %u this host's KVM offers",
			vm->cpus, c->max_vcpus);
	n = kvm_caps_get(vm->fd, KVM_CAP_NR_MEMSLOTS);
	if (vm->mem->nregions > n)
		return err_set(e, -ENOTSUP,
			"guest memory needs %u memory slots, this host's KVM has %u",
			vm->mem->nregions, n);
	return 0;
}

static int kvm_caps_on(const struct kvm_vm *vm, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap en = { .cap = cap, .args = { arg } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &en) < 0 ? -errno : 0;
}

int kvm_caps_enable(struct kvm_vm *vm, struct err *e)
{
	struct kvm_caps *c = &vm->caps;
	int r;

	/*
	 * A pending exception or triple fault can only be told apart from an injected one, and so
	 * travel, when these are on. Both are harmless to refuse: then they are not used.
	 */
	c->exception_payload =
		c->exception_payload && kvm_caps_on(vm, KVM_CAP_EXCEPTION_PAYLOAD, 1) == 0;
	c->triple_fault_event =
		c->triple_fault_event && kvm_caps_on(vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1) == 0;
	/* No virtual PMU: counters mean another thing on another host (cpuid.c hides them too). */
	if (kvm_caps_get(vm->fd, KVM_CAP_PMU_CAPABILITY) & KVM_PMU_CAP_DISABLE)
		(void)kvm_caps_on(vm, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE);

	if (vm->ring_size) {
		r = kvm_caps_on(vm,
			c->ring_acq_rel ? KVM_CAP_DIRTY_LOG_RING_ACQ_REL : KVM_CAP_DIRTY_LOG_RING,
			vm->ring_size * sizeof(struct kvm_dirty_gfn));
		if (r)
			return err_set(e, r, "cannot switch on KVM's dirty ring of %u entries: %s",
				vm->ring_size, strerror(-r));
	} else if (c->log_manual) {
		r = kvm_caps_on(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			c->log_manual & (KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
						KVM_DIRTY_LOG_INITIALLY_SET));
		if (r)
			return err_set(
				e, r, "cannot switch on KVM's manual dirty log: %s", strerror(-r));
	}
	return 0;
}
