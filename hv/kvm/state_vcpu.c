/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the sections of one vCPU: the table of parts, in the order in which they must be loaded.
 * Every part is read from KVM and encoded field by field, or decoded and checked into the vCPU's
 * staged state, or given to KVM from there.
 * Must never give KVM a length or count that came from outside unchecked.
 * Next in the flow: state_regs.c, state_clock.c, state_msr.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv/kvm/cpuid.h"
#include "hv/kvm/internal.h"
#include "hv/kvm/state.h"
#include "hv/kvm/state_regs.h"

int vcpu_staged_new(struct vcpu *v, struct err *e)
{
	struct vcpu_staged *s = calloc(1, sizeof(*s));

	v->staged = s;
	if (!s)
		goto nomem;
	s->cpuid = calloc(1, sizeof(*s->cpuid) + KVM_CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
	s->xsave = calloc(1, v->vm->caps.xsave_size);
	s->save_index = calloc(KVM_MSRS_MAX, sizeof(*s->save_index));
	s->msrs = calloc(1, sizeof(*s->msrs) + KVM_MSRS_MAX * sizeof(struct kvm_msr_entry));
	if (!s->cpuid || !s->xsave || !s->save_index || !s->msrs)
		goto nomem;
	if (v->id == 0)
		v->vm->staged->host_khz = v->tsc_khz;
	return vcpu_msrs_probe(v, e);
nomem:
	return err_set(e, -ENOMEM, "no memory for the state of vCPU %u", v->id);
}

void vcpu_staged_free(struct vcpu *v)
{
	struct vcpu_staged *s = v->staged;

	if (!s)
		return;
	free(s->cpuid);
	free(s->xsave);
	free(s->save_index);
	free(s->msrs);
	free(s);
	v->staged = NULL;
}

static int cpuid_save(struct vcpu *v, struct wbuf *w, struct err *e)
{
	(void)e;
	cpuid_encode(v->cpuid, w);
	return 0;
}

static int cpuid_take(struct vcpu *v, struct rbuf *r, struct err *e)
{
	cpuid_decode(v->staged->cpuid, KVM_CPUID_MAX, r);
	/* Refused here, before anything is loaded. v->cpuid is what this host would give. */
	return r->failed ? 0 : cpuid_check(v->staged->cpuid, v->cpuid, e);
}

static int cpuid_load(struct vcpu *v, struct err *e)
{
	/* KVM does not let the CPUID of a vCPU that has run be set again, even to the same. */
	if (cpuid_equal(v->staged->cpuid, v->cpuid))
		return 0;
	if (ioctl(v->fd, KVM_SET_CPUID2, v->staged->cpuid) < 0)
		return err_errno(e, "KVM refuses the saved CPUID of vCPU %u", v->id);
	memcpy(v->cpuid, v->staged->cpuid,
		sizeof(*v->cpuid) + v->staged->cpuid->nent * sizeof(struct kvm_cpuid_entry2));
	return 0;
}

static int tsc_save(struct vcpu *v, struct wbuf *w, struct err *e)
{
	uint64_t tsc = 0;
	int r = vcpu_tsc_read(v, &tsc, e);

	wbuf_u32(w, v->tsc_khz);
	wbuf_u64(w, tsc);
	return r;
}

static int tsc_take(struct vcpu *v, struct rbuf *r, struct err *e)
{
	(void)e;
	v->staged->tsc_khz = rbuf_u32(r);
	v->staged->tsc = rbuf_u64(r);
	return 0;
}

/*
 * The parts, in load order; the position is the bit in vcpu_staged.have. A part without save is a
 * step that loads what another part took.
 *  - cpuid first: it decides which bits of all that follows are legal;
 *  - the TSC frequency before the TSC, and both before the MSRs that count in TSC units;
 *  - sregs (APIC base, EFER, CR4) before what depends on modes; xcrs before xsave, whose components
 *    must be enabled;
 *  - the local APIC before IA32_TSC_DEADLINE, which arms its timer and is ignored unless the
 *    APIC's timer entry says TSC-deadline mode; and after the MSRs, for it starts its timer at
 * once;
 *  - events after all that may queue or drop one; mp_state after the APIC; the general registers,
 *    on which nothing depends, at the end.
 */
static const struct vcpu_part {
	const char *name;
	uint32_t version;
	int (*save)(struct vcpu *v, struct wbuf *w, struct err *e);
	int (*take)(struct vcpu *v, struct rbuf *r, struct err *e);
	int (*load)(struct vcpu *v, struct err *e);
} vcpu_part[] = {
	{ "cpu-cpuid", 1, cpuid_save, cpuid_take, cpuid_load },
	{ "cpu-tsc", 1, tsc_save, tsc_take, vcpu_tsc_khz_load },
	{ "cpu-sregs", 1, sregs_save, sregs_take, sregs_load },
	{ "cpu-xcrs", 1, xcrs_save, xcrs_take, xcrs_load },
	{ "cpu-xsave", 1, xsave_save, xsave_take, xsave_load },
	{ "cpu-debugregs", 1, debugregs_save, debugregs_take, debugregs_load },
	{ "tsc value", 0, NULL, NULL, vcpu_tsc_load },
	{ "cpu-msrs", 1, vcpu_msrs_save, vcpu_msrs_take, vcpu_msrs_load },
	{ "cpu-lapic", 1, lapic_save, lapic_take, lapic_load },
	{ "late msrs", 0, NULL, NULL, vcpu_msrs_load_late },
	{ "cpu-events", 1, events_save, events_take, events_load },
	{ "cpu-mpstate", 1, mp_save, mp_take, mp_load },
	{ "cpu-regs", 1, regs_save, regs_take, regs_load },
};

#define PARTS (sizeof(vcpu_part) / sizeof(vcpu_part[0]))

/* Index in vcpu_part, or PARTS. */
static size_t part_find(const char *name)
{
	size_t i = 0;

	while (i < PARTS && (!vcpu_part[i].save || strcmp(vcpu_part[i].name, name) != 0))
		i++;
	return i;
}

bool vcpu_state_knows(const char *name)
{
	return part_find(name) < PARTS;
}

int vcpu_state_save(struct vcpu *v, struct wbuf *w, struct err *e)
{
	if (v->io_pending)
		return err_set(
			e, -EBUSY, "vCPU %u owes KVM an access: complete it before saving", v->id);
	for (size_t i = 0; i < PARTS; i++) {
		size_t at;
		int r;

		if (!vcpu_part[i].save)
			continue;
		at = section_begin(w, vcpu_part[i].name, v->id, vcpu_part[i].version);
		r = vcpu_part[i].save(v, w, e);
		if (r)
			return r;
		section_end(w, at);
	}
	return 0;
}

int vcpu_state_take(struct vcpu *v, struct section *s, struct err *e)
{
	size_t i = part_find(s->name);
	int r;

	if (i == PARTS)
		return 0;
	if (v->staged->have & 1u << i)
		return err_set(
			e, -EPROTO, "state section '%s' of vCPU %u is there twice", s->name, v->id);
	r = section_version(s, vcpu_part[i].version, e);
	if (r == 0)
		r = vcpu_part[i].take(v, &s->body, e);
	if (r == 0)
		r = section_done(s, e);
	if (r)
		return r;
	v->staged->have |= 1u << i;
	return 1;
}

int vcpu_state_missing(const struct vcpu *v, struct err *e)
{
	for (size_t i = 0; i < PARTS; i++) {
		if (vcpu_part[i].save && !(v->staged->have & 1u << i))
			return err_set(e, -EPROTO, "state section '%s' of vCPU %u is missing",
				vcpu_part[i].name, v->id);
	}
	return 0;
}

int vcpu_state_load(struct vcpu *v, struct err *e)
{
	for (size_t i = 0; i < PARTS; i++) {
		int r = vcpu_part[i].load(v, e);

		if (r)
			return r;
	}
	/* Whatever access was owed belonged to the state that has just been replaced. */
	v->io_pending = false;
	return 0;
}
