/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processor a guest sees: what KVM supports, with the topology of one socket of single-thread
 * cores, and without what cannot travel. Pure functions on tables; no descriptor, no KVM call.
 * Must never show a feature that KVM did not report.
 * Next in the flow: hv/kvm/vcpu.c sets it, state_cpuid.c moves it.
 */
#ifndef WATARI_KVM_CPUID_H
#define WATARI_KVM_CPUID_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/codec.h"
#include "hv/base/err.h"

struct kvm_cpuid2;

struct cpuid_shape {
	unsigned cpus;     /* of the machine, 1 and up */
	unsigned id;       /* this vCPU's number and APIC id */
	bool tsc_deadline; /* the in-kernel APIC offers TSC-deadline mode; not in KVM's table */
};

/*
 * Fills @out (room for @max entries, at least as many as @supported has) from @supported, what
 * KVM_GET_SUPPORTED_CPUID said. Intel SDM volume 2 CPUID, AMD APM volume 3 appendix E.
 */
void cpuid_build(struct kvm_cpuid2 *out, uint32_t max, const struct kvm_cpuid2 *supported,
	const struct cpuid_shape *shape);

/*
 * 0 if a host that would give @offered can run a guest that was given @saved; else -ENOTSUP with
 * what is missing by name: the vendor, the features, or the width of physical addresses.
 */
int cpuid_check(const struct kvm_cpuid2 *saved, const struct kvm_cpuid2 *offered, struct err *e);

/* True if both tables hold the same entries in the same order. */
bool cpuid_equal(const struct kvm_cpuid2 *a, const struct kvm_cpuid2 *b);

/* u32 count, then function, index, flags, eax, ebx, ecx, edx of each entry, u32 each. */
void cpuid_encode(const struct kvm_cpuid2 *c, struct wbuf *w);
/* Reads that into @c, room for @max entries; more than that sets @r->failed. */
void cpuid_decode(struct kvm_cpuid2 *c, uint32_t max, struct rbuf *r);

#endif
