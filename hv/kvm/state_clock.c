/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns time: the guest's kvmclock and its TSCs, read together and set together, by the method of
 * the kernel's Documentation/virt/kvm/devices/vcpu.rst (KVM_VCPU_TSC_CTRL).
 *
 * SAVED is the guest's clock C at one instant, and what each vCPU's TSC was at that same instant:
 * TSC = host TSC at the instant + the vCPU's offset. No value of the source host travels.
 * LOADED: the clock is set to C + elapsed; then clock C' and host TSC h' are read together, and a
 * vCPU's offset becomes TSC + (C' - C) * frequency - h'. So clock and TSC agree exactly as they
 * did, however long these calls took, and equal TSCs get equal offsets to the last bit: KVM gives
 * the guest a stable kvmclock only if all offsets are equal.
 *
 * Invariant: the differences between the vCPUs' TSCs are those that were saved.
 * Next in the flow: state_msr.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "hv/base/clock.h"
#include "hv/base/log.h"
#include "hv/kvm/internal.h"

#define MSR_TSC       0x10
#define TSC_TOLERANCE 250 /* parts per million; KVM's own default, NTP corrects more than that */
#define TSC_KHZ_LEAST 1000u
#define TSC_KHZ_MOST  100000000u

/* How far the TSC of @v goes in @ns. A KVM that does not say its frequency: what was saved. */
static uint64_t tsc_of_ns(const struct vcpu *v, int64_t ns)
{
	uint32_t khz = v->tsc_khz ? v->tsc_khz : v->staged->tsc_khz;

	return (uint64_t)((__int128)ns * khz / 1000000);
}

/* The vCPU's TSC offset: guest TSC = host TSC (scaled, if it is) + offset, modulo 2^64. */
static int tsc_offset_attr(const struct vcpu *v, uint64_t *offset, unsigned long request)
{
	struct kvm_device_attr a = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};

	return ioctl(v->fd, request, &a) < 0 ? -errno : 0;
}

static int tsc_msr(const struct vcpu *v, uint64_t *value, unsigned long request, struct err *e)
{
	/* One MSR of the machine's own buffer would be shared by threads: this one is the stack's.
	 */
	union {
		struct kvm_msrs list;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} m;

	memset(&m, 0, sizeof(m));
	m.list.nmsrs = 1;
	m.list.entries[0].index = MSR_TSC;
	m.list.entries[0].data = *value;
	if (ioctl(v->fd, request, &m) != 1)
		return err_set(e, -EIO, "cannot %s the TSC of vCPU %u",
			request == KVM_GET_MSRS ? "read" : "set", v->id);
	*value = m.list.entries[0].data;
	return 0;
}

/*
 * Reads the guest's clock and the host's TSC of one instant. Where KVM does not report the TSC it
 * used (an unstable host TSC, kernels before 5.16), the middle of a pair of readings around the
 * call is within a microsecond of it.
 */
static int clock_pair(struct kvm_vm *vm, struct err *e)
{
	struct kvm_vm_staged *s = vm->staged;
	struct kvm_clock_data d;
	uint64_t before, after;

	memset(&d, 0, sizeof(d));
	before = __rdtsc();
	s->read_mono = clock_mono_ns();
	if (ioctl(vm->fd, KVM_GET_CLOCK, &d) < 0)
		return err_errno(e, "cannot read the guest's clock");
	after = __rdtsc();
	s->read_clock = d.clock;
	s->read_tsc = d.flags & KVM_CLOCK_HOST_TSC ? d.host_tsc : before + (after - before) / 2;
	return 0;
}

static bool clock_scaled(const struct vcpu *v)
{
	return v->tsc_khz != v->vm->staged->host_khz;
}

int kvm_clock_read(struct kvm_vm *vm, struct err *e)
{
	struct kvm_vm_staged *s = vm->staged;
	struct vcpu *v = vm->vcpu[0];
	uint64_t now = 0;
	int r = clock_pair(vm, e);

	if (r || !v)
		return r;
	s->tsc_attr = tsc_offset_attr(v, &s->offset0, KVM_GET_DEVICE_ATTR) == 0;
	if (s->tsc_attr && !clock_scaled(v)) {
		s->tsc0 = s->read_tsc + s->offset0;
		return 0;
	}
	/* The scaling ratio is not ours to know: read the result, and go back to the instant. */
	r = tsc_msr(v, &now, KVM_GET_MSRS, e);
	s->tsc0 = now - tsc_of_ns(v, (int64_t)(clock_mono_ns() - s->read_mono));
	return r;
}

int vcpu_tsc_read(struct vcpu *v, uint64_t *tsc, struct err *e)
{
	const struct kvm_vm_staged *s = v->vm->staged;
	uint64_t offset = 0, now = 0;
	int r;

	if (v->id == 0) {
		*tsc = s->tsc0;
		return 0;
	}
	if (s->tsc_attr) {
		r = tsc_offset_attr(v, &offset, KVM_GET_DEVICE_ATTR);
		if (r)
			return err_set(e, r, "cannot read the TSC offset of vCPU %u", v->id);
		*tsc = s->tsc0 + (offset - s->offset0);
		return 0;
	}
	r = tsc_msr(v, &now, KVM_GET_MSRS, e);
	*tsc = now - tsc_of_ns(v, (int64_t)(clock_mono_ns() - s->read_mono));
	return r;
}

int kvm_clock_load(struct kvm_vm *vm, struct err *e)
{
	struct kvm_vm_staged *s = vm->staged;
	struct kvm_clock_data d;
	uint64_t offset = 0;

	memset(&d, 0, sizeof(d));
	d.clock = s->clock + (clock_mono_ns() - s->origin_mono);
	if (ioctl(vm->fd, KVM_SET_CLOCK, &d) < 0)
		return err_errno(e, "cannot set the guest's clock");
	s->tsc_attr = tsc_offset_attr(vm->vcpu[0], &offset, KVM_GET_DEVICE_ATTR) == 0;
	return clock_pair(vm, e);
}

int vcpu_tsc_khz_load(struct vcpu *v, struct err *e)
{
	uint32_t want = v->staged->tsc_khz, have = v->tsc_khz;
	uint64_t diff = want > have ? want - have : have - want;

	/* 0: one of the two KVMs does not know the frequency, so there is nothing to compare. */
	if (want == have || want == 0 || have == 0)
		return 0;
	if (want < TSC_KHZ_LEAST || want > TSC_KHZ_MOST)
		return err_set(e, -EPROTO, "vCPU %u was saved with a TSC of %u kHz, which is none",
			v->id, want);
	if (v->vm->caps.tsc_control) {
		if (ioctl(v->fd, KVM_SET_TSC_KHZ, (unsigned long)want) < 0)
			return err_errno(e, "cannot set the TSC of vCPU %u to %u kHz", v->id, want);
		v->tsc_khz = want;
		return 0;
	}
	if (diff * 1000000 > (uint64_t)want * TSC_TOLERANCE)
		return err_set(e, -ENOTSUP,
			"the guest's TSC runs at %u kHz, this host's at %u kHz, and its KVM cannot "
			"scale it",
			want, have);
	return 0;
}

/* What the vCPU's TSC should be at the reading of kvm_clock_load(). */
static uint64_t tsc_then(const struct vcpu *v)
{
	const struct kvm_vm_staged *s = v->vm->staged;

	return v->staged->tsc + tsc_of_ns(v, (int64_t)(s->read_clock - s->clock));
}

/*
 * Without the attribute, or for the first of vCPUs whose TSC is scaled: the value itself is
 * written. KVM takes writes of vCPUs that agree to within a second for an attempt to synchronise
 * them, and gives all the same offset.
 */
static int tsc_write(struct vcpu *v, struct err *e)
{
	uint64_t since = clock_mono_ns() - v->vm->staged->read_mono;
	uint64_t value = tsc_then(v) + tsc_of_ns(v, (int64_t)since);

	return tsc_msr(v, &value, KVM_SET_MSRS, e);
}

/*
 * A KVM without TSC virtualization (one that runs guests without VMX or SVM) takes an offset and
 * keeps none: the guest reads the host's TSC. On the same host that is right to the microsecond,
 * and nothing is said; from another host the guest's TSC jumps, which is worth a line in the log.
 * (Not for a machine that ran: it is being reset, and its guest expects no continuity.)
 */
static void tsc_kept(const struct vcpu *v, uint64_t want)
{
	uint64_t have = want;
	int64_t diff;

	if (v->ran || tsc_offset_attr(v, &have, KVM_GET_DEVICE_ATTR) || have == want)
		return;
	diff = (int64_t)(have - want);
	if (diff < 0)
		diff = -diff;
	if ((uint64_t)diff > tsc_of_ns(v, NSEC_PER_MSEC))
		log_warn("this host's KVM does not keep TSC offsets: the guest's TSC has jumped");
}

int vcpu_tsc_load(struct vcpu *v, struct err *e)
{
	struct kvm_vm_staged *s = v->vm->staged;
	uint64_t offset;
	int r;

	if (!s->tsc_attr)
		return tsc_write(v, e);
	if (v->id == 0 && clock_scaled(v)) {
		r = tsc_write(v, e);
		if (r)
			return r;
		r = tsc_offset_attr(v, &s->offset0, KVM_GET_DEVICE_ATTR);
		return r ? err_set(e, r, "cannot read the TSC offset of vCPU 0") : 0;
	}
	if (v->id == 0)
		s->offset0 = tsc_then(v) - s->read_tsc;
	offset = s->offset0 + (v->staged->tsc - v->vm->vcpu[0]->staged->tsc);
	r = tsc_offset_attr(v, &offset, KVM_SET_DEVICE_ATTR);
	if (r)
		return err_set(e, r, "cannot set the TSC offset of vCPU %u", v->id);
	if (v->id == 0)
		tsc_kept(v, offset);
	return 0;
}
