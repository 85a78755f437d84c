/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the special registers in saved state: segments, control registers, EFER, APIC base, PDPTRs;
 * and XCR0, the extended state, the debug registers (see state_regs.h).
 * Must never send a byte of padding.
 * Next in the flow: state_regs.c.
 */
#include "hv/kvm/state_regs.h"

#include <errno.h>
#include <string.h>

#include "hv/kvm/internal.h"

static void segment_encode(const struct kvm_segment *s, struct wbuf *w)
{
	wbuf_u64(w, s->base);
	wbuf_u32(w, s->limit);
	wbuf_u16(w, s->selector);
	wbuf_u8(w, s->type);
	wbuf_u8(w, s->present);
	wbuf_u8(w, s->dpl);
	wbuf_u8(w, s->db);
	wbuf_u8(w, s->s);
	wbuf_u8(w, s->l);
	wbuf_u8(w, s->g);
	wbuf_u8(w, s->avl);
	wbuf_u8(w, s->unusable);
}

static void segment_decode(struct kvm_segment *s, struct rbuf *r)
{
	memset(s, 0, sizeof(*s));
	s->base = rbuf_u64(r);
	s->limit = rbuf_u32(r);
	s->selector = rbuf_u16(r);
	s->type = rbuf_u8(r);
	s->present = rbuf_u8(r);
	s->dpl = rbuf_u8(r);
	s->db = rbuf_u8(r);
	s->s = rbuf_u8(r);
	s->l = rbuf_u8(r);
	s->g = rbuf_u8(r);
	s->avl = rbuf_u8(r);
	s->unusable = rbuf_u8(r);
	if (s->type > 15 || s->present > 1 || s->dpl > 3 || s->db > 1 || s->s > 1 || s->l > 1 ||
		s->g > 1 || s->avl > 1 || s->unusable > 1)
		r->failed = true;
}

/*
 * KVM_GET_SREGS2 where there is one: without it the PDPTRs of a guest in PAE paging are read again
 * from its memory when they are loaded, which is right unless it changed them there since.
 */
static int sregs_get(const struct vcpu *v, struct kvm_sregs2 *s)
{
	struct kvm_sregs old;

	memset(s, 0, sizeof(*s));
	if (v->vm->caps.sregs2)
		return ioctl(v->fd, KVM_GET_SREGS2, s);
	if (ioctl(v->fd, KVM_GET_SREGS, &old) < 0)
		return -1;
	/* The two structs begin alike, up to the APIC base. */
	memcpy(s, &old, offsetof(struct kvm_sregs, interrupt_bitmap));
	return 0;
}

static int sregs_set(const struct vcpu *v, const struct kvm_sregs2 *s)
{
	struct kvm_sregs old;

	if (v->vm->caps.sregs2)
		return ioctl(v->fd, KVM_SET_SREGS2, s);
	/* The bitmap stays empty: an interrupt under delivery is in the events. */
	memset(&old, 0, sizeof(old));
	memcpy(&old, s, offsetof(struct kvm_sregs, interrupt_bitmap));
	return ioctl(v->fd, KVM_SET_SREGS, &old);
}

_Static_assert(offsetof(struct kvm_sregs, interrupt_bitmap) == offsetof(struct kvm_sregs2, flags),
	"kvm_sregs and kvm_sregs2 begin alike");

int sregs_save(struct vcpu *v, struct wbuf *w, struct err *e)
{
	struct kvm_sregs2 s;

	if (sregs_get(v, &s) < 0)
		return err_errno(e, "cannot read the special registers of vCPU %u", v->id);
	segment_encode(&s.cs, w);
	segment_encode(&s.ds, w);
	segment_encode(&s.es, w);
	segment_encode(&s.fs, w);
	segment_encode(&s.gs, w);
	segment_encode(&s.ss, w);
	segment_encode(&s.tr, w);
	segment_encode(&s.ldt, w);
	wbuf_u64(w, s.gdt.base);
	wbuf_u16(w, s.gdt.limit);
	wbuf_u64(w, s.idt.base);
	wbuf_u16(w, s.idt.limit);
	wbuf_u64(w, s.cr0);
	wbuf_u64(w, s.cr2);
	wbuf_u64(w, s.cr3);
	wbuf_u64(w, s.cr4);
	wbuf_u64(w, s.cr8);
	wbuf_u64(w, s.efer);
	wbuf_u64(w, s.apic_base);
	wbuf_u8(w, s.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID ? 1 : 0);
	for (int i = 0; i < 4; i++)
		wbuf_u64(w, s.pdptrs[i]);
	return 0;
}

int sregs_take(struct vcpu *v, struct rbuf *r, struct err *e)
{
	struct kvm_sregs2 *s = &v->staged->sregs;

	(void)e;
	memset(s, 0, sizeof(*s));
	segment_decode(&s->cs, r);
	segment_decode(&s->ds, r);
	segment_decode(&s->es, r);
	segment_decode(&s->fs, r);
	segment_decode(&s->gs, r);
	segment_decode(&s->ss, r);
	segment_decode(&s->tr, r);
	segment_decode(&s->ldt, r);
	s->gdt.base = rbuf_u64(r);
	s->gdt.limit = rbuf_u16(r);
	s->idt.base = rbuf_u64(r);
	s->idt.limit = rbuf_u16(r);
	s->cr0 = rbuf_u64(r);
	s->cr2 = rbuf_u64(r);
	s->cr3 = rbuf_u64(r);
	s->cr4 = rbuf_u64(r);
	s->cr8 = rbuf_u64(r);
	s->efer = rbuf_u64(r);
	s->apic_base = rbuf_u64(r);
	s->flags = rbuf_u8(r) ? KVM_SREGS2_FLAGS_PDPTRS_VALID : 0;
	for (int i = 0; i < 4; i++)
		s->pdptrs[i] = rbuf_u64(r);
	return 0;
}

int sregs_load(struct vcpu *v, struct err *e)
{
	if (sregs_set(v, &v->staged->sregs) < 0)
		return err_errno(e, "cannot set the special registers of vCPU %u", v->id);
	return 0;
}

int xcrs_save(struct vcpu *v, struct wbuf *w, struct err *e)
{
	struct kvm_xcrs x = { .nr_xcrs = 0 };

	if (v->vm->caps.xcrs && ioctl(v->fd, KVM_GET_XCRS, &x) < 0)
		return err_errno(e, "cannot read the extended control registers of vCPU %u", v->id);
	if (x.nr_xcrs > KVM_MAX_XCRS)
		return err_set(e, -EIO, "KVM reports %u extended control registers", x.nr_xcrs);
	wbuf_u8(w, (uint8_t)x.nr_xcrs);
	for (uint32_t i = 0; i < x.nr_xcrs; i++) {
		wbuf_u32(w, x.xcrs[i].xcr);
		wbuf_u64(w, x.xcrs[i].value);
	}
	return 0;
}

int xcrs_take(struct vcpu *v, struct rbuf *r, struct err *e)
{
	struct kvm_xcrs *x = &v->staged->xcrs;

	memset(x, 0, sizeof(*x));
	x->nr_xcrs = rbuf_u8(r);
	if (x->nr_xcrs > KVM_MAX_XCRS)
		r->failed = true;
	for (uint32_t i = 0; i < x->nr_xcrs && !r->failed; i++) {
		x->xcrs[i].xcr = rbuf_u32(r);
		x->xcrs[i].value = rbuf_u64(r);
	}
	if (x->nr_xcrs && !v->vm->caps.xcrs)
		return err_set(e, -ENOTSUP, "this host's KVM has no extended control registers");
	return 0;
}

int xcrs_load(struct vcpu *v, struct err *e)
{
	if (v->staged->xcrs.nr_xcrs && ioctl(v->fd, KVM_SET_XCRS, &v->staged->xcrs) < 0)
		return err_errno(e, "cannot set the extended control registers of vCPU %u", v->id);
	return 0;
}

/* The architectural area of XSAVE (Intel SDM volume 1, 13.4): a layout of the processor, not of C.
 */
int xsave_save(struct vcpu *v, struct wbuf *w, struct err *e)
{
	const struct kvm_caps *c = &v->vm->caps;

	if (ioctl(v->fd, c->xsave2 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, v->staged->xsave) < 0)
		return err_errno(e, "cannot read the extended state of vCPU %u", v->id);
	wbuf_bytes(w, v->staged->xsave, c->xsave_size);
	return 0;
}

int xsave_take(struct vcpu *v, struct rbuf *r, struct err *e)
{
	size_t n = rbuf_left(r), most = v->vm->caps.xsave_size;

	if (n < sizeof(struct kvm_xsave) || n > most)
		return err_set(e, -EPROTO,
			"state section 'cpu-xsave' of vCPU %u has %zu bytes, this host takes %zu to %zu",
			v->id, n, sizeof(struct kvm_xsave), most);
	memset(v->staged->xsave, 0, most);
	rbuf_copy(r, v->staged->xsave, n);
	return 0;
}

int xsave_load(struct vcpu *v, struct err *e)
{
	if (ioctl(v->fd, KVM_SET_XSAVE, v->staged->xsave) < 0)
		return err_errno(e, "cannot set the extended state of vCPU %u", v->id);
	return 0;
}

int debugregs_save(struct vcpu *v, struct wbuf *w, struct err *e)
{
	struct kvm_debugregs d;

	memset(&d, 0, sizeof(d));
	if (v->vm->caps.debugregs && ioctl(v->fd, KVM_GET_DEBUGREGS, &d) < 0)
		return err_errno(e, "cannot read the debug registers of vCPU %u", v->id);
	wbuf_u8(w, v->vm->caps.debugregs);
	for (int i = 0; i < 4; i++)
		wbuf_u64(w, d.db[i]);
	wbuf_u64(w, d.dr6);
	wbuf_u64(w, d.dr7);
	return 0;
}

int debugregs_take(struct vcpu *v, struct rbuf *r, struct err *e)
{
	struct kvm_debugregs *d = &v->staged->debugregs;

	(void)e;
	memset(d, 0, sizeof(*d));
	v->staged->has_debugregs = rbuf_u8(r) != 0;
	for (int i = 0; i < 4; i++)
		d->db[i] = rbuf_u64(r);
	d->dr6 = rbuf_u64(r);
	d->dr7 = rbuf_u64(r);
	return 0;
}

int debugregs_load(struct vcpu *v, struct err *e)
{
	if (v->staged->has_debugregs && v->vm->caps.debugregs &&
		ioctl(v->fd, KVM_SET_DEBUGREGS, &v->staged->debugregs) < 0)
		return err_errno(e, "cannot set the debug registers of vCPU %u", v->id);
	return 0;
}
