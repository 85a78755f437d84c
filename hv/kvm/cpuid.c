/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the shape of the guest's processor (see cpuid.h): topology leaves, and features taken away
 * because their state does not travel (nested virtualization, the performance monitoring unit).
 * Next in the flow: cpuid_check.c.
 */
#include "hv/kvm/cpuid.h"

#include <string.h>

#include "hv/kvm/internal.h"

#define BIT(n) (1u << (n))

/* Smallest b with 1 << b >= n. */
static uint32_t cpuid_bits(uint32_t n)
{
	uint32_t b = 0;

	while ((1u << b) < n)
		b++;
	return b;
}

static uint32_t cpuid_max(const struct kvm_cpuid2 *c, uint32_t base)
{
	for (uint32_t i = 0; i < c->nent; i++) {
		if (c->entries[i].function == base)
			return c->entries[i].eax;
	}
	return 0;
}

static void cpuid_leaf1(struct kvm_cpuid_entry2 *e, const struct cpuid_shape *s)
{
	uint32_t logical = s->cpus > 255 ? 255 : s->cpus;

	e->ebx = (e->ebx & 0x0000ffff) | logical << 16 | (s->id & 0xff) << 24;
	/* MONITOR idles a vCPU without an exit, VMX and PDCM do not travel, OSXSAVE is KVM's to
	 * set. */
	e->ecx &= ~(BIT(3) | BIT(5) | BIT(15) | BIT(24) | BIT(27));
	e->ecx |= BIT(31); /* a hypervisor is there */
	if (s->tsc_deadline)
		e->ecx |= BIT(24);
	e->edx &= ~(BIT(21) | BIT(28)); /* debug store belongs to the PMU */
	if (s->cpus > 1)
		e->edx |= BIT(28); /* more than one logical processor in the package */
}

/* Cache topology, Intel leaf 4 and AMD 0x8000001d alike: who shares the cache. */
static void cpuid_cache(struct kvm_cpuid_entry2 *e, const struct cpuid_shape *s, bool intel)
{
	uint32_t level = e->eax >> 5 & 7;
	uint32_t span = 1u << cpuid_bits(s->cpus);
	uint32_t cores = span > 64 ? 64 : span; /* six bits hold cores - 1 */

	if ((e->eax & 0x1f) == 0) /* no more caches */
		return;
	e->eax &= 0x3fff;
	if (level >= 3)
		e->eax |= (span - 1) << 14;
	if (intel)
		e->eax |= (cores - 1) << 26;
}

/* Extended topology, leaves 0xb and 0x1f: level 0 is one thread, level 1 all cores. */
static void cpuid_topology(struct kvm_cpuid_entry2 *e, const struct cpuid_shape *s)
{
	static const uint32_t type[] = { 1 /* thread */, 2 /* core */ };
	uint32_t level = e->index;

	e->eax = e->ebx = 0;
	e->ecx = level & 0xff;
	e->edx = s->id;
	if (level > 1)
		return;
	e->eax = level == 0 ? 0 : cpuid_bits(s->cpus);
	e->ebx = level == 0 ? 1 : s->cpus;
	e->ecx |= type[level] << 8;
}

/* Vendor "AuthenticAMD" or "HygonGenuine", by the first four letters. */
static bool cpuid_is_amd(const struct kvm_cpuid2 *c)
{
	for (uint32_t i = 0; i < c->nent; i++) {
		if (c->entries[i].function == 0)
			return c->entries[i].ebx == 0x68747541 || c->entries[i].ebx == 0x6f677948;
	}
	return false;
}

static void cpuid_patch(struct kvm_cpuid_entry2 *e, const struct cpuid_shape *s, bool amd)
{
	switch (e->function) {
	case 0x1: cpuid_leaf1(e, s); break;
	case 0x4: cpuid_cache(e, s, true); break;
	case 0xa:        /* no performance counters */
	case 0x8000000a: /* no SVM */
	case 0x80000022: /* no performance counters, AMD */
		e->eax = e->ebx = e->ecx = e->edx = 0;
		break;
	case 0x80000001:
		/* CmpLegacy, SVM, and the three counter extensions of AMD. */
		e->ecx &= ~(BIT(1) | BIT(2) | BIT(23) | BIT(24) | BIT(28));
		break;
	case 0x80000008:
		/* AMD: number of cores less one, and how many APIC id bits they take. */
		if (amd)
			e->ecx = (e->ecx & 0xffff0f00) | ((s->cpus - 1) & 0xff) |
				 cpuid_bits(s->cpus) << 12;
		break;
	case 0x8000001d: cpuid_cache(e, s, false); break;
	case 0x8000001e: /* AMD: APIC id, core id, one thread a core, node 0 of 1 */
		e->eax = s->id;
		e->ebx = s->id & 0xff;
		e->ecx = 0;
		break;
	default: break;
	}
}

/* Leaves whose sub-leaves are written here rather than taken from KVM, which gives none of use. */
static bool cpuid_is_topology(uint32_t function)
{
	return function == 0xb || function == 0x1f;
}

static void cpuid_append_topology(
	struct kvm_cpuid2 *out, uint32_t max, uint32_t function, const struct cpuid_shape *s)
{
	for (uint32_t level = 0; level < 3 && out->nent < max; level++) {
		struct kvm_cpuid_entry2 *e = &out->entries[out->nent++];

		*e = (struct kvm_cpuid_entry2){
			.function = function,
			.index = level,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		};
		cpuid_topology(e, s);
	}
}

void cpuid_build(struct kvm_cpuid2 *out, uint32_t max, const struct kvm_cpuid2 *supported,
	const struct cpuid_shape *shape)
{
	uint32_t top = cpuid_max(supported, 0);
	bool amd = cpuid_is_amd(supported);

	out->nent = 0;
	out->padding = 0;
	for (uint32_t i = 0; i < supported->nent && out->nent < max; i++) {
		struct kvm_cpuid_entry2 *e;

		if (cpuid_is_topology(supported->entries[i].function))
			continue;
		e = &out->entries[out->nent++];
		*e = supported->entries[i];
		memset(e->padding, 0, sizeof(e->padding));
		cpuid_patch(e, shape, amd);
	}
	/* Only below the highest leaf the processor reports: above it, software does not look. */
	if (top >= 0xb)
		cpuid_append_topology(out, max, 0xb, shape);
	if (top >= 0x1f)
		cpuid_append_topology(out, max, 0x1f, shape);
}

bool cpuid_equal(const struct kvm_cpuid2 *a, const struct kvm_cpuid2 *b)
{
	if (a->nent != b->nent)
		return false;
	for (uint32_t i = 0; i < a->nent; i++) {
		const struct kvm_cpuid_entry2 *x = &a->entries[i], *y = &b->entries[i];

		if (x->function != y->function || x->index != y->index || x->flags != y->flags ||
			x->eax != y->eax || x->ebx != y->ebx || x->ecx != y->ecx ||
			x->edx != y->edx)
			return false;
	}
	return true;
}

void cpuid_encode(const struct kvm_cpuid2 *c, struct wbuf *w)
{
	wbuf_u32(w, c->nent);
	for (uint32_t i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entries[i];

		wbuf_u32(w, e->function);
		wbuf_u32(w, e->index);
		wbuf_u32(w, e->flags);
		wbuf_u32(w, e->eax);
		wbuf_u32(w, e->ebx);
		wbuf_u32(w, e->ecx);
		wbuf_u32(w, e->edx);
	}
}

void cpuid_decode(struct kvm_cpuid2 *c, uint32_t max, struct rbuf *r)
{
	uint32_t n = rbuf_u32(r);

	c->nent = 0;
	c->padding = 0;
	if (n > max) {
		r->failed = true;
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[c->nent++];

		memset(e, 0, sizeof(*e));
		e->function = rbuf_u32(r);
		e->index = rbuf_u32(r);
		e->flags = rbuf_u32(r);
		e->eax = rbuf_u32(r);
		e->ebx = rbuf_u32(r);
		e->ecx = rbuf_u32(r);
		e->edx = rbuf_u32(r);
	}
}
