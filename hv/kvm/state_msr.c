/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the model-specific registers of a vCPU in saved state: all that KVM lists and lets be read,
 * as (number, value) pairs.
 * Must never lose one silently: an MSR that cannot be set is an error that names it, unless it
 * holds the saved value already (read-only ones do). Next in the flow: state_vcpu.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv/kvm/internal.h"

#define MSR_TSC          0x10
#define MSR_TSC_DEADLINE 0x6e0

/* Ranges that do not travel. */
static const struct {
	uint32_t first, last;
} msr_left_out[] = {
	{ MSR_TSC, MSR_TSC },       /* has its own section, with the instant it was read */
	{ 0x345, 0x345 },           /* IA32_PERF_CAPABILITIES: no PMU is shown (cpuid.c) */
	{ 0x480, 0x4bf },           /* VMX capabilities: no VMX is shown */
	{ 0xc0010114, 0xc0010117 }, /* VM_CR, IGNNE, SMM_CTL, VM_HSAVE_PA: no SVM is shown */
	{ 0x40000000, 0x400001ff }, /* Hyper-V's: its CPUID leaves are not shown */
};

static bool msr_travels(uint32_t index)
{
	for (size_t i = 0; i < sizeof(msr_left_out) / sizeof(msr_left_out[0]); i++) {
		if (index >= msr_left_out[i].first && index <= msr_left_out[i].last)
			return false;
	}
	return true;
}

/*
 * Finds, once, when the vCPU is made, which MSRs of KVM's list this vCPU has: KVM stops at the
 * first it cannot read, which is dropped, and goes on behind it.
 */
int vcpu_msrs_probe(struct vcpu *v, struct err *e)
{
	const struct kvm_msr_list *all = v->vm->msrs;
	struct vcpu_staged *s = v->staged;
	struct kvm_msrs *m = s->msrs;
	uint32_t n = 0, from = 0;

	for (uint32_t i = 0; i < all->nmsrs; i++) {
		if (!msr_travels(all->indices[i]))
			continue;
		if (n == KVM_MSRS_MAX)
			return err_set(e, -ENOTSUP, "KVM lists more than %d MSRs", KVM_MSRS_MAX);
		s->save_index[n++] = all->indices[i];
	}
	while (from < n) {
		int r;

		m->nmsrs = n - from;
		for (uint32_t i = 0; i < m->nmsrs; i++)
			m->entries[i] = (struct kvm_msr_entry){ .index = s->save_index[from + i] };
		r = ioctl(v->fd, KVM_GET_MSRS, m);
		if (r < 0)
			return err_errno(e, "cannot read the MSRs of vCPU %u", v->id);
		from += (uint32_t)r;
		if (from >= n)
			break;
		memmove(&s->save_index[from], &s->save_index[from + 1],
			(n - from - 1) * sizeof(uint32_t));
		n--;
	}
	s->nsave = n;
	return 0;
}

int vcpu_msrs_save(struct vcpu *v, struct wbuf *w, struct err *e)
{
	struct vcpu_staged *s = v->staged;
	struct kvm_msrs *m = s->msrs;
	int r;

	m->nmsrs = s->nsave;
	for (uint32_t i = 0; i < s->nsave; i++)
		m->entries[i] = (struct kvm_msr_entry){ .index = s->save_index[i] };
	r = ioctl(v->fd, KVM_GET_MSRS, m);
	if (r < 0)
		return err_errno(e, "cannot read the MSRs of vCPU %u", v->id);
	if ((uint32_t)r != s->nsave)
		return err_set(e, -EIO, "cannot read MSR %#x of vCPU %u, which was readable before",
			s->save_index[r], v->id);
	wbuf_u32(w, s->nsave);
	for (uint32_t i = 0; i < s->nsave; i++) {
		wbuf_u32(w, m->entries[i].index);
		wbuf_u64(w, m->entries[i].data);
	}
	return 0;
}

int vcpu_msrs_take(struct vcpu *v, struct rbuf *r, struct err *e)
{
	struct kvm_msr_buf *t = &v->staged->taken;
	uint32_t n = rbuf_u32(r);

	if (n > KVM_MSRS_MAX)
		return err_set(e, -EPROTO, "vCPU %u was saved with %u MSRs, the most is %d", v->id,
			n, KVM_MSRS_MAX);
	t->n = n;
	for (uint32_t i = 0; i < n; i++) {
		t->entry[i] = (struct kvm_msr_entry){ .index = rbuf_u32(r) };
		t->entry[i].data = rbuf_u64(r);
		/* These have other owners; setting them here would undo what those did. */
		if (!r->failed && !msr_travels(t->entry[i].index))
			return err_set(e, -EPROTO,
				"MSR %#x must not be in the saved state of vCPU %u",
				t->entry[i].index, v->id);
	}
	return 0;
}

/* True if the vCPU holds this value already. */
static bool msr_holds(struct vcpu *v, const struct kvm_msr_entry *want)
{
	struct kvm_msrs *one = v->staged->msrs;

	one->nmsrs = 1;
	one->entries[0] = (struct kvm_msr_entry){ .index = want->index };
	return ioctl(v->fd, KVM_GET_MSRS, one) == 1 && one->entries[0].data == want->data;
}

/*
 * Sets taken MSRs, those of the second stage (@late) or the others. KVM stops at the first that
 * it refuses: that one is judged, and the rest set behind it.
 */
static int msr_set(struct vcpu *v, bool late, struct err *e)
{
	const struct kvm_msr_buf *t = &v->staged->taken;
	struct kvm_msrs *m = v->staged->msrs;
	uint32_t i = 0;

	while (i < t->n) {
		uint32_t first = i;
		int r;

		m->nmsrs = 0;
		for (; i < t->n && (t->entry[i].index == MSR_TSC_DEADLINE) == late; i++)
			m->entries[m->nmsrs++] = t->entry[i];
		if (m->nmsrs == 0) {
			i++;
			continue;
		}
		r = ioctl(v->fd, KVM_SET_MSRS, m);
		if (r < 0)
			return err_errno(e, "cannot set the MSRs of vCPU %u", v->id);
		if (first + (uint32_t)r == i)
			continue;
		i = first + (uint32_t)r;
		if (!msr_holds(v, &t->entry[i]))
			return err_set(e, -ENOTSUP,
				"this host's KVM refuses MSR %#x = %#llx of vCPU %u",
				t->entry[i].index, (unsigned long long)t->entry[i].data, v->id);
		i++;
	}
	return 0;
}

int vcpu_msrs_load(struct vcpu *v, struct err *e)
{
	return msr_set(v, false, e);
}

int vcpu_msrs_load_late(struct vcpu *v, struct err *e)
{
	return msr_set(v, true, e);
}
