/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a vCPU's state that are plain registers: what the table in state_vcpu.c is made of.
 * Each _save reads from KVM and encodes, _take decodes and checks (a body that is too short or out
 * of range sets r->failed), _load gives it to KVM. 0 or negative errno with a message.
 * Next in the flow: hv/kvm/state_regs.c, state_sregs.c.
 */
#ifndef WATARI_KVM_STATE_REGS_H
#define WATARI_KVM_STATE_REGS_H

#include "hv/base/codec.h"
#include "hv/base/err.h"
#include "hv/kvm/vcpu.h"

#define VCPU_PART(part)                                                                            \
	int part##_save(struct vcpu *v, struct wbuf *w, struct err *e);                            \
	int part##_take(struct vcpu *v, struct rbuf *r, struct err *e);                            \
	int part##_load(struct vcpu *v, struct err *e)

VCPU_PART(sregs);
VCPU_PART(xcrs);
VCPU_PART(xsave);
VCPU_PART(debugregs);
VCPU_PART(lapic);
VCPU_PART(events);
VCPU_PART(mp);
VCPU_PART(regs);

#endif
