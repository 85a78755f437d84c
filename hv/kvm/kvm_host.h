/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this host's KVM would give a guest, asked without one: for the checks before a move. Must
 * never run guest code. Invariant: what is told is what vcpu_open() gives, for it is asked.
 * Next in the flow: hv/preflight/gather.c; hv/kvm/cpuid.h.
 */
#ifndef WATARI_KVM_KVM_HOST_H
#define WATARI_KVM_KVM_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/codec.h"
#include "hv/base/err.h"

struct kvm_host {
	uint32_t tsc_khz; /* that vCPUs get without being asked; 0: this KVM does not say */
	bool tsc_scaling; /* they can be given another one */
};

/*
 * Makes a machine of @cpus vCPUs and looks at it; its CPUID, as of cpuid_encode(), goes to @cpuid.
 * Takes some ms. Errors as of kvm_vm_open().
 */
int kvm_host_look(unsigned cpus, struct kvm_host *out, struct wbuf *cpuid, struct err *e);

/*
 * Whether a host that gives @offered can run a guest that was given @saved, each @n bytes of
 * cpuid_encode(); neither is trusted. 0; -ENOTSUP as of cpuid_check(); -EPROTO: no such table.
 */
int kvm_cpuid_fits(
	const void *saved, size_t saved_n, const void *offered, size_t offered_n, struct err *e);

#endif
