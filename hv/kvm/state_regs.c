/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the general registers, the local APIC page, pending events and the multiprocessor state in
 * saved state (see state_regs.h).
 * Next in the flow: hv/vm/state.c.
 */
#include "hv/kvm/state_regs.h"

#include <errno.h>
#include <string.h>

#include "hv/kvm/internal.h"

/* The general registers, in the order of their numbers in instructions, then RIP and RFLAGS. */
#define REG(name) offsetof(struct kvm_regs, name)
static const size_t regs_order[] = { REG(rax), REG(rcx), REG(rdx), REG(rbx), REG(rsp), REG(rbp),
	REG(rsi), REG(rdi), REG(r8), REG(r9), REG(r10), REG(r11), REG(r12), REG(r13), REG(r14),
	REG(r15), REG(rip), REG(rflags) };
#define REGS (sizeof(regs_order) / sizeof(regs_order[0]))

int regs_save(struct vcpu *v, struct wbuf *w, struct err *e)
{
	struct kvm_regs regs;

	if (ioctl(v->fd, KVM_GET_REGS, &regs) < 0)
		return err_errno(e, "cannot read the registers of vCPU %u", v->id);
	for (size_t i = 0; i < REGS; i++) {
		uint64_t x;

		memcpy(&x, (const char *)&regs + regs_order[i], sizeof(x));
		wbuf_u64(w, x);
	}
	return 0;
}

int regs_take(struct vcpu *v, struct rbuf *r, struct err *e)
{
	(void)e;
	for (size_t i = 0; i < REGS; i++) {
		uint64_t x = rbuf_u64(r);

		memcpy((char *)&v->staged->regs + regs_order[i], &x, sizeof(x));
	}
	return 0;
}

int regs_load(struct vcpu *v, struct err *e)
{
	if (ioctl(v->fd, KVM_SET_REGS, &v->staged->regs) < 0)
		return err_errno(e, "cannot set the registers of vCPU %u", v->id);
	return 0;
}

/* The architectural register page of the local APIC (Intel SDM volume 3, 11.4.1), 1 KiB of it. */
int lapic_save(struct vcpu *v, struct wbuf *w, struct err *e)
{
	struct kvm_lapic_state page;

	if (ioctl(v->fd, KVM_GET_LAPIC, &page) < 0)
		return err_errno(e, "cannot read the local APIC of vCPU %u", v->id);
	wbuf_bytes(w, page.regs, sizeof(page.regs));
	return 0;
}

int lapic_take(struct vcpu *v, struct rbuf *r, struct err *e)
{
	(void)e;
	rbuf_copy(r, v->staged->lapic.regs, sizeof(v->staged->lapic.regs));
	return 0;
}

int lapic_load(struct vcpu *v, struct err *e)
{
	if (ioctl(v->fd, KVM_SET_LAPIC, &v->staged->lapic) < 0)
		return err_errno(e, "cannot set the local APIC of vCPU %u", v->id);
	return 0;
}

int events_save(struct vcpu *v, struct wbuf *w, struct err *e)
{
	struct kvm_vcpu_events ev;

	memset(&ev, 0, sizeof(ev));
	if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &ev) < 0)
		return err_errno(e, "cannot read the pending events of vCPU %u", v->id);
	wbuf_u32(w, ev.flags);
	wbuf_u8(w, ev.exception.injected);
	wbuf_u8(w, ev.exception.pending);
	wbuf_u8(w, ev.exception.nr);
	wbuf_u8(w, ev.exception.has_error_code);
	wbuf_u32(w, ev.exception.error_code);
	wbuf_u8(w, ev.exception_has_payload);
	wbuf_u64(w, ev.exception_payload);
	wbuf_u8(w, ev.interrupt.injected);
	wbuf_u8(w, ev.interrupt.nr);
	wbuf_u8(w, ev.interrupt.soft);
	wbuf_u8(w, ev.interrupt.shadow);
	wbuf_u8(w, ev.nmi.injected);
	wbuf_u8(w, ev.nmi.pending);
	wbuf_u8(w, ev.nmi.masked);
	wbuf_u32(w, ev.sipi_vector);
	wbuf_u8(w, ev.smi.smm);
	wbuf_u8(w, ev.smi.pending);
	wbuf_u8(w, ev.smi.smm_inside_nmi);
	wbuf_u8(w, ev.smi.latched_init);
	wbuf_u8(w, ev.triple_fault.pending);
	return 0;
}

/*
 * KVM refuses flags for what is not switched on (kvm_caps.c). Such a flag is dropped when there is
 * nothing behind it, and an error when there is: the event would be lost.
 */
static int events_adapt(const struct vcpu *v, struct kvm_vcpu_events *ev, struct err *e)
{
	const struct kvm_caps *c = &v->vm->caps;

	if (!c->exception_payload) {
		if (ev->exception.pending || ev->exception_has_payload)
			return err_set(e, -ENOTSUP,
				"vCPU %u has an exception pending that this host's KVM cannot take "
				"(KVM_CAP_EXCEPTION_PAYLOAD)",
				v->id);
		ev->flags &= ~KVM_VCPUEVENT_VALID_PAYLOAD;
	}
	if (!c->triple_fault_event) {
		if (ev->triple_fault.pending)
			return err_set(e, -ENOTSUP,
				"vCPU %u has a triple fault pending that this host's KVM cannot take "
				"(KVM_CAP_X86_TRIPLE_FAULT_EVENT)",
				v->id);
		ev->flags &= ~KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	}
	return 0;
}

int events_take(struct vcpu *v, struct rbuf *r, struct err *e)
{
	struct kvm_vcpu_events *ev = &v->staged->events;

	memset(ev, 0, sizeof(*ev));
	ev->flags = rbuf_u32(r);
	ev->exception.injected = rbuf_u8(r);
	ev->exception.pending = rbuf_u8(r);
	ev->exception.nr = rbuf_u8(r);
	ev->exception.has_error_code = rbuf_u8(r);
	ev->exception.error_code = rbuf_u32(r);
	ev->exception_has_payload = rbuf_u8(r);
	ev->exception_payload = rbuf_u64(r);
	ev->interrupt.injected = rbuf_u8(r);
	ev->interrupt.nr = rbuf_u8(r);
	ev->interrupt.soft = rbuf_u8(r);
	ev->interrupt.shadow = rbuf_u8(r);
	ev->nmi.injected = rbuf_u8(r);
	ev->nmi.pending = rbuf_u8(r);
	ev->nmi.masked = rbuf_u8(r);
	ev->sipi_vector = rbuf_u32(r);
	ev->smi.smm = rbuf_u8(r);
	ev->smi.pending = rbuf_u8(r);
	ev->smi.smm_inside_nmi = rbuf_u8(r);
	ev->smi.latched_init = rbuf_u8(r);
	ev->triple_fault.pending = rbuf_u8(r);
	return r->failed ? 0 : events_adapt(v, ev, e);
}

int events_load(struct vcpu *v, struct err *e)
{
	if (ioctl(v->fd, KVM_SET_VCPU_EVENTS, &v->staged->events) < 0)
		return err_errno(e, "cannot set the pending events of vCPU %u", v->id);
	return 0;
}

int mp_save(struct vcpu *v, struct wbuf *w, struct err *e)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };

	if (ioctl(v->fd, KVM_GET_MP_STATE, &mp) < 0)
		return err_errno(e, "cannot read the multiprocessor state of vCPU %u", v->id);
	wbuf_u32(w, mp.mp_state);
	return 0;
}

int mp_take(struct vcpu *v, struct rbuf *r, struct err *e)
{
	(void)e;
	v->staged->mp.mp_state = rbuf_u32(r);
	if (v->staged->mp.mp_state > KVM_MP_STATE_SIPI_RECEIVED)
		r->failed = true;
	return 0;
}

int mp_load(struct vcpu *v, struct err *e)
{
	if (ioctl(v->fd, KVM_SET_MP_STATE, &v->staged->mp) < 0)
		return err_errno(e, "cannot set the multiprocessor state of vCPU %u to %u", v->id,
			v->staged->mp.mp_state);
	return 0;
}
